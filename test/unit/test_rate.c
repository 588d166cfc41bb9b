#include "rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "prng.h"
#include "units.h"

#define PACKET 1500.0

/* A line with a queue, and a sender that gives it what the estimate allows. */
struct line {
    struct plait_rate rate;
    double capacity; /* bytes/s */
    uint64_t delay_ns, jitter_ns, queue_max_ns;
    double loss;
    double demand; /* bytes/s; 0 = without end */
    struct plait_prng prng;

    uint64_t now, free, next_send, last_arrival;
    double sent, arrived;
    struct {
        uint64_t sent_ns, arrival_ns;
        double sent, arrived;
    } fly[4096];
    unsigned head, tail;
    uint64_t queue_most;
};

static void send_one(struct line *l)
{
    uint64_t start = plait_max_u64(l->free, l->now);
    uint64_t wait = start - l->now;
    double pace = plait_rate_pace(&l->rate);

    if (l->demand > 0 && l->demand < pace)
        pace = l->demand;
    plait_rate_on_send(&l->rate, l->now, l->sent);
    l->next_send += plait_time_to_carry(PACKET, pace);
    l->sent += PACKET;
    if (wait > l->queue_max_ns)
        return; /* dropped */
    l->queue_most = plait_max_u64(l->queue_most, wait);
    l->free = start + plait_time_to_carry(PACKET, l->capacity);
    if (plait_prng_unit(&l->prng) < l->loss)
        return;
    uint64_t jitter = l->jitter_ns > 0 ? plait_prng_below(&l->prng, l->jitter_ns) : 0;
    l->last_arrival = plait_max_u64(l->last_arrival, l->free + l->delay_ns + jitter);
    l->arrived += PACKET;
    l->fly[l->tail % 4096].sent_ns = l->now;
    l->fly[l->tail % 4096].arrival_ns = l->last_arrival;
    l->fly[l->tail % 4096].sent = l->sent;
    l->fly[l->tail++ % 4096].arrived = l->arrived;
}

/* Feedback every five milliseconds, of what arrived a delay ago. */
static void report(struct line *l)
{
    struct plait_rate_sample s = {.delay_ns = INT64_MAX};
    bool any = false;

    while (l->head < l->tail && l->fly[l->head % 4096].arrival_ns + l->delay_ns <= l->now) {
        int64_t delay = (int64_t)(l->fly[l->head % 4096].arrival_ns - l->fly[l->head % 4096].sent_ns);
        s.delay_ns = delay < s.delay_ns ? delay : s.delay_ns;
        s.arrival_ns = l->fly[l->head % 4096].arrival_ns;
        s.sent_ns = l->fly[l->head % 4096].sent_ns;
        s.sent = l->fly[l->head % 4096].sent;
        s.arrived = l->fly[l->head++ % 4096].arrived;
        any = true;
    }
    if (any)
        plait_rate_on_sample(&l->rate, l->now, &s, l->sent);
}

static void run(struct line *l, uint64_t ns)
{
    uint64_t end = l->now + ns;

    for (; l->now < end; l->now += PLAIT_MS / 10) {
        while (l->next_send <= l->now)
            send_one(l);
        if (l->now % (5 * PLAIT_MS) == 0)
            report(l);
    }
}

static void begin(struct line *l, double mbit, uint64_t rtt_ms)
{
    *l = (struct line){.capacity = mbit * 125000,
                       .delay_ns = rtt_ms * PLAIT_MS / 2,
                       .queue_max_ns = 500 * PLAIT_MS,
                       .now = PLAIT_S,
                       .next_send = PLAIT_S,
                       .prng = {1}};
    plait_rate_init(&l->rate, 125000);
    l->rate.rtt_ns = rtt_ms * PLAIT_MS;
}

static void assert_rate(const struct line *l, double low, double high)
{
    double part = l->rate.rate / l->capacity;

    if (part < low || part > high)
        fail_msg("rate %.3f of the capacity, expected %.2f to %.2f", part, low, high);
}

static void test_finds_the_capacity(void **state)
{
    static struct line l;

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        begin(&l, (const double[]){5, 20, 100, 300}[i], 20);
        run(&l, 6 * PLAIT_S);
        assert_rate(&l, 0.93, 1.03);
    }
}

static void test_leaves_no_standing_queue(void **state)
{
    static struct line l;
    uint64_t sum = 0;

    (void)state;
    begin(&l, 50, 40);
    run(&l, 6 * PLAIT_S);
    for (int i = 0; i < 400; i++) {
        run(&l, 10 * PLAIT_MS);
        sum += plait_since(l.free, l.now);
    }
    assert_true(sum / 400 < 4 * PLAIT_MS);
}

