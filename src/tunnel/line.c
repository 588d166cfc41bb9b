/*
 * Theory of operation.
 *
 * Estimators that each look at one path of one tunnel cannot share a line: one that finds it full takes what it gets
 * for what the line carries, and whoever has it keeps it. So the line has one estimator (rate.h), which is told of all
 * datagrams. It counts on the line being served in order: when a datagram arrives, all that was put on the line
 * before it has arrived as well, or is lost. `sent` is the line's count when the newest datagram of a report was sent,
 * `arrived` the same less all losses reported so far. The receivers' clocks do not matter: a datagram's arrival
 * is taken to be its sending and the queue that it met, which is what it took longer than the least of its path.
 *
 * Who is next. One pacer gives what the line carries. Its owner's traffic goes first; of the others the user who
 * was given least lately, on all lines together: who has a line of his own has less of the others', until all have the
 * same. Nobody waits for one who does not want the line: a seat counts as wanting while its user, when last asked,
 * had packets left and was not allowed to send here. Guests get FLOOR of the line in any case;
 * carried ones FLOOR_CARRIED in small packets, FLOOR_BULK in others.
 *
 * Somebody may have a narrower place on his way than the line, be it the air of his room. He would take the line's
 * estimate down with him; so who waits for long, or waits and loses, where others do not, paces himself for a while, and
 * is no witness of the line.
 *
 * A forwarder hears nothing of what it carries for others. Its own datagrams among them tell it all the same; when it
 * has nothing to send it sounds the line with small ones.
 */
#include "line.h"

#include <math.h>
#include <stddef.h>

#include "units.h"

#define FLOOR         0.02
#define FLOOR_CARRIED 0.08 /* where it is not known whose, and of what: acknowledgements have to pass */
#define FLOOR_BULK    0.035
#define FLOOR_SLOW    0.04
#define FLOOR_RATE    12500.0 /* bytes/s: what the lesser floors are raised for */
#define SMALL_BYTES   700.0
#define CREDIT        (4 * PLAIT_MS)  /* the pacer makes good so much of late or declined turns */
#define LATE          (12 * PLAIT_MS) /* or so much, where it is known that packets were kept waiting */
#define ARRIVED_LEAST 0.1
#define TRAIN_BYTES   500.0 /* what is greater and no traffic is part of a train: what it loses says nothing */
#define TRAIN_PAUSE   (5 * PLAIT_S)
#define LOST_LATELY   (100 * PLAIT_MS)
#define PUT_OFF       (100 * PLAIT_MS)
#define FALL          0.8 /* a rate that falls by so much is doubted */
#define FALL_PAUSE    (100 * PLAIT_MS)
#define RETRY         (1 * PLAIT_MS)  /* one who is not next asks again */
#define GRACE         (5 * PLAIT_MS)  /* who is next but does not come for so long is passed over */
#define ACTIVE        (50 * PLAIT_MS) /* one who wanted to send counts for so long */
#define FADE          (300 * PLAIT_MS)
#define STEP          (2 * PLAIT_MS)
#define QUANTUM       1500.0          /* differences in service that do not matter */
#define SOUND         (20 * PLAIT_MS) /* how often a line is listened to that carries for others only */
#define SOUND_BYTES   150.0           /* there and back */
#define SOUND_SHARE   0.01
#define UNHEARD       3000.0
#define SPAN          (300 * PLAIT_MS)
#define DOUBTS_MAX    3
#define APART         (30 * PLAIT_S)
#define APART_QUEUE   (60 * PLAIT_MS)
#define APART_LOSS    0.04
#define WITNESS_BYTES 30000.0
#define BASE_NS       (5 * PLAIT_S)

void plait_line_init(struct plait_line *l, double rate)
{
    *l = (struct plait_line){.delay_ns = INT64_MAX};
    plait_rate_init(&l->rate, rate);
}

void plait_line_done(struct plait_line *l)
{
    while (l->seats != NULL)
        plait_line_leave(l->seats);
}

void plait_line_sit(struct plait_line *l, struct plait_line_seat *s, struct plait_line_user *user, bool owner)
{
    if (s->line != l) {
        plait_line_leave(s);
        *s = (struct plait_line_seat){
            .line = l, .user = user, .next = l->seats, .base = {INT64_MAX, INT64_MAX}};
        l->seats = s;
    }
    s->owner = owner;
}

