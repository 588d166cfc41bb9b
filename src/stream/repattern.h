/*
 * When a pattern is computed anew, and from which block on it holds (seed 002, figures 8 and 9).
 *
 *      share[n]     = bytes[n] / Σ bytes                          bytes over connection n since the last time
 *      predicted[n] = last[n] + rate[n] · lookahead / share[n]    in blocks
 *      first        = ⌈ (max predicted + 1) / length ⌉ · length   a whole number of patterns
 *
 * Elements by share and their positions are those of core/pattern.h. Pure functions of their arguments.
 */
#ifndef PLAIT_STREAM_REPATTERN_H
#define PLAIT_STREAM_REPATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pattern.h"

#define PLAIT_REPATTERN_INTERVAL_NS  UINT64_C(250000000) /* not more often */
#define PLAIT_REPATTERN_LOOKAHEAD_NS UINT64_C(500000000) /* and two round trips */
#define PLAIT_REPATTERN_MOVED        0.05                /* nor for shares that moved by less */

/* Parts of the sum, 0 … 1; all 0 where nothing came. */
void plait_repattern_shares(const uint64_t *bytes, size_t count, double *shares);
/* Whether some share moved by so much that it is worth telling. */
bool plait_repattern_moved(const double *before, const double *now, size_t count);
/* The pattern of `len` elements for these shares. Errors as plait_pattern_from_weights. */
int plait_repattern_from_shares(const double *shares, size_t count, size_t len,
                                struct plait_pattern *out) PLAIT_MUST_USE;
/*
 * The block at which a connection's part will be after `lookahead_s`: `last` is the latest that it brought, it brings
 * `rate` blocks in a second and has `share` of all. PLAIT_NEVER for a share that is none.
 */
uint64_t plait_repattern_predict(uint64_t last, double rate, double lookahead_s, double share);
/* The first block after `predicted` that begins a whole pattern of `len` elements, when block 0 does. */
uint64_t plait_repattern_round_up(uint64_t predicted, size_t len);

#endif
