#include "share_table.h"

#include <stdlib.h>
#include <string.h>

struct group {
    uint8_t id[PLAIT_GROUP_ID_BYTES];
    struct plait_share_bond bond;
    struct plait_share *share; /* owned */
};

struct plait_share_table {
    unsigned groups_max, count;
    struct group groups[];
};

struct plait_share_table *plait_share_table_new(unsigned groups_max)
{
    if (groups_max == 0 || groups_max > PLAIT_SHARE_GROUPS_MAX)
        return NULL;
    struct plait_share_table *t = calloc(1, sizeof *t + groups_max * sizeof t->groups[0]);
    if (t != NULL)
        t->groups_max = groups_max;
    return t;
}

void plait_share_table_free(struct plait_share_table *t)
{
    if (t == NULL)
        return;
    for (unsigned i = 0; i < t->count; i++)
        plait_share_free(t->groups[i].share);
    free(t);
}

/* In a time that does not tell where they differ. */
static bool is_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
    uint8_t differ = 0;

    for (size_t i = 0; i < len; i++)
        differ |= a[i] ^ b[i];
    return differ == 0;
}

static struct group *look_up(struct plait_share_table *t, const uint8_t *id)
{
    unsigned found = t->count;

    for (unsigned i = 0; i < t->count; i++)
        found = is_equal(t->groups[i].id, id, sizeof t->groups[i].id) ? i : found;
    return found < t->count ? &t->groups[found] : NULL;
}

static uint64_t empty_since(const struct group *g)
{
    struct plait_share_status status;

    plait_share_get_status(g->share, &status);
    return status.empty_since;
}

static void forget(struct plait_share_table *t, unsigned index)
{
    plait_share_free(t->groups[index].share);
    t->groups[index] = t->groups[--t->count];
    memset(&t->groups[t->count], 0, sizeof t->groups[0]);
}

void plait_share_table_expire(struct plait_share_table *t, uint64_t now)
{
    for (unsigned i = t->count; i > 0; i--)
        if (now >= plait_add_sat(empty_since(&t->groups[i - 1]), PLAIT_SHARE_KEEP_NS))
            forget(t, i - 1);
}

uint64_t plait_share_table_next_deadline(const struct plait_share_table *t)
{
    uint64_t due = PLAIT_NEVER;

    for (unsigned i = 0; i < t->count; i++)
        due = plait_min_u64(due, plait_add_sat(empty_since(&t->groups[i]), PLAIT_SHARE_KEEP_NS));
    return due;
}

unsigned plait_share_table_count(const struct plait_share_table *t)
{
    return t->count;
}

struct plait_share *plait_share_table_at(const struct plait_share_table *t, unsigned index)
{
    return index < t->count ? t->groups[index].share : NULL;
}

/* Whether the request may know of the group. */
static enum plait_share_found check_bond(const struct plait_share_bond *a, const struct plait_share_bond *b)
{
    bool resource = is_equal(a->resource, b->resource, sizeof a->resource);
    bool credentials = is_equal(a->credentials, b->credentials, sizeof a->credentials);
    bool version = is_equal(a->version, b->version, sizeof a->version);

    if (!resource || !credentials)
        return PLAIT_SHARE_FORBIDDEN;
    return version ? PLAIT_SHARE_FOUND : PLAIT_SHARE_OTHER_VERSION;
}

/* Forgets the group that has had no connection for longest. False where all have some. */
static bool make_room(struct plait_share_table *t)
{
    uint64_t longest = PLAIT_NEVER;
    unsigned which = 0;

    for (unsigned i = 0; i < t->count; i++) {
        uint64_t since = empty_since(&t->groups[i]);
        if (since < longest) {
            longest = since;
            which = i;
        }
    }
    if (longest == PLAIT_NEVER)
        return false;
    forget(t, which);
    return true;
}

static enum plait_share_found add(struct plait_share_table *t, uint64_t now, const uint8_t *id,
                                  const struct plait_share_bond *bond,
                                  const struct plait_share_config *config, struct plait_share **share)
{
    if (t->count == t->groups_max && !make_room(t))
        return PLAIT_SHARE_FULL;
    struct group *g = &t->groups[t->count];
    g->share = plait_share_new(config, now);
    if (g->share == NULL)
        return PLAIT_SHARE_FULL;
    memcpy(g->id, id, sizeof g->id);
    g->bond = *bond;
    t->count++;
    *share = g->share;
    return PLAIT_SHARE_NEW;
}

enum plait_share_found plait_share_table_find(struct plait_share_table *t, uint64_t now,
                                              const uint8_t id[PLAIT_GROUP_ID_BYTES],
                                              const struct plait_share_bond *bond, struct plait_share **share)
{
    plait_share_table_expire(t, now);
    const struct group *g = look_up(t, id);
    if (g == NULL)
        return PLAIT_SHARE_UNKNOWN_GROUP;
    enum plait_share_found found = check_bond(&g->bond, bond);
    if (found == PLAIT_SHARE_FOUND)
        *share = g->share;
    return found;
}

enum plait_share_found plait_share_table_enter(struct plait_share_table *t, uint64_t now,
                                               const uint8_t id[PLAIT_GROUP_ID_BYTES],
                                               const struct plait_share_bond *bond,
                                               const struct plait_share_config *config,
                                               struct plait_share **share)
{
    struct plait_share_status status;
    struct plait_share *known;
    enum plait_share_found found = plait_share_table_find(t, now, id, bond, &known);

    if (found == PLAIT_SHARE_UNKNOWN_GROUP)
        return add(t, now, id, bond, config, share);
    if (found != PLAIT_SHARE_FOUND)
        return found;
    plait_share_get_status(known, &status);
    if (status.block_bytes != config->block_bytes)
        return PLAIT_SHARE_OTHER_BLOCK;
    *share = known;
    return PLAIT_SHARE_FOUND;
}
