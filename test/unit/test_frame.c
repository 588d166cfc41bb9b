/* Frames: what the encoder writes, what the decoder makes of it in any slices, and each offence. */
#include "frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "prng.h"
#include "units.h"

#define BLOCK 4096u

static const uint8_t blank[BLOCK];

static void append(struct plait_writer *w, enum plait_frame_type type, uint64_t sequence, const void *payload,
                   uint32_t len)
{
    const struct plait_frame frame = {type, len, sequence};
    uint8_t header[PLAIT_FRAME_HEADER_BYTES];

    assert_int_equal(plait_frame_encode(&frame, header), PLAIT_OK);
    plait_write_bytes(w, header, sizeof header);
    plait_write_bytes(w, payload, len);
    assert_false(w->bad);
}

static void the_layout_of_the_page(void **unused)
{
    static const uint8_t expected[] = {4, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8};
    static const uint8_t block[] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 53};
    const struct plait_frame mark = {PLAIT_FRAME_MARK, 0, UINT64_C(0x0102030405060708)};
    const struct plait_frame whole = {PLAIT_FRAME_BLOCK, 65536, 53};
    uint8_t out[PLAIT_FRAME_HEADER_BYTES];

    (void)unused;
    assert_int_equal(plait_frame_encode(&mark, out), PLAIT_OK);
    assert_memory_equal(out, expected, sizeof expected);
    assert_int_equal(plait_frame_encode(&whole, out), PLAIT_OK);
    assert_memory_equal(out, block, sizeof block);
}

static void encodes_nothing_that_is_refused(void **unused)
{
    static const struct plait_frame rows[] = {
        {(enum plait_frame_type)0, 0, 0},
        {(enum plait_frame_type)5, 0, 0},
        {PLAIT_FRAME_BLOCK, 0, 0},
        {PLAIT_FRAME_BLOCK, PLAIT_BLOCK_BYTES_MAX + 1, 0},
        {PLAIT_FRAME_END, 1, 0},
        {PLAIT_FRAME_MARK, 1, 0},
        {PLAIT_FRAME_ERROR, PLAIT_FRAME_TEXT_MAX + 1, 1},
    };
    uint8_t out[PLAIT_FRAME_HEADER_BYTES] = {77};

    (void)unused;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++)
        assert_int_equal(plait_frame_encode(&rows[i], out), PLAIT_ERR_ARG);
    assert_int_equal(out[0], 77);
}

/* What a receiver made of a body. */
struct story {
    uint8_t stream[8 * BLOCK];
    uint64_t begun, whole; /* bit per block */
    uint64_t sequence;
    uint32_t have, len;
    bool in_block;
    uint64_t marks, mark;
    bool end, error;
    uint64_t end_sequence, code;
    char text[PLAIT_FRAME_TEXT_MAX + 1];
};

static void tell_block(struct story *s, const struct plait_frame_event *e)
{
    if (e->kind == PLAIT_FRAME_EV_BLOCK_BEGIN) {
        assert_false(s->in_block);
        s->in_block = true;
        s->begun |= UINT64_C(1) << e->sequence;
        s->sequence = e->sequence;
        s->have = 0;
        s->len = e->len;
        return;
    }
    assert_true(s->in_block && e->sequence == s->sequence);
    if (e->kind == PLAIT_FRAME_EV_BLOCK_BYTES) {
        assert_true(e->len > 0 && e->offset == s->have);
        memcpy(s->stream + e->sequence * BLOCK + e->offset, e->bytes, e->len);
        s->have += e->len;
        return;
    }
    assert_int_equal(s->have, s->len);
    s->in_block = false;
    s->whole |= UINT64_C(1) << e->sequence;
}

static void tell(struct story *s, const struct plait_frame_event *e)
{
    switch (e->kind) {
    case PLAIT_FRAME_EV_BLOCK_BEGIN:
    case PLAIT_FRAME_EV_BLOCK_BYTES:
    case PLAIT_FRAME_EV_BLOCK_END:
        tell_block(s, e);
        return;
    case PLAIT_FRAME_EV_MARK:
        s->marks++;
        s->mark = e->sequence;
        return;
    case PLAIT_FRAME_EV_END:
        s->end = true;
        s->end_sequence = e->sequence;
        return;
    case PLAIT_FRAME_EV_ERROR:
        s->error = true;
        s->code = e->sequence;
        strcpy(s->text, e->text);
        return;
    case PLAIT_FRAME_EV_NEED:
        fail();
    }
}

