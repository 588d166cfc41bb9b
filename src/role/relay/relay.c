#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "relay_int.h"
#include "stream_name.h"
#include "units.h"

#define TICK_NS        (500 * PLAIT_MS)
#define FDS_PER_CLIENT 6 /* two sockets and, where neither end takes anything, two pipes */
#define FDS_BESIDE     (64 + 2 * PLAIT_PIPES_KEPT)
#define BURST_MIN      (64.0 * 1024)

void plait_relay_say(const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "plait relay: %s\n", text);
}

/* Clients and their time. */

static void stop_if_drained(struct plait_relay *relay)
{
    if (relay->draining && relay->clients == NULL && !relay->ending) {
        relay->ending = true;
        plait_loop_stop(&relay->loop);
    }
}

void plait_relay_client_gone(struct plait_relay *relay)
{
    stop_if_drained(relay);
}

static void on_tick(void *ctx)
{
    struct plait_relay *relay = ctx;

    plait_clients_expire(relay, false, false);
    relay->is_ticking = relay->clients != NULL;
    if (relay->is_ticking)
        plait_timer_set(&relay->tick, relay->loop.now + TICK_NS);
}

static void on_refill(void *ctx)
{
    plait_clients_refill(ctx);
}

static void on_accepted(void *ctx, int fd, const struct sockaddr_storage *peer)
{
    struct plait_relay *relay = ctx;

    plait_client_start(relay, fd, peer);
    if (relay->is_ticking)
        return;
    relay->is_ticking = true;
    plait_timer_set(&relay->tick, relay->loop.now + TICK_NS);
}

static bool on_crowd(void *ctx)
{
    return plait_client_push_out(ctx);
}

static void on_refused(void *ctx, int fd, const struct sockaddr_storage *peer)
{
    struct plait_relay *relay = ctx;
    struct plait_log_entry entry = {
        .peer = peer, .user = "", .target = "", .address = "", .status = 503, .end = "too many connections"};

    plait_client_refuse(fd);
    plait_log_write(relay, &entry);
}

/* Signals. */

static void on_grace(void *ctx)
{
    struct plait_relay *relay = ctx;

    plait_clients_expire(relay, true, true);
    stop_if_drained(relay);
}

static void on_term(void *ctx, int signum)
{
    struct plait_relay *relay = ctx;

    if (relay->draining) {
        plait_clients_expire(relay, true, true);
        stop_if_drained(relay);
        return;
    }
    relay->draining = true;
    plait_listener_stop(relay->listener);
    if (relay->registrar != NULL)
        plait_registrar_leave(relay->registrar);
    plait_clients_expire(relay, true, signum == SIGINT || relay->options->grace_s == 0);
    if (relay->clients != NULL) {
        plait_relay_say("waiting up to %u s for the end of tunnels: %u", relay->options->grace_s,
                        plait_listener_count(relay->listener));
        plait_timer_set(&relay->grace, relay->loop.now + relay->options->grace_s * PLAIT_S);
    }
    stop_if_drained(relay);
}

static const char *reason(int err)
{
    return err == PLAIT_ERR_IO ? strerror(errno) : plait_err_name(err);
}

static int load_access(struct plait_relay *relay)
{
    unsigned line = 0;
    int err = plait_access_load(relay->access, relay->options->auth_file, &line);

    if (err != PLAIT_OK && line > 0)
        plait_relay_say("%s, line %u: not user:hash with a hash of crypt(5) (mkpasswd makes one)",
                        relay->options->auth_file, line);
    else if (err != PLAIT_OK)
        plait_relay_say("%s: %s", relay->options->auth_file, reason(err));
    return err;
}

static int open_log(struct plait_relay *relay)
{
    int err = plait_log_open(relay);

    if (err != PLAIT_OK)
        plait_relay_say("%s: %s", relay->options->log_file, strerror(errno));
    return err;
}

static void on_hangup(void *ctx, int signum)
{
    struct plait_relay *relay = ctx;

    (void)signum;
    (void)!open_log(relay);
    if (relay->access != NULL)
        (void)!load_access(relay);
}

/* Setting up. */

