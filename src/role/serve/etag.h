/*
 * Which version of a file an answer carries, and what the conditions of a request (RFC 9110 section 13) say
 * to it.
 */
#ifndef PLAIT_SERVE_ETAG_H
#define PLAIT_SERVE_ETAG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define PLAIT_ETAG_SIZE      64
#define PLAIT_HTTP_DATE_SIZE 80

/*
 * The tag is made of the file's inode, size and time of change in nanoseconds. A file that was changed a
 * moment ago could change again within the same tick of its file system's clock and keep all three: as long
 * as that is so, the tag is weak, and nobody will splice two versions together by it.
 */
struct plait_version {
    char etag[PLAIT_ETAG_SIZE]; /* with its quotes, and W/ where weak */
    bool weak;
    int64_t modified_s; /* since 1970 */
    char last_modified[PLAIT_HTTP_DATE_SIZE];
    bool date_is_strong; /* a second or more has gone by since: the date tells versions apart */
};

/* When the file was last changed, nanoseconds since 1970. */
int64_t plait_mtime_ns(const struct stat *st);
/* `now_ns`: nanoseconds since 1970. */
void plait_version_of(const struct stat *st, int64_t now_ns, struct plait_version *out);

/* Writes the date as IMF-fixdate (RFC 9110 section 5.6.7), terminated; "" for a year that has not four
 * digits. */
void plait_http_date_write(int64_t unix_s, char out[PLAIT_HTTP_DATE_SIZE]);

/* Values of the request's fields, terminated, borrowed; NULL where the field is not there. */
struct plait_conditions {
    const char *if_match, *if_none_match, *if_modified_since, *if_unmodified_since;
};

enum plait_verdict {
    PLAIT_VERDICT_GO,         /* as if there were no conditions */
    PLAIT_VERDICT_UNMODIFIED, /* 304 */
    PLAIT_VERDICT_FAILED,     /* 412 */
};

/* For GET and HEAD, in the order of RFC 9110 section 13.2.2. Malformed dates are as good as absent. */
enum plait_verdict plait_conditions_judge(const struct plait_conditions *c, const struct plait_version *v);

/* Whether a Range may be answered under this If-Range (may be NULL): only an exact, strong match says so. */
bool plait_if_range_holds(const char *if_range, const struct plait_version *v);

#endif
