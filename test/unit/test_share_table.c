/* The groups that a server knows: found, bound, forgotten. */
#include "share_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "failing_alloc.h"

static const struct plait_share_config config = {.block_bytes = 4096, .size = 8192, .conns_max = 2};
static const struct plait_share_bond bond = {{1}, {2}, {3}};

struct group_id {
    uint8_t bytes[PLAIT_GROUP_ID_BYTES];
};

static struct group_id id_of(unsigned n)
{
    return (struct group_id){{[0] = 7, [14] = (uint8_t)(n >> 8), [15] = (uint8_t)n}};
}

static enum plait_share_found enter(struct plait_share_table *t, uint64_t now, unsigned n,
                                    struct plait_share **share)
{
    return plait_share_table_enter(t, now, id_of(n).bytes, &bond, &config, share);
}

static enum plait_share_found find(struct plait_share_table *t, uint64_t now, unsigned n,
                                   struct plait_share **share)
{
    return plait_share_table_find(t, now, id_of(n).bytes, &bond, share);
}

static int open_conn(struct plait_share *s, uint64_t now)
{
    const struct plait_share_request r = {.span = {0, PLAIT_SPAN_OPEN}};
    int conn = plait_share_open(s, now, &r);

    assert_true(conn >= 0);
    return conn;
}

static void groups_are_found_again(void **unused)
{
    struct plait_share_table *t = plait_share_table_new(4);
    struct plait_share *a = NULL, *b = NULL, *again = NULL;

    (void)unused;
    assert_int_equal(find(t, 0, 1, &a), PLAIT_SHARE_UNKNOWN_GROUP);
    assert_null(a);
    assert_int_equal(enter(t, 0, 1, &a), PLAIT_SHARE_NEW);
    assert_int_equal(enter(t, 0, 2, &b), PLAIT_SHARE_NEW);
    assert_int_equal(enter(t, 0, 1, &again), PLAIT_SHARE_FOUND);
    assert_ptr_equal(again, a);
    assert_int_equal(find(t, 0, 2, &again), PLAIT_SHARE_FOUND);
    assert_ptr_equal(again, b);
    assert_int_equal(plait_share_table_count(t), 2);
    assert_ptr_equal(plait_share_table_at(t, 0), a);
    assert_null(plait_share_table_at(t, 2));
    plait_share_table_free(t);
    plait_share_table_free(NULL);
}

/* Every byte of the id counts. */
static void ids_are_compared_whole(void **unused)
{
    struct plait_share_table *t = plait_share_table_new(1);
    struct plait_share *s;

    (void)unused;
    assert_int_equal(enter(t, 0, 1, &s), PLAIT_SHARE_NEW);
    for (unsigned bit = 0; bit < 8 * PLAIT_GROUP_ID_BYTES; bit++) {
        struct group_id id = id_of(1);
        id.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(plait_share_table_find(t, 0, id.bytes, &bond, &s), PLAIT_SHARE_UNKNOWN_GROUP);
    }
    plait_share_table_free(t);
}

static void groups_are_bound(void **unused)
{
    struct plait_share_table *t = plait_share_table_new(4);
    struct plait_share *s, *untouched = NULL;
    struct plait_share_config other_block = config;

    (void)unused;
    assert_int_equal(enter(t, 0, 1, &s), PLAIT_SHARE_NEW);
    for (unsigned i = 0; i < 32; i++) {
        struct plait_share_bond other[3] = {bond, bond, bond};
        other[0].resource[i] ^= 1;
        other[1].version[i] ^= 1;
        other[2].credentials[i] ^= 1;
        static const enum plait_share_found expected[] = {PLAIT_SHARE_FORBIDDEN, PLAIT_SHARE_OTHER_VERSION,
                                                          PLAIT_SHARE_FORBIDDEN};
        for (unsigned k = 0; k < 3; k++) {
            assert_int_equal(plait_share_table_find(t, 0, id_of(1).bytes, &other[k], &untouched),
                             expected[k]);
            assert_int_equal(plait_share_table_enter(t, 0, id_of(1).bytes, &other[k], &config, &untouched),
                             expected[k]);
        }
        /* Who may not know of the group does not learn that it has another version. */
        other[1].credentials[i] ^= 1;
        assert_int_equal(plait_share_table_find(t, 0, id_of(1).bytes, &other[1], &untouched),
                         PLAIT_SHARE_FORBIDDEN);
    }
    other_block.block_bytes = 8192;
    assert_int_equal(plait_share_table_enter(t, 0, id_of(1).bytes, &bond, &other_block, &untouched),
                     PLAIT_SHARE_OTHER_BLOCK);
    assert_null(untouched);
    assert_int_equal(plait_share_table_count(t), 1);
    plait_share_table_free(t);
}

