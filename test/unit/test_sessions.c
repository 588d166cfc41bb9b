/* The responder's table: its map, many peers, floods and what they cost, and memory that runs out. */
#include "sessions.h"

#include <openssl/crypto.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto_kit.h"
#include "failing_alloc.h"
#include "gate.h"
#include "map.h"
#include "units.h"

#define FLOOD_ADDRESSES 10000u
#define FLOOD_PER_S     50000u

static struct plait_crypto *crypto;
static struct plait_prng prng;
static struct plait_identity hub_id;
static struct plait_sessions *hub;
static uint64_t now;

static struct plait_session_config config_of(const struct plait_identity *id)
{
    return (struct plait_session_config){crypto, kit_random(&prng), id, 1, {{0, 1000, 1000, 1000}}};
}

static int set_up(void **state)
{
    struct plait_sessions_config config = {.peers_max = 3000};

    (void)state;
    prng.state = 1;
    now = 1000 * PLAIT_S;
    crypto = plait_crypto_new();
    if (crypto == NULL || kit_identity(&prng, &hub_id) != PLAIT_OK)
        return 1;
    config.session = config_of(&hub_id);
    hub = plait_sessions_new(&config, now);
    return hub == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    plait_sessions_free(hub);
    plait_crypto_free(crypto);
    return 0;
}

static struct plait_sessions_facts facts(void)
{
    struct plait_sessions_facts f;

    plait_sessions_facts(hub, &f);
    return f;
}

/* A node that is the table's peer, and where it is. */
struct node {
    struct plait_identity id;
    struct plait_session *session, *at_hub;
    struct plait_origin from;
};

static struct plait_origin origin(uint32_t n)
{
    return (struct plait_origin){
        {[10] = 0xff, [11] = 0xff, 10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}, 4040};
}

static void node_init(struct node *n, uint32_t address)
{
    struct plait_session_config config;

    assert_int_equal(kit_identity(&prng, &n->id), PLAIT_OK);
    config = config_of(&n->id);
    n->session = plait_session_new_initiator(&config, &hub_id.public, now, now);
    assert_non_null(n->session);
    plait_session_set_paths(n->session, now, 1);
    assert_int_equal(plait_sessions_add(hub, &n->id.public, n, &n->at_hub), PLAIT_OK);
    n->from = origin(address);
}

static void node_done(struct node *n)
{
    plait_session_free(n->session);
    plait_sessions_remove(hub, n->at_hub);
}

/* Whether it gets keys with what it has to send now; `strict` where nothing may go wrong. */
static bool node_tries_so(struct node *n, bool strict)
{
    uint8_t path, out[PLAIT_HANDSHAKE_BYTES_MAX], reply[PLAIT_HANDSHAKE_BYTES_MAX];
    struct plait_session_news news;
    struct plait_knock knock;
    size_t len;

    plait_session_on_deadline(n->session, now);
    while ((len = plait_session_poll_send(n->session, now, &path, out)) > 0) {
        plait_sessions_recv(hub, now, &n->from, false, out, len, &knock);
        int err = PLAIT_OK;
        if (knock.kind == PLAIT_KNOCK_PEER)
            err = plait_sessions_respond(hub, now, &knock, NULL, 0);
        assert_true(err == PLAIT_OK || !strict);
        if (knock.kind == PLAIT_KNOCK_NOTHING || err != PLAIT_OK)
            continue;
        memcpy(reply, knock.reply, knock.reply_len);
        err = plait_session_recv(n->session, now, 0, reply, knock.reply_len, &news);
        assert_true(err == PLAIT_OK || !strict);
        if (news.event == PLAIT_SESSION_KEYS)
            return true;
    }
    return false;
}

static bool node_tries(struct node *n)
{
    return node_tries_so(n, true);
}

