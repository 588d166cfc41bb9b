/*
 * Sockets that leave through one interface and no other.
 *
 * The socket is bound to the device (SO_BINDTODEVICE) and to an address of it, so that rules that route by
 * source address hold as well; once it is connected both are looked at again. There is no falling back: what
 * cannot be bound is not opened.
 */
#ifndef PLAIT_IO_EGRESS_H
#define PLAIT_IO_EGRESS_H

#include <net/if.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "err.h"
#include "iface.h"

struct plait_egress {
    char interface[IF_NAMESIZE];
    bool has_address; /* false: the interface's own first address of the destination's family */
    struct sockaddr_storage address;
};

enum plait_egress_fail {
    PLAIT_EGRESS_OK,
    PLAIT_EGRESS_FAMILY, /* no address of the destination's family to speak from */
    PLAIT_EGRESS_GONE,   /* the interface or the address is not there (now) */
    PLAIT_EGRESS_DENIED, /* the kernel refuses to bind */
    PLAIT_EGRESS_SYSTEM, /* no socket at all: out of descriptors or memory */
    PLAIT_EGRESS_ASTRAY, /* the socket is connected, but not through the interface */
};

/* A socket for `dest`. Returns the descriptor, which the caller closes, or −1 with *fail, and errno where it
 * applies. */
int plait_egress_open(const struct plait_egress *e, int type, int protocol, const struct sockaddr *dest,
                      enum plait_egress_fail *fail);
/* Looks at a connected socket of plait_egress_open. */
enum plait_egress_fail plait_egress_verify(const struct plait_egress *e, int fd);
/* What went wrong, for people; never NULL. */
const char *plait_egress_fail_text(enum plait_egress_fail fail);

#endif
