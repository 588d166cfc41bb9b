/*
 * A LAN of 2 to 50 terminals in virtual time: messages are lost, late and repeated, terminals come, go with and
 * without a word, start anew and move; somebody records everything and plays it back; strangers shout. What must hold:
 * nobody is a member who never had the key; who is gone for longer than the limit is no member; and when all is quiet
 * everybody knows everybody, with what he has on offer.
 *
 *      test_community_seeds [COUNT [FROM]]
 */
#include "community.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto_kit.h"

#define TERMINALS_MAX 50
#define FLYING_MAX    16384
#define RECORDED      64
#define STEP          (20 * PLAIT_MS)
#define QUIET_AT      (14 * PLAIT_S)
#define SILENCE_AT                                                                                           \
    (18 * PLAIT_S) /* recordings of what nobody had heard yet keep one that is gone for a while */
#define OVER_AT       (28 * PLAIT_S)
#define DEFAULT_COUNT 1000

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "seed %lu, %.2f s: does not hold: %s\n", (unsigned long)seed, plait_to_s(now),   \
                    #condition);                                                                             \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

struct message {
    uint64_t at;
    struct plait_origin from;
    int to; /* terminal, or −1 for everybody */
    uint16_t len;
    uint8_t bytes[PLAIT_ANNOUNCE_BYTES_MAX];
};

struct terminal {
    struct plait_community *c; /* NULL = not there */
    uint64_t instance, gone_at;
    struct plait_origin origin;
    uint32_t weight;
};

static struct plait_crypto *crypto;
static struct plait_prng g, random_of_keys;
static struct terminal terminals[TERMINALS_MAX];
static size_t count, flying_count, recorded_count;
static struct message flying[FLYING_MAX], recorded[RECORDED];
static uint64_t now, seed, instances;
static double loss;

static bool chance(double p)
{
    return plait_prng_unit(&g) < p;
}

static void offer(struct terminal *t)
{
    struct plait_announce_uplink u = {0, false, false, 7000, t->weight, t->weight};

    t->weight = 1 + (uint32_t)plait_prng_below(&g, 18000);
    u.weight_down = u.weight_up = t->weight;
    CHECK(plait_community_offer(t->c, now, 0, &u, 1) == PLAIT_OK);
}

static void start(struct terminal *t)
{
    struct plait_community_config config = {.crypto = crypto,
                                            .random = kit_random(&random_of_keys),
                                            .key = {1},
                                            .instance = t->instance = ++instances,
                                            .name = "terminal"};

    CHECK(plait_community_new(&config, now, &t->c) == PLAIT_OK);
    t->origin.port = (uint16_t)(1 + plait_prng_below(&g, 60000));
    offer(t);
}

static void stop(struct terminal *t)
{
    plait_community_free(t->c);
    t->c = NULL;
    t->gone_at = now;
}

static void post(const struct message *m)
{
    if (flying_count == FLYING_MAX)
        return;
    flying[flying_count] = *m;
    flying[flying_count++].at = now + plait_prng_below(&g, chance(0.05) ? 400 * PLAIT_MS : 5 * PLAIT_MS);
}

static int terminal_at(const struct plait_origin *o)
{
    for (size_t i = 0; i < count; i++)
        if (memcmp(terminals[i].origin.address, o->address, 16) == 0 && terminals[i].origin.port == o->port)
            return (int)i;
    return TERMINALS_MAX;
}

static void send_all(struct terminal *t)
{
    struct message m = {.from = t->origin};
    struct plait_origin to;
    bool all;

    plait_community_on_deadline(t->c, now);
    while ((m.len = (uint16_t)plait_community_poll_send(t->c, now, &to, &all, m.bytes)) > 0) {
        m.to = all ? -1 : terminal_at(&to);
        post(&m);
        if (chance(0.02))
            post(&m);
        recorded[recorded_count++ % RECORDED] = m;
    }
}

static void hand(size_t i, const struct message *m)
{
    if (terminals[i].c != NULL && !chance(loss))
        (void)plait_community_recv(terminals[i].c, now, &m->from, m->bytes, m->len);
}

static void deliver(void)
{
    for (size_t i = flying_count; i-- > 0;) {
        if (flying[i].at > now)
            continue;
        struct message m = flying[i];
        flying[i] = flying[--flying_count];
        if (m.to >= 0 && m.to < (int)count)
            hand((size_t)m.to, &m);
        for (size_t k = 0; m.to < 0 && k < count; k++)
            hand(k, &m);
    }
}

