#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "cmd.h"
#include "get.h"
#include "progress.h"
#include "quantity.h"
#include "record.h"
#include "units.h"

#define ROUTES_MAX    64
#define REDUNDANT_MAX 8

struct get_cmd {
    struct plait_get_options options;
    const char *routes[ROUTES_MAX];
    const char *headers[PLAIT_GET_HEADERS_MAX];
    bool quiet, json;
    FILE *record; /* where --json writes */
    struct plait_progress progress;
    bool draws;
    uint64_t recorded_at; /* when progress was last recorded */
    struct timespec started;
};

static const char help[] =
    "usage: plait get [OPTION]... URL...\n"
    "\n"
    "Fetches one file. The URLs are copies of it, on several servers; or a Metalink document (.meta4, "
    ".metalink),\n"
    "here or on a server, that names them; or plait://DIRECTOR/NAME, which knows who holds it. All are used "
    "at once.\n"
    "\n"
    "  -o, --output FILE      where to; - is standard output, in order. Without: a name of the server's "
    "making\n"
    "  -f, --force            replace FILE if it exists\n"
    "  -q, --quiet            tell nothing but errors\n"
    "      --json             tell everything, a JSON object per line, on standard output (with -o - on "
    "standard error)\n"
    "      --via ROUTE        leave by this interface, local address or proxy (http, https, socks5, socks5h "
    "URL);\n"
    "                         given several times, by all of them at once; `all` is every interface with a "
    "default route\n"
    "      --servers FILE     ask the servers in this list (a URL in each line) for NAME, in place of a URL\n"
    "      --ask-lan          ask the local network who holds NAME, in place of a URL or beside others\n"
    "      --redundant N      ask so many servers for everything; the first copy counts\n"
    "      --ranges-only      ask all servers for parts, also those that push\n"
    "      --checksum ALG=HEX what the whole must have: sha-256, sha-512, sha-384 or md5\n"
    "      --header LINE      send this field with each request\n"
    "      --user NAME:PASS   for the servers that the URLs name\n"
    "      --netrc            look for names and passwords in ~/.netrc\n"
    "      --cacert FILE      trust the authorities in this file (PEM) instead of the system's\n"
    "      --insecure         take any certificate\n"
    "      --limit-rate N     bytes per second of all together; k, M, G are 1024, 1024^2, 1024^3\n"
    "      --buffer SIZE      with -o -: keep at most so much in memory (64MiB)\n"
    "      --connections N    at most so many to each server over each route (1 to 48)\n"
    "      --timeout S        give up after so many seconds without a byte (120)\n"
    "  -h, --help             this\n"
    "\n"
    "A run that was stopped goes on where it was when the same command is given again.\n"
    "Exit status: 0 done, 1 failed, 2 wrong usage, 3 a file here, 4 no source could be used, 5 the content "
    "is wrong,\n"
    "130 and 143 interrupted.\n";

enum long_option {
    OPTION_JSON = 256,
    OPTION_VIA,
    OPTION_CHECKSUM,
    OPTION_HEADER,
    OPTION_USER,
    OPTION_NETRC,
    OPTION_CACERT,
    OPTION_INSECURE,
    OPTION_LIMIT_RATE,
    OPTION_BUFFER,
    OPTION_CONNECTIONS,
    OPTION_TIMEOUT,
    OPTION_SERVERS,
    OPTION_ASK_LAN,
    OPTION_RANGES_ONLY,
    OPTION_REDUNDANT,
};

static const struct option long_options[] = {
    {"output", required_argument, NULL, 'o'},
    {"force", no_argument, NULL, 'f'},
    {"quiet", no_argument, NULL, 'q'},
    {"help", no_argument, NULL, 'h'},
    {"json", no_argument, NULL, OPTION_JSON},
    {"via", required_argument, NULL, OPTION_VIA},
    {"checksum", required_argument, NULL, OPTION_CHECKSUM},
    {"header", required_argument, NULL, OPTION_HEADER},
    {"user", required_argument, NULL, OPTION_USER},
    {"netrc", no_argument, NULL, OPTION_NETRC},
    {"cacert", required_argument, NULL, OPTION_CACERT},
    {"insecure", no_argument, NULL, OPTION_INSECURE},
    {"limit-rate", required_argument, NULL, OPTION_LIMIT_RATE},
    {"buffer", required_argument, NULL, OPTION_BUFFER},
    {"connections", required_argument, NULL, OPTION_CONNECTIONS},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"servers", required_argument, NULL, OPTION_SERVERS},
    {"ask-lan", no_argument, NULL, OPTION_ASK_LAN},
    {"ranges-only", no_argument, NULL, OPTION_RANGES_ONLY},
    {"redundant", required_argument, NULL, OPTION_REDUNDANT},
    {NULL, 0, NULL, 0},
};

