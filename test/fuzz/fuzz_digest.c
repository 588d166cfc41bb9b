/* The first byte selects a parser; the rest is the text. */
#include "digest.h"

#include <string.h>

#include "fuzz.h"

/* What was parsed, written out and parsed again, is the same. */
static void check(const struct plait_digest *d)
{
    char hex[2 * PLAIT_DIGEST_LEN_MAX + 1];
    struct plait_digest again;

    FUZZ_CHECK(d->alg != PLAIT_DIGEST_NONE && d->len == plait_digest_alg_len(d->alg));
    FUZZ_CHECK(plait_hex_encode(d->bytes, d->len, hex, sizeof hex) == PLAIT_OK);
    FUZZ_CHECK(plait_digest_parse_hex(d->alg, hex, strlen(hex), &again) == PLAIT_OK);
    FUZZ_CHECK(plait_digest_equal(d, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct plait_digest d;
    int err;

    if (size == 0)
        return 0;
    const char *s = (const char *)data + 1;
    switch (data[0] % 3) {
    case 0:
        err = plait_digest_parse_option(s, size - 1, &d);
        break;
    case 1:
        err = plait_digest_parse_http(s, size - 1, &d);
        break;
    default:
        err = plait_digest_parse_hex((enum plait_digest_alg)(data[0] / 3), s, size - 1, &d);
        break;
    }
    if (err == PLAIT_OK)
        check(&d);
    return 0;
}
