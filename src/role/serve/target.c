#include "target.h"

#include <string.h>

#include "text.h"

/* Takes one character of a path, decoded. */
static int take_char(struct plait_text *t, char *c)
{
    if (*t->at != '%') {
        *c = *t->at;
        plait_text_skip(t, 1);
        return *c != '\0' ? PLAIT_OK : PLAIT_ERR_FORMAT;
    }
    int high = t->len >= 3 ? plait_hex_value(t->at[1]) : -1;
    int low = t->len >= 3 ? plait_hex_value(t->at[2]) : -1;
    if (high < 0 || low < 0)
        return PLAIT_ERR_FORMAT;
    *c = (char)(high * 16 + low);
    plait_text_skip(t, 3);
    return *c != '\0' && *c != '/' ? PLAIT_OK : PLAIT_ERR_FORMAT;
}

/* Takes one segment, up to a slash that stays. */
static int take_segment(struct plait_text *t, struct plait_target *out)
{
    size_t begin = out->len;

    while (t->len > 0 && *t->at != '/') {
        char c;
        int rc = take_char(t, &c);
        if (rc != PLAIT_OK)
            return rc;
        if (out->len + 1 >= sizeof out->path)
            return PLAIT_ERR_LIMIT;
        out->path[out->len++] = c;
    }
    const char *segment = out->path + begin;
    size_t len = out->len - begin;
    if (len == 2 && memcmp(segment, "..", 2) == 0)
        return PLAIT_ERR_FORMAT;
    if (len == 1 && *segment == '.')
        out->len = begin;
    else if (len > 0 && *segment == '.')
        out->hidden = true;
    return PLAIT_OK;
}

static int take_path(struct plait_text t, struct plait_target *out)
{
    while (t.len > 0) {
        if (out->len > 0 && out->path[out->len - 1] != '/') {
            if (out->len + 1 >= sizeof out->path)
                return PLAIT_ERR_LIMIT;
            out->path[out->len++] = '/';
        }
        plait_text_skip(&t, 1);
        int rc = take_segment(&t, out);
        if (rc != PLAIT_OK)
            return rc;
    }
    out->directory = out->len == 0 || out->path[out->len - 1] == '/';
    if (out->directory && out->len > 0)
        out->len--;
    out->path[out->len] = '\0';
    return PLAIT_OK;
}

static void take_query(struct plait_text t, struct plait_target *out)
{
    while (t.len > 0) {
        struct plait_text pair = plait_text_first(t, plait_text_find(t, '&'));
        plait_text_skip(&t, pair.len + 1);
        if (plait_text_is(pair, "format=json"))
            out->format = PLAIT_TARGET_JSON;
        else if (plait_text_is(pair, "format=html"))
            out->format = PLAIT_TARGET_HTML;
    }
}

static void skip_authority(struct plait_text *t)
{
    if (!plait_text_take_word(t, "http://") && !plait_text_take_word(t, "https://"))
        return;
    while (t->len > 0 && *t->at != '/' && *t->at != '?')
        plait_text_skip(t, 1);
}

int plait_target_parse(const char *s, size_t len, struct plait_target *out)
{
    struct plait_text t = plait_text_of(s, len);
    bool absolute = len > 0 && *s != '/';

    out->len = 0;
    out->hidden = false;
    out->format = PLAIT_TARGET_ANY;
    skip_authority(&t);
    if (absolute && t.len == len)
        return PLAIT_ERR_FORMAT;
    struct plait_text path = plait_text_first(t, plait_text_find(t, '?'));
    if (len == 0 || (path.len > 0 && *path.at != '/'))
        return PLAIT_ERR_FORMAT;
    plait_text_skip(&t, path.len + 1);
    take_query(t, out);
    return take_path(path, out);
}

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~/", c) != NULL);
}

int plait_target_encode(const char *path, char *out, size_t size)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t at = 0;

    for (; *path != '\0'; path++) {
        size_t need = is_plain(*path) ? 1 : 3;
        if (at + need >= size)
            return PLAIT_ERR_LIMIT;
        if (need == 1) {
            out[at++] = *path;
            continue;
        }
        out[at++] = '%';
        out[at++] = digits[(unsigned char)*path >> 4];
        out[at++] = digits[(unsigned char)*path & 15];
    }
    if (at >= size)
        return PLAIT_ERR_LIMIT;
    out[at] = '\0';
    return PLAIT_OK;
}
