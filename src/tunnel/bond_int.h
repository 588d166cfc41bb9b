/*
 * The inside of a bond, shared by its parts: bond.c (life and doors), path.c (sending on a path), schedule.c
 * (which packet on which path), feedback.c (reports, both ways), probe.c (probes, path MTU, states), repair.c
 * (losses, silence, sending again).
 */
#ifndef PLAIT_TUNNEL_BOND_INT_H
#define PLAIT_TUNNEL_BOND_INT_H

#include "arrivals.h"
#include "bond.h"
#include "inner.h"
#include "line.h"
#include "prng.h"
#include "queue.h"
#include "rate.h"
#include "reorder.h"
#include "units.h"

#define PLAIT_BOND_CREDIT_NS (2 * PLAIT_MS)  /* a pacer makes good so much of a late wake-up */
#define PLAIT_BOND_LATE_NS   (16 * PLAIT_MS) /* or so much, where it is known that packets were kept waiting */
#define PLAIT_BOND_BORROW_NS (3 * PLAIT_MS)  /* what is urgent may go so much before its turn */
#define PLAIT_BOND_SPREAD_NS                                                                                 \
    (60 * PLAIT_MS) /* a path later than the best by more is only for what would wait as long */
#define PLAIT_BOND_BULK_NS  (400 * PLAIT_MS) /* and by more than that, for nothing */
#define PLAIT_BOND_SPILL_NS (3 * PLAIT_MS)   /* a flow that waits so long leaves its best path */
#define PLAIT_BOND_ACKS     16u              /* answers to probes that may wait */
#define PLAIT_BOND_MTU_MIN  1280u
#define PLAIT_BOND_MTU_MAX  9200u

enum {
    PLAIT_ENTRY_DATA = 1,
    PLAIT_ENTRY_FLYING = 2,
    PLAIT_ENTRY_PROMPT = 4, /* is reported within milliseconds */
};

/* A datagram that was sent and of which nothing has been heard. */
struct plait_entry {
    uint64_t sent_ns;
    double sent;                 /* bytes that the path had sent, this one included */
    double line_sent;            /* the same of a shared line; 0 = none */
    struct plait_packet *packet; /* holds; NULL for what is not DATA */
    uint32_t bytes;              /* on the line */
    uint8_t flags;
};

struct plait_path {
    struct plait_bond_path_config config;
    enum plait_bond_path_state state;
    /* sending */
    uint64_t seq_next;        /* number of the next datagram */
    uint64_t decided;         /* of all below it is known, or given up */
    uint64_t oldest;          /* no DATA of which nothing is known is below */
    uint64_t newest;          /* greatest number known to have arrived, plus 1 */
    struct plait_entry *ring; /* owns */
    uint32_t ring_size;       /* a power of two */
    double sent;              /* bytes on the line */
    double flying;            /* DATA bytes on the way */
    uint64_t next_free;       /* the pacer's */
    struct plait_rate rate;
    struct plait_line_seat seat; /* where the line is shared: then it has the pacer and the estimate */
    uint64_t limit_free;         /* pacer of the path's own limit there */
    bool scanty;                 /* not worth it, see seat.c */
    uint64_t try_at;             /* when it is tried again */
    uint64_t reported_bytes, reported_packets; /* unwrapped from reports */
    uint64_t reported_arrival;                 /* receiver's clock, its unit, unwrapped */
    uint64_t reported_at;                      /* last progress, our clock; 0 = never */
    int64_t delay_ns;            /* smoothed, towards the peer, against a zero common to all paths */
    uint64_t spread_ns;          /* smoothed mean − least of a report */
    uint64_t ack_ns, ack_dev_ns; /* smoothed time until feedback of a datagram */
    uint64_t srtt_ns, rtt_min_ns, loop_ns; /* loop: forth on this path, back on any */
    uint64_t rtt_since;
    uint64_t silent_since; /* SUSPECT, DEAD */
    uint32_t patience;     /* times that it was suspected wrongly, lately */
    uint64_t patience_at;
    double weight_place; /* fixed weights: position of its next packet */
    uint64_t last_data;
    bool end_due;
    /* probing */
    uint64_t probe_at;
    uint16_t probe_id;
    uint16_t probes_open; /* sent since the last answer */
    uint16_t mtu, mtu_low, mtu_high;
    uint16_t mtu_probe; /* size that is being tried; 0 = none */
    uint8_t mtu_tries;
    uint16_t mtu_id;
    uint64_t mtu_at;
    uint8_t train_left, train_len;
    uint8_t trains; /* begun so far */
    double train_rate;
    uint16_t train_id;
    uint8_t train_n;                  /* answers so far: */
    uint32_t train_first, train_last; /* receiver's clock, u24 */
    uint8_t train_first_n, train_last_n;
    /* receiving */
    struct plait_arrivals arrivals;
    double sent_rate, received_rate; /* smoothed, for people */
    uint64_t rate_at;
    double rate_sent_mark, rate_received_mark;
    uint64_t sent_packets, lost_packets, again_packets;
};

