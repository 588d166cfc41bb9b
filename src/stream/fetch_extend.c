/*
 * The plan goes on, and is taken back: see fetch_steer.c.
 */
#include <string.h>

#include "fetch_push.h"
#include "repattern.h"
#include "scheduler.h"

#define AHEAD_NS       PLAIT_REPATTERN_LOOKAHEAD_NS
#define INTERVAL_NS    PLAIT_REPATTERN_INTERVAL_NS
#define FLIGHT_NS      (80 * PLAIT_MS)  /* of what stands in queues */
#define LATE_NS        (300 * PLAIT_MS) /* behind the others, then it is cut */
#define LATE_AT_END_NS (30 * PLAIT_MS)
#define STUTTER_NS     (50 * PLAIT_MS) /* and two round trips: what waits behind a lost packet comes at once */
#define CUT_AGAIN_NS   (300 * PLAIT_MS)
#define GRACE_NS       (300 * PLAIT_MS) /* a letter has its connections to open their windows */
#define WORTH_NS       (100 * PLAIT_MS)
#define MARGIN                                                                                               \
    0.05 /* of what it takes to tell a far letter something: it is to be ready so long before the others */
#define END_NS (100 * PLAIT_MS)
#define RATE_GUESS                                                                                           \
    1e6 /* bytes/s, of a letter of which nothing is known: while a live stream has brought nothing */

/* ---- extend ---- */

bool push_fits_window(const struct plait_fetch *f, double rate, uint64_t arrival_ns, uint64_t now)
{
    double others = fetch_rate(f, now) - rate;

    return f->config.window_bytes == 0 || others <= 0 || plan_window_end(f) == f->map.size ||
           plait_to_s(arrival_ns) <= (double)f->config.window_bytes / others;
}

/* Live: whether nobody else is there either. */
static bool letters_are_aside(const struct plait_fetch *f, uint64_t now)
{
    for (int i = 0; i < f->push.letter_count; i++) {
        if (f->push.letters[i].up && now >= f->push.letters[i].aside_until && push_is_carried(f, i, true))
            return false;
    }
    return true;
}

/* Letters as the scheduler sees them; those that may not be given anything have no rate. Time begins at 0. */
void letters_look(const struct plait_fetch *f, uint64_t now, int whom, double ahead_s,
                  struct plait_sched_path out[LETTERS_MAX])
{
    bool all_aside = f->live.on && letters_are_aside(f, now);

    for (int i = 0; i < f->push.letter_count; i++) {
        const struct letter *t = &f->push.letters[i];
        bool carried = t->up && source_usable(f, t->source) && (i == whom || push_is_carried(f, i, true));
        bool far = letter_is_far(f, i);
        double own_s = far ? plait_to_s(letter_ahead_ns(f, i)) : ahead_s;
        double rate = carried ? letter_expected_rate(f, i, own_s, now) : 0;
        uint64_t due = letter_load_bytes(f, i, now);
        if (f->live.on && carried && rate <= 0)
            rate = RATE_GUESS;
        if (f->live.on && now < t->aside_until && !all_aside)
            rate = 0;
        out[i] = (struct plait_sched_path){.rate = rate, .next_free = plait_time_to_carry((double)due, rate)};
        if (far) /* what it is told now is not here before */
            out[i].next_free = plait_max_u64(out[i].next_free, letter_rtt_ns(f, i));
    }
}

static bool is_free(const struct plait_fetch *f, uint64_t block)
{
    struct plait_extent e;
    uint64_t lo = block * f->push.block_bytes;

    return plait_blockmap_at(&f->map, lo, &e) && e.state == PLAIT_BLOCK_FREE &&
           e.hi >= plait_min_u64(f->map.size, lo + f->push.block_bytes);
}

void letter_claim(struct plait_fetch *f, uint64_t lo, uint64_t hi, int letter)
{
    fetch_mark(f, lo, hi, PLAIT_BLOCK_TAKEN, OWNER_LETTER + letter);
    check_plan_audit(f, lo, hi, f->push.letters[letter].source);
}

