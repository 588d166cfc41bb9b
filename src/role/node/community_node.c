#include "community_node.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "iface.h"
#include "multicast.h"
#include "node_int.h"
#include "origin.h"
#include "units.h"

#define GROUP_V4    "239.192.80.76" /* of this site (RFC 2365); TTL 1 keeps it on the LAN */
#define GROUP_V6    "ff02::504c"
#define OVERHEAD_V4 58u /* as in traffic.c */
#define OVERHEAD_V6 78u
#define MTU_MAX     1500u
#define WEIGHT_UNIT 1000.0
#define ROUNDS_MAX  4
#define USE_LEAST   2000.0 /* bytes/s over a line of somebody else: less are probes */

/* Addresses. */

static union plait_udp_address address_of(const struct plait_node_community *c, const struct plait_origin *o,
                                          uint16_t port)
{
    union plait_udp_address a;

    memset(&a, 0, sizeof a);
    a.any.sa_family = (sa_family_t)c->family;
    if (c->family == AF_INET6) {
        memcpy(&a.v6.sin6_addr, o->address, 16);
        if (IN6_IS_ADDR_LINKLOCAL(&a.v6.sin6_addr))
            a.v6.sin6_scope_id = c->interface_index;
    } else {
        memcpy(&a.v4.sin_addr, o->address + 12, 4);
    }
    plait_udp_address_set_port(&a, port);
    return a;
}

/* What comes in. */

static void on_own_packet(struct plait_node_community *c, const struct plait_udp_packet *p)
{
    struct plait_node *n = c->node;

    for (unsigned path = 0; path < PLAIT_NODE_UPLINKS_MAX; path++) {
        const struct plait_neighbour *b = &n->neighbours[path];
        if (b->community != c || !plait_udp_address_equal(&b->end.remote, &p->end->remote))
            continue;
        const struct plait_community_member *m = plait_community_find(c->membership, b->instance);
        if (m != NULL) {
            struct plait_origin from = m->from;
            plait_community_note_traffic(c->membership, n->loop.now, &from);
        }
        plait_node_recv(n, (uint8_t)path, p);
        return;
    }
    c->strangers++;
}

static void on_door(struct plait_door *door)
{
    struct plait_node_community *c = door->ctx;
    struct plait_node *n = c->node;
    const struct plait_udp_packet *list;

    for (int round = 0; round < ROUNDS_MAX && plait_door_is_open(door); round++) {
        int count = plait_udp_recv(&door->udp, n->inbox, &list);
        if (count <= 0)
            return;
        for (int i = 0; i < count; i++) {
            struct plait_origin from = plait_origin_of(&list[i].end->remote);
            if (list[i].len > 0 && list[i].data[0] == PLAIT_ENVELOPE_COMMUNITY)
                (void)plait_community_recv(c->membership, n->loop.now, &from, list[i].data, list[i].len);
            else
                on_own_packet(c, &list[i]);
        }
    }
}

/* Neighbours as paths. */

static void drop_neighbour(struct plait_node *n, unsigned path)
{
    plait_bond_path_carrier(n->peer.bond, n->loop.now, path, false); /* what it held goes by others, now */
    plait_peer_path_remove(&n->peer, n->loop.now, path);
    memset(&n->neighbours[path], 0, sizeof n->neighbours[path]);
}

static void set_neighbour_path(struct plait_node *n, unsigned path)
{
    const struct plait_neighbour *b = &n->neighbours[path];
    const struct plait_netwatch_link *link =
        plait_netwatch_link(n->netwatch, b->community->settings.interface);
    struct plait_bond_path_config config = {
        .mtu = (uint16_t)(link != NULL ? plait_min_u64(link->mtu, MTU_MAX) : MTU_MAX),
        .overhead = b->community->family == AF_INET6 ? OVERHEAD_V6 : OVERHEAD_V4,
        .weight = b->uplink.weight_up / WEIGHT_UNIT,
        .backup = b->uplink.backup,
        .carried = true};
    int err = plait_peer_path_set(&n->peer, n->loop.now, path, &config);

    if (err != PLAIT_OK)
        plait_say("neighbour %s: %s", b->name, plait_reason(err));
}

/* Numbers from the end, so that uplinks keep theirs; PLAIT_NODE_UPLINKS_MAX where none is free. */
static unsigned free_path(const struct plait_node *n)
{
    for (unsigned path = PLAIT_NODE_UPLINKS_MAX; path-- > 0;)
        if (n->neighbours[path].community == NULL && !n->uplinks[path].used &&
            !n->uplinks[path].resolving.busy && !plait_uplink_is_open(&n->uplinks[path]))
            return path;
    return PLAIT_NODE_UPLINKS_MAX;
}

