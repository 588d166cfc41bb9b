/*
 * The event loop: libuv, with one reading of the clock per event.
 *
 * Whatever happens (a timer, a descriptor, finished work, a signal) is bracketed by plait_loop_enter and
 * plait_loop_leave. The outermost enter reads the clock into `now`, which everybody uses until the matching
 * leave; that leave calls `after` once, where the owner looks at what the event has changed.
 *
 * Handles embed libuv's, so their memory has to stay until plait_loop_drain has returned.
 */
#ifndef PLAIT_IO_LOOP_H
#define PLAIT_IO_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "err.h"

struct plait_loop {
    uv_loop_t uv;
    uint64_t now;             /* ns of CLOCK_MONOTONIC, at the beginning of the present event */
    void (*after)(void *ctx); /* may be NULL */
    void *after_ctx;          /* borrows */
    unsigned depth;
    bool in_timer;            /* timers are being called */
    struct plait_timer *soon; /* set by one of them to fire at once, oldest first */
    uv_idle_t again;          /* they do when everything else has had its turn */
};

PLAIT_MUST_USE int plait_loop_init(struct plait_loop *loop);
/* Runs until plait_loop_stop. */
void plait_loop_run(struct plait_loop *loop);
void plait_loop_stop(struct plait_loop *loop);
/* Runs until every handle has been closed; `after` is not called any more. */
void plait_loop_drain(struct plait_loop *loop);
/* After plait_loop_drain. */
void plait_loop_done(struct plait_loop *loop);

/* The time of day, in seconds since 1970 UTC: for what comes from others as a date, never for measuring. */
int64_t plait_unix_s(void);

/* Something new begins within an event that takes long: reads the clock again. */
void plait_loop_touch(struct plait_loop *loop);
void plait_loop_enter(struct plait_loop *loop);
void plait_loop_leave(struct plait_loop *loop);

/* A timer that fires once. */
struct plait_timer {
    uv_timer_t uv;
    struct plait_loop *loop; /* borrows */
    void (*fn)(void *ctx);
    void *ctx;
    uint64_t at; /* when it fires, ns, or PLAIT_NEVER */
    bool is_soon;
    struct plait_timer *next; /* in loop->soon */
};

void plait_timer_init(struct plait_timer *t, struct plait_loop *loop, void (*fn)(void *ctx), void *ctx);
/* At that time or up to a few milliseconds later, never before; PLAIT_NEVER stops it. One that sets itself anew and anew to
 * fire at once lets everything else have its turn between. */
void plait_timer_set(struct plait_timer *t, uint64_t at);
void plait_timer_close(struct plait_timer *t);

/* A signal of the process, told on the loop. */
struct plait_signal {
    uv_signal_t uv;
    struct plait_loop *loop; /* borrows */
    void (*fn)(void *ctx, int signum);
    void *ctx;
};

PLAIT_MUST_USE int plait_signal_init(struct plait_signal *s, struct plait_loop *loop, int signum,
                                     void (*fn)(void *ctx, int signum), void *ctx);
void plait_signal_close(struct plait_signal *s);

/* A descriptor of somebody else, watched for being readable. */
struct plait_watch {
    uv_poll_t uv;
    struct plait_loop *loop; /* borrows */
    void (*fn)(void *ctx);
    void *ctx;
};

PLAIT_MUST_USE int plait_watch_init(struct plait_watch *w, struct plait_loop *loop, int fd,
                                    void (*fn)(void *ctx), void *ctx);
/* Looks away, or looks again. */
void plait_watch_pause(struct plait_watch *w);
PLAIT_MUST_USE int plait_watch_resume(struct plait_watch *w);
void plait_watch_close(struct plait_watch *w);

/* Work for the threads beside the loop: `run` there, then `done` on the loop. One at a time for each struct.
 */
struct plait_work {
    uv_work_t uv;
    struct plait_loop *loop; /* borrows */
    void (*run)(void *ctx);
    void (*done)(void *ctx);
    void *ctx;
    bool busy;
};

void plait_work_init(struct plait_work *w, struct plait_loop *loop, void (*run)(void *ctx),
                     void (*done)(void *ctx), void *ctx);
void plait_work_start(struct plait_work *w);

#endif
