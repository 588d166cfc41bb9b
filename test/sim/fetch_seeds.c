#include "fetch_seeds.h"

#include <math.h>

#include "units.h"

#define SIZE_MAX_BYTES 20000000.0
#define LIMIT_MS       600000
#define LONGEST_NS     (40 * PLAIT_S) /* of the fluid bound */
#define MILD           11             /* faults of the menu that a server can be alone with */
#define LIVE_MILD      11             /* faults that the only server of a live stream may have */
#define LANES_OF_LOSSY 8
#define LANES_OF_BOUND 2 /* for it, on lossy lines */

/* ---- making a world ---- */

/* From `lo` through `octaves` doublings, about evenly on a logarithmic scale, without a logarithm. */
static double log_uniform(struct plait_prng *g, double lo, double octaves)
{
    double x = plait_prng_unit(g) * octaves, v = lo;

    for (; x >= 1; x -= 1)
        v *= 2;
    return v * (1 + x);
}

static bool one_in(struct plait_prng *g, uint64_t n)
{
    return plait_prng_below(g, n) == 0;
}

static void make_steps(struct plait_prng *g, struct plait_sim_line *line)
{
    double at_ms = 0, base = line->mbit;
    unsigned n = 1 + (unsigned)plait_prng_below(g, 3);

    for (unsigned i = 0; i < n; i++) {
        at_ms += 200 + 4000 * plait_prng_unit(g);
        line->step[i].at_ms = at_ms;
        line->step[i].mbit = base * log_uniform(g, 0.1, 4);
    }
    if (one_in(g, 3))
        line->period_ms = at_ms + 1000;
}

/* Dead for a while, or (unless it must be there at first, and return) from the start, or for ever. */
static double make_outage(struct plait_prng *g, struct plait_sim_line *line, bool must_return)
{
    double from_ms = !must_return && one_in(g, 4) ? 0 : 1000 + 4000 * plait_prng_unit(g);
    double to_ms = from_ms + log_uniform(g, 100, 6.5);

    if (!must_return && one_in(g, 3))
        to_ms = 1e9;
    line->outage[0].from_ms = from_ms;
    line->outage[0].to_ms = to_ms;
    return to_ms < 1e9 ? to_ms : 0;
}

static void make_line(struct plait_prng *g, struct plait_sim_line *line)
{
    line->mbit = log_uniform(g, 0.1, 13.29);
    line->rtt_ms = log_uniform(g, 1, 9.45);
    line->queue_ms = log_uniform(g, 2, 10);
    line->up_mbit = one_in(g, 2) ? line->mbit : line->mbit / 8;
    if (one_in(g, 2))
        line->loss = 3 * plait_prng_unit(g) * plait_prng_unit(g);
    if (one_in(g, 4))
        line->up_loss = line->loss;
    if (one_in(g, 4))
        line->jitter_ms = line->rtt_ms / 2 * plait_prng_unit(g);
    line->reorder = one_in(g, 8);
    if (one_in(g, 4))
        make_steps(g, line);
}

static void make_faults(struct plait_prng *g, struct fetch_seed *s)
{
    static const struct plait_sim_fault menu[] = {
        {PLAIT_SIM_FAULT_CLOSE_AFTER, 200000},
        {PLAIT_SIM_FAULT_CLOSE_AFTER, 1000000, 1},
        {PLAIT_SIM_FAULT_STALL_AFTER, 500000, 0, 3},
        {PLAIT_SIM_FAULT_CLOSE_EACH},
        {PLAIT_SIM_FAULT_BUSY, 5, 1},
        {PLAIT_SIM_FAULT_BUSY_ABOVE, 3, 0},
        {PLAIT_SIM_FAULT_CONNS_ABOVE, 3, 0},
        {PLAIT_SIM_FAULT_SHORT_BODY, 100, 0, 4},
        {PLAIT_SIM_FAULT_LONG_BODY, 3000},
        {PLAIT_SIM_FAULT_CRASH, PLAIT_S, 3 * PLAIT_S},
        {PLAIT_SIM_FAULT_DEAD, PLAIT_S, 4 * PLAIT_S},
        {PLAIT_SIM_FAULT_STATUS, 404},
        {PLAIT_SIM_FAULT_REFUSE},
        {PLAIT_SIM_FAULT_NO_RANGE},
        {PLAIT_SIM_FAULT_NO_VERSION},
    };
    size_t last =
        s->ways > 1 && s->row.servers != 1 ? PLAIT_COUNT(menu) : MILD; /* the only server must serve */
    unsigned server = (unsigned)plait_prng_below(g, s->row.servers == 1 ? 1 : s->ways);

    s->server_faults = true;
    s->row.server[server].fault[0] = menu[plait_prng_below(g, last)];
    if (one_in(g, 3))
        s->row.server[server].total_rate = (uint64_t)log_uniform(g, 20000, 8);
}

