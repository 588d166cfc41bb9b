#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "checksum.h"
#include "offload_kit.h"
#include "prng.h"
#include "segment.h"
#include "units.h"

static uint8_t frame[PLAIT_VNET_BYTES + 65535], out[65535];

/* A frame of that packet with its checksum left partial; returns its length. */
static size_t super(const struct kit_packet *k, uint8_t type, uint16_t size)
{
    size_t len = kit_build(k, frame + PLAIT_VNET_BYTES, true), ip = k->v6 ? 40 : 20;
    const struct plait_vnet v = {
        .flags = PLAIT_VNET_NEEDS_CHECKSUM,
        .type = type,
        .header_len = (uint16_t)kit_head(k),
        .segment_size = size,
        .checksum_start = (uint16_t)ip,
        .checksum_offset = k->tcp ? 16 : 6,
    };

    plait_vnet_write(frame, &v);
    return PLAIT_VNET_BYTES + len;
}

static void sums(void **state)
{
    struct plait_prng g = {1};
    uint8_t from[600], to[600];

    (void)state;
    for (size_t len = 0; len < sizeof from; len++) {
        uint16_t folded;
        size_t at = len % 7;
        for (size_t i = 0; i < sizeof from; i++)
            from[i] = len % 3 == 0 ? 0xff : (uint8_t)plait_prng_next(&g);
        if (at + len > sizeof from)
            break;
        folded = plait_checksum_fold(plait_checksum_add(0, from + at, len));
        assert_int_equal(kit_u16((const uint8_t *)&folded), kit_sum(0, from + at, len));
        folded = plait_checksum_fold(plait_checksum_copy(0, to, from + at, len));
        assert_int_equal(kit_u16((const uint8_t *)&folded), kit_sum(0, from + at, len));
        assert_memory_equal(to, from + at, len);
    }
    uint16_t full = plait_checksum_fold(UINT64_MAX);
    assert_int_equal(full, 0xffff);
}

/* TCP and UDP of both versions, also where the last segment is as long as the others. */
static void supers(void **state)
{
    static const struct {
        struct kit_packet k;
        uint8_t type;
        uint16_t size;
        int count;
    } rows[] = {
        {{.tcp = true,
          .seq = 0xfffffff0,
          .ack = 9,
          .flags = 0x18,
          .options = 12,
          .ttl = 64,
          .id = 0xfffe,
          .payload = 4321},
         PLAIT_VNET_TCP4,
         1400,
         4},
        {{.tcp = true, .seq = 1, .flags = 0x99, .ttl = 64, .payload = 4200},
         PLAIT_VNET_TCP4 | PLAIT_VNET_ECN,
         1400,
         3},
        {{.tcp = true, .v6 = true, .seq = 77, .flags = 0x19, .options = 40, .ttl = 3, .payload = 65000},
         PLAIT_VNET_TCP6,
         1220,
         54},
        {{.ttl = 64, .payload = 5001}, PLAIT_VNET_UDP, 1000, 6},
        {{.v6 = true, .ttl = 64, .payload = 900}, PLAIT_VNET_UDP, 1000, 1},
        {{.tcp = true, .flags = 0x10, .ttl = 64, .payload = 65495}, PLAIT_VNET_TCP4, 1, 65495},
    };
    struct plait_segment s;

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        const struct kit_packet *k = &rows[i].k;
        size_t len = super(k, rows[i].type, rows[i].size), at = 0, head = kit_head(k), ip = k->v6 ? 40 : 20;
        int count = plait_segment_init(&s, frame, len, false), got;
        assert_int_equal(count, rows[i].count);
        for (int n = 0; n < count; n++) {
            got = plait_segment_next(&s, out, sizeof out);
            assert_true(got > (int)head);
            assert_true((size_t)got <= plait_segment_len_max(&s));
            assert_true(kit_is_right(out, (size_t)got));
            assert_memory_equal(out + head, frame + PLAIT_VNET_BYTES + head + at, (size_t)got - head);
            if (!k->v6)
                assert_int_equal(kit_u16(out + 4), (uint16_t)(k->id + n));
            if (k->tcp) {
                uint8_t flags = k->flags;
                flags &= (uint8_t)(n == 0 ? 0xff : ~0x80);
                flags &= (uint8_t)(n == count - 1 ? 0xff : ~0x09);
                assert_int_equal(out[ip + 13], flags);
                assert_int_equal((uint32_t)kit_u16(out + ip + 4) << 16 | kit_u16(out + ip + 6),
                                 (uint32_t)(k->seq + at));
            }
            at += (size_t)got - head;
        }
        assert_int_equal(at, k->payload);
        assert_int_equal(plait_segment_next(&s, out, sizeof out), 0);
    }
}

