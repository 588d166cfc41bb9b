/*
 * Streams: lanes over which a source pushes blocks without being asked for each (doc/protocol.md).
 *
 * A stream takes part in what is planned for its path's letter (fetch_steer.c). What it brings is kept if the letter
 * was to bring it, whoever else has taken it meanwhile: the first copy wins. A source that sends what it was not asked
 * for, or frames that cannot be, loses its streams, and in the end is only asked for ranges.
 */
#include <stdlib.h>

#include "fetch_push.h"

#define STREAM_FAILS_MAX  3
#define STREAMS_MAX       (PLAIT_FETCH_LANES_MAX - 2) /* of a path: some lanes are for ranges */
#define WORTH_BYTES       (512 * PLAIT_KIB)
#define STREAM_AGAIN_NS   (500 * PLAIT_MS)
#define STRAYS_MAX        16u
#define BLOCKS_PER_SECOND 300.0 /* of all paths together, about */
#define BLOCK_LEAST       (16 * PLAIT_KIB)
#define BLOCK_MOST        (1024 * PLAIT_KIB)
#define BLOCK_LIVE                                                                                           \
    (64 * PLAIT_KIB)       /* of a stream that is still being written: each waits until it is whole */
#define BLOCKS_LEAST  64   /* in what is left, or it is not worth it */
#define BLOCKS_MOST   4096 /* unless they would be larger than BLOCK_MOST */
#define LEFT_NS_MIN   (500 * PLAIT_MS)
#define LEFT_RTTS     16
#define LIKELY_BYTES  4e6
#define LEFT_RTTS_FAR 4 /* there no time is lost by beginning at once */
#define MORE_NS_MIN   (200 * PLAIT_MS)

void push_done(struct plait_fetch *f)
{
    free(f->push.streams);
}

/* ---- letters ---- */

static int new_letter(struct plait_fetch *f, int source)
{
    struct push *u = &f->push;

    if (u->letter_count == (int)LETTERS_MAX)
        return NO_LETTER;
    u->letters[u->letter_count] = (struct letter){.source = source, .hole_since = PLAIT_NEVER};
    return u->letter_count++;
}

int push_letter(struct plait_fetch *f, int path)
{
    struct path *p = &f->paths[path];

    for (int i = 0; i < f->path_count && p->letter == NO_LETTER && !p->own_letter; i++) {
        if (f->paths[i].source == p->source && !f->paths[i].own_letter)
            p->letter = f->paths[i].letter;
    }
    if (p->letter == NO_LETTER)
        p->letter = new_letter(f, p->source);
    return p->letter;
}

void plait_fetch_set_own_letter(struct plait_fetch *f, int path)
{
    f->paths[path].own_letter = true;
}

bool push_is_likely(const struct plait_fetch *f, uint64_t rtt_ns)
{
    bool some = false;
    double rate = 0, left = (double)fetch_left(f);

    for (int i = 0; i < f->source_count; i++)
        some |= f->sources[i].takes_part && !f->sources[i].no_stream && source_usable(f, i);
    for (int i = 0; i < f->path_count; i++)
        rate += f->paths[i].est.rate;
    return f->config.streams && some && f->size_known && left > LIKELY_BYTES &&
           left > rate * plait_to_s(LEFT_NS_MIN + LEFT_RTTS_FAR * rtt_ns);
}

unsigned push_streams(const struct path *p)
{
    unsigned n = 0;

    for (int k = 0; k < PLAIT_FETCH_LANES_MAX && p->letter != NO_LETTER; k++)
        n += p->lanes[k].stream;
    return n;
}

unsigned push_waiting(const struct path *p)
{
    unsigned n = 0;

    for (int k = 0; k < PLAIT_FETCH_LANES_MAX && p->letter != NO_LETTER; k++)
        n += p->lanes[k].state == LANE_WAIT;
    return n;
}

bool push_is_carried(const struct plait_fetch *f, int letter, bool answered)
{
    for (int i = 0; i < f->path_count; i++) {
        const struct path *p = &f->paths[i];
        for (int k = 0; k < PLAIT_FETCH_LANES_MAX && p->letter == letter; k++) {
            const struct lane *l = &p->lanes[k];
            if (l->stream && !l->given_up && (!answered || l->state != LANE_OPENING))
                return true;
        }
    }
    return false;
}

