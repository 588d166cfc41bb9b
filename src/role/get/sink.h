/*
 * Where the stream goes: a file, written in place, or a pipe, written in order.
 *
 * write, read and take_back are the store of the fetch (fetch.h) and only ever copy; what may block is done
 * by the threads beside the loop. A sink that fails calls `failed` once, with words that say what to do.
 */
#ifndef PLAIT_GET_SINK_H
#define PLAIT_GET_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "digest.h"
#include "err.h"
#include "loop.h"

#define PLAIT_SINK_ERROR_MAX 768

struct plait_sink;

struct plait_sink_events {
    /* A pipe: everything before `offset` has left, or is as good as gone. */
    void (*emitted)(void *ctx, uint64_t offset);
    /* After finish: all is where it belongs. */
    void (*finished)(void *ctx);
    /* It cannot go on: see error and os_errno. */
    void (*failed)(void *ctx);
};

struct plait_sink_ops {
    int (*write)(struct plait_sink *s, uint64_t offset, const uint8_t *bytes, size_t len);
    int (*read)(struct plait_sink *s, uint64_t offset, uint8_t *bytes, size_t len);
    /* Everything before `prefix` is there. A pipe emits it. */
    void (*advance)(struct plait_sink *s, uint64_t prefix);
    /* The stream of `size` bytes is complete and verified. */
    void (*finish)(struct plait_sink *s, uint64_t size);
    /* Whether one of the threads is at work for it; it can only be freed when not. */
    bool (*is_busy)(const struct plait_sink *s);
    /* `keep`: what is there may be of use to a later run. */
    void (*free)(struct plait_sink *s, bool keep);
};

struct plait_sink {
    const struct plait_sink_ops *ops;
    const struct plait_sink_events *events;
    void *ctx;
    struct plait_loop *loop;
    bool in_order; /* a pipe */
    int fd;
    int os_errno;
    char error[PLAIT_SINK_ERROR_MAX];
};

/*
 * Notes an error for people. What the format says after its last semicolon, without conversions, is what to do; before
 * that come the system's words for `os_errno` (0 = none). Returns PLAIT_ERR_IO.
 */
int plait_sink_note(struct plait_sink *s, int os_errno, const char *format, ...) PLAIT_PRINTF(3, 4);

/*
 * A file that appears under `name` once it is complete; until then its bytes are in NAME.plait-part, which is
 * locked. Returns owned; or NULL, and says why in `error`. *left tells how many bytes an earlier run left
 * there.
 */
struct plait_sink *plait_sink_file_open(struct plait_loop *loop, const char *name, bool replace,
                                        const struct plait_sink_events *events, void *ctx, uint64_t *left,
                                        char error[PLAIT_SINK_ERROR_MAX]);
/* Forgets what an earlier run left. */
PLAIT_MUST_USE int plait_sink_file_clear(struct plait_sink *s);
/* The size became known: is there room for what is still to come? PLAIT_ERR_IO with an error. */
PLAIT_MUST_USE int plait_sink_file_reserve(struct plait_sink *s, uint64_t size);
/* The journal that goes with the file, by name; borrowed. */
const char *plait_sink_file_journal(const struct plait_sink *s);

/*
 * A pipe, a terminal or anything else that is written in order to `fd` (borrowed). At most buffer_bytes are
 * kept in memory; *window_bytes tells how far ahead of what was emitted the fetch may write. Returns owned,
 * or NULL.
 */
struct plait_sink *plait_sink_pipe_open(struct plait_loop *loop, int fd, const char *name,
                                        uint64_t buffer_bytes, const struct plait_sink_events *events,
                                        void *ctx, uint64_t *window_bytes);
/* In a thread: bytes that are there and have not been handed over. */
PLAIT_MUST_USE int plait_sink_pipe_peek(const struct plait_sink *s, uint64_t offset, uint8_t *bytes,
                                        size_t len);
/* Hash what leaves, from the first byte on; false where bytes have left already. `alg` is not NONE. */
bool plait_sink_pipe_hash(struct plait_sink *s, enum plait_digest_alg alg);
/* After finished: the digest of all that has left. */
void plait_sink_pipe_digest(struct plait_sink *s, struct plait_digest *out);

#endif
