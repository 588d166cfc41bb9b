#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "direct_int.h"
#include "file.h"
#include "listen.h"
#include "units.h"

#define TICK_NS       (250 * PLAIT_MS)
#define KEEP_ALIVE_NS (5 * PLAIT_S) /* whoever has gone is noticed at the second one */
#define FAREWELL_NS   (2 * PLAIT_S)
#define PEM_MAX       PLAIT_MIB
#define FDS_BESIDE    64

void plait_direct_say(const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "plait direct: %s\n", text);
}

/* Answers. */

void plait_direct_answer(struct plait_request *r, unsigned status, json_t *o,
                         const struct plait_web_field *fields, size_t field_count)
{
    char *text = o != NULL ? json_dumps(o, JSON_INDENT(2)) : NULL;

    if (text != NULL)
        plait_web_answer(r, status, "application/json", text, strlen(text), fields, field_count);
    else
        plait_web_answer(r, 503, NULL, "", 0, NULL, 0);
    free(text);
    json_decref(o);
}

void plait_direct_refuse(struct plait_request *r, unsigned status, const char *words)
{
    static const struct plait_web_field fields[] = {{"Cache-Control", "no-store"}};

    plait_direct_answer(r, status, json_pack("{s:s}", "error", words), fields, PLAIT_COUNT(fields));
}

/* Requests. */

static bool is_api(const struct plait_request *r)
{
    return strncmp(plait_request_target(r), PLAIT_DIRECT_API, strlen(PLAIT_DIRECT_API)) == 0;
}

static bool is_reading(const struct plait_request *r)
{
    return strcmp(plait_request_method(r), "GET") == 0 || strcmp(plait_request_method(r), "HEAD") == 0;
}

static void on_head(void *ctx, struct plait_request *r)
{
    static const struct plait_web_field allow = {"Allow", "GET, HEAD"};
    struct plait_direct *d = ctx;

    if (is_api(r))
        plait_direct_register_head(d, r);
    else if (!is_reading(r))
        plait_direct_answer(r, 405, json_pack("{s:s}", "error", "GET or HEAD"), &allow, 1);
}

static void on_whole(void *ctx, struct plait_request *r)
{
    static const struct plait_web_field later = {"Retry-After", "1"};
    struct plait_direct *d = ctx;

    if (!d->is_ready)
        plait_direct_answer(r, 503, json_pack("{s:s}", "error", "the director has not yet reached its store"),
                            &later, 1);
    else if (is_api(r))
        plait_direct_register_whole(d, r);
    else
        plait_direct_lookup(d, r);
}

/* The store's news. */

static void on_stored(void *ctx, const char *id, const char *text, size_t len, uint64_t ttl_ms)
{
    struct plait_direct *d = ctx;
    struct plait_registration r;
    char fault[PLAIT_FAULT_MAX];
    int err = plait_registration_decode(text, len, true, &r, fault);

    if (err == PLAIT_OK)
        err = plait_catalog_put(d->catalog, id, &r, plait_add_sat(d->loop.now, ttl_ms * PLAIT_MS));
    else if (fault[0] != '\0')
        plait_direct_say("store: what lies under %s cannot be used: %s", id, fault);
    if (err == PLAIT_ERR_LIMIT || err == PLAIT_ERR_NOMEM)
        plait_direct_say("store: no room for %s", id);
}

static void on_touched(void *ctx, const char *id, uint64_t ttl_ms)
{
    struct plait_direct *d = ctx;
    struct plait_server *server = plait_catalog_server(d->catalog, id);

    if (server != NULL && ttl_ms <= PLAIT_REGISTRATION_TTL_MS_MAX)
        server->expires = plait_max_u64(server->expires, d->loop.now + ttl_ms * PLAIT_MS);
}

static void on_dropped(void *ctx, const char *id)
{
    struct plait_direct *d = ctx;

    plait_catalog_drop(d->catalog, id, PLAIT_CATALOG_LEFT);
}

