#include "noise.h"

#include <string.h>

/* The names and the order of the steps are those of the specification, section 5. */

static void mix_hash(struct plait_noise *n, struct plait_crypto *c, const void *bytes, size_t len, int *err)
{
    const struct plait_part parts[] = {{n->h, sizeof n->h}, {bytes, len}};
    uint8_t next[PLAIT_HASH_BYTES];

    plait_blake2s(c, parts, len > 0 ? 2 : 1, next, err);
    memcpy(n->h, next, sizeof next);
}

static void mix_key(struct plait_noise *n, struct plait_crypto *c, const uint8_t input[PLAIT_KEY_BYTES],
                    int *err)
{
    uint8_t keys[2][PLAIT_HASH_BYTES];

    plait_blake2s_hkdf(c, n->ck, input, PLAIT_KEY_BYTES, keys, 2, err);
    memcpy(n->ck, keys[0], sizeof n->ck);
    memcpy(n->k, keys[1], sizeof n->k);
    n->n = 0;
    plait_wipe(keys, sizeof keys);
}

/* Mixes in what two keys share; `shared` where the caller knows it already. */
static void mix_shared(struct plait_noise *n, struct plait_crypto *c, const struct plait_identity *own,
                       const struct plait_key *public, const uint8_t *shared, int *err)
{
    uint8_t agreed[PLAIT_KEY_BYTES] = {0};

    if (*err != PLAIT_OK)
        return;
    if (shared != NULL)
        memcpy(agreed, shared, sizeof agreed);
    else
        *err = plait_key_agree(own, public, agreed);
    if (*err == PLAIT_OK)
        mix_key(n, c, agreed, err);
    plait_wipe(agreed, sizeof agreed);
}

/* Section 12.3 and 12.4: the counter is little-endian for ChaChaPoly and big-endian for AESGCM. */
static void make_nonce(const struct plait_noise *n, uint8_t nonce[PLAIT_AEAD_NONCE_BYTES])
{
    memset(nonce, 0, PLAIT_AEAD_NONCE_BYTES);
    for (unsigned i = 0; i < 8; i++)
        nonce[n->aead == PLAIT_AEAD_CHACHA20_POLY1305 ? 4 + i : 11 - i] = (uint8_t)(n->n >> (8 * i));
}

/* `out` takes the text and its tag. */
static void encrypt_and_hash(struct plait_noise *n, struct plait_crypto *c, const void *text, size_t len,
                             uint8_t *out, int *err)
{
    uint8_t nonce[PLAIT_AEAD_NONCE_BYTES];

    if (*err != PLAIT_OK)
        return;
    if (len > 0)
        memmove(out, text, len);
    make_nonce(n, nonce);
    *err = plait_aead_seal_once(c, n->aead, n->k, nonce, n->h, sizeof n->h, out, len);
    n->n++;
    if (*err == PLAIT_OK)
        mix_hash(n, c, out, len + PLAIT_AEAD_TAG_BYTES, err);
}

/* `sealed` has `len` bytes with its tag; `out` needs room for as many, and gets the text without the tag. */
static void decrypt_and_hash(struct plait_noise *n, struct plait_crypto *c, const uint8_t *sealed, size_t len,
                             uint8_t *out, int *err)
{
    uint8_t nonce[PLAIT_AEAD_NONCE_BYTES], before[PLAIT_HASH_BYTES];

    if (*err != PLAIT_OK)
        return;
    memcpy(before, n->h, sizeof before);
    mix_hash(n, c, sealed, len, err);
    memmove(out, sealed, len);
    make_nonce(n, nonce);
    if (*err == PLAIT_OK)
        *err = plait_aead_open_once(c, n->aead, n->k, nonce, before, sizeof before, out, len);
    n->n++;
}

static void begin(struct plait_noise *n, struct plait_crypto *c, int *err)
{
    const char *name = n->aead == PLAIT_AEAD_CHACHA20_POLY1305 ? "Noise_IK_25519_ChaChaPoly_BLAKE2s"
                                                               : "Noise_IK_25519_AESGCM_BLAKE2s";
    const struct plait_part whole = {name, strlen(name)};

    if (whole.len > sizeof n->h)
        plait_blake2s(c, &whole, 1, n->h, err);
    else
        memcpy(n->h, name, whole.len);
    memcpy(n->ck, n->h, sizeof n->ck);
}

int plait_noise_init(struct plait_noise *n, struct plait_crypto *c, enum plait_aead_kind aead,
                     const void *prologue, size_t prologue_len, const struct plait_identity *self,
                     const struct plait_key *peer)
{
    int err = PLAIT_OK;

    if (aead != PLAIT_AEAD_CHACHA20_POLY1305 && aead != PLAIT_AEAD_AES_256_GCM)
        return PLAIT_ERR_ARG;
    memset(n, 0, sizeof *n);
    n->aead = aead;
    n->self = *self;
    if (peer != NULL)
        n->peer = *peer;
    begin(n, c, &err);
    mix_hash(n, c, prologue, prologue_len, &err);
    mix_hash(n, c, peer != NULL ? peer->bytes : self->public.bytes, PLAIT_KEY_BYTES, &err);
    return err;
}

