/*
 * Time is nanoseconds in uint64_t, from an arbitrary zero: one `now` per event, passed down, never read
 * twice. Rates are bytes per second in double; sizes and offsets are bytes in uint64_t.
 */
#ifndef PLAIT_BASE_UNITS_H
#define PLAIT_BASE_UNITS_H

#include <stdint.h>

#define PLAIT_US    UINT64_C(1000)
#define PLAIT_MS    UINT64_C(1000000)
#define PLAIT_S     UINT64_C(1000000000)
#define PLAIT_NEVER UINT64_MAX

#define PLAIT_KIB UINT64_C(1024)
#define PLAIT_MIB (UINT64_C(1024) * 1024)

#define PLAIT_COUNT(array) (sizeof(array) / sizeof((array)[0]))

static inline uint64_t plait_min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t plait_max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline double plait_min_d(double a, double b)
{
    return a < b ? a : b;
}

static inline double plait_max_d(double a, double b)
{
    return a > b ? a : b;
}

static inline uint64_t plait_clamp_u64(uint64_t v, uint64_t lo, uint64_t hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* a − b, or 0 where b is later. */
static inline uint64_t plait_since(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* a + b without wrapping past PLAIT_NEVER. */
static inline uint64_t plait_add_sat(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static inline double plait_to_s(uint64_t ns)
{
    return (double)ns / 1e9;
}

/* Nanoseconds to carry `bytes` at `rate` bytes/s; PLAIT_NEVER where the rate is not positive or the time
 * absurd. */
static inline uint64_t plait_time_to_carry(double bytes, double rate)
{
    if (rate <= 0)
        return PLAIT_NEVER;
    double ns = bytes / rate * 1e9;
    return ns >= 1e18 ? PLAIT_NEVER : (uint64_t)ns;
}

#endif
