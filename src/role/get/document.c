/*
 * Where sources come from: the command line, Metalink documents (local files and URLs), and what a source
 * says of others in Link fields (RFC 6249).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "answer.h"
#include "file.h"
#include "get_int.h"
#include "link.h"
#include "units.h"
#include "url.h"

#define LINK_PRIORITY 100000u /* after all that the user has named */

/* ---- sources ---- */

static bool is_source(const struct plait_get *g, const char *url)
{
    for (int i = 0; i < g->source_count; i++)
        if (strcmp(g->sources[i].url, url) == 0 ||
            (g->sources[i].redirect != NULL && strcmp(g->sources[i].redirect, url) == 0))
            return true;
    return false;
}

static int sources_max(const struct plait_get *g)
{
    int by_paths = PLAIT_FETCH_PATHS_MAX / (int)(g->routes.count > 0 ? g->routes.count : 1);

    return by_paths < PLAIT_FETCH_SOURCES_MAX ? by_paths : PLAIT_FETCH_SOURCES_MAX;
}

/* Adds a source, also to a fetch that runs. PLAIT_ERR_STATE where it is known, PLAIT_ERR_LIMIT,
 * PLAIT_ERR_FORMAT. */
static int add_source(struct plait_get *g, const char *url, enum plait_source_origin origin,
                      unsigned priority)
{
    struct plait_source *s = &g->sources[g->source_count];
    int err;

    if (is_source(g, url))
        return PLAIT_ERR_STATE;
    if (g->source_count >= sources_max(g))
        return PLAIT_ERR_LIMIT;
    err = plait_source_init(s, url, origin, priority);
    if (err != PLAIT_OK)
        return err;
    if (g->fetch != NULL && plait_fetch_add_source(g->fetch, priority) != g->source_count) {
        plait_source_done(s);
        return PLAIT_ERR_LIMIT;
    }
    g->source_count++;
    if (g->fetch == NULL)
        return PLAIT_OK;
    get_tell(g, PLAIT_GET_EV_SOURCE, -1, 0, s->shown);
    return get_add_paths(g, g->source_count - 1) ? PLAIT_OK : PLAIT_ERR_LIMIT;
}

/* A source that another one told of. An insecure copy of what came securely needs a digest to be trusted. */
static void add_linked(struct plait_get *g, const char *url, bool secure, unsigned priority)
{
    bool vouched = g->digest.alg != PLAIT_DIGEST_NONE && !plait_digest_alg_is_weak(g->digest.alg);

    if (g->links_added >= PLAIT_GET_LINKS_MAX || (secure && !plait_url_is_https(url) && !vouched))
        return;
    if (add_source(g, url, PLAIT_SOURCE_LINK, LINK_PRIORITY + priority) == PLAIT_OK)
        g->links_added++;
}

void get_director_source(struct plait_get *g, const char *url, bool secure, unsigned priority)
{
    bool vouched = g->digest.alg != PLAIT_DIGEST_NONE && !plait_digest_alg_is_weak(g->digest.alg);
    bool ours = false;

    if (secure && !plait_url_is_https(url) && !vouched)
        return;
    if (add_source(g, url, PLAIT_SOURCE_DOCUMENT, priority) != PLAIT_ERR_STATE || g->fetch == NULL)
        return;
    for (int i = 0; i < g->path_count; i++) {
        if (strcmp(g->sources[g->paths[i].source].url, url) != 0)
            continue;
        ours |= !g->paths[i].left;
        plait_fetch_hurry_path(g->fetch, g->loop.now, i); /* it may have been given up for a while */
    }
    for (int i = 0; !ours && i < g->source_count; i++)
        if (strcmp(g->sources[i].url, url) == 0)
            (void)get_add_paths(g, i);
}

void get_source_left(struct plait_get *g, const char *url)
{
    for (int i = 0; g->fetch != NULL && i < g->path_count; i++) {
        if (g->paths[i].left || strcmp(g->sources[g->paths[i].source].url, url) != 0)
            continue;
        g->paths[i].left = true;
        plait_fetch_stop_path(g->fetch, g->loop.now, i);
    }
}

/* ---- what a document says ---- */