/* One past the last block that may be planned now: within the window, the memory of the plan, and but for the last. */
uint64_t push_plan_limit(const struct plait_fetch *f)
{
    uint64_t least = f->push.end, block, window = plan_window_end(f);
    uint64_t limit = push_block_count(f) - (f->live.on ? 0 : 1);

    for (int i = 0; i < f->push.letter_count; i++) {
        if (letter_first_due(f, i, &block))
            least = plait_min_u64(least, block);
    }
    limit = plait_min_u64(limit, least + PLAN_BLOCKS / 2);
    return window < f->map.size ? plait_min_u64(limit, window / f->push.block_bytes) : limit;
}

bool push_is_planned(const struct plait_fetch *f)
{
    return f->push.end >= push_plan_limit(f);
}

/* The block is to come from other sources as well, those that have it here first. */
static void plan_copies(struct plait_fetch *f, struct plait_sched_path letters[LETTERS_MAX], int letter,
                        uint64_t block)
{
    struct push *u = &f->push;
    struct plait_sched_path others[LETTERS_MAX];

    memcpy(others, letters, (size_t)u->letter_count * sizeof *others);
    for (unsigned n = 1; n < f->config.redundant && letter >= 0; n++) {
        for (int i = 0; i < u->letter_count; i++) {
            if (u->letters[i].source == u->letters[letter].source)
                others[i].rate = 0;
        }
        letter = plait_sched_pick(others, (size_t)u->letter_count, 0, (double)u->block_bytes, NULL);
        if (letter < 0 || (f->live.on && letters[letter].next_free > AHEAD_NS + LATE_NS))
            return; /* it has as much as it can carry in time */
        push_note_copy(u, letter, block);
        letters[letter].next_free += plait_time_to_carry((double)u->block_bytes, letters[letter].rate);
    }
}

/* Seconds until all is here, at the rates that have been seen. */
static double all_s(const struct plait_fetch *f, uint64_t now,
                    const struct plait_sched_path letters[LETTERS_MAX])
{
    uint64_t first_ns = PLAIT_NEVER;
    double sum = 0;

    for (int i = 0; i < f->push.letter_count; i++) {
        bool far = letter_is_far(f, i);
        if (letters[i].rate <= 0)
            continue;
        sum += letter_rate_seen(f, i, now);
        first_ns = plait_min_u64(first_ns, far ? letter_rtt_ns(f, i) : 0);
    }
    return sum > 0 ? plait_to_s(first_ns) + (double)fetch_left(f) / sum : 0;
}

/*
 * A far letter has no time to give back what is too much: however fast it may become, it gets no more than it brings
 * until the end at the rate that it has shown. What it lacks at the end others bring soon; what it has too much, they
 * have to wait for.
 */
static uint64_t far_ahead_ns(const struct plait_fetch *f, int letter, const struct plait_sched_path *path,
                             double all, uint64_t now)
{
    double due = (double)letter_load_bytes(f, letter, now);
    double idle_s = plait_to_s(path->next_free) - due / path->rate;
    double share = letter_rate_seen(f, letter, now) / path->rate;

    all -= MARGIN * plait_to_s(letter_answer_ns(f, letter));
    if (all <= idle_s)
        return 0;
    return (uint64_t)((idle_s + (all - idle_s) * share) * 1e9);
}

/* Which letters are to have work for how long; false where all have enough. */
static bool look_ahead(struct plait_fetch *f, uint64_t now, int whom,
                       struct plait_sched_path letters[LETTERS_MAX], uint64_t ahead[LETTERS_MAX])
{
    uint64_t end_ns = PLAIT_NEVER;
    bool low = whom != NO_LETTER, idle = f->map.taken_bytes == 0;

