/*
 * The initiator's half of a session: when to ask for keys, and what to do with the answer.
 *
 * One initiation is under way at a time. It is sent over all paths, and the same bytes again after
 * PLAIT_SESSION_RETRY_MIN, then twice that, and so on: the responder knows copies, and answers each with the response
 * that it has made already. After PLAIT_SESSION_RENEW another one takes its place, with keys and a stamp of its own.
 * It goes on until there is an answer.
 *
 * The stamp tells the responder a new initiation from one that somebody kept. It is the time of day where that
 * moves on, else one more than the one before. Where it is lower than what the responder has seen (a clock that was
 * set back, or one without a battery) the responder says so, under the handshake's keys, and the next initiation
 * begins above that.
 */
#include <stdlib.h>
#include <string.h>

#include "session_int.h"

#define REKEY_JITTER (10 * PLAIT_S)
#define SILENCE_MAX  (10 * PLAIT_S)

static uint64_t draw_below(struct plait_session *s, uint64_t n)
{
    uint64_t random;

    plait_random_fill(&s->config.random, &random, sizeof random);
    return (uint64_t)(((unsigned __int128)random * n) >> 64);
}

/* `after` give or take a fifth, so that many who lost the same responder do not come back in step. */
static uint64_t draw_around(struct plait_session *s, uint64_t after)
{
    return after - after / 5 + draw_below(s, after / 5 * 2);
}

static int init_parts(struct plait_session *s, uint64_t now, uint64_t wall)
{
    struct plait_initiate *i = s->initiate;

    i->wall = wall;
    i->wall_at = now;
    i->rekey_at = now;
    i->unanswered = PLAIT_NEVER;
    i->silence = PLAIT_SESSION_SILENCE;
    for (size_t p = 0; p < PLAIT_COUNT(i->cookie); p++)
        i->cookie[p].since = PLAIT_NEVER;
    int err = plait_key_agree(s->config.self, &s->peer, s->shared);
    if (err == PLAIT_OK)
        err = plait_cookie_keys_init(&i->peer, s->config.crypto, &s->peer);
    if (err == PLAIT_OK)
        err = plait_cookie_keys_init(&i->own, s->config.crypto, &s->config.self->public);
    return err;
}

struct plait_session *plait_session_new_initiator(const struct plait_session_config *config,
                                                  const struct plait_key *peer, uint64_t now, uint64_t wall)
{
    struct plait_session *s = plait_session_alloc(config, peer);

    if (s == NULL)
        return NULL;
    s->initiate = calloc(1, sizeof *s->initiate);
    if (s->initiate != NULL && init_parts(s, now, wall) == PLAIT_OK)
        return s;
    plait_session_release(s);
    return NULL;
}

void plait_initiate_free(struct plait_session *s)
{
    plait_cookie_keys_done(&s->initiate->peer);
    plait_cookie_keys_done(&s->initiate->own);
    plait_wipe(s->initiate, sizeof *s->initiate);
    free(s->initiate);
    s->initiate = NULL;
}

int plait_session_set_hello(struct plait_session *s, const void *bytes, size_t len)
{
    if (s->initiate == NULL)
        return PLAIT_ERR_STATE;
    if (len > PLAIT_HANDSHAKE_HELLO_MAX)
        return PLAIT_ERR_LIMIT;
    if (len > 0)
        memcpy(s->initiate->hello, bytes, len);
    s->initiate->hello_len = len;
    return PLAIT_OK;
}

static uint64_t next_stamp(struct plait_initiate *i, uint64_t now)
{
    i->stamp =
        plait_max_u64(plait_add_sat(i->stamp, 1), plait_add_sat(i->wall, plait_since(now, i->wall_at)));
    return i->stamp;
}

static int encode_body(struct plait_session *s, uint64_t now, uint8_t out[PLAIT_INITIATION_BODY_MAX])
{
    struct plait_initiation_body b = {.stamp = next_stamp(s->initiate, now),
                                      .instance = s->config.instance,
                                      .hello = s->initiate->hello,
                                      .hello_len = s->initiate->hello_len};

    for (uint8_t kind = 1; kind < PLAIT_AEAD_KINDS; kind++)
        if (s->config.speeds.mb_per_s[kind] > 0)
            b.offers[b.offer_count++] = (struct plait_offer){kind, s->config.speeds.mb_per_s[kind]};
    return plait_initiation_body_encode(&b, out, PLAIT_INITIATION_BODY_MAX);
}

