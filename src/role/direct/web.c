/*
 * Theory of operation. libmicrohttpd runs without a thread of its own: its epoll descriptor is watched by the loop, and
 * MHD_run is called when that is readable, when its own time-out comes, and after whatever we do to it. We accept, since
 * only we can count addresses, and hand the sockets over (MHD_add_connection).
 *
 * libmicrohttpd knows times without activity only; a client that sends a byte now and then would stay for ever. So each
 * connection (`guest`) has a deadline of ours, at which its socket is shut down; libmicrohttpd then finds its end.
 *
 * A request that is to be answered later is suspended, and resumed when its answer is there; so is a stream that has
 * nothing to give.
 */
#include "web.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "listen.h"
#include "units.h"

#define TICK_NS      (500 * PLAIT_MS)
#define POOL_BYTES   (32u * 1024) /* of a connection: heads of requests and answers, and what is being sent */
#define SEND_BUFFER  (64 * 1024)  /* the kernel would keep megabytes for who does not read */
#define STREAM_BLOCK 4096u
#define BODIES_MAX   (64 * PLAIT_MIB) /* of all requests together */
#define SILENCE_S    60u              /* without anything moving, in libmicrohttpd's eyes */

struct guest {
    TAILQ_ENTRY(guest) list;
    struct plait_web *web;
    struct sockaddr_storage peer;
    int fd;
    uint64_t deadline; /* PLAIT_NEVER for streams */
    bool is_silent;    /* no request of which the head is there is under way */
};

enum phase {
    PHASE_HEAD,     /* handed to `head` */
    PHASE_BODY,     /* the body is being read */
    PHASE_WHOLE,    /* handed to `whole` */
    PHASE_ANSWERED, /* the answer is on its way */
};

struct plait_request {
    struct plait_web *web;
    struct guest *guest;
    struct MHD_Connection *connection;
    char *target, *method;
    enum phase phase;
    bool in_handler; /* libmicrohttpd is calling us */
    bool is_suspended;
    char *body;
    size_t body_len, body_size;
    struct MHD_Response *response; /* not yet queued */
    unsigned status;
    struct plait_web_source source; /* pull NULL: none */
    void *data;
    void (*free_data)(void *data);
    LIST_ENTRY(plait_request) list;
};

struct plait_web {
    struct plait_web_config config;
    struct MHD_Daemon *daemon;
    struct plait_listener *listener;
    uv_poll_t poll;
    bool has_poll;
    struct plait_timer run, tick;
    TAILQ_HEAD(guests, guest) guests; /* by when their state last changed, the oldest first */
    LIST_HEAD(requests, plait_request) requests;
    struct guest *entering; /* is being handed over */
    size_t bodies;          /* bytes that requests have announced */
    bool run_again;         /* something has been resumed or added since the last run began */
    bool is_ticking, is_closing;
};

/* Running libmicrohttpd. */

static void plan(struct plait_web *w)
{
    MHD_UNSIGNED_LONG_LONG ms;

    if (w->is_closing)
        return;
    if (w->run_again) /* of what has been resumed, libmicrohttpd's time-out knows nothing */
        plait_timer_set(&w->run, w->config.loop->now);
    else if (MHD_get_timeout(w->daemon, &ms) == MHD_YES)
        plait_timer_set(&w->run, w->config.loop->now + plait_min_u64(ms, 3600000) * PLAIT_MS);
    else
        plait_timer_set(&w->run, PLAIT_NEVER);
}

static void run(struct plait_web *w)
{
    w->run_again = false;
    MHD_run(w->daemon);
    plan(w);
}

/* Something has been resumed or added: soon, but not from within a call of libmicrohttpd's. */
static void run_soon(struct plait_web *w)
{
    w->run_again = true;
    if (!w->is_closing)
        plait_timer_set(&w->run, w->config.loop->now);
}

static void on_timer(void *ctx)
{
    run(ctx);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct plait_web *w = poll->data;

    (void)status;
    (void)events;
    plait_loop_enter(w->config.loop);
    run(w);
    plait_loop_leave(w->config.loop);
}

/* Guests. */

