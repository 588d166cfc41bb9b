/*
 * Earliest arrival: the next part goes to the path on which it arrives first (algorithms: ECF, Lim et al.
 * 2017; DAPS).
 *
 *      arrival = max(now, next free) + length / rate + delay + jitter
 */
#ifndef PLAIT_CORE_SCHEDULER_H
#define PLAIT_CORE_SCHEDULER_H

#include <stddef.h>
#include <stdint.h>

struct plait_sched_path {
    uint64_t next_free; /* when what it was given before is out of the way */
    double rate;        /* bytes/s; <= 0 = not usable */
    uint64_t delay_ns;  /* from leaving to arriving (tunnel), or from asking to the first byte (fetch) */
    uint64_t jitter_ns; /* allowance for the delay's spread */
};

/* When `bytes` given to the path now would have arrived; PLAIT_NEVER for a path that is not usable. */
uint64_t plait_sched_arrival(const struct plait_sched_path *path, uint64_t now, double bytes);

/* Index of the path with the earliest arrival, ties to the first; −1 where none is usable. `arrival` may be
 * NULL. */
int plait_sched_pick(const struct plait_sched_path *paths, size_t count, uint64_t now, double bytes,
                     uint64_t *arrival);

#endif
