/*
 * Decimal numbers as people write them.
 */
#ifndef PLAIT_BASE_DECIMAL_H
#define PLAIT_BASE_DECIMAL_H

#include "err.h"

/* Digits and at most one point, from the beginning of `text` on; *end is what follows. PLAIT_ERR_FORMAT where there is no
 * digit, or where there are more than 31 characters of them. */
PLAIT_MUST_USE int plait_decimal_parse(const char *text, double *value, const char **end);

#endif
