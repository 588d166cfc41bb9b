/* Words for people, on standard error, a line each: "plait node: …". */
#ifndef PLAIT_END_SAY_H
#define PLAIT_END_SAY_H

#include "err.h"

/* Who speaks, for all threads, from then on; borrowed. */
void plait_say_as(const char *who);
PLAIT_PRINTF(1, 2)
void plait_say(const char *format, ...);
/* That a start has failed, where the reason has been said; of a failure of the system's, or no memory, the reason too. */
void plait_say_no_start(int err);
/* What a result means: the system's words for PLAIT_ERR_IO (errno), ours for the others. */
const char *plait_reason(int err);

#endif