void plait_line_sit_mute(struct plait_line *l, struct plait_line_seat *s, struct plait_line_user *user)
{
    plait_line_sit(l, s, user, false);
    s->mute = true;
}

void plait_line_leave(struct plait_line_seat *s)
{
    if (s->line == NULL)
        return;
    for (struct plait_line_seat **at = &s->line->seats; *at != NULL; at = &(*at)->next)
        if (*at == s) {
            *at = s->next;
            break;
        }
    *s = (struct plait_line_seat){0};
}

static bool is_active(const struct plait_line_seat *s, uint64_t now)
{
    return s->wanted_at != 0 && plait_since(now, s->wanted_at) < ACTIVE;
}

void plait_line_interrupt(struct plait_line_seat *s)
{
    bool alone = true;

    if (s->line == NULL)
        return;
    s->marked = false;
    s->base[0] = s->base[1] = INT64_MAX;
    for (const struct plait_line_seat *o = s->line->seats; o != NULL; o = o->next)
        alone &= o == s || o->wanted_at == 0 || o->wanted_at + PLAIT_S < s->wanted_at;
    if (alone)
        plait_rate_interrupt(&s->line->rate, s->line->sent);
}

/* ---- whose turn it is ---- */

/* It has waited for the line, and has not yet had the time to take or leave its turn. */
static bool is_waiting(const struct plait_line_seat *s, uint64_t now)
{
    return s->wants && now < plait_max_u64(s->line->next_free, s->wanted_at) + GRACE;
}

/* By a factor of e in FADE. Small steps are left out: this is asked for each datagram. */
static double faded(struct plait_line_count *c, uint64_t now)
{
    uint64_t age = plait_since(now, c->at);

    if (age >= STEP) {
        c->bytes *= exp(-plait_to_s(age) / plait_to_s(FADE));
        c->at = now;
    }
    return c->bytes;
}

static void count(struct plait_line_count *c, uint64_t now, double bytes)
{
    c->bytes = faded(c, now) + bytes;
}

/* So that it is some packets a second on slow lines, too. */
static double floor_between(const struct plait_line_seat *s, double least, double most)
{
    return plait_max_d(plait_min_d(FLOOR_RATE / s->line->rate.rate, most), least);
}

static double floor_of(const struct plait_line_seat *s)
{
    return s->mute ? FLOOR_CARRIED : floor_between(s, FLOOR, FLOOR_SLOW);
}

static bool goes_before(struct plait_line_seat *a, struct plait_line_seat *b, uint64_t now)
{
    bool had_less = faded(&a->user->served, now) + QUANTUM < faded(&b->user->served, now);

    if (a->owner == b->owner)
        return had_less;
    return a->owner ? a->line->guest_free > now : a->line->guest_free <= now && had_less;
}

uint64_t plait_line_turn(struct plait_line_seat *s, uint64_t now)
{
    const struct plait_line *l = s->line;

    for (struct plait_line_seat *o = l->seats; o != NULL; o = o->next)
        if (o != s && goes_before(o, s, now) && is_waiting(o, now))
            return plait_max_u64(l->next_free, now) + RETRY;
    return l->next_free;
}

double plait_line_share(struct plait_line_seat *s, uint64_t now)
{
    double taken = 0, floor = floor_of(s) * s->line->rate.rate;
    unsigned n = 1;

    for (struct plait_line_seat *o = s->line->seats; o != NULL && !s->owner; o = o->next) {
        if (o->owner)
            taken += faded(&o->used, now) / plait_to_s(FADE);
        else
            n += o != s && is_active(o, now);
    }
    double left = s->line->rate.rate - taken;

    return (left > floor ? left : floor) / n;
}

/* Who comes back has not saved up what it did not use meanwhile. */
static void come_back(struct plait_line_seat *s, uint64_t now)
{
    double least = INFINITY;

    for (struct plait_line_seat *o = s->line->seats; o != NULL; o = o->next)
        if (o->user != s->user && plait_since(now, o->user->wanted_at) < ACTIVE &&
            faded(&o->user->served, now) < least)
            least = o->user->served.bytes;
    if (least < INFINITY && faded(&s->user->served, now) < least)
        s->user->served.bytes = least;
}

void plait_line_note(struct plait_line_seat *s, uint64_t now, bool has_more, uint64_t free_at)
{
    s->wants = has_more && free_at > now;
    if (!s->wants)
        return;
    if (plait_since(now, s->user->wanted_at) >= ACTIVE)
        come_back(s, now);
    s->user->wanted_at = s->wanted_at = now;
}

