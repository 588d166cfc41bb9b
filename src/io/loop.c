#include "loop.h"

#include <assert.h>
#include <string.h>
#include <time.h>

#include "units.h"

int plait_loop_init(struct plait_loop *loop)
{
    memset(loop, 0, sizeof *loop);
    if (uv_loop_init(&loop->uv) != 0)
        return PLAIT_ERR_IO;
    uv_idle_init(&loop->uv, &loop->again);
    loop->again.data = loop;
    loop->now = uv_hrtime();
    return PLAIT_OK;
}

void plait_loop_run(struct plait_loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void plait_loop_stop(struct plait_loop *loop)
{
    uv_stop(&loop->uv);
}

void plait_loop_drain(struct plait_loop *loop)
{
    loop->after = NULL;
    while (uv_run(&loop->uv, UV_RUN_DEFAULT) != 0)
        ;
}

void plait_loop_done(struct plait_loop *loop)
{
    uv_close((uv_handle_t *)&loop->again, NULL);
    uv_run(&loop->uv, UV_RUN_NOWAIT);
    int left = uv_loop_close(&loop->uv);

    assert(left == 0);
    (void)left;
}

int64_t plait_unix_s(void)
{
    return (int64_t)time(NULL);
}

void plait_loop_touch(struct plait_loop *loop)
{
    loop->now = uv_hrtime();
}

void plait_loop_enter(struct plait_loop *loop)
{
    if (loop->depth++ == 0)
        loop->now = uv_hrtime();
}

void plait_loop_leave(struct plait_loop *loop)
{
    if (loop->depth == 1 && loop->after != NULL)
        loop->after(loop->after_ctx);
    loop->depth--;
}

void plait_timer_init(struct plait_timer *t, struct plait_loop *loop, void (*fn)(void *ctx), void *ctx)
{
    uv_timer_init(&loop->uv, &t->uv);
    t->uv.data = t;
    t->loop = loop;
    t->fn = fn;
    t->ctx = ctx;
    t->at = PLAIT_NEVER;
    t->is_soon = false;
}

static void on_timer(uv_timer_t *uv)
{
    struct plait_timer *t = uv->data;
    struct plait_loop *loop = t->loop;

    t->at = PLAIT_NEVER;
    loop->in_timer = true;
    plait_loop_enter(loop);
    t->fn(t->ctx);
    plait_loop_leave(loop);
    loop->in_timer = false;
}

/* Timers that are set to fire at once by timers: libuv would call them without end, with its clock standing still. */
static void on_again(uv_idle_t *uv)
{
    struct plait_loop *loop = uv->data;

    while (loop->soon != NULL) {
        struct plait_timer *t = loop->soon;
        loop->soon = t->next;
        t->is_soon = false;
        uv_timer_start(&t->uv, on_timer, 0, 0);
    }
    uv_idle_stop(uv);
}

static void set_soon(struct plait_timer *t)
{
    struct plait_timer **end = &t->loop->soon;

    while (*end != NULL)
        end = &(*end)->next;
    *end = t;
    t->next = NULL;
    t->is_soon = true;
    uv_timer_stop(&t->uv);
    uv_idle_start(&t->loop->again, on_again);
}

static void unset_soon(struct plait_timer *t)
{
    struct plait_timer **at = &t->loop->soon;

    if (!t->is_soon)
        return;
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    t->is_soon = false;
    if (t->loop->soon == NULL)
        uv_idle_stop(&t->loop->again);
}

void plait_timer_set(struct plait_timer *t, uint64_t at)
{
    if (at == t->at || uv_is_closing((uv_handle_t *)&t->uv))
        return;
    t->at = at;
    unset_soon(t);
    if (at == PLAIT_NEVER)
        uv_timer_stop(&t->uv);
    else if (at <= t->loop->now && t->loop->in_timer)
        set_soon(t);
    else if (at <= t->loop->now)
        uv_timer_start(&t->uv, on_timer, 0, 0);
    else
        uv_timer_start(&t->uv, on_timer, plait_since(at / PLAIT_MS + 1, uv_now(&t->loop->uv)), 0);
}

void plait_timer_close(struct plait_timer *t)
{
    unset_soon(t);
    if (!uv_is_closing((uv_handle_t *)&t->uv))
        uv_close((uv_handle_t *)&t->uv, NULL);
}

static void on_signal(uv_signal_t *uv, int signum)
{
    struct plait_signal *s = uv->data;

    plait_loop_enter(s->loop);
    s->fn(s->ctx, signum);
    plait_loop_leave(s->loop);
}

int plait_signal_init(struct plait_signal *s, struct plait_loop *loop, int signum,
                      void (*fn)(void *ctx, int signum), void *ctx)
{
    if (uv_signal_init(&loop->uv, &s->uv) != 0)
        return PLAIT_ERR_IO;
    s->uv.data = s;
    s->loop = loop;
    s->fn = fn;
    s->ctx = ctx;
    if (uv_signal_start(&s->uv, on_signal, signum) == 0)
        return PLAIT_OK;
    plait_signal_close(s);
    return PLAIT_ERR_IO;
}

void plait_signal_close(struct plait_signal *s)
{
    if (!uv_is_closing((uv_handle_t *)&s->uv))
        uv_close((uv_handle_t *)&s->uv, NULL);
}

static void on_readable(uv_poll_t *uv, int status, int events)
{
    struct plait_watch *w = uv->data;

    (void)status;
    (void)events;
    plait_loop_enter(w->loop);
    w->fn(w->ctx);
    plait_loop_leave(w->loop);
}

int plait_watch_init(struct plait_watch *w, struct plait_loop *loop, int fd, void (*fn)(void *ctx), void *ctx)
{
    if (uv_poll_init(&loop->uv, &w->uv, fd) != 0)
        return PLAIT_ERR_IO;
    w->uv.data = w;
    w->loop = loop;
    w->fn = fn;
    w->ctx = ctx;
    if (uv_poll_start(&w->uv, UV_READABLE, on_readable) == 0)
        return PLAIT_OK;
    plait_watch_close(w);
    return PLAIT_ERR_IO;
}

void plait_watch_pause(struct plait_watch *w)
{
    uv_poll_stop(&w->uv);
}

int plait_watch_resume(struct plait_watch *w)
{
    return uv_poll_start(&w->uv, UV_READABLE, on_readable) == 0 ? PLAIT_OK : PLAIT_ERR_IO;
}

void plait_watch_close(struct plait_watch *w)
{
    if (!uv_is_closing((uv_handle_t *)&w->uv))
        uv_close((uv_handle_t *)&w->uv, NULL);
}

void plait_work_init(struct plait_work *w, struct plait_loop *loop, void (*run)(void *ctx),
                     void (*done)(void *ctx), void *ctx)
{
    memset(w, 0, sizeof *w);
    w->uv.data = w;
    w->loop = loop;
    w->run = run;
    w->done = done;
    w->ctx = ctx;
}

static void run_work(uv_work_t *uv)
{
    struct plait_work *w = uv->data;

    w->run(w->ctx);
}

static void end_work(uv_work_t *uv, int status)
{
    struct plait_work *w = uv->data;

    (void)status; /* nobody cancels */
    w->busy = false;
    plait_loop_enter(w->loop);
    w->done(w->ctx);
    plait_loop_leave(w->loop);
}

void plait_work_start(struct plait_work *w)
{
    int err;

    assert(!w->busy);
    w->busy = true;
    err = uv_queue_work(&w->loop->uv, &w->uv, run_work, end_work);
    assert(err == 0); /* refuses only a missing function */
    (void)err;
}
