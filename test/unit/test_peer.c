/* A node's and a hub's end of the tunnel over paths with a delay, in virtual time. */
#include "peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "prng.h"
#include "sessions.h"

#define PATHS   3u
#define DELAY   (5 * PLAIT_MS)
#define FLIGHT  4096u
#define MTU     1500u
#define POOL    16384u
#define PACKET  1000u
#define PACKETS 400u
#define PAST    UINT64_C(1000000) /* numbers of packets that come after their sender was started anew */

struct flight {
    uint64_t at;
    bool to_hub;
    uint8_t path;
    size_t len;
    uint8_t bytes[MTU + PLAIT_PEER_OVERHEAD];
};

struct side {
    struct plait_peer peer;
    struct plait_pool pool;
    bool on;
    uint64_t got, next; /* inner packets; the number that the next one has to have */
    unsigned keys, new_peers, past;
};

struct world {
    uint64_t now;
    struct plait_prng prng;
    struct plait_crypto *crypto;
    struct plait_identity node_id, hub_id;
    struct plait_session *session;
    struct plait_sessions *table;
    struct side node, hub;
    struct flight *flight; /* ring: all have the same delay */
    size_t first, count;
    uint32_t cut; /* bit i: path i loses everything */
};

static void fill(void *owner, void *bytes, size_t len)
{
    struct plait_prng *g = owner;

    for (size_t i = 0; i < len; i++)
        ((uint8_t *)bytes)[i] = (uint8_t)plait_prng_next(g);
}

static void post(struct world *w, bool to_hub, uint8_t path, const uint8_t *bytes, size_t len)
{
    if ((w->cut >> path & 1) != 0 || w->count == FLIGHT)
        return;
    struct flight *f = &w->flight[(w->first + w->count++) % FLIGHT];
    *f = (struct flight){.at = w->now + DELAY, .to_hub = to_hub, .path = path, .len = len};
    memcpy(f->bytes, bytes, len);
}

/* An IPv4 packet of UDP that bears a number. */
static void make_packet(uint8_t out[PACKET], uint64_t number)
{
    static const uint8_t head[28] = {0x45, 0,  PACKET >> 8, PACKET & 0xff,
                                     0,    0,  0,           0,
                                     64,   17, 0,           0,
                                     10,   77, 15,          1,
                                     10,   77, 0,           1,
                                     0,    9,  0,           9,
                                     0,    0,  0,           0};

    memset(out, 0, PACKET);
    memcpy(out, head, sizeof head);
    memcpy(out + sizeof head, &number, sizeof number);
}

static void deliver(void *ctx, uint64_t now, const uint8_t *bytes, size_t len)
{
    struct side *s = ctx;
    uint64_t number;

    (void)now;
    assert_int_equal(len, PACKET);
    memcpy(&number, bytes + 28, sizeof number);
    if (number >= PAST) {
        s->past++;
        return;
    }
    assert_int_equal(number, s->next);
    s->next++;
    s->got++;
}

static void push(struct world *w, struct side *s, uint64_t number)
{
    uint8_t packet[PACKET];

    make_packet(packet, number);
    assert_int_equal(plait_bond_push_copy(s->peer.bond, w->now, packet, sizeof packet), PLAIT_OK);
}

static struct plait_session_config config_of(struct world *w, const struct plait_identity *self)
{
    struct plait_session_config c = {.crypto = w->crypto, .random = {fill, &w->prng}, .self = self};

    c.instance = plait_prng_next(&w->prng);
    c.speeds.mb_per_s[PLAIT_AEAD_AES_128_GCM] = 1000;
    return c;
}

static void start_side(struct world *w, struct side *s, struct plait_session *session)
{
    struct plait_bond_config bond = {
        .pool = &s->pool, .deliver = deliver, .ctx = s, .seed = plait_prng_next(&w->prng)};

    assert_int_equal(plait_peer_init(&s->peer, session, &bond), PLAIT_OK);
    s->on = true;
    s->next = 0;
}