static int write_message(struct plait_session *s, uint64_t now)
{
    struct plait_initiate *i = s->initiate;
    uint8_t body[PLAIT_INITIATION_BODY_MAX], ephemeral[PLAIT_KEY_BYTES];
    int body_len = encode_body(s, now, body);

    if (body_len < 0)
        return body_len;
    int err = plait_session_draw_index(s, &i->index);
    if (err != PLAIT_OK)
        return err;
    plait_handshake_encode_head(PLAIT_ENVELOPE_INITIATION, i->index, i->message);
    err = plait_session_noise_init(&i->noise, &s->config, i->message, &s->peer);
    if (err != PLAIT_OK)
        return err;
    plait_random_fill(&s->config.random, ephemeral, sizeof ephemeral);
    err = plait_noise_write_first(&i->noise, s->config.crypto, ephemeral, s->shared, body, (size_t)body_len,
                                  i->message + PLAIT_HANDSHAKE_HEAD_BYTES);
    plait_wipe(ephemeral, sizeof ephemeral);
    size_t len = PLAIT_HANDSHAKE_HEAD_BYTES + PLAIT_NOISE_FIRST_BYTES + (size_t)body_len;
    if (err == PLAIT_OK)
        err = plait_cookie_mac1(&i->peer, i->message, len, i->message + len);
    i->message_len = len + (size_t)2 * PLAIT_MAC_BYTES;
    return err;
}

/* Where there is no memory for it the next retry tries again. */
static void make_message(struct plait_session *s, uint64_t now)
{
    struct plait_initiate *i = s->initiate;

    i->waiting = true;
    i->made = now;
    if (write_message(s, now) == PLAIT_OK) {
        i->pending = i->paths;
        s->facts.initiations++;
        return;
    }
    i->pending = 0;
    i->message_len = 0;
}

static void arm_retry(struct plait_session *s, uint64_t now)
{
    s->initiate->retry_at = now + draw_around(s, s->initiate->retry_after);
}

static void begin(struct plait_session *s, uint64_t now)
{
    s->initiate->retry_after = PLAIT_SESSION_RETRY_MIN;
    make_message(s, now);
    arm_retry(s, now);
}

static void retry(struct plait_session *s, uint64_t now)
{
    struct plait_initiate *i = s->initiate;

    if (i->message_len == 0 || plait_since(now, i->made) >= PLAIT_SESSION_RENEW)
        make_message(s, now);
    else
        i->pending = i->paths;
    i->retry_after = plait_min_u64(2 * i->retry_after, PLAIT_SESSION_RETRY_MAX);
    arm_retry(s, now);
}

void plait_session_set_paths(struct plait_session *s, uint64_t now, uint32_t paths)
{
    struct plait_initiate *i = s->initiate;

    (void)now;
    if (i == NULL)
        return;
    paths &= (uint32_t)((UINT64_C(1) << PLAIT_SESSION_PATHS) - 1);
    uint32_t added = paths & ~i->paths;
    /* A path that comes anew may have another source address, of which its cookie knows nothing. */
    for (size_t p = 0; p < PLAIT_SESSION_PATHS; p++)
        if (added >> p & 1)
            i->cookie[p].since = PLAIT_NEVER;
    i->paths = paths;
    i->pending &= paths;
    if (i->waiting && i->message_len > 0)
        i->pending |= added;
}

void plait_session_rekey(struct plait_session *s, uint64_t now)
{
    struct plait_initiate *i = s->initiate;

    if (i == NULL)
        return;
    if (!i->waiting || plait_since(now, i->made) >= PLAIT_SESSION_RETRY_MIN)
        begin(s, now);
    else
        i->pending = i->message_len > 0 ? i->paths : 0;
}

void plait_initiate_on_sealed(struct plait_session *s, uint64_t now)
{
    struct plait_initiate *i = s->initiate;

    if (i->unanswered == PLAIT_NEVER)
        i->unanswered = now;
    if (s->current.sealed >= PLAIT_SESSION_REKEY_PACKETS)
        i->rekey_at = plait_min_u64(i->rekey_at, now);
}

