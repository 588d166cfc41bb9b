#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "http_field.h"
#include "units.h"

static void assert_text(struct plait_text t, const char *expected)
{
    assert_int_equal(t.len, strlen(expected));
    assert_memory_equal(t.len > 0 ? t.at : "", expected, t.len);
}

/* The examples of RFC 9110 section 14.4 first. */
static void content_range(void **state)
{
    static const struct {
        const char *s;
        struct plait_content_range r;
    } rows[] = {
        {"bytes 42-1233/1234", {42, 1234, 1234, true, true}},
        {"bytes 42-1233/*", {42, 1234, 0, true, false}},
        {"bytes */1234", {0, 0, 1234, false, true}},
        {"Bytes 0-0/1", {0, 1, 1, true, true}},
        {"\t bytes 0-499/1234 ", {0, 500, 1234, true, true}},
        {"bytes */0", {0, 0, 0, false, true}},
        {"bytes 0-9223372036854775806/9223372036854775807", {0, INT64_MAX, INT64_MAX, true, true}},
    };

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        struct plait_content_range r;
        assert_int_equal(plait_content_range_parse(rows[i].s, strlen(rows[i].s), &r), PLAIT_OK);
        assert_true(r.lo == rows[i].r.lo && r.hi == rows[i].r.hi && r.total == rows[i].r.total);
        assert_true(r.has_range == rows[i].r.has_range && r.has_total == rows[i].r.has_total);
    }
}

static void content_range_refused(void **state)
{
    static const struct {
        const char *s;
        int err;
    } rows[] = {
        {"", PLAIT_ERR_FORMAT},
        {"bytes", PLAIT_ERR_FORMAT},
        {"bytes ", PLAIT_ERR_FORMAT},
        {"0-1/2", PLAIT_ERR_FORMAT},
        {"bytes=0-1/2", PLAIT_ERR_FORMAT},
        {"bytes  0-1/2", PLAIT_ERR_FORMAT},
        {"items 0-1/2", PLAIT_ERR_FORMAT},
        {"bytes 0-1", PLAIT_ERR_FORMAT},
        {"bytes 0-1/", PLAIT_ERR_FORMAT},
        {"bytes -1/2", PLAIT_ERR_FORMAT},
        {"bytes 0-/2", PLAIT_ERR_FORMAT},
        {"bytes */*", PLAIT_ERR_FORMAT},
        {"bytes 0-1/2x", PLAIT_ERR_FORMAT},
        {"bytes 0-1/2, 3-4/5", PLAIT_ERR_FORMAT},
        {"bytes 0x0-1/2", PLAIT_ERR_FORMAT},
        {"bytes 1-0/2", PLAIT_ERR_RANGE},
        {"bytes 0-2/2", PLAIT_ERR_RANGE},
        {"bytes 0-0/0", PLAIT_ERR_RANGE},
        {"bytes 0-9223372036854775807/*", PLAIT_ERR_RANGE},
        {"bytes 0-18446744073709551615/*", PLAIT_ERR_RANGE},
        {"bytes 0-1/18446744073709551616", PLAIT_ERR_RANGE},
        {"bytes 99999999999999999999-1/2", PLAIT_ERR_RANGE},
        {"bytes */9223372036854775808", PLAIT_ERR_RANGE},
    };

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        struct plait_content_range r = {.lo = 7}, before = r;
        assert_int_equal(plait_content_range_parse(rows[i].s, strlen(rows[i].s), &r), rows[i].err);
        assert_memory_equal(&r, &before, sizeof r);
    }
}

static struct plait_etag etag(const char *s)
{
    struct plait_etag e = {0};

    assert_int_equal(plait_etag_parse(s, strlen(s), &e), PLAIT_OK);
    return e;
}

static void etags(void **state)
{
    static const char *const bad[] = {"",          "\"",     "xyzzy",    "W/",       "W/\"",
                                      "w/\"a\"",   "\"a",    "a\"",      "\"a\"b\"", "\"a b\"",
                                      "\"a\x7f\"", "\"a\"x", "W/ \"a\"", "\"a\r\n\""};
    struct plait_etag e = etag("\"xyzzy\"");

    (void)state;
    assert_false(e.weak);
    assert_text(e.opaque, "\"xyzzy\"");
    e = etag(" W/\"xyzzy\" ");
    assert_true(e.weak);
    assert_text(e.opaque, "\"xyzzy\"");
    assert_text(etag("\"\"").opaque, "\"\"");
    assert_text(etag("\"\xc3\xa4!\"").opaque, "\"\xc3\xa4!\"");
    for (size_t i = 0; i < PLAIT_COUNT(bad); i++)
        assert_int_equal(plait_etag_parse(bad[i], strlen(bad[i]), &e), PLAIT_ERR_FORMAT);
}

