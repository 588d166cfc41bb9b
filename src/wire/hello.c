#include "hello.h"

#include <string.h>

#include "cursor.h"

#define FLAG_BACKUP 0x01
#define FLAG_OWNER  0x02
#define PATH_BYTES  26
#define LINE_BYTES  8 /* at its end, which older ones leave out */
#define MTU_MIN     576
#define V4_BITS     32
#define V6_BITS     128

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool plait_hello_name_is_good(const char *name, size_t len)
{
    if (len == 0 || len > PLAIT_HELLO_NAME_MAX || !is_alnum(name[0]))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_alnum(name[i]) && name[i] != '.' && name[i] != '_' && name[i] != '-')
            return false;
    return true;
}

/* Writing. */

static void open_field(struct plait_writer *w, enum plait_hello_type type, size_t len)
{
    plait_write_u8(w, (uint8_t)type);
    plait_write_u8(w, (uint8_t)len);
}

static void write_bytes(struct plait_writer *w, enum plait_hello_type type, const void *bytes, size_t len)
{
    open_field(w, type, len);
    plait_write_bytes(w, bytes, len);
}

static void write_address(struct plait_writer *w, enum plait_hello_type type, const uint8_t *address,
                          size_t len, uint8_t bits)
{
    open_field(w, type, len + 1);
    plait_write_bytes(w, address, len);
    plait_write_u8(w, bits);
}

static void write_u16(struct plait_writer *w, enum plait_hello_type type, uint16_t v)
{
    open_field(w, type, 2);
    plait_write_u16(w, v);
}

static void write_path(struct plait_writer *w, const struct plait_hello_path *path)
{
    open_field(w, PLAIT_HELLO_PATH, PATH_BYTES);
    plait_write_u8(w, path->id);
    plait_write_u8(w, (uint8_t)((path->backup ? FLAG_BACKUP : 0) | (path->owner ? FLAG_OWNER : 0)));
    plait_write_u32(w, path->weight_down);
    plait_write_u32(w, path->weight_up);
    plait_write_u64(w, path->limit_down);
    plait_write_u64(w, path->line);
}

static bool can_be(const struct plait_hello *h)
{
    size_t len = strnlen(h->name, sizeof h->name);

    return h->path_count <= PLAIT_HELLO_PATHS_MAX && (len == 0 || plait_hello_name_is_good(h->name, len)) &&
           (h->mtu == 0 || h->mtu >= MTU_MIN) && (!h->has_v4 || h->v4_bits <= V4_BITS) &&
           (!h->has_v6 || h->v6_bits <= V6_BITS);
}

int plait_hello_encode(const struct plait_hello *hello, uint8_t *out, size_t size)
{
    struct plait_writer w;

    if (!can_be(hello))
        return PLAIT_ERR_ARG;
    plait_writer_init(&w, out, size);
    if (hello->name[0] != '\0')
        write_bytes(&w, PLAIT_HELLO_NAME, hello->name, strlen(hello->name));
    if (hello->mtu != 0)
        write_u16(&w, PLAIT_HELLO_MTU, hello->mtu);
    if (hello->has_v4)
        write_address(&w, PLAIT_HELLO_V4, hello->v4, sizeof hello->v4, hello->v4_bits);
    if (hello->has_v6)
        write_address(&w, PLAIT_HELLO_V6, hello->v6, sizeof hello->v6, hello->v6_bits);
    if (hello->port != 0)
        write_u16(&w, PLAIT_HELLO_PORT, hello->port);
    if (hello->has_lan) {
        open_field(&w, PLAIT_HELLO_LAN, 4);
        plait_write_u32(&w, hello->lan);
    }
    if (hello->group != 0) {
        open_field(&w, PLAIT_HELLO_GROUP, 8);
        plait_write_u64(&w, hello->group);
    }
    for (size_t i = 0; i < hello->path_count; i++)
        write_path(&w, &hello->paths[i]);
    return w.bad ? PLAIT_ERR_LIMIT : (int)plait_writer_used(&w);
}

