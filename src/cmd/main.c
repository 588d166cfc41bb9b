#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"

#define USAGE 2

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *what;
} commands[] = {
    {"get", plait_cmd_get, "fetch one file or stream from several servers, over several links, at once"},
};

#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static void print_help(FILE *to)
{
    fputs("plait: one stream over many paths\n\n"
          "usage: plait COMMAND [OPTION]... [ARGUMENT]...\n\n",
          to);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].what);
    fputs("\nplait COMMAND --help tells more; plait --version tells the version.\n", to);
}

int main(int argc, char **argv)
{
    /* A reader that goes away is an error of writing, not the end of the program. */
    signal(SIGPIPE, SIG_IGN);
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
