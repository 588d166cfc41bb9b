#include "sim_event.h"

#include <stdlib.h>
#include <string.h>

#include "sim_mem.h"
#include "units.h"

/* A heap of four children: half the levels of a binary one, and the children share a cache line or two. */
#define CHILDREN 4u

static bool sooner(const struct plait_sim_entry *a, const struct plait_sim_entry *b)
{
    return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->order < b->order);
}

static void put(struct plait_sim_events *q, uint32_t i, struct plait_sim_entry entry)
{
    q->heap[i] = entry;
    entry.event->place = i + 1;
}

static void sift_up(struct plait_sim_events *q, uint32_t i, struct plait_sim_entry entry)
{
    while (i > 0) {
        uint32_t parent = (i - 1) / CHILDREN;
        if (!sooner(&entry, &q->heap[parent]))
            break;
        put(q, i, q->heap[parent]);
        i = parent;
    }
    put(q, i, entry);
}

static void sift_down(struct plait_sim_events *q, uint32_t i, struct plait_sim_entry entry)
{
    for (;;) {
        uint32_t first = i * CHILDREN + 1, best = first;
        if (first >= q->count)
            break;
        for (uint32_t c = first + 1; c < first + CHILDREN && c < q->count; c++)
            if (sooner(&q->heap[c], &q->heap[best]))
                best = c;
        if (!sooner(&q->heap[best], &entry))
            break;
        put(q, i, q->heap[best]);
        i = best;
    }
    put(q, i, entry);
}

static void place(struct plait_sim_events *q, uint32_t i, struct plait_sim_entry entry)
{
    if (i > 0 && sooner(&entry, &q->heap[(i - 1) / CHILDREN]))
        sift_up(q, i, entry);
    else
        sift_down(q, i, entry);
}

void plait_sim_events_init(struct plait_sim_events *q)
{
    *q = (struct plait_sim_events){.hash = UINT64_C(0x706c616974)};
}

void plait_sim_events_done(struct plait_sim_events *q)
{
    free(q->heap);
    *q = (struct plait_sim_events){0};
}

uint64_t plait_sim_events_next(const struct plait_sim_events *q)
{
    return q->count > 0 ? q->heap[0].at_ns : PLAIT_NEVER;
}

void plait_sim_events_note(struct plait_sim_events *q, uint64_t word)
{
    uint64_t h = (q->hash ^ word) * UINT64_C(0x9fb21c651e98df25);
    q->hash = h ^ (h >> 32);
}

bool plait_sim_events_step(struct plait_sim_events *q, uint64_t until)
{
    if (q->count == 0 || q->heap[0].at_ns > until) {
        q->now = plait_max_u64(q->now, until);
        return false;
    }
    struct plait_sim_event *e = q->heap[0].event;

    q->now = q->heap[0].at_ns;
    plait_sim_event_unset(q, e);
    q->fired++;
    plait_sim_events_note(q, q->now);
    e->fire(e->ctx, q->now);
    return true;
}

void plait_sim_events_run(struct plait_sim_events *q, uint64_t until)
{
    while (plait_sim_events_step(q, until))
        ;
}

static void grow(struct plait_sim_events *q)
{
    uint32_t room = q->room > 0 ? q->room * 2 : 64;
    struct plait_sim_entry *heap = plait_sim_mem_new(room, sizeof(*heap));

    if (q->count > 0)
        memcpy(heap, q->heap, q->count * sizeof(*heap));
    free(q->heap);
    q->heap = heap;
    q->room = room;
}

void plait_sim_event_init(struct plait_sim_event *e, void (*fire)(void *ctx, uint64_t now), void *ctx)
{
    *e = (struct plait_sim_event){.fire = fire, .ctx = ctx};
}

void plait_sim_event_set(struct plait_sim_events *q, struct plait_sim_event *e, uint64_t at_ns)
{
    if (at_ns == PLAIT_NEVER) {
        plait_sim_event_unset(q, e);
        return;
    }
    struct plait_sim_entry entry = {plait_max_u64(at_ns, q->now), q->order_next++, e};

    if (e->place > 0) {
        place(q, e->place - 1, entry);
        return;
    }
    if (q->count == q->room)
        grow(q);
    sift_up(q, q->count++, entry);
}

void plait_sim_event_unset(struct plait_sim_events *q, struct plait_sim_event *e)
{
    if (e->place == 0)
        return;
    uint32_t hole = e->place - 1;
    struct plait_sim_entry last = q->heap[--q->count];

    e->place = 0;
    if (hole < q->count)
        place(q, hole, last);
}

uint64_t plait_sim_event_at(const struct plait_sim_events *q, const struct plait_sim_event *e)
{
    return e->place > 0 ? q->heap[e->place - 1].at_ns : PLAIT_NEVER;
}
