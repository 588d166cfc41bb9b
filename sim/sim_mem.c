#include "sim_mem.h"

#include <stdio.h>
#include <stdlib.h>

void *plait_sim_mem_new(size_t count, size_t size)
{
    void *p = calloc(count > 0 ? count : 1, size > 0 ? size : 1);

    if (p == NULL) {
        fprintf(stderr, "plait-sim: out of memory (%zu x %zu bytes)\n", count, size);
        exit(1);
    }
    return p;
}