/* One slice, in memory of its own size so that a sanitizer sees a step past its end. */
static int feed(struct plait_frame_decoder *d, const uint8_t *bytes, size_t len, struct story *s)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    struct plait_reader slice;
    struct plait_frame_event event;
    int err;

    assert_non_null(copy);
    memcpy(copy, bytes, len);
    plait_reader_init(&slice, copy, len);
    while ((err = plait_frame_decode(d, &slice, &event)) == PLAIT_OK && event.kind != PLAIT_FRAME_EV_NEED)
        tell(s, &event);
    if (err == PLAIT_OK)
        assert_int_equal(plait_reader_left(&slice), 0);
    free(copy);
    return err;
}

static void fill(uint8_t *bytes, size_t len)
{
    struct plait_prng g = {.state = 7};

    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)plait_prng_next(&g);
}

/* Blocks 0, 2 and the short 5 of a stream of six, a MARK between them. */
static size_t write_body(uint8_t *stream, uint64_t size, uint8_t *body, size_t body_size)
{
    struct plait_writer w;

    fill(stream, size);
    plait_writer_init(&w, body, body_size);
    append(&w, PLAIT_FRAME_BLOCK, 0, stream, BLOCK);
    append(&w, PLAIT_FRAME_BLOCK, 2, stream + 2 * BLOCK, BLOCK);
    append(&w, PLAIT_FRAME_MARK, 3, "", 0);
    append(&w, PLAIT_FRAME_BLOCK, 5, stream + 5 * BLOCK, (uint32_t)(size - 5 * BLOCK));
    append(&w, PLAIT_FRAME_END, 6, "", 0);
    return plait_writer_used(&w);
}

static void check_body(const struct plait_frame_decoder *d, const struct story *s, const uint8_t *stream,
                       uint64_t size)
{
    assert_int_equal(s->begun, 0x25);
    assert_int_equal(s->whole, 0x25);
    assert_memory_equal(s->stream, stream, BLOCK);
    assert_memory_equal(s->stream + 2 * BLOCK, stream + 2 * BLOCK, BLOCK);
    assert_memory_equal(s->stream + 5 * BLOCK, stream + 5 * BLOCK, size - 5 * BLOCK);
    assert_true(s->marks == 1 && s->mark == 3 && s->end && s->end_sequence == 6 && !s->error);
    assert_int_equal(plait_frame_decoder_finish(d), PLAIT_OK);
}

static void every_slicing_tells_the_same(void **unused)
{
    static uint8_t stream[6 * BLOCK], body[5 * BLOCK];
    const uint64_t size = 5 * BLOCK + 100;
    size_t len = write_body(stream, size, body, sizeof body);
    struct plait_prng g = {.state = 1};
    static const size_t fixed[] = {1, 7, 15, 16, 17, 4111, 4112, 4113, 1u << 20};

    (void)unused;
    for (size_t i = 0; i < PLAIT_COUNT(fixed) + 200; i++) {
        struct plait_frame_decoder d;
        struct story s = {0};
        bool sized = i % 2 == 0;
        assert_int_equal(plait_frame_decoder_init(&d, BLOCK, sized ? size : PLAIT_FRAME_UNKNOWN), PLAIT_OK);
        for (size_t at = 0; at < len;) {
            assert_int_equal(plait_frame_decoder_finish(&d), PLAIT_ERR_TRUNC);
            size_t take = i < PLAIT_COUNT(fixed) ? fixed[i] : plait_prng_below(&g, i % 3 ? 40 : 9000);
            take = take < len - at ? take : len - at;
            assert_int_equal(feed(&d, body + at, take, &s), PLAIT_OK);
            at += take;
        }
        check_body(&d, &s, stream, size);
        assert_int_equal(d.size, size);
    }
}

