#include "digest_cache.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/ioprio.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "digest.h"
#include "etag.h"
#include "file.h"
#include "units.h"

#define QUEUE_MAX     256
#define READ_SIZE     (256 * PLAIT_KIB)
#define FILE_SIZE_MAX (64 * PLAIT_MIB)
#define LINE_SIZE     160
#define NONE          UINT32_MAX
/* A file that was changed less than this ago may change again without its time telling. */
#define SETTLE_S      2

struct key {
    uint64_t dev, ino, size, mtime_ns;
};

struct entry {
    struct key key;
    uint8_t sha256[PLAIT_SHA256_LEN];
    uint32_t next;         /* in its bucket, or in the list of free ones */
    uint32_t older, newer; /* by use */
};

struct wish {
    struct key key;
    char *path; /* owned */
};

struct plait_digest_cache {
    const struct plait_docroot *root;
    int file_fd;
    pthread_t thread;
    atomic_bool stopping;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t wake;  /* a wish came, or the end */
    struct entry *entries;
    uint32_t *buckets;
    uint32_t bucket_mask, free, oldest, newest;
    struct wish queue[QUEUE_MAX]; /* a ring; the first is being computed */
    size_t queue_head, queue_len;
};

static struct key key_of(const struct stat *st)
{
    uint64_t mtime_ns = (uint64_t)plait_mtime_ns(st);

    return (struct key){st->st_dev, st->st_ino, (uint64_t)st->st_size, mtime_ns};
}

static bool same(const struct key *a, const struct key *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->mtime_ns == b->mtime_ns;
}

static uint32_t *bucket_of(struct plait_digest_cache *c, const struct key *k)
{
    uint64_t h =
        k->ino * UINT64_C(0x9e3779b97f4a7c15) ^ k->mtime_ns * UINT64_C(0xbf58476d1ce4e5b9) ^ k->size ^ k->dev;

    return &c->buckets[(h ^ h >> 32) & c->bucket_mask];
}

/* The lists. All under the lock. */

static void unlink_use(struct plait_digest_cache *c, uint32_t i)
{
    struct entry *e = &c->entries[i];

    *(e->older != NONE ? &c->entries[e->older].newer : &c->oldest) = e->newer;
    *(e->newer != NONE ? &c->entries[e->newer].older : &c->newest) = e->older;
}

static void link_newest(struct plait_digest_cache *c, uint32_t i)
{
    struct entry *e = &c->entries[i];

    e->older = c->newest;
    e->newer = NONE;
    *(e->older != NONE ? &c->entries[e->older].newer : &c->oldest) = i;
    c->newest = i;
}

static uint32_t lookup(struct plait_digest_cache *c, const struct key *k)
{
    uint32_t i = *bucket_of(c, k);

    while (i != NONE && !same(&c->entries[i].key, k))
        i = c->entries[i].next;
    return i;
}

static uint32_t take_free(struct plait_digest_cache *c)
{
    uint32_t i = c->free;

    if (i != NONE) {
        c->free = c->entries[i].next;
        return i;
    }
    i = c->oldest;
    unlink_use(c, i);
    uint32_t *at = bucket_of(c, &c->entries[i].key);
    while (*at != i)
        at = &c->entries[*at].next;
    *at = c->entries[i].next;
    return i;
}

static void put(struct plait_digest_cache *c, const struct key *k, const uint8_t sha256[PLAIT_SHA256_LEN])
{
    uint32_t i = lookup(c, k);

    if (i == NONE) {
        i = take_free(c);
        uint32_t *bucket = bucket_of(c, k);
        c->entries[i].key = *k;
        c->entries[i].next = *bucket;
        *bucket = i;
        link_newest(c, i);
    }
    memcpy(c->entries[i].sha256, sha256, PLAIT_SHA256_LEN);
}

/* The file that outlives the process. */

static void append_line(struct plait_digest_cache *c, const struct key *k,
                        const uint8_t sha256[PLAIT_SHA256_LEN])
{
    char hex[2 * PLAIT_SHA256_LEN + 1], line[LINE_SIZE];

    if (c->file_fd < 0 || plait_hex_encode(sha256, PLAIT_SHA256_LEN, hex, sizeof hex) != PLAIT_OK)
        return;
    int len = snprintf(line, sizeof line, "%" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64 " %s\n", k->dev,
                       k->ino, k->size, k->mtime_ns, hex);
    /* A full disk costs what is remembered, not what is served. */
    if (plait_write_all(c->file_fd, line, (size_t)len) != PLAIT_OK) {
        close(c->file_fd);
        c->file_fd = -1;
    }
}

