#include "session_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "units.h"

#define TEXT_BYTES 40

struct plait_origin kit_origin(uint8_t path)
{
    return (struct plait_origin){{[10] = 0xff, [11] = 0xff, 192, 0, 2, path}, (uint16_t)(4000 + path)};
}

static struct plait_session_config config_of(struct kit *k, const struct plait_identity *id,
                                             const struct plait_aead_speeds *speeds)
{
    return (struct plait_session_config){.crypto = k->crypto,
                                         .random = kit_random(&k->prng),
                                         .self = id,
                                         .instance = ++k->instances,
                                         .speeds = *speeds};
}

void kit_start_hub(struct kit *k)
{
    struct plait_sessions_config config = {.session = config_of(k, &k->hub_id, &k->hub_speeds),
                                           .peers_max = 4};

    k->hub = plait_sessions_new(&config, k->now);
    assert_non_null(k->hub);
    assert_int_equal(plait_sessions_add(k->hub, &k->node_id.public, k, &k->hub_session), PLAIT_OK);
    k->hub_off = false;
}

void kit_stop_hub(struct kit *k)
{
    plait_sessions_free(k->hub);
    k->hub = NULL;
    k->hub_session = NULL;
    k->hub_off = true;
}

void kit_start_node(struct kit *k)
{
    struct plait_session_config config = config_of(k, &k->node_id, &k->node_speeds);

    k->node = plait_session_new_initiator(&config, &k->hub_id.public, k->now, k->wall);
    assert_non_null(k->node);
    assert_int_equal(plait_session_set_hello(k->node, "node", 5), PLAIT_OK);
    plait_session_set_paths(k->node, k->now, (UINT32_C(1) << k->paths) - 1);
    k->node_off = false;
}

void kit_stop_node(struct kit *k)
{
    plait_session_free(k->node);
    k->node = NULL;
    k->node_off = true;
}

void kit_init(struct kit *k, uint64_t seed, unsigned paths)
{
    memset(k, 0, sizeof *k);
    k->prng.state = seed;
    k->now = 1000 * PLAIT_S;
    k->wall = UINT64_C(1700000000) * PLAIT_S;
    k->paths = paths;
    k->up = k->down = (struct kit_link){.delay = 20 * PLAIT_MS};
    k->crypto = plait_crypto_new();
    assert_non_null(k->crypto);
    assert_int_equal(kit_identity(&k->prng, &k->hub_id), PLAIT_OK);
    assert_int_equal(kit_identity(&k->prng, &k->node_id), PLAIT_OK);
    k->hub_speeds = k->node_speeds = (struct plait_aead_speeds){{0, 1000, 2000, 4000}};
    kit_start_hub(k);
    kit_start_node(k);
}

void kit_done(struct kit *k)
{
    plait_session_free(k->node);
    plait_sessions_free(k->hub);
    plait_crypto_free(k->crypto);
}

static void fly(struct kit *k, const struct kit_link *l, bool to_hub, uint8_t path, const uint8_t *bytes,
                size_t len)
{
    if (k->in_flight == KIT_FLIGHT)
        return;
    struct kit_flight *f = &k->flight[k->in_flight++];
    f->at = k->now + l->delay + (l->jitter > 0 ? plait_prng_below(&k->prng, l->jitter) : 0);
    f->to_hub = to_hub;
    f->path = path;
    f->len = (uint16_t)len;
    memcpy(f->bytes, bytes, len);
    if (plait_prng_unit(&k->prng) < l->spoilt)
        f->bytes[plait_prng_below(&k->prng, len)] ^= (uint8_t)(1u << plait_prng_below(&k->prng, 8));
}

void kit_post(struct kit *k, bool to_hub, uint8_t path, const uint8_t *bytes, size_t len)
{
    const struct kit_link *l = to_hub ? &k->up : &k->down;

    if (plait_prng_unit(&k->prng) >= l->loss)
        fly(k, l, to_hub, path, bytes, len);
    if (plait_prng_unit(&k->prng) < l->twice)
        fly(k, l, to_hub, path, bytes, len);
}

