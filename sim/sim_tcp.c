/*
 * The client's end goes from SYN to OPEN when the answer comes, the server's from NEW to OPEN when it
 * accepts; an end that has aborted, was reset or gave up is GONE. Packets name the connection and its
 * generation, so that what is still on the way when a connection is freed finds nothing.
 */
#include "sim_tcp.h"

#include <assert.h>
#include <stdlib.h>

#include "sim_mem.h"
#include "units.h"

#define HEADER_BYTES 52 /* IPv4 20, TCP 20, timestamps 12 */
#define SYN_BYTES    60
#define SYN_TRIES    6

enum end_state { END_NEW, END_SYN, END_OPEN, END_GONE };

enum { FLAG_SYN = 1, FLAG_ACK = 2, FLAG_DATA = 4, FLAG_FIN = 8, FLAG_RST = 16, FLAG_TO_SERVER = 32 };

struct end {
    const struct plait_sim_tcp_app *app; /* borrows */
    void *ctx;                           /* borrows */
    const struct plait_sim_route *route; /* borrows; of the packets it sends */
    enum end_state state;
    struct plait_sim_event timer;
    uint64_t syn_sent;
    uint32_t syn_tries;
};

struct plait_sim_conn {
    struct plait_sim_tcp *tcp;
    struct plait_sim_conn *next_all, *next_idle;
    const struct plait_sim_listener *listener;
    uint32_t generation;
    bool used;
    struct end end[2];
    struct plait_sim_flow flow[2]; /* by the side that sends the data */
};

/* What a packet carries, within plait_sim_packet.body. */
struct segment {
    struct plait_sim_conn *conn;
    uint32_t generation;
    uint8_t flags;
    uint8_t spare;
    uint16_t len;
    uint32_t id;
    uint32_t ack_next;
    uint32_t ack_log;
    uint32_t spare2;
    uint64_t ack_limit;
};

_Static_assert(sizeof(struct segment) <= PLAIT_SIM_PACKET_BODY, "a segment fits into a packet");

static void deliver(void *ctx, uint64_t now, const struct plait_sim_packet *p);
static void output(struct plait_sim_conn *c, enum plait_sim_side side, uint64_t now);

static enum plait_sim_side other(enum plait_sim_side side)
{
    return side == PLAIT_SIM_CLIENT ? PLAIT_SIM_SERVER : PLAIT_SIM_CLIENT;
}

struct plait_sim_flow_config plait_sim_tcp_defaults(void)
{
    return (struct plait_sim_flow_config){
        .mss = 1448,
        .window = 6 * 1000 * 1000,
        .initial_cw = 10,
        .cc = PLAIT_SIM_CC_CUBIC,
        .hystart = true,
        .rto_min_ns = 200 * PLAIT_MS,
        .ack_delay_ns = 40 * PLAIT_MS,
    };
}

void plait_sim_tcp_init(struct plait_sim_tcp *tcp, struct plait_sim_events *events,
                        const struct plait_sim_flow_config *flow)
{
    *tcp = (struct plait_sim_tcp){.events = events, .flow = *flow};
    tcp->sink = (struct plait_sim_sink){.deliver = deliver, .ctx = tcp};
}

static void stop_end(struct plait_sim_conn *c, enum plait_sim_side side)
{
    c->end[side].state = END_GONE;
    plait_sim_event_unset(c->tcp->events, &c->end[side].timer);
}

static void release(struct plait_sim_conn *c)
{
    for (enum plait_sim_side side = PLAIT_SIM_CLIENT; side <= PLAIT_SIM_SERVER; side++) {
        stop_end(c, side);
        c->tcp->segments_sent += c->flow[side].segments_sent;
        c->tcp->segments_resent += c->flow[side].segments_resent;
        c->tcp->timeouts += c->flow[side].timeouts;
        plait_sim_flow_done(&c->flow[side]);
    }
    c->generation++;
    c->used = false;
    c->next_idle = c->tcp->idle;
    c->tcp->idle = c;
    c->tcp->live--;
}

void plait_sim_tcp_done(struct plait_sim_tcp *tcp)
{
    struct plait_sim_conn *next;

    for (struct plait_sim_conn *c = tcp->all; c != NULL; c = next) {
        next = c->next_all;
        if (c->used)
            release(c);
        free(c);
    }
    *tcp = (struct plait_sim_tcp){0};
}

