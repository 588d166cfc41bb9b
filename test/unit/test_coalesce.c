#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "failing_alloc.h"

#define TRIP_CHECK(condition) assert_true(condition)
#include "offload_trip.h"
#include "prng.h"
#include "units.h"

static struct trip trip;
static uint8_t packet[65535];

static struct plait_coalesce *made(bool udp)
{
    struct plait_coalesce *c = plait_coalesce_new(udp, 42);

    assert_non_null(c);
    trip.count = 0;
    return c;
}

static void add(const struct kit_packet *k, bool partial)
{
    trip_add(&trip, packet, kit_build(k, packet, partial), partial);
}

/* `n` packets of a flow that follow each other. */
static void add_run(struct kit_packet *k, size_t n, bool partial)
{
    for (size_t i = 0; i < n; i++) {
        add(k, partial);
        k->seq += (uint32_t)k->payload;
        k->id++;
    }
}

static struct kit_packet bulk(bool v6, uint8_t flow)
{
    return (struct kit_packet){.tcp = true,
                               .v6 = v6,
                               .flow = flow,
                               .seq = 0xfffff000,
                               .ack = 5,
                               .flags = 0x10,
                               .options = 12,
                               .ttl = 64,
                               .id = 0xfffd,
                               .payload = 1388};
}

/* As many as 64 KiB take are one write, whole or partial. */
static void one_flow(void **state)
{
    struct plait_coalesce *c = made(false);

    (void)state;
    for (int i = 0; i < 4; i++) {
        struct kit_packet k = bulk(i % 2, 1);
        add_run(&k, 60, i / 2);
        trip_run(&trip, c);
        assert_int_equal(trip.writes, 2);
    }
    plait_coalesce_free(c);
}

static void many_flows(void **state)
{
    struct plait_coalesce *c = made(true);
    struct kit_packet k[20];

    (void)state;
    for (uint8_t f = 0; f < 20; f++) {
        k[f] = bulk(f % 2, f);
        k[f].tcp = f % 4 < 2;
        k[f].options = 0;
        k[f].payload = 1000;
    }
    for (size_t n = 0; n < 10; n++)
        for (size_t f = 0; f < 20; f++)
            add_run(&k[f], 1, false);
    trip_run(&trip, c);
    assert_int_equal(trip.writes, 20);
    plait_coalesce_free(c);
}

/* Each change of the second packet, and what it makes of the four packets. */
static void rules(void **state)
{
    static const struct {
        const char *what;
        int field, value;
        size_t writes;
    } rows[] = {
        {"nothing", 0, 0, 1},   {"gap", 1, 1, 3},        {"back", 1, -1, 3},       {"ack", 2, 1, 3},
        {"PSH", 3, 0x18, 2},    {"FIN", 3, 0x11, 2},     {"SYN", 3, 0x12, 3},      {"RST", 3, 0x14, 3},
        {"URG", 3, 0x30, 3},    {"CWR", 3, 0x90, 3},     {"ECE", 3, 0x50, 3},      {"no ACK", 3, 0, 3},
        {"options", 4, 16, 3},  {"CE", 5, 3, 3},         {"ttl", 6, 63, 3},        {"shorter", 7, 1387, 2},
        {"longer", 7, 1389, 3}, {"no payload", 7, 0, 3}, {"id, with DF", 8, 7, 1}, {"no DF", 9, 1, 3},
    };

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        struct plait_coalesce *c = made(false);
        struct kit_packet k = bulk(false, 1), odd;
        add_run(&k, 1, false);
        odd = k;
        odd.seq += rows[i].field == 1 ? (uint32_t)rows[i].value : 0;
        odd.ack += rows[i].field == 2 ? (uint32_t)rows[i].value : 0;
        odd.flags = rows[i].field == 3 ? (uint8_t)rows[i].value : odd.flags;
        odd.options = rows[i].field == 4 ? (uint8_t)rows[i].value : odd.options;
        odd.tos = rows[i].field == 5 ? (uint8_t)rows[i].value : odd.tos;
        odd.ttl = rows[i].field == 6 ? (uint8_t)rows[i].value : odd.ttl;
        odd.payload = rows[i].field == 7 ? (size_t)rows[i].value : odd.payload;
        odd.id = rows[i].field == 8 ? (uint16_t)rows[i].value : odd.id;
        odd.may_fragment = rows[i].field == 9;
        add(&odd, false);
        k.seq += (uint32_t)odd.payload;
        k.id++;
        add_run(&k, 2, false);
        trip_run(&trip, c);
        if (trip.writes != rows[i].writes)
            print_error("%s: %zu writes\n", rows[i].what, trip.writes);
        assert_int_equal(trip.writes, rows[i].writes);
        plait_coalesce_free(c);
    }
}

/* Without DF, the identification has to count up. */
static void identification(void **state)
{
    struct plait_coalesce *c = made(false);
    struct kit_packet k = bulk(false, 1);

    (void)state;
    k.may_fragment = true;
    add_run(&k, 4, false);
    trip_run(&trip, c);
    assert_int_equal(trip.writes, 1);
    add_run(&k, 2, false);
    k.id++;
    add_run(&k, 2, false);
    trip_run(&trip, c);
    assert_int_equal(trip.writes, 2);
    plait_coalesce_free(c);
}