static bool prolong(void *ctx, struct plait_server *server)
{
    struct plait_direct *d = ctx;

    server->expires = plait_max_u64(server->expires, d->loop.now + server->reg.ttl_ms * PLAIT_MS);
    return true;
}

/* Once the store has answered, or has been found out of reach. */
static void say_listening(struct plait_direct *d)
{
    char text[PLAIT_ENDPOINT_TEXT_MAX];

    if (d->has_said)
        return;
    d->has_said = true;
    plait_endpoint_text(plait_web_address(d->web), text);
    if (!d->options->json) {
        plait_direct_say("listening on %s", text);
        return;
    }
    printf("{\"event\":\"listening\",\"address\":\"%s\",\"port\":%d}\n", text, atoi(strrchr(text, ':') + 1));
    fflush(stdout);
}

static void on_state(void *ctx, bool up)
{
    struct plait_direct *d = ctx;

    if (!up) {
        plait_direct_say("store: %s; what is known is still told, and nobody can register", d->store->error);
        say_listening(d);
        return;
    }
    if (d->is_ready)
        plait_direct_say("store: there again");
    d->is_ready = true;
    plait_catalog_each_server(d->catalog, prolong, d); /* nobody could send a heartbeat */
    say_listening(d);
}

/* Time. */

struct look {
    struct plait_direct *direct;
    char id[PLAIT_SERVER_ID_MAX + 1];
};

static void on_looked(void *ctx, int err, uint64_t ttl_ms)
{
    struct look *look = ctx;
    struct plait_direct *d = look->direct;
    struct plait_server *server = plait_catalog_server(d->catalog, look->id);

    if (server != NULL) {
        server->is_looking = false;
        if (err == PLAIT_OK) {
            server->expires =
                plait_max_u64(server->expires, d->loop.now + plait_max_u64(ttl_ms, 1) * PLAIT_MS);
        } else if (err == PLAIT_ERR_NOTFOUND && server->expires <= d->loop.now) {
            plait_direct_say("%s has expired", look->id);
            plait_catalog_drop(d->catalog, look->id, PLAIT_CATALOG_EXPIRED);
        }
    }
    free(look);
}

struct overdue {
    struct plait_direct *direct;
    struct plait_server *found[64];
    size_t count;
};

static bool collect_overdue(void *ctx, struct plait_server *server)
{
    struct overdue *o = ctx;

    if (server->expires <= o->direct->loop.now && !server->is_pending && !server->is_looking)
        o->found[o->count++] = server;
    return o->count < PLAIT_COUNT(o->found);
}

/* Whoever is overdue here may have been heard of by another director: the store knows. */
static void look_after(struct plait_direct *d)
{
    struct overdue o = {.direct = d};

    plait_catalog_each_server(d->catalog, collect_overdue, &o);
    for (size_t i = 0; i < o.count; i++) {
        struct look *look = malloc(sizeof *look);
        if (look == NULL)
            return;
        look->direct = d;
        memcpy(look->id, o.found[i]->id, sizeof look->id);
        o.found[i]->is_looking = true;
        d->store->ops->look(d->store, look->id, on_looked, look);
    }
}

static void end(struct plait_direct *d)
{
    plait_loop_stop(&d->loop);
}

static void on_tick(void *ctx)
{
    struct plait_direct *d = ctx;

    if (d->store->is_up)
        look_after(d);
    if (d->is_ending && (plait_web_count(d->web) == 0 || d->loop.now >= d->end_by))
        end(d);
    plait_timer_set(&d->tick, d->loop.now + (d->is_ending ? TICK_NS / 10 : TICK_NS));
}

static void on_keep_alive(void *ctx)
{
    struct plait_direct *d = ctx;

    plait_feeds_keep_alive(d->feeds);
    plait_timer_set(&d->keep_alive, d->loop.now + KEEP_ALIVE_NS);
}

/* Signals. */

static void on_term(void *ctx, int signum)
{
    struct plait_direct *d = ctx;

    if (d->is_ending || signum == SIGINT) {
        end(d);
        return;
    }
    d->is_ending = true;
    d->end_by = d->loop.now + FAREWELL_NS;
    plait_feeds_end(d->feeds); /* whoever listens asks the next director */
    plait_web_stop(d->web);
    plait_timer_set(&d->tick, d->loop.now);
}