void plait_initiate_on_opened(struct plait_session *s, uint64_t now)
{
    s->initiate->unanswered = PLAIT_NEVER;
    s->initiate->silence = PLAIT_SESSION_SILENCE;
    if (s->current.opened >= PLAIT_SESSION_REKEY_PACKETS)
        s->initiate->rekey_at = plait_min_u64(s->initiate->rekey_at, now);
}

static uint64_t silence_at(const struct plait_initiate *i)
{
    return i->unanswered == PLAIT_NEVER ? PLAIT_NEVER : i->unanswered + i->silence;
}

uint64_t plait_session_next_deadline(const struct plait_session *s)
{
    const struct plait_keys *all[] = {&s->current, &s->previous, &s->next};
    const struct plait_initiate *i = s->initiate;
    uint64_t at = PLAIT_NEVER;

    for (size_t k = 0; k < PLAIT_COUNT(all); k++)
        if (all[k]->live)
            at = plait_min_u64(at, all[k]->since + PLAIT_SESSION_REJECT_AFTER);
    if (i == NULL)
        return at;
    if (i->waiting)
        return plait_min_u64(at, i->retry_at);
    return plait_min_u64(at, plait_min_u64(i->rekey_at, silence_at(i)));
}

void plait_session_on_deadline(struct plait_session *s, uint64_t now)
{
    struct plait_initiate *i = s->initiate;

    plait_session_sweep(s, now);
    if (i == NULL)
        return;
    if (!i->waiting && (now >= i->rekey_at || now >= silence_at(i)))
        begin(s, now);
    else if (i->waiting && now >= i->retry_at)
        retry(s, now);
}

static int add_mac2(struct plait_session *s, uint64_t now, unsigned path, uint8_t *message, size_t len)
{
    const struct plait_initiate_cookie *cookie = &s->initiate->cookie[path];

    memset(message + len, 0, PLAIT_MAC_BYTES);
    if (cookie->since == PLAIT_NEVER || plait_since(now, cookie->since) >= PLAIT_COOKIE_LIFE)
        return PLAIT_OK;
    return plait_cookie_mac2(s->config.crypto, cookie->bytes, message, len, message + len);
}

size_t plait_session_poll_send(struct plait_session *s, uint64_t now, uint8_t *path,
                               uint8_t out[PLAIT_HANDSHAKE_BYTES_MAX])
{
    struct plait_initiate *i = s->initiate;

    while (i != NULL && i->pending != 0) {
        unsigned p = (unsigned)__builtin_ctz(i->pending);
        i->pending &= i->pending - 1;
        memcpy(out, i->message, i->message_len);
        if (add_mac2(s, now, p, out, i->message_len - PLAIT_MAC_BYTES) != PLAIT_OK)
            continue;
        *path = (uint8_t)p;
        return i->message_len;
    }
    return 0;
}

static int take_cookie(struct plait_session *s, uint64_t now, uint8_t path, const uint8_t *datagram,
                       size_t len)
{
    struct plait_initiate *i = s->initiate;
    struct plait_cookie_reply reply;
    uint8_t bytes[PLAIT_COOKIE_BYTES];
    int err = plait_cookie_reply_decode(datagram, len, &reply);

    if (err != PLAIT_OK)
        return err;
    if (!i->waiting || i->message_len == 0 || reply.receiver != i->index)
        return PLAIT_ERR_NOTFOUND;
    err = plait_cookie_open(&i->peer, s->config.crypto, reply.nonce,
                            i->message + i->message_len - (size_t)2 * PLAIT_MAC_BYTES, reply.sealed, bytes);
    if (err != PLAIT_OK)
        return err;
    struct plait_initiate_cookie *cookie = &i->cookie[path];
    bool is_new = cookie->since == PLAIT_NEVER || plait_since(now, cookie->since) >= PLAIT_COOKIE_LIFE ||
                  memcmp(cookie->bytes, bytes, sizeof bytes) != 0;
    memcpy(cookie->bytes, bytes, sizeof bytes);
    cookie->since = now;
    /* With the cookie that it had already there is no use in coming again before it is time. */
    if (is_new)
        i->pending |= UINT32_C(1) << path & i->paths;
    return PLAIT_OK;
}

