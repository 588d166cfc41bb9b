/*
 *      plait-sim fetch                          all scenarios, as TAP
 *      plait-sim fetch --scenario NAME          one of them, with its story; --trace adds every command and
 *                                               answer, --packets every arrival of bytes
 *      plait-sim fetch --seeds N [--from S]     random worlds S, S + 1, ...; --stats prints a line for each
 *      plait-sim fetch --seed S                 one of them, with its story
 *      plait-sim fetch --push --seeds N         the same worlds, with servers that take part in parallel HTTP
 *      plait-sim fetch --steer --seeds N        servers that answer steering late, wrongly, or not
 *      plait-sim fetch --cc bbr ...             senders of the worlds by BBR (reno, cubic) instead of as the
 *                                               scenario says; the shares asked for are not those of BBR
 *      plait-sim fetch --live --seeds N         the same lines, and servers at which the stream is still being written
 *      plait-sim fetch --golden FILE            trace hashes of scenarios and seeds, against a file; --update writes it
 */
#include "fetch_main.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "fetch_scenarios.h"
#include "fetch_seeds.h"
#include "suite.h"
#include "units.h"

#define SEEDS_PER_LINE    50
#define GOLDEN_SEEDS      150
#define GOLDEN_PUSH_SEEDS 60

struct options {
    const char *scenario;
    const char *golden;
    uint64_t seeds, from;
    bool one_seed, trace, packets, stats, update, push, live, steer;
    int cc; /* of every sender; negative: as the world has it */
};

/* ---- scenarios ---- */

static void print_result(const struct plait_sim_fetch_result *r)
{
    printf("# %s %.3f s, %.3f of the fluid bound, stall %.3f s, late %.3f s, twice %llu, compared %llu, "
           "requests %llu, "
           "connections "
           "%llu, steals %u\n",
           r->stopped ? "stopped"
           : r->done  ? "done"
                      : plait_sim_fail_name(r->fail),
           plait_to_s(r->time_ns), fetch_share(r), plait_to_s(r->stall_ns), plait_to_s(r->late_ns),
           (unsigned long long)r->dup_bytes, (unsigned long long)r->check_bytes,
           (unsigned long long)r->requests, (unsigned long long)r->connections, r->steals);
}

static int run_scenarios(const struct options *o)
{
    struct plait_sim_fetch_result r;
    unsigned failed = 0, n = 0;
    char why[256];
    struct fetch_story story = {.to = stdout, .commands = o->trace || o->packets, .packets = o->packets};

    printf("1..%u\n", o->scenario != NULL ? 1 : fetch_scenario_count);
    for (unsigned i = 0; i < fetch_scenario_count; i++) {
        struct fetch_scenario s = fetch_scenarios[i];
        if (o->scenario != NULL && strcmp(o->scenario, s.name) != 0)
            continue;
        if (o->cc >= 0)
            s.row.cc = (enum plait_sim_cc_kind)o->cc;
        bool ok = fetch_scenario_check(&s, o->scenario != NULL ? &story : NULL, &r, why, sizeof(why));
        failed += !ok;
        printf("%s %u - %s%s%s\n", ok ? "ok" : "not ok", ++n, s.name, ok ? "" : ": ", why);
        print_result(&r);
    }
    return failed > 0 || n == 0;
}

/* ---- seeds ---- */

static void print_seed(const struct fetch_seed *s, const struct fetch_seed_result *r)
{
    printf("# seed %llu %s%s%s: %.3f s of %.3f, best single %.3f, sum of singles %.3f, resume %.2f s, size "
           "%llu, twice "
           "%llu, requests %llu\n",
           (unsigned long long)s->seed, s->config.window_bytes > 0 ? "pipe" : "file",
           s->calm_ms > 0 ? ", outages" : "", s->server_faults ? ", server faults" : "",
           plait_to_s(r->run.time_ns), r->allowed_s, plait_to_s(r->single_ns), plait_to_s(r->sum_ns),
           plait_to_s(r->run.resume_ns), (unsigned long long)s->row.size,
           (unsigned long long)r->run.dup_bytes, (unsigned long long)r->run.requests);
}

static bool run_seed(const void *options, uint64_t seed)
{
    const struct options *o = options;
    struct fetch_seed s;
    struct fetch_seed_result r;
    char why[256];

    if (o->live)
        fetch_seed_make_live(seed, &s);
    else if (o->steer)
        fetch_seed_make_steer(seed, &s);
    else if (o->push)
        fetch_seed_make_push(seed, &s);
    else
        fetch_seed_make(seed, &s);
    if (o->cc >= 0)
        s.row.cc = (enum plait_sim_cc_kind)o->cc;
    if (o->one_seed) {
        s.config.story = stdout;
        s.config.commands = o->trace || o->packets;
        s.config.packets = o->packets;
    }
    bool ok = fetch_seed_check(&s, &r, why, sizeof(why));

    if (o->stats || o->one_seed)
        print_seed(&s, &r);
    if (!ok || o->one_seed)
        fetch_seed_describe(&s, stdout);
    if (!ok)
        printf("# seed %llu FAILS: %s\n", (unsigned long long)seed, why);
    return ok;
}

