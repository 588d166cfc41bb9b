/* A session's keys in time, one case after the other. What random links make of it: test_session_seeds.c. */
#include "session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "session_int.h"
#include "session_kit.h"
#include "sessions.h"
#include "units.h"

static struct kit k;

static int tear_down(void **state)
{
    (void)state;
    kit_done(&k);
    return 0;
}

static struct plait_session_facts facts(const struct plait_session *s)
{
    struct plait_session_facts f;

    plait_session_facts(s, &f);
    return f;
}

static struct plait_sessions_facts hub_facts(void)
{
    struct plait_sessions_facts f;

    plait_sessions_facts(k.hub, &f);
    return f;
}

static void log_on(unsigned paths)
{
    kit_init(&k, 1, paths);
    kit_run(&k, k.now + PLAIT_S);
    assert_int_equal(k.node_keys, 1);
    assert_int_equal(k.hub_keys, 1);
}

static void one_round_trip(void **state)
{
    uint64_t start;

    (void)state;
    kit_init(&k, 1, 1);
    start = k.now;
    assert_false(plait_session_can_seal(k.node, k.now));
    kit_run(&k, start + 39 * PLAIT_MS);
    assert_false(plait_session_can_seal(k.node, k.now));
    kit_run(&k, start + 40 * PLAIT_MS);
    assert_true(plait_session_can_seal(k.node, k.now));
    assert_false(plait_session_can_seal(k.hub_session, k.now));
    kit_run(&k, start + 60 * PLAIT_MS);
    assert_true(plait_session_can_seal(k.hub_session, k.now));
    kit_run(&k, start + 80 * PLAIT_MS);
    assert_int_equal(k.to_hub.received, 1);
    assert_int_equal(k.to_node.received, 1);
    assert_string_equal(k.hub_heard, "node");
    assert_string_equal(k.node_heard, "hub");
    assert_int_equal(k.node_peer_new, 1);
    assert_int_equal(k.hub_peer_new, 1);
    assert_int_equal(facts(k.node).aead, PLAIT_AEAD_AES_128_GCM);
    assert_int_equal(facts(k.hub_session).aead, PLAIT_AEAD_AES_128_GCM);
    assert_ptr_equal(plait_session_owner(k.hub_session), &k);
    assert_true(plait_key_is_equal(plait_session_peer(k.hub_session), &k.node_id.public));
}

static void the_slower_end_decides_on_the_cipher(void **state)
{
    (void)state;
    kit_init(&k, 1, 1);
    kit_stop_node(&k);
    k.node_speeds = (struct plait_aead_speeds){{0, 400, 60, 80}};
    kit_start_node(&k);
    kit_run(&k, k.now + PLAIT_S);
    assert_int_equal(facts(k.node).aead, PLAIT_AEAD_CHACHA20_POLY1305);
    assert_int_equal(facts(k.hub_session).aead, PLAIT_AEAD_CHACHA20_POLY1305);
    assert_int_equal(k.to_node.received, 1);
}

static void copies_are_answered_alike(void **state)
{
    (void)state;
    log_on(4);
    assert_int_equal(hub_facts().initiations, 4);
    assert_int_equal(hub_facts().responses, 1);
    assert_int_equal(hub_facts().repeated, 3);
    assert_int_equal(k.replies, 4);
    assert_int_equal(facts(k.node).handshakes, 1);
}

static void a_lost_response_costs_a_retry(void **state)
{
    uint64_t start;

    (void)state;
    kit_init(&k, 1, 1);
    start = k.now;
    k.down.loss = 1;
    kit_run(&k, start + 100 * PLAIT_MS);
    k.down.loss = 0;
    assert_true(kit_run_until_answer(&k, start + PLAIT_S));
    assert_int_equal(facts(k.node).initiations, 1);
    assert_int_equal(hub_facts().responses, 1);
    assert_int_equal(hub_facts().repeated, 1);
}

static void satellites(void **state)
{
    (void)state;
    kit_init(&k, 1, 1);
    k.up.delay = k.down.delay = 1500 * PLAIT_MS; /* a queue before the satellite */
    kit_run(&k, k.now + 6500 * PLAIT_MS);
    assert_int_equal(k.node_keys, 1);
    assert_true(k.to_node.received > 0);
    assert_int_equal(facts(k.node).initiations, 1);
}

