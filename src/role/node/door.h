/*
 * A UDP socket that is watched by the loop, and may be opened and closed at any time.
 */
#ifndef PLAIT_NODE_DOOR_H
#define PLAIT_NODE_DOOR_H

#include <stdbool.h>

#include "loop.h"
#include "udp.h"

struct plait_door_watch;

struct plait_door {
    struct plait_udp udp;           /* where it is open */
    struct plait_door_watch *watch; /* NULL = closed */
    void (*readable)(struct plait_door *door);
    void *ctx;
};

/* A blank door is closed. Errors are those of plait_udp_open; PLAIT_ERR_NOMEM. Borrows ctx. */
PLAIT_MUST_USE int plait_door_open(struct plait_door *door, struct plait_loop *loop,
                                   const struct plait_udp_options *options,
                                   void (*readable)(struct plait_door *door), void *ctx);
void plait_door_close(struct plait_door *door);
bool plait_door_is_open(const struct plait_door *door);

#endif
