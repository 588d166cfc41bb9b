/*
 * Each way meets at most one pipe of each hop, and each hop's pipes are shared only among ways: so what can
 * flow is a maximum flow from the client through the pipes of hop 0, 1, 2, found by augmenting paths (Ford,
 * Fulkerson 1956) over a handful of nodes. Node 2p is where pipe p begins, 2p + 1 where it ends; then the
 * client and the stream.
 */
#include "sim_fluid.h"

#include <string.h>

#include "units.h"

#define NODES   (2 * PLAIT_SIM_FLUID_PIPES_MAX + 2)
#define CLIENT  (NODES - 2)
#define STREAM  (NODES - 1)
#define ENDLESS 1e18

struct graph {
    double room[NODES][NODES];
    bool seen[NODES];
};

static double pipe_rate(const struct plait_sim_fluid_pipe *p, uint64_t at)
{
    double rate = p->rate > 0 ? (double)p->rate : ENDLESS;

    if (p->link != NULL)
        rate = (double)plait_sim_link_rate_at(p->link, at) * 1448 / 1500;
    if (p->rate_max > 0 && rate > (double)p->rate_max)
        rate = (double)p->rate_max;
    return p->dead_from_ns <= at && at < p->dead_to_ns ? 0 : rate;
}

static void build(struct graph *g, const struct plait_sim_fluid *f, uint64_t at)
{
    memset(g, 0, sizeof(*g));
    for (unsigned p = 0; p < f->pipes; p++)
        g->room[2 * p][2 * p + 1] = pipe_rate(&f->pipe[p], at);
    for (unsigned w = 0; w < f->ways; w++) {
        int from = CLIENT;
        for (unsigned h = 0; h < PLAIT_SIM_FLUID_HOPS && f->way[w].pipe[h] != PLAIT_SIM_FLUID_NONE; h++) {
            g->room[from][2 * f->way[w].pipe[h]] = ENDLESS;
            from = 2 * f->way[w].pipe[h] + 1;
        }
        g->room[from][STREAM] = ENDLESS;
    }
}

/* Pushes up to `most` from `node` to the stream; returns how much went. */
static double push(struct graph *g, int node, double most)
{
    if (node == STREAM)
        return most;
    g->seen[node] = true;
    for (int to = 0; to < NODES; to++) {
        double room = g->room[node][to];
        if (room <= 0 || g->seen[to])
            continue;
        double went = push(g, to, room < most ? room : most);
        if (went > 0) {
            g->room[node][to] -= went;
            g->room[to][node] += went;
            return went;
        }
    }
    return 0;
}

double plait_sim_fluid_rate(const struct plait_sim_fluid *f, uint64_t at)
{
    struct graph g;
    double sum = 0, went;

    build(&g, f, at);
    while ((went = push(&g, CLIENT, ENDLESS)) > 0) {
        sum += went;
        memset(g.seen, 0, sizeof(g.seen));
    }
    return sum;
}

/* The next time after `at` at which a rate may change. */
static uint64_t next_change(const struct plait_sim_fluid *f, uint64_t at)
{
    uint64_t next = PLAIT_NEVER;

    for (unsigned p = 0; p < f->pipes; p++) {
        const struct plait_sim_fluid_pipe *pipe = &f->pipe[p];
        if (pipe->link != NULL)
            next = plait_min_u64(next, plait_sim_link_change_after(pipe->link, at));
        if (pipe->dead_from_ns > at)
            next = plait_min_u64(next, pipe->dead_from_ns);
        if (pipe->dead_to_ns > at)
            next = plait_min_u64(next, pipe->dead_to_ns);
    }
    return next;
}

uint64_t plait_sim_fluid_time(const struct plait_sim_fluid *f, uint64_t bytes, uint64_t limit)
{
    double left = (double)bytes;

    for (uint64_t at = 0; at < limit;) {
        double rate = plait_sim_fluid_rate(f, at);
        uint64_t until = plait_min_u64(next_change(f, at), limit);
        uint64_t takes = plait_time_to_carry(left, rate);
        if (takes <= until - at)
            return at + takes;
        left -= rate * plait_to_s(until - at);
        at = until;
    }
    return PLAIT_NEVER;
}
