/*
 * Answers: what a head says, the way of the bytes (recv -> map -> store), and how an answer ends.
 */
#include "fetch_push.h"

#include <assert.h>
#include <string.h>

#define READ_THROUGH       (32 * PLAIT_KIB) /* less is read and dropped rather than lose the connection */
#define PACE_BYTES_MIN     (32 * PLAIT_KIB) /* less does not tell a connection's pace */
#define BUSY_NS            (1 * PLAIT_S)
#define RETRY_AFTER_NS_MAX (3600 * PLAIT_S)
#define LIVE_AGAIN_NS      (1 * PLAIT_S)

/* ---- heads ---- */

void plait_fetch_on_connected(struct plait_fetch *f, uint64_t now, int lane, uint64_t rtt_ns)
{
    struct lane *l = fetch_lane(f, lane);

    l->connected = true;
    l->opened = now; /* the answer is awaited from now */
    if (rtt_ns > 0)
        path_learn_rtt(f, fetch_path_of(f, lane), rtt_ns);
    f->replan = true;
}

enum plait_fetch_verdict fetch_drop_answer(struct plait_fetch *f, int lane, uint64_t now)
{
    fetch_lane_idle(f, lane);
    fetch_lane(f, lane)->connected = fetch_lane(f, lane)->close_due = false;
    path_update_busy(fetch_path_of(f, lane), now);
    return PLAIT_FETCH_ABORT;
}

enum plait_fetch_verdict fetch_lied(struct plait_fetch *f, int lane, uint64_t now)
{
    struct path *p = fetch_path_of(f, lane);

    p->errors++;
    fetch_drop_answer(f, lane, now);
    source_strike(f, p->source);
    path_back_off(f, lane / PLAIT_FETCH_LANES_MAX, now, 0);
    return PLAIT_FETCH_ABORT;
}

/* The same source must go on serving the same version. */
static bool version_holds(struct plait_fetch *f, struct path *p, const struct plait_fetch_head *head)
{
    struct source *s = &f->sources[p->source];

    if (f->live.on)
        return live_version_holds(f, p->source, head);
    if (head->version != 0 && s->version == 0) {
        s->version = head->version;
        s->version_strong = head->strong;
    }
    if (head->version == s->version || head->version == 0)
        return true;
    fetch_event(f, (struct plait_fetch_event){.kind = PLAIT_FETCH_EV_CHANGED, .source = p->source});
    source_condemn(f, p->source);
    if (f->fail == PLAIT_FETCH_FAIL_NO_SOURCE || f->fail == PLAIT_FETCH_FAIL_CONTENT)
        f->fail = PLAIT_FETCH_FAIL_CHANGED;
    return false;
}

static bool another_serves_ranges(const struct plait_fetch *f, int source)
{
    for (int i = 0; i < f->source_count; i++) {
        if (i != source && f->sources[i].ranges == RANGES_YES && source_usable(f, i))
            return true;
    }
    return false;
}

static bool another_usable(const struct plait_fetch *f, int source)
{
    for (int i = 0; i < f->source_count; i++) {
        if (i != source && source_usable(f, i))
            return true;
    }
    return false;
}

static int whole_lane(struct plait_fetch *f)
{
    for (int id = 0; id < f->path_count * PLAIT_FETCH_LANES_MAX; id++) {
        if (fetch_lane(f, id)->state != LANE_IDLE && fetch_lane(f, id)->whole)
            return id;
    }
    return NO_LANE;
}

/* Own every free byte of [lo, hi) through `lane`. */
static void take_free(struct plait_fetch *f, int lane, uint64_t lo, uint64_t hi)
{
    struct plait_extent e;

    for (uint64_t from = lo; from < hi && plait_blockmap_find(&f->map, from, PLAIT_BLOCK_FREE, &e);
         from = e.hi) {
        if (e.lo >= hi)
            break;
        e.hi = plait_min_u64(e.hi, hi);
        fetch_mark(f, e.lo, e.hi, PLAIT_BLOCK_TAKEN, lane);
    }
}

