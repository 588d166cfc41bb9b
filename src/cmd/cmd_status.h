/* `plait status`: how the tunnels of this machine are doing. */
#ifndef PLAIT_CMD_STATUS_H
#define PLAIT_CMD_STATUS_H

/* argv[0] is the command's name. Returns the exit status. */
int plait_cmd_status(int argc, char **argv);

#endif
