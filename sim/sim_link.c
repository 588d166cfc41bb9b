#include "sim_link.h"

#include <stdlib.h>

#include "sim_mem.h"
#include "units.h"

#define DAY_NS (86400 * PLAIT_S) /* a line that stands still for so long has stopped for good */

static void link_send(struct plait_sim_link *link, uint64_t now, const struct plait_sim_packet *p);

/* The rate that holds at `at` by the steps, and in *until the time at which it ends. */
static uint64_t step_at(const struct plait_sim_link_config *c, uint64_t at, uint64_t *until)
{
    uint64_t base = 0, in = at, rate = c->rate;
    uint32_t i = 0;

    if (c->period_ns > 0) {
        in = at % c->period_ns;
        base = at - in;
    }
    while (i < c->steps_n && c->steps[i].at_ns <= in)
        rate = c->steps[i++].rate;
    *until = i < c->steps_n ? base + c->steps[i].at_ns : PLAIT_NEVER;
    if (c->period_ns > 0)
        *until = plait_min_u64(*until, base + c->period_ns);
    return rate;
}

static bool dead_at(const struct plait_sim_link_config *c, uint64_t at)
{
    for (uint32_t i = 0; i < c->outages_n && c->outages[i].from_ns <= at; i++)
        if (at < c->outages[i].to_ns)
            return true;
    return false;
}

uint64_t plait_sim_link_rate_at(const struct plait_sim_link_config *c, uint64_t at)
{
    uint64_t until;
    return dead_at(c, at) ? 0 : step_at(c, at, &until);
}

uint64_t plait_sim_link_change_after(const struct plait_sim_link_config *c, uint64_t at)
{
    uint64_t next;

    (void)step_at(c, at, &next);
    for (uint32_t i = 0; i < c->outages_n; i++) {
        if (c->outages[i].from_ns > at)
            next = plait_min_u64(next, c->outages[i].from_ns);
        if (c->outages[i].to_ns > at)
            next = plait_min_u64(next, c->outages[i].to_ns);
    }
    return next;
}

/* When a line that begins at `start` has sent `bytes`. */
static uint64_t sent_at(const struct plait_sim_link_config *c, uint64_t start, uint64_t bytes)
{
    uint64_t need = bytes * PLAIT_S, t = start, until; /* byte-nanoseconds */

    while (t - start < DAY_NS) {
        uint64_t rate = step_at(c, t, &until);
        uint64_t takes = rate > 0 ? (need + rate - 1) / rate : PLAIT_NEVER;
        if (until == PLAIT_NEVER || takes <= until - t)
            return plait_add_sat(t, takes);
        need -= rate * (until - t);
        t = until;
    }
    return PLAIT_NEVER;
}

/* Bytes that still wait at `now`. */
static uint64_t backlog(const struct plait_sim_link *link, uint64_t now)
{
    uint64_t t = now, bytes = 0, until;

    while (t < link->busy_until) {
        uint64_t rate = step_at(&link->config, t, &until);
        uint64_t span = plait_min_u64(until, link->busy_until) - t;
        bytes += (uint64_t)((double)span * (double)rate / 1e9);
        t += span;
    }
    return bytes;
}

static bool chance(struct plait_sim_link *link, double p)
{
    return p > 0 && plait_prng_unit(&link->prng) < p;
}

static bool is_lost(struct plait_sim_link *link, uint64_t now)
{
    const struct plait_sim_link_config *c = &link->config;
    bool lost = chance(link, c->loss);

    if (c->burst_enter > 0) {
        link->bad = link->bad ? !chance(link, c->burst_leave) : chance(link, c->burst_enter);
        lost |= link->bad && chance(link, c->burst_loss);
    }
    if (c->storm_every_ns > 0 && now >= c->storm_every_ns && now % c->storm_every_ns < c->storm_ns)
        lost |= chance(link, c->storm_loss);
    return lost;
}

static bool is_full(const struct plait_sim_link *link, uint64_t now, uint64_t bytes)
{
    const struct plait_sim_link_config *c = &link->config;

    if (link->busy_until <= now)
        return false;
    if (c->queue_ns > 0 && link->busy_until - now > c->queue_ns)
        return true;
    return c->queue_bytes > 0 && backlog(link, now) + bytes > c->queue_bytes;
}

static void drop(uint64_t *counter, const struct plait_sim_packet *p)
{
    ++*counter;
    if (p->sink->dropped != NULL)
        p->sink->dropped(p->sink->ctx, p);
}

static struct plait_sim_flight *slot(struct plait_sim_link *link, uint32_t i)
{
    return &link->ring[(link->ring_head + i) & (link->ring_room - 1)];
}

