/* The registrar against a director that answers to order, on a loopback port in a thread of this program. */
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "registrar.h"
#include "units.h"

#define REQUESTS_MAX 64
#define BODY_MAX     (4 * 1024 * 1024)
#define WAIT_MS      10000

struct request {
    char method[8], path[256];
    json_t *body; /* NULL: none */
    bool has_signature;
};

/* What it answers is up to `judge`; −1: nothing, and the connection stays open. */
struct director {
    int fd;
    char url[64];
    pthread_t thread;
    int (*judge)(struct director *d, const struct request *r);
    pthread_mutex_t mutex;
    struct request requests[REQUESTS_MAX];
    size_t count;
    int hung[REQUESTS_MAX];
    size_t hung_count;
    int state; /* the judge's own */
};

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* One whole request of a connection, or nothing more. */
static bool read_request(int fd, struct request *r)
{
    static char text[BODY_MAX];
    size_t used = 0, head = 0, length = 0;
    const char *field;

    memset(r, 0, sizeof *r);
    while (head == 0 || used < head + length) {
        ssize_t n = recv(fd, text + used, sizeof text - 1 - used, 0);
        if (n <= 0)
            return false;
        used += (size_t)n;
        text[used] = '\0';
        const char *end = strstr(text, "\r\n\r\n");
        if (head != 0 || end == NULL)
            continue;
        head = (size_t)(end - text) + 4;
        field = strcasestr(text, "\r\nContent-Length:");
        length = field != NULL && field < end ? strtoul(field + 17, NULL, 10) : 0;
    }
    sscanf(text, "%7s %255s", r->method, r->path);
    r->has_signature = strstr(text, "\r\nAuthorization: Plait-HMAC key=farm, ") != NULL;
    r->body = length > 0 ? json_loadb(text + head, length, 0, NULL) : NULL;
    return true;
}

static bool answer(struct director *d, int fd)
{
    struct request r;
    char text[256];

    if (!read_request(fd, &r))
        return false;
    pthread_mutex_lock(&d->mutex);
    int status = d->judge(d, &r);
    if (d->count < REQUESTS_MAX)
        d->requests[d->count++] = r;
    if (status < 0)
        d->hung[d->hung_count++] = dup(fd);
    pthread_mutex_unlock(&d->mutex);
    if (status < 0)
        return false;
    snprintf(text, sizeof text, "HTTP/1.1 %d X\r\nContent-Length: 15\r\n\r\n{\"ttl_ms\":1500}", status);
    return send(fd, text, strlen(text), MSG_NOSIGNAL) > 0;
}

static void *serve(void *ctx)
{
    struct director *d = ctx;

    for (int fd; (fd = accept(d->fd, NULL, NULL)) >= 0; close(fd))
        while (answer(d, fd))
            ;
    return NULL;
}

static void start(struct director *d, int (*judge)(struct director *d, const struct request *r))
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;

    memset(d, 0, sizeof *d);
    d->judge = judge;
    pthread_mutex_init(&d->mutex, NULL);
    d->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(d->fd >= 0 && bind(d->fd, (struct sockaddr *)&a, len) == 0 && listen(d->fd, 16) == 0);
    assert_int_equal(getsockname(d->fd, (struct sockaddr *)&a, &len), 0);
    snprintf(d->url, sizeof d->url, "http://127.0.0.1:%u/", ntohs(a.sin_port));
    assert_int_equal(pthread_create(&d->thread, NULL, serve, d), 0);
}

static void stop(struct director *d)
{
    shutdown(d->fd, SHUT_RDWR);
    pthread_join(d->thread, NULL);
    close(d->fd);
    for (size_t i = 0; i < d->hung_count; i++)
        close(d->hung[i]);
    for (size_t i = 0; i < d->count; i++)
        json_decref(d->requests[i].body);
    pthread_mutex_destroy(&d->mutex);
}

static size_t count_of(struct director *d)
{
    pthread_mutex_lock(&d->mutex);
    size_t count = d->count;
    pthread_mutex_unlock(&d->mutex);
    return count;
}

/* Waits until so many requests have come, and returns the last of them. */
static const struct request *await(struct director *d, size_t count)
{
    uint64_t end = now_ms() + WAIT_MS;

    while (count_of(d) < count) {
        if (now_ms() > end)
            fail_msg("request %zu does not come; the last was %s", count,
                     d->count > 0 ? d->requests[d->count - 1].method : "none");
        usleep(2000);
    }
    return &d->requests[count - 1];
}

static int fine(struct director *d, const struct request *r)
{
    (void)d;
    return strcmp(r->method, "PUT") == 0 ? 201 : strcmp(r->method, "DELETE") == 0 ? 204 : 200;
}

