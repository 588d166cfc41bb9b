#include <arpa/inet.h>
#include <string.h>

#include "community_node.h"
#include "envelope.h"
#include "handshake.h"
#include "node_int.h"
#include "origin.h"
#include "policy.h"
#include "units.h"

#define WEIGHT_UNIT    1000
#define QUEUED_PACKETS 512u
#define PACKET_ROOM    1500u
#define OVERHEAD       28u /* IP and UDP, on the line of the uplink */
#define IDLE           (300 * PLAIT_S)
#define LINE_RATE_MIN  125000.0 /* bytes/s: a first guess */
#define ROUNDS_MAX     4

/* What may pass. Everything else is none of a forwarder's business, whoever sends it. */

static bool may_go_up(const struct plait_udp_packet *p)
{
    if (p->len < PLAIT_ENVELOPE_BYTES + PLAIT_ENVELOPE_TAG_BYTES || p->len > PACKET_ROOM)
        return false;
    if (p->data[0] == PLAIT_ENVELOPE_INITIATION)
        return p->len <= PLAIT_HANDSHAKE_BYTES_MAX;
    return p->data[0] == PLAIT_ENVELOPE_SEALED;
}

static bool may_go_down(const struct plait_udp_packet *p)
{
    return p->len > 0 && p->len <= PACKET_ROOM &&
           (p->data[0] == PLAIT_ENVELOPE_SEALED || p->data[0] == PLAIT_ENVELOPE_RESPONSE ||
            p->data[0] == PLAIT_ENVELOPE_COOKIE);
}

/* Flows. */

static unsigned number_of(const struct plait_carry_flow *f)
{
    return (unsigned)(f - f->offer->flows);
}

static void close_flow(struct plait_carry_flow *f)
{
    plait_fair_drop_flow(f->offer->up, number_of(f));
    plait_fair_drop_flow(f->offer->down, number_of(f));
    plait_door_close(&f->door);
    f->instance = 0;
}

static void on_hub(struct plait_door *door)
{
    struct plait_carry_flow *f = door->ctx;
    struct plait_node *n = f->offer->community->node;
    const struct plait_udp_packet *list;

    for (int round = 0; round < ROUNDS_MAX && plait_door_is_open(door); round++) {
        int count = plait_udp_recv(&door->udp, n->inbox, &list);
        if (count <= 0)
            return;
        f->used_at = n->loop.now;
        for (int i = 0; i < count; i++)
            if (may_go_down(&list[i]))
                (void)plait_fair_push(f->offer->down, n->loop.now, number_of(f), list[i].data, list[i].len);
    }
}

static uint16_t port_wanted(const struct plait_uplink *u, const struct plait_community_member *m)
{
    return m->hub_port != 0 ? m->hub_port : u->settings.hub.port;
}

static int open_flow(struct plait_carry_flow *f, const struct plait_community_member *m)
{
    const struct plait_uplink *u = f->offer->uplink;
    struct plait_node *n = f->offer->community->node;
    union plait_udp_address hub = u->end.remote;
    struct plait_udp_options options = {
        .interface = u->interface[0] != '\0' ? u->interface : NULL, .mark = n->mark, .remote = &hub};

    f->hub_port = port_wanted(u, m);
    plait_udp_address_set_port(&hub, f->hub_port);
    options.local.any.sa_family = hub.any.sa_family;
    if (u->settings.address.family != 0)
        options.local = u->source;
    f->source = u->source;
    f->to = hub;
    memset(&f->hub, 0, sizeof f->hub); /* connected */
    return plait_door_open(&f->door, &n->loop, &options, on_hub, f);
}

/* NULL where there is no room, or the uplink cannot send just now. */
static struct plait_carry_flow *flow_for(struct plait_carry_offer *o, const struct plait_community_member *m)
{
    struct plait_carry_flow *free = NULL;

    for (unsigned i = 0; i < PLAIT_FAIR_FLOWS_MAX; i++) {
        struct plait_carry_flow *f = &o->flows[i];
        if (f->instance == m->instance && f->hub_port == port_wanted(o->uplink, m))
            return f;
        if (f->instance == m->instance)
            close_flow(f);
        if (f->instance == 0 && free == NULL)
            free = f;
    }
    if (free == NULL)
        return NULL;
    free->offer = o;
    if (open_flow(free, m) != PLAIT_OK)
        return NULL;
    free->instance = m->instance;
    return free;
}

/* From members. */

static void take(struct plait_carry_offer *o, const struct plait_udp_packet *p)
{
    struct plait_node_community *c = o->community;
    struct plait_node *n = c->node;
    struct plait_origin from = plait_origin_of(&p->end->remote);
    const struct plait_community_member *m = plait_community_find_origin(c->membership, &from);

    if (m == NULL || m->hub != c->hub || !may_go_up(p)) {
        c->strangers++;
        return;
    }
    plait_community_note_traffic(c->membership, n->loop.now, &from);
    struct plait_carry_flow *f = plait_uplink_is_open(o->uplink) ? flow_for(o, m) : NULL;
    if (f == NULL)
        return;
    f->member.remote = p->end->remote;
    f->used_at = n->loop.now;
    (void)plait_fair_push(o->up, n->loop.now, number_of(f), p->data, p->len);
}

