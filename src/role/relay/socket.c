#include "client_int.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct plait_socket *w = poll->data;
    struct plait_client *c = w->client;

    if (c == NULL)
        return;
    struct plait_loop *loop = &c->relay->loop;
    plait_loop_enter(loop);
    if (status < 0)
        w->mask = 0; /* the loop has stopped watching */
    plait_client_event(c, w, status, events);
    plait_loop_leave(loop);
}

static void set_options(int fd)
{
    static const int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

struct plait_socket *plait_socket_new(struct plait_client *c, int fd)
{
    struct plait_socket *w = calloc(1, sizeof *w);

    if (w == NULL || uv_poll_init(&c->relay->loop.uv, &w->poll, fd) != 0) {
        free(w);
        return NULL;
    }
    w->poll.data = w;
    w->client = c;
    w->fd = fd;
    set_options(fd);
    return w;
}

void plait_socket_watch(struct plait_socket *w, int mask)
{
    if (w == NULL || w->mask == mask)
        return;
    w->mask = mask;
    if (mask == 0)
        uv_poll_stop(&w->poll);
    else
        uv_poll_start(&w->poll, mask, on_poll);
}

static void on_watch_closed(uv_handle_t *handle)
{
    free(handle->data);
}

/* Closes the socket; `reset`: so that the other end sees that this was not a proper end. */
void plait_socket_close(struct plait_socket *w, bool reset)
{
    static const struct linger now = {.l_onoff = 1, .l_linger = 0};

    if (w == NULL)
        return;
    w->client = NULL;
    uv_close((uv_handle_t *)&w->poll, on_watch_closed);
    if (reset)
        setsockopt(w->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(w->fd);
}
