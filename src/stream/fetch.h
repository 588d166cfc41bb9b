/*
 * The receiving end of a stream that lies on several sources and is fetched by byte ranges over several
 * paths.
 *
 * Pure: no I/O, no clock. The owner (a role, or the simulator) carries out the commands and reports what
 * happens:
 *
 *      owner                                  fetch
 *      add_source, add_path             ->
 *      poll_send                        <-    OPEN lane [lo, hi) · CLOSE lane
 *      on_connected, on_head, recv,     ->    store->write(offset, bytes)        bytes to keep, each once
 *      on_end
 *      next_deadline / on_deadline      <->   silence, retries, growth
 *      next_event                       <-    what people and logs want to know
 *      status                           <-    running, done, failed and why
 *
 * Words. A *source* holds a copy of the stream; a *path* is one source through one route; a *lane* is one
 * connection of a path, and carries one request at a time. Rates are shared by the lanes of a path, so
 * estimates are kept per path.
 *
 * The work of a lane is a byte range. It may be cut while it runs (its tail is stolen by a lane that would
 * finish sooner), or be doubled (endgame); whoever delivers a byte first has it stored, later copies are
 * dropped and counted.
 *
 * Copies are compared. Where a request begins next to bytes of another source it begins a few KiB early, and
 * this seam is compared instead of stored; and a small block in every few MiB is fetched from a second
 * source. What differs is decided by a majority of the sources; where there is none, by the digest if one is
 * known (see plait_fetch_reject_content); where nothing decides the fetch fails with
 * PLAIT_FETCH_FAIL_CONFLICT.
 *
 * Streams. A source that takes part in parallel HTTP (doc/protocol.md) says so in its heads. Where enough is left to
 * be worth it, idle lanes of its paths become *streams*: the source pushes the blocks that the plan gives to its
 * *letter*, without being asked again. The plan goes on ahead of what arrives, by earliest arrival from the rates
 * measured so far, and is told to the sources by steering (STEER, on_steered): one request at a time for each, but for
 * those that only go on with the plan, of which some are not waited for.
 * Blocks of the plan are ranges of the same block map, owned by the letter in place of a lane: they are
 * kept, compared, released and taken over like any others, so that streams and ranges mix in one transfer.
 * A path has the letter of its source, together with the other paths of it, unless it was given one of its own.
 *
 * Live. A stream that is still being written at its sources (they say so in their heads) has no size yet; it is followed
 * until it is closed. See fetch_live.c for how, and for when it counts as whole.
 *
 * After any call that takes `now`, call poll_send until it is false and look at next_deadline again. Calls
 * never re-enter. `now` never goes back.
 */
#ifndef PLAIT_STREAM_FETCH_H
#define PLAIT_STREAM_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define PLAIT_FETCH_SOURCES_MAX 64
#define PLAIT_FETCH_PATHS_MAX   128
#define PLAIT_FETCH_LANES_MAX   48 /* of one path */
#define PLAIT_FETCH_STEERS_MAX  6  /* whose answers are waited for at a time, of one source */
#define PLAIT_FETCH_UNKNOWN     UINT64_MAX
#define PLAIT_FETCH_NO_SOURCE   (-1)

struct plait_fetch;
struct plait_span; /* wire/plait_field.h */

/* Where the bytes go. Called from within recv and add_*; must not call back into the fetch. */
struct plait_fetch_store {
    void *ctx; /* borrows */
    /* Keep `len` bytes at `offset`; never called twice for a byte unless it was taken back. 0 or
     * PLAIT_ERR_IO. */
    int (*write)(void *ctx, uint64_t offset, const uint8_t *bytes, size_t len, int source);
    /* Read kept bytes again. PLAIT_ERR_NOTFOUND where they are gone (already emitted to a pipe). */
    int (*read)(void *ctx, uint64_t offset, uint8_t *bytes, size_t len);
    /* The bytes [lo, hi) that were kept are not to be trusted and will be written anew. */
    void (*take_back)(void *ctx, uint64_t lo, uint64_t hi);
};

struct plait_fetch_config {
    struct plait_fetch_store store;
    uint64_t size; /* of the stream if known beforehand (Metalink, journal), else PLAIT_FETCH_UNKNOWN */
    uint64_t
        window_bytes;    /* > 0: output in order, bytes are kept only within this much of what was emitted */
    unsigned lanes_max;  /* per path, 1..PLAIT_FETCH_LANES_MAX; 0 = the default */
    uint64_t give_up_ns; /* without one useful byte for this long the fetch fails; 0 = the default, 120 s */
    bool digest_known;   /* the owner will verify the whole and call reject_content if it does not match */
    uint64_t seed;       /* for the choice of audited blocks */
    bool streams;        /* lanes of sources that take part may become streams */
    unsigned redundant;  /* everything is asked of so many sources, the first to arrive counts; 0, 1 = one */
};

