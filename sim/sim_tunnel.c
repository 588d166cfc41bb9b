#include "sim_tunnel.h"

#include <stdlib.h>
#include <string.h>

#include "sim_mem.h"
#include "sim_tunnel_int.h"

#define POOL_PACKETS   16384u
#define PACKET_ROOM    1600u
#define LATE_US        100.0
#define LINE_SHARE     (1448.0 / 1500.0) /* of a line's bytes that TCP over plain IPv4 has for its payload */
#define BYTES_PER_MBIT 125000.0

static uint64_t ms(double v)
{
    return (uint64_t)(v * 1e6);
}

static uint64_t end_clock(const struct plait_sim_tunnel_end *e, uint64_t now)
{
    return e->side == PLAIT_SIM_HUB ? now + PLAIT_SIM_HUB_CLOCK_NS : now;
}

void plait_sim_tunnel_fail(struct plait_sim_tunnel *t, const char *why)
{
    if (!t->result->bad)
        snprintf(t->result->why, sizeof(t->result->why), "%s", why);
    t->result->bad = true;
}

/* ---- lines ---- */

struct plait_sim_carried *plait_sim_carried_take(struct plait_sim_tunnel *t)
{
    struct plait_sim_carried *c = t->idle;

    if (c == NULL)
        return plait_sim_mem_new(1, sizeof(*c));
    t->idle = c->next;
    return c;
}

void plait_sim_carried_give(struct plait_sim_tunnel *t, struct plait_sim_carried *c)
{
    c->next = t->idle;
    t->idle = c;
}

struct plait_sim_carried *plait_sim_carried_of(const struct plait_sim_packet *p)
{
    return (struct plait_sim_carried *)(uintptr_t)p->body[0];
}

static void send_carried(struct plait_sim_tunnel *t, unsigned side, uint64_t now, struct plait_sim_carried *c,
                         size_t headers)
{
    const struct plait_sim_uplink *u = &t->row->uplink[c->path];
    struct plait_sim_packet p = {.route = &t->route[side][c->path],
                                 .sink = t->via[side][c->path] != NULL ? t->via[side][c->path]
                                                                       : &t->end[1 - side].sink[c->path],
                                 .bytes = (uint32_t)(c->len + headers)};

    p.body[0] = (uintptr_t)c;
    t->result->line_bytes += p.bytes;
    if (u->mtu > 0 && p.bytes > u->mtu)
        plait_sim_carried_give(t, c);
    else
        plait_sim_packet_send(&p, now);
}

static void pump(struct plait_sim_tunnel_end *e, uint64_t now);

static void recv_carried(struct plait_sim_tunnel_end *e, uint64_t now, struct plait_sim_carried *c)
{
    if (e->bond == NULL)
        plait_sim_inner_deliver(e->tunnel, e->side, now, c->bytes, c->len);
    else
        (void)plait_bond_recv(e->bond, end_clock(e, now), c->path, c->bytes, c->len);
    plait_sim_carried_give(e->tunnel, c);
}

static void deliver_line(void *ctx, uint64_t now, const struct plait_sim_packet *p)
{
    struct plait_sim_tunnel_end *e = ctx;
    struct plait_sim_carried *c = plait_sim_carried_of(p);

    if (now < e->stalled_until) {
        c->next = NULL;
        if (e->inbox == NULL)
            e->inbox = c;
        else
            e->inbox_last->next = c;
        e->inbox_last = c;
        return;
    }
    recv_carried(e, now, c);
    plait_sim_tunnel_flush(e->tunnel, e->side, now);
}

static void dropped_line(void *ctx, const struct plait_sim_packet *p)
{
    struct plait_sim_tunnel_end *e = ctx;

    plait_sim_carried_give(e->tunnel, plait_sim_carried_of(p));
}

