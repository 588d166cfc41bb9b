/*
 * What a path carries, estimated by its sender from the receiver's feedback (doc/tunnel.md, "Estimation").
 *
 * Over windows of about a round trip it compares what was sent, what arrived, and how long it took on the way:
 * delivered = arrived / time of arrival. While delay stays at its least, the path carries what it is given; when
 * a queue stands, what arrives is what the line can carry, and that is the new rate. Only a queue or new losses
 * lower the rate: traffic that asks for less says nothing about the path (draft-ietf-ccwg-bbr calls such samples
 * application-limited). To find more, a path that is used to the full is given 1.25 times its rate for a
 * round trip now and then, and more when that succeeds.
 *
 * A queue that does not get shorter while less is sent is not ours (jitter, others' traffic): it is then taken
 * for noise, and only what stands above it counts.
 */
#ifndef PLAIT_TUNNEL_RATE_H
#define PLAIT_TUNNEL_RATE_H

#include <stdbool.h>
#include <stdint.h>

#define PLAIT_RATE_HISTORY 64u

enum plait_rate_mode {
    PLAIT_RATE_CRUISE,
    PLAIT_RATE_PROBE, /* more than the rate */
    PLAIT_RATE_WAIT,  /* for what is heard of the probe */
    PLAIT_RATE_DRAIN, /* less, until the queue is gone */
};

/* What a report says, as of the newest datagram that arrived. Times of the two clocks are never mixed. */
struct plait_rate_sample {
    uint64_t arrival_ns;  /* receiver's clock */
    uint64_t sent_ns;     /* sender's clock */
    double sent, arrived; /* bytes on the line, from the beginning up to it */
    int64_t delay_ns;     /* least since the report before, against any fixed zero */
    uint64_t spread_ns;   /* how much greater the mean was */
};

struct plait_rate {
    double rate;     /* bytes/s on the line */
    double rate_max; /* never above; 0 = no limit */
    enum plait_rate_mode mode;
    double gain;
    struct plait_rate_sample history[PLAIT_RATE_HISTORY]; /* a ring */
    uint32_t history_at, history_n;
    double since;     /* what was sent before says nothing */
    double mark;      /* `sent` from which on a window says something about the present mode */
    double probe_end; /* PROBE, WAIT: `sent` when it ended; 0 = it lasts */
    uint64_t probe_until;
    uint64_t probe_next; /* not before */
    uint64_t probe_pause_ns;
    double probe_gain;
    bool probe_found;
    double delivered, sending; /* of the last window, bytes/s */
    bool stands;               /* there has been a queue since `stand`: the line has been busy */
    struct plait_rate_sample stand;
    int64_t base[2]; /* least delays of the present five seconds and the five before */
    uint64_t base_since;
    bool drain_ceiling;
    double drain_rate;   /* before draining */
    int64_t drain_queue; /* when it began */
    uint64_t drain_since;
    uint64_t queue_ns, noise_ns;
    uint64_t queued_since;       /* no queue was seen before */
    uint64_t burst_ns, burst_at; /* greatest made good lately */
    uint64_t jitter_ns;          /* smoothed spread, of when nothing was tried */
    double loss, loss_base;
    uint64_t rtt_ns; /* least round trip, from the path */
    bool idle;       /* the last window has pauses in it */
    bool limited;    /* the path, not the traffic, is the limit */
    bool ceiling;    /* a queue or losses have been seen: there is no more than about this */
    bool measured;   /* the rate is more than a first guess */
};

/* `rate`: a first guess. */
void plait_rate_init(struct plait_rate *r, double rate);
/* A train of datagrams sent at once arrived at this rate. Counts only while nothing better is known; a later one more
 * than one before. */
void plait_rate_on_train(struct plait_rate *r, double rate);
/* So much of a late wake-up is made good at once: it may stand as a queue, which is then not the rate's fault. */
void plait_rate_on_burst(struct plait_rate *r, uint64_t now, uint64_t late_ns);
/* The receiver begins anew, or the path does: the next sample is the first. The rate stays. */
void plait_rate_forget(struct plait_rate *r);
/* The path was silent: what it was before says nothing of what it is. The rate and the base stay. */
void plait_rate_interrupt(struct plait_rate *r, double sent);
/* `sent` is what the path has sent until now. */
void plait_rate_on_sample(struct plait_rate *r, uint64_t now, const struct plait_rate_sample *s, double sent);
/* To be called before sending: begins and ends probes. */
void plait_rate_on_send(struct plait_rate *r, uint64_t now, double sent);
/* Bytes per second at which the path is to be given packets. */
double plait_rate_pace(const struct plait_rate *r);
int64_t plait_rate_base(const struct plait_rate *r);

#endif
