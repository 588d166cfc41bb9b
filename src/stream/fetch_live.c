/*
 * A stream that is still being written: it is followed until it is closed.
 *
 *   there    how much of it is known to exist: the sources tell it with every answer, and show it with every block. The
 *            map goes on a little further, so that the sources have their letters for blocks before these are written
 *            and push each as soon as it is whole, without being asked.
 *   look     a small range request from just before the first byte that is missing: it tells how far the source is and
 *            whether the stream is closed there, brings what lies behind the last whole block, and compares what is
 *            there already. Where sources have letters it is made when nothing comes, and now and then; where not, it
 *            is the way by which everything comes.
 *   trust    copies may differ in length at a moment, and one that is another file altogether must not mix with the
 *            rest: a source's bytes are taken once a look at it has brought bytes that are here already, and they were the
 *            same. The first source needs that not, nor the only one that is left.
 *   late     a block that some source has, but not the one whose letter it has: after a while it is asked of another,
 *            and nothing more is planned for that letter for a time; a look finds out whether its source is dead or
 *            only behind.
 *   closed   the size is known when every source that can be reached says that the stream is closed there. Those with
 *            less than what is here already, or than most others, are dropped. Then it is a stream like any other,
 *            whose last bytes are asked for by ranges, and which is compared and verified as a whole.
 */
#include "fetch_push.h"

#include <string.h>

#define BLOCK_GUESS   (16 * PLAIT_KIB)
#define AHEAD_NS      (600 * PLAIT_MS)
#define AHEAD_RTTS    2
#define AHEAD_LEAST   16u /* blocks */
#define AHEAD_MOST    1024u
#define JOIN_BLOCKS   UINT64_C(8)
#define GROWTH_NS     (500 * PLAIT_MS)
#define LOOK_BYTES    (256 * PLAIT_KIB)
#define LOOK_ONLY     (2 * PLAIT_MIB) /* where nothing is pushed */
#define LOOK_NS       (500 * PLAIT_MS)
#define LOOK_NS_MAX   (2 * PLAIT_S) /* when nothing has come for long */
#define LOOK_SOON_NS  (200 * PLAIT_MS)
#define AUDIT_NS      (5 * PLAIT_S)
#define IDLE_NS       (300 * PLAIT_MS)
#define LATE_NS       (150 * PLAIT_MS)
#define ASIDE_NS      (1 * PLAIT_S)
#define ASIDE_NS_MAX  (16 * PLAIT_S)
#define BACKLOG_BYTES (1 * PLAIT_MIB)
#define LOOKS_MOST    3 /* of a path, at once */
#define VET_LEAST     1024
#define MERGE_BYTES   (1 * PLAIT_MIB)
#define MERGE_LESS    (256 * PLAIT_KIB)

/* ---- how much there is ---- */

static uint64_t block_size(const struct plait_fetch *f)
{
    return f->push.block_bytes != 0 ? f->push.block_bytes : BLOCK_GUESS;
}

static void set_map(struct plait_fetch *f, uint64_t size)
{
    if (plait_blockmap_set_size(&f->map, size) != PLAIT_OK) {
        fetch_fail(f, PLAIT_FETCH_FAIL_NOMEM);
        return;
    }
    for (int id = 0; id < f->path_count * PLAIT_FETCH_LANES_MAX; id++) {
        struct lane *l = fetch_lane(f, id);
        if (l->state != LANE_IDLE && !l->stream && l->hi > size)
            l->hi = plait_max_u64(size, l->lo);
    }
    f->replan = true;
}

static uint64_t end_of_kept(const struct plait_fetch *f, int *source)
{
    struct plait_extent e;
    uint64_t end = 0;

    *source = PLAIT_FETCH_NO_SOURCE;
    for (uint64_t at = 0; plait_blockmap_find(&f->map, at, PLAIT_BLOCK_DONE, &e); at = end) {
        end = e.hi;
        *source = fetch_owner_source(e.owner);
    }
    return end;
}

