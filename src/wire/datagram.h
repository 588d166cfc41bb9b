/*
 * What is inside a sealed datagram of the tunnel (doc/tunnel.md, "Datagrams"): the inner header and the kinds
 * of messages. Numbers are big-endian. Every datagram begins with eight bytes:
 *
 *      kind and flags u8 · back u8 · path sequence u24 · send time u24
 *
 * The path sequence counts all datagrams that one end has sent on one path, whatever their kind. The send
 * time is the sender's clock in units of 8 µs. Both wrap; plait_datagram_unwrap restores them. A DATA message
 * goes on with the place of the packet in its flow, and ends with the inner packet:
 *
 *      flow u10 and its sequence u22 · paths of the four packets before it in the flow, u4 each
 *
 * Decoders never look past the given bytes, allocate nothing and leave the output alone on failure.
 */
#ifndef PLAIT_WIRE_DATAGRAM_H
#define PLAIT_WIRE_DATAGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define PLAIT_DATAGRAM_CLEAR_BYTES                                                                           \
    14u /* type, path, receiver, path sequence of the seal: before the sealed part */
#define PLAIT_DATAGRAM_TAG_BYTES    16u /* after it */
#define PLAIT_DATAGRAM_COMMON_BYTES 8u
#define PLAIT_DATAGRAM_DATA_BYTES   14u /* inner header of a DATA message, the common part included */

#define PLAIT_DATAGRAM_SEQ_BITS      24u /* of the path sequence and of the send time */
#define PLAIT_DATAGRAM_FLOW_SEQ_BITS 22u
#define PLAIT_DATAGRAM_FLOWS         1024u /* buckets of inner flows */
#define PLAIT_DATAGRAM_TIME_NS       8000u /* unit of the send time */
#define PLAIT_DATAGRAM_PATHS_MAX     14u   /* path numbers are 0..13 */
#define PLAIT_DATAGRAM_BEFORE        4u    /* packets before it in the flow of which a DATA names the paths */
#define PLAIT_DATAGRAM_PATH_UNSENT   14u   /* in place of a path: not sent when this packet was */
#define PLAIT_DATAGRAM_PATH_UNKNOWN  15u   /* in place of a path: nothing is said */
#define PLAIT_DATAGRAM_RANGES_MAX    24u   /* ranges of losses in one report */

enum plait_datagram_kind {
    PLAIT_DATAGRAM_DATA = 1,      /* an inner packet */
    PLAIT_DATAGRAM_FEEDBACK = 2,  /* what arrived on which path, and when */
    PLAIT_DATAGRAM_PROBE = 3,     /* is to be answered on the path it came on; padded to any size */
    PLAIT_DATAGRAM_PROBE_ACK = 4, /* the answer */
    PLAIT_DATAGRAM_PATH_END = 5,  /* nothing that was sent before on this path is still to come after this */
    PLAIT_DATAGRAM_CLOSE = 6,     /* the sender leaves; `reason` says why */
    PLAIT_DATAGRAM_CONTROL =
        7, /* a message of the roles: opaque bytes, delivered as they come, perhaps not */
    PLAIT_DATAGRAM_PADDING = 8, /* nothing; padded to any size */
};

enum plait_datagram_flag {
    PLAIT_DATAGRAM_AGAIN = 1, /* DATA: another datagram has carried, or will carry, the same packet */
    PLAIT_DATAGRAM_AHEAD = 2, /* DATA: sent before packets that precede it in its flow */
    PLAIT_DATAGRAM_ASKS = 4,  /* any: feedback is wanted at once */
};

