#include "reorder.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "ip_parts.h"
#include "units.h"

#define NO_FLOW  UINT16_MAX
#define SEQ_MASK ((1u << PLAIT_DATAGRAM_FLOW_SEQ_BITS) - 1)
#define SEQ_SIGN (1u << (PLAIT_DATAGRAM_FLOW_SEQ_BITS - 1))
#define SKIP_MAX 65536u /* a number so far ahead is a new beginning */

int plait_reorder_init(struct plait_reorder *r, struct plait_pool *pool, uint32_t held_max)
{
    uint32_t size = 64;

    while (size < held_max)
        size *= 2;
    *r = (struct plait_reorder){
        .pool = pool, .held_max = held_max, .table_size = size, .holding = NO_FLOW, .deadline = PLAIT_NEVER};
    r->flows = calloc(PLAIT_DATAGRAM_FLOWS, sizeof(*r->flows));
    r->table = calloc(size, sizeof(struct plait_packet *));
    r->skipped = calloc(PLAIT_REORDER_SKIPPED, sizeof(*r->skipped));
    if (r->flows != NULL && r->table != NULL && r->skipped != NULL)
        return PLAIT_OK;
    plait_reorder_done(r);
    return PLAIT_ERR_NOMEM;
}

/* ---- the table of held packets ---- */

static uint32_t hash_of(uint32_t flow, uint32_t seq)
{
    return seq + flow * 0x9e3779b1u;
}

static struct plait_packet **slot(struct plait_reorder *r, uint32_t flow, uint32_t seq)
{
    struct plait_packet **at = &r->table[hash_of(flow, seq) & (r->table_size - 1)];

    while (*at != NULL && ((*at)->flow_seq != seq || (*at)->flow != flow))
        at = &(*at)->next;
    return at;
}

static uint32_t ahead_of(uint32_t seq, uint32_t base)
{
    return (seq - base) & SEQ_MASK;
}

/* ---- flows that hold something ---- */

static void begin_holding(struct plait_reorder *r, uint16_t id)
{
    struct plait_reorder_flow *f = &r->flows[id];

    f->prev = NO_FLOW;
    f->next = r->holding;
    if (r->holding != NO_FLOW)
        r->flows[r->holding].prev = id;
    r->holding = id;
    f->give_up_at = PLAIT_NEVER;
}

static void end_holding(struct plait_reorder *r, uint16_t id)
{
    struct plait_reorder_flow *f = &r->flows[id];

    if (f->prev != NO_FLOW)
        r->flows[f->prev].next = f->next;
    else
        r->holding = f->next;
    if (f->next != NO_FLOW)
        r->flows[f->next].prev = f->prev;
    f->give_up_at = PLAIT_NEVER;
}

/* ---- numbers given up ---- */

static uint64_t *skip_slot(struct plait_reorder *r, uint32_t flow, uint32_t seq)
{
    return &r->skipped[hash_of(flow, seq) & (PLAIT_REORDER_SKIPPED - 1)];
}

static uint64_t skip_word(uint32_t flow, uint32_t seq)
{
    return ((uint64_t)flow << 32 | seq) + 1;
}

static void remember_skipped(struct plait_reorder *r, uint32_t flow, uint32_t from, uint32_t to)
{
    uint32_t n = ahead_of(to, from);

    if (n > PLAIT_REORDER_SKIPPED / 4) /* of so many, the last are as good as any */
        from = (to - PLAIT_REORDER_SKIPPED / 4) & SEQ_MASK;
    for (; from != to; from = (from + 1) & SEQ_MASK)
        *skip_slot(r, flow, from) = skip_word(flow, from);
    r->skips += n;
}

static bool forget_skipped(struct plait_reorder *r, uint32_t flow, uint32_t seq)
{
    uint64_t *at = skip_slot(r, flow, seq);

    if (*at != skip_word(flow, seq))
        return false;
    *at = 0;
    return true;
}

/* ---- delivering ---- */

static void deliver(struct plait_reorder *r, uint64_t now, const uint8_t *bytes, size_t len)
{
    r->delivered++;
    r->delivered_bytes += len;
    r->deliver(r->ctx, now, bytes, len);
}

