/* The addresses within: whose are whose, none twice, none that names a network, the same ones every time. */
#include "addresses.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "prng.h"

static struct plait_hub_settings *make(const char *network4, const char *network6, size_t nodes)
{
    struct plait_hub_settings *h = calloc(1, sizeof *h);
    struct plait_prng g = {11};

    assert_non_null(h);
    h->nodes = calloc(nodes + 1, sizeof *h->nodes);
    assert_non_null(h->nodes);
    h->node_count = nodes;
    if (network4 != NULL)
        assert_int_equal(plait_config_parse_prefix(network4, &h->network4), PLAIT_OK);
    if (network6 != NULL)
        assert_int_equal(plait_config_parse_prefix(network6, &h->network6), PLAIT_OK);
    plait_addresses_first(&h->network4, h->own4);
    plait_addresses_first(&h->network6, h->own6);
    for (size_t i = 0; i < nodes; i++)
        for (size_t k = 0; k < 4; k++) {
            uint64_t v = plait_prng_next(&g);
            memcpy(h->nodes[i].key.bytes + 8 * k, &v, sizeof v);
        }
    return h;
}

static void belongs(void **unused)
{
    struct plait_prefix p;

    (void)unused;
    assert_int_equal(plait_config_parse_prefix("10.77.128.0/17", &p), PLAIT_OK);
    assert_true(plait_addresses_has(&p, AF_INET, (const uint8_t[]){10, 77, 128, 0}));
    assert_true(plait_addresses_has(&p, AF_INET, (const uint8_t[]){10, 77, 255, 255}));
    assert_false(plait_addresses_has(&p, AF_INET, (const uint8_t[]){10, 77, 127, 255}));
    assert_false(plait_addresses_has(&p, AF_INET6, (const uint8_t[16]){10, 77, 128, 0}));
    p.bits = 0;
    assert_true(plait_addresses_has(&p, AF_INET, (const uint8_t[]){1, 2, 3, 4}));
    p.family = 0;
    assert_false(plait_addresses_has(&p, AF_INET, (const uint8_t[]){10, 77, 128, 0}));
}

static void the_hub_is_first(void **unused)
{
    struct plait_hub_settings *h = make("10.77.0.0/16", "fd77::/64", 0);

    (void)unused;
    assert_memory_equal(h->own4, ((const uint8_t[]){10, 77, 0, 1}), 4);
    assert_memory_equal(h->own6, ((const uint8_t[16]){0xfd, 0x77, [15] = 1}), 16);
    plait_hub_settings_free(h);
}

static void check_all(const struct plait_hub_settings *h)
{
    for (size_t i = 0; i < h->node_count; i++) {
        const struct plait_hub_node_settings *n = &h->nodes[i];
        assert_true(n->has_v4 && plait_addresses_has(&h->network4, AF_INET, n->v4));
        assert_memory_not_equal(n->v4, h->own4, 4);
        assert_memory_not_equal(n->v4, h->network4.address, 4);
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(n->v4, h->nodes[k].v4, 4);
    }
}

static void a_network_that_is_just_full(void **unused)
{
    struct plait_hub_settings *h = make("192.168.4.0/24", NULL, 253);

    (void)unused;
    h->nodes[7].has_v4 = true;
    memcpy(h->nodes[7].v4, (const uint8_t[]){192, 168, 4, 200}, 4);
    assert_int_equal(plait_addresses_assign(h), PLAIT_OK);
    check_all(h);
    for (size_t i = 0; i < h->node_count; i++)
        assert_int_not_equal(h->nodes[i].v4[3], 255);
    assert_false(h->nodes[0].has_v6);
    plait_hub_settings_free(h);
    h = make("192.168.4.0/24", NULL, 254);
    assert_int_equal(plait_addresses_assign(h), PLAIT_ERR_LIMIT);
    plait_hub_settings_free(h);
}

static void the_same_after_a_node_more(void **unused)
{
    struct plait_hub_settings *few = make("10.77.0.0/16", "fd77::/64", 20),
                              *more = make("10.77.0.0/16", "fd77::/64", 21);

    (void)unused;
    assert_int_equal(plait_addresses_assign(few), PLAIT_OK);
    assert_int_equal(plait_addresses_assign(more), PLAIT_OK);
    check_all(more);
    for (size_t i = 0; i < few->node_count; i++) {
        assert_memory_equal(few->nodes[i].v4, more->nodes[i].v4, 4);
        assert_true(few->nodes[i].has_v6);
        assert_memory_equal(few->nodes[i].v6, more->nodes[i].v6, 16);
    }
    plait_hub_settings_free(few);
    plait_hub_settings_free(more);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(belongs),
        cmocka_unit_test(the_hub_is_first),
        cmocka_unit_test(a_network_that_is_just_full),
        cmocka_unit_test(the_same_after_a_node_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
