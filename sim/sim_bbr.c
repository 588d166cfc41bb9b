#include "sim_bbr.h"

#include "units.h"

#define HIGH_GAIN    2.885
#define CWND_GAIN    2.0
#define CWND_MIN     4.0
#define BW_ROUNDS    10
#define FULL_GROWTH  1.25
#define FULL_ROUNDS  3
#define MIN_RTT_NS   (10 * PLAIT_S)
#define PROBE_RTT_NS (200 * PLAIT_MS)
#define MARGIN       0.99
#define CYCLE        8
#define EXTRA_ROUNDS 5
#define EXTRA_MAX_S  0.1
#define MSS          1448.0
#define QUANTA       3

void plait_sim_bbr_init(struct plait_sim_bbr *b, uint32_t initial)
{
    *b = (struct plait_sim_bbr){.initial = initial,
                                .cwnd = initial,
                                .min_rtt_ns = PLAIT_NEVER,
                                .pacing_gain = HIGH_GAIN,
                                .cwnd_gain = HIGH_GAIN,
                                .pacing_rate = HIGH_GAIN * initial / 0.001};
}

/* ---- rate ---- */

static double bandwidth(const struct plait_sim_bbr *b)
{
    return b->bw[0];
}

static void keep(struct plait_sim_bbr *b, int i, uint64_t round, double bw)
{
    for (int k = i; k < 3; k++) {
        b->bw[k] = bw;
        b->bw_round[k] = round;
    }
}

/* The greatest of ten rounds, kept as the three best of parts of them (Nichols' windowed maximum). */
static void max_filter(struct plait_sim_bbr *b, double bw)
{
    uint64_t at = b->round;

    if (bw >= b->bw[0] || at - b->bw_round[2] > BW_ROUNDS) {
        keep(b, 0, at, bw);
        return;
    }
    if (bw >= b->bw[1])
        keep(b, 1, at, bw);
    else if (bw >= b->bw[2])
        keep(b, 2, at, bw);
    if (at - b->bw_round[0] > BW_ROUNDS) {
        b->bw[0] = b->bw[1], b->bw_round[0] = b->bw_round[1];
        b->bw[1] = b->bw[2], b->bw_round[1] = b->bw_round[2];
        keep(b, 2, at, bw);
    } else if (b->bw_round[1] == b->bw_round[0] && at - b->bw_round[0] > BW_ROUNDS / 4) {
        keep(b, 1, at, bw);
    } else if (b->bw_round[2] == b->bw_round[1] && at - b->bw_round[0] > BW_ROUNDS / 2) {
        keep(b, 2, at, bw);
    }
}

static void update_bandwidth(struct plait_sim_bbr *b, const struct plait_sim_bbr_sample *s)
{
    b->round_start = false;
    if (s->interval_ns == 0)
        return;
    if (s->prior >= b->round_delivered) {
        b->round_delivered = s->delivered;
        b->round++;
        b->round_start = true;
        b->conserving = false;
    }
    double bw = (double)(s->delivered - s->prior) / plait_to_s(s->interval_ns);

    if (!s->app_limited || bw >= bandwidth(b))
        max_filter(b, bw);
}

static void update_extra(struct plait_sim_bbr *b, uint64_t now, const struct plait_sim_bbr_sample *s)
{
    if (s->acked == 0)
        return;
    if (b->round_start && ++b->extra_rounds >= EXTRA_ROUNDS) {
        b->extra_rounds = 0;
        b->extra_at ^= 1;
        b->extra[b->extra_at] = 0;
    }
    double expected = bandwidth(b) * plait_to_s(now - b->epoch_ns);

    if (b->epoch_acked <= expected) {
        b->epoch_acked = expected = 0;
        b->epoch_ns = now;
    }
    b->epoch_acked += s->acked;
    double extra = plait_min_d(b->epoch_acked - expected, b->cwnd);

    b->extra[b->extra_at] = plait_max_d(b->extra[b->extra_at], extra);
}

