/*
 *      plait-sim village [--every N]         all scenarios, or each N-th, as TAP
 *      plait-sim village --scenario NAME     one of them; --trace tells ten times a second what happens
 *      plait-sim village … --apart           the tunnels know nothing of each other: to compare with
 *      plait-sim village … --choices N       other random choices
 *      plait-sim village --seeds N [--from S]  random communities S, S + 1, …; --stats prints a line for each
 *      plait-sim village --seed S [--trace]  one of them
 */
#include "village_main.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"
#include "units.h"
#include "village_scenarios.h"
#include "village_seeds.h"

#define SEEDS_PER_LINE 50
#define SILENCE_MS     100

struct options {
    const char *scenario;
    uint64_t choices, seeds, from, every;
    bool one_seed, stats, trace, apart;
};

/* Jain's index of the judged terminals' rates, in the second half. */
static double jain(const double *mbit, unsigned count)
{
    double sum = 0, squares = 0, n = 0;

    for (unsigned i = 0; i < count; i++) {
        n += mbit[i] > 0;
        sum += mbit[i];
        squares += mbit[i] * mbit[i];
    }
    return squares > 0 ? sum * sum / (n * squares) : 0;
}

static void print_result(const struct plait_sim_village_row *row, const struct plait_sim_village_result *r)
{
    double tcp[PLAIT_SIM_TERMINALS_MAX];

    printf("# ");
    for (unsigned n = 0; n < row->terminals; n++) {
        tcp[n] = row->terminal[n].inner[0].used ? r->mbit_late[n] : 0;
        printf(" %6.2f (%6.2f)", r->mbit[n], r->mbit_late[n]);
        if (r->silence_ms[n] > SILENCE_MS)
            printf(" silent %.0f ms", r->silence_ms[n]);
        if (r->ping_ms[n] > 0)
            printf(" p95 %.0f ms", r->ping_ms[n]);
    }
    printf("  of %.1f, Jain %.3f; queues", r->sum_mbit, jain(tcp, row->terminals));
    for (unsigned i = 0; i < PLAIT_SIM_UPLINKS_MAX && r->line_mbit[i] > 0; i++)
        printf(" %.0f ms/%llu", r->line_queue_ms[i], (unsigned long long)r->line_dropped[i]);
    printf("\n");
}

static int run(const struct options *o)
{
    static struct plait_sim_village_result r;
    struct plait_sim_tunnel_story story = {.to = stdout, .every_ms = 100};
    unsigned failed = 0, n = 0;
    char why[256];

    unsigned every = o->every > 1 ? (unsigned)o->every : 1;

    printf("1..%u\n", o->scenario != NULL ? 1 : (village_scenario_count + every - 1) / every);
    for (unsigned i = 0; i < village_scenario_count; i++) {
        struct village_scenario s = village_scenarios[i];
        if (o->scenario != NULL ? strcmp(o->scenario, s.name) != 0 : i % every != 0)
            continue;
        s.row.apart = o->apart;
        s.row.seed = o->choices;
        bool ok = village_scenario_check(&s, o->trace ? &story : NULL, &r, why, sizeof(why));
        failed += !ok;
        printf("%s %u - %s%s%s\n", ok ? "ok" : "not ok", ++n, s.name, ok ? "" : ": ", ok ? "" : why);
        print_result(&s.row, &r);
        fflush(stdout);
    }
    return failed > 0 || n == 0;
}

static bool run_seed(const void *options, uint64_t seed)
{
    const struct options *o = options;
    static struct plait_sim_village_result r;
    struct plait_sim_tunnel_story story = {.to = stdout, .every_ms = 100};
    struct village_seed s;
    char why[256] = "";

    village_seed_make(seed, &s);
    s.row.apart = o->apart;
    bool ok = village_seed_check(&s, o->trace ? &story : NULL, &r, why, sizeof(why));

    if (!ok || o->one_seed)
        village_seed_describe(&s, stdout);
    if (o->stats || o->one_seed || !ok)
        print_result(&s.row, &r);
    if (!ok)
        printf("# seed %llu FAILS: %s\n", (unsigned long long)seed, why);
    return ok;
}

static bool parse(int argc, char **argv, struct options *o)
{
    static const struct option names[] = {
        {"scenario", required_argument, NULL, 'c'}, {"choices", required_argument, NULL, 'o'},
        {"seeds", required_argument, NULL, 'n'},    {"from", required_argument, NULL, 'f'},
        {"seed", required_argument, NULL, 's'},     {"every", required_argument, NULL, 'e'},
        {"stats", no_argument, NULL, 'S'},          {"trace", no_argument, NULL, 't'},
        {"apart", no_argument, NULL, 'a'},          {0}};
    int c;

    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (c == 'c')
            o->scenario = optarg;
        else if (c == 'o')
            o->choices = strtoull(optarg, NULL, 10);
        else if (c == 'n')
            o->seeds = strtoull(optarg, NULL, 10);
        else if (c == 'f' || c == 's')
            o->from = strtoull(optarg, NULL, 10);
        else if (c == 'e')
            o->every = strtoull(optarg, NULL, 10);
        else if (c == '?')
            return false;
        o->one_seed |= c == 's';
        o->stats |= c == 'S';
        o->trace |= c == 't';
        o->apart |= c == 'a';
    }
    if (o->one_seed)
        o->seeds = 1;
    return optind == argc;
}

int village_main(int argc, char **argv)
{
    struct options o = {0};

    if (!parse(argc, argv, &o)) {
        fprintf(stderr, "usage: plait-sim village [--every N | --scenario NAME | --seeds N [--from S] "
                        "[--stats] | --seed S] "
                        "[--choices N] [--apart] [--trace]\n");
        return 2;
    }
    return o.seeds > 0 ? suite_run_seeds(o.from, o.seeds, SEEDS_PER_LINE, run_seed, &o) : run(&o);
}
