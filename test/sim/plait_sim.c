/*
 * plait-sim: the fetch in simulated worlds. Built for the tests, never installed.
 *
 *      plait-sim fetch                      all scenarios, as TAP
 *      plait-sim fetch --scenario NAME      one of them; with --trace every command
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fetch_scenarios.h"
#include "fetch_seeds.h"
#include "units.h"

struct options {
    const char *scenario;
    bool trace;
    bool single;
    bool stats;
    uint64_t seeds, from;
};

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void print_result(const struct plait_sim_fetch_result *r)
{
    printf("# %-11s %8.3f s  fluid %.3f  stall %.3f  dup %llu  check %llu  requests %llu  connections %llu  steals %u\n",
           r->stopped ? "stopped" : r->done ? "done" : plait_sim_fail_name(r->fail), plait_to_s(r->time_ns),
           fetch_share(r), plait_to_s(r->stall_ns), (unsigned long long)r->dup_bytes,
           (unsigned long long)r->check_bytes, (unsigned long long)r->requests, (unsigned long long)r->connections,
           r->steals);
}

/* What one plain connection over the best way takes. */
static void print_single(const struct plait_sim_row *row)
{
    uint64_t best = PLAIT_NEVER;
    unsigned ways = 0;

    while (ways < PLAIT_SIM_WAYS_MAX && row->way[ways].line > 0)
        ways++;
    while (row->way[0].line == 0 && ways < PLAIT_SIM_LINES_MAX && row->line[ways].mbit > 0)
        ways++;
    for (unsigned i = 0; i < ways; i++)
        best = plait_min_u64(best, plait_sim_fetch_single(row, i, 600 * PLAIT_S));
    if (best != PLAIT_NEVER)
        printf("# best single %.3f s\n", plait_to_s(best));
}

static int run_scenarios(const struct options *o)
{
    struct plait_sim_fetch_result r;
    unsigned failed = 0, n = 0;
    char why[256];

    printf("1..%u\n", o->scenario != NULL ? 1 : fetch_scenario_count);
    for (unsigned i = 0; i < fetch_scenario_count; i++) {
        const struct fetch_scenario *s = &fetch_scenarios[i];
        if (o->scenario != NULL && strcmp(o->scenario, s->name) != 0)
            continue;
        double began = cpu_s();
        bool ok = fetch_scenario_check(s, o->scenario != NULL ? stdout : NULL, o->trace, &r, why, sizeof(why));
        failed += !ok;
        printf("%s %u - %s%s%s\n", ok ? "ok" : "not ok", ++n, s->name, ok ? "" : ": ", why);
        print_result(&r);
        if (o->single)
            print_single(&s->row);
        printf("# %.0f ms of CPU, %llu events\n", (cpu_s() - began) * 1e3, (unsigned long long)r.events);
    }
    return failed > 0 || n == 0;
}

static int run_seeds(const struct options *o)
{
    struct fetch_seed s;
    struct fetch_seed_result r;
    char why[256];
    unsigned failed = 0;

    for (uint64_t i = 0; i < o->seeds; i++) {
        fetch_seed_make(i + o->from, &s);
        if (o->seeds == 1) {
            fetch_seed_describe(&s, stdout);
            s.config.story = stdout;
            s.config.commands = o->trace;
        }
        double began = cpu_s();
        bool ok = fetch_seed_check(&s, &r, why, sizeof(why));
        failed += !ok;
        if (!ok || o->stats)
            printf("%s seed %llu T %.3f tcp %.3f single %.3f cpu %.0f ev %llu size %llu ways %u pipe %d faults %d calm %.1f req %llu dup %llu stall %.2f %s\n", ok ? "ok" : "FAIL",
                   (unsigned long long)s.seed, plait_to_s(r.run.time_ns), plait_to_s(r.tcp_ns), plait_to_s(r.single_ns),
                   (cpu_s() - began) * 1e3, (unsigned long long)r.run.events, (unsigned long long)s.row.size, s.ways, s.config.window_bytes > 0, s.server_faults, s.calm_ms/1e3, (unsigned long long)r.run.requests, (unsigned long long)r.run.dup_bytes, plait_to_s(r.run.stall_ns), why);
    }
    printf("%u failed\n", failed);
    return failed > 0;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"scenario", required_argument, NULL, 'c'}, {"trace", no_argument, NULL, 't'}, {"seeds", required_argument, NULL, 'n'}, {"from", required_argument, NULL, 'f'}, {"stats", no_argument, NULL, 'S'}, {"single", no_argument, NULL, 's'}, {0}};
    struct options o = {0};
    int c;

    if (argc < 2 || strcmp(argv[1], "fetch") != 0) {
        fprintf(stderr, "usage: plait-sim fetch [--scenario NAME] [--trace]\n");
        return 2;
    }
    optind = 2;
    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (c == 'c')
            o.scenario = optarg;
        else if (c == 't')
            o.trace = true;
        else if (c == 'S')
            o.stats = true;
        else if (c == 'n')
            o.seeds = strtoull(optarg, NULL, 10);
        else if (c == 'f')
            o.from = strtoull(optarg, NULL, 10);
        else if (c == 's')
            o.single = true;
        else
            return 2;
    }
    if (o.seeds > 0)
        return run_seeds(&o);
    return run_scenarios(&o);
}
