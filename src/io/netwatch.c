/*
 * Three tables, changed by messages that are the same whether they answer a question or tell news. Routes are asked
 * for again whenever a link or an IPv4 address goes: the kernel then drops IPv4 routes without a word.
 */
#include "netwatch.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rtattrs.h"
#include "rtnl.h"

#define BUFFER_BYTES  (32 * 1024)
#define RECEIVE_BYTES (1024 * 1024)

struct address {
    struct plait_prefix prefix;
    unsigned index;
    bool usable;
};

struct route {
    unsigned index;
    uint32_t table, metric;
    int family;
};

struct plait_netwatch {
    struct plait_watch watch;
    int fd; /* news */
    void (*changed)(void *ctx);
    void *ctx;
    struct plait_netwatch_link links[PLAIT_NETWATCH_LINKS_MAX];
    struct address addresses[PLAIT_NETWATCH_ADDRESSES_MAX];
    struct route routes[PLAIT_NETWATCH_ROUTES_MAX];
    size_t link_count, address_count, route_count;
    uint64_t resync_count;
    bool dirty;      /* something is other than it was */
    bool ask_routes; /* again */
    char buffer[BUFFER_BYTES] __attribute__((aligned(8)));
};

static struct plait_netwatch_link *find_link(struct plait_netwatch *w, unsigned index)
{
    for (size_t i = 0; i < w->link_count; i++)
        if (w->links[i].index == index)
            return &w->links[i];
    return NULL;
}

/* What hangs on a link goes with it. */
static void drop_link(struct plait_netwatch *w, unsigned index)
{
    struct plait_netwatch_link *link = find_link(w, index);
    size_t kept = 0;

    if (link != NULL)
        *link = w->links[--w->link_count];
    for (size_t i = 0; i < w->address_count; i++)
        if (w->addresses[i].index != index)
            w->addresses[kept++] = w->addresses[i];
    w->address_count = kept;
    w->dirty = w->ask_routes = true;
}

static bool is_same_link(const struct plait_netwatch_link *a, const struct plait_netwatch_link *b)
{
    return a->index == b->index && strcmp(a->name, b->name) == 0 && a->up == b->up && a->mtu == b->mtu;
}

static void on_link(struct plait_netwatch *w, const struct nlmsghdr *h)
{
    const struct ifinfomsg *m = mnl_nlmsg_get_payload(h);
    struct plait_netwatch_link now = {.index = (unsigned)m->ifi_index}, *link;
    struct plait_rtattrs a;

    if (m->ifi_family != AF_UNSPEC) /* of a bridge's ports */
        return;
    if (h->nlmsg_type == RTM_DELLINK) {
        drop_link(w, now.index);
        return;
    }
    plait_rtattrs_read(h, sizeof *m, &a);
    if (a.at[IFLA_IFNAME] == NULL || mnl_attr_validate(a.at[IFLA_IFNAME], MNL_TYPE_NUL_STRING) < 0)
        return;
    strncpy(now.name, mnl_attr_get_str(a.at[IFLA_IFNAME]), sizeof now.name - 1);
    now.up = (m->ifi_flags & IFF_UP) != 0 && (m->ifi_flags & IFF_RUNNING) != 0;
    now.mtu = plait_rtattrs_u32(&a, IFLA_MTU, 0);
    link = find_link(w, now.index);
    if (link == NULL && w->link_count < PLAIT_NETWATCH_LINKS_MAX) {
        link = &w->links[w->link_count++];
        memset(link, 0, sizeof *link);
    }
    if (link == NULL || is_same_link(link, &now))
        return;
    w->ask_routes = w->ask_routes || link->up != now.up;
    *link = now;
    w->dirty = true;
}

static struct address *find_address(struct plait_netwatch *w, const struct address *like)
{
    for (size_t i = 0; i < w->address_count; i++)
        if (w->addresses[i].index == like->index &&
            memcmp(&w->addresses[i].prefix, &like->prefix, sizeof like->prefix) == 0)
            return &w->addresses[i];
    return NULL;
}