/* Nobody sends but to confirm: new keys all the same, and the old ones remain for what is under way. */
static void rekey_by_time(void **state)
{
    uint8_t late[PLAIT_SESSION_HEAD + 8 + PLAIT_SESSION_TAIL] = {0};
    struct plait_opened o;
    uint64_t start;

    (void)state;
    log_on(2);
    start = k.now;
    for (unsigned s = 0; s < 105; s++) {
        kit_node_send(&k, 0);
        kit_run(&k, start + s * PLAIT_S);
    }
    assert_int_equal(k.node_keys, 1);
    kit_run(&k, start + 108 * PLAIT_S);
    assert_int_equal(k.node_keys, 1);
    assert_int_equal(plait_session_seal(k.node, k.now, 1, late, 8), PLAIT_OK);
    kit_run(&k, start + 121 * PLAIT_S);
    assert_int_equal(k.node_keys, 2);
    assert_int_equal(k.hub_keys, 2);
    assert_int_equal(k.node_peer_new, 1);
    assert_int_equal(k.hub_peer_new, 1);
    assert_int_equal(
        plait_session_open(plait_sessions_find(k.hub, late, sizeof late), k.now, late, sizeof late, &o),
        PLAIT_OK);
    assert_false(o.is_highest);
    assert_false(o.keys_begin);
    assert_int_equal(o.len, 8);
    kit_run(&k, start + 1000 * PLAIT_S);
    assert_true(k.node_keys >= 8 && k.node_keys <= 11);
    assert_int_equal(k.node_keys, k.hub_keys);
}

static void old_keys_are_gone(void **state)
{
    uint8_t late[PLAIT_SESSION_HEAD + 8 + PLAIT_SESSION_TAIL] = {0};
    struct plait_opened o;

    (void)state;
    log_on(1);
    assert_int_equal(plait_session_seal(k.node, k.now, 0, late, 8), PLAIT_OK);
    k.up.loss = k.down.loss = 1;
    kit_run(&k, k.now + PLAIT_SESSION_REJECT_AFTER - 2 * PLAIT_S);
    assert_true(plait_session_can_seal(k.node, k.now));
    kit_run(&k, k.now + 3 * PLAIT_S);
    assert_false(plait_session_can_seal(k.node, k.now));
    assert_false(plait_session_can_seal(k.hub_session, k.now));
    assert_null(plait_sessions_find(k.hub, late, sizeof late));
    assert_int_equal(plait_session_open(k.hub_session, k.now, late, sizeof late, &o), PLAIT_ERR_NOTFOUND);
    assert_int_equal(facts(k.node).aead, 0);
    assert_true(plait_sessions_next_deadline(k.hub) == PLAIT_NEVER);
    k.up.loss = k.down.loss = 0;
    assert_true(kit_run_until_answer(&k, k.now + 4 * PLAIT_S));
}

/* A hub that was started anew is found out by its silence. */
static void the_hub_forgets(void **state)
{
    uint64_t start;

    (void)state;
    log_on(2);
    kit_stop_hub(&k);
    kit_start_hub(&k);
    start = k.now;
    assert_true(kit_run_until_answer(&k, start + 10 * PLAIT_S));
    assert_true(k.now - start <= PLAIT_SESSION_SILENCE + 300 * PLAIT_MS);
    assert_int_equal(k.node_peer_new, 2);
    assert_int_equal(k.hub_peer_new, 2);
}

static void the_hub_is_away_for_long(void **state)
{
    uint64_t start;

    (void)state;
    log_on(2);
    kit_stop_hub(&k);
    start = k.now;
    while (k.now < start + 400 * PLAIT_S) {
        kit_node_send(&k, 0);
        kit_run(&k, k.now + 500 * PLAIT_MS);
    }
    kit_start_hub(&k);
    start = k.now;
    assert_true(kit_run_until_answer(&k, start + 10 * PLAIT_S));
    assert_true(k.now - start <= PLAIT_SESSION_RETRY_MAX * 6 / 5 + 300 * PLAIT_MS);
}

