/*
 * The threads that answer: one libmicrohttpd daemon each, with an epoll of its own.
 *
 * Connections are accepted elsewhere and given to the worker that has the fewest.
 */
#ifndef PLAIT_SERVE_WORKERS_H
#define PLAIT_SERVE_WORKERS_H

#include <microhttpd.h>
#include <stddef.h>
#include <sys/socket.h>

#include "err.h"
#include "server.h"

#define PLAIT_WORKERS_MAX 64

struct plait_workers {
    struct MHD_Daemon *at[PLAIT_WORKERS_MAX]; /* owned */
    size_t count, next;
};

struct plait_workers_options {
    size_t count;           /* 1 to PLAIT_WORKERS_MAX */
    unsigned stall_s;       /* a connection on which nothing moves is ended */
    unsigned connections;   /* that one worker may come to have at most */
    const char *cert, *key; /* PEM, terminated, or NULL; borrowed while they run */
};

/* The caller has blocked the signals that are not for the workers. `server` is borrowed until stop.
 * PLAIT_ERR_NOMEM. */
PLAIT_MUST_USE int plait_workers_start(struct plait_workers *w, struct plait_server *server,
                                       const struct plait_workers_options *options);
/* Ends all connections and waits for the threads. */
void plait_workers_stop(struct plait_workers *w);
/* Takes a connected, non-blocking socket, also where it fails: PLAIT_ERR_NOMEM. From one thread only. */
PLAIT_MUST_USE int plait_workers_give(struct plait_workers *w, int fd, const struct sockaddr *peer,
                                      socklen_t peer_len);

#endif
