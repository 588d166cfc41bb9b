#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "allow.h"
#include "units.h"

static struct plait_allow list(const char *const *rules, size_t count)
{
    struct plait_allow a = {0};

    for (size_t i = 0; i < count; i++)
        assert_int_equal(plait_allow_add(&a, rules[i]), PLAIT_OK);
    return a;
}

static struct plait_address address(const char *text)
{
    struct plait_address a;

    if (plait_address_parse(text, strlen(text), &a) != PLAIT_OK)
        fail_msg("%s", text);
    return a;
}

static bool allowed(const struct plait_allow *a, const char *name, const char *text, uint16_t port)
{
    struct plait_address x = address(text);

    return plait_allow_address(a, name, &x, port, false);
}

static void rules_have_one_form(void **state)
{
    static const struct {
        const char *text, *form;
    } rows[] = {
        {"WWW.Example.NET.:443", "www.example.net:443"},
        {"_x-1.a:*", "_x-1.a:*"},
        {"localhost:1", "localhost:1"},
        {"192.0.2.7:65535", "192.0.2.7:65535"},
        {"192.0.2.7/32:80", "192.0.2.7:80"},
        {"192.0.2.0/24:443", "192.0.2.0/24:443"},
        {"0.0.0.0/0:*", "0.0.0.0/0:*"},
        {"[2001:DB8:0::/32]:*", "[2001:db8::/32]:*"},
        {"[2001:db8::1]:22", "[2001:db8::1]:22"},
        {"[::/0]:80", "[::/0]:80"},
    };
    char form[PLAIT_ALLOW_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        struct plait_allow a = list(&rows[i].text, 1);
        assert_string_equal(plait_allow_text(&a.rules[0], form), rows[i].form);
        plait_allow_done(&a);
    }
}

static void what_is_no_rule(void **state)
{
    static const struct {
        const char *text;
        int err;
    } rows[] = {
        {"", PLAIT_ERR_FORMAT},
        {":", PLAIT_ERR_FORMAT},
        {":80", PLAIT_ERR_FORMAT},
        {"a", PLAIT_ERR_FORMAT},
        {"a:", PLAIT_ERR_FORMAT},
        {"a:b", PLAIT_ERR_FORMAT},
        {"a:8 0", PLAIT_ERR_FORMAT},
        {"a:-1", PLAIT_ERR_FORMAT},
        {"a:**", PLAIT_ERR_FORMAT},
        {"a:0", PLAIT_ERR_RANGE},
        {"a:65536", PLAIT_ERR_RANGE},
        {"a..b:80", PLAIT_ERR_FORMAT},
        {".a:80", PLAIT_ERR_FORMAT},
        {"a b:80", PLAIT_ERR_FORMAT},
        {"*.example.net:80", PLAIT_ERR_FORMAT},
        {"user@a:80", PLAIT_ERR_FORMAT},
        {"127.1:80", PLAIT_ERR_FORMAT},
        {"2130706433:80", PLAIT_ERR_FORMAT},
        {"0x7f000001:80", PLAIT_ERR_FORMAT},
        {"1.2.3.4.5:80", PLAIT_ERR_FORMAT},
        {"192.0.2.0/33:80", PLAIT_ERR_RANGE},
        {"192.0.2.1/24:80", PLAIT_ERR_RANGE},
        {"192.0.2.0/:80", PLAIT_ERR_FORMAT},
        {"192.0.2.0/24/:80", PLAIT_ERR_FORMAT},
        {"[192.0.2.0]:80", PLAIT_ERR_FORMAT},
        {"2001:db8::1:80", PLAIT_ERR_FORMAT},
        {"[2001:db8::1/32]:80", PLAIT_ERR_RANGE},
        {"[2001:db8::/129]:80", PLAIT_ERR_RANGE},
        {"[::ffff:192.0.2.1]:80", PLAIT_ERR_FORMAT},
        {"[fe80::1%eth0]:80", PLAIT_ERR_FORMAT},
        {"[a]:80", PLAIT_ERR_FORMAT},
        {"[]:80", PLAIT_ERR_FORMAT},
        {"[2001:db8::1:80", PLAIT_ERR_FORMAT},
    };
    struct plait_allow a = {0};

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++)
        if (plait_allow_add(&a, rows[i].text) != rows[i].err)
            fail_msg("%s", rows[i].text);
    assert_int_equal(a.count, 0);
}

