/*
 * Letters: what is planned for each, and how they do.
 */
#include "fetch_push.h"
#include "repattern.h"
#include "scheduler.h"

#define AHEAD_NS       PLAIT_REPATTERN_LOOKAHEAD_NS
#define ALONE_AHEAD_NS (4 * PLAIT_S) /* one source shares out among its connections itself */
#define SWAY           0.35          /* of samples, when the rate is as it was */
#define RATE_NS        (300 * PLAIT_MS)
#define SETTLED_NS     (1 * PLAIT_S) /* once it has brought something for so long, */
#define BURST          1.0           /* so much more than usual is what waited behind a lost packet */
#define STEADY         0.15          /* the part of the latest interval in the mean over some seconds */
#define FELL           0.3           /* so much slower is no stutter */

uint64_t push_block_count(const struct plait_fetch *f)
{
    return plait_block_count(f->map.size, f->push.block_bytes);
}

/* ---- the plan ---- */

bool push_remembers(const struct push *u, uint64_t block)
{
    return block < u->end && u->end - block <= PLAN_BLOCKS;
}

/* Letter of the block, or LETTER_NOBODY. */
uint8_t push_plan_at(const struct push *u, uint64_t block)
{
    return push_remembers(u, block) ? u->plan[block % PLAN_BLOCKS] & (uint8_t)~PLAN_TWICE : LETTER_NOBODY;
}

void push_plan_set(struct push *u, uint64_t block, uint8_t letter)
{
    if (push_remembers(u, block))
        u->plan[block % PLAN_BLOCKS] = letter;
}

void push_plan_drop(struct push *u, uint64_t block)
{
    if (push_remembers(u, block))
        u->past[block % PLAN_BLOCKS] = push_plan_at(u, block);
    push_plan_set(u, block, LETTER_NOBODY);
}

bool push_was_planned(const struct push *u, int letter, uint64_t block)
{
    return push_remembers(u, block) && u->past[block % PLAN_BLOCKS] == letter;
}

bool push_is_copy(const struct push *u, int letter, uint64_t block)
{
    return push_remembers(u, block) && (u->also[block % PLAN_BLOCKS] >> letter & 1) != 0;
}

void push_note_copy(struct push *u, int letter, uint64_t block)
{
    if (!push_remembers(u, block) || push_is_copy(u, letter, block))
        return;
    u->also[block % PLAN_BLOCKS] |= UINT64_C(1) << letter;
    u->letters[letter].copy_bytes += u->block_bytes;
}

bool push_is_copied(const struct plait_fetch *f, int source, uint64_t lo, uint64_t hi)
{
    const struct push *u = &f->push;

    for (int i = 0; i < u->letter_count && u->block_bytes > 0; i++) {
        for (uint64_t b = lo / u->block_bytes; u->letters[i].source == source && b * u->block_bytes < hi;
             b++) {
            if (push_is_copy(u, i, b))
                return true;
        }
    }
    return false;
}

void push_forget_copies(struct plait_fetch *f, int letter, uint64_t from)
{
    struct push *u = &f->push;

    from = plait_max_u64(from, plait_since(u->end, PLAN_BLOCKS));
    for (uint64_t b = from; u->letters[letter].copy_bytes > 0 && b < u->end; b++) {
        if (!push_is_copy(u, letter, b))
            continue;
        u->also[b % PLAN_BLOCKS] &= ~(UINT64_C(1) << letter);
        u->letters[letter].copy_bytes -= plait_min_u64(u->block_bytes, u->letters[letter].copy_bytes);
    }
}

/* What the source is to hear of the block: a letter of its own, if one of them is to push it. */
static uint8_t letter_for(const struct plait_fetch *f, int source, uint64_t block)
{
    const struct push *u = &f->push;
    uint8_t letter = push_plan_at(u, block);

    if (letter != LETTER_NOBODY && u->letters[letter].source == source)
        return letter;
    for (int i = 0; f->config.redundant > 1 && i < u->letter_count; i++) {
        if (u->letters[i].source == source && push_is_copy(u, i, block))
            return (uint8_t)i;
    }
    return letter;
}

