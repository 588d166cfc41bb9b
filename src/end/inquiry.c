#include "inquiry.h"

void plait_inquiry_on_control(struct plait_inquiry *x, uint64_t now, const uint8_t *bytes, size_t len)
{
    struct plait_tell t;

    if (plait_tell_decode(bytes, len, &t) != PLAIT_OK)
        return;
    if (t.kind == PLAIT_TELL_ASK) {
        x->was_asked = true;
        return;
    }
    if (t.kind == PLAIT_TELL_LEAVE) {
        x->has_left = true;
        return;
    }
    x->other = t;
    x->other_at = now;
}

/* One that cannot be sent is as good as one that is lost. */
static void send(struct plait_bond *bond, uint64_t now, const struct plait_tell *t)
{
    uint8_t bytes[PLAIT_TELL_BYTES_MAX];
    int len = plait_tell_encode(t, bytes);

    if (len > 0)
        len = plait_bond_send_control(bond, now, -1, bytes, (size_t)len);
    (void)len;
}

void plait_inquiry_answer(struct plait_inquiry *x, struct plait_bond *bond, uint64_t now)
{
    struct plait_tell t = {.kind = PLAIT_TELL_PATHS};
    struct plait_bond_path_info info;

    if (!x->was_asked)
        return;
    x->was_asked = false;
    for (unsigned i = 0; i < PLAIT_BOND_PATHS && t.path_count < PLAIT_TELL_PATHS_MAX; i++) {
        plait_bond_path_get(bond, now, i, &info);
        if (info.state != PLAIT_BOND_PATH_NONE)
            t.paths[t.path_count++] =
                (struct plait_tell_path){.path = (uint8_t)i,
                                         .state = (uint8_t)info.state,
                                         .capacity = (uint64_t)info.rate,
                                         .rate = (uint64_t)info.sent_rate,
                                         .queue_us = (uint32_t)(info.queue_ns / PLAIT_US),
                                         .loss = info.loss};
    }
    send(bond, now, &t);
}

bool plait_inquiry_ask(struct plait_inquiry *x, struct plait_bond *bond, uint64_t now)
{
    static const struct plait_tell ask = {.kind = PLAIT_TELL_ASK};

    if (x->other_at != 0 && plait_since(now, x->other_at) < PLAIT_INQUIRY_FRESH)
        return false;
    if (x->asked_at == 0 || plait_since(now, x->asked_at) > PLAIT_INQUIRY_FRESH) {
        x->asked_at = now;
        send(bond, now, &ask);
    }
    return true;
}

void plait_inquiry_leave(struct plait_bond *bond, uint64_t now)
{
    static const struct plait_tell leave = {.kind = PLAIT_TELL_LEAVE};

    send(bond, now, &leave);
}

const struct plait_tell *plait_inquiry_other(const struct plait_inquiry *x, uint64_t now)
{
    return x->other_at != 0 && plait_since(now, x->other_at) < PLAIT_INQUIRY_GOOD ? &x->other : NULL;
}
