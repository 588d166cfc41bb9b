/*
 * What an idle lane does next. In this order:
 *
 *   trial    its path failed before: a small piece that it does not own
 *   first    the size is unknown: the first piece that nobody has asked for, two for each path
 *   audit    compare a block that another source delivers
 *   copy     where each byte is to come from several sources: what others have been asked for
 *   chunk    the first free bytes; as much as the lane carries in a third of the time that is left, so that the
 *            pieces shrink towards the end and all lanes finish together (guided self-scheduling, Polychronopoulos
 *            and Kuck 1987); a path too slow to bring anything before the others would have finished stands aside
 *   steal    nothing is free: the tail of what would finish last, cut so that both finish together
 *   double   nothing can be stolen: ask again for what stalls just before the end; the first copy wins
 */
#include "fetch_push.h"
#include "scheduler.h"

#define FIRST_BYTES      (256 * PLAIT_KIB)
#define SECOND_BYTES     (64 * PLAIT_KIB) /* of a second connection while the size is unknown */
#define FIRST_LANES      2
#define FIRST_PART       3 /* of the path's even part of the rest: its connections first share this part of it, */
#define FIRST_LANES_MIN  4 /* or so many would */
#define LONG_WAIT_NS     (100 * PLAIT_MS)
#define LONG_LAG_NS      (300 * PLAIT_MS)
#define LONG_FIRST_BYTES (2 * PLAIT_MIB)
#define LONG_LANES       16               /* that share in this */
#define TASTE_BYTES      (12 * PLAIT_KIB) /* within a connection's first window, with the head */
#define CHUNK_BYTES_MIN  (64 * PLAIT_KIB)
#define PIECE_BYTES_MIN  (8 * PLAIT_KIB)
#define TRIAL_BYTES      (64 * PLAIT_KIB)
#define CHUNKS_LEFT      3 /* a lane's next piece is one in so many of what is left to it */
#define YOUNG_GROWTH     4 /* and a piece may be so many times what a connection of it has brought */
#define CHUNK_LAGS       6 /* and lasts so many times what it waits for it */
#define CHUNK_NS_MAX     (4 * PLAIT_S)
#define LAST_LAGS                                                                                            \
    0.25 /* a last piece may end so many lags late: others can still take its tail, nobody can add to it */
#define GAIN_NS_MIN       (10 * PLAIT_MS)
#define SAME_PATH_GAIN_NS (50 * PLAIT_MS)
#define THEFTS_FREE                                                                                          \
    3 /* bytes may be taken so often from one lane for the next; then it must save ever more */
#define THEFTS_MAX      12
#define WORTH           0.1 /* a steal costs a connection: it must save so much of what is left */
#define TOO_LATE_LAGS   2
#define BISECTIONS      12
#define DOUBLED_PERCENT 2
#define ALIGN           (4 * PLAIT_KIB)

uint64_t plan_window_end(const struct plait_fetch *f)
{
    uint64_t window = f->config.window_bytes;

    return window == 0 ? f->map.size : plait_min_u64(f->map.size, plait_add_sat(f->emitted, window));
}

/* The source that has brought, or is to bring, the byte at `offset`. */
static int source_at(const struct plait_fetch *f, uint64_t offset)
{
    struct plait_extent e;

    if (!plait_blockmap_at(&f->map, offset, &e) || e.state == PLAIT_BLOCK_FREE)
        return PLAIT_FETCH_NO_SOURCE;
    if (e.state == PLAIT_BLOCK_TAKEN && e.owner >= OWNER_LETTER)
        return f->push.letters[e.owner - OWNER_LETTER].source;
    return e.state == PLAIT_BLOCK_DONE ? e.owner : f->paths[e.owner / PLAIT_FETCH_LANES_MAX].source;
}

/* Whether the bytes before are another source's. */
static bool has_seam(const struct plait_fetch *f, int path, uint64_t lo)
{
    int before = lo > 0 ? source_at(f, lo - 1) : PLAIT_FETCH_NO_SOURCE;

    return before != PLAIT_FETCH_NO_SOURCE && before != f->paths[path].source;
}

/* Begin early enough to compare the seam. */
static void add_seam(struct plait_fetch *f, int path, struct lane *l)
{
    int source = f->paths[path].source;

    if (!has_seam(f, path, l->lo))
        return;
    uint64_t len = plait_min_u64(SEAM_BYTES, l->lo),
             kept = plait_min_u64(len, plait_since(l->lo, f->emitted));
    l->check = check_new(f, l->lo - len, (size_t)len, source);
    if (l->check == NO_CHECK && kept < len) { /* what has left may be gone */
        len = kept;
        l->check = check_new(f, l->lo - len, (size_t)len, source);
    }
    if (l->check != NO_CHECK)
        l->asked_lo = l->lo - len;
}

