/*
 * The resume journal, which lies beside a partial file and says which of its blocks can be trusted.
 *
 * It is an append-only log: eight bytes of magic and version, then records, each
 *
 *     type u8 · payload length u32 · payload · XXH3-64 of all that, u64
 *
 * with numbers in big-endian order. Whoever writes it appends whole records, so that a process killed in the
 * middle, or a machine without power, leaves at worst a torn or a blank tail; replay stops there quietly. The
 * file is divided into hash blocks of one size, the last one perhaps shorter. A block is listed once its
 * bytes are in the file, with their XXH3-64, so that replay can be distrusted as well: whoever resumes reads
 * the blocks again and compares.
 *
 * The first record is the HEADER; SOURCE comes before the first BLOCK that names it.
 */
#ifndef PLAIT_WIRE_JOURNAL_H
#define PLAIT_WIRE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cursor.h"
#include "digest.h"
#include "err.h"
#include "text.h"

#define PLAIT_JOURNAL_TOTAL_UNKNOWN  UINT64_MAX
#define PLAIT_JOURNAL_TOTAL_MAX      ((uint64_t)INT64_MAX)
#define PLAIT_JOURNAL_BLOCK_SIZE_MIN UINT32_C(4096)
#define PLAIT_JOURNAL_BLOCK_SIZE_MAX (UINT32_C(64) * 1024 * 1024)
#define PLAIT_JOURNAL_SOURCES_MAX    4096u
#define PLAIT_JOURNAL_TEXT_MAX       1024u /* an ETag, a date */

#define PLAIT_JOURNAL_MAGIC_LEN  8u
/* No record is longer, so that a writer over this many bytes has room for any one. */
#define PLAIT_JOURNAL_RECORD_MAX (1u + 4u + 4 * 2u + PLAIT_URL_MAX + 2 * PLAIT_JOURNAL_TEXT_MAX + 8u)

struct plait_journal_header {
    uint64_t total;             /* bytes of the whole file, or PLAIT_JOURNAL_TOTAL_UNKNOWN */
    uint32_t block_size;        /* bytes; a power of two from BLOCK_SIZE_MIN to BLOCK_SIZE_MAX */
    struct plait_digest digest; /* what the whole file must have; alg NONE where nobody told */
};

/* Where bytes came from. No text holds a control character; what is not known is "". */
struct plait_journal_source {
    const char *url;           /* 1 to PLAIT_URL_MAX bytes */
    const char *etag;          /* 0 to PLAIT_JOURNAL_TEXT_MAX bytes, as the server sent it */
    const char *last_modified; /* likewise */
};

struct plait_journal_block {
    uint64_t index;  /* from 0 */
    uint64_t hash;   /* XXH3-64 of the block's bytes */
    uint16_t source; /* which gave (the last part of) them */
};

/* The state that a journal's records lead to; owns its memory. */
struct plait_journal {
    bool has_header; /* false where not even the header is whole; then there is nothing else either */
    struct plait_journal_header header;
    struct plait_journal_source *sources; /* by index */
    size_t source_count;
    struct plait_journal_block *blocks; /* those listed and not taken back, by rising index */
    size_t block_count;
};

/*
 * Hash-block size for a file: 64 KiB up to 1 GiB, then doubled as often as 16384 blocks need, up to the
 * maximum; 1 MiB where the total is unknown.
 */
uint32_t plait_journal_block_size(uint64_t total);
/* The hash of a block as BLOCK wants it. */
uint64_t plait_journal_hash(const void *bytes, size_t len);

/*
 * Writers append one record each. PLAIT_ERR_LIMIT where the writer has no room (PLAIT_JOURNAL_RECORD_MAX
 * always suffices) or a text is too long, PLAIT_ERR_ARG for a value that replay would refuse; then nothing is
 * written.
 */
PLAIT_MUST_USE int plait_journal_write_magic(struct plait_writer *w);
PLAIT_MUST_USE int plait_journal_write_header(struct plait_writer *w, const struct plait_journal_header *h);
/* Sources are numbered from 0 without a gap; a number used before stands for the new source from here on. */
PLAIT_MUST_USE int plait_journal_write_source(struct plait_writer *w, uint16_t index,
                                              const struct plait_journal_source *s);
/* Lists a block; listed again, the later hash and source hold. */
PLAIT_MUST_USE int plait_journal_write_block(struct plait_writer *w, const struct plait_journal_block *b);
/* Takes a block back, whether it is listed or not. */
PLAIT_MUST_USE int plait_journal_write_unblock(struct plait_writer *w, uint64_t index);

/*
 * Replays a journal. Returns PLAIT_OK also where the end is torn: *good_len is how many bytes of it were
 * good, and a writer goes on from there. The memory taken is at most a small multiple of `len`, whatever the
 * header claims. PLAIT_ERR_FORMAT for bytes that are no journal, PLAIT_ERR_RANGE for one of another version,
 * PLAIT_ERR_NOMEM; then nothing is written. `out` is the caller's to finish with plait_journal_done.
 */
PLAIT_MUST_USE int plait_journal_replay(const void *bytes, size_t len, struct plait_journal *out,
                                        size_t *good_len);
/* The block of that index, borrowed, or NULL. */
const struct plait_journal_block *plait_journal_find(const struct plait_journal *j, uint64_t index);
void plait_journal_done(struct plait_journal *j);

#endif
