#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "prng.h"
#include "sim_event.h"
#include "units.h"

#define EVENTS 500

struct one {
    struct plait_sim_event event;
    uint64_t want, order;
    struct log *log;
};

struct log {
    struct one ones[EVENTS];
    uint64_t last, last_order;
    unsigned happened;
    unsigned wrong;
};

static void on_fire(void *ctx, uint64_t now)
{
    struct one *o = ctx;
    struct log *log = o->log;

    log->wrong += now != o->want || now < log->last || (now == log->last && o->order < log->last_order);
    log->last = now;
    log->last_order = o->order;
    log->happened++;
}

static void set(struct plait_sim_events *q, struct log *log, unsigned i, uint64_t at, uint64_t order)
{
    log->ones[i].want = at;
    log->ones[i].order = order;
    plait_sim_event_set(q, &log->ones[i].event, at);
}

/* Set, moved and unset at random; what is left happens at its time, those of one instant in the order of
 * setting. */
static void test_order(void **state)
{
    (void)state;
    static struct log log;
    struct plait_sim_events q;
    struct plait_prng g = {7};
    uint64_t order = 0;
    unsigned expect = 0;

    plait_sim_events_init(&q);
    for (unsigned i = 0; i < EVENTS; i++) {
        log.ones[i].log = &log;
        plait_sim_event_init(&log.ones[i].event, on_fire, &log.ones[i]);
    }
    for (unsigned n = 0; n < 20 * EVENTS; n++) {
        unsigned i = (unsigned)plait_prng_below(&g, EVENTS);
        if (plait_prng_below(&g, 4) == 0)
            plait_sim_event_unset(&q, &log.ones[i].event);
        else
            set(&q, &log, i, 1 + plait_prng_below(&g, 100), ++order);
    }
    for (unsigned i = 0; i < EVENTS; i++)
        expect += plait_sim_event_at(&q, &log.ones[i].event) != PLAIT_NEVER;
    assert_true(expect > EVENTS / 2 && expect < EVENTS);
    plait_sim_events_run(&q, 1000);
    assert_int_equal(log.happened, expect);
    assert_int_equal(log.wrong, 0);
    assert_true(q.now == 1000);
    plait_sim_events_done(&q);
}

static void count(void *ctx, uint64_t now)
{
    (void)now;
    ++*(unsigned *)ctx;
}

static void test_until_and_past(void **state)
{
    (void)state;
    struct plait_sim_events q;
    struct plait_sim_event e;
    unsigned n = 0;

    plait_sim_events_init(&q);
    plait_sim_event_init(&e, count, &n);
    plait_sim_event_set(&q, &e, 50);
    plait_sim_events_run(&q, 49);
    assert_int_equal(n, 0);
    assert_true(q.now == 49 && plait_sim_events_next(&q) == 50);
    plait_sim_events_run(&q, 50);
    assert_int_equal(n, 1);
    plait_sim_event_set(&q, &e, 10); /* past: happens now */
    assert_true(plait_sim_event_at(&q, &e) == 50);
    plait_sim_event_set(&q, &e, PLAIT_NEVER);
    assert_true(plait_sim_events_next(&q) == PLAIT_NEVER);
    plait_sim_events_done(&q);
}

static void test_hash(void **state)
{
    (void)state;
    struct plait_sim_events a, b;

    plait_sim_events_init(&a);
    plait_sim_events_init(&b);
    assert_true(a.hash == b.hash);
    plait_sim_events_note(&a, 1);
    plait_sim_events_note(&a, 2);
    plait_sim_events_note(&b, 2);
    plait_sim_events_note(&b, 1);
    assert_true(a.hash != b.hash);
    plait_sim_events_done(&a);
    plait_sim_events_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_until_and_past),
        cmocka_unit_test(test_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
