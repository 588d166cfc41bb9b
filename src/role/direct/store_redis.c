/*
 * Theory of operation. Under `plait:server:ID` lies a server's document, with its time as the key's own; `plait:servers`
 * is the set of ids, and `plait:once:KEY` are keys that have been used. Each change is one script, so that it happens as
 * a whole, and publishes itself on the channel `plait:events:NUMBER`:
 *
 *     put INSTANCE ID · touch INSTANCE MILLISECONDS ID · drop INSTANCE ID · ping INSTANCE
 *
 * INSTANCE is a director, which passes over what it has published itself. Two connections are held, one for commands and
 * one for the channel; the store is up when both are, and all documents have been read after the channel was subscribed
 * to. Every two seconds a ping has to come round through both; where none comes for six, both are closed and begun anew.
 */
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <openssl/rand.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redis_loop.h"
#include "store.h"
#include "stream_name.h"
#include "units.h"

#define TICK_NS        (500 * PLAIT_MS)
#define PING_NS        (2 * PLAIT_S)
#define SILENCE_NS     (6 * PLAIT_S)
#define RETRY_NS_FIRST (250 * PLAIT_MS)
#define RETRY_NS_MAX   (1 * PLAIT_S)
#define LOADING_MAX    16 /* documents under way at once */
#define HOST_MAX       256
#define INSTANCE_LEN   16
#define SERVER_KEY     "plait:server:%s"

static const char put_script[] =
    "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) redis.call('SADD', KEYS[2], ARGV[3]) "
    "redis.call('PUBLISH', ARGV[4], ARGV[5]) return 1";
static const char touch_script[] = "if redis.call('PEXPIRE', KEYS[1], ARGV[1]) == 0 then return 0 end "
                                   "redis.call('PUBLISH', ARGV[2], ARGV[3]) return 1";
static const char drop_script[] = "redis.call('SREM', KEYS[2], ARGV[1]) local n = redis.call('DEL', KEYS[1]) "
                                  "redis.call('PUBLISH', ARGV[2], ARGV[3]) return n";
static const char fetch_script[] = "return {redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])}";
/* An id whose document has lived too long leaves the set, unless it is back already. */
static const char tidy_script[] =
    "if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('SREM', KEYS[2], ARGV[1]) end "
    "return 1";

/* A command that waits for its reply. */
struct pending {
    struct redis *redis;
    unsigned era; /* of the connection; its replies mean nothing in a later one */
    void (*reply)(struct pending *p, const redisReply *reply); /* `reply` NULL: the connection broke */
    plait_store_done done;
    plait_store_told told;
    void *ctx;
    char id[PLAIT_SERVER_ID_MAX + 1];
    bool is_counted; /* a document that is read among all others */
};

struct redis {
    struct plait_store store;
    char host[HOST_MAX], password[HOST_MAX], port[8], channel[48], instance[INSTANCE_LEN + 1];
    int number;
    struct plait_timer timer;
    uv_getaddrinfo_t resolver;
    bool is_resolving, is_closed;
    char address[64]; /* that the host has */
    redisAsyncContext *commands, *events;
    unsigned era;
    uint64_t heard, pinged, retry_at, retry_ns;
    char **to_load; /* ids */
    size_t load_count, load_at, loading;
    bool is_loading;
};

static void fail(struct redis *r, const char *why);
static void load_more(struct redis *r);

/* Commands. */

static void on_reply(redisAsyncContext *context, void *reply, void *privdata)
{
    struct pending *p = privdata;
    struct redis *r = p->redis;
    bool current = p->era == r->era && reply != NULL;

    (void)context;
    if (current)
        r->heard = r->store.loop->now;
    p->reply(p, current ? reply : NULL);
    free(p);
}

static struct pending *new_pending(struct redis *r, void (*reply)(struct pending *p, const redisReply *reply))
{
    struct pending *p = calloc(1, sizeof *p);

    if (p != NULL) {
        p->redis = r;
        p->era = r->era;
        p->reply = reply;
    }
    return p;
}

