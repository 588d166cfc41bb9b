/*
 * A TUN device with offloads: what is read and written is a virtio_net header (segment.h) and an IP packet, which
 * may be a super-packet of TCP or, where the kernel has USO (6.2), of UDP. The device goes when the last of its
 * queues is closed, also after a crash.
 */
#ifndef PLAIT_IO_TUN_H
#define PLAIT_IO_TUN_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "err.h"
#include "prefix.h"

#define PLAIT_TUN_FRAME_MAX (10 + 65535) /* the header and the longest packet */

struct plait_tun {
    int fd; /* non-blocking; to be watched for being readable */
    char name[IF_NAMESIZE];
    unsigned index;
    bool multi_queue;
    bool uso; /* the kernel gives and takes UDP super-packets */
};

struct plait_tun_options {
    const char *name; /* `plait0`; with a %d the kernel chooses the number */
    bool multi_queue; /* plait_tun_open_queue may follow: the kernel spreads flows over the queues */
    bool plain;       /* no offloads: every packet by itself, with its checksum done; for comparison */
};

/*
 * Creates the device and its first queue; needs CAP_NET_ADMIN. PLAIT_ERR_ARG for a name that is none,
 * PLAIT_ERR_STATE where an interface of that name is there already, PLAIT_ERR_NOTFOUND where the kernel has no
 * TUN, PLAIT_ERR_IO (errno).
 */
PLAIT_MUST_USE int plait_tun_open(struct plait_tun *t, const struct plait_tun_options *o);
/* Another queue of the same device, for another thread. PLAIT_ERR_IO. */
PLAIT_MUST_USE int plait_tun_open_queue(const struct plait_tun *first, struct plait_tun *out);
void plait_tun_close(struct plait_tun *t);

/* Sets the MTU and the addresses, and brings it up. PLAIT_ERR_IO (errno). */
PLAIT_MUST_USE int plait_tun_set(const struct plait_tun *t, unsigned mtu,
                                 const struct plait_prefix *addresses, size_t count);
PLAIT_MUST_USE int plait_tun_set_mtu(const struct plait_tun *t, unsigned mtu);

/*
 * One frame. Returns its length, 0 where nothing is there now, PLAIT_ERR_IO where the device is gone or down
 * (errno). `size` of PLAIT_TUN_FRAME_MAX is always enough; what is longer is cut and its rest lost.
 */
PLAIT_MUST_USE int plait_tun_read(const struct plait_tun *t, void *out, size_t size);
/*
 * One frame, gathered. PLAIT_ERR_LIMIT where the kernel has no room now, PLAIT_ERR_FORMAT where it refuses this
 * frame, PLAIT_ERR_IO where the device is gone or down: it is lost in each case.
 */
PLAIT_MUST_USE int plait_tun_write(const struct plait_tun *t, const struct iovec *parts, size_t count);

#endif