struct plait_datagram {
    enum plait_datagram_kind kind;
    uint8_t flags; /* of enum plait_datagram_flag; others are ignored by a receiver */
    uint8_t
        back; /* DATA: distance in the flow to the packet before it; those between will never come; 0 = wait for none */
    uint32_t path_seq; /* u24 */
    uint32_t time;     /* u24, in PLAIT_DATAGRAM_TIME_NS */
    uint16_t flow;     /* DATA: < PLAIT_DATAGRAM_FLOWS */
    uint32_t flow_seq; /* DATA: u22 */
    uint8_t before
        [PLAIT_DATAGRAM_BEFORE]; /* DATA: paths of flow_seq - 1, - 2, …, or one of the two words above */
    const uint8_t *body;         /* decoding: borrows from the input; what follows the header */
    size_t body_len;
};

/* Bytes that the header of a kind takes. */
size_t plait_datagram_header_bytes(enum plait_datagram_kind kind);
/* Writes the header (not the body) and returns its length; PLAIT_ERR_ARG for a field outside its range. */
PLAIT_MUST_USE int plait_datagram_encode(const struct plait_datagram *d,
                                         uint8_t out[PLAIT_DATAGRAM_DATA_BYTES]);
/* PLAIT_ERR_TRUNC, or PLAIT_ERR_FORMAT for an unknown kind (to be ignored: a newer end may send it). */
PLAIT_MUST_USE int plait_datagram_decode(const void *bytes, size_t len, struct plait_datagram *out);

/* The number nearest to `near` whose low `bits` are those of `value`; never below zero. */
uint64_t plait_datagram_unwrap(uint64_t near, uint32_t value, unsigned bits);

/* ---- FEEDBACK: a byte with the number of reports, and the reports ---- */

/* Path sequences first … first + count − 1 have not arrived and are given up. */
struct plait_datagram_range {
    uint32_t first; /* u24 */
    uint16_t count; /* > 0 */
};

struct plait_datagram_report {
    uint8_t path;
    uint32_t decided;    /* u24: of all below this it is known whether they arrived */
    uint32_t newest;     /* u24: greatest that arrived */
    uint32_t arrival;    /* u24: when that was, receiver's clock */
    uint32_t delay_min;  /* u24: least (arrival − send time) since the last report, wrapped */
    uint32_t delay_mean; /* u24: the same, mean since the last report, wrapped */
    uint32_t bytes;      /* all plaintext bytes that arrived on the path so far, wrapped */
    uint32_t packets;    /* u24: all datagrams that arrived so far, wrapped */
    uint8_t ranges_n;
    struct plait_datagram_range
        range[PLAIT_DATAGRAM_RANGES_MAX]; /* the newest losses below `decided`, newest first */
};

#define PLAIT_DATAGRAM_REPORT_BYTES 24u /* without ranges */
#define PLAIT_DATAGRAM_RANGE_BYTES  5u

/* Appends a report to a feedback's body of which *used bytes are written (0 at first: the count is then begun).
 * PLAIT_ERR_LIMIT where it does not fit into `room`: nothing has changed. */
PLAIT_MUST_USE int plait_datagram_report_append(uint8_t *body, size_t room, size_t *used,
                                                const struct plait_datagram_report *r);
/* Reads the report at *at (0 at first) and moves on. PLAIT_ERR_NOTFOUND after the last. */
PLAIT_MUST_USE int plait_datagram_report_next(const uint8_t *body, size_t len, size_t *at,
                                              struct plait_datagram_report *out);

/* ---- PROBE and PROBE_ACK ---- */

struct plait_datagram_probe {
    uint16_t id;
    uint16_t size; /* PROBE_ACK: plaintext bytes of the probe as it arrived; PROBE: 0 */
    uint32_t echo; /* u24, PROBE_ACK: send time of the probe */
    uint8_t train; /* PROBE: number in a train of `train_len` sent at once, and that length; 0 of 0 = alone */
    uint8_t train_len;
};

#define PLAIT_DATAGRAM_PROBE_BYTES 9u

void plait_datagram_probe_encode(const struct plait_datagram_probe *p,
                                 uint8_t out[PLAIT_DATAGRAM_PROBE_BYTES]);
PLAIT_MUST_USE int plait_datagram_probe_decode(const uint8_t *body, size_t len,
                                               struct plait_datagram_probe *out);

#endif
