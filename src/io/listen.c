#include "listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "units.h"

#define BACKLOG     4096
#define ACCEPT_MAX  64               /* in one turn of the loop */
#define SHORTAGE_NS (100 * PLAIT_MS) /* without descriptors or memory, try again so much later */
#define KEY_LEN     16
#define PORT_DIGITS 5

/* How many connections an address has. In a tree, since it is strangers who choose the addresses. */
struct guest {
    uint8_t key[KEY_LEN];
    unsigned count;
};

struct plait_listener {
    struct plait_listener_config config;
    struct sockaddr_storage address;
    uv_poll_t poll;
    struct plait_timer retry;
    int fd;
    unsigned count;
    void *guests; /* tree of struct guest */
};

static int parse_port(const char *text, uint16_t *port)
{
    unsigned long v = 0;
    size_t len = strlen(text);

    if (len == 0 || len > PORT_DIGITS || strspn(text, "0123456789") != len)
        return PLAIT_ERR_FORMAT;
    v = strtoul(text, NULL, 10);
    if (v > UINT16_MAX)
        return PLAIT_ERR_FORMAT;
    *port = (uint16_t)v;
    return PLAIT_OK;
}

static int set_v6(struct sockaddr_storage *out, const char *host, uint16_t port)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

    if (inet_pton(AF_INET6, host, &a.sin6_addr) != 1)
        return PLAIT_ERR_FORMAT;
    memset(out, 0, sizeof *out);
    memcpy(out, &a, sizeof a);
    return PLAIT_OK;
}

static int set_v4(struct sockaddr_storage *out, const char *host, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

    if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
        return PLAIT_ERR_FORMAT;
    memset(out, 0, sizeof *out);
    memcpy(out, &a, sizeof a);
    return PLAIT_OK;
}

int plait_endpoint_parse(const char *text, struct sockaddr_storage *out)
{
    char host[INET6_ADDRSTRLEN + 2];
    const char *colon = strrchr(text, ':');
    uint16_t port;

    if (colon == NULL || (size_t)(colon - text) >= sizeof host || parse_port(colon + 1, &port) != PLAIT_OK)
        return PLAIT_ERR_FORMAT;
    size_t len = (size_t)(colon - text);
    memcpy(host, text, len);
    host[len] = '\0';
    if (len == 0 || strcmp(host, "*") == 0)
        return set_v6(out, "::", port);
    if (host[0] != '[')
        return set_v4(out, host, port);
    if (host[len - 1] != ']')
        return PLAIT_ERR_FORMAT;
    host[len - 1] = '\0';
    return set_v6(out, host + 1, port);
}

const char *plait_endpoint_text(const struct sockaddr_storage *address, char out[PLAIT_ENDPOINT_TEXT_MAX])
{
    char host[INET6_ADDRSTRLEN] = "?";
    const struct sockaddr_in *v4 = (const void *)address;
    const struct sockaddr_in6 *v6 = (const void *)address;

    if (address->ss_family == AF_INET) {
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        snprintf(out, PLAIT_ENDPOINT_TEXT_MAX, "%s:%u", host, ntohs(v4->sin_port));
    } else if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
        inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, host, sizeof host);
        snprintf(out, PLAIT_ENDPOINT_TEXT_MAX, "%s:%u", host, ntohs(v6->sin6_port));
    } else {
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
        snprintf(out, PLAIT_ENDPOINT_TEXT_MAX, "[%s]:%u", host, ntohs(v6->sin6_port));
    }
    return out;
}

/* IPv4, mapped or not, as a whole; of IPv6 the half that names a network: the other is its user's to choose. */
static void key_of(const struct sockaddr_storage *peer, uint8_t key[KEY_LEN])
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    memset(key, 0, KEY_LEN);
    memcpy(&v4, peer, sizeof v4);
    memcpy(&v6, peer, sizeof v6);
    if (peer->ss_family == AF_INET)
        memcpy(key + 12, &v4.sin_addr, 4);
    else if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
        memcpy(key + 12, v6.sin6_addr.s6_addr + 12, 4);
    else
        memcpy(key, v6.sin6_addr.s6_addr, 8);
}

static int compare_guests(const void *a, const void *b)
{
    return memcmp(((const struct guest *)a)->key, ((const struct guest *)b)->key, KEY_LEN);
}

/* One more connection of that address; false where that would be too many, or memory lacks. */
static bool count_up(struct plait_listener *l, const struct sockaddr_storage *peer)
{
    struct guest probe = {.count = 0}, *guest;
    struct guest **node;

    key_of(peer, probe.key);
    node = tfind(&probe, &l->guests, compare_guests);
    if (node != NULL) {
        if ((*node)->count >= l->config.per_address_max)
            return false;
        (*node)->count++;
        return true;
    }
    guest = malloc(sizeof *guest);
    if (guest == NULL)
        return false;
    *guest = probe;
    guest->count = 1;
    if (tsearch(guest, &l->guests, compare_guests) != NULL)
        return true;
    free(guest);
    return false;
}

