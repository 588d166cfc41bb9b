#include "sim_cc.h"

#include "units.h"

#define CUBIC_C       0.4
#define CUBIC_BETA    0.7
#define RENO_BETA     0.5
#define HYSTART_LEAST 16 /* segments of window below which slow start is not left early */
#define HYSTART_SEEN  8  /* samples of a round before its least means something */

/* Cube root by Newton, a fixed number of steps: the same bits on every compiler and libm. */
static double cube_root(double v)
{
    double x = v > 1 ? v : 1;

    if (v <= 0)
        return 0;
    for (int i = 0; i < 60; i++)
        x = x - (x - v / (x * x)) / 3;
    return x;
}

void plait_sim_cc_init(struct plait_sim_cc *cc, enum plait_sim_cc_kind kind, bool hystart, uint32_t initial)
{
    *cc = (struct plait_sim_cc){.kind = kind, .hystart = hystart, .initial = initial};
    cc->cwnd = initial;
    cc->ssthresh = 1e9;
    cc->round_rtt = cc->least_rtt = PLAIT_NEVER;
}

bool plait_sim_cc_slow_start(const struct plait_sim_cc *cc)
{
    return cc->cwnd < cc->ssthresh;
}

static void begin_epoch(struct plait_sim_cc *cc, uint64_t now)
{
    cc->epoch_ns = plait_max_u64(now, 1);
    cc->origin = plait_max_d(cc->w_max, cc->cwnd);
    cc->k_s = cube_root((cc->origin - cc->cwnd) / CUBIC_C);
    cc->w_reno = cc->cwnd;
}

static void grow_cubic(struct plait_sim_cc *cc, uint64_t now, uint32_t acked, uint64_t min_rtt)
{
    if (cc->epoch_ns == 0)
        begin_epoch(cc, now);
    double t = plait_to_s(now - cc->epoch_ns + min_rtt) - cc->k_s;
    double target = cc->origin + CUBIC_C * t * t * t, before = cc->cwnd;

    if (target > 1.5 * cc->cwnd)
        target = 1.5 * cc->cwnd;
    cc->w_reno += 3 * (1 - CUBIC_BETA) / (1 + CUBIC_BETA) * acked / cc->cwnd;
    if (target > cc->cwnd)
        cc->cwnd += (target - cc->cwnd) / cc->cwnd * acked;
    if (cc->eager && cc->w_max <= 0)
        cc->cwnd = plait_max_d(cc->cwnd, before + acked / 20.0);
    cc->cwnd = plait_max_d(cc->cwnd, cc->w_reno);
}

void plait_sim_cc_on_ack(struct plait_sim_cc *cc, uint64_t now, uint32_t acked, uint64_t min_rtt)
{
    if (plait_sim_cc_slow_start(cc))
        cc->cwnd += acked;
    else if (cc->kind == PLAIT_SIM_CC_CUBIC)
        grow_cubic(cc, now, acked, min_rtt);
    else
        cc->cwnd += acked / cc->cwnd;
}

void plait_sim_cc_on_rtt(struct plait_sim_cc *cc, uint64_t rtt, bool new_round)
{
    if (new_round) {
        cc->round_rtt = PLAIT_NEVER;
        cc->round_samples = 0;
    }
    cc->round_samples++;
    cc->round_rtt = plait_min_u64(cc->round_rtt, rtt);
    cc->least_rtt = plait_min_u64(cc->least_rtt, rtt);
    if (!cc->hystart || !plait_sim_cc_slow_start(cc) || cc->cwnd < HYSTART_LEAST)
        return;
    if (cc->round_samples < HYSTART_SEEN)
        return;
    if (cc->round_rtt > cc->least_rtt + plait_clamp_u64(cc->least_rtt / 8, 4 * PLAIT_MS, 16 * PLAIT_MS))
        cc->ssthresh = cc->cwnd;
}

void plait_sim_cc_on_loss(struct plait_sim_cc *cc)
{
    double beta = cc->kind == PLAIT_SIM_CC_CUBIC ? CUBIC_BETA : RENO_BETA;

    cc->w_max = cc->cwnd < cc->w_max ? cc->cwnd * (1 + CUBIC_BETA) / 2 : cc->cwnd;
    cc->ssthresh = plait_max_d(cc->cwnd * beta, 2);
    cc->epoch_ns = 0;
}

void plait_sim_cc_on_timeout(struct plait_sim_cc *cc, bool again)
{
    if (!again)
        plait_sim_cc_on_loss(cc);
    cc->cwnd = 1;
    cc->epoch_ns = 0;
}

void plait_sim_cc_on_restart(struct plait_sim_cc *cc, uint64_t idle, uint64_t rto)
{
    double least = cc->initial;

    cc->ssthresh = plait_max_d(cc->ssthresh, cc->cwnd * 3 / 4);
    for (; idle > rto && cc->cwnd > least; idle -= rto)
        cc->cwnd = plait_max_d(cc->cwnd / 2, least);
    cc->epoch_ns = 0;
}
