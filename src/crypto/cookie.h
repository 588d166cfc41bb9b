/*
 * What keeps strangers from making a responder work: MAC1, MAC2 and cookies, as WireGuard has them (Donenfeld, NDSS
 * 2017, section 5.4.4 and 5.4.7), with labels of our own.
 *
 *   MAC1    over the message up to it, keyed by a hash of the responder's public key: the sender knows whom it
 *           writes to. Wrong: not a word of answer.
 *   cookie  MAC of the sender's address and port, keyed by a secret that changes every two minutes. A responder under
 *           load sends it to who has a right MAC1, sealed (XChaCha20-Poly1305) under a hash of its public key, with
 *           the MAC1 as associated data.
 *   MAC2    over the message and its MAC1, keyed by the cookie: the sender really has that address.
 */
#ifndef PLAIT_CRYPTO_COOKIE_H
#define PLAIT_CRYPTO_COOKIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aead.h"
#include "blake2s.h"
#include "key.h"

#define PLAIT_COOKIE_BYTES        16u
#define PLAIT_COOKIE_NONCE_BYTES  24u
#define PLAIT_COOKIE_SEALED_BYTES (PLAIT_COOKIE_BYTES + PLAIT_AEAD_TAG_BYTES)
#define PLAIT_COOKIE_LIFE         (120 * UINT64_C(1000000000)) /* ns: how long a secret is the newest */

/* Where a datagram came from. IPv4 as ::ffff:a.b.c.d. */
struct plait_origin {
    uint8_t address[16];
    uint16_t port;
};

/* Makes and checks MAC1 for messages to one public key, and seals and opens cookies from its owner. */
struct plait_cookie_keys {
    struct plait_mac mac1;
    uint8_t seal_key[PLAIT_HASH_BYTES];
};

PLAIT_MUST_USE int plait_cookie_keys_init(struct plait_cookie_keys *k, struct plait_crypto *c,
                                          const struct plait_key *public);
void plait_cookie_keys_done(struct plait_cookie_keys *k);
PLAIT_MUST_USE int plait_cookie_mac1(struct plait_cookie_keys *k, const void *message, size_t len,
                                     uint8_t out[PLAIT_MAC_BYTES]);
bool plait_cookie_mac1_is_right(struct plait_cookie_keys *k, const void *message, size_t len,
                                const uint8_t mac1[PLAIT_MAC_BYTES]);
/* `message` includes the MAC1. */
PLAIT_MUST_USE int plait_cookie_mac2(struct plait_crypto *c, const uint8_t cookie[PLAIT_COOKIE_BYTES],
                                     const void *message, size_t len, uint8_t out[PLAIT_MAC_BYTES]);
PLAIT_MUST_USE int plait_cookie_seal(struct plait_cookie_keys *k, struct plait_crypto *c,
                                     const uint8_t nonce[PLAIT_COOKIE_NONCE_BYTES],
                                     const uint8_t mac1[PLAIT_MAC_BYTES],
                                     const uint8_t cookie[PLAIT_COOKIE_BYTES],
                                     uint8_t out[PLAIT_COOKIE_SEALED_BYTES]);
/* PLAIT_ERR_CORRUPT where it is not an answer to the message with that MAC1. */
PLAIT_MUST_USE int plait_cookie_open(struct plait_cookie_keys *k, struct plait_crypto *c,
                                     const uint8_t nonce[PLAIT_COOKIE_NONCE_BYTES],
                                     const uint8_t mac1[PLAIT_MAC_BYTES],
                                     const uint8_t sealed[PLAIT_COOKIE_SEALED_BYTES],
                                     uint8_t out[PLAIT_COOKIE_BYTES]);

/* The responder's secret: the newest, and the one before it, whose cookies still count. */
struct plait_cookie_jar {
    struct plait_mac newest, before;
    uint64_t since; /* the newest was made */
};

PLAIT_MUST_USE int plait_cookie_jar_init(struct plait_cookie_jar *j, struct plait_crypto *c,
                                         const struct plait_random *random, uint64_t now);
void plait_cookie_jar_done(struct plait_cookie_jar *j);
/* Changes the secret where it is time to; call before use. */
PLAIT_MUST_USE int plait_cookie_jar_turn(struct plait_cookie_jar *j, struct plait_crypto *c,
                                         const struct plait_random *random, uint64_t now);
PLAIT_MUST_USE int plait_cookie_bake(struct plait_cookie_jar *j, const struct plait_origin *from,
                                     uint8_t out[PLAIT_COOKIE_BYTES]);
/* Whether the MAC2 of this message was made with a cookie for this origin. */
bool plait_cookie_mac2_is_right(struct plait_cookie_jar *j, struct plait_crypto *c,
                                const struct plait_origin *from, const void *message, size_t len,
                                const uint8_t mac2[PLAIT_MAC_BYTES]);

/* XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03), in place like plait_aead_seal and plait_aead_open. */
PLAIT_MUST_USE int plait_xchacha_seal(struct plait_crypto *c, const uint8_t key[PLAIT_AEAD_KEY_BYTES],
                                      const uint8_t nonce[PLAIT_COOKIE_NONCE_BYTES], const void *data,
                                      size_t data_len, uint8_t *text, size_t len);
PLAIT_MUST_USE int plait_xchacha_open(struct plait_crypto *c, const uint8_t key[PLAIT_AEAD_KEY_BYTES],
                                      const uint8_t nonce[PLAIT_COOKIE_NONCE_BYTES], const void *data,
                                      size_t data_len, uint8_t *text, size_t len);

#endif