/* An end that never came to be does not keep the connection. */
static void release_if_done(struct plait_sim_conn *c)
{
    enum end_state server = c->end[PLAIT_SIM_SERVER].state;

    if (c->used && c->end[PLAIT_SIM_CLIENT].state == END_GONE && (server == END_GONE || server == END_NEW))
        release(c);
}

/* ---- packets out ---- */

static void send_packet(struct plait_sim_conn *c, enum plait_sim_side side, uint64_t now, uint32_t bytes,
                        const struct segment *s)
{
    struct plait_sim_packet p = {.route = c->end[side].route, .sink = &c->tcp->sink, .bytes = bytes};
    struct segment *out = (struct segment *)p.body;

    *out = *s;
    out->conn = c;
    out->generation = c->generation;
    if (side == PLAIT_SIM_CLIENT)
        out->flags |= FLAG_TO_SERVER;
    plait_sim_packet_send(&p, now);
}

static void add_ack(struct plait_sim_conn *c, enum plait_sim_side side, struct segment *s)
{
    struct plait_sim_ack ack;

    plait_sim_flow_take_ack(&c->flow[other(side)], &ack);
    s->flags |= FLAG_ACK;
    s->ack_next = ack.next;
    s->ack_log = ack.log;
    s->ack_limit = ack.limit;
}

static void send_control(struct plait_sim_conn *c, enum plait_sim_side side, uint64_t now, uint8_t flags)
{
    struct segment s = {.flags = flags};

    send_packet(c, side, now, flags & FLAG_SYN ? SYN_BYTES : HEADER_BYTES, &s);
}

/* Sets the timer to the earliest of what the end waits for; it may stay set too early, then it does nothing.
 */
static void set_timer(struct plait_sim_conn *c, enum plait_sim_side side)
{
    struct end *e = &c->end[side];
    uint64_t at = plait_min_u64(c->flow[side].deadline, c->flow[other(side)].ack_at);

    at = plait_min_u64(at, c->flow[side].pace_at);
    if (at < plait_sim_event_at(c->tcp->events, &e->timer))
        plait_sim_event_set(c->tcp->events, &e->timer, at);
}

static void output(struct plait_sim_conn *c, enum plait_sim_side side, uint64_t now)
{
    struct plait_sim_segment s;

    if (c->end[side].state != END_OPEN)
        return;
    while (plait_sim_flow_next(&c->flow[side], now, &s)) {
        struct segment out = {.flags = FLAG_DATA, .len = (uint16_t)s.len, .id = s.id};
        if (s.fin)
            out.flags |= FLAG_FIN;
        add_ack(c, side, &out);
        send_packet(c, side, now, s.len + HEADER_BYTES, &out);
    }
    plait_sim_flow_arm(&c->flow[side], now);
    if (c->flow[other(side)].ack_at <= now) {
        struct segment ack = {0};
        add_ack(c, side, &ack);
        send_packet(c, side, now, HEADER_BYTES, &ack);
    }
    set_timer(c, side);
}

/* ---- the ends' lives ---- */

static void close_end(struct plait_sim_conn *c, enum plait_sim_side side, uint64_t now,
                      enum plait_sim_close why)
{
    struct end *e = &c->end[side];
    const struct plait_sim_tcp_app *app = e->app;
    void *ctx = e->ctx;

    stop_end(c, side);
    release_if_done(c);
    if (app != NULL && app->closed != NULL)
        app->closed(ctx, now, why);
}

static void send_syn(struct plait_sim_conn *c, uint64_t now)
{
    struct end *e = &c->end[PLAIT_SIM_CLIENT];

    e->syn_sent = now;
    send_control(c, PLAIT_SIM_CLIENT, now, FLAG_SYN);
    plait_sim_event_set(c->tcp->events, &e->timer, now + (PLAIT_S << e->syn_tries));
    e->syn_tries++;
}

static void on_end_timer(struct plait_sim_conn *c, enum plait_sim_side side, uint64_t now)
{
    struct plait_sim_flow *f = &c->flow[side];

    if (c->end[side].state == END_SYN && c->end[side].syn_tries < SYN_TRIES) {
        send_syn(c, now);
        return;
    }
    if (f->deadline <= now)
        plait_sim_flow_on_deadline(f, now);
    if (f->dead || c->end[side].state == END_SYN)
        close_end(c, side, now, PLAIT_SIM_CLOSE_TIMEOUT);
    else
        output(c, side, now);
}

static void on_client_timer(void *ctx, uint64_t now)
{
    on_end_timer(ctx, PLAIT_SIM_CLIENT, now);
}

