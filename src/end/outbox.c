#include "outbox.h"

#include <stdlib.h>
#include <string.h>

int plait_outbox_init(struct plait_outbox *o, size_t room)
{
    memset(o, 0, sizeof *o);
    o->room = room;
    o->bytes = malloc(PLAIT_OUTBOX_PACKETS * room);
    return o->bytes != NULL ? PLAIT_OK : PLAIT_ERR_NOMEM;
}

void plait_outbox_done(struct plait_outbox *o)
{
    free(o->bytes);
    o->bytes = NULL;
}

uint8_t *plait_outbox_room(struct plait_outbox *o)
{
    if (o->count == PLAIT_OUTBOX_PACKETS)
        plait_outbox_flush(o);
    return o->bytes + o->count * o->room;
}

/* Which run goes there; PLAIT_OUTBOX_ENDS where there is none and no room for one. */
static size_t find_run(struct plait_outbox *o, const struct plait_udp *udp, const struct plait_udp_end *end)
{
    for (size_t i = 0; i < o->run_count; i++)
        if (o->runs[i].end == end && o->runs[i].udp == udp)
            return i;
    return o->run_count < PLAIT_OUTBOX_ENDS ? o->run_count++ : PLAIT_OUTBOX_ENDS;
}

void plait_outbox_add(struct plait_outbox *o, size_t len, struct plait_udp *udp,
                      const struct plait_udp_end *end)
{
    uint8_t *data = o->bytes + o->count * o->room;
    size_t run = find_run(o, udp, end);

    if (run == PLAIT_OUTBOX_ENDS) {
        plait_outbox_flush(o);
        memmove(o->bytes, data, len);
        data = o->bytes;
        run = find_run(o, udp, end);
    }
    if (o->runs[run].count == 0)
        o->runs[run] = (struct plait_outbox_run){.udp = udp, .end = end};
    o->runs[run].count++;
    o->run_of[o->count] = (uint8_t)run;
    o->packets[o->count++] = (struct plait_udp_packet){.data = data, .len = (uint32_t)len, .end = end};
}

static void sort(struct plait_outbox *o)
{
    uint32_t at = 0, next[PLAIT_OUTBOX_ENDS];

    for (size_t i = 0; i < o->run_count; i++) {
        next[i] = o->runs[i].first = at;
        at += o->runs[i].count;
    }
    for (size_t i = 0; i < o->count; i++)
        o->sorted[next[o->run_of[i]]++] = o->packets[i];
}

/* What does not leave at once is lost: nothing may wait here, or the paces of the paths would mean nothing. */
static void send_run(struct plait_outbox *o, const struct plait_outbox_run *run)
{
    const struct plait_udp_packet *list = o->sorted + run->first;
    size_t left = run->count, sent;

    while (left > 0) {
        enum plait_udp_trouble what = plait_udp_send(run->udp, list, left, &sent);
        left -= sent;
        list += sent;
        if (what == PLAIT_UDP_OK || left == 0)
            continue;
        if (o->trouble != NULL)
            o->trouble(o->ctx, run->end, what);
        size_t drop = what == PLAIT_UDP_TOO_LONG || what == PLAIT_UDP_REFUSED ? 1 : left;
        o->lost += drop;
        left -= drop;
        list += drop;
    }
}

void plait_outbox_keep_order(struct plait_outbox *o)
{
    o->keeps_order = true;
}

/* Runs of those that follow each other anyway. */
static void send_in_order(struct plait_outbox *o)
{
    memcpy(o->sorted, o->packets, o->count * sizeof *o->packets);
    for (uint32_t i = 0, n; i < o->count; i += n) {
        struct plait_outbox_run run = o->runs[o->run_of[i]];
        for (n = 1; i + n < o->count && o->run_of[i + n] == o->run_of[i];)
            n++;
        run.first = i;
        run.count = n;
        send_run(o, &run);
    }
}

void plait_outbox_flush(struct plait_outbox *o)
{
    if (o->keeps_order && o->run_count > 1 && o->count <= PLAIT_OUTBOX_ORDER) {
        send_in_order(o);
    } else {
        sort(o);
        for (size_t i = 0; i < o->run_count; i++)
            send_run(o, &o->runs[i]);
    }
    memset(o->runs, 0, sizeof o->runs);
    o->run_count = o->count = 0;
    o->keeps_order = false;
}
