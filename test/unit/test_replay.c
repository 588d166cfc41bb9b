/* The window against a list of everything that was seen. */
#include "replay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "prng.h"

#define NUMBERS 200000u

static struct plait_replay r;

static bool take(uint64_t number)
{
    if (!plait_replay_is_new(&r, number))
        return false;
    plait_replay_note(&r, number);
    return true;
}

static void in_order_and_twice(void **state)
{
    (void)state;
    plait_replay_init(&r);
    for (uint64_t n = 0; n < 3 * PLAIT_REPLAY_WINDOW; n++) {
        assert_true(take(n));
        assert_false(take(n));
    }
}

static void the_edges(void **state)
{
    const uint64_t far = UINT64_C(1) << 60;

    (void)state;
    plait_replay_init(&r);
    assert_true(take(far));
    assert_false(take(far));
    assert_true(take(far - PLAIT_REPLAY_WINDOW + 1));
    assert_false(take(far - PLAIT_REPLAY_WINDOW + 1));
    assert_false(take(far - PLAIT_REPLAY_WINDOW));
    assert_true(take(far + 1));
    assert_false(take(far - PLAIT_REPLAY_WINDOW + 1));
    assert_true(take(far - PLAIT_REPLAY_WINDOW + 2));
    assert_false(take(UINT64_MAX));
    assert_true(take(UINT64_MAX - 1));
    assert_false(take(far));
    assert_false(take(UINT64_MAX - 1));
    assert_true(take(UINT64_MAX - 2));
}

static void window_is_large(void **state)
{
    (void)state;
    assert_true(PLAIT_REPLAY_WINDOW >= 8192);
    plait_replay_init(&r);
    assert_true(take(PLAIT_REPLAY_WINDOW + 99));
    for (uint64_t n = PLAIT_REPLAY_WINDOW + 99; n-- > 100;)
        assert_true(take(n));
    assert_false(take(99));
}

static void note_tells_the_highest(void **state)
{
    (void)state;
    plait_replay_init(&r);
    assert_true(plait_replay_note(&r, 5));
    assert_false(plait_replay_note(&r, 3));
    assert_true(plait_replay_note(&r, 6));
}

/* Jumps of all sizes, forward and back; the model is a table of what was taken. */
static void against_a_table(uint64_t seed)
{
    static bool seen[NUMBERS];
    struct plait_prng g = {seed};
    uint64_t top = 0, base = plait_prng_below(&g, 2) ? 0 : plait_prng_next(&g) >> 8;

    memset(seen, 0, sizeof seen);
    plait_replay_init(&r);
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t span = UINT64_C(1) << plait_prng_below(&g, 16);
        uint64_t n =
            plait_prng_below(&g, 3) > 0 ? top + plait_prng_below(&g, span) : top - plait_prng_below(&g, span);
        if (n >= NUMBERS)
            continue;
        bool fresh = !seen[n] && (n >= top || top - 1 - n < PLAIT_REPLAY_WINDOW);
        if (take(base + n) != fresh)
            fail_msg("seed %llu, step %u, number %llu", (unsigned long long)seed, i, (unsigned long long)n);
        seen[n] |= fresh;
        top = n >= top ? n + 1 : top;
    }
}

static void at_random(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++)
        against_a_table(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order_and_twice), cmocka_unit_test(the_edges),
        cmocka_unit_test(window_is_large),    cmocka_unit_test(note_tells_the_highest),
        cmocka_unit_test(at_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
