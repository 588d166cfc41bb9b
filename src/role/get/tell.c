#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "get_int.h"
#include "units.h"

void get_say(struct plait_get *g, enum plait_get_level level, const char *format, ...)
{
    char text[ERROR_MAX];
    va_list args;

    if (g->listener->say == NULL)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    g->listener->say(g->listener->ctx, level, text);
}

static void tell(struct plait_get *g, struct plait_get_event *event)
{
    event->at_ns = plait_since(g->loop.now, g->started);
    if (g->listener->event != NULL)
        g->listener->event(g->listener->ctx, event);
}

void get_tell(struct plait_get *g, enum plait_get_event_kind kind, int path, uint64_t bytes, const char *text)
{
    struct plait_get_event event = {.kind = kind, .path = path, .bytes = bytes, .text = text};

    tell(g, &event);
}

/* ---- progress ---- */

static enum plait_get_phase phase_of(const struct plait_get *g)
{
    switch (g->stage) {
    case STAGE_START:
        return PLAIT_GET_PHASE_START;
    case STAGE_CHECK:
        return PLAIT_GET_PHASE_CHECK;
    case STAGE_FETCH:
        return PLAIT_GET_PHASE_FETCH;
    case STAGE_VERIFY:
        return PLAIT_GET_PHASE_VERIFY;
    case STAGE_STORE:
        return PLAIT_GET_PHASE_STORE;
    case STAGE_STOP:
        break;
    }
    return PLAIT_GET_PHASE_END;
}

static void describe_path(struct plait_get *g, int index, struct plait_get_path *out)
{
    const struct get_path *p = &g->paths[index];
    uint64_t ns = plait_since(p->last_at, p->first_at);

    *out = (struct plait_get_path){
        .source = g->sources[p->source].shown,
        .route = g->routes.list[p->route].name,
        .local = p->local,
        .reason = p->reason,
        .average = ns > 0 ? (double)p->bytes / plait_to_s(ns) : 0,
    };
    if (g->fetch != NULL && index < plait_fetch_path_count(g->fetch))
        plait_fetch_get_path(g->fetch, g->loop.now, index, &out->info);
}

static void describe_pattern(const struct plait_get *g, char out[PLAIT_GET_PATTERN_MAX + 1])
{
    uint8_t letters[PLAIT_GET_PATTERN_MAX];
    size_t n = plait_fetch_get_pattern(g->fetch, letters, PLAIT_GET_PATTERN_MAX);

    for (size_t i = 0; i < n; i++)
        out[i] = plait_letter(letters[i]);
    out[n] = '\0';
}

static void describe(struct plait_get *g, struct plait_get_path paths[PLAIT_FETCH_PATHS_MAX],
                     struct plait_get_progress *out)
{
    *out = (struct plait_get_progress){
        .phase = phase_of(g),
        .output = g->name != NULL ? g->name : "",
        .now = g->loop.now,
        .elapsed_ns = plait_since(g->loop.now, g->started),
        .resumed = g->resumed_bytes,
        .emitted = g->emitted,
        .fetch = {.size = g->known_size, .eta_ns = PLAIT_NEVER},
        .paths = paths,
        .path_count = (size_t)g->path_count,
    };
    if (g->fetch != NULL)
        plait_fetch_get_status(g->fetch, g->loop.now, &out->fetch);
    if (g->fetch != NULL && out->phase == PLAIT_GET_PHASE_FETCH)
        describe_pattern(g, out->pattern);
    if (out->phase == PLAIT_GET_PHASE_CHECK) {
        out->phase_done = atomic_load(&g->resume.read_bytes);
        out->phase_total = g->resume.total_bytes;
    } else if (out->phase == PLAIT_GET_PHASE_VERIFY && g->chasing) {
        out->phase_done = g->chaser.hashed;
        out->phase_total = out->fetch.size;
    }
    for (int i = 0; i < g->path_count; i++)
        describe_path(g, i, &paths[i]);
}

void get_tell_progress(struct plait_get *g)
{
    struct plait_get_path paths[PLAIT_FETCH_PATHS_MAX];
    struct plait_get_progress progress;

    if (g->listener->progress == NULL)
        return;
    describe(g, paths, &progress);
    g->listener->progress(g->listener->ctx, &progress);
}

void get_tell_end(struct plait_get *g)
{
    struct plait_get_path paths[PLAIT_FETCH_PATHS_MAX];
    struct plait_get_result result = {
        .exit_status = g->exit_status,
        .digest_state = g->digest_state,
        .digest_alg = g->digest.alg,
        .digest_origin = g->digest_teller,
        .error = g->error,
    };

    if (g->listener->end == NULL)
        return;
    describe(g, paths, &result.totals);
    g->listener->end(g->listener->ctx, &result);
}

/* ---- the fetch's events ---- */

static const char *shown(const struct plait_get *g, int source)
{
    return source >= 0 && source < g->source_count ? g->sources[source].shown : "an earlier run";
}

