#include "sign.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "secret_file.h"
#include "units.h"

#define SCHEME      "Plait-HMAC"
#define FILE_MAX    (256 * PLAIT_KIB)
#define NONCE_BYTES 16
#define NONCE_MIN   16
#define TEXT_MAX    (PLAIT_SIGN_TARGET_MAX + 512)

static const char key_chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
static const char hex_chars[] = "0123456789abcdef";

static void to_hex(const uint8_t *bytes, size_t len, char *out)
{
    for (size_t i = 0; i < len; i++) {
        *out++ = hex_chars[bytes[i] >> 4];
        *out++ = hex_chars[bytes[i] & 15];
    }
    *out = '\0';
}

/* `KEY:SECRET` or `SECRET`. */
static int parse_line(const char *line, struct plait_secret *out)
{
    const char *colon = strchr(line, ':');
    const char *secret = colon != NULL ? colon + 1 : line;
    size_t key_len = colon != NULL ? (size_t)(colon - line) : 0, len = strlen(secret);

    if (len < PLAIT_SIGN_SECRET_MIN || len > PLAIT_SIGN_SECRET_MAX || key_len > PLAIT_SIGN_KEY_MAX)
        return PLAIT_ERR_FORMAT;
    if (colon != NULL && (key_len == 0 || strspn(line, key_chars) != key_len))
        return PLAIT_ERR_FORMAT;
    memset(out, 0, sizeof *out);
    memcpy(out->key, colon != NULL ? line : "default", colon != NULL ? key_len : strlen("default"));
    memcpy(out->bytes, secret, len);
    out->len = len;
    return PLAIT_OK;
}

static int add_line(void *ctx, const char *line)
{
    struct plait_secrets *s = ctx;
    struct plait_secret one;
    int err = parse_line(line, &one);

    if (err != PLAIT_OK)
        return err;
    if (plait_secrets_find(s, one.key) != NULL)
        return PLAIT_ERR_FORMAT;
    if (s->count == PLAIT_SIGN_SECRETS)
        return PLAIT_ERR_LIMIT;
    struct plait_secret *more = reallocarray(s->all, s->count + 1, sizeof one);
    if (more == NULL)
        return PLAIT_ERR_NOMEM;
    s->all = more;
    s->all[s->count++] = one;
    return PLAIT_OK;
}

int plait_secrets_load(const char *path, struct plait_secrets *out, unsigned *line)
{
    struct plait_secrets s = {0};
    int err = plait_secret_file_lines(path, FILE_MAX, add_line, &s, line);

    if (err == PLAIT_OK && s.count == 0) {
        *line = 0;
        err = PLAIT_ERR_FORMAT;
    }
    if (err == PLAIT_OK)
        *out = s;
    else
        plait_secrets_done(&s);
    return err;
}

const char *plait_secrets_explain(const char *path, int err, unsigned line,
                                  char words[PLAIT_SECRETS_WORDS_MAX])
{
    if (err == PLAIT_ERR_FORMAT && line == 0)
        snprintf(words, PLAIT_SECRETS_WORDS_MAX,
                 "%.300s: there is no secret in it; it takes a line KEY:SECRET", path);
    else if (err == PLAIT_ERR_FORMAT)
        snprintf(words, PLAIT_SECRETS_WORDS_MAX,
                 "%.300s, line %u: not KEY:SECRET with a secret of %d bytes or more, and a key that no other "
                 "line has",
                 path, line, PLAIT_SIGN_SECRET_MIN);
    else
        snprintf(words, PLAIT_SECRETS_WORDS_MAX, "cannot read the secret %.300s: %.150s", path,
                 err == PLAIT_ERR_IO ? strerror(errno) : plait_err_name(err));
    return words;
}

void plait_secrets_done(struct plait_secrets *s)
{
    if (s->all != NULL)
        OPENSSL_cleanse(s->all, s->count * sizeof *s->all);
    free(s->all);
    memset(s, 0, sizeof *s);
}

const struct plait_secret *plait_secrets_find(const struct plait_secrets *s, const char *key)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->all[i].key, key) == 0)
            return &s->all[i];
    return NULL;
}

int plait_sign_hash(const void *bytes, size_t len, char hex[PLAIT_SIGN_HEX + 1])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;

    if (EVP_Digest(bytes, len, digest, &digest_len, EVP_sha256(), NULL) != 1)
        return PLAIT_ERR_NOMEM;
    to_hex(digest, digest_len, hex);
    return PLAIT_OK;
}

