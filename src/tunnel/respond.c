/*
 * The responder's half of a handshake, in the steps in which it is paid for: one X25519 to learn who writes, the
 * payload to know that it is true, two X25519 and a key pair to answer.
 */
#include <string.h>

#include "session_int.h"

int plait_respond_read_key(struct plait_respond_state *r, struct plait_session_config *config,
                           const struct plait_handshake *h, const uint8_t *datagram)
{
    int err = plait_session_noise_init(&r->noise, config, datagram, NULL);

    r->session = NULL;
    r->remote = h->index;
    return err == PLAIT_OK ? plait_noise_read_first_key(&r->noise, config->crypto, h->noise, h->noise_len)
                           : err;
}

int plait_respond_read_body(struct plait_respond_state *r, struct plait_session *s,
                            const struct plait_handshake *h)
{
    int err = plait_noise_read_first_payload(&r->noise, s->config.crypto, s->shared, h->noise, h->noise_len,
                                             r->text);

    if (err == PLAIT_OK)
        err = plait_initiation_body_decode(r->text, h->noise_len - PLAIT_NOISE_FIRST_BYTES, &r->body);
    if (err != PLAIT_OK)
        return err;
    r->session = s;
    return PLAIT_OK;
}

static enum plait_aead_kind agree(const struct plait_respond_state *r)
{
    struct plait_aead_speeds theirs = {{0}};

    for (size_t i = 0; i < r->body.offer_count; i++)
        if (r->body.offers[i].aead > 0 && r->body.offers[i].aead < PLAIT_AEAD_KINDS)
            theirs.mb_per_s[r->body.offers[i].aead] = r->body.offers[i].mb_per_s;
    return plait_aead_agree(&r->session->config.speeds, &theirs);
}

/* MAC1 of a response is keyed by the initiator's public key. */
static int add_mac1(struct plait_session *s, uint8_t *message, size_t len)
{
    struct plait_cookie_keys keys;
    int err = plait_cookie_keys_init(&keys, s->config.crypto, &s->peer);

    if (err != PLAIT_OK)
        return err;
    err = plait_cookie_mac1(&keys, message, len, message + len);
    plait_cookie_keys_done(&keys);
    return err;
}

/* Returns the length of the response. */
static int write_response(struct plait_respond_state *r, const struct plait_response_body *b, uint8_t *out,
                          size_t size)
{
    struct plait_session *s = r->session;
    uint8_t body[PLAIT_RESPONSE_BODY_MAX], ephemeral[PLAIT_KEY_BYTES];
    int body_len = plait_response_body_encode(b, body, sizeof body);

    if (body_len < 0)
        return body_len;
    size_t len = PLAIT_HANDSHAKE_HEAD_BYTES + PLAIT_NOISE_SECOND_BYTES + (size_t)body_len;
    if (len + PLAIT_MAC_BYTES > size)
        return PLAIT_ERR_LIMIT;
    plait_handshake_encode_head(PLAIT_ENVELOPE_RESPONSE, r->remote, out);
    plait_random_fill(&s->config.random, ephemeral, sizeof ephemeral);
    int err = plait_noise_write_second(&r->noise, s->config.crypto, ephemeral, body, (size_t)body_len,
                                       out + PLAIT_HANDSHAKE_HEAD_BYTES);
    plait_wipe(ephemeral, sizeof ephemeral);
    if (err == PLAIT_OK)
        err = add_mac1(s, out, len);
    return err == PLAIT_OK ? (int)(len + PLAIT_MAC_BYTES) : err;
}

static int make_next(struct plait_respond_state *r, uint64_t now, const struct plait_response_body *b)
{
    struct plait_session *s = r->session;
    struct plait_keys fresh;
    int err = plait_keys_init(&fresh, s->config.crypto, &r->noise, false, (enum plait_aead_kind)b->aead, now);

    if (err != PLAIT_OK)
        return err;
    fresh.local = b->index;
    fresh.remote = r->remote;
    fresh.peer_instance = r->body.instance;
    plait_session_drop_keys(s, &s->next);
    err = plait_map_add(s->respond->by_index, fresh.local, s);
    if (err == PLAIT_OK)
        plait_keys_move(&s->next, &fresh);
    else
        plait_keys_done(&fresh);
    return err;
}

int plait_respond_accept(struct plait_respond_state *r, uint64_t now, const void *hello, size_t len)
{
    struct plait_session *s = r->session;
    struct plait_respond *own = s->respond;
    struct plait_response_body b = {.status = PLAIT_RESPONSE_OK,
                                    .instance = s->config.instance,
                                    .stamp = r->body.stamp,
                                    .hello = hello,
                                    .hello_len = len};

    b.aead = (uint8_t)agree(r);
    if (b.aead == 0)
        return PLAIT_ERR_STATE;
    int err = plait_session_draw_index(s, &b.index);
    if (err != PLAIT_OK)
        return err;
    own->response_len = 0;
    int written = write_response(r, &b, own->response, sizeof own->response);
    if (written < 0)
        return written;
    err = make_next(r, now, &b);
    if (err != PLAIT_OK)
        return err;
    own->stamp = r->body.stamp;
    own->accepted = now;
    own->response_len = (size_t)written;
    own->repeats = 0;
    return PLAIT_OK;
}

int plait_respond_stale(struct plait_respond_state *r, uint8_t *out, size_t size)
{
    const struct plait_response_body b = {.status = PLAIT_RESPONSE_STALE,
                                          .instance = r->session->config.instance,
                                          .stamp = r->session->respond->stamp};

    return write_response(r, &b, out, size);
}
