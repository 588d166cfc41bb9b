/*
 * The plan of what is pushed, and telling the sources of it.
 *
 *   extend   the plan goes on by earliest arrival: each next block that is free goes to the letter that will have it
 *            here first, by what it still has to bring and how fast it is. Everybody has work for his look-ahead; when
 *            somebody has an interval less, more is planned. The rates measured meanwhile are in each new part of
 *            the plan, which thus is a new pattern; it holds from the end of the old one, and is never late.
 *   cut      a source has become so slow that what is planned for it would come long after the rest: the plan for it
 *            ends at the block that it will have reached when it hears of it (repattern.h); what lies behind is
 *            free once it has agreed, and goes to others.
 *   ask      free blocks behind the end of the plan (holes: what was cut, or left behind by who is gone) are asked for
 *            by name of whoever has them here first. Sources that serve only ranges take them as well.
 *   twice    near the end, what stalls is asked for a second time.
 *
 * Each source is told its own part, one thing at a time; blocks of others stand in its patterns, too, but it
 * matters to nobody whether all sources have the same plan for them. A far one, or one that should have answered long
 * ago, is told more of the plan before it has answered (tellings): its answers stand in the queue of all that it sends.
 * Two of them that overtake each other do no harm.
 *
 * The last block of the stream is never in the plan but asked for: a source that has sent the end of the plan would
 * end its streams, and could not be asked for holes any more.
 */
#include <string.h>

#include "fetch_push.h"

#define FLIGHT_NS      (80 * PLAIT_MS)  /* of what stands in queues */
#define UNANSWERED_NS  (100 * PLAIT_MS) /* beside two round trips: later an answer stands in a queue */
#define ANSWER_NS_MIN  (2 * PLAIT_S)
#define ANSWER_NS_LIVE (250 * PLAIT_MS) /* the plan does not reach far ahead of what is written */
#define TRY_AGAIN_NS   (100 * PLAIT_MS)
#define MARK_NS        (12 * PLAIT_S) /* who waits says so every five seconds */
#define STUCK_NS       (3 * PLAIT_S)  /* and four answers: who waits, though it has something to bring */
#define TRIES_MAX      4
#define TWICE_PERCENT  2 /* of all that may come, of what a far source is not asked about */

/* Connections that are made before there is something to say: when there is, those that stand may wait for answers. */
#define WARM_FAR  5
#define WARM_NEAR 2

/* ---- telling ---- */

void steer_forget(struct steer *st)
{
    st->kind = STEER_NONE;
    st->telling_count = 0;
}

struct plait_span steer_cut_span(const struct plait_fetch *f, int source, uint64_t first)
{
    uint64_t told = plait_max_u64(first + 1, f->sources[source].steer.told);

    return (struct plait_span){first, told - 1};
}

/*
 * The source was told more of the plan, or asked for blocks, and its answer is not waited for: of a far one never, of a
 * near one no longer than it should take. It may stand in the queue of all that the source sends, which has just become
 * slow. Blocks that it was asked for in vain are looked for as any that do not come.
 */
static void let_go(struct plait_fetch *f, uint64_t now, int source)
{
    struct steer *st = &f->sources[source].steer;
    uint64_t rtt = source_rtt_min_ns(f, source), waited = plait_since(now, st->sent_at);
    bool far = rtt > PUSH_FAR_NS;
    bool late = !f->live.on && waited >= UNANSWERED_NS + 2 * plait_max_u64(rtt, st->took_ns);
    bool first = !f->live.on && st->took_ns == 0;

    if (!st->sent)
        return;
    if (st->kind == STEER_ASK && late && !far) {
        st->kind = STEER_NONE;
        st->block_count = 0;
    } else if (st->kind == STEER_EXTEND && (far || late || first) && st->telling_count < TELLINGS_MAX) {
        st->tellings[st->telling_count++] = (struct telling){.serial = st->serial,
                                                             .span = st->span,
                                                             .sent_at = st->sent_at,
                                                             .fails = st->fails,
                                                             .idle = st->idle};
        st->kind = STEER_NONE;
    }
}

/* One that was in vain is told again. */
static void take_up_again(struct steer *st)
{
    for (unsigned i = 0; i < st->telling_count && st->kind == STEER_NONE; i++) {
        const struct telling t = st->tellings[i];
        if (!t.again)
            continue;
        st->tellings[i] = st->tellings[--st->telling_count];
        st->kind = STEER_EXTEND;
        st->sent = false;
        st->idle = t.idle;
        st->fails = t.fails;
        st->span = t.span;
    }
}