static void set_deadline(struct guest *g, unsigned seconds, bool silent)
{
    struct plait_web *w = g->web;

    TAILQ_REMOVE(&w->guests, g, list);
    TAILQ_INSERT_TAIL(&w->guests, g, list);
    g->deadline = seconds > 0 ? w->config.loop->now + seconds * PLAIT_S : PLAIT_NEVER;
    g->is_silent = silent;
}

static void on_tick(void *ctx)
{
    struct plait_web *w = ctx;
    struct guest *g;

    for (g = TAILQ_FIRST(&w->guests); g != NULL; g = TAILQ_NEXT(g, list))
        if (g->deadline <= w->config.loop->now) {
            shutdown(g->fd, SHUT_RDWR);
            g->deadline = PLAIT_NEVER;
        }
    w->is_ticking = !TAILQ_EMPTY(&w->guests);
    if (w->is_ticking)
        plait_timer_set(&w->tick, w->config.loop->now + TICK_NS);
}

static void start_ticking(struct plait_web *w)
{
    if (w->is_ticking)
        return;
    w->is_ticking = true;
    plait_timer_set(&w->tick, w->config.loop->now + TICK_NS);
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct plait_web *w = cls;
    struct guest *g = *context;

    (void)connection;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        g = w->entering;
        w->entering = NULL;
        *context = g;
        TAILQ_INSERT_TAIL(&w->guests, g, list);
        set_deadline(g, PLAIT_WEB_HEAD_S, true);
        start_ticking(w);
        return;
    }
    TAILQ_REMOVE(&w->guests, g, list);
    plait_listener_forget(w->listener, &g->peer);
    free(g);
}

static void on_accepted(void *ctx, int fd, const struct sockaddr_storage *peer)
{
    struct plait_web *w = ctx;
    static const int send_buffer = SEND_BUFFER;
    struct guest *g = calloc(1, sizeof *g);
    socklen_t len = peer->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);

    if (g == NULL) {
        close(fd);
        plait_listener_forget(w->listener, peer);
        return;
    }
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
    g->web = w;
    g->peer = *peer;
    g->fd = fd;
    w->entering = g;
    MHD_add_connection(w->daemon, fd, (const struct sockaddr *)peer, len);
    if (w->entering != NULL) { /* it was refused before it began */
        plait_listener_forget(w->listener, peer);
        free(g);
        w->entering = NULL;
    }
    run_soon(w);
}

/* Too many: the one that has been silent for longest goes. */
static bool on_crowd(void *ctx)
{
    struct plait_web *w = ctx;
    unsigned before = plait_listener_count(w->listener);
    struct guest *g;

    for (g = TAILQ_FIRST(&w->guests); g != NULL && !g->is_silent; g = TAILQ_NEXT(g, list))
        ;
    if (g == NULL)
        return false;
    shutdown(g->fd, SHUT_RDWR);
    g->is_silent = false;
    run(w);
    return plait_listener_count(w->listener) < before;
}

