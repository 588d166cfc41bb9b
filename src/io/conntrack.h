/*
 * The dedicated ports of a hub: which of its ports the kernel's NAT has given to which connection of an inner address
 * (seed of the reconstitution server's port table), from the kernel's connection tracking.
 */
#ifndef PLAIT_IO_CONNTRACK_H
#define PLAIT_IO_CONNTRACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "prefix.h"

#define PLAIT_CONNTRACK_UDP_IDLE_S 300 /* the default of nat.h's udp_idle_s */

struct plait_conntrack_port {
    uint8_t protocol;          /* IPPROTO_TCP, IPPROTO_UDP; ICMP's echo has its number as ports */
    uint16_t port;             /* the dedicated one, towards the world */
    struct plait_prefix inner; /* its address alone */
    uint16_t inner_port;
    struct plait_prefix remote; /* whom the inner address talks to; its address alone */
    uint16_t remote_port;
    uint32_t idle_s; /* since the last packet, as far as the time that is left tells */
    uint32_t left_s; /* until it is forgotten when nothing comes */
    bool published;  /* it came in by a published port (nat.h), not from inside */
};

struct plait_conntrack_query {
    const struct plait_prefix *networks; /* inner addresses that count */
    size_t network_count;
    unsigned udp_idle_s; /* as it was set by nat.h; 0: as the system has it */
    /* Called for each; what it returns other than 0 ends the listing. */
    int (*found)(void *ctx, const struct plait_conntrack_port *port);
    void *ctx;
};

/*
 * Lists them, in no order. Needs CAP_NET_ADMIN. PLAIT_ERR_NOTFOUND where this kernel has no such listing (no
 * nf_conntrack_netlink), PLAIT_ERR_IO (errno), or what `found` has returned.
 */
PLAIT_MUST_USE int plait_conntrack_list(const struct plait_conntrack_query *q);

#endif
