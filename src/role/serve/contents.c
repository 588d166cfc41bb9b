#include "contents.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "digest.h"
#include "etag.h"
#include "stream_name.h"

#define WATCHED                                                                                              \
    (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB |          \
     IN_ONLYDIR | IN_EXCL_UNLINK)
#define WATCH_BUCKETS 1024u /* a power of two */
#define EVENTS_SIZE   (64 * PLAIT_KIB)

#define PUBLISH_NS  (100 * PLAIT_MS)
#define TICK_NS     (200 * PLAIT_MS) /* while digests are awaited */
#define RESCAN_NS   (30 * PLAIT_S)   /* where not everything can be watched */
#define FRESH_NS    ((int64_t)(2 * PLAIT_S))
#define FRESH_QUIET (3 * PLAIT_S) /* for a file whose writer we may have missed */
#define HEX_SIZE    (2 * PLAIT_TOC_SHA256_LEN + 1)
#define ASKED_MAX   64u /* digests at once */

/* A directory that is watched. */
struct watch {
    int wd;
    char *path; /* owned; "" is the root */
    struct watch *next;
};

struct plait_contents {
    struct plait_contents_options o;
    pthread_t thread;
    int inotify, wake;
    atomic_bool stopping;
    pthread_mutex_t lock; /* of the table */
    struct plait_toc *toc;
    /* The thread's own. */
    struct watch *watches[WATCH_BUCKETS];
    uint64_t now, publish_at, rescan_at;
    bool changed;   /* since it was last told */
    bool blind;     /* not everything is watched */
    bool lost;      /* events were lost, all has to be read again */
    bool too_many;  /* was told */
    size_t writing; /* entries, about */
    size_t asked;   /* digests that are being computed */
    char path[PATH_MAX];
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * PLAIT_S + (uint64_t)t.tv_nsec;
}

static void warn(const struct plait_contents *c, const char *text)
{
    if (c->o.warn != NULL)
        c->o.warn(c->o.ctx, text);
}

/* Watches. */

static struct watch **watch_link(struct plait_contents *c, int wd)
{
    struct watch **at = &c->watches[(unsigned)wd & (WATCH_BUCKETS - 1)];

    while (*at != NULL && (*at)->wd != wd)
        at = &(*at)->next;
    return at;
}

static void drop_watch(struct watch **at)
{
    struct watch *w = *at;

    *at = w->next;
    free(w->path);
    free(w);
}

