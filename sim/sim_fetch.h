/*
 * The fetch (stream/fetch.h) in a simulated world: plays the part of the role that carries out its commands.
 *
 * Each lane keeps one connection. Bodies are really made, byte for byte, and the store judges what is kept; a
 * virtual consumer drains a pipe. What breaks the contract between the fetch and its owner is reported as a
 * violation, which is always a fault of the fetch (or of the simulator), never of the network.
 */
#ifndef PLAIT_SIM_FETCH_H
#define PLAIT_SIM_FETCH_H

#include <stdio.h>

#include "fetch.h"
#include "sim_store.h"
#include "sim_world.h"

#define PLAIT_SIM_RESUMES_MAX 4

struct plait_sim_fetch_config {
    bool size_known;                   /* beforehand, as from a Metalink */
    unsigned redundant;                /* sources of each block that is pushed */
    bool ranges_only;                  /* servers that take part are used like others */
    bool digest;                       /* of the whole is known, and verified at the end */
    uint64_t piece_bytes;              /* > 0: digests of pieces are known, and verified at the end */
    uint64_t window_bytes;             /* > 0: in order, into a pipe */
    double consumer_mbit;              /* what drains the pipe; 0 = at once */
    double pause_from_ms, pause_to_ms; /* when it takes nothing */
    unsigned lanes_max;                /* of a path; 0 = the default */
    uint64_t give_up_ms;
    double way_from_ms[PLAIT_SIM_WAYS_MAX]; /* when a way's path is added */
    double way_to_ms[PLAIT_SIM_WAYS_MAX];   /* when it is taken out; 0 = never */
    struct {
        uint64_t lo, hi, content;
        int server;                  /* counted from 1; 0 = nobody's */
    } resume[PLAIT_SIM_RESUMES_MAX]; /* kept by an earlier run */
    int only_way;                    /* > 0: the other ways do not exist */
    double late_from_ms;             /* bytes that are written earlier do not count for `late_ns` */
    double calm_ms;                  /* from then on nothing is faulty any more (`resume_ns`) */
    uint64_t limit_ms;               /* the run is stopped then */
    FILE *story;                     /* borrows; what happens is written there; NULL = nowhere */
    bool commands;                   /* with every command, and what became of it */
    bool packets;                    /* and every arrival of a body's bytes */
};

struct plait_sim_fetch_result {
    bool done;    /* everything is there (in a pipe: has left it), and true */
    bool stopped; /* by the limit */
    enum plait_fetch_fail fail;
    int conflict_source_a, conflict_source_b;
    uint64_t time_ns;   /* when it was done, or failed */
    uint64_t fluid_ns;  /* the fluid bound */
    uint64_t stall_ns;  /* the longest time without a kept byte */
    uint64_t resume_ns; /* the same after `calm_ms` */
    uint64_t late_ns;   /* live: the longest that a byte was waited for, from when some server had it */
    uint64_t reach_max; /* greatest distance of a kept byte from what was emitted */
    uint64_t kept_bytes, dup_bytes, check_bytes;
    uint64_t wire_bytes; /* carried by the lines, downward */
    uint64_t requests, connections;
    uint32_t condemned; /* bits of sources */
    uint64_t condemned_bytes;
    unsigned steals;
    unsigned steerings, lates, repatterns;     /* requests; answered with 409; sources that were cut */
    uint64_t repattern_ns;                     /* the first of them agreed to; 0 = none */
    uint64_t stream_bytes;                     /* of bodies, that came over streams */
    uint64_t way_first_ns[PLAIT_SIM_WAYS_MAX]; /* when the first byte of a body came over it; 0 = never */
    uint32_t no_stream;                        /* bits of servers that are only asked for ranges in the end */
    uint64_t events;
    uint64_t hash;       /* of everything that happened */
    char violation[160]; /* empty = none */
};

void plait_sim_fetch_run(const struct plait_sim_row *row, const struct plait_sim_fetch_config *config,
                         struct plait_sim_fetch_result *out);

/* What one plain connection over one way (counted from 0) would take for the whole, PLAIT_NEVER if more than
 * the limit; every limit of the world holds for it too. */
uint64_t plait_sim_fetch_single(const struct plait_sim_row *row, unsigned way, uint64_t limit_ns);

const char *plait_sim_fail_name(enum plait_fetch_fail fail);

#endif