/* So many blocks that are not written yet are given out already. */
static uint64_t ahead_blocks(const struct plait_fetch *f)
{
    uint64_t ns = AHEAD_NS;

    for (int i = 0; i < f->push.letter_count; i++)
        ns = plait_max_u64(ns, AHEAD_NS + AHEAD_RTTS * letter_answer_ns(f, i));
    double blocks = f->live.growth * plait_to_s(ns) / (double)block_size(f);
    return plait_clamp_u64(blocks < AHEAD_MOST ? (uint64_t)blocks : AHEAD_MOST, AHEAD_LEAST, AHEAD_MOST);
}

/* In steps, so that not every block is a message to the sources. */
static void extend_map(struct plait_fetch *f)
{
    uint64_t block = block_size(f), ahead = ahead_blocks(f), size = f->map.size;
    bool bounded = size != PLAIT_BLOCKMAP_UNBOUNDED;

    if (bounded && size % block == 0 && size >= f->live.there + ahead / 2 * block)
        return;
    uint64_t want = (f->live.there / block + 1 + ahead) * block;
    int keeper;
    uint64_t least = bounded ? size : end_of_kept(f, &keeper); /* an earlier run may have had more */
    if (least > want)
        want = (least + block - 1) / block * block;
    set_map(f, want);
}

void live_make_room(struct plait_fetch *f)
{
    uint64_t block = block_size(f);

    if (f->map.size - f->live.there < (ahead_blocks(f) + JOIN_BLOCKS * LETTERS_MAX) * block)
        set_map(f, (f->map.size / block + JOIN_BLOCKS) * block);
}

static void learn_growth(struct plait_fetch *f, uint64_t now)
{
    struct live *v = &f->live;
    uint64_t ns = plait_since(now, v->since);

    if (v->from == 0) {
        v->from = v->there;
        v->since = now;
    } else if (ns >= GROWTH_NS) {
        double rate = (double)(v->there - v->from) / plait_to_s(ns);
        v->growth = v->growth > 0 ? (v->growth + rate) / 2 : rate;
        v->from = v->there;
        v->since = now;
    }
}

static void exists(struct plait_fetch *f, uint64_t bytes, uint64_t now)
{
    if (bytes > f->live.there) {
        f->live.there = bytes;
        learn_growth(f, now);
    }
    extend_map(f);
}

void live_learn(struct plait_fetch *f, int source, uint64_t bytes, uint64_t now)
{
    struct source *s = &f->sources[source];

    if (bytes <= s->there)
        return;
    s->there = bytes;
    exists(f, bytes, now);
}

void live_begin(struct plait_fetch *f, int source, uint64_t now)
{
    f->live = (struct live){.on = true, .first = source, .since = now, .moved_at = now};
    fetch_event(f, (struct plait_fetch_event){.kind = PLAIT_FETCH_EV_LIVE, .source = source});
    f->replan = true;
}

/* ---- sources ---- */

/* Whether the source is, or may soon be, heard of. */
static bool is_reachable(const struct plait_fetch *f, int source)
{
    for (int i = 0; i < f->path_count && source_usable(f, source); i++) {
        const struct path *p = &f->paths[i];
        if (p->source == source &&
            (p->state == PLAIT_FETCH_PATH_ACTIVE || (p->state == PLAIT_FETCH_PATH_NEW && !p->reached)))
            return true;
    }
    return false;
}

static bool has_proven(const struct plait_fetch *f, int source)
{
    return source == f->live.first || f->sources[source].vetted;
}

bool live_is_trusted(const struct plait_fetch *f, int source)
{
    if (has_proven(f, source))
        return true;
    for (int i = 0; i < f->source_count; i++) {
        if (i != source && has_proven(f, i) && is_reachable(f, i))
            return false;
    }
    return true;
}

/* It does not go on as it began. */
static void drop_changed(struct plait_fetch *f, int source)
{
    fetch_event(f, (struct plait_fetch_event){.kind = PLAIT_FETCH_EV_CHANGED, .source = source});
    source_out(f, source);
    if (f->fail == PLAIT_FETCH_FAIL_NO_SOURCE)
        f->fail = PLAIT_FETCH_FAIL_CHANGED;
}

