#include "rtnl.h"
#include "rtattrs.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A request with its attributes is far below this; answers come in pieces of at most 32 KiB. */
#define REQUEST_MAX 1024
#define ANSWER_MAX  (32 * 1024)

int plait_rtnl_open(struct plait_rtnl *r)
{
    struct sockaddr_nl own = {.nl_family = AF_NETLINK};
    struct timeval patience = {.tv_sec = 5};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    if (fd < 0)
        return PLAIT_ERR_IO;
    if (bind(fd, (struct sockaddr *)&own, sizeof own) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0) {
        close(fd);
        return PLAIT_ERR_IO;
    }
    *r = (struct plait_rtnl){fd, 0};
    return PLAIT_OK;
}

void plait_rtnl_close(struct plait_rtnl *r)
{
    close(r->fd);
    r->fd = -1;
}

static int err_of_errno(void)
{
    switch (errno) {
    case EEXIST:
        return PLAIT_ERR_STATE;
    case ENODEV:
    case ENOENT:
    case ESRCH:
    case EADDRNOTAVAIL:
        return PLAIT_ERR_NOTFOUND;
    default:
        return PLAIT_ERR_IO;
    }
}

static struct nlmsghdr *begin(struct plait_rtnl *r, char *buffer, uint16_t type, unsigned flags)
{
    struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);

    h->nlmsg_type = type;
    h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    h->nlmsg_seq = ++r->seq;
    return h;
}

/* Sends the request and gives each message of the answer to `found`. */
static int ask(struct plait_rtnl *r, struct nlmsghdr *h, mnl_cb_t found, void *ctx)
{
    static _Thread_local char answer[ANSWER_MAX] __attribute__((aligned(8)));
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    int more = MNL_CB_OK;

    if (sendto(r->fd, h, h->nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0)
        return PLAIT_ERR_IO;
    while (more > MNL_CB_STOP) {
        ssize_t len = recv(r->fd, answer, sizeof answer, 0);
        if (len < 0 && errno == EINTR)
            continue;
        if (len <= 0)
            return PLAIT_ERR_IO;
        if (((const struct nlmsghdr *)(void *)answer)->nlmsg_seq != r->seq)
            continue; /* of a request that was given up */
        more = mnl_cb_run(answer, (size_t)len, r->seq, 0, found, ctx);
    }
    return more == MNL_CB_STOP ? PLAIT_OK : err_of_errno();
}

static int tell(struct plait_rtnl *r, struct nlmsghdr *h)
{
    h->nlmsg_flags |= NLM_F_ACK;
    return ask(r, h, NULL, NULL);
}

static struct nlmsghdr *begin_link(struct plait_rtnl *r, char *buffer, unsigned ifindex, bool change_up,
                                   bool up)
{
    struct nlmsghdr *h = begin(r, buffer, RTM_NEWLINK, 0);
    struct ifinfomsg *link = mnl_nlmsg_put_extra_header(h, sizeof *link);

    link->ifi_family = AF_UNSPEC;
    link->ifi_index = (int)ifindex;
    link->ifi_change = change_up ? IFF_UP : 0;
    link->ifi_flags = up ? IFF_UP : 0;
    return h;
}

int plait_rtnl_set_up(struct plait_rtnl *r, unsigned ifindex, bool up)
{
    char buffer[REQUEST_MAX] __attribute__((aligned(8)));

    return tell(r, begin_link(r, buffer, ifindex, true, up));
}

static int set_link_u32(struct plait_rtnl *r, unsigned ifindex, uint16_t attribute, uint32_t value)
{
    char buffer[REQUEST_MAX] __attribute__((aligned(8)));
    struct nlmsghdr *h = begin_link(r, buffer, ifindex, false, false);

    mnl_attr_put_u32(h, attribute, value);
    return tell(r, h);
}

int plait_rtnl_set_mtu(struct plait_rtnl *r, unsigned ifindex, unsigned mtu)
{
    return set_link_u32(r, ifindex, IFLA_MTU, mtu);
}

int plait_rtnl_set_queue(struct plait_rtnl *r, unsigned ifindex, unsigned packets)
{
    return set_link_u32(r, ifindex, IFLA_TXQLEN, packets);
}

static size_t size_of(int family)
{
    return family == AF_INET ? 4 : 16;
}

static int change_address(struct plait_rtnl *r, uint16_t type, unsigned flags, unsigned ifindex,
                          const struct plait_prefix *a)
{
    char buffer[REQUEST_MAX] __attribute__((aligned(8)));
    struct nlmsghdr *h = begin(r, buffer, type, flags);
    struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(h, sizeof *m);

    m->ifa_family = (uint8_t)a->family;
    m->ifa_prefixlen = (uint8_t)a->bits;
    m->ifa_index = ifindex;
    m->ifa_flags = a->family == AF_INET6 ? IFA_F_NODAD : 0;
    m->ifa_scope = RT_SCOPE_UNIVERSE;
    mnl_attr_put(h, IFA_LOCAL, size_of(a->family), a->address);
    mnl_attr_put(h, IFA_ADDRESS, size_of(a->family), a->address);
    return tell(r, h);
}

int plait_rtnl_add_address(struct plait_rtnl *r, unsigned ifindex, const struct plait_prefix *a)
{
    return change_address(r, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, ifindex, a);
}

int plait_rtnl_del_address(struct plait_rtnl *r, unsigned ifindex, const struct plait_prefix *a)
{
    return change_address(r, RTM_DELADDR, 0, ifindex, a);
}

static void put_metrics(struct nlmsghdr *h, const struct plait_rtnl_route *route)
{
    struct nlattr *nest;

    if (route->mtu == 0 && route->advmss == 0)
        return;
    nest = mnl_attr_nest_start(h, RTA_METRICS);
    if (route->mtu != 0)
        mnl_attr_put_u32(h, RTAX_MTU, route->mtu);
    if (route->advmss != 0)
        mnl_attr_put_u32(h, RTAX_ADVMSS, route->advmss);
    mnl_attr_nest_end(h, nest);
}

static int change_route(struct plait_rtnl *r, uint16_t type, unsigned flags,
                        const struct plait_rtnl_route *route)
{
    char buffer[REQUEST_MAX] __attribute__((aligned(8)));
    struct nlmsghdr *h = begin(r, buffer, type, flags);
    struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof *m);

    m->rtm_family = (uint8_t)route->to.family;
    m->rtm_dst_len = (uint8_t)route->to.bits;
    m->rtm_table = RT_TABLE_UNSPEC; /* RTA_TABLE has it */
    m->rtm_protocol = PLAIT_RTNL_PROTOCOL;
    m->rtm_scope = route->has_gateway || route->elsewhere || route->to.family == AF_INET6 ? RT_SCOPE_UNIVERSE
                                                                                          : RT_SCOPE_LINK;
    m->rtm_type = route->elsewhere ? RTN_THROW : RTN_UNICAST;
    mnl_attr_put_u32(h, RTA_TABLE, route->table != 0 ? route->table : (uint32_t)RT_TABLE_MAIN);
    mnl_attr_put(h, RTA_DST, size_of(route->to.family), route->to.address);
    if (route->ifindex != 0)
        mnl_attr_put_u32(h, RTA_OIF, route->ifindex);
    if (route->metric != 0)
        mnl_attr_put_u32(h, RTA_PRIORITY, route->metric);
    if (route->has_gateway)
        mnl_attr_put(h, RTA_GATEWAY, size_of(route->gateway.family), route->gateway.address);
    put_metrics(h, route);
    return tell(r, h);
}

