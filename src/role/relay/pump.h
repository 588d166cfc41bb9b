/*
 * One direction of a tunnel: bytes go from one socket to another through a pipe in the kernel (splice(2)),
 * never through our memory.
 *
 * A pump holds a pipe only while bytes are in it, so that a thousand idle tunnels need no more descriptors
 * than their sockets. Pipes that are empty are kept for the next pump, up to a bound.
 */
#ifndef PLAIT_RELAY_PUMP_H
#define PLAIT_RELAY_PUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLAIT_PIPES_KEPT 64u

/* All zeros is an empty store. */
struct plait_pipes {
    int kept[PLAIT_PIPES_KEPT][2];
    unsigned count;
};

void plait_pipes_done(struct plait_pipes *p);

enum plait_pump_state {
    PLAIT_PUMP_READ,   /* waits for `from` to be readable */
    PLAIT_PUMP_WRITE,  /* waits for `to` to be writable */
    PLAIT_PUMP_MORE,   /* has moved as much as it may for now */
    PLAIT_PUMP_END,    /* all has been carried, and `to` told that nothing more will come */
    PLAIT_PUMP_BROKEN, /* one of the sockets is (errno) */
};

struct plait_pump {
    struct plait_pipes *pipes; /* borrows */
    int from, to;              /* borrows */
    int pipe[2];               /* −1: none */
    size_t held;               /* bytes in the pipe */
    const char *early;         /* bytes that go first; borrows */
    size_t early_len;
    uint64_t carried; /* bytes that `to` has taken */
    bool ended;       /* `from` has sent its last byte */
    enum plait_pump_state state;
};

/* `early` stays where it is until early_len is 0. */
void plait_pump_init(struct plait_pump *p, struct plait_pipes *pipes, int from, int to, const char *early,
                     size_t early_len);
/* Moves up to `budget` bytes. Returns, and leaves in `state`, what it waits for. */
enum plait_pump_state plait_pump_run(struct plait_pump *p, size_t budget);
void plait_pump_done(struct plait_pump *p);

#endif
