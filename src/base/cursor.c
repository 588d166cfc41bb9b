#include "cursor.h"

#include <string.h>

void plait_reader_init(struct plait_reader *r, const void *bytes, size_t len)
{
    r->at = bytes;
    r->end = len > 0 ? r->at + len : r->at;
    r->bad = false;
}

size_t plait_reader_left(const struct plait_reader *r)
{
    return r->bad ? 0 : (size_t)(r->end - r->at);
}

const uint8_t *plait_read_bytes(struct plait_reader *r, size_t len)
{
    if (plait_reader_left(r) < len || r->bad) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *view = r->at;
    if (len > 0)
        r->at += len;
    return view;
}

static uint64_t read_be(struct plait_reader *r, size_t len)
{
    const uint8_t *p = plait_read_bytes(r, len);
    uint64_t v = 0;

    for (size_t i = 0; p != NULL && i < len; i++)
        v = v << 8 | p[i];
    return v;
}

uint8_t plait_read_u8(struct plait_reader *r)
{
    return (uint8_t)read_be(r, 1);
}

uint16_t plait_read_u16(struct plait_reader *r)
{
    return (uint16_t)read_be(r, 2);
}

uint32_t plait_read_u32(struct plait_reader *r)
{
    return (uint32_t)read_be(r, 4);
}

uint64_t plait_read_u64(struct plait_reader *r)
{
    return read_be(r, 8);
}

void plait_writer_init(struct plait_writer *w, void *bytes, size_t size)
{
    w->start = w->at = bytes;
    w->end = size > 0 ? w->at + size : w->at;
    w->bad = false;
}

size_t plait_writer_used(const struct plait_writer *w)
{
    return (size_t)(w->at - w->start);
}

void plait_write_bytes(struct plait_writer *w, const void *bytes, size_t len)
{
    if (w->bad || (size_t)(w->end - w->at) < len) {
        w->bad = true;
        return;
    }
    if (len > 0) {
        memcpy(w->at, bytes, len);
        w->at += len;
    }
}

static void write_be(struct plait_writer *w, uint64_t v, size_t len)
{
    uint8_t be[8];

    for (size_t i = 0; i < len; i++)
        be[i] = (uint8_t)(v >> (8 * (len - 1 - i)));
    plait_write_bytes(w, be, len);
}

void plait_write_u8(struct plait_writer *w, uint8_t v)
{
    write_be(w, v, 1);
}

void plait_write_u16(struct plait_writer *w, uint16_t v)
{
    write_be(w, v, 2);
}

void plait_write_u32(struct plait_writer *w, uint32_t v)
{
    write_be(w, v, 4);
}

void plait_write_u64(struct plait_writer *w, uint64_t v)
{
    write_be(w, v, 8);
}
