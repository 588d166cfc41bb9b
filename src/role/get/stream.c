/*
 * Streams (doc/protocol.md): what their requests say, and steering, which has a small connection of its own to each
 * source, or a few where answers take long.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "get_int.h"

bool get_make_group(struct plait_get *g)
{
    g->has_group = getrandom(g->group, sizeof g->group, 0) == (ssize_t)sizeof g->group;
    return g->has_group;
}

/* ---- fields ---- */

struct lines {
    char *text;
    size_t used, size;
    const char **out;
    size_t count;
    bool bad;
};

/* "name: value", of which the value has been written behind the place of the name. */
static char *begin_line(struct lines *l, const char *name)
{
    int n = snprintf(l->text + l->used, l->size - l->used, "%s: ", name);

    l->bad |= n < 0 || (size_t)n >= l->size - l->used;
    return l->bad ? l->text : l->text + l->used + n;
}

static void end_line(struct lines *l, int err)
{
    l->bad |= err != PLAIT_OK;
    if (l->bad)
        return;
    l->out[l->count++] = l->text + l->used;
    l->used += strlen(l->text + l->used) + 1;
}

static size_t room(const struct lines *l, const char *at)
{
    return l->size - (size_t)(at - l->text);
}

static void add_number(struct lines *l, const char *name, uint64_t number)
{
    char *at = begin_line(l, name);

    end_line(l, l->bad ? PLAIT_ERR_LIMIT : plait_field_number_format(number, at, room(l, at)));
}

static void add_text(struct lines *l, const char *name, const char *value)
{
    char *at = begin_line(l, name);
    int n = l->bad ? -1 : snprintf(at, room(l, at), "%s", value);

    end_line(l, n < 0 || (size_t)n >= room(l, at) ? PLAIT_ERR_LIMIT : PLAIT_OK);
}

static void add_span(struct lines *l, const struct plait_fetch_stream *stream)
{
    struct plait_span span = {stream->first, stream->last};
    char *at = begin_line(l, "Plait-Span");

    end_line(l, l->bad ? PLAIT_ERR_LIMIT : plait_field_span_format(&span, at, room(l, at)));
    if (stream->pattern_len == 0 || l->bad)
        return;
    at = begin_line(l, "Plait-Pattern");
    end_line(l, l->bad ? PLAIT_ERR_LIMIT
                       : plait_field_pattern_format(stream->pattern, stream->pattern_len, at, room(l, at)));
}

static void add_blocks(struct lines *l, const struct plait_fetch_stream *stream)
{
    char *at = begin_line(l, "Plait-Blocks");

    end_line(l, l->bad ? PLAIT_ERR_LIMIT
                       : plait_field_blocks_format(stream->blocks, stream->block_count, at, room(l, at)));
}

size_t get_stream_headers(const struct plait_get *g, const struct plait_source *source,
                          const struct plait_fetch_stream *stream, bool opens, char text[GET_STREAM_TEXT_MAX],
                          const char **out, size_t count)
{
    struct lines l = {.text = text, .size = GET_STREAM_TEXT_MAX, .out = out, .count = count};
    char id[PLAIT_GROUP_ID_DIGITS + 1], letter[2] = {plait_letter(stream->letter), '\0'};
    const char *tag = plait_source_strong_tag(source);

    if (plait_field_stream_format(g->group, id, sizeof id) != PLAIT_OK)
        return 0;
    add_text(&l, "Plait-Stream", id);
    if (opens || stream->block_count > 0)
        add_text(&l, "Plait-Path", letter);
    if (opens)
        add_number(&l, "Plait-Block", stream->block_bytes);
    if (stream->block_count > 0)
        add_blocks(&l, stream);
    else
        add_span(&l, stream);
    if (opens && tag != NULL)
        add_text(&l, "If-Match", tag);
    return l.bad ? 0 : l.count;
}

/* ---- steering ---- */

static enum plait_fetch_steered how_of(int status)
{
    switch (status) {
    case 204:
        return PLAIT_FETCH_STEERED_DONE;
    case 404:
        return PLAIT_FETCH_STEERED_LOST;
    case 408:
    case 429:
        return PLAIT_FETCH_STEERED_BROKEN;
    default:
        return status >= 500 ? PLAIT_FETCH_STEERED_BROKEN : PLAIT_FETCH_STEERED_REFUSED;
    }
}

static bool on_head(void *ctx, const struct plait_http_head *head)
{
    struct get_steer *s = ctx;
    size_t len;
    const char *at = plait_http_head_get(head, PLAIT_HTTP_PLAIT_AT, &len);

    s->answered = true;
    s->how = how_of(head->status);
    if (head->status == 409 && plait_field_at_parse(at, len, &s->at) == PLAIT_OK)
        s->how = PLAIT_FETCH_STEERED_LATE;
    return true;
}

