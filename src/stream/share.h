/*
 * The sending end of a group: one stream that a server sends over several connections of one receiver
 * (doc/protocol.md; seeds 000 and 002).
 *
 * Pure: no I/O, no clock, bounded memory. The owner (a role, or the simulator) reads the blocks, writes the
 * frames, and reports what its sockets say:
 *
 *      owner                                       share
 *      open, steer, ask, grow, finish         ->   who may send what
 *      next (a connection can take more)      <->  BLOCK · MARK · END · WAIT
 *      on_link, on_acked (TCP_INFO), close    ->   what is on its way, what has to be given again
 *      ready, next_deadline                   <-   which waiting connections to ask `next` for again
 *
 * Who sends what. The *plan* says for each block of the spans asked for either a letter or that all
 * connections share it. A block is bound to a connection as late as possible, in `next`; connections of one
 * letter share that letter's blocks in the same way. What a broken connection had not been acknowledged goes
 * to the others that may send it. Where there are none it stays a *hole*: for the receiver to ask of somebody
 * else, or for the next connection with that letter.
 *
 * Each block of the plan is given once, and once more for each time that it came back. Blocks asked for by
 * name are sent whether or not they were before; those of them that were still due are then sent only there.
 *
 * Late in a span a block is refused to a connection on which it would arrive after the others that may send
 * it have delivered all that is left (core/scheduler.h). Nobody is refused for the sake of a connection whose
 * rate is not known or that has stopped delivering.
 *
 * A connection of which nothing is acknowledged for two of TCP's timeouts and a round trip is *stuck*: what it has in flight
 * is given to others that may send it, as if it had broken, and it gets nothing more until something is
 * acknowledged. If it comes to life some of that comes twice.
 *
 * `now` never goes back. Connections are small integers, used again after close.
 */
#ifndef PLAIT_STREAM_SHARE_H
#define PLAIT_STREAM_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "pattern.h"
#include "plait_field.h"
#include "units.h"

#define PLAIT_SHARE_CONNS_MAX    208u  /* four for each letter */
#define PLAIT_SHARE_STEPS_MAX    32u   /* patterns that hold one after the other, present and future */
#define PLAIT_SHARE_RANGES_MAX   2048u /* of blocks that are due */
#define PLAIT_SHARE_INFLIGHT_MAX 4096u /* frames of one connection that are not acknowledged */
#define PLAIT_SHARE_UNKNOWN      UINT64_MAX

#define PLAIT_SHARE_MARK_NS (5 * PLAIT_S)  /* a waiting connection says so this often */
#define PLAIT_SHARE_IDLE_NS (30 * PLAIT_S) /* without being steered, then it is ended */

struct plait_share;

struct plait_share_config {
    uint32_t block_bytes;
    uint64_t size;      /* of the stream, or of what is there of it */
    bool live;          /* it still grows: `grow`, at last `finish` */
    unsigned conns_max; /* 1 to PLAIT_SHARE_CONNS_MAX; 0 = the most */
};

/* Returns owned, or NULL (no memory, or a config outside the contract). About 90 KiB, and 32 KiB for each open
 * connection. */
struct plait_share *plait_share_new(const struct plait_share_config *config, uint64_t now);
void plait_share_free(struct plait_share *s);

/* The live stream has this many bytes now. PLAIT_ERR_STATE where it is finished, PLAIT_ERR_RANGE where it
 * would shrink or become too long. */
PLAIT_MUST_USE int plait_share_grow(struct plait_share *s, uint64_t size);
/* The live stream is complete with this many bytes. Errors as above. */
PLAIT_MUST_USE int plait_share_finish(struct plait_share *s, uint64_t size);

struct plait_share_request {
    uint8_t letter;                      /* below PLAIT_LETTERS */
    struct plait_span span;              /* used where count is 0 */
    const struct plait_pattern *pattern; /* NULL = none; indices are letters. Borrows */
    const struct plait_span *blocks;     /* named ones. Borrows */
    size_t count;                        /* of them; 0 = the connection takes part in the plan */
};

/*
 * A connection opens; returns its number. It gets blocks of the plan from span.first on, or exactly the named
 * ones and then END.
 *
 * Blocks of the span that no earlier request covered are added to the plan: with the request's pattern
 * counted from span.first; without one with the present pattern, or shared by all where there is none. What
 * is planned already stays as it is: only `steer` changes it, so that a request that was long under way
 * changes nothing.
 *
 * PLAIT_ERR_LIMIT: too many connections, steps or ranges. PLAIT_ERR_RANGE: a named block that the stream does
 * not have. PLAIT_ERR_ARG: outside the contract. PLAIT_ERR_NOMEM.
 */
PLAIT_MUST_USE int plait_share_open(struct plait_share *s, uint64_t now, const struct plait_share_request *r);

enum plait_share_end {
    PLAIT_SHARE_BROKEN,   /* what was not acknowledged is due again */
    PLAIT_SHARE_COMPLETE, /* all that was given has gone out and counts as delivered */
};

void plait_share_close(struct plait_share *s, uint64_t now, int conn, enum plait_share_end how);

