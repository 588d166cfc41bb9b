#include "netlink.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "iface.h"

struct found {
    char (*names)[IF_NAMESIZE];
    size_t count, max;
};

static void add_interface(struct found *found, unsigned index)
{
    char name[IF_NAMESIZE];

    if (if_indextoname(index, name) == NULL || strcmp(name, "lo") == 0 || !plait_iface_is_up(name))
        return;
    for (size_t i = 0; i < found->count; i++)
        if (strcmp(found->names[i], name) == 0)
            return;
    if (found->count < found->max)
        memcpy(found->names[found->count++], name, IF_NAMESIZE);
}

static void add_next_hops(struct found *found, const struct nlattr *list)
{
    const struct rtnexthop *hop = mnl_attr_get_payload(list);
    int left = mnl_attr_get_payload_len(list);

    for (; RTNH_OK(hop, left); left -= RTNH_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop))
        if (hop->rtnh_ifindex > 0)
            add_interface(found, (unsigned)hop->rtnh_ifindex);
}

static int on_attribute(const struct nlattr *attr, void *ctx)
{
    if (mnl_attr_get_type(attr) == RTA_OIF && mnl_attr_validate(attr, MNL_TYPE_U32) >= 0)
        add_interface(ctx, mnl_attr_get_u32(attr));
    else if (mnl_attr_get_type(attr) == RTA_MULTIPATH)
        add_next_hops(ctx, attr);
    return MNL_CB_OK;
}

static int on_route(const struct nlmsghdr *header, void *ctx)
{
    const struct rtmsg *route = mnl_nlmsg_get_payload(header);

    if (header->nlmsg_type != RTM_NEWROUTE || route->rtm_dst_len != 0 || route->rtm_type != RTN_UNICAST ||
        (route->rtm_flags & RTM_F_CLONED) != 0)
        return MNL_CB_OK;
    return mnl_attr_parse(header, sizeof *route, on_attribute, ctx);
}

static int dump_routes(struct mnl_socket *socket, unsigned char family, struct found *found)
{
    char buffer[16 * 1024] __attribute__((aligned(8)));
    struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
    struct rtmsg *route;
    unsigned seq = (unsigned)time(NULL) + family;
    ssize_t len;
    int more = MNL_CB_OK;

    header->nlmsg_type = RTM_GETROUTE;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    header->nlmsg_seq = seq;
    route = mnl_nlmsg_put_extra_header(header, sizeof *route);
    route->rtm_family = family;
    if (mnl_socket_sendto(socket, header, header->nlmsg_len) < 0)
        return PLAIT_ERR_IO;
    while (more > MNL_CB_STOP) {
        len = mnl_socket_recvfrom(socket, buffer, sizeof buffer);
        if (len <= 0)
            return PLAIT_ERR_IO;
        more = mnl_cb_run(buffer, (size_t)len, seq, mnl_socket_get_portid(socket), on_route, found);
    }
    return more == MNL_CB_STOP ? PLAIT_OK : PLAIT_ERR_IO;
}

int plait_netlink_default_interfaces(char (*names)[IF_NAMESIZE], size_t max)
{
    struct found found = {names, 0, max};
    struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    int v4 = PLAIT_ERR_IO, v6 = PLAIT_ERR_IO;

    if (socket == NULL)
        return PLAIT_ERR_IO;
    if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) == 0) {
        v4 = dump_routes(socket, AF_INET, &found);
        v6 = dump_routes(socket, AF_INET6, &found); /* a kernel without IPv6 refuses */
    }
    mnl_socket_close(socket);
    return v4 != PLAIT_OK && v6 != PLAIT_OK ? PLAIT_ERR_IO : (int)found.count;
}

struct plait_netlink_monitor {
    struct plait_watch watch;
    struct mnl_socket *socket;
    void (*changed)(void *ctx);
    void *ctx;
};

static void on_news(void *ctx)
{
    struct plait_netlink_monitor *m = ctx;
    char buffer[16 * 1024];

    /* What it says does not matter, nor whether some of it was lost: the owner looks at everything again. */
    while (recv(mnl_socket_get_fd(m->socket), buffer, sizeof buffer, MSG_DONTWAIT) > 0 || errno == ENOBUFS)
        ;
    m->changed(m->ctx);
}

struct plait_netlink_monitor *plait_netlink_monitor_new(struct plait_loop *loop, void (*changed)(void *ctx),
                                                        void *ctx)
{
    struct plait_netlink_monitor *m = calloc(1, sizeof *m);

    if (m == NULL)
        return NULL;
    m->changed = changed;
    m->ctx = ctx;
    m->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    if (m->socket != NULL &&
        mnl_socket_bind(m->socket, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR,
                        MNL_SOCKET_AUTOPID) == 0 &&
        plait_watch_init(&m->watch, loop, mnl_socket_get_fd(m->socket), on_news, m) == PLAIT_OK)
        return m;
    if (m->socket != NULL)
        mnl_socket_close(m->socket);
    free(m);
    return NULL;
}

static void on_closed(uv_handle_t *handle)
{
    struct plait_watch *watch = handle->data;
    struct plait_netlink_monitor *m = watch->ctx;

    mnl_socket_close(m->socket);
    free(m);
}

void plait_netlink_monitor_free(struct plait_netlink_monitor *m)
{
    if (m != NULL)
        uv_close((uv_handle_t *)&m->watch.uv, on_closed);
}
