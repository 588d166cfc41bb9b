/*
 * The order of the start: what needs rights (addresses, log, keeper of the key), then the rights are given
 * up, then what the rest of the life needs, as the user who has to be able to have it; then the threads; then
 * requests.
 *
 * The main thread accepts connections, watches over deadlines, files and signals. Workers answer.
 */
#include "serve.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "accept.h"
#include "endpoint.h"
#include "listen.h"
#include "loop.h"
#include "pem.h"
#include "privilege.h"
#include "publish.h"
#include "send_ahead.h"
#include "server.h"
#include "units.h"
#include "workers.h"

#define MIME_TYPES          "/etc/mime.types"
#define DIGESTS_MAX         32768
#define CONNECTIONS_DEFAULT 4096
#define GROUPS_DEFAULT      1024
/* Descriptors that are not of connections. */
#define FDS_OWN             96
#define FDS_OF_THREAD       8
#define FDS_MAX             (UINT64_C(1) << 20)

#define SWEEP_NS   PLAIT_S
#define LEAVING_NS (50 * PLAIT_MS)
#define TLS_LOOK_S 5  /* sweeps between two looks at the certificate */
#define LAN_LOOK_S 10 /* and at the interfaces */

static const int signal_numbers[] = {SIGINT, SIGTERM, SIGHUP};
#define SIGNALS PLAIT_COUNT(signal_numbers)

struct serve {
    const struct plait_serve_options *o;
    const struct plait_serve_listener *listener;
    struct plait_server server;
    struct plait_endpoint endpoints[PLAIT_SERVE_LISTEN_MAX];
    size_t endpoint_count;
    struct plait_pem pem;
    struct plait_workers workers;
    struct plait_secrets secrets;
    struct plait_publish *publish;
    struct plait_loop loop;
    struct plait_accept accept;
    struct plait_signal signals[SIGNALS];
    size_t signal_count;
    struct plait_timer timer;
    const char *user; /* NULL = as we are */
    int digest_fd;
    unsigned connections; /* at once */
    int fd_max;
    unsigned sweeps;
    uint64_t leave_at; /* 0 = not asked to */
};

static PLAIT_PRINTF(3, 4) void say(struct serve *s, enum plait_serve_level level, const char *format, ...)
{
    char text[1024];
    va_list args;

    if (s->listener->say == NULL)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    s->listener->say(s->listener->ctx, level, text);
}

/* What needs rights. */

static unsigned thread_count(const struct serve *s)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    if (s->o->threads > 0)
        return s->o->threads < PLAIT_WORKERS_MAX ? s->o->threads : PLAIT_WORKERS_MAX;
    return (unsigned)plait_clamp_u64(processors > 0 ? (uint64_t)processors : 1, 1, 16);
}

/* Each connection may need two: the socket, and a file. */
static int raise_limits(struct serve *s)
{
    struct rlimit limit;
    uint64_t have = 1024, own = FDS_OWN + FDS_OF_THREAD * thread_count(s);

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
        (void)getrlimit(RLIMIT_NOFILE, &limit);
        have = plait_min_u64(limit.rlim_cur, FDS_MAX);
    }
    s->connections = s->o->connections > 0 ? s->o->connections : CONNECTIONS_DEFAULT;
    if (have < own + 2) {
        say(s, PLAIT_SERVE_ERROR, "only %" PRIu64 " files may be open at once; raise the limit (ulimit -n)",
            have);
        return PLAIT_ERR_LIMIT;
    }
    if ((have - own) / 2 < s->connections) {
        s->connections = (unsigned)((have - own) / 2);
        say(s, PLAIT_SERVE_WARNING,
            "no more than %u connections: only %" PRIu64 " files may be open at once (ulimit -n)",
            s->connections, have);
    }
    s->fd_max = (int)(UINT64_C(2) * s->connections + own);
    return PLAIT_OK;
}

