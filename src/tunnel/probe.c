/*
 * Probes: whether a path answers, its round trip, how great a packet passes, and about what it carries.
 *
 * A path begins as UNKNOWN: a small probe and one as great as the line may take leave at once. The small one's
 * answer makes it UP; the great one's sets the MTU, or, when three of them stay without answer, the MTU is
 * searched for between 1280 and there (RFC 8899). The first answer also lets a short train of datagrams out,
 * whose spacing on arrival is a first guess of the rate. A path that carries traffic needs no probes.
 */
#include "bond_int.h"

#define TRAIN           8u
#define TRAIN_MAX       64u
#define TRAIN_BYTES     1000u
#define TRAINS          3u
#define TRAIN_NS        (30 * PLAIT_MS) /* a further train takes so long, going by the one before */
#define TRAIN_MORE      1.25            /* and another one follows if it was faster by so much */
#define TRAIN_TRUST     0.8
#define TRAIN_RATE_MAX  25e6
#define UNKNOWN_NS      (100 * PLAIT_MS)
#define UNKNOWN_MAX     (2 * PLAIT_S)
#define SUSPECT_NS      (40 * PLAIT_MS)
#define DEAD_NS         (250 * PLAIT_MS)
#define DEAD_LONG_NS    PLAIT_S
#define DEAD_LONG_AFTER (30 * PLAIT_S)
#define IDLE_NS         PLAIT_S /* while there was traffic lately */
#define IDLE_LONG_NS    (5 * PLAIT_S)
#define IDLE_LONG_AFTER (10 * PLAIT_S)
#define OPEN_MAX        3u
#define MTU_TRIES       4u
#define MTU_AGAIN       (30 * PLAIT_S)
#define MTU_STEP        16u
#define END_NS          (25 * PLAIT_MS)

void plait_probe_begin(struct plait_bond *b, uint64_t now, struct plait_path *p)
{
    (void)b;
    p->state = PLAIT_BOND_PATH_UNKNOWN;
    p->probe_at = now;
    p->probes_open = 0;
    p->mtu = p->mtu_low = p->config.mtu < PLAIT_BOND_MTU_MIN ? p->config.mtu : PLAIT_BOND_MTU_MIN;
    p->mtu_high = p->config.mtu;
    p->mtu_probe = p->mtu_high > p->mtu_low ? p->mtu_high : 0;
    p->mtu_tries = 0;
    p->mtu_at = p->mtu_probe != 0 ? now : PLAIT_NEVER;
}

static uint64_t pause_ns(const struct plait_path *p, uint64_t now)
{
    switch (p->state) {
    case PLAIT_BOND_PATH_UNKNOWN:
        return plait_min_u64(UNKNOWN_NS * (1 + p->probes_open), UNKNOWN_MAX);
    case PLAIT_BOND_PATH_SUSPECT:
        return SUSPECT_NS;
    case PLAIT_BOND_PATH_DEAD:
        return plait_since(now, p->silent_since) > DEAD_LONG_AFTER ? DEAD_LONG_NS : DEAD_NS;
    default:
        break;
    }
    uint64_t quiet = plait_since(now, plait_max_u64(p->last_data, p->arrivals.last_data));

    if (p->probes_open > 0)
        return plait_max_u64(UNKNOWN_NS, 2 * p->srtt_ns);
    return quiet > IDLE_LONG_AFTER ? IDLE_LONG_NS : IDLE_NS;
}

static void send_probe(struct plait_bond *b, uint64_t now, unsigned path,
                       const struct plait_datagram_probe *probe, size_t plaintext,
                       struct plait_bond_datagram *out)
{
    struct plait_datagram d = {.kind = PLAIT_DATAGRAM_PROBE};
    size_t least = PLAIT_DATAGRAM_COMMON_BYTES + PLAIT_DATAGRAM_PROBE_BYTES;

    plait_datagram_probe_encode(probe, plait_bond_body(b));
    plait_path_send(b, now, path, &d, NULL, PLAIT_DATAGRAM_PROBE_BYTES,
                    plaintext > least ? plaintext - least : 0, out);
}

static bool poll_answer(struct plait_bond *b, uint64_t now, struct plait_bond_datagram *out)
{
    while (b->answers_n > 0) {
        struct plait_probe_answer a = b->answers[0];
        struct plait_datagram d = {.kind = PLAIT_DATAGRAM_PROBE_ACK};
        b->answers_n--;
        for (uint32_t i = 0; i < b->answers_n; i++)
            b->answers[i] = b->answers[i + 1];
        if (!plait_path_exists(&b->paths[a.path]))
            continue;
        plait_datagram_probe_encode(&a.probe, plait_bond_body(b));
        plait_path_send(b, now, a.path, &d, NULL, PLAIT_DATAGRAM_PROBE_BYTES, 0, out);
        return true;
    }
    return false;
}

