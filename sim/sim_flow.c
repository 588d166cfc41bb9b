#include "sim_flow.h"

#include <assert.h>
#include <stdlib.h>

#include "sim_mem.h"
#include "units.h"

#define NONE          UINT32_MAX
#define TIMEOUTS_MAX  15 /* in a row; then the flow gives up */
#define BACKOFF_MAX   10
#define RTO_MAX_NS    (120 * PLAIT_S)
#define QUICK_ACKS    16 /* first segments, each acknowledged at once */
#define DUPLICATES    3  /* later arrivals that make waiting for reordering needless */
#define PATIENCE_MAX  15 /* quarters of a round trip added for reordering */
#define CLOCK_STEP_NS (2 * PLAIT_MS)

enum {
    SEG_FLYING = 1,   /* in the list of those in flight */
    SEG_SACKED = 2,   /* the sender knows that it arrived */
    SEG_LOST = 4,     /* to be sent again */
    SEG_RESENT = 8,   /* was sent more than once */
    SEG_RECEIVED = 16 /* the receiver's: it arrived */
};

struct plait_sim_seg {
    uint64_t sent_ns;
    uint32_t next, prev;
    uint32_t len;
    uint8_t flags;
    bool fin;
    bool limited; /* BBR: of when it was last sent */
    uint64_t delivered, delivered_ns, first_ns;
};

static struct plait_sim_seg *seg(struct plait_sim_flow *f, uint32_t id)
{
    return &f->ring[id & (f->room - 1)];
}

void plait_sim_flow_init(struct plait_sim_flow *f, const struct plait_sim_flow_config *config)
{
    *f = (struct plait_sim_flow){.config = config};
    plait_sim_cc_init(&f->cc, config->cc, config->hystart, config->initial_cw);
    f->cc.eager = config->eager;
    plait_sim_bbr_init(&f->bbr, config->initial_cw);
    f->pace_at = PLAIT_NEVER;
    f->limit = config->window;
    f->head = f->tail = NONE;
    f->min_rtt = PLAIT_NEVER;
    f->rto = PLAIT_S;
    f->deadline = f->ack_at = PLAIT_NEVER;
}

void plait_sim_flow_done(struct plait_sim_flow *f)
{
    free(f->ring);
    free(f->log);
    f->ring = NULL;
    f->log = NULL;
    f->room = 0;
}

static void grow(struct plait_sim_flow *f)
{
    uint32_t room = f->room > 0 ? f->room * 2 : 16, mask = room - 1;
    struct plait_sim_seg *ring = plait_sim_mem_new(room, sizeof(*ring));
    uint32_t *log = plait_sim_mem_new(room, sizeof(*log));

    for (uint32_t id = f->una; id != f->nxt; id++)
        ring[id & mask] = *seg(f, id);
    for (uint32_t i = f->log_seen; i != f->log_n; i++)
        log[i & mask] = f->log[i & (f->room - 1)];
    plait_sim_flow_done(f);
    f->ring = ring;
    f->log = log;
    f->room = room;
}

/* ---- the list of segments in flight ---- */

static void list_append(struct plait_sim_flow *f, uint32_t id, uint64_t now)
{
    struct plait_sim_seg *s = seg(f, id);

    s->sent_ns = now;
    s->next = NONE;
    s->prev = f->tail;
    s->flags |= SEG_FLYING;
    if (f->tail != NONE)
        seg(f, f->tail)->next = id;
    else
        f->head = id;
    f->tail = id;
    f->pipe++;
}

static void list_remove(struct plait_sim_flow *f, uint32_t id)
{
    struct plait_sim_seg *s = seg(f, id);

    if (s->prev != NONE)
        seg(f, s->prev)->next = s->next;
    else
        f->head = s->next;
    if (s->next != NONE)
        seg(f, s->next)->prev = s->prev;
    else
        f->tail = s->prev;
    s->flags = (uint8_t)(s->flags & ~SEG_FLYING);
    f->pipe--;
}

/* ---- round trips ---- */

void plait_sim_flow_rtt(struct plait_sim_flow *f, uint64_t rtt)
{
    f->min_rtt = plait_min_u64(f->min_rtt, rtt);
    if (f->srtt == 0) {
        f->srtt = rtt;
        f->rttvar = rtt / 2;
    } else {
        uint64_t off = rtt > f->srtt ? rtt - f->srtt : f->srtt - rtt;
        f->rttvar = (3 * f->rttvar + off) / 4;
        f->srtt = (7 * f->srtt + rtt) / 8;
    }
    /* As in Linux, the floor is under the deviation: a long path's timer is not tighter than a short one's.
     */
    f->rto = plait_min_u64(f->srtt + plait_max_u64(4 * f->rttvar, f->config->rto_min_ns), RTO_MAX_NS);
}

