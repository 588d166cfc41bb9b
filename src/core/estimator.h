/*
 * Path estimator, receiving side: how fast bytes arrive, how long a round trip takes, how long a silence is
 * normal.
 *
 * Delivery rate: bytes over spans of about a round trip (50–500 ms), the mean of the last five without the greatest
 * and the least; only the time in which the path had something to deliver counts (BBR's rule for application-limited
 * samples, draft-ietf-ccwg-bbr).
 * While a busy path says nothing its rate decays, so that a path that died is not believed for long.
 */
#ifndef PLAIT_CORE_ESTIMATOR_H
#define PLAIT_CORE_ESTIMATOR_H

#include <stdbool.h>
#include <stdint.h>

#define PLAIT_ESTIMATOR_SPANS 5

struct plait_estimator {
    double rate;                        /* bytes/s, smoothed; 0 = no sample yet */
    double last[PLAIT_ESTIMATOR_SPANS]; /* of the last spans, in a ring */
    unsigned samples;                   /* spans closed so far */
    uint64_t rtt_min_ns;                /* 0 = unknown */
    uint64_t rtt_last_ns;               /* 0 = unknown */
    uint64_t busy_since;                /* busy: since when, or since the present span began */
    uint64_t span_busy_ns;              /* of the present span, before busy_since */
    uint64_t span_bytes;
    uint64_t last_arrival; /* of any byte, 0 = never */
    uint64_t gap_ns;       /* smoothed time between arrivals */
    bool busy;
};

void plait_estimator_init(struct plait_estimator *e);
void plait_estimator_on_rtt(struct plait_estimator *e, uint64_t rtt_ns);
/* The path has something to deliver from now on (true), or has not (false). */
void plait_estimator_on_busy(struct plait_estimator *e, uint64_t now, bool busy);
/* `bytes` of payload arrived. */
void plait_estimator_on_bytes(struct plait_estimator *e, uint64_t now, uint64_t bytes);
/* Present rate in bytes/s; 0 while unknown. */
double plait_estimator_rate(const struct plait_estimator *e, uint64_t now);
/* Bytes/s of a whole span: 0 the last, 1 the one before it, …; 0 where there is none, or none any more. */
double plait_estimator_sample(const struct plait_estimator *e, unsigned ago);
/* Bytes that are missing from the present span, had they come as before: they may wait behind a lost packet. Not more than
 * half a second brings. */
double plait_estimator_behind(const struct plait_estimator *e, uint64_t now);
/* A silence longer than this means that something is wrong: three usual gaps, and never less than a lost
   packet takes its sender to notice. */
uint64_t plait_estimator_silence_ns(const struct plait_estimator *e);

#endif
