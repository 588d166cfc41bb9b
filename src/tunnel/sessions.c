#include "sessions.h"

#include <stdlib.h>
#include <string.h>

#include "gate.h"
#include "session_int.h"

#define SWEEP_EVERY    PLAIT_S
#define ACCEPT_PAUSE   (20 * PLAIT_MS)  /* at least, between two initiations of one peer that are answered */
#define STALE_PAUSE    (200 * PLAIT_MS) /* likewise, that are told to be stale */
#define REPEATS_MAX    64u
#define KEYS_A_SESSION 3u

struct plait_sessions {
    struct plait_sessions_config config;
    struct plait_gate gate;
    struct plait_map by_index, by_key,
        by_mac1;                /* the last: initiations that were answered, to know their copies */
    struct plait_session **all; /* owns; config.peers_max of room */
    uint32_t count;
    struct plait_respond_state half; /* of the knock that came last */
    uint64_t half_key;               /* its place in by_mac1 */
    uint8_t half_mac1[PLAIT_MAC_BYTES];
    struct plait_origin half_from;
    uint8_t reply[PLAIT_RESPONSE_FRAME_BYTES + PLAIT_RESPONSE_BODY_MAX];
    uint64_t sweep_at;
    struct plait_sessions_facts facts;
};

static int init_parts(struct plait_sessions *t, uint64_t now)
{
    const struct plait_session_config *s = &t->config.session;
    int err = plait_gate_init(&t->gate, s->crypto, &s->random, &s->self->public, now);

    if (err == PLAIT_OK)
        err = plait_map_init(&t->by_index, (size_t)t->config.peers_max * KEYS_A_SESSION);
    if (err == PLAIT_OK)
        err = plait_map_init(&t->by_key, t->config.peers_max);
    if (err == PLAIT_OK)
        err = plait_map_init(&t->by_mac1, t->config.peers_max);
    return err;
}

struct plait_sessions *plait_sessions_new(const struct plait_sessions_config *config, uint64_t now)
{
    struct plait_sessions *t = calloc(1, sizeof *t);

    if (t == NULL)
        return NULL;
    t->config = *config;
    t->sweep_at = PLAIT_NEVER;
    t->all = calloc(plait_max_u64(config->peers_max, 1), sizeof(struct plait_session *));
    if (t->all != NULL && init_parts(t, now) == PLAIT_OK)
        return t;
    plait_sessions_free(t);
    return NULL;
}

void plait_sessions_free(struct plait_sessions *t)
{
    if (t == NULL)
        return;
    for (uint32_t i = 0; t->all != NULL && i < t->count; i++)
        plait_session_release(t->all[i]);
    free(t->all);
    plait_gate_done(&t->gate);
    plait_map_done(&t->by_index);
    plait_map_done(&t->by_key);
    plait_map_done(&t->by_mac1);
    plait_wipe(t, sizeof *t);
    free(t);
}

static struct plait_session *new_responder(struct plait_sessions *t, const struct plait_key *peer,
                                           void *owner, int *err)
{
    struct plait_session *s = plait_session_alloc(&t->config.session, peer);

    *err = PLAIT_ERR_NOMEM;
    if (s == NULL)
        return NULL;
    s->respond = calloc(1, sizeof *s->respond);
    if (s->respond != NULL) {
        s->respond->by_index = &t->by_index;
        s->respond->prefix = t->config.index_prefix;
        s->respond->prefix_bits = t->config.index_prefix_bits;
        s->respond->owner = owner;
        s->respond->accepted = PLAIT_NEVER;
        *err = plait_key_agree(s->config.self, peer, s->shared);
    }
    if (*err == PLAIT_OK)
        return s;
    plait_session_release(s);
    return NULL;
}

int plait_sessions_add(struct plait_sessions *t, const struct plait_key *peer, void *owner,
                       struct plait_session **out)
{
    uint64_t key = plait_gate_hash(&t->gate, peer->bytes, sizeof peer->bytes);
    int err;

    if (plait_map_find(&t->by_key, key) != NULL)
        return PLAIT_ERR_STATE;
    if (t->count == t->config.peers_max)
        return PLAIT_ERR_LIMIT;
    struct plait_session *s = new_responder(t, peer, owner, &err);
    if (s == NULL)
        return err;
    err = plait_map_add(&t->by_key, key, s);
    if (err != PLAIT_OK) {
        plait_session_release(s);
        return err;
    }
    t->all[t->count++] = s;
    *out = s;
    return PLAIT_OK;
}

/* Copies of an initiation are known by their MAC1, which is as good as random. */
static uint64_t mac1_key(const struct plait_sessions *t, const uint8_t mac1[PLAIT_MAC_BYTES])
{
    return plait_gate_hash(&t->gate, mac1, PLAIT_MAC_BYTES);
}