void live_changed(struct plait_fetch *f, int source)
{
    drop_changed(f, source);
}

bool live_version_holds(struct plait_fetch *f, int source, const struct plait_fetch_head *head)
{
    struct source *s = &f->sources[source];

    if (head->kind != PLAIT_FETCH_HEAD_FRAMES || head->size != PLAIT_FETCH_UNKNOWN || head->version == 0)
        return true; /* as it grows its tag changes */
    if (s->live_version == 0)
        s->live_version = head->version;
    if (s->live_version == head->version)
        return true;
    drop_changed(f, source);
    return false;
}

/* What its streams bring is to fit the size that the source states. */
static void bind_streams(struct plait_fetch *f, int source, uint64_t size)
{
    for (int id = 0; id < f->path_count * PLAIT_FETCH_LANES_MAX; id++) {
        const struct lane *l = fetch_lane(f, id);
        bool runs =
            l->stream && l->state != LANE_OPENING && f->paths[id / PLAIT_FETCH_LANES_MAX].source == source;
        if (runs && plait_frame_decoder_set_size(&f->push.streams[id].decoder, size) == PLAIT_ERR_STATE)
            fetch_close_lane(f, id);
    }
}

/* What an answer says of the whole; `had` is what the source had shown when it was asked. */
static bool take_total(struct plait_fetch *f, uint64_t now, int source, uint64_t had,
                       const struct plait_fetch_head *head)
{
    struct source *s = &f->sources[source];

    if (head->size < had) {
        uint64_t bytes = 0;
        if (!fetch_take_back(f, head->size, f->map.size, source, &bytes))
            fetch_fail(f, PLAIT_FETCH_FAIL_TAINTED);
        drop_changed(f, source);
        return false;
    }
    s->closed = !head->live;
    s->there = s->closed ? head->size : plait_max_u64(s->there, head->size);
    s->told_at = now;
    exists(f, head->size, now);
    if (s->closed)
        bind_streams(f, source, head->size);
    return f->fail == PLAIT_FETCH_FAIL_NONE;
}

/* ---- closed ---- */

/* The size that most sources say it was closed with, the largest of several; the number of those that say so. */
static unsigned choose_end(const struct plait_fetch *f, uint64_t *size)
{
    unsigned most = 0;

    for (int i = 0; i < f->source_count; i++) {
        const struct source *s = &f->sources[i];
        unsigned votes = 0;
        for (int k = 0; k < f->source_count && s->closed && source_usable(f, i); k++)
            votes += source_usable(f, k) && f->sources[k].closed && f->sources[k].there == s->there;
        if (votes > most || (votes == most && votes > 0 && s->there > *size)) {
            most = votes;
            *size = s->there;
        }
    }
    return most;
}

/* It ended with another size than the others'. */
static void drop_other_size(struct plait_fetch *f, int source)
{
    fetch_event(f, (struct plait_fetch_event){.kind = PLAIT_FETCH_EV_SIZE_DIFFERS,
                                              .source = source,
                                              .bytes = f->sources[source].there});
    source_out(f, source);
}

static bool is_ending(const struct plait_fetch *f)
{
    for (int i = 0; i < f->source_count; i++) {
        if (source_usable(f, i) && (f->sources[i].closed || f->sources[i].ended))
            return true;
    }
    return false;
}

/* Whether a source that goes on has not said yet how far it is, since some other was closed. */
static bool is_word_open(const struct plait_fetch *f)
{
    for (int i = 0; i < f->source_count; i++) {
        if (is_reachable(f, i) && !f->sources[i].closed && f->sources[i].told_at <= f->live.ending_since)
            return true;
    }
    return false;
}

/*
 * So many were closed before what is here already. More of them than go on: those who go on are wrong. Otherwise it is
 * them that have only a part; where nobody goes on, it cannot be told.
 */
