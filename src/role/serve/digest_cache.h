/*
 * SHA-256 digests of the files that were asked for, computed by one thread in the background at the lowest
 * priority, and kept by what names a version of a file: device, inode, size and time of change. A request
 * never waits: a digest that is not known yet is absent.
 *
 * Both the number of digests kept and the number of files waiting are fixed; what does not fit is dropped,
 * and asked for again by the next request. The digest nobody has asked for the longest makes room.
 *
 * All functions but new and free may be called from several threads at once.
 */
#ifndef PLAIT_SERVE_DIGEST_CACHE_H
#define PLAIT_SERVE_DIGEST_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "docroot.h"
#include "err.h"

#define PLAIT_SHA256_LEN 32

struct plait_digest_cache;

/*
 * Begins the thread. `root` is borrowed until free. `file_fd` (taken; −1 = none) is a file open for reading
 * and appending, in which digests survive the process: one line each, `device inode size mtime_ns sha256`, in
 * hexadecimal. Lines that are not of this form are passed over. PLAIT_ERR_NOMEM, PLAIT_ERR_IO (errno); then
 * the descriptor is closed.
 */
PLAIT_MUST_USE int plait_digest_cache_new(struct plait_digest_cache **out, const struct plait_docroot *root,
                                          size_t entries_max, int file_fd);
/* Gives up what is being computed, and ends the thread. */
void plait_digest_cache_free(struct plait_digest_cache *cache);

/* The digest of this version, if it is known. */
bool plait_digest_cache_find(struct plait_digest_cache *cache, const struct stat *st,
                             uint8_t sha256[PLAIT_SHA256_LEN]);
/* Asks for the digest of a regular file that was not found; `path` leads to it in the root, `st` is of the
 * version. */
void plait_digest_cache_ask(struct plait_digest_cache *cache, const char *path, const struct stat *st);

#endif
