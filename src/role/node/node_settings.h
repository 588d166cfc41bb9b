/*
 * The node's configuration file, read and checked (plait-node(8) describes it).
 */
#ifndef PLAIT_NODE_SETTINGS_H
#define PLAIT_NODE_SETTINGS_H

#include <limits.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "community_settings.h"
#include "config.h"
#include "err.h"
#include "hello.h"
#include "key.h"

#define PLAIT_NODE_UPLINKS_MAX PLAIT_HELLO_PATHS_MAX
#define PLAIT_NODE_ROUTES_MAX  64
#define PLAIT_NODE_MTU_MIN     1280u /* IPv6's least */
#define PLAIT_NODE_MTU_MAX     9000u
#define PLAIT_NODE_ERROR_MAX   1024

enum plait_node_route { PLAIT_NODE_ROUTE_DEFAULT, PLAIT_NODE_ROUTE_NONE, PLAIT_NODE_ROUTE_PREFIXES };

struct plait_node_uplink_settings {
    char name[PLAIT_CONFIG_LABEL_MAX + 1];
    char interface[IF_NAMESIZE];      /* "" = not bound to one */
    struct plait_prefix address;      /* all bits; family 0 = the interface's own */
    struct plait_config_endpoint hub; /* as seen from here */
    double weight_down, weight_up;    /* 0 = as measured */
    double limit_down, limit_up;      /* bytes/s, 0 = none */
    bool backup;
    uint64_t quota_bytes; /* 0 = none */
    enum plait_config_period quota_period;
};

struct plait_node_settings {
    char name[PLAIT_HELLO_NAME_MAX + 1];
    char key_file[PATH_MAX];
    struct plait_config_endpoint hub;
    struct plait_key hub_key; /* public */
    char interface[IF_NAMESIZE];
    enum plait_node_route route;
    struct plait_prefix routes[PLAIT_NODE_ROUTES_MAX]; /* PREFIXES */
    size_t route_count;
    char control[PATH_MAX];
    char state_file[PATH_MAX]; /* what quotas have been used */
    char user[64];             /* to become after set-up; "" = stay, without capabilities */
    unsigned mtu;              /* of the packets inside; 0 = as the paths allow */
    bool masquerade; /* what comes from other machines goes into the tunnel under the node's address */
    struct plait_node_uplink_settings uplinks[PLAIT_NODE_UPLINKS_MAX];
    size_t uplink_count; /* at least one, where there is no community */
    struct plait_node_community_settings communities[PLAIT_NODE_COMMUNITIES_MAX];
    size_t community_count;
};

/* Writes one line for people, "FILE:LINE: …", into `error` where it fails: PLAIT_ERR_FORMAT, PLAIT_ERR_RANGE,
 * PLAIT_ERR_NOTFOUND, PLAIT_ERR_IO, PLAIT_ERR_NOMEM. */
PLAIT_MUST_USE int plait_node_settings_read(const char *path, struct plait_node_settings *out,
                                            char error[PLAIT_NODE_ERROR_MAX]);

#endif
