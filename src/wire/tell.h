/*
 * What the two ends of a tunnel tell each other in CONTROL datagrams. For plait status, each end measures the paths in
 * the direction in which it sends; and whoever ends says so.
 *
 *      1                                                            how are your paths?
 *      2 · count u8 · count × { path u8 · state u8 · capacity u64 · queue u32 · loss u16 · rate u64 }
 *      3                                                            good-bye: nothing more will come
 *
 * with capacity and rate in bytes a second, the queue in µs, loss in parts of 65,535, numbers big-endian.
 */
#ifndef PLAIT_WIRE_TELL_H
#define PLAIT_WIRE_TELL_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define PLAIT_TELL_PATHS_MAX 14u
#define PLAIT_TELL_BYTES_MAX (2u + PLAIT_TELL_PATHS_MAX * 24u)

enum plait_tell_kind { PLAIT_TELL_ASK = 1, PLAIT_TELL_PATHS = 2, PLAIT_TELL_LEAVE = 3 };

struct plait_tell_path {
    uint8_t path;
    uint8_t state;           /* a number of the bond's */
    uint64_t capacity, rate; /* bytes/s */
    uint32_t queue_us;
    double loss; /* 0 to 1 */
};

struct plait_tell {
    enum plait_tell_kind kind;
    struct plait_tell_path paths[PLAIT_TELL_PATHS_MAX];
    size_t path_count;
};

/* Returns the number of bytes, or PLAIT_ERR_ARG for more paths than there may be. */
PLAIT_MUST_USE int plait_tell_encode(const struct plait_tell *t, uint8_t out[PLAIT_TELL_BYTES_MAX]);
/* PLAIT_ERR_TRUNC; PLAIT_ERR_FORMAT for another kind; PLAIT_ERR_LIMIT for more paths than there may be. What lies
 * behind is left out. */
PLAIT_MUST_USE int plait_tell_decode(const uint8_t *bytes, size_t len, struct plait_tell *out);

#endif
