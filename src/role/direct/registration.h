/*
 * What servers and relays tell a director about themselves, as JSON (doc/director.md).
 *
 * Whoever may register need not be sane: everything is bounded before memory is taken for it, and nothing is taken in
 * part.
 */
#ifndef PLAIT_DIRECT_REGISTRATION_H
#define PLAIT_DIRECT_REGISTRATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define PLAIT_REGISTRATION_BYTES_MAX (UINT64_C(4) * 1024 * 1024)
#define PLAIT_REGISTRATION_VALUES_MAX                                                                        \
    400000u /* JSON values in one document: what they cost us is bounded by that */
#define PLAIT_REGISTRATION_DEPTH_MAX   6u
#define PLAIT_REGISTRATION_ENTRIES_MAX 50000u
#define PLAIT_REGISTRATION_REACHES_MAX 1024u
#define PLAIT_REGISTRATION_REACH_MAX   320u /* bytes of one */
#define PLAIT_REGISTRATION_URL_MAX     2048u
#define PLAIT_REGISTRATION_OWNER_MAX   160u
#define PLAIT_REGISTRATION_TTL_MS      30000u
#define PLAIT_REGISTRATION_TTL_MS_MIN  1000u
#define PLAIT_REGISTRATION_TTL_MS_MAX  3600000u
#define PLAIT_FAULT_MAX                256u

/* Digests of a whole stream; a digest that is not there is all zeros. */
struct plait_digests {
    bool has_sha256, has_sha512;
    uint8_t sha256[32], sha512[64];
};

/* A stream that a server holds. */
struct plait_entry {
    char *name;    /* good (stream_name.h) */
    bool has_size; /* false: it is still being written */
    uint64_t size; /* bytes, at most INT64_MAX */
    struct plait_digests digests;
};

/* Owns its memory. */
struct plait_registration {
    bool is_relay;
    bool asks_credentials; /* a relay */
    char owner[PLAIT_REGISTRATION_OWNER_MAX +
               1]; /* who registered it; not from the document, unless it is ours */
    char *url;     /* http or https; a server's ends with a slash */
    unsigned ttl_ms;
    struct plait_entry *entries; /* by rising name, each name once */
    size_t count;
    char **reaches; /* a relay's destinations, as it wrote them */
    size_t reach_count;
};

/* What a server tells between two registrations; both may be empty: a heartbeat. Owns its memory. */
struct plait_change {
    struct plait_entry *add; /* as entries */
    size_t add_count;
    char **remove; /* names */
    size_t remove_count;
};

/*
 * `stored`: the document is one of plait_registration_encode. PLAIT_ERR_FORMAT, PLAIT_ERR_LIMIT, PLAIT_ERR_RANGE with
 * words for the server's people in `fault`; PLAIT_ERR_NOMEM.
 */
PLAIT_MUST_USE int plait_registration_decode(const char *text, size_t len, bool stored,
                                             struct plait_registration *out, char fault[PLAIT_FAULT_MAX]);
/* Returns owned, or NULL (out of memory). */
char *plait_registration_encode(const struct plait_registration *r);
void plait_registration_done(struct plait_registration *r);

PLAIT_MUST_USE int plait_change_decode(const char *text, size_t len, struct plait_change *out,
                                       char fault[PLAIT_FAULT_MAX]);
void plait_change_done(struct plait_change *c);
/* `out` is `r` after the change. PLAIT_ERR_LIMIT for too many entries, PLAIT_ERR_NOMEM. */
PLAIT_MUST_USE int plait_registration_change(const struct plait_registration *r, const struct plait_change *c,
                                             struct plait_registration *out);

/* The entry of that name, borrowed, or NULL. */
const struct plait_entry *plait_registration_find(const struct plait_registration *r, const char *name);
bool plait_entry_same(const struct plait_entry *a, const struct plait_entry *b);
/* They have a digest of the same kind, and it differs. */
bool plait_digests_contradict(const struct plait_digests *a, const struct plait_digests *b);
/* They have a digest of the same kind, and it is the same. */
bool plait_digests_agree(const struct plait_digests *a, const struct plait_digests *b);

#endif
