/*
 *      plait-sim tunnel [--every N]              all scenarios, or each N-th, as TAP
 *      plait-sim tunnel --scenario NAME          one of them; --trace tells ten times a second what happens
 *      plait-sim tunnel --seeds N [--from S]     random worlds S, S + 1, …; --stats prints a line for each
 *      plait-sim tunnel --seed S [--trace]       one of them
 *      plait-sim tunnel --golden FILE            trace hashes of scenarios and seeds, against a file; --update writes it
 *      plait-sim tunnel --table [--seeds N]      the table of the links, both ways, each with N random numbers;
 *                  [--from S] [--scenario PART]  those after S; only scenarios with PART in their names;
 *                  [--stall MS]                  both programs stand still now and then, for up to so long
 *      plait-sim tunnel --compare                the schedulers, and what each part is worth, over the table of the links
 */
#include "tunnel_main.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"
#include "tunnel_scenarios.h"
#include "tunnel_seeds.h"
#include "units.h"

#define SEEDS_PER_LINE  100
#define GOLDEN_SEEDS    100
#define GOLDEN_EVERY    4 /* scenarios: all of them again would take as long as the test of them */
#define COMPARE_SECONDS 15
#define TABLE_SEEDS     3
#define TABLE_OMIT_MS   2000 /* as the bench over real networks does */
#define TABLE_ROWS      24
#define STALL_EVERY_MS  50

struct options {
    const char *scenario, *golden;
    uint64_t seeds, from, every;
    double stall_ms;
    bool one_seed, trace, stats, update, compare, table;
};

/* ---- scenarios ---- */

static void print_result(const struct plait_sim_tunnel_row *row, const struct plait_sim_tunnel_result *r)
{
    static const char *const kinds[] = {"cubic", "bbr", "udp", "ping"};

    printf("# share %.3f of %.2f Mbit/s, late half %.3f, overtaken %llu\n", r->share, r->sum_mbit,
           r->inner[0].mbit_late / r->sum_mbit, (unsigned long long)r->overtaken);
    for (unsigned i = 0; i < PLAIT_SIM_INNER_MAX; i++) {
        const struct plait_sim_inner_result *in = &r->inner[i];
        if (!row->inner[i].used)
            continue;
        printf("#   %-5s %-4s %8.3f Mbit/s, sent %llu, came %llu, disorder %llu, silence %.0f ms, rtt %.1f "
               "%.1f %.1f %.1f, "
               "resent %llu, recoveries %llu, timeouts %llu\n",
               kinds[row->inner[i].kind], row->inner[i].up ? "up" : "down", in->mbit,
               (unsigned long long)in->sent_packets, (unsigned long long)in->received_packets,
               (unsigned long long)in->out_of_order, in->silence_ms, in->rtt_ms_least, in->rtt_ms_median,
               in->rtt_ms_p95, in->rtt_ms_most, (unsigned long long)in->resent,
               (unsigned long long)in->recoveries, (unsigned long long)in->timeouts);
    }
}

static int run_scenarios(const struct options *o)
{
    static struct plait_sim_tunnel_result r;
    struct plait_sim_tunnel_story story = {.to = stdout, .every_ms = 100};
    unsigned failed = 0, n = 0;
    char why[256];

    unsigned every = o->every > 1 ? (unsigned)o->every : 1;

    printf("1..%u\n", o->scenario != NULL ? 1 : (tunnel_scenario_count + every - 1) / every);
    for (unsigned i = 0; i < tunnel_scenario_count; i++) {
        const struct tunnel_scenario *s = &tunnel_scenarios[i];
        if ((o->scenario != NULL && strcmp(o->scenario, s->name) != 0) || (o->every > 1 && i % o->every != 0))
            continue;
        bool ok = tunnel_scenario_check(s, o->trace ? &story : NULL, &r, why, sizeof(why));
        failed += !ok;
        printf("%s %u - %s%s%s\n", ok ? "ok" : "not ok", ++n, s->name, ok ? "" : ": ", ok ? "" : why);
        print_result(&s->row, &r);
    }
    return failed > 0 || n == 0;
}

/* ---- seeds ---- */

static bool run_seed(const void *options, uint64_t seed)
{
    const struct options *o = options;
    static struct plait_sim_tunnel_result r;
    struct plait_sim_tunnel_story story = {.to = stdout, .every_ms = 50};
    struct tunnel_seed s;
    char why[256] = "";

    tunnel_seed_make(seed, &s);
    bool ok = tunnel_seed_check(&s, o->trace ? &story : NULL, &r, why, sizeof(why));

    if (!ok || o->one_seed)
        tunnel_seed_describe(&s, stdout);
    if (o->stats || o->one_seed || !ok)
        print_result(&s.row, &r);
    if (!ok)
        printf("# seed %llu FAILS: %s\n", (unsigned long long)seed, why);
    return ok;
}