static void on_server_timer(void *ctx, uint64_t now)
{
    on_end_timer(ctx, PLAIT_SIM_SERVER, now);
}

static struct plait_sim_conn *take_conn(struct plait_sim_tcp *tcp)
{
    struct plait_sim_conn *c = tcp->idle;

    if (c == NULL) {
        c = plait_sim_mem_new(1, sizeof(*c));
        c->next_all = tcp->all;
        tcp->all = c;
    } else {
        tcp->idle = c->next_idle;
    }
    c->tcp = tcp;
    c->used = true;
    tcp->live++;
    tcp->opened++;
    return c;
}

struct plait_sim_conn *plait_sim_tcp_connect(struct plait_sim_tcp *tcp, uint64_t now,
                                             const struct plait_sim_listener *listener,
                                             const struct plait_sim_route *up,
                                             const struct plait_sim_route *down,
                                             const struct plait_sim_tcp_app *app, void *ctx)
{
    struct plait_sim_conn *c = take_conn(tcp);

    c->listener = listener;
    c->end[PLAIT_SIM_CLIENT] = (struct end){.app = app, .ctx = ctx, .route = up, .state = END_SYN};
    c->end[PLAIT_SIM_SERVER] = (struct end){.route = down, .state = END_NEW};
    plait_sim_event_init(&c->end[PLAIT_SIM_CLIENT].timer, on_client_timer, c);
    plait_sim_event_init(&c->end[PLAIT_SIM_SERVER].timer, on_server_timer, c);
    plait_sim_flow_init(&c->flow[PLAIT_SIM_CLIENT], &tcp->flow);
    plait_sim_flow_init(&c->flow[PLAIT_SIM_SERVER], &tcp->flow);
    send_syn(c, now);
    return c;
}

void plait_sim_conn_own(struct plait_sim_conn *c, const struct plait_sim_tcp_app *app, void *ctx)
{
    c->end[PLAIT_SIM_SERVER].app = app;
    c->end[PLAIT_SIM_SERVER].ctx = ctx;
}

void plait_sim_conn_write(struct plait_sim_conn *c, enum plait_sim_side side, uint64_t now, uint64_t bytes)
{
    assert(c->end[side].state != END_GONE);
    plait_sim_flow_write(&c->flow[side], now, bytes);
    output(c, side, now);
}

void plait_sim_conn_finish(struct plait_sim_conn *c, enum plait_sim_side side, uint64_t now)
{
    assert(c->end[side].state != END_GONE);
    plait_sim_flow_close(&c->flow[side]);
    output(c, side, now);
}

void plait_sim_conn_abort(struct plait_sim_conn *c, enum plait_sim_side side, uint64_t now)
{
    assert(c->used && c->end[side].state != END_GONE);
    if (c->end[other(side)].state != END_GONE)
        send_control(c, side, now, FLAG_RST);
    plait_sim_conn_vanish(c, side);
}

void plait_sim_conn_vanish(struct plait_sim_conn *c, enum plait_sim_side side)
{
    stop_end(c, side);
    release_if_done(c);
}

const struct plait_sim_flow *plait_sim_conn_flow(const struct plait_sim_conn *c, enum plait_sim_side side)
{
    return &c->flow[side];
}

/* ---- packets in ---- */

static void on_syn(struct plait_sim_conn *c, uint64_t now)
{
    struct end *e = &c->end[PLAIT_SIM_SERVER];
    enum plait_sim_verdict verdict = PLAIT_SIM_ACCEPT;

    if (e->state == END_NEW)
        verdict = c->listener->accept(c->listener->ctx, now, c);
    if (verdict == PLAIT_SIM_IGNORE)
        return;
    if (verdict == PLAIT_SIM_REFUSE) {
        send_control(c, PLAIT_SIM_SERVER, now, FLAG_RST);
        stop_end(c, PLAIT_SIM_SERVER);
        release_if_done(c);
        return;
    }
    e->state = END_OPEN;
    e->syn_sent = now;
    send_control(c, PLAIT_SIM_SERVER, now, FLAG_SYN | FLAG_ACK);
}