struct plait_probe_answer {
    uint8_t path;
    struct plait_datagram_probe probe;
};

struct plait_bond {
    struct plait_bond_config config;
    struct plait_queue queue;
    struct plait_reorder reorder;
    struct plait_path paths[PLAIT_BOND_PATHS];
    uint32_t paths_end; /* one above the greatest in use */
    struct plait_prng prng;
    struct plait_line_user user;
    /* to be sent again, oldest first */
    struct plait_packet *again_head, *again_tail;
    uint32_t again_n;
    uint64_t again_at;                  /* when it may be tried next */
    struct plait_packet *double_packet; /* holds: to be sent a second time on double_path at once */
    uint8_t double_path;
    double double_credit; /* bytes */
    struct plait_probe_answer answers[PLAIT_BOND_ACKS];
    uint32_t answers_n;
    uint64_t feedback_at, feedback_last;
    uint32_t feedback_turn;
    uint64_t send_at;    /* when the scheduler has something to send next */
    uint64_t late_ns;    /* of this round of polls: so late it began */
    uint64_t even_ns;    /* data of TCP and QUIC wait at least so long at the entrance, see feedback.c */
    uint64_t whole_free; /* pacer of the limit of the whole */
    bool receiving;
    uint64_t clock_base; /* see plait_arrivals_on_datagram */
    uint8_t control[PLAIT_BOND_CONTROL_MAX];
    uint16_t control_len;
    int control_path;
    uint8_t out[PLAIT_BOND_CONTROL_MAX + 16];
    uint64_t pushed, pushed_bytes, refused, bad, repaired, flight;
};

static inline bool plait_path_carries(const struct plait_path *p)
{
    return p->state == PLAIT_BOND_PATH_UP;
}

static inline bool plait_path_exists(const struct plait_path *p)
{
    return p->state != PLAIT_BOND_PATH_NONE && p->state != PLAIT_BOND_PATH_DOWN;
}

static inline uint64_t plait_bond_clock(uint64_t now)
{
    return now / PLAIT_DATAGRAM_TIME_NS;
}

static inline double plait_path_line(const struct plait_path *p, size_t plaintext)
{
    return (double)(plaintext + p->config.overhead);
}

static inline uint8_t *plait_bond_body(struct plait_bond *b)
{
    return b->out + PLAIT_DATAGRAM_COMMON_BYTES;
}

/* ---- path.c ---- */
void plait_path_init(struct plait_path *p, const struct plait_bond_path_config *config);
/* Forgets what is on the way, as if it had arrived. */
void plait_path_forget(struct plait_bond *b, struct plait_path *p);
void plait_path_done(struct plait_bond *b, struct plait_path *p);
/* Room for one more DATA. */
bool plait_path_has_room(struct plait_path *p, uint32_t flight_max);
/* Writes the header, notes the datagram as sent, charges the pacer. For DATA, `packet` gets one holder more. For
 * others, `body_len` bytes have been written to plait_bond_body, and `pad` zeros follow them. */
void plait_path_send(struct plait_bond *b, uint64_t now, unsigned path, struct plait_datagram *d,
                     struct plait_packet *packet, size_t body_len, size_t pad,
                     struct plait_bond_datagram *out);
