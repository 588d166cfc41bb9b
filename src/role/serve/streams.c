/*
 * Requests about groups, on libmicrohttpd's threads: what they may do is found out under the lock; what has
 * changed for connections that wait is told to their pump.
 */
#include "streams_int.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

uint64_t streams_lock(struct plait_streams *s)
{
    struct timespec t;

    pthread_mutex_lock(&s->lock);
    clock_gettime(CLOCK_MONOTONIC, &t);
    s->now = plait_max_u64(s->now, (uint64_t)t.tv_sec * PLAIT_S + (uint64_t)t.tv_nsec);
    return s->now;
}

void streams_unlock(struct plait_streams *s)
{
    pthread_mutex_unlock(&s->lock);
}

/* Crowds. */

static struct crowd **bucket_of(struct plait_streams *s, const struct plait_share *share)
{
    uint64_t h = (uint64_t)(uintptr_t)share * UINT64_C(0x9e3779b97f4a7c15);

    return &s->crowds[h >> 56 & (CROWD_BUCKETS - 1)];
}

static struct crowd *find_crowd(struct plait_streams *s, const struct plait_share *share)
{
    struct crowd *c = *bucket_of(s, share);

    while (c != NULL && c->share != share)
        c = c->next;
    return c;
}

static struct pump *idlest_pump(struct plait_streams *s)
{
    struct pump *best = &s->pumps[0];

    for (unsigned i = 1; i < s->pump_count; i++)
        if (s->pumps[i].crowd_count < best->crowd_count)
            best = &s->pumps[i];
    return best;
}

static struct crowd *add_crowd(struct plait_streams *s, struct plait_share *share)
{
    struct crowd *c = calloc(1, sizeof *c);
    struct crowd **bucket = bucket_of(s, share);
    struct plait_share_status status;

    if (c == NULL)
        return NULL;
    plait_share_get_status(share, &status);
    c->share = share;
    c->live = status.live;
    c->pump = idlest_pump(s);
    c->pump->crowd_count++;
    c->due = PLAIT_NEVER;
    c->heap_at = NOT_IN_HEAP;
    c->next = *bucket;
    *bucket = c;
    return c;
}

void streams_drop_empty(struct plait_streams *s, struct crowd *c)
{
    struct crowd **at = bucket_of(s, c->share);

    if (c->flow_count > 0 || c->poked)
        return;
    assert(c->present == 0 && c->heap_at == NOT_IN_HEAP);
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    c->pump->crowd_count--;
    free(c);
}

void streams_poke(struct crowd *c)
{
    if (c->poked)
        return;
    c->poked = true;
    c->next_poked = c->pump->poked;
    c->pump->poked = c;
}

void streams_close(struct plait_streams *s, struct plait_flow *f, enum plait_share_end how)
{
    plait_share_close(f->crowd->share, s->now, f->conn, how);
    f->is_open = false;
    f->crowd->flow_count--;
}

/* Requests. */

static struct plait_streams_verdict verdict_of_found(enum plait_share_found found)
{
    static const unsigned statuses[] = {
        [PLAIT_SHARE_FOUND] = MHD_HTTP_OK,
        [PLAIT_SHARE_NEW] = MHD_HTTP_OK,
        [PLAIT_SHARE_UNKNOWN_GROUP] = MHD_HTTP_NOT_FOUND,
        [PLAIT_SHARE_OTHER_VERSION] = MHD_HTTP_CONFLICT,
        [PLAIT_SHARE_FORBIDDEN] = MHD_HTTP_FORBIDDEN,
        [PLAIT_SHARE_OTHER_BLOCK] = MHD_HTTP_BAD_REQUEST,
        [PLAIT_SHARE_FULL] = MHD_HTTP_SERVICE_UNAVAILABLE,
    };

    return (struct plait_streams_verdict){.status = statuses[found]};
}

static struct plait_streams_verdict verdict_of_error(int rc, uint64_t at)
{
    switch (rc) {
    case PLAIT_ERR_STATE:
        return (struct plait_streams_verdict){.status = MHD_HTTP_CONFLICT, .has_at = true, .at = at};
    case PLAIT_ERR_LIMIT:
        return (struct plait_streams_verdict){.status = MHD_HTTP_TOO_MANY_REQUESTS};
    case PLAIT_ERR_RANGE:
        return (struct plait_streams_verdict){.status = MHD_HTTP_RANGE_NOT_SATISFIABLE};
    case PLAIT_ERR_NOTFOUND:
        return (struct plait_streams_verdict){.status = MHD_HTTP_NOT_FOUND};
    case PLAIT_ERR_NOMEM:
        return (struct plait_streams_verdict){.status = MHD_HTTP_SERVICE_UNAVAILABLE};
    default:
        return (struct plait_streams_verdict){.status = MHD_HTTP_BAD_REQUEST};
    }
}

