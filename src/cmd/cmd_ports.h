/* `plait hub ports`: the dedicated ports of a running hub. */
#ifndef PLAIT_CMD_PORTS_H
#define PLAIT_CMD_PORTS_H

#include <stdbool.h>

/* Asks the hub behind that control socket. Returns the exit status. */
int plait_ports_print(const char *control, bool json);

#endif
