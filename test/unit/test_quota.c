/* Quotas: when a period begins, what is kept in the file, and files that somebody else has written. */
#include "quota.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "units.h"

#define DAY INT64_C(86400)

static void periods(void **unused)
{
    static const struct {
        int64_t unix_s;
        bool day, week, month; /* another one than a second before */
    } rows[] = {
        {1767225600, true, false, true},   /* 2026-01-01, a Thursday */
        {1767225601, false, false, false}, /* a second later */
        {1767571200, true, true, false},   /* 2026-01-05, a Monday */
        {1769904000, true, false, true},   /* 2026-02-01, a Sunday */
        {1772323200, true, false, true},   /* 2026-03-01 */
        {1709164800, true, false, false},  /* 2024-02-29 */
    };

    (void)unused;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        int64_t t = rows[i].unix_s;
        assert_int_equal(plait_quota_period(PLAIT_CONFIG_DAY, t) !=
                             plait_quota_period(PLAIT_CONFIG_DAY, t - 1),
                         rows[i].day);
        assert_int_equal(plait_quota_period(PLAIT_CONFIG_WEEK, t) !=
                             plait_quota_period(PLAIT_CONFIG_WEEK, t - 1),
                         rows[i].week);
        assert_int_equal(plait_quota_period(PLAIT_CONFIG_MONTH, t) !=
                             plait_quota_period(PLAIT_CONFIG_MONTH, t - 1),
                         rows[i].month);
    }
}

static int make_file(void **state)
{
    static char path[] = "/tmp/plait-quota-XXXXXX";

    strcpy(path + strlen(path) - 6, "XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    *state = path;
    return 0;
}

static int remove_file(void **state)
{
    return unlink(*state);
}

static void kept_across_restarts(void **state)
{
    const int64_t now = 1767225600 + 10 * DAY;
    struct plait_quota q;

    assert_int_equal(plait_quota_open(&q, *state), PLAIT_OK);
    plait_quota_add(&q, "lte", PLAIT_CONFIG_MONTH, now, 1000);
    plait_quota_add(&q, "lte", PLAIT_CONFIG_MONTH, now + 1, 234);
    plait_quota_add(&q, "dsl", PLAIT_CONFIG_DAY, now, UINT64_C(1) << 50);
    assert_int_equal(plait_quota_save(&q), PLAIT_OK);
    plait_quota_close(&q);

    assert_int_equal(plait_quota_open(&q, *state), PLAIT_OK);
    assert_int_equal(plait_quota_used(&q, "lte", PLAIT_CONFIG_MONTH, now), 1234);
    assert_int_equal(plait_quota_used(&q, "dsl", PLAIT_CONFIG_DAY, now), UINT64_C(1) << 50);
    assert_int_equal(plait_quota_used(&q, "dsl", PLAIT_CONFIG_DAY, now + DAY), 0);
    assert_int_equal(plait_quota_used(&q, "lte", PLAIT_CONFIG_MONTH, now + 31 * DAY), 0);
    assert_int_equal(plait_quota_used(&q, "lte", PLAIT_CONFIG_WEEK, now), 0);
    assert_int_equal(plait_quota_used(&q, "cable", PLAIT_CONFIG_MONTH, now), 0);
    plait_quota_add(&q, "lte", PLAIT_CONFIG_MONTH, now + 31 * DAY, 7);
    assert_int_equal(plait_quota_save(&q), PLAIT_OK);
    plait_quota_close(&q);

    assert_int_equal(plait_quota_open(&q, *state), PLAIT_OK);
    assert_int_equal(plait_quota_used(&q, "lte", PLAIT_CONFIG_MONTH, now + 31 * DAY), 7);
    plait_quota_close(&q);
}

static void rubbish_in_the_file(void **state)
{
    FILE *f = fopen(*state, "w");
    struct plait_quota q;

    assert_non_null(f);
    fprintf(f, "month x 1 a\nyear 1 1 a\n\nday 5 6\nmonth 24323 9 lte\nmonth 24323 10 lte\nmonth 1 2 %040d\n",
            7);
    for (int i = 0; i < 100; i++)
        fprintf(f, "day 1 1 u%d\n", i);
    fclose(f);
    assert_int_equal(plait_quota_open(&q, *state), PLAIT_OK);
    assert_int_equal(q.count, PLAIT_QUOTA_ENTRIES_MAX);
    assert_string_equal(q.entries[0].name, "lte");
    assert_int_equal(q.entries[0].used, 9);
    plait_quota_add(&q, "one more", PLAIT_CONFIG_DAY, DAY, 1);
    assert_int_equal(q.count, PLAIT_QUOTA_ENTRIES_MAX);
    q.changed = true;
    assert_int_equal(plait_quota_save(&q), PLAIT_OK);
    plait_quota_close(&q);
}

static void no_file(void **unused)
{
    struct plait_quota q;

    (void)unused;
    assert_int_equal(plait_quota_open(&q, "/nowhere/at/all"), PLAIT_ERR_IO);
    plait_quota_add(&q, "lte", PLAIT_CONFIG_DAY, DAY, 5);
    assert_int_equal(plait_quota_used(&q, "lte", PLAIT_CONFIG_DAY, DAY), 5);
    assert_int_equal(plait_quota_save(&q), PLAIT_OK);
    plait_quota_close(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(periods),
        cmocka_unit_test_setup_teardown(kept_across_restarts, make_file, remove_file),
        cmocka_unit_test_setup_teardown(rubbish_in_the_file, make_file, remove_file),
        cmocka_unit_test(no_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
