#include "egress.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

static enum plait_egress_fail fail_of_errno(void)
{
    if (errno == ENODEV || errno == EADDRNOTAVAIL || errno == ENXIO)
        return PLAIT_EGRESS_GONE;
    return PLAIT_EGRESS_DENIED;
}

/* The address to bind to. */
static enum plait_egress_fail find_address(const struct plait_egress *e, const struct sockaddr *dest,
                                           struct sockaddr_storage *out)
{
    if (!e->has_address) {
        if (if_nametoindex(e->interface) == 0)
            return PLAIT_EGRESS_GONE;
        return plait_iface_address(e->interface, dest, out) == PLAIT_OK ? PLAIT_EGRESS_OK
                                                                        : PLAIT_EGRESS_FAMILY;
    }
    if (e->address.ss_family != dest->sa_family)
        return PLAIT_EGRESS_FAMILY;
    *out = e->address;
    return PLAIT_EGRESS_OK;
}

static enum plait_egress_fail bind_to(const struct plait_egress *e, int fd,
                                      const struct sockaddr_storage *address)
{
    static const int on = 1;
    const struct sockaddr *from = (const struct sockaddr *)address;

    if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, e->interface, (socklen_t)strlen(e->interface)) != 0)
        return fail_of_errno();
    /* Only the address matters; the port is chosen when the socket connects. */
    if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) != 0)
        return PLAIT_EGRESS_DENIED;
    return bind(fd, from, plait_address_len(from)) == 0 ? PLAIT_EGRESS_OK : fail_of_errno();
}

int plait_egress_open(const struct plait_egress *e, int type, int protocol, const struct sockaddr *dest,
                      enum plait_egress_fail *fail)
{
    struct sockaddr_storage address;
    int fd, saved;

    errno = 0;
    *fail = find_address(e, dest, &address);
    if (*fail != PLAIT_EGRESS_OK)
        return -1;
    fd = socket(dest->sa_family, type | SOCK_CLOEXEC, protocol);
    if (fd < 0) {
        *fail = PLAIT_EGRESS_SYSTEM;
        return -1;
    }
    *fail = bind_to(e, fd, &address);
    if (*fail == PLAIT_EGRESS_OK)
        return fd;
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

enum plait_egress_fail plait_egress_verify(const struct plait_egress *e, int fd)
{
    char device[IF_NAMESIZE] = "", owner[IF_NAMESIZE] = "";
    struct sockaddr_storage local = {0};
    socklen_t device_len = sizeof device, local_len = sizeof local;

    if (getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, &device_len) != 0 ||
        strncmp(device, e->interface, sizeof device) != 0)
        return PLAIT_EGRESS_ASTRAY;
    if (getsockname(fd, (struct sockaddr *)&local, &local_len) != 0 ||
        plait_iface_of_address((struct sockaddr *)&local, owner) != PLAIT_OK ||
        strcmp(owner, e->interface) != 0)
        return PLAIT_EGRESS_ASTRAY;
    return PLAIT_EGRESS_OK;
}

const char *plait_egress_fail_text(enum plait_egress_fail fail)
{
    switch (fail) {
    case PLAIT_EGRESS_OK:
        break;
    case PLAIT_EGRESS_FAMILY:
        return "it has no address of the kind that the server needs (IPv4 or IPv6)";
    case PLAIT_EGRESS_GONE:
        return "the interface or its address is not there";
    case PLAIT_EGRESS_DENIED:
        return "the kernel refuses to bind to it";
    case PLAIT_EGRESS_SYSTEM:
        return "no socket could be made";
    case PLAIT_EGRESS_ASTRAY:
        return "the connection would have left by another interface";
    }
    return "ok";
}
