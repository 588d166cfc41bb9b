#include "origin.h"

#include <arpa/inet.h>
#include <string.h>

struct plait_origin plait_origin_of(const union plait_udp_address *a)
{
    struct plait_origin o = {.address = {[10] = 0xff, [11] = 0xff}};

    if (a->any.sa_family == AF_INET6) {
        memcpy(o.address, &a->v6.sin6_addr, 16);
        o.port = ntohs(a->v6.sin6_port);
    } else {
        memcpy(o.address + 12, &a->v4.sin_addr, 4);
        o.port = ntohs(a->v4.sin_port);
    }
    return o;
}
