#include "verify.h"

#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "units.h"

#define ROOM        ((size_t)(256 * PLAIT_KIB)) /* read at once; stays in the cache between reading and hashing */
#define STRETCH_MIN ((uint64_t)(2 * PLAIT_MIB)) /* less is not worth waking a thread, before the end */
#define STRETCH_MAX ((uint64_t)(32 * PLAIT_MIB))

/* ---- the whole ---- */

static void run_stretch(void *ctx)
{
    struct plait_chaser *c = ctx;

    c->job_failed = false;
    for (uint64_t at = c->hashed; at < c->job_hi && !c->job_failed; at += ROOM) {
        size_t n = (size_t)plait_min_u64(ROOM, c->job_hi - at);
        c->job_failed = atomic_load(&c->cancel) || plait_pread_all(c->fd, c->room, n, at) != PLAIT_OK;
        if (!c->job_failed)
            plait_hasher_update(&c->hasher, c->room, n);
    }
}

static void restart(struct plait_chaser *c)
{
    plait_hasher_restart(&c->hasher);
    c->hashed = 0;
}

static void start_stretch(struct plait_chaser *c)
{
    uint64_t ahead = plait_since(c->prefix, c->hashed);

    if (c->work.busy || ahead == 0 || (ahead < STRETCH_MIN && !c->eager) || atomic_load(&c->cancel))
        return;
    c->job_hi = c->hashed + plait_min_u64(ahead, STRETCH_MAX);
    c->lost = PLAIT_NEVER;
    plait_work_start(&c->work);
}

static void on_stretch(void *ctx)
{
    struct plait_chaser *c = ctx;

    if (c->job_failed || c->lost < c->job_hi)
        restart(c);
    else
        c->hashed = c->job_hi;
    start_stretch(c);
    c->moved(c->ctx);
}

int plait_chaser_init(struct plait_chaser *c, struct plait_loop *loop, int fd, enum plait_digest_alg alg,
                      void (*moved)(void *ctx), void *ctx)
{
    int err;

    memset(c, 0, sizeof *c);
    err = plait_hasher_init(&c->hasher, alg);
    if (err != PLAIT_OK)
        return err;
    c->room = malloc(ROOM);
    if (c->room == NULL) {
        plait_hasher_done(&c->hasher);
        return PLAIT_ERR_NOMEM;
    }
    c->fd = fd;
    c->lost = PLAIT_NEVER;
    c->moved = moved;
    c->ctx = ctx;
    plait_work_init(&c->work, loop, run_stretch, on_stretch, c);
    return PLAIT_OK;
}

void plait_chaser_done(struct plait_chaser *c)
{
    plait_hasher_done(&c->hasher);
    free(c->room);
    c->room = NULL;
}

void plait_chaser_advance(struct plait_chaser *c, uint64_t prefix)
{
    c->prefix = prefix;
    start_stretch(c);
}

void plait_chaser_take_back(struct plait_chaser *c, uint64_t lo)
{
    c->eager = false;
    c->prefix = plait_min_u64(c->prefix, lo);
    if (c->work.busy)
        c->lost = plait_min_u64(c->lost, lo);
    else if (lo < c->hashed)
        restart(c);
}

bool plait_chaser_finish(struct plait_chaser *c, uint64_t size, struct plait_digest *out)
{
    c->eager = true;
    plait_chaser_advance(c, size);
    if (c->work.busy || c->hashed != size)
        return false;
    plait_hasher_finish(&c->hasher, out);
    restart(c);
    return true;
}

/* ---- pieces ---- */

static void run_piece(void *ctx)
{
    struct plait_pieces *p = ctx;
    uint64_t lo = p->piece * p->tally.block_size, hi = lo + plait_tally_len(&p->tally, p->piece);
    size_t len = plait_digest_alg_len(p->list->alg);
    struct plait_digest is;

    p->good = true;
    plait_hasher_restart(&p->hasher);
    for (uint64_t at = lo; at < hi && p->good && !atomic_load(&p->cancel); at += ROOM) {
        size_t n = (size_t)plait_min_u64(ROOM, hi - at);
        p->good = p->source.read(p->source.ctx, at, p->room, n) == PLAIT_OK;
        if (p->good)
            plait_hasher_update(&p->hasher, p->room, n);
    }
    plait_hasher_finish(&p->hasher, &is);
    p->good = p->good && memcmp(is.bytes, p->list->bytes + p->piece * len, len) == 0;
}

static void on_piece(void *ctx)
{
    struct plait_pieces *p = ctx;
    uint64_t lo = p->piece * p->tally.block_size, hi = lo + plait_tally_len(&p->tally, p->piece);

    if (atomic_load(&p->cancel))
        return;
    if (plait_tally_settle(&p->tally, p->piece, p->turn))
        p->judged(p->ctx, lo, hi, p->good);
    plait_pieces_tick(p);
}

int plait_pieces_init(struct plait_pieces *p, struct plait_loop *loop, struct plait_reader_at source,
                      uint64_t size, const struct plait_metalink_pieces *list,
                      void (*judged)(void *ctx, uint64_t lo, uint64_t hi, bool good), void *ctx)
{
    int err;

    memset(p, 0, sizeof *p);
    if (list->length == 0 || list->count != size / list->length + (size % list->length != 0))
        return PLAIT_ERR_ARG;
    err = plait_hasher_init(&p->hasher, list->alg);
    if (err != PLAIT_OK)
        return err;
    p->list = list;
    p->source = source;
    p->judged = judged;
    p->ctx = ctx;
    p->room = malloc(ROOM);
    plait_work_init(&p->work, loop, run_piece, on_piece, p);
    if (p->room != NULL && plait_tally_init(&p->tally, size, list->length) == PLAIT_OK)
        return PLAIT_OK;
    plait_pieces_done(p);
    return PLAIT_ERR_NOMEM;
}

void plait_pieces_done(struct plait_pieces *p)
{
    plait_hasher_done(&p->hasher);
    plait_tally_done(&p->tally);
    free(p->room);
    p->room = NULL;
}

void plait_pieces_add(struct plait_pieces *p, uint64_t lo, uint64_t hi)
{
    plait_tally_add(&p->tally, lo, hi, 0);
}

void plait_pieces_take_back(struct plait_pieces *p, uint64_t lo, uint64_t hi)
{
    plait_tally_take_back(&p->tally, lo, hi, NULL, NULL);
    p->good_to = (size_t)plait_min_u64(p->good_to, lo / p->tally.block_size);
}

uint64_t plait_pieces_prefix(struct plait_pieces *p)
{
    while (p->good_to < p->tally.count && p->tally.blocks[p->good_to].state == PLAIT_TALLY_SETTLED)
        p->good_to++;
    return plait_min_u64(p->good_to * p->tally.block_size, p->tally.total);
}

void plait_pieces_tick(struct plait_pieces *p)
{
    if (p->work.busy || atomic_load(&p->cancel) || !plait_tally_take(&p->tally, &p->piece))
        return;
    p->turn = p->tally.blocks[p->piece].turn;
    plait_work_start(&p->work);
}

bool plait_pieces_are_good(const struct plait_pieces *p)
{
    return p->tally.open == 0 && p->tally.ready == 0 && !p->work.busy;
}
