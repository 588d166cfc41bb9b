/* The sending end: what is acknowledged, when connections wait and end, where blocks arrive first, and its bounds. */
#include <stdio.h>

#include "share_kit.h"

#include "failing_alloc.h"

static void acknowledged_bytes_are_blocks(void **unused)
{
    struct plait_share *s = kit_share(3, 10, false);
    int a = kit_open(s, 'A', "0-2", NULL);
    struct plait_share_conn_info info;
    static const struct {
        uint64_t bytes;
        unsigned acked, inflight;
    } rows[] = {{0, 0, 4},
                {KIT_FRAME - 1, 0, 4},
                {KIT_FRAME, 1, 3},
                {KIT_FRAME + 1, 1, 3},
                {100, 1, 3}, /* fewer than before */
                {3 * KIT_FRAME, 3, 1},
                {3 * KIT_FRAME + 16, 3, 1}, /* the MARK */
                {3 * KIT_FRAME + 16 + 25, 3, 1},
                {3 * KIT_FRAME + 16 + 26, 4, 0},
                {UINT64_MAX, 4, 0}};

    (void)unused;
    kit_sends(s, a, "0-2");
    kit_waits(s, a, 3);
    assert_int_equal(kit_steer(s, "3-", NULL), 0);
    kit_sends(s, a, "3");
    assert_true(plait_share_get_conn(s, a, &info));
    assert_int_equal(info.given_bytes, 3 * KIT_FRAME + 16 + 26);
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        plait_share_on_acked(s, 0, a, rows[i].bytes);
        assert_true(plait_share_get_conn(s, a, &info));
        assert_int_equal(info.acked_blocks, rows[i].acked);
        assert_int_equal(info.inflight_blocks, rows[i].inflight);
    }
    plait_share_free(s);
}

static void marks_and_ends_keep_time(void **unused)
{
    struct plait_share *s = kit_share(100, 0, false);
    int a = kit_open(s, 'A', "0-1", NULL), conn;
    uint64_t now = 0;

    (void)unused;
    kit_sends(s, a, "0,1");
    kit_waits(s, a, 2);
    for (int i = 1; i <= 4; i++) {
        assert_int_equal(plait_share_next_deadline(s), now + PLAIT_SHARE_MARK_NS);
        assert_false(plait_share_ready(s, now + PLAIT_SHARE_MARK_NS - 1, &conn));
        now += PLAIT_SHARE_MARK_NS;
        assert_true(plait_share_ready(s, now, &conn));
        assert_int_equal(kit_next(s, now, a).kind, PLAIT_SHARE_MARK);
        assert_int_equal(kit_next(s, now, a).kind, PLAIT_SHARE_WAIT);
    }
    /* Steered in vain, but steered: the thirty seconds begin anew. */
    assert_int_equal(kit_steer_at(s, now, "2-9", "B"), 0);
    assert_int_equal(kit_next(s, now, a).kind, PLAIT_SHARE_MARK);
    for (uint64_t end = now + PLAIT_SHARE_IDLE_NS; now < end - PLAIT_S; now += PLAIT_S) {
        enum plait_share_kind kind = kit_next(s, now, a).kind;
        assert_true(kind == PLAIT_SHARE_MARK || kind == PLAIT_SHARE_WAIT);
    }
    assert_int_equal(kit_next(s, now, a).kind, PLAIT_SHARE_WAIT);
    assert_int_equal(plait_share_next_deadline(s), now + PLAIT_S);
    struct plait_share_next end = kit_next(s, now + PLAIT_S, a);
    assert_true(end.kind == PLAIT_SHARE_END && end.sequence == 100);
    assert_int_equal(kit_ask(s, 'A', "0"), PLAIT_ERR_NOTFOUND);
    assert_int_equal(plait_share_next_deadline(s), PLAIT_NEVER);
    plait_share_free(s);
}

/* Waiting for a live stream to grow is no idleness. */
static void a_live_stream_is_waited_for(void **unused)
{
    struct plait_share *s = kit_share(1, 0, true);
    int a = kit_open(s, 'A', "0-", NULL);
    unsigned marks = 0;

    (void)unused;
    kit_sends(s, a, "0");
    for (uint64_t now = 0; now < 10 * PLAIT_SHARE_IDLE_NS; now += PLAIT_S) {
        enum plait_share_kind kind = kit_next(s, now, a).kind;
        assert_true(kind == PLAIT_SHARE_MARK || kind == PLAIT_SHARE_WAIT);
        marks += kind == PLAIT_SHARE_MARK;
    }
    assert_int_equal(marks, 10 * PLAIT_SHARE_IDLE_NS / PLAIT_SHARE_MARK_NS);
    plait_share_free(s);
}

