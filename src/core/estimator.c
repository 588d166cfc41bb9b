#include "estimator.h"

#include "units.h"

#define SPAN_NS_MIN    (50 * PLAIT_MS)
#define SPAN_NS_MAX    (500 * PLAIT_MS)
#define SILENCE_NS_MIN (300 * PLAIT_MS)

void plait_estimator_init(struct plait_estimator *e)
{
    *e = (struct plait_estimator){0};
}

void plait_estimator_on_rtt(struct plait_estimator *e, uint64_t rtt_ns)
{
    if (rtt_ns == 0)
        return;
    e->rtt_last_ns = rtt_ns;
    if (e->rtt_min_ns == 0 || rtt_ns < e->rtt_min_ns)
        e->rtt_min_ns = rtt_ns;
}

static uint64_t span_ns(const struct plait_estimator *e)
{
    return plait_clamp_u64(e->rtt_min_ns, SPAN_NS_MIN, SPAN_NS_MAX);
}

static uint64_t span_so_far_ns(const struct plait_estimator *e, uint64_t now)
{
    return e->span_busy_ns + (e->busy ? plait_since(now, e->busy_since) : 0);
}

double plait_estimator_sample(const struct plait_estimator *e, unsigned ago)
{
    bool kept = ago < e->samples && ago < PLAIT_ESTIMATOR_SPANS;

    return kept ? e->last[(e->samples - 1 - ago) % PLAIT_ESTIMATOR_SPANS] : 0;
}

/* The mean of the last samples but the greatest and the least: bytes that waited behind a lost packet come in a burst,
 * which says nothing. */
static double middle_rate(const struct plait_estimator *e)
{
    unsigned n = e->samples < PLAIT_ESTIMATOR_SPANS ? e->samples : PLAIT_ESTIMATOR_SPANS;
    double sum = 0, least = e->last[0], most = e->last[0];

    for (unsigned i = 0; i < n; i++) {
        sum += e->last[i];
        least = e->last[i] < least ? e->last[i] : least;
        most = e->last[i] > most ? e->last[i] : most;
    }
    return n < 3 ? plait_estimator_sample(e, 0) : (sum - least - most) / (double)(n - 2);
}

static void close_span(struct plait_estimator *e, uint64_t now)
{
    e->last[e->samples % PLAIT_ESTIMATOR_SPANS] = (double)e->span_bytes / plait_to_s(span_so_far_ns(e, now));
    e->samples++;
    e->rate = middle_rate(e);
    e->busy_since = now;
    e->span_busy_ns = 0;
    e->span_bytes = 0;
}

void plait_estimator_on_busy(struct plait_estimator *e, uint64_t now, bool busy)
{
    if (busy == e->busy)
        return;
    e->span_busy_ns = span_so_far_ns(e, now); /* a pause between two answers does not end the span */
    e->busy_since = now;
    e->busy = busy;
}

void plait_estimator_on_bytes(struct plait_estimator *e, uint64_t now, uint64_t bytes)
{
    if (e->last_arrival != 0 && e->busy) {
        uint64_t gap = plait_since(now, plait_max_u64(e->last_arrival, e->busy_since));
        e->gap_ns = e->gap_ns == 0 ? gap : (7 * e->gap_ns + gap) / 8;
    }
    e->last_arrival = now;
    e->span_bytes += bytes;
    if (span_so_far_ns(e, now) >= span_ns(e))
        close_span(e, now);
}

double plait_estimator_rate(const struct plait_estimator *e, uint64_t now)
{
    uint64_t open_ns = span_so_far_ns(e, now);

    if (!e->busy || open_ns < 2 * span_ns(e))
        return e->rate;
    double seen =
        (double)e->span_bytes / plait_to_s(open_ns); /* a span that cannot close: hardly anything arrives */
    return seen < e->rate ? seen : e->rate;
}

double plait_estimator_behind(const struct plait_estimator *e, uint64_t now)
{
    double behind = e->rate * plait_to_s(span_so_far_ns(e, now)) - (double)e->span_bytes;
    double most = e->rate * plait_to_s(SPAN_NS_MAX);

    return behind < 0 ? 0 : behind < most ? behind : most;
}

uint64_t plait_estimator_silence_ns(const struct plait_estimator *e)
{
    uint64_t lost_packet_ns = 2 * e->rtt_min_ns + 100 * PLAIT_MS;

    return plait_max_u64(SILENCE_NS_MIN, plait_max_u64(3 * e->gap_ns, lost_packet_ns));
}
