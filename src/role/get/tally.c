#include "tally.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "units.h"

int plait_tally_init(struct plait_tally *t, uint64_t total, uint64_t block_size)
{
    uint64_t count = total / block_size + (total % block_size != 0);

    memset(t, 0, sizeof *t);
    if (count > SIZE_MAX / sizeof *t->blocks)
        return PLAIT_ERR_NOMEM;
    t->blocks = calloc(count > 0 ? (size_t)count : 1, sizeof *t->blocks);
    if (t->blocks == NULL)
        return PLAIT_ERR_NOMEM;
    t->total = total;
    t->block_size = block_size;
    t->count = t->open = (size_t)count;
    return PLAIT_OK;
}

void plait_tally_done(struct plait_tally *t)
{
    free(t->blocks);
    memset(t, 0, sizeof *t);
}

uint64_t plait_tally_len(const struct plait_tally *t, size_t block)
{
    return plait_min_u64(t->block_size, t->total - block * t->block_size);
}

/* How much of [lo, hi) lies in the block that holds lo. */
static uint64_t part(const struct plait_tally *t, uint64_t lo, uint64_t hi)
{
    return plait_min_u64(hi, (lo / t->block_size + 1) * t->block_size) - lo;
}

static void complete(struct plait_tally *t, size_t block, enum plait_tally_state state)
{
    t->blocks[block].state = (uint8_t)state;
    t->open--;
    t->ready += state == PLAIT_TALLY_READY;
}

void plait_tally_add(struct plait_tally *t, uint64_t lo, uint64_t hi, int source)
{
    assert(hi <= t->total);
    for (uint64_t n; lo < hi; lo += n) {
        size_t block = (size_t)(lo / t->block_size);
        struct plait_tally_block *b = &t->blocks[block];
        n = part(t, lo, hi);
        b->have += n;
        b->source = (int16_t)source;
        assert(b->have <= plait_tally_len(t, block));
        if (b->have == plait_tally_len(t, block))
            complete(t, block, PLAIT_TALLY_READY);
    }
}

void plait_tally_take_back(struct plait_tally *t, uint64_t lo, uint64_t hi,
                           void (*lost)(void *ctx, size_t block), void *ctx)
{
    assert(hi <= t->total);
    for (uint64_t n; lo < hi; lo += n) {
        size_t block = (size_t)(lo / t->block_size);
        struct plait_tally_block *b = &t->blocks[block];
        n = part(t, lo, hi);
        assert(b->have >= n);
        b->have -= n;
        b->turn++;
        if (b->state == PLAIT_TALLY_OPEN)
            continue;
        t->open++;
        t->ready -= b->state == PLAIT_TALLY_READY;
        if (b->state == PLAIT_TALLY_SETTLED && lost != NULL)
            lost(ctx, block);
        b->state = PLAIT_TALLY_OPEN;
    }
}

void plait_tally_set_settled(struct plait_tally *t, size_t block, int source)
{
    struct plait_tally_block *b = &t->blocks[block];

    assert(b->have == 0);
    b->have = plait_tally_len(t, block);
    b->source = (int16_t)source;
    complete(t, block, PLAIT_TALLY_SETTLED);
}

bool plait_tally_take(struct plait_tally *t, size_t *block)
{
    if (t->ready == 0)
        return false;
    while (t->blocks[t->cursor].state != PLAIT_TALLY_READY)
        t->cursor = (t->cursor + 1) % t->count;
    *block = t->cursor;
    t->blocks[t->cursor].state = PLAIT_TALLY_BUSY;
    t->ready--;
    return true;
}

void plait_tally_put_back(struct plait_tally *t, size_t block, uint32_t turn)
{
    if (t->blocks[block].turn != turn)
        return;
    t->blocks[block].state = PLAIT_TALLY_READY;
    t->ready++;
}

bool plait_tally_settle(struct plait_tally *t, size_t block, uint32_t turn)
{
    if (t->blocks[block].turn != turn)
        return false;
    t->blocks[block].state = PLAIT_TALLY_SETTLED;
    return true;
}
