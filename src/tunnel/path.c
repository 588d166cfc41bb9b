#include <assert.h>
#include <stdlib.h>

#include "bond_int.h"

/* A lost packet holds up all that follow it in its flow until it is repaired: so much more a way is worth on which none
 * is lost. */
#define LOSS_COST      (double)(500 * PLAIT_MS)
#define LOSS_COST_MAX  (double)(10 * PLAIT_MS)
#define RING_MIN       64u
#define RATE_FIRST     125000.0 /* bytes/s, where nothing is known: 1 Mbit/s */
#define PEOPLE_NS      PLAIT_S
#define DELAY_STALE_NS (500 * PLAIT_MS)
#define LATE_NS        (10 * PLAIT_S) /* of answers that are late: so it is the way that the path is now */

void plait_path_init(struct plait_path *p, const struct plait_bond_path_config *config)
{
    *p = (struct plait_path){.config = *config, .state = PLAIT_BOND_PATH_UNKNOWN};
    if (p->config.mtu == 0)
        p->config.mtu = 1500;
    if (p->config.overhead == 0)
        p->config.overhead = 58;
    plait_rate_init(&p->rate, config->rate_hint > 0 ? config->rate_hint : RATE_FIRST);
    p->rate.rate_max = config->rate_max;
    plait_arrivals_init(&p->arrivals);
    p->probe_at = p->mtu_at = PLAIT_NEVER;
    p->rtt_min_ns = p->loop_ns = PLAIT_NEVER;
    p->ack_ns = PLAIT_S;
}

struct plait_entry *plait_path_entry(struct plait_path *p, uint64_t seq)
{
    return &p->ring[seq & (p->ring_size - 1)];
}

void plait_path_settle(struct plait_bond *b, struct plait_path *p, struct plait_entry *e)
{
    if (e->flags & PLAIT_ENTRY_FLYING) {
        p->flying -= e->bytes;
        b->flight--;
    }
    plait_pool_give(b->config.pool, e->packet);
    e->packet = NULL;
    e->flags = 0;
}

void plait_path_forget(struct plait_bond *b, struct plait_path *p)
{
    for (; p->decided < p->seq_next; p->decided++)
        plait_path_settle(b, p, plait_path_entry(p, p->decided));
    p->oldest = p->decided;
    p->flying = 0;
}

void plait_path_done(struct plait_bond *b, struct plait_path *p)
{
    plait_path_forget(b, p);
    plait_line_leave(&p->seat);
    free(p->ring);
    *p = (struct plait_path){0};
}

static bool grow(struct plait_path *p)
{
    uint32_t size = p->ring_size > 0 ? 2 * p->ring_size : RING_MIN;
    struct plait_entry *ring = calloc(size, sizeof(*ring));

    if (ring == NULL)
        return false;
    for (uint64_t seq = p->decided; seq < p->seq_next; seq++)
        ring[seq & (size - 1)] = *plait_path_entry(p, seq);
    free(p->ring);
    p->ring = ring;
    p->ring_size = size;
    return true;
}

bool plait_path_has_room(struct plait_path *p, uint32_t flight_max)
{
    return p->seq_next - p->decided < p->ring_size || (p->ring_size < flight_max && grow(p));
}

static struct plait_entry *new_entry(struct plait_bond *b, struct plait_path *p)
{
    if (!plait_path_has_room(p, b->config.flight_packets) && p->ring_size > 0) {
        plait_path_settle(b, p, plait_path_entry(p, p->decided)); /* not DATA: nobody may have heard of it */
        p->decided++;
        p->oldest = plait_max_u64(p->oldest, p->decided);
    }
    return p->ring_size > 0 ? plait_path_entry(p, p->seq_next) : NULL;
}

/* What could have been carried since packets were to leave is made good, or a little. */
static void charge(const struct plait_bond *b, struct plait_path *p, uint64_t now, double bytes)
{
    uint64_t credit = plait_clamp_u64(b->late_ns, PLAIT_BOND_CREDIT_NS, PLAIT_BOND_LATE_NS);
    uint64_t from = plait_max_u64(p->next_free, plait_since(now, credit));

    p->next_free = plait_add_sat(from, plait_time_to_carry(bytes, plait_rate_pace(&p->rate)));
}

void plait_path_repace(struct plait_path *p, uint64_t now, double before)
{
    double after = plait_rate_pace(&p->rate);

    if (p->next_free > now && after > before && after > 0)
        p->next_free = now + (uint64_t)((double)(p->next_free - now) * before / after);
}