static void judge_short(struct plait_fetch *f, uint64_t size, unsigned votes, int keeper)
{
    unsigned beyond = 0;

    for (int i = 0; i < f->source_count; i++)
        beyond += is_reachable(f, i) && !f->sources[i].closed && f->sources[i].there > size;
    if (beyond == 0 && votes < 2) {
        f->conflict_b = f->live.first;
        for (int i = 0; i < f->source_count; i++)
            f->conflict_b = f->sources[i].closed && source_usable(f, i) ? i : f->conflict_b;
        f->conflict_a = keeper;
        fetch_fail(f, keeper >= 0 ? PLAIT_FETCH_FAIL_SIZES : PLAIT_FETCH_FAIL_CHANGED);
    }
    if (votes > beyond && votes > 1 && keeper >= 0) {
        source_condemn(f, keeper);
        return;
    }
    for (int i = 0; i < f->source_count && f->fail == PLAIT_FETCH_FAIL_NONE; i++) {
        if (source_usable(f, i) && f->sources[i].closed && f->sources[i].there == size)
            drop_other_size(f, i);
    }
}

static void finish(struct plait_fetch *f, uint64_t now, uint64_t size)
{
    f->live.on = false;
    f->config.streams = false; /* what is missing is little: ranges */
    f->sized_at = f->progress_at = now;
    for (int i = 0; i < f->source_count; i++) {
        struct source *s = &f->sources[i];
        s->version = 0; /* it has another tag now */
        s->size = s->closed ? s->there : PLAIT_FETCH_UNKNOWN;
    }
    fetch_event(f, (struct plait_fetch_event){
                       .kind = PLAIT_FETCH_EV_LIVE_ENDED, .source = f->live.first, .bytes = size});
    fetch_set_size(f, size);
}

/* Whether the stream is over, and how long it is. */
static void decide(struct plait_fetch *f, uint64_t now)
{
    uint64_t size = 0, end;
    int keeper;

    if (!f->live.on || f->fail != PLAIT_FETCH_FAIL_NONE)
        return;
    unsigned votes = choose_end(f, &size);
    if (votes == 0)
        return;
    if (f->live.ending_since == 0)
        f->live.ending_since = now;
    end = end_of_kept(f, &keeper);
    if (size < end) {
        if (!is_word_open(f))
            judge_short(f, size, votes, keeper);
        return;
    }
    for (int i = 0; i < f->source_count; i++) {
        if (is_reachable(f, i) && !f->sources[i].closed)
            return;
    }
    for (int i = 0; i < f->source_count; i++) {
        if (source_usable(f, i) && f->sources[i].closed && f->sources[i].there != size)
            drop_other_size(f, i);
    }
    if (f->fail == PLAIT_FETCH_FAIL_NONE)
        finish(f, now, size);
}

void live_on_end(struct plait_fetch *f, int source, uint64_t blocks, uint64_t now)
{
    f->sources[source].ended = true;
    f->sources[source].look_due = true;
    if (blocks > 0 && blocks <= PLAIT_BLOCK_NUMBER_MAX && blocks * block_size(f) <= f->map.size)
        live_learn(f, source, (blocks - 1) * block_size(f) + 1, now);
    f->replan = true;
}

void live_on_mark(struct plait_fetch *f, uint64_t now)
{
    if (!is_ending(f))
        f->progress_at = now; /* it is there, and has nothing to say */
}

/* ---- answers ---- */

enum plait_fetch_verdict live_on_partial(struct plait_fetch *f, uint64_t now, int lane,
                                         const struct plait_fetch_head *head)
{
    struct lane *l = fetch_lane(f, lane);
    int source = fetch_path_of(f, lane)->source;

    if (l->whole || head->size == PLAIT_FETCH_UNKNOWN || head->lo != l->asked_lo || head->hi <= head->lo ||
        head->hi > head->size || head->hi > l->asked_hi)
        return fetch_lied(f, lane, now);
    f->sources[source].ranges = RANGES_YES;
    f->sources[source].behind = false;
    fetch_path_of(f, lane)->reached = true;
    if (!take_total(f, now, source, l->there, head) ||
        (!l->look && l->check == NO_CHECK && source != f->live.first))
        return fetch_drop_answer(f, lane, now);
    l->asked_hi = head->hi;
    if (l->hi > head->hi) {
        l->hi = plait_max_u64(head->hi, l->lo);
        fetch_release_beyond(f, lane, l->hi);
    }
    l->at = head->lo;
    fetch_begin_body(f, lane, now);
    decide(f, now);
    if (l->state == LANE_BODY)
        return PLAIT_FETCH_READ;
    l->close_due = false; /* closed meanwhile: its source was dropped, or all is done */
    return PLAIT_FETCH_ABORT;
}