bool push_concerns(const struct plait_fetch *f, int source, uint64_t block)
{
    uint8_t letter = letter_for(f, source, block);

    return letter != LETTER_NOBODY && f->push.letters[letter].source == source;
}

bool letter_is_named(const struct letter *t, uint64_t block)
{
    for (unsigned i = 0; i < ASKED_MAX && i < t->asked_count; i++) {
        if (block >= t->asked[i].first && block <= t->asked[i].last)
            return true;
    }
    return false;
}

bool letter_is_asked(const struct plait_fetch *f, int letter, uint64_t block)
{
    struct plait_extent e;

    if (push_plan_at(&f->push, block) == letter || push_is_copy(&f->push, letter, block) ||
        letter_is_named(&f->push.letters[letter], block))
        return true;
    return plait_blockmap_at(&f->map, block * f->push.block_bytes, &e) && e.state == PLAIT_BLOCK_TAKEN &&
           e.owner == OWNER_LETTER + letter;
}

void steer_fill_span(struct plait_fetch *f, uint64_t first, uint64_t last, struct plait_fetch_stream *out)
{
    uint8_t *pattern = f->push.pattern;
    int source = f->push.letters[out->letter].source;
    struct steer *st = &f->sources[source].steer;
    bool shared = f->push.letter_count == 1 && !st->patterned; /* and nobody else: the source shares it out */
    size_t len = 0;

    for (uint64_t b = first; b <= last && len < PLAIT_PATTERN_LETTERS_MAX; b++) {
        pattern[len] = letter_for(f, source, b);
        shared &= pattern[len++] == 0;
    }
    out->first = first;
    out->last = last;
    out->pattern = pattern;
    out->pattern_len = shared ? 0 : len;
    st->patterned = !shared;
}

size_t plait_fetch_get_pattern(const struct plait_fetch *f, uint8_t *letters, size_t max)
{
    size_t n = 0;
    uint64_t from = f->push.end;

    for (; from > 0 && n < max && push_remembers(&f->push, from - 1); from--)
        n += push_plan_at(&f->push, from - 1) != LETTER_NOBODY;
    n = 0;
    for (; from < f->push.end; from++) {
        if (push_plan_at(&f->push, from) != LETTER_NOBODY && n < max)
            letters[n++] = push_plan_at(&f->push, from);
    }
    return n;
}

/* The first bytes from `at` on that are planned for the letter. */
bool letter_find_due(const struct plait_fetch *f, int letter, uint64_t at, struct plait_extent *e)
{
    while (plait_blockmap_find(&f->map, at, PLAIT_BLOCK_TAKEN, e)) {
        if (e->owner == OWNER_LETTER + letter)
            return true;
        at = e->hi;
    }
    return false;
}

bool letter_first_due(const struct plait_fetch *f, int letter, uint64_t *block)
{
    struct plait_extent e;

    if (f->push.letters[letter].due_bytes == 0 || !letter_find_due(f, letter, 0, &e))
        return false;
    *block = e.lo / f->push.block_bytes;
    return true;
}

void letter_release(struct plait_fetch *f, int letter, uint64_t from, uint64_t to)
{
    struct plait_extent e;
    uint64_t size = f->push.block_bytes, end = to > f->map.size / size ? f->map.size : to * size;

    for (uint64_t at = from * size; at < end && letter_find_due(f, letter, at, &e) && e.lo < end; at = e.hi)
        fetch_mark(f, e.lo, plait_min_u64(e.hi, end), PLAIT_BLOCK_FREE, 0);
    f->replan = true;
}

void letter_down(struct plait_fetch *f, int letter)
{
    struct letter *t = &f->push.letters[letter];
    bool others = false;

    letter_release(f, letter, 0, UINT64_MAX);
    push_forget_copies(f, letter, 0);
    t->due_bytes = t->copy_bytes = 0;
    t->up = false;
    t->hole_since = PLAIT_NEVER;
    for (int i = 0; i < f->push.letter_count; i++)
        others |= i != letter && f->push.letters[i].source == t->source && f->push.letters[i].up;
    if (!others) {
        steer_forget(&f->sources[t->source].steer);
        f->sources[t->source].steer.block_count = 0;
    }
}

