#include "journal.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "grow.h"
#include "units.h"

#define VERSION 1

static const uint8_t magic[PLAIT_JOURNAL_MAGIC_LEN] = {'p', 'l', 'a', 'i', 't', 'j', '\n', VERSION};

enum type {
    TYPE_HEADER = 1, /* total u64, block size u32, digest algorithm u8, digest */
    TYPE_SOURCE = 2, /* index u16, then URL, ETag, Last-Modified, each u16 length and bytes */
    TYPE_BLOCK = 3,  /* index u64, hash u64, source u16 */
    TYPE_UNBLOCK = 4 /* index u64 */
};

#define HEADER_LEN  13u
#define BLOCK_LEN   18u
#define UNBLOCK_LEN 8u

static uint64_t block_count(uint64_t total, uint32_t block_size)
{
    return total / block_size + (total % block_size != 0);
}

uint32_t plait_journal_block_size(uint64_t total)
{
    uint32_t size = 64 * 1024;

    if (total == PLAIT_JOURNAL_TOTAL_UNKNOWN)
        return 1024 * 1024;
    while (size < PLAIT_JOURNAL_BLOCK_SIZE_MAX && block_count(total, size) > 16384)
        size *= 2;
    return size;
}

uint64_t plait_journal_hash(const void *bytes, size_t len)
{
    return XXH3_64bits(bytes, len);
}

static bool is_header_valid(const struct plait_journal_header *h)
{
    return (h->total <= PLAIT_JOURNAL_TOTAL_MAX || h->total == PLAIT_JOURNAL_TOTAL_UNKNOWN) &&
           h->block_size >= PLAIT_JOURNAL_BLOCK_SIZE_MIN && h->block_size <= PLAIT_JOURNAL_BLOCK_SIZE_MAX &&
           (h->block_size & (h->block_size - 1)) == 0 && h->digest.len == plait_digest_alg_len(h->digest.alg);
}

/* Texts go into requests again, where a control character could forge a line. */
static bool is_text_valid(struct plait_text t)
{
    for (size_t i = 0; i < t.len; i++)
        if ((unsigned char)t.at[i] < 0x20 || t.at[i] == 0x7f)
            return false;
    return true;
}

/* A record is written through a copy of the caller's writer, which follows once the record is whole. */
static struct plait_writer begin(const struct plait_writer *to, enum type type, size_t payload_len)
{
    struct plait_writer w = *to;

    plait_write_u8(&w, (uint8_t)type);
    plait_write_u32(&w, (uint32_t)payload_len);
    return w;
}

static int commit(struct plait_writer *to, struct plait_writer *w)
{
    if (w->bad)
        return PLAIT_ERR_LIMIT;
    plait_write_u64(w, XXH3_64bits(to->at, (size_t)(w->at - to->at)));
    if (w->bad)
        return PLAIT_ERR_LIMIT;
    *to = *w;
    return PLAIT_OK;
}

int plait_journal_write_magic(struct plait_writer *w)
{
    struct plait_writer copy = *w;

    plait_write_bytes(&copy, magic, sizeof magic);
    if (copy.bad)
        return PLAIT_ERR_LIMIT;
    *w = copy;
    return PLAIT_OK;
}

int plait_journal_write_header(struct plait_writer *w, const struct plait_journal_header *h)
{
    if (!is_header_valid(h))
        return PLAIT_ERR_ARG;
    struct plait_writer r = begin(w, TYPE_HEADER, HEADER_LEN + h->digest.len);
    plait_write_u64(&r, h->total);
    plait_write_u32(&r, h->block_size);
    plait_write_u8(&r, (uint8_t)h->digest.alg);
    plait_write_bytes(&r, h->digest.bytes, h->digest.len);
    return commit(w, &r);
}

int plait_journal_write_source(struct plait_writer *w, uint16_t index, const struct plait_journal_source *s)
{
    const char *const given[] = {s->url, s->etag, s->last_modified};
    struct plait_text texts[PLAIT_COUNT(given)];
    size_t len = 2;

    for (size_t i = 0; i < PLAIT_COUNT(given); i++) {
        texts[i] = plait_text_of(given[i], strlen(given[i]));
        if (!is_text_valid(texts[i]))
            return PLAIT_ERR_ARG;
        if (texts[i].len > (i == 0 ? PLAIT_URL_MAX : PLAIT_JOURNAL_TEXT_MAX))
            return PLAIT_ERR_LIMIT;
        len += 2 + texts[i].len;
    }
    if (index >= PLAIT_JOURNAL_SOURCES_MAX || texts[0].len == 0)
        return PLAIT_ERR_ARG;
    struct plait_writer r = begin(w, TYPE_SOURCE, len);
    plait_write_u16(&r, index);
    for (size_t i = 0; i < PLAIT_COUNT(texts); i++) {
        plait_write_u16(&r, (uint16_t)texts[i].len);
        plait_write_bytes(&r, texts[i].at, texts[i].len);
    }
    return commit(w, &r);
}

