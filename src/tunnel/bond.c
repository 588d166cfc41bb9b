#include "bond.h"

#include <stdlib.h>
#include <string.h>

#include "bond_int.h"

#define QUEUE_PACKETS  4096u
#define HELD_PACKETS   8192u
#define FLIGHT_PACKETS 8192u
#define CREDIT_FIRST   15000.0 /* bytes that may be doubled before anything was sent */
#define DOUBLE_SHARE   0.05
#define NEW_BYTES      300u

static void on_deliver(void *ctx, uint64_t now, const uint8_t *bytes, size_t len)
{
    struct plait_bond *b = ctx;

    b->config.deliver(b->config.ctx, now, bytes, len);
}

int plait_bond_new(const struct plait_bond_config *config, struct plait_bond **out)
{
    if (config->pool == NULL || config->deliver == NULL)
        return PLAIT_ERR_ARG;
    struct plait_bond *b = calloc(1, sizeof(*b));

    if (b == NULL)
        return PLAIT_ERR_NOMEM;
    b->config = *config;
    b->config.queue_packets = config->queue_packets > 0 ? config->queue_packets : QUEUE_PACKETS;
    b->config.held_packets = config->held_packets > 0 ? config->held_packets : HELD_PACKETS;
    b->config.flight_packets = config->flight_packets > 0 ? config->flight_packets : FLIGHT_PACKETS;
    b->prng.state = config->seed;
    b->feedback_at = b->send_at = PLAIT_NEVER;
    b->double_credit = CREDIT_FIRST;
    if (plait_queue_init(&b->queue, config->pool, b->config.queue_packets) != PLAIT_OK ||
        plait_reorder_init(&b->reorder, config->pool, b->config.held_packets) != PLAIT_OK) {
        plait_bond_free(b);
        return PLAIT_ERR_NOMEM;
    }
    b->reorder.deliver = on_deliver;
    b->reorder.ctx = b;
    *out = b;
    return PLAIT_OK;
}

static void drop_again(struct plait_bond *b)
{
    while (b->again_head != NULL) {
        struct plait_packet *p = b->again_head;
        b->again_head = p->next;
        plait_pool_give(b->config.pool, p);
    }
    b->again_tail = NULL;
    b->again_n = 0;
    plait_pool_give(b->config.pool, b->double_packet);
    b->double_packet = NULL;
}

void plait_bond_free(struct plait_bond *b)
{
    if (b == NULL)
        return;
    for (unsigned i = 0; i < PLAIT_BOND_PATHS; i++)
        plait_path_done(b, &b->paths[i]);
    drop_again(b);
    plait_queue_done(&b->queue);
    plait_reorder_done(&b->reorder);
    free(b);
}

void plait_bond_on_peer_restart(struct plait_bond *b, uint64_t now)
{
    plait_reorder_reset(&b->reorder, now);
    plait_queue_renumber(&b->queue);
    drop_again(b);
    b->receiving = false;
    for (unsigned i = 0; i < b->paths_end; i++) {
        struct plait_path *p = &b->paths[i];
        if (p->state == PLAIT_BOND_PATH_NONE)
            continue;
        plait_path_forget(b, p);
        plait_arrivals_init(&p->arrivals);
        p->reported_bytes = p->reported_packets = p->reported_arrival = 0;
        p->reported_at = 0;
        p->newest = p->seq_next;
        plait_rate_forget(&p->rate);
        plait_line_interrupt(&p->seat);
        p->probe_at = now;
    }
}

/* ---- paths ---- */

