/*
 * The node: all packets of a machine, or those to some networks, over all its uplinks to a hub.
 *
 * One thread. Packets go from the TUN device through the segmenter into the bond, which says when which of them
 * leaves on which path, are sealed and sent in batches; and back.
 */
#ifndef PLAIT_NODE_NODE_H
#define PLAIT_NODE_NODE_H

#include <stdbool.h>

#include "err.h"

#define PLAIT_NODE_CONFIG  "/etc/plait/node.conf"
#define PLAIT_NODE_CONTROL "/run/plait/node.sock"

/* Exit statuses. */
#define PLAIT_NODE_DONE   0
#define PLAIT_NODE_FAILED 1
#define PLAIT_NODE_USAGE  2 /* the configuration as well */

/* Runs until it is told to end. Words for people go to standard error. Returns the exit status. */
int plait_node_run(const char *config);
/* Reads the configuration and its key, says what is wrong with them, and does nothing else. */
int plait_node_check(const char *config);

struct plait_node_join_options {
    const char *token;
    const char *folder; /* where node.conf and node.key are made */
    const char *route;  /* as it stands in the configuration */
};

/* Makes a configuration and a key file out of a token. Overwrites nothing. */
int plait_node_join(const struct plait_node_join_options *options);

#endif