/* A connection is not ended while what another has in flight could come back to it. */
static void ends_wait_for_the_others(void **unused)
{
    struct plait_share *s = kit_share(4, 0, false);
    int a = kit_open(s, 'A', "0-", NULL), b = kit_open(s, 'B', "0-", NULL), conn;

    (void)unused;
    kit_sends(s, a, "0,1");
    kit_sends(s, b, "2,3");
    kit_waits(s, a, 4);
    kit_acked_all(s, 0, a);
    assert_true(plait_share_ready(s, 0, &conn));
    kit_tells(s, a, PLAIT_SHARE_WAIT, 0);
    kit_tells(s, b, PLAIT_SHARE_END, 4);
    plait_share_on_acked(s, 0, b, KIT_FRAME);
    plait_share_close(s, 0, b, PLAIT_SHARE_BROKEN);
    assert_true(plait_share_ready(s, 0, &conn));
    assert_int_equal(conn, a);
    kit_sends(s, a, "3");
    kit_tells(s, a, PLAIT_SHARE_END, 4);
    plait_share_free(s);
}

/* And is told when there is nothing any more, whatever the letter or the name it was sent under. */
static void ends_come_with_the_last_acknowledgement(void **unused)
{
    static const char *const patterns[] = {NULL, "A"};

    (void)unused;
    for (size_t i = 0; i < 3; i++) {
        struct plait_share *s = kit_share(2, 0, false);
        int conn, a = kit_open(s, 'A', "0-", patterns[i % 2]), b = kit_open(s, 'A', "0-", NULL);
        if (i == 2) {
            kit_sends(s, a, "0,1");
            kit_acked_all(s, 0, a);
            assert_int_equal(kit_ask(s, 'A', "0-1"), PLAIT_OK);
        }
        kit_sends(s, b, "0,1");
        kit_waits(s, a, 2);
        plait_share_on_acked(s, 0, b, KIT_FRAME);
        assert_false(plait_share_ready(s, 0, &conn));
        plait_share_on_acked(s, 0, b, 2 * KIT_FRAME);
        assert_true(plait_share_ready(s, 0, &conn));
        assert_int_equal(conn, a);
        kit_tells(s, a, PLAIT_SHARE_END, 2);
        plait_share_free(s);
    }
}

/* Thirty seconds count from when the last of its work went away. */
static void idleness_begins_anew(void **unused)
{
    struct plait_share *s = kit_share(2, 0, true);
    int a = kit_open(s, 'A', "0-1", NULL), b = kit_open(s, 'B', "0-1", NULL);

    (void)unused;
    kit_sends(s, a, "0");
    kit_sends(s, b, "1");
    kit_waits(s, a, 2);
    /* A block came back and was sent. */
    plait_share_close(s, 20 * PLAIT_S, b, PLAIT_SHARE_BROKEN);
    assert_int_equal(kit_next(s, 20 * PLAIT_S, a).kind, PLAIT_SHARE_BLOCK);
    assert_int_equal(kit_next(s, 40 * PLAIT_S, a).kind, PLAIT_SHARE_MARK);
    assert_int_equal(kit_next(s, 40 * PLAIT_S, a).kind, PLAIT_SHARE_WAIT);
    /* A block was long awaited, and another took it. */
    assert_int_equal(kit_steer_at(s, 41 * PLAIT_S, "2-2", NULL), 0);
    b = kit_open(s, 'B', "2-2", NULL);
    for (uint64_t now = 42 * PLAIT_S; now < 90 * PLAIT_S; now += PLAIT_S)
        assert_int_not_equal(kit_next(s, now, a).kind, PLAIT_SHARE_END);
    assert_int_equal(plait_share_grow(s, 3 * KIT_BLOCK), PLAIT_OK);
    assert_int_equal(kit_next(s, 90 * PLAIT_S, b).kind, PLAIT_SHARE_BLOCK);
    assert_int_not_equal(kit_next(s, 90 * PLAIT_S, a).kind, PLAIT_SHARE_END);
    assert_int_not_equal(kit_next(s, 119 * PLAIT_S, a).kind, PLAIT_SHARE_END);
    assert_int_equal(kit_next(s, 120 * PLAIT_S, a).kind, PLAIT_SHARE_END);
    plait_share_free(s);
}