static void on_refused(void *ctx, int fd, const struct sockaddr_storage *peer)
{
    static const char text[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n"
                               "Connection: close\r\n\r\n";
    const struct plait_web *w = ctx;

    (void)peer;
    if (w->config.cert == NULL)
        (void)!send(fd, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Requests. */

static void free_request(struct plait_request *r)
{
    if (r->response != NULL)
        MHD_destroy_response(r->response);
    if (r->free_data != NULL)
        r->free_data(r->data);
    if (r->source.gone != NULL)
        r->source.gone(r->source.ctx);
    r->web->bodies -= r->body_size;
    LIST_REMOVE(r, list);
    free(r->body);
    free(r->target);
    free(r->method);
    free(r);
}

/* The first thing that is heard of a request. NULL is answered by closing the connection. */
static void *on_target(void *cls, const char *target, struct MHD_Connection *connection)
{
    struct plait_web *w = cls;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct plait_request *r = calloc(1, sizeof *r);

    if (r == NULL || (r->target = strdup(target)) == NULL) {
        free(r);
        return NULL;
    }
    r->web = w;
    r->guest = info->socket_context;
    r->connection = connection;
    LIST_INSERT_HEAD(&w->requests, r, list);
    return r; /* the guest is still silent: a line is not yet a head */
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code)
{
    struct plait_request *r = *context;

    (void)cls;
    (void)connection;
    (void)code;
    if (r == NULL)
        return;
    set_deadline(r->guest, PLAIT_WEB_HEAD_S, true);
    free_request(r);
    *context = NULL;
}

static enum MHD_Result queue(struct plait_request *r)
{
    enum MHD_Result result = MHD_queue_response(r->connection, r->status, r->response);

    MHD_destroy_response(r->response);
    r->response = NULL;
    r->phase = PHASE_ANSWERED;
    set_deadline(r->guest, r->source.pull != NULL ? 0 : PLAIT_WEB_BODY_S, false);
    return result;
}

static void refuse(struct plait_request *r, unsigned status, const char *words)
{
    plait_web_answer(r, status, "text/plain; charset=utf-8", words, strlen(words), NULL, 0);
}

/* How much of a body is announced, and whether it can be taken; answers where it cannot. */
static void judge_body(struct plait_request *r)
{
    const char *length = plait_request_field(r, "Content-Length");
    size_t digits = strlen(length), size;

    if (plait_request_field(r, "Transfer-Encoding")[0] != '\0') {
        refuse(r, 411, "The body's length has to be told.\n");
        return;
    }
    if (digits == 0)
        return;
    size = digits <= 10 ? strtoull(length, NULL, 10) : SIZE_MAX;
    if (size > r->web->config.body_max) {
        refuse(r, 413, "The body is too long.\n");
        return;
    }
    if (size > BODIES_MAX - r->web->bodies) {
        refuse(r, 503, "Too many bodies are being read.\n");
        return;
    }
    r->web->bodies += size;
    r->body_size = size;
}

static enum MHD_Result begin(struct plait_request *r, const char *method)
{
    r->phase = PHASE_HEAD;
    r->method = strdup(method);
    if (r->method == NULL)
        return MHD_NO;
    set_deadline(r->guest, PLAIT_WEB_BODY_S, false);
    if (strlen(r->target) > PLAIT_WEB_TARGET_MAX)
        refuse(r, 414, "The target is too long.\n");
    else
        judge_body(r);
    if (r->response != NULL)
        return queue(r); /* without waiting for what cannot be taken */
    r->web->config.handler->head(r->web->config.ctx, r);
    /* An early answer before a body is read would close the connection, and perhaps be lost with it. It waits for the
     * body's end, unless the client waits for us. */
    if (r->response != NULL && (r->body_size == 0 || plait_request_field(r, "Expect")[0] != '\0'))
        return queue(r);
    r->phase = PHASE_BODY;
    if (r->response == NULL && r->body_size > 0 && (r->body = malloc(r->body_size + 1)) == NULL)
        return MHD_NO;
    return MHD_YES;
}

static enum MHD_Result take_body(struct plait_request *r, const char *bytes, size_t *len)
{
    size_t room = r->body_size - r->body_len;

    if (*len > room)
        return MHD_NO;
    if (r->body != NULL)
        memcpy(r->body + r->body_len, bytes, *len);
    r->body_len += *len;
    *len = 0;
    return MHD_YES;
}

static enum MHD_Result finish(struct plait_request *r)
{
    if (r->phase == PHASE_BODY && r->response == NULL) {
        r->phase = PHASE_WHOLE;
        if (r->body != NULL)
            r->body[r->body_len] = '\0';
        r->web->config.handler->whole(r->web->config.ctx, r);
    }
    if (r->response != NULL)
        return queue(r);
    r->is_suspended = true;
    r->guest->deadline = PLAIT_NEVER; /* it is we who keep it waiting */
    MHD_suspend_connection(r->connection);
    return MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *bytes, size_t *len,
                                  void **context)
{
    struct plait_request *r = *context;
    enum MHD_Result result;

    (void)cls;
    (void)connection;
    (void)url;
    (void)version;
    if (r == NULL)
        return MHD_NO;
    r->in_handler = true;
    if (r->method == NULL)
        result = begin(r, method);
    else if (*len > 0)
        result = take_body(r, bytes, len);
    else
        result = finish(r);
    r->in_handler = false;
    return result;
}

/* What is known of a request. */

const char *plait_request_method(const struct plait_request *r)
{
    return r->method;
}

const char *plait_request_target(const struct plait_request *r)
{
    return r->target;
}

const char *plait_request_field(struct plait_request *r, const char *name)
{
    const char *value = MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);

    return value != NULL ? value : "";
}

const char *plait_request_body(const struct plait_request *r, size_t *len)
{
    *len = r->body_len;
    return r->body != NULL ? r->body : "";
}

static bool take_common_name(gnutls_session_t session, char out[128])
{
    unsigned count = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &count);
    gnutls_x509_crt_t certificate;
    size_t len = 128;

    if (chain == NULL || count == 0 || gnutls_x509_crt_init(&certificate) != 0)
        return false;
    bool good =
        gnutls_x509_crt_import(certificate, &chain[0], GNUTLS_X509_FMT_DER) == 0 &&
        gnutls_x509_crt_get_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, 0, out, &len) == 0 &&
        strlen(out) == len;
    gnutls_x509_crt_deinit(certificate);
    return good;
}

