/*
 * What the hub's files share.
 *
 *   hub.c       set-up, running, tear-down, reload: the main thread
 *   worker.c    a thread: sockets, TUN queue, the nodes that talk to it
 *   stray.c     what reaches the wrong worker's port
 *   member.c    one node as one worker knows it: session, bond, where its paths' ends are
 *   lines.c     uplinks that several nodes' paths lead over
 *   route.c     what the kernel has to know of one node: its MTU
 *   add.c       plait hub add
 *   status.c    plait status
 *   ports.c     plait hub ports
 */
#ifndef PLAIT_HUB_HUB_INT_H
#define PLAIT_HUB_HUB_INT_H

#include <jansson.h>

#include "agenda.h"
#include "alarm.h"
#include "control.h"
#include "hello.h"
#include "hub.h"
#include "hub_settings.h"
#include "inquiry.h"
#include "line.h"
#include "loop.h"
#include "mailbox.h"
#include "outbox.h"
#include "peer.h"
#include "port.h"
#include "rtnl.h"
#include "say.h"
#include "self.h"
#include "sessions.h"
#include "table.h"

struct plait_hub;
struct plait_hub_worker;

#define PLAIT_HUB_LINE_BUCKETS 64u

/* The line of an uplink over which several nodes' paths lead, as they say (hello.h); here while there is a path. */
struct plait_hub_line {
    struct plait_hub_line *next; /* of its bucket */
    uint64_t id;
    struct plait_line line;
    unsigned seats;
    const struct plait_member *owner; /* whoever said first that it is his; NULL = nobody */
};

/* What a node has said of the line behind a path. */
struct plait_member_seat {
    uint64_t id; /* 0 = it has it for itself */
    bool owner;
    struct plait_hub_line *line; /* NULL: not yet, the path is not used; or without memory */
};

/* A node as a worker knows it. */
struct plait_member {
    struct plait_agenda_entry due; /* first: the entry is the member */
    struct plait_hub_worker *worker;
    uint32_t node; /* number in the worker's table */
    struct plait_session *session;
    struct plait_peer peer;
    struct plait_inquiry exchange;
    bool has_peer, is_dirty, is_home;
    bool v6; /* the outer family of its last handshake */
    struct plait_member *next_dirty;
    struct plait_udp *udp[PLAIT_BOND_PATHS];
    struct plait_udp_end ends[PLAIT_BOND_PATHS];
    struct plait_member_seat seats[PLAIT_BOND_PATHS];
    uint64_t group;                /* as it says; 0 = none */
    uint32_t paths;                /* bit i: udp[i] and ends[i] are known */
    uint64_t knocked_at, heard_at; /* 0 = never */
    uint64_t logged_on_at;         /* when the knock came from which the keys in use are; 0 = never */
    uint64_t since;                /* the peer was made */
    uint64_t refused;              /* packets from addresses that are not its own */
    unsigned route_mtu;            /* of the kernel's routes to it; 0 = there are none but the network's */
};

/*
 * A worker has two sockets at its port for each family: handshakes have one of their own, so that a flood of them
 * does not fill the buffer that sealed packets come through.
 */
struct plait_hub_socket {
    struct plait_udp udp;
    struct plait_watch watch;
    struct plait_hub_worker *worker;
    struct plait_udp *out; /* what answers leave by */
    bool is_door;          /* for handshakes */
    bool is_paused;
};

#define PLAIT_HUB_SOCKETS_MAX 4   /* of a worker */
#define PLAIT_HUB_ROOM        100 /* that datagrams may be longer than what is known to be in them */

enum plait_hub_task { PLAIT_TASK_NONE, PLAIT_TASK_RELOAD, PLAIT_TASK_STATUS, PLAIT_TASK_END };

struct plait_hub_worker {
    struct plait_hub *hub;
    unsigned number;
    uint16_t udp_port;
    uv_thread_t thread;
    bool is_running;
    struct plait_loop loop;
    struct plait_hub_socket sockets[PLAIT_HUB_SOCKETS_MAX];
    size_t socket_count;
    struct plait_port port;
    struct plait_watch port_watch;
    struct plait_alarm alarm;
    struct plait_timer tick, door; /* door: handshakes are looked at again */
    uint64_t door_left;            /* how many of them until then */
    uv_async_t wake;
    struct plait_pool pool;
    struct plait_crypto *crypto;
    struct plait_sessions *sessions;
    struct plait_outbox outbox;
    struct plait_udp_inbox *inbox;
    struct plait_mailbox mailbox;                                         /* inner packets */
    struct plait_mailbox strays;                                          /* sealed datagrams */
    struct plait_udp mates[PLAIT_HUB_WORKERS_MAX][PLAIT_HUB_SOCKETS_MAX]; /* copies: fds of the others' */
    struct plait_agenda agenda;
    struct plait_hub_line *lines[PLAIT_HUB_LINE_BUCKETS]; /* owned, by the members' seats */
    struct plait_rtnl rtnl;
    bool rtnl_is_open;
    struct plait_table *table;     /* the present one; borrowed */
    struct plait_member **members; /* owned; by number in the table; NULL where the key was refused */
    struct plait_member *dirty;
    size_t knocks; /* in the present event */
    uint64_t unknown, misdirected, handed_on, no_route;
    /* What the main thread asks: it sets these, wakes the worker, and waits for `done`. */
    atomic_int task; /* enum plait_hub_task */
    struct plait_table *next_table;
    json_t *answer;
    int result;
    uv_sem_t done;
};

