/*
 * Packets to be put together, each four bytes that say how it is made, or how many bytes that follow it is. All come
 * back when the writes are taken apart.
 */
#include "fuzz.h"

#define TRIP_CHECK(condition) FUZZ_CHECK(condition)
#include "offload_trip.h"

#define FLOWS 4

/* what: bit 7 raw; else bits 0-1 flow, 2-4 an oddity, 5 partial, 6 a hole before it */
static void build(struct trip *t, struct kit_packet *flows, const uint8_t *code)
{
    static const uint8_t flags[] = {0x10, 0x18, 0x11, 0x50, 0x90, 0x12, 0x30, 0x00};
    static uint8_t packet[65536];
    struct kit_packet *flow = &flows[code[0] & 3], once;
    size_t len;

    flow->seq += (code[0] & 0x40) != 0 ? code[3] + 1u : 0;
    once = *flow;
    once.flags = flags[code[1] & 7];
    once.payload = (size_t)code[2] << (code[1] >> 4 & 3);
    switch (code[0] >> 2 & 7) {
    case 1:
        once.tos = code[3];
        break;
    case 2:
        once.ttl = code[3];
        break;
    case 3:
        once.options = code[3] & 0x1c;
        break;
    case 4:
        once.may_fragment = true;
        break;
    case 5:
        once.ack = code[3];
        break;
    default:
        break;
    }
    len = kit_build(&once, packet, (code[0] & 0x20) != 0);
    if ((code[0] >> 2 & 7) == 6)
        packet[code[3] % len] ^= (uint8_t)(code[1] | 1);
    trip_add(t, packet, len, (code[0] & 0x20) != 0);
    flow->seq += (uint32_t)once.payload;
    flow->id++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct trip t;
    struct kit_packet flows[FLOWS];
    struct plait_coalesce *c = plait_coalesce_new(size > 0 && data[0] % 2 == 0, size);

    FUZZ_CHECK(c != NULL);
    for (uint8_t i = 0; i < FLOWS; i++)
        flows[i] = (struct kit_packet){.v6 = i & 1, .tcp = i & 2, .flow = i, .ttl = 64, .fill = i};
    for (size_t at = 1; at + 4 <= size && t.count < TRIP_MAX; at += 4) {
        size_t raw = (size_t)(data[at] & 0x7f) << 8 | data[at + 1];
        if ((data[at] & 0x80) == 0) {
            build(&t, flows, data + at);
            continue;
        }
        raw = raw < size - at - 4 ? raw : size - at - 4;
        trip_add(&t, data + at + 4, raw, data[at + 2] % 2 != 0);
        at += raw;
    }
    trip_run(&t, c);
    plait_coalesce_free(c);
    return 0;
}
