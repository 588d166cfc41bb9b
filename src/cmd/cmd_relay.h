/* `plait relay`: the command line of the role that carries other people's connections. */
#ifndef PLAIT_CMD_RELAY_H
#define PLAIT_CMD_RELAY_H

/* argv[0] is the command's name. Returns the exit status. */
int plait_cmd_relay(int argc, char **argv);

#endif
