/*
 * Patterns: which path carries which block, as a repeated sequence of path indices ("AABCC" is 0 0 1 2 2).
 *
 * By weights: element k of a path of weight w stands at position k · (total / w); sorted by position, ties in
 * the order of listing. Weights A2 B1 C2 give A B C A C (seeds 001 and 002). By arrival: each next block goes
 * to the path on which it arrives earliest; with equal delays that is a sequence of the same shares, with
 * unequal ones the blocks of a path with a long delay lie further ahead in the stream.
 */
#ifndef PLAIT_CORE_PATTERN_H
#define PLAIT_CORE_PATTERN_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "scheduler.h"

#define PLAIT_PATTERN_LEN_MAX   1024
#define PLAIT_PATTERN_PATHS_MAX 255

struct plait_pattern {
    uint16_t len;
    uint8_t path[PLAIT_PATTERN_LEN_MAX];
};

/*
 * `len` elements shared out by weight (largest remainder, ties to the first), or the sum of the weights if
 * len is 0. A path of weight 0 gets nothing. PLAIT_ERR_RANGE: no path, no weight, too many, or too long.
 */
int plait_pattern_from_weights(const uint32_t *weights, size_t count, size_t len,
                               struct plait_pattern *out) PLAIT_MUST_USE;

/* `len` blocks of `block_bytes` each by earliest arrival, from idle. PLAIT_ERR_RANGE as above. */
int plait_pattern_by_arrival(const struct plait_sched_path *paths, size_t count, size_t len,
                             double block_bytes, struct plait_pattern *out) PLAIT_MUST_USE;

/* The path of block `seq` when the pattern holds from block `from` <= seq on. */
uint8_t plait_pattern_path(const struct plait_pattern *p, uint64_t from, uint64_t seq);

#endif
