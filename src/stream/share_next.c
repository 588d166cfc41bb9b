/*
 * What a connection sends next. A block that is due is bound here and nowhere else, so that each goes to
 * whoever can take it first; near the end of what is due not even to that one, where others would have it
 * there sooner (`is_better_left`).
 */
#include "share_int.h"

#include "frame.h"
#include "scheduler.h"

#define STALL_MIN_NS PLAIT_S /* nothing acknowledged for so long, and for STALL_RTTS round trips */
#define STALL_RTTS   4u
#define STUCK_MIN_NS (300 * PLAIT_MS)
#define STUCK_RTO_NS (250 * PLAIT_MS) /* where TCP's own timeout is not known */
#define LOOK_MIN_NS  (2 * PLAIT_MS)   /* between two looks at whether others have kept their promise */
#define LOOK_MAX_NS  (100 * PLAIT_MS)
#define LOOKS        8u /* before the block would have arrived here */

/* ---- frames in flight ---- */

static uint64_t frame_of(uint64_t block, unsigned set)
{
    return block << 8 | set;
}

static uint64_t frame_bytes(const struct plait_share *s, uint64_t frame)
{
    return PLAIT_FRAME_HEADER_BYTES + ((frame & SET_MASK) == SET_NONE ? 0 : share_block_len(s, frame >> 8));
}

/* A block that is on its way here and nowhere else. */
static bool is_block(uint64_t frame)
{
    return (frame & SET_MASK) != SET_NONE && (frame & SET_LEFT) == 0;
}

/* One more or one less of the connection's blocks of that set is in flight. */
static void count_inflight(struct plait_share *s, struct conn *c, unsigned set, int by)
{
    unsigned *of_conn = set < PLAIT_LETTERS ? &c->inflight_plan
                        : set == SET_SHARED ? &c->inflight_shared
                        : set < SETS        ? &c->inflight_asked
                                            : NULL;

    c->inflight += (unsigned)by;
    if (of_conn == NULL)
        return;
    *of_conn += (unsigned)by;
    s->inflight[set] += (unsigned)by;
}

static void push(struct plait_share *s, uint64_t now, struct conn *c, uint64_t frame)
{
    c->ring[(c->ring_first + c->ring_count) % PLAIT_SHARE_INFLIGHT_MAX] = frame;
    if (c->ring_count++ == 0)
        c->progress_at = now;
    c->given_bytes += frame_bytes(s, frame);
    c->link.unsent_bytes += frame_bytes(s, frame); /* until the socket is looked at again */
    if (is_block(frame))
        count_inflight(s, c, frame & SET_MASK, 1);
}

static uint64_t pop(struct plait_share *s, struct conn *c)
{
    uint64_t frame = c->ring[c->ring_first];

    c->ring_first = (c->ring_first + 1) % PLAIT_SHARE_INFLIGHT_MAX;
    c->ring_count--;
    if (is_block(frame))
        count_inflight(s, c, frame & SET_MASK, -1);
    return frame;
}

void plait_share_on_acked(struct plait_share *s, uint64_t now, int conn, uint64_t bytes)
{
    struct conn *c = share_conn(s, conn);
    bool had_blocks = c->inflight > 0, popped = false;

    c->told_at = now;
    if (bytes > c->told_bytes) {
        c->told_bytes = bytes;
        c->progress_at = now;
        c->stirred |= c->stuck;
        c->stuck = false;
    }
    while (c->ring_count > 0 && c->acked_bytes + frame_bytes(s, c->ring[c->ring_first]) <= bytes) {
        c->acked_bytes += frame_bytes(s, c->ring[c->ring_first]);
        c->acked_blocks += (pop(s, c) & SET_MASK) != SET_NONE;
        popped = true;
    }
    c->stirred |= popped;
    /* Others may have waited for no more than to know that nothing comes back from here. */
    if (had_blocks && c->inflight == 0)
        share_stir(s);
}

static void give_back_block(struct plait_share *s, const struct conn *c, uint64_t block, unsigned set)
{
    bool wanted = set < PLAN_SETS || (set < SETS && s->carriers[c->letter] > 0);

    if (wanted && set_add(s, &s->sets[set], block, block + 1, RANGES_SPARED))
        s->returned_blocks++;
    else
        s->dropped_blocks++;
}

