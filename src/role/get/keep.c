/*
 * What is done with the bytes that come: the fetch's store, the journal of the file, the digests.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "file.h"
#include "get_int.h"
#include "units.h"

#define LIVE_BYTES_MIN (64 * PLAIT_MIB)

/* ---- the store ---- */

static bool is_watched(struct plait_get *g, uint64_t hi)
{
    if (g->watched_size == PLAIT_FETCH_UNKNOWN || g->watch_stale)
        return false;
    g->watch_stale = hi > g->watched_size; /* the size is just being changed; all will be counted anew */
    return !g->watch_stale;
}

static int store_write(void *ctx, uint64_t offset, const uint8_t *bytes, size_t len, int source)
{
    struct plait_get *g = ctx;

    if (g->sink == NULL || g->sink->ops->write(g->sink, offset, bytes, len) != PLAIT_OK) {
        g->sink_failed = true;
        return PLAIT_ERR_IO;
    }
    if (!is_watched(g, offset + len))
        return PLAIT_OK;
    if (g->journal != NULL)
        plait_journal_file_add(g->journal, offset, offset + len, source);
    if (g->have_pieces)
        plait_pieces_add(&g->pieces, offset, offset + len);
    return PLAIT_OK;
}

static int store_read(void *ctx, uint64_t offset, uint8_t *bytes, size_t len)
{
    struct plait_get *g = ctx;

    return g->sink == NULL ? PLAIT_ERR_NOTFOUND : g->sink->ops->read(g->sink, offset, bytes, len);
}

static void store_take_back(void *ctx, uint64_t lo, uint64_t hi)
{
    struct plait_get *g = ctx;

    if (g->chasing)
        plait_chaser_take_back(&g->chaser, lo);
    if (!is_watched(g, hi))
        return;
    if (g->journal != NULL)
        plait_journal_file_take_back(g->journal, lo, hi);
    if (g->have_pieces)
        plait_pieces_take_back(&g->pieces, lo, hi);
}

struct plait_fetch_store get_store(struct plait_get *g)
{
    return (struct plait_fetch_store){g, store_write, store_read, store_take_back};
}

/* ---- the digest of the whole ---- */

void get_know_digest(struct plait_get *g, const struct plait_digest *digest, enum get_digest_origin origin,
                     const char *teller)
{
    char hex[2 * PLAIT_DIGEST_LEN_MAX + 1], text[2 * PLAIT_DIGEST_LEN_MAX + 32];

    if (g->digest.alg != PLAIT_DIGEST_NONE || g->claims_differ)
        return;
    g->digest = *digest;
    g->digest_origin = origin;
    g->digest_state = PLAIT_GET_DIGEST_OPEN;
    snprintf(g->digest_teller, sizeof g->digest_teller, "%s", teller);
    if (g->fetch != NULL)
        plait_fetch_set_digest_known(g->fetch);
    if (plait_hex_encode(digest->bytes, digest->len, hex, sizeof hex) == PLAIT_OK) {
        snprintf(text, sizeof text, "%s=%s", plait_digest_alg_name(digest->alg), hex);
        get_tell(g, PLAIT_GET_EV_DIGEST, -1, 0, text);
    }
}

/* What cannot be computed here is as good as unknown, but is to be said. */
static void cannot_verify(struct plait_get *g, const char *why)
{
    get_say(g, PLAIT_GET_WARNING, "the %s digest cannot be verified: %s",
            plait_digest_alg_name(g->digest.alg), why);
    g->digest.alg = PLAIT_DIGEST_NONE;
}

static void on_chaser_moved(void *ctx)
{
    (void)ctx; /* pump() looks */
}

static void follow_digest(struct plait_get *g)
{
    if (g->digest.alg == PLAIT_DIGEST_NONE || g->sink == NULL || g->chasing)
        return;
    if (g->sink->in_order) {
        if (!plait_sink_pipe_hash(g->sink, g->digest.alg))
            cannot_verify(g, "it became known when bytes had left already");
        return;
    }
    if (plait_chaser_init(&g->chaser, &g->loop, g->sink->fd, g->digest.alg, on_chaser_moved, g) == PLAIT_OK)
        g->chasing = true;
    else
        cannot_verify(g, "this machine's OpenSSL does not compute it");
}

static bool is_whole_good(struct plait_get *g)
{
    struct plait_digest is;

    if (g->digest.alg == PLAIT_DIGEST_NONE || g->digest_state == PLAIT_GET_DIGEST_GOOD)
        return true;
    if (!plait_chaser_finish(&g->chaser, g->status.size, &is))
        return false;
    if (plait_digest_equal(&is, &g->digest)) {
        g->digest_state = PLAIT_GET_DIGEST_GOOD;
        return true;
    }
    g->digest_state = PLAIT_GET_DIGEST_WRONG;
    plait_fetch_reject_content(g->fetch, g->loop.now, 0, g->status.size);
    plait_fetch_get_status(g->fetch, g->loop.now, &g->status);
    if (g->status.fail == PLAIT_FETCH_FAIL_NONE) /* otherwise that is told as the reason of the failure */
        get_say(g, PLAIT_GET_WARNING,
                "the content does not have the %s digest that %s; it is fetched otherwise",
                plait_digest_alg_name(g->digest.alg), g->digest_teller);
    get_back_to_fetch(g);
    return false;
}