/* ---- golden hashes ---- */

static bool golden_run(unsigned i, char name[SUITE_NAME_BYTES], uint64_t *hash)
{
    static struct plait_sim_tunnel_result r;
    unsigned scenarios = tunnel_scenario_count / GOLDEN_EVERY;
    struct tunnel_seed s;

    if (i < scenarios) {
        const struct tunnel_scenario *at = &tunnel_scenarios[i * GOLDEN_EVERY];
        struct plait_sim_tunnel_row row = at->row;
        row.seed = 1;
        row.seconds = row.seconds < 3 ? row.seconds : 3;
        snprintf(name, SUITE_NAME_BYTES, "%s", at->name);
        plait_sim_tunnel_run(&row, NULL, &r);
    } else if (i < scenarios + GOLDEN_SEEDS) {
        snprintf(name, SUITE_NAME_BYTES, "seed-%u", i - scenarios);
        tunnel_seed_make(i - scenarios, &s);
        plait_sim_tunnel_run(&s.row, NULL, &r);
    } else {
        return false;
    }
    *hash = r.hash;
    return true;
}

/* ---- comparing ---- */

struct variant {
    const char *name;
    enum plait_bond_policy policy;
    bool no_repair, no_ahead, no_reorder, no_duplicates, no_even, single, plain;
};

static const struct variant variants[] = {
    {"plait", PLAIT_BOND_EARLIEST},
    {"  without repair", PLAIT_BOND_EARLIEST, .no_repair = true},
    {"  without taking ahead", PLAIT_BOND_EARLIEST, .no_ahead = true},
    {"  without evening out", PLAIT_BOND_EARLIEST, .no_even = true},
    {"  without reordering", PLAIT_BOND_EARLIEST, .no_reorder = true},
    {"lowest RTT", PLAIT_BOND_LOWEST_RTT},
    {"weighted round robin", PLAIT_BOND_ROUND_ROBIN},
    {"weighted random", PLAIT_BOND_RANDOM},
    {"best single, tunnelled", PLAIT_BOND_EARLIEST, .single = true},
    {"best single, plain", PLAIT_BOND_EARLIEST, .single = true, .plain = true},
};

static const char *const compared[] = {"three-cubic-down",    "three-bbr-down",    "pair-cubic-down",
                                       "pair-bbr-down",       "uneven-cubic-down", "uneven-bbr-down",
                                       "adsl-lte-cubic-down", "adsl-lte-bbr-down", "far-cubic-down",
                                       "far-bbr-down",        "lossy-cubic-down",  "lossy-bbr-down"};

static double compare_one(const struct plait_sim_tunnel_row *from, const struct variant *v)
{
    static struct plait_sim_tunnel_result r;
    double best = 0, sum = 0;

    for (int only = v->single ? 1 : 0;
         only == 0 || (only <= PLAIT_SIM_UPLINKS_MAX && from->uplink[only - 1].mbit > 0); only++) {
        struct plait_sim_tunnel_row row = *from;
        row.policy = v->policy;
        row.no_repair = v->no_repair;
        row.no_ahead = v->no_ahead;
        row.no_reorder = v->no_reorder;
        row.no_duplicates = v->no_duplicates;
        row.no_even = v->no_even;
        row.untunnelled = v->plain;
        row.only = only;
        row.seed = 1;
        row.seconds = COMPARE_SECONDS;
        plait_sim_tunnel_run(&row, NULL, &r);
        sum = r.sum_mbit;
        best = r.inner[0].mbit > best ? r.inner[0].mbit : best;
        if (only == 0)
            break;
    }
    return best / sum;
}

static int compare(void)
{
    printf("%-24s", "share of the lines' sum");
    for (unsigned i = 0; i < PLAIT_COUNT(compared); i++)
        printf(" %20.20s", compared[i]);
    printf("\n");
    for (unsigned v = 0; v < PLAIT_COUNT(variants); v++) {
        printf("%-24s", variants[v].name);
        for (unsigned i = 0; i < PLAIT_COUNT(compared); i++)
            for (unsigned k = 0; k < tunnel_scenario_count; k++)
                if (strcmp(tunnel_scenarios[k].name, compared[i]) == 0)
                    printf(" %20.3f", compare_one(&tunnel_scenarios[k].row, &variants[v]));
        printf("\n");
        fflush(stdout);
    }
    return 0;
}