static void node_confirms(struct node *n)
{
    uint8_t packet[PLAIT_SESSION_HEAD + PLAIT_SESSION_TAIL];
    struct plait_opened o;

    assert_int_equal(plait_session_seal(n->session, now, 0, packet, 0), PLAIT_OK);
    assert_ptr_equal(plait_sessions_find(hub, packet, sizeof packet), n->at_hub);
    assert_int_equal(plait_session_open(n->at_hub, now, packet, sizeof packet, &o), PLAIT_OK);
}

/* Against a table that is looked through from end to end. */
static void map(void **state)
{
    enum { KEYS = 300 };
    struct plait_map m;
    bool in[KEYS] = {false};
    int values[KEYS];

    (void)state;
    assert_int_equal(plait_map_init(&m, KEYS / 2), PLAIT_OK);
    for (unsigned i = 0; i < 100000; i++) {
        size_t n = plait_prng_below(&prng, KEYS);
        /* Few homes, so that probes are long and wrap around the end. */
        uint64_t key = (n % 7 == 0 ? UINT64_MAX : n / 3) - (n << 32);
        if (in[n]) {
            plait_map_remove(&m, key);
            plait_map_remove(&m, key);
            in[n] = false;
        } else if (m.count < KEYS / 2) {
            assert_int_equal(plait_map_add(&m, key, &values[n]), key == 0 ? PLAIT_ERR_ARG : PLAIT_OK);
            in[n] = key != 0;
            assert_int_equal(plait_map_add(&m, key, &values[n]), key == 0 ? PLAIT_ERR_ARG : PLAIT_ERR_STATE);
        } else {
            assert_int_equal(plait_map_add(&m, key, &values[n]), key == 0 ? PLAIT_ERR_ARG : PLAIT_ERR_LIMIT);
        }
        if (i % 97 == 0)
            for (size_t j = 0; j < KEYS; j++)
                assert_ptr_equal(plait_map_find(&m, (j % 7 == 0 ? UINT64_MAX : j / 3) - (j << 32)),
                                 in[j] ? &values[j] : NULL);
    }
    plait_map_done(&m);
}

/* After a hub's restart all come at once: within seconds all are back, none has to wait for its own retry for long. */
static void two_thousand_come_back(void **state)
{
    enum { NODES = 2000 };
    static struct node nodes[NODES];
    static bool in[NODES];
    unsigned left = NODES;
    uint64_t start = now;

    (void)state;
    for (uint32_t i = 0; i < NODES; i++)
        node_init(&nodes[i], i);
    while (left > 0 && now < start + 20 * PLAIT_S) {
        for (unsigned i = 0; i < NODES; i++)
            if (!in[i] && node_tries(&nodes[i])) {
                node_confirms(&nodes[i]);
                in[i] = true;
                left--;
            }
        now += 50 * PLAIT_MS;
    }
    assert_int_equal(left, 0);
    assert_true(now - start < 4 * PLAIT_S);
    for (unsigned i = 0; i < NODES; i++) {
        assert_ptr_equal(plait_sessions_of(hub, &nodes[i].id.public), nodes[i].at_hub);
        node_confirms(&nodes[i]);
        node_done(&nodes[i]);
    }
    assert_int_equal(facts().peers, 0);
}

static size_t live, allocations;

static void *count_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    live++;
    allocations++;
    return malloc(size);
}

static void *count_realloc(void *p, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    live += p == NULL;
    allocations++;
    return realloc(p, size);
}

static void count_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    live -= p != NULL;
    free(p);
}

/* What somebody can write who knows the hub's public key, and nothing else. */
struct flood {
    struct plait_cookie_keys keys;
    uint8_t bytes[PLAIT_INITIATION_FRAME_BYTES + PLAIT_INITIATION_BODY_MIN];
    uint8_t cookie[FLOOD_ADDRESSES][PLAIT_COOKIE_BYTES];
    bool has_cookie[FLOOD_ADDRESSES];
    bool takes_cookies;
};

