/*
 * plait-sim: simulated worlds. Built for the tests, never installed.
 *
 *      plait-sim fetch …      one file over many paths (fetch_main.c)
 *      plait-sim tunnel …     packets over several uplinks (tunnel_main.c)
 *      plait-sim village …    several tunnels over the same lines (village_main.c)
 */
#include <stdio.h>
#include <string.h>

#include "fetch_main.h"
#include "tunnel_main.h"
#include "units.h"
#include "village_main.h"

static const struct {
    const char *name;
    int (*main)(int argc, char **argv);
} parts[] = {{"fetch", fetch_main}, {"tunnel", tunnel_main}, {"village", village_main}};

int main(int argc, char **argv)
{
    for (unsigned i = 0; argc >= 2 && i < PLAIT_COUNT(parts); i++)
        if (strcmp(argv[1], parts[i].name) == 0)
            return parts[i].main(argc - 1, argv + 1);
    fprintf(stderr, "usage: plait-sim fetch | tunnel | village [OPTION …]\n");
    return 2;
}
