#include "sim_village.h"

#include <stdlib.h>
#include <string.h>

#include "fair.h"
#include "line.h"
#include "sim_mem.h"
#include "sim_tunnel_int.h"

#define LAN_MBIT       1000.0
#define LAN_MS         0.2
#define LAN_QUEUE_MS   50.0
#define LINE_SHARE     (1448.0 / 1500.0)
#define BYTES_PER_MBIT 125000.0
#define FIRST_RATE     125000.0
#define POOL_PACKETS   8192u

#define SAY_NS PLAIT_S /* how often a terminal says what it has upward */

#define FORWARD_PACKETS 512u
#define FORWARD_ROOM    1500u

struct village;

/* What the owner of a line does for the others, upward. */
struct forwarder {
    struct village *village;
    unsigned line, owner; /* terminal */
    struct plait_fair *fair;
    struct plait_line known; /* the line, as the owner sees it */
    struct plait_sim_event timer;
};

/* One of the others. */
struct guest {
    struct forwarder *forwarder;
    unsigned terminal;
    struct plait_sim_sink sink;
    struct plait_sim_route beyond; /* the line alone */
};

/* What a terminal tells the forwarders. */
struct speaker {
    struct village *village;
    unsigned terminal;
    uint64_t arrived_bytes;
    struct plait_sim_event timer;
};

struct village {
    const struct plait_sim_village_row *row;
    struct plait_sim_events events;
    struct plait_sim_link link[2][PLAIT_SIM_UPLINKS_MAX]; /* by the sending side; of all tunnels */
    struct plait_sim_step steps[PLAIT_SIM_UPLINKS_MAX][PLAIT_SIM_UPLINK_STEPS];
    unsigned lines;
    struct plait_line shared[PLAIT_SIM_UPLINKS_MAX];    /* the same, as the hub sees them */
    struct plait_sim_tunnel_row *rows;                  /* owns: one for each terminal */
    struct plait_sim_tunnel *tunnels;                   /* owns */
    struct plait_sim_tunnel_result *results;            /* owns */
    struct forwarder forwarders[PLAIT_SIM_UPLINKS_MAX]; /* of each line that has an owner */
    struct guest (*guests)[PLAIT_SIM_UPLINKS_MAX];      /* owns: of each terminal */
    struct speaker *speakers;                           /* owns: for each terminal */
    struct plait_sim_event tell;
    const struct plait_sim_tunnel_story *story;
};

static uint64_t ms(double v)
{
    return (uint64_t)(v * 1e6);
}

/* ---- lines ---- */

static void lay_line(struct village *v, unsigned side, unsigned i)
{
    struct plait_sim_link_config c = plait_sim_uplink_line(&v->row->line[i], side, v->steps[i]);

    c.seed = v->row->seed * 64 + 32 + i * 2 + side;
    plait_sim_link_init(&v->link[side][i], &v->events, &c);
}

/* A terminal's own tunnel has the LAN for its lines; what is beyond is shared. */
static void make_row(struct village *v, unsigned n)
{
    const struct plait_sim_terminal *t = &v->row->terminal[n];
    struct plait_sim_tunnel_row *r = &v->rows[n];
    double lan_ms = t->lan_ms > 0 ? t->lan_ms : LAN_MS;

    r->seconds = v->row->seconds;
    r->late_us = v->row->late_us;
    r->pool_packets = POOL_PACKETS;
    r->seed = v->row->seed * 64 + n;
    memcpy(r->inner, t->inner, sizeof(t->inner));
    for (unsigned i = 0; i < v->lines; i++)
        r->uplink[i] = (struct plait_sim_uplink){.mbit = t->lan_mbit > 0 ? t->lan_mbit : LAN_MBIT,
                                                 .rtt_ms = t->line == i + 1 ? 0.002 : 2 * lan_ms,
                                                 .queue_ms = LAN_QUEUE_MS,
                                                 .loss = t->line == i + 1 ? 0 : t->lan_loss,
                                                 .weight = v->row->line[i].weight,
                                                 .limit = v->row->line[i].limit,
                                                 .backup = v->row->line[i].backup,
                                                 .carried = t->line != i + 1 && !v->row->apart,
                                                 .mtu = v->row->line[i].mtu};
}