static void make_size(struct plait_prng *g, struct fetch_seed *s)
{
    double mbit = 0, seconds = log_uniform(g, 0.002, 13.3), size;

    for (unsigned i = 0; i < s->ways; i++)
        mbit += s->row.line[i].mbit;
    size = mbit * 125000 * seconds;
    s->row.size =
        size > SIZE_MAX_BYTES ? (uint64_t)(SIZE_MAX_BYTES * (0.5 + plait_prng_unit(g) / 2)) : (uint64_t)size;
    if (s->row.size == 0 || one_in(g, 50))
        s->row.size = 1 + plait_prng_below(g, 2000);
}

/* No world that takes minutes, also where rates fall or a server is slow. */
static void limit_size(struct fetch_seed *s)
{
    static struct plait_sim_world world;
    struct plait_sim_fluid fluid;

    plait_sim_world_init(&world, &s->row);
    plait_sim_world_fluid(&world, -1, LANES_OF_BOUND, &fluid);
    while (s->row.size > 1 && plait_sim_fluid_time(&fluid, s->row.size, LONGEST_NS) == PLAIT_NEVER)
        s->row.size /= 2;
    plait_sim_world_done(&world);
}

static void make_mode(struct plait_prng *g, struct fetch_seed *s)
{
    s->config.limit_ms = LIMIT_MS;

    s->config.size_known = one_in(g, 4);
    if (!one_in(g, 3))
        return;
    s->config.window_bytes = PLAIT_MIB << plait_prng_below(g, 6);
    if (one_in(g, 4))
        s->config.consumer_mbit = log_uniform(g, 1, 8);
}

void fetch_seed_make(uint64_t seed, struct fetch_seed *s)
{
    struct plait_prng first = {seed},
                      g = {plait_prng_next(&first)}; /* neighbours get sequences of their own */

    *s = (struct fetch_seed){.seed = seed, .ways = 1 + (unsigned)plait_prng_below(&g, 4)};
    s->row.seed = seed;
    s->row.servers = one_in(&g, 3) ? 1 : s->ways;
    for (unsigned i = 0; i < s->ways; i++) {
        make_line(&g, &s->row.line[i]);
        if (!one_in(&g, 5))
            continue;
        double calm_ms = make_outage(&g, &s->row.line[i], i == 0);
        if (calm_ms > s->calm_ms)
            s->calm_ms = calm_ms;
    }
    make_size(&g, s);
    make_mode(&g, s);
    if (one_in(&g, 5))
        make_faults(&g, s);
    limit_size(s);
    s->config.calm_ms = s->calm_ms;
}

static struct plait_sim_fault stream_fault(struct plait_prng *g)
{
    static const struct plait_sim_fault menu[] = {
        {PLAIT_SIM_FAULT_STREAM_STATUS, 400},
        {PLAIT_SIM_FAULT_STREAM_STATUS, 503},
        {PLAIT_SIM_FAULT_STREAM_ALL},
        {PLAIT_SIM_FAULT_STREAM_NUMBER, UINT64_C(1) << 40},
        {PLAIT_SIM_FAULT_STREAM_LENGTH, 1},
        {PLAIT_SIM_FAULT_STREAM_SKIP, 1},
        {PLAIT_SIM_FAULT_STREAM_SKIP, 5},
        {PLAIT_SIM_FAULT_STREAM_TYPE, 7},
        {PLAIT_SIM_FAULT_STREAM_ERROR, 40, 3},
        {PLAIT_SIM_FAULT_STEER_STATUS, 404},
        {PLAIT_SIM_FAULT_STEER_STATUS, 500},
        {PLAIT_SIM_FAULT_STEER_LATE, 3},
        {PLAIT_SIM_FAULT_CLOSE_AFTER, 1000000},
        {PLAIT_SIM_FAULT_STALL_AFTER, 700000, 0, 3},
        {PLAIT_SIM_FAULT_CRASH, PLAIT_S, 3 * PLAIT_S},
        {PLAIT_SIM_FAULT_DEAD, PLAIT_S, 4 * PLAIT_S},
    };

