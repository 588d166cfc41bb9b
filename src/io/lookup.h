/*
 * A host's address, asked of the resolvers in resolv.conf through sockets of our own: marked and bound to an uplink,
 * they leave past a tunnel that everything else goes into (policy.h). That is how a node finds a hub that has moved
 * while the tunnel is dead, and the system's own questions with it.
 *
 * Plain DNS over UDP (RFC 1035), by the C library's own reader of its messages. The name is complete: no search list,
 * no hosts file. What answers is believed: whoever lies about a hub's address does not have its key.
 */
#ifndef PLAIT_IO_LOOKUP_H
#define PLAIT_IO_LOOKUP_H

#include <net/if.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "err.h"

#define PLAIT_LOOKUP_HOST_MAX 254 /* a name and its terminator */

struct plait_lookup {
    char host[PLAIT_LOOKUP_HOST_MAX];
    int family;                  /* AF_UNSPEC: an IPv4 address, or else one of IPv6 */
    char interface[IF_NAMESIZE]; /* "" = as the machine's routes say */
    uint32_t mark;               /* 0 = none; needs CAP_NET_ADMIN */
};

/*
 * Blocks, for some seconds at most: for a thread of its own. The port in *out is 0. PLAIT_ERR_NOTFOUND: there is no such
 * name, or no address; PLAIT_ERR_IO: nobody answered, or there is no resolver but on this machine itself.
 */
PLAIT_MUST_USE int plait_lookup_run(const struct plait_lookup *l, struct sockaddr_storage *out);

/*
 * The first address of that family in an answer to the question with that number: 0, PLAIT_ERR_NOTFOUND (the answer is
 * that there is none), PLAIT_ERR_IO (the resolver cannot tell), PLAIT_ERR_FORMAT (it is no answer to it).
 */
PLAIT_MUST_USE int plait_lookup_read(const uint8_t *message, size_t len, uint16_t id, int family,
                                     struct sockaddr_storage *out);

#endif
