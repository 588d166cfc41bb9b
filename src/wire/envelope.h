/*
 * The clear front of a sealed datagram of the tunnel (doc/tunnel.md):
 *
 *      4 u8 · path u8 · receiver u32 · path sequence u64 · sealed bytes · tag of 16
 *
 * with numbers in big-endian order. Those 14 bytes are the associated data of what is sealed behind them, and
 * path (as u32) and path sequence are the nonce. `receiver` is the number that the receiver chose for itself in
 * the handshake.
 */
#ifndef PLAIT_WIRE_ENVELOPE_H
#define PLAIT_WIRE_ENVELOPE_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "err.h"

#define PLAIT_ENVELOPE_BYTES       14u
#define PLAIT_ENVELOPE_NONCE_BYTES 12u
#define PLAIT_ENVELOPE_TAG_BYTES   16u

/* The first byte of every datagram of the tunnel. */
enum plait_envelope_type {
    PLAIT_ENVELOPE_INITIATION = 1,
    PLAIT_ENVELOPE_RESPONSE = 2,
    PLAIT_ENVELOPE_COOKIE = 3,
    PLAIT_ENVELOPE_SEALED = 4,
    PLAIT_ENVELOPE_COMMUNITY = 5,
};

struct plait_envelope {
    uint8_t path;
    uint32_t receiver;
    uint64_t path_seq;
};

/* PLAIT_ERR_TRUNC for less than front and tag, PLAIT_ERR_FORMAT for another type. */
PLAIT_MUST_USE int plait_envelope_decode(const uint8_t *bytes, size_t len, struct plait_envelope *out);

/* These two are in the way of every packet. */

static inline void plait_envelope_encode(const struct plait_envelope *e, uint8_t out[PLAIT_ENVELOPE_BYTES])
{
    const uint32_t receiver = htobe32(e->receiver);
    const uint64_t path_seq = htobe64(e->path_seq);

    out[0] = PLAIT_ENVELOPE_SEALED;
    out[1] = e->path;
    memcpy(out + 2, &receiver, sizeof receiver);
    memcpy(out + 6, &path_seq, sizeof path_seq);
}

static inline void plait_envelope_nonce(const struct plait_envelope *e,
                                        uint8_t out[PLAIT_ENVELOPE_NONCE_BYTES])
{
    const uint32_t path = htobe32(e->path);
    const uint64_t path_seq = htobe64(e->path_seq);

    memcpy(out, &path, sizeof path);
    memcpy(out + 4, &path_seq, sizeof path_seq);
}

#endif
