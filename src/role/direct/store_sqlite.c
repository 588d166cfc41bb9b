/*
 * A file, for one director at a time. What was alive when the director ended is told anew at the next start and lives
 * once more for its time: meanwhile nobody could send heartbeats. So heartbeats need not be written.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store.h"
#include "units.h"

#define BUSY_MS       2000
#define FORGET_EVERY  256 /* keys */
#define SCHEMA_NUMBER "1"

enum query { ONCE, FORGET, PUT, DROP, LOAD, QUERIES };

static const char *const queries[QUERIES] = {
    [ONCE] = "INSERT OR IGNORE INTO once(key, until_ms) VALUES(?1, ?2)",
    [FORGET] = "DELETE FROM once WHERE until_ms < ?2",
    [PUT] = "INSERT OR REPLACE INTO server(id, ttl_ms, document) VALUES(?1, ?2, ?3)",
    [DROP] = "DELETE FROM server WHERE id = ?1",
    [LOAD] = "SELECT id, ttl_ms, document FROM server ORDER BY id",
};

static const char schema[] =
    "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; BEGIN "
    "IMMEDIATE;"
    "CREATE TABLE IF NOT EXISTS server(id TEXT PRIMARY KEY, ttl_ms INTEGER NOT NULL, document BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS once(key TEXT PRIMARY KEY, until_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "PRAGMA user_version = " SCHEMA_NUMBER "; COMMIT;";

struct file {
    struct plait_store store;
    struct plait_timer start;
    sqlite3 *db;
    sqlite3_stmt *statements[QUERIES];
    unsigned keys;
};

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Runs a statement that gives no rows. */
static int run(struct file *f, enum query which, const char *first, int64_t second, const char *blob,
               size_t len)
{
    sqlite3_stmt *s = f->statements[which];

    sqlite3_bind_text(s, 1, first, -1, SQLITE_STATIC);
    if (sqlite3_bind_parameter_count(s) >= 2)
        sqlite3_bind_int64(s, 2, second);
    if (sqlite3_bind_parameter_count(s) >= 3)
        sqlite3_bind_blob64(s, 3, blob, len, SQLITE_STATIC);
    int result = sqlite3_step(s);
    if (result != SQLITE_DONE)
        snprintf(f->store.error, sizeof f->store.error, "%s", sqlite3_errmsg(f->db));
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return result == SQLITE_DONE ? PLAIT_OK : PLAIT_ERR_IO;
}

static void file_once(struct plait_store *s, const char *key, uint64_t ttl_ms, plait_store_done done,
                      void *ctx)
{
    struct file *f = (struct file *)s;
    int64_t now = now_ms();

    if (f->keys++ % FORGET_EVERY == 0)
        (void)!run(f, FORGET, NULL, now, NULL, 0);
    int err = run(f, ONCE, key, now + (int64_t)ttl_ms, NULL, 0);
    if (err == PLAIT_OK && sqlite3_changes(f->db) == 0)
        err = PLAIT_ERR_STATE;
    done(ctx, err);
}

static void file_put(struct plait_store *s, const char *id, const char *text, size_t len, uint64_t ttl_ms,
                     plait_store_done done, void *ctx)
{
    done(ctx, run((struct file *)s, PUT, id, (int64_t)ttl_ms, text, len));
}

static void file_touch(struct plait_store *s, const char *id, uint64_t ttl_ms, plait_store_done done,
                       void *ctx)
{
    (void)s, (void)id, (void)ttl_ms;
    done(ctx, PLAIT_OK);
}

static void file_drop(struct plait_store *s, const char *id, plait_store_done done, void *ctx)
{
    done(ctx, run((struct file *)s, DROP, id, 0, NULL, 0));
}

static void file_look(struct plait_store *s, const char *id, plait_store_told told, void *ctx)
{
    (void)!run((struct file *)s, DROP, id, 0, NULL, 0); /* what cannot be removed now will expire once more */
    told(ctx, PLAIT_ERR_NOTFOUND, 0);
}

static void on_start(void *ctx)
{
    struct file *f = ctx;
    sqlite3_stmt *s = f->statements[LOAD];
    int result;

    while ((result = sqlite3_step(s)) == SQLITE_ROW) {
        const char *id = (const char *)sqlite3_column_text(s, 0), *text = sqlite3_column_blob(s, 2);
        int64_t ttl_ms = sqlite3_column_int64(s, 1);
        if (id != NULL && text != NULL && ttl_ms > 0)
            f->store.events->put(f->store.ctx, id, text, (size_t)sqlite3_column_bytes(s, 2),
                                 (uint64_t)ttl_ms);
    }
    if (result != SQLITE_DONE)
        snprintf(f->store.error, sizeof f->store.error, "%s", sqlite3_errmsg(f->db));
    sqlite3_reset(s);
    f->store.is_up = result == SQLITE_DONE;
    f->store.events->state(f->store.ctx, f->store.is_up);
}

static void file_close(struct plait_store *s)
{
    struct file *f = (struct file *)s;

    plait_timer_close(&f->start);
    for (size_t i = 0; i < QUERIES; i++)
        sqlite3_finalize(f->statements[i]);
    sqlite3_close(f->db);
    f->db = NULL;
}

static void file_free(struct plait_store *s)
{
    free(s);
}

static bool open_file(struct file *f, const char *path, char error[PLAIT_STORE_ERROR_MAX])
{
    char *why = NULL;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_NOFOLLOW;

    if (sqlite3_open_v2(path, &f->db, flags, NULL) != SQLITE_OK) {
        snprintf(error, PLAIT_STORE_ERROR_MAX, "%s: %s", path,
                 f->db != NULL ? sqlite3_errmsg(f->db) : "out of memory");
        return false;
    }
    sqlite3_busy_timeout(f->db, BUSY_MS);
    if (sqlite3_exec(f->db, schema, NULL, NULL, &why) != SQLITE_OK) {
        bool locked = sqlite3_errcode(f->db) == SQLITE_BUSY;
        snprintf(error, PLAIT_STORE_ERROR_MAX, "%s: %s%s", path, why != NULL ? why : "cannot be used",
                 locked ? " (by another director? they can share a Redis)" : "");
        sqlite3_free(why);
        return false;
    }
    for (size_t i = 0; i < QUERIES; i++)
        if (sqlite3_prepare_v2(f->db, queries[i], -1, &f->statements[i], NULL) != SQLITE_OK) {
            snprintf(error, PLAIT_STORE_ERROR_MAX, "%s: %s", path, sqlite3_errmsg(f->db));
            return false;
        }
    return true;
}

struct plait_store *plait_store_sqlite_open(const char *rest, struct plait_loop *loop,
                                            char error[PLAIT_STORE_ERROR_MAX])
{
    static const struct plait_store_ops ops = {.once = file_once,
                                               .put = file_put,
                                               .touch = file_touch,
                                               .drop = file_drop,
                                               .look = file_look,
                                               .close = file_close,
                                               .free_memory = file_free};
    struct file *f = calloc(1, sizeof *f);

    if (f == NULL || !open_file(f, rest, error)) {
        if (f != NULL) {
            for (size_t i = 0; i < QUERIES; i++)
                sqlite3_finalize(f->statements[i]);
            sqlite3_close(f->db);
        }
        free(f);
        return NULL;
    }
    f->store.ops = &ops;
    f->store.loop = loop;
    plait_timer_init(&f->start, loop, on_start, f);
    plait_timer_set(&f->start, loop->now);
    return &f->store;
}
