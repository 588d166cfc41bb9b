/*
 * Theory of operation. A client goes through these states, and may be closed in each:
 *
 *     HEAD     its request is being read
 *     CHECK    its password is being checked
 *     RESOLVE  the name of its destination is being resolved
 *     CONNECT  one address after the other is being tried
 *     TUNNEL   two pumps carry bytes, until both directions have ended or one is broken
 *     BYE      an answer that is not a tunnel is being sent; then what the client still sends is drained, so
 * that the kernel does not take the answer back with a reset
 *
 * Each state has a deadline, at which the relay looks twice a second. A tunnel that breaks on one side is
 * reset on the other: an end of the data that is none must not look like one.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "iface.h"
#include "relay_int.h"
#include "units.h"

#define HEAD_NS       (10 * PLAIT_S)
#define CHECK_NS      (60 * PLAIT_S)
#define BYE_NS        (5 * PLAIT_S)
#define ATTEMPT_NS    (1 * PLAIT_S) /* an address has at least so long to answer */
#define ADDRESSES_MAX 16
#define RESOLVING_MAX 512u
#define BUDGET        (512 * 1024) /* bytes in one turn of the loop */
#define BYE_DRAIN_MAX (256 * 1024)

static const char established[] = "HTTP/1.1 200 Connection established\r\n\r\n";

enum state { HEAD, CHECK, RESOLVE, CONNECT, TUNNEL, BYE };

/* A socket on the loop. In memory of its own, which goes when libuv has let go of it. */
struct watch {
    uv_poll_t poll;
    struct plait_client *client; /* NULL: closed */
    int fd;
    int mask; /* what the loop watches for */
};

struct plait_client {
    struct plait_relay *relay;
    struct plait_client *next, **link; /* in relay->clients */
    TAILQ_ENTRY(plait_client) silent;  /* in state HEAD */
    struct plait_client *next_paused;
    bool is_silent;
    bool is_paused;
    bool is_closed; /* waits for the resolver to come back */
    enum state state;
    struct sockaddr_storage peer;
    struct watch *near, *far;
    uint64_t started, deadline;
    char *head; /* what the client sent, up to the head's end and beyond */
    size_t head_len;
    struct plait_ask ask;
    char user[PLAIT_ASK_USER_MAX + 1]; /* who has shown to be */
    struct plait_access_check *check;
    uv_getaddrinfo_t resolver;
    bool is_resolving;
    struct plait_address addresses[ADDRESSES_MAX];
    size_t address_count, address_at;
    uint64_t connect_by;
    bool timed_out; /* the last address that was tried did not answer */
    struct plait_pump up, down;
    char *reply; /* BYE */
    size_t reply_len, reply_sent, drained;
    int status;
};

static void on_poll(uv_poll_t *poll, int status, int events);

/* Watches. */

static struct watch *watch_new(struct plait_client *c, int fd)
{
    struct watch *w = calloc(1, sizeof *w);

    if (w == NULL || uv_poll_init(&c->relay->loop.uv, &w->poll, fd) != 0) {
        free(w);
        return NULL;
    }
    w->poll.data = w;
    w->client = c;
    w->fd = fd;
    return w;
}

static void watch_set(struct watch *w, int mask)
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
static void watch_close(struct watch *w, bool reset)
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

/* The end of a client. */

static void write_log(struct plait_client *c, const char *end)
{
    char target[PLAIT_ALLOW_TEXT_MAX + 64] = "", address[INET6_ADDRSTRLEN] = "", host[INET6_ADDRSTRLEN];
    bool v4 = plait_address_is_v4(&c->ask.address);

    if (c->ask.name[0] != '\0') {
        snprintf(target, sizeof target, "%s:%u", c->ask.name, c->ask.port);
    } else if (c->ask.port != 0) {
        inet_ntop(v4 ? AF_INET : AF_INET6, c->ask.address.bytes + (v4 ? 12 : 0), host, sizeof host);
        snprintf(target, sizeof target, v4 ? "%s:%u" : "[%s]:%u", host, c->ask.port);
    }
    if (c->far != NULL && c->address_at < c->address_count) {
        v4 = plait_address_is_v4(&c->addresses[c->address_at]);
        inet_ntop(v4 ? AF_INET : AF_INET6, c->addresses[c->address_at].bytes + (v4 ? 12 : 0), address,
                  sizeof address);
    }
    struct plait_log_entry entry = {.peer = &c->peer,
                                    .user = c->user,
                                    .target = target,
                                    .address = address,
                                    .status = c->status,
                                    .up = c->up.carried,
                                    .down = plait_since(c->down.carried, sizeof established - 1),
                                    .seconds = plait_to_s(plait_since(c->relay->loop.now, c->started)),
                                    .end = end};
    plait_log_write(c->relay, &entry);
}

