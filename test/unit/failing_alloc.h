/*
 * Allocations that fail on demand, for tests that are linked with --wrap for malloc and its relatives: what
 * each wrapped object asks for, and what a library asks for through pointers to them, is counted and can be
 * refused.
 */
#ifndef PLAIT_TEST_FAILING_ALLOC_H
#define PLAIT_TEST_FAILING_ALLOC_H

#include <stdbool.h>

/* From now on `good` allocations succeed, then one fails, then all succeed again. Negative: none fails. */
void failing_alloc_after(long good);
/* Whether the one that should fail has been asked for. */
bool failing_alloc_happened(void);

#endif
