#include "checksum.h"

#include <string.h>

/* The sum of 16-bit words is, modulo 65535, that of 32-bit ones; folding makes it one of 16 bits. */
#define LANES 16
#define STEP  (sizeof(uint32_t) * LANES)

static uint64_t add_tail(uint64_t sum, const uint8_t *bytes, size_t len)
{
    for (; len >= 4; bytes += 4, len -= 4) {
        uint32_t word;
        memcpy(&word, bytes, sizeof word);
        sum += word;
    }
    if (len > 0) {
        uint32_t word = 0;
        memcpy(&word, bytes, len);
        sum += word;
    }
    return sum;
}

uint64_t plait_checksum_add(uint64_t sum, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    uint64_t lanes[LANES / 2] = {0};

    /* Independent lanes, for the compiler to make vectors of. */
    for (; len >= STEP; at += STEP, len -= STEP) {
        uint32_t words[LANES];
        memcpy(words, at, sizeof words);
        for (size_t i = 0; i < LANES / 2; i++)
            lanes[i] += (uint64_t)words[i] + words[i + LANES / 2];
    }
    for (size_t i = 0; i < LANES / 2; i++)
        sum += lanes[i];
    return add_tail(sum, at, len);
}

uint64_t plait_checksum_copy(uint64_t sum, void *to, const void *from, size_t len)
{
    const uint8_t *at = from;
    uint8_t *out = to;
    uint64_t lanes[LANES / 2] = {0};

    for (; len >= STEP; at += STEP, out += STEP, len -= STEP) {
        uint32_t words[LANES];
        memcpy(words, at, sizeof words);
        memcpy(out, words, sizeof words);
        for (size_t i = 0; i < LANES / 2; i++)
            lanes[i] += (uint64_t)words[i] + words[i + LANES / 2];
    }
    for (size_t i = 0; i < LANES / 2; i++)
        sum += lanes[i];
    memcpy(out, at, len);
    return add_tail(sum, at, len);
}

uint16_t plait_checksum_fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

uint64_t plait_checksum_pseudo(const uint8_t *ip, uint8_t protocol, uint32_t len)
{
    const uint8_t tail[8] = {
        (uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, 0, 0, 0, protocol};
    uint64_t sum = ip[0] >> 4 == 4 ? add_tail(0, ip + 12, 8) : add_tail(0, ip + 8, 32);

    return add_tail(sum, tail, sizeof tail);
}