/* Under one number of the receiver's, a path's sequence only rises: no nonce comes twice. */
static void check_nonce(struct kit_side *side, const uint8_t *datagram, size_t len)
{
    struct plait_envelope e;
    uint32_t i = 0;

    assert_int_equal(plait_envelope_decode(datagram, len, &e), PLAIT_OK);
    while (i < side->heard_count && side->heard[i].receiver != e.receiver)
        i++;
    if (i == side->heard_count) {
        assert_true(side->heard_count < KIT_HEARD);
        side->heard[side->heard_count++].receiver = e.receiver;
    }
    assert_true(!side->heard[i].used[e.path] || e.path_seq > side->heard[i].seq[e.path]);
    side->heard[i].used[e.path] = true;
    side->heard[i].seq[e.path] = e.path_seq;
}

static void make_text(const struct kit_side *side, bool to_hub, uint32_t id, uint8_t *text)
{
    (void)side;
    for (size_t i = 0; i < TEXT_BYTES; i++)
        text[i] = (uint8_t)(id * 31 + i * 7 + to_hub);
    memcpy(text, &id, sizeof id);
}

static bool send_one(struct kit *k, struct plait_session *s, bool to_hub, uint8_t path)
{
    struct kit_side *side = to_hub ? &k->to_hub : &k->to_node;
    uint8_t packet[PLAIT_SESSION_HEAD + TEXT_BYTES + PLAIT_SESSION_TAIL];

    assert_true(side->next_id < KIT_IDS);
    make_text(side, to_hub, side->next_id, packet + PLAIT_SESSION_HEAD);
    if (!plait_session_can_seal(s, k->now)) {
        assert_int_equal(plait_session_seal(s, k->now, path, packet, TEXT_BYTES), PLAIT_ERR_STATE);
        return false;
    }
    assert_int_equal(plait_session_seal(s, k->now, path, packet, TEXT_BYTES), PLAIT_OK);
    check_nonce(side, packet, sizeof packet);
    side->next_id++;
    side->sent++;
    kit_post(k, to_hub, path, packet, sizeof packet);
    return true;
}

bool kit_node_send(struct kit *k, uint8_t path)
{
    return !k->node_off && send_one(k, k->node, true, path);
}

bool kit_hub_send(struct kit *k, uint8_t path)
{
    return !k->hub_off && send_one(k, k->hub_session, false, path);
}

static void take_text(struct kit *k, bool to_hub, const struct plait_opened *o)
{
    struct kit_side *side = to_hub ? &k->to_hub : &k->to_node;
    uint8_t right[TEXT_BYTES];
    uint32_t id;

    assert_int_equal(o->len, TEXT_BYTES);
    memcpy(&id, o->text, sizeof id);
    assert_true(id < side->next_id);
    make_text(side, to_hub, id, right);
    assert_memory_equal(o->text, right, TEXT_BYTES);
    assert_false(side->got[id]);
    side->got[id] = true;
    side->received++;
    side->last_received = k->now;
}

static void hub_knock(struct kit *k, const struct kit_flight *f)
{
    const struct plait_origin from = kit_origin(f->path);
    struct plait_knock knock;

    plait_sessions_recv(k->hub, k->now, &from, k->loaded, f->bytes, f->len, &knock);
    if (knock.kind == PLAIT_KNOCK_PEER) {
        assert_ptr_equal(knock.session, k->hub_session);
        assert_true(knock.hello_len < sizeof k->hub_heard);
        memcpy(k->hub_heard, knock.hello, knock.hello_len);
        assert_int_equal(plait_sessions_respond(k->hub, k->now, &knock, "hub", 4), PLAIT_OK);
    }
    if (knock.kind != PLAIT_KNOCK_NOTHING) {
        k->replies++;
        kit_post(k, false, f->path, knock.reply, knock.reply_len);
    }
}

