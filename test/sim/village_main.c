/*
 *      plait-sim village                     all scenarios, as TAP
 *      plait-sim village --scenario NAME     one of them; --trace tells ten times a second what happens
 *      plait-sim village … --apart           the tunnels know nothing of each other: to compare with
 *      plait-sim village … --seed N          other random choices
 */
#include "village_main.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "village_scenarios.h"

struct options {
    const char *scenario;
    uint64_t seed;
    bool trace, apart;
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

    printf("1..%u\n", o->scenario != NULL ? 1 : village_scenario_count);
    for (unsigned i = 0; i < village_scenario_count; i++) {
        struct village_scenario s = village_scenarios[i];
        if (o->scenario != NULL && strcmp(o->scenario, s.name) != 0)
            continue;
        s.row.apart = o->apart;
        s.row.seed = o->seed;
        bool ok = village_scenario_check(&s, o->trace ? &story : NULL, &r, why, sizeof(why));
        failed += !ok;
        printf("%s %u - %s%s%s\n", ok ? "ok" : "not ok", ++n, s.name, ok ? "" : ": ", ok ? "" : why);
        print_result(&s.row, &r);
        fflush(stdout);
    }
    return failed > 0 || n == 0;
}

static bool parse(int argc, char **argv, struct options *o)
{
    static const struct option names[] = {{"scenario", required_argument, NULL, 'c'},
                                          {"seed", required_argument, NULL, 's'},
                                          {"trace", no_argument, NULL, 't'},
                                          {"apart", no_argument, NULL, 'a'},
                                          {0}};
    int c;

    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (c == 'c')
            o->scenario = optarg;
        else if (c == 's')
            o->seed = strtoull(optarg, NULL, 10);
        else if (c == '?')
            return false;
        o->trace |= c == 't';
        o->apart |= c == 'a';
    }
    return optind == argc;
}

int village_main(int argc, char **argv)
{
    struct options o = {0};

    if (!parse(argc, argv, &o)) {
        fprintf(stderr, "usage: plait-sim village [--scenario NAME] [--seed N] [--apart] [--trace]\n");
        return 2;
    }
    return run(&o);
}
