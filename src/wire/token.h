/*
 * The token by which a new node joins: one line that holds all that its configuration needs, the node's private
 * key among it. Whoever has the token is the node.
 *
 *      plait1.BASE64URL of: { type u8 · length u8 · value } … · XXH32 of those, big-endian
 *
 * Fields of unknown type are skipped.
 */
#ifndef PLAIT_WIRE_TOKEN_H
#define PLAIT_WIRE_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "hello.h"

#define PLAIT_TOKEN_KEY_BYTES 32u
#define PLAIT_TOKEN_HUB_MAX   255u /* HOST:PORT */
/* Enough for any token and its terminator. */
#define PLAIT_TOKEN_TEXT_MAX  512u

struct plait_token {
    char hub[PLAIT_TOKEN_HUB_MAX + 1];      /* where the hub is reached: HOST:PORT */
    uint8_t hub_key[PLAIT_TOKEN_KEY_BYTES]; /* public */
    char name[PLAIT_HELLO_NAME_MAX + 1];    /* the node's */
    uint8_t key[PLAIT_TOKEN_KEY_BYTES];     /* private, the node's */
};

/* Writes the terminated token. PLAIT_ERR_ARG for a name or hub that no decoder would take. */
PLAIT_MUST_USE int plait_token_encode(const struct plait_token *token, char out[PLAIT_TOKEN_TEXT_MAX]);
/*
 * PLAIT_ERR_FORMAT for what is no token, PLAIT_ERR_CORRUPT where letters were changed, lost or added,
 * PLAIT_ERR_NOTFOUND where a field is missing.
 */
PLAIT_MUST_USE int plait_token_decode(const char *text, size_t len, struct plait_token *out);

#endif