static void search_mtu(struct plait_path *p, uint64_t now)
{
    p->mtu_tries = 0;
    p->mtu_probe = 0;
    p->mtu_at = PLAIT_NEVER;
    if (p->mtu_high < p->mtu_low + MTU_STEP) { /* found; what was lost by chance is tried again some day */
        p->mtu_high = p->config.mtu;
        if (p->mtu < p->config.mtu)
            p->mtu_probe = (uint16_t)((p->mtu_low + p->mtu_high + 1) / 2);
        p->mtu_at = p->mtu_probe != 0 ? now + MTU_AGAIN : PLAIT_NEVER;
        return;
    }
    p->mtu_probe = (uint16_t)((p->mtu_low + p->mtu_high + 1) / 2);
    p->mtu_at = now;
}

static bool poll_mtu(struct plait_bond *b, uint64_t now, unsigned path, struct plait_bond_datagram *out)
{
    struct plait_path *p = &b->paths[path];

    if (now < p->mtu_at || p->mtu_probe == 0)
        return false;
    if (p->mtu_tries >= MTU_TRIES && plait_path_carries(p)) {
        p->mtu_high = (uint16_t)(p->mtu_probe - 1);
        search_mtu(p, now);
        if (now < p->mtu_at)
            return false;
    }
    p->mtu_tries++;
    p->mtu_id = ++p->probe_id;
    p->mtu_at = now + 3 * p->srtt_ns + (p->srtt_ns > 0 ? 2 * UNKNOWN_NS : 5 * UNKNOWN_NS);
    struct plait_datagram_probe probe = {.id = p->mtu_id};

    send_probe(b, now, path, &probe, (size_t)p->mtu_probe - p->config.overhead, out);
    return true;
}

static bool poll_train(struct plait_bond *b, uint64_t now, unsigned path, struct plait_bond_datagram *out)
{
    struct plait_path *p = &b->paths[path];

    if (p->train_left == 0)
        return false;
    struct plait_datagram_probe probe = {
        .id = p->train_id, .train = (uint8_t)(p->train_len - p->train_left), .train_len = p->train_len};

    p->train_left--;
    send_probe(b, now, path, &probe, TRAIN_BYTES, out);
    p->next_free = plait_min_u64(p->next_free, now); /* one burst at the beginning, not at the pace */
    p->rate.since = p->sent; /* and neither its queue nor its losses are the traffic's */
    return true;
}

static bool poll_alive(struct plait_bond *b, uint64_t now, unsigned path, struct plait_bond_datagram *out)
{
    struct plait_path *p = &b->paths[path];

    if (now < p->probe_at)
        return false;
    if (p->state == PLAIT_BOND_PATH_UP && p->probes_open >= OPEN_MAX) {
        p->state = PLAIT_BOND_PATH_SUSPECT;
        p->silent_since = now;
        plait_repair_rescue(b, now, p);
    }
    p->probes_open = (uint16_t)(p->probes_open < UINT16_MAX ? p->probes_open + 1 : p->probes_open);
    p->probe_at = now + pause_ns(p, now);
    struct plait_datagram_probe probe = {.id = ++p->probe_id};

    send_probe(b, now, path, &probe, 0, out);
    return true;
}

static bool end_is_due(const struct plait_path *p, uint64_t now)
{
    return p->end_due && plait_path_carries(p) && now >= p->last_data + END_NS;
}

static bool poll_end(struct plait_bond *b, uint64_t now, unsigned path, struct plait_bond_datagram *out)
{
    struct plait_datagram d = {.kind = PLAIT_DATAGRAM_PATH_END};

    if (!end_is_due(&b->paths[path], now))
        return false;
    b->paths[path].end_due = false;
    plait_path_send(b, now, path, &d, NULL, 0, 0, out);
    return true;
}

bool plait_probe_poll(struct plait_bond *b, uint64_t now, struct plait_bond_datagram *out)
{
    if (poll_answer(b, now, out))
        return true;
    for (unsigned i = 0; i < b->paths_end; i++) {
        if (!plait_path_exists(&b->paths[i]))
            continue;
        if (poll_alive(b, now, i, out) || poll_mtu(b, now, i, out) || poll_train(b, now, i, out) ||
            poll_end(b, now, i, out))
            return true;
    }
    return false;
}

uint64_t plait_probe_deadline(const struct plait_bond *b)
{
    uint64_t at = b->answers_n > 0 ? 0 : PLAIT_NEVER;

    for (unsigned i = 0; i < b->paths_end; i++) {
        const struct plait_path *p = &b->paths[i];
        if (!plait_path_exists(p))
            continue;
        at = plait_min_u64(at, plait_min_u64(p->probe_at, p->mtu_at));
        if (p->end_due && plait_path_carries(p))
            at = plait_min_u64(at, p->last_data + END_NS);
        if (p->train_left > 0)
            at = 0;
    }
    return at;
}

/* ---- receiving ---- */