static void forget_copies(struct plait_sessions *t, struct plait_session *s)
{
    uint64_t key = mac1_key(t, s->respond->mac1);

    if (plait_map_find(&t->by_mac1, key) == s)
        plait_map_remove(&t->by_mac1, key);
}

void plait_sessions_remove(struct plait_sessions *t, struct plait_session *s)
{
    uint32_t at = 0;

    while (at < t->count && t->all[at] != s)
        at++;
    if (at == t->count)
        return;
    t->all[at] = t->all[--t->count];
    plait_map_remove(&t->by_key, plait_gate_hash(&t->gate, s->peer.bytes, sizeof s->peer.bytes));
    forget_copies(t, s);
    if (t->half.session == s)
        t->half.session = NULL;
    plait_session_release(s);
}

struct plait_session *plait_sessions_of(const struct plait_sessions *t, const struct plait_key *peer)
{
    struct plait_session *s =
        plait_map_find(&t->by_key, plait_gate_hash(&t->gate, peer->bytes, sizeof peer->bytes));

    return s != NULL && plait_key_is_equal(&s->peer, peer) ? s : NULL;
}

void *plait_session_owner(const struct plait_session *s)
{
    return s->respond != NULL ? s->respond->owner : NULL;
}

struct plait_session *plait_sessions_find(const struct plait_sessions *t, const uint8_t *datagram, size_t len)
{
    struct plait_envelope e;

    return plait_envelope_decode(datagram, len, &e) == PLAIT_OK ? plait_map_find(&t->by_index, e.receiver)
                                                                : NULL;
}

/* The copy of an initiation that was answered gets the same answer, from wherever it comes. */
static bool repeat(struct plait_sessions *t, uint64_t now, const struct plait_handshake *h,
                   struct plait_knock *out)
{
    struct plait_session *s = plait_map_find(&t->by_mac1, mac1_key(t, h->mac1));

    if (s == NULL || s->respond->response_len == 0 ||
        !plait_is_equal(s->respond->mac1, h->mac1, sizeof s->respond->mac1) ||
        plait_since(now, s->respond->accepted) >= PLAIT_RESPOND_REPEAT)
        return false;
    if (s->respond->repeats++ >= REPEATS_MAX)
        return true; /* known, but enough is enough */
    t->facts.repeated++;
    out->kind = PLAIT_KNOCK_REPLY;
    out->reply = s->respond->response;
    out->reply_len = s->respond->response_len;
    return true;
}

static int ask_for_cookie(struct plait_sessions *t, const struct plait_origin *from,
                          const struct plait_handshake *h, struct plait_knock *out)
{
    const struct plait_session_config *s = &t->config.session;
    int err = plait_gate_ask(&t->gate, s->crypto, &s->random, from, h, t->reply);

    if (err != PLAIT_OK)
        return err;
    t->facts.cookie_replies++;
    out->kind = PLAIT_KNOCK_REPLY;
    out->reply = t->reply;
    out->reply_len = PLAIT_HANDSHAKE_COOKIE_BYTES;
    return PLAIT_OK;
}

static int read_initiation(struct plait_sessions *t, const struct plait_handshake *h, const uint8_t *datagram)
{
    struct plait_session_config *config = &t->config.session;
    int err = plait_respond_read_key(&t->half, config, h, datagram);

    if (err != PLAIT_OK) {
        t->facts.forged++;
        return err;
    }
    struct plait_session *s = plait_sessions_of(t, &t->half.noise.peer);
    if (s == NULL) {
        t->facts.unknown_key++;
        return PLAIT_ERR_NOTFOUND;
    }
    err = plait_respond_read_body(&t->half, s, h);
    t->facts.forged += err != PLAIT_OK;
    return err;
}

/* The initiator's clock, or somebody's copy: whichever, only the initiator can read the answer. */
static int answer_stale(struct plait_sessions *t, uint64_t now, struct plait_knock *out)
{
    struct plait_respond *own = t->half.session->respond;

    t->facts.stale++;
    if (now < own->stale_next)
        return PLAIT_ERR_LIMIT;
    own->stale_next = now + STALE_PAUSE;
    int len = plait_respond_stale(&t->half, t->reply, sizeof t->reply);
    if (len < 0)
        return len;
    out->kind = PLAIT_KNOCK_REPLY;
    out->reply = t->reply;
    out->reply_len = (size_t)len;
    return PLAIT_ERR_STATE;
}

