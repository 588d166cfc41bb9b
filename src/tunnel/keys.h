/*
 * The keys of one handshake, in use: two ciphers, one for each direction, a window of what was seen for each path, and
 * what has been counted. Internal to the session.
 */
#ifndef PLAIT_TUNNEL_KEYS_H
#define PLAIT_TUNNEL_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "aead.h"
#include "envelope.h"
#include "err.h"
#include "noise.h"
#include "replay.h"
#include "session.h"

struct plait_keys {
    bool live;
    uint32_t local, remote; /* numbers: ours, and the receiver of what we seal */
    uint64_t since;
    uint64_t peer_instance;
    struct plait_aead sealer, opener;
    uint64_t sealed, opened;                          /* packets */
    struct plait_replay *window[PLAIT_SESSION_PATHS]; /* owns; each from its path's first packet on */
};

/* Out of a finished handshake. PLAIT_ERR_ARG for a kind that there is not, PLAIT_ERR_NOMEM. */
PLAIT_MUST_USE int plait_keys_init(struct plait_keys *k, struct plait_crypto *c,
                                   const struct plait_noise *noise, bool initiator, enum plait_aead_kind aead,
                                   uint64_t now);
/* Wipes; harmless on blank ones. */
void plait_keys_done(struct plait_keys *k);
/* `to` takes them over, from is blank then; what was in `to` is wiped. */
void plait_keys_move(struct plait_keys *to, struct plait_keys *from);
/* Whether they may still be used. */
bool plait_keys_are_good(const struct plait_keys *k, uint64_t now);

/* As plait_session_seal; counts. */
PLAIT_MUST_USE int plait_keys_seal(struct plait_keys *k, uint8_t path, uint64_t path_seq, uint8_t *packet,
                                   size_t len);
/* As plait_session_open, of an envelope with our number; sets *highest. */
PLAIT_MUST_USE int plait_keys_open(struct plait_keys *k, const struct plait_envelope *e, uint8_t *datagram,
                                   size_t len, bool *highest);

#endif