/* The table of RFC 9110 section 8.8.3.2. */
static void etags_compare_strongly(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {"W/\"1\"", "W/\"1\"", false}, {"W/\"1\"", "W/\"2\"", false}, {"W/\"1\"", "\"1\"", false},
        {"\"1\"", "\"1\"", true},      {"\"1\"", "\"2\"", false},     {"\"1\"", "\"11\"", false},
    };

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        struct plait_etag a = etag(rows[i].a), b = etag(rows[i].b);
        assert_int_equal(plait_etag_same(&a, &b), rows[i].same);
    }
}

/* One moment in the three forms of RFC 9110 section 5.6.7; the others were checked with date(1). */
static void http_dates(void **state)
{
    static const struct {
        const char *s;
        int64_t unix_s;
    } rows[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},    {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
        {"Sun Nov  6 08:49:37 1994", 784111777},         {" Thu, 01 Jan 1970 00:00:00 GMT ", 0},
        {"Wed, 31 Dec 1969 23:59:59 GMT", -1},           {"Tue, 29 Feb 2000 12:00:00 GMT", 951825600},
        {"Thu, 31 Dec 2099 23:59:59 GMT", 4102444799},   {"Mon, 01 Mar 2100 00:00:00 GMT", 4107542400},
        {"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799}, {"Mon, 01 Jan 0001 00:00:00 GMT", -62135596800},
        {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800},   {"Tuesday, 19-Jan-38 03:14:08 GMT", 2147483648},
        {"Friday, 01-Jan-69 00:00:00 GMT", -31536000},   {"Tue Nov 15 08:12:31 1994", 784887151},
        {"Mon, 06 Nov 1994 08:49:37 GMT", 784111777}, /* it was a Sunday */
    };

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        int64_t unix_s = 12345;
        assert_int_equal(plait_http_date_parse(rows[i].s, strlen(rows[i].s), &unix_s), PLAIT_OK);
        assert_true(unix_s == rows[i].unix_s);
    }
}

static void http_dates_refused(void **state)
{
    static const struct {
        const char *s;
        int err;
    } rows[] = {
        {"", PLAIT_ERR_FORMAT},
        {"0", PLAIT_ERR_FORMAT},
        {", 06 Nov 1994 08:49:37 GMT", PLAIT_ERR_FORMAT},
        {"Sun, 06  1994 08:49:37 GMT", PLAIT_ERR_FORMAT},
        {"Sun, 06 Nov 1994 08:49:37 UTC", PLAIT_ERR_FORMAT},
        {"Sun, 06 Nov 1994 08:49:37 +0000", PLAIT_ERR_FORMAT},
        {"Sun, 06 Nov 1994 08:49:37", PLAIT_ERR_FORMAT},
        {"Sun, 6 Nov 1994 08:49:37 GMT", PLAIT_ERR_FORMAT},
        {"sun, 06 nov 1994 08:49:37 GMT", PLAIT_ERR_FORMAT},
        {"Sun 06 Nov 1994 08:49:37 GMT", PLAIT_ERR_FORMAT},
        {"Sun, 06 Nov 94 08:49:37 GMT", PLAIT_ERR_FORMAT},
        {"Sun, 06-Nov-94 08:49:37 GMT", PLAIT_ERR_FORMAT},
        {"Sunday, 06-Nov-1994 08:49:37 GMT", PLAIT_ERR_FORMAT},
        {"Sun Nov 6 08:49:37 1994", PLAIT_ERR_FORMAT},
        {"Sun Nov  6 08:49:37 1994 GMT", PLAIT_ERR_FORMAT},
        {"Sun, 06 Foo 1994 08:49:37 GMT", PLAIT_ERR_FORMAT},
        {"Sun, 06 Nov 1994 8:49:37 GMT", PLAIT_ERR_FORMAT},
        {"Sun, 00 Nov 1994 08:49:37 GMT", PLAIT_ERR_RANGE},
        {"Sun, 31 Nov 1994 08:49:37 GMT", PLAIT_ERR_RANGE},
        {"Sun, 29 Feb 1900 08:49:37 GMT", PLAIT_ERR_RANGE},
        {"Sun, 06 Nov 1994 24:00:00 GMT", PLAIT_ERR_RANGE},
        {"Sun, 06 Nov 1994 08:60:37 GMT", PLAIT_ERR_RANGE},
        {"Sun, 06 Nov 1994 08:49:61 GMT", PLAIT_ERR_RANGE},
        {"Sun, 06 Nov 0000 08:49:37 GMT", PLAIT_ERR_RANGE},
    };

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        int64_t unix_s = 7;
        assert_int_equal(plait_http_date_parse(rows[i].s, strlen(rows[i].s), &unix_s), rows[i].err);
        assert_true(unix_s == 7);
    }
}

