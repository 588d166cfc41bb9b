/*
 * Registrations. A request is authenticated by its head; when its body is there it becomes a task, which outlives the
 * request if the client goes away. The task asks the store whether the signature was used before, then lets it do the
 * change, and at last changes the catalog: what the store has not taken has not happened.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "direct_int.h"
#include "units.h"

#define ONCE_MS       300000u /* more than a signature lives */
#define CONFLICTS_MAX 16
#define EXAMINED_MAX  256 /* names of one registration that are looked at closely */
#define COMPARED_MAX  8   /* holders of a name that are looked at at all */

enum verb { PUT, POST, DELETE };

struct task {
    struct plait_direct *direct;
    struct plait_request *request; /* NULL: the client has gone */
    bool is_running;               /* the store has it */
    enum verb verb;
    char id[PLAIT_SERVER_ID_MAX + 1];
    char owner[PLAIT_REGISTRATION_OWNER_MAX + 1];
    struct plait_signature signature;
    struct plait_registration registration; /* to be put; url NULL: none */
    bool is_new;
    bool has_claim; /* has marked the server as pending */
};

static void free_task(struct task *t)
{
    plait_registration_done(&t->registration);
    free(t);
}

/* The request is over, answered or not. */
static void release_task(void *data)
{
    struct task *t = data;

    t->request = NULL;
    if (!t->is_running)
        free_task(t);
}

static void refuse(struct task *t, unsigned status, const char *words)
{
    if (t->request != NULL)
        plait_direct_refuse(t->request, status, words);
}

/* The end of what the store does for the task. */
static void settle(struct task *t)
{
    struct plait_server *server = plait_catalog_server(t->direct->catalog, t->id);

    if (server != NULL && t->has_claim)
        server->is_pending = false;
    t->has_claim = t->is_running = false;
    if (t->request == NULL)
        free_task(t);
}

static void refuse_store(struct task *t)
{
    static const struct plait_web_field later = {"Retry-After", "2"};
    json_t *o = json_pack("{s:s}", "error", "the director's store is out of reach");

    if (t->direct->store->is_up) /* otherwise it has been said */
        plait_direct_say("store: %s", t->direct->store->error);
    if (t->request != NULL)
        plait_direct_answer(t->request, 503, o, &later, 1);
    else
        json_decref(o);
}

/* Answers. */

/* Whether one of the first other holders seems to hold something else: cheap, and no more than a suspicion. */
static bool is_suspicious(const struct plait_stream *s, const struct plait_server *server,
                          const struct plait_entry *e)
{
    for (size_t i = 0, compared = 0; i < s->count && compared < COMPARED_MAX; i++) {
        const struct plait_entry *other = plait_registration_find(&s->holders[i]->reg, s->name);
        if (s->holders[i] == server || other == NULL)
            continue;
        if (!plait_entry_same(e, other))
            return true;
        compared++;
    }
    return false;
}

/* The names that others surely hold with other content, up to a bound. */
static json_t *conflicts_of(const struct plait_direct *d, const struct plait_server *server)
{
    static const struct plait_wish all;
    json_t *names = json_array();
    size_t examined = 0;

    for (size_t i = 0;
         i < server->reg.count && json_array_size(names) < CONFLICTS_MAX && examined < EXAMINED_MAX; i++) {
        const struct plait_entry *e = &server->reg.entries[i];
        const struct plait_stream *s = plait_catalog_stream(d->catalog, e->name);
        struct plait_versions v;
        if (s == NULL || !is_suspicious(s, server, e))
            continue;
        examined++;
        if (plait_versions_of(s, &all, 0, d->loop.now, &v) != PLAIT_OK)
            continue;
        if (plait_versions_contradict(&v))
            json_array_append_new(names, json_string(s->name));
        plait_versions_done(&v);
    }
    return names;
}

static void say_conflicts(const struct task *t, const json_t *names)
{
    const char *first = json_string_value(json_array_get(names, 0));

    if (first != NULL)
        plait_direct_say("%s (%s) holds %s%s otherwise than others do: they are kept apart", t->id, t->owner,
                         first, json_array_size(names) > 1 ? " and more" : "");
}