void push_count(struct plait_fetch *f, uint64_t lo, uint64_t hi, enum plait_block_state state, int owner)
{
    struct plait_extent e;

    if (f->push.block_bytes == 0)
        return;
    for (uint64_t at = lo; at < hi && plait_blockmap_at(&f->map, at, &e); at = e.hi) {
        if (e.state == PLAIT_BLOCK_TAKEN && e.owner >= OWNER_LETTER)
            f->push.letters[e.owner - OWNER_LETTER].due_bytes -= plait_min_u64(e.hi, hi) - at;
    }
    if (state == PLAIT_BLOCK_TAKEN && owner >= OWNER_LETTER)
        f->push.letters[owner - OWNER_LETTER].due_bytes += hi - lo;
}

uint64_t push_outstanding(const struct plait_fetch *f, int path)
{
    const struct path *p = &f->paths[path];
    double sum = 0;

    if (p->letter == NO_LETTER || push_streams(p) == 0)
        return 0;
    const struct letter *t = &f->push.letters[p->letter];
    for (int i = 0; i < f->path_count; i++) {
        if (f->paths[i].letter == p->letter && push_streams(&f->paths[i]) > 0)
            sum += f->paths[i].est.rate;
    }
    uint64_t bytes = t->due_bytes + t->copy_bytes;
    return sum > 0 ? (uint64_t)((double)bytes * p->est.rate / sum) : bytes;
}

/* ---- opening ---- */

/* The first stream of all: blocks of which the paths carry some hundreds in a second. */
static bool begin(struct plait_fetch *f, uint64_t now)
{
    struct push *u = &f->push;
    uint64_t left = fetch_left(f), block = BLOCK_LEAST;
    uint64_t want = plait_max_u64((uint64_t)(fetch_rate(f, now) / BLOCKS_PER_SECOND), left / BLOCKS_MOST);
    bool live = f->live.on;

    if (u->block_bytes != 0)
        return true;
    while (block < (live ? BLOCK_LIVE : BLOCK_MOST) && block < want &&
           (live || block * 2 * BLOCKS_LEAST <= left))
        block *= 2;
    if (u->streams == NULL)
        u->streams = calloc(PLAIT_FETCH_PATHS_MAX, PLAIT_FETCH_LANES_MAX * sizeof *u->streams);
    if (u->streams == NULL || (!live && left < BLOCKS_LEAST * block))
        return false;
    u->block_bytes = (uint32_t)block;
    if (live)
        live_make_room(f);
    return true;
}

bool push_wants_lane(const struct plait_fetch *f, int path, uint64_t now)
{
    const struct path *p = &f->paths[path];
    const struct source *s = &f->sources[p->source];
    int letter = p->letter != NO_LETTER ? p->letter : letter_of_kin(f, p); /* it joins those who have one */
    bool up = letter != NO_LETTER && f->push.letters[letter].up;
    bool far = p->est.rtt_min_ns > PUSH_FAR_NS && f->config.window_bytes == 0;
    uint64_t bytes = fetch_left(f) - f->map.taken_bytes;

    if (f->live.on)
        return live_wants_lane(f, path, now);
    if (!f->config.streams || !s->takes_part || s->no_stream || now < s->stream_after || f->pin_count > 0 ||
        (p->est.samples == 0 && !far) || p->state != PLAIT_FETCH_PATH_ACTIVE ||
        push_streams(p) >= p->lanes_want || push_streams(p) >= STREAMS_MAX)
        return false;
    double rate = fetch_rate(f, now);
    double block = f->push.block_bytes != 0 ? f->push.block_bytes : (double)BLOCK_LEAST;
    uint64_t block_ns = path_lag_ns(p, &p->lanes[0]) + plait_time_to_carry(block, path_rate(p, now));
    if (!push_fits_window(f, path_rate(p, now), block_ns, now))
        return false;
    uint64_t least_ns =
        up ? MORE_NS_MIN : LEFT_NS_MIN + (far ? LEFT_RTTS_FAR : LEFT_RTTS) * p->est.rtt_min_ns;
    if (up) /* of what is planned for it the source gives it a part */
        bytes += f->push.letters[letter].due_bytes;
    return rate > 0 && (double)bytes / rate > plait_to_s(least_ns);
}

