/*
 * Names under which directors know streams and the servers that hold them. A stream's is what a URL's path says after
 * its first slash, decoded.
 */
#ifndef PLAIT_IO_STREAM_NAME_H
#define PLAIT_IO_STREAM_NAME_H

#include <stdbool.h>
#include <stddef.h>

#define PLAIT_SERVER_ID_MAX   128
#define PLAIT_STREAM_NAME_MAX 1024 /* bytes */
/* Enough for any name, percent-encoded, and its terminator. */
#define PLAIT_STREAM_PATH_MAX (3 * PLAIT_STREAM_NAME_MAX + 1)

/*
 * 1 to PLAIT_STREAM_NAME_MAX bytes of UTF-8 in segments with a slash between them; no segment is empty or
 * begins with a dot, and there is no control character and no backslash.
 */
bool plait_stream_name_is_good(const char *name, size_t len);
/* Percent-encodes a name for use in a URL, its slashes excepted. Returns `out`. */
const char *plait_stream_name_encode(const char *name, char out[PLAIT_STREAM_PATH_MAX]);
/* 1 to PLAIT_SERVER_ID_MAX letters, digits, `.`, `_`, `~` and `-`, the first of them a letter or a digit. */
bool plait_server_id_is_good(const char *id);

#endif
