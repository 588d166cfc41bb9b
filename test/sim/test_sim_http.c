#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sim_http.h"
#include "units.h"

#define MBIT    UINT64_C(125000)
#define MB      UINT64_C(1000000)
#define VERSION 77

/* One client, one server, links of 100 Mbit/s and 20 ms. */
struct client {
    struct plait_sim_events events;
    struct plait_sim_tcp tcp;
    struct plait_sim_link up, down;
    struct plait_sim_route route_up, route_down;
    struct plait_sim_server server;
    struct plait_sim_session *session;
    struct plait_sim_http_head head;
    unsigned connected, heads, ends;
    uint64_t connected_ns, head_ns, end_ns;
    uint64_t bytes, first, next, gaps; /* of the body: as offsets of the content */
    uint64_t content, content_changes;
    enum plait_sim_http_end end;
    bool open;
    uint64_t close_after; /* the client leaves after so many bytes */
};

static void on_connected(void *ctx, uint64_t now)
{
    struct client *c = ctx;
    c->connected++;
    c->connected_ns = now;
}

static void on_head(void *ctx, uint64_t now, const struct plait_sim_http_head *head)
{
    struct client *c = ctx;
    c->head = *head;
    c->heads++;
    c->head_ns = now;
}

static void on_body(void *ctx, uint64_t now, const struct plait_sim_span *span)
{
    struct client *c = ctx;

    if (c->bytes == 0)
        c->first = span->offset;
    else
        c->gaps += span->offset != c->next;
    c->content_changes += c->bytes > 0 && span->content != c->content;
    c->content = span->content;
    c->next = span->offset + span->len;
    c->bytes += span->len;
    if (c->close_after > 0 && c->bytes >= c->close_after) {
        plait_sim_http_close(c->session, now);
        c->session = NULL;
    }
}

static void on_end(void *ctx, uint64_t now, enum plait_sim_http_end end, bool open)
{
    struct client *c = ctx;
    c->end = end;
    c->open = open;
    c->ends++;
    c->end_ns = now;
    if (!open)
        c->session = NULL;
}

static const struct plait_sim_http_app app = {on_connected, on_head, on_body, on_end};

static void client_init(struct client *c, struct plait_sim_server_config server)
{
    struct plait_sim_link_config link = {
        .rate = 100 * MBIT, .delay_ns = 10 * PLAIT_MS, .queue_ns = 50 * PLAIT_MS};
    struct plait_sim_flow_config flow = plait_sim_tcp_defaults();

    memset(c, 0, sizeof(*c));
    server.version = VERSION;
    server.content = 1;
    plait_sim_events_init(&c->events);
    plait_sim_tcp_init(&c->tcp, &c->events, &flow);
    plait_sim_link_init(&c->up, &c->events, &link);
    plait_sim_link_init(&c->down, &c->events, &link);
    c->route_up = (struct plait_sim_route){{&c->up}, 1};
    c->route_down = (struct plait_sim_route){{&c->down}, 1};
    plait_sim_server_init(&c->server, &c->tcp, &server);
}

static void client_done(struct client *c)
{
    plait_sim_server_done(&c->server);
    plait_sim_tcp_done(&c->tcp);
    plait_sim_link_done(&c->up);
    plait_sim_link_done(&c->down);
    assert_int_equal(c->events.count, 0);
    plait_sim_events_done(&c->events);
}

static void open_session(struct client *c)
{
    c->session = plait_sim_http_open(&c->server, c->events.now, &c->route_up, &c->route_down, &app, c);
    plait_sim_events_run(&c->events, c->events.now + 30 * PLAIT_MS);
}

/* Asks for [lo, hi) and waits up to `s` seconds for the end. */
static void ask(struct client *c, uint64_t lo, uint64_t hi, uint64_t s)
{
    uint64_t until = c->events.now + s * PLAIT_S;
    unsigned ends = c->ends;

    c->bytes = c->gaps = c->content_changes = 0;
    plait_sim_http_ask(c->session, c->events.now, &(struct plait_sim_http_ask){.lo = lo, .hi = hi});
    while (c->ends == ends && c->session != NULL && plait_sim_events_step(&c->events, until))
        ;
}

/* A fresh client asks once; returns what it saw. */
static struct client one(struct plait_sim_server_config server, uint64_t lo, uint64_t hi)
{
    static struct client c;

    client_init(&c, server);
    open_session(&c);
    if (c.session != NULL)
        ask(&c, lo, hi, 20);
    struct client seen = c;
    client_done(&c);
    return seen;
}

