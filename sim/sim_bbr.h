/*
 * BBR, version 1, of the simulated TCP: as the BBR draft (draft-cardwell-iccrg-bbr-congestion-control-00)
 * describes it, with the allowance for aggregated acknowledgements that Linux has had since 5.0. In segments.
 * Not here: its detection of policers.
 */
#ifndef PLAIT_SIM_BBR_H
#define PLAIT_SIM_BBR_H

#include <stdbool.h>
#include <stdint.h>

enum plait_sim_bbr_mode { PLAIT_SIM_BBR_STARTUP, PLAIT_SIM_BBR_DRAIN, PLAIT_SIM_BBR_BW, PLAIT_SIM_BBR_RTT };

/* What an acknowledgement told. */
struct plait_sim_bbr_sample {
    uint64_t interval_ns; /* 0 = no sample of the rate */
    uint64_t prior;       /* delivered when the newest of the acknowledged was sent */
    uint64_t delivered;   /* now */
    uint32_t acked, lost; /* by this acknowledgement */
    uint32_t inflight;    /* before it; and after it: */
    uint32_t pipe;
    uint64_t rtt_ns, min_rtt_ns;
    bool app_limited, in_recovery, late_ack;
};

struct plait_sim_bbr {
    enum plait_sim_bbr_mode mode;
    double pacing_rate; /* segments/s */
    double cwnd, cwnd_before;
    double bw[3]; /* windowed maximum, segments/s, */
    uint64_t bw_round[3];
    uint64_t round, round_delivered;
    bool round_start, full, conserving, recovering, probe_round_done;
    double full_bw;
    uint32_t full_count;
    uint64_t min_rtt_ns, min_rtt_at;
    uint64_t probe_done_at;
    uint32_t cycle;
    uint64_t cycle_at;
    double pacing_gain, cwnd_gain;
    uint64_t epoch_ns;
    double epoch_acked, extra[2];
    uint32_t extra_at, extra_rounds;
    uint32_t initial;
};

void plait_sim_bbr_init(struct plait_sim_bbr *b, uint32_t initial);
void plait_sim_bbr_on_ack(struct plait_sim_bbr *b, uint64_t now, const struct plait_sim_bbr_sample *s);
void plait_sim_bbr_on_timeout(struct plait_sim_bbr *b);

#endif