void get_judge_pipe(struct plait_get *g)
{
    struct plait_digest is;

    if (g->digest.alg == PLAIT_DIGEST_NONE)
        return;
    plait_sink_pipe_digest(g->sink, &is);
    g->digest_state = plait_digest_equal(&is, &g->digest) ? PLAIT_GET_DIGEST_GOOD : PLAIT_GET_DIGEST_WRONG;
    if (g->digest_state == PLAIT_GET_DIGEST_WRONG)
        get_end(g, PLAIT_GET_CONTENT,
                "the bytes that were written out are wrong: they do not have the %s digest that %s; throw "
                "them away",
                plait_digest_alg_name(g->digest.alg), g->digest_teller);
}

/* ---- the journal and the pieces ---- */

static void on_journal_failed(void *ctx)
{
    struct plait_get *g = ctx;

    get_say(g, PLAIT_GET_WARNING,
            "%s cannot be written: %s; if this run is stopped it cannot be gone on with",
            plait_sink_file_journal(g->sink), strerror(errno));
}

static void on_piece_judged(void *ctx, uint64_t lo, uint64_t hi, bool good)
{
    struct plait_get *g = ctx;
    struct plait_get_event event = {
        .kind = PLAIT_GET_EV_REJECTED, .path = -1, .offset = lo, .bytes = hi - lo, .text = ""};

    if (good || g->fetch == NULL || (g->stage != STAGE_FETCH && g->stage != STAGE_VERIFY))
        return;
    event.at_ns = g->loop.now - g->started;
    if (g->listener->event != NULL)
        g->listener->event(g->listener->ctx, &event);
    get_say(g, PLAIT_GET_WARNING,
            "the piece from byte %llu to %llu does not have its digest and is fetched again",
            (unsigned long long)lo, (unsigned long long)hi);
    plait_fetch_reject_content(g->fetch, g->loop.now, lo, hi);
    get_back_to_fetch(g);
}

static void start_journal(struct plait_get *g, uint64_t size)
{
    struct plait_journal_file_config config = {
        .loop = &g->loop,
        .path = plait_sink_file_journal(g->sink),
        .data_fd = g->sink->fd,
        .total = size,
        .live = g->status.live,
        .digest = g->digest,
        .sources = g->sources,
        .failed = on_journal_failed,
        .ctx = g,
    };
    bool goes_on = g->resume_used && g->resume.journal.header.total == size;

    if (goes_on)
        config.block_size = g->resume.journal.header.block_size;
    g->journal = plait_journal_file_new(&config);
    if (g->journal != NULL && !goes_on)
        plait_journal_file_begin(g->journal);
    else if (g->journal != NULL &&
             plait_journal_file_reopen(g->journal, &g->resume.journal, g->resume.good_len, g->resume.good) !=
                 PLAIT_OK) {
        on_journal_failed(g);
        plait_journal_file_free(g->journal);
        g->journal = NULL;
    }
}

static int read_part(void *ctx, uint64_t offset, void *bytes, size_t len)
{
    struct plait_get *g = ctx;

    return g->sink->in_order ? plait_sink_pipe_peek(g->sink, offset, bytes, len)
                             : plait_pread_all(g->sink->fd, bytes, len, offset);
}

/* In order, a piece is only let out when it is good; that needs room for more than one of them. */
static bool fit_window(const struct plait_get *g)
{
    return !g->sink->in_order || g->piece_list->length <= g->window_bytes / 2;
}

static void start_pieces(struct plait_get *g, uint64_t size)
{
    struct plait_reader_at source = {read_part, g};

    if (g->piece_list == NULL || g->have_pieces)
        return;
    if (!fit_window(g))
        get_say(g, PLAIT_GET_NOTE, "the pieces are too long for the buffer; only the whole is verified");
    else if (g->emitted > 0)
        get_say(g, PLAIT_GET_NOTE, "the digests of the pieces came too late; only the whole is verified");
    else if (plait_pieces_init(&g->pieces, &g->loop, source, size, g->piece_list, on_piece_judged, g) ==
             PLAIT_OK) {
        g->have_pieces = true;
        if (g->sink->in_order)
            plait_fetch_set_emits_verified(g->fetch);
    } else {
        get_say(g, PLAIT_GET_WARNING,
                "the digests of the pieces cannot be used: they do not fit the size, or cannot "
                "be computed here");
    }
    if (!g->have_pieces)
        g->piece_list = NULL;
}

