/*
 * A connection of hiredis on the loop. (What hiredis brings along for libuv overlooks connections that are refused.)
 */
#ifndef PLAIT_DIRECT_REDIS_LOOP_H
#define PLAIT_DIRECT_REDIS_LOOP_H

#include <hiredis/async.h>

#include "err.h"
#include "loop.h"

/* From now on the loop watches the connection, until hiredis frees it. PLAIT_ERR_IO. */
PLAIT_MUST_USE int plait_redis_attach(struct plait_loop *loop, redisAsyncContext *context);

#endif
