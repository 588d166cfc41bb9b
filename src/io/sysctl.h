/*
 * Settings of the kernel's network, of this network namespace: files below /proc/sys/net.
 */
#ifndef PLAIT_IO_SYSCTL_H
#define PLAIT_IO_SYSCTL_H

#include <stdint.h>

#include "err.h"

/* `name` as in `ipv4/ip_forward`. PLAIT_ERR_NOTFOUND where there is none, PLAIT_ERR_IO (errno). */
PLAIT_MUST_USE int plait_sysctl_get(const char *name, int64_t *out);
PLAIT_MUST_USE int plait_sysctl_set(const char *name, int64_t value);

#endif
