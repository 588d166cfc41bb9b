/* Two ends of a bond, with lines of fixed delay between them. */
#include "bond.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "prng.h"
#include "units.h"

#define PATHS  3
#define FLIGHT 20000

struct carried {
    uint64_t at;
    uint8_t path;
    uint16_t len;
    uint8_t bytes[1500];
};

struct kit;

struct end {
    struct kit *kit;
    struct plait_pool pool;
    struct plait_bond *bond;
    struct carried *line[PATHS]; /* owns; rings of what it has sent */
    unsigned head[PATHS], tail[PATHS];
    uint32_t got[FLIGHT];
    unsigned got_n;
    uint8_t control[64];
    size_t control_len;
    char order[64]; /* paths of the first DATA datagrams, as letters */
    unsigned order_n;
    unsigned data_n[PATHS];
};

struct kit {
    struct end end[2];
    uint64_t now;
    uint64_t delay_ns[PATHS];
    bool cut[PATHS];
    bool recording;
};

#define RING 4096u

static void on_deliver(void *ctx, uint64_t now, const uint8_t *bytes, size_t len)
{
    struct end *e = ctx;
    uint32_t number;

    (void)now;
    if (len < 32 || e->got_n == FLIGHT) /* made by nobody */
        return;
    memcpy(&number, bytes + 28, 4);
    e->got[e->got_n++] = number;
}

static void on_control(void *ctx, uint64_t now, unsigned path, const uint8_t *bytes, size_t len)
{
    struct end *e = ctx;

    (void)now;
    (void)path;
    e->control_len = len < sizeof(e->control) ? len : sizeof(e->control);
    memcpy(e->control, bytes, e->control_len);
}

static void set_paths(struct kit *k, const struct plait_bond_path_config *config, unsigned n)
{
    for (unsigned side = 0; side < 2; side++)
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(plait_bond_path_set(k->end[side].bond, k->now, i, &config[i]), PLAIT_OK);
}

static int set_up(void **state)
{
    static struct kit k;

    memset(&k, 0, sizeof(k));
    k.now = PLAIT_S;
    for (unsigned side = 0; side < 2; side++) {
        struct end *e = &k.end[side];
        struct plait_bond_config config = {
            .pool = &e->pool, .deliver = on_deliver, .control = on_control, .ctx = e, .seed = 5};
        e->kit = &k;
        assert_int_equal(plait_pool_init(&e->pool, 4096, 1600), PLAIT_OK);
        assert_int_equal(plait_bond_new(&config, &e->bond), PLAIT_OK);
        for (unsigned i = 0; i < PATHS; i++) {
            e->line[i] = test_calloc(RING, sizeof(struct carried));
            k.delay_ns[i] = 10 * PLAIT_MS;
        }
    }
    *state = &k;
    return 0;
}

static int tear_down(void **state)
{
    struct kit *k = *state;

    for (unsigned side = 0; side < 2; side++) {
        struct end *e = &k->end[side];
        plait_bond_free(e->bond);
        assert_int_equal(e->pool.spare_n, e->pool.count);
        plait_pool_done(&e->pool);
        for (unsigned i = 0; i < PATHS; i++)
            test_free(e->line[i]);
    }
    return 0;
}

static void note(struct end *e, const struct plait_bond_datagram *d)
{
    if (d->header[0] >> 4 != PLAIT_DATAGRAM_DATA)
        return;
    e->data_n[d->path]++;
    if (e->kit->recording && e->order_n < sizeof(e->order) - 1)
        e->order[e->order_n++] = (char)('A' + d->path);
}

static void pump(struct kit *k, unsigned side)
{
    struct end *e = &k->end[side];
    struct plait_bond_datagram d;

    while (plait_bond_poll_send(e->bond, k->now, &d)) {
        assert_int_equal(d.len, d.header_len + d.payload_len);
        note(e, &d);
        if (k->cut[d.path])
            continue;
        struct carried *c = &e->line[d.path][e->tail[d.path]++ % RING];
        assert_true(e->tail[d.path] - e->head[d.path] <= RING);
        c->at = k->now + k->delay_ns[d.path];
        c->path = d.path;
        c->len = d.len;
        memcpy(c->bytes, d.header, d.header_len);
        memcpy(c->bytes + d.header_len, d.payload, d.payload_len);
    }
}

