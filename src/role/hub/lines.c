#include <stdlib.h>

#include "hub_int.h"

#define RATE_FIRST 125000.0 /* bytes/s, where nothing is known */

static struct plait_hub_line **find(struct plait_hub_worker *w, uint64_t id)
{
    struct plait_hub_line **at = &w->lines[id % PLAIT_HUB_LINE_BUCKETS];

    while (*at != NULL && (*at)->id != id)
        at = &(*at)->next;
    return at;
}

static struct plait_hub_line *find_or_make(struct plait_hub_worker *w, uint64_t id)
{
    struct plait_hub_line **at = find(w, id);

    if (*at == NULL && (*at = calloc(1, sizeof **at)) != NULL) {
        (*at)->id = id;
        plait_line_init(&(*at)->line, RATE_FIRST);
    }
    return *at;
}

static void leave(struct plait_member *m, unsigned path)
{
    struct plait_hub_line *l = m->seats[path].line;

    if (l == NULL)
        return;
    plait_bond_path_line(m->peer.bond, path, NULL, false);
    m->seats[path].line = NULL;
    if (l->owner == m)
        l->owner = NULL;
    if (--l->seats > 0)
        return;
    *find(m->worker, l->id) = l->next;
    plait_line_done(&l->line);
    free(l);
}

void plait_member_name_line(struct plait_member *m, unsigned path, uint64_t line, bool owner)
{
    struct plait_member_seat *s = &m->seats[path];

    if (s->id == line && s->owner == owner)
        return;
    leave(m, path);
    s->id = line;
    s->owner = owner;
    if (m->has_peer)
        plait_member_take_seat(m, path);
}

void plait_member_take_seat(struct plait_member *m, unsigned path)
{
    struct plait_member_seat *s = path < PLAIT_BOND_PATHS ? &m->seats[path] : NULL;

    if (s == NULL || s->id == 0 || s->line != NULL || (m->peer.known >> path & 1) == 0)
        return;
    s->line = find_or_make(m->worker, s->id);
    if (s->line == NULL)
        return; /* it goes without */
    s->line->seats++;
    if (s->owner && s->line->owner == NULL)
        s->line->owner = m;
    plait_bond_path_line(m->peer.bond, path, &s->line->line, s->owner && s->line->owner == m);
}
