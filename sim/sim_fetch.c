/*
 * Everything that happens comes as an event of the world into one of the callbacks below; each reports to the
 * fetch and then calls settle(), which carries out the fetch's commands, moves the pipe on, and sets the
 * fetch's timer. Nothing of the world calls back synchronously, so the fetch is never re-entered.
 */
#include "sim_fetch.h"

#include <stdlib.h>
#include <string.h>

#include "sim_mem.h"
#include "units.h"

#define LANES_TOTAL   (PLAIT_SIM_WAYS_MAX * PLAIT_FETCH_LANES_MAX)
#define READ_BYTES    16384 /* handed to the fetch at once, at most */
#define EMIT_BYTES    65536 /* taken by the consumer at once, at most */
#define BEHIND_BYTES  65536 /* that a pipe keeps of what has left */
#define SPINS_MAX     1000  /* of the fetch's timer in one instant */
#define LIMIT_NS      (1800 * PLAIT_S)
#define DRAIN_NS      (2 * 3600 * PLAIT_S)
#define RETRY_AFTER_S PLAIT_S

enum lane_state { LANE_IDLE, LANE_CONNECTING, LANE_ASKED, LANE_ANSWERED };

struct sim_lane {
    struct run *run;
    struct plait_sim_session *session; /* NULL = no connection */
    enum lane_state state;
    int id, way;
    bool reused;     /* the request goes over a connection that was there before */
    uint32_t serial; /* of the request, so that a loop notices that it is another */
    uint64_t opened_ns;
    struct plait_sim_http_ask ask;
};

/* What steers a server: one of its own connections for that. */
struct sim_steer {
    struct run *run;
    struct plait_sim_session *session; /* NULL = none */
    bool connected, asking;
    int way;
    uint32_t serial;
    unsigned status;
    uint64_t at;
    uint64_t asked_ns;
    struct plait_sim_http_ask ask;
};

struct way_timer {
    struct run *run;
    unsigned way;
    struct plait_sim_event come, go;
};

struct run {
    struct plait_sim_world world;
    struct plait_sim_fetch_config config;
    struct plait_sim_fetch_result *result;
    struct plait_fetch *fetch;
    struct plait_sim_store store;
    struct sim_lane lane[LANES_TOTAL];
    struct sim_steer steer[PLAIT_SIM_SERVERS_MAX][PLAIT_FETCH_STEERS_MAX];
    struct way_timer way[PLAIT_SIM_WAYS_MAX];
    int path_way[PLAIT_SIM_WAYS_MAX], way_path[PLAIT_SIM_WAYS_MAX];
    int server_source[PLAIT_SIM_SERVERS_MAX], source_server[PLAIT_SIM_SERVERS_MAX];
    int paths;
    struct plait_sim_event timer, consumer;
    uint64_t spin_at;
    unsigned spins;
    uint64_t kept, kept_at, prefix;
    bool ended;
    uint8_t buffer[READ_BYTES];
};

static void settle(struct run *r, uint64_t now);

const char *plait_sim_fail_name(enum plait_fetch_fail fail)
{
    static const char *const names[] = {
        [PLAIT_FETCH_FAIL_NONE] = "none",
        [PLAIT_FETCH_FAIL_NO_SOURCE] = "no source",
        [PLAIT_FETCH_FAIL_UNREACHABLE] = "unreachable",
        [PLAIT_FETCH_FAIL_CONFLICT] = "conflict",
        [PLAIT_FETCH_FAIL_SIZES] = "sizes",
        [PLAIT_FETCH_FAIL_CHANGED] = "changed",
        [PLAIT_FETCH_FAIL_TAINTED] = "tainted",
        [PLAIT_FETCH_FAIL_NO_RESUME] = "no resume",
        [PLAIT_FETCH_FAIL_CONTENT] = "content",
        [PLAIT_FETCH_FAIL_STORE] = "store",
        [PLAIT_FETCH_FAIL_NOMEM] = "no memory",
    };
    return (size_t)fail < PLAIT_COUNT(names) && names[fail] != NULL ? names[fail] : "unknown";
}

/* ---- the story ---- */

static void violated(struct run *r, uint64_t now, const char *what)
{
    char *text = r->result->violation;

    if (text[0] == '\0')
        snprintf(text, sizeof(r->result->violation), "%s at %.3f s", what, plait_to_s(now));
}

static void tell(struct run *r, uint64_t now, const char *what, int a, int b, uint64_t bytes)
{
    if (r->config.story != NULL)
        fprintf(r->config.story, "%10.4f  %-12s %3d %3d %12llu\n", plait_to_s(now), what, a, b,
                (unsigned long long)bytes);
}

