/*
 * The hub's configuration file, read and checked (plait-hub(8) describes it).
 */
#ifndef PLAIT_HUB_SETTINGS_H
#define PLAIT_HUB_SETTINGS_H

#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "config.h"
#include "err.h"
#include "hello.h"
#include "key.h"

#define PLAIT_HUB_NODES_MAX   16384u
#define PLAIT_HUB_ALLOW_MAX   8u
#define PLAIT_HUB_PUBLISH_MAX 256u
#define PLAIT_HUB_WORKERS_MAX 32u
#define PLAIT_HUB_PORT        4040u
#define PLAIT_HUB_MTU_MIN     1280u
#define PLAIT_HUB_MTU_MAX     9000u
#define PLAIT_HUB_MTU         1428u /* what fits 1500 bytes with IPv4 outside */
#define PLAIT_HUB_ERROR_MAX   1024

struct plait_hub_node_settings {
    char name[PLAIT_HELLO_NAME_MAX + 1];
    struct plait_key key; /* public */
    bool has_lan;
    uint32_t lan;
    bool has_v4, has_v6;
    uint8_t v4[4], v6[16];                          /* its address within */
    struct plait_prefix allow[PLAIT_HUB_ALLOW_MAX]; /* what else it may send from */
    size_t allow_count;
};

struct plait_hub_publish {
    bool udp; /* else tcp */
    uint16_t port, to_port;
    size_t node; /* index */
};

struct plait_hub_settings {
    struct sockaddr_storage listen;
    char key_file[PATH_MAX];
    struct plait_prefix network4, network6; /* family 0 = none; at least one */
    uint8_t own4[4], own6[16];              /* the hub's addresses within: the networks' first */
    char interface[IF_NAMESIZE];
    char nat[IF_NAMESIZE]; /* "" = off */
    char control[PATH_MAX];
    char user[64];                         /* to become after set-up; "" = stay, without capabilities */
    char public_endpoint[288];             /* HOST:PORT for tokens, "" = not said */
    unsigned mtu;                          /* of the packets inside */
    unsigned workers;                      /* 0 = as there are processors */
    uint64_t udp_idle_ns;                  /* how long a dedicated UDP port stays without traffic */
    struct plait_hub_node_settings *nodes; /* owned */
    size_t node_count;
    struct plait_hub_publish publish[PLAIT_HUB_PUBLISH_MAX];
    size_t publish_count;
};

/*
 * Writes one line for people, "FILE:LINE: …", into `error` where it fails: PLAIT_ERR_FORMAT, PLAIT_ERR_RANGE,
 * PLAIT_ERR_NOTFOUND, PLAIT_ERR_LIMIT, PLAIT_ERR_IO, PLAIT_ERR_NOMEM. Returns owned through *out.
 */
PLAIT_MUST_USE int plait_hub_settings_read(const char *path, struct plait_hub_settings **out,
                                           char error[PLAIT_HUB_ERROR_MAX]);
void plait_hub_settings_free(struct plait_hub_settings *s); /* NULL is harmless */
/* A word of a node's `address`, through *out. NULL, or what is wrong with it, for people: "is not …". */
const char *plait_hub_settings_address(const struct plait_hub_settings *h, const char *word,
                                       struct plait_prefix *out);

#endif
