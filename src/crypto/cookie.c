#include "cookie.h"

#include <openssl/evp.h>
#include <string.h>

/* Labels keep the two keys that are made of one public key, and those of other protocols, apart. */
static void labelled(struct plait_crypto *c, const char *label, const struct plait_key *public,
                     uint8_t out[PLAIT_HASH_BYTES], int *err)
{
    const struct plait_part parts[] = {{label, strlen(label)}, {public->bytes, sizeof public->bytes}};

    plait_blake2s(c, parts, 2, out, err);
}

int plait_cookie_keys_init(struct plait_cookie_keys *k, struct plait_crypto *c,
                           const struct plait_key *public)
{
    uint8_t key[PLAIT_HASH_BYTES];
    int err = PLAIT_OK;

    k->mac1.ctx = NULL;
    labelled(c, "plait mac1 1", public, key, &err);
    labelled(c, "plait cookie 1", public, k->seal_key, &err);
    return err == PLAIT_OK ? plait_mac_init(&k->mac1, c, key, sizeof key) : err;
}

void plait_cookie_keys_done(struct plait_cookie_keys *k)
{
    plait_mac_done(&k->mac1);
}

int plait_cookie_mac1(struct plait_cookie_keys *k, const void *message, size_t len,
                      uint8_t out[PLAIT_MAC_BYTES])
{
    const struct plait_part whole = {message, len};

    return plait_mac(&k->mac1, &whole, 1, out);
}

bool plait_cookie_mac1_is_right(struct plait_cookie_keys *k, const void *message, size_t len,
                                const uint8_t mac1[PLAIT_MAC_BYTES])
{
    uint8_t right[PLAIT_MAC_BYTES];

    return plait_cookie_mac1(k, message, len, right) == PLAIT_OK && plait_is_equal(right, mac1, sizeof right);
}

int plait_cookie_mac2(struct plait_crypto *c, const uint8_t cookie[PLAIT_COOKIE_BYTES], const void *message,
                      size_t len, uint8_t out[PLAIT_MAC_BYTES])
{
    const struct plait_part whole = {message, len};
    struct plait_mac mac;
    int err = plait_mac_init(&mac, c, cookie, PLAIT_COOKIE_BYTES);

    if (err != PLAIT_OK)
        return err;
    err = plait_mac(&mac, &whole, 1, out);
    plait_mac_done(&mac);
    return err;
}

int plait_cookie_seal(struct plait_cookie_keys *k, struct plait_crypto *c,
                      const uint8_t nonce[PLAIT_COOKIE_NONCE_BYTES], const uint8_t mac1[PLAIT_MAC_BYTES],
                      const uint8_t cookie[PLAIT_COOKIE_BYTES], uint8_t out[PLAIT_COOKIE_SEALED_BYTES])
{
    memcpy(out, cookie, PLAIT_COOKIE_BYTES);
    return plait_xchacha_seal(c, k->seal_key, nonce, mac1, PLAIT_MAC_BYTES, out, PLAIT_COOKIE_BYTES);
}

int plait_cookie_open(struct plait_cookie_keys *k, struct plait_crypto *c,
                      const uint8_t nonce[PLAIT_COOKIE_NONCE_BYTES], const uint8_t mac1[PLAIT_MAC_BYTES],
                      const uint8_t sealed[PLAIT_COOKIE_SEALED_BYTES], uint8_t out[PLAIT_COOKIE_BYTES])
{
    uint8_t text[PLAIT_COOKIE_SEALED_BYTES];

    memcpy(text, sealed, sizeof text);
    int err = plait_xchacha_open(c, k->seal_key, nonce, mac1, PLAIT_MAC_BYTES, text, sizeof text);
    if (err == PLAIT_OK)
        memcpy(out, text, PLAIT_COOKIE_BYTES);
    return err;
}

static int new_secret(struct plait_mac *m, struct plait_crypto *c, const struct plait_random *random)
{
    uint8_t secret[PLAIT_HASH_BYTES];

    plait_random_fill(random, secret, sizeof secret);
    int err = plait_mac_init(m, c, secret, sizeof secret);
    plait_wipe(secret, sizeof secret);
    return err;
}

int plait_cookie_jar_init(struct plait_cookie_jar *j, struct plait_crypto *c,
                          const struct plait_random *random, uint64_t now)
{
    *j = (struct plait_cookie_jar){.since = now};
    return new_secret(&j->newest, c, random);
}

void plait_cookie_jar_done(struct plait_cookie_jar *j)
{
    plait_mac_done(&j->newest);
    plait_mac_done(&j->before);
}

int plait_cookie_jar_turn(struct plait_cookie_jar *j, struct plait_crypto *c,
                          const struct plait_random *random, uint64_t now)
{
    struct plait_mac next;

    if (now - j->since < PLAIT_COOKIE_LIFE)
        return PLAIT_OK;
    int err = new_secret(&next, c, random);
    if (err != PLAIT_OK)
        return err;
    plait_mac_done(&j->before);
    /* A secret that lay unused for long is not kept as the one before. */
    if (now - j->since < 2 * PLAIT_COOKIE_LIFE)
        j->before = j->newest;
    else
        plait_mac_done(&j->newest);
    j->newest = next;
    j->since = now;
    return PLAIT_OK;
}

