/*
 * Sessions over random links: delay, jitter that reorders, loss, datagrams twice, bits flipped, load at the hub,
 * ends that are started anew with clocks that are wrong, links that are dead for a while. Afterwards the links are
 * good enough, and the tunnel has to come back within a stated time.
 *
 * Usage: test_session_seeds [COUNT [FIRST]]
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "session_kit.h"
#include "units.h"

#define SEEDS   1000
#define FAULTS  6
#define BACK_IN (45 * PLAIT_S)

static struct kit k;
static uint64_t seed_count = SEEDS, seed_first, now_at, back_max, back_sum;

static bool chance(double p)
{
    return plait_prng_unit(&k.prng) < p;
}

static uint64_t below(uint64_t n)
{
    return plait_prng_below(&k.prng, n);
}

static struct kit_link random_link(void)
{
    return (struct kit_link){.delay = 1 + below(chance(0.1) ? PLAIT_S : 100 * PLAIT_MS),
                             .jitter = chance(0.5) ? below(300 * PLAIT_MS) : 0,
                             .loss = chance(0.5) ? plait_prng_unit(&k.prng) * 0.3 : 0,
                             .twice = chance(0.3) ? plait_prng_unit(&k.prng) * 0.5 : 0,
                             .spoilt = chance(0.3) ? plait_prng_unit(&k.prng) * 0.2 : 0};
}

static void restart_node(void)
{
    kit_stop_node(&k);
    if (chance(0.5))
        k.wall = chance(0.3) ? 0 : below(UINT64_C(4000000000) * PLAIT_S);
    kit_run(&k, k.now + below(5 * PLAIT_S));
    kit_start_node(&k);
}

static void restart_hub(void)
{
    kit_stop_hub(&k);
    if (chance(0.5))
        kit_run(&k, k.now + below(10 * PLAIT_S));
    kit_start_hub(&k);
}

/* Both send at any time over any path; more than the life of a key may go by. */
static void talk(uint64_t span)
{
    uint64_t until = k.now + span, pause = 50 * PLAIT_MS + below(PLAIT_S);

    while (k.now < until) {
        if (chance(0.8))
            kit_node_send(&k, (uint8_t)below(k.paths));
        if (chance(0.3))
            kit_hub_send(&k, (uint8_t)below(k.paths));
        kit_run(&k, k.now + 1 + below(2 * pause));
    }
}

static void trouble(void)
{
    switch (below(6)) {
    case 0:
        restart_node();
        break;
    case 1:
        restart_hub();
        break;
    case 2:
        restart_node();
        restart_hub();
        break;
    case 3:
        k.up = random_link();
        k.down = random_link();
        break;
    case 4: /* one way or both dead */
        k.up.loss = chance(0.5) ? 1 : k.up.loss;
        k.down.loss = 1;
        talk(below(300 * PLAIT_S));
        break;
    default:
        k.loaded = !k.loaded;
        break;
    }
}

static bool is_back(void)
{
    uint64_t before_node = k.to_node.received, before_hub = k.to_hub.received, start = k.now,
             until = start + BACK_IN;

    while (k.now < until && (k.to_node.received == before_node || k.to_hub.received == before_hub)) {
        for (uint8_t p = 0; p < k.paths; p++)
            kit_node_send(&k, p);
        kit_run(&k, k.now + 250 * PLAIT_MS);
    }
    back_max = plait_max_u64(back_max, k.now - start);
    back_sum += k.now - start;
    return k.to_node.received > before_node && k.to_hub.received > before_hub;
}

static void run_seed(uint64_t seed)
{
    kit_init(&k, seed, 1 + (unsigned)(seed % KIT_PATHS));
    k.up = random_link();
    k.down = random_link();
    for (unsigned i = 0; i < FAULTS; i++) {
        talk(below(chance(0.2) ? 150 * PLAIT_S : 10 * PLAIT_S));
        trouble();
        k.up.loss = plait_prng_unit(&k.prng) * 0.3;
        k.down.loss = plait_prng_unit(&k.prng) * 0.3;
        if (!is_back())
            fail_msg("seed %" PRIu64 ": not back after trouble %u", seed, i);
    }
    now_at += k.now - 1000 * PLAIT_S;
    kit_done(&k);
}

static void all_seeds(void **state)
{
    uint64_t sent = 0, received = 0, keys = 0;

    (void)state;
    for (uint64_t seed = seed_first; seed < seed_first + seed_count; seed++) {
        run_seed(seed);
        sent += k.to_hub.sent + k.to_node.sent;
        received += k.to_hub.received + k.to_node.received;
        keys += k.node_keys;
    }
    print_message("%" PRIu64 " seeds, %.0f h, %" PRIu64 " packets sent, %" PRIu64 " delivered, %" PRIu64
                  " handshakes, back after %.1f s on average, %.1f s at most\n",
                  seed_count, (double)now_at / 3.6e12, sent, received, keys,
                  plait_to_s(back_sum) / (double)(seed_count * FAULTS), plait_to_s(back_max));
    assert_true(received > sent / 2 && keys > seed_count * FAULTS / 2);
}

/* The same seed tells the same story. */
static void repeatable(void **state)
{
    uint64_t first[4], second[4];

    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        run_seed(7);
        uint64_t *out = round == 0 ? first : second;
        out[0] = k.now;
        out[1] = k.to_hub.received;
        out[2] = k.to_node.received;
        out[3] = k.prng.state;
    }
    assert_memory_equal(first, second, sizeof first);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_seeds), cmocka_unit_test(repeatable)};

    if (argc > 1)
        seed_count = strtoull(argv[1], NULL, 10);
    if (argc > 2)
        seed_first = strtoull(argv[2], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
