/*
 * plait-lab: real network namespaces joined by emulated links. See README.md for the topology file.
 */
#include "control.h"
#include "run.h"
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage_text[] =
    "plait-lab lays network namespaces joined by emulated links.\n"
    "\n"
    "  plait-lab run [-v] [--stats FILE] TOPOLOGY -- COMMAND…   lay, run the command beside it, clear away\n"
    "  plait-lab up [-v] [--id ID] [--owner PID] TOPOLOGY       lay and stay (until that process ends); "
    "prints\n"
    "                                                           the lab's names as lines for a shell\n"
    "  plait-lab in [-l ID] HOST -- COMMAND…                    run a command in a host\n"
    "  plait-lab mark [-l ID]                                   the schedule begins anew, now\n"
    "  plait-lab set [-l ID] LINK WORDS…                        change a link: rate 5mbit, loss 1%, dead, "
    "alive, …\n"
    "  plait-lab stats [-l ID] [--json]                         what the links carried and lost\n"
    "  plait-lab down [-l ID] [--json]                          end a lab; with its last account\n"
    "  plait-lab list | gc                                      live labs | clear away what crashes left\n"
    "  plait-lab check TOPOLOGY                                 only read the file\n"
    "\n"
    "ID is optional inside `run` ($PLAIT_LAB) and where only one lab is up. TOPOLOGY - is standard input.\n"
    "All but check and list need root.\n";

struct options {
    const char *id; /* -l or --id */
    const char *stats_path;
    pid_t owner;
    bool verbose, json;
    char **argv; /* what is left */
    int argc;
};

static int usage(const char *what)
{
    fprintf(stderr, "plait-lab: %s; see plait-lab --help\n", what);
    return 2;
}

static bool parse(struct options *o, int argc, char **argv)
{
    static const struct option names[] = {{"lab", required_argument, NULL, 'l'},
                                          {"id", required_argument, NULL, 'l'},
                                          {"owner", required_argument, NULL, 'o'},
                                          {"stats", required_argument, NULL, 's'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"verbose", no_argument, NULL, 'v'},
                                          {0}};
    int option;
    while ((option = getopt_long(argc, argv, "+l:v", names, NULL)) != -1) {
        if (option == 'l')
            o->id = optarg;
        else if (option == 's')
            o->stats_path = optarg;
        else if (option == 'o')
            o->owner = (pid_t)atoi(optarg);
        else if (option == 'j')
            o->json = true;
        else if (option == 'v')
            o->verbose = true;
        else
            return false;
    }
    o->argv = argv + optind;
    o->argc = argc - optind;
    return true;
}

static int start(const struct options *o, bool detached, struct lab_topology *topology,
                 struct lab_session *session)
{
    int err = lab_topology_read(topology, o->argv[0]);
    if (err)
        return err;
    return lab_session_start(session, topology,
                             &(struct lab_session_options){.id = o->id,
                                                           .stats_path = o->stats_path,
                                                           .owner = o->owner,
                                                           .verbose = o->verbose,
                                                           .detached = detached});
}

static int do_up(const struct options *o)
{
    static struct lab_topology topology;
    struct lab_session session;
    if (o->argc != 1)
        return usage("up takes one topology");
    if (start(o, true, &topology, &session))
        return EXIT_FAILURE;
    lab_run_environment(session.state.id, &topology, stdout);
    if (fflush(stdout) == 0 && lab_session_detach(&session) == 0)
        return EXIT_SUCCESS;
    fprintf(stderr, "plait-lab: cannot tell the lab's names: %m\n");
    lab_session_end(&session);
    return EXIT_FAILURE;
}

/* Drops the "--" between a topology or host and a command; false if there is no command. */
static char **command_of(const struct options *o)
{
    char **argv = o->argv + 1;
    if (o->argc >= 2 && strcmp(argv[0], "--") == 0)
        argv++;
    return o->argc >= 2 && argv[0] ? argv : NULL;
}

static int do_run(const struct options *o)
{
    static struct lab_topology topology;
    struct lab_session session;
    char **command = command_of(o);
    if (!command)
        return usage("run takes a topology, -- and a command");
    if (start(o, false, &topology, &session))
        return EXIT_FAILURE;
    int status = lab_run(&session, &topology, command);
    lab_session_end(&session);
    return status;
}

static int do_in(const struct options *o)
{
    char id[LAB_ID_MAX], netns[LAB_NETNS_MAX];
    char **command = command_of(o);
    if (!command)
        return usage("in takes a host, -- and a command");
    if (lab_state_find(id, o->id))
        return EXIT_FAILURE;
    lab_netns_name(netns, id, o->argv[0]);
    if (lab_netns_enter(netns))
        return EXIT_FAILURE;
    execvp(command[0], command);
    fprintf(stderr, "plait-lab: cannot run %s: %m\n", command[0]);
    return errno == ENOENT ? 127 : 126;
}

static int ask(const struct options *o, const char *request, FILE *out, bool to_the_end)
{
    char id[LAB_ID_MAX], path[LAB_PATH_MAX];
    if (lab_state_find(id, o->id))
        return EXIT_FAILURE;
    lab_state_path(path, id, "control");
    return lab_control_ask(path, request, out, to_the_end) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int do_mark(const struct options *o)
{
    return ask(o, "mark", NULL, false);
}

static int do_set(const struct options *o)
{
    char request[480] = "set";
    size_t used = strlen(request);
    if (o->argc < 2)
        return usage("set takes a link and what is to change");
    for (int i = 0; i < o->argc && used < sizeof request; i++)
        used += (size_t)snprintf(request + used, sizeof request - used, " %s", o->argv[i]);
    if (used >= sizeof request)
        return usage("too many words");
    return ask(o, request, NULL, false);
}

static int do_stats(const struct options *o)
{
    return ask(o, o->json ? "stats" : "stats table", stdout, false);
}

static int do_down(const struct options *o)
{
    return ask(o, "down", o->json ? stdout : NULL, true);
}

static int do_list(const struct options *o)
{
    char id[LAB_STATES_MAX][LAB_ID_MAX];
    size_t count = lab_state_list(id);
    (void)o;
    for (size_t i = 0; i < count; i++)
        puts(id[i]);
    return EXIT_SUCCESS;
}

static int do_gc(const struct options *o)
{
    (void)o;
    return lab_state_gc(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int do_check(const struct options *o)
{
    static struct lab_topology topology;
    if (o->argc != 1)
        return usage("check takes one topology");
    return lab_topology_read(&topology, o->argv[0]) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static const struct {
    const char *name;
    int (*run)(const struct options *o);
} commands[] = {
    {"run", do_run},     {"up", do_up},     {"in", do_in},     {"mark", do_mark}, {"set", do_set},
    {"stats", do_stats}, {"down", do_down}, {"list", do_list}, {"gc", do_gc},     {"check", do_check},
};

int main(int argc, char **argv)
{
    struct options options = {0};
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
        fputs(usage_text, stdout);
        return EXIT_SUCCESS;
    }
    if (argc < 2)
        return usage("what is to be done?");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        if (!parse(&options, argc - 1, argv + 1))
            return usage("unknown option");
        return commands[i].run(&options);
    }
    return usage("unknown command");
}
