/*
 * The pipe. Bytes wait in blocks, a ring of pointers of which only those that hold something have memory;
 * what is there without a gap is handed to a thread, at most HAND bytes at a time, which hashes and writes
 * it. What has been handed over counts as emitted at once, because it can no longer be changed; the memory
 * for it is set aside, so that ring, window and the thread's share together stay within the buffer.
 *
 *      out_lo        out_hi                prefix                       out_hi + window
 *        | in a thread | may be handed over | with holes, being filled |        and up to two blocks before out_lo
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "hasher.h"
#include "sink.h"
#include "units.h"

#define BLOCK    ((uint64_t)(64 * PLAIT_KIB))
#define HAND_MAX (16 * BLOCK)

struct pipe_sink {
    struct plait_sink sink;
    const char *name; /* borrows */
    uint8_t **ring;   /* blocks by number modulo count; NULL = no memory */
    uint8_t **pool;   /* blocks that are free again */
    size_t count, pooled;
    uint64_t hand;    /* bytes at most in the thread */
    uint64_t kept_lo; /* everything from here on still has memory; a block's begin */
    uint64_t out_lo, out_hi, prefix;
    uint64_t size; /* after finish; else PLAIT_NEVER */
    bool hashing;
    struct plait_hasher hasher;
    struct plait_work work;
    int result_errno; /* of the thread */
};

static uint8_t **slot(const struct pipe_sink *p, uint64_t offset)
{
    return &p->ring[(offset / BLOCK) % p->count];
}

static uint8_t *block_for(struct pipe_sink *p, uint64_t offset)
{
    uint8_t **at = slot(p, offset);

    if (*at == NULL)
        *at = p->pooled > 0 ? p->pool[--p->pooled] : malloc((size_t)BLOCK);
    return *at;
}

static int pipe_write(struct plait_sink *s, uint64_t offset, const uint8_t *bytes, size_t len)
{
    struct pipe_sink *p = (struct pipe_sink *)s;

    if (offset < p->out_hi || offset + len > p->kept_lo + p->count * BLOCK)
        return plait_sink_note(s, 0, "%s: bytes came from outside the window", p->name);
    while (len > 0) {
        size_t at = (size_t)(offset % BLOCK), n = (size_t)plait_min_u64(len, BLOCK - at);
        uint8_t *block = block_for(p, offset);
        if (block == NULL)
            return plait_sink_note(s, ENOMEM, "%s: the buffer cannot be had; use a smaller --buffer",
                                   p->name);
        memcpy(block + at, bytes, n);
        offset += n;
        bytes += n;
        len -= n;
    }
    return PLAIT_OK;
}

/* Looks at nothing but the blocks themselves, which stay where they are until they have been handed over. */
int plait_sink_pipe_peek(const struct plait_sink *s, uint64_t offset, uint8_t *bytes, size_t len)
{
    const struct pipe_sink *p = (const struct pipe_sink *)s;

    while (len > 0) {
        size_t at = (size_t)(offset % BLOCK), n = (size_t)plait_min_u64(len, BLOCK - at);
        if (*slot(p, offset) == NULL)
            return PLAIT_ERR_NOTFOUND;
        memcpy(bytes, *slot(p, offset) + at, n);
        offset += n;
        bytes += n;
        len -= n;
    }
    return PLAIT_OK;
}

static int pipe_read(struct plait_sink *s, uint64_t offset, uint8_t *bytes, size_t len)
{
    if (offset < ((struct pipe_sink *)s)->kept_lo)
        return PLAIT_ERR_NOTFOUND;
    return plait_sink_pipe_peek(s, offset, bytes, len);
}

/* Writes some of [lo, hi) and moves lo. */
static int write_some(struct pipe_sink *p, uint64_t *lo, uint64_t hi)
{
    struct iovec parts[HAND_MAX / BLOCK + 1];
    int count = 0;

    for (uint64_t at = *lo, n; at < hi && count < (int)PLAIT_COUNT(parts); at += n, count++) {
        n = plait_min_u64(BLOCK - at % BLOCK, hi - at);
        parts[count] = (struct iovec){*slot(p, at) + at % BLOCK, (size_t)n};
    }
    ssize_t n = writev(p->sink.fd, parts, count);
    if (n >= 0) {
        *lo += (uint64_t)n;
        return 0;
    }
    if (errno == EAGAIN) { /* somebody made it non-blocking */
        struct pollfd ready = {.fd = p->sink.fd, .events = POLLOUT};
        (void)poll(&ready, 1, -1);
        return 0;
    }
    return errno == EINTR ? 0 : errno;
}