int plait_rtnl_add_route(struct plait_rtnl *r, const struct plait_rtnl_route *route)
{
    return change_route(r, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route);
}

int plait_rtnl_del_route(struct plait_rtnl *r, const struct plait_rtnl_route *route)
{
    return change_route(r, RTM_DELROUTE, 0, route);
}

static int change_rule(struct plait_rtnl *r, uint16_t type, unsigned flags,
                       const struct plait_rtnl_rule *rule)
{
    char buffer[REQUEST_MAX] __attribute__((aligned(8)));
    struct nlmsghdr *h = begin(r, buffer, type, flags);
    struct fib_rule_hdr *m = mnl_nlmsg_put_extra_header(h, sizeof *m);

    m->family = (uint8_t)rule->family;
    m->action = FR_ACT_TO_TBL;
    m->flags = rule->invert ? FIB_RULE_INVERT : 0;
    mnl_attr_put_u32(h, FRA_TABLE, rule->table);
    mnl_attr_put_u32(h, FRA_PRIORITY, rule->priority);
    mnl_attr_put_u8(h, FRA_PROTOCOL, PLAIT_RTNL_PROTOCOL);
    if (rule->mask != 0) {
        mnl_attr_put_u32(h, FRA_FWMARK, rule->mark);
        mnl_attr_put_u32(h, FRA_FWMASK, rule->mask);
    }
    if (rule->suppress_prefix >= 0)
        mnl_attr_put_u32(h, FRA_SUPPRESS_PREFIXLEN, (uint32_t)rule->suppress_prefix);
    return tell(r, h);
}

int plait_rtnl_add_rule(struct plait_rtnl *r, const struct plait_rtnl_rule *rule)
{
    return change_rule(r, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule);
}

