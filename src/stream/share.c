#include "share_int.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct plait_share *plait_share_new(const struct plait_share_config *config, uint64_t now)
{
    unsigned conns_max = config->conns_max > 0 ? config->conns_max : PLAIT_SHARE_CONNS_MAX;

    if (!plait_block_bytes_valid(config->block_bytes) || config->size > PLAIT_STREAM_SIZE_MAX ||
        conns_max > PLAIT_SHARE_CONNS_MAX)
        return NULL;
    struct plait_share *s = calloc(1, sizeof *s);
    struct conn *conns = calloc(conns_max, sizeof *conns);
    if (s == NULL || conns == NULL) {
        free(conns);
        free(s);
        return NULL;
    }
    s->block_bytes = config->block_bytes;
    s->size = config->size;
    s->live = config->live;
    s->empty_since = now;
    s->conns = conns;
    s->conns_max = conns_max;
    set_init(s);
    return s;
}

void plait_share_free(struct plait_share *s)
{
    if (s == NULL)
        return;
    for (unsigned i = 0; i < s->conns_max; i++)
        free(s->conns[i].ring);
    free(s->conns);
    free(s);
}

uint64_t share_available(const struct plait_share *s)
{
    return s->live ? s->size / s->block_bytes : plait_block_count(s->size, s->block_bytes);
}

uint32_t share_block_len(const struct plait_share *s, uint64_t block)
{
    return (uint32_t)plait_min_u64(s->block_bytes, s->size - block * s->block_bytes);
}

bool share_carries(const struct conn *c, unsigned set)
{
    return c->open && !c->named && !c->ended && (set == SET_SHARED || set == c->letter);
}

void share_stir(struct plait_share *s)
{
    for (unsigned i = 0; i < s->conns_max; i++)
        s->conns[i].stirred = true;
}

struct conn *share_conn(struct plait_share *s, int conn)
{
    assert(conn >= 0 && (unsigned)conn < s->conns_max && s->conns[conn].open);
    return &s->conns[conn];
}

int plait_share_grow(struct plait_share *s, uint64_t size)
{
    if (!s->live)
        return PLAIT_ERR_STATE;
    if (size < s->size || size > PLAIT_STREAM_SIZE_MAX)
        return PLAIT_ERR_RANGE;
    s->size = size;
    share_stir(s);
    return PLAIT_OK;
}

int plait_share_finish(struct plait_share *s, uint64_t size)
{
    int err = plait_share_grow(s, size);

    if (err != PLAIT_OK)
        return err;
    s->live = false;
    uint64_t end = share_available(s);
    for (unsigned i = 0; i < SETS; i++)
        (void)set_remove(s, &s->sets[i], end, NO_BLOCK);
    for (unsigned i = 0; i < s->conns_max; i++)
        (void)set_remove(s, &s->conns[i].own, end, NO_BLOCK);
    return PLAIT_OK;
}

static bool is_span_sound(struct plait_span span)
{
    return span.first <= PLAIT_BLOCK_NUMBER_MAX && span.first <= span.last &&
           (span.last <= PLAIT_BLOCK_NUMBER_MAX || span.last == PLAIT_SPAN_OPEN);
}

static bool is_pattern_sound(const struct plait_pattern *pattern)
{
    if (pattern == NULL)
        return true;
    if (pattern->len == 0 || pattern->len > PLAIT_PATTERN_LEN_MAX)
        return false;
    for (unsigned i = 0; i < pattern->len; i++)
        if (pattern->path[i] >= PLAIT_LETTERS)
            return false;
    return true;
}

/* Whether the named blocks can be sent, and kept until then. */
static int check_named(const struct plait_share *s, const struct plait_span *blocks, size_t count)
{
    if (count == 0 || count > PLAIT_BLOCKS_MAX)
        return PLAIT_ERR_ARG;
    for (size_t i = 0; i < count; i++) {
        if (!is_span_sound(blocks[i]) || blocks[i].last == PLAIT_SPAN_OPEN)
            return PLAIT_ERR_ARG;
        if (!s->live && blocks[i].last >= share_available(s))
            return PLAIT_ERR_RANGE;
    }
    return s->ranges_left >= count + RANGES_SPARED ? PLAIT_OK : PLAIT_ERR_LIMIT;
}

/* Named blocks go into the set, and from wherever they were due. There is room. */
static void name_blocks(struct plait_share *s, struct range_set *set, const struct plait_span *blocks,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        /* Where a range cannot be split for want of room, its blocks are sent twice. */
        for (unsigned k = 0; k < SETS; k++)
            if (&s->sets[k] != set && s->ranges_left > RANGES_SPARED)
                (void)set_remove(s, &s->sets[k], blocks[i].first, blocks[i].last + 1);
    }
    for (size_t i = 0; i < count; i++)
        (void)set_add(s, set, blocks[i].first, blocks[i].last + 1, 0);
}

static struct conn *free_conn(struct plait_share *s)
{
    for (unsigned i = 0; i < s->conns_max; i++)
        if (!s->conns[i].open)
            return &s->conns[i];
    return NULL;
}

static int check_request(const struct plait_share *s, const struct plait_share_request *r)
{
    if (r->letter >= PLAIT_LETTERS)
        return PLAIT_ERR_ARG;
    if (r->count > 0)
        return check_named(s, r->blocks, r->count);
    return is_span_sound(r->span) && is_pattern_sound(r->pattern) ? PLAIT_OK : PLAIT_ERR_ARG;
}

