#include "sim_http_int.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "sim_mem.h"
#include "units.h"

#define HEAD_BYTES      320
#define CHUNK_END_BYTES 5
#define PAGE_BYTES      500 /* of an error */
#define TICK_NS         (5 * PLAIT_MS)
#define UNSENT_MAX      65536 /* a limited server does not write ahead of TCP by more */
#define PIECES_FIRST    8
#define PIECE_LEAST     1448             /* nor in pieces smaller than a segment */
#define STALL_NS        (3600 * PLAIT_S) /* then a stalled connection is forgotten: worlds come to rest */
#define KEEP_ALIVE_NS   (75 * PLAIT_S)

static void pump(struct plait_sim_session *s, uint64_t now);

/* ---- faults ---- */

/* Index of the fault that holds, or -1. */
static int fault_of(const struct plait_sim_server *v, enum plait_sim_fault_kind kind)
{
    for (int i = 0; i < PLAIT_SIM_FAULTS_MAX; i++) {
        const struct plait_sim_fault *f = &v->config.fault[i];
        if (f->kind == kind && (f->times == 0 || v->used[i] < f->times))
            return i;
    }
    return -1;
}

static const struct plait_sim_fault *fault(const struct plait_sim_server *v, enum plait_sim_fault_kind kind)
{
    int i = fault_of(v, kind);
    return i < 0 ? NULL : &v->config.fault[i];
}

const struct plait_sim_fault *plait_sim_server_fault(const struct plait_sim_server *v,
                                                     enum plait_sim_fault_kind kind)
{
    return fault(v, kind);
}

/* The same, and counts it. */
static const struct plait_sim_fault *fault_now(struct plait_sim_server *v, enum plait_sim_fault_kind kind)
{
    int i = fault_of(v, kind);
    if (i < 0)
        return NULL;
    v->used[i]++;
    return &v->config.fault[i];
}

static bool within(const struct plait_sim_server *v, enum plait_sim_fault_kind kind, uint64_t now)
{
    for (int i = 0; i < PLAIT_SIM_FAULTS_MAX; i++) {
        const struct plait_sim_fault *f = &v->config.fault[i];
        if (f->kind == kind && f->a <= now && now < f->b)
            return true;
    }
    return false;
}

static bool has_changed(const struct plait_sim_server *v, uint64_t now)
{
    const struct plait_sim_fault *f = fault(v, PLAIT_SIM_FAULT_CHANGE);
    return f != NULL && now >= f->a;
}

uint64_t plait_sim_server_content(const struct plait_sim_server *v, uint64_t now, uint64_t offset,
                                  uint64_t *end)
{
    const struct plait_sim_fault *other = fault(v, PLAIT_SIM_FAULT_OTHER_CONTENT);
    uint64_t content = v->config.content;

    *end = PLAIT_SIM_HTTP_UNKNOWN;
    if (has_changed(v, now))
        content = fault(v, PLAIT_SIM_FAULT_CHANGE)->b;
    if (other != NULL && offset >= other->a)
        content = other->b;
    else if (other != NULL)
        *end = other->a;
    return content;
}

uint64_t plait_sim_server_has_at(const struct plait_sim_server_config *c, uint64_t bytes)
{
    const struct plait_sim_live *v = &c->live;

    if (v->rate <= 0 || bytes <= v->from_bytes)
        return 0;
    uint64_t ns = (uint64_t)((double)(bytes - v->from_bytes) / v->rate * 1e9);
    if (ns > v->pause_ns && v->resume_ns > 0)
        ns += v->resume_ns - v->pause_ns;
    return ns + v->behind_ns;
}

uint64_t plait_sim_server_there(const struct plait_sim_server_config *c, uint64_t now, bool *closed)
{
    const struct plait_sim_live *v = &c->live;
    uint64_t ns = plait_since(now, v->behind_ns), all = plait_sim_server_has_at(c, c->size);

    *closed = v->rate <= 0 || now >= all + v->close_ns;
    if (v->rate <= 0 || now >= all)
        return c->size;
    if (v->resume_ns > 0 && ns > v->pause_ns)
        ns = ns < v->resume_ns ? v->pause_ns : ns - (v->resume_ns - v->pause_ns);
    return plait_min_u64(c->size, v->from_bytes + (uint64_t)(v->rate * plait_to_s(ns)));
}

