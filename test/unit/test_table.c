/* The table of nodes: whose an address is, who may send from it, who has a key. */
#include "table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "units.h"

#define NODES 300u

static struct plait_table *make(void)
{
    struct plait_hub_settings *h = calloc(1, sizeof *h);

    assert_non_null(h);
    h->node_count = NODES;
    h->nodes = calloc(NODES, sizeof *h->nodes);
    assert_non_null(h->nodes);
    for (uint32_t i = 0; i < NODES; i++) {
        struct plait_hub_node_settings *n = &h->nodes[i];
        n->key.bytes[0] = (uint8_t)i;
        n->key.bytes[1] = (uint8_t)(i >> 8);
        n->has_v4 = n->has_v6 = true;
        memcpy(n->v4, (const uint8_t[]){10, 77, (uint8_t)(i >> 8), (uint8_t)i}, 4);
        memcpy(n->v6, (const uint8_t[16]){0xfd, [14] = (uint8_t)(i >> 8), [15] = (uint8_t)i}, 16);
    }
    h->nodes[5].allow_count = 1;
    assert_int_equal(plait_config_parse_prefix("192.168.0.0/16", &h->nodes[5].allow[0]), PLAIT_OK);
    h->nodes[6].allow_count = 2;
    assert_int_equal(plait_config_parse_prefix("192.168.15.0/24", &h->nodes[6].allow[0]), PLAIT_OK);
    assert_int_equal(plait_config_parse_prefix("fd15::/64", &h->nodes[6].allow[1]), PLAIT_OK);
    struct plait_table *t = plait_table_new(h);
    assert_non_null(t);
    return t;
}

static void every_node_is_found(void **unused)
{
    struct plait_table *t = make();

    (void)unused;
    for (uint32_t i = 0; i < NODES; i++) {
        const struct plait_hub_node_settings *n = &t->settings->nodes[i];
        assert_int_equal(plait_table_find(t, false, n->v4), i);
        assert_int_equal(plait_table_find(t, true, n->v6), i);
        assert_int_equal(plait_table_of_key(t, &n->key), i);
        assert_true(plait_table_allows(t, i, false, n->v4) && plait_table_allows(t, i, true, n->v6));
        assert_false(plait_table_allows(t, (i + 1) % NODES, false, n->v4));
        assert_int_equal(plait_table_home(t, i), -1);
    }
    assert_int_equal(plait_table_find(t, false, (const uint8_t[]){10, 78, 0, 1}), PLAIT_TABLE_NONE);
    assert_int_equal(plait_table_find(t, true, (const uint8_t[16]){10, 77}), PLAIT_TABLE_NONE);
    plait_table_free(t);
}

static void the_last_log_on_is_where_a_node_is(void **unused)
{
    struct plait_table *t = make();

    (void)unused;
    assert_true(plait_table_take_home(t, 1, 0, 5 * PLAIT_MS));
    assert_int_equal(plait_table_home(t, 1), 0);
    assert_true(plait_table_take_home(t, 1, 3, 6 * PLAIT_MS));
    assert_false(plait_table_take_home(t, 1, 0, 5 * PLAIT_MS)); /* heard of late */
    assert_true(plait_table_take_home(t, 1, 3, 6 * PLAIT_MS));
    assert_int_equal(plait_table_home(t, 1), 3);
    assert_int_equal(plait_table_home(t, 0), -1);
    plait_table_leave_home(t, 1, 0);
    assert_int_equal(plait_table_home(t, 1), 3);
    plait_table_leave_home(t, 1, 3);
    assert_int_equal(plait_table_home(t, 1), -1);
    assert_true(plait_table_take_home(t, 1, 0, 5 * PLAIT_MS));
    plait_table_free(t);
}

static void the_longest_prefix_counts(void **unused)
{
    struct plait_table *t = make();

    (void)unused;
    assert_int_equal(plait_table_find(t, false, (const uint8_t[]){192, 168, 15, 7}), 6);
    assert_int_equal(plait_table_find(t, false, (const uint8_t[]){192, 168, 16, 7}), 5);
    assert_int_equal(plait_table_find(t, true, (const uint8_t[16]){0xfd, 0x15, [15] = 9}), 6);
    assert_true(plait_table_allows(t, 5, false, (const uint8_t[]){192, 168, 15, 7}));
    assert_false(plait_table_allows(t, 4, false, (const uint8_t[]){192, 168, 15, 7}));
    plait_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_node_is_found),
                                       cmocka_unit_test(the_longest_prefix_counts),
                                       cmocka_unit_test(the_last_log_on_is_where_a_node_is)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
