#include "pattern.h"

#include <stdbool.h>

#include <string.h>

#include "units.h"

/* Shares of `len` by weight, largest remainder first. Exact: everything in integers below 2^64. */
static void share_out(const uint32_t *weights, size_t count, uint64_t total, size_t len, uint32_t *shares)
{
    uint64_t rest[PLAIT_PATTERN_PATHS_MAX];
    uint64_t given = 0;

    for (size_t i = 0; i < count; i++) {
        shares[i] = (uint32_t)(weights[i] * (uint64_t)len / total);
        rest[i] = weights[i] * (uint64_t)len % total;
        given += shares[i];
    }
    for (; given < len; given++) {
        size_t most = 0;
        for (size_t i = 1; i < count; i++) {
            if (rest[i] > rest[most])
                most = i;
        }
        shares[most]++;
        rest[most] = 0;
    }
}

/* Whether element `ka` of share `a` stands before element `kb` of share `b`: ka/a < kb/b. */
static bool stands_before(uint32_t ka, uint32_t a, uint32_t kb, uint32_t b)
{
    return (uint64_t)ka * b < (uint64_t)kb * a;
}

static void merge(const uint32_t *shares, size_t count, size_t len, struct plait_pattern *out)
{
    uint32_t used[PLAIT_PATTERN_PATHS_MAX] = {0};

    for (size_t n = 0; n < len; n++) {
        size_t next = count;
        for (size_t i = 0; i < count; i++) {
            if (used[i] == shares[i])
                continue;
            if (next == count || stands_before(used[i], shares[i], used[next], shares[next]))
                next = i;
        }
        out->path[n] = (uint8_t)next;
        used[next]++;
    }
    out->len = (uint16_t)len;
}

int plait_pattern_from_weights(const uint32_t *weights, size_t count, size_t len, struct plait_pattern *out)
{
    uint32_t shares[PLAIT_PATTERN_PATHS_MAX];
    uint64_t total = 0;

    if (count == 0 || count > PLAIT_PATTERN_PATHS_MAX)
        return PLAIT_ERR_RANGE;
    for (size_t i = 0; i < count; i++)
        total += weights[i];
    if (len == 0)
        len = total <= PLAIT_PATTERN_LEN_MAX ? (size_t)total : PLAIT_PATTERN_LEN_MAX + 1;
    if (total == 0 || len > PLAIT_PATTERN_LEN_MAX)
        return PLAIT_ERR_RANGE;
    share_out(weights, count, total, len, shares);
    merge(shares, count, len, out);
    return PLAIT_OK;
}

int plait_pattern_by_arrival(const struct plait_sched_path *paths, size_t count, size_t len,
                             double block_bytes, struct plait_pattern *out)
{
    struct plait_sched_path state[PLAIT_PATTERN_PATHS_MAX];

    if (count == 0 || count > PLAIT_PATTERN_PATHS_MAX || len == 0 || len > PLAIT_PATTERN_LEN_MAX)
        return PLAIT_ERR_RANGE;
    memcpy(state, paths, count * sizeof *state);
    for (size_t n = 0; n < len; n++) {
        int i = plait_sched_pick(state, count, 0, block_bytes, NULL);
        if (i < 0)
            return PLAIT_ERR_RANGE;
        out->path[n] = (uint8_t)i;
        state[i].next_free += plait_time_to_carry(block_bytes, state[i].rate);
    }
    out->len = (uint16_t)len;
    return PLAIT_OK;
}

uint8_t plait_pattern_path(const struct plait_pattern *p, uint64_t from, uint64_t seq)
{
    return p->path[(seq - from) % p->len];
}