/* The connection gets its place. Under the lock. */
static int open_flow(struct plait_streams *s, struct plait_flow *f, struct plait_share *share,
                     const struct plait_stream_ask *ask)
{
    const struct plait_share_request r = {
        .letter = ask->letter,
        .span = ask->span,
        .pattern = ask->has_pattern ? &ask->pattern : NULL,
        .blocks = ask->blocks,
        .count = ask->block_count,
    };
    int conn = plait_share_open(share, s->now, &r);

    if (conn < 0)
        return conn;
    f->crowd = find_crowd(s, share);
    if (f->crowd == NULL)
        f->crowd = add_crowd(s, share);
    if (f->crowd == NULL) {
        plait_share_close(share, s->now, conn, PLAIT_SHARE_BROKEN);
        return PLAIT_ERR_NOMEM;
    }
    f->conn = conn;
    f->is_open = true;
    f->crowd->flow_count++;
    streams_poke(f->crowd);
    return PLAIT_OK;
}

static struct plait_streams_verdict enter(struct plait_streams *s, struct plait_flow *f,
                                          const struct plait_stream_ask *ask,
                                          const struct plait_streams_file *file)
{
    const struct plait_share_config config = {.block_bytes = ask->block_bytes,
                                              .size = file->size,
                                              .live = file->live,
                                              .conns_max = PLAIT_STREAMS_CONNS_MAX};
    struct plait_share *share;
    enum plait_share_found found =
        plait_share_table_enter(s->table, s->now, ask->id, &file->bond, &config, &share);

    if (found != PLAIT_SHARE_FOUND && found != PLAIT_SHARE_NEW)
        return verdict_of_found(found);
    int rc = open_flow(s, f, share, ask);
    return rc == PLAIT_OK ? verdict_of_found(found) : verdict_of_error(rc, 0);
}

void plait_streams_enter(struct plait_streams *s, const struct plait_stream_ask *ask,
                         const struct plait_streams_file *file, struct plait_flow **flow,
                         struct plait_streams_verdict *verdict)
{
    struct plait_flow *f = calloc(1, sizeof *f);

    if (f == NULL) {
        *verdict = (struct plait_streams_verdict){.status = MHD_HTTP_SERVICE_UNAVAILABLE};
        return;
    }
    streams_lock(s);
    *verdict = enter(s, f, ask, file);
    streams_unlock(s);
    if (verdict->status != MHD_HTTP_OK || f->crowd == NULL) {
        free(f);
        return;
    }
    f->streams = s;
    f->file = file->fd;
    f->size = file->size;
    f->mtime_ns = file->mtime_ns;
    f->bare = file->bare;
    f->block_bytes = ask->block_bytes;
    pump_wake(f->crowd->pump);
    *flow = f;
}

static struct plait_streams_verdict steer(struct plait_streams *s, struct plait_share *share,
                                          const struct plait_stream_ask *ask)
{
    uint64_t at = 0;
    int rc = ask->block_count > 0
                 ? plait_share_ask(share, s->now, ask->letter, ask->blocks, ask->block_count)
                 : plait_share_steer(share, s->now, ask->span, ask->has_pattern ? &ask->pattern : NULL, &at);

    if (rc != PLAIT_OK)
        return verdict_of_error(rc, at);
    return (struct plait_streams_verdict){.status = MHD_HTTP_NO_CONTENT};
}

void plait_streams_steer(struct plait_streams *s, const struct plait_stream_ask *ask,
                         const struct plait_share_bond *bond, struct plait_streams_verdict *verdict)
{
    struct plait_share *share;
    struct pump *pump = NULL;

    streams_lock(s);
    enum plait_share_found found = plait_share_table_find(s->table, s->now, ask->id, bond, &share);
    *verdict = found == PLAIT_SHARE_FOUND ? steer(s, share, ask) : verdict_of_found(found);
    struct crowd *c = verdict->status == MHD_HTTP_NO_CONTENT ? find_crowd(s, share) : NULL;
    if (c != NULL) {
        streams_poke(c);
        pump = c->pump;
    }
    streams_unlock(s);
    if (pump != NULL)
        pump_wake(pump);
}

