/*
 * A small seeded generator (SplitMix64: Steele, Lea, Flood 2014) for choices that must be repeatable.
 * Not for secrets. The same seed gives the same sequence everywhere.
 */
#ifndef PLAIT_BASE_PRNG_H
#define PLAIT_BASE_PRNG_H

#include <stdint.h>

struct plait_prng {
    uint64_t state;
};

static inline uint64_t plait_prng_next(struct plait_prng *g)
{
    uint64_t z = (g->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Uniform in [0, 1). */
static inline double plait_prng_unit(struct plait_prng *g)
{
    return (double)(plait_prng_next(g) >> 11) * 0x1.0p-53;
}

/* Uniform in [0, n), n > 0; the bias of the multiplication is below n / 2^64. */
static inline uint64_t plait_prng_below(struct plait_prng *g, uint64_t n)
{
    return (uint64_t)(((unsigned __int128)plait_prng_next(g) * n) >> 64);
}

#endif
