/*
 * A pump: one thread that pushes frames into the sockets of its crowds.
 *
 * A flow has its turn when its socket has room (an edge of epoll) or the share names it (`settle`). In its turn
 * it takes blocks from the share one by one, and writes each, until the socket is full, the share has nothing
 * for it, or others have waited long enough.
 *
 * That data has arrived is told by nobody, so while somebody waits for what others have under way, the crowd
 * is looked at again and again; less often when nothing changes.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "streams_int.h"

#include "etag.h"

#define EVENTS_MAX  64
#define TURN_BYTES  (2 * PLAIT_MIB)
#define POLL_NS_MIN (1 * PLAIT_MS)
#define POLL_NS_MAX (200 * PLAIT_MS)
#define LOOK_NS     (500 * PLAIT_US) /* a socket is looked at no more often; blocks may be shorter than that */
#define AHEAD_BYTES (4 * PLAIT_MIB)
#define LIVE_NS     (50 * PLAIT_MS) /* between two looks at a file that grows */

static const char changed_text[] = "the file has been changed";
static const char leaving_text[] = "the server is shutting down";

/* The heap of crowds that have to be looked at, the earliest first. */

static void put_at(struct pump *p, size_t i, struct crowd *c)
{
    p->heap[i] = c;
    c->heap_at = i;
}

static void sift_up(struct pump *p, size_t i, struct crowd *c)
{
    for (; i > 0 && p->heap[(i - 1) / 2]->due > c->due; i = (i - 1) / 2)
        put_at(p, i, p->heap[(i - 1) / 2]);
    put_at(p, i, c);
}

static void sift_down(struct pump *p, size_t i, struct crowd *c)
{
    for (size_t child; (child = 2 * i + 1) < p->heap_count; i = child) {
        if (child + 1 < p->heap_count && p->heap[child + 1]->due < p->heap[child]->due)
            child++;
        if (p->heap[child]->due >= c->due)
            break;
        put_at(p, i, p->heap[child]);
    }
    put_at(p, i, c);
}

static void heap_remove(struct pump *p, struct crowd *c)
{
    size_t i = c->heap_at;

    if (i == NOT_IN_HEAP)
        return;
    c->heap_at = NOT_IN_HEAP;
    struct crowd *last = p->heap[--p->heap_count];
    if (last == c)
        return;
    if (i > 0 && p->heap[(i - 1) / 2]->due > last->due)
        sift_up(p, i, last);
    else
        sift_down(p, i, last);
}

static void set_due(struct pump *p, struct crowd *c, uint64_t due)
{
    if (c->due == due && (c->heap_at != NOT_IN_HEAP || due == PLAIT_NEVER))
        return;
    heap_remove(p, c);
    c->due = due;
    if (due != PLAIT_NEVER && p->heap_count < p->heap_max)
        sift_up(p, p->heap_count++, c);
}

/* The queue of flows whose turn it is. */

static void enqueue(struct pump *p, struct plait_flow *f)
{
    if (f->state == FLOW_WAITING)
        f->crowd->waiting--;
    if (f->state == FLOW_DRAINING)
        f->crowd->draining--;
    f->state = FLOW_RUN;
    f->next = NULL;
    *(p->run_last != NULL ? &p->run_last->next : &p->run_first) = f;
    p->run_last = f;
}

static struct plait_flow *dequeue(struct pump *p)
{
    struct plait_flow *f = p->run_first;

    p->run_first = f->next;
    if (p->run_first == NULL)
        p->run_last = NULL;
    return f;
}

/* Whether somebody may be waiting for what is under way: his own, where too much is. */
static bool is_awaited(const struct crowd *c)
{
    for (unsigned i = 0; c->waiting > 0 && i < PLAIT_STREAMS_CONNS_MAX; i++)
        if (c->flows[i] != NULL && c->flows[i]->out.acked < c->flows[i]->out.written)
            return true;
    return false;
}

