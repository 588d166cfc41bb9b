/*
 * A node and a hub over a wire of several paths that delay, reorder, lose, repeat and spoil datagrams, in virtual time.
 * The kit is the owner that a session expects, and watches what must always hold: nothing is delivered twice, or other
 * than it was sent; no nonce is used twice under a key.
 */
#ifndef PLAIT_TEST_SESSION_KIT_H
#define PLAIT_TEST_SESSION_KIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto_kit.h"
#include "session.h"
#include "sessions.h"

#define KIT_PATHS  4u
#define KIT_FLIGHT 512u
#define KIT_IDS    65536u
#define KIT_HEARD  1024u

struct kit_link {
    uint64_t delay, jitter;
    double loss, twice, spoilt; /* parts of all datagrams */
};

struct kit_flight {
    uint64_t at;
    bool to_hub;
    uint8_t path;
    uint16_t len;
    uint8_t bytes[PLAIT_HANDSHAKE_BYTES_MAX];
};

/* What was seen of one direction. */
struct kit_side {
    uint32_t next_id;
    bool got[KIT_IDS];
    uint64_t sent, received, last_received;
    /* The last sequence under each number and path that was sent to: they only rise. */
    struct {
        uint32_t receiver;
        uint64_t seq[KIT_PATHS];
        bool used[KIT_PATHS];
    } heard[KIT_HEARD];
    uint32_t heard_count;
};

struct kit {
    uint64_t now;
    struct plait_prng prng;
    struct plait_crypto *crypto;
    struct plait_identity hub_id, node_id;
    struct plait_aead_speeds hub_speeds, node_speeds;
    struct plait_sessions *hub;
    struct plait_session *hub_session, *node;
    bool node_off, hub_off, loaded;
    uint64_t wall; /* the node's time of day, at kit time 0 */
    unsigned paths;
    struct kit_link up, down;
    struct kit_flight flight[KIT_FLIGHT];
    unsigned in_flight;
    struct kit_side to_hub, to_node;
    unsigned node_keys, hub_keys;         /* events */
    unsigned node_peer_new, hub_peer_new; /* of these */
    unsigned replies;
    char hub_heard[64], node_heard[64]; /* hellos */
    uint64_t instances;
    bool mute; /* the node's owner sends nothing by itself */
};

/* Good links; both ends started. */
void kit_init(struct kit *k, uint64_t seed, unsigned paths);
void kit_done(struct kit *k);
void kit_start_hub(struct kit *k);
void kit_stop_hub(struct kit *k);
void kit_start_node(struct kit *k);
void kit_stop_node(struct kit *k);
/* Datagrams fly, deadlines fall due, until `until`. */
void kit_run(struct kit *k, uint64_t until);
/* Runs until a packet has come through to the node since now, at most to `until`; whether one has. */
bool kit_run_until_answer(struct kit *k, uint64_t until);
/* A packet from the node; whether it had a key. The hub answers each that it gets. */
bool kit_node_send(struct kit *k, uint8_t path);
bool kit_hub_send(struct kit *k, uint8_t path);
void kit_post(struct kit *k, bool to_hub, uint8_t path, const uint8_t *bytes, size_t len);
struct plait_origin kit_origin(uint8_t path);

#endif