static void take_line(struct plait_digest_cache *c, const char *line)
{
    uint8_t sha256[PLAIT_SHA256_LEN];
    struct key k;
    int end = 0;

    if (sscanf(line, "%" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %n", &k.dev, &k.ino, &k.size,
               &k.mtime_ns, &end) == 4 &&
        end > 0 && plait_hex_decode(line + end, strlen(line + end), sha256, sizeof sha256) == PLAIT_OK)
        put(c, &k, sha256);
}

/* What a former process has left; a file that grew too long is begun anew with what of it is still kept. */
static void load_file(struct plait_digest_cache *c)
{
    uint8_t *bytes;
    size_t len;

    if (c->file_fd < 0)
        return;
    if (plait_read_file(c->file_fd, FILE_SIZE_MAX, &bytes, &len) != PLAIT_OK) {
        (void)!ftruncate(c->file_fd, 0);
        return;
    }
    char *rest = (char *)bytes;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;)
        take_line(c, line);
    free(bytes);
    if (len < FILE_SIZE_MAX / 2 || ftruncate(c->file_fd, 0) != 0)
        return;
    for (uint32_t i = c->oldest; i != NONE; i = c->entries[i].newer)
        append_line(c, &c->entries[i].key, c->entries[i].sha256);
}

/* The thread. */

/* Whether the descriptor is of that version, still. */
static bool is_version(int fd, const struct key *k)
{
    struct stat st;

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    struct key found = key_of(&st);
    return same(&found, k);
}

/* Looks at each step whether it is still worth it: a file that is being written has a new version all the time. */
static int hash_steps(struct plait_digest_cache *c, int fd, const struct key *k, EVP_MD_CTX *md,
                      uint8_t *room)
{
    for (uint64_t at = 0; at < k->size; at += READ_SIZE) {
        size_t want = (size_t)plait_min_u64(READ_SIZE, k->size - at);
        if (atomic_load(&c->stopping) || !is_version(fd, k))
            return PLAIT_ERR_STATE;
        int rc = plait_pread_all(fd, room, want, at);
        if (rc != PLAIT_OK)
            return rc;
        if (EVP_DigestUpdate(md, room, want) != 1)
            return PLAIT_ERR_NOMEM;
    }
    return is_version(fd, k) ? PLAIT_OK : PLAIT_ERR_STATE;
}

static int hash_fd(struct plait_digest_cache *c, int fd, const struct key *k,
                   uint8_t sha256[PLAIT_SHA256_LEN])
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    uint8_t *room = malloc(READ_SIZE);
    int rc = PLAIT_ERR_NOMEM;

    if (md != NULL && room != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1)
        rc = hash_steps(c, fd, k, md, room);
    if (rc == PLAIT_OK && EVP_DigestFinal_ex(md, sha256, NULL) != 1)
        rc = PLAIT_ERR_NOMEM;
    free(room);
    EVP_MD_CTX_free(md);
    return rc;
}

static bool is_settled(const struct key *k)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)(k->mtime_ns / PLAIT_S) + SETTLE_S <= now.tv_sec ||
           (int64_t)(k->mtime_ns / PLAIT_S) > now.tv_sec;
}

static int compute(struct plait_digest_cache *c, const struct wish *w, uint8_t sha256[PLAIT_SHA256_LEN])
{
    struct stat st;
    int fd;
    int rc = plait_docroot_open(c->root, w->path, &fd, &st);

    if (rc != PLAIT_OK)
        return rc;
    rc = hash_fd(c, fd, &w->key, sha256);
    close(fd);
    return rc;
}

/* Until the file's time tells its version, or the end. Under the lock. */
static void wait_until_settled(struct plait_digest_cache *c, const struct key *k)
{
    const struct timespec then = {(time_t)(k->mtime_ns / PLAIT_S) + SETTLE_S, 0};

    while (!is_settled(k) && !atomic_load(&c->stopping))
        pthread_cond_timedwait(&c->wake, &c->lock, &then);
}

