#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "config.h"
#include "failing_alloc.h"
#include "nat.h"
#include "udp.h"
#include "units.h"

static const struct plait_config_key hub_keys[] = {
    {"listen", false}, {"network", false}, {"publish", true}, {NULL, false}};
static const struct plait_config_key uplink_keys[] = {{"a", false}, {"b", false}, {NULL, false}};
static const struct plait_config_kind kinds[] = {
    {"hub", false, hub_keys}, {"uplink", true, uplink_keys}, {NULL, false, NULL}};

static struct plait_config *parsed(const char *text)
{
    struct plait_config *c;

    if (plait_config_parse("x.conf", text, kinds, &c) != PLAIT_OK)
        print_error("%s\n", plait_config_error(c));
    assert_string_equal(plait_config_error(c), "");
    return c;
}

static void a_file(void **state)
{
    struct plait_config *c = parsed("\xef\xbb\xbf; all of it\r\n"
                                    "[hub]   ; the hub\r\n"
                                    "  listen = 0.0.0.0:4040 ; one comment\n"
                                    "\tpublish = tcp/80 -> farm:80\n"
                                    "    publish = udp/53 -> farm:53\n"
                                    "# and another\n"
                                    "[ uplink \"dsl\" ]\n"
                                    "a=1;2\n"
                                    "[uplink \"lte.2\"]\n"
                                    "\n"
                                    "a = [fd00::1]:4040");
    struct plait_config_section *hub = plait_config_section(c, "hub", 0);

    (void)state;
    assert_int_equal(plait_config_count(c, "hub"), 1);
    assert_int_equal(plait_config_count(c, "uplink"), 2);
    assert_string_equal(plait_config_text(hub, "listen"), "0.0.0.0:4040");
    assert_null(plait_config_text(hub, "network"));
    assert_string_equal(plait_config_text_at(hub, "publish", 1), "udp/53 -> farm:53");
    assert_null(plait_config_text_at(hub, "publish", 2));
    assert_string_equal(plait_config_label(hub), "");
    assert_string_equal(plait_config_label(plait_config_section(c, "uplink", 1)), "lte.2");
    assert_string_equal(plait_config_text(plait_config_section(c, "uplink", 0), "a"), "1;2");
    assert_string_equal(plait_config_text(plait_config_section(c, "uplink", 1), "a"), "[fd00::1]:4040");
    assert_null(plait_config_section(c, "uplink", 2));
    plait_config_free(c);
    plait_config_free(NULL);
}

/* Each is refused, with the line, and with what would be right. */
static void refused(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"[hub]\nlisten = 1\nlissten = 2\n",
         "x.conf:3: there is no key 'lissten' in [hub]; allowed: listen, network, publish"},
        {"[hib]\n", "x.conf:1: there is no section [hib]; allowed: [hub], [uplink \"NAME\"]"},
        {"\n\nlisten = 1\n", "x.conf:3: 'listen' is in no section"},
        {"[hub]\nlisten\n", "x.conf:2: this is neither"},
        {"[hub]\nlisten = 1\nlisten = 2\n", "x.conf:3: 'listen' is already in line 2"},
        {"[hub]\nlisten = \n", "x.conf:2: 'listen' has no value"},
        {"[hub]\nlisten = ; nothing\n", "x.conf:2: 'listen' has no value"},
        {"[hub]\n\n[hub]\n", "x.conf:3: this section is already in line 1"},
        {"[uplink \"a\"]\n[uplink \"b\"]\n[uplink \"a\"]\n", "x.conf:3: this section is already in line 1"},
        {"[uplink]\n", "x.conf:1: the section needs a name"},
        {"[hub \"x\"]\n", "x.conf:1: the section has no name"},
        {"[uplink \"\"]\n", "x.conf:1: a section's name is written"},
        {"[uplink \"a b\"]\n", "x.conf:1: a section's name is written"},
        {"[uplink \"-a\"]\n", "x.conf:1: a section's name is written"},
        {"[uplink \"a]\n", "x.conf:1: a section's name is written"},
        {"[uplink \"12345678901234567890123456789012\"]\n", "x.conf:1: a section's name is written"},
        {"[hub\n", "x.conf:1: a section has no closing bracket"},
        {"[hub] listen = 1\n", "x.conf:1: there is something behind"},
    };
    struct plait_config *c;

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        assert_int_equal(plait_config_parse("x.conf", rows[i].text, kinds, &c), PLAIT_ERR_FORMAT);
        if (strncmp(plait_config_error(c), rows[i].says, strlen(rows[i].says)) != 0)
            fail_msg("%s instead of %s", plait_config_error(c), rows[i].says);
        plait_config_free(c);
    }
}

