/*
 * When each of many things is due: a binary heap of entries that belong to the caller and know their place, so that
 * any of them can be put off or brought forward.
 */
#ifndef PLAIT_END_AGENDA_H
#define PLAIT_END_AGENDA_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

struct plait_agenda_entry {
    uint64_t at;  /* PLAIT_NEVER: not in the agenda */
    size_t place; /* in the heap, plus 1; 0 = not in it */
};

struct plait_agenda {
    struct plait_agenda_entry **heap; /* owned */
    size_t count, room;
};

/* For at most `room` entries. PLAIT_ERR_NOMEM. */
PLAIT_MUST_USE int plait_agenda_init(struct plait_agenda *a, size_t room);
void plait_agenda_done(struct plait_agenda *a);
/* PLAIT_NEVER takes it out. There must be room: no more entries than were said. */
void plait_agenda_set(struct plait_agenda *a, struct plait_agenda_entry *e, uint64_t at);
/* The one that is due first, NULL where there is none. */
struct plait_agenda_entry *plait_agenda_first(const struct plait_agenda *a);

#endif
