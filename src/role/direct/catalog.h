/*
 * Which servers hold which streams, and which relays there are: all that a director knows, in memory.
 *
 * Whoever changes the catalog hears of each consequence for each stream through `changed`. Time is passed in.
 */
#ifndef PLAIT_DIRECT_CATALOG_H
#define PLAIT_DIRECT_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "registration.h"
#include "stream_name.h"

#define PLAIT_CATALOG_SERVERS_MAX 4096u   /* relays are counted with them */
#define PLAIT_CATALOG_ENTRIES_MAX 500000u /* of all servers together */

/* A server or a relay. */
struct plait_server {
    char id[PLAIT_SERVER_ID_MAX + 1];
    struct plait_registration reg;
    uint64_t expires; /* ns */
    bool is_pending;  /* somebody is about to change it */
    bool is_looking;  /* the store is being asked whether it lives still */
};

struct plait_stream {
    char *name;
    struct plait_server **holders; /* in the order in which they came */
    size_t count, room;
    uint32_t turn; /* whose turn it is */
};

enum plait_catalog_event {
    PLAIT_CATALOG_JOINED,  /* it holds the stream now; a relay: it is there */
    PLAIT_CATALOG_CHANGED, /* it holds another size or digest under that name, or is to be found elsewhere */
    PLAIT_CATALOG_LEFT,    /* it has said that it does not hold it any more */
    PLAIT_CATALOG_EXPIRED, /* it has said nothing for too long */
};

struct plait_catalog;

struct plait_catalog_counts {
    size_t servers, relays, streams, entries;
};

/*
 * Returns owned, or NULL (out of memory). `changed` is told after the fact; with LEFT and EXPIRED `server` is about to
 * go; `name` is NULL for a relay. It must not change the catalog.
 */
struct plait_catalog *plait_catalog_new(void (*changed)(void *ctx, enum plait_catalog_event event,
                                                        const struct plait_server *server, const char *name),
                                        void *ctx);
void plait_catalog_free(struct plait_catalog *c);

/* Whether there is room for that registration in place of the one there is. PLAIT_ERR_LIMIT. */
PLAIT_MUST_USE int plait_catalog_check(const struct plait_catalog *c, const char *id,
                                       const struct plait_registration *r);
/*
 * Puts a server in, or another registration in place of the one it had. Takes what *r owns, also where it fails.
 * PLAIT_ERR_LIMIT, PLAIT_ERR_NOMEM; then nothing has changed.
 */
PLAIT_MUST_USE int plait_catalog_put(struct plait_catalog *c, const char *id, struct plait_registration *r,
                                     uint64_t expires);
/* Removes it; `event` is LEFT or EXPIRED. PLAIT_ERR_NOTFOUND. */
int plait_catalog_drop(struct plait_catalog *c, const char *id, enum plait_catalog_event event);

/* Borrowed until it is dropped, or NULL. */
struct plait_server *plait_catalog_server(const struct plait_catalog *c, const char *id);
/* Borrowed until the catalog changes, or NULL. */
struct plait_stream *plait_catalog_stream(const struct plait_catalog *c, const char *name);
struct plait_catalog_counts plait_catalog_counts(const struct plait_catalog *c);
/* In the order of their ids, until `visit` returns false. */
void plait_catalog_each_server(const struct plait_catalog *c,
                               bool (*visit)(void *ctx, struct plait_server *server), void *ctx);
/*
 * Up to `max` streams by rising name, those that come after `after` ("" = from the first). Returns how many. The
 * catalog keeps a sorted list for it, which is made anew at most once for each change.
 */
size_t plait_catalog_list(struct plait_catalog *c, const char *after, struct plait_stream **out, size_t max);

/* It has been heard of lately: at most one heartbeat is missing. */
bool plait_server_is_healthy(const struct plait_server *server, uint64_t now);

#endif
