#include "queue.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "inner.h"
#include "units.h"

#define TARGET_NS   (5 * PLAIT_MS)
#define INTERVAL_NS (100 * PLAIT_MS)
#define QUANTUM     1514
#define MTU_BYTES   1514u
#define NEAR_STEPS  256u
#define DROP_BATCH  16u
#define QUIET_NS    (200 * PLAIT_MS) /* a flow that was silent so long begins anew */
#define SEQ_MASK    ((1u << PLAIT_DATAGRAM_FLOW_SEQ_BITS) - 1)

#define DROPPED 0xfe /* in sent_path */
#define NOTHING 0xff

enum { LIST_NONE, LIST_NEW, LIST_OLD };

int plait_queue_init(struct plait_queue *q, struct plait_pool *pool, uint32_t packets_max)
{
    *q = (struct plait_queue){.pool = pool,
                              .packets_max = packets_max,
                              .target_ns = TARGET_NS,
                              .interval_ns = INTERVAL_NS,
                              .lists = {{PLAIT_QUEUE_NONE, PLAIT_QUEUE_NONE},
                                        {PLAIT_QUEUE_NONE, PLAIT_QUEUE_NONE},
                                        {PLAIT_QUEUE_NONE, PLAIT_QUEUE_NONE}}};
    q->flows = calloc(PLAIT_QUEUE_FLOWS, sizeof(*q->flows));
    return q->flows != NULL ? PLAIT_OK : PLAIT_ERR_NOMEM;
}

/* ---- lists of flows ---- */

static void list_add(struct plait_queue *q, uint16_t id, uint8_t list)
{
    struct plait_queue_list *l = &q->lists[list];
    struct plait_queue_flow *f = &q->flows[id];

    f->list = list;
    f->next = PLAIT_QUEUE_NONE;
    f->prev = l->tail;
    if (l->tail != PLAIT_QUEUE_NONE)
        q->flows[l->tail].next = id;
    else
        l->head = id;
    l->tail = id;
}

static void list_remove(struct plait_queue *q, uint16_t id)
{
    struct plait_queue_flow *f = &q->flows[id];
    struct plait_queue_list *l = &q->lists[f->list];

    if (f->prev != PLAIT_QUEUE_NONE)
        q->flows[f->prev].next = f->next;
    else
        l->head = f->next;
    if (f->next != PLAIT_QUEUE_NONE)
        q->flows[f->next].prev = f->prev;
    else
        l->tail = f->prev;
    f->list = LIST_NONE;
}

uint16_t plait_queue_turn(struct plait_queue *q)
{
    for (;;) {
        uint8_t list = q->lists[LIST_NEW].head != PLAIT_QUEUE_NONE ? LIST_NEW : LIST_OLD;
        uint16_t id = q->lists[list].head;
        if (id == PLAIT_QUEUE_NONE)
            return id;
        struct plait_queue_flow *f = &q->flows[id];
        if (f->head == NULL) { /* a new flow that has emptied waits one turn among the old ones */
            list_remove(q, id);
            if (list == LIST_NEW)
                list_add(q, id, LIST_OLD);
            continue;
        }
        if (f->deficit > 0)
            return id;
        f->deficit += QUANTUM;
        list_remove(q, id);
        list_add(q, id, LIST_OLD);
    }
}

uint16_t plait_queue_after(const struct plait_queue *q, uint16_t id)
{
    do {
        const struct plait_queue_flow *f = &q->flows[id];
        id = f->next != PLAIT_QUEUE_NONE || f->list == LIST_OLD ? f->next : q->lists[LIST_OLD].head;
    } while (id != PLAIT_QUEUE_NONE && q->flows[id].head == NULL);
    return id;
}

/* ---- packets in and out of a flow ---- */

static void account(struct plait_queue *q, struct plait_queue_flow *f, const struct plait_packet *p)
{
    f->bytes -= p->len;
    f->packets--;
    q->bytes -= p->len;
    q->packets--;
    if (f->packets == 0)
        q->active--;
}

static void note(struct plait_queue_flow *f, uint32_t seq, uint8_t what)
{
    f->sent_path[seq % PLAIT_QUEUE_SENT] = what;
    f->sent_seq[seq % PLAIT_QUEUE_SENT] = seq + 1;
}

static uint8_t noted(const struct plait_queue_flow *f, uint32_t seq)
{
    return f->sent_seq[seq % PLAIT_QUEUE_SENT] == seq + 1 ? f->sent_path[seq % PLAIT_QUEUE_SENT] : NOTHING;
}

static struct plait_packet *remove_head(struct plait_queue *q, struct plait_queue_flow *f)
{
    struct plait_packet *p = f->head;

    f->head = p->next;
    if (f->head == NULL)
        f->tail = NULL;
    if (f->cursor == p)
        f->cursor = NULL;
    f->taken = f->head != NULL ? f->taken - (uint32_t)(f->head->end - f->head->len - p->end) : 0;
    account(q, f, p);
    return p;
}

