#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cmd_node.h"
#include "node.h"

static const char help[] =
    "usage: plait node [-c FILE] [--check]\n"
    "       plait node join TOKEN [--folder FOLDER] [--route default|none|PREFIXES]\n"
    "\n"
    "Sends the packets of this machine to a hub, over all its uplinks at once.\n"
    "\n"
    "  -c, --config FILE    the configuration (default " PLAIT_NODE_CONFIG ")\n"
    "      --check          say whether the configuration is right, and end\n"
    "\n"
    "  join TOKEN           make node.conf and node.key out of what plait hub add has printed\n"
    "      --folder FOLDER  there (default /etc/plait)\n"
    "      --route ROUTE    what goes through the tunnel (default: default, that is everything)\n"
    "  -h, --help           this\n"
    "\n"
    "Exit status: 0 ended by a signal, 1 failed, 2 bad usage or configuration. See plait-node(8).\n";

enum option_code { OPT_CHECK = 256, OPT_FOLDER, OPT_ROUTE };

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"check", no_argument, NULL, OPT_CHECK},
    {"folder", required_argument, NULL, OPT_FOLDER},
    {"route", required_argument, NULL, OPT_ROUTE},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct command {
    const char *config;
    struct plait_node_join_options join;
    bool joins, check, failed, help;
};

static void take_option(struct command *c, int option, const char *value)
{
    if (option != 'h' && option != '?' && c->joins != (option == OPT_FOLDER || option == OPT_ROUTE)) {
        fprintf(stderr, "plait node: an option that does not go with %s\n",
                c->joins ? "join" : "running a node");
        c->failed = true;
    }
    if (option == 'c')
        c->config = value;
    else if (option == OPT_CHECK)
        c->check = true;
    else if (option == OPT_FOLDER)
        c->join.folder = value;
    else if (option == OPT_ROUTE)
        c->join.route = value;
    else if (option == 'h')
        c->help = true;
    else
        c->failed = true; /* getopt has said so */
}

static void take_operands(struct command *c, int argc, char **argv)
{
    if (c->joins && optind < argc)
        c->join.token = argv[optind++];
    if (c->joins && c->join.token == NULL) {
        fprintf(stderr, "plait node join: the token is missing: plait hub add prints it, on the hub\n");
        c->failed = true;
    }
    if (optind < argc) {
        fprintf(stderr, "plait node: %s: what is that?\n", argv[optind]);
        c->failed = true;
    }
}

int plait_cmd_node(int argc, char **argv)
{
    struct command c = {.config = PLAIT_NODE_CONFIG, .join = {.folder = "/etc/plait", .route = "default"}};
    int option;

    c.joins = argc > 1 && strcmp(argv[1], "join") == 0;
    if (c.joins) {
        argc--;
        argv++;
    }
    optind = 0;
    argv[0] = (char *)"plait node";
    while ((option = getopt_long(argc, argv, "c:h", long_options, NULL)) != -1)
        take_option(&c, option, optarg);
    if (c.help) {
        fputs(help, stdout);
        return PLAIT_NODE_DONE;
    }
    take_operands(&c, argc, argv);
    if (c.failed) {
        fprintf(stderr, "plait node: see plait node --help\n");
        return PLAIT_NODE_USAGE;
    }
    if (c.joins)
        return plait_node_join(&c.join);
    return c.check ? plait_node_check(c.config) : plait_node_run(c.config);
}
