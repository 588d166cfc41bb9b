#include "uplink.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iface.h"

static const char no_address[] = "no address is known for the hub's name";

struct plait_uplink_watch {
    struct plait_watch watch;
    struct plait_uplink *uplink; /* NULL once it has been closed */
};

void plait_uplink_init(struct plait_uplink *u, const struct plait_node_uplink_settings *settings,
                       uint8_t path, struct plait_loop *loop, const struct plait_uplink_events *events,
                       void *ctx, uint32_t mark)
{
    memset(u, 0, sizeof *u);
    u->settings = *settings;
    u->path = path;
    u->used = true;
    u->loop = loop;
    u->events = events;
    u->ctx = ctx;
    u->mark = mark;
}

bool plait_uplink_is_open(const struct plait_uplink *u)
{
    return u->watch != NULL;
}

/* Where the hub is. */

static int family_wanted(const struct plait_uplink *u)
{
    return u->settings.address.family != 0 ? u->settings.address.family : AF_UNSPEC;
}

/* The system knows more (its hosts file, a resolver on this machine), but its questions go into the tunnel. */
static void run_resolver(void *ctx)
{
    struct plait_uplink *u = ctx;
    struct addrinfo hints = {.ai_family = u->question.family, .ai_socktype = SOCK_DGRAM}, *found = NULL;

    if (u->past_tunnel && plait_lookup_run(&u->question, &u->answer) == PLAIT_OK)
        return;
    u->answer.ss_family = AF_UNSPEC;
    if (getaddrinfo(u->question.host, NULL, &hints, &found) != 0)
        return;
    memcpy(&u->answer, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
}

static bool is_same_host(const union plait_udp_address *a, const union plait_udp_address *b)
{
    if (a->any.sa_family != b->any.sa_family)
        return false;
    return a->any.sa_family == AF_INET ? a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr
                                       : memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, 16) == 0;
}

/* A name that cannot be resolved any more leaves what was known before. */
static void take_answer(void *ctx)
{
    struct plait_uplink *u = ctx;
    union plait_udp_address before = u->end.remote;

    if (u->used && strcmp(u->question.host, u->settings.hub.host) != 0) { /* it has been changed meanwhile */
        plait_uplink_resolve(u, u->past_tunnel);
        return;
    }
    if (u->answer.ss_family == AF_INET) {
        memcpy(&u->end.remote.v4, &u->answer, sizeof u->end.remote.v4);
        u->end.remote.v4.sin_port = 0;
    } else if (u->answer.ss_family == AF_INET6) {
        memcpy(&u->end.remote.v6, &u->answer, sizeof u->end.remote.v6);
        u->end.remote.v6.sin6_port = 0;
    }
    u->resolved = u->resolved || u->answer.ss_family != AF_UNSPEC;
    if (!u->resolved)
        u->trouble = no_address;
    u->hub_moved = !is_same_host(&before, &u->end.remote);
    u->events->resolved(u->ctx, u);
}

static void set_question(struct plait_uplink *u)
{
    const char *interface = plait_uplink_is_open(u) ? u->interface : u->settings.interface;

    memset(&u->question, 0, sizeof u->question);
    snprintf(u->question.host, sizeof u->question.host, "%s", u->settings.hub.host);
    snprintf(u->question.interface, sizeof u->question.interface, "%s", interface);
    u->question.family = family_wanted(u);
    u->question.mark = u->mark;
}

void plait_uplink_resolve(struct plait_uplink *u, bool past_tunnel)
{
    struct sockaddr_in *v4 = (void *)&u->answer;
    struct sockaddr_in6 *v6 = (void *)&u->answer;

    if (u->resolving.busy)
        return;
    set_question(u);
    u->past_tunnel = past_tunnel;
    memset(&u->answer, 0, sizeof u->answer);
    if (inet_pton(AF_INET, u->settings.hub.host, &v4->sin_addr) == 1)
        u->answer.ss_family = AF_INET;
    else if (inet_pton(AF_INET6, u->settings.hub.host, &v6->sin6_addr) == 1)
        u->answer.ss_family = AF_INET6;
    if (u->answer.ss_family != AF_UNSPEC) {
        take_answer(u);
        return;
    }
    plait_work_init(&u->resolving, u->loop, run_resolver, take_answer, u);
    plait_work_start(&u->resolving);
}

/* Which interface and address it has to leave by, as things are. */

struct way {
    char interface[IF_NAMESIZE];    /* "" = any */
    union plait_udp_address source; /* AF_UNSPEC = as the kernel likes */
};