static const struct plait_metalink_file *choose_file(struct plait_get *g, const struct plait_metalink *m)
{
    const char *output = g->opt->output, *slash = output != NULL ? strrchr(output, '/') : NULL;
    const char *wanted = slash != NULL ? slash + 1 : output;

    if (m->file_count == 1)
        return &m->files[0];
    for (size_t i = 0; wanted != NULL && i < m->file_count; i++)
        if (strcmp(m->files[i].name, wanted) == 0)
            return &m->files[i];
    return NULL;
}

static void add_mirrors(struct plait_get *g, const struct plait_metalink_file *file,
                        const struct get_document *doc)
{
    bool secure = doc->from_link && plait_url_is_https(doc->url);
    size_t left_out = 0;

    for (size_t i = 0; i < file->url_count; i++) {
        const struct plait_metalink_url *mirror = &file->urls[i];
        if (!plait_url_is_http(mirror->url))
            continue;
        if (doc->from_link)
            add_linked(g, mirror->url, secure, mirror->priority);
        else
            left_out +=
                add_source(g, mirror->url, PLAIT_SOURCE_DOCUMENT, mirror->priority) == PLAIT_ERR_LIMIT;
    }
    if (left_out > 0)
        get_say(g, PLAIT_GET_WARNING, "%s names %zu sources more than can be used", doc->shown, left_out);
}

static void use_digests(struct plait_get *g, const struct plait_metalink_file *file,
                        const struct get_document *doc)
{
    char teller[PLAIT_HTTP_REASON_MAX];

    snprintf(teller, sizeof teller, "%.200s states", doc->shown);
    if (file->digest.alg != PLAIT_DIGEST_NONE)
        get_know_digest(g, &file->digest, doc->from_link ? DIGEST_SERVER : DIGEST_DOCUMENT, teller);
    if (file->pieces.alg != PLAIT_DIGEST_NONE && g->piece_list == NULL)
        g->piece_list = &file->pieces;
}

/* A size or a digest that contradicts what is known: nothing of a document that a source told of is used
 * then. */
static bool contradicts(const struct plait_get *g, const struct plait_metalink_file *file)
{
    uint64_t size = g->known_size != PLAIT_FETCH_UNKNOWN ? g->known_size : g->status.size;

    if (file->has_size && size != PLAIT_FETCH_UNKNOWN && size != file->size)
        return true;
    return file->digest.alg != PLAIT_DIGEST_NONE && file->digest.alg == g->digest.alg &&
           !plait_digest_equal(&file->digest, &g->digest);
}

static void use_document(struct plait_get *g, const struct get_document *doc, const struct plait_metalink *m)
{
    const struct plait_metalink_file *file = choose_file(g, m);

    if (file == NULL || contradicts(g, file)) {
        enum plait_get_level level = doc->from_link ? PLAIT_GET_NOTE : PLAIT_GET_ERROR;
        const char *why =
            file == NULL ? "describes several files; choose one of them with -o NAME"
                         : "contradicts what is known of the file's size or digest; check which is right";
        if (level == PLAIT_GET_ERROR)
            get_end(g, file == NULL ? PLAIT_GET_USAGE : PLAIT_GET_CONTENT, "%s %s", doc->shown, why);
        else
            get_say(g, level, "%s is not used: it %s", doc->shown, why);
        return;
    }
    if (!doc->from_link) {
        if (file->has_size)
            g->known_size = file->size;
        if (g->proposed_name == NULL)
            g->proposed_name = strdup(file->name);
    }
    snprintf(g->document_shown, sizeof g->document_shown, "%s", doc->shown);
    use_digests(g, file, doc);
    add_mirrors(g, file, doc);
}

/* Takes what the document's bytes say. */
static int parse_document(struct plait_get *g, const struct get_document *doc)
{
    struct plait_metalink *m = &g->metalinks[g->metalink_count];
    int err = plait_metalink_parse(doc->bytes, doc->len, m);

    if (err != PLAIT_OK)
        return err;
    g->metalink_count++;
    use_document(g, doc, m);
    return PLAIT_OK;
}

/* ---- documents in files ---- */

