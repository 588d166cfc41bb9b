/*
 * Noise_IK_25519_{ChaChaPoly,AESGCM}_BLAKE2s (The Noise Protocol Framework, revision 34): the handshake by which
 * an initiator that knows the responder's public key and a responder that learns the initiator's agree on two
 * keys, in one round trip:
 *
 *      <- s
 *      ...
 *      -> e, es, s, ss         48 + 32 bytes and the payload with a tag of 16
 *      <- e, ee, se            32 bytes and the payload with a tag of 16
 *
 * The responder reads the first message in two steps, so that it may look up the initiator's key before it pays
 * for more, and may keep the secret of the two static keys.
 *
 * After an error the state is of no more use than to be wiped. Whoever holds a state wipes it (plait_wipe).
 */
#ifndef PLAIT_CRYPTO_NOISE_H
#define PLAIT_CRYPTO_NOISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aead.h"
#include "blake2s.h"
#include "key.h"

/* Around the payload of the first and of the second message. */
#define PLAIT_NOISE_FIRST_BYTES  (PLAIT_KEY_BYTES + PLAIT_KEY_BYTES + 2 * PLAIT_AEAD_TAG_BYTES)
#define PLAIT_NOISE_SECOND_BYTES (PLAIT_KEY_BYTES + PLAIT_AEAD_TAG_BYTES)

struct plait_noise {
    enum plait_aead_kind aead; /* CHACHA20_POLY1305 or AES_256_GCM */
    uint8_t h[PLAIT_HASH_BYTES], ck[PLAIT_HASH_BYTES], k[PLAIT_HASH_BYTES];
    uint64_t n;
    struct plait_identity self;      /* static */
    struct plait_identity ephemeral; /* own */
    struct plait_key peer, peer_ephemeral;
};

/*
 * `peer` is the responder's static key: the initiator knows it beforehand; for the responder it is NULL.
 * PLAIT_ERR_ARG for AES-128, PLAIT_ERR_NOMEM.
 */
PLAIT_MUST_USE int plait_noise_init(struct plait_noise *n, struct plait_crypto *c, enum plait_aead_kind aead,
                                    const void *prologue, size_t prologue_len,
                                    const struct plait_identity *self, const struct plait_key *peer);

/*
 * The initiator's message, PLAIT_NOISE_FIRST_BYTES + len bytes into `out`. `ephemeral` is 32 random bytes, used
 * once. `shared` is the secret of the two static keys where the caller keeps it, or NULL. PLAIT_ERR_CORRUPT for
 * a peer's key of small order, PLAIT_ERR_NOMEM.
 */
PLAIT_MUST_USE int plait_noise_write_first(struct plait_noise *n, struct plait_crypto *c,
                                           const uint8_t ephemeral[PLAIT_KEY_BYTES], const uint8_t *shared,
                                           const void *payload, size_t len, uint8_t *out);
/* Reads ephemeral and static key: n->peer is then who it claims to be. PLAIT_ERR_TRUNC, PLAIT_ERR_CORRUPT. */
PLAIT_MUST_USE int plait_noise_read_first_key(struct plait_noise *n, struct plait_crypto *c,
                                              const uint8_t *message, size_t len);
/*
 * Then the payload, len − PLAIT_NOISE_FIRST_BYTES bytes: it proves that the claim is true. `out` needs room for a
 * tag more.
 */
PLAIT_MUST_USE int plait_noise_read_first_payload(struct plait_noise *n, struct plait_crypto *c,
                                                  const uint8_t *shared, const uint8_t *message, size_t len,
                                                  uint8_t *out);
PLAIT_MUST_USE int plait_noise_write_second(struct plait_noise *n, struct plait_crypto *c,
                                            const uint8_t ephemeral[PLAIT_KEY_BYTES], const void *payload,
                                            size_t len, uint8_t *out);
/*
 * Tries a second message; the state stays as it was where it is a wrong one (PLAIT_ERR_CORRUPT), so that forged
 * ones do no harm. The payload is len − PLAIT_NOISE_SECOND_BYTES bytes; `out` needs room for a tag more.
 */
PLAIT_MUST_USE int plait_noise_read_second(struct plait_noise *n, struct plait_crypto *c,
                                           const uint8_t *message, size_t len, uint8_t *out);
/* The two keys: from the initiator to the responder, and back. n->h is the hash of all that was said. */
PLAIT_MUST_USE int plait_noise_split(const struct plait_noise *n, struct plait_crypto *c,
                                     uint8_t forth[PLAIT_HASH_BYTES], uint8_t back[PLAIT_HASH_BYTES]);

#endif
