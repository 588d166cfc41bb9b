#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "sim_tcp.h"
#include "units.h"

#define MBIT       UINT64_C(125000) /* bytes/s */
#define FLOWS_MAX  8
#define ASK_BYTES  200
#define GIB        (UINT64_C(1024) * PLAIT_MIB)
#define NOT_CLOSED (-1)

/* Clients that each ask one server for bytes over the same pair of links. */
struct world;

struct flow {
    struct world *world;
    struct plait_sim_conn *conn;
    uint64_t asked, got, connected_ns, first_ns, done_ns, got_1s;
    int closed;
};

struct world {
    struct plait_sim_events events;
    struct plait_sim_tcp tcp;
    struct plait_sim_link up, down;
    struct plait_sim_route route_up, route_down;
    struct plait_sim_listener listener;
    struct flow flow[FLOWS_MAX];
    struct flow *accepting;
    enum plait_sim_verdict verdict;
    bool dead;
};

static void on_connected(void *ctx, uint64_t now)
{
    struct flow *f = ctx;

    f->connected_ns = now;
    plait_sim_conn_write(f->conn, PLAIT_SIM_CLIENT, now, ASK_BYTES);
}

static void on_data(void *ctx, uint64_t now, uint64_t bytes)
{
    struct flow *f = ctx;

    if (f->got == 0)
        f->first_ns = now;
    f->got += bytes;
    if (now <= PLAIT_S)
        f->got_1s = f->got;
    if (f->got >= f->asked)
        f->done_ns = now;
}

static void on_closed(void *ctx, uint64_t now, enum plait_sim_close why)
{
    struct flow *f = ctx;
    (void)now;
    f->closed = (int)why;
}

static void on_asked(void *ctx, uint64_t now, uint64_t bytes)
{
    struct flow *f = ctx;

    assert_int_equal(bytes, ASK_BYTES);
    plait_sim_conn_write(f->conn, PLAIT_SIM_SERVER, now, f->asked);
}

static const struct plait_sim_tcp_app client_app = {on_connected, on_data, on_closed};
static const struct plait_sim_tcp_app server_app = {NULL, on_asked, NULL};

static enum plait_sim_verdict accept_any(void *ctx, uint64_t now, struct plait_sim_conn *conn)
{
    struct world *w = ctx;
    (void)now;

    for (int i = 0; i < FLOWS_MAX; i++)
        if (w->flow[i].conn == conn)
            plait_sim_conn_own(conn, &server_app, &w->flow[i]);
    return w->verdict;
}

static bool is_alive(void *ctx, uint64_t now)
{
    (void)now;
    return !((struct world *)ctx)->dead;
}

static void world_init(struct world *w, const struct plait_sim_link_config *down,
                       struct plait_sim_flow_config flow)
{
    struct plait_sim_link_config up = {.rate = 100 * MBIT, .delay_ns = down->delay_ns};

    *w = (struct world){.verdict = PLAIT_SIM_ACCEPT};
    plait_sim_events_init(&w->events);
    plait_sim_tcp_init(&w->tcp, &w->events, &flow);
    plait_sim_link_init(&w->up, &w->events, &up);
    plait_sim_link_init(&w->down, &w->events, down);
    w->route_up = (struct plait_sim_route){{&w->up}, 1};
    w->route_down = (struct plait_sim_route){{&w->down}, 1};
    w->listener = (struct plait_sim_listener){accept_any, is_alive, w};
}

static void world_done(struct world *w)
{
    plait_sim_tcp_done(&w->tcp);
    plait_sim_link_done(&w->up);
    plait_sim_link_done(&w->down);
    assert_int_equal(w->events.count, 0); /* nobody left an event behind */
    plait_sim_events_done(&w->events);
}

static struct flow *start(struct world *w, int i, uint64_t bytes)
{
    struct flow *f = &w->flow[i];

    *f = (struct flow){.world = w, .asked = bytes, .closed = NOT_CLOSED};
    f->conn = plait_sim_tcp_connect(&w->tcp, w->events.now, &w->listener, &w->route_up, &w->route_down,
                                    &client_app, f);
    return f;
}

