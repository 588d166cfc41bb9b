#include "arrivals.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "units.h"

#define START (10 * PLAIT_S)
#define DELAY (20 * PLAIT_MS)
#define CLOCK (UINT64_C(1) << 40) /* of the sender, about, where ours begins */

static void come(struct plait_arrivals *a, uint64_t at, uint32_t seq)
{
    struct plait_datagram d = {.kind = PLAIT_DATAGRAM_DATA, .path_seq = seq};

    d.time = (uint32_t)((CLOCK + (at - DELAY) / PLAIT_DATAGRAM_TIME_NS) & 0xffffff);
    plait_arrivals_on_datagram(a, at, &d, 1000, 0 - CLOCK);
}

static void test_an_unbroken_run_is_decided(void **state)
{
    struct plait_arrivals a;
    struct plait_datagram_report r;

    (void)state;
    plait_arrivals_init(&a);
    for (uint32_t i = 0; i < 10; i++)
        come(&a, START + i * PLAIT_MS, i);
    assert_int_equal(plait_arrivals_deadline(&a), PLAIT_NEVER);
    plait_arrivals_report(&a, 3, &r);
    assert_int_equal(r.path, 3);
    assert_int_equal(r.decided, 10);
    assert_int_equal(r.newest, 9);
    assert_int_equal(r.bytes, 10000);
    assert_int_equal(r.packets, 10);
    assert_int_equal(r.ranges_n, 0);
    assert_in_range(r.delay_min, DELAY / PLAIT_DATAGRAM_TIME_NS - 1, DELAY / PLAIT_DATAGRAM_TIME_NS + 1);
    assert_false(a.tell);
}

static void test_a_loss_is_told_after_three_more(void **state)
{
    struct plait_arrivals a;
    struct plait_datagram_report r;

    (void)state;
    plait_arrivals_init(&a);
    come(&a, START, 0);
    come(&a, START, 3);
    come(&a, START, 4);
    come(&a, START, 5);
    assert_false(a.tell_now);
    come(&a, START, 6);
    assert_true(a.tell_now);
    plait_arrivals_report(&a, 0, &r);
    assert_int_equal(r.decided, 7);
    assert_int_equal(r.ranges_n, 1);
    assert_int_equal(r.range[0].first, 1);
    assert_int_equal(r.range[0].count, 2);
    plait_arrivals_report(&a, 0, &r); /* and again: a report may be lost */
    assert_int_equal(r.ranges_n, 1);
}

static void test_a_loss_before_a_pause_is_told_in_time(void **state)
{
    struct plait_arrivals a;

    (void)state;
    plait_arrivals_init(&a);
    come(&a, START, 0);
    come(&a, START, 2);
    uint64_t due = plait_arrivals_deadline(&a);
    assert_in_range(due, START + PLAIT_MS, START + 60 * PLAIT_MS);
    plait_arrivals_on_time(&a, due - 1);
    assert_int_equal(a.lost_packets, 0);
    plait_arrivals_on_time(&a, due);
    assert_int_equal(a.lost_packets, 1);
    assert_true(a.tell_now);
    assert_int_equal(plait_arrivals_deadline(&a), PLAIT_NEVER);
}

static void test_a_path_that_breaks_the_order_gets_time(void **state)
{
    struct plait_arrivals a;

    (void)state;
    plait_arrivals_init(&a);
    come(&a, START, 0);
    come(&a, START, 2);
    come(&a, START + 3 * PLAIT_MS, 1); /* late by 3 ms */
    assert_int_equal(a.late_packets, 1);
    come(&a, START + 4 * PLAIT_MS, 4);
    for (uint32_t i = 5; i < 10; i++)
        come(&a, START + 5 * PLAIT_MS, i);
    assert_int_equal(a.lost_packets, 0);
    come(&a, START + 7 * PLAIT_MS, 3);
    assert_int_equal(a.lost_packets, 0);
    assert_int_equal(plait_arrivals_deadline(&a), PLAIT_NEVER);
}

static void test_a_gap_is_filled_from_within(void **state)
{
    struct plait_arrivals a;
    struct plait_datagram_report r;

    (void)state;
    plait_arrivals_init(&a);
    come(&a, START, 0);
    come(&a, START, 6);
    come(&a, START, 3);
    come(&a, START, 1);
    come(&a, START, 5);
    plait_arrivals_on_time(&a, START + PLAIT_S);
    plait_arrivals_report(&a, 0, &r);
    assert_int_equal(r.ranges_n, 2);
    assert_int_equal(r.range[0].first, 4);
    assert_int_equal(r.range[1].first, 2);
    assert_int_equal(a.lost_packets, 2);
}

static void test_many_gaps_are_bounded(void **state)
{
    struct plait_arrivals a;
    struct plait_datagram_report r;

    (void)state;
    plait_arrivals_init(&a);
    a.late_ns = 40 * PLAIT_MS; /* so that they stay open */
    for (uint32_t i = 0; i < 200; i += 2)
        come(&a, START, i);
    assert_true(a.gaps <= PLAIT_ARRIVALS_GAPS);
    assert_true(a.lost_packets >= 99 - PLAIT_ARRIVALS_GAPS);
    plait_arrivals_report(&a, 0, &r);
    assert_true(r.ranges_n <= PLAIT_DATAGRAM_RANGES_MAX);
}

static void test_numbers_and_times_wrap(void **state)
{
    struct plait_arrivals a;
    struct plait_datagram_report r;
    uint64_t at = START;

    (void)state;
    plait_arrivals_init(&a);
    for (uint32_t i = 0; i < 400; i++, at += PLAIT_S) { /* the clock wraps three times */
        come(&a, at, (0xffffff - 200 + i) & 0xffffff);
        plait_arrivals_report(&a, 0, &r);
        assert_int_equal(r.ranges_n, 0);
        assert_in_range(r.delay_min, DELAY / PLAIT_DATAGRAM_TIME_NS - 1, DELAY / PLAIT_DATAGRAM_TIME_NS + 1);
    }
    assert_int_equal(a.packets, 400);
    assert_int_equal(a.lost_packets, 0);
}

static void test_a_great_jump_begins_anew(void **state)
{
    struct plait_arrivals a;

    (void)state;
    plait_arrivals_init(&a);
    come(&a, START, 0);
    come(&a, START, 5000000);
    assert_int_equal(a.gaps, 0);
    assert_int_equal(a.lost_packets, 0);
    come(&a, START, 5000001);
    assert_int_equal(a.first_undecided, 5000002);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_unbroken_run_is_decided),
        cmocka_unit_test(test_a_loss_is_told_after_three_more),
        cmocka_unit_test(test_a_loss_before_a_pause_is_told_in_time),
        cmocka_unit_test(test_a_path_that_breaks_the_order_gets_time),
        cmocka_unit_test(test_a_gap_is_filled_from_within),
        cmocka_unit_test(test_many_gaps_are_bounded),
        cmocka_unit_test(test_numbers_and_times_wrap),
        cmocka_unit_test(test_a_great_jump_begins_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
