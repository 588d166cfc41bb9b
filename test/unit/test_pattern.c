/* Patterns from weights and by earliest arrival; the golden ones are the seeds' examples. */
#include "pattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "units.h"

static void assert_letters(const struct plait_pattern *p, const char *letters)
{
    char got[PLAIT_PATTERN_LEN_MAX + 1] = {0};

    for (size_t i = 0; i < p->len; i++)
        got[i] = (char)('A' + p->path[i]);
    assert_string_equal(got, letters);
}

static void weights_of_the_seed(void **unused)
{
    const uint32_t weights[] = {2, 1, 2};
    struct plait_pattern p;

    (void)unused;
    assert_int_equal(plait_pattern_from_weights(weights, 3, 0, &p), PLAIT_OK);
    assert_letters(&p, "ABCAC");
    assert_int_equal(plait_pattern_from_weights(weights, 3, 10, &p), PLAIT_OK);
    assert_letters(&p, "ABCACABCAC");
    assert_int_equal(plait_pattern_path(&p, 50, 50), 0);
    assert_int_equal(plait_pattern_path(&p, 50, 64), 2);
}

static void modems_of_the_seed(void **unused)
{
    const uint32_t weights[] = {1, 2, 4, 18}; /* 28.8k modem, 56k, dual ISDN, 500k ADSL */
    struct plait_pattern p;
    unsigned seen[4] = {0};

    (void)unused;
    assert_int_equal(plait_pattern_from_weights(weights, 4, 0, &p), PLAIT_OK);
    assert_int_equal(p.len, 25);
    for (size_t i = 0; i < p.len; i++)
        seen[p.path[i]]++;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(seen[i], weights[i]);
}

static void shares_are_rounded_fairly(void **unused)
{
    const uint32_t thirds[] = {1, 1, 1}, none[] = {0, 5};
    struct plait_pattern p;

    (void)unused;
    assert_int_equal(plait_pattern_from_weights(thirds, 3, 4, &p), PLAIT_OK);
    assert_letters(&p, "ABCA");
    assert_int_equal(plait_pattern_from_weights(none, 2, 3, &p), PLAIT_OK);
    assert_letters(&p, "BBB");
}

static void refuses_what_makes_no_pattern(void **unused)
{
    const uint32_t zero[] = {0, 0}, huge[] = {UINT32_MAX, UINT32_MAX};
    struct plait_pattern p;

    (void)unused;
    assert_int_equal(plait_pattern_from_weights(zero, 2, 0, &p), PLAIT_ERR_RANGE);
    assert_int_equal(plait_pattern_from_weights(zero, 0, 0, &p), PLAIT_ERR_RANGE);
    assert_int_equal(plait_pattern_from_weights(huge, 2, 0, &p), PLAIT_ERR_RANGE);
    assert_int_equal(plait_pattern_from_weights(huge, 2, 1000, &p), PLAIT_OK);
    assert_int_equal(p.len, 1000);
}

static void arrival_with_equal_delays_shares_by_rate(void **unused)
{
    const struct plait_sched_path paths[] = {{.rate = 2e6}, {.rate = 1e6}, {.rate = 2e6}};
    struct plait_pattern p;
    unsigned seen[3] = {0};

    (void)unused;
    assert_int_equal(plait_pattern_by_arrival(paths, 3, 10, 1000, &p), PLAIT_OK);
    for (size_t i = 0; i < p.len; i++)
        seen[p.path[i]]++;
    assert_int_equal(seen[0], 4);
    assert_int_equal(seen[1], 2);
    assert_int_equal(seen[2], 4);
}

static void arrival_gives_the_long_path_blocks_further_ahead(void **unused)
{
    const struct plait_sched_path paths[] = {{.rate = 1e6, .delay_ns = 10 * PLAIT_MS},
                                             {.rate = 1e6, .delay_ns = 15 * PLAIT_MS + 1}};
    struct plait_pattern p;

    (void)unused;
    assert_int_equal(plait_pattern_by_arrival(paths, 2, 9, 1000, &p), PLAIT_OK);
    assert_letters(&p, "AAAAAABAB");
}

static void the_earliest_arrival_wins(void **unused)
{
    const struct plait_sched_path paths[] = {
        {.rate = 1e6, .delay_ns = 50 * PLAIT_MS}, {.rate = 1e5, .delay_ns = 1 * PLAIT_MS}, {.rate = 0}};
    uint64_t arrival;

    (void)unused;
    assert_int_equal(plait_sched_pick(paths, 3, 1000, 1000, &arrival), 1);
    assert_int_equal(arrival, 1000 + 11 * PLAIT_MS);
    assert_int_equal(plait_sched_pick(paths, 3, 1000, 100000, &arrival), 0);
    assert_int_equal(plait_sched_pick(paths + 2, 1, 0, 1, &arrival), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_of_the_seed),
        cmocka_unit_test(modems_of_the_seed),
        cmocka_unit_test(shares_are_rounded_fairly),
        cmocka_unit_test(refuses_what_makes_no_pattern),
        cmocka_unit_test(arrival_with_equal_delays_shares_by_rate),
        cmocka_unit_test(arrival_gives_the_long_path_blocks_further_ahead),
        cmocka_unit_test(the_earliest_arrival_wins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