static bool is_at_or_below(const char *path, const char *dir)
{
    size_t len = strlen(dir);

    return len == 0 || (strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0'));
}

static void unwatch_below(struct plait_contents *c, const char *dir)
{
    for (unsigned i = 0; i < WATCH_BUCKETS; i++) {
        for (struct watch **at = &c->watches[i]; *at != NULL;) {
            if (is_at_or_below((*at)->path, dir)) {
                (void)inotify_rm_watch(c->inotify, (*at)->wd);
                drop_watch(at);
            } else {
                at = &(*at)->next;
            }
        }
    }
}

/* Through the descriptor, so that it is this directory and no other. */
static void watch_dir(struct plait_contents *c, int fd, const char *path)
{
    char proc[64];

    snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    int wd = inotify_add_watch(c->inotify, proc, WATCHED);
    char *copy = wd >= 0 ? strdup(path) : NULL;
    struct watch **at = wd >= 0 ? watch_link(c, wd) : NULL;
    if (copy != NULL && *at == NULL) {
        *at = calloc(1, sizeof **at);
        if (*at != NULL)
            (*at)->wd = wd;
    }
    if (copy == NULL || *at == NULL) {
        free(copy);
        if (!c->blind)
            warn(c, "not every directory can be watched, so all are read again every 30 s; raise "
                    "fs.inotify.max_user_watches");
        c->blind = true;
        return;
    }
    free((*at)->path);
    (*at)->path = copy;
}

/* Files. */

static void note_removed(struct plait_contents *c, size_t count)
{
    c->changed = c->changed || count > 0;
}

static void remove_file(struct plait_contents *c, const char *path)
{
    pthread_mutex_lock(&c->lock);
    note_removed(c, plait_toc_remove(c->toc, path));
    pthread_mutex_unlock(&c->lock);
}

/* Puts the version under the name; `writing` since `at`. */
static void put_file(struct plait_contents *c, uint64_t at, const char *path, const struct stat *st,
                     bool writing)
{
    const struct plait_toc_version version = {
        .dev = st->st_dev,
        .ino = st->st_ino,
        .size = (uint64_t)st->st_size,
        .mtime_ns = plait_mtime_ns(st),
    };

    pthread_mutex_lock(&c->lock);
    int rc = plait_toc_put(c->toc, at, path, &version, writing, &c->changed);
    pthread_mutex_unlock(&c->lock);
    c->writing += writing;
    if (rc == PLAIT_ERR_LIMIT && !c->too_many)
        warn(c, "there are more files than a director takes of one server (50000): some are not told");
    c->too_many = c->too_many || rc == PLAIT_ERR_LIMIT;
}

/* Looks at what is there under this name now. */
static bool look(struct plait_contents *c, const char *path, struct stat *st)
{
    int fd;

    if (!plait_stream_name_is_good(path, strlen(path)) ||
        plait_docroot_open(c->o.root, path, &fd, st) != PLAIT_OK)
        return false;
    close(fd);
    return S_ISREG(st->st_mode);
}

static void update_file(struct plait_contents *c, const char *path, bool writing)
{
    struct stat st;

    if (look(c, path, &st))
        put_file(c, c->now, path, &st, writing);
    else
        remove_file(c, path);
}

static bool is_writing(struct plait_contents *c, const char *path)
{
    pthread_mutex_lock(&c->lock);
    const struct plait_toc_entry *e = plait_toc_find(c->toc, path);
    bool writing = e != NULL && e->writing;
    pthread_mutex_unlock(&c->lock);
    return writing;
}

/* Changed a moment ago. */
static bool is_fresh(const struct stat *st)
{
    int64_t age_ns = (int64_t)clock_ns(CLOCK_REALTIME) - plait_mtime_ns(st);

    return age_ns > -FRESH_NS && age_ns < FRESH_NS;
}

/* One that is found without an event: whoever wrote it a moment ago may still be at it. */
static void find_file(struct plait_contents *c, const char *path)
{
    struct stat st;

    if (!look(c, path, &st))
        return;
    if (is_writing(c, path))
        put_file(c, c->now, path, &st, true);
    else
        put_file(c, plait_since(c->now + FRESH_QUIET, PLAIT_CONTENTS_QUIET_NS), path, &st, is_fresh(&st));
}

/* Directories. */

/* Appends the name to the path in c->path. False where it is no name of ours, or too long. */
static bool descend(struct plait_contents *c, const char *name, size_t *len)
{
    *len = strlen(c->path);
    if (name[0] == '.' || *len + 1 + strlen(name) >= sizeof c->path)
        return false;
    snprintf(c->path + *len, sizeof c->path - *len, "%s%s", *len > 0 ? "/" : "", name);
    return true;
}

static bool is_directory_itself(DIR *dir, const struct dirent *d)
{
    struct stat st;

    if (d->d_type != DT_UNKNOWN)
        return d->d_type == DT_DIR;
    return fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* What lies in the directory c->path and below. */
static void scan(struct plait_contents *c, unsigned depth)
{
    struct stat st;
    int fd;

    if (depth > PLAIT_CONTENTS_DEPTH || plait_docroot_open(c->o.root, c->path, &fd, &st) != PLAIT_OK)
        return;
    DIR *dir = S_ISDIR(st.st_mode) ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        close(fd);
        return;
    }
    watch_dir(c, fd, c->path); /* first, so that nothing falls between */
    for (struct dirent *d; !atomic_load(&c->stopping) && (d = readdir(dir)) != NULL;) {
        size_t len;
        if (!descend(c, d->d_name, &len))
            continue;
        if (is_directory_itself(dir, d))
            scan(c, depth + 1);
        else
            find_file(c, c->path);
        c->path[len] = '\0';
    }
    closedir(dir);
}

static void scan_all(struct plait_contents *c)
{
    c->lost = c->blind = false;
    c->rescan_at = PLAIT_NEVER;
    c->path[0] = '\0';
    pthread_mutex_lock(&c->lock);
    plait_toc_sweep_begin(c->toc);
    pthread_mutex_unlock(&c->lock);
    scan(c, 0);
    pthread_mutex_lock(&c->lock);
    if (!atomic_load(&c->stopping))
        note_removed(c, plait_toc_sweep_end(c->toc));
    pthread_mutex_unlock(&c->lock);
    if (c->blind)
        c->rescan_at = plait_add_sat(clock_ns(CLOCK_MONOTONIC), RESCAN_NS);
}

static void drop_dir(struct plait_contents *c, const char *path)
{
    unwatch_below(c, path);
    pthread_mutex_lock(&c->lock);
    note_removed(c, plait_toc_remove_below(c->toc, path));
    pthread_mutex_unlock(&c->lock);
}

/* Events. */

/* A new name: of a new file, or a link to what was there before, which nobody need be writing. */
static void on_created(struct plait_contents *c, const char *path)
{
    struct stat st;

    if (look(c, path, &st))
        put_file(c, c->now, path, &st, is_fresh(&st));
}

static void on_modified(struct plait_contents *c, const char *path)
{
    pthread_mutex_lock(&c->lock);
    struct plait_toc_entry *e = plait_toc_find(c->toc, path);
    bool known = e != NULL && e->writing;
    if (known)
        e->written_at = c->now;
    pthread_mutex_unlock(&c->lock);
    if (!known)
        update_file(c, path, true);
}

static void on_file(struct plait_contents *c, uint32_t mask, const char *path)
{
    if (mask & (IN_DELETE | IN_MOVED_FROM))
        remove_file(c, path);
    else if (mask & (IN_CLOSE_WRITE | IN_MOVED_TO))
        update_file(c, path, false);
    else if (mask & IN_CREATE)
        on_created(c, path);
    else if (mask & IN_MODIFY)
        on_modified(c, path);
    else if (mask & IN_ATTRIB)
        update_file(c, path, is_writing(c, path));
}

static void on_event(struct plait_contents *c, const struct inotify_event *e)
{
    size_t len;

    if (e->mask & IN_Q_OVERFLOW)
        c->lost = true;
    struct watch **at = watch_link(c, e->wd);
    if (*at == NULL)
        return;
    if (e->mask & IN_IGNORED) {
        drop_watch(at);
        return;
    }
    snprintf(c->path, sizeof c->path, "%s", (*at)->path);
    if (e->len == 0 || !descend(c, e->name, &len))
        return;
    if (!(e->mask & IN_ISDIR)) {
        on_file(c, e->mask, c->path);
    } else if (e->mask & (IN_DELETE | IN_MOVED_FROM)) {
        drop_dir(c, c->path);
    } else if (e->mask & (IN_CREATE | IN_MOVED_TO)) {
        scan(c, 1);
    }
}

static void take_events(struct plait_contents *c)
{
    _Alignas(struct inotify_event) char events[EVENTS_SIZE];
    ssize_t n;

    while (!atomic_load(&c->stopping) && (n = read(c->inotify, events, sizeof events)) > 0) {
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *e = (const void *)(events + at);
            on_event(c, e);
            at += (ssize_t)(sizeof *e + e->len);
        }
    }
}