static void count_down(struct plait_listener *l, const struct sockaddr_storage *peer)
{
    struct guest probe = {.count = 0}, *guest;
    struct guest **node;

    key_of(peer, probe.key);
    node = tfind(&probe, &l->guests, compare_guests);
    if (node == NULL)
        return;
    guest = *node;
    if (--guest->count > 0)
        return;
    tdelete(guest, &l->guests, compare_guests);
    free(guest);
}

void plait_listener_forget(struct plait_listener *l, const struct sockaddr_storage *peer)
{
    count_down(l, peer);
    l->count--;
}

static void on_acceptable(uv_poll_t *poll, int status, int events);

static void resume(void *ctx)
{
    struct plait_listener *l = ctx;

    if (l->fd >= 0)
        uv_poll_start(&l->poll, UV_READABLE, on_acceptable);
}

/* A connection that cannot be accepted stays in the queue and would wake us at once again. */
static void rest(struct plait_listener *l)
{
    uv_poll_stop(&l->poll);
    plait_timer_set(&l->retry, plait_add_sat(l->config.loop->now, SHORTAGE_NS));
}

static bool has_room(struct plait_listener *l)
{
    const struct plait_listener_events *events = l->config.events;

    return l->count < l->config.total_max || (events->make_room != NULL && events->make_room(l->config.ctx));
}

static void admit(struct plait_listener *l, int fd, const struct sockaddr_storage *peer)
{
    const struct plait_listener_events *events = l->config.events;

    if (count_up(l, peer)) {
        if (has_room(l)) {
            l->count++;
            events->accepted(l->config.ctx, fd, peer);
            return;
        }
        count_down(l, peer);
    }
    if (events->refused != NULL)
        events->refused(l->config.ctx, fd, peer);
    close(fd);
}

static bool is_shortage(int err)
{
    return err == EMFILE || err == ENFILE || err == ENOBUFS || err == ENOMEM;
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
    struct plait_listener *l = poll->data;

    (void)status;
    (void)events;
    plait_loop_enter(l->config.loop);
    for (unsigned i = 0; i < ACCEPT_MAX && l->fd >= 0; i++) {
        struct sockaddr_storage peer = {0};
        socklen_t len = sizeof peer;
        int fd = accept4(l->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            admit(l, fd, &peer);
        } else if (is_shortage(errno)) {
            rest(l);
            break;
        } else if (errno == EAGAIN) {
            break;
        } /* other errors are those of one connection that is already gone */
    }
    plait_loop_leave(l->config.loop);
}

static int open_socket(const struct plait_listener_config *config, struct sockaddr_storage *address)
{
    static const int on = 1;
    bool all = config->address[0] == '*';
    int only_v6 = !all;
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0 && all && errno == EAFNOSUPPORT) {
        struct sockaddr_in v4 = {.sin_family = AF_INET,
                                 .sin_port = ((struct sockaddr_in6 *)address)->sin6_port};
        memset(address, 0, sizeof *address);
        memcpy(address, &v4, sizeof v4);
        fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    }
    if (fd < 0)
        return -1;
    if (address->ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof only_v6);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    socklen_t len = address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    if (bind(fd, (struct sockaddr *)address, len) == 0 && listen(fd, BACKLOG) == 0 &&
        getsockname(fd, (struct sockaddr *)address, &len) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

const char *plait_listen_advice(int error_number)
{
    switch (error_number) {
    case EADDRINUSE:
        return "; another program listens there: stop it, or choose another port with --listen";
    case EACCES:
        return "; ports below 1024 need root or CAP_NET_BIND_SERVICE";
    case EADDRNOTAVAIL:
        return "; this machine has no such address";
    default:
        return "";
    }
}

int plait_listener_open(const struct plait_listener_config *config, struct plait_listener **out)
{
    struct sockaddr_storage address;
    int err = plait_endpoint_parse(config->address, &address);

    if (err != PLAIT_OK)
        return err;
    struct plait_listener *l = calloc(1, sizeof *l);
    if (l == NULL)
        return PLAIT_ERR_NOMEM;
    l->config = *config;
    l->fd = open_socket(config, &address);
    if (l->fd < 0) {
        free(l);
        return PLAIT_ERR_IO;
    }
    if (uv_poll_init(&config->loop->uv, &l->poll, l->fd) != 0) {
        close(l->fd);
        free(l);
        return PLAIT_ERR_IO;
    }
    l->address = address;
    l->poll.data = l;
    plait_timer_init(&l->retry, config->loop, resume, l);
    resume(l);
    *out = l;
    return PLAIT_OK;
}

const struct sockaddr_storage *plait_listener_address(const struct plait_listener *l)
{
    return &l->address;
}

unsigned plait_listener_count(const struct plait_listener *l)
{
    return l->count;
}

void plait_listener_stop(struct plait_listener *l)
{
    if (l->fd < 0)
        return;
    uv_close((uv_handle_t *)&l->poll, NULL);
    plait_timer_close(&l->retry);
    close(l->fd);
    l->fd = -1;
}

void plait_listener_free(struct plait_listener *l)
{
    if (l == NULL)
        return;
    tdestroy(l->guests, free);
    free(l);
}