int plait_bond_path_set(struct plait_bond *b, uint64_t now, unsigned path,
                        const struct plait_bond_path_config *config)
{
    if (path >= PLAIT_BOND_PATHS || config->weight < 0 || config->rate_max < 0 || config->rate_hint < 0 ||
        config->mtu > PLAIT_BOND_MTU_MAX)
        return PLAIT_ERR_ARG;
    struct plait_path *p = &b->paths[path];

    if (p->state == PLAIT_BOND_PATH_NONE) {
        plait_path_init(p, config);
        plait_probe_begin(b, now, p);
    } else {
        struct plait_bond_path_config before = p->config;
        p->config = *config;
        p->config.mtu = config->mtu > 0 ? config->mtu : 1500;
        p->config.overhead = config->overhead > 0 ? config->overhead : 58;
        p->rate.rate_max = config->rate_max;
        if (p->config.mtu != before.mtu)
            plait_probe_begin(b, now, p);
    }
    if (path >= b->paths_end)
        b->paths_end = path + 1;
    b->send_at = now;
    return PLAIT_OK;
}

void plait_bond_path_carrier(struct plait_bond *b, uint64_t now, unsigned path, bool up)
{
    if (path >= b->paths_end || b->paths[path].state == PLAIT_BOND_PATH_NONE)
        return;
    struct plait_path *p = &b->paths[path];

    if (up && p->state == PLAIT_BOND_PATH_DOWN) {
        plait_probe_begin(b, now, p);
    } else if (!up && p->state != PLAIT_BOND_PATH_DOWN) {
        p->state = PLAIT_BOND_PATH_DOWN;
        plait_repair_rescue(b, now, p);
        plait_path_forget(b, p);
    }
    b->send_at = now;
}

void plait_bond_path_moved(struct plait_bond *b, uint64_t now, unsigned path)
{
    if (path >= b->paths_end || !plait_path_exists(&b->paths[path]))
        return;
    struct plait_path *p = &b->paths[path];

    plait_repair_rescue(b, now, p);
    plait_path_forget(b, p);
    plait_rate_init(&p->rate, p->rate.rate / 2);
    p->rate.rate_max = p->config.rate_max;
    plait_line_interrupt(&p->seat);
    p->rtt_min_ns = p->loop_ns = PLAIT_NEVER;
    p->srtt_ns = 0;
    p->trains = 0;
    plait_probe_begin(b, now, p);
    b->send_at = now;
}

void plait_bond_path_remove(struct plait_bond *b, uint64_t now, unsigned path)
{
    plait_bond_path_carrier(b, now, path, false);
    if (path >= b->paths_end)
        return;
    plait_path_done(b, &b->paths[path]);
    while (b->paths_end > 0 && b->paths[b->paths_end - 1].state == PLAIT_BOND_PATH_NONE)
        b->paths_end--;
}

void plait_bond_limit(struct plait_bond *b, uint64_t now, double rate_max)
{
    b->config.rate_max = rate_max;
    b->whole_free = now;
    b->send_at = now;
}

/* ---- packets in ---- */

int plait_bond_push(struct plait_bond *b, uint64_t now, struct plait_packet *packet)
{
    struct plait_inner inner;
    int err = plait_inner_parse(packet->data, packet->len, b->config.seed, &inner);

    if (err == PLAIT_OK && !plait_schedule_fits_somewhere(b, packet))
        err = PLAIT_ERR_LIMIT;
    if (err != PLAIT_OK) {
        b->refused++;
        plait_pool_give(b->config.pool, packet);
        return err;
    }
    packet->flags =
        (uint8_t)((inner.urgent ? PLAIT_PACKET_URGENT : 0) | (inner.pure_ack ? PLAIT_PACKET_PURE_ACK : 0) |
                  (inner.ecn ? PLAIT_PACKET_ECN : 0) | (inner.carries ? PLAIT_PACKET_CARRIES : 0));
    b->pushed++;
    b->pushed_bytes += packet->len;
    plait_queue_push(&b->queue, now, packet, (uint16_t)(inner.hash % PLAIT_QUEUE_FLOWS));
    b->send_at = plait_min_u64(b->send_at, now);
    return PLAIT_OK;
}

int plait_bond_push_copy(struct plait_bond *b, uint64_t now, const void *bytes, size_t len)
{
    if (len > b->config.pool->room)
        return PLAIT_ERR_LIMIT;
    struct plait_packet *packet = plait_pool_take(b->config.pool);

    if (packet == NULL)
        return PLAIT_ERR_NOMEM;
    memcpy(packet->data, bytes, len);
    packet->len = (uint16_t)len;
    return plait_bond_push(b, now, packet);
}