static struct plait_neighbour *find_neighbour(struct plait_node *n, uint64_t instance, uint8_t id)
{
    for (unsigned path = 0; path < PLAIT_NODE_UPLINKS_MAX; path++)
        if (n->neighbours[path].community != NULL && n->neighbours[path].instance == instance &&
            n->neighbours[path].uplink.id == id)
            return &n->neighbours[path];
    return NULL;
}

/* Whether anything changed. Somebody whom two communities have in common counts once. */
static bool follow_uplink(struct plait_node_community *c, const struct plait_community_member *m,
                          const struct plait_announce_uplink *u)
{
    struct plait_node *n = c->node;
    struct plait_neighbour *b = find_neighbour(n, m->instance, u->id);
    struct plait_neighbour want = {.community = c, .instance = m->instance, .uplink = *u};
    unsigned path = b != NULL ? (unsigned)(b - n->neighbours) : free_path(n);

    if (path == PLAIT_NODE_UPLINKS_MAX || (b != NULL && b->community != c))
        return false;
    memcpy(want.name, m->name, sizeof want.name);
    want.end.remote = address_of(c, &m->from, u->port);
    if (b != NULL && plait_announce_uplinks_equal(&b->uplink, u, 1) &&
        plait_udp_address_equal(&b->end.remote, &want.end.remote))
        return false;
    bool moved = b != NULL && !plait_udp_address_equal(&b->end.remote, &want.end.remote);
    want.state_told = b != NULL ? b->state_told : 0;
    n->neighbours[path] = want;
    set_neighbour_path(n, path);
    if (moved)
        plait_bond_path_moved(n->peer.bond, n->loop.now, path);
    return true;
}

static bool is_offered(const struct plait_community_member *m, uint8_t id)
{
    for (size_t i = 0; m != NULL && i < m->uplink_count; i++)
        if (m->uplinks[i].id == id)
            return true;
    return false;
}

static bool drop_gone(struct plait_node_community *c)
{
    struct plait_node *n = c->node;
    bool changed = false;

    for (unsigned path = 0; path < PLAIT_NODE_UPLINKS_MAX; path++) {
        struct plait_neighbour *b = &n->neighbours[path];
        if (b->community != c)
            continue;
        const struct plait_community_member *m =
            c->family != 0 ? plait_community_find(c->membership, b->instance) : NULL;
        if (m != NULL && m->hub == c->hub && is_offered(m, b->uplink.id))
            continue;
        plait_say("neighbour %s: has gone", b->name);
        drop_neighbour(n, path);
        changed = true;
    }
    return changed;
}

/*
 * The hub has to know of every path before it is used: a handshake tells it. One that is under way already was made
 * before, so another one follows it.
 */
static void tell_hub(struct plait_node *n)
{
    struct plait_session_facts facts;

    plait_session_facts(n->session, &facts);
    n->tell_again = facts.waiting;
    plait_node_announce(n);
    plait_node_tell_session(n);
    plait_session_rekey(n->session, n->loop.now);
}

static void tell_hub_again(struct plait_node *n)
{
    struct plait_session_facts facts;

    plait_session_facts(n->session, &facts);
    if (facts.waiting)
        return;
    n->tell_again = false;
    plait_session_rekey(n->session, n->loop.now);
}

static void follow(struct plait_node_community *c)
{
    const struct plait_community_member *m;
    bool changed = drop_gone(c);

    plait_offers_sweep(c, false);
    for (size_t i = 0; c->family != 0 && (m = plait_community_at(c->membership, i)) != NULL; i++)
        for (size_t k = 0; m->hub == c->hub && k < m->uplink_count; k++)
            changed = follow_uplink(c, m, &m->uplinks[k]) || changed;
    if (changed)
        tell_hub(c->node);
}

/* Sending. */

static void send_to(struct plait_node_community *c, union plait_udp_address to, uint8_t *bytes, size_t len)
{
    struct plait_udp_end end = {.remote = to};
    struct plait_udp_packet packet = {.data = bytes, .len = (uint32_t)len, .end = &end};
    size_t sent;

    if (plait_udp_send(&c->own.udp, &packet, 1, &sent) != PLAIT_UDP_OK && sent == 0)
        c->node->outbox.lost++; /* the next one is said soon */
}

