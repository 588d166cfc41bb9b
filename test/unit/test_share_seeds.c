/*
 * The sending end among random openings, steerings, growth and deaths, beside a model that knows for each
 * block whose it is and how often it was sent. From a seed everything follows; a failure names it.
 *
 *      always   each block of the plan is sent by somebody who may, once, and again only after it came back;
 *               nobody waits who has something due (unless another may be faster); what can be sent by nobody
 *               is told as a hole; what is counted is what happened
 *      at last  a connection of each letter comes: all blocks of the plan that were not named in between are
 *               with somebody exactly once, and all connections end
 *      stuck    what a connection has in flight that is not acknowledged any more is with others, where there
 *               are some, and it is sent nothing before it comes to life
 *
 * Usage: test_share_seeds [FROM [COUNT]]
 */
#include <stdio.h>

#include "prng.h"
#include "share_kit.h"

#define BLOCKS_MAX 300u                /* of a stream */
#define WORLD      (BLOCKS_MAX + 100u) /* and of the plan, but for spans without an end */
#define LETTERS    5u
#define CONNS      12u
#define STEPS      26u /* of the plan; a busy world goes to the bounds */
#define OPS        600u
#define UNPLANNED  255u
#define SHARED     254u
#define NONE       UINT64_MAX

static unsigned long long present_seed, from_seed = 1, seed_count = 1500;

#define HOLDS(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            fail_msg("seed %llu: does not hold: %s", present_seed, #condition);                              \
    } while (0)

enum sent_as { SENT_PLAN, SENT_ASKED, SENT_OWN, SENT_MARK };

/* A frame that a connection has in flight. */
struct sent {
    uint64_t block;
    uint64_t end; /* one past its last byte, among the connection's frames */
    bool left;    /* was given to others meanwhile */
    uint8_t owner;
    enum sent_as as;
};

struct conn_model {
    bool open, named, ended;
    bool stuck;  /* nothing is acknowledged any more */
    bool active; /* was not told to wait */
    uint8_t letter;
    uint64_t floor;
    bool own[WORLD];
    struct sent sent[PLAIT_SHARE_INFLIGHT_MAX];
    unsigned first, count; /* of the ring */
    uint64_t bytes, acked;
};

struct model {
    struct plait_prng prng;
    struct plait_share *s;
    uint64_t now, size, final_size;
    bool live;
    bool rates; /* links are known, so that blocks may be refused */
    bool busy;  /* the first connections have all letters and stay; steering is without end */
    uint8_t owner[WORLD];
    bool due[WORLD];
    bool moved[WORLD];   /* was due when it was named */
    int standing[WORLD]; /* sent by the plan, and did not come back */
    bool asked[LETTERS][WORLD];
    bool has_present;
    unsigned present_len; /* 0: shared */
    uint8_t present[8];
    uint64_t present_from;
    uint64_t at, given, returned, dropped;
    unsigned steps; /* no more than so many */
    struct conn_model conns[CONNS];
};

static uint64_t below(struct model *m, uint64_t n)
{
    return plait_prng_below(&m->prng, n);
}

static bool one_in(struct model *m, uint64_t n)
{
    return below(m, n) == 0;
}

static uint64_t available(const struct model *m)
{
    return m->live ? m->size / KIT_BLOCK : plait_block_count(m->size, KIT_BLOCK);
}

static bool carries(const struct conn_model *c, uint8_t owner)
{
    return c->open && !c->named && !c->ended && (owner == SHARED || owner == c->letter);
}

static bool is_carried(const struct model *m, uint8_t owner, uint64_t block, const struct conn_model *but)
{
    for (unsigned i = 0; i < CONNS; i++)
        if (&m->conns[i] != but && carries(&m->conns[i], owner) && m->conns[i].floor <= block)
            return true;
    return false;
}

/* ---- the plan ---- */

