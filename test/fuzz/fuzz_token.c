/* A token that is taken is written the same way again, but for fields that are not known. */
#include "token.h"

#include <string.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct plait_token first, second;
    char text[PLAIT_TOKEN_TEXT_MAX];

    if (plait_token_decode((const char *)data, size, &first) != PLAIT_OK)
        return 0;
    FUZZ_CHECK(plait_token_encode(&first, text) == PLAIT_OK);
    FUZZ_CHECK(strlen(text) < sizeof text);
    FUZZ_CHECK(plait_token_decode(text, strlen(text), &second) == PLAIT_OK);
    FUZZ_CHECK(strcmp(first.hub, second.hub) == 0 && strcmp(first.name, second.name) == 0);
    FUZZ_CHECK(memcmp(first.key, second.key, sizeof first.key) == 0);
    FUZZ_CHECK(memcmp(first.hub_key, second.hub_key, sizeof first.hub_key) == 0);
    return 0;
}
