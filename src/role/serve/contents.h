/*
 * Keeps the table of contents of the served directory current: a thread of its own reads the whole tree once, and
 * from then on what inotify(7) tells; all of it again where that has lost something.
 *
 * In it are the regular files that the server would answer for and whose names are names of streams
 * (stream_name.h): none that begins with a dot, none behind a symbolic link to a directory. A file is *being
 * written* from the first change that is seen until its writer closes it, or has not touched it for
 * PLAIT_CONTENTS_QUIET_NS.
 */
#ifndef PLAIT_SERVE_CONTENTS_H
#define PLAIT_SERVE_CONTENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "digest_cache.h"
#include "docroot.h"
#include "err.h"
#include "registrar.h"
#include "toc.h"
#include "units.h"

#define PLAIT_CONTENTS_MAX      50000u /* no director takes more of one server */
#define PLAIT_CONTENTS_DEPTH    64u
#define PLAIT_CONTENTS_QUIET_NS (10 * PLAIT_S)

struct plait_contents;

struct plait_contents_options {
    const struct plait_docroot *root;   /* borrowed */
    struct plait_digest_cache *digests; /* borrowed; NULL = none are told */
    /* What there is now, not more often than every 100 ms. May be NULL. Both are called in our thread. */
    void (*changed)(void *ctx, const struct plait_registrar_stream *streams, size_t count);
    void (*warn)(void *ctx, const char *text);
    void *ctx;
};

/* Begins the thread. PLAIT_ERR_NOMEM, PLAIT_ERR_IO (errno). */
PLAIT_MUST_USE int plait_contents_new(struct plait_contents **out,
                                      const struct plait_contents_options *options);
/* Ends it. NULL is harmless. */
void plait_contents_free(struct plait_contents *c);

/* A stream as it is known at this moment. */
struct plait_contents_found {
    char name[1025];
    struct plait_toc_version version;
    bool writing;
    bool has_sha256;
    uint8_t sha256[PLAIT_TOC_SHA256_LEN];
};

/*
 * The one with that digest where one is given, otherwise the one of that name. From any thread. False where
 * there is none, as far as is known.
 */
bool plait_contents_find(struct plait_contents *c, const char *name, const uint8_t *sha256,
                         struct plait_contents_found *out);

#endif