static void read_local(struct plait_get *g, const char *name)
{
    struct get_document doc = {.shown = (char *)(uintptr_t)name};
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err = PLAIT_ERR_IO;

    if (fd >= 0)
        err = plait_read_file(fd, DOCUMENT_BYTES_MAX, &doc.bytes, &doc.len);
    if (err != PLAIT_OK) {
        get_end(g, PLAIT_GET_LOCAL, "%s cannot be read: %s; check the name", name,
                err == PLAIT_ERR_IO ? strerror(errno) : "too long");
    } else {
        err = parse_document(g, &doc);
        if (err != PLAIT_OK)
            get_end(g, PLAIT_GET_CONTENT, "%s is no Metalink document: %s; check the file", name,
                    plait_err_name(err));
    }
    if (fd >= 0)
        close(fd);
    free(doc.bytes);
}

/* ---- documents from servers ---- */

static void forget_document(struct get_document *doc)
{
    free(doc->url);
    free(doc->shown);
    free(doc->bytes);
    memset(doc, 0, sizeof *doc);
}

static void queue_document(struct plait_get *g, const char *url, bool from_link, size_t route)
{
    struct get_document *doc = &g->documents[g->document_count];

    if (g->document_count == DOCUMENTS_MAX)
        return;
    *doc = (struct get_document){
        .url = strdup(url), .shown = plait_url_public(url), .from_link = from_link, .route = route};
    if (doc->url != NULL && doc->shown != NULL)
        g->document_count++;
    else
        forget_document(doc);
}

bool get_documents_pending(const struct plait_get *g)
{
    for (size_t i = g->document_next; i < g->document_count; i++)
        if (!g->documents[i].from_link)
            return true;
    return false;
}

static bool on_doc_head(void *ctx, const struct plait_http_head *head)
{
    struct plait_get *g = ctx;
    struct get_document *doc = &g->documents[g->document_next];
    struct plait_answer answer;

    plait_answer_read(head, plait_unix_s(), &answer);
    doc->good_head = answer.good && answer.head.kind == PLAIT_FETCH_HEAD_WHOLE;
    if (!doc->good_head)
        snprintf(doc->reason, sizeof doc->reason, "%s",
                 answer.good ? "the server answered with a part" : answer.reason);
    return true;
}

/* This route did not bring it: the next one may. */
static void try_elsewhere(struct plait_get *g, struct get_document *doc)
{
    free(doc->bytes);
    doc->bytes = NULL;
    doc->len = 0;
    doc->good_head = false;
    if (!doc->from_link && ++doc->route < g->routes.count)
        return;
    if (!doc->from_link)
        get_end(g, PLAIT_GET_SOURCES, "%s: %s; check the address", doc->shown, doc->reason);
    else
        get_say(g, PLAIT_GET_NOTE, "%s is not used: %s", doc->shown, doc->reason);
    forget_document(doc);
    g->document_next++;
}

static enum plait_http_take on_doc_data(void *ctx, const uint8_t *bytes, size_t len)
{
    struct plait_get *g = ctx;
    struct get_document *doc = &g->documents[g->document_next];
    uint8_t *more;

    if (len > DOCUMENT_BYTES_MAX - doc->len) { /* it may have no end */
        if (doc->good_head)
            snprintf(doc->reason, sizeof doc->reason, "it is longer than a Metalink document may be");
        try_elsewhere(g, doc);
        return PLAIT_HTTP_DROP;
    }
    if (!doc->good_head) { /* the page about the error; its end is waited for */
        doc->len += len;
        return PLAIT_HTTP_TAKEN;
    }
    more = realloc(doc->bytes, doc->len + len);
    if (more == NULL) {
        get_end(g, PLAIT_GET_FAILED, "out of memory");
        return PLAIT_HTTP_DROP;
    }
    memcpy(more + doc->len, bytes, len);
    doc->bytes = more;
    doc->len += len;
    return PLAIT_HTTP_TAKEN;
}

static void on_doc_end(void *ctx, const struct plait_http_end *end)
{
    struct plait_get *g = ctx;
    struct get_document *doc = &g->documents[g->document_next];
    int err;

    if (g->stage == STAGE_STOP)
        return;
    if (end->fail != PLAIT_HTTP_OK)
        snprintf(doc->reason, sizeof doc->reason, "%s", end->reason);
    if (end->fail != PLAIT_HTTP_OK || !doc->good_head) {
        try_elsewhere(g, doc);
        return;
    }
    err = parse_document(g, doc);
    if (err != PLAIT_OK && !doc->from_link)
        get_end(g, PLAIT_GET_CONTENT, "%s is no Metalink document: %s; name another source", doc->shown,
                plait_err_name(err));
    else if (err != PLAIT_OK)
        get_say(g, PLAIT_GET_NOTE, "%s is not used: it is no Metalink document", doc->shown);
    forget_document(doc);
    g->document_next++;
}

