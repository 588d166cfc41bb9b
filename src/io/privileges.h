/*
 * Giving up what only the start needed: another user, few capabilities, and of the system calls only those that an
 * event loop with sockets, a TUN device, netlink and a few files needs.
 */
#ifndef PLAIT_IO_PRIVILEGES_H
#define PLAIT_IO_PRIVILEGES_H

#include <stdbool.h>

#include "err.h"

/*
 * Becomes that user, with its groups; NULL keeps the present one. Keeps no capability but, where `network` says so,
 * CAP_NET_ADMIN (routes, rules, sockets' marks, nftables: also to undo them at the end). Nothing that is executed
 * afterwards can gain any.
 *
 * For the whole process; to be called while it has one thread. Who is not root and is to stay who it is keeps of its
 * capabilities what is named. PLAIT_ERR_NOTFOUND where there is no such user, PLAIT_ERR_STATE where we may not become
 * it, PLAIT_ERR_IO (errno).
 */
PLAIT_MUST_USE int plait_privileges_drop(const char *user, bool network);

/*
 * From here on, for all threads and for good: system calls that are not needed fail with EPERM; to execute a program,
 * to trace another or to load code into the kernel ends the process (SIGSYS). PLAIT_ERR_NOTFOUND where the kernel has
 * no seccomp, PLAIT_ERR_IO (errno). What is to be opened by others' libraries (resolver, TLS) still works.
 */
PLAIT_MUST_USE int plait_privileges_filter(void);

#endif
