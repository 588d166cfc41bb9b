#include "name.h"

#include <string.h>

#include "text.h"

struct name {
    char bytes[PLAIT_NAME_MAX];
    size_t len;
    size_t size; /* at most so many bytes */
    bool meant;  /* holds a character of the original that is more than a dot or a space */
};

static struct plait_text last_segment(struct plait_text t)
{
    size_t start = t.len;

    while (start > 0 && t.at[start - 1] != '/' && t.at[start - 1] != '\\')
        start--;
    plait_text_skip(&t, start);
    return plait_text_trim(t);
}

/* Controls (C0, DEL, C1), line and paragraph separators, and what turns the direction of writing round. */
static bool is_harmful(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x061c || c == 0xfeff;
}

/* The next character of the original, or `_` for one that may not stand; false at the end. */
static bool next_char(struct plait_text *t, bool first, uint32_t *c, bool *kept)
{
    if (t->len == 0)
        return false;
    *kept = plait_text_take_utf8(t, c);
    if (!*kept)
        plait_text_skip(t, 1);
    else if (is_harmful(*c) || (first && *c == '.'))
        *kept = false;
    if (!*kept)
        *c = '_';
    return true;
}

static bool name_append(struct name *n, uint32_t c, bool kept)
{
    struct plait_writer w;

    plait_writer_init(&w, n->bytes + n->len, n->size - n->len);
    plait_write_utf8(&w, c);
    if (w.bad)
        return false;
    n->len += plait_writer_used(&w);
    n->meant = n->meant || (kept && c != '.' && c != ' ');
    return true;
}

int plait_safe_name(const char *s, size_t len, char *out, size_t out_size)
{
    struct plait_text t = last_segment(plait_text_of(s, len));
    struct name n = {.size = PLAIT_NAME_MAX};
    uint32_t c;
    bool kept;

    if (out_size == 0)
        return PLAIT_ERR_ARG;
    if (n.size > out_size - 1)
        n.size = out_size - 1;
    while (next_char(&t, n.len == 0, &c, &kept) && name_append(&n, c, kept))
        ;
    while (n.len > 0 && n.bytes[n.len - 1] == ' ')
        n.len--;
    if (!n.meant)
        return PLAIT_ERR_NOTFOUND;
    memcpy(out, n.bytes, n.len);
    out[n.len] = '\0';
    return PLAIT_OK;
}

/* `%` and two digits; false, with nothing taken, where something else stands. */
static bool take_percent(struct plait_text *t, uint8_t *byte)
{
    if (t->len < 3 || t->at[0] != '%')
        return false;
    int high = plait_hex_value(t->at[1]);
    int low = plait_hex_value(t->at[2]);
    if (high < 0 || low < 0)
        return false;
    *byte = (uint8_t)(high << 4 | low);
    plait_text_skip(t, 3);
    return true;
}

static void write_percent_decoded(struct plait_writer *w, struct plait_text t)
{
    uint8_t byte;

    while (t.len > 0) {
        if (!take_percent(&t, &byte)) {
            byte = (uint8_t)*t.at;
            plait_text_skip(&t, 1);
        }
        plait_write_u8(w, byte);
    }
}

static struct plait_text url_path(struct plait_text t)
{
    t = plait_text_first(t, plait_text_find(t, '#'));
    t = plait_text_first(t, plait_text_find(t, '?'));
    size_t colon = plait_text_find(t, ':');
    struct plait_text rest = t;
    plait_text_skip(&rest, colon);
    if (plait_text_take_word(&rest, "://"))
        t = rest;
    plait_text_skip(&t, plait_text_find(t, '/'));
    return t;
}

int plait_url_name(const char *url, size_t len, char *out, size_t out_size)
{
    struct plait_text segment = last_segment(url_path(plait_text_of(url, len)));
    char raw[PLAIT_NAME_RAW_MAX];
    struct plait_writer w;

    plait_writer_init(&w, raw, sizeof raw);
    write_percent_decoded(&w, segment);
    if (w.bad)
        return PLAIT_ERR_LIMIT;
    return plait_safe_name(raw, plait_writer_used(&w), out, out_size);
}

struct disposition {
    struct plait_text plain; /* filename; in quotes still escaped */
    struct plait_text ext;   /* filename* */
    bool quoted, has_plain, has_ext;
};

static int set_param(struct disposition *d, struct plait_text name, struct plait_text value, bool quoted)
{
    bool plain = plait_text_is(name, "filename");
    bool ext = plait_text_is(name, "filename*");

    if ((plain && d->has_plain) || (ext && (d->has_ext || quoted)))
        return PLAIT_ERR_FORMAT;
    if (plain) {
        d->plain = value;
        d->quoted = quoted;
        d->has_plain = true;
    } else if (ext) {
        d->ext = value;
        d->has_ext = true;
    }
    return PLAIT_OK;
}

