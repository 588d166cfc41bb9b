/*
 * Digests of a file, computed by threads while it grows.
 *
 * The *chaser* hashes the whole: it follows the bytes that are there without a gap, so that at the end only
 * the tail is left; where bytes behind it are taken back it begins again. The *pieces* of a Metalink are each
 * hashed as soon as they are complete.
 */
#ifndef PLAIT_GET_VERIFY_H
#define PLAIT_GET_VERIFY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "digest.h"
#include "hasher.h"
#include "loop.h"
#include "metalink.h"
#include "tally.h"

struct plait_chaser {
    struct plait_hasher hasher;
    struct plait_work work;
    int fd; /* borrows */
    uint64_t prefix, hashed;
    uint64_t job_hi; /* what the thread reads up to */
    uint64_t lost;   /* the least offset that was taken back while it reads, or PLAIT_NEVER */
    uint8_t *room;
    bool job_failed;
    bool eager; /* hash even a little: the end has come */
    atomic_bool cancel;
    void (*moved)(void *ctx); /* after each stretch */
    void *ctx;
};

/* PLAIT_ERR_NOTFOUND where the algorithm cannot be had, PLAIT_ERR_NOMEM. */
PLAIT_MUST_USE int plait_chaser_init(struct plait_chaser *c, struct plait_loop *loop, int fd,
                                     enum plait_digest_alg alg, void (*moved)(void *ctx), void *ctx);
void plait_chaser_done(struct plait_chaser *c);
/* Everything before `prefix` is there. */
void plait_chaser_advance(struct plait_chaser *c, uint64_t prefix);
void plait_chaser_take_back(struct plait_chaser *c, uint64_t lo);
/* The whole of `size` bytes is there: true once all of it is hashed; then *out is its digest. */
bool plait_chaser_finish(struct plait_chaser *c, uint64_t size, struct plait_digest *out);

/* How a thread reads what is there; the bytes of a complete piece do not change meanwhile. */
struct plait_reader_at {
    int (*read)(void *ctx, uint64_t offset, void *bytes, size_t len); /* 0 or PLAIT_ERR_* */
    void *ctx;
};

struct plait_pieces {
    const struct plait_metalink_pieces *list; /* borrows */
    struct plait_tally tally;
    struct plait_hasher hasher;
    struct plait_work work;
    struct plait_reader_at source;
    size_t piece; /* the thread's, with turn and result */
    uint32_t turn;
    bool good;
    size_t good_to; /* all pieces before have been judged good */
    uint8_t *room;
    atomic_bool cancel;
    void (*judged)(void *ctx, uint64_t lo, uint64_t hi, bool good);
    void *ctx;
};

/* PLAIT_ERR_ARG where the pieces do not fit the size, PLAIT_ERR_NOTFOUND, PLAIT_ERR_NOMEM. */
PLAIT_MUST_USE int plait_pieces_init(struct plait_pieces *p, struct plait_loop *loop,
                                     struct plait_reader_at source, uint64_t size,
                                     const struct plait_metalink_pieces *list,
                                     void (*judged)(void *ctx, uint64_t lo, uint64_t hi, bool good),
                                     void *ctx);
void plait_pieces_done(struct plait_pieces *p);
void plait_pieces_add(struct plait_pieces *p, uint64_t lo, uint64_t hi);
void plait_pieces_take_back(struct plait_pieces *p, uint64_t lo, uint64_t hi);
/* Looks for a piece that is complete. */
void plait_pieces_tick(struct plait_pieces *p);
/* Everything before this offset has been judged good. */
uint64_t plait_pieces_prefix(struct plait_pieces *p);
/* Every piece has been judged good. */
bool plait_pieces_are_good(const struct plait_pieces *p);

#endif
