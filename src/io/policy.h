/*
 * Sends the machine's packets into the tunnel and keeps the tunnel's own out of it, by policy routing:
 *
 *     P:    from all lookup main suppress_prefixlength 0     what has a route of its own (the LAN) keeps it
 *     P+1:  not from all fwmark MARK lookup T                the rest: table T has the routes into the tunnel
 *
 * The main table is not touched, so nothing has to be put back. The tunnel's sockets set PLAIT_POLICY_MARK (udp.h,
 * `mark`). T and P follow from the interface's name, and the rules carry PLAIT_RTNL_PROTOCOL: that is how leftovers
 * of a crash are recognised, which the next start removes; until then they do nothing, as the routes go with the
 * device.
 *
 * DNS: nothing is written to resolv.conf. A resolver in a network of this machine is reached as before (rule P); one
 * beyond is asked through the tunnel, like everything. A provider's resolver that answers its own customers only
 * needs an exception: `elsewhere`.
 */
#ifndef PLAIT_IO_POLICY_H
#define PLAIT_IO_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "prefix.h"

#define PLAIT_POLICY_MARK UINT32_C(0x706c6174) /* "plat" */

struct plait_policy_options {
    const char *interface;         /* the tunnel's; it is up and has its addresses */
    const struct plait_prefix *to; /* what goes into the tunnel: 0.0.0.0/0 and ::/0 for everything */
    size_t to_count;
    const struct plait_prefix *elsewhere; /* what does not, all the same */
    size_t elsewhere_count;
    uint32_t mtu; /* of the routes; 0: the interface's */
};

/* The numbers for an interface of that name. */
uint32_t plait_policy_table(const char *interface);
uint32_t plait_policy_priority(const char *interface);

/*
 * Replaces what was there for this interface. Needs CAP_NET_ADMIN. A family that the kernel does not have is
 * left out. PLAIT_ERR_NOTFOUND where there is no such interface, PLAIT_ERR_IO (errno); then nothing stays.
 */
PLAIT_MUST_USE int plait_policy_set(const struct plait_policy_options *o);
/* Removes all of it, also what an earlier process has left. Returns how many rules and routes, or PLAIT_ERR_IO. */
PLAIT_MUST_USE int plait_policy_clear(const char *interface);

/*
 * Replies to what leaves by one uplink come in there, though the best route back may be another's: strict reverse
 * path filtering (RFC 3704) drops them. Makes it loose on this interface where it is strict. Returns 1 where it
 * changed something, 0 where nothing was to do, PLAIT_ERR_IO.
 */
PLAIT_MUST_USE int plait_policy_loosen(const char *interface);

#endif
