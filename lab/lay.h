/*
 * Lays a topology: makes namespaces, devices, addresses, routes and rules.
 *
 * In every host, each link has a routing table of its own, so that what is bound to its device leaves by it.
 * What is bound to an address leaves by that address's link at a link's *first* host (the user of the link,
 * who may have several and chooses); at its second host the link towards the destination comes first, so that
 * replies find the link on which their peer is.
 */
#ifndef PLAIT_LAB_LAY_H
#define PLAIT_LAB_LAY_H

#include "topology.h"
#include <stdio.h>

/*
 * On success `tun_fd[link][end]` holds the descriptors of the emulated links' devices (−1 for a veth), owned
 * by the caller. On failure something may have been laid: lab_state_clear takes it away. `told`, unless NULL,
 * gets the commands given.
 */
PLAIT_MUST_USE int lab_lay(const struct lab_topology *topology, const char *id, int tun_fd[LAB_LINKS_MAX][2],
                           FILE *told);

#endif
