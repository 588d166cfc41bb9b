#include "live.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/random.h>
#include <unistd.h>

#include "etag.h"

/* A file that nobody has asked about for so long is forgotten. */
#define KEEP_NS     (120 * PLAIT_S)
#define EVENTS_SIZE 4096

enum writer { WRITER_UNKNOWN, WRITER_NONE, WRITER_THERE };

struct file {
    uint64_t dev, ino;
    int wd; /* of inotify; −1 = the place is free */
    uint64_t number;
    bool finished;
    bool closed;         /* a writer has let go of it since it was last looked at */
    bool grew;           /* it was seen to change */
    uint64_t written_at; /* when it was last seen to have changed */
    uint64_t asked_at;
    uint64_t size; /* when it was last looked at */
    int64_t mtime_ns;
};

struct plait_live {
    int inotify;
    uint64_t salt; /* so that tags of two runs differ */
    pthread_mutex_t lock;
    uint64_t count; /* of files so far: their numbers */
    struct file files[PLAIT_LIVE_FILES];
};

int plait_live_new(struct plait_live **out)
{
    struct plait_live *l = calloc(1, sizeof *l);

    if (l == NULL)
        return PLAIT_ERR_NOMEM;
    l->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (l->inotify < 0 || getrandom(&l->salt, sizeof l->salt, 0) != (ssize_t)sizeof l->salt) {
        int error = errno;
        if (l->inotify >= 0)
            close(l->inotify);
        free(l);
        errno = error;
        return PLAIT_ERR_IO;
    }
    pthread_mutex_init(&l->lock, NULL);
    for (size_t i = 0; i < PLAIT_LIVE_FILES; i++)
        l->files[i].wd = -1;
    *out = l;
    return PLAIT_OK;
}

void plait_live_free(struct plait_live *l)
{
    if (l == NULL)
        return;
    close(l->inotify);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

/* Whether anybody has the file open for writing. */
static enum writer ask_writer(int fd)
{
    if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
        (void)fcntl(fd, F_SETLEASE, F_UNLCK);
        return WRITER_NONE;
    }
    return errno == EAGAIN ? WRITER_THERE : WRITER_UNKNOWN;
}

static void forget(struct plait_live *l, struct file *f)
{
    (void)inotify_rm_watch(l->inotify, f->wd);
    f->wd = -1;
}

static struct file *find(struct plait_live *l, const struct stat *st)
{
    for (size_t i = 0; i < PLAIT_LIVE_FILES; i++) {
        struct file *f = &l->files[i];
        if (f->wd >= 0 && f->dev == st->st_dev && f->ino == st->st_ino)
            return f;
    }
    return NULL;
}

/* A free place, or one that is not needed any more; NULL where there is none. */
static struct file *make_room(struct plait_live *l, uint64_t now)
{
    struct file *best = NULL;

    for (size_t i = 0; i < PLAIT_LIVE_FILES; i++) {
        struct file *f = &l->files[i];
        if (f->wd >= 0 && now >= plait_add_sat(f->asked_at, KEEP_NS))
            forget(l, f);
        if (f->wd < 0)
            return f;
        if (f->finished && (best == NULL || f->asked_at < best->asked_at))
            best = f;
    }
    if (best != NULL)
        forget(l, best);
    return best;
}

static void on_event(struct plait_live *l, const struct inotify_event *e, uint64_t now)
{
    for (size_t i = 0; i < PLAIT_LIVE_FILES; i++) {
        struct file *f = &l->files[i];
        if (f->wd < 0 || f->wd != e->wd)
            continue;
        if (e->mask & IN_IGNORED)
            f->wd = -1; /* the file is no more */
        if (e->mask & IN_MODIFY) {
            f->written_at = now;
            f->grew = true;
        }
        if (e->mask & IN_CLOSE_WRITE)
            f->closed = true;
    }
}

/* A queue that has run over costs no more than time: what is quiet ends all the same. */
static void take_events(struct plait_live *l, uint64_t now)
{
    _Alignas(struct inotify_event) char events[EVENTS_SIZE];
    ssize_t n;

    while ((n = read(l->inotify, events, sizeof events)) > 0) {
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *e = (const void *)(events + at);
            on_event(l, e, now);
            at += (ssize_t)(sizeof *e + e->len);
        }
    }
}