static void grow(struct plait_sim_link *link)
{
    uint32_t room = link->ring_room > 0 ? link->ring_room * 2 : 64;
    struct plait_sim_flight *ring = plait_sim_mem_new(room, sizeof(*ring));

    for (uint32_t i = 0; i < link->ring_count; i++)
        ring[i] = *slot(link, i);
    free(link->ring);
    link->ring = ring;
    link->ring_room = room;
    link->ring_head = 0;
}

static void insert(struct plait_sim_link *link, uint64_t arrive, const struct plait_sim_packet *p)
{
    if (link->ring_count == link->ring_room)
        grow(link);
    uint32_t i = link->ring_count++;

    for (; i > 0 && slot(link, i - 1)->arrive_ns > arrive; i--)
        *slot(link, i) = *slot(link, i - 1);
    slot(link, i)->arrive_ns = arrive;
    slot(link, i)->packet = *p;
    if (i == 0)
        plait_sim_event_set(link->events, &link->arrival, arrive);
}

static uint64_t arrival_of(struct plait_sim_link *link, uint64_t sent)
{
    const struct plait_sim_link_config *c = &link->config;
    uint64_t arrive = plait_add_sat(sent, c->delay_ns);

    if (sent >= c->held_from_ns && sent < c->held_to_ns)
        arrive = plait_add_sat(arrive, c->held_ns);

    if (c->jitter_ns > 0)
        arrive = plait_add_sat(arrive, plait_prng_below(&link->prng, c->jitter_ns + 1));
    if (!c->reorder)
        arrive = plait_max_u64(arrive, link->arrive_last);
    link->arrive_last = plait_max_u64(arrive, link->arrive_last);
    return arrive;
}

static void link_send(struct plait_sim_link *link, uint64_t now, const struct plait_sim_packet *p)
{
    struct plait_sim_link_stats *s = &link->stats;

    s->packets_in++;
    s->bytes_in += p->bytes;
    if (dead_at(&link->config, now)) {
        drop(&s->dropped_dead, p);
        return;
    }
    if (is_full(link, now, p->bytes)) {
        drop(&s->dropped_queue, p);
        return;
    }
    uint64_t sent = sent_at(&link->config, plait_max_u64(now, link->busy_until), p->bytes);

    if (sent == PLAIT_NEVER) { /* the line has stopped for good */
        drop(&s->dropped_dead, p);
        return;
    }
    s->queue_ns_max = plait_max_u64(s->queue_ns_max, plait_since(link->busy_until, now));
    link->busy_until = sent;
    if (is_lost(link, now)) {
        drop(&s->dropped_loss, p);
        return;
    }
    uint64_t arrive = arrival_of(link, sent);

    if (dead_at(&link->config, sent) || dead_at(&link->config, arrive))
        drop(&s->dropped_dead, p);
    else
        insert(link, arrive, p);
}

void plait_sim_packet_send(struct plait_sim_packet *p, uint64_t now)
{
    p->hop = 0;
    link_send(p->route->hop[0], now, p);
}

static void pass_on(struct plait_sim_link *link, uint64_t now, struct plait_sim_packet *p)
{
    link->stats.packets_out++;
    link->stats.bytes_out += p->bytes;
    if (++p->hop < p->route->hops)
        link_send(p->route->hop[p->hop], now, p);
    else
        p->sink->deliver(p->sink->ctx, now, p);
}

static void on_arrival(void *ctx, uint64_t now)
{
    struct plait_sim_link *link = ctx;
    struct plait_sim_packet p = slot(link, 0)->packet;

    link->ring_head = (link->ring_head + 1) & (link->ring_room - 1);
    if (--link->ring_count > 0)
        plait_sim_event_set(link->events, &link->arrival, slot(link, 0)->arrive_ns);
    pass_on(link, now, &p);
}

void plait_sim_link_init(struct plait_sim_link *link, struct plait_sim_events *events,
                         const struct plait_sim_link_config *config)
{
    *link = (struct plait_sim_link){.config = *config, .events = events, .prng = {config->seed}};
    plait_sim_event_init(&link->arrival, on_arrival, link);
}

void plait_sim_link_done(struct plait_sim_link *link)
{
    uint64_t cut = 0;

    for (uint32_t i = 0; i < link->ring_count; i++)
        drop(&cut, &slot(link, i)->packet);
    plait_sim_event_unset(link->events, &link->arrival);
    free(link->ring);
    link->ring = NULL;
    link->ring_room = link->ring_count = 0;
}
