#include "http_impl.h"

#include <assert.h>
#include <stdlib.h>

#include "units.h"

/*
 * Curl reads a connection until there is nothing more, up to a hundred times its buffer. What comes faster
 * than that would keep everybody else waiting, so a lane is held after so many bytes and goes on after the
 * others' turn.
 */
#define TAKE_MAX ((size_t)(8 * PLAIT_MIB))

/* A descriptor that curl wants to be watched. */
struct plait_http_sock {
    uv_poll_t poll;
    struct plait_http *http;
    struct plait_http_sock *next, **link; /* in http->socks */
    int fd;
    int wanted;  /* UV_READABLE | UV_WRITABLE, by curl */
    int watched; /* what the loop has been told */
};

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct plait_http_sock *sock)
{
    if (sock->wanted == sock->watched)
        return;
    sock->watched = sock->wanted;
    if (sock->wanted == 0)
        uv_poll_stop(&sock->poll);
    else
        uv_poll_start(&sock->poll, sock->wanted, on_poll);
}

static void watch_all(struct plait_http *h)
{
    for (struct plait_http_sock *sock = h->socks; sock != NULL; sock = sock->next)
        watch(sock);
}

/* Curl's finished transfers. */
static void reap(struct plait_http *h)
{
    struct plait_http_lane *lane;
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(h->multi, &left)) != NULL) {
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&lane);
        plait_http_lane_finish(lane, code);
    }
}

static void act(struct plait_http *h, curl_socket_t fd, int flags)
{
    int running;

    h->taken = 0;
    curl_multi_socket_action(h->multi, fd, flags, &running);
    reap(h);
    if (h->taken >= TAKE_MAX && !h->throttled)
        plait_timer_set(&h->refill, h->config.loop->now);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct plait_http_sock *sock = poll->data;
    struct plait_http *h = sock->http;
    int flags = 0;

    if (status < 0) {
        flags = CURL_CSELECT_ERR; /* the loop has stopped watching by itself */
        sock->watched = 0;
    }
    if ((events & UV_READABLE) != 0)
        flags |= CURL_CSELECT_IN;
    if ((events & UV_WRITABLE) != 0)
        flags |= CURL_CSELECT_OUT;
    plait_loop_enter(h->config.loop);
    act(h, sock->fd, flags);
    if (status < 0)
        watch_all(h); /* `sock` may be gone; if not, curl still wants it */
    plait_loop_leave(h->config.loop);
}

static void on_sock_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void drop_sock(struct plait_http_sock *sock)
{
    *sock->link = sock->next;
    if (sock->next != NULL)
        sock->next->link = sock->link;
    uv_close((uv_handle_t *)&sock->poll, on_sock_closed);
}

static struct plait_http_sock *new_sock(struct plait_http *h, int fd)
{
    struct plait_http_sock *sock = calloc(1, sizeof *sock);

    if (sock == NULL)
        return NULL;
    if (uv_poll_init(&h->config.loop->uv, &sock->poll, fd) != 0) {
        free(sock);
        return NULL;
    }
    sock->poll.data = sock;
    sock->http = h;
    sock->fd = fd;
    sock->next = h->socks;
    sock->link = &h->socks;
    if (h->socks != NULL)
        h->socks->link = &sock->next;
    h->socks = sock;
    return sock;
}

bool plait_http_must_hold(const struct plait_http *h)
{
    return h->throttled || h->taken >= TAKE_MAX;
}

void plait_http_list(struct plait_http_lane *lane)
{
    struct plait_http *h = lane->http;

    lane->next = NULL;
    lane->link = h->lanes_end;
    *h->lanes_end = lane;
    h->lanes_end = &lane->next;
    h->lane_count++;
}

void plait_http_unlist(struct plait_http_lane *lane)
{
    struct plait_http *h = lane->http;

    *lane->link = lane->next;
    if (lane->next != NULL)
        lane->next->link = lane->link;
    else
        h->lanes_end = lane->link;
    h->lane_count--;
}

/* Curl: what to watch from now on. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *userp, void *socketp)
{
    struct plait_http *h = userp;
    struct plait_http_sock *sock = socketp;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (sock != NULL)
            drop_sock(sock);
        return 0;
    }
    if (sock == NULL) {
        sock = new_sock(h, fd);
        if (sock == NULL)
            return -1;
        curl_multi_assign(h->multi, fd, sock);
    }
    sock->wanted =
        ((what & CURL_POLL_IN) != 0 ? UV_READABLE : 0) | ((what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0);
    watch(sock);
    return 0;
}

/*
 * Curl closes the losers of a race between addresses without a word, and the kernel then forgets that they
 * were watched. When the number comes back for another socket of the same transfer, curl sees no difference
 * and says nothing either: so the loop has to be told anew.
 */
