/*
 * The resume journal on disk (journal.h says what is in it), and the thread that reads finished blocks back
 * to hash them.
 *
 * A journal that cannot be written is given up with one call of `failed`; the fetch goes on without.
 */
#ifndef PLAIT_GET_JOURNAL_FILE_H
#define PLAIT_GET_JOURNAL_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "digest.h"
#include "journal.h"
#include "loop.h"
#include "source.h"

struct plait_journal_file;

struct plait_journal_file_config {
    struct plait_loop *loop; /* borrows, as all of these */
    const char *path;
    int data_fd;         /* the partial file */
    uint64_t total;      /* its size when it is complete */
    bool live;           /* it is still being written: `total` is no size, but has room for what comes */
    uint32_t block_size; /* of an earlier journal, or 0 = as plait_journal_block_size says */
    struct plait_digest digest;         /* that it must have, or NONE */
    const struct plait_source *sources; /* by the fetch's index */
    void (*failed)(void *ctx);          /* errno tells why */
    void *ctx;
};

/* Returns owned, or NULL (out of memory). */
struct plait_journal_file *plait_journal_file_new(const struct plait_journal_file_config *config);
/* Makes the file of a new journal, with room on disk for all that it may come to list. */
void plait_journal_file_begin(struct plait_journal_file *jf);
/*
 * Goes on with the journal that was replayed from the same path: `good_len` of its bytes hold, and of its
 * blocks those whose `good` is true. PLAIT_ERR_IO.
 */
PLAIT_MUST_USE int plait_journal_file_reopen(struct plait_journal_file *jf, const struct plait_journal *old,
                                             size_t good_len, const bool *good);
/* As the store of the fetch is told: [lo, hi) has been written, or is not to be trusted. */
void plait_journal_file_add(struct plait_journal_file *jf, uint64_t lo, uint64_t hi, int source);
void plait_journal_file_take_back(struct plait_journal_file *jf, uint64_t lo, uint64_t hi);
/* To be called about once a second: starts reading back what is new. */
void plait_journal_file_tick(struct plait_journal_file *jf);
/*
 * Ends the thread's work soon, lists what can be hashed in a few hundredths of a second, and calls `stopped`
 * (perhaps from within). After that it can be freed.
 */
void plait_journal_file_stop(struct plait_journal_file *jf, void (*stopped)(void *ctx));
/* Writes nothing from now on, and ends the thread's work soon: the file is about to be complete, or to be
 * forgotten. */
void plait_journal_file_mute(struct plait_journal_file *jf);
/* Whether it lists anything that a later run could use. */
bool plait_journal_file_is_of_use(const struct plait_journal_file *jf);
bool plait_journal_file_is_busy(const struct plait_journal_file *jf);
void plait_journal_file_free(struct plait_journal_file *jf);

#endif
