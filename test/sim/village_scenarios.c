#include "village_scenarios.h"

#define L(mbit, rtt, up)                                                                                     \
    {                                                                                                        \
        mbit, rtt, .up_mbit = up                                                                             \
    }
#define THREE L(30, 30, 10), L(30, 30, 10), L(30, 30, 10)
/* For a moment nothing passes: the sender, the line or the receiver did not get to it. */
#define STALL                                                                                                \
    {                                                                                                        \
        30, 30, .up_mbit = 10, .queue_ms = 100, .step = { {6000, 0}, {6070, 30}, {8000, 0}, {8100, 30} }     \
    }
#define UNLIKE L(16, 40, 2), L(6, 25, 1), L(40, 60, 10)
#define FIBRE  L(100, 10, 50), L(100, 10, 50), L(100, 10, 50)

#define CUBIC(...)                                                                                           \
    {                                                                                                        \
        true, PLAIT_SIM_INNER_CUBIC, __VA_ARGS__                                                             \
    }
#define BBR(...)                                                                                             \
    {                                                                                                        \
        true, PLAIT_SIM_INNER_BBR, __VA_ARGS__                                                               \
    }
#define PING                                                                                                 \
    {                                                                                                        \
        true, PLAIT_SIM_INNER_PING, .every_ms = 50                                                           \
    }
#define UP .up = true
#define T(own, ...)                                                                                          \
    {                                                                                                        \
        .line = own, .inner = { __VA_ARGS__ }                                                                \
    }
#define IDLE(own)                                                                                            \
    {                                                                                                        \
        .line = own                                                                                          \
    }