void share_give_back(struct plait_share *s, struct conn *c, bool due_again)
{
    while (c->ring_count > 0) {
        uint64_t frame = pop(s, c);
        if (due_again && is_block(frame))
            give_back_block(s, c, frame >> 8, frame & SET_MASK);
    }
}

/* ---- stuck ---- */

static uint64_t patience_ns(const struct conn *c)
{
    uint64_t rtt = plait_min_u64(c->link.rtt_ns, 60 * PLAIT_S), rto = plait_min_u64(c->rto_ns, 60 * PLAIT_S);

    return rto > 0 ? plait_max_u64(STUCK_MIN_NS, 2 * rto + rtt)
                   : plait_max_u64(STUCK_MIN_NS, STUCK_RTO_NS + 4 * rtt);
}

/* Whether the connection may be given a block of that set. */
static bool takes(const struct conn *o, const struct conn *c, uint64_t block, unsigned set)
{
    return set < PLAN_SETS ? share_carries(o, set) && o->floor <= block
                           : o->open && !o->named && !o->ended && o->letter == c->letter;
}

/* Whether somebody else may send the block. */
static bool has_other(const struct plait_share *s, const struct conn *c, uint64_t block, unsigned set)
{
    for (unsigned i = 0; i < s->conns_max && set < SETS; i++) {
        const struct conn *o = &s->conns[i];
        if (o != c && takes(o, c, block, set) && !o->stuck)
            return true;
    }
    return false;
}

/* What the connection has in flight is due again, as far as there are others; it stays in flight as well. */
static bool leave(struct plait_share *s, struct conn *c)
{
    bool any = false;

    for (unsigned i = 0; i < c->ring_count; i++) {
        uint64_t *frame = &c->ring[(c->ring_first + i) % PLAIT_SHARE_INFLIGHT_MAX];
        unsigned set = *frame & SET_MASK;
        if (!is_block(*frame) || !has_other(s, c, *frame >> 8, set) ||
            !set_add(s, &s->sets[set], *frame >> 8, (*frame >> 8) + 1, RANGES_SPARED))
            continue;
        count_inflight(s, c, set, -1);
        *frame |= SET_LEFT;
        s->returned_blocks++;
        any = true;
    }
    return any;
}

void share_leave_stuck(struct plait_share *s)
{
    bool any = false;

    for (unsigned i = 0; i < s->conns_max; i++) {
        struct conn *c = &s->conns[i];
        bool stuck = c->stuck || plait_since(c->told_at, c->progress_at) >= patience_ns(c);
        if (!c->open || c->inflight == 0 || !stuck)
            continue;
        c->stuck = true; /* first: others are not to count on it */
        any |= leave(s, c);
    }
    if (any)
        share_stir(s);
}

uint64_t plait_share_stuck_deadline(const struct plait_share *s)
{
    uint64_t due = PLAIT_NEVER;

    for (unsigned i = 0; i < s->conns_max && s->conn_count > 1; i++) {
        const struct conn *c = &s->conns[i];
        if (c->open && c->inflight > 0 && !c->stuck)
            due = plait_min_u64(due, plait_add_sat(c->progress_at, patience_ns(c)));
    }
    return due;
}

/* ---- what is due ---- */

struct choice {
    uint64_t block; /* or NO_BLOCK */
    unsigned set;   /* number of the set, or SET_OWN */
};

/* The lower of the blocks that the plan has for the connection. */
static struct choice choose_planned(const struct plait_share *s, const struct conn *c)
{
    uint64_t shared = set_next(s, &s->sets[SET_SHARED], c->floor);
    uint64_t lettered = set_next(s, &s->sets[SET_LETTER + c->letter], c->floor);

    return lettered < shared ? (struct choice){lettered, SET_LETTER + c->letter}
                             : (struct choice){shared, SET_SHARED};
}

static struct choice choose(const struct plait_share *s, const struct conn *c)
{
    if (c->named)
        return (struct choice){set_next(s, &c->own, 0), SET_OWN};
    struct choice planned = choose_planned(s, c);
    struct choice asked = {set_next(s, &s->sets[SET_NAMED + c->letter], 0), SET_NAMED + c->letter};
    if (asked.block == NO_BLOCK)
        return planned;
    /* An asked block that is not there yet does not hold up others. */
    return asked.block < share_available(s) || planned.block > asked.block ? asked : planned;
}

/* ---- earliest arrival ---- */

