#include "sim_content.h"

#include <string.h>

#include "units.h"

#define WORD 8

/* The word at offset 8 * index, as eight bytes in little-endian order on every machine. */
static void word_at(uint64_t content, uint64_t index, uint8_t out[WORD])
{
    uint64_t z = index * UINT64_C(0x9e3779b97f4a7c15) ^ content * UINT64_C(0xd6e8feb86659fd93);

    z = (z ^ (z >> 32)) * UINT64_C(0xd6e8feb86659fd93);
    z ^= z >> 32;
    for (int i = 0; i < WORD; i++)
        out[i] = (uint8_t)(z >> (8 * i));
}

void plait_sim_content_fill(uint64_t content, uint64_t offset, uint8_t *bytes, size_t len)
{
    uint8_t word[WORD];

    while (len > 0) {
        size_t in = (size_t)(offset % WORD);
        size_t n = len < WORD - in ? len : WORD - in;
        if (n == WORD) {
            word_at(content, offset / WORD, bytes);
        } else {
            word_at(content, offset / WORD, word);
            memcpy(bytes, word + in, n);
        }
        bytes += n;
        offset += n;
        len -= n;
    }
}

size_t plait_sim_content_match(uint64_t content, uint64_t offset, const uint8_t *bytes, size_t len)
{
    uint8_t want[512];

    for (size_t at = 0; at < len;) {
        size_t n = len - at < sizeof(want) ? len - at : sizeof(want);
        plait_sim_content_fill(content, offset + at, want, n);
        if (memcmp(want, bytes + at, n) != 0) {
            for (size_t i = 0; i < n; i++)
                if (want[i] != bytes[at + i])
                    return at + i;
        }
        at += n;
    }
    return len;
}