static enum plait_http_take on_data(void *ctx, const uint8_t *bytes, size_t len)
{
    (void)ctx, (void)bytes, (void)len;
    return PLAIT_HTTP_TAKEN; /* words about an error */
}

static void on_end(void *ctx, const struct plait_http_end *end)
{
    struct get_steer *s = ctx;
    enum plait_fetch_steered how = s->answered ? s->how : PLAIT_FETCH_STEERED_BROKEN;

    (void)end;
    if (s->g->fetch != NULL && s->g->stage == STAGE_FETCH)
        plait_fetch_on_steered(s->g->fetch, s->g->loop.now, s->serial, how, s->at);
}

static const struct plait_http_events steer_events = {NULL, on_head, on_data, on_end};

static bool is_busy(const struct get_steer *s)
{
    return s != NULL && s->http != NULL && plait_http_lane_is_busy(s->http);
}

/* Of the source's connections for steering one that stands and waits for nothing, or a new one; where all wait, the one
 * that has done so longest, which the fetch does not wait for any more. */
static struct get_steer **choose_steer(struct get_steer *list[PLAIT_FETCH_STEERS_MAX], int path)
{
    struct get_steer **best = &list[0];

    for (int i = 0; i < PLAIT_FETCH_STEERS_MAX; i++) {
        if (list[i] == NULL)
            return &list[i];
        if (!is_busy(list[i]) && list[i]->path == path)
            return &list[i];
        bool idler = is_busy(*best) && !is_busy(list[i]);
        if (idler || (is_busy(*best) == is_busy(list[i]) && list[i]->asked_ns < (*best)->asked_ns))
            best = &list[i];
    }
    return best;
}

/* The connection for steering the source, over that path. */
static struct get_steer *steer_for(struct plait_get *g, int path)
{
    struct get_steer **place = choose_steer(g->steers[g->paths[path].source], path), *s = *place;
    const struct plait_route *route = &g->routes.list[g->paths[path].route];

    if (s == NULL)
        s = *place = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    if (s->http != NULL && s->path != path) {
        plait_http_lane_free(s->http);
        s->http = NULL;
    }
    s->g = g;
    s->path = path;
    s->asked_ns = g->loop.now;
    if (s->http == NULL)
        s->http = plait_http_lane_new(g->http, &steer_events, s, plait_route_egress(route), route->proxy);
    return s->http != NULL ? s : NULL;
}

static int send_steering(struct plait_get *g, struct get_steer *s, const struct plait_fetch_cmd *cmd)
{
    const struct plait_source *source = &g->sources[g->paths[cmd->path].source];
    const char *headers[PLAIT_GET_HEADERS_MAX + GET_STREAM_HEADERS_MAX];
    char text[GET_STREAM_TEXT_MAX];
    struct plait_http_request request = {.url = plait_source_address(source),
                                         .headers = headers,
                                         .lo = PLAIT_HTTP_NO_RANGE,
                                         .hi = PLAIT_HTTP_NO_RANGE,
                                         .tunnel = g->routes.list[g->paths[cmd->path].route].tunnel,
                                         .post = true};

    request.header_count = get_headers_for(g, request.url, headers, &request.user);
    request.header_count =
        get_stream_headers(g, source, &cmd->stream, false, text, headers, request.header_count);
    return request.header_count == 0 ? PLAIT_ERR_LIMIT : plait_http_lane_get(s->http, &request);
}

void get_steer(struct plait_get *g, const struct plait_fetch_cmd *cmd)
{
    struct get_steer *s = steer_for(g, cmd->path);

    if (s != NULL) {
        if (plait_http_lane_is_busy(s->http)) /* the fetch does not wait for that any more */
            plait_http_lane_drop(s->http);
        s->serial = cmd->serial;
        s->answered = false;
        s->at = 0;
    }
    if (s == NULL || send_steering(g, s, cmd) != PLAIT_OK)
        plait_fetch_on_steered(g->fetch, g->loop.now, cmd->serial, PLAIT_FETCH_STEERED_REFUSED, 0);
}

void get_drop_steers(struct plait_get *g)
{
    for (int i = 0; i < PLAIT_FETCH_SOURCES_MAX * PLAIT_FETCH_STEERS_MAX; i++) {
        struct get_steer *s = g->steers[i / PLAIT_FETCH_STEERS_MAX][i % PLAIT_FETCH_STEERS_MAX];
        if (s != NULL && s->http != NULL)
            plait_http_lane_drop(s->http);
    }
}

void get_free_steers(struct plait_get *g)
{
    for (int i = 0; i < PLAIT_FETCH_SOURCES_MAX * PLAIT_FETCH_STEERS_MAX; i++) {
        struct get_steer **s = &g->steers[i / PLAIT_FETCH_STEERS_MAX][i % PLAIT_FETCH_STEERS_MAX];
        if (*s == NULL)
            continue;
        plait_http_lane_free((*s)->http);
        free(*s);
        *s = NULL;
    }
}