int plait_journal_write_block(struct plait_writer *w, const struct plait_journal_block *b)
{
    if (b->source >= PLAIT_JOURNAL_SOURCES_MAX)
        return PLAIT_ERR_ARG;
    struct plait_writer r = begin(w, TYPE_BLOCK, BLOCK_LEN);
    plait_write_u64(&r, b->index);
    plait_write_u64(&r, b->hash);
    plait_write_u16(&r, b->source);
    return commit(w, &r);
}

int plait_journal_write_unblock(struct plait_writer *w, uint64_t index)
{
    struct plait_writer r = begin(w, TYPE_UNBLOCK, UNBLOCK_LEN);

    plait_write_u64(&r, index);
    return commit(w, &r);
}

/*
 * Replay. BLOCK and UNBLOCK only pile up as entries while the records are read; then the entries are sorted
 * by block and age, and the youngest of each block decides. Nothing is ever sized by a number from a record.
 */
struct entry {
    uint64_t index;
    uint64_t hash;
    uint32_t age; /* position among the entries */
    uint16_t source;
    bool listed; /* false: taken back */
};

struct replay {
    struct plait_journal j;
    size_t source_room;
    struct entry *entries;
    size_t entry_count;
    size_t entry_room;
};

/* Whether the payload was of exactly the length that its fields have. */
static bool is_whole(const struct plait_reader *r)
{
    return !r->bad && plait_reader_left(r) == 0;
}

static int replay_header(struct replay *p, struct plait_reader *r)
{
    struct plait_journal_header h = {0};

    h.total = plait_read_u64(r);
    h.block_size = plait_read_u32(r);
    enum plait_digest_alg alg = (enum plait_digest_alg)plait_read_u8(r);
    size_t digest_len = plait_digest_alg_len(alg);
    const uint8_t *digest = plait_read_bytes(r, digest_len);
    if (!is_whole(r) || (digest_len == 0 && alg != PLAIT_DIGEST_NONE))
        return PLAIT_ERR_FORMAT;
    plait_digest_set(&h.digest, alg, digest);
    if (!is_header_valid(&h))
        return PLAIT_ERR_FORMAT;
    p->j.header = h;
    p->j.has_header = true;
    return PLAIT_OK;
}

static bool read_text(struct plait_reader *r, size_t max, struct plait_text *out)
{
    size_t len = plait_read_u16(r);

    *out = plait_text_of((const char *)plait_read_bytes(r, len), len);
    return !r->bad && len <= max && is_text_valid(*out);
}

static char *append_text(char *to, struct plait_text t)
{
    if (t.len > 0)
        memcpy(to, t.at, t.len);
    to[t.len] = '\0';
    return to + t.len + 1;
}

/* All three texts lie in one allocation, which `url` begins. */
static int copy_source(struct plait_journal_source *s, const struct plait_text texts[3])
{
    char *at = malloc(texts[0].len + texts[1].len + texts[2].len + 3);

    if (at == NULL)
        return PLAIT_ERR_NOMEM;
    s->url = at;
    s->etag = at = append_text(at, texts[0]);
    s->last_modified = at = append_text(at, texts[1]);
    append_text(at, texts[2]);
    return PLAIT_OK;
}

static void source_done(struct plait_journal_source *s)
{
    free((char *)s->url);
}

static int replay_source(struct replay *p, struct plait_reader *r)
{
    struct plait_text texts[3];
    struct plait_journal_source s;
    size_t index = plait_read_u16(r);

    if (!read_text(r, PLAIT_URL_MAX, &texts[0]) || texts[0].len == 0 ||
        !read_text(r, PLAIT_JOURNAL_TEXT_MAX, &texts[1]) ||
        !read_text(r, PLAIT_JOURNAL_TEXT_MAX, &texts[2]) || !is_whole(r) || index > p->j.source_count ||
        index >= PLAIT_JOURNAL_SOURCES_MAX)
        return PLAIT_ERR_FORMAT;
    struct plait_journal_source *sources =
        plait_grow(p->j.sources, p->j.source_count, &p->source_room, sizeof *sources);
    if (sources == NULL)
        return PLAIT_ERR_NOMEM;
    p->j.sources = sources;
    if (copy_source(&s, texts) != PLAIT_OK)
        return PLAIT_ERR_NOMEM;
    if (index == p->j.source_count)
        p->j.source_count++;
    else
        source_done(&p->j.sources[index]);
    p->j.sources[index] = s;
    return PLAIT_OK;
}

static bool is_index_valid(const struct plait_journal_header *h, uint64_t index)
{
    return index < block_count(plait_min_u64(h->total, PLAIT_JOURNAL_TOTAL_MAX), h->block_size);
}