static void tell_stream(struct run *r, const struct plait_fetch_stream *s)
{
    fprintf(r->config.story, " letter %c", plait_letter(s->letter));
    for (size_t i = 0; i < s->block_count; i++)
        fprintf(r->config.story, " %llu-%llu", (unsigned long long)s->blocks[i].first,
                (unsigned long long)s->blocks[i].last);
    if (s->block_count > 0)
        return;
    fprintf(r->config.story, " blocks %llu-%llu ", (unsigned long long)s->first, (unsigned long long)s->last);
    for (size_t i = 0; i < s->pattern_len; i++)
        fputc(plait_letter(s->pattern[i]), r->config.story);
}

static void tell_command(struct run *r, uint64_t now, const struct plait_fetch_cmd *cmd)
{
    if (r->config.story == NULL || !r->config.commands)
        return;
    fprintf(r->config.story, "%10.4f  %s path %d lane %d", plait_to_s(now),
            cmd->kind == PLAIT_FETCH_OPEN    ? "OPEN "
            : cmd->kind == PLAIT_FETCH_STEER ? "STEER"
                                             : "CLOSE",
            cmd->path, cmd->kind == PLAIT_FETCH_STEER ? (int)cmd->serial : cmd->lane % PLAIT_FETCH_LANES_MAX);
    if (cmd->is_stream || cmd->kind == PLAIT_FETCH_STEER)
        tell_stream(r, &cmd->stream);
    else if (cmd->kind == PLAIT_FETCH_OPEN)
        fprintf(r->config.story, " [%llu, %llu)%s", (unsigned long long)cmd->lo, (unsigned long long)cmd->hi,
                cmd->whole ? " whole" : "");
    fprintf(r->config.story, "\n");
}

/* What the network says of a lane's request. */
static void tell_lane(const struct sim_lane *l, uint64_t now, const char *what, uint64_t a, uint64_t b)
{
    if (l->run->config.story != NULL && l->run->config.commands)
        fprintf(l->run->config.story, "%10.4f      %-9s path %d lane %d  %llu %llu\n", plait_to_s(now), what,
                l->id / PLAIT_FETCH_LANES_MAX, l->id % PLAIT_FETCH_LANES_MAX, (unsigned long long)a,
                (unsigned long long)b);
}

static const char *const state_names[] = {"is new", "is active", "is silent", "waits", "is out"};

static void take_events(struct run *r, uint64_t now)
{
    struct plait_fetch_event e;

    while (plait_fetch_next_event(r->fetch, &e)) {
        plait_sim_events_note(&r->world.events, (uint64_t)e.kind << 56 ^ e.bytes);
        switch (e.kind) {
        case PLAIT_FETCH_EV_SIZE:
            tell(r, now, "size", 0, 0, e.bytes);
            break;
        case PLAIT_FETCH_EV_PATH_STATE:
            tell(r, now, state_names[e.state], e.path, e.source, 0);
            break;
        case PLAIT_FETCH_EV_STEAL:
            r->result->steals++;
            tell(r, now, "steals from", e.path, e.other_path, e.bytes);
            break;
        case PLAIT_FETCH_EV_NO_RANGES:
            tell(r, now, "no ranges", e.source, 0, 0);
            break;
        case PLAIT_FETCH_EV_DIFFERS:
            tell(r, now, "differs", e.source, e.other_source, e.bytes);
            break;
        case PLAIT_FETCH_EV_CONDEMNED:
            r->result->condemned |= 1u << r->source_server[e.source];
            r->result->condemned_bytes += e.bytes;
            tell(r, now, "condemned", e.source, 0, e.bytes);
            break;
        case PLAIT_FETCH_EV_SIZE_DIFFERS:
            tell(r, now, "other size", e.source, 0, e.bytes);
            break;
        case PLAIT_FETCH_EV_CHANGED:
            tell(r, now, "changed", e.source, 0, 0);
            break;
        case PLAIT_FETCH_EV_STREAM:
            tell(r, now, "stream", e.path, e.source, e.bytes);
            break;
        case PLAIT_FETCH_EV_REPATTERN:
            if (r->result->repatterns++ == 0)
                r->result->repattern_ns = now;
            tell(r, now, "repattern", e.source, 0, e.bytes);
            break;
        case PLAIT_FETCH_EV_LIVE:
            tell(r, now, "is live", e.source, 0, 0);
            break;
        case PLAIT_FETCH_EV_LIVE_ENDED:
            tell(r, now, "closed", e.source, 0, e.bytes);
            break;
        case PLAIT_FETCH_EV_NO_STREAM:
            r->result->no_stream |= 1u << r->source_server[e.source];
            tell(r, now, "no stream", e.source, 0, 0);
            break;
        }
    }
}