const char *plait_request_certificate(struct plait_request *r, char out[128])
{
    gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
                                     .data = (void *)GNUTLS_KP_TLS_WWW_CLIENT};
    const union MHD_ConnectionInfo *info;
    unsigned status = 1;

    out[0] = '\0';
    if (r->web->config.client_ca == NULL)
        return out;
    info = MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    if (info == NULL || info->tls_session == NULL)
        return out;
    gnutls_session_t session = info->tls_session;
    if (gnutls_certificate_verify_peers(session, &purpose, 1, &status) != 0 || status != 0 ||
        !take_common_name(session, out))
        out[0] = '\0';
    return out;
}

void plait_request_set_data(struct plait_request *r, void *data, void (*free_data)(void *data))
{
    r->data = data;
    r->free_data = free_data;
}

void *plait_request_data(const struct plait_request *r)
{
    return r->data;
}

/* Answers. */

static void set_response(struct plait_request *r, unsigned status, struct MHD_Response *response,
                         const char *type, const struct plait_web_field *fields, size_t count)
{
    if (response == NULL)
        return; /* out of memory: the deadline will end it */
    if (type != NULL)
        MHD_add_response_header(response, "Content-Type", type);
    for (size_t i = 0; i < count; i++)
        if (fields[i].value != NULL)
            MHD_add_response_header(response, fields[i].name, fields[i].value);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    r->response = response;
    r->status = status;
    if (r->is_suspended) {
        r->is_suspended = false;
        r->guest->deadline = r->web->config.loop->now + PLAIT_WEB_BODY_S * PLAIT_S;
        MHD_resume_connection(r->connection);
        run_soon(r->web);
    }
}

void plait_web_answer(struct plait_request *r, unsigned status, const char *type, const char *body,
                      size_t len, const struct plait_web_field *fields, size_t field_count)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(len, (void *)body, MHD_RESPMEM_MUST_COPY);

    set_response(r, status, response, type, fields, field_count);
}

static ssize_t on_pull(void *cls, uint64_t at, char *out, size_t max)
{
    struct plait_request *r = cls;
    ssize_t n = r->source.pull(r->source.ctx, out, max);

    (void)at;
    if (n > 0)
        return n;
    if (n < 0 || r->web->is_closing)
        return MHD_CONTENT_READER_END_OF_STREAM;
    r->is_suspended = true;
    MHD_suspend_connection(r->connection);
    return 0;
}

void plait_web_stream(struct plait_request *r, const char *type, const struct plait_web_source *source,
                      const struct plait_web_field *fields, size_t field_count)
{
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, on_pull, r, NULL);

    r->source = *source;
    set_response(r, 200, response, type, fields, field_count);
}

void plait_web_wake(struct plait_request *r)
{
    if (!r->is_suspended || r->phase != PHASE_ANSWERED)
        return;
    r->is_suspended = false;
    MHD_resume_connection(r->connection);
    run_soon(r->web);
}

/* The whole. */

