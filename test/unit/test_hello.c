/* The hello of a tunnel: what is written is read again; unknown fields are skipped; each offence. */
#include "hello.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "units.h"

static struct plait_hello full(void)
{
    struct plait_hello h = {.name = "farm-3.example_7",
                            .mtu = 1420,
                            .has_v4 = true,
                            .v4 = {10, 77, 15, 1},
                            .v4_bits = 16,
                            .has_v6 = true,
                            .v6 = {0xfd, 0x77, [15] = 1},
                            .v6_bits = 64,
                            .port = 4041,
                            .has_lan = true,
                            .lan = 15,
                            .group = UINT64_MAX,
                            .path_count = PLAIT_HELLO_PATHS_MAX};

    for (size_t i = 0; i < h.path_count; i++)
        h.paths[i] = (struct plait_hello_path){(uint8_t)(i + 1),  i % 2 == 1,     50,        10,
                                               UINT64_C(1) << 40, UINT64_MAX - i, i % 3 == 0};
    return h;
}

static void all_of_it_comes_back(void **unused)
{
    static struct plait_hello in, out;
    uint8_t bytes[PLAIT_HELLO_BYTES_MAX];

    (void)unused;
    in = full();
    int len = plait_hello_encode(&in, bytes, sizeof bytes);
    assert_true(len > 0);
    assert_int_equal(plait_hello_decode(bytes, (size_t)len, &out), PLAIT_OK);
    assert_true(in.mtu == out.mtu && in.port == out.port && in.lan == out.lan);
    assert_string_equal(out.name, in.name);
    assert_true(out.group == in.group);
    assert_true(out.has_v4 && out.v4_bits == 16 && memcmp(out.v4, in.v4, sizeof in.v4) == 0);
    assert_true(out.has_v6 && out.v6_bits == 64 && memcmp(out.v6, in.v6, sizeof in.v6) == 0);
    for (size_t i = 0; i < in.path_count; i++) {
        assert_true(out.paths[i].id == i + 1 && out.paths[i].backup == (i % 2 == 1));
        assert_true(out.paths[i].weight_down == 50 && out.paths[i].weight_up == 10);
        assert_true(out.paths[i].limit_down == UINT64_C(1) << 40);
        assert_true(out.paths[i].line == UINT64_MAX - i && out.paths[i].owner == (i % 3 == 0));
    }
    for (size_t cut = 0; cut < (size_t)len; cut++) {
        int err = plait_hello_decode(bytes, cut, &out);
        assert_true(err == PLAIT_OK || err == PLAIT_ERR_TRUNC);
        assert_int_equal(plait_hello_encode(&in, bytes, cut), PLAIT_ERR_LIMIT);
        assert_int_equal(plait_hello_encode(&in, bytes, sizeof bytes), len);
    }
}

static void nothing_is_a_hello(void **unused)
{
    static const struct plait_hello none;
    struct plait_hello out;
    uint8_t bytes[1];

    (void)unused;
    assert_int_equal(plait_hello_encode(&none, bytes, 0), 0);
    assert_int_equal(plait_hello_decode(bytes, 0, &out), PLAIT_OK);
    assert_true(out.name[0] == '\0' && out.path_count == 0 && !out.has_v4 && !out.has_v6);
}

/* Those who do not know of lines yet say nothing of them. */
static void a_path_without_a_line_is_one(void **unused)
{
    static const uint8_t bytes[] = {7, 18, 3, 1, 0, 0, 0, 50, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 9};
    struct plait_hello out;

    (void)unused;
    assert_int_equal(plait_hello_decode(bytes, sizeof bytes, &out), PLAIT_OK);
    assert_int_equal(out.path_count, 1);
    assert_true(out.paths[0].id == 3 && out.paths[0].backup && out.paths[0].limit_down == 9);
    assert_true(out.paths[0].line == 0 && !out.paths[0].owner && out.group == 0);
}

