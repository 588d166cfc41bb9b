/*
 * What did not arrive, and paths that say nothing.
 *
 * A datagram that the peer has given up, and what a silent path holds, is sent again on the path that brings it
 * soonest, before new packets: the receiver holds up its flow for about as long as that takes. A path is
 * suspected when feedback of its oldest datagram is overdue, as TCP's timer would have it (RFC 6298) but with
 * milliseconds for seconds: to suspect wrongly costs some packets that come twice. It carries again as soon as
 * anything is heard of it that is not late (plait_path_may_return).
 */
#include "bond_int.h"

#define AGE_MAX        (500 * PLAIT_MS) /* of what a loss has cost; later the flow has gone on without it */
#define RESCUE_AGE_MAX (2 * PLAIT_S)
#define OVERDUE_NS     (15 * PLAIT_MS)
#define PATIENCE_MAX   4u
#define PATIENCE_SPAN  (5 * PLAIT_S)
#define DEAD_NS        (2 * PLAIT_S)
#define HOLD_MIN       (20 * PLAIT_MS) /* where nothing is repaired */
#define REPAIR_MIN     (50 * PLAIT_MS)
#define REPAIR_MAX     (150 * PLAIT_MS)
#define HOLD_MAX       (500 * PLAIT_MS)
#define HOLDERS_MAX    100u
#define ACTIVE_NS      (2 * PLAIT_S)

/* ---- what is to be sent again ---- */

static void enqueue(struct plait_bond *b, struct plait_packet *packet, bool first)
{
    if ((packet->flags & (PLAIT_PACKET_ARRIVED | PLAIT_PACKET_AGAIN)) || packet->held > HOLDERS_MAX)
        return;
    packet->flags |= PLAIT_PACKET_AGAIN;
    packet->held++;
    packet->next = first ? b->again_head : NULL;
    if (b->again_head == NULL)
        b->again_head = b->again_tail = packet;
    else if (first)
        b->again_head = packet;
    else
        b->again_tail = b->again_tail->next = packet;
    b->again_n++;
    b->again_at = 0;
}

static struct plait_packet *dequeue(struct plait_bond *b)
{
    struct plait_packet *packet = b->again_head;

    b->again_head = packet->next;
    if (b->again_head == NULL)
        b->again_tail = NULL;
    b->again_n--;
    packet->flags = (uint8_t)(packet->flags & ~PLAIT_PACKET_AGAIN);
    return packet;
}

/* The quickest way there and back; the peer waits for a repair where it is not too long. */
static uint64_t least_loop(const struct plait_bond *b)
{
    uint64_t loop = PLAIT_NEVER;

    for (unsigned i = 0; i < b->paths_end; i++)
        if (plait_path_carries(&b->paths[i]))
            loop = plait_min_u64(loop, b->paths[i].loop_ns);
    return loop;
}

void plait_repair_lost(struct plait_bond *b, uint64_t now, struct plait_path *p, struct plait_entry *e)
{
    (void)p;
    if (e->packet == NULL || b->config.no_repair || plait_since(now, e->sent_ns) > AGE_MAX ||
        least_loop(b) > REPAIR_MAX)
        return;
    enqueue(b, e->packet, false);
}

void plait_repair_rescue(struct plait_bond *b, uint64_t now, struct plait_path *p)
{
    if (b->config.no_repair)
        return;
    for (uint64_t seq = p->oldest; seq < p->seq_next; seq++) {
        const struct plait_entry *e = plait_path_entry(p, seq);
        if (e->packet != NULL && plait_since(now, e->sent_ns) < RESCUE_AGE_MAX)
            enqueue(b, e->packet, false);
    }
}

/* Lets go of what has arrived meanwhile or is too old. */
static void clean_up(struct plait_bond *b, uint64_t now)
{
    while (b->again_head != NULL && ((b->again_head->flags & PLAIT_PACKET_ARRIVED) ||
                                     plait_since(now, b->again_head->at_ns) > RESCUE_AGE_MAX))
        plait_pool_give(b->config.pool, dequeue(b));
}

static void send_again(struct plait_bond *b, uint64_t now, unsigned path, struct plait_packet *packet,
                       struct plait_bond_datagram *out)
{
    struct plait_datagram d = {.kind = PLAIT_DATAGRAM_DATA,
                               .flags = PLAIT_DATAGRAM_AGAIN,
                               .flow = packet->flow,
                               .flow_seq = packet->flow_seq};

    d.back = packet->back;
    for (unsigned i = 0; i < PLAIT_DATAGRAM_BEFORE; i++)
        d.before[i] = PLAIT_DATAGRAM_PATH_UNKNOWN;
    plait_path_send(b, now, path, &d, packet, 0, 0, out);
    b->paths[path].again_packets++;
    plait_pool_give(b->config.pool, packet);
}

