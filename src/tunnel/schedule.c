/*
 * Theory of operation. A packet is bound to a path when the path's pacer lets it leave, not before. The flow
 * whose turn it is (FQ-CoDel) offers its head. The best path is the one on which the head would arrive first,
 * the wait for its pacer included. If it is free, the head goes there. If it is not, another free path takes
 *  - the head, when that path is later by no more than a tolerable spread and the flow has waited for
 *    longer than PLAIT_BOND_SPILL_NS: the reorder buffer pays for it;
 *  - a packet from so deep in the queue that it arrives there just when its turn has come, when the path is
 *    later by more (a satellite): nobody pays, but the queue has to be that long;
 *  - nothing, otherwise: waiting brings everything home sooner (ECF, Lim et al. 2017).
 * Small urgent packets go to the best path at once, a little before its turn if need be.
 */
#include "bond_int.h"
#include "scheduler.h"

#define FLOWS_LOOKED_AT  8
#define FULL_NS          (6 * PLAIT_MS) /* waiting for longer means that the paths are full: backups help */
#define FLIGHT_NS        (60 * PLAIT_MS)
#define WEIGHTED_WAIT_NS (20 * PLAIT_MS) /* a path whose turn it is but that is busy for longer loses it */
#define SMALL_BYTES      200u

struct candidate {
    unsigned path;
    int64_t arrival;
    bool is_free;
};

static bool fits(const struct plait_path *p, const struct plait_packet *packet)
{
    return packet->len + PLAIT_DATAGRAM_DATA_BYTES + p->config.overhead <= p->mtu;
}

bool plait_schedule_fits_somewhere(const struct plait_bond *b, const struct plait_packet *packet)
{
    bool any = false;

    for (unsigned i = 0; i < b->paths_end; i++) {
        const struct plait_path *p = &b->paths[i];
        unsigned mtu = p->mtu_probe == p->config.mtu ? p->config.mtu : p->mtu; /* until it is known better */
        if (!plait_path_exists(p))
            continue;
        any = true;
        if (packet->len + PLAIT_DATAGRAM_DATA_BYTES + p->config.overhead <= mtu)
            return true;
    }
    return !any && packet->len <= PLAIT_BOND_MTU_MAX;
}

/* Something is wrong there, wait for news. */
bool plait_path_is_stuffed(const struct plait_path *p)
{
    uint64_t loop = p->loop_ns == PLAIT_NEVER ? PLAIT_S : p->loop_ns;

    return p->flying > p->rate.rate * 1.25 * plait_to_s(loop + p->ack_dev_ns * 2 + FLIGHT_NS) + 30000;
}

static bool is_usable(struct plait_bond *b, struct plait_path *p, const struct plait_packet *packet)
{
    return plait_path_carries(p) && fits(p, packet) && !plait_path_is_stuffed(p) &&
           plait_path_has_room(p, b->config.flight_packets);
}

int plait_schedule_best(struct plait_bond *b, uint64_t now, double bytes, int not )
{
    int best = -1;
    int64_t earliest = INT64_MAX;

    for (unsigned i = 0; i < b->paths_end; i++) {
        if (!plait_path_carries(&b->paths[i]) || (int)i == not )
            continue;
        int64_t at =
            plait_path_arrival(&b->paths[i], now, bytes) + (b->paths[i].config.backup ? (int64_t)PLAIT_S : 0);
        if (at < earliest) {
            earliest = at;
            best = (int)i;
        }
    }
    return best;
}

static unsigned collect(struct plait_bond *b, uint64_t now, const struct plait_packet *head,
                        struct candidate *c, bool backups)
{
    unsigned n = 0;

    for (unsigned i = 0; i < b->paths_end; i++) {
        struct plait_path *p = &b->paths[i];
        if (p->config.backup != backups || p->scanty || !is_usable(b, p, head))
            continue;
        c[n].path = i;
        c[n].arrival = plait_path_arrival(p, now, plait_path_line(p, head->len + PLAIT_DATAGRAM_DATA_BYTES));
        c[n++].is_free = p->next_free <= now;
    }
    return n;
}