static uint64_t size_of(const struct plait_sim_server *v, bool *live)
{
    const struct plait_sim_fault *f = fault(v, PLAIT_SIM_FAULT_WRONG_SIZE);
    bool closed;
    uint64_t size = plait_sim_server_there(&v->config, v->tcp->events->now, &closed);

    *live = !closed;
    return f != NULL ? f->a : size;
}

uint64_t plait_sim_server_version(const struct plait_sim_server *v, uint64_t now)
{
    if (fault(v, PLAIT_SIM_FAULT_NO_VERSION) != NULL)
        return 0;
    return has_changed(v, now) ? v->config.version ^ UINT64_C(0xc4a96e) : v->config.version;
}

static uint64_t total_rate(const struct plait_sim_server *v, uint64_t now)
{
    const struct plait_sim_fault *slow = fault(v, PLAIT_SIM_FAULT_SLOW_START);

    if (slow != NULL && now < slow->a)
        return slow->b;
    return v->config.total_rate;
}

static bool is_limited(const struct plait_sim_server *v, uint64_t now)
{
    return v->config.conn_rate > 0 || total_rate(v, now) > 0;
}

/* ---- sessions ---- */

void plait_sim_session_free(struct plait_sim_session *s)
{
    struct plait_sim_server *v = s->server;

    plait_sim_event_unset(v->tcp->events, &s->service);
    plait_sim_event_unset(v->tcp->events, &s->expiry);
    if (s->prev != NULL)
        s->prev->next = s->next;
    else
        v->sessions = s->next;
    if (s->next != NULL)
        s->next->prev = s->prev;
    free(s->piece);
    free(s);
}

void plait_sim_session_free_if_left(struct plait_sim_session *s)
{
    if (!s->client_open && !s->server_open && !s->held)
        plait_sim_session_free(s);
}

static void leave_server(struct plait_sim_session *s)
{
    assert(s->server_open);
    plait_sim_push_leave(s, s->server->tcp->events->now);
    s->server_open = false;
    s->server->open--;
    s->pending = 0;
    plait_sim_event_unset(s->server->tcp->events, &s->service);
    plait_sim_event_unset(s->server->tcp->events, &s->expiry);
    plait_sim_session_free_if_left(s);
}

/* ---- the server's answers ---- */

/* What has arrived goes; what an earlier response left over stays in front, as it does on the line. */
static void make_room(struct plait_sim_session *s)
{
    s->pieces -= s->piece_at;
    if (s->piece_at > 0)
        memmove(s->piece, s->piece + s->piece_at, s->pieces * sizeof(s->piece[0]));
    s->piece_at = 0;
    if (s->pieces < s->piece_room)
        return;
    s->piece_room = s->piece_room > 0 ? 2 * s->piece_room : PIECES_FIRST;
    s->piece = realloc(s->piece, s->piece_room * sizeof(s->piece[0]));
    assert(s->piece != NULL);
}

struct piece *plait_sim_session_add(struct plait_sim_session *s, enum piece_kind kind, uint64_t bytes)
{
    if (s->pieces == s->piece_room)
        make_room(s);
    s->piece[s->pieces] = (struct piece){.kind = kind, .left = bytes};
    return &s->piece[s->pieces++];
}

static void add_piece(struct plait_sim_session *s, enum piece_kind kind, uint64_t bytes,
                      struct plait_sim_span span)
{
    plait_sim_session_add(s, kind, bytes)->span = span;
}

static void add_body(struct plait_sim_session *s, uint64_t now, uint64_t offset, uint64_t len)
{
    while (len > 0) {
        uint64_t end;
        uint64_t content = plait_sim_server_content(s->server, now, offset, &end);
        uint64_t n = plait_min_u64(len, end - offset);
        add_piece(s, PIECE_BODY, n, (struct plait_sim_span){content, offset, n});
        offset += n;
        len -= n;
    }
}

