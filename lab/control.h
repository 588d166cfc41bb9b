/* The control socket, both ends, and the account of a lab as JSON. */
#ifndef PLAIT_LAB_CONTROL_H
#define PLAIT_LAB_CONTROL_H

#include "engine.h"
#include <stdio.h>

/* A listening socket at `path`, or PLAIT_ERR_IO, told. */
PLAIT_MUST_USE int lab_control_listen(const char *path);
/* A connection, non-blocking, or PLAIT_ERR_IO. */
PLAIT_MUST_USE int lab_control_accept(int listen_fd);
/* Reads a request and answers it. True: keep the connection, as its end is what the client waits for. */
bool lab_control_serve(struct lab_engine *engine, int fd, uint64_t now_ns);
/* The account: per link and direction what came, went and was lost; the schedule's moments; what the lab
 * itself cost. */
void lab_control_write_stats(const struct lab_engine *engine, uint64_t now_ns, FILE *out);

/*
 * The client's end: sends `request`, writes the reply's text to `out` (unless NULL), and, if `to_the_end`,
 * waits until the lab is gone. Errors are told.
 */
PLAIT_MUST_USE int lab_control_ask(const char *path, const char *request, FILE *out, bool to_the_end);

#endif
