/*
 * Quantities as people write and read them.
 */
#ifndef PLAIT_CMD_QUANTITY_H
#define PLAIT_CMD_QUANTITY_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define PLAIT_QUANTITY_MAX 24

/*
 * A number of bytes: digits, perhaps with a fraction, and perhaps k, M, G or T (of either case, `iB` or `B`
 * may follow), each 1024 times the one before. PLAIT_ERR_FORMAT, or PLAIT_ERR_RANGE for what is not above 0
 * or above 2^62.
 */
PLAIT_MUST_USE int plait_quantity_parse_bytes(const char *text, uint64_t *bytes);
/* Seconds, perhaps with a fraction, above 0 and at most a year. */
PLAIT_MUST_USE int plait_quantity_parse_seconds(const char *text, uint64_t *ns);

/* "12.3 MB" (10^6). Return `out`. */
const char *plait_quantity_bytes(double bytes, char out[PLAIT_QUANTITY_MAX]);
/* "0:42", "1:02:03"; "" for PLAIT_NEVER and what is longer than 99 hours. */
const char *plait_quantity_time(uint64_t ns, char out[PLAIT_QUANTITY_MAX]);

#endif