static void conn_init(struct plait_share *s, uint64_t now, struct conn *c,
                      const struct plait_share_request *r, uint64_t *ring)
{
    *c = (struct conn){.open = true,
                       .named = r->count > 0,
                       .letter = r->letter,
                       .floor = r->count > 0 ? 0 : r->span.first,
                       .ring = ring,
                       .due = PLAIT_NEVER,
                       .mark_at = now + PLAIT_SHARE_MARK_NS,
                       .idle_at = PLAIT_NEVER,
                       .progress_at = now};
    s->conn_count++;
    s->empty_since = PLAIT_NEVER;
    if (c->named)
        return;
    s->carriers[c->letter]++;
    s->carried |= UINT64_C(1) << c->letter;
}

int plait_share_open(struct plait_share *s, uint64_t now, const struct plait_share_request *r)
{
    int err = check_request(s, r);
    struct conn *c = free_conn(s);

    if (err != PLAIT_OK)
        return err;
    if (c == NULL)
        return PLAIT_ERR_LIMIT;
    uint64_t *ring = calloc(PLAIT_SHARE_INFLIGHT_MAX, sizeof *ring);
    if (ring == NULL)
        return PLAIT_ERR_NOMEM;
    if (r->count == 0 && (err = plan_cover(s, r->span, r->pattern)) != PLAIT_OK) {
        free(ring);
        return err;
    }
    conn_init(s, now, c, r, ring);
    if (c->named)
        name_blocks(s, &c->own, r->blocks, r->count);
    share_stir(s);
    return (int)(c - s->conns);
}

/* All that is due in the set is left to the receiver. */
static void drop_set(struct plait_share *s, struct range_set *set)
{
    s->dropped_blocks += set_count(s, set, 0, NO_BLOCK, NO_BLOCK - 1);
    (void)set_remove(s, set, 0, NO_BLOCK);
}

void plait_share_close(struct plait_share *s, uint64_t now, int conn, enum plait_share_end how)
{
    struct conn *c = share_conn(s, conn);

    if (!c->named && !c->ended)
        s->carriers[c->letter]--;
    share_give_back(s, c, how == PLAIT_SHARE_BROKEN);
    drop_set(s, &c->own);
    if (s->carriers[c->letter] == 0)
        drop_set(s, &s->sets[SET_NAMED + c->letter]);
    free(c->ring);
    c->ring = NULL;
    c->open = false;
    if (--s->conn_count == 0)
        s->empty_since = now;
    share_stir(s);
}

/* Connections that wait were not waiting in vain. */
static void wake(struct plait_share *s, uint64_t now, int letter)
{
    for (unsigned i = 0; i < s->conns_max; i++) {
        struct conn *c = &s->conns[i];
        if (letter >= 0 && c->letter != letter)
            continue;
        c->marked = false;
        if (c->idle_at != PLAIT_NEVER)
            c->idle_at = now + PLAIT_SHARE_IDLE_NS;
    }
    share_stir(s);
}

int plait_share_steer(struct plait_share *s, uint64_t now, struct plait_span span,
                      const struct plait_pattern *pattern, uint64_t *at)
{
    if (!is_span_sound(span) || !is_pattern_sound(pattern))
        return PLAIT_ERR_ARG;
    int err = plan_steer(s, span, pattern, at);
    if (err == PLAIT_OK)
        wake(s, now, -1);
    return err;
}

int plait_share_ask(struct plait_share *s, uint64_t now, uint8_t letter, const struct plait_span *blocks,
                    size_t count)
{
    if (letter >= PLAIT_LETTERS)
        return PLAIT_ERR_ARG;
    int err = check_named(s, blocks, count);
    if (err != PLAIT_OK)
        return err;
    if (s->carriers[letter] == 0)
        return PLAIT_ERR_NOTFOUND;
    name_blocks(s, &s->sets[SET_NAMED + letter], blocks, count);
    wake(s, now, letter);
    return PLAIT_OK;
}

void plait_share_on_link(struct plait_share *s, int conn, const struct plait_share_link *link)
{
    struct conn *c = share_conn(s, conn);

    c->link = *link;
    if (link->rto_ns > 0)
        c->rto_ns = link->rto_ns;
}

bool plait_share_get_conn(const struct plait_share *s, int conn, struct plait_share_conn_info *out)
{
    if (conn < 0 || (unsigned)conn >= s->conns_max || !s->conns[conn].open)
        return false;
    const struct conn *c = &s->conns[conn];
    *out = (struct plait_share_conn_info){.letter = c->letter,
                                          .named = c->named,
                                          .ended = c->ended,
                                          .given_bytes = c->given_bytes,
                                          .given_blocks = c->given_blocks,
                                          .acked_blocks = c->acked_blocks,
                                          .inflight_blocks = c->inflight,
                                          .stuck = c->stuck};
    return true;
}

void plait_share_get_status(const struct plait_share *s, struct plait_share_status *out)
{
    *out = (struct plait_share_status){.block_bytes = s->block_bytes,
                                       .size = s->size,
                                       .live = s->live,
                                       .conns = s->conn_count,
                                       .empty_since = s->empty_since,
                                       .at = s->at,
                                       .plan_end = plan_end(s),
                                       .given_blocks = s->given_blocks,
                                       .returned_blocks = s->returned_blocks,
                                       .dropped_blocks = s->dropped_blocks};
}

bool plait_share_hole(const struct plait_share *s, uint64_t from, uint64_t *block)
{
    uint64_t found = NO_BLOCK;

    for (unsigned set = 0; set < PLAN_SETS; set++) {
        uint64_t next = set_next(s, &s->sets[set], from);
        bool carried = next >= share_available(s) || next >= found;
        for (unsigned i = 0; !carried && i < s->conns_max; i++)
            carried = share_carries(&s->conns[i], set) && s->conns[i].floor <= next;
        if (!carried)
            found = next;
    }
    if (found == NO_BLOCK)
        return false;
    *block = found;
    return true;
}
