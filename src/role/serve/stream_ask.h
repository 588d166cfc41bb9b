/*
 * What a request says about parallel HTTP (doc/protocol.md): its Plait- fields, taken one after the other, and
 * whether together they make a request that can be answered. Pure.
 */
#ifndef PLAIT_SERVE_STREAM_ASK_H
#define PLAIT_SERVE_STREAM_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pattern.h"
#include "plait_field.h"

struct plait_stream_ask {
    bool has_stream, has_path, has_block, has_span, has_pattern;
    bool bad; /* a field that does not fit its grammar, or that came twice */
    uint8_t id[PLAIT_GROUP_ID_BYTES];
    uint8_t letter;
    uint32_t block_bytes;
    struct plait_span span;
    struct plait_pattern pattern;
    struct plait_span blocks[PLAIT_BLOCKS_MAX];
    size_t block_count; /* items of Plait-Blocks; 0 = the field is not there */
};

void plait_stream_ask_init(struct plait_stream_ask *a);
/* A field of the request; those of other names are passed over. Both terminated; `value` may be NULL. */
void plait_stream_ask_take(struct plait_stream_ask *a, const char *name, const char *value);

/* Whether it is about a stream of blocks at all; otherwise it is any request. */
bool plait_stream_ask_is(const struct plait_stream_ask *a);

enum plait_stream_ask_kind {
    PLAIT_STREAM_ASK_BAD,   /* 400 */
    PLAIT_STREAM_ASK_OPEN,  /* GET: a body of frames; of named blocks where there are any */
    PLAIT_STREAM_ASK_STEER, /* POST: a span, perhaps with a pattern */
    PLAIT_STREAM_ASK_NAME,  /* POST: named blocks next, by the connections with the letter */
};

enum plait_stream_ask_kind plait_stream_ask_judge(const struct plait_stream_ask *a, bool is_post);

#endif
