#include "datagram.h"

#include "cursor.h"

#define FLAGS_MASK 0x0fu
#define U24_MAX    0xffffffu

static void write_u24(struct plait_writer *w, uint32_t v)
{
    plait_write_u8(w, (uint8_t)(v >> 16));
    plait_write_u16(w, (uint16_t)v);
}

static uint32_t read_u24(struct plait_reader *r)
{
    uint32_t high = plait_read_u8(r);

    return high << 16 | plait_read_u16(r);
}

size_t plait_datagram_header_bytes(enum plait_datagram_kind kind)
{
    return kind == PLAIT_DATAGRAM_DATA ? PLAIT_DATAGRAM_DATA_BYTES : PLAIT_DATAGRAM_COMMON_BYTES;
}

static bool is_encodable(const struct plait_datagram *d)
{
    if (d->kind < PLAIT_DATAGRAM_DATA || d->kind > PLAIT_DATAGRAM_PADDING || d->flags > FLAGS_MASK ||
        d->path_seq > U24_MAX || d->time > U24_MAX)
        return false;
    if (d->kind != PLAIT_DATAGRAM_DATA)
        return true;
    for (unsigned i = 0; i < PLAIT_DATAGRAM_BEFORE; i++)
        if (d->before[i] > PLAIT_DATAGRAM_PATH_UNKNOWN)
            return false;
    return d->flow < PLAIT_DATAGRAM_FLOWS && d->flow_seq >> PLAIT_DATAGRAM_FLOW_SEQ_BITS == 0;
}

int plait_datagram_encode(const struct plait_datagram *d, uint8_t out[PLAIT_DATAGRAM_DATA_BYTES])
{
    struct plait_writer w;

    if (!is_encodable(d))
        return PLAIT_ERR_ARG;
    plait_writer_init(&w, out, PLAIT_DATAGRAM_DATA_BYTES);
    plait_write_u8(&w, (uint8_t)((unsigned)d->kind << 4 | d->flags));
    plait_write_u8(&w, d->back);
    write_u24(&w, d->path_seq);
    write_u24(&w, d->time);
    if (d->kind == PLAIT_DATAGRAM_DATA) {
        plait_write_u32(&w, (uint32_t)d->flow << PLAIT_DATAGRAM_FLOW_SEQ_BITS | d->flow_seq);
        plait_write_u8(&w, (uint8_t)(d->before[0] << 4 | d->before[1]));
        plait_write_u8(&w, (uint8_t)(d->before[2] << 4 | d->before[3]));
    }
    return (int)plait_writer_used(&w);
}

int plait_datagram_decode(const void *bytes, size_t len, struct plait_datagram *out)
{
    struct plait_reader r;
    struct plait_datagram d = {0};

    plait_reader_init(&r, bytes, len);
    uint8_t first = plait_read_u8(&r);
    d.back = plait_read_u8(&r);
    d.path_seq = read_u24(&r);
    d.time = read_u24(&r);
    if (r.bad)
        return PLAIT_ERR_TRUNC;
    if (first >> 4 < PLAIT_DATAGRAM_DATA || first >> 4 > PLAIT_DATAGRAM_PADDING)
        return PLAIT_ERR_FORMAT;
    d.kind = (enum plait_datagram_kind)(first >> 4);
    d.flags = first & FLAGS_MASK;
    if (d.kind == PLAIT_DATAGRAM_DATA) {
        uint32_t place = plait_read_u32(&r);
        uint32_t before = plait_read_u16(&r);
        d.flow = (uint16_t)(place >> PLAIT_DATAGRAM_FLOW_SEQ_BITS);
        d.flow_seq = place & ((1u << PLAIT_DATAGRAM_FLOW_SEQ_BITS) - 1);
        for (unsigned i = 0; i < PLAIT_DATAGRAM_BEFORE; i++)
            d.before[i] = before >> (12 - 4 * i) & 0x0f;
    }
    if (r.bad)
        return PLAIT_ERR_TRUNC;
    d.body_len = plait_reader_left(&r);
    d.body = r.at;
    *out = d;
    return PLAIT_OK;
}

