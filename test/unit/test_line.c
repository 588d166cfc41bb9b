/* A line that several tunnels send over: whose turn it is, and what is learned of it. */
#include "line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "units.h"

#define RATE   1000000.0 /* bytes/s */
#define PACKET 1000.0
#define USERS  3

struct scene {
    struct plait_line line;
    struct plait_line_user user[USERS];
    struct plait_line_seat seat[USERS];
    double sent[USERS];
    bool has[USERS]; /* something to send */
    uint64_t now;
};

static void begin(struct scene *s, bool first_owns)
{
    *s = (struct scene){.now = PLAIT_S, .has = {true, true, true}};
    plait_line_init(&s->line, RATE);
    for (unsigned i = 0; i < USERS; i++)
        plait_line_sit(&s->line, &s->seat[i], &s->user[i], first_owns && i == 0);
}

/* As a bond does: sends while it may, then says whether it has more. */
static void serve(struct scene *s, unsigned i)
{
    uint64_t at;

    while ((at = plait_line_turn(&s->seat[i], s->now)) <= s->now && s->has[i]) {
        plait_line_charge(&s->seat[i], s->now, PACKET, true);
        s->sent[i] += PACKET;
    }
    plait_line_note(&s->seat[i], s->now, s->has[i], at);
}

/* All are asked every 100 µs, in an order that changes. */
static void run(struct scene *s, uint64_t for_ns)
{
    for (uint64_t end = s->now + for_ns; s->now < end; s->now += 100 * PLAIT_US)
        for (unsigned i = 0; i < USERS; i++)
            serve(s, (i + (unsigned)(s->now / 100000)) % USERS);
}

static void done(struct scene *s)
{
    plait_line_done(&s->line);
    for (unsigned i = 0; i < USERS; i++)
        assert_null(s->seat[i].line);
}

static void assert_about(double v, double want)
{
    if (v < 0.97 * want || v > 1.03 * want)
        fail_msg("%f is not about %f", v, want);
}

static double all(const struct scene *s)
{
    double sum = 0;

    for (unsigned i = 0; i < USERS; i++)
        sum += s->sent[i];
    return sum;
}

static void equal_users_get_equal_parts(void **unused)
{
    struct scene s;

    (void)unused;
    begin(&s, false);
    run(&s, 2 * PLAIT_S);
    for (unsigned i = 0; i < USERS; i++)
        assert_about(s.sent[i], all(&s) / USERS);
    assert_about(all(&s), 2 * RATE);
    done(&s);
}

static void the_owner_goes_first_and_the_others_are_not_shut_out(void **unused)
{
    struct scene s;

    (void)unused;
    begin(&s, true);
    run(&s, 2 * PLAIT_S);
    assert_true(s.sent[0] > 0.96 * all(&s));
    assert_true(s.sent[1] > 0.006 * all(&s) && s.sent[2] > 0.006 * all(&s));
    assert_about(all(&s), 2 * RATE);
    done(&s);
}

static void what_the_owner_leaves_is_shared(void **unused)
{
    struct scene s;

    (void)unused;
    begin(&s, true);
    for (unsigned i = 0; i < 200; i++) { /* it wants a fifth */
        s.has[0] = i % 5 == 0;
        run(&s, 10 * PLAIT_MS);
    }
    assert_about(s.sent[0], 2 * RATE * 0.2);
    assert_about(s.sent[1], s.sent[2]);
    assert_about(all(&s), 2 * RATE);
    done(&s);
}

static void one_alone_has_it_all_and_pays_nothing_later(void **unused)
{
    struct scene s;

    (void)unused;
    begin(&s, false);
    s.has[1] = s.has[2] = false;
    run(&s, 5 * PLAIT_S);
    assert_about(s.sent[0], 5 * RATE);
    s.has[1] = s.has[2] = true;
    memset(s.sent, 0, sizeof s.sent);
    run(&s, PLAIT_S);
    for (unsigned i = 0; i < USERS; i++)
        assert_about(s.sent[i], all(&s) / USERS);
    done(&s);
}

/* It has another line for itself: what it gets there counts. */
static void who_has_more_elsewhere_has_less_here(void **unused)
{
    struct scene s;
    double elsewhere = 0;

    (void)unused;
    begin(&s, false);
    s.has[2] = false;
    for (unsigned i = 0; i < 2000; i++) { /* 0.4 of this line's rate */
        s.user[0].served.bytes += 0.4 * RATE / 1000;
        elsewhere += 0.4 * RATE / 1000;
        run(&s, PLAIT_MS);
    }
    assert_about(s.sent[0] + elsewhere, s.sent[1]);
    assert_about(all(&s), 2 * RATE);
    done(&s);
}

/* Somebody wants the line and then does not come: the others wait for a moment, and lose nothing. */
static void who_does_not_come_is_passed_over(void **unused)
{
    struct scene s;

    (void)unused;
    begin(&s, true);
    s.has[2] = false;
    run(&s, 100 * PLAIT_MS);
    for (unsigned i = 0; i < 10000; i++) { /* the owner is never asked again */
        serve(&s, 1);
        s.now += 100 * PLAIT_US;
    }
    assert_true(s.sent[1] > 0.97 * RATE);
    done(&s);
}

