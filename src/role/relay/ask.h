/*
 * What a client asks of the relay: the head of an HTTP/1 request, as a stranger sent it.
 */
#ifndef PLAIT_RELAY_ASK_H
#define PLAIT_RELAY_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allow.h"
#include "err.h"
#include "text.h"

#define PLAIT_ASK_HEAD_MAX   8192u /* bytes of a head, its end included */
#define PLAIT_ASK_USER_MAX   128u
#define PLAIT_ASK_SECRET_MAX 256u

enum plait_ask_kind {
    PLAIT_ASK_CONNECT,
    PLAIT_ASK_SELF,  /* GET or HEAD of `/`: what the relay says of itself */
    PLAIT_ASK_OTHER, /* anything else that is HTTP */
};

/* Views borrow from the input. */
struct plait_ask {
    enum plait_ask_kind kind;
    bool is_head;                        /* SELF by HEAD: an answer without its body */
    char name[PLAIT_ALLOW_NAME_MAX + 1]; /* CONNECT: the host, or "" where it is an address */
    struct plait_address address;
    uint16_t port;
    struct plait_text
        credentials; /* the value of Proxy-Authorization, or of Authorization for SELF; len 0: none */
};

/*
 * PLAIT_ERR_TRUNC where the head has not ended yet, PLAIT_ERR_LIMIT where it will be too long,
 * PLAIT_ERR_FORMAT. On success *used is the length of the head.
 */
PLAIT_MUST_USE int plait_ask_parse(const char *s, size_t len, struct plait_ask *out, size_t *used);

struct plait_credentials {
    char user[PLAIT_ASK_USER_MAX + 1];
    char secret[PLAIT_ASK_SECRET_MAX + 1];
};

/* Basic credentials (RFC 7617): PLAIT_ERR_FORMAT where they are malformed, too long or of another scheme. */
PLAIT_MUST_USE int plait_credentials_parse(struct plait_text value, struct plait_credentials *out);

#endif