static void on_lan(struct plait_door *door)
{
    struct plait_carry_offer *o = door->ctx;
    struct plait_node *n = o->community->node;
    const struct plait_udp_packet *list;

    for (int round = 0; round < ROUNDS_MAX && plait_door_is_open(door); round++) {
        int count = plait_udp_recv(&door->udp, n->inbox, &list);
        if (count <= 0)
            return;
        for (int i = 0; i < count; i++)
            take(o, &list[i]);
    }
}

/* Out, in both directions. */

static void carry(struct plait_carry_offer *o, struct plait_fair *queue, bool up, uint64_t *bytes)
{
    struct plait_node *n = o->community->node;
    unsigned flow;

    for (;;) {
        uint8_t *room = plait_outbox_room(&n->outbox);
        size_t len = plait_fair_poll(queue, n->loop.now, &flow, room);
        if (len == 0)
            return;
        struct plait_carry_flow *f = &o->flows[flow];
        *bytes += len + OVERHEAD;
        if (up)
            plait_outbox_add(&n->outbox, len, &f->door.udp, &f->hub);
        else
            plait_outbox_add(&n->outbox, len, &o->door.udp, &f->member);
    }
}

void plait_node_communities_carry(struct plait_node *n)
{
    for (size_t i = 0; i < n->community_count; i++)
        for (size_t k = 0; k < PLAIT_NODE_UPLINKS_MAX; k++) {
            struct plait_carry_offer *o = &n->communities[i].offers[k];
            if (o->uplink == NULL)
                continue;
            carry(o, o->up, true, &o->up_bytes);
            carry(o, o->down, false, &o->down_bytes);
        }
    plait_outbox_flush(&n->outbox);
}

uint64_t plait_node_carried_bytes(const struct plait_node *n, unsigned uplink)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < n->community_count; i++)
        bytes += n->communities[i].offers[uplink].up_bytes + n->communities[i].offers[uplink].down_bytes;
    return bytes;
}

/* What is on offer. */

/* The path loses its seat when it is taken away and set again, so this is said every time that one looks. */
static void sit(struct plait_carry_offer *o)
{
    struct plait_node *n = o->community->node;

    plait_bond_path_line(n->peer.bond, o->uplink->path, &n->lines[o->uplink->path].line, true);
}

static void take_line(struct plait_carry_offer *o)
{
    struct plait_node *n = o->community->node;
    struct plait_carry_line *l = &n->lines[o->uplink->path];
    struct plait_bond_path_info info;

    plait_bond_path_get(n->peer.bond, n->loop.now, o->uplink->path, &info);
    if (l->offers++ == 0)
        plait_line_init(&l->line, info.rate > LINE_RATE_MIN ? info.rate : LINE_RATE_MIN);
    sit(o);
    plait_fair_set_line(o->up, &l->line);
}

static void leave_line(struct plait_carry_offer *o)
{
    struct plait_node *n = o->community->node;
    struct plait_carry_line *l = &n->lines[o->uplink->path];

    plait_fair_set_line(o->up, NULL);
    if (--l->offers > 0)
        return;
    plait_bond_path_line(n->peer.bond, o->uplink->path, NULL, false);
    plait_line_done(&l->line);
}

static void close_offer(struct plait_carry_offer *o)
{
    if (o->uplink == NULL)
        return;
    for (unsigned i = 0; i < PLAIT_FAIR_FLOWS_MAX; i++)
        if (o->flows[i].instance != 0)
            close_flow(&o->flows[i]);
    plait_door_close(&o->door);
    if (o->has_line)
        leave_line(o);
    o->has_line = false;
    plait_fair_free(o->up);
    plait_fair_free(o->down);
    o->up = o->down = NULL;
    o->uplink = NULL;
}

void plait_offers_close(struct plait_node_community *c)
{
    for (size_t i = 0; i < PLAIT_NODE_UPLINKS_MAX; i++)
        close_offer(&c->offers[i]);
}

static int open_offer(struct plait_carry_offer *o, struct plait_node_community *c, struct plait_uplink *u)
{
    struct plait_udp_options options = {.interface = c->settings.interface, .mark = c->node->mark};
    union plait_udp_address local;
    int err;

    options.local.any.sa_family = (sa_family_t)c->family;
    o->community = c;
    if ((err = plait_fair_new(QUEUED_PACKETS, PACKET_ROOM, &o->up)) == PLAIT_OK &&
        (err = plait_fair_new(QUEUED_PACKETS, PACKET_ROOM, &o->down)) == PLAIT_OK &&
        (err = plait_door_open(&o->door, &c->node->loop, &options, on_lan, o)) == PLAIT_OK)
        err = plait_udp_local(&o->door.udp, &local);
    o->uplink = u;
    if (err != PLAIT_OK) {
        close_offer(o);
        return err;
    }
    o->port = plait_origin_of(&local).port;
    take_line(o);
    o->has_line = true;
    return PLAIT_OK;
}

