/*
 * Congestion control of the simulated TCP, in segments: Reno (RFC 5681) or CUBIC (RFC 9438), with the delay
 * part of HyStart (Ha, Rhee 2011; RFC 9406) as an option; BBR is in sim_bbr.h. Loss detection is not here
 * (sim_flow.h).
 */
#ifndef PLAIT_SIM_CC_H
#define PLAIT_SIM_CC_H

#include <stdbool.h>
#include <stdint.h>

enum plait_sim_cc_kind { PLAIT_SIM_CC_CUBIC, PLAIT_SIM_CC_RENO, PLAIT_SIM_CC_BBR };

struct plait_sim_cc {
    enum plait_sim_cc_kind kind;
    bool hystart;
    bool eager; /* CUBIC: before the first loss at least 5 % a round trip, as Linux does it */
    uint32_t initial;
    double cwnd;
    double ssthresh;
    /* CUBIC's epoch: the window grows along a cubic from here through `origin` at time k */
    uint64_t epoch_ns; /* 0 = none yet */
    double w_max, origin, k_s, w_reno;
    /* HyStart, as Linux has it: least round trip of this round and of all */
    uint64_t round_rtt, least_rtt;
    uint32_t round_samples;
};

void plait_sim_cc_init(struct plait_sim_cc *cc, enum plait_sim_cc_kind kind, bool hystart, uint32_t initial);
bool plait_sim_cc_slow_start(const struct plait_sim_cc *cc);
/* `acked` segments were delivered while the window was what limited the sender. */
void plait_sim_cc_on_ack(struct plait_sim_cc *cc, uint64_t now, uint32_t acked, uint64_t min_rtt);
/* A round trip was measured; `new_round` says that the data sent at the last round's end has been
 * acknowledged. */
void plait_sim_cc_on_rtt(struct plait_sim_cc *cc, uint64_t rtt, bool new_round);
/* A loss was found: sets ssthresh; the recovery algorithm brings the window down to it. */
void plait_sim_cc_on_loss(struct plait_sim_cc *cc);
/* The retransmission timer fired: one segment, and slow start from there. `again`: not the first in a row. */
void plait_sim_cc_on_timeout(struct plait_sim_cc *cc, bool again);
/* Sending starts again after `idle` of silence: half the window for each timeout's worth of it (RFC
 * 5681, 4.1). */
void plait_sim_cc_on_restart(struct plait_sim_cc *cc, uint64_t idle, uint64_t rto);

#endif