static const char *reason(int err)
{
    return err == PLAIT_ERR_IO ? strerror(errno) : plait_err_name(err);
}

static int load_secrets(struct plait_direct *d)
{
    const char *path = d->options->secret_file;
    char words[PLAIT_SECRETS_WORDS_MAX];
    struct plait_secrets fresh;
    unsigned line = 0;
    int err = path != NULL ? plait_secrets_load(path, &fresh, &line) : PLAIT_OK;

    if (path == NULL)
        return PLAIT_OK;
    if (err != PLAIT_OK) {
        plait_direct_say("%s", plait_secrets_explain(path, err, line, words));
        return err;
    }
    plait_secrets_done(&d->secrets);
    d->secrets = fresh;
    return PLAIT_OK;
}

static void on_hangup(void *ctx, int signum)
{
    (void)signum;
    (void)!load_secrets(ctx);
}

static int watch_signals(struct plait_direct *d)
{
    signal(SIGPIPE, SIG_IGN);
    if (plait_signal_init(&d->term, &d->loop, SIGTERM, on_term, d) != PLAIT_OK ||
        plait_signal_init(&d->interrupt, &d->loop, SIGINT, on_term, d) != PLAIT_OK ||
        plait_signal_init(&d->hangup, &d->loop, SIGHUP, on_hangup, d) != PLAIT_OK)
        return PLAIT_ERR_IO;
    return PLAIT_OK;
}

/* Setting up. */

/* A file of PEM, terminated; NULL without a path. */
static int load_pem(const char *path, char **out)
{
    uint8_t *bytes;
    size_t len;
    int fd;

    if (path == NULL)
        return PLAIT_OK;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    int err = fd >= 0 ? plait_read_file(fd, PEM_MAX, &bytes, &len) : PLAIT_ERR_IO;
    if (fd >= 0)
        close(fd);
    if (err != PLAIT_OK)
        plait_direct_say("%s: %s", path, reason(err));
    else
        *out = (char *)bytes;
    return err;
}

static int check_options(const struct plait_direct_options *o)
{
    const char *fault = NULL;

    if ((o->cert_file == NULL) != (o->key_file == NULL))
        fault = "--tls-cert and --tls-key go together";
    else if (o->client_ca_file != NULL && o->cert_file == NULL)
        fault = "--client-ca needs --tls-cert and --tls-key";
    else if (o->secret_file == NULL && o->client_ca_file == NULL)
        fault = "nobody could register: --secret FILE or --client-ca FILE is needed";
    if (fault != NULL)
        plait_direct_say("%s", fault);
    return fault == NULL ? PLAIT_OK : PLAIT_ERR_ARG;
}

static unsigned bound_connections(unsigned wanted)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return wanted;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
        limit.rlim_cur >= (rlim_t)wanted + FDS_BESIDE)
        return wanted;
    unsigned room = (unsigned)plait_max_u64(plait_since(limit.rlim_cur, FDS_BESIDE), 1);
    plait_direct_say(
        "descriptors suffice for %u connections, not for %u; raise the limit (ulimit -n, LimitNOFILE=)", room,
        wanted);
    return room;
}

