/*
 * The table of named scenarios: what a fetch has to do on which links with which servers, as data.
 */
#ifndef PLAIT_TEST_FETCH_SCENARIOS_H
#define PLAIT_TEST_FETCH_SCENARIOS_H

#include "sim_fetch.h"

struct fetch_scenario {
    const char *name;
    struct plait_sim_row row;
    struct plait_sim_fetch_config config;

    /* expected; 0 = nothing is expected */
    enum plait_fetch_fail fail; /* and, if it is not to fail: everything is there, true, once and in order */
    double share;               /* least part of the fluid bound */
    int alone;                  /* a way, counted from 1: */
    double alone_share;         /* at least this part of the speed of a fetch over that way alone */
    double dup_percent;         /* most bytes that may come twice; 0 = DUP_PERCENT and a little */
    double twice_percent;       /* at least so many are to come twice */
    double seconds;             /* most time that it may take */
    double late_seconds;        /* longest time that a byte of a live stream was waited for */
    double stall_seconds;       /* longest time without a byte */
    double repattern_seconds;   /* by then a source that fell behind has given up blocks */
    int used;                   /* a way, counted from 1: */
    double used_seconds;        /* by then bytes have come over it */
    bool in_time;               /* no source is told anything too late */
    uint32_t condemned;         /* bits of the servers that are to be dropped: these and no others */
};

extern const struct fetch_scenario fetch_scenarios[];
extern const unsigned fetch_scenario_count;

/* How much of what happens is to be told. */
struct fetch_story {
    FILE *to; /* borrows */
    bool commands, packets;
};

/* Runs it. Returns false, with the reason in `why`, if it did not do what is expected. `story` may be NULL.
 */
bool fetch_scenario_check(const struct fetch_scenario *s, const struct fetch_story *story,
                          struct plait_sim_fetch_result *out, char *why, size_t why_size);
/* The part of the fluid bound that was reached; 0 if it failed. */
double fetch_share(const struct plait_sim_fetch_result *r);

#endif
