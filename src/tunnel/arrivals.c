#include "arrivals.h"

#include <string.h>

#include "units.h"

#define LATER_MIN    3u
#define PATIENCE_MIN (4 * PLAIT_MS) /* for the last number before a pause */
#define PATIENCE_MAX (60 * PLAIT_MS)
#define LATE_MAX     (50 * PLAIT_MS)
#define COUNT_MAX    UINT16_MAX
#define JUMP_MAX     (UINT64_C(1) << 20) /* a number so far ahead begins anew */

void plait_arrivals_init(struct plait_arrivals *a)
{
    *a = (struct plait_arrivals){.delay_min = INT64_MAX};
}

static void update_decided(struct plait_arrivals *a)
{
    a->first_undecided = a->gaps > 0 ? a->gap[0].first : a->next;
    if (a->gaps == 0)
        a->passed = a->clock;
}

static void push_lost(struct plait_arrivals *a, uint64_t first, uint64_t end)
{
    while (first < end) {
        uint64_t part = plait_min_u64(end - first, COUNT_MAX);
        a->lost[a->lost_at].first = first;
        a->lost[a->lost_at].end = first + part;
        a->lost_at = (a->lost_at + 1) % PLAIT_DATAGRAM_RANGES_MAX;
        if (a->lost_n < PLAIT_DATAGRAM_RANGES_MAX)
            a->lost_n++;
        first += part;
    }
}

static void remove_gap(struct plait_arrivals *a, uint32_t i)
{
    a->gaps--;
    memmove(&a->gap[i], &a->gap[i + 1], (a->gaps - i) * sizeof(a->gap[0]));
}

static void give_up(struct plait_arrivals *a)
{
    push_lost(a, a->gap[0].first, a->gap[0].end);
    a->lost_packets += a->gap[0].end - a->gap[0].first;
    remove_gap(a, 0);
    a->tell = a->tell_now = true;
}

static void open_gap(struct plait_arrivals *a, uint64_t now, uint64_t first, uint64_t end)
{
    if (a->gaps == PLAIT_ARRIVALS_GAPS)
        give_up(a);
    a->gap[a->gaps++] = (struct plait_gap){.first = first, .end = end, .since_ns = now};
}

static uint64_t late_ns(const struct plait_arrivals *a)
{
    return plait_min_u64(a->late_ns + a->late_ns / 4, LATE_MAX);
}

static uint64_t due(const struct plait_arrivals *a, const struct plait_gap *g)
{
    uint64_t late = late_ns(a);

    if (g->later >= LATER_MIN)
        return g->since_ns + late;
    return g->since_ns + plait_clamp_u64(late + 4 * a->jitter_ns, PATIENCE_MIN, PATIENCE_MAX);
}

uint64_t plait_arrivals_deadline(const struct plait_arrivals *a)
{
    return a->gaps > 0 ? due(a, &a->gap[0]) : PLAIT_NEVER;
}

void plait_arrivals_on_time(struct plait_arrivals *a, uint64_t now)
{
    bool any = false;

    while (a->gaps > 0 && due(a, &a->gap[0]) <= now) {
        give_up(a);
        any = true;
    }
    if (any) {
        a->late_ns -= a->late_ns / 16;
        update_decided(a);
    }
}

/* A number below the greatest one came: out of its gap, if it is in one. */
static void fill(struct plait_arrivals *a, uint64_t now, uint64_t n)
{
    a->late_packets++;
    for (uint32_t i = 0; i < a->gaps; i++) {
        struct plait_gap *g = &a->gap[i];
        if (n < g->first || n >= g->end)
            continue;
        a->late_ns = plait_max_u64(a->late_ns, plait_since(now, g->since_ns) + PLAIT_DATAGRAM_TIME_NS);
        uint64_t end = g->end;
        if (n == g->first) {
            if (++g->first == g->end)
                remove_gap(a, i);
        } else {
            g->end = n;
            if (n + 1 < end && a->gaps < PLAIT_ARRIVALS_GAPS) {
                memmove(&a->gap[i + 2], &a->gap[i + 1], (a->gaps - i - 1) * sizeof(a->gap[0]));
                a->gap[i + 1] = *g;
                a->gap[i + 1].first = n + 1;
                a->gap[i + 1].end = end;
                a->gaps++;
            }
        }
        update_decided(a);
        return;
    }
    a->late_ns = plait_min_u64(2 * a->late_ns + PLAIT_MS, LATE_MAX); /* given up too early */
}

