#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ask.h"
#include "units.h"

static int parse(const char *s, struct plait_ask *ask)
{
    size_t used = 0;
    int err = plait_ask_parse(s, strlen(s), ask, &used);

    if (err == PLAIT_OK)
        assert_int_equal(used, strstr(s, "\r\n\r\n") + 4 - s);
    return err;
}

static void connects(void **state)
{
    static const struct {
        const char *target, *name;
        uint16_t port;
    } rows[] = {
        {"www.Example.net:443", "www.example.net", 443},
        {"www.example.net.:1", "www.example.net", 1},
        {"localhost:65535", "localhost", 65535},
        {"192.0.2.1:80", "", 80},
        {"[2001:db8::1]:80", "", 80},
        {"[::ffff:10.0.0.1]:80", "", 80},
    };
    char head[256];
    struct plait_ask ask;

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        snprintf(head, sizeof head, "CONNECT %s HTTP/1.%zu\r\nHost: x\r\n\r\nearly", rows[i].target, i % 2);
        assert_int_equal(parse(head, &ask), PLAIT_OK);
        assert_int_equal(ask.kind, PLAIT_ASK_CONNECT);
        assert_string_equal(ask.name, rows[i].name);
        assert_int_equal(ask.port, rows[i].port);
        assert_int_equal(ask.credentials.len, 0);
    }
    assert_int_equal(parse("CONNECT [::ffff:10.0.0.1]:80 HTTP/1.1\r\n\r\n", &ask), PLAIT_OK);
    assert_true(plait_address_is_v4(&ask.address));
}

static void what_is_no_request(void **state)
{
    static const char *const heads[] = {
        "\r\n\r\n",
        "CONNECT\r\n\r\n",
        "CONNECT \r\n\r\n",
        "CONNECT a:1\r\n\r\n",
        "CONNECT a:1 HTTP/2.0\r\n\r\n",
        "CONNECT a:1 HTTP/1.10\r\n\r\n",
        "CONNECT a:1  HTTP/1.1\r\n\r\n",
        "CONNECT  a:1 HTTP/1.1\r\n\r\n",
        " CONNECT a:1 HTTP/1.1\r\n\r\n",
        "CONNECT a HTTP/1.1\r\n\r\n",
        "CONNECT a: HTTP/1.1\r\n\r\n",
        "CONNECT :1 HTTP/1.1\r\n\r\n",
        "CONNECT a:0 HTTP/1.1\r\n\r\n",
        "CONNECT a:65536 HTTP/1.1\r\n\r\n",
        "CONNECT a:1x HTTP/1.1\r\n\r\n",
        "CONNECT a:1/ HTTP/1.1\r\n\r\n",
        "CONNECT http://a:1 HTTP/1.1\r\n\r\n",
        "CONNECT user@a:1 HTTP/1.1\r\n\r\n",
        "CONNECT a%2eb:1 HTTP/1.1\r\n\r\n",
        "CONNECT 127.1:1 HTTP/1.1\r\n\r\n",
        "CONNECT 0177.0.0.1:1 HTTP/1.1\r\n\r\n",
        "CONNECT 2130706433:1 HTTP/1.1\r\n\r\n",
        "CONNECT 0x7f.1:1 HTTP/1.1\r\n\r\n",
        "CONNECT ::1:1 HTTP/1.1\r\n\r\n",
        "CONNECT [::1] HTTP/1.1\r\n\r\n",
        "CONNECT [::1:1 HTTP/1.1\r\n\r\n",
        "CONNECT [127.0.0.1]:1 HTTP/1.1\r\n\r\n",
        "CONNECT [fe80::1%lo]:1 HTTP/1.1\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\n folded: x\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost : x\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\nHost: x\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: \x01\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: x\ry\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nProxy-Authorization: x\r\nProxy-Authorization: y\r\n\r\n",
    };
    struct plait_ask ask;

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(heads); i++)
        if (parse(heads[i], &ask) != PLAIT_ERR_FORMAT)
            fail_msg("%s", heads[i]);
}