static void extend_source(struct plait_fetch *f, int source)
{
    struct push *u = &f->push;
    struct steer *st = &f->sources[source].steer;
    bool any = false;

    if (st->told >= u->end)
        return;
    uint64_t end = plait_min_u64(u->end, st->told + PLAIT_PATTERN_LETTERS_MAX);
    for (uint64_t b = st->told; b < end && !any; b++) {
        any = push_concerns(f, source, b);
    }
    if (any) {
        st->kind = STEER_EXTEND;
        st->sent = st->idle = false;
        st->fails = 0;
        st->span = (struct plait_span){st->told, end - 1};
    }
    st->told = end;
}

/* Whether one more connection for steering is to be made, to a near source beside the one that is being made. */
static bool is_cold(const struct plait_fetch *f, int source)
{
    const struct steer *st = &f->sources[source].steer;
    bool far = source_rtt_min_ns(f, source) > PUSH_FAR_NS;

    return st->took_ns == 0 && st->told > 0 &&
           (far ? st->telling_count < WARM_FAR : st->telling_count > 0 && st->telling_count < WARM_NEAR);
}

/* One past a block of which it was told when its streams were opened; 0 = none. */
static uint64_t known_end(const struct steer *st)
{
    uint64_t end = st->told;

    for (unsigned i = 0; i < st->telling_count; i++)
        end = plait_min_u64(end, st->tellings[i].span.first);
    return end;
}

/*
 * It is told again what it knows, without a pattern: that changes nothing. The requests of its streams, which go first, are
 * there a round trip earlier. What it is only being told would not do: where part of that comes before the whole, the whole
 * is too late, or ends the plan.
 */
static void warm_source(struct plait_fetch *f, int source)
{
    struct steer *st = &f->sources[source].steer;
    uint64_t end = known_end(st);

    if (!is_cold(f, source) || end == 0)
        return;
    st->kind = STEER_EXTEND;
    st->sent = false;
    st->idle = true;
    st->fails = 0;
    st->span = (struct plait_span){end - 1, end - 1};
}

/* Nothing has come over it since telling the source something over it was in vain. */
static bool is_mute(const struct plait_fetch *f, const struct steer *st, int path)
{
    return st->mute_since > 0 && st->mute == path && f->paths[path].est.last_arrival <= st->mute_since;
}

/* Of two paths to tell a source something over, the nearer. */
static bool is_better(const struct plait_fetch *f, const struct steer *st, int path, int best)
{
    if (is_mute(f, st, path) != is_mute(f, st, best))
        return is_mute(f, st, best);
    return f->paths[path].est.rtt_min_ns < f->paths[best].est.rtt_min_ns;
}

/* A path with a stream that the source has answered, or is about to. */
static int steer_path(const struct plait_fetch *f, int source, bool soon)
{
    int best = -1;

    for (int i = 0; i < f->path_count; i++) {
        const struct path *p = &f->paths[i];
        bool answered = false;
        for (int k = 0; k < PLAIT_FETCH_LANES_MAX && p->source == source; k++)
            answered |=
                p->lanes[k].stream && !p->lanes[k].given_up && (soon || p->lanes[k].state != LANE_OPENING);
        if (answered && (best < 0 || is_better(f, &f->sources[source].steer, i, best)))
            best = i;
    }
    return best;
}

static void fill_command(struct plait_fetch *f, struct steer *st, int path, struct plait_fetch_cmd *cmd)
{
    *cmd = (struct plait_fetch_cmd){
        .kind = PLAIT_FETCH_STEER, .lane = NO_LANE, .path = path, .serial = st->serial = ++f->push.serial};
    cmd->stream.block_bytes = f->push.block_bytes;
    if (st->kind == STEER_ASK) {
        cmd->stream.letter = st->letter;
        cmd->stream.blocks = st->blocks;
        cmd->stream.block_count = st->block_count;
        return;
    }
    cmd->stream.letter = (uint8_t)f->paths[path].letter;
    if (st->kind == STEER_EXTEND && st->idle) {
        cmd->stream.first = st->span.first;
        cmd->stream.last = st->span.last;
        return;
    }
    steer_fill_span(f, st->span.first, st->span.last, &cmd->stream);
    if (st->kind == STEER_EXTEND)
        return;
    f->push.pattern[0] = LETTER_NOBODY;
    cmd->stream.pattern_len = 1;
    st->patterned = true;
}