void fetch_begin_body(struct plait_fetch *f, int lane, uint64_t now)
{
    struct path *p = fetch_path_of(f, lane);
    struct lane *l = fetch_lane(f, lane);

    p->reached = true;
    path_learn_lag(p, now - l->opened);
    if (!l->connected || p->est.rtt_min_ns == 0)
        path_learn_rtt(f, p, plait_max_u64(now - l->opened, 1));
    l->connected = true;
    l->state = LANE_BODY;
    l->body_since = l->last_arrival = now;
    plait_estimator_init(&l->est);
    plait_estimator_on_rtt(&l->est, p->est.rtt_min_ns);
    plait_estimator_on_busy(&l->est, now, true);
    if (l->probe || l->given_up) {
        l->probe = l->given_up = false;
        take_free(f, lane, l->lo, l->hi);
    }
    if (p->state != PLAIT_FETCH_PATH_ACTIVE)
        path_set_state(f, lane / PLAIT_FETCH_LANES_MAX, PLAIT_FETCH_PATH_ACTIVE);
    path_update_busy(p, now);
    f->replan = true;
}

static enum plait_fetch_verdict on_partial(struct plait_fetch *f, uint64_t now, int lane,
                                           const struct plait_fetch_head *head)
{
    struct lane *l = fetch_lane(f, lane);
    struct source *s = &f->sources[fetch_path_of(f, lane)->source];

    if (l->whole || head->size == PLAIT_FETCH_UNKNOWN || head->lo != l->asked_lo || head->hi <= head->lo ||
        head->hi > head->size || head->hi > l->asked_hi)
        return fetch_lied(f, lane, now);
    if (s->size != PLAIT_FETCH_UNKNOWN && s->size != head->size)
        return fetch_lied(f, lane, now);
    if (s->ranges == RANGES_UNKNOWN)
        s->ranges = RANGES_YES;
    source_state_size(f, now, fetch_path_of(f, lane)->source, head->size);
    if (s->out || s->held || f->fail != PLAIT_FETCH_FAIL_NONE)
        return fetch_drop_answer(f, lane, now);
    l->asked_hi = head->hi; /* a server may send less than was asked */
    if (l->hi > head->hi) {
        uint64_t rest = plait_max_u64(head->hi, l->lo);
        struct plait_extent e;
        if (plait_blockmap_at(&f->map, rest, &e) && e.state == PLAIT_BLOCK_TAKEN && e.owner == lane)
            fetch_mark(f, rest, plait_min_u64(e.hi, l->hi), PLAIT_BLOCK_FREE, 0);
        l->hi = rest;
    }
    l->at = head->lo;
    fetch_begin_body(f, lane, now);
    return PLAIT_FETCH_READ;
}

/* A source without ranges: its one answer is the stream from 0 on, and serves when nobody does better. */
static enum plait_fetch_verdict on_whole(struct plait_fetch *f, uint64_t now, int lane,
                                         const struct plait_fetch_head *head)
{
    struct lane *l = fetch_lane(f, lane);
    int source = fetch_path_of(f, lane)->source;
    struct source *s = &f->sources[source];

    if (s->ranges == RANGES_YES && another_usable(f, source))
        return fetch_lied(f, lane, now); /* it served ranges a moment ago */
    if (s->ranges != RANGES_NO) {
        s->ranges = RANGES_NO;
        fetch_event(f, (struct plait_fetch_event){.kind = PLAIT_FETCH_EV_NO_RANGES, .source = source});
    }
    if (head->size != PLAIT_FETCH_UNKNOWN)
        source_state_size(f, now, source, head->size);
    int running = whole_lane(f);
    if (s->out || s->held || f->fail != PLAIT_FETCH_FAIL_NONE || another_serves_ranges(f, source) ||
        (running != NO_LANE && running != lane && fetch_lane(f, running)->state == LANE_BODY))
        return fetch_drop_answer(f, lane, now);
    if (f->emitted > 0 && !(s->version != 0 && s->version == head->version && s->version_strong)) {
        fetch_fail(f, PLAIT_FETCH_FAIL_NO_RESUME);
        return fetch_drop_answer(f, lane, now);
    }
    fetch_release(f, lane);
    check_leave(f, lane);
    l->whole = true;
    l->asked_lo = l->lo = l->at = 0;
    l->asked_hi = head->size;
    l->hi = f->map.size;
    l->given_up = true; /* take every free byte */
    fetch_begin_body(f, lane, now);
    return PLAIT_FETCH_READ;
}

