/*
 * One end of the tunnel to one peer: its session (keys) and its bond (data plane), joined. The owner moves
 * datagrams between this and the network, and inner packets between this and the machine.
 *
 *      inner packet → plait_bond_push ─┐             ┌─→ config.deliver → inner packet
 *                                     bond ←──────── bond
 *      poll_send: header, payload, sealed             opened: recv
 *                                      ↓             ↑
 *                                   datagrams of a path
 *
 * The doors are those of its two halves: plait_peer_recv, plait_peer_poll_send, plait_peer_next_deadline,
 * plait_peer_on_deadline. While there are no keys, nothing is asked of the bond, which keeps what is pushed.
 * Nothing is allocated for a packet; what is sent is copied once, out of the bond's pool to where it is sealed.
 */
#ifndef PLAIT_TUNNEL_PEER_H
#define PLAIT_TUNNEL_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bond.h"
#include "err.h"
#include "session.h"

/* Around an inner packet in a datagram (what UDP carries). */
#define PLAIT_PEER_OVERHEAD (PLAIT_SESSION_HEAD + PLAIT_DATAGRAM_DATA_BYTES + PLAIT_SESSION_TAIL)

struct plait_peer {
    struct plait_session *session; /* borrows: made by plait_session_new_initiator or plait_sessions_add */
    struct plait_bond *bond;       /* owned */
    uint64_t bad;                  /* datagrams that were dropped: not understood, forged, seen before */
    uint32_t expected, known;      /* bit i: path i may be used by the peer; is set in the bond */
    struct plait_bond_path_config path[PLAIT_BOND_PATHS];
};

/* What a datagram has brought, apart from inner packets. */
struct plait_peer_news {
    bool is_sealed;       /* it was opened: it came from the peer, on path `path` */
    uint8_t path;         /* the number that the peer gave the path */
    bool is_highest;      /* of its path so far: where it came from is where the peer's end of the path is */
    bool keys_begin;      /* new keys, and the peer has them: it may be spoken to */
    bool peer_is_new;     /* with keys_begin: the peer's program has been started since; the bond knows it */
    const uint8_t *hello; /* with keys_begin, initiator only: what the responder said; until the next call */
    size_t hello_len;
};

/* Makes the bond. PLAIT_ERR_NOMEM, PLAIT_ERR_ARG. */
PLAIT_MUST_USE int plait_peer_init(struct plait_peer *p, struct plait_session *session,
                                   const struct plait_bond_config *bond);
/* Frees the bond; the session stays. */
void plait_peer_done(struct plait_peer *p);

/* Sets the path in the bond, or changes its properties, at once. PLAIT_ERR_ARG. */
PLAIT_MUST_USE int plait_peer_path_set(struct plait_peer *p, uint64_t now, unsigned path,
                                       const struct plait_bond_path_config *config);
/*
 * The peer may begin to use the path when it likes, and then it is set with these properties; one that is set is
 * changed. A path that is neither set nor expected is refused.
 */
PLAIT_MUST_USE int plait_peer_path_expect(struct plait_peer *p, uint64_t now, unsigned path,
                                          const struct plait_bond_path_config *config);
void plait_peer_path_remove(struct plait_peer *p, uint64_t now, unsigned path);

/*
 * A datagram that is no initiation; it is opened in place. `path` is the number of the path that it came on, as
 * far as is known: what matters is what a sealed one says itself. A negative result for what was wrong with it:
 * dropped and counted. *news is written always.
 */
PLAIT_MUST_USE int plait_peer_recv(struct plait_peer *p, uint64_t now, uint8_t path, uint8_t *datagram,
                                   size_t len, struct plait_peer_news *news);
/*
 * The next datagram that is to leave now, and on which path: its length, or 0 for none. Call until 0. `size` is
 * that of `out`: with less than the greatest MTU of a path, or than PLAIT_HANDSHAKE_BYTES_MAX, some cannot leave.
 */
size_t plait_peer_poll_send(struct plait_peer *p, uint64_t now, uint8_t *path, uint8_t *out, size_t size);
uint64_t plait_peer_next_deadline(const struct plait_peer *p, uint64_t now);
void plait_peer_on_deadline(struct plait_peer *p, uint64_t now);

#endif