/* ---- the model's bounds ---- */

static double bdp(const struct plait_sim_bbr *b, double gain)
{
    if (b->min_rtt_ns == PLAIT_NEVER)
        return b->initial;
    return gain * bandwidth(b) * plait_to_s(b->min_rtt_ns);
}

static double quantum(const struct plait_sim_bbr *b)
{
    double segments = b->pacing_rate / 1024;

    return segments > 2 ? plait_min_d(segments, 44) : 2;
}

static double target(const struct plait_sim_bbr *b, double gain)
{
    double cwnd = bdp(b, gain) + QUANTA * quantum(b);

    return b->mode == PLAIT_SIM_BBR_BW && b->cycle == 0 ? cwnd + 2 : cwnd;
}

/* ---- modes ---- */

static double cycle_gain(uint32_t cycle)
{
    return cycle == 0 ? 1.25 : cycle == 1 ? 0.75 : 1;
}

static void enter_bw(struct plait_sim_bbr *b, uint64_t now)
{
    b->mode = PLAIT_SIM_BBR_BW;
    b->cycle = 2 + (uint32_t)(b->round % 6);
    b->cycle_at = now;
}

static void advance_cycle(struct plait_sim_bbr *b, uint64_t now, const struct plait_sim_bbr_sample *s)
{
    bool whole = now - b->cycle_at > b->min_rtt_ns;
    double gain = cycle_gain(b->cycle);

    if (b->mode != PLAIT_SIM_BBR_BW)
        return;
    if (gain > 1)
        whole = whole && (s->lost > 0 || s->inflight >= target(b, gain));
    else if (gain < 1)
        whole = whole || s->inflight <= target(b, 1);
    if (!whole)
        return;
    b->cycle = (b->cycle + 1) % CYCLE;
    b->cycle_at = now;
}

static void check_full(struct plait_sim_bbr *b, const struct plait_sim_bbr_sample *s)
{
    if (b->full || !b->round_start || s->app_limited)
        return;
    if (bandwidth(b) >= b->full_bw * FULL_GROWTH) {
        b->full_bw = bandwidth(b);
        b->full_count = 0;
        return;
    }
    b->full = ++b->full_count >= FULL_ROUNDS;
}

static void check_drain(struct plait_sim_bbr *b, uint64_t now, const struct plait_sim_bbr_sample *s)
{
    if (b->mode == PLAIT_SIM_BBR_STARTUP && b->full)
        b->mode = PLAIT_SIM_BBR_DRAIN;
    if (b->mode == PLAIT_SIM_BBR_DRAIN && s->pipe <= target(b, 1))
        enter_bw(b, now);
}

static void save_cwnd(struct plait_sim_bbr *b)
{
    if (!b->recovering && b->mode != PLAIT_SIM_BBR_RTT)
        b->cwnd_before = b->cwnd;
    else
        b->cwnd_before = plait_max_d(b->cwnd_before, b->cwnd);
}

static void update_min_rtt(struct plait_sim_bbr *b, uint64_t now, const struct plait_sim_bbr_sample *s)
{
    bool expired = now > b->min_rtt_at + MIN_RTT_NS;

    if (s->rtt_ns > 0 && (s->rtt_ns <= b->min_rtt_ns || (expired && !s->late_ack))) {
        b->min_rtt_ns = s->rtt_ns;
        b->min_rtt_at = now;
    }
    if (expired && b->mode != PLAIT_SIM_BBR_RTT) {
        save_cwnd(b);
        b->mode = PLAIT_SIM_BBR_RTT;
        b->probe_done_at = 0;
    }
    if (b->mode != PLAIT_SIM_BBR_RTT)
        return;
    if (b->probe_done_at == 0 && s->pipe <= CWND_MIN) {
        b->probe_done_at = now + PROBE_RTT_NS;
        b->probe_round_done = false;
        b->round_delivered = s->delivered;
    } else if (b->probe_done_at > 0) {
        b->probe_round_done |= b->round_start;
        if (b->probe_round_done && now > b->probe_done_at) {
            b->min_rtt_at = now;
            b->cwnd = plait_max_d(b->cwnd, b->cwnd_before);
            if (b->full)
                enter_bw(b, now);
            else
                b->mode = PLAIT_SIM_BBR_STARTUP;
        }
    }
}