static void say_path_out(struct plait_get *g, const struct plait_fetch_event *e)
{
    const struct get_path *p = &g->paths[e->path];
    const char *route = g->opt->route_count > 0 ? g->routes.list[p->route].name : "";

    if (p->reason[0] != '\0')
        get_say(g, PLAIT_GET_WARNING, "%s%s%s is left out: %s", shown(g, p->source),
                route[0] != '\0' ? " over " : "", route, p->reason);
}

/* Of several paths one brings nothing from the beginning: told once, also if all goes well without it. */
static void say_path_silent(struct plait_get *g, const struct plait_fetch_event *e)
{
    struct get_path *p = &g->paths[e->path];
    bool named = g->opt->route_count > 0;

    if (p->told || p->bytes > 0 || g->path_count < 2)
        return;
    p->told = true;
    get_say(g, PLAIT_GET_WARNING, "%s%s%s %s%s; going on without, and trying again", shown(g, p->source),
            named ? " over " : "", named ? g->routes.list[p->route].name : "",
            p->reason[0] != '\0' ? "cannot be had: " : "does not answer", p->reason);
}

static void say_event(struct plait_get *g, const struct plait_fetch_event *e)
{
    switch (e->kind) {
    case PLAIT_FETCH_EV_PATH_STATE:
        if (e->state == PLAIT_FETCH_PATH_OUT)
            say_path_out(g, e);
        else if (e->state == PLAIT_FETCH_PATH_WAIT || e->state == PLAIT_FETCH_PATH_SILENT)
            say_path_silent(g, e);
        break;
    case PLAIT_FETCH_EV_NO_RANGES:
        if (g->status.size != PLAIT_FETCH_UNKNOWN && g->status.size <= PLAIT_MIB)
            break; /* short answers come whole from servers of every kind */
        get_say(g, PLAIT_GET_NOTE, "%s does not serve parts; it is read from the beginning to the end",
                shown(g, e->source));
        break;
    case PLAIT_FETCH_EV_DIFFERS:
        get_say(g, PLAIT_GET_WARNING, "%s and %s differ at byte %llu", shown(g, e->other_source),
                shown(g, e->source), (unsigned long long)e->bytes);
        break;
    case PLAIT_FETCH_EV_CONDEMNED:
        get_say(g, PLAIT_GET_WARNING,
                "%s is left out: its content is not the others'; %.1f MB are fetched again",
                shown(g, e->source), (double)e->bytes / 1e6);
        break;
    case PLAIT_FETCH_EV_SIZE_DIFFERS:
        get_say(g, PLAIT_GET_WARNING, "%s states another size, %llu bytes", shown(g, e->source),
                (unsigned long long)e->bytes);
        break;
    case PLAIT_FETCH_EV_CHANGED:
        get_say(g, PLAIT_GET_WARNING, "%s changed while it was being fetched", shown(g, e->source));
        break;
    case PLAIT_FETCH_EV_NO_STREAM:
        get_say(g, PLAIT_GET_NOTE, "%s does not push what it is asked for; it is asked for parts instead",
                shown(g, e->source));
        break;
    case PLAIT_FETCH_EV_LIVE:
        get_say(g, PLAIT_GET_NOTE, "%s is still being written; following it until it is closed",
                shown(g, e->source));
        break;
    case PLAIT_FETCH_EV_LIVE_ENDED:
        get_say(g, PLAIT_GET_NOTE, "it was closed with %llu bytes", (unsigned long long)e->bytes);
        break;
    case PLAIT_FETCH_EV_SIZE:
    case PLAIT_FETCH_EV_STEAL:
    case PLAIT_FETCH_EV_STREAM:
    case PLAIT_FETCH_EV_REPATTERN:
        break;
    }
}

static void note_reason(struct plait_get *g, const struct plait_fetch_event *e)
{
    const char *why = NULL;

    if (e->kind == PLAIT_FETCH_EV_CONDEMNED) {
        g->condemned = true;
        why = "its content is not the others'";
    } else if (e->kind == PLAIT_FETCH_EV_CHANGED) {
        why = "it changed while it was being fetched";
    } else if (e->kind == PLAIT_FETCH_EV_SIZE_DIFFERS) {
        why = "it states another size";
    }
    if (why != NULL && e->source >= 0 && e->source < g->source_count)
        snprintf(g->sources[e->source].reason, sizeof g->sources[e->source].reason, "%s", why);
}

void get_tell_fetch_events(struct plait_get *g)
{
    struct plait_fetch_event e;
    struct plait_fetch_status status;

    plait_fetch_get_status(g->fetch, g->loop.now, &status);
    while (plait_fetch_next_event(g->fetch, &e)) {
        struct plait_get_event event = {
            .kind = PLAIT_GET_EV_FETCH, .path = e.path, .bytes = e.bytes, .text = "", .fetch = &e};
        note_reason(g, &e);
        tell(g, &event);
        /* What the fetch fails of is told at the end, once. */
        if (status.fail == PLAIT_FETCH_FAIL_NONE)
            say_event(g, &e);
    }
}

/* ---- failure ---- */

static size_t append(char *text, size_t len, const char *format, ...) PLAIT_PRINTF(3, 4);

