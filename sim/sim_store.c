#include "sim_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "sim_mem.h"
#include "units.h"

void plait_sim_store_init(struct plait_sim_store *s, uint64_t window)
{
    *s = (struct plait_sim_store){.window = window};
}

void plait_sim_store_done(struct plait_sim_store *s)
{
    free(s->extent);
    *s = (struct plait_sim_store){0};
}

static void violated(struct plait_sim_store *s, const char *what, uint64_t offset)
{
    if (s->violation[0] == '\0')
        snprintf(s->violation, sizeof(s->violation), "%s at offset %llu", what, (unsigned long long)offset);
}

/* The first extent that ends after `offset`. */
static size_t find(const struct plait_sim_store *s, uint64_t offset)
{
    size_t lo = 0, hi = s->count;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (s->extent[mid].hi > offset)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

static void insert_at(struct plait_sim_store *s, size_t i, struct plait_sim_extent e)
{
    if (s->count == s->room) {
        size_t room = s->room > 0 ? s->room * 2 : 64;
        struct plait_sim_extent *grown = plait_sim_mem_new(room, sizeof(*grown));
        if (s->count > 0)
            memcpy(grown, s->extent, s->count * sizeof(*grown));
        free(s->extent);
        s->extent = grown;
        s->room = room;
    }
    memmove(&s->extent[i + 1], &s->extent[i], (s->count - i) * sizeof(e));
    s->extent[i] = e;
    s->count++;
}

static void remove_at(struct plait_sim_store *s, size_t i)
{
    memmove(&s->extent[i], &s->extent[i + 1], (s->count - i - 1) * sizeof(s->extent[0]));
    s->count--;
}

void plait_sim_store_keep(struct plait_sim_store *s, uint64_t lo, uint64_t hi, uint64_t content)
{
    size_t i = find(s, lo);
    struct plait_sim_extent *e = s->extent;

    s->kept += hi - lo;
    if (i > 0 && e[i - 1].hi == lo && e[i - 1].content == content) {
        e[--i].hi = hi;
    } else {
        insert_at(s, i, (struct plait_sim_extent){lo, hi, content});
        e = s->extent;
    }
    if (i + 1 < s->count && e[i + 1].lo == hi && e[i + 1].content == content) {
        e[i].hi = e[i + 1].hi;
        remove_at(s, i + 1);
    }
}

int plait_sim_store_write(void *ctx, uint64_t offset, const uint8_t *bytes, size_t len, int source)
{
    struct plait_sim_store *s = ctx;
    size_t i = find(s, offset);
    (void)source;

    if (i < s->count && s->extent[i].lo < offset + len)
        violated(s, "a byte is kept twice", offset);
    else if (plait_sim_content_match(s->arriving, offset, bytes, len) != len)
        violated(s, "bytes are kept in a place that is not theirs", offset);
    else
        plait_sim_store_keep(s, offset, offset + len, s->arriving);
    if (s->window > 0 && offset + len > s->emitted + s->window)
        violated(s, "bytes are kept beyond the window", offset);
    s->reach_max = plait_max_u64(s->reach_max, plait_since(offset + len, s->emitted));
    return PLAIT_OK;
}

bool plait_sim_store_has(const struct plait_sim_store *s, uint64_t lo, uint64_t hi)
{
    for (size_t i = find(s, lo); lo < hi; lo = s->extent[i++].hi)
        if (i == s->count || s->extent[i].lo > lo)
            return false;
    return true;
}

bool plait_sim_store_is(const struct plait_sim_store *s, uint64_t lo, uint64_t hi, uint64_t content)
{
    size_t i = find(s, lo);

    return lo >= hi || (i < s->count && s->extent[i].lo <= lo && s->extent[i].hi >= hi &&
                        s->extent[i].content == content);
}

int plait_sim_store_read(void *ctx, uint64_t offset, uint8_t *bytes, size_t len)
{
    struct plait_sim_store *s = ctx;
    uint64_t end = offset + len;

    if (s->window > 0 && offset + s->behind < s->emitted)
        return PLAIT_ERR_NOTFOUND;
    if (!plait_sim_store_has(s, offset, end)) {
        violated(s, "bytes are read that are not kept", offset);
        return PLAIT_ERR_NOTFOUND;
    }
    for (size_t i = find(s, offset); offset < end; i++) {
        uint64_t n = plait_min_u64(end, s->extent[i].hi) - offset;
        plait_sim_content_fill(s->extent[i].content, offset, bytes, (size_t)n);
        bytes += n;
        offset += n;
    }
    return PLAIT_OK;
}

void plait_sim_store_take_back(void *ctx, uint64_t lo, uint64_t hi)
{
    struct plait_sim_store *s = ctx;

    if (!plait_sim_store_has(s, lo, hi))
        violated(s, "bytes are taken back that are not kept", lo);
    for (size_t i = find(s, lo); i < s->count && s->extent[i].lo < hi;) {
        struct plait_sim_extent e = s->extent[i];
        s->kept -= plait_min_u64(e.hi, hi) - plait_max_u64(e.lo, lo);
        remove_at(s, i);
        if (e.lo < lo)
            insert_at(s, i++, (struct plait_sim_extent){e.lo, lo, e.content});
        if (e.hi > hi)
            insert_at(s, i++, (struct plait_sim_extent){hi, e.hi, e.content});
    }
}
