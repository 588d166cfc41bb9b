#include "engine.h"
#include "control.h"
#include "units.h"
#include <errno.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 64,
    READS_MAX = 256, /* packets from one device before the others get their turn */
};

/* What an epoll event is about, in its upper half; which one, in the lower. */
enum kind {
    KIND_TUN,
    KIND_TIMER,
    KIND_SIGNAL,
    KIND_OWNER,
    KIND_LISTEN,
    KIND_CLIENT,
};

static uint64_t clock_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * PLAIT_S + (uint64_t)t.tv_nsec;
}

static int watch(struct lab_engine *e, int fd, enum kind kind, uint32_t which)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)kind << 32 | which};
    return fd < 0 || epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? PLAIT_ERR_IO : 0;
}

/* shapes and schedule */

static void show_carrier(const struct lab_pair *pair)
{
    int on = !pair->lane[LAB_DOWN].shape.unplugged;
    for (int end = 0; end < 2; end++)
        if (ioctl(pair->fd[end], TUNSETCARRIER, &on))
            fprintf(stderr, "plait-lab: cannot set the carrier: %m\n");
}

static void reshape(struct lab_pair *pair, uint64_t now_ns, const struct lab_shape shape[LAB_WAYS])
{
    bool was_unplugged = pair->lane[LAB_DOWN].shape.unplugged;
    for (int way = 0; way < LAB_WAYS; way++)
        lab_lane_reshape(&pair->lane[way], now_ns, &shape[way]);
    if (shape[LAB_DOWN].unplugged != was_unplugged)
        show_carrier(pair);
}

static int change(struct lab_pair *pair, uint64_t now_ns, char *const words[], size_t count,
                  char why[LAB_WHY_MAX])
{
    struct lab_shape shape[LAB_WAYS] = {pair->lane[LAB_DOWN].shape, pair->lane[LAB_UP].shape};
    int err = lab_shape_apply(shape, words, count, why);
    if (!err)
        reshape(pair, now_ns, shape);
    return err;
}

int lab_engine_set(struct lab_engine *e, uint64_t now_ns, size_t link, char *const words[], size_t count,
                   char why[LAB_WHY_MAX])
{
    struct lab_pair *pair = &e->pair[link];
    int err = lab_shape_apply(pair->base, words, count, why);
    return err ? err : change(pair, now_ns, words, count, why);
}

static void rewind_schedule(struct lab_engine *e, uint64_t now_ns)
{
    e->mark_ns = now_ns;
    for (size_t i = 0; i < e->topology->event_count; i++)
        e->moment[i] = (struct lab_moment){.next_ns = now_ns + e->topology->event[i].at_ns};
}

void lab_engine_mark(struct lab_engine *e, uint64_t now_ns)
{
    for (size_t i = 0; i < e->topology->link_count; i++)
        if (e->topology->link[i].emulated)
            reshape(&e->pair[i], now_ns, e->pair[i].base);
    rewind_schedule(e, now_ns);
}

static void fire(struct lab_engine *e, size_t i, uint64_t now_ns)
{
    const struct lab_event *event = &e->topology->event[i];
    char text[LAB_TEXT_MAX], why[LAB_WHY_MAX], *words[LAB_WORDS_MAX];
    memcpy(text, event->text, sizeof text);
    size_t count = lab_topology_split(text, words, LAB_WORDS_MAX);
    if (change(&e->pair[event->link], now_ns, words, count, why))
        fprintf(stderr, "plait-lab: %s: %s\n", event->text, why);
    e->moment[i].fired_ns = now_ns;
    e->moment[i].next_ns = event->every_ns ? e->moment[i].next_ns + event->every_ns : PLAIT_NEVER;
}

/* Fires what is due, the earliest first, in the order of the file where times are the same. */
static void keep_schedule(struct lab_engine *e, uint64_t now_ns)
{
    for (;;) {
        size_t first = 0;
        for (size_t i = 1; i < e->topology->event_count; i++)
            if (e->moment[i].next_ns < e->moment[first].next_ns)
                first = i;
        if (e->topology->event_count == 0 || e->moment[first].next_ns > now_ns)
            return;
        fire(e, first, now_ns);
    }
}

/* packets */

