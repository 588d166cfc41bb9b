#include "nat.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <net/if.h>
#include <nftables/libnftables.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sysctl.h"

/* Commands for nft, which is given all of them at once: the kernel takes all or nothing. */
struct script {
    char *text; /* owned */
    size_t len;
    FILE *out;
};

static bool is_interface(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || len > 15)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)name[i]) && strchr("._-", name[i]) == NULL)
            return false;
    return true;
}

/* `inet plait_IFNAME`: a table's name has neither `.` nor `-` at every version's parser. */
static const char *table_of(const char *interface, char out[32])
{
    int len = snprintf(out, 32, "inet plait_%s", interface);

    for (int i = 5; i < len; i++)
        if (!isalnum((unsigned char)out[i]) && out[i] != '_')
            out[i] = '_';
    return out;
}

static const char *address_of(const struct plait_prefix *p, char out[INET6_ADDRSTRLEN])
{
    if (inet_ntop(p->family, p->address, out, INET6_ADDRSTRLEN) == NULL)
        out[0] = '\0';
    return out;
}

static void put_masquerade(FILE *f, const struct plait_nat_options *o)
{
    char address[INET6_ADDRSTRLEN];

    fprintf(f, " chain postrouting { type nat hook postrouting priority 100; policy accept;\n");
    for (size_t i = 0; i < o->network_count; i++)
        fprintf(f, "  oifname \"%s\" %s saddr %s/%u masquerade\n", o->out,
                o->networks[i].family == AF_INET ? "ip" : "ip6", address_of(&o->networks[i], address),
                o->networks[i].bits);
    fprintf(f, " }\n");
}

static void put_publish(FILE *f, const struct plait_nat_options *o)
{
    char address[INET6_ADDRSTRLEN];

    fprintf(f, " chain prerouting { type nat hook prerouting priority -100; policy accept;\n");
    for (size_t i = 0; i < o->publish_count; i++) {
        const struct plait_nat_publish *p = &o->publish[i];
        bool v4 = p->to.family == AF_INET;
        /* Only what is meant for this machine itself. */
        fprintf(f,
                "  iifname != \"%s\" fib daddr type local meta nfproto %s %s dport %u dnat %s to %s%s%s:%u\n",
                o->interface, v4 ? "ipv4" : "ipv6", p->udp ? "udp" : "tcp", p->port, v4 ? "ip" : "ip6",
                v4 ? "" : "[", address_of(&p->to, address), v4 ? "" : "]", p->to_port);
    }
    fprintf(f, " }\n");
}

static void put_clamp(FILE *f, const struct plait_nat_options *o)
{
    fprintf(f,
            " chain forward { type filter hook forward priority -150; policy accept;\n"
            "  oifname \"%s\" tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu\n"
            "  iifname \"%s\" tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu\n }\n",
            o->interface, o->interface);
}

static void put_idle(FILE *f, const struct plait_nat_options *o)
{
    static const char *const versions[] = {"ip", "ip6"};

    for (size_t i = 0; i < 2; i++)
        fprintf(
            f, " ct timeout idle_%s { protocol udp; l3proto %s; policy = { unreplied: %u, replied: %u }; }\n",
            versions[i], versions[i], o->udp_idle_s, o->udp_idle_s);
    /* Before the first packet's connection is confirmed, and after it has been looked up. */
    fprintf(f, " chain idle { type filter hook prerouting priority -150; policy accept;\n"
               "  meta nfproto ipv4 meta l4proto udp ct state new ct timeout set \"idle_ip\"\n"
               "  meta nfproto ipv6 meta l4proto udp ct state new ct timeout set \"idle_ip6\"\n }\n");
}

/* Creating a table that is there changes nothing; after that it can be deleted. */
static void put_script(FILE *f, const struct plait_nat_options *o, bool idle)
{
    char table[32];

    table_of(o->interface, table);
    fprintf(f, "add table %s\ndelete table %s\ntable %s {\n", table, table, table);
    if (o->out != NULL && o->network_count > 0)
        put_masquerade(f, o);
    if (o->publish_count > 0)
        put_publish(f, o);
    if (o->clamp)
        put_clamp(f, o);
    if (idle)
        put_idle(f, o);
    fprintf(f, "}\n");
}

/* nft's own words, in one line. */
static void take_error(struct nft_ctx *nft, char error[PLAIT_NAT_ERROR_MAX])
{
    const char *said = nft_ctx_get_error_buffer(nft);

    snprintf(error, PLAIT_NAT_ERROR_MAX, "%s", said != NULL && said[0] != '\0' ? said : "nftables refuses");
    error[strcspn(error, "\n")] = '\0';
}

static int run(const char *text, char error[PLAIT_NAT_ERROR_MAX])
{
    struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
    int err = PLAIT_ERR_NOMEM;

    error[0] = '\0';
    if (nft == NULL) {
        snprintf(error, PLAIT_NAT_ERROR_MAX, "out of memory");
        return PLAIT_ERR_NOMEM;
    }
    if (nft_ctx_buffer_error(nft) == 0 && nft_ctx_buffer_output(nft) == 0)
        err = nft_run_cmd_from_buffer(nft, text) == 0 ? PLAIT_OK : PLAIT_ERR_IO;
    if (err != PLAIT_OK)
        take_error(nft, error);
    nft_ctx_free(nft);
    return err;
}

