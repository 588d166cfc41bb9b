#include "sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int open_setting(const char *name, int flags)
{
    char path[256];

    if ((size_t)snprintf(path, sizeof path, "/proc/sys/net/%s", name) >= sizeof path ||
        strstr(name, "..") != NULL) {
        errno = ENOENT;
        return -1;
    }
    return open(path, flags | O_CLOEXEC);
}

static int result_of_errno(void)
{
    return errno == ENOENT ? PLAIT_ERR_NOTFOUND : PLAIT_ERR_IO;
}

int plait_sysctl_get(const char *name, int64_t *out)
{
    char text[32];
    int fd = open_setting(name, O_RDONLY);
    ssize_t len;

    if (fd < 0)
        return result_of_errno();
    len = read(fd, text, sizeof text - 1);
    close(fd);
    if (len <= 0)
        return PLAIT_ERR_IO;
    text[len] = '\0';
    *out = strtoll(text, NULL, 10);
    return PLAIT_OK;
}

int plait_sysctl_set(const char *name, int64_t value)
{
    char text[32];
    int fd = open_setting(name, O_WRONLY), len = snprintf(text, sizeof text, "%" PRId64, value), saved;
    ssize_t done;

    if (fd < 0)
        return result_of_errno();
    done = write(fd, text, (size_t)len);
    saved = errno;
    close(fd);
    errno = saved;
    return done == len ? PLAIT_OK : PLAIT_ERR_IO;
}
