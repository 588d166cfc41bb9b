#include "redis_loop.h"

#include <stdlib.h>

/* A connection on the loop. In memory of its own, which goes when libuv has let go of it. */
struct wire {
    uv_poll_t poll;
    redisAsyncContext *context;
    struct plait_loop *loop;
    int mask;
};

static void on_wire(uv_poll_t *poll, int status, int events)
{
    struct wire *w = poll->data;
    struct plait_loop *loop = w->loop;

    plait_loop_enter(loop);
    if (status < 0)
        w->mask = 0; /* the loop has stopped watching; what is wrong shows when it is used */
    if (w->context != NULL && (status < 0 || (events & UV_READABLE) != 0))
        redisAsyncHandleRead(w->context);
    if (w->context != NULL && (status < 0 || (events & UV_WRITABLE) != 0))
        redisAsyncHandleWrite(w->context);
    plait_loop_leave(loop);
}

static void watch(struct wire *w, int mask)
{
    if (mask == w->mask)
        return;
    w->mask = mask;
    if (mask == 0)
        uv_poll_stop(&w->poll);
    else
        uv_poll_start(&w->poll, mask, on_wire);
}

static void add_read(void *ctx)
{
    watch(ctx, ((struct wire *)ctx)->mask | UV_READABLE);
}

static void del_read(void *ctx)
{
    watch(ctx, ((struct wire *)ctx)->mask & ~UV_READABLE);
}

static void add_write(void *ctx)
{
    watch(ctx, ((struct wire *)ctx)->mask | UV_WRITABLE);
}

static void del_write(void *ctx)
{
    watch(ctx, ((struct wire *)ctx)->mask & ~UV_WRITABLE);
}

static void free_wire(uv_handle_t *handle)
{
    free(handle->data);
}

static void cleanup(void *ctx)
{
    struct wire *w = ctx;

    w->context = NULL;
    uv_close((uv_handle_t *)&w->poll, free_wire);
}

int plait_redis_attach(struct plait_loop *loop, redisAsyncContext *context)
{
    struct wire *w = calloc(1, sizeof *w);

    if (w == NULL || uv_poll_init(&loop->uv, &w->poll, context->c.fd) != 0) {
        free(w);
        return PLAIT_ERR_IO;
    }
    w->poll.data = w;
    w->loop = loop;
    w->context = context;
    context->ev.data = w;
    context->ev.addRead = add_read;
    context->ev.delRead = del_read;
    context->ev.addWrite = add_write;
    context->ev.delWrite = del_write;
    context->ev.cleanup = cleanup;
    return PLAIT_OK;
}