bool steer_next(struct plait_fetch *f, uint64_t now, struct plait_fetch_cmd *cmd)
{
    if (f->push.block_bytes == 0 || f->done || f->fail != PLAIT_FETCH_FAIL_NONE)
        return false;
    for (int i = 0; i < f->source_count; i++) {
        struct steer *st = &f->sources[i].steer;
        int path = f->sources[i].takes_part ? steer_path(f, i, false) : -1;
        bool early = path < 0 && f->sources[i].takes_part && is_cold(f, i);
        if (early)
            path = steer_path(f, i, true);
        if (path < 0 || now < st->not_before)
            continue;
        let_go(f, now, i);
        take_up_again(st);
        if (st->kind == STEER_NONE && !early)
            extend_source(f, i);
        if (st->kind == STEER_NONE)
            warm_source(f, i);
        if (st->kind == STEER_NONE || st->sent)
            continue;
        st->sent = true;
        st->sent_at = now;
        st->path = path;
        fill_command(f, st, path, cmd);
        return true;
    }
    return false;
}

/* ---- answers ---- */

static void release_of_source(struct plait_fetch *f, int source, uint64_t from, uint64_t to, bool forget)
{
    for (int i = 0; i < f->push.letter_count; i++) {
        if (f->push.letters[i].source != source)
            continue;
        letter_release(f, i, from, to);
        if (forget)
            push_forget_copies(f, i, from);
        for (uint64_t b = from; forget && b < plait_min_u64(to, f->push.end); b++) {
            if (push_plan_at(&f->push, b) == i)
                push_plan_drop(&f->push, b);
        }
    }
}

/* What the source was told to give up is free. */
static void on_agreed(struct plait_fetch *f, int source)
{
    struct steer *st = &f->sources[source].steer;
    uint64_t before = f->map.taken_bytes;

    if (st->kind != STEER_CUT || st->released)
        return;
    st->released = true;
    release_of_source(f, source, st->span.first, UINT64_MAX, true);
    fetch_event(f, (struct plait_fetch_event){.kind = PLAIT_FETCH_EV_REPATTERN,
                                              .source = source,
                                              .bytes = before - f->map.taken_bytes});
}

/* It has got further than was thought: the switch moves. */
static void on_late(struct plait_fetch *f, uint64_t now, int source, uint64_t at)
{
    struct steer *st = &f->sources[source].steer;
    struct plait_span span = st->span;

    if (at <= span.first || at > PLAIT_BLOCK_NUMBER_MAX) {
        push_failed(f, now, source);
        return;
    }
    if (st->kind == STEER_EXTEND) {
        push_failed(f, now, source); /* nobody else plans anything there */
        release_of_source(f, source, span.first, plait_min_u64(at, span.last + 1), false);
        if (at <= span.last) {
            st->span.first = at;
            st->sent = false;
            return;
        }
    } else if (st->kind == STEER_CUT && at < f->push.end && st->fails++ < TRIES_MAX) {
        /* It goes on while the answer, and the next request, are on their way. */
        double rate = letter_expected_rate(f, st->letter, 0, now);
        uint64_t look =
            (now - st->sent_at) * st->fails + FLIGHT_NS; /* ever further, so that it comes to an end */
        uint64_t next = plait_add_sat(push_reached(f, st->letter, at, rate, look), 1);
        st->span = steer_cut_span(f, source, next);
        st->sent = false;
        if (next < f->push.end)
            return;
    }
    st->kind = STEER_NONE;
}

/* What the source was told did not reach it. */
static void on_lost(struct plait_fetch *f, uint64_t now, int source)
{
    struct steer *st = &f->sources[source].steer;
    enum steer_kind kind = st->kind;

    steer_forget(st);
    if (kind == STEER_ASK) {
        for (size_t i = 0; i < st->block_count; i++)
            release_of_source(f, source, st->blocks[i].first, st->blocks[i].last + 1, true);
        f->push.letters[st->letter].asked_count = 0;
        st->block_count = 0;
    }
    push_failed(f, now, source);
    for (int id = 0; id < f->path_count * PLAIT_FETCH_LANES_MAX; id++) {
        if (f->paths[id / PLAIT_FETCH_LANES_MAX].source == source && fetch_lane(f, id)->stream)
            fetch_close_lane(f, id);
    }
}