static void start_node(struct world *w)
{
    struct plait_session_config c = config_of(w, &w->node_id);
    static const struct plait_bond_path_config path;

    w->session = plait_session_new_initiator(&c, &w->hub_id.public, w->now, w->now + PLAIT_S);
    assert_non_null(w->session);
    start_side(w, &w->node, w->session);
    for (unsigned i = 0; i < PATHS; i++)
        assert_int_equal(plait_peer_path_set(&w->node.peer, w->now, i, &path), PLAIT_OK);
    plait_session_set_paths(w->session, w->now, (1u << PATHS) - 1);
}

static void start_hub(struct world *w)
{
    struct plait_sessions_config c = {.session = config_of(w, &w->hub_id), .peers_max = 4};
    struct plait_session *session;

    w->table = plait_sessions_new(&c, w->now);
    assert_non_null(w->table);
    assert_int_equal(plait_sessions_add(w->table, &w->node_id.public, &w->hub, &session), PLAIT_OK);
    start_side(w, &w->hub, session);
}

static void stop_node(struct world *w)
{
    plait_peer_done(&w->node.peer);
    plait_session_free(w->session);
    w->node.on = false;
}

static void stop_hub(struct world *w)
{
    plait_peer_done(&w->hub.peer);
    plait_sessions_free(w->table);
    w->hub.on = false;
}

static void hub_knock(struct world *w, const struct flight *f)
{
    struct plait_origin from = {.port = f->path};
    struct plait_knock knock;

    (void)plait_sessions_recv(w->table, w->now, &from, false, f->bytes, f->len, &knock);
    if (knock.kind == PLAIT_KNOCK_PEER &&
        plait_sessions_respond(w->table, w->now, &knock, "hello", 5) != PLAIT_OK)
        return;
    if (knock.kind != PLAIT_KNOCK_NOTHING)
        post(w, false, f->path, knock.reply, knock.reply_len);
}

static void arrive(struct world *w, struct flight *f)
{
    struct side *s = f->to_hub ? &w->hub : &w->node;
    struct plait_peer_news news;

    if (!s->on)
        return;
    if (f->to_hub && f->bytes[0] == PLAIT_ENVELOPE_INITIATION) {
        hub_knock(w, f);
        return;
    }
    int err = plait_peer_recv(&s->peer, w->now, f->path, f->bytes, f->len, &news);
    assert_true(err == PLAIT_OK || s->peer.bad > 0);
    assert_true(!news.is_sealed || news.path == f->path);
    s->keys += news.keys_begin;
    s->new_peers += news.peer_is_new;
    if (news.keys_begin && !f->to_hub)
        assert_true(news.hello_len == 5 && memcmp(news.hello, "hello", 5) == 0);
    if (news.peer_is_new)
        s->next = 0;
}

static void pump(struct world *w, struct side *s, bool to_hub)
{
    uint8_t out[MTU + PLAIT_PEER_OVERHEAD], path;
    size_t len;

    plait_peer_on_deadline(&s->peer, w->now);
    while ((len = plait_peer_poll_send(&s->peer, w->now, &path, out, sizeof out)) > 0)
        post(w, to_hub, path, out, len);
}

static uint64_t next_event(const struct world *w)
{
    uint64_t at = w->count > 0 ? w->flight[w->first].at : PLAIT_NEVER;

    if (w->node.on)
        at = plait_min_u64(at, plait_peer_next_deadline(&w->node.peer, w->now));
    return w->hub.on ? plait_min_u64(at, plait_peer_next_deadline(&w->hub.peer, w->now)) : at;
}

static void run(struct world *w, uint64_t until)
{
    while (w->now < until) {
        while (w->count > 0 && w->flight[w->first].at <= w->now) {
            arrive(w, &w->flight[w->first]);
            w->first = (w->first + 1) % FLIGHT;
            w->count--;
        }
        if (w->node.on)
            pump(w, &w->node, true);
        if (w->hub.on)
            pump(w, &w->hub, false);
        uint64_t next = next_event(w);
        w->now = plait_min_u64(until, plait_max_u64(next, w->now + 10 * PLAIT_US));
    }
}