static void say(struct plait_node_community *c)
{
    uint8_t bytes[PLAIT_ANNOUNCE_BYTES_MAX];
    struct plait_origin to;
    size_t len;
    bool all;

    while (c->family != 0 &&
           (len = plait_community_poll_send(c->membership, c->node->loop.now, &to, &all, bytes)) > 0) {
        send_to(c, all ? c->group : address_of(c, &to, to.port), bytes, len);
        for (size_t i = 0; all && i < c->settings.neighbour_count; i++)
            if (c->settings.neighbours[i].any.sa_family == c->family)
                send_to(c, c->settings.neighbours[i], bytes, len);
    }
}

static void offer(struct plait_node_community *c)
{
    struct plait_announce_uplink uplinks[PLAIT_ANNOUNCE_UPLINKS_MAX];
    size_t count;

    memset(uplinks, 0, sizeof uplinks);
    c->port_told = c->node->advised_port;
    count = plait_offers_look(c, uplinks);
    if (plait_community_offer(c->membership, c->node->loop.now, c->port_told, uplinks, count) != PLAIT_OK)
        plait_say("community %s: what is on offer cannot be told", c->settings.name);
}

void plait_node_communities_pump(struct plait_node *n)
{
    if (n->tell_again)
        tell_hub_again(n);
    for (size_t i = 0; i < n->community_count; i++) {
        struct plait_node_community *c = &n->communities[i];
        uint64_t changes = plait_community_changes(c->membership);
        if (changes != c->changes_seen) {
            c->changes_seen = changes;
            follow(c);
        }
        if (c->port_told != n->advised_port)
            offer(c);
        say(c);
    }
}

/* The LAN. */

static void choose_family(struct plait_node_community *c)
{
    union plait_udp_address any = {.v4 = {.sin_family = AF_INET}};
    struct sockaddr_storage found;

    memset(&c->group, 0, sizeof c->group);
    c->interface_index = if_nametoindex(c->settings.interface);
    if (plait_iface_address(c->settings.interface, &any.any, &found) == PLAIT_OK) {
        c->family = AF_INET;
        inet_pton(AF_INET, GROUP_V4, &c->group.v4.sin_addr);
    } else {
        c->family = AF_INET6;
        inet_pton(AF_INET6, GROUP_V6, &c->group.v6.sin6_addr);
        c->group.v6.sin6_scope_id = c->interface_index;
    }
    c->group.any.sa_family = (sa_family_t)c->family;
    plait_udp_address_set_port(&c->group, c->settings.port);
}

static void close_lan(struct plait_node_community *c)
{
    plait_offers_close(c);
    plait_door_close(&c->own);
    plait_door_close(&c->heard);
    c->family = 0;
    follow(c);
}

static int open_doors(struct plait_node_community *c)
{
    struct plait_udp_options options = {.interface = c->settings.interface, .mark = c->node->mark};
    int err;

    options.local.any.sa_family = (sa_family_t)c->family;
    if ((err = plait_door_open(&c->own, &c->node->loop, &options, on_door, c)) != PLAIT_OK ||
        (err = plait_multicast_from(&c->own.udp, c->settings.interface)) != PLAIT_OK)
        return err;
    options.shared = true;
    plait_udp_address_set_port(&options.local, c->settings.port);
    if ((err = plait_door_open(&c->heard, &c->node->loop, &options, on_door, c)) != PLAIT_OK)
        return err;
    return plait_multicast_join(&c->heard.udp, c->settings.interface, &c->group);
}

static void look_at_lan(struct plait_node_community *c)
{
    bool up = plait_iface_is_up(c->settings.interface);

    if (up == (c->family != 0))
        return;
    if (!up) {
        plait_say("community %s: %s is down", c->settings.name, c->settings.interface);
        close_lan(c);
        return;
    }
    choose_family(c);
    if (open_doors(c) != PLAIT_OK)
        close_lan(c);
}

/* As parts of the node. */

static int init_one(struct plait_node *n, struct plait_node_community *c,
                    const struct plait_node_community_settings *settings)
{
    struct plait_community_config config = {.crypto = n->crypto,
                                            .random = plait_kernel_random,
                                            .instance = n->self.instance,
                                            .period = settings->period,
                                            .missed_max = settings->missed_max};
    struct plait_identity identity;
    int err = plait_self_read_key(settings->key_file, &identity);

    if (err != PLAIT_OK)
        return err;
    memset(c, 0, sizeof *c);
    c->node = n;
    c->settings = *settings;
    memcpy(config.key, identity.secret.bytes, sizeof config.key);
    err = plait_community_group(n->crypto, config.key, &c->number);
    plait_wipe(&identity, sizeof identity);
    memcpy(config.name, n->settings.name, sizeof config.name);
    if (err == PLAIT_OK &&
        (err = plait_community_hub(n->crypto, &n->settings.hub_key, &config.hub)) == PLAIT_OK)
        err = plait_community_new(&config, n->loop.now, &c->membership);
    c->hub = config.hub;
    plait_wipe(&config, sizeof config);
    return err;
}

