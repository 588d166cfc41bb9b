/*
 * Who leaves says so: his neighbours take his line away at once, the hub hears of it a moment later. Who is killed tells
 * nobody: nothing passes any more, and the others have to find out. Who joins has a tunnel from then on, and his line is
 * a path of everybody's.
 */
#include "sim_village_int.h"

#define HUB_HEARS_NS (60 * PLAIT_MS)

static void set_path(struct plait_sim_village *v, unsigned n, unsigned line, unsigned side, bool there)
{
    struct plait_sim_tunnel *t = &v->tunnels[n];
    bool own = v->row->terminal[n].line == line + 1;

    plait_sim_tunnel_path(t, side, line, there);
    if (there && side == PLAIT_SIM_HUB && !v->row->apart && v->row->offer[line].limit <= 0)
        plait_bond_path_line(t->end[side].bond, line, &v->shared[line], own);
}

/* Whether the line is one of this terminal's paths. */
static bool has_line(const struct plait_sim_village *v, unsigned n, unsigned line)
{
    unsigned owner = v->owner[line];

    return owner == 0 || owner == n + 1 || (v->here[owner - 1] && !v->row->offer[line].kept);
}

/* One side's paths over the line of `owner`, of all others. */
static void change_line(struct plait_sim_village *v, unsigned owner, unsigned side, bool there)
{
    unsigned line = v->row->terminal[owner].line;

    if (line == 0 || v->row->offer[line - 1].kept)
        return;
    for (unsigned n = 0; n < v->row->terminals; n++) {
        if (n == owner || !v->here[n])
            continue;
        set_path(v, n, line - 1, side, there);
        plait_sim_tunnel_flush(&v->tunnels[n], side, v->events.now);
    }
}

static void join(struct plait_sim_village *v, unsigned n)
{
    struct plait_sim_tunnel *t = &v->tunnels[n];

    v->here[n] = true;
    plait_sim_tunnel_join(t);
    for (unsigned i = 0; i < v->lines; i++)
        for (unsigned side = 0; side < 2; side++)
            set_path(v, n, i, side, has_line(v, n, i));
    if (v->row->terminal[n].line > 0)
        plait_sim_forwarder_open(v, n);
}

static void on_join(void *ctx, uint64_t now)
{
    struct plait_sim_change *c = ctx;

    (void)now;
    join(c->village, c->terminal);
    for (unsigned side = 0; side < 2; side++)
        change_line(c->village, c->terminal, side, true);
    plait_sim_tunnel_wake(&c->village->tunnels[c->terminal]);
}

static void on_leave(void *ctx, uint64_t now)
{
    struct plait_sim_change *c = ctx;
    struct plait_sim_village *v = c->village;

    (void)now;
    v->here[c->terminal] = false;
    for (unsigned i = 0; i < v->lines; i++)
        for (unsigned side = 0; side < 2; side++)
            set_path(v, c->terminal, i, side, false);
    change_line(v, c->terminal, PLAIT_SIM_NODE, false);
}

static void on_heard(void *ctx, uint64_t now)
{
    struct plait_sim_change *c = ctx;

    (void)now;
    change_line(c->village, c->terminal, PLAIT_SIM_HUB, false);
}

static void plan(struct plait_sim_village *v, unsigned n, unsigned which, void (*fire)(void *, uint64_t),
                 uint64_t at)
{
    struct plait_sim_change *c = &v->changes[3 * n + which];

    *c = (struct plait_sim_change){.village = v, .terminal = n};
    plait_sim_event_init(&c->event, fire, c);
    plait_sim_event_set(&v->events, &c->event, at);
}

static uint64_t at(double after_ms)
{
    return PLAIT_SIM_TUNNEL_READY_NS + (uint64_t)(after_ms * 1e6);
}

void plait_sim_churn_init(struct plait_sim_village *v)
{
    for (unsigned n = 0; n < v->row->terminals; n++)
        v->here[n] = v->row->terminal[n].join_ms <= 0;
    for (unsigned n = 0; n < v->row->terminals; n++) {
        const struct plait_sim_terminal *t = &v->row->terminal[n];
        if (v->here[n])
            join(v, n);
        else
            plan(v, n, 0, on_join, at(t->join_ms));
        if (t->leave_ms > 0) {
            plan(v, n, 1, on_leave, at(t->leave_ms));
            plan(v, n, 2, on_heard, at(t->leave_ms) + HUB_HEARS_NS);
        }
    }
    for (unsigned n = 0; n < v->row->terminals; n++)
        if (v->here[n])
            plait_sim_tunnel_wake(&v->tunnels[n]);
}
