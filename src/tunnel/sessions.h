/*
 * The responder's sessions: who may come (static keys), which session a datagram belongs to (numbers), and what a
 * flood of handshakes may cost.
 *
 *   owner gets a datagram of type 1    plait_sessions_recv
 *     PLAIT_KNOCK_REPLY                send `reply` back to where it came from
 *     PLAIT_KNOCK_PEER                 read `hello`, call plait_sessions_respond, send what it gives back there
 *   of type 4                          plait_sessions_find, then plait_session_open
 *
 * Before a stranger has proved to hold the private key of somebody that was added, he costs no memory, and of time: a
 * MAC for each datagram; for one that knows our public key, once there is more than a little of it, a cookie reply;
 * for one that has an address as well, a bounded number of handshakes a second, in which addresses that proved
 * themselves before go first.
 *
 * One table belongs to one thread. Work is bounded by the table, so N threads may do N times as much.
 */
#ifndef PLAIT_TUNNEL_SESSIONS_H
#define PLAIT_TUNNEL_SESSIONS_H

#include "cookie.h"
#include "session.h"

/* Handshakes a second whose first step (one X25519, about 30 µs) is done: */
#define PLAIT_SESSIONS_FREE_RATE    500u   /* without asking for a cookie; a burst of as many */
#define PLAIT_SESSIONS_KNOWN_RATE   2000u  /* from addresses that proved themselves lately */
#define PLAIT_SESSIONS_COOKIE_RATE  1000u  /* from any other with a right cookie, */
#define PLAIT_SESSIONS_ADDRESS_RATE 20u    /* of these from one address (or /64 of IPv6), roughly */
#define PLAIT_SESSIONS_REPLY_RATE   10000u /* cookie replies */

struct plait_sessions;

struct plait_sessions_config {
    struct plait_session_config session;
    uint32_t peers_max;
    /* The numbers of this table's sessions begin with these bits (0 to 8 of them), so that other threads can tell
     * whose a datagram is. */
    uint32_t index_prefix;
    unsigned index_prefix_bits;
};

/* Returned owned; NULL without memory. */
struct plait_sessions *plait_sessions_new(const struct plait_sessions_config *config, uint64_t now);
void plait_sessions_free(struct plait_sessions *t);

/*
 * Lets somebody come. `owner` is the caller's and comes back with plait_session_owner. The session belongs to the
 * table. PLAIT_ERR_STATE where the key is there already, PLAIT_ERR_LIMIT above peers_max, PLAIT_ERR_CORRUPT for a
 * key of small order, PLAIT_ERR_NOMEM.
 */
PLAIT_MUST_USE int plait_sessions_add(struct plait_sessions *t, const struct plait_key *peer, void *owner,
                                      struct plait_session **out);
/* Wipes and forgets it. */
void plait_sessions_remove(struct plait_sessions *t, struct plait_session *s);
/* NULL where there is none. */
struct plait_session *plait_sessions_of(const struct plait_sessions *t, const struct plait_key *peer);
void *plait_session_owner(const struct plait_session *s);

/* The session to which a sealed datagram says that it belongs, proven by nothing yet; NULL. */
struct plait_session *plait_sessions_find(const struct plait_sessions *t, const uint8_t *datagram,
                                          size_t len);

enum plait_knock_kind {
    PLAIT_KNOCK_NOTHING, /* drop it */
    PLAIT_KNOCK_REPLY,
    PLAIT_KNOCK_PEER,
};

struct plait_knock {
    enum plait_knock_kind kind;
    const uint8_t *reply; /* borrows until the next call, like all that is here */
    size_t reply_len;
    struct plait_session *session;
    bool
        peer_is_new; /* not the program of the keys in use; certain only once a packet is opened (keys_begin) */
    uint64_t peer_instance;
    const uint8_t *hello;
    size_t hello_len;
};

/*
 * An initiation. What it says is the peer's own, but after a start of the table it may be a copy that somebody kept:
 * what changes anything has to wait until a packet opens (keys_begin). `loaded` is the owner's own sign of
 * overload: everybody is asked for a cookie. Returns what was wrong, for the counters; *out is written always.
 */
int plait_sessions_recv(struct plait_sessions *t, uint64_t now, const struct plait_origin *from, bool loaded,
                        const uint8_t *datagram, size_t len, struct plait_knock *out);
/*
 * Answers the knock that plait_sessions_recv just gave, no other call in between; `hello` is what we have to say
 * (PLAIT_HANDSHAKE_HELLO_MAX). Then knock->reply is to be sent. PLAIT_ERR_STATE, PLAIT_ERR_LIMIT, PLAIT_ERR_NOMEM:
 * nothing is to be sent.
 */
PLAIT_MUST_USE int plait_sessions_respond(struct plait_sessions *t, uint64_t now, struct plait_knock *knock,
                                          const void *hello, size_t len);

/* Keys that are too old are wiped. */
uint64_t plait_sessions_next_deadline(const struct plait_sessions *t);
void plait_sessions_on_deadline(struct plait_sessions *t, uint64_t now);

struct plait_sessions_facts {
    uint32_t peers;
    uint64_t initiations;    /* came */
    uint64_t responses;      /* new ones */
    uint64_t repeated;       /* responses sent again to a copy */
    uint64_t bad_mac;        /* not for us, or not of this protocol */
    uint64_t cookie_replies; /* sent */
    uint64_t over_limit;     /* dropped for their number */
    uint64_t unknown_key;    /* a static key that was not added */
    uint64_t forged;         /* bytes that do not open */
    uint64_t stale;          /* stamps that were not higher */
};

void plait_sessions_facts(const struct plait_sessions *t, struct plait_sessions_facts *out);

#endif
