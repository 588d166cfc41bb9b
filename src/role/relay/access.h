/*
 * Who may use the relay: users and the hashes of their passwords (crypt(5)).
 *
 * Hashes are slow on purpose, so they are computed beside the loop, few at a time; right answers are
 * remembered for a while, since a client sends its credentials anew with every connection. A user who does
 * not exist costs as much as one whose password is wrong.
 */
#ifndef PLAIT_RELAY_ACCESS_H
#define PLAIT_RELAY_ACCESS_H

#include <stdbool.h>

#include "ask.h"
#include "err.h"
#include "loop.h"

#define PLAIT_ACCESS_USERS_MAX 4096u
#define PLAIT_ACCESS_QUEUE_MAX 64u /* checks that wait or run */

struct plait_access;
struct plait_access_check;

enum plait_access_verdict {
    PLAIT_ACCESS_YES,
    PLAIT_ACCESS_NO,
    PLAIT_ACCESS_LATER, /* `done` will be called */
    PLAIT_ACCESS_BUSY,  /* too many are waiting */
};

/* Returns owned, or NULL (out of memory, no random numbers). Borrows `loop`. Nobody may do anything yet. */
struct plait_access *plait_access_new(struct plait_loop *loop);
/*
 * Reads lines `user:hash`, empty ones and those that begin with # apart, in place of those there were.
 * PLAIT_ERR_IO (errno), PLAIT_ERR_FORMAT and PLAIT_ERR_LIMIT with the line in *line, PLAIT_ERR_NOMEM; then
 * nothing has changed. A hash that crypt(3) does not know, or that is too weak to be worth anything, is
 * PLAIT_ERR_FORMAT.
 */
PLAIT_MUST_USE int plait_access_load(struct plait_access *a, const char *path, unsigned *line);
/*
 * Judges. With LATER, *check is what plait_access_cancel takes, and `done` is called on the loop, where
 * *check is no longer valid.
 */
enum plait_access_verdict plait_access_judge(struct plait_access *a, const struct plait_credentials *c,
                                             void (*done)(void *ctx, bool yes), void *ctx,
                                             struct plait_access_check **check);
/* `done` is not called any more. */
void plait_access_cancel(struct plait_access_check *check);
/* When the loop has been drained. NULL is harmless. */
void plait_access_free(struct plait_access *a);

#endif
