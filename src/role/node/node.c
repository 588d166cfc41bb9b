#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nat.h"
#include "node_int.h"
#include "policy.h"
#include "settle.h"
#include "units.h"

#define POOL_PACKETS   20480u
#define POOL_ROOM      1500u /* of a packet, where the configuration asks for no greater MTU */
#define INBOX_MESSAGES 8

/* Signals. */

static void on_term(void *node, int signum)
{
    struct plait_node *n = node;

    (void)signum;
    plait_loop_stop(&n->loop);
}

static struct plait_uplink *find_uplink(struct plait_node *n, const char *name)
{
    for (size_t i = 0; i < PLAIT_NODE_UPLINKS_MAX; i++)
        if (n->uplinks[i].used && strcmp(n->uplinks[i].settings.name, name) == 0)
            return &n->uplinks[i];
    return NULL;
}

static void add_uplink(struct plait_node *n, const struct plait_node_uplink_settings *s)
{
    for (size_t i = 0; i < PLAIT_NODE_UPLINKS_MAX; i++) {
        struct plait_uplink *u = &n->uplinks[i];
        if (u->used || u->resolving.busy || plait_uplink_is_open(u))
            continue;
        plait_uplink_init(u, s, (uint8_t)i, &n->loop, &plait_node_uplink_events, n, n->mark);
        plait_uplink_resolve(u, n->has_policy);
        return;
    }
    plait_say("uplink %s: no number is free for it just now", s->name);
}

static void remove_uplink(struct plait_node *n, struct plait_uplink *u)
{
    plait_node_drop_path(n, u);
    u->used = false;
}

static bool is_same_endpoint(const struct plait_config_endpoint *a, const struct plait_config_endpoint *b)
{
    return strcmp(a->host, b->host) == 0 && a->port == b->port;
}

static void change_uplink(struct plait_node *n, struct plait_uplink *u,
                          const struct plait_node_uplink_settings *s)
{
    bool elsewhere = !is_same_endpoint(&u->settings.hub, &s->hub);

    u->settings = *s;
    if (elsewhere) {
        plait_uplink_close(u);
        u->resolved = false;
        plait_uplink_resolve(u, n->has_policy);
    }
    if (u->resolved)
        plait_node_set_path(n, u);
}

/* What they are on offer for may change, what they are made of not. */
static bool has_same_communities(const struct plait_node_settings *a, const struct plait_node_settings *b)
{
    if (a->community_count != b->community_count)
        return false;
    for (size_t i = 0; i < a->community_count; i++)
        if (!plait_node_community_is_same(&a->communities[i], &b->communities[i]))
            return false;
    return true;
}

/* What only a new start can change. */
static bool needs_restart(const struct plait_node_settings *a, const struct plait_node_settings *b)
{
    return strcmp(a->name, b->name) != 0 || strcmp(a->key_file, b->key_file) != 0 ||
           !plait_key_is_equal(&a->hub_key, &b->hub_key) || strcmp(a->interface, b->interface) != 0 ||
           strcmp(a->control, b->control) != 0 || strcmp(a->user, b->user) != 0 || a->route != b->route ||
           a->route_count != b->route_count || memcmp(a->routes, b->routes, sizeof a->routes) != 0 ||
           a->masquerade != b->masquerade || !has_same_communities(a, b);
}

static void apply_uplinks(struct plait_node *n, const struct plait_node_settings *s)
{
    for (size_t i = 0; i < PLAIT_NODE_UPLINKS_MAX; i++) {
        bool wanted = false;
        for (size_t k = 0; k < s->uplink_count; k++)
            wanted = wanted || strcmp(s->uplinks[k].name, n->uplinks[i].settings.name) == 0;
        if (n->uplinks[i].used && !wanted)
            remove_uplink(n, &n->uplinks[i]);
    }
    for (size_t k = 0; k < s->uplink_count; k++) {
        struct plait_uplink *u = find_uplink(n, s->uplinks[k].name);
        if (u != NULL)
            change_uplink(n, u, &s->uplinks[k]);
        else
            add_uplink(n, &s->uplinks[k]);
    }
}

static void open_quota(struct plait_node *n)
{
    bool wanted = false;

    n->quota.fd = -1;
    for (size_t i = 0; i < n->settings.uplink_count; i++)
        wanted = wanted || n->settings.uplinks[i].quota_bytes > 0;
    for (size_t i = 0; i < n->settings.community_count; i++)
        wanted = wanted || n->settings.communities[i].quota_bytes > 0;
    if (wanted && plait_quota_open(&n->quota, n->settings.state_file) != PLAIT_OK)
        plait_say("%s: %s; used quotas will be forgotten at the end", n->settings.state_file,
                  plait_reason(PLAIT_ERR_IO));
}

