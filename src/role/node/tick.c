#include "node_int.h"
#include "report.h"
#include "units.h"

#define TICK          PLAIT_S
#define SILENT        (10 * PLAIT_S) /* without a word from the hub: not connected */
#define NO_ANSWER     (5 * PLAIT_S)  /* since the start: people are told why that may be */
#define TRIAL         (3 * PLAIT_S)  /* of a port, for an answer */
#define TRIAL_REST    (600 * PLAIT_S)
#define SAVE_EVERY    10            /* ticks */
#define SHUT          3             /* ticks without an answer: the port may be shut */
#define LOST          (3 * PLAIT_S) /* without a word, and without a path: the hub may be elsewhere */
/* How often its name is asked for, in ticks. */
#define RESOLVE_FIRST 5
#define RESOLVE_SOON  6
#define RESOLVE_AGAIN 30

/* Quotas. */

static void count_quota(struct plait_node *n, struct plait_uplink *u, const struct plait_bond_path_info *info)
{
    const struct plait_node_uplink_settings *s = &u->settings;
    uint64_t all = info->sent_bytes + info->received_bytes + plait_node_carried_bytes(n, u->path);
    int64_t wall = plait_unix_s();

    if (s->quota_bytes == 0)
        return;
    if (all > u->counted)
        plait_quota_add(&n->quota, s->name, s->quota_period, wall, all - u->counted);
    u->counted = all;
    bool exhausted = plait_quota_used(&n->quota, s->name, s->quota_period, wall) >= s->quota_bytes;
    if (exhausted == u->exhausted)
        return;
    u->exhausted = exhausted;
    plait_say(exhausted ? "uplink %s: its quota is used up, so it waits until the others fail"
                        : "uplink %s: a new quota begins",
              s->name);
    plait_node_set_path(n, u);
    plait_node_announce(n);
    plait_session_rekey(n->session, n->loop.now);
}

void plait_node_save_quota(struct plait_node *n)
{
    if (plait_quota_save(&n->quota) != PLAIT_OK)
        plait_say("%s: %s", n->settings.state_file, plait_reason(PLAIT_ERR_IO));
}

/* What people want to know of. */

/* Of an uplink that has never been up. */
static void tell_trouble(struct plait_uplink *u)
{
    plait_say("uplink %s: %s; trying on", u->settings.name, u->trouble);
    u->told_trouble = true;
}

static void tell_path(struct plait_uplink *u, const struct plait_bond_path_info *info)
{
    bool up = info->state == PLAIT_BOND_PATH_UP, was_up = u->state_told == PLAIT_BOND_PATH_UP;

    if (up && !was_up)
        plait_say("uplink %s: up, round trip %.1f ms", u->settings.name, (double)info->rtt_ns / 1e6);
    else if (u->resolved && u->trouble != NULL && u->state_told == 0 && !u->told_trouble)
        tell_trouble(u);
    else if (!up && was_up && info->state != PLAIT_BOND_PATH_SUSPECT)
        plait_say("uplink %s: %s%s%s", u->settings.name, plait_report_state(info->state),
                  u->trouble != NULL ? ": " : "", u->trouble != NULL ? u->trouble : "");
    if (info->state != PLAIT_BOND_PATH_SUSPECT)
        u->state_told = info->state;
}

/* A hub answers nobody whom it does not know, so that the reasons cannot be told apart from here. */
static void tell_no_answer(struct plait_node *n)
{
    const struct plait_config_endpoint *hub = &n->settings.hub;
    char key[PLAIT_KEY_TEXT + 1];

    if (n->logged_on || n->told_no_answer || plait_since(n->loop.now, n->started_at) < NO_ANSWER)
        return;
    n->told_no_answer = true;
    plait_key_format(&n->self.identity.public, key);
    plait_say(
        "no answer from the hub, %s port %u; trying on. Does it run, and does UDP get there? Is hub-key its "
        "public key, and is this node's in its configuration: %s",
        hub->host, hub->port, key);
}

static void tell_connection(struct plait_node *n)
{
    bool connected = n->logged_on && plait_since(n->loop.now, n->heard_at) < SILENT;

    tell_no_answer(n);
    if (connected == n->connected)
        return;
    n->connected = connected;
    if (!connected)
        plait_say("the hub is silent");
    else if (n->told_silence)
        plait_say("the hub is heard again");
    n->told_silence = !connected;
}

