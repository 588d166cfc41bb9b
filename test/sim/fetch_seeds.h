/*
 * Random worlds: a seed gives lines, servers, faults, a size and a mode, and what must hold for every one of
 * them.
 */
#ifndef PLAIT_TEST_FETCH_SEEDS_H
#define PLAIT_TEST_FETCH_SEEDS_H

#include "sim_fetch.h"

struct fetch_seed {
    uint64_t seed;
    struct plait_sim_row row;
    struct plait_sim_fetch_config config;
    unsigned ways;
    bool live;          /* it is being written */
    bool server_faults; /* then only what is told of time below holds */
    bool steer_faults;  /* some of them in what concerns steering */
    double calm_ms;     /* from then on no line is dead and no server faulty; 0 = always */
};

struct fetch_seed_result {
    struct plait_sim_fetch_result run;
    uint64_t single_ns; /* one plain connection over the best way, PLAIT_NEVER = none came to an end */
    uint64_t sum_ns;    /* if every way carried what a plain connection gets on it */
    double allowed_s;   /* the time that is allowed */
};

void fetch_seed_make(uint64_t seed, struct fetch_seed *out);
/* The same world, in which most servers take part in parallel HTTP; some do it wrong, some die or come late. */
void fetch_seed_make_push(uint64_t seed, struct fetch_seed *out);
/* The same lines, some of them far; servers take part, and do wrong what concerns steering. */
void fetch_seed_make_steer(uint64_t seed, struct fetch_seed *out);
/* The same lines; at all servers the stream is still being written. */
void fetch_seed_make_live(uint64_t seed, struct fetch_seed *out);
void fetch_seed_describe(const struct fetch_seed *s, FILE *to);
/* Returns false, with the reason in `why`, if an oracle does not hold. */
bool fetch_seed_check(const struct fetch_seed *s, struct fetch_seed_result *out, char *why, size_t why_size);

#endif