/* ---- lanes: what the network says ---- */

static void drop_session(struct sim_lane *l, uint64_t now)
{
    if (l->session != NULL)
        plait_sim_http_close(l->session, now);
    if (l->state != LANE_IDLE)
        tell_lane(l, now, "dropped", 0, 0);
    l->session = NULL;
    l->state = LANE_IDLE;
}

static void end_request(struct sim_lane *l, uint64_t now, enum plait_fetch_outcome outcome,
                        uint64_t retry_after_ns)
{
    l->state = LANE_IDLE;
    plait_fetch_on_end(l->run->fetch, now, l->id, outcome, retry_after_ns);
    settle(l->run, now);
}

static void ask(struct sim_lane *l, uint64_t now)
{
    l->state = LANE_ASKED;
    plait_sim_http_ask(l->session, now, &l->ask);
}

static void on_connected(void *ctx, uint64_t now)
{
    struct sim_lane *l = ctx;

    tell_lane(l, now, "connected", 0, 0);
    if (l->state != LANE_CONNECTING) {
        violated(l->run, now, "simulator: connected without a request");
        return;
    }
    ask(l, now);
    plait_fetch_on_connected(l->run->fetch, now, l->id, now - l->opened_ns);
    settle(l->run, now);
}

/* An answer without the stream: what the role makes of its status. */
static void on_refusal(struct sim_lane *l, uint64_t now, const struct plait_sim_http_head *head)
{
    enum plait_fetch_outcome outcome = PLAIT_FETCH_END_BROKEN;

    if (head->status == 503 || head->status == 429)
        outcome = PLAIT_FETCH_END_BUSY;
    else if (head->status >= 400 && head->status < 500)
        outcome = PLAIT_FETCH_END_REFUSED;
    drop_session(l, now);
    end_request(l, now, outcome, head->retry_after_s * RETRY_AFTER_S);
}

static void on_head(void *ctx, uint64_t now, const struct plait_sim_http_head *head)
{
    struct sim_lane *l = ctx;
    struct plait_fetch_head h = {.size = head->size,
                                 .version = head->version,
                                 .strong = head->version != 0,
                                 .takes_part = head->takes_part,
                                 .live = head->live,
                                 .block_bytes = head->block_bytes};

    l->state = LANE_ANSWERED;
    tell_lane(l, now, "head", head->status, head->lo);
    if (head->status == 206) {
        h.kind = PLAIT_FETCH_HEAD_PARTIAL;
        h.lo = head->lo;
        h.hi = head->hi;
    } else if (head->status == 200) {
        h.kind = head->block_bytes > 0 ? PLAIT_FETCH_HEAD_FRAMES : PLAIT_FETCH_HEAD_WHOLE;
    } else if (head->status == 416) {
        h.kind = PLAIT_FETCH_HEAD_UNSATISFIED;
    } else {
        on_refusal(l, now, head);
        return;
    }
    if (plait_fetch_on_head(l->run->fetch, now, l->id, &h) == PLAIT_FETCH_ABORT)
        drop_session(l, now);
    settle(l->run, now);
}

static void on_body(void *ctx, uint64_t now, const struct plait_sim_span *span)
{
    struct sim_lane *l = ctx;
    struct run *r = l->run;
    uint32_t serial = l->serial;

    if (r->config.packets)
        tell_lane(l, now, "body", span->offset, span->offset + span->len);
    for (uint64_t at = 0; at < span->len && l->serial == serial && l->state == LANE_ANSWERED;) {
        size_t n = (size_t)plait_min_u64(span->len - at, READ_BYTES);
        plait_sim_content_fill(span->content, span->offset + at, r->buffer, n);
        if (r->result->way_first_ns[l->way] == 0)
            r->result->way_first_ns[l->way] = now;
        if (l->ask.kind == PLAIT_SIM_ASK_STREAM)
            r->result->stream_bytes += n;
        r->store.arriving = span->content;
        if (plait_fetch_recv(r->fetch, now, l->id, r->buffer, n) == PLAIT_FETCH_ABORT)
            drop_session(l, now);
        at += n;
        settle(r, now);
    }
}

/* A connection that was idle may have died meanwhile: the request is then repeated on a new one, as HTTP
 * clients do. */
static bool repeat_on_new(struct sim_lane *l, uint64_t now, enum plait_sim_http_end end);

