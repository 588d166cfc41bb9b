#include "access_log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "units.h"

#define BUFFER_SIZE   (256 * PLAIT_KIB)
/* The longest line: three fields of a client, each byte of them perhaps escaped as six. */
#define FIELD_MAX     1024
#define LINE_SIZE     (4 * 6 * FIELD_MAX + 1024)
/* Lines are gathered for so long before they are written. */
#define GATHER_NS     ((long)(20 * PLAIT_MS))
#define LAST_WRITE_MS 1000

struct plait_access_log {
    char *path; /* owned */
    enum plait_access_format format;
    pthread_t thread;
    bool started;
    char *writing;        /* owned: the thread's */
    int fd;               /* owned, but for standard output: the thread's */
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t wake;
    char *filling; /* owned */
    size_t filled, dropped;
    int next_fd; /* takes the place of fd; -1 = none */
    bool stopping;
};

/* A line under construction; what does not fit is left out. */
struct line {
    char bytes[LINE_SIZE];
    size_t len;
};

static void put(struct line *l, const char *s, size_t len)
{
    if (len > sizeof l->bytes - l->len)
        len = sizeof l->bytes - l->len;
    memcpy(l->bytes + l->len, s, len);
    l->len += len;
}

static void put_word(struct line *l, const char *s)
{
    put(l, s, strlen(s));
}

static PLAIT_PRINTF(2, 3) void put_format(struct line *l, const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (len > 0)
        put(l, text, plait_min_u64((uint64_t)len, sizeof text - 1));
}

/* What a client sent: quotes, backslashes, controls and bytes above 0x7e as \xHH, or as JSON wants it. */
static void put_escaped(struct line *l, const char *s, bool json)
{
    for (size_t i = 0; i < FIELD_MAX && s[i] != '\0'; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
            put(l, s + i, 1);
        else
            put_format(l, json ? "\\u%04x" : "\\x%02x", c);
    }
}

static void put_address(struct line *l, const struct sockaddr *a)
{
    char text[INET6_ADDRSTRLEN] = "-";

    if (a != NULL && a->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)a)->sin_addr, text, sizeof text);
    else if (a != NULL && a->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr, text, sizeof text);
    put_word(l, text);
}

static void put_quoted(struct line *l, const char *s)
{
    put_word(l, " \"");
    put_escaped(l, s != NULL ? s : "-", false);
    put_word(l, "\"");
}

static void put_combined(struct line *l, const struct plait_access *a)
{
    char when[64];
    struct tm tm;
    time_t t = (time_t)(a->at_ns / (int64_t)PLAIT_S);

    put_address(l, a->peer);
    strftime(when, sizeof when, " - - [%d/%b/%Y:%H:%M:%S %z]", localtime_r(&t, &tm));
    put_word(l, when);
    put_word(l, " \"");
    put_escaped(l, a->method != NULL ? a->method : "-", false);
    put_word(l, " ");
    put_escaped(l, a->target != NULL ? a->target : "-", false);
    put_word(l, " ");
    put_escaped(l, a->version != NULL ? a->version : "-", false);
    put_format(l, "\" %03u %" PRIu64, a->complete ? a->status : 499, a->sent);
    put_quoted(l, a->referer);
    put_quoted(l, a->agent);
}

static void put_member(struct line *l, const char *name, const char *value)
{
    if (value == NULL)
        return;
    put_format(l, ",\"%s\":\"", name);
    put_escaped(l, value, true);
    put_word(l, "\"");
}

static void put_json(struct line *l, const struct plait_access *a)
{
    put_format(l, "{\"time\":%" PRId64 ".%03d,\"peer\":\"", a->at_ns / (int64_t)PLAIT_S,
               (int)(a->at_ns % (int64_t)PLAIT_S / (int64_t)PLAIT_MS));
    put_address(l, a->peer);
    put_word(l, "\"");
    put_member(l, "method", a->method);
    put_member(l, "target", a->target);
    put_member(l, "range", a->range);
    put_format(l, ",\"status\":%u,\"sent\":%" PRIu64 ",\"seconds\":%.6f,\"complete\":%s,\"tls\":%s",
               a->status, a->sent, (double)a->took_ns / 1e9, a->complete ? "true" : "false",
               a->tls ? "true" : "false");
    put_member(l, "referer", a->referer);
    put_member(l, "agent", a->agent);
    put_word(l, "}");
}

/* Under the lock. */
static void append(struct plait_access_log *log, const char *bytes, size_t len)
{
    if (len > BUFFER_SIZE - log->filled) {
        log->dropped++;
        return;
    }
    memcpy(log->filling + log->filled, bytes, len);
    if (log->filled == 0)
        pthread_cond_signal(&log->wake);
    log->filled += len;
}

void plait_access_log_write(struct plait_access_log *log, const struct plait_access *a)
{
    struct line l;

    l.len = 0;
    if (log->format == PLAIT_ACCESS_JSON)
        put_json(&l, a);
    else
        put_combined(&l, a);
    if (l.len == sizeof l.bytes)
        l.len--;
    put_word(&l, "\n");
    pthread_mutex_lock(&log->lock);
    append(log, l.bytes, l.len);
    pthread_mutex_unlock(&log->lock);
}

