/*
 * The file. Its bytes are written in place to NAME.plait-part, so that it never has the final name before it
 * is complete and on disk. The part is locked as long as we have it; since a finished part loses its name,
 * whoever got the lock has to look whether the file it has locked still is the one of that name.
 *
 * At the end everything has to be on disk before the name may change. So that little is left to wait for then, what has
 * come is sent to disk all along, in a thread; nothing waits for that, and nothing relies on it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "sink.h"
#include "units.h"

#define SUFFIX_PART    ".plait-part"
#define SUFFIX_JOURNAL ".plait-journal"
#define EARLY_PARTS    4 /* of what is there: so much is sent to disk at once, within these bounds */
#define EARLY_MIN      PLAIT_MIB
#define EARLY_MAX      (8 * PLAIT_MIB)

struct file {
    struct plait_sink sink;
    char *name, *part, *journal;
    bool replace;
    struct plait_work work, early;
    uint64_t written, late; /* bytes; of these, not sent to disk yet */
    uint64_t size;          /* finish */
    int result, result_errno;
    const char *step; /* of finish, that failed */
};

/* In a thread: it may have to wait for a disk that is busy. */
static void run_early(void *ctx)
{
    struct file *f = ctx;

    plait_start_writeback(f->sink.fd, 0, 0);
}

static void on_sent(void *ctx)
{
    (void)ctx;
}

static void send_early(struct file *f, size_t len)
{
    f->written += len;
    f->late += len;
    if (f->early.busy || f->late < plait_clamp_u64(f->written / EARLY_PARTS, EARLY_MIN, EARLY_MAX))
        return;
    f->late = 0;
    plait_work_start(&f->early);
}

static int file_write(struct plait_sink *s, uint64_t offset, const uint8_t *bytes, size_t len)
{
    struct file *f = (struct file *)s;

    if (plait_pwrite_all(s->fd, bytes, len, offset) == PLAIT_OK) {
        send_early(f, len);
        return PLAIT_OK;
    }
    if (errno == ENOSPC || errno == EDQUOT)
        return plait_sink_note(
            s, errno, "%s cannot be written; make room and run the same command again to go on", f->part);
    return plait_sink_note(s, errno, "%s cannot be written; check the disk, or choose another place with -o",
                           f->part);
}

static int file_read(struct plait_sink *s, uint64_t offset, uint8_t *bytes, size_t len)
{
    return plait_pread_all(s->fd, bytes, len, offset);
}

static void file_advance(struct plait_sink *s, uint64_t prefix)
{
    (void)s;
    (void)prefix;
}

static int step(struct file *f, int result, const char *what)
{
    if (result != PLAIT_OK) {
        f->result_errno = errno;
        f->step = what;
    }
    f->result = result;
    return result;
}

/* In a thread: to disk, then the name. */
static void run_finish(void *ctx)
{
    struct file *f = ctx;

    if (step(f, ftruncate(f->sink.fd, (off_t)f->size) == 0 ? PLAIT_OK : PLAIT_ERR_IO, "cut to size") !=
            PLAIT_OK ||
        step(f, fsync(f->sink.fd) == 0 ? PLAIT_OK : PLAIT_ERR_IO, "written to disk") != PLAIT_OK ||
        step(f, plait_rename(f->part, f->name, f->replace), "given its name") != PLAIT_OK)
        return;
    (void)unlink(f->journal); /* after a power cut the name is there, or all that it takes to go on */
}

static void on_finished(void *ctx)
{
    struct file *f = ctx;

    if (f->result == PLAIT_OK) {
        f->sink.events->finished(f->sink.ctx);
        return;
    }
    if (f->result == PLAIT_ERR_STATE)
        plait_sink_note(
            &f->sink, 0,
            "%s has appeared meanwhile; the complete download is in %s (move it, or use -f to replace)",
            f->name, f->part);
    else
        plait_sink_note(&f->sink, f->result_errno,
                        "%s is complete but cannot be %s; run the same command again", f->part, f->step);
    f->sink.events->failed(f->sink.ctx);
}

static void file_finish(struct plait_sink *s, uint64_t size)
{
    struct file *f = (struct file *)s;

    f->size = size;
    plait_work_start(&f->work);
}

static bool file_is_busy(const struct plait_sink *s)
{
    const struct file *f = (const struct file *)s;

    return f->work.busy || f->early.busy;
}

static void file_free(struct plait_sink *s, bool keep)
{
    struct file *f = (struct file *)s;
    bool finished = f->size != PLAIT_NEVER && f->result == PLAIT_OK;

    if (s->fd >= 0 && !finished && !keep) {
        (void)unlink(f->part);
        (void)unlink(f->journal);
    }
    if (s->fd >= 0)
        close(s->fd);
    free(f->name);
    free(f->part);
    free(f->journal);
    free(f);
}

static const struct plait_sink_ops file_ops = {
    .write = file_write,
    .read = file_read,
    .advance = file_advance,
    .finish = file_finish,
    .is_busy = file_is_busy,
    .free = file_free,
};

