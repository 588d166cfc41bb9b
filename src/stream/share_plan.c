/*
 * The plan: steps, by rising block, each with a pattern that repeats (seed 002, figures 6, 10A, 10B and 12)
 * or shared by all connections. Steps are added where no step is (`cover`) and replaced from a block on that
 * nobody has been given yet (`steer`); what is given never changes its letter.
 */
#include "share_int.h"

#include <string.h>

_Static_assert(PLAIT_PATTERN_LEN_MAX == PLAIT_PATTERN_LETTERS_MAX, "a field's pattern fits a pattern");

/* Where in its pattern the block stands. */
static unsigned position(const struct step *p, uint64_t block)
{
    unsigned len = p->pattern.len;

    return (unsigned)((block % len + len - p->from % len) % len);
}

static uint64_t step_next(const struct step *p, uint8_t letter, uint64_t from)
{
    if (p->count[letter] == 0)
        return NO_BLOCK;
    unsigned len = p->pattern.len, at = position(p, from);
    const uint8_t *path = p->pattern.path;
    const uint8_t *hit = memchr(path + at, letter, len - at);
    uint64_t ahead = hit != NULL ? (uint64_t)(hit - path) - at : 0;
    if (hit == NULL) {
        hit = memchr(path, letter, at);
        ahead = hit != NULL ? (uint64_t)(hit - path) + len - at : 0;
    }
    uint64_t block = plait_add_sat(from, ahead);
    return block <= p->last ? block : NO_BLOCK;
}

uint64_t plan_next(const struct plait_share *s, uint8_t letter, uint64_t from)
{
    for (unsigned i = 0; i < s->step_count; i++) {
        const struct step *p = &s->steps[i];
        if (p->last < from)
            continue;
        uint64_t block = step_next(p, letter, plait_max_u64(p->first, from));
        if (block != NO_BLOCK)
            return block;
    }
    return NO_BLOCK;
}

static uint64_t step_count(const struct step *p, uint8_t letter, uint64_t lo, uint64_t hi)
{
    if (p->count[letter] == 0)
        return 0;
    unsigned len = p->pattern.len;
    uint64_t count = (hi - lo) / len * p->count[letter];
    for (uint64_t block = hi - (hi - lo) % len; block < hi; block++)
        count += p->pattern.path[position(p, block)] == letter;
    return count;
}

uint64_t plan_count(const struct plait_share *s, uint8_t letter, uint64_t lo, uint64_t hi)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < s->step_count; i++) {
        const struct step *p = &s->steps[i];
        uint64_t from = plait_max_u64(lo, p->first);
        uint64_t to = plait_min_u64(hi, plait_add_sat(p->last, 1));
        if (from < to)
            count += step_count(p, letter, from, to);
    }
    return count;
}

uint64_t plan_end(const struct plait_share *s)
{
    return s->step_count > 0 ? plait_add_sat(s->steps[s->step_count - 1].last, 1) : 0;
}

/*
 * Whether both give the `count` blocks from `from` on to the same. Two sequences with periods a and b that agree
 * over a + b elements agree for ever (Fine and Wilf 1965).
 */
static bool agree(const struct step *a, const struct step *b, uint64_t from, uint64_t count)
{
    if (a->done || b->done || (a->pattern.len == 0) != (b->pattern.len == 0))
        return false;
    if (a->pattern.len == 0)
        return true;
    unsigned look = (unsigned)plait_min_u64(count, (uint64_t)a->pattern.len + b->pattern.len);
    unsigned at_a = position(a, from), at_b = position(b, from);
    for (unsigned i = 0; i < look; i++)
        if (a->pattern.path[(at_a + i) % a->pattern.len] != b->pattern.path[(at_b + i) % b->pattern.len])
            return false;
    return true;
}

/* Whether b, which begins where a ends, is a going on. */
static bool continues(const struct step *a, const struct step *b)
{
    return plait_add_sat(a->last, 1) == b->first && agree(a, b, b->first, UINT64_MAX);
}

static void step_init(struct step *p, struct plait_span span, const struct plait_pattern *pattern)
{
    memset(p, 0, sizeof *p);
    p->first = p->from = span.first;
    p->last = span.last;
    if (pattern == NULL)
        return;
    p->pattern.len = pattern->len;
    memcpy(p->pattern.path, pattern->path, pattern->len);
    for (unsigned i = 0; i < pattern->len; i++)
        p->count[pattern->path[i]]++;
}