/* The span to ask for: from the first block that is due, to what the source has been told or is told with this. */
static bool choose_span(struct plait_fetch *f, int letter, struct plait_span *span)
{
    struct letter *t = &f->push.letters[letter];
    struct steer *st = &f->sources[t->source].steer;
    bool others = false;
    uint64_t first;

    if (!letter_first_due(f, letter, &first))
        return false;
    for (int i = 0; i < f->push.letter_count; i++)
        others |= f->push.letters[i].source == t->source && push_is_carried(f, i, false);
    if (!others) {
        steer_forget(st);
        st->told = first;
    }
    first = plait_min_u64(first, st->told);
    if (st->kind == STEER_NONE)
        st->told = plait_max_u64(st->told, plait_min_u64(f->push.end, first + PLAIT_PATTERN_LETTERS_MAX));
    *span = (struct plait_span){first, plait_min_u64(st->told, first + PLAIT_PATTERN_LETTERS_MAX) - 1};
    return st->told > first;
}

bool push_open(struct plait_fetch *f, int lane, uint64_t now, struct plait_fetch_cmd *cmd)
{
    int path = lane / PLAIT_FETCH_LANES_MAX, letter = push_letter(f, path);
    struct plait_span span;

    if (letter == NO_LETTER || !begin(f, now))
        return false;
    if (f->sources[f->paths[path].source].steer.kind == STEER_CUT)
        return false; /* it would plan again what is being given up */
    bool first = !f->push.letters[letter].up;
    f->push.letters[letter].up = true;
    if (first) {
        f->push.letters[letter].up_at = PLAIT_NEVER;
        f->push.letters[letter].rate = 0;
        f->push.letters[letter].odd_rate = f->push.letters[letter].steady_rate = 0;
        push_extend(f, now, letter);
    }
    bool found = choose_span(f, letter, &span);
    if (!found && f->live.on) { /* others have all that there is, and that is about to be written */
        live_make_room(f);
        push_extend(f, now, letter);
        found = choose_span(f, letter, &span);
    }
    if (!found) {
        f->push.letters[letter].up = !first;
        return false;
    }
    plan_begin(f, lane, 0, 0, now, cmd);
    struct lane *l = fetch_lane(f, lane);
    l->stream = true;
    l->asked_hi = PLAIT_FETCH_UNKNOWN;
    f->push.streams[lane] = (struct stream){.below = span.first};
    cmd->is_stream = true;
    cmd->stream = (struct plait_fetch_stream){.letter = (uint8_t)letter, .block_bytes = f->push.block_bytes};
    steer_fill_span(f, span.first, span.last, &cmd->stream);
    return f->fail == PLAIT_FETCH_FAIL_NONE;
}

/* Whoever gets frames or numbers wrong may have had the bytes wrong as well: what he brought is fetched again. What has
 * left already cannot be. */
static void distrust(struct plait_fetch *f, int source)
{
    uint64_t bytes = 0;

    (void)fetch_take_back(f, f->emitted, f->map.size, source, &bytes);
    f->sources[source].kept_bytes -= plait_min_u64(bytes, f->sources[source].kept_bytes);
}

/* The stream is dropped: for a lie, or because the source said that it could not go on. It may still serve ranges. */
static enum plait_fetch_verdict give_up(struct plait_fetch *f, uint64_t now, int lane, bool error)
{
    int path = lane / PLAIT_FETCH_LANES_MAX, source = f->paths[path].source;

    f->paths[path].errors++;
    fetch_drop_answer(f, lane, now);
    path_back_off(f, path, now, 0);
    if (error) {
        push_failed(f, now, source);
    } else {
        push_no_stream(f, source);
        distrust(f, source);
    }
    fetch_lane(f, lane)->close_due = false;
    return PLAIT_FETCH_ABORT;
}