/* ---- golden hashes ---- */

/* Name and hash of the i-th run of the fixed set. False after the last. */
static bool golden_run(unsigned i, char name[SUITE_NAME_BYTES], uint64_t *hash)
{
    struct plait_sim_fetch_result r;
    struct fetch_seed s;

    if (i < fetch_scenario_count) {
        snprintf(name, SUITE_NAME_BYTES, "%s", fetch_scenarios[i].name);
        plait_sim_fetch_run(&fetch_scenarios[i].row, &fetch_scenarios[i].config, &r);
    } else if (i < fetch_scenario_count + GOLDEN_SEEDS) {
        snprintf(name, SUITE_NAME_BYTES, "seed-%u", i - fetch_scenario_count);
        fetch_seed_make(i - fetch_scenario_count, &s);
        plait_sim_fetch_run(&s.row, &s.config, &r);
    } else if (i < fetch_scenario_count + GOLDEN_SEEDS + GOLDEN_PUSH_SEEDS) {
        unsigned seed = i - fetch_scenario_count - GOLDEN_SEEDS;
        snprintf(name, SUITE_NAME_BYTES, "push-seed-%u", seed);
        fetch_seed_make_push(seed, &s);
        plait_sim_fetch_run(&s.row, &s.config, &r);
    } else {
        return false;
    }
    *hash = r.hash;
    return true;
}

/* ---- options ---- */

static int usage(void)
{
    fprintf(stderr, "usage: plait-sim fetch [--scenario NAME | [--push | --live | --steer] --seeds N [--from "
                    "S] [--stats] | "
                    "[--push | --live | --steer] --seed S | --golden FILE [--update]] [--cc cubic|reno|bbr] "
                    "[--trace | --packets]\n");
    return 2;
}

static int cc_of(const char *name)
{
    static const char *const names[] = {
        [PLAIT_SIM_CC_CUBIC] = "cubic", [PLAIT_SIM_CC_RENO] = "reno", [PLAIT_SIM_CC_BBR] = "bbr"};

    for (int i = 0; i < (int)(sizeof names / sizeof *names); i++) {
        if (strcmp(name, names[i]) == 0)
            return i;
    }
    return -1;
}

static bool parse(int argc, char **argv, struct options *o)
{
    static const struct option names[] = {
        {"scenario", required_argument, NULL, 'c'}, {"seeds", required_argument, NULL, 'n'},
        {"from", required_argument, NULL, 'f'},     {"seed", required_argument, NULL, 's'},
        {"golden", required_argument, NULL, 'g'},   {"update", no_argument, NULL, 'u'},
        {"trace", no_argument, NULL, 't'},          {"stats", no_argument, NULL, 'S'},
        {"packets", no_argument, NULL, 'p'},        {"push", no_argument, NULL, 'P'},
        {"live", no_argument, NULL, 'L'},           {"steer", no_argument, NULL, 'T'},
        {"cc", required_argument, NULL, 'C'},       {0}};
    int c;

    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (c) {
        case 'c':
            o->scenario = optarg;
            break;
        case 'n':
            o->seeds = strtoull(optarg, NULL, 10);
            break;
        case 'f':
            o->from = strtoull(optarg, NULL, 10);
            break;
        case 's':
            o->from = strtoull(optarg, NULL, 10);
            o->seeds = 1;
            o->one_seed = true;
            break;
        case 'g':
            o->golden = optarg;
            break;
        case 'u':
            o->update = true;
            break;
        case 't':
            o->trace = true;
            break;
        case 'p':
            o->packets = true;
            break;
        case 'P':
            o->push = true;
            break;
        case 'L':
            o->live = true;
            break;
        case 'T':
            o->steer = true;
            break;
        case 'C':
            o->cc = cc_of(optarg);
            if (o->cc < 0)
                return false;
            break;
        case 'S':
            o->stats = true;
            break;
        default:
            return false;
        }
    }
    return optind == argc;
}

int fetch_main(int argc, char **argv)
{
    struct options o = {.cc = -1};

    if (!parse(argc, argv, &o))
        return usage();
    if (o.golden != NULL)
        return suite_golden(o.golden, o.update, golden_run, "fetch");
    if (o.seeds > 0)
        return suite_run_seeds(o.from, o.seeds, SEEDS_PER_LINE, run_seed, &o);
    return run_scenarios(&o);
}