/* clang-format off */
const struct village_scenario village_scenarios[] = {
    /* ---- one of them ---- */
    {"one-cubic", {{THREE}, {T(1, CUBIC(0), PING), IDLE(2), IDLE(3)}, 3, .seconds = 12}, .all = 0.85, .ping_ms = 60},
    {"one-bbr", {{THREE}, {T(1, BBR(0), PING), IDLE(2), IDLE(3)}, 3, .seconds = 12}, .all = 0.80, .ping_ms = 60},
    {"one-without-a-line", {{THREE}, {IDLE(1), IDLE(2), IDLE(3), T(0, CUBIC(0), PING)}, 4, .seconds = 12}, .all = 0.85},

    /* ---- two at once ---- */
    {"two-cubic", {{THREE}, {T(1, CUBIC(0), PING), T(2, CUBIC(0), PING), IDLE(3)}, 3, .seconds = 14}, .ratio = 1.1, .own = 0.95, .all = 0.85},
    {"two-bbr", {{THREE}, {T(1, BBR(0), PING), T(2, BBR(0), PING), IDLE(3)}, 3, .seconds = 14}, .ratio = 1.1, .own = 0.95, .all = 0.80},
    {"two-cubic-beside-bbr", {{THREE}, {T(1, CUBIC(0), PING), T(2, BBR(0), PING), IDLE(3)}, 3, .seconds = 14}, .ratio = 1.1, .own = 0.95, .all = 0.80},
    {"two-one-without-a-line", {{THREE}, {T(1, CUBIC(0), PING), IDLE(2), IDLE(3), T(0, CUBIC(0), PING)}, 4, .seconds = 14}, .ratio = 1.1, .own = 0.95, .all = 0.85},
    {"two-without-lines", {{THREE}, {IDLE(1), IDLE(2), IDLE(3), T(0, CUBIC(0)), T(0, CUBIC(0))}, 5, .seconds = 14}, .ratio = 1.1, .all = 0.85},
    {"two-late", {{THREE}, {T(1, CUBIC(0)), T(2, CUBIC(.start_ms = 4000)), IDLE(3)}, 3, .seconds = 16}, .ratio = 1.1, .all = 0.8},
    {"two-late-bbr", {{THREE}, {T(1, BBR(0)), T(2, BBR(.start_ms = 4000)), IDLE(3)}, 3, .seconds = 16}, .ratio = 1.1, .all = 0.8},
    {"two-far-apart", {{THREE}, {{.line = 1, .inner = {CUBIC(0)}}, {.line = 2, .lan_ms = 10, .inner = {CUBIC(0)}}, IDLE(3)}, 3, .seconds = 16}, .ratio = 1.1, .own = 0.95, .all = 0.8},
    {"two-one-behind-slow-wifi", {{THREE}, {T(1, CUBIC(0)), {.line = 2, .lan_mbit = 8, .inner = {CUBIC(0)}}, IDLE(3)}, 3, .seconds = 14}, .all = 0.65},
    {"two-one-with-a-lossy-lan", {{THREE}, {T(1, CUBIC(0)), {.line = 2, .lan_loss = 2, .inner = {CUBIC(0)}}, IDLE(3)}, 3, .seconds = 14}, .all = 0.75},
    {"one-behind-slow-wifi", {{THREE}, {IDLE(1), {.line = 2, .lan_mbit = 8, .inner = {CUBIC(0)}}, IDLE(3)}, 3, .seconds = 14}},
    {"two-fibre", {{FIBRE}, {T(1, CUBIC(0)), T(2, CUBIC(0)), IDLE(3)}, 3, .seconds = 8}, .ratio = 1.1, .own = 0.95, .all = 0.8},

    {"two-stall", {{STALL, STALL, STALL}, {T(1, CUBIC(0)), T(2, CUBIC(0)), IDLE(3)}, 3, .seconds = 12}, .ratio = 1.1, .own = 0.95, .all = 0.8},
    {"one-stall", {{STALL, STALL, STALL}, {T(1, CUBIC(0)), IDLE(2), IDLE(3)}, 3, .seconds = 12}, .all = 0.8},

    /* ---- all at once ---- */
    {"all-cubic", {{THREE}, {T(1, CUBIC(0), PING), T(2, CUBIC(0), PING), T(3, CUBIC(0), PING)}, 3, .seconds = 14}, .ratio = 1.1, .own = 0.95, .all = 0.85},
    {"all-bbr", {{THREE}, {T(1, BBR(0), PING), T(2, BBR(0), PING), T(3, BBR(0), PING)}, 3, .seconds = 14}, .ratio = 1.1, .own = 0.95, .all = 0.80},
    {"all-and-one-without", {{THREE}, {T(1, CUBIC(0)), T(2, CUBIC(0)), T(3, CUBIC(0)), T(0, CUBIC(0))}, 4, .seconds = 14}, .own = 0.93, .all = 0.85},
    {"all-unlike", {{UNLIKE}, {T(1, CUBIC(0)), T(2, CUBIC(0)), T(3, CUBIC(0))}, 3, .seconds = 20}, .own = 0.90, .all = 0.80},
    {"all-late", {{THREE}, {T(1, CUBIC(0)), T(2, CUBIC(.start_ms = 2000)), T(3, CUBIC(.start_ms = 5000))}, 3, .seconds = 16}, .ratio = 1.1, .own = 0.95},
    {"all-late-timers", {{THREE}, {T(1, CUBIC(0)), T(2, CUBIC(0)), T(3, CUBIC(0))}, 3, .seconds = 14, .late_us = 2000}, .ratio = 1.1, .own = 0.95, .all = 0.8},

    /* ---- upward ---- */
    {"up-one", {{THREE}, {T(1, CUBIC(UP), PING), IDLE(2), IDLE(3)}, 3, .seconds = 16}, .all = 0.85},
    {"up-one-bbr", {{THREE}, {T(1, BBR(UP), PING), IDLE(2), IDLE(3)}, 3, .seconds = 16}, .all = 0.80},
    {"up-two", {{THREE}, {T(1, CUBIC(UP), PING), T(2, CUBIC(UP), PING), IDLE(3)}, 3, .seconds = 20}, .ratio = 1.3, .own = 0.95, .all = 0.8},
    {"up-two-bbr", {{THREE}, {T(1, BBR(UP), PING), T(2, BBR(UP), PING), IDLE(3)}, 3, .seconds = 20}, .ratio = 1.3, .own = 0.95, .all = 0.75},
    {"up-two-late", {{THREE}, {T(1, CUBIC(UP)), T(2, CUBIC(UP, .start_ms = 5000)), IDLE(3)}, 3, .seconds = 24}, .ratio = 1.3, .own = 0.95, .all = 0.8},
    {"up-all", {{THREE}, {T(1, CUBIC(UP)), T(2, CUBIC(UP)), T(3, CUBIC(UP))}, 3, .seconds = 20}, .ratio = 1.3, .own = 0.95, .all = 0.8},
    {"up-all-late", {{THREE}, {T(1, CUBIC(UP)), T(2, CUBIC(UP, .start_ms = 3000)), T(3, CUBIC(UP, .start_ms = 6000))}, 3, .seconds = 24}, .own = 0.95, .all = 0.8},
    {"up-all-and-one-without", {{THREE}, {T(1, CUBIC(UP)), T(2, CUBIC(UP)), T(3, CUBIC(UP)), T(0, CUBIC(UP))}, 4, .seconds = 20}, .own = 0.95, .all = 0.8},
    {"up-two-one-without", {{THREE}, {T(1, CUBIC(UP)), IDLE(2), IDLE(3), T(0, CUBIC(UP))}, 4, .seconds = 24}, .ratio = 1.1, .own = 0.95, .all = 0.8},
    {"up-two-one-without-bbr", {{THREE}, {T(1, BBR(UP)), IDLE(2), IDLE(3), T(0, BBR(UP))}, 4, .seconds = 24}, .ratio = 1.1, .own = 0.95, .all = 0.8},
    {"up-three-one-without", {{THREE}, {T(1, CUBIC(UP)), T(2, CUBIC(UP)), IDLE(3), T(0, CUBIC(UP))}, 4, .seconds = 24}, .ratio = 1.6, .own = 0.9, .all = 0.8},
    {"up-two-without", {{THREE}, {IDLE(1), IDLE(2), IDLE(3), T(0, CUBIC(UP)), T(0, CUBIC(UP))}, 5, .seconds = 20}, .ratio = 1.3, .all = 0.8},
    {"up-owner-stops", {{THREE}, {T(1, CUBIC(UP, .stop_ms = 8000)), T(2, CUBIC(UP)), IDLE(3)}, 3, .seconds = 26}, .all = 0.8},
    {"up-and-down", {{THREE}, {T(1, CUBIC(0)), T(2, CUBIC(UP)), IDLE(3)}, 3, .seconds = 14}},

    /* ---- coming and going: at 6 s, where nothing else is said; what remains is two lines of three ---- */
    {"one-and-a-neighbour-leaves", {{THREE}, {T(1, CUBIC(0)), IDLE(2), {.line = 3, .leave_ms = 6000}}, 3, .seconds = 16}, .all = 0.55, .silence_ms = 250},
    {"one-and-a-neighbour-is-killed", {{THREE}, {T(1, CUBIC(0)), IDLE(2), {.line = 3, .kill_ms = 6000}}, 3, .seconds = 16}, .all = 0.55, .silence_ms = 500},
    {"two-and-a-neighbour-is-killed", {{THREE}, {T(1, CUBIC(0)), T(2, BBR(0)), {.line = 3, .kill_ms = 6000}}, 3, .seconds = 16}, .ratio = 1.15, .all = 0.53, .silence_ms = 500},
    {"one-without-and-two-are-killed", {{THREE}, {IDLE(1), {.line = 2, .kill_ms = 4000}, {.line = 3, .kill_ms = 7000}, T(0, CUBIC(0))}, 4, .seconds = 20}, .all = 0.26, .silence_ms = 500},
    {"up-one-and-a-neighbour-leaves", {{THREE}, {T(1, CUBIC(UP)), IDLE(2), {.line = 3, .leave_ms = 6000}}, 3, .seconds = 16}, .all = 0.55, .silence_ms = 250},
    {"up-one-and-a-neighbour-is-killed", {{THREE}, {T(1, CUBIC(UP)), IDLE(2), {.line = 3, .kill_ms = 6000}}, 3, .seconds = 16}, .all = 0.55, .silence_ms = 500},
    {"one-and-neighbours-join", {{THREE}, {T(1, CUBIC(0)), {.line = 2, .join_ms = 3000}, {.line = 3, .join_ms = 6000}}, 3, .seconds = 18}, .all = 0.8, .silence_ms = 250},
    {"up-one-and-neighbours-join", {{THREE}, {T(1, CUBIC(UP)), {.line = 2, .join_ms = 3000}, {.line = 3, .join_ms = 6000}}, 3, .seconds = 18}, .all = 0.8, .silence_ms = 250},
    {"one-joins-while-two-load", {{THREE}, {T(1, CUBIC(0)), T(2, CUBIC(0)), IDLE(3), {.join_ms = 4000, .inner = {CUBIC(.start_ms = 5000)}}}, 4, .seconds = 20}, .own = 0.85, .all = 0.8, .silence_ms = 250},
    {"two-and-a-line-is-cut", {{L(30, 30, 10), L(30, 30, 10), {30, 30, .up_mbit = 10, .outage = {{4000, 7000, PLAIT_SIM_CUT_SILENT}}}}, {T(1, CUBIC(0)), T(2, CUBIC(0)), IDLE(3)}, 3, .seconds = 24}, .ratio = 1.1, .own = 0.95, .all = 0.8, .silence_ms = 500},
    {"two-and-a-line-gets-slow", {{L(30, 30, 10), L(30, 30, 10), {30, 30, .up_mbit = 10, .step = {{6000, 6}}}}, {T(1, CUBIC(0)), T(2, CUBIC(0)), IDLE(3)}, 3, .seconds = 24}, .ratio = 1.15, .all = 0.6, .silence_ms = 500},
    {"two-and-a-line-gets-fast", {{L(30, 30, 10), L(30, 30, 10), {5, 30, .up_mbit = 10, .step = {{6000, 30}}}}, {T(1, CUBIC(0)), T(2, CUBIC(0)), IDLE(3)}, 3, .seconds = 24}, .ratio = 1.15, .all = 1.0, .silence_ms = 250},

    /* ---- what owners let others have ---- */
    {"one-and-a-kept-line", {{THREE}, {T(1, CUBIC(0)), IDLE(2), IDLE(3)}, 3, .seconds = 12, .offer = {[2] = {.kept = true}}}, .all = 0.55, .most = 0.67},
    {"one-and-two-limits", {{THREE}, {IDLE(1), IDLE(2), IDLE(3), T(0, CUBIC(0))}, 4, .seconds = 14, .offer = {[0] = {.limit = 8}, [1] = {.limit = 5}, [2] = {.kept = true}}}, .all = 0.11, .most = 0.145},
    {"up-one-and-two-limits", {{THREE}, {IDLE(1), IDLE(2), IDLE(3), T(0, CUBIC(UP))}, 4, .seconds = 14, .offer = {[0] = {.limit = 4}, [1] = {.limit = 2}, [2] = {.kept = true}}}, .all = 0.15, .most = 0.2},
    {"owner-beside-a-limited-guest", {{THREE}, {T(1, CUBIC(0)), IDLE(2), IDLE(3), T(0, CUBIC(0))}, 4, .seconds = 14, .offer = {[0] = {.limit = 3}}}, .all = 0.7},

    /* ---- weights ---- */
    {"one-weighted", {{{30, 30, .up_mbit = 10, .weight = 2}, {30, 30, .up_mbit = 10, .weight = 1}, {30, 30, .up_mbit = 10, .weight = 2}}, {T(1, CUBIC(0)), IDLE(2), IDLE(3)}, 3, .seconds = 12}, .all = 0.68},
    {"up-one-weighted", {{{30, 30, .up_mbit = 10, .weight = 2}, {30, 30, .up_mbit = 10, .weight = 1}, {30, 30, .up_mbit = 10, .weight = 2}}, {T(1, CUBIC(UP)), IDLE(2), IDLE(3)}, 3, .seconds = 12}, .all = 0.68},
    {"two-half-weighted", {{{30, 30, .up_mbit = 10, .weight = 30}, L(30, 30, 10), {30, 30, .up_mbit = 10, .weight = 30}}, {T(1, CUBIC(0)), T(2, CUBIC(0)), IDLE(3)}, 3, .seconds = 16}, .all = 0.5},
};
/* clang-format on */
const unsigned village_scenario_count = sizeof(village_scenarios) / sizeof(village_scenarios[0]);

