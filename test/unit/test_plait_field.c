/* The fields of doc/protocol.md: what is taken, what is refused and as what, and that formats read back. */
#include "plait_field.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "units.h"

static void streams(void **unused)
{
    static const char *const bad[] = {
        "",
        "0123456789abcdef0123456789abcde",
        "0123456789abcdef0123456789abcdef0",
        "0123456789ABCDEF0123456789abcdef",
        "0123456789abcdef0123456789abcdeg",
        "0123456789abcdef 0123456789abcdef",
        "0x23456789abcdef0123456789abcdef",
    };
    const char *text = "0123456789abcdef00112233445566ff";
    uint8_t id[PLAIT_GROUP_ID_BYTES], before[PLAIT_GROUP_ID_BYTES];
    char out[PLAIT_GROUP_ID_DIGITS + 1];

    (void)unused;
    assert_int_equal(plait_field_stream_parse(" 0123456789abcdef00112233445566ff\t", 34, id), PLAIT_OK);
    assert_true(id[0] == 0x01 && id[7] == 0xef && id[15] == 0xff);
    assert_int_equal(plait_field_stream_format(id, out, sizeof out), PLAIT_OK);
    assert_string_equal(out, text);
    assert_int_equal(plait_field_stream_format(id, out, sizeof out - 1), PLAIT_ERR_LIMIT);
    memcpy(before, id, sizeof id);
    for (size_t i = 0; i < PLAIT_COUNT(bad); i++)
        assert_int_equal(plait_field_stream_parse(bad[i], strlen(bad[i]), id), PLAIT_ERR_FORMAT);
    assert_memory_equal(before, id, sizeof id);
}

static void letters(void **unused)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    static const char *const bad[] = {"", "AB", "1", "@", "[", "`", "{", "\xc3\xa4", "A,B", "A A"};
    uint8_t index = 99;

    (void)unused;
    assert_int_equal(sizeof alphabet - 1, PLAIT_LETTERS);
    for (uint8_t i = 0; i < PLAIT_LETTERS; i++) {
        assert_int_equal(plait_field_path_parse(&alphabet[i], 1, &index), PLAIT_OK);
        assert_int_equal(index, i);
        assert_int_equal(plait_letter(i), alphabet[i]);
    }
    assert_int_equal(plait_letter(PLAIT_LETTERS), '?');
    for (size_t i = 0; i < PLAIT_COUNT(bad); i++)
        assert_int_equal(plait_field_path_parse(bad[i], strlen(bad[i]), &index), PLAIT_ERR_FORMAT);
    assert_int_equal(plait_field_path_parse("", 1, &index), PLAIT_ERR_FORMAT); /* a zero byte */
    assert_int_equal(index, PLAIT_LETTERS - 1);
}

struct number_row {
    const char *s;
    int err;
    uint64_t value;
};

static void block_sizes(void **unused)
{
    static const struct number_row rows[] = {
        {"4096", PLAIT_OK, 4096},        {" 65536 ", PLAIT_OK, 65536},
        {"4194304", PLAIT_OK, 4194304},  {"2048", PLAIT_ERR_RANGE, 0},
        {"0", PLAIT_ERR_RANGE, 0},       {"4097", PLAIT_ERR_RANGE, 0},
        {"8388608", PLAIT_ERR_RANGE, 0}, {"18446744073709555712", PLAIT_ERR_RANGE, 0},
        {"", PLAIT_ERR_FORMAT, 0},       {"04096", PLAIT_ERR_FORMAT, 0},
        {"+4096", PLAIT_ERR_FORMAT, 0},  {"-4096", PLAIT_ERR_FORMAT, 0},
        {"4096.0", PLAIT_ERR_FORMAT, 0}, {"0x1000", PLAIT_ERR_FORMAT, 0},
        {"64k", PLAIT_ERR_FORMAT, 0},    {"4096, 4096", PLAIT_ERR_FORMAT, 0},
    };

    (void)unused;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        uint32_t v = 7;
        assert_int_equal(plait_field_block_parse(rows[i].s, strlen(rows[i].s), &v), rows[i].err);
        assert_int_equal(v, rows[i].err == PLAIT_OK ? rows[i].value : 7);
    }
    assert_int_equal(plait_block_count(0, 4096), 0);
    assert_int_equal(plait_block_count(1, 4096), 1);
    assert_int_equal(plait_block_count(4096, 4096), 1);
    assert_int_equal(plait_block_count(4097, 4096), 2);
    assert_int_equal(plait_block_count(PLAIT_STREAM_SIZE_MAX, 4096), PLAIT_BLOCK_NUMBER_MAX + 1);
}

