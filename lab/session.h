/*
 * A lab's life: one process emulates (setsid, so that a terminal's Ctrl-C passes it by) and clears away at
 * its end, whether it is told to end, loses its owner, or gets a signal. Its owner is the `plait-lab` that
 * started it, until set free.
 */
#ifndef PLAIT_LAB_SESSION_H
#define PLAIT_LAB_SESSION_H

#include "state.h"
#include "topology.h"
#include <stdbool.h>
#include <sys/types.h>

struct lab_session {
    struct lab_state state;
    pid_t pid;
    int owner_fd;
};

struct lab_session_options {
    const char *id;         /* NULL: any */
    const char *stats_path; /* NULL: none; gets the account as JSON at the end */
    pid_t owner;            /* 0: none; the lab ends with this process */
    bool verbose;           /* tell the commands given */
    bool detached; /* the lab is to outlive the terminal: it tells its troubles in a file, not there */
};

/*
 * Lays the topology and starts emulating. Blocks SIGINT, SIGTERM, SIGHUP and SIGCHLD, which the caller then
 * waits for. On error nothing is left behind.
 */
PLAIT_MUST_USE int lab_session_start(struct lab_session *session, const struct lab_topology *topology,
                                     const struct lab_session_options *options);
/* The lab lives on without its owner. */
PLAIT_MUST_USE int lab_session_detach(struct lab_session *session);
/* Ends the lab and waits until all is cleared away. */
void lab_session_end(struct lab_session *session);

#endif