static void unpause(struct plait_client *c)
{
    struct plait_client **at = &c->relay->paused;

    if (!c->is_paused)
        return;
    while (*at != c)
        at = &(*at)->next_paused;
    *at = c->next_paused;
    if (c->relay->last_paused == &c->next_paused)
        c->relay->last_paused = at;
    c->is_paused = false;
}

static void free_client(struct plait_client *c)
{
    free(c->head);
    free(c->reply);
    free(c);
}

/* HEAD is over, one way or the other. */
static void leave_silence(struct plait_client *c)
{
    if (c->is_silent)
        TAILQ_REMOVE(&c->relay->silent, c, silent);
    c->is_silent = false;
}

static void close_client(struct plait_client *c, const char *end, bool reset)
{
    struct plait_relay *relay = c->relay;

    write_log(c, end);
    unpause(c);
    leave_silence(c);
    plait_pump_done(&c->up);
    plait_pump_done(&c->down);
    watch_close(c->near, reset);
    watch_close(c->far, reset);
    c->near = c->far = NULL;
    if (c->check != NULL)
        plait_access_cancel(c->check);
    c->check = NULL;
    *c->link = c->next;
    if (c->next != NULL)
        c->next->link = c->link;
    plait_listener_forget(relay->listener, &c->peer);
    c->is_closed = true;
    if (c->is_resolving)
        uv_cancel((uv_req_t *)&c->resolver);
    else
        free_client(c);
    plait_relay_client_gone(relay);
}

/* BYE. */

static void say_bye(struct plait_client *c)
{
    while (c->reply_sent < c->reply_len) {
        ssize_t n = send(c->near->fd, c->reply + c->reply_sent, c->reply_len - c->reply_sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            watch_set(c->near, UV_WRITABLE);
            return;
        }
        if (n < 0) {
            close_client(c, "broken", true);
            return;
        }
        c->reply_sent += (size_t)n;
    }
    shutdown(c->near->fd, SHUT_WR);
    watch_set(c->near, UV_READABLE);
}

static void drain_bye(struct plait_client *c)
{
    char scratch[4096];
    ssize_t n;

    while ((n = recv(c->near->fd, scratch, sizeof scratch, 0)) > 0)
        if ((c->drained += (size_t)n) > BYE_DRAIN_MAX)
            break;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    close_client(c, "answered", n != 0);
}

/* Answers with something that is not a tunnel. `extra` are whole lines of the head. */
static void answer(struct plait_client *c, int status, const char *reason, const char *extra,
                   const char *type, const char *body)
{
    size_t size = strlen(body) + strlen(extra) + 512;

    c->state = BYE;
    c->status = status;
    c->deadline = c->relay->loop.now + BYE_NS;
    watch_close(c->far, true);
    c->far = NULL;
    c->reply = malloc(size);
    if (c->reply == NULL) {
        close_client(c, "out of memory", true);
        return;
    }
    int len =
        snprintf(c->reply, size,
                 "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n"
                 "Connection: close\r\n%s\r\n%s",
                 status, reason, type, strlen(body), extra, c->ask.is_head ? "" : body);
    c->reply_len = (size_t)len;
    say_bye(c);
}

static void refuse(struct plait_client *c, int status, const char *reason, const char *words)
{
    answer(c, status, reason, "", "text/plain; charset=utf-8", words);
}

