/*
 * How long things will take: bytes on a path, what a path or a lane is asked for already. A path whose
 * connections still open their windows is taken to double its pace each round trip, so that it is neither
 * robbed nor passed over too soon.
 */
#include "fetch_int.h"

#define YOUNG_LAGS    8   /* a path counts as young for so many round trips */
#define FRESH_LAGS    4   /* a connection opens its window for so many */
#define GROWS         1.3 /* from one sample to the next: its windows still open */
#define REST_NS       (250 * PLAIT_MS)
#define FIRST_WINDOWS 1.5     /* so many of them come in a round trip at least */
#define FIRST_WINDOW  14600.0 /* bytes that a new connection may send at once (RFC 6928) */

/* Seconds until `bytes` are here at `rate` when a connection opens its window from `window` bytes, doubling
 * each `rtt_s`. */
static double slow_start_s(double bytes, double window, double rtt_s)
{
    double seconds = 0;

    while (bytes > window) {
        bytes -= window;
        window *= 2;
        seconds += rtt_s;
    }
    return seconds + rtt_s * bytes / window;
}

bool path_is_young(const struct path *p, uint64_t now)
{
    return p->est.samples == 0 || now - p->first_byte < YOUNG_LAGS * path_lag_ns(p, &p->lanes[0]);
}

/* What `bytes` more would take on the path: by its rate, or while it is young by the doubling of its windows.
 */
struct finish path_carries(const struct path *p, double bytes, uint64_t now)
{
    double rate = path_rate(p, now), rtt_s = plait_to_s(path_lag_ns(p, &(struct lane){.connected = true}));
    double lanes = (double)plait_max_u64(1, path_lanes_busy(p));

    bool narrow = p->est.samples > 0 &&
                  rate * rtt_s < 0.7 * FIRST_WINDOW; /* it cannot carry one window in a round trip */
    if (!path_is_young(p, now) || narrow)
        return (struct finish){rate > 0 ? bytes / rate : 1e9, rate > 0 ? rate : 1};
    double window = rate * rtt_s > FIRST_WINDOW * lanes ? rate * rtt_s : FIRST_WINDOW * lanes;
    double seconds = slow_start_s(bytes, window, rtt_s);
    return (struct finish){seconds, bytes > 0 ? bytes / seconds : window / rtt_s};
}

bool path_grows(const struct path *p, uint64_t now)
{
    return path_is_young(p, now) && (p->est.samples < 2 || plait_estimator_sample(&p->est, 0) >
                                                               GROWS * plait_estimator_sample(&p->est, 1));
}

double path_rate_after(const struct path *p, double ahead_s, uint64_t now)
{
    double last = plait_estimator_sample(&p->est, 0), before = plait_estimator_sample(&p->est, 1),
           rate = path_rate(p, now), bytes = 0;
    double window = FIRST_WINDOW * (double)plait_max_u64(1, path_lanes_busy(p));
    double rtt_s = plait_to_s(p->est.rtt_min_ns), left_s = ahead_s;

    if (rate == p->est.rate && rate < before && rate < last) /* it has grown, and the mean lags behind */
        rate = before < last ? before : last;
    if (ahead_s <= 0 || rtt_s <= 0 || !path_grows(p, now))
        return rate;
    if (p->est.samples > 0)
        return (last > rate ? last : rate) * GROWS; /* who knows where it ends */
    while (left_s > rtt_s) {
        bytes += window;
        window *= 2;
        left_s -= rtt_s;
    }
    return (bytes + window * left_s / rtt_s) / ahead_s;
}

double path_rate_seen(const struct path *p, uint64_t now)
{
    double rtt_s = plait_to_s(p->est.rtt_min_ns);

    if (p->est.samples == 0 && rtt_s > 0)
        return FIRST_WINDOWS * FIRST_WINDOW * (double)plait_max_u64(1, path_lanes_busy(p)) / rtt_s;
    return path_grows(p, now) ? plait_estimator_sample(&p->est, 0) : path_rate_after(p, 0, now);
}

