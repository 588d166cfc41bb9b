/*
 * The served directory: what lies in it is found and opened here, and nothing else is.
 *
 * The kernel itself keeps every lookup beneath the directory (openat2(2), RESOLVE_BENEATH): a symbolic link
 * is followed as long as it does not lead out, also in a race with somebody who renames. Where the kernel has
 * no openat2 (before 5.6), each segment is opened in turn and no symbolic link is followed at all.
 *
 * An object is looked at before it is opened, so that a FIFO or a device is never opened: that could block,
 * wake its writer, or wind a tape.
 *
 * All functions but init and done may be called from several threads at once.
 */
#ifndef PLAIT_SERVE_DOCROOT_H
#define PLAIT_SERVE_DOCROOT_H

#include <stdbool.h>
#include <sys/stat.h>

#include "err.h"

struct plait_docroot {
    int fd;        /* owned */
    bool stepwise; /* without openat2; may be set after init, to have it so anywhere */
};

/* PLAIT_ERR_IO with errno where it cannot be opened as a directory. */
PLAIT_MUST_USE int plait_docroot_init(struct plait_docroot *root, const char *dir);
void plait_docroot_done(struct plait_docroot *root);

/*
 * Looks, without opening. `path` is relative; "" is the directory itself. As plait_docroot_open, but any kind
 * of object is found.
 */
PLAIT_MUST_USE int plait_docroot_stat(const struct plait_docroot *root, const char *path, struct stat *st);

/*
 * Opens a regular file or a directory for reading; the descriptor is the caller's to close.
 *
 * PLAIT_ERR_NOTFOUND where there is no such thing beneath the directory, or a link leads out of it;
 * PLAIT_ERR_STATE where it may not be read, or is neither file nor directory; PLAIT_ERR_LIMIT where the
 * process has no descriptor left; PLAIT_ERR_IO (errno).
 */
PLAIT_MUST_USE int plait_docroot_open(const struct plait_docroot *root, const char *path, int *fd,
                                      struct stat *st);

#endif