/* ---- what is told ---- */

/* Texts hold what servers sent: nothing in them may command a terminal. */
static void print_text(const char *prefix, const char *text)
{
    fputs(prefix, stderr);
    for (const char *c = text; *c != '\0'; c++)
        fputc(((unsigned char)*c < 0x20 && *c != '\n') || *c == 0x7f ? '?' : *c, stderr);
    fputc('\n', stderr);
}

static double elapsed_s(const struct get_cmd *c)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - c->started.tv_sec) + (double)(now.tv_nsec - c->started.tv_nsec) / 1e9;
}

static void on_say(void *ctx, enum plait_get_level level, const char *text)
{
    static const char *const names[] = {"error", "warning", "note"};
    struct get_cmd *c = ctx;

    if (c->record != NULL)
        plait_record_message(c->record, elapsed_s(c), names[level], text);
    if ((c->quiet && level != PLAIT_GET_ERROR) || (c->record == stderr && level != PLAIT_GET_ERROR))
        return;
    plait_progress_clear(&c->progress);
    print_text("plait get: ", text);
}

static void on_event(void *ctx, const struct plait_get_event *event)
{
    struct get_cmd *c = ctx;

    if (c->record != NULL)
        plait_record_event(c->record, event);
}

static void on_progress(void *ctx, const struct plait_get_progress *progress)
{
    struct get_cmd *c = ctx;

    if (c->record != NULL && progress->elapsed_ns >= c->recorded_at + PLAIT_S - 50 * PLAIT_MS) {
        c->recorded_at = progress->elapsed_ns;
        plait_record_progress(c->record, progress);
    }
    if (c->draws)
        plait_progress_draw(&c->progress, progress);
}

static void print_success(const struct plait_get_result *result)
{
    const struct plait_get_progress *p = &result->totals;
    char size[PLAIT_QUANTITY_MAX], rate[PLAIT_QUANTITY_MAX], text[512];
    double seconds = plait_to_s(p->elapsed_ns);
    uint64_t fetched = plait_since(p->fetch.kept_bytes, p->resumed);

    plait_quantity_bytes((double)p->fetch.kept_bytes, size);
    plait_quantity_bytes(seconds > 0 ? (double)fetched / seconds : 0, rate);
    snprintf(text, sizeof text, "%.200s: %s in %.2f s, %s/s%s%s", p->output, size, seconds, rate,
             result->digest_state == PLAIT_GET_DIGEST_GOOD ? ", verified with " : "",
             result->digest_state == PLAIT_GET_DIGEST_GOOD ? plait_digest_alg_name(result->digest_alg) : "");
    print_text("", text);
}

static void on_end(void *ctx, const struct plait_get_result *result)
{
    struct get_cmd *c = ctx;

    plait_progress_clear(&c->progress);
    if (c->record != NULL)
        plait_record_summary(c->record, result);
    if (result->error[0] != '\0' && c->record != stderr)
        print_text("plait get: ", result->error);
    else if (result->exit_status == 0 && !c->quiet && c->record == NULL)
        print_success(result);
}

static void on_leave(void *ctx, int exit_status)
{
    struct get_cmd *c = ctx;

    plait_progress_clear(&c->progress);
    _exit(exit_status);
}

/* ---- what is asked for ---- */

static int usage(const char *format, ...) PLAIT_PRINTF(1, 2);