static bool is_stalled(const struct conn *c, uint64_t now)
{
    uint64_t patience = plait_max_u64(STALL_MIN_NS, STALL_RTTS * plait_min_u64(c->link.rtt_ns, 60 * PLAIT_S));

    return c->stuck || (c->inflight > 0 && plait_since(now, c->progress_at) > patience);
}

static struct plait_sched_path path_of(const struct conn *c, uint64_t now)
{
    const struct plait_share_link *l = &c->link;
    uint64_t unsent_ns = plait_time_to_carry((double)l->unsent_bytes, l->rate);
    uint64_t given_ns = plait_time_to_carry((double)plait_since(c->given_bytes, c->told_bytes), l->rate);
    uint64_t queue_ns =
        plait_max_u64(unsent_ns, plait_since(given_ns, l->rtt_ns)); /* some may be sent for the second time */
    uint64_t back_ns = (l->rtt_min_ns > 0 ? plait_min_u64(l->rtt_min_ns, l->rtt_ns) : l->rtt_ns) / 2;

    return (struct plait_sched_path){
        .next_free = plait_add_sat(now, queue_ns), .rate = l->rate, .delay_ns = l->rtt_ns - back_ns};
}

/* How many blocks, given to the connection now, would arrive on it before `by`. */
static uint64_t deliverable(const struct conn *c, uint64_t now, uint64_t by, uint32_t block_bytes)
{
    struct plait_sched_path path = path_of(c, now);
    uint64_t first = plait_sched_arrival(&path, now, block_bytes);
    uint64_t each = plait_time_to_carry(block_bytes, c->link.rate);

    if (first >= by)
        return 0;
    return 1 + (by - 1 - first) / plait_max_u64(each, 1);
}

/* How many blocks are due, or more than `enough`, to whom may send the chosen one: of the plan, in the other set as well. */
static uint64_t count_due(const struct plait_share *s, const struct conn *c, struct choice due,
                          uint64_t enough)
{
    uint64_t end = share_available(s), n = set_count(s, &s->sets[due.set], due.block, end, enough);

    if (due.set >= PLAN_SETS || n > enough)
        return n;
    unsigned other = due.set == SET_SHARED ? SET_LETTER + c->letter : SET_SHARED;
    return n + set_count(s, &s->sets[other], due.block, end, enough - n);
}

/*
 * Whether the others that may send from this set would have delivered all that is due before the block could arrive
 * here, of what was asked for by name those over much shorter paths; *look is when to think again. At least one
 * connection is always given something: the one on which a single block arrives first.
 */
static bool is_better_left(const struct plait_share *s, uint64_t now, const struct conn *c, struct choice due,
                           uint64_t *look)
{
    if (due.set >= SETS || c->link.rate <= 0)
        return false;
    struct plait_sched_path path = path_of(c, now);
    uint64_t by = plait_sched_arrival(&path, now, share_block_len(s, due.block));
    uint64_t others = 0;
    for (unsigned i = 0; i < s->conns_max; i++) {
        const struct conn *o = &s->conns[i];
        bool nearer = due.set < PLAN_SETS || o->link.rtt_ns < c->link.rtt_ns / 2;
        if (o != c && nearer && takes(o, c, due.block, due.set) && !is_stalled(o, now))
            others = plait_add_sat(others, deliverable(o, now, by, s->block_bytes));
    }
    if (others == 0 || count_due(s, c, due, others) > others)
        return false;
    *look = plait_add_sat(now, plait_clamp_u64((by - now) / LOOKS, LOOK_MIN_NS, LOOK_MAX_NS));
    return true;
}

/* ---- answers ---- */

static void give_block(struct plait_share *s, uint64_t now, struct conn *c, struct choice due,
                       struct plait_share_next *out)
{
    set_take(s, due.set == SET_OWN ? &c->own : &s->sets[due.set], due.block);
    push(s, now, c, frame_of(due.block, due.set));
    if (due.set < PLAN_SETS)
        s->at = plait_max_u64(s->at, due.block + 1);
    s->given_blocks++;
    c->given_blocks++;
    c->marked = false;
    c->mark_at = now + PLAIT_SHARE_MARK_NS;
    c->idle_at = PLAIT_NEVER;
    *out = (struct plait_share_next){.kind = PLAIT_SHARE_BLOCK,
                                     .sequence = due.block,
                                     .offset = due.block * s->block_bytes,
                                     .len = share_block_len(s, due.block)};
}

