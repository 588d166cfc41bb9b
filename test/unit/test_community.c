/* Who is a member, since when, and for how long; what strangers and recordings achieve. */
#include "community.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto_kit.h"

#define TERMINALS 4
#define MS        PLAIT_MS

struct wire {
    uint8_t bytes[PLAIT_ANNOUNCE_BYTES_MAX];
    size_t len;
    struct plait_origin from;
};

static struct plait_crypto *crypto;
static struct plait_prng prng;
static struct plait_community *at[TERMINALS];
static struct plait_origin origin[TERMINALS];
static uint64_t now;
static struct wire last; /* the last thing that was said to everybody */
static const struct plait_announce_uplink dsl = {0, false, false, 7654, 1000, 2000};

static struct plait_community *make(unsigned i, uint8_t key, uint64_t instance)
{
    struct plait_community_config config = {
        .crypto = crypto, .random = kit_random(&prng), .key = {key}, .instance = instance, .hub = 9};
    struct plait_community *c;

    memcpy(config.name, "tX", 3);
    config.name[1] = (char)('0' + i);
    assert_int_equal(plait_community_new(&config, now, &c), PLAIT_OK);
    assert_int_equal(plait_community_offer(c, now, 0, &dsl, 1), PLAIT_OK);
    return c;
}

static int begin(void **state)
{
    (void)state;
    prng.state = 7;
    now = PLAIT_S;
    crypto = plait_crypto_new();
    for (unsigned i = 0; i < TERMINALS; i++) {
        origin[i] = (struct plait_origin){.address = {[15] = (uint8_t)(i + 1)}, .port = (uint16_t)(5000 + i)};
        at[i] = make(i, 1, 100 + i);
    }
    return 0;
}

static int end(void **state)
{
    (void)state;
    for (unsigned i = 0; i < TERMINALS; i++)
        plait_community_free(at[i]);
    plait_crypto_free(crypto);
    return 0;
}

static void hand_out(unsigned from, const struct wire *w, const struct plait_origin *to, bool all)
{
    uint8_t copy[PLAIT_ANNOUNCE_BYTES_MAX];

    for (unsigned i = 0; i < TERMINALS; i++) {
        if (at[i] == NULL || (!all && to->port != origin[i].port))
            continue;
        memcpy(copy, w->bytes, w->len);
        (void)plait_community_recv(at[i], now, &origin[from], copy, w->len);
    }
}

static void step(void)
{
    struct plait_origin to;
    bool all;
    struct wire w;

    for (unsigned i = 0; i < TERMINALS; i++) {
        if (at[i] == NULL)
            continue;
        plait_community_on_deadline(at[i], now);
        while ((w.len = plait_community_poll_send(at[i], now, &to, &all, w.bytes)) > 0) {
            w.from = origin[i];
            if (all)
                last = w;
            hand_out(i, &w, &to, all);
        }
    }
}

static void run(uint64_t time)
{
    for (uint64_t until = now + time; now < until; now += 5 * MS)
        step();
}

static void all_know_each_other_soon(void **state)
{
    (void)state;
    run(200 * MS);
    for (unsigned i = 0; i < TERMINALS; i++)
        assert_int_equal(plait_community_count(at[i]), TERMINALS - 1);
    const struct plait_community_member *m = plait_community_find(at[0], 102);
    assert_non_null(m);
    assert_string_equal(m->name, "t2");
    assert_int_equal(m->from.port, 5002);
    assert_int_equal(m->uplink_count, 1);
    assert_true(plait_announce_uplinks_equal(&m->uplinks[0], &dsl, 1));
    uint64_t changes = plait_community_changes(at[0]);
    run(20 * PLAIT_S);
    assert_true(plait_community_changes(at[0]) == changes);
}

static void a_change_is_told_at_once(void **state)
{
    struct plait_announce_uplink two[] = {dsl, {1, true, false, 99, 0, 0}};

    (void)state;
    run(PLAIT_S);
    assert_int_equal(plait_community_offer(at[1], now, 4042, two, 2), PLAIT_OK);
    run(10 * MS);
    const struct plait_community_member *m = plait_community_find(at[0], 101);
    assert_int_equal(m->uplink_count, 2);
    assert_int_equal(m->hub_port, 4042);
}