static void answer_small(struct plait_sim_session *s, unsigned status, uint64_t retry_after_s)
{
    s->head = (struct plait_sim_http_head){.status = status,
                                           .length = PAGE_BYTES,
                                           .size = PLAIT_SIM_HTTP_UNKNOWN,
                                           .retry_after_s = retry_after_s};
    add_piece(s, PIECE_BODY, PAGE_BYTES, (struct plait_sim_span){UINT64_MAX, 0, PAGE_BYTES});
}

/* Whether so many others are being served that this one is not. */
static bool is_above(const struct plait_sim_session *s, uint64_t most)
{
    uint64_t others = 0;

    for (const struct plait_sim_session *o = s->server->sessions; o != NULL; o = o->next)
        others += o != s && o->server_open && o->admitted && o->asking;
    return others >= most;
}

/* Answers that do not depend on what is asked. Returns false if there is none. */
static bool answer_fault(struct plait_sim_session *s)
{
    struct plait_sim_server *v = s->server;
    const struct plait_sim_fault *f;

    if ((f = fault(v, PLAIT_SIM_FAULT_BUSY)) != NULL && v->requests <= f->a) {
        answer_small(s, 503, f->b);
    } else if ((f = fault(v, PLAIT_SIM_FAULT_BUSY_ABOVE)) != NULL && is_above(s, f->a)) {
        answer_small(s, 503, f->b);
    } else if ((f = fault(v, PLAIT_SIM_FAULT_CONNS_ABOVE)) != NULL && s->surplus) {
        answer_small(s, 503, f->b);
    } else if ((f = fault(v, PLAIT_SIM_FAULT_STATUS)) != NULL) {
        answer_small(s, (unsigned)f->a, 0);
    } else if ((f = fault(v, PLAIT_SIM_FAULT_PAGE)) != NULL) {
        s->head = (struct plait_sim_http_head){.status = 200, .length = f->a, .size = f->a};
        add_piece(s, PIECE_BODY, f->a, (struct plait_sim_span){f->b, 0, f->a});
    } else {
        return false;
    }
    return true;
}

static void answer_whole(struct plait_sim_session *s, uint64_t now)
{
    struct plait_sim_server *v = s->server;
    bool live;
    uint64_t size = size_of(v, &live);

    s->head = (struct plait_sim_http_head){.live = live,
                                           .status = 200,
                                           .length = size,
                                           .size = size,
                                           .version = plait_sim_server_version(v, now)};
    s->framed = fault(v, PLAIT_SIM_FAULT_NO_LENGTH) != NULL;
    if (s->framed)
        s->head.length = s->head.size = PLAIT_SIM_HTTP_UNKNOWN;
    add_body(s, now, 0, size);
}

static void answer_range(struct plait_sim_session *s, uint64_t now)
{
    struct plait_sim_server *v = s->server;
    const struct plait_sim_fault *shift = fault(v, PLAIT_SIM_FAULT_WRONG_RANGE);
    bool live;
    uint64_t size = size_of(v, &live), lo = s->ask.lo + (shift != NULL ? shift->a : 0);
    uint64_t hi = plait_min_u64(size, s->ask.hi);

    if (lo >= size || lo >= hi) {
        answer_small(s, 416, 0);
        s->head.size = size;
        s->head.live = live;
        return;
    }
    s->head = (struct plait_sim_http_head){
        .status = 206, .length = hi - lo, .lo = lo, .hi = hi, .size = size, .live = live};
    s->head.version = live ? plait_sim_server_version(v, now) ^ size : plait_sim_server_version(v, now);
    add_body(s, now, lo, hi - lo);
}