static void arrive(struct kit *k, unsigned side)
{
    struct end *from = &k->end[1 - side];

    for (unsigned i = 0; i < PATHS; i++) {
        while (from->head[i] < from->tail[i] && from->line[i][from->head[i] % RING].at <= k->now) {
            struct carried *c = &from->line[i][from->head[i]++ % RING];
            if (!k->cut[i])
                (void)plait_bond_recv(k->end[side].bond, k->now, c->path, c->bytes, c->len);
        }
    }
}

static void run(struct kit *k, uint64_t ns)
{
    uint64_t end = k->now + ns;

    for (; k->now < end; k->now += PLAIT_MS / 10) {
        for (unsigned side = 0; side < 2; side++) {
            arrive(k, side);
            if (plait_bond_next_deadline(k->end[side].bond) <= k->now)
                plait_bond_on_deadline(k->end[side].bond, k->now);
            pump(k, side);
        }
    }
}

static int push(struct kit *k, unsigned side, uint32_t number, size_t len)
{
    uint8_t bytes[1600] = {
        0x45, 0, (uint8_t)(len >> 8), (uint8_t)len, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2};

    bytes[21] = 1;
    bytes[23] = 2;
    memcpy(bytes + 28, &number, 4);
    return plait_bond_push_copy(k->end[side].bond, k->now, bytes, len);
}

static const struct plait_bond_path_config PLAIN[PATHS] = {
    {.rate_hint = 2e6}, {.rate_hint = 2e6}, {.rate_hint = 2e6}};

static void test_packets_come_through_in_order(void **state)
{
    struct kit *k = *state;

    k->delay_ns[1] = 25 * PLAIT_MS;
    set_paths(k, PLAIN, 3);
    run(k, 500 * PLAIT_MS);
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(push(k, 0, i, 1000), PLAIT_OK);
        run(k, PLAIT_MS);
    }
    run(k, 300 * PLAIT_MS);
    assert_int_equal(k->end[1].got_n, 1000);
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(k->end[1].got[i], i);
}

static void test_paths_come_up_with_round_trip_and_mtu(void **state)
{
    struct kit *k = *state;
    struct plait_bond_path_info info;

    set_paths(k, PLAIN, 2);
    plait_bond_path_get(k->end[0].bond, k->now, 0, &info);
    assert_int_equal(info.state, PLAIT_BOND_PATH_UNKNOWN);
    run(k, 300 * PLAIT_MS);
    for (unsigned i = 0; i < 2; i++) {
        plait_bond_path_get(k->end[0].bond, k->now, i, &info);
        assert_int_equal(info.state, PLAIT_BOND_PATH_UP);
        assert_int_equal(info.mtu, 1500);
        assert_in_range(info.rtt_ns, 20 * PLAIT_MS, 21 * PLAIT_MS);
    }
    assert_int_equal(plait_bond_mtu(k->end[0].bond), 1500 - 58 - PLAIT_DATAGRAM_DATA_BYTES);
    plait_bond_path_get(k->end[0].bond, k->now, 2, &info);
    assert_int_equal(info.state, PLAIT_BOND_PATH_NONE);
}

/* The example of the seed: weights 2, 1, 2 give A B C A C, over and over, while the sender is saturated. */
static void test_fixed_weights_give_the_weighted_order(void **state)
{
    struct kit *k = *state;
    static const struct plait_bond_path_config weighted[PATHS] = {
        {.weight = 2, .rate_hint = 5e6}, {.weight = 1, .rate_hint = 5e6}, {.weight = 2, .rate_hint = 5e6}};

    set_paths(k, weighted, 3);
    run(k, 500 * PLAIT_MS);
    k->recording = true;
    for (uint32_t i = 0; i < 50; i++)
        assert_int_equal(push(k, 0, i, 1000), PLAIT_OK);
    run(k, 100 * PLAIT_MS);
    assert_memory_equal(k->end[0].order, "ABCACABCACABCACABCAC", 20);
}