static void random_pattern(struct model *m, struct plait_pattern *p)
{
    p->len = (uint16_t)(1 + below(m, 8));
    for (unsigned i = 0; i < p->len; i++)
        p->path[i] = (uint8_t)below(m, LETTERS);
}

/* One past the last block of the plan; WORLD stands for all that follows. */
static uint64_t plan_end(const struct model *m)
{
    uint64_t end = WORLD;

    while (end > 0 && m->owner[end - 1] == UNPLANNED)
        end--;
    return end;
}

static struct plait_span random_span(struct model *m)
{
    uint64_t first = one_in(m, 3) ? 0 : below(m, BLOCKS_MAX);

    if (one_in(m, 2))
        first = plait_min_u64(plan_end(m), BLOCKS_MAX);
    if (m->busy || one_in(m, 4))
        return (struct plait_span){first, PLAIT_SPAN_OPEN};
    return (struct plait_span){first, first + below(m, 90)};
}

static uint8_t present_owner(const struct model *m, uint64_t block)
{
    uint64_t len = m->present_len;

    return len == 0 ? SHARED : m->present[(block % len + len - m->present_from % len) % len];
}

static void set_present(struct model *m, uint64_t from, const struct plait_pattern *p)
{
    m->has_present = true;
    m->present_from = from;
    m->present_len = p != NULL ? p->len : 0;
    if (p != NULL)
        memcpy(m->present, p->path, p->len);
}

static void plan_span(struct model *m, struct plait_span span)
{
    for (uint64_t b = span.first; b < WORLD && b <= span.last; b++)
        if (m->owner[b] == UNPLANNED) {
            m->owner[b] = present_owner(m, b);
            m->due[b] = m->live || b < available(m);
        }
}

/* Pieces of the span that the plan does not have. */
static unsigned pieces(const struct model *m, struct plait_span span)
{
    unsigned count = 0;

    for (uint64_t b = span.first; b < WORLD && b <= span.last; b++)
        count += m->owner[b] == UNPLANNED && (b == span.first || m->owner[b - 1] != UNPLANNED);
    return count;
}

/* Where a pattern only fills gaps, the present one, which is the last, stays the present one. */
static void cover(struct model *m, struct plait_span span, const struct plait_pattern *p)
{
    uint64_t end = plan_end(m);
    const unsigned len = m->present_len;
    const uint64_t from = m->present_from;
    uint8_t present[sizeof m->present];
    bool had = m->has_present;

    memcpy(present, m->present, sizeof present);
    m->steps += pieces(m, span);
    if (p != NULL || !had)
        set_present(m, span.first, p);
    plan_span(m, span);
    if (had && plan_end(m) == end) {
        memcpy(m->present, present, sizeof present);
        m->present_len = len;
        m->present_from = from;
    }
}

/* Whether the plan has this already, as far as the stream goes. */
static bool holds(const struct model *m, struct plait_span span, const struct plait_pattern *p)
{
    uint64_t last = plait_min_u64(span.last, WORLD - 1);

    if (!m->live && available(m) > 0)
        last = plait_min_u64(last, available(m) - 1);
    for (uint64_t b = span.first; b <= last; b++)
        if (m->owner[b] != p->path[(b - span.first) % p->len])
            return false;
    return span.first <= last;
}

/* Whether what is planned of the span is planned like this, and the plan reaches its end. */
static bool is_overtaken(const struct model *m, struct plait_span span, const struct plait_pattern *p)
{
    for (uint64_t b = span.first; b < WORLD && b <= span.last; b++)
        if (m->owner[b] != UNPLANNED && m->owner[b] != p->path[(b - span.first) % p->len])
            return false;
    return span.last < PLAIT_SPAN_OPEN && plan_end(m) > plait_min_u64(span.last, WORLD - 1);
}

