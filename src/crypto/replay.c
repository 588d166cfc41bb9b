#include "replay.h"

#include <string.h>

#define WORDS PLAIT_REPLAY_WORDS

void plait_replay_init(struct plait_replay *r)
{
    memset(r, 0, sizeof *r);
}

bool plait_replay_is_new(const struct plait_replay *r, uint64_t number)
{
    if (number == UINT64_MAX)
        return false;
    if (number >= r->top)
        return true;
    if (r->top - 1 - number >= PLAIT_REPLAY_WINDOW)
        return false;
    return (r->seen[number / 64 % WORDS] >> (number % 64) & 1) == 0;
}

/* The words between the old top and the new one belong to numbers of long ago, of which nothing is to be known. */
static void move_top(struct plait_replay *r, uint64_t top)
{
    uint64_t have = r->top > 0 ? (r->top - 1) / 64 : 0, want = (top - 1) / 64;

    if (want - have >= WORDS)
        memset(r->seen, 0, sizeof r->seen);
    else
        for (uint64_t word = have + 1; word <= want; word++)
            r->seen[word % WORDS] = 0;
    r->top = top;
}

bool plait_replay_note(struct plait_replay *r, uint64_t number)
{
    bool highest = number >= r->top;

    if (highest)
        move_top(r, number + 1);
    r->seen[number / 64 % WORDS] |= UINT64_C(1) << (number % 64);
    return highest;
}