struct plait_sim_link_config plait_sim_uplink_line(const struct plait_sim_uplink *u, unsigned side,
                                                   struct plait_sim_step *steps)
{
    bool down = side == PLAIT_SIM_HUB;
    double mbit = down || u->up_mbit <= 0 ? u->mbit : u->up_mbit;
    struct plait_sim_link_config c = {
        .rate = (uint64_t)(mbit * BYTES_PER_MBIT),
        .delay_ns = ms(u->rtt_ms / 2),
        .held_from_ns = PLAIT_SIM_TUNNEL_READY_NS + ms(u->held.from_ms),
        .held_to_ns = PLAIT_SIM_TUNNEL_READY_NS + ms(u->held.to_ms),
        .held_ns = ms(u->held.by_ms),
        .jitter_ns = ms(u->jitter_ms),
        .reorder = u->reorder,
        .queue_ns = ms(u->queue_ms > 0  ? u->queue_ms
                       : u->rtt_ms > 50 ? u->rtt_ms
                                        : 50),
        .loss = (down ? u->loss : u->up_loss) / 100,
        .burst_enter = u->burst_enter / 100,
        .burst_leave = u->burst_leave / 100,
        .burst_loss = u->burst_loss / 100,
        .period_ns = down ? ms(u->period_ms) : 0,
        .steps = steps,
    };

    for (unsigned s = 0; down && s < PLAIT_SIM_UPLINK_STEPS && u->step[s].at_ms > 0; s++)
        steps[c.steps_n++] =
            (struct plait_sim_step){(c.period_ns > 0 ? 0 : PLAIT_SIM_TUNNEL_READY_NS) + ms(u->step[s].at_ms),
                                    (uint64_t)(u->step[s].mbit * BYTES_PER_MBIT)};
    return c;
}

static void init_line(struct plait_sim_tunnel *t, unsigned side, unsigned i)
{
    const struct plait_sim_uplink *u = &t->row->uplink[i];
    bool down = side == PLAIT_SIM_HUB;
    struct plait_sim_link_config c = plait_sim_uplink_line(u, side, t->steps[i]);

    c.seed = t->row->seed * 64 + i * 2 + side;
    c.outages = t->outages[side][i];
    for (unsigned o = 0; o < PLAIT_SIM_UPLINK_OUTAGES && u->outage[o].to_ms > 0; o++) {
        if (u->outage[o].kind == (down ? PLAIT_SIM_CUT_UP : PLAIT_SIM_CUT_DOWN))
            continue;
        t->outages[side][i][c.outages_n++] =
            (struct plait_sim_outage){PLAIT_SIM_TUNNEL_READY_NS + ms(u->outage[o].from_ms),
                                      PLAIT_SIM_TUNNEL_READY_NS + ms(u->outage[o].to_ms)};
    }
    plait_sim_link_init(&t->link[side][i], t->events, &c);
    t->route[side][i] = (struct plait_sim_route){.hop = {&t->link[side][i]}, .hops = 1};
    if (u->behind > 0)
        t->route[side][i].hop[t->route[side][i].hops++] = &t->link[side][u->behind - 1];
}

/* ---- ends ---- */

static void on_inner(void *ctx, uint64_t now, const uint8_t *bytes, size_t len)
{
    struct plait_sim_tunnel_end *e = ctx;

    plait_sim_inner_deliver(e->tunnel, e->side, e->side == PLAIT_SIM_HUB ? now - PLAIT_SIM_HUB_CLOCK_NS : now,
                            bytes, len);
}

void plait_sim_tunnel_emit(struct plait_sim_tunnel *t, unsigned side, const uint8_t *bytes, size_t len)
{
    struct plait_sim_tunnel_end *e = &t->end[side];
    struct plait_packet *p = plait_pool_take(&e->pool);

    if (p == NULL)
        return; /* as a full device would */
    memcpy(p->data, bytes, len);
    p->len = (uint16_t)len;
    p->next = NULL;
    if (e->outbox == NULL)
        e->outbox = p;
    else
        e->outbox_last->next = p;
    e->outbox_last = p;
}

