/*
 * The machine's side of a tunnel: a queue of the TUN device, through which inner packets come in, taken apart to
 * the size of the MTU, and go out, put together to as few writes as possible.
 */
#ifndef PLAIT_END_PORT_H
#define PLAIT_END_PORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coalesce.h"
#include "err.h"
#include "pool.h"
#include "tun.h"

struct plait_port {
    struct plait_tun tun;
    struct plait_coalesce *out;   /* owned */
    uint8_t *frame;               /* owned */
    struct plait_pool *pool;      /* borrows */
    bool waiting;                 /* something has been added since the last flush */
    uint64_t in_packets, in_lost; /* lost: too long, no IP, or the pool was empty */
    uint64_t out_packets, out_lost;
};

/* Takes the TUN queue over. PLAIT_ERR_NOMEM. */
PLAIT_MUST_USE int plait_port_init(struct plait_port *p, const struct plait_tun *tun, struct plait_pool *pool,
                                   uint64_t seed);
/* Closes the queue. Harmless on a zeroed one. */
void plait_port_done(struct plait_port *p);

/*
 * Reads some of what there is; each packet is given to `take`, which takes it. Returns PLAIT_OK also where more is
 * left, or PLAIT_ERR_IO where the device is gone or down.
 */
PLAIT_MUST_USE int plait_port_read(struct plait_port *p, void (*take)(void *ctx, struct plait_packet *packet),
                                   void *ctx);
/* A packet for the machine; it is copied. */
void plait_port_write(struct plait_port *p, const uint8_t *packet, size_t len);
/* Writes what has been added. */
void plait_port_flush(struct plait_port *p);
/* The counters, for plait status. NULL without memory. */
json_t *plait_port_report(const struct plait_port *p);

#endif