/* Sends; where that is not possible, the reply is that there is none. Takes p, which may be NULL. */
static void send_command(struct redis *r, struct pending *p, int count, ...)
{
    const char *words[16];
    size_t lens[16];
    va_list args;

    va_start(args, count);
    for (int i = 0; i < count; i++) {
        words[i] = va_arg(args, const char *);
        lens[i] = va_arg(args, size_t);
    }
    va_end(args);
    if (p == NULL)
        return;
    if (r->commands == NULL ||
        redisAsyncCommandArgv(r->commands, on_reply, p, count, words, lens) != REDIS_OK)
        on_reply(NULL, NULL, p);
}

#define WORD(text) (text), strlen(text)

static void note(struct redis *r, const char *why)
{
    snprintf(r->store.error, sizeof r->store.error, "redis %.100s:%s: %.300s", r->host, r->port, why);
}

/* A number, or −1 with `error`. */
static long long number_of(struct redis *r, const redisReply *reply)
{
    if (reply != NULL && reply->type == REDIS_REPLY_INTEGER)
        return reply->integer;
    if (reply != NULL && reply->type == REDIS_REPLY_ERROR)
        note(r, reply->str);
    return -1;
}

static void end_change(struct pending *p, const redisReply *reply)
{
    long long n = number_of(p->redis, reply);

    p->done(p->ctx, n > 0 ? PLAIT_OK : n == 0 ? PLAIT_ERR_NOTFOUND : PLAIT_ERR_IO);
}

static void end_once(struct pending *p, const redisReply *reply)
{
    bool taken = reply != NULL && reply->type == REDIS_REPLY_STATUS,
         known = reply != NULL && reply->type == REDIS_REPLY_NIL;

    if (!taken && !known)
        number_of(p->redis, reply); /* for its error */
    p->done(p->ctx, taken ? PLAIT_OK : known ? PLAIT_ERR_STATE : PLAIT_ERR_IO);
}

static void ignore(struct pending *p, const redisReply *reply)
{
    (void)p;
    (void)reply;
}

/* A pending change; where the store is not up or memory lacks, it has failed already, and NULL is returned. */
static struct pending *begin(struct redis *r, void (*reply)(struct pending *p, const redisReply *reply),
                             plait_store_done done, void *ctx)
{
    struct pending *p = r->store.is_up ? new_pending(r, reply) : NULL;

    if (p == NULL) {
        done(ctx, PLAIT_ERR_IO);
        return NULL;
    }
    p->done = done;
    p->ctx = ctx;
    return p;
}

static void redis_once(struct plait_store *s, const char *key, uint64_t ttl_ms, plait_store_done done,
                       void *ctx)
{
    struct redis *r = (struct redis *)s;
    struct pending *p = begin(r, end_once, done, ctx);
    char name[PLAIT_STORE_KEY_MAX + 32], ms[24];

    snprintf(name, sizeof name, "plait:once:%.*s", PLAIT_STORE_KEY_MAX, key);
    snprintf(ms, sizeof ms, "%" PRIu64, ttl_ms);
    send_command(r, p, 6, WORD("SET"), WORD(name), WORD("1"), WORD("NX"), WORD("PX"), WORD(ms));
}

static void redis_put(struct plait_store *s, const char *id, const char *text, size_t len, uint64_t ttl_ms,
                      plait_store_done done, void *ctx)
{
    struct redis *r = (struct redis *)s;
    struct pending *p = begin(r, end_change, done, ctx);
    char key[PLAIT_SERVER_ID_MAX + 32], ms[24], message[PLAIT_SERVER_ID_MAX + 64];

    snprintf(key, sizeof key, SERVER_KEY, id);
    snprintf(ms, sizeof ms, "%" PRIu64, ttl_ms);
    snprintf(message, sizeof message, "put %s %s", r->instance, id);
    send_command(r, p, 10, WORD("EVAL"), WORD(put_script), WORD("2"), WORD(key), WORD("plait:servers"), text,
                 len, WORD(ms), WORD(id), WORD(r->channel), WORD(message));
}

