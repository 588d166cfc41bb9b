/*
 * What lies in a directory, for people (HTML) and for programs (JSON).
 *
 * Only what would also be served is listed: regular files and directories, also behind symbolic links that
 * stay beneath the root. Directories come first, then files, each by name.
 */
#ifndef PLAIT_SERVE_LISTING_H
#define PLAIT_SERVE_LISTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "digest_cache.h"
#include "docroot.h"
#include "err.h"

/* More entries are left out, and the listing says so. */
#define PLAIT_LISTING_MAX 10000

struct plait_listing_entry {
    char *name; /* owned */
    struct stat st;
};

struct plait_listing {
    struct plait_listing_entry *entries; /* owned */
    size_t count;
    bool truncated;
};

/*
 * Reads the directory that `fd` is open for (borrowed) and `path` leads to in the root. With `dotfiles` also
 * names that begin with a dot. PLAIT_ERR_IO (errno), PLAIT_ERR_NOMEM.
 */
PLAIT_MUST_USE int plait_listing_read(struct plait_listing *l, const struct plait_docroot *root, int fd,
                                      const char *path, bool dotfiles);
void plait_listing_done(struct plait_listing *l);

/*
 * The whole text, the caller's to free. PLAIT_ERR_NOMEM. `digests` may be NULL. The members of the JSON are
 * told in plait-serve(1).
 */
PLAIT_MUST_USE int plait_listing_html(const struct plait_listing *l, const char *path, char **text,
                                      size_t *len);
PLAIT_MUST_USE int plait_listing_json(const struct plait_listing *l, const char *path,
                                      struct plait_digest_cache *digests, char **text, size_t *len);

#endif
