#include "rate.h"

#include <math.h>
#include <stddef.h>

#include "units.h"

#define CRUISE_GAIN    0.998
#define DRAIN_GAIN     0.75
#define DRAIN_LITTLE   0.85 /* where the queue is a small one */
#define WAIT_GAIN      0.97
#define PROBE_GAIN     1.25
#define PROBE_GAIN_MAX 2.0
#define TRAINED_GAIN   1.5
#define QUEUED_RATE    1.0  /* of what arrives while a queue stands */
#define FOUND          1.06 /* of the rate: a probe that delivered so much has found something */
#define TRIED          1.1  /* and sent at least so much, if it is to have failed */
#define RATE_MIN       2000.0
#define WINDOW_MIN     (20 * PLAIT_MS)
#define WINDOW_MAX     (250 * PLAIT_MS)
#define WINDOW_LONGEST (3 * PLAIT_S)
#define WINDOW_BYTES   12000.0 /* less says nothing, */
#define WINDOW_LEAST                                                                                         \
    3000.0 /* but where a second carries less, that much has to do: there would never be a window */
#define QUEUE_MIN     (5 * PLAIT_MS)
#define LITTLE        2
#define DRAINED       (1 * PLAIT_MS)
#define NOISE_MAX     (60 * PLAIT_MS)
#define JITTER_WINDOW 30 /* times the jitter: a window */
#define JITTER_QUEUE  1  /* the queue that it may be taken for */
#define JITTER_DOUBT  2.0
#define BURST_SPAN    (2 * PLAIT_S)
#define JITTER_PART   16
#define BASE_NS       (5 * PLAIT_S)
#define PAUSE_MIN     (200 * PLAIT_MS)
#define PAUSE_MAX     (3 * PLAIT_S)
#define LOSS_MORE     0.02
#define LOSS_PACKETS  30.0
#define LOSS_IDLE     0.1 /* so many lost with pauses between: also a sign of too much at a time */
#define PACKET_BYTES  1400.0

void plait_rate_init(struct plait_rate *r, double rate)
{
    *r = (struct plait_rate){.rate = rate,
                             .gain = CRUISE_GAIN,
                             .probe_gain = PROBE_GAIN_MAX,
                             .probe_pause_ns = PAUSE_MIN,
                             .base = {INT64_MAX, INT64_MAX},
                             .rtt_ns = 100 * PLAIT_MS};
}

void plait_rate_on_burst(struct plait_rate *r, uint64_t now, uint64_t late_ns)
{
    if (late_ns < r->burst_ns && plait_since(now, r->burst_at) < BURST_SPAN)
        return;
    r->burst_ns = late_ns;
    r->burst_at = now;
}

void plait_rate_forget(struct plait_rate *r)
{
    r->history_n = 0;
    r->stands = false;
    r->base[0] = r->base[1] = INT64_MAX;
    r->mode = PLAIT_RATE_CRUISE;
    r->gain = CRUISE_GAIN;
}

void plait_rate_on_train(struct plait_rate *r, double rate)
{
    if (r->ceiling || r->measured)
        return;
    r->rate = plait_max_d(rate, RATE_MIN);
    r->probe_gain = TRAINED_GAIN;
}

int64_t plait_rate_base(const struct plait_rate *r)
{
    return r->base[0] < r->base[1] ? r->base[0] : r->base[1];
}

double plait_rate_pace(const struct plait_rate *r)
{
    double pace = r->rate * r->gain;

    return r->rate_max > 0 && pace > r->rate_max ? r->rate_max : pace;
}

void plait_rate_interrupt(struct plait_rate *r, double sent)
{
    r->history_n = 0;
    r->stands = false;
    r->since = sent;
    r->mode = PLAIT_RATE_CRUISE;
    r->gain = CRUISE_GAIN;
    r->mark = sent;
    r->probe_pause_ns = PAUSE_MIN;
    r->probe_next = 0;
}

static void update_base(struct plait_rate *r, uint64_t now, int64_t delay)
{
    if (plait_since(now, r->base_since) > BASE_NS) {
        r->base[1] = r->base[0];
        r->base[0] = INT64_MAX;
        r->base_since = now;
        r->noise_ns -= r->noise_ns / 8;
    }
    if (delay < r->base[0])
        r->base[0] = delay;
}

