/*
 * Theory of operation. `want` is what the streams are, `known` what the director has been told; both are
 * sorted lists. The thread goes round: where we are not registered it registers (the first streams by PUT,
 * the others by POST); where `want` is not `known` it tells the difference; otherwise it sends a heartbeat
 * when one is due. Anything that fails makes it try the next director at once, and when all have failed,
 * wait; each wait is longer than the one before, up to the interval of the heartbeats. A director that does
 * not know us (any more) answers 404, and we register again.
 */
#include "registrar.h"

#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "registrar_list.h"
#include "stream_name.h"
#include "units.h"

#define TTL_MS_DEFAULT 30000u
#define TTL_MS_MIN     1000u
#define HEARTBEATS     3 /* in the time after which we would be forgotten */
#define WAIT_MS_FIRST  500u
#define CONNECT_MS     5000L
#define REQUEST_MS     30000L
#define FAREWELL_MS    1500L
#define ANSWER_MAX     (64 * PLAIT_KIB)
#define CHUNK_BYTES    PLAIT_MIB /* of JSON in one request, about */
#define CHUNK_ENTRIES  8192u
#define ENTRY_BYTES    320 /* of one stream's JSON besides its name, at most */
#define DIRECTORS_MAX  16
#define TEXT_MAX       1024

struct answer {
    char bytes[ANSWER_MAX];
    size_t len;
};

struct plait_registrar {
    struct plait_registrar_config config;
    char **directors;
    char **reaches;
    struct plait_secret secret;
    pthread_t thread;
    pthread_mutex_t mutex; /* for what follows, up to the empty line */
    pthread_cond_t wake;
    struct plait_stream_list *fresh; /* not yet seen by the thread, or NULL */
    bool leaving, ended, abandoned;

    atomic_bool is_registered;
    atomic_bool hurry; /* the request that is under way is to be given up */
    /* The thread's own. */
    CURL *curl;
    struct plait_stream_list *want, *known; /* may be the same */
    size_t director;                        /* index of the present one */
    unsigned ttl_ms, failures;
    bool may_be_known;      /* a director may have taken a registration of ours, whatever we heard of it */
    uint64_t next_ms;       /* when something is to be done */
    char trouble[TEXT_MAX]; /* told last */
    char error[CURL_ERROR_SIZE];
    struct answer answer;
};

static uint64_t clock_ms(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* What people hear. The same trouble is told once. */

static void say(struct plait_registrar *r, bool bad, const char *text)
{
    if (bad && strcmp(r->trouble, text) == 0)
        return;
    snprintf(r->trouble, sizeof r->trouble, "%s", bad ? text : "");
    if (r->config.say != NULL)
        r->config.say(r->config.ctx, bad, text);
}

static void say_trouble(struct plait_registrar *r, const char *what, const char *why)
{
    char text[TEXT_MAX];

    snprintf(text, sizeof text, "director %s: %s: %s", r->directors[r->director], what, why);
    say(r, true, text);
}

/* Requests. */

static size_t on_body(char *bytes, size_t size, size_t count, void *ctx)
{
    struct answer *a = ctx;
    size_t len = size * count, room = sizeof a->bytes - 1 - a->len;
    size_t taken = len < room ? len : room;

    memcpy(a->bytes + a->len, bytes, taken);
    a->len += taken;
    return len; /* what is too long is cut; it will then not be JSON */
}

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    struct plait_registrar *r = ctx;

    (void)a, (void)b, (void)c, (void)d;
    return atomic_load(&r->hurry) ? 1 : 0;
}

/* Where we are registered at the present director, and what part of it the request will name. */
static int make_url(const struct plait_registrar *r, char **url, char **target)
{
    const char *base = r->directors[r->director];
    size_t len = strlen(base), size = len + PLAIT_SERVER_ID_MAX + 32;
    CURLU *u = curl_url();
    char *path = NULL;

    while (len > 0 && base[len - 1] == '/')
        len--;
    *target = NULL;
    *url = malloc(size);
    if (*url != NULL) {
        snprintf(*url, size, "%.*s/.plait/servers/%s", (int)len, base, r->config.id);
        if (u != NULL && curl_url_set(u, CURLUPART_URL, *url, 0) == CURLUE_OK &&
            curl_url_get(u, CURLUPART_PATH, &path, 0) == CURLUE_OK)
            *target = strdup(path);
    }
    curl_free(path);
    curl_url_cleanup(u);
    if (*target != NULL)
        return PLAIT_OK;
    free(*url);
    *url = NULL;
    return PLAIT_ERR_FORMAT;
}

