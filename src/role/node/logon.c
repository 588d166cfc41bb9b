#include <arpa/inet.h>
#include <string.h>

#include "nat.h"
#include "node_int.h"
#include "policy.h"
#include "units.h"

#define WEIGHT_UNIT 1000 /* of a weight in the hello: thousandths */

static uint32_t weight_of(double weight)
{
    double v = weight * WEIGHT_UNIT + 0.5;

    return v < 1 ? 0 : v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

void plait_node_announce(struct plait_node *n)
{
    struct plait_hello hello = {.mtu = (uint16_t)n->settings.mtu};
    uint8_t bytes[PLAIT_HELLO_BYTES_MAX];

    memcpy(hello.name, n->settings.name, sizeof hello.name);
    for (size_t i = 0; i < PLAIT_NODE_UPLINKS_MAX; i++) {
        const struct plait_uplink *u = &n->uplinks[i];
        if (!u->used)
            continue;
        hello.paths[hello.path_count++] =
            (struct plait_hello_path){.id = (uint8_t)i,
                                      .backup = u->settings.backup || u->exhausted,
                                      .weight_down = weight_of(u->settings.weight_down),
                                      .weight_up = weight_of(u->settings.weight_up),
                                      .limit_down = (uint64_t)u->settings.limit_down,
                                      .line = plait_node_line(n, u),
                                      .owner = true};
    }
    plait_node_neighbours_hello(n, &hello);
    int len = plait_hello_encode(&hello, bytes, sizeof bytes);
    if (len < 0 || plait_session_set_hello(n->session, bytes, (size_t)len) != PLAIT_OK)
        plait_say("the hub cannot be told about the uplinks: %s", plait_err_name(len));
}

/* The port. */

void plait_node_aim(const struct plait_node *n, struct plait_uplink *u)
{
    bool known = n->advised_port == 0 || u->stays;

    plait_udp_address_set_port(&u->end.remote, known ? u->settings.hub.port : n->advised_port);
}

void plait_node_use_port(struct plait_node *n, uint16_t advised)
{
    n->advised_port = advised;
    n->trial_port = 0;
    for (size_t i = 0; i < PLAIT_NODE_UPLINKS_MAX; i++) {
        n->uplinks[i].stays = false;
        plait_node_aim(n, &n->uplinks[i]);
    }
}

const struct plait_udp_end *plait_node_trial_end(const struct plait_node *n, struct plait_uplink *u)
{
    u->trial = u->end;
    plait_udp_address_set_port(&u->trial.remote, n->trial_port);
    return &u->trial;
}

static bool has_uplink(const struct plait_node *n)
{
    for (size_t i = 0; i < PLAIT_NODE_UPLINKS_MAX; i++)
        if (n->uplinks[i].used && plait_uplink_is_open(&n->uplinks[i]))
            return true;
    return false;
}

/*
 * The hub has a better place for us. The next handshake goes there, and everything else only once it has been
 * answered: the way may be shut.
 */
static void take_advice(struct plait_node *n, uint16_t port)
{
    if (port == 0 || port == n->advised_port || n->loop.now < n->no_trial_until)
        return;
    for (size_t i = 0; i < PLAIT_NODE_UPLINKS_MAX; i++)
        if (n->uplinks[i].used && n->advised_port == 0 && n->uplinks[i].settings.hub.port == port)
            return;
    if (!has_uplink(n)) { /* who carries for us has to have tried it */
        if (!plait_node_neighbours_use_port(n, port))
            return;
        plait_node_use_port(n, port);
        plait_session_rekey(n->session, n->loop.now);
        return;
    }
    n->trial_port = port;
    n->trial_at = n->loop.now;
    plait_session_rekey(n->session, n->loop.now);
}

/* Addresses, MTU, routes. */

static size_t list_addresses(const struct plait_hello *hub, struct plait_prefix out[2])
{
    size_t count = 0;

    if (hub->has_v4) {
        out[count] = (struct plait_prefix){.family = AF_INET, .bits = hub->v4_bits};
        memcpy(out[count++].address, hub->v4, sizeof hub->v4);
    }
    if (hub->has_v6) {
        out[count] = (struct plait_prefix){.family = AF_INET6, .bits = hub->v6_bits};
        memcpy(out[count++].address, hub->v6, sizeof hub->v6);
    }
    return count;
}

static bool has_same_addresses(const struct plait_hello *a, const struct plait_hello *b)
{
    struct plait_prefix of_a[2] = {{0}}, of_b[2] = {{0}};
    size_t count = list_addresses(a, of_a);

    if (list_addresses(b, of_b) != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (of_a[i].family != of_b[i].family || of_a[i].bits != of_b[i].bits ||
            memcmp(of_a[i].address, of_b[i].address, sizeof of_a[i].address) != 0)
            return false;
    return true;
}

static unsigned mtu_now(const struct plait_node *n)
{
    uint64_t mtu = plait_min_u64(n->pool.room, plait_bond_mtu(n->peer.bond));

    if (n->settings.mtu != 0)
        mtu = plait_min_u64(mtu, n->settings.mtu);
    if (n->hub.mtu != 0)
        mtu = plait_min_u64(mtu, n->hub.mtu);
    return (unsigned)plait_max_u64(mtu, PLAIT_NODE_MTU_MIN);
}

void plait_node_fit_mtu(struct plait_node *n)
{
    unsigned mtu = mtu_now(n);

    if (!n->logged_on || mtu == n->mtu)
        return;
    if (plait_tun_set_mtu(&n->port.tun, mtu) == PLAIT_OK)
        n->mtu = mtu;
}

static int set_up_interface(struct plait_node *n)
{
    struct plait_prefix addresses[2];
    size_t count = list_addresses(&n->hub, addresses);

    n->mtu = mtu_now(n);
    return plait_tun_set(&n->port.tun, n->mtu, addresses, count);
}

static void say_logged_on(struct plait_node *n)
{
    char v4[INET_ADDRSTRLEN] = "", v6[INET6_ADDRSTRLEN] = "";
    struct plait_session_facts facts;

    if (n->hub.has_v4)
        inet_ntop(AF_INET, n->hub.v4, v4, sizeof v4);
    if (n->hub.has_v6)
        inet_ntop(AF_INET6, n->hub.v6, v6, sizeof v6);
    plait_session_facts(n->session, &facts);
    plait_say("logged on: address %s%s%s, MTU %u, %s", v4, v4[0] != '\0' && v6[0] != '\0' ? " and " : "", v6,
              n->mtu, plait_aead_name(facts.aead));
}

static const struct plait_prefix everything[] = {{.family = AF_INET}, {.family = AF_INET6}};

/* Everything of the families that there is an address for: the other one stays where it was. */
static size_t list_routes(const struct plait_node *n, struct plait_prefix out[PLAIT_NODE_ROUTES_MAX])
{
    const struct plait_node_settings *s = &n->settings;
    bool all = s->route == PLAIT_NODE_ROUTE_DEFAULT;
    const struct plait_prefix *from = all ? everything : s->routes;
    size_t count = 0, from_count = all ? PLAIT_COUNT(everything) : s->route_count;

    for (size_t i = 0; i < from_count; i++)
        if (from[i].family == AF_INET ? n->hub.has_v4 : n->hub.has_v6)
            out[count++] = from[i];
    return count;
}

static void set_routes(struct plait_node *n)
{
    struct plait_prefix to[PLAIT_NODE_ROUTES_MAX];
    struct plait_policy_options options = {.interface = n->settings.interface, .to = to};

    options.to_count = list_routes(n, to);
    if (n->settings.route == PLAIT_NODE_ROUTE_NONE || options.to_count == 0)
        return;
    int err = plait_policy_set(&options);
    n->has_policy = err == PLAIT_OK;
    if (err != PLAIT_OK)
        plait_say("cannot route into the tunnel: %s", plait_reason(err));
}

/* Guests come in by any interface of the machine; only the families that the hub gives addresses of go on. */
static int forward_guests(const struct plait_node *n)
{
    int err = n->hub.has_v4 ? plait_nat_forward(NULL, AF_INET) : PLAIT_OK;

    if (err >= 0 && n->hub.has_v6)
        err = plait_nat_forward(NULL, AF_INET6);
    return err;
}

static void set_nat(struct plait_node *n)
{
    struct plait_nat_options options = {.interface = n->settings.interface,
                                        .out = n->settings.interface,
                                        .networks = everything,
                                        .network_count = PLAIT_COUNT(everything),
                                        .clamp = true};
    char error[PLAIT_NAT_ERROR_MAX];

    if (!n->settings.masquerade)
        return;
    n->has_nat = true;
    if (plait_nat_set(&options, error) < 0)
        plait_say("cannot masquerade: %s", error);
    else if (forward_guests(n) < 0)
        plait_say("cannot switch forwarding on: %s", plait_reason(PLAIT_ERR_IO));
}

static void log_on(struct plait_node *n)
{
    int err = set_up_interface(n);

    if (err != PLAIT_OK) {
        plait_say("%s: cannot set its address: %s", n->settings.interface, plait_reason(err));
        return;
    }
    n->logged_on = true;
    n->connected = true;
    set_routes(n);
    set_nat(n);
    say_logged_on(n);
}

void plait_node_on_keys(struct plait_node *n, const union plait_udp_address *from, const uint8_t *hello,
                        size_t len)
{
    struct plait_hello hub;
    int err = plait_hello_decode(hello, len, &hub);

    n->heard_at = n->logged_on_at = n->loop.now;
    if (n->trial_port != 0 && plait_udp_address_port(from) == n->trial_port)
        plait_node_use_port(n, n->trial_port);
    if (err != PLAIT_OK) {
        plait_say("the hub said what this version does not understand: %s", plait_err_name(err));
        return;
    }
    bool same = n->logged_on && has_same_addresses(&hub, &n->hub);
    n->hub = hub;
    if (!same)
        log_on(n);
    else
        plait_node_fit_mtu(n);
    take_advice(n, hub.port);
}

void plait_node_undo(struct plait_node *n)
{
    char error[PLAIT_NAT_ERROR_MAX];

    if (n->has_policy && plait_policy_clear(n->settings.interface) < 0)
        plait_say("cannot take the routes away: %s", plait_reason(PLAIT_ERR_IO));
    if (n->has_nat && plait_nat_clear(n->settings.interface, error) < 0)
        plait_say("cannot take masquerading away: %s", error);
}