static void set_link(struct plait_share *s, int conn, double rate, uint64_t rtt_ms, uint64_t unsent)
{
    const struct plait_share_link link = {.unsent_bytes = unsent, .rate = rate, .rtt_ns = rtt_ms * PLAIT_MS};

    plait_share_on_link(s, conn, &link);
}

/* 40 960 bytes/s: 100 ms a block, against 4 096 000: 1 ms a block. */
static void late_blocks_go_where_they_arrive_first(void **unused)
{
    struct plait_share *s = kit_share(200, 0, false);
    int fast = kit_open(s, 'A', "0-", NULL), slow = kit_open(s, 'B', "0-", NULL);
    uint64_t given = 0;

    (void)unused;
    kit_sends(s, slow, "0"); /* nothing is known yet */
    set_link(s, slow, 40960, 20, 0);
    set_link(s, fast, 4096000, 20, 0);
    kit_sends(s, slow, "1"); /* 198 are left: the fast one needs 198 ms for them */
    set_link(s, slow, 40960, 20, 0);
    for (; given < 100; given++) {
        set_link(s, fast, 4096000, 20, 0);
        assert_int_equal(kit_next(s, 0, fast).kind, PLAIT_SHARE_BLOCK);
    }
    /* 98 left, and the slow one's would arrive after 110 ms, the 98th of the fast one's after 108. */
    struct plait_share_next next = kit_next(s, 0, slow);
    assert_int_equal(next.kind, PLAIT_SHARE_WAIT);
    uint64_t look = plait_share_next_deadline(s);
    assert_true(look > 0 && look < 50 * PLAIT_MS);
    /* The fast one has much in its queue: now it is the later one. */
    set_link(s, fast, 4096000, 20, 400 * KIT_FRAME);
    assert_int_equal(kit_next(s, look, slow).kind, PLAIT_SHARE_BLOCK);
    plait_share_free(s);
}

/*
 * A block takes 100 ms on the slow connection. The fast one takes 1 ms for each: 99 arrive there before, and the
 * hundredth at the same time.
 */
static void earlier_is_earlier_by_a_nanosecond(void **unused)
{
    static const struct {
        const char *pattern; /* of both */
        uint64_t blocks;
        unsigned queued; /* given to the fast one and not yet sent */
        enum plait_share_kind kind;
    } rows[] = {
        {NULL, 100, 0, PLAIT_SHARE_BLOCK},      {NULL, 99, 0, PLAIT_SHARE_WAIT},
        {"AB", 200, 0, PLAIT_SHARE_BLOCK},      {"AB", 199, 0, PLAIT_SHARE_BLOCK},
        {"AB", 198, 0, PLAIT_SHARE_WAIT},       {"BAABA", 166, 0, PLAIT_SHARE_WAIT},
        {"BAABA", 167, 0, PLAIT_SHARE_BLOCK},   {NULL, 49 + 50, 50, PLAIT_SHARE_WAIT},
        {NULL, 50 + 50, 50, PLAIT_SHARE_BLOCK},
    };

    (void)unused;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        struct plait_share *s = kit_share(rows[i].blocks, 0, false);
        int slow = kit_open(s, 'A', "0-", rows[i].pattern), fast = kit_open(s, 'A', "0-", NULL);
        set_link(s, fast, 4096000, 0, 0);
        set_link(s, slow, 40960, 0, 0);
        for (unsigned k = 0; k < rows[i].queued; k++)
            assert_int_equal(kit_next(s, 0, fast).kind, PLAIT_SHARE_BLOCK);
        if (rows[i].queued > 0)
            set_link(s, fast, 4096000, 0, rows[i].queued * KIT_BLOCK);
        assert_int_equal(kit_next(s, 0, slow).kind, rows[i].kind);
        plait_share_free(s);
    }
}

