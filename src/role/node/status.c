#include <arpa/inet.h>
#include <string.h>

#include "iface.h"
#include "listen.h"
#include "node_int.h"
#include "report.h"
#include "units.h"

static json_t *text_of(const union plait_udp_address *a)
{
    struct sockaddr_storage storage = {0};
    char text[PLAIT_ENDPOINT_TEXT_MAX];

    memcpy(&storage, a, sizeof *a);
    return a->any.sa_family == AF_UNSPEC ? json_null() : json_string(plait_endpoint_text(&storage, text));
}

static json_t *text_or_null(const char *text)
{
    return text != NULL && text[0] != '\0' ? json_string(text) : json_null();
}

static void name_path(json_t *path, const struct plait_uplink *u, struct plait_node *n)
{
    const struct plait_node_uplink_settings *s = &u->settings;

    json_object_set_new(path, "name", json_string(s->name));
    json_object_set_new(path, "interface", text_or_null(u->interface));
    json_object_set_new(path, "hub", text_of(&u->end.remote));
    json_object_set_new(path, "backup", json_boolean(s->backup || u->exhausted));
    json_object_set_new(path, "trouble", text_or_null(u->trouble));
    if (s->quota_bytes == 0)
        return;
    uint64_t used = plait_quota_used(&n->quota, s->name, s->quota_period, plait_unix_s());
    json_object_set_new(
        path, "quota",
        json_pack("{s:I, s:I}", "used", (json_int_t)used, "limit", (json_int_t)s->quota_bytes));
}

/* Uplinks that are closed are no paths of the bond yet, but people look for them. */
static json_t *closed_path(size_t i)
{
    return json_pack("{s:i, s:s}", "path", (int)i, "state", "down");
}

/* Returned owned. */
static json_t *find_path(const json_t *list, size_t number)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *path = json_array_get(list, i);
        if (json_integer_value(json_object_get(path, "path")) == (json_int_t)number)
            return json_incref(path);
    }
    return closed_path(number);
}

static json_t *list_paths(struct plait_node *n)
{
    json_t *list = plait_report_paths(n->peer.bond, n->loop.now, true,
                                      plait_inquiry_other(&n->exchange, n->loop.now)),
           *all = json_array();

    for (size_t i = 0; i < PLAIT_NODE_UPLINKS_MAX; i++) {
        if (!n->uplinks[i].used)
            continue;
        json_t *path = find_path(list, i);
        name_path(path, &n->uplinks[i], n);
        json_array_append_new(all, path);
    }
    for (size_t i = 0; i < PLAIT_NODE_UPLINKS_MAX; i++) {
        if (n->neighbours[i].community == NULL)
            continue;
        json_t *path = find_path(list, i);
        json_object_set_new(path, "name", json_string(n->neighbours[i].name));
        json_object_set_new(path, "interface", json_string(n->neighbours[i].community->settings.interface));
        json_object_set_new(path, "neighbour", text_of(&n->neighbours[i].end.remote));
        json_object_set_new(path, "backup", json_boolean(n->neighbours[i].uplink.backup));
        json_array_append_new(all, path);
    }
    json_decref(list);
    return all;
}

json_t *plait_node_status(struct plait_node *n)
{
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:f, s:i}", "role", "node", "version", PLAIT_VERSION, "name",
                          n->settings.name, "state",
                          n->connected   ? "connected"
                          : n->logged_on ? "silent"
                                         : "connecting",
                          "up_for", plait_to_s(plait_since(n->loop.now, n->started_at)), "mtu", (int)n->mtu);
    json_t *addresses = json_array(), *bond = plait_report_bond(n->peer.bond, n->loop.now, true);
    char text[INET6_ADDRSTRLEN];

    if (n->hub.has_v4)
        json_array_append_new(addresses, json_string(inet_ntop(AF_INET, n->hub.v4, text, sizeof text)));
    if (n->hub.has_v6)
        json_array_append_new(addresses, json_string(inet_ntop(AF_INET6, n->hub.v6, text, sizeof text)));
    json_object_set_new(o, "interface", json_string(n->settings.interface));
    json_object_set_new(o, "addresses", addresses);
    json_object_set_new(o, "session", plait_report_session(n->session, n->loop.now));
    json_object_update(o, bond);
    json_decref(bond);
    json_object_set_new(o, "device", plait_port_report(&n->port));
    json_object_set_new(o, "unsent", json_integer((json_int_t)n->outbox.lost));
    json_object_set_new(o, "bad", json_integer((json_int_t)n->peer.bad));
    json_object_set_new(o, "paths", list_paths(n));
    if (n->community_count > 0)
        json_object_set_new(o, "communities", plait_node_communities_status(n));
    if (n->connected && plait_inquiry_ask(&n->exchange, n->peer.bond, n->loop.now))
        json_object_set_new(o, "asking", json_true());
    return o;
}
