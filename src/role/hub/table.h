/*
 * Which node an address within is of, and which addresses a node may send from. Made once out of the settings and
 * then only read, by all threads, but for `home`.
 */
#ifndef PLAIT_HUB_TABLE_H
#define PLAIT_HUB_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "hub_settings.h"

#define PLAIT_TABLE_NONE UINT32_MAX

struct plait_table_slot {
    uint8_t address[16];
    uint32_t node; /* PLAIT_TABLE_NONE = free */
};

struct plait_table_prefix {
    struct plait_prefix prefix;
    uint32_t node;
};

struct plait_table {
    struct plait_hub_settings *settings;      /* owned */
    struct plait_table_slot *slots4, *slots6; /* owned */
    uint32_t slots_mask;
    struct plait_table_prefix *prefixes; /* owned: of all nodes, the longest first */
    size_t prefix_count;
    atomic_uchar
        *home; /* owned: for each node, the number of the worker that it talks to, plus 1; 0 = none */
};

/* Takes the settings over where it succeeds. Returns owned, or NULL. */
struct plait_table *plait_table_new(struct plait_hub_settings *settings);
void plait_table_free(struct plait_table *t); /* NULL is harmless */
/* The node to which packets to that address go, PLAIT_TABLE_NONE where there is none. 4 or 16 bytes. */
uint32_t plait_table_find(const struct plait_table *t, bool v6, const uint8_t *address);
/* The node may send packets from that address. */
bool plait_table_allows(const struct plait_table *t, uint32_t node, bool v6, const uint8_t *address);
/* The node of that key, PLAIT_TABLE_NONE. Takes its time. */
uint32_t plait_table_of_key(const struct plait_table *t, const struct plait_key *key);

#endif
