/*
 * The tunnel's part of the firewall: one nftables table of its own, `inet plait_IFNAME`, which is replaced as a whole
 * and removed as a whole. Leftovers of a crash have the same name, so the next start replaces them.
 *
 *   - masquerade: what comes from these networks and leaves by that interface gets its address
 *   - clamp: the MSS of TCP connections through the tunnel follows the route's MTU, so that nothing depends on ICMP
 *   - publish: what is asked of a port of this machine is given to an inner address (DNAT)
 *   - UDP's idle time: how long a dedicated port without traffic stays one (conntrack.h)
 *
 * Forwarding itself is switched on by plait_nat_forward. Networks that other tables drop stay dropped.
 */
#ifndef PLAIT_IO_NAT_H
#define PLAIT_IO_NAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "prefix.h"

#define PLAIT_NAT_ERROR_MAX 512

struct plait_nat_publish {
    bool udp; /* otherwise TCP */
    uint16_t port;
    struct plait_prefix to; /* its address alone */
    uint16_t to_port;
};

struct plait_nat_options {
    const char *interface;               /* the tunnel's; letters, digits, `_`, `-`, `.` */
    const char *out;                     /* masquerade what leaves there; NULL: nothing */
    const struct plait_prefix *networks; /* that it is from */
    size_t network_count;
    bool clamp;
    const struct plait_nat_publish *publish;
    size_t publish_count;
    unsigned udp_idle_s; /* 0: as the system has it */
};

/*
 * Sets it all, or changes nothing. Needs CAP_NET_ADMIN. PLAIT_ERR_ARG for a name that is none; PLAIT_ERR_IO with the
 * reason in `error`. Where the kernel has no timeout objects, udp_idle_s is left out and the result is 1.
 */
PLAIT_MUST_USE int plait_nat_set(const struct plait_nat_options *o, char error[PLAIT_NAT_ERROR_MAX]);
/* Removes it, also what an earlier process has left. Returns 1 where there was something, 0, or PLAIT_ERR_IO. */
PLAIT_MUST_USE int plait_nat_clear(const char *interface, char error[PLAIT_NAT_ERROR_MAX]);

/*
 * Lets packets that come in by this interface go on by others; NULL: by any, which a node needs that is the router of
 * its LAN. IPv6 has it for the whole machine only, and a machine that forwards no longer listens to routers: where an
 * interface does, it is told to do so all the same (accept_ra = 2), as its own routes would go otherwise. Returns 1
 * where that was off, 0 where it was on already, PLAIT_ERR_IO. It stays when we end: others may have come to rely on
 * it.
 */
PLAIT_MUST_USE int plait_nat_forward(const char *interface, int family);

/* `tcp/8080 -> farm:80`, with what stands for the node as it is written. PLAIT_ERR_FORMAT. */
PLAIT_MUST_USE int plait_nat_parse_publish(const char *text, bool *udp, uint16_t *port, char *host,
                                           size_t host_size, uint16_t *to_port);

#endif
