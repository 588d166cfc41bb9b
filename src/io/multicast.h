/*
 * A UDP socket as a member of a group of one LAN: what is sent to the group by anybody there is received, and what
 * is sent to it stays on that LAN.
 */
#ifndef PLAIT_IO_MULTICAST_H
#define PLAIT_IO_MULTICAST_H

#include "err.h"
#include "udp.h"

/*
 * Joins the group on the interface. PLAIT_ERR_NOTFOUND where there is no such interface, PLAIT_ERR_ARG for a group of
 * another family, PLAIT_ERR_IO (errno).
 */
PLAIT_MUST_USE int plait_multicast_join(const struct plait_udp *u, const char *interface,
                                        const union plait_udp_address *group);
/* Groups and broadcast addresses may be sent to by that interface, and no farther than its LAN; others on this
 * machine hear it too. PLAIT_ERR_NOTFOUND, PLAIT_ERR_IO (errno). */
PLAIT_MUST_USE int plait_multicast_from(const struct plait_udp *u, const char *interface);

#endif
