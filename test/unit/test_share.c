/* The sending end: who sends what. Seed 002 counts blocks from 1, the protocol from 0. */
#include "share_kit.h"

/* Figure 6, "AABCC": the seed's blocks 1 2 | 3 | 4 5 and 6 7 | 8 | 9 10. */
static void figure_6(void **unused)
{
    struct plait_share *s = kit_share(20, 0, false);
    int a = kit_open(s, 'A', "0-", "AABCC");
    int b = kit_open(s, 'B', "0-", "AABCC");
    int c = kit_open(s, 'C', "0-", "AABCC");

    (void)unused;
    kit_sends(s, a, "0,1,5,6");
    kit_sends(s, b, "2,7");
    kit_sends(s, c, "3,4,8,9");
    kit_sends(s, c, "13,14,18,19");
    kit_sends(s, a, "10,11,15,16");
    kit_sends(s, b, "12,17");
    kit_tells(s, a, PLAIT_SHARE_END, 20);
    kit_tells(s, b, PLAIT_SHARE_END, 20);
    kit_tells(s, c, PLAIT_SHARE_END, 20);
    plait_share_free(s);
}

/* Of three servers, each with one letter: none waits for what the others send. */
static void figure_6_on_a_server_with_one_letter(void **unused)
{
    struct plait_share *s = kit_share(10, 0, false);
    int b = kit_open(s, 'B', "0-", "AABCC");

    (void)unused;
    kit_sends(s, b, "2,7");
    kit_tells(s, b, PLAIT_SHARE_END, 10);
    plait_share_free(s);
}

/* Figures 10A, 10B: from block 50 on another pattern. */
static void figure_10a(void **unused)
{
    struct plait_share *s = kit_share(1000, 0, false);
    int a = kit_open(s, 'A', "0-999", "AABCC");
    int b = kit_open(s, 'B', "0-999", "AABCC");
    int c = kit_open(s, 'C', "0-999", "AABCC");

    (void)unused;
    kit_sends(s, a, "0,1,5,6,10,11");
    kit_sends(s, c, "3,4");
    assert_int_equal(kit_steer(s, "50-999", "ABBCC"), 0);
    /* What lies before stays where it was, however late. */
    kit_sends(s, a, "15,16,20,21,25,26,30,31,35,36,40,41,45,46,50,55");
    kit_sends(s, b, "2,7,12,17,22,27,32,37,42,47,51,52,56,57");
    kit_sends(s, c, "8,9,13,14,18,19,23,24,28,29,33,34,38,39,43,44,48,49,53,54,58,59");
    plait_share_free(s);
}

/*
 * C is gone and D has come: A sends 50 and 51, D 52. The seed then names C for 53 and 54, whose connection "no
 * longer is present"; the one that is left is B.
 */
static void figure_10b(void **unused)
{
    struct plait_share *s = kit_share(1000, 0, false);
    int a = kit_open(s, 'A', "0-999", "AABCC");
    int b = kit_open(s, 'B', "0-999", "AABCC");
    int c = kit_open(s, 'C', "0-999", "AABCC");

    (void)unused;
    kit_sends(s, a, "0,1");
    kit_sends(s, c, "3,4,8,9");
    kit_acked_all(s, 0, c);
    plait_share_close(s, 0, c, PLAIT_SHARE_BROKEN);
    assert_int_equal(kit_steer(s, "50-999", "AADBB"), 0);
    int d = kit_open(s, 'D', "50-999", "AADBB");
    kit_sends(s, d, "52,57,62");
    kit_sends(s, a, "5,6,10,11,15,16,20,21,25,26,30,31,35,36,40,41,45,46,50,51,55");
    kit_sends(s, b, "2,7,12,17,22,27,32,37,42,47,53,54,58");
    /* C's blocks before 50 are for the receiver to ask for. */
    kit_hole(s, 0, 13);
    kit_hole(s, 20, 23);
    kit_hole(s, 49, 49);
    assert_int_equal(kit_ask(s, 'D', "13-14,18,19,23,24,28,29,33,34,38,39,43,44,48,49"), PLAIT_OK);
    kit_sends(s, d, "13,14,18,19,23,24,28,29,33,34,38,39,43,44,48,49,67");
    kit_no_hole(s);
    plait_share_free(s);
}

