/*
 * The connections there are: how many, from whom, and what each is about to do.
 *
 * A connection is named by its descriptor. It is admitted before it is given to libmicrohttpd, and forgotten
 * before its descriptor is closed, so that a sweep can shut it down from another thread without ever meeting
 * a descriptor that belongs to somebody else by now.
 *
 * Deadlines keep the table from filling up with those who never ask: a head must be there so long after its
 * first line (for the first request: after the connection, the TLS handshake included), and a connection may
 * be idle for so long. What an answer may take is not limited here; libmicrohttpd ends those that stand
 * still.
 *
 * IPv4 peers count by address, IPv6 peers by /64. All functions but new and free may be called from several
 * threads.
 */
#ifndef PLAIT_SERVE_CLIENTS_H
#define PLAIT_SERVE_CLIENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "err.h"

struct plait_clients_limits {
    unsigned total;       /* connections at once */
    unsigned per_address; /* of them from one address; 0 = as many as there may be */
    uint64_t head_ns;     /* for a head to arrive */
    uint64_t idle_ns;     /* between the end of an answer and the first line of the next request */
};

struct plait_clients;

/* PLAIT_ERR_NOMEM. `fd_max`: no descriptor of the process will be as high. */
PLAIT_MUST_USE int plait_clients_new(struct plait_clients **out, const struct plait_clients_limits *limits,
                                     int fd_max);
void plait_clients_free(struct plait_clients *clients);

/*
 * A new connection. PLAIT_ERR_LIMIT where the peer has as many as it may, PLAIT_ERR_NOMEM where there are as
 * many as there may be at all, or the descriptor is fd_max or higher; then it was not admitted.
 */
PLAIT_MUST_USE int plait_clients_admit(struct plait_clients *clients, int fd, const struct sockaddr *peer,
                                       uint64_t now);
/* The descriptor is about to be closed. One that was not admitted is passed over. */
void plait_clients_forget(struct plait_clients *clients, int fd);

/* The first line of a request has come. */
void plait_clients_asked(struct plait_clients *clients, int fd, uint64_t now);
/*
 * The answer begins. Where it is sent straight from a file, `file_fd` is the file, open until
 * plait_clients_answered, and `file_end` the last byte of it that will be needed, plus one; otherwise file_fd
 * is -1.
 */
void plait_clients_answering(struct plait_clients *clients, int fd, int file_fd, uint64_t file_end);
/*
 * Whether the answer to this connection is under way and sent straight from that file; then also how far in
 * the file it has been sent (0 at the beginning, whatever its first byte is), and its end.
 */
bool plait_clients_sending(struct plait_clients *clients, int fd, int file_fd, uint64_t *sent,
                           uint64_t *file_end);
void plait_clients_sent(struct plait_clients *clients, int fd, uint64_t sent);
/* The answer is over. */
void plait_clients_answered(struct plait_clients *clients, int fd, uint64_t now);

enum plait_clients_sweep {
    PLAIT_SWEEP_USUAL,    /* those past their deadline */
    PLAIT_SWEEP_PRESSING, /* also those who are idle for a second: others wait for their place */
    PLAIT_SWEEP_LEAVING,  /* also all who are not being answered and whose last answer has left */
};

/*
 * Shuts down whom it must, and those whose file has become too short to finish the answer. Returns how many
 * connections there are, those just shut down included.
 */
size_t plait_clients_sweep(struct plait_clients *clients, enum plait_clients_sweep kind, uint64_t now);

#endif