static int listen_one(struct serve *s, const char *where)
{
    char failed[PLAIT_ENDPOINT_TEXT_SIZE];
    size_t count = 0;
    int rc = plait_endpoint_listen(where, s->endpoints + s->endpoint_count,
                                   PLAIT_SERVE_LISTEN_MAX - s->endpoint_count, &count, failed);

    s->endpoint_count += count;
    if (rc == PLAIT_ERR_FORMAT)
        say(s, PLAIT_SERVE_ERROR, "--listen %s: an address is ADDR:PORT, an IPv6 one [ADDR]:PORT", where);
    else if (rc == PLAIT_ERR_NOTFOUND)
        say(s, PLAIT_SERVE_ERROR, "cannot listen on %s: there is no such address", where);
    else if (rc == PLAIT_ERR_LIMIT)
        say(s, PLAIT_SERVE_ERROR, "cannot listen on %s: %d addresses are the limit", failed,
            PLAIT_SERVE_LISTEN_MAX);
    else if (rc != PLAIT_OK)
        say(s, PLAIT_SERVE_ERROR, "cannot listen on %s: %s%s", failed, strerror(errno),
            plait_listen_advice(errno));
    return rc;
}

static int listen_everywhere(struct serve *s)
{
    static const char *const usual[] = {":8080"};
    const char *const *where = s->o->listen_count > 0 ? s->o->listen : usual;
    size_t count = s->o->listen_count > 0 ? s->o->listen_count : 1;
    int rc = PLAIT_OK;

    for (size_t i = 0; i < count && rc == PLAIT_OK; i++)
        rc = listen_one(s, where[i]);
    return rc;
}

static int load_secret(struct serve *s)
{
    const char *file = s->o->secret_file;
    char words[PLAIT_SECRETS_WORDS_MAX];
    unsigned line = 0;
    int rc = file != NULL ? plait_secrets_load(file, &s->secrets, &line) : PLAIT_OK;

    if (rc != PLAIT_OK)
        say(s, PLAIT_SERVE_ERROR, "%s", plait_secrets_explain(file, rc, line, words));
    return rc;
}

static int open_files(struct serve *s)
{
    const struct plait_serve_options *o = s->o;

    if (o->access_log != NULL &&
        plait_access_log_new(&s->server.log, o->access_log, o->access_format) != PLAIT_OK) {
        say(s, PLAIT_SERVE_ERROR, "cannot write the access log %s: %s", o->access_log, strerror(errno));
        return PLAIT_ERR_IO;
    }
    if (o->digest_file == NULL || o->no_digests)
        return PLAIT_OK;
    s->digest_fd = open(o->digest_file,
                        O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW, 0600);
    if (s->digest_fd >= 0)
        return PLAIT_OK;
    say(s, PLAIT_SERVE_ERROR, "cannot keep digests in %s: %s", o->digest_file, strerror(errno));
    return PLAIT_ERR_IO;
}

static int give_up_rights(struct serve *s)
{
    bool becomes = s->user != NULL && geteuid() == 0 && strcmp(s->user, "root") != 0;

    if (s->o->tls_cert != NULL) {
        plait_pem_init(&s->pem, s->o->tls_cert, s->o->tls_key);
        if (becomes && plait_pem_keep(&s->pem) != PLAIT_OK) {
            say(s, PLAIT_SERVE_ERROR, "cannot start the process that keeps the key: %s", strerror(errno));
            return PLAIT_ERR_IO;
        }
    }
    int rc = plait_privilege_drop(s->user);
    if (rc == PLAIT_ERR_NOTFOUND)
        say(s, PLAIT_SERVE_ERROR, "there is no user %s: name another with --user", s->user);
    else if (rc == PLAIT_ERR_STATE)
        say(s, PLAIT_SERVE_ERROR, "only root can become %s: leave --user out", s->user);
    else if (rc != PLAIT_OK)
        say(s, PLAIT_SERVE_ERROR, "cannot give up privileges: %s", strerror(errno));
    return rc;
}

/* What the rest of the life needs. */

static int open_root(struct serve *s)
{
    const char *dir = s->o->dir;
    int fd = -1;
    struct stat st;
    int rc = plait_docroot_init(&s->server.root, dir);

    if (rc == PLAIT_OK)
        rc = plait_docroot_open(&s->server.root, "", &fd, &st);
    if (rc == PLAIT_OK) {
        close(fd);
        return PLAIT_OK;
    }
    if (errno == ENOENT || errno == ENOTDIR)
        say(s, PLAIT_SERVE_ERROR, "cannot serve %s: %s; give a folder", dir, strerror(errno));
    else if (s->user != NULL)
        say(s, PLAIT_SERVE_ERROR,
            "cannot serve %s as user %s: %s; let that user read it, or name another with --user (--user root "
            "to stay root)",
            dir, s->user, strerror(errno));
    else
        say(s, PLAIT_SERVE_ERROR, "cannot serve %s: %s", dir, strerror(errno));
    return rc;
}

