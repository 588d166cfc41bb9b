/*
 * One direction of a simulated TCP connection: the sender's window, loss detection and recovery, and the
 * receiver's reassembly and acknowledgement. No bytes are kept, only their count.
 *
 * Theory. Data is cut into segments with consecutive ids; a retransmission is the same segment. Both ends
 * share one ring of segments, of which each touches only its own fields, and the receiver logs the ids that
 * arrive; an acknowledgement names the next id wanted and how far the log had come, which is selective
 * acknowledgement without the limit of three blocks. Loss is found as in RACK-TLP (RFC 8985): a segment is
 * lost when one sent enough later has arrived, and the last segments of a burst are probed before the timer
 * (RFC 6298) fires. In recovery the window comes down by proportional rate reduction (RFC 6937). The
 * receiver's application always reads at once: the window shrinks only by what waits for a missing segment.
 */
#ifndef PLAIT_SIM_FLOW_H
#define PLAIT_SIM_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "sim_bbr.h"
#include "sim_cc.h"

struct plait_sim_flow_config {
    uint32_t mss;        /* payload bytes of a full segment */
    uint64_t window;     /* receiver's, bytes */
    uint32_t initial_cw; /* segments */
    enum plait_sim_cc_kind cc;
    bool hystart;
    bool eager; /* see sim_cc.h */
    uint64_t rto_min_ns;
    uint64_t ack_delay_ns; /* of a lone segment's acknowledgement */
};

struct plait_sim_segment {
    uint32_t id;
    uint32_t len;
    bool fin;
};

struct plait_sim_ack {
    uint32_t next;  /* id wanted next */
    uint32_t log;   /* entries of the receiver's log so far */
    uint64_t limit; /* bytes of the flow that may be sent in all */
};

enum plait_sim_flow_state { PLAIT_SIM_FLOW_OPEN, PLAIT_SIM_FLOW_RECOVERY, PLAIT_SIM_FLOW_LOSS };
enum plait_sim_flow_timer {
    PLAIT_SIM_TIMER_NONE,
    PLAIT_SIM_TIMER_REORDER,
    PLAIT_SIM_TIMER_PROBE,
    PLAIT_SIM_TIMER_RTO
};

struct plait_sim_seg;

struct plait_sim_flow {
    const struct plait_sim_flow_config *config; /* borrows */
    struct plait_sim_seg *ring;                 /* owns */
    uint32_t *log;                              /* owns; ids in the order of their arrival */
    uint32_t room;                              /* of both, a power of two */

    /* sender */
    struct plait_sim_cc cc;
    enum plait_sim_flow_state state;
    uint64_t written, cut,
        acked; /* bytes: given by the application, cut into segments, acknowledged in order */
    uint64_t limit;
    uint32_t una, nxt;   /* ids: first not acknowledged, next new one */
    uint32_t head, tail; /* in flight, in the order of last sending */
    uint32_t pipe, sacked, lost;
    uint32_t lost_hint; /* no lost segment is below */
    uint32_t recover;   /* the state ends when this has been acknowledged */
    uint32_t log_seen;
    uint32_t round_end;
    uint32_t prr_delivered, prr_out, prr_flight;
    uint64_t srtt, rttvar, min_rtt, rto;
    uint32_t backoff;
    uint64_t rack_sent, rack_rtt;
    uint32_t rack_id, highest;
    uint32_t patience;
    bool reordered, limited, fin_wanted, fin_cut, dead;
    uint32_t use_most, use_end; /* the most segments in flight until that one was acknowledged */
    bool probing, probed;       /* a tail probe is to be sent; was sent and is not yet answered */
    bool unarmed;               /* the deadline is to be set anew */
    enum plait_sim_flow_timer timer;
    uint64_t deadline, last_send;

    /* sender, BBR only: the rate of delivery, and pacing */
    struct plait_sim_bbr bbr;
    uint64_t delivered, delivered_ns, first_ns;
    uint64_t sample_prior, sample_prior_ns, sample_sent_ns;
    uint32_t lost_seen, lost_all;
    uint64_t ack_rtt; /* measured by the present acknowledgement; 0 = none */
    bool sampled, sample_limited;
    uint64_t app_limited; /* until so much is delivered, samples are limited by the application; 0 = not */
    uint64_t
        pace_at; /* when plait_sim_flow_next is to be called again; PLAIT_NEVER = it does not wait for this */
    uint64_t pace_free;

    /* receiver */
    uint32_t want, received_high, log_n;
    uint32_t unacked;
    uint64_t received; /* bytes in order */
    uint64_t ack_at;   /* when an acknowledgement is due; PLAIT_NEVER = none */
    bool eof;

    uint64_t segments_sent, segments_resent, timeouts, recoveries;
};

void plait_sim_flow_init(struct plait_sim_flow *f, const struct plait_sim_flow_config *config);
void plait_sim_flow_done(struct plait_sim_flow *f);

/* The application gives `bytes` more to send. */
void plait_sim_flow_write(struct plait_sim_flow *f, uint64_t now, uint64_t bytes);
/* Nothing comes after what was written. */
void plait_sim_flow_close(struct plait_sim_flow *f);
/* Cuts or chooses the next segment that may be sent now. Returns false if there is none. */
bool plait_sim_flow_next(struct plait_sim_flow *f, uint64_t now, struct plait_sim_segment *out);
/* To be called when a burst of plait_sim_flow_next has come to its end: sets the deadline. */
void plait_sim_flow_arm(struct plait_sim_flow *f, uint64_t now);
void plait_sim_flow_on_ack(struct plait_sim_flow *f, uint64_t now, const struct plait_sim_ack *ack);
/* To be called at `deadline`. `dead` is set when the flow has given up. */
void plait_sim_flow_on_deadline(struct plait_sim_flow *f, uint64_t now);
/* A round trip measured by the handshake. */
void plait_sim_flow_rtt(struct plait_sim_flow *f, uint64_t rtt);

/* A segment arrived: returns the bytes that are now in order. `eof` is set once the end is in order too. */
uint64_t plait_sim_flow_receive(struct plait_sim_flow *f, uint64_t now, const struct plait_sim_segment *s);
/* What to acknowledge; clears `ack_at`. */
void plait_sim_flow_take_ack(struct plait_sim_flow *f, struct plait_sim_ack *ack);

#endif
