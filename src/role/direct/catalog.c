#include "catalog.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "units.h"

struct plait_catalog {
    void *servers; /* tree of struct plait_server, by id */
    void *streams; /* tree of struct plait_stream, by name: it is strangers who choose the names */
    struct plait_catalog_counts counts;
    struct plait_stream **sorted; /* NULL: to be made */
    void (*changed)(void *ctx, enum plait_catalog_event event, const struct plait_server *server,
                    const char *name);
    void *ctx;
};

static int compare_servers(const void *a, const void *b)
{
    return strcmp(((const struct plait_server *)a)->id, ((const struct plait_server *)b)->id);
}

static int compare_streams(const void *a, const void *b)
{
    return strcmp(((const struct plait_stream *)a)->name, ((const struct plait_stream *)b)->name);
}

struct plait_catalog *plait_catalog_new(void (*changed)(void *ctx, enum plait_catalog_event event,
                                                        const struct plait_server *server, const char *name),
                                        void *ctx)
{
    struct plait_catalog *c = calloc(1, sizeof *c);

    if (c != NULL) {
        c->changed = changed;
        c->ctx = ctx;
    }
    return c;
}

static void free_server(void *server)
{
    plait_registration_done(&((struct plait_server *)server)->reg);
    free(server);
}

static void free_stream(void *node)
{
    struct plait_stream *stream = node;

    free(stream->name);
    free(stream->holders);
    free(stream);
}

void plait_catalog_free(struct plait_catalog *c)
{
    if (c == NULL)
        return;
    tdestroy(c->servers, free_server);
    tdestroy(c->streams, free_stream);
    free(c->sorted);
    free(c);
}

struct plait_server *plait_catalog_server(const struct plait_catalog *c, const char *id)
{
    struct plait_server probe, **node;

    if (strlen(id) > PLAIT_SERVER_ID_MAX)
        return NULL;
    memcpy(probe.id, id, strlen(id) + 1);
    node = tfind(&probe, &c->servers, compare_servers);
    return node != NULL ? *node : NULL;
}

struct plait_stream *plait_catalog_stream(const struct plait_catalog *c, const char *name)
{
    struct plait_stream probe = {.name = (char *)name};
    struct plait_stream **node = tfind(&probe, &c->streams, compare_streams);

    return node != NULL ? *node : NULL;
}

struct plait_catalog_counts plait_catalog_counts(const struct plait_catalog *c)
{
    return c->counts;
}

/* Streams. */

static void forget_order(struct plait_catalog *c)
{
    free(c->sorted);
    c->sorted = NULL;
}

static struct plait_stream *add_stream(struct plait_catalog *c, const char *name)
{
    struct plait_stream *stream = calloc(1, sizeof *stream);

    if (stream != NULL && (stream->name = strdup(name)) != NULL &&
        tsearch(stream, &c->streams, compare_streams) != NULL) {
        c->counts.streams++;
        forget_order(c);
        return stream;
    }
    if (stream != NULL)
        free(stream->name);
    free(stream);
    return NULL;
}

static void remove_stream_if_empty(struct plait_catalog *c, struct plait_stream *stream)
{
    if (stream->count > 0)
        return;
    tdelete(stream, &c->streams, compare_streams);
    free_stream(stream);
    c->counts.streams--;
    forget_order(c);
}

static bool holds(const struct plait_stream *stream, const struct plait_server *server)
{
    for (size_t i = 0; i < stream->count; i++)
        if (stream->holders[i] == server)
            return true;
    return false;
}

static int add_holder(struct plait_catalog *c, const char *name, struct plait_server *server)
{
    struct plait_stream *stream = plait_catalog_stream(c, name);

    if (stream == NULL && (stream = add_stream(c, name)) == NULL)
        return PLAIT_ERR_NOMEM;
    if (holds(stream, server))
        return PLAIT_OK;
    if (stream->count == stream->room) {
        size_t room = stream->room > 0 ? stream->room * 2 : 2;
        struct plait_server **more = reallocarray(stream->holders, room, sizeof(struct plait_server *));
        if (more == NULL) {
            remove_stream_if_empty(c, stream);
            return PLAIT_ERR_NOMEM;
        }
        stream->holders = more;
        stream->room = room;
    }
    stream->holders[stream->count++] = server;
    return PLAIT_OK;
}