#define FAIL(...) (snprintf(why, why_size, __VA_ARGS__), false)

static bool is_judged(const struct plait_sim_terminal *t)
{
    return t->inner[0].used && t->inner[0].stop_ms == 0 &&
           (t->inner[0].kind == PLAIT_SIM_INNER_CUBIC || t->inner[0].kind == PLAIT_SIM_INNER_BBR);
}

/* What terminal `n` gets over its own line, the others doing nothing, in the second half. */
static double own_alone(const struct plait_sim_village_row *row, unsigned n)
{
    struct plait_sim_tunnel_row alone = {.seconds = row->seconds, .late_us = row->late_us, .seed = row->seed};
    struct plait_sim_tunnel_result r;

    alone.uplink[0] = row->line[row->terminal[n].line - 1];
    alone.inner[0] = row->terminal[n].inner[0];
    plait_sim_tunnel_run(&alone, NULL, &r);
    return r.inner[0].mbit_late;
}

static bool check_own(const struct village_scenario *s, const struct plait_sim_village_row *row,
                      const struct plait_sim_village_result *r, char *why, size_t why_size)
{
    for (unsigned n = 0; s->own > 0 && n < row->terminals; n++) {
        if (!is_judged(&row->terminal[n]) || row->terminal[n].line == 0)
            continue;
        double alone = own_alone(row, n);
        if (r->mbit_late[n] < s->own * alone)
            return FAIL("terminal %u gets %.2f Mbit/s, its own line alone gives %.2f", n + 1, r->mbit_late[n],
                        alone);
    }
    return true;
}