static void nothing_is_allowed_by_default(void **state)
{
    struct plait_allow a = {0};

    (void)state;
    assert_false(allowed(&a, "www.example.net", "192.0.2.1", 443));
    assert_false(plait_allow_may_name(&a, "www.example.net", 443));
}

static void names_lead_to_public_addresses_only(void **state)
{
    static const char *const rules[] = {"www.example.net:443"};
    static const char *const inside[] = {
        "10.0.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "192.168.1.1",
        "172.16.0.1",
        "172.31.255.255",
        "100.64.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "::",
        "::1",
        "::ffff:10.0.0.1",
        "fe80::1",
        "fc00::1",
        "fdff::1",
        "ff02::1",
        "64:ff9b::10.0.0.1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "::127.0.0.1",
        "64:ff9b:1::1",
        "2001:0:1::1",
    };
    struct plait_allow a = list(rules, PLAIT_COUNT(rules));

    (void)state;
    assert_true(plait_allow_may_name(&a, "www.example.net", 443));
    assert_false(plait_allow_may_name(&a, "www.example.net", 80));
    assert_false(plait_allow_may_name(&a, "example.net", 443));
    assert_true(allowed(&a, "www.example.net", "192.0.2.1", 443));
    assert_true(allowed(&a, "www.example.net", "172.32.0.1", 443));
    assert_true(allowed(&a, "www.example.net", "2001:db8::1", 443));
    assert_true(allowed(&a, "www.example.net", "64:ff9b::192.0.2.1", 443));
    assert_false(allowed(&a, "www.example.net", "192.0.2.1", 80));
    assert_false(allowed(&a, NULL, "192.0.2.1", 443));
    for (size_t i = 0; i < PLAIT_COUNT(inside); i++)
        if (allowed(&a, "www.example.net", inside[i], 443))
            fail_msg("%s", inside[i]);
    plait_allow_done(&a);
}

static void wide_prefixes_lead_to_public_addresses_only(void **state)
{
    static const char *const rules[] = {"0.0.0.0/0:*", "[::/0]:*", "8.0.0.0/6:*", "[2000::/3]:*",
                                        "[64:ff9b::/96]:*"};
    struct plait_allow a = list(rules, PLAIT_COUNT(rules));

    (void)state;
    assert_true(allowed(&a, NULL, "192.0.2.1", 1));
    assert_true(allowed(&a, "x", "2001:db8::1", 1));
    assert_true(plait_allow_may_name(&a, "anything", 1));
    assert_false(allowed(&a, NULL, "10.1.2.3", 1));
    assert_false(allowed(&a, "x", "10.1.2.3", 1));
    assert_false(allowed(&a, NULL, "127.0.0.1", 1));
    assert_false(allowed(&a, NULL, "::1", 1));
    assert_false(allowed(&a, NULL, "fe80::1", 1));
    assert_false(allowed(&a, NULL, "64:ff9b::10.0.0.1", 1));
    plait_allow_done(&a);
}