/* ---- sending ---- */

uint64_t plait_line_sound_at(const struct plait_line_seat *s)
{
    const struct plait_line *l = s->line;

    if (l == NULL || s->mute || l->unheard < UNHEARD)
        return PLAIT_NEVER;
    return l->spoke_at + plait_max_u64(SOUND, plait_time_to_carry(SOUND_BYTES / SOUND_SHARE, l->rate.rate));
}

/* Those who were next and did not come. */
static void pass_over(struct plait_line_seat *s, uint64_t now)
{
    for (struct plait_line_seat *o = s->line->seats; o != NULL; o = o->next)
        o->wants &= o == s || is_waiting(o, now);
}

/* What was put off at a rate that has proved wrong since does not shut the line. */
static void advance(struct plait_line *l, uint64_t now, uint64_t credit, uint64_t carry)
{
    uint64_t from = plait_clamp_u64(l->next_free, plait_since(now, credit), now + PUT_OFF);

    l->next_free = plait_add_sat(from, carry);
}

/* Small packets may go before their turn; that, and what guests had while nobody else wanted the line, is not taken off
 * what they get in any case: it would be those who wait for it who pay. What is carried in great packets is no
 * acknowledgement. */
static void charge_guest(struct plait_line_seat *s, uint64_t now, double bytes, double pace)
{
    struct plait_line *l = s->line;
    double bulk =
        s->mute && bytes > SMALL_BYTES ? FLOOR_CARRIED / floor_between(s, FLOOR_BULK, FLOOR_CARRIED) : 1;

    if (l->guest_free <= now)
        l->guest_free = plait_max_u64(l->guest_free, plait_since(now, CREDIT)) +
                        plait_time_to_carry(bulk * bytes, floor_of(s) * pace);
}

void plait_line_charge(struct plait_line_seat *s, uint64_t now, double bytes, bool data)
{
    struct plait_line *l = s->line;
    double pace = plait_rate_pace(&l->rate);

    pass_over(s, now);
    l->sent += bytes;
    l->unheard = s->mute ? l->unheard + bytes : 0;
    l->spoke_at = s->mute ? l->spoke_at : now;
    if (data || l->rate.measured) /* trains in the beginning are bursts */
        advance(l, now, s->wants ? LATE : CREDIT, plait_time_to_carry(bytes, pace));
    if (!s->owner && data)
        charge_guest(s, now, bytes, pace);
    count(&s->used, now, bytes);
    count(&s->user->served, now, bytes);
    if (data)
        plait_rate_on_send(&l->rate, now, l->sent);
    else if (bytes > TRAIN_BYTES)
        l->rate.since = l->sent;
}

/* ---- hearing ---- */

/* The pace was `before`: what the pacer still waits for is waited for at the new one. What was not used at a greater
 * one is not made good: a queue is to go. */
static void repace(struct plait_line *l, uint64_t now, double before)
{
    double after = plait_rate_pace(&l->rate);

    if (after < before)
        l->next_free = plait_max_u64(l->next_free, now);
    else if (l->next_free > now && after > before)
        l->next_free = now + (uint64_t)((double)(l->next_free - now) * before / after);
}

bool plait_line_may_train(struct plait_line_seat *s, uint64_t now)
{
    struct plait_line *l = s->line;

    if (l->rate.measured || (l->trained_at != 0 && plait_since(now, l->trained_at) < TRAIN_PAUSE))
        return false;
    l->trained_at = now;
    return true;
}

void plait_line_on_train(struct plait_line_seat *s, uint64_t now, double rate)
{
    double before = plait_rate_pace(&s->line->rate);

    plait_rate_on_train(&s->line->rate, rate);
    repace(s->line, now, before);
}

static void count_losses(struct plait_line_seat *s, uint64_t now, const struct plait_line_report *r)
{
    double lost = (r->sent - s->sent) - (r->arrived - s->arrived);

    if (s->marked && s->line_sent >= s->line->rate.since) {
        s->line->lost_at = lost > 0 ? now : s->line->lost_at;
        s->span_sent += r->sent - s->sent;
        s->span_lost += lost;
        s->line->lost += plait_line_is_apart(s) ? 0 : lost;
    }
    s->marked = true;
    s->line_sent = r->line_sent;
    s->sent = r->sent;
    s->arrived = r->arrived;
}

