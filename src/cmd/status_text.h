/* What a node or a hub says of itself (plait-status(1)), as a table for people. */
#ifndef PLAIT_CMD_STATUS_TEXT_H
#define PLAIT_CMD_STATUS_TEXT_H

#include <jansson.h>
#include <stdio.h>

/* Members that are missing are shown as blanks: the program that answers may be of another version. */
void plait_status_print(FILE *to, const json_t *status);

#endif
