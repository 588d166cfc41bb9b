#include "journal_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fetch.h"
#include "file.h"
#include "tally.h"
#include "units.h"

#define BATCH     1024 /* blocks that the thread reads in one go */
#define FLUSH_NS  (25 * PLAIT_MS)
#define TEXT_ROOM ((size_t)(64 * PLAIT_KIB)) /* records gathered before they are written */

/* Room on disk for a block's record, and for the header and sources: see the layout in journal.h. */
#define BLOCK_RECORD  32u
#define OTHER_RECORDS ((uint64_t)(16 * PLAIT_KIB))
/* What is smaller is fetched again in no time. */
#define RESERVE_FROM  ((uint64_t)(1 * PLAIT_MIB))

struct item {
    size_t block;
    uint32_t turn;
    uint64_t hash;
    bool hashed;
};

struct plait_journal_file {
    struct plait_journal_file_config config;
    int fd; /* −1 = not made yet */
    bool broken;
    bool muted_of_use; /* not written any more, but good when it was muted */
    bool listed;       /* some block, ever */
    uint32_t block_size;
    struct plait_tally tally;
    struct plait_work work;
    struct item items[BATCH]; /* the thread's while it works */
    size_t item_count;
    uint8_t *block; /* room for one, the thread's while it works */
    atomic_bool cancel;
    void (*stopped)(void *ctx);
    int numbers[PLAIT_FETCH_SOURCES_MAX];        /* of the run's sources in the journal, −1 = none yet */
    uint64_t described[PLAIT_FETCH_SOURCES_MAX]; /* the version it was listed with */
    uint16_t next_number;
    struct plait_writer out;
    uint8_t *out_room;
};

static void give_up(struct plait_journal_file *jf)
{
    if (jf->broken)
        return;
    jf->broken = true;
    jf->config.failed(jf->config.ctx);
}

static void flush_out(struct plait_journal_file *jf)
{
    size_t len = plait_writer_used(&jf->out);

    if (len > 0 && !jf->broken && plait_write_all(jf->fd, jf->out_room, len) != PLAIT_OK)
        give_up(jf);
    plait_writer_init(&jf->out, jf->out_room, TEXT_ROOM);
}

static void make_room(struct plait_journal_file *jf)
{
    if (TEXT_ROOM - plait_writer_used(&jf->out) < PLAIT_JOURNAL_RECORD_MAX)
        flush_out(jf);
}

/*
 * When the disk is full it is too late to write down what is there: so the room for that is taken at the
 * beginning. Not every file system can.
 */
static void reserve_room(struct plait_journal_file *jf)
{
    uint64_t room = jf->tally.count * BLOCK_RECORD + OTHER_RECORDS;

    (void)fallocate(jf->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)room);
}

static bool ensure_file(struct plait_journal_file *jf)
{
    uint64_t total = jf->config.live ? PLAIT_JOURNAL_TOTAL_UNKNOWN : jf->config.total;
    struct plait_journal_header header = {total, jf->block_size, jf->config.digest};

    if (jf->broken || jf->fd >= 0)
        return !jf->broken;
    jf->fd = plait_open_own(jf->config.path, O_CREAT | O_APPEND, 0600);
    if (jf->fd < 0 || ftruncate(jf->fd, 0) != 0 || plait_journal_write_magic(&jf->out) != PLAIT_OK ||
        plait_journal_write_header(&jf->out, &header) != PLAIT_OK)
        give_up(jf);
    else
        reserve_room(jf);
    return !jf->broken;
}

static void describe_source(struct plait_journal_file *jf, int source)
{
    const struct plait_source *s = &jf->config.sources[source];
    struct plait_journal_source record = {s->shown, s->etag, s->last_modified};

    if (jf->numbers[source] >= 0 && jf->described[source] == s->version)
        return;
    if (jf->numbers[source] < 0)
        jf->numbers[source] = jf->next_number++;
    jf->described[source] = s->version;
    make_room(jf);
    if (plait_journal_write_source(&jf->out, (uint16_t)jf->numbers[source], &record) != PLAIT_OK) {
        errno = EINVAL;
        give_up(jf);
    }
}

