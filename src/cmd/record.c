#include "record.h"

#include "plait_field.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "units.h"

/* JSON is UTF-8; what is not is shown as far as it can be. NULL for "" where `empty_is_null`. */
static json_t *text_of(const char *text)
{
    json_t *json = json_string(text);
    char *ascii;

    if (json != NULL)
        return json;
    ascii = strdup(text);
    for (char *c = ascii; c != NULL && *c != '\0'; c++)
        if ((unsigned char)*c > 0x7e)
            *c = '?';
    json = json_string(ascii != NULL ? ascii : "");
    free(ascii);
    return json;
}

static json_t *text_or_null(const char *text)
{
    return text[0] != '\0' ? text_of(text) : json_null();
}

static json_t *bytes_of(uint64_t bytes)
{
    return bytes > (uint64_t)INT64_MAX ? json_null() : json_integer((json_int_t)bytes);
}

static json_t *seconds_of(uint64_t ns)
{
    return ns == PLAIT_NEVER ? json_null() : json_real(plait_to_s(ns));
}

static void set(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value);
}

/* Takes the object. */
static void write_line(FILE *to, json_t *object)
{
    char *line = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(12));

    if (line != NULL) {
        fputs(line, to);
        fputc('\n', to);
        fflush(to);
    }
    free(line);
    json_decref(object);
}

static json_t *new_event(const char *name, double t)
{
    json_t *object = json_object();

    set(object, "event", json_string(name));
    set(object, "t", json_real(t));
    return object;
}

static const char *state_name(enum plait_fetch_path_state state)
{
    static const char *const names[] = {
        [PLAIT_FETCH_PATH_NEW] = "new",       [PLAIT_FETCH_PATH_ACTIVE] = "active",
        [PLAIT_FETCH_PATH_SILENT] = "silent", [PLAIT_FETCH_PATH_WAIT] = "wait",
        [PLAIT_FETCH_PATH_OUT] = "out",
    };

    return names[state];
}

static json_t *fetch_event(const struct plait_fetch_event *e, double t)
{
    static const char *const names[] = {
        [PLAIT_FETCH_EV_SIZE] = "size",           [PLAIT_FETCH_EV_PATH_STATE] = "state",
        [PLAIT_FETCH_EV_STEAL] = "steal",         [PLAIT_FETCH_EV_NO_RANGES] = "no-ranges",
        [PLAIT_FETCH_EV_DIFFERS] = "differs",     [PLAIT_FETCH_EV_CONDEMNED] = "condemned",
        [PLAIT_FETCH_EV_CHANGED] = "changed",     [PLAIT_FETCH_EV_SIZE_DIFFERS] = "size-differs",
        [PLAIT_FETCH_EV_STREAM] = "stream",       [PLAIT_FETCH_EV_REPATTERN] = "repattern",
        [PLAIT_FETCH_EV_LIVE] = "live",           [PLAIT_FETCH_EV_LIVE_ENDED] = "live-ended",
        [PLAIT_FETCH_EV_NO_STREAM] = "no-stream",
    };
    json_t *o = new_event(names[e->kind], t);

    switch (e->kind) {
    case PLAIT_FETCH_EV_SIZE:
        set(o, "size", bytes_of(e->bytes));
        return o;
    case PLAIT_FETCH_EV_PATH_STATE:
        set(o, "path", json_integer(e->path));
        set(o, "state", json_string(state_name(e->state)));
        return o;
    case PLAIT_FETCH_EV_STEAL:
        set(o, "path", json_integer(e->path));
        set(o, "from", json_integer(e->other_path));
        set(o, "bytes", bytes_of(e->bytes));
        return o;
    case PLAIT_FETCH_EV_DIFFERS:
        set(o, "other", json_integer(e->other_source));
        set(o, "offset", bytes_of(e->bytes));
        break;
    case PLAIT_FETCH_EV_CONDEMNED:
        set(o, "bytes", bytes_of(e->bytes));
        break;
    case PLAIT_FETCH_EV_LIVE_ENDED:
    case PLAIT_FETCH_EV_SIZE_DIFFERS:
        set(o, "size", bytes_of(e->bytes));
        break;
    case PLAIT_FETCH_EV_STREAM:
        set(o, "path", json_integer(e->path));
        set(o, "block", bytes_of(e->bytes));
        break;
    case PLAIT_FETCH_EV_REPATTERN:
        set(o, "bytes", bytes_of(e->bytes));
        break;
    case PLAIT_FETCH_EV_NO_RANGES:
    case PLAIT_FETCH_EV_CHANGED:
    case PLAIT_FETCH_EV_LIVE:
    case PLAIT_FETCH_EV_NO_STREAM:
        break;
    }
    set(o, "source", json_integer(e->source));
    return o;
}

