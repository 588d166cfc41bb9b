#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cmd_hub.h"
#include "cmd_ports.h"
#include "hub.h"

static const char help[] =
    "usage: plait hub [-c FILE] [--check]\n"
    "       plait hub add NAME [-c FILE] [--hub HOST:PORT] [--lan N] [--address ADDRESS]\n"
    "       plait hub ports [--json] [--control SOCKET]\n"
    "\n"
    "Takes the packets of nodes, which come over all their uplinks, and sends them on in order; and back.\n"
    "\n"
    "  -c, --config FILE      the configuration (default " PLAIT_HUB_CONFIG ")\n"
    "      --check            say whether the configuration is right, and end\n"
    "\n"
    "  add NAME               make a key for a new node; print its section, for the configuration, to "
    "standard\n"
    "                         output, and to standard error the command by which it joins, with its token\n"
    "      --hub HOST:PORT    where nodes reach the hub (default: public = in the configuration)\n"
    "      --lan N            its LAN's number\n"
    "      --address ADDRESS  its address within (default: one that follows from its key)\n"
    "\n"
    "  ports                  list the dedicated ports: port, node, LAN, inner address and port, idle time\n"
    "      --json             as JSON\n"
    "      --control SOCKET   of a hub other than " PLAIT_HUB_CONTROL "\n"
    "  -h, --help             this\n"
    "\n"
    "Exit status: 0 ended by a signal, 1 failed, 2 bad usage or configuration. See plait-hub(8).\n";

enum option_code { OPT_CHECK = 256, OPT_HUB, OPT_LAN, OPT_ADDRESS, OPT_JSON, OPT_CONTROL };

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"check", no_argument, NULL, OPT_CHECK},
    {"hub", required_argument, NULL, OPT_HUB},
    {"lan", required_argument, NULL, OPT_LAN},
    {"address", required_argument, NULL, OPT_ADDRESS},
    {"json", no_argument, NULL, OPT_JSON},
    {"control", required_argument, NULL, OPT_CONTROL},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

enum action { RUN, ADD, PORTS };

struct command {
    enum action action;
    struct plait_hub_add_options add;
    const char *control;
    bool check, json, failed, help;
};

/* Which options belong to which of the three. */
static bool fits(enum action action, int option)
{
    switch (option) {
    case OPT_CHECK:
        return action == RUN;
    case OPT_HUB:
    case OPT_LAN:
    case OPT_ADDRESS:
        return action == ADD;
    case OPT_JSON:
    case OPT_CONTROL:
        return action == PORTS;
    case 'c':
        return action != PORTS;
    default:
        return true;
    }
}

static void take_option(struct command *c, int option, const char *value)
{
    if (!fits(c->action, option)) {
        fprintf(stderr, "plait hub: an option that does not go with %s\n",
                c->action == RUN   ? "running a hub"
                : c->action == ADD ? "add"
                                   : "ports");
        c->failed = true;
    }
    if (option == 'c')
        c->add.config = value;
    else if (option == OPT_CHECK)
        c->check = true;
    else if (option == OPT_HUB)
        c->add.public_endpoint = value;
    else if (option == OPT_LAN)
        c->add.lan = value;
    else if (option == OPT_ADDRESS)
        c->add.address = value;
    else if (option == OPT_JSON)
        c->json = true;
    else if (option == OPT_CONTROL)
        c->control = value;
    else if (option == 'h')
        c->help = true;
    else
        c->failed = true; /* getopt has said so */
}

static void take_operands(struct command *c, int argc, char **argv)
{
    int left = argc - optind;

    if (c->action == ADD && left > 0) {
        c->add.name = argv[optind];
        left--;
        optind++;
    }
    if (c->action == ADD && c->add.name == NULL) {
        fprintf(stderr, "plait hub add: the node's name is missing\n");
        c->failed = true;
    }
    if (left > 0) {
        fprintf(stderr, "plait hub: %s: what is that?\n", argv[optind]);
        c->failed = true;
    }
}

static int run(const struct command *c)
{
    switch (c->action) {
    case ADD:
        return plait_hub_add(&c->add);
    case PORTS:
        return plait_ports_print(c->control, c->json);
    default:
        return c->check ? plait_hub_check(c->add.config) : plait_hub_run(c->add.config);
    }
}

int plait_cmd_hub(int argc, char **argv)
{
    struct command c = {.add.config = PLAIT_HUB_CONFIG, .control = PLAIT_HUB_CONTROL};
    int option;

    if (argc > 1 && strcmp(argv[1], "add") == 0)
        c.action = ADD;
    else if (argc > 1 && strcmp(argv[1], "ports") == 0)
        c.action = PORTS;
    if (c.action != RUN) {
        argc--;
        argv++;
    }
    optind = 0;
    argv[0] = (char *)"plait hub";
    while ((option = getopt_long(argc, argv, "c:h", long_options, NULL)) != -1)
        take_option(&c, option, optarg);
    if (c.help) {
        fputs(help, stdout);
        return PLAIT_HUB_DONE;
    }
    take_operands(&c, argc, argv);
    if (c.failed) {
        fprintf(stderr, "plait hub: see plait hub --help\n");
        return PLAIT_HUB_USAGE;
    }
    return run(&c);
}
