#include "crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>

#include "units.h"

static bool fetch_all(struct plait_crypto *c)
{
    static const char *const names[PLAIT_AEAD_KINDS] = {
        [PLAIT_AEAD_CHACHA20_POLY1305] = "ChaCha20-Poly1305",
        [PLAIT_AEAD_AES_256_GCM] = "AES-256-GCM",
        [PLAIT_AEAD_AES_128_GCM] = "AES-128-GCM",
    };

    for (size_t i = 1; i < PLAIT_COUNT(names); i++)
        if ((c->aead[i] = EVP_CIPHER_fetch(NULL, names[i], NULL)) == NULL)
            return false;
    c->chacha20 = EVP_CIPHER_fetch(NULL, "ChaCha20", NULL);
    c->blake2s = EVP_MD_fetch(NULL, "BLAKE2S-256", NULL);
    c->blake2s_mac = EVP_MAC_fetch(NULL, "BLAKE2SMAC", NULL);
    c->hash = EVP_MD_CTX_new();
    c->cipher = EVP_CIPHER_CTX_new();
    return c->chacha20 != NULL && c->blake2s != NULL && c->blake2s_mac != NULL && c->hash != NULL &&
           c->cipher != NULL && EVP_DigestInit_ex2(c->hash, c->blake2s, NULL) == 1;
}

struct plait_crypto *plait_crypto_new(void)
{
    struct plait_crypto *c = calloc(1, sizeof *c);

    if (c != NULL && !fetch_all(c)) {
        plait_crypto_free(c);
        return NULL;
    }
    return c;
}

void plait_crypto_free(struct plait_crypto *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < PLAIT_AEAD_KINDS; i++)
        EVP_CIPHER_free(c->aead[i]);
    EVP_CIPHER_free(c->chacha20);
    EVP_MD_CTX_free(c->hash);
    EVP_CIPHER_CTX_free(c->cipher);
    EVP_MD_free(c->blake2s);
    EVP_MAC_free(c->blake2s_mac);
    free(c);
}

void plait_wipe(void *bytes, size_t len)
{
    OPENSSL_cleanse(bytes, len);
}

int plait_is_equal(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}
