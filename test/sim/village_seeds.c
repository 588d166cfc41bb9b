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

/* ---- changes: all of them in the first two thirds ---- */

static double moment(struct plait_prng *g, const struct village_seed *s)
{
    return s->row.seconds * 1e3 * (0.1 + 0.5 * plait_prng_unit(g));
}

/* Its flows end before it goes, and begin after it has come. */
static void fit_traffic(struct plait_sim_terminal *t)
{
    double gone = t->kill_ms > 0 ? t->kill_ms : t->leave_ms;

    for (unsigned i = 0; i < 2; i++) {
        struct plait_sim_inner *in = &t->inner[i];
        if (t->join_ms > 0 && in->start_ms < t->join_ms + 300)
            in->start_ms = t->join_ms + 300;
        if (in->stop_ms > 0 && in->stop_ms < in->start_ms)
            in->stop_ms = 0;
        if (gone > 0 && (in->stop_ms <= 0 || in->stop_ms > gone))
            in->stop_ms = gone;
        in->used &= gone <= 0 || in->start_ms < gone;
    }
}

static void change_terminal(struct plait_prng *g, struct village_seed *s, struct plait_sim_terminal *t)
{
    double at = moment(g, s), kind = plait_prng_unit(g);

    if (!chance(g, s->row.terminals > 9 ? 0.15 : 0.3))
        return;
    if (kind < 0.35)
        t->join_ms = at;
    else if (kind < 0.65)
        t->leave_ms = at;
    else
        t->kill_ms = at;
    fit_traffic(t);
}

static void change_line(struct plait_prng *g, struct village_seed *s, unsigned i)
{
    struct plait_sim_uplink *u = &s->row.line[i];
    double at = moment(g, s), more = 300 + 1500 * plait_prng_unit(g), rate = between(g, 0.2, 3);
    unsigned kind = (unsigned)plait_prng_below(g, 3);

    if (chance(g, 0.25)) {
        u->step[0].at_ms = at;
        u->step[0].mbit = u->mbit * rate;
    } else if (chance(g, 0.25) && s->row.terminal[i].leave_ms <= 0 && s->row.terminal[i].kill_ms <= 0) {
        u->outage[0].from_ms = at;
        u->outage[0].to_ms = at + more;
        u->outage[0].kind = kind == 0   ? PLAIT_SIM_CUT_UP
                            : kind == 1 ? PLAIT_SIM_CUT_DOWN
                                        : PLAIT_SIM_CUT_SILENT;
    }
}

/* Lines with a fixed weight, about what they carry; all of them, or some. */
static void give_weights(struct plait_prng *g, struct village_seed *s)
{
    bool all = chance(g, 0.5);

    for (unsigned i = 0; i < s->lines; i++)
        if (all || chance(g, 0.5))
            s->row.line[i].weight = s->row.line[i].mbit * between(g, 0.5, 2);
}

static void give_offers(struct plait_prng *g, struct village_seed *s)
{
    for (unsigned i = 0; i < s->lines; i++) {
        s->row.offer[i].kept = chance(g, 0.2);
        if (chance(g, 0.3))
            s->row.offer[i].limit = s->row.line[i].mbit * between(g, 0.05, 0.8);
    }
}

static void change(struct plait_prng *g, struct village_seed *s)
{
    s->churns = chance(g, 0.5);
    s->bends = chance(g, 0.3);
    for (unsigned n = 0; n < s->row.terminals && s->churns; n++)
        change_terminal(g, s, &s->row.terminal[n]);
    for (unsigned i = 0; i < s->lines && s->churns; i++)
        change_line(g, s, i);
    if (s->bends && chance(g, 0.5))
        give_weights(g, s);
    else if (s->bends)
        give_offers(g, s);
}

/* ---- worlds ---- */

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
    struct plait_prng changes = {seed ^ UINT64_C(0x636875726e)};
    change(&changes, s);
}

/* ---- what must hold ---- */

static bool stays(const struct plait_sim_terminal *t)
{
    return t->join_ms <= 0 && t->leave_ms <= 0 && t->kill_ms <= 0;
}

/* The line works from the beginning to the end, or does so most of the time, and the terminal may use it. */
static bool may_use(const struct village_seed *s, unsigned n, unsigned i)
{
    const struct plait_sim_uplink *u = &s->row.line[i];

    return stays(&s->row.terminal[i]) && u->outage[0].to_ms <= 0 && (n == i || !s->row.offer[i].kept);
}

static bool has_a_way(const struct village_seed *s, unsigned n)
{
    for (unsigned i = 0; i < s->lines; i++)
        if (may_use(s, n, i))
            return true;
    return false;
}

