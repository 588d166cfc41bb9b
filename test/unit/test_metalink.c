#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "failing_alloc.h"
#include "link.h"
#include "metalink.h"
#include "units.h"

#define V4     "<metalink xmlns='urn:ietf:params:xml:ns:metalink'>"
#define END    "</metalink>"
#define SHA1_0 "da39a3ee5e6b4b0d3255bfef95601890afd80709"
#define SHA1_1 "356a192b7913b04c54574d18c28d46e6395428ab"
#define SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* The elements of RFC 5854's example, and some of its optional ones. */
static const char version_4[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    "<!-- mirrors -->\n"
    "<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">\n"
    "  <generator>maker/1.0</generator><published>2009-05-15T12:23:23Z</published>\n"
    "  <file name=\"dir/example.ext\">\n"
    "    <size>3000000</size>\n"
    "    <identity>Example &amp; <b xmlns=\"\">bold</b></identity>\n"
    "    <hash type=\"md5\">d41d8cd98f00b204e9800998ecf8427e</hash>\n"
    "    <hash type=\"sha-256\">\n      " SHA256 "\n    </hash>\n"
    "    <hash type=\"sha-1\">" SHA1_0 "</hash>\n"
    "    <hash type=\"tiger\">whatever</hash>\n"
    "    <pieces length=\"2097152\" type=\"sha-1\"><hash>" SHA1_0 "</hash> <hash>" SHA1_1 "</hash></pieces>\n"
    "    <pieces length=\"5\" type=\"tiger\"><hash>zz</hash></pieces>\n"
    "    <url location=\"DE\" priority=\"1\">ftp://ftp.example.com/example.ext</url>\n"
    "    <url>\n      http://example.com/example.ext?a=1&amp;b=2\n    </url>\n"
    "    <url priority=\"0\" location=\"europe\">https://example.org/<![CDATA[x]]></url>\n"
    "    <url>example.ext</url><url>http://exa mple/</url>\n"
    "    <metaurl mediatype=\"torrent\" priority=\"2\">http://example.com/example.ext.torrent</metaurl>\n"
    "    <signature mediatype=\"application/pgp-signature\">a<url>http://no/</url></signature>\n"
    "    <url xmlns=\"urn:other\">http://other/</url>\n"
    "  </file>\n"
    "  <file name=\"b\"/>\n"
    "</metalink>\n";

static const char version_3[] =
    "<metalink version=\"3.0\" xmlns=\"http://www.metalinker.org/\" xmlns:m=\"urn:m\">\n"
    " <files><file name=\"a.iso\"><size>20</size>\n"
    "  <verification><hash type=\"sha1\">" SHA1_0 "</hash><hash type=\"sha256\">" SHA256 "</hash>\n"
    "   <pieces length=\"10\" type=\"sha1\"><hash piece=\"0\">" SHA1_0 "</hash><hash piece=\"1\">" SHA1_1
    "</hash></pieces></verification>\n"
    "  <m:alternates><m:alternate><size>7</size><verification><hash type=\"sha1\">" SHA1_1
    "</hash></verification></m:alternate></m:alternates>\n"
    "  <resources maxconnections=\"1\"><url protocol=\"https\" type=\"https\" location=\"us\" "
    "preference=\"100\">"
    "https://a/a.iso</url><url type=\"bittorrent\">http://a/a.torrent</url><url "
    "preference=\"0\">http://b/a.iso"
    "</url><url preference=\"101\">http://c/a.iso</url></resources>\n"
    " </file></files></metalink>";

static int parse(const char *s, struct plait_metalink *m)
{
    return plait_metalink_parse(s, strlen(s), m);
}

static void assert_url(const struct plait_metalink_url *u, const char *url, uint32_t priority,
                       const char *location)
{
    assert_string_equal(u->url, url);
    assert_int_equal(u->priority, priority);
    assert_string_equal(u->location, location);
}

static void assert_version_4(const struct plait_metalink *m)
{
    const struct plait_metalink_file *f = &m->files[0];
    struct plait_digest d;

    assert_int_equal(m->file_count, 2);
    assert_string_equal(f->name, "example.ext");
    assert_true(f->has_size && f->size == 3000000);
    assert_int_equal(plait_digest_parse_option(SHA256, 64, &d), PLAIT_OK);
    assert_true(plait_digest_equal(&f->digest, &d));
    assert_true(f->pieces.length == 2097152);
    assert_int_equal(f->pieces.alg, PLAIT_DIGEST_SHA1);
    assert_int_equal(f->pieces.count, 2);
    assert_memory_equal(f->pieces.bytes, "\xda\x39\xa3\xee", 4);
    assert_memory_equal(f->pieces.bytes + 20, "\x35\x6a\x19\x2b", 4);
    assert_int_equal(f->url_count, 3);
    assert_url(&f->urls[0], "ftp://ftp.example.com/example.ext", 1, "de");
    assert_url(&f->urls[1], "http://example.com/example.ext?a=1&b=2", PLAIT_PRIORITY_MAX, "");
    assert_url(&f->urls[2], "https://example.org/x", PLAIT_PRIORITY_MAX, "");
    f = &m->files[1];
    assert_string_equal(f->name, "b");
    assert_true(!f->has_size && f->digest.alg == PLAIT_DIGEST_NONE && f->pieces.count == 0 &&
                f->url_count == 0);
}

static void version_4_at_once(void **state)
{
    struct plait_metalink m;

    (void)state;
    assert_int_equal(parse(version_4, &m), PLAIT_OK);
    assert_version_4(&m);
    plait_metalink_done(&m);
    plait_metalink_done(&m);
}

static void version_4_in_chunks(void **state)
{
    (void)state;
    for (size_t step = 1; step < 200; step += 13) {
        struct plait_metalink_parser *p = plait_metalink_parser_new();
        struct plait_metalink m;
        assert_non_null(p);
        for (size_t at = 0; at < strlen(version_4); at += step) {
            size_t len = plait_min_u64(step, strlen(version_4) - at);
            assert_int_equal(plait_metalink_parser_feed(p, version_4 + at, len), PLAIT_OK);
        }
        assert_int_equal(plait_metalink_parser_finish(p, &m), PLAIT_OK);
        assert_int_equal(plait_metalink_parser_finish(p, &m), PLAIT_ERR_STATE);
        assert_int_equal(plait_metalink_parser_feed(p, "x", 1), PLAIT_ERR_STATE);
        plait_metalink_parser_free(p);
        assert_version_4(&m);
        plait_metalink_done(&m);
    }
    plait_metalink_parser_free(NULL);
}

static void version_3_too(void **state)
{
    struct plait_metalink m;
    const struct plait_metalink_file *f;

    (void)state;
    assert_int_equal(parse(version_3, &m), PLAIT_OK);
    assert_int_equal(m.file_count, 1);
    f = &m.files[0];
    assert_string_equal(f->name, "a.iso");
    assert_true(f->has_size && f->size == 20);
    assert_int_equal(f->digest.alg, PLAIT_DIGEST_SHA256);
    assert_int_equal(f->pieces.count, 2);
    assert_int_equal(f->url_count, 3);
    assert_url(&f->urls[0], "https://a/a.iso", 1, "us");
    assert_url(&f->urls[1], "http://b/a.iso", 101, "");
    assert_url(&f->urls[2], "http://c/a.iso", PLAIT_PRIORITY_MAX, "");
    plait_metalink_done(&m);
}

static void documents_refused(void **state)
{
    static const struct {
        const char *s;
        int err;
    } rows[] = {
        {"", PLAIT_ERR_FORMAT},
        {"hello", PLAIT_ERR_FORMAT},
        {"<html/>", PLAIT_ERR_FORMAT},
        {"<metalink/>", PLAIT_ERR_FORMAT},
        {V4 END, PLAIT_ERR_FORMAT},
        {V4 "<file name='a'>" END, PLAIT_ERR_FORMAT},
        {V4 "<file name='a'/>", PLAIT_ERR_FORMAT},
        {V4 "<file name='a'/>" END "x", PLAIT_ERR_FORMAT},
        {V4 "<file/>" END, PLAIT_ERR_FORMAT},
        {V4 "<file name='..'/>" END, PLAIT_ERR_FORMAT},
        {V4 "<files><file name='a'/></files>" END, PLAIT_ERR_FORMAT}, /* of version 3 */
        {V4 "<file name='a'><size>-1</size></file>" END, PLAIT_ERR_FORMAT},
        {V4 "<file name='a'><size></size></file>" END, PLAIT_ERR_FORMAT},
        {V4 "<file name='a'><size>1<b/>2</size></file>" END, PLAIT_ERR_FORMAT},
        {V4 "<file name='a'><size>1</size><size>1</size></file>" END, PLAIT_ERR_FORMAT},
        {V4 "<file name='a'><size>9223372036854775808</size></file>" END, PLAIT_ERR_RANGE},
        {V4 "<file name='a'><hash type='sha-256'>" SHA1_0 "</hash></file>" END, PLAIT_ERR_FORMAT},
        {V4 "<file name='a'><hash type='sha-1'>" SHA1_0 "</hash><hash type='sha1'>" SHA1_1
            "</hash></file>" END,
         PLAIT_ERR_FORMAT},
        {V4 "<file name='a'><pieces type='sha-1'/></file>" END, PLAIT_ERR_FORMAT},
        {V4 "<file name='a'><pieces length='0' type='sha-1'/></file>" END, PLAIT_ERR_RANGE},
        {V4 "<file name='a'><pieces length='1' type='sha-1'><hash>00</hash></pieces></file>" END,
         PLAIT_ERR_FORMAT},
        {V4 "<file name='a'><size>11</size><pieces length='10' type='sha-1'><hash>" SHA1_0
            "</hash></pieces></file>" END,
         PLAIT_ERR_FORMAT}, /* one piece too few */
        {"<metalink xmlns='http://www.metalinker.org/'><files><file name='a'><verification><pieces "
         "length='1' "
         "type='sha1'><hash piece='1'>" SHA1_0 "</hash></pieces></verification></file></files>" END,
         PLAIT_ERR_FORMAT}, /* begins with the second piece */
        {"<!DOCTYPE metalink [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]>" V4 "<file name='&b;'/>" END,
         PLAIT_ERR_FORMAT},
        {"<!DOCTYPE metalink SYSTEM 'file:///etc/passwd'>" V4 "<file name='a'/>" END, PLAIT_ERR_FORMAT},
        {V4 "<file name='&undefined;'/>" END, PLAIT_ERR_FORMAT},
        {"<?xml version='1.0' encoding='x-none'?>" V4 "<file name='a'/>" END, PLAIT_ERR_FORMAT},
        {V4 "<file name='a\xff'/>" END, PLAIT_ERR_FORMAT},
    };

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        struct plait_metalink m = {.file_count = 77};
        if (parse(rows[i].s, &m) != rows[i].err)
            fail_msg("row %zu: %s", i, rows[i].s);
        assert_int_equal(m.file_count, 77);
    }
}