uint64_t plait_datagram_unwrap(uint64_t near, uint32_t value, unsigned bits)
{
    uint64_t span = UINT64_C(1) << bits;
    uint64_t whole = (near & ~(span - 1)) | (value & (span - 1));

    if (whole > near + span / 2 && whole >= span)
        return whole - span;
    return whole + span / 2 < near ? whole + span : whole;
}

/* ---- FEEDBACK ---- */

int plait_datagram_report_append(uint8_t *body, size_t room, size_t *used,
                                 const struct plait_datagram_report *r)
{
    struct plait_writer w;
    size_t at = *used > 0 ? *used : 1;
    size_t need = PLAIT_DATAGRAM_REPORT_BYTES + PLAIT_DATAGRAM_RANGE_BYTES * (size_t)r->ranges_n;

    if (r->ranges_n > PLAIT_DATAGRAM_RANGES_MAX || at + need > room || (*used > 0 && body[0] == UINT8_MAX))
        return PLAIT_ERR_LIMIT;
    plait_writer_init(&w, body + at, need);
    plait_write_u8(&w, r->path);
    plait_write_u8(&w, r->ranges_n);
    write_u24(&w, r->decided);
    write_u24(&w, r->newest);
    write_u24(&w, r->arrival);
    write_u24(&w, r->delay_min);
    write_u24(&w, r->delay_mean);
    plait_write_u32(&w, r->bytes);
    write_u24(&w, r->packets);
    for (unsigned i = 0; i < r->ranges_n; i++) {
        write_u24(&w, r->range[i].first);
        plait_write_u16(&w, r->range[i].count);
    }
    body[0] = *used > 0 ? (uint8_t)(body[0] + 1) : 1;
    *used = at + plait_writer_used(&w);
    return PLAIT_OK;
}

int plait_datagram_report_next(const uint8_t *body, size_t len, size_t *at, struct plait_datagram_report *out)
{
    struct plait_datagram_report r = {0};
    struct plait_reader in;
    size_t from = *at > 0 ? *at : 1;

    if (len < 1 || from > len)
        return PLAIT_ERR_TRUNC;
    if (from == len)
        return PLAIT_ERR_NOTFOUND;
    plait_reader_init(&in, body + from, len - from);
    r.path = plait_read_u8(&in);
    r.ranges_n = plait_read_u8(&in);
    r.decided = read_u24(&in);
    r.newest = read_u24(&in);
    r.arrival = read_u24(&in);
    r.delay_min = read_u24(&in);
    r.delay_mean = read_u24(&in);
    r.bytes = plait_read_u32(&in);
    r.packets = read_u24(&in);
    if (in.bad)
        return PLAIT_ERR_TRUNC;
    if (r.ranges_n > PLAIT_DATAGRAM_RANGES_MAX)
        return PLAIT_ERR_LIMIT;
    for (unsigned i = 0; i < r.ranges_n; i++) {
        r.range[i].first = read_u24(&in);
        r.range[i].count = plait_read_u16(&in);
    }
    if (in.bad)
        return PLAIT_ERR_TRUNC;
    *at = len - plait_reader_left(&in);
    *out = r;
    return PLAIT_OK;
}

/* ---- PROBE and PROBE_ACK ---- */

void plait_datagram_probe_encode(const struct plait_datagram_probe *p,
                                 uint8_t out[PLAIT_DATAGRAM_PROBE_BYTES])
{
    struct plait_writer w;

    plait_writer_init(&w, out, PLAIT_DATAGRAM_PROBE_BYTES);
    plait_write_u16(&w, p->id);
    plait_write_u16(&w, p->size);
    write_u24(&w, p->echo);
    plait_write_u8(&w, p->train);
    plait_write_u8(&w, p->train_len);
}

int plait_datagram_probe_decode(const uint8_t *body, size_t len, struct plait_datagram_probe *out)
{
    struct plait_datagram_probe p;
    struct plait_reader r;

    plait_reader_init(&r, body, len);
    p.id = plait_read_u16(&r);
    p.size = plait_read_u16(&r);
    p.echo = read_u24(&r);
    p.train = plait_read_u8(&r);
    p.train_len = plait_read_u8(&r);
    if (r.bad)
        return PLAIT_ERR_TRUNC;
    *out = p;
    return PLAIT_OK;
}
