#include "aead.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>

#include "units.h"

#define TRIAL_BYTES  1400
#define TRIAL_NS     (2 * PLAIT_MS)
#define TRIAL_BATCH  32
#define TRIAL_WARMUP 64

int plait_aead_init(struct plait_aead *a, const struct plait_crypto *c, enum plait_aead_kind kind,
                    const uint8_t key[PLAIT_AEAD_KEY_BYTES], bool seals)
{
    if ((unsigned)kind >= PLAIT_AEAD_KINDS || c->aead[kind] == NULL)
        return PLAIT_ERR_ARG;
    a->kind = kind;
    a->ctx = EVP_CIPHER_CTX_new();
    /* The nonce of 12 bytes is what all three have by default. */
    if (a->ctx != NULL && EVP_CipherInit_ex2(a->ctx, c->aead[kind], key, NULL, seals, NULL) == 1)
        return PLAIT_OK;
    plait_aead_done(a);
    return PLAIT_ERR_NOMEM;
}

void plait_aead_done(struct plait_aead *a)
{
    EVP_CIPHER_CTX_free(a->ctx); /* wipes */
    a->ctx = NULL;
}

/* One message through a context that has its key. */
static bool seal_with(EVP_CIPHER_CTX *ctx, const uint8_t *nonce, const void *data, size_t data_len,
                      uint8_t *text, size_t len)
{
    OSSL_PARAM tag[] = {OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, text + len, PLAIT_AEAD_TAG_BYTES),
                        OSSL_PARAM_END};
    int n;

    return EVP_EncryptInit_ex2(ctx, NULL, NULL, nonce, NULL) == 1 &&
           (data_len == 0 || EVP_EncryptUpdate(ctx, NULL, &n, data, (int)data_len) == 1) &&
           (len == 0 || EVP_EncryptUpdate(ctx, text, &n, text, (int)len) == 1) &&
           EVP_EncryptFinal_ex(ctx, text + len, &n) == 1 && EVP_CIPHER_CTX_get_params(ctx, tag) == 1;
}

static bool open_with(EVP_CIPHER_CTX *ctx, const uint8_t *nonce, const void *data, size_t data_len,
                      uint8_t *text, size_t len)
{
    const OSSL_PARAM tag[] = {
        OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, text + len, PLAIT_AEAD_TAG_BYTES),
        OSSL_PARAM_END};
    int n;

    return EVP_DecryptInit_ex2(ctx, NULL, NULL, nonce, tag) == 1 &&
           (data_len == 0 || EVP_DecryptUpdate(ctx, NULL, &n, data, (int)data_len) == 1) &&
           (len == 0 || EVP_DecryptUpdate(ctx, text, &n, text, (int)len) == 1) &&
           EVP_DecryptFinal_ex(ctx, text + len, &n) == 1;
}

int plait_aead_seal(struct plait_aead *a, const uint8_t nonce[PLAIT_AEAD_NONCE_BYTES], const void *data,
                    size_t data_len, uint8_t *text, size_t len)
{
    if (a->ctx == NULL)
        return PLAIT_ERR_STATE;
    if (len > INT_MAX || data_len > INT_MAX)
        return PLAIT_ERR_ARG;
    return seal_with(a->ctx, nonce, data, data_len, text, len) ? PLAIT_OK : PLAIT_ERR_STATE;
}

int plait_aead_open(struct plait_aead *a, const uint8_t nonce[PLAIT_AEAD_NONCE_BYTES], const void *data,
                    size_t data_len, uint8_t *text, size_t len)
{
    if (a->ctx == NULL)
        return PLAIT_ERR_STATE;
    if (len < PLAIT_AEAD_TAG_BYTES)
        return PLAIT_ERR_TRUNC;
    if (len > INT_MAX || data_len > INT_MAX)
        return PLAIT_ERR_ARG;
    return open_with(a->ctx, nonce, data, data_len, text, len - PLAIT_AEAD_TAG_BYTES) ? PLAIT_OK
                                                                                      : PLAIT_ERR_CORRUPT;
}

/* Gives the thread's context the key, as an object that does not own it. */
static int borrow(struct plait_crypto *c, struct plait_aead *a, enum plait_aead_kind kind, const uint8_t *key,
                  bool seals)
{
    if ((unsigned)kind >= PLAIT_AEAD_KINDS || c->aead[kind] == NULL)
        return PLAIT_ERR_ARG;
    *a = (struct plait_aead){c->cipher, kind};
    return EVP_CipherInit_ex2(c->cipher, c->aead[kind], key, NULL, seals, NULL) == 1 ? PLAIT_OK
                                                                                     : PLAIT_ERR_NOMEM;
}