enum plait_fetch_verdict live_on_unsatisfied(struct plait_fetch *f, uint64_t now, int lane,
                                             const struct plait_fetch_head *head)
{
    struct lane *l = fetch_lane(f, lane);
    int path = lane / PLAIT_FETCH_LANES_MAX, source = f->paths[path].source;

    if (head->size == PLAIT_FETCH_UNKNOWN || (head->size > l->asked_lo && l->asked_lo < l->asked_hi))
        return fetch_lied(f, lane, now);
    f->sources[source].ranges = RANGES_YES;
    f->paths[path].reached = true;
    f->paths[path].fails = 0;
    if (!take_total(f, now, source, plait_min_u64(l->there, head->size), head))
        return fetch_drop_answer(f, lane, now);
    f->sources[source].behind = true;
    path_set_state(f, path, PLAIT_FETCH_PATH_ACTIVE);
    fetch_lane_idle(f, lane);
    l->state = LANE_DRAIN;
    l->at = l->asked_hi = 0;
    decide(f, now);
    if (l->state == LANE_DRAIN)
        return PLAIT_FETCH_READ;
    l->close_due = false;
    return PLAIT_FETCH_ABORT;
}

bool live_on_frames(struct plait_fetch *f, uint64_t now, int source, const struct plait_fetch_head *head)
{
    if (head->size == PLAIT_FETCH_UNKNOWN)
        return true;
    if (!take_total(f, now, source, 0, head))
        return false;
    decide(f, now);
    return f->live.on && source_usable(f, source);
}

/* ---- looks ---- */

/* Whether a look is under way. One that nothing has come of for long does not count: perhaps it is the path. */
static bool is_looking(const struct path *p, const struct lane *l, uint64_t now)
{
    uint64_t since = l->state == LANE_BODY ? l->last_arrival : l->opened;

    return l->look && (l->state == LANE_BODY || l->state == LANE_OPENING) &&
           now - since < LATE_NS + 4 * p->est.rtt_min_ns;
}

static bool is_looked_at(const struct plait_fetch *f, int source, uint64_t now)
{
    for (int i = 0; i < f->path_count; i++) {
        bool counts = f->paths[i].source == source && f->paths[i].state == PLAIT_FETCH_PATH_ACTIVE;
        for (int k = 0; k < PLAIT_FETCH_LANES_MAX && counts; k++) {
            if (is_looking(&f->paths[i], &f->paths[i].lanes[k], now))
                return true;
        }
    }
    return false;
}

/* Whether so many looks of the path hang that there is no sense in one more. */
static bool has_looks(const struct path *p)
{
    unsigned looks = 0;

    for (int k = 0; k < PLAIT_FETCH_LANES_MAX; k++)
        looks += p->lanes[k].look && p->lanes[k].state != LANE_IDLE;
    return looks >= LOOKS_MOST;
}

static bool is_pushed(const struct plait_fetch *f, int source)
{
    for (int i = 0; i < f->push.letter_count; i++) {
        if (f->push.letters[i].source == source && push_is_carried(f, i, false))
            return true;
    }
    return false;
}

/* The nearest path of those whose sources have proven themselves. */
static bool is_nearest(const struct plait_fetch *f, int path)
{
    uint64_t rtt = f->paths[path].est.rtt_min_ns;

    for (int i = 0; i < f->path_count; i++) {
        const struct path *p = &f->paths[i];
        bool fits =
            p->state == PLAIT_FETCH_PATH_ACTIVE && is_reachable(f, p->source) && has_proven(f, p->source);
        if (i != path && fits && (p->est.rtt_min_ns < rtt || (p->est.rtt_min_ns == rtt && i < path)))
            return false;
    }
    return live_is_trusted(f, f->paths[path].source);
}

