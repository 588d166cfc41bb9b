/*
 * Simulated servers that take part in parallel HTTP: the sending end (stream/share.h) as a server drives it, over
 * simulated connections. A server knows one group; its plan is made by the first request for a stream.
 */
#include <stdlib.h>
#include <string.h>

#include "frame.h"
#include "share.h"
#include "sim_http_int.h"
#include "sim_mem.h"
#include "units.h"

#define HEAD_BYTES      320
#define CHUNK_END_BYTES 5
#define MISPLACED       77
/* Unsent bytes, as plait serve bounds them by TCP_NOTSENT_LOWAT. */
#define UNSENT_S        0.02
#define UNSENT_MIN      (8 * PLAIT_KIB)
#define UNSENT_MAX      (2 * PLAIT_MIB)
#define LIVE_NS         (50 * PLAIT_MS) /* between two looks at a file that grows */

static struct plait_sim_session *session_of(struct plait_sim_server *v, int conn)
{
    struct plait_sim_session *s = v->sessions;

    while (s != NULL && (!s->server_open || s->share_conn != conn))
        s = s->next;
    return s;
}

/* ---- frames ---- */

static void write_frame(struct plait_sim_session *s, uint64_t now, const struct plait_frame *frame,
                        uint64_t offset)
{
    struct piece *p = plait_sim_session_add(s, PIECE_RAW, PLAIT_SIM_RAW_BYTES);
    const struct plait_sim_fault *f = plait_sim_server_fault(s->server, PLAIT_SIM_FAULT_STREAM_TYPE);
    uint64_t bytes = PLAIT_SIM_RAW_BYTES;

    if (plait_frame_encode(frame, p->raw) != PLAIT_OK)
        abort();
    if (f != NULL)
        p->raw[0] = (uint8_t)f->a;
    for (uint64_t len = frame->type == PLAIT_FRAME_BLOCK ? frame->length : 0, at = offset, n; len > 0;
         len -= n, at += n) {
        uint64_t end, content = plait_sim_server_content(s->server, now, at, &end);
        if (plait_sim_server_fault(s->server, PLAIT_SIM_FAULT_STREAM_NUMBER) != NULL)
            content = MISPLACED; /* as far as its new place is concerned */
        n = plait_min_u64(len, end - at);
        plait_sim_session_add(s, PIECE_BODY, n)->span = (struct plait_sim_span){content, at, n};
        bytes += n;
    }
    if (bytes > s->stop_after) {
        plait_sim_conn_write(s->conn, PLAIT_SIM_SERVER, now, s->stop_after);
        s->stop_after = 0;
        plait_sim_session_stop(s, now);
        return;
    }
    if (s->stop_after != PLAIT_SIM_HTTP_UNKNOWN)
        s->stop_after -= bytes;
    s->server->body_bytes += bytes;
    plait_sim_conn_write(s->conn, PLAIT_SIM_SERVER, now, bytes);
}

static void write_block(struct plait_sim_session *s, uint64_t now, const struct plait_share_next *next)
{
    const struct plait_sim_server *v = s->server;
    const struct plait_sim_fault *number = plait_sim_server_fault(v, PLAIT_SIM_FAULT_STREAM_NUMBER);
    const struct plait_sim_fault *length = plait_sim_server_fault(v, PLAIT_SIM_FAULT_STREAM_LENGTH);
    const struct plait_sim_fault *skip = plait_sim_server_fault(v, PLAIT_SIM_FAULT_STREAM_SKIP);
    const struct plait_sim_fault *error = plait_sim_server_fault(v, PLAIT_SIM_FAULT_STREAM_ERROR);
    struct plait_frame frame = {PLAIT_FRAME_BLOCK, next->len, next->sequence};

    if (skip != NULL && next->sequence % skip->a == 0) {
        s->skipped += PLAIT_SIM_RAW_BYTES + next->len; /* as far as its own side is concerned it is there */
        return;
    }
    if (number != NULL)
        frame.sequence += number->a;
    uint64_t offset = next->offset + (number != NULL ? number->a * v->share_block : 0);
    if (length != NULL)
        frame.length += (uint32_t)length->a;
    if (error != NULL && next->sequence > error->a)
        frame = (struct plait_frame){PLAIT_FRAME_ERROR, 0, error->b};
    write_frame(s, now, &frame, offset);
}

