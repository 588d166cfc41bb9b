#include "reply_stream.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "etag.h"
#include "frame.h"
#include "reply.h"
#include "units.h"

static enum MHD_Result take_field(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    plait_stream_ask_take(cls, name, value);
    return MHD_YES;
}

bool plait_reply_stream_asked(const struct plait_exchange *x, struct plait_stream_ask *ask)
{
    if (plait_exchange_field(x, "Plait-Stream") == NULL)
        return false;
    plait_stream_ask_init(ask);
    (void)MHD_get_connection_values(x->connection, MHD_HEADER_KIND, take_field, ask);
    return plait_stream_ask_is(ask);
}

static bool hash(const char *s, uint8_t out[32])
{
    return EVP_Digest(s, strlen(s), out, NULL, EVP_sha256(), NULL) == 1;
}

/* The file that a request is about. */
struct subject {
    int fd; /* owned, until it goes to the streams */
    struct stat st;
    const char *path;
    enum plait_live_kind live;
    struct plait_version version;
    char tag[PLAIT_ETAG_SIZE]; /* of a version that was live a moment ago */
};

/* What the table of contents knows of the file. */
static enum plait_live_hint hint_of(const struct plait_exchange *x, const struct subject *f)
{
    struct plait_contents_found found;

    if (x->server->contents == NULL || !plait_contents_find(x->server->contents, f->path, NULL, &found))
        return PLAIT_LIVE_NO_HINT;
    if (found.writing)
        return PLAIT_LIVE_SEEN_OPEN;
    /* Events may be late: only what is as it was seen to be is known to be closed. */
    return found.version.ino == f->st.st_ino && found.version.size == (uint64_t)f->st.st_size &&
                   found.version.mtime_ns == plait_mtime_ns(&f->st)
               ? PLAIT_LIVE_SEEN_CLOSED
               : PLAIT_LIVE_NO_HINT;
}

static void look_at(const struct plait_exchange *x, struct subject *f)
{
    f->live = plait_live_look(x->server->live, f->fd, &f->st, x->began_ns, x->at_ns, hint_of(x, f), f->tag);
    plait_version_of(&f->st, x->at_ns, &f->version);
    if (f->live != PLAIT_LIVE_GROWING)
        return;
    memcpy(f->version.etag, f->tag, sizeof f->version.etag);
    f->version.weak = f->version.date_is_strong = false;
}

/* What the group is bound to. False: no memory. */
static bool make_bond(const struct plait_exchange *x, const char *path, const char *etag,
                      struct plait_share_bond *bond)
{
    const char *credentials = plait_exchange_field(x, MHD_HTTP_HEADER_AUTHORIZATION);

    memset(bond, 0, sizeof *bond);
    return hash(path, bond->resource) && hash(etag, bond->version) &&
           (credentials == NULL || hash(credentials, bond->credentials));
}

static void add_number(struct MHD_Response *response, const char *name, uint64_t number)
{
    char value[PLAIT_FIELD_NUMBER_SIZE + 1];

    snprintf(value, sizeof value, "%" PRIu64, number);
    plait_reply_add(response, name, value);
}

