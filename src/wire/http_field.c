#include "http_field.h"

#include <string.h>

#include "units.h"

/* `lo-hi` before the slash, hi being the last byte itself. */
static int take_range(struct plait_text *t, struct plait_content_range *r)
{
    uint64_t last;
    int err = plait_text_take_u64(t, PLAIT_STREAM_SIZE_MAX, &r->lo);

    if (err != PLAIT_OK)
        return err;
    if (!plait_text_take_char(t, '-'))
        return PLAIT_ERR_FORMAT;
    err = plait_text_take_u64(t, PLAIT_STREAM_SIZE_MAX - 1, &last);
    if (err != PLAIT_OK)
        return err;
    if (last < r->lo)
        return PLAIT_ERR_RANGE;
    r->hi = last + 1;
    r->has_range = true;
    return PLAIT_OK;
}

static int take_total(struct plait_text *t, struct plait_content_range *r)
{
    if (plait_text_take_char(t, '*'))
        return PLAIT_OK;
    int err = plait_text_take_u64(t, PLAIT_STREAM_SIZE_MAX, &r->total);
    if (err != PLAIT_OK)
        return err;
    r->has_total = true;
    return r->hi <= r->total ? PLAIT_OK : PLAIT_ERR_RANGE;
}

int plait_content_range_parse(const char *s, size_t len, struct plait_content_range *out)
{
    struct plait_text t = plait_text_trim(plait_text_of(s, len));
    struct plait_content_range r = {0};
    int err;

    if (!plait_text_is(plait_text_take_token(&t), "bytes") || !plait_text_take_char(&t, ' '))
        return PLAIT_ERR_FORMAT;
    if (!plait_text_take_char(&t, '*') && (err = take_range(&t, &r)) != PLAIT_OK)
        return err;
    if (!plait_text_take_char(&t, '/'))
        return PLAIT_ERR_FORMAT;
    if ((err = take_total(&t, &r)) != PLAIT_OK)
        return err;
    if (t.len > 0 || (!r.has_range && !r.has_total))
        return PLAIT_ERR_FORMAT;
    *out = r;
    return PLAIT_OK;
}

static bool is_etag_char(char c)
{
    unsigned char u = (unsigned char)c;

    return u == 0x21 || (u >= 0x23 && u != 0x7f);
}

int plait_etag_parse(const char *s, size_t len, struct plait_etag *out)
{
    struct plait_text t = plait_text_trim(plait_text_of(s, len));
    bool weak = plait_text_take_word(&t, "W/");

    if (t.len < 2 || t.at[0] != '"' || t.at[t.len - 1] != '"')
        return PLAIT_ERR_FORMAT;
    for (size_t i = 1; i < t.len - 1; i++)
        if (!is_etag_char(t.at[i]))
            return PLAIT_ERR_FORMAT;
    *out = (struct plait_etag){.weak = weak, .opaque = t};
    return PLAIT_OK;
}

bool plait_etag_same(const struct plait_etag *a, const struct plait_etag *b)
{
    return !a->weak && !b->weak && a->opaque.len == b->opaque.len &&
           memcmp(a->opaque.at, b->opaque.at, a->opaque.len) == 0;
}

struct date {
    uint32_t year, month, day; /* month 0–11, day from 1 */
    uint32_t hour, minute, second;
};

static const char *const day_names[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
static const char *const long_day_names[] = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                             "Friday", "Saturday", "Sunday"};
static const char *const month_names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

static bool take_name(struct plait_text *t, const char *const *names, uint32_t count, uint32_t *which)
{
    for (uint32_t i = 0; i < count; i++) {
        if (plait_text_take_word(t, names[i])) {
            *which = i;
            return true;
        }
    }
    return false;
}

static bool take_month(struct plait_text *t, struct date *d)
{
    return take_name(t, month_names, PLAIT_COUNT(month_names), &d->month);
}

static bool take_time(struct plait_text *t, struct date *d)
{
    return plait_text_take_digits(t, 2, &d->hour) && plait_text_take_char(t, ':') &&
           plait_text_take_digits(t, 2, &d->minute) && plait_text_take_char(t, ':') &&
           plait_text_take_digits(t, 2, &d->second);
}

