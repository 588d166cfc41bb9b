#include "frame.h"

#include <string.h>

#include "text.h"
#include "units.h"

static bool is_length_fit(const struct plait_frame *f)
{
    switch (f->type) {
    case PLAIT_FRAME_BLOCK:
        return f->length > 0 && f->length <= PLAIT_BLOCK_BYTES_MAX;
    case PLAIT_FRAME_ERROR:
        return f->length <= PLAIT_FRAME_TEXT_MAX;
    case PLAIT_FRAME_END:
    case PLAIT_FRAME_MARK:
        return f->length == 0;
    }
    return false;
}

int plait_frame_encode(const struct plait_frame *frame, uint8_t out[PLAIT_FRAME_HEADER_BYTES])
{
    struct plait_writer w;

    if (!is_length_fit(frame))
        return PLAIT_ERR_ARG;
    plait_writer_init(&w, out, PLAIT_FRAME_HEADER_BYTES);
    plait_write_u8(&w, (uint8_t)frame->type);
    plait_write_u8(&w, 0);
    plait_write_u16(&w, 0);
    plait_write_u32(&w, frame->length);
    plait_write_u64(&w, frame->sequence);
    return PLAIT_OK;
}

const char *plait_frame_offence_name(enum plait_frame_offence offence)
{
    static const char *const names[] = {
        [PLAIT_FRAME_OK] = "none",
        [PLAIT_FRAME_OFFENCE_TYPE] = "unknown frame type",
        [PLAIT_FRAME_OFFENCE_RESERVED] = "reserved byte is not zero",
        [PLAIT_FRAME_OFFENCE_LENGTH] = "length does not fit the frame type",
        [PLAIT_FRAME_OFFENCE_BLOCK_SIZE] = "block of the wrong size",
        [PLAIT_FRAME_OFFENCE_BEYOND] = "block beyond the end of the stream",
        [PLAIT_FRAME_OFFENCE_COUNT] = "wrong number of blocks",
        [PLAIT_FRAME_OFFENCE_AFTER_END] = "bytes after the end",
    };
    size_t i = (size_t)offence;

    return i < PLAIT_COUNT(names) ? names[i] : "unknown";
}

int plait_frame_decoder_init(struct plait_frame_decoder *d, uint32_t block_bytes, uint64_t size)
{
    if (!plait_block_bytes_valid(block_bytes) ||
        (size > PLAIT_STREAM_SIZE_MAX && size != PLAIT_FRAME_UNKNOWN))
        return PLAIT_ERR_ARG;
    memset(d, 0, sizeof *d);
    d->block_bytes = block_bytes;
    d->size = size;
    return PLAIT_OK;
}

int plait_frame_decoder_set_size(struct plait_frame_decoder *d, uint64_t size)
{
    if (size > PLAIT_STREAM_SIZE_MAX)
        return PLAIT_ERR_ARG;
    if (d->size != PLAIT_FRAME_UNKNOWN)
        return d->size == size ? PLAIT_OK : PLAIT_ERR_STATE;
    /* All that came while the size was unknown were whole blocks. */
    if (d->seen > size / d->block_bytes)
        return PLAIT_ERR_STATE;
    d->size = size;
    return PLAIT_OK;
}

/* A block while the size is unknown: a short one tells it. */
static enum plait_frame_offence check_unsized(struct plait_frame_decoder *d, uint64_t offset)
{
    uint32_t length = d->frame.length;

    if (length > PLAIT_STREAM_SIZE_MAX - offset)
        return PLAIT_FRAME_OFFENCE_BEYOND;
    if (length == 0 || length > d->block_bytes)
        return PLAIT_FRAME_OFFENCE_BLOCK_SIZE;
    if (length < d->block_bytes) {
        if (d->frame.sequence + 1 < d->seen)
            return PLAIT_FRAME_OFFENCE_BLOCK_SIZE;
        d->size = offset + length;
    }
    return PLAIT_FRAME_OK;
}

static enum plait_frame_offence check_block(struct plait_frame_decoder *d)
{
    uint64_t sequence = d->frame.sequence;

