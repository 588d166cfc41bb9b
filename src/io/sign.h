/*
 * Signed requests: how a server proves to a director that it knows a secret, without ever sending it.
 *
 * The field is (doc/director.md)
 *
 *     Authorization: Plait-HMAC key=farm, time=1766210000000, nonce=…, body=…, mac=…
 *
 * with the milliseconds since 1970, 16 to 64 hexadecimal digits that are never used again, the SHA-256 of the
 * body and, both in lower-case hexadecimal, the HMAC-SHA-256 under the secret of these lines, joined by
 * single line feeds: `plait-hmac-1`, key, time, nonce, method, request target, body.
 *
 * The body's digest stands in the field, so that a stranger is refused before a byte of his body is kept.
 */
#ifndef PLAIT_IO_SIGN_H
#define PLAIT_IO_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define PLAIT_SIGN_KEY_MAX    64 /* letters, digits, `.`, `_` and `-` */
#define PLAIT_SIGN_SECRET_MIN 16 /* bytes */
#define PLAIT_SIGN_SECRET_MAX 512
#define PLAIT_SIGN_SECRETS    256 /* in one file */
#define PLAIT_SIGN_NONCE_MAX  64
#define PLAIT_SIGN_HEX        64 /* digits of a SHA-256 */
#define PLAIT_SIGN_FIELD_MAX  512
#define PLAIT_SIGN_TARGET_MAX 4096

struct plait_secret {
    char key[PLAIT_SIGN_KEY_MAX + 1];
    uint8_t bytes[PLAIT_SIGN_SECRET_MAX];
    size_t len;
};

/* A file's secrets, owned. */
struct plait_secrets {
    struct plait_secret *all;
    size_t count;
};

/*
 * Lines `KEY:SECRET`, or a single line `SECRET` whose key is then `default`; empty lines and those that begin
 * with # are passed over. PLAIT_ERR_IO (errno), PLAIT_ERR_FORMAT with the line's number in *line (0: no
 * secret at all), PLAIT_ERR_LIMIT, PLAIT_ERR_NOMEM.
 */
PLAIT_MUST_USE int plait_secrets_load(const char *path, struct plait_secrets *out, unsigned *line);
#define PLAIT_SECRETS_WORDS_MAX 512
/* What is wrong with the file, for people, right after plait_secrets_load has said so (errno). Returns `words`. */
const char *plait_secrets_explain(const char *path, int err, unsigned line,
                                  char words[PLAIT_SECRETS_WORDS_MAX]);
/* Wipes them. */
void plait_secrets_done(struct plait_secrets *s);
/* NULL where none has that name. */
const struct plait_secret *plait_secrets_find(const struct plait_secrets *s, const char *key);

struct plait_signature {
    char key[PLAIT_SIGN_KEY_MAX + 1];
    uint64_t time_ms;
    char nonce[PLAIT_SIGN_NONCE_MAX + 1];
    char body[PLAIT_SIGN_HEX + 1];
    char mac[PLAIT_SIGN_HEX + 1];
};

/* Writes the SHA-256 of the bytes in hexadecimal. */
PLAIT_MUST_USE int plait_sign_hash(const void *bytes, size_t len, char hex[PLAIT_SIGN_HEX + 1]);
/*
 * Signs a request that is to be sent now: the whole value of the field. PLAIT_ERR_LIMIT for a target that is
 * too long, PLAIT_ERR_IO where the system gives no random bytes.
 */
PLAIT_MUST_USE int plait_sign_make(const struct plait_secret *secret, uint64_t time_ms, const char *method,
                                   const char *target, const void *body, size_t body_len,
                                   char field[PLAIT_SIGN_FIELD_MAX]);
/* The parts of a field's value. PLAIT_ERR_NOTFOUND for another scheme, PLAIT_ERR_FORMAT. */
PLAIT_MUST_USE int plait_sign_parse(const char *field, struct plait_signature *out);
/* Whether the mac is right, in a time that does not tell where it is wrong. Looks at neither time, nonce nor body. */
bool plait_sign_verify(const struct plait_secret *secret, const struct plait_signature *s, const char *method,
                       const char *target);

#endif