/* What was given since the socket was looked at counts as unsent. */
static void what_is_given_is_in_the_queue(void **unused)
{
    struct plait_share *s = kit_share(149, 0, false);
    int slow = kit_open(s, 'A', "0-", NULL), fast = kit_open(s, 'A', "0-", NULL);

    (void)unused;
    set_link(s, fast, 4096000, 0, 0);
    set_link(s, slow, 40960, 0, 0);
    for (unsigned k = 0; k < 50; k++)
        assert_int_equal(kit_next(s, 0, fast).kind, PLAIT_SHARE_BLOCK);
    kit_sends(s, slow, "50");
    set_link(s, fast, 4096000, 0, 0);
    set_link(s, slow, 40960, 0, 0);
    kit_tells(s, slow, PLAIT_SHARE_WAIT, 0);
    plait_share_free(s);
}

/* How fast it is shows only with something to send. */
static void newcomers_are_tried(void **unused)
{
    struct plait_share *s = kit_share(10, 0, false);
    int known = kit_open(s, 'A', "0-", NULL), unknown = kit_open(s, 'B', "0-", NULL);

    (void)unused;
    set_link(s, known, 1e9, 1, 0);
    kit_sends(s, unknown, "0");
    set_link(s, unknown, 1e3, 1, 0);
    kit_tells(s, unknown, PLAIT_SHARE_WAIT, 0);
    plait_share_free(s);
}

/* A connection that has stopped is not waited for. */
static void the_silent_are_not_waited_for(void **unused)
{
    struct plait_share *s = kit_share(10, 0, false);
    int fast = kit_open(s, 'A', "0-", NULL), slow = kit_open(s, 'B', "0-", NULL), conn;
    const uint64_t began = 3 * PLAIT_S;
    uint64_t now = began;
    enum plait_share_kind kind = PLAIT_SHARE_WAIT;

    (void)unused;
    set_link(s, fast, 1e9, 1, 0);
    set_link(s, slow, 1e4, 100, 0);
    assert_int_equal(kit_next(s, began, fast).kind, PLAIT_SHARE_BLOCK);
    assert_int_equal(kit_next(s, began, slow).kind, PLAIT_SHARE_WAIT);
    while (kind == PLAIT_SHARE_WAIT && now < 2 * began) {
        now = plait_share_next_deadline(s);
        assert_true(plait_share_ready(s, now, &conn));
        assert_int_equal(conn, slow);
        kind = kit_next(s, now, slow).kind;
    }
    assert_int_equal(kind, PLAIT_SHARE_BLOCK);
    assert_true(now > began + PLAIT_S && now < began + PLAIT_S + 200 * PLAIT_MS);
    plait_share_free(s);
}

static void acknowledge(struct plait_share *s, uint64_t now, int conn, uint64_t bytes)
{
    int ready;

    plait_share_on_acked(s, now, conn, bytes);
    while (plait_share_ready(s, now, &ready))
        ;
}

static void what_the_stuck_have_is_sent_by_others(void **unused)
{
    struct plait_share *s = kit_share(8, 0, false);
    int dead = kit_open(s, 'A', "0-", NULL), other = kit_open(s, 'B', "0-", NULL);
    struct plait_share_conn_info info;
    const struct plait_share_link link = {.rtt_ns = 40 * PLAIT_MS, .rto_ns = 240 * PLAIT_MS};

    (void)unused;
    assert_int_equal(plait_share_stuck_deadline(s), PLAIT_NEVER);
    plait_share_on_link(s, dead, &link);
    kit_sends(s, dead, "0-2");
    acknowledge(s, 100 * PLAIT_MS, dead, KIT_FRAME + 1); /* some of the second block */
    assert_int_equal(plait_share_stuck_deadline(s), 620 * PLAIT_MS);
    acknowledge(s, 619 * PLAIT_MS, dead, KIT_FRAME + 1);
    assert_true(plait_share_get_conn(s, dead, &info) && !info.stuck && info.inflight_blocks == 2);
    acknowledge(s, 620 * PLAIT_MS, dead, KIT_FRAME + 1);
    assert_true(plait_share_get_conn(s, dead, &info) && info.stuck && info.inflight_blocks == 0);
    assert_int_equal(kit_status(s).returned_blocks, 2);
    kit_sends(s, other, "1-4");
    assert_int_equal(kit_next(s, 620 * PLAIT_MS, dead).kind, PLAIT_SHARE_WAIT);
    acknowledge(s, 700 * PLAIT_MS, dead, 2 * KIT_FRAME); /* it lives */
    assert_true(plait_share_get_conn(s, dead, &info) && !info.stuck && info.acked_blocks == 2);
    kit_sends(s, dead, "5");
    plait_share_close(s, 0, dead, PLAIT_SHARE_BROKEN); /* the third block has been sent again already */
    assert_int_equal(kit_status(s).returned_blocks, 3);
    kit_sends(s, other, "5-7");
    plait_share_free(s);
}