/* Reads what the device has, all of which counts as come at `came_ns`. */
static void take_packets(struct lab_engine *e, uint32_t which, uint64_t came_ns)
{
    struct lab_pair *pair = &e->pair[which / 2];
    int end = (int)(which % 2);
    struct lab_lane *lane = &pair->lane[end == 0 ? LAB_UP : LAB_DOWN];
    for (int i = 0; i < READS_MAX; i++) {
        struct lab_packet *packet = lab_pool_take(&e->pool);
        char spare[LAB_PACKET_BYTES_MAX];
        ssize_t n = read(pair->fd[end], packet ? packet->bytes : (void *)spare, LAB_PACKET_BYTES_MAX);
        if (n > 0 && packet) {
            packet->len = (uint32_t)n;
            lab_lane_push(lane, came_ns, packet);
            continue;
        }
        if (packet)
            lab_pool_give(&e->pool, packet);
        if (n <= 0)
            return;
        lab_lane_overflow(lane, (uint32_t)n);
    }
}

static void deliver_lane(struct lab_pair *pair, enum lab_way way, uint64_t now_ns)
{
    struct lab_lane *lane = &pair->lane[way];
    for (;;) {
        struct lab_packet *packet = lab_lane_pop(lane, now_ns);
        if (!packet)
            return;
        if (write(pair->fd[way == LAB_DOWN ? 0 : 1], packet->bytes, packet->len) < 0)
            lab_lane_refuse(lane, packet);
        else
            lab_pool_give(lane->pool, packet);
    }
}

static void deliver(struct lab_engine *e, uint64_t now_ns)
{
    for (size_t i = 0; i < e->topology->link_count; i++)
        for (int way = 0; way < LAB_WAYS && e->topology->link[i].emulated; way++)
            deliver_lane(&e->pair[i], (enum lab_way)way, now_ns + LAB_GRAIN_NS);
}

static uint64_t deadline(const struct lab_engine *e)
{
    uint64_t least = PLAIT_NEVER;
    for (size_t i = 0; i < e->topology->link_count; i++)
        for (int way = 0; way < LAB_WAYS && e->topology->link[i].emulated; way++)
            least = plait_min_u64(least, lab_lane_deadline(&e->pair[i].lane[way]));
    for (size_t i = 0; i < e->topology->event_count; i++)
        least = plait_min_u64(least, e->moment[i].next_ns);
    return least;
}

static void arm(struct lab_engine *e)
{
    uint64_t at = deadline(e);
    if (at == e->armed_ns)
        return;
    struct itimerspec when = {0};
    if (at != PLAIT_NEVER) {
        when.it_value.tv_sec = (time_t)(at / PLAIT_S);
        when.it_value.tv_nsec = (long)(at % PLAIT_S);
    }
    if (timerfd_settime(e->timer_fd, TFD_TIMER_ABSTIME, &when, NULL))
        fprintf(stderr, "plait-lab: cannot set the timer: %m\n");
    e->armed_ns = at;
}

static void note_lateness(struct lab_engine *e, uint64_t now_ns)
{
    uint64_t late = e->armed_ns == PLAIT_NEVER ? 0 : plait_since(now_ns, e->armed_ns);
    e->late_ns_peak = plait_max_u64(e->late_ns_peak, late);
    e->late_count += late > PLAIT_MS;
}

/* the loop */

static void owner_spoke(struct lab_engine *e, uint32_t which)
{
    char byte;
    if (which == 0 && read(e->owner_fd[0], &byte, 1) == 1) {
        close(e->owner_fd[0]);
        e->owner_fd[0] = -1;
    } else {
        e->stopping = true;
    }
}

static void add_client(struct lab_engine *e)
{
    int fd = lab_control_accept(e->listen_fd);
    for (uint32_t i = 0; fd >= 0 && i < LAB_CLIENTS_MAX; i++) {
        if (e->client_fd[i] >= 0)
            continue;
        e->client_fd[i] = fd;
        if (watch(e, fd, KIND_CLIENT, i))
            break;
        return;
    }
    if (fd >= 0)
        close(fd);
}

static void serve_client(struct lab_engine *e, uint32_t which, uint64_t now_ns)
{
    if (lab_control_serve(e, e->client_fd[which], now_ns))
        return; /* kept until the end */
    close(e->client_fd[which]);
    e->client_fd[which] = -1;
}

static void handle(struct lab_engine *e, const struct epoll_event *event, uint64_t now_ns, uint64_t came_ns)
{
    uint32_t which = (uint32_t)event->data.u64;
    uint64_t expired;
    switch ((enum kind)(event->data.u64 >> 32)) {
    case KIND_TUN:
        take_packets(e, which, came_ns);
        break;
    case KIND_TIMER:
        if (read(e->timer_fd, &expired, sizeof expired) > 0)
            e->armed_ns = PLAIT_NEVER;
        break;
    case KIND_SIGNAL:
        e->stopping = true;
        break;
    case KIND_OWNER:
        owner_spoke(e, which);
        break;
    case KIND_LISTEN:
        add_client(e);
        break;
    case KIND_CLIENT:
        serve_client(e, which, now_ns);
        break;
    }
}