/* Nanoseconds until what is sent now, of `bytes` on the line, arrives, against the common zero. */
int64_t plait_path_arrival(const struct plait_path *p, uint64_t now, double bytes);
/* Whether news that took `rtt` may be believed: a path that was silent has to be as quick as before, for a while. */
bool plait_path_may_return(struct plait_bond *b, uint64_t now, struct plait_path *p, uint64_t rtt);
/* The pace was `before`: what the pacer still waits for is waited for at the new one. */
void plait_path_repace(struct plait_path *p, uint64_t now, double before);
/* Entry of a number that is not decided. */
struct plait_entry *plait_path_entry(struct plait_path *p, uint64_t seq);
/* Nothing more is waited for: the packet is let go. */
void plait_path_settle(struct plait_bond *b, struct plait_path *p, struct plait_entry *e);

/* ---- schedule.c ---- */
/* The next inner packet and its path; false if none may leave now: then `send_at` says when to look again. */
bool plait_schedule_next(struct plait_bond *b, uint64_t now, unsigned *path, struct plait_packet **packet);
/* To be called before anything is sent: sees whether one looks later than was asked for. */
void plait_schedule_notice(struct plait_bond *b, uint64_t now);
/* Whether any path may carry a packet of this size, now or when it is up. */
bool plait_schedule_fits_somewhere(const struct plait_bond *b, const struct plait_packet *packet);
/* The path on which a datagram of `bytes` arrives first, of those that carry; −1 = none. `not` is left out. */
int plait_schedule_best(struct plait_bond *b, uint64_t now, double bytes, int not );

/* More is on the way than a full path and a short queue hold. */
bool plait_path_is_stuffed(const struct plait_path *p);

/* ---- seat.c ---- */
/* Before a datagram is polled: when the shared lines are to be had, and how much of them. */
void plait_seat_look(struct plait_bond *b, uint64_t now);
/* Nothing more leaves now: what would have? */
void plait_seat_note(struct plait_bond *b, uint64_t now);
/* A report has come: which paths are worth it? */
void plait_seat_judge(struct plait_bond *b, uint64_t now);
/* Sounds lines that only carry for others. */
bool plait_seat_poll(struct plait_bond *b, uint64_t now, struct plait_bond_datagram *out);
uint64_t plait_seat_deadline(const struct plait_bond *b);
void plait_seat_charge(struct plait_path *p, uint64_t now, double bytes, bool data);
void plait_seat_measure(struct plait_path *p, uint64_t now, const struct plait_rate_sample *s,
                        const struct plait_entry *newest);

/* ---- feedback.c ---- */
void plait_feedback_recv(struct plait_bond *b, uint64_t now, unsigned path, const struct plait_datagram *d);
/* A datagram came: sees to it that it is reported. */
void plait_feedback_want(struct plait_bond *b, uint64_t now, const struct plait_datagram *d,
                         const struct plait_path *p);
bool plait_feedback_poll(struct plait_bond *b, uint64_t now, struct plait_bond_datagram *out);

/* ---- probe.c ---- */
void plait_probe_begin(struct plait_bond *b, uint64_t now, struct plait_path *p);
/* Lets a train of datagrams out, for another guess of the rate. */
void plait_probe_train(struct plait_path *p);
void plait_probe_recv(struct plait_bond *b, uint64_t now, unsigned path, const struct plait_datagram *d,
                      size_t len);
void plait_probe_recv_answer(struct plait_bond *b, uint64_t now, unsigned path,
                             const struct plait_datagram *d);
bool plait_probe_poll(struct plait_bond *b, uint64_t now, struct plait_bond_datagram *out);
uint64_t plait_probe_deadline(const struct plait_bond *b);

/* ---- repair.c ---- */
void plait_repair_lost(struct plait_bond *b, uint64_t now, struct plait_path *p, struct plait_entry *e);
/* All that the path holds is to be sent again on others. */
void plait_repair_rescue(struct plait_bond *b, uint64_t now, struct plait_path *p);
bool plait_repair_poll(struct plait_bond *b, uint64_t now, struct plait_bond_datagram *out);
/* Looks for paths that have been silent for too long. */
void plait_repair_on_deadline(struct plait_bond *b, uint64_t now);
uint64_t plait_repair_deadline(const struct plait_bond *b);
void plait_repair_progress(struct plait_bond *b, uint64_t now, struct plait_path *p);
/* How long a gap in a flow is waited for when the packet behind it came on `p`. */
uint64_t plait_repair_hold_ns(const struct plait_bond *b, uint64_t now, const struct plait_path *p);

#endif
