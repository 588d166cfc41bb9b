/*
 * Where a director keeps registrations: in memory, in a file (SQLite), or with other directors in one place (Redis).
 *
 * A store keeps documents under servers' ids, each for a time, and understands nothing of them. The director answers
 * from its catalog; the store is asked only about changes. Every operation ends by calling its `done`, once, perhaps
 * before the function has returned, never after `free`; its result is
 *
 *     PLAIT_OK
 *     PLAIT_ERR_NOTFOUND   there is nothing under that id
 *     PLAIT_ERR_STATE      once: that key was there before
 *     PLAIT_ERR_IO         the store cannot be reached or written; `error` says why
 *
 * What other directors do with the same store is told by the events, as is what it holds at the start and after a time
 * without it.
 */
#ifndef PLAIT_DIRECT_STORE_H
#define PLAIT_DIRECT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "loop.h"

#define PLAIT_STORE_ERROR_MAX 512
#define PLAIT_STORE_KEY_MAX   160 /* bytes of a key for once */

struct plait_store;

typedef void (*plait_store_done)(void *ctx, int err);
/* `ttl_ms`: so long it lives still. */
typedef void (*plait_store_told)(void *ctx, int err, uint64_t ttl_ms);

/* Called on the loop. What is borrowed, is until they return. */
struct plait_store_events {
    /* There is a (new) document, which another put there, or which is there from before. */
    void (*put)(void *ctx, const char *id, const char *text, size_t len, uint64_t ttl_ms);
    void (*touched)(void *ctx, const char *id, uint64_t ttl_ms);
    void (*dropped)(void *ctx, const char *id);
    /* Everything that is there has been told by `put`; `up` false: the store is out of reach from now on. */
    void (*state)(void *ctx, bool up);
};

struct plait_store_ops {
    /* Remembers a key for a time; of all who ask for the same one, one gets PLAIT_OK. */
    void (*once)(struct plait_store *s, const char *key, uint64_t ttl_ms, plait_store_done done, void *ctx);
    void (*put)(struct plait_store *s, const char *id, const char *text, size_t len, uint64_t ttl_ms,
                plait_store_done done, void *ctx);
    /* Lets it live for so long from now on. */
    void (*touch)(struct plait_store *s, const char *id, uint64_t ttl_ms, plait_store_done done, void *ctx);
    void (*drop)(struct plait_store *s, const char *id, plait_store_done done, void *ctx);
    /* How long it lives still; what has lived too long is gone after that (PLAIT_ERR_NOTFOUND). */
    void (*look)(struct plait_store *s, const char *id, plait_store_told told, void *ctx);
    /* The memory of handles goes when the loop has been drained: then `free_memory`. */
    void (*close)(struct plait_store *s);
    void (*free_memory)(struct plait_store *s);
};

struct plait_store {
    const struct plait_store_ops *ops;
    const struct plait_store_events *events;
    void *ctx;
    struct plait_loop *loop;
    bool is_up;
    char error[PLAIT_STORE_ERROR_MAX]; /* the last one, for people */
};

/*
 * `memory`, `sqlite:PATH` or `redis://[:PASSWORD@]HOST[:PORT][/NUMBER]`. Events are told from the first turn of the loop
 * on. Returns owned; or NULL, with words in `error`.
 */
struct plait_store *plait_store_open(const char *where, struct plait_loop *loop,
                                     const struct plait_store_events *events, void *ctx,
                                     char error[PLAIT_STORE_ERROR_MAX]);
/* The kind, for people: never a password. */
const char *plait_store_name(const char *where);

/* The three of them; `rest` is what follows the kind. */
struct plait_store *plait_store_memory_open(struct plait_loop *loop, char error[PLAIT_STORE_ERROR_MAX]);
struct plait_store *plait_store_sqlite_open(const char *rest, struct plait_loop *loop,
                                            char error[PLAIT_STORE_ERROR_MAX]);
struct plait_store *plait_store_redis_open(const char *rest, struct plait_loop *loop,
                                           char error[PLAIT_STORE_ERROR_MAX]);

#endif
