/* The first byte selects a parser of the web server; the rest is a target, the value of a field, or lines of fields. */
#include <stdlib.h>
#include <string.h>

#include "etag.h"
#include "fuzz.h"
#include "range.h"
#include "stream_ask.h"
#include "target.h"

/* What came out names something beneath the root, and means the same when it is written as a URL again. */
static void check_target(const char *s, size_t size)
{
    static char url[3 * PLAIT_TARGET_PATH_SIZE + 2];
    static struct plait_target t, again;

    if (plait_target_parse(s, size, &t) != PLAIT_OK)
        return;
    FUZZ_CHECK(t.len < sizeof t.path && strlen(t.path) == t.len && t.path[0] != '/');
    FUZZ_CHECK(t.len == 0 || t.path[t.len - 1] != '/');
    for (const char *segment = t.path; segment != NULL; segment = strchr(segment, '/')) {
        segment += segment > t.path || *segment == '/';
        size_t len = strcspn(segment, "/");
        FUZZ_CHECK(len > 0 || t.len == 0);
        FUZZ_CHECK(!(len == 1 && *segment == '.') && !(len == 2 && memcmp(segment, "..", 2) == 0));
        FUZZ_CHECK(*segment != '.' || t.hidden);
    }
    url[0] = '/';
    FUZZ_CHECK(plait_target_encode(t.path, url + 1, sizeof url - 1) == PLAIT_OK);
    FUZZ_CHECK(plait_target_parse(url, strlen(url), &again) == PLAIT_OK);
    FUZZ_CHECK(strcmp(t.path, again.path) == 0 && t.hidden == again.hidden);
}

static void check_range(const char *s, size_t len, uint64_t size)
{
    struct plait_range_set set;
    uint64_t all = 0;

    if (plait_range_parse(s, len, size, &set) != PLAIT_OK)
        return;
    FUZZ_CHECK(set.count >= 1 && set.count <= PLAIT_RANGE_COUNT_MAX);
    for (size_t i = 0; i < set.count; i++) {
        FUZZ_CHECK(set.at[i].lo < set.at[i].hi && set.at[i].hi <= size);
        for (size_t j = 0; j < i; j++)
            FUZZ_CHECK(set.at[i].hi < set.at[j].lo || set.at[j].hi < set.at[i].lo);
        all += set.at[i].hi - set.at[i].lo;
    }
    FUZZ_CHECK(all <= size);
}

static void check_conditions(const char *s, size_t size)
{
    struct stat st = {.st_ino = 1, .st_size = 2, .st_mtim = {1000, 1}};
    struct plait_version v;
    char *value = malloc(size + 1);

    FUZZ_CHECK(value != NULL);
    memcpy(value, s, size);
    value[size] = '\0';
    plait_version_of(&st, INT64_C(2000000000000), &v);
    const struct plait_conditions c[] = {{.if_match = value},
                                         {.if_none_match = value},
                                         {.if_modified_since = value},
                                         {.if_unmodified_since = value}};
    /* A tag that matches strongly also matches weakly. */
    if (plait_conditions_judge(&c[0], &v) == PLAIT_VERDICT_GO)
        FUZZ_CHECK(plait_conditions_judge(&c[1], &v) == PLAIT_VERDICT_UNMODIFIED);
    FUZZ_CHECK(plait_conditions_judge(&c[2], &v) != PLAIT_VERDICT_FAILED);
    FUZZ_CHECK(plait_conditions_judge(&c[3], &v) != PLAIT_VERDICT_UNMODIFIED);
    (void)plait_if_range_holds(value, &v);
    free(value);
}

/* Lines `Name: value`. Whatever they say, what is taken keeps within what the groups accept. */
static void check_stream_ask(const char *s, size_t size, bool is_post)
{
    static struct plait_stream_ask a;
    char *lines = strndup(s, size);
    char *rest = lines;

    FUZZ_CHECK(lines != NULL);
    plait_stream_ask_init(&a);
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        char *value = strchr(line, ':');
        if (value != NULL)
            *value++ = '\0';
        plait_stream_ask_take(&a, line, value);
    }
    enum plait_stream_ask_kind kind = plait_stream_ask_judge(&a, is_post);
    if (kind != PLAIT_STREAM_ASK_BAD) {
        FUZZ_CHECK(plait_stream_ask_is(&a) && is_post == (kind != PLAIT_STREAM_ASK_OPEN));
        FUZZ_CHECK(kind != PLAIT_STREAM_ASK_OPEN || plait_block_bytes_valid(a.block_bytes));
        FUZZ_CHECK(a.letter < PLAIT_LETTERS && a.block_count <= PLAIT_BLOCKS_MAX);
        FUZZ_CHECK((a.block_count > 0) != a.has_span && a.span.first <= a.span.last);
        FUZZ_CHECK(!a.has_pattern || (a.pattern.len >= 1 && a.pattern.len <= PLAIT_PATTERN_LETTERS_MAX));
    }
    free(lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t sizes[] = {0, 1, 100, UINT64_C(1) << 40, UINT64_MAX};

    if (size == 0)
        return 0;
    const char *s = (const char *)data + 1;
    if (data[0] >= 254)
        check_stream_ask(s, size - 1, data[0] == 255);
    else if (data[0] % 3 == 0)
        check_target(s, size - 1);
    else if (data[0] % 3 == 1)
        check_range(s, size - 1, sizes[data[0] / 3 % 5]);
    else
        check_conditions(s, size - 1);
    return 0;
}