enum plait_fetch_verdict push_on_head(struct plait_fetch *f, uint64_t now, int lane,
                                      const struct plait_fetch_head *head)
{
    int path = lane / PLAIT_FETCH_LANES_MAX, source = f->paths[path].source;
    struct source *s = &f->sources[source];

    if (head->kind != PLAIT_FETCH_HEAD_FRAMES || head->block_bytes != f->push.block_bytes ||
        (head->size == PLAIT_FETCH_UNKNOWN && !f->live.on)) {
        push_failed(f, now, source); /* something in between does not understand */
        return fetch_drop_answer(f, lane, now);
    }
    if (f->live.on && !live_on_frames(f, now, source, head))
        return fetch_drop_answer(f, lane, now);
    if (!f->live.on)
        source_state_size(f, now, source, head->size);
    if (s->out || s->held || f->fail != PLAIT_FETCH_FAIL_NONE)
        return fetch_drop_answer(f, lane, now);
    if (plait_frame_decoder_init(&f->push.streams[lane].decoder, head->block_bytes, head->size) != PLAIT_OK)
        return give_up(f, now, lane, false);
    fetch_begin_body(f, lane, now);
    struct letter *t = &f->push.letters[f->paths[path].letter];
    if (t->up_at == PLAIT_NEVER)
        fetch_event(f, (struct plait_fetch_event){.kind = PLAIT_FETCH_EV_STREAM,
                                                  .path = path,
                                                  .source = source,
                                                  .bytes = head->block_bytes});
    if (t->up_at == PLAIT_NEVER)
        t->brought_at = now;
    t->up_at = plait_min_u64(t->up_at, now);
    return PLAIT_FETCH_READ;
}

/* ---- what comes ---- */

static void take(struct plait_fetch *f, uint64_t now, int lane, const struct plait_frame_event *e)
{
    struct path *p = &f->paths[lane / PLAIT_FETCH_LANES_MAX];
    uint64_t before = f->map.done_bytes;

    if (letter_is_asked(f, p->letter, e->sequence)) {
        if (f->live.on)
            live_learn(f, p->source, e->sequence * f->push.block_bytes + e->offset + e->len, now);
        fetch_keep_new(f, now, lane, e->sequence * f->push.block_bytes + e->offset, e->bytes, e->len);
        if (f->map.done_bytes > before)
            f->push.letters[p->letter].brought_at = now;
        return;
    }
    p->dup_bytes += e->len;
    f->dup_bytes += e->len;
}

static void end_block(struct plait_fetch *f, int lane, uint64_t block)
{
    struct stream *t = &f->push.streams[lane];
    int number = f->paths[lane / PLAIT_FETCH_LANES_MAX].letter;
    struct letter *letter = &f->push.letters[number];

    t->blocks++;
    t->strays += !letter_is_asked(f, number, block) && !push_was_planned(&f->push, number, block);
    if (push_is_copy(&f->push, number, block)) {
        f->push.also[block % PLAN_BLOCKS] &= ~(UINT64_C(1) << number);
        letter->copy_bytes -= plait_min_u64(f->push.block_bytes, letter->copy_bytes);
    }
    if (letter_is_named(letter, block))
        return; /* out of turn: it says nothing of how far the plan has got */
    t->below = plait_max_u64(t->below, block + 1);
    letter->last = plait_max_u64(letter->last, block + 1);
}

/* False: what came cannot go on. */
static bool on_frame(struct plait_fetch *f, uint64_t now, int lane, const struct plait_frame_event *e)
{
    struct lane *l = fetch_lane(f, lane);
    struct stream *t = &f->push.streams[lane];
    struct path *p = &f->paths[lane / PLAIT_FETCH_LANES_MAX];

    switch (e->kind) {
    case PLAIT_FRAME_EV_BLOCK_BEGIN:
        l->state = LANE_BODY;
        path_update_busy(p, now);
        break;
    case PLAIT_FRAME_EV_BLOCK_BYTES:
        take(f, now, lane, e);
        break;
    case PLAIT_FRAME_EV_BLOCK_END:
        end_block(f, lane, e->sequence);
        return t->strays < STRAYS_MAX || t->strays * 4 < t->blocks;
    case PLAIT_FRAME_EV_MARK:
        t->below = e->sequence;
        l->state = LANE_WAIT;
        path_update_busy(p, now);
        if (f->live.on)
            live_on_mark(f, now);
        break;
    case PLAIT_FRAME_EV_END:
        l->state = LANE_WAIT;
        path_update_busy(p, now);
        if (f->live.on && e->sequence != PLAIT_FRAME_UNKNOWN)
            live_on_end(f, p->source, e->sequence, now);
        break;
    case PLAIT_FRAME_EV_ERROR:
        return false;
    case PLAIT_FRAME_EV_NEED:
        break;
    }
    return true;
}