static void set_routes(struct village *v, struct plait_sim_tunnel *t)
{
    for (unsigned i = 0; i < v->lines; i++) {
        t->route[PLAIT_SIM_NODE][i] = (struct plait_sim_route){
            .hop = {&t->link[PLAIT_SIM_NODE][i], &v->link[PLAIT_SIM_NODE][i]}, .hops = 2};
        t->route[PLAIT_SIM_HUB][i] = (struct plait_sim_route){
            .hop = {&v->link[PLAIT_SIM_HUB][i], &t->link[PLAIT_SIM_HUB][i]}, .hops = 2};
    }
}

/* ---- forwarding ---- */

static void pump_forwarder(struct forwarder *f, uint64_t now)
{
    uint8_t bytes[FORWARD_ROOM];
    unsigned terminal;
    size_t len;

    while ((len = plait_fair_poll(f->fair, now, &terminal, bytes)) > 0) {
        struct plait_sim_tunnel *t = &f->village->tunnels[terminal];
        struct plait_sim_carried *c = plait_sim_carried_take(t);
        c->path = (uint8_t)f->line;
        c->len = (uint16_t)len;
        memcpy(c->bytes, bytes, len);
        struct plait_sim_packet p = {.route = &f->village->guests[terminal][f->line].beyond,
                                     .sink = &t->end[PLAIT_SIM_HUB].sink[f->line],
                                     .bytes = (uint32_t)(len + PLAIT_SIM_TUNNEL_HEADERS)};
        p.body[0] = (uintptr_t)c;
        plait_sim_packet_send(&p, now);
    }
    uint64_t at = plait_fair_next_deadline(f->fair);
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
    struct guest *g = ctx;
    struct plait_sim_carried *c = plait_sim_carried_of(p);
    struct village *v = g->forwarder->village;

    (void)plait_fair_push(g->forwarder->fair, now, g->terminal, c->bytes, c->len);
    plait_sim_carried_give(&v->tunnels[g->terminal], c);
    plait_sim_tunnel_flush(&v->tunnels[g->forwarder->owner], PLAIT_SIM_NODE, now);
    pump_forwarder(g->forwarder, now);
}

static void not_forwarded(void *ctx, const struct plait_sim_packet *p)
{
    struct guest *g = ctx;

    plait_sim_carried_give(&g->forwarder->village->tunnels[g->terminal], plait_sim_carried_of(p));
}

static void make_forwarder(struct village *v, unsigned owner)
{
    unsigned line = v->row->terminal[owner].line - 1;
    struct forwarder *f = &v->forwarders[line];

    *f = (struct forwarder){.village = v, .line = line, .owner = owner};
    if (plait_fair_new(FORWARD_PACKETS, FORWARD_ROOM, &f->fair) != PLAIT_OK)
        abort();
    plait_fair_set_rate(f->fair, v->events.now, 0, PLAIT_SIM_TUNNEL_HEADERS);
    plait_sim_event_init(&f->timer, on_forwarder, f);
    if (v->row->apart)
        return;
    plait_line_init(&f->known, FIRST_RATE);
    plait_bond_path_line(v->tunnels[owner].end[PLAIT_SIM_NODE].bond, line, &f->known, true);
    plait_fair_set_line(f->fair, &f->known);
}

static void make_guest(struct village *v, unsigned terminal, unsigned line)
{
    struct guest *g = &v->guests[terminal][line];
    struct plait_sim_tunnel *t = &v->tunnels[terminal];

    if (v->forwarders[line].fair == NULL || v->row->terminal[terminal].line == line + 1)
        return;
    *g = (struct guest){.forwarder = &v->forwarders[line],
                        .terminal = terminal,
                        .sink = {.deliver = forward, .dropped = not_forwarded, .ctx = g},
                        .beyond = {.hop = {&v->link[PLAIT_SIM_NODE][line]}, .hops = 1}};
    t->route[PLAIT_SIM_NODE][line].hops = 1;
    t->via[PLAIT_SIM_NODE][line] = &g->sink;
}

