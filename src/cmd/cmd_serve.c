#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd_serve.h"
#include "serve.h"
#include "units.h"

#define DIRECTORS_MAX 16

static const char help[] =
    "usage: plait serve DIR [OPTION]...\n"
    "Serve the files in DIR over HTTP, in ranges and in whole.\n"
    "\n"
    "  -l, --listen ADDR:PORT        where; may be given several times (default: port 8080 of every "
    "address)\n"
    "      --tls-cert FILE           certificate chain in PEM: serve HTTPS\n"
    "      --tls-key FILE            its key; both files are read again when they change\n"
    "      --access-log FILE         a line for each request; - is standard output\n"
    "      --log-format FORMAT       of the access log: combined (default) or json\n"
    "      --dotfiles                also serve names that begin with a dot\n"
    "      --follow                  send a file that is being written until it is closed, also to plain "
    "clients\n"
    "      --no-listing              no listings of directories\n"
    "      --no-digest               no Repr-Digest\n"
    "      --digest-cache FILE       keep computed digests from one run to the next\n"
    "      --connections N           at once (default 4096)\n"
    "      --connections-per-address N   of them, 0 for any number (default 512)\n"
    "      --groups N                transfers of blocks at once (default 1024)\n"
    "      --request-timeout S       for the head of a request to arrive, in seconds (default 20)\n"
    "      --idle-timeout S          between two requests (default 60)\n"
    "      --stall-timeout S         for a client that takes nothing (default 120)\n"
    "      --grace S                 for answers under way after SIGTERM (default 30)\n"
    "      --threads N               that answer (default: one for each processor)\n"
    "      --user NAME               run as this user; when started as root, nobody by default\n"
    "      --director URL            register what is served with a director; several URLs are ways to the "
    "same one\n"
    "      --secret-file FILE        the secret that the director knows: a line KEY:SECRET\n"
    "      --cert FILE, --key FILE   a certificate that the director knows, in place of or beside a secret\n"
    "      --ca FILE                 what the director's own certificate is checked against\n"
    "      --url URL                 where clients reach this server (default: the first address)\n"
    "      --name ID                 what the director calls it (default: made of host and port)\n"
    "      --ttl S                   the director forgets it after so long in silence (default 30)\n"
    "      --answer-lan              tell whoever asks on the local network what is here\n"
    "      --json                    say where it listens in a line of JSON on standard output\n"
    "  -q, --quiet                   say nothing but errors\n"
    "  -h, --help                    this text\n"
    "\n"
    "SIGHUP opens the log and reads the certificate anew; SIGTERM and SIGINT let answers end first.\n"
    "Exit status: 0 asked to end, 1 failed, 2 bad usage. See plait-serve(1).\n";

enum option_code {
    OPT_TLS_CERT = 256,
    OPT_TLS_KEY,
    OPT_ACCESS_LOG,
    OPT_LOG_FORMAT,
    OPT_DOTFILES,
    OPT_FOLLOW,
    OPT_NO_LISTING,
    OPT_NO_DIGEST,
    OPT_DIGEST_CACHE,
    OPT_CONNECTIONS,
    OPT_PER_ADDRESS,
    OPT_GROUPS,
    OPT_REQUEST_TIMEOUT,
    OPT_IDLE_TIMEOUT,
    OPT_STALL_TIMEOUT,
    OPT_GRACE,
    OPT_THREADS,
    OPT_USER,
    OPT_DIRECTOR,
    OPT_SECRET_FILE,
    OPT_CERT,
    OPT_KEY,
    OPT_CA,
    OPT_URL,
    OPT_NAME,
    OPT_TTL,
    OPT_ANSWER_LAN,
    OPT_JSON,
};