    return menu[plait_prng_below(g, PLAIT_COUNT(menu))];
}

void fetch_seed_make_push(uint64_t seed, struct fetch_seed *s)
{
    fetch_seed_make(seed, s);
    struct plait_prng g = {seed ^ UINT64_C(0x9e3779b97f4a7c15)};
    for (unsigned i = 0; i < s->ways; i++) {
        struct plait_sim_server_config *server = &s->row.server[i];
        bool counts = server->fault[0].kind == PLAIT_SIM_FAULT_CONNS_ABOVE ||
                      server->fault[0].kind == PLAIT_SIM_FAULT_BUSY_ABOVE;
        server->takes_part = server->total_rate == 0 && !one_in(&g, 4) && !counts;
        if (!server->takes_part || server->fault[0].kind != PLAIT_SIM_FAULT_NONE || !one_in(&g, 6))
            continue;
        server->fault[0] = stream_fault(&g);
        s->server_faults = true;
    }
    if (s->ways > 1 && !s->server_faults && one_in(&g, 6))
        s->config.way_from_ms[s->ways - 1] = 3000 * plait_prng_unit(&g);
    if (s->config.way_from_ms[s->ways - 1] > 0)
        s->server_faults = true; /* the time that is allowed does not know of it */
}

/* What a server does wrong with steering: one thing, or several, now and then or always. */
static void make_steer_faults(struct plait_prng *g, struct plait_sim_server_config *server)
{
    static const struct plait_sim_fault menu[] = {
        {PLAIT_SIM_FAULT_STEER_SLOW, 3 * PLAIT_S},
        {PLAIT_SIM_FAULT_STEER_DELAY, 3 * PLAIT_S},
        {PLAIT_SIM_FAULT_STEER_SLOW, 300 * PLAIT_MS},
        {PLAIT_SIM_FAULT_STEER_DELAY, 300 * PLAIT_MS},
        {PLAIT_SIM_FAULT_STEER_SLOW, 60 * PLAIT_S},
        {PLAIT_SIM_FAULT_STEER_DELAY, 60 * PLAIT_S},
        {PLAIT_SIM_FAULT_STEER_MUTE, 0},
        {PLAIT_SIM_FAULT_STEER_MUTE, 1},
        {PLAIT_SIM_FAULT_STEER_RESET, 0},
        {PLAIT_SIM_FAULT_STEER_RESET, 1},
        {PLAIT_SIM_FAULT_STEER_IDLE, 0},
        {PLAIT_SIM_FAULT_STEER_WILD, 51},
        {PLAIT_SIM_FAULT_STEER_WILD, 12},
    };
    unsigned count = 1 + (unsigned)plait_prng_below(g, PLAIT_SIM_FAULTS_MAX - 1);

    for (unsigned i = 0; i < count; i++) {
        server->fault[i] = menu[plait_prng_below(g, PLAIT_COUNT(menu))];
        server->fault[i].b = one_in(g, 3) ? 1 : 2 + plait_prng_below(g, 6);
    }
}

void fetch_seed_make_steer(uint64_t seed, struct fetch_seed *s)
{
    fetch_seed_make(seed, s);
    struct plait_prng g = {seed ^ UINT64_C(0xbf58476d1ce4e5b9)};
    double mbit = 0;

    s->server_faults = s->steer_faults = true;
    for (unsigned i = 0; i < s->ways; i++) {
        struct plait_sim_server_config *server = &s->row.server[i];
        *server = (struct plait_sim_server_config){.takes_part = i == 0 || !one_in(&g, 6)};
        if (one_in(&g, 4))
            s->row.line[i].rtt_ms = 600;
        if (server->takes_part && !one_in(&g, 4))
            make_steer_faults(&g, server);
        if (s->row.line[i].outage[0].to_ms >=
            1e9) /* what one plain connection does in time would not be what is left */
            s->row.line[i].outage[0] = s->row.line[i].outage[1];
        mbit += s->row.line[i].mbit;
    }
    double size = mbit * 125000 * (2 + 10 * plait_prng_unit(&g)); /* enough that streams are worth it */
    s->row.size = size > SIZE_MAX_BYTES ? (uint64_t)SIZE_MAX_BYTES : (uint64_t)size;
    s->config.redundant = one_in(&g, 8) ? 2 : 0;
    limit_size(s);
}