static void redis_touch(struct plait_store *s, const char *id, uint64_t ttl_ms, plait_store_done done,
                        void *ctx)
{
    struct redis *r = (struct redis *)s;
    struct pending *p = begin(r, end_change, done, ctx);
    char key[PLAIT_SERVER_ID_MAX + 32], ms[24], message[PLAIT_SERVER_ID_MAX + 96];

    snprintf(key, sizeof key, SERVER_KEY, id);
    snprintf(ms, sizeof ms, "%" PRIu64, ttl_ms);
    snprintf(message, sizeof message, "touch %s %s %s", r->instance, ms, id);
    send_command(r, p, 7, WORD("EVAL"), WORD(touch_script), WORD("1"), WORD(key), WORD(ms), WORD(r->channel),
                 WORD(message));
}

static void redis_drop(struct plait_store *s, const char *id, plait_store_done done, void *ctx)
{
    struct redis *r = (struct redis *)s;
    struct pending *p = begin(r, end_change, done, ctx);
    char key[PLAIT_SERVER_ID_MAX + 32], message[PLAIT_SERVER_ID_MAX + 64];

    snprintf(key, sizeof key, SERVER_KEY, id);
    snprintf(message, sizeof message, "drop %s %s", r->instance, id);
    send_command(r, p, 8, WORD("EVAL"), WORD(drop_script), WORD("2"), WORD(key), WORD("plait:servers"),
                 WORD(id), WORD(r->channel), WORD(message));
}

static void tidy(struct redis *r, const char *id)
{
    char key[PLAIT_SERVER_ID_MAX + 32];

    snprintf(key, sizeof key, SERVER_KEY, id);
    send_command(r, new_pending(r, ignore), 6, WORD("EVAL"), WORD(tidy_script), WORD("2"), WORD(key),
                 WORD("plait:servers"), WORD(id));
}

static void end_look(struct pending *p, const redisReply *reply)
{
    bool known = reply != NULL && reply->type == REDIS_REPLY_INTEGER;

    if (known && reply->integer > 0) {
        p->told(p->ctx, PLAIT_OK, (uint64_t)reply->integer);
        return;
    }
    if (known)
        tidy(p->redis, p->id);
    p->told(p->ctx, known ? PLAIT_ERR_NOTFOUND : PLAIT_ERR_IO, 0);
}

static void redis_look(struct plait_store *s, const char *id, plait_store_told told, void *ctx)
{
    struct redis *r = (struct redis *)s;
    struct pending *p = r->store.is_up ? new_pending(r, end_look) : NULL;
    char key[PLAIT_SERVER_ID_MAX + 32];

    if (p == NULL) {
        told(ctx, PLAIT_ERR_IO, 0);
        return;
    }
    p->told = told;
    p->ctx = ctx;
    snprintf(p->id, sizeof p->id, "%s", id);
    snprintf(key, sizeof key, SERVER_KEY, id);
    send_command(r, p, 2, WORD("PTTL"), WORD(key));
}

/* Documents. */

static void free_load(struct redis *r)
{
    for (size_t i = 0; i < r->load_count; i++)
        free(r->to_load[i]);
    free(r->to_load);
    r->to_load = NULL;
    r->load_count = r->load_at = r->loading = 0;
    r->is_loading = false;
}

static void end_fetch(struct pending *p, const redisReply *reply)
{
    struct redis *r = p->redis;
    bool whole = reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
                 reply->element[1]->type == REDIS_REPLY_INTEGER;

    if (whole && reply->element[0]->type == REDIS_REPLY_STRING && reply->element[1]->integer > 0)
        r->store.events->put(r->store.ctx, p->id, reply->element[0]->str, (size_t)reply->element[0]->len,
                             (uint64_t)reply->element[1]->integer);
    else if (whole)
        tidy(r, p->id);
    if (!p->is_counted || p->era != r->era)
        return;
    r->loading--;
    if (reply != NULL)
        load_more(r);
    else
        fail(r, "a document could not be asked for");
}