static void one_packet(void **state)
{
    const struct kit_packet k = {.tcp = true, .flags = 0x10, .ttl = 64, .payload = 333};
    struct plait_segment s;
    uint8_t want[1000];
    size_t len = super(&k, PLAIT_VNET_NONE, 0), plain = kit_build(&k, want, false);

    (void)state;
    /* Its checksum is completed. */
    assert_int_equal(plait_segment_init(&s, frame, len, false), 1);
    assert_int_equal(plait_segment_next(&s, out, sizeof out), (int)plain);
    assert_memory_equal(out, want, plain);
    assert_int_equal(plait_segment_next(&s, out, sizeof out), 0);
    /* Or it has been complete all the time, with padding behind it. */
    memset(frame, 0, PLAIT_VNET_BYTES);
    memcpy(frame + PLAIT_VNET_BYTES, want, plain);
    assert_int_equal(plait_segment_init(&s, frame, PLAIT_VNET_BYTES + plain + 6, true), 1);
    assert_false(plait_segment_is_partial(&s));
    assert_int_equal(plait_segment_next(&s, out, sizeof out), (int)plain);
    assert_memory_equal(out, want, plain);
}

/* A checksum of 0 would say that there is none. */
static void udp_zero(void **state)
{
    struct kit_packet k = {.ttl = 64, .payload = 2};
    struct plait_segment s;
    unsigned seen = 0;

    (void)state;
    for (unsigned n = 0; n < 65536; n++) {
        size_t len = super(&k, PLAIT_VNET_NONE, 0);
        kit_put(frame + len - 2, 2, n);
        assert_int_equal(plait_segment_init(&s, frame, len, false), 1);
        assert_int_equal(plait_segment_next(&s, out, sizeof out), 30);
        assert_true(kit_is_right(out, 30));
        assert_int_not_equal(kit_u16(out + 26), 0);
        seen += kit_u16(out + 26) == 0xffff;
    }
    assert_true(seen > 0);
}

static void left_partial(void **state)
{
    const struct kit_packet k = {.tcp = true, .v6 = true, .flags = 0x18, .ttl = 64, .payload = 3000};
    struct plait_segment s;
    size_t len = super(&k, PLAIT_VNET_TCP6, 1400);
    int count = plait_segment_init(&s, frame, len, true), got;

    (void)state;
    assert_int_equal(count, 3);
    assert_true(plait_segment_is_partial(&s));
    while (count-- > 0) {
        got = plait_segment_next(&s, out, sizeof out);
        assert_int_equal(kit_u16(out + 56), kit_pseudo(out, 6, (size_t)got - 40));
        assert_int_equal(plait_segment_complete(out, (size_t)got), PLAIT_OK);
        assert_true(kit_is_right(out, (size_t)got));
    }
}

static void no_room(void **state)
{
    const struct kit_packet k = {.tcp = true, .flags = 0x18, .ttl = 64, .payload = 3000};
    struct plait_segment s;
    size_t len = super(&k, PLAIT_VNET_TCP4, 1400);

    (void)state;
    assert_int_equal(plait_segment_init(&s, frame, len, false), 3);
    assert_int_equal(plait_segment_next(&s, out, 1439), PLAIT_ERR_LIMIT);
    assert_int_equal(plait_segment_next(&s, out, 1440), 1440);
    assert_int_equal(plait_segment_next(&s, out, 240), 240);
    assert_int_equal(plait_segment_next(&s, out, 1440), 0);
}