/* ---- how the letters do ---- */

static bool is_carrier(const struct path *p, int letter)
{
    return p->letter == letter && p->state == PLAIT_FETCH_PATH_ACTIVE;
}

double letter_rate(const struct plait_fetch *f, int letter, uint64_t now)
{
    double sum = 0;

    for (int i = 0; i < f->path_count; i++) {
        if (is_carrier(&f->paths[i], letter))
            sum += path_rate(&f->paths[i], now);
    }
    return sum;
}

/* The same, for the near future: of a path that still opens its windows more is to be expected; of one that has done so,
 * what it usually brings. */
double letter_expected_rate(const struct plait_fetch *f, int letter, double ahead_s, uint64_t now)
{
    double sum = 0;

    for (int i = 0; i < f->path_count; i++) {
        const struct path *p = &f->paths[i];
        if (!is_carrier(p, letter))
            continue;
        sum += p->est.rtt_min_ns > PUSH_FAR_NS ? path_rate_after(p, ahead_s, now) : path_rate(p, now);
    }
    double usual = f->push.letters[letter].rate;
    if (letter_is_far(f, letter)) /* what came over some tenths of a second says nothing of one */
        return sum;
    bool settled = plait_since(now, f->push.letters[letter].up_at) > SETTLED_NS;
    return sum < usual * (1 + (settled ? BURST : SWAY)) && sum > usual * (1 - SWAY) ? usual : sum;
}

double letter_rate_mean(const struct plait_fetch *f, int letter)
{
    double sum = 0;

    for (int i = 0; i < f->path_count; i++)
        sum += is_carrier(&f->paths[i], letter) ? f->paths[i].est.rate : 0;
    return sum;
}

double letter_rate_seen(const struct plait_fetch *f, int letter, uint64_t now)
{
    const struct letter *t = &f->push.letters[letter];
    double sum = 0, usual = plait_max_d(t->rate, t->steady_rate);
    bool far = letter_is_far(f, letter);

    for (int i = 0; i < f->path_count; i++) {
        const struct path *p = &f->paths[i];
        if (is_carrier(p, letter))
            sum += far ? path_rate_seen(p, now) : path_rate(p, now);
    }
    return far || usual <= 0 ? sum : usual;
}

uint64_t letter_load_bytes(const struct plait_fetch *f, int letter, uint64_t now)
{
    const struct letter *t = &f->push.letters[letter];
    uint64_t behind = 0;

    if (!letter_is_far(f, letter))
        return t->due_bytes + t->copy_bytes;
    for (int i = 0; i < f->path_count; i++) {
        if (is_carrier(&f->paths[i], letter))
            behind += (uint64_t)plait_estimator_behind(&f->paths[i].est, now);
    }
    return plait_since(t->due_bytes + t->copy_bytes + letter_range_bytes(f, letter), behind);
}

uint64_t letter_range_bytes(const struct plait_fetch *f, int letter)
{
    uint64_t sum = 0;

    for (int i = 0; i < f->path_count; i++) {
        if (is_carrier(&f->paths[i], letter) && f->paths[i].est.rtt_min_ns > PUSH_FAR_NS)
            sum += path_outstanding(f, i) - push_outstanding(f, i);
    }
    return sum;
}

/*
 * What the letter brings over some intervals: it sways less than the latest samples. What comes behind a lost packet
 * comes late and in a burst: an interval that is quite unlike the others counts together with the next.
 */
void letter_learn_rate(struct plait_fetch *f, uint64_t now, int letter)
{
    struct letter *t = &f->push.letters[letter];
    uint64_t since = plait_since(now, t->rated_at);
    double rate = (double)t->came_bytes / plait_to_s(since > 0 ? since : 1);

    if (!t->up || now < t->up_at) {
        t->rated_at = now;
        t->came_bytes = 0;
    }
    if (since < RATE_NS)
        return;
    if (t->due_bytes > 0) {
        double latest = letter_rate(f, letter, now);
        bool moved = rate > 1.5 * t->rate || rate < 0.67 * t->rate;
        if (t->rate <= 0)
            t->rate = latest;
        else if (!moved)
            t->rate = 0.7 * t->rate + 0.3 * (t->odd_rate > 0 ? (rate + t->odd_rate) / 2 : rate);
        else if (t->odd_rate > 0 || rate < FELL * t->rate)
            t->rate = t->odd_rate > 0 ? (rate + t->odd_rate) / 2 : rate;
        t->odd_rate = moved && t->odd_rate <= 0 ? rate : 0;
        t->steady_rate = t->steady_rate <= 0 ? t->rate : t->steady_rate + STEADY * (rate - t->steady_rate);
    }
    t->rated_at = now;
    t->came_bytes = 0;
}