static void on_address(struct plait_netwatch *w, const struct nlmsghdr *h)
{
    const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
    struct address now = {.index = m->ifa_index}, *known;
    struct plait_rtattrs a;
    const struct nlattr *text;
    uint32_t flags;

    if (m->ifa_family != AF_INET && m->ifa_family != AF_INET6)
        return;
    plait_rtattrs_read(h, sizeof *m, &a);
    text = a.at[IFA_LOCAL] != NULL ? a.at[IFA_LOCAL] : a.at[IFA_ADDRESS];
    if (text == NULL || mnl_attr_get_payload_len(text) != (m->ifa_family == AF_INET ? 4 : 16))
        return;
    now.prefix.family = m->ifa_family;
    now.prefix.bits = m->ifa_prefixlen;
    memcpy(now.prefix.address, mnl_attr_get_payload(text), mnl_attr_get_payload_len(text));
    flags = plait_rtattrs_u32(&a, IFA_FLAGS, m->ifa_flags);
    now.usable = m->ifa_scope <= RT_SCOPE_SITE && (flags & IFA_F_DADFAILED) == 0 &&
                 ((flags & IFA_F_TENTATIVE) == 0 || (flags & IFA_F_OPTIMISTIC) != 0) &&
                 (flags & IFA_F_DEPRECATED) == 0;
    known = find_address(w, &now);
    if (h->nlmsg_type == RTM_DELADDR) {
        if (known == NULL)
            return;
        memmove(known, known + 1, (size_t)(w->addresses + w->address_count - known - 1) * sizeof *known);
        w->address_count--;
        w->ask_routes = true;
    } else if (known != NULL) {
        if (known->usable == now.usable)
            return;
        known->usable = now.usable;
    } else if (w->address_count < PLAIT_NETWATCH_ADDRESSES_MAX) {
        w->addresses[w->address_count++] = now;
    }
    w->dirty = true;
}

static void change_route(struct plait_netwatch *w, const struct route *r, bool gone)
{
    size_t i = 0;

    while (i < w->route_count && memcmp(&w->routes[i], r, sizeof *r) != 0)
        i++;
    if (gone && i < w->route_count)
        w->routes[i] = w->routes[--w->route_count];
    else if (!gone && i == w->route_count && i < PLAIT_NETWATCH_ROUTES_MAX)
        w->routes[w->route_count++] = *r;
    else
        return;
    w->dirty = true;
}

static void on_route(struct plait_netwatch *w, const struct nlmsghdr *h)
{
    const struct rtmsg *m = mnl_nlmsg_get_payload(h);
    struct plait_rtattrs a;
    struct route r;
    bool gone = h->nlmsg_type == RTM_DELROUTE;

    if (m->rtm_dst_len != 0 || m->rtm_type != RTN_UNICAST || (m->rtm_flags & RTM_F_CLONED) != 0 ||
        m->rtm_protocol == PLAIT_RTNL_PROTOCOL)
        return;
    plait_rtattrs_read(h, sizeof *m, &a);
    memset(&r, 0, sizeof r);
    r.table = plait_rtattrs_u32(&a, RTA_TABLE, m->rtm_table);
    r.metric = plait_rtattrs_u32(&a, RTA_PRIORITY, 0);
    r.family = m->rtm_family;
    if (a.at[RTA_OIF] != NULL) {
        r.index = plait_rtattrs_u32(&a, RTA_OIF, 0);
        change_route(w, &r, gone);
    }
    if (a.at[RTA_MULTIPATH] != NULL) {
        const struct rtnexthop *hop = mnl_attr_get_payload(a.at[RTA_MULTIPATH]);
        int left = mnl_attr_get_payload_len(a.at[RTA_MULTIPATH]);
        for (; RTNH_OK(hop, left); left -= RTNH_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop)) {
            r.index = (unsigned)hop->rtnh_ifindex;
            change_route(w, &r, gone);
        }
    }
}

static int on_message(const struct nlmsghdr *h, void *ctx)
{
    struct plait_netwatch *w = ctx;

    switch (h->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
        on_link(w, h);
        break;
    case RTM_NEWADDR:
    case RTM_DELADDR:
        on_address(w, h);
        break;
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
        on_route(w, h);
        break;
    default:
        break;
    }
    return MNL_CB_OK;
}

/* Asks for all of one kind; the answer goes the way of news. */
static int dump(struct plait_netwatch *w, int fd, uint16_t type, uint8_t family, uint32_t seq)
{
    struct nlmsghdr *h = mnl_nlmsg_put_header(w->buffer);
    int more = MNL_CB_OK;

    h->nlmsg_type = type;
    h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    h->nlmsg_seq = seq;
    /* The longest of the three; each begins with the family. */
    struct ifinfomsg *m = mnl_nlmsg_put_extra_header(h, sizeof *m);
    m->ifi_family = family;
    if (send(fd, h, h->nlmsg_len, 0) < 0)
        return PLAIT_ERR_IO;
    while (more > MNL_CB_STOP) {
        ssize_t len = recv(fd, w->buffer, sizeof w->buffer, 0);
        if (len < 0 && errno == EINTR)
            continue;
        if (len <= 0)
            return PLAIT_ERR_IO;
        more = mnl_cb_run(w->buffer, (size_t)len, seq, 0, on_message, w);
    }
    return more == MNL_CB_STOP ? PLAIT_OK : PLAIT_ERR_IO;
}

/* A kernel without IPv6 has nothing to tell of it. */
static int ask_routes(struct plait_netwatch *w, int fd)
{
    w->route_count = 0;
    w->ask_routes = false;
    int err = dump(w, fd, RTM_GETROUTE, AF_INET, 3);
    (void)dump(w, fd, RTM_GETROUTE, AF_INET6, 4);
    return err;
}