/* Under the lock, after the share was told something: whom it names has a turn; when to look again. */
static void settle(struct pump *p, struct crowd *c, uint64_t now)
{
    int conn;

    while (c->waiting > 0 && plait_share_ready(c->share, now, &conn))
        if (c->flows[conn] != NULL && c->flows[conn]->state == FLOW_WAITING)
            enqueue(p, c->flows[conn]);
    uint64_t due = c->waiting > 0 ? plait_share_next_deadline(c->share) : PLAIT_NEVER;
    due = plait_min_u64(due, plait_max_u64(plait_share_stuck_deadline(c->share), now + POLL_NS_MIN));
    if (c->draining > 0 || is_awaited(c))
        due = plait_min_u64(due, now + c->poll_ns);
    if (c->live)
        due = plait_min_u64(due, c->live_at);
    set_due(p, c, due);
}

/* The end of a flow. */

/* Breaks the connection so that the peer sees it: there is no frame to say that what it has is not all. */
static void reset(int socket)
{
    const struct sockaddr none = {.sa_family = AF_UNSPEC};

    (void)connect(socket, &none, sizeof none);
}

static void give_back(struct pump *p, struct plait_flow *f)
{
    (void)epoll_ctl(p->epoll, EPOLL_CTL_DEL, f->out.socket, NULL);
    plait_frame_out_flush(&f->out);
    if (f->bare && !f->whole)
        reset(f->out.socket);
    *f->sent = f->out.written - f->out.saved;
    f->state = FLOW_OVER;
    MHD_resume_connection(f->connection); /* which then frees the flow */
}

/* The flow, which is in no queue, is over. */
static void finish(struct pump *p, struct plait_flow *f, bool whole, enum plait_share_end how)
{
    struct plait_streams *s = p->streams;
    struct crowd *c = f->crowd;

    f->whole = whole;
    c->flows[f->conn] = NULL;
    if (--c->present == 0)
        set_due(p, c, PLAIT_NEVER);
    uint64_t now = streams_lock(s);
    streams_close(s, f, how);
    if (c->present > 0)
        settle(p, c, now);
    streams_drop_empty(s, c);
    streams_unlock(s);
    give_back(p, f);
}

/* What is said last, if it can be said. */
static void begin_error(struct plait_flow *f, enum plait_frame_code code, const char *text)
{
    const struct plait_frame frame = {PLAIT_FRAME_ERROR, (uint32_t)strlen(text), code};

    f->last = f->failed = true;
    plait_frame_out_begin(&f->out, &frame, 0, text);
}

/* Whether the file is still what it was when the request came; of one that grows, whether it has so much. */
static bool is_version(const struct plait_flow *f, uint64_t needed)
{
    const struct crowd *c = f->crowd;
    struct stat st;

    if (!c->spoilt && !c->live && f->looked_at != c->pump->now)
        return true;
    if (c->spoilt || fstat(f->file, &st) != 0)
        return false;
    if (c->live)
        return (uint64_t)st.st_size >= needed;
    if (c->was_live)
        return (uint64_t)st.st_size == c->size && plait_mtime_ns(&st) == c->mtime_ns;
    return (uint64_t)st.st_size == f->size && plait_mtime_ns(&st) == f->mtime_ns;
}

/* So that no other flow waits for the disk because of this one. */
static void read_ahead(struct plait_flow *f, uint64_t offset, uint32_t len)
{
    if (offset + len <= f->ahead)
        return;
    (void)posix_fadvise(f->file, (off_t)offset, (off_t)AHEAD_BYTES, POSIX_FADV_WILLNEED);
    f->ahead = offset + AHEAD_BYTES / 2;
}

static void begin_block(struct plait_flow *f, const struct plait_share_next *next)
{
    const struct plait_frame frame = {PLAIT_FRAME_BLOCK, next->len, next->sequence};

    if (!is_version(f, next->offset + next->len)) {
        begin_error(f, PLAIT_FRAME_CODE_CHANGED, changed_text);
        return;
    }
    read_ahead(f, next->offset, next->len);
    plait_frame_out_begin(&f->out, &frame, next->offset, NULL);
}

static void begin_empty(struct plait_flow *f, enum plait_frame_type type, uint64_t sequence)
{
    const struct plait_frame frame = {type, 0, sequence};

    f->last = type == PLAIT_FRAME_END;
    plait_frame_out_begin(&f->out, &frame, 0, NULL);
}