void plan_begin(struct plait_fetch *f, int id, uint64_t lo, uint64_t hi, uint64_t now,
                struct plait_fetch_cmd *cmd)
{
    struct lane *l = fetch_lane(f, id);
    struct path *p = &f->paths[id / PLAIT_FETCH_LANES_MAX];
    bool connected = l->connected;
    double pace = connected ? l->pace : 0;

    *l = (struct lane){.state = LANE_OPENING,
                       .connected = connected,
                       .check = NO_CHECK,
                       .asked_lo = lo,
                       .asked_hi = hi,
                       .lo = lo,
                       .hi = hi,
                       .at = lo,
                       .opened = now,
                       .pace = pace,
                       .last_arrival = now};
    p->retry_due = false;
    *cmd = (struct plait_fetch_cmd){.kind = PLAIT_FETCH_OPEN, .lane = id, .path = id / PLAIT_FETCH_LANES_MAX};
    path_update_busy(p, now);
}

static bool finish_open(struct plait_fetch *f, int id, struct plait_fetch_cmd *cmd)
{
    struct lane *l = fetch_lane(f, id);

    l->at = l->asked_lo;
    cmd->lo = l->asked_lo;
    cmd->hi = l->asked_hi;
    cmd->whole = l->whole;
    return f->fail == PLAIT_FETCH_FAIL_NONE;
}

/* Ask for [lo, hi) and own it. */
static bool open_owned(struct plait_fetch *f, int id, uint64_t lo, uint64_t hi, uint64_t now,
                       struct plait_fetch_cmd *cmd)
{
    int path = id / PLAIT_FETCH_LANES_MAX;

    plan_begin(f, id, lo, hi, now, cmd);
    add_seam(f, path, fetch_lane(f, id));
    fetch_mark(f, lo, hi, PLAIT_BLOCK_TAKEN, id);
    check_plan_audit(f, lo, hi, f->paths[path].source);
    return finish_open(f, id, cmd);
}

static bool open_unowned(struct plait_fetch *f, int id, uint64_t lo, uint64_t hi, uint64_t now,
                         struct plait_fetch_cmd *cmd)
{
    plan_begin(f, id, lo, hi, now, cmd);
    add_seam(f, id / PLAIT_FETCH_LANES_MAX, fetch_lane(f, id));
    fetch_lane(f, id)->probe = true;
    return finish_open(f, id, cmd);
}

/* The first free bytes that `source` may fetch, within the window. */
static bool first_free(const struct plait_fetch *f, int source, struct plait_extent *out)
{
    uint64_t end = plan_window_end(f), from = 0, until;
    uint64_t crumb =
        plait_min_u64(CHUNK_BYTES_MIN, f->config.window_bytes / 8); /* what the window just uncovered */

    while (from < end && plait_blockmap_find(&f->map, from, PLAIT_BLOCK_FREE, out) && out->lo < end) {
        if (pin_allows(f, source, out->lo, &until)) {
            out->hi = plait_min_u64(plait_min_u64(out->hi, until), end);
            return out->hi == f->map.size || out->hi < end || out->hi - out->lo >= crumb ||
                   f->map.taken_bytes == 0;
        }
        from = plait_min_u64(until, out->hi);
    }
    return false;
}

/* ---- trial, first pieces, sources without ranges, audits ---- */

static bool plan_trial(struct plait_fetch *f, int id, uint64_t now, struct plait_fetch_cmd *cmd)
{
    struct plait_extent e;
    int path = id / PLAIT_FETCH_LANES_MAX;
    const struct path *p = &f->paths[path];

    if (path_lanes_busy(p) > 0 &&
        p->waited_ns < LONG_WAIT_NS) /* a short answer may tell that the stream is short */
        return false;
    if (!first_free(f, f->paths[path].source, &e)) {
        if (!plait_blockmap_find(&f->map, 0, PLAIT_BLOCK_TAKEN,
                                 &e)) /* others have everything: try on the last of it */
            return false;
    }
    return open_unowned(f, id, e.lo, plait_min_u64(e.hi, e.lo + TRIAL_BYTES), now, cmd);
}