static void flood_init(struct flood *f, bool takes_cookies)
{
    memset(f, 0, sizeof *f);
    f->takes_cookies = takes_cookies;
    assert_int_equal(plait_cookie_keys_init(&f->keys, crypto, &hub_id.public), PLAIT_OK);
}

static void flood_take_cookie(struct flood *f, uint32_t who, const struct plait_knock *knock)
{
    struct plait_cookie_reply reply;

    if (plait_cookie_reply_decode(knock->reply, knock->reply_len, &reply) == PLAIT_OK)
        f->has_cookie[who] = plait_cookie_open(&f->keys, crypto, reply.nonce, f->bytes + sizeof f->bytes - 32,
                                               reply.sealed, f->cookie[who]) == PLAIT_OK;
}

static void flood_one(struct flood *f, uint32_t who)
{
    struct plait_origin from = origin(0x800000 + who);
    size_t mac1 = sizeof f->bytes - 32, mac2 = sizeof f->bytes - 16;
    struct plait_knock knock;

    plait_handshake_encode_head(PLAIT_ENVELOPE_INITIATION, (uint32_t)plait_prng_next(&prng), f->bytes);
    kit_fill(&prng, f->bytes + 8, 32);
    assert_int_equal(plait_cookie_mac1(&f->keys, f->bytes, mac1, f->bytes + mac1), PLAIT_OK);
    memset(f->bytes + mac2, 0, 16);
    if (f->has_cookie[who])
        assert_int_equal(plait_cookie_mac2(crypto, f->cookie[who], f->bytes, mac2, f->bytes + mac2),
                         PLAIT_OK);
    plait_sessions_recv(hub, now, &from, false, f->bytes, sizeof f->bytes, &knock);
    assert_true(knock.kind != PLAIT_KNOCK_PEER);
    if (f->takes_cookies && knock.kind == PLAIT_KNOCK_REPLY)
        flood_take_cookie(f, who, &knock);
}

/* `span` of the flood, from address after address. */
static void flood_run(struct flood *f, uint64_t span)
{
    uint64_t until = now + span;

    while (now < until) {
        flood_one(f, (uint32_t)plait_prng_below(&prng, FLOOD_ADDRESSES));
        now += 1 + plait_prng_below(&prng, 2 * PLAIT_S / FLOOD_PER_S);
    }
}

/* X25519s that were done for nothing. */
static uint64_t wasted(void)
{
    return facts().forged + facts().unknown_key;
}

/* How long until this node gets keys while the flood goes on. */
static uint64_t node_under_flood(struct flood *f, struct node *n, uint64_t patience)
{
    uint64_t start = now;

    while (now < start + patience) {
        flood_run(f, 5 * PLAIT_MS + plait_prng_below(&prng, 5 * PLAIT_MS));
        if (node_tries(n)) {
            node_confirms(n);
            return now - start;
        }
    }
    return patience;
}

static void a_flood_from_made_up_addresses(void **state)
{
    static struct flood f;
    struct node before, fresh;

    (void)state;
    node_init(&before, 1);
    assert_true(node_tries(&before));
    node_confirms(&before);
    flood_init(&f, false);
    flood_run(&f, PLAIT_S);
    size_t live_before = live;
    uint64_t wasted_before = wasted();
    flood_run(&f, 2 * PLAIT_S);
    assert_int_equal(live, live_before);
    assert_true(wasted() - wasted_before <= 2 * PLAIT_SESSIONS_FREE_RATE + 1);
    assert_true(facts().cookie_replies <= 3 * PLAIT_SESSIONS_REPLY_RATE + PLAIT_SESSIONS_REPLY_RATE / 10);
    for (unsigned i = 0; i < 5; i++) {
        flood_run(&f, PLAIT_S);
        plait_session_rekey(before.session, now);
        assert_true(node_under_flood(&f, &before, 10 * PLAIT_S) < 100 * PLAIT_MS);
    }
    node_init(&fresh, 2);
    assert_true(node_under_flood(&f, &fresh, 60 * PLAIT_S) < 30 * PLAIT_S);
    node_done(&before);
    node_done(&fresh);
    plait_cookie_keys_done(&f.keys);
}

