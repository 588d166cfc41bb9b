/*
 * Packets to be taken apart and put together: built here and checked here, in the plainest way, so that the tests do
 * not believe what they test.
 */
#ifndef PLAIT_TEST_OFFLOAD_KIT_H
#define PLAIT_TEST_OFFLOAD_KIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct kit_packet {
    bool v6, tcp;
    uint8_t flow;      /* the source's last byte and port */
    uint32_t seq, ack; /* TCP */
    uint8_t flags;     /* TCP */
    uint8_t options;   /* TCP: bytes of it, a multiple of 4 */
    uint8_t tos, ttl;
    uint16_t id;
    bool may_fragment; /* IPv4: without DF */
    size_t payload;
    uint8_t fill;
};

/* One word after the other. */
static inline uint16_t kit_sum(uint32_t sum, const uint8_t *b, size_t len)
{
    for (size_t i = 0; i + 1 < len; i += 2)
        sum += (uint32_t)(b[i] << 8 | b[i + 1]);
    if (len % 2 != 0)
        sum += (uint32_t)(b[len - 1] << 8);
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

static inline uint16_t kit_u16(const uint8_t *b)
{
    return (uint16_t)(b[0] << 8 | b[1]);
}

static inline void kit_put(uint8_t *b, size_t n, uint64_t v)
{
    while (n-- > 0) {
        b[n] = (uint8_t)v;
        v >>= 8;
    }
}

/* Of the pseudo header. */
static inline uint16_t kit_pseudo(const uint8_t *ip, uint8_t protocol, size_t len)
{
    uint32_t sum = (uint32_t)protocol + (uint32_t)(len >> 16) + (uint32_t)(len & 0xffff);

    return ip[0] >> 4 == 4 ? kit_sum(sum, ip + 12, 8) : kit_sum(sum, ip + 8, 32);
}

static inline size_t kit_head(const struct kit_packet *k)
{
    return (k->v6 ? 40 : 20) + (k->tcp ? (size_t)20 + k->options : 8);
}

/* Writes the packet with right checksums (`partial`: only the pseudo header's); returns its length. */
static inline size_t kit_build(const struct kit_packet *k, uint8_t *b, bool partial)
{
    size_t ip = k->v6 ? 40 : 20, head = kit_head(k), len = head + k->payload;
    uint8_t *t = b + ip, protocol = k->tcp ? 6 : 17, *field = t + (k->tcp ? 16 : 6);
    uint16_t sum;

    memset(b, 0, head);
    if (k->v6) {
        kit_put(b, 4, UINT64_C(6) << 28 | (uint64_t)k->tos << 20 | 0x12345);
        kit_put(b + 4, 2, len - 40);
        b[6] = protocol;
        b[7] = k->ttl;
        memset(b + 8, 0xfd, 32);
        b[23] = k->flow;
    } else {
        b[0] = 0x45;
        b[1] = k->tos;
        kit_put(b + 2, 2, len);
        kit_put(b + 4, 2, k->id);
        b[6] = k->may_fragment ? 0 : 0x40;
        b[8] = k->ttl;
        b[9] = protocol;
        kit_put(b + 12, 4, UINT32_C(0x0a4d0000) + k->flow);
        kit_put(b + 16, 4, 0x0a4d0001);
        kit_put(b + 10, 2, (uint16_t)~kit_sum(0, b, 20));
    }
    kit_put(t, 2, (uint64_t)5000 + k->flow);
    kit_put(t + 2, 2, 443);
    if (k->tcp) {
        kit_put(t + 4, 4, k->seq);
        kit_put(t + 8, 4, k->ack);
        t[12] = (uint8_t)((20 + k->options) / 4 << 4);
        t[13] = k->flags;
        kit_put(t + 14, 2, 0x0200);
        memset(t + 20, 1, k->options);
    } else {
        kit_put(t + 4, 2, len - ip);
    }
    for (size_t i = 0; i < k->payload; i++)
        b[head + i] = (uint8_t)(k->fill + k->seq + i * 7 + (i >> 8));
    sum = kit_pseudo(b, protocol, len - ip);
    if (!partial) {
        sum = (uint16_t)~kit_sum(sum, t, len - ip);
        if (!k->tcp && sum == 0)
            sum = 0xffff;
    }
    kit_put(field, 2, sum);
    return len;
}

/* Both checksums hold, and the lengths are those of `len` bytes. */
static inline bool kit_is_right(const uint8_t *b, size_t len)
{
    size_t ip = b[0] >> 4 == 6 ? 40 : (size_t)(b[0] & 15) * 4;
    uint8_t protocol = ip == 40 ? b[6] : b[9];

    if (len < ip + 8 || (ip == 40 ? (size_t)kit_u16(b + 4) + 40 : kit_u16(b + 2)) != len)
        return false;
    if (b[0] >> 4 == 4 && kit_sum(0, b, ip) != 0xffff)
        return false;
    if (protocol == 17 && kit_u16(b + ip + 4) != len - ip)
        return false;
    return kit_sum(kit_pseudo(b, protocol, len - ip), b + ip, len - ip) == 0xffff;
}

#endif