static struct plait_share_link link_of(const struct plait_frame_out_link *l)
{
    return (struct plait_share_link){l->unsent_bytes, l->rate, l->rtt_ns, l->rtt_min_ns, l->rto_ns};
}

/* How long until a look at the crowd may find something new. */
static uint64_t poll_time(uint64_t rtt_ns)
{
    return plait_clamp_u64(rtt_ns / 4, POLL_NS_MIN, 25 * PLAIT_MS);
}

/* Asks the share. Under the lock for no longer than that. `ahead`: where there is nothing, it will be asked again. */
static struct plait_share_next ask_share(struct pump *p, struct plait_flow *f, bool ahead)
{
    struct plait_frame_out_link look;
    struct plait_share_next next;
    struct crowd *c = f->crowd;

    bool looks = plait_since(p->now, f->looked_at) >= LOOK_NS;
    if (looks)
        plait_frame_out_look(&f->out, &look);
    uint64_t now = p->now = streams_lock(p->streams);
    if (looks) {
        const struct plait_share_link link = link_of(&look);
        plait_share_on_link(c->share, f->conn, &link);
        plait_share_on_acked(c->share, now, f->conn, f->out.acked);
        f->rtt_ns = look.rtt_ns;
        f->looked_at = now;
    }
    plait_share_next(c->share, now, f->conn, &next);
    if (next.kind == PLAIT_SHARE_WAIT && !ahead && !c->spoilt && !atomic_load(&p->streams->leaving)) {
        f->state = FLOW_WAITING;
        c->waiting++;
        c->poll_ns = poll_time(f->rtt_ns);
    }
    settle(p, c, now);
    streams_unlock(p->streams);
    return next;
}

/* Begins the next frame. False where there is none. */
static bool begin_next(struct pump *p, struct plait_flow *f)
{
    if (f->changed) {
        begin_error(f, PLAIT_FRAME_CODE_CHANGED, changed_text);
        return true;
    }
    struct plait_share_next next = ask_share(p, f, false);

    switch (next.kind) {
    case PLAIT_SHARE_BLOCK:
        begin_block(f, &next);
        return true;
    case PLAIT_SHARE_MARK:
        begin_empty(f, PLAIT_FRAME_MARK, next.sequence);
        return true;
    case PLAIT_SHARE_END:
        begin_empty(f, PLAIT_FRAME_END, next.sequence);
        return true;
    case PLAIT_SHARE_WAIT:
        break;
    }
    if (f->crowd->spoilt) {
        begin_error(f, PLAIT_FRAME_CODE_CHANGED, changed_text);
    } else if (atomic_load(&p->streams->leaving)) {
        begin_error(f, PLAIT_FRAME_CODE_LEAVING, leaving_text);
    } else {
        plait_frame_out_flush(&f->out);
        return false;
    }
    return true;
}

/* Begins frames behind the one that was begun, as many as may go out with it. */
static void begin_ahead(struct pump *p, struct plait_flow *f)
{
    while (!f->last && !f->changed && plait_frame_out_takes_more(&f->out, f->block_bytes)) {
        struct plait_share_next next = ask_share(p, f, true);
        struct plait_frame frame = {PLAIT_FRAME_BLOCK, next.len, next.sequence};
        if (next.kind == PLAIT_SHARE_WAIT)
            return;
        if (next.kind == PLAIT_SHARE_BLOCK) {
            f->changed = !is_version(f, next.offset + next.len);
            if (f->changed)
                return;
            read_ahead(f, next.offset, next.len);
        } else {
            f->last = next.kind == PLAIT_SHARE_END;
            frame = (struct plait_frame){f->last ? PLAIT_FRAME_END : PLAIT_FRAME_MARK, 0, next.sequence};
        }
        plait_frame_out_append(&f->out, &frame, next.offset);
    }
}