/* All those addresses can be answered, and take their cookies. */
static void a_flood_from_real_addresses(void **state)
{
    static struct flood f;
    struct node before;

    (void)state;
    node_init(&before, 1);
    assert_true(node_tries(&before));
    node_confirms(&before);
    flood_init(&f, true);
    flood_run(&f, 2 * PLAIT_S);
    size_t live_before = live;
    uint64_t wasted_before = wasted();
    flood_run(&f, 2 * PLAIT_S);
    assert_int_equal(live, live_before);
    assert_true(wasted() - wasted_before > PLAIT_SESSIONS_COOKIE_RATE);
    assert_true(wasted() - wasted_before <= 2 * (PLAIT_SESSIONS_FREE_RATE + PLAIT_SESSIONS_COOKIE_RATE) + 2);
    for (unsigned i = 0; i < 5; i++) {
        flood_run(&f, PLAIT_S);
        plait_session_rekey(before.session, now);
        assert_true(node_under_flood(&f, &before, 10 * PLAIT_S) < 100 * PLAIT_MS);
    }
    node_done(&before);
    plait_cookie_keys_done(&f.keys);
}

/* One address alone may not take what is there for all. */
static void a_flood_from_one_address(void **state)
{
    static struct flood f;
    struct node other;

    (void)state;
    node_init(&other, 7);
    flood_init(&f, true);
    for (unsigned i = 0; i < 2 * FLOOD_PER_S; i++) {
        flood_one(&f, 0);
        now += PLAIT_S / FLOOD_PER_S;
    }
    uint64_t start = wasted();
    for (unsigned i = 0; i < FLOOD_PER_S; i++) {
        flood_one(&f, 0);
        now += PLAIT_S / FLOOD_PER_S;
    }
    assert_true(wasted() - start <= PLAIT_SESSIONS_FREE_RATE + PLAIT_SESSIONS_ADDRESS_RATE + 10);
    unsigned tries = 0;
    for (; tries < 5; tries++) {
        flood_one(&f, 0);
        if (node_tries(&other))
            break;
    }
    assert_true(tries <= 1);
    node_done(&other);
    plait_cookie_keys_done(&f.keys);
}

/* Each allocation of a handshake fails once: sooner or later, with the retries, it succeeds. */
static void handshakes_without_memory(struct node *n)
{
    plait_session_set_paths(n->session, now, 1);
    for (long left = 0;; left++) {
        bool done = false;
        failing_alloc_after(left);
        plait_session_rekey(n->session, now);
        for (unsigned i = 0; i < 10 && !(done = node_tries_so(n, false)); i++)
            now += PLAIT_S;
        bool happened = failing_alloc_happened();
        failing_alloc_after(-1);
        assert_true(done);
        node_confirms(n);
        now += PLAIT_S;
        if (!happened)
            return;
    }
}

/* Of IPv6 a whole /64 is one sender. */
static void addresses_of_one_network(void **state)
{
    struct plait_gate g;
    struct plait_handshake h;
    const struct plait_random random = kit_random(&prng);
    uint8_t d[PLAIT_INITIATION_FRAME_BYTES + PLAIT_INITIATION_BODY_MIN] = {0}, cookie[PLAIT_COOKIE_BYTES];
    struct plait_origin from = {{0x20, 1, 0xd, 0xb8}, 1};
    unsigned passed[2] = {0};

    (void)state;
    assert_int_equal(plait_gate_init(&g, crypto, &random, &hub_id.public, now), PLAIT_OK);
    plait_handshake_encode_head(PLAIT_ENVELOPE_INITIATION, 1, d);
    assert_int_equal(plait_handshake_decode(d, sizeof d, &h), PLAIT_OK);
    for (unsigned i = 0; i < 200; i++) {
        unsigned many = i % 2; /* networks, or only addresses */
        from.address[many ? 7 : 15] = (uint8_t)i;
        from.address[many ? 15 : 7] = 0;
        assert_int_equal(plait_cookie_bake(&g.jar, &from, cookie), PLAIT_OK);
        assert_int_equal(plait_cookie_mac2(crypto, cookie, d, sizeof d - 16, d + sizeof d - 16), PLAIT_OK);
        passed[many] += plait_gate_judge(&g, crypto, &random, now, &from, true, d, &h) == PLAIT_GATE_PASS;
    }
    assert_in_range(passed[0], 3, 6);
    assert_in_range(passed[1], 90, 100);
    plait_gate_done(&g);
}

