/*
 * Values of HTTP header fields, as a server sent them.
 *
 * Every parser takes the value without its field name; spaces and tabs around it do not matter. Nothing is
 * accepted in part: bytes left over make the whole value PLAIT_ERR_FORMAT. Outputs are written only on
 * success; views in them borrow from the input. Names for files are in name.h, Link in link.h, digests in
 * digest.h.
 */
#ifndef PLAIT_WIRE_HTTP_FIELD_H
#define PLAIT_WIRE_HTTP_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "link.h"
#include "name.h"
#include "text.h"

/* No stream is longer, so that every offset also fits the kernel's signed ones. */
#define PLAIT_STREAM_SIZE_MAX   ((uint64_t)INT64_MAX)
/* A server that asks for more patience is given this much: one day. */
#define PLAIT_RETRY_AFTER_MAX_S UINT64_C(86400)

struct plait_content_range {
    uint64_t lo; /* the first byte; 0 without a range */
    uint64_t hi; /* one past the last byte, above lo; 0 without a range */
    uint64_t total;
    bool has_range; /* false in an answer 416 */
    bool has_total; /* false where the server does not know it */
};

/*
 * Content-Range (RFC 9110 section 14.4): `bytes 0-499/1234`, with `*` in place of one of the two.
 * PLAIT_ERR_FORMAT for any other unit; PLAIT_ERR_RANGE where a number is above PLAIT_STREAM_SIZE_MAX, the
 * range runs backwards, or it passes the total.
 */
PLAIT_MUST_USE int plait_content_range_parse(const char *s, size_t len, struct plait_content_range *out);

struct plait_etag {
    bool weak;
    struct plait_text opaque; /* with its quotes */
};

/* ETag (RFC 9110 section 8.8.3). */
PLAIT_MUST_USE int plait_etag_parse(const char *s, size_t len, struct plait_etag *out);
/* The strong comparison, the only one that says that two answers are alike byte for byte. */
bool plait_etag_same(const struct plait_etag *a, const struct plait_etag *b);

/*
 * HTTP-date (RFC 9110 section 5.6.7) in any of its three forms, in seconds since 1970 UTC, before it
 * negative. The name of the weekday has to be one, but need not be the right one. Years of two digits lie in
 * 1969–2068. PLAIT_ERR_RANGE for a date that no calendar has.
 */
PLAIT_MUST_USE int plait_http_date_parse(const char *s, size_t len, int64_t *unix_s);

/*
 * Retry-After (RFC 9110 section 10.2.3), in seconds or as a date, as a delay from `now_unix_s`: 0 for a date
 * that has passed, never above PLAIT_RETRY_AFTER_MAX_S.
 */
PLAIT_MUST_USE int plait_retry_after_parse(const char *s, size_t len, int64_t now_unix_s, uint64_t *delay_s);

#endif
