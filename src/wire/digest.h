/*
 * Digests that others publish of a stream or of its pieces, as text and as bytes. Computing them is done
 * elsewhere.
 */
#ifndef PLAIT_WIRE_DIGEST_H
#define PLAIT_WIRE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "text.h"

#define PLAIT_DIGEST_LEN_MAX 64

/* From the weakest to the strongest. */
enum plait_digest_alg {
    PLAIT_DIGEST_NONE = 0,
    PLAIT_DIGEST_MD5,
    PLAIT_DIGEST_SHA1,
    PLAIT_DIGEST_SHA256,
    PLAIT_DIGEST_SHA384,
    PLAIT_DIGEST_SHA512,
};

struct plait_digest {
    enum plait_digest_alg alg;
    uint8_t len;                         /* 0 for none */
    uint8_t bytes[PLAIT_DIGEST_LEN_MAX]; /* zeros after len */
};

/* `sha-256` and so on; "none" for PLAIT_DIGEST_NONE and for what is no algorithm. Never NULL. */
const char *plait_digest_alg_name(enum plait_digest_alg alg);
/* The algorithm of that name, with or without its hyphen, in upper or lower case; or PLAIT_DIGEST_NONE. */
enum plait_digest_alg plait_digest_alg_find(struct plait_text name);
/* In bytes; 0 for what is no algorithm. */
size_t plait_digest_alg_len(enum plait_digest_alg alg);
/* Whether it tells damage from soundness, but no longer a forgery from the original. */
bool plait_digest_alg_is_weak(enum plait_digest_alg alg);

/* Takes the first plait_digest_alg_len(alg) bytes; NONE clears. */
void plait_digest_set(struct plait_digest *d, enum plait_digest_alg alg, const uint8_t *bytes);
/* Same algorithm and same bytes, in a time that does not tell where they differ. False where either is none.
 */
bool plait_digest_equal(const struct plait_digest *a, const struct plait_digest *b);

/* Exactly 2 × out_len hexadecimal digits, of either case; PLAIT_ERR_FORMAT otherwise. */
PLAIT_MUST_USE int plait_hex_decode(const char *s, size_t len, uint8_t *out, size_t out_len);
/* Writes 2 × len lower-case digits and a terminator, or returns PLAIT_ERR_LIMIT where out is too small. */
PLAIT_MUST_USE int plait_hex_encode(const uint8_t *bytes, size_t len, char *out, size_t out_size);

/* A digest of that algorithm in hexadecimal, spaces around it ignored. */
PLAIT_MUST_USE int plait_digest_parse_hex(enum plait_digest_alg alg, const char *s, size_t len,
                                          struct plait_digest *out);
/*
 * What a person writes: `sha-256=HEX`, `sha256=HEX` or, for SHA-256 alone, HEX. SHA-1 is refused with any
 * other name that is no algorithm (PLAIT_ERR_NOTFOUND); MD5 is taken, being weak. PLAIT_ERR_FORMAT where HEX
 * is not of the algorithm's length.
 */
PLAIT_MUST_USE int plait_digest_parse_option(const char *s, size_t len, struct plait_digest *out);
/*
 * The strongest digest in a value of the field Digest (RFC 3230: `SHA-256=base64,MD5=base64`) or Repr-Digest
 * (RFC 9530: `sha-256=:base64:`). Algorithms that are not known are passed over, SHA-1 with them;
 * PLAIT_ERR_NOTFOUND where no other is left. PLAIT_ERR_FORMAT where a known one is malformed, or is there
 * twice with different bytes.
 */
PLAIT_MUST_USE int plait_digest_parse_http(const char *s, size_t len, struct plait_digest *out);

#endif