static void remove_tail(struct plait_queue *q, struct plait_queue_flow *f)
{
    struct plait_packet *last = f->tail, *p = f->head;

    assert(last != NULL);
    if (last == p) {
        p = NULL;
        f->head = NULL;
    } else {
        if (f->cursor != NULL && f->cursor != last)
            p = f->cursor;
        while (p->next != last)
            p = p->next;
        p->next = NULL;
    }
    f->tail = p;
    if (f->cursor == last)
        f->cursor = NULL;
    account(q, f, last);
    f->taken = p != NULL ? f->taken - (uint32_t)(f->in_bytes - last->end) : 0;
    f->in_bytes = last->end - last->len;
    if (((last->flow_seq + 1) & SEQ_MASK) == f->seq_next)
        f->seq_next = last->flow_seq;
    q->dropped++;
    plait_pool_give(q->pool, last);
}

static uint16_t fattest(const struct plait_queue *q)
{
    uint16_t best = PLAIT_QUEUE_NONE;

    for (unsigned list = LIST_NEW; list <= LIST_OLD; list++)
        for (uint16_t id = q->lists[list].head; id != PLAIT_QUEUE_NONE; id = q->flows[id].next)
            if (best == PLAIT_QUEUE_NONE || q->flows[id].bytes > q->flows[best].bytes)
                best = id;
    return best;
}

/* Removing at the tail of a singly linked list means walking it: so many at a time that it does not matter. */
static void drop_batch(struct plait_queue *q)
{
    struct plait_queue_flow *f = &q->flows[fattest(q)];
    struct plait_packet *p = f->head;
    uint32_t keep = f->packets > DROP_BATCH ? f->packets - DROP_BATCH : 1;

    for (uint32_t i = 1; i < keep; i++)
        p = p->next;
    if (f->packets > keep)
        f->cursor = p; /* where remove_tail begins to look */
    while (f->packets > keep)
        remove_tail(q, f);
    f->cursor = NULL;
}

static bool is_too_much(const struct plait_queue *q)
{
    return q->packets > q->packets_max || (q->pool->spare_n < q->pool->count / 8 && q->packets > DROP_BATCH);
}

void plait_queue_push(struct plait_queue *q, uint64_t now, struct plait_packet *p, uint16_t id)
{
    struct plait_queue_flow *f = &q->flows[id];

    if (plait_since(now, f->last_in) > QUIET_NS || f->last_in == 0)
        p->flags |= PLAIT_PACKET_NEW;
    f->last_in = now;
    p->at_ns = now;
    p->flow = id;
    p->flow_seq = f->seq_next;
    p->next = NULL;
    f->seq_next = (f->seq_next + 1) & SEQ_MASK;
    f->in_bytes += p->len;
    p->end = f->in_bytes;
    if (f->tail != NULL)
        f->tail->next = p;
    else
        f->head = p;
    f->tail = p;
    if (f->packets++ == 0)
        q->active++;
    f->bytes += p->len;
    q->bytes += p->len;
    q->packets++;
    if (f->list == LIST_NONE) {
        f->deficit = QUANTUM;
        list_add(q, id, LIST_NEW);
    }
    if (is_too_much(q))
        drop_batch(q);
}

/* ---- CoDel ---- */

static bool is_above(const struct plait_queue *q, struct plait_queue_flow *f, uint64_t now, uint64_t target)
{
    if (f->head == NULL || plait_since(now, f->head->at_ns) < target || f->bytes <= MTU_BYTES) {
        f->above_since = 0;
        return false;
    }
    if (f->above_since == 0) {
        f->above_since = now + q->interval_ns;
        return false;
    }
    return now >= f->above_since;
}

static uint64_t control_law(const struct plait_queue *q, uint64_t at, uint32_t count)
{
    return at + (uint64_t)((double)q->interval_ns / sqrt((double)count));
}

void plait_queue_drop(struct plait_queue *q, uint16_t id)
{
    struct plait_packet *p = remove_head(q, &q->flows[id]);

    note(&q->flows[id], p->flow_seq, DROPPED);
    q->dropped++;
    plait_pool_give(q->pool, p);
}

/* Marks the head, or drops it; returns whether it was marked. Where the next number has been sent already, the
 * receiver would wait for this one in vain: it goes. */
static bool punish(struct plait_queue *q, struct plait_queue_flow *f)
{
    struct plait_packet *p = f->head;

    if (p->flags & PLAIT_PACKET_ECN) {
        plait_inner_mark(p->data);
        q->marked++;
        return true;
    }
    if (p->next == NULL || p->next->flow_seq != ((p->flow_seq + 1) & SEQ_MASK))
        return true;
    p = remove_head(q, f);
    note(f, p->flow_seq, DROPPED);
    q->dropped++;
    plait_pool_give(q->pool, p);
    return false;
}

