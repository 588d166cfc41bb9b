#include "multicast.h"

#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

static int join_v4(int fd, int index, const union plait_udp_address *group)
{
    struct ip_mreqn request = {.imr_multiaddr = group->v4.sin_addr, .imr_ifindex = index};

    return setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request);
}

static int join_v6(int fd, int index, const union plait_udp_address *group)
{
    struct ipv6_mreq request = {.ipv6mr_multiaddr = group->v6.sin6_addr, .ipv6mr_interface = (unsigned)index};

    return setsockopt(fd, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &request, sizeof request);
}

int plait_multicast_join(const struct plait_udp *u, const char *interface,
                         const union plait_udp_address *group)
{
    int index = (int)if_nametoindex(interface);

    if (index == 0)
        return PLAIT_ERR_NOTFOUND;
    if (group->any.sa_family != u->family)
        return PLAIT_ERR_ARG;
    int done = u->family == AF_INET6 ? join_v6(u->fd, index, group) : join_v4(u->fd, index, group);
    return done == 0 ? PLAIT_OK : PLAIT_ERR_IO;
}

static int from_v4(int fd, int index)
{
    struct ip_mreqn request = {.imr_ifindex = index};
    const int one = 1;

    return setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof request) |
           setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &one, sizeof one) |
           setsockopt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &one, sizeof one);
}

static int from_v6(int fd, int index)
{
    const int one = 1;

    return setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof index) |
           setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &one, sizeof one) |
           setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, &one, sizeof one);
}

int plait_multicast_from(const struct plait_udp *u, const char *interface)
{
    int index = (int)if_nametoindex(interface);
    const int one = 1;

    if (index == 0)
        return PLAIT_ERR_NOTFOUND;
    int done = setsockopt(u->fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof one);
    done |= u->family == AF_INET6 ? from_v6(u->fd, index) : from_v4(u->fd, index);
    return done == 0 ? PLAIT_OK : PLAIT_ERR_IO;
}
