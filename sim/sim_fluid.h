/*
 * The fluid bound: the least time in which links and servers could carry so many bytes, if payload flowed
 * like a liquid from the first moment on. Payload is 1448 of each 1500 bytes of a line's rate.
 */
#ifndef PLAIT_SIM_FLUID_H
#define PLAIT_SIM_FLUID_H

#include "sim_link.h"

#define PLAIT_SIM_FLUID_PIPES_MAX 24
#define PLAIT_SIM_FLUID_WAYS_MAX  16
#define PLAIT_SIM_FLUID_HOPS      3
#define PLAIT_SIM_FLUID_NONE      (-1)

/* Something of limited rate that ways share: a line or a server. */
struct plait_sim_fluid_pipe {
    const struct plait_sim_link_config *link; /* borrows; NULL: a server */
    uint64_t rate;                            /* of a server: payload bytes/s; 0 = no limit */
    uint64_t rate_max; /* what TCP can carry at most over a lossy line, payload; 0 = no limit */
    uint64_t dead_from_ns, dead_to_ns; /* of a server */
};

/* A way from the stream to the client through up to three pipes. */
struct plait_sim_fluid_way {
    int pipe[PLAIT_SIM_FLUID_HOPS]; /* PLAIT_SIM_FLUID_NONE = no further */
};

struct plait_sim_fluid {
    struct plait_sim_fluid_pipe pipe[PLAIT_SIM_FLUID_PIPES_MAX];
    unsigned pipes;
    struct plait_sim_fluid_way way[PLAIT_SIM_FLUID_WAYS_MAX];
    unsigned ways;
};

/* Payload bytes/s that can flow at a time, in all. */
double plait_sim_fluid_rate(const struct plait_sim_fluid *f, uint64_t at);
/* When `bytes` could have arrived, or PLAIT_NEVER if that takes more than `limit`. */
uint64_t plait_sim_fluid_time(const struct plait_sim_fluid *f, uint64_t bytes, uint64_t limit);

#endif