/* Mbit/s of payload of one bulk flow over `s` seconds. */
static double bulk(const struct plait_sim_link_config *down, struct plait_sim_flow_config flow, uint64_t s)
{
    struct world w;

    world_init(&w, down, flow);
    struct flow *f = start(&w, 0, GIB);
    plait_sim_events_run(&w.events, s * PLAIT_S);
    double mbit = (double)f->got * 8 / 1e6 / (double)s;
    world_done(&w);
    return mbit;
}

static void assert_between(double v, double lo, double hi)
{
    if (v < lo || v > hi)
        fail_msg("%.3f is not within %.3f and %.3f", v, lo, hi);
}

static void test_handshake_and_first_bytes(void **state)
{
    (void)state;
    struct plait_sim_link_config c = {.rate = 100 * MBIT, .delay_ns = 25 * PLAIT_MS};
    struct world w;

    world_init(&w, &c, plait_sim_tcp_defaults());
    struct flow *f = start(&w, 0, 14480);
    plait_sim_events_run(&w.events, 10 * PLAIT_S);
    assert_in_range(f->connected_ns, 50 * PLAIT_MS, 51 * PLAIT_MS);
    assert_in_range(f->first_ns, 100 * PLAIT_MS, 101 * PLAIT_MS);
    assert_in_range(f->done_ns, 101 * PLAIT_MS, 102 * PLAIT_MS); /* ten segments need no further round trip */
    assert_true(f->got == 14480);
    world_done(&w);
}

static void test_fills_a_short_path(void **state)
{
    (void)state;
    struct plait_sim_link_config c = {
        .rate = 100 * MBIT, .delay_ns = 5 * PLAIT_MS, .queue_ns = 50 * PLAIT_MS};
    struct plait_sim_flow_config reno = plait_sim_tcp_defaults();

    reno.cc = PLAIT_SIM_CC_RENO;
    assert_between(bulk(&c, plait_sim_tcp_defaults(), 10), 95.0, 96.6); /* 1448 of 1500 */
    assert_between(bulk(&c, reno, 10), 94.0, 96.6);
}

/* A long fat path: two round trips to the first byte, then about seven doublings from ten segments to 1.5 MB.
 */
static void test_long_path_takes_its_time(void **state)
{
    (void)state;
    struct plait_sim_link_config c = {.rate = 20 * MBIT, .delay_ns = 300 * PLAIT_MS, .queue_bytes = 1500000};
    struct world w;
    uint64_t full_ns = 0, before = 0;

    world_init(&w, &c, plait_sim_tcp_defaults());
    struct flow *f = start(&w, 0, GIB);
    for (uint64_t t = 1; full_ns == 0 && t < 100; t++) {
        plait_sim_events_run(&w.events, t * 100 * PLAIT_MS);
        if (f->got - before > 20 * MBIT / 10 * 9 / 10)
            full_ns = w.events.now;
        before = f->got;
    }
    assert_in_range(full_ns, 3 * PLAIT_S, 6 * PLAIT_S);
    plait_sim_events_run(&w.events, 60 * PLAIT_S);
    assert_between((double)f->got * 8 / 60e6, 17.0, 19.4);
    world_done(&w);
}

static void test_loss_holds_it_down(void **state)
{
    (void)state;
    struct plait_sim_link_config c = {
        .rate = 30 * MBIT, .delay_ns = 20 * PLAIT_MS, .queue_ns = 100 * PLAIT_MS, .loss = 0.01, .seed = 3};
    struct plait_sim_flow_config reno = plait_sim_tcp_defaults();

    reno.cc = PLAIT_SIM_CC_RENO;
    assert_between(bulk(&c, plait_sim_tcp_defaults(), 120), 3.0, 4.6);
    assert_between(bulk(&c, reno, 120), 2.5, 4.2);
    c.loss = 0.001; /* the square root of ten times more */
    assert_between(bulk(&c, plait_sim_tcp_defaults(), 120), 9.5, 15.0);
    c.loss = 0.03;
    assert_between(bulk(&c, plait_sim_tcp_defaults(), 120), 1.2, 2.5);
}

