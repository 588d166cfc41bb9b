/* plait community: make the key of a community, and the lines to paste. */
#ifndef PLAIT_CMD_COMMUNITY_H
#define PLAIT_CMD_COMMUNITY_H

/* argv[0] is "community". Returns the exit status: 0 done, 1 failed, 2 bad usage. */
int plait_cmd_community(int argc, char **argv);

#endif