static uint64_t current_rto(const struct plait_sim_flow *f)
{
    uint32_t shift = f->backoff < BACKOFF_MAX ? f->backoff : BACKOFF_MAX;
    return plait_min_u64(f->rto << shift, RTO_MAX_NS);
}

/* ---- sending ---- */

void plait_sim_flow_write(struct plait_sim_flow *f, uint64_t now, uint64_t bytes)
{
    if (f->una == f->nxt && f->cut > 0 && plait_since(now, f->last_send) > f->rto)
        plait_sim_cc_on_restart(&f->cc, now - f->last_send, f->rto);
    f->written += bytes;
}

void plait_sim_flow_close(struct plait_sim_flow *f)
{
    f->fin_wanted = true;
}

/* What a sample of the rate will be measured against (draft-cheng-iccrg-delivery-rate-estimation). */
static void begin_sample(struct plait_sim_flow *f, uint64_t now, struct plait_sim_seg *s)
{
    if (f->pipe == 0)
        f->first_ns = f->delivered_ns = now;
    s->first_ns = f->first_ns;
    s->delivered = f->delivered;
    s->delivered_ns = f->delivered_ns;
    s->limited = f->app_limited > 0;
}

static void take_sample(struct plait_sim_flow *f, uint64_t now, const struct plait_sim_seg *s)
{
    f->delivered++;
    f->delivered_ns = now;
    if (f->sampled && s->delivered < f->sample_prior)
        return;
    f->sampled = true;
    f->sample_prior = s->delivered;
    f->sample_prior_ns = s->delivered_ns;
    f->sample_sent_ns = s->sent_ns - s->first_ns;
    f->sample_limited = s->limited;
    f->first_ns = s->sent_ns;
}

static void emit(struct plait_sim_flow *f, uint64_t now, uint32_t id, struct plait_sim_segment *out)
{
    struct plait_sim_seg *s = seg(f, id);

    if (f->cc.kind == PLAIT_SIM_CC_BBR)
        begin_sample(f, now, s);
    list_append(f, id, now);
    *out = (struct plait_sim_segment){.id = id, .len = s->len, .fin = s->fin};
    f->last_send = now;
    f->unarmed = true;
    f->segments_sent++;
    if (f->state == PLAIT_SIM_FLOW_RECOVERY)
        f->prr_out++;
}

static bool has_new(const struct plait_sim_flow *f)
{
    uint64_t left = f->written - f->cut;

    if (left == 0)
        return f->fin_wanted && !f->fin_cut;
    return f->cut + plait_min_u64(left, f->config->mss) <= f->limit;
}

static uint32_t cut_new(struct plait_sim_flow *f)
{
    if (f->nxt - f->una == f->room)
        grow(f);
    uint64_t len = plait_min_u64(f->written - f->cut, f->config->mss);
    uint32_t id = f->nxt++;

    f->cut += len;
    f->fin_cut = f->fin_wanted && f->cut == f->written;
    *seg(f, id) = (struct plait_sim_seg){.len = (uint32_t)len, .fin = f->fin_cut};
    return id;
}

/* The oldest lost segment, which is then no longer marked. */
static uint32_t take_lost(struct plait_sim_flow *f)
{
    uint32_t id = f->lost_hint;

    while (!(seg(f, id)->flags & SEG_LOST))
        id++;
    assert(id - f->una < f->nxt - f->una);
    f->lost_hint = id + 1;
    f->lost--;
    seg(f, id)->flags = (uint8_t)((seg(f, id)->flags & ~SEG_LOST) | SEG_RESENT);
    f->segments_resent++;
    return id;
}

static bool probe(struct plait_sim_flow *f, uint64_t now, struct plait_sim_segment *out)
{
    f->probing = false;
    f->probed = true;
    if (f->una == f->nxt)
        return false;
    if (has_new(f)) {
        emit(f, now, cut_new(f), out);
        return true;
    }
    uint32_t id = f->nxt - 1;

    if (!(seg(f, id)->flags & SEG_FLYING))
        return false;
    list_remove(f, id);
    seg(f, id)->flags |= SEG_RESENT;
    f->segments_resent++;
    emit(f, now, id, out);
    return true;
}

static bool pace(struct plait_sim_flow *f, uint64_t now)
{
    if (f->pace_free > now) {
        f->pace_at = f->pace_free;
        return false;
    }
    f->pace_free =
        plait_max_u64(f->pace_free, plait_since(now, PLAIT_MS)) + plait_time_to_carry(1, f->bbr.pacing_rate);
    return true;
}