static bool plan_first(struct plait_fetch *f, int id, uint64_t now, struct plait_fetch_cmd *cmd)
{
    struct plait_extent e;
    const struct path *p = &f->paths[id / PLAIT_FETCH_LANES_MAX];
    bool is_long = p->waited_ns >= LONG_WAIT_NS;
    unsigned busy = path_lanes_busy(p);

    if (busy >= FIRST_LANES && !is_long) /* a short answer may tell that the stream is short */
        return false;
    if (!first_free(f, p->source, &e))
        return false;
    uint64_t bytes = busy == 0 || is_long ? FIRST_BYTES : SECOND_BYTES;
    return open_owned(f, id, e.lo, plait_min_u64(e.hi, e.lo + bytes), now, cmd);
}

/* A source without ranges is asked for everything, once, and only while nobody else could do better. */
static bool plan_whole(struct plait_fetch *f, int id, uint64_t now, struct plait_fetch_cmd *cmd)
{
    int path = id / PLAIT_FETCH_LANES_MAX;

    for (int i = 0; i < f->path_count; i++) {
        const struct path *p = &f->paths[i];
        bool better = i != path && path_usable(f, p) &&
                      (f->sources[p->source].ranges != RANGES_NO || p->errors < f->paths[path].errors);
        for (int k = 0; k < PLAIT_FETCH_LANES_MAX; k++)
            better |= p->lanes[k].state != LANE_IDLE && p->lanes[k].whole;
        if (better)
            return false;
    }
    if (f->map.done_bytes + f->map.taken_bytes >= f->map.size)
        return false;
    plan_begin(f, id, 0, PLAIT_FETCH_UNKNOWN, now, cmd);
    fetch_lane(f, id)->whole = true;
    fetch_lane(f, id)->hi = f->map.size;
    return finish_open(f, id, cmd);
}

bool plan_audit(struct plait_fetch *f, int id, uint64_t now, struct plait_fetch_cmd *cmd)
{
    int check = check_audit_for(f, id / PLAIT_FETCH_LANES_MAX);

    if (check == NO_CHECK)
        return false;
    struct check *c = &f->checks[check];
    plan_begin(f, id, c->lo, c->lo + c->len, now, cmd);
    struct lane *l = fetch_lane(f, id);
    c->waiting = false;
    c->source_b = f->paths[id / PLAIT_FETCH_LANES_MAX].source;
    l->check = check;
    l->lo = l->hi; /* everything is compared, nothing is kept */
    return finish_open(f, id, cmd);
}

/* ---- chunks ---- */

/* The path as the scheduler sees it; what it was asked for before comes while a new request is on its way. */
static struct plait_sched_path as_sched(const struct plait_fetch *f, int path, const struct lane *l,
                                        uint64_t now)
{
    const struct path *p = &f->paths[path];
    double rate = path_rate(p, now);
    uint64_t backlog_ns = plait_time_to_carry((double)path_outstanding(f, path), rate);

    return (struct plait_sched_path){
        .next_free = plait_add_sat(now, backlog_ns),
        .rate = rate,
        .delay_ns = path_lanes_busy(p) > 0 && l == NULL ? 0 : plait_since(path_lag_ns(p, l), backlog_ns)};
}

/* Whether some other path would have finished `rest` bytes before this one could bring the first `piece` of
 * them. */
static bool stands_aside(const struct plait_fetch *f, int id, uint64_t piece, uint64_t rest, uint64_t now)
{
    int path = id / PLAIT_FETCH_LANES_MAX;
    const struct lane *idle = &f->paths[path].lanes[id % PLAIT_FETCH_LANES_MAX];
    struct plait_sched_path own = as_sched(f, path, idle, now);
    uint64_t own_arrival = plait_sched_arrival(&own, now, (double)piece);

    for (int i = 0; i < f->path_count; i++) {
        const struct path *p = &f->paths[i];
        if (i == path || p->state != PLAIT_FETCH_PATH_ACTIVE || !source_usable(f, p->source) ||
            f->sources[p->source].ranges == RANGES_NO)
            continue;
        struct plait_sched_path other = as_sched(f, i, &p->lanes[0], now);
        if (plait_sched_arrival(&other, now, (double)rest) <= own_arrival)
            return true;
    }
    return false;
}

/*
 * Whether a long path's source may turn out to push, as others do. Then the first piece of a connection is no more than
 * its first window: what is asked for next is there with the acknowledgements, and nothing is lost by having asked
 * for so little.
 */
