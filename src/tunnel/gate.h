/*
 * What handshakes may cost a responder: how many of them are looked into, whose come first, and who is asked for a
 * cookie. Internal to the sessions' table.
 */
#ifndef PLAIT_TUNNEL_GATE_H
#define PLAIT_TUNNEL_GATE_H

#include "cookie.h"
#include "handshake.h"

#define PLAIT_GATE_ROWS 4096u /* of addresses, by their hash */

/* So many a second, at most `burst` at once: the time at which the next one would be due if all came evenly. */
struct plait_quota {
    uint64_t due;
};

bool plait_quota_take(struct plait_quota *r, uint64_t now, uint32_t per_s, uint32_t burst);

struct plait_gate {
    struct plait_cookie_keys keys; /* of our public key */
    struct plait_cookie_jar jar;
    uint64_t seed;
    struct plait_quota free, known, cookie, reply;
    struct plait_quota address[PLAIT_GATE_ROWS], proven_address[PLAIT_GATE_ROWS];
    uint32_t proven[PLAIT_GATE_ROWS]; /* fingerprint of an address that authenticated; 0 = none */
};

enum plait_gate_verdict {
    PLAIT_GATE_PASS,
    PLAIT_GATE_ASK, /* for a cookie */
    PLAIT_GATE_DROP,
};

PLAIT_MUST_USE int plait_gate_init(struct plait_gate *g, struct plait_crypto *c,
                                   const struct plait_random *random, const struct plait_key *public,
                                   uint64_t now);
void plait_gate_done(struct plait_gate *g);
/* Of an initiation whose MAC1 is right. */
enum plait_gate_verdict plait_gate_judge(struct plait_gate *g, struct plait_crypto *c,
                                         const struct plait_random *random, uint64_t now,
                                         const struct plait_origin *from, bool loaded,
                                         const uint8_t *datagram, const struct plait_handshake *h);
/* Writes the cookie reply that it is asked by. */
PLAIT_MUST_USE int plait_gate_ask(struct plait_gate *g, struct plait_crypto *c,
                                  const struct plait_random *random, const struct plait_origin *from,
                                  const struct plait_handshake *h, uint8_t out[PLAIT_HANDSHAKE_COOKIE_BYTES]);
/* An initiation from there was authentic and new. */
void plait_gate_note_proven(struct plait_gate *g, const struct plait_origin *from);
/* A number that only we can tell from a key or address: spreads rows, and tells an attacker nothing. */
uint64_t plait_gate_hash(const struct plait_gate *g, const void *bytes, size_t len);

#endif
