/* What a hello says, said again, is understood as the same; and it fits its bound. */
#include "hello.h"

#include <string.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct plait_hello first, second;
    uint8_t out[PLAIT_HELLO_BYTES_MAX], again[PLAIT_HELLO_BYTES_MAX];

    if (plait_hello_decode(data, size, &first) != PLAIT_OK)
        return 0;
    FUZZ_CHECK(strnlen(first.name, sizeof first.name) <= PLAIT_HELLO_NAME_MAX);
    FUZZ_CHECK(first.path_count <= PLAIT_HELLO_PATHS_MAX);
    int len = plait_hello_encode(&first, out, sizeof out);
    FUZZ_CHECK(len >= 0 && (size_t)len <= sizeof out);
    FUZZ_CHECK(plait_hello_decode(out, (size_t)len, &second) == PLAIT_OK);
    FUZZ_CHECK(plait_hello_encode(&second, again, sizeof again) == len &&
               memcmp(out, again, (size_t)len) == 0);
    return 0;
}