static void complain_of_tls(struct serve *s, enum plait_serve_level level, int rc, const char *file,
                            const char *why, const char *consequence)
{
    if (rc == PLAIT_ERR_CORRUPT)
        say(s, level, "%s does not hold the key of %s%s", s->o->tls_key, s->o->tls_cert, consequence);
    else if (rc == PLAIT_ERR_FORMAT)
        say(s, level, "%s and %s are not a certificate and its key in PEM: %s%s", s->o->tls_cert,
            s->o->tls_key, why, consequence);
    else
        say(s, level, "cannot read %s: %s%s", file, why, consequence);
}

static int load_tls(struct serve *s)
{
    const char *file, *why;
    bool changed;

    if (s->o->tls_cert == NULL)
        return PLAIT_OK;
    int rc = plait_tls_new(&s->server.tls, &s->pem);
    if (rc == PLAIT_OK)
        rc = plait_tls_reload(s->server.tls, &changed, &file, &why);
    else
        file = why = "no memory";
    if (rc == PLAIT_OK)
        return PLAIT_OK;
    complain_of_tls(s, PLAIT_SERVE_ERROR, rc, file, why, "");
    return PLAIT_ERR_IO;
}

static int make_tables(struct serve *s)
{
    const struct plait_clients_limits limits = {
        .total = s->connections,
        .per_address = s->o->connections_per_address,
        .head_ns = s->o->head_timeout_ns > 0 ? s->o->head_timeout_ns : 20 * PLAIT_S,
        .idle_ns = s->o->idle_timeout_ns > 0 ? s->o->idle_timeout_ns : 60 * PLAIT_S,
    };

    if (plait_mime_init(&s->server.mime, MIME_TYPES) != PLAIT_OK)
        say(s, PLAIT_SERVE_WARNING, "cannot read %s; the common content types are known without it",
            MIME_TYPES);
    int rc = plait_clients_new(&s->server.clients, &limits, s->fd_max);
    if (rc == PLAIT_OK)
        plait_send_ahead_for(s->server.clients);
    return rc;
}

static int start_threads(struct serve *s)
{
    uint64_t stall_ns = s->o->stall_timeout_ns > 0 ? s->o->stall_timeout_ns : 120 * PLAIT_S;
    struct plait_workers_options w = {.count = thread_count(s),
                                      .stall_s = (unsigned)((stall_ns + PLAIT_S - 1) / PLAIT_S),
                                      .connections = (unsigned)s->fd_max};
    int digest_fd = s->digest_fd;

    s->digest_fd = -1;
    if (s->server.log != NULL && plait_access_log_start(s->server.log) != PLAIT_OK)
        return PLAIT_ERR_IO;
    if (!s->o->no_digests &&
        plait_digest_cache_new(&s->server.digests, &s->server.root, DIGESTS_MAX, digest_fd) != PLAIT_OK)
        return PLAIT_ERR_IO;
    struct plait_streams_options streams = {
        .groups = s->o->groups > 0 ? s->o->groups : GROUPS_DEFAULT,
        .pumps = (unsigned)plait_min_u64(w.count, PLAIT_STREAMS_PUMPS_MAX),
        .stall_ms = (unsigned)plait_min_u64(stall_ns / PLAIT_MS, INT_MAX),
    };
    if (plait_live_new(&s->server.live) != PLAIT_OK)
        return PLAIT_ERR_IO;
    streams.live = s->server.live;
    if (plait_streams_new(&s->server.streams, &streams) != PLAIT_OK)
        return PLAIT_ERR_IO;
    if (s->server.tls != NULL) {
        w.cert = plait_tls_pair(s->server.tls)->cert;
        w.key = plait_tls_pair(s->server.tls)->key;
    }
    return plait_workers_start(&s->workers, &s->server, &w);
}

/* Signals are the main thread's: all others are made while all signals are blocked. */
static int start_threads_deaf(struct serve *s)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = start_threads(s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != PLAIT_OK)
        say(s, PLAIT_SERVE_ERROR, "cannot start the threads that answer: no memory, or too many threads");
    return rc;
}

