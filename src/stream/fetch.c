/*
 * The doors of the fetch, and the way of the bytes: recv() -> map -> store. See fetch.h for the contract and
 * fetch_int.h for the parts.
 */
#include "fetch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fetch_push.h"

#define LANES_DEFAULT 16
#define GIVE_UP_NS    (120 * PLAIT_S)
#define READ_THROUGH                                                                                         \
    (32 *                                                                                                    \
     PLAIT_KIB) /* less than this is read and dropped rather than lose the connection                   \
                      */
#define PACE_BYTES_MIN     (32 * PLAIT_KIB) /* less does not tell a connection's pace */
#define BUSY_NS            (1 * PLAIT_S)
#define RETRY_AFTER_NS_MAX (3600 * PLAIT_S)

struct plait_fetch *plait_fetch_new(const struct plait_fetch_config *config, uint64_t now)
{
    if (config->store.write == NULL || config->store.read == NULL ||
        config->lanes_max > PLAIT_FETCH_LANES_MAX)
        return NULL;
    struct plait_fetch *f = calloc(1, sizeof *f);
    if (f == NULL)
        return NULL;
    f->config = *config;
    if (f->config.lanes_max == 0)
        f->config.lanes_max = LANES_DEFAULT;
    if (f->config.give_up_ns == 0)
        f->config.give_up_ns = GIVE_UP_NS;
    f->prng.state = config->seed;
    f->progress_at = now;
    f->plan_at = PLAIT_NEVER;
    f->tick_at = now;
    f->size_known = config->size != PLAIT_FETCH_UNKNOWN;
    f->replan = true;
    if (plait_blockmap_init(&f->map, config->size) != PLAIT_OK) {
        free(f);
        return NULL;
    }
    return f;
}

void plait_fetch_free(struct plait_fetch *f)
{
    if (f == NULL)
        return;
    push_done(f);
    plait_blockmap_done(&f->map);
    free(f);
}

/* ---- small things the parts share ---- */

int fetch_lane_id(int path, int lane)
{
    return path * PLAIT_FETCH_LANES_MAX + lane;
}

struct lane *fetch_lane(struct plait_fetch *f, int id)
{
    assert(id >= 0 && id < f->path_count * PLAIT_FETCH_LANES_MAX);
    return &f->paths[id / PLAIT_FETCH_LANES_MAX].lanes[id % PLAIT_FETCH_LANES_MAX];
}

static struct path *path_of(struct plait_fetch *f, int lane)
{
    return &f->paths[lane / PLAIT_FETCH_LANES_MAX];
}

void fetch_fail(struct plait_fetch *f, enum plait_fetch_fail why)
{
    if (f->fail == PLAIT_FETCH_FAIL_NONE && !f->done)
        f->fail = why;
    f->replan = true;
}

void fetch_event(struct plait_fetch *f, struct plait_fetch_event event)
{
    if (f->event_count == EVENTS_MAX) {
        f->event_first = (f->event_first + 1) % EVENTS_MAX;
        f->event_count--;
    }
    f->events[(f->event_first + f->event_count++) % EVENTS_MAX] = event;
}

bool plait_fetch_next_event(struct plait_fetch *f, struct plait_fetch_event *event)
{
    if (f->event_count == 0)
        return false;
    *event = f->events[f->event_first];
    f->event_first = (f->event_first + 1) % EVENTS_MAX;
    f->event_count--;
    return true;
}

void fetch_mark(struct plait_fetch *f, uint64_t lo, uint64_t hi, enum plait_block_state state, int owner)
{
    push_count(f, lo, hi, state, owner);
    if (plait_blockmap_mark(&f->map, lo, hi, state, owner) != PLAIT_OK)
        fetch_fail(f, PLAIT_FETCH_FAIL_NOMEM);
}

static void release_beyond(struct plait_fetch *f, int lane, uint64_t from)
{
    struct plait_extent e;

    while (plait_blockmap_find(&f->map, from, PLAIT_BLOCK_TAKEN, &e)) {
        if (e.owner == lane)
            fetch_mark(f, e.lo, e.hi, PLAIT_BLOCK_FREE, 0);
        from = e.hi;
    }
    f->replan = true;
}

void fetch_release(struct plait_fetch *f, int lane)
{
    release_beyond(f, lane, 0);
}