static void refused(void **state)
{
    const struct kit_packet tcp = {.tcp = true, .flags = 0x18, .ttl = 64, .payload = 3000},
                            udp = {.ttl = 1, .payload = 100};
    struct plait_segment s;
    size_t len = super(&tcp, PLAIT_VNET_TCP4, 1400);
    struct plait_vnet v;

    (void)state;
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(plait_segment_init(&s, frame, cut, false), PLAIT_ERR_FORMAT);
    len = super(&tcp, PLAIT_VNET_TCP4, 0);
    assert_int_equal(plait_segment_init(&s, frame, len, false), PLAIT_ERR_FORMAT);
    len = super(&tcp, PLAIT_VNET_TCP6, 1400);
    assert_int_equal(plait_segment_init(&s, frame, len, false), PLAIT_ERR_FORMAT);
    len = super(&udp, PLAIT_VNET_TCP4, 1400);
    assert_int_equal(plait_segment_init(&s, frame, len, false), PLAIT_ERR_FORMAT);
    len = super(&udp, 3, 1400); /* UFO */
    assert_int_equal(plait_segment_init(&s, frame, len, false), PLAIT_ERR_FORMAT);
    len = super(&tcp, PLAIT_VNET_TCP4, 1400);
    frame[PLAIT_VNET_BYTES + 6] |= 0x20; /* a fragment */
    assert_int_equal(plait_segment_init(&s, frame, len, false), PLAIT_ERR_FORMAT);
    len = super(&udp, PLAIT_VNET_NONE, 0);
    plait_vnet_read(frame, &v);
    v.checksum_start = 127;
    v.checksum_offset = 0;
    plait_vnet_write(frame, &v);
    assert_int_equal(plait_segment_init(&s, frame, len, false), PLAIT_ERR_FORMAT);
    v.checksum_start = 126;
    plait_vnet_write(frame, &v);
    assert_int_equal(plait_segment_init(&s, frame, len, false), 1);
    assert_int_equal(plait_segment_next(&s, out, sizeof out), 128);
}

/* Through IPv6's extension headers to the transport header. */
static void extension_headers(void **state)
{
    const struct kit_packet k = {.tcp = true, .v6 = true, .flags = 0x10, .ttl = 64, .payload = 100};
    uint8_t packet[300];
    struct plait_ip_parts p;
    size_t len = kit_build(&k, packet, false);

    (void)state;
    memmove(packet + 40 + 16, packet + 40, len - 40);
    memset(packet + 40, 0, 16);
    packet[40] = 6; /* a destination options header of 16 bytes */
    packet[41] = 1;
    packet[6] = 60;
    kit_put(packet + 4, 2, len + 16 - 40);
    assert_int_equal(plait_ip_parts_find(packet, len + 16, &p), PLAIT_OK);
    assert_true(p.options && !p.fragment && p.protocol == 6 && p.transport == 56 && p.payload == 76);
    packet[6] = 44; /* now it is a fragment */
    packet[43] = 8;
    assert_int_equal(plait_ip_parts_find(packet, len + 16, &p), PLAIT_OK);
    assert_true(p.fragment && p.payload == 0 && p.transport == 48);
    packet[6] = 60;
    packet[41] = 255; /* longer than the packet */
    assert_int_equal(plait_ip_parts_find(packet, len + 16, &p), PLAIT_OK);
    assert_true(p.payload == 0 && p.transport == 40 && p.protocol == 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums),         cmocka_unit_test(supers),
        cmocka_unit_test(one_packet),   cmocka_unit_test(udp_zero),
        cmocka_unit_test(left_partial), cmocka_unit_test(no_room),
        cmocka_unit_test(refused),      cmocka_unit_test(extension_headers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