struct plait_hub {
    struct plait_loop loop;
    struct plait_signal term, interrupt, hangup;
    uv_async_t stop;    /* a worker cannot go on */
    const char *config; /* path */
    struct plait_self self;
    struct plait_table *table;        /* owned */
    struct plait_hub_worker *workers; /* owned */
    unsigned worker_count;
    struct plait_tun tun; /* the first queue, until a worker has it */
    struct plait_control *control;
    uint64_t started_at;
    bool has_nat;
    atomic_bool failed;
};

/* member.c */

/* The key may come to this worker. NULL where it cannot (said), or without memory. */
struct plait_member *plait_member_new(struct plait_hub_worker *w, uint32_t node);
void plait_member_free(struct plait_member *m);
const struct plait_hub_node_settings *plait_member_settings(const struct plait_member *m);
/* It has knocked, and what it said; makes its bond. PLAIT_ERR_*: it is not to be answered. */
PLAIT_MUST_USE int plait_member_on_knock(struct plait_member *m, const uint8_t *hello, size_t len, bool v6);
/* A sealed datagram that says that it is of its session. */
void plait_member_on_sealed(struct plait_member *m, struct plait_udp *udp,
                            const struct plait_udp_packet *packet);
/* Once a second: the MTU; frees the bond of one that has gone. */
void plait_member_on_tick(struct plait_member *m);
/* What it is told. Returns the length. */
int plait_member_hello(const struct plait_member *m, uint8_t out[PLAIT_HELLO_BYTES_MAX]);
/* Which worker it should talk to. */
unsigned plait_member_place(const struct plait_member *m);
/* Something may have to be sent to it, at the end of the event. */
void plait_member_touch(struct plait_member *m);

/* lines.c */

/* What the node says of the line behind its path; 0 = nobody else's paths lead over it. */
void plait_member_name_line(struct plait_member *m, unsigned path, uint64_t line, bool owner);
/* The bond has the path: it takes its seat at the line, if it has not yet. */
void plait_member_take_seat(struct plait_member *m, unsigned path);

/* route.c */

/* Tells the kernel how long packets to that node may be, where that is less than what the device has. */
void plait_member_fit_route(struct plait_member *m);
void plait_member_drop_route(struct plait_member *m);

/* worker.c */

PLAIT_MUST_USE int plait_worker_init(struct plait_hub_worker *w, struct plait_hub *hub, unsigned number,
                                     const struct plait_tun *tun);
PLAIT_MUST_USE int plait_worker_start(struct plait_hub_worker *w);
/* After its thread has ended, or where it never began. */
void plait_worker_done(struct plait_hub_worker *w);
/* From the main thread: has the worker do something, and waits for it. */
void plait_worker_ask(struct plait_hub_worker *w, enum plait_hub_task task);
/* A packet for a node that talks to another worker. */
void plait_worker_hand_on(struct plait_hub_worker *w, const uint8_t *packet, size_t len);

/* stray.c */

PLAIT_MUST_USE int plait_strays_init(struct plait_hub_worker *w);
void plait_strays_done(struct plait_hub_worker *w);
/* Once all of them have their sockets, and before they run. */
void plait_strays_meet(struct plait_hub *h);
/* A datagram of no session of this worker, which came in by that socket of it: true where another one gets it. */
PLAIT_MUST_USE bool plait_stray_hand_on(struct plait_hub_worker *w, const struct plait_udp *udp,
                                        const struct plait_udp_packet *packet);
void plait_strays_take(struct plait_hub_worker *w);

/* status.c */
json_t *plait_hub_status(struct plait_hub *h);
json_t *plait_worker_status(struct plait_hub_worker *w);

/* ports.c */

/* Member `ports`, or `error`. */
json_t *plait_hub_ports(struct plait_hub *h);

#endif