static void run_write(void *ctx)
{
    struct pipe_sink *p = ctx;

    for (uint64_t at = p->out_lo, n; p->hashing && at < p->out_hi; at += n) {
        n = plait_min_u64(BLOCK - at % BLOCK, p->out_hi - at);
        plait_hasher_update(&p->hasher, *slot(p, at) + at % BLOCK, (size_t)n);
    }
    p->result_errno = 0;
    for (uint64_t at = p->out_lo; at < p->out_hi && p->result_errno == 0;)
        p->result_errno = write_some(p, &at, p->out_hi);
}

/* The last whole block that was written stays, so that the next source's copy of it can be compared. */
static void recycle(struct pipe_sink *p)
{
    for (; p->kept_lo + 2 * BLOCK <= p->out_hi; p->kept_lo += BLOCK) {
        p->pool[p->pooled++] = *slot(p, p->kept_lo);
        *slot(p, p->kept_lo) = NULL;
    }
    p->out_lo = p->out_hi;
}

static void hand_over(struct pipe_sink *p)
{
    if (p->work.busy || p->result_errno != 0)
        return;
    if (p->out_hi < p->prefix) {
        p->out_hi = plait_min_u64(p->prefix, p->out_hi + p->hand);
        plait_work_start(&p->work);
        p->sink.events->emitted(p->sink.ctx, p->out_hi);
    } else if (p->out_hi == p->size) {
        p->sink.events->finished(p->sink.ctx);
    }
}

static void on_written(void *ctx)
{
    struct pipe_sink *p = ctx;

    if (p->result_errno != 0) {
        plait_sink_note(&p->sink, p->result_errno,
                        p->result_errno == ENOSPC || p->result_errno == EDQUOT
                            ? "%s cannot be written; make room, or choose another place with -o FILE"
                            : "%s cannot be written; use -o FILE",
                        p->name);
        p->sink.events->failed(p->sink.ctx);
        return;
    }
    recycle(p);
    hand_over(p);
}

static void pipe_advance(struct plait_sink *s, uint64_t prefix)
{
    struct pipe_sink *p = (struct pipe_sink *)s;

    if (prefix <= p->prefix)
        return;
    p->prefix = prefix;
    hand_over(p);
}

static void pipe_finish(struct plait_sink *s, uint64_t size)
{
    struct pipe_sink *p = (struct pipe_sink *)s;

    p->size = size;
    hand_over(p);
}

static bool pipe_is_busy(const struct plait_sink *s)
{
    return ((const struct pipe_sink *)s)->work.busy;
}

static void pipe_free(struct plait_sink *s, bool keep)
{
    struct pipe_sink *p = (struct pipe_sink *)s;

    (void)keep;
    for (size_t i = 0; p->ring != NULL && i < p->count; i++)
        free(p->ring[i]);
    for (size_t i = 0; i < p->pooled; i++)
        free(p->pool[i]);
    free(p->ring);
    free(p->pool);
    if (p->hashing)
        plait_hasher_done(&p->hasher);
    free(p);
}

static const struct plait_sink_ops pipe_ops = {
    .write = pipe_write,
    .read = pipe_read,
    .advance = pipe_advance,
    .finish = pipe_finish,
    .is_busy = pipe_is_busy,
    .free = pipe_free,
};

struct plait_sink *plait_sink_pipe_open(struct plait_loop *loop, int fd, const char *name,
                                        uint64_t buffer_bytes, const struct plait_sink_events *events,
                                        void *ctx, uint64_t *window_bytes)
{
    struct pipe_sink *p = calloc(1, sizeof *p);

    if (p == NULL)
        return NULL;
    p->sink = (struct plait_sink){
        .ops = &pipe_ops, .events = events, .ctx = ctx, .loop = loop, .in_order = true, .fd = fd};
    p->name = name;
    p->size = PLAIT_NEVER;
    p->count = (size_t)(buffer_bytes / BLOCK);
    p->ring = calloc(p->count, sizeof *p->ring);
    p->pool = calloc(p->count, sizeof *p->pool);
    p->hand = plait_min_u64(HAND_MAX, p->count / 4 * BLOCK);
    *window_bytes = p->count * BLOCK - p->hand - 2 * BLOCK;
    plait_work_init(&p->work, loop, run_write, on_written, p);
    if (p->ring != NULL && p->pool != NULL)
        return &p->sink;
    pipe_free(&p->sink, false);
    return NULL;
}

bool plait_sink_pipe_hash(struct plait_sink *s, enum plait_digest_alg alg)
{
    struct pipe_sink *p = (struct pipe_sink *)s;

    if (p->hashing)
        return p->hasher.alg == alg;
    if (p->out_hi > 0 || plait_hasher_init(&p->hasher, alg) != PLAIT_OK)
        return false;
    p->hashing = true;
    return true;
}

void plait_sink_pipe_digest(struct plait_sink *s, struct plait_digest *out)
{
    plait_hasher_finish(&((struct pipe_sink *)s)->hasher, out);
}