static void write_end(struct plait_sim_session *s, uint64_t now, uint64_t blocks)
{
    struct plait_frame frame = {PLAIT_FRAME_END, 0, blocks};

    write_frame(s, now, &frame, 0);
    if (!s->server_open)
        return;
    plait_share_close(s->server->share, now, s->share_conn, PLAIT_SHARE_COMPLETE);
    s->share_conn = -1;
    plait_sim_session_add(s, PIECE_END, CHUNK_END_BYTES);
    plait_sim_conn_write(s->conn, PLAIT_SIM_SERVER, now, CHUNK_END_BYTES);
    plait_sim_session_rest(s, now);
}

/* ---- pumping ---- */

static double rate_of(const struct plait_sim_flow *f)
{
    return f->srtt > 0 ? f->cc.cwnd * f->config->mss / plait_to_s(f->srtt) : 0;
}

static bool has_room(const struct plait_sim_flow *f)
{
    uint64_t fit = (uint64_t)(rate_of(f) * UNSENT_S);

    return f->written - f->cut < plait_clamp_u64(fit, UNSENT_MIN, UNSENT_MAX);
}

static void look_at_socket(struct plait_sim_session *s, uint64_t now)
{
    const struct plait_sim_flow *f = plait_sim_conn_flow(s->conn, PLAIT_SIM_SERVER);
    struct plait_share_link link = {
        .unsent_bytes = f->written - f->cut, .rate = rate_of(f), .rtt_ns = f->srtt, .rtt_min_ns = f->min_rtt};

    plait_share_on_link(s->server->share, s->share_conn, &link);
    plait_share_on_acked(s->server->share, now, s->share_conn,
                         s->skipped + plait_since(f->acked, s->stream_from));
}

static void pump(struct plait_sim_session *s, uint64_t now)
{
    const struct plait_sim_flow *f = plait_sim_conn_flow(s->conn, PLAIT_SIM_SERVER);
    struct plait_share_next next;
    bool held = s->held;

    s->held = true;
    while (s->server_open && s->share_conn >= 0 && s->stop_after > 0 && has_room(f)) {
        look_at_socket(s, now);
        plait_share_next(s->server->share, now, s->share_conn, &next);
        struct plait_frame mark = {PLAIT_FRAME_MARK, 0, next.sequence};
        if (next.kind == PLAIT_SHARE_BLOCK)
            write_block(s, now, &next);
        else if (next.kind == PLAIT_SHARE_MARK)
            write_frame(s, now, &mark, 0);
        else if (next.kind == PLAIT_SHARE_END)
            write_end(s, now, next.sequence);
        else
            break;
    }
    s->held = held;
    if (!held)
        plait_sim_session_free_if_left(s);
}

static void pump_all(struct plait_sim_server *v, uint64_t now)
{
    int conn;

    while (v->share != NULL && plait_share_ready(v->share, now, &conn)) {
        struct plait_sim_session *s = session_of(v, conn);
        if (s != NULL)
            pump(s, now);
    }
    uint64_t due = v->share != NULL ? plait_share_next_deadline(v->share) : PLAIT_NEVER;
    if (v->share != NULL)
        due = plait_min_u64(due, plait_max_u64(plait_share_stuck_deadline(v->share), now + PLAIT_MS));
    plait_sim_event_set(v->tcp->events, &v->share_timer, due);
}

void plait_sim_push_writable(struct plait_sim_session *s, uint64_t now)
{
    struct plait_sim_server *v = s->server;

    if (s->share_conn < 0 || !s->server_open)
        return;
    look_at_socket(s, now);
    pump(s, now);
    pump_all(v, now);
}

static void on_share_timer(void *ctx, uint64_t now)
{
    struct plait_sim_server *v = ctx;

    for (struct plait_sim_session *s = v->sessions; s != NULL; s = s->next) {
        if (s->share_conn >= 0 && s->server_open)
            look_at_socket(s, now);
    }
    pump_all(v, now);
}