static void write_ephemeral(struct plait_noise *n, struct plait_crypto *c, const uint8_t *random,
                            uint8_t *out, int *err)
{
    memcpy(n->ephemeral.secret.bytes, random, PLAIT_KEY_BYTES);
    plait_key_clamp(&n->ephemeral.secret);
    if (*err == PLAIT_OK)
        *err = plait_key_public(&n->ephemeral.secret, &n->ephemeral.public);
    memcpy(out, n->ephemeral.public.bytes, PLAIT_KEY_BYTES);
    mix_hash(n, c, out, PLAIT_KEY_BYTES, err);
}

int plait_noise_write_first(struct plait_noise *n, struct plait_crypto *c,
                            const uint8_t ephemeral[PLAIT_KEY_BYTES], const uint8_t *shared,
                            const void *payload, size_t len, uint8_t *out)
{
    uint8_t *at = out + PLAIT_KEY_BYTES;
    int err = PLAIT_OK;

    write_ephemeral(n, c, ephemeral, out, &err);
    mix_shared(n, c, &n->ephemeral, &n->peer, NULL, &err);
    encrypt_and_hash(n, c, n->self.public.bytes, PLAIT_KEY_BYTES, at, &err);
    at += PLAIT_KEY_BYTES + PLAIT_AEAD_TAG_BYTES;
    mix_shared(n, c, &n->self, &n->peer, shared, &err);
    encrypt_and_hash(n, c, payload, len, at, &err);
    return err;
}

int plait_noise_read_first_key(struct plait_noise *n, struct plait_crypto *c, const uint8_t *message,
                               size_t len)
{
    uint8_t key[PLAIT_KEY_BYTES + PLAIT_AEAD_TAG_BYTES];
    int err = PLAIT_OK;

    if (len < PLAIT_NOISE_FIRST_BYTES)
        return PLAIT_ERR_TRUNC;
    memcpy(n->peer_ephemeral.bytes, message, PLAIT_KEY_BYTES);
    mix_hash(n, c, message, PLAIT_KEY_BYTES, &err);
    mix_shared(n, c, &n->self, &n->peer_ephemeral, NULL, &err);
    decrypt_and_hash(n, c, message + PLAIT_KEY_BYTES, sizeof key, key, &err);
    if (err == PLAIT_OK)
        memcpy(n->peer.bytes, key, PLAIT_KEY_BYTES);
    return err;
}

int plait_noise_read_first_payload(struct plait_noise *n, struct plait_crypto *c, const uint8_t *shared,
                                   const uint8_t *message, size_t len, uint8_t *out)
{
    const size_t before = PLAIT_NOISE_FIRST_BYTES - PLAIT_AEAD_TAG_BYTES;
    int err = PLAIT_OK;

    if (len < PLAIT_NOISE_FIRST_BYTES)
        return PLAIT_ERR_TRUNC;
    mix_shared(n, c, &n->self, &n->peer, shared, &err);
    decrypt_and_hash(n, c, message + before, len - before, out, &err);
    return err;
}

int plait_noise_write_second(struct plait_noise *n, struct plait_crypto *c,
                             const uint8_t ephemeral[PLAIT_KEY_BYTES], const void *payload, size_t len,
                             uint8_t *out)
{
    int err = PLAIT_OK;

    write_ephemeral(n, c, ephemeral, out, &err);
    mix_shared(n, c, &n->ephemeral, &n->peer_ephemeral, NULL, &err);
    mix_shared(n, c, &n->ephemeral, &n->peer, NULL, &err);
    encrypt_and_hash(n, c, payload, len, out + PLAIT_KEY_BYTES, &err);
    return err;
}

int plait_noise_read_second(struct plait_noise *n, struct plait_crypto *c, const uint8_t *message, size_t len,
                            uint8_t *out)
{
    struct plait_noise next = *n;
    int err = PLAIT_OK;

    if (len < PLAIT_NOISE_SECOND_BYTES)
        return PLAIT_ERR_TRUNC;
    memcpy(next.peer_ephemeral.bytes, message, PLAIT_KEY_BYTES);
    mix_hash(&next, c, message, PLAIT_KEY_BYTES, &err);
    mix_shared(&next, c, &next.ephemeral, &next.peer_ephemeral, NULL, &err);
    mix_shared(&next, c, &next.self, &next.peer_ephemeral, NULL, &err);
    decrypt_and_hash(&next, c, message + PLAIT_KEY_BYTES, len - PLAIT_KEY_BYTES, out, &err);
    if (err == PLAIT_OK)
        *n = next;
    plait_wipe(&next, sizeof next);
    return err;
}

int plait_noise_split(const struct plait_noise *n, struct plait_crypto *c, uint8_t forth[PLAIT_HASH_BYTES],
                      uint8_t back[PLAIT_HASH_BYTES])
{
    uint8_t keys[2][PLAIT_HASH_BYTES];
    int err = PLAIT_OK;

    plait_blake2s_hkdf(c, n->ck, NULL, 0, keys, 2, &err);
    memcpy(forth, keys[0], PLAIT_HASH_BYTES);
    memcpy(back, keys[1], PLAIT_HASH_BYTES);
    plait_wipe(keys, sizeof keys);
    return err;
}