static void retry_after(void **state)
{
    static const struct {
        const char *s;
        int64_t now_unix_s;
        int err;
        uint64_t delay_s;
    } rows[] = {
        {"120", 0, PLAIT_OK, 120},
        {" 0 ", 5, PLAIT_OK, 0},
        {"86400", 0, PLAIT_OK, 86400},
        {"86401", 0, PLAIT_OK, 86400},
        {"99999999999999999999999999999999", 0, PLAIT_OK, 86400},
        {"Fri, 31 Dec 1999 23:59:59 GMT", 946684799 - 30, PLAIT_OK, 30},
        {"Fri, 31 Dec 1999 23:59:59 GMT", 946684799, PLAIT_OK, 0},
        {"Fri, 31 Dec 1999 23:59:59 GMT", 946684800, PLAIT_OK, 0},
        {"Fri, 31 Dec 9999 23:59:59 GMT", INT64_MIN, PLAIT_OK, 86400},
        {"Mon, 01 Jan 0001 00:00:00 GMT", INT64_MAX, PLAIT_OK, 0},
        {"", 0, PLAIT_ERR_FORMAT, 0},
        {"-1", 0, PLAIT_ERR_FORMAT, 0},
        {"1.5", 0, PLAIT_ERR_FORMAT, 0},
        {"120 s", 0, PLAIT_ERR_FORMAT, 0},
        {"soon", 0, PLAIT_ERR_FORMAT, 0},
    };

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        uint64_t delay_s = 0;
        assert_int_equal(plait_retry_after_parse(rows[i].s, strlen(rows[i].s), rows[i].now_unix_s, &delay_s),
                         rows[i].err);
        assert_true(delay_s == rows[i].delay_s);
    }
}

static void safe_names(void **state)
{
    static const struct {
        const char *s;
        const char *name; /* NULL: nothing safe remains */
    } rows[] = {
        {"a.iso", "a.iso"},
        {" a b ", "a b"},
        {"/etc/passwd", "passwd"},
        {"..\\..\\boot.ini", "boot.ini"},
        {"C:\\temp\\x", "x"},
        {"../x", "x"},
        {".bashrc", "_bashrc"},
        {"..hidden", "_.hidden"},
        {"dir/.ssh", "_ssh"},
        {"a\nb\x1b[2Jc\x7f", "a_b_[2Jc_"},
        {"a\xc2\x85\x62", "a_b"},                         /* a C1 control */
        {"exe.\xe2\x80\xaetxt", "exe._txt"},              /* right-to-left override */
        {"\xc3\xa4\xe2\x82\xac", "\xc3\xa4\xe2\x82\xac"}, /* ä€ */
        {"gr\xfc\xdf", "gr__"},                           /* ISO-8859-1 */
        {"\xc0\xaf", NULL},                               /* a slash in overlong form */
        {"a\xc0\xaf\x62", "a__b"},
        {"-rf", "-rf"},
        {"\x7f\xc2\x9f\xc2\xa0x", "__\xc2\xa0x"},
        {"a\xe2\x80\xa8\xe2\x80\xae\xe2\x81\xa6\xe2\x81\xa9\xe2\x80\x8e\xd8\x9c\xef\xbb\xbf", "a_______"},
        {"", NULL},
        {".", NULL},
        {"..", NULL},
        {"...", NULL},
        {". .", NULL},
        {" ", NULL},
        {"a/", NULL},
        {"/", NULL},
        {"\x01\x02", NULL},
    };

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        char name[PLAIT_NAME_MAX + 1] = "before";
        int err = plait_safe_name(rows[i].s, strlen(rows[i].s), name, sizeof name);
        assert_int_equal(err, rows[i].name != NULL ? PLAIT_OK : PLAIT_ERR_NOTFOUND);
        assert_string_equal(name, rows[i].name != NULL ? rows[i].name : "before");
    }
}

