/*
 * Which labs there are: a directory each, /run/plait-lab/ID, held by a lock for as long as its owner lives.
 *
 * The lock goes with the last process that holds it, however that process ends; what is not locked is what a
 * crash left behind, and the next `lab_state_claim` or `lab_state_gc` clears it away.
 */
#ifndef PLAIT_LAB_STATE_H
#define PLAIT_LAB_STATE_H

#include "netns.h"
#include <stdio.h>

enum {
    LAB_PATH_MAX = 64,
    LAB_STATES_MAX = 64,
};

struct lab_state {
    char id[LAB_ID_MAX];
    int lock_fd; /* inherited by the emulating process, closed on exec */
};

/* Clears away dead labs, then makes a directory and takes its lock. `wanted` may be NULL: a free id is
 * chosen. */
PLAIT_MUST_USE int lab_state_claim(struct lab_state *state, const char *wanted);
/* Sweeps the namespaces and removes the directory; the lock goes with the process. */
void lab_state_clear(const char *id);
/* Clears away what dead labs left; says what on `out` unless NULL. */
PLAIT_MUST_USE int lab_state_gc(FILE *out);
/* The ids of live labs, at most LAB_STATES_MAX; returns how many. */
size_t lab_state_list(char id[][LAB_ID_MAX]);
/* The lab meant: `wanted`, else $PLAIT_LAB, else the only live one. */
PLAIT_MUST_USE int lab_state_find(char id[LAB_ID_MAX], const char *wanted);
/* /run/plait-lab/ID/FILE */
void lab_state_path(char out[LAB_PATH_MAX], const char *id, const char *file);

#endif