/* END or ERROR is written: the blocks before it may still have to arrive. */
static void drain(struct pump *p, struct plait_flow *f)
{
    struct plait_frame_out_link look;
    bool whole = !(f->bare && f->failed);

    if (whole)
        plait_frame_out_end(&f->out);
    plait_frame_out_look(&f->out, &look);
    if (f->out.acked >= f->out.written || f->hung) {
        finish(p, f, whole, f->out.acked >= f->out.written ? PLAIT_SHARE_COMPLETE : PLAIT_SHARE_BROKEN);
        return;
    }
    f->state = FLOW_DRAINING;
    f->crowd->draining++;
    f->crowd->poll_ns = poll_time(look.rtt_ns);
    uint64_t now = streams_lock(p->streams);
    settle(p, f->crowd, now);
    streams_unlock(p->streams);
}

static void turn(struct pump *p, struct plait_flow *f)
{
    uint64_t until = f->out.written + TURN_BYTES;

    for (;;) {
        bool busy = plait_frame_out_busy(&f->out);
        if (!busy && f->last) {
            drain(p, f);
            return;
        }
        if (f->hung) {
            finish(p, f, false, PLAIT_SHARE_BROKEN);
            return;
        }
        if (f->out.written >= until) {
            enqueue(p, f);
            return;
        }
        if (!busy && !begin_next(p, f))
            return;
        begin_ahead(p, f);
        enum plait_frame_out_result result = plait_frame_out_write(&f->out, p->room, &p->pipe);
        if (result == PLAIT_FRAME_OUT_DONE)
            continue;
        if (result == PLAIT_FRAME_OUT_BROKEN)
            finish(p, f, false, PLAIT_SHARE_BROKEN);
        else
            f->state = FLOW_BLOCKED;
        return;
    }
}

/* Those who wait have a turn to be told of an end. */
static void stir_waiting(struct pump *p, struct crowd *c)
{
    for (unsigned i = 0; i < PLAIT_STREAMS_CONNS_MAX && c->waiting > 0; i++)
        if (c->flows[i] != NULL && c->flows[i]->state == FLOW_WAITING)
            enqueue(p, c->flows[i]);
}

/* How far the file has grown. */
static void look_at_live(struct pump *p, struct crowd *c, uint64_t now)
{
    struct timespec t;
    struct stat st = {0};
    char tag[PLAIT_ETAG_SIZE];
    enum plait_live_kind kind = PLAIT_LIVE_NOT;
    unsigned i = 0;

    while (c->flows[i] == NULL)
        i++;
    clock_gettime(CLOCK_REALTIME, &t);
    if (fstat(c->flows[i]->file, &st) == 0)
        kind = plait_live_look(p->streams->live, c->flows[i]->file, &st, now,
                               (int64_t)t.tv_sec * (int64_t)PLAIT_S + t.tv_nsec, PLAIT_LIVE_NO_HINT, tag);
    c->live_at = now + LIVE_NS;
    streams_lock(p->streams);
    int rc = kind == PLAIT_LIVE_GROWING    ? plait_share_grow(c->share, (uint64_t)st.st_size)
             : kind == PLAIT_LIVE_FINISHED ? plait_share_finish(c->share, (uint64_t)st.st_size)
                                           : PLAIT_ERR_STATE;
    streams_unlock(p->streams);
    c->spoilt = rc != PLAIT_OK;
    c->live = rc == PLAIT_OK && kind == PLAIT_LIVE_GROWING;
    c->was_live = !c->live;
    c->size = (uint64_t)st.st_size;
    c->mtime_ns = plait_mtime_ns(&st);
    if (c->spoilt)
        stir_waiting(p, c);
}

