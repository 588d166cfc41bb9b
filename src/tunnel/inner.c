#include "inner.h"

#include <string.h>

#define PROTO_ICMP   1
#define PROTO_TCP    6
#define PROTO_UDP    17
#define PROTO_ICMP6  58
#define PORT_DNS     53
#define PORT_QUIC    443
#define QUIC_ACK_MAX 108 /* no more than a header, a tag and the ranges of an acknowledgement */
#define TCP_SYN      0x02
#define TCP_FIN_RST  0x05
#define ECN_MASK     0x03
#define URGENT_MAX   300 /* bytes; a ping of more is bulk */

/* Where the parts of a packet are. */
struct layout {
    const uint8_t *addresses;
    size_t addresses_len;
    const uint8_t *transport; /* NULL: no ports to be seen */
    size_t transport_len;
    uint8_t protocol;
};

static uint16_t get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static bool look_ipv4(const uint8_t *b, size_t len, struct layout *l)
{
    size_t header = (size_t)(b[0] & 0x0f) * 4;

    if (len < 20 || header < 20 || header > len || get_u16(b + 2) != len)
        return false;
    l->addresses = b + 12;
    l->addresses_len = 8;
    l->protocol = b[9];
    if ((get_u16(b + 6) & 0x3fff) == 0) { /* the fragments of a packet go the way of one flow */
        l->transport = b + header;
        l->transport_len = len - header;
    }
    return true;
}

static bool look_ipv6(const uint8_t *b, size_t len, struct layout *l)
{
    if (len < 40 || (size_t)get_u16(b + 4) + 40 != len)
        return false;
    l->addresses = b + 8;
    l->addresses_len = 32;
    l->protocol = b[6];
    if (l->protocol == PROTO_TCP || l->protocol == PROTO_UDP || l->protocol == PROTO_ICMP6) {
        l->transport = b + 40;
        l->transport_len = len - 40;
    }
    return true;
}

static uint64_t mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * UINT64_C(0x9fb21c651e98df25);
    return h ^ (h >> 32);
}

static uint32_t hash_of(const struct layout *l, bool ports, uint64_t seed)
{
    uint64_t h = mix(seed, l->protocol), word;

    for (size_t i = 0; i < l->addresses_len; i += 8) {
        memcpy(&word, l->addresses + i, 8);
        h = mix(h, word);
    }
    if (ports) {
        uint32_t pair;
        memcpy(&pair, l->transport, 4);
        h = mix(h, pair);
    }
    return (uint32_t)(h ^ (h >> 29));
}

static void look_tcp(const struct layout *l, struct plait_inner *out)
{
    if (l->transport_len < 20)
        return;
    size_t header = (size_t)(l->transport[12] >> 4) * 4;
    uint8_t flags = l->transport[13];

    out->urgent = (flags & TCP_SYN) != 0;
    out->pure_ack = header >= l->transport_len && (flags & (TCP_SYN | TCP_FIN_RST)) == 0;
    out->carries = !out->pure_ack;
}

static bool is_of_port(const struct layout *l, uint16_t port)
{
    return get_u16(l->transport) == port || get_u16(l->transport + 2) == port;
}

static void look_udp(const struct layout *l, struct plait_inner *out)
{
    out->urgent = is_of_port(l, PORT_DNS);
    out->carries = is_of_port(l, PORT_QUIC) && l->transport_len > QUIC_ACK_MAX;
}

int plait_inner_parse(const uint8_t *b, size_t len, uint64_t seed, struct plait_inner *out)
{
    struct layout l = {0};
    unsigned version = len > 0 ? b[0] >> 4 : 0;

    if (version == 4 ? !look_ipv4(b, len, &l) : version != 6 || !look_ipv6(b, len, &l))
        return PLAIT_ERR_FORMAT;
    unsigned ecn = version == 4 ? b[1] & ECN_MASK : (b[1] >> 4) & ECN_MASK;
    bool ports = (l.protocol == PROTO_TCP || l.protocol == PROTO_UDP) && l.transport_len >= 8;

    *out = (struct plait_inner){.hash = hash_of(&l, ports, seed), .ecn = ecn != 0};
    if (l.protocol == PROTO_TCP)
        look_tcp(&l, out);
    else if (l.protocol == PROTO_UDP && ports)
        look_udp(&l, out);
    else if (l.protocol == PROTO_ICMP || l.protocol == PROTO_ICMP6)
        out->urgent = len <= URGENT_MAX;
    return PLAIT_OK;
}

void plait_inner_mark(uint8_t *b)
{
    if (b[0] >> 4 == 6) {
        b[1] |= ECN_MASK << 4;
        return;
    }
    uint16_t before = get_u16(b);
    b[1] |= ECN_MASK;
    uint32_t sum = (uint32_t)(uint16_t)~get_u16(b + 10) + (uint16_t)~before + get_u16(b);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    uint16_t check = (uint16_t)~sum;
    b[10] = (uint8_t)(check >> 8);
    b[11] = (uint8_t)check;
}
