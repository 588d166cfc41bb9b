#include "table.h"

#include <stdlib.h>
#include <string.h>

#include "addresses.h"
#include "units.h"

static uint32_t hash_of(const uint8_t *address, size_t len)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < len; i++)
        h = (h ^ address[i]) * UINT64_C(0x100000001b3);
    return (uint32_t)(h >> 32 ^ h);
}

static void put(struct plait_table *t, struct plait_table_slot *slots, const uint8_t *address, size_t len,
                uint32_t node)
{
    uint32_t at = hash_of(address, len) & t->slots_mask;

    while (slots[at].node != PLAIT_TABLE_NONE)
        at = (at + 1) & t->slots_mask;
    memcpy(slots[at].address, address, len);
    slots[at].node = node;
}

static uint32_t get(const struct plait_table *t, const struct plait_table_slot *slots, const uint8_t *address,
                    size_t len)
{
    uint32_t at = hash_of(address, len) & t->slots_mask;

    while (slots[at].node != PLAIT_TABLE_NONE && memcmp(slots[at].address, address, len) != 0)
        at = (at + 1) & t->slots_mask;
    return slots[at].node;
}

static struct plait_table_slot *make_slots(uint32_t count)
{
    struct plait_table_slot *slots = calloc(count, sizeof *slots);

    for (uint32_t i = 0; slots != NULL && i < count; i++)
        slots[i].node = PLAIT_TABLE_NONE;
    return slots;
}

static int longest_first(const void *a, const void *b)
{
    const struct plait_table_prefix *x = a, *y = b;

    return x->prefix.bits < y->prefix.bits ? 1 : x->prefix.bits > y->prefix.bits ? -1 : 0;
}

static int allocate(struct plait_table *t, const struct plait_hub_settings *s)
{
    uint32_t slots = 16;
    size_t prefixes = 0;

    while (slots < 2 * s->node_count + 2)
        slots *= 2;
    for (size_t i = 0; i < s->node_count; i++)
        prefixes += s->nodes[i].allow_count;
    t->slots_mask = slots - 1;
    t->slots4 = make_slots(slots);
    t->slots6 = make_slots(slots);
    t->prefixes = calloc(prefixes + 1, sizeof *t->prefixes);
    t->home = calloc(s->node_count + 1, sizeof *t->home);
    return t->slots4 != NULL && t->slots6 != NULL && t->prefixes != NULL && t->home != NULL ? PLAIT_OK
                                                                                            : PLAIT_ERR_NOMEM;
}

static void fill(struct plait_table *t, const struct plait_hub_settings *s)
{
    for (uint32_t i = 0; i < s->node_count; i++) {
        const struct plait_hub_node_settings *n = &s->nodes[i];
        if (n->has_v4)
            put(t, t->slots4, n->v4, sizeof n->v4, i);
        if (n->has_v6)
            put(t, t->slots6, n->v6, sizeof n->v6, i);
        for (size_t k = 0; k < n->allow_count; k++)
            t->prefixes[t->prefix_count++] = (struct plait_table_prefix){n->allow[k], i};
    }
    qsort(t->prefixes, t->prefix_count, sizeof *t->prefixes, longest_first);
}

struct plait_table *plait_table_new(struct plait_hub_settings *settings)
{
    struct plait_table *t = calloc(1, sizeof *t);

    if (t == NULL || allocate(t, settings) != PLAIT_OK) {
        plait_table_free(t);
        return NULL;
    }
    fill(t, settings);
    t->settings = settings;
    return t;
}

void plait_table_free(struct plait_table *t)
{
    if (t == NULL)
        return;
    plait_hub_settings_free(t->settings);
    free(t->slots4);
    free(t->slots6);
    free(t->prefixes);
    free(t->home);
    free(t);
}

uint32_t plait_table_find(const struct plait_table *t, bool v6, const uint8_t *address)
{
    uint32_t node = v6 ? get(t, t->slots6, address, 16) : get(t, t->slots4, address, 4);

    for (size_t i = 0; node == PLAIT_TABLE_NONE && i < t->prefix_count; i++)
        if (plait_addresses_has(&t->prefixes[i].prefix, v6 ? AF_INET6 : AF_INET, address))
            node = t->prefixes[i].node;
    return node;
}

bool plait_table_allows(const struct plait_table *t, uint32_t node, bool v6, const uint8_t *address)
{
    const struct plait_hub_node_settings *n = &t->settings->nodes[node];

    if (v6 ? n->has_v6 && memcmp(address, n->v6, 16) == 0 : n->has_v4 && memcmp(address, n->v4, 4) == 0)
        return true;
    for (size_t i = 0; i < n->allow_count; i++)
        if (plait_addresses_has(&n->allow[i], v6 ? AF_INET6 : AF_INET, address))
            return true;
    return false;
}

/* A home is the time in microseconds above the number of the worker plus 1. */
#define WORKER_BITS 8
#define WORKER_MASK ((1u << WORKER_BITS) - 1)

int plait_table_home(const struct plait_table *t, uint32_t node)
{
    return (int)(atomic_load(&t->home[node]) & WORKER_MASK) - 1;
}

bool plait_table_take_home(struct plait_table *t, uint32_t node, unsigned worker, uint64_t logged_on_at)
{
    unsigned long long mine = (logged_on_at / PLAIT_US) << WORKER_BITS | (worker + 1);
    unsigned long long seen = atomic_load(&t->home[node]);

    do {
        if (seen > mine)
            return (seen & WORKER_MASK) == worker + 1;
    } while (!atomic_compare_exchange_weak(&t->home[node], &seen, mine));
    return true;
}

void plait_table_leave_home(struct plait_table *t, uint32_t node, unsigned worker)
{
    unsigned long long seen = atomic_load(&t->home[node]);

    while ((seen & WORKER_MASK) == worker + 1 && !atomic_compare_exchange_weak(&t->home[node], &seen, 0))
        ;
}

uint32_t plait_table_of_key(const struct plait_table *t, const struct plait_key *key)
{
    for (uint32_t i = 0; i < t->settings->node_count; i++)
        if (plait_key_is_equal(&t->settings->nodes[i].key, key))
            return i;
    return PLAIT_TABLE_NONE;
}
