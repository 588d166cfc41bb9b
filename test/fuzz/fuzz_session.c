/*
 * A node and a hub with fixed keys, and somebody who sends them what he likes. The input is a row of steps, each a
 * byte of kind, one of length, and so many bytes:
 *
 *   0 a datagram for the hub      1 the same, given a right MAC1 if it looks like an initiation
 *   2 a datagram for the node     3 a sealed datagram for the hub, under a number that the hub knows
 *   4 time goes by                5 an initiation of the node's own key, with these bytes for a body
 *   6 the two do their handshake, if one is due
 *
 * Only handshakes of step 6 may give keys, and nothing that the other end did not seal may open.
 */
#include "session.h"

#include <string.h>

#include "fuzz.h"
#include "noise.h"
#include "prng.h"
#include "sessions.h"

#define STEPS_MAX 64

static struct plait_crypto *crypto;
static struct plait_identity hub_id, node_id;
static struct plait_cookie_keys hub_keys;

struct world {
    uint64_t now;
    struct plait_prng prng;
    struct plait_sessions *hub;
    struct plait_session *hub_session, *node;
    uint32_t number; /* of the hub's, in use */
    uint64_t handshakes;
};

static void fill(void *owner, void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)bytes)[i] = (uint8_t)plait_prng_next(owner);
}

static void make_identity(uint8_t first, struct plait_identity *id)
{
    struct plait_key secret = {{first}};

    plait_key_clamp(&secret);
    FUZZ_CHECK(plait_identity_init(id, &secret) == PLAIT_OK);
}

static void begin(struct world *w)
{
    if (crypto == NULL) {
        FUZZ_CHECK((crypto = plait_crypto_new()) != NULL);
        make_identity(1, &hub_id);
        make_identity(2, &node_id);
        FUZZ_CHECK(plait_cookie_keys_init(&hub_keys, crypto, &hub_id.public) == PLAIT_OK);
    }
    *w = (struct world){.now = 1000 * PLAIT_S, .prng = {1}};
    struct plait_sessions_config hub = {.session = {crypto, {fill, &w->prng}, &hub_id, 1, {{0, 1, 1, 1}}},
                                        .peers_max = 1};
    struct plait_session_config node = {crypto, {fill, &w->prng}, &node_id, 2, {{0, 1, 1, 1}}};
    w->hub = plait_sessions_new(&hub, w->now);
    FUZZ_CHECK(plait_sessions_add(w->hub, &node_id.public, NULL, &w->hub_session) == PLAIT_OK);
    w->node = plait_session_new_initiator(&node, &hub_id.public, w->now, 1);
    plait_session_set_paths(w->node, w->now, 3);
}

static void knock(struct world *w, const uint8_t *bytes, size_t len)
{
    const struct plait_origin from = {{1}, 2};
    struct plait_knock k;

    int err = plait_sessions_recv(w->hub, w->now, &from, plait_prng_next(&w->prng) % 4 == 0, bytes, len, &k);
    FUZZ_CHECK(err == PLAIT_OK || k.kind != PLAIT_KNOCK_PEER);
    if (k.kind == PLAIT_KNOCK_PEER)
        FUZZ_CHECK(k.session == w->hub_session && k.hello_len <= PLAIT_HANDSHAKE_HELLO_MAX);
}

static void knock_with_mac(struct world *w, uint8_t *bytes, size_t len)
{
    if (len > 2 * PLAIT_MAC_BYTES)
        FUZZ_CHECK(plait_cookie_mac1(&hub_keys, bytes, len - 2 * PLAIT_MAC_BYTES,
                                     bytes + len - 2 * PLAIT_MAC_BYTES) == PLAIT_OK);
    knock(w, bytes, len);
}

static void to_node(struct world *w, uint8_t *bytes, size_t len)
{
    struct plait_session_news news;
    struct plait_opened o;

    (void)!plait_session_recv(w->node, w->now, (uint8_t)(len % 20), bytes, len, &news);
    FUZZ_CHECK(news.event == PLAIT_SESSION_NOTHING);
    FUZZ_CHECK(plait_session_open(w->node, w->now, bytes, len, &o) < 0);
}

static void sealed_to_hub(struct world *w, uint8_t *bytes, size_t len)
{
    struct plait_opened o;

    if (len >= 6) {
        bytes[0] = PLAIT_ENVELOPE_SEALED;
        for (unsigned i = 0; i < 4; i++)
            bytes[2 + i] = (uint8_t)(w->number >> (24 - 8 * i));
    }
    struct plait_session *s = plait_sessions_find(w->hub, bytes, len);
    FUZZ_CHECK(s == NULL || s == w->hub_session);
    FUZZ_CHECK(s == NULL || plait_session_open(s, w->now, bytes, len, &o) < 0);
}