static void answer_registered(struct task *t, bool changed)
{
    struct plait_server *server = plait_catalog_server(t->direct->catalog, t->id);
    json_t *names = changed ? conflicts_of(t->direct, server) : json_array();

    say_conflicts(t, names);
    json_t *o = json_pack("{s:s, s:I, s:I, s:o}", "id", t->id, "ttl_ms", (json_int_t)server->reg.ttl_ms,
                          "streams", (json_int_t)server->reg.count, "conflicts", names);
    if (t->request != NULL)
        plait_direct_answer(t->request, t->is_new ? 201 : 200, o, NULL, 0);
    else
        json_decref(o);
}

/* PUT, and POST with something in it. */

static void on_put(void *ctx, int err)
{
    struct task *t = ctx;
    struct plait_direct *d = t->direct;
    uint64_t expires = d->loop.now + t->registration.ttl_ms * PLAIT_MS;

    if (err != PLAIT_OK) {
        refuse_store(t);
    } else if (plait_catalog_put(d->catalog, t->id, &t->registration, expires) != PLAIT_OK) {
        refuse(t, 507, "the director is full");
    } else {
        if (t->is_new)
            plait_direct_say("%s registered by %s", t->id, t->owner);
        answer_registered(t, true);
    }
    settle(t);
}

static void claim(struct task *t, struct plait_server *server)
{
    t->has_claim = server != NULL;
    if (server != NULL)
        server->is_pending = true;
}

static void put(struct task *t)
{
    struct plait_direct *d = t->direct;
    struct plait_server *server = plait_catalog_server(d->catalog, t->id);
    char *text;

    snprintf(t->registration.owner, sizeof t->registration.owner, "%s", t->owner);
    if (plait_catalog_check(d->catalog, t->id, &t->registration) != PLAIT_OK) {
        refuse(t, 507, "the director is full");
        settle(t);
        return;
    }
    text = plait_registration_encode(&t->registration);
    t->is_new = server == NULL;
    claim(t, server);
    if (text != NULL)
        d->store->ops->put(d->store, t->id, text, strlen(text), t->registration.ttl_ms, on_put, t);
    else
        on_put(t, PLAIT_ERR_IO);
    free(text);
}

/* POST with nothing in it: a heartbeat. */

static void on_touched(void *ctx, int err)
{
    struct task *t = ctx;
    struct plait_server *server = plait_catalog_server(t->direct->catalog, t->id);

    if (err == PLAIT_ERR_IO) {
        refuse_store(t);
    } else if (err != PLAIT_OK || server == NULL) {
        refuse(t, 404, "no such server: it has to register");
    } else {
        server->expires = t->direct->loop.now + server->reg.ttl_ms * PLAIT_MS;
        answer_registered(t, false);
    }
    settle(t);
}

static void change(struct task *t, const struct plait_server *server, const struct plait_change *c)
{
    int err =
        server->reg.is_relay ? PLAIT_ERR_ARG : plait_registration_change(&server->reg, c, &t->registration);

    if (err == PLAIT_OK) {
        put(t);
        return;
    }
    if (err == PLAIT_ERR_ARG)
        refuse(t, 400, "a relay has no streams");
    else
        refuse(t, 507, "too many streams");
    settle(t);
}

static void post(struct task *t, const char *body, size_t len)
{
    struct plait_direct *d = t->direct;
    struct plait_server *server = plait_catalog_server(d->catalog, t->id);
    struct plait_change c;
    char fault[PLAIT_FAULT_MAX];

    if (server == NULL || plait_change_decode(body, len, &c, fault) != PLAIT_OK) {
        refuse(t, server == NULL ? 404 : 400, server == NULL ? "no such server: it has to register" : fault);
        settle(t);
        return;
    }
    if (c.add_count > 0 || c.remove_count > 0)
        change(t, server, &c);
    else
        d->store->ops->touch(d->store, t->id, server->reg.ttl_ms, on_touched, t); /* `t` may be gone now */
    plait_change_done(&c);
}

/* DELETE. */

static void on_dropped(void *ctx, int err)
{
    struct task *t = ctx;

    if (err == PLAIT_ERR_IO) {
        refuse_store(t);
    } else {
        plait_direct_say("%s has left", t->id);
        plait_catalog_drop(t->direct->catalog, t->id, PLAIT_CATALOG_LEFT);
        if (t->request != NULL)
            plait_web_answer(t->request, 204, NULL, "", 0, NULL, 0);
    }
    settle(t);
}