static int parse_allow(struct plait_relay *relay)
{
    const struct plait_relay_options *o = relay->options;

    if (o->allow_count == 0) {
        plait_relay_say("nothing is allowed; name the destinations to serve: --allow HOST:PORT");
        return PLAIT_ERR_ARG;
    }
    for (size_t i = 0; i < o->allow_count; i++) {
        int err = plait_allow_add(&relay->allow, o->allow[i]);
        if (err == PLAIT_OK)
            continue;
        if (err == PLAIT_ERR_RANGE)
            plait_relay_say("--allow %s: no such port or prefix (a prefix has no bits set beyond its length)",
                            o->allow[i]);
        else if (err == PLAIT_ERR_LIMIT)
            plait_relay_say("--allow: more than %u rules", PLAIT_ALLOW_RULES_MAX);
        else
            plait_relay_say(
                "--allow %s: not HOST:PORT, with a name, an address or a prefix, IPv6 in brackets, and a "
                "port or *",
                o->allow[i]);
        return err;
    }
    return PLAIT_OK;
}

/* How many clients the descriptors suffice for, whatever the clients do. */
static unsigned bound_clients(unsigned wanted)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return wanted;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return wanted;
    uint64_t room = plait_since(limit.rlim_cur, FDS_BESIDE) / FDS_PER_CLIENT;
    if (room >= wanted)
        return wanted;
    plait_relay_say("%" PRIu64 " descriptors suffice for %" PRIu64
                    " connections, not for %u; raise the limit "
                    "(ulimit -n, LimitNOFILE=)",
                    (uint64_t)limit.rlim_cur, plait_max_u64(room, 1), wanted);
    return (unsigned)plait_max_u64(room, 1);
}

static int open_listener(struct plait_relay *relay)
{
    static const struct plait_listener_events events = {
        .accepted = on_accepted, .make_room = on_crowd, .refused = on_refused};
    const struct plait_relay_options *o = relay->options;
    struct plait_listener_config config = {.loop = &relay->loop,
                                           .address = o->listen,
                                           .events = &events,
                                           .ctx = relay,
                                           .total_max = bound_clients(o->connections_max),
                                           .per_address_max = o->per_address_max};
    int err = plait_listener_open(&config, &relay->listener);

    if (err == PLAIT_ERR_FORMAT)
        plait_relay_say("--listen %s: not ADDRESS:PORT, [IPv6]:PORT, or :PORT for all addresses", o->listen);
    else if (err != PLAIT_OK)
        plait_relay_say("cannot listen on %s: %s%s", o->listen, reason(err),
                        err == PLAIT_ERR_IO ? plait_listen_advice(errno) : "");
    return err;
}

static json_t *served(const struct plait_relay *relay)
{
    json_t *serves = json_array();
    char text[PLAIT_ALLOW_TEXT_MAX];

    for (size_t i = 0; i < relay->allow.count; i++)
        json_array_append_new(serves, json_string(plait_allow_text(&relay->allow.rules[i], text)));
    return serves;
}

static int make_overview(struct plait_relay *relay)
{
    json_t *o = json_pack("{s:s, s:s, s:s, s:o, s:o}", "plait", "relay", "version", PLAIT_VERSION, "method",
                          "CONNECT", "serves", served(relay), "auth",
                          relay->options->auth_file != NULL ? json_string("basic") : json_null());

    relay->overview = json_dumps(o, JSON_INDENT(2));
    json_decref(o);
    return relay->overview != NULL ? PLAIT_OK : PLAIT_ERR_NOMEM;
}

static int watch_signals(struct plait_relay *relay)
{
    signal(SIGPIPE, SIG_IGN);
    if (plait_signal_init(&relay->term, &relay->loop, SIGTERM, on_term, relay) != PLAIT_OK ||
        plait_signal_init(&relay->interrupt, &relay->loop, SIGINT, on_term, relay) != PLAIT_OK ||
        plait_signal_init(&relay->hangup, &relay->loop, SIGHUP, on_hangup, relay) != PLAIT_OK)
        return PLAIT_ERR_IO;
    return PLAIT_OK;
}

/* Registering with a director. */

