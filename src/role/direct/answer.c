#include "answer.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "digest.h"
#include "units.h"

#define BASE64_MAX 96

char *plait_source_url(const struct plait_server *server, const char *name)
{
    char path[PLAIT_STREAM_PATH_MAX], *url = NULL;

    if (asprintf(&url, "%s%s", server->reg.url, plait_stream_name_encode(name, path)) < 0)
        return NULL;
    return url;
}

/* JSON. */

json_t *plait_source_json(const struct plait_server *server, const char *name, uint64_t now)
{
    char *url = plait_source_url(server, name);
    json_t *o = json_pack("{s:s, s:s, s:b}", "server", server->id, "url", url != NULL ? url : "", "healthy",
                          plait_server_is_healthy(server, now));

    free(url);
    return o;
}

json_t *plait_route_json(const struct plait_server *relay, uint64_t now)
{
    json_t *reaches = json_array();

    for (size_t i = 0; i < relay->reg.reach_count; i++)
        json_array_append_new(reaches, json_string(relay->reg.reaches[i]));
    return json_pack("{s:s, s:s, s:b, s:o, s:o}", "relay", relay->id, "url", relay->reg.url, "healthy",
                     plait_server_is_healthy(relay, now), "reaches", reaches, "auth",
                     relay->reg.asks_credentials ? json_string("basic") : json_null());
}

static void add_hex(json_t *o, const char *name, const uint8_t *bytes, size_t len)
{
    char hex[2 * PLAIT_DIGEST_LEN_MAX + 1];

    if (plait_hex_encode(bytes, len, hex, sizeof hex) == PLAIT_OK)
        json_object_set_new(o, name, json_string(hex));
}

void plait_content_json(json_t *o, bool has_size, uint64_t size, const struct plait_digests *digests)
{
    json_t *all = json_object();

    if (has_size)
        json_object_set_new(o, "size", json_integer((json_int_t)size));
    if (digests->has_sha256)
        add_hex(all, "sha-256", digests->sha256, sizeof digests->sha256);
    if (digests->has_sha512)
        add_hex(all, "sha-512", digests->sha512, sizeof digests->sha512);
    json_object_set_new(o, "digests", all);
}

static json_t *version_json(const struct plait_version *v, const char *name, uint64_t now)
{
    json_t *o = json_object(), *sources = json_array();

    plait_content_json(o, v->has_size, v->size, &v->digests);
    for (size_t i = 0; i < v->count && i < PLAIT_ANSWER_SOURCES_MAX; i++)
        json_array_append_new(sources, plait_source_json(v->sources[i], name, now));
    json_object_set_new(o, "sources", sources);
    return o;
}

struct list {
    json_t *array;
    uint64_t now;
    bool relays;
    size_t bytes; /* of all that the relays reach */
};

static bool add_route(void *ctx, struct plait_server *server)
{
    struct list *l = ctx;

    if (!server->reg.is_relay)
        return true;
    for (size_t i = 0; i < server->reg.reach_count; i++)
        l->bytes += strlen(server->reg.reaches[i]);
    if (json_array_size(l->array) >= PLAIT_ANSWER_ROUTES_MAX || l->bytes > PLAIT_ANSWER_REACHES_MAX)
        return false;
    json_array_append_new(l->array, plait_route_json(server, l->now));
    return true;
}

json_t *plait_answer_json(const struct plait_catalog *c, const char *name,
                          const struct plait_versions *versions, bool conflict, uint64_t now)
{
    json_t *all = json_array();
    struct list routes = {.array = json_array(), .now = now};
    char path[PLAIT_STREAM_PATH_MAX];

    for (size_t i = 0; i < versions->count && i < PLAIT_ANSWER_VERSIONS_MAX; i++)
        json_array_append_new(all, version_json(&versions->all[i], name, now));
    if (plait_catalog_counts(c).relays > 0)
        plait_catalog_each_server(c, add_route, &routes);
    return json_pack("{s:s, s:b, s:o, s:o, s:s++}", "name", name, "conflict", conflict, "versions", all,
                     "routes", routes.array, "events", "/", plait_stream_name_encode(name, path), "?events");
}

/* The fields of a redirection. */

