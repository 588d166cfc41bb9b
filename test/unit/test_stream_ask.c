#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "stream_ask.h"

#define ID "00112233445566778899aabbccddeeff"

/* `Name: value` lines, as a request has them. */
static enum plait_stream_ask_kind judge(bool is_post, const char *const *lines, struct plait_stream_ask *a)
{
    plait_stream_ask_init(a);
    for (; *lines != NULL; lines++) {
        char name[64] = "";
        const char *colon = strchr(*lines, ':');
        memcpy(name, *lines, (size_t)(colon - *lines));
        plait_stream_ask_take(a, name, colon + 1);
    }
    return plait_stream_ask_judge(a, is_post);
}

#define GET(a, ...)  judge(false, (const char *const[]){__VA_ARGS__, NULL}, a)
#define POST(a, ...) judge(true, (const char *const[]){__VA_ARGS__, NULL}, a)

static void requests_that_open(void **state)
{
    struct plait_stream_ask a;

    (void)state;
    assert_int_equal(GET(&a, "Host:x", "Plait-Stream:" ID, "plait-path: c", "PLAIT-BLOCK:65536",
                         "Plait-Span:7-9", "Plait-Pattern:ABc", "If-Match:\"1\""),
                     PLAIT_STREAM_ASK_OPEN);
    assert_int_equal(a.letter, 28);
    assert_int_equal(a.block_bytes, 65536);
    assert_int_equal(a.id[1], 0x11);
    assert_true(a.span.first == 7 && a.span.last == 9 && a.has_pattern && a.pattern.len == 3);
    assert_int_equal(a.pattern.path[2], 28);
    assert_int_equal(GET(&a, "Plait-Stream:" ID, "Plait-Path:A", "Plait-Block:4096", "Plait-Span:0-"),
                     PLAIT_STREAM_ASK_OPEN);
    assert_false(a.has_pattern);
    assert_int_equal(GET(&a, "Plait-Stream:" ID, "Plait-Path:A", "Plait-Block:4096", "Plait-Blocks:1, 3-4"),
                     PLAIT_STREAM_ASK_OPEN);
    assert_int_equal(a.block_count, 2);
}

static void requests_that_steer(void **state)
{
    struct plait_stream_ask a;

    (void)state;
    assert_int_equal(POST(&a, "Plait-Stream:" ID, "Plait-Span:0-"), PLAIT_STREAM_ASK_STEER);
    assert_int_equal(POST(&a, "Plait-Stream:" ID, "Plait-Span:0-", "Plait-Pattern:AB"),
                     PLAIT_STREAM_ASK_STEER);
    assert_int_equal(POST(&a, "Plait-Stream:" ID, "Plait-Path:A", "Plait-Blocks:1"), PLAIT_STREAM_ASK_NAME);
}

static void what_is_not_whole_is_bad(void **state)
{
    struct plait_stream_ask a;

    (void)state;
    assert_int_equal(GET(&a, "Plait-Stream:" ID, "Plait-Path:A", "Plait-Span:0-"), PLAIT_STREAM_ASK_BAD);
    assert_int_equal(GET(&a, "Plait-Stream:" ID, "Plait-Block:4096", "Plait-Span:0-"), PLAIT_STREAM_ASK_BAD);
    assert_int_equal(GET(&a, "Plait-Stream:" ID, "Plait-Path:A", "Plait-Block:4096"), PLAIT_STREAM_ASK_BAD);
    assert_int_equal(GET(&a, "Plait-Path:A", "Plait-Block:4096", "Plait-Span:0-"), PLAIT_STREAM_ASK_BAD);
    assert_false(plait_stream_ask_is(&a));
    assert_int_equal(POST(&a, "Plait-Stream:" ID, "Plait-Blocks:1"), PLAIT_STREAM_ASK_BAD);
    assert_int_equal(POST(&a, "Plait-Stream:" ID, "Plait-Path:A", "Plait-Blocks:1", "Plait-Span:0-"),
                     PLAIT_STREAM_ASK_BAD);
    assert_int_equal(POST(&a, "Plait-Stream:" ID, "Plait-Path:A", "Plait-Blocks:1", "Plait-Pattern:A"),
                     PLAIT_STREAM_ASK_BAD);
    assert_int_equal(POST(&a, "Plait-Stream:" ID), PLAIT_STREAM_ASK_BAD);
}

static void one_bad_field_spoils_all(void **state)
{
    static const char *const bad[] = {"Plait-Path:AB",     "Plait-Block:5000", "Plait-Span:5",
                                      "Plait-Pattern:A-B", "Plait-Blocks:",    "Plait-Stream:" ID "0"};
    struct plait_stream_ask a;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(POST(&a, "Plait-Stream:" ID, "Plait-Span:0-", bad[i]), PLAIT_STREAM_ASK_BAD);
        assert_int_equal(POST(&a, bad[i], "Plait-Stream:" ID, "Plait-Span:0-"), PLAIT_STREAM_ASK_BAD);
    }
    /* Twice, also the same. */
    assert_int_equal(POST(&a, "Plait-Stream:" ID, "Plait-Span:0-", "Plait-Span:0-"), PLAIT_STREAM_ASK_BAD);
    assert_int_equal(POST(&a, "Plait-Stream:" ID, "Plait-Path:A", "Plait-Blocks:1", "Plait-Blocks:1"),
                     PLAIT_STREAM_ASK_BAD);
    /* A field that nobody knows is passed over. */
    assert_int_equal(POST(&a, "Plait-Stream:" ID, "Plait-Span:0-", "Plait-Future:!", "Plait:7"),
                     PLAIT_STREAM_ASK_STEER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_that_open),
        cmocka_unit_test(requests_that_steer),
        cmocka_unit_test(what_is_not_whole_is_bad),
        cmocka_unit_test(one_bad_field_spoils_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
