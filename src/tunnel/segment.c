#include "segment.h"

#include <string.h>

#include "checksum.h"

#define TCP_CHECKSUM 16
#define UDP_CHECKSUM 6

void plait_vnet_read(const uint8_t *bytes, struct plait_vnet *out)
{
    uint16_t words[4];

    memcpy(words, bytes + 2, sizeof words);
    *out = (struct plait_vnet){bytes[0], bytes[1], words[0], words[1], words[2], words[3]};
}

void plait_vnet_write(uint8_t *bytes, const struct plait_vnet *v)
{
    const uint16_t words[4] = {v->header_len, v->segment_size, v->checksum_start, v->checksum_offset};

    bytes[0] = v->flags;
    bytes[1] = v->type;
    memcpy(bytes + 2, words, sizeof words);
}

/* Does the super-packet's type fit what the packet is? */
static bool is_super(const struct plait_ip_parts *p, uint8_t type)
{
    switch (type & ~PLAIT_VNET_ECN) {
    case PLAIT_VNET_TCP4:
        return !p->v6 && p->protocol == PLAIT_IP_TCP;
    case PLAIT_VNET_TCP6:
        return p->v6 && p->protocol == PLAIT_IP_TCP;
    case PLAIT_VNET_UDP:
        return type == PLAIT_VNET_UDP && p->protocol == PLAIT_IP_UDP;
    default:
        return false;
    }
}

/* The checksum that was left to us is one of TCP or UDP, where we would look for it. */
static bool is_usual(const struct plait_segment *s)
{
    const struct plait_ip_parts *p = &s->packet;
    unsigned field = p->protocol == PLAIT_IP_TCP ? TCP_CHECKSUM : UDP_CHECKSUM;

    return p->payload != 0 && !p->options && s->vnet.checksum_start == p->transport &&
           s->vnet.checksum_offset == field;
}

static bool fits(const struct plait_segment *s)
{
    const struct plait_vnet *v = &s->vnet;

    if (v->type != PLAIT_VNET_NONE)
        return is_super(&s->packet, v->type) && s->packet.payload != 0 && v->segment_size > 0;
    return (v->flags & PLAIT_VNET_NEEDS_CHECKSUM) == 0 ||
           ((size_t)v->checksum_start + v->checksum_offset + 2 <= s->packet.len &&
            v->checksum_start >= (s->packet.v6 ? 40 : 20));
}

int plait_segment_init(struct plait_segment *s, const uint8_t *frame, size_t len, bool leave_partial)
{
    size_t payload;

    memset(s, 0, sizeof *s);
    if (len < PLAIT_VNET_BYTES)
        return PLAIT_ERR_FORMAT;
    plait_vnet_read(frame, &s->vnet);
    s->bytes = frame + PLAIT_VNET_BYTES;
    if (plait_ip_parts_find(s->bytes, len - PLAIT_VNET_BYTES, &s->packet) != PLAIT_OK || !fits(s))
        return PLAIT_ERR_FORMAT;
    payload = s->packet.payload != 0 ? (size_t)s->packet.len - s->packet.payload : 0;
    if (s->vnet.type == PLAIT_VNET_NONE) {
        s->leave_partial = leave_partial && (s->vnet.flags & PLAIT_VNET_NEEDS_CHECKSUM) != 0 && is_usual(s);
        return 1;
    }
    s->leave_partial = leave_partial && !s->packet.options;
    s->fixed_sum = plait_checksum_pseudo(s->bytes, s->packet.protocol, 0);
    s->at = s->packet.payload;
    s->size = s->vnet.segment_size;
    return payload > 0 ? (int)((payload + s->size - 1) / s->size) : 1;
}

size_t plait_segment_len_max(const struct plait_segment *s)
{
    size_t most = (size_t)s->packet.payload + s->size;

    return s->size == 0 || most > s->packet.len ? s->packet.len : most;
}

bool plait_segment_is_partial(const struct plait_segment *s)
{
    return s->leave_partial;
}

static void store_sum(uint8_t *at, uint16_t folded)
{
    memcpy(at, &folded, sizeof folded);
}

/* UDP's 0 stands for "none", so a sum that comes to it is sent as its other form. */
static void store_checksum(uint8_t *at, uint64_t sum, bool udp)
{
    uint16_t folded = (uint16_t)~plait_checksum_fold(sum);

    store_sum(at, udp && folded == 0 ? 0xffff : folded);
}