/* The second event of a slice that holds all is a view of it. */
static void nothing_is_copied(void **unused)
{
    static uint8_t stream[6 * BLOCK], body[5 * BLOCK];
    size_t len = write_body(stream, 5 * BLOCK + 100, body, sizeof body);
    struct plait_frame_decoder d;
    struct plait_reader slice;
    struct plait_frame_event event;

    (void)unused;
    assert_int_equal(plait_frame_decoder_init(&d, BLOCK, PLAIT_FRAME_UNKNOWN), PLAIT_OK);
    plait_reader_init(&slice, body, len);
    assert_int_equal(plait_frame_decode(&d, &slice, &event), PLAIT_OK);
    assert_int_equal(event.kind, PLAIT_FRAME_EV_BLOCK_BEGIN);
    assert_int_equal(plait_frame_decode(&d, &slice, &event), PLAIT_OK);
    assert_int_equal(event.kind, PLAIT_FRAME_EV_BLOCK_BYTES);
    assert_ptr_equal(event.bytes, body + PLAIT_FRAME_HEADER_BYTES);
    assert_int_equal(event.len, BLOCK);
}

struct offence_row {
    uint64_t size;
    uint8_t header[PLAIT_FRAME_HEADER_BYTES];
    enum plait_frame_offence offence;
};

#define U PLAIT_FRAME_UNKNOWN

