/*
 * The body of an answer with several ranges: multipart/byteranges (RFC 9110 section 14.6).
 */
#ifndef PLAIT_SERVE_MULTIPART_H
#define PLAIT_SERVE_MULTIPART_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "range.h"

#define PLAIT_BOUNDARY_SIZE 33

struct plait_multipart;

/*
 * Takes the descriptor, which the parts are read from, also where it fails. `size` is that of the whole file,
 * `type` its content type. PLAIT_ERR_NOMEM.
 */
PLAIT_MUST_USE int plait_multipart_new(struct plait_multipart **out, int fd, uint64_t size, const char *type,
                                       const struct plait_range_set *ranges);
void plait_multipart_free(struct plait_multipart *m);

/* Of the whole body. */
uint64_t plait_multipart_len(const struct plait_multipart *m);
/* Terminated; borrowed. */
const char *plait_multipart_boundary(const struct plait_multipart *m);

/*
 * Copies what stands at `at` in the body; at least one byte and at most `max`. 0 at its end, PLAIT_ERR_TRUNC
 * where the file has become shorter, PLAIT_ERR_IO (errno).
 */
PLAIT_MUST_USE ssize_t plait_multipart_read(const struct plait_multipart *m, uint64_t at, char *out,
                                            size_t max);

#endif