static void hub_take(struct kit *k, struct kit_flight *f)
{
    struct plait_opened o;

    if (k->hub_off)
        return;
    if (f->bytes[0] != PLAIT_ENVELOPE_SEALED) {
        hub_knock(k, f);
        return;
    }
    struct plait_session *s = plait_sessions_find(k->hub, f->bytes, f->len);
    if (s == NULL || plait_session_open(s, k->now, f->bytes, f->len, &o) != PLAIT_OK)
        return;
    k->hub_keys += o.keys_begin;
    k->hub_peer_new += o.peer_is_new;
    take_text(k, true, &o);
    kit_hub_send(k, o.path);
}

static void node_take(struct kit *k, struct kit_flight *f)
{
    struct plait_session_news news;
    struct plait_opened o;

    if (k->node_off)
        return;
    if (f->bytes[0] == PLAIT_ENVELOPE_SEALED) {
        if (plait_session_open(k->node, k->now, f->bytes, f->len, &o) == PLAIT_OK)
            take_text(k, false, &o);
        return;
    }
    int err = plait_session_recv(k->node, k->now, f->path, f->bytes, f->len, &news);
    assert_true(err == PLAIT_OK || news.event == PLAIT_SESSION_NOTHING);
    if (news.event != PLAIT_SESSION_KEYS)
        return;
    k->node_keys++;
    k->node_peer_new += news.peer_is_new;
    assert_true(news.hello_len < sizeof k->node_heard);
    memcpy(k->node_heard, news.hello, news.hello_len);
    for (uint8_t p = 0; p < k->paths && !k->mute; p++)
        kit_node_send(k, p);
}

static void pump(struct kit *k)
{
    uint8_t path, out[PLAIT_HANDSHAKE_BYTES_MAX];
    size_t len;

    if (!k->node_off && plait_session_next_deadline(k->node) <= k->now)
        plait_session_on_deadline(k->node, k->now);
    if (!k->node_off)
        while ((len = plait_session_poll_send(k->node, k->now, &path, out)) > 0)
            kit_post(k, true, path, out, len);
    if (!k->hub_off && plait_sessions_next_deadline(k->hub) <= k->now)
        plait_sessions_on_deadline(k->hub, k->now);
}

static unsigned next_flight(const struct kit *k)
{
    unsigned first = 0;

    for (unsigned i = 1; i < k->in_flight; i++)
        if (k->flight[i].at < k->flight[first].at)
            first = i;
    return first;
}

static uint64_t next_event(const struct kit *k)
{
    uint64_t at = k->in_flight > 0 ? k->flight[next_flight(k)].at : PLAIT_NEVER;

    if (!k->node_off)
        at = plait_min_u64(at, plait_session_next_deadline(k->node));
    if (!k->hub_off)
        at = plait_min_u64(at, plait_sessions_next_deadline(k->hub));
    return at;
}

static void step(struct kit *k)
{
    if (k->in_flight > 0) {
        unsigned first = next_flight(k);
        if (k->flight[first].at <= k->now) {
            struct kit_flight f = k->flight[first];
            k->flight[first] = k->flight[--k->in_flight];
            (f.to_hub ? hub_take : node_take)(k, &f);
        }
    }
    pump(k);
}

void kit_run(struct kit *k, uint64_t until)
{
    unsigned steps = 0;

    pump(k);
    for (uint64_t at; (at = next_event(k)) <= until; steps++) {
        assert_true(steps < 1000000); /* a deadline that does not move on */
        k->now = plait_max_u64(k->now, at);
        step(k);
    }
    k->now = until;
}

bool kit_run_until_answer(struct kit *k, uint64_t until)
{
    uint64_t before = k->to_node.received;

    while (k->now < until && k->to_node.received == before) {
        uint64_t slice = plait_min_u64(until, k->now + 100 * PLAIT_MS);
        for (uint8_t p = 0; p < k->paths; p++)
            kit_node_send(k, p);
        kit_run(k, slice);
    }
    return k->to_node.received > before;
}
