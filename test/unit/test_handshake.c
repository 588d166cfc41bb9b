/* Layouts of the handshake's datagrams, and what no decoder takes. */
#include "handshake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "units.h"

static void the_layout_of_the_page(void **state)
{
    uint8_t d[PLAIT_INITIATION_FRAME_BYTES + PLAIT_INITIATION_BODY_MIN];
    struct plait_handshake h;

    (void)state;
    for (size_t i = 0; i < sizeof d; i++)
        d[i] = (uint8_t)i;
    plait_handshake_encode_head(PLAIT_ENVELOPE_INITIATION, 0x01020304, d);
    assert_memory_equal(d, "\1\1\0\0\1\2\3\4", 8);
    assert_int_equal(plait_handshake_decode(d, sizeof d, &h), PLAIT_OK);
    assert_int_equal(h.type, PLAIT_ENVELOPE_INITIATION);
    assert_int_equal(h.index, 0x01020304);
    assert_ptr_equal(h.noise, d + 8);
    assert_int_equal(h.noise_len, 32 + 48 + PLAIT_INITIATION_BODY_MIN + 16);
    assert_ptr_equal(h.mac1, d + sizeof d - 32);
    assert_ptr_equal(h.mac2, d + sizeof d - 16);
    size_t len = PLAIT_RESPONSE_FRAME_BYTES + PLAIT_RESPONSE_BODY_MIN;
    plait_handshake_encode_head(PLAIT_ENVELOPE_RESPONSE, 7, d);
    assert_int_equal(plait_handshake_decode(d, len, &h), PLAIT_OK);
    assert_ptr_equal(h.mac1, d + len - 16);
    assert_null(h.mac2);
    assert_int_equal(h.noise_len, 32 + PLAIT_RESPONSE_BODY_MIN + 16);
}

static void bounds(void **state)
{
    uint8_t d[PLAIT_HANDSHAKE_BYTES_MAX + 1] = {0};
    struct plait_handshake h = {.index = 77};

    (void)state;
    assert_true(PLAIT_HANDSHAKE_BYTES_MAX <= 1280 - 48);
    plait_handshake_encode_head(PLAIT_ENVELOPE_INITIATION, 1, d);
    for (size_t len = 0; len <= sizeof d; len++) {
        int expected = len < PLAIT_INITIATION_FRAME_BYTES + PLAIT_INITIATION_BODY_MIN ? PLAIT_ERR_TRUNC
                       : len > PLAIT_HANDSHAKE_BYTES_MAX                              ? PLAIT_ERR_LIMIT
                                                                                      : PLAIT_OK;
        assert_int_equal(plait_handshake_decode(d, len, &h), expected);
        if (expected == PLAIT_ERR_TRUNC)
            assert_int_equal(h.index, 77);
    }
    plait_handshake_encode_head(PLAIT_ENVELOPE_RESPONSE, 1, d);
    for (size_t len = 0; len <= sizeof d; len++)
        assert_int_equal(plait_handshake_decode(d, len, &h),
                         len < PLAIT_RESPONSE_FRAME_BYTES + PLAIT_RESPONSE_BODY_MIN   ? PLAIT_ERR_TRUNC
                         : len > PLAIT_RESPONSE_FRAME_BYTES + PLAIT_RESPONSE_BODY_MAX ? PLAIT_ERR_LIMIT
                                                                                      : PLAIT_OK);
}

static void heads(void **state)
{
    static const struct {
        uint8_t head[4];
        int err;
    } rows[] = {
        {{0, 1, 0, 0}, PLAIT_ERR_FORMAT},   {{4, 1, 0, 0}, PLAIT_ERR_FORMAT},
        {{255, 1, 0, 0}, PLAIT_ERR_FORMAT}, {{3, 1, 0, 0}, PLAIT_ERR_FORMAT},
        {{1, 0, 0, 0}, PLAIT_ERR_RANGE},    {{1, 2, 0, 0}, PLAIT_ERR_RANGE},
        {{1, 1, 1, 0}, PLAIT_ERR_FORMAT},   {{1, 1, 0, 1}, PLAIT_ERR_FORMAT},
        {{1, 1, 0, 0}, PLAIT_OK},
    };
    uint8_t d[PLAIT_INITIATION_FRAME_BYTES + PLAIT_INITIATION_BODY_MIN] = {0};
    struct plait_handshake h;

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        memcpy(d, rows[i].head, 4);
        assert_int_equal(plait_handshake_decode(d, sizeof d, &h), rows[i].err);
    }
}

static void cookie_replies(void **state)
{
    uint8_t d[PLAIT_HANDSHAKE_COOKIE_BYTES + 1] = {0};
    struct plait_cookie_reply c;

    (void)state;
    plait_handshake_encode_head(PLAIT_ENVELOPE_COOKIE, 9, d);
    for (size_t len = 0; len <= sizeof d; len++)
        assert_int_equal(plait_cookie_reply_decode(d, len, &c), len < 64    ? PLAIT_ERR_TRUNC
                                                                : len == 64 ? PLAIT_OK
                                                                            : PLAIT_ERR_LIMIT);
    assert_int_equal(plait_cookie_reply_decode(d, 64, &c), PLAIT_OK);
    assert_int_equal(c.receiver, 9);
    assert_ptr_equal(c.nonce, d + 8);
    assert_ptr_equal(c.sealed, d + 32);
    plait_handshake_encode_head(PLAIT_ENVELOPE_RESPONSE, 9, d);
    assert_int_equal(plait_cookie_reply_decode(d, 64, &c), PLAIT_ERR_FORMAT);
}