static void long_lines(void **state)
{
    char text[1000] = "[hub]\n; ";
    struct plait_config *c;

    (void)state;
    memset(text + 8, 'x', 300); /* a comment may be long */
    strcpy(text + 308, "\nlisten = ");
    memset(text + 318, 'y', PLAIT_CONFIG_LINE_MAX - 9);
    c = parsed(text);
    assert_int_equal(strlen(plait_config_text(plait_config_section(c, "hub", 0), "listen")),
                     PLAIT_CONFIG_LINE_MAX - 9);
    plait_config_free(c);
    text[318 + PLAIT_CONFIG_LINE_MAX - 9] = 'y';
    assert_int_equal(plait_config_parse("x.conf", text, kinds, &c), PLAIT_ERR_FORMAT);
    assert_non_null(strstr(plait_config_error(c), "x.conf:3: the line is longer"));
    plait_config_free(c);
}

static void files(void **state)
{
    char name[] = "/tmp/plait-test-config-XXXXXX";
    int fd = mkstemp(name);
    struct plait_config *c;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "[hub]\nlisten = 1\n", 17), 17);
    assert_int_equal(plait_config_read(name, kinds, &c), PLAIT_OK);
    plait_config_free(c);
    assert_int_equal(write(fd, "\0", 1), 1);
    assert_int_equal(plait_config_read(name, kinds, &c), PLAIT_ERR_IO);
    assert_non_null(strstr(plait_config_error(c), "zero byte"));
    plait_config_free(c);
    close(fd);
    unlink(name);
    assert_int_equal(plait_config_read(name, kinds, &c), PLAIT_ERR_NOTFOUND);
    assert_non_null(strstr(plait_config_error(c), "No such file"));
    plait_config_free(c);
}

/* A section with that value of `a`. */
static struct plait_config_section *with(const char *value, struct plait_config **c)
{
    char text[256];

    snprintf(text, sizeof text, "[uplink \"x\"]\nb = 0\na = %s\n", value);
    *c = parsed(text);
    return plait_config_section(*c, "uplink", 0);
}

static void numbers(void **state)
{
    static const char *const bad[] = {"", "-1", "4", "11", "1x", "0x5", "99999999999999999999999", " "};
    struct plait_config *c;
    struct plait_config_section *s = with("10", &c);
    uint64_t n = 3;

    (void)state;
    assert_int_equal(plait_config_get_number(s, "none", 5, 10, &n), PLAIT_OK);
    assert_int_equal(n, 3);
    assert_int_equal(plait_config_get_number(s, "a", 5, 10, &n), PLAIT_OK);
    assert_int_equal(n, 10);
    plait_config_free(c);
    for (size_t i = 1; i + 1 < PLAIT_COUNT(bad); i++) {
        s = with(bad[i], &c);
        assert_int_equal(plait_config_get_number(s, "a", 5, 10, &n), PLAIT_ERR_FORMAT);
        assert_non_null(strstr(plait_config_error(c), "x.conf:3: a = "));
        assert_non_null(strstr(plait_config_error(c), "allowed: a number from 5 to 10"));
        plait_config_free(c);
    }
    assert_int_equal(n, 10);
}

static void words(void **state)
{
    static const char *const choices[] = {"none", "default", NULL};
    struct plait_config *c;
    struct plait_config_section *s = with("default", &c);
    size_t which = 9;
    bool flag = false;

    (void)state;
    assert_int_equal(plait_config_get_choice(s, "a", choices, &which), PLAIT_OK);
    assert_int_equal(which, 1);
    assert_int_equal(plait_config_get_flag(s, "a", &flag), PLAIT_ERR_FORMAT);
    assert_string_equal(plait_config_error(c), "x.conf:3: a = default: allowed: yes or no");
    plait_config_free(c);
    s = with("Yes", &c);
    assert_int_equal(plait_config_get_flag(s, "a", &flag), PLAIT_OK);
    assert_true(flag);
    assert_int_equal(plait_config_get_flag(s, "b", &flag), PLAIT_OK);
    assert_false(flag);
    assert_int_equal(plait_config_get_choice(s, "a", choices, &which), PLAIT_ERR_FORMAT);
    assert_non_null(strstr(plait_config_error(c), "allowed: none, default"));
    plait_config_free(c);
}

