#include "fair.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NONE    UINT16_MAX
#define QUANTUM 1514 /* a full packet */
#define BURST   (2 * PLAIT_MS)

#define ADAPT       PLAIT_S /* how often the weights are looked at */
#define GAIN        0.4     /* so much of what it would take goes into them: others do the same meanwhile */
#define STEP_MAX    2.0
#define WEIGHT_MIN  (1.0 / 16)
#define WAITED      (5 * PLAIT_MS) /* who waits for longer wants more than he gets; */
#define WAITED_LIFE (3 * PLAIT_S)  /* so that is remembered */
#define SMALL       0.1            /* of what the greatest one has: no rival */
#define SIZE_LEAST  500.0 /* smaller ones on the average: acknowledgements, which want no more than they get */

struct slot {
    uint64_t since;
    uint16_t len, next;
};

struct flow {
    uint16_t first, last; /* NONE = empty */
    uint32_t bytes;       /* waiting */
    int32_t deficit;
    bool is_active, is_served; /* served: it has had its quantum of this turn */
    struct plait_fair_counts counts;
    double weight; /* of its quantum */
    double told;   /* what it gets on all lines, and when that was said; 0 = never */
    uint64_t told_at, waited_at;
    struct plait_fair_counts marked; /* counts, when the weights were looked at last, */
    double rate;                     /* and since: bytes a second, */
    double size;                     /* bytes of a packet */
};

struct plait_fair {
    size_t room;
    uint8_t *bytes;     /* owned */
    struct slot *slots; /* owned */
    uint16_t free;
    struct flow flows[PLAIT_FAIR_FLOWS_MAX];
    uint8_t round[PLAIT_FAIR_FLOWS_MAX]; /* active flows, a ring; the first has its turn */
    size_t round_at, round_count;
    double rate;
    unsigned overhead;
    uint64_t next_free;
    struct plait_line_seat seat; /* where there is a line */
    struct plait_line_user user;
    uint64_t turn; /* at it */
    uint64_t adapted_at;
};

int plait_fair_new(unsigned packets, size_t room, struct plait_fair **out)
{
    if (packets == 0 || packets >= NONE || room == 0 || room > UINT16_MAX)
        return PLAIT_ERR_ARG;
    struct plait_fair *f = calloc(1, sizeof *f);
    if (f == NULL)
        return PLAIT_ERR_NOMEM;
    f->room = room;
    f->bytes = malloc(packets * room);
    f->slots = calloc(packets, sizeof *f->slots);
    if (f->bytes == NULL || f->slots == NULL) {
        plait_fair_free(f);
        return PLAIT_ERR_NOMEM;
    }
    for (unsigned i = 0; i < packets; i++)
        f->slots[i].next = i + 1 < packets ? (uint16_t)(i + 1) : NONE;
    for (size_t i = 0; i < PLAIT_FAIR_FLOWS_MAX; i++)
        f->flows[i] = (struct flow){.first = NONE, .last = NONE, .weight = 1};
    *out = f;
    return PLAIT_OK;
}

void plait_fair_free(struct plait_fair *f)
{
    if (f == NULL)
        return;
    plait_line_leave(&f->seat);
    free(f->bytes);
    free(f->slots);
    free(f);
}

void plait_fair_set_rate(struct plait_fair *f, uint64_t now, double rate, unsigned overhead)
{
    f->rate = rate > 0 ? rate : 0;
    f->overhead = overhead;
    f->next_free = plait_min_u64(f->next_free, now + PLAIT_S); /* what a slower rate has put off */
}

void plait_fair_set_line(struct plait_fair *f, struct plait_line *line)
{
    if (line != NULL)
        plait_line_sit_mute(line, &f->seat, &f->user);
    else
        plait_line_leave(&f->seat);
    f->turn = 0;
}

/* ---- weights ---- */

void plait_fair_told(struct plait_fair *f, uint64_t now, unsigned flow, double rate)
{
    if (flow >= PLAIT_FAIR_FLOWS_MAX || !(rate >= 0))
        return;
    f->flows[flow].told = rate;
    f->flows[flow].told_at = now;
}

static double has(const struct flow *q)
{
    return plait_max_d(q->told, q->rate);
}

static bool is_told(const struct flow *q, uint64_t now)
{
    return q->told_at != 0 && plait_since(now, q->told_at) < PLAIT_FAIR_TOLD;
}

