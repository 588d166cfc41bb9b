#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "failing_alloc.h"
#include "journal.h"
#include "units.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static uint8_t bytes[64 * 1024];
static struct plait_writer w;

static const struct plait_journal_header header = {
    .total = 10 * 65536 + 1,
    .block_size = 65536,
    .digest = {.alg = PLAIT_DIGEST_SHA256, .len = 32, .bytes = {1, 2, 3}},
};
static const struct plait_journal_source source_a = {"http://a.example/f", "\"tag\"", ""};
static const struct plait_journal_source source_b = {"http://b.example/f?x=y", "",
                                                     "Sun, 06 Nov 1994 08:49:37 GMT"};

static void put_block(uint64_t index, uint64_t hash, uint16_t source)
{
    struct plait_journal_block b = {.index = index, .hash = hash, .source = source};
    assert_int_equal(plait_journal_write_block(&w, &b), PLAIT_OK);
}

/* Magic, header and two sources. */
static void begin(void)
{
    plait_writer_init(&w, bytes, sizeof bytes);
    assert_int_equal(plait_journal_write_magic(&w), PLAIT_OK);
    assert_int_equal(plait_journal_write_header(&w, &header), PLAIT_OK);
    assert_int_equal(plait_journal_write_source(&w, 0, &source_a), PLAIT_OK);
    assert_int_equal(plait_journal_write_source(&w, 1, &source_b), PLAIT_OK);
}

/* Replays what was written, of which `good` bytes have to be good. */
static struct plait_journal replay(size_t good)
{
    struct plait_journal j;
    size_t good_len;

    assert_int_equal(plait_journal_replay(bytes, plait_writer_used(&w), &j, &good_len), PLAIT_OK);
    assert_int_equal(good_len, good);
    return j;
}

/* A record with any type and payload, and the right hash. */
static void put_raw(uint8_t type, const void *payload, size_t len)
{
    uint8_t *start = w.at;

    plait_write_u8(&w, type);
    plait_write_u32(&w, (uint32_t)len);
    plait_write_bytes(&w, payload, len);
    plait_write_u64(&w, plait_journal_hash(start, (size_t)(w.at - start)));
    assert_false(w.bad);
}

static void replay_gives_what_was_written(void **state)
{
    (void)state;
    begin();
    put_block(10, 111, 1);
    put_block(3, 222, 0);
    put_block(0, 333, 1);
    struct plait_journal j = replay(plait_writer_used(&w));

    assert_true(j.has_header);
    assert_true(j.header.total == header.total);
    assert_int_equal(j.header.block_size, header.block_size);
    assert_true(plait_digest_equal(&j.header.digest, &header.digest));
    assert_int_equal(j.source_count, 2);
    assert_string_equal(j.sources[0].url, source_a.url);
    assert_string_equal(j.sources[0].etag, source_a.etag);
    assert_string_equal(j.sources[0].last_modified, "");
    assert_string_equal(j.sources[1].url, source_b.url);
    assert_string_equal(j.sources[1].etag, "");
    assert_string_equal(j.sources[1].last_modified, source_b.last_modified);
    assert_int_equal(j.block_count, 3);
    assert_true(j.blocks[0].index == 0 && j.blocks[1].index == 3 && j.blocks[2].index == 10);
    assert_ptr_equal(plait_journal_find(&j, 3), &j.blocks[1]);
    assert_true(plait_journal_find(&j, 3)->hash == 222 && plait_journal_find(&j, 3)->source == 0);
    assert_null(plait_journal_find(&j, 1));
    assert_null(plait_journal_find(&j, UINT64_MAX));
    plait_journal_done(&j);
    assert_null(plait_journal_find(&j, 3));
    plait_journal_done(&j);
}