static void remove_holder(struct plait_catalog *c, const char *name, const struct plait_server *server)
{
    struct plait_stream *stream = plait_catalog_stream(c, name);
    size_t i = 0;

    if (stream == NULL)
        return;
    while (i < stream->count && stream->holders[i] != server)
        i++;
    if (i == stream->count)
        return;
    memmove(&stream->holders[i], &stream->holders[i + 1],
            (stream->count - i - 1) * sizeof(struct plait_server *));
    stream->count--;
    remove_stream_if_empty(c, stream);
}

/* Putting in. */

int plait_catalog_check(const struct plait_catalog *c, const char *id, const struct plait_registration *r)
{
    const struct plait_server *old = plait_catalog_server(c, id);
    size_t servers = c->counts.servers + c->counts.relays, entries = c->counts.entries;

    if (old == NULL && servers >= PLAIT_CATALOG_SERVERS_MAX)
        return PLAIT_ERR_LIMIT;
    if (entries - (old != NULL ? old->reg.count : 0) + r->count > PLAIT_CATALOG_ENTRIES_MAX)
        return PLAIT_ERR_LIMIT;
    return PLAIT_OK;
}

/* Enters the server with the streams that it is to have; takes it out again where memory lacks for one. */
static int enter_all(struct plait_catalog *c, struct plait_server *server, const struct plait_registration *r)
{
    for (size_t i = 0; i < r->count; i++) {
        if (add_holder(c, r->entries[i].name, server) == PLAIT_OK)
            continue;
        for (size_t j = 0; j < i; j++)
            if (plait_registration_find(&server->reg, r->entries[j].name) == NULL)
                remove_holder(c, r->entries[j].name, server);
        return PLAIT_ERR_NOMEM;
    }
    return PLAIT_OK;
}

static void tell(struct plait_catalog *c, enum plait_catalog_event event, const struct plait_server *server,
                 const char *name)
{
    if (c->changed != NULL)
        c->changed(c->ctx, event, server, name);
}

/* What the new registration brings, while the server already has it. */
static void tell_arrivals(struct plait_catalog *c, const struct plait_server *server,
                          const struct plait_registration *old)
{
    bool moved = old->url != NULL && strcmp(old->url, server->reg.url) != 0;

    for (size_t i = 0; i < server->reg.count; i++) {
        const struct plait_entry *e = &server->reg.entries[i],
                                 *before = plait_registration_find(old, e->name);
        if (before == NULL)
            tell(c, PLAIT_CATALOG_JOINED, server, e->name);
        else if (moved || !plait_entry_same(before, e))
            tell(c, PLAIT_CATALOG_CHANGED, server, e->name);
    }
    if (server->reg.is_relay && (old->url == NULL || !old->is_relay))
        tell(c, PLAIT_CATALOG_JOINED, server, NULL);
    else if (server->reg.is_relay && moved)
        tell(c, PLAIT_CATALOG_CHANGED, server, NULL);
}

/* What the old registration had, and the new one has not. The server still has the old one. */
static void take_leave(struct plait_catalog *c, struct plait_server *server,
                       const struct plait_registration *fresh, enum plait_catalog_event event)
{
    for (size_t i = 0; i < server->reg.count; i++) {
        const char *name = server->reg.entries[i].name;
        if (plait_registration_find(fresh, name) != NULL)
            continue;
        remove_holder(c, name, server);
        tell(c, event, server, name);
    }
    if (server->reg.is_relay && !fresh->is_relay)
        tell(c, event, server, NULL);
}