static int run_options(const struct plait_nat_options *o, bool idle, char error[PLAIT_NAT_ERROR_MAX])
{
    struct script s = {0};
    int err = PLAIT_ERR_NOMEM;

    s.out = open_memstream(&s.text, &s.len);
    if (s.out != NULL) {
        put_script(s.out, o, idle);
        if (fclose(s.out) == 0)
            err = run(s.text, error);
    }
    free(s.text);
    return err;
}

int plait_nat_set(const struct plait_nat_options *o, char error[PLAIT_NAT_ERROR_MAX])
{
    int err;

    error[0] = '\0';
    if (!is_interface(o->interface) || (o->out != NULL && !is_interface(o->out))) {
        snprintf(error, PLAIT_NAT_ERROR_MAX, "this is no name of an interface");
        return PLAIT_ERR_ARG;
    }
    err = run_options(o, o->udp_idle_s > 0, error);
    if (err == PLAIT_OK || o->udp_idle_s == 0)
        return err;
    /* Perhaps it is the timeouts that this kernel does not have. */
    char second[PLAIT_NAT_ERROR_MAX];
    return run_options(o, false, second) == PLAIT_OK ? 1 : err;
}

int plait_nat_clear(const char *interface, char error[PLAIT_NAT_ERROR_MAX])
{
    char table[32], text[128];

    error[0] = '\0';
    if (!is_interface(interface))
        return 0;
    table_of(interface, table);
    snprintf(text, sizeof text, "list table %s\n", table);
    if (run(text, error) != PLAIT_OK) {
        error[0] = '\0';
        return 0;
    }
    snprintf(text, sizeof text, "add table %s\ndelete table %s\n", table, table);
    return run(text, error) == PLAIT_OK ? 1 : PLAIT_ERR_IO;
}

/* Routers are listened to where they were, though this machine becomes one. */
static void keep_router_advertisements(void)
{
    struct if_nameindex *list = if_nameindex();
    char name[64];
    int64_t value;

    for (struct if_nameindex *i = list; i != NULL && i->if_index != 0; i++) {
        snprintf(name, sizeof name, "ipv6/conf/%s/accept_ra", i->if_name);
        if (plait_sysctl_get(name, &value) == PLAIT_OK && value == 1)
            (void)!plait_sysctl_set(name, 2);
    }
    if_freenameindex(list);
}

static void name_forwarding(const char *interface, int family, char *out, size_t size)
{
    if (family == AF_INET6)
        snprintf(out, size, "ipv6/conf/all/forwarding");
    else if (interface == NULL)
        snprintf(out, size, "ipv4/ip_forward");
    else
        snprintf(out, size, "ipv4/conf/%s/forwarding", interface);
}

int plait_nat_forward(const char *interface, int family)
{
    char name[64];
    int64_t value;

    if (interface != NULL && !is_interface(interface))
        return PLAIT_ERR_IO;
    name_forwarding(interface, family, name, sizeof name);
    if (plait_sysctl_get(name, &value) != PLAIT_OK)
        return PLAIT_ERR_IO;
    if (value != 0)
        return 0;
    if (family == AF_INET6)
        keep_router_advertisements();
    return plait_sysctl_set(name, 1) == PLAIT_OK ? 1 : PLAIT_ERR_IO;
}

static bool parse_port(const char **at, uint16_t *out)
{
    char *end;
    long value;

    if (!isdigit((unsigned char)**at))
        return false;
    value = strtol(*at, &end, 10);
    if (value < 1 || value > UINT16_MAX)
        return false;
    *at = end;
    *out = (uint16_t)value;
    return true;
}

/* The host, in brackets where it is an address of IPv6. */
static bool parse_host(const char **at, char *host, size_t size)
{
    bool brackets = **at == '[';
    const char *from = *at + brackets;
    size_t len = strcspn(from, brackets ? "]" : ": \t");

    if (len == 0 || len >= size || (brackets && from[len] != ']'))
        return false;
    memcpy(host, from, len);
    host[len] = '\0';
    *at = from + len + brackets;
    return true;
}

int plait_nat_parse_publish(const char *text, bool *udp, uint16_t *port, char *host, size_t host_size,
                            uint16_t *to_port)
{
    bool is_udp = strncmp(text, "udp/", 4) == 0;
    const char *at = text + 4;
    uint16_t from, to;

    if (!is_udp && strncmp(text, "tcp/", 4) != 0)
        return PLAIT_ERR_FORMAT;
    if (!parse_port(&at, &from))
        return PLAIT_ERR_FORMAT;
    at += strspn(at, " \t");
    if (strncmp(at, "->", 2) != 0)
        return PLAIT_ERR_FORMAT;
    at += 2 + strspn(at + 2, " \t");
    if (!parse_host(&at, host, host_size))
        return PLAIT_ERR_FORMAT;
    to = from;
    if (*at == ':' && (at++, !parse_port(&at, &to)))
        return PLAIT_ERR_FORMAT;
    if (*at != '\0')
        return PLAIT_ERR_FORMAT;
    *udp = is_udp;
    *port = from;
    *to_port = to;
    return PLAIT_OK;
}