static void on_http_end(void *ctx, uint64_t now, enum plait_sim_http_end end, bool open)
{
    struct sim_lane *l = ctx;
    enum lane_state was = l->state;
    enum plait_fetch_outcome outcome = PLAIT_FETCH_END_BROKEN;

    tell_lane(l, now, "end", end, open);
    if (!open)
        l->session = NULL;
    if (was == LANE_IDLE || repeat_on_new(l, now, end))
        return;
    if (end == PLAIT_SIM_HTTP_COMPLETE)
        outcome = PLAIT_FETCH_END_COMPLETE;
    else if (end == PLAIT_SIM_HTTP_REFUSED || was == LANE_CONNECTING)
        outcome = PLAIT_FETCH_END_UNREACHABLE;
    end_request(l, now, outcome, 0);
}

static void on_raw(void *ctx, uint64_t now, const uint8_t *bytes, size_t len)
{
    struct sim_lane *l = ctx;

    if (l->state == LANE_ANSWERED &&
        plait_fetch_recv(l->run->fetch, now, l->id, bytes, len) == PLAIT_FETCH_ABORT)
        drop_session(l, now);
    settle(l->run, now);
}

static const struct plait_sim_http_app http_app = {on_connected, on_head, on_body, on_http_end, on_raw};

/* ---- steering ---- */

static void drop_steer(struct sim_steer *s, uint64_t now)
{
    if (s->session != NULL)
        plait_sim_http_close(s->session, now);
    s->session = NULL;
    s->asking = s->connected = false;
}

static void on_steer_connected(void *ctx, uint64_t now)
{
    struct sim_steer *s = ctx;

    s->connected = true;
    plait_sim_http_ask(s->session, now, &s->ask);
}

static void on_steer_head(void *ctx, uint64_t now, const struct plait_sim_http_head *head)
{
    struct sim_steer *s = ctx;

    (void)now;
    s->status = head->status;
    s->at = head->at;
}

static enum plait_fetch_steered steered_how(unsigned status)
{
    switch (status) {
    case 204:
        return PLAIT_FETCH_STEERED_DONE;
    case 409:
        return PLAIT_FETCH_STEERED_LATE;
    case 404:
        return PLAIT_FETCH_STEERED_LOST;
    default:
        return status == 429 || status >= 500 ? PLAIT_FETCH_STEERED_BROKEN : PLAIT_FETCH_STEERED_REFUSED;
    }
}

static void on_steered(struct sim_steer *s, uint64_t now)
{
    struct run *r = s->run;

    if (r->config.story != NULL && r->config.commands)
        fprintf(r->config.story, "%10.4f      steered %u, status %u, at %llu\n", plait_to_s(now), s->serial,
                s->status, (unsigned long long)s->at);
    r->result->lates += s->status == 409;
    plait_fetch_on_steered(r->fetch, now, s->serial, steered_how(s->status), s->at);
    settle(r, now);
}

static void on_steer_body(void *ctx, uint64_t now, const struct plait_sim_span *span)
{
    (void)ctx, (void)now, (void)span;
}

static void on_steer_end(void *ctx, uint64_t now, enum plait_sim_http_end end, bool open)
{
    struct sim_steer *s = ctx;
    bool asking = s->asking;

    if (!open) {
        s->session = NULL;
        s->connected = false;
    }
    s->asking = false;
    if (asking && end == PLAIT_SIM_HTTP_COMPLETE)
        on_steered(s, now);
    if (!asking || end == PLAIT_SIM_HTTP_COMPLETE)
        return;
    plait_fetch_on_steered(s->run->fetch, now, s->serial, PLAIT_FETCH_STEERED_BROKEN, 0);
    settle(s->run, now);
}

static const struct plait_sim_http_app steer_app = {on_steer_connected, on_steer_head, on_steer_body,
                                                    on_steer_end, NULL};

static void fill_ask(struct plait_sim_http_ask *ask, const struct plait_fetch_stream *stream)
{
    ask->letter = stream->letter;
    ask->block_bytes = stream->block_bytes;
    ask->span = (struct plait_span){stream->first, stream->last};
    ask->pattern.len = (uint16_t)stream->pattern_len;
    if (stream->pattern_len > 0)
        memcpy(ask->pattern.path, stream->pattern, stream->pattern_len);
    ask->block_count = stream->block_count;
    for (size_t i = 0; i < stream->block_count; i++)
        ask->blocks[i] = stream->blocks[i];
}

/* One that stands, or is none yet, and waits for nothing; or the one that waits longest. */
static struct sim_steer *choose_steer(struct sim_steer list[PLAIT_FETCH_STEERS_MAX], int way)
{
    struct sim_steer *best = &list[0];