static unsigned least(const struct candidate *c, unsigned n)
{
    unsigned best = 0;

    for (unsigned i = 1; i < n; i++)
        if (c[i].arrival < c[best].arrival)
            best = i;
    return best;
}

static void look_again(struct plait_bond *b, uint64_t at)
{
    b->send_at = plait_min_u64(b->send_at, at);
}

static bool take(struct plait_bond *b, uint64_t now, uint16_t flow, uint64_t slack, unsigned path,
                 unsigned *out_path, struct plait_packet **out)
{
    *out_path = path;
    *out = plait_queue_take(&b->queue, now, flow, slack);
    return *out != NULL;
}

/* Rate of the paths on which the head of a queue would arrive before it did on `than`. */
static double rate_before(struct plait_bond *b, const struct candidate *c, unsigned n, int64_t than)
{
    double rate = 0;

    for (unsigned i = 0; i < n; i++)
        if (c[i].arrival <= than)
            rate += b->paths[c[i].path].rate.rate;
    return rate;
}

/* How much longer than the best path's the ways of the usable paths are, at most: bulk waits for so long in the
 * queue so that the last of them has something to carry. */
static uint64_t slack_ns(const struct candidate *c, unsigned n, int64_t best)
{
    int64_t most = 0;

    for (unsigned i = 0; i < n; i++)
        if (c[i].arrival - best <= (int64_t)PLAIT_BOND_BULK_NS && c[i].arrival - best > most)
            most = c[i].arrival - best;
    return most > (int64_t)PLAIT_BOND_SPREAD_NS ? (uint64_t)most + 4 * PLAIT_BOND_SPILL_NS : 0;
}

static uint64_t even_ns(const struct plait_bond *b, const struct plait_packet *head)
{
    return head->flags & PLAIT_PACKET_CARRIES ? b->even_ns : 0;
}

/* For a path that is later by what it takes to send `depth` bytes: a packet from about there, or as near as there is. */
static bool spill(struct plait_bond *b, uint64_t now, uint16_t flow, uint64_t slack, double depth,
                  unsigned path, unsigned *out_path, struct plait_packet **out)
{
    *out = b->config.no_ahead ? NULL : plait_queue_take_near(&b->queue, flow, (uint64_t)depth);
    *out_path = path;
    return *out != NULL || take(b, now, flow, slack, path, out_path, out);
}

/* The flow's head may not leave on the best path now: is another free path worth it? */
static bool try_others(struct plait_bond *b, uint64_t now, uint16_t flow, const struct candidate *c,
                       unsigned n, unsigned best, unsigned *path, struct plait_packet **out)
{
    const struct plait_queue_flow *f = &b->queue.flows[flow];
    uint64_t even = even_ns(b, f->head);
    uint64_t waited = plait_since(now, f->head->at_ns + even);
    uint64_t rest =
        plait_since(f->head->at_ns + even, now); /* what waits anyway loses nothing on a longer way */
    uint64_t slack = slack_ns(c, n, c[best].arrival) + even;

    for (unsigned i = 0; i < n; i++) {
        int64_t later = c[i].arrival - c[best].arrival;
        if (i == best || !c[i].is_free || later > (int64_t)PLAIT_BOND_BULK_NS)
            continue;
        double before = rate_before(b, c, n, c[i].arrival - 1);
        if (later <= (int64_t)PLAIT_BOND_SPREAD_NS) {
            double drain_ns = (double)f->bytes * b->queue.active / (before > 0 ? before : 1) * 1e9;
            double more_ns = (double)plait_since(later > 0 ? (uint64_t)later : 0, rest);
            if (waited >= PLAIT_BOND_SPILL_NS || drain_ns > more_ns + PLAIT_BOND_SPILL_NS)
                return spill(b, now, flow, slack, before * more_ns / 1e9 / b->queue.active, c[i].path, path,
                             out);
            look_again(b, f->head->at_ns + even + PLAIT_BOND_SPILL_NS);
        } else if (!b->config.no_ahead) {
            double share = before / b->queue.active;
            *out = plait_queue_take_ahead(&b->queue, flow, (uint64_t)(share * (double)later / 1e9));
            *path = c[i].path;
            if (*out != NULL)
                return true;
            look_again(b, now + 2 * PLAIT_MS);
        }
    }
    return false;
}