static void list_block(struct plait_journal_file *jf, const struct item *item)
{
    int source = jf->tally.blocks[item->block].source;

    if (!ensure_file(jf) || source < 0)
        return;
    describe_source(jf, source);
    struct plait_journal_block record = {item->block, item->hash, (uint16_t)jf->numbers[source]};
    make_room(jf);
    jf->listed = true;
    if (!jf->broken && plait_journal_write_block(&jf->out, &record) != PLAIT_OK) {
        errno = EINVAL;
        give_up(jf);
    }
}

static void unlist_block(void *ctx, size_t block)
{
    struct plait_journal_file *jf = ctx;

    if (jf->fd < 0 || jf->broken)
        return;
    make_room(jf);
    if (plait_journal_write_unblock(&jf->out, block) != PLAIT_OK)
        give_up(jf);
}

static void hash_item(struct plait_journal_file *jf, struct item *item)
{
    size_t len = (size_t)plait_tally_len(&jf->tally, item->block);

    item->hashed =
        plait_pread_all(jf->config.data_fd, jf->block, len, item->block * jf->tally.block_size) == PLAIT_OK;
    if (item->hashed)
        item->hash = plait_journal_hash(jf->block, len);
}

/* What is hashed may as well go to disk; runs of blocks in one piece. */
static void write_back(struct plait_journal_file *jf)
{
    uint64_t size = jf->tally.block_size;

    for (size_t i = 0, n; i < jf->item_count; i += n) {
        for (n = 1; i + n < jf->item_count && jf->items[i + n].block == jf->items[i].block + n; n++)
            ;
        plait_start_writeback(jf->config.data_fd, jf->items[i].block * size, n * size);
    }
}

static void run_hash(void *ctx)
{
    struct plait_journal_file *jf = ctx;

    for (size_t i = 0; i < jf->item_count && !atomic_load(&jf->cancel); i++)
        hash_item(jf, &jf->items[i]);
    if (!atomic_load(&jf->cancel))
        write_back(jf);
}

static void settle_item(struct plait_journal_file *jf, const struct item *item)
{
    if (!item->hashed)
        plait_tally_put_back(&jf->tally, item->block, item->turn);
    else if (plait_tally_settle(&jf->tally, item->block, item->turn))
        list_block(jf, item);
}

static bool take_item(struct plait_journal_file *jf, struct item *item)
{
    if (!plait_tally_take(&jf->tally, &item->block))
        return false;
    item->turn = jf->tally.blocks[item->block].turn;
    item->hashed = false;
    return true;
}

static void flush_rest(struct plait_journal_file *jf)
{
    uint64_t until = uv_hrtime() + FLUSH_NS; /* how long it takes is what is limited here */
    struct item item;

    while (!jf->broken && uv_hrtime() < until && take_item(jf, &item)) {
        hash_item(jf, &item);
        settle_item(jf, &item);
    }
    flush_out(jf);
}

static void on_hashed(void *ctx)
{
    struct plait_journal_file *jf = ctx;
    bool full = jf->item_count == BATCH;

    for (size_t i = 0; i < jf->item_count; i++)
        settle_item(jf, &jf->items[i]);
    flush_out(jf);
    if (jf->stopped != NULL) {
        flush_rest(jf);
        jf->stopped(jf->config.ctx);
    } else if (full) {
        plait_journal_file_tick(jf);
    }
}

void plait_journal_file_tick(struct plait_journal_file *jf)
{
    if (jf->work.busy || jf->broken || jf->stopped != NULL)
        return;
    flush_out(jf);
    for (jf->item_count = 0; jf->item_count < BATCH && take_item(jf, &jf->items[jf->item_count]);
         jf->item_count++)
        ;
    if (jf->item_count > 0)
        plait_work_start(&jf->work);
}

void plait_journal_file_stop(struct plait_journal_file *jf, void (*stopped)(void *ctx))
{
    jf->stopped = stopped;
    atomic_store(&jf->cancel, true);
    if (jf->work.busy)
        return;
    flush_rest(jf);
    stopped(jf->config.ctx);
}

