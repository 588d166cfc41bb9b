/*
 * Reports of what arrived: written for the peer, and read from it.
 *
 * One FEEDBACK tells of all paths. It leaves a few milliseconds after data came, at once after a loss, and by
 * turns on the two paths that bring it soonest, so that the death of one hides nothing. On a narrow way back it
 * leaves less often: it takes at most a thirtieth of it.
 */
#include "bond_int.h"

#define INTERVAL_MIN   (4 * PLAIT_MS)
#define INTERVAL_MAX   (20 * PLAIT_MS)
#define INTERVAL_SLOW  (500 * PLAIT_MS) /* for what is not data */
#define URGENT_NS      PLAIT_MS
#define FEEDBACK_BYTES 180.0
#define FEEDBACK_SHARE 0.033
#define RTT_SPAN_NS    (10 * PLAIT_S)
#define TARGET_NS      (5 * PLAIT_MS)
#define LOSSY          0.002 /* of a path on which repairs, a round trip each, are usual */
#define GROWING_NS     (150 * PLAIT_MS)
#define EVEN_FROM      1.2 /* times the least round trip, the longest: the paths are that unequal */
#define EVEN_MARGIN    (25 * PLAIT_MS) /* what waits at the entrance besides */
#define EVEN_WHOLE     (20 * PLAIT_MS) /* a difference so small is made up for entirely */
#define EVEN_SHARE     0.15
#define TARGET_PART    1.0
#define TARGET_MORE    (80 * PLAIT_MS)

/* ---- telling ---- */

static uint64_t least_rtt(const struct plait_bond *b)
{
    uint64_t rtt = PLAIT_NEVER;

    for (unsigned i = 0; i < b->paths_end; i++)
        if (plait_path_carries(&b->paths[i]))
            rtt = plait_min_u64(rtt, b->paths[i].rtt_min_ns);
    return rtt;
}

static int best_way(struct plait_bond *b, uint64_t now, int not )
{
    return plait_schedule_best(b, now, FEEDBACK_BYTES, not );
}

/* The best way, or in turn the second one, unless that is much longer. −1: none carries; then any that exists. */
static int choose_way(struct plait_bond *b, uint64_t now)
{
    int first = best_way(b, now, -1);

    if (first < 0) {
        for (unsigned i = 0; i < b->paths_end; i++) {
            unsigned at = (b->feedback_turn + i) % b->paths_end;
            if (plait_path_exists(&b->paths[at]))
                return (int)at;
        }
        return -1;
    }
    int second = b->feedback_turn % 2 == 1 ? best_way(b, now, first) : -1;

    if (second >= 0 &&
        plait_path_arrival(&b->paths[second], now, FEEDBACK_BYTES) >
            plait_path_arrival(&b->paths[first], now, FEEDBACK_BYTES) + (int64_t)PLAIT_BOND_SPREAD_NS)
        second = -1;
    return second >= 0 ? second : first;
}

static uint64_t interval_ns(struct plait_bond *b, uint64_t now)
{
    int way = best_way(b, now, -1);
    uint64_t interval = plait_clamp_u64(least_rtt(b) / 4, INTERVAL_MIN, INTERVAL_MAX);

    if (way < 0)
        return INTERVAL_MAX;
    uint64_t narrow = plait_time_to_carry(FEEDBACK_BYTES / FEEDBACK_SHARE, b->paths[way].rate.rate);
    return plait_max_u64(interval, plait_min_u64(narrow, 5 * INTERVAL_MAX));
}

void plait_feedback_want(struct plait_bond *b, uint64_t now, const struct plait_datagram *d,
                         const struct plait_path *p)
{
    uint64_t at = now + INTERVAL_SLOW;

    if (p->arrivals.tell_now || (d->flags & PLAIT_DATAGRAM_ASKS))
        at = plait_max_u64(now, b->feedback_last + URGENT_NS);
    else if (d->kind == PLAIT_DATAGRAM_DATA || d->kind == PLAIT_DATAGRAM_PROBE)
        at = plait_max_u64(now, b->feedback_last + interval_ns(b, now));
    b->feedback_at = plait_min_u64(b->feedback_at, at);
}

bool plait_feedback_poll(struct plait_bond *b, uint64_t now, struct plait_bond_datagram *out)
{
    uint8_t *body = b->out + PLAIT_DATAGRAM_COMMON_BYTES;
    size_t used = 0;
    int way;

    if (b->feedback_at > now || (way = choose_way(b, now)) < 0)
        return false;
    for (unsigned i = 0; i < b->paths_end; i++) {
        struct plait_datagram_report r;
        if (!b->paths[i].arrivals.tell)
            continue;
        plait_arrivals_report(&b->paths[i].arrivals, (uint8_t)i, &r);
        if (plait_datagram_report_append(body, PLAIT_BOND_CONTROL_MAX, &used, &r) != PLAIT_OK)
            break;
    }
    b->feedback_at = PLAIT_NEVER;
    b->feedback_last = now;
    b->feedback_turn++;
    if (used == 0)
        return false;
    struct plait_datagram d = {.kind = PLAIT_DATAGRAM_FEEDBACK};

    plait_path_send(b, now, (unsigned)way, &d, NULL, used, 0, out);
    return true;
}