static void control(struct plait_queue *q, struct plait_queue_flow *f, uint64_t now, uint64_t target)
{
    bool above = is_above(q, f, now, target);

    if (f->dropping) {
        if (!above) {
            f->dropping = false;
            return;
        }
        while (f->dropping && now >= f->drop_next) {
            f->drops++;
            bool marked = punish(q, f);
            if (!is_above(q, f, now, target))
                f->dropping = false;
            else
                f->drop_next = control_law(q, f->drop_next, f->drops);
            if (marked)
                return;
        }
        return;
    }
    if (!above)
        return;
    uint32_t since_last = f->drops - f->drops_last;

    (void)punish(q, f);
    f->dropping = true;
    f->drops = since_last > 1 && plait_since(now, f->drop_next) < 16 * q->interval_ns ? since_last : 1;
    f->drops_last = f->drops;
    f->drop_next = control_law(q, now, f->drops);
}

struct plait_packet *plait_queue_take(struct plait_queue *q, uint64_t now, uint16_t id, uint64_t slack_ns)
{
    struct plait_queue_flow *f = &q->flows[id];

    assert(f->head != NULL);
    control(q, f, now, q->target_ns + slack_ns);
    if (f->head == NULL)
        return NULL;
    struct plait_packet *p = remove_head(q, f);

    f->deficit -= p->len;
    return p;
}

static struct plait_packet *take_after(struct plait_queue *q, struct plait_queue_flow *f,
                                       struct plait_packet *before)
{
    struct plait_packet *p = before->next;

    if (p == NULL)
        return NULL;
    before->next = p->next;
    if (f->tail == p)
        f->tail = before;
    if (f->cursor == p)
        f->cursor = before;
    f->taken += p->len;
    account(q, f, p);
    f->deficit -= p->len;
    p->flags |= PLAIT_PACKET_AHEAD;
    return p;
}

struct plait_packet *plait_queue_take_ahead(struct plait_queue *q, uint16_t id, uint64_t depth)
{
    struct plait_queue_flow *f = &q->flows[id];

    if (f->head == NULL)
        return NULL;
    uint64_t start = f->head->end - f->head->len;
    struct plait_packet *before = f->cursor != NULL ? f->cursor : f->head, *p;

    depth += f->taken;
    if (before->end - before->len - start > depth + depth / 8) /* it had been looked for deeper */
        before = f->head;
    while ((p = before->next) != NULL && p->end - p->len - start < depth)
        before = p;
    f->cursor = before;
    return take_after(q, f, before);
}

struct plait_packet *plait_queue_take_near(struct plait_queue *q, uint16_t id, uint64_t depth)
{
    struct plait_queue_flow *f = &q->flows[id];

    if (f->head == NULL || f->head->next == NULL)
        return NULL;
    uint64_t start = f->head->end - f->head->len;
    struct plait_packet *before = f->head, *p;

    for (unsigned i = 0;
         i < NEAR_STEPS && (p = before->next)->next != NULL && p->end - p->len - start < depth; i++)
        before = p;
    return take_after(q, f, before);
}

void plait_queue_sent(struct plait_queue *q, const struct plait_packet *p, uint8_t path, uint8_t *back,
                      uint8_t before[PLAIT_DATAGRAM_BEFORE])
{
    struct plait_queue_flow *f = &q->flows[p->flow];
    uint32_t distance = 1;

    while (distance < PLAIT_QUEUE_SENT && noted(f, (p->flow_seq - distance) & SEQ_MASK) == DROPPED)
        distance++;
    *back = distance < PLAIT_QUEUE_SENT ? (uint8_t)distance : 0;
    for (uint32_t i = 0; i < PLAIT_DATAGRAM_BEFORE; i++) {
        uint8_t what = noted(f, (p->flow_seq - i - 1) & SEQ_MASK);
        before[i] = what < PLAIT_DATAGRAM_PATH_UNSENT ? what : PLAIT_DATAGRAM_PATH_UNKNOWN;
    }
    if (!(p->flags & PLAIT_PACKET_AHEAD))
        note(f, p->flow_seq, path);
}

void plait_queue_renumber(struct plait_queue *q)
{
    for (uint32_t id = 0; id < PLAIT_QUEUE_FLOWS; id++) {
        struct plait_queue_flow *f = &q->flows[id];
        if (f->last_in == 0)
            continue; /* never used: its memory is not touched */
        f->seq_next = 0;
        for (struct plait_packet *p = f->head; p != NULL; p = p->next)
            p->flow_seq = f->seq_next++;
        for (unsigned i = 0; i < PLAIT_QUEUE_SENT; i++)
            f->sent_seq[i] = 0;
    }
}

void plait_queue_done(struct plait_queue *q)
{
    for (uint32_t id = 0; q->flows != NULL && id < PLAIT_QUEUE_FLOWS; id++)
        while (q->flows[id].head != NULL)
            plait_pool_give(q->pool, remove_head(q, &q->flows[id]));
    free(q->flows);
    *q = (struct plait_queue){0};
}