static void learn_took(struct steer *st, uint64_t took_ns)
{
    st->took_ns = st->took_ns == 0 ? took_ns : (3 * st->took_ns + took_ns) / 4;
}

static void on_broken(struct plait_fetch *f, uint64_t now, int source)
{
    struct steer *st = &f->sources[source].steer;

    st->sent = false;
    st->not_before = now + (f->live.on && st->fails == 0 ? 0 : TRY_AGAIN_NS << st->fails);
    if (++st->fails > TRIES_MAX)
        on_lost(f, now, source);
}

/* The answer to what was not waited for. False: it was something else. */
static bool on_told(struct plait_fetch *f, uint64_t now, uint32_t serial, enum plait_fetch_steered how)
{
    for (int i = 0; i < f->source_count; i++) {
        struct steer *st = &f->sources[i].steer;
        for (unsigned k = 0; k < st->telling_count; k++) {
            struct telling *t = &st->tellings[k];
            if (t->serial != serial || t->again)
                continue;
            f->replan = true;
            if (how == PLAIT_FETCH_STEERED_DONE) {
                learn_took(st, now - t->sent_at);
                *t = st->tellings[--st->telling_count];
                push_look_at_shares(f, now); /* before there is more to tell it, what there is to take back */
            } else if (how == PLAIT_FETCH_STEERED_BROKEN && t->fails < TRIES_MAX) {
                st->not_before = now + (TRY_AGAIN_NS << t->fails++);
                t->again = true;
            } else if (steer_path(f, i, false) >= 0) {
                on_lost(f, now, i);
                if (how == PLAIT_FETCH_STEERED_REFUSED)
                    push_no_stream(f, i);
            } else { /* before its streams */
                *t = st->tellings[--st->telling_count];
            }
            return true;
        }
    }
    return false;
}

static int steered_source(const struct plait_fetch *f, uint32_t serial)
{
    for (int i = 0; i < f->source_count; i++) {
        const struct steer *st = &f->sources[i].steer;
        if (st->kind != STEER_NONE && st->sent && st->serial == serial)
            return i;
    }
    return PLAIT_FETCH_NO_SOURCE;
}

void plait_fetch_on_steered(struct plait_fetch *f, uint64_t now, uint32_t serial,
                            enum plait_fetch_steered how, uint64_t at)
{
    int source = on_told(f, now, serial, how) ? PLAIT_FETCH_NO_SOURCE : steered_source(f, serial);

    if (source == PLAIT_FETCH_NO_SOURCE)
        return;
    struct steer *st = &f->sources[source].steer;
    f->replan = true;
    switch (how) {
    case PLAIT_FETCH_STEERED_DONE:
        learn_took(st, now - st->sent_at);
        on_agreed(f, source);
        st->kind = STEER_NONE;
        st->block_count = 0;
        if (source_rtt_min_ns(f, source) > PUSH_FAR_NS)
            push_look_at_shares(f, now); /* before there is more to tell it, what there is to take back */
        break;
    case PLAIT_FETCH_STEERED_LATE:
        on_late(f, now, source, at);
        break;
    case PLAIT_FETCH_STEERED_LOST:
        on_lost(f, now, source);
        break;
    case PLAIT_FETCH_STEERED_BROKEN:
        on_broken(f, now, source);
        break;
    case PLAIT_FETCH_STEERED_REFUSED:
        on_lost(f, now, source);
        push_no_stream(f, source);
        break;
    }
}

/* For how long a source that was cut is waited for. At the end not for a far one: there is nothing else to do, and
 * little can come twice. */
static uint64_t patience_ns(const struct plait_fetch *f, int source)
{
    const struct steer *st = &f->sources[source].steer;
    uint64_t rtt = source_rtt_min_ns(f, source), bytes = 0, at = st->span.first * f->push.block_bytes;
    struct plait_extent e;

    for (; letter_find_due(f, st->letter, at, &e); at = e.hi)
        bytes += e.hi - plait_max_u64(e.lo, at);
    return push_all_taken(f) && rtt > PUSH_FAR_NS && bytes <= f->map.size / 100 * TWICE_PERCENT
               ? 0
               : UNANSWERED_NS + 2 * rtt;
}