static void replace(struct model *m, struct plait_span span, const struct plait_pattern *p)
{
    for (uint64_t b = span.first; b < WORLD; b++) {
        m->owner[b] = UNPLANNED;
        m->due[b] = m->moved[b] = false;
    }
    m->steps++;
    set_present(m, span.first, p);
    plan_span(m, span);
}

static void steer_on(struct model *m, struct plait_span span)
{
    uint64_t at;

    HOLDS(plait_share_steer(m->s, m->now, span, NULL, &at) == PLAIT_OK);
    cover(m, span, NULL);
}

static void steer(struct model *m)
{
    struct plait_span span = random_span(m);
    struct plait_pattern p;
    uint64_t at = NONE;

    if (m->steps + pieces(m, span) + 1 > STEPS && !m->busy)
        return;
    if (one_in(m, 4)) {
        steer_on(m, span);
        return;
    }
    if (one_in(m, 2))
        span.first = plait_min_u64(m->at + below(m, 20), BLOCKS_MAX);
    span.last = plait_max_u64(span.first, span.last);
    random_pattern(m, &p);
    bool same = holds(m, span, &p), overtaken = is_overtaken(m, span, &p);
    int err = plait_share_steer(m->s, m->now, span, &p, &at);
    HOLDS(err == PLAIT_OK || err == PLAIT_ERR_STATE || (m->busy && err == PLAIT_ERR_LIMIT));
    if (err == PLAIT_ERR_STATE)
        HOLDS(span.first < m->at && at == m->at && (!same || m->busy));
    if (err == PLAIT_OK)
        HOLDS(same || overtaken || span.first >= m->at);
    if (err == PLAIT_OK && overtaken)
        cover(m, span, &p);
    else if (err == PLAIT_OK && !same)
        replace(m, span, &p);
}

/* ---- connections ---- */

static void name_block(struct model *m, uint64_t block, bool *set)
{
    m->moved[block] = m->moved[block] || m->due[block];
    m->due[block] = false;
    for (unsigned letter = 0; letter < LETTERS; letter++)
        m->asked[letter][block] = false;
    set[block] = true;
}

static size_t random_blocks(struct model *m, struct plait_span *blocks)
{
    size_t count = 1 + below(m, 4);
    uint64_t end = m->live ? BLOCKS_MAX : available(m);

    for (size_t i = 0; i < count && end > 0; i++) {
        blocks[i].first = below(m, end);
        blocks[i].last = plait_min_u64(end - 1, blocks[i].first + below(m, one_in(m, 3) ? 20 : 2));
    }
    return end > 0 ? count : 0;
}

static void name_blocks(struct model *m, const struct plait_span *blocks, size_t count, bool *set)
{
    for (size_t i = 0; i < count; i++)
        for (uint64_t b = blocks[i].first; b <= blocks[i].last; b++)
            name_block(m, b, set);
}

/* False where there is no place for one. */
static bool open_conn(struct model *m, const struct plait_share_request *r)
{
    unsigned place = 0;

    while (place < CONNS && m->conns[place].open)
        place++;
    if (place == CONNS) {
        HOLDS(plait_share_open(m->s, m->now, r) == PLAIT_ERR_LIMIT);
        return false;
    }
    int conn = plait_share_open(m->s, m->now, r);
    if (conn == PLAIT_ERR_LIMIT && m->busy)
        return false;
    HOLDS(conn == (int)place);
    struct conn_model *c = &m->conns[place];
    memset(c, 0, sizeof *c);
    c->open = c->active = true;
    c->letter = r->letter;
    c->named = r->count > 0;
    c->floor = c->named ? 0 : r->span.first;
    if (c->named)
        name_blocks(m, r->blocks, r->count, c->own);
    else
        cover(m, r->span, r->pattern);
    return true;
}