static json_t *own_event(const struct plait_get_event *e, double t)
{
    static const struct {
        const char *name, *text_key;
    } kinds[] = {
        [PLAIT_GET_EV_FETCH] = {"", ""},
        [PLAIT_GET_EV_OUTPUT] = {"output", "file"},
        [PLAIT_GET_EV_RESUMED] = {"resumed", "file"},
        [PLAIT_GET_EV_CONNECTED] = {"connected", "local"},
        [PLAIT_GET_EV_ANSWER] = {"answer", "reason"},
        [PLAIT_GET_EV_SOURCE] = {"source", "url"},
        [PLAIT_GET_EV_ROUTE_OUT] = {"route-out", "reason"},
        [PLAIT_GET_EV_DIGEST] = {"digest", "digest"},
        [PLAIT_GET_EV_REJECTED] = {"rejected", NULL},
        [PLAIT_GET_EV_RESTART] = {"restart", "reason"},
    };
    json_t *o = new_event(kinds[e->kind].name, t);

    if (kinds[e->kind].text_key != NULL)
        set(o, kinds[e->kind].text_key, text_of(e->text));
    if (e->path >= 0)
        set(o, "path", json_integer(e->path));
    if (e->kind == PLAIT_GET_EV_CONNECTED)
        set(o, "rtt", e->bytes > 0 ? seconds_of(e->bytes) : json_null());
    if (e->kind == PLAIT_GET_EV_RESUMED || e->kind == PLAIT_GET_EV_REJECTED)
        set(o, "bytes", bytes_of(e->bytes));
    if (e->kind == PLAIT_GET_EV_REJECTED)
        set(o, "offset", bytes_of(e->offset));
    return o;
}

void plait_record_event(FILE *to, const struct plait_get_event *event)
{
    double t = plait_to_s(event->at_ns);

    write_line(to, event->fetch != NULL ? fetch_event(event->fetch, t) : own_event(event, t));
}

static const char *letter_text(int letter)
{
    static char text[2];

    text[0] = plait_letter((uint8_t)letter);
    return text;
}

static json_t *path_of(size_t number, const struct plait_get_path *path, bool average)
{
    json_t *o = json_object();

    set(o, "path", json_integer((json_int_t)number));
    set(o, "source", text_of(path->source));
    set(o, "route", text_of(path->route));
    set(o, "local", text_or_null(path->local));
    set(o, "state", json_string(state_name(path->info.state)));
    set(o, "bytes", bytes_of(path->info.kept_bytes));
    set(o, "duplicated", bytes_of(path->info.dup_bytes));
    set(o, "compared", bytes_of(path->info.check_bytes));
    set(o, "rate", json_real(average ? path->average : path->info.rate));
    set(o, "rtt", path->info.rtt_ns > 0 ? seconds_of(path->info.rtt_ns) : json_null());
    set(o, "letter", path->info.letter < 0 ? json_null() : json_string(letter_text(path->info.letter)));
    set(o, "streams", json_integer((json_int_t)path->info.streams));
    set(o, "errors", json_integer((json_int_t)path->info.errors));
    set(o, "reason", text_or_null(path->reason));
    return o;
}

static json_t *paths_of(const struct plait_get_progress *p, bool average)
{
    json_t *list = json_array();

    for (size_t i = 0; i < p->path_count; i++)
        json_array_append_new(list, path_of(i, &p->paths[i], average));
    return list;
}

void plait_record_progress(FILE *to, const struct plait_get_progress *progress)
{
    static const char *const phases[] = {"start", "check", "fetch", "verify", "store", "end"};
    json_t *o = new_event("progress", plait_to_s(progress->elapsed_ns));

    set(o, "phase", json_string(phases[progress->phase]));
    set(o, "size", bytes_of(progress->fetch.size));
    set(o, "bytes", bytes_of(progress->fetch.kept_bytes));
    set(o, "emitted", bytes_of(progress->emitted));
    set(o, "rate", json_real(progress->fetch.rate));
    set(o, "eta", seconds_of(progress->fetch.eta_ns));
    if (progress->phase_total > 0) {
        set(o, "phase_bytes", bytes_of(progress->phase_done));
        set(o, "phase_total", bytes_of(progress->phase_total));
    }
    set(o, "pattern", text_or_null(progress->pattern));
    set(o, "paths", paths_of(progress, false));
    write_line(to, o);
}

void plait_record_message(FILE *to, double t, const char *level, const char *text)
{
    json_t *o = new_event("message", t);

    set(o, "level", json_string(level));
    set(o, "text", text_of(text));
    write_line(to, o);
}

void plait_record_summary(FILE *to, const struct plait_get_result *result)
{
    static const char *const digests[] = {"none", "unverified", "good", "wrong"};
    const struct plait_get_progress *p = &result->totals;
    double seconds = plait_to_s(p->elapsed_ns);
    json_t *o = new_event("summary", seconds);

    set(o, "file", text_or_null(p->output));
    set(o, "size", bytes_of(p->fetch.size));
    set(o, "bytes", bytes_of(p->fetch.kept_bytes));
    set(o, "resumed", bytes_of(p->resumed));
    set(o, "emitted", bytes_of(p->emitted));
    set(o, "seconds", json_real(seconds));
    set(o, "rate",
        json_real(seconds > 0 ? (double)plait_since(p->fetch.kept_bytes, p->resumed) / seconds : 0));
    set(o, "duplicated", bytes_of(p->fetch.dup_bytes));
    set(o, "compared", bytes_of(p->fetch.check_bytes));
    set(o, "digest", json_string(digests[result->digest_state]));
    set(o, "digest_algorithm",
        result->digest_state == PLAIT_GET_DIGEST_NONE
            ? json_null()
            : json_string(plait_digest_alg_name(result->digest_alg)));
    set(o, "digest_from", text_or_null(result->digest_origin));
    set(o, "exit", json_integer(result->exit_status));
    set(o, "error", text_or_null(result->error));
    set(o, "paths", paths_of(p, true));
    write_line(to, o);
}
