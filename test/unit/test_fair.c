/* What a link carries for others is shared fairly, within its rate. */
#include "fair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "prng.h"

#define RATE 1e6 /* bytes/s */
#define ROOM 1500

static struct plait_fair *f;
static uint64_t now;

static int begin(void **state)
{
    (void)state;
    now = PLAIT_S;
    assert_int_equal(plait_fair_new(256, ROOM, &f), PLAIT_OK);
    return 0;
}

static int end(void **state)
{
    (void)state;
    plait_fair_free(f);
    return 0;
}

/* Each flow offers bytes at its rate in packets of its size, for a time; got: what left. */
static void run(uint64_t time, size_t flows, const double *rate, const size_t *size, uint64_t *got)
{
    double owed[PLAIT_FAIR_FLOWS_MAX] = {0};
    uint8_t bytes[ROOM] = {0}, out[ROOM];
    unsigned flow;
    size_t len;

    for (uint64_t until = now + time; now < until; now += PLAIT_MS) {
        for (unsigned i = 0; i < flows; i++)
            for (owed[i] += rate[i] / 1e3; owed[i] >= (double)size[i]; owed[i] -= (double)size[i]) {
                bytes[0] = (uint8_t)i;
                (void)plait_fair_push(f, now, i, bytes, size[i]);
            }
        while ((len = plait_fair_poll(f, now, &flow, out)) > 0) {
            assert_int_equal(len, size[flow]);
            assert_int_equal(out[0], flow);
            got[flow] += len;
        }
    }
}

/* A second, after which the flows say what they got in it, and perhaps elsewhere. */
static void run_and_tell(size_t flows, const double *rate, const size_t *size, const double *elsewhere,
                         uint64_t *got)
{
    memset(got, 0, flows * sizeof *got);
    run(PLAIT_S, flows, rate, size, got);
    for (unsigned i = 0; i < flows; i++)
        plait_fair_told(f, now, i, elsewhere[i] + (double)got[i]);
}

static void everybody_gets_the_same(void **state)
{
    const double rate[] = {5e6, 1e6, 2e6, 8e5};
    const size_t size[] = {1400, 100, 700, 1500};
    uint64_t got[4] = {0}, all = 0;

    (void)state;
    plait_fair_set_rate(f, now, RATE, 0);
    run(5 * PLAIT_S, 4, rate, size, got);
    for (int i = 0; i < 4; i++) {
        assert_in_range(got[i], 1200000, 1300000);
        all += got[i];
    }
    assert_in_range(all, 4950000, 5010000);
}

/* The first one has as much again elsewhere as all of this line. */
static void who_has_more_elsewhere_has_less_here(void **state)
{
    const double rate[] = {5e6, 5e6, 1e5}; /* the third one's are acknowledgements */
    const size_t size[] = {1400, 1400, 200};
    uint64_t got[3] = {0};

    (void)state;
    plait_fair_set_rate(f, now, RATE, 0);
    for (unsigned i = 0; i < 30; i++)
        run_and_tell(3, rate, size, (double[]){3e5, 0, 0}, got);
    assert_in_range(got[0], 270000, 330000);
    assert_in_range(got[1], 570000, 630000);
    assert_in_range(got[2], 95000, 105000);
    memset(got, 0, sizeof got);
    run(30 * PLAIT_S, 3, rate, size, got); /* nothing more is said: all are equal again */
    run(5 * PLAIT_S, 3, rate, size, memset(got, 0, sizeof got));
    assert_in_range(got[0], 2200000, 2300000);
    assert_in_range(got[1], 2200000, 2300000);
}

static void who_claims_to_have_nothing_gains_what_such_a_one_gains(void **state)
{
    const double rate[] = {5e6, 5e6};
    const size_t size[] = {1400, 1400};
    uint64_t got[2] = {0};

    (void)state;
    plait_fair_set_rate(f, now, RATE, 0);
    for (unsigned i = 0; i < 30; i++) {
        memset(got, 0, sizeof got);
        run(PLAIT_S, 2, rate, size, got);
        plait_fair_told(f, now, 0, 0);
        plait_fair_told(f, now, 1, (double)got[1]);
    }
    assert_in_range(got[0], 480000, 520000);
    plait_fair_told(f, now, PLAIT_FAIR_FLOWS_MAX, 1e6);
    plait_fair_told(f, now, 1, -1);
}

static void who_asks_for_less_gets_it(void **state)
{
    const double rate[] = {5e6, 1e5, 5e6};
    const size_t size[] = {1400, 200, 1400};
    uint64_t got[3] = {0};
    struct plait_fair_counts counts;

    (void)state;
    plait_fair_set_rate(f, now, RATE, 0);
    run(5 * PLAIT_S, 3, rate, size, got);
    assert_in_range(got[1], 495000, 500000);
    assert_in_range(got[0], 2180000, 2300000);
    assert_in_range(got[2], 2180000, 2300000);
    plait_fair_counts(f, 1, &counts);
    assert_int_equal(counts.dropped, 0);
    assert_true(counts.bytes == got[1]);
}

static void without_a_rate_nothing_waits(void **state)
{
    const double rate[] = {5e6, 7e6};
    const size_t size[] = {1400, 300};
    uint64_t got[2] = {0};

    (void)state;
    run(PLAIT_S, 2, rate, size, got);
    assert_in_range(got[0], 4990000, 5000000);
    assert_in_range(got[1], 6990000, 7000000);
    assert_true(plait_fair_next_deadline(f) == PLAIT_NEVER);
}