/* Below it no connection and no frame in flight needs the plan any more. */
static uint64_t needed_from(const struct plait_share *s)
{
    uint64_t needed = plait_min_u64(s->at, set_next(s, &s->sets[SET_SHARED], 0));

    for (unsigned letter = 0; letter < PLAIT_LETTERS; letter++)
        if (s->carriers[letter] > 0)
            needed = plait_min_u64(needed, set_next(s, &s->sets[letter], 0));
    for (unsigned i = 0; i < s->conns_max; i++) {
        const struct conn *c = &s->conns[i];
        for (unsigned k = 0; c->open && k < c->ring_count; k++) {
            uint64_t frame = c->ring[(c->ring_first + k) % PLAIT_SHARE_INFLIGHT_MAX];
            if ((frame & 0xff) < PLAN_SETS)
                needed = plait_min_u64(needed, frame >> 8);
        }
    }
    return needed;
}

/* What is due of the step goes to nobody any more. */
static void forget_step(struct plait_share *s, struct step *p)
{
    for (unsigned letter = 0; letter < PLAIT_LETTERS; letter++) {
        if (p->count[letter] == 0)
            continue;
        if (s->carried >> letter & 1)
            s->dropped_blocks += set_count(s, &s->sets[letter], p->first, p->last + 1, NO_BLOCK - 1);
        (void)set_remove(s, &s->sets[letter], p->first, p->last + 1);
        p->count[letter] = 0;
    }
    p->pattern.len = 0;
    p->done = true;
}

/* Steps that are not needed are forgotten: one remains of those that follow each other. Never the last one,
 * whose pattern is the present one. */
static void forget_steps(struct plait_share *s)
{
    uint64_t needed = needed_from(s);
    unsigned kept = 0;

    for (unsigned i = 0; i < s->step_count; i++) {
        struct step *p = &s->steps[i];
        if (!p->done && i + 1 < s->step_count && p->last < needed)
            forget_step(s, p);
        if (kept > 0 && p->done && s->steps[kept - 1].done && s->steps[kept - 1].last + 1 == p->first)
            s->steps[kept - 1].last = p->last;
        else if (kept++ != i)
            s->steps[kept - 1] = *p;
    }
    s->step_count = kept;
}

/* What it takes to put a step into the plan. */
struct need {
    unsigned steps;    /* more than there are */
    unsigned replaced; /* that go */
    unsigned ranges;
};

static bool has_room(struct plait_share *s, struct need need)
{
    if (s->step_count - need.replaced + need.steps > PLAIT_SHARE_STEPS_MAX)
        forget_steps(s);
    return s->step_count - need.replaced + need.steps <= PLAIT_SHARE_STEPS_MAX &&
           s->ranges_left >= need.ranges;
}

/* How many sets the step's blocks become due in. */
static unsigned count_sets(const struct step *p)
{
    unsigned count = p->pattern.len == 0;

    for (unsigned letter = 0; letter < PLAIT_LETTERS; letter++)
        count += p->count[letter] > 0;
    return count;
}

/* The blocks of the step become due. There is room. */
static void make_due(struct plait_share *s, const struct step *p)
{
    uint64_t hi = plait_add_sat(p->last, 1);

    if (!s->live)
        hi = plait_min_u64(hi, share_available(s));
    if (p->pattern.len == 0)
        (void)set_add(s, &s->sets[SET_SHARED], p->first, hi, 0);
    for (unsigned letter = 0; letter < PLAIT_LETTERS; letter++)
        if (p->count[letter] > 0)
            (void)set_add(s, &s->sets[letter], p->first, hi, 0);
}

/* Puts the step where its blocks are free of steps. There is room. */
static void insert(struct plait_share *s, const struct step *p)
{
    unsigned i = s->step_count;

    while (i > 0 && s->steps[i - 1].first > p->first)
        i--;
    if (i > 0 && continues(&s->steps[i - 1], p)) {
        s->steps[i - 1].last = p->last;
    } else {
        memmove(s->steps + i + 1, s->steps + i, (s->step_count - i) * sizeof *s->steps);
        s->steps[i] = *p;
        s->step_count++;
    }
    make_due(s, p);
}

/* The first blocks from `from` on that have no step, clipped to `last`. False where there are none. */
static bool next_gap(const struct plait_share *s, uint64_t from, uint64_t last, struct plait_span *gap)
{
    for (unsigned i = 0; i < s->step_count && from <= last; i++) {
        const struct step *p = &s->steps[i];
        if (p->last < from)
            continue;
        if (p->first > from) {
            *gap = (struct plait_span){from, plait_min_u64(last, p->first - 1)};
            return true;
        }
        if (p->last == PLAIT_SPAN_OPEN)
            return false;
        from = p->last + 1;
    }
    *gap = (struct plait_span){from, last};
    return from <= last;
}

