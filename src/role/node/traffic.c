#include <string.h>

#include "node_int.h"
#include "policy.h"
#include "units.h"

#define OVERHEAD_V4 58u /* IP, UDP, front and tag around the plaintext */
#define OVERHEAD_V6 78u
#define ROUNDS_MAX  4 /* inboxes that one uplink may fill in one turn */

/* Out. */

/* What was written to the outbox's room, by the uplink or the neighbour that the path leads over. Neighbours know
 * nothing of a port that is being tried. */
static void send_by(struct plait_node *n, unsigned path, size_t len, bool tries)
{
    struct plait_uplink *u = path < PLAIT_NODE_UPLINKS_MAX ? &n->uplinks[path] : NULL;
    const struct plait_udp_end *end;
    struct plait_udp *udp;

    if (u != NULL && u->used && plait_uplink_is_open(u))
        plait_outbox_add(&n->outbox, len, &u->udp, tries ? plait_node_trial_end(n, u) : &u->end);
    else if (!tries && (udp = plait_node_neighbour_door(n, path, &end)) != NULL)
        plait_outbox_add(&n->outbox, len, udp, end);
}

void plait_node_pump(void *node)
{
    struct plait_node *n = node;
    uint8_t path;
    size_t len;

    if (n->ending)
        return;
    uint64_t now = n->loop.now;
    plait_port_flush(&n->port);
    plait_inquiry_answer(&n->exchange, n->peer.bond, now);
    plait_node_communities_pump(n);
    for (;;) {
        uint8_t *room = plait_outbox_room(&n->outbox);
        len = plait_peer_poll_send(&n->peer, now, &path, room, n->outbox.room);
        if (len == 0)
            break;
        send_by(n, path, len, n->trial_port != 0 && room[0] == PLAIT_ENVELOPE_INITIATION);
    }
    if (plait_bond_is_weighted(n->peer.bond))
        plait_outbox_keep_order(&n->outbox);
    plait_outbox_flush(&n->outbox);
    plait_node_communities_carry(n);
    plait_alarm_set(&n->alarm, plait_min_u64(plait_peer_next_deadline(&n->peer, now),
                                             plait_node_communities_deadline(n)));
}

void plait_node_on_alarm(void *node)
{
    struct plait_node *n = node;

    plait_peer_on_deadline(&n->peer, n->loop.now);
    plait_node_communities_on_deadline(n);
}

/* The system says that an uplink cannot send: the netlink monitor will say so too, but later. */
void plait_node_on_trouble(void *node, const struct plait_udp_end *end, enum plait_udp_trouble what)
{
    struct plait_node *n = node;

    if (what != PLAIT_UDP_NO_WAY)
        return;
    for (size_t i = 0; i < PLAIT_NODE_UPLINKS_MAX; i++)
        if (&n->uplinks[i].end == end && !n->uplinks[i].no_way) {
            n->uplinks[i].no_way = true;
            plait_bond_path_carrier(n->peer.bond, n->loop.now, (unsigned)i, false);
        }
}

/* In. */

static void take_packet(void *node, struct plait_packet *packet)
{
    struct plait_node *n = node;

    (void)plait_bond_push(n->peer.bond, n->loop.now, packet);
}

void plait_node_on_port(void *node)
{
    struct plait_node *n = node;

    if (plait_port_read(&n->port, take_packet, n) != PLAIT_OK && !n->ending) {
        plait_say("%s is gone or down", n->settings.interface);
        plait_loop_stop(&n->loop);
        n->failed = true;
    }
}

void plait_node_deliver(void *node, uint64_t now, const uint8_t *bytes, size_t len)
{
    struct plait_node *n = node;

    (void)now;
    plait_port_write(&n->port, bytes, len);
}

void plait_node_on_control(void *node, uint64_t now, unsigned path, const uint8_t *bytes, size_t len)
{
    struct plait_node *n = node;

    (void)path;
    plait_inquiry_on_control(&n->exchange, now, bytes, len);
}

void plait_node_recv(struct plait_node *n, uint8_t path, const struct plait_udp_packet *packet)
{
    struct plait_peer_news news;
    int err = plait_peer_recv(&n->peer, n->loop.now, path, packet->data, packet->len, &news);

    if (news.keys_begin)
        plait_node_on_keys(n, &packet->end->remote, news.hello, news.hello_len);
    if (news.is_sealed)
        n->heard_at = n->loop.now;
    (void)err; /* counted */
}