/* ---- the table ---- */

static void print_table_row(const struct options *o, const struct tunnel_scenario *s, uint64_t seeds,
                            const struct plait_sim_tunnel_story *story)
{
    static struct plait_sim_tunnel_result r;
    double sum[2] = {0, 0}, least[2] = {1, 1}, ping = 0;

    for (uint64_t seed = o->from + 1; seed <= o->from + seeds; seed++) {
        struct plait_sim_tunnel_row row = s->row;
        row.seed = seed;
        row.seconds = COMPARE_SECONDS;
        row.late_ms = TABLE_OMIT_MS;
        row.stall_ms = o->stall_ms;
        row.stall_every_ms = STALL_EVERY_MS;
        plait_sim_tunnel_run(&row, story, &r);
        double share[2] = {r.share, r.inner[0].mbit_late / r.sum_mbit};
        for (unsigned i = 0; i < 2; i++) {
            sum[i] += share[i];
            least[i] = share[i] < least[i] ? share[i] : least[i];
        }
        ping += r.inner[1].rtt_ms_p95 - r.inner[1].rtt_ms_least;
    }
    printf("%-24s %8.3f %8.3f %8.3f %8.3f %8.1f\n", s->name, sum[0] / (double)seeds, least[0],
           sum[1] / (double)seeds, least[1], ping / (double)seeds);
    fflush(stdout);
}

static int table(const struct options *o)
{
    struct plait_sim_tunnel_story story = {.to = stdout, .every_ms = 100};

    printf("%-24s %8s %8s %8s %8s %8s\n", "share of the lines' sum", "mean", "least", "from 2 s", "least",
           "ping ms");
    for (unsigned i = 0; i < TABLE_ROWS; i++)
        if (o->scenario == NULL || strstr(tunnel_scenarios[i].name, o->scenario) != NULL)
            print_table_row(o, &tunnel_scenarios[i], o->seeds > 0 ? o->seeds : TABLE_SEEDS,
                            o->trace ? &story : NULL);
    return 0;
}

/* ---- options ---- */

static int usage(void)
{
    fprintf(stderr, "usage: plait-sim tunnel [--scenario NAME | --seeds N [--from S] [--stats] | --seed S | "
                    "--golden FILE "
                    "[--update] | --table [--seeds N] [--scenario PART] | --compare] [--trace]\n");
    return 2;
}

static bool parse(int argc, char **argv, struct options *o)
{
    static const struct option names[] = {{"scenario", required_argument, NULL, 'c'},
                                          {"seeds", required_argument, NULL, 'n'},
                                          {"from", required_argument, NULL, 'f'},
                                          {"seed", required_argument, NULL, 's'},
                                          {"golden", required_argument, NULL, 'g'},
                                          {"update", no_argument, NULL, 'u'},
                                          {"trace", no_argument, NULL, 't'},
                                          {"stats", no_argument, NULL, 'S'},
                                          {"compare", no_argument, NULL, 'C'},
                                          {"table", no_argument, NULL, 'T'},
                                          {"stall", required_argument, NULL, 'l'},
                                          {"every", required_argument, NULL, 'e'},
                                          {0}};
    int c;

    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (c == 'c')
            o->scenario = optarg;
        else if (c == 'n')
            o->seeds = strtoull(optarg, NULL, 10);
        else if (c == 'f' || c == 's')
            o->from = strtoull(optarg, NULL, 10);
        else if (c == 'l')
            o->stall_ms = atof(optarg);
        else if (c == 'e')
            o->every = strtoull(optarg, NULL, 10);
        else if (c == 'g')
            o->golden = optarg;
        else if (c == '?')
            return false;
        o->one_seed |= c == 's';
        o->update |= c == 'u';
        o->trace |= c == 't';
        o->stats |= c == 'S';
        o->compare |= c == 'C';
        o->table |= c == 'T';
    }
    if (o->one_seed)
        o->seeds = 1;
    return optind == argc;
}

int tunnel_main(int argc, char **argv)
{
    struct options o = {0};

    if (!parse(argc, argv, &o))
        return usage();
    if (o.compare)
        return compare();
    if (o.table)
        return table(&o);
    if (o.golden != NULL)
        return suite_golden(o.golden, o.update, golden_run, "tunnel");
    return o.seeds > 0 ? suite_run_seeds(o.from, o.seeds, SEEDS_PER_LINE, run_seed, &o) : run_scenarios(&o);
}