enum plait_fetch_fail {
    PLAIT_FETCH_FAIL_NONE,
    PLAIT_FETCH_FAIL_NO_SOURCE,   /* every source refused, or its content was condemned */
    PLAIT_FETCH_FAIL_UNREACHABLE, /* no useful byte for give_up_ns, or no path could ever connect */
    PLAIT_FETCH_FAIL_CONFLICT,    /* two sources differ and nothing decides: conflict_source_a/_b,
                                     conflict_offset */
    PLAIT_FETCH_FAIL_SIZES, /* two sources state different sizes and nothing decides; or a live stream was
                                     closed before bytes that are there already */
    PLAIT_FETCH_FAIL_CHANGED, /* the only source changed its version meanwhile, or what was resumed is another */
    PLAIT_FETCH_FAIL_TAINTED,   /* bytes of a condemned source were already emitted */
    PLAIT_FETCH_FAIL_NO_RESUME, /* a source without ranges broke off, and cannot be continued safely */
    PLAIT_FETCH_FAIL_CONTENT,   /* no choice of sources gives the known digest */
    PLAIT_FETCH_FAIL_STORE,     /* store->write failed */
    PLAIT_FETCH_FAIL_NOMEM,
};

struct plait_fetch_status {
    bool done; /* all bytes of a known size are kept; the owner still has to verify digests */
    enum plait_fetch_fail fail;
    int conflict_source_a, conflict_source_b;
    uint64_t conflict_offset;
    uint64_t size;         /* or PLAIT_FETCH_UNKNOWN */
    uint64_t kept_bytes;   /* distinct bytes kept */
    uint64_t prefix_bytes; /* kept without a gap from 0: what may be emitted */
    uint64_t dup_bytes;    /* received and dropped because another was first */
    uint64_t check_bytes;  /* received to be compared */
    uint64_t eta_ns;       /* from now, or PLAIT_NEVER */
    double rate;           /* bytes/s, all paths */
    bool live;             /* it is still being written; the size is not known before it is closed */
    uint64_t there_bytes;  /* live: so many its sources have now, as far as they have told */
};

enum plait_fetch_cmd_kind {
    PLAIT_FETCH_OPEN,  /* request [lo, hi) on this lane, on its idle connection if it has one */
    PLAIT_FETCH_CLOSE, /* abort the lane's request and drop its connection; no on_end is to be reported for it
                        */
    PLAIT_FETCH_STEER, /* a steering request to the path's source, on a connection of its own that no other waits
                          on for an answer: see below */
};

/* Which blocks: by a span with a pattern, or by name. */
struct plait_fetch_stream {
    uint8_t letter;
    uint32_t block_bytes;
    uint64_t first, last;            /* the span, inclusive */
    const uint8_t *pattern;          /* letters, from `first` on. Borrowed until the next call */
    size_t pattern_len;              /* 0 = none */
    const struct plait_span *blocks; /* named ones, in place of span and pattern. Likewise */
    size_t block_count;              /* 0 = span and pattern */
};

struct plait_fetch_cmd {
    enum plait_fetch_cmd_kind kind;
    int lane;
    int path;
    uint64_t lo, hi; /* OPEN: hi == PLAIT_FETCH_UNKNOWN asks for everything from lo on */
    bool whole;      /* OPEN: ask without Range (the source is known not to serve ranges); lo is 0 */
    bool is_stream;  /* OPEN: no range but `stream` is asked for */
    struct plait_fetch_stream stream; /* OPEN of a stream, STEER */
    uint32_t serial;                  /* STEER: to be given back; lane is −1 */
};

enum plait_fetch_head_kind {
    PLAIT_FETCH_HEAD_PARTIAL,     /* 206: exactly [lo, hi) of `size` follows */
    PLAIT_FETCH_HEAD_WHOLE,       /* 200: everything from 0 on follows; size may be unknown */
    PLAIT_FETCH_HEAD_UNSATISFIED, /* 416: the range lies beyond the end; size if stated */
    PLAIT_FETCH_HEAD_FRAMES,      /* 200: frames of block_bytes follow; size may be unknown */
};

struct plait_fetch_head {
    enum plait_fetch_head_kind kind;
    uint64_t lo, hi;  /* PARTIAL */
    uint64_t size;    /* of the whole stream as this source states it, or PLAIT_FETCH_UNKNOWN */
    uint64_t version; /* a hash of the validator (strong ETag, else Last-Modified), 0 = none */
    bool strong;      /* the version comes from a strong validator */
    bool takes_part;  /* in parallel HTTP */
    bool live;        /* PARTIAL, UNSATISFIED: it is still being written, and `size` is what is there now */
    uint32_t block_bytes; /* FRAMES */
};