static void later_fields_are_skipped(void **unused)
{
    static const uint8_t bytes[] = {200, 3, 1, 2, 3, 2, 4, 0x05, 0x8c, 9, 9, 201, 0};
    struct plait_hello out;

    (void)unused;
    assert_int_equal(plait_hello_decode(bytes, sizeof bytes, &out), PLAIT_OK);
    assert_int_equal(out.mtu, 1420);
}

static void offences(void **unused)
{
    static const struct {
        uint8_t bytes[24];
        size_t len;
        int err;
    } rows[] = {
        {{1, 0}, 2, PLAIT_ERR_FORMAT},
        {{1, 2, '-', 'a'}, 4, PLAIT_ERR_FORMAT},
        {{1, 2, 'a', '/'}, 4, PLAIT_ERR_FORMAT},
        {{1, 3, 'a', 0, 'b'}, 5, PLAIT_ERR_FORMAT},
        {{2, 2, 0, 100}, 4, PLAIT_ERR_RANGE},
        {{2, 1, 5}, 3, PLAIT_ERR_TRUNC},
        {{3, 5, 10, 77, 0, 1, 33}, 7, PLAIT_ERR_RANGE},
        {{3, 4, 10, 77, 0, 1}, 6, PLAIT_ERR_TRUNC},
        {{4, 17, [18] = 129}, 19, PLAIT_ERR_RANGE},
        {{5, 1, 1}, 3, PLAIT_ERR_TRUNC},
        {{6, 3, 0, 0, 1}, 5, PLAIT_ERR_TRUNC},
        {{7, 4, 1, 0, 0, 0}, 6, PLAIT_ERR_TRUNC},
        {{1}, 1, PLAIT_ERR_TRUNC},
        {{7, 18, 0}, 3, PLAIT_ERR_TRUNC},
    };
    static const uint8_t long_one[PLAIT_HELLO_BYTES_MAX + 1];
    struct plait_hello out;

    (void)unused;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++)
        assert_int_equal(plait_hello_decode(rows[i].bytes, rows[i].len, &out), rows[i].err);
    assert_int_equal(plait_hello_decode(long_one, sizeof long_one, &out), PLAIT_ERR_LIMIT);
}

static void what_no_decoder_would_take(void **unused)
{
    static struct plait_hello h;
    uint8_t bytes[PLAIT_HELLO_BYTES_MAX];

    (void)unused;
    h = full();
    h.v4_bits = 33;
    assert_int_equal(plait_hello_encode(&h, bytes, sizeof bytes), PLAIT_ERR_ARG);
    h = full();
    h.mtu = 575;
    assert_int_equal(plait_hello_encode(&h, bytes, sizeof bytes), PLAIT_ERR_ARG);
    h = full();
    h.path_count++;
    assert_int_equal(plait_hello_encode(&h, bytes, sizeof bytes), PLAIT_ERR_ARG);
    h = full();
    strcpy(h.name, "a b");
    assert_int_equal(plait_hello_encode(&h, bytes, sizeof bytes), PLAIT_ERR_ARG);
}

static void more_paths_than_there_may_be(void **unused)
{
    uint8_t bytes[(PLAIT_HELLO_PATHS_MAX + 1) * 20] = {0};
    struct plait_hello out;

    (void)unused;
    for (size_t i = 0; i <= PLAIT_HELLO_PATHS_MAX; i++) {
        bytes[i * 20] = PLAIT_HELLO_PATH;
        bytes[i * 20 + 1] = 18;
        bytes[i * 20 + 2] = (uint8_t)i;
    }
    assert_int_equal(plait_hello_decode(bytes, sizeof bytes, &out), PLAIT_OK);
    assert_int_equal(out.path_count, PLAIT_HELLO_PATHS_MAX);
    assert_int_equal(out.paths[PLAIT_HELLO_PATHS_MAX - 1].id, PLAIT_HELLO_PATHS_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_it_comes_back),
        cmocka_unit_test(nothing_is_a_hello),
        cmocka_unit_test(a_path_without_a_line_is_one),
        cmocka_unit_test(later_fields_are_skipped),
        cmocka_unit_test(offences),
        cmocka_unit_test(what_no_decoder_would_take),
        cmocka_unit_test(more_paths_than_there_may_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