/* Any answer but a body of frames. */
static enum MHD_Result send_verdict(struct plait_exchange *x, const struct plait_streams_verdict *verdict,
                                    uint64_t size)
{
    char value[64];
    size_t len = 0;

    if (verdict->status == MHD_HTTP_NO_CONTENT)
        return plait_reply_send(x, MHD_HTTP_NO_CONTENT,
                                MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT), 0, -1, 0);
    struct MHD_Response *response = plait_reply_make_error(verdict->status, &len);
    if (verdict->has_at)
        add_number(response, "Plait-At", verdict->at);
    if (verdict->status == MHD_HTTP_RANGE_NOT_SATISFIABLE) {
        snprintf(value, sizeof value, "bytes */%" PRIu64, size);
        plait_reply_add(response, MHD_HTTP_HEADER_CONTENT_RANGE, value);
    }
    if (verdict->status == MHD_HTTP_SERVICE_UNAVAILABLE || verdict->status == MHD_HTTP_TOO_MANY_REQUESTS)
        plait_reply_add(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    plait_reply_add(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    return plait_reply_send(x, verdict->status, response, len, -1, 0);
}

static enum MHD_Result send_frames(struct plait_exchange *x, const struct plait_stream_ask *ask,
                                   struct plait_flow *flow, const struct subject *f)
{
    struct MHD_Response *response = plait_flow_response(flow, x->connection, &x->body_len);

    plait_reply_add(response, MHD_HTTP_HEADER_CONTENT_TYPE, PLAIT_FRAME_MEDIA_TYPE);
    plait_reply_add(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    add_number(response, "Plait-Block", ask->block_bytes);
    if (f->live != PLAIT_LIVE_GROWING) {
        add_number(response, "Plait-Size", (uint64_t)f->st.st_size);
        plait_reply_add_version(x, response, &f->st, &f->version, f->path);
    } else {
        plait_reply_add(response, MHD_HTTP_HEADER_ETAG, f->version.etag);
    }
    return plait_reply_send(x, MHD_HTTP_OK, response, 0, -1, 0);
}

static void enter(struct plait_exchange *x, const struct plait_stream_ask *ask, struct subject *f,
                  const char *etag, struct plait_flow **flow, struct plait_streams_verdict *verdict)
{
    struct plait_streams_file file = {
        .fd = f->fd,
        .size = (uint64_t)f->st.st_size,
        .mtime_ns = plait_mtime_ns(&f->st),
        .live = f->live == PLAIT_LIVE_GROWING,
    };

    if (make_bond(x, f->path, etag, &file.bond))
        plait_streams_enter(x->server->streams, ask, &file, flow, verdict);
}

/* Whether the group is of another version, but perhaps of the one that this was while it was live. */
static bool is_of_live(const struct plait_streams_verdict *verdict, const struct subject *f)
{
    return verdict->status == MHD_HTTP_CONFLICT && !verdict->has_at && f->live == PLAIT_LIVE_FINISHED;
}

static enum MHD_Result open_stream(struct plait_exchange *x, const struct plait_stream_ask *ask,
                                   struct subject *f)
{
    struct plait_streams_verdict verdict = {.status = MHD_HTTP_SERVICE_UNAVAILABLE};
    struct plait_flow *flow = NULL;

    enter(x, ask, f, f->version.etag, &flow, &verdict);
    if (is_of_live(&verdict, f)) {
        memcpy(f->version.etag, f->tag, sizeof f->version.etag);
        enter(x, ask, f, f->tag, &flow, &verdict);
    }
    if (verdict.status == MHD_HTTP_OK)
        return send_frames(x, ask, flow, f);
    close(f->fd);
    return send_verdict(x, &verdict, (uint64_t)f->st.st_size);
}

static void steer(struct plait_exchange *x, const struct plait_stream_ask *ask, const struct subject *f,
                  const char *etag, struct plait_streams_verdict *verdict)
{
    struct plait_share_bond bond;

    if (make_bond(x, f->path, etag, &bond))
        plait_streams_steer(x->server->streams, ask, &bond, verdict);
}

static enum MHD_Result steer_stream(struct plait_exchange *x, const struct plait_stream_ask *ask,
                                    const struct subject *f)
{
    struct plait_streams_verdict verdict = {.status = MHD_HTTP_SERVICE_UNAVAILABLE};

    steer(x, ask, f, f->version.etag, &verdict);
    if (is_of_live(&verdict, f))
        steer(x, ask, f, f->tag, &verdict);
    return send_verdict(x, &verdict, (uint64_t)f->st.st_size);
}

/* The status that the request's conditions lead to, or 0. */
static unsigned judge(const struct plait_exchange *x, const struct subject *f, bool is_post)
{
    const struct plait_conditions conditions = {
        .if_match = plait_exchange_field(x, MHD_HTTP_HEADER_IF_MATCH),
        .if_none_match = is_post ? NULL : plait_exchange_field(x, MHD_HTTP_HEADER_IF_NONE_MATCH),
    };
    struct plait_version other = f->version;

    /* A version that could change without its tag cannot be cut into blocks. */
    if (f->version.weak)
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    enum plait_verdict verdict = plait_conditions_judge(&conditions, &f->version);
    memcpy(other.etag, f->tag, sizeof other.etag);
    if (verdict == PLAIT_VERDICT_FAILED && f->live == PLAIT_LIVE_FINISHED)
        verdict = plait_conditions_judge(&conditions, &other);
    return verdict == PLAIT_VERDICT_FAILED       ? MHD_HTTP_PRECONDITION_FAILED
           : verdict == PLAIT_VERDICT_UNMODIFIED ? MHD_HTTP_NOT_MODIFIED
                                                 : 0;
}

enum MHD_Result plait_reply_stream(struct plait_exchange *x, const struct plait_stream_ask *ask, int fd,
                                   const struct stat *st, const char *path)
{
    bool is_post = strcmp(x->method, MHD_HTTP_METHOD_POST) == 0;
    struct plait_streams_verdict refusal = {.status = MHD_HTTP_BAD_REQUEST};
    struct subject f = {.fd = fd, .st = *st, .path = path};
    enum plait_stream_ask_kind kind = plait_stream_ask_judge(ask, is_post);

    look_at(x, &f);
    if (kind != PLAIT_STREAM_ASK_BAD)
        refusal.status = judge(x, &f, is_post);
    if (refusal.status == 0 && kind == PLAIT_STREAM_ASK_OPEN)
        return open_stream(x, ask, &f);
    close(fd);
    return refusal.status == 0 ? steer_stream(x, ask, &f) : send_verdict(x, &refusal, 0);
}

/* Plain answers. */

bool plait_reply_stream_grows(const struct plait_exchange *x, int fd, struct stat *st, const char *path)
{
    struct subject f = {.fd = fd, .st = *st, .path = path};

    if (x->at_ns - plait_mtime_ns(st) > (int64_t)PLAIT_LIVE_HELD_NS)
        return false;
    look_at(x, &f);
    *st = f.st;
    return f.live == PLAIT_LIVE_GROWING;
}

/* A plain body that follows its file: the stream's bytes from a group of its own, without frames. */

static bool ask_for_all(struct plait_stream_ask *ask)
{
    plait_stream_ask_init(ask);
    ask->block_bytes = PLAIT_BLOCK_BYTES_MIN;
    ask->span.last = PLAIT_SPAN_OPEN;
    return getrandom(ask->id, sizeof ask->id, 0) == (ssize_t)sizeof ask->id;
}

enum MHD_Result plait_reply_growing(struct plait_exchange *x, int fd, const struct stat *st, const char *path,
                                    bool *answered)
{
    struct plait_streams_verdict verdict = {.status = MHD_HTTP_SERVICE_UNAVAILABLE};
    struct subject f = {.fd = fd, .st = *st, .path = path};
    struct plait_flow *flow = NULL;
    struct plait_stream_ask ask;

    look_at(x, &f);
    *answered = f.live == PLAIT_LIVE_GROWING && judge(x, &f, false) == 0;
    if (!*answered)
        return MHD_NO;
    struct plait_streams_file file = {.fd = fd, .size = (uint64_t)f.st.st_size, .live = true, .bare = true};
    if (ask_for_all(&ask) && make_bond(x, path, f.version.etag, &file.bond))
        plait_streams_enter(x->server->streams, &ask, &file, &flow, &verdict);
    if (verdict.status != MHD_HTTP_OK) {
        close(fd);
        return send_verdict(x, &verdict, 0);
    }
    struct MHD_Response *response = plait_flow_response(flow, x->connection, &x->body_len);
    plait_reply_add(response, MHD_HTTP_HEADER_CONTENT_TYPE, plait_mime_of(&x->server->mime, path));
    plait_reply_add(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    plait_reply_add(response, MHD_HTTP_HEADER_ETAG, f.version.etag);
    return plait_reply_send(x, MHD_HTTP_OK, response, 0, -1, 0);
}
