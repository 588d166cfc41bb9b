#include "scheduler.h"

#include "units.h"

uint64_t plait_sched_arrival(const struct plait_sched_path *path, uint64_t now, double bytes)
{
    uint64_t carry_ns = plait_time_to_carry(bytes, path->rate);

    if (carry_ns == PLAIT_NEVER)
        return PLAIT_NEVER;
    uint64_t start = plait_max_u64(now, path->next_free);
    return plait_add_sat(plait_add_sat(start, carry_ns), plait_add_sat(path->delay_ns, path->jitter_ns));
}

int plait_sched_pick(const struct plait_sched_path *paths, size_t count, uint64_t now, double bytes,
                     uint64_t *arrival)
{
    int best = -1;
    uint64_t earliest = PLAIT_NEVER;

    for (size_t i = 0; i < count; i++) {
        uint64_t at = plait_sched_arrival(&paths[i], now, bytes);
        if (at < earliest) {
            earliest = at;
            best = (int)i;
        }
    }
    if (best >= 0 && arrival != NULL)
        *arrival = earliest;
    return best;
}