void plait_probe_recv(struct plait_bond *b, uint64_t now, unsigned path, const struct plait_datagram *d,
                      size_t len)
{
    struct plait_datagram_probe probe;

    (void)now;
    if (plait_datagram_probe_decode(d->body, d->body_len, &probe) != PLAIT_OK ||
        b->answers_n == PLAIT_BOND_ACKS)
        return;
    probe.size = (uint16_t)len;
    probe.echo = d->time;
    b->answers[b->answers_n++] = (struct plait_probe_answer){.path = (uint8_t)path, .probe = probe};
}

static void begin_train(struct plait_path *p, unsigned len)
{
    p->trains++;
    p->train_left = p->train_len = (uint8_t)len;
    p->train_id = ++p->probe_id;
    p->train_n = 0;
}

/* A short train's spacing is as much the line's jitter as its rate: where it leaves room for a longer one, that follows. */
static void consider_train(struct plait_path *p, double rate)
{
    double len = rate * plait_to_s(TRAIN_NS) / plait_path_line(p, TRAIN_BYTES);
    bool more = rate > TRAIN_MORE * p->train_rate;

    p->train_rate = rate;
    if (more && p->trains < TRAINS && len > 1.5 * p->train_len && p->train_len < TRAIN_MAX)
        begin_train(p, len < TRAIN_MAX ? (unsigned)len : TRAIN_MAX);
}

/* Answers may come in any order: the earliest and the latest count. */
static void note_train(struct plait_path *p, uint32_t time, uint8_t n)
{
    if (p->train_n++ == 0) {
        p->train_first = p->train_last = time;
        p->train_first_n = p->train_last_n = n;
        return;
    }
    if (((time - p->train_first) & 0xffffff) > 0x7fffff)
        p->train_first = time;
    if (((time - p->train_last) & 0xffffff) <= 0x7fffff)
        p->train_last = time;
    p->train_first_n = n < p->train_first_n ? n : p->train_first_n;
    p->train_last_n = n > p->train_last_n ? n : p->train_last_n;
}

static void on_train_answer(struct plait_path *p, uint64_t now, const struct plait_datagram *d,
                            const struct plait_datagram_probe *a)
{
    if (a->id != p->train_id || a->train >= p->train_len)
        return;
    note_train(p, d->time, a->train);
    if (p->train_n <= p->train_len / 2)
        return;
    uint32_t units = (p->train_last - p->train_first) & 0xffffff;
    double bytes = (double)(p->train_last_n - p->train_first_n) * plait_path_line(p, TRAIN_BYTES);
    double rate = bytes / plait_to_s((units > 0 ? units : 1) * (uint64_t)PLAIT_DATAGRAM_TIME_NS);
    double pace = plait_rate_pace(&p->rate);

    double trusted = TRAIN_TRUST * plait_min_d(rate, TRAIN_RATE_MAX);
    if (p->seat.line != NULL)
        plait_line_on_train(&p->seat, now, trusted);
    plait_rate_on_train(&p->rate, trusted);
    plait_path_repace(p, now, pace);
    if (a->train + 1 == p->train_len)
        consider_train(p, rate);
}

void plait_probe_train(struct plait_path *p)
{
    p->trains = 0;
    p->train_rate = 0;
    begin_train(p, TRAIN);
}

static void come_up(struct plait_bond *b, uint64_t now, struct plait_path *p)
{
    bool first = p->state == PLAIT_BOND_PATH_UNKNOWN;

    if (p->state != PLAIT_BOND_PATH_UP)
        p->next_free = now;
    p->state = PLAIT_BOND_PATH_UP;
    p->probes_open = 0;
    p->probe_at = now + pause_ns(p, now);
    if (first && p->trains == 0 && p->config.rate_hint <= 0 &&
        (p->seat.line == NULL || plait_line_may_train(&p->seat, now)))
        plait_probe_train(p);
    (void)b;
}

void plait_probe_recv_answer(struct plait_bond *b, uint64_t now, unsigned path,
                             const struct plait_datagram *d)
{
    struct plait_path *p = &b->paths[path];
    struct plait_datagram_probe a;

    if (plait_datagram_probe_decode(d->body, d->body_len, &a) != PLAIT_OK)
        return;
    uint64_t rtt = ((plait_bond_clock(now) - a.echo) & 0xffffff) * PLAIT_DATAGRAM_TIME_NS;

    if (!plait_path_may_return(b, now, p, rtt))
        return;
    if (a.train_len == 0 && rtt < 60 * PLAIT_S) {
        p->srtt_ns = p->srtt_ns == 0 ? rtt : (7 * p->srtt_ns + rtt) / 8;
        p->rtt_min_ns = plait_min_u64(p->rtt_min_ns, plait_max_u64(rtt, PLAIT_DATAGRAM_TIME_NS));
        p->loop_ns = plait_min_u64(p->loop_ns, p->rtt_min_ns);
        p->rate.rtt_ns = p->loop_ns;
    }
    come_up(b, now, p);
    if (a.train_len > 0)
        on_train_answer(p, now, d, &a);
    if (p->mtu_probe != 0 && a.id == p->mtu_id && a.size + p->config.overhead >= p->mtu_probe) {
        p->mtu = p->mtu_low = p->mtu_probe;
        search_mtu(p, now);
    }
}