/* `http://` and the address, unless it stands for all addresses of the machine. */
static int make_url(const struct plait_relay *relay, char *out, size_t size)
{
    char text[PLAIT_ENDPOINT_TEXT_MAX];

    plait_endpoint_text(plait_listener_address(relay->listener), text);
    if (relay->options->public_url != NULL)
        snprintf(out, size, "%s", relay->options->public_url);
    else if (strncmp(text, "0.0.0.0:", 8) == 0 || strncmp(text, "[::]:", 5) == 0)
        return PLAIT_ERR_ARG;
    else
        snprintf(out, size, "http://%s", text);
    return PLAIT_OK;
}

/* `relay-HOST-PORT`, of what an id may have. */
static void make_id(const struct plait_relay *relay, char *out, size_t size)
{
    char host[64] = "", text[PLAIT_ENDPOINT_TEXT_MAX];

    gethostname(host, sizeof host - 1);
    plait_endpoint_text(plait_listener_address(relay->listener), text);
    snprintf(out, size, "relay-%s-%s", host, strrchr(text, ':') + 1);
    for (char *c = out; *c != '\0'; c++)
        if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-", *c) == NULL)
            *c = '-';
}

static void on_registrar(void *ctx, bool bad, const char *text)
{
    (void)ctx;
    (void)bad;
    plait_relay_say("%s", text);
}

static int load_secret(const struct plait_relay_options *o, struct plait_secrets *secrets)
{
    char words[PLAIT_SECRETS_WORDS_MAX];
    unsigned line = 0;
    int err = plait_secrets_load(o->secret_file, secrets, &line);

    if (err != PLAIT_OK)
        plait_relay_say("%s", plait_secrets_explain(o->secret_file, err, line, words));
    return err;
}

static int start_registrar(struct plait_relay *relay, const struct plait_secret *secret)
{
    const struct plait_relay_options *o = relay->options;
    char id[PLAIT_SERVER_ID_MAX + 1], url[1024], (*texts)[PLAIT_ALLOW_TEXT_MAX];
    const char **reaches = calloc(relay->allow.count, sizeof *reaches);

    make_id(relay, id, sizeof id);
    texts = calloc(relay->allow.count, sizeof *texts);
    if (make_url(relay, url, sizeof url) != PLAIT_OK) {
        plait_relay_say("--public URL is needed: %s stands for every address", o->listen);
    } else if (o->name != NULL && !plait_server_id_is_good(o->name)) {
        plait_relay_say("--name %s: letters, digits, . _ ~ - only, %d at most", o->name, PLAIT_SERVER_ID_MAX);
    } else if (reaches != NULL && texts != NULL) {
        for (size_t i = 0; i < relay->allow.count; i++)
            reaches[i] = plait_allow_text(&relay->allow.rules[i], texts[i]);
        struct plait_registrar_config config = {.directors = o->directors,
                                                .director_count = o->director_count,
                                                .id = o->name != NULL ? o->name : id,
                                                .is_relay = true,
                                                .url = url,
                                                .reaches = reaches,
                                                .reach_count = relay->allow.count,
                                                .asks_credentials = o->auth_file != NULL,
                                                .secret = secret,
                                                .cert_file = o->cert_file,
                                                .key_file = o->key_file,
                                                .ca_file = o->ca_file,
                                                .agent = "plait-relay/" PLAIT_VERSION,
                                                .say = on_registrar};
        relay->registrar = plait_registrar_new(&config);
        if (relay->registrar == NULL)
            plait_relay_say("cannot register: out of memory or threads, or too many directors");
    }
    free(reaches);
    free(texts);
    return relay->registrar != NULL ? PLAIT_OK : PLAIT_ERR_ARG;
}

static int register_relay(struct plait_relay *relay)
{
    const struct plait_relay_options *o = relay->options;
    struct plait_secrets secrets = {0};

    if (o->director_count == 0)
        return PLAIT_OK;
    if (o->secret_file == NULL && o->cert_file == NULL) {
        plait_relay_say("--director needs --secret FILE, or --cert FILE and --key FILE");
        return PLAIT_ERR_ARG;
    }
    if (o->secret_file != NULL && load_secret(o, &secrets) != PLAIT_OK)
        return PLAIT_ERR_ARG;
    int err = start_registrar(relay, secrets.count > 0 ? &secrets.all[0] : NULL);
    plait_secrets_done(&secrets);
    return err;
}

