/* When a pattern is computed anew: the formulas of seed 002, and the examples of its figures 6, 10A, 10B and 12. */
#include "repattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "units.h"

static struct plait_pattern pattern_of(const char *letters)
{
    struct plait_pattern p = {.len = (uint16_t)strlen(letters)};

    for (size_t i = 0; i < p.len; i++)
        p.path[i] = (uint8_t)(letters[i] - 'A');
    return p;
}

/* Who sends blocks first to last when the pattern holds from `from` on. */
static void assert_sent(const char *letters, uint64_t from, uint64_t first, const char *expected)
{
    struct plait_pattern p = pattern_of(letters);

    for (size_t i = 0; expected[i] != '\0'; i++)
        assert_int_equal('A' + plait_pattern_path(&p, from, first + i), expected[i]);
}

static void figure_6(void **unused)
{
    (void)unused;
    assert_sent("AABCCAABCC", 0, 0, "AABCCAABCC");
    assert_sent("AABCCAABCC", 0, 10, "AABCC"); /* repeated through the remainder */
    assert_sent("AABCC", 0, 0, "AABCCAABCC");  /* the shorter one says the same */
}

static void figure_10a(void **unused)
{
    const uint64_t bytes[] = {1000, 2000, 2000}; /* A has become slower, B faster */
    double shares[3];
    struct plait_pattern p;
    unsigned count[3] = {0};

    (void)unused;
    plait_repattern_shares(bytes, 3, shares);
    assert_int_equal(plait_repattern_from_shares(shares, 3, 5, &p), PLAIT_OK);
    for (size_t i = 0; i < p.len; i++)
        count[p.path[i]]++;
    assert_int_equal(count[0], 1);
    assert_int_equal(count[1], 2);
    assert_int_equal(count[2], 2);
    assert_sent("ABBCC", 50, 50, "ABBCCABBCC");
}

static void figure_10b(void **unused)
{
    (void)unused;
    assert_sent("AADBB", 50, 50, "AADBB"); /* C is gone, D has come */
    assert_sent("AADBB", 50, 55, "AADBB");
}

static void figure_12(void **unused)
{
    (void)unused;
    assert_sent("AAABBBBBBB", 0, 0, "AAABBBBBBBAAAB");
}

static void shares(void **unused)
{
    const uint64_t bytes[] = {30, 0, 60, 10}, nothing[] = {0, 0};
    double s[4], none[2];

    (void)unused;
    plait_repattern_shares(bytes, 4, s);
    assert_true(s[0] > 0.2999 && s[0] < 0.3001 && s[1] >= 0 && s[1] <= 0);
    assert_true(s[2] > 0.5999 && s[2] < 0.6001 && s[3] > 0.0999 && s[3] < 0.1001);
    plait_repattern_shares(nothing, 2, none);
    assert_true(none[0] <= 0 && none[1] <= 0);
}

static void elements_and_their_positions(void **unused)
{
    /* numIDs = share * size; one of them each size / numIDs elements */
    const double s[] = {0.5, 0.25, 0.25};
    struct plait_pattern p;

    (void)unused;
    assert_int_equal(plait_repattern_from_shares(s, 3, 8, &p), PLAIT_OK);
    assert_int_equal(p.len, 8);
    assert_memory_equal(p.path, ((const uint8_t[]){0, 1, 2, 0, 0, 1, 2, 0}), 8);
    assert_int_equal(plait_repattern_from_shares((const double[]){0, 0}, 2, 8, &p), PLAIT_ERR_RANGE);
    assert_int_equal(plait_repattern_from_shares(s, 3, 0, &p), PLAIT_ERR_RANGE);
}

static void moved(void **unused)
{
    const double before[] = {0.4, 0.6}, little[] = {0.44, 0.56}, much[] = {0.46, 0.54};

    (void)unused;
    assert_false(plait_repattern_moved(before, little, 2));
    assert_true(plait_repattern_moved(before, much, 2));
}

static void predicted_sequence_number(void **unused)
{
    (void)unused;
    /* blocksPerSecond * secondsInFuture / share + lastSeqNum */
    assert_int_equal(plait_repattern_predict(50, 10, 2, 0.2), 150);
    assert_int_equal(plait_repattern_predict(50, 10, 2, 1), 70);
    assert_int_equal(plait_repattern_predict(7, 0, 2, 0.5), 7);
    assert_int_equal(plait_repattern_predict(7, 10, 2, 0), PLAIT_NEVER);
    assert_int_equal(plait_repattern_predict(7, 1e300, 2, 0.5), PLAIT_NEVER);
}

static void rounded_up_to_a_whole_pattern(void **unused)
{
    (void)unused;
    /* (max + size) / size * size */
    assert_int_equal(plait_repattern_round_up(49, 5), 50);
    assert_int_equal(plait_repattern_round_up(50, 5), 55);
    assert_int_equal(plait_repattern_round_up(0, 10), 10);
    assert_int_equal(plait_repattern_round_up(PLAIT_NEVER, 10), PLAIT_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figure_6),
        cmocka_unit_test(figure_10a),
        cmocka_unit_test(figure_10b),
        cmocka_unit_test(figure_12),
        cmocka_unit_test(shares),
        cmocka_unit_test(elements_and_their_positions),
        cmocka_unit_test(moved),
        cmocka_unit_test(predicted_sequence_number),
        cmocka_unit_test(rounded_up_to_a_whole_pattern),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
