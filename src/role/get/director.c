/*
 * Directors (doc/director.md): who holds the stream, at first and as it changes. `plait://HOST/NAME` names one; a URL
 * of http that redirects elsewhere is asked whether it is one.
 *
 * One request for events tells both the snapshot and what comes later. When it ends, the next director is asked, or
 * the same one again after a while; a transfer goes on meanwhile with the sources that it has.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "get_int.h"
#include "holders.h"
#include "units.h"
#include "url.h"

#define AGAIN_NS_MIN (1 * PLAIT_S)
#define AGAIN_NS_MAX (30 * PLAIT_S)
#define PATIENCE_NS  (15 * PLAIT_S) /* for the first snapshot */

static const char scheme[] = "plait://";

bool get_is_director_url(const char *url)
{
    return strncmp(url, scheme, sizeof scheme - 1) == 0;
}

static bool has_name(const char *url)
{
    const char *slash = strchr(url + sizeof scheme - 1, '/');

    return slash != NULL && slash[1] != '\0';
}

int get_add_director(struct plait_get *g, const char *url, bool certain)
{
    char *http = NULL;
    struct get_director *d = &g->directors[g->director_count];

    if (g->director_count == GET_DIRECTORS_MAX)
        return PLAIT_ERR_LIMIT;
    if (!get_is_director_url(url))
        http = strdup(url);
    else if (!has_name(url))
        return PLAIT_ERR_FORMAT;
    else if (asprintf(&http, "http://%s", url + sizeof scheme - 1) < 0)
        http = NULL;
    if (http == NULL)
        return PLAIT_ERR_NOMEM;
    if (strlen(http) > PLAIT_HOLDERS_URL_MAX || !plait_url_is_http(http)) {
        free(http);
        return PLAIT_ERR_FORMAT;
    }
    *d = (struct get_director){.url = http, .shown = plait_url_public(http), .certain = certain};
    if (d->shown == NULL) {
        free(http);
        return PLAIT_ERR_NOMEM;
    }
    g->director_count++;
    return PLAIT_OK;
}

bool get_directors_pending(const struct plait_get *g)
{
    if (g->director_heard || g->directors_failed)
        return false;
    for (size_t i = 0; i < g->director_count; i++)
        if (g->directors[i].certain)
            return true;
    return false;
}

/* ---- what is told ---- */

static void use_size_and_digest(struct plait_get *g, const struct get_director *d,
                                const struct plait_holders *l)
{
    char teller[PLAIT_HTTP_REASON_MAX];

    if (l->digest.alg != PLAIT_DIGEST_NONE) {
        snprintf(teller, sizeof teller, "%.200s states", d->shown);
        get_know_digest(g, &l->digest, DIGEST_DOCUMENT, teller);
    }
    if (l->has_size && g->fetch == NULL && g->known_size == PLAIT_FETCH_UNKNOWN)
        g->known_size = l->size;
}

static void propose_name(struct plait_get *g, const struct get_director *d)
{
    char name[PLAIT_NAME_MAX + 1];

    if (g->proposed_name == NULL && plait_url_name(d->url, strlen(d->url), name, sizeof name) == PLAIT_OK)
        g->proposed_name = strdup(name);
}

static void add_relay(struct plait_get *g, const struct plait_holders_relay *relay)
{
    struct get_reach *r = calloc(1, sizeof *r); /* first: a route without it would lead everywhere */
    size_t before = g->routes.count;
    char why[PLAIT_ROUTE_ERROR_MAX];

    if (r == NULL || !plait_url_is_http(relay->url) ||
        plait_routes_add(&g->routes, relay->url, why) != PLAIT_OK || g->routes.count == before) {
        free(r);
        return;
    }
    for (size_t k = 0; k < relay->reach_count; k++)
        r->texts[r->count++] = strdup(relay->reaches[k]);
    g->reaches[before] = r;
    g->routes.list[before].tunnel = true;
}

/* Relays are ways to what they reach, where the user has named none. */
static void add_relays(struct plait_get *g, const struct plait_holders *l)
{
    for (size_t i = 0; i < l->relay_count && g->opt->route_count == 0 && g->fetch == NULL; i++)
        add_relay(g, &l->relays[i]);
}

