#include "datagram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_data_comes_back_as_it_went(void **state)
{
    const struct plait_datagram in = {
        .kind = PLAIT_DATAGRAM_DATA,
        .flags = PLAIT_DATAGRAM_AHEAD,
        .back = 7,
        .path_seq = 0xabcdef,
        .time = 0x123456,
        .flow = 1023,
        .flow_seq = 0x3fffff,
        .before = {1, PLAIT_DATAGRAM_PATH_UNSENT, PLAIT_DATAGRAM_PATH_UNKNOWN, 0}};
    uint8_t bytes[PLAIT_DATAGRAM_DATA_BYTES + 3] = {0};
    struct plait_datagram out;

    (void)state;
    assert_int_equal(plait_datagram_encode(&in, bytes), PLAIT_DATAGRAM_DATA_BYTES);
    memcpy(bytes + PLAIT_DATAGRAM_DATA_BYTES, "abc", 3);
    assert_int_equal(plait_datagram_decode(bytes, sizeof(bytes), &out), PLAIT_OK);
    assert_int_equal(out.kind, in.kind);
    assert_int_equal(out.flags, in.flags);
    assert_int_equal(out.back, in.back);
    assert_int_equal(out.path_seq, in.path_seq);
    assert_int_equal(out.time, in.time);
    assert_int_equal(out.flow, in.flow);
    assert_int_equal(out.flow_seq, in.flow_seq);
    assert_memory_equal(out.before, in.before, sizeof(in.before));
    assert_int_equal(out.body_len, 3);
    assert_memory_equal(out.body, "abc", 3);
}

static void test_layout_is_as_documented(void **state)
{
    static const uint8_t want[] = {0x12, 0x03, 0x01, 0x02, 0x03, 0x04, 0x05,
                                   0x06, 0x00, 0x40, 0x00, 0x09, 0x12, 0xef};
    const struct plait_datagram in = {.kind = PLAIT_DATAGRAM_DATA,
                                      .flags = PLAIT_DATAGRAM_AHEAD,
                                      .back = 3,
                                      .path_seq = 0x010203,
                                      .time = 0x040506,
                                      .flow = 1,
                                      .flow_seq = 9,
                                      .before = {1, 2, 14, 15}};
    uint8_t bytes[PLAIT_DATAGRAM_DATA_BYTES];

    (void)state;
    assert_int_equal(plait_datagram_encode(&in, bytes), sizeof(want));
    assert_memory_equal(bytes, want, sizeof(want));
}

static void test_fields_out_of_range_are_refused(void **state)
{
    const struct plait_datagram wrong[] = {
        {.kind = 0},
        {.kind = 9},
        {.kind = PLAIT_DATAGRAM_PROBE, .flags = 16},
        {.kind = PLAIT_DATAGRAM_PROBE, .path_seq = 1 << 24},
        {.kind = PLAIT_DATAGRAM_PROBE, .time = 1 << 24},
        {.kind = PLAIT_DATAGRAM_DATA, .flow = 1024},
        {.kind = PLAIT_DATAGRAM_DATA, .flow_seq = 1 << 22},
        {.kind = PLAIT_DATAGRAM_DATA, .before = {16}},
    };
    uint8_t bytes[PLAIT_DATAGRAM_DATA_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(plait_datagram_encode(&wrong[i], bytes), PLAIT_ERR_ARG);
}

static void test_what_is_cut_or_unknown_is_refused(void **state)
{
    const struct plait_datagram in = {.kind = PLAIT_DATAGRAM_DATA};
    uint8_t bytes[PLAIT_DATAGRAM_DATA_BYTES];
    struct plait_datagram out = {.flow = 77};

    (void)state;
    assert_true(plait_datagram_encode(&in, bytes) > 0);
    for (size_t len = 0; len < sizeof(bytes); len++)
        assert_int_equal(plait_datagram_decode(bytes, len, &out), PLAIT_ERR_TRUNC);
    bytes[0] = 0x00;
    assert_int_equal(plait_datagram_decode(bytes, sizeof(bytes), &out), PLAIT_ERR_FORMAT);
    bytes[0] = 0x90;
    assert_int_equal(plait_datagram_decode(bytes, sizeof(bytes), &out), PLAIT_ERR_FORMAT);
    assert_int_equal(out.flow, 77);
}

static void test_numbers_are_unwrapped(void **state)
{
    (void)state;
    assert_int_equal(plait_datagram_unwrap(0, 5, 24), 5);
    assert_int_equal(plait_datagram_unwrap(0, 0xffffff, 24), 0xffffff); /* never below zero */
    assert_int_equal(plait_datagram_unwrap(0x1000000, 0xffffff, 24), 0xffffff);
    assert_int_equal(plait_datagram_unwrap(0xffffff, 0, 24), 0x1000000);
    assert_int_equal(plait_datagram_unwrap(0x5000010, 0x000020, 24), 0x5000020);
    assert_int_equal(plait_datagram_unwrap(0x5fffff0, 0x000020, 24), 0x6000020);
    assert_int_equal(plait_datagram_unwrap(0x6000020, 0xfffff0, 24), 0x5fffff0);
    assert_int_equal(plait_datagram_unwrap(UINT64_C(0x1fffffff0), 3, 32), UINT64_C(0x200000003));
}

static void test_reports_follow_each_other(void **state)
{
    struct plait_datagram_report in[3] = {
        {.path = 0,
         .decided = 5,
         .newest = 9,
         .arrival = 77,
         .delay_min = 1,
         .delay_mean = 2,
         .bytes = 0xffffffff,
         .packets = 9},
        {.path = 13, .ranges_n = 2, .range = {{100, 3}, {50, 65535}}},
        {.path = 2, .ranges_n = PLAIT_DATAGRAM_RANGES_MAX},
    };
    uint8_t body[400];
    size_t used = 0, at = 0;
    struct plait_datagram_report out;

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(plait_datagram_report_append(body, sizeof(body), &used, &in[i]), PLAIT_OK);
    assert_int_equal(body[0], 3);
    assert_int_equal(used, 1 + 3 * PLAIT_DATAGRAM_REPORT_BYTES + (2 + 24) * PLAIT_DATAGRAM_RANGE_BYTES);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(plait_datagram_report_next(body, used, &at, &out), PLAIT_OK);
        assert_int_equal(out.path, in[i].path);
        assert_int_equal(out.bytes, in[i].bytes);
        assert_int_equal(out.decided, in[i].decided);
        assert_int_equal(out.delay_mean, in[i].delay_mean);
        assert_int_equal(out.ranges_n, in[i].ranges_n);
        for (unsigned k = 0; k < out.ranges_n; k++) {
            assert_int_equal(out.range[k].first, in[i].range[k].first);
            assert_int_equal(out.range[k].count, in[i].range[k].count);
        }
    }
    assert_int_equal(plait_datagram_report_next(body, used, &at, &out), PLAIT_ERR_NOTFOUND);
}

