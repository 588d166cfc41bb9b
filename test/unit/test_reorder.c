#include "reorder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "prng.h"
#include "units.h"

#define START PLAIT_S
#define HOLD  (50 * PLAIT_MS)
#define MASK  ((1u << 22) - 1)
#define TCP   6
#define UDP   17

struct kit {
    struct plait_pool pool;
    struct plait_reorder r;
    uint32_t got[4096]; /* flow << 22 | number, in the order of delivery */
    unsigned n;
};

static void on_deliver(void *ctx, uint64_t now, const uint8_t *bytes, size_t len)
{
    struct kit *k = ctx;

    (void)now;
    assert_true(len >= 4 && k->n < 4096);
    memcpy(&k->got[k->n++], bytes + len - 4, 4);
}

static int set_up(void **state)
{
    static struct kit k;

    k.n = 0;
    assert_int_equal(plait_pool_init(&k.pool, 64, 100), PLAIT_OK);
    assert_int_equal(plait_reorder_init(&k.r, &k.pool, 32), PLAIT_OK);
    k.r.deliver = on_deliver;
    k.r.ctx = &k;
    *state = &k;
    return 0;
}

static int tear_down(void **state)
{
    struct kit *k = *state;

    plait_reorder_done(&k->r);
    assert_int_equal(k->pool.spare_n, k->pool.count);
    plait_pool_done(&k->pool);
    return 0;
}

static void recv_back(struct kit *k, uint64_t now, uint16_t flow, uint32_t seq, uint8_t back)
{
    uint32_t body = (uint32_t)flow << 22 | seq;
    struct plait_datagram d = {.kind = PLAIT_DATAGRAM_DATA, .flow = flow, .flow_seq = seq, .back = back};

    d.body = (const uint8_t *)&body;
    d.body_len = 4;
    plait_reorder_recv(&k->r, now, &d, HOLD);
}

/* A packet of TCP, or of UDP. */
static void recv_ip(struct kit *k, uint64_t now, uint8_t protocol, uint32_t seq)
{
    uint8_t body[44] = {0x45, [3] = sizeof(body), [9] = protocol};
    struct plait_datagram d = {
        .kind = PLAIT_DATAGRAM_DATA, .flow_seq = seq, .back = 1, .body = body, .body_len = sizeof(body)};

    memcpy(body + 40, &seq, 4);
    plait_reorder_recv(&k->r, now, &d, HOLD);
}

static void recv(struct kit *k, uint64_t now, uint32_t seq)
{
    recv_back(k, now, 0, seq, 1);
}