/* ---- hearing ---- */

static void measure_rtt(struct plait_path *p, uint64_t now, uint64_t rtt, bool same_path)
{
    if (plait_since(now, p->rtt_since) > RTT_SPAN_NS) { /* what was least long ago may be no longer */
        p->rtt_min_ns += p->rtt_min_ns == PLAIT_NEVER ? 0 : p->rtt_min_ns / 16;
        p->loop_ns += p->loop_ns == PLAIT_NEVER ? 0 : p->loop_ns / 16;
        p->rtt_since = now;
    }
    p->loop_ns = plait_min_u64(p->loop_ns, rtt);
    p->rate.rtt_ns = p->loop_ns;
    if (!same_path)
        return;
    p->rtt_min_ns = plait_min_u64(p->rtt_min_ns, rtt);
    p->srtt_ns = p->srtt_ns == 0 ? rtt : (7 * p->srtt_ns + rtt) / 8;
}

static void measure_ack(struct plait_path *p, uint64_t took)
{
    if (p->ack_ns == PLAIT_S && p->ack_dev_ns == 0) {
        p->ack_ns = took;
        p->ack_dev_ns = took / 4;
        return;
    }
    uint64_t off = took > p->ack_ns ? took - p->ack_ns : p->ack_ns - took;

    p->ack_dev_ns = (3 * p->ack_dev_ns + off) / 4;
    p->ack_ns = (7 * p->ack_ns + took) / 8;
}

static int64_t signed_delay(const struct plait_path *p, uint32_t value)
{
    uint64_t zero = UINT64_C(1) << 40;
    uint64_t near = zero + (uint64_t)(p->delay_ns / (int64_t)PLAIT_DATAGRAM_TIME_NS);

    return ((int64_t)plait_datagram_unwrap(near, value, PLAIT_DATAGRAM_SEQ_BITS) - (int64_t)zero) *
           (int64_t)PLAIT_DATAGRAM_TIME_NS;
}

/* Something newer has arrived than was known: what does it say of the path? */
static void measure(struct plait_path *p, uint64_t now, const struct plait_datagram_report *r,
                    const struct plait_entry *newest)
{
    uint64_t bytes = plait_datagram_unwrap(p->reported_bytes, r->bytes, 32);
    int64_t least = signed_delay(p, r->delay_min), mean = signed_delay(p, r->delay_mean);

    p->reported_arrival = plait_datagram_unwrap(p->reported_arrival, r->arrival, PLAIT_DATAGRAM_SEQ_BITS);
    p->reported_bytes = bytes;
    p->reported_packets = plait_datagram_unwrap(p->reported_packets, r->packets, PLAIT_DATAGRAM_SEQ_BITS);
    if (p->reported_at == 0) {
        p->delay_ns = mean;
    } else {
        p->delay_ns += (mean - p->delay_ns) / 4;
        p->spread_ns = (7 * p->spread_ns + (uint64_t)(mean > least ? mean - least : 0)) / 8;
    }
    p->reported_at = now;
    struct plait_rate_sample s = {
        .arrival_ns = p->reported_arrival * PLAIT_DATAGRAM_TIME_NS,
        .sent_ns = newest->sent_ns,
        .sent = newest->sent,
        .arrived = (double)bytes + (double)p->reported_packets * p->config.overhead,
        .delay_ns = least,
        .spread_ns = (uint64_t)(mean > least ? mean - least : 0),
    };
    double pace = plait_rate_pace(&p->rate);

    plait_rate_on_sample(&p->rate, now, &s, p->sent);
    if (p->seat.line != NULL)
        plait_seat_measure(p, now, &s, newest);
    plait_path_repace(p, now, pace);
}

static bool is_lost(const struct plait_datagram_report *r, uint64_t seq)
{
    for (unsigned i = 0; i < r->ranges_n; i++)
        if (((seq - r->range[i].first) & 0xffffff) < r->range[i].count)
            return true;
    return false;
}

static void decide(struct plait_bond *b, uint64_t now, struct plait_path *p,
                   const struct plait_datagram_report *r, uint64_t upto)
{
    for (; p->decided < upto; p->decided++) {
        struct plait_entry *e = plait_path_entry(p, p->decided);
        if (r->ranges_n > 0 && is_lost(r, p->decided)) {
            p->lost_packets++;
            plait_repair_lost(b, now, p, e);
        } else if (e->packet != NULL) {
            e->packet->flags |= PLAIT_PACKET_ARRIVED;
        }
        plait_path_settle(b, p, e);
    }
    p->oldest = plait_max_u64(p->oldest, p->decided);
}

