#include "gate.h"

#include <string.h>

#include "prng.h"
#include "sessions.h"
#include "units.h"

#define ADDRESS_BURST 5u

bool plait_quota_take(struct plait_quota *r, uint64_t now, uint32_t per_s, uint32_t burst)
{
    uint64_t interval = PLAIT_S / per_s, due = plait_max_u64(r->due, now);

    if (due - now > interval * (burst - 1))
        return false;
    r->due = due + interval;
    return true;
}

int plait_gate_init(struct plait_gate *g, struct plait_crypto *c, const struct plait_random *random,
                    const struct plait_key *public, uint64_t now)
{
    memset(g, 0, sizeof *g);
    plait_random_fill(random, &g->seed, sizeof g->seed);
    int err = plait_cookie_keys_init(&g->keys, c, public);
    return err == PLAIT_OK ? plait_cookie_jar_init(&g->jar, c, random, now) : err;
}

void plait_gate_done(struct plait_gate *g)
{
    plait_cookie_keys_done(&g->keys);
    plait_cookie_jar_done(&g->jar);
}

uint64_t plait_gate_hash(const struct plait_gate *g, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    struct plait_prng mix = {g->seed};
    uint64_t hash = plait_prng_next(&mix);

    for (size_t i = 0; i < len; i += 8) {
        uint64_t word = 0;
        memcpy(&word, at + i, len - i < 8 ? len - i : 8);
        mix.state ^= word + hash;
        hash = plait_prng_next(&mix);
    }
    return hash != 0 ? hash : 1;
}

/* Of IPv4 the address, of IPv6 the network of a household or machine. */
static uint64_t hash_origin(const struct plait_gate *g, const struct plait_origin *from)
{
    static const uint8_t v4[12] = {[10] = 0xff, [11] = 0xff};

    return plait_gate_hash(g, from->address, memcmp(from->address, v4, sizeof v4) == 0 ? 16 : 8);
}

static uint32_t fingerprint(uint64_t hash)
{
    return (uint32_t)(hash >> 32) | 1;
}

void plait_gate_note_proven(struct plait_gate *g, const struct plait_origin *from)
{
    uint64_t hash = hash_origin(g, from);

    g->proven[hash % PLAIT_GATE_ROWS] = fingerprint(hash);
}

/* An address, the row it counts in, and whether somebody has proved himself there. */
struct sender {
    size_t row;
    bool proven;
};

static struct sender sender_of(const struct plait_gate *g, const struct plait_origin *from)
{
    uint64_t hash = hash_origin(g, from);
    size_t row = hash % PLAIT_GATE_ROWS;

    return (struct sender){row, g->proven[row] == fingerprint(hash)};
}

/* Those who proved themselves share no row with those who did not. */
static bool take_of_address(struct plait_gate *g, uint64_t now, const struct sender *s)
{
    struct plait_quota *rows = s->proven ? g->proven_address : g->address;

    return plait_quota_take(&rows[s->row], now, PLAIT_SESSIONS_ADDRESS_RATE, ADDRESS_BURST);
}

/* Its address is its own, so it can be counted. */
static bool may_pass(struct plait_gate *g, uint64_t now, const struct sender *s)
{
    if (!take_of_address(g, now, s))
        return false;
    if (s->proven)
        return plait_quota_take(&g->known, now, PLAIT_SESSIONS_KNOWN_RATE, PLAIT_SESSIONS_KNOWN_RATE);
    return plait_quota_take(&g->cookie, now, PLAIT_SESSIONS_COOKIE_RATE, PLAIT_SESSIONS_COOKIE_RATE);
}

/* Anybody can write any address, but hardly knows which ones have proved themselves. */
static bool may_ask(struct plait_gate *g, uint64_t now, const struct sender *s)
{
    return (s->proven && take_of_address(g, now, s)) ||
           plait_quota_take(&g->reply, now, PLAIT_SESSIONS_REPLY_RATE, PLAIT_SESSIONS_REPLY_RATE / 10);
}

enum plait_gate_verdict plait_gate_judge(struct plait_gate *g, struct plait_crypto *c,
                                         const struct plait_random *random, uint64_t now,
                                         const struct plait_origin *from, bool loaded,
                                         const uint8_t *datagram, const struct plait_handshake *h)
{
    if (!loaded && plait_quota_take(&g->free, now, PLAIT_SESSIONS_FREE_RATE, PLAIT_SESSIONS_FREE_RATE))
        return PLAIT_GATE_PASS;
    if (plait_cookie_jar_turn(&g->jar, c, random, now) != PLAIT_OK)
        return PLAIT_GATE_DROP;
    const struct sender sender = sender_of(g, from);
    if (plait_cookie_mac2_is_right(&g->jar, c, from, datagram, (size_t)(h->mac2 - datagram), h->mac2))
        return may_pass(g, now, &sender) ? PLAIT_GATE_PASS : PLAIT_GATE_DROP;
    return may_ask(g, now, &sender) ? PLAIT_GATE_ASK : PLAIT_GATE_DROP;
}

int plait_gate_ask(struct plait_gate *g, struct plait_crypto *c, const struct plait_random *random,
                   const struct plait_origin *from, const struct plait_handshake *h,
                   uint8_t out[PLAIT_HANDSHAKE_COOKIE_BYTES])
{
    uint8_t cookie[PLAIT_COOKIE_BYTES], *nonce = out + PLAIT_HANDSHAKE_HEAD_BYTES;
    int err = plait_cookie_bake(&g->jar, from, cookie);

    if (err != PLAIT_OK)
        return err;
    plait_handshake_encode_head(PLAIT_ENVELOPE_COOKIE, h->index, out);
    plait_random_fill(random, nonce, PLAIT_COOKIE_NONCE_BYTES);
    return plait_cookie_seal(&g->keys, c, nonce, h->mac1, cookie, nonce + PLAIT_COOKIE_NONCE_BYTES);
}
