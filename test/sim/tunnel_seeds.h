/*
 * Random worlds for the tunnel, made from a seed: uplinks with their faults, traffic, switches; and what must hold
 * of each.
 */
#ifndef PLAIT_TEST_TUNNEL_SEEDS_H
#define PLAIT_TEST_TUNNEL_SEEDS_H

#include "sim_tunnel.h"

struct tunnel_seed {
    uint64_t seed;
    struct plait_sim_tunnel_row row;
    unsigned uplinks;
    double calm_ms; /* no faults after this; 0 = none at all */
    bool plain;     /* no outage, step, weight, limit or backup: compared with its best uplink alone */
    int best;       /* that uplink, from 1 */
};

void tunnel_seed_make(uint64_t seed, struct tunnel_seed *s);
bool tunnel_seed_check(const struct tunnel_seed *s, const struct plait_sim_tunnel_story *story,
                       struct plait_sim_tunnel_result *r, char *why, size_t why_size);
void tunnel_seed_describe(const struct tunnel_seed *s, FILE *to);

#endif
