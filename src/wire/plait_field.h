/*
 * The header fields of parallel HTTP (doc/protocol.md): which group a request belongs to, which connection of
 * it this is, and who sends which blocks.
 *
 * Every parser takes the value without its field name; spaces and tabs around it do not matter. Nothing is
 * accepted in part: bytes left over make the whole value PLAIT_ERR_FORMAT. Numbers are decimal, without a
 * sign and without leading zeros. PLAIT_ERR_RANGE is for well-formed numbers that no stream has, and for
 * ranges that run backwards. Outputs are written only on success. Formatters write a terminated value, or
 * return PLAIT_ERR_LIMIT where `out` is too small and PLAIT_ERR_ARG for what its parser would refuse.
 */
#ifndef PLAIT_WIRE_PLAIT_FIELD_H
#define PLAIT_WIRE_PLAIT_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "http_field.h"

#define PLAIT_GROUP_ID_BYTES      16u
#define PLAIT_GROUP_ID_DIGITS     32u
#define PLAIT_LETTERS             52u /* A–Z are 0–25, a–z are 26–51 */
#define PLAIT_PATTERN_LETTERS_MAX 1024u

#define PLAIT_BLOCK_BYTES_MIN  UINT32_C(4096)
#define PLAIT_BLOCK_BYTES_MAX  UINT32_C(4194304)
/* The number of the last block that a stream of PLAIT_STREAM_SIZE_MAX bytes can have. */
#define PLAIT_BLOCK_NUMBER_MAX (PLAIT_STREAM_SIZE_MAX / PLAIT_BLOCK_BYTES_MIN)
/* Number of items that Plait-Blocks may have. */
#define PLAIT_BLOCKS_MAX       64u

/* Longest values, with their terminators. */
#define PLAIT_FIELD_NUMBER_SIZE 20u
#define PLAIT_FIELD_SPAN_SIZE   40u
#define PLAIT_FIELD_BLOCKS_SIZE (PLAIT_BLOCKS_MAX * (PLAIT_FIELD_SPAN_SIZE + 1))

/* As `last`: to the end of the stream, wherever that is. */
#define PLAIT_SPAN_OPEN UINT64_MAX

/* Blocks by number, both ends included. */
struct plait_span {
    uint64_t first; /* at most PLAIT_BLOCK_NUMBER_MAX */
    uint64_t last;  /* at least first; PLAIT_SPAN_OPEN only in Plait-Span */
};

/* Whether it can be a block size: a power of two within the bounds above. */
bool plait_block_bytes_valid(uint64_t block_bytes);
/* How many blocks a stream of that size has. */
uint64_t plait_block_count(uint64_t size, uint32_t block_bytes);

/* `A` for 0 and so on; '?' for what is no index. */
char plait_letter(uint8_t index);

/* Plait: whether the server that said this speaks the version that is implemented here. */
bool plait_field_version_is_known(const char *s, size_t len);

/* Plait-Stream: 32 digits, the letters among them lower-case. */
PLAIT_MUST_USE int plait_field_stream_parse(const char *s, size_t len, uint8_t id[PLAIT_GROUP_ID_BYTES]);
PLAIT_MUST_USE int plait_field_stream_format(const uint8_t id[PLAIT_GROUP_ID_BYTES], char *out,
                                             size_t out_size);

/* Plait-Path: one letter, as its index. */
PLAIT_MUST_USE int plait_field_path_parse(const char *s, size_t len, uint8_t *letter);

/* Plait-Block, in bytes. */
PLAIT_MUST_USE int plait_field_block_parse(const char *s, size_t len, uint32_t *block_bytes);

/* Plait-Span: `FIRST-LAST` or `FIRST-`. */
PLAIT_MUST_USE int plait_field_span_parse(const char *s, size_t len, struct plait_span *out);
PLAIT_MUST_USE int plait_field_span_format(const struct plait_span *span, char *out, size_t out_size);

/*
 * Plait-Pattern: 1 to PLAIT_PATTERN_LETTERS_MAX letters, as indices; PLAIT_ERR_LIMIT where there are more
 * than `max`. `letters` and `count` fit the members of a struct plait_pattern (core/pattern.h).
 */
PLAIT_MUST_USE int plait_field_pattern_parse(const char *s, size_t len, uint8_t *letters, size_t max,
                                             uint16_t *count);
PLAIT_MUST_USE int plait_field_pattern_format(const uint8_t *letters, size_t count, char *out,
                                              size_t out_size);

/* Plait-Blocks: 1 to PLAIT_BLOCKS_MAX items in the order given, PLAIT_ERR_LIMIT where there are more. They may
 * overlap. */
PLAIT_MUST_USE int plait_field_blocks_parse(const char *s, size_t len,
                                            struct plait_span items[PLAIT_BLOCKS_MAX], size_t *count);
PLAIT_MUST_USE int plait_field_blocks_format(const struct plait_span *items, size_t count, char *out,
                                             size_t out_size);

/* Plait-Size, in bytes. */
PLAIT_MUST_USE int plait_field_size_parse(const char *s, size_t len, uint64_t *size);
/* Plait-At: a block, or one past the last that there can be. */
PLAIT_MUST_USE int plait_field_at_parse(const char *s, size_t len, uint64_t *block);
/* Plait-Block, Plait-Size, Plait-At. */
PLAIT_MUST_USE int plait_field_number_format(uint64_t number, char *out, size_t out_size);

#endif
