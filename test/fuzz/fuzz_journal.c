/*
 * The first byte selects: replay the rest as it is; put right hashes into what may be records first, lest the
 * checksum hide all that lies behind it; or take the rest as a list of things to write, and compare with what
 * replay gives.
 */
#include "journal.h"

#include <string.h>

#include "fuzz.h"
#include "units.h"

#define BLOCKS UINT64_C(16) /* of the journal that is written */

static void check(const struct plait_journal *j)
{
    FUZZ_CHECK(j->has_header || (j->source_count == 0 && j->block_count == 0));
    for (size_t i = 0; i < j->source_count; i++) {
        const struct plait_journal_source *s = &j->sources[i];
        FUZZ_CHECK(strlen(s->url) > 0 && strlen(s->url) <= PLAIT_URL_MAX);
        FUZZ_CHECK(strlen(s->etag) <= PLAIT_JOURNAL_TEXT_MAX &&
                   strlen(s->last_modified) <= PLAIT_JOURNAL_TEXT_MAX);
    }
    for (size_t i = 0; i < j->block_count; i++) {
        FUZZ_CHECK(j->blocks[i].source < j->source_count);
        FUZZ_CHECK(i == 0 || j->blocks[i - 1].index < j->blocks[i].index);
        FUZZ_CHECK(plait_journal_find(j, j->blocks[i].index) == &j->blocks[i]);
        FUZZ_CHECK(j->blocks[i].index * j->header.block_size / j->header.block_size == j->blocks[i].index);
    }
}

/* What is good is good again, alone. */
static void replay(const uint8_t *data, size_t size)
{
    struct plait_journal j, again;
    size_t good, good_again;

    if (plait_journal_replay(data, size, &j, &good) != PLAIT_OK)
        return;
    check(&j);
    FUZZ_CHECK(good <= size);
    FUZZ_CHECK(plait_journal_replay(data, good, &again, &good_again) == PLAIT_OK);
    FUZZ_CHECK(good == good_again && j.block_count == again.block_count &&
               j.source_count == again.source_count);
    plait_journal_done(&j);
    plait_journal_done(&again);
}

/* Copies the records, each with the hash that it should have; the lengths are taken modulo what is left. */
static void replay_sealed(const uint8_t *data, size_t size)
{
    static uint8_t sealed[256 * 1024];
    struct plait_reader r;
    struct plait_writer w;

    plait_reader_init(&r, data, size);
    plait_writer_init(&w, sealed, sizeof sealed);
    FUZZ_CHECK(plait_journal_write_magic(&w) == PLAIT_OK);
    while (plait_reader_left(&r) >= 3 && !w.bad) {
        const uint8_t *start = w.at;
        plait_write_u8(&w, plait_read_u8(&r) % 6);
        size_t claimed = plait_read_u16(&r);
        size_t len = claimed % (plait_reader_left(&r) + 1);
        plait_write_u32(&w, (uint32_t)len);
        plait_write_bytes(&w, plait_read_bytes(&r, len), len);
        plait_write_u64(&w, plait_journal_hash(start, (size_t)(w.at - start)));
    }
    replay(sealed, plait_writer_used(&w));
}

struct model {
    bool listed[BLOCKS];
    struct plait_journal_block blocks[BLOCKS];
    size_t source_count;
};

/* One thing to write, in three bytes: what, which, and what of it. */
static void write_one(struct plait_writer *w, struct model *m, const uint8_t step[3])
{
    const struct plait_journal_source source = {"http://example.org/f", "\"e\"", ""};
    struct plait_journal_block *b = &m->blocks[step[1] % BLOCKS];

    if (step[0] % 4 == 0 && m->source_count < 200) {
        FUZZ_CHECK(plait_journal_write_source(w, (uint16_t)m->source_count, &source) == PLAIT_OK);
        m->source_count++;
    } else if (step[0] % 4 == 1) {
        FUZZ_CHECK(plait_journal_write_unblock(w, step[1] % BLOCKS) == PLAIT_OK);
        m->listed[step[1] % BLOCKS] = false;
    } else if (m->source_count > 0) {
        *b = (struct plait_journal_block){.index = step[1] % BLOCKS,
                                          .hash = step[2] * UINT64_C(0x0101010101010101),
                                          .source = (uint16_t)(step[2] % m->source_count)};
        FUZZ_CHECK(plait_journal_write_block(w, b) == PLAIT_OK);
        m->listed[b->index] = true;
    }
}

static void write_and_replay(const uint8_t *data, size_t size)
{
    static uint8_t bytes[128 * 1024];
    const struct plait_journal_header header = {.total = BLOCKS * 4096, .block_size = 4096};
    struct model m = {0};
    struct plait_writer w;
    struct plait_journal j;
    size_t good, listed = 0;

    plait_writer_init(&w, bytes, sizeof bytes);
    FUZZ_CHECK(plait_journal_write_magic(&w) == PLAIT_OK);
    FUZZ_CHECK(plait_journal_write_header(&w, &header) == PLAIT_OK);
    for (size_t i = 0; i + 3 <= size && i < 6000; i += 3)
        write_one(&w, &m, data + i);
    FUZZ_CHECK(plait_journal_replay(bytes, plait_writer_used(&w), &j, &good) == PLAIT_OK);
    check(&j);
    FUZZ_CHECK(good == plait_writer_used(&w) && j.source_count == m.source_count);
    for (size_t i = 0; i < BLOCKS; i++) {
        const struct plait_journal_block *b = plait_journal_find(&j, i);
        FUZZ_CHECK((b != NULL) == m.listed[i]);
        FUZZ_CHECK(b == NULL || (b->hash == m.blocks[i].hash && b->source == m.blocks[i].source));
        listed += m.listed[i];
    }
    FUZZ_CHECK(j.block_count == listed);
    plait_journal_done(&j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] % 3 == 0)
        replay(data + 1, size - 1);
    else if (data[0] % 3 == 1)
        replay_sealed(data + 1, size - 1);
    else
        write_and_replay(data + 1, size - 1);
    return 0;
}