/* What is wrong stays wrong: nothing makes a new checksum for it. */
static void wrong_checksums(void **state)
{
    struct plait_coalesce *c = made(true);

    (void)state;
    for (size_t bad = 0; bad < 4; bad++) {
        for (size_t byte = 0; byte < 2; byte++) {
            struct kit_packet k = bulk(bad % 2, 1);
            add_run(&k, 4, false);
            uint8_t *b = trip.packets[bad].bytes;
            if (byte == 0 && !k.v6)
                b[10] ^= 1; /* the IP header's */
            else
                b[trip.packets[bad].len - 1] ^= 1;
            trip_run(&trip, c);
            assert_int_equal(trip.writes, bad == 0 || bad == 3 ? 2 : 3);
        }
    }
    plait_coalesce_free(c);
}

static void udp(void **state)
{
    struct kit_packet k = {.ttl = 64, .payload = 1200};
    struct plait_coalesce *c = made(true);

    (void)state;
    add_run(&k, 70, false);
    trip_run(&trip, c);
    assert_int_equal(trip.writes, 2); /* 54 and 16 of 65,535 bytes */
    k.payload = 100;
    add_run(&k, 65, true);
    trip_run(&trip, c);
    assert_int_equal(trip.writes, 2); /* 64 and 1 */
    add_run(&k, 3, false);
    memset(trip.packets[1].bytes + 26, 0, 2); /* without a checksum */
    trip_run(&trip, c);
    assert_int_equal(trip.writes, 3);
    plait_coalesce_free(c);
    c = made(false);
    add_run(&k, 5, false);
    trip_run(&trip, c);
    assert_int_equal(trip.writes, 5);
    plait_coalesce_free(c);
}

static void refused(void **state)
{
    struct plait_coalesce *c = made(true);
    struct kit_packet k = bulk(false, 1);
    size_t len = kit_build(&k, packet, false), count;

    (void)state;
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(plait_coalesce_add(c, packet, cut, false), PLAIT_ERR_FORMAT);
    packet[9] = 1; /* ICMP has no partial checksum */
    assert_int_equal(plait_coalesce_add(c, packet, len, true), PLAIT_ERR_FORMAT);
    assert_int_equal(plait_coalesce_add(c, packet, len, false), PLAIT_OK);
    assert_non_null(plait_coalesce_next(c, &count));
    assert_int_equal(plait_coalesce_add(c, packet, len, false), PLAIT_ERR_LIMIT);
    assert_null(plait_coalesce_next(c, &count));
    assert_null(plait_coalesce_next(c, &count));
    plait_coalesce_free(c);
}

/* Until the arena is full, or the packets are as many as there may be. */
static void room(void **state)
{
    struct plait_coalesce *c = made(true);
    struct kit_packet k = {.ttl = 64, .payload = 65000}, tiny = {.ttl = 64, .payload = 1};
    size_t n = 0, count, len = kit_build(&k, packet, false);

    (void)state;
    while (plait_coalesce_add(c, packet, len, false) == PLAIT_OK)
        n++;
    assert_true(n >= 7);
    while (plait_coalesce_next(c, &count) != NULL)
        n--;
    assert_int_equal(n, 0);
    for (;; n++) {
        tiny.flow = (uint8_t)n;
        tiny.v6 = n % 512 > 255;
        len = kit_build(&tiny, packet, false);
        if (plait_coalesce_add(c, packet, len, false) != PLAIT_OK)
            break;
    }
    assert_int_equal(n, PLAIT_COALESCE_PACKETS_MAX);
    while (plait_coalesce_next(c, &count) != NULL)
        n--;
    assert_int_equal(n, 0);
    plait_coalesce_free(c);
}

/* Flows at random, with losses, changes, and damage here and there. */
static void seeds(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct plait_prng g = {seed};
        struct plait_coalesce *c = made(seed % 2);
        struct kit_packet k[6];
        for (uint8_t f = 0; f < 6; f++) {
            k[f] = bulk(plait_prng_below(&g, 2), f);
            k[f].tcp = plait_prng_below(&g, 3) > 0;
            k[f].may_fragment = plait_prng_below(&g, 2);
            k[f].payload = 1 + plait_prng_below(&g, 1400);
        }
        for (size_t n = plait_prng_below(&g, TRIP_MAX); n > 0; n--) {
            struct kit_packet *flow = &k[plait_prng_below(&g, 6)], once = *flow;
            uint64_t what = plait_prng_below(&g, 40);
            once.flags |= what == 0 ? (uint8_t)plait_prng_next(&g) : 0;
            once.payload = what == 1 ? plait_prng_below(&g, 1400) : once.payload;
            once.tos = what == 2 ? 3 : 0;
            flow->id = (uint16_t)(flow->id + (what == 3 ? 2 : 1));
            add(&once, what == 4);
            flow->seq += (uint32_t)once.payload;
            if (what == 5)
                trip.packets[trip.count - 1].bytes[kit_head(&once) - 1] ^= 4;
        }
        trip_run(&trip, c);
        plait_coalesce_free(c);
    }
}

static void without_memory(void **state)
{
    struct plait_coalesce *c = NULL;
    long n = 0;

    (void)state;
    for (bool happened = true; happened; n++) {
        failing_alloc_after(n);
        c = plait_coalesce_new(true, 1);
        happened = failing_alloc_happened();
        failing_alloc_after(-1);
        assert_true((c == NULL) == happened);
    }
    assert_true(n > 2);
    plait_coalesce_free(c);
    plait_coalesce_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_flow),        cmocka_unit_test(many_flows),
        cmocka_unit_test(rules),           cmocka_unit_test(identification),
        cmocka_unit_test(wrong_checksums), cmocka_unit_test(udp),
        cmocka_unit_test(refused),         cmocka_unit_test(room),
        cmocka_unit_test(seeds),           cmocka_unit_test(without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
