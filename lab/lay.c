#include "lay.h"
#include "netns.h"
#include "units.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Rules are looked at in this order; main is 32766. */
enum {
    PREF_FIRST = 1000,  /* + link: at the first host, by source address or device */
    PREF_NEAR = 2000,   /* anything more special than a default route in main */
    PREF_SECOND = 3000, /* + link: at the second host */
    TABLE = 100,        /* + link */
};

struct layer {
    const struct lab_topology *topology;
    const char *id;
    FILE *told;
};

/* Settings of every namespace, before it has devices: no filtering by source, no waiting for addresses. */
static const char *const settings[][2] = {
    {"net.ipv4.conf.all.rp_filter", "0"},
    {"net.ipv4.conf.default.rp_filter", "0"},
    {"net.ipv6.conf.all.accept_ra", "0"},
    {"net.ipv6.conf.default.accept_ra", "0"},
    {"net.ipv6.conf.default.accept_dad", "0"},
    {"net.ipv4.conf.all.accept_redirects", "0"},
    {"net.ipv4.conf.default.accept_redirects", "0"},
    {"net.ipv4.conf.all.send_redirects", "0"},
    {"net.ipv4.conf.default.send_redirects", "0"},
};

static int ip_family(const struct layer *l, const char *netns, bool six, const char *lines)
{
    if (l->told && *lines)
        fprintf(l->told, "# %s%s\n%s", netns ? netns : "namespaces", six ? ", -6" : "", lines);
    return lab_netns_ip(netns, six, lines);
}

static int ip(const struct layer *l, const char *netns, const char *lines)
{
    return ip_family(l, netns, false, lines);
}

static int set(const struct layer *l, const char *netns, const char *key, const char *value)
{
    if (l->told)
        fprintf(l->told, "# %s: sysctl %s=%s\n", netns, key, value);
    return lab_netns_sysctl(netns, key, value);
}

static bool is_six(const char *addr)
{
    return strchr(addr, ':') != NULL;
}

static void bare(char out[LAB_ADDR_MAX], const char *addr)
{
    snprintf(out, LAB_ADDR_MAX, "%.*s", (int)strcspn(addr, "/"), addr);
}

static int make_netns(const struct layer *l, const char *host, bool forward)
{
    char netns[LAB_NETNS_MAX], line[LAB_NETNS_MAX + 32];
    lab_netns_name(netns, l->id, host);
    snprintf(line, sizeof line, "netns add %s\n", netns);
    int err = ip(l, NULL, line);
    for (size_t i = 0; i < PLAIT_COUNT(settings) && !err; i++)
        err = lab_netns_sysctl(netns, settings[i][0], settings[i][1]);
    if (!err && forward)
        err = set(l, netns, "net.ipv4.ip_forward", "1");
    if (!err && forward)
        err = set(l, netns, "net.ipv6.conf.all.forwarding", "1");
    return err ? err : ip(l, netns, "link set dev lo up\n");
}

static bool has_six(const struct lab_end *end)
{
    for (size_t i = 0; i < end->addr_count; i++)
        if (is_six(end->addr[i]))
            return true;
    return false;
}

static int make_tun(const char *netns, const struct lab_link *link, int end)
{
    char key[64];
    int fd = lab_netns_tun(netns, link->name);
    if (fd < 0 || has_six(&link->end[end]))
        return fd;
    /* Otherwise IPv6 would now and then report its multicast groups, and be counted. */
    snprintf(key, sizeof key, "net.ipv6.conf.%s.disable_ipv6", link->name);
    int err = lab_netns_sysctl(netns, key, "1");
    if (err)
        close(fd);
    return err ? err : fd;
}

static int make_link(const struct layer *l, const struct lab_link *link, int tun_fd[2])
{
    char netns[2][LAB_NETNS_MAX], line[256];
    for (int end = 0; end < 2; end++)
        lab_netns_name(netns[end], l->id, l->topology->host[link->end[end].host].name);
    if (!link->emulated) {
        snprintf(line, sizeof line, "link add name %s type veth peer name %s netns %s\n", link->name,
                 link->name, netns[1]);
        return ip(l, netns[0], line);
    }
    for (int end = 0; end < 2; end++) {
        if (l->told)
            fprintf(l->told, "# %s\ntuntap add %s mode tun\n", netns[end], link->name);
        tun_fd[end] = make_tun(netns[end], link, end);
        if (tun_fd[end] < 0)
            return tun_fd[end];
    }
    return 0;
}

static int make_lan(const struct layer *l, const struct lab_lan *lan)
{
    char netns[LAB_NETNS_MAX], far[LAB_NETNS_MAX], *lines = NULL;
    size_t size = 0;
    int err = make_netns(l, lan->name, false);
    FILE *f = err ? NULL : open_memstream(&lines, &size);
    if (!f)
        return err ? err : PLAIT_ERR_NOMEM;
    lab_netns_name(netns, l->id, lan->name);
    fprintf(f, "link add name br-lan type bridge\nlink set dev br-lan up\n");
    for (size_t i = 0; i < lan->end_count; i++) {
        const char *host = l->topology->host[lan->end[i].host].name;
        lab_netns_name(far, l->id, host);
        fprintf(f, "link add name %s type veth peer name %s netns %s\n", host, lan->name, far);
        fprintf(f, "link set dev %s master br-lan up\n", host);
    }
    fclose(f);
    err = ip(l, netns, lines);
    free(lines);
    return err;
}

static void write_addrs(FILE *f, const struct lab_end *end, const char *dev, bool six)
{
    for (size_t i = 0; i < end->addr_count; i++)
        if (is_six(end->addr[i]) == six)
            fprintf(f, "address add %s dev %s%s\n", end->addr[i], dev, six ? " nodad" : "");
}

