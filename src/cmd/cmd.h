/*
 * The subcommands. Each gets its own arguments, argv[0] being its name, and returns the exit status of the
 * program.
 */
#ifndef PLAIT_CMD_CMD_H
#define PLAIT_CMD_CMD_H

/* plait get: fetches one stream from several sources over several routes (see get.h). */
int plait_cmd_get(int argc, char **argv);

#endif