/* The file that is open as `fd` still has this name. */
static bool has_name(int fd, const char *name)
{
    struct stat open_file, named;

    return fstat(fd, &open_file) == 0 && lstat(name, &named) == 0 && open_file.st_dev == named.st_dev &&
           open_file.st_ino == named.st_ino;
}

static int open_error(struct file *f)
{
    switch (errno) {
    case ELOOP:
    case EEXIST:
        return plait_sink_note(&f->sink, 0,
                               "%s is a link or no regular file; remove it, or choose another name with -o",
                               f->part);
    case ENOENT:
        return plait_sink_note(
            &f->sink, 0,
            "%s cannot be made: there is no such directory; make it, or choose another name with -o",
            f->name);
    default:
        return plait_sink_note(&f->sink, errno, "%s cannot be made; choose another place with -o", f->part);
    }
}

static int open_part(struct file *f)
{
    for (int tries = 0; tries < 3; tries++) {
        f->sink.fd = plait_open_own(f->part, O_CREAT, 0666);
        if (f->sink.fd < 0)
            return open_error(f);
        int err = plait_lock(f->sink.fd);
        if (err == PLAIT_ERR_STATE)
            return plait_sink_note(&f->sink, 0,
                                   "another plait is fetching %s just now; wait until it is done, or choose "
                                   "another name with -o",
                                   f->name);
        if (err != PLAIT_OK)
            return plait_sink_note(&f->sink, errno, "%s cannot be locked; choose another place with -o",
                                   f->part);
        if (has_name(f->sink.fd, f->part))
            return PLAIT_OK;
        close(f->sink.fd);
        f->sink.fd = -1;
    }
    return plait_sink_note(&f->sink, 0, "%s does not stay where it is; run the same command again", f->part);
}

static char *join(const char *name, const char *suffix)
{
    char *joined = NULL;

    return asprintf(&joined, "%s%s", name, suffix) < 0 ? NULL : joined;
}

static int check_target(struct file *f)
{
    struct stat st;

    if (lstat(f->name, &st) != 0)
        return PLAIT_OK;
    if (S_ISDIR(st.st_mode))
        return plait_sink_note(&f->sink, 0, "%s is a directory; choose a file's name with -o", f->name);
    if (!f->replace)
        return plait_sink_note(&f->sink, 0, "%s exists; choose another name with -o, or use -f to replace it",
                               f->name);
    return PLAIT_OK;
}

static int open_file(struct file *f, const char *name, uint64_t *left)
{
    struct stat st;

    f->name = strdup(name);
    f->part = join(name, SUFFIX_PART);
    f->journal = join(name, SUFFIX_JOURNAL);
    if (f->name == NULL || f->part == NULL || f->journal == NULL)
        return plait_sink_note(&f->sink, ENOMEM, "%s", name);
    if (check_target(f) != PLAIT_OK || open_part(f) != PLAIT_OK)
        return PLAIT_ERR_IO;
    *left = fstat(f->sink.fd, &st) == 0 ? (uint64_t)st.st_size : 0;
    return PLAIT_OK;
}

struct plait_sink *plait_sink_file_open(struct plait_loop *loop, const char *name, bool replace,
                                        const struct plait_sink_events *events, void *ctx, uint64_t *left,
                                        char error[PLAIT_SINK_ERROR_MAX])
{
    struct file *f = calloc(1, sizeof *f);

    if (f == NULL) {
        snprintf(error, PLAIT_SINK_ERROR_MAX, "out of memory");
        return NULL;
    }
    f->sink = (struct plait_sink){.ops = &file_ops, .events = events, .ctx = ctx, .loop = loop, .fd = -1};
    f->replace = replace;
    f->size = PLAIT_NEVER;
    plait_work_init(&f->work, loop, run_finish, on_finished, f);
    plait_work_init(&f->early, loop, run_early, on_sent, f);
    if (open_file(f, name, left) == PLAIT_OK)
        return &f->sink;
    memcpy(error, f->sink.error, PLAIT_SINK_ERROR_MAX);
    file_free(&f->sink, true);
    return NULL;
}

int plait_sink_file_clear(struct plait_sink *s)
{
    struct file *f = (struct file *)s;

    if (ftruncate(s->fd, 0) != 0)
        return plait_sink_note(s, errno, "%s cannot be emptied; choose another name with -o", f->part);
    if (unlink(f->journal) != 0 && errno != ENOENT)
        return plait_sink_note(s, errno, "%s cannot be removed; choose another name with -o", f->journal);
    return PLAIT_OK;
}

int plait_sink_file_reserve(struct plait_sink *s, uint64_t size)
{
    struct file *f = (struct file *)s;
    struct stat st;
    uint64_t room = plait_free_space(s->fd), own;

    if (room == UINT64_MAX || fstat(s->fd, &st) != 0)
        return PLAIT_OK;
    own = (uint64_t)st.st_blocks * 512;
    if (size <= own || size - own <= room)
        return PLAIT_OK;
    return plait_sink_note(s, ENOSPC,
                           "%s needs %.1f MB more, but there are only %.1f MB free where it lies; make room "
                           "and run the same command again",
                           f->name, (double)(size - own) / 1e6, (double)room / 1e6);
}

const char *plait_sink_file_journal(const struct plait_sink *s)
{
    return ((const struct file *)s)->journal;
}