static bool try_flow(struct plait_bond *b, uint64_t now, uint16_t flow, unsigned *path,
                     struct plait_packet **out)
{
    struct candidate c[PLAIT_BOND_PATHS];
    const struct plait_packet *head = b->queue.flows[flow].head;
    unsigned n = collect(b, now, head, c, false);
    bool small = (head->flags & PLAIT_PACKET_URGENT) != 0 ||
                 (head->len <= SMALL_BYTES && b->queue.flows[flow].packets == 1);

    if (n == 0 || plait_since(now, head->at_ns) > FULL_NS) {
        unsigned more = collect(b, now, head, c + n, true);
        for (unsigned i = n; n > 0 && i < n + more; i++)
            c[i].arrival += (int64_t)PLAIT_BOND_SPREAD_NS / 2; /* after all others */
        n += more;
    }
    if (n == 0) {
        if (!plait_schedule_fits_somewhere(b, head))
            plait_queue_drop(&b->queue, flow);
        look_again(b, now + 5 * PLAIT_MS);
        return false;
    }
    unsigned best = least(c, n);
    uint64_t is_free = plait_max_u64(b->paths[c[best].path].next_free, head->at_ns + even_ns(b, head));

    if (is_free <= now + (small && even_ns(b, head) == 0 ? PLAIT_BOND_BORROW_NS : 0))
        return take(b, now, flow, small ? 0 : slack_ns(c, n, c[best].arrival) + even_ns(b, head),
                    c[best].path, path, out);
    look_again(b, is_free);
    return try_others(b, now, flow, c, n, best, path, out);
}

/* ---- fixed weights, and the schedulers to compare with ---- */

static double weight_of(const struct plait_path *p)
{
    return p->config.weight > 0 ? p->config.weight : p->rate.rate * 8 / 1e6;
}

bool plait_bond_is_weighted(const struct plait_bond *b)
{
    for (unsigned i = 0; i < b->paths_end; i++)
        if (b->paths[i].config.weight > 0 && plait_path_carries(&b->paths[i]))
            return true;
    return b->config.policy == PLAIT_BOND_ROUND_ROBIN;
}

/* The pattern of the weights (plait_pattern): the k-th packet of a path has the position k · total / weight. */
static int next_weighted(struct plait_bond *b, uint64_t now, const struct plait_packet *head, bool backups)
{
    int best = -1;

    for (unsigned i = 0; i < b->paths_end; i++) {
        struct plait_path *p = &b->paths[i];
        if (p->config.backup == backups && plait_path_carries(p) && fits(p, head) &&
            p->next_free < now + WEIGHTED_WAIT_NS &&
            (best < 0 || p->weight_place < b->paths[best].weight_place))
            best = (int)i;
    }
    return best;
}

static void advance_weighted(struct plait_bond *b, unsigned path, double bytes)
{
    struct plait_path *p = &b->paths[path];
    double floor = p->weight_place;

    p->weight_place += bytes / weight_of(p);
    for (unsigned i = 0; i < b->paths_end; i++) /* who was away does not make up for it */
        if (b->paths[i].weight_place < floor)
            b->paths[i].weight_place = floor;
}