static struct plait_sim_fault live_fault(struct plait_prng *g, bool must_serve)
{
    static const struct plait_sim_fault menu[] = {
        {PLAIT_SIM_FAULT_CRASH, PLAIT_S, 3 * PLAIT_S},
        {PLAIT_SIM_FAULT_DEAD, PLAIT_S, 4 * PLAIT_S},
        {PLAIT_SIM_FAULT_CLOSE_AFTER, 300000},
        {PLAIT_SIM_FAULT_STALL_AFTER, 200000, 0, 3},
        {PLAIT_SIM_FAULT_STREAM_STATUS, 400},
        {PLAIT_SIM_FAULT_STREAM_STATUS, 503},
        {PLAIT_SIM_FAULT_STEER_STATUS, 404},
        {PLAIT_SIM_FAULT_STEER_STATUS, 500},
        {PLAIT_SIM_FAULT_STREAM_ALL},
        {PLAIT_SIM_FAULT_STREAM_SKIP, 3},
        {PLAIT_SIM_FAULT_STREAM_TYPE, 7},
        {PLAIT_SIM_FAULT_CRASH, PLAIT_S, 3600 * PLAIT_S},
        {PLAIT_SIM_FAULT_STREAM_LENGTH, 1},
        {PLAIT_SIM_FAULT_STATUS, 404},
        {PLAIT_SIM_FAULT_REFUSE},
    };

    return menu[plait_prng_below(g, must_serve ? LIVE_MILD : PLAIT_COUNT(menu))];
}

/* The stream is written at the rate that all servers share; their copies may be behind. */
void fetch_seed_make_live(uint64_t seed, struct fetch_seed *s)
{
    fetch_seed_make(seed, s);
    struct plait_prng g = {seed ^ UINT64_C(0xd1b54a32d192ed03)};
    double mbit = 0;

    s->live = true;
    s->config.size_known = false;
    s->config.redundant = one_in(&g, 5) ? 2 : 1;
    s->server_faults = false;
    for (unsigned i = 0; i < s->ways; i++)
        mbit += s->row.line[i].mbit;
    double most = mbit * 125000 / 4, rate = log_uniform(&g, 1000, 12);
    rate = rate < most ? rate : most;
    s->row.size = 1 + (uint64_t)(rate * (1 + 6 * plait_prng_unit(&g)));
    for (unsigned i = 0; i < s->ways; i++) {
        struct plait_sim_server_config *v = &s->row.server[i];
        *v = (struct plait_sim_server_config){.takes_part = true, .live = {.rate = rate}};
        if (one_in(&g, 4))
            v->live.behind_ns = (uint64_t)(plait_prng_unit(&g) * 3e9);
        if (one_in(&g, 4))
            v->live.close_ns = (uint64_t)(plait_prng_unit(&g) * 2e9);
        if (!one_in(&g, 6))
            continue;
        v->fault[0] = live_fault(&g, s->ways == 1 || s->row.servers == 1 || i == 0);
        if (v->fault[0].kind == PLAIT_SIM_FAULT_STREAM_LENGTH && s->config.window_bytes > 0)
            v->fault[0].kind =
                PLAIT_SIM_FAULT_REFUSE; /* a byte too much at the end would have left already */
        s->server_faults = true;
    }
    if (s->ways > 1 && one_in(&g, 4))
        s->config.way_from_ms[s->ways - 1] = 3000 * plait_prng_unit(&g);
}

