/*
 * Answers to a request. Each function queues exactly one answer, or returns MHD_NO, which ends the
 * connection.
 *
 * Every answer is made in the same three steps: make a response of some body, add its fields, send it
 * (plait_reply_send). A new kind of body is a new function beside these.
 */
#ifndef PLAIT_SERVE_REPLY_H
#define PLAIT_SERVE_REPLY_H

#include <sys/stat.h>

#include "etag.h"
#include "exchange.h"

/* A short text with the status and its name. */
enum MHD_Result plait_reply_error(struct plait_exchange *x, unsigned status);
/* What the methods are. */
enum MHD_Result plait_reply_options(struct plait_exchange *x);
/* To the same directory, with a slash at its end. */
enum MHD_Result plait_reply_slash(struct plait_exchange *x);
/* The file, or of it what the request's conditions and ranges leave. Takes the descriptor. `path` is its
 * name. */
enum MHD_Result plait_reply_file(struct plait_exchange *x, int fd, const struct stat *st, const char *path);
/* What lies in the directory, as JSON or HTML. Borrows the descriptor. */
enum MHD_Result plait_reply_listing(struct plait_exchange *x, int fd, bool json);

/* What answers are made of. `response` may be NULL; so may what make_error returns. */

void plait_reply_add(struct MHD_Response *response, const char *name, const char *value);
/* The status and its name, with fields still to be added; *len is the body's. */
struct MHD_Response *plait_reply_make_error(unsigned status, size_t *len);
/* ETag, Last-Modified, and the digest if it is known; otherwise it is asked for. */
void plait_reply_add_version(struct plait_exchange *x, struct MHD_Response *response, const struct stat *st,
                             const struct plait_version *version, const char *path);

/*
 * Queues the response (taken; NULL without memory) with what all answers have in common. Where it is sent
 * straight from a file, `file_fd` is the file and `file_end` the end of what is needed of it; otherwise
 * file_fd is -1.
 */
enum MHD_Result plait_reply_send(struct plait_exchange *x, unsigned status, struct MHD_Response *response,
                                 uint64_t body_len, int file_fd, uint64_t file_end);

#endif