static struct curl_slist *add_header(struct curl_slist *list, const char *name, const char *value)
{
    char line[PLAIT_SIGN_FIELD_MAX + 64];
    struct curl_slist *more;

    snprintf(line, sizeof line, "%s: %s", name, value);
    more = curl_slist_append(list, line);
    return more != NULL ? more : list;
}

static struct curl_slist *make_headers(const struct plait_registrar *r, const char *method,
                                       const char *target, const char *body, size_t len)
{
    struct curl_slist *list = add_header(NULL, "Content-Type", "application/json");
    char field[PLAIT_SIGN_FIELD_MAX];

    list = add_header(list, "Accept", "application/json");
    list = add_header(list, "Expect", "");
    if (r->config.secret != NULL && plait_sign_make(r->config.secret, clock_ms(CLOCK_REALTIME), method,
                                                    target, body, len, field) == PLAIT_OK)
        list = add_header(list, "Authorization", field);
    return list;
}

static void set_options(struct plait_registrar *r, const char *method, const char *url,
                        struct curl_slist *headers, const char *body, size_t len)
{
    CURL *c = r->curl;
    bool last = strcmp(method, "DELETE") == 0;

    curl_easy_reset(c);
    r->answer.len = 0;
    r->error[0] = '\0';
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_USERAGENT, r->config.agent);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, last ? FAREWELL_MS : CONNECT_MS);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, last ? FAREWELL_MS : REQUEST_MS);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, r->error);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &r->answer);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, r);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, last ? 1L : 0L);
    if (r->config.ca_file != NULL)
        curl_easy_setopt(c, CURLOPT_CAINFO, r->config.ca_file);
    if (r->config.cert_file != NULL) {
        curl_easy_setopt(c, CURLOPT_SSLCERT, r->config.cert_file);
        curl_easy_setopt(c, CURLOPT_SSLKEY, r->config.key_file);
    }
}

/* What has left us and was not refused may have been taken. */
static void note_request(struct plait_registrar *r, const char *method, long status)
{
    long sent = 0;

    curl_easy_getinfo(r->curl, CURLINFO_REQUEST_SIZE, &sent);
    if (strcmp(method, "PUT") == 0 && sent > 0 && (status == 0 || (status >= 200 && status < 300)))
        r->may_be_known = true;
}

/* Returns the answer's status, or 0 where there was none; `error` then says why. */
static long request(struct plait_registrar *r, const char *method, const char *body)
{
    char *url, *target;
    long status = 0;
    size_t len = strlen(body);

    if (make_url(r, &url, &target) != PLAIT_OK) {
        snprintf(r->error, sizeof r->error, "not a URL of http or https");
        return 0;
    }
    struct curl_slist *headers = make_headers(r, method, target, body, len);
    set_options(r, method, url, headers, body, len);
    CURLcode code = curl_easy_perform(r->curl);
    if (code == CURLE_OK)
        curl_easy_getinfo(r->curl, CURLINFO_RESPONSE_CODE, &status);
    else if (r->error[0] == '\0')
        snprintf(r->error, sizeof r->error, "%s", curl_easy_strerror(code));
    r->answer.bytes[r->answer.len] = '\0';
    note_request(r, method, status);
    curl_slist_free_all(headers);
    free(url);
    free(target);
    return status;
}

/* What we say. */

static json_t *stream_json(const struct plait_list_stream *s)
{
    json_t *entry = json_pack("{s:s}", "name", s->name), *digests = json_object();

    if (s->size != PLAIT_REGISTRAR_SIZE_UNKNOWN)
        json_object_set_new(entry, "size", json_integer((json_int_t)s->size));
    if (s->sha256 != NULL)
        json_object_set_new(digests, "sha-256", json_string(s->sha256));
    if (s->sha512 != NULL)
        json_object_set_new(digests, "sha-512", json_string(s->sha512));
    if (json_object_size(digests) > 0)
        json_object_set(entry, "digests", digests);
    json_decref(digests);
    return entry;
}

/* As many of the streams from *at on as go into one request. */
static json_t *take_chunk(const struct plait_stream_list *l, size_t *at)
{
    json_t *array = json_array();
    size_t bytes = 0;

    while (*at < l->count && bytes < CHUNK_BYTES && json_array_size(array) < CHUNK_ENTRIES) {
        const struct plait_list_stream *s = &l->all[(*at)++];
        bytes += strlen(s->name) + ENTRY_BYTES;
        json_array_append_new(array, stream_json(s));
    }
    return array;
}