static void safe_names_are_cut_between_characters(void **state)
{
    char given[1000], name[300];

    (void)state;
    for (size_t i = 0; i < sizeof given; i++)
        given[i] = "\xe2\x82\xac"[i % 3];
    assert_int_equal(plait_safe_name(given, 999, name, sizeof name), PLAIT_OK);
    assert_int_equal(strlen(name), 198);
    assert_true(plait_text_is_utf8(plait_text_of(name, 198)));

    assert_int_equal(plait_safe_name("ab\xe2\x82\xac", 5, name, 5), PLAIT_OK);
    assert_string_equal(name, "ab");
    assert_int_equal(plait_safe_name("ab cd", 5, name, 4), PLAIT_OK);
    assert_string_equal(name, "ab");
    assert_int_equal(plait_safe_name("ab", 2, name, 1), PLAIT_ERR_NOTFOUND);
    assert_int_equal(plait_safe_name("ab", 2, name, 0), PLAIT_ERR_ARG);
    assert_int_equal(plait_safe_name("a\0b", 3, name, sizeof name), PLAIT_OK);
    assert_string_equal(name, "a_b");
}

/* The examples of RFC 6266 section 5 first. */
static void content_disposition(void **state)
{
    static const struct {
        const char *s;
        int err;
        const char *name;
    } rows[] = {
        {"Attachment; filename=example.html", PLAIT_OK, "example.html"},
        {"INLINE; FILENAME= \"an example.html\"", PLAIT_OK, "an example.html"},
        {"attachment; filename*= UTF-8''%e2%82%ac%20rates", PLAIT_OK, "\xe2\x82\xac rates"},
        {"attachment; filename=\"EURO rates\"; filename*=utf-8''%e2%82%ac%20rates", PLAIT_OK,
         "\xe2\x82\xac rates"},
        {"attachment; filename*=iso-8859-1'en'%A3%20rates", PLAIT_OK, "\xc2\xa3 rates"},
        {"attachment; filename=\"a \\\"b\\\".txt\"", PLAIT_OK, "a \"b\".txt"},
        {"attachment; filename=\"foo-\xe4.html\"", PLAIT_OK, "foo-\xc3\xa4.html"},
        {"attachment; filename=\"foo-\xc3\xa4.html\"", PLAIT_OK, "foo-\xc3\xa4.html"},
        {"attachment; filename=\"../../etc/passwd\"", PLAIT_OK, "passwd"},
        {"attachment; filename=\"C:\\\\x\\\\y.exe\"", PLAIT_OK, "y.exe"},
        {"attachment; filename*=UTF-8''..%2f..%2f.profile", PLAIT_OK, "_profile"},
        {"attachment; filename=x.txt;", PLAIT_OK, "x.txt"},
        {"attachment;filename = x.txt ; size=3", PLAIT_OK, "x.txt"},
        {"attachment; x-filename=a; filename=b", PLAIT_OK, "b"},
        {"attachment; filename=\"foo%41.html\"", PLAIT_OK, "foo%41.html"},
        /* filename* that is not understood gives way to filename */
        {"attachment; filename=b; filename*=UTF-16''a", PLAIT_OK, "b"},
        {"attachment; filename=b; filename*=UTF-8''%zz", PLAIT_OK, "b"},
        {"attachment; filename=b; filename*=UTF-8''%e2%82", PLAIT_OK, "b"},
        {"attachment; filename=b; filename*=UTF-8''", PLAIT_OK, "b"},
        {"attachment; filename=b; filename*=UTF-8'a", PLAIT_OK, "b"},
        {"attachment; filename*=UTF-8''%f", PLAIT_ERR_FORMAT, NULL},
        {"attachment; filename*=UTF-8", PLAIT_ERR_FORMAT, NULL},
        {"attachment", PLAIT_ERR_NOTFOUND, NULL},
        {"attachment; size=1", PLAIT_ERR_NOTFOUND, NULL},
        {"attachment; filename=\"\"", PLAIT_ERR_NOTFOUND, NULL},
        {"attachment; filename=\"..\"", PLAIT_ERR_NOTFOUND, NULL},
        {"", PLAIT_ERR_FORMAT, NULL},
        {"filename=a", PLAIT_ERR_FORMAT, NULL},
        {"; filename=a", PLAIT_ERR_FORMAT, NULL},
        {"attachment; filename", PLAIT_ERR_FORMAT, NULL},
        {"attachment; filename=", PLAIT_ERR_FORMAT, NULL},
        {"attachment; filename=a b", PLAIT_ERR_FORMAT, NULL},
        {"attachment; filename=\"a", PLAIT_ERR_FORMAT, NULL},
        {"attachment; filename=\"a\\\"", PLAIT_ERR_FORMAT, NULL},
        {"attachment; filename=a; filename=b", PLAIT_ERR_FORMAT, NULL},
        {"attachment; filename*=\"UTF-8''a\"", PLAIT_ERR_FORMAT, NULL},
        {"attachment; ; filename=a", PLAIT_ERR_FORMAT, NULL},
    };

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        char name[PLAIT_NAME_MAX + 1] = "before";
        int err = plait_content_disposition_name(rows[i].s, strlen(rows[i].s), name, sizeof name);
        assert_int_equal(err, rows[i].err);
        assert_string_equal(name, err == PLAIT_OK ? rows[i].name : "before");
    }
}

