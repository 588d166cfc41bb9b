#include "access.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "secret_file.h"
#include "units.h"

#define FILE_MAX    PLAIT_MIB
#define RUNNING_MAX 2  /* of the threads beside the loop, which resolve names as well */
#define HASH_MIN    22 /* letters, in any method that is not too weak */
#define KNOWN_MAX   256
#define KNOWN_NS    (600 * PLAIT_S)
#define MAC_LEN     32

struct user {
    char name[PLAIT_ASK_USER_MAX + 1];
    char hash[CRYPT_OUTPUT_SIZE];
};

struct plait_access_check {
    struct plait_access_check *next; /* that waits behind it */
    struct plait_credentials credentials;
    char hash[CRYPT_OUTPUT_SIZE];
    bool is_user, right;
    uint8_t mac[MAC_LEN];
    void (*done)(void *ctx, bool yes); /* NULL: cancelled */
    void *ctx;
};

/* Computes one after the other. */
struct worker {
    struct plait_access *access;
    struct plait_work work;
    struct plait_access_check *check; /* NULL: nothing to do */
};

struct plait_access {
    struct plait_loop *loop;
    struct user *users;
    size_t user_count;
    struct plait_access_check *first, **last; /* that wait */
    unsigned count;                           /* that wait or run */
    struct worker workers[RUNNING_MAX];
    uint8_t key[MAC_LEN]; /* of the macs, so that no password lies in memory */
    struct {
        uint8_t mac[MAC_LEN];
        uint64_t until;
    } known[KNOWN_MAX];
    unsigned next_known;
};

static const struct user *find_user(const struct user *users, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(users[i].name, name) == 0)
            return &users[i];
    return NULL;
}

static int parse_line(const char *line, struct user *out)
{
    const char *colon = strchr(line, ':');
    size_t name = colon != NULL ? (size_t)(colon - line) : 0;
    size_t hash = colon != NULL ? strlen(colon + 1) : 0;

    if (name == 0 || name > PLAIT_ASK_USER_MAX || hash == 0 || hash >= sizeof out->hash)
        return PLAIT_ERR_FORMAT;
    memset(out, 0, sizeof *out);
    memcpy(out->name, line, name);
    memcpy(out->hash, colon + 1, hash);
    /* A salt alone is no hash. */
    const char *last = strrchr(out->hash, '$');
    if (last == NULL || strlen(last + 1) < HASH_MIN || crypt_checksalt(out->hash) != CRYPT_SALT_OK)
        return PLAIT_ERR_FORMAT;
    return PLAIT_OK;
}

struct table {
    struct user *users;
    size_t count;
};

static int add_line(void *ctx, const char *line)
{
    struct table *t = ctx;
    struct user one;
    int err = parse_line(line, &one);

    if (err != PLAIT_OK)
        return err;
    if (t->count == PLAIT_ACCESS_USERS_MAX)
        return PLAIT_ERR_LIMIT;
    if (find_user(t->users, t->count, one.name) != NULL)
        return PLAIT_ERR_FORMAT;
    struct user *more = reallocarray(t->users, t->count + 1, sizeof one);
    if (more == NULL)
        return PLAIT_ERR_NOMEM;
    t->users = more;
    more[t->count++] = one;
    return PLAIT_OK;
}

int plait_access_load(struct plait_access *a, const char *path, unsigned *line)
{
    struct table t = {0};
    int err = plait_secret_file_lines(path, FILE_MAX, add_line, &t, line);

    if (err != PLAIT_OK) {
        free(t.users);
        return err;
    }
    free(a->users);
    a->users = t.users;
    a->user_count = t.count;
    memset(a->known, 0, sizeof a->known);
    return PLAIT_OK;
}

/* What is remembered of a right answer: nothing that tells the password. */
static void compute_mac(const struct plait_access *a, const struct plait_credentials *c, const char *hash,
                        uint8_t mac[MAC_LEN])
{
    struct {
        struct plait_credentials credentials;
        char hash[CRYPT_OUTPUT_SIZE];
    } all;
    unsigned len = 0;

    memset(&all, 0, sizeof all);
    all.credentials = *c;
    snprintf(all.hash, sizeof all.hash, "%s", hash);
    memset(mac, 0, MAC_LEN);
    HMAC(EVP_sha256(), a->key, MAC_LEN, (uint8_t *)&all, sizeof all, mac, &len);
    explicit_bzero(&all, sizeof all);
}

