#include "frame_pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define PAGE ((size_t)4096)

void plait_frame_pipe_init(struct plait_frame_pipe *p)
{
    int ends[2], size;

    *p = (struct plait_frame_pipe){.in = -1, .out = -1};
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return;
    (void)fcntl(ends[1], F_SETPIPE_SZ, (int)PLAIT_FRAME_PIPE_BYTES);
    size = fcntl(ends[1], F_GETPIPE_SZ);
    p->out = ends[0];
    p->in = ends[1];
    p->slots = size > 0 ? (size_t)size / PAGE : 0;
}

void plait_frame_pipe_done(struct plait_frame_pipe *p)
{
    if (p->in < 0)
        return;
    close(p->in);
    close(p->out);
    p->in = p->out = -1;
    p->slots = p->filled = p->bytes = 0;
}

void plait_frame_pipe_clear(struct plait_frame_pipe *p)
{
    if (p->filled == 0)
        return;
    plait_frame_pipe_done(p);
    plait_frame_pipe_init(p);
}

/* The head's, and the pages' that the payload touches. */
static size_t slots_of(size_t len)
{
    return 1 + len / PAGE + 2;
}

bool plait_frame_pipe_fits(const struct plait_frame_pipe *p, size_t len)
{
    return p->in >= 0 && p->filled + slots_of(len) <= p->slots;
}

bool plait_frame_pipe_add(struct plait_frame_pipe *p, const uint8_t *head, size_t head_len, int file,
                          uint64_t offset, size_t len)
{
    off_t at = (off_t)offset;

    if (!plait_frame_pipe_fits(p, len))
        return false;
    p->filled += slots_of(len);
    if (write(p->in, head, head_len) != (ssize_t)head_len)
        return false;
    for (size_t left = len; left > 0;) {
        ssize_t n = splice(file, &at, p->in, NULL, left, SPLICE_F_MOVE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        left -= (size_t)n;
    }
    p->bytes += head_len + len;
    return true;
}

ssize_t plait_frame_pipe_flush(struct plait_frame_pipe *p, int socket)
{
    size_t sent = 0;
    ssize_t n = 0;

    while (p->bytes > 0) {
        n = splice(p->out, NULL, socket, NULL, p->bytes, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        p->bytes -= (size_t)n;
        sent += (size_t)n;
    }
    if (p->bytes == 0)
        p->filled = 0;
    return sent > 0 ? (ssize_t)sent : -1;
}