static const struct option long_options[] = {
    {"listen", required_argument, NULL, 'l'},
    {"tls-cert", required_argument, NULL, OPT_TLS_CERT},
    {"tls-key", required_argument, NULL, OPT_TLS_KEY},
    {"access-log", required_argument, NULL, OPT_ACCESS_LOG},
    {"log-format", required_argument, NULL, OPT_LOG_FORMAT},
    {"dotfiles", no_argument, NULL, OPT_DOTFILES},
    {"follow", no_argument, NULL, OPT_FOLLOW},
    {"no-listing", no_argument, NULL, OPT_NO_LISTING},
    {"no-digest", no_argument, NULL, OPT_NO_DIGEST},
    {"digest-cache", required_argument, NULL, OPT_DIGEST_CACHE},
    {"connections", required_argument, NULL, OPT_CONNECTIONS},
    {"connections-per-address", required_argument, NULL, OPT_PER_ADDRESS},
    {"groups", required_argument, NULL, OPT_GROUPS},
    {"request-timeout", required_argument, NULL, OPT_REQUEST_TIMEOUT},
    {"idle-timeout", required_argument, NULL, OPT_IDLE_TIMEOUT},
    {"stall-timeout", required_argument, NULL, OPT_STALL_TIMEOUT},
    {"grace", required_argument, NULL, OPT_GRACE},
    {"threads", required_argument, NULL, OPT_THREADS},
    {"user", required_argument, NULL, OPT_USER},
    {"director", required_argument, NULL, OPT_DIRECTOR},
    {"secret-file", required_argument, NULL, OPT_SECRET_FILE},
    {"cert", required_argument, NULL, OPT_CERT},
    {"key", required_argument, NULL, OPT_KEY},
    {"ca", required_argument, NULL, OPT_CA},
    {"url", required_argument, NULL, OPT_URL},
    {"name", required_argument, NULL, OPT_NAME},
    {"ttl", required_argument, NULL, OPT_TTL},
    {"answer-lan", no_argument, NULL, OPT_ANSWER_LAN},
    {"json", no_argument, NULL, OPT_JSON},
    {"quiet", no_argument, NULL, 'q'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct serve_command {
    struct plait_serve_options options;
    const char *listen[PLAIT_SERVE_LISTEN_MAX];
    const char *directors[DIRECTORS_MAX];
    bool json, quiet, help;
};

static PLAIT_PRINTF(1, 2) int bad_usage(const char *format, ...)
{
    va_list args;

    fputs("plait serve: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputs("\nTry: plait serve --help\n", stderr);
    return PLAIT_SERVE_USAGE;
}

static const char *name_of(int code)
{
    const struct option *o = long_options;

    while (o->name != NULL && o->val != code)
        o++;
    return o->name;
}

/* A whole number of that range. */
static int take_number(int code, unsigned min, unsigned max, unsigned *out)
{
    char *end;

    errno = 0;
    unsigned long v = strtoul(optarg, &end, 10);
    if (*optarg < '0' || *optarg > '9' || *end != '\0' || errno != 0 || v < min || v > max)
        return bad_usage("--%s takes a number from %u to %u, not %s", name_of(code), min, max, optarg);
    *out = (unsigned)v;
    return 0;
}

/* Seconds, perhaps with a fraction. */
static int take_seconds(int code, double min, uint64_t *out_ns)
{
    char *end;
    double v = strtod(optarg, &end);

    if (end == optarg || *end != '\0' || !(v >= min && v <= 1e6))
        return bad_usage("--%s takes seconds from %g to 1000000, not %s", name_of(code), min, optarg);
    *out_ns = (uint64_t)(v * 1e9);
    return 0;
}

static int take_format(struct plait_serve_options *o)
{
    if (strcmp(optarg, "combined") == 0)
        o->access_format = PLAIT_ACCESS_COMBINED;
    else if (strcmp(optarg, "json") == 0)
        o->access_format = PLAIT_ACCESS_JSON;
    else
        return bad_usage("--log-format takes combined or json, not %s", optarg);
    return 0;
}

static int take_listen(struct serve_command *c)
{
    if (c->options.listen_count == PLAIT_SERVE_LISTEN_MAX)
        return bad_usage("--listen can be given %d times at most", PLAIT_SERVE_LISTEN_MAX);
    c->listen[c->options.listen_count++] = optarg;
    return 0;
}

static int take_director(struct serve_command *c)
{
    if (c->options.director_count == DIRECTORS_MAX)
        return bad_usage("--director can be given %d times at most", DIRECTORS_MAX);
    c->directors[c->options.director_count++] = optarg;
    return 0;
}

static int take_ttl(struct plait_serve_options *o)
{
    uint64_t ns = 0;
    int status = take_seconds(OPT_TTL, 1, &ns);

    if (status == 0 && ns > 3600 * PLAIT_S)
        return bad_usage("--ttl takes 3600 seconds at most, not %s", optarg);
    o->ttl_ms = (unsigned)(ns / PLAIT_MS);
    return status;
}

/* Options about who is told of us. False: it is another one. */
static bool take_publishing(struct serve_command *c, int code, int *status)
{
    struct plait_serve_options *o = &c->options;

    switch (code) {
    case OPT_DIRECTOR:
        *status = take_director(c);
        return true;
    case OPT_SECRET_FILE:
        o->secret_file = optarg;
        return true;
    case OPT_CERT:
        o->cert_file = optarg;
        return true;
    case OPT_KEY:
        o->key_file = optarg;
        return true;
    case OPT_CA:
        o->ca_file = optarg;
        return true;
    case OPT_URL:
        o->url = optarg;
        return true;
    case OPT_NAME:
        o->name = optarg;
        return true;
    case OPT_TTL:
        *status = take_ttl(o);
        return true;
    case OPT_ANSWER_LAN:
        o->answer_lan = true;
        return true;
    default:
        return false;
    }
}

/* Options that say what is served, and how. */
static int take_content(struct plait_serve_options *o, int code)
{
    switch (code) {
    case OPT_TLS_CERT:
        o->tls_cert = optarg;
        break;
    case OPT_TLS_KEY:
        o->tls_key = optarg;
        break;
    case OPT_ACCESS_LOG:
        o->access_log = optarg;
        break;
    case OPT_LOG_FORMAT:
        return take_format(o);
    case OPT_DOTFILES:
        o->dotfiles = true;
        break;
    case OPT_FOLLOW:
        o->follow = true;
        break;
    case OPT_NO_LISTING:
        o->no_listings = true;
        break;
    case OPT_NO_DIGEST:
        o->no_digests = true;
        break;
    case OPT_DIGEST_CACHE:
        o->digest_file = optarg;
        break;
    default:
        o->user = optarg;
    }
    return 0;
}

static int take_option(struct serve_command *c, int code)
{
    struct plait_serve_options *o = &c->options;
    int status = 0;

    if (take_publishing(c, code, &status))
        return status;
    switch (code) {
    case 'l':
        return take_listen(c);
    case 'q':
        c->quiet = true;
        return 0;
    case 'h':
        c->help = true;
        return 0;
    case OPT_JSON:
        c->json = true;
        return 0;
    case OPT_CONNECTIONS:
        return take_number(code, 1, 500000, &o->connections);
    case OPT_PER_ADDRESS:
        return take_number(code, 0, 500000, &o->connections_per_address);
    case OPT_GROUPS:
        return take_number(code, 1, 4096, &o->groups);
    case OPT_THREADS:
        return take_number(code, 1, PLAIT_SERVE_THREADS_MAX, &o->threads);
    case OPT_REQUEST_TIMEOUT:
        return take_seconds(code, 0.1, &o->head_timeout_ns);
    case OPT_IDLE_TIMEOUT:
        return take_seconds(code, 0.1, &o->idle_timeout_ns);
    case OPT_STALL_TIMEOUT:
        return take_seconds(code, 1, &o->stall_timeout_ns);
    case OPT_GRACE:
        return take_seconds(code, 0, &o->grace_ns);
    case '?':
        fputs("Try: plait serve --help\n", stderr);
        return PLAIT_SERVE_USAGE;
    default:
        return take_content(o, code);
    }
}

static int parse(struct serve_command *c, int argc, char **argv)
{
    int status = 0;

    memset(c, 0, sizeof *c);
    c->options.listen = c->listen;
    c->options.directors = c->directors;
    c->options.connections_per_address = 512;
    c->options.grace_ns = 30 * PLAIT_S;
    argv[0] = (char *)"plait serve"; /* the name in getopt's messages */
    optind = 0;                      /* the parser may have been used for the options before the command */
    for (int code;
         status == 0 && !c->help && (code = getopt_long(argc, argv, "l:qh", long_options, NULL)) != -1;)
        status = take_option(c, code);
    if (status != 0 || c->help)
        return status;
    if (argc == optind)
        return bad_usage("which directory?");
    if (argc - optind > 1)
        return bad_usage("only one directory can be served, not also %s", argv[optind + 1]);
    if ((c->options.tls_cert == NULL) != (c->options.tls_key == NULL))
        return bad_usage("--tls-cert and --tls-key need each other");
    if ((c->options.cert_file == NULL) != (c->options.key_file == NULL))
        return bad_usage("--cert and --key need each other");
    if (c->options.director_count == 0 && (c->options.cert_file != NULL || c->options.secret_file != NULL))
        return bad_usage(
            "--cert, --key and --secret-file are for a director, but no --director is given (HTTPS: "
            "--tls-cert and --tls-key)");
    c->options.dir = argv[optind];
    return 0;
}

static void say(void *ctx, enum plait_serve_level level, const char *text)
{
    const struct serve_command *c = ctx;

    if (!c->quiet || level == PLAIT_SERVE_ERROR)
        fprintf(stderr, "plait serve: %s%s\n", level == PLAIT_SERVE_WARNING ? "warning: " : "", text);
}

static void print_json(const struct plait_serve_start *start)
{
    json_t *urls = json_array();
    json_t *addresses = json_array();
    json_t *ports = json_array();
    char url[128];

    for (size_t i = 0; i < start->count; i++) {
        snprintf(url, sizeof url, "%s://%s/", start->scheme, start->addresses[i]);
        json_array_append_new(urls, json_string(url));
        json_array_append_new(addresses, json_string(start->addresses[i]));
        json_array_append_new(ports, json_integer(start->ports[i]));
    }
    json_t *line =
        json_pack("{s:s, s:I, s:s, s:o, s:o, s:o}", "event", "listening", "pid", (json_int_t)getpid(), "user",
                  start->user, "addresses", addresses, "ports", ports, "urls", urls);
    if (line != NULL && json_dumpf(line, stdout, JSON_COMPACT) == 0)
        putchar('\n');
    json_decref(line);
    fflush(stdout);
}

static void started(void *ctx, const struct plait_serve_start *start)
{
    const struct serve_command *c = ctx;

    if (c->json)
        print_json(start);
    if (c->quiet || c->json)
        return;
    fprintf(stderr, "plait serve: serving %s at", start->dir);
    for (size_t i = 0; i < start->count; i++)
        fprintf(stderr, " %s://%s/", start->scheme, start->addresses[i]);
    fprintf(stderr, "%s%s\n", start->user[0] != '\0' ? " as user " : "", start->user);
}

int plait_cmd_serve(int argc, char **argv)
{
    struct serve_command c;
    int status = parse(&c, argc, argv);

    if (c.help) {
        fputs(help, stdout);
        return fflush(stdout) == 0 ? PLAIT_SERVE_DONE : PLAIT_SERVE_FAILED;
    }
    if (status != 0)
        return status;
    const struct plait_serve_listener listener = {.ctx = &c, .say = say, .started = started};
    return plait_serve_run(&c.options, &listener);
}