/* Figure 12: two routes to one source. */
static void figure_12(void **unused)
{
    struct plait_share *s = kit_share(30, 0, false);
    int a = kit_open(s, 'A', "0-", "AAABBBBBBB");
    int b = kit_open(s, 'B', "0-", "AAABBBBBBB");

    (void)unused;
    kit_sends(s, b, "3-9,13-19");
    kit_sends(s, a, "0-2,10-12,20-22");
    kit_sends(s, b, "23-29");
    plait_share_free(s);
}

static void too_late_changes_nothing(void **unused)
{
    struct plait_share *s = kit_share(1000, 0, false);
    int a = kit_open(s, 'A', "0-159", "AABCC");
    int c = kit_open(s, 'C', "0-159", "AABCC");

    (void)unused;
    kit_sends(s, c, "3,4,8,9,13,14");
    kit_sends(s, a, "0");
    assert_int_equal(kit_steer(s, "10-319", "AB"), kit_late_at(15));
    assert_int_equal(kit_steer(s, "14-319", "AB"), kit_late_at(15));
    kit_sends(s, c, "18,19");
    kit_sends(s, a, "1,5,6");
    assert_int_equal(kit_steer(s, "19-319", "AB"), kit_late_at(20));
    assert_int_equal(kit_steer(s, "20-319", "AC"), 0);
    kit_sends(s, c, "21,23");
    kit_sends(s, a, "10,11,15,16,20,22");
    assert_int_equal(kit_status(s).plan_end, 320);
    plait_share_free(s);
}

/* An answer may be lost, and the request comes again when its pattern has long been in use. */
static void steering_twice_is_steering_once(void **unused)
{
    struct plait_share *s = kit_share(1000, 0, false);
    int a = kit_open(s, 'A', "0-99", "A");

    (void)unused;
    assert_int_equal(kit_steer(s, "100-199", "AB"), 0);
    assert_int_equal(kit_steer(s, "200-299", "B"), 0);
    kit_sends(s, a, "0-99,100,102,104");
    assert_int_equal(kit_steer(s, "100-199", "AB"), 0);
    assert_int_equal(kit_steer(s, "102-199", "AB"), 0);
    assert_int_equal(kit_steer(s, "101-199", "BA"), 0);
    assert_int_equal(kit_steer(s, "100-199", "BA"), kit_late_at(105));
    assert_int_equal(kit_steer(s, "100-200", "AB"), kit_late_at(105));
    assert_int_equal(kit_status(s).plan_end, 300);
    kit_sends(s, a, "106,108");
    plait_share_free(s);
}

/* A later request replaces those of the plan that nobody has begun. */
static void the_newest_pattern_holds(void **unused)
{
    struct plait_share *s = kit_share(1000, 0, false);
    int a = kit_open(s, 'A', "0-99", "AB");
    int b = kit_open(s, 'B', "0-99", "AB");

    (void)unused;
    assert_int_equal(kit_steer(s, "20-99", "A"), 0);
    assert_int_equal(kit_steer(s, "40-99", "B"), 0);
    assert_int_equal(kit_steer(s, "10-29", "AAB"), 0);
    kit_sends(s, a, "0,2,4,6,8,10,11,13,14,16,17,19,20,22,23,25,26,28,29");
    kit_sends(s, b, "1,3,5,7,9,12,15,18,21,24,27");
    kit_waits(s, b, 30);
    assert_int_equal(kit_steer(s, "30-33", "AAB"), 0);
    kit_sends(s, b, "32");
    kit_waits(s, b, 34);
    plait_share_free(s);
}

/* Of two requests under way at once the later may come first: the other is added, however far things have got. */
static void what_was_overtaken_is_added(void **unused)
{
    struct plait_share *s = kit_share(1000, 0, false);
    int a = kit_open(s, 'A', "0-9", "AB");

    (void)unused;
    assert_int_equal(kit_steer(s, "20-29", "AB"), 0);
    kit_sends(s, a, "0,2,4,6,8,20,22");
    assert_int_equal(kit_steer(s, "10-19", "BA"), 0);
    assert_int_equal(kit_status(s).plan_end, 30);
    kit_sends(s, a, "11,13,15,17,19,24,26,28");
    assert_int_equal(kit_steer(s, "15-24", "A"), kit_late_at(29)); /* some of it is planned otherwise */
    kit_waits(s, a, 30);
    assert_int_equal(kit_steer(s, "35-44", "A"), 0);
    kit_sends(s, a, "35,36");
    assert_int_equal(kit_steer(s, "31-39", "BAAAAAAAA"), 0); /* only a part had come, and alike */
    assert_int_equal(kit_steer(s, "30-34", "AB"), kit_late_at(37));
    assert_int_equal(kit_status(s).plan_end, 45);
    kit_sends(s, a, "32-34,37-44");
    kit_waits(s, a, 45);
    plait_share_free(s);
}

