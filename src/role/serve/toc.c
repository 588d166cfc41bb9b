#include "toc.h"

#include <stdlib.h>
#include <string.h>

#define NONE    UINT32_MAX
#define BUCKETS 4096u /* a power of two */

struct plait_toc {
    size_t entries_max, count, room;
    struct plait_toc_entry *entries; /* owned, with their names */
    uint32_t sweep;
    uint32_t buckets[BUCKETS];
};

struct plait_toc *plait_toc_new(size_t entries_max)
{
    if (entries_max == 0 || entries_max >= NONE)
        return NULL;
    struct plait_toc *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->entries_max = entries_max;
    memset(t->buckets, 0xff, sizeof t->buckets);
    return t;
}

void plait_toc_free(struct plait_toc *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->count; i++)
        free(t->entries[i].name);
    free(t->entries);
    free(t);
}

/* FNV-1a, 64 bits. */
static uint32_t *bucket_of(struct plait_toc *t, const char *name)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (; *name != '\0'; name++)
        h = (h ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
    return &t->buckets[(h ^ h >> 32) & (BUCKETS - 1)];
}

struct plait_toc_entry *plait_toc_find(struct plait_toc *t, const char *name)
{
    for (uint32_t i = *bucket_of(t, name); i != NONE; i = t->entries[i].next)
        if (strcmp(t->entries[i].name, name) == 0)
            return &t->entries[i];
    return NULL;
}

struct plait_toc_entry *plait_toc_find_digest(struct plait_toc *t, const uint8_t sha256[PLAIT_TOC_SHA256_LEN])
{
    for (size_t i = 0; i < t->count; i++)
        if (t->entries[i].has_sha256 && memcmp(t->entries[i].sha256, sha256, PLAIT_TOC_SHA256_LEN) == 0)
            return &t->entries[i];
    return NULL;
}

static bool is_same(const struct plait_toc_version *a, const struct plait_toc_version *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->mtime_ns == b->mtime_ns;
}

static int make_room(struct plait_toc *t)
{
    if (t->count == t->entries_max)
        return PLAIT_ERR_LIMIT;
    if (t->count < t->room)
        return PLAIT_OK;
    size_t room = t->room > 0 ? 2 * t->room : 64;
    struct plait_toc_entry *entries = realloc(t->entries, room * sizeof *entries);
    if (entries == NULL)
        return PLAIT_ERR_NOMEM;
    t->entries = entries;
    t->room = room;
    return PLAIT_OK;
}

static int add(struct plait_toc *t, const char *name, struct plait_toc_entry **out)
{
    int rc = make_room(t);
    char *copy = rc == PLAIT_OK ? strdup(name) : NULL;

    if (rc != PLAIT_OK || copy == NULL)
        return rc != PLAIT_OK ? rc : PLAIT_ERR_NOMEM;
    uint32_t *bucket = bucket_of(t, name);
    *out = &t->entries[t->count];
    **out = (struct plait_toc_entry){.name = copy, .next = *bucket};
    *bucket = (uint32_t)t->count++;
    return PLAIT_OK;
}

int plait_toc_put(struct plait_toc *t, uint64_t now, const char *name,
                  const struct plait_toc_version *version, bool writing, bool *changed)
{
    struct plait_toc_entry *e = plait_toc_find(t, name);
    bool is_new = e == NULL;

    if (is_new) {
        int rc = add(t, name, &e);
        if (rc != PLAIT_OK)
            return rc;
    }
    /* While it is being written only that is told: that it grows says nothing new. */
    bool same = is_same(&e->version, version);
    if (is_new || e->writing != writing || (!same && !writing))
        *changed = true;
    e->has_sha256 = e->has_sha256 && same && !writing;
    e->version = *version;
    e->writing = writing;
    e->written_at = writing ? now : 0;
    e->sweep = t->sweep;
    return PLAIT_OK;
}

/* The place in the chain that leads to the entry. */
static uint32_t *link_to(struct plait_toc *t, uint32_t index)
{
    uint32_t *at = bucket_of(t, t->entries[index].name);

    while (*at != index)
        at = &t->entries[*at].next;
    return at;
}

/* The last entry takes its place. */
static void remove_at(struct plait_toc *t, uint32_t index)
{
    uint32_t last = (uint32_t)(t->count - 1);

    *link_to(t, index) = t->entries[index].next;
    free(t->entries[index].name);
    if (index != last) {
        *link_to(t, last) = index;
        t->entries[index] = t->entries[last];
    }
    t->count--;
}

bool plait_toc_remove(struct plait_toc *t, const char *name)
{
    const struct plait_toc_entry *e = plait_toc_find(t, name);

    if (e == NULL)
        return false;
    remove_at(t, (uint32_t)(e - t->entries));
    return true;
}

size_t plait_toc_remove_below(struct plait_toc *t, const char *dir)
{
    size_t len = strlen(dir), before = t->count;

    for (uint32_t i = (uint32_t)t->count; i > 0; i--)
        if (strncmp(t->entries[i - 1].name, dir, len) == 0 && t->entries[i - 1].name[len] == '/')
            remove_at(t, i - 1);
    return before - t->count;
}

void plait_toc_sweep_begin(struct plait_toc *t)
{
    t->sweep++;
}

size_t plait_toc_sweep_end(struct plait_toc *t)
{
    size_t before = t->count;

    for (uint32_t i = (uint32_t)t->count; i > 0; i--)
        if (t->entries[i - 1].sweep != t->sweep)
            remove_at(t, i - 1);
    return before - t->count;
}

size_t plait_toc_count(const struct plait_toc *t)
{
    return t->count;
}

struct plait_toc_entry *plait_toc_at(struct plait_toc *t, size_t index)
{
    return index < t->count ? &t->entries[index] : NULL;
}
