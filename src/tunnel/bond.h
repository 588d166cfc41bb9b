/*
 * One end of a bonded tunnel: the data plane between the inner packets of a machine and the paths to one peer.
 * No keys, no I/O, no clock: the owner seals what is polled, opens what it hands in, and calls when the time
 * has come. Each end schedules what it sends, and learns from the other's feedback what became of it.
 *
 *      push ──> queue at the entrance (FQ-CoDel) ──> schedule ──> pacer of a path ──> poll_send
 *      recv ──> reordering per flow ──> deliver;   feedback, probes ──> the paths' estimates
 *
 * The doors: plait_bond_recv, plait_bond_poll_send, plait_bond_next_deadline, plait_bond_on_deadline; and
 * plait_bond_push for inner packets. After each batch of push and recv, and after on_deadline: poll_send until
 * it returns false, then set a timer for next_deadline. A timer that comes late by a millisecond or two costs
 * nothing. Nothing is allocated per packet: only the record of what is on the way on a path grows, by doubling, up
 * to its limit.
 *
 * Times are nanoseconds of the owner's monotonic clock; rates bytes per second, of whole IP packets on the
 * line (`overhead` included); sizes bytes. Paths are numbers below PLAIT_BOND_PATHS, agreed by both ends: what
 * lies behind a number (an uplink, a neighbour, a hub address) is the owner's business.
 */
#ifndef PLAIT_TUNNEL_BOND_H
#define PLAIT_TUNNEL_BOND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "datagram.h"
#include "err.h"
#include "pool.h"

#define PLAIT_BOND_PATHS       PLAIT_DATAGRAM_PATHS_MAX
/* From here on, a poll of one datagram writes at most so much: header and greatest message that is not DATA. */
#define PLAIT_BOND_CONTROL_MAX 1200u

struct plait_bond;
struct plait_line;

/* Which packet goes on which path. All but EARLIEST are there to be compared with (plait-sim tunnel --compare). */
enum plait_bond_policy {
    PLAIT_BOND_EARLIEST, /* earliest arrival, late binding, waiting where it pays */
    PLAIT_BOND_LOWEST_RTT,
    PLAIT_BOND_ROUND_ROBIN, /* weighted by rate, or by the fixed weights */
    PLAIT_BOND_RANDOM,      /* weighted in the same way */
};

struct plait_bond_config {
    struct plait_pool *pool; /* borrows; may be shared with other bonds of the thread */
    /* An inner packet, in its flow's order; `bytes` are borrowed for the call. Must not call the bond. */
    void (*deliver)(void *ctx, uint64_t now, const uint8_t *bytes, size_t len);
    /* A CONTROL message of the peer came; may be NULL. Must not call the bond. */
    void (*control)(void *ctx, uint64_t now, unsigned path, const uint8_t *bytes, size_t len);
    void *ctx;     /* borrows; for both */
    uint64_t seed; /* random: mixes the flows, draws for PLAIT_BOND_RANDOM */
    enum plait_bond_policy policy;
    uint32_t queue_packets;  /* at the entrance; 0 = 4096 */
    uint32_t held_packets;   /* in the reorder buffer; 0 = 8192 */
    uint32_t flight_packets; /* on the way, per path, a power of two; 0 = 8192 */
    double rate_max;         /* of the whole, sending; 0 = no limit */
    bool no_repair, no_ahead, no_reorder, no_duplicates, no_even; /* switch parts off, to be compared with */
};

enum plait_bond_path_state {
    PLAIT_BOND_PATH_NONE,    /* no such path */
    PLAIT_BOND_PATH_DOWN,    /* the owner says that it cannot carry anything */
    PLAIT_BOND_PATH_UNKNOWN, /* probed, no answer yet */
    PLAIT_BOND_PATH_UP,
    PLAIT_BOND_PATH_SUSPECT, /* silent: what it held was sent again elsewhere; nothing new but probes */
    PLAIT_BOND_PATH_DEAD,    /* silent for long: probed from time to time */
};

struct plait_bond_path_config {
    uint16_t mtu;      /* greatest IP packet that the path might carry (probed up to it); 0 = 1500 */
    uint16_t overhead; /* of the line around the plaintext: IP, UDP, clear part, tag; 0 = 58 (IPv4) */
    double weight;     /* sending; 0 = auto: from measurement */
    double rate_max;   /* sending; 0 = no limit */
    double rate_hint;  /* what it may carry, from an earlier run or the owner's knowledge; 0 = unknown */
    bool backup;       /* only when all others are down or full */
    bool
        carried; /* over somebody's line whose own traffic goes first: left alone where it brings next to nothing */
};

struct plait_bond_path_info {
    enum plait_bond_path_state state;
    double rate;      /* sending: what it is believed to carry */
    double sent_rate; /* over the last second or so */
    double receive_rate;
    uint64_t rtt_ns; /* smoothed; 0 = unknown */
    uint64_t rtt_min_ns;
    uint64_t queue_ns; /* of the path itself, towards the peer */
    uint64_t jitter_ns;
    double loss;       /* part of what was sent, smoothed */
    double reordering; /* part of what came that came late */
    uint16_t mtu;      /* greatest IP packet known to pass */
    uint64_t sent_bytes, sent_packets, received_bytes, received_packets, lost_packets, again_packets;
    uint64_t arrived_bytes; /* of what was sent, as far as is known; without the line's overhead */
};