static void test_ranges(void **state)
{
    (void)state;
    static struct client c;

    client_init(&c, (struct plait_sim_server_config){.size = MB, .service_ns = 5 * PLAIT_MS});
    open_session(&c);
    assert_int_equal(c.connected, 1);
    ask(&c, 1000, 50000, 10);
    assert_int_equal(c.head.status, 206);
    assert_true(c.head.lo == 1000 && c.head.hi == 50000 && c.head.size == MB && c.head.version == VERSION);
    assert_true(c.head.length == 49000 && c.bytes == 49000 && c.first == 1000 && c.gaps == 0 &&
                c.content == 1);
    assert_true(c.end == PLAIT_SIM_HTTP_COMPLETE && c.open);
    assert_in_range(c.head_ns - 30 * PLAIT_MS, 25 * PLAIT_MS,
                    26 * PLAIT_MS); /* a round trip and the service */

    ask(&c, 900000, PLAIT_SIM_HTTP_UNKNOWN, 10); /* the same connection again */
    assert_true(c.bytes == 100000 && c.head.hi == MB && c.end == PLAIT_SIM_HTTP_COMPLETE);
    ask(&c, MB, MB + 1, 10);
    assert_int_equal(c.head.status, 416);
    assert_true(c.head.size == MB);
    assert_true(c.server.requests == 3 && c.server.clients == 1 && c.server.open == 1 && c.tcp.opened == 1);

    plait_sim_http_close(c.session, c.events.now);
    plait_sim_events_run(&c.events, c.events.now + PLAIT_S);
    assert_true(c.server.clients == 0 && c.server.open == 0 && c.tcp.live == 0);
    client_done(&c);
}

static void test_close_in_the_middle(void **state)
{
    (void)state;
    static struct client c;

    client_init(&c, (struct plait_sim_server_config){.size = 100 * MB});
    open_session(&c);
    c.close_after = MB;
    ask(&c, 0, 100 * MB, 20);
    assert_in_range(c.bytes, MB, MB + 1448);
    assert_int_equal(c.ends, 0);
    plait_sim_events_run(&c.events, c.events.now + PLAIT_S);
    assert_true(c.server.open == 0 && c.tcp.live == 0);
    client_done(&c);
}

static void test_keep_alive_ends(void **state)
{
    (void)state;
    static struct client c;

    client_init(&c, (struct plait_sim_server_config){.size = MB});
    open_session(&c);
    ask(&c, 0, 1000, 20);
    assert_true(c.open);
    plait_sim_events_run(&c.events, c.events.now + 80 * PLAIT_S);
    assert_true(!c.open && c.end == PLAIT_SIM_HTTP_CLOSED && c.ends == 2);
    client_done(&c);
}

static struct client faulty(struct plait_sim_fault f)
{
    return one((struct plait_sim_server_config){.size = MB, .fault = {f}}, 1000, 500000);
}

static void test_no_range_no_length(void **state)
{
    (void)state;
    struct client c = faulty((struct plait_sim_fault){PLAIT_SIM_FAULT_NO_RANGE});
    assert_true(c.head.status == 200 && c.head.length == MB && c.bytes == MB && c.first == 0 && c.open);
    c = faulty((struct plait_sim_fault){PLAIT_SIM_FAULT_NO_LENGTH});
    assert_true(c.head.status == 200 && c.head.length == PLAIT_SIM_HTTP_UNKNOWN && c.bytes == MB && c.open);
    assert_true(c.head.size == PLAIT_SIM_HTTP_UNKNOWN && c.end == PLAIT_SIM_HTTP_COMPLETE);
}

static void test_status_busy_page(void **state)
{
    (void)state;
    struct client c = faulty((struct plait_sim_fault){PLAIT_SIM_FAULT_STATUS, 404});
    assert_true(c.head.status == 404 && c.end == PLAIT_SIM_HTTP_COMPLETE);
    c = faulty((struct plait_sim_fault){PLAIT_SIM_FAULT_PAGE, 3000, 9});
    assert_true(c.head.status == 200 && c.head.size == 3000 && c.bytes == 3000 && c.content == 9);

    static struct client b;
    struct plait_sim_fault busy = {PLAIT_SIM_FAULT_BUSY, 2, 7};
    client_init(&b, (struct plait_sim_server_config){.size = MB, .fault = {busy}});
    open_session(&b);
    for (unsigned i = 0; i < 3; i++) {
        ask(&b, 0, 1000, 10);
        assert_int_equal(b.head.status, i < 2 ? 503 : 206);
        assert_int_equal(b.head.retry_after_s, i < 2 ? 7 : 0);
    }
    client_done(&b);
}