static void open_random(struct model *m)
{
    struct plait_span blocks[4];
    struct plait_pattern p;
    struct plait_share_request r = {.letter = (uint8_t)below(m, LETTERS), .span = random_span(m)};

    if (one_in(m, 4)) {
        r.blocks = blocks;
        r.count = random_blocks(m, blocks);
    }
    if (one_in(m, 2)) {
        random_pattern(m, &p);
        r.pattern = &p;
    }
    if (r.count > 0 || m->steps + pieces(m, r.span) <= STEPS || m->busy)
        (void)open_conn(m, &r);
}

static void ask(struct model *m)
{
    struct plait_span blocks[4];
    uint8_t letter = (uint8_t)below(m, LETTERS);
    size_t count = random_blocks(m, blocks);

    if (count == 0)
        return;
    int err = plait_share_ask(m->s, m->now, letter, blocks, count);
    HOLDS(err == (is_carried(m, letter, NONE, NULL) ? PLAIT_OK : PLAIT_ERR_NOTFOUND));
    if (err == PLAIT_OK)
        name_blocks(m, blocks, count, m->asked[letter]);
}

static void acknowledge(struct model *m, unsigned i, uint64_t bytes)
{
    struct conn_model *c = &m->conns[i];

    plait_share_on_acked(m->s, m->now, (int)i, bytes);
    c->stuck = c->stuck && bytes <= c->acked;
    c->acked = plait_max_u64(c->acked, bytes);
    while (c->count > 0 && c->sent[c->first % PLAIT_SHARE_INFLIGHT_MAX].end <= c->acked) {
        c->first++;
        c->count--;
    }
}

static void come_back(struct model *m, const struct conn_model *c, const struct sent *sent)
{
    if (sent->as == SENT_PLAN) {
        HOLDS(m->standing[sent->block]-- == 1);
        m->due[sent->block] = true;
        m->returned++;
    } else if (sent->as == SENT_ASKED && is_carried(m, c->letter, NONE, c)) {
        m->asked[c->letter][sent->block] = true;
        m->returned++;
    } else if (sent->as != SENT_MARK) {
        m->dropped++;
    }
}

static bool has_other(const struct model *m, const struct conn_model *c, const struct sent *sent)
{
    for (unsigned i = 0; i < CONNS; i++) {
        const struct conn_model *o = &m->conns[i];
        bool takes = sent->as == SENT_PLAN ? carries(o, sent->owner) && o->floor <= sent->block
                                           : carries(o, c->letter);
        if (o != c && takes && !o->stuck)
            return true;
    }
    return false;
}

/* What a connection that became stuck has in flight goes to others, where there are some. */
static void leave(struct model *m, struct conn_model *c)
{
    c->stuck = true;
    for (unsigned k = 0; k < c->count; k++) {
        struct sent *sent = &c->sent[(c->first + k) % PLAIT_SHARE_INFLIGHT_MAX];
        if ((sent->as != SENT_PLAN && sent->as != SENT_ASKED) || sent->left || !has_other(m, c, sent))
            continue;
        come_back(m, c, sent);
        sent->left = true;
    }
}

/* Whom the share names; meanwhile it may have found that connections are stuck. */
static bool is_ready(struct model *m, int *conn)
{
    struct plait_share_conn_info info;
    bool ready = plait_share_ready(m->s, m->now, conn);

    for (unsigned i = 0; i < CONNS; i++)
        if (plait_share_get_conn(m->s, (int)i, &info) && info.stuck)
            leave(m, &m->conns[i]);
    return ready;
}

static void drop_all(struct model *m, bool *set)
{
    for (unsigned b = 0; b < WORLD; b++) {
        m->dropped += set[b];
        set[b] = false;
    }
}

static void close_conn(struct model *m, unsigned i, enum plait_share_end how)
{
    struct conn_model *c = &m->conns[i];

    plait_share_close(m->s, m->now, (int)i, how);
    for (; c->count > 0 && how == PLAIT_SHARE_BROKEN; c->count--, c->first++)
        if (!c->sent[c->first % PLAIT_SHARE_INFLIGHT_MAX].left)
            come_back(m, c, &c->sent[c->first % PLAIT_SHARE_INFLIGHT_MAX]);
    drop_all(m, c->own);
    c->open = false;
    if (!is_carried(m, c->letter, NONE, NULL))
        drop_all(m, m->asked[c->letter]);
}