/* The thread. */

static bool is_stopping(struct plait_access_log *log)
{
    pthread_mutex_lock(&log->lock);
    bool stopping = log->stopping;
    pthread_mutex_unlock(&log->lock);
    return stopping;
}

/* A pipe that nobody reads holds up this thread, but not the end of the program. */
static void write_out(struct plait_access_log *log, const char *bytes, size_t len)
{
    int waited_ms = 0;

    while (len > 0) {
        struct pollfd p = {.fd = log->fd, .events = POLLOUT};
        if (poll(&p, 1, 100) == 0) {
            waited_ms += 100;
            if (waited_ms >= LAST_WRITE_MS && is_stopping(log))
                return;
            continue;
        }
        ssize_t n = write(log->fd, bytes, len < 4096 ? len : 4096);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0)
            return;
        bytes += n;
        len -= (size_t)n;
    }
}

static void close_fd(int fd)
{
    if (fd >= 0 && fd != STDOUT_FILENO)
        close(fd);
}

/* The filled buffer for an empty one, the old file for the new. Under the lock; returns how much is to be
 * written. */
static size_t exchange(struct plait_access_log *log)
{
    size_t len = log->filled;
    char *full = log->filling;

    log->filling = log->writing;
    log->writing = full;
    log->filled = 0;
    if (log->next_fd >= 0) {
        close_fd(log->fd);
        log->fd = log->next_fd;
        log->next_fd = -1;
    }
    if (log->dropped > 0) {
        struct line l;
        l.len = 0;
        put_format(&l, log->format == PLAIT_ACCESS_JSON ? "{\"dropped\":%zu}\n" : "# %zu lines dropped\n",
                   log->dropped);
        log->dropped = 0;
        append(log, l.bytes, l.len);
    }
    return len;
}

static void *run(void *arg)
{
    struct plait_access_log *log = arg;
    const struct timespec gather = {0, GATHER_NS};
    bool more = true;

    while (more) {
        pthread_mutex_lock(&log->lock);
        while (log->filled == 0 && !log->stopping)
            pthread_cond_wait(&log->wake, &log->lock);
        bool stopping = log->stopping;
        pthread_mutex_unlock(&log->lock);
        if (!stopping)
            nanosleep(&gather, NULL);
        pthread_mutex_lock(&log->lock);
        size_t len = exchange(log);
        more = !log->stopping || log->filled > 0;
        pthread_mutex_unlock(&log->lock);
        write_out(log, log->writing, len);
    }
    return NULL;
}

static int open_path(const char *path)
{
    if (strcmp(path, "-") == 0)
        return STDOUT_FILENO;
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
}

static void release(struct plait_access_log *log)
{
    close_fd(log->fd);
    close_fd(log->next_fd);
    pthread_cond_destroy(&log->wake);
    pthread_mutex_destroy(&log->lock);
    free(log->filling);
    free(log->writing);
    free(log->path);
    free(log);
}

int plait_access_log_new(struct plait_access_log **out, const char *path, enum plait_access_format format)
{
    struct plait_access_log *log = calloc(1, sizeof *log);

    if (log == NULL)
        return PLAIT_ERR_NOMEM;
    log->format = format;
    log->fd = log->next_fd = -1;
    pthread_mutex_init(&log->lock, NULL);
    pthread_cond_init(&log->wake, NULL);
    log->path = strdup(path);
    log->filling = malloc(BUFFER_SIZE);
    log->writing = malloc(BUFFER_SIZE);
    int rc = log->path != NULL && log->filling != NULL && log->writing != NULL ? PLAIT_OK : PLAIT_ERR_NOMEM;
    if (rc == PLAIT_OK && (log->fd = open_path(path)) < 0)
        rc = PLAIT_ERR_IO;
    int error = errno;
    if (rc == PLAIT_OK)
        *out = log;
    else
        release(log);
    errno = error;
    return rc;
}

int plait_access_log_start(struct plait_access_log *log)
{
    int error = pthread_create(&log->thread, NULL, run, log);

    log->started = error == 0;
    errno = error;
    return log->started ? PLAIT_OK : PLAIT_ERR_IO;
}

void plait_access_log_free(struct plait_access_log *log)
{
    if (log == NULL)
        return;
    pthread_mutex_lock(&log->lock);
    log->stopping = true;
    pthread_cond_signal(&log->wake);
    pthread_mutex_unlock(&log->lock);
    if (log->started)
        pthread_join(log->thread, NULL);
    release(log);
}

int plait_access_log_reopen(struct plait_access_log *log)
{
    int fd = open_path(log->path);

    if (fd < 0)
        return PLAIT_ERR_IO;
    pthread_mutex_lock(&log->lock);
    close_fd(log->next_fd);
    log->next_fd = fd;
    pthread_cond_signal(&log->wake);
    pthread_mutex_unlock(&log->lock);
    return PLAIT_OK;
}