static int usage(const char *format, ...)
{
    va_list args;

    fputs("plait get: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputs("; see plait get --help\n", stderr);
    return PLAIT_GET_USAGE;
}

static int take_checksum(struct get_cmd *c, const char *text)
{
    if (plait_digest_parse_option(text, strlen(text), &c->options.digest) != PLAIT_OK)
        return usage(
            "--checksum %.200s is not of the form sha-256=HEX, with all the digits that the algorithm has",
            text);
    return 0;
}

/* Fields that say what part is wanted, and of what, are plait's own. */
static bool is_reserved(const char *line)
{
    static const char *const names[] = {
        "range",      "if-range",       "if-match",          "accept-encoding",
        "connection", "content-length", "transfer-encoding", "te"};
    size_t len = strcspn(line, ":");

    for (size_t i = 0; i < PLAIT_COUNT(names); i++)
        if (strlen(names[i]) == len && strncasecmp(names[i], line, len) == 0)
            return true;
    return false;
}

static int take_header(struct get_cmd *c, const char *line)
{
    const char *colon = strchr(line, ':');

    if (colon == NULL || colon == line || strpbrk(line, "\r\n") != NULL ||
        strcspn(line, " \t") < (size_t)(colon - line))
        return usage("--header %.100s is not of the form Name: value", line);
    if (is_reserved(line))
        return usage("--header %.100s: that field is plait's own", line);
    if (c->options.header_count == PLAIT_GET_HEADERS_MAX)
        return usage("at most %d times --header", PLAIT_GET_HEADERS_MAX);
    c->headers[c->options.header_count++] = line;
    return 0;
}

static int take_route(struct get_cmd *c, const char *route)
{
    if (c->options.route_count == ROUTES_MAX)
        return usage("at most %d times --via", ROUTES_MAX);
    c->routes[c->options.route_count++] = route;
    return 0;
}

/* Curl does not say of a file without certificates what is wrong. */
static bool has_certificate(FILE *file)
{
    char line[256];

    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "-----BEGIN ", 11) == 0 && strstr(line, "CERTIFICATE-----") != NULL)
            return true;
    return false;
}

static int take_ca_file(struct get_cmd *c, const char *name)
{
    FILE *file = fopen(name, "re");
    bool found = file != NULL && has_certificate(file);

    c->options.ca_file = name;
    if (!found)
        fprintf(stderr, "plait get: --cacert %s %s; give a file of certificates in PEM\n", name,
                file != NULL ? "has no certificate" : "cannot be read");
    if (file != NULL)
        fclose(file);
    return found ? 0 : PLAIT_GET_LOCAL;
}

static int take_rate(struct get_cmd *c, const char *text)
{
    uint64_t bytes;

    if (plait_quantity_parse_bytes(text, &bytes) != PLAIT_OK)
        return usage("--limit-rate %.40s is not a number of bytes per second, such as 500k or 2M", text);
    c->options.rate_limit = (double)bytes;
    return 0;
}

static int take_buffer(struct get_cmd *c, const char *text)
{
    if (plait_quantity_parse_bytes(text, &c->options.buffer_bytes) != PLAIT_OK ||
        c->options.buffer_bytes < PLAIT_GET_BUFFER_MIN || c->options.buffer_bytes > PLAIT_GET_BUFFER_MAX)
        return usage("--buffer %.40s is not a size from 1MiB to 64GiB", text);
    return 0;
}

static int take_connections(struct get_cmd *c, const char *text)
{
    char *end;
    long count = strtol(text, &end, 10);

    if (*text == '\0' || *end != '\0' || count < 1 || count > PLAIT_FETCH_LANES_MAX)
        return usage("--connections %.40s is not a number from 1 to %d", text, PLAIT_FETCH_LANES_MAX);
    c->options.connections = (unsigned)count;
    return 0;
}

static int take_redundant(struct get_cmd *c, const char *text)
{
    char *end;
    long count = strtol(text, &end, 10);

    if (*text == '\0' || *end != '\0' || count < 1 || count > REDUNDANT_MAX)
        return usage("--redundant %.40s is not a number from 1 to %d", text, REDUNDANT_MAX);
    c->options.redundant = (unsigned)count;
    return 0;
}

static int take_timeout(struct get_cmd *c, const char *text)
{
    if (plait_quantity_parse_seconds(text, &c->options.give_up_ns) != PLAIT_OK)
        return usage("--timeout %.40s is not a number of seconds above 0", text);
    return 0;
}