bool plait_repair_poll(struct plait_bond *b, uint64_t now, struct plait_bond_datagram *out)
{
    if (b->double_packet != NULL) {
        struct plait_packet *packet = b->double_packet;
        b->double_packet = NULL;
        if (plait_path_carries(&b->paths[b->double_path])) {
            send_again(b, now, b->double_path, packet, out);
            return true;
        }
        plait_pool_give(b->config.pool, packet);
    }
    clean_up(b, now);
    if (b->again_head == NULL || now < b->again_at)
        return false;
    int path = plait_schedule_best(b, now, b->again_head->len, -1);

    if (path < 0) {
        b->again_at = now + 10 * PLAIT_MS;
        return false;
    }
    struct plait_path *p = &b->paths[path];

    if (p->next_free > now + PLAIT_BOND_BORROW_NS || !plait_path_has_room(p, b->config.flight_packets)) {
        b->again_at = plait_max_u64(plait_since(p->next_free, PLAIT_BOND_BORROW_NS), now + PLAIT_MS / 4);
        return false;
    }
    send_again(b, now, (unsigned)path, dequeue(b), out);
    return true;
}

/* ---- silence ---- */

/* A lower bound where the oldest is not DATA. */
static uint64_t overdue_at(const struct plait_path *p)
{
    if (p->oldest >= p->seq_next)
        return PLAIT_NEVER;
    uint64_t patience = p->ack_ns + (4 * p->ack_dev_ns + OVERDUE_NS) * (1 + p->patience);
    uint64_t sent_ns = p->ring[p->oldest & (p->ring_size - 1)].sent_ns;

    return plait_max_u64(sent_ns, p->reported_at) + patience;
}

static void advance_oldest(struct plait_path *p)
{
    while (p->oldest < p->seq_next && !(plait_path_entry(p, p->oldest)->flags & PLAIT_ENTRY_DATA))
        p->oldest++;
}

void plait_repair_progress(struct plait_bond *b, uint64_t now, struct plait_path *p)
{
    (void)b;
    if (p->state == PLAIT_BOND_PATH_SUSPECT || p->state == PLAIT_BOND_PATH_DEAD) {
        p->state = PLAIT_BOND_PATH_UP;
        if (plait_since(now, p->silent_since) < 500 * PLAIT_MS && p->patience < PATIENCE_MAX)
            p->patience++;
        p->patience_at = now;
        p->next_free = now;
        plait_rate_interrupt(&p->rate, p->sent);
        plait_line_interrupt(&p->seat);
    }
    if (p->patience > 0 && plait_since(now, p->patience_at) > PATIENCE_SPAN) {
        p->patience--;
        p->patience_at = now;
    }
    p->probes_open = 0;
}

void plait_repair_on_deadline(struct plait_bond *b, uint64_t now)
{
    for (unsigned i = 0; i < b->paths_end; i++) {
        struct plait_path *p = &b->paths[i];
        advance_oldest(p);
        if (p->state == PLAIT_BOND_PATH_UP && overdue_at(p) <= now) {
            p->state = PLAIT_BOND_PATH_SUSPECT;
            p->silent_since = now;
            p->probe_at = now;
            plait_repair_rescue(b, now, p);
        } else if (p->state == PLAIT_BOND_PATH_SUSPECT && plait_since(now, p->silent_since) >= DEAD_NS) {
            p->state = PLAIT_BOND_PATH_DEAD;
            plait_path_forget(b, p);
        }
    }
}

uint64_t plait_repair_deadline(const struct plait_bond *b)
{
    uint64_t at = PLAIT_NEVER;

    for (unsigned i = 0; i < b->paths_end; i++) {
        const struct plait_path *p = &b->paths[i];
        if (p->state == PLAIT_BOND_PATH_UP)
            at = plait_min_u64(at, overdue_at(p));
        else if (p->state == PLAIT_BOND_PATH_SUSPECT)
            at = plait_min_u64(at, p->silent_since + DEAD_NS);
    }
    return at;
}

/* ---- how long a gap is waited for ---- */

uint64_t plait_repair_hold_ns(const struct plait_bond *b, uint64_t now, const struct plait_path *p)
{
    int64_t last = p->arrivals.delay_ns;
    uint64_t jitter = p->arrivals.jitter_ns, loop = least_loop(b);

    if (b->config.no_reorder)
        return 0;
    for (unsigned i = 0; i < b->paths_end; i++) {
        const struct plait_path *q = &b->paths[i];
        if (q->arrivals.last_data == 0 || plait_since(now, q->arrivals.last_data) > ACTIVE_NS)
            continue;
        if (q->arrivals.delay_ns > last)
            last = q->arrivals.delay_ns;
        jitter = plait_max_u64(jitter, q->arrivals.jitter_ns);
    }
    uint64_t spread = (uint64_t)(last - p->arrivals.delay_ns) + 4 * jitter;
    uint64_t repair = b->config.no_repair || loop > REPAIR_MAX
                          ? HOLD_MIN
                          : plait_clamp_u64(2 * loop + REPAIR_MIN, REPAIR_MIN, REPAIR_MAX);
    return plait_min_u64(spread + repair, HOLD_MAX);
}