static void test_bursts_and_jitter(void **state)
{
    (void)state;
    struct plait_sim_link_config c = {
        .rate = 40 * MBIT, .delay_ns = 30 * PLAIT_MS, .queue_ns = 200 * PLAIT_MS};

    c.jitter_ns = 10 * PLAIT_MS;
    assert_between(bulk(&c, plait_sim_tcp_defaults(), 30), 34.0, 38.7);
    c.jitter_ns = 5 * PLAIT_MS;
    c.reorder = true;
    assert_between(bulk(&c, plait_sim_tcp_defaults(), 30), 30.0, 38.7);
    c.jitter_ns = 0;
    c.burst_enter = 0.0002;
    c.burst_leave = 0.1;
    c.burst_loss = 0.7;
    assert_between(bulk(&c, plait_sim_tcp_defaults(), 60), 8.0, 38.0);
}

static void test_flows_share(void **state)
{
    (void)state;
    struct plait_sim_link_config c = {
        .rate = 40 * MBIT, .delay_ns = 15 * PLAIT_MS, .queue_ns = 60 * PLAIT_MS};
    struct world w;
    double sum = 0;

    world_init(&w, &c, plait_sim_tcp_defaults());
    for (int i = 0; i < 4; i++) {
        start(&w, i, GIB);
        plait_sim_events_run(&w.events, w.events.now + 100 * PLAIT_MS);
    }
    plait_sim_events_run(&w.events, 60 * PLAIT_S);
    for (int i = 0; i < 4; i++) {
        double mbit = (double)w.flow[i].got * 8 / 60e6;
        assert_between(mbit, 5.0, 17.0);
        sum += mbit;
    }
    assert_between(sum, 37.5, 38.7);
    world_done(&w);
}

static void test_outage_and_return(void **state)
{
    (void)state;
    struct plait_sim_outage out = {2 * PLAIT_S, 5 * PLAIT_S};
    struct plait_sim_link_config c = {.rate = 20 * MBIT,
                                      .delay_ns = 20 * PLAIT_MS,
                                      .queue_ns = 100 * PLAIT_MS,
                                      .outages = &out,
                                      .outages_n = 1};
    struct world w;

    world_init(&w, &c, plait_sim_tcp_defaults());
    struct flow *f = start(&w, 0, GIB);
    plait_sim_events_run(&w.events, 2 * PLAIT_S + 100 * PLAIT_MS);
    uint64_t before = f->got;
    plait_sim_events_run(&w.events, 5 * PLAIT_S);
    assert_true(f->got == before);
    plait_sim_events_run(&w.events, 20 * PLAIT_S); /* the timer had doubled: it may take as long again */
    assert_true(f->got - before > 10 * 20 * MBIT * 8 / 10);
    assert_true(f->closed == NOT_CLOSED);
    world_done(&w);
}

/* The last segment of a reply is lost: a probe brings it within a few round trips, not after a timeout. */
static void test_tail_loss(void **state)
{
    (void)state;
    unsigned slow = 0, lost = 0;

    for (uint64_t seed = 0; seed < 200; seed++) {
        struct plait_sim_link_config c = {
            .rate = 100 * MBIT, .delay_ns = 10 * PLAIT_MS, .loss = 0.02, .seed = 1000 + seed};
        struct world w;
        world_init(&w, &c, plait_sim_tcp_defaults());
        struct flow *f = start(&w, 0, 10 * 1448);
        plait_sim_events_run(&w.events, 30 * PLAIT_S);
        assert_true(f->got == 10 * 1448);
        lost += w.down.stats.dropped_loss > 0;
        slow += f->done_ns > 200 * PLAIT_MS;
        world_done(&w);
    }
    assert_in_range(lost, 20, 80);
    assert_true(slow < lost / 3); /* those that lost a packet of the handshake, or the probe too */
}

