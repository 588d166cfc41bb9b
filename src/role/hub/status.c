#include <arpa/inet.h>
#include <string.h>

#include "hub_int.h"
#include "listen.h"
#include "report.h"
#include "units.h"

#define SILENT (15 * PLAIT_S) /* an idle path is probed every five */
#define ASK_MAX                                                                                              \
    64 /* nodes of a worker that are asked how they send to us: with more, nobody reads it anyway */

static json_t *text_of(const union plait_udp_address *a)
{
    struct sockaddr_storage storage = {0};
    char text[PLAIT_ENDPOINT_TEXT_MAX];

    memcpy(&storage, a, sizeof *a);
    return json_string(plait_endpoint_text(&storage, text));
}

static json_t *list_paths(const struct plait_member *m)
{
    json_t *list = plait_report_paths(m->peer.bond, m->worker->loop.now, false,
                                      plait_inquiry_other(&m->exchange, m->worker->loop.now)),
           *path;
    size_t i;

    json_array_foreach(list, i, path)
    {
        json_int_t number = json_integer_value(json_object_get(path, "path"));
        if (number < (json_int_t)PLAIT_BOND_PATHS && (m->paths >> number & 1) != 0)
            json_object_set_new(path, "node", text_of(&m->ends[number].remote));
    }
    return list;
}

static json_t *report_member(struct plait_member *m, bool ask)
{
    const struct plait_hub_node_settings *n = plait_member_settings(m);
    uint64_t now = m->worker->loop.now;
    bool heard = plait_session_can_seal(m->session, now) && plait_since(now, m->heard_at) < SILENT;
    json_t *o =
        json_pack("{s:s, s:s, s:i, s:f, s:f, s:I}", "name", n->name, "state", heard ? "connected" : "silent",
                  "worker", (int)m->worker->number, "up_for", plait_to_s(plait_since(now, m->since)), "heard",
                  plait_to_s(plait_since(now, m->heard_at)), "refused", (json_int_t)m->refused);
    json_t *addresses = json_array(), *bond = plait_report_bond(m->peer.bond, now, false);
    char text[INET6_ADDRSTRLEN];

    if (n->has_v4)
        json_array_append_new(addresses, json_string(inet_ntop(AF_INET, n->v4, text, sizeof text)));
    if (n->has_v6)
        json_array_append_new(addresses, json_string(inet_ntop(AF_INET6, n->v6, text, sizeof text)));
    json_object_set_new(o, "addresses", addresses);
    json_object_set_new(o, "lan", n->has_lan ? json_integer(n->lan) : json_null());
    json_object_set_new(o, "session", plait_report_session(m->session, now));
    json_object_update(o, bond);
    json_decref(bond);
    json_object_set_new(o, "bad", json_integer((json_int_t)m->peer.bad));
    json_object_set_new(o, "paths", list_paths(m));
    if (ask && plait_session_can_seal(m->session, now) &&
        plait_inquiry_ask(&m->exchange, m->peer.bond, now)) {
        json_object_set_new(o, "asking", json_true());
        plait_member_touch(m);
    }
    return o;
}

static bool is_here(const struct plait_member *m)
{
    return m != NULL && m->has_peer && m->is_home;
}

/* In the worker's thread: the nodes that talk to it. */
json_t *plait_worker_status(struct plait_hub_worker *w)
{
    struct plait_sessions_facts f;
    json_t *nodes = json_array();
    size_t here = 0;

    for (size_t i = 0; i < w->table->settings->node_count; i++)
        here += is_here(w->members[i]);
    for (size_t i = 0; i < w->table->settings->node_count; i++)
        if (is_here(w->members[i]))
            json_array_append_new(nodes, report_member(w->members[i], here <= ASK_MAX));
    plait_sessions_facts(w->sessions, &f);
    return json_pack("{s:o, s:{s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:o, s:I}}", "nodes",
                     nodes, "worker", "number", (int)w->number, "port", (int)w->udp_port, "initiations",
                     (json_int_t)f.initiations, "responses", (json_int_t)f.responses, "cookies",
                     (json_int_t)f.cookie_replies, "unknown_keys", (json_int_t)f.unknown_key, "forged",
                     (json_int_t)f.forged, "misdirected", (json_int_t)w->misdirected, "handed_on",
                     (json_int_t)w->handed_on, "no_node", (json_int_t)w->no_route, "free_buffers",
                     (int)w->pool.spare_n, "device", plait_port_report(&w->port), "unsent",
                     (json_int_t)w->outbox.lost);
}

static json_t *find_lan(json_t *lans, json_int_t number)
{
    json_t *lan;
    size_t i;

    json_array_foreach(lans, i, lan)
    {
        if (json_integer_value(json_object_get(lan, "lan")) == number)
            return lan;
    }
    lan = json_pack("{s:I, s:[]}", "lan", number, "active");
    json_array_append_new(lans, lan);
    return lan;
}

/* Who is connected, by LAN. */
static json_t *list_lans(const json_t *nodes)
{
    json_t *lans = json_array(), *node;
    size_t i;

    json_array_foreach(nodes, i, node)
    {
        const json_t *lan = json_object_get(node, "lan");
        const char *state = json_string_value(json_object_get(node, "state"));
        if (json_is_integer(lan) && state != NULL && strcmp(state, "connected") == 0)
            json_array_append(json_object_get(find_lan(lans, json_integer_value(lan)), "active"),
                              json_object_get(node, "name"));
    }
    return lans;
}

json_t *plait_hub_status(struct plait_hub *h)
{
    json_t *nodes = json_array(), *workers = json_array();

    for (unsigned i = 0; i < h->worker_count; i++) {
        struct plait_hub_worker *w = &h->workers[i];
        plait_worker_ask(w, PLAIT_TASK_STATUS);
        json_array_extend(nodes, json_object_get(w->answer, "nodes"));
        json_array_append(workers, json_object_get(w->answer, "worker"));
        json_decref(w->answer);
        w->answer = NULL;
    }
    return json_pack(
        "{s:s, s:s, s:s, s:f, s:i, s:s, s:i, s:o, s:o, s:o}", "role", "hub", "version", PLAIT_VERSION,
        "state", "up", "up_for", plait_to_s(plait_since(h->loop.now, h->started_at)), "mtu",
        (int)h->table->settings->mtu, "interface", h->table->settings->interface, "known_nodes",
        (int)h->table->settings->node_count, "lans", list_lans(nodes), "nodes", nodes, "workers", workers);
}