static void send_plain(struct plait_sim_tunnel_end *e, uint64_t now, struct plait_packet *p)
{
    struct plait_sim_carried *c = plait_sim_carried_take(e->tunnel);

    c->path = (uint8_t)e->tunnel->first;
    c->len = p->len;
    memcpy(c->bytes, p->data, p->len);
    plait_pool_give(&e->pool, p);
    send_carried(e->tunnel, e->side, now, c, 0);
}

void plait_sim_tunnel_flush(struct plait_sim_tunnel *t, unsigned side, uint64_t now)
{
    struct plait_sim_tunnel_end *e = &t->end[side];

    if (now < e->stalled_until)
        return;
    while (e->outbox != NULL) {
        struct plait_packet *p = e->outbox;
        e->outbox = p->next;
        if (e->bond == NULL)
            send_plain(e, now, p);
        else
            (void)plait_bond_push(e->bond, end_clock(e, now), p);
    }
    if (e->bond != NULL)
        pump(e, now);
}

static void pump(struct plait_sim_tunnel_end *e, uint64_t now)
{
    struct plait_sim_tunnel *t = e->tunnel;
    struct plait_bond_datagram d;

    while (plait_bond_poll_send(e->bond, end_clock(e, now), &d)) {
        struct plait_sim_carried *c = plait_sim_carried_take(t);
        c->path = d.path;
        c->len = d.len;
        memcpy(c->bytes, d.header, d.header_len);
        memcpy(c->bytes + d.header_len, d.payload, d.payload_len);
        send_carried(t, e->side, now, c, PLAIT_SIM_TUNNEL_HEADERS);
    }
    if (e->pool.spare_n < e->spare_least)
        e->spare_least = e->pool.spare_n;
    uint64_t at = plait_bond_next_deadline(e->bond);
    double late = (t->row->late_us > 0 ? t->row->late_us : LATE_US) * 1e3;

    if (at == PLAIT_NEVER) {
        plait_sim_event_unset(t->events, &e->timer);
        return;
    }
    at = plait_max_u64(e->side == PLAIT_SIM_HUB ? plait_since(at, PLAIT_SIM_HUB_CLOCK_NS) : at, now);
    if (plait_sim_event_at(t->events, &e->timer) > at || plait_sim_event_at(t->events, &e->timer) <= now)
        plait_sim_event_set(t->events, &e->timer, at + 1000 + (uint64_t)(late * plait_prng_unit(&t->prng)));
}

static void on_timer(void *ctx, uint64_t now)
{
    struct plait_sim_tunnel_end *e = ctx;

    if (now < e->stalled_until) {
        plait_sim_event_set(e->tunnel->events, &e->timer, e->stalled_until + 1000);
        return;
    }
    plait_bond_on_deadline(e->bond, end_clock(e, now));
    plait_sim_tunnel_flush(e->tunnel, e->side, now);
}

/* Ends one standstill or begins the next: what came meanwhile is looked at in one go. */
static void on_stall(void *ctx, uint64_t now)
{
    struct plait_sim_tunnel_end *e = ctx;
    const struct plait_sim_tunnel_row *row = e->tunnel->row;
    struct plait_prng *prng = &e->tunnel->prng;

    if (e->stalled_until == 0) {
        e->stalled_until = now + 1 + ms(row->stall_ms * plait_prng_unit(prng));
        plait_sim_event_set(e->tunnel->events, &e->stall, e->stalled_until);
        return;
    }
    e->stalled_until = 0;
    plait_sim_event_set(e->tunnel->events, &e->stall,
                        now + ms(2 * row->stall_every_ms * plait_prng_unit(prng)));
    while (e->inbox != NULL) {
        struct plait_sim_carried *c = e->inbox;
        e->inbox = c->next;
        recv_carried(e, now, c);
    }
    plait_sim_tunnel_flush(e->tunnel, e->side, now);
}