static void lane_idle(struct plait_fetch *f, int id)
{
    struct lane *l = fetch_lane(f, id);
    bool stream = l->stream;

    fetch_release(f, id);
    check_leave(f, id);
    l->state = LANE_IDLE;
    l->whole = l->given_up = l->probe = l->doubled = l->stream = false;
    if (stream)
        push_after_loss(f, id);
    f->replan = true;
}

void fetch_close_lane(struct plait_fetch *f, int id)
{
    struct lane *l = fetch_lane(f, id);

    if (l->state == LANE_IDLE && !l->connected)
        return;
    lane_idle(f, id);
    l->connected = false;
    l->close_due = true;
}

bool fetch_take_back(struct plait_fetch *f, uint64_t lo, uint64_t hi, int source, uint64_t *bytes)
{
    struct plait_extent e;
    bool clean = true;

    for (uint64_t from = lo; from < hi && plait_blockmap_find(&f->map, from, PLAIT_BLOCK_DONE, &e);
         from = e.hi) {
        e.hi = plait_min_u64(e.hi, hi);
        if (e.lo >= hi || (source != PLAIT_FETCH_NO_SOURCE && fetch_owner_source(e.owner) != source))
            continue;
        if (e.lo < f->emitted && f->emits_verified)
            e.lo = plait_min_u64(f->emitted, e.hi);
        else if (e.lo < f->emitted)
            clean = false;
        fetch_mark(f, e.lo, e.hi, PLAIT_BLOCK_FREE, 0);
        if (f->config.store.take_back != NULL)
            f->config.store.take_back(f->config.store.ctx, e.lo, e.hi);
        *bytes += e.hi - e.lo;
    }
    f->replan = true;
    return clean;
}

int fetch_owner_source(int owner)
{
    return owner >= OWNER_RESUMED ? owner - OWNER_RESUMED - 1 : owner;
}

void fetch_set_size(struct plait_fetch *f, uint64_t size)
{
    int err = plait_blockmap_set_size(&f->map, size);

    if (err != PLAIT_OK) {
        fetch_fail(f, err == PLAIT_ERR_NOMEM ? PLAIT_FETCH_FAIL_NOMEM : PLAIT_FETCH_FAIL_SIZES);
        return;
    }
    f->size_known = size != PLAIT_FETCH_UNKNOWN;
    f->replan = true;
    for (int id = 0; id < f->path_count * PLAIT_FETCH_LANES_MAX; id++) {
        struct lane *l = fetch_lane(f, id);
        if (l->state != LANE_IDLE && l->hi > size)
            l->hi = plait_max_u64(size, l->lo);
        if (l->stream)
            fetch_close_lane(f, id); /* its blocks were those of another size */
    }
    if (f->size_known)
        fetch_event(f, (struct plait_fetch_event){.kind = PLAIT_FETCH_EV_SIZE, .bytes = size});
}

static void close_all(struct plait_fetch *f)
{
    for (int id = 0; id < f->path_count * PLAIT_FETCH_LANES_MAX; id++)
        fetch_close_lane(f, id);
}

void fetch_check_done(struct plait_fetch *f, uint64_t now)
{
    if (f->done || f->fail != PLAIT_FETCH_FAIL_NONE || !f->size_known || f->map.done_bytes < f->map.size)
        return;
    if (sizes_open(f, now) || !checks_settled(f, now)) {
        f->replan = true;
        return;
    }
    f->done = true;
    f->progress_at = now;
    close_all(f);
}

/* ---- paths and sources come ---- */

int plait_fetch_add_source(struct plait_fetch *f, unsigned priority)
{
    if (f->source_count == PLAIT_FETCH_SOURCES_MAX)
        return PLAIT_ERR_LIMIT;
    f->sources[f->source_count] = (struct source){.priority = priority, .size = PLAIT_FETCH_UNKNOWN};
    return f->source_count++;
}

int plait_fetch_add_path(struct plait_fetch *f, uint64_t now, int source)
{
    if (source < 0 || source >= f->source_count)
        return PLAIT_ERR_ARG;
    if (f->path_count == PLAIT_FETCH_PATHS_MAX)
        return PLAIT_ERR_LIMIT;
    struct path *p = &f->paths[f->path_count];
    *p = (struct path){.source = source,
                       .lanes_want = f->config.lanes_max > 1 ? 2 : 1,
                       .lanes_cap = f->config.lanes_max,
                       .letter = NO_LETTER,
                       .grow_at = now};
    plait_estimator_init(&p->est);
    for (int i = 0; i < PLAIT_FETCH_LANES_MAX; i++)
        p->lanes[i].check = NO_CHECK;
    f->replan = true;
    return f->path_count++;
}

