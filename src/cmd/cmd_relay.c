#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_relay.h"
#include "quantity.h"
#include "relay.h"

#define LIST_MAX 1024
#define RATE_MIN 1024

static const char help[] =
    "usage: plait relay --allow HOST:PORT... [option...]\n"
    "\n"
    "Carries connections for others: an HTTP proxy for CONNECT that serves the destinations it is told, and "
    "no others.\n"
    "\n"
    "  --allow HOST:PORT      serve this destination; HOST is a name, an address, or a prefix such as "
    "192.0.2.0/24,\n"
    "                         IPv6 in brackets; PORT is a number or *. What is private is served only where "
    "an address\n"
    "                         or a prefix that is itself private names it\n"
    "  --listen ADDRESS:PORT  where to listen; none or * for all, port 0 for any (default 127.0.0.1:3128)\n"
    "  --auth FILE            ask for a user and a password; lines user:hash, with hashes as mkpasswd makes "
    "them\n"
    "  --connections N        serve so many at once (default 1024)\n"
    "  --per-address N        of these, from one address, or one /64 of IPv6 (default 128)\n"
    "  --idle SECONDS         close a tunnel in which nothing moves for so long (default 300)\n"
    "  --connect-timeout SECONDS  to reach a destination, all its addresses together (default 15)\n"
    "  --rate BYTES           carry so many bytes a second at most, all tunnels together; k, M and G are "
    "understood\n"
    "  --grace SECONDS        when told to end, give tunnels so long (default 30)\n"
    "  --log FILE             append the access log to FILE, or `none` (default: standard error); SIGHUP "
    "opens it anew\n"
    "  --json                 print one line of JSON once it listens\n"
    "  --director URL         register with a director; several URLs are ways to the same one\n"
    "  --secret FILE          the secret that the director knows: a line KEY:SECRET\n"
    "  --cert FILE --key FILE a certificate that the director knows, in place of or beside a secret\n"
    "  --ca FILE              what the director's own certificate is checked against (default: the "
    "system's)\n"
    "  --public URL           where clients reach this relay (default: the address it listens on)\n"
    "  --name ID              what the director calls it (default: made of host and port)\n"
    "  -h, --help             this\n"
    "\n"
    "Exit status: 0 ended by a signal, 1 failed, 2 bad usage. See plait-relay(1).\n";

enum option_code {
    OPT_ALLOW = 256,
    OPT_LISTEN,
    OPT_AUTH,
    OPT_CONNECTIONS,
    OPT_PER_ADDRESS,
    OPT_IDLE,
    OPT_CONNECT_TIMEOUT,
    OPT_RATE,
    OPT_GRACE,
    OPT_LOG,
    OPT_JSON,
    OPT_DIRECTOR,
    OPT_SECRET,
    OPT_CERT,
    OPT_KEY,
    OPT_CA,
    OPT_PUBLIC,
    OPT_NAME,
};