static bool is_tasted(const struct plait_fetch *f, const struct path *p, const struct lane *l)
{
    uint64_t rtt = plait_max_u64(p->waited_ns, p->est.rtt_min_ns);

    return !l->connected && rtt >= LONG_WAIT_NS && push_is_likely(f, rtt);
}

/* The first piece of a lane on a path of which nothing is known but how long it takes to answer. */
static uint64_t first_chunk(const struct plait_fetch *f, const struct path *p, const struct lane *l,
                            uint64_t now)
{
    uint64_t lanes = plait_max_u64(FIRST_LANES_MIN, path_lanes(f, p, now));
    uint64_t share = fetch_left(f) / ((uint64_t)(FIRST_PART * f->path_count) * lanes), most = FIRST_BYTES;

    if (is_tasted(f, p, l))
        return TASTE_BYTES;
    if (path_lag_ns(p, l) > LONG_LAG_NS) { /* one more round trip would cost more than a piece too large */
        share = fetch_left(f) / (uint64_t)(2 * f->path_count) / LONG_LANES;
        most = LONG_FIRST_BYTES;
    }
    return plait_clamp_u64(share, CHUNK_BYTES_MIN, most);
}

/* A connection in slow start doubles its pace each round trip: what it brought so far it brings again in the
 * next. */
static double grown_bytes(const struct plait_fetch *f, const struct path *p, double bytes)
{
    double per_lane = (double)p->kept_bytes / (double)p->lanes_want * YOUNG_GROWTH;
    double share = (double)fetch_left(f) / (double)(4 * f->path_count) / (double)p->lanes_want;

    if (per_lane > share)
        per_lane = share;
    return bytes > per_lane ? bytes : per_lane;
}

/* What an idle lane will bring of its path's rate, bytes/s; connections of a path are not all alike. */
static double lane_share(const struct path *p, const struct lane *l, uint64_t now)
{
    double even = path_rate(p, now) / (double)plait_max_u64(p->lanes_want, path_lanes_busy(p) + 1);

    if (!l->connected || l->pace <= 0)
        return even;
    return l->pace > 2 * even ? 2 * even : l->pace < even / 4 ? even / 4 : l->pace;
}

/* For how long a lane should have work after it has asked. */
static double chunk_span_s(const struct plait_fetch *f, const struct path *p, uint64_t now)
{
    double all = fetch_rate(f, now), least_s = CHUNK_LAGS * plait_to_s(p->lag_min_ns);
    double span_s = all > 0 ? (double)fetch_left(f) / all / CHUNKS_LEFT : least_s;

    return span_s > least_s ? span_s : least_s;
}

/* How many bytes the lane should ask for now; 0 = leave them to others. */
static uint64_t chunk_bytes(const struct plait_fetch *f, int id, uint64_t free_bytes, uint64_t now)
{
    const struct path *p = &f->paths[id / PLAIT_FETCH_LANES_MAX];
    const struct lane *l = &p->lanes[id % PLAIT_FETCH_LANES_MAX];
    double path = path_rate(p, now), all = fetch_rate(f, now);

    if (path <= 0 || all <= 0)
        return first_chunk(f, p, l, now);
    double lane = lane_share(p, l, now), span_s = chunk_span_s(f, p, now);
    double lag_s = plait_to_s(path_lag_ns(p, l)), end_s = fetch_end_s(f, now),
           most_s = plait_to_s(CHUNK_NS_MAX);

    if (f->config.window_bytes > 0 && most_s > (double)f->config.window_bytes / 2 / all)
        most_s = (double)f->config.window_bytes / 2 / all;
    if (lane * span_s < (double)CHUNK_BYTES_MIN)
        span_s = (double)CHUNK_BYTES_MIN / lane;
    if (span_s > most_s)
        span_s = most_s;
    if (span_s > end_s - lag_s * (1 - LAST_LAGS)) /* the last one of this lane */
        span_s = end_s - lag_s * (1 - LAST_LAGS);
    double bytes = lane * span_s;
    if (path_is_young(p, now))
        bytes = grown_bytes(f, p, bytes);
    double least = lane * 2 * lag_s < (double)CHUNK_BYTES_MIN ? lane * 2 * lag_s : (double)CHUNK_BYTES_MIN;
    if (end_s < 2 * lag_s &&
        least < (double)free_bytes / p->lanes_want) /* no time for another: share the rest out */
        least = (double)free_bytes / p->lanes_want;
    if (bytes < least)
        bytes = least;
    uint64_t want = bytes <= 0 ? 0 : (uint64_t)bytes;
    if (want < PIECE_BYTES_MIN)
        want = PIECE_BYTES_MIN;
    if (f->pin_count == 0 && stands_aside(f, id, plait_min_u64(want, free_bytes), free_bytes, now))
        return 0;
    return want;
}