/* The faults that let a body end other than announced. */
static uint64_t bend_body(struct plait_sim_session *s, uint64_t body)
{
    struct plait_sim_server *v = s->server;
    const struct plait_sim_fault *f;

    s->close_after = fault(v, PLAIT_SIM_FAULT_CLOSE_EACH) != NULL;
    if ((f = fault(v, PLAIT_SIM_FAULT_LONG_BODY)) != NULL) {
        add_piece(s, PIECE_BODY, f->a, (struct plait_sim_span){UINT64_MAX, 0, f->a});
        body += f->a;
    }
    if ((f = fault(v, PLAIT_SIM_FAULT_SHORT_BODY)) != NULL && body > f->a) {
        (void)fault_now(v, PLAIT_SIM_FAULT_SHORT_BODY);
        body -= f->a;
        s->close_after = true;
    }
    return body;
}

static void on_service(void *ctx, uint64_t now)
{
    struct plait_sim_session *s = ctx;
    uint64_t body = 0;

    make_room(s);
    unsigned first = s->pieces + 1;
    s->framed = false;
    s->admitted = false;
    add_piece(s, PIECE_HEAD, HEAD_BYTES, (struct plait_sim_span){0});
    if (s->ask.kind != PLAIT_SIM_ASK_RANGE && fault(s->server, PLAIT_SIM_FAULT_STATUS) == NULL &&
        plait_sim_push_answer(s, now))
        return;
    if (!answer_fault(s)) {
        s->admitted = true;
        bool whole = s->ask.whole || fault(s->server, PLAIT_SIM_FAULT_NO_RANGE) != NULL ||
                     fault(s->server, PLAIT_SIM_FAULT_NO_LENGTH) != NULL;
        if (whole)
            answer_whole(s, now);
        else
            answer_range(s, now);
    }
    for (unsigned i = first; i < s->pieces; i++)
        body += s->piece[i].left;
    s->head.takes_part = s->server->config.takes_part;
    s->pending = bend_body(s, body);
    if (s->framed)
        add_piece(s, PIECE_END, CHUNK_END_BYTES, (struct plait_sim_span){0});
    plait_sim_conn_write(s->conn, PLAIT_SIM_SERVER, now, HEAD_BYTES);
    pump(s, now);
}

void plait_sim_session_rest(struct plait_sim_session *s, uint64_t now)
{
    plait_sim_event_set(s->server->tcp->events, &s->expiry, now + KEEP_ALIVE_NS);
}

/* The body has been given to TCP. */
static void finish_body(struct plait_sim_session *s, uint64_t now)
{
    if (s->framed)
        plait_sim_conn_write(s->conn, PLAIT_SIM_SERVER, now, CHUNK_END_BYTES);
    if (s->close_after)
        plait_sim_conn_finish(s->conn, PLAIT_SIM_SERVER, now);
    plait_sim_event_set(s->server->tcp->events, &s->expiry, now + KEEP_ALIVE_NS);
}

/* The connection has carried all that it ever will. */
void plait_sim_session_stop(struct plait_sim_session *s, uint64_t now)
{
    s->pending = 0;
    if (s->stop_resets) {
        plait_sim_conn_abort(s->conn, PLAIT_SIM_SERVER, now);
        leave_server(s);
    } else if (s->stop_closes) {
        plait_sim_conn_finish(s->conn, PLAIT_SIM_SERVER, now);
    } else {
        plait_sim_event_set(s->server->tcp->events, &s->expiry, now + STALL_NS);
    }
}

/* Gives TCP up to `most` bytes of the body. */
static void give(struct plait_sim_session *s, uint64_t now, uint64_t most)
{
    uint64_t n = plait_min_u64(plait_min_u64(s->pending, most), s->stop_after);

    if (n > 0) {
        s->pending -= n;
        s->body_bytes += n;
        s->server->body_bytes += n;
        if (s->stop_after != PLAIT_SIM_HTTP_UNKNOWN)
            s->stop_after -= n;
        plait_sim_conn_write(s->conn, PLAIT_SIM_SERVER, now, n);
    }
    if (s->pending == 0)
        finish_body(s, now);
    else if (s->stop_after == 0)
        plait_sim_session_stop(s, now);
}