int plait_bond_send_control(struct plait_bond *b, uint64_t now, int path, const void *bytes, size_t len)
{
    if (len > PLAIT_BOND_CONTROL_MAX - PLAIT_DATAGRAM_COMMON_BYTES || b->control_len > 0)
        return PLAIT_ERR_LIMIT;
    memcpy(b->control, bytes, len);
    b->control_len = (uint16_t)len;
    b->control_path = path;
    b->send_at = now;
    return PLAIT_OK;
}

/* What precedes a packet that was sent ahead may still be at the peer's entrance. */
static uint64_t hold_ns(const struct plait_bond *b, uint64_t now, const struct plait_path *p,
                        const struct plait_datagram *d)
{
    uint64_t hold = plait_repair_hold_ns(b, now, p);

    return hold > 0 && (d->flags & PLAIT_DATAGRAM_AHEAD) ? hold + PLAIT_BOND_SPREAD_NS : hold;
}

int plait_bond_recv(struct plait_bond *b, uint64_t now, unsigned path, const uint8_t *bytes, size_t len)
{
    struct plait_datagram d;
    int err = path < b->paths_end && b->paths[path].state != PLAIT_BOND_PATH_NONE
                  ? plait_datagram_decode(bytes, len, &d)
                  : PLAIT_ERR_NOTFOUND;

    if (err != PLAIT_OK) {
        b->bad++;
        return err;
    }
    struct plait_path *p = &b->paths[path];
    uint64_t before;

    if (!b->receiving) {
        b->receiving = true;
        b->clock_base = plait_bond_clock(now) - (UINT64_C(1) << 40) - d.time;
    }
    plait_arrivals_on_datagram(&p->arrivals, now, &d, len, b->clock_base);
    plait_feedback_want(b, now, &d, p);
    switch (d.kind) {
    case PLAIT_DATAGRAM_DATA:
        before = b->reorder.duplicates;
        plait_reorder_recv(&b->reorder, now, &d, hold_ns(b, now, p, &d));
        if ((d.flags & PLAIT_DATAGRAM_AGAIN) && b->reorder.duplicates == before)
            b->repaired++;
        break;
    case PLAIT_DATAGRAM_FEEDBACK:
        plait_feedback_recv(b, now, path, &d);
        break;
    case PLAIT_DATAGRAM_PROBE:
        plait_probe_recv(b, now, path, &d, len);
        break;
    case PLAIT_DATAGRAM_PROBE_ACK:
        plait_probe_recv_answer(b, now, path, &d);
        break;
    case PLAIT_DATAGRAM_CONTROL:
        if (b->config.control != NULL)
            b->config.control(b->config.ctx, now, path, d.body, d.body_len);
        break;
    case PLAIT_DATAGRAM_PATH_END:
    case PLAIT_DATAGRAM_CLOSE:
    case PLAIT_DATAGRAM_PADDING:
        break;
    }
    return PLAIT_OK;
}

void plait_bond_recv_past(struct plait_bond *b, uint64_t now, const uint8_t *bytes, size_t len)
{
    struct plait_datagram d;

    if (plait_datagram_decode(bytes, len, &d) == PLAIT_OK && d.kind == PLAIT_DATAGRAM_DATA &&
        !(d.flags & PLAIT_DATAGRAM_AGAIN))
        on_deliver(b, now, d.body, d.body_len);
}

/* ---- datagrams out ---- */

static bool poll_control(struct plait_bond *b, uint64_t now, struct plait_bond_datagram *out)
{
    struct plait_datagram d = {.kind = PLAIT_DATAGRAM_CONTROL};
    int path = b->control_path;

    if (b->control_len == 0)
        return false;
    if (path < 0 || (unsigned)path >= b->paths_end || !plait_path_exists(&b->paths[path]))
        path = plait_schedule_best(b, now, b->control_len, -1);
    if (path < 0)
        return false;
    memcpy(plait_bond_body(b), b->control, b->control_len);
    plait_path_send(b, now, (unsigned)path, &d, NULL, b->control_len, 0, out);
    b->control_len = 0;
    return true;
}