static void assert_got(struct kit *k, const uint32_t *want, unsigned n)
{
    assert_int_equal(k->n, n);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(k->got[i], want[i]);
}
#define GOT(k, ...)                                                                                          \
    assert_got(k, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static void test_in_order_passes(void **state)
{
    struct kit *k = *state;

    for (uint32_t i = 0; i < 5; i++)
        recv(k, START, i);
    GOT(k, 0, 1, 2, 3, 4);
    assert_int_equal(plait_reorder_deadline(&k->r), PLAIT_NEVER);
}

static void test_a_gap_is_waited_for(void **state)
{
    struct kit *k = *state;

    recv(k, START, 0);
    recv(k, START, 3);
    recv(k, START, 2);
    GOT(k, 0);
    recv(k, START, 1);
    GOT(k, 0, 1, 2, 3);
    assert_int_equal(k->r.held, 0);
}

static void test_a_gap_is_given_up_in_time(void **state)
{
    struct kit *k = *state;

    recv(k, START, 1);
    recv(k, START + 10 * PLAIT_MS, 2);
    assert_int_equal(plait_reorder_deadline(&k->r), START + HOLD);
    plait_reorder_on_deadline(&k->r, START + HOLD - 1);
    assert_int_equal(k->n, 0);
    plait_reorder_on_deadline(&k->r, START + HOLD);
    GOT(k, 1, 2);
    recv(k, START + HOLD, 0); /* late, and still once */
    recv(k, START + HOLD, 0);
    GOT(k, 1, 2, 0);
    assert_int_equal(k->r.late, 1);
    assert_int_equal(k->r.duplicates, 1);
}

static void test_the_time_of_a_gap_is_that_of_its_first(void **state)
{
    struct kit *k = *state;

    recv(k, START, 5);
    recv(k, START + 40 * PLAIT_MS, 3); /* does not put it off */
    plait_reorder_on_deadline(&k->r, START + HOLD);
    GOT(k, 3, 5);
    recv(k, START + HOLD, 4);
    GOT(k, 3, 5, 4);
}

static void test_what_is_never_to_come_is_not_waited_for(void **state)
{
    struct kit *k = *state;

    recv(k, START, 0);
    recv_back(k, START, 0, 3, 3); /* 1 and 2 were dropped at the entrance */
    GOT(k, 0, 3);
    recv_back(k, START, 0, 9, 0);
    GOT(k, 0, 3, 9);
    recv_back(k, START, 0, 12, 2); /* 11 was dropped; 10 is awaited */
    GOT(k, 0, 3, 9);
    recv(k, START, 10);
    GOT(k, 0, 3, 9, 10, 12);
}

static void test_one_flow_does_not_hold_up_another(void **state)
{
    struct kit *k = *state;

    recv_back(k, START, 1, 1, 1);
    recv_back(k, START, 2, 0, 1);
    GOT(k, 2u << 22);
    recv_back(k, START, 1, 0, 1);
    GOT(k, 2u << 22, 1u << 22, 1u << 22 | 1);
}

static void test_duplicates_are_dropped(void **state)
{
    struct kit *k = *state;

    recv(k, START, 0);
    recv(k, START, 0);
    recv(k, START, 2);
    recv(k, START, 2);
    recv(k, START, 1);
    recv(k, START, 1);
    GOT(k, 0, 1, 2);
    assert_int_equal(k->r.duplicates, 3);
}

static void test_datagrams_that_waited_leave_in_portions(void **state)
{
    struct kit *k = *state;
    uint64_t at = START + PLAIT_REORDER_PORTION_NS;

    for (uint32_t i = 1; i <= 30; i++)
        recv_ip(k, START, UDP, i);
    recv_ip(k, START, UDP, 0);
    assert_int_equal(k->n, 1 + PLAIT_REORDER_PORTION);
    assert_int_equal(plait_reorder_deadline(&k->r), at);

    recv_ip(k, START, UDP, k->n); /* there already */
    recv_ip(k, START, UDP, 31);   /* behind those */
    assert_int_equal(k->r.duplicates, 1);
    assert_int_equal(k->n, 1 + PLAIT_REORDER_PORTION);
    plait_reorder_on_deadline(&k->r, at - 1);
    assert_int_equal(k->n, 1 + PLAIT_REORDER_PORTION);
    plait_reorder_on_deadline(&k->r, at);
    assert_int_equal(k->n, 32);
    for (uint32_t i = 0; i < 32; i++)
        assert_int_equal(k->got[i], i);
    assert_int_equal(plait_reorder_deadline(&k->r), PLAIT_NEVER);
}

static void test_a_portion_is_more_where_more_comes(void **state)
{
    struct kit *k = *state;

    recv_ip(k, START, UDP, 1);
    recv_ip(k, START, UDP, 0);
    assert_int_equal(k->n, 2);
    for (uint32_t i = 3; i <= 27; i++)
        recv_ip(k, START, UDP, i);
    recv_ip(k, START + PLAIT_REORDER_PORTION_NS, UDP, 2);
    assert_int_equal(k->n, 28);
}

static void test_tcp_that_waited_leaves_at_once(void **state)
{
    struct kit *k = *state;

    for (uint32_t i = 1; i <= 30; i++)
        recv_ip(k, START, TCP, i);
    recv_ip(k, START, TCP, 0);
    assert_int_equal(k->n, 31);
}

static void test_numbers_wrap(void **state)
{
    struct kit *k = *state;

    for (uint32_t far = 1u << 20; far < MASK; far += 1u << 20)
        recv(k, START, far); /* each so far ahead that it is a new beginning */
    recv(k, START, MASK - 1);
    assert_int_equal(k->n, 4);
    recv(k, START, 1);
    recv(k, START, 0);
    recv(k, START, MASK);
    GOT(k, 1u << 20, 2u << 20, 3u << 20, MASK - 1, MASK, 0, 1);
}

static void test_full_buffers_give_up_the_oldest(void **state)
{
    struct kit *k = *state;

    for (uint32_t i = 1; i <= 40; i++)
        recv(k, START, i);
    assert_true(k->r.held <= 32);
    assert_true(k->n >= 8);
    for (unsigned i = 1; i < k->n; i++)
        assert_true(k->got[i] > k->got[i - 1]);
}

static void test_without_holding_all_pass_once(void **state)
{
    struct kit *k = *state;
    static const uint32_t order[] = {0, 3, 1, 2, 3, 5, 4};

    for (unsigned i = 0; i < 7; i++) {
        uint32_t body = order[i];
        struct plait_datagram d = {
            .kind = PLAIT_DATAGRAM_DATA, .flow_seq = order[i], .back = 1, .body_len = 4};
        d.body = (const uint8_t *)&body;
        plait_reorder_recv(&k->r, START, &d, 0);
    }
    GOT(k, 0, 3, 1, 2, 5, 4);
}

static void test_reset_delivers_and_begins_anew(void **state)
{
    struct kit *k = *state;

    recv(k, START, 0);
    recv(k, START, 2);
    plait_reorder_reset(&k->r, START);
    recv(k, START, 0);
    GOT(k, 0, 2, 0);
}

/* Any order within a window, with losses and duplicates: each number comes out at most once, and in order but
 * for those that were given up. */
static void test_random_orders(void **state)
{
    struct kit *k = *state;
    struct plait_prng g = {7};
    uint64_t now = START;
    bool seen[1024] = {false};

    for (uint32_t base = 0; base < 1000; base += 4) {
        for (int i = 0; i < 6; i++) {
            now += PLAIT_MS;
            plait_reorder_on_deadline(&k->r, now);
            recv_back(k, now, 0, base + (uint32_t)plait_prng_below(&g, 8), 1);
        }
    }
    for (unsigned i = 0; i < 4; i++)
        plait_reorder_on_deadline(&k->r, now + HOLD + i * PLAIT_REORDER_PORTION_NS);
    assert_int_equal(k->r.held, 0);
    uint32_t high = 0, late = 0;
    for (unsigned i = 0; i < k->n; i++) {
        assert_false(seen[k->got[i]]);
        seen[k->got[i]] = true;
        if (k->got[i] < high)
            late++;
        else
            high = k->got[i];
    }
    assert_int_equal(late, k->r.late);
    assert_true(k->n > 500);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_in_order_passes),
        T(test_a_gap_is_waited_for),
        T(test_a_gap_is_given_up_in_time),
        T(test_the_time_of_a_gap_is_that_of_its_first),
        T(test_what_is_never_to_come_is_not_waited_for),
        T(test_one_flow_does_not_hold_up_another),
        T(test_duplicates_are_dropped),
        T(test_datagrams_that_waited_leave_in_portions),
        T(test_a_portion_is_more_where_more_comes),
        T(test_tcp_that_waited_leaves_at_once),
        T(test_numbers_wrap),
        T(test_full_buffers_give_up_the_oldest),
        T(test_without_holding_all_pass_once),
        T(test_reset_delivers_and_begins_anew),
        T(test_random_orders),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
