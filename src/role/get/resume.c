#include "resume.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "units.h"

#define JOURNAL_BYTES_MAX ((size_t)(256 * PLAIT_MIB))

static uint64_t block_count(const struct plait_journal_header *h)
{
    return h->total / h->block_size + (h->total % h->block_size != 0);
}

static size_t block_len(const struct plait_journal_header *h, uint64_t index)
{
    return (size_t)plait_min_u64(h->block_size, h->total - index * h->block_size);
}

static int check_header(const struct plait_journal *j, const struct plait_digest *digest,
                        char why[PLAIT_RESUME_WHY_MAX])
{
    const char *reason = NULL;

    if (!j->has_header)
        reason = "its journal holds nothing";
    else if (digest->alg != PLAIT_DIGEST_NONE && j->header.digest.alg == digest->alg &&
             !plait_digest_equal(digest, &j->header.digest))
        reason = "another digest is asked for now";
    if (reason == NULL)
        return PLAIT_OK;
    snprintf(why, PLAIT_RESUME_WHY_MAX, "%s", reason);
    return PLAIT_ERR_FORMAT;
}

static int replay(struct plait_resume *r, int fd, char why[PLAIT_RESUME_WHY_MAX])
{
    uint8_t *bytes;
    size_t len;
    int err = plait_read_file(fd, JOURNAL_BYTES_MAX, &bytes, &len);

    if (err != PLAIT_OK) {
        snprintf(why, PLAIT_RESUME_WHY_MAX, "its journal cannot be read");
        return err == PLAIT_ERR_NOMEM ? err : PLAIT_ERR_FORMAT;
    }
    err = plait_journal_replay(bytes, len, &r->journal, &r->good_len);
    free(bytes);
    if (err == PLAIT_OK || err == PLAIT_ERR_NOMEM)
        return err;
    snprintf(why, PLAIT_RESUME_WHY_MAX, "its journal is %s", plait_err_name(err));
    return PLAIT_ERR_FORMAT;
}

static int load(struct plait_resume *r, int fd, const struct plait_digest *digest,
                char why[PLAIT_RESUME_WHY_MAX])
{
    int err = replay(r, fd, why);

    if (err != PLAIT_OK)
        return err;
    err = check_header(&r->journal, digest, why);
    r->good = calloc(r->journal.block_count + 1, sizeof *r->good);
    if (r->good == NULL)
        err = PLAIT_ERR_NOMEM;
    if (err != PLAIT_OK) {
        plait_resume_done(r);
        return err;
    }
    for (size_t i = 0; i < r->journal.block_count; i++)
        if (r->journal.blocks[i].index < block_count(&r->journal.header))
            r->total_bytes += block_len(&r->journal.header, r->journal.blocks[i].index);
    return PLAIT_OK;
}

int plait_resume_load(struct plait_resume *r, const char *journal_path, const struct plait_digest *digest,
                      char why[PLAIT_RESUME_WHY_MAX])
{
    int fd, err;

    memset(r, 0, sizeof *r);
    fd = plait_open_own(journal_path, 0, 0);
    if (fd < 0 && errno == ENOENT)
        return PLAIT_ERR_NOTFOUND;
    if (fd < 0) {
        snprintf(why, PLAIT_RESUME_WHY_MAX, "its journal cannot be opened: %s", strerror(errno));
        return PLAIT_ERR_FORMAT;
    }
    err = load(r, fd, digest, why);
    close(fd);
    return err;
}

static bool is_good(struct plait_resume *r, const struct plait_journal_block *b, uint8_t *room)
{
    const struct plait_journal_header *h = &r->journal.header;
    size_t len;

    if (b->index >= block_count(h))
        return false;
    len = block_len(h, b->index);
    atomic_fetch_add(&r->read_bytes, len);
    return plait_pread_all(r->data_fd, room, len, b->index * h->block_size) == PLAIT_OK &&
           plait_journal_hash(room, len) == b->hash;
}

static void run_read(void *ctx)
{
    struct plait_resume *r = ctx;
    uint8_t *room = malloc(r->journal.header.block_size);

    for (size_t i = 0; room != NULL && i < r->journal.block_count && !atomic_load(&r->cancel); i++) {
        r->good[i] = is_good(r, &r->journal.blocks[i], room);
        if (r->good[i])
            r->good_bytes += block_len(&r->journal.header, r->journal.blocks[i].index);
    }
    free(room);
}

static void on_read(void *ctx)
{
    struct plait_resume *r = ctx;

    r->done(r->ctx);
}

void plait_resume_start(struct plait_resume *r, struct plait_loop *loop, int data_fd, void (*done)(void *ctx),
                        void *ctx)
{
    r->data_fd = data_fd;
    r->done = done;
    r->ctx = ctx;
    plait_work_init(&r->work, loop, run_read, on_read, r);
    plait_work_start(&r->work);
}

void plait_resume_cancel(struct plait_resume *r)
{
    atomic_store(&r->cancel, true);
}

void plait_resume_done(struct plait_resume *r)
{
    plait_journal_done(&r->journal);
    free(r->good);
    r->good = NULL;
}