/* The responder has seen a higher stamp. */
static void take_stamp(struct plait_session *s, uint64_t now, uint64_t stamp)
{
    struct plait_initiate *i = s->initiate;
    bool helps = stamp >= i->stamp;

    i->stamp = plait_max_u64(i->stamp, stamp);
    if (helps)
        make_message(s, now);
}

static void finish(struct plait_session *s, uint64_t now, struct plait_keys *fresh,
                   const struct plait_response_body *b, struct plait_session_news *news)
{
    struct plait_initiate *i = s->initiate;

    *news = (struct plait_session_news){.event = PLAIT_SESSION_KEYS,
                                        .peer_is_new = !s->peer_known || s->peer_instance != b->instance,
                                        .peer_instance = b->instance,
                                        .hello = b->hello,
                                        .hello_len = b->hello_len};
    s->peer_instance = b->instance;
    s->peer_known = true;
    plait_keys_move(&s->previous, &s->current);
    plait_keys_move(&s->current, fresh);
    s->facts.handshakes++;
    i->waiting = false;
    i->pending = 0;
    i->message_len = 0;
    i->unanswered = PLAIT_NEVER;
    /* The first answer takes a round trip; where those are long, its lack is no sign of anything before. */
    i->silence = plait_clamp_u64(2 * plait_since(now, i->made), PLAIT_SESSION_SILENCE, SILENCE_MAX);
    i->rekey_at = now + PLAIT_SESSION_REKEY_AFTER - draw_below(s, REKEY_JITTER);
    plait_wipe(&i->noise, sizeof i->noise);
}

static int read_response(struct plait_session *s, const uint8_t *datagram, size_t len,
                         struct plait_response_body *b)
{
    struct plait_initiate *i = s->initiate;
    struct plait_handshake h;
    int err = plait_handshake_decode(datagram, len, &h);

    if (err != PLAIT_OK)
        return err;
    if (h.type != PLAIT_ENVELOPE_RESPONSE)
        return PLAIT_ERR_FORMAT;
    if (!i->waiting || i->message_len == 0 || h.index != i->index)
        return PLAIT_ERR_NOTFOUND;
    if (!plait_cookie_mac1_is_right(&i->own, datagram, (size_t)(h.mac1 - datagram), h.mac1))
        return PLAIT_ERR_CORRUPT;
    err = plait_noise_read_second(&i->noise, s->config.crypto, h.noise, h.noise_len, i->body);
    return err == PLAIT_OK ? plait_response_body_decode(i->body, h.noise_len - PLAIT_NOISE_SECOND_BYTES, b)
                           : err;
}

/* From here on the message is the responder's own, and what is wrong with it is a bug of its: begin anew later. */
static int take_response(struct plait_session *s, uint64_t now, const struct plait_response_body *b,
                         struct plait_session_news *news)
{
    struct plait_initiate *i = s->initiate;
    struct plait_keys fresh;

    if (b->status == PLAIT_RESPONSE_STALE) {
        i->message_len = 0;
        take_stamp(s, now, b->stamp);
        return PLAIT_OK;
    }
    i->message_len = 0;
    if (b->aead >= PLAIT_AEAD_KINDS || s->config.speeds.mb_per_s[b->aead] == 0)
        return PLAIT_ERR_RANGE;
    int err = plait_keys_init(&fresh, s->config.crypto, &i->noise, true, (enum plait_aead_kind)b->aead, now);
    if (err != PLAIT_OK)
        return err;
    fresh.local = i->index;
    fresh.remote = b->index;
    fresh.peer_instance = b->instance;
    finish(s, now, &fresh, b, news);
    return PLAIT_OK;
}

int plait_session_recv(struct plait_session *s, uint64_t now, uint8_t path, const uint8_t *datagram,
                       size_t len, struct plait_session_news *news)
{
    struct plait_response_body b;

    *news = (struct plait_session_news){.event = PLAIT_SESSION_NOTHING};
    if (s->initiate == NULL || path >= PLAIT_SESSION_PATHS)
        return PLAIT_ERR_ARG;
    if (len > 0 && datagram[0] == PLAIT_ENVELOPE_COOKIE)
        return take_cookie(s, now, path, datagram, len);
    int err = read_response(s, datagram, len, &b);
    return err == PLAIT_OK ? take_response(s, now, &b, news) : err;
}