/* Looks at all connections of a crowd, for those of it that wait. */
static void look_at(struct pump *p, struct crowd *c, uint64_t began)
{
    struct plait_share_link links[PLAIT_STREAMS_CONNS_MAX];
    bool news = false;

    if (c->live && began >= c->live_at)
        look_at_live(p, c, began);
    for (unsigned i = 0; i < PLAIT_STREAMS_CONNS_MAX; i++) {
        struct plait_frame_out_link look;
        if (c->flows[i] == NULL)
            continue;
        uint64_t before = c->flows[i]->out.acked;
        plait_frame_out_look(&c->flows[i]->out, &look);
        links[i] = link_of(&look);
        news = news || c->flows[i]->out.acked > before;
    }
    c->poll_ns = news ? POLL_NS_MIN : plait_min_u64(2 * c->poll_ns, POLL_NS_MAX);
    uint64_t now = streams_lock(p->streams);
    for (unsigned i = 0; i < PLAIT_STREAMS_CONNS_MAX; i++) {
        struct plait_flow *f = c->flows[i];
        if (f == NULL)
            continue;
        plait_share_on_link(c->share, (int)i, &links[i]);
        plait_share_on_acked(c->share, now, (int)i, f->out.acked);
        if (f->state == FLOW_DRAINING && f->out.acked >= f->out.written)
            enqueue(p, f);
    }
    settle(p, c, now);
    streams_unlock(p->streams);
}

/* What others have sent us. */

static void add_flow(struct pump *p, struct plait_flow *f)
{
    struct crowd *c = f->crowd;
    struct epoll_event e = {.events = EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = f};

    c->flows[f->conn] = f;
    c->present++;
    if (epoll_ctl(p->epoll, EPOLL_CTL_ADD, f->out.socket, &e) != 0)
        f->hung = true;
    enqueue(p, f);
}

static void take_inbox(struct pump *p)
{
    pthread_mutex_lock(&p->inbox_lock);
    struct plait_flow *f = p->inbox;
    p->inbox = NULL;
    pthread_mutex_unlock(&p->inbox_lock);
    while (f != NULL) {
        struct plait_flow *next = f->next;
        add_flow(p, f);
        f = next;
    }
}

static void take_poked(struct pump *p)
{
    struct plait_streams *s = p->streams;
    uint64_t now = p->now = streams_lock(s);

    while (p->poked != NULL) {
        struct crowd *c = p->poked;
        p->poked = c->next_poked;
        c->poked = false;
        if (c->present > 0) {
            if (atomic_load(&s->leaving))
                stir_waiting(p, c);
            settle(p, c, now);
        }
        streams_drop_empty(s, c);
    }
    streams_unlock(s);
}

static void take_events(struct pump *p, const struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++) {
        struct plait_flow *f = events[i].data.ptr;
        uint64_t value;
        if (f == NULL) {
            (void)!read(p->wake, &value, sizeof value);
            continue;
        }
        if (events[i].events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP))
            f->hung = true;
        if (f->state != FLOW_RUN && (f->hung || f->state == FLOW_BLOCKED))
            enqueue(p, f);
    }
}

static uint64_t read_clock(struct pump *p)
{
    uint64_t now = streams_lock(p->streams);

    streams_unlock(p->streams);
    return now;
}

/* Milliseconds until something is due, −1 where nothing is. */
static int time_left(struct pump *p)
{
    if (p->run_first != NULL)
        return 0;
    if (p->heap_count == 0)
        return -1;
    uint64_t left = plait_since(p->heap[0]->due, read_clock(p));
    return (int)plait_min_u64((left + PLAIT_MS - 1) / PLAIT_MS, 60000);
}

static void run_once(struct pump *p)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(p->epoll, events, EVENTS_MAX, time_left(p));

    take_events(p, events, count);
    take_inbox(p);
    take_poked(p);
    uint64_t now = p->heap_count > 0 ? read_clock(p) : 0;
    for (size_t i = p->heap_count; i > 0 && p->heap_count > 0 && p->heap[0]->due <= now; i--)
        look_at(p, p->heap[0], now);
    struct plait_flow *last = p->run_last;
    while (p->run_first != NULL) {
        struct plait_flow *f = dequeue(p);
        bool is_last = f == last;
        turn(p, f);
        if (is_last)
            break;
    }
}

/* The end. */

static struct plait_flow *any_flow(struct pump *p)
{
    struct plait_flow *found = NULL;

    streams_lock(p->streams);
    for (unsigned b = 0; b < CROWD_BUCKETS && found == NULL; b++)
        for (struct crowd *c = p->streams->crowds[b]; c != NULL && found == NULL; c = c->next)
            for (unsigned i = 0; i < PLAIT_STREAMS_CONNS_MAX && c->pump == p && found == NULL; i++)
                found = c->flows[i];
    streams_unlock(p->streams);
    return found;
}