/* Sizes: six blocks, the last of 100 bytes (0x64), where known. */
static const struct offence_row offence_rows[] = {
    {U, {0}, PLAIT_FRAME_OFFENCE_TYPE},
    {U, {5}, PLAIT_FRAME_OFFENCE_TYPE},
    {U, {255, 1, 1}, PLAIT_FRAME_OFFENCE_TYPE},
    {U, {4, 1}, PLAIT_FRAME_OFFENCE_RESERVED},
    {U, {1, 0, 1, 0, 0, 0, 0x10}, PLAIT_FRAME_OFFENCE_RESERVED},
    {U, {2, 0, 0, 1}, PLAIT_FRAME_OFFENCE_RESERVED},
    {U, {2, 0, 0, 0, 0, 0, 0, 1}, PLAIT_FRAME_OFFENCE_LENGTH},
    {U, {4, 0, 0, 0, 1}, PLAIT_FRAME_OFFENCE_LENGTH},
    {U, {3, 0, 0, 0, 0, 0, 4, 1}, PLAIT_FRAME_OFFENCE_LENGTH},
    {U, {1, 0, 0, 0, 0, 0, 0, 0}, PLAIT_FRAME_OFFENCE_BLOCK_SIZE},
    {U, {1, 0, 0, 0, 0, 0, 0x10, 1}, PLAIT_FRAME_OFFENCE_BLOCK_SIZE},
    {U, {1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, PLAIT_FRAME_OFFENCE_BLOCK_SIZE},
    {5 * BLOCK + 100, {1, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 5}, PLAIT_FRAME_OFFENCE_BLOCK_SIZE},
    {5 * BLOCK + 100, {1, 0, 0, 0, 0, 0, 0, 0x63, 0, 0, 0, 0, 0, 0, 0, 5}, PLAIT_FRAME_OFFENCE_BLOCK_SIZE},
    {5 * BLOCK + 100, {1, 0, 0, 0, 0, 0, 0, 0x64, 0, 0, 0, 0, 0, 0, 0, 4}, PLAIT_FRAME_OFFENCE_BLOCK_SIZE},
    {5 * BLOCK + 100, {1, 0, 0, 0, 0, 0, 0, 0x64, 0, 0, 0, 0, 0, 0, 0, 6}, PLAIT_FRAME_OFFENCE_BEYOND},
    {6 * BLOCK, {1, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 6}, PLAIT_FRAME_OFFENCE_BEYOND},
    {0, {1, 0, 0, 0, 0, 0, 0x10, 0}, PLAIT_FRAME_OFFENCE_BEYOND},
    {U, {1, 0, 0, 0, 0, 0, 0x10, 0, 255, 255, 255, 255, 255, 255, 255, 255}, PLAIT_FRAME_OFFENCE_BEYOND},
    {U, {1, 0, 0, 0, 0, 0, 0x10, 0, 0, 7, 255, 255, 255, 255, 255, 255}, PLAIT_FRAME_OFFENCE_BEYOND},
    {U, {1, 0, 0, 0, 0, 0, 0x10, 0, 0, 8, 0, 0, 0, 0, 0, 0}, PLAIT_FRAME_OFFENCE_BEYOND},
    {5 * BLOCK + 100, {2, [15] = 5}, PLAIT_FRAME_OFFENCE_COUNT},
    {5 * BLOCK + 100, {2, [15] = 7}, PLAIT_FRAME_OFFENCE_COUNT},
    {U, {2, [8] = 127}, PLAIT_FRAME_OFFENCE_COUNT},
};

static void offences(void **unused)
{
    static const uint8_t mark[PLAIT_FRAME_HEADER_BYTES] = {4};

    (void)unused;
    for (size_t i = 0; i < PLAIT_COUNT(offence_rows); i++) {
        const struct offence_row *row = &offence_rows[i];
        for (size_t cut = 0; cut <= PLAIT_FRAME_HEADER_BYTES; cut += 8) {
            struct plait_frame_decoder d;
            struct story s = {0};
            assert_int_equal(plait_frame_decoder_init(&d, BLOCK, row->size), PLAIT_OK);
            assert_int_equal(feed(&d, mark, sizeof mark, &s), PLAIT_OK);
            int err = feed(&d, row->header, cut, &s);
            if (err == PLAIT_OK)
                err = feed(&d, row->header + cut, PLAIT_FRAME_HEADER_BYTES - cut, &s);
            assert_int_equal(err, PLAIT_ERR_FORMAT);
            assert_int_equal(d.offence, row->offence);
            /* And so it stays. */
            assert_int_equal(feed(&d, mark, sizeof mark, &s), PLAIT_ERR_FORMAT);
            assert_int_equal(d.offence, row->offence);
            assert_int_equal(plait_frame_decoder_finish(&d), PLAIT_ERR_FORMAT);
            assert_true(s.marks == 1 && !s.end && !s.error && s.begun == 0);
        }
    }
}

static void offences_have_names(void **unused)
{
    (void)unused;
    for (int i = PLAIT_FRAME_OK; i <= PLAIT_FRAME_OFFENCE_AFTER_END; i++)
        for (int k = PLAIT_FRAME_OK; k < i; k++)
            assert_string_not_equal(plait_frame_offence_name((enum plait_frame_offence)i),
                                    plait_frame_offence_name((enum plait_frame_offence)k));
    assert_string_equal(plait_frame_offence_name((enum plait_frame_offence)99), "unknown");
}

/* The last block of the longest stream. */
static void the_last_block_there_can_be(void **unused)
{
    static uint8_t body[PLAIT_FRAME_HEADER_BYTES + BLOCK];
    struct plait_writer w;
    struct plait_frame_decoder d;
    struct plait_reader slice;
    struct plait_frame_event event;

    (void)unused;
    plait_writer_init(&w, body, sizeof body);
    append(&w, PLAIT_FRAME_BLOCK, PLAIT_BLOCK_NUMBER_MAX, blank, BLOCK - 1);
    assert_int_equal(plait_frame_decoder_init(&d, BLOCK, PLAIT_FRAME_UNKNOWN), PLAIT_OK);
    plait_reader_init(&slice, body, plait_writer_used(&w));
    assert_int_equal(plait_frame_decode(&d, &slice, &event), PLAIT_OK);
    assert_true(event.sequence == PLAIT_BLOCK_NUMBER_MAX && event.len == BLOCK - 1);
    assert_int_equal(d.size, PLAIT_STREAM_SIZE_MAX);
}

static int feed_frame(struct plait_frame_decoder *d, enum plait_frame_type type, uint64_t sequence,
                      uint32_t len)
{
    static uint8_t body[PLAIT_FRAME_HEADER_BYTES + BLOCK];
    static struct story s;
    struct plait_writer w;

    memset(&s, 0, sizeof s);
    plait_writer_init(&w, body, sizeof body);
    append(&w, type, sequence, blank, len);
    return feed(d, body, plait_writer_used(&w), &s);
}

static void a_short_block_tells_the_size(void **unused)
{
    struct plait_frame_decoder d;

    (void)unused;
    assert_int_equal(plait_frame_decoder_init(&d, BLOCK, PLAIT_FRAME_UNKNOWN), PLAIT_OK);
    assert_int_equal(feed_frame(&d, PLAIT_FRAME_BLOCK, 3, 10), PLAIT_OK);
    assert_int_equal(d.size, 3 * BLOCK + 10);
    assert_int_equal(feed_frame(&d, PLAIT_FRAME_BLOCK, 3, 10), PLAIT_OK);
    assert_int_equal(feed_frame(&d, PLAIT_FRAME_BLOCK, 2, BLOCK), PLAIT_OK);
    assert_int_equal(feed_frame(&d, PLAIT_FRAME_BLOCK, 2, 10), PLAIT_ERR_FORMAT);
    assert_int_equal(d.offence, PLAIT_FRAME_OFFENCE_BLOCK_SIZE);

    /* Below a block that came already, none is short. */
    assert_int_equal(plait_frame_decoder_init(&d, BLOCK, PLAIT_FRAME_UNKNOWN), PLAIT_OK);
    assert_int_equal(feed_frame(&d, PLAIT_FRAME_BLOCK, 5, BLOCK), PLAIT_OK);
    assert_int_equal(feed_frame(&d, PLAIT_FRAME_BLOCK, 4, 10), PLAIT_ERR_FORMAT);
    assert_int_equal(d.offence, PLAIT_FRAME_OFFENCE_BLOCK_SIZE);

    assert_int_equal(plait_frame_decoder_init(&d, BLOCK, PLAIT_FRAME_UNKNOWN), PLAIT_OK);
    assert_int_equal(feed_frame(&d, PLAIT_FRAME_BLOCK, 5, BLOCK), PLAIT_OK);
    assert_int_equal(feed_frame(&d, PLAIT_FRAME_END, 5, 0), PLAIT_ERR_FORMAT);
    assert_int_equal(d.offence, PLAIT_FRAME_OFFENCE_COUNT);
}

static void a_size_is_told_from_outside(void **unused)
{
    struct plait_frame_decoder d;

    (void)unused;
    assert_int_equal(plait_frame_decoder_init(&d, BLOCK, PLAIT_FRAME_UNKNOWN), PLAIT_OK);
    assert_int_equal(feed_frame(&d, PLAIT_FRAME_BLOCK, 3, BLOCK), PLAIT_OK);
    assert_int_equal(plait_frame_decoder_set_size(&d, 4 * BLOCK - 1), PLAIT_ERR_STATE);
    assert_int_equal(plait_frame_decoder_set_size(&d, UINT64_MAX), PLAIT_ERR_ARG);
    assert_int_equal(plait_frame_decoder_set_size(&d, 4 * BLOCK + 1), PLAIT_OK);
    assert_int_equal(plait_frame_decoder_set_size(&d, 4 * BLOCK + 1), PLAIT_OK);
    assert_int_equal(plait_frame_decoder_set_size(&d, 4 * BLOCK + 2), PLAIT_ERR_STATE);
    assert_int_equal(feed_frame(&d, PLAIT_FRAME_BLOCK, 4, 1), PLAIT_OK);
    assert_int_equal(feed_frame(&d, PLAIT_FRAME_END, PLAIT_FRAME_UNKNOWN, 0), PLAIT_OK);
    assert_int_equal(plait_frame_decoder_finish(&d), PLAIT_OK);
}

static void configurations_are_checked(void **unused)
{
    static const uint32_t bad[] = {0, 1, 2048, 4095, 4097, 12288, 8388608, UINT32_MAX};
    struct plait_frame_decoder d;

    (void)unused;
    for (size_t i = 0; i < PLAIT_COUNT(bad); i++)
        assert_int_equal(plait_frame_decoder_init(&d, bad[i], 0), PLAIT_ERR_ARG);
    assert_int_equal(plait_frame_decoder_init(&d, BLOCK, PLAIT_STREAM_SIZE_MAX + 1), PLAIT_ERR_ARG);
    assert_int_equal(plait_frame_decoder_init(&d, PLAIT_BLOCK_BYTES_MAX, PLAIT_STREAM_SIZE_MAX), PLAIT_OK);
}

static void errors_carry_text_for_people(void **unused)
{
    static const struct {
        const char *text, *shown;
    } rows[] = {
        {"", ""},
        {"disk read failed", "disk read failed"},
        {"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\x1b[2Jgone\r\n", "?[2Jgone??"},
        {"\xff\xc3", "??"},
        {"a\xc2\x9b"
         "b\x7f",
         "a?b?"},
        {"x\xe2\x80\xaey", "x?y"}, /* right-to-left override */
    };

    (void)unused;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        uint8_t body[256];
        struct plait_writer w;
        plait_writer_init(&w, body, sizeof body);
        append(&w, PLAIT_FRAME_ERROR, PLAIT_FRAME_CODE_READ_FAILED, rows[i].text,
               (uint32_t)strlen(rows[i].text));
        for (size_t cut = 0; cut <= plait_writer_used(&w); cut++) {
            struct plait_frame_decoder d;
            struct story s = {0};
            assert_int_equal(plait_frame_decoder_init(&d, BLOCK, 0), PLAIT_OK);
            assert_int_equal(feed(&d, body, cut, &s), PLAIT_OK);
            assert_int_equal(s.error, cut == plait_writer_used(&w));
            assert_int_equal(feed(&d, body + cut, plait_writer_used(&w) - cut, &s), PLAIT_OK);
            assert_true(s.error && s.code == PLAIT_FRAME_CODE_READ_FAILED);
            assert_string_equal(s.text, rows[i].shown);
            assert_int_equal(plait_frame_decoder_finish(&d), PLAIT_OK);
        }
    }
}

