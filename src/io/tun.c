#include "tun.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rtnl.h"

#ifndef TUN_F_USO4 /* Linux 6.2 */
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define VNET_BYTES 10

static bool is_name(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len < IF_NAMESIZE && strpbrk(name, "/ \t") == NULL && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0;
}

/* A descriptor attached to the device of that name, or −1. */
static int attach(struct ifreq *request)
{
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    if (fd >= 0 && ioctl(fd, TUNSETIFF, request) != 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

static int set_offloads(int fd, bool plain, bool *uso)
{
    const unsigned long tso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
    const int vnet_bytes = VNET_BYTES;

    *uso = false;
    if (ioctl(fd, TUNSETVNETHDRSZ, &vnet_bytes) != 0)
        return PLAIT_ERR_IO;
    if (plain)
        return ioctl(fd, TUNSETOFFLOAD, 0UL) == 0 ? PLAIT_OK : PLAIT_ERR_IO;
    if (ioctl(fd, TUNSETOFFLOAD, tso | TUN_F_USO4 | TUN_F_USO6) == 0) {
        *uso = true;
        return PLAIT_OK;
    }
    return ioctl(fd, TUNSETOFFLOAD, tso) == 0 ? PLAIT_OK : PLAIT_ERR_IO;
}

static short flags_of(bool multi_queue)
{
    return (short)(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | (multi_queue ? IFF_MULTI_QUEUE : 0));
}

int plait_tun_open(struct plait_tun *t, const struct plait_tun_options *o)
{
    struct ifreq request = {0};
    int fd, err;

    if (!is_name(o->name))
        return PLAIT_ERR_ARG;
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", o->name);
    /* Never somebody else's, which may be persistent or have a free queue. */
    if (strchr(o->name, '%') == NULL && if_nametoindex(o->name) != 0)
        return PLAIT_ERR_STATE;
    request.ifr_flags = flags_of(o->multi_queue);
    fd = attach(&request);
    if (fd < 0)
        return errno == ENOENT || errno == ENODEV || errno == ENXIO ? PLAIT_ERR_NOTFOUND
               : errno == EBUSY                                     ? PLAIT_ERR_STATE
                                                                    : PLAIT_ERR_IO;
    memset(t, 0, sizeof *t);
    t->fd = fd;
    t->multi_queue = o->multi_queue;
    memcpy(t->name, request.ifr_name, sizeof t->name);
    t->index = if_nametoindex(t->name);
    err = t->index != 0 ? set_offloads(fd, o->plain, &t->uso) : PLAIT_ERR_IO;
    if (err != PLAIT_OK)
        plait_tun_close(t);
    return err;
}

int plait_tun_open_queue(const struct plait_tun *first, struct plait_tun *out)
{
    struct ifreq request = {0};
    const int vnet_bytes = VNET_BYTES;
    int fd;

    memcpy(request.ifr_name, first->name, sizeof request.ifr_name);
    request.ifr_flags = flags_of(first->multi_queue);
    fd = attach(&request);
    if (fd < 0)
        return PLAIT_ERR_IO;
    if (ioctl(fd, TUNSETVNETHDRSZ, &vnet_bytes) != 0) {
        close(fd);
        return PLAIT_ERR_IO;
    }
    *out = *first; /* the offloads are the device's */
    out->fd = fd;
    return PLAIT_OK;
}

void plait_tun_close(struct plait_tun *t)
{
    int saved = errno;

    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
    errno = saved;
}

int plait_tun_set_mtu(const struct plait_tun *t, unsigned mtu)
{
    struct plait_rtnl r;
    int err = plait_rtnl_open(&r);

    if (err != PLAIT_OK)
        return err;
    err = plait_rtnl_set_mtu(&r, t->index, mtu);
    plait_rtnl_close(&r);
    return err == PLAIT_OK ? PLAIT_OK : PLAIT_ERR_IO;
}

int plait_tun_set(const struct plait_tun *t, unsigned mtu, const struct plait_prefix *addresses, size_t count)
{
    struct plait_rtnl r;
    int err = plait_rtnl_open(&r);

    if (err != PLAIT_OK)
        return err;
    err = plait_rtnl_set_mtu(&r, t->index, mtu);
    for (size_t i = 0; err == PLAIT_OK && i < count; i++) {
        err = plait_rtnl_add_address(&r, t->index, &addresses[i]);
        if (err == PLAIT_ERR_STATE)
            err = PLAIT_OK;
    }
    if (err == PLAIT_OK)
        err = plait_rtnl_set_up(&r, t->index, true);
    plait_rtnl_close(&r);
    return err == PLAIT_OK ? PLAIT_OK : PLAIT_ERR_IO;
}

int plait_tun_read(const struct plait_tun *t, void *out, size_t size)
{
    ssize_t len;

    do
        len = read(t->fd, out, size < INT_MAX ? size : INT_MAX);
    while (len < 0 && errno == EINTR);
    if (len >= 0)
        return (int)len;
    return errno == EAGAIN ? 0 : PLAIT_ERR_IO;
}

int plait_tun_write(const struct plait_tun *t, const struct iovec *parts, size_t count)
{
    ssize_t len;

    do
        len = writev(t->fd, parts, (int)count);
    while (len < 0 && errno == EINTR);
    if (len >= 0)
        return PLAIT_OK;
    if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM)
        return PLAIT_ERR_LIMIT;
    return errno == EINVAL || errno == EMSGSIZE || errno == EFAULT ? PLAIT_ERR_FORMAT : PLAIT_ERR_IO;
}