static void deliver_held(struct plait_reorder *r, uint64_t now, struct plait_packet **at)
{
    struct plait_packet *p = *at;

    *at = p->next;
    r->held--;
    r->flows[p->flow].held--;
    deliver(r, now, p->data, p->len);
    plait_pool_give(r->pool, p);
}

/* Where the first held number is, from `from` upwards; there is one. */
static struct plait_packet **first_held(struct plait_reorder *r, uint16_t id, uint32_t from)
{
    struct plait_packet **at;

    while (*(at = slot(r, id, from)) == NULL)
        from = (from + 1) & SEQ_MASK;
    return at;
}

/* Whether nothing that is still to come precedes `p`: those between it and the one it names were never sent. */
static bool is_next(const struct plait_reorder_flow *f, const struct plait_packet *p)
{
    uint32_t missing = ahead_of(p->flow_seq, f->expected);

    return missing == 0 || p->back == 0 || missing < p->back;
}

static void set_time(struct plait_reorder *r, struct plait_reorder_flow *f, uint64_t at)
{
    f->give_up_at = plait_min_u64(f->give_up_at, at);
    r->deadline = plait_min_u64(r->deadline, f->give_up_at);
}

/* Whether one more may leave now. */
static bool take_of_portion(struct plait_reorder_flow *f, uint64_t now)
{
    if (!f->portions)
        return true;
    if (now >= f->portion_at) {
        bool soon = now - f->portion_at < PLAIT_REORDER_PORTION_NS;
        f->portion = PLAIT_REORDER_PORTION + (soon ? f->came : 0);
        f->portion_at = now + PLAIT_REORDER_PORTION_NS;
        f->came = 0;
    }
    if (f->portion == 0)
        return false;
    f->portion--;
    return true;
}

/* Delivers what is in order, all of it or a portion, and sets the time for what is not. */
static void drain(struct plait_reorder *r, uint64_t now, uint16_t id, bool all)
{
    struct plait_reorder_flow *f = &r->flows[id];

    f->give_up_at = PLAIT_NEVER;
    while (f->held > 0) {
        struct plait_packet **at = first_held(r, id, f->expected);
        f->lowest = (*at)->flow_seq;
        if (!is_next(f, *at)) {
            set_time(r, f, (*at)->at_ns);
            return;
        }
        f->expected = f->lowest;
        if (!all && !take_of_portion(f, now)) {
            set_time(r, f, f->portion_at);
            return;
        }
        f->expected = (f->expected + 1) & SEQ_MASK;
        deliver_held(r, now, at);
    }
    end_holding(r, id);
}

/* Gives up the gap in front of the first held packet, if there is one. */
static void give_up(struct plait_reorder *r, uint64_t now, uint16_t id, bool all)
{
    struct plait_reorder_flow *f = &r->flows[id];

    remember_skipped(r, id, f->expected, f->lowest);
    f->expected = f->lowest;
    drain(r, now, id, all);
}

static void make_room(struct plait_reorder *r, uint64_t now)
{
    while (r->holding != NO_FLOW && (r->held >= r->held_max || r->pool->spare_n == 0))
        give_up(r, now, r->holding, true);
}

/* ---- arrivals ---- */

static bool is_tcp(const struct plait_packet *p)
{
    struct plait_ip_parts parts;

    return plait_ip_parts_find(p->data, p->len, &parts) == PLAIT_OK && parts.protocol == IPPROTO_TCP;
}

static void hold(struct plait_reorder *r, uint64_t now, const struct plait_datagram *d, uint64_t hold_ns)
{
    struct plait_reorder_flow *f = &r->flows[d->flow];
    struct plait_packet **at = slot(r, d->flow, d->flow_seq);

    if (*at != NULL) {
        r->duplicates++;
        return;
    }
    struct plait_packet *p = d->body_len <= r->pool->room ? plait_pool_take(r->pool) : NULL;

    if (p == NULL) {
        r->refused++;
        return;
    }
    memcpy(p->data, d->body, d->body_len);
    p->len = (uint16_t)d->body_len;
    p->flow = d->flow;
    p->flow_seq = d->flow_seq;
    p->back = d->back;
    p->at_ns = plait_add_sat(now, hold_ns); /* when the gap before it is given up */
    *at = p;
    if (++r->held > r->held_peak)
        r->held_peak = r->held;
    if (f->held++ == 0) {
        begin_holding(r, d->flow);
        f->lowest = d->flow_seq;
        f->portions = !is_tcp(p);
    } else if (ahead_of(d->flow_seq, f->expected) < ahead_of(f->lowest, f->expected)) {
        f->lowest = d->flow_seq;
    }
    f->came++;
    set_time(r, f, p->at_ns);
    if (f->lowest == p->flow_seq && is_next(f, p))
        drain(r, now, d->flow, false);
}

