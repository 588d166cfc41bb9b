/*
 * BLAKE2s (RFC 7693): hash, keyed MAC of 16 bytes, HMAC and the HKDF that Noise uses (section 4.3 of its
 * specification).
 *
 * A sum that could not be computed (OpenSSL had no memory) sets *err and gives zeros; callers make a run of calls
 * and look once, as with cursors. *err is only ever set, never cleared.
 */
#ifndef PLAIT_CRYPTO_BLAKE2S_H
#define PLAIT_CRYPTO_BLAKE2S_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto.h"
#include "err.h"

#define PLAIT_HASH_BYTES 32u
#define PLAIT_MAC_BYTES  16u

/* A run of bytes; sums are taken over several, one behind the other. */
struct plait_part {
    const void *bytes; /* borrows */
    size_t len;
};

void plait_blake2s(struct plait_crypto *c, const struct plait_part *parts, size_t count,
                   uint8_t out[PLAIT_HASH_BYTES], int *err);
void plait_blake2s_hmac(struct plait_crypto *c, const uint8_t key[PLAIT_HASH_BYTES],
                        const struct plait_part *parts, size_t count, uint8_t out[PLAIT_HASH_BYTES],
                        int *err);
/* `count` keys, 1 to 3, of PLAIT_HASH_BYTES each. `input` may be empty; `out` may overlap neither input. */
void plait_blake2s_hkdf(struct plait_crypto *c, const uint8_t chaining[PLAIT_HASH_BYTES], const void *input,
                        size_t len, uint8_t (*out)[PLAIT_HASH_BYTES], size_t count, int *err);

/* A MAC whose key stays: BLAKE2s with a key of 16 or 32 bytes and a digest of 16. */
struct plait_mac {
    EVP_MAC_CTX *ctx;
};

/* PLAIT_ERR_NOMEM. Init once, done once; PLAIT_MAC of a blank one is an error (*err). */
PLAIT_MUST_USE int plait_mac_init(struct plait_mac *m, struct plait_crypto *c, const uint8_t *key,
                                  size_t key_len);
void plait_mac_done(struct plait_mac *m);
PLAIT_MUST_USE int plait_mac(struct plait_mac *m, const struct plait_part *parts, size_t count,
                             uint8_t out[PLAIT_MAC_BYTES]);

#endif
