/* A section [community "NAME"] of node.conf: what it may say, and which changes of it need a new start. */
#include "community_settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "units.h"

static const struct plait_config_kind kinds[] = {{"community", true, plait_node_community_keys},
                                                 {NULL, false, NULL}};

static int read_lines(const char *lines, struct plait_node_community_settings *out)
{
    char text[1024];
    struct plait_config *c;

    snprintf(text, sizeof text, "[community \"farm\"]\ninterface = lan0\nkey = /etc/plait/farm.key\n%s\n",
             lines);
    assert_int_equal(plait_config_parse("node.conf", text, kinds, &c), PLAIT_OK);
    int err = plait_node_community_read(plait_config_section(c, "community", 0), out);
    plait_config_free(c);
    return err;
}

static void what_it_is_when_nothing_is_said(void **unused)
{
    struct plait_node_community_settings s;

    (void)unused;
    assert_int_equal(read_lines("", &s), PLAIT_OK);
    assert_string_equal(s.name, "farm");
    assert_string_equal(s.interface, "lan0");
    assert_string_equal(s.offer, "");
    assert_true(s.share == 1 && s.limit_down == 0 && s.quota_bytes == 0);
    assert_int_equal(s.port, PLAIT_COMMUNITY_PORT);
    assert_int_equal(s.neighbour_count, 0);
}

/* Each is compared with the neighbours 192.0.2.7 and 2001:db8::7. */
static void what_needs_a_new_start(void **unused)
{
    static const struct {
        const char *lines;
        bool same;
    } rows[] = {
        {"neighbours = 192.0.2.7, [2001:db8::7]:4041", true},
        {"neighbours = 192.0.2.7:4041, [2001:db8::7]:4041\noffer = all\nshare = 50%", true},
        {"neighbours = 192.0.2.7:4042, [2001:db8::7]:4041", false},
        {"neighbours = 192.0.2.8, [2001:db8::7]:4041", false},
        {"neighbours = 192.0.2.7, [2001:db8::8]:4041", false},
        {"neighbours = 192.0.2.7, [2001:db8::7]:4042", false},
        {"neighbours = [2001:db8::7]:4041, 192.0.2.7", false},
        {"neighbours = 192.0.2.7", false},
        {"", false},
        {"neighbours = 192.0.2.7, [2001:db8::7]:4041\nmissed = 9", false},
        {"neighbours = 192.0.2.7, [2001:db8::7]:4041\nperiod = 7s", false},
    };
    struct plait_node_community_settings base, s;

    (void)unused;
    assert_int_equal(read_lines(rows[0].lines, &base), PLAIT_OK);
    assert_int_equal(base.neighbour_count, 2);
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        assert_int_equal(read_lines(rows[i].lines, &s), PLAIT_OK);
        assert_int_equal(plait_node_community_is_same(&base, &s), rows[i].same);
        assert_int_equal(plait_node_community_is_same(&s, &base), rows[i].same);
    }
}

static void what_is_wrong(void **unused)
{
    static const char *const rows[] = {
        "share = 0%",   "share = 101%", "share = half", "neighbours = farm", "neighbours = 192.0.2.7:0",
        "period = 1ms", "missed = 0"};
    struct plait_node_community_settings s;

    (void)unused;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++)
        assert_int_not_equal(read_lines(rows[i], &s), PLAIT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_is_when_nothing_is_said),
        cmocka_unit_test(what_needs_a_new_start),
        cmocka_unit_test(what_is_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