static void the_longest_text_fits(void **unused)
{
    static uint8_t body[PLAIT_FRAME_HEADER_BYTES + PLAIT_FRAME_TEXT_MAX];
    char text[PLAIT_FRAME_TEXT_MAX];
    struct plait_writer w;
    struct plait_frame_decoder d;
    struct story s = {0};

    (void)unused;
    memset(text, 'x', sizeof text);
    plait_writer_init(&w, body, sizeof body);
    append(&w, PLAIT_FRAME_ERROR, 99, text, sizeof text);
    assert_int_equal(plait_frame_decoder_init(&d, BLOCK, 0), PLAIT_OK);
    assert_int_equal(feed(&d, body, sizeof body, &s), PLAIT_OK);
    assert_true(s.error && s.code == 99 && strlen(s.text) == PLAIT_FRAME_TEXT_MAX);
}

static void nothing_follows_an_end(void **unused)
{
    static const uint8_t ends[][PLAIT_FRAME_HEADER_BYTES] = {{2}, {3, [15] = 4}};
    static const uint8_t more[] = {0};

    (void)unused;
    for (size_t i = 0; i < PLAIT_COUNT(ends); i++) {
        struct plait_frame_decoder d;
        struct story s = {0};
        assert_int_equal(plait_frame_decoder_init(&d, BLOCK, 0), PLAIT_OK);
        assert_int_equal(feed(&d, ends[i], sizeof ends[i], &s), PLAIT_OK);
        assert_int_equal(feed(&d, more, 0, &s), PLAIT_OK);
        assert_int_equal(plait_frame_decoder_finish(&d), PLAIT_OK);
        assert_int_equal(feed(&d, more, sizeof more, &s), PLAIT_ERR_FORMAT);
        assert_int_equal(d.offence, PLAIT_FRAME_OFFENCE_AFTER_END);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_layout_of_the_page),
        cmocka_unit_test(encodes_nothing_that_is_refused),
        cmocka_unit_test(every_slicing_tells_the_same),
        cmocka_unit_test(nothing_is_copied),
        cmocka_unit_test(offences),
        cmocka_unit_test(offences_have_names),
        cmocka_unit_test(the_last_block_there_can_be),
        cmocka_unit_test(a_short_block_tells_the_size),
        cmocka_unit_test(a_size_is_told_from_outside),
        cmocka_unit_test(configurations_are_checked),
        cmocka_unit_test(errors_carry_text_for_people),
        cmocka_unit_test(the_longest_text_fits),
        cmocka_unit_test(nothing_follows_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
