/*
 * The node as a terminal of communities: it announces itself, uses what its neighbours offer as paths of its own
 * tunnel, and carries for them what they have for the hub (theory: doc/community.md).
 *
 *      our packets → own socket on the LAN → port of a neighbour's uplink → … → hub
 *      a member → port of our uplink on the LAN → a socket of that uplink, one for each member → hub, and back
 *
 * What is carried are datagrams of the tunnel, sealed between others and the hub: they are neither read nor changed.
 * They come from members alone (by address and port, which they have announced) and go to our own hub's address alone.
 *
 *   community_node.c    neighbours: announcements, paths
 *   community_carry.c   what we carry for others
 *   community_status.c  plait status
 */
#ifndef PLAIT_NODE_COMMUNITY_NODE_H
#define PLAIT_NODE_COMMUNITY_NODE_H

#include <jansson.h>

#include "community.h"
#include "community_settings.h"
#include "door.h"
#include "fair.h"
#include "line.h"
#include "node_settings.h"

struct plait_node;
struct plait_uplink;
struct plait_node_community;

/* A member for whom an uplink of ours carries. */
struct plait_carry_flow {
    uint64_t instance; /* 0 = free */
    struct plait_carry_offer *offer;
    struct plait_door door;           /* on the uplink, connected to the hub */
    struct plait_udp_end hub, member; /* hub: blank, as the door is connected */
    union plait_udp_address source;   /* of the uplink, when the door was opened */
    union plait_udp_address to;       /* whom the door is connected to */
    uint16_t hub_port;
    uint64_t used_at;
};

/* The line of an uplink of ours, upward, while it is on offer: our own packets go first (tunnel/line.h). */
struct plait_carry_line {
    struct plait_line line;
    unsigned offers; /* of several communities; 0 = it is only ours */
};

/* An uplink of ours that is on offer in one community. */
struct plait_carry_offer {
    struct plait_node_community *community;
    struct plait_uplink *uplink; /* NULL = not on offer */
    struct plait_door door;      /* on the LAN */
    uint16_t port;               /* of it */
    struct plait_fair *up, *down;
    bool has_line; /* up has a seat at the uplink's */
    struct plait_carry_flow flows[PLAIT_FAIR_FLOWS_MAX];
    uint64_t up_bytes, down_bytes;
    double up_rate, down_rate; /* what it carries at most now, bytes/s; 0 = whatever there is */
};

/* An uplink of a neighbour, which is a path of ours. */
struct plait_neighbour {
    struct plait_node_community *community; /* NULL = not used */
    uint64_t instance;
    struct plait_announce_uplink uplink;
    char name[PLAIT_ANNOUNCE_NAME_MAX + 1];
    struct plait_udp_end end;
    unsigned state_told;
};

struct plait_node_community {
    struct plait_node *node;
    struct plait_node_community_settings settings;
    struct plait_community *membership; /* NULL = blank */
    uint64_t hub;
    uint64_t number;               /* of all who have the key, for the hub */
    int family;                    /* of the LAN; 0 = closed */
    union plait_udp_address group; /* where all hear us */
    unsigned interface_index;
    struct plait_door own, heard; /* own: what we send, and its answers; heard: what is said to all */
    struct plait_carry_offer offers[PLAIT_NODE_UPLINKS_MAX]; /* number i: of uplink i */
    uint64_t changes_seen;
    bool exhausted; /* the quota */
    uint64_t counted;
    uint64_t arrived_bytes; /* of ours at the hub, over all lines, at the last tick; and when that was */
    uint64_t arrived_at;
    uint16_t port_told; /* of the hub, that we use */
    uint64_t strangers; /* datagrams that were not carried: of nobody whom we know, or not of the tunnel */
};

/* All of them: what `plait_node` has as `communities`, and `neighbours` by the number of the path. */
PLAIT_MUST_USE int plait_node_communities_init(struct plait_node *n);
/* Says good-bye and closes everything. */
void plait_node_communities_leave(struct plait_node *n);
void plait_node_communities_done(struct plait_node *n);
/* Announces, follows who is there. Before the tunnel's own datagrams are sent. */
void plait_node_communities_pump(struct plait_node *n);
/* Sends what is carried for others: after our own. */
void plait_node_communities_carry(struct plait_node *n);
uint64_t plait_node_communities_deadline(const struct plait_node *n);
void plait_node_communities_on_deadline(struct plait_node *n);
/* Once a second: interfaces, rates, quotas, flows that have been idle. */
void plait_node_communities_on_tick(struct plait_node *n);
/* The configuration has been read anew: the paths may get other numbers; then, what is on offer may be something else. */
void plait_node_communities_forget_paths(struct plait_node *n);
void plait_node_communities_change(struct plait_node *n);
/* The socket by which that path of a neighbour leaves; NULL where there is none. */
struct plait_udp *plait_node_neighbour_door(struct plait_node *n, unsigned path,
                                            const struct plait_udp_end **end);
/* The line behind an uplink of ours, for the hub; 0 where nobody else's paths lead over it, or what we carry is held
 * back by a limit or a share. */
uint64_t plait_node_line(const struct plait_node *n, const struct plait_uplink *u);
/* A neighbour has tried that port of the hub. */
bool plait_node_neighbours_use_port(const struct plait_node *n, uint16_t port);
/* Their number in the hello to the hub, and bits for the session. */
void plait_node_neighbours_hello(const struct plait_node *n, struct plait_hello *hello);
uint32_t plait_node_neighbours_paths(const struct plait_node *n);
/* What an uplink has carried for others, both ways. */
uint64_t plait_node_carried_bytes(const struct plait_node *n, unsigned uplink);
json_t *plait_node_communities_status(struct plait_node *n);

/* community_carry.c, for community_node.c */

/* Opens and closes what is on offer as the uplinks are now; writes it down for the announcement. */
size_t plait_offers_look(struct plait_node_community *c,
                         struct plait_announce_uplink out[PLAIT_ANNOUNCE_UPLINKS_MAX]);
bool plait_offers_are_bounded(const struct plait_node_community *c);
void plait_offers_close(struct plait_node_community *c);
/* Who wants to be carried gets less here the more he has elsewhere: what the members say of it. */
void plait_offers_told(struct plait_node_community *c);
/* The members who have gone lose their sockets, and so do those who were idle for long. */
void plait_offers_sweep(struct plait_node_community *c, bool idle);

#endif