/* How far the window is used: remembered for a round, as Linux does it (tcp_cwnd_validate). */
static void note_use(struct plait_sim_flow *f, bool limited)
{
    if ((int32_t)(f->una - f->use_end) < 0 && !limited && (f->limited || f->pipe <= f->use_most))
        return;
    f->limited = limited;
    f->use_most = f->pipe;
    f->use_end = f->nxt;
}

bool plait_sim_flow_next(struct plait_sim_flow *f, uint64_t now, struct plait_sim_segment *out)
{
    f->pace_at = PLAIT_NEVER;
    if (f->probing)
        return probe(f, now, out);
    if (f->lost == 0 && !has_new(f)) {
        note_use(f, false);
        if (f->pipe < (uint32_t)f->cc.cwnd)
            f->app_limited = f->delivered + f->pipe > 0 ? f->delivered + f->pipe : 1;
        return false;
    }
    if (f->pipe >= (uint32_t)f->cc.cwnd) {
        note_use(f, true);
        return false;
    }
    if (f->cc.kind == PLAIT_SIM_CC_BBR && !pace(f, now))
        return false;
    emit(f, now, f->lost > 0 ? take_lost(f) : cut_new(f), out);
    return true;
}

/* ---- acknowledgements ---- */

static void on_rtt(struct plait_sim_flow *f, uint32_t id, uint64_t rtt)
{
    bool round = (int32_t)(id - f->round_end) >= 0;

    plait_sim_flow_rtt(f, rtt);
    if (round)
        f->round_end = f->nxt;
    plait_sim_cc_on_rtt(&f->cc, rtt, round);
}

/* The receiver has this segment, which the sender learns now. */
static void mark_arrived(struct plait_sim_flow *f, uint64_t now, uint32_t id)
{
    struct plait_sim_seg *s = seg(f, id);
    uint64_t rtt = now - s->sent_ns;

    if (s->flags & SEG_FLYING)
        list_remove(f, id);
    if (s->flags & SEG_LOST) {
        s->flags = (uint8_t)(s->flags & ~SEG_LOST);
        f->lost--;
    }
    s->flags |= SEG_SACKED;
    f->sacked++;
    if (f->cc.kind == PLAIT_SIM_CC_BBR)
        take_sample(f, now, s);
    if (!(s->flags & SEG_RESENT) && (int32_t)(id - f->highest) < 0)
        f->reordered = true;
    if ((int32_t)(id - f->highest) > 0)
        f->highest = id;
    if ((s->flags & SEG_RESENT) &&
        rtt < f->min_rtt) { /* the first sending arrived: it was given up too early */
        f->patience += f->patience < PATIENCE_MAX;
        return;
    }
    if (s->sent_ns > f->rack_sent || (s->sent_ns == f->rack_sent && (int32_t)(id - f->rack_id) > 0)) {
        f->rack_sent = s->sent_ns;
        f->rack_id = id;
        f->rack_rtt = rtt;
    }
}

static uint32_t take_log(struct plait_sim_flow *f, uint64_t now, uint32_t log)
{
    uint32_t delivered = 0, sample = NONE;

    for (; f->log_seen != log; f->log_seen++) {
        uint32_t id = f->log[f->log_seen & (f->room - 1)];
        mark_arrived(f, now, id);
        delivered++;
        if (!(seg(f, id)->flags & SEG_RESENT))
            sample = id;
    }
    if (sample != NONE) {
        f->ack_rtt = now - seg(f, sample)->sent_ns;
        on_rtt(f, sample, f->ack_rtt);
    }
    return delivered;
}

static void advance(struct plait_sim_flow *f, uint32_t next)
{
    for (; f->una != next; f->una++) {
        f->acked += seg(f, f->una)->len;
        f->sacked--;
    }
    if ((int32_t)(f->lost_hint - f->una) < 0)
        f->lost_hint = f->una;
}

static void mark_lost(struct plait_sim_flow *f, uint32_t id)
{
    list_remove(f, id);
    f->lost_all++;
    seg(f, id)->flags |= SEG_LOST;
    f->lost++;
    if ((int32_t)(id - f->lost_hint) < 0)
        f->lost_hint = id;
}

