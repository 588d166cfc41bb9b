#include "blake2s.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>

#define BLOCK_BYTES 64

void plait_blake2s(struct plait_crypto *c, const struct plait_part *parts, size_t count,
                   uint8_t out[PLAIT_HASH_BYTES], int *err)
{
    bool good = EVP_DigestInit_ex2(c->hash, NULL, NULL) == 1;

    for (size_t i = 0; i < count && good; i++)
        good = EVP_DigestUpdate(c->hash, parts[i].bytes, parts[i].len) == 1;
    if (good && EVP_DigestFinal_ex(c->hash, out, NULL) == 1)
        return;
    memset(out, 0, PLAIT_HASH_BYTES);
    *err = PLAIT_ERR_NOMEM;
}

void plait_blake2s_hmac(struct plait_crypto *c, const uint8_t key[PLAIT_HASH_BYTES],
                        const struct plait_part *parts, size_t count, uint8_t out[PLAIT_HASH_BYTES], int *err)
{
    uint8_t pad[BLOCK_BYTES], inner[PLAIT_HASH_BYTES];
    struct plait_part all[4] = {{pad, sizeof pad}};
    const struct plait_part outer[] = {{pad, sizeof pad}, {inner, sizeof inner}};

    if (count > 3) {
        memset(out, 0, PLAIT_HASH_BYTES);
        *err = PLAIT_ERR_ARG;
        return;
    }
    memset(pad, 0x36, sizeof pad);
    for (size_t i = 0; i < PLAIT_HASH_BYTES; i++)
        pad[i] ^= key[i];
    if (count > 0)
        memcpy(all + 1, parts, count * sizeof *parts);
    plait_blake2s(c, all, count + 1, inner, err);
    for (size_t i = 0; i < sizeof pad; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    plait_blake2s(c, outer, 2, out, err);
    plait_wipe(pad, sizeof pad);
    plait_wipe(inner, sizeof inner);
}

void plait_blake2s_hkdf(struct plait_crypto *c, const uint8_t chaining[PLAIT_HASH_BYTES], const void *input,
                        size_t len, uint8_t (*out)[PLAIT_HASH_BYTES], size_t count, int *err)
{
    const struct plait_part whole = {input, len};
    uint8_t key[PLAIT_HASH_BYTES];

    plait_blake2s_hmac(c, chaining, &whole, len > 0, key, err);
    for (size_t i = 1; i <= count; i++) {
        const uint8_t number = (uint8_t)i;
        const struct plait_part chain[] = {{i > 1 ? out[i - 2] : out[0], i > 1 ? PLAIT_HASH_BYTES : 0},
                                           {&number, 1}};
        uint8_t next[PLAIT_HASH_BYTES];
        plait_blake2s_hmac(c, key, chain, 2, next, err);
        memcpy(out[i - 1], next, sizeof next);
        plait_wipe(next, sizeof next);
    }
    plait_wipe(key, sizeof key);
}

int plait_mac_init(struct plait_mac *m, struct plait_crypto *c, const uint8_t *key, size_t key_len)
{
    size_t size = PLAIT_MAC_BYTES;
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
                                 OSSL_PARAM_construct_end()};

    m->ctx = EVP_MAC_CTX_new(c->blake2s_mac);
    if (m->ctx != NULL && EVP_MAC_init(m->ctx, key, key_len, params) == 1)
        return PLAIT_OK;
    plait_mac_done(m);
    return PLAIT_ERR_NOMEM;
}

void plait_mac_done(struct plait_mac *m)
{
    EVP_MAC_CTX_free(m->ctx);
    m->ctx = NULL;
}

int plait_mac(struct plait_mac *m, const struct plait_part *parts, size_t count, uint8_t out[PLAIT_MAC_BYTES])
{
    size_t len;
    bool good = m->ctx != NULL && EVP_MAC_init(m->ctx, NULL, 0, NULL) == 1;

    for (size_t i = 0; i < count && good; i++)
        good = EVP_MAC_update(m->ctx, parts[i].bytes, parts[i].len) == 1;
    return good && EVP_MAC_final(m->ctx, out, &len, PLAIT_MAC_BYTES) == 1 ? PLAIT_OK : PLAIT_ERR_NOMEM;
}
