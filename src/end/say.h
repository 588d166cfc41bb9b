/* Words for people, on standard error, a line each: "plait node: …". */
#ifndef PLAIT_END_SAY_H
#define PLAIT_END_SAY_H

#include "err.h"

/* Who speaks, for all threads, from then on; borrowed. */
void plait_say_as(const char *who);
PLAIT_PRINTF(1, 2)
void plait_say(const char *format, ...);
/* What a result means: the system's words for PLAIT_ERR_IO (errno), ours for the others. */
const char *plait_reason(int err);

#endif
