#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmd_direct.h"
#include "direct.h"

static const char help[] =
    "usage: plait direct --secret FILE [option...]\n"
    "\n"
    "Knows which servers hold which streams: they register here, and whoever looks for a stream by its name "
    "is told\n"
    "where it is, as JSON, as a Metalink, as a redirection, and as events while that changes.\n"
    "\n"
    "  --listen ADDRESS:PORT   where to listen; none or * for all, port 0 for any (default "
    "127.0.0.1:4050)\n"
    "  --store WHERE           where registrations are kept: memory (default), sqlite:PATH, or\n"
    "                          redis://[:PASSWORD@]HOST[:PORT][/NUMBER], by which several directors are one\n"
    "  --secret FILE           who may register: lines KEY:SECRET\n"
    "  --tls-cert F --tls-key F  speak TLS with this certificate and key\n"
    "  --client-ca FILE        who may register: whoever has a certificate of this authority\n"
    "  --connections N         serve so many at once (default 4096)\n"
    "  --per-address N         of these, from one address, or one /64 of IPv6 (default 256)\n"
    "  --json                  print one line of JSON once it listens\n"
    "  -h, --help              this\n"
    "\n"
    "Exit status: 0 ended by a signal, 1 failed, 2 bad usage. See plait-direct(1).\n";

enum option_code {
    OPT_LISTEN = 256,
    OPT_STORE,
    OPT_SECRET,
    OPT_TLS_CERT,
    OPT_TLS_KEY,
    OPT_CLIENT_CA,
    OPT_CONNECTIONS,
    OPT_PER_ADDRESS,
    OPT_JSON,
};

static const struct option long_options[] = {
    {"listen", required_argument, NULL, OPT_LISTEN},
    {"store", required_argument, NULL, OPT_STORE},
    {"secret", required_argument, NULL, OPT_SECRET},
    {"tls-cert", required_argument, NULL, OPT_TLS_CERT},
    {"tls-key", required_argument, NULL, OPT_TLS_KEY},
    {"client-ca", required_argument, NULL, OPT_CLIENT_CA},
    {"connections", required_argument, NULL, OPT_CONNECTIONS},
    {"per-address", required_argument, NULL, OPT_PER_ADDRESS},
    {"json", no_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct command {
    struct plait_direct_options options;
    bool failed, help;
};

static void take_number(struct command *c, const char *name, const char *text, unsigned *out)
{
    char *end;

    errno = 0;
    unsigned long v = strtoul(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && v >= 1 && v <= 1000000) {
        *out = (unsigned)v;
        return;
    }
    fprintf(stderr, "plait direct: --%s %s: not a number from 1 to 1000000\n", name, text);
    c->failed = true;
}

static void take_option(struct command *c, int option, const char *value)
{
    struct plait_direct_options *o = &c->options;

    switch (option) {
    case OPT_LISTEN:
        o->listen = value;
        break;
    case OPT_STORE:
        o->store = value;
        break;
    case OPT_SECRET:
        o->secret_file = value;
        break;
    case OPT_TLS_CERT:
        o->cert_file = value;
        break;
    case OPT_TLS_KEY:
        o->key_file = value;
        break;
    case OPT_CLIENT_CA:
        o->client_ca_file = value;
        break;
    case OPT_CONNECTIONS:
        take_number(c, "connections", value, &o->connections_max);
        break;
    case OPT_PER_ADDRESS:
        take_number(c, "per-address", value, &o->per_address_max);
        break;
    case OPT_JSON:
        o->json = true;
        break;
    case 'h':
        c->help = true;
        break;
    default:
        c->failed = true; /* getopt has said so */
    }
}

int plait_cmd_direct(int argc, char **argv)
{
    struct command c = {.options = {.listen = PLAIT_DIRECT_LISTEN,
                                    .store = "memory",
                                    .connections_max = PLAIT_DIRECT_CONNECTIONS,
                                    .per_address_max = PLAIT_DIRECT_PER_ADDRESS}};
    int option;

    optind = 0;
    argv[0] = (char *)"plait direct";
    while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1)
        take_option(&c, option, optarg);
    if (c.help) {
        fputs(help, stdout);
        return PLAIT_DIRECT_DONE;
    }
    if (optind < argc) {
        fprintf(stderr, "plait direct: %s: what is that?\n", argv[optind]);
        c.failed = true;
    }
    if (c.failed) {
        fprintf(stderr, "plait direct: see plait direct --help\n");
        return PLAIT_DIRECT_USAGE;
    }
    return plait_direct_run(&c.options);
}
