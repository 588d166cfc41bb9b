/* The block map against a byte-by-byte model, and its edges. */
#include "blockmap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "prng.h"

#define MODEL_SIZE 200

struct model {
    uint8_t state[MODEL_SIZE];
    int8_t owner[MODEL_SIZE];
};

static void assert_same(struct plait_blockmap *map, const struct model *m)
{
    uint64_t done = 0, taken = 0, prefix = 0;
    struct plait_extent e;

    for (uint64_t i = 0; i < MODEL_SIZE; i++) {
        assert_true(plait_blockmap_at(map, i, &e));
        assert_true(e.lo <= i && i < e.hi);
        assert_int_equal(e.state, m->state[i]);
        assert_int_equal(e.owner, m->owner[i]);
        done += m->state[i] == PLAIT_BLOCK_DONE;
        taken += m->state[i] == PLAIT_BLOCK_TAKEN;
    }
    while (prefix < MODEL_SIZE && m->state[prefix] == PLAIT_BLOCK_DONE)
        prefix++;
    assert_int_equal(map->done_bytes, done);
    assert_int_equal(map->taken_bytes, taken);
    assert_int_equal(plait_blockmap_prefix(map), prefix);
    for (size_t i = 1; i < map->count; i++) /* neighbours differ, or they would be one */
        assert_true(map->entries[i].state != map->entries[i - 1].state ||
                    map->entries[i].owner != map->entries[i - 1].owner);
}

static void marks_like_the_model(void **unused)
{
    (void)unused;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct plait_prng g = {seed};
        struct plait_blockmap map;
        struct model m = {0};
        assert_int_equal(plait_blockmap_init(&map, MODEL_SIZE), PLAIT_OK);
        for (int step = 0; step < 300; step++) {
            uint64_t lo = plait_prng_below(&g, MODEL_SIZE),
                     hi = lo + plait_prng_below(&g, MODEL_SIZE - lo + 1);
            int state = (int)plait_prng_below(&g, 3);
            int owner = state == PLAIT_BLOCK_FREE ? 0 : (int)plait_prng_below(&g, 4) - 1;
            assert_int_equal(plait_blockmap_mark(&map, lo, hi, (enum plait_block_state)state, owner),
                             PLAIT_OK);
            memset(m.state + lo, state, hi - lo);
            memset(m.owner + lo, owner, hi - lo);
            assert_same(&map, &m);
        }
        plait_blockmap_done(&map);
    }
}

static void finds_and_counts(void **unused)
{
    struct plait_blockmap map;
    struct plait_extent e;

    (void)unused;
    assert_int_equal(plait_blockmap_init(&map, 1000), PLAIT_OK);
    assert_int_equal(plait_blockmap_mark(&map, 100, 300, PLAIT_BLOCK_DONE, 7), PLAIT_OK);
    assert_int_equal(plait_blockmap_mark(&map, 300, 400, PLAIT_BLOCK_TAKEN, 9), PLAIT_OK);
    assert_true(plait_blockmap_find(&map, 150, PLAIT_BLOCK_DONE, &e));
    assert_int_equal(e.lo, 150);
    assert_int_equal(e.hi, 300);
    assert_int_equal(e.owner, 7);
    assert_true(plait_blockmap_find(&map, 150, PLAIT_BLOCK_FREE, &e));
    assert_int_equal(e.lo, 400);
    assert_int_equal(e.hi, 1000);
    assert_false(plait_blockmap_find(&map, 400, PLAIT_BLOCK_TAKEN, &e));
    assert_false(plait_blockmap_find(&map, 1000, PLAIT_BLOCK_FREE, &e));
    assert_int_equal(plait_blockmap_count(&map, 50, 350, PLAIT_BLOCK_DONE), 200);
    assert_int_equal(plait_blockmap_count(&map, 50, 350, PLAIT_BLOCK_TAKEN), 50);
    assert_int_equal(plait_blockmap_count(&map, 350, 5000, PLAIT_BLOCK_FREE), 600);
    plait_blockmap_done(&map);
}

static void size_becomes_known(void **unused)
{
    struct plait_blockmap map;
    struct plait_extent e;

    (void)unused;
    assert_int_equal(plait_blockmap_init(&map, PLAIT_BLOCKMAP_UNBOUNDED), PLAIT_OK);
    assert_int_equal(plait_blockmap_mark(&map, 0, 100, PLAIT_BLOCK_DONE, 1), PLAIT_OK);
    assert_int_equal(plait_blockmap_mark(&map, 100, 300, PLAIT_BLOCK_TAKEN, 2), PLAIT_OK);
    assert_int_equal(plait_blockmap_set_size(&map, 99), PLAIT_ERR_STATE);
    assert_int_equal(plait_blockmap_set_size(&map, 200), PLAIT_OK);
    assert_int_equal(map.taken_bytes, 100);
    assert_false(plait_blockmap_at(&map, 200, &e));
    assert_int_equal(plait_blockmap_mark(&map, 100, 201, PLAIT_BLOCK_DONE, 1), PLAIT_ERR_RANGE);
    assert_int_equal(plait_blockmap_set_size(&map, 250), PLAIT_OK);
    assert_true(plait_blockmap_at(&map, 200, &e));
    assert_int_equal(e.state, PLAIT_BLOCK_FREE);
    assert_int_equal(plait_blockmap_mark(&map, 100, 250, PLAIT_BLOCK_DONE, 1), PLAIT_OK);
    assert_int_equal(plait_blockmap_prefix(&map), 250);
    plait_blockmap_done(&map);
}

static void empty_stream(void **unused)
{
    struct plait_blockmap map;
    struct plait_extent e;

    (void)unused;
    assert_int_equal(plait_blockmap_init(&map, PLAIT_BLOCKMAP_UNBOUNDED), PLAIT_OK);
    assert_int_equal(plait_blockmap_set_size(&map, 0), PLAIT_OK);
    assert_false(plait_blockmap_at(&map, 0, &e));
    assert_false(plait_blockmap_find(&map, 0, PLAIT_BLOCK_FREE, &e));
    assert_int_equal(plait_blockmap_prefix(&map), 0);
    plait_blockmap_done(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_like_the_model),
        cmocka_unit_test(finds_and_counts),
        cmocka_unit_test(size_becomes_known),
        cmocka_unit_test(empty_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
