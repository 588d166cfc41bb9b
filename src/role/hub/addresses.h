/*
 * The addresses within the tunnel: which are the hub's, which each node's.
 *
 * A node without an address in the configuration gets one that follows from its key, so that it has the same one
 * after every start, whatever stands before it in the file.
 */
#ifndef PLAIT_HUB_ADDRESSES_H
#define PLAIT_HUB_ADDRESSES_H

#include "hub_settings.h"

/* An address of 4 or 16 bytes is of the prefix; never for a prefix of family 0. */
bool plait_addresses_has(const struct plait_prefix *p, int family, const uint8_t *address);
/* The first address of a network after that which names it; nothing for family 0. */
void plait_addresses_first(const struct plait_prefix *network, uint8_t *out);
/* Gives every node the addresses that it lacks. PLAIT_ERR_LIMIT where a network is full. */
PLAIT_MUST_USE int plait_addresses_assign(struct plait_hub_settings *h);

#endif
