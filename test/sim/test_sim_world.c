#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "err.h"
#include "sim_fetch.h"
#include "units.h"

#define MBIT UINT64_C(125000)

/* ---- the store that judges ---- */

static uint8_t bytes[4096];

static int keep(struct plait_sim_store *s, uint64_t content, uint64_t offset, size_t len)
{
    plait_sim_content_fill(content, offset, bytes, len);
    s->arriving = content;
    return plait_sim_store_write(s, offset, bytes, len, 0);
}

static void test_store_keeps(void **state)
{
    (void)state;
    struct plait_sim_store s;
    uint8_t got[300], want[300];

    plait_sim_store_init(&s, 0);
    assert_int_equal(keep(&s, 1, 100, 100), 0);
    assert_int_equal(keep(&s, 1, 0, 100), 0);
    assert_int_equal(keep(&s, 2, 200, 100), 0);
    assert_int_equal(s.count, 2); /* the first two have grown together */
    assert_true(s.kept == 300 && plait_sim_store_has(&s, 0, 300) && !plait_sim_store_has(&s, 0, 301));
    assert_true(plait_sim_store_is(&s, 0, 200, 1) && !plait_sim_store_is(&s, 0, 201, 1));
    assert_int_equal(plait_sim_store_read(&s, 150, got, 100), 0);
    plait_sim_content_fill(1, 150, want, 50);
    plait_sim_content_fill(2, 200, want + 50, 50);
    assert_memory_equal(got, want, 100);

    plait_sim_store_take_back(&s, 50, 250);
    assert_true(s.kept == 100 && s.count == 2 && !plait_sim_store_has(&s, 40, 60));
    assert_int_equal(keep(&s, 1, 50, 200), 0);
    assert_true(plait_sim_store_has(&s, 0, 300));
    assert_string_equal(s.violation, "");
    plait_sim_store_done(&s);
}

static const char *violation_of(void (*act)(struct plait_sim_store *s))
{
    static struct plait_sim_store s;

    plait_sim_store_init(&s, 1000);
    assert_int_equal(keep(&s, 1, 100, 100), 0);
    assert_string_equal(s.violation, "");
    act(&s);
    static char text[sizeof(s.violation)];
    memcpy(text, s.violation, sizeof(text));
    plait_sim_store_done(&s);
    return text;
}

static void act_twice(struct plait_sim_store *s)
{
    (void)keep(s, 1, 199, 10);
}

static void act_elsewhere(struct plait_sim_store *s)
{
    plait_sim_content_fill(1, 300, bytes, 10);
    (void)plait_sim_store_write(s, 301, bytes, 10, 0);
}

static void act_beyond(struct plait_sim_store *s)
{
    (void)keep(s, 1, 995, 10);
}

static void act_read(struct plait_sim_store *s)
{
    (void)plait_sim_store_read(s, 150, bytes, 100);
}

static void act_back(struct plait_sim_store *s)
{
    plait_sim_store_take_back(s, 150, 250);
}

static void test_store_notices(void **state)
{
    (void)state;
    assert_non_null(strstr(violation_of(act_twice), "kept twice"));
    assert_non_null(strstr(violation_of(act_elsewhere), "not theirs"));
    assert_non_null(strstr(violation_of(act_beyond), "beyond the window"));
    assert_non_null(strstr(violation_of(act_read), "read that are not kept"));
    assert_non_null(strstr(violation_of(act_back), "taken back"));
}

/* ---- the fluid bound ---- */

static uint64_t fluid_ms(const struct plait_sim_row *row)
{
    static struct plait_sim_world w;
    struct plait_sim_fluid f;

    plait_sim_world_init(&w, row);
    plait_sim_world_fluid(&w, -1, 0, &f);
    uint64_t ns = plait_sim_fluid_time(&f, row->size, 1000 * PLAIT_S);
    plait_sim_world_done(&w);
    return ns / PLAIT_MS;
}

static void test_fluid(void **state)
{
    (void)state;
    /* 1448 of 1500 bytes: what 8 Mbit/s carry in a second */
    uint64_t second = 1000000 * 1448 / 1500;
    struct plait_sim_row one = {{{8, 20}}, .size = 10 * second};
    struct plait_sim_row sum = {{{8, 20}, {16, 20}}, .size = 30 * second};
    struct plait_sim_row shared = {
        {{8, 20}, {16, 20}, {12, 2}}, .servers = 1, .way = {{1, 1, 3}, {2, 1, 3}}, .size = 15 * second};
    struct plait_sim_row half_shared = {
        {{8, 20}, {16, 20}, {12, 2}}, .servers = 1, .way = {{1, 1}, {2, 1, 3}}, .size = 25 * second};
    struct plait_sim_row steps = {{{8, 20, .step = {{2000, 4}}}}, .size = 4 * second};
    struct plait_sim_row dead = {{{8, 20, .outage = {{1000, 3000}}}}, .size = 4 * second};
    struct plait_sim_row server = {
        {{8, 20}, {8, 20}}, .server = {{.total_rate = 100000}}, .size = 10 * (second + 100000)};
    struct plait_sim_row one_server = {
        {{8, 20}, {8, 20}}, .servers = 1, .server = {{.total_rate = 500000}}, .size = 5000000};

    assert_in_range(fluid_ms(&one), 9999, 10001);
    assert_in_range(fluid_ms(&sum), 9999, 10001);
    assert_in_range(fluid_ms(&shared), 9999, 10001);
    assert_in_range(fluid_ms(&half_shared), 9999, 10001);
    assert_in_range(fluid_ms(&steps), 5999, 6001);
    assert_in_range(fluid_ms(&dead), 5999, 6001);
    assert_in_range(fluid_ms(&server), 9999, 10001);
    assert_in_range(fluid_ms(&one_server), 9999, 10001);
}

/* ---- the plain download, and the fetch, on one easy line ---- */

static void test_single(void **state)
{
    (void)state;
    struct plait_sim_row row = {{{80, 20}}, .size = 10000000};
    uint64_t ns = plait_sim_fetch_single(&row, 0, 100 * PLAIT_S);

    assert_in_range(ns, 1036 * PLAIT_MS, 1300 * PLAIT_MS); /* 1036 ms is the fluid bound */
    row.line[0].outage[0].from_ms = 500;
    row.line[0].outage[0].to_ms = 1e9;
    assert_true(plait_sim_fetch_single(&row, 0, 100 * PLAIT_S) == PLAIT_NEVER);
}

static void test_fetch(void **state)
{
    (void)state;
    struct plait_sim_row row = {{{80, 20}}, .size = 10000000};
    struct plait_sim_fetch_config config = {0};
    struct plait_sim_fetch_result a, b;

    plait_sim_fetch_run(&row, &config, &a);
    assert_string_equal(a.violation, "");
    assert_true(a.done && a.kept_bytes == row.size && a.wire_bytes > row.size);
    assert_in_range(a.time_ns, a.fluid_ns, 2 * a.fluid_ns);
    plait_sim_fetch_run(&row, &config, &b);
    assert_true(a.hash == b.hash);
    row.seed = 5;
    row.line[0].loss = 0.1;
    plait_sim_fetch_run(&row, &config, &b);
    assert_true(b.done && a.hash != b.hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_keeps), cmocka_unit_test(test_store_notices),
        cmocka_unit_test(test_fluid),       cmocka_unit_test(test_single),
        cmocka_unit_test(test_fetch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