static int take_user(struct get_cmd *c, const char *text)
{
    c->options.user = text;
    return strchr(text, ':') != NULL ? 0 : usage("--user is NAME:PASSWORD");
}

static int take_output(struct get_cmd *c, const char *name)
{
    c->options.output = name;
    return name[0] != '\0' ? 0 : usage("-o wants a file's name, or -");
}

static int take_servers(struct get_cmd *c, const char *name)
{
    c->options.servers = name;
    return name[0] != '\0' ? 0 : usage("--servers wants a file's name");
}

static int take_flag(struct get_cmd *c, int option)
{
    switch (option) {
    case 'f':
        c->options.force = true;
        return 0;
    case 'q':
        c->quiet = true;
        return 0;
    case OPTION_JSON:
        c->json = true;
        return 0;
    case OPTION_NETRC:
        c->options.netrc = true;
        return 0;
    case OPTION_INSECURE:
        c->options.insecure = true;
        return 0;
    case OPTION_ASK_LAN:
        c->options.ask_lan = true;
        return 0;
    case OPTION_RANGES_ONLY:
        c->options.ranges_only = true;
        return 0;
    default: /* getopt has said what is wrong */
        fputs("plait get: see plait get --help\n", stderr);
        return PLAIT_GET_USAGE;
    }
}

static const struct {
    int option;
    int (*take)(struct get_cmd *c, const char *argument);
} takers[] = {
    {'o', take_output},
    {OPTION_VIA, take_route},
    {OPTION_CHECKSUM, take_checksum},
    {OPTION_HEADER, take_header},
    {OPTION_USER, take_user},
    {OPTION_CACERT, take_ca_file},
    {OPTION_LIMIT_RATE, take_rate},
    {OPTION_BUFFER, take_buffer},
    {OPTION_CONNECTIONS, take_connections},
    {OPTION_TIMEOUT, take_timeout},
    {OPTION_SERVERS, take_servers},
    {OPTION_REDUNDANT, take_redundant},
};

static int take_option(struct get_cmd *c, int option, const char *argument)
{
    for (size_t i = 0; i < PLAIT_COUNT(takers); i++)
        if (takers[i].option == option)
            return takers[i].take(c, argument);
    return take_flag(c, option);
}

/* Where to tell what. Bars have no place on a terminal that also gets the bytes. */
static void set_up_telling(struct get_cmd *c)
{
    bool to_stdout = c->options.output != NULL && strcmp(c->options.output, "-") == 0;

    plait_progress_init(&c->progress);
    if (c->json)
        c->record = to_stdout ? stderr : stdout;
    c->draws = !c->quiet && c->record != stderr && !(to_stdout && isatty(STDOUT_FILENO) == 1) &&
               !(c->record == stdout && isatty(STDOUT_FILENO) == 1);
    if (c->draws)
        c->options.progress_ns = plait_progress_interval(&c->progress);
    else if (c->record != NULL)
        c->options.progress_ns = PLAIT_S;
}

static int run(struct get_cmd *c)
{
    const struct plait_get_listener listener = {c, on_say, on_event, on_progress, on_end, on_leave};
    bool stuck;
    int status;

    clock_gettime(CLOCK_MONOTONIC, &c->started);
    set_up_telling(c);
    c->options.routes = c->routes;
    c->options.headers = c->headers;
    status = plait_get_run(&c->options, &listener, &stuck);
    if (stuck) {
        fflush(NULL);
        _exit(status);
    }
    return status;
}

int plait_cmd_get(int argc, char **argv)
{
    struct get_cmd c = {0};
    int option, status;

    argv[0] = (char[]){"plait get"}; /* the name in getopt's messages */
    while ((option = getopt_long(argc, argv, "o:fqh", long_options, NULL)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            return 0;
        }
        status = take_option(&c, option, optarg);
        if (status != 0)
            return status;
    }
    if (optind == argc)
        return usage(c.options.servers != NULL || c.options.ask_lan
                         ? "no NAME is given that could be asked for"
                         : "no URL is given");
    c.options.urls = (const char *const *)&argv[optind];
    c.options.url_count = (size_t)(argc - optind);
    return run(&c);
}