static void test_busy_above(void **state)
{
    (void)state;
    static struct client c;
    struct plait_sim_fault above = {PLAIT_SIM_FAULT_BUSY_ABOVE, 1};

    client_init(&c, (struct plait_sim_server_config){.size = 100 * MB, .fault = {above}});
    open_session(&c);
    struct plait_sim_session *first = c.session;
    ask(&c, 0, 1000, 10); /* leaves its connection idle: that does not count */
    open_session(&c);
    ask(&c, 0, 1000, 10);
    assert_int_equal(c.head.status, 206);
    plait_sim_http_ask(first, c.events.now, &(struct plait_sim_http_ask){.hi = 100 * MB});
    plait_sim_events_run(&c.events, c.events.now + 100 * PLAIT_MS);
    ask(&c, 0, 1000, 1);
    assert_int_equal(c.head.status, 503);
    plait_sim_http_close(first, c.events.now);
    plait_sim_events_run(&c.events, c.events.now + PLAIT_S);
    ask(&c, 0, 1000, 10);
    assert_int_equal(c.head.status, 206);
    client_done(&c);
}

static void test_close_and_stall(void **state)
{
    (void)state;
    struct client c = faulty((struct plait_sim_fault){PLAIT_SIM_FAULT_CLOSE_AFTER, 100000});
    assert_true(c.bytes == 100000 && c.end == PLAIT_SIM_HTTP_BROKEN && !c.open);
    c = faulty((struct plait_sim_fault){PLAIT_SIM_FAULT_CLOSE_AFTER, 100000, 1});
    assert_true(c.bytes <= 100000 && c.end == PLAIT_SIM_HTTP_BROKEN && !c.open);
    c = faulty((struct plait_sim_fault){PLAIT_SIM_FAULT_STALL_AFTER, 100000});
    assert_true(c.bytes == 100000 && c.ends == 0);
    c = faulty((struct plait_sim_fault){PLAIT_SIM_FAULT_CLOSE_EACH});
    assert_true(c.bytes == 499000 && c.session == NULL && c.ends >= 1);
    c = faulty((struct plait_sim_fault){PLAIT_SIM_FAULT_REFUSE});
    assert_true(c.connected == 0 && c.end == PLAIT_SIM_HTTP_REFUSED && c.session == NULL);
}

static void test_close_is_per_connection(void **state)
{
    (void)state;
    static struct client c;
    struct plait_sim_fault f = {PLAIT_SIM_FAULT_CLOSE_AFTER, 100000, 0, 1}; /* once */

    client_init(&c, (struct plait_sim_server_config){.size = MB, .fault = {f}});
    open_session(&c);
    ask(&c, 0, 60000, 10);
    assert_true(c.end == PLAIT_SIM_HTTP_COMPLETE && c.open);
    ask(&c, 0, 60000, 10);
    assert_true(c.end == PLAIT_SIM_HTTP_BROKEN && c.bytes == 40000);
    open_session(&c);
    ask(&c, 0, MB, 10);
    assert_true(c.end == PLAIT_SIM_HTTP_COMPLETE && c.bytes == MB);
    client_done(&c);
}

static void test_bent_bodies(void **state)
{
    (void)state;
    struct client c = faulty((struct plait_sim_fault){PLAIT_SIM_FAULT_WRONG_RANGE, 100});
    assert_true(c.head.lo == 1100 && c.first == 1100);
    c = faulty((struct plait_sim_fault){PLAIT_SIM_FAULT_SHORT_BODY, 10});
    assert_true(c.head.length == 499000 && c.bytes == 498990 && c.end == PLAIT_SIM_HTTP_BROKEN);
    c = faulty((struct plait_sim_fault){PLAIT_SIM_FAULT_LONG_BODY, 10000});
    assert_true(c.bytes == 499000 && c.end == PLAIT_SIM_HTTP_COMPLETE && !c.open);
    c = faulty((struct plait_sim_fault){PLAIT_SIM_FAULT_OTHER_CONTENT, 20000, 5});
    assert_true(c.bytes == 499000 && c.gaps == 0 && c.content_changes == 1 && c.content == 5);
    c = faulty((struct plait_sim_fault){PLAIT_SIM_FAULT_WRONG_SIZE, 200000});
    assert_true(c.head.size == 200000 && c.bytes == 199000);
    c = faulty((struct plait_sim_fault){PLAIT_SIM_FAULT_NO_VERSION});
    assert_true(c.head.version == 0 && c.bytes == 499000);
}