static int judge_body(struct plait_sessions *t, uint64_t now, struct plait_knock *out)
{
    const struct plait_respond_state *half = &t->half;
    const struct plait_session *s = half->session;

    /* After a start nothing has been seen, and any stamp is good; a stamp of 0 never is. */
    if (half->body.stamp <= s->respond->stamp)
        return answer_stale(t, now, out);
    if (s->respond->accepted != PLAIT_NEVER && plait_since(now, s->respond->accepted) < ACCEPT_PAUSE) {
        t->facts.over_limit++;
        return PLAIT_ERR_LIMIT;
    }
    *out = (struct plait_knock){.kind = PLAIT_KNOCK_PEER,
                                .session = half->session,
                                .peer_is_new = !s->peer_known || s->peer_instance != half->body.instance,
                                .peer_instance = half->body.instance,
                                .hello = half->body.hello,
                                .hello_len = half->body.hello_len};
    return PLAIT_OK;
}

static int look_into(struct plait_sessions *t, uint64_t now, const struct plait_origin *from,
                     const struct plait_handshake *h, const uint8_t *datagram, struct plait_knock *out)
{
    int err = read_initiation(t, h, datagram);

    if (err == PLAIT_OK)
        err = judge_body(t, now, out);
    if (err == PLAIT_OK) {
        t->half_key = mac1_key(t, h->mac1);
        t->half_from = *from;
        memcpy(t->half_mac1, h->mac1, sizeof t->half_mac1);
        return PLAIT_OK;
    }
    plait_wipe(&t->half, sizeof t->half);
    return err;
}

int plait_sessions_recv(struct plait_sessions *t, uint64_t now, const struct plait_origin *from, bool loaded,
                        const uint8_t *datagram, size_t len, struct plait_knock *out)
{
    const struct plait_session_config *s = &t->config.session;
    struct plait_handshake h;

    *out = (struct plait_knock){.kind = PLAIT_KNOCK_NOTHING};
    if (t->half.session != NULL)
        plait_wipe(&t->half, sizeof t->half); /* a knock that nobody answered */
    t->facts.initiations++;
    int err = plait_handshake_decode(datagram, len, &h);
    if (err == PLAIT_OK && h.type != PLAIT_ENVELOPE_INITIATION)
        err = PLAIT_ERR_FORMAT;
    if (err == PLAIT_OK &&
        !plait_cookie_mac1_is_right(&t->gate.keys, datagram, (size_t)(h.mac1 - datagram), h.mac1))
        err = PLAIT_ERR_CORRUPT;
    if (err != PLAIT_OK) {
        t->facts.bad_mac++;
        return err;
    }
    if (repeat(t, now, &h, out))
        return PLAIT_OK;
    switch (plait_gate_judge(&t->gate, s->crypto, &s->random, now, from, loaded, datagram, &h)) {
    case PLAIT_GATE_PASS:
        return look_into(t, now, from, &h, datagram, out);
    case PLAIT_GATE_ASK:
        return ask_for_cookie(t, from, &h, out);
    case PLAIT_GATE_DROP:
        break;
    }
    t->facts.over_limit++;
    return PLAIT_ERR_LIMIT;
}

int plait_sessions_respond(struct plait_sessions *t, uint64_t now, struct plait_knock *knock,
                           const void *hello, size_t len)
{
    struct plait_session *s = t->half.session;

    if (knock->kind != PLAIT_KNOCK_PEER || s == NULL || knock->session != s)
        return PLAIT_ERR_STATE;
    forget_copies(t, s);
    int err = plait_respond_accept(&t->half, now, hello, len);
    plait_wipe(&t->half, sizeof t->half);
    if (err != PLAIT_OK)
        return err;
    memcpy(s->respond->mac1, t->half_mac1, sizeof t->half_mac1);
    /* Without its place there copies are not known, which costs them a retry. */
    (void)!plait_map_add(&t->by_mac1, t->half_key, s);
    plait_gate_note_proven(&t->gate, &t->half_from);
    t->facts.responses++;
    t->sweep_at = plait_min_u64(t->sweep_at, now + SWEEP_EVERY);
    knock->reply = s->respond->response;
    knock->reply_len = s->respond->response_len;
    return PLAIT_OK;
}

uint64_t plait_sessions_next_deadline(const struct plait_sessions *t)
{
    return t->sweep_at;
}

void plait_sessions_on_deadline(struct plait_sessions *t, uint64_t now)
{
    bool any = false;

    if (now < t->sweep_at)
        return;
    for (uint32_t i = 0; i < t->count; i++)
        any |= plait_session_sweep(t->all[i], now);
    t->sweep_at = any ? now + SWEEP_EVERY : PLAIT_NEVER;
}

void plait_sessions_facts(const struct plait_sessions *t, struct plait_sessions_facts *out)
{
    *out = t->facts;
    out->peers = t->count;
}