/* What the owner should do with the body after a head. */
enum plait_fetch_verdict {
    PLAIT_FETCH_READ,  /* go on: recv the body */
    PLAIT_FETCH_ABORT, /* drop the connection; the lane is idle again, no on_end is to be reported */
};

enum plait_fetch_outcome {
    PLAIT_FETCH_END_COMPLETE,    /* the response ended as its own framing says */
    PLAIT_FETCH_END_BROKEN,      /* the connection broke or the body was malformed; worth another try */
    PLAIT_FETCH_END_UNREACHABLE, /* no connection could be made; tried again in the background */
    PLAIT_FETCH_END_BUSY,        /* 429, 503: not now (retry_after_ns), or not so many connections */
    PLAIT_FETCH_END_ROUTE,   /* this route can never reach the source (no such interface, proxy refuses): path
                                is left out */
    PLAIT_FETCH_END_REFUSED, /* the source will never serve this (404, 401, bad certificate): source is left
                                out */
};

enum plait_fetch_path_state {
    PLAIT_FETCH_PATH_NEW,    /* nothing received yet */
    PLAIT_FETCH_PATH_ACTIVE, /* carries work, or could */
    PLAIT_FETCH_PATH_SILENT, /* stopped answering; its work was given away, tried again in the background */
    PLAIT_FETCH_PATH_WAIT,   /* backs off until retry_ns (busy, unreachable, broken) */
    PLAIT_FETCH_PATH_OUT,    /* left out for good: refused, condemned, or removed */
};

struct plait_fetch_path_info {
    int source;
    enum plait_fetch_path_state state;
    double rate;          /* bytes/s, present estimate; 0 = unknown */
    uint64_t rtt_ns;      /* least connect time seen, 0 = unknown */
    uint64_t kept_bytes;  /* bytes kept from this path */
    uint64_t dup_bytes;   /* bytes that came too late or were never wanted */
    uint64_t check_bytes; /* bytes compared */
    unsigned lanes_busy;
    unsigned errors;
    uint64_t retry_ns; /* WAIT, SILENT: when it is tried again */
    int letter;        /* −1 = none */
    unsigned streams;  /* of its lanes */
};

enum plait_fetch_event_kind {
    PLAIT_FETCH_EV_SIZE,       /* the size became known: `bytes` */
    PLAIT_FETCH_EV_PATH_STATE, /* `path` is now in `state` */
    PLAIT_FETCH_EV_STEAL,      /* `path` took `bytes` from `other_path` */
    PLAIT_FETCH_EV_NO_RANGES,  /* `source` does not serve ranges */
    PLAIT_FETCH_EV_DIFFERS,   /* `source` differs from `other_source` at offset `bytes`; a third or the digest
                                 will decide */
    PLAIT_FETCH_EV_CONDEMNED, /* `source` is dropped: its content, size or version is wrong; `bytes` are
                                 fetched again */
    PLAIT_FETCH_EV_SIZE_DIFFERS, /* `source` states size `bytes`, not ours */
    PLAIT_FETCH_EV_CHANGED,      /* `source` changed its version */
    PLAIT_FETCH_EV_STREAM,       /* `path` has its first stream, of blocks of `bytes` */
    PLAIT_FETCH_EV_REPATTERN,    /* `source` is slower than was planned: `bytes` go to others */
    PLAIT_FETCH_EV_NO_STREAM, /* `source` is only asked for ranges from now on: it did not do as it was asked */
    PLAIT_FETCH_EV_LIVE,      /* the stream is still being written at `source` (the first to say so) */
    PLAIT_FETCH_EV_LIVE_ENDED, /* at `source` it was closed, with `bytes` */
};

struct plait_fetch_event {
    enum plait_fetch_event_kind kind;
    int path, other_path;
    int source, other_source;
    enum plait_fetch_path_state state;
    uint64_t bytes;
};

/* Returns owned, or NULL (out of memory, or a config outside the contract). */
struct plait_fetch *plait_fetch_new(const struct plait_fetch_config *config, uint64_t now);
void plait_fetch_free(struct plait_fetch *f);

/* Lower priority value = preferred where two differ and only the digest can decide. Returns its index, or
 * negative. */
int plait_fetch_add_source(struct plait_fetch *f, unsigned priority);
/* Returns the path's index (0, 1, 2 …), or negative. Paths may be added at any time; there is no removing,
 * see stop_path. */