static void measure_delay(struct plait_arrivals *a, uint64_t now, uint64_t sent_clock, uint64_t base)
{
    int64_t delay = (int64_t)(now / PLAIT_DATAGRAM_TIME_NS - sent_clock - base);
    int64_t ns = delay * (int64_t)PLAIT_DATAGRAM_TIME_NS;

    if (delay < a->delay_min)
        a->delay_min = delay;
    a->delay_sum += delay;
    a->delay_n++;
    if (a->packets == 0)
        a->delay_ns = ns;
    uint64_t off = (uint64_t)(ns > a->delay_ns ? ns - a->delay_ns : a->delay_ns - ns);

    a->delay_ns += (ns - a->delay_ns) / 16;
    a->jitter_ns = off > a->jitter_ns ? a->jitter_ns + (off - a->jitter_ns) / 16
                                      : a->jitter_ns - (a->jitter_ns - off) / 16;
}

static void begin_at(struct plait_arrivals *a, uint64_t n)
{
    a->next = n;
    a->gaps = 0;
    a->lost_n = 0;
}

void plait_arrivals_on_datagram(struct plait_arrivals *a, uint64_t now, const struct plait_datagram *d,
                                size_t bytes, uint64_t base)
{
    uint64_t n = plait_datagram_unwrap(a->next, d->path_seq, PLAIT_DATAGRAM_SEQ_BITS);
    uint64_t here = now / PLAIT_DATAGRAM_TIME_NS - base;
    uint64_t near =
        a->packets > 0 ? a->clock + plait_since(now, a->newest_arrival) / PLAIT_DATAGRAM_TIME_NS : here;
    uint64_t clock = plait_datagram_unwrap(near, d->time, PLAIT_DATAGRAM_SEQ_BITS);

    if (a->packets == 0 || n > a->next + JUMP_MAX)
        begin_at(a, n);
    measure_delay(a, now, clock, base);
    for (uint32_t i = 0; i < a->gaps; i++)
        a->gap[i].later++;
    if (n >= a->next) {
        if (n > a->next)
            open_gap(a, now, a->next, n);
        a->next = n + 1;
        a->newest_arrival = now;
        a->clock = clock;
        update_decided(a);
    } else {
        fill(a, now, n);
    }
    a->packets++;
    a->bytes += bytes;
    if (now - a->rate_at >= PLAIT_S) {
        a->rate = (double)(a->bytes - a->rate_bytes) / plait_to_s(now - a->rate_at);
        a->rate_bytes = a->bytes;
        a->rate_at = now;
    }
    a->last_arrival = now;
    a->ended = d->kind == PLAIT_DATAGRAM_PATH_END && n + 1 == a->next;
    if (d->kind == PLAIT_DATAGRAM_DATA)
        a->last_data = now;
    a->tell = true;
    plait_arrivals_on_time(a, now);
}

static uint32_t u24(uint64_t v)
{
    return (uint32_t)(v & 0xffffff);
}

void plait_arrivals_report(struct plait_arrivals *a, uint8_t path, struct plait_datagram_report *r)
{
    int64_t mean = a->delay_n > 0 ? a->delay_sum / a->delay_n : 0;

    *r = (struct plait_datagram_report){
        .path = path,
        .decided = u24(a->first_undecided),
        .newest = u24(a->next - 1),
        .arrival = u24(a->newest_arrival / PLAIT_DATAGRAM_TIME_NS),
        .delay_min = u24((uint64_t)(a->delay_n > 0 ? a->delay_min : 0)),
        .delay_mean = u24((uint64_t)mean),
        .bytes = (uint32_t)a->bytes,
        .packets = u24(a->packets),
    };
    for (uint32_t i = 0; i < a->lost_n; i++) {
        uint32_t at = (a->lost_at + PLAIT_DATAGRAM_RANGES_MAX - 1 - i) % PLAIT_DATAGRAM_RANGES_MAX;
        if (a->lost[at].end + (UINT64_C(1) << 20) < a->next)
            break;
        r->range[r->ranges_n].first = u24(a->lost[at].first);
        r->range[r->ranges_n++].count = (uint16_t)(a->lost[at].end - a->lost[at].first);
    }
    a->delay_min = INT64_MAX;
    a->delay_sum = 0;
    a->delay_n = 0;
    a->tell = a->tell_now = false;
}