int plait_node_communities_init(struct plait_node *n)
{
    if (n->settings.community_count == 0)
        return PLAIT_OK;
    n->communities = calloc(n->settings.community_count, sizeof *n->communities);
    if (n->communities == NULL)
        return PLAIT_ERR_NOMEM;
    for (size_t i = 0; i < n->settings.community_count; i++) {
        int err = init_one(n, &n->communities[i], &n->settings.communities[i]);
        if (err != PLAIT_OK)
            return err;
        n->community_count = i + 1;
    }
    return PLAIT_OK;
}

void plait_node_communities_leave(struct plait_node *n)
{
    for (size_t i = 0; i < n->community_count; i++) {
        struct plait_node_community *c = &n->communities[i];
        plait_community_leave(c->membership);
        say(c);
        plait_offers_close(c);
        plait_door_close(&c->own);
        plait_door_close(&c->heard);
        c->family = 0;
    }
}

void plait_node_communities_done(struct plait_node *n)
{
    for (size_t i = 0; i < n->community_count; i++)
        plait_community_free(n->communities[i].membership);
    free(n->communities);
    n->communities = NULL;
    n->community_count = 0;
}

uint64_t plait_node_communities_deadline(const struct plait_node *n)
{
    uint64_t at = PLAIT_NEVER;

    for (size_t i = 0; i < n->community_count; i++) {
        const struct plait_node_community *c = &n->communities[i];
        if (c->family == 0)
            continue;
        at = plait_min_u64(at, plait_community_next_deadline(c->membership));
        for (size_t k = 0; k < PLAIT_NODE_UPLINKS_MAX; k++)
            if (c->offers[k].uplink != NULL)
                at = plait_min_u64(at, plait_min_u64(plait_fair_next_deadline(c->offers[k].up),
                                                     plait_fair_next_deadline(c->offers[k].down)));
    }
    return at;
}

void plait_node_communities_on_deadline(struct plait_node *n)
{
    for (size_t i = 0; i < n->community_count; i++)
        plait_community_on_deadline(n->communities[i].membership, n->loop.now);
}

static void count_quota(struct plait_node_community *c)
{
    const struct plait_node_community_settings *s = &c->settings;
    struct plait_node *n = c->node;
    uint64_t all = 0;

    for (size_t i = 0; i < PLAIT_NODE_UPLINKS_MAX; i++)
        all += c->offers[i].up_bytes + c->offers[i].down_bytes;
    uint64_t more = all - c->counted;
    c->counted = all;
    if (s->quota_bytes == 0)
        return;
    if (more > 0)
        plait_quota_add(&n->quota, s->name, s->quota_period, plait_unix_s(), more);
    bool exhausted = plait_quota_used(&n->quota, s->name, s->quota_period, plait_unix_s()) >= s->quota_bytes;
    if (exhausted != c->exhausted)
        plait_say(exhausted
                      ? "community %s: its quota is used up; nothing is on offer until the next one begins"
                      : "community %s: a new quota begins",
                  s->name);
    c->exhausted = exhausted;
}

/* What we are given upward, for those who carry for us. */
static void tell_use(struct plait_node_community *c)
{
    struct plait_node *n = c->node;
    struct plait_bond_path_info info;
    uint64_t all = 0, span_ns = plait_since(n->loop.now, c->arrived_at);
    bool carried = false;

    for (unsigned path = 0; path < PLAIT_NODE_UPLINKS_MAX; path++) {
        plait_bond_path_get(n->peer.bond, n->loop.now, path, &info);
        all += info.arrived_bytes;
        carried |= n->neighbours[path].community == c && info.sent_rate > USE_LEAST;
    }
    double rate = all > c->arrived_bytes ? (double)(all - c->arrived_bytes) / plait_to_s(span_ns) : 0;

    plait_community_use(c->membership, n->loop.now, carried && rate < UINT32_MAX ? (uint32_t)rate : 0);
    c->arrived_bytes = all;
    c->arrived_at = n->loop.now;
}

