/*
 * What is asked for by name: holes behind the end of the plan, what was lost, and near the end what stalls. See
 * fetch_steer.c.
 */
#include "fetch_push.h"
#include "repattern.h"
#include "scheduler.h"

#define AHEAD_NS          PLAIT_REPATTERN_LOOKAHEAD_NS
#define IDLE_NS           (50 * PLAIT_MS)
#define QUIET_NS          (30 * PLAIT_MS)
#define HOLE_NS           (300 * PLAIT_MS)
#define LOSS_NS           (5 * PLAIT_S) /* after the loss of a connection, holes are nobody's fault */
#define FAILED_NS         (2 * PLAIT_S) /* who left blocks out is not asked for others */
#define DOUBLED_PERCENT   2
#define AT_ONCE_NS        (150 * PLAIT_MS) /* work for so long, of what a far letter is late with */
#define DOUBLED_BYTES_MIN (256 * PLAIT_KIB)
#define LAST_BYTES                                                                                           \
    (128 * PLAIT_KIB) /* of a far letter: the end does not wait for them, however much came twice */

/* ---- holes ---- */

/* Puts the block on the list of what the source is asked for by name. False: the list is full. */
static bool name_block(struct steer *st, uint64_t block)
{
    struct plait_span *last = st->block_count > 0 ? &st->blocks[st->block_count - 1] : NULL;

    if (last != NULL && block >= last->first && block <= last->last)
        return true;
    if (last != NULL && block == last->last + 1) {
        last->last = block;
        return true;
    }
    if (last != NULL && block + 1 == last->first) {
        last->first = block;
        return true;
    }
    if (st->block_count == PLAIT_BLOCKS_MAX)
        return false;
    st->blocks[st->block_count++] = (struct plait_span){block, block};
    return true;
}

/* Who may be asked by name now: sources that are not being told something else. Far ones only where nobody nearer has time:
 * they would answer late, and could not be told how the plan goes on meanwhile. */
static void look_for_helpers(struct plait_fetch *f, uint64_t now, struct plait_sched_path out[LETTERS_MAX])
{
    bool near = false;

    letters_look(f, now, NO_LETTER, plait_to_s(AHEAD_NS), out);
    for (int i = 0; i < f->push.letter_count; i++)
        near |= out[i].rate > 0 && !letter_is_far(f, i) && out[i].next_free <= letter_ahead_ns(f, i);
    for (int i = 0; i < f->push.letter_count; i++) {
        struct steer *st = &f->sources[f->push.letters[i].source].steer;
        const struct letter *t = &f->push.letters[i];
        bool failed = t->failed_at > 0 && now - t->failed_at < FAILED_NS;
        if (st->kind != STEER_NONE || now < st->not_before || failed || (near && letter_is_far(f, i)))
            out[i].rate = 0;
        if (st->kind == STEER_NONE)
            st->block_count = 0;
    }
}

/* Asks `letter` for the block, and no other letter of its source. False: it cannot be asked for more now. */
static bool ask_for(struct plait_fetch *f, struct plait_sched_path letters[LETTERS_MAX], int letter,
                    uint64_t block)
{
    int source = f->push.letters[letter].source;
    struct steer *st = &f->sources[source].steer;

    if (!name_block(st, block)) {
        letters[letter].rate = 0;
        return false;
    }
    st->letter = (uint8_t)letter;
    for (int i = 0; i < f->push.letter_count; i++) {
        if (i != letter && f->push.letters[i].source == source)
            letters[i].rate = 0;
    }
    letters[letter].next_free += plait_time_to_carry((double)f->push.block_bytes, letters[letter].rate);
    return true;
}

static void send_asks(struct plait_fetch *f, uint64_t now)
{
    for (int i = 0; i < f->source_count; i++) {
        struct steer *st = &f->sources[i].steer;
        if (st->kind != STEER_NONE || st->block_count == 0)
            continue;
        struct letter *t = &f->push.letters[st->letter];
        st->kind = STEER_ASK;
        st->sent = false;
        st->fails = 0;
        t->asked_until = now + AHEAD_NS + HOLE_NS + 2 * letter_answer_ns(f, st->letter);
        for (size_t k = 0; k < st->block_count; k++)
            t->asked[t->asked_count++ % ASKED_MAX] = st->blocks[k];
        f->replan = true;
    }
}