/* What it has sent over all lines in the last second, so that those who carry for it know what it has elsewhere. */
static void on_say(void *ctx, uint64_t now)
{
    struct speaker *s = ctx;
    struct village *v = s->village;
    uint64_t bytes = 0;

    for (unsigned i = 0; i < v->lines; i++) {
        struct plait_bond_path_info p;
        plait_bond_path_get(v->tunnels[s->terminal].end[PLAIT_SIM_NODE].bond, now, i, &p);
        bytes += p.arrived_bytes;
    }
    for (unsigned i = 0; i < v->lines; i++)
        if (v->forwarders[i].fair != NULL)
            plait_fair_told(v->forwarders[i].fair, now, s->terminal,
                            (double)(bytes - s->arrived_bytes) / plait_to_s(SAY_NS));
    s->arrived_bytes = bytes;
    plait_sim_event_set(&v->events, &s->timer, now + SAY_NS);
}

static void make_speakers(struct village *v)
{
    for (unsigned n = 0; n < v->row->terminals && !v->row->apart; n++) {
        struct speaker *s = &v->speakers[n];
        *s = (struct speaker){.village = v, .terminal = n};
        plait_sim_event_init(&s->timer, on_say, s);
        plait_sim_event_set(&v->events, &s->timer, v->events.now + SAY_NS * (n + 1) / v->row->terminals);
    }
}

static void make_forwarders(struct village *v)
{
    for (unsigned n = 0; n < v->row->terminals; n++)
        if (v->row->terminal[n].line > 0)
            make_forwarder(v, n);
    for (unsigned n = 0; n < v->row->terminals; n++)
        for (unsigned i = 0; i < v->lines; i++)
            make_guest(v, n, i);
}

static void end_forwarders(struct village *v)
{
    for (unsigned i = 0; i < v->lines; i++) {
        plait_fair_free(v->forwarders[i].fair);
        plait_line_done(&v->forwarders[i].known);
    }
    free(v->guests);
    free(v->speakers);
}

static void share_lines(struct village *v, unsigned n)
{
    for (unsigned i = 0; i < v->lines && !v->row->apart; i++)
        plait_bond_path_line(v->tunnels[n].end[PLAIT_SIM_HUB].bond, i, &v->shared[i],
                             v->row->terminal[n].line == i + 1);
}

/* ---- telling ---- */

static void on_tell(void *ctx, uint64_t now)
{
    struct village *v = ctx;

    plait_sim_event_set(&v->events, &v->tell, now + ms(v->story->every_ms));
    fprintf(v->story->to, "%8.3f s", plait_to_s(now - PLAIT_SIM_TUNNEL_READY_NS));
    for (unsigned i = 0; i < v->lines; i++)
        fprintf(v->story->to, " q%.0f", (double)plait_since(v->link[1][i].busy_until, now) / 1e6);
    for (unsigned n = 0; n < v->row->terminals; n++) {
        const struct plait_sim_tunnel *t = &v->tunnels[n];
        const struct plait_sim_tunnel_end *e = &t->end[t->row->inner[0].up ? PLAIT_SIM_NODE : PLAIT_SIM_HUB];
        uint64_t clock = e->side == PLAIT_SIM_HUB ? now + PLAIT_SIM_HUB_CLOCK_NS : now;
        struct plait_bond_info info;
        plait_bond_get(e->bond, clock, &info);
        fprintf(v->story->to, " | %.2f MB queue %u cwnd %.0f", (double)t->inner[0].result.bytes / 1e6,
                info.queue_packets, t->inner[0].flow.cc.cwnd);
        for (unsigned i = 0; i < v->lines; i++) {
            struct plait_bond_path_info p;
            plait_bond_path_get(e->bond, clock, i, &p);
            fprintf(v->story->to, " %.1f/%.1f q%.1f", p.rate / BYTES_PER_MBIT, p.sent_rate / BYTES_PER_MBIT,
                    (double)p.queue_ns / 1e6);
        }
    }
    fprintf(v->story->to, "\n");
}

/* ---- a run ---- */

