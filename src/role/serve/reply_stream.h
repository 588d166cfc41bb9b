/*
 * Answers to requests of parallel HTTP (doc/protocol.md): bodies of frames, and what steers them.
 */
#ifndef PLAIT_SERVE_REPLY_STREAM_H
#define PLAIT_SERVE_REPLY_STREAM_H

#include <sys/stat.h>

#include "exchange.h"
#include "stream_ask.h"

/* The request's fields. False where it is not of parallel HTTP. */
bool plait_reply_stream_asked(const struct plait_exchange *x, struct plait_stream_ask *ask);

/* A GET or POST about the file. Takes the descriptor. `path` is its name. */
enum MHD_Result plait_reply_stream(struct plait_exchange *x, const struct plait_stream_ask *ask, int fd,
                                   const struct stat *st, const char *path);

/* Whether the file is still being written; `st` is brought up to date. */
bool plait_reply_stream_grows(const struct plait_exchange *x, int fd, struct stat *st, const char *path);

/*
 * A plain GET of a file that is still being written: a body that goes on until its writer closes it. *answered is
 * false, and nothing has happened, where the file is none of these or the request is not about all of it.
 * Otherwise takes the descriptor.
 */
enum MHD_Result plait_reply_growing(struct plait_exchange *x, int fd, const struct stat *st, const char *path,
                                    bool *answered);

#endif
