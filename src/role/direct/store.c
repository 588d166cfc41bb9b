#include "store.h"

#include <stdio.h>
#include <string.h>

static const char *after(const char *text, const char *start)
{
    size_t len = strlen(start);

    return strncmp(text, start, len) == 0 ? text + len : NULL;
}

const char *plait_store_name(const char *where)
{
    return after(where, "sqlite:") != NULL ? "SQLite" : after(where, "redis://") != NULL ? "Redis" : "memory";
}

struct plait_store *plait_store_open(const char *where, struct plait_loop *loop,
                                     const struct plait_store_events *events, void *ctx,
                                     char error[PLAIT_STORE_ERROR_MAX])
{
    const char *sqlite = after(where, "sqlite:"), *redis = after(where, "redis://");
    struct plait_store *s = NULL;

    if (strcmp(where, "memory") == 0)
        s = plait_store_memory_open(loop, error);
    else if (sqlite != NULL && sqlite[0] != '\0')
        s = plait_store_sqlite_open(sqlite, loop, error);
    else if (redis != NULL)
        s = plait_store_redis_open(redis, loop, error);
    else
        snprintf(error, PLAIT_STORE_ERROR_MAX, "not memory, sqlite:PATH or redis://HOST:PORT");
    if (s != NULL) {
        s->loop = loop;
        s->events = events;
        s->ctx = ctx;
    }
    return s;
}
