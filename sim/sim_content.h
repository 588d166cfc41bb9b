/*
 * The bytes of simulated streams: a function of a content's number and the offset, so that any part can be
 * made and checked without being kept. Two contents differ in about 255 of 256 bytes.
 */
#ifndef PLAIT_SIM_CONTENT_H
#define PLAIT_SIM_CONTENT_H

#include <stddef.h>
#include <stdint.h>

/* A part of a content. */
struct plait_sim_span {
    uint64_t content;
    uint64_t offset;
    uint64_t len;
};

void plait_sim_content_fill(uint64_t content, uint64_t offset, uint8_t *bytes, size_t len);
/* How many of the bytes are those of the content, until the first that is not. */
size_t plait_sim_content_match(uint64_t content, uint64_t offset, const uint8_t *bytes, size_t len);

#endif
