#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "target.h"
#include "units.h"

static int parse(const char *s, struct plait_target *out)
{
    return plait_target_parse(s, strlen(s), out);
}

static void paths(void **state)
{
    static const struct {
        const char *s, *path;
        bool directory, hidden;
    } rows[] = {
        {"/", "", true, false},
        {"//", "", true, false},
        {"/a", "a", false, false},
        {"/a/", "a", true, false},
        {"/a//b", "a/b", false, false},
        {"/a/./b/.", "a/b", true, false},
        {"/.", "", true, false},
        {"/./", "", true, false},
        {"/.a/b", ".a/b", false, true},
        {"/a/%2eb", "a/.b", false, true},
        {"/...", "...", false, true},
        {"/a..b", "a..b", false, false},
        {"/%41%7a+%25", "Az+%", false, false},
        {"/%e2%82%ac%ff", "\xe2\x82\xac\xff", false, false},
        {"/a%20b?c/../d", "a b", false, false},
        {"/a#b", "a#b", false, false},
        {"/a\\..\\b", "a\\..\\b", false, false},
        {"http://example.com", "", true, false},
        {"http://example.com?x", "", true, false},
        {"https://user@[::1]:80/a/b/", "a/b", true, false},
        {"/http://example.com/", "http:/example.com", true, false},
    };
    struct plait_target t;

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        assert_int_equal(parse(rows[i].s, &t), PLAIT_OK);
        assert_string_equal(t.path, rows[i].path);
        assert_int_equal(t.len, strlen(t.path));
        assert_int_equal(t.directory, rows[i].directory);
        assert_int_equal(t.hidden, rows[i].hidden);
    }
}

static void ways_out(void **state)
{
    static const char *const rows[] = {
        "",          "*",
        "a",         "a/b",
        "?",         "ftp://x/a",
        "http:/x/a", "/..",
        "/a/..",     "/../a",
        "/a/../b",   "/%2e.",
        "/.%2E/a",   "/%2e%2e/a",
        "/a%2fb",    "/%2F",
        "/a%00",     "/%00/b",
        "/%",        "/%2",
        "/a%",       "/a%g0",
        "/a%0",      "/a%-1",
        "//..//a",   "/a/b/../../../c",
    };
    struct plait_target t;

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++)
        assert_int_equal(parse(rows[i], &t), PLAIT_ERR_FORMAT);
    assert_int_equal(plait_target_parse("/a\0b", 4, &t), PLAIT_ERR_FORMAT);
}

static void formats(void **state)
{
    static const struct {
        const char *s;
        enum plait_target_format format;
    } rows[] = {
        {"/", PLAIT_TARGET_ANY},
        {"/?format=json", PLAIT_TARGET_JSON},
        {"/?a&format=html&b", PLAIT_TARGET_HTML},
        {"/?format=xml", PLAIT_TARGET_ANY},
        {"/?informat=json", PLAIT_TARGET_ANY},
        {"/format=json", PLAIT_TARGET_ANY},
        {"/?&&", PLAIT_TARGET_ANY},
    };
    struct plait_target t;

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        assert_int_equal(parse(rows[i].s, &t), PLAIT_OK);
        assert_int_equal(t.format, rows[i].format);
    }
}

static void lengths(void **state)
{
    char s[PLAIT_TARGET_PATH_SIZE + 2];
    struct plait_target t;

    (void)state;
    memset(s, 'a', sizeof s);
    s[0] = '/';
    assert_int_equal(plait_target_parse(s, PLAIT_TARGET_PATH_SIZE, &t), PLAIT_OK);
    assert_int_equal(t.len, PLAIT_TARGET_PATH_SIZE - 1);
    assert_int_equal(plait_target_parse(s, PLAIT_TARGET_PATH_SIZE + 1, &t), PLAIT_ERR_LIMIT);
    s[PLAIT_TARGET_PATH_SIZE] = '/';
    assert_int_equal(plait_target_parse(s, PLAIT_TARGET_PATH_SIZE + 1, &t), PLAIT_ERR_LIMIT);
}

static void encoding_is_decoded_again(void **state)
{
    char path[256], url[3 * sizeof path + 2];
    struct plait_target t;

    (void)state;
    for (int i = 0; i < 255; i++)
        path[i] = (char)(i + 1);
    path['.' - 1] = path['/' - 1] = 'x';
    path[255] = '\0';
    url[0] = '/';
    assert_int_equal(plait_target_encode(path, url + 1, sizeof url - 1), PLAIT_OK);
    assert_int_equal(parse(url, &t), PLAIT_OK);
    assert_string_equal(t.path, path);
    assert_int_equal(plait_target_encode("a b/c", url, 8), PLAIT_OK);
    assert_string_equal(url, "a%20b/c");
    assert_int_equal(plait_target_encode("a b/c", url, 7), PLAIT_ERR_LIMIT);
    assert_int_equal(plait_target_encode("", url, 1), PLAIT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths),
        cmocka_unit_test(ways_out),
        cmocka_unit_test(formats),
        cmocka_unit_test(lengths),
        cmocka_unit_test(encoding_is_decoded_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
