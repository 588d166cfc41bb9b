/*
 * Datagrams on their way out: filled in the order in which the bonds give them, sent in runs, those to one end
 * behind each other, so that they leave as few large messages (udp.h).
 */
#ifndef PLAIT_END_OUTBOX_H
#define PLAIT_END_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "udp.h"

#define PLAIT_OUTBOX_PACKETS 256u
#define PLAIT_OUTBOX_ENDS    32u /* different ones at a time */
#define PLAIT_OUTBOX_ORDER   64u

struct plait_outbox_run {
    struct plait_udp *udp;
    const struct plait_udp_end *end;
    uint32_t count, first; /* first: where in `sorted` it begins, while being sent */
};

struct plait_outbox {
    uint8_t *bytes; /* owned: PLAIT_OUTBOX_PACKETS buffers */
    size_t room;    /* of each */
    struct plait_udp_packet packets[PLAIT_OUTBOX_PACKETS], sorted[PLAIT_OUTBOX_PACKETS];
    uint8_t run_of[PLAIT_OUTBOX_PACKETS];
    struct plait_outbox_run runs[PLAIT_OUTBOX_ENDS];
    size_t count, run_count;
    bool keeps_order; /* of what is in it, see plait_outbox_keep_order */
    /* Something did not leave: `end` is where it should have gone. May be NULL. */
    void (*trouble)(void *ctx, const struct plait_udp_end *end, enum plait_udp_trouble what);
    void *ctx;
    uint64_t lost; /* datagrams that the system did not take */
};

/* PLAIT_ERR_NOMEM. `room` is the longest datagram. */
PLAIT_MUST_USE int plait_outbox_init(struct plait_outbox *o, size_t room);
void plait_outbox_done(struct plait_outbox *o);
/* Where the next datagram is to be written; sends what there is when the box is full. */
uint8_t *plait_outbox_room(struct plait_outbox *o);
/* The datagram of `len` bytes that was written there goes to `end` through `udp`; both borrowed until flush. */
void plait_outbox_add(struct plait_outbox *o, size_t len, struct plait_udp *udp,
                      const struct plait_udp_end *end);
/*
 * What is in the box leaves in the order in which it was added, also where that takes more system calls; unless it is
 * more than PLAIT_OUTBOX_ORDER, when the links have long had to queue. Until the next flush.
 */
void plait_outbox_keep_order(struct plait_outbox *o);
void plait_outbox_flush(struct plait_outbox *o);

#endif