    for (int i = 0; i < PLAIT_FETCH_STEERS_MAX; i++) {
        struct sim_steer *s = &list[i];
        if (s->session == NULL || (!s->asking && s->way == way))
            return s;
        if ((best->asking && !s->asking) || (best->asking == s->asking && s->asked_ns < best->asked_ns))
            best = s;
    }
    return best;
}

static void steer(struct run *r, uint64_t now, const struct plait_fetch_cmd *cmd)
{
    struct plait_sim_world *w = &r->world;
    int way = r->path_way[cmd->path];
    struct sim_steer *s = choose_steer(r->steer[w->way[way].server - 1], way);

    r->result->steerings++;
    if (s->session != NULL && (s->way != way || s->asking || !s->connected))
        drop_steer(s, now);
    s->run = r;
    s->way = way;
    s->serial = cmd->serial;
    s->asking = true;
    s->asked_ns = now;
    s->ask = (struct plait_sim_http_ask){.kind = PLAIT_SIM_ASK_STEER};
    fill_ask(&s->ask, &cmd->stream);
    if (s->session != NULL)
        plait_sim_http_ask(s->session, now, &s->ask);
    else
        s->session = plait_sim_http_open(&w->server[w->way[way].server - 1], now, &w->route_up[way],
                                         &w->route_down[way], &steer_app, s);
}

/* ---- lanes: what the fetch says ---- */

static void connect_lane(struct sim_lane *l, uint64_t now)
{
    struct plait_sim_world *w = &l->run->world;
    struct plait_sim_server *server = &w->server[w->way[l->way].server - 1];

    l->state = LANE_CONNECTING;
    l->opened_ns = now;
    l->reused = false;
    l->run->result->connections++;
    l->session = plait_sim_http_open(server, now, &w->route_up[l->way], &w->route_down[l->way], &http_app, l);
}

static bool repeat_on_new(struct sim_lane *l, uint64_t now, enum plait_sim_http_end end)
{
    if (l->state != LANE_ASKED || !l->reused || end == PLAIT_SIM_HTTP_COMPLETE)
        return false;
    connect_lane(l, now);
    return true;
}

static void open_lane(struct run *r, uint64_t now, const struct plait_fetch_cmd *cmd)
{
    struct sim_lane *l = &r->lane[cmd->lane];

    if (l->state != LANE_IDLE) {
        violated(r, now, "a request is opened on a lane that has one");
        drop_session(l, now);
    }
    if (!cmd->is_stream &&
        (cmd->hi <= cmd->lo || (r->world.size > 0 && cmd->lo > r->world.size + 16 * PLAIT_MIB)))
        violated(r, now, "an empty or absurd range is asked for");
    l->serial++;
    l->way = r->path_way[cmd->path];
    l->ask = (struct plait_sim_http_ask){.lo = cmd->lo, .hi = cmd->hi, .whole = cmd->whole};
    if (cmd->is_stream) {
        l->ask.kind = PLAIT_SIM_ASK_STREAM;
        fill_ask(&l->ask, &cmd->stream);
    }
    r->result->requests++;
    if (l->session == NULL) {
        connect_lane(l, now);
        return;
    }
    l->reused = true;
    ask(l, now);
}

static void carry_out(struct run *r, uint64_t now, const struct plait_fetch_cmd *cmd)
{
    if (cmd->kind == PLAIT_FETCH_STEER || cmd->is_stream)
        plait_sim_events_note(&r->world.events,
                              cmd->stream.first ^ cmd->stream.last << 20 ^ (uint64_t)cmd->serial << 40);
    else
        plait_sim_events_note(&r->world.events,
                              cmd->lo ^ cmd->hi << 20 ^ (uint64_t)cmd->lane << 50 ^ cmd->kind);
    tell_command(r, now, cmd);
    if (cmd->kind == PLAIT_FETCH_STEER) {
        steer(r, now, cmd);
        return;
    }
    if (cmd->lane < 0 || cmd->lane >= LANES_TOTAL || cmd->path < 0 || cmd->path >= r->paths)
        violated(r, now, "a command names no lane of ours");
    else if (cmd->kind == PLAIT_FETCH_OPEN)
        open_lane(r, now, cmd);
    else
        drop_session(&r->lane[cmd->lane], now);
}

/* ---- the pipe ---- */

static bool is_paused(const struct run *r, uint64_t now)
{
    double now_ms = plait_to_s(now) * 1e3;
    return r->config.pause_from_ms <= now_ms && now_ms < r->config.pause_to_ms;
}

