/*
 * The Internet checksum (RFC 1071), on sums that are not folded yet: additions only, so that parts may be summed
 * in any order. Every part but the last has an even length.
 */
#ifndef PLAIT_TUNNEL_CHECKSUM_H
#define PLAIT_TUNNEL_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Adds `len` bytes to a sum; sums begin with 0 and are good for 2^31 bytes. */
uint64_t plait_checksum_add(uint64_t sum, const void *bytes, size_t len);
/* The same, while copying. The places do not overlap. */
uint64_t plait_checksum_copy(uint64_t sum, void *to, const void *from, size_t len);
/* The sum in 16 bits, in the order of the wire: to be stored with memcpy. Not complemented. */
uint16_t plait_checksum_fold(uint64_t sum);

/*
 * The pseudo header of TCP or UDP (RFC 9293 3.1, RFC 8200 8.1): the addresses of this IP header, the protocol, and
 * the length from the transport header on.
 */
uint64_t plait_checksum_pseudo(const uint8_t *ip, uint8_t protocol, uint32_t len);

#endif