static int replay_entry(struct replay *p, struct plait_reader *r, bool listed)
{
    struct entry e = {.index = plait_read_u64(r), .age = (uint32_t)p->entry_count, .listed = listed};

    if (listed) {
        e.hash = plait_read_u64(r);
        e.source = plait_read_u16(r);
    }
    if (!is_whole(r) || !is_index_valid(&p->j.header, e.index) || (listed && e.source >= p->j.source_count) ||
        p->entry_count == UINT32_MAX)
        return PLAIT_ERR_FORMAT;
    struct entry *entries = plait_grow(p->entries, p->entry_count, &p->entry_room, sizeof *entries);
    if (entries == NULL)
        return PLAIT_ERR_NOMEM;
    p->entries = entries;
    entries[p->entry_count++] = e;
    return PLAIT_OK;
}

static int replay_payload(struct replay *p, uint8_t type, struct plait_reader *r)
{
    if (p->j.has_header == (type == TYPE_HEADER))
        return PLAIT_ERR_FORMAT;
    switch (type) {
    case TYPE_HEADER:
        return replay_header(p, r);
    case TYPE_SOURCE:
        return replay_source(p, r);
    case TYPE_BLOCK:
    case TYPE_UNBLOCK:
        return replay_entry(p, r, type == TYPE_BLOCK);
    default:
        return PLAIT_ERR_FORMAT;
    }
}

/* One record: PLAIT_OK, PLAIT_ERR_NOMEM, or PLAIT_ERR_FORMAT where the good part ends before it. */
static int replay_record(struct replay *p, struct plait_reader *r)
{
    const uint8_t *start = r->at;
    uint8_t type = plait_read_u8(r);
    size_t len = plait_read_u32(r);
    const uint8_t *payload = plait_read_bytes(r, len);
    size_t hashed = (size_t)(r->at - start);
    uint64_t hash = plait_read_u64(r);
    struct plait_reader inside;

    if (r->bad || hash != XXH3_64bits(start, hashed))
        return PLAIT_ERR_FORMAT;
    plait_reader_init(&inside, payload, len);
    return replay_payload(p, type, &inside);
}

static int by_index_and_age(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;

    if (a->index != b->index)
        return a->index < b->index ? -1 : 1;
    return a->age < b->age ? -1 : a->age > b->age;
}

/* Leaves of each block's entries the youngest, and that only where it lists the block. */
static size_t settle(struct entry *entries, size_t count)
{
    size_t kept = 0;

    if (count > 0)
        qsort(entries, count, sizeof *entries, by_index_and_age);
    for (size_t i = 0; i < count; i++)
        if (entries[i].listed && (i + 1 == count || entries[i + 1].index != entries[i].index))
            entries[kept++] = entries[i];
    return kept;
}

static int list_blocks(struct replay *p)
{
    size_t count = settle(p->entries, p->entry_count);

    if (count == 0)
        return PLAIT_OK;
    p->j.blocks = malloc(count * sizeof *p->j.blocks);
    if (p->j.blocks == NULL)
        return PLAIT_ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        const struct entry *e = &p->entries[i];
        p->j.blocks[i] =
            (struct plait_journal_block){.index = e->index, .hash = e->hash, .source = e->source};
    }
    p->j.block_count = count;
    return PLAIT_OK;
}

static int check_magic(const uint8_t *bytes, size_t len)
{
    size_t there = len < sizeof magic ? len : sizeof magic;

    if (there > 0 && memcmp(bytes, magic, there < sizeof magic ? there : sizeof magic - 1) != 0)
        return PLAIT_ERR_FORMAT;
    return len >= sizeof magic && bytes[sizeof magic - 1] != VERSION ? PLAIT_ERR_RANGE : PLAIT_OK;
}

/* Replays from behind the magic; *good counts on. */
static int replay_records(struct replay *p, struct plait_reader *r, size_t len, size_t *good)
{
    int err = PLAIT_OK;

    while (err == PLAIT_OK) {
        *good = len - plait_reader_left(r);
        err = plait_reader_left(r) > 0 ? replay_record(p, r) : PLAIT_ERR_FORMAT;
    }
    return err == PLAIT_ERR_NOMEM ? err : list_blocks(p);
}

int plait_journal_replay(const void *bytes, size_t len, struct plait_journal *out, size_t *good_len)
{
    struct replay p = {0};
    struct plait_reader r;
    size_t good = 0;
    int err = check_magic(bytes, len);

    if (err == PLAIT_OK && len >= sizeof magic) {
        plait_reader_init(&r, (const uint8_t *)bytes + sizeof magic, len - sizeof magic);
        err = replay_records(&p, &r, len, &good);
    }
    free(p.entries);
    if (err != PLAIT_OK) {
        plait_journal_done(&p.j);
        return err;
    }
    *out = p.j;
    *good_len = good;
    return PLAIT_OK;
}

const struct plait_journal_block *plait_journal_find(const struct plait_journal *j, uint64_t index)
{
    size_t lo = 0, hi = j->block_count;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (j->blocks[mid].index == index)
            return &j->blocks[mid];
        if (j->blocks[mid].index < index)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

void plait_journal_done(struct plait_journal *j)
{
    for (size_t i = 0; i < j->source_count; i++)
        source_done(&j->sources[i]);
    free(j->sources);
    free(j->blocks);
    *j = (struct plait_journal){0};
}
