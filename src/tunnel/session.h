/*
 * A session: the keys that two ends of a tunnel share, in time.
 *
 * The initiator (a node) makes a handshake, another every two minutes or so, and whenever what it sends remains
 * unanswered; the responder (a hub) answers. Both then seal and open datagrams. Theory of operation: session.c;
 * bytes and timers: doc/tunnel.md.
 *
 *      initiator                                         responder
 *      plait_session_new_initiator                       plait_sessions_add (sessions.h)
 *      poll_send → initiation ------------------------→  plait_sessions_recv, plait_sessions_respond
 *      recv      ←------------------------- response
 *      seal → anything at all -----------------------→  open: only now may the responder seal
 *
 * No clock, no I/O: `now` is nanoseconds from any zero. Nothing is allocated for a packet. One session and what it
 * borrows belong to one thread.
 */
#ifndef PLAIT_TUNNEL_SESSION_H
#define PLAIT_TUNNEL_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aead.h"
#include "crypto.h"
#include "envelope.h"
#include "err.h"
#include "handshake.h"
#include "key.h"
#include "units.h"

#define PLAIT_SESSION_PATHS 16u /* paths are numbered below it */
/* Room that seal needs before and behind the plaintext. */
#define PLAIT_SESSION_HEAD  PLAIT_ENVELOPE_BYTES
#define PLAIT_SESSION_TAIL  PLAIT_AEAD_TAG_BYTES

#define PLAIT_SESSION_REKEY_AFTER                                                                            \
    (120 * PLAIT_S) /* then the initiator asks for new keys (up to 10 s before, at random) */
#define PLAIT_SESSION_REJECT_AFTER  (180 * PLAIT_S)     /* then keys are wiped */
#define PLAIT_SESSION_REKEY_PACKETS (UINT64_C(1) << 27) /* sealed or opened: new keys are asked for */
#define PLAIT_SESSION_REJECT_PACKETS                                                                         \
    (UINT64_C(1) << 28) /* sealed: no more with these keys (RFC 9001, B.1.1) */
/*
 * What is sealed and remains without anything opened for so long: the other end may have forgotten the keys. (With
 * new keys at first twice the time that the handshake took, where that is more.)
 */
#define PLAIT_SESSION_SILENCE   (2 * PLAIT_S)
/* The same initiation is sent again after so long, then twice that, and so on, each time ± a fifth. */
#define PLAIT_SESSION_RETRY_MIN (500 * PLAIT_MS)
#define PLAIT_SESSION_RETRY_MAX (3 * PLAIT_S)
/* An older initiation is not sent again: a new one is made. Responses to the old one count until then. */
#define PLAIT_SESSION_RENEW     (5 * PLAIT_S)

struct plait_session;

struct plait_session_config {
    struct plait_crypto *crypto; /* borrows; of this thread */
    struct plait_random random;
    const struct plait_identity *self; /* borrows */
    uint64_t instance;                 /* random, chosen once at the start of the program */
    struct plait_aead_speeds speeds;   /* see plait_aead_measure */
};

/*
 * The initiator's end; it begins at `now`. `wall` is the time of day in nanoseconds since 1970, as good as it is
 * known: it may be years wrong, or go backwards between two starts (doc/tunnel.md, "Stamps"). Returned owned; NULL
 * without memory, or for a peer's key that is no key (small order).
 */
struct plait_session *plait_session_new_initiator(const struct plait_session_config *config,
                                                  const struct plait_key *peer, uint64_t now, uint64_t wall);
/* Wipes all keys. A responder's session is freed by its table (plait_sessions_remove), not by this. */
void plait_session_free(struct plait_session *s);

/*
 * What the initiator says of itself (hello.h), from the next initiation on; copied. PLAIT_ERR_LIMIT above
 * PLAIT_HANDSHAKE_HELLO_MAX bytes.
 */
PLAIT_MUST_USE int plait_session_set_hello(struct plait_session *s, const void *bytes, size_t len);
/*
 * The paths over which initiations go: bit i = path i. Each is sent over all of them; the copy that comes first is
 * answered, and the answer to any is good. Where a path is added while an initiation is waiting for its answer, it is
 * sent there at once.
 */