static void who_is_alone_keeps_what_he_has(void **unused)
{
    struct plait_share *s = kit_share(8, 0, false);
    int dead = kit_open(s, 'A', "0-", "AB"), other = kit_open(s, 'B', "0-", "AB");

    (void)unused;
    kit_sends(s, dead, "0");
    acknowledge(s, 10 * PLAIT_S, dead, 0);
    assert_int_equal(kit_status(s).returned_blocks, 0);
    kit_sends(s, other, "1");
    plait_share_close(s, 0, dead, PLAIT_SHARE_BROKEN);
    assert_int_equal(kit_status(s).returned_blocks, 1);
    plait_share_free(s);
}

/* Others with another letter, or whose span begins later, deliver nothing of it. */
static void only_those_that_may_send_count(void **unused)
{
    struct plait_share *s = kit_share(10, 0, false);
    int slow = kit_open(s, 'A', "0-", "A"), fast = kit_open(s, 'B', "0-", NULL);
    int later = kit_open(s, 'A', "5-", NULL);

    (void)unused;
    set_link(s, slow, 1e4, 100, 0);
    set_link(s, fast, 1e9, 1, 0);
    set_link(s, later, 1e9, 1, 0);
    kit_sends(s, slow, "0-4");
    kit_tells(s, slow, PLAIT_SHARE_WAIT, 0);
    kit_sends(s, later, "5");
    plait_share_free(s);
}

/* Of equal ones somebody always goes. */
static void somebody_always_goes(void **unused)
{
    struct plait_share *s = kit_share(1, 0, false);
    int conns[20];

    (void)unused;
    for (int i = 0; i < 20; i++) {
        conns[i] = kit_open(s, (char)('A' + i), "0-", NULL);
        set_link(s, conns[i], 1e6, 10, 0);
    }
    kit_sends(s, conns[7], "0");
    plait_share_free(s);
}

static void connections_are_bounded(void **unused)
{
    const struct plait_share_config config = {.block_bytes = KIT_BLOCK, .size = 0, .conns_max = 3};
    struct plait_share *s = plait_share_new(&config, 5);

    (void)unused;
    assert_non_null(s);
    assert_int_equal(kit_status(s).empty_since, 5);
    assert_int_equal(kit_open(s, 'A', "0-", NULL), 0);
    assert_int_equal(kit_open(s, 'B', "0-", NULL), 1);
    assert_int_equal(kit_open(s, 'C', "0-", NULL), 2);
    assert_int_equal(kit_try_open(s, 'D', "0-", NULL), PLAIT_ERR_LIMIT);
    plait_share_close(s, 6, 1, PLAIT_SHARE_COMPLETE);
    assert_int_equal(kit_status(s).empty_since, PLAIT_NEVER);
    assert_int_equal(kit_open(s, 'D', "0-", NULL), 1);
    plait_share_close(s, 7, 0, PLAIT_SHARE_COMPLETE);
    plait_share_close(s, 8, 1, PLAIT_SHARE_COMPLETE);
    plait_share_close(s, 9, 2, PLAIT_SHARE_COMPLETE);
    assert_true(kit_status(s).empty_since == 9 && kit_status(s).conns == 0);
    plait_share_free(s);
}