/*
 * Packets that were there before the thread could sleep came while it was busy with the round before: they
 * count as come when that round began, so that being busy does not cost the link time.
 */
int lab_engine_run(struct lab_engine *e)
{
    struct epoll_event event[EVENTS_MAX];
    uint64_t round_ns = e->start_ns = clock_now();
    rewind_schedule(e, e->start_ns);
    while (!e->stopping) {
        arm(e);
        uint64_t before_ns = clock_now();
        int count = epoll_wait(e->epoll_fd, event, EVENTS_MAX, -1);
        uint64_t now = clock_now();
        if (count < 0 && errno != EINTR)
            return PLAIT_ERR_IO;
        uint64_t came_ns = now - before_ns > LAB_SLEPT_NS ? now : round_ns;
        round_ns = now;
        e->wakeups++;
        note_lateness(e, now);
        keep_schedule(e, now);
        for (int i = 0; i < count; i++)
            handle(e, &event[i], now, came_ns);
        deliver(e, now);
    }
    return 0;
}

/* Packets wait for nobody: ahead of the programs under test, where the system allows it, as a link would. */
static void go_first(void)
{
    struct sched_param param = {.sched_priority = 1};
    prctl(PR_SET_TIMERSLACK, 1UL);
    if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &param) && setpriority(PRIO_PROCESS, 0, -20))
        fprintf(stderr, "plait-lab: no priority; packets may be late on a busy machine\n");
}

static void init_pairs(struct lab_engine *e, int tun_fd[LAB_LINKS_MAX][2])
{
    uint64_t seed = e->topology->seed;
    if (!e->topology->has_seed && getrandom(&seed, sizeof seed, 0) < 0)
        seed = clock_now();
    for (size_t i = 0; i < e->topology->link_count; i++) {
        const struct lab_link *link = &e->topology->link[i];
        struct lab_pair *pair = &e->pair[i];
        memcpy(pair->fd, tun_fd[i], sizeof pair->fd);
        memcpy(pair->base, link->shape, sizeof pair->base);
        for (int way = 0; way < LAB_WAYS; way++)
            lab_lane_init(&pair->lane[way], &link->shape[way], &e->pool, seed + 2 * i + (uint64_t)way);
        if (link->emulated && link->shape[LAB_DOWN].unplugged)
            show_carrier(pair);
    }
}

static int watch_all(struct lab_engine *e)
{
    int err = watch(e, e->timer_fd, KIND_TIMER, 0);
    if (!err)
        err = watch(e, e->signal_fd, KIND_SIGNAL, 0);
    if (!err)
        err = watch(e, e->listen_fd, KIND_LISTEN, 0);
    for (uint32_t i = 0; i < 2 && !err; i++)
        if (e->owner_fd[i] >= 0)
            err = watch(e, e->owner_fd[i], KIND_OWNER, i);
    for (uint32_t i = 0; i < 2 * e->topology->link_count && !err; i++)
        if (e->topology->link[i / 2].emulated)
            err = watch(e, e->pair[i / 2].fd[i % 2], KIND_TUN, i);
    return err;
}

int lab_engine_init(struct lab_engine *e, const struct lab_topology *topology, const char *id,
                    int tun_fd[LAB_LINKS_MAX][2], const int owner_fd[2], const char *control_path)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    *e = (struct lab_engine){.topology = topology, .id = id, .armed_ns = PLAIT_NEVER};
    memcpy(e->owner_fd, owner_fd, sizeof e->owner_fd);
    memset(e->client_fd, -1, sizeof e->client_fd);
    lab_pool_init(&e->pool, LAB_PACKETS_MAX);
    e->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    e->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    e->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    e->listen_fd = lab_control_listen(control_path);
    init_pairs(e, tun_fd);
    int err = sigprocmask(SIG_SETMASK, &signals, NULL) ? PLAIT_ERR_IO : watch_all(e);
    if (err)
        fprintf(stderr, "plait-lab: cannot start the emulation: %m\n");
    else
        go_first();
    return err;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void lab_engine_done(struct lab_engine *e)
{
    for (size_t i = 0; i < e->topology->link_count; i++) {
        for (int way = 0; way < LAB_WAYS; way++)
            lab_lane_done(&e->pair[i].lane[way]);
        close_fd(e->pair[i].fd[0]);
        close_fd(e->pair[i].fd[1]);
    }
    lab_pool_done(&e->pool);
    close_fd(e->listen_fd);
    close_fd(e->signal_fd);
    close_fd(e->timer_fd);
    close_fd(e->epoll_fd);
}
