/*
 * Theory of operation.
 *
 * A handshake gives keys to both ends at different moments: to the initiator with the response, to the responder as
 * soon as it has written it, but it does not know yet whether the response arrived, or whether the initiation was
 * not a copy that somebody had kept. So the responder's new keys wait (`next`) until something opens under them; until
 * then it seals with those it had. The initiator uses its new ones at once, and its owner sends something at once.
 *
 * Keys that are replaced stay for opening (`previous`) what is still under way on slower paths, until they are as
 * old as any keys may be. Each path counts its own sequence, on and on over all keys, so that a nonce is never
 * used twice under a key, whatever the order in which keys come and go.
 *
 *             initiator                              responder
 *   response: previous ← current ← new               next ← new
 *   opened:                                          under next: previous ← current ← next
 *
 * The initiator also watches for silence: something sealed, and nothing opened for PLAIT_SESSION_SILENCE. That is
 * how the forgetfulness of a responder that was started anew comes to light. It costs a handshake every few seconds
 * while all paths are dead, and nothing otherwise: the keys in use remain in use.
 */
#include "session.h"

#include <stdlib.h>
#include <string.h>

#include "session_int.h"

#define DRAWS_MAX 64

struct plait_session *plait_session_alloc(const struct plait_session_config *config,
                                          const struct plait_key *peer)
{
    struct plait_session *s = calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    s->config = *config;
    s->peer = *peer;
    s->facts.keys_since = s->facts.last_opened = PLAIT_NEVER;
    return s;
}

void plait_session_release(struct plait_session *s)
{
    if (s == NULL)
        return;
    plait_session_drop_keys(s, &s->current);
    plait_session_drop_keys(s, &s->previous);
    plait_session_drop_keys(s, &s->next);
    if (s->initiate != NULL)
        plait_initiate_free(s);
    if (s->respond != NULL)
        plait_wipe(s->respond, sizeof *s->respond);
    free(s->respond);
    plait_wipe(s, sizeof *s);
    free(s);
}

void plait_session_free(struct plait_session *s)
{
    plait_session_release(s);
}

void plait_session_drop_keys(struct plait_session *s, struct plait_keys *k)
{
    if (k->live && s->respond != NULL)
        plait_map_remove(s->respond->by_index, k->local);
    plait_keys_done(k);
}

bool plait_session_sweep(struct plait_session *s, uint64_t now)
{
    struct plait_keys *all[] = {&s->current, &s->previous, &s->next};
    bool any = false;

    for (size_t i = 0; i < PLAIT_COUNT(all); i++) {
        if (all[i]->live && !plait_keys_are_good(all[i], now))
            plait_session_drop_keys(s, all[i]);
        any |= all[i]->live;
    }
    return any;
}

static bool is_taken(const struct plait_session *s, uint32_t index)
{
    if (index == 0)
        return true;
    if (s->respond != NULL)
        return plait_map_find(s->respond->by_index, index) != NULL;
    return (s->current.live && s->current.local == index) ||
           (s->previous.live && s->previous.local == index) || s->initiate->index == index;
}

int plait_session_draw_index(struct plait_session *s, uint32_t *out)
{
    const struct plait_respond *r = s->respond;
    uint32_t index;

    for (unsigned i = 0; i < DRAWS_MAX; i++) {
        plait_random_fill(&s->config.random, &index, sizeof index);
        if (r != NULL && r->prefix_bits > 0)
            index = index >> r->prefix_bits | r->prefix << (32 - r->prefix_bits);
        if (is_taken(s, index))
            continue;
        *out = index;
        return PLAIT_OK;
    }
    return PLAIT_ERR_LIMIT;
}

int plait_session_noise_init(struct plait_noise *n, struct plait_session_config *config,
                             const uint8_t head[PLAIT_HANDSHAKE_HEAD_BYTES], const struct plait_key *peer)
{
    uint8_t prologue[14 + PLAIT_HANDSHAKE_HEAD_BYTES] = "plait tunnel 1";

    memcpy(prologue + 14, head, PLAIT_HANDSHAKE_HEAD_BYTES);
    return plait_noise_init(n, config->crypto, PLAIT_AEAD_CHACHA20_POLY1305, prologue, sizeof prologue,
                            config->self, peer);
}