static void recv_late(struct plait_reorder *r, uint64_t now, const struct plait_datagram *d)
{
    if (!forget_skipped(r, d->flow, d->flow_seq)) {
        r->duplicates++;
        return;
    }
    r->late++;
    deliver(r, now, d->body, d->body_len);
}

/* Everything held of a flow is delivered; what comes next is its new beginning. */
static void flush(struct plait_reorder *r, uint64_t now, uint16_t id)
{
    while (r->flows[id].held > 0)
        give_up(r, now, id, true);
}

static void deliver_next(struct plait_reorder *r, uint64_t now, const struct plait_datagram *d)
{
    struct plait_reorder_flow *f = &r->flows[d->flow];

    f->expected = (d->flow_seq + 1) & SEQ_MASK;
    deliver(r, now, d->body, d->body_len);
    if (f->held > 0)
        drain(r, now, d->flow, false);
}

void plait_reorder_recv(struct plait_reorder *r, uint64_t now, const struct plait_datagram *d,
                        uint64_t hold_ns)
{
    struct plait_reorder_flow *f = &r->flows[d->flow];

    r->used = true;
    if (r->held >= r->held_max || r->pool->spare_n == 0)
        make_room(r, now);
    uint32_t ahead = ahead_of(d->flow_seq, f->expected);

    if (ahead == 0 && f->held > 0 && f->lowest == f->expected) {
        r->duplicates++; /* of the first that waits for the next portion */
        return;
    }
    if (ahead >= SEQ_SIGN) {
        recv_late(r, now, d);
        return;
    }
    if (ahead > SKIP_MAX)
        flush(r, now, d->flow);
    else if (hold_ns == 0 && ahead > 0)
        remember_skipped(r, d->flow, f->expected, d->flow_seq);
    else if (ahead > 0 && (f->held > 0 || (d->back != 0 && ahead >= d->back))) {
        hold(r, now, d, hold_ns);
        return;
    }
    deliver_next(r, now, d);
}

uint64_t plait_reorder_deadline(const struct plait_reorder *r)
{
    return r->holding == NO_FLOW ? PLAIT_NEVER : r->deadline;
}

void plait_reorder_on_deadline(struct plait_reorder *r, uint64_t now)
{
    uint16_t next;

    if (now < r->deadline)
        return;
    r->deadline = PLAIT_NEVER;
    for (uint16_t id = r->holding; id != NO_FLOW; id = next) {
        next = r->flows[id].next;
        while (r->flows[id].held > 0 && r->flows[id].give_up_at <= now)
            give_up(r, now, id, false);
        if (r->flows[id].held > 0)
            r->deadline = plait_min_u64(r->deadline, r->flows[id].give_up_at);
    }
}

void plait_reorder_reset(struct plait_reorder *r, uint64_t now)
{
    if (!r->used)
        return;
    r->used = false;
    while (r->holding != NO_FLOW)
        give_up(r, now, r->holding, true);
    for (uint32_t id = 0; id < PLAIT_DATAGRAM_FLOWS; id++)
        r->flows[id] = (struct plait_reorder_flow){0};
    memset(r->skipped, 0, PLAIT_REORDER_SKIPPED * sizeof(*r->skipped));
    r->deadline = PLAIT_NEVER;
}

void plait_reorder_done(struct plait_reorder *r)
{
    for (uint32_t i = 0; r->table != NULL && i < r->table_size; i++) {
        for (struct plait_packet *p = r->table[i], *next; p != NULL; p = next) {
            next = p->next;
            plait_pool_give(r->pool, p);
        }
    }
    free(r->flows);
    free(r->table);
    free(r->skipped);
    *r = (struct plait_reorder){0};
}