/* The consumer takes what is there, at its pace. */
static void consume(struct run *r, uint64_t now)
{
    struct plait_fetch_status s;

    while (r->consumer.place == 0 && !is_paused(r, now)) {
        plait_fetch_get_status(r->fetch, now, &s);
        uint64_t n = plait_min_u64(plait_since(s.prefix_bytes, r->store.emitted), EMIT_BYTES);
        if (n == 0)
            return;
        if (!plait_sim_store_has(&r->store, r->store.emitted, r->store.emitted + n))
            violated(r, now, "bytes are said to be there that are not kept");
        else if (!plait_sim_store_is(&r->store, r->store.emitted, r->store.emitted + n, PLAIT_SIM_TRUTH))
            violated(r, now, "false bytes go down the pipe");
        r->store.emitted += n;
        plait_fetch_on_emitted(r->fetch, now, r->store.emitted);
        if (r->config.consumer_mbit > 0)
            plait_sim_event_set(&r->world.events, &r->consumer,
                                now + plait_time_to_carry((double)n, r->config.consumer_mbit * 125000));
    }
    if (r->consumer.place == 0)
        plait_sim_event_set(&r->world.events, &r->consumer, (uint64_t)(r->config.pause_to_ms * 1e6));
}

static void on_consumer(void *ctx, uint64_t now)
{
    settle(ctx, now);
}

/* ---- the end ---- */

static void reject(struct run *r, uint64_t now, uint64_t lo, uint64_t hi)
{
    tell(r, now, "rejected", 0, 0, hi - lo);
    plait_fetch_reject_content(r->fetch, now, lo, hi);
}

/* What the owner verifies by digests once everything is there. False if something was not true. */
static bool verify(struct run *r, uint64_t now)
{
    uint64_t size = r->world.size, piece = r->config.piece_bytes;
    bool all = true;

    for (uint64_t lo = 0; piece > 0 && lo < size; lo += piece) {
        uint64_t hi = plait_min_u64(size, lo + piece);
        if (plait_sim_store_is(&r->store, lo, hi, PLAIT_SIM_TRUTH))
            continue;
        reject(r, now, lo, hi);
        all = false;
    }
    if (all && r->config.digest && !plait_sim_store_is(&r->store, 0, size, PLAIT_SIM_TRUTH)) {
        reject(r, now, 0, size);
        all = false;
    }
    return all;
}

static void finish(struct run *r, uint64_t now, const struct plait_fetch_status *s)
{
    struct plait_sim_fetch_result *out = r->result;

    r->ended = true;
    out->time_ns = now;
    out->fail = s->fail;
    out->conflict_source_a = s->conflict_source_a;
    out->conflict_source_b = s->conflict_source_b;
    out->done = s->fail == PLAIT_FETCH_FAIL_NONE;
    if (out->done && !plait_sim_store_is(&r->store, 0, r->world.size, PLAIT_SIM_TRUTH))
        violated(r, now, "it says that it is done, but not all is there and true");
    if (out->done && (s->size != r->world.size || s->kept_bytes != r->world.size))
        violated(r, now, "it says that it is done with another size");
}

/* The time without a new byte comes to its end. */
static void note_gap(struct run *r, uint64_t now)
{
    uint64_t calm = plait_max_u64(r->kept_at, (uint64_t)(r->config.calm_ms * 1e6));

    r->result->stall_ns = plait_max_u64(r->result->stall_ns, now - r->kept_at);
    r->result->resume_ns = plait_max_u64(r->result->resume_ns, plait_since(now, calm));
    r->kept_at = now;
}

/* How long the first byte of those that have come was waited for. */
static void note_late(struct run *r, uint64_t now, const struct plait_fetch_status *s)
{
    uint64_t at = PLAIT_NEVER;

    if (s->prefix_bytes <= r->prefix)
        return;
    for (unsigned i = 0; i < r->world.servers; i++)
        at = plait_min_u64(at, plait_sim_server_has_at(&r->world.server[i].config, r->prefix + 1));
    r->prefix = s->prefix_bytes;
    if (plait_to_s(at) * 1e3 >= r->config.late_from_ms)
        r->result->late_ns = plait_max_u64(r->result->late_ns, plait_since(now, at));
}

static void note_progress(struct run *r, uint64_t now, const struct plait_fetch_status *s)
{
    note_late(r, now, s);
    r->result->dup_bytes = s->dup_bytes;
    r->result->check_bytes = s->check_bytes;
    if (s->kept_bytes == r->kept)
        return;
    r->kept = s->kept_bytes;
    note_gap(r, now);
}