static void note_sent(struct plait_bond *b, struct plait_path *p, uint64_t now, struct plait_packet *packet,
                      double bytes, bool prompt)
{
    struct plait_entry *e = new_entry(b, p);

    p->sent += bytes;
    p->sent_packets++;
    if (now - p->rate_at >= PEOPLE_NS) {
        p->sent_rate = (p->sent - p->rate_sent_mark) / plait_to_s(now - p->rate_at);
        p->rate_sent_mark = p->sent;
        p->rate_at = now;
    }
    if (e == NULL)
        return;
    *e = (struct plait_entry){.sent_ns = now,
                              .sent = p->sent,
                              .line_sent = p->seat.line != NULL ? p->seat.line->sent : 0,
                              .packet = packet,
                              .bytes = (uint32_t)bytes};
    if (prompt)
        e->flags = PLAIT_ENTRY_PROMPT;
    if (packet != NULL) {
        e->flags |= PLAIT_ENTRY_DATA | PLAIT_ENTRY_FLYING;
        packet->held++;
        p->flying += bytes;
        b->flight++;
        p->last_data = now;
        p->end_due = true;
    }
    p->seq_next++;
}

void plait_path_send(struct plait_bond *b, uint64_t now, unsigned path, struct plait_datagram *d,
                     struct plait_packet *packet, size_t body_len, size_t pad,
                     struct plait_bond_datagram *out)
{
    static const uint8_t zeros[PLAIT_BOND_MTU_MAX];
    struct plait_path *p = &b->paths[path];

    d->path_seq = (uint32_t)p->seq_next & 0xffffff;
    d->time = (uint32_t)plait_bond_clock(now) & 0xffffff;
    int header = plait_datagram_encode(d, b->out);

    assert(header > 0 && pad <= sizeof(zeros));
    *out = (struct plait_bond_datagram){.path = (uint8_t)path,
                                        .header = b->out,
                                        .header_len = (uint16_t)((size_t)header + body_len),
                                        .payload = packet != NULL ? packet->data : zeros,
                                        .payload_len = packet != NULL ? packet->len : (uint16_t)pad};
    out->len = (uint16_t)(out->header_len + out->payload_len);
    double bytes = plait_path_line(p, out->len);

    if (p->seat.line != NULL)
        plait_seat_charge(p, now, bytes, packet != NULL);
    else
        charge(b, p, now, bytes);
    note_sent(b, p, now, packet, bytes, d->kind == PLAIT_DATAGRAM_DATA || d->kind == PLAIT_DATAGRAM_PROBE);
}

static bool has_another(const struct plait_bond *b, const struct plait_path *p)
{
    for (unsigned i = 0; i < b->paths_end; i++)
        if (&b->paths[i] != p && plait_path_carries(&b->paths[i]))
            return true;
    return false;
}

/*
 * Whoever holds up all that he is given answers in the end; if he were believed, whatever he got then would hold up
 * every flow again. A path that stays like that is another one than before: what was known of its times is void, and
 * so is the idea that the difference is a queue. Where there is no other path, a slow one is better than none.
 */
bool plait_path_may_return(struct plait_bond *b, uint64_t now, struct plait_path *p, uint64_t rtt)
{
    bool silent = p->state == PLAIT_BOND_PATH_SUSPECT || p->state == PLAIT_BOND_PATH_DEAD;

    if (!silent || p->rtt_min_ns == PLAIT_NEVER || rtt < p->rtt_min_ns + PLAIT_BOND_BULK_NS ||
        !has_another(b, p))
        return true;
    if (plait_since(now, p->silent_since) < LATE_NS)
        return false;
    p->delay_ns += (int64_t)(rtt - p->rtt_min_ns);
    p->rtt_min_ns = p->loop_ns = p->srtt_ns = rtt;
    plait_rate_forget(&p->rate);
    return true;
}

int64_t plait_path_arrival(const struct plait_path *p, uint64_t now, double bytes)
{
    int64_t wait = (int64_t)plait_since(p->next_free, now);
    int64_t carry = (int64_t)plait_time_to_carry(bytes, p->rate.rate);
    int64_t delay = p->delay_ns;

    if (plait_since(now, p->reported_at) > DELAY_STALE_NS && plait_rate_base(&p->rate) < delay)
        delay = plait_rate_base(&p->rate) + (int64_t)p->spread_ns;
    return wait + carry + delay + (int64_t)plait_min_d(p->rate.loss_base * LOSS_COST, LOSS_COST_MAX);
}