bool get_route_reaches(const struct plait_get *g, size_t route, int source)
{
    const struct get_reach *r = g->reaches[route];
    char *host = r != NULL ? plait_url_host(g->sources[source].url) : NULL;
    int port = r != NULL ? plait_url_port(g->sources[source].url) : -1;
    bool reaches = r == NULL;

    for (size_t i = 0; r != NULL && host != NULL && port > 0 && i < r->count; i++)
        reaches |= r->texts[i] != NULL && plait_holders_reaches(r->texts[i], host, (unsigned)port);
    free(host);
    return reaches;
}

static void on_snapshot(struct plait_get *g, struct get_director *d, const char *data, size_t len)
{
    uint64_t size = g->known_size != PLAIT_FETCH_UNKNOWN ? g->known_size : g->status.size;
    struct plait_holders l;
    int err = plait_holders_parse(data, len, size, &g->digest, &l);

    if (err != PLAIT_OK) {
        snprintf(d->reason, sizeof d->reason, "it tells what cannot be read");
        plait_holders_done(&l);
        return;
    }
    if (l.conflict && !g->director_heard)
        get_say(g, PLAIT_GET_WARNING,
                "%s knows different versions of it; the one that most servers hold is fetched", d->shown);
    propose_name(g, d);
    use_size_and_digest(g, d, &l);
    add_relays(g, &l);
    snprintf(g->document_shown, sizeof g->document_shown, "%s", d->shown);
    for (size_t i = 0; i < l.url_count; i++)
        get_director_source(g, l.urls[i], plait_url_is_https(d->url), (unsigned)i);
    d->heard = g->director_heard |= l.url_count > 0;
    if (!d->heard) { /* another one may know more */
        snprintf(d->reason, sizeof d->reason, "no server holds it");
        d->dropped = true;
    }
    plait_holders_done(&l);
}

/* Whether what a server holds now is what is being fetched. */
static bool is_ours(const struct plait_get *g, const struct plait_holders_change *c)
{
    uint64_t size = g->known_size != PLAIT_FETCH_UNKNOWN ? g->known_size : g->status.size;

    if (c->has_size && size != PLAIT_FETCH_UNKNOWN && c->size != size)
        return false;
    return c->digest.alg == PLAIT_DIGEST_NONE || c->digest.alg != g->digest.alg ||
           plait_digest_equal(&c->digest, &g->digest);
}

static void on_event(void *ctx, const char *name, const char *data, size_t len)
{
    struct get_director *d = ctx;
    struct plait_get *g = d->g;
    struct plait_holders_change c;
    bool came = strcmp(name, "joined") == 0 || strcmp(name, "changed") == 0;

    if (strcmp(name, "snapshot") == 0) {
        on_snapshot(g, d, data, len);
        return;
    }
    if ((!came && strcmp(name, "left") != 0) || g->stage > STAGE_FETCH)
        return;
    if (plait_holders_change_parse(data, len, &c) == PLAIT_OK) {
        if (came && is_ours(g, &c))
            get_director_source(g, c.url, plait_url_is_https(d->url), 0);
        else if (!came)
            get_source_left(g, c.url);
    }
    plait_holders_change_done(&c);
}

/* ---- the request ---- */

static bool on_head(void *ctx, const struct plait_http_head *head)
{
    struct get_director *d = ctx;
    size_t len;
    const char *type = plait_http_head_get(head, PLAIT_HTTP_CONTENT_TYPE, &len);

    d->good = head->status == 200 && strncmp(type, "text/event-stream", strlen("text/event-stream")) == 0;
    if (d->good)
        return true;
    if (head->status == 200)
        snprintf(d->reason, sizeof d->reason, "it is no director");
    else
        snprintf(d->reason, sizeof d->reason, "the director answered %d", head->status);
    d->over = !d->certain; /* it was only asked whether it is one */
    d->dropped = true;
    return false;
}

static enum plait_http_take on_data(void *ctx, const uint8_t *bytes, size_t len)
{
    struct get_director *d = ctx;

