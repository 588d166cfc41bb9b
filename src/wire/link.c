#include "link.h"

#include <string.h>

#define DEPTH_MAX 1000

void plait_link_iter_init(struct plait_link_iter *it, const char *s, size_t len)
{
    it->left = plait_text_of(s, len);
}

static bool is_uri_char(char c)
{
    return c > 0x20 && c < 0x7f && c != '<' && c != '>' && c != '"';
}

static int take_uri(struct plait_text *t, struct plait_text *uri)
{
    if (!plait_text_take_char(t, '<'))
        return PLAIT_ERR_FORMAT;
    size_t len = plait_text_find(*t, '>');
    if (len == t->len)
        return PLAIT_ERR_FORMAT;
    if (len > PLAIT_URL_MAX)
        return PLAIT_ERR_LIMIT;
    for (size_t i = 0; i < len; i++)
        if (!is_uri_char(t->at[i]))
            return PLAIT_ERR_FORMAT;
    *uri = plait_text_first(*t, len);
    plait_text_skip(t, len + 1);
    return PLAIT_OK;
}

static void set_text(struct plait_text *to, struct plait_text value)
{
    if (to->len == 0)
        *to = value;
}

/* A number that is none, or out of its bounds, counts as not given: it only ranks the link. */
static void set_number(uint32_t *to, struct plait_text value, uint32_t max)
{
    uint64_t v;

    if (*to == 0 && plait_text_take_u64(&value, max, &v) == PLAIT_OK && value.len == 0)
        *to = (uint32_t)v;
}

static void set_param(struct plait_link *link, struct plait_text name, struct plait_text value)
{
    if (plait_text_is(name, "rel"))
        set_text(&link->rel, value);
    else if (plait_text_is(name, "type"))
        set_text(&link->type, value);
    else if (plait_text_is(name, "geo"))
        set_text(&link->geo, value);
    else if (plait_text_is(name, "pri"))
        set_number(&link->pri, value, PLAIT_PRIORITY_MAX);
    else if (plait_text_is(name, "depth"))
        set_number(&link->depth, value, DEPTH_MAX);
    else if (plait_text_is(name, "pref"))
        link->pref = true;
}

/* One parameter, or the nothing that may stand between two semicolons. */
static int take_param(struct plait_text *t, struct plait_link *link)
{
    struct plait_text value = {0};

    plait_text_skip_space(t);
    struct plait_text name = plait_text_take_token(t);
    if (name.len == 0)
        return PLAIT_OK;
    plait_text_skip_space(t);
    if (plait_text_take_char(t, '=')) {
        plait_text_skip_space(t);
        if (!plait_text_take_quoted(t, &value) && (value = plait_text_take_token(t)).len == 0)
            return PLAIT_ERR_FORMAT;
    }
    set_param(link, name, value);
    return PLAIT_OK;
}

static int take_link(struct plait_text *t, struct plait_link *out)
{
    struct plait_link link = {0};
    int err = take_uri(t, &link.uri);

    if (err != PLAIT_OK)
        return err;
    plait_text_skip_space(t);
    while (plait_text_take_char(t, ';')) {
        if ((err = take_param(t, &link)) != PLAIT_OK)
            return err;
        plait_text_skip_space(t);
    }
    if (t->len > 0 && *t->at != ',')
        return PLAIT_ERR_FORMAT;
    if (link.pri == 0)
        link.pri = PLAIT_PRIORITY_MAX;
    *out = link;
    return PLAIT_OK;
}

int plait_link_next(struct plait_link_iter *it, struct plait_link *out)
{
    do
        plait_text_skip_space(&it->left);
    while (plait_text_take_char(&it->left, ',')); /* a list may have empty elements */
    if (it->left.len == 0)
        return PLAIT_ERR_NOTFOUND;
    int err = take_link(&it->left, out);
    if (err != PLAIT_OK)
        it->left.len = 0;
    return err;
}

bool plait_link_has_rel(const struct plait_link *link, const char *rel)
{
    struct plait_text left = link->rel;

    while (left.len > 0) {
        struct plait_text one = plait_text_first(left, plait_text_find(left, ' '));
        if (one.len > 0 && plait_text_is(one, rel))
            return true;
        plait_text_skip(&left, one.len + 1);
    }
    return false;
}