/* Whoever has a key that the hub knows may still write nonsense. */
static void body_of_a_peer(struct world *w, const uint8_t *bytes, size_t len)
{
    static const uint8_t ephemeral[PLAIT_KEY_BYTES] = {9};
    uint8_t d[PLAIT_INITIATION_FRAME_BYTES + 256],
        prologue[14 + PLAIT_HANDSHAKE_HEAD_BYTES] = "plait tunnel 1";
    struct plait_noise n;

    plait_handshake_encode_head(PLAIT_ENVELOPE_INITIATION, 1, d);
    memcpy(prologue + 14, d, PLAIT_HANDSHAKE_HEAD_BYTES);
    FUZZ_CHECK(plait_noise_init(&n, crypto, PLAIT_AEAD_CHACHA20_POLY1305, prologue, sizeof prologue, &node_id,
                                &hub_id.public) == PLAIT_OK);
    FUZZ_CHECK(plait_noise_write_first(&n, crypto, ephemeral, NULL, bytes, len,
                                       d + PLAIT_HANDSHAKE_HEAD_BYTES) == PLAIT_OK);
    memset(d + PLAIT_INITIATION_FRAME_BYTES + len - PLAIT_MAC_BYTES, 0, PLAIT_MAC_BYTES);
    knock_with_mac(w, d, PLAIT_INITIATION_FRAME_BYTES + len);
}

static void confirm(struct world *w)
{
    uint8_t packet[PLAIT_SESSION_HEAD + 4 + PLAIT_SESSION_TAIL] = {0};
    struct plait_envelope e;
    struct plait_opened o;

    FUZZ_CHECK(plait_session_seal(w->node, w->now, 1, packet, 4) == PLAIT_OK);
    FUZZ_CHECK(plait_envelope_decode(packet, sizeof packet, &e) == PLAIT_OK);
    w->number = e.receiver;
    FUZZ_CHECK(plait_sessions_find(w->hub, packet, sizeof packet) == w->hub_session);
    FUZZ_CHECK(plait_session_open(w->hub_session, w->now, packet, sizeof packet, &o) == PLAIT_OK &&
               o.keys_begin);
    w->handshakes++;
}

static void handshake(struct world *w)
{
    uint8_t path, out[PLAIT_HANDSHAKE_BYTES_MAX];
    const struct plait_origin from = {{1}, 2};
    struct plait_session_news news;
    struct plait_knock k;
    size_t len;

    plait_session_on_deadline(w->node, w->now);
    plait_sessions_on_deadline(w->hub, w->now);
    while ((len = plait_session_poll_send(w->node, w->now, &path, out)) > 0) {
        (void)plait_sessions_recv(w->hub, w->now, &from, false, out, len, &k);
        if (k.kind == PLAIT_KNOCK_PEER && plait_sessions_respond(w->hub, w->now, &k, "hi", 2) != PLAIT_OK)
            continue;
        if (k.kind == PLAIT_KNOCK_NOTHING ||
            plait_session_recv(w->node, w->now, path, k.reply, k.reply_len, &news) != PLAIT_OK)
            continue;
        if (news.event == PLAIT_SESSION_KEYS)
            confirm(w);
    }
}

static void step(struct world *w, uint8_t kind, uint8_t *bytes, size_t len)
{
    switch (kind % 7) {
    case 0:
        knock(w, bytes, len);
        sealed_to_hub(w, bytes, len);
        break;
    case 1:
        knock_with_mac(w, bytes, len);
        break;
    case 2:
        to_node(w, bytes, len);
        break;
    case 3:
        sealed_to_hub(w, bytes, len);
        break;
    case 4:
        w->now += len * len * PLAIT_MS * 10;
        break;
    case 5:
        body_of_a_peer(w, bytes, len);
        break;
    default:
        handshake(w);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct plait_session_facts node, hub;
    uint8_t bytes[256];
    struct world w;

    begin(&w);
    for (unsigned i = 0; i < STEPS_MAX && size >= 2; i++) {
        uint8_t kind = data[0];
        size_t len = data[1] < size - 2 ? data[1] : size - 2;
        memcpy(bytes, data + 2, len);
        data += 2 + len;
        size -= 2 + len;
        step(&w, kind, bytes, len);
    }
    plait_session_facts(w.node, &node);
    plait_session_facts(w.hub_session, &hub);
    FUZZ_CHECK(node.handshakes == w.handshakes && hub.handshakes == w.handshakes);
    FUZZ_CHECK(hub.opened == w.handshakes && node.opened == 0);
    plait_session_free(w.node);
    plait_sessions_free(w.hub);
    return 0;
}
