#include "inner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define SEED 42

static uint16_t sum_of(const uint8_t *b, size_t len)
{
    uint32_t sum = 0;

    for (size_t i = 0; i + 1 < len; i += 2)
        sum += (uint32_t)(b[i] << 8 | b[i + 1]);
    while (sum > 0xffff)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/* An IPv4 packet of `len` bytes between two ports, with a right header checksum. */
static void make4(uint8_t *b, size_t len, uint8_t protocol, uint16_t from, uint16_t to)
{
    memset(b, 0, len);
    b[0] = 0x45;
    b[2] = (uint8_t)(len >> 8);
    b[3] = (uint8_t)len;
    b[8] = 64;
    b[9] = protocol;
    b[12] = 10;
    b[16] = 192;
    uint16_t sum = (uint16_t)~sum_of(b, 20);
    b[10] = (uint8_t)(sum >> 8);
    b[11] = (uint8_t)sum;
    b[20] = (uint8_t)(from >> 8);
    b[21] = (uint8_t)from;
    b[22] = (uint8_t)(to >> 8);
    b[23] = (uint8_t)to;
}

static void make6(uint8_t *b, size_t len, uint8_t protocol, uint16_t from, uint16_t to)
{
    memset(b, 0, len);
    b[0] = 0x60;
    b[4] = (uint8_t)((len - 40) >> 8);
    b[5] = (uint8_t)(len - 40);
    b[6] = protocol;
    b[8] = 0xfd;
    b[24] = 0xfd;
    b[39] = 1;
    b[40] = (uint8_t)(from >> 8);
    b[41] = (uint8_t)from;
    b[42] = (uint8_t)(to >> 8);
    b[43] = (uint8_t)to;
}

static void test_flows_are_told_apart(void **state)
{
    uint8_t b[100];
    struct plait_inner one, same, other, six;

    (void)state;
    make4(b, 100, 17, 1000, 2000);
    assert_int_equal(plait_inner_parse(b, 100, SEED, &one), PLAIT_OK);
    b[60] = 9; /* payload */
    assert_int_equal(plait_inner_parse(b, 100, SEED, &same), PLAIT_OK);
    make4(b, 100, 17, 1001, 2000);
    assert_int_equal(plait_inner_parse(b, 100, SEED, &other), PLAIT_OK);
    make6(b, 100, 17, 1000, 2000);
    assert_int_equal(plait_inner_parse(b, 100, SEED, &six), PLAIT_OK);
    assert_int_equal(one.hash, same.hash);
    assert_int_not_equal(one.hash, other.hash);
    assert_int_not_equal(one.hash, six.hash);
    assert_int_equal(plait_inner_parse(b, 100, SEED + 1, &other), PLAIT_OK);
    assert_int_not_equal(six.hash, other.hash);
}

static void test_fragments_of_a_packet_share_a_flow(void **state)
{
    uint8_t b[100];
    struct plait_inner first, second;

    (void)state;
    make4(b, 100, 17, 1000, 2000);
    b[6] = 0x20; /* more follow */
    assert_int_equal(plait_inner_parse(b, 100, SEED, &first), PLAIT_OK);
    make4(b, 100, 17, 0x1234, 0x5678); /* not ports any more */
    b[7] = 0x0a;
    assert_int_equal(plait_inner_parse(b, 100, SEED, &second), PLAIT_OK);
    assert_int_equal(first.hash, second.hash);
}

static void test_what_is_urgent(void **state)
{
    uint8_t b[400];
    struct plait_inner in;

    (void)state;
    make4(b, 60, 6, 1000, 80);
    b[32] = 0xa0;
    b[33] = 0x02;
    assert_int_equal(plait_inner_parse(b, 60, SEED, &in), PLAIT_OK);
    assert_true(in.urgent && !in.pure_ack);
    b[33] = 0x10;
    assert_int_equal(plait_inner_parse(b, 60, SEED, &in), PLAIT_OK);
    assert_true(!in.urgent && in.pure_ack);
    b[33] = 0x11; /* FIN */
    assert_int_equal(plait_inner_parse(b, 60, SEED, &in), PLAIT_OK);
    assert_false(in.pure_ack);
    make4(b, 61, 6, 1000, 80);
    b[32] = 0xa0;
    b[33] = 0x10;
    assert_int_equal(plait_inner_parse(b, 61, SEED, &in), PLAIT_OK);
    assert_false(in.pure_ack);
    make4(b, 60, 17, 1000, 53);
    assert_int_equal(plait_inner_parse(b, 60, SEED, &in), PLAIT_OK);
    assert_true(in.urgent);
    make6(b, 84, 58, 0x8000, 0);
    assert_int_equal(plait_inner_parse(b, 84, SEED, &in), PLAIT_OK);
    assert_true(in.urgent);
    make4(b, 400, 1, 0x0800, 0);
    assert_int_equal(plait_inner_parse(b, 400, SEED, &in), PLAIT_OK);
    assert_false(in.urgent);
}

static bool carries(const uint8_t *bytes, size_t len)
{
    struct plait_inner in;

    assert_int_equal(plait_inner_parse(bytes, len, SEED, &in), PLAIT_OK);
    return in.carries;
}

static void test_what_carries_a_stream(void **state)
{
    uint8_t b[400];

    (void)state;
    make4(b, 60, 6, 1000, 80);
    b[32] = 0xa0;
    b[33] = 0x10;
    assert_false(carries(b, 60)); /* acknowledges, no more */
    b[33] = 0x02;
    assert_true(carries(b, 60)); /* its round trip is remembered */
    make4(b, 400, 17, 1000, 443);
    assert_true(carries(b, 400));
    make6(b, 400, 17, 443, 1000);
    assert_true(carries(b, 400));
    make4(b, 70, 17, 1000, 443);
    assert_false(carries(b, 70));
    make4(b, 400, 17, 1000, 444);
    assert_false(carries(b, 400));
    make4(b, 400, 1, 0x0800, 443);
    assert_false(carries(b, 400));
}

static void test_what_is_no_packet(void **state)
{
    uint8_t b[100] = {0};
    struct plait_inner in;

    (void)state;
    assert_int_equal(plait_inner_parse(b, 0, SEED, &in), PLAIT_ERR_FORMAT);
    make4(b, 100, 17, 1, 2);
    for (size_t len = 0; len < 100; len++)
        assert_int_equal(plait_inner_parse(b, len, SEED, &in), PLAIT_ERR_FORMAT);
    b[0] = 0x41; /* a header of four bytes */
    assert_int_equal(plait_inner_parse(b, 100, SEED, &in), PLAIT_ERR_FORMAT);
    b[0] = 0x75;
    assert_int_equal(plait_inner_parse(b, 100, SEED, &in), PLAIT_ERR_FORMAT);
    make6(b, 100, 17, 1, 2);
    for (size_t len = 0; len < 100; len++)
        assert_int_equal(plait_inner_parse(b, len, SEED, &in), PLAIT_ERR_FORMAT);
}

static void test_short_transport_headers_are_not_read(void **state)
{
    uint8_t b[24];
    struct plait_inner in;

    (void)state;
    for (size_t len = 20; len <= 24; len++) {
        uint8_t whole[24];
        make4(whole, 24, 6, 1, 2);
        whole[3] = (uint8_t)len;
        memcpy(b + 24 - len, whole, len);
        assert_int_equal(plait_inner_parse(b + 24 - len, len, SEED, &in), PLAIT_OK);
    }
}

static void test_ecn_is_seen_and_marked(void **state)
{
    uint8_t b[100];
    struct plait_inner in;

    (void)state;
    for (uint8_t ecn = 0; ecn < 4; ecn++) {
        for (unsigned tos = 0; tos < 256; tos += 4) {
            make4(b, 100, 17, 1, 2);
            b[1] = (uint8_t)(tos | ecn);
            b[10] = b[11] = 0;
            uint16_t sum = (uint16_t)~sum_of(b, 20);
            b[10] = (uint8_t)(sum >> 8);
            b[11] = (uint8_t)sum;
            assert_int_equal(plait_inner_parse(b, 100, SEED, &in), PLAIT_OK);
            assert_int_equal(in.ecn, ecn != 0);
            if (!in.ecn)
                continue;
            plait_inner_mark(b);
            assert_int_equal(b[1], tos | 3);
            assert_int_equal(sum_of(b, 20), 0xffff);
        }
    }
    make6(b, 100, 17, 1, 2);
    b[1] = 0x20;
    assert_int_equal(plait_inner_parse(b, 100, SEED, &in), PLAIT_OK);
    assert_true(in.ecn);
    plait_inner_mark(b);
    assert_int_equal(b[1], 0x30);
    assert_int_equal(b[0], 0x60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flows_are_told_apart),
        cmocka_unit_test(test_fragments_of_a_packet_share_a_flow),
        cmocka_unit_test(test_what_is_urgent),
        cmocka_unit_test(test_what_carries_a_stream),
        cmocka_unit_test(test_what_is_no_packet),
        cmocka_unit_test(test_short_transport_headers_are_not_read),
        cmocka_unit_test(test_ecn_is_seen_and_marked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