static void the_overhead_counts(void **state)
{
    const double rate[] = {5e6};
    const size_t size[] = {100};
    uint64_t got[1] = {0};

    (void)state;
    plait_fair_set_rate(f, now, RATE, 100);
    run(2 * PLAIT_S, 1, rate, size, got);
    assert_in_range(got[0], 980000, 1005000);
}

static void nobody_waits_for_long(void **state)
{
    const double rate[] = {5e6};
    const size_t size[] = {1400};
    uint64_t got[1] = {0};
    uint8_t out[ROOM];
    unsigned flow;

    (void)state;
    plait_fair_set_rate(f, now, RATE, 0);
    run(PLAIT_S, 1, rate, size, got);
    now += PLAIT_FAIR_WAIT + 5 * PLAIT_MS;
    assert_int_equal(plait_fair_poll(f, now, &flow, out), 0);
    assert_true(plait_fair_next_deadline(f) == PLAIT_NEVER);
}

static void a_late_call_catches_up(void **state)
{
    uint8_t bytes[ROOM] = {0}, out[ROOM];
    unsigned flow;
    uint64_t sent = 0, from = now;

    (void)state;
    plait_fair_set_rate(f, now, RATE, 0);
    for (; now - from < PLAIT_S; now += 2 * PLAIT_MS) {
        for (int i = 0; i < 4; i++)
            (void)plait_fair_push(f, now, 0, bytes, 1000);
        for (size_t len; (len = plait_fair_poll(f, now, &flow, out)) > 0;)
            sent += len;
    }
    assert_in_range(sent, 990000, 1010000);
}

static void what_cannot_be_is_refused(void **state)
{
    uint8_t bytes[ROOM + 1] = {0};
    struct plait_fair *none;

    (void)state;
    assert_int_equal(plait_fair_push(f, now, PLAIT_FAIR_FLOWS_MAX, bytes, 1), PLAIT_ERR_ARG);
    assert_int_equal(plait_fair_push(f, now, 0, bytes, sizeof bytes), PLAIT_ERR_ARG);
    assert_int_equal(plait_fair_push(f, now, 0, bytes, 0), PLAIT_ERR_ARG);
    assert_int_equal(plait_fair_new(0, 10, &none), PLAIT_ERR_ARG);
}

static void a_flow_that_goes_leaves_nothing(void **state)
{
    uint8_t bytes[ROOM] = {0}, out[ROOM];
    unsigned flow;

    (void)state;
    for (int i = 0; i < 200; i++)
        assert_int_equal(plait_fair_push(f, now, (unsigned)i % 2, bytes, 1000), PLAIT_OK);
    plait_fair_drop_flow(f, 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(plait_fair_poll(f, now, &flow, out), 1000);
        assert_int_equal(flow, 1);
    }
    assert_int_equal(plait_fair_poll(f, now, &flow, out), 0);
    for (int i = 0; i < 256; i++)
        assert_int_equal(plait_fair_push(f, now, 2, bytes, 1000), PLAIT_OK);
}

/* Any numbers: the rate is kept, and nobody who always had something waiting got less than an equal share. */
static void seeds(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct plait_prng g = {seed};
        size_t flows = 2 + plait_prng_below(&g, 12), size[16];
        double rate[16], link = 2e5 + 2e6 * plait_prng_unit(&g), sum = 0;
        uint64_t got[16] = {0}, all = 0;
        for (size_t i = 0; i < flows; i++) {
            size[i] = 60 + plait_prng_below(&g, ROOM - 60);
            rate[i] = link * (0.02 + 2 * plait_prng_unit(&g)) / (double)flows * 3;
            sum += rate[i];
        }
        plait_fair_free(f);
        assert_int_equal(plait_fair_new(256, ROOM, &f), PLAIT_OK);
        plait_fair_set_rate(f, now, link, 0);
        run(2 * PLAIT_S, flows, rate, size, got);
        for (size_t i = 0; i < flows; i++) {
            all += got[i];
            double least =
                rate[i] * 0.9 < link / (double)flows * 0.9 ? rate[i] * 0.9 : link / (double)flows * 0.9;
            if ((double)got[i] + 4 * ROOM < 2 * least)
                fail_msg("seed %d: flow %d got %d of %.0f", (int)seed, (int)i, (int)got[i], 2 * least);
        }
        assert_true((double)all <= 2.01 * link + 2 * ROOM);
        assert_true((double)all + 4 * ROOM * (double)flows >= 1.9 * (sum < link ? sum : link));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(everybody_gets_the_same, begin, end),
        cmocka_unit_test_setup_teardown(who_has_more_elsewhere_has_less_here, begin, end),
        cmocka_unit_test_setup_teardown(who_claims_to_have_nothing_gains_what_such_a_one_gains, begin, end),
        cmocka_unit_test_setup_teardown(who_asks_for_less_gets_it, begin, end),
        cmocka_unit_test_setup_teardown(without_a_rate_nothing_waits, begin, end),
        cmocka_unit_test_setup_teardown(the_overhead_counts, begin, end),
        cmocka_unit_test_setup_teardown(nobody_waits_for_long, begin, end),
        cmocka_unit_test_setup_teardown(a_late_call_catches_up, begin, end),
        cmocka_unit_test_setup_teardown(what_cannot_be_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(a_flow_that_goes_leaves_nothing, begin, end),
        cmocka_unit_test_setup_teardown(seeds, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