/* Reads a document and its time; `counted`: as one of those to be loaded. */
static bool fetch(struct redis *r, const char *id, bool counted)
{
    struct pending *p = new_pending(r, end_fetch);
    char key[PLAIT_SERVER_ID_MAX + 32];

    if (p == NULL)
        return false;
    snprintf(key, sizeof key, SERVER_KEY, id);
    snprintf(p->id, sizeof p->id, "%s", id);
    p->is_counted = counted;
    send_command(r, p, 4, WORD("EVAL"), WORD(fetch_script), WORD("1"), WORD(key));
    return true;
}

static void load_more(struct redis *r)
{
    while (r->is_loading && r->to_load != NULL && r->loading < LOADING_MAX && r->load_at < r->load_count) {
        r->loading++;
        if (!fetch(r, r->to_load[r->load_at++], true)) {
            fail(r, "out of memory");
            return;
        }
    }
    if (!r->is_loading || r->loading > 0)
        return;
    free_load(r);
    r->retry_ns = RETRY_NS_FIRST;
    r->store.is_up = true;
    r->store.events->state(r->store.ctx, true);
}

static void end_members(struct pending *p, const redisReply *reply)
{
    struct redis *r = p->redis;

    if (reply == NULL)
        return;
    if (reply->type != REDIS_REPLY_ARRAY) {
        fail(r, reply->type == REDIS_REPLY_ERROR ? reply->str : "unexpected reply");
        return;
    }
    r->is_loading = true;
    r->to_load = calloc(reply->elements + 1, sizeof *r->to_load);
    if (r->to_load == NULL) {
        fail(r, "out of memory");
        return;
    }
    for (size_t i = 0; i < reply->elements; i++) {
        const redisReply *id = reply->element[i];
        if (id->type != REDIS_REPLY_STRING || !plait_server_id_is_good(id->str))
            continue;
        if ((r->to_load[r->load_count] = strdup(id->str)) == NULL) {
            fail(r, "out of memory");
            return;
        }
        r->load_count++;
    }
    load_more(r);
}

/* The channel. */

static void on_message(struct redis *r, const char *text)
{
    char kind[8], instance[INSTANCE_LEN + 1], third[PLAIT_SERVER_ID_MAX + 1], fourth[PLAIT_SERVER_ID_MAX + 1];
    int count = sscanf(text, "%7s %16s %128s %128s", kind, instance, third, fourth);

    if (count < 2)
        return;
    if (strcmp(instance, r->instance) == 0) {
        if (strcmp(kind, "ping") == 0)
            r->heard = r->store.loop->now;
        return;
    }
    if (count == 3 && strcmp(kind, "put") == 0 && plait_server_id_is_good(third))
        (void)!fetch(r, third, false);
    else if (count == 4 && strcmp(kind, "touch") == 0)
        r->store.events->touched(r->store.ctx, fourth, strtoull(third, NULL, 10));
    else if (count == 3 && strcmp(kind, "drop") == 0)
        r->store.events->dropped(r->store.ctx, third);
}

static void on_event(redisAsyncContext *context, void *reply, void *privdata)
{
    struct redis *r = privdata;
    const redisReply *a = reply;

    if (a == NULL || context != r->events)
        return;
    if (a->type == REDIS_REPLY_ERROR) {
        fail(r, a->str);
        return;
    }
    if (a->type != REDIS_REPLY_ARRAY || a->elements != 3 || a->element[0]->type != REDIS_REPLY_STRING)
        return;
    if (strcmp(a->element[0]->str, "subscribe") == 0)
        send_command(r, new_pending(r, end_members), 2, WORD("SMEMBERS"), WORD("plait:servers"));
    else if (strcmp(a->element[0]->str, "message") == 0 && a->element[2]->type == REDIS_REPLY_STRING)
        on_message(r, a->element[2]->str);
}

/* Beginning, ending, beginning again. */

static void drop_connections(struct redis *r)
{
    redisAsyncContext *commands = r->commands, *events = r->events;

    r->era++;
    r->commands = r->events = NULL;
    free_load(r);
    if (commands != NULL)
        redisAsyncFree(commands);
    if (events != NULL)
        redisAsyncFree(events);
}