/* A connection that waits, and does not even say so any more. */
static void close_mute_lanes(struct plait_fetch *f, uint64_t now)
{
    for (int id = 0; id < f->path_count * PLAIT_FETCH_LANES_MAX; id++) {
        const struct lane *l = fetch_lane(f, id);
        int path = id / PLAIT_FETCH_LANES_MAX;
        if (!l->stream || l->state != LANE_WAIT || now - l->last_arrival < MARK_NS)
            continue;
        if (f->push.streams[id].blocks == 0)
            push_failed(f, now, f->paths[path].source);
        fetch_close_lane(f, id);
        path_back_off(f, path, now, 0);
    }
}

/* Whether all connections of the letter have nothing to send, though it was to bring something; or only what is there
 * already, over and over. */
static bool is_stuck(const struct plait_fetch *f, uint64_t now, int letter)
{
    const struct letter *t = &f->push.letters[letter];
    uint64_t patience = STUCK_NS + plait_min_u64(4 * letter_answer_ns(f, letter), 2 * STUCK_NS);
    unsigned waiting = 0;

    if (!t->up || t->due_bytes == 0 || t->up_at == PLAIT_NEVER || plait_since(now, t->brought_at) < patience)
        return false;
    if (f->config.redundant < 2 && plait_since(t->came_at, t->brought_at) >= patience)
        return true;
    for (int id = 0; id < f->path_count * PLAIT_FETCH_LANES_MAX; id++) {
        const struct path *p = &f->paths[id / PLAIT_FETCH_LANES_MAX];
        const struct lane *l = &p->lanes[id % PLAIT_FETCH_LANES_MAX];
        if (p->letter != letter || !l->stream || l->given_up)
            continue;
        if (l->state != LANE_WAIT)
            return false;
        waiting++;
    }
    return waiting > 0;
}

/* A source that never does, or never hears, what it is told: whatever it answers, and however often it is told again. */
static void lose_stuck(struct plait_fetch *f, uint64_t now)
{
    for (int i = 0; i < f->push.letter_count && !f->live.on; i++) {
        if (is_stuck(f, now, i))
            on_lost(f, now, f->push.letters[i].source);
    }
}

/* What was not answered in time is told again, until the source seems not to hear at all. */
static void look_at_tellings(struct plait_fetch *f, uint64_t now, int source, uint64_t patience)
{
    struct steer *st = &f->sources[source].steer;

    for (unsigned k = 0; k < st->telling_count; k++) {
        struct telling *t = &st->tellings[k];
        unsigned longer = st->took_ns == 0 ? (unsigned)plait_min_u64(t->fails, 2) : 0;
        if (t->again || now - t->sent_at <= patience << longer)
            continue;
        t->again = true;
        if (++t->fails > TRIES_MAX)
            on_lost(f, now, source); /* which leaves no tellings */
    }
}

void steer_on_deadline(struct plait_fetch *f, uint64_t now)
{
    if (f->push.block_bytes == 0 || f->done || f->fail != PLAIT_FETCH_FAIL_NONE ||
        (!f->size_known && !f->live.on))
        return;
    for (int i = 0; i < f->source_count; i++) {
        struct steer *st = &f->sources[i].steer;
        let_go(f, now, i);
        uint64_t least = f->live.on ? ANSWER_NS_LIVE << plait_min_u64(st->fails, 3) : ANSWER_NS_MIN;
        if (st->kind != STEER_NONE && st->sent && now - st->sent_at > least + 4 * st->took_ns) {
            st->mute = st->path;
            st->mute_since = f->live.on ? now : 0;
            on_broken(f, now, i);
        }
        look_at_tellings(f, now, i, least + 4 * st->took_ns);
        f->replan |= st->telling_count > 0;
        /* The answer may stand in the very queue that the source is slow for: what comes all the same comes twice. */
        if (st->kind == STEER_CUT && st->sent && now - st->sent_at > patience_ns(f, i))
            on_agreed(f, i);
        f->replan |= st->kind != STEER_NONE && !st->sent && now >= st->not_before;
    }
    close_mute_lanes(f, now);
    lose_stuck(f, now);
    for (int i = 0; i < f->push.letter_count; i++)
        push_look_for_losses(f, now, i);
    for (int i = 0; i < f->push.letter_count; i++)
        letter_learn_rate(f, now, i);
    push_extend(f, now, NO_LETTER);
    if (!f->live.on || f->push.end * f->push.block_bytes <= f->live.there)
        push_look_at_shares(f, now);
    push_fill_holes(f, now);
    if (f->live.on || fetch_output_is_behind(f))
        return;
    if (push_all_taken(f))
        push_double_late(f, now);
    for (int i = 0; i < f->push.letter_count; i++)
        push_double_straggler(f, now, i);
}