static enum plait_fetch_verdict on_unsatisfied(struct plait_fetch *f, uint64_t now, int lane,
                                               const struct plait_fetch_head *head)
{
    struct lane *l = fetch_lane(f, lane);
    int path = lane / PLAIT_FETCH_LANES_MAX;

    if (head->size == PLAIT_FETCH_UNKNOWN || head->size > l->asked_lo)
        return fetch_lied(f, lane, now); /* what was asked for does exist, or it does not say */
    f->sources[f->paths[path].source].ranges = RANGES_YES;
    source_state_size(f, now, f->paths[path].source, head->size);
    f->paths[path].reached = true;
    if (f->paths[path].state == PLAIT_FETCH_PATH_NEW)
        path_set_state(f, path, PLAIT_FETCH_PATH_ACTIVE);
    fetch_lane_idle(f, lane);
    l->state = LANE_DRAIN;
    l->at = l->asked_hi = 0;
    fetch_check_done(f, now);
    return PLAIT_FETCH_READ;
}

/* What is still being written, though its size is known, or without ranges: not yet a copy of anything. */
static enum plait_fetch_verdict come_back(struct plait_fetch *f, int lane, uint64_t now)
{
    fetch_drop_answer(f, lane, now);
    path_back_off(f, lane / PLAIT_FETCH_LANES_MAX, now, LIVE_AGAIN_NS);
    return PLAIT_FETCH_ABORT;
}

/* Of a stream that is still being written. */
static enum plait_fetch_verdict on_live_head(struct plait_fetch *f, uint64_t now, int lane,
                                             const struct plait_fetch_head *head)
{
    if (head->kind == PLAIT_FETCH_HEAD_PARTIAL)
        return live_on_partial(f, now, lane, head);
    if (head->kind == PLAIT_FETCH_HEAD_UNSATISFIED)
        return live_on_unsatisfied(f, now, lane, head);
    return head->kind == PLAIT_FETCH_HEAD_WHOLE ? come_back(f, lane, now) : fetch_lied(f, lane, now);
}

enum plait_fetch_verdict plait_fetch_on_head(struct plait_fetch *f, uint64_t now, int lane,
                                             const struct plait_fetch_head *head)
{
    struct lane *l = fetch_lane(f, lane);
    struct path *p = fetch_path_of(f, lane);

    if (l->state != LANE_OPENING || f->fail != PLAIT_FETCH_FAIL_NONE || f->done)
        return fetch_drop_answer(f, lane, now);
    if (head->live && !f->live.on) {
        if (f->size_known || head->kind == PLAIT_FETCH_HEAD_WHOLE)
            return come_back(f, lane, now);
        live_begin(f, p->source, now);
    }
    if (!version_holds(f, p, head))
        return fetch_drop_answer(f, lane, now);
    f->sources[p->source].takes_part |= head->takes_part;
    if (l->stream)
        return push_on_head(f, now, lane, head);
    if (f->live.on)
        return on_live_head(f, now, lane, head);
    switch (head->kind) {
    case PLAIT_FETCH_HEAD_PARTIAL:
        return on_partial(f, now, lane, head);
    case PLAIT_FETCH_HEAD_WHOLE:
        return on_whole(f, now, lane, head);
    case PLAIT_FETCH_HEAD_UNSATISFIED:
        return on_unsatisfied(f, now, lane, head);
    case PLAIT_FETCH_HEAD_FRAMES: /* nobody asked for them */
        break;
    }
    return fetch_lied(f, lane, now);
}

