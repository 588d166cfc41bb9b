/* The first byte selects a parser; the rest is the field's value. What is taken is formatted and read again. */
#include "plait_field.h"

#include <string.h>

#include "fuzz.h"
#include "text.h"

static void stream(const char *s, size_t len)
{
    uint8_t id[PLAIT_GROUP_ID_BYTES];
    char out[PLAIT_GROUP_ID_DIGITS + 1];

    if (plait_field_stream_parse(s, len, id) != PLAIT_OK)
        return;
    struct plait_text value = plait_text_trim(plait_text_of(s, len));
    FUZZ_CHECK(plait_field_stream_format(id, out, sizeof out) == PLAIT_OK);
    FUZZ_CHECK(value.len == strlen(out) && memcmp(value.at, out, value.len) == 0);
}

static void path(const char *s, size_t len)
{
    uint8_t letter;

    if (plait_field_path_parse(s, len, &letter) == PLAIT_OK)
        FUZZ_CHECK(letter < PLAIT_LETTERS && memchr(s, plait_letter(letter), len) != NULL);
}

/* The one way to write the number is what stood there. */
static void check_number(const char *s, size_t len, uint64_t v)
{
    struct plait_text value = plait_text_trim(plait_text_of(s, len));
    char out[PLAIT_FIELD_NUMBER_SIZE];

    FUZZ_CHECK(plait_field_number_format(v, out, sizeof out) == PLAIT_OK);
    FUZZ_CHECK(value.len == strlen(out) && memcmp(value.at, out, value.len) == 0);
}

static void block(const char *s, size_t len)
{
    uint32_t block_bytes;

    if (plait_field_block_parse(s, len, &block_bytes) != PLAIT_OK)
        return;
    FUZZ_CHECK(plait_block_bytes_valid(block_bytes));
    check_number(s, len, block_bytes);
}

static void size(const char *s, size_t len)
{
    uint64_t v;

    if (plait_field_size_parse(s, len, &v) == PLAIT_OK)
        check_number(s, len, v);
}

static void at(const char *s, size_t len)
{
    uint64_t v;

    if (plait_field_at_parse(s, len, &v) != PLAIT_OK)
        return;
    FUZZ_CHECK(v <= PLAIT_BLOCK_NUMBER_MAX + 1);
    check_number(s, len, v);
}

static void span(const char *s, size_t len)
{
    struct plait_text value = plait_text_trim(plait_text_of(s, len));
    struct plait_span v;
    char out[PLAIT_FIELD_SPAN_SIZE];

    if (plait_field_span_parse(s, len, &v) != PLAIT_OK)
        return;
    FUZZ_CHECK(v.first <= v.last && v.first <= PLAIT_BLOCK_NUMBER_MAX);
    FUZZ_CHECK(plait_field_span_format(&v, out, sizeof out) == PLAIT_OK);
    FUZZ_CHECK(value.len == strlen(out) && memcmp(value.at, out, value.len) == 0);
}

static void pattern(const char *s, size_t len)
{
    struct plait_text value = plait_text_trim(plait_text_of(s, len));
    uint8_t letters[PLAIT_PATTERN_LETTERS_MAX];
    char out[PLAIT_PATTERN_LETTERS_MAX + 1];
    uint16_t count;

    if (plait_field_pattern_parse(s, len, letters, sizeof letters, &count) != PLAIT_OK)
        return;
    FUZZ_CHECK(plait_field_pattern_format(letters, count, out, sizeof out) == PLAIT_OK);
    FUZZ_CHECK(value.len == count && memcmp(value.at, out, count) == 0);
}

static void blocks(const char *s, size_t len)
{
    struct plait_span items[PLAIT_BLOCKS_MAX], again[PLAIT_BLOCKS_MAX];
    char out[PLAIT_FIELD_BLOCKS_SIZE];
    size_t count, count_again;

    if (plait_field_blocks_parse(s, len, items, &count) != PLAIT_OK)
        return;
    FUZZ_CHECK(count >= 1 && count <= PLAIT_BLOCKS_MAX);
    for (size_t i = 0; i < count; i++)
        FUZZ_CHECK(items[i].first <= items[i].last && items[i].last <= PLAIT_BLOCK_NUMBER_MAX);
    FUZZ_CHECK(plait_field_blocks_format(items, count, out, sizeof out) == PLAIT_OK);
    FUZZ_CHECK(plait_field_blocks_parse(out, strlen(out), again, &count_again) == PLAIT_OK);
    FUZZ_CHECK(count == count_again && memcmp(items, again, count * sizeof *items) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_size)
{
    static void (*const parsers[])(const char *s, size_t len) = {
        stream, path, block, size, at, span, pattern, blocks,
    };

    if (data_size > 0)
        parsers[data[0] % (sizeof parsers / sizeof parsers[0])]((const char *)data + 1, data_size - 1);
    return 0;
}
