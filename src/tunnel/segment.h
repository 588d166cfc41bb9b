/*
 * What a TUN device with offloads gives (io/tun.h): a virtio_net header and an IP packet, whose checksum may be left
 * to us, and which may be a super-packet of TCP or UDP. This makes of it the packets that it stands for, each
 * written straight to where the caller wants it.
 *
 * The layout is that of struct virtio_net_hdr (Virtual I/O Device 1.2, 5.1.6) in this machine's byte order, as TUN
 * has it unless told otherwise. Segmentation is that of the kernel (RFC 9293 3.8 for TCP): sequence numbers go on,
 * FIN and PSH are for the last, CWR for the first, IPv4's identification counts up.
 */
#ifndef PLAIT_TUNNEL_SEGMENT_H
#define PLAIT_TUNNEL_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "ip_parts.h"

#define PLAIT_VNET_BYTES 10

enum plait_vnet_type {
    PLAIT_VNET_NONE = 0,
    PLAIT_VNET_TCP4 = 1,
    PLAIT_VNET_TCP6 = 4,
    PLAIT_VNET_UDP = 5,    /* of either version */
    PLAIT_VNET_ECN = 0x80, /* with one of TCP: its first segment has CWR */
};

#define PLAIT_VNET_NEEDS_CHECKSUM 1 /* the checksum's field has the sum of the pseudo header */

struct plait_vnet {
    uint8_t flags, type;
    uint16_t header_len, segment_size, checksum_start, checksum_offset;
};

void plait_vnet_read(const uint8_t *bytes, struct plait_vnet *out);
void plait_vnet_write(uint8_t *bytes, const struct plait_vnet *v);

/* A frame that is being taken apart. */
struct plait_segment {
    const uint8_t *bytes; /* borrows: the packet */
    struct plait_ip_parts packet;
    struct plait_vnet vnet;
    bool leave_partial;
    uint16_t size; /* of a segment's payload; 0: there is one packet, as it is */
    uint16_t at;   /* the next payload */
    uint16_t index;
    uint64_t fixed_sum; /* of the addresses and the protocol */
};

/*
 * Begins with a frame, which is borrowed until the last packet of it has been taken. With leave_partial, checksums
 * that were left to us stay so (plait_segment_is_partial), for the other end to leave them to its kernel in turn:
 * what goes between is authenticated.
 *
 * Returns how many packets there are (1 or more), or PLAIT_ERR_FORMAT for what is none of IP or contradicts itself.
 */
PLAIT_MUST_USE int plait_segment_init(struct plait_segment *s, const uint8_t *frame, size_t len,
                                      bool leave_partial);
/* The length of the longest of the packets. */
size_t plait_segment_len_max(const struct plait_segment *s);
/*
 * Writes the next packet. Returns its length, 0 after the last. PLAIT_ERR_LIMIT where there is not enough room: then
 * this one is left out.
 */
PLAIT_MUST_USE int plait_segment_next(struct plait_segment *s, uint8_t *out, size_t room);
/* The checksums of these packets are partial. */
bool plait_segment_is_partial(const struct plait_segment *s);

/*
 * Completes the checksum of a TCP or UDP packet that was left partial, for who needs it so. PLAIT_ERR_FORMAT where
 * the packet is neither.
 */
PLAIT_MUST_USE int plait_segment_complete(uint8_t *packet, size_t len);

#endif