static int next_random(struct plait_bond *b, const struct plait_packet *head)
{
    double total = 0;
    int last = -1;

    for (unsigned i = 0; i < b->paths_end; i++)
        if (is_usable(b, &b->paths[i], head))
            total += weight_of(&b->paths[i]);
    double at = plait_prng_unit(&b->prng) * total;

    for (unsigned i = 0; i < b->paths_end; i++) {
        if (!is_usable(b, &b->paths[i], head))
            continue;
        last = (int)i;
        at -= weight_of(&b->paths[i]);
        if (at < 0)
            break;
    }
    return last;
}

static int next_lowest_rtt(struct plait_bond *b, uint64_t now, const struct plait_packet *head)
{
    int best = -1;

    for (unsigned i = 0; i < b->paths_end; i++) {
        struct plait_path *p = &b->paths[i];
        if (!is_usable(b, p, head) || p->next_free > now)
            continue;
        if (best < 0 || p->srtt_ns < b->paths[best].srtt_ns)
            best = (int)i;
    }
    return best;
}

static bool try_policy(struct plait_bond *b, uint64_t now, uint16_t flow, unsigned *path,
                       struct plait_packet **out)
{
    const struct plait_packet *head = b->queue.flows[flow].head;
    int i;

    if (plait_bond_is_weighted(b)) {
        i = next_weighted(b, now, head, false);
        i = i >= 0 ? i : next_weighted(b, now, head, true);
    } else if (b->config.policy == PLAIT_BOND_RANDOM) {
        i = next_random(b, head);
    } else {
        i = next_lowest_rtt(b, now, head);
    }
    if (i < 0 && !plait_schedule_fits_somewhere(b, head))
        plait_queue_drop(&b->queue, flow);
    if (i < 0 || plait_path_is_stuffed(&b->paths[i]) ||
        !plait_path_has_room(&b->paths[i], b->config.flight_packets)) {
        look_again(b, now + PLAIT_MS);
        return false;
    }
    if (b->paths[i].next_free > now) {
        look_again(b, b->paths[i].next_free);
        return false;
    }
    if (!take(b, now, flow, 0, (unsigned)i, path, out))
        return false;
    advance_weighted(b, (unsigned)i, (*out)->len);
    return true;
}

/* Packets were to leave at `send_at`, and nobody looked until now: the pacers make it good (path.c), and what stands
 * on the lines after that is not the rates' fault. */
void plait_schedule_notice(struct plait_bond *b, uint64_t now)
{
    if (b->queue.packets == 0 || b->send_at >= now)
        return;
    b->late_ns = plait_max_u64(b->late_ns, now - b->send_at);
    for (unsigned i = 0; i < b->paths_end && b->late_ns > PLAIT_BOND_CREDIT_NS; i++) {
        struct plait_path *p = &b->paths[i];
        plait_rate_on_burst(&p->rate, now, plait_min_u64(plait_since(now, p->next_free), PLAIT_BOND_LATE_NS));
    }
}

bool plait_schedule_next(struct plait_bond *b, uint64_t now, unsigned *path, struct plait_packet **packet)
{
    bool plain = b->config.policy == PLAIT_BOND_EARLIEST && !plait_bond_is_weighted(b);
    uint16_t flow;

    b->send_at = PLAIT_NEVER;
    if (b->config.rate_max > 0 && b->whole_free > now) {
        look_again(b, b->whole_free);
        b->late_ns = 0;
        return false;
    }
again:
    flow = plait_queue_turn(&b->queue);
    for (unsigned i = 0; i < FLOWS_LOOKED_AT && flow != PLAIT_QUEUE_NONE; i++) {
        uint32_t before = b->queue.packets;
        if (plain ? try_flow(b, now, flow, path, packet) : try_policy(b, now, flow, path, packet))
            return true;
        if (b->queue.packets != before)
            goto again; /* CoDel has emptied the flow */
        flow = plait_queue_after(&b->queue, flow);
    }
    b->late_ns = 0;
    return false;
}