static void test_idle(void **state)
{
    (void)state;
    struct plait_sim_link_config c = {
        .rate = 100 * MBIT, .delay_ns = 20 * PLAIT_MS, .queue_ns = 100 * PLAIT_MS};
    uint64_t short_ns, long_ns;
    struct world w;

    world_init(&w, &c, plait_sim_tcp_defaults());
    struct flow *f = start(&w, 0, 2 * PLAIT_MIB);
    plait_sim_events_run(&w.events, 2 * PLAIT_S);
    assert_true(f->done_ns > 0);
    double grown = plait_sim_conn_flow(f->conn, PLAIT_SIM_SERVER)->cc.cwnd;
    plait_sim_events_run(&w.events, f->done_ns + 50 * PLAIT_MS); /* (time does not go back) */

    f->asked += 100000; /* after more than a second: the window is small again */
    uint64_t t0 = w.events.now;
    plait_sim_conn_write(f->conn, PLAIT_SIM_CLIENT, t0, ASK_BYTES);
    plait_sim_events_run(&w.events, t0 + 300 * PLAIT_MS);
    long_ns = f->done_ns - t0;
    f->asked += 100000; /* after 100 ms: it is not */
    t0 = w.events.now;
    plait_sim_conn_write(f->conn, PLAIT_SIM_CLIENT, t0, ASK_BYTES);
    plait_sim_events_run(&w.events, t0 + 300 * PLAIT_MS);
    short_ns = f->done_ns - t0;
    assert_true(grown > 100);
    assert_true(short_ns + 35 * PLAIT_MS < long_ns);
    world_done(&w);
}

static void test_refused_reset_silent(void **state)
{
    (void)state;
    struct plait_sim_link_config c = {.rate = 100 * MBIT, .delay_ns = 10 * PLAIT_MS};
    struct world w;

    world_init(&w, &c, plait_sim_tcp_defaults());
    w.verdict = PLAIT_SIM_REFUSE;
    struct flow *f = start(&w, 0, 1000);
    plait_sim_events_run(&w.events, PLAIT_S);
    assert_int_equal(f->closed, PLAIT_SIM_CLOSE_REFUSED);
    assert_int_equal(w.tcp.live, 0);

    w.verdict = PLAIT_SIM_IGNORE;
    f = start(&w, 1, 1000);
    plait_sim_events_run(&w.events, 62 * PLAIT_S);
    assert_int_equal(f->closed, NOT_CLOSED);
    plait_sim_events_run(&w.events, 70 * PLAIT_S);
    assert_int_equal(f->closed, PLAIT_SIM_CLOSE_TIMEOUT);
    assert_int_equal(w.tcp.live, 0);

    w.verdict = PLAIT_SIM_ACCEPT;
    f = start(&w, 2, GIB);
    plait_sim_events_run(&w.events, 71 * PLAIT_S);
    w.dead = true;
    plait_sim_conn_vanish(f->conn, PLAIT_SIM_SERVER);
    plait_sim_conn_write(f->conn, PLAIT_SIM_CLIENT, w.events.now, ASK_BYTES);
    plait_sim_events_run(&w.events, 73 * PLAIT_S);
    assert_int_equal(f->closed, NOT_CLOSED); /* a dead machine says nothing */
    w.dead = false;
    plait_sim_events_run(&w.events, 80 * PLAIT_S);
    assert_int_equal(f->closed, PLAIT_SIM_CLOSE_RESET); /* one that returned knows no connection */
    assert_int_equal(w.tcp.live, 0);
    world_done(&w);
}

/* An abort in the middle of a transfer stops it, even if the reset is lost; a finished reply ends with EOF.
 */
static void test_abort_and_finish(void **state)
{
    (void)state;
    struct plait_sim_link_config c = {.rate = 100 * MBIT, .delay_ns = 10 * PLAIT_MS};
    struct world w;

    world_init(&w, &c, plait_sim_tcp_defaults());
    struct flow *f = start(&w, 0, GIB);
    plait_sim_events_run(&w.events, PLAIT_S);
    w.up.config.loss = 1;
    plait_sim_conn_abort(f->conn, PLAIT_SIM_CLIENT, w.events.now);
    w.up.config.loss = 0;
    uint64_t before = w.down.stats.bytes_in;
    plait_sim_events_run(&w.events, 2 * PLAIT_S);
    assert_true(w.down.stats.bytes_in - before < 2 * PLAIT_MIB);
    assert_int_equal(w.tcp.live, 0);

    f = start(&w, 1, 50000);
    plait_sim_events_run(&w.events, 3 * PLAIT_S);
    plait_sim_conn_finish(f->conn, PLAIT_SIM_SERVER, w.events.now);
    plait_sim_events_run(&w.events, 4 * PLAIT_S);
    assert_int_equal(f->closed, PLAIT_SIM_CLOSE_EOF);
    assert_true(f->got == 50000);
    plait_sim_conn_abort(f->conn, PLAIT_SIM_CLIENT, w.events.now);
    plait_sim_events_run(&w.events, 5 * PLAIT_S);
    assert_int_equal(w.tcp.live, 0);
    world_done(&w);
}