static void *run(void *arg)
{
    struct plait_digest_cache *c = arg;
    uint8_t sha256[PLAIT_SHA256_LEN];

    /* On Linux both are of the calling thread alone: answers go before digests, also at the disk. */
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 19);
    (void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0));
    pthread_mutex_lock(&c->lock);
    for (;;) {
        while (c->queue_len == 0 && !atomic_load(&c->stopping))
            pthread_cond_wait(&c->wake, &c->lock);
        struct wish *w = &c->queue[c->queue_head]; /* stays where it is until it is removed below */
        if (c->queue_len > 0)
            wait_until_settled(c, &w->key);
        if (atomic_load(&c->stopping))
            break;
        pthread_mutex_unlock(&c->lock);
        int rc = compute(c, w, sha256);
        pthread_mutex_lock(&c->lock);
        if (rc == PLAIT_OK) {
            put(c, &w->key, sha256);
            append_line(c, &w->key, sha256);
        }
        free(w->path);
        c->queue_head = (c->queue_head + 1) % QUEUE_MAX;
        c->queue_len--;
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

static void release(struct plait_digest_cache *c)
{
    if (c->file_fd >= 0)
        close(c->file_fd);
    for (size_t i = 0; i < c->queue_len; i++)
        free(c->queue[(c->queue_head + i) % QUEUE_MAX].path);
    pthread_cond_destroy(&c->wake);
    pthread_mutex_destroy(&c->lock);
    free(c->buckets);
    free(c->entries);
    free(c);
}

static int make_tables(struct plait_digest_cache *c, size_t entries_max)
{
    size_t buckets = 16;

    assert(entries_max > 0 && entries_max < NONE / 2);
    while (buckets < entries_max)
        buckets *= 2;
    c->entries = calloc(entries_max, sizeof *c->entries);
    c->buckets = malloc(buckets * sizeof *c->buckets);
    if (c->entries == NULL || c->buckets == NULL)
        return PLAIT_ERR_NOMEM;
    memset(c->buckets, 0xff, buckets * sizeof *c->buckets);
    for (uint32_t i = 0; i < entries_max; i++)
        c->entries[i].next = i + 1 < entries_max ? i + 1 : NONE;
    c->bucket_mask = (uint32_t)(buckets - 1);
    c->oldest = c->newest = NONE;
    return PLAIT_OK;
}

int plait_digest_cache_new(struct plait_digest_cache **out, const struct plait_docroot *root,
                           size_t entries_max, int file_fd)
{
    struct plait_digest_cache *c = calloc(1, sizeof *c);

    if (c == NULL) {
        if (file_fd >= 0)
            close(file_fd);
        return PLAIT_ERR_NOMEM;
    }
    c->root = root;
    c->file_fd = file_fd;
    atomic_init(&c->stopping, false);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->wake, NULL);
    int rc = make_tables(c, entries_max);
    if (rc == PLAIT_OK) {
        load_file(c);
        int error = pthread_create(&c->thread, NULL, run, c);
        errno = error;
        rc = error != 0 ? PLAIT_ERR_IO : PLAIT_OK;
    }
    if (rc == PLAIT_OK)
        *out = c;
    else
        release(c);
    return rc;
}

void plait_digest_cache_free(struct plait_digest_cache *c)
{
    if (c == NULL)
        return;
    pthread_mutex_lock(&c->lock);
    atomic_store(&c->stopping, true);
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->thread, NULL);
    release(c);
}

bool plait_digest_cache_find(struct plait_digest_cache *c, const struct stat *st,
                             uint8_t sha256[PLAIT_SHA256_LEN])
{
    struct key k = key_of(st);

    pthread_mutex_lock(&c->lock);
    uint32_t i = lookup(c, &k);
    if (i != NONE) {
        memcpy(sha256, c->entries[i].sha256, PLAIT_SHA256_LEN);
        unlink_use(c, i);
        link_newest(c, i);
    }
    pthread_mutex_unlock(&c->lock);
    return i != NONE;
}

void plait_digest_cache_ask(struct plait_digest_cache *c, const char *path, const struct stat *st)
{
    struct key k = key_of(st);
    bool waits = false;
    char *copy = strdup(path);
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; !waits && i < c->queue_len; i++)
        waits = same(&c->queue[(c->queue_head + i) % QUEUE_MAX].key, &k);
    if (copy != NULL && !waits && c->queue_len < QUEUE_MAX) {
        c->queue[(c->queue_head + c->queue_len++) % QUEUE_MAX] = (struct wish){k, copy};
        copy = NULL;
        pthread_cond_signal(&c->wake);
    }
    pthread_mutex_unlock(&c->lock);
    free(copy);
}
