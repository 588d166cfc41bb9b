/*
 * Files: whole reads and writes, and the steps that make a finished file appear at once and stay.
 */
#ifndef PLAIT_IO_FILE_H
#define PLAIT_IO_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

/* All `len` bytes or PLAIT_ERR_IO (errno). */
PLAIT_MUST_USE int plait_pwrite_all(int fd, const void *bytes, size_t len, uint64_t offset);
PLAIT_MUST_USE int plait_write_all(int fd, const void *bytes, size_t len);
/* All `len` bytes; PLAIT_ERR_TRUNC where the file ends before, or PLAIT_ERR_IO (errno). */
PLAIT_MUST_USE int plait_pread_all(int fd, void *bytes, size_t len, uint64_t offset);
/*
 * The whole of an open regular file. The bytes are the caller's to free; there is one more, a NUL, after
 * them. PLAIT_ERR_LIMIT above `max`, PLAIT_ERR_NOMEM, PLAIT_ERR_IO (errno).
 */
PLAIT_MUST_USE int plait_read_file(int fd, size_t max, uint8_t **bytes, size_t *len);

/* Opens (or, with O_CREAT, makes) a file of ours for reading and writing: a regular one, no link. −1 with
 * errno. */
int plait_open_own(const char *path, int flags, unsigned mode);
/* Takes the lock that keeps a second process out. PLAIT_ERR_STATE where it is taken, PLAIT_ERR_IO (errno). */
PLAIT_MUST_USE int plait_lock(int fd);
/* Gives a file its final name; with `replace` false PLAIT_ERR_STATE where the name is taken. PLAIT_ERR_IO
 * (errno). */
PLAIT_MUST_USE int plait_rename(const char *from, const char *to, int replace);
/* Bytes that may still be written where the open file lies; UINT64_MAX = unknown. */
uint64_t plait_free_space(int fd);
/* Asks the kernel to begin writing these pages out, without waiting for it; `len` 0: all to the end. May wait for a place in a
 * busy disk's queue. */
void plait_start_writeback(int fd, uint64_t offset, uint64_t len);

#endif
