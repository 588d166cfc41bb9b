/*
 * A pool of packet buffers of one size, allocated once. It belongs to the owner of the bonds (one pool for
 * all the bonds of a thread); there is no lock.
 *
 * A buffer holds an inner packet at `data`, with PLAIT_PACKET_HEAD bytes of room before it and at least
 * PLAIT_PACKET_TAIL after it.
 */
#ifndef PLAIT_TUNNEL_POOL_H
#define PLAIT_TUNNEL_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define PLAIT_PACKET_HEAD 64u
#define PLAIT_PACKET_TAIL 16u

struct plait_packet {
    struct plait_packet *next; /* whoever holds the packet may use it to chain */
    uint64_t at_ns;            /* when it came in */
    uint64_t end;              /* entrance queue: bytes its flow was given up to and with this one */
    uint32_t flow_seq;
    uint16_t flow; /* bucket */
    uint16_t len;  /* bytes at `data` */
    uint8_t flags; /* of the bond */
    uint8_t back;
    uint8_t path; /* it was first sent on */
    uint8_t held; /* holders; the last one gives it back */
    uint8_t *data;
};

struct plait_pool {
    struct plait_packet *packets; /* owns: the headers */
    uint8_t *bytes;               /* owns: the buffers */
    struct plait_packet *spare;
    uint32_t count, spare_n;
    uint32_t room; /* bytes that fit at `data` */
};

/* `count` buffers for packets of up to `room` bytes (at most 65,000). PLAIT_ERR_NOMEM. */
PLAIT_MUST_USE int plait_pool_init(struct plait_pool *pool, uint32_t count, uint32_t room);
/* All packets must have come back. */
void plait_pool_done(struct plait_pool *pool);
/* A packet with one holder and `len` 0, or NULL where none is left. */
struct plait_packet *plait_pool_take(struct plait_pool *pool);
/* One holder less; NULL is harmless. */
void plait_pool_give(struct plait_pool *pool, struct plait_packet *packet);

#endif