static void frames_in_flight_are_bounded(void **unused)
{
    struct plait_share *s = kit_share(10000, 0, false);
    int a = kit_open(s, 'A', "0-", NULL), conn;

    (void)unused;
    for (unsigned i = 0; i < PLAIT_SHARE_INFLIGHT_MAX; i++)
        assert_int_equal(kit_next(s, 0, a).sequence, i);
    kit_tells(s, a, PLAIT_SHARE_WAIT, 0);
    assert_false(plait_share_ready(s, PLAIT_SHARE_MARK_NS, &conn));
    plait_share_on_acked(s, 0, a, KIT_FRAME);
    assert_true(plait_share_ready(s, 0, &conn));
    assert_int_equal(kit_next(s, 0, a).sequence, PLAIT_SHARE_INFLIGHT_MAX);
    kit_tells(s, a, PLAIT_SHARE_WAIT, 0);
    plait_share_close(s, 0, a, PLAIT_SHARE_BROKEN);
    assert_int_equal(kit_status(s).returned_blocks, PLAIT_SHARE_INFLIGHT_MAX);
    a = kit_open(s, 'A', "0-", NULL);
    kit_sends(s, a, "1,2,3");
    plait_share_free(s);
}

static void steer_often(struct plait_share *s)
{
    char span[PLAIT_FIELD_SPAN_SIZE];

    for (unsigned i = 1; i < PLAIT_SHARE_STEPS_MAX; i++) {
        snprintf(span, sizeof span, "%u-", i * 10);
        assert_int_equal(kit_steer(s, span, i % 2 ? "AB" : "BA"), 0);
    }
}

/* 32 patterns ahead; when the first two are over there is room for another. */
static void steps_are_bounded(void **unused)
{
    struct plait_share *s = kit_share(100000, 0, false);
    int a = kit_open(s, 'A', "0-", "A");

    (void)unused;
    steer_often(s);
    assert_int_equal(kit_steer(s, "990-", "AAAB"), -1000000 + PLAIT_ERR_LIMIT);
    /* One that replaces others needs no room, nor one that is there already. */
    assert_int_equal(kit_steer(s, "310-", "BBA"), 0);
    assert_int_equal(kit_steer(s, "310-400", "BBA"), 0);
    assert_int_equal(kit_steer(s, "990-", "AAAB"), -1000000 + PLAIT_ERR_LIMIT);
    kit_sends(s, a, "0-10,12,14,16,18");
    kit_acked_all(s, 0, a);
    /* Block 19 could still be steered. */
    assert_int_equal(kit_steer(s, "990-", "AAAB"), -1000000 + PLAIT_ERR_LIMIT);
    kit_sends(s, a, "21");
    assert_int_equal(kit_steer(s, "990-", "AAAB"), 0);
    kit_sends(s, a, "23,25,27");
    /* What is over stays over, for whoever asks for it. */
    int b = kit_open(s, 'B', "0-", "AABB");
    kit_sends(s, b, "20,22,24,26,28,31");
    assert_int_equal(kit_steer(s, "0-", "A"), kit_late_at(32));
    assert_int_equal(kit_steer(s, "0-9", "A"), kit_late_at(32));
    plait_share_free(s);
}

/* A pattern is over when none of its blocks can come back. */
static void steps_in_flight_are_kept(void **unused)
{
    struct plait_share *s = kit_share(100000, 0, false);
    int a = kit_open(s, 'A', "0-", "A");

    (void)unused;
    steer_often(s);
    kit_sends(s, a, "0-10,12,14,16,18,21");
    plait_share_on_acked(s, 0, a, 14 * KIT_FRAME);
    assert_int_equal(kit_steer(s, "990-", "AAAB"), -1000000 + PLAIT_ERR_LIMIT);
    plait_share_on_acked(s, 0, a, 15 * KIT_FRAME);
    assert_int_equal(kit_steer(s, "990-", "AAAB"), 0);
    plait_share_free(s);
}

/* With as many gaps as there may be steps, nothing can be joined; but the last pattern still goes on. */
static void the_present_pattern_is_kept(void **unused)
{
    struct plait_share *s = kit_share(1000, 0, false);
    int a = kit_open(s, 'A', "0-0", "A");
    char span[PLAIT_FIELD_SPAN_SIZE];

    (void)unused;
    for (unsigned i = 1; i < PLAIT_SHARE_STEPS_MAX; i++) {
        snprintf(span, sizeof span, "%u-%u", 2 * i, 2 * i);
        assert_int_equal(kit_steer(s, span, NULL), 0);
    }
    for (unsigned i = 0; i < PLAIT_SHARE_STEPS_MAX; i++)
        assert_int_equal(kit_next(s, 0, a).sequence, 2 * i);
    kit_acked_all(s, 0, a);
    assert_int_equal(kit_steer(s, "100-100", NULL), -1000000 + PLAIT_ERR_LIMIT);
    assert_int_equal(kit_steer(s, "63-64", NULL), 0);
    kit_sends(s, a, "63,64");
    plait_share_free(s);
}