struct finish path_finish(const struct plait_fetch *f, int path, uint64_t now)
{
    const struct path *p = &f->paths[path];
    struct finish end = path_carries(p, (double)path_outstanding(f, path), now);
    uint64_t lag = 0, late = 0;

    for (int k = 0; k < PLAIT_FETCH_LANES_MAX; k++) {
        const struct lane *l = &p->lanes[k];
        uint64_t due = l->opened + path_lag_ns(p, l);
        if (l->state != LANE_OPENING)
            continue;
        lag = plait_max_u64(lag, plait_since(due, now));
        late = plait_max_u64(late, plait_since(now, due));
    }
    end.rest_s += plait_to_s(lag) + (p->reached ? 0 : 2 * plait_to_s(late));
    return end;
}

uint64_t fetch_left(const struct plait_fetch *f)
{
    return f->map.size - f->map.done_bytes;
}

double fetch_end_s(const struct plait_fetch *f, uint64_t now)
{
    double all = fetch_rate(f, now);

    return all > 0 ? (double)fetch_left(f) / all : 0;
}

uint64_t lane_left(const struct plait_fetch *f, const struct lane *l)
{
    if (l->state != LANE_OPENING && l->state != LANE_BODY)
        return 0;
    return plait_since(plait_min_u64(l->hi, f->map.size), plait_max_u64(l->at, l->lo));
}

/* Whether the lane's window is small: a new connection, or one that rested so long that its sender forgot it
 * (RFC 2861). */
static bool lane_is_fresh(const struct path *p, const struct lane *l, uint64_t now)
{
    uint64_t rtt = p->est.rtt_min_ns;

    if (l->state == LANE_BODY)
        return now - l->body_since < FRESH_LAGS * rtt;
    bool rested = l->state == LANE_IDLE && now - l->ended > plait_max_u64(REST_NS, rtt + rtt / 2);
    return !l->connected || l->pace <= 0 || rested;
}

double lane_carries_s(const struct path *p, const struct lane *l, double bytes, uint64_t now)
{
    double path = path_rate(p, now);
    double rtt_s = plait_to_s(p->est.rtt_min_ns > 0 ? p->est.rtt_min_ns : path_lag_ns(p, l) / 2);
    double share = path > 0 ? path / (double)plait_max_u64(1, path_lanes_busy(p)) : 1e12;
    double pace = l->state == LANE_BODY ? plait_estimator_rate(&l->est, now) : l->pace;

    bool narrow = l->state == LANE_BODY && l->est.samples > 0 && pace * rtt_s < 0.7 * FIRST_WINDOW;
    if (!lane_is_fresh(p, l, now) || narrow)
        return bytes / (pace > 0 ? pace : share);
    double window = pace > 0 && l->state == LANE_BODY ? pace * rtt_s : 0, seconds = 0;
    if (window < FIRST_WINDOW)
        window = FIRST_WINDOW;
    for (; bytes > window && window < share * rtt_s; window *= 2) {
        bytes -= window;
        seconds += rtt_s;
    }
    double rate = window / rtt_s < share ? window / rtt_s : share;
    return seconds + bytes / rate;
}

double lane_finish_s(const struct path *p, const struct lane *l, double left, uint64_t now)
{
    double share_s = path_carries(p, left * (double)plait_max_u64(1, path_lanes_busy(p)), now).rest_s;
    double lane_s = lane_carries_s(p, l, left, now);
    double rest_s = lane_s < share_s ? lane_s : (lane_s + 3 * share_s) / 4;

    if (l->state == LANE_BODY)
        return rest_s + plait_to_s(now - l->last_arrival);
    uint64_t due = l->opened + path_lag_ns(p, l);
    return plait_to_s(now < due ? due - now : 2 * (now - due)) + rest_s;
}