static void groups_are_forgotten(void **unused)
{
    struct plait_share_table *t = plait_share_table_new(4);
    struct plait_share *a, *b;

    (void)unused;
    assert_int_equal(plait_share_table_next_deadline(t), PLAIT_NEVER);
    assert_int_equal(enter(t, 0, 1, &a), PLAIT_SHARE_NEW);
    assert_int_equal(enter(t, 5, 2, &b), PLAIT_SHARE_NEW);
    assert_int_equal(plait_share_table_next_deadline(t), PLAIT_SHARE_KEEP_NS);
    int conn = open_conn(a, 6);
    assert_int_equal(plait_share_table_next_deadline(t), 5 + PLAIT_SHARE_KEEP_NS);
    assert_int_equal(find(t, 4 + PLAIT_SHARE_KEEP_NS, 2, &b), PLAIT_SHARE_FOUND);
    assert_int_equal(find(t, 5 + PLAIT_SHARE_KEEP_NS, 2, &b), PLAIT_SHARE_UNKNOWN_GROUP);
    /* With a connection it stays; then sixty seconds more. */
    assert_int_equal(plait_share_table_next_deadline(t), PLAIT_NEVER);
    assert_int_equal(find(t, 100 * PLAIT_SHARE_KEEP_NS, 1, &a), PLAIT_SHARE_FOUND);
    plait_share_close(a, 100 * PLAIT_SHARE_KEEP_NS, conn, PLAIT_SHARE_BROKEN);
    assert_int_equal(plait_share_table_next_deadline(t), 101 * PLAIT_SHARE_KEEP_NS);
    plait_share_table_expire(t, 101 * PLAIT_SHARE_KEEP_NS - 1);
    assert_int_equal(plait_share_table_count(t), 1);
    plait_share_table_expire(t, 101 * PLAIT_SHARE_KEEP_NS);
    assert_int_equal(plait_share_table_count(t), 0);
    plait_share_table_free(t);
}

/* A full table gives up the group that was unused for longest, never one in use. */
static void the_table_is_bounded(void **unused)
{
    struct plait_share_table *t = plait_share_table_new(3);
    struct plait_share *s[3], *more = NULL;

    (void)unused;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(enter(t, i, i, &s[i]), PLAIT_SHARE_NEW);
        open_conn(s[i], i);
    }
    assert_int_equal(enter(t, 10, 9, &more), PLAIT_SHARE_FULL);
    assert_null(more);
    plait_share_close(s[2], 11, 0, PLAIT_SHARE_COMPLETE);
    plait_share_close(s[1], 12, 0, PLAIT_SHARE_COMPLETE);
    assert_int_equal(enter(t, 13, 9, &more), PLAIT_SHARE_NEW);
    assert_int_equal(find(t, 13, 2, &more), PLAIT_SHARE_UNKNOWN_GROUP);
    assert_int_equal(find(t, 13, 0, &more), PLAIT_SHARE_FOUND);
    assert_int_equal(find(t, 13, 1, &more), PLAIT_SHARE_FOUND);
    assert_int_equal(plait_share_table_count(t), 3);
    plait_share_table_free(t);
}

static void sizes_and_memory(void **unused)
{
    struct plait_share_table *t;
    struct plait_share *s = NULL;

    (void)unused;
    assert_null(plait_share_table_new(0));
    assert_null(plait_share_table_new(PLAIT_SHARE_GROUPS_MAX + 1));
    failing_alloc_after(0);
    assert_null(plait_share_table_new(1));
    failing_alloc_after(-1);
    t = plait_share_table_new(1);
    for (long good = 0; good < 2; good++) {
        failing_alloc_after(good);
        assert_int_equal(enter(t, 0, 1, &s), PLAIT_SHARE_FULL);
        assert_true(failing_alloc_happened());
        assert_int_equal(plait_share_table_count(t), 0);
    }
    failing_alloc_after(-1);
    assert_null(s);
    assert_int_equal(enter(t, 0, 1, &s), PLAIT_SHARE_NEW);
    plait_share_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_are_found_again), cmocka_unit_test(ids_are_compared_whole),
        cmocka_unit_test(groups_are_bound),       cmocka_unit_test(groups_are_forgotten),
        cmocka_unit_test(the_table_is_bounded),   cmocka_unit_test(sizes_and_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
