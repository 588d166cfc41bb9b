/*
 * The order of inner flows, restored (doc/tunnel.md, "Reordering"). A packet is delivered when the one before it
 * in its flow was, or is known never to come; a gap in one flow holds up no other. What waits is copied into
 * packets of the pool; what is in order is delivered from where it lies.
 *
 * A gap is given up when its time has come: `hold_ns` after the arrival of the packet behind it. What comes later
 * than that is delivered all the same, once.
 *
 * What has waited behind a gap leaves at once if it is TCP. Datagrams leave in portions, since their reader's socket
 * may have room for less than a hundred: in each PLAIT_REORDER_PORTION_NS as many as came in the one before and
 * PLAIT_REORDER_PORTION more.
 */
#ifndef PLAIT_TUNNEL_REORDER_H
#define PLAIT_TUNNEL_REORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "datagram.h"
#include "err.h"
#include "pool.h"

#define PLAIT_REORDER_SKIPPED    4096u /* numbers given up that may still be delivered; a power of two */
#define PLAIT_REORDER_PORTION    16u
#define PLAIT_REORDER_PORTION_NS 500000u

struct plait_reorder_flow {
    uint32_t expected; /* u22 */
    bool portions;     /* what is held is not TCP */

    uint32_t held;
    uint32_t lowest;     /* number of the first one held */
    uint16_t next, prev; /* among the flows that hold something */
    uint64_t give_up_at; /* or when the next portion may leave */

    uint64_t portion_at; /* end of this portion's time */
    uint32_t portion;    /* may still leave in it */
    uint32_t came;       /* in its time, of what had to wait */
};

struct plait_reorder {
    struct plait_reorder_flow *flows; /* owns */
    struct plait_packet **table;      /* owns: held packets by flow and number, chained */
    uint32_t table_size;              /* a power of two */
    struct plait_pool *pool;          /* borrows */
    uint32_t held, held_max, held_peak;
    uint16_t holding;  /* first flow that holds something, or UINT16_MAX */
    uint64_t deadline; /* no flow gives up before */
    bool used;         /* something has come: else no memory need be touched to begin anew */
    uint64_t *skipped; /* owns: PLAIT_REORDER_SKIPPED; flow and number plus 1, 0 = none */
    void (*deliver)(void *ctx, uint64_t now, const uint8_t *bytes, size_t len);
    void *ctx;
    uint64_t delivered, delivered_bytes, late, duplicates, refused, skips;
};

/* PLAIT_ERR_NOMEM. */
PLAIT_MUST_USE int plait_reorder_init(struct plait_reorder *r, struct plait_pool *pool, uint32_t held_max);
void plait_reorder_done(struct plait_reorder *r);
/* Everything held is delivered, and every flow begins at 0. */
void plait_reorder_reset(struct plait_reorder *r, uint64_t now);
/* An inner packet came; `d` is its datagram. Delivers what is in order now. */
void plait_reorder_recv(struct plait_reorder *r, uint64_t now, const struct plait_datagram *d,
                        uint64_t hold_ns);
/* When plait_reorder_on_deadline is to be called, or PLAIT_NEVER. */
uint64_t plait_reorder_deadline(const struct plait_reorder *r);
void plait_reorder_on_deadline(struct plait_reorder *r, uint64_t now);

#endif