static void count(struct plait_catalog *c, const struct plait_registration *r, int sign)
{
    size_t one = (size_t)sign; /* subtracting is adding the complement */

    if (r->url == NULL)
        return;
    if (r->is_relay)
        c->counts.relays += one;
    else
        c->counts.servers += one;
    c->counts.entries += one * r->count;
}

static struct plait_server *find_or_add(struct plait_catalog *c, const char *id)
{
    struct plait_server *server = plait_catalog_server(c, id);

    if (server != NULL || strlen(id) > PLAIT_SERVER_ID_MAX || (server = calloc(1, sizeof *server)) == NULL)
        return server;
    memcpy(server->id, id, strlen(id) + 1);
    if (tsearch(server, &c->servers, compare_servers) != NULL)
        return server;
    free(server);
    return NULL;
}

static void remove_server(struct plait_catalog *c, struct plait_server *server)
{
    tdelete(server, &c->servers, compare_servers);
    free_server(server);
}

int plait_catalog_put(struct plait_catalog *c, const char *id, struct plait_registration *r, uint64_t expires)
{
    int err = plait_catalog_check(c, id, r);
    struct plait_server *server = err == PLAIT_OK ? find_or_add(c, id) : NULL;

    if (err == PLAIT_OK)
        err = server != NULL ? enter_all(c, server, r) : PLAIT_ERR_NOMEM;
    if (err != PLAIT_OK) {
        if (server != NULL && server->reg.url == NULL)
            remove_server(c, server);
        plait_registration_done(r);
        return err;
    }
    struct plait_registration old = server->reg;
    take_leave(c, server, r, PLAIT_CATALOG_LEFT);
    server->reg = *r;
    server->expires = expires;
    memset(r, 0, sizeof *r);
    count(c, &old, -1);
    count(c, &server->reg, 1);
    tell_arrivals(c, server, &old);
    plait_registration_done(&old);
    return PLAIT_OK;
}

int plait_catalog_drop(struct plait_catalog *c, const char *id, enum plait_catalog_event event)
{
    static const struct plait_registration nothing;
    struct plait_server *server = plait_catalog_server(c, id);

    if (server == NULL)
        return PLAIT_ERR_NOTFOUND;
    count(c, &server->reg, -1);
    take_leave(c, server, &nothing, event);
    remove_server(c, server);
    return PLAIT_OK;
}

/* Walking. */

struct walk {
    bool (*visit)(void *ctx, struct plait_server *server);
    void *ctx;
    bool ended;
};

static void visit_server(const void *node, VISIT which, void *closure)
{
    struct walk *w = closure;

    if ((which == postorder || which == leaf) && !w->ended)
        w->ended = !w->visit(w->ctx, *(struct plait_server *const *)node);
}

void plait_catalog_each_server(const struct plait_catalog *c,
                               bool (*visit)(void *ctx, struct plait_server *server), void *ctx)
{
    struct walk w = {.visit = visit, .ctx = ctx};

    twalk_r(c->servers, visit_server, &w);
}

static void collect_stream(const void *node, VISIT which, void *closure)
{
    struct plait_stream ***at = closure;

    if (which == postorder || which == leaf)
        *(*at)++ = *(struct plait_stream *const *)node;
}

size_t plait_catalog_list(struct plait_catalog *c, const char *after, struct plait_stream **out, size_t max)
{
    size_t low = 0, high = c->counts.streams, used = 0;

    if (c->sorted == NULL) {
        c->sorted = calloc(c->counts.streams + 1, sizeof(struct plait_stream *));
        struct plait_stream **at = c->sorted;
        if (c->sorted == NULL)
            return 0;
        twalk_r(c->streams, collect_stream, &at);
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(c->sorted[middle]->name, after) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < c->counts.streams && used < max; low++)
        out[used++] = c->sorted[low];
    return used;
}

bool plait_server_is_healthy(const struct plait_server *server, uint64_t now)
{
    return plait_since(server->expires, now) > server->reg.ttl_ms * PLAIT_MS / 3;
}
