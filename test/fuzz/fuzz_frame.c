/*
 * Two bytes of what is known beforehand (block size and stream size), one of how the rest is cut; then a body.
 * It is decoded cut and whole, and has to tell the same. What is told is written again and has to be the body.
 */
#include "frame.h"

#include <string.h>

#include "fuzz.h"
#include "units.h"

#define OUT_MAX ((size_t)1 << 20)

/* The body as the events tell it. */
struct echo {
    uint8_t *out; /* OUT_MAX */
    size_t len;
    size_t block_at; /* where the present block's payload begins */
    uint32_t block_len, have;
    bool in_block;
    int end;
};

static void write_header(struct echo *e, enum plait_frame_type type, uint32_t len, uint64_t sequence)
{
    const struct plait_frame frame = {type, len, sequence};

    FUZZ_CHECK(e->len + PLAIT_FRAME_HEADER_BYTES <= OUT_MAX && !e->in_block && e->end == 0);
    FUZZ_CHECK(plait_frame_encode(&frame, e->out + e->len) == PLAIT_OK);
    e->len += PLAIT_FRAME_HEADER_BYTES;
}

static void check_text(const char *text)
{
    FUZZ_CHECK(strlen(text) <= PLAIT_FRAME_TEXT_MAX);
    for (const char *c = text; *c != '\0'; c++)
        FUZZ_CHECK((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static void write_event(struct echo *e, const struct plait_frame_event *event)
{
    switch (event->kind) {
    case PLAIT_FRAME_EV_BLOCK_BEGIN:
        write_header(e, PLAIT_FRAME_BLOCK, event->len, event->sequence);
        e->in_block = true;
        e->block_len = event->len;
        e->have = 0;
        return;
    case PLAIT_FRAME_EV_BLOCK_BYTES:
        FUZZ_CHECK(e->in_block && event->offset == e->have && event->len > 0);
        FUZZ_CHECK(e->len + event->len <= OUT_MAX);
        memcpy(e->out + e->len, event->bytes, event->len);
        e->len += event->len;
        e->have += event->len;
        return;
    case PLAIT_FRAME_EV_BLOCK_END:
        FUZZ_CHECK(e->in_block && e->have == e->block_len);
        e->in_block = false;
        return;
    case PLAIT_FRAME_EV_MARK:
        write_header(e, PLAIT_FRAME_MARK, 0, event->sequence);
        return;
    case PLAIT_FRAME_EV_END:
        write_header(e, PLAIT_FRAME_END, 0, event->sequence);
        e->end = PLAIT_FRAME_END;
        return;
    case PLAIT_FRAME_EV_ERROR:
        check_text(event->text);
        e->end = PLAIT_FRAME_ERROR;
        return;
    case PLAIT_FRAME_EV_NEED:
        FUZZ_CHECK(false);
    }
}

/* Decodes in slices of `cut` bytes, 0 = all at once. Returns the last result. */
static int decode(struct plait_frame_decoder *d, const uint8_t *body, size_t size, size_t cut, struct echo *e)
{
    struct plait_frame_event event;
    int err = PLAIT_OK;

    for (size_t at = 0; at < size && err == PLAIT_OK;) {
        size_t take = cut == 0 ? size : cut;
        struct plait_reader slice;
        take = take < size - at ? take : size - at;
        plait_reader_init(&slice, body + at, take);
        while ((err = plait_frame_decode(d, &slice, &event)) == PLAIT_OK && event.kind != PLAIT_FRAME_EV_NEED)
            write_event(e, &event);
        FUZZ_CHECK(err != PLAIT_OK || plait_reader_left(&slice) == 0);
        at += take;
    }
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t cut_out[OUT_MAX], whole_out[OUT_MAX];
    struct plait_frame_decoder cut, whole;
    struct echo cut_echo = {.out = cut_out}, whole_echo = {.out = whole_out};

    if (size < 3 || size > OUT_MAX)
        return 0;
    uint32_t block_bytes = PLAIT_BLOCK_BYTES_MIN << data[0] % 2;
    uint64_t stream = data[1] == 255 ? PLAIT_FRAME_UNKNOWN : data[1] * UINT64_C(1000);
    const uint8_t *body = data + 3;
    FUZZ_CHECK(plait_frame_decoder_init(&cut, block_bytes, stream) == PLAIT_OK);
    FUZZ_CHECK(plait_frame_decoder_init(&whole, block_bytes, stream) == PLAIT_OK);
    int err = decode(&whole, body, size - 3, 0, &whole_echo);
    FUZZ_CHECK(decode(&cut, body, size - 3, data[2] + UINT64_C(1), &cut_echo) == err);
    FUZZ_CHECK((err == PLAIT_OK) == (whole.offence == PLAIT_FRAME_OK) && cut.offence == whole.offence);
    FUZZ_CHECK(cut_echo.len == whole_echo.len && cut_echo.end == whole_echo.end);
    FUZZ_CHECK(memcmp(cut_out, whole_out, whole_echo.len) == 0);
    FUZZ_CHECK(whole_echo.len <= size - 3 && memcmp(whole_out, body, whole_echo.len) == 0);
    FUZZ_CHECK(cut.size == whole.size &&
               plait_frame_decoder_finish(&cut) == plait_frame_decoder_finish(&whole));
    return 0;
}