void push_fill_holes(struct plait_fetch *f, uint64_t now)
{
    struct push *u = &f->push;
    struct plait_sched_path letters[LETTERS_MAX];
    struct plait_extent e;
    uint64_t size = u->block_bytes, arrival;
    uint64_t end = u->end + 1 >= push_block_count(f) ? f->map.size : u->end * size;

    end = plait_min_u64(end, plan_window_end(f));
    if (f->pin_count > 0 || !plait_blockmap_find(&f->map, 0, PLAIT_BLOCK_FREE, &e) || e.lo >= end)
        return;
    look_for_helpers(f, now, letters);
    for (uint64_t at = 0; plait_blockmap_find(&f->map, at, PLAIT_BLOCK_FREE, &e) && e.lo < end;) {
        uint64_t block = e.lo / size, hi = plait_min_u64(e.hi, (block + 1) * size);
        if (end < f->map.size && (block + 1) * size > end)
            break; /* it would come whole */
        int letter = plait_sched_pick(letters, (size_t)u->letter_count, 0, (double)size, &arrival);
        if (letter < 0)
            break;
        if (letters[letter].next_free > letter_ahead_ns(f, letter)) {
            letters[letter].rate = 0;
            continue;
        }
        if (!ask_for(f, letters, letter, block))
            continue;
        letter_claim(f, e.lo, hi, letter);
        push_plan_set(u, block, LETTER_NOBODY); /* by name, not by the plan */
        at = hi;
    }
    send_asks(f, now);
}

/* The first bytes from `at` on that the letter was to bring and has not, but for blocks that it was just asked for by
 * name. */
static bool find_overdue(const struct plait_fetch *f, int letter, uint64_t now, uint64_t at,
                         struct plait_extent *e)
{
    const struct letter *t = &f->push.letters[letter];
    uint64_t size = f->push.block_bytes;

    for (; letter_find_due(f, letter, at, e); at = (e->lo / size + 1) * size) {
        if (now < t->asked_until && letter_is_named(t, e->lo / size))
            continue;
        if (f->live.on && (e->lo / size + 1) * size > f->sources[t->source].there)
            continue; /* it may not have it yet */
        e->hi = plait_min_u64(e->hi, (e->lo / size + 1) * size);
        return true;
    }
    return false;
}

/* Whether the letter's connections, which are all at block `below`, should have brought the block: what was asked for by name
 * comes out of turn. */
static bool is_passed(const struct plait_fetch *f, int letter, uint64_t block, uint64_t below)
{
    return block < below || push_plan_at(&f->push, block) != letter;
}

/* The connections of a letter have gone past blocks that did not come: lost with a connection, or left out. */
void push_look_for_losses(struct plait_fetch *f, uint64_t now, int letter)
{
    struct letter *t = &f->push.letters[letter];
    uint64_t below = UINT64_MAX, size = f->push.block_bytes;
    struct plait_extent e;
    unsigned streams = 0;

    if (f->config.redundant < 2 && now >= t->asked_until) /* what was asked twice came, or will not */
        push_forget_copies(f, letter, 0);
    for (int id = 0; id < f->path_count * PLAIT_FETCH_LANES_MAX; id++) {
        const struct lane *l = fetch_lane(f, id);
        if (f->paths[id / PLAIT_FETCH_LANES_MAX].letter != letter || !l->stream || l->given_up)
            continue;
        streams++;
        below = l->state == LANE_OPENING ? 0 : plait_min_u64(below, f->push.streams[id].below);
        if (l->state == LANE_OPENING)
            break;
    }
    if (streams == 0 || !find_overdue(f, letter, now, 0, &e) || !is_passed(f, letter, e.lo / size, below)) {
        t->hole_since = PLAIT_NEVER;
        return;
    }
    if (t->hole_since == PLAIT_NEVER || t->hole != e.lo / size) {
        t->hole = e.lo / size;
        t->hole_since = now;
    } else if (now - t->hole_since > HOLE_NS + 2 * letter_answer_ns(f, letter)) {
        t->hole_since = PLAIT_NEVER;
        for (uint64_t at = 0; find_overdue(f, letter, now, at, &e); at = e.hi) {
            if (is_passed(f, letter, e.lo / size, below))
                fetch_mark(f, e.lo, e.hi, PLAIT_BLOCK_FREE, 0);
        }
        if (t->lost_at == 0 || now - t->lost_at > LOSS_NS) {
            t->failed_at = now;
            push_failed(f, now, t->source);
        }
    }
}

/* ---- twice ---- */

/* How many bytes may come twice near the end; how many still may. */
static uint64_t twice_bytes(const struct plait_fetch *f)
{
    return plait_max_u64(f->map.size / 100 * DOUBLED_PERCENT, DOUBLED_BYTES_MIN);
}

static uint64_t twice_bytes_left(const struct plait_fetch *f)
{
    return plait_since(twice_bytes(f), f->push.doubled_bytes);
}