struct plait_bond_info {
    uint64_t pushed_packets, pushed_bytes,
        dropped_packets;     /* entrance: all; dropped = too many or by CoDel */
    uint64_t marked_packets; /* CE */
    uint64_t delivered_packets, delivered_bytes;
    uint64_t late_packets, duplicate_packets; /* delivered out of order; came twice and were dropped */
    uint64_t repaired_packets;                /* came by a second sending */
    uint64_t bad_datagrams;                   /* received, not understood */
    uint32_t queue_packets, held_packets, flight_packets; /* now */
    uint32_t held_packets_max;
    uint64_t queue_ns; /* age of the oldest packet at the entrance */
};

/* A datagram to be sealed and sent: `header` and then `payload`. */
struct plait_bond_datagram {
    uint8_t path;
    uint16_t len; /* of header and payload */
    uint16_t header_len;
    uint16_t payload_len;
    const uint8_t *header;  /* borrows, until the next call of the bond */
    const uint8_t *payload; /* the same */
};

/* PLAIT_ERR_NOMEM, PLAIT_ERR_ARG. The config is copied. */
PLAIT_MUST_USE int plait_bond_new(const struct plait_bond_config *config, struct plait_bond **out);
/* All packets go back to the pool; NULL is harmless. */
void plait_bond_free(struct plait_bond *bond);
/* The peer has begun anew (another instance, found by its handshake): what it sent before is forgotten, what was
 * under way to it is sent again, the paths keep their estimates. */
void plait_bond_on_peer_restart(struct plait_bond *bond, uint64_t now);

/* Adds path `path`, or changes its properties. It is probed at once. PLAIT_ERR_ARG. */
PLAIT_MUST_USE int plait_bond_path_set(struct plait_bond *bond, uint64_t now, unsigned path,
                                       const struct plait_bond_path_config *config);
/* The owner knows that the path is down (link without carrier, address gone) or up again. What it held is sent
 * again on the others at once. */
void plait_bond_path_carrier(struct plait_bond *bond, uint64_t now, unsigned path, bool up);
/* The addresses behind the path have changed (roaming): what is known of it begins anew; nothing is lost. */
void plait_bond_path_moved(struct plait_bond *bond, uint64_t now, unsigned path);
void plait_bond_path_remove(struct plait_bond *bond, uint64_t now, unsigned path);
/* Paths of other bonds lead over the same line (line.h), too; NULL: none do. The bonds and the line belong to one
 * thread and have one clock. `owner`: what this bond sends there goes first. Borrows the line, which has to stay until
 * then, or until plait_line_done. No effect on a path that is not set. */
void plait_bond_path_line(struct plait_bond *bond, unsigned path, struct plait_line *line, bool owner);
/* Limit of the whole, sending; 0 = none. */
void plait_bond_limit(struct plait_bond *bond, uint64_t now, double rate_max);

/* An inner packet (IPv4 or IPv6, whole) is to go to the peer. Takes the packet (from the bond's pool) in every
 * case. PLAIT_ERR_FORMAT: not an IP packet; PLAIT_ERR_LIMIT: greater than plait_bond_mtu. What a full queue
 * drops is counted, not returned. */
int plait_bond_push(struct plait_bond *bond, uint64_t now, struct plait_packet *packet);
/* The same from the caller's memory; also PLAIT_ERR_NOMEM, the pool being empty. */
int plait_bond_push_copy(struct plait_bond *bond, uint64_t now, const void *bytes, size_t len);
/* Sends a message of the roles to the peer, not ordered, not repeated; `path` or −1 for the best one. It is
 * copied; PLAIT_ERR_LIMIT above PLAIT_BOND_CONTROL_MAX − 8 bytes or while another waits. */
PLAIT_MUST_USE int plait_bond_send_control(struct plait_bond *bond, uint64_t now, int path, const void *bytes,
                                           size_t len);

/* A datagram came on `path` and was opened: `bytes` are its plaintext, borrowed for the call; packets that are
 * in order are delivered from there. Negative for what is not understood (dropped and counted). */
int plait_bond_recv(struct plait_bond *bond, uint64_t now, unsigned path, const uint8_t *bytes, size_t len);
/* One that the peer sent before it began anew: its numbers mean nothing any more. An inner packet is delivered as it
 * is, unless it may have come before; all else is dropped. */
void plait_bond_recv_past(struct plait_bond *bond, uint64_t now, const uint8_t *bytes, size_t len);
/* The next datagram that is to leave now; false if there is none. The path may be any that is set. */
bool plait_bond_poll_send(struct plait_bond *bond, uint64_t now, struct plait_bond_datagram *out);
/* When plait_bond_on_deadline is to be called, or PLAIT_NEVER. */
uint64_t plait_bond_next_deadline(const struct plait_bond *bond);
void plait_bond_on_deadline(struct plait_bond *bond, uint64_t now);

/* Greatest inner packet that every path in use carries: the MTU of the TUN device, at least 1280 − headers. */
uint16_t plait_bond_mtu(const struct plait_bond *bond);
/* Whether packets go by fixed weights: then what polls give in turn is to leave in turn. */
bool plait_bond_is_weighted(const struct plait_bond *bond);
void plait_bond_path_get(const struct plait_bond *bond, uint64_t now, unsigned path,
                         struct plait_bond_path_info *out);
void plait_bond_get(const struct plait_bond *bond, uint64_t now, struct plait_bond_info *out);

#endif
