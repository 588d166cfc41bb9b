/* What the relay's own files share: the relay as a whole, and its clients. */
#ifndef PLAIT_RELAY_RELAY_INT_H
#define PLAIT_RELAY_RELAY_INT_H

#include <stdio.h>
#include <sys/queue.h>

#include "access.h"
#include "allow.h"
#include "bucket.h"
#include "listen.h"
#include "loop.h"
#include "pump.h"
#include "registrar.h"
#include "relay.h"

struct plait_client;

struct plait_relay {
    const struct plait_relay_options *options;
    struct plait_loop loop;
    struct plait_allow allow;
    struct plait_access *access; /* NULL: everybody may */
    struct plait_listener *listener;
    struct plait_registrar *registrar; /* NULL: none */
    struct plait_signal term, interrupt, hangup;
    struct plait_timer tick; /* looks at the clients' deadlines */
    bool is_ticking;
    struct plait_timer grace;                   /* when draining has taken long enough */
    struct plait_timer refill;                  /* when the rate allows more */
    struct plait_bucket bucket;                 /* where options->rate > 0 */
    struct plait_client *paused, **last_paused; /* by the rate, in the order in which they may go on */
    struct plait_client *clients;
    TAILQ_HEAD(plait_silent, plait_client) silent; /* those that have not yet asked, the oldest first */
    struct plait_pipes pipes;
    unsigned resolving;
    char *overview; /* what GET / answers; owned */
    FILE *log;      /* NULL: none */
    bool draining;
    bool ending;
};

/* Logs go to standard error, as `plait relay: …`. */
void plait_relay_say(const char *format, ...) PLAIT_PRINTF(1, 2);
/* A client has gone: perhaps it was the last. */
void plait_relay_client_gone(struct plait_relay *relay);

/* Takes fd. */
void plait_client_start(struct plait_relay *relay, int fd, const struct sockaddr_storage *peer);
/* Closes the client that has been silent for longest; false where all have asked. */
bool plait_client_push_out(struct plait_relay *relay);
/* Too many are there already: says so, without waiting. Borrows fd. */
void plait_client_refuse(int fd);
/* Closes those whose time has run out; `all`: those that carry nothing as yet; `hard`: every one. */
void plait_clients_expire(struct plait_relay *relay, bool all, bool hard);
/* The rate allows something again. */
void plait_clients_refill(struct plait_relay *relay);

/* What the access log tells of one client. */
struct plait_log_entry {
    const struct sockaddr_storage *peer;
    const char *user, *target, *address; /* "" = none */
    int status;                          /* answered; 0: none */
    uint64_t up, down;                   /* bytes from and to the client */
    double seconds;
    const char *end; /* why it ended */
};

/* Opens, or opens again. PLAIT_ERR_IO (errno); then the old one stays. */
PLAIT_MUST_USE int plait_log_open(struct plait_relay *relay);
void plait_log_write(struct plait_relay *relay, const struct plait_log_entry *entry);
void plait_log_close(struct plait_relay *relay);

#endif
