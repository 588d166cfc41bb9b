/*
 * Small files that hold a secret: read only where nobody else can read or change them, and made so.
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

#endif
