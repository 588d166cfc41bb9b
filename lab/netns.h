/*
 * Network namespaces of a lab: names, entering, TUN devices, the ip program, and sweeping up.
 *
 * A lab's namespaces are named plait-ID-HOST and live in /run/netns, so that `ip netns` knows them. Failures
 * are told on standard error where they happen.
 */
#ifndef PLAIT_LAB_NETNS_H
#define PLAIT_LAB_NETNS_H

#include "err.h"
#include <stdbool.h>
#include <stddef.h>

enum {
    LAB_ID_MAX = 9, /* with the 0 */
    LAB_NETNS_MAX = 64,
};

void lab_netns_name(char out[LAB_NETNS_MAX], const char *id, const char *host);
/* Moves this thread into the namespace; the process's own is what `lab_netns_leave` returns to. */
PLAIT_MUST_USE int lab_netns_enter(const char *name);
PLAIT_MUST_USE int lab_netns_leave(void);
/* A new TUN device `dev` in the namespace: IP packets without header, no offload, non-blocking. Returns its
 * descriptor. */
PLAIT_MUST_USE int lab_netns_tun(const char *name, const char *dev);
/* Gives `lines` to `ip -4 -batch`, or `ip -6`, in the namespace (NULL: in the process's own, to make
 * namespaces). */
PLAIT_MUST_USE int lab_netns_ip(const char *name, bool six, const char *lines);
/* Writes a sysctl (dotted name) of the namespace. */
PLAIT_MUST_USE int lab_netns_sysctl(const char *name, const char *key, const char *value);
/* Whether there are namespaces of that id, whoever made them. */
bool lab_netns_taken(const char *id);
/* Ends the processes that still run in the lab's namespaces, and removes the namespaces. */
void lab_netns_sweep(const char *id);

#endif