static void sizes_and_places(void **unused)
{
    static const struct number_row sizes[] = {
        {"0", PLAIT_OK, 0},
        {"1", PLAIT_OK, 1},
        {"9223372036854775807", PLAIT_OK, INT64_MAX},
        {"9223372036854775808", PLAIT_ERR_RANGE, 0},
        {"99999999999999999999999", PLAIT_ERR_RANGE, 0},
        {"00", PLAIT_ERR_FORMAT, 0},
        {"*", PLAIT_ERR_FORMAT, 0},
    };
    static const struct number_row places[] = {
        {"0", PLAIT_OK, 0},
        {"2251799813685247", PLAIT_OK, PLAIT_BLOCK_NUMBER_MAX},
        {"2251799813685248", PLAIT_OK, PLAIT_BLOCK_NUMBER_MAX + 1},
        {"2251799813685249", PLAIT_ERR_RANGE, 0},
        {"7-", PLAIT_ERR_FORMAT, 0},
    };
    char out[PLAIT_FIELD_NUMBER_SIZE];

    (void)unused;
    for (size_t i = 0; i < PLAIT_COUNT(sizes); i++) {
        uint64_t v = 7;
        assert_int_equal(plait_field_size_parse(sizes[i].s, strlen(sizes[i].s), &v), sizes[i].err);
        assert_true(v == (sizes[i].err == PLAIT_OK ? sizes[i].value : 7));
    }
    for (size_t i = 0; i < PLAIT_COUNT(places); i++) {
        uint64_t v = 7;
        assert_int_equal(plait_field_at_parse(places[i].s, strlen(places[i].s), &v), places[i].err);
        assert_true(v == (places[i].err == PLAIT_OK ? places[i].value : 7));
    }
    assert_int_equal(plait_field_number_format(INT64_MAX, out, sizeof out), PLAIT_OK);
    assert_string_equal(out, "9223372036854775807");
    assert_int_equal(plait_field_number_format(100, out, 3), PLAIT_ERR_LIMIT);
    assert_int_equal(plait_field_number_format(UINT64_MAX, out, sizeof out), PLAIT_ERR_ARG);
}

static void spans(void **unused)
{
    static const struct {
        const char *s;
        int err;
        struct plait_span span;
    } rows[] = {
        {"0-159", PLAIT_OK, {0, 159}},
        {"0-0", PLAIT_OK, {0, 0}},
        {"\t160- ", PLAIT_OK, {160, PLAIT_SPAN_OPEN}},
        {"2251799813685247-2251799813685247", PLAIT_OK, {PLAIT_BLOCK_NUMBER_MAX, PLAIT_BLOCK_NUMBER_MAX}},
        {"0-2251799813685248", PLAIT_ERR_RANGE, {0}},
        {"2251799813685248-", PLAIT_ERR_RANGE, {0}},
        {"18446744073709551615-", PLAIT_ERR_RANGE, {0}},
        {"5-4", PLAIT_ERR_RANGE, {0}},
        {"", PLAIT_ERR_FORMAT, {0}},
        {"-", PLAIT_ERR_FORMAT, {0}},
        {"-5", PLAIT_ERR_FORMAT, {0}},
        {"5", PLAIT_ERR_FORMAT, {0}},
        {"5--6", PLAIT_ERR_FORMAT, {0}},
        {"5 -6", PLAIT_ERR_FORMAT, {0}},
        {"5- 6", PLAIT_ERR_FORMAT, {0}},
        {"5-6-", PLAIT_ERR_FORMAT, {0}},
        {"5-6,8-9", PLAIT_ERR_FORMAT, {0}},
        {"05-6", PLAIT_ERR_FORMAT, {0}},
        {"5-06", PLAIT_ERR_FORMAT, {0}},
        {"bytes=0-1", PLAIT_ERR_FORMAT, {0}},
    };
    char out[PLAIT_FIELD_SPAN_SIZE];

    (void)unused;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        struct plait_span span = {7, 7}, again;
        assert_int_equal(plait_field_span_parse(rows[i].s, strlen(rows[i].s), &span), rows[i].err);
        if (rows[i].err != PLAIT_OK) {
            assert_true(span.first == 7 && span.last == 7);
            continue;
        }
        assert_true(span.first == rows[i].span.first && span.last == rows[i].span.last);
        assert_int_equal(plait_field_span_format(&span, out, sizeof out), PLAIT_OK);
        assert_int_equal(plait_field_span_parse(out, strlen(out), &again), PLAIT_OK);
        assert_memory_equal(&again, &span, sizeof span);
        assert_int_equal(plait_field_span_format(&span, out, strlen(out)), PLAIT_ERR_LIMIT);
    }
    assert_int_equal(plait_field_span_format(&(struct plait_span){5, 4}, out, sizeof out), PLAIT_ERR_ARG);
    assert_int_equal(
        plait_field_span_format(&(struct plait_span){0, PLAIT_BLOCK_NUMBER_MAX + 1}, out, sizeof out),
        PLAIT_ERR_ARG);
}

