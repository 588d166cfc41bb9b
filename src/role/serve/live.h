/*
 * Files that are still being written: a stream of such a file goes on as it grows, until its writer closes it.
 *
 * How it is told. Where the kernel says (a read lease, fcntl(2), which it refuses while anybody has the file open
 * for writing; only for files of our own user), it is so: a file that was changed within PLAIT_LIVE_HELD_NS and
 * has a writer is live, for as long as it has one. Where the kernel does not say, a file that was changed within
 * PLAIT_LIVE_FRESH_NS is taken for live until inotify(7) tells that a writer has closed it, or nothing has been
 * written for PLAIT_LIVE_QUIET_NS (PLAIT_LIVE_FRESH_NS where it was never seen to change).
 *
 * A live file is a version of its own, with a strong tag, however much it grows: what is written there is never
 * written again. One that becomes shorter is another version.
 *
 * All functions but new and free may be called from several threads.
 */
#ifndef PLAIT_SERVE_LIVE_H
#define PLAIT_SERVE_LIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "err.h"
#include "etag.h"
#include "units.h"

#define PLAIT_LIVE_HELD_NS  (60 * PLAIT_S)
#define PLAIT_LIVE_FRESH_NS (2 * PLAIT_S)
#define PLAIT_LIVE_QUIET_NS (10 * PLAIT_S)
#define PLAIT_LIVE_FILES    256u /* at once; of more, some are taken as they are */

struct plait_live;

/* PLAIT_ERR_NOMEM, PLAIT_ERR_IO (errno). The process must not die of SIGIO. */
PLAIT_MUST_USE int plait_live_new(struct plait_live **out);
void plait_live_free(struct plait_live *l);

enum plait_live_kind {
    PLAIT_LIVE_NOT,      /* as any file */
    PLAIT_LIVE_GROWING,  /* `tag` is its version's */
    PLAIT_LIVE_FINISHED, /* a moment ago it was live: `tag` still names it, beside its own */
};

/* What somebody else knows who watches the files (contents.h). It counts where the kernel does not say. */
enum plait_live_hint {
    PLAIT_LIVE_NO_HINT,
    PLAIT_LIVE_SEEN_OPEN,   /* it has been written to, and not yet closed */
    PLAIT_LIVE_SEEN_CLOSED, /* this version's writer has closed it */
};

/*
 * How the file that `fd` is open for reading is; `st` is brought up to date. `now` is of the monotonic clock, `unix_ns`
 * since 1970.
 */
enum plait_live_kind plait_live_look(struct plait_live *l, int fd, struct stat *st, uint64_t now,
                                     int64_t unix_ns, enum plait_live_hint hint, char tag[PLAIT_ETAG_SIZE]);

#endif
