/*
 * Frames: the body in which a server that takes part in parallel HTTP sends blocks (doc/protocol.md).
 *
 *      type u8 · 0 u8 · 0 u16 · length u32 · sequence u64 · payload of `length` bytes
 *
 * with numbers in big-endian order. The decoder takes the body in whatever slices it comes, allocates nothing
 * and copies no block: what it gives of a block are views of the slice.
 */
#ifndef PLAIT_WIRE_FRAME_H
#define PLAIT_WIRE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cursor.h"
#include "err.h"
#include "plait_field.h"

#define PLAIT_FRAME_HEADER_BYTES 16u
#define PLAIT_FRAME_TEXT_MAX     1024u
/* In place of a size or of a number of blocks that is not known (yet). */
#define PLAIT_FRAME_UNKNOWN      UINT64_MAX

#define PLAIT_FRAME_MEDIA_TYPE "application/vnd.plait.frames"

enum plait_frame_type {
    PLAIT_FRAME_BLOCK = 1,
    PLAIT_FRAME_END = 2,
    PLAIT_FRAME_ERROR = 3,
    PLAIT_FRAME_MARK = 4,
};

/* What an ERROR says; a receiver treats a code that it does not know as INTERNAL. */
enum plait_frame_code {
    PLAIT_FRAME_CODE_INTERNAL = 1,
    PLAIT_FRAME_CODE_CHANGED = 2,
    PLAIT_FRAME_CODE_READ_FAILED = 3,
    PLAIT_FRAME_CODE_LEAVING = 4,
};

struct plait_frame {
    enum plait_frame_type type;
    uint32_t length;   /* of the payload */
    uint64_t sequence; /* the block; END: number of blocks or UNKNOWN; ERROR: code; MARK: see the page */
};

/* PLAIT_ERR_ARG for a type or length that every decoder would refuse. */
PLAIT_MUST_USE int plait_frame_encode(const struct plait_frame *frame, uint8_t out[PLAIT_FRAME_HEADER_BYTES]);

/* Why a receiver has to drop the connection. */
enum plait_frame_offence {
    PLAIT_FRAME_OK,
    PLAIT_FRAME_OFFENCE_TYPE,       /* unknown */
    PLAIT_FRAME_OFFENCE_RESERVED,   /* a byte that has to be 0 is not */
    PLAIT_FRAME_OFFENCE_LENGTH,     /* does not fit the type: END or MARK with payload, ERROR with too much */
    PLAIT_FRAME_OFFENCE_BLOCK_SIZE, /* neither a whole block nor the shorter one at the end */
    PLAIT_FRAME_OFFENCE_BEYOND,     /* a block behind the end of the stream */
    PLAIT_FRAME_OFFENCE_COUNT,      /* END: another number of blocks than the stream has */
    PLAIT_FRAME_OFFENCE_AFTER_END,  /* bytes after END or ERROR */
};

/* A few English words for logs; never NULL. */
const char *plait_frame_offence_name(enum plait_frame_offence offence);

enum plait_frame_event_kind {
    PLAIT_FRAME_EV_NEED,        /* the slice is used up */
    PLAIT_FRAME_EV_BLOCK_BEGIN, /* block `sequence` of `len` bytes follows */
    PLAIT_FRAME_EV_BLOCK_BYTES, /* `len` (> 0) `bytes` at `offset` within block `sequence` */
    PLAIT_FRAME_EV_BLOCK_END,   /* block `sequence` is complete */
    PLAIT_FRAME_EV_END,         /* `sequence` is the number of blocks, or PLAIT_FRAME_UNKNOWN */
    PLAIT_FRAME_EV_ERROR,       /* `sequence` is the code, `text` for people */
    PLAIT_FRAME_EV_MARK,        /* what this connection has below `sequence` has been sent */
};

struct plait_frame_event {
    enum plait_frame_event_kind kind;
    uint64_t sequence;
    uint32_t len, offset;
    const uint8_t *bytes; /* borrows from the slice */
    const char *text;     /* terminated UTF-8 without control characters; borrows from the decoder */
};

/* Memory is the caller's; members are the decoder's own. */
struct plait_frame_decoder {
    uint64_t size; /* of the stream, or PLAIT_FRAME_UNKNOWN */
    uint64_t seen; /* one past the highest block that came */
    uint32_t block_bytes;
    enum plait_frame_offence offence;
    struct plait_frame frame; /* the present one */
    uint32_t left;            /* of its payload */
    bool in_frame, ended;
    uint8_t header_have;
    uint8_t header[PLAIT_FRAME_HEADER_BYTES];
    char text[PLAIT_FRAME_TEXT_MAX + 1];
};

/* `size` may be PLAIT_FRAME_UNKNOWN. PLAIT_ERR_ARG for a block size or size that the protocol does not have.
 */
PLAIT_MUST_USE int plait_frame_decoder_init(struct plait_frame_decoder *d, uint32_t block_bytes,
                                            uint64_t size);
/*
 * The size became known elsewhere. PLAIT_ERR_STATE where another one is known already, or a block came that
 * this size does not have; then nothing changes. Without it a decoder learns the size from a short block.
 */
PLAIT_MUST_USE int plait_frame_decoder_set_size(struct plait_frame_decoder *d, uint64_t size);
/*
 * Takes from the slice what makes the next event; call again until it is PLAIT_FRAME_EV_NEED. PLAIT_ERR_FORMAT
 * for an offence (d->offence), now and from then on.
 */
PLAIT_MUST_USE int plait_frame_decode(struct plait_frame_decoder *d, struct plait_reader *slice,
                                      struct plait_frame_event *event);
/* The body is over: PLAIT_ERR_TRUNC unless it ended with END or ERROR, PLAIT_ERR_FORMAT after an offence. */
PLAIT_MUST_USE int plait_frame_decoder_finish(const struct plait_frame_decoder *d);

#endif
