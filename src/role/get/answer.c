#include "answer.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "frame.h"
#include "http_field.h"
#include "plait_field.h"
#include "units.h"

#define LIVE_RETRY_NS (1 * PLAIT_S)

static const struct {
    int status;
    const char *words;
} meanings[] = {
    {401, "not without a user and password; see --user and --netrc"},
    {403, "forbidden"},
    {404, "not found"},
    {408, "request timeout"},
    {410, "gone"},
    {416, "range not satisfiable"},
    {429, "too many requests"},
    {451, "unavailable for legal reasons"},
    {500, "internal server error"},
    {502, "bad gateway"},
    {503, "service unavailable"},
    {504, "gateway timeout"},
};

static void refuse(struct plait_answer *out, enum plait_fetch_outcome outcome, const char *reason)
{
    out->good = false;
    out->outcome = outcome;
    snprintf(out->reason, sizeof out->reason, "%s", reason);
}

static void refuse_status(struct plait_answer *out, enum plait_fetch_outcome outcome, int status)
{
    const char *words = NULL;

    for (size_t i = 0; i < PLAIT_COUNT(meanings); i++)
        if (meanings[i].status == status)
            words = meanings[i].words;
    out->good = false;
    out->outcome = outcome;
    if (words != NULL)
        snprintf(out->reason, sizeof out->reason, "the server answered %d (%s)", status, words);
    else
        snprintf(out->reason, sizeof out->reason, "the server answered %d", status);
}

static bool is_encoded(const struct plait_http_head *head)
{
    size_t len;
    const char *value = plait_http_head_get(head, PLAIT_HTTP_CONTENT_ENCODING, &len);

    return (len > 0 && strcasecmp(value, "identity") != 0) ||
           head->fields[PLAIT_HTTP_CONTENT_ENCODING].spoilt;
}

static bool is_multipart(const struct plait_http_head *head)
{
    size_t len;
    const char *value = plait_http_head_get(head, PLAIT_HTTP_CONTENT_TYPE, &len);

    return strncasecmp(value, "multipart/byteranges", strlen("multipart/byteranges")) == 0;
}

static void read_partial(const struct plait_http_head *head, struct plait_answer *out)
{
    struct plait_content_range range;
    size_t len;
    const char *value = plait_http_head_get(head, PLAIT_HTTP_CONTENT_RANGE, &len);

    if (is_multipart(head)) {
        refuse(out, PLAIT_FETCH_END_REFUSED, "the server answers one range with several");
        return;
    }
    if (plait_content_range_parse(value, len, &range) != PLAIT_OK || !range.has_range) {
        refuse(out, PLAIT_FETCH_END_REFUSED, "the server answers with a range but does not say which");
        return;
    }
    out->head.kind = PLAIT_FETCH_HEAD_PARTIAL;
    out->head.lo = range.lo;
    out->head.hi = range.hi;
    out->head.size = range.has_total ? range.total : PLAIT_FETCH_UNKNOWN;
}

static bool is_frames(const struct plait_http_head *head)
{
    size_t len;
    const char *value = plait_http_head_get(head, PLAIT_HTTP_CONTENT_TYPE, &len);

    return plait_text_is(plait_text_of(value, strcspn(value, "; \t")), PLAIT_FRAME_MEDIA_TYPE);
}

static void read_frames(const struct plait_http_head *head, struct plait_answer *out)
{
    size_t block_len, size_len;
    const char *block = plait_http_head_get(head, PLAIT_HTTP_PLAIT_BLOCK, &block_len);
    const char *size = plait_http_head_get(head, PLAIT_HTTP_PLAIT_SIZE, &size_len);

    out->head.kind = PLAIT_FETCH_HEAD_FRAMES;
    out->head.size = PLAIT_FETCH_UNKNOWN;
    if (plait_field_block_parse(block, block_len, &out->head.block_bytes) != PLAIT_OK ||
        (size_len > 0 && plait_field_size_parse(size, size_len, &out->head.size) != PLAIT_OK))
        refuse(out, PLAIT_FETCH_END_REFUSED, "the server sends blocks but does not say of which size");
}

static void read_whole(const struct plait_http_head *head, struct plait_answer *out)
{
    size_t len, encoding_len;
    const char *value = plait_http_head_get(head, PLAIT_HTTP_CONTENT_LENGTH, &len);
    struct plait_text text = plait_text_of(value, len);
    uint64_t size;

    (void)plait_http_head_get(head, PLAIT_HTTP_TRANSFER_ENCODING, &encoding_len);
    out->head.kind = PLAIT_FETCH_HEAD_WHOLE;
    out->head.size = PLAIT_FETCH_UNKNOWN;
    if (encoding_len == 0 && plait_text_take_u64(&text, PLAIT_STREAM_SIZE_MAX, &size) == PLAIT_OK &&
        text.len == 0)
        out->head.size = size;
}

static bool is_live(const struct plait_http_head *head)
{
    size_t len;
    const char *live = plait_http_head_get(head, PLAIT_HTTP_PLAIT_LIVE, &len);

    return len == 1 && live[0] == '1';
}