static uint64_t window_ns(const struct plait_rate *r)
{
    uint64_t jitter = plait_max_u64(3 * r->noise_ns, JITTER_WINDOW * r->jitter_ns);

    return plait_clamp_u64(plait_max_u64(r->rtt_ns, jitter), WINDOW_MIN, WINDOW_MAX);
}

static double window_bytes(const struct plait_rate *r)
{
    return plait_max_d(plait_min_d(r->rate, WINDOW_BYTES), WINDOW_LEAST);
}

static uint64_t threshold_ns(const struct plait_rate *r)
{
    return plait_max_u64(QUEUE_MIN, r->rtt_ns / 20) + r->burst_ns +
           plait_max_u64(r->noise_ns + r->noise_ns / 4, JITTER_QUEUE * r->jitter_ns);
}

/* Whether clearly less arrived than was sent, for all that jitter may have done to the ends of the window. */
static bool falls_short(const struct plait_rate *r)
{
    double doubt = JITTER_DOUBT * (double)r->jitter_ns / (double)window_ns(r);

    return r->delivered < (1 - plait_min_d(plait_max_d(0.05, doubt), 0.3)) * r->sending;
}

static struct plait_rate_sample *history(struct plait_rate *r, uint32_t back)
{
    return &r->history[(r->history_at + PLAIT_RATE_HISTORY - 1 - back) % PLAIT_RATE_HISTORY];
}

static void remember(struct plait_rate *r, const struct plait_rate_sample *s)
{
    if (r->history_n > 0) { /* so many that they span a window */
        struct plait_rate_sample *last = history(r, 0);
        if (s->arrival_ns - last->arrival_ns < window_ns(r) / 16) {
            if (s->delay_ns < last->delay_ns)
                last->delay_ns = s->delay_ns;
            return;
        }
    }
    r->history[r->history_at] = *s;
    r->history_at = (r->history_at + 1) % PLAIT_RATE_HISTORY;
    if (r->history_n < PLAIT_RATE_HISTORY)
        r->history_n++;
}

/* The sample where the shortest sufficient window before `s` begins, and the least delay in it. NULL: none yet. */
static const struct plait_rate_sample *window(struct plait_rate *r, const struct plait_rate_sample *s,
                                              int64_t *delay)
{
    uint64_t least = window_ns(r);

    *delay = s->delay_ns;
    for (uint32_t back = 0; back < r->history_n; back++) {
        const struct plait_rate_sample *h = history(r, back);
        if (h->arrival_ns + WINDOW_LONGEST < s->arrival_ns)
            return NULL;
        if (h->arrival_ns + least <= s->arrival_ns && h->sent + window_bytes(r) <= s->sent)
            return h;
        if (h->delay_ns < *delay)
            *delay = h->delay_ns;
    }
    return NULL;
}

static void set_mode(struct plait_rate *r, enum plait_rate_mode mode, double gain, double sent)
{
    r->mode = mode;
    r->gain = gain;
    r->mark = sent;
}

static void begin_drain(struct plait_rate *r, uint64_t now, double sent)
{
    bool little = r->queue_ns < LITTLE * threshold_ns(r);

    set_mode(r, PLAIT_RATE_DRAIN, little ? DRAIN_LITTLE : DRAIN_GAIN, sent);
    r->drain_rate = plait_max_d(r->drain_rate, r->rate);
    r->drain_queue = -1; /* until the first datagram of it has arrived */
    r->drain_since = now;
}

static void pause_probing(struct plait_rate *r, uint64_t now, bool failed)
{
    if (failed)
        r->probe_pause_ns = plait_min_u64(2 * r->probe_pause_ns, PAUSE_MAX);
    r->probe_next = now + plait_max_u64(r->probe_pause_ns, 6 * r->rtt_ns);
    r->probe_gain = r->ceiling ? PROBE_GAIN : PROBE_GAIN_MAX;
}

static void set_rate(struct plait_rate *r, double rate)
{
    r->rate = plait_max_d(rate, RATE_MIN);
    r->measured = true;
}