static void the_node_forgets(void **state)
{
    (void)state;
    log_on(2);
    for (unsigned i = 0; i < 5; i++) {
        kit_stop_node(&k);
        k.wall += PLAIT_S; /* the kit's clock is not the time of day */
        kit_start_node(&k);
        assert_true(kit_run_until_answer(&k, k.now + 500 * PLAIT_MS));
        assert_int_equal(k.hub_peer_new, i + 2);
        assert_int_equal(k.node_peer_new, i + 2); /* who begins, knows nobody */
    }
}

/* The time of day that the node begins with is behind what the hub has seen, by any amount. */
static void clocks_that_go_back(void **state)
{
    static const uint64_t walls[] = {0, 1, UINT64_C(1600000000) * PLAIT_S, UINT64_MAX - 1, 5};

    (void)state;
    log_on(2);
    for (size_t i = 0; i < PLAIT_COUNT(walls); i++) {
        kit_stop_node(&k);
        k.wall = walls[i];
        kit_start_node(&k);
        assert_true(kit_run_until_answer(&k, k.now + 500 * PLAIT_MS));
    }
}

/* What an eavesdropper kept is of no use, to any of the two, at any time. */
static void kept_initiations(void **state)
{
    uint8_t path, kept[PLAIT_HANDSHAKE_BYTES_MAX];
    struct plait_origin from = kit_origin(9);
    struct plait_knock knock;

    (void)state;
    kit_init(&k, 1, 1);
    plait_session_on_deadline(k.node, k.now);
    size_t len = plait_session_poll_send(k.node, k.now, &path, kept);
    assert_true(len > 0);
    kit_post(&k, true, 0, kept, len);
    kit_run(&k, k.now + PLAIT_S);
    assert_int_equal(k.hub_keys, 1);
    uint64_t handshakes = hub_facts().responses;
    k.now += PLAIT_SESSION_RENEW + 2 * PLAIT_S;
    assert_int_equal(plait_sessions_recv(k.hub, k.now, &from, false, kept, len, &knock), PLAIT_ERR_STATE);
    assert_int_equal(knock.kind,
                     PLAIT_KNOCK_REPLY); /* "stale", which only the node can read, and which it ignores */
    kit_post(&k, false, 0, knock.reply, knock.reply_len);
    assert_int_equal(plait_sessions_recv(k.hub, k.now, &from, false, kept, len, &knock), PLAIT_ERR_LIMIT);
    assert_int_equal(knock.kind, PLAIT_KNOCK_NOTHING);
    assert_int_equal(hub_facts().responses, handshakes);
    assert_int_equal(hub_facts().stale, 2);
    kit_run(&k, k.now + 100 * PLAIT_MS);
    assert_true(plait_session_can_seal(k.node, k.now));
    assert_true(kit_run_until_answer(&k, k.now + PLAIT_S));
    /* A hub that has forgotten answers it; its keys wait for a packet that never comes, and harm nobody. */
    kit_stop_hub(&k);
    kit_start_hub(&k);
    assert_int_equal(plait_sessions_recv(k.hub, k.now, &from, false, kept, len, &knock), PLAIT_OK);
    assert_int_equal(plait_sessions_respond(k.hub, k.now, &knock, "", 0), PLAIT_OK);
    assert_false(plait_session_can_seal(k.hub_session, k.now));
    assert_true(kit_run_until_answer(&k, k.now + 5 * PLAIT_S));
}

static void packets_twice_and_out_of_order(void **state)
{
    enum { COUNT = 9000, BYTES = PLAIT_SESSION_HEAD + 4 + PLAIT_SESSION_TAIL };
    static uint8_t packets[COUNT][BYTES];
    uint8_t copy[BYTES];
    struct plait_opened o;

    (void)state;
    log_on(1);
    for (size_t i = 0; i < COUNT; i++) {
        memset(packets[i], 0, BYTES);
        assert_int_equal(plait_session_seal(k.node, k.now, 3, packets[i], 4), PLAIT_OK);
    }
    for (size_t i = COUNT; i-- > 0;) {
        memcpy(copy, packets[i], BYTES);
        assert_int_equal(plait_session_open(k.hub_session, k.now, copy, BYTES, &o), PLAIT_OK);
        assert_int_equal(o.path, 3);
        assert_int_equal(o.path_seq, i);
        assert_int_equal(o.is_highest, i == COUNT - 1);
        memcpy(copy, packets[i], BYTES);
        assert_int_equal(plait_session_open(k.hub_session, k.now, copy, BYTES, &o), PLAIT_ERR_LIMIT);
    }
    assert_int_equal(facts(k.hub_session).replayed, COUNT);
}

