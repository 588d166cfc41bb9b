/*
 * The emulation at work: one thread that moves packets between the TUN devices of a lab's links, keeps the
 * schedule, and answers on the control socket.
 *
 * It sleeps until a device has packets or one is due, and treats what is due within LAB_GRAIN_NS as due, so
 * that a busy lab wakes a few thousand times a second and not once a packet.
 *
 * The control socket is a Unix SEQPACKET socket: one request, one reply, end. Requests: "mark", "set LINK
 * WORDS…", "stats", "down" (whose connection stays open until all is cleared away). A reply begins with
 * "ok\n" or "error: ".
 */
#ifndef PLAIT_LAB_ENGINE_H
#define PLAIT_LAB_ENGINE_H

#include "lane.h"
#include "topology.h"

#define LAB_GRAIN_NS UINT64_C(250000)
/* A wait shorter than this did not wait. */
#define LAB_SLEPT_NS UINT64_C(20000)

enum {
    LAB_PACKETS_MAX = 131072, /* held by all links together: 270 MB */
    LAB_REPLY_MAX = 131072,   /* bytes */
    LAB_CLIENTS_MAX = 8,
};

struct lab_pair {
    int fd[2];                       /* the device at each end; −1: not emulated */
    struct lab_lane lane[LAB_WAYS];  /* lane[LAB_DOWN] ends in fd[0] */
    struct lab_shape base[LAB_WAYS]; /* as written or set by hand: what a mark goes back to */
};

struct lab_moment {
    uint64_t next_ns;  /* PLAIT_NEVER: past */
    uint64_t fired_ns; /* 0: not yet */
};

struct lab_engine {
    const struct lab_topology *topology; /* borrows */
    const char *id;                      /* borrows */
    struct lab_pool pool;
    struct lab_pair pair[LAB_LINKS_MAX];
    struct lab_moment moment[LAB_EVENTS_MAX];
    uint64_t start_ns, mark_ns;
    uint64_t wakeups, late_ns_peak, late_count; /* late: woken more than 1 ms after a packet was due */
    uint64_t armed_ns;
    int epoll_fd, timer_fd, signal_fd, listen_fd;
    int owner_fd[2];
    int client_fd[LAB_CLIENTS_MAX]; /* −1: free */
    bool stopping;
};

/*
 * Takes the descriptors `tun_fd` and `owner_fd`, and makes the control socket at `control_path`. owner_fd[0]
 * is a pipe: its end means that the owner is gone, a byte that it needs no longer be there. owner_fd[1] is a
 * process's descriptor, whose end is the lab's too. Either may be −1.
 */
PLAIT_MUST_USE int lab_engine_init(struct lab_engine *engine, const struct lab_topology *topology,
                                   const char *id, int tun_fd[LAB_LINKS_MAX][2], const int owner_fd[2],
                                   const char *control_path);
/* Runs until SIGTERM, SIGINT, "down" or an owner's end. */
PLAIT_MUST_USE int lab_engine_run(struct lab_engine *engine);
void lab_engine_done(struct lab_engine *engine);

/* For the control socket. */
void lab_engine_mark(struct lab_engine *engine, uint64_t now_ns);
PLAIT_MUST_USE int lab_engine_set(struct lab_engine *engine, uint64_t now_ns, size_t link,
                                  char *const words[], size_t count, char why[LAB_WHY_MAX]);

#endif