static void initiation_bodies(void **state)
{
    static const uint8_t expected[] = {0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0,   0,  0,
                                       0, 0, 6, 2, 1, 1, 0, 3, 0, 9, 'h', 'i'};
    struct plait_initiation_body b = {5, 6, {{1, 256}, {3, 9}}, 2, (const uint8_t *)"hi", 2}, back;
    uint8_t out[PLAIT_INITIATION_BODY_MAX + 1] = {0};

    (void)state;
    assert_int_equal(plait_initiation_body_encode(&b, out, sizeof out), sizeof expected);
    assert_memory_equal(out, expected, sizeof expected);
    assert_int_equal(plait_initiation_body_encode(&b, out, sizeof expected - 1), PLAIT_ERR_LIMIT);
    assert_int_equal(plait_initiation_body_decode(expected, sizeof expected, &back), PLAIT_OK);
    assert_int_equal(back.stamp, 5);
    assert_int_equal(back.instance, 6);
    assert_int_equal(back.offer_count, 2);
    assert_int_equal(back.offers[1].mb_per_s, 9);
    assert_int_equal(back.hello_len, 2);
    for (size_t len = 0; len < 23; len++)
        assert_int_equal(plait_initiation_body_decode(expected, len, &back), PLAIT_ERR_TRUNC);
    assert_int_equal(plait_initiation_body_decode(expected, 23, &back), PLAIT_OK);
    assert_int_equal(back.hello_len, 0);
    out[16] = PLAIT_HANDSHAKE_OFFERS_MAX + 1;
    assert_int_equal(plait_initiation_body_decode(out, 200, &back), PLAIT_ERR_LIMIT);
    out[16] = 0;
    assert_int_equal(plait_initiation_body_decode(out, 17 + PLAIT_HANDSHAKE_HELLO_MAX, &back), PLAIT_OK);
    assert_int_equal(plait_initiation_body_decode(out, 18 + PLAIT_HANDSHAKE_HELLO_MAX, &back),
                     PLAIT_ERR_LIMIT);
    b.hello_len = PLAIT_HANDSHAKE_HELLO_MAX + 1;
    assert_int_equal(plait_initiation_body_encode(&b, out, sizeof out), PLAIT_ERR_LIMIT);
}

static void response_bodies(void **state)
{
    static const uint8_t expected[] = {1, 3, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 4, 'x'};
    struct plait_response_body b = {PLAIT_RESPONSE_STALE, 3, 256, 2, 4, (const uint8_t *)"x", 1}, back;
    uint8_t out[64], bad[sizeof expected];

    (void)state;
    assert_int_equal(plait_response_body_encode(&b, out, sizeof out), sizeof expected);
    assert_memory_equal(out, expected, sizeof expected);
    for (size_t len = 0; len < 22; len++)
        assert_int_equal(plait_response_body_decode(expected, len, &back), PLAIT_ERR_TRUNC);
    assert_int_equal(plait_response_body_decode(expected, sizeof expected, &back), PLAIT_OK);
    assert_int_equal(back.status, PLAIT_RESPONSE_STALE);
    assert_int_equal(back.index, 256);
    assert_int_equal(back.stamp, 4);
    memcpy(bad, expected, sizeof bad);
    bad[0] = 2;
    assert_int_equal(plait_response_body_decode(bad, sizeof bad, &back), PLAIT_ERR_RANGE);
    b.status = (enum plait_response_status)2;
    assert_int_equal(plait_response_body_encode(&b, out, sizeof out), PLAIT_ERR_ARG);
}

static void envelopes(void **state)
{
    static const uint8_t expected[] = {4, 3, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 1};
    static const uint8_t nonce[] = {0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 2, 1};
    const struct plait_envelope e = {3, 256, 513};
    struct plait_envelope back;
    uint8_t out[40] = {0};

    (void)state;
    plait_envelope_encode(&e, out);
    assert_memory_equal(out, expected, sizeof expected);
    assert_int_equal(plait_envelope_decode(out, 29, &back), PLAIT_ERR_TRUNC);
    assert_int_equal(plait_envelope_decode(out, 30, &back), PLAIT_OK);
    assert_int_equal(back.path, 3);
    assert_int_equal(back.receiver, 256);
    assert_int_equal(back.path_seq, 513);
    plait_envelope_nonce(&e, out);
    assert_memory_equal(out, nonce, sizeof nonce);
    out[0] = 5;
    assert_int_equal(plait_envelope_decode(out, 40, &back), PLAIT_ERR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_layout_of_the_page),
        cmocka_unit_test(bounds),
        cmocka_unit_test(heads),
        cmocka_unit_test(cookie_replies),
        cmocka_unit_test(initiation_bodies),
        cmocka_unit_test(response_bodies),
        cmocka_unit_test(envelopes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