static bool is_look_due(struct plait_fetch *f, int path, uint64_t now)
{
    const struct path *p = &f->paths[path];
    const struct source *s = &f->sources[p->source];

    if (p->state == PLAIT_FETCH_PATH_NEW && path_lanes_busy(p) == 0)
        return true;
    if (is_looked_at(f, p->source, now) || has_looks(p))
        return false;
    if (s->look_due)
        return true;
    if (now < s->look_at)
        return false;
    if (is_ending(f) && !s->closed)
        return true;
    bool nearest = is_nearest(f, path);
    if (nearest && !is_pushed(f, p->source) && plait_blockmap_prefix(&f->map) < f->live.there)
        return true;
    if (now - f->live.moved_at > (nearest ? IDLE_NS : 2 * IDLE_NS))
        return true;
    if (!live_is_trusted(f, p->source))
        return plait_blockmap_prefix(&f->map) >= VET_LEAST;
    return now - s->look_at > AUDIT_NS;
}

static void open_look(struct plait_fetch *f, int path, int lane, uint64_t now, struct plait_fetch_cmd *cmd)
{
    struct source *s = &f->sources[f->paths[path].source];
    uint64_t at = plait_blockmap_prefix(&f->map), hi = at, window = f->config.window_bytes;
    bool trusted = live_is_trusted(f, f->paths[path].source), pushed = is_pushed(f, f->paths[path].source);

    if (!trusted && s->behind)
        at = hi = plait_min_u64(at, s->there);
    if (trusted && (is_nearest(f, path) || now - f->live.moved_at > IDLE_NS))
        hi = plait_min_u64(f->map.size, at + (pushed ? LOOK_BYTES : LOOK_ONLY));
    if (window > 0)
        hi = plait_max_u64(at, plait_min_u64(hi, f->emitted + window));
    uint64_t lo = at - plait_min_u64(at, SEAM_BYTES);
    plan_begin(f, fetch_lane_id(path, lane), lo, plait_max_u64(hi, lo + 1), now, cmd);
    struct lane *l = &f->paths[path].lanes[lane];
    l->look = l->probe = true;
    l->hi = hi;
    l->there = s->there;
    cmd->lo = l->asked_lo;
    cmd->hi = l->asked_hi;
    s->look_due = false;
    uint64_t least = !pushed && trusted ? LOOK_SOON_NS : LOOK_NS;
    s->look_at = now + plait_clamp_u64((now - f->live.moved_at) / 4, least, LOOK_NS_MAX);
    if (!pushed && trusted && f->live.there > hi)
        s->look_at = now;
}

/* ---- lanes ---- */

/* All that is known of is here, and somewhere it was closed: nobody is to send more, but to say whether there is more. */
static bool is_enough(const struct plait_fetch *f)
{
    return f->map.done_bytes >= f->live.there && is_ending(f);
}

bool live_wants_lane(const struct plait_fetch *f, int path, uint64_t now)
{
    const struct path *p = &f->paths[path];
    const struct source *s = &f->sources[p->source];
    uint64_t backlog = plait_since(f->live.there, f->map.done_bytes);
    unsigned most = backlog > BACKLOG_BYTES && p->est.samples > 0 ? p->lanes_want : 1;

    return f->config.streams && s->takes_part && !s->no_stream && now >= s->stream_after && !s->ended &&
           !is_enough(f) && p->state == PLAIT_FETCH_PATH_ACTIVE && live_is_trusted(f, p->source) &&
           push_streams(p) < most && push_streams(p) < PLAIT_FETCH_LANES_MAX - 2;
}

bool live_plan_lane(struct plait_fetch *f, int path, int lane, uint64_t now, struct plait_fetch_cmd *cmd)
{
    const struct path *p = &f->paths[path];

    if (!p->retry_due && plan_audit(f, fetch_lane_id(path, lane), now, cmd)) /* votes */
        return true;
    if (!p->retry_due && live_wants_lane(f, path, now) && push_open(f, fetch_lane_id(path, lane), now, cmd))
        return true;
    if (!p->retry_due && !is_look_due(f, path, now))
        return false;
    open_look(f, path, lane, now, cmd);
    return true;
}