/* Running. */

static void say_listening(const struct plait_relay *relay)
{
    char text[PLAIT_ENDPOINT_TEXT_MAX];

    plait_endpoint_text(plait_listener_address(relay->listener), text);
    if (!relay->options->json) {
        plait_relay_say("listening on %s", text);
        return;
    }
    json_t *o = json_pack("{s:s, s:s, s:i, s:o}", "event", "listening", "address", text, "port",
                          atoi(strrchr(text, ':') + 1), "serves", served(relay));
    char *line = json_dumps(o, JSON_COMPACT);
    if (line != NULL)
        puts(line);
    fflush(stdout);
    free(line);
    json_decref(o);
}

static int set_up(struct plait_relay *relay)
{
    const struct plait_relay_options *o = relay->options;

    plait_timer_init(&relay->tick, &relay->loop, on_tick, relay);
    plait_timer_init(&relay->refill, &relay->loop, on_refill, relay);
    plait_timer_init(&relay->grace, &relay->loop, on_grace, relay);
    relay->last_paused = &relay->paused;
    TAILQ_INIT(&relay->silent);
    if (o->rate > 0)
        plait_bucket_init(&relay->bucket, o->rate, o->rate / 10 > BURST_MIN ? o->rate / 10 : BURST_MIN,
                          relay->loop.now);
    if (parse_allow(relay) != PLAIT_OK)
        return PLAIT_RELAY_USAGE;
    if (o->auth_file != NULL &&
        ((relay->access = plait_access_new(&relay->loop)) == NULL || load_access(relay) != PLAIT_OK))
        return PLAIT_RELAY_USAGE;
    if (open_log(relay) != PLAIT_OK || make_overview(relay) != PLAIT_OK || watch_signals(relay) != PLAIT_OK)
        return PLAIT_RELAY_FAILED;
    int err = open_listener(relay);
    if (err != PLAIT_OK)
        return err == PLAIT_ERR_FORMAT ? PLAIT_RELAY_USAGE : PLAIT_RELAY_FAILED;
    return register_relay(relay) == PLAIT_OK ? PLAIT_RELAY_DONE : PLAIT_RELAY_USAGE;
}

static void close_signals(struct plait_relay *relay)
{
    if (relay->term.loop != NULL)
        plait_signal_close(&relay->term);
    if (relay->interrupt.loop != NULL)
        plait_signal_close(&relay->interrupt);
    if (relay->hangup.loop != NULL)
        plait_signal_close(&relay->hangup);
}

static void tear_down(struct plait_relay *relay, int status)
{
    bool stuck = !plait_registrar_free(relay->registrar) || relay->resolving > 0;

    if (relay->listener != NULL)
        plait_listener_stop(relay->listener);
    plait_timer_close(&relay->tick);
    plait_timer_close(&relay->refill);
    plait_timer_close(&relay->grace);
    close_signals(relay);
    if (stuck) {
        /* The system's resolver cannot be called off, and may take its time; nobody waits for it any more. */
        fflush(NULL);
        _exit(status);
    }
    plait_loop_drain(&relay->loop);
    plait_loop_done(&relay->loop);
    plait_listener_free(relay->listener);
    plait_access_free(relay->access);
    plait_allow_done(&relay->allow);
    plait_pipes_done(&relay->pipes);
    plait_log_close(relay);
    free(relay->overview);
}

int plait_relay_run(const struct plait_relay_options *options)
{
    static struct plait_relay relay;

    memset(&relay, 0, sizeof relay);
    relay.options = options;
    if (plait_loop_init(&relay.loop) != PLAIT_OK) {
        plait_relay_say("no event loop: %s", strerror(errno));
        return PLAIT_RELAY_FAILED;
    }
    int status = set_up(&relay);
    if (status == PLAIT_RELAY_DONE) {
        say_listening(&relay);
        plait_loop_run(&relay.loop);
    }
    tear_down(&relay, status);
    return status;
}
