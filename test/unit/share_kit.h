/* Shares driven as a server would drive them: requests written as the fields of doc/protocol.md. */
#ifndef PLAIT_TEST_SHARE_KIT_H
#define PLAIT_TEST_SHARE_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "share.h"

#define KIT_BLOCK 4096u
#define KIT_FRAME (KIT_BLOCK + 16u) /* a whole block on the wire */

static inline uint8_t kit_letter(char letter)
{
    uint8_t index;

    assert_int_equal(plait_field_path_parse(&letter, 1, &index), PLAIT_OK);
    return index;
}

static inline struct plait_span kit_span(const char *text)
{
    struct plait_span span;

    assert_int_equal(plait_field_span_parse(text, strlen(text), &span), PLAIT_OK);
    return span;
}

/* NULL for NULL. */
static inline const struct plait_pattern *kit_pattern(const char *text, struct plait_pattern *p)
{
    if (text == NULL)
        return NULL;
    assert_int_equal(plait_field_pattern_parse(text, strlen(text), p->path, sizeof p->path, &p->len),
                     PLAIT_OK);
    return p;
}

/* A stream of `blocks` whole blocks and `more` bytes. */
static inline struct plait_share *kit_share(uint64_t blocks, uint64_t more, bool live)
{
    const struct plait_share_config config = {
        .block_bytes = KIT_BLOCK, .size = blocks * KIT_BLOCK + more, .live = live};
    struct plait_share *s = plait_share_new(&config, 0);

    assert_non_null(s);
    return s;
}

static inline int kit_try_open(struct plait_share *s, char letter, const char *span, const char *pattern)
{
    struct plait_pattern p;
    const struct plait_share_request r = {
        .letter = kit_letter(letter), .span = kit_span(span), .pattern = kit_pattern(pattern, &p)};

    return plait_share_open(s, 0, &r);
}

static inline int kit_open(struct plait_share *s, char letter, const char *span, const char *pattern)
{
    int conn = kit_try_open(s, letter, span, pattern);

    assert_true(conn >= 0);
    return conn;
}

static inline int kit_open_named(struct plait_share *s, char letter, const char *blocks)
{
    struct plait_span items[PLAIT_BLOCKS_MAX];
    struct plait_share_request r = {.letter = kit_letter(letter), .blocks = items};

    assert_int_equal(plait_field_blocks_parse(blocks, strlen(blocks), items, &r.count), PLAIT_OK);
    return plait_share_open(s, 0, &r);
}

static inline int kit_ask(struct plait_share *s, char letter, const char *blocks)
{
    struct plait_span items[PLAIT_BLOCKS_MAX];
    size_t count;

    assert_int_equal(plait_field_blocks_parse(blocks, strlen(blocks), items, &count), PLAIT_OK);
    return plait_share_ask(s, 0, kit_letter(letter), items, count);
}

/* PLAIT_OK, or the block that a 409 names as a negative number less one, or another error below −1000. */
static inline long long kit_steer_at(struct plait_share *s, uint64_t now, const char *span,
                                     const char *pattern)
{
    struct plait_pattern p;
    uint64_t at = 0;
    int err = plait_share_steer(s, now, kit_span(span), kit_pattern(pattern, &p), &at);

    if (err == PLAIT_ERR_STATE)
        return -1 - (long long)at;
    return err == PLAIT_OK ? 0 : -1000000 + err;
}

#define kit_late_at(block) (-1 - (long long)(block))

static inline long long kit_steer(struct plait_share *s, const char *span, const char *pattern)
{
    return kit_steer_at(s, 0, span, pattern);
}

static inline struct plait_share_next kit_next(struct plait_share *s, uint64_t now, int conn)
{
    struct plait_share_next next;

    plait_share_next(s, now, conn, &next);
    return next;
}

/* The connection sends exactly these blocks next, as in Plait-Blocks. */
static inline void kit_sends(struct plait_share *s, int conn, const char *blocks)
{
    struct plait_span items[PLAIT_BLOCKS_MAX];
    size_t count;

    assert_int_equal(plait_field_blocks_parse(blocks, strlen(blocks), items, &count), PLAIT_OK);
    for (size_t i = 0; i < count; i++)
        for (uint64_t block = items[i].first; block <= items[i].last; block++) {
            struct plait_share_next next = kit_next(s, 0, conn);
            assert_int_equal(next.kind, PLAIT_SHARE_BLOCK);
            assert_int_equal(next.sequence, block);
            assert_int_equal(next.offset, block * KIT_BLOCK);
        }
}

static inline void kit_tells(struct plait_share *s, int conn, enum plait_share_kind kind, uint64_t sequence)
{
    struct plait_share_next next = kit_next(s, 0, conn);

    assert_int_equal(next.kind, kind);
    assert_int_equal(next.sequence, sequence);
}

/* A MARK, and then nothing. */
static inline void kit_waits(struct plait_share *s, int conn, uint64_t mark)
{
    kit_tells(s, conn, PLAIT_SHARE_MARK, mark);
    kit_tells(s, conn, PLAIT_SHARE_WAIT, 0);
}

static inline void kit_acked_all(struct plait_share *s, uint64_t now, int conn)
{
    struct plait_share_conn_info info;

    assert_true(plait_share_get_conn(s, conn, &info));
    plait_share_on_acked(s, now, conn, info.given_bytes);
}

static inline struct plait_share_status kit_status(const struct plait_share *s)
{
    struct plait_share_status status;

    plait_share_get_status(s, &status);
    return status;
}

static inline void kit_hole(const struct plait_share *s, uint64_t from, uint64_t expected)
{
    uint64_t block = UINT64_MAX;

    assert_true(plait_share_hole(s, from, &block));
    assert_int_equal(block, expected);
}

static inline void kit_no_hole(const struct plait_share *s)
{
    uint64_t block;

    assert_false(plait_share_hole(s, 0, &block));
}

#endif
