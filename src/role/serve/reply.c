#include "reply.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "etag.h"
#include "listing.h"
#include "multipart.h"
#include "range.h"
#include "units.h"

#define METHODS        "GET, HEAD, OPTIONS"
/* What is read at once of a body that does not go straight from the file; each such answer has this much memory. */
#define READ_SIZE      (64 * PLAIT_KIB)
/* From here on the kernel may read further ahead than it would of itself. */
#define READ_AHEAD_MIN PLAIT_MIB

void plait_reply_add(struct MHD_Response *response, const char *name, const char *value)
{
    /* Without memory a field is missing; the answer is still true. */
    if (response != NULL)
        (void)MHD_add_response_header(response, name, value);
}

enum MHD_Result plait_reply_send(struct plait_exchange *x, unsigned status, struct MHD_Response *response,
                                 uint64_t body_len, int file_fd, uint64_t file_end)
{
    if (response == NULL)
        return MHD_NO;
    plait_reply_add(response, "Plait", "1");
    if (atomic_load(&x->server->leaving))
        plait_reply_add(response, MHD_HTTP_HEADER_CONNECTION, "close");
    x->status = status;
    x->body_len = x->head ? 0 : body_len;
    plait_clients_answering(x->server->clients, x->fd, file_fd, file_end);
    enum MHD_Result result = MHD_queue_response(x->connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result send_text(struct plait_exchange *x, unsigned status, struct MHD_Response *response,
                                 uint64_t len)
{
    plait_reply_add(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache");
    return plait_reply_send(x, status, response, len, -1, 0);
}

struct MHD_Response *plait_reply_make_error(unsigned status, size_t *len)
{
    char text[128];
    int n = snprintf(text, sizeof text, "%u %s\n", status, MHD_get_reason_phrase_for(status));

    *len = plait_min_u64((uint64_t)n, sizeof text - 1);
    struct MHD_Response *response = MHD_create_response_from_buffer(*len, text, MHD_RESPMEM_MUST_COPY);
    plait_reply_add(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; charset=utf-8");
    return response;
}

enum MHD_Result plait_reply_error(struct plait_exchange *x, unsigned status)
{
    size_t len;
    struct MHD_Response *response = plait_reply_make_error(status, &len);

    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        plait_reply_add(response, MHD_HTTP_HEADER_ALLOW, METHODS);
    if (status == MHD_HTTP_SERVICE_UNAVAILABLE)
        plait_reply_add(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    return send_text(x, status, response, len);
}

enum MHD_Result plait_reply_options(struct plait_exchange *x)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);

    plait_reply_add(response, MHD_HTTP_HEADER_ALLOW, METHODS);
    return plait_reply_send(x, MHD_HTTP_NO_CONTENT, response, 0, -1, 0);
}

enum MHD_Result plait_reply_slash(struct plait_exchange *x)
{
    char path[3 * PLAIT_TARGET_PATH_SIZE + 1], location[sizeof path + 2];
    size_t len;

    if (plait_target_encode(x->target.path, path, sizeof path) != PLAIT_OK)
        return plait_reply_error(x, MHD_HTTP_NOT_FOUND);
    snprintf(location, sizeof location, "/%s/", path);
    struct MHD_Response *response = plait_reply_make_error(MHD_HTTP_MOVED_PERMANENTLY, &len);
    plait_reply_add(response, MHD_HTTP_HEADER_LOCATION, location);
    return send_text(x, MHD_HTTP_MOVED_PERMANENTLY, response, len);
}

enum MHD_Result plait_reply_listing(struct plait_exchange *x, int fd, bool json)
{
    struct plait_server *s = x->server;
    struct plait_listing listing;
    char *text = NULL;
    size_t len = 0;
    int rc = plait_listing_read(&listing, &s->root, fd, x->target.path, s->dotfiles);

    if (rc == PLAIT_OK) {
        rc = json ? plait_listing_json(&listing, x->target.path, s->digests, &text, &len)
                  : plait_listing_html(&listing, x->target.path, &text, &len);
        plait_listing_done(&listing);
    }
    if (rc != PLAIT_OK)
        return plait_reply_error(x, MHD_HTTP_INTERNAL_SERVER_ERROR);
    struct MHD_Response *response = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
    if (response == NULL)
        free(text);
    plait_reply_add(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                    json ? "application/json" : "text/html; charset=utf-8");
    plait_reply_add(response, MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ACCEPT);
    return send_text(x, MHD_HTTP_OK, response, len);
}

/* Files. */

struct file {
    int fd; /* owned, until it goes to a response */
    const struct stat *st;
    const char *path, *type;
    uint64_t size;
    struct plait_version version;
};

/* RFC 9530: of the whole file, whatever part of it is sent. */
static void add_digest(struct plait_exchange *x, struct MHD_Response *response, const struct stat *st,
                       const char *path)
{
    char value[64] = "sha-256=:";
    uint8_t sha256[PLAIT_SHA256_LEN];

    if (x->server->digests == NULL)
        return;
    if (!plait_digest_cache_find(x->server->digests, st, sha256)) {
        plait_digest_cache_ask(x->server->digests, path, st);
        return;
    }
    size_t len = strlen(value);
    len += (size_t)EVP_EncodeBlock((unsigned char *)value + len, sha256, sizeof sha256);
    value[len++] = ':';
    value[len] = '\0';
    plait_reply_add(response, "Repr-Digest", value);
}

void plait_reply_add_version(struct plait_exchange *x, struct MHD_Response *response, const struct stat *st,
                             const struct plait_version *version, const char *path)
{
    plait_reply_add(response, MHD_HTTP_HEADER_ETAG, version->etag);
    if (version->last_modified[0] != '\0')
        plait_reply_add(response, MHD_HTTP_HEADER_LAST_MODIFIED, version->last_modified);
    add_digest(x, response, st, path);
}

static void add_version(struct plait_exchange *x, const struct file *f, struct MHD_Response *response)
{
    plait_reply_add_version(x, response, f->st, &f->version, f->path);
    if (x->growing)
        plait_reply_add(response, "Plait-Live", "1");
    plait_reply_add(response, MHD_HTTP_HEADER_ACCEPT_RANGES, "bytes");
}

/* For TLS, whose records are made in our memory: read here, in larger pieces than libmicrohttpd would. */
struct body {
    int fd; /* owned */
    uint64_t lo;
};

static ssize_t read_body(void *cls, uint64_t at, char *out, size_t max)
{
    const struct body *b = cls;
    ssize_t n;

    do
        n = pread(b->fd, out, max, (off_t)(b->lo + at));
    while (n < 0 && errno == EINTR);
    return n > 0 ? n : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void free_body(void *cls)
{
    struct body *b = cls;

    close(b->fd);
    free(b);
}

static struct MHD_Response *make_body(int fd, uint64_t lo, uint64_t len)
{
    struct body *b = malloc(sizeof *b);

    if (b == NULL) {
        close(fd);
        return NULL;
    }
    *b = (struct body){fd, lo};
    size_t room = (size_t)plait_clamp_u64(len, 1, READ_SIZE);
    struct MHD_Response *response = MHD_create_response_from_callback(len, room, read_body, b, free_body);
    if (response == NULL)
        free_body(b);
    return response;
}

static struct MHD_Response *take_file(const struct plait_exchange *x, struct file *f, uint64_t lo,
                                      uint64_t len)
{
    if (len >= READ_AHEAD_MIN)
        (void)posix_fadvise(f->fd, (off_t)lo, (off_t)len, POSIX_FADV_SEQUENTIAL);
    if (x->server->tls != NULL)
        return make_body(f->fd, lo, len);
    struct MHD_Response *response = MHD_create_response_from_fd_at_offset64(len, f->fd, lo);
    if (response == NULL)
        close(f->fd);
    return response;
}

static enum MHD_Result send_whole(struct plait_exchange *x, struct file *f, unsigned status)
{
    int fd = f->fd;
    struct MHD_Response *response = take_file(x, f, 0, f->size);

    add_version(x, f, response);
    if (status == MHD_HTTP_OK)
        plait_reply_add(response, MHD_HTTP_HEADER_CONTENT_TYPE, f->type);
    return plait_reply_send(x, status, response, status == MHD_HTTP_OK ? f->size : 0, fd, f->size);
}

static enum MHD_Result send_range(struct plait_exchange *x, struct file *f, struct plait_range range)
{
    char value[80];
    int fd = f->fd;
    struct MHD_Response *response = take_file(x, f, range.lo, range.hi - range.lo);

    snprintf(value, sizeof value, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, range.lo, range.hi - 1, f->size);
    add_version(x, f, response);
    plait_reply_add(response, MHD_HTTP_HEADER_CONTENT_TYPE, f->type);
    plait_reply_add(response, MHD_HTTP_HEADER_CONTENT_RANGE, value);
    return plait_reply_send(x, MHD_HTTP_PARTIAL_CONTENT, response, range.hi - range.lo, fd, range.hi);
}

static ssize_t read_parts(void *cls, uint64_t at, char *out, size_t max)
{
    ssize_t n = plait_multipart_read(cls, at, out, max);

    return n > 0 ? n : n == 0 ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void free_parts(void *cls)
{
    plait_multipart_free(cls);
}

static enum MHD_Result send_parts(struct plait_exchange *x, struct file *f,
                                  const struct plait_range_set *ranges)
{
    char type[64 + PLAIT_BOUNDARY_SIZE];
    struct plait_multipart *parts;

    if (plait_multipart_new(&parts, f->fd, f->size, f->type, ranges) != PLAIT_OK)
        return MHD_NO;
    uint64_t len = plait_multipart_len(parts);
    snprintf(type, sizeof type, "multipart/byteranges; boundary=%s", plait_multipart_boundary(parts));
    struct MHD_Response *response =
        MHD_create_response_from_callback(len, READ_SIZE, read_parts, parts, free_parts);
    if (response == NULL)
        plait_multipart_free(parts);
    add_version(x, f, response);
    plait_reply_add(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    return plait_reply_send(x, MHD_HTTP_PARTIAL_CONTENT, response, len, -1, 0);
}

static enum MHD_Result send_unsatisfiable(struct plait_exchange *x, struct file *f)
{
    char value[64];
    size_t len;
    struct MHD_Response *response = plait_reply_make_error(MHD_HTTP_RANGE_NOT_SATISFIABLE, &len);

    close(f->fd);
    snprintf(value, sizeof value, "bytes */%" PRIu64, f->size);
    plait_reply_add(response, MHD_HTTP_HEADER_CONTENT_RANGE, value);
    if (x->growing) /* what is asked for may come yet */
        plait_reply_add(response, "Plait-Live", "1");
    return plait_reply_send(x, MHD_HTTP_RANGE_NOT_SATISFIABLE, response, len, -1, 0);
}

/* Range is defined for GET alone (RFC 9110 section 14.2). */
static enum MHD_Result send_ranges(struct plait_exchange *x, struct file *f)
{
    const char *range = x->head ? NULL : plait_exchange_field(x, MHD_HTTP_HEADER_RANGE);
    struct plait_range_set set;

    if (range == NULL ||
        !plait_if_range_holds(plait_exchange_field(x, MHD_HTTP_HEADER_IF_RANGE), &f->version))
        return send_whole(x, f, MHD_HTTP_OK);
    int rc = plait_range_parse(range, strlen(range), f->size, &set);
    if (rc == PLAIT_ERR_RANGE)
        return send_unsatisfiable(x, f);
    if (rc != PLAIT_OK)
        return send_whole(x, f, MHD_HTTP_OK);
    return set.count == 1 ? send_range(x, f, set.at[0]) : send_parts(x, f, &set);
}

enum MHD_Result plait_reply_file(struct plait_exchange *x, int fd, const struct stat *st, const char *path)
{
    struct file f = {
        fd, st, path, plait_mime_of(&x->server->mime, path), (uint64_t)st->st_size, {.weak = false}};
    struct plait_conditions conditions = {
        .if_match = plait_exchange_field(x, MHD_HTTP_HEADER_IF_MATCH),
        .if_none_match = plait_exchange_field(x, MHD_HTTP_HEADER_IF_NONE_MATCH),
        .if_modified_since = plait_exchange_field(x, MHD_HTTP_HEADER_IF_MODIFIED_SINCE),
        .if_unmodified_since = plait_exchange_field(x, MHD_HTTP_HEADER_IF_UNMODIFIED_SINCE),
    };

    plait_version_of(st, x->at_ns, &f.version);
    switch (plait_conditions_judge(&conditions, &f.version)) {
    case PLAIT_VERDICT_UNMODIFIED:
        return send_whole(x, &f, MHD_HTTP_NOT_MODIFIED);
    case PLAIT_VERDICT_FAILED:
        close(fd);
        return plait_reply_error(x, MHD_HTTP_PRECONDITION_FAILED);
    case PLAIT_VERDICT_GO:
        break;
    }
    return send_ranges(x, &f);
}
