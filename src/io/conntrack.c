#include "conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack_tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "sysctl.h"

/* How long the kernel waits in each state of TCP; connection tracking's own numbers. */
static const char *const tcp_names[] = {
    [TCP_CONNTRACK_SYN_SENT] = "syn_sent",       [TCP_CONNTRACK_SYN_RECV] = "syn_recv",
    [TCP_CONNTRACK_ESTABLISHED] = "established", [TCP_CONNTRACK_FIN_WAIT] = "fin_wait",
    [TCP_CONNTRACK_CLOSE_WAIT] = "close_wait",   [TCP_CONNTRACK_LAST_ACK] = "last_ack",
    [TCP_CONNTRACK_TIME_WAIT] = "time_wait",     [TCP_CONNTRACK_CLOSE] = "close",
};
#define TCP_NAMES (sizeof tcp_names / sizeof tcp_names[0])

struct listing {
    const struct plait_conntrack_query *query;
    int64_t tcp_s[TCP_NAMES];
    int64_t udp_s, udp_stream_s, icmp_s;
    int result;
};

static int64_t setting(const char *name, int64_t otherwise)
{
    char path[96];
    int64_t value;

    snprintf(path, sizeof path, "netfilter/nf_conntrack_%s", name);
    return plait_sysctl_get(path, &value) == PLAIT_OK ? value : otherwise;
}

static void read_settings(struct listing *list)
{
    char name[64];

    for (size_t i = 0; i < TCP_NAMES; i++) {
        list->tcp_s[i] = 0;
        if (tcp_names[i] == NULL)
            continue;
        snprintf(name, sizeof name, "tcp_timeout_%s", tcp_names[i]);
        list->tcp_s[i] = setting(name, 0);
    }
    list->udp_s = list->udp_stream_s = list->query->udp_idle_s;
    if (list->query->udp_idle_s == 0) {
        list->udp_s = setting("udp_timeout", 30);
        list->udp_stream_s = setting("udp_timeout_stream", 120);
    }
    list->icmp_s = setting("icmp_timeout", 30);
}

static int64_t whole_time(const struct listing *list, const struct nf_conntrack *ct, uint8_t protocol)
{
    uint32_t status = nfct_get_attr_u32(ct, ATTR_STATUS);
    uint8_t state;

    if (protocol == IPPROTO_UDP)
        return (status & IPS_ASSURED) != 0 ? list->udp_stream_s : list->udp_s;
    if (protocol != IPPROTO_TCP)
        return list->icmp_s;
    state = nfct_get_attr_u8(ct, ATTR_TCP_STATE);
    return state < TCP_NAMES ? list->tcp_s[state] : 0;
}

static struct plait_prefix address_of(const struct nf_conntrack *ct, int family, enum nf_conntrack_attr v4,
                                      enum nf_conntrack_attr v6)
{
    struct plait_prefix p = {.family = family, .bits = family == AF_INET ? 32 : 128};
    const void *bytes = nfct_get_attr(ct, family == AF_INET ? v4 : v6);

    if (bytes != NULL)
        memcpy(p.address, bytes, p.bits / 8);
    return p;
}

static bool is_within(const struct plait_prefix *address, const struct plait_prefix *net)
{
    if (address->family != net->family || memcmp(address->address, net->address, net->bits / 8) != 0)
        return false;
    if (net->bits % 8 == 0)
        return true;
    uint8_t mask = (uint8_t)(0xff << (8 - net->bits % 8));
    return ((address->address[net->bits / 8] ^ net->address[net->bits / 8]) & mask) == 0;
}

static bool is_inner(const struct listing *list, const struct plait_prefix *address)
{
    for (size_t i = 0; i < list->query->network_count; i++)
        if (is_within(address, &list->query->networks[i]))
            return true;
    return false;
}

