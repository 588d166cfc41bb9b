/*
 * The hub: many nodes in one process. What comes sealed from a node goes on as IP packets from the hub's own
 * machine, and back.
 *
 * Each worker is a thread with a UDP socket (and a port), a queue of the TUN device, and nodes of its own; nothing
 * is shared on a packet's way but a table that is never changed, only replaced. What reaches the wrong worker is
 * handed on through a ring (mailbox.h).
 */
#ifndef PLAIT_HUB_HUB_H
#define PLAIT_HUB_HUB_H

#include <stdbool.h>

#include "err.h"

#define PLAIT_HUB_CONFIG  "/etc/plait/hub.conf"
#define PLAIT_HUB_CONTROL "/run/plait/hub.sock"

/* Exit statuses. */
#define PLAIT_HUB_DONE   0
#define PLAIT_HUB_FAILED 1
#define PLAIT_HUB_USAGE  2 /* the configuration as well */

/* Runs until it is told to end. Words for people go to standard error. Returns the exit status. */
int plait_hub_run(const char *config);
/* Reads the configuration and its key, says what is wrong with them, and does nothing else. */
int plait_hub_check(const char *config);

struct plait_hub_add_options {
    const char *config;
    const char *name;
    const char *public_endpoint; /* HOST:PORT, or NULL: as the configuration says */
    const char *lan, *address;   /* as they stand in the block, or NULL */
};

/* Makes a key for a new node; prints its block for the configuration and its token to standard output. */
int plait_hub_add(const struct plait_hub_add_options *options);

#endif
