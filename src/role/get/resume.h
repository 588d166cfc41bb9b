/*
 * What an earlier run left: the journal is replayed, and every block that it lists is read again and compared
 * with its hash by a thread. Only what matches counts.
 */
#ifndef PLAIT_GET_RESUME_H
#define PLAIT_GET_RESUME_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "journal.h"
#include "loop.h"

#define PLAIT_RESUME_WHY_MAX 256

struct plait_resume {
    struct plait_journal journal;
    size_t good_len; /* bytes of the journal that hold */
    bool *good;      /* by index in journal.blocks, after `done` */
    uint64_t good_bytes;
    uint64_t total_bytes;            /* that are to be read */
    atomic_uint_fast64_t read_bytes; /* so far */
    int data_fd;
    struct plait_work work;
    atomic_bool cancel;
    void (*done)(void *ctx);
    void *ctx;
};

/*
 * Replays the journal. PLAIT_ERR_NOTFOUND where there is none; PLAIT_ERR_FORMAT where it cannot be used, and
 * `why` tells; PLAIT_ERR_NOMEM. `digest`: what the whole must have now.
 */
PLAIT_MUST_USE int plait_resume_load(struct plait_resume *r, const char *journal_path,
                                     const struct plait_digest *digest, char why[PLAIT_RESUME_WHY_MAX]);
/* Begins to read; `done` is called on the loop. */
void plait_resume_start(struct plait_resume *r, struct plait_loop *loop, int data_fd, void (*done)(void *ctx),
                        void *ctx);
/* Makes `done` come soon. */
void plait_resume_cancel(struct plait_resume *r);
/* Not while it is being read. */
void plait_resume_done(struct plait_resume *r);

#endif