/* A queue stands: what arrives is what the line carries. */
static void on_queue(struct plait_rate *r, uint64_t now, double sent)
{
    bool probing = r->mode == PLAIT_RATE_PROBE || r->mode == PLAIT_RATE_WAIT;

    if (!r->limited &&
        (r->idle || !falls_short(r))) { /* all that is sent comes, and it is little: not ours */
        r->noise_ns = plait_min_u64(plait_max_u64(r->noise_ns, r->queue_ns), NOISE_MAX);
        return;
    }
    if (!r->limited && r->queue_ns < 2 * threshold_ns(r) && plait_since(now, r->queued_since) < window_ns(r))
        return; /* a moment's queue, behind a burst perhaps */
    r->drain_rate = r->rate;
    r->drain_ceiling = r->ceiling;
    r->ceiling = true;
    double line = QUEUED_RATE * r->delivered / (1 - r->loss_base);

    if (!r->measured || line < r->rate || probing)
        set_rate(r, line);
    if (line < 0.8 * r->rate)
        r->probe_pause_ns = PAUSE_MIN;
    pause_probing(r, now, probing);
    begin_drain(r, now, sent);
}

/* As long as a queue stands all that arrives came at the line's rate: the longer, the more exact. */
static void watch_queue(struct plait_rate *r, const struct plait_rate_sample *s)
{
    bool stands = s->delay_ns - plait_rate_base(r) > (int64_t)(threshold_ns(r) / 2 + r->noise_ns / 2);

    if (stands && !r->stands)
        r->stand = *s;
    r->stands = stands;
    if (!stands || r->mode != PLAIT_RATE_DRAIN || s->arrival_ns - r->stand.arrival_ns < window_ns(r) ||
        s->arrived - r->stand.arrived < window_bytes(r))
        return;
    double line = (s->arrived - r->stand.arrived) / plait_to_s(s->arrival_ns - r->stand.arrival_ns);

    set_rate(r, QUEUED_RATE * line / (1 - r->loss_base));
}

static void end_drain(struct plait_rate *r, double sent)
{
    r->drain_rate = 0;
    set_mode(r, PLAIT_RATE_CRUISE, CRUISE_GAIN, sent);
}

/* A whole window of draining has passed: what has become of the queue? */
static void on_drained_window(struct plait_rate *r, uint64_t now, double sent)
{
    double passed = (double)plait_since(now, r->drain_since);
    double fell = (double)r->drain_queue - (double)r->queue_ns;

    if (falls_short(r) && r->delivered < r->rate && r->queue_ns > threshold_ns(r)) {
        set_rate(r, QUEUED_RATE * r->delivered / (1 - r->loss_base));
        r->stands = false; /* what the line carried before counts no more */
        begin_drain(r, now, sent);
    } else if (fell < 0.25 * (1 - r->gain) * passed || passed > 2e9) {
        r->noise_ns = plait_min_u64(r->queue_ns, NOISE_MAX); /* it does not follow us: not ours */
        set_rate(r, plait_max_d(r->rate, r->drain_rate));
        r->ceiling = r->drain_ceiling;
        end_drain(r, sent);
    } else {
        begin_drain(r, now, sent);
    }
}

static bool loses_more(const struct plait_rate *r, double sent_bytes)
{
    double packets = sent_bytes / PACKET_BYTES;

    if (packets < LOSS_PACKETS)
        return false;
    double spread = 4 * sqrt((r->loss_base + 0.002) / packets);
    return r->loss > r->loss_base + LOSS_MORE + spread;
}

static void on_found(struct plait_rate *r, uint64_t now)
{
    if (r->delivered <= FOUND * r->rate)
        return;
    set_rate(r, r->delivered);
    r->probe_found = true;
    if (r->mode == PLAIT_RATE_PROBE && !r->ceiling) /* as long as it grows there is no reason to stop */
        r->probe_until = now + plait_max_u64(r->rtt_ns, window_ns(r));
}

static void end_probe(struct plait_rate *r, uint64_t now, double sent)
{
    if (r->probe_found) {
        r->probe_pause_ns = PAUSE_MIN;
        r->probe_next = now;
        r->probe_gain = plait_min_d(r->probe_gain * 1.25, PROBE_GAIN_MAX);
    } else if (r->sending > TRIED * r->rate) {
        pause_probing(r, now, true);
    } else { /* the traffic did not follow: it says nothing */
        r->probe_next = now + plait_max_u64(PAUSE_MIN, 6 * r->rtt_ns);
    }
    if (!r->probe_found && r->queue_ns > DRAINED + r->noise_ns)
        begin_drain(r, now, sent);
    else
        set_mode(r, PLAIT_RATE_CRUISE, CRUISE_GAIN, sent);
}

