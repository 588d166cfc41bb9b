#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdbool.h>

#include "units.h"
#include "url.h"

/* Frees `got`. NULL stands for no URL. */
static void assert_is(char *got, const char *want, const char *what)
{
    bool same = got == NULL || want == NULL ? got == want : strcmp(got, want) == 0;

    if (!same)
        fail_msg("%s: %s instead of %s", what, got != NULL ? got : "none", want != NULL ? want : "none");
    free(got);
}

/* A password must not follow a reference to another server. */
static void references(void **state)
{
    static const char base[] = "https://anna:secret@a.example:8443/dir/page?query#part";
    static const struct {
        const char *reference, *meant;
    } rows[] = {
        {"file", "https://anna:secret@a.example:8443/dir/file"},
        {"/file", "https://anna:secret@a.example:8443/file"},
        {"../up", "https://anna:secret@a.example:8443/up"},
        {"../../../up", "https://anna:secret@a.example:8443/up"},
        {"?other", "https://anna:secret@a.example:8443/dir/page?other"},
        {"//b.example/file", "https://b.example/file"},
        {"//a.example/file", "https://a.example/file"},
        {"http://b.example/file", "http://b.example/file"},
        {"HTTPS://b.example/file", "https://b.example/file"},
        {"file:///etc/passwd", NULL},
        {"ftp://b.example/file", NULL},
        {"https://b.example/a\nb", NULL},
        {"http://", NULL},
    };

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++)
        assert_is(plait_url_resolve(base, rows[i].reference), rows[i].meant, rows[i].reference);
    assert_is(plait_url_resolve("no url\n", "file"), NULL, "a base that is none");
}

static void what_may_be_shown(void **state)
{
    (void)state;
    assert_is(plait_url_public("http://anna:secret@a.example/f?q=1#part"), "http://a.example/f?q=1",
              "all of it");
    assert_is(plait_url_public("http://:secret@a.example/f"), "http://a.example/f", "a password alone");
    assert_is(plait_url_public("http://[2001:db8::1]:81/f"), "http://[2001:db8::1]:81/f", "IPv6");
    assert_is(plait_url_public("nonsense://"), NULL, "no URL");
}

static void parts(void **state)
{
    (void)state;
    assert_int_equal(plait_url_port("http://a.example/"), 80);
    assert_int_equal(plait_url_port("https://a.example/"), 443);
    assert_int_equal(plait_url_port("https://a.example:65535/"), 65535);
    assert_int_equal(plait_url_port("https://a.example:65536/"), -1);
    assert_int_equal(plait_url_port(""), -1);
    assert_is(plait_url_host("http://anna@a.example:81/b.example"), "a.example", "the host");
    assert_is(plait_url_host("http://[::1]:81/"), "[::1]", "the host in numbers");
    assert_true(plait_url_is_http("HTTP://a.example") && plait_url_is_http("https://a.example"));
    assert_false(plait_url_is_https("http://a.example") || plait_url_is_http("httpx://a.example"));
}

static void origins(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {"https://a.example/x", "https://A.example:443/y?z", true},
        {"http://a.example:80", "http://anna@a.example/", true},
        {"http://a.example", "https://a.example", false},
        {"http://a.example:443", "https://a.example", false},
        {"http://a.example", "http://a.example.b.example", false},
        {"http://a.example", "http://a.example:81", false},
        {"", "", false},
    };

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++)
        if (plait_url_same_origin(rows[i].a, rows[i].b) != rows[i].same)
            fail_msg("%s and %s", rows[i].a, rows[i].b);
}

static void ends_of_paths(void **state)
{
    (void)state;
    assert_true(plait_url_path_ends("http://a.example/b/c.Meta4?x=.zip#y", ".meta4"));
    assert_false(plait_url_path_ends("http://a.example/b?c.meta4", ".meta4"));
    assert_false(plait_url_path_ends("http://a.meta4", ".meta4"));
    assert_false(plait_url_path_ends("http://a.example/4", ".meta4"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references), cmocka_unit_test(what_may_be_shown), cmocka_unit_test(parts),
        cmocka_unit_test(origins),    cmocka_unit_test(ends_of_paths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