static void packets_tampered_with(void **state)
{
    enum { BYTES = PLAIT_SESSION_HEAD + 20 + PLAIT_SESSION_TAIL };
    uint8_t packet[BYTES] = {0}, copy[BYTES];
    struct plait_opened o = {.path = 77};

    (void)state;
    log_on(1);
    assert_int_equal(plait_session_seal(k.node, k.now, 2, packet, 20), PLAIT_OK);
    for (size_t bit = 0; bit < 8 * BYTES; bit++) {
        memcpy(copy, packet, BYTES);
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(plait_session_open(k.hub_session, k.now, copy, BYTES, &o) < 0);
    }
    for (size_t len = 0; len < BYTES; len++) {
        memcpy(copy, packet, BYTES);
        assert_true(plait_session_open(k.hub_session, k.now, copy, len, &o) < 0);
        plait_sessions_find(k.hub, copy, len);
    }
    assert_int_equal(o.path, 77);
    assert_int_equal(plait_session_open(k.node, k.now, packet, BYTES, &o),
                     PLAIT_ERR_NOTFOUND); /* sent back */
    assert_int_equal(plait_session_open(k.hub_session, k.now, packet, BYTES, &o), PLAIT_OK);
    assert_int_equal(plait_session_seal(k.node, k.now, PLAIT_SESSION_PATHS, packet, 20), PLAIT_ERR_ARG);
}

/* Authentic, but no other end of ours would send it. */
static void paths_that_there_are_not(void **state)
{
    uint8_t packet[PLAIT_SESSION_HEAD + 4 + PLAIT_SESSION_TAIL];
    struct plait_opened o;

    (void)state;
    log_on(1);
    for (unsigned path = 0; path < 256; path++) {
        memset(packet, 0, sizeof packet);
        assert_int_equal(plait_keys_seal(&k.node->current, (uint8_t)path, UINT64_C(1) << 40, packet, 4),
                         PLAIT_OK);
        assert_int_equal(plait_session_open(k.hub_session, k.now, packet, sizeof packet, &o),
                         path < PLAIT_SESSION_PATHS ? PLAIT_OK : PLAIT_ERR_RANGE);
    }
}

static void handshakes_in_a_row(void **state)
{
    uint8_t path, out[PLAIT_HANDSHAKE_BYTES_MAX];
    const struct plait_origin from = kit_origin(0);
    struct plait_session_news news;
    struct plait_knock knock;

    (void)state;
    kit_init(&k, 1, 1);
    for (unsigned i = 0; i < 6; i++) {
        bool soon = i % 2 == 1; /* 10 ms after the one before */
        plait_session_rekey(k.node, k.now);
        size_t len = plait_session_poll_send(k.node, k.now, &path, out);
        assert_int_equal(plait_sessions_recv(k.hub, k.now, &from, false, out, len, &knock),
                         soon ? PLAIT_ERR_LIMIT : PLAIT_OK);
        if (!soon) {
            assert_int_equal(plait_sessions_respond(k.hub, k.now, &knock, "", 0), PLAIT_OK);
            assert_int_equal(plait_session_recv(k.node, k.now, 0, knock.reply, knock.reply_len, &news),
                             PLAIT_OK);
        }
        k.now += soon ? PLAIT_S : 10 * PLAIT_MS;
    }
}