/* The file is looked at. */
static void on_grow_timer(void *ctx, uint64_t now)
{
    struct plait_sim_server *v = ctx;
    bool closed;
    uint64_t there = plait_sim_server_there(&v->config, now, &closed);

    if (v->share == NULL || (v->open == 0 && !closed))
        return;
    if ((closed ? plait_share_finish(v->share, there) : plait_share_grow(v->share, there)) != PLAIT_OK)
        return;
    if (!closed)
        plait_sim_event_set(v->tcp->events, &v->grow_timer, now + LIVE_NS);
    pump_all(v, now);
}

void plait_sim_push_leave(struct plait_sim_session *s, uint64_t now)
{
    int conn = s->share_conn;

    s->share_conn = -1;
    if (conn < 0 || s->server->share == NULL)
        return;
    plait_share_close(s->server->share, now, conn, PLAIT_SHARE_BROKEN);
    plait_sim_event_set(s->server->tcp->events, &s->server->share_timer, now);
}

/* ---- requests ---- */

static void answer(struct plait_sim_session *s, uint64_t now, struct plait_sim_http_head head)
{
    head.takes_part = true;
    s->head = head;
    plait_sim_conn_write(s->conn, PLAIT_SIM_SERVER, now, HEAD_BYTES);
    if (head.block_bytes == 0)
        plait_sim_session_rest(s, now);
}

static unsigned status_of(int err)
{
    return err == PLAIT_ERR_LIMIT      ? 429
           : err == PLAIT_ERR_RANGE    ? 416
           : err == PLAIT_ERR_NOTFOUND ? 404
                                       : 400;
}

static void open_stream(struct plait_sim_session *s, uint64_t now)
{
    struct plait_sim_server *v = s->server;
    const struct plait_sim_http_ask *a = &s->ask;
    const struct plait_sim_fault *refuse = plait_sim_server_fault(v, PLAIT_SIM_FAULT_STREAM_STATUS);
    bool all = plait_sim_server_fault(v, PLAIT_SIM_FAULT_STREAM_ALL) != NULL;
    bool closed;
    uint64_t there = plait_sim_server_there(&v->config, now, &closed);
    struct plait_share_config config = {.block_bytes = a->block_bytes, .size = there, .live = !closed};
    struct plait_share_request r = {.letter = a->letter,
                                    .span = a->span,
                                    .pattern = a->pattern.len > 0 && !all ? &a->pattern : NULL,
                                    .blocks = a->blocks,
                                    .count = a->block_count};

    if (v->share == NULL && refuse == NULL) {
        v->share = plait_share_new(&config, now);
        v->share_block = a->block_bytes;
    }
    if (config.live && v->grow_timer.place == 0)
        plait_sim_event_set(v->tcp->events, &v->grow_timer, now);
    int conn = refuse != NULL                     ? -1
               : v->share_block != a->block_bytes ? PLAIT_ERR_ARG
                                                  : plait_share_open(v->share, now, &r);
    if (conn < 0) {
        answer(
            s, now,
            (struct plait_sim_http_head){.status = refuse != NULL ? (unsigned)refuse->a : status_of(conn)});
        return;
    }
    s->share_conn = conn;
    s->admitted = true;
    answer(s, now,
           (struct plait_sim_http_head){.status = 200,
                                        .length = PLAIT_SIM_HTTP_UNKNOWN,
                                        .size = closed ? there : PLAIT_SIM_HTTP_UNKNOWN,
                                        .version = plait_sim_server_version(v, now),
                                        .block_bytes = a->block_bytes});
    s->stream_from = plait_sim_conn_flow(s->conn, PLAIT_SIM_SERVER)->written;
    pump(s, now);
}

/* Does as it is told; what is to be answered. */
static struct plait_sim_http_head obey(struct plait_sim_session *s, uint64_t now)
{
    struct plait_sim_server *v = s->server;
    const struct plait_sim_http_ask *a = &s->ask;
    const struct plait_sim_fault *status = plait_sim_server_fault(v, PLAIT_SIM_FAULT_STEER_STATUS);
    const struct plait_sim_fault *late = plait_sim_server_fault(v, PLAIT_SIM_FAULT_STEER_LATE);
    struct plait_sim_http_head head = {.status = 204};
    int err = PLAIT_ERR_NOTFOUND;