static void what_it_has_upward_is_told_at_once(void **state)
{
    (void)state;
    run(2 * PLAIT_S);
    assert_int_equal(plait_community_find(at[1], 100)->up_at, 0);
    plait_community_use(at[0], now, 123456);
    step();
    assert_int_equal(plait_community_find(at[1], 100)->up, 123456);
    assert_int_equal(plait_community_find(at[1], 100)->up_at, now);
    uint64_t told = now;
    plait_community_use(at[0], now, 0);
    run(3 * PLAIT_S);
    assert_int_equal(plait_community_find(at[1], 100)->up, 0);
    assert_int_equal(plait_community_find(at[1], 100)->up_at, told);
}

static void who_leaves_is_dropped_at_once(void **state)
{
    (void)state;
    run(PLAIT_S);
    plait_community_leave(at[3]);
    run(10 * MS);
    for (unsigned i = 0; i < TERMINALS - 1; i++)
        assert_null(plait_community_find(at[i], 103));
    run(10 * PLAIT_S);
    assert_null(plait_community_find(at[0], 103));
}

static void who_vanishes_is_dropped_after_the_limit(void **state)
{
    unsigned seen = 0;

    (void)state;
    run(3 * PLAIT_S);
    plait_community_free(at[3]);
    at[3] = NULL;
    uint64_t from = now;
    const struct plait_community_member *m;
    while ((m = plait_community_find(at[0], 103)) != NULL) {
        assert_true(m->missed == seen || m->missed == seen + 1);
        seen = m->missed;
        run(5 * MS);
        assert_true(now - from < 20 * PLAIT_S);
    }
    assert_int_equal(seen, PLAIT_COMMUNITY_MISSED_MAX);
    assert_true(now - from > 3 * PLAIT_COMMUNITY_PERIOD && now - from < 5 * PLAIT_COMMUNITY_PERIOD);
}

static void traffic_counts_as_active(void **state)
{
    (void)state;
    run(PLAIT_S);
    plait_community_free(at[3]);
    at[3] = NULL;
    for (int i = 0; i < 40; i++) {
        run(PLAIT_S);
        plait_community_note_traffic(at[0], now, &origin[3]);
    }
    assert_non_null(plait_community_find(at[0], 103));
    assert_null(plait_community_find(at[1], 103));
}

static void other_keys_are_strangers(void **state)
{
    struct plait_community_counts counts;

    (void)state;
    plait_community_free(at[3]);
    at[3] = make(3, 2, 103);
    run(5 * PLAIT_S);
    assert_null(plait_community_find(at[0], 103));
    assert_int_equal(plait_community_count(at[3]), 0);
    plait_community_counts(at[0], &counts);
    assert_true(counts.forged > 0 && counts.bad == 0);
}

static void every_changed_bit_is_forged(void **state)
{
    struct plait_community_counts before, after;
    uint8_t bytes[PLAIT_ANNOUNCE_BYTES_MAX];

    (void)state;
    run(PLAIT_S);
    for (size_t bit = 0; bit < last.len * 8; bit++) {
        memcpy(bytes, last.bytes, last.len);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        plait_community_counts(at[0], &before);
        assert_true(plait_community_recv(at[0], now, &last.from, bytes, last.len) < 0);
        plait_community_counts(at[0], &after);
        assert_true(after.forged == before.forged + 1);
    }
    for (size_t len = 0; len < last.len; len++)
        assert_true(plait_community_recv(at[0], now, &last.from, last.bytes, len) < 0);
}

