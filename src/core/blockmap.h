/*
 * The block map: which byte ranges of a stream are free, taken by a lane, or done.
 *
 * A sorted array of extents without gaps from 0 to the size; neighbours of the same state and owner are one
 * extent, so that its length follows the number of holes and not the length of the stream. Looking an offset
 * up is logarithmic. While the size is unknown it is PLAIT_BLOCKMAP_UNBOUNDED.
 *
 * `owner` means what the user wants: here the lane for TAKEN, the source for DONE, and 0 for FREE.
 */
#ifndef PLAIT_CORE_BLOCKMAP_H
#define PLAIT_CORE_BLOCKMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define PLAIT_BLOCKMAP_UNBOUNDED UINT64_MAX

enum plait_block_state { PLAIT_BLOCK_FREE, PLAIT_BLOCK_TAKEN, PLAIT_BLOCK_DONE };

struct plait_extent {
    uint64_t lo, hi;
    enum plait_block_state state;
    int owner;
};

struct plait_blockmap_entry {
    uint64_t lo; /* ends where the next begins */
    int16_t owner;
    uint8_t state;
};

struct plait_blockmap {
    struct plait_blockmap_entry *entries; /* owned */
    size_t count, room;
    uint64_t size;
    uint64_t done_bytes, taken_bytes;
    uint64_t prefix; /* everything before is DONE; moved by plait_blockmap_prefix */
};

/* All free. PLAIT_ERR_NOMEM. */
int plait_blockmap_init(struct plait_blockmap *map, uint64_t size) PLAIT_MUST_USE;
void plait_blockmap_done(struct plait_blockmap *map);

/* Changes the size. PLAIT_ERR_STATE where a DONE byte would fall off; TAKEN ones are cut. */
int plait_blockmap_set_size(struct plait_blockmap *map, uint64_t size) PLAIT_MUST_USE;

/* [lo, hi) gets a new state and owner (owner within int16_t). PLAIT_ERR_NOMEM, PLAIT_ERR_RANGE beyond the
 * size. */
int plait_blockmap_mark(struct plait_blockmap *map, uint64_t lo, uint64_t hi, enum plait_block_state state,
                        int owner) PLAIT_MUST_USE;

/* The extent that holds `offset`. False at or beyond the size. */
bool plait_blockmap_at(const struct plait_blockmap *map, uint64_t offset, struct plait_extent *out);

/* The first extent of `state` that ends after `from`, clipped to begin at `from`. False when there is none.
 */
bool plait_blockmap_find(const struct plait_blockmap *map, uint64_t from, enum plait_block_state state,
                         struct plait_extent *out);

/* Bytes of `state` within [lo, hi). */
uint64_t plait_blockmap_count(const struct plait_blockmap *map, uint64_t lo, uint64_t hi,
                              enum plait_block_state state);

/* End of the DONE bytes that begin at 0. */
uint64_t plait_blockmap_prefix(struct plait_blockmap *map);

#endif