    d->dropped |= !plait_events_read(&d->reader, (const char *)bytes, len, on_event, d);
    return d->dropped ? PLAIT_HTTP_DROP : PLAIT_HTTP_TAKEN;
}

/* The next one is asked, or this one again. */
static void go_on(struct plait_get *g, struct get_director *d)
{
    d->dropped = false;
    plait_events_done(&d->reader);
    if (d->heard)
        g->director_again_ns = AGAIN_NS_MIN;
    else
        g->director_again_ns = plait_clamp_u64(2 * g->director_again_ns, AGAIN_NS_MIN, AGAIN_NS_MAX);
    d->heard = false;
    size_t next = (g->director_at + 1) % g->director_count;
    if (next <= g->director_at && !g->director_heard)
        g->directors_failed = true;
    g->director_at = next;
    g->director_after = g->loop.now + (next == 0 ? g->director_again_ns : 0);
}

static void on_end(void *ctx, const struct plait_http_end *end)
{
    struct get_director *d = ctx;

    if (end->fail != PLAIT_HTTP_OK)
        snprintf(d->reason, sizeof d->reason, "%s", end->reason);
    go_on(d->g, d);
}

static const struct plait_http_events director_events = {NULL, on_head, on_data, on_end};

static void ask(struct plait_get *g, struct get_director *d)
{
    const struct plait_route *route = &g->routes.list[0];
    const char *headers[PLAIT_GET_HEADERS_MAX + 1];
    struct plait_http_request request = {
        .url = d->url, .headers = headers, .lo = PLAIT_HTTP_NO_RANGE, .hi = PLAIT_HTTP_NO_RANGE};

    request.header_count = get_headers_for(g, d->url, headers, &request.user);
    headers[request.header_count++] = "Accept: text/event-stream";
    d->g = g;
    d->asked_at = g->loop.now;
    if (d->lane == NULL)
        d->lane = plait_http_lane_new(g->http, &director_events, d, plait_route_egress(route), route->proxy);
    if (d->lane == NULL || plait_http_lane_get(d->lane, &request) != PLAIT_OK)
        get_end(g, PLAIT_GET_FAILED, "out of memory");
}

void get_ask_directors(struct plait_get *g)
{
    if (g->director_count == 0 || g->ending)
        return;
    struct get_director *d = &g->directors[g->director_at];
    if (d->lane != NULL && plait_http_lane_is_busy(d->lane) && !d->heard &&
        g->loop.now - d->asked_at > PATIENCE_NS) {
        plait_http_lane_drop(d->lane);
        snprintf(d->reason, sizeof d->reason, "it does not answer");
        d->dropped = true;
    }
    if (d->dropped)
        go_on(g, d);
    d = &g->directors[g->director_at];
    if (d->over || g->loop.now < g->director_after || (d->lane != NULL && plait_http_lane_is_busy(d->lane)))
        return;
    ask(g, d);
}

const char *get_director_reason(const struct plait_get *g, const char **shown)
{
    for (size_t i = 0; i < g->director_count; i++) {
        *shown = g->directors[i].shown;
        if (g->directors[i].reason[0] != '\0')
            return g->directors[i].reason;
    }
    return "no answer";
}

void get_drop_directors(struct plait_get *g)
{
    for (size_t i = 0; i < g->director_count; i++)
        if (g->directors[i].lane != NULL)
            plait_http_lane_drop(g->directors[i].lane);
}

void get_free_directors(struct plait_get *g)
{
    for (size_t i = 0; i < g->director_count; i++) {
        plait_http_lane_free(g->directors[i].lane);
        plait_events_done(&g->directors[i].reader);
        free(g->directors[i].url);
        free(g->directors[i].shown);
    }
    g->director_count = 0;
    for (size_t i = 0; i < PLAIT_ROUTES_MAX; i++) {
        for (size_t k = 0; g->reaches[i] != NULL && k < g->reaches[i]->count; k++)
            free(g->reaches[i]->texts[k]);
        free(g->reaches[i]);
        g->reaches[i] = NULL;
    }
}