static char words[4096];
static pthread_mutex_t words_mutex = PTHREAD_MUTEX_INITIALIZER;

static void on_say(void *ctx, bool bad, const char *text)
{
    (void)ctx;
    pthread_mutex_lock(&words_mutex);
    size_t used = strlen(words);
    snprintf(words + used, sizeof words - used, "%s %s\n", bad ? "bad" : "good", text);
    pthread_mutex_unlock(&words_mutex);
}

static bool has_said(const char *text)
{
    pthread_mutex_lock(&words_mutex);
    bool found = strstr(words, text) != NULL;
    pthread_mutex_unlock(&words_mutex);
    return found;
}

static struct plait_registrar *begin(const char *const *directors, size_t count)
{
    static const struct plait_secret secret = {.key = "farm", .bytes = "0123456789abcdef", .len = 16};
    struct plait_registrar_config config = {.directors = directors,
                                            .director_count = count,
                                            .id = "s1",
                                            .url = "http://s1/",
                                            .secret = &secret,
                                            .agent = "test",
                                            .ttl_ms = 30000,
                                            .say = on_say};

    words[0] = '\0';
    struct plait_registrar *r = plait_registrar_new(&config);
    assert_non_null(r);
    return r;
}

/* The names in an array of streams or of names, each with a space behind it. */
static const char *names_in(const json_t *array)
{
    static char out[4096];
    size_t i;
    json_t *v;

    out[0] = '\0';
    json_array_foreach(array, i, v)
    {
        strcat(out, json_is_string(v) ? json_string_value(v) : json_string_value(json_object_get(v, "name")));
        strcat(out, " ");
    }
    return out;
}

static void set(struct plait_registrar *r, const struct plait_registrar_stream *streams, size_t count)
{
    assert_int_equal(plait_registrar_set_streams(r, streams, count), PLAIT_OK);
}

static void it_registers_tells_changes_and_leaves(void **state)
{
    static const struct plait_registrar_stream first[] = {{"b", 5, "ab", NULL},
                                                          {"a", PLAIT_REGISTRAR_SIZE_UNKNOWN, NULL, NULL},
                                                          {".hidden", 1, NULL, NULL},
                                                          {"x\xff", 1, NULL, NULL},
                                                          {"b", 6, "cd", "ef"}};
    static const struct plait_registrar_stream second[] = {{"c", 1, NULL, NULL}, {"b", 6, "cd", "ef"}};
    static const struct plait_registrar_stream third[] = {{"c", 1, NULL, NULL}, {"b", 6, "cd", NULL}};
    struct director d;

    (void)state;
    start(&d, fine);
    struct plait_registrar *r = begin((const char *[]){d.url}, 1);
    const struct request *q = await(&d, 1);
    assert_string_equal(q->method, "PUT");
    assert_string_equal(q->path, "/.plait/servers/s1");
    assert_true(q->has_signature);
    assert_string_equal(json_string_value(json_object_get(q->body, "url")), "http://s1/");
    assert_int_equal(json_array_size(json_object_get(q->body, "streams")), 0);
    set(r, first, PLAIT_COUNT(first));
    q = await(&d, 2); /* what can be no name is left out, and of two with one name the last counts */
    assert_string_equal(q->method, "POST");
    assert_string_equal(names_in(json_object_get(q->body, "add")), "a b ");
    const json_t *b = json_array_get(json_object_get(q->body, "add"), 1);
    assert_int_equal(json_integer_value(json_object_get(b, "size")), 6);
    assert_string_equal(json_string_value(json_object_get(json_object_get(b, "digests"), "sha-512")), "ef");
    assert_null(json_object_get(json_array_get(json_object_get(q->body, "add"), 0), "size"));
    set(r, second, PLAIT_COUNT(second));
    assert_string_equal(names_in(json_object_get(await(&d, 3)->body, "remove")), "a ");
    assert_string_equal(names_in(json_object_get(await(&d, 4)->body, "add")), "c ");
    set(r, second,
        PLAIT_COUNT(
            second)); /* the same again: what follows is a heartbeat, after a third of the 1.5 s asked for */
    uint64_t before = now_ms();
    assert_int_equal(json_object_size(await(&d, 5)->body), 0);
    assert_in_range(now_ms() - before, 0, 1500);
    set(r, third, PLAIT_COUNT(third));
    while (json_object_size((q = await(&d, count_of(&d)))->body) == 0)
        ;
    assert_string_equal(names_in(json_object_get(q->body, "add")), "b ");
    assert_true(plait_registrar_is_registered(r));
    size_t count = count_of(&d);
    plait_registrar_free(r);
    assert_string_equal(await(&d, count + 1)->method, "DELETE");
    assert_true(has_said("good registered with director"));
    stop(&d);
}

