/*
 * The OpenSSL objects that are costly to make: made once by each thread and lent to whatever hashes, seals or opens
 * there. Nothing here is shared between threads, nothing reads a clock, and no function makes randomness of its
 * own: it comes from the caller (struct plait_random).
 */
#ifndef PLAIT_CRYPTO_CRYPTO_H
#define PLAIT_CRYPTO_CRYPTO_H

#include <openssl/types.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

/* Ciphers by the number that they have on the wire; 0 is none. */
enum plait_aead_kind {
    PLAIT_AEAD_CHACHA20_POLY1305 = 1, /* RFC 8439 */
    PLAIT_AEAD_AES_256_GCM = 2,       /* NIST SP 800-38D */
    PLAIT_AEAD_AES_128_GCM = 3,
};
#define PLAIT_AEAD_KINDS 4 /* one more than the highest number */

struct plait_crypto {
    EVP_CIPHER *aead[PLAIT_AEAD_KINDS];
    EVP_CIPHER *chacha20;
    EVP_MD *blake2s;
    EVP_MAC *blake2s_mac;
    EVP_MD_CTX *hash;       /* borrowed for one hash at a time */
    EVP_CIPHER_CTX *cipher; /* borrowed for one message at a time, key and all */
};

/* Where random bytes come from; `fill` cannot fail. In a test it is a seeded generator. */
struct plait_random {
    void (*fill)(void *owner, void *bytes, size_t len);
    void *owner; /* borrows */
};

/* Returned owned; NULL without memory, or where this OpenSSL lacks an algorithm. */
struct plait_crypto *plait_crypto_new(void);
void plait_crypto_free(struct plait_crypto *c);

static inline void plait_random_fill(const struct plait_random *r, void *bytes, size_t len)
{
    r->fill(r->owner, bytes, len);
}

/* Overwrites what was secret, and is not optimised away. */
void plait_wipe(void *bytes, size_t len);
/* Whether equal, in a time that does not tell where they differ. */
int plait_is_equal(const void *a, const void *b, size_t len);

#endif
