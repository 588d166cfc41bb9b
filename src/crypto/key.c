#include "key.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void plait_key_clamp(struct plait_key *key)
{
    key->bytes[0] &= 248;
    key->bytes[31] = (uint8_t)((key->bytes[31] & 127) | 64);
}

int plait_key_public(const struct plait_key *secret, struct plait_key *out)
{
    size_t len = sizeof out->bytes;
    EVP_PKEY *pair = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, secret->bytes, sizeof secret->bytes);
    bool done = pair != NULL && EVP_PKEY_get_raw_public_key(pair, out->bytes, &len) == 1;

    EVP_PKEY_free(pair);
    return done ? PLAIT_OK : PLAIT_ERR_NOMEM;
}

int plait_identity_init(struct plait_identity *id, const struct plait_key *secret)
{
    id->secret = *secret;
    return plait_key_public(secret, &id->public);
}

static bool derive(EVP_PKEY_CTX *ctx, EVP_PKEY *peer, uint8_t out[PLAIT_KEY_BYTES])
{
    size_t len = PLAIT_KEY_BYTES;

    /* The peer's key is not validated beyond its length: the check that counts is that of the result. */
    return EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer_ex(ctx, peer, 0) == 1 &&
           EVP_PKEY_derive(ctx, out, &len) == 1;
}

/* With both halves given; from the private one alone OpenSSL would compute the other, at the price of the whole. */
static EVP_PKEY *import(const struct plait_identity *id)
{
    const OSSL_PARAM halves[] = {
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)id->public.bytes, sizeof id->public.bytes),
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, (void *)id->secret.bytes, sizeof id->secret.bytes),
        OSSL_PARAM_END};
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "X25519", NULL);
    EVP_PKEY *pair = NULL;

    if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pair, EVP_PKEY_KEYPAIR, (OSSL_PARAM *)halves) != 1)
        pair = NULL;
    EVP_PKEY_CTX_free(ctx);
    return pair;
}

int plait_key_agree(const struct plait_identity *own, const struct plait_key *peer,
                    uint8_t out[PLAIT_KEY_BYTES])
{
    EVP_PKEY *pair = import(own);
    EVP_PKEY *point = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, peer->bytes, sizeof peer->bytes);
    EVP_PKEY_CTX *ctx = pair != NULL ? EVP_PKEY_CTX_new(pair, NULL) : NULL;
    int err = PLAIT_ERR_NOMEM;

    /* OpenSSL refuses a result of zero by itself, as RFC 7748 (section 6.1) allows; with the memory for the rest at
     * hand that is why it fails. */
    if (ctx != NULL && point != NULL)
        err = derive(ctx, point, out) ? PLAIT_OK : PLAIT_ERR_CORRUPT;
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(pair);
    EVP_PKEY_free(point);
    return err;
}

bool plait_key_is_equal(const struct plait_key *a, const struct plait_key *b)
{
    return plait_is_equal(a->bytes, b->bytes, sizeof a->bytes);
}

/*
 * Secrets are looked up in no table, so that caches tell nothing of them: each letter is computed, and found, by
 * going through all of them.
 */
static char letter_of(unsigned value)
{
    unsigned c = 0;

    for (unsigned i = 0; i < 64; i++)
        c |= (unsigned)letters[i] & (0u - (unsigned)(i == value));
    return (char)c;
}

/* −1 for what is no letter. */
static int value_of(char letter)
{
    int found = 0;

    for (int i = 0; i < 64; i++)
        found |= (i + 64) & -(letters[i] == letter);
    return found == 0 ? -1 : found - 64;
}

void plait_key_format(const struct plait_key *key, char out[PLAIT_KEY_TEXT + 1])
{
    uint8_t padded[33] = {0};
    size_t o = 0;

    memcpy(padded, key->bytes, sizeof key->bytes);
    for (size_t i = 0; i < sizeof padded; i += 3) {
        unsigned group = (unsigned)padded[i] << 16 | (unsigned)padded[i + 1] << 8 | padded[i + 2];
        for (int shift = 18; shift >= 0; shift -= 6)
            out[o++] = letter_of(group >> shift & 63);
    }
    out[PLAIT_KEY_TEXT - 1] = '=';
    out[PLAIT_KEY_TEXT] = '\0';
    plait_wipe(padded, sizeof padded);
}

int plait_key_parse(const char *text, size_t len, struct plait_key *out)
{
    uint8_t bytes[33];
    int bad = 0;

    if (len != PLAIT_KEY_TEXT || text[PLAIT_KEY_TEXT - 1] != '=')
        return PLAIT_ERR_FORMAT;
    for (size_t i = 0; i < PLAIT_KEY_TEXT; i += 4) {
        unsigned group = 0;
        for (size_t j = i; j < i + 4; j++) {
            int value = j == PLAIT_KEY_TEXT - 1 ? 0 : value_of(text[j]);
            bad |= value < 0;
            group = group << 6 | ((unsigned)value & 63);
        }
        for (size_t j = 0; j < 3; j++)
            bytes[i / 4 * 3 + j] = (uint8_t)(group >> (16 - 8 * j));
    }
    /* What is behind the last of the 32 bytes is padding and has to be zero, or two texts would be one key. */
    bad |= bytes[32] != 0;
    if (!bad)
        memcpy(out->bytes, bytes, sizeof out->bytes);
    plait_wipe(bytes, sizeof bytes);
    return bad ? PLAIT_ERR_FORMAT : PLAIT_OK;
}

/* Takes a line off the text, without white space around it. */
static const char *take_line(const char **at, const char *end, size_t *len)
{
    const char *line = *at, *stop = memchr(line, '\n', (size_t)(end - line));

    if (stop == NULL)
        stop = end;
    *at = stop < end ? stop + 1 : end;
    while (line < stop && (*line == ' ' || *line == '\t'))
        line++;
    while (line < stop && (stop[-1] == ' ' || stop[-1] == '\t' || stop[-1] == '\r'))
        stop--;
    *len = (size_t)(stop - line);
    return line;
}

int plait_key_parse_file(const void *bytes, size_t len, struct plait_key *out, unsigned *line)
{
    const char *at = bytes, *end = len > 0 ? at + len : at;
    struct plait_key key = {{0}};
    bool have = false;
    int err = PLAIT_OK;

    *line = 0;
    while (at < end && err == PLAIT_OK) {
        size_t text_len;
        const char *text = take_line(&at, end, &text_len);
        ++*line;
        if (text_len == 0 || *text == '#')
            continue;
        err = have ? PLAIT_ERR_FORMAT : plait_key_parse(text, text_len, &key);
        have = true;
    }
    if (err == PLAIT_OK && !have)
        err = PLAIT_ERR_NOTFOUND;
    if (err == PLAIT_OK)
        *out = key;
    plait_wipe(&key, sizeof key);
    return err;
}
