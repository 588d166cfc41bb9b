#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conntrack.h"
#include "hub_int.h"
#include "units.h"

struct listing {
    const struct plait_table *table;
    json_t *ports;
};

static const char *protocol_name(uint8_t protocol)
{
    return protocol == IPPROTO_TCP ? "tcp" : protocol == IPPROTO_UDP ? "udp" : "icmp";
}

static json_t *place(const struct plait_prefix *address, uint16_t port)
{
    char text[INET6_ADDRSTRLEN], both[INET6_ADDRSTRLEN + 10];

    inet_ntop(address->family, address->address, text, sizeof text);
    snprintf(both, sizeof both, address->family == AF_INET6 ? "[%s]:%u" : "%s:%u", text, port);
    return json_string(both);
}

static int found(void *ctx, const struct plait_conntrack_port *port)
{
    struct listing *l = ctx;
    uint32_t node = plait_table_find(l->table, port->inner.family == AF_INET6, port->inner.address);
    const struct plait_hub_node_settings *n =
        node != PLAIT_TABLE_NONE ? &l->table->settings->nodes[node] : NULL;

    json_t *o =
        json_pack("{s:s, s:i, s:o, s:o, s:o, s:o, s:i, s:i, s:b}", "protocol", protocol_name(port->protocol),
                  "port", (int)port->port, "node", n != NULL ? json_string(n->name) : json_null(), "lan",
                  n != NULL && n->has_lan ? json_integer(n->lan) : json_null(), "inner",
                  place(&port->inner, port->inner_port), "remote", place(&port->remote, port->remote_port),
                  "idle", (int)port->idle_s, "left", (int)port->left_s, "published", (int)port->published);
    return json_array_append_new(l->ports, o) == 0 ? 0 : PLAIT_ERR_NOMEM;
}

json_t *plait_hub_ports(struct plait_hub *h)
{
    const struct plait_hub_settings *s = h->table->settings;
    struct listing l = {.table = h->table, .ports = json_array()};
    struct plait_prefix networks[2];
    struct plait_conntrack_query query = {
        .networks = networks, .udp_idle_s = (unsigned)(s->udp_idle_ns / PLAIT_S), .found = found, .ctx = &l};

    if (s->network4.family != 0)
        networks[query.network_count++] = s->network4;
    if (s->network6.family != 0)
        networks[query.network_count++] = s->network6;
    int err = plait_conntrack_list(&query);
    if (err == PLAIT_OK)
        return json_pack("{s:o}", "ports", l.ports);
    json_decref(l.ports);
    return json_pack("{s:s}", "error",
                     err == PLAIT_ERR_NOTFOUND
                         ? "this kernel does not list connections (nf_conntrack_netlink)"
                         : plait_reason(err));
}
