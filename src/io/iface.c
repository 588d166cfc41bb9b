#include "iface.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

socklen_t plait_address_len(const struct sockaddr *address)
{
    return address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

/* The bytes of the address alone; NULL for a family that is not IP. */
static const uint8_t *bytes_of(const struct sockaddr *a, size_t *len)
{
    if (a->sa_family == AF_INET) {
        *len = sizeof(struct in_addr);
        return (const uint8_t *)&((const struct sockaddr_in *)(const void *)a)->sin_addr;
    }
    if (a->sa_family == AF_INET6) {
        *len = sizeof(struct in6_addr);
        return (const uint8_t *)&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr;
    }
    *len = 0;
    return NULL;
}

const char *plait_address_text(const struct sockaddr *address, char out[PLAIT_ADDRESS_TEXT_MAX])
{
    size_t len;
    const uint8_t *bytes = bytes_of(address, &len);

    if (bytes == NULL || inet_ntop(address->sa_family, bytes, out, PLAIT_ADDRESS_TEXT_MAX) == NULL)
        snprintf(out, PLAIT_ADDRESS_TEXT_MAX, "?");
    return out;
}

bool plait_iface_is_up(const char *name)
{
    struct ifreq request = {0};
    bool up = false;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return false;
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    if (ioctl(fd, SIOCGIFFLAGS, &request) == 0)
        up = (request.ifr_flags & IFF_UP) != 0 && (request.ifr_flags & IFF_RUNNING) != 0;
    close(fd);
    return up;
}

static bool is_same(const struct sockaddr *a, const struct sockaddr *b)
{
    size_t a_len, b_len;
    const uint8_t *a_bytes = bytes_of(a, &a_len), *b_bytes = bytes_of(b, &b_len);

    return a_bytes != NULL && a->sa_family == b->sa_family && memcmp(a_bytes, b_bytes, a_len) == 0;
}

static bool is_in_network(const struct sockaddr *address, const struct sockaddr *own,
                          const struct sockaddr *mask)
{
    size_t len, own_len, mask_len;
    const uint8_t *a = bytes_of(address, &len), *o = bytes_of(own, &own_len);

    if (a == NULL || mask == NULL || own->sa_family != address->sa_family)
        return false;
    const uint8_t *m = bytes_of(mask, &mask_len);
    for (size_t i = 0; i < len; i++)
        if (m == NULL || ((a[i] ^ o[i]) & m[i]) != 0)
            return false;
    return true;
}

static bool owns(const struct ifaddrs *entry, const struct sockaddr *address)
{
    if (entry->ifa_addr == NULL)
        return false;
    return is_same(entry->ifa_addr, address) || ((entry->ifa_flags & IFF_LOOPBACK) != 0 &&
                                                 is_in_network(address, entry->ifa_addr, entry->ifa_netmask));
}

int plait_iface_of_address(const struct sockaddr *address, char name[IF_NAMESIZE])
{
    struct ifaddrs *list;
    int result = PLAIT_ERR_NOTFOUND;

    if (getifaddrs(&list) != 0)
        return PLAIT_ERR_IO;
    for (const struct ifaddrs *i = list; i != NULL; i = i->ifa_next) {
        if (!owns(i, address))
            continue;
        snprintf(name, IF_NAMESIZE, "%s", i->ifa_name);
        result = PLAIT_OK;
        break;
    }
    freeifaddrs(list);
    return result;
}

static bool is_link_local(const struct sockaddr *a)
{
    return a->sa_family == AF_INET6 &&
           IN6_IS_ADDR_LINKLOCAL(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr);
}

int plait_iface_address(const char *name, const struct sockaddr *dest, struct sockaddr_storage *out)
{
    struct ifaddrs *list;
    int result = PLAIT_ERR_NOTFOUND;

    if (getifaddrs(&list) != 0)
        return PLAIT_ERR_IO;
    for (const struct ifaddrs *i = list; i != NULL; i = i->ifa_next) {
        if (i->ifa_addr == NULL || i->ifa_addr->sa_family != dest->sa_family ||
            strcmp(i->ifa_name, name) != 0 || is_link_local(i->ifa_addr) != is_link_local(dest))
            continue;
        memset(out, 0, sizeof *out);
        memcpy(out, i->ifa_addr, plait_address_len(i->ifa_addr));
        result = PLAIT_OK;
        break;
    }
    freeifaddrs(list);
    return result;
}