static void test_follows_a_fall_in_little_time(void **state)
{
    static struct line l;

    (void)state;
    begin(&l, 50, 20);
    run(&l, 5 * PLAIT_S);
    l.capacity /= 5;
    run(&l, 500 * PLAIT_MS);
    assert_rate(&l, 0.7, 1.2);
    run(&l, 2 * PLAIT_S);
    assert_rate(&l, 0.9, 1.03);
    assert_true(plait_since(l.free, l.now) < 30 * PLAIT_MS);
}

static void test_follows_a_rise(void **state)
{
    static struct line l;

    (void)state;
    begin(&l, 10, 20);
    run(&l, 5 * PLAIT_S);
    l.capacity *= 5;
    run(&l, 6 * PLAIT_S);
    assert_rate(&l, 0.8, 1.03);
}

static void test_little_traffic_says_nothing(void **state)
{
    static struct line l;

    (void)state;
    begin(&l, 50, 20);
    run(&l, 5 * PLAIT_S);
    double before = l.rate.rate;
    l.demand = 50000;
    run(&l, 30 * PLAIT_S);
    assert_true(l.rate.rate > 0.97 * before);
}

static void test_loss_alone_does_not_lower_it(void **state)
{
    static struct line l;

    (void)state;
    begin(&l, 30, 40);
    l.loss = 0.02;
    run(&l, 10 * PLAIT_S);
    assert_rate(&l, 0.85, 1.06);
}

static void test_a_queue_that_drops_early_is_a_limit(void **state)
{
    static struct line l;

    (void)state;
    begin(&l, 30, 40);
    l.queue_max_ns = 2 * PLAIT_MS;
    run(&l, 10 * PLAIT_S);
    assert_rate(&l, 0.8, 1.05);
}

static void test_jitter_is_no_queue(void **state)
{
    static struct line l;

    (void)state;
    begin(&l, 40, 60);
    l.jitter_ns = 10 * PLAIT_MS;
    run(&l, 12 * PLAIT_S);
    assert_rate(&l, 0.80, 1.10);
}

static void test_a_limit_is_kept(void **state)
{
    static struct line l;

    (void)state;
    begin(&l, 50, 20);
    l.rate.rate_max = 1e6;
    run(&l, 5 * PLAIT_S);
    assert_true(plait_rate_pace(&l.rate) <= 1e6);
    assert_true(l.arrived > 3.5e6);
}

static void test_a_train_is_only_a_first_guess(void **state)
{
    static struct line l;

    (void)state;
    begin(&l, 50, 20);
    plait_rate_on_train(&l.rate, 40 * 125000);
    assert_true(l.rate.rate == 40 * 125000.0);
    run(&l, 5 * PLAIT_S);
    plait_rate_on_train(&l.rate, 500 * 125000);
    assert_rate(&l, 0.9, 1.03);
}

static void test_a_later_train_counts_more(void **state)
{
    static struct line l;

    (void)state;
    begin(&l, 50, 20);
    plait_rate_on_train(&l.rate, 90 * 125000);
    plait_rate_on_train(&l.rate, 30 * 125000);
    assert_true(l.rate.rate == 30 * 125000.0);
}

static void test_what_was_made_good_is_no_queue(void **state)
{
    static struct line l;
    uint64_t now = 5 * PLAIT_S;

    (void)state;
    begin(&l, 50, 20);
    plait_rate_on_burst(&l.rate, now, 12 * PLAIT_MS);
    plait_rate_on_burst(&l.rate, now + PLAIT_MS, 3 * PLAIT_MS);
    assert_int_equal(l.rate.burst_ns, 12 * PLAIT_MS);
    plait_rate_on_burst(&l.rate, now + 3 * PLAIT_S, 3 * PLAIT_MS);
    assert_int_equal(l.rate.burst_ns, 3 * PLAIT_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_the_capacity),
        cmocka_unit_test(test_leaves_no_standing_queue),
        cmocka_unit_test(test_follows_a_fall_in_little_time),
        cmocka_unit_test(test_follows_a_rise),
        cmocka_unit_test(test_little_traffic_says_nothing),
        cmocka_unit_test(test_loss_alone_does_not_lower_it),
        cmocka_unit_test(test_a_queue_that_drops_early_is_a_limit),
        cmocka_unit_test(test_jitter_is_no_queue),
        cmocka_unit_test(test_a_limit_is_kept),
        cmocka_unit_test(test_a_train_is_only_a_first_guess),
        cmocka_unit_test(test_a_later_train_counts_more),
        cmocka_unit_test(test_what_was_made_good_is_no_queue),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