static void set_address(union plait_udp_address *out, int family, const uint8_t *bytes)
{
    memset(out, 0, sizeof *out);
    out->any.sa_family = (sa_family_t)family;
    if (family == AF_INET)
        memcpy(&out->v4.sin_addr, bytes, 4);
    else
        memcpy(&out->v6.sin6_addr, bytes, 16);
}

static const char *find_own_address(const struct plait_uplink *u, struct way *way)
{
    char name[IF_NAMESIZE];

    set_address(&way->source, u->settings.address.family, u->settings.address.address);
    if (plait_iface_of_address(&way->source.any, name) != PLAIT_OK)
        return "no interface has its address";
    if (way->interface[0] == '\0')
        memcpy(way->interface, name, sizeof name);
    else if (strcmp(way->interface, name) != 0)
        return "another interface has its address";
    return plait_iface_is_up(name) ? NULL : "its interface is down";
}

/* NULL, or why there is none. */
static const char *find_way(const struct plait_uplink *u, struct way *way)
{
    struct sockaddr_storage found;

    memset(way, 0, sizeof *way);
    snprintf(way->interface, sizeof way->interface, "%s", u->settings.interface);
    if (!u->resolved)
        return no_address;
    if (u->settings.address.family != 0)
        return u->settings.address.family == u->end.remote.any.sa_family
                   ? find_own_address(u, way)
                   : "its address is not of the hub's family";
    if (way->interface[0] == '\0')
        return NULL;
    if (!plait_iface_is_up(way->interface))
        return "its interface is down or not there";
    if (plait_iface_address(way->interface, &u->end.remote.any, &found) != PLAIT_OK)
        return "its interface has no address";
    memcpy(&way->source, &found, sizeof way->source);
    return NULL;
}

/* The socket. */

static void on_readable(void *ctx)
{
    struct plait_uplink_watch *w = ctx;

    if (w->uplink != NULL)
        w->uplink->events->readable(w->uplink->ctx, w->uplink);
}

static void free_watch(uv_handle_t *handle)
{
    struct plait_watch *watch = handle->data;

    free(watch->ctx);
}

void plait_uplink_close(struct plait_uplink *u)
{
    if (u->watch == NULL)
        return;
    u->watch->uplink = NULL;
    uv_close((uv_handle_t *)&u->watch->watch.uv, free_watch);
    u->watch = NULL;
    plait_udp_close(&u->udp);
}

static int watch_socket(struct plait_uplink *u)
{
    struct plait_uplink_watch *w = calloc(1, sizeof *w);

    if (w == NULL)
        return PLAIT_ERR_NOMEM;
    w->uplink = u;
    if (plait_watch_init(&w->watch, u->loop, u->udp.fd, on_readable, w) != PLAIT_OK) {
        free(w); /* refused before libuv knew of it: a descriptor that epoll does not take */
        return PLAIT_ERR_IO;
    }
    u->watch = w;
    return PLAIT_OK;
}

static const char *open_socket(struct plait_uplink *u, const struct way *way)
{
    struct plait_udp_options options = {.interface = way->interface[0] != '\0' ? way->interface : NULL,
                                        .mark = u->mark};

    /* The kernel chooses the source as the interface's addresses change; one that was asked for is bound. */
    options.local.any.sa_family = u->end.remote.any.sa_family;
    if (u->settings.address.family != 0)
        options.local = way->source;
    if (plait_udp_open(&u->udp, &options) != PLAIT_OK)
        return "no socket can be bound there";
    if (watch_socket(u) != PLAIT_OK) {
        plait_udp_close(&u->udp);
        return "out of memory";
    }
    memcpy(u->interface, way->interface, sizeof u->interface);
    u->source = way->source;
    return NULL;
}

static bool is_same_way(const struct plait_uplink *u, const struct way *way)
{
    return strcmp(u->interface, way->interface) == 0 && plait_udp_address_equal(&u->source, &way->source);
}

enum plait_uplink_change plait_uplink_look(struct plait_uplink *u)
{
    bool was_open = u->watch != NULL;
    struct way way;

    u->trouble = find_way(u, &way);
    if (u->trouble == NULL && was_open && is_same_way(u, &way))
        return PLAIT_UPLINK_SAME;
    plait_uplink_close(u);
    if (u->trouble == NULL)
        u->trouble = open_socket(u, &way);
    if (u->trouble != NULL)
        return was_open ? PLAIT_UPLINK_CLOSED : PLAIT_UPLINK_SAME;
    return was_open ? PLAIT_UPLINK_MOVED : PLAIT_UPLINK_OPENED;
}
