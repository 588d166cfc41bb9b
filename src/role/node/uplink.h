/*
 * An uplink of the node: where it leads, the socket bound to it, and whether it can carry anything now.
 *
 * An uplink with an interface is open while that is up and has an address of the hub's family; one with an address
 * alone while some interface has it. Looking again after every change that the kernel tells of, and a socket of its
 * own for every turn, make it follow whatever happens to the interface.
 */
#ifndef PLAIT_NODE_UPLINK_H
#define PLAIT_NODE_UPLINK_H

#include "lookup.h"
#include "loop.h"
#include "node_settings.h"
#include "udp.h"

struct plait_uplink;

struct plait_uplink_events {
    /* There is something to be read from uplink->udp. */
    void (*readable)(void *ctx, struct plait_uplink *u);
    /* The hub's name has been resolved, or could not be; uplink->end.remote then has no port yet. */
    void (*resolved)(void *ctx, struct plait_uplink *u);
};

enum plait_uplink_change {
    PLAIT_UPLINK_SAME,
    PLAIT_UPLINK_OPENED,
    PLAIT_UPLINK_CLOSED,
    PLAIT_UPLINK_MOVED, /* as before, but from another address or interface */
};

struct plait_uplink_watch;

struct plait_uplink {
    struct plait_node_uplink_settings settings;
    uint8_t path;
    bool used; /* the others are blank */
    struct plait_loop *loop;
    const struct plait_uplink_events *events;
    void *ctx;
    uint32_t mark;                    /* for the socket, see policy.h */
    struct plait_udp udp;             /* where watch is not NULL */
    struct plait_uplink_watch *watch; /* NULL = closed */
    struct plait_udp_end end;         /* the hub; its port is the owner's to change */
    struct plait_udp_end trial;       /* the same hub, another port; the owner's */
    union plait_udp_address source;   /* the interface's address as it was opened */
    char interface[IF_NAMESIZE];      /* as it was opened; "" = any */
    const char *trouble;              /* why it is closed, in words; NULL = nothing is known */
    struct plait_work resolving;      /* where the hub is given by name */
    struct plait_lookup question;     /* the resolving thread's, as is `answer`, while that is busy */
    bool past_tunnel;                 /* the same */
    bool resolved, hub_moved;         /* hub_moved: the last answer was another one than before */
    struct sockaddr_storage answer;
    uint64_t counted;    /* bytes, both ways, that the quota knows of */
    bool exhausted;      /* the quota is used up */
    bool stays;          /* at the hub's known port: the one that it has told cannot be reached from here */
    unsigned silent;     /* ticks without an answer, while others have some */
    bool no_way;         /* the system has refused to send there; the next look tells */
    bool told_name;      /* people know that the hub's name is not resolved */
    bool told_trouble;   /* the same of why it has not been opened yet */
    unsigned state_told; /* what people were told last */
};

/* `u` is blank; its memory stays until the loop has been drained. Borrows loop, events and ctx. */
void plait_uplink_init(struct plait_uplink *u, const struct plait_node_uplink_settings *settings,
                       uint8_t path, struct plait_loop *loop, const struct plait_uplink_events *events,
                       void *ctx, uint32_t mark);
/*
 * Begins to resolve the hub's name, or has it at once where it is an address; then `resolved` is called. With
 * `past_tunnel`, resolvers are first asked through this uplink (lookup.h).
 */
void plait_uplink_resolve(struct plait_uplink *u, bool past_tunnel);
/* Looks at the interfaces as they are now. */
enum plait_uplink_change plait_uplink_look(struct plait_uplink *u);
void plait_uplink_close(struct plait_uplink *u);
bool plait_uplink_is_open(const struct plait_uplink *u);

#endif
