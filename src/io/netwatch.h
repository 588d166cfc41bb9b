/*
 * The links, addresses and default routes of this machine (of this network namespace), kept up to date by what the
 * kernel tells (rtnetlink). Where it had more to tell than the socket could hold, all is asked for again, so that
 * nothing is missed for long.
 */
#ifndef PLAIT_IO_NETWATCH_H
#define PLAIT_IO_NETWATCH_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "loop.h"
#include "prefix.h"

#define PLAIT_NETWATCH_LINKS_MAX     1024 /* what is beyond these is not seen */
#define PLAIT_NETWATCH_ADDRESSES_MAX 4096
#define PLAIT_NETWATCH_ROUTES_MAX    1024

struct plait_netwatch_link {
    unsigned index;
    char name[IF_NAMESIZE];
    bool up; /* administratively, and with a carrier */
    unsigned mtu;
};

struct plait_netwatch;

/*
 * Looks at everything, then follows. `changed` (on the loop) is called once for each batch of news that changed any of
 * it. Returns owned, or NULL (errno).
 */
struct plait_netwatch *plait_netwatch_new(struct plait_loop *loop, void (*changed)(void *ctx), void *ctx);
/* The memory goes when the loop has been drained. NULL is harmless. */
void plait_netwatch_free(struct plait_netwatch *w);

/* All are borrowed until the next event. NULL for one that is not there. */
const struct plait_netwatch_link *plait_netwatch_link(const struct plait_netwatch *w, const char *name);
const struct plait_netwatch_link *plait_netwatch_link_at(const struct plait_netwatch *w, unsigned index);
/*
 * The i-th address (from 0) of this link that may be used as a source to go beyond it: not tentative, deprecated or
 * link-local. False where there are no more. `family` 0: of either.
 */
bool plait_netwatch_address(const struct plait_netwatch *w, unsigned index, int family, size_t i,
                            struct plait_prefix *out);
/* The link that has this address, NULL where none has. `bits` is not looked at. */
const struct plait_netwatch_link *plait_netwatch_owner(const struct plait_netwatch *w,
                                                       const struct plait_prefix *address);
/* Is there a default route of that family through this link, in any table that is not ours (rtnl.h)? */
bool plait_netwatch_has_default(const struct plait_netwatch *w, unsigned index, int family);

/* How often everything had to be asked for again. */
uint64_t plait_netwatch_resync_count(const struct plait_netwatch *w);

#endif
