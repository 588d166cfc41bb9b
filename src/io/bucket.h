/*
 * A token bucket in bytes: how much may pass now, so that a rate is kept over any longer time.
 *
 * What passes is taken after the fact, so the credit may fall below zero; it begins there and grows with time
 * up to `burst`.
 */
#ifndef PLAIT_IO_BUCKET_H
#define PLAIT_IO_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct plait_bucket {
    double rate;   /* bytes/s, > 0 */
    double burst;  /* bytes */
    double credit; /* bytes */
    uint64_t at;   /* ns, when credit was computed */
};

void plait_bucket_init(struct plait_bucket *b, double rate, double burst, uint64_t now);
void plait_bucket_take(struct plait_bucket *b, uint64_t now, double bytes);
bool plait_bucket_is_empty(struct plait_bucket *b, uint64_t now);
/* When the credit will be a thirty-second part of a burst. */
uint64_t plait_bucket_ready_at(const struct plait_bucket *b);

#endif