/*
 * In order, a piece that comes later than the others need to fill the window stops them all (BLEST: Ferlin et
 * al. 2016): it must be smaller, or not be asked for on this path; 0 = not.
 */
static uint64_t fit_window(const struct plait_fetch *f, int id, uint64_t bytes, uint64_t now)
{
    const struct path *p = &f->paths[id / PLAIT_FETCH_LANES_MAX];
    const struct lane *l = &p->lanes[id % PLAIT_FETCH_LANES_MAX];
    double others = fetch_rate(f, now) - path_rate(p, now);

    if (plan_window_end(f) == f->map.size || others <= 0 || f->pin_count > 0)
        return bytes;
    if (!p->reached && path_lanes_busy(p) > 0 && others > (double)f->config.window_bytes / 4)
        return 0; /* let it answer first */
    double budget_s = (double)f->config.window_bytes / others - plait_to_s(path_lag_ns(p, l));
    while (bytes >= PIECE_BYTES_MIN && lane_carries_s(p, l, (double)bytes, now) > budget_s)
        bytes /= 2;
    return bytes >= PIECE_BYTES_MIN ? bytes : 0;
}

static bool plan_chunk(struct plait_fetch *f, int id, uint64_t now, struct plait_fetch_cmd *cmd)
{
    struct plait_extent e;

    if (!first_free(f, f->paths[id / PLAIT_FETCH_LANES_MAX].source, &e))
        return false;
    uint64_t free_bytes = plait_max_u64(e.hi - e.lo, fetch_left(f) - f->map.taken_bytes);
    uint64_t want = fit_window(f, id, chunk_bytes(f, id, free_bytes, now), now);
    if (want == 0)
        return false;
    if (want == TASTE_BYTES && has_seam(f, id / PLAIT_FETCH_LANES_MAX, e.lo))
        want -= SEAM_BYTES;
    uint64_t hi = plait_add_sat(e.lo, want) & ~(uint64_t)(ALIGN - 1);
    if (hi <= e.lo || hi >= e.hi || e.hi - hi < PIECE_BYTES_MIN)
        hi = e.hi;
    return open_owned(f, id, e.lo, hi, now, cmd);
}

/* ---- copies: each byte from several sources ---- */

/* Whether a request of the source is under way for bytes of [lo, hi). */
static bool is_asked_of(const struct plait_fetch *f, int source, uint64_t lo, uint64_t hi)
{
    for (int i = 0; i < f->path_count; i++) {
        for (int k = 0; k < PLAIT_FETCH_LANES_MAX && f->paths[i].source == source; k++) {
            const struct lane *l = &f->paths[i].lanes[k];
            bool runs = l->state == LANE_OPENING || l->state == LANE_BODY;
            if (runs && !l->stream && !l->given_up && plait_max_u64(l->at, l->lo) < hi && lo < l->hi)
                return true;
        }
    }
    return false;
}

/* How many sources are to bring the bytes of a taken extent. */
static unsigned count_sources(const struct plait_fetch *f, const struct plait_extent *e)
{
    unsigned n = 0;

    for (int i = 0; i < f->source_count; i++)
        n +=
            i == source_at(f, e->lo) || is_asked_of(f, i, e->lo, e->hi) || push_is_copied(f, i, e->lo, e->hi);
    return n;
}

/* Whether the lane that has the bytes is about to bring the last of them. */
static bool is_as_good_as_here(const struct plait_fetch *f, const struct plait_extent *e, uint64_t lag_ns,
                               uint64_t now)
{
    if (e->owner >= OWNER_LETTER)
        return false;
    const struct path *p = &f->paths[e->owner / PLAIT_FETCH_LANES_MAX];
    const struct lane *l = &p->lanes[e->owner % PLAIT_FETCH_LANES_MAX];
    return l->state == LANE_BODY && lane_finish_s(p, l, (double)(e->hi - e->lo), now) < plait_to_s(lag_ns);
}