static void on_hangup(void *node, int signum)
{
    struct plait_node *n = node;
    struct plait_node_settings *s = malloc(sizeof *s);
    char error[PLAIT_NODE_ERROR_MAX];

    (void)signum;
    if (s == NULL)
        return;
    if (plait_node_settings_read(n->config, s, error) != PLAIT_OK) {
        plait_say("%s; all stays as it was", error);
    } else if (needs_restart(&n->settings, s)) {
        plait_say("%s: only uplinks, what is on offer and the MTU can be changed without a restart; all "
                  "stays as it was",
                  n->config);
    } else {
        n->settings = *s;
        plait_node_communities_forget_paths(n);
        apply_uplinks(n, s);
        plait_node_announce(n);
        plait_node_look(n);
        plait_node_communities_change(n);
        if (n->quota.fd < 0 && n->quota.count == 0)
            open_quota(n); /* where the first one has come */
        plait_session_rekey(n->session, n->loop.now);
        plait_node_fit_mtu(n);
        plait_say("%s read anew", n->config);
    }
    free(s);
}

static int watch_signals(struct plait_node *n)
{
    if (plait_signal_init(&n->term, &n->loop, SIGTERM, on_term, n) != PLAIT_OK ||
        plait_signal_init(&n->interrupt, &n->loop, SIGINT, on_term, n) != PLAIT_OK ||
        plait_signal_init(&n->hangup, &n->loop, SIGHUP, on_hangup, n) != PLAIT_OK)
        return PLAIT_ERR_IO;
    return PLAIT_OK;
}

/* Set-up. */

/* What a predecessor that was killed has left. */
static void clear_leftovers(const struct plait_node *n)
{
    char error[PLAIT_NAT_ERROR_MAX];
    int left = plait_policy_clear(n->settings.interface);

    if (left > 0)
        plait_say("removed %d routes and rules that an earlier node has left", left);
    if (n->settings.masquerade && plait_nat_clear(n->settings.interface, error) < 0)
        plait_say("%s", error);
}

static int open_port(struct plait_node *n)
{
    struct plait_tun_options options = {.name = n->settings.interface};
    struct plait_tun tun;
    uint64_t seed;
    int err = plait_tun_open(&tun, &options);

    if (err == PLAIT_ERR_STATE)
        plait_say("%s is there already: is another node or hub running? (interface =)",
                  n->settings.interface);
    else if (err == PLAIT_ERR_IO && (errno == EPERM || errno == EACCES))
        plait_say("%s: not allowed; a node needs to be started by root, or with CAP_NET_ADMIN",
                  n->settings.interface);
    else if (err != PLAIT_OK)
        plait_say("%s: %s", n->settings.interface, plait_reason(err));
    if (err != PLAIT_OK)
        return err;
    clear_leftovers(n);
    n->port_is_open = true;
    plait_random_fill(&plait_kernel_random, &seed, sizeof seed);
    err = plait_port_init(&n->port, &tun, &n->pool, seed);
    if (err == PLAIT_OK)
        err = plait_watch_init(&n->port_watch, &n->loop, n->port.tun.fd, plait_node_on_port, n);
    return err;
}

static int make_peer(struct plait_node *n)
{
    struct plait_session_config session = plait_self_session(&n->self, n->crypto);
    struct plait_bond_config bond = {
        .pool = &n->pool, .deliver = plait_node_deliver, .control = plait_node_on_control, .ctx = n};

    n->session = plait_session_new_initiator(&session, &n->settings.hub_key, n->loop.now, plait_self_wall());
    if (n->session == NULL) {
        plait_say("hub-key is no key that anybody can have, or memory is short");
        return PLAIT_ERR_ARG;
    }
    plait_random_fill(&plait_kernel_random, &bond.seed, sizeof bond.seed);
    return plait_peer_init(&n->peer, n->session, &bond);
}

static int make_buffers(struct plait_node *n)
{
    uint32_t room = (uint32_t)plait_max_u64(n->settings.mtu, POOL_ROOM);
    int err = plait_pool_init(&n->pool, POOL_PACKETS, room);

    n->inbox = plait_udp_inbox_new(INBOX_MESSAGES);
    n->crypto = plait_crypto_new();
    if (err == PLAIT_OK)
        err = plait_outbox_init(&n->outbox,
                                plait_max_u64(room + PLAIT_PEER_OVERHEAD, PLAIT_HANDSHAKE_BYTES_MAX));
    n->outbox.trouble = plait_node_on_trouble;
    n->outbox.ctx = n;
    return err == PLAIT_OK && (n->inbox == NULL || n->crypto == NULL) ? PLAIT_ERR_NOMEM : err;
}

static json_t *answer(void *node, const json_t *request)
{
    struct plait_node *n = node;
    const char *what = json_string_value(json_object_get(request, "do"));

    return what != NULL && strcmp(what, "status") == 0 ? plait_node_status(n) : NULL;
}

