/*
 * Requests to the kernel about links, addresses, routes and rules (rtnetlink, RFC 3549), each answered before the
 * function returns. What plait makes carries PLAIT_RTNL_PROTOCOL, so that its leftovers are recognised.
 */
#ifndef PLAIT_IO_RTNL_H
#define PLAIT_IO_RTNL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "prefix.h"

#define PLAIT_RTNL_PROTOCOL                                                                                  \
    112 /* rtm_protocol of our routes and rules: 'p'; nobody else's in iproute2's list */

struct plait_rtnl {
    int fd;
    uint32_t seq;
};

PLAIT_MUST_USE int plait_rtnl_open(struct plait_rtnl *r); /* PLAIT_ERR_IO (errno) */
void plait_rtnl_close(struct plait_rtnl *r);

/* All of these: PLAIT_ERR_NOTFOUND for an interface, address, route or rule that is not there, PLAIT_ERR_STATE
 * for one that is there already, otherwise PLAIT_ERR_IO (errno). */

PLAIT_MUST_USE int plait_rtnl_set_up(struct plait_rtnl *r, unsigned ifindex, bool up);
PLAIT_MUST_USE int plait_rtnl_set_mtu(struct plait_rtnl *r, unsigned ifindex, unsigned mtu);
PLAIT_MUST_USE int plait_rtnl_set_queue(struct plait_rtnl *r, unsigned ifindex, unsigned packets);
/* An address and its network; an IPv6 one is usable at once (no duplicate address detection). */
PLAIT_MUST_USE int plait_rtnl_add_address(struct plait_rtnl *r, unsigned ifindex,
                                          const struct plait_prefix *a);
PLAIT_MUST_USE int plait_rtnl_del_address(struct plait_rtnl *r, unsigned ifindex,
                                          const struct plait_prefix *a);

struct plait_rtnl_route {
    struct plait_prefix to;
    unsigned ifindex;
    uint32_t table;              /* 0: the main one */
    uint32_t metric;             /* 0: the kernel's default */
    uint32_t mtu;                /* 0: the interface's */
    uint32_t advmss;             /* what TCP tells the other side; 0: from the MTU */
    struct plait_prefix gateway; /* its address alone */
    bool has_gateway;
    bool elsewhere;   /* no route at all: what goes there is looked up in the next rule's table */
    uint8_t protocol; /* as found by plait_rtnl_routes; add always takes ours */
};

/* Replaces one of the same destination, table and metric. */
PLAIT_MUST_USE int plait_rtnl_add_route(struct plait_rtnl *r, const struct plait_rtnl_route *route);
PLAIT_MUST_USE int plait_rtnl_del_route(struct plait_rtnl *r, const struct plait_rtnl_route *route);

struct plait_rtnl_rule {
    int family;
    uint32_t priority;
    uint32_t table;
    uint32_t mark, mask; /* mask 0: whatever the mark */
    int suppress_prefix; /* routes of that length or shorter do not count; −1: all count */
    bool invert;         /* holds for what does not have the mark */
    uint8_t protocol;    /* as found by plait_rtnl_rules; add always takes ours */
};

PLAIT_MUST_USE int plait_rtnl_add_rule(struct plait_rtnl *r, const struct plait_rtnl_rule *rule);
PLAIT_MUST_USE int plait_rtnl_del_rule(struct plait_rtnl *r, const struct plait_rtnl_rule *rule);

/*
 * What is there, in out[0 … max): returns how many there are, which may be more than max, or a negative error.
 * Routes of one table (0: of all); of family AF_INET or AF_INET6. Rules of both are asked for one by one.
 */
PLAIT_MUST_USE int plait_rtnl_routes(struct plait_rtnl *r, int family, uint32_t table,
                                     struct plait_rtnl_route *out, size_t max);
PLAIT_MUST_USE int plait_rtnl_rules(struct plait_rtnl *r, int family, struct plait_rtnl_rule *out,
                                    size_t max);

#endif
