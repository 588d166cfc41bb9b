/*
 * Names for files, made from what others say: a safe name is one path segment in well-formed UTF-8 that can
 * be created in a directory of ours without harm.
 *
 * It has 1 to PLAIT_NAME_MAX bytes, no slash or backslash, no control character, no character that reverses
 * the direction of writing, no dot or space at its beginning, and no space at its end. Outputs are
 * terminated, and written only on success. All functions return PLAIT_ERR_NOTFOUND where nothing safe
 * remains.
 */
#ifndef PLAIT_WIRE_NAME_H
#define PLAIT_WIRE_NAME_H

#include <stddef.h>

#include "err.h"

/* In bytes, without the terminator: leaves room for a suffix in a directory entry's 255. */
#define PLAIT_NAME_MAX     200
/* What is given as a name may be no longer than this, in bytes of UTF-8. */
#define PLAIT_NAME_RAW_MAX 4096

/*
 * The safe name that is nearest to the given bytes: what follows the last slash or backslash, cut between two
 * characters to PLAIT_NAME_MAX and out_size − 1 bytes, with `_` for each byte or character that may not
 * stand.
 */
PLAIT_MUST_USE int plait_safe_name(const char *s, size_t len, char *out, size_t out_size);

/*
 * The name that a Content-Disposition value proposes (RFC 6266): filename* (in UTF-8 or ISO-8859-1) before
 * filename, whatever the disposition type. A plain filename that is not well-formed UTF-8 is read as
 * ISO-8859-1. PLAIT_ERR_FORMAT, or PLAIT_ERR_LIMIT above PLAIT_NAME_RAW_MAX.
 */
PLAIT_MUST_USE int plait_content_disposition_name(const char *s, size_t len, char *out, size_t out_size);

/*
 * The name that a URL proposes: its last path segment, percent-decoded; `%` stands for itself where no two
 * hexadecimal digits follow. PLAIT_ERR_LIMIT above PLAIT_NAME_RAW_MAX.
 */
PLAIT_MUST_USE int plait_url_name(const char *url, size_t len, char *out, size_t out_size);

#endif
