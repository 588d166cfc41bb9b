#include "sim_world.h"

#include "units.h"

#define BYTES_PER_MBIT 125000.0
#define QUEUE_NS_MIN   (50 * PLAIT_MS)
#define QUEUE_PACKETS  12 /* that a queue holds at least, whatever its time */
#define PACKET_BYTES   1500

static uint64_t ms(double v)
{
    return (uint64_t)(v * 1e6);
}

static uint64_t bytes_per_s(double mbit)
{
    return (uint64_t)(mbit * BYTES_PER_MBIT);
}

static void set_steps(struct plait_sim_world *w, unsigned i, const struct plait_sim_line *line,
                      struct plait_sim_link_config *c)
{
    c->steps = w->steps[i];
    while (c->steps_n < PLAIT_SIM_STEPS_MAX && line->step[c->steps_n].at_ms > 0) {
        w->steps[i][c->steps_n].at_ns = ms(line->step[c->steps_n].at_ms);
        w->steps[i][c->steps_n].rate = bytes_per_s(line->step[c->steps_n].mbit);
        c->steps_n++;
    }
    c->period_ns = ms(line->period_ms);
}

static void set_outages(struct plait_sim_world *w, unsigned i, const struct plait_sim_line *line,
                        struct plait_sim_link_config *c)
{
    c->outages = w->outages[i];
    while (c->outages_n < PLAIT_SIM_OUTAGES_MAX && line->outage[c->outages_n].to_ms > 0) {
        w->outages[i][c->outages_n].from_ns = ms(line->outage[c->outages_n].from_ms);
        w->outages[i][c->outages_n].to_ns = ms(line->outage[c->outages_n].to_ms);
        c->outages_n++;
    }
}

/* A queue that is given in time is one of so many bytes at the line's first rate. */
static uint64_t queue_bytes(const struct plait_sim_line *line, double mbit)
{
    uint64_t ns = line->queue_ms > 0 ? ms(line->queue_ms) : plait_max_u64(ms(line->rtt_ms), QUEUE_NS_MIN);

    return plait_max_u64((uint64_t)(plait_to_s(ns) * mbit * BYTES_PER_MBIT), QUEUE_PACKETS * PACKET_BYTES);
}

static void add_line(struct plait_sim_world *w, const struct plait_sim_line *line, uint64_t seed)
{
    unsigned i = w->lines++;
    struct plait_sim_link_config c = {.rate = bytes_per_s(line->mbit),
                                      .delay_ns = ms(line->rtt_ms) / 2,
                                      .jitter_ns = ms(line->jitter_ms),
                                      .reorder = line->reorder,
                                      .queue_bytes = queue_bytes(line, line->mbit),
                                      .loss = line->loss / 100,
                                      .burst_enter = line->burst_enter / 100,
                                      .burst_leave = line->burst_leave / 100,
                                      .burst_loss = line->burst_loss / 100,
                                      .storm_every_ns = ms(line->storm_every_ms),
                                      .storm_ns = ms(line->storm_ms),
                                      .storm_loss = line->storm_loss / 100,
                                      .seed = seed * 64 + 2 * i};
    double up_mbit = line->up_mbit > 0 ? line->up_mbit : line->mbit;
    struct plait_sim_link_config up = {.rate = bytes_per_s(up_mbit),
                                       .delay_ns = c.delay_ns,
                                       .queue_bytes = queue_bytes(line, up_mbit),
                                       .loss = line->up_loss / 100,
                                       .seed = c.seed + 1};

    set_steps(w, i, line, &c);
    set_outages(w, i, line, &c);
    up.outages = c.outages;
    up.outages_n = c.outages_n;
    plait_sim_link_init(&w->down[i], &w->events, &c);
    plait_sim_link_init(&w->up[i], &w->events, &up);
}

static void add_server(struct plait_sim_world *w, const struct plait_sim_row *row, unsigned i)
{
    struct plait_sim_server_config c = row->server[i];

    if (c.content == 0)
        c.content = PLAIT_SIM_TRUTH;
    if (c.size == 0)
        c.size = row->size;
    if (c.version == 0)
        c.version = 1000 + i;
    plait_sim_server_init(&w->server[w->servers++], &w->tcp, &c);
}

static void add_way(struct plait_sim_world *w, struct plait_sim_way way)
{
    unsigned i = w->ways++;

    w->way[i] = way;
    w->route_down[i] = (struct plait_sim_route){{&w->down[way.line - 1]}, 1};
    w->route_up[i] = (struct plait_sim_route){{&w->up[way.line - 1]}, 1};
    if (way.shared == 0)
        return;
    w->route_up[i].hop[w->route_up[i].hops++] = &w->up[way.shared - 1];
    w->route_down[i] = (struct plait_sim_route){{&w->down[way.shared - 1], &w->down[way.line - 1]}, 2};
}

