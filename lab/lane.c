#include "lane.h"
#include "units.h"
#include <stdlib.h>

static void count_one(struct lab_count *c, uint32_t len)
{
    c->packets++;
    c->bytes += len;
}

static void count(struct lab_count *c, const struct lab_packet *packet)
{
    count_one(c, packet->len);
}

static void discount(struct lab_count *c, const struct lab_packet *packet)
{
    c->packets--;
    c->bytes -= packet->len;
}

/* pool */

void lab_pool_init(struct lab_pool *pool, size_t count_max)
{
    *pool = (struct lab_pool){.count_max = count_max};
}

void lab_pool_done(struct lab_pool *pool)
{
    while (pool->free) {
        struct lab_packet *packet = pool->free;
        pool->free = packet->next;
        free(packet);
    }
}

struct lab_packet *lab_pool_take(struct lab_pool *pool)
{
    struct lab_packet *packet = pool->free;
    if (packet) {
        pool->free = packet->next;
        return packet;
    }
    if (pool->count == pool->count_max)
        return NULL;
    packet = malloc(sizeof *packet);
    if (packet)
        pool->count++;
    return packet;
}

void lab_pool_give(struct lab_pool *pool, struct lab_packet *packet)
{
    packet->next = pool->free;
    pool->free = packet;
}

/* fifo */

static struct lab_packet **fifo_at(const struct lab_fifo *f, size_t i)
{
    return &f->slot[(f->head + i) & (f->size - 1)];
}

static bool fifo_grow(struct lab_fifo *f)
{
    size_t size = f->size ? f->size * 2 : 256;
    struct lab_packet **slot = calloc(size, sizeof *slot);
    if (!slot)
        return false;
    for (size_t i = 0; i < f->count; i++)
        slot[i] = *fifo_at(f, i);
    free(f->slot);
    *f = (struct lab_fifo){.slot = slot, .count = f->count, .size = size};
    return true;
}

static bool fifo_push(struct lab_fifo *f, struct lab_packet *packet)
{
    if (f->count == f->size && !fifo_grow(f))
        return false;
    *fifo_at(f, f->count++) = packet;
    return true;
}

static struct lab_packet *fifo_head(const struct lab_fifo *f)
{
    return f->count ? *fifo_at(f, 0) : NULL;
}

static struct lab_packet *fifo_pop(struct lab_fifo *f)
{
    struct lab_packet *packet = *fifo_at(f, 0);
    f->head = (f->head + 1) & (f->size - 1);
    f->count--;
    return packet;
}

/* Moves the newest element forward to where its due time belongs. */
static void fifo_settle(struct lab_fifo *f)
{
    for (size_t i = f->count - 1; i > 0; i--) {
        struct lab_packet **a = fifo_at(f, i - 1), **b = fifo_at(f, i);
        if ((*a)->due_ns <= (*b)->due_ns)
            return;
        struct lab_packet *swap = *a;
        *a = *b;
        *b = swap;
    }
}

/* lane */

static uint64_t time_to_send(const struct lab_lane *lane, const struct lab_packet *packet)
{
    return lane->shape.rate_bps ? PLAIT_S * 8 * packet->len / lane->shape.rate_bps : 0;
}

/*
 * Gilbert–Elliott with two states, one that loses nothing and one that loses everything, set so that the
 * overall share is `loss` and a run of losses is `burst` packets long in the mean.
 */
static bool loses(struct lab_lane *lane)
{
    double loss = lane->shape.loss, burst = lane->shape.burst;
    if (loss <= 0 || loss >= 1)
        return loss >= 1;
    double dice = plait_prng_unit(&lane->prng);
    if (burst <= 1)
        return dice < loss;
    lane->in_burst = lane->in_burst ? dice >= 1 / burst : dice < loss / (burst * (1 - loss));
    return lane->in_burst;
}

/* Where the delay has wandered to at `t`, in units of jitter; a new point every one to three jitters. */
static double wander(struct lab_lane *lane, uint64_t t)
{
    while (t >= lane->wander_to_ns) {
        uint64_t span = plait_max_u64(lane->shape.jitter_ns, PLAIT_MS);
        lane->wander_from_ns = plait_since(t, lane->wander_to_ns) > 3 * span ? t : lane->wander_to_ns;
        lane->wander_to_ns = lane->wander_from_ns + span + plait_prng_below(&lane->prng, 2 * span);
        lane->wander_from = lane->wander_to;
        lane->wander_to = plait_prng_unit(&lane->prng) - 0.5;
    }
    double part = (double)(t - lane->wander_from_ns) / (double)(lane->wander_to_ns - lane->wander_from_ns);
    return lane->wander_from + (lane->wander_to - lane->wander_from) * part;
}

static uint64_t delay(struct lab_lane *lane, uint64_t sent_ns)
{
    const struct lab_shape *s = &lane->shape;
    if (!s->jitter_ns)
        return s->delay_ns;
    double part = s->reorder ? plait_prng_unit(&lane->prng) - 0.5 : wander(lane, sent_ns);
    double ns = (double)s->delay_ns + part * (double)s->jitter_ns;
    return ns > 0 ? (uint64_t)ns : 0;
}