bool plait_session_can_seal(const struct plait_session *s, uint64_t now)
{
    return plait_keys_are_good(&s->current, now) && s->current.sealed < PLAIT_SESSION_REJECT_PACKETS;
}

int plait_session_seal(struct plait_session *s, uint64_t now, uint8_t path, uint8_t *packet, size_t len)
{
    if (path >= PLAIT_SESSION_PATHS)
        return PLAIT_ERR_ARG;
    if (!plait_keys_are_good(&s->current, now))
        return PLAIT_ERR_STATE;
    int err = plait_keys_seal(&s->current, path, s->path_seq[path], packet, len);
    if (err != PLAIT_OK)
        return err;
    s->path_seq[path]++;
    s->facts.sealed++;
    if (s->initiate != NULL)
        plait_initiate_on_sealed(s, now);
    return PLAIT_OK;
}

static struct plait_keys *keys_of(struct plait_session *s, uint32_t receiver)
{
    struct plait_keys *all[] = {&s->current, &s->previous, &s->next};

    for (size_t i = 0; i < PLAIT_COUNT(all); i++)
        if (all[i]->live && all[i]->local == receiver)
            return all[i];
    return NULL;
}

/* The initiator has the keys as well. */
static void begin_next(struct plait_session *s, struct plait_opened *out)
{
    out->keys_begin = true;
    out->peer_is_new = !s->peer_known || s->peer_instance != s->next.peer_instance;
    s->peer_instance = s->next.peer_instance;
    s->peer_known = true;
    s->facts.handshakes++;
    plait_session_drop_keys(s, &s->previous);
    plait_keys_move(&s->previous, &s->current);
    plait_keys_move(&s->current, &s->next);
}

static int count_refused(struct plait_session *s, int err)
{
    if (err == PLAIT_ERR_LIMIT)
        s->facts.replayed++;
    if (err == PLAIT_ERR_CORRUPT)
        s->facts.forged++;
    return err;
}

int plait_session_open(struct plait_session *s, uint64_t now, uint8_t *datagram, size_t len,
                       struct plait_opened *out)
{
    struct plait_opened opened = {0};
    struct plait_envelope e;
    int err = plait_envelope_decode(datagram, len, &e);

    if (err != PLAIT_OK)
        return err;
    if (e.path >= PLAIT_SESSION_PATHS)
        return PLAIT_ERR_RANGE;
    struct plait_keys *k = keys_of(s, e.receiver);
    if (k == NULL || !plait_keys_are_good(k, now))
        return PLAIT_ERR_NOTFOUND;
    err = plait_keys_open(k, &e, datagram, len, &opened.is_highest);
    if (err != PLAIT_OK)
        return count_refused(s, err);
    opened.path = e.path;
    opened.path_seq = e.path_seq;
    opened.text = datagram + PLAIT_ENVELOPE_BYTES;
    opened.len = len - PLAIT_ENVELOPE_BYTES - PLAIT_ENVELOPE_TAG_BYTES;
    /* A path's highest sequence is that of the newest keys: what comes late under older ones is old. */
    opened.is_highest &= k != &s->previous;
    opened.is_past = k == &s->previous && k->peer_instance != s->peer_instance;
    if (k == &s->next)
        begin_next(s, &opened);
    s->facts.opened++;
    s->facts.last_opened = now;
    if (s->initiate != NULL && !opened.is_past) /* that the past still speaks says nothing of today's keys */
        plait_initiate_on_opened(s, now);
    *out = opened;
    return PLAIT_OK;
}

void plait_session_facts(const struct plait_session *s, struct plait_session_facts *out)
{
    *out = s->facts;
    out->aead = s->current.live ? s->current.sealer.kind : (enum plait_aead_kind)0;
    out->keys_since = s->current.live ? s->current.since : PLAIT_NEVER;
    out->waiting = s->initiate != NULL && s->initiate->waiting;
}

const struct plait_key *plait_session_peer(const struct plait_session *s)
{
    return &s->peer;
}

uint64_t plait_session_peer_instance(const struct plait_session *s)
{
    return s->peer_instance;
}
