/*
 * The file that a new secret is written to.
 */
#ifndef PLAIT_CMD_KEY_FILE_H
#define PLAIT_CMD_KEY_FILE_H

#include "err.h"
#include "key.h"

/* Makes the file, for its owner's eyes only; never overwrites one (PLAIT_ERR_STATE). What is wrong has been said. */
PLAIT_MUST_USE int plait_key_file_write(const char *path, const struct plait_key *secret);

#endif