/* Asks for bytes that others have been asked for, where fewer of them were than should be. The first copy counts. */
static bool plan_copy(struct plait_fetch *f, int id, uint64_t now, struct plait_fetch_cmd *cmd)
{
    const struct path *p = &f->paths[id / PLAIT_FETCH_LANES_MAX];
    uint64_t end = plan_window_end(f), lag = path_lag_ns(p, &p->lanes[id % PLAIT_FETCH_LANES_MAX]);
    struct plait_extent e;

    if (f->config.redundant < 2 || f->pin_count > 0)
        return false;
    for (uint64_t at = 0; plait_blockmap_find(&f->map, at, PLAIT_BLOCK_TAKEN, &e) && e.lo < end; at = e.hi) {
        if (source_at(f, e.lo) == p->source || is_asked_of(f, p->source, e.lo, e.hi) ||
            count_sources(f, &e) >= f->config.redundant || is_as_good_as_here(f, &e, lag, now))
            continue;
        uint64_t want = plait_max_u64(chunk_bytes(f, id, e.hi - e.lo, now), CHUNK_BYTES_MIN);
        want = fit_window(f, id, want, now);
        if (want == 0)
            return false;
        return open_unowned(f, id, e.lo, plait_min_u64(e.hi, e.lo + want), now, cmd);
    }
    return false;
}

/* ---- the tail ---- */

/* Bytes of the lane that are already under way and will arrive anyhow. */
static uint64_t in_flight(const struct path *p, const struct lane *l, uint64_t left, double finish_s)
{
    if (l->state != LANE_BODY || finish_s <= 0)
        return 0;
    return (uint64_t)((double)left / finish_s * plait_to_s(p->est.rtt_min_ns));
}

/* How long the thief takes to bring `bytes`, beside what its path is asked for already. */
static double thief_finish_s(const struct plait_fetch *f, int thief, bool own_path, double bytes,
                             uint64_t now)
{
    int path = thief / PLAIT_FETCH_LANES_MAX;
    const struct path *p = &f->paths[path];
    const struct lane *l = &p->lanes[thief % PLAIT_FETCH_LANES_MAX];
    double before = own_path ? 0 : (double)path_outstanding(f, path);
    double path_s = path_carries(p, before + bytes, now).rest_s, lane_s = lane_carries_s(p, l, bytes, now);

    return plait_to_s(path_lag_ns(p, l)) + plait_max_d(path_s, lane_s);
}

/* Whether the other paths together will have all they are asked for about as soon as a request of the thief's brings
 * something. */
static bool comes_too_late(const struct plait_fetch *f, int thief, uint64_t now)
{
    int path = thief / PLAIT_FETCH_LANES_MAX;
    const struct path *p = &f->paths[path];
    uint64_t lag_ns = path_lag_ns(p, &p->lanes[thief % PLAIT_FETCH_LANES_MAX]);
    double others = fetch_rate(f, now) - path_rate(p, now);
    double rest = (double)plait_since(fetch_left(f), path_outstanding(f, path));

    return others > 0 && rest < TOO_LATE_LAGS * others * plait_to_s(lag_ns);
}

/* How much of the victim's tail the thief takes so that both finish together; 0 = not worth it. */
static uint64_t stolen_bytes(const struct plait_fetch *f, int thief, int victim, bool too_late,
                             double finish_s, uint64_t now)
{
    const struct path *tp = &f->paths[thief / PLAIT_FETCH_LANES_MAX],
                      *vp = &f->paths[victim / PLAIT_FETCH_LANES_MAX];
    const struct lane *vl = &vp->lanes[victim % PLAIT_FETCH_LANES_MAX];
    uint64_t lag_ns = path_lag_ns(tp, &tp->lanes[thief % PLAIT_FETCH_LANES_MAX]);
    uint64_t left = lane_left(f, vl), flying = in_flight(vp, vl, left, finish_s);
    double least = 0, most = (double)plait_since(left, flying);
    double gain_s =
        WORTH * finish_s + plait_to_s(tp == vp ? SAME_PATH_GAIN_NS + 2 * lag_ns : GAIN_NS_MIN + lag_ns / 4);

    if (too_late && tp != vp && lag_ns > path_lag_ns(vp, vl))
        return 0;
    if (tp == vp && (vp->est.samples == 0 || finish_s < plait_to_s(4 * lag_ns)))
        return 0;
    if (vl->state == LANE_OPENING) /* its connection may be lost */
        gain_s += plait_to_s(vp->est.rtt_min_ns);
    for (unsigned n = THEFTS_FREE; n < vl->thefts && n < THEFTS_MAX; n++)
        gain_s *= 2; /* it must come to an end */
    for (int step = 0; step < BISECTIONS; step++) {
        double middle = (least + most) / 2;
        if (thief_finish_s(f, thief, tp == vp, middle, now) <
            lane_finish_s(vp, vl, (double)left - middle, now))
            least = middle;
        else
            most = middle;
    }
    if ((double)left - least < (double)PIECE_BYTES_MIN &&
        thief_finish_s(f, thief, tp == vp, (double)left, now) < finish_s)
        least = (double)left; /* a crumb left behind would take the victim as long as a piece */
    if (least < (double)plait_min_u64(PIECE_BYTES_MIN, left / 2) ||
        finish_s - thief_finish_s(f, thief, tp == vp, least, now) < gain_s)
        return 0;
    /* no more than a chunk of its own: what is left to the victim is there for others too */
    double chunk = lane_share(tp, &tp->lanes[thief % PLAIT_FETCH_LANES_MAX], now) * chunk_span_s(f, tp, now);
    if (chunk < (double)CHUNK_BYTES_MIN)
        chunk = (double)CHUNK_BYTES_MIN;
    return (uint64_t)(path_rate(tp, now) > 0 && least > chunk ? chunk : least);
}

