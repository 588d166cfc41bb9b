#include "alarm.h"

#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "units.h"

static void on_alarm(void *ctx)
{
    struct plait_alarm *a = ctx;
    uint64_t times;

    if (read(a->fd, &times, sizeof times) != (ssize_t)sizeof times)
        return;
    a->armed = PLAIT_NEVER;
    a->fn(a->ctx);
}

int plait_alarm_init(struct plait_alarm *a, struct plait_loop *loop, void (*fn)(void *ctx), void *ctx)
{
    a->armed = PLAIT_NEVER;
    a->fn = fn;
    a->ctx = ctx;
    a->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (a->fd < 0)
        return PLAIT_ERR_IO;
    if (plait_watch_init(&a->watch, loop, a->fd, on_alarm, a) == PLAIT_OK)
        return PLAIT_OK;
    close(a->fd);
    a->fd = -1;
    return PLAIT_ERR_IO;
}

void plait_alarm_set(struct plait_alarm *a, uint64_t at)
{
    if (at >= a->armed)
        return;
    struct itimerspec spec = {
        .it_value = {.tv_sec = (time_t)(at / PLAIT_S), .tv_nsec = (long)(at % PLAIT_S)}};
    if (at == 0)
        spec.it_value.tv_nsec = 1; /* zero would mean never */
    if (timerfd_settime(a->fd, TFD_TIMER_ABSTIME, &spec, NULL) == 0)
        a->armed = at;
}

void plait_alarm_close(struct plait_alarm *a)
{
    if (a->fd < 0)
        return;
    plait_watch_close(&a->watch);
    close(a->fd);
    a->fd = -1;
}