/* What a letter leaves behind is one range, however many others lie between its blocks. */
static void letters_come_back_whole(void **unused)
{
    struct plait_share *s = kit_share(100000, 0, false);
    int a = kit_open(s, 'A', "0-", "AB");

    (void)unused;
    for (unsigned i = 0; i < PLAIT_SHARE_INFLIGHT_MAX; i++)
        assert_int_equal(kit_next(s, 0, a).sequence, 2 * i);
    plait_share_close(s, 0, a, PLAIT_SHARE_BROKEN);
    assert_int_equal(kit_status(s).returned_blocks, PLAIT_SHARE_INFLIGHT_MAX);
    a = kit_open(s, 'A', "0-", NULL);
    for (unsigned i = 0; i < PLAIT_SHARE_INFLIGHT_MAX; i++)
        assert_int_equal(kit_next(s, 0, a).sequence, 2 * i);
    plait_share_free(s);
}

/* Where steps are forgotten, what was due of a letter that is gone is counted as given up. */
static void forgotten_blocks_are_counted(void **unused)
{
    struct plait_share *s = kit_share(100000, 0, false);
    int a = kit_open(s, 'A', "0-", "ABB"), b = kit_open(s, 'B', "0-", NULL);

    (void)unused;
    kit_sends(s, b, "1,2,4");
    plait_share_on_acked(s, 0, b, 2 * KIT_FRAME);
    plait_share_close(s, 0, b, PLAIT_SHARE_BROKEN);
    steer_often(s);
    for (unsigned i = 0; i < 30; i++)
        (void)kit_next(s, 0, a);
    kit_acked_all(s, 0, a);
    kit_hole(s, 0, 4);
    assert_int_equal(kit_steer(s, "990-", "AAAB"), 0);
    /* 4, 5, 7 and 8, then five of every ten; the last forgotten are those before the first hole. */
    uint64_t hole = 0;
    assert_true(plait_share_hole(s, 0, &hole));
    assert_in_range(hole, 40, 60);
    assert_int_equal(kit_status(s).dropped_blocks, 4 + 5 * (hole / 10 - 1));
    plait_share_free(s);
}

/* So many blocks come back apart from each other that not all can be kept: they are counted. */
static void ranges_are_bounded(void **unused)
{
    struct plait_share *s = kit_share(10000, 0, false);
    int a = kit_open(s, 'A', "0-", NULL), b = kit_open(s, 'B', "0-", NULL);
    struct plait_share_status status;
    uint64_t again = 0;

    (void)unused;
    for (unsigned i = 0; i < PLAIT_SHARE_INFLIGHT_MAX; i++) {
        assert_int_equal(kit_next(s, 0, a).sequence, 2 * i);
        assert_int_equal(kit_next(s, 0, b).sequence, 2 * i + 1);
    }
    kit_acked_all(s, 0, b);
    plait_share_close(s, 0, a, PLAIT_SHARE_BROKEN);
    status = kit_status(s);
    assert_int_equal(status.returned_blocks + status.dropped_blocks, PLAIT_SHARE_INFLIGHT_MAX);
    assert_true(status.returned_blocks > PLAIT_SHARE_RANGES_MAX / 2);
    assert_int_equal(kit_open_named(s, 'N', "1"), PLAIT_ERR_LIMIT);
    assert_int_equal(kit_ask(s, 'B', "1"), PLAIT_ERR_LIMIT);
    /* Patterns can be given all the same. */
    assert_int_equal(kit_steer(s, "9000-", "AABCC"), 0);
    for (struct plait_share_next next; (next = kit_next(s, 0, b)).kind == PLAIT_SHARE_BLOCK;) {
        again += next.sequence < 2 * PLAIT_SHARE_INFLIGHT_MAX;
        kit_acked_all(s, 0, b);
    }
    assert_int_equal(again, status.returned_blocks);
    assert_int_equal(kit_open_named(s, 'N', "1"), 0);
    plait_share_free(s);
}

