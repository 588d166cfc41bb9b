/*
 * The table of named scenarios of the community: terminals whose tunnels meet on the lines of a LAN, and what each of
 * them has to get, as data.
 */
#ifndef PLAIT_TEST_VILLAGE_SCENARIOS_H
#define PLAIT_TEST_VILLAGE_SCENARIOS_H

#include "sim_village.h"

struct village_scenario {
    const char *name;
    struct plait_sim_village_row row;

    /* expected; 0 = nothing is expected. Of the second half, and of terminals whose first flow is TCP. */
    double ratio;      /* most that the greatest may get, in parts of what the least gets */
    double own;        /* least part of what a terminal's own line gives it alone, for each that has one */
    double all;        /* least part of what TCP would carry over all lines, together */
    double most;       /* and the greatest such part */
    double ping_ms;    /* most that the 95th percentile of a ping may be */
    double silence_ms; /* longest time in which one of them may get nothing */
    double queue_ms;   /* most that may stand before any line */
};

extern const struct village_scenario village_scenarios[];
extern const unsigned village_scenario_count;

/* Runs it. Returns false, with the reason in `why`, if it did not do what is expected. `story` may be NULL. */
bool village_scenario_check(const struct village_scenario *s, const struct plait_sim_tunnel_story *story,
                            struct plait_sim_village_result *out, char *why, size_t why_size);

#endif