/* What takes its time. */

/* Those whose writer has been still for long, whatever has become of it, are as they are. */
static void settle_written(struct plait_contents *c)
{
    char name[PLAIT_STREAM_NAME_MAX + 1] = "";
    size_t writing = 0;

    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < plait_toc_count(c->toc) && name[0] == '\0'; i++) {
        const struct plait_toc_entry *e = plait_toc_at(c->toc, i);
        writing += e->writing;
        if (e->writing && c->now >= plait_add_sat(e->written_at, PLAIT_CONTENTS_QUIET_NS))
            snprintf(name, sizeof name, "%s", e->name);
    }
    c->writing = writing;
    pthread_mutex_unlock(&c->lock);
    if (name[0] == '\0')
        return;
    update_file(c, name, false);
    c->writing++; /* there may be more: look again soon */
}

static struct stat stat_of(const struct plait_toc_version *v)
{
    return (struct stat){
        .st_dev = v->dev,
        .st_ino = v->ino,
        .st_size = (off_t)v->size,
        .st_mtim = {v->mtime_ns / (int64_t)PLAIT_S, v->mtime_ns % (int64_t)PLAIT_S},
    };
}

/* Takes the digests that have become known, and asks for some of those that have not. */
static void take_digests(struct plait_contents *c)
{
    if (c->o.digests == NULL)
        return;
    c->asked = 0;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < plait_toc_count(c->toc) && c->asked < ASKED_MAX; i++) {
        struct plait_toc_entry *e = plait_toc_at(c->toc, i);
        if (e->has_sha256 || e->writing)
            continue;
        const struct stat st = stat_of(&e->version);
        e->has_sha256 = plait_digest_cache_find(c->o.digests, &st, e->sha256);
        c->changed = c->changed || e->has_sha256;
        if (e->has_sha256)
            continue;
        plait_digest_cache_ask(c->o.digests, e->name, &st);
        c->asked++;
    }
    pthread_mutex_unlock(&c->lock);
}

/* As the registrar takes it: names and digests lie in one piece of memory behind the streams. */
static struct plait_registrar_stream *make_list(struct plait_contents *c, size_t *count)
{
    size_t bytes = 0;

