/*
 * What arrives on one path: which datagrams are missing, when one is given up, and the report of it for the
 * sender (doc/tunnel.md, "Reordering").
 *
 * A path is taken to keep the order until it is seen to break it: a missing number is given up when three
 * later ones have come and the time has passed by which numbers of this path have been late before, or when
 * some milliseconds have passed at all.
 */
#ifndef PLAIT_TUNNEL_ARRIVALS_H
#define PLAIT_TUNNEL_ARRIVALS_H

#include <stdbool.h>
#include <stdint.h>

#include "datagram.h"

#define PLAIT_ARRIVALS_GAPS 32u /* open at a time; more: the oldest is given up */

struct plait_gap {
    uint64_t first, end; /* numbers missing: first <= n < end */
    uint64_t since_ns;
    uint32_t later; /* datagrams that have come since */
};

struct plait_arrivals {
    uint64_t next;                             /* one above the greatest number that came */
    struct plait_gap gap[PLAIT_ARRIVALS_GAPS]; /* ascending */
    uint32_t gaps;
    struct {
        uint64_t first, end;
    } lost[PLAIT_DATAGRAM_RANGES_MAX]; /* a ring, newest at lost_at − 1 */
    uint32_t lost_at, lost_n;
    uint64_t first_undecided; /* cached: of all below this it is known whether they came */
    uint64_t newest_arrival;  /* when number next − 1 came */
    uint64_t last_arrival;    /* of anything, 0 = never */
    uint64_t last_data;       /* of an inner packet, 0 = never */
    uint64_t late_ns;         /* how late a number has come lately; decays */
    uint64_t clock;           /* sender's clock at the newest, in its unit, unwrapped */
    uint64_t passed;          /* sender's clock: what was sent before has come or is lost */
    bool ended;               /* the sender said that nothing is under way */
    bool tell, tell_now;      /* something to report; a loss to report */

    double rate; /* bytes/s, over a second or so */
    uint64_t rate_at, rate_bytes;
    uint64_t bytes, packets, lost_packets, late_packets;
    int64_t delay_min, delay_sum; /* since the last report, in units of the clock */
    uint32_t delay_n;
    /* smoothed, ns: the delay (of no meaning by itself, only against other paths) and its deviation */
    int64_t delay_ns;
    uint64_t jitter_ns;
};

void plait_arrivals_init(struct plait_arrivals *a);
/* A datagram of `bytes` came. `delay_base` is the receiver's clock less the sender's, about, in
 * PLAIT_DATAGRAM_TIME_NS; it never changes and is common to all paths. */
void plait_arrivals_on_datagram(struct plait_arrivals *a, uint64_t now, const struct plait_datagram *d,
                                size_t bytes, uint64_t delay_base);
/* Gives up what is due; sets `tell_now` where something was. */
void plait_arrivals_on_time(struct plait_arrivals *a, uint64_t now);
/* When that is next to be called, or PLAIT_NEVER. */
uint64_t plait_arrivals_deadline(const struct plait_arrivals *a);
/* Writes the report and begins anew with what a report covers. */
void plait_arrivals_report(struct plait_arrivals *a, uint8_t path, struct plait_datagram_report *out);

#endif