/* ---- what is sent ---- */

static uint64_t first_of(const bool *set)
{
    for (uint64_t b = 0; b < WORLD; b++)
        if (set[b])
            return b;
    return NONE;
}

static uint64_t first_planned(const struct model *m, const struct conn_model *c)
{
    for (uint64_t b = c->floor; b < WORLD; b++)
        if (m->due[b] && (m->owner[b] == SHARED || m->owner[b] == c->letter))
            return b;
    return NONE;
}

/* What the connection should send. */
static struct sent expected(const struct model *m, const struct conn_model *c)
{
    if (c->named)
        return (struct sent){.block = first_of(c->own), .as = SENT_OWN};
    struct sent planned = {.block = first_planned(m, c), .as = SENT_PLAN};
    struct sent asked = {.block = first_of(m->asked[c->letter]), .as = SENT_ASKED};
    if (asked.block != NONE && (asked.block < available(m) || asked.block < planned.block))
        return asked;
    return planned;
}

static void send_frame(struct conn_model *c, struct sent sent, uint64_t payload)
{
    c->bytes += 16 + payload;
    sent.end = c->bytes;
    c->sent[(c->first + c->count++) % PLAIT_SHARE_INFLIGHT_MAX] = sent;
}

static void send_block(struct model *m, struct conn_model *c, struct sent sent,
                       const struct plait_share_next *next)
{
    HOLDS(sent.block < available(m) && next->sequence == sent.block);
    HOLDS(next->offset == sent.block * KIT_BLOCK);
    HOLDS(next->len == plait_min_u64(KIT_BLOCK, m->size - next->offset));
    sent.owner = m->owner[sent.block];
    if (sent.as == SENT_PLAN) {
        HOLDS(m->standing[sent.block]++ == 0);
        m->due[sent.block] = false;
        m->at = plait_max_u64(m->at, sent.block + 1);
    } else {
        (sent.as == SENT_OWN ? c->own : m->asked[c->letter])[sent.block] = false;
    }
    m->given++;
    send_frame(c, sent, next->len);
}

/* Whether others may be given it because they are faster. */
static bool is_left(const struct model *m, const struct conn_model *c, struct sent sent)
{
    if (sent.as == SENT_ASKED)
        return m->rates && is_carried(m, c->letter, NONE, c);
    return m->rates && sent.as == SENT_PLAN && is_carried(m, m->owner[sent.block], sent.block, c);
}

/* Nothing for the connection, though perhaps for others that are faster. */
static void check_idle(const struct model *m, const struct conn_model *c, struct sent sent,
                       const struct plait_share_next *next)
{
    bool there = sent.block < available(m);

    if (next->kind == PLAIT_SHARE_END) {
        HOLDS(sent.block == NONE && (c->named || (!m->live && plan_end(m) >= available(m))));
        HOLDS(next->sequence == (m->live ? PLAIT_SHARE_UNKNOWN : available(m)));
        return;
    }
    if (c->stuck && next->kind == PLAIT_SHARE_WAIT)
        return;
    HOLDS(!there || is_left(m, c, sent));
    if (next->kind == PLAIT_SHARE_MARK)
        HOLDS(!c->named || sent.block != NONE);
}