static void test_a_cut_path_loses_nothing(void **state)
{
    struct kit *k = *state;

    set_paths(k, PLAIN, 3);
    run(k, 500 * PLAIT_MS);
    for (uint32_t i = 0; i < 2000; i++) {
        assert_int_equal(push(k, 0, i, 1000), PLAIT_OK);
        run(k, PLAIT_MS);
        if (i == 700)
            k->cut[0] = true;
    }
    run(k, 300 * PLAIT_MS);
    assert_int_equal(k->end[1].got_n, 2000);
    for (uint32_t i = 0; i < 2000; i++)
        assert_int_equal(k->end[1].got[i], i);
    struct plait_bond_path_info info;
    plait_bond_path_get(k->end[0].bond, k->now, 0, &info);
    assert_true(info.state == PLAIT_BOND_PATH_SUSPECT || info.state == PLAIT_BOND_PATH_DEAD);
    k->cut[0] = false;
    run(k, PLAIT_S);
    plait_bond_path_get(k->end[0].bond, k->now, 0, &info);
    assert_int_equal(info.state, PLAIT_BOND_PATH_UP);
}

static void test_carrier_and_removal_move_what_was_under_way(void **state)
{
    struct kit *k = *state;

    set_paths(k, PLAIN, 2);
    run(k, 500 * PLAIT_MS);
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(push(k, 0, i, 1000), PLAIT_OK);
        run(k, PLAIT_MS);
        if (i == 300) {
            k->cut[0] = true;
            plait_bond_path_carrier(k->end[0].bond, k->now, 0, false);
        }
        if (i == 600) {
            k->cut[0] = false;
            plait_bond_path_carrier(k->end[0].bond, k->now, 0, true);
        }
        if (i == 900)
            plait_bond_path_remove(k->end[0].bond, k->now, 1);
    }
    run(k, 300 * PLAIT_MS);
    assert_int_equal(k->end[1].got_n, 1000);
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(k->end[1].got[i], i);
}

static void test_a_backup_waits(void **state)
{
    struct kit *k = *state;
    static const struct plait_bond_path_config config[PATHS] = {{.rate_hint = 2e6},
                                                                {.rate_hint = 2e6, .backup = true}};

    set_paths(k, config, 2);
    run(k, 500 * PLAIT_MS);
    for (uint32_t i = 0; i < 500; i++) {
        push(k, 0, i, 1000);
        run(k, PLAIT_MS);
        if (i == 300)
            k->cut[0] = true;
        if (i == 250)
            assert_int_equal(k->end[0].data_n[1], 0);
    }
    run(k, 300 * PLAIT_MS);
    assert_int_equal(k->end[1].got_n, 500);
    assert_true(k->end[0].data_n[1] > 150);
}

static void test_limits_are_kept(void **state)
{
    struct kit *k = *state;

    set_paths(k, PLAIN, 2);
    run(k, 500 * PLAIT_MS);
    plait_bond_limit(k->end[0].bond, k->now, 200000);
    for (uint32_t i = 0; i < 1000; i++) {
        push(k, 0, i, 1000);
        run(k, PLAIT_MS);
    }
    assert_in_range(k->end[1].got_n, 150, 195); /* of 1,072 bytes each on the line, in a second */
}

static void test_control_messages_pass(void **state)
{
    struct kit *k = *state;
    uint8_t big[PLAIT_BOND_CONTROL_MAX] = {0};

    set_paths(k, PLAIN, 2);
    run(k, 300 * PLAIT_MS);
    assert_int_equal(plait_bond_send_control(k->end[1].bond, k->now, -1, "hello", 5), PLAIT_OK);
    assert_int_equal(plait_bond_send_control(k->end[1].bond, k->now, -1, "again", 5), PLAIT_ERR_LIMIT);
    run(k, 20 * PLAIT_MS);
    assert_int_equal(k->end[0].control_len, 5);
    assert_memory_equal(k->end[0].control, "hello", 5);
    assert_int_equal(plait_bond_send_control(k->end[1].bond, k->now, 1, big, sizeof(big)), PLAIT_ERR_LIMIT);
}

