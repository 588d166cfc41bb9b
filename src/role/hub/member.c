#include <stdlib.h>
#include <string.h>

#include "hub_int.h"
#include "units.h"

#define OVERHEAD_V4 58u
#define OVERHEAD_V6 78u
#define WEIGHT_UNIT 1000.0
#define KNOCK       (30 * PLAIT_S)   /* for what follows a handshake */
#define YOUNG       (500 * PLAIT_MS) /* a good-bye may still be that of the one before */
#define GONE        (200 * PLAIT_S)  /* without a word, when keys have run out: what it had is freed */

const struct plait_hub_node_settings *plait_member_settings(const struct plait_member *m)
{
    return &m->worker->table->settings->nodes[m->node];
}

unsigned plait_member_place(const struct plait_member *m)
{
    const struct plait_key *key = &plait_member_settings(m)->key;
    uint64_t place = m->group != 0 ? m->group : key->bytes[0]; /* who shares lines shares a worker */

    return (unsigned)(place % m->worker->hub->worker_count);
}

void plait_member_touch(struct plait_member *m)
{
    if (m->is_dirty || !m->has_peer)
        return;
    m->is_dirty = true;
    m->next_dirty = m->worker->dirty;
    m->worker->dirty = m;
}

/* Packets. */

static bool may_come_from(const struct plait_member *m, const uint8_t *packet, size_t len)
{
    if (len >= 40 && packet[0] >> 4 == 6)
        return plait_table_allows(m->worker->table, m->node, true, packet + 8);
    if (len >= 20 && packet[0] >> 4 == 4)
        return plait_table_allows(m->worker->table, m->node, false, packet + 12);
    return false;
}

static void deliver(void *member, uint64_t now, const uint8_t *packet, size_t len)
{
    struct plait_member *m = member;

    (void)now;
    if (may_come_from(m, packet, len))
        plait_port_write(&m->worker->port, packet, len);
    else
        m->refused++;
}

static void on_control(void *member, uint64_t now, unsigned path, const uint8_t *bytes, size_t len)
{
    struct plait_member *m = member;

    (void)path;
    plait_inquiry_on_control(&m->exchange, now, bytes, len);
}

static int make_peer(struct plait_member *m)
{
    struct plait_bond_config bond = {
        .pool = &m->worker->pool, .deliver = deliver, .control = on_control, .ctx = m};

    plait_random_fill(&plait_kernel_random, &bond.seed, sizeof bond.seed);
    int err = plait_peer_init(&m->peer, m->session, &bond);
    m->has_peer = err == PLAIT_OK;
    m->since = m->worker->loop.now;
    return err;
}

static void free_peer(struct plait_member *m)
{
    if (!m->has_peer)
        return;
    plait_agenda_set(&m->worker->agenda, &m->due, PLAIT_NEVER);
    for (struct plait_member **at = &m->worker->dirty; *at != NULL; at = &(*at)->next_dirty)
        if (*at == m) {
            *at = m->next_dirty;
            break;
        }
    m->is_dirty = m->has_peer = false;
    m->paths = 0;
    for (unsigned i = 0; i < PLAIT_BOND_PATHS; i++)
        plait_member_name_line(m, i, 0, false);
    plait_peer_done(&m->peer);
}

struct plait_member *plait_member_new(struct plait_hub_worker *w, uint32_t node)
{
    struct plait_member *m = calloc(1, sizeof *m);

    if (m == NULL)
        return NULL;
    m->worker = w;
    m->node = node;
    m->due.at = PLAIT_NEVER;
    int err = plait_sessions_add(w->sessions, &w->table->settings->nodes[node].key, m, &m->session);
    if (err == PLAIT_OK)
        return m;
    if (w->number == 0)
        plait_say("node %s: its key is of no use: %s", w->table->settings->nodes[node].name,
                  plait_err_name(err));
    free(m);
    return NULL;
}

static void leave_home(struct plait_member *m)
{
    plait_member_drop_route(m);
    if (m->is_home)
        plait_table_leave_home(m->worker->table, m->node, m->worker->number);
    m->is_home = false;
}

void plait_member_free(struct plait_member *m)
{
    if (m == NULL)
        return;
    leave_home(m);
    free_peer(m);
    plait_sessions_remove(m->worker->sessions, m->session);
    free(m);
}

/* Log-on. */

static struct plait_bond_path_config path_config(const struct plait_member *m,
                                                 const struct plait_hello_path *path)
{
    return (struct plait_bond_path_config){.overhead = m->v6 ? OVERHEAD_V6 : OVERHEAD_V4,
                                           .weight = path->weight_down / WEIGHT_UNIT,
                                           .rate_max = (double)path->limit_down,
                                           .backup = path->backup};
}

