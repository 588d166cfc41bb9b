#include "hasher.h"

#include <assert.h>
#include <string.h>

static const char *const evp_names[] = {
    [PLAIT_DIGEST_MD5] = "MD5",       [PLAIT_DIGEST_SHA1] = "SHA1",     [PLAIT_DIGEST_SHA256] = "SHA256",
    [PLAIT_DIGEST_SHA384] = "SHA384", [PLAIT_DIGEST_SHA512] = "SHA512",
};

int plait_hasher_init(struct plait_hasher *h, enum plait_digest_alg alg)
{
    memset(h, 0, sizeof *h);
    if (alg == PLAIT_DIGEST_NONE || (size_t)alg >= sizeof evp_names / sizeof evp_names[0])
        return PLAIT_ERR_NOTFOUND;
    h->alg = alg;
    h->md = EVP_MD_fetch(NULL, evp_names[alg], NULL);
    if (h->md == NULL)
        return PLAIT_ERR_NOTFOUND;
    h->ctx = EVP_MD_CTX_new();
    if (h->ctx != NULL && EVP_DigestInit_ex2(h->ctx, h->md, NULL) == 1)
        return PLAIT_OK;
    plait_hasher_done(h);
    return PLAIT_ERR_NOMEM;
}

void plait_hasher_done(struct plait_hasher *h)
{
    EVP_MD_CTX_free(h->ctx);
    EVP_MD_free(h->md);
    memset(h, 0, sizeof *h);
}

void plait_hasher_restart(struct plait_hasher *h)
{
    int ok = EVP_DigestInit_ex2(h->ctx, h->md, NULL);

    assert(ok == 1); /* it has been so before with the same arguments */
    (void)ok;
}

void plait_hasher_update(struct plait_hasher *h, const void *bytes, size_t len)
{
    int ok = EVP_DigestUpdate(h->ctx, bytes, len);

    assert(ok == 1);
    (void)ok;
}

void plait_hasher_finish(struct plait_hasher *h, struct plait_digest *out)
{
    uint8_t bytes[EVP_MAX_MD_SIZE];
    int ok = EVP_DigestFinal_ex(h->ctx, bytes, NULL);

    assert(ok == 1);
    (void)ok;
    plait_digest_set(out, h->alg, bytes);
}