static void fail(struct redis *r, const char *why)
{
    bool was_up = r->store.is_up;
    char text[256];

    snprintf(text, sizeof text, "%s", why); /* it may lie in what is freed now */
    note(r, text);
    r->store.is_up = false;
    drop_connections(r);
    if (r->is_closed)
        return;
    r->retry_at = r->store.loop->now + r->retry_ns;
    r->retry_ns = plait_min_u64(r->retry_ns * 2, RETRY_NS_MAX);
    if (was_up || r->retry_ns == RETRY_NS_FIRST * 2)
        r->store.events->state(r->store.ctx, false);
}

static bool is_ours(const struct redis *r, const redisAsyncContext *context)
{
    return context == r->commands || context == r->events;
}

static void on_connected(const redisAsyncContext *context, int status)
{
    struct redis *r = context->data;
    char why[160];

    if (status == REDIS_OK || !is_ours(r, context))
        return;
    snprintf(why, sizeof why, "%s", context->errstr);
    /* hiredis frees this one itself. */
    if (context == r->commands)
        r->commands = NULL;
    else
        r->events = NULL;
    fail(r, why);
}

static void on_disconnected(const redisAsyncContext *context, int status)
{
    struct redis *r = context->data;
    char why[160];

    (void)status;
    if (!is_ours(r, context))
        return;
    snprintf(why, sizeof why, "%s", context->err != 0 ? context->errstr : "closed the connection");
    if (context == r->commands)
        r->commands = NULL;
    else
        r->events = NULL;
    fail(r, why);
}

static void end_greeting(struct pending *p, const redisReply *reply)
{
    if (reply != NULL && reply->type == REDIS_REPLY_ERROR)
        fail(p->redis, reply->str);
}

static void on_greeting(redisAsyncContext *context, void *reply, void *privdata)
{
    const redisReply *a = reply;

    if (a != NULL && a->type == REDIS_REPLY_ERROR && context == ((struct redis *)privdata)->events)
        fail(privdata, a->str);
}

static redisAsyncContext *dial(struct redis *r)
{
    redisAsyncContext *context = redisAsyncConnect(r->address, atoi(r->port));

    if (context == NULL || context->err != 0 || plait_redis_attach(r->store.loop, context) != PLAIT_OK) {
        if (context != NULL)
            redisAsyncFree(context);
        return NULL;
    }
    context->data = r;
    redisAsyncSetConnectCallback(context, on_connected);
    redisAsyncSetDisconnectCallback(context, on_disconnected);
    return context;
}

static void connect_both(struct redis *r)
{
    char number[16];

    r->heard = r->pinged = r->store.loop->now;
    r->commands = dial(r);
    r->events = dial(r);
    if (r->commands == NULL || r->events == NULL) {
        fail(r, "cannot connect");
        return;
    }
    if (r->password[0] != '\0') {
        send_command(r, new_pending(r, end_greeting), 2, WORD("AUTH"), WORD(r->password));
        redisAsyncCommand(r->events, on_greeting, r, "AUTH %s", r->password);
    }
    if (r->number != 0) {
        snprintf(number, sizeof number, "%d", r->number);
        send_command(r, new_pending(r, end_greeting), 2, WORD("SELECT"), WORD(number));
    }
    redisAsyncCommand(r->events, on_event, r, "SUBSCRIBE %s", r->channel);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct redis *r = request->data;

    plait_loop_enter(r->store.loop);
    r->is_resolving = false;
    if (!r->is_closed && (status != 0 || getnameinfo(list->ai_addr, list->ai_addrlen, r->address,
                                                     sizeof r->address, NULL, 0, NI_NUMERICHOST) != 0))
        fail(r, "its name cannot be resolved");
    else if (!r->is_closed)
        connect_both(r);
    uv_freeaddrinfo(list);
    plait_loop_leave(r->store.loop);
}

static void start(struct redis *r)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

    r->retry_at = PLAIT_NEVER;
    r->resolver.data = r;
    if (uv_getaddrinfo(&r->store.loop->uv, &r->resolver, on_resolved, r->host, NULL, &hints) != 0)
        fail(r, "its name cannot be resolved");
    else
        r->is_resolving = true;
}

