#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd_community.h"
#include "hello.h"
#include "key.h"
#include "key_file.h"
#include "say.h"
#include "self.h"

#define DONE   0
#define FAILED 1
#define USAGE  2
#define FOLDER "/etc/plait"

static const char help[] =
    "usage: plait community new NAME [-o FILE]\n"
    "\n"
    "Makes the key that the terminals of a LAN share when they pool their links, and prints the lines that "
    "their\n"
    "node.conf needs. Whoever has the key may use what is on offer; copy it to every terminal.\n"
    "\n"
    "  -o, --output FILE  where the key is written; nothing is overwritten (" FOLDER "/NAME.key)\n"
    "  -h, --help         this\n"
    "\n"
    "Exit status: 0 done, 1 failed, 2 bad usage. See plait-community(1).\n";

static const struct option long_options[] = {
    {"output", required_argument, NULL, 'o'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int bad_usage(void)
{
    plait_say("see plait community --help");
    return USAGE;
}

static int write_key(const char *path)
{
    struct plait_key key = {{0}};

    plait_random_fill(&plait_kernel_random, key.bytes, sizeof key.bytes);
    int err = plait_key_file_write(path, &key);
    plait_wipe(&key, sizeof key);
    return err;
}

/* A key that nobody has been told about is none. */
static int print_lines(const char *name, const char *path)
{
    int done = printf("; The key is in %s: copy that file to every terminal of the community, and put\n"
                      "; these lines into its node.conf.\n"
                      "[community \"%s\"]\n"
                      "interface = eth0     ; the LAN\n"
                      "key = %s\n"
                      "; offer = dsl        ; uplinks that the others may use; without it we only take\n"
                      "; share = 50%%        ; at most so much of each of them, or\n"
                      "; limit = 8M/2M      ; at most so many bits a second, DOWN/UP\n",
                      path, name, path);

    if (done >= 0 && fflush(stdout) == 0)
        return DONE;
    plait_say("standard output: %s", strerror(errno));
    unlink(path);
    return FAILED;
}

static int new_community(const char *name, const char *output)
{
    char path[PATH_MAX];

    if (!plait_hello_name_is_good(name, strlen(name)) || strlen(name) >= PLAIT_HELLO_NAME_MAX) {
        plait_say("%s: a name has at most %u letters, digits, . _ -, the first a letter or a digit", name,
                  PLAIT_HELLO_NAME_MAX - 1);
        return bad_usage();
    }
    int len = output != NULL ? snprintf(path, sizeof path, "%s", output)
                             : snprintf(path, sizeof path, FOLDER "/%s.key", name);
    if (len < 0 || (size_t)len >= sizeof path) {
        plait_say("-o: too long");
        return bad_usage();
    }
    if (write_key(path) != PLAIT_OK)
        return FAILED;
    char full[PATH_MAX]; /* the node may be started anywhere */
    return print_lines(name, realpath(path, full) != NULL ? full : path);
}

int plait_cmd_community(int argc, char **argv)
{
    const char *output = NULL;
    int option;

    plait_say_as("plait community");
    optind = 0;
    argv[0] = (char *)"plait community";
    while ((option = getopt_long(argc, argv, "o:h", long_options, NULL)) != -1) {
        if (option == 'h')
            return fputs(help, stdout) >= 0 && fflush(stdout) == 0 ? DONE : FAILED;
        if (option != 'o')
            return bad_usage(); /* getopt has said so */
        output = optarg;
    }
    if (argc - optind != 2 || strcmp(argv[optind], "new") != 0) {
        plait_say("what to do? plait community new NAME makes a key");
        return bad_usage();
    }
    return new_community(argv[optind + 1], output);
}
