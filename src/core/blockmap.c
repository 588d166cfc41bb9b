#include "blockmap.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "units.h"

int plait_blockmap_init(struct plait_blockmap *map, uint64_t size)
{
    *map = (struct plait_blockmap){.size = size, .room = 16};
    map->entries = calloc(map->room, sizeof *map->entries);
    if (map->entries == NULL)
        return PLAIT_ERR_NOMEM;
    map->count = 1;
    return PLAIT_OK;
}

void plait_blockmap_done(struct plait_blockmap *map)
{
    free(map->entries);
    *map = (struct plait_blockmap){0};
}

static uint64_t entry_end(const struct plait_blockmap *map, size_t i)
{
    return i + 1 < map->count ? map->entries[i + 1].lo : map->size;
}

/* Index of the entry that holds `offset`. */
static size_t entry_at(const struct plait_blockmap *map, uint64_t offset)
{
    size_t lo = 0, hi = map->count;

    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (map->entries[mid].lo <= offset)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

static struct plait_extent extent_of(const struct plait_blockmap *map, size_t i)
{
    const struct plait_blockmap_entry *e = &map->entries[i];

    return (struct plait_extent){e->lo, entry_end(map, i), (enum plait_block_state)e->state, e->owner};
}

static int reserve(struct plait_blockmap *map, size_t more)
{
    if (map->count + more <= map->room)
        return PLAIT_OK;
    size_t room = map->room * 2 + more;
    void *grown = realloc(map->entries, room * sizeof *map->entries);
    if (grown == NULL)
        return PLAIT_ERR_NOMEM;
    map->entries = grown;
    map->room = room;
    return PLAIT_OK;
}

/* Make an entry begin at `offset` (< size) and return its index. Room was reserved. */
static size_t split(struct plait_blockmap *map, uint64_t offset)
{
    size_t i = entry_at(map, offset);

    if (map->entries[i].lo == offset)
        return i;
    assert(map->count < map->room);
    memmove(&map->entries[i + 2], &map->entries[i + 1], (map->count - i - 1) * sizeof *map->entries);
    map->entries[i + 1] = map->entries[i];
    map->entries[i + 1].lo = offset;
    map->count++;
    return i + 1;
}

static void erase(struct plait_blockmap *map, size_t from, size_t to)
{
    memmove(&map->entries[from], &map->entries[to], (map->count - to) * sizeof *map->entries);
    map->count -= to - from;
}

static bool alike(const struct plait_blockmap_entry *a, const struct plait_blockmap_entry *b)
{
    return a->state == b->state && a->owner == b->owner;
}

static void account(struct plait_blockmap *map, enum plait_block_state state, uint64_t bytes, bool add)
{
    uint64_t *sum = state == PLAIT_BLOCK_DONE ? &map->done_bytes : &map->taken_bytes;

    if (state != PLAIT_BLOCK_FREE)
        *sum = add ? *sum + bytes : *sum - bytes;
}

/* The common case of a lane that receives: the front of entry i goes over to its predecessor. */
static bool mark_front(struct plait_blockmap *map, uint64_t lo, uint64_t hi,
                       const struct plait_blockmap_entry *want)
{
    size_t i = entry_at(map, lo);

    if (map->entries[i].lo != lo || i == 0 || !alike(&map->entries[i - 1], want) || hi >= entry_end(map, i))
        return false;
    account(map, (enum plait_block_state)map->entries[i].state, hi - lo, false);
    account(map, (enum plait_block_state)want->state, hi - lo, true);
    map->entries[i].lo = hi;
    return true;
}

int plait_blockmap_mark(struct plait_blockmap *map, uint64_t lo, uint64_t hi, enum plait_block_state state,
                        int owner)
{
    struct plait_blockmap_entry want = {.lo = lo, .owner = (int16_t)owner, .state = (uint8_t)state};

    if (lo > hi || hi > map->size)
        return PLAIT_ERR_RANGE;
    if (lo == hi)
        return PLAIT_OK;
    if (state != PLAIT_BLOCK_DONE)
        map->prefix = plait_min_u64(map->prefix, lo);
    if (mark_front(map, lo, hi, &want))
        return PLAIT_OK;
    if (reserve(map, 2) != PLAIT_OK)
        return PLAIT_ERR_NOMEM;

    size_t first = split(map, lo);
    size_t last = hi < map->size ? split(map, hi) : map->count;
    for (size_t i = first; i < last; i++)
        account(map, (enum plait_block_state)map->entries[i].state, entry_end(map, i) - map->entries[i].lo,
                false);
    account(map, state, hi - lo, true);
    map->entries[first] = want;
    erase(map, first + 1, last);
    if (first + 1 < map->count && alike(&map->entries[first + 1], &want))
        erase(map, first + 1, first + 2);
    if (first > 0 && alike(&map->entries[first - 1], &want))
        erase(map, first, first + 1);
    return PLAIT_OK;
}

int plait_blockmap_set_size(struct plait_blockmap *map, uint64_t size)
{
    struct plait_extent e;

    if (size > map->size) { /* what is added is free */
        uint64_t old = map->size;
        if (reserve(map, 1) != PLAIT_OK)
            return PLAIT_ERR_NOMEM;
        map->size = size;
        if (map->entries[map->count - 1].state != PLAIT_BLOCK_FREE) {
            map->entries[map->count++] = (struct plait_blockmap_entry){.lo = old};
        }
        return PLAIT_OK;
    }
    if (size == map->size)
        return PLAIT_OK;
    if (plait_blockmap_find(map, size, PLAIT_BLOCK_DONE, &e))
        return PLAIT_ERR_STATE;
    int err = plait_blockmap_mark(map, size, map->size, PLAIT_BLOCK_FREE, 0);
    if (err != PLAIT_OK)
        return err;
    while (map->count > 1 && map->entries[map->count - 1].lo >= size)
        map->count--;
    map->size = size;
    return PLAIT_OK;
}

bool plait_blockmap_at(const struct plait_blockmap *map, uint64_t offset, struct plait_extent *out)
{
    if (offset >= map->size)
        return false;
    *out = extent_of(map, entry_at(map, offset));
    return true;
}

bool plait_blockmap_find(const struct plait_blockmap *map, uint64_t from, enum plait_block_state state,
                         struct plait_extent *out)
{
    if (from >= map->size)
        return false;
    for (size_t i = entry_at(map, from); i < map->count; i++) {
        if (map->entries[i].state != state)
            continue;
        *out = extent_of(map, i);
        out->lo = plait_max_u64(out->lo, from);
        return true;
    }
    return false;
}

uint64_t plait_blockmap_count(const struct plait_blockmap *map, uint64_t lo, uint64_t hi,
                              enum plait_block_state state)
{
    uint64_t sum = 0;

    hi = plait_min_u64(hi, map->size);
    if (lo >= hi)
        return 0;
    for (size_t i = entry_at(map, lo); i < map->count && map->entries[i].lo < hi; i++) {
        if (map->entries[i].state == state)
            sum += plait_min_u64(entry_end(map, i), hi) - plait_max_u64(map->entries[i].lo, lo);
    }
    return sum;
}

uint64_t plait_blockmap_prefix(struct plait_blockmap *map)
{
    struct plait_extent e;

    while (plait_blockmap_at(map, map->prefix, &e) && e.state == PLAIT_BLOCK_DONE)
        map->prefix = e.hi;
    return map->prefix;
}