    if (status != NULL && (status->b == 0 || now < status->b)) {
        head.status = (unsigned)status->a;
        return head;
    }
    if (late != NULL && a->block_count == 0) {
        head.status = 409;
        head.at = a->span.first + late->a;
        return head;
    }
    if (v->share != NULL)
        err = a->block_count > 0 ? plait_share_ask(v->share, now, a->letter, a->blocks, a->block_count)
                                 : plait_share_steer(v->share, now, a->span,
                                                     a->pattern.len > 0 ? &a->pattern : NULL, &head.at);
    if (err != PLAIT_OK)
        head.status = err == PLAIT_ERR_STATE ? 409 : status_of(err);
    return head;
}

/* The fault of that kind, where it is this request's turn. */
static const struct plait_sim_fault *chance(struct plait_sim_server *v, enum plait_sim_fault_kind kind)
{
    const struct plait_sim_fault *f = plait_sim_server_fault(v, kind);

    return f != NULL && plait_prng_below(&v->chance, f->b) == 0 ? f : NULL;
}

static struct plait_sim_http_head wild_head(struct plait_sim_server *v, uint64_t bits)
{
    static const unsigned statuses[] = {409, 409, 409, 204, 404, 416, 429, 500, 503, 400, 200, 302};
    uint64_t below = UINT64_C(1) << plait_prng_below(&v->chance, bits);

    return (struct plait_sim_http_head){.status =
                                            statuses[plait_prng_below(&v->chance, PLAIT_COUNT(statuses))],
                                        .at = plait_prng_below(&v->chance, below + 1)};
}

/* The answer is put off. */
static void put_off(struct plait_sim_session *s, uint64_t now, uint64_t most_ns)
{
    s->steered = true;
    plait_sim_event_set(s->server->tcp->events, &s->service,
                        now + plait_prng_below(&s->server->chance, most_ns));
}

static void steer(struct plait_sim_session *s, uint64_t now)
{
    struct plait_sim_server *v = s->server;
    const struct plait_sim_fault *f;

    if (s->steered) {
        s->steered = false;
        answer(s, now, s->steered_head.status != 0 ? s->steered_head : obey(s, now));
        return;
    }
    s->steered_head.status = 0;
    if ((f = plait_sim_server_fault(v, PLAIT_SIM_FAULT_STEER_DEAF)) != NULL && f->a <= now && now < f->b) {
        plait_sim_session_rest(s, now);
    } else if ((f = chance(v, PLAIT_SIM_FAULT_STEER_MUTE)) != NULL) {
        if (f->a == 1)
            (void)obey(s, now);
        plait_sim_session_rest(s, now);
    } else if ((f = chance(v, PLAIT_SIM_FAULT_STEER_RESET)) != NULL) {
        if (f->a == 1)
            (void)obey(s, now);
        s->stop_resets = true;
        plait_sim_session_stop(s, now);
    } else if (chance(v, PLAIT_SIM_FAULT_STEER_IDLE) != NULL) {
        answer(s, now, (struct plait_sim_http_head){.status = 204});
    } else if ((f = chance(v, PLAIT_SIM_FAULT_STEER_WILD)) != NULL) {
        answer(s, now, wild_head(v, f->a));
    } else if ((f = chance(v, PLAIT_SIM_FAULT_STEER_DELAY)) != NULL) {
        put_off(s, now, f->a);
    } else if ((f = chance(v, PLAIT_SIM_FAULT_STEER_SLOW)) != NULL) {
        s->steered_head = obey(s, now);
        put_off(s, now, f->a);
    } else {
        answer(s, now, obey(s, now));
    }
}

bool plait_sim_push_answer(struct plait_sim_session *s, uint64_t now)
{
    struct plait_sim_server *v = s->server;

    if (!v->config.takes_part)
        return false;
    if (s->ask.kind == PLAIT_SIM_ASK_STREAM)
        open_stream(s, now);
    else
        steer(s, now);
    pump_all(v, now);
    return true;
}

/* ---- beginning and end ---- */

void plait_sim_push_init(struct plait_sim_server *v)
{
    plait_sim_event_init(&v->share_timer, on_share_timer, v);
    plait_sim_event_init(&v->grow_timer, on_grow_timer, v);
}

void plait_sim_push_done(struct plait_sim_server *v)
{
    plait_sim_event_unset(v->tcp->events, &v->share_timer);
    plait_sim_event_unset(v->tcp->events, &v->grow_timer);
    plait_share_free(v->share);
    v->share = NULL;
}