static int copy_whole(struct plait_segment *s, uint8_t *out, size_t room)
{
    const struct plait_vnet *v = &s->vnet;
    size_t len = s->packet.len, start = v->checksum_start;

    if (len > room)
        return PLAIT_ERR_LIMIT;
    if ((v->flags & PLAIT_VNET_NEEDS_CHECKSUM) == 0 || s->leave_partial) {
        memcpy(out, s->bytes, len);
        return (int)len;
    }
    memcpy(out, s->bytes, start);
    uint64_t sum = plait_checksum_copy(0, out + start, s->bytes + start, len - start);
    store_checksum(out + start + v->checksum_offset, sum,
                   s->packet.protocol == PLAIT_IP_UDP && v->checksum_offset == UDP_CHECKSUM);
    return (int)len;
}

static void write_ip(const struct plait_segment *s, uint8_t *out, size_t len)
{
    if (s->packet.v6) {
        plait_put_u16(out + 4, (uint16_t)(len - 40));
        return;
    }
    plait_put_u16(out + 2, (uint16_t)len);
    plait_put_u16(out + 4, (uint16_t)(plait_get_u16(out + 4) + s->index));
    store_sum(out + 10, 0);
    store_checksum(out + 10, plait_checksum_add(0, out, s->packet.transport), false);
}

static void write_tcp(const struct plait_segment *s, uint8_t *tcp, bool last)
{
    uint32_t passed = (uint32_t)(s->at - s->packet.payload);

    plait_put_u32(tcp + 4, plait_get_u32(tcp + 4) + passed);
    if (!last)
        tcp[13] &= (uint8_t) ~(PLAIT_TCP_FIN | PLAIT_TCP_PSH);
    if (s->index > 0)
        tcp[13] &= (uint8_t)~PLAIT_TCP_CWR;
}

static int write_segment(struct plait_segment *s, uint8_t *out, size_t room)
{
    const struct plait_ip_parts *p = &s->packet;
    size_t left = (size_t)p->len - s->at, take = left < s->size ? left : s->size, len = p->payload + take;
    bool tcp = p->protocol == PLAIT_IP_TCP;
    uint8_t *transport = out + p->transport, *checksum = transport + (tcp ? TCP_CHECKSUM : UDP_CHECKSUM);
    uint64_t sum;

    if (len > room)
        return PLAIT_ERR_LIMIT;
    memcpy(out, s->bytes, p->payload);
    write_ip(s, out, len);
    if (tcp)
        write_tcp(s, transport, take == left);
    else
        plait_put_u16(transport + 4, (uint16_t)(len - p->transport));
    /* The length of the pseudo header is a 32-bit word of its own. */
    uint8_t length[4];
    plait_put_u32(length, (uint32_t)(len - p->transport));
    sum = plait_checksum_add(s->fixed_sum, length, sizeof length);
    if (s->leave_partial) {
        store_sum(checksum, plait_checksum_fold(sum));
        memcpy(out + p->payload, s->bytes + s->at, take);
        return (int)len;
    }
    store_sum(checksum, 0);
    sum = plait_checksum_copy(sum, out + p->payload, s->bytes + s->at, take);
    store_checksum(checksum, plait_checksum_add(sum, transport, (size_t)p->payload - p->transport), !tcp);
    return (int)len;
}

int plait_segment_next(struct plait_segment *s, uint8_t *out, size_t room)
{
    int len;

    if (s->index > 0 && (s->size == 0 || s->at >= s->packet.len))
        return 0;
    len = s->size == 0 ? copy_whole(s, out, room) : write_segment(s, out, room);
    s->index++;
    if (s->size > 0)
        s->at = (uint16_t)(s->packet.len - s->at > s->size ? s->at + s->size : s->packet.len);
    return len;
}

int plait_segment_complete(uint8_t *packet, size_t len)
{
    struct plait_ip_parts p;
    uint64_t sum;

    if (plait_ip_parts_find(packet, len, &p) != PLAIT_OK || p.payload == 0)
        return PLAIT_ERR_FORMAT;
    bool tcp = p.protocol == PLAIT_IP_TCP;
    uint8_t *checksum = packet + p.transport + (tcp ? TCP_CHECKSUM : UDP_CHECKSUM);
    store_sum(checksum, 0);
    sum = plait_checksum_pseudo(packet, p.protocol, (uint32_t)p.len - p.transport);
    store_checksum(checksum, plait_checksum_add(sum, packet + p.transport, (size_t)p.len - p.transport),
                   !tcp);
    return PLAIT_OK;
}