static void test_a_peer_that_restarts_is_served_again(void **state)
{
    struct kit *k = *state;

    set_paths(k, PLAIN, 2);
    run(k, 300 * PLAIT_MS);
    for (uint32_t i = 0; i < 200; i++) {
        push(k, 0, i, 1000);
        push(k, 1, i, 1000);
        run(k, PLAIT_MS);
    }
    struct end *e = &k->end[1];
    struct plait_bond_config config = {
        .pool = &e->pool, .deliver = on_deliver, .control = on_control, .ctx = e, .seed = 6};
    plait_bond_free(e->bond);
    assert_int_equal(plait_bond_new(&config, &e->bond), PLAIT_OK);
    for (unsigned i = 0; i < PATHS; i++)
        e->head[i] = e->tail[i] = k->end[0].head[i] = k->end[0].tail[i] = 0;
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(plait_bond_path_set(e->bond, k->now, i, &PLAIN[i]), PLAIT_OK);
    plait_bond_on_peer_restart(k->end[0].bond, k->now);
    e->got_n = k->end[0].got_n = 0;
    run(k, 300 * PLAIT_MS);
    unsigned before[2] = {k->end[0].got_n, k->end[1].got_n};
    for (uint32_t i = 0; i < 200; i++) {
        push(k, 0, 1000 + i, 1000);
        push(k, 1, 1000 + i, 1000);
        run(k, PLAIT_MS);
    }
    run(k, 300 * PLAIT_MS);
    for (unsigned side = 0; side < 2; side++) {
        assert_int_equal(k->end[side].got_n - before[side], 200);
        for (uint32_t i = 0; i < 200; i++)
            assert_int_equal(k->end[side].got[before[side] + i], 1000 + i);
    }
}

static void test_what_is_refused(void **state)
{
    struct kit *k = *state;
    struct plait_bond *bond = NULL;
    struct plait_bond_path_config config = {0};
    uint8_t bytes[20] = {0x45};

    assert_int_equal(plait_bond_new(&(struct plait_bond_config){0}, &bond), PLAIT_ERR_ARG);
    assert_int_equal(plait_bond_path_set(k->end[0].bond, k->now, PLAIT_BOND_PATHS, &config), PLAIT_ERR_ARG);
    config.weight = -1;
    assert_int_equal(plait_bond_path_set(k->end[0].bond, k->now, 0, &config), PLAIT_ERR_ARG);
    assert_int_equal(plait_bond_push_copy(k->end[0].bond, k->now, bytes, 20), PLAIT_ERR_FORMAT);
    set_paths(k, PLAIN, 1);
    assert_int_equal(push(k, 0, 1, 1500), PLAIT_ERR_LIMIT);
    assert_true(plait_bond_recv(k->end[0].bond, k->now, 0, bytes, 0) < 0);
    assert_true(plait_bond_recv(k->end[0].bond, k->now, 5, bytes, 20) < 0);
    plait_bond_path_carrier(k->end[0].bond, k->now, 9, false);
    plait_bond_path_moved(k->end[0].bond, k->now, 9);
    plait_bond_path_remove(k->end[0].bond, k->now, 9);
    plait_bond_free(NULL);
}

/* Whatever a peer that holds the keys sends, nothing breaks and nothing is kept. */
static void test_nonsense_is_survived(void **state)
{
    struct kit *k = *state;
    struct plait_prng g = {11};
    uint8_t bytes[200];
    struct plait_bond_datagram d;

    set_paths(k, PLAIN, 3);
    run(k, 300 * PLAIT_MS);
    for (int i = 0; i < 200000; i++) {
        size_t len = plait_prng_below(&g, sizeof(bytes));
        for (size_t n = 0; n < len; n++)
            bytes[n] = (uint8_t)plait_prng_next(&g);
        if (len > 0)
            bytes[0] = (uint8_t)(bytes[0] % 10 << 4 | (bytes[0] & 7));
        k->end[0].got_n = 0;
        k->now += plait_prng_below(&g, PLAIT_MS);
        (void)plait_bond_recv(k->end[0].bond, k->now, (unsigned)plait_prng_below(&g, 4), bytes, len);
        if (i % 16 == 0)
            push(k, 0, 1, 100);
        plait_bond_on_deadline(k->end[0].bond, k->now);
        while (plait_bond_poll_send(k->end[0].bond, k->now, &d))
            ;
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_packets_come_through_in_order),
        T(test_paths_come_up_with_round_trip_and_mtu),
        T(test_fixed_weights_give_the_weighted_order),
        T(test_a_cut_path_loses_nothing),
        T(test_carrier_and_removal_move_what_was_under_way),
        T(test_a_backup_waits),
        T(test_limits_are_kept),
        T(test_control_messages_pass),
        T(test_a_peer_that_restarts_is_served_again),
        T(test_what_is_refused),
        T(test_nonsense_is_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