static void spans_are_extended(void **unused)
{
    struct plait_share *s = kit_share(1000, 0, false);
    int a = kit_open(s, 'A', "0-7", "AABCC");

    (void)unused;
    kit_sends(s, a, "0,1,5,6");
    kit_waits(s, a, 8);
    /* Without a pattern, the present one goes on, counted as it was. */
    assert_int_equal(kit_steer(s, "8-12", NULL), 0);
    kit_sends(s, a, "10,11");
    /* It may overlap what is there, and leave a gap. */
    assert_int_equal(kit_steer(s, "0-15", NULL), 0);
    kit_sends(s, a, "15");
    assert_int_equal(kit_steer(s, "30-36", NULL), 0);
    kit_sends(s, a, "30,31,35,36");
    kit_waits(s, a, 37);
    plait_share_free(s);
}

static void a_group_shares_what_is_next(void **unused)
{
    struct plait_share *s = kit_share(9, 100, false);
    int a = kit_open(s, 'A', "0-", NULL);
    int b = kit_open(s, 'B', "0-", NULL);
    struct plait_share_next last;

    (void)unused;
    kit_sends(s, a, "0");
    kit_sends(s, b, "1,2,3");
    kit_sends(s, a, "4");
    int c = kit_open(s, 'C', "0-", NULL);
    kit_sends(s, c, "5,6");
    kit_sends(s, b, "7");
    kit_sends(s, a, "8");
    last = kit_next(s, 0, c);
    assert_true(last.kind == PLAIT_SHARE_BLOCK && last.sequence == 9 && last.len == 100);
    assert_int_equal(kit_status(s).given_blocks, 10);
    plait_share_free(s);
}

static void connections_of_a_letter_share_it(void **unused)
{
    struct plait_share *s = kit_share(100, 0, false);
    int a1 = kit_open(s, 'A', "0-", "AB");
    int a2 = kit_open(s, 'A', "0-", "AB");

    (void)unused;
    kit_sends(s, a1, "0,2");
    kit_sends(s, a2, "4");
    kit_sends(s, a1, "6");
    kit_sends(s, a2, "8,10,12");
    plait_share_close(s, 0, a1, PLAIT_SHARE_BROKEN);
    kit_sends(s, a2, "0,2,6,14");
    plait_share_free(s);
}

/* No connection sends what lies before its own span. */
static void a_span_is_respected_from_its_first(void **unused)
{
    struct plait_share *s = kit_share(100, 0, false);
    int a1 = kit_open(s, 'A', "0-99", "AB");
    int a2 = kit_open(s, 'A', "50-99", NULL);

    (void)unused;
    kit_sends(s, a2, "50,52");
    kit_sends(s, a1, "0,2");
    plait_share_close(s, 0, a1, PLAIT_SHARE_BROKEN);
    kit_sends(s, a2, "54");
    kit_hole(s, 0, 0);
    kit_hole(s, 1, 1); /* B's */
    kit_hole(s, 4, 4);
    kit_hole(s, 48, 48);
    assert_int_equal(kit_status(s).returned_blocks, 2);
    /* The next one with the letter, from block 10 on. */
    int a3 = kit_open(s, 'A', "10-99", NULL);
    kit_sends(s, a3, "10,12,14,16,18,20");
    kit_sends(s, a2, "56");
    kit_hole(s, 0, 0);
    kit_hole(s, 8, 8);
    plait_share_free(s);
}

/* A request that was long under way does not undo what was steered meanwhile. */
static void opening_does_not_steer(void **unused)
{
    struct plait_share *s = kit_share(100, 0, false);
    int a = kit_open(s, 'A', "0-49", "AB");

    (void)unused;
    assert_int_equal(kit_steer(s, "10-59", "ABB"), 0);
    int b = kit_open(s, 'B', "0-49", "AB");
    kit_sends(s, b, "1,3,5,7,9,11,12,14,15");
    kit_sends(s, a, "0,2,4,6,8,10,13");
    /* But it does add what nobody asked for before. */
    int c = kit_open(s, 'C', "50-69", "CA");
    kit_sends(s, c, "60,62,64,66,68");
    kit_waits(s, c, 70);
    plait_share_free(s);
}

