/*
 * A stream that was followed has a digest only once it is closed, and a server computes it when nothing has changed for
 * two seconds: a file waits for that, and then does without. What has left through a pipe does not get better by waiting.
 */
#include "answer.h"
#include "get_int.h"
#include "units.h"

#define PATIENCE_NS (2500 * PLAIT_MS)
#define AGAIN_NS    (150 * PLAIT_MS)

static bool on_claim_head(void *ctx, const struct plait_http_head *head)
{
    struct plait_get *g = ctx;
    struct plait_source *s = &g->sources[g->paths[g->claim.path].source];
    struct plait_answer answer;

    plait_answer_read(head, plait_unix_s(), &answer);
    if (!answer.good || answer.head.kind != PLAIT_FETCH_HEAD_PARTIAL || answer.head.live ||
        answer.head.size != g->status.size)
        return false;
    s->heard = false;
    get_read_claims(g, g->claim.path, head);
    return true;
}

static enum plait_http_take on_claim_data(void *ctx, const uint8_t *bytes, size_t len)
{
    (void)ctx, (void)bytes, (void)len;
    return PLAIT_HTTP_TAKEN;
}

static void on_claim_end(void *ctx, const struct plait_http_end *end)
{
    struct plait_get *g = ctx;

    (void)end;
    g->claim.asked = false;
    g->claim.again = g->loop.now + AGAIN_NS;
}

static const struct plait_http_events claim_events = {NULL, on_claim_head, on_claim_data, on_claim_end};

/* One that is there, and serves; or −1. */
static int choose_path(const struct plait_get *g)
{
    struct plait_fetch_path_info info;

    for (int i = 0; i < g->path_count; i++) {
        plait_fetch_get_path(g->fetch, g->loop.now, i, &info);
        if (info.state == PLAIT_FETCH_PATH_ACTIVE)
            return i;
    }
    return -1;
}

static bool ask(struct plait_get *g)
{
    const char *headers[PLAIT_GET_HEADERS_MAX];
    struct plait_http_request request = {.headers = headers, .lo = 0, .hi = 1};
    int path = choose_path(g);

    if (path < 0)
        return false;
    const struct plait_route *route = &g->routes.list[g->paths[path].route];
    plait_http_lane_free(g->claim.lane);
    g->claim.path = path;
    g->claim.lane = plait_http_lane_new(g->http, &claim_events, g, plait_route_egress(route), route->proxy);
    request.url = plait_source_address(&g->sources[g->paths[path].source]);
    request.header_count = get_headers_for(g, request.url, headers, &request.user);
    request.tunnel = route->tunnel;
    g->claim.asked = g->claim.lane != NULL && plait_http_lane_get(g->claim.lane, &request) == PLAIT_OK;
    return g->claim.asked;
}

bool get_await_claim(struct plait_get *g)
{
    struct get_claim *c = &g->claim;

    if (!g->followed || g->digest.alg != PLAIT_DIGEST_NONE || g->claims_differ || g->sink->in_order ||
        g->status.size == 0)
        return false;
    if (c->until == 0)
        c->until = g->loop.now + PATIENCE_NS;
    if (g->loop.now >= c->until)
        return false;
    if (!c->asked && g->loop.now >= c->again && !ask(g))
        return false;
    plait_timer_set(&g->deadline, c->asked ? c->until : plait_min_u64(c->until, c->again));
    return true;
}

void get_drop_claim(struct plait_get *g)
{
    plait_http_lane_free(g->claim.lane);
    g->claim.lane = NULL;
    g->claim.asked = false;
}
