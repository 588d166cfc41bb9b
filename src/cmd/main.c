#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "cmd_community.h"
#include "cmd_direct.h"
#include "cmd_hub.h"
#include "cmd_key.h"
#include "cmd_node.h"
#include "cmd_relay.h"
#include "cmd_serve.h"
#include "cmd_status.h"

#define USAGE 2

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *what;
} commands[] = {
    {"get", plait_cmd_get, "fetch one file or stream from several servers, over several links, at once"},
    {"serve", plait_cmd_serve, "serve the files of a folder over HTTP"},
    {"relay", plait_cmd_relay, "be a route: pass connections on to allowed servers"},
    {"direct", plait_cmd_direct, "keep which servers hold which streams, and tell"},
    {"node", plait_cmd_node, "send this machine's packets to a hub, over all its links at once"},
    {"hub", plait_cmd_hub, "put together what nodes send, and send it on"},
    {"status", plait_cmd_status, "tell how the tunnels of this machine are doing"},
    {"community", plait_cmd_community, "make the key that the terminals of a LAN share"},
    {"key", plait_cmd_key, "make a private key of the tunnel, or the public one that belongs to it"},
};

#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static void print_help(FILE *to)
{
    fputs("plait: one stream over many paths\n\n"
          "usage: plait COMMAND [OPTION]... [ARGUMENT]...\n\n",
          to);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(to, "  %-9s %s\n", commands[i].name, commands[i].what);
    fputs("\nplait COMMAND --help tells more; plait --version tells the version.\n", to);
}

/* Whoever starts us with a standard descriptor closed must not find a socket in its place: it cannot be written. */
static void guard_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) < 0)
            _exit(1);
}

int main(int argc, char **argv)
{
    guard_standard_descriptors();
    /* A reader that goes away is an error of writing, not the end of the program. */
    signal(SIGPIPE, SIG_IGN);
    /* And so is a file that may not grow (ulimit -f). */
    signal(SIGXFSZ, SIG_IGN);
    if (argc < 2) {
        print_help(stderr);
        return USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        puts("plait " PLAIT_VERSION);
        return 0;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "plait: there is no command %s; see plait --help\n", argv[1]);
    return USAGE;
}
