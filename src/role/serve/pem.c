#include "pem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "file.h"
#include "privilege.h"

/* What the keeper answers before the bytes of both files. */
struct answer {
    int rc, error, second; /* `second`: what failed is the key */
    size_t cert_len, key_len;
};

void plait_pem_pair_done(struct plait_pem_pair *pair)
{
    if (pair->key != NULL)
        explicit_bzero(pair->key, pair->key_len);
    free(pair->key);
    free(pair->cert);
    memset(pair, 0, sizeof *pair);
}

void plait_pem_init(struct plait_pem *pem, const char *cert_path, const char *key_path)
{
    *pem = (struct plait_pem){cert_path, key_path, -1, 0};
}

static int read_path(const char *path, char **bytes, size_t *len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0)
        return PLAIT_ERR_IO;
    int rc = plait_read_file(fd, PLAIT_PEM_SIZE_MAX, (uint8_t **)bytes, len);
    int error = errno;
    close(fd);
    errno = error;
    return rc;
}

static int read_here(const struct plait_pem *pem, struct plait_pem_pair *out, const char **failed)
{
    struct plait_pem_pair pair = {NULL, NULL, 0, 0};

    *failed = pem->cert_path;
    int rc = read_path(pem->cert_path, &pair.cert, &pair.cert_len);
    if (rc == PLAIT_OK) {
        *failed = pem->key_path;
        rc = read_path(pem->key_path, &pair.key, &pair.key_len);
    }
    int error = errno;
    if (rc == PLAIT_OK)
        *out = pair;
    else
        plait_pem_pair_done(&pair);
    errno = error;
    return rc;
}

/* All `len` bytes; false at the end of the connection. */
static int receive(int fd, void *bytes, size_t len)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = recv(fd, (char *)bytes + got, len - got, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return PLAIT_ERR_STATE;
        got += (size_t)n;
    }
    return PLAIT_OK;
}

/* The keeper's only answer; false ends it. */
static int serve_once(const struct plait_pem *pem, int fd)
{
    struct plait_pem_pair pair = {NULL, NULL, 0, 0};
    const char *failed;
    char request;

    if (receive(fd, &request, 1) != PLAIT_OK)
        return PLAIT_ERR_STATE;
    int rc = read_here(pem, &pair, &failed);
    struct answer a = {rc, errno, failed == pem->key_path, pair.cert_len, pair.key_len};
    rc = plait_write_all(fd, &a, sizeof a);
    if (rc == PLAIT_OK && a.rc == PLAIT_OK)
        rc = plait_write_all(fd, pair.cert, pair.cert_len);
    if (rc == PLAIT_OK && a.rc == PLAIT_OK)
        rc = plait_write_all(fd, pair.key, pair.key_len);
    plait_pem_pair_done(&pair);
    return rc;
}

/* Signals to the group are the server's business: the keeper ends when its end of the connection does. */
static _Noreturn void keep(const struct plait_pem *pem, int fd)
{
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    prctl(PR_SET_NAME, "plait-keeper");
    if (dup2(fd, 3) < 0 || close_range(4, ~0U, 0) != 0 || plait_privilege_only_read() != PLAIT_OK)
        _exit(1);
    while (serve_once(pem, 3) == PLAIT_OK)
        ;
    _exit(0);
}

int plait_pem_keep(struct plait_pem *pem)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return PLAIT_ERR_IO;
    pid_t pid = fork();
    if (pid == 0)
        keep(pem, ends[1]);
    int error = errno;
    close(ends[1]);
    errno = error;
    if (pid < 0) {
        close(ends[0]);
        return PLAIT_ERR_IO;
    }
    pem->keeper_fd = ends[0];
    pem->keeper = pid;
    return PLAIT_OK;
}

void plait_pem_done(struct plait_pem *pem)
{
    if (pem->keeper_fd < 0)
        return;
    close(pem->keeper_fd);
    pem->keeper_fd = -1;
    while (waitpid(pem->keeper, NULL, 0) < 0 && errno == EINTR)
        ;
}

static int receive_file(int fd, char **bytes, size_t len)
{
    if (len > PLAIT_PEM_SIZE_MAX)
        return PLAIT_ERR_STATE;
    *bytes = calloc(1, len + 1);
    return *bytes != NULL ? receive(fd, *bytes, len) : PLAIT_ERR_NOMEM;
}

int plait_pem_read(const struct plait_pem *pem, struct plait_pem_pair *out, const char **failed)
{
    struct plait_pem_pair pair = {NULL, NULL, 0, 0};
    struct answer a;

    if (pem->keeper_fd < 0)
        return read_here(pem, out, failed);
    *failed = pem->cert_path;
    if (send(pem->keeper_fd, "?", 1, MSG_NOSIGNAL) != 1 || receive(pem->keeper_fd, &a, sizeof a) != PLAIT_OK)
        return PLAIT_ERR_STATE;
    if (a.rc != PLAIT_OK) {
        *failed = a.second ? pem->key_path : pem->cert_path;
        errno = a.error;
        return a.rc;
    }
    pair.cert_len = a.cert_len;
    pair.key_len = a.key_len;
    int rc = receive_file(pem->keeper_fd, &pair.cert, a.cert_len);
    if (rc == PLAIT_OK)
        rc = receive_file(pem->keeper_fd, &pair.key, a.key_len);
    if (rc == PLAIT_OK)
        *out = pair;
    else
        plait_pem_pair_done(&pair);
    return rc;
}
