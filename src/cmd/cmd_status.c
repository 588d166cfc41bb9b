#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd_status.h"
#include "control.h"
#include "hub.h"
#include "node.h"
#include "status_text.h"

#define DONE        0
#define FAILED      1
#define USAGE       2
#define TIMEOUT_MS  5000
#define SOCKETS_MAX 16
/* For so long it waits for what the other ends say: a satellite's round trip. */
#define WAIT_US     UINT64_C(700000)
#define ROUND_US    50000

static const char help[] =
    "usage: plait status [--json] [--control SOCKET]...\n"
    "\n"
    "Tells how the tunnels of this machine are doing: each path in each direction, and the "
    "whole.\n"
    "\n"
    "      --json            as JSON: an array with an object for each node or hub\n"
    "      --control SOCKET  ask there; default: " PLAIT_NODE_CONTROL " and " PLAIT_HUB_CONTROL ",\n"
    "                        whichever is there\n"
    "  -h, --help            this\n"
    "\n"
    "Exit status: 0 done, 1 nobody answered, 2 bad usage. See plait-status(1).\n";

enum option_code { OPT_JSON = 256, OPT_CONTROL };

static const struct option long_options[] = {
    {"json", no_argument, NULL, OPT_JSON},
    {"control", required_argument, NULL, OPT_CONTROL},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct command {
    const char *sockets[SOCKETS_MAX];
    size_t count;
    bool json, failed, help;
};

static void take_option(struct command *c, int option, const char *value)
{
    if (option == OPT_JSON)
        c->json = true;
    else if (option == 'h')
        c->help = true;
    else if (option == OPT_CONTROL && c->count < SOCKETS_MAX)
        c->sockets[c->count++] = value;
    else
        c->failed = true;
}

static const char *reason(int err)
{
    return err == PLAIT_ERR_NOTFOUND ? "nobody listens there"
           : err == PLAIT_ERR_STATE  ? "not allowed: only its user and group may ask"
           : err == PLAIT_ERR_IO     ? strerror(errno)
                                     : plait_err_name(err);
}

/* What the other ends of the tunnels know has been asked for, but has not come yet. */
static bool is_asking(const json_t *answer)
{
    const json_t *nodes = json_object_get(answer, "nodes");

    for (size_t i = 0; i < json_array_size(nodes); i++)
        if (json_is_true(json_object_get(json_array_get(nodes, i), "asking")))
            return true;
    return json_is_true(json_object_get(answer, "asking"));
}

static uint64_t clock_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Returns owned, through *answer. */
static int ask_patiently(const char *path, json_t **answer)
{
    json_t *request = json_pack("{s:s}", "do", "status");
    int err = plait_control_ask(path, request, TIMEOUT_MS, answer);

    for (uint64_t end = clock_us() + WAIT_US; err == PLAIT_OK && is_asking(*answer) && clock_us() < end;) {
        usleep(ROUND_US);
        json_decref(*answer);
        err = plait_control_ask(path, request, TIMEOUT_MS, answer);
    }
    json_decref(request);
    return err;
}

/* One that is asked by default need not be there. */
static int ask(const char *path, bool must_be_there, json_t *all)
{
    json_t *answer = NULL;
    int err = ask_patiently(path, &answer);

    if (err == PLAIT_OK)
        json_array_append_new(all, answer);
    else if (must_be_there || err != PLAIT_ERR_NOTFOUND)
        fprintf(stderr, "plait status: %s: %s\n", path, reason(err));
    return err == PLAIT_ERR_NOTFOUND && !must_be_there ? PLAIT_OK : err;
}

static int print(const json_t *all, bool json)
{
    size_t i;
    json_t *one;

    if (json) {
        json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
        putchar('\n');
    }
    json_array_foreach(all, i, one)
    {
        if (!json)
            plait_status_print(stdout, one);
    }
    return fflush(stdout) == 0 ? DONE : FAILED;
}

static int run(const struct command *c)
{
    static const char *const usual[] = {PLAIT_NODE_CONTROL, PLAIT_HUB_CONTROL};
    json_t *all = json_array();
    int err = PLAIT_OK;

    for (size_t i = 0; i < (c->count > 0 ? c->count : 2); i++) {
        int one = ask(c->count > 0 ? c->sockets[i] : usual[i], c->count > 0, all);
        err = err == PLAIT_OK ? one : err;
    }
    int status = err == PLAIT_OK ? DONE : FAILED;
    if (json_array_size(all) > 0)
        status = print(all, c->json) == DONE ? status : FAILED;
    else if (err == PLAIT_OK) {
        fprintf(stderr, "plait status: no node and no hub runs here (nobody at %s or %s)\n", usual[0],
                usual[1]);
        status = FAILED;
    }
    json_decref(all);
    return status;
}

int plait_cmd_status(int argc, char **argv)
{
    struct command c = {.count = 0};
    int option;

    optind = 0;
    argv[0] = (char *)"plait status";
    while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1)
        take_option(&c, option, optarg);
    if (c.help) {
        fputs(help, stdout);
        return DONE;
    }
    if (optind < argc) {
        fprintf(stderr, "plait status: %s: what is that?\n", argv[optind]);
        c.failed = true;
    }
    if (c.failed) {
        fprintf(stderr, "plait status: see plait status --help\n");
        return USAGE;
    }
    return run(&c);
}
