#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "feed.h"

static void on_wake(void *ctx)
{
    ++*(unsigned *)ctx;
}

/* All that waits, as text. */
static const char *take(struct plait_feed *feed)
{
    static char out[1024];
    size_t used = 0;
    ssize_t n;

    while ((n = plait_feed_pull(feed, out + used, 7)) > 0) /* in small pieces */
        used += (size_t)n;
    out[used] = '\0';
    return n < 0 && used == 0 ? "over" : out;
}

static void events_go_to_those_who_listen(void **state)
{
    struct plait_feeds *f = plait_feeds_new();
    unsigned woken[3] = {0};
    struct plait_feed *x = plait_feed_new(f, "x", on_wake, &woken[0]),
                      *x2 = plait_feed_new(f, "x", on_wake, &woken[1]);
    struct plait_feed *y = plait_feed_new(f, "y", on_wake, &woken[2]);

    (void)state;
    assert_true(plait_feeds_has(f, "x") && !plait_feeds_has(f, "z") && plait_feeds_has(f, NULL));
    plait_feed_send(x, "snapshot", "{}");
    plait_feeds_send(f, "x", "joined", "1");
    plait_feeds_send(f, "z", "joined", "2");
    plait_feeds_send(f, NULL, "route-joined", "3");
    assert_string_equal(
        take(x), "event: snapshot\ndata: {}\n\nevent: joined\ndata: 1\n\nevent: route-joined\ndata: 3\n\n");
    assert_string_equal(take(x2), "event: joined\ndata: 1\n\nevent: route-joined\ndata: 3\n\n");
    assert_string_equal(take(y), "event: route-joined\ndata: 3\n\n");
    assert_string_equal(take(y), "");
    assert_int_equal(woken[0], 3);
    assert_int_equal(woken[2], 1);
    plait_feeds_keep_alive(f);
    assert_string_equal(take(y), ":\n\n");
    plait_feed_free(x);
    assert_true(plait_feeds_has(f, "x"));
    plait_feed_free(x2);
    assert_false(plait_feeds_has(f, "x"));
    plait_feeds_send(f, "y", "left", "4");
    plait_feeds_end(f);
    plait_feeds_send(f, "y", "joined", "5"); /* too late */
    assert_string_equal(take(y), "event: left\ndata: 4\n\n");
    assert_string_equal(take(y), "over");
    plait_feed_free(y);
    assert_int_equal(plait_feeds_count(f), 0);
    plait_feeds_free(f);
}

static void who_does_not_listen_is_dropped(void **state)
{
    struct plait_feeds *f = plait_feeds_new();
    unsigned woken[2] = {0};
    struct plait_feed *slow = plait_feed_new(f, "x", on_wake, &woken[0]),
                      *quick = plait_feed_new(f, "x", on_wake, &woken[1]);
    char *data = malloc(100001);

    (void)state;
    assert_non_null(data);
    memset(data, 'd', 100000);
    data[100000] = '\0';
    for (unsigned i = 0; i < 20; i++) {
        plait_feeds_send(f, "x", "joined", data);
        char out[4096];
        ssize_t n;
        while ((n = plait_feed_pull(quick, out, sizeof out)) > 0)
            ;
        assert_int_equal(n, 0);
    }
    assert_string_equal(take(slow), "over");
    free(data);
    plait_feed_free(slow);
    plait_feed_free(quick);
    plait_feeds_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_go_to_those_who_listen),
        cmocka_unit_test(who_does_not_listen_is_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