static void the_first_failure_stays(void **state)
{
    struct plait_metalink_parser *p = plait_metalink_parser_new();
    struct plait_metalink m;

    (void)state;
    assert_int_equal(plait_metalink_parser_feed(p, "<html>", 6), PLAIT_ERR_FORMAT);
    assert_int_equal(plait_metalink_parser_feed(p, V4, strlen(V4)), PLAIT_ERR_FORMAT);
    assert_int_equal(plait_metalink_parser_finish(p, &m), PLAIT_ERR_FORMAT);
    plait_metalink_parser_free(p);
}

static void accepted_all_the_same(void **state)
{
    static const char *const rows[] = {
        "\xef\xbb\xbf" V4 "<file name='a'/>" END,
        "<?xml version='1.0' encoding='ISO-8859-1'?>" V4 "<file name='\xe4'/>" END,
        "<m:metalink xmlns:m='urn:ietf:params:xml:ns:metalink'><m:file name='a'/></m:metalink>",
        V4
        "<file name='a'><pieces length='10' type='sha-1'/><size>11</size></file>" END, /* no piece at all */
        V4 "<file name='a'><size>0</size></file>" END,
        V4 "<file name='a'><pieces length='1' type='sha-1'><hash piece='9'>" SHA1_0
           "</hash></pieces></file>" END,
        "<metalink xmlns='http://www.metalinker.org/'><files><file name='a'><verification><pieces length='1' "
        "type='tiger'><hash piece='9'>00</hash></pieces></verification></file></files>" END,
        V4 "<file name='a'/><?pi x?><!-- c -->" END "\n\n",
    };

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        struct plait_metalink m;
        if (parse(rows[i], &m) != PLAIT_OK)
            fail_msg("row %zu: %s", i, rows[i]);
        assert_int_equal(m.file_count, 1);
        plait_metalink_done(&m);
    }
}

