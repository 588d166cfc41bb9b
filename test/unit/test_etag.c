#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "etag.h"
#include "units.h"

#define NOW_S INT64_C(1700000000) /* Tue, 14 Nov 2023 22:13:20 GMT */

static struct plait_version version(int64_t mtime_s, long mtime_ns, int64_t now_s)
{
    struct stat st = {.st_ino = 5, .st_size = 100, .st_mtim = {mtime_s, mtime_ns}};
    struct plait_version v;

    plait_version_of(&st, now_s * (int64_t)PLAIT_S + 500000000, &v);
    return v;
}

static void dates(void **state)
{
    char text[PLAIT_HTTP_DATE_SIZE];

    (void)state;
    plait_http_date_write(NOW_S, text);
    assert_string_equal(text, "Tue, 14 Nov 2023 22:13:20 GMT");
    plait_http_date_write(0, text);
    assert_string_equal(text, "Thu, 01 Jan 1970 00:00:00 GMT");
    plait_http_date_write(-1, text);
    assert_string_equal(text, "Wed, 31 Dec 1969 23:59:59 GMT");
    plait_http_date_write(INT64_C(253402300799), text);
    assert_string_equal(text, "Fri, 31 Dec 9999 23:59:59 GMT");
    plait_http_date_write(INT64_C(253402300800), text);
    assert_string_equal(text, "");
    plait_http_date_write(INT64_MAX, text);
    assert_string_equal(text, "");
}

static void versions_differ(void **state)
{
    struct plait_version a = version(NOW_S - 100, 1, NOW_S), b = version(NOW_S - 100, 2, NOW_S);

    (void)state;
    assert_false(a.weak);
    assert_string_not_equal(a.etag, b.etag);
    assert_string_equal(a.etag, version(NOW_S - 100, 1, NOW_S + 50).etag);
}

static void what_was_just_changed_is_weak(void **state)
{
    (void)state;
    assert_true(version(NOW_S, 499000000, NOW_S).weak);  /* a millisecond ago */
    assert_true(version(NOW_S, 501000000, NOW_S).weak);  /* clocks differ a little */
    assert_false(version(NOW_S, 400000000, NOW_S).weak); /* 100 ms ago */
    assert_true(version(NOW_S, 0, NOW_S).weak);          /* a clock without a fraction */
    assert_true(version(NOW_S - 1, 0, NOW_S).weak);
    assert_false(version(NOW_S - 2, 0, NOW_S).weak);
    assert_false(version(NOW_S + 1000, 5, NOW_S).weak); /* far in the future: set by hand */
    assert_false(version(NOW_S, 1, NOW_S).date_is_strong);
    assert_true(version(NOW_S - 1, 0, NOW_S).date_is_strong);
    assert_false(version(NOW_S + 1000, 0, NOW_S).date_is_strong);
    assert_string_equal(version(NOW_S + 1000, 0, NOW_S).last_modified, "Tue, 14 Nov 2023 22:13:20 GMT");
}

static void judging(void **state)
{
    const enum plait_verdict go = PLAIT_VERDICT_GO, same = PLAIT_VERDICT_UNMODIFIED,
                             failed = PLAIT_VERDICT_FAILED;
    const char *date = "Tue, 14 Nov 2023 22:13:20 GMT", *before = "Tue, 14 Nov 2023 22:13:19 GMT";
    struct plait_version v = version(NOW_S, 499000000, NOW_S + 1000), w = version(NOW_S, 499000000, NOW_S);
    char weak[PLAIT_ETAG_SIZE + 2] = "W/", list[2 * PLAIT_ETAG_SIZE + 32] = "\"a\"  ,, W/\"b,c\",";
    const struct {
        struct plait_conditions c; /* match, none match, modified, unmodified */
        enum plait_verdict verdict;
    } rows[] = {
        {{NULL, NULL, NULL, NULL}, go},
        {{"*", NULL, NULL, NULL}, go},
        {{v.etag, NULL, NULL, NULL}, go},
        {{list, NULL, NULL, NULL}, go},
        {{weak, NULL, NULL, NULL}, failed},
        {{"\"a\"", NULL, NULL, NULL}, failed},
        {{"", NULL, NULL, NULL}, failed},
        {{"a", NULL, NULL, NULL}, failed},
        {{"\"a", NULL, NULL, NULL}, failed},
        {{"W/", NULL, NULL, NULL}, failed},
        {{v.etag, NULL, NULL, before}, go}, /* If-Match goes before the date */
        {{NULL, NULL, NULL, date}, go},
        {{NULL, NULL, NULL, before}, failed},
        {{NULL, NULL, NULL, "yesterday"}, go},
        {{NULL, "*", NULL, NULL}, same},
        {{NULL, v.etag, NULL, NULL}, same},
        {{NULL, weak, NULL, NULL}, same},
        {{NULL, list, NULL, NULL}, same},
        {{NULL, "\"a\"", date, NULL}, go}, /* and If-None-Match too */
        {{NULL, NULL, date, NULL}, same},
        {{NULL, NULL, before, NULL}, go},
        {{NULL, NULL, "tomorrow", NULL}, go},
        {{v.etag, v.etag, NULL, NULL}, same},
        {{"\"a\"", v.etag, NULL, NULL}, failed},
    };

    (void)state;
    strcat(weak, v.etag);
    strcat(list, v.etag);
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++)
        assert_int_equal(plait_conditions_judge(&rows[i].c, &v), rows[i].verdict);
    assert_true(w.weak);
    assert_int_equal(plait_conditions_judge(&(struct plait_conditions){.if_match = w.etag}, &w), failed);
    assert_int_equal(plait_conditions_judge(&(struct plait_conditions){.if_none_match = w.etag}, &w), same);
    assert_int_equal(plait_conditions_judge(&(struct plait_conditions){.if_none_match = v.etag}, &w), same);
}

static void if_range(void **state)
{
    struct plait_version v = version(NOW_S, 499000000, NOW_S + 1000),
                         fresh = version(NOW_S, 499000000, NOW_S);
    char weak[PLAIT_ETAG_SIZE + 2] = "W/", more[PLAIT_ETAG_SIZE + 8];

    (void)state;
    strcat(weak, v.etag);
    strcat(strcpy(more, v.etag), ",\"a\"");
    assert_true(plait_if_range_holds(NULL, &v));
    assert_true(plait_if_range_holds(v.etag, &v));
    assert_false(plait_if_range_holds(weak, &v));
    assert_false(plait_if_range_holds(more, &v));
    assert_false(plait_if_range_holds("\"a\"", &v));
    assert_false(plait_if_range_holds("*", &v));
    assert_false(plait_if_range_holds("", &v));
    assert_true(plait_if_range_holds("Tue, 14 Nov 2023 22:13:20 GMT", &v));
    assert_false(plait_if_range_holds("Tue, 14 Nov 2023 22:13:21 GMT", &v));
    assert_false(plait_if_range_holds("Tue, 14 Nov 2023 22:13:20 GMT", &fresh));
    assert_false(plait_if_range_holds(fresh.etag, &fresh));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates),
        cmocka_unit_test(versions_differ),
        cmocka_unit_test(what_was_just_changed_is_weak),
        cmocka_unit_test(judging),
        cmocka_unit_test(if_range),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