/* Says why, where that can be said between two frames. */
static void break_off(struct pump *p, struct plait_flow *f)
{
    bool told = f->last;

    if (!plait_frame_out_busy(&f->out) && !f->last && !f->hung) {
        begin_error(f, PLAIT_FRAME_CODE_LEAVING, leaving_text);
        told = plait_frame_out_write(&f->out, p->room, &p->pipe) == PLAIT_FRAME_OUT_DONE;
    }
    if (f->state == FLOW_WAITING)
        f->crowd->waiting--;
    if (f->state == FLOW_DRAINING)
        f->crowd->draining--;
    finish(p, f, told && !plait_frame_out_busy(&f->out) && !(f->bare && f->failed), PLAIT_SHARE_BROKEN);
}

static void break_all_off(struct pump *p)
{
    pthread_mutex_lock(&p->inbox_lock);
    p->closed = true;
    pthread_mutex_unlock(&p->inbox_lock);
    take_inbox(p);
    for (;;) {
        while (p->run_first != NULL)
            break_off(p, dequeue(p));
        struct plait_flow *f = any_flow(p);
        if (f == NULL)
            break;
        if (f->state != FLOW_RUN) /* the end of others may have put it into the queue */
            break_off(p, f);
    }
    take_poked(p);
}

static void *run(void *arg)
{
    struct pump *p = arg;

    while (!atomic_load(&p->stopping))
        run_once(p);
    break_all_off(p);
    return NULL;
}

/* The doors for other threads. */

bool pump_take(struct pump *p, struct plait_flow *f)
{
    const union MHD_ConnectionInfo *fd =
        MHD_get_connection_info(f->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    const union MHD_ConnectionInfo *tls =
        MHD_get_connection_info(f->connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);

    pthread_mutex_lock(&p->inbox_lock);
    bool taken = !p->closed && fd != NULL;
    if (taken) {
        plait_frame_out_init(&f->out, fd->connect_fd, tls != NULL ? tls->tls_session : NULL, f->file,
                             p->streams->stall_ms);
        f->out.bare = f->bare;
        MHD_suspend_connection(f->connection);
        f->state = FLOW_RUN;
        f->next = p->inbox;
        p->inbox = f;
    }
    pthread_mutex_unlock(&p->inbox_lock);
    if (taken)
        pump_wake(p);
    return taken;
}

void pump_wake(struct pump *p)
{
    const uint64_t one = 1;

    (void)!write(p->wake, &one, sizeof one);
}

int pump_start(struct pump *p, struct plait_streams *s, unsigned crowds_max)
{
    struct epoll_event e = {.events = EPOLLIN};

    p->streams = s;
    atomic_init(&p->stopping, false);
    pthread_mutex_init(&p->inbox_lock, NULL);
    p->heap_max = crowds_max;
    p->heap = calloc(crowds_max, sizeof(struct crowd *));
    p->room = malloc(PLAIT_FRAME_OUT_ROOM);
    plait_frame_pipe_init(&p->pipe);
    p->epoll = epoll_create1(EPOLL_CLOEXEC);
    p->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->heap == NULL || p->room == NULL)
        return PLAIT_ERR_NOMEM;
    if (p->epoll < 0 || p->wake < 0 || epoll_ctl(p->epoll, EPOLL_CTL_ADD, p->wake, &e) != 0)
        return PLAIT_ERR_IO;
    errno = pthread_create(&p->thread, NULL, run, p);
    p->started = errno == 0;
    return p->started ? PLAIT_OK : PLAIT_ERR_IO;
}

void pump_stop(struct pump *p)
{
    if (!p->started)
        return;
    atomic_store(&p->stopping, true);
    pump_wake(p);
    pthread_join(p->thread, NULL);
    p->started = false;
}

void pump_done(struct pump *p)
{
    if (p->epoll >= 0)
        close(p->epoll);
    if (p->wake >= 0)
        close(p->wake);
    plait_frame_pipe_done(&p->pipe);
    pthread_mutex_destroy(&p->inbox_lock);
    free(p->heap);
    free(p->room);
}