/* The signature has not been used before. */
static void perform(struct task *t)
{
    struct plait_direct *d = t->direct;
    struct plait_server *server = plait_catalog_server(d->catalog, t->id);
    size_t len;
    const char *body = t->request != NULL ? plait_request_body(t->request, &len) : NULL;

    if (body == NULL) { /* nobody waits for it any more */
        settle(t);
    } else if (server != NULL && strcmp(server->reg.owner, t->owner) != 0) {
        refuse(t, 403, "somebody else has registered that server");
        settle(t);
    } else if (server != NULL && server->is_pending) {
        refuse(t, 409, "another change of that server is under way");
        settle(t);
    } else if (t->verb == PUT) {
        put(t);
    } else if (t->verb == POST) {
        post(t, body, len);
    } else if (server == NULL) {
        refuse(t, 404, "no such server");
        settle(t);
    } else {
        claim(t, server);
        d->store->ops->drop(d->store, t->id, on_dropped, t);
    }
}

static void on_once(void *ctx, int err)
{
    struct task *t = ctx;

    if (err == PLAIT_OK) {
        perform(t);
        return;
    }
    if (err == PLAIT_ERR_STATE)
        refuse(t, 401, "the signature has been used before");
    else
        refuse_store(t);
    settle(t);
}

static bool is_body_signed(const struct task *t, const char *body, size_t len)
{
    char hash[PLAIT_SIGN_HEX + 1];

    return plait_sign_hash(body, len, hash) == PLAIT_OK && strcmp(hash, t->signature.body) == 0;
}

void plait_direct_register_whole(struct plait_direct *d, struct plait_request *r)
{
    struct task *t = plait_request_data(r);
    char key[PLAIT_STORE_KEY_MAX + 1], fault[PLAIT_FAULT_MAX];
    size_t len;
    const char *body = plait_request_body(r, &len);

    if (t->signature.key[0] != '\0' && !is_body_signed(t, body, len)) {
        plait_direct_refuse(r, 401, "the body is not the one that was signed");
        return;
    }
    if (t->verb == PUT && plait_registration_decode(body, len, false, &t->registration, fault) != PLAIT_OK) {
        plait_direct_refuse(r, 400, fault);
        return;
    }
    t->is_running = true;
    if (t->signature.key[0] == '\0') {
        perform(t);
        return;
    }
    snprintf(key, sizeof key, "%s:%s", t->signature.key, t->signature.nonce);
    d->store->ops->once(d->store, key, ONCE_MS, on_once, t);
}

static int verb_of(const char *method, enum verb *out)
{
    static const char *const names[] = {[PUT] = "PUT", [POST] = "POST", [DELETE] = "DELETE"};

    for (size_t i = 0; i < PLAIT_COUNT(names); i++)
        if (strcmp(method, names[i]) == 0) {
            *out = (enum verb)i;
            return PLAIT_OK;
        }
    return PLAIT_ERR_NOTFOUND;
}

void plait_direct_register_head(struct plait_direct *d, struct plait_request *r)
{
    static const struct plait_web_field allow = {"Allow", "PUT, POST, DELETE"};
    const char *id = plait_request_target(r) + strlen(PLAIT_DIRECT_API);
    struct task t = {.direct = d, .request = r};

    if (verb_of(plait_request_method(r), &t.verb) != PLAIT_OK) {
        plait_direct_answer(r, 405, json_pack("{s:s}", "error", "PUT, POST or DELETE"), &allow, 1);
        return;
    }
    if (!plait_server_id_is_good(id)) {
        plait_direct_refuse(r, 400,
                            "a server's id has 1 to 128 letters, digits, and . _ ~ - not at its front");
        return;
    }
    if (plait_direct_authenticate(d, r, &t.signature, t.owner) != PLAIT_OK)
        return;
    snprintf(t.id, sizeof t.id, "%s", id);
    struct task *task = malloc(sizeof *task);
    if (task == NULL) {
        plait_direct_refuse(r, 503, "out of memory");
        return;
    }
    *task = t;
    plait_request_set_data(r, task, release_task);
}