static bool is_known(const struct plait_access *a, const uint8_t mac[MAC_LEN])
{
    bool found = false;

    for (size_t i = 0; i < KNOWN_MAX; i++)
        found |= a->known[i].until > a->loop->now && CRYPTO_memcmp(a->known[i].mac, mac, MAC_LEN) == 0;
    return found;
}

static void remember(struct plait_access *a, const uint8_t mac[MAC_LEN])
{
    memcpy(a->known[a->next_known].mac, mac, MAC_LEN);
    a->known[a->next_known].until = a->loop->now + KNOWN_NS;
    a->next_known = (a->next_known + 1) % KNOWN_MAX;
}

/* In a thread. */
static void run_check(void *ctx)
{
    struct worker *worker = ctx;
    struct plait_access_check *check = worker->check;
    struct crypt_data *data = calloc(1, sizeof *data);
    const char *got = data != NULL ? crypt_r(check->credentials.secret, check->hash, data) : NULL;
    size_t len = strlen(check->hash);

    check->right =
        got != NULL && strlen(got) == len && CRYPTO_memcmp(got, check->hash, len) == 0 && check->is_user;
    if (data != NULL)
        explicit_bzero(data, sizeof *data);
    free(data);
}

static void start_next(struct plait_access *a)
{
    for (size_t i = 0; i < RUNNING_MAX && a->first != NULL; i++) {
        if (a->workers[i].check != NULL)
            continue;
        a->workers[i].check = a->first;
        a->first = a->first->next;
        if (a->first == NULL)
            a->last = &a->first;
        plait_work_start(&a->workers[i].work);
    }
}

static void end_check(void *ctx)
{
    struct worker *worker = ctx;
    struct plait_access *a = worker->access;
    struct plait_access_check *check = worker->check;

    worker->check = NULL;
    a->count--;
    if (check->right)
        remember(a, check->mac);
    if (check->done != NULL)
        check->done(check->ctx, check->right);
    explicit_bzero(check, sizeof *check);
    free(check);
    start_next(a);
}

struct plait_access *plait_access_new(struct plait_loop *loop)
{
    struct plait_access *a = calloc(1, sizeof *a);

    if (a == NULL || RAND_bytes(a->key, sizeof a->key) != 1) {
        free(a);
        return NULL;
    }
    a->loop = loop;
    a->last = &a->first;
    for (size_t i = 0; i < RUNNING_MAX; i++) {
        a->workers[i].access = a;
        plait_work_init(&a->workers[i].work, loop, run_check, end_check, &a->workers[i]);
    }
    return a;
}

enum plait_access_verdict plait_access_judge(struct plait_access *a, const struct plait_credentials *c,
                                             void (*done)(void *ctx, bool yes), void *ctx,
                                             struct plait_access_check **check)
{
    const struct user *user = find_user(a->users, a->user_count, c->user);
    const struct user *any = user != NULL ? user : a->users;
    uint8_t mac[MAC_LEN];

    if (any == NULL)
        return PLAIT_ACCESS_NO;
    compute_mac(a, c, any->hash, mac);
    if (user != NULL && is_known(a, mac))
        return PLAIT_ACCESS_YES;
    struct plait_access_check *one = a->count < PLAIT_ACCESS_QUEUE_MAX ? calloc(1, sizeof *one) : NULL;
    if (one == NULL)
        return PLAIT_ACCESS_BUSY;
    one->credentials = *c;
    memcpy(one->hash, any->hash, sizeof one->hash);
    memcpy(one->mac, mac, sizeof one->mac);
    one->is_user = user != NULL;
    one->done = done;
    one->ctx = ctx;
    *a->last = one;
    a->last = &one->next;
    a->count++;
    *check = one;
    start_next(a);
    return PLAIT_ACCESS_LATER;
}

void plait_access_cancel(struct plait_access_check *check)
{
    check->done = NULL;
}

void plait_access_free(struct plait_access *a)
{
    if (a == NULL)
        return;
    free(a->users);
    explicit_bzero(a, sizeof *a);
    free(a);
}
