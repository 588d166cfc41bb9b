#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "prng.h"
#include "range.h"
#include "units.h"

static int parse(const char *s, uint64_t size, struct plait_range_set *out)
{
    return plait_range_parse(s, strlen(s), size, out);
}

static void one_range(void **state)
{
    static const struct {
        const char *s;
        uint64_t size, lo, hi;
    } rows[] = {
        {"bytes=0-0", 10, 0, 1},
        {"bytes=0-", 10, 0, 10},
        {"bytes=3-5", 10, 3, 6},
        {"bytes=3-500", 10, 3, 10},
        {"bytes=-3", 10, 7, 10},
        {"bytes=-30", 10, 0, 10},
        {" bytes=1-2\t", 10, 1, 3},
        {"BYTES=1-2", 10, 1, 3},
        {"bytes=,, 1-2 ,\t,", 10, 1, 3},
        {"bytes=0-18446744073709551615", 10, 0, 10},
        {"bytes=1-99999999999999999999999999999", UINT64_MAX, 1, UINT64_MAX},
        {"bytes=-99999999999999999999999999999", UINT64_MAX, 0, UINT64_MAX},
        {"bytes=0-9,999-", 10, 0, 10},
        {"bytes=3-5,6-7", 10, 3, 8},
        {"bytes=6-7,3-5", 10, 3, 8},
        {"bytes=0-3,6-9,2-7", 10, 0, 10},
        {"bytes=4-5,4-5,4-5", 10, 4, 6},
    };
    struct plait_range_set set;

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        assert_int_equal(parse(rows[i].s, rows[i].size, &set), PLAIT_OK);
        assert_int_equal(set.count, 1);
        assert_true(set.at[0].lo == rows[i].lo && set.at[0].hi == rows[i].hi);
    }
}

static void the_order_of_asking(void **state)
{
    struct plait_range_set set;

    (void)state;
    assert_int_equal(parse("bytes=80-89,0-9,40-49,-5,45-60", 100, &set), PLAIT_OK);
    assert_int_equal(set.count, 4);
    assert_true(set.at[0].lo == 80 && set.at[0].hi == 90);
    assert_true(set.at[1].lo == 0 && set.at[1].hi == 10);
    assert_true(set.at[2].lo == 40 && set.at[2].hi == 61);
    assert_true(set.at[3].lo == 95 && set.at[3].hi == 100);
    assert_int_equal(parse("bytes=80-89,0-9,40-49,5-85", 100, &set), PLAIT_OK);
    assert_int_equal(set.count, 1);
    assert_true(set.at[0].lo == 0 && set.at[0].hi == 90);
}

static void refusals_leave_the_output_alone(void **state)
{
    static const struct {
        const char *s;
        uint64_t size;
        int rc;
    } rows[] = {
        {"bytes=10-", 10, PLAIT_ERR_RANGE},      {"bytes=-0", 10, PLAIT_ERR_RANGE},
        {"bytes=0-", 0, PLAIT_ERR_RANGE},        {"bytes=-5", 0, PLAIT_ERR_RANGE},
        {"bytes=10-20,-0", 10, PLAIT_ERR_RANGE}, {"", 10, PLAIT_ERR_FORMAT},
        {"bytes", 10, PLAIT_ERR_FORMAT},         {"bytes=", 10, PLAIT_ERR_FORMAT},
        {"bytes=,", 10, PLAIT_ERR_FORMAT},       {"bytes=-", 10, PLAIT_ERR_FORMAT},
        {"bytes=5", 10, PLAIT_ERR_FORMAT},       {"bytes=5-4", 10, PLAIT_ERR_FORMAT},
        {"bytes=1-2-3", 10, PLAIT_ERR_FORMAT},   {"bytes=1-2 3-4", 10, PLAIT_ERR_FORMAT},
        {"bytes =1-2", 10, PLAIT_ERR_FORMAT},    {"bytes=0-1,x", 10, PLAIT_ERR_FORMAT},
        {"bytes=+1-2", 10, PLAIT_ERR_FORMAT},    {"blocks=0-1", 10, PLAIT_ERR_FORMAT},
    };

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        struct plait_range_set set = {.count = 77};
        assert_int_equal(parse(rows[i].s, rows[i].size, &set), rows[i].rc);
        assert_int_equal(set.count, 77);
    }
}

static void too_many(void **state)
{
    char s[16 * (PLAIT_RANGE_COUNT_MAX + 2)] = "bytes=";
    struct plait_range_set set;

    (void)state;
    for (size_t i = 0; i < PLAIT_RANGE_COUNT_MAX; i++)
        sprintf(s + strlen(s), "%zu-%zu,", 3 * i, 3 * i);
    assert_int_equal(parse(s, 1000, &set), PLAIT_OK);
    assert_int_equal(set.count, PLAIT_RANGE_COUNT_MAX);
    strcat(s, "0-0");
    assert_int_equal(parse(s, 1000, &set), PLAIT_ERR_LIMIT);
}

/* Against a map of the bytes: the same bytes, and no two ranges that touch. */
static void any_ranges(void **state)
{
    enum { SIZE = 60 };
    struct plait_prng g = {1};

    (void)state;
    for (int round = 0; round < 20000; round++) {
        char s[512] = "bytes=";
        unsigned char wanted[SIZE] = {0}, got[SIZE + 1] = {0};
        struct plait_range_set set;
        size_t n = 1 + plait_prng_below(&g, 12);
        for (size_t i = 0; i < n; i++) {
            unsigned lo = (unsigned)plait_prng_below(&g, SIZE), hi = lo + (unsigned)plait_prng_below(&g, 9);
            sprintf(s + strlen(s), "%s%u-%u", i > 0 ? "," : "", lo, hi);
            for (unsigned at = lo; at <= hi && at < SIZE; at++)
                wanted[at] = 1;
        }
        assert_int_equal(parse(s, SIZE, &set), PLAIT_OK);
        for (size_t i = 0; i < set.count; i++) {
            assert_true(set.at[i].lo < set.at[i].hi && set.at[i].hi <= SIZE);
            assert_false(set.at[i].lo > 0 && got[set.at[i].lo - 1]);
            assert_false(got[set.at[i].hi]);
            for (uint64_t at = set.at[i].lo; at < set.at[i].hi; at++)
                assert_int_equal(got[at]++, 0);
        }
        assert_memory_equal(wanted, got, SIZE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_range),
        cmocka_unit_test(the_order_of_asking),
        cmocka_unit_test(refusals_leave_the_output_alone),
        cmocka_unit_test(too_many),
        cmocka_unit_test(any_ranges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