/* ---- bytes ---- */

static void keep(struct plait_fetch *f, uint64_t now, struct path *p, uint64_t at, const uint8_t *bytes,
                 size_t len)
{
    if (f->config.store.write(f->config.store.ctx, at, bytes, len, p->source) != PLAIT_OK) {
        fetch_fail(f, PLAIT_FETCH_FAIL_STORE);
        return;
    }
    fetch_mark(f, at, at + len, PLAIT_BLOCK_DONE, p->source);
    p->kept_bytes += len;
    p->fails = 0;
    f->sources[p->source].kept_bytes += len;
    f->progress_at = f->live.moved_at = now;
    check_feed_a(f, now, p->source, at, bytes, len);
}

void fetch_keep_new(struct plait_fetch *f, uint64_t now, int lane, uint64_t at, const uint8_t *bytes,
                    size_t len)
{
    struct path *p = fetch_path_of(f, lane);
    struct plait_extent e;

    while (len > 0 && f->fail == PLAIT_FETCH_FAIL_NONE && !f->sources[p->source].out &&
           plait_blockmap_at(&f->map, at, &e)) {
        size_t n = (size_t)plait_min_u64(len, e.hi - at);
        if (e.state != PLAIT_BLOCK_DONE) {
            keep(f, now, p, at, bytes, n);
        } else {
            p->dup_bytes += n;
            f->dup_bytes += n;
            const struct lane *l = fetch_lane(f, lane);
            if ((l->whole || l->look || e.owner != p->source) &&
                !check_again(f, now, p->source, at, bytes, n))
                return;
        }
        at += n;
        bytes += n;
        len -= n;
    }
}

/* Nothing of [at, hi) is missing any more: others were faster. */
static bool overtaken(const struct plait_fetch *f, const struct lane *l)
{
    struct plait_extent e;

    return f->size_known && l->at >= l->lo && plait_blockmap_at(&f->map, l->at, &e) &&
           e.state == PLAIT_BLOCK_DONE && e.hi >= l->hi;
}

/* Whether a lane that has all it was wanted for should let its answer run out, or be cut. */
static enum plait_fetch_verdict after_bytes(struct plait_fetch *f, uint64_t now, int lane)
{
    struct lane *l = fetch_lane(f, lane);

    if (f->done || f->fail != PLAIT_FETCH_FAIL_NONE)
        return fetch_drop_answer(f, lane, now);
    if (l->state != LANE_BODY || (l->at < l->hi && (l->whole || !overtaken(f, l))))
        return PLAIT_FETCH_READ;
    double soon =
        path_rate(fetch_path_of(f, lane), now) * 2 * plait_to_s(fetch_path_of(f, lane)->est.rtt_min_ns);
    uint64_t rest = l->asked_hi - l->at;
    if (l->asked_hi != PLAIT_FETCH_UNKNOWN && rest <= READ_THROUGH && (double)rest <= soon)
        return PLAIT_FETCH_READ;
    if (l->whole && l->asked_hi == PLAIT_FETCH_UNKNOWN)
        return PLAIT_FETCH_READ;
    fetch_drop_answer(f, lane, now);
    return PLAIT_FETCH_ABORT;
}

/* One step through the body: the compared part, the wanted part, or what nobody wants. Returns bytes used, 0
 * = too long. */
