#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "answer.h"
#include "get_int.h"
#include "units.h"
#include "url.h"

#define REFUSALS_MAX 8

/* ---- requests ---- */

static bool is_secret(const char *header)
{
    static const char *const names[] = {"authorization:", "cookie:", "proxy-authorization:"};

    for (size_t i = 0; i < PLAIT_COUNT(names); i++)
        if (strncasecmp(header, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* Passwords go only to the servers that the user has named. */
static bool is_named_server(const struct plait_get *g, const char *url)
{
    for (size_t i = 0; i < g->opt->url_count; i++)
        if (plait_url_same_origin(url, g->opt->urls[i]))
            return true;
    return false;
}

size_t get_headers_for(const struct plait_get *g, const char *url, const char **out, const char **user)
{
    bool named = (g->opt->user != NULL || g->opt->header_count > 0) && is_named_server(g, url);
    size_t count = 0;

    *user = named ? g->opt->user : NULL;
    for (size_t i = 0; i < g->opt->header_count; i++)
        if (named || !is_secret(g->opt->headers[i]))
            out[count++] = g->opt->headers[i];
    return count;
}

static void note_failure(struct get_lane *l, const char *reason)
{
    struct get_path *path = &l->g->paths[l->path];

    snprintf(path->reason, sizeof path->reason, "%s", reason);
    snprintf(l->g->sources[path->source].reason, sizeof path->reason, "%s", reason);
    get_tell(l->g, PLAIT_GET_EV_ANSWER, l->path, 0, reason);
}

/* ---- what a lane brings ---- */

/* Something has happened within this very event that makes all answers useless; pump() will see to it. */
static bool is_over(const struct plait_get *g)
{
    return g->stage != STAGE_FETCH || g->ending || g->name_found || g->restart != NULL ||
           g->document_found >= 0;
}

static bool on_connected(void *ctx, const struct plait_http_connected *connected)
{
    struct get_lane *l = ctx;
    struct get_path *path = &l->g->paths[l->path];

    snprintf(path->local, sizeof path->local, "%s", connected->local);
    get_tell(l->g, PLAIT_GET_EV_CONNECTED, l->path, connected->rtt_ns, path->local);
    plait_fetch_on_connected(l->g->fetch, l->g->loop.now, l->id, connected->rtt_ns);
    return true;
}

/*
 * Some servers say 403 where they mean that there are too many connections. What a source has given already, or is
 * about to give, shows that it serves us; but it is not believed for ever.
 */
static bool is_crowded(const struct get_lane *l, struct plait_source *source)
{
    const struct plait_get *g = l->g;
    bool others = source->answered;

    for (int i = 0; i < LANES_TOTAL && !others; i++)
        others = g->lanes[i] != NULL && g->lanes[i] != l &&
                 g->paths[g->lanes[i]->path].source == g->paths[l->path].source &&
                 plait_http_lane_is_busy(g->lanes[i]->http);
    return others && ++source->refusals <= REFUSALS_MAX;
}

/* A proxy that was named, or perhaps one of the environment's. */
static bool has_proxy(const struct plait_route *route)
{
    return route->kind == PLAIT_ROUTE_PROXY || getenv("http_proxy") != NULL || getenv("all_proxy") != NULL ||
           getenv("ALL_PROXY") != NULL;
}

/* A proxy that serves nothing but CONNECT is asked for that from now on. */
static bool is_relay(const struct get_lane *l)
{
    struct plait_route *route = &l->g->routes.list[l->g->paths[l->path].route];

    if (l->status != 501 || l->tunnel || !has_proxy(route))
        return false;
    route->tunnel = true;
    return true;
}

/* The answer is of no use. Where it came from an address that a redirect had led to, the source is not to
 * blame yet. */
static bool on_bad_head(struct get_lane *l, const struct plait_answer *answer)
{
    struct plait_source *source = &l->g->sources[l->g->paths[l->path].source];
    enum plait_fetch_outcome outcome = answer->outcome;

    if (is_relay(l)) {
        plait_fetch_on_end(l->g->fetch, l->g->loop.now, l->id, PLAIT_FETCH_END_BROKEN, 0);
        plait_fetch_hurry_path(l->g->fetch, l->g->loop.now, l->path);
        return false;
    }
    note_failure(l, answer->reason);
    if (l->stream) { /* it may still serve ranges: that is for the fetch to find out */
        plait_fetch_on_end(l->g->fetch, l->g->loop.now, l->id, outcome, answer->retry_after_ns);
        return false;
    }
    if (l->status == 403 && is_crowded(l, source))
        outcome = PLAIT_FETCH_END_BUSY;
    else if (outcome == PLAIT_FETCH_END_REFUSED && plait_source_forget_redirect(source, l->asked))
        outcome = PLAIT_FETCH_END_BROKEN;
    plait_fetch_on_end(l->g->fetch, l->g->loop.now, l->id, outcome, answer->retry_after_ns);
    return false;
}

static bool ask_again(struct get_lane *l, const char *why)
{
    note_failure(l, why);
    plait_fetch_on_end(l->g->fetch, l->g->loop.now, l->id, PLAIT_FETCH_END_BROKEN, 0);
    return false;
}

/*
 * A run that goes on with what an earlier one left: is this still the same content? Once one source has said
 * yes, the fetch itself judges the others.
 */
static bool is_as_left(struct plait_get *g, const struct plait_source *s, uint64_t version, uint64_t size)
{
    if (!g->resume_used || g->confirmed)
        return true;
    if (g->resume.journal.header.total == PLAIT_JOURNAL_TOTAL_UNKNOWN) { /* it was still being written */
        if (size == PLAIT_FETCH_UNKNOWN || size >= g->resumed_bytes)
            return true;
        g->restart = "it has become shorter at the source since";
        return false;
    }
    if (size != PLAIT_FETCH_UNKNOWN && size != g->resume.journal.header.total) {
        g->restart = "its size at the source has changed since";
        return false;
    }
    if (s->version != 0 && version != 0 && version != s->version) {
        g->restart = "it has changed at the source since";
        return false;
    }
    g->confirmed = true;
    return true;
}

/* What a head says of the version: for the fetch. False: the request is to be made again. */
static bool learn_version(struct get_lane *l, const struct plait_http_head *http,
                          struct plait_fetch_head *head)
{
    struct plait_source *s = &l->g->sources[l->g->paths[l->path].source];
    bool frames = head->kind == PLAIT_FETCH_HEAD_FRAMES && head->size == PLAIT_FETCH_UNKNOWN;

    if (plait_source_on_live_head(s, l->asked, http, head->live, frames, &head->version, &head->strong))
        return true;
    return head->kind == PLAIT_FETCH_HEAD_UNSATISFIED ||
           plait_source_on_head(s, l->asked, http, head->size, &head->version, &head->strong) !=
               PLAIT_SOURCE_AGAIN;
}

/* What leaves is hashed from the first byte on, in case that a digest is known when the stream is closed. */
static void note_live(struct plait_get *g)
{
    if (g->followed)
        return;
    g->followed = true;
    if (g->sink != NULL && g->sink->in_order && g->digest.alg == PLAIT_DIGEST_NONE)
        (void)plait_sink_pipe_hash(g->sink, PLAIT_DIGEST_SHA256);
}

/* The fetch does not want the answer; where that is the server's fault it may be what the source fails of. */
static void explain_drop(struct get_lane *l, const struct plait_source *s,
                         const struct plait_fetch_head *head)
{
    if (head->kind == PLAIT_FETCH_HEAD_WHOLE && s->served_part)
        note_failure(l, "the server does not serve parts (ranges) any more");
    else if (head->kind == PLAIT_FETCH_HEAD_PARTIAL && head->lo != l->lo)
        note_failure(l, "the server answered with another part (range) than was asked for");
    else if (head->live && !l->g->status.live)
        note_failure(l, "the file is still being written there; waiting until it is closed");
}

static bool on_good_head(struct get_lane *l, const struct plait_http_head *http,
                         struct plait_fetch_head *head)
{
    struct plait_get *g = l->g;
    int source = g->paths[l->path].source;
    struct plait_source *s = &g->sources[source];

    if (!learn_version(l, http, head))
        return ask_again(l, "another server answers behind the same address; asking again");
    if (!is_as_left(g, s, head->version, head->size) || !get_name_output(g, http))
        return false;
    if (s->redirect != NULL && s->origin == PLAIT_SOURCE_USER && !s->director_asked) {
        s->director_asked = true; /* a director sends plain clients to a server, too */
        (void)get_add_director(g, s->url, false);
    }
    l->whole = head->kind == PLAIT_FETCH_HEAD_WHOLE;
    s->refusals = 0;
    if (head->live)
        note_live(g);
    if (plait_fetch_on_head(g->fetch, g->loop.now, l->id, head) != PLAIT_FETCH_READ) {
        explain_drop(l, s, head);
        return false;
    }
    s->served_part |= head->kind == PLAIT_FETCH_HEAD_PARTIAL;
    if (head->kind == PLAIT_FETCH_HEAD_PARTIAL)
        get_doubt_resume(g, l->path);
    if (head->kind != PLAIT_FETCH_HEAD_UNSATISFIED &&
        !s->live) /* of what is not whole they are not to be had */
        get_read_claims(g, l->path, http);
    return true;
}

/* A URL that the user has named may lead to a Metalink document without saying so in its name. */
static bool is_document(const struct get_lane *l, const struct plait_http_head *http)
{
    struct plait_get *g = l->g;
    int source = g->paths[l->path].source;

    if (g->sources[source].origin != PLAIT_SOURCE_USER || !get_is_metalink_type(http))
        return false;
    g->document_found = source;
    return true;
}

static bool on_head(void *ctx, const struct plait_http_head *http)
{
    struct get_lane *l = ctx;
    struct plait_answer answer;

    l->had_head = true;
    l->status = http->status;
    if (is_over(l->g) || is_document(l, http))
        return false;
    plait_answer_read(http, plait_unix_s(), &answer);
    return answer.good ? on_good_head(l, http, &answer.head) : on_bad_head(l, &answer);
}

/* A source without ranges sends on whether there is room or not: then the connection has to wait. */
static bool is_beyond_window(const struct get_lane *l, size_t len)
{
    const struct plait_get *g = l->g;

    return l->whole && g->sink->in_order && l->at + len > g->emitted + g->window_bytes;
}

static enum plait_http_take on_data(void *ctx, const uint8_t *bytes, size_t len)
{
    struct get_lane *l = ctx;
    struct plait_get *g = l->g;
    struct get_path *path = &g->paths[l->path];

    if (is_over(g) || g->sink == NULL)
        return PLAIT_HTTP_DROP;
    if (is_beyond_window(l, len)) {
        l->waits = g->lanes_wait = true;
        return PLAIT_HTTP_LATER;
    }
    l->at += len;
    path->bytes += len;
    path->last_at = g->loop.now;
    if (path->first_at == 0)
        path->first_at = g->loop.now;
    return plait_fetch_recv(g->fetch, g->loop.now, l->id, bytes, len) == PLAIT_FETCH_READ ? PLAIT_HTTP_TAKEN
                                                                                          : PLAIT_HTTP_DROP;
}

static void on_end(void *ctx, const struct plait_http_end *end)
{
    struct get_lane *l = ctx;
    struct plait_get *g = l->g;
    struct plait_source *source = &g->sources[g->paths[l->path].source];
    enum plait_fetch_outcome outcome = plait_answer_of_end(end, l->had_head);
    char reason[PLAIT_HTTP_REASON_MAX];

    if (is_over(g))
        return;
    if (end->fail == PLAIT_HTTP_FAIL_EGRESS)
        snprintf(reason, sizeof reason, "%.64s: %.180s", g->routes.list[g->paths[l->path].route].name,
                 end->reason);
    else
        snprintf(reason, sizeof reason, "%s", end->reason);
    if (outcome != PLAIT_FETCH_END_COMPLETE)
        note_failure(l, reason);
    if ((outcome == PLAIT_FETCH_END_REFUSED || outcome == PLAIT_FETCH_END_UNREACHABLE) && !l->had_head &&
        end->fail != PLAIT_HTTP_FAIL_EGRESS && plait_source_forget_redirect(source, l->asked))
        outcome = PLAIT_FETCH_END_BROKEN;
    plait_fetch_on_end(g->fetch, g->loop.now, l->id, outcome, 0);
}

static const struct plait_http_events lane_events = {on_connected, on_head, on_data, on_end};

/* ---- the fetch's commands ---- */

static struct get_lane *lane_for(struct plait_get *g, int id, int path)
{
    struct get_lane *l = g->lanes[id];
    const struct plait_route *route = &g->routes.list[g->paths[path].route];

    if (l != NULL)
        return l;
    l = calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    l->g = g;
    l->id = id;
    l->path = path;
    l->http = plait_http_lane_new(g->http, &lane_events, l, plait_route_egress(route), route->proxy);
    if (l->http == NULL) {
        free(l);
        return NULL;
    }
    g->lanes[id] = l;
    return l;
}

static int send_request(struct plait_get *g, struct get_lane *l, const struct plait_fetch_cmd *cmd)
{
    const struct plait_source *source = &g->sources[g->paths[cmd->path].source];
    const char *headers[PLAIT_GET_HEADERS_MAX + GET_STREAM_HEADERS_MAX];
    char text[GET_STREAM_TEXT_MAX];
    bool range = !cmd->whole && !cmd->is_stream;
    struct plait_http_request request = {
        .headers = headers,
        .if_range = range ? plait_source_if_range(source) : NULL,
        .lo = range ? cmd->lo : PLAIT_HTTP_NO_RANGE,
        .hi = range && cmd->hi != PLAIT_FETCH_UNKNOWN ? cmd->hi : PLAIT_HTTP_NO_RANGE,
    };

    request.tunnel = l->tunnel = g->routes.list[g->paths[cmd->path].route].tunnel;
    free(l->asked);
    l->asked = strdup(plait_source_address(source));
    l->had_head = l->whole = l->waits = false;
    l->stream = cmd->is_stream;
    l->at = 0;
    l->lo = cmd->lo;
    if (l->asked == NULL)
        return PLAIT_ERR_NOMEM;
    request.url = l->asked;
    request.header_count = get_headers_for(g, l->asked, headers, &request.user);
    if (cmd->is_stream) {
        request.header_count =
            get_stream_headers(g, source, &cmd->stream, true, text, headers, request.header_count);
        if (request.header_count == 0)
            return PLAIT_ERR_LIMIT;
    }
    return plait_http_lane_get(l->http, &request);
}

void get_do_command(struct plait_get *g, const struct plait_fetch_cmd *cmd)
{
    struct get_lane *l;

    if (cmd->kind == PLAIT_FETCH_CLOSE) {
        if (g->lanes[cmd->lane] != NULL)
            plait_http_lane_drop(g->lanes[cmd->lane]->http);
        return;
    }
    if (cmd->kind == PLAIT_FETCH_STEER) {
        get_steer(g, cmd);
        return;
    }
    l = lane_for(g, cmd->lane, cmd->path);
    if (l == NULL || send_request(g, l, cmd) != PLAIT_OK)
        plait_fetch_on_end(g->fetch, g->loop.now, cmd->lane, PLAIT_FETCH_END_UNREACHABLE, 0);
}

void get_drop_lanes(struct plait_get *g)
{
    for (int i = 0; i < LANES_TOTAL; i++)
        if (g->lanes[i] != NULL)
            plait_http_lane_drop(g->lanes[i]->http);
    get_drop_steers(g);
}

void get_free_lanes(struct plait_get *g)
{
    get_free_steers(g);
    for (int i = 0; i < LANES_TOTAL; i++) {
        if (g->lanes[i] == NULL)
            continue;
        plait_http_lane_free(g->lanes[i]->http);
        free(g->lanes[i]->asked);
        free(g->lanes[i]);
        g->lanes[i] = NULL;
    }
}

/* Less than half a window of room is not worth going on for: the next bytes would wait again at once. */
static bool has_room(const struct plait_get *g, const struct get_lane *l)
{
    return l->at + g->window_bytes / 2 <= g->emitted + g->window_bytes;
}

void get_resume_lanes(struct plait_get *g)
{
    if (!g->lanes_wait)
        return;
    g->lanes_wait = false;
    for (int i = 0; i < LANES_TOTAL; i++) {
        struct get_lane *l = g->lanes[i];
        if (l == NULL || !l->waits || !plait_http_lane_is_busy(l->http))
            continue;
        if (!has_room(g, l)) {
            g->lanes_wait = true;
            continue;
        }
        l->waits = false;
        plait_http_lane_resume(l->http);
    }
}

void get_excuse_lanes(struct plait_get *g)
{
    for (int i = 0; i < LANES_TOTAL && g->lanes_wait; i++) {
        struct get_lane *l = g->lanes[i];
        if (l != NULL && l->waits && plait_http_lane_is_busy(l->http))
            (void)plait_fetch_recv(g->fetch, g->loop.now, i, (const uint8_t *)"", 0);
    }
}

void get_look_at_routes(struct plait_get *g)
{
    for (size_t r = 0; r < g->routes.count; r++) {
        struct plait_route *route = &g->routes.list[r];
        if (!plait_route_refresh(route))
            continue;
        get_say(g, PLAIT_GET_WARNING, "%s is %s", route->name,
                route->up ? "there again" : "gone; going on without");
        for (int i = 0; i < LANES_TOTAL && !route->up; i++) {
            struct get_lane *l = g->lanes[i];
            if (l == NULL || g->paths[l->path].route != (int)r || !plait_http_lane_is_busy(l->http))
                continue;
            plait_http_lane_drop(l->http);
            note_failure(l, "the interface or its address is gone");
            plait_fetch_on_end(g->fetch, g->loop.now, i, PLAIT_FETCH_END_UNREACHABLE, 0);
        }
    }
}
