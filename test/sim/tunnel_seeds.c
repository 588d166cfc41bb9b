#include "tunnel_seeds.h"

#include "prng.h"
#include "tunnel_scenarios.h"
#include "units.h"

#define SECONDS     2.5
#define PACKETS_MAX 4000.0 /* of the lines in that time, about: rates are scaled down to it */
#define COMPARED    4      /* one seed of so many is run a second time, on its best uplink alone */
#define ALONE       0.35   /* of that, at least */
#define LATE_PART   0.4    /* of the packets that came may have been overtaken */

static bool one_in(struct plait_prng *g, uint64_t n)
{
    return plait_prng_below(g, n) == 0;
}

/* From `lo` through `octaves` doublings, about evenly on a logarithmic scale, without a logarithm. */
static double log_uniform(struct plait_prng *g, double lo, double octaves)
{
    double x = plait_prng_unit(g) * octaves, v = lo;

    for (; x >= 1; x -= 1)
        v *= 2;
    return v * (1 + x);
}

static void make_uplink(struct plait_prng *g, struct plait_sim_uplink *u)
{
    u->mbit = log_uniform(g, 0.5, 6.5);
    u->rtt_ms = log_uniform(g, 2, 8);
    u->up_mbit = one_in(g, 2) || u->mbit < 2 ? u->mbit : u->mbit / 6;
    u->queue_ms = log_uniform(g, 10, 7);
    if (u->queue_ms < 3 * 12 / u->up_mbit) /* no line is made for less than three packets */
        u->queue_ms = 3 * 12 / u->up_mbit;
    if (one_in(g, 2))
        u->loss = 3 * plait_prng_unit(g) * plait_prng_unit(g);
    if (one_in(g, 4))
        u->up_loss = u->loss;
    if (one_in(g, 4))
        u->jitter_ms = u->rtt_ms / 3 * plait_prng_unit(g);
    u->reorder = one_in(g, 8);
}

static void make_fault(struct plait_prng *g, struct tunnel_seed *s, struct plait_sim_uplink *u)
{
    double from = 100 + 800 * plait_prng_unit(g), to = from + log_uniform(g, 20, 5);

    if (one_in(g, 2)) {
        u->outage[0].from_ms = from;
        u->outage[0].to_ms = to;
        u->outage[0].kind = (enum plait_sim_outage_kind)plait_prng_below(g, 4);
    } else {
        u->step[0].at_ms = from;
        u->step[0].mbit = u->mbit * log_uniform(g, 0.05, 5);
        u->step[1].at_ms = to;
        u->step[1].mbit = u->mbit;
    }
    s->plain = false;
    s->calm_ms = to > s->calm_ms ? to : s->calm_ms;
}

/* Everything on it is held up, as by somebody who means no good, or by a line that changes its way. */
static void make_hold(struct plait_prng *g, struct tunnel_seed *s)
{
    struct plait_sim_uplink *u = &s->row.uplink[plait_prng_below(g, s->uplinks)];

    u->held.from_ms = 100 + 800 * plait_prng_unit(g);
    u->held.to_ms = u->held.from_ms + log_uniform(g, 20, 6);
    u->held.by_ms = log_uniform(g, 50, 5);
    s->plain = false;
    s->calm_ms = plait_max_d(s->calm_ms, u->held.to_ms + u->held.by_ms);
}

static void make_inner(struct plait_prng *g, struct plait_sim_tunnel_row *row)
{
    unsigned n = 1 + (unsigned)plait_prng_below(g, 3);

    for (unsigned i = 0; i < n; i++) {
        struct plait_sim_inner *in = &row->inner[i];
        in->used = true;
        in->up = one_in(g, 3);
        in->kind = one_in(g, 2)   ? PLAIT_SIM_INNER_CUBIC
                   : one_in(g, 2) ? PLAIT_SIM_INNER_BBR
                                  : PLAIT_SIM_INNER_UDP;
        in->mbit = log_uniform(g, 0.1, 6);
        in->size = 60 + (unsigned)plait_prng_below(g, 1300);
        if (in->kind == PLAIT_SIM_INNER_UDP && in->mbit * 1e6 / 8 / in->size > 2000)
            in->mbit = 2000.0 * 8 * in->size / 1e6;
        in->ipv6 = in->kind == PLAIT_SIM_INNER_UDP && one_in(g, 2);
        in->start_ms = one_in(g, 4) ? 400 * plait_prng_unit(g) : 0;
    }
    row->inner[n].used = true;
    row->inner[n].kind = PLAIT_SIM_INNER_PING;
    row->inner[n].every_ms = 20;
}

static void make_switches(struct plait_prng *g, struct tunnel_seed *s)
{
    struct plait_sim_tunnel_row *row = &s->row;

    row->late_us = log_uniform(g, 20, 7);
    if (one_in(g, 10)) {
        row->pool_packets = 64u << plait_prng_below(g, 5);
        s->plain = false;
    }
    if (one_in(g, 10)) {
        row->limit = log_uniform(g, 0.5, 4);
        s->plain = false;
    }
    for (unsigned i = 0; i < s->uplinks; i++) {
        struct plait_sim_uplink *u = &row->uplink[i];
        if (one_in(g, 16))
            u->weight = 1 + (double)plait_prng_below(g, 4);
        u->backup = one_in(g, 16);
        if (one_in(g, 16))
            u->mtu = 1290 + (unsigned)plait_prng_below(g, 210);
        if (u->weight > 0 || u->backup || u->mtu > 0)
            s->plain = false;
    }
}

