#include "accept.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "units.h"

/* In one event, so that signals and deadlines have their turn. */
#define TURN_MAX 64
/* Between two pressing sweeps. */
#define PRESS_NS (100 * PLAIT_MS)

static void open_spare(struct plait_accept *a)
{
    if (a->spare_fd < 0)
        a->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Those who only keep a connection warm make room for others. */
static void press(struct plait_accept *a)
{
    if (plait_since(a->loop->now, a->pressed_at) < PRESS_NS)
        return;
    a->pressed_at = a->loop->now;
    plait_clients_sweep(a->clients, PLAIT_SWEEP_PRESSING, a->loop->now);
}

/* A connection that cannot have a descriptor would be announced again and again: it is taken and ended. */
static void turn_away(struct plait_accept *a, int listening)
{
    const struct timespec breath = {0, (long)(10 * PLAIT_MS)};

    press(a);
    if (a->spare_fd < 0) {
        nanosleep(&breath, NULL);
        open_spare(a);
        return;
    }
    close(a->spare_fd);
    a->spare_fd = -1;
    int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    a->refused++;
    open_spare(a);
}

static void take(struct plait_accept *a, int fd, const struct sockaddr *peer, socklen_t len)
{
    int rc = plait_clients_admit(a->clients, fd, peer, a->loop->now);

    if (rc == PLAIT_OK) {
        if (plait_workers_give(a->workers, fd, peer, len) != PLAIT_OK)
            plait_clients_forget(a->clients, fd);
        return;
    }
    close(fd);
    a->refused++;
    if (rc == PLAIT_ERR_NOMEM)
        press(a);
}

static void on_connection(void *ctx)
{
    struct plait_accept_watch *w = ctx;
    struct plait_accept *a = w->owner;
    struct sockaddr_storage peer;

    for (int i = 0; i < TURN_MAX; i++) {
        socklen_t len = sizeof peer;
        int fd = accept4(w->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            take(a, fd, (struct sockaddr *)&peer, len);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            turn_away(a, w->fd);
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
    }
}

int plait_accept_init(struct plait_accept *a, struct plait_loop *loop, const struct plait_endpoint *endpoints,
                      size_t count, struct plait_clients *clients, struct plait_workers *workers)
{
    assert(count <= PLAIT_ACCEPT_MAX);
    memset(a, 0, sizeof *a);
    a->loop = loop;
    a->clients = clients;
    a->workers = workers;
    a->spare_fd = -1;
    open_spare(a);
    for (; a->count < count; a->count++) {
        struct plait_accept_watch *w = &a->watches[a->count];
        w->owner = a;
        w->fd = endpoints[a->count].fd;
        if (plait_watch_init(&w->watch, loop, w->fd, on_connection, w) != PLAIT_OK)
            return PLAIT_ERR_IO;
    }
    return PLAIT_OK;
}

void plait_accept_close(struct plait_accept *a)
{
    while (a->count > 0)
        plait_watch_close(&a->watches[--a->count].watch);
    if (a->spare_fd >= 0)
        close(a->spare_fd);
    a->spare_fd = -1;
}