static size_t take_step(struct plait_fetch *f, uint64_t now, int lane, const uint8_t *bytes, size_t len)
{
    struct lane *l = fetch_lane(f, lane);
    struct path *p = fetch_path_of(f, lane);
    uint64_t at = l->at;
    size_t n;

    if (at < l->lo) {
        n = (size_t)plait_min_u64(len, l->lo - at);
        p->check_bytes += n;
        f->check_bytes += n;
        l->at += n;
        if (l->check != NO_CHECK)
            check_feed_b(f, now, l->check, at, bytes, n);
    } else if (at < l->hi) {
        n = (size_t)plait_min_u64(len, l->hi - at);
        l->at += n;
        fetch_keep_new(f, now, lane, at, bytes, n);
    } else {
        n = l->asked_hi > at ? (size_t)plait_min_u64(len, l->asked_hi - at) : 0;
        l->at += n;
        p->dup_bytes += n;
        f->dup_bytes += n;
    }
    return n;
}

/* A lane that was silent goes on with what nobody else has taken meanwhile. */
static void speak_again(struct plait_fetch *f, int lane)
{
    struct lane *l = fetch_lane(f, lane);
    struct plait_extent e;
    uint64_t at = plait_max_u64(l->at, l->lo);

    l->given_up = false;
    take_free(f, lane, at, l->hi);
    while (at < l->hi && plait_blockmap_at(&f->map, at, &e) && e.state == PLAIT_BLOCK_TAKEN &&
           e.owner == lane)
        at = e.hi;
    l->hi = plait_min_u64(l->hi, at);
    fetch_release_beyond(f, lane, l->hi);
}

enum plait_fetch_verdict plait_fetch_recv(struct plait_fetch *f, uint64_t now, int lane, const uint8_t *bytes,
                                          size_t len)
{
    struct lane *l = fetch_lane(f, lane);
    struct path *p = fetch_path_of(f, lane);

    if (l->state == LANE_DRAIN)
        return PLAIT_FETCH_READ;
    if (l->state != LANE_BODY && l->state != LANE_WAIT)
        return PLAIT_FETCH_ABORT;
    l->last_arrival = now;
    if (p->first_byte == 0)
        p->first_byte = now;
    plait_estimator_on_bytes(&p->est, now, len);
    plait_estimator_on_bytes(&l->est, now, len);
    if (p->state != PLAIT_FETCH_PATH_ACTIVE)
        path_set_state(f, lane / PLAIT_FETCH_LANES_MAX, PLAIT_FETCH_PATH_ACTIVE);
    if (l->stream)
        return push_recv(f, now, lane, bytes, len);
    if (l->given_up)
        speak_again(f, lane);
    while (len > 0 && l->state == LANE_BODY && f->fail == PLAIT_FETCH_FAIL_NONE) {
        size_t used = take_step(f, now, lane, bytes, len);
        if (used == 0)
            return fetch_lied(f, lane, now); /* a body longer than was stated */
        bytes += used;
        len -= used;
    }
    fetch_check_done(f, now);
    if (l->state == LANE_IDLE) { /* closed meanwhile: its source was condemned, or all is done */
        l->close_due = false;
        return PLAIT_FETCH_ABORT;
    }
    return after_bytes(f, now, lane);
}

/* ---- ends ---- */

static void end_complete(struct plait_fetch *f, uint64_t now, int lane)
{
    struct lane *l = fetch_lane(f, lane);
    struct path *p = fetch_path_of(f, lane);
    bool length_unknown = l->asked_hi == PLAIT_FETCH_UNKNOWN;

    if (l->stream) {
        l->ended = now;
        fetch_lane_idle(f, lane);
        return;
    }
    if (l->state == LANE_BODY && l->whole && length_unknown) {
        if (!f->size_known)
            source_state_size(f, now, p->source, l->at);
        else if (l->at < f->map.size)
            source_strike(f, p->source);
    } else if (l->state == LANE_OPENING || (l->state == LANE_BODY && l->at < l->asked_hi)) {
        p->errors++;
        fetch_lane_idle(f, lane);
        l->connected = false;
        source_strike(f, p->source); /* shorter than it was said to be */
        path_back_off(f, lane / PLAIT_FETCH_LANES_MAX, now, 0);
        return;
    }
    if (now > l->body_since && l->at - l->asked_lo >= PACE_BYTES_MIN)
        l->pace = (double)(l->at - l->asked_lo) / plait_to_s(now - l->body_since);
    l->ended = now;
    fetch_lane_idle(f, lane);
}