void plait_sim_tunnel_path(struct plait_sim_tunnel *t, unsigned side, unsigned i, bool there)
{
    const struct plait_sim_uplink *u = &t->row->uplink[i];
    struct plait_sim_tunnel_end *e = &t->end[side];
    uint64_t now = end_clock(e, t->events->now);
    struct plait_bond_path_config c = {.weight = u->weight,
                                       .rate_max = u->limit * BYTES_PER_MBIT,
                                       .backup = u->backup,
                                       .carried = u->carried && side == PLAIT_SIM_NODE,
                                       .overhead = PLAIT_SIM_TUNNEL_HEADERS};

    if (!there)
        plait_bond_path_remove(e->bond, now, i);
    else if (plait_bond_path_set(e->bond, now, i, &c) != PLAIT_OK)
        plait_sim_tunnel_fail(t, "a path was refused");
}

static void init_end(struct plait_sim_tunnel *t, unsigned side)
{
    const struct plait_sim_tunnel_row *row = t->row;
    struct plait_sim_tunnel_end *e = &t->end[side];
    uint32_t packets = row->pool_packets > 0 ? row->pool_packets : POOL_PACKETS;

    e->tunnel = t;
    e->side = side;
    if (plait_pool_init(&e->pool, packets, PACKET_ROOM) != PLAIT_OK)
        abort();
    e->spare_least = e->pool.spare_n;
    for (unsigned i = 0; i < t->uplinks; i++)
        e->sink[i] = (struct plait_sim_sink){.deliver = deliver_line, .dropped = dropped_line, .ctx = e};
    plait_sim_event_init(&e->timer, on_timer, e);
    plait_sim_event_init(&e->stall, on_stall, e);
    if (row->stall_ms > 0 && !row->untunnelled)
        plait_sim_event_set(t->events, &e->stall, PLAIT_SIM_TUNNEL_READY_NS);
    if (row->untunnelled)
        return;
    struct plait_bond_config config = {
        .pool = &e->pool,
        .deliver = on_inner,
        .ctx = e,
        .seed = row->seed + side,
        .policy = row->policy,
        .rate_max = row->limit * BYTES_PER_MBIT,
        .no_repair = row->no_repair,
        .no_ahead = row->no_ahead,
        .no_reorder = row->no_reorder,
        .no_duplicates = row->no_duplicates,
        .no_even = row->no_even,
    };
    if (plait_bond_new(&config, &e->bond) != PLAIT_OK)
        abort();
    for (unsigned i = 0; i < t->uplinks; i++)
        if (row->only == 0 || row->only == (int)i + 1)
            plait_sim_tunnel_path(t, side, i, true);
}

/* ---- carrier ---- */

struct carrier_event {
    struct plait_sim_event event;
    struct plait_sim_tunnel *tunnel;
    unsigned uplink;
    bool up;
};

static void on_carrier(void *ctx, uint64_t now)
{
    struct carrier_event *c = ctx;

    plait_bond_path_carrier(c->tunnel->end[PLAIT_SIM_NODE].bond, now, c->uplink, c->up);
    plait_sim_tunnel_flush(c->tunnel, PLAIT_SIM_NODE, now);
}

static unsigned init_carrier(struct plait_sim_tunnel *t, struct carrier_event *c)
{
    unsigned n = 0;

    for (unsigned i = 0; i < t->uplinks; i++) {
        for (unsigned o = 0; o < PLAIT_SIM_UPLINK_OUTAGES && t->row->uplink[i].outage[o].to_ms > 0; o++) {
            if (t->row->uplink[i].outage[o].kind != PLAIT_SIM_CUT_CARRIER || t->row->untunnelled)
                continue;
            for (unsigned up = 0; up < 2; up++, n++) {
                double at = up ? t->row->uplink[i].outage[o].to_ms : t->row->uplink[i].outage[o].from_ms;
                c[n] = (struct carrier_event){.tunnel = t, .uplink = i, .up = up};
                plait_sim_event_init(&c[n].event, on_carrier, &c[n]);
                plait_sim_event_set(t->events, &c[n].event, PLAIT_SIM_TUNNEL_READY_NS + ms(at));
            }
        }
    }
    return n;
}

/* ---- a run ---- */