/* Marks what RACK holds for lost; returns when to look again, or PLAIT_NEVER. */
static uint64_t detect_losses(struct plait_sim_flow *f, uint64_t now)
{
    uint64_t slack = plait_min_u64(f->min_rtt / 4 * (1 + f->patience), f->srtt);

    if (!f->reordered && (f->state != PLAIT_SIM_FLOW_OPEN || f->sacked >= DUPLICATES))
        slack = 0;
    while (f->head != NONE) {
        uint32_t id = f->head;
        uint64_t sent = seg(f, id)->sent_ns;
        if (sent > f->rack_sent || (sent == f->rack_sent && (int32_t)(id - f->rack_id) >= 0))
            break;
        if (sent + f->rack_rtt + slack > now)
            return sent + f->rack_rtt + slack;
        mark_lost(f, id);
    }
    return PLAIT_NEVER;
}

static void enter_recovery(struct plait_sim_flow *f, uint32_t flight)
{
    f->state = PLAIT_SIM_FLOW_RECOVERY;
    f->recover = f->nxt;
    f->prr_delivered = f->prr_out = 0;
    f->prr_flight = flight > 0 ? flight : 1;
    f->recoveries++;
    plait_sim_cc_on_loss(&f->cc);
}

/* Proportional rate reduction, with slow-start reduction bound. */
static void reduce(struct plait_sim_flow *f, uint32_t delivered)
{
    double quota, target = f->cc.ssthresh;

    f->prr_delivered += delivered;
    if (f->pipe > target) {
        quota = f->prr_delivered * target / f->prr_flight - f->prr_out;
    } else {
        double owed = (double)f->prr_delivered - f->prr_out;
        quota = (owed > delivered ? owed : delivered) + 1;
        if (quota > target - f->pipe)
            quota = target - f->pipe;
    }
    if (quota < 1 && f->prr_out == 0)
        quota = 1;
    f->cc.cwnd = f->pipe + (quota > 0 ? quota : 0);
}

static void leave_state(struct plait_sim_flow *f)
{
    if (f->state == PLAIT_SIM_FLOW_RECOVERY && f->cc.kind != PLAIT_SIM_CC_BBR)
        f->cc.cwnd = f->cc.ssthresh;
    f->state = PLAIT_SIM_FLOW_OPEN;
}

static void grow_window(struct plait_sim_flow *f, uint64_t now, uint32_t delivered)
{
    bool used = f->limited || (plait_sim_cc_slow_start(&f->cc) && 2.0 * f->use_most > f->cc.cwnd);

    if (f->state != PLAIT_SIM_FLOW_RECOVERY && delivered > 0 && used)
        plait_sim_cc_on_ack(&f->cc, now, delivered, f->min_rtt);
}

static void run_bbr(struct plait_sim_flow *f, uint64_t now, uint32_t delivered, uint32_t flight)
{
    uint64_t acked_ns = f->sampled ? now - f->sample_prior_ns : 0;
    uint64_t interval = plait_max_u64(acked_ns, f->sample_sent_ns);
    struct plait_sim_bbr_sample s = {
        .interval_ns = f->sampled && interval >= f->min_rtt ? interval : 0,
        .prior = f->sample_prior,
        .delivered = f->delivered,
        .acked = delivered,
        .lost = f->lost_all - f->lost_seen,
        .inflight = flight,
        .pipe = f->pipe,
        .rtt_ns = f->ack_rtt,
        .min_rtt_ns = f->min_rtt,
        .app_limited = f->sample_limited,
        .in_recovery = f->state != PLAIT_SIM_FLOW_OPEN,
    };

    f->lost_seen = f->lost_all;
    f->sampled = false;
    f->ack_rtt = 0;
    if (f->app_limited > 0 && f->delivered > f->app_limited)
        f->app_limited = 0;
    plait_sim_bbr_on_ack(&f->bbr, now, &s);
    if (f->bbr.mode == PLAIT_SIM_BBR_RTT) /* what is delivered meanwhile says nothing of the path */
        f->app_limited = f->delivered + f->pipe > 0 ? f->delivered + f->pipe : 1;
    f->cc.cwnd = f->bbr.cwnd;
}

void plait_sim_flow_on_ack(struct plait_sim_flow *f, uint64_t now, const struct plait_sim_ack *ack)
{
    uint32_t flight = f->pipe;

    f->limit = plait_max_u64(f->limit, ack->limit);
    if ((int32_t)(ack->log - f->log_seen) <= 0)
        return;
    uint32_t delivered = take_log(f, now, ack->log);

    if ((int32_t)(ack->next - f->una) > 0) {
        advance(f, ack->next);
        f->backoff = 0;
    }
    if (f->state != PLAIT_SIM_FLOW_OPEN && (int32_t)(f->una - f->recover) >= 0)
        leave_state(f);
    uint64_t again = detect_losses(f, now);

    if (f->lost > 0 && f->state == PLAIT_SIM_FLOW_OPEN)
        enter_recovery(f, flight);
    if (f->cc.kind == PLAIT_SIM_CC_BBR)
        run_bbr(f, now, delivered, flight);
    else if (f->state == PLAIT_SIM_FLOW_RECOVERY)
        reduce(f, delivered);
    else
        grow_window(f, now, delivered);
    f->probed = false;
    f->unarmed = true;
    f->timer = PLAIT_SIM_TIMER_NONE;
    f->deadline = again;
    if (again != PLAIT_NEVER)
        f->timer = PLAIT_SIM_TIMER_REORDER;
}

