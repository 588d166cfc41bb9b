/*
 * What a director tells of a stream (doc/director.md): its snapshot, and its later events. Pure: from the bytes to
 * what they say; nothing in them is trusted. What is returned is freed by the `_done`s.
 */
#ifndef PLAIT_GET_HOLDERS_H
#define PLAIT_GET_HOLDERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "digest.h"
#include "err.h"

#define PLAIT_HOLDERS_SOURCES_MAX 256
#define PLAIT_HOLDERS_RELAYS_MAX  64
#define PLAIT_HOLDERS_REACHES_MAX 64
#define PLAIT_HOLDERS_URL_MAX     2048
#define PLAIT_HOLDERS_TEXT_MAX    300 /* HOST:PORT that a relay reaches */

struct plait_holders_relay {
    char *url;
    char *reaches[PLAIT_HOLDERS_REACHES_MAX];
    size_t reach_count;
};

/* One version of the stream: the first of those that fit what is asked for. */
struct plait_holders {
    bool conflict; /* there are others */
    bool has_size;
    uint64_t size;
    struct plait_digest digest; /* the strongest that is told; alg NONE = none */
    char *urls[PLAIT_HOLDERS_SOURCES_MAX];
    size_t url_count;
    struct plait_holders_relay relays[PLAIT_HOLDERS_RELAYS_MAX]; /* healthy, and for everybody */
    size_t relay_count;
};

/* A server that came, changed or went. */
struct plait_holders_change {
    char *url;
    bool has_size;
    uint64_t size;
    struct plait_digest digest;
};

/*
 * The snapshot. Only a version of `size` (UINT64_MAX = any), and with `digest` where it states one of that kind (NONE
 * = any), is taken; without one the listing is empty. PLAIT_ERR_FORMAT, PLAIT_ERR_NOMEM.
 */
PLAIT_MUST_USE int plait_holders_parse(const char *json, size_t len, uint64_t size,
                                       const struct plait_digest *digest, struct plait_holders *out);
void plait_holders_done(struct plait_holders *l);

PLAIT_MUST_USE int plait_holders_change_parse(const char *json, size_t len, struct plait_holders_change *out);
void plait_holders_change_done(struct plait_holders_change *c);

/* Whether a relay that reaches `reach` (HOST:PORT; HOST a name, an address or a prefix, PORT a number or *) reaches
 * that host, a name or an address without brackets, at that port. */
bool plait_holders_reaches(const char *reach, const char *host, unsigned port);

#endif
