/* Routes as --via names them: proxies, what is no route, and memory that lacks. */
#include "route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "failing_alloc.h"

static void proxies(void **unused)
{
    struct plait_routes r = {.count = 0};
    char why[PLAIT_ROUTE_ERROR_MAX];

    (void)unused;
    assert_int_equal(plait_routes_add(&r, "http://me:secret@farm:3128", why), PLAIT_OK);
    assert_int_equal(plait_routes_add(&r, "socks5://farm:1080", why), PLAIT_OK);
    assert_int_equal(plait_routes_add(&r, "http://farm:3128", why), PLAIT_OK); /* that is the first */
    assert_int_equal(r.count, 2);
    assert_int_equal(r.list[0].kind, PLAIT_ROUTE_PROXY);
    assert_string_equal(r.list[0].name, "http://farm:3128");
    assert_string_equal(r.list[0].proxy, "http://me:secret@farm:3128");
    assert_string_equal(r.list[1].proxy, "socks5://farm:1080");
    plait_routes_done(&r);
}

static void no_routes(void **unused)
{
    static const char *const texts[] = {"ftp://farm:21", "", "two words", "a/b", "a-name-that-is-too-long"};
    struct plait_routes r = {.count = 0};
    char why[PLAIT_ROUTE_ERROR_MAX];

    (void)unused;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(plait_routes_add(&r, texts[i], why), PLAIT_ERR_FORMAT);
    assert_int_equal(plait_routes_add(&r, "192.0.2.77", why), PLAIT_ERR_NOTFOUND);
    assert_int_equal(r.count, 0);
}

/* A proxy of which only the name is known would be none: what was to go through it would go past it. */
static void without_memory(void **unused)
{
    bool failed = true;

    (void)unused;
    for (long n = 0; failed; n++) {
        struct plait_routes r = {.count = 0};
        char why[PLAIT_ROUTE_ERROR_MAX];
        failing_alloc_after(n);
        int err = plait_routes_add(&r, "http://farm:3128", why);
        failed = failing_alloc_happened();
        failing_alloc_after(-1);
        assert_int_equal(err, failed ? PLAIT_ERR_NOMEM : PLAIT_OK);
        assert_int_equal(r.count, failed ? 0 : 1);
        assert_true(failed || n > 0);
        plait_routes_done(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(proxies),
        cmocka_unit_test(no_routes),
        cmocka_unit_test(without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
