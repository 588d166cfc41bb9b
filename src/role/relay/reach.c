#include "client_int.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "iface.h"

#define ATTEMPT_NS    (1 * PLAIT_S) /* an address has at least so long to answer */
#define RESOLVING_MAX 512u

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
    c->far = plait_socket_new(c, fd);
    if (c->far == NULL) {
        close(fd);
        return false;
    }
    plait_socket_watch(c->far, UV_WRITABLE);
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
        plait_client_turn_away(c, 504, "Gateway Timeout", "The destination does not answer.\n");
    else
        plait_client_turn_away(c, 502, "Bad Gateway", "The destination cannot be reached.\n");
}

void plait_reach_give_up(struct plait_client *c, bool timed_out)
{
    plait_socket_close(c->far, true);
    c->far = NULL;
    c->timed_out = timed_out;
    c->address_at++;
    connect_next(c);
}

void plait_reach_connected(struct plait_client *c)
{
    int err = 0;
    socklen_t len = sizeof err;
    size_t used = 0;
    struct plait_ask again;

    if (getsockopt(c->far->fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0 || err != 0) {
        plait_reach_give_up(c, err == ETIMEDOUT);
        return;
    }
    /* What follows the head belongs to the destination. */
    if (plait_ask_parse(c->head, c->head_len, &again, &used) == PLAIT_OK)
        plait_tunnel_begin(c, used);
    else
        plait_client_close(c, "broken", true);
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
    if (c->address_count < PLAIT_REACH_ADDRESSES_MAX &&
        plait_allow_address(&c->relay->allow, name, a, c->ask.port, is_own(a)))
        c->addresses[c->address_count++] = *a;
}

static void begin_connect(struct plait_client *c)
{
    /* The same words whether it is no rule or where the name leads: what lies inside is nobody's business. */
    if (c->address_count == 0) {
        plait_client_turn_away(c, 403, "Forbidden", "This relay does not serve that destination.\n");
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
        plait_client_free(c);
        plait_relay_client_gone(relay);
    } else if (c->state == BYE) {
        ; /* its time was up */
    } else if (status != 0) {
        plait_client_turn_away(c, 502, "Bad Gateway", "The destination's name cannot be resolved.\n");
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
        plait_client_turn_away(c, 503, "Service Unavailable", "Too many names are being resolved.\n");
        return;
    }
    relay->resolving++;
    c->is_resolving = true;
    c->state = RESOLVE;
}

void plait_reach(struct plait_client *c)
{
    c->connect_by = c->deadline = c->relay->loop.now + c->relay->options->connect_s * PLAIT_S;
    if (c->ask.name[0] != '\0') {
        resolve(c);
        return;
    }
    consider(c, &c->ask.address);
    begin_connect(c);
}
