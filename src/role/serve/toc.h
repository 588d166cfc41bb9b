/*
 * The table of contents: which streams the served directory holds, each with its version and, once it is known,
 * its digest. Pure: no I/O, time is passed in. Not for several threads at once.
 */
#ifndef PLAIT_SERVE_TOC_H
#define PLAIT_SERVE_TOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define PLAIT_TOC_SHA256_LEN 32u

struct plait_toc;

/* What tells one version of a file from another. */
struct plait_toc_version {
    uint64_t dev, ino, size;
    int64_t mtime_ns;
};

struct plait_toc_entry {
    char *name; /* terminated: the path below the directory */
    struct plait_toc_version version;
    bool writing;        /* somebody is at it: its size is not told */
    uint64_t written_at; /* ns: when that was last seen */
    bool has_sha256;
    uint8_t sha256[PLAIT_TOC_SHA256_LEN];
    /* The table's own. */
    uint32_t next, sweep;
};

/* Returns owned, or NULL. */
struct plait_toc *plait_toc_new(size_t entries_max);
void plait_toc_free(struct plait_toc *t);

/*
 * That version is there under this name; a digest of another one is forgotten. *changed becomes true where this
 * says something new, and stays as it is otherwise. PLAIT_ERR_LIMIT where there are entries_max others,
 * PLAIT_ERR_NOMEM.
 */
PLAIT_MUST_USE int plait_toc_put(struct plait_toc *t, uint64_t now, const char *name,
                                 const struct plait_toc_version *version, bool writing, bool *changed);
/* Whether it was there. */
bool plait_toc_remove(struct plait_toc *t, const char *name);
/* All whose names begin with this directory's and a slash. Returns how many there were. */
size_t plait_toc_remove_below(struct plait_toc *t, const char *dir);

/* A look at everything begins; what is not put again until it ends is removed then. Returns how many were. */
void plait_toc_sweep_begin(struct plait_toc *t);
size_t plait_toc_sweep_end(struct plait_toc *t);

/* NULL where there is none. Valid until the next call that changes the table, as those below. */
struct plait_toc_entry *plait_toc_find(struct plait_toc *t, const char *name);
/* Any with that digest. */
struct plait_toc_entry *plait_toc_find_digest(struct plait_toc *t,
                                              const uint8_t sha256[PLAIT_TOC_SHA256_LEN]);
size_t plait_toc_count(const struct plait_toc *t);
/* The entries one after the other, in no order; NULL from count on. */
struct plait_toc_entry *plait_toc_at(struct plait_toc *t, size_t index);

#endif