static void step(struct model *m, unsigned i)
{
    struct conn_model *c = &m->conns[i];
    struct plait_share_next next;
    struct sent sent = expected(m, c);

    plait_share_next(m->s, m->now, (int)i, &next);
    c->active = next.kind != PLAIT_SHARE_WAIT;
    if (c->ended) {
        HOLDS(next.kind == PLAIT_SHARE_WAIT);
        return;
    }
    if (next.kind == PLAIT_SHARE_BLOCK) {
        if (sent.as == SENT_ASKED && next.sequence != sent.block && is_left(m, c, sent))
            sent = (struct sent){.block = first_planned(m, c), .as = SENT_PLAN};
        send_block(m, c, sent, &next);
        return;
    }
    check_idle(m, c, sent, &next);
    if (next.kind == PLAIT_SHARE_END)
        c->ended = true;
    if (next.kind != PLAIT_SHARE_WAIT)
        send_frame(c, (struct sent){.as = SENT_MARK}, 0);
}

static void random_link(struct model *m, unsigned i)
{
    static const double rates[] = {0, 1e4, 1e5, 1e6, 1e7, 1e9, 1e12};
    const struct plait_share_link link = {.unsent_bytes = one_in(m, 2) ? 0 : below(m, 100000),
                                          .rate = rates[below(m, PLAIT_COUNT(rates))],
                                          .rtt_ns = below(m, 700) * PLAIT_MS};

    plait_share_on_link(m->s, (int)i, &link);
}

static void check_status(const struct model *m)
{
    struct plait_share_status status = kit_status(m->s);
    unsigned conns = 0;
    uint64_t hole = NONE, found = NONE;

    for (unsigned i = 0; i < CONNS; i++)
        conns += m->conns[i].open;
    HOLDS(status.conns == conns && (status.empty_since == PLAIT_NEVER) == (conns > 0));
    HOLDS(status.at == m->at && status.given_blocks == m->given);
    HOLDS(status.returned_blocks == m->returned && status.dropped_blocks == m->dropped);
    HOLDS(status.plan_end == (plan_end(m) == WORLD ? PLAIT_SHARE_UNKNOWN : plan_end(m)));
    for (uint64_t b = 0; b < available(m) && hole == NONE; b++)
        if (m->due[b] && !is_carried(m, m->owner[b], b, NULL))
            hole = b;
    HOLDS(plait_share_hole(m->s, 0, &found) == (hole != NONE) && found == hole);
}

/* ---- a run ---- */

static void grow(struct model *m, bool finish)
{
    if (!m->live)
        return;
    m->size = finish ? m->final_size : m->size + below(m, m->final_size - m->size + 1);
    if (!finish) {
        HOLDS(plait_share_grow(m->s, m->size) == PLAIT_OK);
        return;
    }
    HOLDS(plait_share_finish(m->s, m->size) == PLAIT_OK);
    m->live = false;
    for (uint64_t b = available(m); b < WORLD; b++) {
        m->due[b] = false;
        for (unsigned letter = 0; letter < LETTERS; letter++)
            m->asked[letter][b] = false;
        for (unsigned i = 0; i < CONNS; i++)
            m->conns[i].own[b] = false;
    }
}

static void act(struct model *m)
{
    unsigned i = (unsigned)below(m, CONNS);
    struct conn_model *c = &m->conns[i];
    uint64_t what = below(m, 100);
    int conn;

    m->now += below(m, 40) * PLAIT_MS;
    if (what < 8)
        open_random(m);
    else if (what < 12)
        steer(m);
    else if (what < 14)
        ask(m);
    else if (what < 18)
        grow(m, !m->busy && one_in(m, 20));
    else if (c->open && what < 22 && !(m->busy && i < LETTERS))
        close_conn(m, i, one_in(m, 4) ? PLAIT_SHARE_COMPLETE : PLAIT_SHARE_BROKEN);
    else if (c->open && what < 35)
        acknowledge(m, i, c->acked + below(m, c->bytes - c->acked + 1));
    else if (c->open && what < 40 && m->rates)
        random_link(m, i);
    else if (what < 45)
        (void)(is_ready(m, &conn) && (m->conns[conn].active = true));
    else if (c->open)
        step(m, i);
}

