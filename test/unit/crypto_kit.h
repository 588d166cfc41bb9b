/* For tests of what encrypts: hexadecimal, repeatable randomness, an object per test. */
#ifndef PLAIT_TEST_CRYPTO_KIT_H
#define PLAIT_TEST_CRYPTO_KIT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "crypto.h"
#include "key.h"
#include "prng.h"

/* Returns the number of bytes. */
static inline size_t kit_unhex(const char *hex, uint8_t *out)
{
    static const char digits[] = "0123456789abcdef";
    size_t len = strlen(hex) / 2;

    for (size_t i = 0; i < len; i++)
        out[i] =
            (uint8_t)((strchr(digits, hex[2 * i]) - digits) << 4 | (strchr(digits, hex[2 * i + 1]) - digits));
    return len;
}

static inline void kit_fill(void *owner, void *bytes, size_t len)
{
    uint8_t *out = bytes;

    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(plait_prng_next(owner) >> 32);
}

static inline struct plait_random kit_random(struct plait_prng *g)
{
    return (struct plait_random){kit_fill, g};
}

static inline int kit_identity(struct plait_prng *g, struct plait_identity *id)
{
    struct plait_key secret;

    kit_fill(g, secret.bytes, sizeof secret.bytes);
    plait_key_clamp(&secret);
    return plait_identity_init(id, &secret);
}

#endif