static void tell_neighbours(struct plait_node *n)
{
    struct plait_bond_path_info info;

    for (unsigned path = 0; path < PLAIT_NODE_UPLINKS_MAX; path++) {
        struct plait_neighbour *b = &n->neighbours[path];
        if (b->community == NULL)
            continue;
        plait_bond_path_get(n->peer.bond, n->loop.now, path, &info);
        if (info.state == PLAIT_BOND_PATH_UP && b->state_told != PLAIT_BOND_PATH_UP)
            plait_say("neighbour %s: carries for us, round trip %.1f ms", b->name, (double)info.rtt_ns / 1e6);
        else if (info.state == PLAIT_BOND_PATH_DEAD && b->state_told == PLAIT_BOND_PATH_UP)
            plait_say("neighbour %s: silent, left alone", b->name);
        if (info.state != PLAIT_BOND_PATH_SUSPECT)
            b->state_told = info.state;
    }
}

void plait_node_communities_on_tick(struct plait_node *n)
{
    for (size_t i = 0; i < n->community_count; i++) {
        struct plait_node_community *c = &n->communities[i];
        look_at_lan(c);
        count_quota(c);
        offer(c);
        plait_offers_sweep(c, true);
        plait_offers_told(c);
        tell_use(c);
    }
    tell_neighbours(n);
}

void plait_node_communities_forget_paths(struct plait_node *n)
{
    for (unsigned path = 0; path < PLAIT_NODE_UPLINKS_MAX; path++)
        if (n->neighbours[path].community != NULL) {
            n->neighbours[path].community->changes_seen = UINT64_MAX; /* follow them anew */
            drop_neighbour(n, path);
        }
}

void plait_node_communities_change(struct plait_node *n)
{
    for (size_t i = 0; i < n->community_count; i++) {
        struct plait_node_community *c = &n->communities[i];
        c->settings = n->settings.communities[i];
        c->exhausted = c->exhausted && c->settings.quota_bytes > 0;
        offer(c);
    }
}

struct plait_udp *plait_node_neighbour_door(struct plait_node *n, unsigned path,
                                            const struct plait_udp_end **end)
{
    struct plait_node_community *c = path < PLAIT_NODE_UPLINKS_MAX ? n->neighbours[path].community : NULL;

    if (c == NULL || !plait_door_is_open(&c->own))
        return NULL;
    *end = &n->neighbours[path].end;
    return &c->own.udp;
}

static uint64_t line_of(const struct plait_neighbour *b)
{
    return b->uplink.bounded ? 0 : plait_community_line(b->instance, b->uplink.id);
}

uint64_t plait_node_line(const struct plait_node *n, const struct plait_uplink *u)
{
    const struct plait_node_uplink_settings *s = &u->settings;

    for (size_t i = 0; i < n->community_count; i++) {
        const struct plait_node_community *c = &n->communities[i];
        if (plait_node_community_offers(&c->settings, s->name, s->quota_bytes > 0 || s->backup) &&
            !plait_offers_are_bounded(c))
            return plait_community_line(n->self.instance, u->path);
    }
    return 0;
}

bool plait_node_neighbours_use_port(const struct plait_node *n, uint16_t port)
{
    for (unsigned path = 0; path < PLAIT_NODE_UPLINKS_MAX; path++) {
        const struct plait_neighbour *b = &n->neighbours[path];
        const struct plait_community_member *m =
            b->community != NULL ? plait_community_find(b->community->membership, b->instance) : NULL;
        if (m != NULL && m->hub_port == port)
            return true;
    }
    return false;
}

void plait_node_neighbours_hello(const struct plait_node *n, struct plait_hello *hello)
{
    for (unsigned path = 0; path < PLAIT_NODE_UPLINKS_MAX; path++) {
        const struct plait_neighbour *b = &n->neighbours[path];
        if (b->community != NULL && hello->path_count < PLAIT_HELLO_PATHS_MAX)
            hello->paths[hello->path_count++] =
                (struct plait_hello_path){.id = (uint8_t)path,
                                          .backup = b->uplink.backup,
                                          .weight_down = b->uplink.weight_down,
                                          .weight_up = b->uplink.weight_up,
                                          .line = line_of(b)};
    }
    if (n->community_count > 0)
        hello->group = n->communities[0].number;
}

uint32_t plait_node_neighbours_paths(const struct plait_node *n)
{
    uint32_t paths = 0;

    for (unsigned path = 0; path < PLAIT_NODE_UPLINKS_MAX; path++)
        if (n->neighbours[path].community != NULL)
            paths |= 1u << path;
    return paths;
}