static bool competes(const struct flow *q, uint64_t now, double most)
{
    return is_told(q, now) && q->waited_at != 0 && plait_since(now, q->waited_at) < WAITED_LIFE &&
           q->size > SIZE_LEAST && has(q) > SMALL * most;
}

/* Bytes a second since this was done last. Returns the most that a flow has anywhere. */
static double measure(struct plait_fair *f, uint64_t now)
{
    double most = 0;

    for (size_t i = 0; i < PLAIT_FAIR_FLOWS_MAX; i++) {
        struct flow *q = &f->flows[i];
        uint64_t packets = q->counts.packets - q->marked.packets;
        double bytes = (double)(q->counts.bytes - q->marked.bytes);
        q->rate = bytes / plait_to_s(now - f->adapted_at);
        q->size = packets > 0 ? bytes / (double)packets : 0;
        q->marked = q->counts;
        if (q->rate > 0)
            most = plait_max_d(most, has(q));
    }
    return most;
}

/* Who has more than the others, on all lines, gets a smaller part of this one: a step towards it, once a second. */
static void adapt(struct plait_fair *f, uint64_t now)
{
    double most = measure(f, now), logs = 0, greatest = 0;
    unsigned n = 0;

    f->adapted_at = now;
    for (size_t i = 0; i < PLAIT_FAIR_FLOWS_MAX; i++)
        if (competes(&f->flows[i], now, most)) {
            logs += log(has(&f->flows[i]));
            n++;
        }
    for (size_t i = 0; i < PLAIT_FAIR_FLOWS_MAX; i++) {
        struct flow *q = &f->flows[i];
        if (!competes(q, now, most))
            continue;
        double step = pow(exp(logs / n) / has(q), GAIN);
        q->weight *= plait_max_d(plait_min_d(step, STEP_MAX), 1 / STEP_MAX);
        greatest = plait_max_d(greatest, q->weight);
    }
    for (size_t i = 0; i < PLAIT_FAIR_FLOWS_MAX; i++) {
        struct flow *q = &f->flows[i];
        if (n >= 2 && competes(q, now, most))
            q->weight = plait_max_d(q->weight / greatest, WEIGHT_MIN);
        else if (!is_told(q, now))
            q->weight += (1 - q->weight) / 4;
    }
}

/* ---- queues ---- */

/* The head of a flow goes back to the free ones. */
static void give_back(struct plait_fair *f, struct flow *flow)
{
    uint16_t i = flow->first;

    flow->first = f->slots[i].next;
    if (flow->first == NONE)
        flow->last = NONE;
    flow->bytes -= f->slots[i].len;
    f->slots[i].next = f->free;
    f->free = i;
}

static void drop_head(struct plait_fair *f, struct flow *flow)
{
    flow->counts.dropped++;
    give_back(f, flow);
}

static struct flow *longest(struct plait_fair *f)
{
    struct flow *most = &f->flows[0];

    for (size_t i = 1; i < PLAIT_FAIR_FLOWS_MAX; i++)
        if (f->flows[i].bytes > most->bytes)
            most = &f->flows[i];
    return most;
}

int plait_fair_push(struct plait_fair *f, uint64_t now, unsigned flow, const uint8_t *bytes, size_t len)
{
    if (flow >= PLAIT_FAIR_FLOWS_MAX || len == 0 || len > f->room)
        return PLAIT_ERR_ARG;
    struct flow *q = &f->flows[flow];
    if (plait_since(now, f->adapted_at) >= ADAPT)
        adapt(f, now);
    if (f->free == NONE) {
        struct flow *most = longest(f);
        if (most == q) {
            q->counts.dropped++;
            return PLAIT_ERR_LIMIT;
        }
        drop_head(f, most);
    }
    uint16_t i = f->free;
    f->free = f->slots[i].next;
    f->slots[i] = (struct slot){.since = now, .len = (uint16_t)len, .next = NONE};
    memcpy(f->bytes + i * f->room, bytes, len);
    if (q->last == NONE)
        q->first = i;
    else
        f->slots[q->last].next = i;
    q->last = i;
    q->bytes += (uint32_t)len;
    if (!q->is_active) {
        q->is_active = true;
        q->deficit = 0;
        f->round[(f->round_at + f->round_count++) % PLAIT_FAIR_FLOWS_MAX] = (uint8_t)flow;
    }
    return PLAIT_OK;
}

