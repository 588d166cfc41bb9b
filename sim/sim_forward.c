#include <stdlib.h>
#include <string.h>

#include "sim_mem.h"
#include "sim_village_int.h"

#define SAY_NS          PLAIT_S /* how often a terminal says what it has upward */
#define FORWARD_PACKETS 512u
#define FORWARD_ROOM    1500u
#define BYTES_PER_MBIT  125000.0

static void pump_side(struct plait_sim_forwarder *f, uint64_t now, unsigned side)
{
    uint8_t bytes[FORWARD_ROOM];
    unsigned terminal;
    size_t len;

    while ((len = plait_fair_poll(f->fair[side], now, &terminal, bytes)) > 0) {
        struct plait_sim_tunnel *t = &f->village->tunnels[terminal];
        struct plait_sim_carried *c = plait_sim_carried_take(t);
        c->path = (uint8_t)f->line;
        c->len = (uint16_t)len;
        memcpy(c->bytes, bytes, len);
        struct plait_sim_packet p = {.route = &f->village->guests[terminal][f->line].way[side].beyond,
                                     .sink = &t->end[1 - side].sink[f->line],
                                     .bytes = (uint32_t)(len + PLAIT_SIM_TUNNEL_HEADERS)};
        p.body[0] = (uintptr_t)c;
        plait_sim_packet_send(&p, now);
    }
}

static void pump_forwarder(struct plait_sim_forwarder *f, uint64_t now)
{
    uint64_t at = PLAIT_NEVER;

    for (unsigned side = 0; side < 2; side++) {
        pump_side(f, now, side);
        at = plait_min_u64(at, plait_fair_next_deadline(f->fair[side]));
    }
    plait_sim_event_set(&f->village->events, &f->timer,
                        at == PLAIT_NEVER ? at : plait_max_u64(at, now + 1000));
}

static void on_forwarder(void *ctx, uint64_t now)
{
    pump_forwarder(ctx, now);
}

/* The owner's own packets go before. */
static void forward(void *ctx, uint64_t now, const struct plait_sim_packet *p)
{
    struct plait_sim_guest_way *way = ctx;
    struct plait_sim_guest *g = way->guest;
    struct plait_sim_carried *c = plait_sim_carried_of(p);
    struct plait_sim_village *v = g->forwarder->village;

    (void)plait_fair_push(g->forwarder->fair[way->side], now, g->terminal, c->bytes, c->len);
    plait_sim_carried_give(&v->tunnels[g->terminal], c);
    plait_sim_tunnel_flush(&v->tunnels[g->forwarder->owner], PLAIT_SIM_NODE, now);
    pump_forwarder(g->forwarder, now);
}

static void not_forwarded(void *ctx, const struct plait_sim_packet *p)
{
    struct plait_sim_guest_way *way = ctx;

    plait_sim_carried_give(&way->guest->forwarder->village->tunnels[way->guest->terminal],
                           plait_sim_carried_of(p));
}

static void make_forwarder(struct plait_sim_village *v, unsigned owner)
{
    unsigned line = v->row->terminal[owner].line - 1;
    struct plait_sim_forwarder *f = &v->forwarders[line];

    *f = (struct plait_sim_forwarder){.village = v, .line = line, .owner = owner};
    for (unsigned side = 0; side < 2; side++) {
        if (plait_fair_new(FORWARD_PACKETS, FORWARD_ROOM, &f->fair[side]) != PLAIT_OK)
            abort();
        plait_fair_set_rate(f->fair[side], v->events.now, v->row->offer[line].limit * BYTES_PER_MBIT,
                            PLAIT_SIM_TUNNEL_HEADERS);
    }
    plait_sim_event_init(&f->timer, on_forwarder, f);
}