/* An end's first address of the family, without prefix length; "" if there is none. */
static void first_addr(char out[LAB_ADDR_MAX], const struct lab_end *end, bool six)
{
    out[0] = '\0';
    for (size_t i = 0; i < end->addr_count && !*out; i++)
        if (is_six(end->addr[i]) == six)
            bare(out, end->addr[i]);
}

/* The link's own table at one end: everything goes out of the link, to the far end. */
static void write_policy(FILE *f, const struct lab_link *link, size_t number, int end, bool six)
{
    const struct lab_end *near = &link->end[end];
    char source[LAB_ADDR_MAX], peer[LAB_ADDR_MAX];
    size_t pref = (end == 0 ? PREF_FIRST : PREF_SECOND) + number;
    first_addr(source, near, six);
    first_addr(peer, &link->end[1 - end], six);
    if (!*source || !*peer)
        return;
    for (size_t i = 0; i < near->addr_count; i++) {
        char from[LAB_ADDR_MAX];
        bare(from, near->addr[i]);
        if (is_six(from) == six)
            fprintf(f, "rule add pref %zu from %s lookup %zu\n", pref, from, TABLE + number);
    }
    fprintf(f, "rule add pref %zu oif %s lookup %zu\n", pref, link->name, TABLE + number);
    fprintf(f, "route add default via %s dev %s src %s table %zu onlink\n", peer, link->name, source,
            TABLE + number);
    if (end == 0 && link->has_default)
        fprintf(f, "route add default via %s dev %s src %s metric %u onlink\n", peer, link->name, source,
                link->metric);
}

static void write_link(FILE *f, const struct lab_link *link, size_t number, int end, bool six)
{
    if (!six && link->emulated)
        fprintf(f, "link set dev %s addrgenmode none txqueuelen 1000\n", link->name);
    if (!six)
        fprintf(f, "link set dev %s mtu %u up\n", link->name, link->mtu_bytes);
    write_addrs(f, &link->end[end], link->name, six);
    write_policy(f, link, number, end, six);
}

static void write_lans(FILE *f, const struct lab_topology *t, size_t host, bool six)
{
    for (size_t i = 0; i < t->lan_count; i++) {
        const struct lab_lan *lan = &t->lan[i];
        for (size_t j = 0; j < lan->end_count; j++) {
            if (lan->end[j].host != host)
                continue;
            if (!six)
                fprintf(f, "link set dev %s up\n", lan->name);
            write_addrs(f, &lan->end[j], lan->name, six);
        }
    }
}

/* All of a host that concerns one family; what concerns none goes with IPv4. */
static void write_host(FILE *f, const struct lab_topology *t, size_t host, bool six)
{
    fprintf(f, "rule add pref %d lookup main suppress_prefixlength 0\n", PREF_NEAR);
    write_lans(f, t, host, six);
    for (size_t i = 0; i < t->link_count; i++)
        for (int end = 0; end < 2; end++)
            if (t->link[i].end[end].host == host)
                write_link(f, &t->link[i], i, end, six);
    for (size_t i = 0; i < t->addr_count; i++)
        if (t->addr[i].host == host && is_six(t->addr[i].text) == six)
            fprintf(f, "address add %s%s\n", t->addr[i].text,
                    strstr(t->addr[i].text, " dev ") ? "" : " dev lo");
    for (size_t i = 0; i < t->route_count; i++)
        if (t->route[i].host == host && is_six(t->route[i].text) == six)
            fprintf(f, "route add %s\n", t->route[i].text);
}

static int lay_family(const struct layer *l, size_t host, bool six)
{
    char netns[LAB_NETNS_MAX], *lines = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&lines, &size);
    if (!f)
        return PLAIT_ERR_NOMEM;
    lab_netns_name(netns, l->id, l->topology->host[host].name);
    write_host(f, l->topology, host, six);
    fclose(f);
    int err = ip_family(l, netns, six, lines);
    free(lines);
    return err;
}

static int lay_sysctls(const struct layer *l, size_t host)
{
    const struct lab_topology *t = l->topology;
    char netns[LAB_NETNS_MAX], key[LAB_TEXT_MAX];
    int err = 0;
    lab_netns_name(netns, l->id, t->host[host].name);
    for (size_t i = 0; i < t->sysctl_count && !err; i++) {
        size_t len = strcspn(t->sysctl[i].text, " ");
        if (t->sysctl[i].host != host)
            continue;
        snprintf(key, sizeof key, "%.*s", (int)len, t->sysctl[i].text);
        err = set(l, netns, key, t->sysctl[i].text + len + 1);
    }
    return err;
}

static int lay_host(const struct layer *l, size_t host)
{
    int err = lay_family(l, host, false);
    if (!err)
        err = lay_family(l, host, true);
    return err ? err : lay_sysctls(l, host);
}

int lab_lay(const struct lab_topology *t, const char *id, int tun_fd[LAB_LINKS_MAX][2], FILE *told)
{
    struct layer l = {.topology = t, .id = id, .told = told};
    int err = 0;
    for (size_t i = 0; i < LAB_LINKS_MAX; i++)
        tun_fd[i][0] = tun_fd[i][1] = -1;
    for (size_t i = 0; i < t->host_count && !err; i++)
        err = make_netns(&l, t->host[i].name, t->host[i].forward);
    for (size_t i = 0; i < t->link_count && !err; i++)
        err = make_link(&l, &t->link[i], tun_fd[i]);
    for (size_t i = 0; i < t->lan_count && !err; i++)
        err = make_lan(&l, &t->lan[i]);
    for (size_t i = 0; i < t->host_count && !err; i++)
        err = lay_host(&l, i);
    return err;
}