static const struct option long_options[] = {
    {"allow", required_argument, NULL, OPT_ALLOW},
    {"listen", required_argument, NULL, OPT_LISTEN},
    {"auth", required_argument, NULL, OPT_AUTH},
    {"connections", required_argument, NULL, OPT_CONNECTIONS},
    {"per-address", required_argument, NULL, OPT_PER_ADDRESS},
    {"idle", required_argument, NULL, OPT_IDLE},
    {"connect-timeout", required_argument, NULL, OPT_CONNECT_TIMEOUT},
    {"rate", required_argument, NULL, OPT_RATE},
    {"grace", required_argument, NULL, OPT_GRACE},
    {"log", required_argument, NULL, OPT_LOG},
    {"json", no_argument, NULL, OPT_JSON},
    {"director", required_argument, NULL, OPT_DIRECTOR},
    {"secret", required_argument, NULL, OPT_SECRET},
    {"cert", required_argument, NULL, OPT_CERT},
    {"key", required_argument, NULL, OPT_KEY},
    {"ca", required_argument, NULL, OPT_CA},
    {"public", required_argument, NULL, OPT_PUBLIC},
    {"name", required_argument, NULL, OPT_NAME},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct command {
    struct plait_relay_options options;
    const char *allow[LIST_MAX], *directors[LIST_MAX];
    bool failed, help;
};

static void take_number(struct command *c, const char *name, const char *text, unsigned min, unsigned max,
                        unsigned *out)
{
    char *end;

    errno = 0;
    unsigned long v = strtoul(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && v >= min && v <= max) {
        *out = (unsigned)v;
        return;
    }
    fprintf(stderr, "plait relay: --%s %s: not a number from %u to %u\n", name, text, min, max);
    c->failed = true;
}

static void take_rate(struct command *c, const char *text)
{
    uint64_t bytes;

    if (plait_quantity_parse_bytes(text, &bytes) == PLAIT_OK && bytes >= RATE_MIN) {
        c->options.rate = (double)bytes;
        return;
    }
    fprintf(stderr, "plait relay: --rate %s: not a number of bytes a second, 1k or more\n", text);
    c->failed = true;
}

static void take_item(struct command *c, const char *name, const char **list, size_t *count, const char *item)
{
    if (*count < LIST_MAX) {
        list[(*count)++] = item;
        return;
    }
    fprintf(stderr, "plait relay: more than %d times --%s\n", LIST_MAX, name);
    c->failed = true;
}

static void take_limit(struct command *c, int option, const char *value)
{
    struct plait_relay_options *o = &c->options;

    if (option == OPT_CONNECTIONS)
        take_number(c, "connections", value, 1, 1000000, &o->connections_max);
    else if (option == OPT_PER_ADDRESS)
        take_number(c, "per-address", value, 1, 1000000, &o->per_address_max);
    else if (option == OPT_IDLE)
        take_number(c, "idle", value, 1, 86400, &o->idle_s);
    else if (option == OPT_CONNECT_TIMEOUT)
        take_number(c, "connect-timeout", value, 1, 600, &o->connect_s);
    else if (option == OPT_GRACE)
        take_number(c, "grace", value, 0, 86400, &o->grace_s);
    else if (option == OPT_RATE)
        take_rate(c, value);
}

static void take_option(struct command *c, int option, const char *value)
{
    struct plait_relay_options *o = &c->options;

    switch (option) {
    case OPT_ALLOW:
        take_item(c, "allow", c->allow, &o->allow_count, value);
        break;
    case OPT_DIRECTOR:
        take_item(c, "director", c->directors, &o->director_count, value);
        break;
    case OPT_LISTEN:
        o->listen = value;
        break;
    case OPT_AUTH:
        o->auth_file = value;
        break;
    case OPT_LOG:
        o->log_file = strcmp(value, "none") == 0 ? "" : value;
        break;
    case OPT_JSON:
        o->json = true;
        break;
    case OPT_SECRET:
        o->secret_file = value;
        break;
    case OPT_CERT:
        o->cert_file = value;
        break;
    case OPT_KEY:
        o->key_file = value;
        break;
    case OPT_CA:
        o->ca_file = value;
        break;
    case OPT_PUBLIC:
        o->public_url = value;
        break;
    case OPT_NAME:
        o->name = value;
        break;
    case 'h':
        c->help = true;
        break;
    case '?':
    case ':':
        c->failed = true; /* getopt has said so */
        break;
    default:
        take_limit(c, option, value);
    }
}

static void check(struct command *c)
{
    const struct plait_relay_options *o = &c->options;

    if ((o->cert_file == NULL) != (o->key_file == NULL)) {
        fprintf(stderr, "plait relay: --cert and --key go together\n");
        c->failed = true;
    }
    if (o->director_count == 0 && (o->cert_file != NULL || o->secret_file != NULL)) {
        fprintf(stderr,
                "plait relay: --cert, --key and --secret are for a director, but no --director is given\n");
        c->failed = true;
    }
}

int plait_cmd_relay(int argc, char **argv)
{
    static struct command c;
    int option;

    c.options = (struct plait_relay_options){.listen = PLAIT_RELAY_LISTEN,
                                             .connections_max = PLAIT_RELAY_CONNECTIONS,
                                             .per_address_max = PLAIT_RELAY_PER_ADDRESS,
                                             .idle_s = PLAIT_RELAY_IDLE_S,
                                             .connect_s = PLAIT_RELAY_CONNECT_S,
                                             .grace_s = PLAIT_RELAY_GRACE_S,
                                             .allow = c.allow,
                                             .directors = c.directors};
    optind = 0;
    argv[0] = (char *)"plait relay";
    while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1)
        take_option(&c, option, optarg);
    if (c.help) {
        fputs(help, stdout);
        return PLAIT_RELAY_DONE;
    }
    if (optind < argc) {
        fprintf(stderr, "plait relay: %s: what is that? Destinations are given by --allow\n", argv[optind]);
        c.failed = true;
    }
    check(&c);
    if (c.failed) {
        fprintf(stderr, "plait relay: see plait relay --help\n");
        return PLAIT_RELAY_USAGE;
    }
    return plait_relay_run(&c.options);
}
