#include "bucket.h"

#include "units.h"

void plait_bucket_init(struct plait_bucket *b, double rate, double burst, uint64_t now)
{
    b->rate = rate;
    b->burst = burst;
    b->credit = 0;
    b->at = now;
}

static void grow(struct plait_bucket *b, uint64_t now)
{
    b->credit += b->rate * plait_to_s(plait_since(now, b->at));
    if (b->credit > b->burst)
        b->credit = b->burst;
    b->at = now;
}

void plait_bucket_take(struct plait_bucket *b, uint64_t now, double bytes)
{
    grow(b, now);
    b->credit -= bytes;
}

bool plait_bucket_is_empty(struct plait_bucket *b, uint64_t now)
{
    grow(b, now);
    return b->credit <= 0;
}

uint64_t plait_bucket_ready_at(const struct plait_bucket *b)
{
    double want = b->burst / 32 - b->credit;

    return want <= 0 ? b->at : plait_add_sat(b->at, plait_time_to_carry(want, b->rate));
}
