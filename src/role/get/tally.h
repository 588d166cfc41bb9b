/*
 * How much of each block of a stream is there, for those who look at whole blocks: the journal, and piece
 * digests.
 *
 * A block is OPEN until all its bytes are there, then READY; whoever takes it makes it BUSY, and settles it
 * when it is through. Where bytes are taken back their blocks are OPEN again, and work that was under way no
 * longer counts.
 */
#ifndef PLAIT_GET_TALLY_H
#define PLAIT_GET_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

enum plait_tally_state { PLAIT_TALLY_OPEN, PLAIT_TALLY_READY, PLAIT_TALLY_BUSY, PLAIT_TALLY_SETTLED };

struct plait_tally_block {
    uint64_t have;  /* bytes */
    uint32_t turn;  /* how often it was taken back */
    uint8_t state;  /* enum plait_tally_state */
    int16_t source; /* of the bytes that came last; −1 = none that is known */
};

struct plait_tally {
    uint64_t total, block_size;
    size_t count, ready, open;
    size_t cursor; /* where to look for the next ready one */
    struct plait_tally_block *blocks;
};

/* total >= 0, block_size > 0. PLAIT_ERR_NOMEM. */
PLAIT_MUST_USE int plait_tally_init(struct plait_tally *t, uint64_t total, uint64_t block_size);
void plait_tally_done(struct plait_tally *t);

uint64_t plait_tally_len(const struct plait_tally *t, size_t block);
/* [lo, hi) is there now, and was not before. */
void plait_tally_add(struct plait_tally *t, uint64_t lo, uint64_t hi, int source);
/* [lo, hi) was there. `lost` is called for each block that was settled, and may be NULL. */
void plait_tally_take_back(struct plait_tally *t, uint64_t lo, uint64_t hi,
                           void (*lost)(void *ctx, size_t block), void *ctx);
/* The whole block is there and needs no looking at. */
void plait_tally_set_settled(struct plait_tally *t, size_t block, int source);
/* A ready block, now BUSY; false where there is none. */
bool plait_tally_take(struct plait_tally *t, size_t *block);
/* Nobody looked at it after all. */
void plait_tally_put_back(struct plait_tally *t, size_t block, uint32_t turn);
/* The work on a taken block is done; `turn` is what it was when it was taken. False: it was taken back
 * meanwhile. */
bool plait_tally_settle(struct plait_tally *t, size_t block, uint32_t turn);

#endif
