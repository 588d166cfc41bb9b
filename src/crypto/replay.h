/*
 * Which numbers have been seen: a window behind the highest one, as a ring of words (RFC 6479). Numbers may come in
 * any order within the window; older ones count as seen.
 */
#ifndef PLAIT_CRYPTO_REPLAY_H
#define PLAIT_CRYPTO_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#define PLAIT_REPLAY_WORDS  256u
/* What may be out of order: 16,320, that is 0.2 s of a gigabit of full packets and 1 s of 100 Mbit/s of small ones. */
#define PLAIT_REPLAY_WINDOW ((PLAIT_REPLAY_WORDS - 1) * (uint64_t)64)

struct plait_replay {
    uint64_t top; /* the highest number seen, plus 1; 0 = none */
    uint64_t seen[PLAIT_REPLAY_WORDS];
};

void plait_replay_init(struct plait_replay *r);
/* Whether the number is neither seen nor too old; nothing changes. UINT64_MAX is never new. */
bool plait_replay_is_new(const struct plait_replay *r, uint64_t number);
/* Notes a number that is new and whose packet has proved itself. Returns whether it is the highest so far. */
bool plait_replay_note(struct plait_replay *r, uint64_t number);

#endif
