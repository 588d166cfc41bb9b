/*
 * What a response means to the fetch. Pure: from the status and the fields, nothing else.
 */
#ifndef PLAIT_GET_ANSWER_H
#define PLAIT_GET_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "fetch.h"
#include "http.h"

struct plait_answer {
    bool good; /* `head` holds, and a body follows; else `outcome`, `retry_after_ns` and `reason` */
    struct plait_fetch_head head; /* without version, which is the source's affair (source.h) */
    enum plait_fetch_outcome outcome;
    uint64_t retry_after_ns; /* 0 = not stated */
    char reason[PLAIT_HTTP_REASON_MAX];
};

/* `now_unix_s` is the time of day, to which Retry-After may refer. */
void plait_answer_read(const struct plait_http_head *head, int64_t now_unix_s, struct plait_answer *out);
/* What the end of a request without any response, or of one that broke, means to the fetch. */
enum plait_fetch_outcome plait_answer_of_end(const struct plait_http_end *end, bool had_head);

#endif