/* The flow whose turn it is goes to the end of the round, or out of it. */
static void turn(struct plait_fair *f, bool stays)
{
    uint8_t flow = f->round[f->round_at];

    f->round_at = (f->round_at + 1) % PLAIT_FAIR_FLOWS_MAX;
    f->round_count--;
    f->flows[flow].is_active = stays;
    f->flows[flow].is_served = false;
    if (stays)
        f->round[(f->round_at + f->round_count++) % PLAIT_FAIR_FLOWS_MAX] = flow;
}

/* On a slow link even a fair turn takes its time: two rounds. */
static uint64_t wait_max(struct plait_fair *f, uint64_t now)
{
    double round = (double)f->round_count * (QUANTUM + f->overhead), rate = f->rate;

    if (f->seat.line != NULL) {
        double share = plait_line_share(&f->seat, now);
        rate = rate <= 0 || share < rate ? share : rate;
    }
    return PLAIT_FAIR_WAIT + (rate > 0 ? plait_time_to_carry(2 * round, rate) : 0);
}

static void drop_stale(struct plait_fair *f, uint64_t now, struct flow *q)
{
    while (q->first != NONE && plait_since(now, f->slots[q->first].since) > wait_max(f, now))
        drop_head(f, q);
}

static int32_t cost(const struct plait_fair *f, const struct flow *q)
{
    return (int32_t)(f->slots[q->first].len + f->overhead);
}

/* The flow that may send its head, or NONE. Each turn adds one quantum, so it ends soon. */
static unsigned choose(struct plait_fair *f, uint64_t now)
{
    while (f->round_count > 0) {
        unsigned i = f->round[f->round_at];
        struct flow *q = &f->flows[i];
        drop_stale(f, now, q);
        if (q->first == NONE) {
            turn(f, false);
            continue;
        }
        q->deficit += q->is_served ? 0 : (int32_t)(QUANTUM * q->weight);
        q->is_served = true;
        if (q->deficit >= cost(f, q))
            return i;
        turn(f, true);
    }
    return NONE;
}

/* Whether the rate and the line let anything leave now. */
static bool may_send(struct plait_fair *f, uint64_t now)
{
    bool by_rate = f->rate <= 0 || f->next_free <= now;

    if (f->seat.line == NULL)
        return by_rate;
    f->turn = plait_line_turn(&f->seat, now);
    if (by_rate && f->turn <= now)
        return true;
    plait_line_note(&f->seat, now, by_rate && f->round_count > 0, f->turn);
    return false;
}

size_t plait_fair_poll(struct plait_fair *f, uint64_t now, unsigned *flow, uint8_t *out)
{
    if (!may_send(f, now))
        return 0;
    unsigned i = choose(f, now);
    if (i == NONE) {
        if (f->seat.line != NULL)
            plait_line_note(&f->seat, now, false, now);
        return 0;
    }
    struct flow *q = &f->flows[i];
    size_t len = f->slots[q->first].len;
    if (plait_since(now, f->slots[q->first].since) > WAITED)
        q->waited_at = now;
    int32_t price = cost(f, q);
    memcpy(out, f->bytes + q->first * f->room, len);
    if (f->rate > 0) /* credit over a late call, but not for idle times */
        f->next_free =
            plait_max_u64(f->next_free, now > BURST ? now - BURST : 0) + plait_time_to_carry(price, f->rate);
    if (f->seat.line != NULL)
        plait_line_charge(&f->seat, now, price, true);
    q->deficit -= price;
    q->counts.packets++;
    q->counts.bytes += len;
    give_back(f, q);
    if (q->first == NONE)
        turn(f, false);
    *flow = i;
    return len;
}

uint64_t plait_fair_next_deadline(const struct plait_fair *f)
{
    if (f->round_count == 0)
        return PLAIT_NEVER;
    return plait_max_u64(f->rate > 0 ? f->next_free : 0, f->seat.line != NULL ? f->turn : 0);
}

void plait_fair_drop_flow(struct plait_fair *f, unsigned flow)
{
    if (flow >= PLAIT_FAIR_FLOWS_MAX)
        return;
    while (f->flows[flow].first != NONE)
        give_back(f, &f->flows[flow]);
    memset(&f->flows[flow].counts, 0, sizeof f->flows[flow].counts);
    f->flows[flow].weight = 1;
    f->flows[flow].told_at = f->flows[flow].waited_at = 0;
    f->flows[flow].marked = (struct plait_fair_counts){0};
    f->flows[flow].told = 0;
}

void plait_fair_counts(const struct plait_fair *f, unsigned flow, struct plait_fair_counts *out)
{
    *out = flow < PLAIT_FAIR_FLOWS_MAX ? f->flows[flow].counts : (struct plait_fair_counts){0};
}
