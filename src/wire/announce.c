#include "announce.h"

#include <string.h>

#include "cursor.h"
#include "envelope.h"
#include "hello.h"

#define FLAG_BACKUP  0x01
#define FLAG_BOUNDED 0x02

static bool is_kind(unsigned kind)
{
    return kind >= PLAIT_ANNOUNCE_ACTIVE && kind <= PLAIT_ANNOUNCE_ASK;
}

static bool has_id(const struct plait_announce *a, size_t count, uint8_t id)
{
    for (size_t i = 0; i < count; i++)
        if (a->uplinks[i].id == id)
            return true;
    return false;
}

static bool can_be(const struct plait_announce *a)
{
    if (!is_kind(a->kind) || a->uplink_count > PLAIT_ANNOUNCE_UPLINKS_MAX ||
        !plait_hello_name_is_good(a->name, strnlen(a->name, sizeof a->name)))
        return false;
    for (size_t i = 0; i < a->uplink_count; i++)
        if (a->uplinks[i].port == 0 || has_id(a, i, a->uplinks[i].id))
            return false;
    return true;
}

static void write_uplink(struct plait_writer *w, const struct plait_announce_uplink *u)
{
    plait_write_u8(w, u->id);
    plait_write_u8(w, (uint8_t)((u->backup ? FLAG_BACKUP : 0) | (u->bounded ? FLAG_BOUNDED : 0)));
    plait_write_u16(w, u->port);
    plait_write_u32(w, u->weight_down);
    plait_write_u32(w, u->weight_up);
}

int plait_announce_encode(const struct plait_announce *a, uint8_t out[PLAIT_ANNOUNCE_BYTES_MAX])
{
    struct plait_writer w;

    if (!can_be(a))
        return PLAIT_ERR_ARG;
    plait_writer_init(&w, out, PLAIT_ANNOUNCE_BYTES_MAX - PLAIT_ANNOUNCE_MAC_BYTES);
    plait_write_u8(&w, PLAIT_ENVELOPE_COMMUNITY);
    plait_write_u8(&w, PLAIT_ANNOUNCE_VERSION);
    plait_write_u8(&w, (uint8_t)a->kind);
    plait_write_u8(&w, 0);
    plait_write_u64(&w, a->instance);
    plait_write_u64(&w, a->stamp);
    plait_write_u64(&w, a->echo);
    plait_write_u64(&w, a->to);
    plait_write_u64(&w, a->hub);
    plait_write_u16(&w, a->hub_port);
    plait_write_u8(&w, (uint8_t)strlen(a->name));
    plait_write_bytes(&w, a->name, strlen(a->name));
    plait_write_u8(&w, (uint8_t)a->uplink_count);
    for (size_t i = 0; i < a->uplink_count; i++)
        write_uplink(&w, &a->uplinks[i]);
    if (a->up > 0)
        plait_write_u32(&w, a->up);
    return w.bad ? PLAIT_ERR_LIMIT : (int)plait_writer_used(&w);
}

static int read_head(struct plait_reader *r, struct plait_announce *a)
{
    uint8_t type = plait_read_u8(r), version = plait_read_u8(r), kind = plait_read_u8(r);

    plait_read_u8(r);
    if (r->bad)
        return PLAIT_ERR_TRUNC;
    if (type != PLAIT_ENVELOPE_COMMUNITY || version != PLAIT_ANNOUNCE_VERSION || !is_kind(kind))
        return PLAIT_ERR_FORMAT;
    a->kind = (enum plait_announce_kind)kind;
    a->instance = plait_read_u64(r);
    a->stamp = plait_read_u64(r);
    a->echo = plait_read_u64(r);
    a->to = plait_read_u64(r);
    a->hub = plait_read_u64(r);
    a->hub_port = plait_read_u16(r);
    return PLAIT_OK;
}

static int read_name(struct plait_reader *r, struct plait_announce *a)
{
    size_t len = plait_read_u8(r);
    const uint8_t *name = plait_read_bytes(r, len);

    if (r->bad)
        return PLAIT_ERR_TRUNC;
    if (!plait_hello_name_is_good((const char *)name, len))
        return PLAIT_ERR_FORMAT;
    memcpy(a->name, name, len);
    a->name[len] = '\0';
    return PLAIT_OK;
}

static int read_uplinks(struct plait_reader *r, struct plait_announce *a)
{
    size_t count = plait_read_u8(r);

    if (count > PLAIT_ANNOUNCE_UPLINKS_MAX)
        return PLAIT_ERR_LIMIT;
    for (size_t i = 0; i < count; i++) {
        struct plait_announce_uplink u = {.id = plait_read_u8(r)};
        uint8_t flags = plait_read_u8(r);
        u.backup = (flags & FLAG_BACKUP) != 0;
        u.bounded = (flags & FLAG_BOUNDED) != 0;
        u.port = plait_read_u16(r);
        u.weight_down = plait_read_u32(r);
        u.weight_up = plait_read_u32(r);
        if (r->bad)
            return PLAIT_ERR_TRUNC;
        if (u.port == 0 || has_id(a, i, u.id))
            return PLAIT_ERR_RANGE;
        a->uplinks[i] = u;
    }
    a->uplink_count = count;
    return r->bad ? PLAIT_ERR_TRUNC : PLAIT_OK;
}

int plait_announce_decode(const uint8_t *bytes, size_t len, struct plait_announce *out)
{
    struct plait_announce a = {.kind = PLAIT_ANNOUNCE_ACTIVE};
    struct plait_reader r;
    int err;

    if (len > PLAIT_ANNOUNCE_BYTES_MAX)
        return PLAIT_ERR_LIMIT;
    if (len < PLAIT_ANNOUNCE_MAC_BYTES)
        return PLAIT_ERR_TRUNC;
    plait_reader_init(&r, bytes, len - PLAIT_ANNOUNCE_MAC_BYTES);
    if ((err = read_head(&r, &a)) != PLAIT_OK || (err = read_name(&r, &a)) != PLAIT_OK ||
        (err = read_uplinks(&r, &a)) != PLAIT_OK)
        return err;
    if (plait_reader_left(&r) >= sizeof a.up)
        a.up = plait_read_u32(&r);
    *out = a;
    return PLAIT_OK;
}

bool plait_announce_uplinks_equal(const struct plait_announce_uplink *a,
                                  const struct plait_announce_uplink *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (a[i].id != b[i].id || a[i].backup != b[i].backup || a[i].bounded != b[i].bounded ||
            a[i].port != b[i].port || a[i].weight_down != b[i].weight_down ||
            a[i].weight_up != b[i].weight_up)
            return false;
    }
    return true;
}
