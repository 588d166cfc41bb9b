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
    atomic_ullong *home; /* owned: for each node, where it is at home (below), 0 = nowhere */
};

/* Takes the settings over where it succeeds. Returns owned, or NULL. */
struct plait_table *plait_table_new(struct plait_hub_settings *settings);
void plait_table_free(struct plait_table *t); /* NULL is harmless */
/* The node to which packets to that address go, PLAIT_TABLE_NONE where there is none. 4 or 16 bytes. */
uint32_t plait_table_find(const struct plait_table *t, bool v6, const uint8_t *address);
/* The node may send packets from that address. */
bool plait_table_allows(const struct plait_table *t, uint32_t node, bool v6, const uint8_t *address);
/*
 * The worker that a node talks to, by number from 0; −1 = none. A worker takes a node home with the time of its log-on,
 * by the hub's clock: two workers may hear of the same node at once, in any order, and the later log-on is where it is.
 * Returns whether the node is at home there now.
 */
int plait_table_home(const struct plait_table *t, uint32_t node);
bool plait_table_take_home(struct plait_table *t, uint32_t node, unsigned worker, uint64_t logged_on_at);
/* If it is at home there. */
void plait_table_leave_home(struct plait_table *t, uint32_t node, unsigned worker);
/* The node of that key, PLAIT_TABLE_NONE. Takes its time. */
uint32_t plait_table_of_key(const struct plait_table *t, const struct plait_key *key);

#endif
