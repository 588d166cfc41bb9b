/*
 * The datagrams by which two ends of a tunnel agree on keys (doc/tunnel.md):
 *
 *   initiation    1 u8 · version u8 · 0 u16 · sender u32
 *                 · ephemeral [32] · sealed static key [48] · sealed body [n + 16] · MAC1 [16] · MAC2 [16]
 *   response      2 u8 · version u8 · 0 u16 · receiver u32 · ephemeral [32] · sealed body [n + 16] · MAC1 [16]
 *   cookie reply  3 u8 · version u8 · 0 u16 · receiver u32 · nonce [24] · sealed cookie [32]
 *
 * and, sealed within,
 *
 *   body of an initiation   stamp u64 · instance u64 · count u8 · count × { AEAD u8 · MB/s u16 } · hello
 *   body of a response      status u8 · AEAD u8 · index u32 · instance u64 · stamp u64 · hello
 *
 * with numbers in big-endian order. `hello` is whatever the two ends have to tell each other (hello.h), to the
 * end of the body. Decoders give views of the datagram.
 */
#ifndef PLAIT_WIRE_HANDSHAKE_H
#define PLAIT_WIRE_HANDSHAKE_H

#include <stddef.h>
#include <stdint.h>

#include "envelope.h"
#include "err.h"

#define PLAIT_HANDSHAKE_VERSION      1u
#define PLAIT_HANDSHAKE_HEAD_BYTES   8u
#define PLAIT_HANDSHAKE_MAC_BYTES    16u
#define PLAIT_HANDSHAKE_OFFERS_MAX   8u
#define PLAIT_HANDSHAKE_HELLO_MAX    640u
#define PLAIT_HANDSHAKE_COOKIE_BYTES 64u

/* Of the bodies, without hello. */
#define PLAIT_INITIATION_BODY_MIN 17u
#define PLAIT_INITIATION_BODY_MAX                                                                            \
    (PLAIT_INITIATION_BODY_MIN + 3 * PLAIT_HANDSHAKE_OFFERS_MAX + PLAIT_HANDSHAKE_HELLO_MAX)
#define PLAIT_RESPONSE_BODY_MIN 22u
#define PLAIT_RESPONSE_BODY_MAX (PLAIT_RESPONSE_BODY_MIN + PLAIT_HANDSHAKE_HELLO_MAX)

/* Head, Noise's bytes, MACs: all but the body. */
#define PLAIT_INITIATION_FRAME_BYTES (8u + 32 + 48 + 16 + 2 * 16)
#define PLAIT_RESPONSE_FRAME_BYTES   (8u + 32 + 16 + 16)
/* No handshake is longer; it fits the smallest path that IPv6 allows. */
#define PLAIT_HANDSHAKE_BYTES_MAX    (PLAIT_INITIATION_FRAME_BYTES + PLAIT_INITIATION_BODY_MAX)

/* An initiation or a response. */
struct plait_handshake {
    enum plait_envelope_type type;
    uint32_t index;       /* initiation: the sender's; response: the receiver's */
    const uint8_t *noise; /* borrows: from the ephemeral key to the end of the sealed body */
    size_t noise_len;
    const uint8_t *mac1; /* covers all that is before it */
    const uint8_t *mac2; /* covers all that is before it; NULL in a response */
};

struct plait_cookie_reply {
    uint32_t receiver;
    const uint8_t *nonce;  /* [24] */
    const uint8_t *sealed; /* [32] */
};

/* Writes the head. */
void plait_handshake_encode_head(enum plait_envelope_type type, uint32_t index,
                                 uint8_t out[PLAIT_HANDSHAKE_HEAD_BYTES]);
/*
 * An initiation or response. PLAIT_ERR_FORMAT for another type or a reserved byte that is not 0, PLAIT_ERR_RANGE
 * for another version, PLAIT_ERR_TRUNC for one that is too short, PLAIT_ERR_LIMIT for one that is too long.
 */
PLAIT_MUST_USE int plait_handshake_decode(const uint8_t *bytes, size_t len, struct plait_handshake *out);
/* Likewise. */
PLAIT_MUST_USE int plait_cookie_reply_decode(const uint8_t *bytes, size_t len,
                                             struct plait_cookie_reply *out);

struct plait_offer {
    uint8_t aead; /* a number that the receiver may not know */
    uint16_t mb_per_s;
};

struct plait_initiation_body {
    uint64_t stamp;    /* each initiation's is higher than all before it of the same static key */
    uint64_t instance; /* random at the start of the program */
    struct plait_offer offers[PLAIT_HANDSHAKE_OFFERS_MAX];
    size_t offer_count;
    const uint8_t *hello; /* borrows */
    size_t hello_len;
};

enum plait_response_status {
    PLAIT_RESPONSE_OK = 0,
    PLAIT_RESPONSE_STALE = 1, /* no keys: the stamp was not higher than `stamp` */
};

struct plait_response_body {
    enum plait_response_status status;
    uint8_t aead;         /* what the two agree on */
    uint32_t index;       /* the responder's */
    uint64_t instance;    /* the responder's */
    uint64_t stamp;       /* the highest that the responder has seen of this initiator */
    const uint8_t *hello; /* borrows */
    size_t hello_len;
};

/* Return the number of bytes written, or PLAIT_ERR_LIMIT for too much of anything, PLAIT_ERR_ARG for a bad status. */
PLAIT_MUST_USE int plait_initiation_body_encode(const struct plait_initiation_body *b, uint8_t *out,
                                                size_t size);
PLAIT_MUST_USE int plait_response_body_encode(const struct plait_response_body *b, uint8_t *out, size_t size);
/* PLAIT_ERR_TRUNC, PLAIT_ERR_LIMIT for too many offers or too long a hello, PLAIT_ERR_RANGE for an unknown status. */
PLAIT_MUST_USE int plait_initiation_body_decode(const uint8_t *bytes, size_t len,
                                                struct plait_initiation_body *out);
PLAIT_MUST_USE int plait_response_body_decode(const uint8_t *bytes, size_t len,
                                              struct plait_response_body *out);

#endif
