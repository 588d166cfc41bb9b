/*
 * One direction of an emulated link, as pure data: packets go in at a time, and come out at a time or never.
 *
 *   push ──► queue (drop-tail) ──► serialisation at the rate ──► loss ──► delay and jitter ──► pop
 *
 * The serialisation clock is virtual: packet after packet starts exactly where the one before ended, however
 * late the caller looks, so that the long-run rate is the one that was set. Times must not go backwards by
 * more than the caller's own lateness. All memory is the pool's; a lane holds no more than the pool has.
 */
#ifndef PLAIT_LAB_LANE_H
#define PLAIT_LAB_LANE_H

#include "prng.h"
#include "shape.h"

enum {
    LAB_PACKET_BYTES_MAX = 2048,
};

struct lab_packet {
    struct lab_packet *next; /* in the pool's list */
    uint64_t due_ns;         /* when it reaches the far end */
    uint32_t len;
    uint8_t bytes[LAB_PACKET_BYTES_MAX];
};

/* Packets of all lanes; taken from the heap as needed up to a limit, then only recycled. */
struct lab_pool {
    struct lab_packet *free;
    size_t count, count_max;
};

struct lab_count {
    uint64_t packets, bytes;
};

/* in = out + dropped + lost + swallowed + what the lane still holds. */
struct lab_tally {
    struct lab_count in, out;
    struct lab_count dropped;   /* no room in the queue */
    struct lab_count lost;      /* by the loss rate */
    struct lab_count swallowed; /* by a dead link, or an end that is down */
    uint64_t queue_bytes_peak;
    uint64_t wait_ns_peak; /* longest time from push to the start of sending */
};

struct lab_fifo {
    struct lab_packet **slot;
    size_t head, count, size; /* size is a power of two, or 0 */
};

struct lab_lane {
    struct lab_shape shape;
    struct lab_tally tally;
    struct lab_pool *pool; /* borrows */
    struct plait_prng prng;
    struct lab_fifo queue;  /* its head is being sent */
    struct lab_fifo flight; /* by due_ns */
    uint64_t queue_bytes;
    uint64_t sent_ns; /* when the head of the queue will have been sent, or the last packet was */
    bool in_burst;
    uint64_t wander_from_ns, wander_to_ns; /* the delay moves along straight lines between random points */
    double wander_from, wander_to;         /* in units of jitter, −½ … ½ */
};

void lab_pool_init(struct lab_pool *pool, size_t count_max);
void lab_pool_done(struct lab_pool *pool);
/* NULL when the limit is reached. */
struct lab_packet *lab_pool_take(struct lab_pool *pool);
void lab_pool_give(struct lab_pool *pool, struct lab_packet *packet);

void lab_lane_init(struct lab_lane *lane, const struct lab_shape *shape, struct lab_pool *pool,
                   uint64_t seed);
/* Gives everything held back to the pool. */
void lab_lane_done(struct lab_lane *lane);
/* Takes `packet`, which arrived at `now_ns`; what cannot be carried is counted and recycled. */
void lab_lane_push(struct lab_lane *lane, uint64_t now_ns, struct lab_packet *packet);
/* The next packet due at or before `now_ns` (owned by the caller), or NULL. */
struct lab_packet *lab_lane_pop(struct lab_lane *lane, uint64_t now_ns);
/* No packet comes out before this; PLAIT_NEVER when the lane is empty. */
uint64_t lab_lane_deadline(const struct lab_lane *lane);
/* A changed shape holds from `now_ns`: what is being sent goes on at the new rate; a dead lane loses all it
 * holds. */
void lab_lane_reshape(struct lab_lane *lane, uint64_t now_ns, const struct lab_shape *shape);
/* Counts a packet of `len` bytes that there was no memory to take. */
void lab_lane_overflow(struct lab_lane *lane, uint32_t len);
/* Counts and recycles a popped packet that the far end would not take. */
void lab_lane_refuse(struct lab_lane *lane, struct lab_packet *packet);

#endif
