#include "queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "units.h"

#define START PLAIT_S

struct kit {
    struct plait_pool pool;
    struct plait_queue q;
};

static int set_up(void **state)
{
    static struct kit k;

    assert_int_equal(plait_pool_init(&k.pool, 512, 1600), PLAIT_OK);
    assert_int_equal(plait_queue_init(&k.q, &k.pool, 200), PLAIT_OK);
    *state = &k;
    return 0;
}

static int tear_down(void **state)
{
    struct kit *k = *state;

    plait_queue_done(&k->q);
    assert_int_equal(k->pool.spare_n, k->pool.count);
    plait_pool_done(&k->pool);
    return 0;
}

static void push(struct kit *k, uint64_t now, uint16_t flow, uint16_t len)
{
    struct plait_packet *p = plait_pool_take(&k->pool);

    assert_non_null(p);
    p->len = len;
    plait_queue_push(&k->q, now, p, flow);
}

/* Takes the next packet in turn and gives it back; returns its flow, and its number in *seq. */
static int take(struct kit *k, uint64_t now, uint32_t *seq)
{
    uint16_t flow = plait_queue_turn(&k->q);

    if (flow == PLAIT_QUEUE_NONE)
        return -1;
    struct plait_packet *p = plait_queue_take(&k->q, now, flow, 0);

    if (p == NULL)
        return -2;
    *seq = p->flow_seq;
    plait_pool_give(&k->pool, p);
    return flow;
}

static void test_one_flow_is_a_fifo(void **state)
{
    struct kit *k = *state;
    uint32_t seq;

    for (int i = 0; i < 10; i++)
        push(k, START, 3, 1000);
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(take(k, START, &seq), 3);
        assert_int_equal(seq, i);
    }
    assert_int_equal(take(k, START, &seq), -1);
    assert_int_equal(k->q.packets, 0);
    assert_int_equal(k->q.bytes, 0);
}

static void test_flows_share_bytes_fairly(void **state)
{
    struct kit *k = *state;
    uint32_t seq, bytes[2] = {0};

    for (int i = 0; i < 40; i++)
        push(k, START, 0, 1500);
    for (int i = 0; i < 120; i++)
        push(k, START, 1, 500);
    for (int i = 0; i < 80; i++) {
        int flow = take(k, START, &seq);
        assert_in_range(flow, 0, 1);
        bytes[flow == 1] += flow == 0 ? 1500 : 500;
    }
    assert_in_range(bytes[0], bytes[1] - 3100, bytes[1] + 3100);
}

static void test_a_new_flow_goes_first(void **state)
{
    struct kit *k = *state;
    uint32_t seq;

    for (int i = 0; i < 50; i++)
        push(k, START, 0, 1500);
    for (int i = 0; i < 5; i++)
        take(k, START, &seq);
    push(k, START, 7, 100);
    assert_int_equal(take(k, START, &seq), 7);
}

static void test_a_standing_queue_is_thinned(void **state)
{
    struct kit *k = *state;
    uint64_t now = START;
    uint32_t seq, came = 0;

    for (int i = 0; i < 100; i++)
        push(k, now, 0, 1000);
    for (int i = 0; i < 1000; i++) { /* one in, one out each millisecond: 100 ms stand there */
        now += PLAIT_MS;
        came += take(k, now, &seq) == 0;
        push(k, now, 0, 1000);
    }
    assert_in_range(k->q.dropped, 5, 200);
    assert_true(came > 900);
}

static void test_a_short_queue_is_left_alone(void **state)
{
    struct kit *k = *state;
    uint64_t now = START;
    uint32_t seq;

    for (int i = 0; i < 4; i++)
        push(k, now, 0, 1000);
    for (int i = 0; i < 1000; i++) {
        now += PLAIT_MS;
        take(k, now, &seq);
        push(k, now, 0, 1000);
    }
    assert_int_equal(k->q.dropped, 0);
}

static void test_ect_is_marked_instead(void **state)
{
    struct kit *k = *state;
    uint64_t now = START;
    uint32_t marked = 0;

    for (int i = 0; i < 1100; i++) {
        struct plait_packet *p = plait_pool_take(&k->pool);
        memset(p->data, 0, 40);
        p->data[0] = 0x60;
        p->data[1] = 0x20;
        p->len = 1000;
        p->flags = PLAIT_PACKET_ECN;
        plait_queue_push(&k->q, now, p, 0);
        if (i < 100)
            continue;
        now += PLAIT_MS;
        p = plait_queue_take(&k->q, now, plait_queue_turn(&k->q), 0);
        marked += p->data[1] == 0x30;
        plait_pool_give(&k->pool, p);
    }
    assert_int_equal(k->q.dropped, 0);
    assert_in_range(marked, 5, 200);
    assert_int_equal(marked, k->q.marked);
}