static void many_streams_go_in_several_requests(void **state)
{
    enum { COUNT = 20000 };
    struct plait_registrar_stream *all = calloc(COUNT, sizeof *all);
    char(*names)[16] = calloc(COUNT, sizeof *names);
    struct director d;
    size_t told = 0;

    (void)state;
    assert_true(all != NULL && names != NULL);
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "n%06zu", i * 7919 % COUNT);
        all[i].name = names[i];
    }
    start(&d, fine);
    struct plait_registrar *r = begin((const char *[]){d.url}, 1);
    set(r, all, COUNT);
    for (size_t i = 1; told < COUNT; i++) {
        const struct request *q = await(&d, i);
        size_t here =
            json_array_size(json_object_get(q->body, strcmp(q->method, "PUT") == 0 ? "streams" : "add"));
        assert_in_range(here, 0, 10000);
        told += here;
    }
    assert_int_equal(told, COUNT);
    set(r, all, 0);
    size_t gone = 0;
    for (size_t i = 1; gone < COUNT; i++)
        gone += json_array_size(json_object_get(await(&d, i)->body, "remove"));
    assert_int_equal(gone, COUNT);
    plait_registrar_free(r);
    stop(&d);
    free(all);
    free(names);
}

/* The second heartbeat finds that the director has started anew. */
static int forgets(struct director *d, const struct request *r)
{
    if (strcmp(r->method, "POST") == 0 && ++d->state == 2)
        return 404;
    return fine(d, r);
}

static void forgotten_it_registers_again(void **state)
{
    static const struct plait_registrar_stream streams[] = {{"a", 1, NULL, NULL}};
    struct director d;
    size_t puts = 0;

    (void)state;
    start(&d, forgets);
    struct plait_registrar *r = begin((const char *[]){d.url}, 1);
    set(r, streams, 1);
    for (size_t i = 1; puts < 2; i++)
        puts += strcmp(await(&d, i)->method, "PUT") == 0;
    assert_string_equal(names_in(json_object_get(d.requests[d.count - 1].body, "streams")), "a ");
    assert_false(has_said("bad")); /* that is no trouble */
    plait_registrar_free(r);
    stop(&d);
}

static int refuses(struct director *d, const struct request *r)
{
    (void)d, (void)r;
    return 503;
}

static void there_is_another_director(void **state)
{
    struct director away, bad, good;

    (void)state;
    start(&away, fine);
    stop(&away);
    start(&bad, refuses);
    start(&good, fine);
    struct plait_registrar *r = begin((const char *[]){away.url, bad.url, good.url}, 3);
    assert_string_equal(await(&good, 1)->method, "PUT");
    assert_string_equal(await(&bad, 1)->method, "PUT");
    assert_true(has_said("it answered 503"));
    size_t count = count_of(&bad);
    await(&good, 3); /* and it stays with that one */
    assert_int_equal(count_of(&bad), count);
    plait_registrar_free(r);
    assert_string_equal(good.requests[good.count - 1].method, "DELETE");
    stop(&bad);
    stop(&good);
}

static int hangs(struct director *d, const struct request *r)
{
    (void)r;
    return d->state-- > 0 ? 201 : -1;
}

/* Whatever the director does, leaving takes no longer than it may. */
static void leaving_is_bounded(void **state)
{
    struct director d;

    (void)state;
    for (int good = 0; good < 2; good++) {
        start(&d, hangs);
        d.state = good;
        struct plait_registrar *r = begin((const char *[]){d.url}, 1);
        await(&d, (size_t)good + 1);
        uint64_t before = now_ms();
        plait_registrar_leave(r);
        assert_in_range(now_ms() - before, 0, 200);
        plait_registrar_free(r);
        assert_in_range(now_ms() - before, 0, PLAIT_REGISTRAR_LEAVE_MS + 500);
        stop(&d);
    }
}

static void what_is_no_director(void **state)
{
    struct plait_registrar *r = begin((const char *[]){"file:///etc/passwd"}, 1);
    uint64_t end = now_ms() + WAIT_MS;

    (void)state;
    while (!has_said("bad director file:///etc/passwd") && now_ms() < end)
        usleep(2000);
    assert_true(has_said("bad director file:///etc/passwd"));
    assert_false(plait_registrar_is_registered(r));
    plait_registrar_free(r);
    plait_registrar_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_registers_tells_changes_and_leaves),
        cmocka_unit_test(many_streams_go_in_several_requests),
        cmocka_unit_test(forgotten_it_registers_again),
        cmocka_unit_test(there_is_another_director),
        cmocka_unit_test(leaving_is_bounded),
        cmocka_unit_test(what_is_no_director),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
