/* Answers to those who look for a stream. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "direct_int.h"
#include "query.h"
#include "units.h"

#define PAGE_NS (1 * PLAIT_S) /* the page may be so old */

/* Somebody who listens for changes. */
struct listener {
    struct plait_request *request;
    struct plait_feed *feed;
};

static const struct plait_web_field varies[] = {{"Cache-Control", "no-store"}, {"Vary", "Accept"}};

/* Takes `text`, which may be NULL. */
static void answer_text(struct plait_request *r, const char *type, char *text,
                        const struct plait_web_field *fields, size_t count)
{
    if (text != NULL)
        plait_web_answer(r, 200, type, text, strlen(text), fields, count);
    else
        plait_direct_refuse(r, 503, "out of memory");
    free(text);
}

/* The overview. */

static void answer_page(struct plait_direct *d, struct plait_request *r, const char *after)
{
    static const struct plait_web_field fields[] = {
        {"Cache-Control", "no-store"},
        {"Vary", "Accept"},
        {"Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"},
        {"Referrer-Policy", "no-referrer"}};
    const char *store = plait_store_name(d->options->store);
    bool first = after[0] == '\0';

    if (!first || d->page == NULL || plait_since(d->loop.now, d->page_at) > PAGE_NS) {
        char *page = plait_answer_page(d->catalog, after, store, d->store->is_up, d->loop.now);
        if (!first || page == NULL) {
            answer_text(r, "text/html; charset=utf-8", page, fields, PLAIT_COUNT(fields));
            return;
        }
        free(d->page);
        d->page = page;
        d->page_at = d->loop.now;
    }
    plait_web_answer(r, 200, "text/html; charset=utf-8", d->page, strlen(d->page), fields,
                     PLAIT_COUNT(fields));
}

static void answer_overview(struct plait_direct *d, struct plait_request *r, const struct plait_query *q,
                            enum plait_form form)
{
    if (form == PLAIT_FORM_JSON)
        plait_direct_answer(
            r, 200,
            plait_answer_overview(d->catalog, q->after, plait_store_name(d->options->store), d->loop.now),
            varies, PLAIT_COUNT(varies));
    else
        answer_page(d, r, q->after);
}

/* Events. */

static ssize_t pull(void *ctx, char *out, size_t max)
{
    return plait_feed_pull(((struct listener *)ctx)->feed, out, max);
}

static void gone(void *ctx)
{
    struct listener *l = ctx;

    plait_feed_free(l->feed);
    free(l);
}

static void wake(void *ctx)
{
    plait_web_wake(((struct listener *)ctx)->request);
}

/* All that is known of the name now; owned. */
static json_t *snapshot(struct plait_direct *d, const struct plait_query *q)
{
    static const struct plait_wish all;
    struct plait_stream *stream = plait_catalog_stream(d->catalog, q->name);
    struct plait_versions wanted = {0}, every = {0};
    json_t *o;

    if (stream != NULL &&
        (plait_versions_of(stream, &q->wish, stream->turn, d->loop.now, &wanted) != PLAIT_OK ||
         plait_versions_of(stream, &all, 0, d->loop.now, &every) != PLAIT_OK))
        o = NULL;
    else
        o = plait_answer_json(d->catalog, q->name, &wanted, every.count > 1, d->loop.now);
    plait_versions_done(&wanted);
    plait_versions_done(&every);
    return o;
}

static void answer_events(struct plait_direct *d, struct plait_request *r, const struct plait_query *q)
{
    static const struct plait_web_field fields[] = {
        {"Cache-Control", "no-store"}, {"X-Accel-Buffering", "no"}, {"Connection", "close"}};
    struct listener *l = calloc(1, sizeof *l);
    json_t *o = snapshot(d, q);
    char *text = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;

    json_decref(o);
    if (l != NULL)
        l->feed = plait_feed_new(d->feeds, q->name, wake, l);
    if (l == NULL || l->feed == NULL || text == NULL) {
        if (l != NULL && l->feed != NULL)
            plait_feed_free(l->feed);
        free(l);
        free(text);
        plait_direct_refuse(r, 503, "out of memory");
        return;
    }
    l->request = r;
    plait_feed_send(l->feed, "snapshot", text);
    free(text);
    struct plait_web_source source = {.pull = pull, .gone = gone, .ctx = l};
    plait_web_stream(r, "text/event-stream", &source, fields, PLAIT_COUNT(fields));
}

static const char *const event_names[] = {[PLAIT_CATALOG_JOINED] = "joined",
                                          [PLAIT_CATALOG_CHANGED] = "changed",
                                          [PLAIT_CATALOG_LEFT] = "left",
                                          [PLAIT_CATALOG_EXPIRED] = "expired"};