/* Every byte arrives under whatever the links do, and the connection's memory goes back. */
static void test_all_bytes_arrive(void **state)
{
    (void)state;
    struct plait_prng g = {99};

    for (int n = 0; n < 200; n++) {
        struct plait_sim_outage out = {.from_ns = plait_prng_below(&g, 3 * PLAIT_S)};
        out.to_ns = out.from_ns + plait_prng_below(&g, 2 * PLAIT_S);
        struct plait_sim_link_config c = {
            .rate = MBIT / 2 + plait_prng_below(&g, 200 * MBIT),
            .delay_ns = plait_prng_below(&g, 300 * PLAIT_MS),
            .jitter_ns = plait_prng_below(&g, 2) * plait_prng_below(&g, 30 * PLAIT_MS),
            .reorder = plait_prng_below(&g, 2) == 0,
            .queue_bytes = 15000 + plait_prng_below(&g, 500000),
            .loss = 0.05 * plait_prng_unit(&g),
            .outages = &out,
            .outages_n = (uint32_t)plait_prng_below(&g, 2),
            .seed = plait_prng_next(&g),
        };
        uint64_t bytes = 1 + plait_prng_below(&g, 1000000);
        struct world w;
        world_init(&w, &c, plait_sim_tcp_defaults());
        w.up.config.loss = 0.05 * plait_prng_unit(&g);
        struct flow *f = start(&w, 0, bytes);
        plait_sim_events_run(&w.events, 600 * PLAIT_S);
        if (f->got != bytes && f->closed == NOT_CLOSED)
            fail_msg("world %d: %llu of %llu bytes", n, (unsigned long long)f->got,
                     (unsigned long long)bytes);
        world_done(&w);
    }
}

static uint64_t hash_of_a_run(void)
{
    struct plait_sim_link_config c = {.rate = 30 * MBIT,
                                      .delay_ns = 20 * PLAIT_MS,
                                      .jitter_ns = PLAIT_MS,
                                      .queue_ns = 50 * PLAIT_MS,
                                      .loss = 0.002,
                                      .seed = 11};
    struct world w;

    world_init(&w, &c, plait_sim_tcp_defaults());
    start(&w, 0, GIB);
    start(&w, 1, GIB);
    plait_sim_events_run(&w.events, 20 * PLAIT_S);
    uint64_t hash = w.events.hash;
    world_done(&w);
    return hash;
}

static void test_repeats(void **state)
{
    (void)state;
    assert_true(hash_of_a_run() == hash_of_a_run());
}

/* 100 MB in packets of 1500 bytes; far above what a release build takes, so that a busy machine passes. */
static void test_speed(void **state)
{
    (void)state;
    struct plait_sim_link_config c = {
        .rate = 100 * MBIT, .delay_ns = 10 * PLAIT_MS, .queue_ns = 50 * PLAIT_MS};
    struct world w;
    struct timespec a, b;

    world_init(&w, &c, plait_sim_tcp_defaults());
    struct flow *f = start(&w, 0, 100000000);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    plait_sim_events_run(&w.events, 30 * PLAIT_S);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    assert_true(f->got == 100000000);
    double ms = (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6;
    printf("# 100 MB over one link: %.1f ms of CPU, %llu events\n", ms, (unsigned long long)w.events.fired);
    assert_true(ms < 1000);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handshake_and_first_bytes),
        cmocka_unit_test(test_fills_a_short_path),
        cmocka_unit_test(test_long_path_takes_its_time),
        cmocka_unit_test(test_loss_holds_it_down),
        cmocka_unit_test(test_bursts_and_jitter),
        cmocka_unit_test(test_flows_share),
        cmocka_unit_test(test_outage_and_return),
        cmocka_unit_test(test_tail_loss),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_refused_reset_silent),
        cmocka_unit_test(test_abort_and_finish),
        cmocka_unit_test(test_all_bytes_arrive),
        cmocka_unit_test(test_repeats),
        cmocka_unit_test(test_speed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
