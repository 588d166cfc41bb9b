/* `plait node`: the command line of the role that sends a machine's packets over all its uplinks. */
#ifndef PLAIT_CMD_NODE_H
#define PLAIT_CMD_NODE_H

/* argv[0] is the command's name. Returns the exit status. */
int plait_cmd_node(int argc, char **argv);

#endif