/* Feeds `head`, `count` times `part`, and `tail`; gives the first failure or what finish says. */
static int feed_many(const char *head, const char *part, size_t count, const char *tail,
                     struct plait_metalink *m)
{
    struct plait_metalink_parser *p = plait_metalink_parser_new();
    int err = plait_metalink_parser_feed(p, head, strlen(head));

    for (size_t i = 0; i < count && err == PLAIT_OK; i++)
        err = plait_metalink_parser_feed(p, part, strlen(part));
    if (err == PLAIT_OK)
        err = plait_metalink_parser_feed(p, tail, strlen(tail));
    if (err == PLAIT_OK)
        err = plait_metalink_parser_finish(p, m);
    plait_metalink_parser_free(p);
    if (err == PLAIT_OK)
        plait_metalink_done(m);
    return err;
}

static void bounds(void **state)
{
    static const char file[] = V4 "<file name='a'>", file_end[] = "</file>" END, one[] = "<file name='a'/>";
    static const char pieces[] = V4 "<file name='a'><pieces length='1' type='md5'>";
    static const char piece[] = "<hash>d41d8cd98f00b204e9800998ecf8427e</hash>";
    static const struct {
        const char *head, *part;
        size_t most;
        const char *tail;
    } rows[] = {
        {V4, one, PLAIT_METALINK_FILES_MAX, END},
        {file, "<url>a://b</url>", PLAIT_METALINK_URLS_MAX, file_end},
        {pieces, piece, PLAIT_METALINK_PIECES_MAX, "</pieces></file>" END},
        {V4 "<file name='a'><url>a://", "b", PLAIT_URL_MAX - 4, "</url></file>" END},
        {V4 "<file name='a'/><!--", "................", PLAIT_METALINK_TOKEN_MAX / 16 - 1, "-->" END},
    };
    struct plait_metalink m;

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        assert_int_equal(feed_many(rows[i].head, rows[i].part, rows[i].most, rows[i].tail, &m), PLAIT_OK);
        assert_int_equal(feed_many(rows[i].head, rows[i].part, rows[i].most + 1, rows[i].tail, &m),
                         PLAIT_ERR_LIMIT);
    }
    assert_int_equal(feed_many(V4, "<x>", PLAIT_METALINK_DEPTH_MAX - 1, "", &m), PLAIT_ERR_LIMIT);
    assert_int_equal(feed_many(V4, "<x>", PLAIT_METALINK_DEPTH_MAX - 2, "", &m), PLAIT_ERR_FORMAT);
}

