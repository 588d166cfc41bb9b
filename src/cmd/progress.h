/*
 * Progress on standard error: on a terminal a bar for the whole and one for each path, drawn over again;
 * elsewhere a plain line now and then.
 */
#ifndef PLAIT_CMD_PROGRESS_H
#define PLAIT_CMD_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "get.h"

#define PLAIT_PROGRESS_LINE_NS UINT64_C(5000000000) /* between two plain lines */

struct plait_progress {
    bool terminal;
    unsigned drawn;   /* lines that stand on the terminal */
    uint64_t line_at; /* when the last plain line was written */
};

void plait_progress_init(struct plait_progress *p);
/* How often plait_progress_draw wants to be called, in ns. */
uint64_t plait_progress_interval(const struct plait_progress *p);
void plait_progress_draw(struct plait_progress *p, const struct plait_get_progress *now);
/* Takes the bars away, before anything else is written. */
void plait_progress_clear(struct plait_progress *p);

#endif
