/*
 * The table of named scenarios of the tunnel: which traffic on which uplinks has to come through how well, as data.
 */
#ifndef PLAIT_TEST_TUNNEL_SCENARIOS_H
#define PLAIT_TEST_TUNNEL_SCENARIOS_H

#include "sim_tunnel.h"

struct tunnel_scenario {
    const char *name;
    struct plait_sim_tunnel_row row;

    /* expected; 0 = nothing is expected */
    double share;      /* least part of the payload that TCP would carry over all lines, by the first flow */
    double share_late; /* the same of the second half of its time */
    double alone;      /* least part of what the first flow gets over the best single uplink alone */
    double ping_ms;    /* most that the 95th percentile of the pings may be above the least of all */
    double silence_ms; /* longest silence of the last flow in the table that is UDP */
    int lost;          /* most packets of that flow that may be lost; −1 = none */
    int disorder;      /* most that may come out of order; −1 = none */
    double udp_part;   /* least part of its packets that must arrive */
    double waiting;    /* most of its packets that may wait for their reader */
    double split
        [PLAIT_SIM_UPLINKS_MAX]; /* parts of the sent bytes that go on each uplink, to 0.05; first 0 = any */
};

extern const struct tunnel_scenario tunnel_scenarios[];
extern const unsigned tunnel_scenario_count;

/* Runs it. Returns false, with the reason in `why`, if it did not do what is expected. `story` may be NULL. */
bool tunnel_scenario_check(const struct tunnel_scenario *s, const struct plait_sim_tunnel_story *story,
                           struct plait_sim_tunnel_result *out, char *why, size_t why_size);
/* What holds of every run, whatever the row: false, with the reason in `why`, where it does not. */
bool tunnel_invariants(const struct plait_sim_tunnel_row *row, const struct plait_sim_tunnel_result *r,
                       char *why, size_t why_size);

#endif
