#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "query.h"
#include "units.h"

static void targets(void **state)
{
    static const struct {
        const char *target, *name;
        enum plait_form form;
    } rows[] = {
        {"/", "", PLAIT_FORM_ANY},
        {"/?", "", PLAIT_FORM_ANY},
        {"/film.mkv", "film.mkv", PLAIT_FORM_ANY},
        {"/a/b%20c/%c3%A4?", "a/b c/\xc3\xa4", PLAIT_FORM_ANY},
        {"/a%2fb", "a/b", PLAIT_FORM_ANY},
        {"/a+b", "a+b", PLAIT_FORM_ANY},
        {"/x?events", "x", PLAIT_FORM_EVENTS},
        {"/x?a=b&events=&c", "x", PLAIT_FORM_EVENTS},
        {"/x?format=JSON", "x", PLAIT_FORM_JSON},
        {"/x?&&format=metalink&", "x", PLAIT_FORM_METALINK},
        {"/x?unknown=%zz", "x", PLAIT_FORM_ANY},
    };
    struct plait_query q;

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        assert_int_equal(plait_query_parse(rows[i].target, &q), PLAIT_OK);
        assert_string_equal(q.name, rows[i].name);
        assert_int_equal(q.form, rows[i].form);
    }
}

static void wishes(void **state)
{
    struct plait_query q;

    (void)state;
    assert_int_equal(
        plait_query_parse(
            "/x?size=12&sha-256=2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881", &q),
        PLAIT_OK);
    assert_true(q.wish.has_size && q.wish.size == 12);
    assert_true(q.wish.digests.has_sha256 && q.wish.digests.sha256[1] == 0x71);
    assert_int_equal(plait_query_parse("/?after=a%2Fb", &q), PLAIT_OK);
    assert_string_equal(q.after, "a/b");
}

static void what_is_no_target(void **state)
{
    static const char *const targets[] = {
        "",
        "x",
        "*",
        "http://a/x",
        "//",
        "//x",
        "/x/",
        "/x//y",
        "/../x",
        "/x/..",
        "/x/.y",
        "/%2e%2e/x",
        "/%00",
        "/x%00",
        "/%",
        "/%4",
        "/%4g",
        "/%c3",
        "/x?size=",
        "/x?size=-1",
        "/x?size=x",
        "/x?size=1 ",
        "/x?size=9223372036854775808",
        "/x?format=xml",
        "/x?sha-256=00",
        "/?after=",
        "/?after=/",
        "/x\x7f",
        "/x%0ay",
        "/x?sha-512",
    };
    struct plait_query q;
    char big[2000] = "/";

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(targets); i++)
        if (plait_query_parse(targets[i], &q) != PLAIT_ERR_FORMAT)
            fail_msg("%s", targets[i]);
    memset(big + 1, 'x', PLAIT_STREAM_NAME_MAX);
    assert_int_equal(plait_query_parse(big, &q), PLAIT_OK);
    big[PLAIT_STREAM_NAME_MAX + 1] = 'x';
    assert_int_equal(plait_query_parse(big, &q), PLAIT_ERR_FORMAT);
}

static void accepted_forms(void **state)
{
    static const struct {
        const char *field;
        enum plait_form form;
    } rows[] = {
        {"", PLAIT_FORM_ANY},
        {"*/*", PLAIT_FORM_ANY},
        {"text/html,application/xhtml+xml,*/*;q=0.8", PLAIT_FORM_ANY},
        {"application/json", PLAIT_FORM_JSON},
        {"Application/JSON; charset=utf-8", PLAIT_FORM_JSON},
        {"application/json, text/plain, */*", PLAIT_FORM_JSON},
        {"*/*,application/metalink4+xml,application/metalink+xml", PLAIT_FORM_METALINK},
        {"application/json;q=0.5, application/metalink4+xml;q=0.6", PLAIT_FORM_METALINK},
        {"application/json;q=0", PLAIT_FORM_ANY},
        {"application/json;q=0.001", PLAIT_FORM_JSON},
        {"application/json;q=0.8,*/*", PLAIT_FORM_ANY},
        {"text/event-stream", PLAIT_FORM_EVENTS},
        {"application/metalink4+xml;q=1.0;x=y,application/json", PLAIT_FORM_METALINK},
        {",,;q=,/;;q=0..", PLAIT_FORM_ANY},
    };

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++)
        if (plait_accept_parse(rows[i].field) != rows[i].form)
            fail_msg("%s", rows[i].field);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets),
        cmocka_unit_test(wishes),
        cmocka_unit_test(what_is_no_target),
        cmocka_unit_test(accepted_forms),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