int plait_rtnl_del_rule(struct plait_rtnl *r, const struct plait_rtnl_rule *rule)
{
    return change_rule(r, RTM_DELRULE, 0, rule);
}

static void address_of(const struct plait_rtattrs *a, unsigned type, int family, struct plait_prefix *out)
{
    out->family = family;
    if (a->at[type] != NULL && mnl_attr_get_payload_len(a->at[type]) == size_of(family))
        memcpy(out->address, mnl_attr_get_payload(a->at[type]), size_of(family));
}

struct listing {
    struct plait_rtnl_route *routes;
    struct plait_rtnl_rule *rules;
    size_t count, max;
    uint32_t table;
};

static int on_route(const struct nlmsghdr *h, void *ctx)
{
    const struct rtmsg *m = mnl_nlmsg_get_payload(h);
    struct listing *list = ctx;
    struct plait_rtattrs a;
    struct plait_rtnl_route route = {.protocol = m->rtm_protocol, .elsewhere = m->rtm_type == RTN_THROW};

    if (h->nlmsg_type != RTM_NEWROUTE || (m->rtm_flags & RTM_F_CLONED) != 0 ||
        (m->rtm_type != RTN_UNICAST && m->rtm_type != RTN_THROW))
        return MNL_CB_OK;
    plait_rtattrs_read(h, sizeof *m, &a);
    route.table = plait_rtattrs_u32(&a, RTA_TABLE, m->rtm_table);
    if (list->table != 0 && route.table != list->table)
        return MNL_CB_OK;
    address_of(&a, RTA_DST, m->rtm_family, &route.to);
    route.to.bits = m->rtm_dst_len;
    route.ifindex = plait_rtattrs_u32(&a, RTA_OIF, 0);
    route.metric = plait_rtattrs_u32(&a, RTA_PRIORITY, 0);
    route.has_gateway = a.at[RTA_GATEWAY] != NULL;
    address_of(&a, RTA_GATEWAY, m->rtm_family, &route.gateway);
    if (list->count < list->max)
        list->routes[list->count] = route;
    list->count++;
    return MNL_CB_OK;
}

static int on_rule(const struct nlmsghdr *h, void *ctx)
{
    const struct fib_rule_hdr *m = mnl_nlmsg_get_payload(h);
    struct listing *list = ctx;
    struct plait_rtattrs a;
    struct plait_rtnl_rule rule = {.family = m->family, .suppress_prefix = -1};

    if (h->nlmsg_type != RTM_NEWRULE)
        return MNL_CB_OK;
    plait_rtattrs_read(h, sizeof *m, &a);
    rule.priority = plait_rtattrs_u32(&a, FRA_PRIORITY, 0);
    rule.table = plait_rtattrs_u32(&a, FRA_TABLE, m->table);
    rule.mark = plait_rtattrs_u32(&a, FRA_FWMARK, 0);
    rule.mask = plait_rtattrs_u32(&a, FRA_FWMASK, 0);
    rule.invert = (m->flags & FIB_RULE_INVERT) != 0;
    rule.suppress_prefix = (int)plait_rtattrs_u32(&a, FRA_SUPPRESS_PREFIXLEN, UINT32_MAX);
    if (a.at[FRA_PROTOCOL] != NULL && mnl_attr_validate(a.at[FRA_PROTOCOL], MNL_TYPE_U8) >= 0)
        rule.protocol = mnl_attr_get_u8(a.at[FRA_PROTOCOL]);
    if (list->count < list->max)
        list->rules[list->count] = rule;
    list->count++;
    return MNL_CB_OK;
}

int plait_rtnl_routes(struct plait_rtnl *r, int family, uint32_t table, struct plait_rtnl_route *out,
                      size_t max)
{
    char buffer[REQUEST_MAX] __attribute__((aligned(8)));
    struct nlmsghdr *h = begin(r, buffer, RTM_GETROUTE, NLM_F_DUMP);
    struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof *m);
    struct listing list = {.routes = out, .max = max, .table = table};
    int err;

    m->rtm_family = (uint8_t)family;
    err = ask(r, h, on_route, &list);
    return err == PLAIT_OK ? (int)list.count : err;
}

int plait_rtnl_rules(struct plait_rtnl *r, int family, struct plait_rtnl_rule *out, size_t max)
{
    char buffer[REQUEST_MAX] __attribute__((aligned(8)));
    struct nlmsghdr *h = begin(r, buffer, RTM_GETRULE, NLM_F_DUMP);
    struct fib_rule_hdr *m = mnl_nlmsg_put_extra_header(h, sizeof *m);
    struct listing list = {.rules = out, .max = max};
    int err;

    m->family = (uint8_t)family;
    err = ask(r, h, on_rule, &list);
    return err == PLAIT_OK ? (int)list.count : err;
}