static bool lasts(const struct village_seed *s, unsigned n)
{
    const struct plait_sim_inner *in = &s->row.terminal[n].inner[0];

    return in->used && stays(&s->row.terminal[n]) && in->start_ms <= 0 && in->stop_ms <= 0 && has_a_way(s, n);
}

/* An owner has about what his line carries: where that can be said, and nobody told him to send a fixed part of it over
 * the others', however slow those are. */
static bool owns_enough(const struct village_seed *s, const struct plait_sim_village_result *r, unsigned n)
{
    const struct plait_sim_uplink *u = &s->row.line[n < s->lines ? n : 0];

    if (!s->calm || s->bends || n >= s->lines || s->row.terminal[n].inner[0].up || u->step[0].at_ms > 0 ||
        u->outage[0].to_ms > 0)
        return true;
    return r->mbit_late[n] >= OWN * r->line_mbit[n];
}

/* All that lasts gets something, an owner also in the second half (a guest who had much and then is left with the least
 * that guests get may have seconds of his own packets before the one that he lacks); an owner gets about what his line
 * carries, and all together most of what all do. */
bool village_seed_check(const struct village_seed *s, const struct plait_sim_tunnel_story *story,
                        struct plait_sim_village_result *r, char *why, size_t why_size)
{
    double sum = 0;

    plait_sim_village_run(&s->row, story, r);
    if (r->bad)
        return FAIL("%s", r->why);
    for (unsigned n = 0; n < s->row.terminals; n++) {
        sum += s->row.terminal[n].inner[0].up ? 0 : r->mbit_late[n];
        if (!lasts(s, n))
            continue;
        if (r->mbit[n] <= 0 || (n < s->lines && may_use(s, n, n) && r->mbit_late[n] <= 0))
            return FAIL("terminal %u gets nothing", n + 1);
        if (!owns_enough(s, r, n))
            return FAIL("terminal %u gets %.2f Mbit/s, its line has %.2f", n + 1, r->mbit_late[n],
                        r->line_mbit[n]);
    }
    if (s->calm && !s->churns && !s->bends && s->loads > 0 && sum < ALL * r->sum_mbit)
        return FAIL("%.2f Mbit/s together, of %.2f", sum, r->sum_mbit);
    return true;
}

static void describe_changes(const struct plait_sim_village_row *row, unsigned i, FILE *to)
{
    const struct plait_sim_uplink *u = &row->line[i];

    if (u->step[0].at_ms > 0)
        fprintf(to, "; %.2f Mbit/s from %.0f ms", u->step[0].mbit, u->step[0].at_ms);
    if (u->outage[0].to_ms > 0)
        fprintf(to, "; cut (%d) from %.0f to %.0f ms", (int)u->outage[0].kind, u->outage[0].from_ms,
                u->outage[0].to_ms);
    if (u->weight > 0)
        fprintf(to, "; weight %.1f", u->weight);
    if (row->offer[i].limit > 0)
        fprintf(to, "; others at most %.2f Mbit/s", row->offer[i].limit);
    fprintf(to, "%s\n", row->offer[i].kept ? "; kept" : "");
}

void village_seed_describe(const struct village_seed *s, FILE *to)
{
    static const char *const kinds[] = {"cubic", "bbr", "udp", "ping"};

    fprintf(to, "# seed %llu: %u terminals, %s, %.0f s, timers late by %.0f us\n",
            (unsigned long long)s->seed, s->row.terminals, s->calm ? "calm" : "not calm", s->row.seconds,
            s->row.late_us);
    for (unsigned i = 0; i < s->lines; i++) {
        const struct plait_sim_uplink *u = &s->row.line[i];
        fprintf(to, "#   line %u: %.2f/%.2f Mbit/s, %.1f ms, queue %.0f ms, jitter %.1f ms, loss %.2f %%",
                i + 1, u->mbit, u->up_mbit, u->rtt_ms, u->queue_ms, u->jitter_ms, u->loss);
        describe_changes(&s->row, i, to);
    }
    for (unsigned n = 0; n < s->row.terminals; n++) {
        const struct plait_sim_inner *in = &s->row.terminal[n].inner[0];
        const struct plait_sim_terminal *t = &s->row.terminal[n];
        if (!stays(t))
            fprintf(to, "#   terminal %u: joins at %.0f, leaves at %.0f, is killed at %.0f ms\n", n + 1,
                    t->join_ms, t->leave_ms, t->kill_ms);
        if (in->used)
            fprintf(to, "#   terminal %u (LAN %.1f ms): %s %s from %.0f to %.0f ms\n", n + 1, t->lan_ms,
                    kinds[in->kind], in->up ? "up" : "down", in->start_ms, in->stop_ms);
    }
}