static void patterns(void **unused)
{
    static const char *const bad[] = {"", "AAB CC", "AA1", "A,B", "\"AB\"", "A-B", "\xff"};
    uint8_t path[PLAIT_PATTERN_LETTERS_MAX];
    char text[PLAIT_PATTERN_LETTERS_MAX + 2], out[PLAIT_PATTERN_LETTERS_MAX + 1];
    uint16_t count = 0;

    (void)unused;
    assert_int_equal(plait_field_pattern_parse(" AABCCz ", 8, path, sizeof path, &count), PLAIT_OK);
    assert_int_equal(count, 6);
    assert_memory_equal(path, ((const uint8_t[]){0, 0, 1, 2, 2, 51}), 6);
    assert_int_equal(plait_field_pattern_format(path, count, out, sizeof out), PLAIT_OK);
    assert_string_equal(out, "AABCCz");
    assert_int_equal(plait_field_pattern_format(path, count, out, 6), PLAIT_ERR_LIMIT);
    for (size_t i = 0; i < PLAIT_COUNT(bad); i++)
        assert_int_equal(plait_field_pattern_parse(bad[i], strlen(bad[i]), path, sizeof path, &count),
                         PLAIT_ERR_FORMAT);
    assert_int_equal(count, 6);
    memset(text, 'B', sizeof text);
    assert_int_equal(plait_field_pattern_parse(text, PLAIT_PATTERN_LETTERS_MAX, path, sizeof path, &count),
                     PLAIT_OK);
    assert_int_equal(count, PLAIT_PATTERN_LETTERS_MAX);
    assert_int_equal(plait_field_pattern_format(path, count, out, sizeof out), PLAIT_OK);
    assert_int_equal(
        plait_field_pattern_parse(text, PLAIT_PATTERN_LETTERS_MAX + 1, path, sizeof path, &count),
        PLAIT_ERR_LIMIT);
    assert_int_equal(plait_field_pattern_parse("ABC", 3, path, 2, &count), PLAIT_ERR_LIMIT);
    assert_int_equal(plait_field_pattern_format(path, 0, out, sizeof out), PLAIT_ERR_ARG);
    path[0] = PLAIT_LETTERS;
    assert_int_equal(plait_field_pattern_format(path, 1, out, sizeof out), PLAIT_ERR_ARG);
}

static void block_lists(void **unused)
{
    struct plait_span items[PLAIT_BLOCKS_MAX], again[PLAIT_BLOCKS_MAX];
    char out[PLAIT_FIELD_BLOCKS_SIZE];
    size_t count = 0, count_again = 0;
    const char *text = " 7 ,9-12,\t3, 12-12 ";

    (void)unused;
    assert_int_equal(plait_field_blocks_parse(text, strlen(text), items, &count), PLAIT_OK);
    assert_int_equal(count, 4);
    assert_true(items[0].first == 7 && items[0].last == 7 && items[1].first == 9 && items[1].last == 12);
    assert_true(items[2].first == 3 && items[3].last == 12);
    assert_int_equal(plait_field_blocks_format(items, count, out, sizeof out), PLAIT_OK);
    assert_string_equal(out, "7,9-12,3,12");
    assert_int_equal(plait_field_blocks_format(items, count, out, strlen(out)), PLAIT_ERR_LIMIT);
    assert_int_equal(plait_field_blocks_parse(out, strlen(out), again, &count_again), PLAIT_OK);
    assert_int_equal(count_again, count);
    assert_memory_equal(again, items, count * sizeof *items);
    items[0].last = PLAIT_SPAN_OPEN;
    assert_int_equal(plait_field_blocks_format(items, count, out, sizeof out), PLAIT_ERR_ARG);
    assert_int_equal(plait_field_blocks_format(items, 0, out, sizeof out), PLAIT_ERR_ARG);
}

