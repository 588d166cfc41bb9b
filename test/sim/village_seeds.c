#include "village_seeds.h"

#include <math.h>

#include "prng.h"

#define OWN       0.35
#define ALL       0.2
#define FAIL(...) (snprintf(why, why_size, __VA_ARGS__), false)

static double between(struct plait_prng *g, double least, double most)
{
    return least * pow(most / least, plait_prng_unit(g));
}

static bool chance(struct plait_prng *g, double p)
{
    return plait_prng_unit(g) < p;
}

static void make_line(struct plait_prng *g, struct village_seed *s, struct plait_sim_uplink *u)
{
    u->mbit = between(g, 2, 40);
    u->up_mbit = u->mbit / between(g, 1, 8);
    u->rtt_ms = between(g, 8, 120);
    u->queue_ms = between(g, 30, 300);
    if (s->calm)
        return;
    u->jitter_ms = chance(g, 0.3) ? between(g, 0.5, 8) : 0;
    u->loss = u->up_loss = chance(g, 0.3) ? between(g, 0.01, 1) : 0;
}

static void make_traffic(struct plait_prng *g, struct village_seed *s, struct plait_sim_inner *in)
{
    double seconds = s->row.seconds * 1e3;

    if (chance(g, 0.4))
        return;
    in->used = true;
    in->kind = chance(g, 0.6) ? PLAIT_SIM_INNER_CUBIC : PLAIT_SIM_INNER_BBR;
    in->up = chance(g, 0.25);
    if (chance(g, 0.3))
        in->start_ms = plait_prng_unit(g) * seconds / 2;
    if (chance(g, 0.3))
        in->stop_ms = in->start_ms + plait_prng_unit(g) * (seconds - in->start_ms);
    s->loads += !in->up && in->start_ms <= 0 && in->stop_ms <= 0;
}

static void make_terminal(struct plait_prng *g, struct village_seed *s, unsigned n)
{
    struct plait_sim_terminal *t = &s->row.terminal[n];

    t->line = n < s->lines ? n + 1 : 0;
    t->lan_ms = between(g, 0.1, chance(g, 0.2) ? 15 : 1);
    make_traffic(g, s, &t->inner[0]);
    if (chance(g, 0.2))
        t->inner[1] = (struct plait_sim_inner){true, PLAIT_SIM_INNER_PING, .every_ms = 50};
}

void village_seed_make(uint64_t seed, struct village_seed *s)
{
    struct plait_prng g = {seed ^ UINT64_C(0x76696c6c616765)};
    double most = chance(&g, 0.03) ? 50 : 9;

    *s = (struct village_seed){.seed = seed, .calm = chance(&g, 0.5)};
    s->lines = 1 + (unsigned)plait_prng_below(&g, PLAIT_SIM_UPLINKS_MAX);
    s->row.terminals = (unsigned)between(&g, 2, most + 0.99);
    if (s->lines > s->row.terminals)
        s->lines = s->row.terminals;
    s->row.seconds = s->row.terminals > 9 ? 3 : 6;
    s->row.late_us = chance(&g, 0.2) ? 1000 : 0;
    s->row.seed = seed;
    for (unsigned i = 0; i < s->lines; i++)
        make_line(&g, s, &s->row.line[i]);
    for (unsigned n = 0; n < s->row.terminals; n++)
        make_terminal(&g, s, n);
}

/* All that lasts gets something; an owner about what his line carries, and all together most of what all do. */
bool village_seed_check(const struct village_seed *s, const struct plait_sim_tunnel_story *story,
                        struct plait_sim_village_result *r, char *why, size_t why_size)
{
    double sum = 0;

    plait_sim_village_run(&s->row, story, r);
    if (r->bad)
        return FAIL("%s", r->why);
    for (unsigned n = 0; n < s->row.terminals; n++) {
        const struct plait_sim_terminal *t = &s->row.terminal[n];
        const struct plait_sim_inner *in = &t->inner[0];
        sum += in->up ? 0 : r->mbit_late[n];
        if (!in->used || in->start_ms > 0 || in->stop_ms > 0)
            continue;
        if (r->mbit[n] <= 0)
            return FAIL("terminal %u gets nothing", n + 1);
        if (s->calm && !in->up && t->line > 0 && r->mbit_late[n] < OWN * r->line_mbit[t->line - 1])
            return FAIL("terminal %u gets %.2f Mbit/s, its line has %.2f", n + 1, r->mbit_late[n],
                        r->line_mbit[t->line - 1]);
    }
    if (s->calm && s->loads > 0 && sum < ALL * r->sum_mbit)
        return FAIL("%.2f Mbit/s together, of %.2f", sum, r->sum_mbit);
    return true;
}

void village_seed_describe(const struct village_seed *s, FILE *to)
{
    static const char *const kinds[] = {"cubic", "bbr", "udp", "ping"};

    fprintf(to, "# seed %llu: %u terminals, %s, %.0f s, timers late by %.0f us\n",
            (unsigned long long)s->seed, s->row.terminals, s->calm ? "calm" : "not calm", s->row.seconds,
            s->row.late_us);
    for (unsigned i = 0; i < s->lines; i++) {
        const struct plait_sim_uplink *u = &s->row.line[i];
        fprintf(to, "#   line %u: %.2f/%.2f Mbit/s, %.1f ms, queue %.0f ms, jitter %.1f ms, loss %.2f %%\n",
                i + 1, u->mbit, u->up_mbit, u->rtt_ms, u->queue_ms, u->jitter_ms, u->loss);
    }
    for (unsigned n = 0; n < s->row.terminals; n++) {
        const struct plait_sim_inner *in = &s->row.terminal[n].inner[0];
        if (in->used)
            fprintf(to, "#   terminal %u (LAN %.1f ms): %s %s from %.0f to %.0f ms\n", n + 1,
                    s->row.terminal[n].lan_ms, kinds[in->kind], in->up ? "up" : "down", in->start_ms,
                    in->stop_ms);
    }
}