uint64_t letter_rtt_ns(const struct plait_fetch *f, int letter)
{
    uint64_t rtt = 0;

    for (int i = 0; i < f->path_count; i++) {
        if (is_carrier(&f->paths[i], letter))
            rtt = plait_max_u64(rtt, f->paths[i].est.rtt_min_ns);
    }
    return rtt;
}

/* From telling it something to what comes of that, in the queues that it has to stand in. */
uint64_t letter_answer_ns(const struct plait_fetch *f, int letter)
{
    uint64_t took = f->sources[f->push.letters[letter].source].steer.took_ns;

    return plait_max_u64(letter_rtt_ns(f, letter), took);
}

/* The least round trip of a path of the source. */
uint64_t source_rtt_min_ns(const struct plait_fetch *f, int source)
{
    uint64_t rtt = PLAIT_NEVER;

    for (int i = 0; i < f->path_count; i++) {
        if (f->paths[i].source == source && f->paths[i].est.rtt_min_ns > 0)
            rtt = plait_min_u64(rtt, f->paths[i].est.rtt_min_ns);
    }
    return rtt == PLAIT_NEVER ? 0 : rtt;
}

int letter_of_kin(const struct plait_fetch *f, const struct path *p)
{
    for (int i = 0; i < f->path_count && !p->own_letter; i++) {
        if (f->paths[i].letter != NO_LETTER && f->paths[i].source == p->source && !f->paths[i].own_letter)
            return f->paths[i].letter;
    }
    return NO_LETTER;
}

/* Whether nobody but this letter brings anything, or is about to. */
static bool is_alone(const struct plait_fetch *f, int letter)
{
    for (int i = 0; i < f->path_count; i++) {
        const struct path *p = &f->paths[i];
        bool there = p->state == PLAIT_FETCH_PATH_ACTIVE || p->state == PLAIT_FETCH_PATH_NEW;
        if (p->letter != letter && there && source_usable(f, p->source) && letter_of_kin(f, p) != letter)
            return false;
    }
    return true;
}

bool letter_is_far(const struct plait_fetch *f, int letter)
{
    uint64_t least = PLAIT_NEVER;

    for (int i = 0; i < f->path_count; i++) {
        if (is_carrier(&f->paths[i], letter))
            least = plait_min_u64(least, f->paths[i].est.rtt_min_ns);
    }
    return least != PLAIT_NEVER && least > PUSH_FAR_NS;
}

bool push_has_ranges(const struct plait_fetch *f)
{
    for (int i = 0; i < f->path_count; i++) {
        const struct path *p = &f->paths[i];
        if (p->state == PLAIT_FETCH_PATH_ACTIVE && push_streams(p) == 0 && source_usable(f, p->source))
            return true;
    }
    return false;
}

/*
 * How far ahead everybody is to have work. A far letter's is only there a round trip after it was told; the first time
 * there is a connection to be made. Much more than that would stand in the queue on the way, behind which the letter's
 * answers wait and at whose end its packets are lost: what it is told ahead is its window.
 */
uint64_t letter_ahead_ns(const struct plait_fetch *f, int letter)
{
    uint64_t rtt = letter_rtt_ns(f, letter);

    if (is_alone(f, letter))
        return ALONE_AHEAD_NS + 4 * rtt;
    if (!letter_is_far(f, letter))
        return AHEAD_NS + 2 * rtt;
    bool answered = f->sources[f->push.letters[letter].source].steer.took_ns > 0;
    return answered ? AHEAD_NS / 2 + rtt + rtt / 2 : 3 * rtt;
}