static void pump(struct plait_sim_session *s, uint64_t now)
{
    struct plait_sim_server *v = s->server;

    if (!is_limited(v, now)) {
        give(s, now, PLAIT_SIM_HTTP_UNKNOWN);
    } else if (s->pending == 0) {
        finish_body(s, now);
    } else if (v->tick.place == 0) {
        v->ticked_ns = now;
        plait_sim_event_set(v->tcp->events, &v->tick, now + TICK_NS);
    }
}

/* ---- rates ---- */

static bool may_take(const struct plait_sim_session *s)
{
    const struct plait_sim_flow *f;

    if (!s->server_open || s->pending == 0)
        return false;
    f = plait_sim_conn_flow(s->conn, PLAIT_SIM_SERVER);
    return f->written - f->cut < UNSENT_MAX;
}

/* The credit that a session may spend now: whole segments, or the rest. */
static uint64_t spend(struct plait_sim_session *s, double *credit)
{
    uint64_t have = *credit > 0 ? (uint64_t)*credit : 0;

    if (have < s->pending)
        have -= have % PIECE_LEAST;
    have = plait_min_u64(have, s->pending);
    *credit -= (double)have;
    return have;
}

static void on_tick(void *ctx, uint64_t now)
{
    struct plait_sim_server *v = ctx;
    double s_passed = plait_to_s(now - v->ticked_ns), total = (double)total_rate(v, now) * s_passed;
    double each = v->config.conn_rate > 0 ? (double)v->config.conn_rate * s_passed : total;
    bool all = !is_limited(v, now), more = false;
    struct plait_sim_session *next;
    unsigned takers = 0;

    v->ticked_ns = now;
    for (struct plait_sim_session *s = v->sessions; s != NULL; s = s->next)
        takers += may_take(s);
    if (takers > 0 && total_rate(v, now) > 0 && total / takers < each)
        each = total / takers;
    for (struct plait_sim_session *s = v->sessions; s != NULL; s = next) {
        next = s->next;
        if (!may_take(s)) {
            more |= s->server_open && s->pending > 0;
            continue;
        }
        s->credit += each;
        uint64_t most = all ? PLAIT_SIM_HTTP_UNKNOWN : spend(s, &s->credit);
        more |= s->pending > most;
        if (most > 0)
            give(s, now, most);
    }
    if (more)
        plait_sim_event_set(v->tcp->events, &v->tick, now + TICK_NS);
}

/* ---- the server's end of a connection ---- */

static void on_asked(void *ctx, uint64_t now, uint64_t bytes)
{
    struct plait_sim_session *s = ctx;

    s->ask_bytes += bytes;
    if (s->ask_bytes < PLAIT_SIM_ASK_BYTES)
        return;
    s->ask_bytes -= PLAIT_SIM_ASK_BYTES;
    s->server->requests++;
    plait_sim_event_unset(s->server->tcp->events, &s->expiry);
    plait_sim_event_set(s->server->tcp->events, &s->service, now + s->server->config.service_ns);
}

static void on_server_closed(void *ctx, uint64_t now, enum plait_sim_close why)
{
    struct plait_sim_session *s = ctx;

    if (why == PLAIT_SIM_CLOSE_EOF)
        plait_sim_conn_abort(s->conn, PLAIT_SIM_SERVER, now);
    leave_server(s);
}

static void on_acked(void *ctx, uint64_t now)
{
    plait_sim_push_writable(ctx, now);
}

static const struct plait_sim_tcp_app server_app = {NULL, on_asked, on_server_closed, on_acked};

static void on_expiry(void *ctx, uint64_t now)
{
    struct plait_sim_session *s = ctx;

    plait_sim_conn_abort(s->conn, PLAIT_SIM_SERVER, now);
    leave_server(s);
}

static struct plait_sim_session *session_of(struct plait_sim_server *v, const struct plait_sim_conn *conn)
{
    struct plait_sim_session *s = v->sessions;

    while (s->conn != conn || !s->client_open)
        s = s->next;
    return s;
}

static bool is_surplus(const struct plait_sim_session *s)
{
    const struct plait_sim_fault *f = fault(s->server, PLAIT_SIM_FAULT_CONNS_ABOVE);
    uint64_t others = 0;

    for (const struct plait_sim_session *o = s->server->sessions; f != NULL && o != NULL; o = o->next)
        others += o != s && o->server_open && !o->surplus;
    return f != NULL && others >= f->a;
}