/* Whether the last bytes that the lane is asked for are still its own to bring. */
static bool owns_tail(const struct plait_fetch *f, int lane, const struct lane *l)
{
    struct plait_extent e;
    uint64_t hi = plait_min_u64(l->hi, f->map.size);

    return hi > 0 && plait_blockmap_at(&f->map, hi - 1, &e) && e.state == PLAIT_BLOCK_TAKEN &&
           e.owner == lane;
}

/*
 * Whose tail to take: what would finish last; or, in order and with the window full, what would finish latest
 * after its turn, which is when everything before it could have been brought at the rate of all paths.
 */
static int find_victim(struct plait_fetch *f, int thief, uint64_t now, uint64_t *bytes)
{
    int best = NO_LANE;
    bool in_order = f->config.window_bytes > 0 && plan_window_end(f) < f->map.size;
    uint64_t prefix = plait_blockmap_prefix(&f->map);
    double rate = fetch_rate(f, now), latest_s = 0;
    bool too_late = comes_too_late(f, thief, now);

    for (int id = 0; id < f->path_count * PLAIT_FETCH_LANES_MAX; id++) {
        const struct path *p = &f->paths[id / PLAIT_FETCH_LANES_MAX];
        const struct lane *l = fetch_lane(f, id);
        uint64_t left = lane_left(f, l);
        if (left == 0 || l->given_up || l->probe || id == thief ||
            (l->state == LANE_OPENING && now - l->opened < path_lag_ns(p, l) / 2) /* let it begin */ ||
            !owns_tail(f, id, l))
            continue;
        double finish = lane_finish_s(p, l, (double)left, now);
        double turn = in_order && rate > 0 ? (double)plait_since(l->hi, prefix) / rate : 0;
        if (finish - turn <= latest_s)
            continue;
        uint64_t take = stolen_bytes(f, thief, id, too_late, finish, now);
        if (take == 0)
            continue;
        latest_s = finish - turn;
        *bytes = take;
        best = id;
    }
    return best;
}

static bool plan_steal(struct plait_fetch *f, int id, uint64_t now, struct plait_fetch_cmd *cmd)
{
    struct plait_extent e;
    uint64_t until, bytes;
    int victim = find_victim(f, id, now, &bytes);

    if (victim == NO_LANE)
        return false;
    struct lane *l = fetch_lane(f, victim);
    if (!pin_allows(f, f->paths[id / PLAIT_FETCH_LANES_MAX].source, plait_max_u64(l->at, l->lo), &until))
        return false;
    uint64_t hi = plait_min_u64(l->hi, f->map.size);
    if (!plait_blockmap_at(&f->map, hi - 1, &e) || e.state != PLAIT_BLOCK_TAKEN || e.owner != victim)
        return false;
    uint64_t lo = plait_max_u64(plait_max_u64(hi - bytes, e.lo), plait_max_u64(l->at, l->lo));
    uint64_t even = (lo + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);
    if (even < hi && lo > l->lo)
        lo = even;
    l->hi = lo;
    unsigned thefts = l->thefts + 1;
    if (l->state == LANE_OPENING &&
        now - l->opened > path_lag_ns(&f->paths[victim / PLAIT_FETCH_LANES_MAX], l))
        path_learn_lag(&f->paths[victim / PLAIT_FETCH_LANES_MAX], now - l->opened); /* at least that long */
    fetch_event(f, (struct plait_fetch_event){.kind = PLAIT_FETCH_EV_STEAL,
                                              .path = id / PLAIT_FETCH_LANES_MAX,
                                              .other_path = victim / PLAIT_FETCH_LANES_MAX,
                                              .bytes = hi - lo});
    fetch_mark(f, lo, hi, PLAIT_BLOCK_TAKEN, id);
    if (l->state == LANE_OPENING && l->hi <= l->lo)
        fetch_close_lane(f, victim);
    bool opened = open_owned(f, id, lo, hi, now, cmd);
    fetch_lane(f, id)->thefts = thefts;
    return opened;
}

