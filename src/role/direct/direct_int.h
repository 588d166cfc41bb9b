/* What the director's own files share. */
#ifndef PLAIT_DIRECT_DIRECT_INT_H
#define PLAIT_DIRECT_DIRECT_INT_H

#include <jansson.h>

#include "catalog.h"
#include "direct.h"
#include "feed.h"
#include "loop.h"
#include "sign.h"
#include "store.h"
#include "version.h"
#include "web.h"

#define PLAIT_DIRECT_API "/.plait/servers/"

struct plait_direct {
    const struct plait_direct_options *options;
    struct plait_loop loop;
    struct plait_catalog *catalog;
    struct plait_feeds *feeds;
    struct plait_store *store;
    struct plait_web *web;
    struct plait_secrets secrets;
    struct plait_signal term, interrupt, hangup;
    struct plait_timer tick, keep_alive;
    char *cert, *key, *client_ca; /* PEM, or NULL; owned */
    char *page;                   /* the overview for people, kept for a moment; owned */
    uint64_t page_at;
    bool has_web;
    bool is_ready; /* the store has told what it holds */
    bool has_said; /* that it listens */
    bool is_ending;
    uint64_t end_by;
};

/* Logs go to standard error, as `plait direct: …`. */
void plait_direct_say(const char *format, ...) PLAIT_PRINTF(1, 2);

/* Answers with `{"error": words}`. */
void plait_direct_refuse(struct plait_request *r, unsigned status, const char *words);
/* Answers with JSON. Takes `o`. */
void plait_direct_answer(struct plait_request *r, unsigned status, json_t *o,
                         const struct plait_web_field *fields, size_t field_count);

/*
 * Who sends this request: writes `key:NAME` or `cert:NAME`, or answers 401. `signature` is filled where it was signed;
 * its key is "" otherwise.
 */
PLAIT_MUST_USE int plait_direct_authenticate(struct plait_direct *d, struct plait_request *r,
                                             struct plait_signature *signature,
                                             char owner[PLAIT_REGISTRATION_OWNER_MAX + 1]);

/* A request for PLAIT_DIRECT_API: by its head, then whole. */
void plait_direct_register_head(struct plait_direct *d, struct plait_request *r);
void plait_direct_register_whole(struct plait_direct *d, struct plait_request *r);

/* A GET or HEAD request. */
void plait_direct_lookup(struct plait_direct *d, struct plait_request *r);
/* For the catalog: tells those who listen. */
void plait_direct_changed(void *ctx, enum plait_catalog_event event, const struct plait_server *server,
                          const char *name);

#endif