    if (sequence > PLAIT_STREAM_SIZE_MAX / d->block_bytes)
        return PLAIT_FRAME_OFFENCE_BEYOND;
    uint64_t offset = sequence * d->block_bytes;
    if (d->size != PLAIT_FRAME_UNKNOWN) {
        if (offset >= d->size)
            return PLAIT_FRAME_OFFENCE_BEYOND;
        if (d->frame.length != plait_min_u64(d->block_bytes, d->size - offset))
            return PLAIT_FRAME_OFFENCE_BLOCK_SIZE;
    } else {
        enum plait_frame_offence offence = check_unsized(d, offset);
        if (offence != PLAIT_FRAME_OK)
            return offence;
    }
    d->seen = plait_max_u64(d->seen, sequence + 1);
    return PLAIT_FRAME_OK;
}

static enum plait_frame_offence check_end(const struct plait_frame_decoder *d)
{
    uint64_t blocks = d->frame.sequence;

    if (blocks == PLAIT_FRAME_UNKNOWN)
        return PLAIT_FRAME_OK;
    if (d->size != PLAIT_FRAME_UNKNOWN)
        return blocks == plait_block_count(d->size, d->block_bytes) ? PLAIT_FRAME_OK
                                                                    : PLAIT_FRAME_OFFENCE_COUNT;
    if (blocks < d->seen || blocks > plait_block_count(PLAIT_STREAM_SIZE_MAX, d->block_bytes))
        return PLAIT_FRAME_OFFENCE_COUNT;
    return PLAIT_FRAME_OK;
}

/* Whether the frame whose header has come may stand here. */
static enum plait_frame_offence check_frame(struct plait_frame_decoder *d)
{
    switch (d->frame.type) {
    case PLAIT_FRAME_BLOCK:
        return check_block(d);
    case PLAIT_FRAME_END:
        return d->frame.length == 0 ? check_end(d) : PLAIT_FRAME_OFFENCE_LENGTH;
    case PLAIT_FRAME_ERROR:
    case PLAIT_FRAME_MARK:
        return is_length_fit(&d->frame) ? PLAIT_FRAME_OK : PLAIT_FRAME_OFFENCE_LENGTH;
    }
    return PLAIT_FRAME_OFFENCE_TYPE;
}

static enum plait_frame_offence read_header(struct plait_frame_decoder *d, const uint8_t *header)
{
    struct plait_reader r;

    plait_reader_init(&r, header, PLAIT_FRAME_HEADER_BYTES);
    uint8_t type = plait_read_u8(&r);
    uint8_t reserved_1 = plait_read_u8(&r);
    uint16_t reserved_2 = plait_read_u16(&r);
    if (type < PLAIT_FRAME_BLOCK || type > PLAIT_FRAME_MARK)
        return PLAIT_FRAME_OFFENCE_TYPE;
    if (reserved_1 != 0 || reserved_2 != 0)
        return PLAIT_FRAME_OFFENCE_RESERVED;
    d->frame.type = (enum plait_frame_type)type;
    d->frame.length = plait_read_u32(&r);
    d->frame.sequence = plait_read_u64(&r);
    return check_frame(d);
}

/* The next header: a view of the slice where it is whole in it, else collected. NULL while bytes are missing.
 */
static const uint8_t *take_header(struct plait_frame_decoder *d, struct plait_reader *slice)
{
    size_t left = plait_reader_left(slice);

    if (d->header_have == 0 && left >= PLAIT_FRAME_HEADER_BYTES)
        return plait_read_bytes(slice, PLAIT_FRAME_HEADER_BYTES);
    size_t take = (size_t)plait_min_u64(left, PLAIT_FRAME_HEADER_BYTES - d->header_have);
    if (take > 0)
        memcpy(d->header + d->header_have, plait_read_bytes(slice, take), take);
    d->header_have = (uint8_t)(d->header_have + take);
    if (d->header_have < PLAIT_FRAME_HEADER_BYTES)
        return NULL;
    d->header_have = 0;
    return d->header;
}

/* A server's words are shown on terminals: no escapes, nothing that turns the direction of writing. */
static bool is_harmless(uint32_t code_point)
{
    return code_point >= 0x20 && !(code_point >= 0x7f && code_point < 0xa0) &&
           !(code_point >= 0x200e && code_point <= 0x200f) &&
           !(code_point >= 0x2028 && code_point <= 0x202e) && !(code_point >= 0x2066 && code_point <= 0x2069);
}

/* In place: a question mark for each byte that is no UTF-8 and each character that may not stand. */
static void clean_text(char *text, size_t len)
{
    struct plait_text t = plait_text_of(text, len);
    char *to = text;

    while (t.len > 0) {
        const char *from = t.at;
        uint32_t code_point;
        bool good = plait_text_take_utf8(&t, &code_point);
        if (!good)
            plait_text_skip(&t, 1);
        if (good && is_harmless(code_point)) {
            memmove(to, from, (size_t)(t.at - from));
            to += t.at - from;
        } else {
            *to++ = '?';
        }
    }
    *to = '\0';
}

