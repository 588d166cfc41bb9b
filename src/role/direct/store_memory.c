/* Nothing that would outlive the director: documents are in its catalog anyhow, so that only keys are kept here. */
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "store.h"
#include "units.h"

#define KEYS_MAX 262144u

struct key {
    STAILQ_ENTRY(key) list;
    uint64_t until;
    char text[PLAIT_STORE_KEY_MAX + 1];
};

struct memory {
    struct plait_store store;
    struct plait_timer start;
    void *keys;                          /* tree of struct key */
    STAILQ_HEAD(key_list, key) in_order; /* of their coming, which is that of their going: all live as long */
    size_t count;
};

static int compare_keys(const void *a, const void *b)
{
    return strcmp(((const struct key *)a)->text, ((const struct key *)b)->text);
}

static void forget_old(struct memory *m, bool all)
{
    struct key *first;

    while ((first = STAILQ_FIRST(&m->in_order)) != NULL && (all || first->until <= m->store.loop->now)) {
        STAILQ_REMOVE_HEAD(&m->in_order, list);
        tdelete(first, &m->keys, compare_keys);
        free(first);
        m->count--;
    }
}

static int remember(struct memory *m, const char *key, uint64_t ttl_ms)
{
    struct key *k = m->count < KEYS_MAX && strlen(key) <= PLAIT_STORE_KEY_MAX ? calloc(1, sizeof *k) : NULL;
    struct key **node;

    if (k == NULL) {
        snprintf(m->store.error, sizeof m->store.error, "no memory for more requests");
        return PLAIT_ERR_IO;
    }
    memcpy(k->text, key, strlen(key) + 1);
    k->until = m->store.loop->now + ttl_ms * PLAIT_MS;
    node = tsearch(k, &m->keys, compare_keys);
    if (node == NULL || *node != k) {
        free(k);
        return node == NULL ? PLAIT_ERR_IO : PLAIT_ERR_STATE;
    }
    STAILQ_INSERT_TAIL(&m->in_order, k, list);
    m->count++;
    return PLAIT_OK;
}

static void memory_once(struct plait_store *s, const char *key, uint64_t ttl_ms, plait_store_done done,
                        void *ctx)
{
    struct memory *m = (struct memory *)s;

    forget_old(m, false);
    done(ctx, remember(m, key, ttl_ms));
}

static void memory_put(struct plait_store *s, const char *id, const char *text, size_t len, uint64_t ttl_ms,
                       plait_store_done done, void *ctx)
{
    (void)s, (void)id, (void)text, (void)len, (void)ttl_ms;
    done(ctx, PLAIT_OK);
}

static void memory_touch(struct plait_store *s, const char *id, uint64_t ttl_ms, plait_store_done done,
                         void *ctx)
{
    (void)s, (void)id, (void)ttl_ms;
    done(ctx, PLAIT_OK);
}

static void memory_drop(struct plait_store *s, const char *id, plait_store_done done, void *ctx)
{
    (void)s, (void)id;
    done(ctx, PLAIT_OK);
}

static void memory_look(struct plait_store *s, const char *id, plait_store_told told, void *ctx)
{
    (void)s, (void)id;
    told(ctx, PLAIT_ERR_NOTFOUND, 0);
}

static void memory_close(struct plait_store *s)
{
    plait_timer_close(&((struct memory *)s)->start);
}

static void memory_free(struct plait_store *s)
{
    forget_old((struct memory *)s, true);
    free(s);
}

static void on_start(void *ctx)
{
    struct memory *m = ctx;

    m->store.is_up = true;
    m->store.events->state(m->store.ctx, true);
}

struct plait_store *plait_store_memory_open(struct plait_loop *loop, char error[PLAIT_STORE_ERROR_MAX])
{
    static const struct plait_store_ops ops = {.once = memory_once,
                                               .put = memory_put,
                                               .touch = memory_touch,
                                               .drop = memory_drop,
                                               .look = memory_look,
                                               .close = memory_close,
                                               .free_memory = memory_free};
    struct memory *m = calloc(1, sizeof *m);

    if (m == NULL) {
        snprintf(error, PLAIT_STORE_ERROR_MAX, "out of memory");
        return NULL;
    }
    m->store.ops = &ops;
    m->store.loop = loop;
    STAILQ_INIT(&m->in_order);
    plait_timer_init(&m->start, loop, on_start, m);
    plait_timer_set(&m->start, loop->now);
    return &m->store;
}