int plait_aead_seal_once(struct plait_crypto *c, enum plait_aead_kind kind,
                         const uint8_t key[PLAIT_AEAD_KEY_BYTES], const uint8_t nonce[PLAIT_AEAD_NONCE_BYTES],
                         const void *data, size_t data_len, uint8_t *text, size_t len)
{
    struct plait_aead a;
    int err = borrow(c, &a, kind, key, true);

    if (err == PLAIT_OK)
        err = plait_aead_seal(&a, nonce, data, data_len, text, len);
    EVP_CIPHER_CTX_reset(c->cipher);
    return err;
}

int plait_aead_open_once(struct plait_crypto *c, enum plait_aead_kind kind,
                         const uint8_t key[PLAIT_AEAD_KEY_BYTES], const uint8_t nonce[PLAIT_AEAD_NONCE_BYTES],
                         const void *data, size_t data_len, uint8_t *text, size_t len)
{
    struct plait_aead a;
    int err = borrow(c, &a, kind, key, false);

    if (err == PLAIT_OK)
        err = plait_aead_open(&a, nonce, data, data_len, text, len);
    EVP_CIPHER_CTX_reset(c->cipher);
    return err;
}

static bool seal_batch(struct plait_aead *a, unsigned count)
{
    static const uint8_t data[14];
    uint8_t nonce[PLAIT_AEAD_NONCE_BYTES] = {0}, text[TRIAL_BYTES + PLAIT_AEAD_TAG_BYTES] = {0};

    for (unsigned i = 0; i < count; i++) {
        nonce[0] = (uint8_t)i;
        if (plait_aead_seal(a, nonce, data, sizeof data, text, TRIAL_BYTES) != PLAIT_OK)
            return false;
    }
    return true;
}

static uint16_t measure_one(struct plait_crypto *c, enum plait_aead_kind kind, uint64_t (*clock)(void *),
                            void *owner)
{
    static const uint8_t key[PLAIT_AEAD_KEY_BYTES] = {1};
    struct plait_aead a;
    uint64_t best = PLAIT_NEVER, spent = 0;

    if (plait_aead_init(&a, c, kind, key, true) != PLAIT_OK)
        return 0;
    bool good = seal_batch(&a, TRIAL_WARMUP);
    /* The best of many short batches is what is left when nothing else wants the processor. */
    for (unsigned round = 0; good && spent < TRIAL_NS && round < 1000; round++) {
        uint64_t start = clock(owner);
        good = seal_batch(&a, TRIAL_BATCH);
        uint64_t took = plait_max_u64(plait_since(clock(owner), start), 1);
        best = plait_min_u64(best, took);
        spent += took;
    }
    plait_aead_done(&a);
    return good ? (uint16_t)plait_clamp_u64(UINT64_C(1000) * TRIAL_BYTES * TRIAL_BATCH / best, 1, UINT16_MAX)
                : 0;
}

void plait_aead_measure(struct plait_crypto *c, uint64_t (*clock)(void *owner), void *owner,
                        struct plait_aead_speeds *out)
{
    out->mb_per_s[0] = 0;
    for (int kind = 1; kind < PLAIT_AEAD_KINDS; kind++)
        out->mb_per_s[kind] = measure_one(c, (enum plait_aead_kind)kind, clock, owner);
}

enum plait_aead_kind plait_aead_agree(const struct plait_aead_speeds *a, const struct plait_aead_speeds *b)
{
    uint64_t slower[PLAIT_AEAD_KINDS], best = 0;

    for (size_t i = 1; i < PLAIT_AEAD_KINDS; i++) {
        slower[i] = plait_min_u64(a->mb_per_s[i], b->mb_per_s[i]);
        best = plait_max_u64(best, slower[i]);
    }
    for (size_t i = 1; i < PLAIT_AEAD_KINDS && best > 0; i++)
        if (slower[i] > 0 && slower[i] * 20 >= best * 19)
            return (enum plait_aead_kind)i;
    return (enum plait_aead_kind)0;
}

const char *plait_aead_name(enum plait_aead_kind kind)
{
    switch (kind) {
    case PLAIT_AEAD_CHACHA20_POLY1305:
        return "ChaCha20-Poly1305";
    case PLAIT_AEAD_AES_256_GCM:
        return "AES-256-GCM";
    case PLAIT_AEAD_AES_128_GCM:
        return "AES-128-GCM";
    }
    return "none";
}