void plait_fetch_stop_path(struct plait_fetch *f, uint64_t now, int path)
{
    (void)now;
    path_out(f, path);
}

void plait_fetch_hurry_path(struct plait_fetch *f, uint64_t now, int path)
{
    struct path *p = &f->paths[path];

    if (p->state == PLAIT_FETCH_PATH_WAIT || p->state == PLAIT_FETCH_PATH_SILENT)
        p->retry_at = plait_min_u64(p->retry_at, now);
}

int plait_fetch_resume(struct plait_fetch *f, uint64_t lo, uint64_t hi, int source)
{
    if (f->path_count > 0 || source >= f->source_count)
        return PLAIT_ERR_STATE;
    return plait_blockmap_mark(&f->map, lo, hi, PLAIT_BLOCK_DONE, OWNER_RESUMED + 1 + source);
}

void plait_fetch_set_digest_known(struct plait_fetch *f)
{
    f->config.digest_known = true;
}

void plait_fetch_set_emits_verified(struct plait_fetch *f)
{
    f->emits_verified = true;
}

void plait_fetch_expect_version(struct plait_fetch *f, int source, uint64_t version)
{
    f->sources[source].version = version;
}

/* ---- heads ---- */

void plait_fetch_on_connected(struct plait_fetch *f, uint64_t now, int lane, uint64_t rtt_ns)
{
    struct lane *l = fetch_lane(f, lane);

    l->connected = true;
    l->opened = now; /* the answer is awaited from now */
    if (rtt_ns > 0)
        path_learn_rtt(path_of(f, lane), rtt_ns);
    f->replan = true;
}

enum plait_fetch_verdict fetch_drop_answer(struct plait_fetch *f, int lane, uint64_t now)
{
    lane_idle(f, lane);
    fetch_lane(f, lane)->connected = fetch_lane(f, lane)->close_due = false;
    path_update_busy(path_of(f, lane), now);
    return PLAIT_FETCH_ABORT;
}

enum plait_fetch_verdict fetch_lied(struct plait_fetch *f, int lane, uint64_t now)
{
    struct path *p = path_of(f, lane);

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
    struct path *p = path_of(f, lane);
    struct lane *l = fetch_lane(f, lane);

    p->reached = true;
    path_learn_lag(p, now - l->opened);
    if (!l->connected || p->est.rtt_min_ns == 0)
        path_learn_rtt(p, plait_max_u64(now - l->opened, 1));
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
    struct source *s = &f->sources[path_of(f, lane)->source];

    if (l->whole || head->size == PLAIT_FETCH_UNKNOWN || head->lo != l->asked_lo || head->hi <= head->lo ||
        head->hi > head->size || head->hi > l->asked_hi)
        return fetch_lied(f, lane, now);
    if (s->size != PLAIT_FETCH_UNKNOWN && s->size != head->size)
        return fetch_lied(f, lane, now);
    if (s->ranges == RANGES_UNKNOWN)
        s->ranges = RANGES_YES;
    source_state_size(f, now, path_of(f, lane)->source, head->size);
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
    int source = path_of(f, lane)->source;
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
    lane_idle(f, lane);
    l->state = LANE_DRAIN;
    l->at = l->asked_hi = 0;
    fetch_check_done(f, now);
    return PLAIT_FETCH_READ;
}

enum plait_fetch_verdict plait_fetch_on_head(struct plait_fetch *f, uint64_t now, int lane,
                                             const struct plait_fetch_head *head)
{
    struct lane *l = fetch_lane(f, lane);
    struct path *p = path_of(f, lane);

    if (l->state != LANE_OPENING || f->fail != PLAIT_FETCH_FAIL_NONE || f->done)
        return fetch_drop_answer(f, lane, now);
    if (!version_holds(f, p, head))
        return fetch_drop_answer(f, lane, now);
    f->sources[p->source].takes_part |= head->takes_part;
    if (l->stream)
        return push_on_head(f, now, lane, head);
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
    f->progress_at = now;
    check_feed_a(f, now, p->source, at, bytes, len);
}