static void ping(struct redis *r)
{
    char message[48];

    r->pinged = r->store.loop->now;
    snprintf(message, sizeof message, "ping %s", r->instance);
    send_command(r, new_pending(r, ignore), 3, WORD("PUBLISH"), WORD(r->channel), WORD(message));
}

static void on_tick(void *ctx)
{
    struct redis *r = ctx;
    uint64_t now = r->store.loop->now;

    plait_timer_set(&r->timer, now + TICK_NS);
    if (r->commands == NULL && r->events == NULL) {
        if (!r->is_resolving && now >= r->retry_at)
            start(r);
        return;
    }
    if (plait_since(now, r->heard) > SILENCE_NS)
        fail(r, "does not answer");
    else if (r->store.is_up && plait_since(now, r->pinged) >= PING_NS)
        ping(r);
}

static void redis_close(struct plait_store *s)
{
    struct redis *r = (struct redis *)s;

    r->is_closed = true;
    r->store.is_up = false;
    plait_timer_close(&r->timer);
    drop_connections(r);
    if (r->is_resolving)
        uv_cancel((uv_req_t *)&r->resolver);
}

static void redis_free(struct plait_store *s)
{
    explicit_bzero(((struct redis *)s)->password, HOST_MAX);
    free(s);
}

/* `[:PASSWORD@]HOST[:PORT][/NUMBER]`, IPv6 in brackets. */
static bool parse_rest(struct redis *r, const char *rest)
{
    const char *at = strrchr(rest, '@'), *from = rest;
    char host[HOST_MAX], *slash, *port;

    if (at != NULL) {
        if (rest[0] != ':' || (size_t)(at - rest) > sizeof r->password)
            return false;
        snprintf(r->password, sizeof r->password, "%.*s", (int)(at - rest - 1), rest + 1);
        from = at + 1;
    }
    if ((size_t)snprintf(host, sizeof host, "%s", from) >= sizeof host)
        return false;
    slash = strchr(host, '/');
    if (slash != NULL) {
        *slash = '\0';
        r->number = atoi(slash + 1);
    }
    port = host[0] == '[' ? strstr(host, "]:") : strrchr(host, ':');
    if (port != NULL) {
        snprintf(r->port, sizeof r->port, "%.6s", port + (host[0] == '[' ? 2 : 1));
        *port = '\0';
    }
    snprintf(r->host, sizeof r->host, "%s", host[0] == '[' ? host + 1 : host);
    r->host[strcspn(r->host, "]")] = '\0';
    return r->host[0] != '\0' && atoi(r->port) > 0 && atoi(r->port) <= UINT16_MAX && r->number >= 0;
}

struct plait_store *plait_store_redis_open(const char *rest, struct plait_loop *loop,
                                           char error[PLAIT_STORE_ERROR_MAX])
{
    static const struct plait_store_ops ops = {.once = redis_once,
                                               .put = redis_put,
                                               .touch = redis_touch,
                                               .drop = redis_drop,
                                               .look = redis_look,
                                               .close = redis_close,
                                               .free_memory = redis_free};
    struct redis *r = calloc(1, sizeof *r);
    const char *password = getenv("PLAIT_REDIS_PASSWORD");
    uint64_t random;

    if (r != NULL && password != NULL)
        snprintf(r->password, sizeof r->password, "%s", password);
    if (r != NULL)
        snprintf(r->port, sizeof r->port, "6379");
    if (r == NULL || RAND_bytes((unsigned char *)&random, sizeof random) != 1 || !parse_rest(r, rest)) {
        snprintf(error, PLAIT_STORE_ERROR_MAX, "not redis://[:PASSWORD@]HOST[:PORT][/NUMBER]");
        free(r);
        return NULL;
    }
    snprintf(r->instance, sizeof r->instance, "%016" PRIx64, random);
    snprintf(r->channel, sizeof r->channel, "plait:events:%d", r->number);
    r->store.ops = &ops;
    r->store.loop = loop;
    r->retry_ns = RETRY_NS_FIRST;
    plait_timer_init(&r->timer, loop, on_tick, r);
    plait_timer_set(&r->timer, loop->now);
    return &r->store;
}