static void set_gains(struct plait_sim_bbr *b)
{
    switch (b->mode) {
    case PLAIT_SIM_BBR_STARTUP:
        b->pacing_gain = b->cwnd_gain = HIGH_GAIN;
        break;
    case PLAIT_SIM_BBR_DRAIN:
        b->pacing_gain = 1 / HIGH_GAIN;
        b->cwnd_gain = HIGH_GAIN;
        break;
    case PLAIT_SIM_BBR_BW:
        b->pacing_gain = cycle_gain(b->cycle);
        b->cwnd_gain = CWND_GAIN;
        break;
    case PLAIT_SIM_BBR_RTT:
        b->pacing_gain = b->cwnd_gain = 1;
        break;
    }
}

/* ---- window and pace ---- */

/* Returns whether the window is to stay as the recovery has set it. */
static bool recover(struct plait_sim_bbr *b, const struct plait_sim_bbr_sample *s)
{
    if (s->lost > 0)
        b->cwnd = plait_max_d(b->cwnd - s->lost, 1);
    if (s->in_recovery && !b->recovering) {
        save_cwnd(b);
        b->recovering = b->conserving = true;
        b->round_delivered = s->delivered;
        b->cwnd = s->pipe + s->acked;
    } else if (!s->in_recovery && b->recovering) {
        b->recovering = b->conserving = false;
        b->cwnd = plait_max_d(b->cwnd, b->cwnd_before);
    }
    if (!b->conserving)
        return false;
    b->cwnd = plait_max_d(b->cwnd, s->pipe + s->acked);
    return true;
}

static void set_cwnd(struct plait_sim_bbr *b, const struct plait_sim_bbr_sample *s)
{
    if (s->acked > 0 && !recover(b, s)) {
        double most = target(b, b->cwnd_gain);
        if (b->full) {
            most += plait_min_d(plait_max_d(b->extra[0], b->extra[1]), bandwidth(b) * EXTRA_MAX_S);
            b->cwnd = plait_min_d(b->cwnd + s->acked, most);
        } else if (b->cwnd < most || s->delivered < 2 * b->initial) {
            b->cwnd += s->acked;
        }
        b->cwnd = plait_max_d(b->cwnd, CWND_MIN);
    }
    if (b->mode == PLAIT_SIM_BBR_RTT)
        b->cwnd = plait_min_d(b->cwnd, CWND_MIN);
}

void plait_sim_bbr_on_ack(struct plait_sim_bbr *b, uint64_t now, const struct plait_sim_bbr_sample *s)
{
    update_bandwidth(b, s);
    update_extra(b, now, s);
    advance_cycle(b, now, s);
    check_full(b, s);
    check_drain(b, now, s);
    update_min_rtt(b, now, s);
    set_gains(b);
    double pace = b->pacing_gain * bandwidth(b) * MARGIN;

    if (bandwidth(b) <= 0 && b->min_rtt_ns != PLAIT_NEVER)
        pace = HIGH_GAIN * b->cwnd / plait_to_s(b->min_rtt_ns);
    if (b->full || pace > b->pacing_rate || b->round <= 1)
        b->pacing_rate = pace;
    set_cwnd(b, s);
}

void plait_sim_bbr_on_timeout(struct plait_sim_bbr *b)
{
    save_cwnd(b);
    b->recovering = true;
    b->conserving = false;
    b->full_bw = 0;
    b->round_start = true;
    b->cwnd = 1;
}
