#include "exchange.h"

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
#include "reply_stream.h"
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

size_t plait_exchange_unescape(void *cls, struct MHD_Connection *connection, char *s)
{
    (void)cls;
    (void)connection;
    return strlen(s);
}

const char *plait_exchange_field(const struct plait_exchange *x, const char *name)
{
    return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

void *plait_exchange_begin(void *cls, const char *uri, struct MHD_Connection *connection)
{
    struct plait_server *server = cls;
    size_t len = uri != NULL ? strlen(uri) : 0; /* NULL: a line without a target */
    struct plait_exchange *x = malloc(sizeof *x + len + 1);

    if (x == NULL)
        return NULL;
    x->server = server;
    x->connection = connection;
    x->fd = fd_of(connection);
    x->method = x->version = NULL;
    x->head = x->growing = false;
    x->status = 0;
    x->body_len = 0;
    x->at_ns = nanoseconds(CLOCK_REALTIME);
    x->began_ns = (uint64_t)nanoseconds(CLOCK_MONOTONIC);
    x->acked = server->log != NULL ? acked(x->fd) : 0;
    memcpy(x->raw, uri != NULL ? uri : "", len + 1);
    x->target_rc = plait_target_parse(x->raw, len, &x->target);
    plait_clients_asked(server->clients, x->fd, x->began_ns);
    return x;
}

/* A body is not read: the answer goes out at once, and the connection ends with it. */
static bool has_body(const struct plait_exchange *x)
{
    const char *length = plait_exchange_field(x, MHD_HTTP_HEADER_CONTENT_LENGTH);

    return (length != NULL && strcmp(length, "0") != 0) ||
           plait_exchange_field(x, MHD_HTTP_HEADER_TRANSFER_ENCODING) != NULL;
}

static bool is_safe_method(const char *method)
{
    return strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0 ||
           strcmp(method, MHD_HTTP_METHOD_OPTIONS) == 0;
}

static bool is_steering(const struct plait_exchange *x)
{
    return strcmp(x->method, MHD_HTTP_METHOD_POST) == 0 && plait_exchange_field(x, "Plait-Stream") != NULL;
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
static bool wants_json(const struct plait_exchange *x)
{
    const char *accept = plait_exchange_field(x, MHD_HTTP_HEADER_ACCEPT);

    if (x->target.format != PLAIT_TARGET_ANY)
        return x->target.format == PLAIT_TARGET_JSON;
    return accept != NULL && strcasestr(accept, "application/json") != NULL &&
           strcasestr(accept, "text/html") == NULL;
}

/* The page that stands for the directory, if there is one. */
static bool open_index(const struct plait_exchange *x, char path[PLAIT_TARGET_PATH_SIZE], int *fd,
                       struct stat *st)
{
    int len = snprintf(path, PLAIT_TARGET_PATH_SIZE, "%s%sindex.html", x->target.path,
                       x->target.len > 0 ? "/" : "");

    if (len >= PLAIT_TARGET_PATH_SIZE || plait_docroot_open(&x->server->root, path, fd, st) != PLAIT_OK)
        return false;
    if (S_ISREG(st->st_mode))
        return true;
    close(*fd);
    return false;
}

/* Takes the descriptor. */
static enum MHD_Result answer_file(struct plait_exchange *x, int fd, struct stat *st, const char *path)
{
    struct plait_stream_ask ask;
    bool answered = false;

    if (!x->head && plait_reply_stream_asked(x, &ask))
        return plait_reply_stream(x, &ask, fd, st, path);
    x->growing = plait_reply_stream_grows(x, fd, st, path);
    if (x->growing && !x->head && x->server->follow &&
        plait_exchange_field(x, MHD_HTTP_HEADER_RANGE) == NULL) {
        enum MHD_Result result = plait_reply_growing(x, fd, st, path, &answered);
        if (answered)
            return result;
    }
    return plait_reply_file(x, fd, st, path);
}

static enum MHD_Result answer_directory(struct plait_exchange *x, int fd)
{
    char path[PLAIT_TARGET_PATH_SIZE];
    bool json = wants_json(x);
    struct stat st;
    int index;

    if (!x->target.directory)
        return plait_reply_slash(x);
    if (!json && x->target.format == PLAIT_TARGET_ANY && open_index(x, path, &index, &st))
        return answer_file(x, index, &st, path);
    if (is_steering(x))
        return plait_reply_error(x, MHD_HTTP_METHOD_NOT_ALLOWED);
    if (!x->server->listings)
        return plait_reply_error(x, MHD_HTTP_FORBIDDEN);
    return plait_reply_listing(x, fd, json);
}

static enum MHD_Result answer_target(struct plait_exchange *x)
{
    const struct plait_server *s = x->server;
    struct stat st;
    int fd;

    if (x->target_rc != PLAIT_OK)
        return plait_reply_error(x, x->target_rc == PLAIT_ERR_LIMIT ? MHD_HTTP_URI_TOO_LONG
                                                                    : MHD_HTTP_BAD_REQUEST);
    if (x->target.hidden && !s->dotfiles)
        return plait_reply_error(x, MHD_HTTP_NOT_FOUND);
    int rc = plait_docroot_open(&s->root, x->target.path, &fd, &st);
    if (rc != PLAIT_OK)
        return plait_reply_error(x, status_of(rc));
    if (S_ISREG(st.st_mode) && !x->target.directory)
        return answer_file(x, fd, &st, x->target.path);
    enum MHD_Result result =
        S_ISDIR(st.st_mode) ? answer_directory(x, fd) : plait_reply_error(x, MHD_HTTP_NOT_FOUND);
    close(fd);
    return result;
}

static enum MHD_Result answer(struct plait_exchange *x)
{
    if (has_body(x))
        return plait_reply_error(x, is_safe_method(x->method) ? MHD_HTTP_CONTENT_TOO_LARGE
                                                              : MHD_HTTP_METHOD_NOT_ALLOWED);
    if (!is_safe_method(x->method) && !is_steering(x))
        return plait_reply_error(x, MHD_HTTP_METHOD_NOT_ALLOWED);
    if (strcmp(x->method, MHD_HTTP_METHOD_OPTIONS) == 0)
        return plait_reply_options(x);
    return answer_target(x);
}

enum MHD_Result plait_exchange_handle(void *cls, struct MHD_Connection *connection, const char *url,
                                      const char *method, const char *version, const char *upload,
                                      size_t *upload_len, void **context)
{
    struct plait_exchange *x = *context;

    (void)cls;
    (void)connection;
    (void)url;
    (void)upload;
    if (x == NULL)
        return MHD_NO;
    if (x->method == NULL) {
        x->method = method;
        x->version = version;
        x->head = strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
        /* An answer now, before the second call, also ends the connection: only where a body would follow. */
        return has_body(x) ? answer(x) : MHD_YES;
    }
    *upload_len = 0;
    return answer(x);
}

static void log_end(const struct plait_exchange *x, bool complete)
{
    const union MHD_ConnectionInfo *status =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_HTTP_STATUS);
    const union MHD_ConnectionInfo *peer =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    struct plait_access a = {
        .peer = peer != NULL ? peer->client_addr : NULL,
        .method = x->method,
        .target = x->raw,
        .version = x->version,
        .at_ns = x->at_ns,
        .took_ns = plait_since((uint64_t)nanoseconds(CLOCK_MONOTONIC), x->began_ns),
        .status = status != NULL ? status->http_status : x->status,
        .sent = complete ? x->body_len : plait_min_u64(x->body_len, plait_since(acked(x->fd), x->acked)),
        .complete = complete,
        .tls = x->server->tls != NULL,
    };

    if (x->method != NULL) {
        a.referer = plait_exchange_field(x, MHD_HTTP_HEADER_REFERER);
        a.agent = plait_exchange_field(x, MHD_HTTP_HEADER_USER_AGENT);
        a.range = plait_exchange_field(x, MHD_HTTP_HEADER_RANGE);
    }
    plait_access_log_write(x->server->log, &a);
}

/*
 * A client that has nothing more to ask may have said so along with its request. libmicrohttpd learns of this from an
 * edge of epoll, and misses it when it comes with the data; the connection would stay until it has been idle for long.
 */
static void end_if_no_more_comes(int fd)
{
    char byte;

    if (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
        shutdown(fd, SHUT_RDWR);
}

void plait_exchange_end(void *cls, struct MHD_Connection *connection, void **context,
                        enum MHD_RequestTerminationCode code)
{
    struct plait_server *server = cls;
    struct plait_exchange *x = *context;

    int fd = fd_of(connection);

    plait_clients_answered(server->clients, fd, (uint64_t)nanoseconds(CLOCK_MONOTONIC));
    if (code == MHD_REQUEST_TERMINATED_COMPLETED_OK)
        end_if_no_more_comes(fd);
    if (x != NULL && server->log != NULL)
        log_end(x, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    free(x);
    *context = NULL;
}

void plait_exchange_connection(void *cls, struct MHD_Connection *connection, void **context,
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