/* The main thread's life. */

static void reload_tls(struct serve *s, bool asked)
{
    const char *file, *why;
    bool changed;
    int rc = plait_tls_reload(s->server.tls, &changed, &file, &why);

    if (rc != PLAIT_OK && asked)
        complain_of_tls(s, PLAIT_SERVE_WARNING, rc, file, why, "; the old certificate stays");
    else if (rc == PLAIT_OK && changed)
        say(s, PLAIT_SERVE_NOTE, "a new certificate was read from %s", s->o->tls_cert);
}

static void reload(struct serve *s)
{
    if (s->server.log != NULL && plait_access_log_reopen(s->server.log) != PLAIT_OK)
        say(s, PLAIT_SERVE_WARNING, "cannot open %s again: %s; the old file goes on", s->o->access_log,
            strerror(errno));
    if (s->server.tls != NULL)
        reload_tls(s, true);
}

static void leave(struct serve *s)
{
    if (s->leave_at != 0) {
        plait_loop_stop(&s->loop);
        return;
    }
    s->leave_at = plait_max_u64(1, plait_add_sat(s->loop.now, s->o->grace_ns));
    atomic_store(&s->server.leaving, true);
    plait_streams_leave(s->server.streams);
    plait_publish_leave(s->publish);
    plait_accept_close(&s->accept);
    for (size_t i = 0; i < s->endpoint_count; i++)
        plait_endpoint_close(&s->endpoints[i]);
    plait_timer_set(&s->timer, s->loop.now);
}

static void on_signal(void *ctx, int signum)
{
    struct serve *s = ctx;

    if (signum == SIGHUP)
        reload(s);
    else
        leave(s);
}

static void on_timer(void *ctx)
{
    struct serve *s = ctx;
    uint64_t now = s->loop.now;
    bool leaving = s->leave_at != 0;
    size_t left =
        plait_clients_sweep(s->server.clients, leaving ? PLAIT_SWEEP_LEAVING : PLAIT_SWEEP_USUAL, now);

    if (leaving && (left == 0 || now >= s->leave_at)) {
        plait_loop_stop(&s->loop);
        return;
    }
    s->sweeps++;
    if (!leaving && s->server.tls != NULL && s->sweeps % TLS_LOOK_S == 0)
        reload_tls(s, false);
    if (!leaving && s->sweeps % LAN_LOOK_S == 0)
        plait_publish_refresh(s->publish);
    plait_timer_set(&s->timer, plait_add_sat(now, leaving ? LEAVING_NS : SWEEP_NS));
}

static int watch(struct serve *s)
{
    int rc = PLAIT_OK;

    while (rc == PLAIT_OK && s->signal_count < SIGNALS) {
        size_t i = s->signal_count;
        rc = plait_signal_init(&s->signals[i], &s->loop, signal_numbers[i], on_signal, s);
        if (rc == PLAIT_OK)
            s->signal_count++;
    }
    s->accept.spare_fd = -1;
    if (rc == PLAIT_OK)
        rc = plait_accept_init(&s->accept, &s->loop, s->endpoints, s->endpoint_count, s->server.clients,
                               &s->workers);
    if (rc != PLAIT_OK)
        say(s, PLAIT_SERVE_ERROR, "cannot watch for connections: %s", strerror(errno));
    return rc;
}

static int publish(struct serve *s)
{
    const struct plait_publish_options options = {
        .serve = s->o,
        .listener = s->listener,
        .loop = &s->loop,
        .root = &s->server.root,
        .digests = s->server.digests,
        .secret = s->secrets.count > 0 ? &s->secrets.all[0] : NULL,
        .endpoints = s->endpoints,
        .endpoint_count = s->endpoint_count,
    };
    sigset_t all, before;

    if (!plait_publish_is_wanted(s->o))
        return PLAIT_OK;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = plait_publish_new(&s->publish, &options);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == PLAIT_OK)
        s->server.contents = plait_publish_contents(s->publish);
    return rc;
}