static void rates(void **state)
{
    static const struct {
        const char *text;
        double down, up;
    } good[] = {
        {"10M", 1.25e6, 1.25e6}, {"50M/10M", 6.25e6, 1.25e6}, {"1.5g / 800k", 187.5e6, 1e5},
        {"16000", 2000, 2000},   {"2Mbit/s", 2.5e5, -1},
    };
    static const char *const bad[] = {"M", "10MB", "10M/",      "/10M", "-1M",
                                      "0", "1e6",  "10M/5M/1M", "999",  "2T"};
    struct plait_config *c;
    double down, up;

    (void)state;
    for (size_t i = 0; i + 1 < PLAIT_COUNT(good); i++) {
        struct plait_config_section *s = with(good[i].text, &c);
        assert_int_equal(plait_config_get_rates(s, "a", &down, &up), PLAIT_OK);
        assert_true(down == good[i].down && up == good[i].up);
        plait_config_free(c);
    }
    struct plait_config_section *s = with("2Mbit/s", &c);
    assert_int_equal(plait_config_get_rate(s, "a", &down), PLAIT_OK);
    assert_true(down == 2.5e5);
    plait_config_free(c);
    for (size_t i = 0; i < PLAIT_COUNT(bad); i++) {
        s = with(bad[i], &c);
        assert_int_equal(plait_config_get_rates(s, "a", &down, &up), PLAIT_ERR_FORMAT);
        assert_non_null(strstr(plait_config_error(c), "10M"));
        plait_config_free(c);
    }
}

static void weights(void **state)
{
    static const char *const bad[] = {"0", "-1", "auto/1", "5/", "x", "inf"};
    struct plait_config *c;
    double down = 7, up = 7;

    (void)state;
    assert_int_equal(plait_config_get_weights(with("auto", &c), "a", &down, &up), PLAIT_OK);
    assert_true(down == 0 && up == 0);
    plait_config_free(c);
    assert_int_equal(plait_config_get_weights(with("2.5/1", &c), "a", &down, &up), PLAIT_OK);
    assert_true(down == 2.5 && up == 1);
    plait_config_free(c);
    for (size_t i = 0; i < PLAIT_COUNT(bad); i++) {
        assert_int_equal(plait_config_get_weights(with(bad[i], &c), "a", &down, &up), PLAIT_ERR_FORMAT);
        plait_config_free(c);
    }
}

static void quotas_and_times(void **state)
{
    static const char *const bad_quotas[] = {"50G", "50G/year", "G/month", "50/", "-5G/day", "50Gmonth"};
    static const char *const bad_times[] = {"m", "5x", "0", "-5s", "0.1ms", "400d", "5 s"};
    struct plait_config *c;
    enum plait_config_period period;
    uint64_t value;

    (void)state;
    assert_int_equal(plait_config_get_quota(with("50G/month", &c), "a", &value, &period), PLAIT_OK);
    assert_true(value == UINT64_C(50000000000) && period == PLAIT_CONFIG_MONTH);
    plait_config_free(c);
    assert_int_equal(plait_config_get_quota(with("1.5TB/week", &c), "a", &value, &period), PLAIT_OK);
    assert_true(value == UINT64_C(1500000000000) && period == PLAIT_CONFIG_WEEK);
    plait_config_free(c);
    for (size_t i = 0; i < PLAIT_COUNT(bad_quotas); i++) {
        assert_int_equal(plait_config_get_quota(with(bad_quotas[i], &c), "a", &value, &period),
                         PLAIT_ERR_FORMAT);
        plait_config_free(c);
    }
    assert_int_equal(plait_config_get_time(with("300ms", &c), "a", &value), PLAIT_OK);
    assert_true(value == 300 * PLAIT_MS);
    plait_config_free(c);
    assert_int_equal(plait_config_get_time(with("5m", &c), "a", &value), PLAIT_OK);
    assert_true(value == 300 * PLAIT_S);
    plait_config_free(c);
    for (size_t i = 0; i < PLAIT_COUNT(bad_times); i++) {
        assert_int_equal(plait_config_get_time(with(bad_times[i], &c), "a", &value), PLAIT_ERR_FORMAT);
        plait_config_free(c);
    }
}