void plait_http_forget_fd(struct plait_http *h, int fd)
{
    for (struct plait_http_sock *sock = h->socks; sock != NULL; sock = sock->next) {
        if (sock->fd != fd)
            continue;
        uv_poll_stop(&sock->poll);
        sock->watched = 0;
        watch(sock);
    }
}

static void on_timer(void *ctx)
{
    act(ctx, CURL_SOCKET_TIMEOUT, 0);
}

static int on_timeout_wanted(CURLM *multi, long timeout_ms, void *userp)
{
    struct plait_http *h = userp;

    (void)multi;
    plait_timer_set(&h->timer,
                    timeout_ms < 0 ? PLAIT_NEVER : h->config.loop->now + (uint64_t)timeout_ms * PLAIT_MS);
    return 0;
}

/* The lanes that were held go on, until the credit is used up again; those that had their turn go to the end.
 */
static void release_lanes(struct plait_http *h)
{
    bool again = false;

    for (size_t left = h->lane_count; left > 0 && !h->throttled; left--) {
        struct plait_http_lane *lane = h->lanes;
        plait_http_unlist(lane);
        plait_http_list(lane);
        if (!lane->held)
            continue;
        lane->held = false;
        h->taken = 0;
        plait_http_lane_resume(lane);
        again |= lane->held;
    }
    if (again && !h->throttled)
        plait_timer_set(&h->refill, h->config.loop->now);
}

static void on_refill(void *ctx)
{
    struct plait_http *h = ctx;

    if (h->throttled && plait_bucket_is_empty(&h->bucket, h->config.loop->now)) {
        plait_timer_set(&h->refill, plait_bucket_ready_at(&h->bucket));
        return;
    }
    h->throttled = false;
    release_lanes(h);
}

void plait_http_count(struct plait_http *h, size_t bytes)
{
    uint64_t now = h->config.loop->now;

    h->taken += bytes;
    if (h->config.rate <= 0)
        return;
    plait_bucket_take(&h->bucket, now, (double)bytes);
    if (h->throttled || !plait_bucket_is_empty(&h->bucket, now))
        return;
    h->throttled = true;
    plait_timer_set(&h->refill, plait_bucket_ready_at(&h->bucket));
}

static void set_up_multi(struct plait_http *h)
{
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_timeout_wanted);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
    curl_multi_setopt(h->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    /* Of each lane's own cache: one connection where redirects lead, one where they start. */
    curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, 2L);
}

/* With a limit, small reads: the connections should feel it as a steady trickle, not as bursts and silence.
 */
static size_t buffer_for(double rate)
{
    if (rate <= 0)
        return 512 * PLAIT_KIB;
    return (size_t)plait_clamp_u64((uint64_t)(rate / 20), PLAIT_KIB, 64 * PLAIT_KIB);
}

struct plait_http *plait_http_new(const struct plait_http_config *config)
{
    struct plait_http *h = calloc(1, sizeof *h);

    if (h == NULL)
        return NULL;
    curl_global_init(CURL_GLOBAL_DEFAULT); /* again and again is fine, and it is never undone */
    h->config = *config;
    h->lanes_end = &h->lanes;
    if (h->config.buffer_bytes == 0)
        h->config.buffer_bytes = buffer_for(config->rate);
    h->multi = curl_multi_init();
    if (h->multi == NULL) {
        free(h);
        return NULL;
    }
    plait_timer_init(&h->timer, config->loop, on_timer, h);
    plait_timer_init(&h->refill, config->loop, on_refill, h);
    if (config->rate > 0)
        plait_bucket_init(&h->bucket, config->rate, config->rate / 2, config->loop->now);
    set_up_multi(h);
    return h;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct plait_timer *timer = handle->data;

    free(timer->ctx);
}

static void on_refill_closed(uv_handle_t *handle)
{
    struct plait_timer *refill = handle->data;
    struct plait_http *h = refill->ctx;

    uv_close((uv_handle_t *)&h->timer.uv, on_timer_closed);
}

void plait_http_free(struct plait_http *h)
{
    if (h == NULL)
        return;
    curl_multi_cleanup(h->multi);
    while (h->socks != NULL)
        drop_sock(h->socks);
    uv_timer_stop(&h->timer.uv);
    uv_close((uv_handle_t *)&h->refill.uv, on_refill_closed);
}