static void test_change(void **state)
{
    (void)state;
    static struct client c;
    struct plait_sim_fault f = {PLAIT_SIM_FAULT_CHANGE, PLAIT_S, 8};

    client_init(&c, (struct plait_sim_server_config){.size = MB, .fault = {f}});
    open_session(&c);
    ask(&c, 0, 1000, 10);
    assert_true(c.content == 1 && c.head.version == VERSION);
    plait_sim_events_run(&c.events, PLAIT_S);
    ask(&c, 0, 1000, 10);
    assert_true(c.content == 8 && c.head.version != VERSION && c.head.version != 0);
    client_done(&c);
}

static void test_dead_and_crash(void **state)
{
    (void)state;
    static struct client c;
    struct plait_sim_fault dead = {PLAIT_SIM_FAULT_DEAD, 100 * PLAIT_MS, 5 * PLAIT_S};
    struct plait_sim_fault crash = {PLAIT_SIM_FAULT_CRASH, 10 * PLAIT_S, 12 * PLAIT_S};

    client_init(&c, (struct plait_sim_server_config){.size = 100 * MB, .fault = {dead, crash}});
    open_session(&c);
    ask(&c, 0, 100 * MB, 3);
    assert_true(c.bytes > 0 && c.ends == 0); /* silence */
    plait_sim_http_close(c.session, c.events.now);
    plait_sim_events_run(&c.events, 9 * PLAIT_S);
    open_session(&c);
    ask(&c, 0, 100 * MB, 2);
    assert_true(c.ends == 1 && c.end == PLAIT_SIM_HTTP_BROKEN);
    assert_in_range(c.end_ns, 10 * PLAIT_S, 10 * PLAIT_S + 80 * PLAIT_MS);
    open_session(&c);
    assert_true(c.end == PLAIT_SIM_HTTP_REFUSED && c.session == NULL);
    plait_sim_events_run(&c.events, 12 * PLAIT_S);
    open_session(&c);
    ask(&c, 0, MB, 5);
    assert_true(c.end == PLAIT_SIM_HTTP_COMPLETE && c.bytes == MB);
    client_done(&c);
}

static void test_rates(void **state)
{
    (void)state;
    struct plait_sim_server_config v = {.size = MB, .conn_rate = 100000};
    struct client c = one(v, 0, MB);
    assert_in_range(c.end_ns, 10 * PLAIT_S, 10200 * PLAIT_MS);
    v = (struct plait_sim_server_config){.size = MB, .total_rate = 20000};
    c = one(v, 0, 100000);
    assert_in_range(c.end_ns, 5 * PLAIT_S, 5300 * PLAIT_MS);
    v = (struct plait_sim_server_config){.size = 10 * MB,
                                         .fault = {{PLAIT_SIM_FAULT_SLOW_START, PLAIT_S, 50000}}};
    c = one(v, 0, 10 * MB);
    assert_in_range(c.end_ns, 1800 * PLAIT_MS, 2000 * PLAIT_MS); /* the second, then 100 Mbit/s */
}

static void test_total_rate_is_shared(void **state)
{
    (void)state;
    static struct client c;

    client_init(&c, (struct plait_sim_server_config){.size = 100 * MB, .total_rate = 1000000});
    for (int i = 0; i < 4; i++) {
        open_session(&c);
        plait_sim_http_ask(c.session, c.events.now, &(struct plait_sim_http_ask){.hi = 100 * MB});
    }
    plait_sim_events_run(&c.events, 10 * PLAIT_S);
    assert_in_range(c.bytes, 9700000, 10000000);
    client_done(&c);
}

static void test_content(void **state)
{
    (void)state;
    uint8_t a[1000], b[1000];

    plait_sim_content_fill(1, 0, a, sizeof(a));
    for (size_t lo = 0; lo < 40; lo++)
        for (size_t n = 0; n < 40; n++) {
            plait_sim_content_fill(1, lo, b, n);
            assert_memory_equal(a + lo, b, n);
        }
    assert_int_equal(plait_sim_content_match(1, 3, a + 3, 997), 997);
    a[700] ^= 1;
    assert_int_equal(plait_sim_content_match(1, 3, a + 3, 997), 697);
    plait_sim_content_fill(2, 0, b, sizeof(b));
    assert_true(plait_sim_content_match(1, 0, b, sizeof(b)) < 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_close_in_the_middle),
        cmocka_unit_test(test_keep_alive_ends),
        cmocka_unit_test(test_no_range_no_length),
        cmocka_unit_test(test_status_busy_page),
        cmocka_unit_test(test_busy_above),
        cmocka_unit_test(test_close_and_stall),
        cmocka_unit_test(test_close_is_per_connection),
        cmocka_unit_test(test_bent_bodies),
        cmocka_unit_test(test_change),
        cmocka_unit_test(test_dead_and_crash),
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_total_rate_is_shared),
        cmocka_unit_test(test_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
