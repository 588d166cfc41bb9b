#include "sim_http_int.h"

#include <assert.h>
#include <string.h>

#include "sim_mem.h"
#include "units.h"

static void leave_client(struct plait_sim_session *s)
{
    assert(s->client_open);
    s->client_open = false;
    s->server->clients--;
    plait_sim_session_free_if_left(s);
}

/* The connection is of no more use to the client. The callback comes last. */
static void lose(struct plait_sim_session *s, uint64_t now, enum plait_sim_http_end why, bool abort)
{
    const struct plait_sim_http_app *app = s->app;
    void *ctx = s->ctx;

    if (abort)
        plait_sim_conn_abort(s->conn, PLAIT_SIM_CLIENT, now);
    leave_client(s);
    app->end(ctx, now, why, false);
}

static void on_client_connected(void *ctx, uint64_t now)
{
    struct plait_sim_session *s = ctx;
    s->app->connected(s->ctx, now);
}

static void on_client_closed(void *ctx, uint64_t now, enum plait_sim_close why)
{
    struct plait_sim_session *s = ctx;
    enum plait_sim_http_end end = s->asking ? PLAIT_SIM_HTTP_BROKEN : PLAIT_SIM_HTTP_CLOSED;

    if (why == PLAIT_SIM_CLOSE_REFUSED)
        end = PLAIT_SIM_HTTP_REFUSED;
    else if (why == PLAIT_SIM_CLOSE_TIMEOUT)
        end = PLAIT_SIM_HTTP_TIMEOUT;
    lose(s, now, end, why == PLAIT_SIM_CLOSE_EOF);
}

static void take_head(struct plait_sim_session *s, uint64_t now)
{
    struct plait_sim_http_head head = s->head;

    plait_sim_events_note(s->server->tcp->events, head.lo << 10 | head.status);
    s->head_seen = true;
    s->body_left = head.length;
    s->app->head(s->ctx, now, &head);
}

static void take_body(struct plait_sim_session *s, uint64_t now, const struct plait_sim_span *span)
{
    if (s->body_left != PLAIT_SIM_HTTP_UNKNOWN)
        s->body_left -= plait_min_u64(span->len, s->body_left);
    s->app->body(s->ctx, now, span);
}

/* The response is there. A connection that says more than it announced is not used again. */
static void complete(struct plait_sim_session *s, uint64_t now, bool more)
{
    s->asking = false;
    if (more)
        lose(s, now, PLAIT_SIM_HTTP_COMPLETE, true);
    else
        s->app->end(s->ctx, now, PLAIT_SIM_HTTP_COMPLETE, true);
}

/* `part` of a piece arrived; `whole`: its last. */
static void take(struct plait_sim_session *s, uint64_t now, enum piece_kind kind,
                 const struct plait_sim_span *part, const uint8_t *raw, bool whole)
{
    if (!s->asking || s->head_seen == (kind == PIECE_HEAD))
        lose(s, now, s->asking ? PLAIT_SIM_HTTP_BROKEN : PLAIT_SIM_HTTP_CLOSED, true);
    else if (kind == PIECE_HEAD && whole)
        take_head(s, now);
    else if (kind == PIECE_BODY)
        take_body(s, now, part);
    else if (kind == PIECE_RAW && s->app->raw != NULL)
        s->app->raw(s->ctx, now, raw, (size_t)part->len);
    else if (kind == PIECE_END && whole)
        s->body_left = 0;
}

static void on_client_data(void *ctx, uint64_t now, uint64_t bytes)
{
    struct plait_sim_session *s = ctx;

    s->held = true;
    while (bytes > 0 && s->client_open) {
        struct piece *p = &s->piece[s->piece_at];
        uint64_t n = plait_min_u64(p->left, bytes);
        struct plait_sim_span part = {p->span.content, p->span.offset, n};
        uint8_t raw[PLAIT_SIM_RAW_BYTES];
        if (p->kind == PIECE_RAW)
            memcpy(raw, p->raw + (PLAIT_SIM_RAW_BYTES - p->left), n);
        bytes -= n;
        p->left -= n;
        p->span.offset += n;
        s->piece_at += p->left == 0;
        take(s, now, p->kind, &part, raw, p->left == 0);
        if (s->client_open && s->asking && s->head_seen && s->body_left == 0)
            complete(s, now, bytes > 0);
    }
    s->held = false;
    plait_sim_session_free_if_left(s);
}

static const struct plait_sim_tcp_app client_app = {on_client_connected, on_client_data, on_client_closed};

struct plait_sim_session *plait_sim_http_open(struct plait_sim_server *v, uint64_t now,
                                              const struct plait_sim_route *up,
                                              const struct plait_sim_route *down,
                                              const struct plait_sim_http_app *app, void *ctx)
{
    struct plait_sim_session *s = plait_sim_mem_new(1, sizeof(*s));

    *s = (struct plait_sim_session){
        .server = v, .client_open = true, .app = app, .ctx = ctx, .next = v->sessions, .share_conn = -1};
    if (v->sessions != NULL)
        v->sessions->prev = s;
    v->sessions = s;
    v->clients++;
    s->conn = plait_sim_tcp_connect(v->tcp, now, &v->listener, up, down, &client_app, s);
    return s;
}

void plait_sim_http_ask(struct plait_sim_session *s, uint64_t now, const struct plait_sim_http_ask *ask)
{
    assert(s->client_open && !s->asking);
    s->ask = *ask;
    s->asking = true;
    s->head_seen = false;
    plait_sim_events_note(s->server->tcp->events, ask->lo);
    plait_sim_conn_write(s->conn, PLAIT_SIM_CLIENT, now, PLAIT_SIM_ASK_BYTES);
}

void plait_sim_http_close(struct plait_sim_session *s, uint64_t now)
{
    plait_sim_conn_abort(s->conn, PLAIT_SIM_CLIENT, now);
    leave_client(s);
}
