/*
 * What `plait status` tells of a tunnel, as JSON (plait-status(1) describes the members).
 *
 * Rates are bytes a second, times milliseconds, shares parts of 1. `up` is from the node to the hub, `down` back,
 * at either end; what only the other end of the tunnel knows is there where it has told us (inquiry.h).
 */
#ifndef PLAIT_END_REPORT_H
#define PLAIT_END_REPORT_H

#include <jansson.h>
#include <stdbool.h>

#include "bond.h"
#include "session.h"
#include "tell.h"

const char *plait_report_state(enum plait_bond_path_state state);
/*
 * The paths in use, an array: the caller adds their names (json_array_get, member "path" is the number). `sends_up`:
 * this is the node's end. `other`: what the other end says, or NULL. NULL without memory.
 */
json_t *plait_report_paths(const struct plait_bond *bond, uint64_t now, bool sends_up,
                           const struct plait_tell *other);
/* The whole: members `up`, `down`, `queue`, `reorder`. NULL without memory. */
json_t *plait_report_bond(const struct plait_bond *bond, uint64_t now, bool sends_up);
/* Keys: cipher, age, handshakes, refused packets. NULL without memory. */
json_t *plait_report_session(const struct plait_session *session, uint64_t now);

#endif
