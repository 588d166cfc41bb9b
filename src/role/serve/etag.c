#include "etag.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "http_field.h"
#include "text.h"
#include "units.h"

/* Clocks of file systems tick every 1 to 10 ms, but where they have no fraction at all, every 1 or 2 s. */
#define TICK_NS        ((int64_t)(50 * PLAIT_MS))
#define TICK_COARSE_NS ((int64_t)(2 * PLAIT_S))

void plait_http_date_write(int64_t unix_s, char out[PLAIT_HTTP_DATE_SIZE])
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm tm;
    time_t t = (time_t)unix_s;

    out[0] = '\0';
    if (gmtime_r(&t, &tm) == NULL || tm.tm_year < -900 || tm.tm_year > 8099)
        return;
    snprintf(out, PLAIT_HTTP_DATE_SIZE, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
             days + (size_t)tm.tm_wday * 3, tm.tm_mday, months + (size_t)tm.tm_mon * 3, tm.tm_year + 1900,
             tm.tm_hour, tm.tm_min, tm.tm_sec);
}

int64_t plait_mtime_ns(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * (int64_t)PLAIT_S + st->st_mtim.tv_nsec;
}

void plait_version_of(const struct stat *st, int64_t now_ns, struct plait_version *out)
{
    int64_t mtime_ns = plait_mtime_ns(st), age_ns = now_ns - mtime_ns;
    int64_t tick_ns = st->st_mtim.tv_nsec == 0 ? TICK_COARSE_NS : TICK_NS;

    out->weak = age_ns > -tick_ns && age_ns < tick_ns;
    snprintf(out->etag, sizeof out->etag, "%s\"%" PRIx64 "-%" PRIx64 "-%" PRIx64 "\"", out->weak ? "W/" : "",
             (uint64_t)st->st_ino, (uint64_t)st->st_size, (uint64_t)mtime_ns);
    out->modified_s = st->st_mtim.tv_sec;
    /* A date in the future is not sent (RFC 9110 section 8.8.2.1): then it is that of this answer. */
    plait_http_date_write(age_ns < 0 ? now_ns / (int64_t)PLAIT_S : out->modified_s, out->last_modified);
    out->date_is_strong = age_ns >= (int64_t)PLAIT_S;
}

/* Takes W/ and an opaque tag with its quotes. */
static bool take_tag(struct plait_text *t, bool *weak, struct plait_text *opaque)
{
    *weak = plait_text_take_word(t, "W/");
    if (t->len == 0 || *t->at != '"')
        return false;
    struct plait_text rest = *t;
    plait_text_skip(&rest, 1);
    size_t inside = plait_text_find(rest, '"');
    if (inside == rest.len)
        return false;
    *opaque = plait_text_first(*t, inside + 2);
    plait_text_skip(t, inside + 2);
    return true;
}

static struct plait_text opaque_of(const struct plait_version *v)
{
    const char *s = v->weak ? v->etag + 2 : v->etag;

    return plait_text_of(s, strlen(s));
}

static bool same(struct plait_text a, struct plait_text b)
{
    return a.len == b.len && memcmp(a.at, b.at, a.len) == 0;
}

/* Whether `*` or one of the tags of the list matches: strongly, or by the weak comparison of section 8.8.3.2.
 */
static bool list_matches(const char *list, const struct plait_version *v, bool strong)
{
    struct plait_text t = plait_text_trim(plait_text_of(list, strlen(list)));
    struct plait_text opaque;
    bool weak;

    if (t.len == 1 && *t.at == '*')
        return true;
    for (;;) {
        while (plait_text_take_char(&t, ',') || plait_text_take_char(&t, ' ') ||
               plait_text_take_char(&t, '\t'))
            ;
        if (!take_tag(&t, &weak, &opaque))
            return false;
        if (same(opaque, opaque_of(v)) && !(strong && (weak || v->weak)))
            return true;
    }
}

/* Whether it is a date, and the file is not newer. */
static bool not_newer(const char *date, const struct plait_version *v, bool *is_date)
{
    int64_t unix_s;

    *is_date = plait_http_date_parse(date, strlen(date), &unix_s) == PLAIT_OK;
    return *is_date && v->modified_s <= unix_s;
}

enum plait_verdict plait_conditions_judge(const struct plait_conditions *c, const struct plait_version *v)
{
    bool is_date;

    if (c->if_match != NULL) {
        if (!list_matches(c->if_match, v, true))
            return PLAIT_VERDICT_FAILED;
    } else if (c->if_unmodified_since != NULL) {
        if (!not_newer(c->if_unmodified_since, v, &is_date) && is_date)
            return PLAIT_VERDICT_FAILED;
    }
    if (c->if_none_match != NULL)
        return list_matches(c->if_none_match, v, false) ? PLAIT_VERDICT_UNMODIFIED : PLAIT_VERDICT_GO;
    if (c->if_modified_since != NULL && not_newer(c->if_modified_since, v, &is_date))
        return PLAIT_VERDICT_UNMODIFIED;
    return PLAIT_VERDICT_GO;
}

bool plait_if_range_holds(const char *if_range, const struct plait_version *v)
{
    struct plait_text opaque;
    bool weak;

    if (if_range == NULL)
        return true;
    struct plait_text t = plait_text_trim(plait_text_of(if_range, strlen(if_range)));
    if (take_tag(&t, &weak, &opaque))
        return t.len == 0 && !weak && !v->weak && same(opaque, opaque_of(v));
    int64_t unix_s;
    return plait_http_date_parse(if_range, strlen(if_range), &unix_s) == PLAIT_OK && v->date_is_strong &&
           unix_s == v->modified_s;
}