static size_t append(char *text, size_t len, const char *format, ...)
{
    va_list args;
    int n;

    if (len + 1 >= ERROR_MAX)
        return len;
    va_start(args, format);
    n = vsnprintf(text + len, ERROR_MAX - len, format, args);
    va_end(args);
    return n < 0 ? len : plait_min_u64(len + (size_t)n, ERROR_MAX - 1);
}

/* Every source with what is wrong with it; where routes were named, every path. */
static void list_sources(const struct plait_get *g, char text[ERROR_MAX], const char *what)
{
    bool routes = g->opt->route_count > 0;
    int count = routes ? g->path_count : g->source_count;
    size_t len = 0;

    text[0] = '\0';
    if (count > 1)
        len = append(text, len, "%s", what);
    for (int i = 0; i < count; i++) {
        const struct get_path *p = &g->paths[i];
        const struct plait_source *s = &g->sources[routes ? p->source : i];
        const char *reason = routes && p->reason[0] != '\0' ? p->reason : s->reason;
        len = append(text, len, "%s%s%s%s: %s", count > 1 ? "\n  " : "", s->shown, routes ? " over " : "",
                     routes ? g->routes.list[p->route].name : "", reason[0] != '\0' ? reason : "no answer");
    }
}

static const char *after_list(const char *text)
{
    return strchr(text, '\n') != NULL ? "\n" : "; ";
}

static void blame_sources(struct plait_get *g, const char *what, const char *advice)
{
    char text[ERROR_MAX];
    int exit_status = g->condemned ? PLAIT_GET_CONTENT : PLAIT_GET_SOURCES;

    list_sources(g, text, what);
    get_end(g, exit_status, "%s%s%s", text, after_list(text), advice);
}

static void blame_unreachable(struct plait_get *g)
{
    char text[ERROR_MAX];

    if (g->status.kept_bytes <= g->resumed_bytes) {
        blame_sources(g, "no source could be reached:",
                      "check the network and the addresses, and run the same command again");
        return;
    }
    list_sources(g, text, "nothing has come from any source for too long:");
    get_end(g, PLAIT_GET_FAILED, "%s%s%s", text, after_list(text),
            g->sink != NULL && !g->sink->in_order
                ? "what has come is kept: run the same command again to go on"
                : "run the same command again");
}

static void blame_conflict(struct plait_get *g)
{
    const struct plait_fetch_status *s = &g->status;
    char where[64] = "they have different sizes";

    if (s->fail == PLAIT_FETCH_FAIL_CONFLICT)
        snprintf(where, sizeof where, "they differ at byte %llu", (unsigned long long)s->conflict_offset);
    get_end(
        g, PLAIT_GET_CONTENT,
        "%s and %s are different files: %s, and nothing tells which is right; name only one of them, or give "
        "its digest with --checksum",
        shown(g, s->conflict_source_a), shown(g, s->conflict_source_b), where);
}

static void blame_content(struct plait_get *g)
{
    if (g->status.fail == PLAIT_FETCH_FAIL_CHANGED)
        get_end(g, PLAIT_GET_CONTENT, "%s changed while it was being fetched; run the same command again",
                shown(g, 0));
    else if (g->status.fail == PLAIT_FETCH_FAIL_TAINTED)
        get_end(g, PLAIT_GET_CONTENT,
                "bytes that have been written out already turned out to be wrong; throw them away, and fetch "
                "into a file");
    else
        get_end(g, PLAIT_GET_CONTENT,
                "the content of %s%s does not have the %s digest that %s; check the digest, or name another "
                "source",
                shown(g, 0), g->source_count > 1 ? " and of the others" : "",
                plait_digest_alg_name(g->digest.alg), g->digest_teller);
}

void get_blame(struct plait_get *g)
{
    switch (g->status.fail) {
    case PLAIT_FETCH_FAIL_NONE:
        break;
    case PLAIT_FETCH_FAIL_NO_SOURCE:
        blame_sources(g, "no source is left:", "check the address, or name another source");
        break;
    case PLAIT_FETCH_FAIL_UNREACHABLE:
        blame_unreachable(g);
        break;
    case PLAIT_FETCH_FAIL_CONFLICT:
    case PLAIT_FETCH_FAIL_SIZES:
        blame_conflict(g);
        break;
    case PLAIT_FETCH_FAIL_CHANGED:
    case PLAIT_FETCH_FAIL_TAINTED:
    case PLAIT_FETCH_FAIL_CONTENT:
        blame_content(g);
        break;
    case PLAIT_FETCH_FAIL_NO_RESUME:
        get_end(
            g, PLAIT_GET_FAILED,
            "%s broke off and cannot be continued, since it does not serve parts; run the same command again",
            shown(g, 0));
        break;
    case PLAIT_FETCH_FAIL_STORE:
        get_end(g, PLAIT_GET_LOCAL, "%s", g->sink != NULL ? g->sink->error : "the output cannot be written");
        break;
    case PLAIT_FETCH_FAIL_NOMEM:
        get_end(g, PLAIT_GET_FAILED, "out of memory");
        break;
    }
}
