#include "agenda.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "units.h"

int plait_agenda_init(struct plait_agenda *a, size_t room)
{
    memset(a, 0, sizeof *a);
    a->room = room;
    a->heap = calloc(room > 0 ? room : 1, sizeof(struct plait_agenda_entry *));
    return a->heap != NULL ? PLAIT_OK : PLAIT_ERR_NOMEM;
}

void plait_agenda_done(struct plait_agenda *a)
{
    free(a->heap);
    a->heap = NULL;
}

static void place(struct plait_agenda *a, size_t at, struct plait_agenda_entry *e)
{
    a->heap[at] = e;
    e->place = at + 1;
}

static void rise(struct plait_agenda *a, size_t at, struct plait_agenda_entry *e)
{
    while (at > 0 && a->heap[(at - 1) / 2]->at > e->at) {
        place(a, at, a->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    place(a, at, e);
}

static void sink(struct plait_agenda *a, size_t at, struct plait_agenda_entry *e)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= a->count)
            break;
        if (child + 1 < a->count && a->heap[child + 1]->at < a->heap[child]->at)
            child++;
        if (a->heap[child]->at >= e->at)
            break;
        place(a, at, a->heap[child]);
        at = child;
    }
    place(a, at, e);
}

static void settle(struct plait_agenda *a, size_t at, struct plait_agenda_entry *e)
{
    if (at > 0 && a->heap[(at - 1) / 2]->at > e->at)
        rise(a, at, e);
    else
        sink(a, at, e);
}

static void take_out(struct plait_agenda *a, struct plait_agenda_entry *e)
{
    size_t at = e->place - 1;
    struct plait_agenda_entry *last = a->heap[--a->count];

    e->place = 0;
    if (last != e)
        settle(a, at, last);
}

void plait_agenda_set(struct plait_agenda *a, struct plait_agenda_entry *e, uint64_t at)
{
    if (e->place != 0 && e->at == at)
        return;
    e->at = at;
    if (at == PLAIT_NEVER) {
        if (e->place != 0)
            take_out(a, e);
        return;
    }
    if (e->place != 0) {
        settle(a, e->place - 1, e);
        return;
    }
    assert(a->count < a->room);
    a->count++;
    rise(a, a->count - 1, e);
}

struct plait_agenda_entry *plait_agenda_first(const struct plait_agenda *a)
{
    return a->count > 0 ? a->heap[0] : NULL;
}