static void limit_session(struct plait_sim_session *s)
{
    const struct plait_sim_fault *f;

    s->stop_after = PLAIT_SIM_HTTP_UNKNOWN;
    if ((f = fault_now(s->server, PLAIT_SIM_FAULT_CLOSE_AFTER)) != NULL) {
        s->stop_after = f->a;
        s->stop_closes = true;
        s->stop_resets = f->b == 1;
    } else if ((f = fault_now(s->server, PLAIT_SIM_FAULT_STALL_AFTER)) != NULL) {
        s->stop_after = f->a;
    }
}

static enum plait_sim_verdict on_accept(void *ctx, uint64_t now, struct plait_sim_conn *conn)
{
    struct plait_sim_server *v = ctx;

    if (within(v, PLAIT_SIM_FAULT_DEAD, now))
        return PLAIT_SIM_IGNORE;
    if (within(v, PLAIT_SIM_FAULT_CRASH, now) || fault(v, PLAIT_SIM_FAULT_REFUSE) != NULL)
        return PLAIT_SIM_REFUSE;
    struct plait_sim_session *s = session_of(v, conn);

    s->server_open = true;
    v->open++;
    plait_sim_event_init(&s->service, on_service, s);
    plait_sim_event_init(&s->expiry, on_expiry, s);
    s->surplus = is_surplus(s);
    limit_session(s);
    plait_sim_conn_own(conn, &server_app, s);
    plait_sim_event_set(v->tcp->events, &s->expiry, now + KEEP_ALIVE_NS);
    return PLAIT_SIM_ACCEPT;
}

static bool is_alive(void *ctx, uint64_t now)
{
    return !within(ctx, PLAIT_SIM_FAULT_DEAD, now);
}

/* ---- deaths and crashes ---- */

static void arm_mishap(struct plait_sim_server *v, uint64_t after)
{
    uint64_t at = PLAIT_NEVER;

    for (int i = 0; i < PLAIT_SIM_FAULTS_MAX; i++) {
        const struct plait_sim_fault *f = &v->config.fault[i];
        if ((f->kind == PLAIT_SIM_FAULT_DEAD || f->kind == PLAIT_SIM_FAULT_CRASH) && f->a >= after)
            at = plait_min_u64(at, f->a);
    }
    plait_sim_event_set(v->tcp->events, &v->mishap, at);
}

static void on_mishap(void *ctx, uint64_t now)
{
    struct plait_sim_server *v = ctx;
    bool silent = within(v, PLAIT_SIM_FAULT_DEAD, now);
    struct plait_sim_session *next;

    for (struct plait_sim_session *s = v->sessions; s != NULL; s = next) {
        next = s->next;
        if (!s->server_open)
            continue;
        if (silent)
            plait_sim_conn_vanish(s->conn, PLAIT_SIM_SERVER);
        else
            plait_sim_conn_abort(s->conn, PLAIT_SIM_SERVER, now);
        leave_server(s);
    }
    plait_sim_push_done(v); /* it has forgotten its group, too */
    arm_mishap(v, now + 1);
}

void plait_sim_server_init(struct plait_sim_server *v, struct plait_sim_tcp *tcp,
                           const struct plait_sim_server_config *config)
{
    *v = (struct plait_sim_server){.config = *config, .tcp = tcp};
    v->listener = (struct plait_sim_listener){on_accept, is_alive, v};
    plait_sim_event_init(&v->tick, on_tick, v);
    plait_sim_event_init(&v->mishap, on_mishap, v);
    plait_sim_push_init(v);
    arm_mishap(v, 0);
}

void plait_sim_server_done(struct plait_sim_server *v)
{
    while (v->sessions != NULL)
        plait_sim_session_free(v->sessions);
    plait_sim_event_unset(v->tcp->events, &v->tick);
    plait_sim_event_unset(v->tcp->events, &v->mishap);
    plait_sim_push_done(v);
}