    if (push_has_ranges(f)) /* leave them their part of the end: they cannot take it from a letter */
        end_ns = END_NS + plait_time_to_carry((double)fetch_left(f), fetch_rate(f, now)) * 2 / 3;
    letters_look(f, now, whom, plait_to_s(AHEAD_NS), letters);
    double all = all_s(f, now, letters);
    for (int i = 0; i < f->push.letter_count; i++) {
        ahead[i] = plait_min_u64(letter_ahead_ns(f, i), end_ns);
        if (letter_is_far(f, i) && letters[i].rate > 0)
            ahead[i] = plait_min_u64(ahead[i], far_ahead_ns(f, i, &letters[i], all, now));
        if (idle)
            ahead[i] = letter_ahead_ns(f, i);
        uint64_t spare_ns = letter_is_far(f, i) ? letter_answer_ns(f, i) / 10 : INTERVAL_NS;
        bool short_of = idle || letters[i].next_free + plait_min_u64(spare_ns, ahead[i] / 2) < ahead[i];
        low |= letters[i].rate > 0 && short_of;
        if (letter_is_far(f, i) && !short_of && i != whom) /* what it is told it is told in large parts */
            letters[i].rate = 0;
    }
    return low;
}

/* Who is to push the next block; LETTER_NOBODY where it is not free, negative where all have enough. */
static int choose_letter(struct plait_fetch *f, uint64_t now, struct plait_sched_path letters[LETTERS_MAX],
                         const uint64_t ahead[LETTERS_MAX])
{
    const struct push *u = &f->push;
    uint64_t arrival;

    if (!is_free(f, u->end))
        return (int)LETTER_NOBODY;
    for (;;) {
        int letter = plait_sched_pick(letters, (size_t)u->letter_count, 0, (double)u->block_bytes, &arrival);
        if (letter < 0 || (letters[letter].next_free <= ahead[letter] &&
                           push_fits_window(f, letters[letter].rate, arrival, now)))
            return letter;
        letters[letter].rate = 0; /* has enough, or all others would have to wait for it */
    }
}

void push_extend(struct plait_fetch *f, uint64_t now, int whom)
{
    struct push *u = &f->push;
    struct plait_sched_path letters[LETTERS_MAX];
    uint64_t ahead[LETTERS_MAX], limit = push_plan_limit(f);

    if (f->pin_count > 0 || !look_ahead(f, now, whom, letters, ahead))
        return;
    while (u->end < limit && f->fail == PLAIT_FETCH_FAIL_NONE) {
        uint64_t block = u->end, lo = block * u->block_bytes;
        int letter = choose_letter(f, now, letters, ahead);
        if (letter < 0)
            break;
        u->also[u->end % PLAN_BLOCKS] = 0;
        u->past[u->end % PLAN_BLOCKS] = LETTER_NOBODY;
        u->plan[u->end++ % PLAN_BLOCKS] = (uint8_t)letter;
        if (letter == (int)LETTER_NOBODY)
            continue;
        letter_claim(f, lo, lo + u->block_bytes, letter);
        letters[letter].next_free += plait_time_to_carry((double)u->block_bytes, letters[letter].rate);
        plan_copies(f, letters, letter, block);
    }
    f->replan = true;
}

/* ---- cut ---- */

bool push_all_taken(const struct plait_fetch *f)
{
    return f->map.done_bytes + f->map.taken_bytes >= f->map.size;
}

static bool is_opening(const struct plait_fetch *f, int source)
{
    for (int i = 0; i < f->path_count; i++) {
        for (int k = 0; k < PLAIT_FETCH_LANES_MAX && f->paths[i].source == source; k++) {
            if (f->paths[i].lanes[k].stream && f->paths[i].lanes[k].state == LANE_OPENING)
                return true;
        }
    }
    return false;
}

/* What all others have to bring, and how fast they do. */
static void sum_others(const struct plait_fetch *f, int letter, uint64_t now, double *bytes, double *rate)
{
    *bytes = *rate = 0;
    for (int i = 0; i < f->path_count; i++) {
        const struct path *p = &f->paths[i];
        bool own = p->letter == letter || letter_of_kin(f, p) == letter;
        if (own || p->state != PLAIT_FETCH_PATH_ACTIVE || !source_usable(f, p->source))
            continue;
        *bytes += (double)path_outstanding(f, i);
        *rate += path_rate(p, now);
    }
}

/* The block that the letter's source has reached a while after it was at `from`, at that rate; of what was taken back from
 * it the source may not have heard. */