static void addresses(void **state)
{
    static const char *const bad[] = {"10.77.0.1/16", "10.77.0.0/33", "10.77.0.0/", "10.77/16",
                                      "fd00::1/64",   "fd00::/129",   "x",          "10.0.0.0/8/8"};
    struct plait_config *c;
    struct plait_prefix p;

    (void)state;
    assert_int_equal(plait_config_get_prefix(with("10.77.0.0/16", &c), "a", &p), PLAIT_OK);
    assert_true(p.family == AF_INET && p.bits == 16 && p.address[1] == 77);
    plait_config_free(c);
    assert_int_equal(plait_config_get_prefix(with("::/0", &c), "a", &p), PLAIT_OK);
    assert_true(p.family == AF_INET6 && p.bits == 0);
    plait_config_free(c);
    assert_int_equal(plait_config_get_address(with("10.77.15.1", &c), "a", &p), PLAIT_OK);
    assert_true(p.family == AF_INET && p.bits == 32);
    plait_config_free(c);
    assert_int_equal(plait_config_get_address(with("fd00::1/64", &c), "a", &p), PLAIT_OK);
    assert_true(p.family == AF_INET6 && p.bits == 64 && p.address[15] == 1);
    plait_config_free(c);
    for (size_t i = 0; i < PLAIT_COUNT(bad); i++) {
        assert_int_equal(plait_config_get_prefix(with(bad[i], &c), "a", &p), PLAIT_ERR_FORMAT);
        plait_config_free(c);
    }
}

static void endpoints(void **state)
{
    static const struct {
        const char *text, *host;
        uint16_t port;
    } good[] = {
        {"hub.example.net:4040", "hub.example.net", 4040},
        {"192.0.2.1:1", "192.0.2.1", 1},
        {"[fd00::1]:65535", "fd00::1", 65535},
        {"hub", "hub", 4040},
        {"[::]", "::", 4040},
    };
    static const char *const bad[] = {":4040",         "hub:",    "hub:0",   "hub:65536", "fd00::1:4040",
                                      "[fd00::1:4040", "[hub]:1", "hub:40a", "a b:1",     "hub/x"};
    struct plait_config_endpoint e;
    struct plait_config *c;

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(good); i++) {
        assert_int_equal(plait_config_get_endpoint(with(good[i].text, &c), "a", 4040, &e), PLAIT_OK);
        assert_string_equal(e.host, good[i].host);
        assert_int_equal(e.port, good[i].port);
        plait_config_free(c);
    }
    for (size_t i = 0; i < PLAIT_COUNT(bad); i++) {
        assert_int_equal(plait_config_get_endpoint(with(bad[i], &c), "a", 4040, &e), PLAIT_ERR_FORMAT);
        plait_config_free(c);
    }
    assert_int_equal(plait_config_parse_endpoint("hub", 0, &e), PLAIT_ERR_FORMAT);
}

static void lists(void **state)
{
    const char *at = " 10.0.0.0/8, 192.168.0.0/16 ,,fd00::/8 ";
    char word[16];

    (void)state;
    assert_int_equal(plait_config_word(&at, word, sizeof word), PLAIT_OK);
    assert_string_equal(word, "10.0.0.0/8");
    assert_int_equal(plait_config_word(&at, word, 5), PLAIT_ERR_LIMIT);
    assert_int_equal(plait_config_word(&at, word, sizeof word), PLAIT_OK);
    assert_string_equal(word, "192.168.0.0/16");
    assert_int_equal(plait_config_word(&at, word, sizeof word), PLAIT_OK);
    assert_string_equal(word, "fd00::/8");
    assert_int_equal(plait_config_word(&at, word, sizeof word), PLAIT_ERR_NOTFOUND);
}

