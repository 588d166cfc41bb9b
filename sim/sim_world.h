/*
 * A virtual network made from a row of a table: lines, servers, and the ways between the client and the
 * servers.
 *
 * Rows are written by people and by the seeds: rates in Mbit/s, times in ms, loss in percent. What a row
 * leaves out: a queue of a round trip, at least 50 ms; an upward rate like the downward one; one server for
 * each line, each a copy of the same content (PLAIT_SIM_TRUTH); a way over each line, to the server of the
 * same number or the last one.
 */
#ifndef PLAIT_SIM_WORLD_H
#define PLAIT_SIM_WORLD_H

#include "sim_fluid.h"
#include "sim_http.h"

#define PLAIT_SIM_LINES_MAX   6
#define PLAIT_SIM_SERVERS_MAX 6
#define PLAIT_SIM_WAYS_MAX    12
#define PLAIT_SIM_STEPS_MAX   4
#define PLAIT_SIM_OUTAGES_MAX 3
#define PLAIT_SIM_TRUTH       UINT64_C(1) /* the content that the stream should have */

struct plait_sim_line {
    double mbit, rtt_ms; /* mbit 0 ends the list */
    double queue_ms;     /* 0 = the default */
    double loss;         /* percent, downward */
    double jitter_ms;    /* downward */
    double up_mbit;      /* 0 = as downward */
    double up_loss;      /* percent */
    bool reorder;
    struct {
        double at_ms, mbit;
    } step[PLAIT_SIM_STEPS_MAX]; /* at_ms 0 ends the list */
    double period_ms;
    struct {
        double from_ms, to_ms;
    } outage[PLAIT_SIM_OUTAGES_MAX];             /* to_ms 0 ends the list */
    double burst_enter, burst_leave, burst_loss; /* percent: Gilbert-Elliott */
    double storm_every_ms, storm_ms, storm_loss; /* loss in percent */
};

struct plait_sim_way {
    unsigned line;   /* counted from 1; 0 ends the list */
    unsigned server; /* counted from 1 */
    unsigned shared; /* a line behind the first, counted from 1; 0 = none */
};

struct plait_sim_row {
    struct plait_sim_line line[PLAIT_SIM_LINES_MAX];
    struct plait_sim_server_config server[PLAIT_SIM_SERVERS_MAX];
    unsigned servers; /* 0 = one for each line, those of which nothing is said without faults */
    struct plait_sim_way way[PLAIT_SIM_WAYS_MAX];
    uint64_t size;
    uint64_t seed;
    enum plait_sim_cc_kind cc; /* of every sender */
};

struct plait_sim_world {
    struct plait_sim_events events;
    struct plait_sim_tcp tcp;
    struct plait_sim_link down[PLAIT_SIM_LINES_MAX], up[PLAIT_SIM_LINES_MAX];
    struct plait_sim_step steps[PLAIT_SIM_LINES_MAX][PLAIT_SIM_STEPS_MAX];
    struct plait_sim_outage outages[PLAIT_SIM_LINES_MAX][PLAIT_SIM_OUTAGES_MAX];
    unsigned lines;
    struct plait_sim_server server[PLAIT_SIM_SERVERS_MAX];
    unsigned servers;
    struct plait_sim_way way[PLAIT_SIM_WAYS_MAX];
    struct plait_sim_route route_up[PLAIT_SIM_WAYS_MAX], route_down[PLAIT_SIM_WAYS_MAX];
    unsigned ways;
    uint64_t size;
};

/* The row is not needed afterwards; a world must not be moved. */
void plait_sim_world_init(struct plait_sim_world *w, const struct plait_sim_row *row);
void plait_sim_world_done(struct plait_sim_world *w);
/* What could flow, over all ways or only over `way` (counted from 0; negative = all). `lanes` connections at
 * most on each line: over a lossy line TCP carries only so much (Mathis et al. 1997); 0 = no such limit. */
void plait_sim_world_fluid(const struct plait_sim_world *w, int way, unsigned lanes,
                           struct plait_sim_fluid *out);
/* Lets what is still on the way come to its end; false if connections are left after `patience`. */
bool plait_sim_world_drain(struct plait_sim_world *w, uint64_t patience_ns);

#endif