static void on_syn_ack(struct plait_sim_conn *c, uint64_t now)
{
    struct end *e = &c->end[PLAIT_SIM_CLIENT];
    uint32_t generation = c->generation;

    send_control(c, PLAIT_SIM_CLIENT, now, FLAG_ACK);
    if (e->state != END_SYN)
        return;
    e->state = END_OPEN;
    plait_sim_event_unset(c->tcp->events, &e->timer);
    plait_sim_flow_rtt(&c->flow[PLAIT_SIM_CLIENT], now - e->syn_sent);
    if (e->app->connected != NULL)
        e->app->connected(e->ctx, now);
    if (c->used && c->generation == generation)
        output(c, PLAIT_SIM_CLIENT, now);
}

static void on_rst(struct plait_sim_conn *c, enum plait_sim_side side, uint64_t now)
{
    bool refused = c->end[side].state == END_SYN;

    close_end(c, side, now, refused ? PLAIT_SIM_CLOSE_REFUSED : PLAIT_SIM_CLOSE_RESET);
}

/* The machine does not know the connection (any more). */
static void on_stray(struct plait_sim_conn *c, enum plait_sim_side side, uint64_t now)
{
    bool alive =
        side == PLAIT_SIM_CLIENT || c->listener->alive == NULL || c->listener->alive(c->listener->ctx, now);

    if (alive)
        send_control(c, side, now, FLAG_RST);
}

/* Hands on what is in order. Returns false if the end is no longer there after that. */
static bool take_data(struct plait_sim_conn *c, enum plait_sim_side side, uint64_t now,
                      const struct segment *s)
{
    struct plait_sim_flow *f = &c->flow[other(side)];
    struct plait_sim_segment in = {.id = s->id, .len = s->len, .fin = (s->flags & FLAG_FIN) != 0};
    const struct end *e = &c->end[side];
    uint32_t generation = c->generation;
    bool eof_before = f->eof;
    uint64_t bytes = plait_sim_flow_receive(f, now, &in);

    if (bytes > 0 && e->app->readable != NULL)
        e->app->readable(e->ctx, now, bytes);
    if (c->generation != generation || e->state != END_OPEN)
        return false;
    if (f->eof && !eof_before && e->app->closed != NULL)
        e->app->closed(e->ctx, now, PLAIT_SIM_CLOSE_EOF);
    return c->generation == generation && e->state == END_OPEN;
}

/* Returns false if the end is no longer there after that. */
static bool tell_acked(struct plait_sim_conn *c, enum plait_sim_side side, uint64_t now)
{
    const struct end *e = &c->end[side];
    uint32_t generation = c->generation;

    if (e->app == NULL || e->app->acked == NULL)
        return true;
    e->app->acked(e->ctx, now);
    return c->generation == generation && e->state == END_OPEN;
}

static void on_segment(struct plait_sim_conn *c, enum plait_sim_side side, uint64_t now,
                       const struct segment *s)
{
    struct end *e = &c->end[side];

    if (e->syn_sent > 0 && c->flow[side].srtt == 0)
        plait_sim_flow_rtt(&c->flow[side], now - e->syn_sent);
    if (s->flags & FLAG_ACK) {
        struct plait_sim_ack ack = {.next = s->ack_next, .log = s->ack_log, .limit = s->ack_limit};
        plait_sim_flow_on_ack(&c->flow[side], now, &ack);
    }
    if ((s->flags & FLAG_ACK) && !tell_acked(c, side, now))
        return;
    if ((s->flags & FLAG_DATA) && !take_data(c, side, now, s))
        return;
    output(c, side, now);
}

static void deliver(void *ctx, uint64_t now, const struct plait_sim_packet *p)
{
    struct plait_sim_tcp *tcp = ctx;
    const struct segment *s = (const struct segment *)p->body;
    struct plait_sim_conn *c = s->conn;
    enum plait_sim_side side = s->flags & FLAG_TO_SERVER ? PLAIT_SIM_SERVER : PLAIT_SIM_CLIENT;

    if (!c->used || c->generation != s->generation)
        return;
    plait_sim_events_note(tcp->events, (uint64_t)s->id << 32 | s->ack_next);
    enum end_state state = c->end[side].state;

    if (state == END_GONE) {
        if (!(s->flags & FLAG_RST))
            on_stray(c, side, now);
    } else if (s->flags & FLAG_RST) {
        on_rst(c, side, now);
    } else if (s->flags & FLAG_SYN) {
        if (side == PLAIT_SIM_SERVER)
            on_syn(c, now);
        else
            on_syn_ack(c, now);
    } else if (state == END_OPEN) {
        if (side == PLAIT_SIM_CLIENT || c->listener->alive == NULL ||
            c->listener->alive(c->listener->ctx, now))
            on_segment(c, side, now, s);
    }
}
