#include "query.h"

#include <string.h>

#include "digest.h"
#include "text.h"

#define SIZE_VALUE_MAX ((uint64_t)INT64_MAX)
#define QUALITY_ONE    1000u

/* Percent-decoding, and nothing else; false for what is malformed or too long. */
static bool decode(struct plait_text t, char out[PLAIT_STREAM_NAME_MAX + 1])
{
    size_t used = 0;

    while (t.len > 0 && used < PLAIT_STREAM_NAME_MAX) {
        char c = *t.at;
        if (c == '%') {
            int high = t.len > 2 ? plait_hex_value(t.at[1]) : -1,
                low = t.len > 2 ? plait_hex_value(t.at[2]) : -1;
            if (high < 0 || low < 0 || (high == 0 && low == 0))
                return false;
            c = (char)(high << 4 | low);
            plait_text_skip(&t, 2);
        }
        out[used++] = c;
        plait_text_skip(&t, 1);
    }
    out[used] = '\0';
    return t.len == 0;
}

static bool take_name(struct plait_text t, char out[PLAIT_STREAM_NAME_MAX + 1])
{
    return decode(t, out) && plait_stream_name_is_good(out, strlen(out));
}

static bool take_digest(struct plait_text value, uint8_t *bytes, size_t len, bool *has)
{
    *has = plait_hex_decode(value.at, value.len, bytes, len) == PLAIT_OK;
    return *has;
}

static bool take_size(struct plait_text value, struct plait_wish *wish)
{
    wish->has_size = plait_text_take_u64(&value, SIZE_VALUE_MAX, &wish->size) == PLAIT_OK && value.len == 0;
    return wish->has_size;
}

static bool take_form(struct plait_text value, struct plait_query *q)
{
    bool metalink = plait_text_is(value, "metalink");

    q->form = metalink ? PLAIT_FORM_METALINK : PLAIT_FORM_JSON;
    return metalink || plait_text_is(value, "json");
}

static bool take_parameter(struct plait_text name, struct plait_text value, struct plait_query *q)
{
    struct plait_digests *d = &q->wish.digests;

    if (plait_text_is(name, "events")) {
        q->form = PLAIT_FORM_EVENTS;
        return true;
    }
    if (plait_text_is(name, "size"))
        return take_size(value, &q->wish);
    if (plait_text_is(name, "sha-256"))
        return take_digest(value, d->sha256, sizeof d->sha256, &d->has_sha256);
    if (plait_text_is(name, "sha-512"))
        return take_digest(value, d->sha512, sizeof d->sha512, &d->has_sha512);
    if (plait_text_is(name, "format"))
        return take_form(value, q);
    if (plait_text_is(name, "after"))
        return take_name(value, q->after);
    return true;
}

static bool take_query(struct plait_text t, struct plait_query *q)
{
    while (t.len > 0) {
        struct plait_text one = plait_text_first(t, plait_text_find(t, '&'));
        struct plait_text name = plait_text_first(one, plait_text_find(one, '='));
        plait_text_skip(&t, one.len + 1);
        plait_text_skip(&one, name.len + 1);
        if (!take_parameter(name, one, q))
            return false;
    }
    return true;
}

int plait_query_parse(const char *target, struct plait_query *out)
{
    struct plait_text t = plait_text_of(target, strlen(target));
    struct plait_query q;

    memset(&q, 0, sizeof q);
    if (!plait_text_take_char(&t, '/'))
        return PLAIT_ERR_FORMAT;
    struct plait_text path = plait_text_first(t, plait_text_find(t, '?'));
    plait_text_skip(&t, path.len + 1);
    if ((path.len > 0 && !take_name(path, q.name)) || !take_query(t, &q))
        return PLAIT_ERR_FORMAT;
    *out = q;
    return PLAIT_OK;
}

/* `;q=0.5` among other parameters, in thousandths. */
static unsigned take_quality(struct plait_text t)
{
    while (t.len > 0) {
        struct plait_text one = plait_text_first(t, plait_text_find(t, ';'));
        plait_text_skip(&t, one.len + 1);
        one = plait_text_trim(one);
        if (!plait_text_take_word(&one, "q=") && !plait_text_take_word(&one, "Q="))
            continue;
        if (!plait_text_take_char(&one, '0'))
            return QUALITY_ONE;
        unsigned quality = 0, worth = 100;
        plait_text_take_char(&one, '.');
        for (; one.len > 0 && *one.at >= '0' && *one.at <= '9' && worth > 0; worth /= 10) {
            quality += worth * (unsigned)(*one.at - '0');
            plait_text_skip(&one, 1);
        }
        return quality;
    }
    return QUALITY_ONE;
}

static enum plait_form form_of(struct plait_text type)
{
    static const struct {
        const char *type;
        enum plait_form form;
    } forms[] = {{"application/json", PLAIT_FORM_JSON},
                 {"application/metalink4+xml", PLAIT_FORM_METALINK},
                 {"text/event-stream", PLAIT_FORM_EVENTS}};

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        if (plait_text_is(type, forms[i].type))
            return forms[i].form;
    return PLAIT_FORM_ANY;
}

enum plait_form plait_accept_parse(const char *field)
{
    struct plait_text t = plait_text_of(field, strlen(field));
    enum plait_form best = PLAIT_FORM_ANY;
    unsigned best_quality = 0;

    while (t.len > 0) {
        struct plait_text one = plait_text_first(t, plait_text_find(t, ','));
        struct plait_text type = plait_text_first(one, plait_text_find(one, ';'));
        plait_text_skip(&t, one.len + 1);
        plait_text_skip(&one, type.len + 1);
        type = plait_text_trim(type);
        enum plait_form form = form_of(type);
        /* A wildcard is worth a little less than a name. */
        unsigned quality =
            2 * take_quality(one) + (plait_text_find(type, '*') == type.len && type.len > 0 ? 1 : 0);
        if (quality > best_quality && quality > 1) {
            best = form;
            best_quality = quality;
        }
    }
    return best;
}