/* What TCP over plain lines would carry in the time of the first flow, if it used all of them to the full. */
static double sum_mbit(const struct plait_sim_tunnel *t)
{
    const struct plait_sim_inner *first = &t->row->inner[0];
    unsigned side = first->up ? PLAIT_SIM_NODE : PLAIT_SIM_HUB;
    uint64_t from = PLAIT_SIM_TUNNEL_READY_NS + ms(first->start_ms);
    uint64_t to = first->stop_ms > 0 ? PLAIT_SIM_TUNNEL_READY_NS + ms(first->stop_ms) : t->now_end;
    double bytes = 0;

    if (t->inner[0].ended > 0)
        to = t->inner[0].ended;
    for (unsigned i = 0; i < t->uplinks; i++) {
        const struct plait_sim_link_config *c = &t->link[side][i].config;
        for (uint64_t at = from, next; at < to; at = next) {
            next = plait_min_u64(plait_sim_link_change_after(c, at), to);
            bytes += (double)plait_sim_link_rate_at(c, at) * plait_to_s(next - at);
        }
    }
    return bytes / BYTES_PER_MBIT / plait_to_s(to - from) * LINE_SHARE;
}

static void on_tell(void *ctx, uint64_t now)
{
    struct plait_sim_tunnel *t = ctx;
    const struct plait_sim_tunnel_end *e = &t->end[t->row->inner[0].up ? PLAIT_SIM_NODE : PLAIT_SIM_HUB];
    const struct plait_sim_inner_run *r = &t->inner[0];
    static const char *const states[] = {"none", "down", "unknown", "up", "SUSPECT", "DEAD"};

    plait_sim_event_set(t->events, &t->tell, now + ms(t->story->every_ms));
    if (e->bond == NULL)
        return;
    struct plait_bond_info info, far;

    plait_bond_get(e->bond, end_clock(e, now), &info);
    plait_bond_get(t->end[1 - e->side].bond, end_clock(&t->end[1 - e->side], now), &far);
    fprintf(t->story->to,
            "%9.3f s %8.3f MB queue %4u held %4u drop %llu late %llu rep cwnd %.0f srtt %.1f resent %llu rec "
            "%llu |",
            plait_to_s(now - PLAIT_SIM_TUNNEL_READY_NS), (double)r->result.bytes / 1e6, info.queue_packets,
            far.held_packets, (unsigned long long)info.dropped_packets, (unsigned long long)far.late_packets,
            r->flow.cc.cwnd, (double)r->flow.srtt / 1e6, (unsigned long long)r->flow.segments_resent,
            (unsigned long long)r->flow.recoveries);
    for (unsigned i = 0; i < t->uplinks; i++) {
        struct plait_bond_path_info p;
        plait_bond_path_get(e->bond, end_clock(e, now), i, &p);
        double sent = (double)(p.sent_bytes - t->told_bytes[i]) / t->story->every_ms * 1e3;
        t->told_bytes[i] = p.sent_bytes;
        fprintf(t->story->to, " %s %.2f/%.2f q%.1f l%.1f%%", states[p.state], p.rate / BYTES_PER_MBIT,
                sent / BYTES_PER_MBIT, (double)p.queue_ns / 1e6, p.loss * 100);
    }
    fprintf(t->story->to, "\n");
}

static void finish(struct plait_sim_tunnel *t)
{
    struct plait_sim_tunnel_result *out = t->result;

    out->sum_mbit = sum_mbit(t);
    for (unsigned i = 0; i < PLAIT_SIM_INNER_MAX; i++)
        if (t->row->inner[i].used)
            plait_sim_inner_done(t, i);
    out->share = out->inner[0].mbit / out->sum_mbit;
    for (unsigned side = 0; side < 2; side++) {
        struct plait_sim_tunnel_end *e = &t->end[side];
        for (struct plait_packet *p = e->outbox, *next; p != NULL; p = next) {
            next = p->next;
            plait_pool_give(&e->pool, p);
        }
        if (e->bond != NULL) {
            plait_bond_get(e->bond, end_clock(e, t->events->now), &out->info[side]);
            for (unsigned i = 0; i < t->uplinks; i++)
                plait_bond_path_get(e->bond, end_clock(e, t->events->now), i, &out->path[side][i]);
            plait_bond_free(e->bond);
        }
        out->pool_least = side == 0 || e->spare_least < out->pool_least ? e->spare_least : out->pool_least;
        out->leaked += e->pool.count - e->pool.spare_n;
        if (out->leaked == 0)
            plait_pool_done(&e->pool);
        while (e->inbox != NULL) {
            struct plait_sim_carried *c = e->inbox;
            e->inbox = c->next;
            plait_sim_carried_give(t, c);
        }
    }
}

