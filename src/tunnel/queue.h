/*
 * The queue at the entrance of the tunnel: one FIFO per flow, served in turns, each under CoDel (RFC 8289,
 * RFC 8290). It is the one place where inner traffic meets congestion.
 *
 * Beyond FQ-CoDel, packets are numbered per flow as they come in, and one may be taken from behind others, for
 * a path so slow that it would arrive when its turn has come (STMS; DAPS). CoDel drops at the head, where
 * drops are told to the receiver by the next packet's `back`; what is too much is dropped at the tail, where
 * its number is given back.
 */
#ifndef PLAIT_TUNNEL_QUEUE_H
#define PLAIT_TUNNEL_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "datagram.h"
#include "err.h"
#include "pool.h"

#define PLAIT_QUEUE_FLOWS PLAIT_DATAGRAM_FLOWS
#define PLAIT_QUEUE_NONE  UINT16_MAX
#define PLAIT_QUEUE_SENT  16u /* numbers below the head of which it is known what became of them */

/* Flags of a packet. */
enum plait_packet_flag {
    PLAIT_PACKET_URGENT = 1,
    PLAIT_PACKET_PURE_ACK = 2,
    PLAIT_PACKET_ECN = 4,
    PLAIT_PACKET_AHEAD = 8,     /* sent before others of its flow */
    PLAIT_PACKET_ARRIVED = 16,  /* some copy of it has */
    PLAIT_PACKET_AGAIN = 32,    /* waits to be sent again */
    PLAIT_PACKET_NEW = 64,      /* of a flow that has been quiet */
    PLAIT_PACKET_CARRIES = 128, /* data of TCP or QUIC */
};

struct plait_queue_flow {
    struct plait_packet *head, *tail;
    struct plait_packet
        *cursor; /* of taking ahead: those up to this one are not deep enough; NULL = begin at the head */
    uint64_t in_bytes;       /* given to the flow so far */
    uint32_t bytes, packets; /* waiting */
    uint32_t taken;          /* bytes taken ahead between the head and the tail */
    uint32_t seq_next;
    int32_t deficit;
    uint16_t next, prev; /* in the list of flows that it is in */
    uint8_t list;
    bool dropping;
    uint32_t drops, drops_last; /* CoDel's count */
    uint64_t above_since;       /* CoDel's first_above_time; 0 = below */
    uint64_t drop_next;
    uint64_t last_in;                    /* when the last packet came */
    uint8_t sent_path[PLAIT_QUEUE_SENT]; /* by number: the path, or a word of queue.c */
    uint32_t sent_seq[PLAIT_QUEUE_SENT]; /* plus 1 */
};

struct plait_queue_list {
    uint16_t head, tail;
};

struct plait_queue {
    struct plait_queue_flow *flows; /* owns: PLAIT_QUEUE_FLOWS */
    struct plait_pool *pool;        /* borrows */
    struct plait_queue_list lists[3];
    uint32_t packets, packets_max;
    uint64_t bytes;
    uint64_t target_ns, interval_ns;
    uint32_t active; /* flows that have packets */
    uint64_t dropped, marked;
};

/* PLAIT_ERR_NOMEM. */
PLAIT_MUST_USE int plait_queue_init(struct plait_queue *q, struct plait_pool *pool, uint32_t packets_max);
void plait_queue_done(struct plait_queue *q);
/* Takes the packet, numbers it, and drops what is too much. */
void plait_queue_push(struct plait_queue *q, uint64_t now, struct plait_packet *packet, uint16_t flow);
/* The flow whose turn it is, or PLAIT_QUEUE_NONE. */
uint16_t plait_queue_turn(struct plait_queue *q);
/* The one after `flow` in the order of turns, or PLAIT_QUEUE_NONE. */
uint16_t plait_queue_after(const struct plait_queue *q, uint16_t flow);
/* The head of a flow that has one, after CoDel has dropped or marked: NULL if it dropped the last. `slack_ns`
 * is added to its target. Returns owned. */
struct plait_packet *plait_queue_take(struct plait_queue *q, uint64_t now, uint16_t flow, uint64_t slack_ns);
/* Drops the head of a flow that has one: no path can carry it. */
void plait_queue_drop(struct plait_queue *q, uint16_t flow);
/* The first packet of a flow before which at least `depth` bytes wait; NULL where there is none. Returns owned. */
struct plait_packet *plait_queue_take_ahead(struct plait_queue *q, uint16_t flow, uint64_t depth);
/* A packet behind the head that came about `depth` bytes after it, or the last one; NULL if there is only the head.
 * Returns owned. */
struct plait_packet *plait_queue_take_near(struct plait_queue *q, uint16_t flow, uint64_t depth);
/* The packet leaves on `path`: notes it, and says what the header has to tell of those before it. */
void plait_queue_sent(struct plait_queue *q, const struct plait_packet *packet, uint8_t path, uint8_t *back,
                      uint8_t before[PLAIT_DATAGRAM_BEFORE]);
/* The receiver begins anew: what waits is numbered from 0. */
void plait_queue_renumber(struct plait_queue *q);

#endif