static void what_is_outside_the_contract(void **unused)
{
    static const struct plait_share_config configs[] = {
        {.block_bytes = 0, .size = 1},
        {.block_bytes = 5000, .size = 1},
        {.block_bytes = 2048, .size = 1},
        {.block_bytes = 4096, .size = PLAIT_STREAM_SIZE_MAX + 1},
        {.block_bytes = 4096, .size = 1, .conns_max = PLAIT_SHARE_CONNS_MAX + 1},
    };
    struct plait_pattern empty = {.len = 0}, foreign = {.len = 1, .path = {PLAIT_LETTERS}};
    struct plait_share_request r = {.letter = PLAIT_LETTERS, .span = {0, 1}};
    struct plait_share *s = kit_share(10, 0, false);
    const struct plait_span open_end = {3, PLAIT_SPAN_OPEN}, back = {3, 2};
    uint64_t at = 77;

    (void)unused;
    for (size_t i = 0; i < PLAIT_COUNT(configs); i++)
        assert_null(plait_share_new(&configs[i], 0));
    assert_int_equal(plait_share_open(s, 0, &r), PLAIT_ERR_ARG);
    r = (struct plait_share_request){.span = back};
    assert_int_equal(plait_share_open(s, 0, &r), PLAIT_ERR_ARG);
    r = (struct plait_share_request){.span = {0, 1}, .pattern = &empty};
    assert_int_equal(plait_share_open(s, 0, &r), PLAIT_ERR_ARG);
    r = (struct plait_share_request){.blocks = &open_end, .count = 1};
    assert_int_equal(plait_share_open(s, 0, &r), PLAIT_ERR_ARG);
    assert_int_equal(plait_share_steer(s, 0, open_end, &foreign, &at), PLAIT_ERR_ARG);
    assert_int_equal(plait_share_steer(s, 0, back, NULL, &at), PLAIT_ERR_ARG);
    assert_int_equal(at, 77);
    assert_true(kit_status(s).conns == 0 && kit_status(s).plan_end == 0);
    plait_share_free(s);
    plait_share_free(NULL);
}

static void without_memory(void **unused)
{
    const struct plait_share_config config = {.block_bytes = KIT_BLOCK, .size = KIT_BLOCK};
    const struct plait_share_request r = {.span = {0, 0}};
    struct plait_share *s;

    (void)unused;
    for (long good = 0; good < 2; good++) {
        failing_alloc_after(good);
        assert_null(plait_share_new(&config, 0));
        assert_true(failing_alloc_happened());
    }
    failing_alloc_after(-1);
    s = plait_share_new(&config, 0);
    failing_alloc_after(0);
    assert_int_equal(plait_share_open(s, 0, &r), PLAIT_ERR_NOMEM);
    failing_alloc_after(-1);
    assert_int_equal(kit_status(s).plan_end, 0);
    assert_int_equal(plait_share_open(s, 0, &r), 0);
    plait_share_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledged_bytes_are_blocks),
        cmocka_unit_test(marks_and_ends_keep_time),
        cmocka_unit_test(a_live_stream_is_waited_for),
        cmocka_unit_test(ends_wait_for_the_others),
        cmocka_unit_test(ends_come_with_the_last_acknowledgement),
        cmocka_unit_test(idleness_begins_anew),
        cmocka_unit_test(late_blocks_go_where_they_arrive_first),
        cmocka_unit_test(earlier_is_earlier_by_a_nanosecond),
        cmocka_unit_test(what_is_given_is_in_the_queue),
        cmocka_unit_test(newcomers_are_tried),
        cmocka_unit_test(the_silent_are_not_waited_for),
        cmocka_unit_test(what_the_stuck_have_is_sent_by_others),
        cmocka_unit_test(who_is_alone_keeps_what_he_has),
        cmocka_unit_test(only_those_that_may_send_count),
        cmocka_unit_test(somebody_always_goes),
        cmocka_unit_test(connections_are_bounded),
        cmocka_unit_test(frames_in_flight_are_bounded),
        cmocka_unit_test(steps_are_bounded),
        cmocka_unit_test(the_present_pattern_is_kept),
        cmocka_unit_test(steps_in_flight_are_kept),
        cmocka_unit_test(letters_come_back_whole),
        cmocka_unit_test(forgotten_blocks_are_counted),
        cmocka_unit_test(ranges_are_bounded),
        cmocka_unit_test(what_is_outside_the_contract),
        cmocka_unit_test(without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