static json_t *describe(const struct plait_registrar *r)
{
    json_t *o = json_pack("{s:s, s:s, s:I}", "kind", r->config.is_relay ? "relay" : "server", "url",
                          r->config.url, "ttl_ms", (json_int_t)r->ttl_ms);

    if (!r->config.is_relay)
        return o;
    json_t *reaches = json_array();
    for (size_t i = 0; i < r->config.reach_count; i++)
        json_array_append_new(reaches, json_string(r->reaches[i]));
    json_object_set_new(o, "reaches", reaches);
    json_object_set_new(o, "auth", r->config.asks_credentials ? json_string("basic") : json_null());
    return o;
}

/* Takes `o`. */
static long send_json(struct plait_registrar *r, const char *method, json_t *o)
{
    char *text = json_dumps(o, JSON_COMPACT);
    long status = 0;

    json_decref(o);
    if (text != NULL)
        status = request(r, method, text);
    else
        snprintf(r->error, sizeof r->error, "out of memory");
    free(text);
    return status;
}

static bool is_good(long status)
{
    return status >= 200 && status < 300;
}

/* What the director answered, as far as it concerns us. */
static void heed(struct plait_registrar *r)
{
    json_t *o = json_loads(r->answer.bytes, 0, NULL);
    json_int_t ttl_ms = json_integer_value(json_object_get(o, "ttl_ms"));
    const char *name = json_string_value(json_array_get(json_object_get(o, "conflicts"), 0));
    char text[TEXT_MAX];

    if (ttl_ms >= TTL_MS_MIN && ttl_ms <= r->ttl_ms)
        r->ttl_ms = (unsigned)ttl_ms;
    if (name != NULL) {
        snprintf(text, sizeof text, "director %s: other servers hold other content as %s",
                 r->directors[r->director], name);
        say(r, true, text);
    }
    json_decref(o);
}

static const char *reason_of(struct plait_registrar *r, long status, char *out, size_t size)
{
    json_t *o = status != 0 ? json_loads(r->answer.bytes, 0, NULL) : NULL;
    const char *why = json_string_value(json_object_get(o, "error"));

    if (status == 0)
        snprintf(out, size, "%s", r->error);
    else
        snprintf(out, size, "it answered %ld%s%.300s", status, why != NULL ? ": " : "",
                 why != NULL ? why : "");
    json_decref(o);
    return out;
}

/* The streams beyond those that the first request carried. */
static long add_rest(struct plait_registrar *r, const struct plait_stream_list *l, size_t at)
{
    long status = 200;

    while (at < l->count && is_good(status)) {
        json_t *o = json_object();
        json_object_set_new(o, "add", take_chunk(l, &at));
        status = send_json(r, "POST", o);
    }
    return status;
}

static long enter(struct plait_registrar *r)
{
    json_t *o = describe(r);
    size_t at = 0;

    if (!r->config.is_relay)
        json_object_set_new(o, "streams", take_chunk(r->want, &at));
    long status = send_json(r, "PUT", o);
    if (is_good(status)) {
        heed(r);
        status = add_rest(r, r->want, at);
    }
    return status;
}

static long remove_gone(struct plait_registrar *r, const struct plait_stream_list *gone)
{
    long status = 200;

    for (size_t at = 0; at < gone->count && is_good(status);) {
        json_t *o = json_object(), *names = json_array();
        size_t bytes = 0;
        for (; at < gone->count && bytes < CHUNK_BYTES && json_array_size(names) < CHUNK_ENTRIES; at++) {
            bytes += strlen(gone->all[at].name) + 8;
            json_array_append_new(names, json_string(gone->all[at].name));
        }
        json_object_set_new(o, "remove", names);
        status = send_json(r, "POST", o);
    }
    return status;
}

static long tell_changes(struct plait_registrar *r)
{
    struct plait_stream_list gone = plait_stream_list_difference(r->known, r->want, false),
                             fresh = plait_stream_list_difference(r->want, r->known, true);
    long status = 0;

    if (gone.all == NULL || fresh.all == NULL)
        snprintf(r->error, sizeof r->error, "out of memory");
    else if (is_good(status = remove_gone(r, &gone)))
        status = add_rest(r, &fresh, 0);
    if (is_good(status) && fresh.count > 0)
        heed(r);
    free(gone.all);
    free(fresh.all);
    return status;
}

