#include "ip_parts.h"

/* IPv6 extension headers that may stand before the transport header (RFC 8200 4.1). */
enum extension {
    HOP_BY_HOP = 0,
    ROUTING = 43,
    FRAGMENT = 44,
    AUTHENTICATION = 51,
    DESTINATION = 60,
};

static int find_v4(const uint8_t *b, size_t len, struct plait_ip_parts *p)
{
    size_t header, total;

    if (len < 20)
        return PLAIT_ERR_TRUNC;
    header = (size_t)(b[0] & 15) * 4;
    total = plait_get_u16(b + 2);
    if (header < 20 || total < header)
        return PLAIT_ERR_FORMAT;
    if (total > len)
        return PLAIT_ERR_TRUNC;
    p->len = (uint16_t)total;
    p->transport = (uint16_t)header;
    p->options = header > 20;
    p->protocol = b[9];
    p->fragment = (plait_get_u16(b + 6) & 0x3fff) != 0;
    return PLAIT_OK;
}

/* The length of the extension header that begins at `b`, of which 8 bytes are there; 0 where it is none. */
static size_t extension_len(uint8_t type, const uint8_t *b)
{
    switch (type) {
    case HOP_BY_HOP:
    case ROUTING:
    case DESTINATION:
        return 8 + (size_t)b[1] * 8;
    case AUTHENTICATION:
        return 8 + (size_t)b[1] * 4;
    case FRAGMENT:
        return 8;
    default:
        return 0;
    }
}

static int find_v6(const uint8_t *b, size_t len, struct plait_ip_parts *p)
{
    size_t at = 40, end, more;
    uint8_t type;

    if (len < 40)
        return PLAIT_ERR_TRUNC;
    end = 40 + (size_t)plait_get_u16(b + 4);
    if (end > len || end > PLAIT_IP_MAX)
        return PLAIT_ERR_TRUNC;
    for (type = b[6]; at + 8 <= end && (more = extension_len(type, b + at)) != 0 && at + more <= end;
         at += more) {
        if (type == FRAGMENT)
            p->fragment = p->fragment || (plait_get_u16(b + at + 2) & 0xfff9) != 0;
        p->options = true;
        type = b[at];
    }
    p->v6 = true;
    p->len = (uint16_t)end;
    p->transport = (uint16_t)at;
    p->protocol = type;
    return PLAIT_OK;
}

static uint16_t payload_of(const uint8_t *b, const struct plait_ip_parts *p)
{
    size_t left = (size_t)p->len - p->transport, header = 0, least = 20;

    if (p->fragment)
        return 0;
    if (p->protocol == PLAIT_IP_UDP)
        header = least = 8;
    else if (p->protocol == PLAIT_IP_TCP && left >= least)
        header = (size_t)(b[p->transport + 12] >> 4) * 4;
    return header < least || header > left ? 0 : (uint16_t)(p->transport + header);
}

int plait_ip_parts_find(const uint8_t *bytes, size_t len, struct plait_ip_parts *out)
{
    struct plait_ip_parts p = {0};
    int err = PLAIT_ERR_FORMAT;

    if (len == 0)
        return PLAIT_ERR_TRUNC;
    if (bytes[0] >> 4 == 4)
        err = find_v4(bytes, len, &p);
    else if (bytes[0] >> 4 == 6)
        err = find_v6(bytes, len, &p);
    if (err != PLAIT_OK)
        return err;
    p.payload = payload_of(bytes, &p);
    *out = p;
    return PLAIT_OK;
}