/* To put p wherever there is none in the span; where it continues another step, it becomes part of it. */
static struct need need_of(const struct plait_share *s, struct plait_span span, struct step *p)
{
    struct need need = {0};
    struct plait_span gap;

    for (uint64_t from = span.first; next_gap(s, from, span.last, &gap); from = gap.last + 1) {
        bool goes_on = false;
        p->first = gap.first;
        for (unsigned i = 0; i < s->step_count && !goes_on; i++)
            goes_on = continues(&s->steps[i], p);
        need.steps += !goes_on;
        need.ranges += count_sets(p);
        if (gap.last == PLAIT_SPAN_OPEN)
            break;
    }
    return need;
}

/* Adds the step's pattern wherever there is none in the span. */
static int fill(struct plait_share *s, struct plait_span span, struct step *p)
{
    struct plait_span gap;

    if (!has_room(s, need_of(s, span, p)))
        return PLAIT_ERR_LIMIT;
    for (uint64_t from = span.first; next_gap(s, from, span.last, &gap); from = gap.last + 1) {
        p->first = gap.first;
        p->last = gap.last;
        insert(s, p);
        if (gap.last == PLAIT_SPAN_OPEN)
            break;
    }
    return PLAIT_OK;
}

int plan_cover(struct plait_share *s, struct plait_span span, const struct plait_pattern *pattern)
{
    struct step p;

    if (pattern == NULL && s->step_count > 0)
        p = s->steps[s->step_count - 1];
    else
        step_init(&p, span, pattern);
    return fill(s, span, &p);
}

/* Whether what is planned of the step's blocks up to `last` is planned as it says. */
static bool agrees_to(const struct plait_share *s, const struct step *p, uint64_t last)
{
    for (unsigned i = 0; i < s->step_count; i++) {
        uint64_t from = plait_max_u64(s->steps[i].first, p->first);
        uint64_t to = plait_min_u64(s->steps[i].last, last);
        if (from <= to && !agree(&s->steps[i], p, from, plait_add_sat(to - from, 1)))
            return false;
    }
    return true;
}

/* Whether all of the step holds already. */
static bool holds(const struct plait_share *s, const struct step *p)
{
    uint64_t last = p->last;
    struct plait_span gap;

    if (!s->live && share_available(s) > 0)
        last = plait_min_u64(last, share_available(s) - 1);
    return p->first <= last && !next_gap(s, p->first, last, &gap) && agrees_to(s, p, last);
}

/* How many steps begin at the block, which has not been given, or later: no forgotten ones are among them. */
static unsigned count_from(const struct plait_share *s, uint64_t from)
{
    unsigned count = 0;

    while (count < s->step_count && s->steps[s->step_count - 1 - count].first >= from)
        count++;
    return count;
}

/* The plan ends before that block, from which on none has been given. */
static void cut(struct plait_share *s, uint64_t from)
{
    while (s->step_count > 0 && s->steps[s->step_count - 1].first >= from)
        s->step_count--;
    if (s->step_count > 0 && s->steps[s->step_count - 1].last >= from)
        s->steps[s->step_count - 1].last = from - 1;
    for (unsigned i = 0; i < PLAN_SETS; i++)
        (void)set_remove(s, &s->sets[i], from, NO_BLOCK);
}

/* Whether the plan goes as far as the step or on behind it, and gives what it has of the step's blocks to the same: what
 * was told later, or opened a connection, came first. */
static bool is_overtaken(const struct plait_share *s, const struct step *p)
{
    return p->last < PLAIT_SPAN_OPEN && plan_end(s) > p->last && agrees_to(s, p, p->last);
}

int plan_steer(struct plait_share *s, struct plait_span span, const struct plait_pattern *pattern,
               uint64_t *at)
{
    struct step p;

    if (pattern == NULL)
        return plan_cover(s, span, NULL);
    step_init(&p, span, pattern);
    if (holds(s, &p))
        return PLAIT_OK;
    if (is_overtaken(s, &p))
        return fill(s, span, &p);
    if (span.first < s->at) {
        *at = s->at;
        return PLAIT_ERR_STATE;
    }
    const struct need need = {1, count_from(s, span.first), count_sets(&p)};
    if (!has_room(s, need))
        return PLAIT_ERR_LIMIT;
    cut(s, span.first);
    insert(s, &p);
    return PLAIT_OK;
}