/* The round. */

static void settle(struct plait_registrar *r)
{
    char text[TEXT_MAX];

    if (r->known != r->want)
        plait_stream_list_free(r->known);
    r->known = r->want;
    r->failures = 0;
    r->next_ms = clock_ms(CLOCK_MONOTONIC) + r->ttl_ms / HEARTBEATS;
    if (atomic_exchange(&r->is_registered, true))
        return;
    snprintf(text, sizeof text, "registered with director %s as %s", r->directors[r->director], r->config.id);
    say(r, false, text);
}

/* What the director knows is not sure any more. */
static void forget(struct plait_registrar *r)
{
    if (r->known != r->want)
        plait_stream_list_free(r->known);
    r->known = NULL;
    atomic_store(&r->is_registered, false);
}

static void fail(struct plait_registrar *r, const char *what, long status)
{
    unsigned shift = r->failures / (unsigned)r->config.director_count, longest = r->ttl_ms / HEARTBEATS;
    char why[TEXT_MAX / 2];

    if (atomic_load(&r->hurry))
        return;
    say_trouble(r, what, reason_of(r, status, why, sizeof why));
    r->failures++;
    r->director = (r->director + 1) % r->config.director_count;
    if (r->failures % r->config.director_count != 0) {
        r->next_ms = 0;
        return;
    }
    uint64_t wait_ms = shift < 16 ? (uint64_t)WAIT_MS_FIRST << shift : longest;
    r->next_ms = clock_ms(CLOCK_MONOTONIC) + plait_min_u64(wait_ms, longest);
}

static void act(struct plait_registrar *r)
{
    const char *what = "cannot register";
    long status;

    if (r->known == NULL)
        status = enter(r);
    else if (r->known != r->want)
        what = "cannot tell it what has changed", status = tell_changes(r);
    else
        what = "no heartbeat", status = send_json(r, "POST", json_object());
    if (is_good(status)) {
        settle(r);
        return;
    }
    if (status == 404 && r->known != NULL) { /* it has forgotten us, perhaps with a restart: no failure */
        forget(r);
        r->next_ms = 0;
        return;
    }
    /* After a heartbeat that did not arrive the next director may well know us; after anything else who can
     * tell. */
    if (r->known != r->want)
        forget(r);
    fail(r, what, status);
}

/* Waits until something is to be done; false: the end. */
static bool wait_for_work(struct plait_registrar *r)
{
    struct timespec until = {.tv_sec = (time_t)(r->next_ms / 1000),
                             .tv_nsec = (long)(r->next_ms % 1000) * 1000000};
    bool go_on;

    pthread_mutex_lock(&r->mutex);
    while (!r->leaving && r->fresh == NULL && clock_ms(CLOCK_MONOTONIC) < r->next_ms)
        pthread_cond_timedwait(&r->wake, &r->mutex, &until);
    if (r->fresh != NULL) {
        if (r->want != r->known)
            plait_stream_list_free(r->want);
        r->want = r->fresh;
        r->fresh = NULL;
    }
    go_on = !r->leaving;
    pthread_mutex_unlock(&r->mutex);
    return go_on;
}

static void free_all(struct plait_registrar *r)
{
    free((char *)r->config.id);
    free((char *)r->config.url);
    free((char *)r->config.cert_file);
    free((char *)r->config.key_file);
    free((char *)r->config.ca_file);
    free((char *)r->config.agent);
    for (size_t i = 0; r->directors != NULL && i < r->config.director_count; i++)
        free(r->directors[i]);
    for (size_t i = 0; r->reaches != NULL && i < r->config.reach_count; i++)
        free(r->reaches[i]);
    free(r->directors);
    free(r->reaches);
    if (r->known != r->want)
        plait_stream_list_free(r->known);
    plait_stream_list_free(r->want);
    plait_stream_list_free(r->fresh);
    curl_easy_cleanup(r->curl);
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->mutex);
    explicit_bzero(&r->secret, sizeof r->secret);
    free(r);
}

static void withdraw(struct plait_registrar *r)
{
    uint64_t until_ms = clock_ms(CLOCK_MONOTONIC) + FAREWELL_MS;

    if (!r->may_be_known)
        return;
    for (size_t i = 0; i < r->config.director_count && clock_ms(CLOCK_MONOTONIC) < until_ms; i++) {
        if (request(r, "DELETE", "") != 0)
            break;
        r->director = (r->director + 1) % r->config.director_count;
    }
}