static uint16_t port_of(const struct nf_conntrack *ct, enum nf_conntrack_attr attr)
{
    return nfct_attr_is_set(ct, attr) ? ntohs(nfct_get_attr_u16(ct, attr)) : 0;
}

/* From inside: the answers' destination is the dedicated port. Published: what was asked is, and who answers is
 * inside. */
static bool read_port(const struct listing *list, const struct nf_conntrack *ct,
                      struct plait_conntrack_port *out)
{
    int family = nfct_get_attr_u8(ct, ATTR_L3PROTO);
    struct plait_prefix from, answers;
    bool icmp;

    if (family != AF_INET && family != AF_INET6)
        return false;
    memset(out, 0, sizeof *out);
    out->protocol = nfct_get_attr_u8(ct, ATTR_L4PROTO);
    icmp = out->protocol == IPPROTO_ICMP || out->protocol == IPPROTO_ICMPV6;
    from = address_of(ct, family, ATTR_ORIG_IPV4_SRC, ATTR_ORIG_IPV6_SRC);
    answers = address_of(ct, family, ATTR_REPL_IPV4_SRC, ATTR_REPL_IPV6_SRC);
    if (is_inner(list, &from)) {
        out->inner = from;
        out->remote = address_of(ct, family, ATTR_ORIG_IPV4_DST, ATTR_ORIG_IPV6_DST);
        out->inner_port = icmp ? port_of(ct, ATTR_ICMP_ID) : port_of(ct, ATTR_ORIG_PORT_SRC);
        out->remote_port = icmp ? 0 : port_of(ct, ATTR_ORIG_PORT_DST);
        out->port = icmp ? out->inner_port : port_of(ct, ATTR_REPL_PORT_DST);
        /* What stays inside has no port of the hub. */
        return !is_inner(list, &out->remote);
    }
    out->published = true;
    out->inner = answers;
    out->inner_port = port_of(ct, ATTR_REPL_PORT_SRC);
    out->remote = from;
    out->remote_port = port_of(ct, ATTR_ORIG_PORT_SRC);
    out->port = port_of(ct, ATTR_ORIG_PORT_DST);
    return is_inner(list, &answers) && (nfct_get_attr_u32(ct, ATTR_STATUS) & IPS_DST_NAT) != 0;
}

static int on_entry(enum nf_conntrack_msg_type type, struct nf_conntrack *ct, void *ctx)
{
    struct listing *list = ctx;
    struct plait_conntrack_port port;
    int64_t whole;

    (void)type;
    if (!read_port(list, ct, &port))
        return NFCT_CB_CONTINUE;
    port.left_s = nfct_get_attr_u32(ct, ATTR_TIMEOUT);
    whole = whole_time(list, ct, port.protocol);
    port.idle_s = whole > (int64_t)port.left_s ? (uint32_t)(whole - (int64_t)port.left_s) : 0;
    list->result = list->query->found(list->query->ctx, &port);
    return list->result == 0 ? NFCT_CB_CONTINUE : NFCT_CB_STOP;
}

int plait_conntrack_list(const struct plait_conntrack_query *q)
{
    static const uint32_t families[] = {AF_INET, AF_INET6};
    struct listing list = {.query = q};
    struct nfct_handle *h = nfct_open(CONNTRACK, 0);

    if (h == NULL)
        return errno == EPROTONOSUPPORT || errno == EINVAL ? PLAIT_ERR_NOTFOUND : PLAIT_ERR_IO;
    read_settings(&list);
    if (nfct_callback_register(h, NFCT_T_ALL, on_entry, &list) != 0)
        list.result = PLAIT_ERR_IO;
    for (size_t i = 0; i < 2 && list.result == 0; i++)
        if (nfct_query(h, NFCT_Q_DUMP, &families[i]) < 0 && list.result == 0)
            list.result = errno == EINVAL || errno == EOPNOTSUPP ? PLAIT_ERR_NOTFOUND : PLAIT_ERR_IO;
    nfct_close(h);
    return list.result;
}