static void private_prefixes_are_meant(void **state)
{
    static const char *const rules[] = {
        "10.0.0.0/8:80",           "127.0.0.1:*",   "[fd00::/8]:80", "[::1]:80",
        "[64:ff9b::a00:0/104]:80", "224.0.0.0/8:*", "0.0.0.0:*"};
    struct plait_allow a = list(rules, PLAIT_COUNT(rules));

    (void)state;
    assert_true(allowed(&a, NULL, "10.255.0.1", 80));
    assert_true(allowed(&a, "intranet", "10.255.0.1", 80));
    assert_false(allowed(&a, NULL, "10.255.0.1", 81));
    assert_false(allowed(&a, NULL, "11.0.0.1", 80));
    assert_true(allowed(&a, NULL, "127.0.0.1", 9));
    assert_false(allowed(&a, NULL, "127.0.0.2", 9));
    assert_true(allowed(&a, NULL, "fd12::1", 80));
    assert_false(allowed(&a, NULL, "fc12::1", 80));
    assert_true(allowed(&a, NULL, "::1", 80));
    assert_true(allowed(&a, NULL, "64:ff9b::10.1.2.3", 80));
    assert_false(allowed(&a, NULL, "64:ff9b::192.168.0.1", 80));
    assert_true(allowed(&a, NULL, "::ffff:10.0.0.1", 80));
    assert_false(allowed(&a, NULL, "224.0.0.1", 80));
    assert_false(allowed(&a, NULL, "0.0.0.0", 80));
    plait_allow_done(&a);
}

static void own_addresses_are_named_one_by_one(void **state)
{
    static const char *const rules[] = {"www.example.net:*", "192.0.2.0/24:80", "198.51.100.1:80",
                                        "10.0.0.0/8:80"};
    struct plait_allow a = list(rules, PLAIT_COUNT(rules));
    struct plait_address in_prefix = address("192.0.2.9"), named = address("198.51.100.1"),
                         lan = address("10.0.0.1");

    (void)state;
    assert_true(plait_allow_address(&a, NULL, &in_prefix, 80, false));
    assert_false(plait_allow_address(&a, NULL, &in_prefix, 80, true));
    assert_false(plait_allow_address(&a, "www.example.net", &in_prefix, 80, true));
    assert_true(plait_allow_address(&a, NULL, &named, 80, true));
    assert_true(plait_allow_address(&a, NULL, &lan, 80, true));
    plait_allow_done(&a);
}

static void there_is_a_most(void **state)
{
    struct plait_allow a = {0};

    (void)state;
    for (unsigned i = 0; i < PLAIT_ALLOW_RULES_MAX; i++)
        assert_int_equal(plait_allow_add(&a, "a:1"), PLAIT_OK);
    assert_int_equal(plait_allow_add(&a, "a:1"), PLAIT_ERR_LIMIT);
    plait_allow_done(&a);
}

static void long_names(void **state)
{
    char name[PLAIT_ALLOW_NAME_MAX + 8], out[PLAIT_ALLOW_NAME_MAX + 1];

    (void)state;
    for (size_t i = 0; i < sizeof name; i++)
        name[i] = i % 64 == 63 ? '.' : 'x';
    assert_int_equal(plait_host_name(name, 253, out), PLAIT_OK);
    assert_int_equal(strlen(out), 253);
    assert_int_equal(plait_host_name(name, 254, out), PLAIT_ERR_FORMAT);
    memset(name, 'x', 64);
    assert_int_equal(plait_host_name(name, 64, out), PLAIT_ERR_FORMAT);
    assert_int_equal(plait_host_name(name, 63, out), PLAIT_OK);
    assert_int_equal(plait_host_name(".", 1, out), PLAIT_ERR_FORMAT);
    assert_int_equal(plait_host_name("a\0b", 3, out), PLAIT_ERR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_have_one_form),
        cmocka_unit_test(what_is_no_rule),
        cmocka_unit_test(nothing_is_allowed_by_default),
        cmocka_unit_test(names_lead_to_public_addresses_only),
        cmocka_unit_test(wide_prefixes_lead_to_public_addresses_only),
        cmocka_unit_test(private_prefixes_are_meant),
        cmocka_unit_test(own_addresses_are_named_one_by_one),
        cmocka_unit_test(there_is_a_most),
        cmocka_unit_test(long_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
