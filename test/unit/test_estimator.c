/* The estimator: rate, round trip, silence. */
#include "estimator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "units.h"

/* 10 KB every millisecond: 10 MB/s. */
static uint64_t feed(struct plait_estimator *e, uint64_t now, unsigned ms, uint64_t bytes)
{
    for (unsigned i = 0; i < ms; i++) {
        now += PLAIT_MS;
        plait_estimator_on_bytes(e, now, bytes);
    }
    return now;
}

static void assert_near(double got, double want)
{
    assert_true(got > 0.95 * want && got < 1.05 * want);
}

static void measures_a_steady_rate(void **unused)
{
    struct plait_estimator e;

    (void)unused;
    plait_estimator_init(&e);
    assert_true(plait_estimator_rate(&e, PLAIT_S) == 0);
    plait_estimator_on_busy(&e, PLAIT_S, true);
    uint64_t now = feed(&e, PLAIT_S, 300, 10000);
    assert_near(plait_estimator_rate(&e, now), 10e6);
}

static void idle_time_does_not_count(void **unused)
{
    struct plait_estimator e;

    (void)unused;
    plait_estimator_init(&e);
    plait_estimator_on_busy(&e, 0, true);
    uint64_t now = feed(&e, 0, 200, 10000);
    plait_estimator_on_busy(&e, now, false);
    now += 10 * PLAIT_S;
    assert_near(plait_estimator_rate(&e, now), 10e6);
    plait_estimator_on_busy(&e, now, true);
    now = feed(&e, now, 60, 10000);
    assert_near(plait_estimator_rate(&e, now), 10e6);
}

static void follows_a_fall_within_a_few_spans(void **unused)
{
    struct plait_estimator e;

    (void)unused;
    plait_estimator_init(&e);
    plait_estimator_on_busy(&e, 0, true);
    uint64_t now = feed(&e, 0, 500, 10000);
    now = feed(&e, now, 400, 500);
    assert_true(plait_estimator_rate(&e, now) < 0.8e6);
}

static void a_busy_silence_decays(void **unused)
{
    struct plait_estimator e;

    (void)unused;
    plait_estimator_init(&e);
    plait_estimator_on_busy(&e, 0, true);
    uint64_t now = feed(&e, 0, 500, 10000);
    assert_true(plait_estimator_rate(&e, now + 2 * PLAIT_S) < 0.5e6);
}

static void what_is_missing_is_bounded(void **unused)
{
    struct plait_estimator e;

    (void)unused;
    plait_estimator_init(&e);
    assert_true(plait_estimator_behind(&e, PLAIT_S) <= 0);
    plait_estimator_on_busy(&e, 0, true);
    uint64_t now = feed(&e, 0, 500, 10000);
    assert_true(plait_estimator_behind(&e, now) < 0.02 * e.rate);
    double some = plait_estimator_behind(&e, now + 200 * PLAIT_MS);
    assert_true(some > 0.1 * e.rate && some < 0.3 * e.rate);
    assert_true(plait_estimator_behind(&e, now + 60 * PLAIT_S) <= 0.5 * e.rate);
}

static void silence_is_judged_by_gaps_and_round_trips(void **unused)
{
    struct plait_estimator e;

    (void)unused;
    plait_estimator_init(&e);
    assert_int_equal(plait_estimator_silence_ns(&e), 300 * PLAIT_MS);
    plait_estimator_on_rtt(&e, 600 * PLAIT_MS);
    plait_estimator_on_rtt(&e, 900 * PLAIT_MS);
    assert_int_equal(e.rtt_min_ns, 600 * PLAIT_MS);
    assert_int_equal(e.rtt_last_ns, 900 * PLAIT_MS);
    assert_int_equal(plait_estimator_silence_ns(&e), 1300 * PLAIT_MS);
    plait_estimator_on_busy(&e, 0, true);
    for (uint64_t now = PLAIT_S; now < 40 * PLAIT_S; now += PLAIT_S)
        plait_estimator_on_bytes(&e, now, 1000);
    assert_true(plait_estimator_silence_ns(&e) > 2500 * PLAIT_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measures_a_steady_rate),
        cmocka_unit_test(idle_time_does_not_count),
        cmocka_unit_test(follows_a_fall_within_a_few_spans),
        cmocka_unit_test(a_busy_silence_decays),
        cmocka_unit_test(what_is_missing_is_bounded),
        cmocka_unit_test(silence_is_judged_by_gaps_and_round_trips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