static void content_disposition_is_bounded(void **state)
{
    static char s[3 * PLAIT_NAME_RAW_MAX];
    char name[PLAIT_NAME_MAX + 1];
    int n = sizeof "a; filename=" - 1;

    (void)state;
    memset(s, 'x', sizeof s);
    memcpy(s, "a; filename=", (size_t)n);
    assert_int_equal(plait_content_disposition_name(s, (size_t)n + PLAIT_NAME_RAW_MAX, name, sizeof name),
                     PLAIT_OK);
    assert_int_equal(strlen(name), PLAIT_NAME_MAX);
    assert_int_equal(plait_content_disposition_name(s, (size_t)n + PLAIT_NAME_RAW_MAX + 1, name, sizeof name),
                     PLAIT_ERR_LIMIT);
}

static void url_names(void **state)
{
    static const struct {
        const char *url;
        const char *name; /* NULL: none */
    } rows[] = {
        {"http://example.com/dir/a.iso", "a.iso"},
        {"http://example.com/a.iso?x=/y#/z", "a.iso"},
        {"http://example.com/a%20b%C3%A4.iso", "a b\xc3\xa4.iso"},
        {"http://example.com/x%2F..%2f%2ebashrc", "_bashrc"},
        {"http://example.com/100%.txt", "100%.txt"},
        {"http://example.com/a%4", "a%4"},
        {"http://example.com/a%00b", "a_b"},
        {"http://example.com/gr%FC%DF", "gr__"},
        {"http://u:p@[::1]:8080/f", "f"},
        {"example.com/f", "f"},
        {"example.com:80/f", "f"},
        {"http://example.com/a;v=1", "a;v=1"},
        {"http://example.com/a/", NULL},
        {"http://example.com/", NULL},
        {"http://example.com", NULL},
        {"http://example.com?x=/y", NULL},
        {"http://example.com/%2e%2e", NULL},
        {"http://example.com/..", NULL},
        {"http://", NULL},
        {"", NULL},
    };

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        char name[PLAIT_NAME_MAX + 1] = "before";
        int err = plait_url_name(rows[i].url, strlen(rows[i].url), name, sizeof name);
        assert_int_equal(err, rows[i].name != NULL ? PLAIT_OK : PLAIT_ERR_NOTFOUND);
        assert_string_equal(name, rows[i].name != NULL ? rows[i].name : "before");
    }
}

static int next_link(struct plait_link_iter *it, struct plait_link *link)
{
    memset(link, 0x5a, sizeof *link);
    return plait_link_next(it, link);
}

