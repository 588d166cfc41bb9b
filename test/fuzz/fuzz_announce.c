/* What is announced, announced again, is the same; nothing is believed that could not be written. */
#include "announce.h"

#include <string.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct plait_announce a, again;
    uint8_t out[PLAIT_ANNOUNCE_BYTES_MAX];

    if (plait_announce_decode(data, size, &a) != PLAIT_OK)
        return 0;
    FUZZ_CHECK(a.uplink_count <= PLAIT_ANNOUNCE_UPLINKS_MAX && a.name[0] != '\0');
    int len = plait_announce_encode(&a, out);
    FUZZ_CHECK(len > 0 && (size_t)len + PLAIT_ANNOUNCE_MAC_BYTES <= sizeof out);
    FUZZ_CHECK((size_t)len + PLAIT_ANNOUNCE_MAC_BYTES <= size);
    memset(out + len, 0, PLAIT_ANNOUNCE_MAC_BYTES);
    FUZZ_CHECK(plait_announce_decode(out, (size_t)len + PLAIT_ANNOUNCE_MAC_BYTES, &again) == PLAIT_OK);
    FUZZ_CHECK(memcmp(&a.uplinks, &again.uplinks, sizeof a.uplinks) == 0 && strcmp(a.name, again.name) == 0);
    FUZZ_CHECK(a.stamp == again.stamp && a.echo == again.echo && a.hub_port == again.hub_port);
    return 0;
}
