/*
 * Packets that one worker has for another: a ring that any thread may fill and one empties, without locks
 * (a bounded queue with a number in each slot, after D. Vyukov). What does not fit is lost, as in any other queue.
 */
#ifndef PLAIT_HUB_MAILBOX_H
#define PLAIT_HUB_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define PLAIT_MAILBOX_SLOTS 512u

struct plait_mailbox_slot {
    atomic_uint turn;
    uint32_t len;
};

struct plait_mailbox {
    struct plait_mailbox_slot slots[PLAIT_MAILBOX_SLOTS];
    uint8_t *bytes; /* owned: a packet of `room` for each slot */
    size_t room;
    atomic_uint head; /* where the next one is put */
    unsigned tail;    /* where the next one is taken; the reader's */
    atomic_ulong lost;
};

/* PLAIT_ERR_NOMEM. */
PLAIT_MUST_USE int plait_mailbox_init(struct plait_mailbox *m, size_t room);
void plait_mailbox_done(struct plait_mailbox *m);
/* From any thread. False where it is full, or the packet too long. */
bool plait_mailbox_put(struct plait_mailbox *m, const uint8_t *packet, size_t len);
/* From the one thread: the oldest packet, borrowed, and to be written to, until plait_mailbox_drop; NULL where there is
 * none. */
uint8_t *plait_mailbox_peek(struct plait_mailbox *m, size_t *len);
void plait_mailbox_drop(struct plait_mailbox *m);

#endif