static char *base64_field(const char *before, const uint8_t *bytes, size_t len, const char *after, char *old)
{
    unsigned char text[BASE64_MAX];
    char *field = NULL;

    EVP_EncodeBlock(text, bytes, (int)len);
    if (asprintf(&field, "%s%s%s%s%s", old != NULL ? old : "", old != NULL ? ", " : "", before, text, after) <
        0)
        field = NULL;
    free(old);
    return field;
}

static void add_digests(const struct plait_digests *d, struct plait_redirect *r)
{
    if (d->has_sha256) {
        r->digest = base64_field("SHA-256=", d->sha256, sizeof d->sha256, "", r->digest);
        r->repr_digest = base64_field("sha-256=:", d->sha256, sizeof d->sha256, ":", r->repr_digest);
    }
    if (d->has_sha512) {
        r->digest = base64_field("SHA-512=", d->sha512, sizeof d->sha512, "", r->digest);
        r->repr_digest = base64_field("sha-512=:", d->sha512, sizeof d->sha512, ":", r->repr_digest);
    }
}

/* Links to the other sources, the better the smaller `pri`, and to what says more. */
static char *make_links(const char *name, const struct plait_version *v)
{
    char path[PLAIT_STREAM_PATH_MAX], *links = malloc(PLAIT_ANSWER_FIELDS_MAX);
    size_t used;

    if (links == NULL)
        return NULL;
    plait_stream_name_encode(name, path);
    used =
        (size_t)snprintf(links, PLAIT_ANSWER_FIELDS_MAX,
                         "</%s?format=metalink>; rel=describedby; type=\"application/metalink4+xml\"", path);
    for (size_t i = 1; i < v->count && i <= PLAIT_ANSWER_LINKS_MAX; i++) {
        char *url = plait_source_url(v->sources[i], name);
        size_t room = PLAIT_ANSWER_FIELDS_MAX - used;
        int len =
            url != NULL ? snprintf(links + used, room, ", <%s>; rel=duplicate; pri=%zu", url, i + 1) : 0;
        free(url);
        if ((size_t)len >= room) {
            links[used] = '\0';
            break;
        }
        used += (size_t)len;
    }
    return links;
}

int plait_answer_redirect(const char *name, const struct plait_version *version, struct plait_redirect *out)
{
    struct plait_redirect r = {.location = plait_source_url(version->sources[0], name),
                               .links = make_links(name, version)};

    add_digests(&version->digests, &r);
    if (r.location != NULL && r.links != NULL) {
        *out = r;
        return PLAIT_OK;
    }
    plait_redirect_done(&r);
    return PLAIT_ERR_NOMEM;
}

void plait_redirect_done(struct plait_redirect *r)
{
    free(r->location);
    free(r->links);
    free(r->digest);
    free(r->repr_digest);
    memset(r, 0, sizeof *r);
}

/* The overview. */

static bool add_server(void *ctx, struct plait_server *server)
{
    struct list *l = ctx;

    if (l->relays)
        return add_route(ctx, server);
    if (server->reg.is_relay)
        return true;
    json_t *o = json_pack("{s:s, s:s, s:b, s:I}", "server", server->id, "url", server->reg.url, "healthy",
                          plait_server_is_healthy(server, l->now), "streams", (json_int_t)server->reg.count);
    json_array_append_new(l->array, o);
    return true;
}

static json_t *list_servers(const struct plait_catalog *c, bool relays, uint64_t now)
{
    struct list l = {.array = json_array(), .now = now, .relays = relays};

    plait_catalog_each_server(c, add_server, &l);
    return l.array;
}

json_t *plait_answer_overview(struct plait_catalog *c, const char *after, const char *store, uint64_t now)
{
    static struct plait_stream *streams[PLAIT_ANSWER_PAGE_STREAMS];
    struct plait_catalog_counts counts = plait_catalog_counts(c);
    size_t listed = plait_catalog_list(c, after, streams, PLAIT_ANSWER_PAGE_STREAMS);
    json_t *names = json_array();

    for (size_t i = 0; i < listed; i++)
        json_array_append_new(names, json_pack("{s:s, s:I}", "name", streams[i]->name, "holders",
                                               (json_int_t)streams[i]->count));
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:o, s:o, s:o}", "plait", "director", "version",
                     PLAIT_VERSION, "store", store, "server_count", (json_int_t)counts.servers, "relay_count",
                     (json_int_t)counts.relays, "stream_count", (json_int_t)counts.streams, "servers",
                     list_servers(c, false, now), "routes", list_servers(c, true, now), "streams", names);
}