static void make_identity(struct world *w, struct plait_identity *out)
{
    struct plait_key secret;

    fill(&w->prng, secret.bytes, sizeof secret.bytes);
    plait_key_clamp(&secret);
    assert_int_equal(plait_identity_init(out, &secret), PLAIT_OK);
}

static struct world *make_world(void)
{
    struct world *w = calloc(1, sizeof *w);
    static const struct plait_bond_path_config path;

    assert_non_null(w);
    w->now = 1000 * PLAIT_S;
    w->prng.state = 7;
    w->crypto = plait_crypto_new();
    w->flight = calloc(FLIGHT, sizeof *w->flight);
    assert_true(w->crypto != NULL && w->flight != NULL);
    make_identity(w, &w->node_id);
    make_identity(w, &w->hub_id);
    assert_int_equal(plait_pool_init(&w->node.pool, POOL, MTU), PLAIT_OK);
    assert_int_equal(plait_pool_init(&w->hub.pool, POOL, MTU), PLAIT_OK);
    start_hub(w);
    for (unsigned i = 0; i < PATHS; i++)
        assert_int_equal(plait_peer_path_expect(&w->hub.peer, w->now, i, &path), PLAIT_OK);
    start_node(w);
    return w;
}

static void free_world(struct world *w)
{
    if (w->node.on)
        stop_node(w);
    if (w->hub.on)
        stop_hub(w);
    assert_int_equal(w->node.pool.spare_n, POOL);
    assert_int_equal(w->hub.pool.spare_n, POOL);
    plait_pool_done(&w->node.pool);
    plait_pool_done(&w->hub.pool);
    plait_crypto_free(w->crypto);
    free(w->flight);
    free(w);
}

/* A packet each way every two milliseconds. */
static void talk(struct world *w, uint64_t packets)
{
    uint64_t to_hub = w->hub.next, to_node = w->node.next;

    for (uint64_t i = 0; i < packets; i++) {
        push(w, &w->node, to_hub + i);
        push(w, &w->hub, to_node + i);
        run(w, w->now + 2 * PLAIT_MS);
    }
    run(w, w->now + PLAIT_S);
}

static void packets_both_ways(void **unused)
{
    struct world *w = make_world();

    (void)unused;
    run(w, w->now + PLAIT_S);
    assert_true(w->node.keys == 1 && w->hub.keys == 1);
    talk(w, PACKETS);
    assert_int_equal(w->hub.got, PACKETS);
    assert_int_equal(w->node.got, PACKETS);
    assert_int_equal(w->node.peer.bad + w->hub.peer.bad, 2 * (PATHS - 1) / 2); /* answers to the copies */
    free_world(w);
}

static void what_waits_for_keys_is_sent_then(void **unused)
{
    struct world *w = make_world();

    (void)unused;
    for (uint64_t i = 0; i < 5; i++)
        push(w, &w->node, i);
    uint8_t out[MTU + PLAIT_PEER_OVERHEAD], path;
    while (plait_peer_poll_send(&w->node.peer, w->now, &path, out, sizeof out) > 0)
        assert_int_equal(out[0], PLAIT_ENVELOPE_INITIATION);
    assert_int_not_equal(plait_peer_next_deadline(&w->node.peer, w->now), PLAIT_NEVER);
    run(w, w->now + 5 * PLAIT_S);
    assert_int_equal(w->hub.got, 5);
    free_world(w);
}

static void a_path_that_nobody_expects(void **unused)
{
    struct world *w = make_world();

    (void)unused;
    plait_peer_path_remove(&w->hub.peer, w->now, 2);
    run(w, w->now + PLAIT_S);
    assert_int_equal(w->hub.peer.known, 3);
    assert_true(w->hub.peer.bad > 0);
    talk(w, PACKETS);
    assert_int_equal(w->hub.got, PACKETS);
    assert_int_equal(w->node.got, PACKETS);
    free_world(w);
}

static void a_path_is_cut(void **unused)
{
    struct world *w = make_world();

    (void)unused;
    run(w, w->now + PLAIT_S);
    talk(w, PACKETS);
    w->cut = 1;
    run(w, w->now + 2 * PLAIT_S);
    w->hub.got = w->node.got = 0;
    talk(w, PACKETS);
    assert_int_equal(w->hub.got, PACKETS);
    assert_int_equal(w->node.got, PACKETS);
    free_world(w);
}