static void the_latest_record_of_a_block_decides(void **state)
{
    (void)state;
    begin();
    put_block(1, 1, 0);
    put_block(2, 2, 0);
    assert_int_equal(plait_journal_write_unblock(&w, 1), PLAIT_OK);
    assert_int_equal(plait_journal_write_unblock(&w, 2), PLAIT_OK);
    assert_int_equal(plait_journal_write_unblock(&w, 7), PLAIT_OK); /* never was there */
    put_block(2, 22, 1);
    put_block(3, 3, 0);
    put_block(3, 33, 1);
    struct plait_journal j = replay(plait_writer_used(&w));

    assert_int_equal(j.block_count, 2);
    assert_null(plait_journal_find(&j, 1));
    assert_true(plait_journal_find(&j, 2)->hash == 22);
    assert_true(plait_journal_find(&j, 3)->hash == 33 && plait_journal_find(&j, 3)->source == 1);
    plait_journal_done(&j);
}

static void a_source_can_be_replaced(void **state)
{
    (void)state;
    begin();
    assert_int_equal(plait_journal_write_source(&w, 0, &source_b), PLAIT_OK);
    struct plait_journal j = replay(plait_writer_used(&w));

    assert_int_equal(j.source_count, 2);
    assert_string_equal(j.sources[0].url, source_b.url);
    plait_journal_done(&j);
}

/* Cut anywhere, the journal replays to the last whole record. */
static void a_torn_tail_is_left_out(void **state)
{
    size_t ends[8] = {0}, count = 1;
    struct plait_journal j;

    (void)state;
    plait_writer_init(&w, bytes, sizeof bytes);
    assert_int_equal(plait_journal_write_magic(&w), PLAIT_OK);
    ends[count++] = plait_writer_used(&w);
    assert_int_equal(plait_journal_write_header(&w, &header), PLAIT_OK);
    ends[count++] = plait_writer_used(&w);
    assert_int_equal(plait_journal_write_source(&w, 0, &source_a), PLAIT_OK);
    ends[count++] = plait_writer_used(&w);
    put_block(4, 44, 0);
    ends[count++] = plait_writer_used(&w);
    assert_int_equal(plait_journal_write_unblock(&w, 4), PLAIT_OK);
    ends[count++] = plait_writer_used(&w);

    for (size_t len = 0, at = 0; len <= ends[count - 1]; len++) {
        size_t good;
        if (at + 1 < count && len == ends[at + 1])
            at++;
        assert_int_equal(plait_journal_replay(bytes, len, &j, &good), PLAIT_OK);
        assert_int_equal(good, ends[at]);
        assert_int_equal(j.has_header, at >= 2);
        assert_int_equal(j.source_count, at >= 3);
        assert_int_equal(j.block_count, at == 4);
        plait_journal_done(&j);
    }
}