static double least(double a, double b)
{
    return a == 0 ? b : b == 0 || a < b ? a : b;
}

/* The share is of what the uplink carries, as far as that is known; the direction down is known to the hub. */
static void set_rates(struct plait_carry_offer *o)
{
    const struct plait_node_community_settings *s = &o->community->settings;
    struct plait_node *n = o->community->node;
    const struct plait_tell *other = plait_inquiry_other(&n->exchange, n->loop.now);
    struct plait_bond_path_info info;
    double up = 0, down = 0;

    plait_bond_path_get(n->peer.bond, n->loop.now, o->uplink->path, &info);
    if (s->share < 1) {
        up = s->share * info.rate;
        for (size_t i = 0; other != NULL && i < other->path_count; i++)
            if (other->paths[i].path == o->uplink->path)
                down = s->share * (double)other->paths[i].capacity;
        if (other != NULL || o->down_bytes == 0)
            o->down_rate = least(down, s->limit_down);
        (void)plait_inquiry_ask(&n->exchange, n->peer.bond, n->loop.now);
    } else {
        o->down_rate = s->limit_down;
    }
    o->up_rate = least(up, s->limit_up);
    plait_fair_set_rate(o->down, n->loop.now, o->down_rate, OVERHEAD);
    plait_fair_set_rate(o->up, n->loop.now, o->up_rate, OVERHEAD);
}

static bool is_wanted(const struct plait_node_community *c, const struct plait_uplink *u)
{
    return u->used && c->family != 0 && !c->exhausted && !u->exhausted && plait_uplink_is_open(u) &&
           plait_node_community_offers(&c->settings, u->settings.name,
                                       u->settings.quota_bytes > 0 || u->settings.backup);
}

bool plait_offers_are_bounded(const struct plait_node_community *c)
{
    return c->settings.share < 1 || c->settings.limit_down > 0;
}

static uint32_t weight_of(double weight)
{
    return weight * WEIGHT_UNIT >= UINT32_MAX ? UINT32_MAX : (uint32_t)(weight * WEIGHT_UNIT + 0.5);
}

size_t plait_offers_look(struct plait_node_community *c,
                         struct plait_announce_uplink out[PLAIT_ANNOUNCE_UPLINKS_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < PLAIT_NODE_UPLINKS_MAX; i++) {
        struct plait_carry_offer *o = &c->offers[i];
        struct plait_uplink *u = &c->node->uplinks[i];
        if (!is_wanted(c, u)) {
            close_offer(o);
            continue;
        }
        if (o->uplink == NULL && open_offer(o, c, u) != PLAIT_OK)
            continue;
        set_rates(o);
        sit(o);
        out[count++] = (struct plait_announce_uplink){.id = (uint8_t)i,
                                                      .backup = u->settings.backup,
                                                      .bounded = plait_offers_are_bounded(c),
                                                      .port = o->port,
                                                      .weight_down = weight_of(u->settings.weight_down),
                                                      .weight_up = weight_of(u->settings.weight_up)};
    }
    return count;
}

void plait_offers_told(struct plait_node_community *c)
{
    for (size_t i = 0; i < PLAIT_NODE_UPLINKS_MAX; i++)
        for (unsigned k = 0; c->offers[i].uplink != NULL && k < PLAIT_FAIR_FLOWS_MAX; k++) {
            const struct plait_community_member *m =
                c->offers[i].flows[k].instance != 0
                    ? plait_community_find(c->membership, c->offers[i].flows[k].instance)
                    : NULL;
            if (m != NULL && m->up_at != 0)
                plait_fair_told(c->offers[i].up, m->up_at, k, m->up);
        }
}

static bool is_hub_elsewhere(const struct plait_carry_flow *f)
{
    union plait_udp_address to = f->offer->uplink->end.remote;

    plait_udp_address_set_port(&to, f->hub_port);
    return !plait_udp_address_equal(&f->to, &to);
}

static bool is_over(const struct plait_carry_flow *f, bool idle)
{
    const struct plait_node_community *c = f->offer->community;

    return plait_community_find(c->membership, f->instance) == NULL ||
           (idle && plait_since(c->node->loop.now, f->used_at) > IDLE) ||
           !plait_udp_address_equal(&f->source, &f->offer->uplink->source) || is_hub_elsewhere(f);
}

void plait_offers_sweep(struct plait_node_community *c, bool idle)
{
    for (size_t i = 0; i < PLAIT_NODE_UPLINKS_MAX; i++)
        for (unsigned k = 0; c->offers[i].uplink != NULL && k < PLAIT_FAIR_FLOWS_MAX; k++)
            if (c->offers[i].flows[k].instance != 0 && is_over(&c->offers[i].flows[k], idle))
                close_flow(&c->offers[i].flows[k]);
}