static void test_too_much_is_dropped_at_the_tail_of_the_fattest(void **state)
{
    struct kit *k = *state;
    uint32_t seq, next[2] = {0};

    for (int i = 0; i < 20; i++)
        push(k, START, 1, 100);
    for (int i = 0; i < 400; i++)
        push(k, START, 0, 1000);
    assert_in_range(k->q.packets, 180, 200);
    for (int flow; (flow = take(k, START, &seq)) >= 0;)
        assert_int_equal(seq, next[flow]++); /* numbers that were dropped were given again */
    assert_int_equal(next[1], 20);
}

static void test_ahead_takes_what_lies_deep_enough(void **state)
{
    struct kit *k = *state;
    struct plait_packet *p;
    uint32_t seq;

    for (int i = 0; i < 10; i++)
        push(k, START, 0, 1000);
    assert_null(plait_queue_take_ahead(&k->q, 0, 10001));
    p = plait_queue_take_ahead(&k->q, 0, 5000);
    assert_int_equal(p->flow_seq, 5);
    assert_true(p->flags & PLAIT_PACKET_AHEAD);
    plait_pool_give(&k->pool, p);
    p = plait_queue_take_ahead(&k->q, 0, 5000); /* 0 to 4 wait before 6 */
    assert_int_equal(p->flow_seq, 6);
    plait_pool_give(&k->pool, p);
    for (uint32_t i = 0; i < 10; i++) {
        if (i == 5 || i == 6)
            continue;
        assert_int_equal(take(k, START, &seq), 0);
        assert_int_equal(seq, i);
        if (i == 0) { /* 1, 2, 3, 4, 7, 8 wait before 9 */
            p = plait_queue_take_ahead(&k->q, 0, 6000);
            assert_int_equal(p->flow_seq, 9);
            plait_pool_give(&k->pool, p);
        }
        if (i == 8)
            break;
    }
    assert_int_equal(k->q.packets, 0);
}

static void test_near_takes_what_there_is(void **state)
{
    struct kit *k = *state;
    struct plait_packet *p;

    push(k, START, 0, 1000);
    assert_null(plait_queue_take_near(&k->q, 0, 0)); /* the head is not behind itself */
    for (int i = 0; i < 5; i++)
        push(k, START, 0, 1000);
    p = plait_queue_take_near(&k->q, 0, 2500);
    assert_int_equal(p->flow_seq, 3);
    plait_pool_give(&k->pool, p);
    p = plait_queue_take_near(&k->q, 0, 1000000);
    assert_int_equal(p->flow_seq, 5);
    plait_pool_give(&k->pool, p);
    push(k, START, 0, 1000); /* behind the new tail */
    p = plait_queue_take_near(&k->q, 0, 1000000);
    assert_int_equal(p->flow_seq, 6);
    plait_pool_give(&k->pool, p);
    assert_int_equal(k->q.packets, 4);
}

static void test_the_header_tells_of_those_before(void **state)
{
    struct kit *k = *state;
    uint8_t back, before[PLAIT_DATAGRAM_BEFORE];

    for (int i = 0; i < 6; i++)
        push(k, START, 0, 1000);
    for (uint8_t i = 0; i < 3; i++) {
        struct plait_packet *p = plait_queue_take(&k->q, START, 0, 0);
        plait_queue_sent(&k->q, p, i, &back, before);
        assert_int_equal(back, 1);
        plait_pool_give(&k->pool, p);
    }
    assert_int_equal(before[0], 1);
    assert_int_equal(before[1], 0);
    assert_int_equal(before[2], PLAIT_DATAGRAM_PATH_UNKNOWN);
    plait_queue_drop(&k->q, 0);
    plait_queue_drop(&k->q, 0);
    struct plait_packet *p = plait_queue_take(&k->q, START, 0, 0);
    plait_queue_sent(&k->q, p, 1, &back, before);
    assert_int_equal(p->flow_seq, 5);
    assert_int_equal(back, 3); /* 3 and 4 will never come */
    plait_pool_give(&k->pool, p);
}

static void test_renumbering(void **state)
{
    struct kit *k = *state;
    uint32_t seq;

    for (int i = 0; i < 5; i++)
        push(k, START, 0, 1000);
    take(k, START, &seq);
    plait_queue_renumber(&k->q);
    take(k, START, &seq);
    assert_int_equal(seq, 0);
    push(k, START, 0, 1000);
    for (uint32_t i = 1; i < 5; i++) {
        assert_int_equal(take(k, START, &seq), 0);
        assert_int_equal(seq, i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_flow_is_a_fifo, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_flows_share_bytes_fairly, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_new_flow_goes_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_standing_queue_is_thinned, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_short_queue_is_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ect_is_marked_instead, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_much_is_dropped_at_the_tail_of_the_fattest, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_ahead_takes_what_lies_deep_enough, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_near_takes_what_there_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_header_tells_of_those_before, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_renumbering, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
