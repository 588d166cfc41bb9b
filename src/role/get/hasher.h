/*
 * Computing the digests of digest.h (OpenSSL's EVP).
 */
#ifndef PLAIT_GET_HASHER_H
#define PLAIT_GET_HASHER_H

#include <openssl/evp.h>
#include <stddef.h>

#include "digest.h"
#include "err.h"

struct plait_hasher {
    EVP_MD_CTX *ctx;
    EVP_MD *md;
    enum plait_digest_alg alg;
};

/* PLAIT_ERR_NOTFOUND where this machine's OpenSSL refuses the algorithm, PLAIT_ERR_NOMEM. */
PLAIT_MUST_USE int plait_hasher_init(struct plait_hasher *h, enum plait_digest_alg alg);
void plait_hasher_done(struct plait_hasher *h);
/* From the beginning again. */
void plait_hasher_restart(struct plait_hasher *h);
void plait_hasher_update(struct plait_hasher *h, const void *bytes, size_t len);
/* Ends it; restart before the next update. */
void plait_hasher_finish(struct plait_hasher *h, struct plait_digest *out);

#endif