static void init(struct model *m, uint64_t seed)
{
    memset(m, 0, sizeof *m);
    m->prng.state = seed;
    memset(m->owner, UNPLANNED, sizeof m->owner);
    m->final_size = below(m, one_in(m, 4) ? 8 * KIT_BLOCK : BLOCKS_MAX * KIT_BLOCK);
    m->busy = one_in(m, 3);
    m->live = m->busy || one_in(m, 2);
    m->size = m->live ? 0 : m->final_size;
    m->rates = one_in(m, 2);
    const struct plait_share_config config = {
        .block_bytes = KIT_BLOCK, .size = m->size, .live = m->live, .conns_max = CONNS};
    m->s = plait_share_new(&config, 0);
    assert_non_null(m->s);
    for (uint8_t letter = 0; m->busy && letter < LETTERS; letter++)
        HOLDS(open_conn(m, &(struct plait_share_request){.letter = letter, .span = {0, PLAIT_SPAN_OPEN}}));
}

/* One connection of each letter, from the beginning on, and a plan to the end. */
static void open_last(struct model *m)
{
    for (unsigned i = 0; i < CONNS; i++)
        if (m->conns[i].open && !(m->busy && i < LETTERS) && i + LETTERS >= CONNS - LETTERS)
            close_conn(m, i, PLAIT_SHARE_BROKEN);
    for (uint8_t letter = 0; letter < LETTERS && !m->busy; letter++)
        HOLDS(open_conn(m, &(struct plait_share_request){.letter = letter, .span = {0, 0}}));
    if (!m->busy)
        steer_on(m, (struct plait_span){plan_end(m), PLAIT_SPAN_OPEN});
}

/* An honest driver: asks those that were not told to wait or that are ready, and lets time go by when none is.
 */
static bool drive(struct model *m)
{
    bool moved = false;
    int conn;

    while (is_ready(m, &conn))
        m->conns[conn].active = true;
    for (unsigned i = 0; i < CONNS; i++)
        if (m->conns[i].open && m->conns[i].active && !m->conns[i].ended) {
            step(m, i);
            moved = true;
        }
    for (unsigned i = 0; i < CONNS; i++)
        if (m->conns[i].open && one_in(m, 4)) {
            acknowledge(m, i, m->conns[i].bytes);
            moved = true;
        }
    return moved;
}

static bool all_ended(const struct model *m)
{
    for (unsigned i = 0; i < CONNS; i++)
        if (m->conns[i].open && !m->conns[i].ended)
            return false;
    return true;
}

static void finish(struct model *m)
{
    unsigned rounds = 0;

    grow(m, true);
    open_last(m);
    for (unsigned i = 0; i < CONNS; i++)
        m->conns[i].active = m->conns[i].open;
    while (!all_ended(m)) {
        HOLDS(++rounds < 20000);
        if (!drive(m)) {
            uint64_t due = plait_share_next_deadline(m->s);
            if (due != PLAIT_NEVER)
                m->now = plait_max_u64(m->now, due);
        }
    }
    check_status(m);
    for (uint64_t b = 0; b < available(m); b++)
        if (m->owner[b] != UNPLANNED) {
            HOLDS(!m->due[b] && m->standing[b] <= 1);
            HOLDS(m->standing[b] == 1 || m->moved[b]);
        }
}

static void random_worlds(void **unused)
{
    static struct model m;

    (void)unused;
    for (unsigned long long i = 0; i < seed_count; i++) {
        present_seed = from_seed + i;
        init(&m, present_seed);
        for (unsigned op = 0; op < OPS; op++) {
            act(&m);
            if (op % 8 == 0)
                check_status(&m);
        }
        finish(&m);
        plait_share_free(m.s);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_worlds)};

    if (argc > 1)
        from_seed = strtoull(argv[1], NULL, 10);
    if (argc > 2)
        seed_count = strtoull(argv[2], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
