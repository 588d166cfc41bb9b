/*
 * A pipe in which frames are put together before the socket gets them: heads are written, payloads spliced from the
 * file (splice(2)), and all of it goes out in one call. A socket that is given block after block instead wakes its
 * receiver for each, and gives up the processor to it.
 *
 * What the socket does not take is not kept: it is put together again.
 */
#ifndef PLAIT_SERVE_FRAME_PIPE_H
#define PLAIT_SERVE_FRAME_PIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* As much as anybody may ask for. */
#define PLAIT_FRAME_PIPE_BYTES ((size_t)1024 * 1024)

struct plait_frame_pipe {
    int in, out;   /* −1 = it could not be made */
    size_t slots;  /* pages, or parts of them */
    size_t filled; /* of those */
    size_t bytes;  /* that wait in it */
};

void plait_frame_pipe_init(struct plait_frame_pipe *p);
void plait_frame_pipe_done(struct plait_frame_pipe *p);

/* Adds a head and `len` bytes of the file at `offset`. False: there is no room, or not so much in the file; then part
 * of it may be in the pipe, which is to be cleared. */
bool plait_frame_pipe_add(struct plait_frame_pipe *p, const uint8_t *head, size_t head_len, int file,
                          uint64_t offset, size_t len);
/* Whether a frame of so many bytes fits in. */
bool plait_frame_pipe_fits(const struct plait_frame_pipe *p, size_t len);
/* Gives the socket what it takes of that: its number, or −1 (errno) where that is nothing. */
ssize_t plait_frame_pipe_flush(struct plait_frame_pipe *p, int socket);
/* What is left in it is dropped. */
void plait_frame_pipe_clear(struct plait_frame_pipe *p);

#endif