/*
 * From span.first on the pattern holds, counted from there, up to span.last; blocks before stay where they
 * are. Where exactly this holds already nothing happens, whatever was given. Otherwise PLAIT_ERR_STATE where
 * span.first or a later block has been given; then nothing changes and *at is the first that has not. Where
 * nothing of the span is planned but something behind it is, that was told later and came first: the span is
 * added, whatever was given, and nothing else changes.
 *
 * Without a pattern the plan is carried on over those blocks of the span that are not in it, with the present
 * pattern counted as before; this is never too late.
 *
 * PLAIT_ERR_LIMIT: too many steps or ranges; once connections have got further it is possible again.
 * PLAIT_ERR_ARG as above.
 */
PLAIT_MUST_USE int plait_share_steer(struct plait_share *s, uint64_t now, struct plait_span span,
                                     const struct plait_pattern *pattern, uint64_t *at);

/*
 * These blocks are sent next by the connections with that letter, whatever their spans. PLAIT_ERR_NOTFOUND:
 * no connection has it (any more). PLAIT_ERR_RANGE, PLAIT_ERR_LIMIT, PLAIT_ERR_ARG as above; then nothing
 * changes. When the last connection with the letter closes, what is left of them is forgotten.
 */
PLAIT_MUST_USE int plait_share_ask(struct plait_share *s, uint64_t now, uint8_t letter,
                                   const struct plait_span *blocks, size_t count);

enum plait_share_kind {
    PLAIT_SHARE_BLOCK, /* send block `sequence`: `len` bytes at `offset` of the stream */
    PLAIT_SHARE_MARK,  /* send a MARK with `sequence` */
    PLAIT_SHARE_END,  /* send an END with `sequence`, number of blocks or PLAIT_SHARE_UNKNOWN; then nothing */
    PLAIT_SHARE_WAIT, /* nothing now; `ready` tells when to ask again */
};

struct plait_share_next {
    enum plait_share_kind kind;
    uint64_t sequence;
    uint64_t offset;
    uint32_t len;
};

/* What this connection should send next; to be asked when it has (nearly) nothing unsent. What is returned
 * counts as given and has to be sent, or the connection closed as BROKEN. */
void plait_share_next(struct plait_share *s, uint64_t now, int conn, struct plait_share_next *out);

/*
 * A connection that was told to WAIT and should be asked for again, until false. After a call of any other
 * function, and when plait_share_next_deadline has come.
 */
bool plait_share_ready(struct plait_share *s, uint64_t now, int *conn);
/* PLAIT_NEVER where no connection waits for a time. */
uint64_t plait_share_next_deadline(const struct plait_share *s);
/* When a connection is stuck if nothing is acknowledged until then, and another could take over: to be looked at (on_link,
 * on_acked) and `ready` to be called. PLAIT_NEVER where there is none. */
uint64_t plait_share_stuck_deadline(const struct plait_share *s);

/* How a connection does, as TCP_INFO and the socket's queue have it. */
struct plait_share_link {
    uint64_t unsent_bytes; /* given to it and not yet sent */
    double rate;           /* bytes/s; 0 = not known */
    uint64_t rtt_ns;
    uint64_t
        rtt_min_ns; /* what it was at its least; what it is longer now stands in the queue on the way there. 0 = not known */
    uint64_t rto_ns; /* TCP's timer, while nothing has to be sent again; 0 = as it was, or not known */
};

void plait_share_on_link(struct plait_share *s, int conn, const struct plait_share_link *link);

/*
 * Of the frames of this connection, from its first on, `bytes` bytes (headers of frames and payloads) have
 * been acknowledged in all; fewer than before are ignored. A block counts as delivered with its last byte.
 *
 * On a plain connection that is tcpi_bytes_acked less the bytes before the first frame. Where something wraps
 * the frames (TLS, chunks), the bytes of frames written less those that the socket still holds (SIOCOUTQ) err
 * on the safe side. Has to be reported: with PLAIT_SHARE_INFLIGHT_MAX frames in flight a connection waits.
 */
void plait_share_on_acked(struct plait_share *s, uint64_t now, int conn, uint64_t bytes);

struct plait_share_conn_info {
    uint8_t letter;
    bool named;            /* has no part in the plan */
    bool ended;            /* END was given */
    uint64_t given_bytes;  /* of frames */
    uint64_t given_blocks; /* with those that came twice */
    uint64_t acked_blocks;
    unsigned inflight_blocks; /* but for those that were given to others meanwhile */
    bool stuck;
};

/* False where no such connection is open. */
bool plait_share_get_conn(const struct plait_share *s, int conn, struct plait_share_conn_info *out);

struct plait_share_status {
    uint32_t block_bytes;
    uint64_t size;
    bool live;
    unsigned conns;
    uint64_t empty_since;     /* conns is 0: since when; PLAIT_NEVER otherwise */
    uint64_t at;              /* first block of the plan not yet given: what a 409 tells */
    uint64_t plan_end;        /* one past the last block of the plan; PLAIT_SHARE_UNKNOWN: open */
    uint64_t given_blocks;    /* with those that were given again */
    uint64_t returned_blocks; /* came back from broken or stuck connections and became due again */
    uint64_t dropped_blocks;  /* came back and were left to the receiver: named ones, or no room for more */
};

void plait_share_get_status(const struct plait_share *s, struct plait_share_status *out);

/* The first block from `from` on that the plan has, that is there, is due, and that none of the open
 * connections may send. False where there is none. */
bool plait_share_hole(const struct plait_share *s, uint64_t from, uint64_t *block);

#endif
