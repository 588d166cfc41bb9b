/* `plait direct`: the command line of the role that knows who holds what. */
#ifndef PLAIT_CMD_DIRECT_H
#define PLAIT_CMD_DIRECT_H

/* argv[0] is the command's name. Returns the exit status. */
int plait_cmd_direct(int argc, char **argv);

#endif