static void on_readable(void *node, struct plait_uplink *u)
{
    struct plait_node *n = node;
    const struct plait_udp_packet *list;

    for (int round = 0; round < ROUNDS_MAX && plait_uplink_is_open(u); round++) {
        int count = plait_udp_recv(&u->udp, n->inbox, &list);
        if (count <= 0)
            return;
        for (int i = 0; i < count; i++)
            plait_node_recv(n, u->path, &list[i]);
    }
}

/* Uplinks. */

void plait_node_set_path(struct plait_node *n, struct plait_uplink *u)
{
    const struct plait_node_uplink_settings *s = &u->settings;
    const struct plait_netwatch_link *link = plait_netwatch_link(n->netwatch, u->interface);
    bool v6 = u->end.remote.any.sa_family == AF_INET6;
    struct plait_bond_path_config config = {.mtu =
                                                link != NULL ? (uint16_t)plait_min_u64(link->mtu, 1500) : 0,
                                            .overhead = v6 ? OVERHEAD_V6 : OVERHEAD_V4,
                                            .weight = s->weight_up,
                                            .rate_max = s->limit_up,
                                            .backup = s->backup || u->exhausted};
    int err = plait_peer_path_set(&n->peer, n->loop.now, u->path, &config);

    if (err != PLAIT_OK)
        plait_say("uplink %s: %s", s->name, plait_reason(err));
}

void plait_node_drop_path(struct plait_node *n, struct plait_uplink *u)
{
    plait_uplink_close(u);
    plait_peer_path_remove(&n->peer, n->loop.now, u->path);
}

void plait_node_tell_session(struct plait_node *n)
{
    uint32_t paths = plait_node_neighbours_paths(n), staying = 0;

    for (size_t i = 0; i < PLAIT_NODE_UPLINKS_MAX; i++)
        if (n->uplinks[i].used && plait_uplink_is_open(&n->uplinks[i]))
            *(n->uplinks[i].stays ? &staying : &paths) |= 1u << i;
    /* At the known port it is another worker that answers handshakes. */
    plait_session_set_paths(n->session, n->loop.now, paths != 0 ? paths : staying);
}

static void loosen(const struct plait_uplink *u)
{
    if (u->interface[0] != '\0' && plait_policy_loosen(u->interface) < 0)
        plait_say("uplink %s: cannot make reverse path filtering loose on %s: %s", u->settings.name,
                  u->interface, plait_reason(PLAIT_ERR_IO));
}

static void look_at(struct plait_node *n, struct plait_uplink *u)
{
    enum plait_uplink_change change = plait_uplink_look(u);
    uint64_t now = n->loop.now;

    if (change == PLAIT_UPLINK_OPENED || change == PLAIT_UPLINK_MOVED)
        loosen(u);
    if (change == PLAIT_UPLINK_OPENED)
        plait_node_set_path(n, u);
    if (change == PLAIT_UPLINK_MOVED)
        plait_bond_path_moved(n->peer.bond, now, u->path);
    if (change == PLAIT_UPLINK_CLOSED)
        plait_bond_path_carrier(n->peer.bond, now, u->path, false);
    else if (plait_uplink_is_open(u) && (change != PLAIT_UPLINK_SAME || u->no_way))
        plait_bond_path_carrier(n->peer.bond, now, u->path, true);
    u->no_way = false;
}

void plait_node_look(void *node)
{
    struct plait_node *n = node;

    if (n->ending)
        return;
    for (size_t i = 0; i < PLAIT_NODE_UPLINKS_MAX; i++)
        if (n->uplinks[i].used && n->uplinks[i].resolved)
            look_at(n, &n->uplinks[i]);
    plait_node_tell_session(n);
}

static void on_resolved(void *node, struct plait_uplink *u)
{
    struct plait_node *n = node;
    bool was_open = plait_uplink_is_open(u);

    if (n->ending || !u->used)
        return;
    if (!u->resolved) {
        if (!u->told_name)
            plait_say("uplink %s: no address is known for %s; trying again", u->settings.name,
                      u->settings.hub.host);
        u->told_name = true;
        return;
    }
    plait_node_aim(n, u);
    look_at(n, u);
    if (was_open && u->hub_moved)
        plait_bond_path_moved(n->peer.bond, n->loop.now, u->path);
    plait_node_tell_session(n);
    if (was_open && u->hub_moved)
        plait_session_rekey(n->session, n->loop.now);
}

const struct plait_uplink_events plait_node_uplink_events = {.readable = on_readable,
                                                             .resolved = on_resolved};
