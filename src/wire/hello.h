/*
 * What the two ends of a tunnel tell each other at log-on, inside the handshake's sealed payload, and later in
 * CONTROL datagrams.
 *
 *      type u8 · length u8 · value of `length` bytes, one after the other
 *
 * with numbers in big-endian order. Any field may be left out; one of a type that the receiver does not know is
 * skipped, and so is what a known one has behind the bytes that the receiver knows. A field that may be there
 * once only counts as it came last.
 */
#ifndef PLAIT_WIRE_HELLO_H
#define PLAIT_WIRE_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define PLAIT_HELLO_NAME_MAX  32u /* letters, digits, `.`, `_` and `-`; the first is a letter or a digit */
#define PLAIT_HELLO_PATHS_MAX 14u /* as many as a tunnel has */
/* Enough for every field at its longest. */
#define PLAIT_HELLO_BYTES_MAX 512u

enum plait_hello_type {
    PLAIT_HELLO_NAME = 1,
    PLAIT_HELLO_MTU = 2,  /* u16 */
    PLAIT_HELLO_V4 = 3,   /* 4 bytes, prefix length u8 */
    PLAIT_HELLO_V6 = 4,   /* 16 bytes, prefix length u8 */
    PLAIT_HELLO_PORT = 5, /* u16 */
    PLAIT_HELLO_LAN = 6,  /* u32 */
    PLAIT_HELLO_PATH =
        7, /* id u8, flags u8, weight down u32, up u32, limit down u64, line u64; once for each path */
    PLAIT_HELLO_GROUP = 8, /* u64 */
};

/* What a node says of one of its paths, and wishes the hub to observe on its way down. */
struct plait_hello_path {
    uint8_t id;
    bool backup;                     /* to be used only where the others do not suffice */
    uint32_t weight_down, weight_up; /* 0 = as measured */
    uint64_t limit_down;             /* bytes/s; 0 = none */
    uint64_t line; /* paths of one number, of whatever node, lead over one line; 0 = nobody else's do */
    bool owner;    /* the line is this node's */
};

/* Where a `has_` is false, or a count or length 0, the field is not there. */
struct plait_hello {
    char name[PLAIT_HELLO_NAME_MAX + 1];
    uint16_t mtu; /* of the packets inside; 0 = not there */
    bool has_v4, has_v6;
    uint8_t v4[4], v6[16]; /* the node's address within */
    uint8_t v4_bits, v6_bits;
    uint16_t port; /* of the hub's, to be used from now on; 0 = not there */
    bool has_lan;
    uint32_t lan;
    uint64_t group; /* nodes of one number share lines, and want one place at the hub; 0 = not there */
    struct plait_hello_path paths[PLAIT_HELLO_PATHS_MAX];
    size_t path_count;
};

bool plait_hello_name_is_good(const char *name, size_t len);
/* Returns how many bytes were written, PLAIT_ERR_ARG for what no decoder would take, PLAIT_ERR_LIMIT for want of
 * room. */
PLAIT_MUST_USE int plait_hello_encode(const struct plait_hello *hello, uint8_t *out, size_t size);
/*
 * PLAIT_ERR_TRUNC where a field ends early, PLAIT_ERR_RANGE for a value that cannot be, PLAIT_ERR_FORMAT for a
 * name that is none, PLAIT_ERR_LIMIT for more than PLAIT_HELLO_BYTES_MAX bytes. Of paths beyond the bound the first
 * ones are taken.
 */
PLAIT_MUST_USE int plait_hello_decode(const uint8_t *bytes, size_t len, struct plait_hello *out);

#endif
