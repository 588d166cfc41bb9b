#include "handshake.h"

#include "cursor.h"

void plait_handshake_encode_head(enum plait_envelope_type type, uint32_t index,
                                 uint8_t out[PLAIT_HANDSHAKE_HEAD_BYTES])
{
    struct plait_writer w;

    plait_writer_init(&w, out, PLAIT_HANDSHAKE_HEAD_BYTES);
    plait_write_u8(&w, (uint8_t)type);
    plait_write_u8(&w, PLAIT_HANDSHAKE_VERSION);
    plait_write_u16(&w, 0);
    plait_write_u32(&w, index);
}

static int read_head(struct plait_reader *r, uint8_t *type, uint32_t *index)
{
    *type = plait_read_u8(r);
    uint8_t version = plait_read_u8(r);
    uint16_t reserved = plait_read_u16(r);
    *index = plait_read_u32(r);
    if (r->bad)
        return PLAIT_ERR_TRUNC;
    if (*type < PLAIT_ENVELOPE_INITIATION || *type > PLAIT_ENVELOPE_COOKIE)
        return PLAIT_ERR_FORMAT;
    if (version != PLAIT_HANDSHAKE_VERSION)
        return PLAIT_ERR_RANGE;
    return reserved == 0 ? PLAIT_OK : PLAIT_ERR_FORMAT;
}

static int check_length(enum plait_envelope_type type, size_t len)
{
    size_t min = PLAIT_RESPONSE_FRAME_BYTES + PLAIT_RESPONSE_BODY_MIN,
           max = PLAIT_RESPONSE_FRAME_BYTES + PLAIT_RESPONSE_BODY_MAX;

    if (type == PLAIT_ENVELOPE_INITIATION) {
        min = PLAIT_INITIATION_FRAME_BYTES + PLAIT_INITIATION_BODY_MIN;
        max = PLAIT_INITIATION_FRAME_BYTES + PLAIT_INITIATION_BODY_MAX;
    }
    return len < min ? PLAIT_ERR_TRUNC : len > max ? PLAIT_ERR_LIMIT : PLAIT_OK;
}

int plait_handshake_decode(const uint8_t *bytes, size_t len, struct plait_handshake *out)
{
    struct plait_handshake h;
    struct plait_reader r;
    uint8_t type;

    plait_reader_init(&r, bytes, len);
    int err = read_head(&r, &type, &h.index);
    if (err != PLAIT_OK)
        return err;
    if (type == PLAIT_ENVELOPE_COOKIE)
        return PLAIT_ERR_FORMAT;
    h.type = (enum plait_envelope_type)type;
    err = check_length(h.type, len);
    if (err != PLAIT_OK)
        return err;
    size_t macs = h.type == PLAIT_ENVELOPE_INITIATION ? 2 : 1;
    h.noise_len = plait_reader_left(&r) - macs * PLAIT_HANDSHAKE_MAC_BYTES;
    h.noise = plait_read_bytes(&r, h.noise_len);
    h.mac1 = plait_read_bytes(&r, PLAIT_HANDSHAKE_MAC_BYTES);
    h.mac2 = macs == 2 ? plait_read_bytes(&r, PLAIT_HANDSHAKE_MAC_BYTES) : NULL;
    *out = h;
    return PLAIT_OK;
}

int plait_cookie_reply_decode(const uint8_t *bytes, size_t len, struct plait_cookie_reply *out)
{
    struct plait_cookie_reply c;
    struct plait_reader r;
    uint8_t type;

    plait_reader_init(&r, bytes, len);
    int err = read_head(&r, &type, &c.receiver);
    if (err != PLAIT_OK)
        return err;
    if (type != PLAIT_ENVELOPE_COOKIE)
        return PLAIT_ERR_FORMAT;
    c.nonce = plait_read_bytes(&r, 24);
    c.sealed = plait_read_bytes(&r, 32);
    if (r.bad)
        return PLAIT_ERR_TRUNC;
    if (plait_reader_left(&r) > 0)
        return PLAIT_ERR_LIMIT;
    *out = c;
    return PLAIT_OK;
}