static void the_whole_is_bounded(void **state)
{
    static char space[1024 * 1024];
    struct plait_metalink m;

    (void)state;
    memset(space, ' ', sizeof space - 1);
    assert_int_equal(feed_many(V4 "<file name='a'/><x>", space, 31, "</x>" END, &m), PLAIT_OK);
    assert_int_equal(feed_many(V4 "<file name='a'/><x>", space, 34, "</x>" END, &m), PLAIT_ERR_LIMIT);
}

static void sniffing(void **state)
{
    static const char *const yes[] = {
        "<metalink>",
        "<metalink ",
        "\xef\xbb\xbf\n <metalink/>",
        "<?xml version='1.0'?><metalink\n",
        "<!-- a > b --> <?x y?>\r\n\t<m:metalink ",
        version_4,
        version_3,
    };
    static const char *const no[] = {
        "",
        "<",
        "<metalink",
        "metalink",
        "<metalinks>",
        "<html>",
        "<?xml <metalink>",
        "<!-- <metalink> ",
        "<!DOCTYPE metalink><metalink>",
        "{\"a\": \"<metalink>\"}",
        "<xmetalink>",
        "<Metalink>",
        "<:>",
        "\xef\xbb<metalink>",
    };

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(yes); i++)
        assert_true(plait_metalink_sniff(yes[i], strlen(yes[i])));
    for (size_t i = 0; i < PLAIT_COUNT(no); i++)
        assert_false(plait_metalink_sniff(no[i], strlen(no[i])));
    assert_false(plait_metalink_sniff(NULL, 0));
}

/* Each allocation fails once, those of expat among them; the document is then refused, and nothing is lost.
 */
static void parsing_survives_a_lack_of_memory(void **state)
{
    struct plait_metalink m;
    long n = 0;
    int err;

    (void)state;
    do {
        failing_alloc_after(n++);
        err = parse(version_4, &m);
        if (failing_alloc_happened())
            assert_int_equal(err, PLAIT_ERR_NOMEM);
    } while (failing_alloc_happened());
    failing_alloc_after(-1);
    assert_int_equal(err, PLAIT_OK);
    assert_true(n > 20);
    assert_version_4(&m);
    plait_metalink_done(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_4_at_once),
        cmocka_unit_test(version_4_in_chunks),
        cmocka_unit_test(version_3_too),
        cmocka_unit_test(documents_refused),
        cmocka_unit_test(the_first_failure_stays),
        cmocka_unit_test(accepted_all_the_same),
        cmocka_unit_test(bounds),
        cmocka_unit_test(the_whole_is_bounded),
        cmocka_unit_test(sniffing),
        cmocka_unit_test(parsing_survives_a_lack_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