static void lay(struct village *v)
{
    unsigned count = v->row->terminals;

    while (v->lines < PLAIT_SIM_UPLINKS_MAX && v->row->line[v->lines].mbit > 0)
        v->lines++;
    v->guests = plait_sim_mem_new(count, sizeof(*v->guests));
    v->speakers = plait_sim_mem_new(count, sizeof(*v->speakers));
    v->rows = plait_sim_mem_new(count, sizeof(*v->rows));
    v->tunnels = plait_sim_mem_new(count, sizeof(*v->tunnels));
    v->results = plait_sim_mem_new(count, sizeof(*v->results));
    for (unsigned side = 0; side < 2; side++)
        for (unsigned i = 0; i < v->lines; i++)
            lay_line(v, side, i);
    for (unsigned i = 0; i < v->lines; i++)
        plait_line_init(&v->shared[i], FIRST_RATE);
    for (unsigned n = 0; n < count; n++) {
        make_row(v, n);
        plait_sim_tunnel_lay(&v->tunnels[n], &v->rows[n], &v->events, &v->results[n]);
        set_routes(v, &v->tunnels[n]);
        plait_sim_tunnel_join(&v->tunnels[n]);
        share_lines(v, n);
    }
    make_forwarders(v);
    make_speakers(v);
    for (unsigned n = 0; n < count; n++)
        plait_sim_tunnel_wake(&v->tunnels[n]);
}

static void gather(struct village *v, struct plait_sim_village_result *out)
{
    for (unsigned n = 0; n < v->row->terminals; n++) {
        const struct plait_sim_tunnel_result *r = &v->results[n];
        out->mbit[n] = r->inner[0].mbit;
        out->mbit_late[n] = r->inner[0].mbit_late;
        out->ping_ms[n] = r->inner[1].rtt_ms_p95;
        if ((r->bad || r->leaked > 0) && !out->bad) {
            out->bad = true;
            snprintf(out->why, sizeof(out->why), "terminal %u: %.80s", n + 1,
                     r->bad ? r->why : "packets did not come back to the pool");
        }
    }
    for (unsigned i = 0; i < v->lines; i++) {
        const struct plait_sim_link *l = &v->link[PLAIT_SIM_HUB][i];
        out->line_queue_ms[i] = (double)l->stats.queue_ns_max / 1e6;
        out->line_dropped[i] = l->stats.dropped_queue;
        out->line_mbit[i] = v->row->line[i].mbit * LINE_SHARE;
        out->sum_mbit += out->line_mbit[i];
        out->sum_mbit_up += (double)v->link[PLAIT_SIM_NODE][i].config.rate / BYTES_PER_MBIT * LINE_SHARE;
    }
}

void plait_sim_village_run(const struct plait_sim_village_row *row,
                           const struct plait_sim_tunnel_story *story, struct plait_sim_village_result *out)
{
    struct village v = {.row = row, .story = story};

    *out = (struct plait_sim_village_result){0};
    plait_sim_events_init(&v.events);
    plait_sim_events_run(&v.events, PLAIT_SIM_TUNNEL_START_NS);
    lay(&v);
    plait_sim_events_run(&v.events, PLAIT_SIM_TUNNEL_READY_NS);
    for (unsigned n = 0; n < row->terminals; n++)
        plait_sim_tunnel_pour(&v.tunnels[n]);
    plait_sim_event_init(&v.tell, on_tell, &v);
    if (story != NULL && story->every_ms > 0)
        plait_sim_event_set(&v.events, &v.tell, v.events.now);
    plait_sim_events_run(&v.events, PLAIT_SIM_TUNNEL_READY_NS + ms(row->seconds * 1e3));
    for (unsigned side = 0; side < 2; side++)
        for (unsigned i = 0; i < v.lines; i++)
            plait_sim_link_done(&v.link[side][i]);
    for (unsigned n = 0; n < row->terminals; n++)
        plait_sim_tunnel_part(&v.tunnels[n]);
    end_forwarders(&v);
    gather(&v, out);
    out->hash = v.events.hash;
    plait_sim_events_done(&v.events);
    free(v.rows);
    free(v.tunnels);
    free(v.results);
}
