/*
 * Small files that hold secrets. Of one secret: read only where nobody else can read or change it, and made so.
 * Of many, a line each, as tables of users are: what they may let others do is their owner's choice.
 */
#ifndef PLAIT_IO_SECRET_FILE_H
#define PLAIT_IO_SECRET_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define PLAIT_SECRET_FILE_MAX 4096u

/*
 * The file's bytes, *len of them. PLAIT_ERR_STATE where it is no regular file, or its mode lets others than its
 * owner read or write it, or its owner is neither root nor who we are; PLAIT_ERR_LIMIT for a longer one,
 * PLAIT_ERR_IO (errno).
 */
PLAIT_MUST_USE int plait_secret_file_read(const char *path, uint8_t out[PLAIT_SECRET_FILE_MAX], size_t *len);
/*
 * Makes the file, for its owner alone, and syncs it. PLAIT_ERR_STATE where one is there already, PLAIT_ERR_IO
 * (errno), and then there is none.
 */
PLAIT_MUST_USE int plait_secret_file_write(const char *path, const void *bytes, size_t len);
/*
 * Calls `take` with each line but the empty ones and those that begin with #, without its LF or CR LF, until it
 * returns an error, which is then returned with the line's number in *line. PLAIT_ERR_IO (errno),
 * PLAIT_ERR_LIMIT for a file longer than `max` bytes, PLAIT_ERR_FORMAT for a NUL among them, PLAIT_ERR_NOMEM:
 * these with *line 0, and before any line was taken. Nothing of it stays in memory.
 */
PLAIT_MUST_USE int plait_secret_file_lines(const char *path, size_t max,
                                           int (*take)(void *ctx, const char *line), void *ctx,
                                           unsigned *line);

#endif
