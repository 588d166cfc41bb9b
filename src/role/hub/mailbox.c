#include "mailbox.h"

#include <stdlib.h>
#include <string.h>

int plait_mailbox_init(struct plait_mailbox *m, size_t room)
{
    memset(m, 0, sizeof *m);
    m->room = room;
    m->bytes = malloc(PLAIT_MAILBOX_SLOTS * room);
    for (unsigned i = 0; i < PLAIT_MAILBOX_SLOTS; i++)
        atomic_init(&m->slots[i].turn, i);
    return m->bytes != NULL ? PLAIT_OK : PLAIT_ERR_NOMEM;
}

void plait_mailbox_done(struct plait_mailbox *m)
{
    free(m->bytes);
    m->bytes = NULL;
}

/* Gives a place to write to, or false. A slot's turn says whose it is: place = free for that place's writer. */
static bool claim(struct plait_mailbox *m, unsigned *place)
{
    unsigned at = atomic_load_explicit(&m->head, memory_order_relaxed);

    for (;;) {
        struct plait_mailbox_slot *slot = &m->slots[at % PLAIT_MAILBOX_SLOTS];
        unsigned turn = atomic_load_explicit(&slot->turn, memory_order_acquire);
        if (turn == at) {
            if (atomic_compare_exchange_weak_explicit(&m->head, &at, at + 1, memory_order_relaxed,
                                                      memory_order_relaxed))
                break;
        } else if ((int)(turn - at) < 0) {
            return false; /* not emptied yet */
        } else {
            at = atomic_load_explicit(&m->head, memory_order_relaxed);
        }
    }
    *place = at;
    return true;
}

bool plait_mailbox_put(struct plait_mailbox *m, const uint8_t *packet, size_t len)
{
    unsigned at;

    if (len > m->room || !claim(m, &at)) {
        atomic_fetch_add_explicit(&m->lost, 1, memory_order_relaxed);
        return false;
    }
    struct plait_mailbox_slot *slot = &m->slots[at % PLAIT_MAILBOX_SLOTS];
    memcpy(m->bytes + at % PLAIT_MAILBOX_SLOTS * m->room, packet, len);
    slot->len = (uint32_t)len;
    atomic_store_explicit(&slot->turn, at + 1, memory_order_release);
    return true;
}

uint8_t *plait_mailbox_peek(struct plait_mailbox *m, size_t *len)
{
    struct plait_mailbox_slot *slot = &m->slots[m->tail % PLAIT_MAILBOX_SLOTS];

    if (atomic_load_explicit(&slot->turn, memory_order_acquire) != m->tail + 1)
        return NULL;
    *len = slot->len;
    return m->bytes + m->tail % PLAIT_MAILBOX_SLOTS * m->room;
}

void plait_mailbox_drop(struct plait_mailbox *m)
{
    struct plait_mailbox_slot *slot = &m->slots[m->tail % PLAIT_MAILBOX_SLOTS];

    atomic_store_explicit(&slot->turn, m->tail + PLAIT_MAILBOX_SLOTS, memory_order_release);
    m->tail++;
}
