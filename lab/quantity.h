/*
 * Quantities as people write them, in the topology file and on the command line.
 *
 * Each function reads the whole of `text`; anything left over is an error. Numbers may have a fraction.
 * They return 0, or PLAIT_ERR_FORMAT / PLAIT_ERR_RANGE with `*out` untouched.
 */
#ifndef PLAIT_LAB_QUANTITY_H
#define PLAIT_LAB_QUANTITY_H

#include "err.h"
#include <stdint.h>

/* bit, kbit, mbit, gbit: powers of 1000, per second. More than nothing, at most 100 Gbit/s. */
PLAIT_MUST_USE int lab_quantity_rate(const char *text, uint64_t *bps);
/* us, ms, s; a bare 0 needs no unit. At most an hour. */
PLAIT_MUST_USE int lab_quantity_time(const char *text, uint64_t *ns);
/* B, kB, MB: powers of 1000. At most 1 GB. */
PLAIT_MUST_USE int lab_quantity_size(const char *text, uint64_t *bytes);
/* "1%" or "0.01": a share from 0 to 1. */
PLAIT_MUST_USE int lab_quantity_share(const char *text, double *share);
/* A bare number from `lo` to `hi`. */
PLAIT_MUST_USE int lab_quantity_number(const char *text, double lo, double hi, double *out);

#endif