static void test_a_report_that_does_not_fit_changes_nothing(void **state)
{
    const struct plait_datagram_report r = {.path = 1};
    uint8_t body[1 + PLAIT_DATAGRAM_REPORT_BYTES + 10];
    size_t used = 0;

    (void)state;
    assert_int_equal(plait_datagram_report_append(body, sizeof(body), &used, &r), PLAIT_OK);
    assert_int_equal(plait_datagram_report_append(body, sizeof(body), &used, &r), PLAIT_ERR_LIMIT);
    assert_int_equal(used, 1 + PLAIT_DATAGRAM_REPORT_BYTES);
    assert_int_equal(body[0], 1);
}

static void test_cut_reports_are_refused(void **state)
{
    const struct plait_datagram_report r = {.path = 1, .ranges_n = 3};
    uint8_t body[100];
    size_t used = 0;
    struct plait_datagram_report out;

    (void)state;
    assert_int_equal(plait_datagram_report_append(body, sizeof(body), &used, &r), PLAIT_OK);
    for (size_t len = 0; len < used; len++) {
        size_t at = 0;
        assert_int_equal(plait_datagram_report_next(body, len, &at, &out),
                         len == 1 ? PLAIT_ERR_NOTFOUND : PLAIT_ERR_TRUNC);
        assert_int_equal(at, 0);
    }
    body[2] = PLAIT_DATAGRAM_RANGES_MAX + 1;
    size_t at = 0;
    assert_int_equal(plait_datagram_report_next(body, used, &at, &out), PLAIT_ERR_LIMIT);
}

static void test_probes(void **state)
{
    const struct plait_datagram_probe in = {
        .id = 7, .size = 1442, .echo = 0xfedcba, .train = 3, .train_len = 8};
    uint8_t bytes[PLAIT_DATAGRAM_PROBE_BYTES];
    struct plait_datagram_probe out;

    (void)state;
    plait_datagram_probe_encode(&in, bytes);
    assert_int_equal(plait_datagram_probe_decode(bytes, sizeof(bytes), &out), PLAIT_OK);
    assert_int_equal(out.id, in.id);
    assert_int_equal(out.size, in.size);
    assert_int_equal(out.echo, in.echo);
    assert_int_equal(out.train, in.train);
    assert_int_equal(out.train_len, in.train_len);
    assert_int_equal(plait_datagram_probe_decode(bytes, sizeof(bytes) - 1, &out), PLAIT_ERR_TRUNC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data_comes_back_as_it_went),
        cmocka_unit_test(test_layout_is_as_documented),
        cmocka_unit_test(test_fields_out_of_range_are_refused),
        cmocka_unit_test(test_what_is_cut_or_unknown_is_refused),
        cmocka_unit_test(test_numbers_are_unwrapped),
        cmocka_unit_test(test_reports_follow_each_other),
        cmocka_unit_test(test_a_report_that_does_not_fit_changes_nothing),
        cmocka_unit_test(test_cut_reports_are_refused),
        cmocka_unit_test(test_probes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