static void evaluate(struct plait_rate *r, uint64_t now, const struct plait_rate_sample *s,
                     const struct plait_rate_sample *from, double sent)
{
    bool queued = r->queue_ns > threshold_ns(r);

    if (!queued)
        r->queued_since = now;
    if (r->mode == PLAIT_RATE_DRAIN) {
        if (from->sent >= r->mark)
            on_drained_window(r, now, sent);
        return;
    }
    if (from->sent < r->mark && !(r->mode == PLAIT_RATE_WAIT && s->sent >= r->mark))
        return;
    if (queued) {
        on_queue(r, now, sent);
        return;
    }
    if (r->idle && r->loss > LOSS_IDLE && loses_more(r, s->sent - from->sent)) {
        set_rate(r, plait_max_d(0.7 * r->rate, r->delivered));
        r->since = sent;
        return;
    }
    if (!r->idle && loses_more(r, s->sent - from->sent)) {
        if (r->delivered < r->rate)
            set_rate(r, 0.98 * r->delivered / (1 - r->loss_base));
        r->ceiling = true;
        pause_probing(r, now, true);
        set_mode(r, PLAIT_RATE_CRUISE, CRUISE_GAIN, sent);
        return;
    }
    if (r->mode == PLAIT_RATE_CRUISE)
        r->loss_base += (r->loss - r->loss_base) / 16;
    on_found(r, now);
    if (r->mode == PLAIT_RATE_WAIT && s->sent >= r->probe_end)
        end_probe(r, now, sent);
}

void plait_rate_on_sample(struct plait_rate *r, uint64_t now, const struct plait_rate_sample *s, double sent)
{
    int64_t delay;

    if (plait_since(now, r->burst_at) > BURST_SPAN)
        r->burst_ns = 0;
    update_base(r, now, s->delay_ns);
    const struct plait_rate_sample *from = window(r, s, &delay);

    r->queue_ns = plait_since((uint64_t)(delay - plait_rate_base(r) + INT64_MAX / 2), INT64_MAX / 2);
    if (r->mode == PLAIT_RATE_DRAIN && s->sent >= r->mark && r->drain_queue < 0) {
        r->drain_queue = s->delay_ns - plait_rate_base(r);
        r->drain_since = now;
    }
    if (r->mode == PLAIT_RATE_DRAIN && s->sent >= r->mark &&
        s->delay_ns - plait_rate_base(r) < (int64_t)(DRAINED + r->noise_ns))
        end_drain(r, sent);
    if (from != NULL && s->sent > from->sent && from->sent >= r->since && s->sent_ns > from->sent_ns) {
        double arrived = s->arrived - from->arrived, took = plait_to_s(s->arrival_ns - from->arrival_ns);
        r->sending = (s->sent - from->sent) / plait_to_s(s->sent_ns - from->sent_ns);
        r->loss = plait_max_d(1 - arrived / (s->sent - from->sent), 0);
        r->delivered = plait_min_d(arrived / took, r->sending);
        r->idle = s->arrival_ns - from->arrival_ns > 4 * window_ns(r);
        r->limited = r->sending > 0.85 * r->rate * r->gain;
        evaluate(r, now, s, from, sent);
    }
    watch_queue(r, s);
    if (r->mode == PLAIT_RATE_CRUISE)
        r->jitter_ns = ((JITTER_PART - 1) * r->jitter_ns + s->spread_ns) / JITTER_PART;
    remember(r, s);
}

void plait_rate_on_send(struct plait_rate *r, uint64_t now, double sent)
{
    if (r->mode == PLAIT_RATE_CRUISE && r->limited && now >= r->probe_next && sent > r->mark &&
        (r->rate_max <= 0 || r->rate < r->rate_max)) {
        set_mode(r, PLAIT_RATE_PROBE, r->probe_gain, sent);
        r->probe_until = now + window_ns(r) + plait_max_u64(r->rtt_ns, window_ns(r)) / 2;
        r->probe_found = false;
    } else if (r->mode == PLAIT_RATE_PROBE && now >= r->probe_until) {
        r->mode = PLAIT_RATE_WAIT;
        r->gain = WAIT_GAIN;
        r->probe_end = sent;
    }
}
