/*
 * Where a datagram came from, as the keys' gate and the community know it.
 */
#ifndef PLAIT_END_ORIGIN_H
#define PLAIT_END_ORIGIN_H

#include "cookie.h"
#include "udp.h"

/* An address of IPv4 as an IPv6 one that stands for it (RFC 4291, section 2.5.5.2). */
struct plait_origin plait_origin_of(const union plait_udp_address *a);

#endif
