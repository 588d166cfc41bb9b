/* `plait key`: makes private keys, and public ones out of them. */
#ifndef PLAIT_CMD_KEY_H
#define PLAIT_CMD_KEY_H

/* argv[0] is the command's name. Returns the exit status. */
int plait_cmd_key(int argc, char **argv);

#endif
