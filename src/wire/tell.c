#include "tell.h"

#include <math.h>

#include "cursor.h"

#define LOSS_UNIT 65535.0

static uint16_t loss_of(double loss)
{
    return loss <= 0 ? 0 : loss >= 1 ? UINT16_MAX : (uint16_t)lround(loss * LOSS_UNIT);
}

int plait_tell_encode(const struct plait_tell *t, uint8_t out[PLAIT_TELL_BYTES_MAX])
{
    struct plait_writer w;

    if (t->path_count > PLAIT_TELL_PATHS_MAX)
        return PLAIT_ERR_ARG;
    plait_writer_init(&w, out, PLAIT_TELL_BYTES_MAX);
    plait_write_u8(&w, (uint8_t)t->kind);
    if (t->kind != PLAIT_TELL_PATHS)
        return (int)plait_writer_used(&w);
    plait_write_u8(&w, (uint8_t)t->path_count);
    for (size_t i = 0; i < t->path_count; i++) {
        const struct plait_tell_path *p = &t->paths[i];
        plait_write_u8(&w, p->path);
        plait_write_u8(&w, p->state);
        plait_write_u64(&w, p->capacity);
        plait_write_u32(&w, p->queue_us);
        plait_write_u16(&w, loss_of(p->loss));
        plait_write_u64(&w, p->rate);
    }
    return (int)plait_writer_used(&w);
}

static void read_path(struct plait_reader *r, struct plait_tell_path *out)
{
    out->path = plait_read_u8(r);
    out->state = plait_read_u8(r);
    out->capacity = plait_read_u64(r);
    out->queue_us = plait_read_u32(r);
    out->loss = plait_read_u16(r) / LOSS_UNIT;
    out->rate = plait_read_u64(r);
}

int plait_tell_decode(const uint8_t *bytes, size_t len, struct plait_tell *out)
{
    struct plait_tell t = {.kind = PLAIT_TELL_ASK};
    struct plait_reader r;

    plait_reader_init(&r, bytes, len);
    uint8_t kind = plait_read_u8(&r);
    if (r.bad)
        return PLAIT_ERR_TRUNC;
    if (kind < PLAIT_TELL_ASK || kind > PLAIT_TELL_LEAVE)
        return PLAIT_ERR_FORMAT;
    t.kind = (enum plait_tell_kind)kind;
    if (t.kind == PLAIT_TELL_PATHS) {
        t.path_count = plait_read_u8(&r);
        if (t.path_count > PLAIT_TELL_PATHS_MAX)
            return PLAIT_ERR_LIMIT;
        for (size_t i = 0; i < t.path_count; i++)
            read_path(&r, &t.paths[i]);
    }
    if (r.bad)
        return PLAIT_ERR_TRUNC;
    *out = t;
    return PLAIT_OK;
}