/* The answer's body, for libmicrohttpd. */

/*
 * libmicrohttpd (0.9.75, with epoll) forgets a connection whose body ends before its size was known, until it happens to
 * look at those that have been idle for longest. At those with a time of their own it looks each time.
 */
static void be_looked_at(const struct plait_flow *f)
{
    unsigned usual_s = (f->streams->stall_ms + 999) / 1000;

    (void)MHD_set_connection_option(f->connection, MHD_CONNECTION_OPTION_TIMEOUT, usual_s == 1 ? 2u : 1u);
}

/* Asked for bytes it is given none: the pump takes the connection over, and when it is asked again all is over. */
static ssize_t take_body(void *cls, uint64_t at, char *out, size_t max)
{
    struct plait_flow *f = cls;

    (void)at;
    (void)out;
    (void)max;
    if (f->state == FLOW_NEW && pump_take(f->crowd->pump, f))
        return 0;
    be_looked_at(f);
    return f->whole ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void free_flow(void *cls)
{
    struct plait_flow *f = cls;
    struct plait_streams *s = f->streams;
    struct pump *pump = NULL;

    streams_lock(s);
    if (f->is_open) { /* it never came to the pump */
        streams_close(s, f, PLAIT_SHARE_BROKEN);
        streams_poke(f->crowd);
        pump = f->crowd->pump;
    }
    streams_unlock(s);
    if (pump != NULL)
        pump_wake(pump);
    close(f->file);
    free(f);
}

struct MHD_Response *plait_flow_response(struct plait_flow *f, struct MHD_Connection *connection,
                                         uint64_t *sent)
{
    f->connection = connection;
    f->sent = sent;
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 1, take_body, f, free_flow);
    if (response == NULL) {
        free_flow(f);
        return NULL;
    }
    /* Frames go past libmicrohttpd, so it must not cut them into chunks: the body ends with the connection. */
    (void)MHD_set_response_options(response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
    return response;
}

/* Beginning and end. */

int plait_streams_new(struct plait_streams **out, const struct plait_streams_options *o)
{
    struct plait_streams *s = calloc(1, sizeof *s);
    int rc = PLAIT_OK;

    assert(o->pumps >= 1 && o->pumps <= PLAIT_STREAMS_PUMPS_MAX);
    if (s == NULL)
        return PLAIT_ERR_NOMEM;
    pthread_mutex_init(&s->lock, NULL);
    atomic_init(&s->leaving, false);
    s->stall_ms = o->stall_ms;
    s->live = o->live;
    s->table = plait_share_table_new(o->groups);
    if (s->table == NULL)
        rc = PLAIT_ERR_NOMEM;
    while (rc == PLAIT_OK && s->pump_count < o->pumps)
        rc = pump_start(&s->pumps[s->pump_count++], s, o->groups);
    if (rc == PLAIT_OK) {
        *out = s;
        return PLAIT_OK;
    }
    int error = errno;
    plait_streams_free(s);
    errno = error;
    return rc;
}

void plait_streams_leave(struct plait_streams *s)
{
    atomic_store(&s->leaving, true);
    streams_lock(s);
    for (unsigned i = 0; i < CROWD_BUCKETS; i++)
        for (struct crowd *c = s->crowds[i]; c != NULL; c = c->next)
            streams_poke(c);
    streams_unlock(s);
    for (unsigned i = 0; i < s->pump_count; i++)
        pump_wake(&s->pumps[i]);
}

void plait_streams_stop(struct plait_streams *s)
{
    for (unsigned i = 0; i < s->pump_count; i++)
        pump_stop(&s->pumps[i]);
}

void plait_streams_free(struct plait_streams *s)
{
    if (s == NULL)
        return;
    plait_streams_stop(s);
    for (unsigned i = 0; i < s->pump_count; i++)
        pump_done(&s->pumps[i]);
    for (unsigned i = 0; i < CROWD_BUCKETS; i++) {
        while (s->crowds[i] != NULL) {
            struct crowd *c = s->crowds[i];
            s->crowds[i] = c->next;
            free(c);
        }
    }
    plait_share_table_free(s->table);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
