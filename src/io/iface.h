/*
 * The network interfaces of this machine and their addresses, as they are at the moment of the call.
 */
#ifndef PLAIT_IO_IFACE_H
#define PLAIT_IO_IFACE_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "err.h"

/* Enough for any numeric address and its terminator. */
#define PLAIT_ADDRESS_TEXT_MAX 64

/* Administratively up and with a carrier. */
bool plait_iface_is_up(const char *name);
/*
 * Which interface has this address (for a loopback interface: has it in its network). PLAIT_ERR_NOTFOUND
 * where none has, PLAIT_ERR_IO.
 */
PLAIT_MUST_USE int plait_iface_of_address(const struct sockaddr *address, char name[IF_NAMESIZE]);
/*
 * The address of the interface from which to speak to `dest`: its first one of that family, a link-local IPv6
 * address only for such a destination. PLAIT_ERR_NOTFOUND, PLAIT_ERR_IO.
 */
PLAIT_MUST_USE int plait_iface_address(const char *name, const struct sockaddr *dest,
                                       struct sockaddr_storage *out);
/* As numbers, without the port; "?" for another family. Returns `out`. */
const char *plait_address_text(const struct sockaddr *address, char out[PLAIT_ADDRESS_TEXT_MAX]);
socklen_t plait_address_len(const struct sockaddr *address);

#endif
