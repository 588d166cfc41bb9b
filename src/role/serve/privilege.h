/*
 * Giving up what only the start needed.
 */
#ifndef PLAIT_SERVE_PRIVILEGE_H
#define PLAIT_SERVE_PRIVILEGE_H

#include <stdbool.h>

#include "err.h"

/*
 * Becomes that user, with its groups, and keeps no capability; never to be undone. NULL keeps the user, and
 * gives up the capabilities of anybody but root. No program that is executed afterwards can gain any.
 *
 * For the whole process; to be called while it has one thread. PLAIT_ERR_NOTFOUND where there is no such
 * user, PLAIT_ERR_STATE where we are not root and would have to become somebody else, PLAIT_ERR_IO (errno).
 */
PLAIT_MUST_USE int plait_privilege_drop(const char *user);

/* Keeps of root's capabilities only that of reading any file. PLAIT_ERR_IO. */
PLAIT_MUST_USE int plait_privilege_only_read(void);

#endif
