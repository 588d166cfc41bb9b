/*
 * A timer of the loop that fires at the nanosecond (timerfd), for pacing: plait_timer is good for milliseconds.
 */
#ifndef PLAIT_IO_ALARM_H
#define PLAIT_IO_ALARM_H

#include <stdint.h>

#include "err.h"
#include "loop.h"

struct plait_alarm {
    struct plait_watch watch;
    int fd;
    uint64_t armed; /* for when the kernel has it, or PLAIT_NEVER */
    void (*fn)(void *ctx);
    void *ctx;
};

/* PLAIT_ERR_IO (errno). Borrows ctx; the memory has to stay until the loop has been drained. */
PLAIT_MUST_USE int plait_alarm_init(struct plait_alarm *a, struct plait_loop *loop, void (*fn)(void *ctx),
                                    void *ctx);
/*
 * `fn` is called at `at` (CLOCK_MONOTONIC, as loop.now). It may be called earlier as well: whoever puts the
 * alarm off for later need not tell the kernel each time.
 */
void plait_alarm_set(struct plait_alarm *a, uint64_t at);
/* After plait_alarm_init, also where that failed. */
void plait_alarm_close(struct plait_alarm *a);

#endif