static void look_for_end(struct run *r, uint64_t now)
{
    struct plait_fetch_status s;

    plait_fetch_get_status(r->fetch, now, &s);
    note_progress(r, now, &s);
    bool all = s.done && (r->config.window_bytes == 0 || r->store.emitted == r->world.size);

    if (all && !verify(r, now)) {
        plait_fetch_get_status(r->fetch, now, &s); /* the verdict may have ended it */
        all = false;
    }
    if (all || s.fail != PLAIT_FETCH_FAIL_NONE)
        finish(r, now, &s);
}

static void poll_commands(struct run *r, uint64_t now)
{
    struct plait_fetch_cmd cmd;
    unsigned n = 0;

    while (plait_fetch_poll_send(r->fetch, now, &cmd)) {
        carry_out(r, now, &cmd);
        if (++n == SPINS_MAX) {
            violated(r, now, "commands without end");
            r->ended = true;
            return;
        }
    }
}

static void settle(struct run *r, uint64_t now)
{
    if (r->ended)
        return;
    poll_commands(r, now);
    if (r->config.window_bytes > 0)
        consume(r, now);
    look_for_end(r, now);
    poll_commands(r, now);
    take_events(r, now);
    uint64_t at = plait_fetch_next_deadline(r->fetch);

    if (r->ended)
        at = PLAIT_NEVER;
    if (at != plait_sim_event_at(&r->world.events, &r->timer))
        plait_sim_event_set(&r->world.events, &r->timer, at);
}

/* The fetch and its owner must agree on how many requests are open. */
static void count_requests(struct run *r, uint64_t now)
{
    unsigned ours = 0, theirs = 0;

    for (int i = 0; i < LANES_TOTAL; i++)
        ours += r->lane[i].state != LANE_IDLE;
    for (int i = 0; i < r->paths; i++) {
        struct plait_fetch_path_info info;
        plait_fetch_get_path(r->fetch, now, i, &info);
        theirs += info.lanes_busy;
    }
    if (ours != theirs)
        violated(r, now, "a request was lost: the fetch and its owner count differently");
}

static void on_timer(void *ctx, uint64_t now)
{
    struct run *r = ctx;

    r->spins = r->spin_at == now ? r->spins + 1 : 0;
    r->spin_at = now;
    if (r->spins == SPINS_MAX) {
        violated(r, now, "the deadline does not move on");
        r->ended = true;
        return;
    }
    plait_fetch_on_deadline(r->fetch, now);
    settle(r, now);
    if (!r->ended)
        count_requests(r, now);
}

/* ---- beginning ---- */

static void on_way_comes(void *ctx, uint64_t now)
{
    struct way_timer *t = ctx;
    struct run *r = t->run;
    int path = plait_fetch_add_path(r->fetch, now, r->server_source[r->world.way[t->way].server - 1]);

    if (path != r->paths) {
        violated(r, now, "a path could not be added");
        return;
    }
    r->path_way[r->paths++] = (int)t->way;
    r->way_path[t->way] = path;
    settle(r, now);
}

static void on_way_goes(void *ctx, uint64_t now)
{
    struct way_timer *t = ctx;

    plait_fetch_stop_path(t->run->fetch, now, t->run->way_path[t->way]);
    settle(t->run, now);
}

static void add_ways(struct run *r)
{
    for (unsigned i = 0; i < r->world.ways; i++) {
        struct way_timer *t = &r->way[i];
        t->run = r;
        t->way = i;
        plait_sim_event_init(&t->come, on_way_comes, t);
        plait_sim_event_init(&t->go, on_way_goes, t);
        if (r->config.only_way > 0 && (unsigned)r->config.only_way != i + 1)
            continue;
        plait_sim_event_set(&r->world.events, &t->come, (uint64_t)(r->config.way_from_ms[i] * 1e6));
        if (r->config.way_to_ms[i] > 0)
            plait_sim_event_set(&r->world.events, &t->go, (uint64_t)(r->config.way_to_ms[i] * 1e6));
    }
}

/* Sources in the order of the servers, but only those that a way leads to. */
static void add_sources(struct run *r)
{
    for (unsigned s = 0; s < r->world.servers; s++) {
        bool used = false;
        for (unsigned i = 0; i < r->world.ways; i++)
            used |= r->world.way[i].server == s + 1 &&
                    (r->config.only_way == 0 || (unsigned)r->config.only_way == i + 1);
        if (!used)
            continue;
        int source = plait_fetch_add_source(r->fetch, s + 1);
        r->server_source[s] = source;
        r->source_server[source] = (int)s;
    }
}