/* Whether a request that owns nothing already asks for bytes of [lo, hi). */
static bool asked_twice(struct plait_fetch *f, uint64_t lo, uint64_t hi)
{
    for (int id = 0; id < f->path_count * PLAIT_FETCH_LANES_MAX; id++) {
        const struct lane *l = fetch_lane(f, id);
        if (l->state != LANE_IDLE && l->probe && l->lo < hi && lo < l->hi)
            return true;
    }
    return false;
}

/* What has come twice, or may still. */
static uint64_t bytes_twice(struct plait_fetch *f)
{
    uint64_t sum = f->dup_bytes;

    for (int id = 0; id < f->path_count * PLAIT_FETCH_LANES_MAX; id++) {
        const struct lane *l = fetch_lane(f, id);
        sum += l->doubled ? lane_left(f, l) : 0;
    }
    return sum;
}

static bool plan_double(struct plait_fetch *f, int id, uint64_t now, struct plait_fetch_cmd *cmd)
{
    const struct path *own = &f->paths[id / PLAIT_FETCH_LANES_MAX];
    uint64_t budget = plait_max_u64(f->map.size / 100 * DOUBLED_PERCENT, 2 * CHUNK_BYTES_MIN);
    double most_s = 0;
    struct lane *late = NULL;

    bool in_order = plan_window_end(f) < f->map.size;
    uint64_t prefix = plait_blockmap_prefix(&f->map), twice = bytes_twice(f);

    if (f->pin_count > 0)
        return false;
    for (int i = 0; i < f->path_count * PLAIT_FETCH_LANES_MAX; i++) {
        struct lane *l = fetch_lane(f, i);
        uint64_t left = lane_left(f, l);
        if (left == 0 || l->doubled || l->given_up || l->probe || l->whole || twice + left > budget ||
            asked_twice(f, l->hi - left, l->hi) || (in_order && plait_max_u64(l->at, l->lo) != prefix))
            continue;
        const struct path *p = &f->paths[i / PLAIT_FETCH_LANES_MAX];
        if (p == own && now - l->last_arrival < 2 * p->est.rtt_min_ns + SAME_PATH_GAIN_NS)
            continue; /* asking for it again would only slow it down */
        double finish_s = lane_finish_s(p, l, (double)left, now);
        if (finish_s > most_s && finish_s > 1.3 * thief_finish_s(f, id, true, (double)left, now) + 0.005) {
            most_s = finish_s;
            late = l;
        }
    }
    if (late == NULL)
        return false;
    uint64_t left = lane_left(f, late), hi = plait_min_u64(late->hi, f->map.size);
    late->doubled = true;
    return open_unowned(f, id, hi - left, hi, now, cmd);
}

bool fetch_output_is_behind(struct plait_fetch *f)
{
    uint64_t window = f->config.window_bytes;

    return window > 0 && plait_blockmap_prefix(&f->map) - f->emitted > window / 2;
}

bool plan_lane(struct plait_fetch *f, int path, int lane, uint64_t now, struct plait_fetch_cmd *cmd)
{
    int id = fetch_lane_id(path, lane);
    const struct path *p = &f->paths[path];

    if (f->live.on)
        return live_plan_lane(f, path, lane, now, cmd);
    if (f->sources[p->source].ranges == RANGES_NO)
        return plan_whole(f, id, now, cmd);
    if (!f->size_known)
        return plan_first(f, id, now, cmd);
    if (p->retry_due)
        return plan_trial(f, id, now, cmd);
    if (plan_audit(f, id, now, cmd))
        return true;
    if (push_wants_lane(f, path, now) && push_open(f, id, now, cmd))
        return true;
    if (push_streams(p) == 0 && (plan_copy(f, id, now, cmd) || plan_chunk(f, id, now, cmd)))
        return true;
    if (push_streams(p) > 0 && !push_is_planned(f))
        return false; /* what is free is the streams' */
    return !fetch_output_is_behind(f) && (plan_steal(f, id, now, cmd) || plan_double(f, id, now, cmd));
}