static struct MHD_Daemon *start_daemon(struct plait_web *w)
{
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)w->config.cert},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)w->config.key},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"},
        {w->config.client_ca != NULL ? MHD_OPTION_HTTPS_MEM_TRUST : MHD_OPTION_END, 0,
         (void *)w->config.client_ca},
        {MHD_OPTION_END, 0, NULL},
    };
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET;

    return MHD_start_daemon(
        w->config.cert != NULL ? flags | MHD_USE_TLS : flags, 0, NULL, NULL, on_request, w,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES, MHD_OPTION_CONNECTION_LIMIT,
        w->config.total_max + 16, MHD_OPTION_CONNECTION_TIMEOUT, SILENCE_S, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, NULL, MHD_OPTION_NOTIFY_CONNECTION, on_connection, w, MHD_OPTION_URI_LOG_CALLBACK,
        on_target, w, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_ARRAY,
        w->config.cert != NULL ? tls : none, MHD_OPTION_END);
}

static int watch_daemon(struct plait_web *w)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(w->daemon, MHD_DAEMON_INFO_EPOLL_FD);

    if (info == NULL || uv_poll_init(&w->config.loop->uv, &w->poll, info->epoll_fd) != 0)
        return PLAIT_ERR_IO;
    w->poll.data = w;
    w->has_poll = true;
    return uv_poll_start(&w->poll, UV_READABLE, on_poll) == 0 ? PLAIT_OK : PLAIT_ERR_IO;
}

static int open_all(struct plait_web *w, bool *tls)
{
    static const struct plait_listener_events events = {
        .accepted = on_accepted, .make_room = on_crowd, .refused = on_refused};
    struct plait_listener_config config = {.loop = w->config.loop,
                                           .address = w->config.listen,
                                           .total_max = w->config.total_max,
                                           .per_address_max = w->config.per_address_max,
                                           .events = &events,
                                           .ctx = w};
    int err = plait_listener_open(&config, &w->listener);

    if (err != PLAIT_OK)
        return err;
    w->daemon = start_daemon(w);
    *tls = w->daemon == NULL && w->config.cert != NULL;
    if (w->daemon == NULL)
        return *tls ? PLAIT_ERR_FORMAT : PLAIT_ERR_IO;
    return watch_daemon(w);
}

int plait_web_open(const struct plait_web_config *config, struct plait_web **out, bool *tls)
{
    struct plait_web *w = calloc(1, sizeof *w);

    *tls = false;
    *out = w;
    if (w == NULL)
        return PLAIT_ERR_NOMEM;
    w->config = *config;
    TAILQ_INIT(&w->guests);
    LIST_INIT(&w->requests);
    plait_timer_init(&w->run, config->loop, on_timer, w);
    plait_timer_init(&w->tick, config->loop, on_tick, w);
    int err = open_all(w, tls);
    if (err == PLAIT_OK)
        return PLAIT_OK;
    int saved = errno;
    plait_web_close(w);
    errno = saved;
    return err;
}

const struct sockaddr_storage *plait_web_address(const struct plait_web *w)
{
    return plait_listener_address(w->listener);
}

unsigned plait_web_count(const struct plait_web *w)
{
    return plait_listener_count(w->listener);
}

void plait_web_stop(struct plait_web *w)
{
    struct guest *g;

    plait_listener_stop(w->listener);
    for (g = TAILQ_FIRST(&w->guests); g != NULL; g = TAILQ_NEXT(g, list))
        if (g->is_silent)
            shutdown(g->fd, SHUT_RDWR);
    run_soon(w);
}

void plait_web_close(struct plait_web *w)
{
    struct plait_request *r;

    w->is_closing = true;
    if (w->listener != NULL)
        plait_listener_stop(w->listener);
    for (r = LIST_FIRST(&w->requests); r != NULL; r = LIST_NEXT(r, list))
        if (r->is_suspended) { /* libmicrohttpd cannot be stopped while there is one */
            r->is_suspended = false;
            MHD_resume_connection(r->connection);
        }
    plait_timer_close(&w->run);
    plait_timer_close(&w->tick);
    if (w->has_poll)
        uv_close((uv_handle_t *)&w->poll, NULL);
    w->has_poll = false;
    if (w->daemon != NULL)
        MHD_stop_daemon(w->daemon);
    w->daemon = NULL;
}

void plait_web_free(struct plait_web *w)
{
    if (w == NULL)
        return;
    plait_listener_free(w->listener);
    free(w);
}
