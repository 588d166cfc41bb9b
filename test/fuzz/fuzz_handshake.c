/*
 * The first byte says what the rest is: a datagram (type 1 to 4 by its own first byte), the body of an initiation, or
 * that of a response. What is decoded is written again and has to be the same bytes.
 */
#include "handshake.h"

#include <string.h>

#include "fuzz.h"

static void check_view(const uint8_t *data, size_t size, const uint8_t *view, size_t len)
{
    FUZZ_CHECK(view >= data && view + len <= data + size);
}

static void try_handshake(const uint8_t *data, size_t size)
{
    uint8_t head[PLAIT_HANDSHAKE_HEAD_BYTES];
    struct plait_handshake h;

    if (plait_handshake_decode(data, size, &h) != PLAIT_OK)
        return;
    plait_handshake_encode_head(h.type, h.index, head);
    FUZZ_CHECK(memcmp(head, data, sizeof head) == 0 && size <= PLAIT_HANDSHAKE_BYTES_MAX);
    check_view(data, size, h.noise, h.noise_len);
    check_view(data, size, h.mac1, PLAIT_HANDSHAKE_MAC_BYTES);
    FUZZ_CHECK(h.mac1 == h.noise + h.noise_len);
    FUZZ_CHECK((h.mac2 != NULL) == (h.type == PLAIT_ENVELOPE_INITIATION));
    if (h.mac2 != NULL)
        FUZZ_CHECK(h.mac2 + PLAIT_HANDSHAKE_MAC_BYTES == data + size);
}

static void try_cookie(const uint8_t *data, size_t size)
{
    struct plait_cookie_reply c;

    if (plait_cookie_reply_decode(data, size, &c) != PLAIT_OK)
        return;
    FUZZ_CHECK(size == PLAIT_HANDSHAKE_COOKIE_BYTES);
    check_view(data, size, c.nonce, 24);
    check_view(data, size, c.sealed, 32);
}

static void try_envelope(const uint8_t *data, size_t size)
{
    uint8_t out[PLAIT_ENVELOPE_BYTES];
    struct plait_envelope e;

    if (plait_envelope_decode(data, size, &e) != PLAIT_OK)
        return;
    plait_envelope_encode(&e, out);
    FUZZ_CHECK(memcmp(out, data, sizeof out) == 0);
}

static void try_initiation_body(const uint8_t *data, size_t size)
{
    uint8_t out[PLAIT_INITIATION_BODY_MAX];
    struct plait_initiation_body b;

    if (plait_initiation_body_decode(data, size, &b) != PLAIT_OK)
        return;
    check_view(data, size, b.hello, b.hello_len);
    FUZZ_CHECK(plait_initiation_body_encode(&b, out, sizeof out) == (int)size &&
               memcmp(out, data, size) == 0);
}

static void try_response_body(const uint8_t *data, size_t size)
{
    uint8_t out[PLAIT_RESPONSE_BODY_MAX];
    struct plait_response_body b;

    if (plait_response_body_decode(data, size, &b) != PLAIT_OK)
        return;
    check_view(data, size, b.hello, b.hello_len);
    FUZZ_CHECK(plait_response_body_encode(&b, out, sizeof out) == (int)size && memcmp(out, data, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    uint8_t what = data[0] % 3;
    data++;
    size--;
    if (what == 0) {
        try_handshake(data, size);
        try_cookie(data, size);
        try_envelope(data, size);
    } else if (what == 1) {
        try_initiation_body(data, size);
    } else {
        try_response_body(data, size);
    }
    return 0;
}
