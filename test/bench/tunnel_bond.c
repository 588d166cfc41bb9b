/*
 * What a packet costs in a bond: push at one end, poll, copy to where it would be sealed, recv and deliver at the
 * other, feedback included; no cipher and no system calls. Prints nanoseconds per packet.
 *
 *      plait-bench-bond [PACKETS [PATHS [BATCH]]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bond.h"
#include "units.h"

#define INNER_BYTES 1400
#define RATE        1.25e9 /* bytes/s of each path: ten Gbit/s */
#define LOAD        0.6    /* of that */
#define WARM        20000  /* packets before the clock is read */
#define DELAY_NS    (200 * PLAIT_US)
#define LINE        8192u

struct carried {
    uint64_t at;
    uint16_t len;
    uint8_t path;
    uint8_t bytes[1500];
};

struct end {
    struct plait_pool pool;
    struct plait_bond *bond;
    struct carried *line; /* a ring of what it has sent */
    unsigned head, tail;
    uint64_t delivered, bytes;
};

static void on_deliver(void *ctx, uint64_t now, const uint8_t *bytes, size_t len)
{
    struct end *e = ctx;

    (void)now;
    e->delivered++;
    e->bytes += len + bytes[0];
}

static void open_end(struct end *e, unsigned paths, uint64_t now)
{
    struct plait_bond_config config = {.pool = &e->pool, .deliver = on_deliver, .ctx = e, .seed = 3};

    memset(e, 0, sizeof(*e));
    e->line = calloc(LINE, sizeof(*e->line));
    if (e->line == NULL || plait_pool_init(&e->pool, 16384, 1600) != PLAIT_OK ||
        plait_bond_new(&config, &e->bond) != PLAIT_OK)
        exit(1);
    for (unsigned i = 0; i < paths; i++) {
        const struct plait_bond_path_config path = {.rate_hint = RATE};
        if (plait_bond_path_set(e->bond, now, i, &path) != PLAIT_OK)
            exit(1);
    }
}

static void pump(struct end *e, uint64_t now)
{
    struct plait_bond_datagram d;

    if (plait_bond_next_deadline(e->bond) <= now)
        plait_bond_on_deadline(e->bond, now);
    while (e->tail - e->head < LINE && plait_bond_poll_send(e->bond, now, &d)) {
        struct carried *c = &e->line[e->tail++ % LINE];
        c->at = now + DELAY_NS;
        c->path = d.path;
        c->len = d.len;
        memcpy(c->bytes, d.header, d.header_len);
        memcpy(c->bytes + d.header_len, d.payload, d.payload_len);
    }
}

static void arrive(struct end *from, struct end *to, uint64_t now)
{
    while (from->head != from->tail && from->line[from->head % LINE].at <= now) {
        struct carried *c = &from->line[from->head++ % LINE];
        (void)plait_bond_recv(to->bond, now, c->path, c->bytes, c->len);
    }
}

static void push(struct end *e, uint64_t now, unsigned flow)
{
    struct plait_packet *p = plait_pool_take(&e->pool);

    if (p == NULL)
        return;
    static const uint8_t header[24] = {
        0x45, 0, INNER_BYTES >> 8, INNER_BYTES & 0xff, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2};
    memcpy(p->data, header, sizeof(header));
    p->data[20] = (uint8_t)flow;
    p->len = INNER_BYTES;
    (void)plait_bond_push(e->bond, now, p);
}

static uint64_t clock_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * PLAIT_S + (uint64_t)t.tv_nsec;
}

static double run(unsigned packets, unsigned paths, unsigned batch, unsigned flows)
{
    static struct end a, b;
    uint64_t now = PLAIT_S, start = 0,
             tick = plait_time_to_carry(batch * (double)INNER_BYTES, RATE * LOAD * paths);
    uint64_t counted = 0;

    open_end(&a, paths, now);
    open_end(&b, paths, now);
    for (int i = 0; i < 5000; i++, now += 50 * PLAIT_US) {
        arrive(&a, &b, now);
        arrive(&b, &a, now);
        pump(&a, now);
        pump(&b, now);
    }
    for (unsigned n = 0; n < packets + WARM; n += batch, now += tick) {
        if (start == 0 && n >= WARM) {
            start = clock_ns();
            counted = b.delivered;
        }
        for (unsigned i = 0; i < batch; i++)
            push(&a, now, i % flows);
        pump(&a, now);
        arrive(&a, &b, now);
        arrive(&b, &a, now);
        pump(&b, now);
    }
    double ns = (double)(clock_ns() - start) / (double)(b.delivered - counted + (b.delivered == counted));
    double part = (double)(b.delivered - counted) / packets;
    struct plait_bond_info info;

    plait_bond_get(b.bond, now, &info);
    printf("%u path%s, %u flow%s, batches of %u: %.0f ns a packet (%.1f Gbit/s of inner packets on one "
           "core), %.3f of "
           "them came, %llu late\n",
           paths, paths > 1 ? "s" : "", flows, flows > 1 ? "s" : "", batch, ns, INNER_BYTES * 8 / ns, part,
           (unsigned long long)info.late_packets);
    plait_bond_free(a.bond);
    plait_bond_free(b.bond);
    plait_pool_done(&a.pool);
    plait_pool_done(&b.pool);
    free(a.line);
    free(b.line);
    return part;
}

int main(int argc, char **argv)
{
    unsigned packets = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 2000000;
    unsigned paths = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    unsigned batch = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 32;
    bool ok = true;

    if (packets == 0 || paths > PLAIT_BOND_PATHS || batch == 0)
        return 2;
    for (unsigned n = paths > 0 ? paths : 1; n <= (paths > 0 ? paths : 3); n++)
        for (unsigned flows = 1; flows <= 64; flows *= 64)
            ok &= run(packets, n, batch, flows) > 0.9;
    return ok ? 0 : 1;
}