static void launch(struct lab_lane *lane, struct lab_packet *packet)
{
    if (loses(lane)) {
        count(&lane->tally.lost, packet);
        lab_pool_give(lane->pool, packet);
        return;
    }
    packet->due_ns = lane->sent_ns + delay(lane, lane->sent_ns);
    struct lab_fifo *f = &lane->flight;
    if (f->count && !lane->shape.reorder)
        packet->due_ns = plait_max_u64(packet->due_ns, (*fifo_at(f, f->count - 1))->due_ns);
    if (!fifo_push(f, packet)) {
        count(&lane->tally.dropped, packet);
        lab_pool_give(lane->pool, packet);
        return;
    }
    fifo_settle(f);
}

/* Sends what has been sent by `now_ns`. */
static void advance(struct lab_lane *lane, uint64_t now_ns)
{
    while (lane->queue.count && lane->sent_ns <= now_ns) {
        struct lab_packet *packet = fifo_pop(&lane->queue);
        lane->queue_bytes -= packet->len;
        launch(lane, packet);
        struct lab_packet *next = fifo_head(&lane->queue);
        if (next) {
            /* Until it is sent, a packet's due time is the time of its arrival. */
            lane->tally.wait_ns_peak =
                plait_max_u64(lane->tally.wait_ns_peak, plait_since(lane->sent_ns, next->due_ns));
            lane->sent_ns += time_to_send(lane, next);
        }
    }
}

static bool has_room(const struct lab_lane *lane, const struct lab_packet *packet)
{
    if (!lane->queue.count)
        return true;
    uint64_t waiting = lane->queue_bytes - fifo_head(&lane->queue)->len;
    return waiting == 0 || waiting + packet->len <= lab_shape_queue_bytes(&lane->shape);
}

static bool swallows(const struct lab_shape *shape)
{
    return shape->dead || shape->unplugged;
}

static void swallow_all(struct lab_lane *lane)
{
    struct lab_fifo *fifos[] = {&lane->queue, &lane->flight};
    for (size_t i = 0; i < PLAIT_COUNT(fifos); i++) {
        while (fifos[i]->count) {
            struct lab_packet *packet = fifo_pop(fifos[i]);
            count(&lane->tally.swallowed, packet);
            lab_pool_give(lane->pool, packet);
        }
    }
    lane->queue_bytes = 0;
}

void lab_lane_init(struct lab_lane *lane, const struct lab_shape *shape, struct lab_pool *pool, uint64_t seed)
{
    *lane = (struct lab_lane){.shape = *shape, .pool = pool, .prng = {seed}};
}

void lab_lane_done(struct lab_lane *lane)
{
    swallow_all(lane);
    free(lane->queue.slot);
    free(lane->flight.slot);
}

void lab_lane_push(struct lab_lane *lane, uint64_t now_ns, struct lab_packet *packet)
{
    advance(lane, now_ns);
    count(&lane->tally.in, packet);
    bool swallowed = swallows(&lane->shape);
    packet->due_ns = now_ns;
    if (swallowed || !has_room(lane, packet) || !fifo_push(&lane->queue, packet)) {
        count(swallowed ? &lane->tally.swallowed : &lane->tally.dropped, packet);
        lab_pool_give(lane->pool, packet);
        return;
    }
    lane->queue_bytes += packet->len;
    lane->tally.queue_bytes_peak = plait_max_u64(lane->tally.queue_bytes_peak, lane->queue_bytes);
    if (lane->queue.count == 1)
        lane->sent_ns = plait_max_u64(lane->sent_ns, now_ns) + time_to_send(lane, packet);
}

struct lab_packet *lab_lane_pop(struct lab_lane *lane, uint64_t now_ns)
{
    advance(lane, now_ns);
    struct lab_packet *packet = fifo_head(&lane->flight);
    if (!packet || packet->due_ns > now_ns)
        return NULL;
    count(&lane->tally.out, packet);
    return fifo_pop(&lane->flight);
}

void lab_lane_overflow(struct lab_lane *lane, uint32_t len)
{
    count_one(&lane->tally.in, len);
    count_one(&lane->tally.dropped, len);
}

void lab_lane_refuse(struct lab_lane *lane, struct lab_packet *packet)
{
    discount(&lane->tally.out, packet);
    count(&lane->tally.swallowed, packet);
    lab_pool_give(lane->pool, packet);
}

uint64_t lab_lane_deadline(const struct lab_lane *lane)
{
    uint64_t flying = lane->flight.count ? fifo_head(&lane->flight)->due_ns : PLAIT_NEVER;
    if (!lane->queue.count)
        return flying;
    uint64_t least_delay_ns = plait_since(lane->shape.delay_ns, lane->shape.jitter_ns / 2);
    return plait_min_u64(flying, lane->sent_ns + least_delay_ns);
}

void lab_lane_reshape(struct lab_lane *lane, uint64_t now_ns, const struct lab_shape *shape)
{
    advance(lane, now_ns);
    uint64_t old_bps = lane->shape.rate_bps;
    lane->shape = *shape;
    if (swallows(shape))
        swallow_all(lane);
    if (!lane->queue.count || old_bps == shape->rate_bps)
        return;
    double left_ns = (double)plait_since(lane->sent_ns, now_ns);
    double stretch = shape->rate_bps ? (double)old_bps / (double)shape->rate_bps : 0;
    lane->sent_ns = now_ns + (uint64_t)(left_ns * stretch);
}
