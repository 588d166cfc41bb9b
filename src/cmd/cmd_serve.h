/* `plait serve`: the command line of the role that serves a directory. */
#ifndef PLAIT_CMD_SERVE_H
#define PLAIT_CMD_SERVE_H

/* argv[0] is the command's name. Returns the exit status. */
int plait_cmd_serve(int argc, char **argv);

#endif