/* What a datagram took longer than the least of its path. */
static uint64_t delayed(struct plait_line_seat *s, uint64_t now, int64_t took_ns)
{
    if (plait_since(now, s->base_since) > BASE_NS) {
        s->base[1] = s->base[0];
        s->base[0] = INT64_MAX;
        s->base_since = now;
    }
    if (took_ns < s->base[0])
        s->base[0] = took_ns;
    return (uint64_t)(took_ns - (s->base[0] < s->base[1] ? s->base[0] : s->base[1]));
}

/* Whether this seat waits, or loses, where the other one does not. */
static bool is_worse(const struct plait_line_seat *s, const struct plait_line_seat *other)
{
    if (plait_since(s->told_queue_ns, other->told_queue_ns) > APART_QUEUE)
        return true;
    return s->told_sent > WITNESS_BYTES && other->told_sent > WITNESS_BYTES && s->told_loss > APART_LOSS &&
           s->told_loss > 3 * other->told_loss;
}

static bool is_doubtful(const struct plait_line_seat *s, uint64_t now)
{
    for (const struct plait_line_seat *o = s->line->seats; o != NULL; o = o->next)
        if (o != s && !plait_line_is_apart(o) && o->told_at != 0 && plait_since(now, o->told_at) < 3 * SPAN &&
            is_worse(s, o))
            return true;
    return false;
}

static void judge(struct plait_line_seat *s, uint64_t now, const struct plait_line_report *r)
{
    s->queue_ns = plait_min_u64(s->queue_ns, r->queue_ns > 0 ? (uint64_t)r->queue_ns : 0);
    if (plait_since(now, s->apart_until) > 0)
        s->apart_until = 0;
    if (plait_since(now, s->span_since) < SPAN)
        return;
    s->told_queue_ns = s->queue_ns;
    s->told_sent = s->span_sent;
    s->told_loss = s->span_sent > 0 ? s->span_lost / s->span_sent : 0;
    s->told_at = now;
    if (is_doubtful(s, now))
        s->doubts += 2;
    else if (s->doubts > 0)
        s->doubts--;
    if (s->doubts >= DOUBTS_MAX) {
        s->apart_until = now + APART;
        s->doubts = 0;
    }
    s->span_since = now;
    s->queue_ns = PLAIT_NEVER;
    s->span_sent = s->span_lost = 0;
}

/* Losses are heard of later than arrivals, many at a time: they are spread over what comes next; but what was lost
 * before a pause (trains, in the beginning) says nothing of what is sent after it. */
static void count_arrivals(struct plait_line *l, uint64_t now, double line_sent)
{
    if (plait_since(now, l->lost_at) > plait_max_u64(LOST_LATELY, 2 * l->rate.rtt_ns))
        l->lost = plait_min_d(l->lost, l->heard - l->arrived);
    double least = l->arrived + ARRIVED_LEAST * (line_sent - l->heard), arrived = line_sent - l->lost;

    l->arrived = l->heard > 0 && arrived < least ? least : arrived;
}

void plait_line_on_report(struct plait_line_seat *s, uint64_t now, const struct plait_line_report *r)
{
    struct plait_line *l = s->line;
    uint64_t arrival = r->sent_ns + delayed(s, now, r->took_ns);
    double before = plait_rate_pace(&l->rate);

    count_losses(s, now, r);
    judge(s, now, r);
    if (plait_line_is_apart(s))
        return;
    if (r->queue_ns < l->delay_ns)
        l->delay_ns = r->queue_ns;
    if (r->line_sent <= l->heard)
        return; /* somebody has told of later ones */
    l->arrival_ns = plait_max_u64(arrival, l->arrival_ns);
    count_arrivals(l, now, r->line_sent);
    struct plait_rate_sample sample = {.arrival_ns = l->arrival_ns,
                                       .sent_ns = r->sent_ns,
                                       .sent = r->line_sent,
                                       .arrived = l->arrived,
                                       .delay_ns = l->delay_ns};
    double was = l->rate.rate;

    l->heard = r->line_sent;
    l->delay_ns = INT64_MAX;
    l->rate.rtt_ns = r->rtt_ns;
    plait_rate_on_sample(&l->rate, now, &sample, l->sent);
    if (l->rate.rate < FALL * was) { /* that may have been a moment's weakness */
        l->rate.probe_pause_ns = FALL_PAUSE;
        l->rate.probe_next = now + plait_max_u64(FALL_PAUSE, 2 * r->rtt_ns);
    }
    repace(l, now, before);
}
