/*
 * Inner packets: what the tunnel has to know of an IPv4 or IPv6 packet, and the congestion mark.
 */
#ifndef PLAIT_TUNNEL_INNER_H
#define PLAIT_TUNNEL_INNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

struct plait_inner {
    uint32_t hash; /* of addresses, protocol and ports; of fragments and unknown protocols without ports */
    bool urgent;   /* begins something or answers: SYN, DNS, ICMP; worth being sent twice */
    bool pure_ack; /* TCP without data */
    bool carries;  /* data under a congestion control that learns from round trips: TCP, QUIC */
    bool ecn;      /* ECT(0), ECT(1) or CE: may be marked instead of dropped */
};

/* PLAIT_ERR_FORMAT for what is no whole IP packet of `len` bytes. `seed` mixes the hash, so that nobody outside
 * can choose flows that collide. */
PLAIT_MUST_USE int plait_inner_parse(const uint8_t *bytes, size_t len, uint64_t seed,
                                     struct plait_inner *out);
/* Sets CE in a packet that plait_inner_parse took for `ecn`; an IPv4 header checksum stays right (RFC 1624). */
void plait_inner_mark(uint8_t *bytes);

#endif