static void expect_paths(struct plait_member *m, const struct plait_hello *hello)
{
    uint64_t now = m->worker->loop.now;
    uint32_t named = 0;

    for (size_t i = 0; i < hello->path_count; i++) {
        struct plait_bond_path_config config = path_config(m, &hello->paths[i]);
        if (plait_peer_path_expect(&m->peer, now, hello->paths[i].id, &config) != PLAIT_OK)
            continue;
        named |= 1u << hello->paths[i].id;
        plait_member_name_line(m, hello->paths[i].id, hello->paths[i].line, hello->paths[i].owner);
    }
    for (unsigned i = 0; i < PLAIT_BOND_PATHS; i++)
        if ((named >> i & 1) == 0) {
            plait_member_name_line(m, i, 0, false);
            plait_peer_path_remove(&m->peer, now, i);
        }
}

int plait_member_on_knock(struct plait_member *m, const uint8_t *bytes, size_t len, bool v6)
{
    struct plait_hello hello;
    int err = plait_hello_decode(bytes, len, &hello);

    if (err != PLAIT_OK)
        return err;
    m->v6 = v6;
    m->group = hello.group;
    m->knocked_at = m->worker->loop.now;
    if (!m->has_peer && (err = make_peer(m)) != PLAIT_OK)
        return err;
    expect_paths(m, &hello);
    return PLAIT_OK;
}

int plait_member_hello(const struct plait_member *m, uint8_t out[PLAIT_HELLO_BYTES_MAX])
{
    const struct plait_hub_node_settings *n = plait_member_settings(m);
    const struct plait_hub_settings *s = m->worker->table->settings;
    const struct plait_hub *hub = m->worker->hub;
    struct plait_hello hello = {.mtu = (uint16_t)s->mtu,
                                .has_v4 = n->has_v4,
                                .v4_bits = (uint8_t)s->network4.bits,
                                .has_v6 = n->has_v6,
                                .v6_bits = (uint8_t)s->network6.bits,
                                .port = hub->workers[plait_member_place(m)].udp_port,
                                .has_lan = n->has_lan,
                                .lan = n->lan};

    memcpy(hello.name, n->name, sizeof hello.name);
    memcpy(hello.v4, n->v4, sizeof hello.v4);
    memcpy(hello.v6, n->v6, sizeof hello.v6);
    return plait_hello_encode(&hello, out, PLAIT_HELLO_BYTES_MAX);
}

/* Datagrams. */

static void come_home(struct plait_member *m)
{
    struct plait_hub_worker *w = m->worker;

    if (!plait_table_take_home(w->table, m->node, w->number, m->logged_on_at))
        return;
    if (!m->is_home)
        plait_say("node %s has logged on", plait_member_settings(m)->name);
    m->is_home = true;
}

/* Where the newest datagram of a path came from is where its other end is. */
static void follow(struct plait_member *m, uint8_t path, struct plait_udp *udp,
                   const struct plait_udp_end *end)
{
    bool known = (m->paths >> path & 1) != 0;

    if (known && m->udp[path] == udp && plait_udp_address_equal(&m->ends[path].remote, &end->remote) &&
        plait_udp_address_equal(&m->ends[path].local, &end->local))
        return;
    m->udp[path] = udp;
    m->ends[path] = *end;
    m->paths |= 1u << path;
    if (known)
        plait_bond_path_moved(m->peer.bond, m->worker->loop.now, path);
}

/* It has said good-bye. */
static void leave(struct plait_member *m)
{
    m->exchange.has_left = false;
    if (plait_since(m->worker->loop.now, m->since) < YOUNG)
        return;
    plait_say("node %s has left", plait_member_settings(m)->name);
    leave_home(m);
    free_peer(m);
}

void plait_member_on_sealed(struct plait_member *m, struct plait_udp *udp,
                            const struct plait_udp_packet *packet)
{
    struct plait_peer_news news;

    if (!m->has_peer)
        return;
    int err = plait_peer_recv(&m->peer, m->worker->loop.now, 0, packet->data, packet->len, &news);
    if (!news.is_sealed)
        return;
    (void)err; /* counted */
    m->heard_at = m->worker->loop.now;
    if (news.keys_begin)
        m->logged_on_at = m->knocked_at;
    if (news.keys_begin || !m->is_home)
        come_home(m);
    plait_member_take_seat(m, news.path);
    if (news.is_highest && news.path < PLAIT_BOND_PATHS)
        follow(m, news.path, udp, packet->end);
    if (m->exchange.has_left)
        leave(m);
    plait_member_touch(m);
}

/* It talks to another worker now, or never came back after it had knocked. */
static bool has_moved_on(const struct plait_member *m)
{
    if (m->is_home)
        return plait_table_home(m->worker->table, m->node) != (int)m->worker->number;
    return plait_since(m->worker->loop.now, m->knocked_at) > KNOCK;
}

void plait_member_on_tick(struct plait_member *m)
{
    uint64_t last = plait_max_u64(m->knocked_at, m->heard_at);
    bool gone = plait_since(m->worker->loop.now, last) >= GONE;

    plait_member_fit_route(m);
    if (!m->has_peer || (!gone && !has_moved_on(m)))
        return;
    if (m->is_home && gone)
        plait_say("node %s is silent", plait_member_settings(m)->name);
    leave_home(m);
    free_peer(m);
}