static void memory_that_runs_out(void **state)
{
    struct node n = {.from = origin(1)};
    struct plait_session_config config;
    unsigned failed = 0;
    bool done = false;

    (void)state;
    assert_int_equal(kit_identity(&prng, &n.id), PLAIT_OK);
    config = config_of(&n.id);
    for (long left = 0; !done; left++) {
        plait_session_free(n.session);
        failing_alloc_after(left);
        n.session = plait_session_new_initiator(&config, &hub_id.public, now, now);
        done = !failing_alloc_happened();
        failing_alloc_after(-1);
        failed += n.session == NULL;
    }
    assert_true(failed > 5);
    done = false;
    for (long left = 0; !done; left++) {
        if (n.at_hub != NULL)
            plait_sessions_remove(hub, n.at_hub);
        n.at_hub = NULL;
        failing_alloc_after(left);
        int err = plait_sessions_add(hub, &n.id.public, &n, &n.at_hub);
        done = !failing_alloc_happened();
        failing_alloc_after(-1);
        assert_int_equal(err == PLAIT_OK, n.at_hub != NULL);
    }
    handshakes_without_memory(&n);
    /* The window of a path whose first packet comes: refused, and the next one taken. */
    uint8_t packet[PLAIT_SESSION_HEAD + PLAIT_SESSION_TAIL], again[sizeof packet];
    struct plait_opened o;
    assert_int_equal(plait_session_seal(n.session, now, 5, packet, 0), PLAIT_OK);
    memcpy(again, packet, sizeof packet);
    failing_alloc_after(0);
    assert_int_equal(plait_session_open(n.at_hub, now, packet, sizeof packet, &o), PLAIT_ERR_NOMEM);
    failing_alloc_after(-1);
    assert_int_equal(plait_session_open(n.at_hub, now, again, sizeof again, &o), PLAIT_OK);
    node_done(&n);
}

static void packets_allocate_nothing(void **state)
{
    struct node n;
    uint8_t packet[PLAIT_SESSION_HEAD + 1400 + PLAIT_SESSION_TAIL] = {0};
    struct plait_opened o;

    (void)state;
    node_init(&n, 1);
    assert_true(node_tries(&n));
    for (uint8_t path = 0; path < PLAIT_SESSION_PATHS; path++) {
        assert_int_equal(plait_session_seal(n.session, now, path, packet, 1400), PLAIT_OK);
        assert_int_equal(plait_session_open(n.at_hub, now, packet, sizeof packet, &o), PLAIT_OK);
    }
    size_t before = allocations;
    failing_alloc_after(0);
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(plait_session_seal(n.session, now, (uint8_t)(i % 16), packet, 1400), PLAIT_OK);
        assert_int_equal(plait_session_open(n.at_hub, now, packet, sizeof packet, &o), PLAIT_OK);
    }
    assert_false(failing_alloc_happened());
    failing_alloc_after(-1);
    assert_int_equal(allocations, before);
    node_done(&n);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(map),
        CASE(two_thousand_come_back),
        CASE(a_flood_from_made_up_addresses),
        CASE(a_flood_from_real_addresses),
        CASE(a_flood_from_one_address),
        CASE(addresses_of_one_network),
        CASE(memory_that_runs_out),
        CASE(packets_allocate_nothing),
    };

    if (CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free) != 1)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