static void recordings_are_refused(void **state)
{
    struct plait_community_counts counts;
    struct wire active, bye;

    (void)state;
    run(PLAIT_S);
    step();
    for (unsigned i = 0; i < 3; i++)
        plait_community_leave(at[i]);
    run(3 * PLAIT_S); /* only the last one speaks */
    active = last;
    assert_int_equal(active.from.port, 5003);
    for (unsigned i = 0; i < 3; i++) {
        plait_community_free(at[i]);
        at[i] = make(i, 1, 200 + i);
    }
    run(PLAIT_S);
    assert_int_equal(plait_community_recv(at[0], now, &active.from, active.bytes, active.len),
                     PLAIT_ERR_LIMIT);
    plait_community_counts(at[0], &counts);
    assert_int_equal(counts.replayed, 1);
    /* The same from another address moves nobody. */
    struct plait_origin elsewhere = {.address = {[15] = 99}, .port = 1};
    assert_true(plait_community_recv(at[0], now, &elsewhere, active.bytes, active.len) < 0);
    assert_int_equal(plait_community_find(at[0], 103)->from.port, 5003);
    /* One that has left, or that a terminal knows nothing of any more, does not come back by what was recorded. */
    plait_community_leave(at[3]);
    step();
    bye = last;
    plait_community_free(at[3]);
    at[3] = NULL;
    assert_null(plait_community_find(at[0], 103));
    for (int i = 0; i < 200; i++) {
        (void)plait_community_recv(at[0], now, &active.from, active.bytes, active.len);
        (void)plait_community_recv(at[0], now, &bye.from, bye.bytes, bye.len);
        run(20 * MS);
        assert_null(plait_community_find(at[0], 103));
    }
}

static void a_restart_is_somebody_new(void **state)
{
    (void)state;
    run(PLAIT_S);
    plait_community_free(at[3]);
    at[3] = make(3, 1, 777);
    run(200 * MS);
    assert_non_null(plait_community_find(at[0], 777));
    assert_non_null(plait_community_find(at[3], 100));
    run(12 * PLAIT_S);
    assert_null(plait_community_find(at[0], 103));
}

static void who_moves_is_asked_and_followed(void **state)
{
    (void)state;
    run(PLAIT_S);
    origin[3].port = 6003;
    run(3 * PLAIT_S);
    assert_int_equal(plait_community_find(at[0], 103)->from.port, 6003);
}

/* A member that is malicious can fill the table, but not the memory, and says no more than a hundred things a second. */
static void floods_have_a_bound(void **state)
{
    struct plait_origin to;
    uint8_t out[PLAIT_ANNOUNCE_BYTES_MAX];
    bool all;
    size_t said = 0;

    (void)state;
    run(PLAIT_S);
    for (int i = 0; i < 1000; i++) {
        struct plait_community *many = make(1, 1, 1000 + (uint64_t)i);
        struct plait_origin from = {.address = {[15] = 50}, .port = (uint16_t)(1000 + i)};
        size_t len = plait_community_poll_send(many, now, &to, &all, out);
        (void)plait_community_recv(at[0], now, &from, out, len);
        plait_community_free(many);
        now += MS / 10;
    }
    for (uint64_t until = now + PLAIT_S; now < until; now += MS)
        while (plait_community_poll_send(at[0], now, &to, &all, out) > 0)
            said++;
    assert_true(said < 110);
    assert_true(plait_community_count(at[0]) <= PLAIT_COMMUNITY_MEMBERS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_know_each_other_soon, begin, end),
        cmocka_unit_test_setup_teardown(a_change_is_told_at_once, begin, end),
        cmocka_unit_test_setup_teardown(what_it_has_upward_is_told_at_once, begin, end),
        cmocka_unit_test_setup_teardown(who_leaves_is_dropped_at_once, begin, end),
        cmocka_unit_test_setup_teardown(who_vanishes_is_dropped_after_the_limit, begin, end),
        cmocka_unit_test_setup_teardown(traffic_counts_as_active, begin, end),
        cmocka_unit_test_setup_teardown(other_keys_are_strangers, begin, end),
        cmocka_unit_test_setup_teardown(every_changed_bit_is_forged, begin, end),
        cmocka_unit_test_setup_teardown(recordings_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(a_restart_is_somebody_new, begin, end),
        cmocka_unit_test_setup_teardown(who_moves_is_asked_and_followed, begin, end),
        cmocka_unit_test_setup_teardown(floods_have_a_bound, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