/* The shapes of RFC 6249 sections 1.1 and 3, and of RFC 8288 section 3.5. */
static void links(void **state)
{
    static const char s[] =
        "<http://www2.example.com/example.ext>; rel=duplicate; pri=1; pref; geo=gb; depth=1, ,\t"
        "<ftp://ftp.example.com/example.ext>;rel=duplicate;PRI=\"2\" ,"
        "<http://example.com/example.ext.meta4>; rel=describedby; type=\"application/metalink4+xml\","
        "</terms,;>; rel=\"copyright \tLicense http://example.net/foo\"; anchor=\"#x,y\"; hreflang=de;;, <>";
    struct plait_link_iter it;
    struct plait_link link;

    (void)state;
    plait_link_iter_init(&it, s, strlen(s));
    assert_int_equal(next_link(&it, &link), PLAIT_OK);
    assert_text(link.uri, "http://www2.example.com/example.ext");
    assert_text(link.rel, "duplicate");
    assert_text(link.geo, "gb");
    assert_text(link.type, "");
    assert_true(link.pri == 1 && link.pref && link.depth == 1);
    assert_int_equal(next_link(&it, &link), PLAIT_OK);
    assert_text(link.uri, "ftp://ftp.example.com/example.ext");
    assert_true(link.pri == 2 && !link.pref && link.depth == 0);
    assert_int_equal(next_link(&it, &link), PLAIT_OK);
    assert_text(link.type, "application/metalink4+xml");
    assert_int_equal(link.pri, PLAIT_PRIORITY_MAX);
    assert_int_equal(next_link(&it, &link), PLAIT_OK);
    assert_text(link.uri, "/terms,;");
    assert_true(plait_link_has_rel(&link, "copyright"));
    assert_true(plait_link_has_rel(&link, "http://example.net/foo"));
    assert_false(plait_link_has_rel(&link, "lic"));
    assert_false(plait_link_has_rel(&link, ""));
    assert_int_equal(next_link(&it, &link), PLAIT_OK);
    assert_text(link.uri, "");
    assert_false(plait_link_has_rel(&link, "duplicate"));
    assert_int_equal(next_link(&it, &link), PLAIT_ERR_NOTFOUND);
    assert_int_equal(next_link(&it, &link), PLAIT_ERR_NOTFOUND);
}

static void link_parameters_that_are_wrong(void **state)
{
    static const struct {
        const char *s;
        uint32_t pri, depth;
        const char *rel;
    } rows[] = {
        {"<a>; pri=0; rel=x; rel=y", 999999, 0, "x"},
        {"<a>; pri=1000000", 999999, 0, ""},
        {"<a>; pri=999999", 999999, 0, ""},
        {"<a>; pri=1x; pri=7; pri=3", 7, 0, ""},
        {"<a>; pri; depth=99999999999", 999999, 0, ""},
        {"<a>; depth=4; rel=\"\"; rel=\"next\"", 999999, 4, "next"},
    };

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        struct plait_link_iter it;
        struct plait_link link;
        plait_link_iter_init(&it, rows[i].s, strlen(rows[i].s));
        assert_int_equal(next_link(&it, &link), PLAIT_OK);
        assert_int_equal(link.pri, rows[i].pri);
        assert_int_equal(link.depth, rows[i].depth);
        assert_text(link.rel, rows[i].rel);
    }
}

static void links_refused(void **state)
{
    static const char *const rows[] = {"x",
                                       "<a",
                                       "http://a",
                                       "<a> x",
                                       "<a>; rel=",
                                       "<a>; rel=\"b",
                                       "<a b>",
                                       "<a\nb>",
                                       "<a<b>",
                                       "<\xc3\xa4>",
                                       "<a>; =b",
                                       "<a>; rel=a b",
                                       "<a>; rel=x;\x01",
                                       "<a>; title*=UTF-8''x; rel=\"\x01\""};
    static char longest[PLAIT_URL_MAX + 3];
    struct plait_link_iter it;
    struct plait_link link;

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        plait_link_iter_init(&it, rows[i], strlen(rows[i]));
        assert_int_equal(next_link(&it, &link), PLAIT_ERR_FORMAT);
        assert_int_equal(next_link(&it, &link), PLAIT_ERR_NOTFOUND);
    }
    memset(longest, 'x', sizeof longest);
    longest[0] = '<';
    longest[PLAIT_URL_MAX + 2] = '>';
    plait_link_iter_init(&it, longest, sizeof longest);
    assert_int_equal(next_link(&it, &link), PLAIT_ERR_LIMIT);
    longest[PLAIT_URL_MAX + 1] = '>';
    plait_link_iter_init(&it, longest, sizeof longest - 1);
    assert_int_equal(next_link(&it, &link), PLAIT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_range),
        cmocka_unit_test(content_range_refused),
        cmocka_unit_test(etags),
        cmocka_unit_test(etags_compare_strongly),
        cmocka_unit_test(http_dates),
        cmocka_unit_test(http_dates_refused),
        cmocka_unit_test(retry_after),
        cmocka_unit_test(safe_names),
        cmocka_unit_test(safe_names_are_cut_between_characters),
        cmocka_unit_test(content_disposition),
        cmocka_unit_test(content_disposition_is_bounded),
        cmocka_unit_test(url_names),
        cmocka_unit_test(links),
        cmocka_unit_test(link_parameters_that_are_wrong),
        cmocka_unit_test(links_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