static void handshakes_tampered_with(void **state)
{
    uint8_t path, first[PLAIT_HANDSHAKE_BYTES_MAX], copy[PLAIT_HANDSHAKE_BYTES_MAX],
        second[PLAIT_HANDSHAKE_BYTES_MAX];
    const struct plait_origin from = kit_origin(0);
    struct plait_session_news news;
    struct plait_knock knock;

    (void)state;
    kit_init(&k, 1, 1);
    plait_session_on_deadline(k.node, k.now);
    size_t len = plait_session_poll_send(k.node, k.now, &path, first);
    for (size_t bit = 0; bit < 8 * (len - PLAIT_MAC_BYTES); bit++) {
        memcpy(copy, first, len);
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(plait_sessions_recv(k.hub, k.now, &from, false, copy, len, &knock) < 0);
        assert_int_equal(knock.kind, PLAIT_KNOCK_NOTHING);
    }
    for (size_t cut = 0; cut < len; cut++)
        assert_true(plait_sessions_recv(k.hub, k.now, &from, false, first, cut, &knock) < 0);
    assert_int_equal(plait_sessions_recv(k.hub, k.now, &from, false, first, len, &knock), PLAIT_OK);
    assert_int_equal(plait_sessions_respond(k.hub, k.now, &knock, "hub", 4), PLAIT_OK);
    len = knock.reply_len;
    memcpy(second, knock.reply, len);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        memcpy(copy, second, len);
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(plait_session_recv(k.node, k.now, 0, copy, len, &news) < 0);
    }
    for (size_t cut = 0; cut < len; cut++)
        assert_true(plait_session_recv(k.node, k.now, 0, second, cut, &news) < 0);
    assert_int_equal(plait_session_recv(k.node, k.now, 0, second, len, &news), PLAIT_OK);
    assert_int_equal(news.event, PLAIT_SESSION_KEYS);
    assert_int_equal(plait_session_recv(k.node, k.now, 0, second, len, &news), PLAIT_ERR_NOTFOUND);
}

/* A MAC1 can be made by whoever knows the hub's public key; what is behind it is still looked at. */
static void right_mac_wrong_inside(void **state)
{
    uint8_t path, first[PLAIT_HANDSHAKE_BYTES_MAX];
    const struct plait_origin from = kit_origin(0);
    struct plait_cookie_keys keys;
    struct plait_knock knock;

    (void)state;
    kit_init(&k, 1, 1);
    plait_session_on_deadline(k.node, k.now);
    size_t len = plait_session_poll_send(k.node, k.now, &path, first), mac1 = len - 2 * PLAIT_MAC_BYTES;
    assert_int_equal(plait_cookie_keys_init(&keys, k.crypto, &k.hub_id.public), PLAIT_OK);
    for (size_t at = 4; at < mac1; at++) {
        first[at] ^= 0x10;
        assert_int_equal(plait_cookie_mac1(&keys, first, mac1, first + mac1), PLAIT_OK);
        assert_int_equal(plait_sessions_recv(k.hub, k.now, &from, false, first, len, &knock),
                         PLAIT_ERR_CORRUPT);
        first[at] ^= 0x10;
    }
    assert_int_equal(hub_facts().bad_mac, 0);
    assert_int_equal(hub_facts().forged, mac1 - 4);
    plait_cookie_keys_done(&keys);
}

static void strangers(void **state)
{
    struct plait_session_config config;
    struct plait_identity id;
    struct plait_session *stranger, *again;
    const struct plait_origin from = kit_origin(0);
    struct plait_knock knock;
    uint8_t path, first[PLAIT_HANDSHAKE_BYTES_MAX];

    (void)state;
    kit_init(&k, 1, 1);
    assert_int_equal(kit_identity(&k.prng, &id), PLAIT_OK);
    config = (struct plait_session_config){k.crypto, kit_random(&k.prng), &id, 99, k.node_speeds};
    stranger = plait_session_new_initiator(&config, &k.hub_id.public, k.now, k.wall);
    plait_session_set_paths(stranger, k.now, 1);
    plait_session_on_deadline(stranger, k.now);
    size_t len = plait_session_poll_send(stranger, k.now, &path, first);
    assert_int_equal(plait_sessions_recv(k.hub, k.now, &from, false, first, len, &knock), PLAIT_ERR_NOTFOUND);
    assert_int_equal(hub_facts().unknown_key, 1);
    assert_int_equal(plait_sessions_add(k.hub, &id.public, NULL, &again), PLAIT_OK);
    assert_int_equal(plait_sessions_add(k.hub, &id.public, NULL, &again), PLAIT_ERR_STATE);
    assert_ptr_equal(plait_sessions_of(k.hub, &id.public), again);
    assert_int_equal(plait_sessions_recv(k.hub, k.now, &from, false, first, len, &knock), PLAIT_OK);
    plait_sessions_remove(k.hub, again);
    assert_int_equal(plait_sessions_respond(k.hub, k.now, &knock, "", 0), PLAIT_ERR_STATE);
    assert_null(plait_sessions_of(k.hub, &id.public));
    assert_int_equal(plait_sessions_recv(k.hub, k.now, &from, false, first, len, &knock), PLAIT_ERR_NOTFOUND);
    plait_session_free(stranger);
}