/* ---- timers ---- */

void plait_sim_flow_arm(struct plait_sim_flow *f, uint64_t now)
{
    if (f->una == f->nxt) {
        f->timer = PLAIT_SIM_TIMER_NONE;
        f->deadline = PLAIT_NEVER;
        return;
    }
    if (f->timer == PLAIT_SIM_TIMER_REORDER || !f->unarmed)
        return;
    uint64_t rto = current_rto(f);

    f->unarmed = false;
    f->timer = PLAIT_SIM_TIMER_RTO;
    f->deadline = now + rto;
    if (f->state != PLAIT_SIM_FLOW_OPEN || f->sacked > 0 || f->srtt == 0 || f->backoff > 0 || f->probed)
        return;
    uint64_t wait = 2 * f->srtt + (f->pipe == 1 ? f->config->rto_min_ns : CLOCK_STEP_NS);

    if (wait < rto) {
        f->timer = PLAIT_SIM_TIMER_PROBE;
        f->deadline = now + wait;
    }
}

static void time_out(struct plait_sim_flow *f)
{
    plait_sim_bbr_on_timeout(&f->bbr);
    plait_sim_cc_on_timeout(&f->cc, f->state != PLAIT_SIM_FLOW_OPEN);
    f->state = PLAIT_SIM_FLOW_LOSS;
    f->recover = f->nxt;
    while (f->head != NONE)
        mark_lost(f, f->head);
    f->timeouts++;
    f->backoff++;
    f->dead = f->backoff > TIMEOUTS_MAX;
}

void plait_sim_flow_on_deadline(struct plait_sim_flow *f, uint64_t now)
{
    enum plait_sim_flow_timer timer = f->timer;
    uint32_t flight = f->pipe;

    f->unarmed = true;
    f->timer = PLAIT_SIM_TIMER_NONE;
    f->deadline = PLAIT_NEVER;
    if (timer == PLAIT_SIM_TIMER_RTO) {
        time_out(f);
    } else if (timer == PLAIT_SIM_TIMER_PROBE) {
        f->probing = true;
    } else if (timer == PLAIT_SIM_TIMER_REORDER) {
        uint64_t again = detect_losses(f, now);
        if (f->lost > 0 && f->state == PLAIT_SIM_FLOW_OPEN) {
            enter_recovery(f, flight);
            if (f->cc.kind != PLAIT_SIM_CC_BBR)
                reduce(f, 0);
        }
        if (again != PLAIT_NEVER) {
            f->timer = PLAIT_SIM_TIMER_REORDER;
            f->deadline = again;
        }
    }
}

/* ---- receiving ---- */

uint64_t plait_sim_flow_receive(struct plait_sim_flow *f, uint64_t now, const struct plait_sim_segment *s)
{
    uint64_t before = f->received;

    if ((int32_t)(s->id - f->want) < 0 || (seg(f, s->id)->flags & SEG_RECEIVED)) {
        f->ack_at = now; /* a duplicate says that an acknowledgement was lost */
        return 0;
    }
    bool gap = s->id != f->want;

    seg(f, s->id)->flags |= SEG_RECEIVED;
    f->log[f->log_n++ & (f->room - 1)] = s->id;
    if ((int32_t)(s->id + 1 - f->received_high) > 0)
        f->received_high = s->id + 1;
    while (f->want != f->received_high && (seg(f, f->want)->flags & SEG_RECEIVED)) {
        f->received += seg(f, f->want)->len;
        f->eof |= seg(f, f->want)->fin;
        f->want++;
    }
    f->unacked++;
    if (gap || f->want != f->received_high || f->want != s->id + 1 || f->unacked >= 2 ||
        f->want <= QUICK_ACKS)
        f->ack_at = now;
    else
        f->ack_at = plait_min_u64(f->ack_at, now + f->config->ack_delay_ns);
    return f->received - before;
}

void plait_sim_flow_take_ack(struct plait_sim_flow *f, struct plait_sim_ack *ack)
{
    *ack = (struct plait_sim_ack){.next = f->want, .log = f->log_n, .limit = f->received + f->config->window};
    f->unacked = 0;
    f->ack_at = PLAIT_NEVER;
}
