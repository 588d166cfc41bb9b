/*
 * An address of IPv4 or IPv6 and how many of its first bits count: a network, or an address and its network.
 */
#ifndef PLAIT_IO_PREFIX_H
#define PLAIT_IO_PREFIX_H

#include <stdint.h>
#include <sys/socket.h>

struct plait_prefix {
    int family;          /* AF_INET, AF_INET6 */
    uint8_t address[16]; /* the first 4 for AF_INET, the others 0 */
    unsigned bits;
};

#endif