void plait_sim_tunnel_lay(struct plait_sim_tunnel *t, const struct plait_sim_tunnel_row *row,
                          struct plait_sim_events *events, struct plait_sim_tunnel_result *out)
{
    *out = (struct plait_sim_tunnel_result){0};
    t->row = row;
    t->events = events;
    t->result = out;
    t->prng.state = row->seed ^ UINT64_C(0x74756e6e656c);
    t->first = row->only > 0 ? (unsigned)row->only - 1 : 0;
    while (t->uplinks < PLAIT_SIM_UPLINKS_MAX && row->uplink[t->uplinks].mbit > 0)
        t->uplinks++;
    t->now_end = PLAIT_SIM_TUNNEL_READY_NS + ms(row->seconds * 1e3);
    for (unsigned side = 0; side < 2; side++)
        for (unsigned i = 0; i < t->uplinks; i++)
            init_line(t, side, i);
}

void plait_sim_tunnel_join(struct plait_sim_tunnel *t)
{
    for (unsigned side = 0; side < 2; side++)
        init_end(t, side);
}

void plait_sim_tunnel_wake(struct plait_sim_tunnel *t)
{
    for (unsigned side = 0; side < 2; side++)
        plait_sim_tunnel_flush(t, side, t->events->now);
}

void plait_sim_tunnel_pour(struct plait_sim_tunnel *t)
{
    for (unsigned i = 0; i < PLAIT_SIM_INNER_MAX; i++)
        if (t->row->inner[i].used)
            plait_sim_inner_begin(t, i);
}

void plait_sim_tunnel_part(struct plait_sim_tunnel *t)
{
    finish(t);
    for (unsigned side = 0; side < 2; side++)
        for (unsigned i = 0; i < t->uplinks; i++)
            plait_sim_link_done(&t->link[side][i]);
    for (struct plait_sim_carried *c = t->idle, *next; c != NULL; c = next) {
        next = c->next;
        free(c);
    }
    t->idle = NULL;
}

void plait_sim_tunnel_run(const struct plait_sim_tunnel_row *row, const struct plait_sim_tunnel_story *story,
                          struct plait_sim_tunnel_result *out)
{
    struct plait_sim_tunnel *t = plait_sim_mem_new(1, sizeof(*t));
    struct carrier_event carrier[2 * PLAIT_SIM_UPLINKS_MAX * PLAIT_SIM_UPLINK_OUTAGES];
    struct plait_sim_events events;

    plait_sim_events_init(&events);
    plait_sim_events_run(&events, PLAIT_SIM_TUNNEL_START_NS);
    plait_sim_tunnel_lay(t, row, &events, out);
    t->story = story;
    plait_sim_tunnel_join(t);
    plait_sim_tunnel_wake(t);
    (void)init_carrier(t, carrier);
    plait_sim_events_run(&events, PLAIT_SIM_TUNNEL_READY_NS);
    plait_sim_tunnel_pour(t);
    plait_sim_event_init(&t->tell, on_tell, t);
    if (story != NULL && story->every_ms > 0)
        plait_sim_event_set(&events, &t->tell, events.now);
    plait_sim_events_run(&events, t->now_end);
    plait_sim_tunnel_part(t);
    out->hash = events.hash;
    plait_sim_events_done(&events);
    free(t);
}