/* Any one bit wrong: what comes before that record is good, and nothing after it. */
static void a_damaged_record_ends_the_replay(void **state)
{
    (void)state;
    begin();
    put_block(1, 11, 0);
    size_t before = plait_writer_used(&w);
    put_block(2, 22, 0);
    size_t after = plait_writer_used(&w);
    put_block(3, 33, 0);
    for (size_t bit = before * 8; bit < after * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        struct plait_journal j = replay(before);
        assert_int_equal(j.block_count, 1);
        plait_journal_done(&j);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

/* What a file system may leave after a loss of power. */
static void zeros_end_the_replay(void **state)
{
    (void)state;
    begin();
    size_t before = plait_writer_used(&w);
    for (int i = 0; i < 512; i++)
        plait_write_u64(&w, 0);
    struct plait_journal j = replay(before);
    assert_int_equal(j.source_count, 2);
    plait_journal_done(&j);
}

static void other_files_are_no_journals(void **state)
{
    struct plait_journal j;
    size_t good;

    (void)state;
    begin();
    assert_int_equal(plait_journal_replay("pla", 3, &j, &good), PLAIT_OK); /* torn within the magic */
    assert_int_equal(good, 0);
    assert_false(j.has_header);
    assert_int_equal(plait_journal_replay(NULL, 0, &j, &good), PLAIT_OK);
    assert_int_equal(good, 0);
    assert_int_equal(plait_journal_replay("plx", 3, &j, &good), PLAIT_ERR_FORMAT);
    assert_int_equal(plait_journal_replay("\0\0\0\0\0\0\0\0\0", 9, &j, &good), PLAIT_ERR_FORMAT);
    bytes[7]++;
    assert_int_equal(plait_journal_replay(bytes, 7, &j, &good), PLAIT_OK);
    assert_int_equal(good, 0);
    assert_int_equal(plait_journal_replay(bytes, 8, &j, &good), PLAIT_ERR_RANGE);
    assert_int_equal(plait_journal_replay(bytes, plait_writer_used(&w), &j, &good), PLAIT_ERR_RANGE);
}

/* Records whose hash is right and whose content is not; each ends the replay where it begins. */
static void impossible_records_end_the_replay(void **state)
{
    static const struct {
        uint8_t type;
        uint8_t payload[24];
        uint8_t len;
    } rows[] = {
        {0, {0}, 0},
        {5, {0}, 0},
        {255, {0}, 4},
        {1, {0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0, 0, 0}, 13},                 /* a second header */
        {2, {0, 2, 0, 0, 0, 0, 0, 0}, 8},                                 /* no URL */
        {2, {0, 2, 0, 1, 'x', 0, 0, 0}, 8},                               /* ends within a length */
        {2, {0, 2, 0, 1, 'x', 0, 0, 0, 0, 0}, 10},                        /* a byte too many */
        {2, {0, 2, 0, 1, '\r', 0, 0, 0, 0}, 9},                           /* a control character */
        {2, {0, 2, 0, 1, 'x', 0, 1, 0, 0, 0}, 10},                        /* likewise, in the ETag */
        {2, {0, 3, 0, 1, 'x', 0, 0, 0, 0}, 9},                            /* leaves number 2 out */
        {3, {0, 0, 0, 0, 0, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 18}, /* past the last block */
        {3, {0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}, 18},  /* of no source */
        {3, {0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 17},
        {3, {0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 19},
        {4, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 8},
        {4, {0}, 7},
    };

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        begin();
        size_t before = plait_writer_used(&w);
        put_raw(rows[i].type, rows[i].payload, rows[i].len);
        put_block(1, 1, 0);
        struct plait_journal j = replay(before);
        assert_int_equal(j.block_count, 0);
        assert_int_equal(j.source_count, 2);
        plait_journal_done(&j);
    }
}

static void impossible_headers_are_refused(void **state)
{
    static const struct {
        uint8_t payload[16];
        uint8_t len;
    } rows[] = {
        {{0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0x10, 0}, 12},                      /* no digest byte */
        {{0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0x08, 0, 0}, 13},                   /* block size 2048 */
        {{0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0x18, 0, 0}, 13},                   /* no power of two */
        {{0, 0, 0, 0, 0, 0, 0, 1, 8, 0, 0, 0, 0}, 13},                      /* 128 MiB */
        {{0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0}, 13},                      /* 0 */
        {{0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0}, 13},                /* 2^63 bytes */
        {{0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0x10, 0, 99}, 13},                  /* no such algorithm */
        {{0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0x10, 0, PLAIT_DIGEST_MD5, 1}, 14}, /* a digest cut short */
        {{0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0x10, 0, 0, 0}, 14},                /* a byte too many */
    };
    static const uint8_t good[] = {0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0x10, 0, 0};

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        plait_writer_init(&w, bytes, sizeof bytes);
        assert_int_equal(plait_journal_write_magic(&w), PLAIT_OK);
        put_raw(1, rows[i].payload, rows[i].len);
        struct plait_journal j = replay(PLAIT_JOURNAL_MAGIC_LEN);
        assert_false(j.has_header);
    }
    plait_writer_init(&w, bytes, sizeof bytes);
    assert_int_equal(plait_journal_write_magic(&w), PLAIT_OK);
    assert_int_equal(plait_journal_write_source(&w, 0, &source_a), PLAIT_OK); /* before any header */
    put_raw(1, good, sizeof good);
    assert_false(replay(PLAIT_JOURNAL_MAGIC_LEN).has_header);
}

/* The claims of a header cost nothing. */
static void a_huge_total_costs_no_memory(void **state)
{
    struct plait_journal_header h = {.total = UINT64_C(1) << 60, .block_size = PLAIT_JOURNAL_BLOCK_SIZE_MIN};

    (void)state;
    plait_writer_init(&w, bytes, sizeof bytes);
    assert_int_equal(plait_journal_write_magic(&w), PLAIT_OK);
    assert_int_equal(plait_journal_write_header(&w, &h), PLAIT_OK);
    assert_int_equal(plait_journal_write_source(&w, 0, &source_a), PLAIT_OK);
    put_block((UINT64_C(1) << 48) - 1, 5, 0);
    struct plait_journal j = replay(plait_writer_used(&w));
    assert_int_equal(j.block_count, 1);
    assert_true(plait_journal_find(&j, (UINT64_C(1) << 48) - 1)->hash == 5);
    plait_journal_done(&j);

    size_t before = plait_writer_used(&w);
    put_block(UINT64_C(1) << 48, 6, 0);
    j = replay(before);
    plait_journal_done(&j);
}

static void an_unknown_total_bounds_nothing_but_overflow(void **state)
{
    struct plait_journal_header h = {.total = PLAIT_JOURNAL_TOTAL_UNKNOWN, .block_size = 65536};

    (void)state;
    plait_writer_init(&w, bytes, sizeof bytes);
    assert_int_equal(plait_journal_write_magic(&w), PLAIT_OK);
    assert_int_equal(plait_journal_write_header(&w, &h), PLAIT_OK);
    assert_int_equal(plait_journal_write_source(&w, 0, &source_a), PLAIT_OK);
    put_block((uint64_t)INT64_MAX / 65536, 1, 0);
    size_t before = plait_writer_used(&w);
    put_block((uint64_t)INT64_MAX / 65536 + 1, 1, 0);
    struct plait_journal j = replay(before);
    assert_true(j.header.total == PLAIT_JOURNAL_TOTAL_UNKNOWN);
    assert_int_equal(j.header.digest.alg, PLAIT_DIGEST_NONE);
    assert_int_equal(j.block_count, 1);
    plait_journal_done(&j);
}

static void writers_refuse_what_replay_would(void **state)
{
    struct plait_journal_header h = header;
    struct plait_journal_block b = {.source = PLAIT_JOURNAL_SOURCES_MAX};
    static char url[PLAIT_URL_MAX + 2], tag[PLAIT_JOURNAL_TEXT_MAX + 2];
    struct plait_journal_source s = {"", "", ""};

    (void)state;
    plait_writer_init(&w, bytes, sizeof bytes);
    h.block_size = 65537;
    assert_int_equal(plait_journal_write_header(&w, &h), PLAIT_ERR_ARG);
    h = header;
    h.total = PLAIT_JOURNAL_TOTAL_MAX + 1;
    assert_int_equal(plait_journal_write_header(&w, &h), PLAIT_ERR_ARG);
    h.total = PLAIT_JOURNAL_TOTAL_MAX;
    assert_int_equal(plait_journal_write_header(&w, &h), PLAIT_OK);
    plait_writer_init(&w, bytes, sizeof bytes);
    h = header;
    h.digest.len = 5;
    assert_int_equal(plait_journal_write_header(&w, &h), PLAIT_ERR_ARG);
    assert_int_equal(plait_journal_write_block(&w, &b), PLAIT_ERR_ARG);
    assert_int_equal(plait_journal_write_source(&w, 0, &s), PLAIT_ERR_ARG);
    s.url = "http://x\r\nEvil: yes";
    assert_int_equal(plait_journal_write_source(&w, 0, &s), PLAIT_ERR_ARG);
    assert_int_equal(plait_journal_write_source(&w, PLAIT_JOURNAL_SOURCES_MAX, &source_a), PLAIT_ERR_ARG);
    memset(url, 'u', PLAIT_URL_MAX + 1);
    memset(tag, 't', PLAIT_JOURNAL_TEXT_MAX + 1);
    s = (struct plait_journal_source){url, "", ""};
    assert_int_equal(plait_journal_write_source(&w, 0, &s), PLAIT_ERR_LIMIT);
    s = (struct plait_journal_source){"u", "", tag};
    assert_int_equal(plait_journal_write_source(&w, 0, &s), PLAIT_ERR_LIMIT);
    assert_int_equal(plait_writer_used(&w), 0);
    assert_false(w.bad);
}

static void the_longest_record_fits(void **state)
{
    static char url[PLAIT_URL_MAX + 1], tag[PLAIT_JOURNAL_TEXT_MAX + 1];
    struct plait_journal_source s = {url, tag, tag};

    (void)state;
    memset(url, 'u', PLAIT_URL_MAX);
    memset(tag, 't', PLAIT_JOURNAL_TEXT_MAX);
    plait_writer_init(&w, bytes, PLAIT_JOURNAL_RECORD_MAX);
    assert_int_equal(plait_journal_write_source(&w, 0, &s), PLAIT_OK);
    assert_int_equal(plait_writer_used(&w), PLAIT_JOURNAL_RECORD_MAX);
    plait_writer_init(&w, bytes, PLAIT_JOURNAL_RECORD_MAX - 1);
    assert_int_equal(plait_journal_write_source(&w, 0, &s), PLAIT_ERR_LIMIT);
    assert_int_equal(plait_writer_used(&w), 0);
    assert_int_equal(plait_journal_write_unblock(&w, 0), PLAIT_OK); /* the writer is none the worse */

    begin();
    assert_int_equal(plait_journal_write_source(&w, 2, &s), PLAIT_OK);
    struct plait_journal j = replay(plait_writer_used(&w));
    assert_string_equal(j.sources[2].url, url);
    assert_string_equal(j.sources[2].last_modified, tag);
    plait_journal_done(&j);
}

static void block_sizes(void **state)
{
    static const struct {
        uint64_t total;
        uint32_t size;
    } rows[] = {
        {0, 65536},
        {1, 65536},
        {GIB, 65536},
        {GIB + 1, 131072},
        {2 * GIB, 131072},
        {2 * GIB + 1, 262144},
        {1024 * GIB, PLAIT_JOURNAL_BLOCK_SIZE_MAX},
        {PLAIT_JOURNAL_TOTAL_MAX, PLAIT_JOURNAL_BLOCK_SIZE_MAX},
        {PLAIT_JOURNAL_TOTAL_UNKNOWN, MIB},
    };

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++)
        assert_int_equal(plait_journal_block_size(rows[i].total), rows[i].size);
}

/* XXH3-64 with seed 0 of nothing, from the algorithm's own test vectors. */
static void the_hash_is_xxh3(void **state)
{
    (void)state;
    assert_true(plait_journal_hash("", 0) == UINT64_C(0x2d06800538d394c2));
}

/* Each allocation fails once; the journal is then not replayed, and nothing is lost. */
static void replay_survives_a_lack_of_memory(void **state)
{
    struct plait_journal j;
    size_t good;
    long n = 0;
    int err;

    (void)state;
    begin();
    for (uint64_t i = 0; i < 40; i++)
        put_block(i % 11, i, (uint16_t)(i % 2));
    do {
        failing_alloc_after(n++);
        err = plait_journal_replay(bytes, plait_writer_used(&w), &j, &good);
        if (failing_alloc_happened())
            assert_int_equal(err, PLAIT_ERR_NOMEM);
    } while (failing_alloc_happened());
    failing_alloc_after(-1);
    assert_int_equal(err, PLAIT_OK);
    assert_true(n > 5);
    assert_int_equal(j.block_count, 11);
    plait_journal_done(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replay_gives_what_was_written),
        cmocka_unit_test(the_latest_record_of_a_block_decides),
        cmocka_unit_test(a_source_can_be_replaced),
        cmocka_unit_test(a_torn_tail_is_left_out),
        cmocka_unit_test(a_damaged_record_ends_the_replay),
        cmocka_unit_test(zeros_end_the_replay),
        cmocka_unit_test(other_files_are_no_journals),
        cmocka_unit_test(impossible_records_end_the_replay),
        cmocka_unit_test(impossible_headers_are_refused),
        cmocka_unit_test(a_huge_total_costs_no_memory),
        cmocka_unit_test(an_unknown_total_bounds_nothing_but_overflow),
        cmocka_unit_test(writers_refuse_what_replay_would),
        cmocka_unit_test(the_longest_record_fits),
        cmocka_unit_test(block_sizes),
        cmocka_unit_test(the_hash_is_xxh3),
        cmocka_unit_test(replay_survives_a_lack_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