static void block_lists_refused(void **unused)
{
    static const struct number_row rows[] = {
        {"", PLAIT_ERR_FORMAT, 0},      {",", PLAIT_ERR_FORMAT, 0},
        {"1,", PLAIT_ERR_FORMAT, 0},    {",1", PLAIT_ERR_FORMAT, 0},
        {"1,,2", PLAIT_ERR_FORMAT, 0},  {"1 2", PLAIT_ERR_FORMAT, 0},
        {"1-", PLAIT_ERR_FORMAT, 0},    {"-1", PLAIT_ERR_FORMAT, 0},
        {"1-2-3", PLAIT_ERR_FORMAT, 0}, {"1;2", PLAIT_ERR_FORMAT, 0},
        {"01", PLAIT_ERR_FORMAT, 0},    {"4-3", PLAIT_ERR_RANGE, 0},
        {"1,4-3", PLAIT_ERR_RANGE, 0},  {"A", PLAIT_ERR_FORMAT, 0},
        {"1 - 2", PLAIT_ERR_FORMAT, 0}, {"2251799813685248", PLAIT_ERR_RANGE, 0},
    };
    struct plait_span items[PLAIT_BLOCKS_MAX] = {{7, 7}};
    size_t count = 77;

    (void)unused;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++)
        assert_int_equal(plait_field_blocks_parse(rows[i].s, strlen(rows[i].s), items, &count), rows[i].err);
    assert_true(items[0].first == 7 && count == 77);
}

/* The longest list, with the longest numbers, fits what its size promises. */
static void the_longest_block_list(void **unused)
{
    struct plait_span items[PLAIT_BLOCKS_MAX], again[PLAIT_BLOCKS_MAX];
    char out[PLAIT_FIELD_BLOCKS_SIZE + 2];
    size_t count;

    (void)unused;
    for (size_t i = 0; i < PLAIT_BLOCKS_MAX; i++)
        items[i] = (struct plait_span){PLAIT_BLOCK_NUMBER_MAX - 1, PLAIT_BLOCK_NUMBER_MAX};
    assert_int_equal(plait_field_blocks_format(items, PLAIT_BLOCKS_MAX, out, PLAIT_FIELD_BLOCKS_SIZE),
                     PLAIT_OK);
    assert_int_equal(plait_field_blocks_parse(out, strlen(out), again, &count), PLAIT_OK);
    assert_int_equal(count, PLAIT_BLOCKS_MAX);
    assert_memory_equal(again, items, sizeof items);
    strcat(out, ",1");
    assert_int_equal(plait_field_blocks_parse(out, strlen(out), again, &count), PLAIT_ERR_LIMIT);
    assert_int_equal(plait_field_blocks_format(items, PLAIT_BLOCKS_MAX + 1, out, sizeof out), PLAIT_ERR_ARG);
}

static void versions(void **unused)
{
    (void)unused;
    assert_true(plait_field_version_is_known("1", 1));
    assert_true(plait_field_version_is_known(" 1\t", 3));
    assert_false(plait_field_version_is_known("", 0));
    assert_false(plait_field_version_is_known("2", 1));
    assert_false(plait_field_version_is_known("11", 2));
    assert_false(plait_field_version_is_known("1, 2", 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams),
        cmocka_unit_test(letters),
        cmocka_unit_test(block_sizes),
        cmocka_unit_test(sizes_and_places),
        cmocka_unit_test(spans),
        cmocka_unit_test(patterns),
        cmocka_unit_test(block_lists),
        cmocka_unit_test(block_lists_refused),
        cmocka_unit_test(the_longest_block_list),
        cmocka_unit_test(versions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