static bool others_busy(const struct plait_fetch *f, int source, const struct lane *but)
{
    for (int i = 0; i < f->path_count; i++) {
        for (int k = 0; f->paths[i].source == source && k < PLAIT_FETCH_LANES_MAX; k++) {
            const struct lane *l = &f->paths[i].lanes[k];
            if (l != but && l->state == LANE_BODY)
                return true;
        }
    }
    return false;
}

static bool is_served(const struct path *p)
{
    bool body = false;

    for (int k = 0; k < PLAIT_FETCH_LANES_MAX; k++)
        body |= p->lanes[k].state == LANE_BODY;
    return body;
}

/* 503 or 429: fewer connections if some of the source are being served, otherwise come back later. */
static void end_busy(struct plait_fetch *f, uint64_t now, int lane, uint64_t retry_after_ns)
{
    struct path *p = fetch_path_of(f, lane);
    int source = p->source;
    uint64_t delay = retry_after_ns > 0 ? plait_min_u64(retry_after_ns, RETRY_AFTER_NS_MAX)
                                        : BUSY_NS << (p->fails > 5 ? 5 : p->fails);

    p->reached = true;
    if (others_busy(f, source, fetch_lane(f, lane))) {
        p->lanes_cap = p->lanes_want = (unsigned)plait_max_u64(1, path_lanes_busy(p));
        p->trial_rate = 0;
        if (path_lanes_busy(p) > 0)
            return;
    }
    for (int i = 0; i < f->path_count; i++) {
        const struct path *of = &f->paths[i];
        bool waits =
            of->state == PLAIT_FETCH_PATH_WAIT && of->retry_at >= now + delay; /* asked at the same time */
        if (of->source == source && of->state != PLAIT_FETCH_PATH_OUT && !is_served(of) && !waits)
            path_back_off(f, i, now, delay);
    }
}

void plait_fetch_on_end(struct plait_fetch *f, uint64_t now, int lane, enum plait_fetch_outcome outcome,
                        uint64_t retry_after_ns)
{
    struct lane *l = fetch_lane(f, lane);
    struct path *p = fetch_path_of(f, lane);
    int path = lane / PLAIT_FETCH_LANES_MAX;

    if (l->state == LANE_IDLE)
        return;
    if (l->stream)
        outcome = push_end_of(f, now, lane, outcome);
    if (outcome == PLAIT_FETCH_END_COMPLETE) {
        end_complete(f, now, lane);
    } else {
        p->errors++;
        fetch_lane_idle(f, lane);
        l->connected = false;
    }
    path_update_busy(p, now);
    switch (outcome) {
    case PLAIT_FETCH_END_COMPLETE:
        break;
    case PLAIT_FETCH_END_BROKEN:
    case PLAIT_FETCH_END_UNREACHABLE:
        path_back_off(f, path, now, 0);
        break;
    case PLAIT_FETCH_END_BUSY:
        end_busy(f, now, lane, retry_after_ns);
        break;
    case PLAIT_FETCH_END_ROUTE:
        path_out(f, path);
        break;
    case PLAIT_FETCH_END_REFUSED:
        if (f->sources[p->source].ranges == RANGES_YES && others_busy(f, p->source, l))
            end_busy(f, now, lane, 0); /* it serves; just not so many connections */
        else
            source_out(f, p->source);
        break;
    }
    checks_after_loss(f, now);
    sizes_decide(f, now);
    fetch_check_done(f, now);
}