static const struct plait_http_events document_events = {NULL, on_doc_head, on_doc_data, on_doc_end};

static void ask(struct plait_get *g, const struct get_document *doc)
{
    const struct plait_route *route = &g->routes.list[doc->route];
    const char *headers[PLAIT_GET_HEADERS_MAX];
    struct plait_http_request request = {
        .url = doc->url, .headers = headers, .lo = PLAIT_HTTP_NO_RANGE, .hi = PLAIT_HTTP_NO_RANGE};

    request.header_count = get_headers_for(g, doc->url, headers, &request.user);
    plait_http_lane_free(g->document_lane);
    g->document_lane =
        plait_http_lane_new(g->http, &document_events, g, plait_route_egress(route), route->proxy);
    if (g->document_lane == NULL || plait_http_lane_get(g->document_lane, &request) != PLAIT_OK)
        get_end(g, PLAIT_GET_FAILED, "out of memory");
}

void get_ask_documents(struct plait_get *g)
{
    if (g->document_next == g->document_count || g->ending ||
        (g->document_lane != NULL && plait_http_lane_is_busy(g->document_lane)))
        return;
    ask(g, &g->documents[g->document_next]);
}

void get_drop_documents(struct plait_get *g)
{
    plait_http_lane_free(g->document_lane);
    g->document_lane = NULL;
    for (size_t i = 0; i < g->document_count; i++)
        forget_document(&g->documents[i]);
    for (size_t i = 0; i < g->metalink_count; i++)
        plait_metalink_done(&g->metalinks[i]);
    g->document_count = g->document_next = g->metalink_count = 0;
}

/* ---- the command line ---- */

static bool is_metalink_name(const char *name)
{
    static const char *const suffixes[] = {".meta4", ".metalink"};
    size_t len = strlen(name);

    for (size_t i = 0; i < PLAIT_COUNT(suffixes); i++) {
        size_t suffix_len = strlen(suffixes[i]);
        if (len > suffix_len && strcmp(name + len - suffix_len, suffixes[i]) == 0)
            return true;
    }
    return false;
}

static void take_url(struct plait_get *g, const char *url, unsigned priority)
{
    int err;

    if (strstr(url, "://") == NULL && is_metalink_name(url)) {
        read_local(g, url);
        return;
    }
    if (get_is_director_url(url)) {
        if (get_add_director(g, url, true) != PLAIT_OK)
            get_end(
                g, PLAIT_GET_USAGE,
                "%s names no stream: write plait://HOST:PORT/NAME, the director and what it calls the stream",
                url);
        return;
    }
    if (strstr(url, "://") == NULL && (g->opt->servers != NULL || g->opt->ask_lan)) {
        get_take_name(g, url);
        return;
    }
    if (!plait_url_is_http(url) &&
        (strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0)) {
        get_end(
            g, PLAIT_GET_USAGE,
            "%s is no URL: its host is missing, its port is none, or it has a space, which is written %%20",
            url);
        return;
    }
    if (!plait_url_is_http(url)) {
        get_end(g, PLAIT_GET_USAGE,
                "%s is neither a URL of http://, https:// or plait:// nor a file that ends in .meta4 or "
                ".metalink; "
                "see plait get --help",
                url);
        return;
    }
    if (plait_url_path_ends(url, ".meta4") || plait_url_path_ends(url, ".metalink")) {
        queue_document(g, url, false, 0);
        return;
    }
    err = add_source(g, url, PLAIT_SOURCE_USER, priority);
    if (err == PLAIT_ERR_LIMIT)
        get_end(g, PLAIT_GET_USAGE, "too many: at most %d URLs over %zu routes; name fewer", sources_max(g),
                g->routes.count);
    else if (err == PLAIT_ERR_FORMAT)
        get_end(g, PLAIT_GET_USAGE, "%s is no URL that can be used; check it", url);
    else if (err == PLAIT_ERR_NOMEM)
        get_end(g, PLAIT_GET_FAILED, "out of memory");
}