/* ---- time ---- */

/* Bytes that are there and that the letter should have brought; and the first block of them. */
static uint64_t sum_late(const struct plait_fetch *f, int letter, uint64_t end, uint64_t *first)
{
    struct plait_extent e;
    uint64_t sum = 0;

    for (uint64_t at = 0; letter_find_due(f, letter, at, &e) && e.lo < end; at = e.hi) {
        if (sum == 0)
            *first = e.lo / f->push.block_bytes;
        sum += plait_min_u64(e.hi, end) - e.lo;
    }
    return sum;
}

static void set_aside(struct plait_fetch *f, uint64_t now, int letter)
{
    struct letter *t = &f->push.letters[letter];

    if (now < t->aside_until)
        return;
    t->aside_ns = plait_clamp_u64(2 * t->aside_ns, ASIDE_NS, ASIDE_NS_MAX);
    t->aside_until = now + t->aside_ns;
    f->sources[t->source].look_due = true;
    f->replan = true;
}

static void look_at_letter(struct plait_fetch *f, uint64_t now, int letter)
{
    struct letter *t = &f->push.letters[letter];
    uint64_t size = f->push.block_bytes, first = 0;
    uint64_t end = is_ending(f) ? f->live.there : f->live.there / size * size;
    uint64_t late = t->up && t->up_at != PLAIT_NEVER ? sum_late(f, letter, end, &first) : 0;

    if (late == 0 || t->late_since == PLAIT_NEVER || t->late != first) {
        t->late = first;
        t->late_since = late == 0 ? PLAIT_NEVER : now;
        if (late == 0)
            return;
    }
    uint64_t since = plait_max_u64(plait_max_u64(t->late_since, t->came_at), t->up_at);
    uint64_t most = LATE_NS + 2 * letter_rtt_ns(f, letter);
    double rate = letter_rate(f, letter, now);
    if (plait_since(now, since) > most) {
        (void)push_move_late(f, now, letter, end, LATE_STALLED);
        set_aside(f, now, letter);
    } else if (plait_since(now, plait_max_u64(t->late_since, t->up_at)) > 2 * most) {
        if (push_move_late(f, now, letter, end, LATE_HELD)) {
            t->late_since = now;
            set_aside(f, now, letter);
        }
    } else if (f->push.end * size > f->live.there &&
               (double)late / (rate > 1 ? rate : 1) > 2 * plait_to_s(most)) {
        push_cut_late(f, now, letter);
        (void)push_move_late(f, now, letter, end, LATE_SLOW);
    }
}

static void close_streams(struct plait_fetch *f, uint64_t now)
{
    for (int id = 0; id < f->path_count * PLAIT_FETCH_LANES_MAX; id++) {
        if (!fetch_lane(f, id)->stream || fetch_lane(f, id)->state == LANE_WAIT)
            continue;
        fetch_close_lane(f, id);
        path_update_busy(&f->paths[id / PLAIT_FETCH_LANES_MAX], now);
    }
}

void live_on_deadline(struct plait_fetch *f, uint64_t now)
{
    if (is_enough(f))
        close_streams(f, now);
    for (int i = 0; i < f->push.letter_count; i++)
        look_at_letter(f, now, i);
    decide(f, now);
}

/* ---- memory ---- */

/* An endless stream has no endless map: of what has left long ago it is not kept who brought it. */
void live_on_emitted(struct plait_fetch *f)
{
    struct live *v = &f->live;
    uint64_t end = plait_since(f->emitted, MERGE_LESS);
    struct plait_extent e;

    if (end < v->merged + MERGE_BYTES)
        return;
    for (uint64_t at = v->merged; at < end && plait_blockmap_at(&f->map, at, &e); at = e.hi) {
        if (e.owner < OWNER_RESUMED)
            f->sources[e.owner].left = true;
    }
    fetch_mark(f, v->merged, end, PLAIT_BLOCK_DONE, OWNER_RESUMED);
    v->merged = end;
}