int plait_initiation_body_encode(const struct plait_initiation_body *b, uint8_t *out, size_t size)
{
    struct plait_writer w;

    if (b->offer_count > PLAIT_HANDSHAKE_OFFERS_MAX || b->hello_len > PLAIT_HANDSHAKE_HELLO_MAX)
        return PLAIT_ERR_LIMIT;
    plait_writer_init(&w, out, size);
    plait_write_u64(&w, b->stamp);
    plait_write_u64(&w, b->instance);
    plait_write_u8(&w, (uint8_t)b->offer_count);
    for (size_t i = 0; i < b->offer_count; i++) {
        plait_write_u8(&w, b->offers[i].aead);
        plait_write_u16(&w, b->offers[i].mb_per_s);
    }
    plait_write_bytes(&w, b->hello, b->hello_len);
    return w.bad ? PLAIT_ERR_LIMIT : (int)plait_writer_used(&w);
}

/* The rest of the body. */
static int read_hello(struct plait_reader *r, const uint8_t **hello, size_t *len)
{
    if (r->bad)
        return PLAIT_ERR_TRUNC;
    *len = plait_reader_left(r);
    *hello = plait_read_bytes(r, *len);
    return *len <= PLAIT_HANDSHAKE_HELLO_MAX ? PLAIT_OK : PLAIT_ERR_LIMIT;
}

int plait_initiation_body_decode(const uint8_t *bytes, size_t len, struct plait_initiation_body *out)
{
    struct plait_initiation_body b = {0};
    struct plait_reader r;

    plait_reader_init(&r, bytes, len);
    b.stamp = plait_read_u64(&r);
    b.instance = plait_read_u64(&r);
    b.offer_count = plait_read_u8(&r);
    if (b.offer_count > PLAIT_HANDSHAKE_OFFERS_MAX)
        return PLAIT_ERR_LIMIT;
    for (size_t i = 0; i < b.offer_count; i++) {
        b.offers[i].aead = plait_read_u8(&r);
        b.offers[i].mb_per_s = plait_read_u16(&r);
    }
    int err = read_hello(&r, &b.hello, &b.hello_len);
    if (err == PLAIT_OK)
        *out = b;
    return err;
}

int plait_response_body_encode(const struct plait_response_body *b, uint8_t *out, size_t size)
{
    struct plait_writer w;

    if (b->status != PLAIT_RESPONSE_OK && b->status != PLAIT_RESPONSE_STALE)
        return PLAIT_ERR_ARG;
    if (b->hello_len > PLAIT_HANDSHAKE_HELLO_MAX)
        return PLAIT_ERR_LIMIT;
    plait_writer_init(&w, out, size);
    plait_write_u8(&w, (uint8_t)b->status);
    plait_write_u8(&w, b->aead);
    plait_write_u32(&w, b->index);
    plait_write_u64(&w, b->instance);
    plait_write_u64(&w, b->stamp);
    plait_write_bytes(&w, b->hello, b->hello_len);
    return w.bad ? PLAIT_ERR_LIMIT : (int)plait_writer_used(&w);
}

int plait_response_body_decode(const uint8_t *bytes, size_t len, struct plait_response_body *out)
{
    struct plait_response_body b;
    struct plait_reader r;

    plait_reader_init(&r, bytes, len);
    uint8_t status = plait_read_u8(&r);
    b.aead = plait_read_u8(&r);
    b.index = plait_read_u32(&r);
    b.instance = plait_read_u64(&r);
    b.stamp = plait_read_u64(&r);
    int err = read_hello(&r, &b.hello, &b.hello_len);
    if (err != PLAIT_OK)
        return err;
    if (status > PLAIT_RESPONSE_STALE)
        return PLAIT_ERR_RANGE;
    b.status = (enum plait_response_status)status;
    *out = b;
    return PLAIT_OK;
}
