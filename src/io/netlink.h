/*
 * What the kernel says about routes and interfaces (rtnetlink, RFC 3549).
 */
#ifndef PLAIT_IO_NETLINK_H
#define PLAIT_IO_NETLINK_H

#include <net/if.h>
#include <stddef.h>

#include "err.h"
#include "loop.h"

/*
 * The interfaces that are up and have a default route of IPv4 or IPv6 in any table, loopback left out, each
 * once, in the order of the kernel's answer. Returns how many (at most `max`), or PLAIT_ERR_IO.
 */
PLAIT_MUST_USE int plait_netlink_default_interfaces(char (*names)[IF_NAMESIZE], size_t max);

/* Tells when interfaces or addresses come, go or change. */
struct plait_netlink_monitor;

/* Returns owned, or NULL (errno). `changed` is called on the loop. */
struct plait_netlink_monitor *plait_netlink_monitor_new(struct plait_loop *loop, void (*changed)(void *ctx),
                                                        void *ctx);
/* The memory goes when the loop has been drained. */
void plait_netlink_monitor_free(struct plait_netlink_monitor *m);

#endif