void get_take_urls(struct plait_get *g)
{
    for (size_t i = 0; i < g->opt->url_count && !g->ending; i++)
        take_url(g, g->opt->urls[i], (unsigned)i);
}

/* ---- a source that is a document ---- */

bool get_is_metalink_type(const struct plait_http_head *head)
{
    static const char *const types[] = {"application/metalink4+xml", "application/metalink+xml"};
    size_t len;
    const char *type = plait_http_head_get(head, PLAIT_HTTP_CONTENT_TYPE, &len);
    struct plait_text text = plait_text_of(type, strcspn(type, "; \t"));

    for (size_t i = 0; i < PLAIT_COUNT(types); i++)
        if (plait_text_is(text, types[i]))
            return true;
    return false;
}

void get_turn_into_document(struct plait_get *g)
{
    int index = g->document_found;

    g->document_found = -1;
    queue_document(g, g->sources[index].url, false, 0);
    plait_source_done(&g->sources[index]);
    g->source_count--;
    memmove(&g->sources[index], &g->sources[index + 1],
            (size_t)(g->source_count - index) * sizeof g->sources[0]);
    memset(&g->sources[g->source_count], 0, sizeof g->sources[0]);
}

/* ---- what a source says ---- */

/* Each source may state a digest of the whole. Two that differ cannot both be verified: then none is. */
static void read_digest(struct plait_get *g, struct plait_source *s, const struct plait_http_head *head)
{
    static const enum plait_http_field fields[] = {PLAIT_HTTP_REPR_DIGEST, PLAIT_HTTP_DIGEST};
    char teller[PLAIT_HTTP_REASON_MAX];

    for (size_t i = 0; i < PLAIT_COUNT(fields) && s->claim.alg == PLAIT_DIGEST_NONE; i++) {
        size_t len;
        const char *value = plait_http_head_get(head, fields[i], &len);
        if (len > 0 && plait_digest_parse_http(value, len, &s->claim) != PLAIT_OK)
            s->claim = (struct plait_digest){0};
    }
    if (s->claim.alg == PLAIT_DIGEST_NONE || plait_digest_alg_is_weak(s->claim.alg))
        return;
    if (g->digest.alg == PLAIT_DIGEST_NONE) {
        snprintf(teller, sizeof teller, "the server of %.200s states", s->shown);
        get_know_digest(g, &s->claim, DIGEST_SERVER, teller);
    } else if (g->digest_origin == DIGEST_SERVER && g->digest.alg == s->claim.alg &&
               !plait_digest_equal(&g->digest, &s->claim)) {
        get_say(g, PLAIT_GET_WARNING, "the servers state different %s digests; none is relied on",
                plait_digest_alg_name(s->claim.alg));
        g->digest.alg = PLAIT_DIGEST_NONE;
        g->digest_state = PLAIT_GET_DIGEST_NONE;
        g->claims_differ = true;
    }
}

static void read_link(struct plait_get *g, int route, const char *base, const struct plait_link *link)
{
    char reference[PLAIT_URL_MAX + 1];
    char *url;

    if (link->uri.len > PLAIT_URL_MAX)
        return;
    memcpy(reference, link->uri.at, link->uri.len);
    reference[link->uri.len] = '\0';
    url = plait_url_resolve(base, reference);
    if (url != NULL && plait_link_has_rel(link, "duplicate"))
        add_linked(g, url, plait_url_is_https(base), link->pri);
    else if (url != NULL && plait_link_has_rel(link, "describedby") &&
             plait_text_is(link->type, "application/metalink4+xml"))
        queue_document(g, url, true, (size_t)route);
    free(url);
}

void get_read_claims(struct plait_get *g, int path, const struct plait_http_head *head)
{
    struct plait_source *s = &g->sources[g->paths[path].source];
    struct plait_link_iter iter;
    struct plait_link link;
    size_t len;
    const char *value = plait_http_head_get(head, PLAIT_HTTP_LINK, &len);

    if (s->heard)
        return;
    s->heard = true;
    read_digest(g, s, head);
    /* Only those whom the user has named may name others. */
    if (s->origin == PLAIT_SOURCE_LINK)
        return;
    plait_link_iter_init(&iter, value, len);
    while (plait_link_next(&iter, &link) == PLAIT_OK)
        read_link(g, g->paths[path].route, head->url, &link);
}
