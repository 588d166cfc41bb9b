/*
 * What plait status tells of the direction in which the other end sends: asked for when somebody wants to know, and
 * good for some seconds. And the last word of an end that leaves.
 */
#ifndef PLAIT_END_INQUIRY_H
#define PLAIT_END_INQUIRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bond.h"
#include "tell.h"
#include "units.h"

#define PLAIT_INQUIRY_FRESH (1 * PLAIT_S) /* not asked for again */
#define PLAIT_INQUIRY_GOOD  (5 * PLAIT_S)

struct plait_inquiry {
    bool was_asked;    /* by the other end */
    bool has_left;     /* the other end says so */
    uint64_t asked_at; /* we did; 0 = never */
    uint64_t other_at; /* the answer came; 0 = never */
    struct plait_tell other;
};

/* A CONTROL message came. Anything but what tell.h has is left alone. */
void plait_inquiry_on_control(struct plait_inquiry *x, uint64_t now, const uint8_t *bytes, size_t len);
/* Answers where the other end has asked; outside of the bond's callbacks. */
void plait_inquiry_answer(struct plait_inquiry *x, struct plait_bond *bond, uint64_t now);
/* Asks, unless there is a fresh answer. Returns whether one is awaited. */
bool plait_inquiry_ask(struct plait_inquiry *x, struct plait_bond *bond, uint64_t now);
/* Says good-bye, once. Nobody confirms it. */
void plait_inquiry_leave(struct plait_bond *bond, uint64_t now);
/* What the other end has said, or NULL where that is too old. */
const struct plait_tell *plait_inquiry_other(const struct plait_inquiry *x, uint64_t now);

#endif
