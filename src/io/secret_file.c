#include "secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"

static bool is_ours_alone(const struct stat *st)
{
    return S_ISREG(st->st_mode) && (st->st_mode & (S_IRWXG | S_IRWXO)) == 0 &&
           (st->st_uid == 0 || st->st_uid == geteuid());
}

static int read_open(int fd, uint8_t out[PLAIT_SECRET_FILE_MAX], size_t *len)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return PLAIT_ERR_IO;
    if (!is_ours_alone(&st))
        return PLAIT_ERR_STATE;
    if (st.st_size > (off_t)PLAIT_SECRET_FILE_MAX)
        return PLAIT_ERR_LIMIT;
    *len = (size_t)st.st_size;
    return plait_pread_all(fd, out, *len, 0);
}

int plait_secret_file_read(const char *path, uint8_t out[PLAIT_SECRET_FILE_MAX], size_t *len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0)
        return PLAIT_ERR_IO;
    int err = read_open(fd, out, len);
    int saved = errno;
    close(fd);
    errno = saved;
    return err;
}

int plait_secret_file_write(const char *path, const void *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);

    if (fd < 0)
        return errno == EEXIST ? PLAIT_ERR_STATE : PLAIT_ERR_IO;
    int err = plait_write_all(fd, bytes, len);
    if (err == PLAIT_OK && fsync(fd) != 0)
        err = PLAIT_ERR_IO;
    int saved = errno;
    close(fd);
    if (err != PLAIT_OK)
        unlink(path);
    errno = saved;
    return err;
}