/* Reading. */

static int read_name(struct plait_hello *h, const uint8_t *value, size_t len)
{
    if (!plait_hello_name_is_good((const char *)value, len))
        return PLAIT_ERR_FORMAT;
    memcpy(h->name, value, len);
    h->name[len] = '\0';
    return PLAIT_OK;
}

static int read_address(struct plait_reader *r, uint8_t *address, size_t len, uint8_t *bits)
{
    const uint8_t *at = plait_read_bytes(r, len);
    uint8_t prefix = plait_read_u8(r);

    if (r->bad)
        return PLAIT_ERR_TRUNC;
    if (prefix > len * 8)
        return PLAIT_ERR_RANGE;
    memcpy(address, at, len);
    *bits = prefix;
    return PLAIT_OK;
}

static int read_path(struct plait_hello *h, struct plait_reader *r)
{
    struct plait_hello_path path = {.id = plait_read_u8(r)};
    uint8_t flags = plait_read_u8(r);

    path.backup = (flags & FLAG_BACKUP) != 0;
    path.owner = (flags & FLAG_OWNER) != 0;
    path.weight_down = plait_read_u32(r);
    path.weight_up = plait_read_u32(r);
    path.limit_down = plait_read_u64(r);
    if (plait_reader_left(r) >= LINE_BYTES)
        path.line = plait_read_u64(r);
    if (r->bad)
        return PLAIT_ERR_TRUNC;
    if (h->path_count < PLAIT_HELLO_PATHS_MAX)
        h->paths[h->path_count++] = path;
    return PLAIT_OK;
}

static int read_mtu(struct plait_hello *h, struct plait_reader *r)
{
    uint16_t mtu = plait_read_u16(r);

    if (!r->bad && mtu < MTU_MIN)
        return PLAIT_ERR_RANGE;
    h->mtu = mtu;
    return PLAIT_OK;
}

static int read_value(struct plait_hello *h, uint8_t type, const uint8_t *value, size_t len)
{
    struct plait_reader r;
    int err = PLAIT_OK;

    plait_reader_init(&r, value, len);
    switch (type) {
    case PLAIT_HELLO_NAME:
        return read_name(h, value, len);
    case PLAIT_HELLO_MTU:
        err = read_mtu(h, &r);
        break;
    case PLAIT_HELLO_V4:
        h->has_v4 = (err = read_address(&r, h->v4, sizeof h->v4, &h->v4_bits)) == PLAIT_OK;
        break;
    case PLAIT_HELLO_V6:
        h->has_v6 = (err = read_address(&r, h->v6, sizeof h->v6, &h->v6_bits)) == PLAIT_OK;
        break;
    case PLAIT_HELLO_PORT:
        h->port = plait_read_u16(&r);
        break;
    case PLAIT_HELLO_LAN:
        h->lan = plait_read_u32(&r);
        h->has_lan = !r.bad;
        break;
    case PLAIT_HELLO_GROUP:
        h->group = plait_read_u64(&r);
        break;
    case PLAIT_HELLO_PATH:
        err = read_path(h, &r);
        break;
    default:
        break;
    }
    return err != PLAIT_OK ? err : r.bad ? PLAIT_ERR_TRUNC : PLAIT_OK;
}

int plait_hello_decode(const uint8_t *bytes, size_t len, struct plait_hello *out)
{
    struct plait_hello h = {0};
    struct plait_reader r;

    if (len > PLAIT_HELLO_BYTES_MAX)
        return PLAIT_ERR_LIMIT;
    plait_reader_init(&r, bytes, len);
    while (plait_reader_left(&r) > 0) {
        uint8_t type = plait_read_u8(&r);
        size_t size = plait_read_u8(&r);
        const uint8_t *value = plait_read_bytes(&r, size);
        int err = r.bad ? PLAIT_ERR_TRUNC : read_value(&h, type, value, size);
        if (err != PLAIT_OK)
            return err;
    }
    *out = h;
    return PLAIT_OK;
}
