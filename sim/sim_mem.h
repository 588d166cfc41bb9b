/*
 * Memory of the simulator: zeroed, and never refused. A simulation that cannot have its memory ends the
 * program, so that nothing above has to carry the error.
 */
#ifndef PLAIT_SIM_MEM_H
#define PLAIT_SIM_MEM_H

#include <stddef.h>

/* Returns owned, zeroed memory for `count` things of `size` bytes; ends the program where there is none. */
void *plait_sim_mem_new(size_t count, size_t size);

#endif