uint64_t push_reached(const struct plait_fetch *f, int letter, uint64_t from, double rate, uint64_t look_ns)
{
    uint64_t mine = 0, all = plait_since(f->push.end, from);

    for (uint64_t b = from; b < f->push.end; b++)
        mine += push_plan_at(&f->push, b) == letter || push_was_planned(&f->push, letter, b);
    return plait_repattern_predict(from, rate / f->push.block_bytes, plait_to_s(look_ns),
                                   mine > 0 ? (double)mine / (double)all : 1);
}

/* The block from which on the letter is to give up what is planned for it, when it keeps `bytes`. */
static uint64_t choose_cut(const struct plait_fetch *f, int letter, double bytes, double rate,
                           uint64_t look_ns)
{
    const struct letter *t = &f->push.letters[letter];
    struct plait_extent e;
    uint64_t at = 0, kept = t->last;

    while (bytes > 0 && letter_find_due(f, letter, at, &e)) {
        double part = (double)(e.hi - e.lo) < bytes ? (double)(e.hi - e.lo) : bytes;
        bytes -= (double)(e.hi - e.lo);
        at = e.hi;
        kept = plait_max_u64(kept, (e.lo + (uint64_t)part) / f->push.block_bytes + 1);
    }
    return plait_max_u64(kept, push_reached(f, letter, t->last, rate, look_ns));
}

/* The source is slower than was planned. */
static void cut(struct plait_fetch *f, uint64_t now, int letter, double keep_s, double rate)
{
    struct steer *st = &f->sources[f->push.letters[letter].source].steer;
    uint64_t rtt = letter_rtt_ns(f, letter), answer = letter_answer_ns(f, letter);
    uint64_t look =
        (letter_is_far(f, letter) ? answer : rtt) + FLIGHT_NS; /* far, with what stands in its queue */
    double before = f->push.letters[letter].rate, fastest = before > rate ? before : rate;
    double flight = fastest * plait_to_s(look) + f->push.block_bytes, keep = rate * keep_s;
    uint64_t first = choose_cut(f, letter, keep > flight ? keep : flight, rate, look);
    struct plait_extent e;

    if (!letter_find_due(f, letter, first * f->push.block_bytes, &e))
        return;
    st->kind = STEER_CUT;
    st->sent = st->released = false;
    st->fails = 0;
    st->cut_at = now;
    st->letter = (uint8_t)letter;
    st->span = steer_cut_span(f, f->push.letters[letter].source, first);
    f->replan = true;
}

void push_cut_late(struct plait_fetch *f, uint64_t now, int letter)
{
    const struct steer *st = &f->sources[f->push.letters[letter].source].steer;
    bool others = false;

    for (int i = 0; i < f->push.letter_count; i++)
        others |= i != letter && f->push.letters[i].up && push_is_carried(f, i, true);
    if (others && st->kind == STEER_NONE && now - st->cut_at >= CUT_AGAIN_NS)
        cut(f, now, letter, 0, letter_rate(f, letter, now));
}

/* Whether somebody has come of whom nothing is known yet, and finds nothing to do. */
static bool is_somebody_new(const struct plait_fetch *f)
{
    for (int i = 0; i < f->path_count; i++) {
        const struct path *p = &f->paths[i];
        if (p->est.samples == 0 && path_lanes_busy(p) == 0 && path_usable(f, p) &&
            letter_of_kin(f, p) == NO_LETTER && p->state != PLAIT_FETCH_PATH_WAIT &&
            p->state != PLAIT_FETCH_PATH_SILENT)
            return true;
    }
    return false;
}

static bool letter_grows(const struct plait_fetch *f, int letter, uint64_t now)
{
    bool grows = false;

    for (int i = 0; i < f->path_count; i++)
        grows |= f->paths[i].letter == letter && path_grows(&f->paths[i], now);
    return grows;
}

/* Seconds until everything is here, at what is to be expected of all. */
static double end_s(const struct plait_fetch *f, uint64_t now)
{
    double sum = 1;

    for (int i = 0; i < f->push.letter_count; i++)
        sum += f->push.letters[i].up ? letter_expected_rate(f, i, plait_to_s(letter_ahead_ns(f, i)), now) : 0;
    for (int i = 0; i < f->path_count; i++) {
        if (push_streams(&f->paths[i]) == 0 && f->paths[i].state == PLAIT_FETCH_PATH_ACTIVE)
            sum += path_rate(&f->paths[i], now);
    }
    return (double)fetch_left(f) / sum;
}