/* Counts what is there already. Of a journal that is gone on with, its good blocks are counted. */
static void count_kept(struct plait_get *g, bool journal, bool pieces)
{
    uint64_t lo, hi = 0;
    int source;

    while (plait_fetch_kept_range(g->fetch, hi, &lo, &hi, &source)) {
        if (journal && g->journal != NULL)
            plait_journal_file_add(g->journal, lo, hi, source);
        if (pieces && g->have_pieces)
            plait_pieces_add(&g->pieces, lo, hi);
    }
}

static bool drop_watch(struct plait_get *g)
{
    if (g->journal != NULL && plait_journal_file_is_busy(g->journal))
        return false;
    if (g->have_pieces && g->pieces.work.busy)
        return false;
    plait_journal_file_free(g->journal);
    g->journal = NULL;
    if (g->have_pieces)
        plait_pieces_done(&g->pieces);
    g->have_pieces = false;
    g->watched_size = PLAIT_FETCH_UNKNOWN;
    g->watch_stale = false;
    return true;
}

/* What is looked after: all of it, or while it is being written so much that there is room for a while. */
static uint64_t size_to_watch(const struct plait_get *g)
{
    uint64_t size = LIVE_BYTES_MIN;

    if (!g->status.live)
        return g->status.size;
    while (size < PLAIT_JOURNAL_TOTAL_MAX / 2 &&
           size <= plait_max_u64(g->status.there_bytes, g->status.kept_bytes))
        size *= 2;
    return g->sink->in_order ? PLAIT_FETCH_UNKNOWN : size;
}

static void watch(struct plait_get *g)
{
    uint64_t size = size_to_watch(g);

    if (size == PLAIT_FETCH_UNKNOWN)
        return;
    if (g->watched_size != PLAIT_FETCH_UNKNOWN && (g->watched_size != size || g->watch_stale)) {
        g->watch_stale = true;
        if (!drop_watch(g))
            return;
    }
    if (g->watched_size == PLAIT_FETCH_UNKNOWN) {
        if (!g->sink->in_order && !g->status.live && plait_sink_file_reserve(g->sink, size) != PLAIT_OK) {
            get_end(g, PLAIT_GET_LOCAL, "%s", g->sink->error);
            return;
        }
        g->watched_size = size;
        if (!g->sink->in_order)
            start_journal(g, size);
        if (!g->status.live)
            start_pieces(g, size);
        count_kept(g, !(g->resume_used && g->resume.journal.header.total == size), true);
    } else if (g->piece_list != NULL && !g->have_pieces && !g->status.live) {
        start_pieces(g, size);
        count_kept(g, false, true);
    }
}

/* What is there without a gap, and good as far as that can be told. */
static uint64_t may_leave(struct plait_get *g)
{
    uint64_t prefix = g->status.prefix_bytes;

    return g->have_pieces ? plait_min_u64(prefix, plait_pieces_prefix(&g->pieces)) : prefix;
}

void get_keep_up(struct plait_get *g)
{
    if (g->sink == NULL)
        return;
    watch(g);
    follow_digest(g);
    if (g->have_pieces)
        plait_pieces_tick(&g->pieces);
    if (g->chasing)
        plait_chaser_advance(&g->chaser, g->status.prefix_bytes);
    if (!g->sink_failed)
        g->sink->ops->advance(g->sink, may_leave(g));
}

bool get_is_verified(struct plait_get *g)
{
    if (g->have_pieces && !plait_pieces_are_good(&g->pieces)) {
        plait_pieces_tick(&g->pieces);
        return false;
    }
    if (!g->sink->in_order)
        return is_whole_good(g);
    g->sink->ops->advance(g->sink, may_leave(g)); /* its digest is known when all has left */
    return true;
}

bool get_keepers_busy(const struct plait_get *g)
{
    return (g->journal != NULL && plait_journal_file_is_busy(g->journal)) ||
           (g->chasing && g->chaser.work.busy) || (g->have_pieces && g->pieces.work.busy) ||
           (g->resume_loaded && g->resume.work.busy);
}

void get_cancel_keepers(struct plait_get *g)
{
    if (g->chasing)
        atomic_store(&g->chaser.cancel, true);
    if (g->have_pieces)
        atomic_store(&g->pieces.cancel, true);
    if (g->resume_loaded)
        plait_resume_cancel(&g->resume);
}

void get_free_keepers(struct plait_get *g)
{
    (void)drop_watch(g);
    if (g->chasing)
        plait_chaser_done(&g->chaser);
    g->chasing = false;
    if (g->resume_loaded)
        plait_resume_done(&g->resume);
    g->resume_loaded = false;
}
