#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim_link.h"
#include "units.h"

struct got {
    uint64_t count, bytes, first_ns, last_ns, last_id, disorder, dropped;
};

static void deliver(void *ctx, uint64_t now, const struct plait_sim_packet *p)
{
    struct got *g = ctx;

    if (g->count == 0)
        g->first_ns = now;
    else
        g->disorder += p->body[0] < g->last_id;
    g->last_id = p->body[0];
    g->last_ns = now;
    g->count++;
    g->bytes += p->bytes;
}

static void dropped(void *ctx, const struct plait_sim_packet *p)
{
    (void)p;
    ((struct got *)ctx)->dropped++;
}

/* `n` packets of 1500 bytes, one each `every_ns`, over the links; what arrived until everything was still. */
static struct got send_over(const struct plait_sim_link_config *config, uint32_t links, uint64_t n,
                            uint64_t every_ns)
{
    struct got got = {0};
    struct plait_sim_events q;
    struct plait_sim_link link[PLAIT_SIM_HOPS];
    struct plait_sim_route route = {.hops = links};
    struct plait_sim_sink sink = {deliver, dropped, &got};

    plait_sim_events_init(&q);
    for (uint32_t i = 0; i < links; i++) {
        plait_sim_link_init(&link[i], &q, &config[i]);
        route.hop[i] = &link[i];
    }
    for (uint64_t i = 0; i < n; i++) {
        struct plait_sim_packet p = {.route = &route, .sink = &sink, .bytes = 1500, .body = {i}};
        plait_sim_events_run(&q, i * every_ns);
        plait_sim_packet_send(&p, q.now);
    }
    plait_sim_events_run(&q, n * every_ns + 1000 * PLAIT_S);
    for (uint32_t i = 0; i < links; i++)
        plait_sim_link_done(&link[i]);
    plait_sim_events_done(&q);
    return got;
}

static void test_rate_and_delay(void **state)
{
    (void)state;
    struct plait_sim_link_config c = {.rate = 1500000, .delay_ns = 20 * PLAIT_MS};
    struct got g = send_over(&c, 1, 1000, 0);

    assert_true(g.count == 1000 && g.disorder == 0);
    assert_true(g.first_ns == 21 * PLAIT_MS);
    assert_true(g.last_ns == 1020 * PLAIT_MS); /* one each millisecond */
}

static void test_steps(void **state)
{
    (void)state;
    /* 1 packet/ms for 100 ms, nothing for 100 ms, 10 packets/ms from then on: 100 + 0 + 400 in 240 ms */
    struct plait_sim_step steps[] = {{100 * PLAIT_MS, 0}, {200 * PLAIT_MS, 15000000}};
    struct plait_sim_link_config c = {.rate = 1500000, .steps = steps, .steps_n = 2};
    struct got g = send_over(&c, 1, 500, 0);

    assert_true(g.count == 500);
    assert_true(g.last_ns == 240 * PLAIT_MS);
    /* with a period of 200 ms: 100 in each */
    c.period_ns = 200 * PLAIT_MS;
    g = send_over(&c, 1, 500, 0);
    assert_true(g.last_ns == 900 * PLAIT_MS);
    /* stopped for good: what was not sent by then is lost */
    c.period_ns = 0;
    c.steps_n = 1;
    g = send_over(&c, 1, 500, 0);
    assert_true(g.count == 100 && g.dropped == 400);
}

static void test_queue(void **state)
{
    (void)state;
    struct plait_sim_link_config c = {.rate = 1500000, .queue_bytes = 15000};
    assert_true(send_over(&c, 1, 1000, 0).count == 10);
    c = (struct plait_sim_link_config){.rate = 1500000, .queue_ns = 10 * PLAIT_MS};
    assert_true(send_over(&c, 1, 1000, 0).count == 11); /* those that would wait at most 10 ms */
    /* twice the rate of the line for 2 s: the line stays full */
    struct got g = send_over(&c, 1, 4000, PLAIT_MS / 2);
    assert_in_range(g.count, 2009, 2011);
    assert_true(g.count + g.dropped == 4000);
}

static void test_loss(void **state)
{
    (void)state;
    struct plait_sim_link_config c = {.rate = 1000 * PLAIT_MIB, .loss = 0.03, .seed = 5};
    assert_in_range(send_over(&c, 1, 100000, 10000).count, 96800, 97200);
    /* bad for a mean of 20 packets in each 1000, half of them lost: a hundredth, in bursts */
    c = (struct plait_sim_link_config){
        .rate = 1000 * PLAIT_MIB, .burst_enter = 0.001, .burst_leave = 0.05, .burst_loss = 0.5, .seed = 6};
    assert_in_range(send_over(&c, 1, 200000, 10000).dropped, 1700, 2300);
    /* a tenth of each second everything is lost, but not in the first */
    c = (struct plait_sim_link_config){
        .rate = 1000 * PLAIT_MIB, .storm_every_ns = PLAIT_S, .storm_ns = 100 * PLAIT_MS, .storm_loss = 1};
    assert_in_range(send_over(&c, 1, 10000, PLAIT_MS).dropped, 899, 901);
}

static void test_outage(void **state)
{
    (void)state;
    struct plait_sim_outage out[] = {{PLAIT_S, 2 * PLAIT_S}, {3 * PLAIT_S, 3500 * PLAIT_MS}};
    struct plait_sim_link_config c = {
        .rate = 1000 * PLAIT_MIB, .delay_ns = 50 * PLAIT_MS, .outages = out, .outages_n = 2};
    struct got g = send_over(&c, 1, 4000, PLAIT_MS);

    assert_in_range(g.dropped, 1600 - 2, 1600 + 2); /* with what was on the way when it died */
    assert_true(g.count + g.dropped == 4000);
    assert_true(plait_sim_link_rate_at(&c, 1500 * PLAIT_MS) == 0);
    assert_true(plait_sim_link_rate_at(&c, 2500 * PLAIT_MS) == 1000 * PLAIT_MIB);
}

static void test_jitter(void **state)
{
    (void)state;
    struct plait_sim_link_config c = {
        .rate = 15000000, .delay_ns = 10 * PLAIT_MS, .jitter_ns = 10 * PLAIT_MS};
    struct got g = send_over(&c, 1, 1000, PLAIT_MS);

    assert_true(g.count == 1000 && g.disorder == 0);
    assert_in_range(g.last_ns, 999 * PLAIT_MS + 10 * PLAIT_MS, 999 * PLAIT_MS + 21 * PLAIT_MS);
    c.reorder = true;
    g = send_over(&c, 1, 1000, PLAIT_MS);
    assert_true(g.count == 1000 && g.disorder > 100);
}

static void test_route(void **state)
{
    (void)state;
    struct plait_sim_link_config c[3] = {{.rate = 15000000, .delay_ns = 5 * PLAIT_MS},
                                         {.rate = 1500000, .delay_ns = 6 * PLAIT_MS},
                                         {.rate = 15000000, .delay_ns = 7 * PLAIT_MS, .loss = 1}};
    struct got g = send_over(c, 2, 100, 0);

    assert_true(g.count == 100);
    assert_true(g.last_ns == 111 * PLAIT_MS + PLAIT_MS / 10); /* the slow link sets the pace */
    g = send_over(c, 3, 100, 0);
    assert_true(g.count == 0 && g.dropped == 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate_and_delay), cmocka_unit_test(test_steps),  cmocka_unit_test(test_queue),
        cmocka_unit_test(test_loss),           cmocka_unit_test(test_outage), cmocka_unit_test(test_jitter),
        cmocka_unit_test(test_route),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
