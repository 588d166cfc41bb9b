/* What is told, told again, is the same. */
#include "tell.h"

#include <string.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct plait_tell t;
    uint8_t out[PLAIT_TELL_BYTES_MAX];

    if (plait_tell_decode(data, size, &t) != PLAIT_OK)
        return 0;
    FUZZ_CHECK(t.path_count <= PLAIT_TELL_PATHS_MAX);
    for (size_t i = 0; i < t.path_count; i++)
        FUZZ_CHECK(t.paths[i].loss >= 0 && t.paths[i].loss <= 1);
    int len = plait_tell_encode(&t, out);
    FUZZ_CHECK(len > 0 && (size_t)len <= sizeof out && (size_t)len <= size);
    FUZZ_CHECK(memcmp(out, data, (size_t)len) == 0);
    return 0;
}