/* A packet that begins something is worth sending twice, where the second path has nothing else to do. */
static void consider_double(struct plait_bond *b, uint64_t now, unsigned path, struct plait_packet *packet)
{
    bool small_new = (packet->flags & PLAIT_PACKET_NEW) && packet->len <= NEW_BYTES;
    double bytes = packet->len;

    if (b->double_credit < CREDIT_FIRST)
        b->double_credit += DOUBLE_SHARE * bytes;
    if (b->config.no_duplicates || b->double_packet != NULL ||
        (!small_new && !(packet->flags & PLAIT_PACKET_URGENT)) || b->double_credit < bytes)
        return;
    int second = plait_schedule_best(b, now, bytes, (int)path);

    if (second < 0 || b->paths[second].next_free > now || b->paths[second].config.backup ||
        plait_path_arrival(&b->paths[second], now, bytes) - plait_path_arrival(&b->paths[path], now, bytes) >
            (int64_t)PLAIT_BOND_SPREAD_NS)
        return;
    b->double_credit -= bytes;
    b->double_packet = packet;
    b->double_path = (uint8_t)second;
    packet->held++;
}

static bool poll_data(struct plait_bond *b, uint64_t now, struct plait_bond_datagram *out)
{
    struct plait_datagram d = {.kind = PLAIT_DATAGRAM_DATA};
    struct plait_packet *packet;
    unsigned path;

    if (!plait_schedule_next(b, now, &path, &packet))
        return false;
    plait_queue_sent(&b->queue, packet, (uint8_t)path, &packet->back, d.before);
    packet->path = (uint8_t)path;
    d.back = packet->back;
    d.flow = packet->flow;
    d.flow_seq = packet->flow_seq;
    d.flags = packet->flags & PLAIT_PACKET_AHEAD ? PLAIT_DATAGRAM_AHEAD : 0;
    plait_path_send(b, now, path, &d, packet, 0, 0, out);
    if (b->config.rate_max > 0)
        b->whole_free = plait_max_u64(b->whole_free, plait_since(now, PLAIT_BOND_CREDIT_NS)) +
                        plait_time_to_carry(plait_path_line(&b->paths[path], out->len), b->config.rate_max);
    plait_rate_on_send(&b->paths[path].rate, now, b->paths[path].sent);
    consider_double(b, now, path, packet);
    plait_pool_give(b->config.pool, packet); /* the path holds it now */
    return true;
}

bool plait_bond_poll_send(struct plait_bond *b, uint64_t now, struct plait_bond_datagram *out)
{
    plait_schedule_notice(b, now);
    plait_seat_look(b, now);
    if (plait_probe_poll(b, now, out) || plait_feedback_poll(b, now, out) || poll_control(b, now, out) ||
        plait_repair_poll(b, now, out) || plait_seat_poll(b, now, out) || poll_data(b, now, out))
        return true;
    plait_seat_note(b, now);
    return false;
}

/* ---- time ---- */

uint64_t plait_bond_next_deadline(const struct plait_bond *b)
{
    uint64_t at = plait_min_u64(b->feedback_at, plait_reorder_deadline(&b->reorder));

    at = plait_min_u64(at, plait_min_u64(plait_repair_deadline(b), plait_probe_deadline(b)));
    at = plait_min_u64(at, plait_seat_deadline(b));
    for (unsigned i = 0; i < b->paths_end; i++)
        at = plait_min_u64(at, plait_arrivals_deadline(&b->paths[i].arrivals));
    if (b->queue.packets > 0)
        at = plait_min_u64(at, b->send_at);
    if (b->again_head != NULL)
        at = plait_min_u64(at, b->again_at);
    return at;
}

