/*
 * Where the parts of an IP packet are. Every length is checked against the bytes that are there.
 */
#ifndef PLAIT_TUNNEL_IP_PARTS_H
#define PLAIT_TUNNEL_IP_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define PLAIT_IP_MAX 65535 /* the longest packet */

#define PLAIT_IP_TCP 6
#define PLAIT_IP_UDP 17

#define PLAIT_TCP_FIN 0x01
#define PLAIT_TCP_SYN 0x02
#define PLAIT_TCP_RST 0x04
#define PLAIT_TCP_PSH 0x08
#define PLAIT_TCP_ACK 0x10
#define PLAIT_TCP_URG 0x20
#define PLAIT_TCP_ECE 0x40
#define PLAIT_TCP_CWR 0x80

struct plait_ip_parts {
    bool v6;
    bool fragment;      /* of a larger packet: there may be no transport header */
    bool options;       /* between the IP header's fixed part and the transport header */
    uint8_t protocol;   /* of the transport header */
    uint16_t transport; /* where it begins */
    uint16_t payload;   /* where that of TCP or UDP begins; 0: neither, or not all of its header is there */
    uint16_t len;       /* of the whole, as the IP header says */
};

/*
 * PLAIT_ERR_FORMAT for what is neither IPv4 nor IPv6; PLAIT_ERR_TRUNC where there is less of it than it says. What
 * lies behind its end is left out. IPv6's extension headers are passed over as far as `len` allows.
 */
PLAIT_MUST_USE int plait_ip_parts_find(const uint8_t *bytes, size_t len, struct plait_ip_parts *out);

static inline uint16_t plait_get_u16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t plait_get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline void plait_put_u16(uint8_t *at, uint16_t v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

static inline void plait_put_u32(uint8_t *at, uint32_t v)
{
    plait_put_u16(at, (uint16_t)(v >> 16));
    plait_put_u16(at + 2, (uint16_t)v);
}

#endif