void fetch_seed_describe(const struct fetch_seed *s, FILE *to)
{
    fprintf(to, "# seed %llu: %llu bytes, %u servers%s", (unsigned long long)s->seed,
            (unsigned long long)s->row.size, s->row.servers, s->config.size_known ? ", size known" : "");
    if (s->config.window_bytes > 0)
        fprintf(to, ", pipe of %llu KiB", (unsigned long long)(s->config.window_bytes / 1024));
    if (s->config.consumer_mbit > 0)
        fprintf(to, " drained at %.1f Mbit/s", s->config.consumer_mbit);
    fprintf(to, "\n");
    for (unsigned i = 0; i < s->ways; i++) {
        const struct plait_sim_line *l = &s->row.line[i];
        fprintf(
            to,
            "#   line %u: %.2f Mbit/s (up %.2f), %.0f ms, queue %.0f ms, loss %.2f/%.2f %%, jitter %.1f ms%s",
            i, l->mbit, l->up_mbit, l->rtt_ms, l->queue_ms, l->loss, l->up_loss, l->jitter_ms,
            l->reorder ? " reordering" : "");
        for (unsigned k = 0; k < PLAIT_SIM_STEPS_MAX && l->step[k].at_ms > 0; k++)
            fprintf(to, ", %.2f from %.0f ms", l->step[k].mbit, l->step[k].at_ms);
        if (l->period_ms > 0)
            fprintf(to, ", again each %.0f ms", l->period_ms);
        if (l->outage[0].to_ms > 0)
            fprintf(to, ", dead %.0f..%.0f ms", l->outage[0].from_ms, l->outage[0].to_ms);
        if (s->row.server[i].fault[0].kind != PLAIT_SIM_FAULT_NONE)
            fprintf(to, ", server fault %d", (int)s->row.server[i].fault[0].kind);
        for (unsigned k = 1; k < PLAIT_SIM_FAULTS_MAX && s->row.server[i].fault[k].kind != 0; k++)
            fprintf(to, ", %d", (int)s->row.server[i].fault[k].kind);
        if (s->row.server[i].total_rate > 0)
            fprintf(to, ", server of %llu bytes/s", (unsigned long long)s->row.server[i].total_rate);
        fprintf(to, "\n");
    }
}

/* ---- what must hold ---- */

/*
 * Where lines and servers are without fault, the fetch is at least so fast as this part of the best plain
 * connection, and as this part of all plain connections taken together, after a start of some round trips of
 * the longest way (it begins on all ways at once, and cannot know which is the best). A pipe's window may
 * cost more. With faults, it has the time of one plain connection after the last of them has ended.
 */
#define SINGLE_SHARE_FILE 0.70
#define SINGLE_SHARE_PIPE 0.5
#define SUM_SHARE_FILE    0.5
#define SUM_SHARE_PIPE    0.4
#define START_S           0.9
#define VET_S             1.5 /* copies of several servers are compared before the end, were it by the slowest of them */
#define LIVE_CALM_S       10.0
#define LIVE_ROUNDS       16
#define START_ROUNDS      4
#define RESUME_S          20.0 /* longest time without a byte once all faults have ended */
#define LIVE_DUP_PERCENT  200.0
#define DUP_PERCENT       10.0
#define STEER_DUP_PERCENT                                                                                    \
    120.0 /* what a server does not give up as it was told comes twice; some ask for that */
#define DUP_BYTES 1000000.0

/* What a plain connection over one way takes, and not less than the fetch may: a pipe's window for each round
 * trip. */
static uint64_t single_ns(const struct fetch_seed *s, unsigned way)
{
    uint64_t ns = plait_sim_fetch_single(&s->row, way, LIMIT_MS * PLAIT_MS), least = 0;

    if (ns == PLAIT_NEVER)
        return ns;
    if (s->config.window_bytes > 0)
        least = plait_time_to_carry(2 * s->row.line[way].rtt_ms / 1e3 * (double)s->row.size,
                                    (double)s->config.window_bytes);
    if (s->config.consumer_mbit > 0)
        least =
            plait_max_u64(least, plait_time_to_carry((double)s->row.size, s->config.consumer_mbit * 125000));
    return plait_max_u64(ns, least);
}

static void measure(const struct fetch_seed *s, struct fetch_seed_result *out)
{
    double rates = 0;

    out->single_ns = PLAIT_NEVER;
    for (unsigned i = 0; i < s->ways; i++) {
        uint64_t ns = single_ns(s, i);
        out->single_ns = plait_min_u64(out->single_ns, ns);
        if (ns != PLAIT_NEVER)
            rates += 1 / (double)ns;
    }
    out->sum_ns = rates > 0 ? (uint64_t)(1 / rates) : PLAIT_NEVER;
    if (s->config.consumer_mbit > 0)
        out->sum_ns = plait_max_u64(
            out->sum_ns, plait_time_to_carry((double)s->row.size, s->config.consumer_mbit * 125000));
}

static double rtt_max_s(const struct fetch_seed *s)
{
    double v = 0;

    for (unsigned i = 0; i < s->ways; i++)
        v = s->row.line[i].rtt_ms > v ? s->row.line[i].rtt_ms : v;
    return v / 1e3;
}