/* What there is now of a file that is still being written is not yet a copy of anything. */
static bool is_half_written(const struct plait_http_head *head)
{
    size_t len;

    (void)plait_http_head_get(head, PLAIT_HTTP_CONTENT_LENGTH, &len);
    return head->status == 200 && len > 0 && is_live(head);
}

static void read_unsatisfied(const struct plait_http_head *head, struct plait_answer *out)
{
    struct plait_content_range range;
    size_t len;
    const char *value = plait_http_head_get(head, PLAIT_HTTP_CONTENT_RANGE, &len);

    out->head.kind = PLAIT_FETCH_HEAD_UNSATISFIED;
    out->head.size = PLAIT_FETCH_UNKNOWN;
    if (plait_content_range_parse(value, len, &range) == PLAIT_OK && range.has_total)
        out->head.size = range.total;
}

static void read_busy(const struct plait_http_head *head, int64_t now_unix_s, struct plait_answer *out)
{
    uint64_t delay_s;
    int64_t their_unix_s;
    size_t len;
    const char *value = plait_http_head_get(head, PLAIT_HTTP_DATE, &len);

    /* A date is meant by the server's clock; ours may be wrong by years. */
    if (plait_http_date_parse(value, len, &their_unix_s) == PLAIT_OK)
        now_unix_s = their_unix_s;
    refuse_status(out, PLAIT_FETCH_END_BUSY, head->status);
    value = plait_http_head_get(head, PLAIT_HTTP_RETRY_AFTER, &len);
    if (len > 0 && plait_retry_after_parse(value, len, now_unix_s, &delay_s) == PLAIT_OK)
        out->retry_after_ns = delay_s * PLAIT_S;
}

static void read_other(const struct plait_http_head *head, struct plait_answer *out)
{
    int status = head->status;

    if (status == 407)
        refuse(out, PLAIT_FETCH_END_ROUTE,
               "the proxy wants a user and password (407); put them into its URL");
    else if (status == 408 || status == 425 || status >= 500)
        refuse_status(out, PLAIT_FETCH_END_BROKEN, status);
    else
        refuse_status(out, PLAIT_FETCH_END_REFUSED, status);
}

void plait_answer_read(const struct plait_http_head *head, int64_t now_unix_s, struct plait_answer *out)
{
    size_t len;
    const char *version = plait_http_head_get(head, PLAIT_HTTP_PLAIT, &len);

    memset(out, 0, sizeof *out);
    out->good = true;
    out->head.live = (head->status == 206 || head->status == 416) && is_live(head);
    out->head.takes_part = plait_field_version_is_known(version, len);
    if ((head->status == 200 || head->status == 206) && is_encoded(head)) {
        refuse(out, PLAIT_FETCH_END_REFUSED,
               "the server sends the file in another encoding than was asked for");
        return;
    }
    if (is_half_written(head)) {
        refuse(out, PLAIT_FETCH_END_BUSY,
               "the file is still being written there; waiting until it is closed");
        out->retry_after_ns = LIVE_RETRY_NS;
        return;
    }
    switch (head->status) {
    case 200:
        if (out->head.takes_part && is_frames(head))
            read_frames(head, out);
        else
            read_whole(head, out);
        break;
    case 206:
        read_partial(head, out);
        break;
    case 416:
        read_unsatisfied(head, out);
        break;
    case 429:
    case 503:
        read_busy(head, now_unix_s, out);
        break;
    default:
        read_other(head, out);
        break;
    }
}

enum plait_fetch_outcome plait_answer_of_end(const struct plait_http_end *end, bool had_head)
{
    switch (end->fail) {
    case PLAIT_HTTP_OK:
        return PLAIT_FETCH_END_COMPLETE;
    case PLAIT_HTTP_FAIL_NAME:
    case PLAIT_HTTP_FAIL_CONNECT:
    case PLAIT_HTTP_FAIL_PROXY:
    case PLAIT_HTTP_FAIL_LOCAL:
        return PLAIT_FETCH_END_UNREACHABLE;
    case PLAIT_HTTP_FAIL_EGRESS:
        return end->egress == PLAIT_EGRESS_GONE || end->egress == PLAIT_EGRESS_SYSTEM
                   ? PLAIT_FETCH_END_UNREACHABLE
                   : PLAIT_FETCH_END_ROUTE;
    case PLAIT_HTTP_FAIL_FORBIDDEN:
        return PLAIT_FETCH_END_ROUTE;
    case PLAIT_HTTP_FAIL_TLS:
    case PLAIT_HTTP_FAIL_REDIRECT:
    case PLAIT_HTTP_FAIL_URL:
        return PLAIT_FETCH_END_REFUSED;
    case PLAIT_HTTP_FAIL_MALFORMED:
        return had_head ? PLAIT_FETCH_END_BROKEN : PLAIT_FETCH_END_REFUSED;
    case PLAIT_HTTP_FAIL_BROKEN:
        return PLAIT_FETCH_END_BROKEN;
    }
    return PLAIT_FETCH_END_BROKEN;
}
