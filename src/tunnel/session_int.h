/* What the files of the session share: session.c, initiate.c, respond.c, sessions.c. */
#ifndef PLAIT_TUNNEL_SESSION_INT_H
#define PLAIT_TUNNEL_SESSION_INT_H

#include "cookie.h"
#include "keys.h"
#include "map.h"
#include "noise.h"
#include "session.h"

/* An initiation is answered again with the same response for so long; longer than PLAIT_SESSION_RENEW. */
#define PLAIT_RESPOND_REPEAT (6 * PLAIT_S)

/* An initiator's cookie for one of its paths. */
struct plait_initiate_cookie {
    uint8_t bytes[PLAIT_COOKIE_BYTES];
    uint64_t since; /* PLAIT_NEVER = none */
};

struct plait_initiate {
    struct plait_cookie_keys peer, own; /* of the responder's and of our public key */
    uint64_t wall, wall_at;             /* the time of day, and the `now` it belongs to */
    uint64_t stamp;                     /* the last one used, or learnt */
    bool waiting;                       /* for a response to the message below */
    struct plait_noise noise;
    uint32_t index;
    uint64_t made;
    uint8_t message[PLAIT_HANDSHAKE_BYTES_MAX];
    size_t message_len;
    uint32_t paths, pending; /* bits: those to be used, those on which the message is to be sent now */
    uint64_t retry_at, retry_after;
    uint64_t rekey_at;
    uint64_t unanswered; /* since when something sealed has had no answer; PLAIT_NEVER */
    uint64_t silence;    /* for how long it may have none */
    struct plait_initiate_cookie cookie[PLAIT_SESSION_PATHS];
    uint8_t hello[PLAIT_HANDSHAKE_HELLO_MAX];
    size_t hello_len;
    uint8_t body[PLAIT_RESPONSE_BODY_MAX + PLAIT_AEAD_TAG_BYTES]; /* of the response that came last */
};

struct plait_respond {
    struct plait_map *by_index; /* borrows; of the table */
    uint32_t prefix;            /* the high bits of our numbers */
    unsigned prefix_bits;
    void *owner;
    uint64_t stamp;                /* the highest seen */
    uint64_t accepted;             /* when an initiation was last answered; PLAIT_NEVER */
    uint64_t stale_next;           /* when a stale initiation may be answered again */
    uint8_t mac1[PLAIT_MAC_BYTES]; /* of the initiation that was answered last, with this: */
    uint8_t response[PLAIT_RESPONSE_FRAME_BYTES + PLAIT_RESPONSE_BODY_MAX];
    size_t response_len;
    unsigned repeats;
};

struct plait_session {
    struct plait_session_config config;
    struct plait_key peer;
    uint8_t shared[PLAIT_KEY_BYTES]; /* of the two static keys */
    uint64_t peer_instance;
    bool peer_known; /* peer_instance is one */
    struct plait_keys current, previous, next;
    uint64_t path_seq[PLAIT_SESSION_PATHS]; /* next to be used; never goes back, whatever the keys */
    struct plait_session_facts facts;
    struct plait_initiate *initiate; /* owns; NULL in a responder */
    struct plait_respond *respond;   /* owns; NULL in an initiator */
};

/* NULL; sets up what both have in common. */
struct plait_session *plait_session_alloc(const struct plait_session_config *config,
                                          const struct plait_key *peer);
void plait_session_release(struct plait_session *s);
/* Wipes keys that are too old. Returns whether any are left. */
bool plait_session_sweep(struct plait_session *s, uint64_t now);
/* A number that no other keys have. */
PLAIT_MUST_USE int plait_session_draw_index(struct plait_session *s, uint32_t *out);
void plait_session_drop_keys(struct plait_session *s, struct plait_keys *k);
/* What both ends hash before anything else: the protocol, and the initiation's head. */
PLAIT_MUST_USE int plait_session_noise_init(struct plait_noise *n, struct plait_session_config *config,
                                            const uint8_t head[PLAIT_HANDSHAKE_HEAD_BYTES],
                                            const struct plait_key *peer);

/* The initiator's share of what happens in session.c. */
void plait_initiate_free(struct plait_session *s);
void plait_initiate_on_sealed(struct plait_session *s, uint64_t now);
void plait_initiate_on_opened(struct plait_session *s, uint64_t now);

/* A handshake that a responder has read half of. */
struct plait_respond_state {
    struct plait_noise noise;
    struct plait_session *session; /* NULL = none */
    struct plait_initiation_body body;
    uint32_t remote;
    uint8_t text[PLAIT_INITIATION_BODY_MAX + PLAIT_AEAD_TAG_BYTES]; /* what body's views look at */
};

/* Steps of a responder, in this order (respond.c). */
PLAIT_MUST_USE int plait_respond_read_key(struct plait_respond_state *r, struct plait_session_config *config,
                                          const struct plait_handshake *h, const uint8_t *datagram);
PLAIT_MUST_USE int plait_respond_read_body(struct plait_respond_state *r, struct plait_session *s,
                                           const struct plait_handshake *h);
/* Writes the response into s->respond, and makes the keys that wait for the initiator's first packet. */
PLAIT_MUST_USE int plait_respond_accept(struct plait_respond_state *r, uint64_t now, const void *hello,
                                        size_t len);
/* Writes a response that only tells the stamp that has to be exceeded. Returns its length. */
PLAIT_MUST_USE int plait_respond_stale(struct plait_respond_state *r, uint8_t *out, size_t size);

#endif