enum plait_fetch_verdict push_recv(struct plait_fetch *f, uint64_t now, int lane, const uint8_t *bytes,
                                   size_t len)
{
    struct lane *l = fetch_lane(f, lane);
    struct plait_reader slice;
    struct plait_frame_event e = {.kind = PLAIT_FRAME_EV_BLOCK_BEGIN};

    if (l->given_up) { /* silent no more: what nobody has brought meanwhile is still welcome */
        l->given_up = false;
        f->push.letters[f->paths[lane / PLAIT_FETCH_LANES_MAX].letter].up = true;
    }
    struct letter *t = &f->push.letters[f->paths[lane / PLAIT_FETCH_LANES_MAX].letter];
    t->came_bytes += len;
    t->came_at = now;
    if (now >= t->aside_until)
        t->aside_ns = 0;
    plait_reader_init(&slice, bytes, len);
    while (l->stream && f->fail == PLAIT_FETCH_FAIL_NONE && e.kind != PLAIT_FRAME_EV_NEED) {
        bool bad = plait_frame_decode(&f->push.streams[lane].decoder, &slice, &e) != PLAIT_OK;
        if (bad || !on_frame(f, now, lane, &e))
            return give_up(f, now, lane, !bad && e.kind == PLAIT_FRAME_EV_ERROR);
    }
    fetch_check_done(f, now);
    if (l->stream && f->fail == PLAIT_FETCH_FAIL_NONE)
        return PLAIT_FETCH_READ;
    l->close_due = false; /* closed meanwhile: its source was condemned, or all is done */
    return l->stream ? fetch_drop_answer(f, lane, now) : PLAIT_FETCH_ABORT;
}

/* ---- ends ---- */

void push_no_stream(struct plait_fetch *f, int source)
{
    if (f->sources[source].no_stream)
        return;
    f->sources[source].no_stream = true;
    fetch_event(f, (struct plait_fetch_event){.kind = PLAIT_FETCH_EV_NO_STREAM, .source = source});
    for (int id = 0; id < f->path_count * PLAIT_FETCH_LANES_MAX; id++) {
        if (f->paths[id / PLAIT_FETCH_LANES_MAX].source == source && fetch_lane(f, id)->stream)
            fetch_close_lane(f, id);
    }
}

void push_failed(struct plait_fetch *f, uint64_t now, int source)
{
    struct source *s = &f->sources[source];

    if (now < s->stream_after)
        return; /* of what was opened at the same time */
    s->stream_after = now + (STREAM_AGAIN_NS << s->stream_fails);
    if (++s->stream_fails >= STREAM_FAILS_MAX)
        push_no_stream(f, source);
}

enum plait_fetch_outcome push_end_of(struct plait_fetch *f, uint64_t now, int lane,
                                     enum plait_fetch_outcome outcome)
{
    struct lane *l = fetch_lane(f, lane);
    struct path *p = &f->paths[lane / PLAIT_FETCH_LANES_MAX];
    bool answered = l->state != LANE_OPENING;

    if (outcome == PLAIT_FETCH_END_COMPLETE && answered)
        outcome = PLAIT_FETCH_END_BROKEN;
    if (answered && plait_frame_decoder_finish(&f->push.streams[lane].decoder) == PLAIT_OK)
        return PLAIT_FETCH_END_COMPLETE;
    if (answered && f->push.streams[lane].blocks * (uint64_t)f->push.block_bytes < WORTH_BYTES)
        push_failed(f, now, p->source); /* if it is always so, streams do not pay */
    if (answered || outcome == PLAIT_FETCH_END_ROUTE || outcome == PLAIT_FETCH_END_UNREACHABLE ||
        outcome == PLAIT_FETCH_END_BROKEN)
        return outcome;
    if (outcome == PLAIT_FETCH_END_BUSY && push_streams(p) > 1)
        p->lanes_want = p->lanes_cap = push_streams(p) - 1; /* it serves; just not so many */
    else
        push_failed(f, now, p->source);
    l->connected = false;
    return PLAIT_FETCH_END_COMPLETE; /* ranges are another matter */
}

void push_after_loss(struct plait_fetch *f, int lane)
{
    int letter = f->paths[lane / PLAIT_FETCH_LANES_MAX].letter;

    f->push.letters[letter].lost_at = plait_max_u64(f->progress_at, 1);
    if (f->push.letters[letter].up && !push_is_carried(f, letter, false))
        letter_down(f, letter);
    else if (f->config.redundant < 2) /* it may have had what was asked for twice */
        push_forget_copies(f, letter, 0);
}
