/* What directors tell (role/get): snapshots, changes, what relays reach; and the events that they come in. */
#include "holders.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "events.h"

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static const struct plait_digest no_digest;

static const char two_versions[] =
    "{\"name\": \"film\", \"conflict\": true, \"versions\": ["
    "{\"size\": 100, \"digests\": {\"sha-256\": \"" HEX_A
    "\"}, \"sources\": [{\"server\": \"a\", \"url\": \"http://a/film\", "
    "\"healthy\": true}, {\"url\": \"http://b/film\"}, {\"url\": 7}, {\"url\": \"\"}, {\"url\": "
    "\"http://c/\\n\"}]},"
    "{\"size\": 200, \"digests\": {\"sha-256\": \"" HEX_B
    "\"}, \"sources\": [{\"url\": \"http://d/film\"}]}],"
    "\"routes\": [{\"relay\": \"r\", \"url\": \"http://r:3128\", \"healthy\": true, \"reaches\": [\"a:80\", "
    "3], \"auth\": null},"
    "{\"relay\": \"s\", \"url\": \"http://s:3128\", \"healthy\": true, \"reaches\": [], \"auth\": \"basic\"},"
    "{\"relay\": \"t\", \"url\": \"http://t:3128\", \"healthy\": false, \"reaches\": []}]}";

static void the_first_version(void **unused)
{
    struct plait_holders l;

    (void)unused;
    assert_int_equal(plait_holders_parse(two_versions, strlen(two_versions), UINT64_MAX, &no_digest, &l),
                     PLAIT_OK);
    assert_true(l.conflict && l.has_size);
    assert_int_equal(l.size, 100);
    assert_int_equal(l.digest.alg, PLAIT_DIGEST_SHA256);
    assert_int_equal(l.url_count, 2);
    assert_string_equal(l.urls[1], "http://b/film");
    assert_int_equal(l.relay_count, 1); /* neither the one with a password nor the one that is ill */
    assert_int_equal(l.relays[0].reach_count, 1);
    plait_holders_done(&l);
}

static void the_version_that_is_wanted(void **unused)
{
    struct plait_holders l;
    struct plait_digest b;

    (void)unused;
    assert_int_equal(plait_digest_parse_option("sha-256=" HEX_B, strlen("sha-256=" HEX_B), &b), PLAIT_OK);
    assert_int_equal(plait_holders_parse(two_versions, strlen(two_versions), UINT64_MAX, &b, &l), PLAIT_OK);
    assert_int_equal(l.size, 200);
    plait_holders_done(&l);
    assert_int_equal(plait_holders_parse(two_versions, strlen(two_versions), 200, &no_digest, &l), PLAIT_OK);
    assert_string_equal(l.urls[0], "http://d/film");
    plait_holders_done(&l);
    assert_int_equal(plait_holders_parse(two_versions, strlen(two_versions), 300, &no_digest, &l), PLAIT_OK);
    assert_int_equal(l.url_count, 0);
    plait_holders_done(&l);
}

static void nonsense(void **unused)
{
    static const char *const bad[] = {"", "{", "[]", "{}", "{\"versions\": 3}", "null", "{\"versions\": [}"};
    struct plait_holders l;
    struct plait_holders_change c;

    (void)unused;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(plait_holders_parse(bad[i], strlen(bad[i]), UINT64_MAX, &no_digest, &l),
                         PLAIT_ERR_FORMAT);
        plait_holders_done(&l);
        assert_int_equal(plait_holders_change_parse(bad[i], strlen(bad[i]), &c), PLAIT_ERR_FORMAT);
        plait_holders_change_done(&c);
    }
}

static void a_change(void **unused)
{
    static const char text[] =
        "{\"name\": \"f\", \"source\": {\"server\": \"a\", \"url\": \"http://a/f\"}, \"size\": 5, "
        "\"digests\": {\"sha-256\": \"" HEX_A "\", \"sha-512\": \"short\"}}";
    struct plait_holders_change c;

    (void)unused;
    assert_int_equal(plait_holders_change_parse(text, strlen(text), &c), PLAIT_OK);
    assert_string_equal(c.url, "http://a/f");
    assert_true(c.has_size);
    assert_int_equal(c.size, 5);
    assert_int_equal(c.digest.alg, PLAIT_DIGEST_SHA256);
    plait_holders_change_done(&c);
}