    *count = plait_toc_count(c->toc);
    for (size_t i = 0; i < *count; i++)
        bytes += strlen(plait_toc_at(c->toc, i)->name) + 1 + HEX_SIZE;
    struct plait_registrar_stream *list = malloc(*count * sizeof *list + bytes + 1);
    char *room = (char *)(list + *count);
    for (size_t i = 0; list != NULL && i < *count; i++) {
        const struct plait_toc_entry *e = plait_toc_at(c->toc, i);
        list[i] = (struct plait_registrar_stream){
            .name = room, .size = e->writing ? PLAIT_REGISTRAR_SIZE_UNKNOWN : e->version.size};
        room = stpcpy(room, e->name) + 1;
        if (!e->has_sha256 || plait_hex_encode(e->sha256, sizeof e->sha256, room, HEX_SIZE) != PLAIT_OK)
            continue;
        list[i].sha256 = room;
        room += HEX_SIZE;
    }
    return list;
}

static void publish(struct plait_contents *c)
{
    size_t count;

    c->changed = false;
    c->publish_at = c->now + PUBLISH_NS;
    if (c->o.changed == NULL)
        return;
    pthread_mutex_lock(&c->lock);
    struct plait_registrar_stream *list = make_list(c, &count);
    pthread_mutex_unlock(&c->lock);
    if (list != NULL)
        c->o.changed(c->o.ctx, list, count);
    else
        c->changed = true;
    free(list);
}

/* The thread. */

static int time_left(const struct plait_contents *c)
{
    uint64_t due = c->rescan_at;

    if (c->changed)
        due = plait_min_u64(due, c->publish_at);
    if (c->asked > 0)
        due = plait_min_u64(due, c->now + TICK_NS);
    if (c->writing > 0)
        due = plait_min_u64(due, c->now + PLAIT_S);
    if (due == PLAIT_NEVER)
        return -1;
    return (int)plait_min_u64(plait_since(due, c->now) / PLAIT_MS + 1, 60000);
}

static void *run(void *arg)
{
    struct plait_contents *c = arg;
    struct pollfd fds[] = {{.fd = c->inotify, .events = POLLIN}, {.fd = c->wake, .events = POLLIN}};

    c->now = clock_ns(CLOCK_MONOTONIC);
    c->changed = true; /* also where there is nothing: that is known then */
    scan_all(c);
    while (!atomic_load(&c->stopping)) {
        c->now = clock_ns(CLOCK_MONOTONIC);
        take_events(c);
        if (c->lost || c->now >= c->rescan_at)
            scan_all(c);
        if (c->writing > 0)
            settle_written(c);
        take_digests(c);
        if (c->changed && c->now >= c->publish_at)
            publish(c);
        (void)poll(fds, PLAIT_COUNT(fds), time_left(c));
    }
    return NULL;
}

static void release(struct plait_contents *c)
{
    unwatch_below(c, "");
    if (c->inotify >= 0)
        close(c->inotify);
    if (c->wake >= 0)
        close(c->wake);
    plait_toc_free(c->toc);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

int plait_contents_new(struct plait_contents **out, const struct plait_contents_options *options)
{
    struct plait_contents *c = calloc(1, sizeof *c);

    if (c == NULL)
        return PLAIT_ERR_NOMEM;
    c->o = *options;
    atomic_init(&c->stopping, false);
    pthread_mutex_init(&c->lock, NULL);
    c->rescan_at = PLAIT_NEVER;
    c->toc = plait_toc_new(PLAIT_CONTENTS_MAX);
    c->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int error = c->toc == NULL ? ENOMEM : c->inotify < 0 || c->wake < 0 ? errno : 0;
    if (error == 0)
        error = pthread_create(&c->thread, NULL, run, c);
    if (error == 0) {
        *out = c;
        return PLAIT_OK;
    }
    release(c);
    errno = error;
    return PLAIT_ERR_IO;
}

void plait_contents_free(struct plait_contents *c)
{
    const uint64_t one = 1;

    if (c == NULL)
        return;
    atomic_store(&c->stopping, true);
    (void)!write(c->wake, &one, sizeof one);
    pthread_join(c->thread, NULL);
    release(c);
}

bool plait_contents_find(struct plait_contents *c, const char *name, const uint8_t *sha256,
                         struct plait_contents_found *out)
{
    pthread_mutex_lock(&c->lock);
    const struct plait_toc_entry *e =
        sha256 != NULL ? plait_toc_find_digest(c->toc, sha256) : plait_toc_find(c->toc, name);
    if (e != NULL) {
        snprintf(out->name, sizeof out->name, "%s", e->name);
        out->version = e->version;
        out->writing = e->writing;
        out->has_sha256 = e->has_sha256;
        memcpy(out->sha256, e->sha256, sizeof out->sha256);
    }
    pthread_mutex_unlock(&c->lock);
    return e != NULL;
}
