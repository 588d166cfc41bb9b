#include "request.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "reply.h"
#include "units.h"

static int64_t nanoseconds(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * (int64_t)PLAIT_S + t.tv_nsec;
}

static int fd_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

    return info != NULL ? info->connect_fd : -1;
}

/* How many bytes the peer has acknowledged since the connection began. */
static uint64_t acked(int fd)
{
    struct tcp_info info;
    socklen_t len = sizeof info;

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 ||
        len < offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof info.tcpi_bytes_acked)
        return 0;
    return info.tcpi_bytes_acked;
}

size_t plait_request_unescape(void *cls, struct MHD_Connection *connection, char *s)
{
    (void)cls;
    (void)connection;
    return strlen(s);
}

const char *plait_request_field(const struct plait_request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

void *plait_request_begin(void *cls, const char *uri, struct MHD_Connection *connection)
{
    struct plait_server *server = cls;
    size_t len = strlen(uri);
    struct plait_request *r = malloc(sizeof *r + len + 1);

    if (r == NULL)
        return NULL;
    r->server = server;
    r->connection = connection;
    r->fd = fd_of(connection);
    r->method = r->version = NULL;
    r->head = false;
    r->status = 0;
    r->body_len = 0;
    r->at_ns = nanoseconds(CLOCK_REALTIME);
    r->began_ns = (uint64_t)nanoseconds(CLOCK_MONOTONIC);
    r->acked = server->log != NULL ? acked(r->fd) : 0;
    memcpy(r->raw, uri, len + 1);
    r->target_rc = plait_target_parse(uri, len, &r->target);
    plait_clients_asked(server->clients, r->fd, r->began_ns);
    return r;
}

/* A body is not read: the answer goes out at once, and the connection ends with it. */
static bool has_body(const struct plait_request *r)
{
    const char *length = plait_request_field(r, MHD_HTTP_HEADER_CONTENT_LENGTH);

    return (length != NULL && strcmp(length, "0") != 0) ||
           plait_request_field(r, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL;
}

static bool is_safe_method(const char *method)
{
    return strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0 ||
           strcmp(method, MHD_HTTP_METHOD_OPTIONS) == 0;
}

static unsigned status_of(int rc)
{
    switch (rc) {
    case PLAIT_ERR_NOTFOUND:
        return MHD_HTTP_NOT_FOUND;
    case PLAIT_ERR_STATE:
        return MHD_HTTP_FORBIDDEN;
    case PLAIT_ERR_LIMIT:
    case PLAIT_ERR_NOMEM:
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    default:
        return MHD_HTTP_INTERNAL_SERVER_ERROR;
    }
}

/* A program that takes JSON and does not ask for HTML; a browser takes anything, but says HTML. */
static bool wants_json(const struct plait_request *r)
{
    const char *accept = plait_request_field(r, MHD_HTTP_HEADER_ACCEPT);

    if (r->target.format != PLAIT_TARGET_ANY)
        return r->target.format == PLAIT_TARGET_JSON;
    return accept != NULL && strcasestr(accept, "application/json") != NULL &&
           strcasestr(accept, "text/html") == NULL;
}

/* The page that stands for the directory, if there is one. */
static bool open_index(const struct plait_request *r, char path[PLAIT_TARGET_PATH_SIZE], int *fd,
                       struct stat *st)
{
    int len = snprintf(path, PLAIT_TARGET_PATH_SIZE, "%s%sindex.html", r->target.path,
                       r->target.len > 0 ? "/" : "");

    if (len >= PLAIT_TARGET_PATH_SIZE || plait_docroot_open(&r->server->root, path, fd, st) != PLAIT_OK)
        return false;
    if (S_ISREG(st->st_mode))
        return true;
    close(*fd);
    return false;
}

static enum MHD_Result answer_directory(struct plait_request *r, int fd)
{
    char path[PLAIT_TARGET_PATH_SIZE];
    bool json = wants_json(r);
    struct stat st;
    int index;

    if (!r->target.directory)
        return plait_reply_slash(r);
    if (!json && r->target.format == PLAIT_TARGET_ANY && open_index(r, path, &index, &st))
        return plait_reply_file(r, index, &st, path);
    if (!r->server->listings)
        return plait_reply_error(r, MHD_HTTP_FORBIDDEN);
    return plait_reply_listing(r, fd, json);
}

static enum MHD_Result answer_target(struct plait_request *r)
{
    const struct plait_server *s = r->server;
    struct stat st;
    int fd;

    if (r->target_rc != PLAIT_OK)
        return plait_reply_error(r, r->target_rc == PLAIT_ERR_LIMIT ? MHD_HTTP_URI_TOO_LONG
                                                                    : MHD_HTTP_BAD_REQUEST);
    if (r->target.hidden && !s->dotfiles)
        return plait_reply_error(r, MHD_HTTP_NOT_FOUND);
    int rc = plait_docroot_open(&s->root, r->target.path, &fd, &st);
    if (rc != PLAIT_OK)
        return plait_reply_error(r, status_of(rc));
    if (S_ISREG(st.st_mode) && !r->target.directory)
        return plait_reply_file(r, fd, &st, r->target.path);
    enum MHD_Result result =
        S_ISDIR(st.st_mode) ? answer_directory(r, fd) : plait_reply_error(r, MHD_HTTP_NOT_FOUND);
    close(fd);
    return result;
}

static enum MHD_Result answer(struct plait_request *r)
{
    if (has_body(r))
        return plait_reply_error(r, is_safe_method(r->method) ? MHD_HTTP_CONTENT_TOO_LARGE
                                                              : MHD_HTTP_METHOD_NOT_ALLOWED);
    if (!is_safe_method(r->method))
        return plait_reply_error(r, MHD_HTTP_METHOD_NOT_ALLOWED);
    if (strcmp(r->method, MHD_HTTP_METHOD_OPTIONS) == 0)
        return plait_reply_options(r);
    return answer_target(r);
}

enum MHD_Result plait_request_handle(void *cls, struct MHD_Connection *connection, const char *url,
                                     const char *method, const char *version, const char *upload,
                                     size_t *upload_len, void **context)
{
    struct plait_request *r = *context;

    (void)cls;
    (void)connection;
    (void)url;
    (void)upload;
    if (r == NULL)
        return MHD_NO;
    if (r->method == NULL) {
        r->method = method;
        r->version = version;
        r->head = strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
        /* An answer now, before the second call, also ends the connection: only where a body would follow. */
        return has_body(r) ? answer(r) : MHD_YES;
    }
    *upload_len = 0;
    return answer(r);
}

static void log_end(const struct plait_request *r, bool complete)
{
    const union MHD_ConnectionInfo *status =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_HTTP_STATUS);
    const union MHD_ConnectionInfo *peer =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    struct plait_access a = {
        .peer = peer != NULL ? peer->client_addr : NULL,
        .method = r->method,
        .target = r->raw,
        .version = r->version,
        .at_ns = r->at_ns,
        .took_ns = plait_since((uint64_t)nanoseconds(CLOCK_MONOTONIC), r->began_ns),
        .status = status != NULL ? status->http_status : r->status,
        .sent = complete ? r->body_len : plait_min_u64(r->body_len, plait_since(acked(r->fd), r->acked)),
        .complete = complete,
        .tls = r->server->tls != NULL,
    };

    if (r->method != NULL) {
        a.referer = plait_request_field(r, MHD_HTTP_HEADER_REFERER);
        a.agent = plait_request_field(r, MHD_HTTP_HEADER_USER_AGENT);
        a.range = plait_request_field(r, MHD_HTTP_HEADER_RANGE);
    }
    plait_access_log_write(r->server->log, &a);
}

void plait_request_end(void *cls, struct MHD_Connection *connection, void **context,
                       enum MHD_RequestTerminationCode code)
{
    struct plait_server *server = cls;
    struct plait_request *r = *context;

    plait_clients_answered(server->clients, fd_of(connection), (uint64_t)nanoseconds(CLOCK_MONOTONIC));
    if (r != NULL && server->log != NULL)
        log_end(r, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    free(r);
    *context = NULL;
}

void plait_request_connection(void *cls, struct MHD_Connection *connection, void **context,
                              enum MHD_ConnectionNotificationCode code)
{
    struct plait_server *server = cls;

    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        plait_clients_forget(server->clients, fd_of(connection));
        plait_tls_release(*context);
        *context = NULL;
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    if (server->tls != NULL && info != NULL)
        *context = plait_tls_adopt(server->tls, info->tls_session);
}