static void add_resumes(struct run *r)
{
    for (unsigned i = 0; i < PLAIT_SIM_RESUMES_MAX && r->config.resume[i].hi > 0; i++) {
        int server = r->config.resume[i].server;
        int source = server > 0 ? r->server_source[server - 1] : PLAIT_FETCH_NO_SOURCE;
        uint64_t lo = r->config.resume[i].lo, hi = r->config.resume[i].hi;
        if (plait_fetch_resume(r->fetch, lo, hi, source) != PLAIT_OK)
            violated(r, 0, "what an earlier run kept is not accepted");
        plait_sim_store_keep(&r->store, lo, hi, r->config.resume[i].content);
    }
}

static void begin(struct run *r)
{
    struct plait_fetch_config c = {
        .store = {&r->store, plait_sim_store_write, plait_sim_store_read, plait_sim_store_take_back},
        .size = r->config.size_known ? r->world.size : PLAIT_FETCH_UNKNOWN,
        .window_bytes = r->config.window_bytes,
        .lanes_max = r->config.lanes_max,
        .give_up_ns = r->config.give_up_ms * PLAIT_MS,
        .digest_known = r->config.digest || r->config.piece_bytes > 0,
        .seed = 1,
        .streams = !r->config.ranges_only,
        .redundant = r->config.redundant,
    };
    plait_sim_store_init(&r->store, r->config.window_bytes);
    if (r->world.server[0].config.live.rate > 0)
        r->store.behind = BEHIND_BYTES;
    plait_sim_event_init(&r->timer, on_timer, r);
    plait_sim_event_init(&r->consumer, on_consumer, r);
    for (int i = 0; i < LANES_TOTAL; i++)
        r->lane[i] = (struct sim_lane){.run = r, .id = i};
    r->fetch = plait_fetch_new(&c, 0);
    if (r->fetch == NULL) {
        violated(r, 0, "no fetch");
        r->ended = true;
        return;
    }
    add_sources(r);
    add_resumes(r);
    add_ways(r);
}

/* ---- afterwards ---- */

static void tear_down(struct run *r)
{
    uint64_t now = r->world.events.now;

    for (int i = 0; i < LANES_TOTAL; i++)
        drop_session(&r->lane[i], now);
    for (int i = 0; i < PLAIT_SIM_SERVERS_MAX * PLAIT_FETCH_STEERS_MAX; i++)
        drop_steer(&r->steer[i / PLAIT_FETCH_STEERS_MAX][i % PLAIT_FETCH_STEERS_MAX], now);
    for (unsigned i = 0; i < r->world.ways; i++) {
        plait_sim_event_unset(&r->world.events, &r->way[i].come);
        plait_sim_event_unset(&r->world.events, &r->way[i].go);
    }
    plait_sim_event_unset(&r->world.events, &r->timer);
    plait_sim_event_unset(&r->world.events, &r->consumer);
    if (!plait_sim_world_drain(&r->world, DRAIN_NS))
        violated(r, now, "simulator: connections are left at the end");
}

static void note_result(struct run *r)
{
    struct plait_sim_fetch_result *out = r->result;
    struct plait_sim_fluid fluid;

    plait_sim_world_fluid(&r->world, r->config.only_way - 1, 0, &fluid);
    out->fluid_ns = plait_sim_fluid_time(&fluid, r->world.size, LIMIT_NS);
    out->kept_bytes = r->kept;
    out->reach_max = r->store.reach_max;
    for (unsigned i = 0; i < r->world.lines; i++)
        out->wire_bytes += r->world.down[i].stats.bytes_out;
    out->events = r->world.events.fired;
    plait_sim_events_note(&r->world.events, out->time_ns);
    plait_sim_events_note(&r->world.events, out->dup_bytes << 32 ^ out->check_bytes);
    out->hash = r->world.events.hash;
    if (r->store.violation[0] != '\0')
        violated(r, out->time_ns, r->store.violation);
}

void plait_sim_fetch_run(const struct plait_sim_row *row, const struct plait_sim_fetch_config *config,
                         struct plait_sim_fetch_result *out)
{
    struct run *r = plait_sim_mem_new(1, sizeof(*r));
    uint64_t limit = config->limit_ms > 0 ? config->limit_ms * PLAIT_MS : LIMIT_NS;

    *out = (struct plait_sim_fetch_result){0};
    r->config = *config;
    r->result = out;
    plait_sim_world_init(&r->world, row);
    begin(r);
    while (!r->ended && plait_sim_events_step(&r->world.events, limit))
        ;
    if (!r->ended) {
        out->stopped = true;
        out->time_ns = r->world.events.now;
        note_gap(r, out->time_ns);
    }
    r->ended = true;
    tear_down(r);
    note_result(r);
    plait_fetch_free(r->fetch);
    plait_sim_store_done(&r->store);
    plait_sim_world_done(&r->world);
    free(r);
}