static void tell_start(struct serve *s)
{
    const char *addresses[PLAIT_SERVE_LISTEN_MAX];
    uint16_t ports[PLAIT_SERVE_LISTEN_MAX];
    const struct passwd *pw = getpwuid(geteuid());
    struct plait_serve_start start = {.dir = s->o->dir,
                                      .scheme = s->server.tls != NULL ? "https" : "http",
                                      .user = pw != NULL ? pw->pw_name : "",
                                      .addresses = addresses,
                                      .ports = ports,
                                      .count = s->endpoint_count};

    for (size_t i = 0; i < s->endpoint_count; i++) {
        addresses[i] = s->endpoints[i].text;
        ports[i] = s->endpoints[i].port;
    }
    if (s->listener->started != NULL)
        s->listener->started(s->listener->ctx, &start);
}

static int run_loop(struct serve *s)
{
    if (plait_loop_init(&s->loop) != PLAIT_OK) {
        say(s, PLAIT_SERVE_ERROR, "cannot start the event loop: %s", strerror(errno));
        return PLAIT_ERR_IO;
    }
    plait_timer_init(&s->timer, &s->loop, on_timer, s);
    int rc = watch(s);
    if (rc == PLAIT_OK)
        rc = publish(s);
    if (rc == PLAIT_OK) {
        plait_timer_set(&s->timer, plait_add_sat(s->loop.now, SWEEP_NS));
        tell_start(s);
        plait_loop_run(&s->loop);
    }
    plait_accept_close(&s->accept);
    plait_publish_leave(s->publish);
    for (size_t i = 0; i < s->signal_count; i++)
        plait_signal_close(&s->signals[i]);
    plait_timer_close(&s->timer);
    plait_loop_drain(&s->loop);
    plait_loop_done(&s->loop);
    return rc;
}

static int prepare(struct serve *s)
{
    int rc = raise_limits(s);

    if (rc == PLAIT_OK)
        rc = listen_everywhere(s);
    if (rc == PLAIT_OK)
        rc = open_files(s);
    if (rc == PLAIT_OK)
        rc = load_secret(s);
    if (rc == PLAIT_OK)
        rc = give_up_rights(s);
    if (rc == PLAIT_OK)
        rc = open_root(s);
    if (rc == PLAIT_OK)
        rc = load_tls(s);
    if (rc == PLAIT_OK)
        rc = make_tables(s);
    return rc == PLAIT_OK ? start_threads_deaf(s) : rc;
}

/* In the order in which one needs the other. False: a thread is left behind, and the process has to end. */
static bool finish(struct serve *s)
{
    for (size_t i = 0; i < s->endpoint_count; i++)
        plait_endpoint_close(&s->endpoints[i]);
    if (s->server.streams != NULL)
        plait_streams_stop(s->server.streams);
    plait_workers_stop(&s->workers);
    plait_streams_free(s->server.streams);
    plait_live_free(s->server.live);
    bool ended = plait_publish_free(s->publish);
    plait_send_ahead_for(NULL);
    plait_digest_cache_free(s->server.digests);
    plait_access_log_free(s->server.log);
    plait_tls_free(s->server.tls);
    plait_pem_done(&s->pem);
    plait_clients_free(s->server.clients);
    plait_mime_done(&s->server.mime);
    plait_docroot_done(&s->server.root);
    plait_secrets_done(&s->secrets);
    if (s->digest_fd >= 0)
        close(s->digest_fd);
    return ended;
}

int plait_serve_run(const struct plait_serve_options *options, const struct plait_serve_listener *listener)
{
    struct serve *s = calloc(1, sizeof *s);

    if (s == NULL)
        return PLAIT_SERVE_FAILED;
    s->o = options;
    s->listener = listener;
    s->user = options->user == NULL && geteuid() == 0 ? "nobody" : options->user;
    s->server.dotfiles = options->dotfiles;
    s->server.listings = !options->no_listings;
    s->server.follow = options->follow;
    s->server.root.fd = -1;
    s->digest_fd = s->pem.keeper_fd = -1;
    atomic_init(&s->server.leaving, false);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGIO, SIG_IGN); /* somebody writes to a file that we have just looked at (live.h) */
    int rc = prepare(s);
    if (rc == PLAIT_OK)
        rc = run_loop(s);
    bool ended = finish(s);
    int status = rc == PLAIT_OK           ? PLAIT_SERVE_DONE
                 : rc == PLAIT_ERR_FORMAT ? PLAIT_SERVE_USAGE
                                          : PLAIT_SERVE_FAILED;
    if (!ended) {
        fflush(NULL);
        _exit(status);
    }
    free(s);
    return status;
}
