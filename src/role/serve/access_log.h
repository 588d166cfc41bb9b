/*
 * The access log: one line for each answered request, in the combined format of web servers or as JSON.
 *
 * Writers never wait for the disk or the pipe: lines go into a buffer of fixed size, which a thread of the
 * log's own writes out. Lines that do not fit are dropped, and their number is written as soon as there is
 * room again.
 *
 * Whatever a client sent is escaped, so that a line stays a line and a field stays a field.
 */
#ifndef PLAIT_SERVE_ACCESS_LOG_H
#define PLAIT_SERVE_ACCESS_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "err.h"

enum plait_access_format { PLAIT_ACCESS_COMBINED, PLAIT_ACCESS_JSON };

/* All strings are borrowed and may be NULL. */
struct plait_access {
    const struct sockaddr *peer;
    const char *method, *target, *version;
    const char *referer, *agent, *range;
    int64_t at_ns;    /* when its first line had come, since 1970 */
    uint64_t took_ns; /* until the answer was over */
    unsigned status;  /* 0 = none was sent */
    uint64_t sent;    /* bytes of body */
    bool complete;    /* false: the connection broke off before the end */
    bool tls;
};

struct plait_access_log;

/*
 * `path` is "-" for standard output. The file is appended to, and made with mode 0640 where it is not there.
 * PLAIT_ERR_IO (errno), PLAIT_ERR_NOMEM.
 */
PLAIT_MUST_USE int plait_access_log_new(struct plait_access_log **out, const char *path,
                                        enum plait_access_format format);
/* Begins the thread, once; until then lines are gathered. PLAIT_ERR_IO (errno). */
PLAIT_MUST_USE int plait_access_log_start(struct plait_access_log *log);
/* Writes what there is, and ends the thread; not later than a second after the call if nobody reads. */
void plait_access_log_free(struct plait_access_log *log);

/* Opens the path anew, for whoever has moved the file away. On PLAIT_ERR_IO (errno) it goes on with the old
 * one. */
PLAIT_MUST_USE int plait_access_log_reopen(struct plait_access_log *log);

/* From any thread. */
void plait_access_log_write(struct plait_access_log *log, const struct plait_access *a);

#endif