static int ask_all(struct plait_netwatch *w, int fd)
{
    w->link_count = w->address_count = 0;
    w->dirty = true;
    int err = dump(w, fd, RTM_GETLINK, AF_UNSPEC, 1);
    if (err == PLAIT_OK)
        err = dump(w, fd, RTM_GETADDR, AF_UNSPEC, 2);
    if (err == PLAIT_OK)
        err = ask_routes(w, fd);
    return err;
}

static int ask(struct plait_netwatch *w, int (*what)(struct plait_netwatch *w, int fd))
{
    struct plait_rtnl r;
    int err = plait_rtnl_open(&r);

    if (err != PLAIT_OK)
        return err;
    err = what(w, r.fd);
    plait_rtnl_close(&r);
    return err;
}

static void on_news(void *ctx)
{
    struct plait_netwatch *w = ctx;
    bool lost = false;

    for (;;) {
        ssize_t len = recv(w->fd, w->buffer, sizeof w->buffer, MSG_DONTWAIT | MSG_TRUNC);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0 && errno != ENOBUFS)
            break;
        if (len < 0 || (size_t)len > sizeof w->buffer)
            lost = true;
        else
            (void)mnl_cb_run(w->buffer, (size_t)len, 0, 0, on_message, w);
    }
    if (lost) {
        w->resync_count++;
        (void)ask(w, ask_all);
    } else if (w->ask_routes) {
        (void)ask(w, ask_routes);
    }
    if (w->dirty) {
        w->dirty = false;
        w->changed(w->ctx);
    }
}

static int open_news(void)
{
    static const unsigned groups[] = {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                                      RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE};
    const int bytes = RECEIVE_BYTES;
    struct sockaddr_nl own = {.nl_family = AF_NETLINK};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
        own.nl_groups |= 1u << (groups[i] - 1);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0)
        (void)!setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    if (bind(fd, (struct sockaddr *)&own, sizeof own) == 0)
        return fd;
    close(fd);
    return -1;
}

struct plait_netwatch *plait_netwatch_new(struct plait_loop *loop, void (*changed)(void *ctx), void *ctx)
{
    struct plait_netwatch *w = calloc(1, sizeof *w);

    if (w == NULL)
        return NULL;
    w->changed = changed;
    w->ctx = ctx;
    w->fd = open_news();
    if (w->fd >= 0 && ask(w, ask_all) == PLAIT_OK &&
        plait_watch_init(&w->watch, loop, w->fd, on_news, w) == PLAIT_OK) {
        w->dirty = false;
        return w;
    }
    if (w->fd >= 0)
        close(w->fd);
    free(w);
    return NULL;
}

static void on_closed(uv_handle_t *handle)
{
    struct plait_watch *watch = handle->data;
    struct plait_netwatch *w = watch->ctx;

    close(w->fd);
    free(w);
}

void plait_netwatch_free(struct plait_netwatch *w)
{
    if (w != NULL)
        uv_close((uv_handle_t *)&w->watch.uv, on_closed);
}

const struct plait_netwatch_link *plait_netwatch_link(const struct plait_netwatch *w, const char *name)
{
    for (size_t i = 0; i < w->link_count; i++)
        if (strcmp(w->links[i].name, name) == 0)
            return &w->links[i];
    return NULL;
}

const struct plait_netwatch_link *plait_netwatch_link_at(const struct plait_netwatch *w, unsigned index)
{
    for (size_t i = 0; i < w->link_count; i++)
        if (w->links[i].index == index)
            return &w->links[i];
    return NULL;
}

bool plait_netwatch_address(const struct plait_netwatch *w, unsigned index, int family, size_t i,
                            struct plait_prefix *out)
{
    for (size_t k = 0; k < w->address_count; k++) {
        const struct address *a = &w->addresses[k];
        if (a->index != index || !a->usable || (family != 0 && a->prefix.family != family) || i-- > 0)
            continue;
        *out = a->prefix;
        return true;
    }
    return false;
}

const struct plait_netwatch_link *plait_netwatch_owner(const struct plait_netwatch *w,
                                                       const struct plait_prefix *address)
{
    for (size_t k = 0; k < w->address_count; k++) {
        const struct plait_prefix *p = &w->addresses[k].prefix;
        if (p->family == address->family && memcmp(p->address, address->address, sizeof p->address) == 0)
            return plait_netwatch_link_at(w, w->addresses[k].index);
    }
    return NULL;
}

bool plait_netwatch_has_default(const struct plait_netwatch *w, unsigned index, int family)
{
    for (size_t i = 0; i < w->route_count; i++)
        if (w->routes[i].index == index && w->routes[i].family == family)
            return true;
    return false;
}

uint64_t plait_netwatch_resync_count(const struct plait_netwatch *w)
{
    return w->resync_count;
}
