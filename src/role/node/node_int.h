/*
 * What the node's files share.
 *
 *   node.c      set-up, running, tear-down, reload
 *   traffic.c   packets and datagrams; uplinks that come and go
 *   logon.c     what is told to the hub, and what follows from its answer: addresses, MTU, routes, port
 *   tick.c      once a second: what has changed for people, quotas, the MTU
 *   status.c    plait status
 *   community_node.h   the terminals of the LAN: see there
 */
#ifndef PLAIT_NODE_NODE_INT_H
#define PLAIT_NODE_NODE_INT_H

#include <jansson.h>

#include "alarm.h"
#include "community_node.h"
#include "control.h"
#include "hello.h"
#include "inquiry.h"
#include "loop.h"
#include "netwatch.h"
#include "node.h"
#include "node_settings.h"
#include "outbox.h"
#include "peer.h"
#include "port.h"
#include "quota.h"
#include "say.h"
#include "self.h"
#include "uplink.h"

struct plait_node {
    struct plait_loop loop;
    struct plait_signal term, interrupt, hangup;
    struct plait_timer tick;
    struct plait_alarm alarm;
    const char *config; /* path */
    uint32_t mark;      /* of our own sockets, which the tunnel must not carry */
    struct plait_node_settings settings;
    struct plait_self self;
    struct plait_crypto *crypto;
    struct plait_session *session;
    struct plait_pool pool;
    struct plait_peer peer;
    struct plait_inquiry exchange;
    struct plait_port port;
    struct plait_watch port_watch;
    struct plait_outbox outbox;
    struct plait_udp_inbox *inbox;
    struct plait_netwatch *netwatch;
    struct plait_control *control;
    struct plait_uplink uplinks[PLAIT_NODE_UPLINKS_MAX]; /* number i is path i */
    struct plait_node_community *communities;            /* owned */
    size_t community_count;
    struct plait_carry_line lines[PLAIT_NODE_UPLINKS_MAX]; /* number i: of uplink i */
    bool tell_again; /* the hub has not been told of the last change of neighbours */
    struct plait_neighbour
        neighbours[PLAIT_NODE_UPLINKS_MAX]; /* number i is path i, where uplink i is not used */
    struct plait_quota quota;
    bool port_is_open, alarm_is_set_up, has_policy, has_nat;
    bool ending, failed;
    /* Log-on. */
    bool logged_on;               /* at least once */
    bool connected, told_silence; /* as told to people: heard lately; not */
    bool told_no_answer;          /* people know that it has not answered since the start */
    struct plait_hello hub;       /* what it said last */
    uint64_t logged_on_at;        /* for the last time */
    uint16_t advised_port;        /* of the hub, in use instead of the configured one; 0 = none */
    uint16_t trial_port; /* of the hub, to which handshakes go to see whether they are answered; 0 = none */
    uint64_t trial_at, no_trial_until;
    uint64_t heard_at; /* something that the hub sealed */
    unsigned mtu;      /* of the TUN device, now */
    uint64_t started_at, ticks;
    uint64_t lost_ticks; /* the hub cannot be reached for so long */
};

/* traffic.c */

/* Sends what is to be sent, writes what is to be written, and sets the alarm: after every event. */
void plait_node_pump(void *node);
void plait_node_on_alarm(void *node);
void plait_node_on_port(void *node);
void plait_node_deliver(void *node, uint64_t now, const uint8_t *bytes, size_t len);
void plait_node_on_control(void *node, uint64_t now, unsigned path, const uint8_t *bytes, size_t len);
void plait_node_on_trouble(void *node, const struct plait_udp_end *end, enum plait_udp_trouble what);
extern const struct plait_uplink_events plait_node_uplink_events;
/* A datagram that came on that path. */
void plait_node_recv(struct plait_node *n, uint8_t path, const struct plait_udp_packet *packet);
/* Which paths handshakes go over. */
void plait_node_tell_session(struct plait_node *n);
/* The interfaces may have changed: looks at every uplink. */
void plait_node_look(void *node);
/* The path's properties as its uplink's settings are. */
void plait_node_set_path(struct plait_node *n, struct plait_uplink *u);
void plait_node_drop_path(struct plait_node *n, struct plait_uplink *u);

/* logon.c */

/* What the hub is told at the next handshake. */
void plait_node_announce(struct plait_node *n);
/* New keys, by an answer from there; `hello` is what the hub said. */
void plait_node_on_keys(struct plait_node *n, const union plait_udp_address *from, const uint8_t *hello,
                        size_t len);
/* Where an uplink's handshakes go while another port is tried. Good until the next call. */
const struct plait_udp_end *plait_node_trial_end(const struct plait_node *n, struct plait_uplink *u);
/* Sets the port to which an uplink's datagrams go. */
void plait_node_aim(const struct plait_node *n, struct plait_uplink *u);
/* Sets the port of the hub for all uplinks: the advised one, or the configured one. */
void plait_node_use_port(struct plait_node *n, uint16_t advised);
/* The MTU that the paths and the hub allow. */
void plait_node_fit_mtu(struct plait_node *n);
/* Takes away what log-on has set up in the system. */
void plait_node_undo(struct plait_node *n);

/* tick.c */
void plait_node_on_tick(void *node);
void plait_node_save_quota(struct plait_node *n);

/* status.c */

/* Returned owned; NULL without memory. */
json_t *plait_node_status(struct plait_node *n);

#endif
