/*
 * The shape of a link: what it does to packets, each way, and the words that say so.
 *
 * One vocabulary serves the `link` lines of a topology, its schedule, and `plait-lab set`. A value may be
 * two, DOWN/UP: down is towards the link's first host, up is away from it.
 */
#ifndef PLAIT_LAB_SHAPE_H
#define PLAIT_LAB_SHAPE_H

#include "err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lab_way {
    LAB_DOWN, /* towards the link's first host */
    LAB_UP,
    LAB_WAYS,
};

enum {
    LAB_WHY_MAX = 256,
};

struct lab_shape {
    uint64_t rate_bps;    /* of IP packets; 0 = as fast as they come */
    uint64_t delay_ns;    /* one way */
    uint64_t jitter_ns;   /* the delay moves within delay ± jitter/2 */
    uint64_t queue_ns;    /* drop-tail limit as time at the present rate; 0 = queue_bytes counts instead */
    uint64_t queue_bytes; /* drop-tail limit of what waits behind the packet being sent */
    double loss;          /* share of the packets sent that never arrive (they take their time on the link) */
    double burst;         /* mean length of a run of losses, packets; 1 = independent losses */
    bool reorder;         /* each packet draws its own jitter, and may overtake */
    bool dead;            /* swallows everything in silence */
    bool unplugged;       /* dead, and both ends see the carrier gone */
};

/* A link that changes nothing: no rate limit, no delay, no loss. */
void lab_shape_init(struct lab_shape shape[LAB_WAYS]);
/*
 * Applies words such as {"rate", "5mbit", "loss", "1%/0"} to both ways. On error `shape` is untouched and
 * `why` says which word was wrong and what would have been right.
 */
PLAIT_MUST_USE int lab_shape_apply(struct lab_shape shape[LAB_WAYS], char *const words[], size_t count,
                                   char why[LAB_WHY_MAX]);
/* The bytes that may wait under this shape; UINT64_MAX where nothing ever waits. */
uint64_t lab_shape_queue_bytes(const struct lab_shape *shape);

#endif
