#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

int plait_pwrite_all(int fd, const void *bytes, size_t len, uint64_t offset)
{
    const uint8_t *at = bytes;

    while (len > 0) {
        ssize_t n = pwrite(fd, at, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return PLAIT_ERR_IO;
        at += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return PLAIT_OK;
}

int plait_write_all(int fd, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;

    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return PLAIT_ERR_IO;
        at += n;
        len -= (size_t)n;
    }
    return PLAIT_OK;
}

int plait_pread_all(int fd, void *bytes, size_t len, uint64_t offset)
{
    uint8_t *at = bytes;

    while (len > 0) {
        ssize_t n = pread(fd, at, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return PLAIT_ERR_IO;
        if (n == 0)
            return PLAIT_ERR_TRUNC;
        at += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return PLAIT_OK;
}

int plait_read_file(int fd, size_t max, uint8_t **bytes, size_t *len)
{
    struct stat st;
    uint8_t *room;
    int err;

    if (fstat(fd, &st) != 0)
        return PLAIT_ERR_IO;
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > max)
        return PLAIT_ERR_LIMIT;
    room = malloc((size_t)st.st_size + 1);
    if (room == NULL)
        return PLAIT_ERR_NOMEM;
    err = plait_pread_all(fd, room, (size_t)st.st_size, 0);
    if (err != PLAIT_OK) {
        free(room);
        return PLAIT_ERR_IO;
    }
    room[st.st_size] = '\0';
    *bytes = room;
    *len = (size_t)st.st_size;
    return PLAIT_OK;
}

int plait_open_own(const char *path, int flags, unsigned mode)
{
    struct stat st;
    /* NONBLOCK: somebody may have put a FIFO there, on which opening would hang */
    int fd = open(path, flags | O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, mode);

    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink <= 1)
        return fd;
    close(fd);
    errno = EEXIST;
    return -1;
}

int plait_lock(int fd)
{
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return PLAIT_OK;
    return errno == EWOULDBLOCK ? PLAIT_ERR_STATE : PLAIT_ERR_IO;
}

/* For file systems that cannot rename without replacing. */
static int link_and_unlink(const char *from, const char *to)
{
    if (link(from, to) != 0)
        return errno == EEXIST ? PLAIT_ERR_STATE : PLAIT_ERR_IO;
    (void)unlink(from);
    return PLAIT_OK;
}

int plait_rename(const char *from, const char *to, int replace)
{
    if (replace)
        return rename(from, to) == 0 ? PLAIT_OK : PLAIT_ERR_IO;
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return PLAIT_OK;
    if (errno == EINVAL || errno == ENOSYS)
        return link_and_unlink(from, to);
    return errno == EEXIST ? PLAIT_ERR_STATE : PLAIT_ERR_IO;
}

uint64_t plait_free_space(int fd)
{
    struct statvfs fs;

    if (fstatvfs(fd, &fs) != 0 || fs.f_blocks == 0)
        return UINT64_MAX;
    return (uint64_t)fs.f_bavail * fs.f_frsize;
}

void plait_start_writeback(int fd, uint64_t offset, uint64_t len)
{
    (void)sync_file_range(fd, (off_t)offset, (off_t)len, SYNC_FILE_RANGE_WRITE);
}
