/*
 * Theory of operation. A client goes through these states, and may be closed in each:
 *
 *     HEAD     its request is being read
 *     CHECK    its password is being checked
 *     RESOLVE  the name of its destination is being resolved
 *     CONNECT  one address after the other is being tried
 *     TUNNEL   two pumps carry bytes, until both directions have ended or one is broken
 *     BYE      an answer that is not a tunnel is being sent; then what the client still sends is drained,
 *              so that the kernel does not take the answer back with a reset
 *
 * Each state has a deadline, at which the relay looks twice a second. A tunnel that breaks on one side is reset on
 * the other: an end of the data that is none must not look like one.
 */
#include "client_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define HEAD_NS       (10 * PLAIT_S)
#define CHECK_NS      (60 * PLAIT_S)
#define BYE_NS        (5 * PLAIT_S)
#define BYE_DRAIN_MAX (256 * PLAIT_KIB)

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
                                    .down = plait_since(c->down.carried, PLAIT_ESTABLISHED_LEN),
                                    .seconds = plait_to_s(plait_since(c->relay->loop.now, c->started)),
                                    .end = end};
    plait_log_write(c->relay, &entry);
}

void plait_client_free(struct plait_client *c)
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

void plait_client_close(struct plait_client *c, const char *end, bool reset)
{
    struct plait_relay *relay = c->relay;

    write_log(c, end);
    plait_tunnel_unpause(c);
    leave_silence(c);
    plait_pump_done(&c->up);
    plait_pump_done(&c->down);
    plait_socket_close(c->near, reset);
    plait_socket_close(c->far, reset);
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
        plait_client_free(c);
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
            plait_socket_watch(c->near, UV_WRITABLE);
            return;
        }
        if (n < 0) {
            plait_client_close(c, "broken", true);
            return;
        }
        c->reply_sent += (size_t)n;
    }
    shutdown(c->near->fd, SHUT_WR);
    plait_socket_watch(c->near, UV_READABLE);
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
    plait_client_close(c, "answered", n != 0);
}

/* Answers with something that is not a tunnel. `extra` are whole lines of the head. */
static void answer(struct plait_client *c, int status, const char *reason, const char *extra,
                   const char *type, const char *body)
{
    size_t size = strlen(body) + strlen(extra) + 512;

    c->state = BYE;
    c->status = status;
    c->deadline = c->relay->loop.now + BYE_NS;
    plait_socket_close(c->far, true);
    c->far = NULL;
    c->reply = malloc(size);
    if (c->reply == NULL) {
        plait_client_close(c, "out of memory", true);
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

void plait_client_turn_away(struct plait_client *c, int status, const char *reason, const char *words)
{
    answer(c, status, reason, "", "text/plain; charset=utf-8", words);
}

void plait_client_refuse(int fd)
{
    static const char text[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n"
                               "Connection: close\r\n\r\n";

    (void)!send(fd, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* HEAD and CHECK. */

static void serve(struct plait_client *c)
{
    if (c->ask.kind == PLAIT_ASK_CONNECT)
        plait_reach(c);
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
        plait_client_turn_away(c, 503, "Service Unavailable", "Too many passwords are being checked.\n");
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
    plait_socket_watch(c->near, 0);
    if (err == PLAIT_ERR_LIMIT)
        plait_client_turn_away(c, 431, "Request Header Fields Too Large",
                               "The head of the request is too long.\n");
    else if (err != PLAIT_OK)
        plait_client_turn_away(c, 400, "Bad Request", "That is no request that this relay understands.\n");
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
        plait_client_close(c, n == 0 ? "nothing asked" : "broken", false);
        return;
    }
    c->head_len += (size_t)n;
    on_head(c);
}

/* Events. */

void plait_client_event(struct plait_client *c, const struct plait_socket *w, int status, int events)
{
    if (c->state == CONNECT && w == c->far) {
        plait_reach_connected(c);
    } else if (status < 0) {
        plait_client_close(c, "broken", true);
    } else if (c->state == TUNNEL) {
        plait_tunnel_event(c, w == c->near, events);
    } else if (c->state == HEAD) {
        read_head(c);
    } else if (c->state == BYE && (events & UV_WRITABLE) != 0) {
        say_bye(c);
    } else if (c->state == BYE) {
        drain_bye(c);
    }
}

static void expire(struct plait_client *c)
{
    switch (c->state) {
    case HEAD:
        if (c->head_len == 0)
            plait_client_close(c, "nothing asked", false);
        else
            leave_silence(c),
                plait_client_turn_away(c, 408, "Request Timeout", "The request did not end in time.\n");
        break;
    case CONNECT:
        plait_reach_give_up(c, true);
        break;
    case RESOLVE:
        plait_client_turn_away(c, 504, "Gateway Timeout",
                               "The destination's name could not be resolved in time.\n");
        break;
    case CHECK:
        if (c->check != NULL)
            plait_access_cancel(c->check);
        c->check = NULL;
        c->user[0] = '\0';
        plait_client_turn_away(c, 503, "Service Unavailable", "Too many passwords are being checked.\n");
        break;
    case TUNNEL:
        if (c->is_paused) /* it is we who let nothing move */
            c->deadline = c->relay->loop.now + c->relay->options->idle_s * PLAIT_S;
        else
            plait_client_close(c, "idle", true);
        break;
    case BYE:
        plait_client_close(c, "answered", true);
        break;
    }
}

void plait_clients_expire(struct plait_relay *relay, bool all, bool hard)
{
    for (struct plait_client *c = relay->clients, *next; c != NULL; c = next) {
        next = c->next;
        if (hard || (all && c->state != TUNNEL && c->state != BYE))
            plait_client_close(c, "shutting down", c->state == TUNNEL);
        else if (relay->loop.now >= c->deadline)
            expire(c);
    }
}

bool plait_client_push_out(struct plait_relay *relay)
{
    struct plait_client *c = TAILQ_FIRST(&relay->silent);

    if (c == NULL)
        return false;
    plait_client_close(c, "pushed out", true);
    return true;
}

void plait_client_start(struct plait_relay *relay, int fd, const struct sockaddr_storage *peer)
{
    struct plait_client *c = calloc(1, sizeof *c);
    char *head = malloc(PLAIT_ASK_HEAD_MAX);

    if (c != NULL) {
        c->relay = relay;
        c->peer = *peer;
        c->near = plait_socket_new(c, fd);
    }
    if (c == NULL || head == NULL || c->near == NULL) {
        if (c != NULL && c->near != NULL)
            plait_socket_close(c->near, true);
        else
            close(fd);
        free(head);
        free(c);
        plait_listener_forget(relay->listener, peer);
        return;
    }
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
    plait_socket_watch(c->near, UV_READABLE);
}