static bool has_conflict(const struct plait_direct *d, const char *name)
{
    static const struct plait_wish all;
    const struct plait_stream *stream = plait_catalog_stream(d->catalog, name);
    struct plait_versions v = {0};

    if (stream == NULL || plait_versions_of(stream, &all, 0, d->loop.now, &v) != PLAIT_OK)
        return false;
    bool conflict = v.count > 1;
    plait_versions_done(&v);
    return conflict;
}

static json_t *describe(const struct plait_direct *d, enum plait_catalog_event event,
                        const struct plait_server *server, const char *name)
{
    json_t *o = json_pack("{s:s, s:b, s:o}", "name", name, "conflict", has_conflict(d, name), "source",
                          plait_source_json(server, name, d->loop.now));
    const struct plait_entry *e = plait_registration_find(&server->reg, name);

    if (e != NULL && (event == PLAIT_CATALOG_JOINED || event == PLAIT_CATALOG_CHANGED))
        plait_content_json(o, e->has_size, e->size, &e->digests);
    return o;
}

void plait_direct_changed(void *ctx, enum plait_catalog_event event, const struct plait_server *server,
                          const char *name)
{
    struct plait_direct *d = ctx;
    char kind[32];

    if (!plait_feeds_has(d->feeds, name))
        return;
    snprintf(kind, sizeof kind, "%s%s", name == NULL ? "route-" : "", event_names[event]);
    json_t *o = name != NULL ? describe(d, event, server, name) : plait_route_json(server, d->loop.now);
    char *text = json_dumps(o, JSON_COMPACT);
    if (text != NULL)
        plait_feeds_send(d->feeds, name, kind, text);
    free(text);
    json_decref(o);
}

/* Streams. */

static void answer_redirect(struct plait_request *r, const char *name, const struct plait_version *version)
{
    struct plait_redirect to;

    if (plait_answer_redirect(name, version, &to) != PLAIT_OK) {
        plait_direct_refuse(r, 503, "out of memory");
        return;
    }
    struct plait_web_field fields[] = {{"Location", to.location},     {"Link", to.links},
                                       {"Digest", to.digest},         {"Repr-Digest", to.repr_digest},
                                       {"Cache-Control", "no-store"}, {"Vary", "Accept"}};
    plait_web_answer(r, 302, NULL, "", 0, fields, PLAIT_COUNT(fields));
    plait_redirect_done(&to);
}

/* The document is not the stream, and is not to be kept under its name. */
static void answer_metalink(struct plait_request *r, const char *name, const struct plait_version *version)
{
    const char *slash = strrchr(name, '/');
    char path[PLAIT_STREAM_PATH_MAX], disposition[PLAIT_STREAM_PATH_MAX + 64];

    plait_stream_name_encode(slash != NULL ? slash + 1 : name, path);
    snprintf(disposition, sizeof disposition, "attachment; filename*=UTF-8''%s.meta4", path);
    struct plait_web_field fields[] = {varies[0], varies[1], {"Content-Disposition", disposition}};
    answer_text(r, "application/metalink4+xml", plait_answer_metalink(name, version), fields,
                PLAIT_COUNT(fields));
}

static void answer_stream(struct plait_direct *d, struct plait_request *r, const struct plait_query *q,
                          enum plait_form form)
{
    struct plait_stream *stream = plait_catalog_stream(d->catalog, q->name);
    struct plait_versions v = {0};

    if (stream != NULL && plait_versions_of(stream, &q->wish, stream->turn, d->loop.now, &v) != PLAIT_OK) {
        plait_direct_refuse(r, 503, "out of memory");
        return;
    }
    if (v.count == 0) {
        plait_direct_refuse(r, 404,
                            stream == NULL ? "no server holds a stream of that name"
                                           : "no server holds that version of the stream");
    } else {
        stream->turn++;
        if (form == PLAIT_FORM_JSON)
            plait_direct_answer(r, 200, snapshot(d, q), varies, PLAIT_COUNT(varies));
        else if (form == PLAIT_FORM_METALINK)
            answer_metalink(r, q->name, &v.all[0]);
        else
            answer_redirect(r, q->name, &v.all[0]);
    }
    plait_versions_done(&v);
}

void plait_direct_lookup(struct plait_direct *d, struct plait_request *r)
{
    struct plait_query q;

    if (plait_query_parse(plait_request_target(r), &q) != PLAIT_OK) {
        plait_direct_refuse(r, 400, "that cannot be the name of a stream, or a parameter cannot be");
        return;
    }
    enum plait_form form =
        q.form != PLAIT_FORM_ANY ? q.form : plait_accept_parse(plait_request_field(r, "Accept"));
    if (q.name[0] == '\0')
        answer_overview(d, r, &q, form);
    else if (form == PLAIT_FORM_EVENTS && strcmp(plait_request_method(r), "GET") == 0)
        answer_events(d, r, &q);
    else
        answer_stream(d, r, &q, form);
}