/* The time that is allowed, by what plain connections do in the same world; see the shares above. */
static double allowed_s(const struct fetch_seed *s, const struct fetch_seed_result *r)
{
    bool pipe = s->config.window_bytes > 0, calm = s->calm_ms == 0 && !s->server_faults;
    double single = plait_to_s(r->single_ns) / (pipe ? SINGLE_SHARE_PIPE : SINGLE_SHARE_FILE) + START_S +
                    START_ROUNDS * rtt_max_s(s);
    double sum = plait_to_s(r->sum_ns) / (pipe ? SUM_SHARE_PIPE : SUM_SHARE_FILE) + 2 * START_S +
                 2 * START_ROUNDS * rtt_max_s(s);

    double vet = s->row.servers > 1 ? VET_S : 0;

    if (!calm)
        return single + s->calm_ms / 1e3 + RESUME_S;
    return (single < sum ? single : sum) + vet;
}

/* For the whole over the worst line at the rate that its loss leaves to some connections (Mathis et al. 1997). */
static double lossy_s(const struct fetch_seed *s)
{
    double most = 0;

    for (unsigned i = 0; i < s->ways; i++) {
        double window = 1448 * sqrt(1.5 / (s->row.line[i].loss / 100));
        double rate = LANES_OF_LOSSY * window / (s->row.line[i].rtt_ms / 1e3);
        if (s->row.line[i].loss > 0)
            most = plait_max_d(most, (double)s->row.size / rate);
    }
    return most;
}

/* Written, closed everywhere, and a while after that, in which what was lost comes again. */
static double live_allowed_s(const struct fetch_seed *s, const struct fetch_seed_result *r)
{
    uint64_t written = 0;

    bool dead = s->server_faults;
    for (unsigned i = 0; i < s->ways; i++)
        dead |= s->row.line[i].outage[0].to_ms >= 1e9;
    if (dead) /* what is left may be slow */
        return LIMIT_MS / 1e3;
    for (unsigned i = 0; i < s->ways; i++) {
        struct plait_sim_server_config c = s->row.server[i];
        c.size = s->row.size;
        written = plait_max_u64(written, plait_sim_server_has_at(&c, c.size) + c.live.close_ns);
    }
    double consumer =
        s->config.consumer_mbit > 0 ? (double)s->row.size / (s->config.consumer_mbit * 125000) : 0;
    bool calm = s->calm_ms == 0;
    double slack = (calm ? LIVE_CALM_S : RESUME_S) + LIVE_ROUNDS * rtt_max_s(s) + lossy_s(s);
    return plait_to_s(written) + 10 * plait_to_s(r->run.fluid_ns) + consumer + s->calm_ms / 1e3 + slack;
}

static bool check_run(const struct fetch_seed *s, const struct plait_sim_fetch_result *r, char *why, size_t n)
{
    double dup_percent = s->live ? LIVE_DUP_PERCENT : s->steer_faults ? STEER_DUP_PERCENT : DUP_PERCENT;
    double dup_most = (double)s->row.size * dup_percent / 100 + DUP_BYTES;

    if (r->violation[0] != '\0')
        snprintf(why, n, "%s", r->violation);
    else if (r->stopped)
        snprintf(why, n, "did not come to an end");
    else if (!r->done)
        snprintf(why, n, "failed with \"%s\" after %.2f s", plait_sim_fail_name(r->fail),
                 plait_to_s(r->time_ns));
    else if ((double)r->dup_bytes > dup_most)
        snprintf(why, n, "%llu bytes came twice, at most %.0f may", (unsigned long long)r->dup_bytes,
                 dup_most);
    else if (s->config.window_bytes > 0 && r->reach_max > s->config.window_bytes)
        snprintf(why, n, "kept bytes %llu ahead", (unsigned long long)r->reach_max);
    else if (plait_to_s(r->resume_ns) > RESUME_S)
        snprintf(why, n, "nothing for %.2f s, at most %.0f may pass", plait_to_s(r->resume_ns), RESUME_S);
    else
        return true;
    return false;
}

bool fetch_seed_check(const struct fetch_seed *s, struct fetch_seed_result *out, char *why, size_t n)
{
    plait_sim_fetch_run(&s->row, &s->config, &out->run);
    if (!s->live)
        measure(s, out);
    out->allowed_s = s->live ? live_allowed_s(s, out) : allowed_s(s, out);
    why[0] = '\0';
    if (!check_run(s, &out->run, why, n))
        return false;
    double took = plait_to_s(out->run.time_ns);

    if (took <= out->allowed_s)
        return true;
    snprintf(why, n, "took %.3f s, at most %.3f are allowed (best single %.3f, sum of singles %.3f)", took,
             out->allowed_s, plait_to_s(out->single_ns), plait_to_s(out->sum_ns));
    return false;
}