void tunnel_seed_make(uint64_t seed, struct tunnel_seed *s)
{
    struct plait_prng first = {seed}, g = {plait_prng_next(&first)};
    double mbit = 0, best = 0;

    *s = (struct tunnel_seed){.seed = seed, .uplinks = 1 + (unsigned)plait_prng_below(&g, 4), .plain = true};
    s->row.seed = seed;
    s->row.seconds = SECONDS;
    for (unsigned i = 0; i < s->uplinks; i++)
        make_uplink(&g, &s->row.uplink[i]);
    make_inner(&g, &s->row);
    make_switches(&g, s);
    for (unsigned i = 0; i < s->uplinks; i++) {
        if (one_in(&g, 5))
            make_fault(&g, s, &s->row.uplink[i]);
        mbit += s->row.uplink[i].mbit;
        if (s->row.uplink[i].mbit > best) {
            best = s->row.uplink[i].mbit;
            s->best = (int)i + 1;
        }
    }
    if (one_in(&g, 12))
        make_hold(&g, s);
    if (mbit * 1e6 / 8 / 1400 * SECONDS > PACKETS_MAX)
        s->row.seconds = PACKETS_MAX * 1400 * 8 / 1e6 / mbit;
    if (s->row.seconds * 1e3 < s->calm_ms + 800)
        s->row.seconds = (s->calm_ms + 800) / 1e3;
}

#define FAIL(...) (snprintf(why, why_size, __VA_ARGS__), false)

static bool check_progress(const struct tunnel_seed *s, const struct plait_sim_tunnel_result *r, char *why,
                           size_t why_size)
{
    uint64_t received = 0;

    for (unsigned i = 0; i < PLAIT_SIM_INNER_MAX; i++) {
        const struct plait_sim_inner_result *in = &r->inner[i];
        if (!s->row.inner[i].used)
            continue;
        received += in->received_packets;
        if (s->row.inner[i].kind == PLAIT_SIM_INNER_PING && in->received_packets == 0 &&
            s->row.pool_packets == 0)
            return FAIL("no ping came back");
    }
    if (s->row.pool_packets == 0 && (double)r->overtaken > LATE_PART * (double)received + 20)
        return FAIL("%llu of %llu packets were overtaken", (unsigned long long)r->overtaken,
                    (unsigned long long)received);
    return received > 0 ? true : FAIL("nothing came");
}

static bool check_alone(const struct tunnel_seed *s, const struct plait_sim_tunnel_result *r, char *why,
                        size_t why_size)
{
    struct plait_sim_tunnel_row row = s->row;
    struct plait_sim_tunnel_result single;

    if (!s->plain || s->seed % COMPARED != 0 || s->uplinks < 2)
        return true;
    row.only = s->best;
    plait_sim_tunnel_run(&row, NULL, &single);
    double all = 0, alone = 0;

    for (unsigned i = 0; i < PLAIT_SIM_INNER_MAX; i++) {
        all += r->inner[i].mbit;
        alone += single.inner[i].mbit;
    }
    if (all < ALONE * alone - 0.1)
        return FAIL("%.2f Mbit/s where the best uplink alone has %.2f", all, alone);
    return true;
}

bool tunnel_seed_check(const struct tunnel_seed *s, const struct plait_sim_tunnel_story *story,
                       struct plait_sim_tunnel_result *r, char *why, size_t why_size)
{
    plait_sim_tunnel_run(&s->row, story, r);
    return tunnel_invariants(&s->row, r, why, why_size) && check_progress(s, r, why, why_size) &&
           check_alone(s, r, why, why_size);
}

void tunnel_seed_describe(const struct tunnel_seed *s, FILE *to)
{
    static const char *const kinds[] = {"cubic", "bbr", "udp", "ping"};

    fprintf(to, "# seed %llu: %.2f s, timers late by %.0f us, pool %u, limit %.2f\n",
            (unsigned long long)s->seed, s->row.seconds, s->row.late_us, s->row.pool_packets, s->row.limit);
    for (unsigned i = 0; i < s->uplinks; i++) {
        const struct plait_sim_uplink *u = &s->row.uplink[i];
        fprintf(to,
                "#   uplink %u: %.2f/%.2f Mbit/s, %.1f ms, queue %.0f ms, jitter %.1f%s, loss %.2f/%.2f %%, "
                "weight %.0f%s, mtu "
                "%u, outage %.0f-%.0f kind %d, step %.0f: %.2f, %.0f\n",
                i + 1, u->mbit, u->up_mbit, u->rtt_ms, u->queue_ms, u->jitter_ms,
                u->reorder ? " disorder" : "", u->loss, u->up_loss, u->weight, u->backup ? " backup" : "",
                u->mtu, u->outage[0].from_ms, u->outage[0].to_ms, (int)u->outage[0].kind, u->step[0].at_ms,
                u->step[0].mbit, u->step[1].at_ms);
    }
    for (unsigned i = 0; i < PLAIT_SIM_INNER_MAX && s->row.inner[i].used; i++)
        fprintf(to, "#   %s %s %.2f Mbit/s, %u bytes%s\n", kinds[s->row.inner[i].kind],
                s->row.inner[i].up ? "up" : "down", s->row.inner[i].mbit, s->row.inner[i].size,
                s->row.inner[i].ipv6 ? ", IPv6" : "");
}