static void begin_payload(struct plait_frame_decoder *d, struct plait_frame_event *event)
{
    d->left = d->frame.length;
    d->in_frame = true;
    *event = (struct plait_frame_event){
        .kind = PLAIT_FRAME_EV_BLOCK_BEGIN, .sequence = d->frame.sequence, .len = d->frame.length};
}

static void take_block(struct plait_frame_decoder *d, struct plait_reader *slice,
                       struct plait_frame_event *event)
{
    uint32_t take = (uint32_t)plait_min_u64(plait_reader_left(slice), d->left);

    *event = (struct plait_frame_event){.kind = PLAIT_FRAME_EV_BLOCK_END, .sequence = d->frame.sequence};
    if (d->left == 0) {
        d->in_frame = false;
        return;
    }
    if (take == 0) {
        event->kind = PLAIT_FRAME_EV_NEED;
        return;
    }
    event->kind = PLAIT_FRAME_EV_BLOCK_BYTES;
    event->len = take;
    event->offset = d->frame.length - d->left;
    event->bytes = plait_read_bytes(slice, take);
    d->left -= take;
}

static void take_text(struct plait_frame_decoder *d, struct plait_reader *slice,
                      struct plait_frame_event *event)
{
    uint32_t take = (uint32_t)plait_min_u64(plait_reader_left(slice), d->left);

    if (take > 0)
        memcpy(d->text + (d->frame.length - d->left), plait_read_bytes(slice, take), take);
    d->left -= take;
    *event = (struct plait_frame_event){.kind = PLAIT_FRAME_EV_NEED};
    if (d->left > 0)
        return;
    clean_text(d->text, d->frame.length);
    d->in_frame = false;
    d->ended = true;
    *event = (struct plait_frame_event){
        .kind = PLAIT_FRAME_EV_ERROR, .sequence = d->frame.sequence, .text = d->text};
}

/* The frame whose header is good begins. */
static void begin_frame(struct plait_frame_decoder *d, struct plait_reader *slice,
                        struct plait_frame_event *event)
{
    switch (d->frame.type) {
    case PLAIT_FRAME_BLOCK:
        begin_payload(d, event);
        return;
    case PLAIT_FRAME_ERROR:
        begin_payload(d, event);
        take_text(d, slice, event);
        return;
    case PLAIT_FRAME_END:
        d->ended = true;
        *event = (struct plait_frame_event){.kind = PLAIT_FRAME_EV_END, .sequence = d->frame.sequence};
        return;
    case PLAIT_FRAME_MARK:
        *event = (struct plait_frame_event){.kind = PLAIT_FRAME_EV_MARK, .sequence = d->frame.sequence};
        return;
    }
}

static int offend(struct plait_frame_decoder *d, enum plait_frame_offence offence)
{
    d->offence = offence;
    return PLAIT_ERR_FORMAT;
}

int plait_frame_decode(struct plait_frame_decoder *d, struct plait_reader *slice,
                       struct plait_frame_event *event)
{
    *event = (struct plait_frame_event){.kind = PLAIT_FRAME_EV_NEED};
    if (d->offence != PLAIT_FRAME_OK)
        return PLAIT_ERR_FORMAT;
    if (d->in_frame) {
        (d->frame.type == PLAIT_FRAME_BLOCK ? take_block : take_text)(d, slice, event);
        return PLAIT_OK;
    }
    if (d->ended)
        return plait_reader_left(slice) > 0 ? offend(d, PLAIT_FRAME_OFFENCE_AFTER_END) : PLAIT_OK;
    const uint8_t *header = take_header(d, slice);
    if (header == NULL)
        return PLAIT_OK;
    enum plait_frame_offence offence = read_header(d, header);
    if (offence != PLAIT_FRAME_OK)
        return offend(d, offence);
    begin_frame(d, slice, event);
    return PLAIT_OK;
}

int plait_frame_decoder_finish(const struct plait_frame_decoder *d)
{
    if (d->offence != PLAIT_FRAME_OK)
        return PLAIT_ERR_FORMAT;
    return d->ended ? PLAIT_OK : PLAIT_ERR_TRUNC;
}
