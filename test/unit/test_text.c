#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "text.h"
#include "units.h"

static struct plait_text text(const char *s)
{
    return plait_text_of(s, strlen(s));
}

static void tokens_and_words(void **state)
{
    struct plait_text t = text("Foo-1.2/bar");

    (void)state;
    assert_false(plait_text_take_word(&t, "foo"));
    assert_false(plait_text_take_word(&t, "Foo-1.2/bars"));
    assert_true(plait_text_is(plait_text_take_token(&t), "fOO-1.2"));
    assert_int_equal(plait_text_take_token(&t).len, 0);
    assert_true(plait_text_take_char(&t, '/'));
    assert_false(plait_text_is(t, "ba"));
    assert_false(plait_text_is(t, "barn"));
    assert_true(plait_text_take_word(&t, "bar"));
    assert_false(plait_text_take_char(&t, '\0'));
    assert_true(plait_text_is(t, ""));
}

static void nothing_is_text_too(void **state)
{
    struct plait_text t = plait_text_of(NULL, 5), inside;
    uint64_t v;
    uint32_t c;

    (void)state;
    assert_int_equal(t.len, 0);
    t = plait_text_trim(t);
    assert_int_equal(plait_text_find(t, 'x'), 0);
    assert_int_equal(plait_text_first(t, 3).len, 0);
    assert_int_equal(plait_text_take_token(&t).len, 0);
    assert_false(plait_text_take_quoted(&t, &inside));
    assert_int_equal(plait_text_take_u64(&t, 1, &v), PLAIT_ERR_FORMAT);
    assert_false(plait_text_take_utf8(&t, &c));
    assert_true(plait_text_is_utf8(t));
    assert_false(plait_text_is_url(t));
}

static void numbers_up_to_their_bound(void **state)
{
    static const struct {
        const char *s;
        uint64_t max;
        int err;
        uint64_t v;
    } rows[] = {
        {"0", 0, PLAIT_OK, 0},
        {"1", 0, PLAIT_ERR_RANGE, 0},
        {"5", 3, PLAIT_ERR_RANGE, 0},
        {"007", 7, PLAIT_OK, 7},
        {"255", 255, PLAIT_OK, 255},
        {"256", 255, PLAIT_ERR_RANGE, 0},
        {"18446744073709551615", UINT64_MAX, PLAIT_OK, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, PLAIT_ERR_RANGE, 0},
        {"99999999999999999999999", UINT64_MAX, PLAIT_ERR_RANGE, 0},
        {"-1", 9, PLAIT_ERR_FORMAT, 0},
        {"+1", 9, PLAIT_ERR_FORMAT, 0},
        {" 1", 9, PLAIT_ERR_FORMAT, 0},
    };

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        struct plait_text t = text(rows[i].s);
        uint64_t v = 0;
        assert_int_equal(plait_text_take_u64(&t, rows[i].max, &v), rows[i].err);
        assert_true(v == rows[i].v);
        assert_int_equal(t.len, rows[i].err == PLAIT_OK ? 0 : strlen(rows[i].s));
    }
}

static void quoted_strings_end(void **state)
{
    static const struct {
        const char *s;
        const char *inside; /* NULL: none */
    } rows[] = {
        {"\"\"", ""},         {"\"a\\\"b\"c", "a\\\"b"}, {"\"\xe4\t\"", "\xe4\t"}, {"\"", NULL},
        {"\"a", NULL},        {"\"a\\", NULL},           {"\"a\\\"", NULL},        {"\"a\nb\"", NULL},
        {"\"a\\\nb\"", NULL}, {"a\"\"", NULL},
    };

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        struct plait_text t = text(rows[i].s), inside;
        assert_int_equal(plait_text_take_quoted(&t, &inside), rows[i].inside != NULL);
        if (rows[i].inside == NULL) {
            assert_int_equal(t.len, strlen(rows[i].s));
            continue;
        }
        assert_int_equal(inside.len, strlen(rows[i].inside));
        assert_memory_equal(inside.at, rows[i].inside, inside.len);
    }
}

/* The boundaries of RFC 3629, and what lies just beyond them. */
static void utf8_is_strict(void **state)
{
    static const struct {
        const char *s;
        uint32_t c;
    } good[] = {
        {"\x7f", 0x7f},
        {"\xc2\x80", 0x80},
        {"\xdf\xbf", 0x7ff},
        {"\xe0\xa0\x80", 0x800},
        {"\xed\x9f\xbf", 0xd7ff},
        {"\xee\x80\x80", 0xe000},
        {"\xef\xbf\xbf", 0xffff},
        {"\xf0\x90\x80\x80", 0x10000},
        {"\xf4\x8f\xbf\xbf", 0x10ffff},
    };
    static const char *const bad[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xc2",
        "\xc2\x41",
        "\xe0\x9f\xbf",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf0\x8f\xbf\xbf",
        "\xf5\x80\x80\x80",
        "\xff",
        "\xe2\x82",
        "\xf0\x9f\x98",
        "\xf4\x90\x80\x80",
        "\xf8\x88\x80\x80\x80",
    };

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(good); i++) {
        struct plait_text t = text(good[i].s);
        uint8_t again[4];
        struct plait_writer w;
        uint32_t c = 0;
        assert_true(plait_text_take_utf8(&t, &c));
        assert_int_equal(c, good[i].c);
        assert_int_equal(t.len, 0);
        plait_writer_init(&w, again, sizeof again);
        plait_write_utf8(&w, c);
        assert_int_equal(plait_writer_used(&w), strlen(good[i].s));
        assert_memory_equal(again, good[i].s, plait_writer_used(&w));
    }
    for (size_t i = 0; i < PLAIT_COUNT(bad); i++) {
        struct plait_text t = text(bad[i]);
        uint32_t c;
        assert_false(plait_text_take_utf8(&t, &c));
        assert_int_equal(t.len, strlen(bad[i]));
    }
}

static void urls_have_scheme_and_authority(void **state)
{
    static const char *const good[] = {"http://a", "HTTPS://h/p?q#f", "svn+ssh://x", "http://[::1]:80/"};
    static const char *const bad[] = {"",        "http:",      "http://",     "//h/p",        "h/p",
                                      "1a://h",  "http://a b", "http://a\nb", "http://\xe4/", "http://a\"b",
                                      "a://<b>", "a://b\\c"};
    char longest[PLAIT_URL_MAX + 1];

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(good); i++)
        assert_true(plait_text_is_url(text(good[i])));
    for (size_t i = 0; i < PLAIT_COUNT(bad); i++)
        assert_false(plait_text_is_url(text(bad[i])));
    for (size_t i = 0; i < sizeof longest; i++)
        longest[i] = i < 4 ? "a://"[i] : 'x';
    assert_true(plait_text_is_url(plait_text_of(longest, PLAIT_URL_MAX)));
    assert_false(plait_text_is_url(plait_text_of(longest, PLAIT_URL_MAX + 1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_and_words),
        cmocka_unit_test(nothing_is_text_too),
        cmocka_unit_test(numbers_up_to_their_bound),
        cmocka_unit_test(quoted_strings_end),
        cmocka_unit_test(utf8_is_strict),
        cmocka_unit_test(urls_have_scheme_and_authority),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
