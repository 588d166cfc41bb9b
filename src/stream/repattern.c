#include "repattern.h"

#include "units.h"

#define WEIGHT_OF_ALL 1000000.0
#define BLOCKS_MAX    9e15

void plait_repattern_shares(const uint64_t *bytes, size_t count, double *shares)
{
    double sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += (double)bytes[i];
    for (size_t i = 0; i < count; i++)
        shares[i] = sum > 0 ? (double)bytes[i] / sum : 0;
}

bool plait_repattern_moved(const double *before, const double *now, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double by = now[i] - before[i];
        if (by >= PLAIT_REPATTERN_MOVED || -by >= PLAIT_REPATTERN_MOVED)
            return true;
    }
    return false;
}

int plait_repattern_from_shares(const double *shares, size_t count, size_t len, struct plait_pattern *out)
{
    uint32_t weights[PLAIT_PATTERN_PATHS_MAX];

    if (count > PLAIT_PATTERN_PATHS_MAX || len == 0)
        return PLAIT_ERR_RANGE;
    for (size_t i = 0; i < count; i++)
        weights[i] = shares[i] > 0 ? (uint32_t)(shares[i] * WEIGHT_OF_ALL + 0.5) : 0;
    return plait_pattern_from_weights(weights, count, len, out);
}

uint64_t plait_repattern_predict(uint64_t last, double rate, double lookahead_s, double share)
{
    double ahead = share > 0 ? rate * lookahead_s / share : BLOCKS_MAX;

    return ahead < BLOCKS_MAX && ahead >= 0 ? plait_add_sat(last, (uint64_t)ahead) : PLAIT_NEVER;
}

uint64_t plait_repattern_round_up(uint64_t predicted, size_t len)
{
    return predicted > UINT64_MAX - len - 1 ? PLAIT_NEVER : (predicted / len + 1) * len;
}