static void the_dead_leave_to_the_group(void **unused)
{
    struct plait_share *s = kit_share(100, 0, false);
    int a = kit_open(s, 'A', "0-", NULL);
    int b = kit_open(s, 'B', "0-", NULL);

    (void)unused;
    kit_sends(s, a, "0,1,2,3");
    kit_sends(s, b, "4,5");
    plait_share_on_acked(s, 0, a, 2 * KIT_FRAME);
    plait_share_close(s, 0, a, PLAIT_SHARE_BROKEN);
    kit_sends(s, b, "2,3,6");
    plait_share_close(s, 0, b, PLAIT_SHARE_COMPLETE);
    assert_int_equal(kit_status(s).returned_blocks, 2);
    int c = kit_open(s, 'C', "0-", NULL);
    kit_sends(s, c, "7");
    plait_share_free(s);
}

static void the_dead_leave_holes(void **unused)
{
    struct plait_share *s = kit_share(12, 0, false);
    int a = kit_open(s, 'A', "0-", "AB");
    int b = kit_open(s, 'B', "0-", "AB");

    (void)unused;
    kit_sends(s, a, "0,2,4");
    plait_share_on_acked(s, 0, a, KIT_FRAME);
    kit_no_hole(s);
    plait_share_close(s, 0, a, PLAIT_SHARE_BROKEN);
    kit_sends(s, b, "1,3,5,7,9,11");
    kit_tells(s, b, PLAIT_SHARE_END, 12);
    kit_hole(s, 0, 2);
    kit_hole(s, 3, 4);
    kit_hole(s, 5, 6);
    a = kit_open(s, 'A', "0-", "AB");
    kit_no_hole(s);
    kit_sends(s, a, "2,4,6,8,10");
    plait_share_free(s);
}

/* Blocks asked for by name: next, whether or not they were sent before; and then not a second time. */
static void blocks_by_name(void **unused)
{
    struct plait_share *s = kit_share(20, 0, false);
    int a = kit_open(s, 'A', "0-", "AB");
    int b = kit_open(s, 'B', "0-", "AB");

    (void)unused;
    kit_sends(s, a, "0,2");
    kit_sends(s, b, "1");
    assert_int_equal(kit_ask(s, 'B', "0,8-10"), PLAIT_OK);
    kit_sends(s, b, "0,8,9,10,3,5,7,11");
    kit_sends(s, a, "4,6,12,14");
    assert_int_equal(kit_status(s).at, 15);
    assert_int_equal(kit_ask(s, 'C', "3"), PLAIT_ERR_NOTFOUND);
    assert_int_equal(kit_ask(s, 'B', "19-20"), PLAIT_ERR_RANGE);
    assert_int_equal(plait_share_ask(s, 0, 0, NULL, 0), PLAIT_ERR_ARG);
    kit_sends(s, b, "13");
    /* What was asked of B goes with B. */
    assert_int_equal(kit_ask(s, 'B', "0,1"), PLAIT_OK);
    kit_sends(s, b, "0");
    plait_share_close(s, 0, b, PLAIT_SHARE_BROKEN);
    b = kit_open(s, 'B', "0-", NULL);
    kit_sends(s, b, "1,3,5,7,11,13,15");
    plait_share_free(s);
}

static void asked_blocks_go_to_all_with_the_letter(void **unused)
{
    struct plait_share *s = kit_share(20, 0, false);
    int b1 = kit_open(s, 'B', "10-", "AB");
    int b2 = kit_open(s, 'B', "10-", "AB");

    (void)unused;
    assert_int_equal(kit_ask(s, 'B', "2,4,6"), PLAIT_OK);
    kit_sends(s, b1, "2,4");
    kit_sends(s, b2, "6,11");
    plait_share_close(s, 0, b1, PLAIT_SHARE_BROKEN);
    kit_sends(s, b2, "2,4,13");
    plait_share_free(s);
}

static void a_connection_for_named_blocks(void **unused)
{
    struct plait_share *s = kit_share(20, 0, false);
    int a = kit_open(s, 'A', "0-", NULL);
    int n = kit_open_named(s, 'A', "7,3-4,7");

    (void)unused;
    kit_sends(s, a, "0-2,5,6,8");
    kit_sends(s, n, "3,4,7");
    kit_tells(s, n, PLAIT_SHARE_END, 20);
    kit_tells(s, n, PLAIT_SHARE_WAIT, 0);
    assert_int_equal(kit_open_named(s, 'A', "20"), PLAIT_ERR_RANGE);
    /* Broken, it leaves nothing to others. */
    int m = kit_open_named(s, 'B', "10-12");
    kit_sends(s, m, "10");
    plait_share_close(s, 0, m, PLAIT_SHARE_BROKEN);
    kit_sends(s, a, "9,13");
    assert_int_equal(kit_status(s).dropped_blocks, 3);
    /* It has no letter that others could ask of. */
    int o = kit_open_named(s, 'C', "1");
    assert_int_equal(kit_ask(s, 'C', "2"), PLAIT_ERR_NOTFOUND);
    kit_sends(s, o, "1");
    plait_share_free(s);
}

