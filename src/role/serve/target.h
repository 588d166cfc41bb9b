/*
 * The target of a request (RFC 9112 section 3.2), as a path below the served directory.
 *
 * The path is decoded once, and only here: what stands in `path` is the name that the file system is asked
 * for. It has no empty segment, no `.`, no `..`, no NUL, and no slash that was written as %2F.
 */
#ifndef PLAIT_SERVE_TARGET_H
#define PLAIT_SERVE_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"

/* In bytes, with the terminator; Linux takes no longer path either. */
#define PLAIT_TARGET_PATH_SIZE 4096

enum plait_target_format { PLAIT_TARGET_ANY, PLAIT_TARGET_HTML, PLAIT_TARGET_JSON };

struct plait_target {
    char path[PLAIT_TARGET_PATH_SIZE]; /* relative, terminated; "" is the served directory itself */
    size_t len;                        /* of path */
    bool directory;                    /* it ended in a slash */
    bool hidden;                       /* a segment begins with a dot */
    enum plait_target_format format;   /* what `format=` in the query asks for */
};

/*
 * Of a target in origin form, or in absolute form of http or https, whose authority is passed over.
 * PLAIT_ERR_FORMAT for any other form, a percent sign without two hexadecimal digits, NUL, `..` (also as
 * %2E%2E), or a slash within a segment; PLAIT_ERR_LIMIT where the path is too long. Then nothing of *out may
 * be used.
 */
PLAIT_MUST_USE int plait_target_parse(const char *s, size_t len, struct plait_target *out);

/*
 * Writes the path as it may stand in a URL reference (RFC 3986): everything but letters, digits and `-._~/`
 * as %XX. PLAIT_ERR_LIMIT where it does not fit with its terminator; three times the length and one always
 * do.
 */
PLAIT_MUST_USE int plait_target_encode(const char *path, char *out, size_t size);

#endif