int plait_fetch_add_path(struct plait_fetch *f, uint64_t now, int source);
/* Take a path out for good, e.g. because its interface vanished; its lanes get CLOSE. */
void plait_fetch_stop_path(struct plait_fetch *f, uint64_t now, int path);
/* There is reason to think that the path works again: it is tried now if it waits to be. */
void plait_fetch_hurry_path(struct plait_fetch *f, uint64_t now, int path);
/* A digest became known on the way (a header told it); as digest_known in the config. */
void plait_fetch_set_digest_known(struct plait_fetch *f);
/* In order: from now on the owner emits only what piece hashes have verified, whoever brought it. */
void plait_fetch_set_emits_verified(struct plait_fetch *f);
/* Resume: [lo, hi) is already kept and was verified; `source` it came from, or PLAIT_FETCH_NO_SOURCE. Before
 * any path. */
int plait_fetch_resume(struct plait_fetch *f, uint64_t lo, uint64_t hi, int source) PLAIT_MUST_USE;
/* Resume: what the journal knows of a source's version; a source that states another has changed. */
void plait_fetch_expect_version(struct plait_fetch *f, int source, uint64_t version);

/* The path has a letter of its own, because its source cannot see how it does (it leads through a proxy). Before its
 * first command. */
void plait_fetch_set_own_letter(struct plait_fetch *f, int path);

enum plait_fetch_steered {
    PLAIT_FETCH_STEERED_DONE,   /* 204 */
    PLAIT_FETCH_STEERED_LATE,   /* 409 with Plait-At: `at` */
    PLAIT_FETCH_STEERED_LOST,   /* 404: the group, or the letter, is not known there (any more) */
    PLAIT_FETCH_STEERED_BROKEN, /* no answer, or one that says to try again */
    PLAIT_FETCH_STEERED_REFUSED,
};

/* The answer to the steering request `serial`; ignored where that is no longer waited for. */
void plait_fetch_on_steered(struct plait_fetch *f, uint64_t now, uint32_t serial,
                            enum plait_fetch_steered how, uint64_t at);

/* The TCP connection of the lane stands; rtt_ns as its handshake measured it (0 = unknown). */
void plait_fetch_on_connected(struct plait_fetch *f, uint64_t now, int lane, uint64_t rtt_ns);
enum plait_fetch_verdict plait_fetch_on_head(struct plait_fetch *f, uint64_t now, int lane,
                                             const struct plait_fetch_head *head);
/* Body bytes of the lane's response, in their order. ABORT as for on_head: nothing more of this body is
 * wanted. */
enum plait_fetch_verdict plait_fetch_recv(struct plait_fetch *f, uint64_t now, int lane, const uint8_t *bytes,
                                          size_t len);
/* The lane's request ended. retry_after_ns only for BUSY (0 = not stated). */
void plait_fetch_on_end(struct plait_fetch *f, uint64_t now, int lane, enum plait_fetch_outcome outcome,
                        uint64_t retry_after_ns);
/* In-order mode: everything before `offset` has left; the window moves. */
void plait_fetch_on_emitted(struct plait_fetch *f, uint64_t now, uint64_t offset);

/*
 * The owner verified what is kept and found [lo, hi) wrong (a piece hash, or the whole for the digest). A
 * piece that came from one source condemns it; otherwise the piece is fetched again from one source. For the
 * whole, the next choice of agreeing sources is tried; when none is left the status is
 * PLAIT_FETCH_FAIL_CONTENT.
 */
void plait_fetch_reject_content(struct plait_fetch *f, uint64_t now, uint64_t lo, uint64_t hi);

/* The next command, until false. */
bool plait_fetch_poll_send(struct plait_fetch *f, uint64_t now, struct plait_fetch_cmd *cmd);
uint64_t plait_fetch_next_deadline(const struct plait_fetch *f);
void plait_fetch_on_deadline(struct plait_fetch *f, uint64_t now);

/* Oldest event not yet taken, until false. At most a fixed number are kept; the oldest are lost first. */
bool plait_fetch_next_event(struct plait_fetch *f, struct plait_fetch_event *event);
void plait_fetch_get_status(const struct plait_fetch *f, uint64_t now, struct plait_fetch_status *out);
int plait_fetch_path_count(const struct plait_fetch *f);
void plait_fetch_get_path(const struct plait_fetch *f, uint64_t now, int path,
                          struct plait_fetch_path_info *out);
/* The letters of the latest `max` blocks of the plan, at most; returns how many. */
size_t plait_fetch_get_pattern(const struct plait_fetch *f, uint8_t *letters, size_t max);
/* Kept ranges in order, for the journal: the first one that ends after `from`. False when there is none. */
bool plait_fetch_kept_range(const struct plait_fetch *f, uint64_t from, uint64_t *lo, uint64_t *hi,
                            int *source);

#endif
