#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "stream_name.h"
#include "units.h"

static bool is_good(const char *name)
{
    return plait_stream_name_is_good(name, strlen(name));
}

static void good_names(void **state)
{
    static const char *const names[] = {"a",
                                        "film.mkv",
                                        "a/b/c",
                                        "a b",
                                        "\xc3\xa4/\xe2\x82\xac/\xf0\x9f\x8e\xac",
                                        "a..b",
                                        "~",
                                        "%2e",
                                        "\xed\x9f\xbf",
                                        "\xee\x80\x80",
                                        "\xf4\x8f\xbf\xbf",
                                        "a?b#c"};

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(names); i++)
        if (!is_good(names[i]))
            fail_msg("%s", names[i]);
}

static void bad_names(void **state)
{
    static const char *const names[] = {"",
                                        "/",
                                        "/a",
                                        "a/",
                                        "a//b",
                                        ".",
                                        "..",
                                        "a/../b",
                                        ".hidden",
                                        "a/.b",
                                        "a\\b",
                                        "a\nb",
                                        "a\x7f",
                                        "\x80",
                                        "\xc3",
                                        "\xc0\xaf",
                                        "\xc1\xbf",
                                        "\xe0\x80\xaf",
                                        "\xed\xa0\x80",
                                        "\xf0\x8f\xbf\xbf",
                                        "\xf4\x90\x80\x80",
                                        "\xf5\x80\x80\x80",
                                        "a\xff"};
    char big[PLAIT_STREAM_NAME_MAX + 2];

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(names); i++)
        if (is_good(names[i]))
            fail_msg("%zu: %s", i, names[i]);
    assert_false(plait_stream_name_is_good("a\0b", 3));
    memset(big, 'x', sizeof big);
    assert_true(plait_stream_name_is_good(big, PLAIT_STREAM_NAME_MAX));
    assert_false(plait_stream_name_is_good(big, PLAIT_STREAM_NAME_MAX + 1));
}

static void encoding(void **state)
{
    char out[PLAIT_STREAM_PATH_MAX], big[PLAIT_STREAM_NAME_MAX + 1] = {0};

    (void)state;
    assert_string_equal(plait_stream_name_encode("a/b~c-d.e_f", out), "a/b~c-d.e_f");
    assert_string_equal(plait_stream_name_encode("a b?#%+\xc3\xa4", out), "a%20b%3F%23%25%2B%C3%A4");
    memset(big, ' ', PLAIT_STREAM_NAME_MAX);
    assert_int_equal(strlen(plait_stream_name_encode(big, out)), PLAIT_STREAM_PATH_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_names),
        cmocka_unit_test(bad_names),
        cmocka_unit_test(encoding),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
