/* An answer to a question for an address: one of the family that was asked for, or none. */
#include "lookup.h"

#include <string.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int families[] = {AF_INET, AF_INET6};
    struct sockaddr_storage out;

    for (size_t i = 0; i < 2; i++) {
        const uint16_t id = (uint16_t)(size >= 2 ? data[0] << 8 | data[1] : 0);
        memset(&out, 0, sizeof out);
        int err = plait_lookup_read(data, size, id, families[i], &out);
        FUZZ_CHECK(err == PLAIT_OK || err == PLAIT_ERR_NOTFOUND || err == PLAIT_ERR_FORMAT ||
                   err == PLAIT_ERR_IO);
        FUZZ_CHECK(out.ss_family == (err == PLAIT_OK ? families[i] : AF_UNSPEC));
        FUZZ_CHECK(plait_lookup_read(data, size, (uint16_t)(id + 1), families[i], &out) == PLAIT_ERR_FORMAT);
    }
    return 0;
}