void fetch_keep_new(struct plait_fetch *f, uint64_t now, int lane, uint64_t at, const uint8_t *bytes,
                    size_t len)
{
    struct path *p = path_of(f, lane);
    struct plait_extent e;

    while (len > 0 && f->fail == PLAIT_FETCH_FAIL_NONE && !f->sources[p->source].out &&
           plait_blockmap_at(&f->map, at, &e)) {
        size_t n = (size_t)plait_min_u64(len, e.hi - at);
        if (e.state != PLAIT_BLOCK_DONE) {
            keep(f, now, p, at, bytes, n);
        } else {
            p->dup_bytes += n;
            f->dup_bytes += n;
            if ((fetch_lane(f, lane)->whole || e.owner != p->source) &&
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
    double soon = path_rate(path_of(f, lane), now) * 2 * plait_to_s(path_of(f, lane)->est.rtt_min_ns);
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
    struct path *p = path_of(f, lane);
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
    release_beyond(f, lane, l->hi);
}

enum plait_fetch_verdict plait_fetch_recv(struct plait_fetch *f, uint64_t now, int lane, const uint8_t *bytes,
                                          size_t len)
{
    struct lane *l = fetch_lane(f, lane);
    struct path *p = path_of(f, lane);

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
    struct path *p = path_of(f, lane);
    bool length_unknown = l->asked_hi == PLAIT_FETCH_UNKNOWN;

    if (l->stream) {
        l->ended = now;
        lane_idle(f, lane);
        return;
    }
    if (l->state == LANE_BODY && l->whole && length_unknown) {
        if (!f->size_known)
            source_state_size(f, now, p->source, l->at);
        else if (l->at < f->map.size)
            source_strike(f, p->source);
    } else if (l->state == LANE_OPENING || (l->state == LANE_BODY && l->at < l->asked_hi)) {
        p->errors++;
        lane_idle(f, lane);
        l->connected = false;
        source_strike(f, p->source); /* shorter than it was said to be */
        path_back_off(f, lane / PLAIT_FETCH_LANES_MAX, now, 0);
        return;
    }
    if (now > l->body_since && l->at - l->asked_lo >= PACE_BYTES_MIN)
        l->pace = (double)(l->at - l->asked_lo) / plait_to_s(now - l->body_since);
    l->ended = now;
    lane_idle(f, lane);
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
    struct path *p = path_of(f, lane);
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
    struct path *p = path_of(f, lane);
    int path = lane / PLAIT_FETCH_LANES_MAX;

    if (l->state == LANE_IDLE)
        return;
    if (l->stream)
        outcome = push_end_of(f, now, lane, outcome);
    if (outcome == PLAIT_FETCH_END_COMPLETE) {
        end_complete(f, now, lane);
    } else {
        p->errors++;
        lane_idle(f, lane);
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

void plait_fetch_on_emitted(struct plait_fetch *f, uint64_t now, uint64_t offset)
{
    if (offset > f->emitted)
        f->progress_at = now;
    f->emitted = plait_max_u64(f->emitted, offset);
    f->replan = true;
}

/* ---- commands and time ---- */

static bool next_close(struct plait_fetch *f, struct plait_fetch_cmd *cmd)
{
    for (int id = 0; id < f->path_count * PLAIT_FETCH_LANES_MAX; id++) {
        struct lane *l = fetch_lane(f, id);
        if (!l->close_due)
            continue;
        l->close_due = false;
        *cmd = (struct plait_fetch_cmd){
            .kind = PLAIT_FETCH_CLOSE, .lane = id, .path = id / PLAIT_FETCH_LANES_MAX};
        return true;
    }
    return false;
}

bool plait_fetch_poll_send(struct plait_fetch *f, uint64_t now, struct plait_fetch_cmd *cmd)
{
    if (!f->replan)
        return false;
    if (f->fail != PLAIT_FETCH_FAIL_NONE)
        close_all(f);
    if (next_close(f, cmd) || steer_next(f, now, cmd))
        return true;
    bool idle = false;
    for (int k = 0; k < PLAIT_FETCH_LANES_MAX && !f->done && f->fail == PLAIT_FETCH_FAIL_NONE; k++) {
        for (int i = 0; i < f->path_count; i++) {
            struct path *p = &f->paths[i];
            /* for what streams do not do, and for the first of them */
            unsigned spare = push_waiting(p) + (push_streams(p) > 0 || push_wants_lane(f, i, now));
            if (p->lanes[k].state != LANE_IDLE || !path_usable(f, p) ||
                path_lanes_busy(p) >= p->lanes_want + spare)
                continue;
            if (plan_lane(f, i, k, now, cmd))
                return true;
            if (next_close(f, cmd)) /* a steal may end its victim */
                return true;
            idle = true;
        }
    }
    f->replan = false;
    f->plan_at = idle ? now + 20 * PLAIT_MS : PLAIT_NEVER;
    return false;
}

uint64_t plait_fetch_next_deadline(const struct plait_fetch *f)
{
    if (f->done || f->fail != PLAIT_FETCH_FAIL_NONE)
        return PLAIT_NEVER;
    uint64_t at = plait_min_u64(f->plan_at, f->progress_at + f->config.give_up_ns);
    return plait_min_u64(at, paths_next_deadline(f));
}

void plait_fetch_on_deadline(struct plait_fetch *f, uint64_t now)
{
    if (f->done || f->fail != PLAIT_FETCH_FAIL_NONE)
        return;
    if (fetch_output_is_behind(f))
        f->progress_at = now;
    if (now >= plait_add_sat(f->progress_at, f->config.give_up_ns)) {
        fetch_fail(f, PLAIT_FETCH_FAIL_UNREACHABLE);
        return;
    }
    if (now >= f->plan_at) {
        f->plan_at = PLAIT_NEVER;
        f->replan = true;
    }
    paths_on_deadline(f, now);
    steer_on_deadline(f, now);
    sizes_decide(f, now);
    checks_after_loss(f, now);
    fetch_check_done(f, now);
}

/* ---- what people want to know ---- */

static uint64_t emit_limit(const struct plait_fetch *f, uint64_t now)
{
    /* looking does not change anything that is seen from outside */
    uint64_t prefix = plait_blockmap_prefix((struct plait_blockmap *)&f->map);

    if (sizes_open(f, now))
        return f->emitted;
    return f->tribunal.active ? plait_min_u64(prefix, plait_max_u64(f->emitted, f->tribunal.lo)) : prefix;
}

void plait_fetch_get_status(const struct plait_fetch *f, uint64_t now, struct plait_fetch_status *out)
{
    double rate = fetch_rate(f, now);
    uint64_t left = f->size_known ? f->map.size - f->map.done_bytes : PLAIT_FETCH_UNKNOWN;

    *out = (struct plait_fetch_status){
        .done = f->done,
        .fail = f->fail,
        .conflict_source_a = f->conflict_a,
        .conflict_source_b = f->conflict_b,
        .conflict_offset = f->conflict_offset,
        .size = f->size_known ? f->map.size : PLAIT_FETCH_UNKNOWN,
        .kept_bytes = f->map.done_bytes,
        .prefix_bytes = emit_limit(f, now),
        .dup_bytes = f->dup_bytes,
        .check_bytes = f->check_bytes,
        .rate = rate,
        .eta_ns = f->size_known ? plait_time_to_carry((double)left, rate) : PLAIT_NEVER,
    };
}

int plait_fetch_path_count(const struct plait_fetch *f)
{
    return f->path_count;
}

void plait_fetch_get_path(const struct plait_fetch *f, uint64_t now, int path,
                          struct plait_fetch_path_info *out)
{
    const struct path *p = &f->paths[path];

    *out = (struct plait_fetch_path_info){
        .source = p->source,
        .state = p->state,
        .rate = path_lanes_busy(p) > 0 ? path_rate(p, now) : 0,
        .rtt_ns = p->est.rtt_min_ns,
        .kept_bytes = p->kept_bytes,
        .dup_bytes = p->dup_bytes,
        .check_bytes = p->check_bytes,
        .lanes_busy = path_lanes_busy(p),
        .errors = p->errors,
        .retry_ns = p->retry_at,
        .letter = p->letter,
        .streams = push_streams(p),
    };
}

bool plait_fetch_kept_range(const struct plait_fetch *f, uint64_t from, uint64_t *lo, uint64_t *hi,
                            int *source)
{
    struct plait_extent e;

    if (!plait_blockmap_find(&f->map, from, PLAIT_BLOCK_DONE, &e))
        return false;
    *lo = e.lo;
    *hi = e.hi;
    *source = fetch_owner_source(e.owner);
    return true;
}
