/*
 * A frame as a TUN device might give it, whose payload is as good as any. What is made of it has the right lengths and
 * checksums, and together the same payload; what was left partial can be completed to the same.
 */
#include "segment.h"

#include <string.h>

#include "fuzz.h"
#include "offload_kit.h"

static void take_apart(const uint8_t *data, size_t size)
{
    static uint8_t whole[PLAIT_IP_MAX], part[PLAIT_IP_MAX];
    struct plait_segment a, b;
    size_t payload = 0;
    int count = plait_segment_init(&a, data, size, false), len;

    FUZZ_CHECK(plait_segment_init(&b, data, size, true) == count);
    if (count < 0)
        return;
    for (int i = 0; i < count; i++) {
        len = plait_segment_next(&a, whole, sizeof whole);
        FUZZ_CHECK(len > 0 && (size_t)len <= plait_segment_len_max(&a));
        FUZZ_CHECK(plait_segment_next(&b, part, (size_t)len) == len);
        if (plait_segment_is_partial(&b))
            FUZZ_CHECK(plait_segment_complete(part, (size_t)len) == PLAIT_OK);
        if (a.size > 0) {
            FUZZ_CHECK(a.packet.options || kit_is_right(whole, (size_t)len));
            FUZZ_CHECK(memcmp(whole + a.packet.payload, data + PLAIT_VNET_BYTES + a.packet.payload + payload,
                              (size_t)len - a.packet.payload) == 0);
        }
        /* Where the pseudo header's sum was wrong, completing is not the same as adding to it. */
        FUZZ_CHECK(a.size == 0 || memcmp(whole, part, (size_t)len) == 0);
        payload += (size_t)len - a.packet.payload;
    }
    FUZZ_CHECK(plait_segment_next(&a, whole, sizeof whole) == 0 &&
               payload + a.packet.payload == a.packet.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    take_apart(data, size);
    return 0;
}
