#include "docroot.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel asks for another try when something is renamed meanwhile; so often at most. */
#define RACES_MAX 16

static int open_beneath(int at, const char *path, int flags)
{
    struct open_how how = {
        .flags = (unsigned)(flags | O_CLOEXEC),
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    long fd;
    int races = 0;

    do
        fd = syscall(SYS_openat2, at, *path != '\0' ? path : ".", &how, sizeof how);
    while (fd < 0 && (errno == EINTR || (errno == EAGAIN && races++ < RACES_MAX)));
    return (int)fd;
}

/* The segment that begins at `path`, into `name`; returns what follows it and its slash, NULL where it is too
 * long. */
static const char *next_segment(const char *path, char name[NAME_MAX + 1])
{
    size_t len = strcspn(path, "/");

    if (len > NAME_MAX)
        return NULL;
    memcpy(name, path, len);
    name[len] = '\0';
    path += len;
    return *path == '/' ? path + 1 : path;
}

/* One step down, or −1 with errno. Closes `fd`. */
static int step(int fd, const char *name, int flags)
{
    bool is_name = *name != '\0' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
    int next = is_name ? openat(fd, name, flags | O_NOFOLLOW | O_CLOEXEC) : -1;
    int saved = is_name ? errno : EXDEV;

    close(fd);
    errno = saved;
    return next;
}

static int open_stepwise(int at, const char *path, int flags)
{
    const int through = O_PATH | O_DIRECTORY;
    char name[NAME_MAX + 1];
    int fd = openat(at, ".", (*path == '\0' ? flags : through) | O_CLOEXEC);

    while (fd >= 0 && *path != '\0') {
        const char *rest = next_segment(path, name);
        if (rest == NULL) {
            close(fd);
            errno = ENAMETOOLONG;
            return -1;
        }
        fd = step(fd, name, *rest == '\0' ? flags : through);
        path = rest;
    }
    return fd;
}

static int open_any(const struct plait_docroot *root, const char *path, int flags)
{
    return root->stepwise ? open_stepwise(root->fd, path, flags) : open_beneath(root->fd, path, flags);
}

int plait_docroot_init(struct plait_docroot *root, const char *dir)
{
    root->fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root->fd < 0)
        return PLAIT_ERR_IO;
    int probe = open_beneath(root->fd, "", O_PATH);
    root->stepwise = probe < 0; /* ENOSYS of an old kernel, EPERM of a container's filter */
    if (probe >= 0)
        close(probe);
    return PLAIT_OK;
}

void plait_docroot_done(struct plait_docroot *root)
{
    if (root->fd >= 0)
        close(root->fd);
    root->fd = -1;
}

static int error_of(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case EXDEV:
    case ELOOP:
    case ENAMETOOLONG:
    case EINVAL:
        return PLAIT_ERR_NOTFOUND;
    case EACCES:
    case EPERM:
        return PLAIT_ERR_STATE;
    case EMFILE:
    case ENFILE:
        return PLAIT_ERR_LIMIT;
    default:
        return PLAIT_ERR_IO;
    }
}

/* Opens with these flags and looks at what it is. */
static int open_stat(const struct plait_docroot *root, const char *path, int flags, int *fd, struct stat *st)
{
    *fd = open_any(root, path, flags);
    if (*fd < 0)
        return error_of(errno);
    if (fstat(*fd, st) == 0)
        return PLAIT_OK;
    int saved = errno;
    close(*fd);
    errno = saved;
    return PLAIT_ERR_IO;
}

int plait_docroot_stat(const struct plait_docroot *root, const char *path, struct stat *st)
{
    struct stat found;
    int fd;
    int rc = open_stat(root, path, O_PATH, &fd, &found);

    if (rc != PLAIT_OK)
        return rc;
    close(fd);
    if (S_ISLNK(found.st_mode)) /* only stepwise */
        return PLAIT_ERR_NOTFOUND;
    *st = found;
    return PLAIT_OK;
}

int plait_docroot_open(const struct plait_docroot *root, const char *path, int *fd, struct stat *st)
{
    struct stat seen, opened;
    int got;
    int rc = plait_docroot_stat(root, path, &seen);

    if (rc != PLAIT_OK)
        return rc;
    if (!S_ISREG(seen.st_mode) && !S_ISDIR(seen.st_mode))
        return PLAIT_ERR_STATE;
    rc = open_stat(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, &got, &opened);
    if (rc != PLAIT_OK)
        return rc;
    if (!S_ISREG(opened.st_mode) && !S_ISDIR(opened.st_mode)) { /* replaced between the two looks */
        close(got);
        return PLAIT_ERR_STATE;
    }
    *fd = got;
    *st = opened;
    return PLAIT_OK;
}