/* Notes that the block is asked of a second one. False: that it was already. */
static bool mark_twice(struct push *u, uint64_t block)
{
    if (!push_remembers(u, block) || (u->plan[block % PLAN_BLOCKS] & PLAN_TWICE) != 0)
        return false;
    u->plan[block % PLAN_BLOCKS] |= PLAN_TWICE;
    return true;
}

bool push_move_late(struct plait_fetch *f, uint64_t now, int late, uint64_t end, enum late_why why)
{
    struct plait_sched_path letters[LETTERS_MAX];
    struct plait_extent e;
    uint64_t size = f->push.block_bytes, arrival;
    double rate = letter_rate(f, late, now), before = 0;
    bool any = false;

    look_for_helpers(f, now, letters);
    if (why != LATE_HELD)
        letters[late].rate = 0;
    for (uint64_t at = 0; letter_find_due(f, late, at, &e) && e.lo < end;) {
        uint64_t block = e.lo / size, hi = plait_min_u64(e.hi, (block + 1) * size);
        int letter = plait_sched_pick(letters, (size_t)f->push.letter_count, 0, (double)size, &arrival);
        if (letter < 0)
            break;
        at = (block + 1) * size;
        before += (double)(hi - e.lo);
        double other_s = plait_to_s(arrival) + plait_to_s(letter_answer_ns(f, letter));
        if (letter == late && block + 1 >= f->push.letters[late].last)
            break; /* not passed by its other connections yet */
        if (letter == late && !mark_twice(&f->push, block))
            continue; /* once is enough: it is not lost but slow */
        if (why == LATE_SLOW && before / (rate > 1 ? rate : 1) < 1.3 * other_s)
            continue;
        any = true;
        if (ask_for(f, letters, letter, block) && letter != late)
            letter_claim(f, e.lo, hi, letter);
    }
    send_asks(f, now);
    return any;
}

/* The letter that will be ready last, and when. */
static int latest_letter(const struct plait_fetch *f, uint64_t now, double *rest_s)
{
    int latest = NO_LETTER;

    *rest_s = 0;
    for (int i = 0; i < f->push.letter_count; i++) {
        const struct letter *t = &f->push.letters[i];
        double rate =
            plait_max_d(letter_rate(f, i, now), letter_is_far(f, i) ? 0 : t->rate); /* it may stutter */
        double s = (double)t->due_bytes / (rate > 1 ? rate : 1);
        if (letter_is_far(f, i)) /* what is bound to a connection may wait for its acknowledgements */
            s += plait_to_s(letter_rtt_ns(f, i)) / 2;
        const struct steer *st = &f->sources[t->source].steer;
        bool is_cut = st->kind == STEER_CUT && !st->released; /* it may have less to bring in a moment */
        if (!t->up || t->due_bytes == 0 || s <= *rest_s || is_cut)
            continue;
        *rest_s = s;
        latest = i;
    }
    return latest;
}

/* Bytes of the block that [e->lo, e->hi) begins with; 0 where it is asked of a second one already. */
static uint64_t single_part(const struct push *u, const struct plait_extent *e)
{
    uint64_t block = e->lo / u->block_bytes;
    bool twice = push_remembers(u, block) && (u->plan[block % PLAN_BLOCKS] & PLAN_TWICE) != 0;

    return twice ? 0 : plait_min_u64(e->hi, (block + 1) * u->block_bytes) - e->lo;
}

/* Bytes that are planned for the letter and asked of nobody else. */
static uint64_t single_bytes(const struct plait_fetch *f, int letter)
{
    const struct push *u = &f->push;
    struct plait_extent e;
    uint64_t sum = 0;

    for (uint64_t at = 0; letter_find_due(f, letter, at, &e);
         at = (e.lo / u->block_bytes + 1) * u->block_bytes)
        sum += single_part(u, &e);
    return sum;
}

/* Of what a far letter is to bring, the first blocks that helpers need not be asked for: more may not come twice. */
static uint64_t spared_bytes(const struct plait_fetch *f, int letter)
{
    uint64_t single = letter_is_far(f, letter) ? single_bytes(f, letter) : 0;

    return single <= LAST_BYTES ? 0 : plait_since(single, twice_bytes_left(f));
}

/* Whether the helper is to be asked for the block as well: only when it is just about idle, of a far letter's at once, as
 * they are on their way, of others when it hears of it. */
