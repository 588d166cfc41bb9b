/*
 * Accepting connections: on the loop's thread, within the clients' limits, handed on to the workers.
 */
#ifndef PLAIT_SERVE_ACCEPT_H
#define PLAIT_SERVE_ACCEPT_H

#include <stddef.h>
#include <stdint.h>

#include "clients.h"
#include "endpoint.h"
#include "loop.h"
#include "workers.h"

#define PLAIT_ACCEPT_MAX 32

struct plait_accept;

struct plait_accept_watch {
    struct plait_accept *owner;
    struct plait_watch watch;
    int fd; /* borrowed */
};

struct plait_accept {
    struct plait_loop *loop; /* borrowed, as all of these */
    struct plait_clients *clients;
    struct plait_workers *workers;
    struct plait_accept_watch watches[PLAIT_ACCEPT_MAX];
    size_t count;
    int spare_fd;        /* owned: given up for a moment when no descriptor is left */
    uint64_t pressed_at; /* ns: when idle connections were last ended for others' sake */
    uint64_t refused;    /* connections beyond a limit, so far */
};

/* `count` at most PLAIT_ACCEPT_MAX. The memory stays until the loop has been drained. PLAIT_ERR_IO (errno).
 */
PLAIT_MUST_USE int plait_accept_init(struct plait_accept *a, struct plait_loop *loop,
                                     const struct plait_endpoint *endpoints, size_t count,
                                     struct plait_clients *clients, struct plait_workers *workers);
/* Accepts no more; the endpoints may be closed afterwards. Harmless the second time. */
void plait_accept_close(struct plait_accept *a);

#endif
