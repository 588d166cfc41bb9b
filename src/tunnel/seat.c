/* What joins a bond's paths to the lines that they share with those of other bonds (line.h). */
#include "bond_int.h"

#define SCANTY        0.04 /* of what all paths carry: not worth the disorder */
#define SCANTY_LOSSY  0.15 /* with */
#define SCANTY_LOSS   0.01 /* and losses, as behind a forwarder who has others to carry for */
#define SCANTY_LEAVE  0.20 /* to be worth it again */
#define SCANTY_RETURN 0.06 /* the same on a shared line */
#define TRY_NS        (5 * PLAIT_S)

void plait_bond_path_line(struct plait_bond *b, unsigned path, struct plait_line *line, bool owner)
{
    if (path >= b->paths_end || b->paths[path].state == PLAIT_BOND_PATH_NONE)
        return;
    struct plait_path *p = &b->paths[path];

    if (line != NULL) {
        plait_line_sit(line, &p->seat, &b->user, owner);
    } else if (p->seat.line != NULL) {
        p->rate.rate = p->seat.line->rate.rate;
        plait_line_leave(&p->seat);
        plait_rate_interrupt(&p->rate, p->sent);
    }
}

void plait_seat_look(struct plait_bond *b, uint64_t now)
{
    for (unsigned i = 0; i < b->paths_end; i++) {
        struct plait_path *p = &b->paths[i];
        if (p->seat.line == NULL)
            continue;
        p->next_free = plait_max_u64(plait_line_turn(&p->seat, now), p->limit_free);
        if (!plait_line_is_apart(&p->seat))
            p->rate.rate = plait_line_share(&p->seat, now);
    }
}

void plait_seat_note(struct plait_bond *b, uint64_t now)
{
    bool any = b->queue.packets > 0 && (b->config.rate_max <= 0 || b->whole_free <= now);

    for (unsigned i = 0; i < b->paths_end; i++) {
        struct plait_path *p = &b->paths[i];
        if (p->seat.line != NULL)
            plait_line_note(&p->seat, now,
                            any && p->limit_free <= now && plait_path_carries(p) && !plait_path_is_stuffed(p),
                            p->next_free);
    }
}

/* Sounds a line that only carries for others. */
bool plait_seat_poll(struct plait_bond *b, uint64_t now, struct plait_bond_datagram *out)
{
    for (unsigned i = 0; i < b->paths_end; i++) {
        struct plait_path *p = &b->paths[i];
        if (!plait_path_carries(p) || plait_line_sound_at(&p->seat) > now)
            continue;
        struct plait_datagram d = {.kind = PLAIT_DATAGRAM_PADDING, .flags = PLAIT_DATAGRAM_ASKS};
        plait_path_send(b, now, i, &d, NULL, 0, 0, out);
        return true;
    }
    return false;
}

uint64_t plait_seat_deadline(const struct plait_bond *b)
{
    uint64_t at = PLAIT_NEVER;

    for (unsigned i = 0; i < b->paths_end; i++)
        if (plait_path_carries(&b->paths[i]))
            at = plait_min_u64(at, plait_line_sound_at(&b->paths[i].seat));
    return at;
}

/* The path tries what it carries now with a short train (probe.c). */
static void try_again(struct plait_path *p, uint64_t now)
{
    if (now < p->try_at)
        return;
    p->try_at = now + TRY_NS;
    plait_rate_init(&p->rate, p->rate.rate);
    p->rate.rate_max = p->config.rate_max;
    plait_probe_train(p);
}

/* Over a shared line that is worth it only somebody else's traffic can leave little; one that carries little itself, as
 * after an outage, has to be used to find out what it carries now. */
static bool is_somebody_elses(const struct plait_path *p, double sum)
{
    if (p->seat.line == NULL)
        return p->config.carried;
    return !p->seat.owner && p->seat.line->rate.rate > SCANTY_LEAVE * sum;
}

/* Where the line is shared, what one may count upon is known without trying. */
static double part_of(const struct plait_path *p)
{
    if (p->scanty)
        return p->seat.line != NULL ? SCANTY_RETURN : SCANTY_LEAVE;
    return p->rate.loss_base > SCANTY_LOSS && p->seat.line == NULL ? SCANTY_LOSSY : SCANTY;
}

void plait_seat_judge(struct plait_bond *b, uint64_t now)
{
    double sum = 0;

    for (unsigned i = 0; i < b->paths_end; i++)
        if (plait_path_carries(&b->paths[i]))
            sum += b->paths[i].rate.rate;
    for (unsigned i = 0; i < b->paths_end; i++) {
        struct plait_path *p = &b->paths[i];
        bool scanty = is_somebody_elses(p, sum) && plait_path_carries(p) && p->rate.rate < part_of(p) * sum;
        if (scanty && !p->scanty)
            p->try_at = now + TRY_NS;
        p->scanty = scanty;
        if (scanty && p->seat.line == NULL && b->queue.packets > 0)
            try_again(p, now);
    }
}

void plait_seat_charge(struct plait_path *p, uint64_t now, double bytes, bool data)
{
    plait_line_charge(&p->seat, now, bytes, data);
    double limit = plait_line_is_apart(&p->seat) ? plait_rate_pace(&p->rate) : p->rate.rate_max;

    if (limit > 0)
        p->limit_free = plait_max_u64(p->limit_free, plait_since(now, PLAIT_BOND_CREDIT_NS)) +
                        plait_time_to_carry(bytes, limit);
    p->next_free = plait_max_u64(p->seat.line->next_free, p->limit_free);
}

void plait_seat_measure(struct plait_path *p, uint64_t now, const struct plait_rate_sample *s,
                        const struct plait_entry *newest)
{
    const struct plait_rate *line = &p->seat.line->rate;
    struct plait_line_report r = {
        .sent_ns = s->sent_ns,
        .line_sent = newest->line_sent,
        .sent = s->sent,
        .arrived = s->arrived,
        .took_ns = (int64_t)(s->arrival_ns - s->sent_ns),
        .queue_ns = s->delay_ns - plait_rate_base(&p->rate),
        .rtt_ns = p->rate.rtt_ns,
    };

    plait_line_on_report(&p->seat, now, &r);
    if (plait_line_is_apart(&p->seat))
        return;
    p->rate.rate = plait_line_share(&p->seat, now);
    p->rate.limited = line->limited;
    p->rate.ceiling = line->ceiling;
}
