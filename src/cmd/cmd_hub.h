/* `plait hub`: the command line of the role that puts nodes' packets together again. */
#ifndef PLAIT_CMD_HUB_H
#define PLAIT_CMD_HUB_H

/* argv[0] is the command's name. Returns the exit status. */
int plait_cmd_hub(int argc, char **argv);

#endif
