/*
 * Where a simulated fetch keeps its bytes, and the judge of what it keeps: which content each byte came from
 * is known, the bytes themselves are made again when they are wanted. What breaks the contract of
 * plait_fetch_store (a byte kept twice, bytes in the wrong place, bytes beyond the window) is remembered as
 * the first violation.
 */
#ifndef PLAIT_SIM_STORE_H
#define PLAIT_SIM_STORE_H

#include <stdbool.h>

#include "sim_content.h"

struct plait_sim_extent {
    uint64_t lo, hi;
    uint64_t content;
};

struct plait_sim_store {
    struct plait_sim_extent *extent; /* owns; ascending, not touching where the content is the same */
    size_t count, room;
    uint64_t window;     /* bytes kept reach no further than this beyond what was emitted; 0 = no limit */
    uint64_t emitted;    /* bytes before are gone, */
    uint64_t behind;     /* but for so many of them, which can still be read */
    uint64_t arriving;   /* the content that the bytes being received are of */
    uint64_t kept;       /* bytes kept now, the emitted ones included */
    uint64_t reach_max;  /* greatest distance of a kept byte's end from `emitted` */
    char violation[120]; /* the first one; empty = none */
};

void plait_sim_store_init(struct plait_sim_store *s, uint64_t window);
void plait_sim_store_done(struct plait_sim_store *s);
/* The three functions of a plait_fetch_store; `ctx` is the store. */
int plait_sim_store_write(void *ctx, uint64_t offset, const uint8_t *bytes, size_t len, int source);
int plait_sim_store_read(void *ctx, uint64_t offset, uint8_t *bytes, size_t len);
void plait_sim_store_take_back(void *ctx, uint64_t lo, uint64_t hi);
/* Keeps [lo, hi) of a content, as an earlier run would have. */
void plait_sim_store_keep(struct plait_sim_store *s, uint64_t lo, uint64_t hi, uint64_t content);
/* Whether all of [lo, hi) is kept and of that content. */
bool plait_sim_store_is(const struct plait_sim_store *s, uint64_t lo, uint64_t hi, uint64_t content);
/* Whether all of [lo, hi) is kept. */
bool plait_sim_store_has(const struct plait_sim_store *s, uint64_t lo, uint64_t hi);

#endif
