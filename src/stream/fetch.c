/*
 * The doors of the fetch but those of the answers (fetch_answer.c). See fetch.h for the contract and
 * fetch_int.h for the parts.
 */
#include "fetch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fetch_push.h"

#define LANES_DEFAULT PLAIT_FETCH_LANES_MAX
#define GIVE_UP_NS    (120 * PLAIT_S)

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

struct path *fetch_path_of(struct plait_fetch *f, int lane)
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

void fetch_release_beyond(struct plait_fetch *f, int lane, uint64_t from)
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
    fetch_release_beyond(f, lane, 0);
}

void fetch_lane_idle(struct plait_fetch *f, int id)
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
    fetch_lane_idle(f, id);
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

void plait_fetch_on_emitted(struct plait_fetch *f, uint64_t now, uint64_t offset)
{
    if (offset > f->emitted)
        f->progress_at = now;
    f->emitted = plait_max_u64(f->emitted, offset);
    if (f->live.on)
        live_on_emitted(f);
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

/* Whether one more lane of the path may have something to do: beside streams one that does what they do not, and one
 * that becomes the first of them. */
static bool has_room(const struct plait_fetch *f, int path, uint64_t now)
{
    const struct path *p = &f->paths[path];
    unsigned busy = path_lanes_busy(p) - push_waiting(p);

    if (busy < path_lanes(f, p, now))
        return true;
    return busy == p->lanes_want && (push_streams(p) > 0 || push_wants_lane(f, path, now));
}

bool plait_fetch_poll_send(struct plait_fetch *f, uint64_t now, struct plait_fetch_cmd *cmd)
{
    if (!f->replan)
        return false;
    if (f->fail != PLAIT_FETCH_FAIL_NONE)
        close_all(f);
    if (next_close(f, cmd) || steer_next(f, now, cmd))
        return true;
    bool idle = false,
         in_vain[PLAIT_FETCH_PATHS_MAX] = {0}; /* for one without a connection, and so for all of them */
    for (int k = 0; k < PLAIT_FETCH_LANES_MAX && !f->done && f->fail == PLAIT_FETCH_FAIL_NONE; k++) {
        for (int i = 0; i < f->path_count; i++) {
            struct path *p = &f->paths[i];
            bool fresh = !p->lanes[k].connected;
            if (p->lanes[k].state != LANE_IDLE || (fresh && in_vain[i]) || !path_usable(f, p) ||
                !has_room(f, i, now))
                continue;
            if (plan_lane(f, i, k, now, cmd))
                return true;
            if (next_close(f, cmd)) /* a steal may end its victim */
                return true;
            in_vain[i] |= fresh;
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
    if (f->live.on)
        live_on_deadline(f, now);
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
    uint64_t left = f->size_known ? fetch_left(f) : PLAIT_FETCH_UNKNOWN;

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
        .live = f->live.on,
        .there_bytes = f->live.there,
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