void plait_journal_file_mute(struct plait_journal_file *jf)
{
    jf->muted_of_use |= plait_journal_file_is_of_use(jf);
    jf->broken = true;
    atomic_store(&jf->cancel, true);
}

bool plait_journal_file_is_of_use(const struct plait_journal_file *jf)
{
    return jf->muted_of_use || (jf->listed && !jf->broken);
}

bool plait_journal_file_is_busy(const struct plait_journal_file *jf)
{
    return jf->work.busy;
}

void plait_journal_file_add(struct plait_journal_file *jf, uint64_t lo, uint64_t hi, int source)
{
    plait_tally_add(&jf->tally, lo, hi, source);
}

void plait_journal_file_take_back(struct plait_journal_file *jf, uint64_t lo, uint64_t hi)
{
    plait_tally_take_back(&jf->tally, lo, hi, unlist_block, jf);
}

struct plait_journal_file *plait_journal_file_new(const struct plait_journal_file_config *config)
{
    struct plait_journal_file *jf = calloc(1, sizeof *jf);

    if (jf == NULL)
        return NULL;
    jf->config = *config;
    jf->fd = -1;
    uint64_t total = config->live ? PLAIT_JOURNAL_TOTAL_UNKNOWN : config->total;
    jf->block_size = config->block_size != 0 ? config->block_size : plait_journal_block_size(total);
    for (int i = 0; i < PLAIT_FETCH_SOURCES_MAX; i++)
        jf->numbers[i] = -1;
    plait_work_init(&jf->work, config->loop, run_hash, on_hashed, jf);
    jf->block = malloc(jf->block_size);
    jf->out_room = malloc(TEXT_ROOM);
    if (jf->block == NULL || jf->out_room == NULL ||
        plait_tally_init(&jf->tally, config->total, jf->block_size) != PLAIT_OK) {
        plait_journal_file_free(jf);
        return NULL;
    }
    plait_writer_init(&jf->out, jf->out_room, TEXT_ROOM);
    return jf;
}

void plait_journal_file_begin(struct plait_journal_file *jf)
{
    if (jf->config.total >= RESERVE_FROM && ensure_file(jf))
        flush_out(jf);
}

/* Numbers go on from the old journal's; sources that it describes as we would keep theirs. */
static void adopt_numbers(struct plait_journal_file *jf, const struct plait_journal *old)
{
    jf->next_number = (uint16_t)old->source_count;
    for (int i = 0; i < PLAIT_FETCH_SOURCES_MAX && jf->config.sources[i].shown != NULL; i++) {
        for (size_t k = 0; k < old->source_count; k++) {
            if (strcmp(old->sources[k].url, jf->config.sources[i].shown) != 0)
                continue;
            jf->numbers[i] = (int)k;
            jf->described[i] = plait_source_version(old->sources[k].etag, old->sources[k].last_modified);
        }
    }
}

static int source_of_number(const struct plait_journal_file *jf, uint16_t number)
{
    for (int i = 0; i < PLAIT_FETCH_SOURCES_MAX; i++)
        if (jf->numbers[i] == number)
            return i;
    return PLAIT_FETCH_NO_SOURCE;
}

int plait_journal_file_reopen(struct plait_journal_file *jf, const struct plait_journal *old, size_t good_len,
                              const bool *good)
{
    jf->fd = plait_open_own(jf->config.path, O_APPEND, 0);
    if (jf->fd < 0 || ftruncate(jf->fd, (off_t)good_len) != 0)
        return PLAIT_ERR_IO;
    adopt_numbers(jf, old);
    for (size_t i = 0; i < old->block_count; i++) {
        uint64_t block = old->blocks[i].index;
        jf->listed |= good[i];
        if (good[i])
            plait_tally_set_settled(&jf->tally, (size_t)block, source_of_number(jf, old->blocks[i].source));
        else
            unlist_block(jf, (size_t)block);
    }
    flush_out(jf);
    return PLAIT_OK;
}

void plait_journal_file_free(struct plait_journal_file *jf)
{
    if (jf == NULL)
        return;
    if (jf->fd >= 0)
        close(jf->fd);
    plait_tally_done(&jf->tally);
    free(jf->block);
    free(jf->out_room);
    free(jf);
}
