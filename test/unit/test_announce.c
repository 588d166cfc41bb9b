/* Announcements of a community: what is written is read, and nothing else. */
#include "announce.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct plait_announce whole = {
    .kind = PLAIT_ANNOUNCE_ACTIVE,
    .instance = 0x0102030405060708,
    .stamp = 77,
    .echo = 5,
    .hub = 9,
    .hub_port = 4041,
    .name = "farm",
    .uplinks = {{0, false, true, 7654, 1000, 2000}, {3, true, false, 4567, 18000, 0}},
    .uplink_count = 2,
};

static size_t encode(const struct plait_announce *a, uint8_t out[PLAIT_ANNOUNCE_BYTES_MAX])
{
    int len = plait_announce_encode(a, out);

    assert_true(len > 0);
    memset(out + len, 0x55, PLAIT_ANNOUNCE_MAC_BYTES);
    return (size_t)len + PLAIT_ANNOUNCE_MAC_BYTES;
}

static void comes_back(void **state)
{
    uint8_t bytes[PLAIT_ANNOUNCE_BYTES_MAX];
    struct plait_announce got;
    size_t len = encode(&whole, bytes);

    (void)state;
    assert_int_equal(plait_announce_decode(bytes, len, &got), PLAIT_OK);
    assert_int_equal(got.kind, whole.kind);
    assert_true(got.instance == whole.instance && got.stamp == whole.stamp && got.echo == whole.echo &&
                got.to == whole.to && got.hub == whole.hub);
    assert_int_equal(got.hub_port, whole.hub_port);
    assert_string_equal(got.name, whole.name);
    assert_int_equal(got.uplink_count, whole.uplink_count);
    assert_true(plait_announce_uplinks_equal(got.uplinks, whole.uplinks, whole.uplink_count));
}

static void layout_is_as_written(void **state)
{
    static const uint8_t start[] = {5, 1, 1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 77};
    uint8_t bytes[PLAIT_ANNOUNCE_BYTES_MAX];

    (void)state;
    assert_int_equal(encode(&whole, bytes), 46 + 1 + 4 + 1 + 2 * 12 + 16);
    assert_memory_equal(bytes, start, sizeof start);
    assert_memory_equal(bytes + 46, "\4farm\2\0\2\x1d\xe6\0\0\x03\xe8", 14);
}

static void every_shorter_one_is_refused(void **state)
{
    uint8_t bytes[PLAIT_ANNOUNCE_BYTES_MAX];
    struct plait_announce got;
    size_t len = encode(&whole, bytes);

    (void)state;
    for (size_t n = 0; n < len; n++)
        assert_int_equal(plait_announce_decode(bytes, n, &got), PLAIT_ERR_TRUNC);
}

static void what_is_behind_is_left_out(void **state)
{
    uint8_t bytes[PLAIT_ANNOUNCE_BYTES_MAX + 1] = {0};
    struct plait_announce got;

    (void)state;
    encode(&whole, bytes);
    assert_int_equal(plait_announce_decode(bytes, PLAIT_ANNOUNCE_BYTES_MAX, &got), PLAIT_OK);
    assert_int_equal(plait_announce_decode(bytes, sizeof bytes, &got), PLAIT_ERR_LIMIT);
}

static void what_cannot_be_is_refused(void **state)
{
    uint8_t bytes[PLAIT_ANNOUNCE_BYTES_MAX];
    struct plait_announce got, a = whole;
    size_t len = encode(&a, bytes);

    (void)state;
    bytes[46 + 1 + 4 + 1 + 2] = bytes[46 + 1 + 4 + 1 + 3] = 0; /* the first port */
    assert_int_equal(plait_announce_decode(bytes, len, &got), PLAIT_ERR_RANGE);
    len = encode(&a, bytes);
    bytes[46 + 1 + 4 + 1] = 3; /* the id of the second */
    assert_int_equal(plait_announce_decode(bytes, len, &got), PLAIT_ERR_RANGE);
    len = encode(&a, bytes);
    bytes[48] = ' ';
    assert_int_equal(plait_announce_decode(bytes, len, &got), PLAIT_ERR_FORMAT);
    for (size_t i = 0; i < 3; i++) {
        len = encode(&a, bytes);
        bytes[i] = 9;
        assert_int_equal(plait_announce_decode(bytes, len, &got), PLAIT_ERR_FORMAT);
    }
}

static void writes_nothing_that_cannot_be(void **state)
{
    uint8_t bytes[PLAIT_ANNOUNCE_BYTES_MAX];
    struct plait_announce a = whole;

    (void)state;
    a.name[0] = '\0';
    assert_int_equal(plait_announce_encode(&a, bytes), PLAIT_ERR_ARG);
    a = whole;
    a.uplinks[1].id = 0;
    assert_int_equal(plait_announce_encode(&a, bytes), PLAIT_ERR_ARG);
    a = whole;
    a.uplink_count = PLAIT_ANNOUNCE_UPLINKS_MAX + 1;
    assert_int_equal(plait_announce_encode(&a, bytes), PLAIT_ERR_ARG);
}

static void what_it_has_upward_is_behind_the_uplinks(void **state)
{
    uint8_t bytes[PLAIT_ANNOUNCE_BYTES_MAX];
    struct plait_announce got, a = whole;
    size_t before = encode(&a, bytes), len;

    (void)state;
    a.up = 0x00010203;
    len = encode(&a, bytes);
    assert_int_equal(len, before + 4);
    assert_memory_equal(bytes + len - 20, "\0\1\2\3", 4);
    assert_int_equal(plait_announce_decode(bytes, len, &got), PLAIT_OK);
    assert_int_equal(got.up, a.up);
    assert_int_equal(plait_announce_decode(bytes, len - 1, &got),
                     PLAIT_OK); /* something else, of three bytes */
    assert_int_equal(got.up, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back),
        cmocka_unit_test(layout_is_as_written),
        cmocka_unit_test(every_shorter_one_is_refused),
        cmocka_unit_test(what_is_behind_is_left_out),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(what_it_has_upward_is_behind_the_uplinks),
        cmocka_unit_test(writes_nothing_that_cannot_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