static void nothing_in_common(void **state)
{
    (void)state;
    kit_init(&k, 1, 1);
    kit_stop_node(&k);
    k.node_speeds = (struct plait_aead_speeds){{0}};
    kit_start_node(&k);
    uint8_t path, first[PLAIT_HANDSHAKE_BYTES_MAX];
    const struct plait_origin from = kit_origin(0);
    struct plait_knock knock;
    plait_session_on_deadline(k.node, k.now);
    size_t len = plait_session_poll_send(k.node, k.now, &path, first);
    assert_int_equal(plait_sessions_recv(k.hub, k.now, &from, false, first, len, &knock), PLAIT_OK);
    assert_int_equal(plait_sessions_respond(k.hub, k.now, &knock, "", 0), PLAIT_ERR_STATE);
}

/* Under load a round trip more, on each path, and then no more. */
static void cookies(void **state)
{
    static const uint8_t none[PLAIT_MAC_BYTES];
    uint8_t path, out[PLAIT_HANDSHAKE_BYTES_MAX];
    uint64_t start;

    (void)state;
    kit_init(&k, 1, 2);
    k.loaded = true;
    start = k.now;
    kit_run(&k, start + 100 * PLAIT_MS);
    assert_int_equal(k.node_keys, 1);
    assert_int_equal(hub_facts().cookie_replies, 2);
    assert_int_equal(hub_facts().responses, 1);
    plait_session_rekey(k.node, k.now);
    kit_run(&k, k.now + 100 * PLAIT_MS);
    assert_int_equal(k.node_keys, 2);
    assert_int_equal(hub_facts().cookie_replies, 2);
    /* A path of another address: its cookie is of no use, and it asks for another. */
    plait_session_set_paths(k.node, k.now, 0);
    plait_session_set_paths(k.node, k.now, 1);
    plait_session_rekey(k.node, k.now);
    kit_run(&k, k.now + 150 * PLAIT_MS);
    assert_int_equal(k.node_keys, 3);
    assert_int_equal(hub_facts().cookie_replies, 3);
    /* A cookie that is too old is not used. */
    k.now += PLAIT_COOKIE_LIFE;
    plait_session_rekey(k.node, k.now);
    plait_session_poll_send(k.node, k.now, &path, out);
    assert_memory_equal(out + PLAIT_INITIATION_FRAME_BYTES + PLAIT_INITIATION_BODY_MIN + 9 + 5 -
                            PLAIT_MAC_BYTES,
                        none, sizeof none);
}

static void a_path_that_comes_later(void **state)
{
    (void)state;
    kit_init(&k, 1, 2);
    plait_session_set_paths(k.node, k.now, 0);
    kit_run(&k, k.now + 10 * PLAIT_S);
    assert_int_equal(hub_facts().initiations, 0);
    plait_session_set_paths(k.node, k.now, 2);
    kit_run(&k, k.now + 80 * PLAIT_MS);
    assert_int_equal(k.node_keys, 1);
    assert_true(hub_facts().initiations >= 1);
}

/* As if so many packets had gone: the count is set by hand. */
static void rekey_by_number(void **state)
{
    uint8_t packet[PLAIT_SESSION_HEAD + 8 + PLAIT_SESSION_TAIL] = {0};

    (void)state;
    /* RFC 9001, B.1.1: 2^28 packets of up to 2^11 bytes; and room for what is sealed until the new keys are there. */
    assert_true(PLAIT_SESSION_REJECT_PACKETS <= UINT64_C(1) << 28);
    assert_true(PLAIT_SESSION_REKEY_PACKETS <= PLAIT_SESSION_REJECT_PACKETS / 2);
    log_on(1);
    k.node->current.sealed = PLAIT_SESSION_REKEY_PACKETS - 2;
    kit_node_send(&k, 0);
    kit_run(&k, k.now + PLAIT_S);
    assert_int_equal(k.node_keys, 1);
    kit_node_send(&k, 0);
    kit_run(&k, k.now + PLAIT_S);
    assert_int_equal(k.node_keys, 2);
    k.node->current.opened = PLAIT_SESSION_REKEY_PACKETS - 1;
    kit_node_send(&k, 0);
    kit_run(&k, k.now + PLAIT_S);
    assert_int_equal(k.node_keys, 3);
    k.hub_session->current.sealed = PLAIT_SESSION_REJECT_PACKETS - 1;
    assert_true(plait_session_can_seal(k.hub_session, k.now));
    assert_int_equal(plait_session_seal(k.hub_session, k.now, 0, packet, 8), PLAIT_OK);
    assert_false(plait_session_can_seal(k.hub_session, k.now));
    assert_int_equal(plait_session_seal(k.hub_session, k.now, 0, packet, 8), PLAIT_ERR_LIMIT);
}