static int bake(struct plait_mac *secret, const struct plait_origin *from, uint8_t out[PLAIT_COOKIE_BYTES])
{
    const uint8_t port[] = {(uint8_t)(from->port >> 8), (uint8_t)from->port};
    const struct plait_part parts[] = {{from->address, sizeof from->address}, {port, sizeof port}};

    return plait_mac(secret, parts, 2, out);
}

int plait_cookie_bake(struct plait_cookie_jar *j, const struct plait_origin *from,
                      uint8_t out[PLAIT_COOKIE_BYTES])
{
    return bake(&j->newest, from, out);
}

static bool is_made_with(struct plait_mac *secret, struct plait_crypto *c, const struct plait_origin *from,
                         const void *message, size_t len, const uint8_t *mac2)
{
    uint8_t cookie[PLAIT_COOKIE_BYTES], right[PLAIT_MAC_BYTES];

    return secret->ctx != NULL && bake(secret, from, cookie) == PLAIT_OK &&
           plait_cookie_mac2(c, cookie, message, len, right) == PLAIT_OK &&
           plait_is_equal(right, mac2, sizeof right);
}

bool plait_cookie_mac2_is_right(struct plait_cookie_jar *j, struct plait_crypto *c,
                                const struct plait_origin *from, const void *message, size_t len,
                                const uint8_t mac2[PLAIT_MAC_BYTES])
{
    static const uint8_t none[PLAIT_MAC_BYTES];

    if (memcmp(mac2, none, sizeof none) == 0)
        return false;
    return is_made_with(&j->newest, c, from, message, len, mac2) ||
           is_made_with(&j->before, c, from, message, len, mac2);
}

static uint32_t read_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void write_le32(uint8_t *p, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

/*
 * HChaCha20: the permutation of ChaCha20 without the addition of its input at the end. OpenSSL offers only the
 * block with the addition, which the input, being known where it is needed (constants and nonce), undoes.
 */
static int hchacha(struct plait_crypto *c, const uint8_t key[PLAIT_AEAD_KEY_BYTES], const uint8_t nonce[16],
                   uint8_t out[PLAIT_AEAD_KEY_BYTES])
{
    static const uint8_t constants[] = "expand 32-byte k";
    uint8_t block[64] = {0};
    int n;
    bool good = EVP_EncryptInit_ex2(c->cipher, c->chacha20, key, nonce, NULL) == 1 &&
                EVP_EncryptUpdate(c->cipher, block, &n, block, sizeof block) == 1;

    for (unsigned i = 0; i < 16; i += 4) {
        write_le32(out + i, read_le32(block + i) - read_le32(constants + i));
        write_le32(out + 16 + i, read_le32(block + 48 + i) - read_le32(nonce + i));
    }
    plait_wipe(block, sizeof block);
    EVP_CIPHER_CTX_reset(c->cipher);
    return good ? PLAIT_OK : PLAIT_ERR_NOMEM;
}

/* The key and nonce with which ChaCha20-Poly1305 does the rest. */
static int narrow(struct plait_crypto *c, const uint8_t *key, const uint8_t nonce[PLAIT_COOKIE_NONCE_BYTES],
                  uint8_t subkey[PLAIT_AEAD_KEY_BYTES], uint8_t subnonce[PLAIT_AEAD_NONCE_BYTES])
{
    memset(subnonce, 0, 4);
    memcpy(subnonce + 4, nonce + 16, 8);
    return hchacha(c, key, nonce, subkey);
}

int plait_xchacha_seal(struct plait_crypto *c, const uint8_t key[PLAIT_AEAD_KEY_BYTES],
                       const uint8_t nonce[PLAIT_COOKIE_NONCE_BYTES], const void *data, size_t data_len,
                       uint8_t *text, size_t len)
{
    uint8_t subkey[PLAIT_AEAD_KEY_BYTES], subnonce[PLAIT_AEAD_NONCE_BYTES];
    int err = narrow(c, key, nonce, subkey, subnonce);

    if (err == PLAIT_OK)
        err = plait_aead_seal_once(c, PLAIT_AEAD_CHACHA20_POLY1305, subkey, subnonce, data, data_len, text,
                                   len);
    plait_wipe(subkey, sizeof subkey);
    return err;
}

int plait_xchacha_open(struct plait_crypto *c, const uint8_t key[PLAIT_AEAD_KEY_BYTES],
                       const uint8_t nonce[PLAIT_COOKIE_NONCE_BYTES], const void *data, size_t data_len,
                       uint8_t *text, size_t len)
{
    uint8_t subkey[PLAIT_AEAD_KEY_BYTES], subnonce[PLAIT_AEAD_NONCE_BYTES];
    int err = narrow(c, key, nonce, subkey, subnonce);

    if (err == PLAIT_OK)
        err = plait_aead_open_once(c, PLAIT_AEAD_CHACHA20_POLY1305, subkey, subnonce, data, data_len, text,
                                   len);
    plait_wipe(subkey, sizeof subkey);
    return err;
}