/* Whether the letter can be judged now, and its source be told. */
static bool may_be_cut(const struct plait_fetch *f, int letter, uint64_t now)
{
    const struct letter *t = &f->push.letters[letter];
    const struct steer *st = &f->sources[t->source].steer;

    return t->up && t->due_bytes > 0 && st->kind == STEER_NONE && !is_opening(f, t->source) &&
           now - st->cut_at >= CUT_AGAIN_NS && push_is_carried(f, letter, true) &&
           plait_since(now, t->up_at) >= GRACE_NS + 2 * letter_rtt_ns(f, letter) &&
           !(letter_is_far(f, letter) && letter_grows(f, letter, now));
}

/* The source is cut when it has been too slow for a while; a far one at once, as there is little time. */
static void cut_if_slow(struct plait_fetch *f, uint64_t now, int letter, bool slow, double keep_s,
                        double rate)
{
    struct letter *t = &f->push.letters[letter];
    uint64_t patience = letter_is_far(f, letter) ? 0 : STUTTER_NS + 2 * letter_rtt_ns(f, letter);

    if (!slow || t->slow_since == 0)
        t->slow_since = slow ? now : 0;
    if (slow && now - t->slow_since >= patience)
        cut(f, now, letter, keep_s, rate);
}

/* All is planned: it ends earlier if the letter gives some of it up, and there is time for that. */
static void cut_at_end(struct plait_fetch *f, uint64_t now, int letter, double rate)
{
    double others, others_rate, rest_s = (double)f->push.letters[letter].due_bytes / (rate > 1 ? rate : 1);

    sum_others(f, letter, now, &others, &others_rate);
    if (others_rate <= 0)
        return;
    double together_s = (others + (double)f->push.letters[letter].due_bytes) / (others_rate + rate);
    double answer_s = plait_to_s(letter_answer_ns(f, letter));
    double heard_s = letter_is_far(f, letter) ? answer_s + plait_to_s(FLIGHT_NS + WORTH_NS) : 2 * answer_s;
    bool slow = rest_s > plait_max_d(together_s, heard_s) + plait_to_s(LATE_AT_END_NS);
    cut_if_slow(f, now, letter, slow, together_s, rate);
}

/* More is to be planned: the letter has too much for the time that it was to have work for; a far one, for the time
 * that is left. */
static void cut_underway(struct plait_fetch *f, uint64_t now, int letter, double rate)
{
    double others, others_rate, rest_s = (double)f->push.letters[letter].due_bytes / (rate > 1 ? rate : 1);
    double ahead_s = plait_to_s(letter_ahead_ns(f, letter)), keep_s = ahead_s / 2;

    sum_others(f, letter, now, &others, &others_rate);
    if (letter_is_far(f, letter))
        ahead_s = keep_s = end_s(f, now);
    bool slow = others_rate > 0 && rest_s > ahead_s + plait_to_s(LATE_NS);
    cut_if_slow(f, now, letter, slow, keep_s, rate);
}

void push_look_at_shares(struct plait_fetch *f, uint64_t now)
{
    bool planned = push_all_taken(f), news = planned && is_somebody_new(f);

    for (int i = 0; i < f->push.letter_count; i++) {
        if (!may_be_cut(f, i, now))
            continue;
        double ahead_s = letter_is_far(f, i) ? plait_to_s(letter_ahead_ns(f, i)) : 0;
        double rate = letter_expected_rate(f, i, ahead_s, now);
        if (letter_is_far(f, i)) /* nothing may come while one waits for what was lost */
            rate = plait_max_d(rate, letter_rate_mean(f, i));
        if (news && (double)f->push.letters[i].due_bytes > 2 * rate * plait_to_s(AHEAD_NS))
            cut(f, now, i, plait_to_s(AHEAD_NS), rate);
        if (f->sources[f->push.letters[i].source].steer.kind != STEER_NONE)
            continue;
        if (planned)
            cut_at_end(f, now, i, rate);
        else
            cut_underway(f, now, i, rate);
    }
}
