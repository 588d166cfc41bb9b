/*
 * Sealed datagrams that come in at another worker's port than their session's: one of the node's uplinks does not get
 * through to the port that the node was told, and so stays at the known one. They are handed on, and answered from
 * the port that they came in by: the way may be open for that one alone.
 *
 * The number in front of a sealed datagram begins with the worker's. Each worker has copies of the others' sockets:
 * the kernel does not mind who sends by a descriptor, and the rest is nobody else's.
 */
#include <string.h>

#include "hub_int.h"

#define WORKER_AT 2 /* first byte of the receiver's number */

struct stray {
    struct plait_udp_end end;
    uint8_t worker, socket; /* where it came in */
};

/* Longest datagram that is handed on. */
static size_t room_of(const struct plait_hub_worker *w)
{
    return w->outbox.room;
}

int plait_strays_init(struct plait_hub_worker *w)
{
    return plait_mailbox_init(&w->strays, sizeof(struct stray) + room_of(w));
}

void plait_strays_done(struct plait_hub_worker *w)
{
    plait_mailbox_done(&w->strays);
}

void plait_strays_meet(struct plait_hub *h)
{
    for (unsigned i = 0; i < h->worker_count; i++)
        for (unsigned k = 0; k < h->worker_count; k++)
            for (size_t s = 0; s < h->workers[k].socket_count; s++)
                h->workers[i].mates[k][s] = h->workers[k].sockets[s].udp;
}

bool plait_stray_hand_on(struct plait_hub_worker *w, const struct plait_udp *udp,
                         const struct plait_udp_packet *packet)
{
    uint8_t bytes[sizeof(struct stray) + PLAIT_HUB_MTU_MAX + PLAIT_PEER_OVERHEAD + PLAIT_HUB_ROOM];
    struct stray s = {.end = *packet->end, .worker = (uint8_t)w->number};
    unsigned home = packet->len > WORKER_AT ? packet->data[WORKER_AT] : w->number;

    if (home == w->number || home >= w->hub->worker_count || packet->data[0] != PLAIT_ENVELOPE_SEALED ||
        packet->len > room_of(w))
        return false;
    struct plait_hub_worker *other = &w->hub->workers[home];
    while (&w->sockets[s.socket].udp != udp)
        s.socket++;
    memcpy(bytes, &s, sizeof s);
    memcpy(bytes + sizeof s, packet->data, packet->len);
    if (plait_mailbox_put(&other->strays, bytes, sizeof s + packet->len))
        uv_async_send(&other->wake);
    return true;
}

void plait_strays_take(struct plait_hub_worker *w)
{
    uint8_t *bytes;
    size_t len;

    for (unsigned i = 0; i < PLAIT_MAILBOX_SLOTS && (bytes = plait_mailbox_peek(&w->strays, &len)) != NULL;
         i++) {
        struct stray s;
        memcpy(&s, bytes, sizeof s);
        struct plait_udp_packet packet = {
            .data = bytes + sizeof s, .len = (uint32_t)(len - sizeof s), .end = &s.end};
        struct plait_session *session = plait_sessions_find(w->sessions, packet.data, packet.len);
        if (session != NULL)
            plait_member_on_sealed(plait_session_owner(session), &w->mates[s.worker][s.socket], &packet);
        else
            w->unknown++;
        w->handed_on++;
        plait_mailbox_drop(&w->strays);
    }
}
