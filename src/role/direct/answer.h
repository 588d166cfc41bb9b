/*
 * What a director answers: JSON, Metalink 4 (RFC 5854), the fields of a redirection (RFC 6249), and a page for people.
 *
 * Texts are returned owned, or NULL (out of memory). What servers said of themselves is escaped for each form.
 */
#ifndef PLAIT_DIRECT_ANSWER_H
#define PLAIT_DIRECT_ANSWER_H

#include <jansson.h>

#include "catalog.h"
#include "version.h"

#define PLAIT_ANSWER_VERSIONS_MAX 16
#define PLAIT_ANSWER_SOURCES_MAX  256 /* of one version */
#define PLAIT_ANSWER_ROUTES_MAX   256
#define PLAIT_ANSWER_REACHES_MAX  (UINT64_C(256) * 1024) /* bytes of all that the routes of one answer reach */
#define PLAIT_ANSWER_LINKS_MAX    16                     /* in a redirection, as long as they fit */
#define PLAIT_ANSWER_FIELDS_MAX   8192                   /* bytes of all fields of a redirection */
#define PLAIT_ANSWER_PAGE_STREAMS 500

/* Where the server has the stream. Owned, or NULL. */
char *plait_source_url(const struct plait_server *server, const char *name);
/* `{"server": id, "url": …, "healthy": …}` of a server, of a relay with what it reaches. Owned. */
json_t *plait_source_json(const struct plait_server *server, const char *name, uint64_t now);
json_t *plait_route_json(const struct plait_server *relay, uint64_t now);
/* Adds `size` and `digests`, where they are known. */
void plait_content_json(json_t *o, bool has_size, uint64_t size, const struct plait_digests *digests);

/* All that is known of a name: what a client needs for a transfer. Owned. */
json_t *plait_answer_json(const struct plait_catalog *c, const char *name,
                          const struct plait_versions *versions, bool conflict, uint64_t now);
char *plait_answer_metalink(const char *name, const struct plait_version *version);

/* The fields of a redirection to the version's first source. Owned texts. */
struct plait_redirect {
    char *location;
    char *links;       /* Link */
    char *digest;      /* Digest (RFC 3230), or NULL */
    char *repr_digest; /* Repr-Digest (RFC 9530), or NULL */
};

/* PLAIT_ERR_NOMEM. */
PLAIT_MUST_USE int plait_answer_redirect(const char *name, const struct plait_version *version,
                                         struct plait_redirect *out);
void plait_redirect_done(struct plait_redirect *r);

/* Servers, relays, and up to PLAIT_ANSWER_PAGE_STREAMS streams whose names come after `after`. */
json_t *plait_answer_overview(struct plait_catalog *c, const char *after, const char *store, uint64_t now);
char *plait_answer_page(struct plait_catalog *c, const char *after, const char *store, bool store_works,
                        uint64_t now);

#endif
