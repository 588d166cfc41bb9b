#include "pump.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for many small pieces: what arrives from a network card takes a slot of the pipe for each packet. */
#define PIPE_BYTES (256 * 1024)

static int take_pipe(struct plait_pipes *p, int ends[2])
{
    if (p->count > 0) {
        p->count--;
        memcpy(ends, p->kept[p->count], sizeof p->kept[0]);
        return 0;
    }
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) {
        ends[0] = ends[1] = -1;
        return -1;
    }
    fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES); /* where the kernel gives less, less will do */
    return 0;
}

static void put_pipe(struct plait_pipes *p, int ends[2])
{
    if (p->count < PLAIT_PIPES_KEPT) {
        memcpy(p->kept[p->count++], ends, sizeof p->kept[0]);
    } else {
        close(ends[0]);
        close(ends[1]);
    }
    ends[0] = ends[1] = -1;
}

void plait_pipes_done(struct plait_pipes *p)
{
    for (; p->count > 0; p->count--) {
        close(p->kept[p->count - 1][0]);
        close(p->kept[p->count - 1][1]);
    }
}

void plait_pump_init(struct plait_pump *p, struct plait_pipes *pipes, int from, int to, const char *early,
                     size_t early_len)
{
    *p = (struct plait_pump){
        .pipes = pipes, .from = from, .to = to, .pipe = {-1, -1}, .early = early, .early_len = early_len};
}

void plait_pump_done(struct plait_pump *p)
{
    if (p->pipe[0] < 0)
        return;
    if (p->held == 0) {
        put_pipe(p->pipes, p->pipe);
        return;
    }
    close(p->pipe[0]); /* there is something of this tunnel in it */
    close(p->pipe[1]);
    p->pipe[0] = p->pipe[1] = -1;
}

/* EAGAIN is what to wait for, anything else the end. */
static enum plait_pump_state stopped(enum plait_pump_state waiting)
{
    return errno == EAGAIN ? waiting : PLAIT_PUMP_BROKEN;
}

static enum plait_pump_state send_early(struct plait_pump *p)
{
    ssize_t n = send(p->to, p->early, p->early_len, MSG_NOSIGNAL);

    if (n < 0)
        return errno == EINTR ? PLAIT_PUMP_MORE : stopped(PLAIT_PUMP_WRITE);
    p->early += n;
    p->early_len -= (size_t)n;
    p->carried += (uint64_t)n;
    return PLAIT_PUMP_MORE;
}

/* The pipe is empty, so that EAGAIN can only mean the socket. */
static enum plait_pump_state fill(struct plait_pump *p, size_t most)
{
    if (p->pipe[0] < 0 && take_pipe(p->pipes, p->pipe) != 0)
        return PLAIT_PUMP_BROKEN;
    ssize_t n = splice(p->from, NULL, p->pipe[1], NULL, most, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n < 0)
        return errno == EINTR ? PLAIT_PUMP_MORE : stopped(PLAIT_PUMP_READ);
    p->held = (size_t)n;
    p->ended = n == 0;
    return PLAIT_PUMP_MORE;
}

static enum plait_pump_state drain(struct plait_pump *p)
{
    ssize_t n = splice(p->pipe[0], NULL, p->to, NULL, p->held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

    if (n <= 0)
        return n < 0 && errno == EINTR ? PLAIT_PUMP_MORE : stopped(PLAIT_PUMP_WRITE);
    p->held -= (size_t)n;
    p->carried += (uint64_t)n;
    return PLAIT_PUMP_MORE;
}

static enum plait_pump_state step(struct plait_pump *p, size_t most)
{
    if (p->early_len > 0)
        return send_early(p);
    if (p->held > 0)
        return drain(p);
    if (!p->ended)
        return fill(p, most);
    /* Half-closed: the other direction goes on. */
    return shutdown(p->to, SHUT_WR) == 0 ? PLAIT_PUMP_END : PLAIT_PUMP_BROKEN;
}

enum plait_pump_state plait_pump_run(struct plait_pump *p, size_t budget)
{
    uint64_t start = p->carried;

    if (p->state == PLAIT_PUMP_END || p->state == PLAIT_PUMP_BROKEN)
        return p->state;
    do {
        p->state = step(p, budget);
    } while (p->state == PLAIT_PUMP_MORE && p->carried - start < budget);
    if (p->held == 0 && p->pipe[0] >= 0)
        put_pipe(p->pipes, p->pipe);
    return p->state;
}
