/*
 * A map of fixed size from numbers (not 0) to pointers: open addressing, linear probing, no tombstones. Room for twice
 * what it may hold, so that probes are short. The numbers have to be spread already (random, or a keyed hash).
 */
#ifndef PLAIT_TUNNEL_MAP_H
#define PLAIT_TUNNEL_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

struct plait_map {
    struct plait_map_row {
        uint64_t key; /* 0 = empty */
        void *value;  /* borrows */
    } * rows;         /* owns */
    size_t mask, count, max;
};

/* PLAIT_ERR_NOMEM. */
PLAIT_MUST_USE int plait_map_init(struct plait_map *m, size_t max);
void plait_map_done(struct plait_map *m);
/* PLAIT_ERR_STATE where the key is there already, PLAIT_ERR_LIMIT where the map is full, PLAIT_ERR_ARG for key 0. */
PLAIT_MUST_USE int plait_map_add(struct plait_map *m, uint64_t key, void *value);
/* NULL where there is none. */
void *plait_map_find(const struct plait_map *m, uint64_t key);
/* Harmless where there is none. */
void plait_map_remove(struct plait_map *m, uint64_t key);

#endif