static int compute(const struct plait_secret *secret, const struct plait_signature *s, const char *method,
                   const char *target, char hex[PLAIT_SIGN_HEX + 1])
{
    char text[TEXT_MAX];
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned mac_len = 0;
    int len = snprintf(text, sizeof text, "plait-hmac-1\n%s\n%" PRIu64 "\n%s\n%s\n%s\n%s", s->key, s->time_ms,
                       s->nonce, method, target, s->body);

    if (len < 0 || (size_t)len >= sizeof text)
        return PLAIT_ERR_LIMIT;
    if (HMAC(EVP_sha256(), secret->bytes, (int)secret->len, (uint8_t *)text, (size_t)len, mac, &mac_len) ==
        NULL)
        return PLAIT_ERR_NOMEM;
    to_hex(mac, mac_len, hex);
    return PLAIT_OK;
}

int plait_sign_make(const struct plait_secret *secret, uint64_t time_ms, const char *method,
                    const char *target, const void *body, size_t body_len, char field[PLAIT_SIGN_FIELD_MAX])
{
    struct plait_signature s = {.time_ms = time_ms};
    uint8_t nonce[NONCE_BYTES];

    if (RAND_bytes(nonce, sizeof nonce) != 1)
        return PLAIT_ERR_IO;
    to_hex(nonce, sizeof nonce, s.nonce);
    memcpy(s.key, secret->key, sizeof s.key);
    int err = plait_sign_hash(body, body_len, s.body);
    if (err == PLAIT_OK)
        err = compute(secret, &s, method, target, s.mac);
    if (err != PLAIT_OK)
        return err;
    int len =
        snprintf(field, PLAIT_SIGN_FIELD_MAX, SCHEME " key=%s, time=%" PRIu64 ", nonce=%s, body=%s, mac=%s",
                 s.key, time_ms, s.nonce, s.body, s.mac);
    return len > 0 && len < PLAIT_SIGN_FIELD_MAX ? PLAIT_OK : PLAIT_ERR_LIMIT;
}

/* Takes `NAME=` and as many of `chars` as there are, `min` to `max` of them, and a comma where it is not the last. */
static bool take(const char **at, const char *name, const char *chars, size_t min, size_t max, char *out)
{
    size_t name_len = strlen(name);

    *at += strspn(*at, " \t");
    if (strncmp(*at, name, name_len) != 0 || (*at)[name_len] != '=')
        return false;
    *at += name_len + 1;
    size_t len = strspn(*at, chars);
    if (len < min || len > max)
        return false;
    memcpy(out, *at, len);
    out[len] = '\0';
    *at += len;
    *at += strspn(*at, " \t");
    if (**at == ',')
        ++*at;
    else if (**at != '\0')
        return false;
    return true;
}

int plait_sign_parse(const char *field, struct plait_signature *out)
{
    struct plait_signature s;
    char time_ms[16];
    size_t scheme = strlen(SCHEME);

    if (strncasecmp(field, SCHEME, scheme) != 0 || (field[scheme] != ' ' && field[scheme] != '\t'))
        return PLAIT_ERR_NOTFOUND;
    field += scheme;
    memset(&s, 0, sizeof s);
    if (!take(&field, "key", key_chars, 1, PLAIT_SIGN_KEY_MAX, s.key) ||
        !take(&field, "time", "0123456789", 1, sizeof time_ms - 1, time_ms) ||
        !take(&field, "nonce", hex_chars, NONCE_MIN, PLAIT_SIGN_NONCE_MAX, s.nonce) ||
        !take(&field, "body", hex_chars, PLAIT_SIGN_HEX, PLAIT_SIGN_HEX, s.body) ||
        !take(&field, "mac", hex_chars, PLAIT_SIGN_HEX, PLAIT_SIGN_HEX, s.mac) || *field != '\0')
        return PLAIT_ERR_FORMAT;
    s.time_ms = strtoull(time_ms, NULL, 10);
    *out = s;
    return PLAIT_OK;
}

bool plait_sign_verify(const struct plait_secret *secret, const struct plait_signature *s, const char *method,
                       const char *target)
{
    char right[PLAIT_SIGN_HEX + 1];

    return compute(secret, s, method, target, right) == PLAIT_OK &&
           CRYPTO_memcmp(right, s->mac, PLAIT_SIGN_HEX) == 0;
}