/* What a caller finds wrong is told in the same way; the first error stays. */
static void by_the_caller(void **state)
{
    struct plait_config *c;
    struct plait_config_section *s = with("7", &c);

    (void)state;
    assert_int_equal(plait_config_require(s, "a"), PLAIT_OK);
    assert_int_equal(plait_config_fail(s, "a", 0, "no %s", "good"), PLAIT_ERR_FORMAT);
    assert_string_equal(plait_config_error(c), "x.conf:3: a = 7: no good");
    assert_int_equal(plait_config_require(s, "c"), PLAIT_ERR_NOTFOUND);
    assert_string_equal(plait_config_error(c), "x.conf:3: a = 7: no good");
    plait_config_free(c);
    s = with("7", &c);
    assert_int_equal(plait_config_require(s, "c"), PLAIT_ERR_NOTFOUND);
    assert_string_equal(plait_config_error(c), "x.conf:1: [uplink \"x\"] needs 'c'");
    plait_config_free(c);
    s = with("7", &c);
    assert_int_equal(plait_config_fail_section(s, "both are too much"), PLAIT_ERR_FORMAT);
    assert_string_equal(plait_config_error(c), "x.conf:1: [uplink \"x\"]: both are too much");
    plait_config_free(c);
}

static void publish(void **state)
{
    static const char *const bad[] = {"80 -> farm:80",         "tcp/0 -> farm:80",
                                      "tcp/80 farm:80",        "tcp/80 -> ",
                                      "tcp/80 -> farm:0",      "tcp/80 -> farm:80 x",
                                      "sctp/80 -> farm:80",    "tcp/65536 -> farm",
                                      "tcp/80 -> [fd00::1:80", "tcp/80 -> a-name-that-is-too-long:80"};
    char host[16];
    uint16_t port, to;
    bool udp;

    (void)state;
    assert_int_equal(plait_nat_parse_publish("tcp/8080 -> farm:80", &udp, &port, host, sizeof host, &to),
                     PLAIT_OK);
    assert_true(!udp && port == 8080 && to == 80 && strcmp(host, "farm") == 0);
    assert_int_equal(plait_nat_parse_publish("udp/53->[fd77::15]", &udp, &port, host, sizeof host, &to),
                     PLAIT_OK);
    assert_true(udp && port == 53 && to == 53 && strcmp(host, "fd77::15") == 0);
    for (size_t i = 0; i < PLAIT_COUNT(bad); i++)
        assert_int_equal(plait_nat_parse_publish(bad[i], &udp, &port, host, sizeof host, &to),
                         PLAIT_ERR_FORMAT);
}

static void without_memory(void **state)
{
    struct plait_udp_inbox *inbox = NULL;
    struct plait_config *c;
    long n = 0;

    (void)state;
    for (bool happened = true; happened; n++) {
        failing_alloc_after(n);
        int err =
            plait_config_parse("x.conf", "[uplink \"x\"]\na = 1\nb = 2\n[uplink \"y\"]\na = 3\n", kinds, &c);
        happened = failing_alloc_happened();
        failing_alloc_after(-1);
        assert_int_equal(err, happened ? PLAIT_ERR_NOMEM : PLAIT_OK);
        assert_true(c == NULL || (plait_config_error(c)[0] == '\0') == !happened);
        plait_config_free(c);
    }
    assert_true(n > 10);
    n = 0;
    for (bool happened = true; happened; n++) {
        failing_alloc_after(n);
        inbox = plait_udp_inbox_new(2);
        happened = failing_alloc_happened();
        failing_alloc_after(-1);
        assert_true((inbox == NULL) == happened);
    }
    assert_true(n > 6);
    plait_udp_inbox_free(inbox);
    assert_null(plait_udp_inbox_new(0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file),        cmocka_unit_test(refused),   cmocka_unit_test(long_lines),
        cmocka_unit_test(files),         cmocka_unit_test(numbers),   cmocka_unit_test(words),
        cmocka_unit_test(rates),         cmocka_unit_test(weights),   cmocka_unit_test(quotas_and_times),
        cmocka_unit_test(addresses),     cmocka_unit_test(endpoints), cmocka_unit_test(lists),
        cmocka_unit_test(by_the_caller), cmocka_unit_test(publish),   cmocka_unit_test(without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
