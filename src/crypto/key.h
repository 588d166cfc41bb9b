/*
 * X25519 keys (RFC 7748), in text the base64 of their 32 bytes: 44 characters, as `wg genkey` and `wg pubkey` write
 * them. In a file: one such line; empty lines and lines that begin with # do not count.
 */
#ifndef PLAIT_CRYPTO_KEY_H
#define PLAIT_CRYPTO_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto.h"
#include "err.h"

#define PLAIT_KEY_BYTES 32u
#define PLAIT_KEY_TEXT  44u /* without the terminator */

struct plait_key {
    uint8_t bytes[PLAIT_KEY_BYTES];
};

/* Somebody's own pair. */
struct plait_identity {
    struct plait_key secret, public;
};

/* Makes a private key out of 32 random bytes: the bits that RFC 7748 fixes are set, as wg does. */
void plait_key_clamp(struct plait_key *key);
/* PLAIT_ERR_NOMEM. */
PLAIT_MUST_USE int plait_key_public(const struct plait_key *secret, struct plait_key *out);
/* Sets both halves. PLAIT_ERR_NOMEM. */
PLAIT_MUST_USE int plait_identity_init(struct plait_identity *id, const struct plait_key *secret);
/*
 * The secret that two pairs share. PLAIT_ERR_CORRUPT for a public key of small order, whose secret everybody
 * knows (all zero); PLAIT_ERR_NOMEM.
 */
PLAIT_MUST_USE int plait_key_agree(const struct plait_identity *own, const struct plait_key *peer,
                                   uint8_t out[PLAIT_KEY_BYTES]);

bool plait_key_is_equal(const struct plait_key *a, const struct plait_key *b);
/* Writes PLAIT_KEY_TEXT characters and the terminator. */
void plait_key_format(const struct plait_key *key, char out[PLAIT_KEY_TEXT + 1]);
/* Exactly one key and nothing around it, or PLAIT_ERR_FORMAT. *out is written only on success. */
PLAIT_MUST_USE int plait_key_parse(const char *text, size_t len, struct plait_key *out);
/*
 * A file's bytes. PLAIT_ERR_FORMAT with the line's number in *line where one is no key or one too many (a NUL
 * byte is no text either); PLAIT_ERR_NOTFOUND where there is none.
 */
PLAIT_MUST_USE int plait_key_parse_file(const void *bytes, size_t len, struct plait_key *out, unsigned *line);

#endif
