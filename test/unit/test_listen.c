#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "listen.h"
#include "units.h"

static void endpoints(void **state)
{
    static const struct {
        const char *text, *form;
    } rows[] = {
        {"127.0.0.1:80", "127.0.0.1:80"},
        {"[::1]:0", "[::1]:0"},
        {"*:3128", "[::]:3128"},
        {":3128", "[::]:3128"},
        {"0.0.0.0:65535", "0.0.0.0:65535"},
        {"[::ffff:192.0.2.1]:1", "192.0.2.1:1"},
    };
    static const char *const bad[] = {"",
                                      ":",
                                      "127.0.0.1",
                                      "127.0.0.1:",
                                      "127.0.0.1:65536",
                                      "127.0.0.1:-1",
                                      "::1:80",
                                      "[::1:80",
                                      "[]:80",
                                      "a:80",
                                      "127.1:80",
                                      "[127.0.0.1]:80",
                                      "127.0.0.1:80 ",
                                      "127.0.0.1:080000"};
    struct sockaddr_storage address;
    char text[PLAIT_ENDPOINT_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        assert_int_equal(plait_endpoint_parse(rows[i].text, &address), PLAIT_OK);
        assert_string_equal(plait_endpoint_text(&address, text), rows[i].form);
    }
    for (size_t i = 0; i < PLAIT_COUNT(bad); i++)
        if (plait_endpoint_parse(bad[i], &address) != PLAIT_ERR_FORMAT)
            fail_msg("%s", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endpoints),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