/* Nobody answers at the port that is tried: the one that we have is good enough. */
static void check_trial(struct plait_node *n)
{
    if (n->trial_port == 0 || plait_since(n->loop.now, n->trial_at) < TRIAL)
        return;
    n->trial_port = 0;
    n->no_trial_until = n->loop.now + TRIAL_REST;
    plait_session_rekey(n->session, n->loop.now);
}

static void check_silence(struct plait_node *n)
{
    struct plait_session_facts facts;

    plait_session_facts(n->session, &facts);
    if (n->advised_port != 0 && facts.waiting && plait_since(n->loop.now, n->heard_at) > TRIAL)
        plait_node_use_port(n, 0); /* a hub that was started anew has its own idea of ports */
}

static bool has_path(const struct plait_node *n)
{
    struct plait_bond_path_info info;

    for (unsigned i = 0; i < PLAIT_NODE_UPLINKS_MAX; i++) {
        plait_bond_path_get(n->peer.bond, n->loop.now, i, &info);
        if (info.state == PLAIT_BOND_PATH_UP)
            return true;
    }
    return false;
}

/* Asks where the hub is: at once when it is lost, soon again, and then now and then. Its name may not be asked for
 * through the tunnel that leads to it. */
static void look_for_hub(struct plait_node *n)
{
    uint64_t heard = plait_max_u64(n->heard_at, n->started_at);
    bool lost = plait_since(n->loop.now, heard) > LOST && !has_path(n);

    n->lost_ticks = lost ? n->lost_ticks + 1 : 0;
    bool due = n->lost_ticks == 1 || n->lost_ticks == RESOLVE_SOON ||
               n->lost_ticks % RESOLVE_AGAIN == RESOLVE_AGAIN - 1;
    for (size_t i = 0; i < PLAIT_NODE_UPLINKS_MAX; i++) {
        struct plait_uplink *u = &n->uplinks[i];
        if (u->used && (u->resolved ? due : n->ticks % RESOLVE_FIRST == RESOLVE_FIRST - 1))
            plait_uplink_resolve(u, n->has_policy && lost);
    }
}

/*
 * The hub's other port may be shut on some uplinks alone: they stay at the known one, from which the hub hands on what
 * comes. One that hears nothing there either is tried with both by turns.
 */
static void choose_ports(struct plait_node *n)
{
    struct plait_bond_path_info info;
    bool others = n->advised_port != 0 && has_path(n);

    for (unsigned i = 0; i < PLAIT_NODE_UPLINKS_MAX; i++) {
        struct plait_uplink *u = &n->uplinks[i];
        plait_bond_path_get(n->peer.bond, n->loop.now, i, &info);
        bool silent = others && u->used && plait_uplink_is_open(u) && info.state != PLAIT_BOND_PATH_UP;
        u->silent = silent ? u->silent + 1 : 0;
        if (u->silent < SHUT)
            continue;
        u->silent = 0;
        u->stays = !u->stays;
        plait_node_aim(n, u);
        if (info.state == PLAIT_BOND_PATH_UNKNOWN) /* its probes have become rare */
            plait_bond_path_moved(n->peer.bond, n->loop.now, i);
        plait_node_tell_session(n);
    }
}

void plait_node_on_tick(void *node)
{
    struct plait_node *n = node;
    struct plait_bond_path_info info;
    bool look = false;

    if (n->ending)
        return;
    for (size_t i = 0; i < PLAIT_NODE_UPLINKS_MAX; i++) {
        struct plait_uplink *u = &n->uplinks[i];
        if (!u->used)
            continue;
        plait_bond_path_get(n->peer.bond, n->loop.now, (unsigned)i, &info);
        count_quota(n, u, &info);
        tell_path(u, &info);
        look = look || u->no_way || !plait_uplink_is_open(u);
    }
    look_for_hub(n);
    if (look)
        plait_node_look(n);
    plait_node_communities_on_tick(n);
    tell_connection(n);
    check_trial(n);
    check_silence(n);
    choose_ports(n);
    plait_node_fit_mtu(n);
    if (++n->ticks % SAVE_EVERY == 0)
        plait_node_save_quota(n);
    plait_timer_set(&n->tick, n->loop.now + TICK);
}
