#include "sim_village.h"

#include <stdlib.h>
#include <string.h>

#include "sim_mem.h"
#include "sim_village_int.h"

#define LAN_MBIT       1000.0
#define LAN_MS         0.2
#define LAN_QUEUE_MS   50.0
#define LINE_SHARE     (1448.0 / 1500.0)
#define BYTES_PER_MBIT 125000.0
#define POOL_PACKETS   8192u
#define FOREVER_MS     1e9

static uint64_t ms(double v)
{
    return (uint64_t)(v * 1e6);
}

/* ---- lines ---- */

/* From then on nothing passes of what has to do with this terminal; 0 = never. */
static double gone_ms(const struct plait_sim_terminal *t)
{
    return t->kill_ms > 0 ? t->kill_ms : t->leave_ms;
}

static unsigned cut_line(struct plait_sim_village *v, unsigned side, unsigned i)
{
    const struct plait_sim_uplink *u = &v->row->line[i];
    struct plait_sim_outage *out = v->outages[side][i];
    double gone = v->owner[i] > 0 ? gone_ms(&v->row->terminal[v->owner[i] - 1]) : 0;
    unsigned n = 0;

    for (unsigned o = 0; o + 1 < PLAIT_SIM_LINE_OUTAGES && u->outage[o].to_ms > 0; o++)
        if (u->outage[o].kind != (side == PLAIT_SIM_HUB ? PLAIT_SIM_CUT_UP : PLAIT_SIM_CUT_DOWN))
            out[n++] = (struct plait_sim_outage){PLAIT_SIM_TUNNEL_READY_NS + ms(u->outage[o].from_ms),
                                                 PLAIT_SIM_TUNNEL_READY_NS + ms(u->outage[o].to_ms)};
    if (gone > 0)
        out[n++] = (struct plait_sim_outage){PLAIT_SIM_TUNNEL_READY_NS + ms(gone), PLAIT_NEVER};
    return n;
}

static void lay_line(struct plait_sim_village *v, unsigned side, unsigned i)
{
    struct plait_sim_link_config c = plait_sim_uplink_line(&v->row->line[i], side, v->steps[i]);

    c.seed = v->row->seed * 64 + 32 + i * 2 + side;
    c.outages = v->outages[side][i];
    c.outages_n = cut_line(v, side, i);
    plait_sim_link_init(&v->link[side][i], &v->events, &c);
}

/* A terminal's own tunnel has the LAN for its lines; what is beyond is shared. */
static void make_row(struct plait_sim_village *v, unsigned n)
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
    for (unsigned i = 0; i < v->lines && gone_ms(t) > 0; i++) {
        r->uplink[i].outage[0].from_ms = gone_ms(t);
        r->uplink[i].outage[0].to_ms = FOREVER_MS;
    }
}

static void set_routes(struct plait_sim_village *v, struct plait_sim_tunnel *t)
{
    for (unsigned i = 0; i < v->lines; i++) {
        t->route[PLAIT_SIM_NODE][i] = (struct plait_sim_route){
            .hop = {&t->link[PLAIT_SIM_NODE][i], &v->link[PLAIT_SIM_NODE][i]}, .hops = 2};
        t->route[PLAIT_SIM_HUB][i] = (struct plait_sim_route){
            .hop = {&v->link[PLAIT_SIM_HUB][i], &t->link[PLAIT_SIM_HUB][i]}, .hops = 2};
    }
}

/* ---- telling ---- */

static void on_tell(void *ctx, uint64_t now)
{
    struct plait_sim_village *v = ctx;

    plait_sim_event_set(&v->events, &v->tell, now + ms(v->story->every_ms));
    fprintf(v->story->to, "%8.3f s", plait_to_s(now - PLAIT_SIM_TUNNEL_READY_NS));
    for (unsigned i = 0; i < v->lines; i++)
        fprintf(v->story->to, " q%.0f", (double)plait_since(v->link[1][i].busy_until, now) / 1e6);
    for (unsigned n = 0; n < v->row->terminals; n++) {
        const struct plait_sim_tunnel *t = &v->tunnels[n];
        if (!v->here[n])
            continue;
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

static void lay(struct plait_sim_village *v)
{
    unsigned count = v->row->terminals;

    while (v->lines < PLAIT_SIM_UPLINKS_MAX && v->row->line[v->lines].mbit > 0)
        v->lines++;
    for (unsigned n = 0; n < count; n++)
        if (v->row->terminal[n].line > 0)
            v->owner[v->row->terminal[n].line - 1] = n + 1;
    v->changes = plait_sim_mem_new(3 * count, sizeof(*v->changes));
    v->guests = plait_sim_mem_new(count, sizeof(*v->guests));
    v->speakers = plait_sim_mem_new(count, sizeof(*v->speakers));
    v->rows = plait_sim_mem_new(count, sizeof(*v->rows));
    v->tunnels = plait_sim_mem_new(count, sizeof(*v->tunnels));
    v->results = plait_sim_mem_new(count, sizeof(*v->results));
    for (unsigned side = 0; side < 2; side++)
        for (unsigned i = 0; i < v->lines; i++)
            lay_line(v, side, i);
    for (unsigned i = 0; i < v->lines; i++)
        plait_line_init(&v->shared[i], PLAIT_SIM_LINE_RATE);
    for (unsigned n = 0; n < count; n++) {
        make_row(v, n);
        plait_sim_tunnel_lay(&v->tunnels[n], &v->rows[n], &v->events, &v->results[n]);
        set_routes(v, &v->tunnels[n]);
    }
    plait_sim_forwarders_init(v);
    plait_sim_churn_init(v);
}

static void gather(struct plait_sim_village *v, struct plait_sim_village_result *out)
{
    for (unsigned n = 0; n < v->row->terminals; n++) {
        const struct plait_sim_tunnel_result *r = &v->results[n];
        out->mbit[n] = r->inner[0].mbit;
        out->mbit_late[n] = r->inner[0].mbit_late;
        out->silence_ms[n] = r->inner[0].silence_ms;
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
    struct plait_sim_village v = {.row = row, .story = story};

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
    plait_sim_forwarders_done(&v);
    gather(&v, out);
    out->hash = v.events.hash;
    plait_sim_events_done(&v.events);
    free(v.guests);
    free(v.speakers);
    free(v.changes);
    free(v.rows);
    free(v.tunnels);
    free(v.results);
}
