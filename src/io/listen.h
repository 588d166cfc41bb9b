/*
 * Listening for TCP connections, with bounds on how many there are: in all, and from one address (IPv6: from
 * one /64), so that one stranger cannot keep the others out.
 *
 * Whoever was given a connection counts as one until plait_listener_forget. One that is above a bound is
 * shown to `refused`, which may still write to it, and closed.
 */
#ifndef PLAIT_IO_LISTEN_H
#define PLAIT_IO_LISTEN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "err.h"
#include "loop.h"

/* Enough for `[ADDRESS]:PORT` and its terminator. */
#define PLAIT_ENDPOINT_TEXT_MAX 72

struct plait_listener;

struct plait_listener_events {
    /* A new connection, non-blocking. Takes `fd`. */
    void (*accepted)(void *ctx, int fd, const struct sockaddr_storage *peer);
    /* There are as many as there may be: perhaps one can be done without. Ends it and returns true. May be
     * NULL. */
    bool (*make_room)(void *ctx);
    /* May be NULL. Borrows `fd`. */
    void (*refused)(void *ctx, int fd, const struct sockaddr_storage *peer);
};

struct plait_listener_config {
    struct plait_loop *loop; /* borrows */
    const char
        *address; /* `ADDRESS:PORT`, `[IPv6]:PORT`, `*:PORT` or `:PORT` for all; 0: the kernel chooses */
    unsigned total_max;                         /* > 0 */
    unsigned per_address_max;                   /* > 0 */
    const struct plait_listener_events *events; /* borrows */
    void *ctx;
};

/* An address and port in numbers, as in plait_listener_config. PLAIT_ERR_FORMAT. */
PLAIT_MUST_USE int plait_endpoint_parse(const char *text, struct sockaddr_storage *out);
/* `ADDRESS:PORT` or `[ADDRESS]:PORT`; an IPv4 address that is mapped into IPv6 as what it is. Returns `out`. */
const char *plait_endpoint_text(const struct sockaddr_storage *address, char out[PLAIT_ENDPOINT_TEXT_MAX]);

/* What can be done where the system refuses to listen with this errno: "; …", or "". */
const char *plait_listen_advice(int error_number);

/*
 * Returns owned, through *out. PLAIT_ERR_FORMAT for an address that is none, PLAIT_ERR_IO (errno) where the
 * system refuses it, PLAIT_ERR_NOMEM.
 */
PLAIT_MUST_USE int plait_listener_open(const struct plait_listener_config *config,
                                       struct plait_listener **out);
/* Where it listens, with the port that the kernel chose. */
const struct sockaddr_storage *plait_listener_address(const struct plait_listener *l);
/* Connections that have not been forgotten. */
unsigned plait_listener_count(const struct plait_listener *l);
/* A connection from `peer` that was accepted has ended. */
void plait_listener_forget(struct plait_listener *l, const struct sockaddr_storage *peer);
/* Closes the socket: nobody is accepted any more. */
void plait_listener_stop(struct plait_listener *l);
/* After stop, and when the loop has been drained. NULL is harmless. */
void plait_listener_free(struct plait_listener *l);

#endif