void plait_bond_on_deadline(struct plait_bond *b, uint64_t now)
{
    for (unsigned i = 0; i < b->paths_end; i++) {
        struct plait_arrivals *a = &b->paths[i].arrivals;
        plait_arrivals_on_time(a, now);
        if (a->tell_now)
            b->feedback_at = plait_min_u64(b->feedback_at, now);
    }
    plait_repair_on_deadline(b, now);
    plait_reorder_on_deadline(&b->reorder, now);
}

/* ---- looking at it ---- */

uint16_t plait_bond_mtu(const struct plait_bond *b)
{
    unsigned least = UINT16_MAX;

    for (unsigned i = 0; i < b->paths_end; i++) {
        const struct plait_path *p = &b->paths[i];
        if (!plait_path_exists(p))
            continue;
        unsigned mtu = p->mtu_probe == p->config.mtu ? p->config.mtu : p->mtu; /* until it is known better */
        mtu -= p->config.overhead + PLAIT_DATAGRAM_DATA_BYTES;
        least = mtu < least ? mtu : least;
    }
    return (uint16_t)(least < UINT16_MAX ? least : 1500 - 78 - PLAIT_DATAGRAM_DATA_BYTES);
}

void plait_bond_path_get(const struct plait_bond *b, uint64_t now, unsigned path,
                         struct plait_bond_path_info *out)
{
    *out = (struct plait_bond_path_info){0};
    if (path >= b->paths_end || b->paths[path].state == PLAIT_BOND_PATH_NONE)
        return;
    const struct plait_path *p = &b->paths[path];
    const struct plait_arrivals *a = &p->arrivals;
    uint64_t came = a->packets + a->lost_packets;

    *out = (struct plait_bond_path_info){
        .state = p->state,
        .rate = p->seat.line != NULL ? p->seat.line->rate.rate : p->rate.rate,
        .sent_rate = plait_since(now, p->rate_at) < 3 * PLAIT_S ? p->sent_rate : 0,
        .receive_rate = plait_since(now, a->last_arrival) < 3 * PLAIT_S ? a->rate : 0,
        .rtt_ns = p->srtt_ns,
        .rtt_min_ns = p->rtt_min_ns == PLAIT_NEVER ? 0 : p->rtt_min_ns,
        .queue_ns = p->rate.queue_ns,
        .jitter_ns = a->jitter_ns,
        .loss = p->rate.loss_base,
        .reordering = came > 0 ? (double)a->late_packets / (double)came : 0,
        .mtu = p->mtu,
        .sent_bytes = (uint64_t)p->sent,
        .arrived_bytes = p->reported_bytes,
        .sent_packets = p->sent_packets,
        .received_bytes = a->bytes + a->packets * p->config.overhead,
        .received_packets = a->packets,
        .lost_packets = p->lost_packets,
        .again_packets = p->again_packets,
    };
}

static uint64_t oldest_ns(const struct plait_bond *b, uint64_t now)
{
    uint64_t oldest = now;

    for (unsigned i = 0; b->queue.packets > 0 && i < PLAIT_QUEUE_FLOWS; i++)
        if (b->queue.flows[i].head != NULL)
            oldest = plait_min_u64(oldest, b->queue.flows[i].head->at_ns);
    return now - oldest;
}

void plait_bond_get(const struct plait_bond *b, uint64_t now, struct plait_bond_info *out)
{
    const struct plait_reorder *r = &b->reorder;

    *out = (struct plait_bond_info){
        .pushed_packets = b->pushed,
        .pushed_bytes = b->pushed_bytes,
        .dropped_packets = b->queue.dropped + b->refused,
        .marked_packets = b->queue.marked,
        .delivered_packets = r->delivered,
        .delivered_bytes = r->delivered_bytes,
        .late_packets = r->late,
        .duplicate_packets = r->duplicates,
        .repaired_packets = b->repaired,
        .bad_datagrams = b->bad,
        .queue_packets = b->queue.packets,
        .held_packets = r->held,
        .flight_packets = (uint32_t)b->flight,
        .held_packets_max = r->held_peak,
        .queue_ns = oldest_ns(b, now),
    };
}