static void give_end(struct plait_share *s, uint64_t now, struct conn *c, struct plait_share_next *out)
{
    push(s, now, c, frame_of(0, SET_NONE));
    if (!c->named)
        s->carriers[c->letter]--;
    c->ended = true;
    *out = (struct plait_share_next){.kind = PLAIT_SHARE_END,
                                     .sequence = s->live ? PLAIT_SHARE_UNKNOWN : share_available(s)};
}

static void give_mark(struct plait_share *s, uint64_t now, struct conn *c, struct choice due,
                      struct plait_share_next *out)
{
    uint64_t below = due.block != NO_BLOCK ? due.block : plan_end(s);

    push(s, now, c, frame_of(0, SET_NONE));
    c->marked = true;
    c->mark_at = now + PLAIT_SHARE_MARK_NS;
    if (!s->live)
        below = plait_min_u64(below, share_available(s));
    *out = (struct plait_share_next){.kind = PLAIT_SHARE_MARK, .sequence = below};
}

static void let_wait(struct conn *c, uint64_t until, struct plait_share_next *out)
{
    c->waiting = true;
    c->stirred = false;
    c->due = until;
    *out = (struct plait_share_next){.kind = PLAIT_SHARE_WAIT};
}

/* Whether nothing that was asked for can come to this connection any more: with none due to it, the plan
 * reaches the end of the stream, and none that another has in flight could come back to it. */
static bool is_finished(const struct plait_share *s, const struct conn *c)
{
    if (c->named)
        return true;
    if (s->live || plan_end(s) < share_available(s))
        return false;
    return s->inflight[SET_LETTER + c->letter] == c->inflight_plan &&
           s->inflight[SET_SHARED] == c->inflight_shared &&
           s->inflight[SET_NAMED + c->letter] == c->inflight_asked;
}

/* Nothing is due to the connection. True where that is the end of it. */
static bool is_over(const struct plait_share *s, uint64_t now, struct conn *c)
{
    if (is_finished(s, c))
        return true;
    if (c->idle_at == PLAIT_NEVER)
        c->idle_at = now + PLAIT_SHARE_IDLE_NS;
    return now >= c->idle_at;
}

void plait_share_next(struct plait_share *s, uint64_t now, int conn, struct plait_share_next *out)
{
    struct conn *c = share_conn(s, conn);
    uint64_t look = PLAIT_NEVER;

    c->waiting = false;
    if (c->ended || c->stuck || c->ring_count == PLAIT_SHARE_INFLIGHT_MAX) {
        let_wait(c, PLAIT_NEVER, out);
        return;
    }
    struct choice due = choose(s, c);
    bool there = due.block < share_available(s); /* NO_BLOCK never is */
    bool left = there && is_better_left(s, now, c, due, &look);
    if (left && due.set >= PLAN_SETS) { /* asked of the letter: others have it there sooner */
        struct choice planned = choose_planned(s, c);
        if (planned.block < share_available(s)) {
            due = planned;
            left = is_better_left(s, now, c, due, &look);
        }
    }
    if (there && !left) {
        give_block(s, now, c, due, out);
        return;
    }
    if (due.block != NO_BLOCK)
        c->idle_at = PLAIT_NEVER;
    else if (is_over(s, now, c)) {
        give_end(s, now, c, out);
        return;
    }
    if (now >= c->mark_at || (!there && !c->marked)) {
        give_mark(s, now, c, due, out);
        return;
    }
    let_wait(c, plait_min_u64(plait_min_u64(look, c->mark_at), c->idle_at), out);
}

bool plait_share_ready(struct plait_share *s, uint64_t now, int *conn)
{
    share_leave_stuck(s);
    for (unsigned i = 0; i < s->conns_max; i++) {
        struct conn *c = &s->conns[i];
        if (!c->open || !c->waiting || c->ended || (!c->stirred && now < c->due))
            continue;
        c->waiting = false;
        *conn = (int)i;
        return true;
    }
    return false;
}

uint64_t plait_share_next_deadline(const struct plait_share *s)
{
    uint64_t due = PLAIT_NEVER;

    for (unsigned i = 0; i < s->conns_max; i++) {
        const struct conn *c = &s->conns[i];
        if (c->open && c->waiting && !c->ended)
            due = plait_min_u64(due, c->due);
    }
    return due;
}