/* Somebody plays back what he has heard, from where he likes, changed or not. */
static void attack(void)
{
    if (recorded_count == 0)
        return;
    struct message m = recorded[plait_prng_below(&g, plait_min_u64(recorded_count, RECORDED))];
    if (chance(0.3))
        m.from = (struct plait_origin){.address = {9}, .port = (uint16_t)plait_prng_below(&g, 65536)};
    if (chance(0.3))
        m.bytes[plait_prng_below(&g, m.len)] ^= (uint8_t)(1u << plait_prng_below(&g, 8));
    m.to = chance(0.7) ? -1 : (int)plait_prng_below(&g, count);
    post(&m);
}

static void churn(void)
{
    struct terminal *t = &terminals[plait_prng_below(&g, count)];

    if (t->c == NULL) {
        start(t);
    } else if (chance(0.3)) {
        plait_community_leave(t->c);
        send_all(t);
        stop(t);
    } else if (chance(0.3)) {
        stop(t);
    } else if (chance(0.3)) {
        t->origin.port++;
    } else {
        offer(t);
    }
}

/* The longest that somebody who says nothing may stay: the limit, and what was late. */
#define STAY_MAX (6 * PLAIT_COMMUNITY_PERIOD)

static void check_members(const struct terminal *t)
{
    const struct plait_community_member *m;

    for (size_t i = 0; (m = plait_community_at(t->c, i)) != NULL; i++) {
        CHECK(m->instance >= 1 && m->instance <= instances);
        CHECK(m->instance != t->instance);
        CHECK(now - m->heard_at < STAY_MAX);
        CHECK(m->from.address[0] != 9);
    }
    CHECK(plait_community_count(t->c) <= PLAIT_COMMUNITY_MEMBERS_MAX);
}

static void check_all_know_all(void)
{
    for (size_t i = 0; i < count; i++) {
        if (terminals[i].c == NULL)
            continue;
        size_t others = 0;
        for (size_t k = 0; k < count; k++) {
            if (k == i || terminals[k].c == NULL)
                continue;
            const struct plait_community_member *m =
                plait_community_find(terminals[i].c, terminals[k].instance);
            CHECK(m != NULL);
            CHECK(m->uplinks[0].weight_up == terminals[k].weight);
            CHECK(m->from.port == terminals[k].origin.port);
            others++;
        }
        CHECK(plait_community_count(terminals[i].c) == others);
    }
}

static void begin(void)
{
    double size = plait_prng_unit(&g);

    memset(terminals, 0, sizeof terminals);
    count = 2 + (size_t)(48.99 * size * size * size * size * size);
    flying_count = recorded_count = 0;
    now = PLAIT_S;
    instances = 0;
    for (size_t i = 0; i < count; i++) {
        terminals[i].origin.address[0] = 10;
        terminals[i].origin.address[15] = (uint8_t)i;
        if (chance(0.8))
            start(&terminals[i]);
    }
}

static void run(void)
{
    g.state = seed;
    random_of_keys.state = ~seed;
    begin();
    double most_loss = 0.3 * plait_prng_unit(&g), churns = 0.1 * plait_prng_unit(&g);
    for (; now < OVER_AT; now += STEP) {
        bool quiet = now >= QUIET_AT;
        loss = quiet ? 0 : most_loss;
        if (!quiet && chance(churns))
            churn();
        if (now < SILENCE_AT && chance(0.2))
            attack();
        deliver();
        for (size_t i = 0; i < count; i++)
            if (terminals[i].c != NULL) {
                send_all(&terminals[i]);
                check_members(&terminals[i]);
            }
    }
    check_all_know_all();
    for (size_t i = 0; i < count; i++)
        plait_community_free(terminals[i].c);
}

int main(int argc, char **argv)
{
    uint64_t runs = argc > 1 ? strtoull(argv[1], NULL, 10) : DEFAULT_COUNT;
    uint64_t from = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;

    crypto = plait_crypto_new();
    for (seed = from; seed < from + runs; seed++)
        run();
    plait_crypto_free(crypto);
    printf("%lu seeds\n", (unsigned long)runs);
    return 0;
}