/* Sun, 06 Nov 1994 08:49:37 GMT */
static bool is_fixdate(struct plait_text t, struct date *d)
{
    uint32_t ignored;

    return take_name(&t, day_names, PLAIT_COUNT(day_names), &ignored) && plait_text_take_word(&t, ", ") &&
           plait_text_take_digits(&t, 2, &d->day) && plait_text_take_char(&t, ' ') && take_month(&t, d) &&
           plait_text_take_char(&t, ' ') && plait_text_take_digits(&t, 4, &d->year) &&
           plait_text_take_char(&t, ' ') && take_time(&t, d) && plait_text_take_word(&t, " GMT") &&
           t.len == 0;
}

/* Sunday, 06-Nov-94 08:49:37 GMT */
static bool is_rfc850_date(struct plait_text t, struct date *d)
{
    uint32_t ignored;

    if (!(take_name(&t, long_day_names, PLAIT_COUNT(long_day_names), &ignored) &&
          plait_text_take_word(&t, ", ") && plait_text_take_digits(&t, 2, &d->day) &&
          plait_text_take_char(&t, '-') && take_month(&t, d) && plait_text_take_char(&t, '-') &&
          plait_text_take_digits(&t, 2, &d->year) && plait_text_take_char(&t, ' ') && take_time(&t, d) &&
          plait_text_take_word(&t, " GMT") && t.len == 0))
        return false;
    d->year += d->year < 69 ? 2000 : 1900;
    return true;
}

/* Sun Nov  6 08:49:37 1994 */
static bool is_asctime_date(struct plait_text t, struct date *d)
{
    uint32_t ignored;

    return take_name(&t, day_names, PLAIT_COUNT(day_names), &ignored) && plait_text_take_char(&t, ' ') &&
           take_month(&t, d) && plait_text_take_char(&t, ' ') &&
           plait_text_take_digits(&t, plait_text_take_char(&t, ' ') ? 1 : 2, &d->day) &&
           plait_text_take_char(&t, ' ') && take_time(&t, d) && plait_text_take_char(&t, ' ') &&
           plait_text_take_digits(&t, 4, &d->year) && t.len == 0;
}

static bool is_leap(uint32_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static uint32_t month_days(uint32_t year, uint32_t month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return month == 1 && is_leap(year) ? 29 : days[month];
}

/* A second of 60 is a leap second; Unix time counts it as the next minute's first. */
static bool is_possible(const struct date *d)
{
    return d->year >= 1 && d->day >= 1 && d->day <= month_days(d->year, d->month) && d->hour <= 23 &&
           d->minute <= 59 && d->second <= 60;
}

static int64_t to_unix_s(const struct date *d)
{
    const int64_t days_to_1970 = 719162; /* from the first day of year 1 */
    int64_t past = (int64_t)d->year - 1;
    int64_t days = past * 365 + past / 4 - past / 100 + past / 400 + (int64_t)d->day - 1;

    for (uint32_t m = 0; m < d->month; m++)
        days += month_days(d->year, m);
    int64_t minutes = ((days - days_to_1970) * 24 + d->hour) * 60 + d->minute;
    return minutes * 60 + d->second;
}

int plait_http_date_parse(const char *s, size_t len, int64_t *unix_s)
{
    struct plait_text t = plait_text_trim(plait_text_of(s, len));
    struct date d = {0};

    if (!is_fixdate(t, &d) && !is_rfc850_date(t, &d) && !is_asctime_date(t, &d))
        return PLAIT_ERR_FORMAT;
    if (!is_possible(&d))
        return PLAIT_ERR_RANGE;
    *unix_s = to_unix_s(&d);
    return PLAIT_OK;
}

static bool is_all_digits(struct plait_text t)
{
    uint32_t ignored;

    while (plait_text_take_digits(&t, 1, &ignored))
        ;
    return t.len == 0;
}

int plait_retry_after_parse(const char *s, size_t len, int64_t now_unix_s, uint64_t *delay_s)
{
    struct plait_text t = plait_text_trim(plait_text_of(s, len));
    uint64_t delay = PLAIT_RETRY_AFTER_MAX_S;
    int64_t when;

    if (t.len > 0 && is_all_digits(t)) {
        /* A number above the maximum is left as it is, at the maximum. */
        (void)!plait_text_take_u64(&t, PLAIT_RETRY_AFTER_MAX_S, &delay);
    } else {
        int err = plait_http_date_parse(t.at, t.len, &when);
        if (err != PLAIT_OK)
            return err;
        delay = when > now_unix_s ? (uint64_t)when - (uint64_t)now_unix_s : 0;
    }
    *delay_s = plait_min_u64(delay, PLAIT_RETRY_AFTER_MAX_S);
    return PLAIT_OK;
}