static int open_web(struct plait_direct *d)
{
    static const struct plait_web_handler handler = {.head = on_head, .whole = on_whole};
    const struct plait_direct_options *o = d->options;
    struct plait_web_config config = {.loop = &d->loop,
                                      .listen = o->listen,
                                      .per_address_max = o->per_address_max,
                                      .total_max = bound_connections(o->connections_max),
                                      .body_max = PLAIT_REGISTRATION_BYTES_MAX,
                                      .cert = d->cert,
                                      .key = d->key,
                                      .client_ca = d->client_ca,
                                      .handler = &handler,
                                      .ctx = d};
    bool tls;
    int err = plait_web_open(&config, &d->web, &tls);

    if (tls)
        plait_direct_say("%s, %s: no certificate and key that go together", o->cert_file, o->key_file);
    else if (err == PLAIT_ERR_FORMAT)
        plait_direct_say("--listen %s: not ADDRESS:PORT, [IPv6]:PORT, or :PORT for all addresses", o->listen);
    else if (err != PLAIT_OK)
        plait_direct_say("cannot listen on %s: %s%s", o->listen, reason(err),
                         err == PLAIT_ERR_IO ? plait_listen_advice(errno) : "");
    d->has_web = err == PLAIT_OK;
    return err == PLAIT_OK           ? PLAIT_DIRECT_DONE
           : err == PLAIT_ERR_FORMAT ? PLAIT_DIRECT_USAGE
                                     : PLAIT_DIRECT_FAILED;
}

static int open_store(struct plait_direct *d)
{
    static const struct plait_store_events events = {
        .put = on_stored, .touched = on_touched, .dropped = on_dropped, .state = on_state};
    char error[PLAIT_STORE_ERROR_MAX];

    d->store = plait_store_open(d->options->store, &d->loop, &events, d, error);
    if (d->store == NULL)
        plait_direct_say("--store: %s", error);
    return d->store != NULL ? PLAIT_OK : PLAIT_ERR_ARG;
}

static int set_up(struct plait_direct *d)
{
    const struct plait_direct_options *o = d->options;

    plait_timer_init(&d->tick, &d->loop, on_tick, d);
    plait_timer_init(&d->keep_alive, &d->loop, on_keep_alive, d);
    if (check_options(o) != PLAIT_OK || load_secrets(d) != PLAIT_OK ||
        load_pem(o->cert_file, &d->cert) != PLAIT_OK || load_pem(o->key_file, &d->key) != PLAIT_OK ||
        load_pem(o->client_ca_file, &d->client_ca) != PLAIT_OK)
        return PLAIT_DIRECT_USAGE;
    d->feeds = plait_feeds_new();
    d->catalog = plait_catalog_new(plait_direct_changed, d);
    if (d->feeds == NULL || d->catalog == NULL || watch_signals(d) != PLAIT_OK)
        return PLAIT_DIRECT_FAILED;
    if (open_store(d) != PLAIT_OK)
        return PLAIT_DIRECT_USAGE;
    int status = open_web(d);
    plait_timer_set(&d->tick, d->loop.now + TICK_NS);
    plait_timer_set(&d->keep_alive, d->loop.now + KEEP_ALIVE_NS);
    return status;
}

static void close_signals(struct plait_direct *d)
{
    struct plait_signal *all[] = {&d->term, &d->interrupt, &d->hangup};

    for (size_t i = 0; i < PLAIT_COUNT(all); i++)
        if (all[i]->loop != NULL)
            plait_signal_close(all[i]);
}

static void tear_down(struct plait_direct *d)
{
    if (d->has_web)
        plait_web_close(d->web);
    if (d->store != NULL)
        d->store->ops->close(d->store);
    plait_timer_close(&d->tick);
    plait_timer_close(&d->keep_alive);
    close_signals(d);
    plait_loop_drain(&d->loop);
    plait_loop_done(&d->loop);
    plait_web_free(d->web);
    if (d->store != NULL)
        d->store->ops->free_memory(d->store);
    plait_catalog_free(d->catalog);
    plait_feeds_free(d->feeds);
    plait_secrets_done(&d->secrets);
    free(d->page);
    free(d->cert);
    free(d->key);
    free(d->client_ca);
}

int plait_direct_run(const struct plait_direct_options *options)
{
    static struct plait_direct d;

    memset(&d, 0, sizeof d);
    d.options = options;
    if (plait_loop_init(&d.loop) != PLAIT_OK) {
        plait_direct_say("no event loop: %s", strerror(errno));
        return PLAIT_DIRECT_FAILED;
    }
    int status = set_up(&d);
    if (status == PLAIT_DIRECT_DONE)
        plait_loop_run(&d.loop);
    tear_down(&d);
    return status;
}
