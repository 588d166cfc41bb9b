/*
 * How a node or a hub settles down once it has what it needed privileges for: the control socket, another user, few
 * capabilities and system calls. What goes wrong is said.
 */
#ifndef PLAIT_END_SETTLE_H
#define PLAIT_END_SETTLE_H

#include <jansson.h>

#include "control.h"
#include "err.h"
#include "loop.h"

/* Opens the control socket; its folder is made where it is missing. See plait_control_open. */
PLAIT_MUST_USE int plait_settle_control(struct plait_loop *loop, const char *path,
                                        json_t *(*answer)(void *ctx, const json_t *request), void *ctx,
                                        struct plait_control **out);
/* Keeps what is needed to change routes and sockets. `user` "" = stay who we are. Before there are threads. */
PLAIT_MUST_USE int plait_settle_privileges(const char *user);

#endif
