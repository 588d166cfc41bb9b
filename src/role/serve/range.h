/*
 * The Range field of a request (RFC 9110 section 14.2), resolved against a size.
 *
 * What comes out is bounded whatever came in: at most PLAIT_RANGE_COUNT_MAX ranges, no two of which overlap
 * or touch, so that together they never hold more bytes than the whole.
 */
#ifndef PLAIT_SERVE_RANGE_H
#define PLAIT_SERVE_RANGE_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define PLAIT_RANGE_COUNT_MAX 64

struct plait_range {
    uint64_t lo; /* the first byte */
    uint64_t hi; /* one past the last one, above lo, at most the size */
};

struct plait_range_set {
    struct plait_range at[PLAIT_RANGE_COUNT_MAX];
    size_t count; /* at least 1 */
};

/*
 * The value of a field Range, for a stream of `size` bytes. Ranges that overlap or touch become one, which
 * stands where the first of them stood; the others keep the order in which they were asked for.
 *
 * PLAIT_ERR_RANGE where the value is well-formed and no byte of the stream is asked for: answer 416.
 * PLAIT_ERR_FORMAT where it is not well-formed or of another unit, and PLAIT_ERR_LIMIT where it names more
 * than PLAIT_RANGE_COUNT_MAX ranges: both are answered as if the field were not there.
 */
PLAIT_MUST_USE int plait_range_parse(const char *s, size_t len, uint64_t size, struct plait_range_set *out);

#endif