static int take_param(struct plait_text *t, struct disposition *d)
{
    struct plait_text value;

    plait_text_skip_space(t);
    struct plait_text name = plait_text_take_token(t);
    if (name.len == 0) /* servers do end the value with a semicolon */
        return t->len == 0 ? PLAIT_OK : PLAIT_ERR_FORMAT;
    plait_text_skip_space(t);
    if (!plait_text_take_char(t, '='))
        return PLAIT_ERR_FORMAT;
    plait_text_skip_space(t);
    bool quoted = plait_text_take_quoted(t, &value);
    if (!quoted && (value = plait_text_take_token(t)).len == 0)
        return PLAIT_ERR_FORMAT;
    plait_text_skip_space(t);
    return set_param(d, name, value, quoted);
}

static int parse_disposition(struct plait_text t, struct disposition *d)
{
    t = plait_text_trim(t);
    if (plait_text_take_token(&t).len == 0)
        return PLAIT_ERR_FORMAT;
    plait_text_skip_space(&t);
    while (plait_text_take_char(&t, ';')) {
        int err = take_param(&t, d);
        if (err != PLAIT_OK)
            return err;
    }
    return t.len == 0 ? PLAIT_OK : PLAIT_ERR_FORMAT;
}

static void write_latin1(struct plait_writer *w, struct plait_text t)
{
    for (size_t i = 0; i < t.len; i++)
        plait_write_utf8(w, (uint8_t)t.at[i]);
}

static void write_unescaped(struct plait_writer *w, struct plait_text t)
{
    while (t.len > 0) {
        plait_text_take_char(&t, '\\'); /* never the last: a quoted string ends before that */
        plait_write_u8(w, (uint8_t)*t.at);
        plait_text_skip(&t, 1);
    }
}

static int finish_name(const struct plait_writer *w, bool latin1, char *out, size_t out_size)
{
    char raw[PLAIT_NAME_RAW_MAX];
    struct plait_text t = plait_text_of((const char *)w->start, plait_writer_used(w));
    struct plait_writer converted;

    if (w->bad)
        return PLAIT_ERR_LIMIT;
    if (!latin1)
        return plait_safe_name(t.at, t.len, out, out_size);
    plait_writer_init(&converted, raw, sizeof raw);
    write_latin1(&converted, t);
    if (converted.bad)
        return PLAIT_ERR_LIMIT;
    return plait_safe_name(raw, plait_writer_used(&converted), out, out_size);
}

static int plain_name(const struct disposition *d, char *out, size_t out_size)
{
    char raw[PLAIT_NAME_RAW_MAX];
    struct plait_writer w;

    plait_writer_init(&w, raw, sizeof raw);
    if (d->quoted)
        write_unescaped(&w, d->plain);
    else
        plait_write_bytes(&w, d->plain.at, d->plain.len);
    return finish_name(&w, !plait_text_is_utf8(plait_text_of(raw, plait_writer_used(&w))), out, out_size);
}

static bool is_percent_encoded(struct plait_text t)
{
    uint8_t ignored;

    while (t.len > 0) {
        if (*t.at != '%')
            plait_text_skip(&t, 1);
        else if (!take_percent(&t, &ignored))
            return false;
    }
    return true;
}

/* charset'language'value, RFC 8187 section 3.2 */
static int extended_name(struct plait_text t, char *out, size_t out_size)
{
    char raw[PLAIT_NAME_RAW_MAX];
    struct plait_writer w;
    struct plait_text charset = plait_text_first(t, plait_text_find(t, '\''));
    bool latin1 = plait_text_is(charset, "iso-8859-1");

    if (!latin1 && !plait_text_is(charset, "utf-8"))
        return PLAIT_ERR_FORMAT;
    plait_text_skip(&t, charset.len);
    if (!plait_text_take_char(&t, '\''))
        return PLAIT_ERR_FORMAT;
    plait_text_skip(&t, plait_text_find(t, '\''));
    if (!plait_text_take_char(&t, '\'') || !is_percent_encoded(t))
        return PLAIT_ERR_FORMAT;
    plait_writer_init(&w, raw, sizeof raw);
    write_percent_decoded(&w, t);
    if (!latin1 && !plait_text_is_utf8(plait_text_of(raw, plait_writer_used(&w))))
        return PLAIT_ERR_FORMAT;
    return finish_name(&w, latin1, out, out_size);
}

int plait_content_disposition_name(const char *s, size_t len, char *out, size_t out_size)
{
    struct disposition d = {0};
    int err = parse_disposition(plait_text_of(s, len), &d);

    if (err != PLAIT_OK)
        return err;
    if (d.has_ext) {
        err = extended_name(d.ext, out, out_size);
        if (err == PLAIT_OK || !d.has_plain)
            return err;
    }
    return d.has_plain ? plain_name(&d, out, out_size) : PLAIT_ERR_NOTFOUND;
}