/* Nobody answers: new initiations, some copies of each, for ever. */
static void initiations_are_made_anew(void **state)
{
    (void)state;
    kit_init(&k, 1, 2);
    k.down.loss = 1;
    kit_run(&k, k.now + 60 * PLAIT_S);
    assert_in_range(facts(k.node).initiations, 6, 13);
    assert_int_equal(hub_facts().responses, facts(k.node).initiations);
    assert_in_range(hub_facts().repeated, 2 * hub_facts().responses, 6 * hub_facts().responses);
    assert_true(facts(k.node).waiting);
}

static void numbers_begin_with_their_prefix(void **state)
{
    struct plait_sessions_config config;
    struct plait_session *s;
    struct plait_knock knock;
    struct plait_opened o;
    struct plait_session_news news;
    const struct plait_origin from = kit_origin(0);
    uint8_t path, first[PLAIT_HANDSHAKE_BYTES_MAX], packet[PLAIT_SESSION_HEAD + PLAIT_SESSION_TAIL];

    (void)state;
    kit_init(&k, 1, 1);
    kit_stop_hub(&k);
    config = (struct plait_sessions_config){
        {k.crypto, kit_random(&k.prng), &k.hub_id, 5, k.hub_speeds}, 4, 0x5, 3};
    k.hub = plait_sessions_new(&config, k.now);
    assert_int_equal(plait_sessions_add(k.hub, &k.node_id.public, NULL, &s), PLAIT_OK);
    for (unsigned i = 0; i < 20; i++) {
        plait_session_rekey(k.node, k.now);
        size_t len = plait_session_poll_send(k.node, k.now, &path, first);
        assert_int_equal(plait_sessions_recv(k.hub, k.now, &from, false, first, len, &knock), PLAIT_OK);
        assert_int_equal(plait_sessions_respond(k.hub, k.now, &knock, "", 0), PLAIT_OK);
        assert_int_equal(plait_session_recv(k.node, k.now, 0, knock.reply, knock.reply_len, &news), PLAIT_OK);
        assert_int_equal(plait_session_seal(k.node, k.now, 0, packet, 0), PLAIT_OK);
        assert_int_equal(packet[2] >> 5, 5);
        assert_ptr_equal(plait_sessions_find(k.hub, packet, sizeof packet), s);
        assert_int_equal(plait_session_open(s, k.now, packet, sizeof packet, &o), PLAIT_OK);
        assert_true(o.keys_begin);
        k.now += PLAIT_S;
    }
    plait_sessions_free(k.hub);
    k.hub = NULL;
    k.hub_off = true;
}

int main(void)
{
#define CASE(name) cmocka_unit_test_teardown(name, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(one_round_trip),
        CASE(the_slower_end_decides_on_the_cipher),
        CASE(copies_are_answered_alike),
        CASE(a_lost_response_costs_a_retry),
        CASE(satellites),
        CASE(rekey_by_time),
        CASE(old_keys_are_gone),
        CASE(the_hub_forgets),
        CASE(the_hub_is_away_for_long),
        CASE(the_node_forgets),
        CASE(clocks_that_go_back),
        CASE(kept_initiations),
        CASE(packets_twice_and_out_of_order),
        CASE(packets_tampered_with),
        CASE(paths_that_there_are_not),
        CASE(handshakes_in_a_row),
        CASE(handshakes_tampered_with),
        CASE(right_mac_wrong_inside),
        CASE(strangers),
        CASE(nothing_in_common),
        CASE(cookies),
        CASE(a_path_that_comes_later),
        CASE(rekey_by_number),
        CASE(initiations_are_made_anew),
        CASE(numbers_begin_with_their_prefix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