static void a_live_stream_grows(void **unused)
{
    struct plait_share *s = kit_share(2, 5, true);
    int a = kit_open(s, 'A', "0-", NULL), conn;

    (void)unused;
    kit_sends(s, a, "0,1");
    kit_waits(s, a, 2);
    assert_false(plait_share_ready(s, 0, &conn));
    assert_int_equal(plait_share_grow(s, 2 * KIT_BLOCK), PLAIT_ERR_RANGE);
    assert_int_equal(plait_share_grow(s, 4 * KIT_BLOCK + 1), PLAIT_OK);
    assert_true(plait_share_ready(s, 0, &conn));
    assert_int_equal(conn, a);
    assert_false(plait_share_ready(s, 0, &conn));
    kit_sends(s, a, "2,3");
    kit_waits(s, a, 4);
    assert_int_equal(plait_share_finish(s, 4 * KIT_BLOCK + 9), PLAIT_OK);
    assert_true(plait_share_ready(s, 0, &conn));
    struct plait_share_next next = kit_next(s, 0, a);
    assert_true(next.kind == PLAIT_SHARE_BLOCK && next.sequence == 4 && next.len == 9);
    kit_tells(s, a, PLAIT_SHARE_END, 5);
    assert_int_equal(plait_share_grow(s, 6 * KIT_BLOCK), PLAIT_ERR_STATE);
    assert_int_equal(plait_share_finish(s, 6 * KIT_BLOCK), PLAIT_ERR_STATE);
    plait_share_free(s);
}

/* Named blocks that are not there yet hold nothing up; those that never come are let go. */
static void named_blocks_of_a_live_stream(void **unused)
{
    struct plait_share *s = kit_share(4, 0, true);
    int a = kit_open(s, 'A', "0-", "AB");
    int n = kit_open_named(s, 'N', "3,5,9");

    (void)unused;
    assert_int_equal(kit_ask(s, 'A', "6-7"), PLAIT_OK);
    kit_sends(s, a, "0,2");
    kit_sends(s, n, "3");
    kit_waits(s, n, 5);
    kit_waits(s, a, 4);
    assert_int_equal(plait_share_grow(s, 7 * KIT_BLOCK), PLAIT_OK);
    kit_sends(s, a, "6,4");
    kit_sends(s, n, "5");
    assert_int_equal(plait_share_finish(s, 7 * KIT_BLOCK), PLAIT_OK);
    kit_tells(s, n, PLAIT_SHARE_END, 7);
    kit_tells(s, a, PLAIT_SHARE_END, 7);
    plait_share_free(s);
}

static void an_empty_stream_ends_at_once(void **unused)
{
    struct plait_share *s = kit_share(0, 0, false);
    int a = kit_open(s, 'A', "0-", NULL);

    (void)unused;
    kit_tells(s, a, PLAIT_SHARE_END, 0);
    plait_share_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figure_6),
        cmocka_unit_test(figure_6_on_a_server_with_one_letter),
        cmocka_unit_test(figure_10a),
        cmocka_unit_test(figure_10b),
        cmocka_unit_test(figure_12),
        cmocka_unit_test(too_late_changes_nothing),
        cmocka_unit_test(steering_twice_is_steering_once),
        cmocka_unit_test(the_newest_pattern_holds),
        cmocka_unit_test(what_was_overtaken_is_added),
        cmocka_unit_test(spans_are_extended),
        cmocka_unit_test(a_group_shares_what_is_next),
        cmocka_unit_test(connections_of_a_letter_share_it),
        cmocka_unit_test(a_span_is_respected_from_its_first),
        cmocka_unit_test(opening_does_not_steer),
        cmocka_unit_test(the_dead_leave_to_the_group),
        cmocka_unit_test(the_dead_leave_holes),
        cmocka_unit_test(blocks_by_name),
        cmocka_unit_test(asked_blocks_go_to_all_with_the_letter),
        cmocka_unit_test(a_connection_for_named_blocks),
        cmocka_unit_test(a_live_stream_grows),
        cmocka_unit_test(named_blocks_of_a_live_stream),
        cmocka_unit_test(an_empty_stream_ends_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
