/*
 * Random communities, made from a seed: lines, terminals near and far, traffic both ways that begins and ends; terminals
 * that join, leave and are killed, lines that die, come back and change their rates; weights, limits, lines that are
 * kept; and what must hold of each.
 */
#ifndef PLAIT_TEST_VILLAGE_SEEDS_H
#define PLAIT_TEST_VILLAGE_SEEDS_H

#include <stdio.h>

#include "sim_village.h"

struct village_seed {
    uint64_t seed;
    struct plait_sim_village_row row;
    unsigned lines, loads; /* loads: downloads that last from the beginning to the end */
    bool calm;             /* the lines lose and delay nothing by chance */
    bool churns;           /* terminals come and go, or lines change */
    bool bends;            /* weights, limits and kept lines have a say in who gets what */
};

void village_seed_make(uint64_t seed, struct village_seed *s);
bool village_seed_check(const struct village_seed *s, const struct plait_sim_tunnel_story *story,
                        struct plait_sim_village_result *r, char *why, size_t why_size);
void village_seed_describe(const struct village_seed *s, FILE *to);

#endif