static void what_each_can_count_upon(void **unused)
{
    struct scene s;

    (void)unused;
    begin(&s, true);
    s.has[0] = false;
    run(&s, PLAIT_S);
    assert_about(plait_line_share(&s.seat[0], s.now), RATE);
    assert_about(plait_line_share(&s.seat[1], s.now), RATE / 2);
    s.has[0] = true;
    run(&s, PLAIT_S);
    assert_about(plait_line_share(&s.seat[0], s.now), RATE);
    assert_true(plait_line_share(&s.seat[1], s.now) < 0.05 * RATE);
    done(&s);
}

/* The receivers have clocks of their own, and their reports come in any order: the line is one. */
static void reports_of_all_make_one_estimate(void **unused)
{
    const int64_t clock[USERS] = {-5000000000, 123456789, 77000000000};
    double arrived[USERS] = {0}, line = 0;
    struct scene s;

    (void)unused;
    begin(&s, false);
    for (unsigned i = 0; i < 4000; i++) { /* sent at 2 MB/s into a line of 0.8 MB/s */
        unsigned u = i % USERS;
        plait_line_charge(&s.seat[u], s.now, PACKET, true);
        line += PACKET;
        arrived[u] += PACKET;
        int64_t queue = (int64_t)(line / 0.8e6 * 1e9) - (int64_t)(s.now - PLAIT_S);
        struct plait_line_report r = {.sent_ns = s.now,
                                      .line_sent = line,
                                      .sent = arrived[u],
                                      .arrived = arrived[u],
                                      .took_ns = clock[u] + queue,
                                      .queue_ns = queue,
                                      .rtt_ns = 20 * PLAIT_MS};
        plait_line_on_report(&s.seat[u], s.now, &r);
        if (queue < 20000000 || s.line.rate.ceiling)
            s.now += 500 * PLAIT_US;
        else
            s.now += 1250 * PLAIT_US;
        if (s.line.rate.ceiling)
            break;
    }
    assert_true(s.line.rate.ceiling);
    assert_about(s.line.rate.rate, 0.8e6);
    assert_true(s.line.lost == 0);
    done(&s);
}

static void losses_of_all_are_counted(void **unused)
{
    struct scene s;

    (void)unused;
    begin(&s, false);
    for (unsigned u = 0; u < 2; u++) {
        struct plait_line_report r = {
            .sent_ns = s.now, .line_sent = 1000 * (u + 1), .sent = 50000, .arrived = 50000};
        plait_line_on_report(&s.seat[u], s.now, &r);
        r = (struct plait_line_report){
            .sent_ns = s.now + PLAIT_MS, .line_sent = 90000 + u, .sent = 60000, .arrived = 58000};
        plait_line_on_report(&s.seat[u], s.now + PLAIT_MS, &r);
    }
    assert_about(s.line.lost, 4000);
    plait_line_interrupt(&s.seat[0]);
    struct plait_line_report r = {.sent_ns = s.now, .line_sent = 100000, .sent = 99000, .arrived = 1};
    plait_line_on_report(&s.seat[0], s.now, &r); /* it begins anew: that says nothing */
    assert_about(s.line.lost, 4000);
    done(&s);
}

/* What the first datagrams are sent for is to find out what gets lost. */
static void what_trains_lose_says_nothing(void **unused)
{
    struct scene s;
    struct plait_line_report r = {.took_ns = 10 * PLAIT_MS, .rtt_ns = 20 * PLAIT_MS};

    (void)unused;
    begin(&s, false);
    r.line_sent = 1;
    plait_line_on_report(&s.seat[0], s.now, &r);
    for (unsigned i = 0; i < 60; i++)
        plait_line_charge(&s.seat[0], s.now, PACKET, false);
    r = (struct plait_line_report){.sent_ns = s.now,
                                   .line_sent = s.line.sent,
                                   .sent = 60 * PACKET,
                                   .arrived = 20 * PACKET,
                                   .took_ns = 10 * PLAIT_MS,
                                   .rtt_ns = 20 * PLAIT_MS};
    plait_line_on_report(&s.seat[0], s.now, &r);
    assert_about(s.line.lost + 1, 1);
    assert_true(plait_line_may_train(&s.seat[1], s.now));
    assert_false(plait_line_may_train(&s.seat[2], s.now + PLAIT_S));
    done(&s);
}

static void seats_are_taken_and_left(void **unused)
{
    struct scene s;

    (void)unused;
    begin(&s, false);
    plait_line_sit(&s.line, &s.seat[0], &s.user[0], true);
    assert_true(s.seat[0].owner && s.line.seats != NULL);
    plait_line_leave(&s.seat[1]);
    plait_line_leave(&s.seat[1]);
    plait_line_leave(&s.seat[0]);
    plait_line_leave(&s.seat[2]);
    assert_null(s.line.seats);
    plait_line_interrupt(&s.seat[0]);
    done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_users_get_equal_parts),
        cmocka_unit_test(the_owner_goes_first_and_the_others_are_not_shut_out),
        cmocka_unit_test(what_the_owner_leaves_is_shared),
        cmocka_unit_test(one_alone_has_it_all_and_pays_nothing_later),
        cmocka_unit_test(who_has_more_elsewhere_has_less_here),
        cmocka_unit_test(who_does_not_come_is_passed_over),
        cmocka_unit_test(what_each_can_count_upon),
        cmocka_unit_test(reports_of_all_make_one_estimate),
        cmocka_unit_test(losses_of_all_are_counted),
        cmocka_unit_test(what_trains_lose_says_nothing),
        cmocka_unit_test(seats_are_taken_and_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