void plait_sim_forwarder_open(struct plait_sim_village *v, unsigned n)
{
    struct plait_sim_forwarder *f = &v->forwarders[v->row->terminal[n].line - 1];

    if (v->row->apart)
        return;
    plait_line_init(&f->known, PLAIT_SIM_LINE_RATE);
    plait_bond_path_line(v->tunnels[n].end[PLAIT_SIM_NODE].bond, f->line, &f->known, true);
    plait_fair_set_line(f->fair[PLAIT_SIM_NODE], &f->known);
}

/* Downward the forwarder only has a part where it holds back what it carries. */
static void make_way(struct plait_sim_village *v, struct plait_sim_guest *g, unsigned side)
{
    unsigned line = g->forwarder->line;
    struct plait_sim_tunnel *t = &v->tunnels[g->terminal];
    struct plait_sim_link *next =
        side == PLAIT_SIM_NODE ? &v->link[PLAIT_SIM_NODE][line] : &t->link[PLAIT_SIM_HUB][line];

    if (side == PLAIT_SIM_HUB && v->row->offer[line].limit <= 0)
        return;
    g->way[side] =
        (struct plait_sim_guest_way){.guest = g, .side = side, .beyond = {.hop = {next}, .hops = 1}};
    g->way[side].sink =
        (struct plait_sim_sink){.deliver = forward, .dropped = not_forwarded, .ctx = &g->way[side]};
    t->route[side][line].hops = 1;
    t->via[side][line] = &g->way[side].sink;
}

static void make_guest(struct plait_sim_village *v, unsigned terminal, unsigned line)
{
    struct plait_sim_guest *g = &v->guests[terminal][line];

    if (v->owner[line] == 0 || v->row->terminal[terminal].line == line + 1)
        return;
    *g = (struct plait_sim_guest){.forwarder = &v->forwarders[line], .terminal = terminal};
    for (unsigned side = 0; side < 2; side++)
        make_way(v, g, side);
}

/* What it has sent over all lines in the last second, so that those who carry for it know what it has elsewhere. */
static void on_say(void *ctx, uint64_t now)
{
    struct plait_sim_speaker *s = ctx;
    struct plait_sim_village *v = s->village;
    uint64_t bytes = 0;

    plait_sim_event_set(&v->events, &s->timer, now + SAY_NS);
    if (!v->here[s->terminal])
        return;
    for (unsigned i = 0; i < v->lines; i++) {
        struct plait_bond_path_info p;
        plait_bond_path_get(v->tunnels[s->terminal].end[PLAIT_SIM_NODE].bond, now, i, &p);
        bytes += p.arrived_bytes;
    }
    for (unsigned i = 0; i < v->lines && bytes > s->arrived_bytes; i++)
        if (v->owner[i] != 0)
            plait_fair_told(v->forwarders[i].fair[PLAIT_SIM_NODE], now, s->terminal,
                            (double)(bytes - s->arrived_bytes) / plait_to_s(SAY_NS));
    s->arrived_bytes = bytes;
}

static void make_speaker(struct plait_sim_village *v, unsigned n)
{
    struct plait_sim_speaker *s = &v->speakers[n];

    *s = (struct plait_sim_speaker){.village = v, .terminal = n};
    plait_sim_event_init(&s->timer, on_say, s);
    plait_sim_event_set(&v->events, &s->timer, v->events.now + SAY_NS * (n + 1) / v->row->terminals);
}

void plait_sim_forwarders_init(struct plait_sim_village *v)
{
    for (unsigned n = 0; n < v->row->terminals; n++)
        if (v->row->terminal[n].line > 0)
            make_forwarder(v, n);
    for (unsigned n = 0; n < v->row->terminals; n++) {
        for (unsigned i = 0; i < v->lines; i++)
            make_guest(v, n, i);
        if (!v->row->apart)
            make_speaker(v, n);
    }
}

void plait_sim_forwarders_done(struct plait_sim_village *v)
{
    for (unsigned i = 0; i < v->lines; i++) {
        for (unsigned side = 0; side < 2; side++)
            plait_fair_free(v->forwarders[i].fair[side]);
        plait_line_done(&v->forwarders[i].known);
    }
}