static bool is_worth_doubling(const struct plait_fetch *f, int late, double rest_s, int helper,
                              const struct plait_sched_path *path, bool first)
{
    uint64_t answer = letter_answer_ns(f, helper), rtt = letter_rtt_ns(f, helper),
             block_ns = plait_time_to_carry(f->push.block_bytes, path->rate);

    if (plait_to_s(path->next_free + block_ns + answer) > rest_s / 1.3)
        return false;
    if (letter_is_far(f, late))
        return path->next_free <= rtt + (first ? 0 : AT_ONCE_NS);
    return path->next_free <= answer; /* else what it has to bring itself is late in turn */
}

/* Helpers as they usually do: a burst says nothing of the rate. */
static void look_for_steady_helpers(struct plait_fetch *f, uint64_t now,
                                    struct plait_sched_path out[LETTERS_MAX])
{
    look_for_helpers(f, now, out);
    for (int i = 0; i < f->push.letter_count; i++) {
        double usual = f->push.letters[i].rate;
        if (usual > 0 && usual < out[i].rate)
            out[i] = (struct plait_sched_path){
                .rate = usual, .next_free = plait_time_to_carry((double)letter_load_bytes(f, i, now), usual)};
    }
}

/* What the latest letter is to bring is asked of others as well: a near one's first blocks, a far one's last. */
void push_double_late(struct plait_fetch *f, uint64_t now)
{
    struct push *u = &f->push;
    struct plait_sched_path letters[LETTERS_MAX];
    struct plait_extent e;
    double rest_s;
    int late = latest_letter(f, now, &rest_s);
    bool first = true;

    if (late == NO_LETTER || f->pin_count > 0)
        return;
    uint64_t spared = spared_bytes(f, late);
    bool any = letter_is_far(f, late) || twice_bytes_left(f) > 0;
    look_for_steady_helpers(f, now, letters);
    letters[late].rate = 0;
    for (uint64_t at = 0; any && letter_find_due(f, late, at, &e);) {
        uint64_t block = e.lo / u->block_bytes, part = single_part(u, &e);
        at = (block + 1) * u->block_bytes;
        if (part <= spared) { /* or it is asked of a second one */
            spared -= part;
            continue;
        }
        int letter = plait_sched_pick(letters, (size_t)u->letter_count, 0, (double)u->block_bytes, NULL);
        if (letter < 0 || !is_worth_doubling(f, late, rest_s, letter, &letters[letter], first) ||
            !push_remembers(u, block) || !ask_for(f, letters, letter, block))
            break;
        mark_twice(u, block);
        if (f->config.redundant < 2) /* else copies are what the patterns tell */
            push_note_copy(u, letter, block);
        u->doubled_bytes += u->block_bytes;
        first = false;
        any = letter_is_far(f, late) || twice_bytes_left(f) > 0;
    }
    send_asks(f, now);
}

/* Whether a stream of the letter has had nothing to send for a while, though others still bring what is planned; over
 * other paths: over its own it would only take the line from what is on its way. */
static bool has_idle_stream(const struct plait_fetch *f, int letter, uint64_t now)
{
    for (int i = 0; i < f->path_count; i++) {
        const struct path *p = &f->paths[i];
        for (int k = 0; k < PLAIT_FETCH_LANES_MAX && p->letter == letter; k++) {
            const struct lane *l = &p->lanes[k];
            bool quiet = plait_since(now, p->est.last_arrival) > QUIET_NS + p->est.rtt_min_ns;
            if (l->stream && l->state == LANE_WAIT && !l->given_up && quiet &&
                plait_since(now, l->last_arrival) > IDLE_NS + p->est.rtt_min_ns)
                return true;
        }
    }
    return false;
}

/* One of a letter's connections is far behind the others: they are asked for what it has. */
void push_double_straggler(struct plait_fetch *f, uint64_t now, int letter)
{
    struct push *u = &f->push;
    struct steer *st = &f->sources[u->letters[letter].source].steer;
    struct plait_extent e;

    if (st->kind != STEER_NONE || now < st->not_before || u->end < push_plan_limit(f) || st->told < u->end ||
        f->pin_count > 0 || !has_idle_stream(f, letter, now))
        return;
    st->block_count = 0;
    st->letter = (uint8_t)letter;
    for (uint64_t at = 0; twice_bytes_left(f) > 0 && find_overdue(f, letter, now, at, &e); at = e.hi) {
        uint64_t block = e.lo / u->block_bytes;
        if (!push_remembers(u, block) || (u->plan[block % PLAN_BLOCKS] & PLAN_TWICE) != 0)
            continue;
        if (!name_block(st, block))
            break;
        u->plan[block % PLAN_BLOCKS] |= PLAN_TWICE;
        u->doubled_bytes += u->block_bytes;
    }
    send_asks(f, now);
}
