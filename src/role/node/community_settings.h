/*
 * A section [community "NAME"] of node.conf, read and checked (plait-node(8) describes it).
 */
#ifndef PLAIT_NODE_COMMUNITY_SETTINGS_H
#define PLAIT_NODE_COMMUNITY_SETTINGS_H

#include <limits.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "err.h"
#include "udp.h"

#define PLAIT_NODE_COMMUNITIES_MAX 4
#define PLAIT_NODE_NEIGHBOURS_MAX  16
#define PLAIT_COMMUNITY_PORT       4041

struct plait_node_community_settings {
    char name[PLAIT_CONFIG_LABEL_MAX + 1];
    char interface[IF_NAMESIZE];
    char key_file[PATH_MAX];
    char offer[PLAIT_CONFIG_LINE_MAX + 1]; /* names of uplinks; "" = nothing */
    double share;                          /* 0 to 1, of each uplink */
    double limit_down, limit_up;           /* bytes/s, 0 = none */
    uint64_t quota_bytes;                  /* 0 = none */
    enum plait_config_period quota_period;
    uint64_t period; /* ns */
    unsigned missed_max;
    uint16_t port;
    union plait_udp_address neighbours[PLAIT_NODE_NEIGHBOURS_MAX]; /* that are told one by one */
    size_t neighbour_count;
};

extern const struct plait_config_key plait_node_community_keys[];

/* PLAIT_ERR_*, and the configuration has the words for it. */
PLAIT_MUST_USE int plait_node_community_read(struct plait_config_section *s,
                                             struct plait_node_community_settings *out);
/* Whether they differ in what is on offer alone, and in how much of it. */
bool plait_node_community_is_same(const struct plait_node_community_settings *a,
                                  const struct plait_node_community_settings *b);
/* Whether an uplink of that name is on offer: it is named, or all are. */
bool plait_node_community_offers(const struct plait_node_community_settings *s, const char *uplink,
                                 bool metered);

#endif
