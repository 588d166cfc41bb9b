/*
 * The attributes of one message of rtnetlink(7), by their type.
 */
#ifndef PLAIT_IO_RTATTRS_H
#define PLAIT_IO_RTATTRS_H

#include <libmnl/libmnl.h>
#include <stdint.h>

struct plait_rtattrs {
    const struct nlattr *at[64]; /* borrow the message; NULL = not there */
};

/* After a header of `offset` bytes. */
void plait_rtattrs_read(const struct nlmsghdr *message, unsigned offset, struct plait_rtattrs *out);
uint32_t plait_rtattrs_u32(const struct plait_rtattrs *a, unsigned type, uint32_t otherwise);

#endif
