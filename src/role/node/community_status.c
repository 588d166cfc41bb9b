#include <arpa/inet.h>
#include <string.h>

#include "community_node.h"
#include "node_int.h"
#include "report.h"
#include "units.h"

#define WEIGHT_UNIT 1000.0

static json_t *text_of(const struct plait_node_community *c, const struct plait_origin *o)
{
    char text[INET6_ADDRSTRLEN];

    return json_string(c->family == AF_INET6 ? inet_ntop(AF_INET6, o->address, text, sizeof text)
                                             : inet_ntop(AF_INET, o->address + 12, text, sizeof text));
}

/* A line of the seed's router list: address, port, missed announces, weight, and what we have measured. */
static json_t *link_of(struct plait_node *n, const struct plait_community_member *m, size_t i)
{
    const struct plait_announce_uplink *u = &m->uplinks[i];
    json_t *o =
        json_pack("{s:i, s:i, s:b}", "uplink", (int)u->id, "port", (int)u->port, "backup", (int)u->backup);
    struct plait_bond_path_info info;

    json_object_set_new(o, "weight_up",
                        u->weight_up == 0 ? json_string("auto") : json_real(u->weight_up / WEIGHT_UNIT));
    json_object_set_new(o, "weight_down",
                        u->weight_down == 0 ? json_string("auto") : json_real(u->weight_down / WEIGHT_UNIT));
    for (unsigned path = 0; path < PLAIT_NODE_UPLINKS_MAX; path++) {
        const struct plait_neighbour *b = &n->neighbours[path];
        if (b->community == NULL || b->instance != m->instance || b->uplink.id != u->id)
            continue;
        plait_bond_path_get(n->peer.bond, n->loop.now, path, &info);
        json_object_set_new(o, "path", json_integer((json_int_t)path));
        json_object_set_new(o, "state", json_string(plait_report_state(info.state)));
        json_object_set_new(o, "capacity", json_real(info.rate));
    }
    return o;
}

static json_t *member_of(const struct plait_node_community *c, const struct plait_community_member *m)
{
    json_t *links = json_array();

    for (size_t i = 0; i < m->uplink_count; i++)
        json_array_append_new(links, link_of(c->node, m, i));
    return json_pack("{s:s, s:o, s:i, s:i, s:b, s:o}", "name", m->name, "address", text_of(c, &m->from),
                     "port", (int)m->from.port, "missed", (int)m->missed, "same_hub", (int)(m->hub == c->hub),
                     "links", links);
}

static json_t *offer_of(const struct plait_carry_offer *o)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < PLAIT_FAIR_FLOWS_MAX; i++) {
        const struct plait_carry_flow *f = &o->flows[i];
        const struct plait_community_member *m = plait_community_find(o->community->membership, f->instance);
        struct plait_fair_counts up, down;
        if (f->instance == 0)
            continue;
        plait_fair_counts(o->up, i, &up);
        plait_fair_counts(o->down, i, &down);
        json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:I, s:I}", "name", m != NULL ? m->name : "",
                                              "up_bytes", (json_int_t)up.bytes, "down_bytes",
                                              (json_int_t)down.bytes, "up_dropped", (json_int_t)up.dropped,
                                              "down_dropped", (json_int_t)down.dropped));
    }
    return json_pack("{s:s, s:i, s:I, s:I, s:f, s:f, s:o}", "uplink", o->uplink->settings.name, "port",
                     (int)o->port, "up_bytes", (json_int_t)o->up_bytes, "down_bytes",
                     (json_int_t)o->down_bytes, "up_limit", o->up_rate, "down_limit", o->down_rate, "members",
                     list);
}

static json_t *status_of(const struct plait_node_community *c)
{
    json_t *members = json_array(), *offers = json_array();
    const struct plait_community_member *m;
    struct plait_community_counts counts;

    for (size_t i = 0; (m = plait_community_at(c->membership, i)) != NULL; i++)
        json_array_append_new(members, member_of(c, m));
    for (size_t i = 0; i < PLAIT_NODE_UPLINKS_MAX; i++)
        if (c->offers[i].uplink != NULL)
            json_array_append_new(offers, offer_of(&c->offers[i]));
    plait_community_counts(c->membership, &counts);
    return json_pack("{s:s, s:s, s:b, s:o, s:o, s:I, s:I, s:I, s:I, s:I}", "name", c->settings.name,
                     "interface", c->settings.interface, "up", (int)(c->family != 0), "members", members,
                     "offers", offers, "asked", (json_int_t)counts.asked, "forged", (json_int_t)counts.forged,
                     "replayed", (json_int_t)counts.replayed, "refused", (json_int_t)counts.refused,
                     "not_carried", (json_int_t)c->strangers);
}

json_t *plait_node_communities_status(struct plait_node *n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < n->community_count; i++)
        json_array_append_new(list, status_of(&n->communities[i]));
    return list;
}