static int set_up(struct plait_node *n)
{
    int err;

    n->started_at = n->loop.now;
    n->mark = PLAIT_POLICY_MARK;
    plait_timer_init(&n->tick, &n->loop, plait_node_on_tick, n);
    if ((err = plait_self_init(&n->self, n->settings.key_file)) != PLAIT_OK ||
        (err = make_buffers(n)) != PLAIT_OK || (err = make_peer(n)) != PLAIT_OK ||
        (err = open_port(n)) != PLAIT_OK)
        return err;
    n->alarm_is_set_up = true;
    if ((err = plait_alarm_init(&n->alarm, &n->loop, plait_node_on_alarm, n)) != PLAIT_OK ||
        (err = watch_signals(n)) != PLAIT_OK ||
        (err = plait_settle_control(&n->loop, n->settings.control, answer, n, &n->control)) != PLAIT_OK)
        return err;
    n->netwatch = plait_netwatch_new(&n->loop, plait_node_look, n);
    if (n->netwatch == NULL)
        return PLAIT_ERR_IO;
    open_quota(n);
    if ((err = plait_node_communities_init(n)) != PLAIT_OK)
        return err;
    if ((err = plait_settle_privileges(n->settings.user)) != PLAIT_OK)
        return err;
    for (size_t i = 0; i < n->settings.uplink_count; i++)
        add_uplink(n, &n->settings.uplinks[i]);
    plait_node_announce(n);
    plait_node_look(n);
    plait_node_communities_on_tick(n);
    plait_timer_set(&n->tick, n->loop.now + PLAIT_S);
    return PLAIT_OK;
}

/* Tear-down. */

static void close_handles(struct plait_node *n)
{
    if (n->term.loop != NULL)
        plait_signal_close(&n->term);
    if (n->interrupt.loop != NULL)
        plait_signal_close(&n->interrupt);
    if (n->hangup.loop != NULL)
        plait_signal_close(&n->hangup);
    if (n->port_watch.loop != NULL)
        plait_watch_close(&n->port_watch);
    if (n->alarm_is_set_up)
        plait_alarm_close(&n->alarm);
    plait_timer_close(&n->tick);
    plait_netwatch_free(n->netwatch);
    plait_control_close(n->control);
}

static bool is_resolving(const struct plait_node *n)
{
    for (size_t i = 0; i < PLAIT_NODE_UPLINKS_MAX; i++)
        if (n->uplinks[i].resolving.busy)
            return true;
    return false;
}

static void free_buffers(struct plait_node *n)
{
    plait_node_communities_done(n);
    plait_peer_done(&n->peer);
    plait_session_free(n->session);
    plait_port_done(&n->port);
    plait_outbox_done(&n->outbox);
    plait_udp_inbox_free(n->inbox);
    plait_crypto_free(n->crypto);
    if (n->pool.packets != NULL)
        plait_pool_done(&n->pool);
    plait_self_done(&n->self);
    plait_quota_close(&n->quota);
}

/* The hub need not wait for silence to know it. Twice, as nobody confirms it. */
static void say_goodbye(struct plait_node *n)
{
    for (int i = 0; i < 2 && n->logged_on; i++) {
        plait_inquiry_leave(n->peer.bond, n->loop.now);
        plait_node_pump(n);
    }
}

static void tear_down(struct plait_node *n, int status)
{
    n->ending = true;
    plait_node_communities_leave(n);
    plait_node_undo(n);
    plait_node_save_quota(n);
    for (size_t i = 0; i < PLAIT_NODE_UPLINKS_MAX; i++)
        plait_uplink_close(&n->uplinks[i]);
    close_handles(n);
    if (is_resolving(n)) {
        /* The system's resolver cannot be called off, and may take its time; nobody waits for it any more. */
        fflush(NULL);
        _exit(status);
    }
    plait_loop_drain(&n->loop);
    plait_loop_done(&n->loop);
    free_buffers(n);
}

static int read_settings(const char *config, struct plait_node_settings *out)
{
    char error[PLAIT_NODE_ERROR_MAX];
    int err = plait_node_settings_read(config, out, error);

    if (err != PLAIT_OK)
        plait_say("%s", error);
    return err;
}

int plait_node_run(const char *config)
{
    static struct plait_node n;

    plait_say_as("plait node");
    memset(&n, 0, sizeof n);
    n.config = config;
    if (read_settings(config, &n.settings) != PLAIT_OK)
        return PLAIT_NODE_USAGE;
    if (plait_loop_init(&n.loop) != PLAIT_OK) {
        plait_say("no event loop: %s", strerror(errno));
        return PLAIT_NODE_FAILED;
    }
    n.loop.after_ctx = &n;
    int err = set_up(&n);
    if (err == PLAIT_OK) {
        plait_say("up; logging on to the hub");
        n.loop.after = plait_node_pump;
        plait_node_pump(&n);
        plait_loop_run(&n.loop);
        say_goodbye(&n);
    } else {
        plait_say_no_start(err);
    }
    int status = err == PLAIT_OK && !n.failed ? PLAIT_NODE_DONE : PLAIT_NODE_FAILED;
    tear_down(&n, status);
    return status;
}

int plait_node_check(const char *config)
{
    static struct plait_node_settings settings;
    struct plait_identity identity;

    plait_say_as("plait node");
    if (read_settings(config, &settings) != PLAIT_OK ||
        plait_self_read_key(settings.key_file, &identity) != PLAIT_OK)
        return PLAIT_NODE_USAGE;
    plait_wipe(&identity, sizeof identity);
    printf("%s: right\n", config);
    return PLAIT_NODE_DONE;
}
