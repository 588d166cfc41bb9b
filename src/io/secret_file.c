#include "secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
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

static int take_lines(char *text, int (*take)(void *ctx, const char *line), void *ctx, unsigned *number)
{
    int err = PLAIT_OK;

    while (err == PLAIT_OK && text != NULL) {
        char *line = strsep(&text, "\n");
        size_t len = strlen(line);
        ++*number;
        if (len > 0 && line[len - 1] == '\r')
            line[len - 1] = '\0';
        if (line[0] != '\0' && line[0] != '#')
            err = take(ctx, line);
    }
    return err;
}

int plait_secret_file_lines(const char *path, size_t max, int (*take)(void *ctx, const char *line), void *ctx,
                            unsigned *line)
{
    uint8_t *text;
    size_t len;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    *line = 0;
    if (fd < 0)
        return PLAIT_ERR_IO;
    int err = plait_read_file(fd, max, &text, &len);
    int saved = errno;
    close(fd);
    errno = saved;
    if (err != PLAIT_OK)
        return err;
    err = strlen((char *)text) == len ? take_lines((char *)text, take, ctx, line) : PLAIT_ERR_FORMAT;
    OPENSSL_cleanse(text, len);
    free(text);
    return err;
}