static bool check_shares(const struct village_scenario *s, const struct plait_sim_village_row *row,
                         const struct plait_sim_village_result *r, char *why, size_t why_size)
{
    double least = 1e12, most = 0, sum = 0;

    for (unsigned n = 0; n < row->terminals; n++) {
        if (!is_judged(&row->terminal[n]))
            continue;
        least = r->mbit_late[n] < least ? r->mbit_late[n] : least;
        most = r->mbit_late[n] > most ? r->mbit_late[n] : most;
        sum += r->mbit_late[n];
    }
    if (s->ratio > 0 && most > s->ratio * least)
        return FAIL("one gets %.2f Mbit/s, another %.2f", most, least);
    double lines =
        row->terminal[0].inner[0].up || row->terminal[3].inner[0].up ? r->sum_mbit_up : r->sum_mbit;

    if ((s->all > 0 && sum < s->all * lines) || (s->most > 0 && sum > s->most * lines))
        return FAIL("%.2f Mbit/s together, %.3f of the lines", sum, sum / lines);
    return true;
}

bool village_scenario_check(const struct village_scenario *s, const struct plait_sim_tunnel_story *story,
                            struct plait_sim_village_result *r, char *why, size_t why_size)
{
    struct plait_sim_village_row row = s->row;

    row.seed = row.seed > 0 ? row.seed : 1;
    plait_sim_village_run(&row, story, r);
    if (r->bad)
        return FAIL("%s", r->why);
    if (!check_shares(s, &row, r, why, why_size) || !check_own(s, &row, r, why, why_size))
        return false;
    for (unsigned n = 0; n < row.terminals; n++)
        if (s->ping_ms > 0 && r->ping_ms[n] > s->ping_ms)
            return FAIL("terminal %u: ping p95 %.1f ms", n + 1, r->ping_ms[n]);
    for (unsigned n = 0; n < row.terminals; n++)
        if (s->silence_ms > 0 && is_judged(&row.terminal[n]) && r->silence_ms[n] > s->silence_ms)
            return FAIL("terminal %u: nothing for %.0f ms", n + 1, r->silence_ms[n]);
    for (unsigned i = 0; i < PLAIT_SIM_UPLINKS_MAX; i++)
        if (s->queue_ms > 0 && r->line_queue_ms[i] > s->queue_ms)
            return FAIL("line %u: a queue of %.1f ms", i + 1, r->line_queue_ms[i]);
    return true;
}