static void the_node_begins_anew(void **unused)
{
    struct world *w = make_world();

    (void)unused;
    run(w, w->now + PLAIT_S);
    talk(w, PACKETS);
    stop_node(w);
    run(w, w->now + PLAIT_S);
    start_node(w);
    run(w, w->now + PLAIT_S);
    assert_int_equal(w->hub.new_peers, 2); /* each program is new once */
    w->hub.got = w->node.got = 0;
    talk(w, PACKETS);
    assert_int_equal(w->hub.got, PACKETS);
    assert_int_equal(w->node.got, PACKETS);
    free_world(w);
}

/* The old program's last packets are on their way for so long that the new one is there before them. */
static void what_the_past_sent_comes_late(void **unused)
{
    struct world *w = make_world();
    static struct flight late[FLIGHT];
    struct plait_bond_path_info info;
    size_t n = 0;

    (void)unused;
    run(w, w->now + PLAIT_S);
    talk(w, PACKETS);
    for (uint64_t i = 0; i < 50; i++)
        push(w, &w->node, PAST + i);
    for (size_t before = w->count; n == 0 || w->count > before; w->now += PLAIT_MS) {
        pump(w, &w->node, true);
        while (w->count > before)
            late[n++] = w->flight[(w->first + --w->count) % FLIGHT];
        if (n >= 50)
            break;
    }
    stop_node(w);
    start_node(w);
    run(w, w->now + PLAIT_S);
    assert_int_equal(w->hub.new_peers, 2);
    for (size_t i = 0; i < n; i++)
        arrive(w, &late[i]);
    assert_int_equal(w->hub.past, 50);
    w->hub.got = w->node.got = 0;
    talk(w, PACKETS);
    assert_int_equal(w->hub.got, PACKETS);
    assert_int_equal(w->node.got, PACKETS);
    for (unsigned i = 0; i < PATHS; i++) {
        plait_bond_path_get(w->hub.peer.bond, w->now, i, &info);
        assert_true(info.reordering == 0);
    }
    free_world(w);
}

static void the_hub_begins_anew(void **unused)
{
    static const struct plait_bond_path_config path;
    struct world *w = make_world();

    (void)unused;
    run(w, w->now + PLAIT_S);
    talk(w, PACKETS);
    stop_hub(w);
    run(w, w->now + PLAIT_S);
    start_hub(w);
    for (unsigned i = 0; i < PATHS; i++)
        assert_int_equal(plait_peer_path_expect(&w->hub.peer, w->now, i, &path), PLAIT_OK);
    w->hub.got = w->node.got = 0;
    run(w, w->now + 10 * PLAIT_S);
    assert_int_equal(w->node.new_peers, 2);
    talk(w, PACKETS);
    assert_int_equal(w->hub.got, PACKETS);
    assert_int_equal(w->node.got, PACKETS);
    free_world(w);
}

static void rubbish_is_counted(void **unused)
{
    struct world *w = make_world();
    struct plait_peer_news news;
    uint8_t bytes[200];

    (void)unused;
    run(w, w->now + PLAIT_S);
    uint64_t bad = w->hub.peer.bad;
    for (size_t len = 0; len < sizeof bytes; len++) {
        fill(&w->prng, bytes, sizeof bytes);
        bytes[0] = (uint8_t)(len % 6);
        assert_int_not_equal(plait_peer_recv(&w->hub.peer, w->now, 0, bytes, len, &news), PLAIT_OK);
        assert_false(news.is_sealed);
    }
    assert_int_equal(w->hub.peer.bad, bad + sizeof bytes);
    free_world(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_both_ways),          cmocka_unit_test(what_waits_for_keys_is_sent_then),
        cmocka_unit_test(a_path_that_nobody_expects), cmocka_unit_test(a_path_is_cut),
        cmocka_unit_test(the_node_begins_anew),       cmocka_unit_test(the_hub_begins_anew),
        cmocka_unit_test(rubbish_is_counted),         cmocka_unit_test(what_the_past_sent_comes_late),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