/* Whether a file that was changed so long ago is still being written, as far as can be known. */
static bool is_written(enum writer writer, enum plait_live_hint hint, int64_t age_ns)
{
    if (writer != WRITER_UNKNOWN)
        return writer == WRITER_THERE && age_ns <= (int64_t)PLAIT_LIVE_HELD_NS;
    if (hint != PLAIT_LIVE_NO_HINT)
        return hint == PLAIT_LIVE_SEEN_OPEN;
    return age_ns <= (int64_t)PLAIT_LIVE_FRESH_NS;
}

/* One that is not known yet, and seems to be live. NULL where it is not, or cannot be followed. */
static struct file *begin(struct plait_live *l, int fd, const struct stat *st, uint64_t now, int64_t unix_ns,
                          enum plait_live_hint hint)
{
    char proc[64];
    enum writer writer = ask_writer(fd);

    if (!is_written(writer, hint, unix_ns - plait_mtime_ns(st)))
        return NULL;
    struct file *f = make_room(l, now);
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    int wd = f != NULL ? inotify_add_watch(l->inotify, proc, IN_MODIFY | IN_CLOSE_WRITE) : -1;
    if (wd < 0)
        return NULL;
    *f = (struct file){.dev = st->st_dev,
                       .ino = st->st_ino,
                       .wd = wd,
                       .number = ++l->count,
                       .written_at = now,
                       .grew = hint == PLAIT_LIVE_SEEN_OPEN,
                       .size = (uint64_t)st->st_size};
    return f;
}

/* Whether the writer has gone, as far as can be known. */
static bool is_over(struct file *f, int fd, uint64_t now)
{
    enum writer writer = ask_writer(fd);
    bool closed = f->closed;

    f->closed = false;
    if (writer != WRITER_UNKNOWN)
        return writer == WRITER_NONE;
    return closed || now >= plait_add_sat(f->written_at, f->grew ? PLAIT_LIVE_QUIET_NS : PLAIT_LIVE_FRESH_NS);
}

/* Whether the file is what it was, or has only grown. */
static bool goes_on(const struct file *f, const struct stat *st)
{
    if (f->finished)
        return f->size == (uint64_t)st->st_size && f->mtime_ns == plait_mtime_ns(st);
    return (uint64_t)st->st_size >= f->size;
}

static enum plait_live_kind look(struct plait_live *l, int fd, struct stat *st, uint64_t now, int64_t unix_ns,
                                 enum plait_live_hint hint, char tag[PLAIT_ETAG_SIZE])
{
    take_events(l, now);
    struct file *f = find(l, st);
    if (f != NULL && !goes_on(f, st)) {
        forget(l, f);
        f = NULL;
    }
    if (f == NULL)
        f = begin(l, fd, st, now, unix_ns, hint);
    if (f == NULL)
        return PLAIT_LIVE_NOT;
    /* First whether it is written, then how long it is: so that nothing comes after its end. */
    bool over = !f->finished && is_over(f, fd, now);
    if (fstat(fd, st) != 0)
        return PLAIT_LIVE_NOT;
    f->finished = f->finished || over;
    if ((uint64_t)st->st_size > f->size) {
        f->written_at = now;
        f->grew = true;
    }
    f->size = (uint64_t)st->st_size;
    f->mtime_ns = plait_mtime_ns(st);
    f->asked_at = now;
    snprintf(tag, PLAIT_ETAG_SIZE, "\"live-%" PRIx64 "-%" PRIx64 "\"", l->salt, f->number);
    return f->finished ? PLAIT_LIVE_FINISHED : PLAIT_LIVE_GROWING;
}

enum plait_live_kind plait_live_look(struct plait_live *l, int fd, struct stat *st, uint64_t now,
                                     int64_t unix_ns, enum plait_live_hint hint, char tag[PLAIT_ETAG_SIZE])
{
    pthread_mutex_lock(&l->lock);
    enum plait_live_kind kind = look(l, fd, st, now, unix_ns, hint, tag);
    pthread_mutex_unlock(&l->lock);
    return kind;
}
