/*
 * The event queue of the simulator: virtual time, and the things that will happen in it.
 *
 * An event lives inside the thing it belongs to; the queue borrows it while it is set. Events of one instant
 * happen in the order in which they were set. The queue also keeps the trace hash: every event that happens
 * is mixed into it, and so is every word noted by those who take part, so that two runs with one hash did the
 * same things at the same times.
 */
#ifndef PLAIT_SIM_EVENT_H
#define PLAIT_SIM_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct plait_sim_event {
    void (*fire)(void *ctx, uint64_t now);
    void *ctx;      /* borrows */
    uint32_t place; /* in the heap, counted from 1; 0 = not set */
};

struct plait_sim_entry {
    uint64_t at_ns;
    uint64_t order;
    struct plait_sim_event *event; /* borrows */
};

struct plait_sim_events {
    struct plait_sim_entry *heap; /* owns */
    uint32_t count;
    uint32_t room;
    uint64_t now;
    uint64_t order_next;
    uint64_t fired;
    uint64_t hash;
};

void plait_sim_events_init(struct plait_sim_events *q);
/* Events that are still set are forgotten. */
void plait_sim_events_done(struct plait_sim_events *q);
/* When the next event happens, or PLAIT_NEVER. */
uint64_t plait_sim_events_next(const struct plait_sim_events *q);
/* Lets the next event happen if it is not later than `until`. Returns false, with the time set to `until`, if
 * none is. */
bool plait_sim_events_step(struct plait_sim_events *q, uint64_t until);
/* Lets everything up to and including `until` happen. */
void plait_sim_events_run(struct plait_sim_events *q, uint64_t until);
/* Mixes a word into the trace hash. */
void plait_sim_events_note(struct plait_sim_events *q, uint64_t word);

void plait_sim_event_init(struct plait_sim_event *e, void (*fire)(void *ctx, uint64_t now), void *ctx);
/* Sets the event, or moves it; a time already past means now; PLAIT_NEVER unsets it. */
void plait_sim_event_set(struct plait_sim_events *q, struct plait_sim_event *e, uint64_t at_ns);
void plait_sim_event_unset(struct plait_sim_events *q, struct plait_sim_event *e);
/* When it is set to happen, or PLAIT_NEVER. */
uint64_t plait_sim_event_at(const struct plait_sim_events *q, const struct plait_sim_event *e);

#endif