static void other_requests(void **state)
{
    static const struct {
        const char *line;
        enum plait_ask_kind kind;
        bool is_head;
    } rows[] = {
        {"GET / HTTP/1.1", PLAIT_ASK_SELF, false},   {"HEAD / HTTP/1.0", PLAIT_ASK_SELF, true},
        {"GET /x HTTP/1.1", PLAIT_ASK_OTHER, false}, {"HEAD http://a/ HTTP/1.1", PLAIT_ASK_OTHER, true},
        {"POST / HTTP/1.1", PLAIT_ASK_OTHER, false}, {"connect a:1 HTTP/1.1", PLAIT_ASK_OTHER, false},
        {"GETX / HTTP/1.1", PLAIT_ASK_OTHER, false},
    };
    char head[256];
    struct plait_ask ask;

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        snprintf(head, sizeof head, "%s\r\nAuthorization: Basic eDp5\r\n\r\n", rows[i].line);
        assert_int_equal(parse(head, &ask), PLAIT_OK);
        assert_int_equal(ask.kind, rows[i].kind);
        assert_int_equal(ask.is_head, rows[i].is_head);
        assert_int_equal(ask.credentials.len, ask.kind == PLAIT_ASK_SELF ? strlen("Basic eDp5") : 0);
    }
}

static void heads_end(void **state)
{
    static const char whole[] = "CONNECT a:1 HTTP/1.1\r\nA: b\r\n\r\n";
    char *big = malloc(PLAIT_ASK_HEAD_MAX + 16);
    struct plait_ask ask;
    size_t used;

    (void)state;
    assert_non_null(big);
    for (size_t i = 0; i < sizeof whole - 1; i++)
        assert_int_equal(plait_ask_parse(whole, i, &ask, &used), PLAIT_ERR_TRUNC);
    memset(big, 'x', PLAIT_ASK_HEAD_MAX + 16);
    assert_int_equal(plait_ask_parse(big, PLAIT_ASK_HEAD_MAX - 1, &ask, &used), PLAIT_ERR_TRUNC);
    assert_int_equal(plait_ask_parse(big, PLAIT_ASK_HEAD_MAX, &ask, &used), PLAIT_ERR_LIMIT);
    memcpy(big, "GET / HTTP/1.1\r\nA:", 18);
    memcpy(big + PLAIT_ASK_HEAD_MAX - 4, "\r\n\r\n", 4);
    assert_int_equal(plait_ask_parse(big, PLAIT_ASK_HEAD_MAX + 16, &ask, &used), PLAIT_OK);
    assert_int_equal(used, PLAIT_ASK_HEAD_MAX);
    free(big);
}

static int credentials(const char *s, struct plait_credentials *c)
{
    return plait_credentials_parse(plait_text_of(s, strlen(s)), c);
}

static void basic_credentials(void **state)
{
    static const char *const bad[] = {"",
                                      "Basic",
                                      "Basic ",
                                      "Basic YQ==",
                                      "Basic Onh4",
                                      "Bearer x",
                                      "Basic eDp5 eDp5",
                                      "Basic eDp5=eDp5",
                                      "Basic eAB4Onk",
                                      "BasiceDp5",
                                      "Basic e\xc3\xa4"};
    char text[1024] = "Basic ";
    struct plait_credentials c;

    (void)state;
    assert_int_equal(credentials("Basic eDp5", &c), PLAIT_OK);
    assert_string_equal(c.user, "x");
    assert_string_equal(c.secret, "y");
    assert_int_equal(credentials("bAsIc   QWxhZGRpbjpvcGVuOnNlc2FtZQ==", &c), PLAIT_OK);
    assert_string_equal(c.user, "Aladdin");
    assert_string_equal(c.secret, "open:sesame");
    assert_int_equal(credentials("Basic eDo=", &c), PLAIT_OK);
    assert_string_equal(c.secret, "");
    for (size_t i = 0; i < PLAIT_COUNT(bad); i++)
        if (credentials(bad[i], &c) != PLAIT_ERR_FORMAT)
            fail_msg("%s", bad[i]);
    strcat(text, "eDp5"); /* x:y */
    for (size_t i = 0; i < 85; i++)
        strcat(text, "eHh4");
    assert_int_equal(credentials(text, &c), PLAIT_OK);
    strcat(text, "eHh4");
    assert_int_equal(credentials(text, &c), PLAIT_ERR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connects),  cmocka_unit_test(what_is_no_request), cmocka_unit_test(other_requests),
        cmocka_unit_test(heads_end), cmocka_unit_test(basic_credentials),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
