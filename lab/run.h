/* `plait-lab run`: a command beside a lab, whatever signal comes. */
#ifndef PLAIT_LAB_RUN_H
#define PLAIT_LAB_RUN_H

#include "session.h"

/*
 * Starts `argv` with the lab's names in its environment, and waits for it. Signals that only this process got
 * are passed on; a command that does not heed them is killed after three seconds. Returns the command's exit
 * status as a shell would, or EXIT_FAILURE if the lab broke.
 */
PLAIT_MUST_USE int lab_run(const struct lab_session *session, const struct lab_topology *topology,
                           char *argv[]);
/* Sets PLAIT_LAB, PLAIT_LAB_CONTROL, PLAIT_NS_<host>; `out`, unless NULL, gets them as lines for a shell. */
void lab_run_environment(const char *id, const struct lab_topology *topology, FILE *out);

#endif