static void what_relays_reach(void **unused)
{
    (void)unused;
    assert_true(plait_holders_reaches("farm.example:80", "FARM.example", 80));
    assert_false(plait_holders_reaches("farm.example:80", "farm.example", 81));
    assert_true(plait_holders_reaches("farm.example:*", "farm.example", 81));
    assert_false(plait_holders_reaches("farm.example", "farm.example", 80));
    assert_true(plait_holders_reaches("192.0.2.0/24:443", "192.0.2.77", 443));
    assert_false(plait_holders_reaches("192.0.2.0/24:443", "192.0.3.77", 443));
    assert_true(plait_holders_reaches("192.0.2.128/25:*", "192.0.2.200", 1));
    assert_false(plait_holders_reaches("192.0.2.128/25:*", "192.0.2.100", 1));
    assert_true(plait_holders_reaches("[2001:db8::/32]:80", "2001:db8::7", 80));
    assert_false(plait_holders_reaches("[2001:db8::/32]:80", "2001:db9::7", 80));
    assert_true(plait_holders_reaches("0.0.0.0/0:*", "10.0.0.1", 80));
    assert_false(plait_holders_reaches("192.0.2.0/33:80", "192.0.2.1", 80));
    assert_false(plait_holders_reaches(":80", "", 80));
}

struct heard {
    unsigned count;
    char name[64], data[256];
};

static void hear(void *ctx, const char *name, const char *data, size_t len)
{
    struct heard *h = ctx;

    h->count++;
    strncpy(h->name, name, sizeof h->name - 1);
    strncpy(h->data, data, sizeof h->data - 1);
    assert_int_equal(strlen(data), len);
}

static void events_in_slices_of_any_size(void **unused)
{
    static const char text[] =
        ": hello\n\nevent: snapshot\ndata: {\"a\":\ndata: 1}\n\n\nevent:left\r\ndata:x\r\n\r\n"
        "event: lost\n\nid: 7\ndata: y\n\nevent: never ends\ndata: z\n";

    (void)unused;
    for (size_t slice = 1; slice < sizeof text; slice++) {
        struct plait_events_reader r = {0};
        struct heard h = {0};
        for (size_t at = 0; at + 1 < sizeof text; at += slice) {
            size_t n = sizeof text - 1 - at < slice ? sizeof text - 1 - at : slice;
            unsigned before = h.count;
            assert_true(plait_events_read(&r, text + at, n, hear, &h));
            if (before == 0 && h.count == 1)
                assert_string_equal(h.data, "{\"a\":\n1}");
        }
        assert_int_equal(h.count, 3);
        assert_string_equal(h.name, "");
        assert_string_equal(h.data, "y");
        plait_events_done(&r);
    }
}

static void an_event_that_is_too_long(void **unused)
{
    struct plait_events_reader r = {0};
    struct heard h = {0};
    char *big = malloc(PLAIT_EVENT_DATA_MAX + 1000);

    (void)unused;
    assert_non_null(big);
    memset(big, 'x', PLAIT_EVENT_DATA_MAX + 1000);
    assert_true(plait_events_read(&r, "data: ", 6, hear, &h));
    assert_true(plait_events_read(&r, big, PLAIT_EVENT_DATA_MAX + 1000, hear, &h));
    assert_true(plait_events_read(&r, "\ndata: more\n\ndata: ok\n\n", 23, hear, &h));
    assert_int_equal(h.count, 1);
    assert_string_equal(h.data, "ok");
    plait_events_done(&r);
    free(big);
}

/* Nothing of it is taken for another event, wherever it is cut. */
static void an_event_of_too_many_lines(void **unused)
{
    static const size_t slices[] = {1000, 4096, SIZE_MAX};
    char line[1000], *text = malloc(PLAIT_EVENT_DATA_MAX + 10 * sizeof line);
    size_t len = 0;

    (void)unused;
    assert_non_null(text);
    memset(line, 'x', sizeof line);
    memcpy(line, "data: ", 6);
    line[sizeof line - 1] = '\n';
    for (; len < PLAIT_EVENT_DATA_MAX + 8 * sizeof line; len += sizeof line)
        memcpy(text + len, line, sizeof line);
    for (size_t i = 0; i < sizeof slices / sizeof slices[0]; i++) {
        struct plait_events_reader r = {0};
        struct heard h = {0};
        for (size_t at = 0, n; at < len; at += n) {
            n = len - at < slices[i] ? len - at : slices[i];
            assert_true(plait_events_read(&r, text + at, n, hear, &h));
        }
        assert_true(plait_events_read(&r, "event: last\n\ndata: ok\n\n", 23, hear, &h));
        assert_int_equal(h.count, 1);
        assert_string_equal(h.name, "");
        assert_string_equal(h.data, "ok");
        plait_events_done(&r);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_version),
        cmocka_unit_test(the_version_that_is_wanted),
        cmocka_unit_test(nonsense),
        cmocka_unit_test(a_change),
        cmocka_unit_test(what_relays_reach),
        cmocka_unit_test(events_in_slices_of_any_size),
        cmocka_unit_test(an_event_that_is_too_long),
        cmocka_unit_test(an_event_of_too_many_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