static void *run(void *ctx)
{
    struct plait_registrar *r = ctx;
    bool abandoned;

    while (wait_for_work(r))
        act(r);
    withdraw(r);
    atomic_store(&r->is_registered, false);
    pthread_mutex_lock(&r->mutex);
    r->ended = true;
    abandoned = r->abandoned;
    pthread_cond_broadcast(&r->wake);
    pthread_mutex_unlock(&r->mutex);
    if (abandoned)
        free_all(r);
    return NULL;
}

/* Setting up. */

static char **copy_texts(const char *const *texts, size_t count, bool *failed)
{
    char **copy = calloc(count + 1, sizeof *copy);

    *failed = *failed || copy == NULL;
    for (size_t i = 0; copy != NULL && i < count; i++)
        copy[i] = plait_copy_text(texts[i], failed);
    return copy;
}

static bool copy_config(struct plait_registrar *r, const struct plait_registrar_config *config)
{
    bool failed = false;

    r->config = *config;
    r->config.id = plait_copy_text(config->id, &failed);
    r->config.url = plait_copy_text(config->url, &failed);
    r->config.cert_file = plait_copy_text(config->cert_file, &failed);
    r->config.key_file = plait_copy_text(config->key_file, &failed);
    r->config.ca_file = plait_copy_text(config->ca_file, &failed);
    r->config.agent = plait_copy_text(config->agent, &failed);
    r->directors = copy_texts(config->directors, config->director_count, &failed);
    r->reaches = copy_texts(config->reaches, config->reach_count, &failed);
    if (config->secret != NULL) {
        r->secret = *config->secret;
        r->config.secret = &r->secret;
    }
    r->ttl_ms = config->ttl_ms != 0 ? config->ttl_ms : TTL_MS_DEFAULT;
    return !failed;
}

static void init_wake(struct plait_registrar *r)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&r->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&r->mutex, NULL);
}

struct plait_registrar *plait_registrar_new(const struct plait_registrar_config *config)
{
    struct plait_registrar *r = calloc(1, sizeof *r);

    if (r == NULL)
        return NULL;
    init_wake(r);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    r->curl = curl_easy_init();
    r->want = plait_stream_list_copy(NULL, 0);
    if (copy_config(r, config) && r->curl != NULL && r->want != NULL && config->director_count > 0 &&
        config->director_count <= DIRECTORS_MAX && pthread_create(&r->thread, NULL, run, r) == 0)
        return r;
    free_all(r);
    return NULL;
}

int plait_registrar_set_streams(struct plait_registrar *r, const struct plait_registrar_stream *streams,
                                size_t count)
{
    struct plait_stream_list *l = plait_stream_list_copy(streams, count);

    if (l == NULL)
        return PLAIT_ERR_NOMEM;
    pthread_mutex_lock(&r->mutex);
    plait_stream_list_free(r->fresh);
    r->fresh = l;
    pthread_cond_broadcast(&r->wake);
    pthread_mutex_unlock(&r->mutex);
    return PLAIT_OK;
}

bool plait_registrar_is_registered(struct plait_registrar *r)
{
    return atomic_load(&r->is_registered);
}

void plait_registrar_leave(struct plait_registrar *r)
{
    pthread_mutex_lock(&r->mutex);
    if (!r->leaving)
        atomic_store(&r->hurry, true);
    r->leaving = true;
    pthread_cond_broadcast(&r->wake);
    pthread_mutex_unlock(&r->mutex);
}

bool plait_registrar_free(struct plait_registrar *r)
{
    struct timespec until;
    pthread_t thread;
    bool ended;

    if (r == NULL)
        return true;
    plait_registrar_leave(r);
    thread = r->thread;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += PLAIT_REGISTRAR_LEAVE_MS / 1000;
    pthread_mutex_lock(&r->mutex);
    while (!r->ended && pthread_cond_timedwait(&r->wake, &r->mutex, &until) != ETIMEDOUT)
        ;
    ended = r->ended;
    r->abandoned = !ended; /* it hangs in the resolver, and frees everything when it comes back */
    pthread_mutex_unlock(&r->mutex);
    if (!ended) {
        pthread_detach(thread);
        return false;
    }
    pthread_join(thread, NULL);
    free_all(r);
    return true;
}