void plait_session_set_paths(struct plait_session *s, uint64_t now, uint32_t paths);
/* Asks for new keys now, whatever the timers say: the machine has slept, all uplinks are new. Initiator only. */
void plait_session_rekey(struct plait_session *s, uint64_t now);

/* The four doors. */

enum plait_session_event {
    PLAIT_SESSION_NOTHING,
    PLAIT_SESSION_KEYS, /* new keys: send something at once, the responder waits for it */
};

struct plait_session_news {
    enum plait_session_event event;
    bool
        peer_is_new; /* the other end's program is not the one of the keys before: it knows nothing of the past */
    uint64_t peer_instance;
    const uint8_t *hello; /* what the responder said; borrows until the next call */
    size_t hello_len;
};

/*
 * A response or cookie reply that came on a path. PLAIT_ERR_* for what is wrong with it: to be dropped and counted;
 * nothing has changed. *news is written always.
 */
PLAIT_MUST_USE int plait_session_recv(struct plait_session *s, uint64_t now, uint8_t path,
                                      const uint8_t *datagram, size_t len, struct plait_session_news *news);
/*
 * The next initiation that is to be sent now, and on which path: its length, or 0 for none. Call until 0. Where a
 * path cannot send just now the copy is lost, and the retry repeats it.
 */
size_t plait_session_poll_send(struct plait_session *s, uint64_t now, uint8_t *path,
                               uint8_t out[PLAIT_HANDSHAKE_BYTES_MAX]);
/* When on_deadline has something to do; PLAIT_NEVER. */
uint64_t plait_session_next_deadline(const struct plait_session *s);
/* Then poll_send may have something. Early, late and superfluous calls are harmless. */
void plait_session_on_deadline(struct plait_session *s, uint64_t now);

/* Packets. */

/* Whether seal would find a key. */
bool plait_session_can_seal(const struct plait_session *s, uint64_t now);
/*
 * Seals in place. `packet` begins with PLAIT_SESSION_HEAD bytes of room, then `len` bytes of plaintext, then
 * PLAIT_SESSION_TAIL bytes of room; the datagram is the whole, PLAIT_SESSION_HEAD + len + PLAIT_SESSION_TAIL. The
 * path sequence, which is the nonce, is counted here. PLAIT_ERR_STATE without a key (the packet is untouched),
 * PLAIT_ERR_LIMIT where the key is used up, PLAIT_ERR_ARG for a path that there is not.
 */
PLAIT_MUST_USE int plait_session_seal(struct plait_session *s, uint64_t now, uint8_t path, uint8_t *packet,
                                      size_t len);

struct plait_opened {
    uint8_t path;
    uint64_t path_seq;
    uint8_t *text; /* within the datagram */
    size_t len;
    bool is_highest;  /* of its path so far: where it came from is where the path's other end is now */
    bool keys_begin;  /* the first packet under new keys: a responder may seal from now on */
    bool peer_is_new; /* with keys_begin: as in struct plait_session_news */
    bool is_past;     /* from a program of the other end before the one of today: it counted on its own */
};

/*
 * Opens in place. PLAIT_ERR_TRUNC, PLAIT_ERR_FORMAT, PLAIT_ERR_NOTFOUND (not one of our numbers, or its keys are
 * gone), PLAIT_ERR_RANGE (no such path), PLAIT_ERR_LIMIT (seen before or too old), PLAIT_ERR_CORRUPT,
 * PLAIT_ERR_NOMEM (the first packet of a path finds no memory for its window). *out only on success.
 */
PLAIT_MUST_USE int plait_session_open(struct plait_session *s, uint64_t now, uint8_t *datagram, size_t len,
                                      struct plait_opened *out);

/* What there is to show. */
struct plait_session_facts {
    enum plait_aead_kind aead; /* 0 = no keys */
    uint64_t keys_since;       /* PLAIT_NEVER = no keys */
    uint64_t last_opened;      /* PLAIT_NEVER = nothing yet */
    uint64_t handshakes;       /* done */
    uint64_t initiations;      /* made; copies and retries do not count */
    uint64_t sealed, opened;   /* packets */
    uint64_t replayed, forged; /* packets that were refused */
    bool waiting;              /* for a response */
};

void plait_session_facts(const struct plait_session *s, struct plait_session_facts *out);
const struct plait_key *plait_session_peer(const struct plait_session *s);
uint64_t plait_session_peer_instance(const struct plait_session *s);

#endif