void plait_client_refuse(int fd)
{
    static const char text[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n"
                               "Connection: close\r\n\r\n";

    (void)!send(fd, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* TUNNEL. */

/* What a pump waits for at its near end, and at its far one. */
static bool reads(const struct plait_pump *p)
{
    return p->state == PLAIT_PUMP_READ || (p->state == PLAIT_PUMP_MORE && p->held == 0 && p->early_len == 0);
}

static bool writes(const struct plait_pump *p)
{
    return p->state == PLAIT_PUMP_WRITE || (p->state == PLAIT_PUMP_MORE && !reads(p));
}

static void watch_tunnel(struct plait_client *c)
{
    int near = (reads(&c->up) ? UV_READABLE : 0) | (writes(&c->down) ? UV_WRITABLE : 0);
    int far = (reads(&c->down) ? UV_READABLE : 0) | (writes(&c->up) ? UV_WRITABLE : 0);

    watch_set(c->near, c->is_paused ? 0 : near);
    watch_set(c->far, c->is_paused ? 0 : far);
}

static void pause_client(struct plait_client *c)
{
    struct plait_relay *relay = c->relay;

    c->is_paused = true;
    c->next_paused = NULL;
    *relay->last_paused = c;
    relay->last_paused = &c->next_paused;
    plait_timer_set(&relay->refill, plait_bucket_ready_at(&relay->bucket));
}

/* Runs one or both pumps, and closes the tunnel where it has ended. */
static void run_tunnel(struct plait_client *c, bool up, bool down)
{
    struct plait_relay *relay = c->relay;
    uint64_t before = c->up.carried + c->down.carried;
    size_t budget = BUDGET;

    if (relay->options->rate > 0)
        budget = (size_t)plait_clamp_u64((uint64_t)(relay->options->rate / 50), 4096, BUDGET);
    if ((up && plait_pump_run(&c->up, budget) == PLAIT_PUMP_BROKEN) ||
        (down && plait_pump_run(&c->down, budget) == PLAIT_PUMP_BROKEN)) {
        close_client(c, "broken", true);
        return;
    }
    if (c->up.early_len == 0) {
        free(c->head);
        c->head = NULL;
    }
    uint64_t moved = c->up.carried + c->down.carried - before;
    if (moved > 0)
        c->deadline = relay->loop.now + relay->options->idle_s * PLAIT_S;
    if (c->up.state == PLAIT_PUMP_END && c->down.state == PLAIT_PUMP_END) {
        close_client(c, "closed", false);
        return;
    }
    if (relay->options->rate > 0) {
        plait_bucket_take(&relay->bucket, relay->loop.now, (double)moved);
        if (!c->is_paused && plait_bucket_is_empty(&relay->bucket, relay->loop.now))
            pause_client(c);
    }
    watch_tunnel(c);
}

void plait_clients_refill(struct plait_relay *relay)
{
    while (relay->paused != NULL && !plait_bucket_is_empty(&relay->bucket, relay->loop.now)) {
        struct plait_client *c = relay->paused;
        unpause(c);
        run_tunnel(c, true, true);
    }
    if (relay->paused != NULL)
        plait_timer_set(&relay->refill, plait_bucket_ready_at(&relay->bucket));
}

static void set_options(int fd)
{
    static const int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

static void begin_tunnel(struct plait_client *c, size_t head_len)
{
    struct plait_pipes *pipes = &c->relay->pipes;

    c->state = TUNNEL;
    c->status = 200;
    c->deadline = c->relay->loop.now + c->relay->options->idle_s * PLAIT_S;
    plait_pump_init(&c->up, pipes, c->near->fd, c->far->fd, c->head + head_len, c->head_len - head_len);
    plait_pump_init(&c->down, pipes, c->far->fd, c->near->fd, established, sizeof established - 1);
    run_tunnel(c, true, true);
}

/* CONNECT. */

static socklen_t socket_address(const struct plait_address *a, uint16_t port, struct sockaddr_storage *out)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

    memset(out, 0, sizeof *out);
    if (plait_address_is_v4(a)) {
        memcpy(&v4.sin_addr, a->bytes + 12, 4);
        memcpy(out, &v4, sizeof v4);
        return sizeof v4;
    }
    memcpy(&v6.sin6_addr, a->bytes, 16);
    memcpy(out, &v6, sizeof v6);
    return sizeof v6;
}

static bool start_connecting(struct plait_client *c, const struct plait_address *a)
{
    struct sockaddr_storage address;
    socklen_t len = socket_address(a, c->ask.port, &address);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return false;
    if (connect(fd, (struct sockaddr *)&address, len) != 0 && errno != EINPROGRESS) {
        close(fd);
        return false;
    }
    c->far = watch_new(c, fd);
    if (c->far == NULL) {
        close(fd);
        return false;
    }
    set_options(fd);
    watch_set(c->far, UV_WRITABLE);
    return true;
}

/* Tries the addresses from address_at on; answers where none is left. */
static void connect_next(struct plait_client *c)
{
    uint64_t now = c->relay->loop.now;

    for (; c->address_at < c->address_count && now < c->connect_by; c->address_at++) {
        if (!start_connecting(c, &c->addresses[c->address_at]))
            continue;
        uint64_t share = (c->connect_by - now) / (c->address_count - c->address_at);
        c->deadline = plait_min_u64(c->connect_by, now + plait_max_u64(share, ATTEMPT_NS));
        return;
    }
    if (c->timed_out)
        refuse(c, 504, "Gateway Timeout", "The destination does not answer.\n");
    else
        refuse(c, 502, "Bad Gateway", "The destination cannot be reached.\n");
}

static void give_up_address(struct plait_client *c, bool timed_out)
{
    watch_close(c->far, true);
    c->far = NULL;
    c->timed_out = timed_out;
    c->address_at++;
    connect_next(c);
}

static void on_connected(struct plait_client *c)
{
    int err = 0;
    socklen_t len = sizeof err;
    size_t used = 0;
    struct plait_ask again;

    if (getsockopt(c->far->fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0 || err != 0) {
        give_up_address(c, err == ETIMEDOUT);
        return;
    }
    /* What follows the head belongs to the destination. */
    if (plait_ask_parse(c->head, c->head_len, &again, &used) == PLAIT_OK)
        begin_tunnel(c, used);
    else
        close_client(c, "broken", true);
}

/* RESOLVE. */

static bool is_own(const struct plait_address *a)
{
    struct sockaddr_storage address;
    char name[IF_NAMESIZE];

    if (plait_address_class(a) != PLAIT_ADDRESS_PUBLIC)
        return false; /* others are judged by their class */
    socket_address(a, 0, &address);
    return plait_iface_of_address((struct sockaddr *)&address, name) != PLAIT_ERR_NOTFOUND;
}

/* Keeps the address if the allow-list has it. */
static void consider(struct plait_client *c, const struct plait_address *a)
{
    const char *name = c->ask.name[0] != '\0' ? c->ask.name : NULL;

    for (size_t i = 0; i < c->address_count; i++)
        if (memcmp(&c->addresses[i], a, sizeof *a) == 0)
            return;
    if (c->address_count < ADDRESSES_MAX &&
        plait_allow_address(&c->relay->allow, name, a, c->ask.port, is_own(a)))
        c->addresses[c->address_count++] = *a;
}

static void begin_connect(struct plait_client *c)
{
    /* The same words whether it is no rule or where the name leads: what lies inside is nobody's business. */
    if (c->address_count == 0) {
        refuse(c, 403, "Forbidden", "This relay does not serve that destination.\n");
        return;
    }
    c->state = CONNECT;
    connect_next(c);
}

static void take_addresses(struct plait_client *c, const struct addrinfo *list)
{
    for (; list != NULL; list = list->ai_next) {
        struct plait_address a = {.bytes = {[10] = 0xff, [11] = 0xff}};
        if (list->ai_family == AF_INET)
            memcpy(a.bytes + 12, &((struct sockaddr_in *)(void *)list->ai_addr)->sin_addr, 4);
        else if (list->ai_family == AF_INET6)
            memcpy(a.bytes, &((struct sockaddr_in6 *)(void *)list->ai_addr)->sin6_addr, 16);
        else
            continue;
        consider(c, &a);
    }
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct plait_client *c = request->data;
    struct plait_relay *relay = c->relay;

    plait_loop_enter(&relay->loop);
    relay->resolving--;
    c->is_resolving = false;
    if (c->is_closed) {
        free_client(c);
        plait_relay_client_gone(relay);
    } else if (c->state == BYE) {
        ; /* its time was up */
    } else if (status != 0) {
        refuse(c, 502, "Bad Gateway", "The destination's name cannot be resolved.\n");
    } else {
        take_addresses(c, list);
        begin_connect(c);
    }
    uv_freeaddrinfo(list);
    plait_loop_leave(&relay->loop);
}

static void resolve(struct plait_client *c)
{
    struct plait_relay *relay = c->relay;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

    if (!plait_allow_may_name(&relay->allow, c->ask.name, c->ask.port)) {
        begin_connect(c);
        return;
    }
    c->resolver.data = c;
    if (relay->resolving >= RESOLVING_MAX ||
        uv_getaddrinfo(&relay->loop.uv, &c->resolver, on_resolved, c->ask.name, NULL, &hints) != 0) {
        refuse(c, 503, "Service Unavailable", "Too many names are being resolved.\n");
        return;
    }
    relay->resolving++;
    c->is_resolving = true;
    c->state = RESOLVE;
}

static void reach(struct plait_client *c)
{
    c->connect_by = c->deadline = c->relay->loop.now + c->relay->options->connect_s * PLAIT_S;
    if (c->ask.name[0] != '\0') {
        resolve(c);
        return;
    }
    consider(c, &c->ask.address);
    begin_connect(c);
}

/* HEAD and CHECK. */

static void serve(struct plait_client *c)
{
    if (c->ask.kind == PLAIT_ASK_CONNECT)
        reach(c);
    else if (c->ask.kind == PLAIT_ASK_SELF)
        answer(c, 200, "OK", "", "application/json", c->relay->overview);
    else
        answer(c, 501, "Not Implemented", "Allow: CONNECT\r\n", "text/plain; charset=utf-8",
               "This relay serves CONNECT only.\n");
}

static void ask_credentials(struct plait_client *c)
{
    bool self = c->ask.kind == PLAIT_ASK_SELF;

    answer(c, self ? 401 : 407, self ? "Unauthorized" : "Proxy Authentication Required",
           self ? "WWW-Authenticate: Basic realm=\"plait relay\", charset=\"UTF-8\"\r\n"
                : "Proxy-Authenticate: Basic realm=\"plait relay\", charset=\"UTF-8\"\r\n",
           "text/plain; charset=utf-8", "This relay asks for a user and a password.\n");
}

static void on_checked(void *ctx, bool yes)
{
    struct plait_client *c = ctx;

    c->check = NULL;
    if (yes) {
        serve(c);
        return;
    }
    c->user[0] = '\0';
    ask_credentials(c);
}

static void check_credentials(struct plait_client *c)
{
    struct plait_credentials given;

    if (plait_credentials_parse(c->ask.credentials, &given) != PLAIT_OK) {
        ask_credentials(c);
        return;
    }
    c->state = CHECK;
    c->deadline = c->relay->loop.now + CHECK_NS;
    memcpy(c->user, given.user, sizeof c->user);
    switch (plait_access_judge(c->relay->access, &given, on_checked, c, &c->check)) {
    case PLAIT_ACCESS_YES:
        serve(c);
        break;
    case PLAIT_ACCESS_NO:
        on_checked(c, false);
        break;
    case PLAIT_ACCESS_BUSY:
        c->user[0] = '\0';
        refuse(c, 503, "Service Unavailable", "Too many passwords are being checked.\n");
        break;
    case PLAIT_ACCESS_LATER:
        break;
    }
    explicit_bzero(&given, sizeof given);
}

static void on_head(struct plait_client *c)
{
    size_t used;
    int err = plait_ask_parse(c->head, c->head_len, &c->ask, &used);

    if (err == PLAIT_ERR_TRUNC)
        return;
    leave_silence(c);
    watch_set(c->near, 0);
    if (err == PLAIT_ERR_LIMIT)
        refuse(c, 431, "Request Header Fields Too Large", "The head of the request is too long.\n");
    else if (err != PLAIT_OK)
        refuse(c, 400, "Bad Request", "That is no request that this relay understands.\n");
    else if (c->relay->access != NULL)
        check_credentials(c);
    else
        serve(c);
}

static void read_head(struct plait_client *c)
{
    ssize_t n = recv(c->near->fd, c->head + c->head_len, PLAIT_ASK_HEAD_MAX - c->head_len, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        close_client(c, n == 0 ? "nothing asked" : "broken", false);
        return;
    }
    c->head_len += (size_t)n;
    on_head(c);
}

/* Events. */

static void on_tunnel(struct plait_client *c, bool near, int events)
{
    struct plait_pump *in = near ? &c->up : &c->down, *out = near ? &c->down : &c->up;
    bool run_in = (events & UV_READABLE) != 0 && reads(in),
         run_out = (events & UV_WRITABLE) != 0 && writes(out);

    run_tunnel(c, near ? run_in : run_out, near ? run_out : run_in);
}

static void on_event(struct plait_client *c, struct watch *w, int status, int events)
{
    if (c->state == CONNECT && w == c->far) {
        on_connected(c);
    } else if (status < 0) {
        close_client(c, "broken", true);
    } else if (c->state == TUNNEL) {
        on_tunnel(c, w == c->near, events);
    } else if (c->state == HEAD) {
        read_head(c);
    } else if (c->state == BYE && (events & UV_WRITABLE) != 0) {
        say_bye(c);
    } else if (c->state == BYE) {
        drain_bye(c);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct watch *w = poll->data;
    struct plait_client *c = w->client;

    if (c == NULL)
        return;
    struct plait_loop *loop = &c->relay->loop;
    plait_loop_enter(loop);
    if (status < 0)
        w->mask = 0; /* the loop has stopped watching */
    on_event(c, w, status, events);
    plait_loop_leave(loop);
}

static void expire(struct plait_client *c)
{
    switch (c->state) {
    case HEAD:
        if (c->head_len == 0)
            close_client(c, "nothing asked", false);
        else
            leave_silence(c), refuse(c, 408, "Request Timeout", "The request did not end in time.\n");
        break;
    case CONNECT:
        give_up_address(c, true);
        break;
    case RESOLVE:
        refuse(c, 504, "Gateway Timeout", "The destination's name could not be resolved in time.\n");
        break;
    case CHECK:
        if (c->check != NULL)
            plait_access_cancel(c->check);
        c->check = NULL;
        c->user[0] = '\0';
        refuse(c, 503, "Service Unavailable", "Too many passwords are being checked.\n");
        break;
    case TUNNEL:
        if (c->is_paused) /* it is we who let nothing move */
            c->deadline = c->relay->loop.now + c->relay->options->idle_s * PLAIT_S;
        else
            close_client(c, "idle", true);
        break;
    case BYE:
        close_client(c, "answered", true);
        break;
    }
}

void plait_clients_expire(struct plait_relay *relay, bool all, bool hard)
{
    for (struct plait_client *c = relay->clients, *next; c != NULL; c = next) {
        next = c->next;
        if (hard || (all && c->state != TUNNEL && c->state != BYE))
            close_client(c, "shutting down", c->state == TUNNEL);
        else if (relay->loop.now >= c->deadline)
            expire(c);
    }
}

bool plait_client_push_out(struct plait_relay *relay)
{
    struct plait_client *c = TAILQ_FIRST(&relay->silent);

    if (c == NULL)
        return false;
    close_client(c, "pushed out", true);
    return true;
}

void plait_client_start(struct plait_relay *relay, int fd, const struct sockaddr_storage *peer)
{
    struct plait_client *c = calloc(1, sizeof *c);
    char *head = malloc(PLAIT_ASK_HEAD_MAX);

    if (c != NULL) {
        c->relay = relay;
        c->peer = *peer;
        c->near = watch_new(c, fd);
    }
    if (c == NULL || head == NULL || c->near == NULL) {
        if (c != NULL && c->near != NULL)
            watch_close(c->near, true);
        else
            close(fd);
        free(head);
        free(c);
        plait_listener_forget(relay->listener, peer);
        return;
    }
    set_options(fd);
    c->head = head;
    c->up.pipe[0] = c->down.pipe[0] = -1;
    c->started = relay->loop.now;
    c->deadline = c->started + HEAD_NS;
    c->next = relay->clients;
    c->link = &relay->clients;
    if (c->next != NULL)
        c->next->link = &c->next;
    relay->clients = c;
    TAILQ_INSERT_TAIL(&relay->silent, c, silent);
    c->is_silent = true;
    watch_set(c->near, UV_READABLE);
}
