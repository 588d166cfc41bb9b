/*
 * Doubts about what an earlier run left. Its blocks are as they were written, and the source says that nothing has
 * changed; but some servers say so of anything. Therefore one block is fetched once more beside the others and compared.
 */
#include <string.h>

#include "answer.h"
#include "file.h"
#include "get_int.h"
#include "units.h"

#define BYTES_MAX   ((uint64_t)(64 * PLAIT_KIB))
#define PATIENCE_NS (5 * PLAIT_S) /* how long the end waits for the answer */

void get_doubt_resume(struct plait_get *g, int path)
{
    if (!g->resume_used || g->doubt.state != DOUBT_NONE)
        return;
    g->doubt.state = DOUBT_DUE;
    g->doubt.path = path;
}

static bool on_doubt_head(void *ctx, const struct plait_http_head *head)
{
    struct plait_get *g = ctx;
    struct plait_answer answer;

    plait_answer_read(head, plait_unix_s(), &answer);
    if (answer.good && answer.head.kind == PLAIT_FETCH_HEAD_PARTIAL && answer.head.lo == g->doubt.at)
        return true;
    g->doubt.state = DOUBT_OVER; /* nothing is learned of the content */
    return false;
}

static enum plait_http_take on_doubt_data(void *ctx, const uint8_t *bytes, size_t len)
{
    struct plait_get *g = ctx;
    uint8_t left[16 * 1024];

    for (size_t n; len > 0 && g->doubt.at < g->doubt.hi; len -= n, bytes += n, g->doubt.at += n) {
        n = (size_t)plait_min_u64(plait_min_u64(len, sizeof left), g->doubt.hi - g->doubt.at);
        if (plait_pread_all(g->sink->fd, left, n, g->doubt.at) == PLAIT_OK && memcmp(left, bytes, n) == 0)
            continue;
        g->doubt.state = DOUBT_OVER;
        g->restart = "its content at the source is another now, though nothing says so";
        return PLAIT_HTTP_DROP;
    }
    return PLAIT_HTTP_TAKEN;
}

static void on_doubt_end(void *ctx, const struct plait_http_end *end)
{
    struct plait_get *g = ctx;

    (void)end;
    g->doubt.state = DOUBT_OVER;
}

static const struct plait_http_events doubt_events = {NULL, on_doubt_head, on_doubt_data, on_doubt_end};

/* The last block that is good: what was fetched last is next to what is fetched now. */
static void choose_block(struct plait_get *g)
{
    const struct plait_journal *j = &g->resume.journal;

    for (size_t i = 0; i < j->block_count; i++)
        if (g->resume.good[i])
            g->doubt.at = j->blocks[i].index * j->header.block_size;
    g->doubt.hi = plait_min_u64(plait_min_u64(g->doubt.at + j->header.block_size, j->header.total),
                                g->doubt.at + BYTES_MAX);
}

void get_ask_doubt(struct plait_get *g)
{
    const char *headers[PLAIT_GET_HEADERS_MAX];
    struct plait_http_request request = {.headers = headers};

    if (g->doubt.state != DOUBT_DUE)
        return;
    const struct get_path *path = &g->paths[g->doubt.path];
    const struct plait_source *source = &g->sources[path->source];
    const struct plait_route *route = &g->routes.list[path->route];
    choose_block(g);
    g->doubt.state = DOUBT_ASKED;
    g->doubt.asked = g->loop.now;
    request.url = plait_source_address(source);
    request.header_count = get_headers_for(g, request.url, headers, &request.user);
    request.if_range = plait_source_if_range(source);
    request.lo = g->doubt.at;
    request.hi = g->doubt.hi;
    g->doubt.lane = plait_http_lane_new(g->http, &doubt_events, g, plait_route_egress(route), route->proxy);
    if (g->doubt.lane == NULL || plait_http_lane_get(g->doubt.lane, &request) != PLAIT_OK)
        g->doubt.state = DOUBT_OVER;
}

bool get_is_doubt_open(const struct plait_get *g)
{
    return (g->doubt.state == DOUBT_DUE || g->doubt.state == DOUBT_ASKED) &&
           g->loop.now - g->doubt.asked < PATIENCE_NS;
}

void get_drop_doubt(struct plait_get *g)
{
    plait_http_lane_free(g->doubt.lane);
    g->doubt = (struct get_doubt){.state = DOUBT_NONE};
}
