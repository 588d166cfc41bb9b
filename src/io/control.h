/*
 * The control socket: a Unix socket on which a running plait answers requests, each one JSON object in one line,
 * with one line. Only its owner and group may connect (mode 0660).
 */
#ifndef PLAIT_IO_CONTROL_H
#define PLAIT_IO_CONTROL_H

#include <jansson.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "loop.h"

#define PLAIT_CONTROL_REQUEST_MAX 4096 /* bytes of a line */
#define PLAIT_CONTROL_CLIENTS_MAX 16
#define PLAIT_CONTROL_ANSWER_MAX  ((size_t)64 << 20) /* that a client takes */

struct plait_control;

struct plait_control_config {
    struct plait_loop *loop; /* borrows */
    const char *path;        /* below 108 bytes; its folder is there */
    gid_t group;             /* that may connect, too; (gid_t)-1: our own */
    /* On the loop. Borrows `request`, an object. Returns owned, or NULL, which is told as an error. */
    json_t *(*answer)(void *ctx, const json_t *request);
    void *ctx;
};

/*
 * A socket that an ended process has left is replaced. PLAIT_ERR_STATE where somebody answers there already;
 * PLAIT_ERR_ARG for a path that is too long or no socket; PLAIT_ERR_IO (errno), PLAIT_ERR_NOMEM. Returns owned,
 * through *out.
 */
PLAIT_MUST_USE int plait_control_open(const struct plait_control_config *config, struct plait_control **out);
/* Removes the socket. The memory goes when the loop has been drained. NULL is harmless. */
void plait_control_close(struct plait_control *c);

/*
 * The other side: asks and waits. Returns owned, through *answer. PLAIT_ERR_NOTFOUND where nobody listens at that
 * path, PLAIT_ERR_STATE where we may not (errno), PLAIT_ERR_FORMAT where the answer is no JSON, PLAIT_ERR_IO (errno,
 * ETIMEDOUT when it takes longer than timeout_ms).
 */
PLAIT_MUST_USE int plait_control_ask(const char *path, const json_t *request, unsigned timeout_ms,
                                     json_t **answer);

#endif
