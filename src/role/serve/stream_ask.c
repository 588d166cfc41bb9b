#include "stream_ask.h"

#include <string.h>
#include <strings.h>

void plait_stream_ask_init(struct plait_stream_ask *a)
{
    memset(a, 0, sizeof *a);
}

static int take_pattern(struct plait_stream_ask *a, const char *s, size_t len)
{
    return plait_field_pattern_parse(s, len, a->pattern.path, PLAIT_PATTERN_LETTERS_MAX, &a->pattern.len);
}

/* The value has been taken, for the first time and well, or the whole request is bad. */
static void note(struct plait_stream_ask *a, bool *has, int rc)
{
    a->bad = a->bad || *has || rc != PLAIT_OK;
    *has = true;
}

void plait_stream_ask_take(struct plait_stream_ask *a, const char *name, const char *value)
{
    const char *s = value != NULL ? value : "";
    size_t len = strlen(s);

    if (strncasecmp(name, "plait-", 6) != 0)
        return;
    name += 6;
    if (strcasecmp(name, "stream") == 0) {
        note(a, &a->has_stream, plait_field_stream_parse(s, len, a->id));
    } else if (strcasecmp(name, "path") == 0) {
        note(a, &a->has_path, plait_field_path_parse(s, len, &a->letter));
    } else if (strcasecmp(name, "block") == 0) {
        note(a, &a->has_block, plait_field_block_parse(s, len, &a->block_bytes));
    } else if (strcasecmp(name, "span") == 0) {
        note(a, &a->has_span, plait_field_span_parse(s, len, &a->span));
    } else if (strcasecmp(name, "pattern") == 0) {
        note(a, &a->has_pattern, take_pattern(a, s, len));
    } else if (strcasecmp(name, "blocks") == 0) {
        bool has = a->block_count > 0;
        note(a, &has, plait_field_blocks_parse(s, len, a->blocks, &a->block_count));
    }
}

bool plait_stream_ask_is(const struct plait_stream_ask *a)
{
    return a->has_stream;
}

enum plait_stream_ask_kind plait_stream_ask_judge(const struct plait_stream_ask *a, bool is_post)
{
    bool named = a->block_count > 0;

    if (a->bad || !a->has_stream || named == a->has_span || (named && a->has_pattern))
        return PLAIT_STREAM_ASK_BAD;
    if (!is_post)
        return a->has_path && a->has_block ? PLAIT_STREAM_ASK_OPEN : PLAIT_STREAM_ASK_BAD;
    if (named)
        return a->has_path ? PLAIT_STREAM_ASK_NAME : PLAIT_STREAM_ASK_BAD;
    return PLAIT_STREAM_ASK_STEER;
}
