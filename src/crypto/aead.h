/*
 * Sealing in place: a cipher with its key scheduled once, a 96-bit nonce and associated data for each packet, a
 * tag of 16 bytes behind the ciphertext. Nothing is allocated for a packet.
 */
#ifndef PLAIT_CRYPTO_AEAD_H
#define PLAIT_CRYPTO_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto.h"
#include "err.h"

#define PLAIT_AEAD_KEY_BYTES   32u /* given for each kind; AES-128 uses the first 16 */
#define PLAIT_AEAD_TAG_BYTES   16u
#define PLAIT_AEAD_NONCE_BYTES 12u

struct plait_aead {
    EVP_CIPHER_CTX *ctx; /* owns; NULL = no key */
    enum plait_aead_kind kind;
};

/* One object either seals or opens. PLAIT_ERR_ARG for a kind that there is not, PLAIT_ERR_NOMEM. */
PLAIT_MUST_USE int plait_aead_init(struct plait_aead *a, const struct plait_crypto *c,
                                   enum plait_aead_kind kind, const uint8_t key[PLAIT_AEAD_KEY_BYTES],
                                   bool seals);
/* Wipes the key; harmless on a zeroed object. */
void plait_aead_done(struct plait_aead *a);

/*
 * `text` has `len` bytes and room for the tag behind them. PLAIT_ERR_ARG for more than INT_MAX bytes,
 * PLAIT_ERR_STATE where OpenSSL refuses (it has no reason to).
 */
PLAIT_MUST_USE int plait_aead_seal(struct plait_aead *a, const uint8_t nonce[PLAIT_AEAD_NONCE_BYTES],
                                   const void *data, size_t data_len, uint8_t *text, size_t len);
/*
 * `text` has `len` bytes, the tag among them; the plaintext of `len` − PLAIT_AEAD_TAG_BYTES takes their place.
 * PLAIT_ERR_CORRUPT where the tag is not of this key, nonce, data and text; the text is then worthless.
 * PLAIT_ERR_TRUNC for less than a tag.
 */
PLAIT_MUST_USE int plait_aead_open(struct plait_aead *a, const uint8_t nonce[PLAIT_AEAD_NONCE_BYTES],
                                   const void *data, size_t data_len, uint8_t *text, size_t len);

/* The same with a key that is used this once. */
PLAIT_MUST_USE int plait_aead_seal_once(struct plait_crypto *c, enum plait_aead_kind kind,
                                        const uint8_t key[PLAIT_AEAD_KEY_BYTES],
                                        const uint8_t nonce[PLAIT_AEAD_NONCE_BYTES], const void *data,
                                        size_t data_len, uint8_t *text, size_t len);
PLAIT_MUST_USE int plait_aead_open_once(struct plait_crypto *c, enum plait_aead_kind kind,
                                        const uint8_t key[PLAIT_AEAD_KEY_BYTES],
                                        const uint8_t nonce[PLAIT_AEAD_NONCE_BYTES], const void *data,
                                        size_t data_len, uint8_t *text, size_t len);

/* How fast a machine is at each kind, in MB/s; 0 = cannot or will not. */
struct plait_aead_speeds {
    uint16_t mb_per_s[PLAIT_AEAD_KINDS];
};

/*
 * Measures: `clock` tells nanoseconds. Takes a few milliseconds; a kind that fails has speed 0. What is measured is
 * whole packets of 1400 bytes, as the tunnel seals them.
 */
void plait_aead_measure(struct plait_crypto *c, uint64_t (*clock)(void *owner), void *owner,
                        struct plait_aead_speeds *out);
/*
 * What two machines agree on: the kind at which the slower of the two is fastest; among those within a
 * twentieth of it, the one with the lowest number. The same whoever asks. 0 where they have none in common.
 */
enum plait_aead_kind plait_aead_agree(const struct plait_aead_speeds *a, const struct plait_aead_speeds *b);
/* "ChaCha20-Poly1305", "AES-256-GCM", "AES-128-GCM"; "none" for anything else. */
const char *plait_aead_name(enum plait_aead_kind kind);

#endif