void plait_sim_world_init(struct plait_sim_world *w, const struct plait_sim_row *row)
{
    struct plait_sim_flow_config flow = plait_sim_tcp_defaults();

    *w = (struct plait_sim_world){.size = row->size};
    flow.cc = row->cc;
    plait_sim_events_init(&w->events);
    plait_sim_tcp_init(&w->tcp, &w->events, &flow);
    while (w->lines < PLAIT_SIM_LINES_MAX && row->line[w->lines].mbit > 0)
        add_line(w, &row->line[w->lines], row->seed);
    unsigned servers = row->servers > 0 ? row->servers : w->lines;
    while (w->servers < servers)
        add_server(w, row, w->servers);
    for (unsigned i = 0; i < PLAIT_SIM_WAYS_MAX && row->way[i].line > 0; i++)
        add_way(w, row->way[i]);
    for (unsigned i = 1; i <= w->lines && row->way[0].line == 0; i++)
        add_way(w, (struct plait_sim_way){i, i < servers ? i : servers, 0});
}

void plait_sim_world_done(struct plait_sim_world *w)
{
    for (unsigned i = 0; i < w->servers; i++)
        plait_sim_server_done(&w->server[i]);
    plait_sim_tcp_done(&w->tcp);
    for (unsigned i = 0; i < w->lines; i++) {
        plait_sim_link_done(&w->down[i]);
        plait_sim_link_done(&w->up[i]);
    }
    plait_sim_events_done(&w->events);
}

bool plait_sim_world_drain(struct plait_sim_world *w, uint64_t patience_ns)
{
    uint64_t until = w->events.now + patience_ns;

    while (w->tcp.live > 0 && plait_sim_events_step(&w->events, until))
        ;
    return w->tcp.live == 0;
}

/* ---- the fluid bound ---- */

static double square_root(double v)
{
    double x = v > 1 ? v : 1;

    for (int i = 0; i < 60; i++)
        x = (x + v / x) / 2;
    return x;
}

/* Payload bytes/s of so many connections over a lossy line. */
static uint64_t tcp_limit(const struct plait_sim_link_config *c, unsigned lanes)
{
    double loss = c->loss;

    if (c->burst_enter > 0)
        loss += c->burst_loss * c->burst_enter / (c->burst_enter + c->burst_leave);
    if (lanes == 0 || loss <= 0)
        return 0;
    double rtt_s = plait_to_s(2 * c->delay_ns + c->jitter_ns) + 1500 / (double)c->rate;
    return (uint64_t)(lanes * 1448 * 1.22 / (rtt_s * square_root(loss))) + 1;
}

static void add_server_pipe(struct plait_sim_fluid *f, const struct plait_sim_server_config *c)
{
    struct plait_sim_fluid_pipe *p = &f->pipe[f->pipes++];

    *p = (struct plait_sim_fluid_pipe){.rate = c->total_rate};
    for (unsigned i = 0; i < PLAIT_SIM_FAULTS_MAX; i++) {
        if (c->fault[i].kind == PLAIT_SIM_FAULT_DEAD || c->fault[i].kind == PLAIT_SIM_FAULT_CRASH) {
            p->dead_from_ns = c->fault[i].a;
            p->dead_to_ns = c->fault[i].b;
        }
    }
}

void plait_sim_world_fluid(const struct plait_sim_world *w, int way, unsigned lanes,
                           struct plait_sim_fluid *f)
{
    *f = (struct plait_sim_fluid){0};
    for (unsigned i = 0; i < w->lines; i++) {
        const struct plait_sim_link_config *c = &w->down[i].config;
        f->pipe[f->pipes++] = (struct plait_sim_fluid_pipe){.link = c, .rate_max = tcp_limit(c, lanes)};
    }
    for (unsigned i = 0; i < w->servers; i++)
        add_server_pipe(f, &w->server[i].config);
    for (unsigned i = 0; i < w->ways; i++) {
        int server = (int)(w->lines + w->way[i].server - 1), shared = (int)w->way[i].shared - 1;
        struct plait_sim_fluid_way *out = &f->way[f->ways];
        if (way >= 0 && (unsigned)way != i)
            continue;
        f->ways++;
        *out = (struct plait_sim_fluid_way){{(int)w->way[i].line - 1, shared, server}};
        if (shared < 0) {
            out->pipe[1] = server;
            out->pipe[2] = PLAIT_SIM_FLUID_NONE;
        }
    }
}