static void on_report(struct plait_bond *b, uint64_t now, const struct plait_datagram *d,
                      const struct plait_datagram_report *r, bool same_path)
{
    struct plait_path *p = &b->paths[r->path];

    if (!plait_path_exists(p) || p->seq_next == 0)
        return;
    uint64_t newest = plait_datagram_unwrap(p->seq_next, r->newest, PLAIT_DATAGRAM_SEQ_BITS);
    uint64_t decided = plait_datagram_unwrap(p->seq_next, r->decided, PLAIT_DATAGRAM_SEQ_BITS);

    if (newest >= p->seq_next || decided > newest + 1)
        return; /* of another life of the path, or nonsense */
    if (newest >= p->newest && newest >= p->decided) {
        const struct plait_entry *e = plait_path_entry(p, newest);
        uint64_t took = plait_since(now, e->sent_ns);
        uint64_t dwelt = ((d->time - r->arrival) & 0xffffff) * (uint64_t)PLAIT_DATAGRAM_TIME_NS;
        uint64_t rtt = plait_since(took, dwelt);
        p->newest = newest + 1;
        if (plait_path_may_return(b, now, p, rtt)) {
            measure_rtt(p, now, rtt, same_path);
            if (e->flags & PLAIT_ENTRY_PROMPT)
                measure_ack(p, took);
            plait_repair_progress(b, now, p);
            measure(p, now, r, e);
        }
    }
    decide(b, now, p, r, decided);
}

/* One flow's TCP halves its window, or nearly, when CoDel drops: so that the paths stay busy meanwhile, as much has
 * to wait as is on the longest of them, or nearly (doc/tunnel.md, "The queue"). */
static void set_target(struct plait_bond *b)
{
    uint64_t longest = 0, least = least_rtt(b);
    bool growing = false; /* what a path carries is not known yet: a queue is not the traffic's fault */

    for (unsigned i = 0; i < b->paths_end; i++) {
        const struct plait_path *p = &b->paths[i];
        if (!plait_path_carries(p) || p->rtt_min_ns >= least + 2 * PLAIT_BOND_SPREAD_NS)
            continue;
        longest = plait_max_u64(longest, p->rtt_min_ns + (p->rate.loss_base > LOSSY ? p->loop_ns : 0));
        growing |=
            p->rate.limited && !p->rate.ceiling && (p->rate.rate_max <= 0 || p->rate.rate < p->rate.rate_max);
    }
    b->queue.target_ns = TARGET_NS + plait_min_u64((uint64_t)((double)longest * TARGET_PART), TARGET_MORE);
    if (growing)
        b->queue.target_ns += GROWING_NS;
}

/* A flow over paths of unequal delay has the round trip of the longest, but remembers the least it has seen: with
 * BBR, whose window is twice that, it would never fill them. So TCP always waits a little, where the paths are
 * that unequal: its least round trip is then more than half of the greatest, and where they differ by little there is no
 * rise that ends a slow start (HyStart) before the longer path is used. */
static void set_even(struct plait_bond *b)
{
    uint64_t least = PLAIT_NEVER, longest = 0;
    double sum = 0;

    for (unsigned i = 0; i < b->paths_end; i++) {
        const struct plait_path *p = &b->paths[i];
        if (!plait_path_carries(p) || p->config.backup)
            continue;
        least = plait_min_u64(least, p->loop_ns);
        sum += p->rate.rate;
    }
    for (unsigned i = 0; i < b->paths_end; i++) {
        const struct plait_path *p = &b->paths[i];
        if (plait_path_carries(p) && !p->config.backup && p->loop_ns < least + PLAIT_BOND_SPREAD_NS &&
            p->rate.rate > EVEN_SHARE * sum)
            longest = plait_max_u64(longest, p->loop_ns);
    }
    bool uneven = !b->config.no_even && (double)longest > EVEN_FROM * (double)least;

    uint64_t wait = plait_max_u64(plait_since((longest + EVEN_MARGIN) / 2, least),
                                  plait_min_u64(plait_since(longest, least), EVEN_WHOLE));

    b->even_ns = uneven ? wait : 0;
}

void plait_feedback_recv(struct plait_bond *b, uint64_t now, unsigned path, const struct plait_datagram *d)
{
    struct plait_datagram_report r;
    size_t at = 0;

    while (plait_datagram_report_next(d->body, d->body_len, &at, &r) == PLAIT_OK)
        if (r.path < b->paths_end)
            on_report(b, now, d, &r, r.path == path);
    set_target(b);
    set_even(b);
    plait_seat_judge(b, now);
}
