/*
 * Inner packets on their way to a TUN device with offloads, put together to as few writes as possible: those of one
 * flow that follow each other become one super-packet, as a network card's or the kernel's GRO would make it. Taking
 * such a super-packet apart (segment.h) gives the same packets again, but for the identification of IPv4 packets that
 * may not be fragmented, which means nothing (RFC 6864).
 *
 * TCP is put together where the next packet has payload, continues the sequence, and has the same header otherwise;
 * a smaller one, FIN and PSH end it, and SYN, RST, URG and CWR are for packets alone. UDP where the device takes it
 * (io/tun.h), in datagrams of one size. Only packets whose checksum holds are put together; what it covers was
 * checked by nobody yet. The order within a flow stays; other flows may come before or after.
 *
 * Packets are copied; nothing is allocated after plait_coalesce_new.
 */
#ifndef PLAIT_TUNNEL_COALESCE_H
#define PLAIT_TUNNEL_COALESCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "err.h"

#define PLAIT_COALESCE_PARTS_MAX     128 /* of one write */
#define PLAIT_COALESCE_PACKETS_MAX   512 /* between two rounds of writes */
#define PLAIT_COALESCE_DATAGRAMS_MAX 64  /* of UDP in one super-packet: what kernels take before 6.9 */

struct plait_coalesce;

/* For a device that takes super-packets of UDP, or does not. `seed`: random, so that nobody can choose flows that
 * are slow to tell apart. Returns owned, or NULL. */
struct plait_coalesce *plait_coalesce_new(bool udp, uint64_t seed);
void plait_coalesce_free(struct plait_coalesce *c); /* NULL is harmless */

/*
 * One more packet. `partial`: it is of TCP or UDP, and its checksum is not there (plait_segment_is_partial): the
 * kernel shall see to it. PLAIT_ERR_FORMAT for what is no packet of IP, which is left out; PLAIT_ERR_LIMIT where
 * there is no room before the next round of writes.
 */
PLAIT_MUST_USE int plait_coalesce_add(struct plait_coalesce *c, const uint8_t *packet, size_t len,
                                      bool partial);
/*
 * The next write, of *count parts: a virtio_net header and a packet. Borrowed until the next add. NULL after the
 * last, and then there is all the room again. No add between the first and that.
 */
const struct iovec *plait_coalesce_next(struct plait_coalesce *c, size_t *count);

#endif
