#include "text.h"

#include <string.h>

struct plait_text plait_text_of(const char *s, size_t len)
{
    return (struct plait_text){s, s != NULL ? len : 0};
}

struct plait_text plait_text_first(struct plait_text t, size_t len)
{
    return (struct plait_text){t.at, len < t.len ? len : t.len};
}

void plait_text_skip(struct plait_text *t, size_t len)
{
    if (len > t->len)
        len = t->len;
    if (len > 0)
        t->at += len;
    t->len -= len;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

void plait_text_skip_space(struct plait_text *t)
{
    while (t->len > 0 && is_space(*t->at))
        plait_text_skip(t, 1);
}

struct plait_text plait_text_trim(struct plait_text t)
{
    plait_text_skip_space(&t);
    while (t.len > 0 && is_space(t.at[t.len - 1]))
        t.len--;
    return t;
}

size_t plait_text_find(struct plait_text t, char c)
{
    const char *hit = t.len > 0 ? memchr(t.at, c, t.len) : NULL;

    return hit != NULL ? (size_t)(hit - t.at) : t.len;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool plait_text_is(struct plait_text t, const char *word)
{
    size_t i = 0;

    while (i < t.len && word[i] != '\0' && lower(t.at[i]) == lower(word[i]))
        i++;
    return i == t.len && word[i] == '\0';
}

bool plait_text_take_char(struct plait_text *t, char c)
{
    if (t->len == 0 || *t->at != c)
        return false;
    plait_text_skip(t, 1);
    return true;
}

bool plait_text_take_word(struct plait_text *t, const char *word)
{
    size_t len = strlen(word);

    if (t->len < len || memcmp(t->at, word, len) != 0)
        return false;
    plait_text_skip(t, len);
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
    return lower(c) >= 'a' && lower(c) <= 'z';
}

static bool is_token_char(char c)
{
    return is_alpha(c) || is_digit(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

struct plait_text plait_text_take_token(struct plait_text *t)
{
    size_t len = 0;

    while (len < t->len && is_token_char(t->at[len]))
        len++;
    struct plait_text token = plait_text_first(*t, len);
    plait_text_skip(t, len);
    return token;
}

/* Controls but the tab; bytes above 0x7f are some other character set's letters. */
static bool is_control(char c)
{
    return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

bool plait_text_take_quoted(struct plait_text *t, struct plait_text *inside)
{
    if (t->len == 0 || *t->at != '"')
        return false;
    for (size_t i = 1; i < t->len && !is_control(t->at[i]); i++) {
        if (t->at[i] == '"') {
            *inside = plait_text_of(t->at + 1, i - 1);
            plait_text_skip(t, i + 1);
            return true;
        }
        if (t->at[i] == '\\' && (++i == t->len || is_control(t->at[i])))
            return false;
    }
    return false;
}

int plait_text_take_u64(struct plait_text *t, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;
    size_t i = 0;

    for (; i < t->len && is_digit(t->at[i]); i++) {
        uint64_t digit = (uint64_t)(t->at[i] - '0');
        if (digit > max || v > (max - digit) / 10)
            return PLAIT_ERR_RANGE;
        v = v * 10 + digit;
    }
    if (i == 0)
        return PLAIT_ERR_FORMAT;
    plait_text_skip(t, i);
    *out = v;
    return PLAIT_OK;
}

bool plait_text_take_digits(struct plait_text *t, size_t digits, uint32_t *out)
{
    uint32_t v = 0;

    if (t->len < digits || digits > 9)
        return false;
    for (size_t i = 0; i < digits; i++) {
        if (!is_digit(t->at[i]))
            return false;
        v = v * 10 + (uint32_t)(t->at[i] - '0');
    }
    plait_text_skip(t, digits);
    *out = v;
    return true;
}

/* How many bytes follow the first byte of a UTF-8 sequence, and the least code point that needs so many. */
static bool utf8_lead(uint8_t lead, size_t *more, uint32_t *bits, uint32_t *least)
{
    static const struct {
        uint8_t mask, value, more;
        uint32_t least;
    } forms[] = {{0x80, 0x00, 0, 0}, {0xe0, 0xc0, 1, 0x80}, {0xf0, 0xe0, 2, 0x800}, {0xf8, 0xf0, 3, 0x10000}};

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if ((lead & forms[i].mask) != forms[i].value)
            continue;
        *more = forms[i].more;
        *bits = lead & (uint8_t)~forms[i].mask;
        *least = forms[i].least;
        return true;
    }
    return false;
}

bool plait_text_take_utf8(struct plait_text *t, uint32_t *code_point)
{
    size_t more;
    uint32_t v, least;

    if (t->len == 0 || !utf8_lead((uint8_t)*t->at, &more, &v, &least) || t->len <= more)
        return false;
    for (size_t i = 1; i <= more; i++) {
        uint8_t byte = (uint8_t)t->at[i];
        if ((byte & 0xc0) != 0x80)
            return false;
        v = v << 6 | (byte & 0x3fu);
    }
    if (v < least || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
        return false;
    plait_text_skip(t, more + 1);
    *code_point = v;
    return true;
}

bool plait_text_is_utf8(struct plait_text t)
{
    uint32_t ignored;

    while (plait_text_take_utf8(&t, &ignored))
        ;
    return t.len == 0;
}

int plait_hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void plait_write_utf8(struct plait_writer *w, uint32_t code_point)
{
    size_t more = code_point < 0x80 ? 0 : code_point < 0x800 ? 1 : code_point < 0x10000 ? 2 : 3;
    static const uint8_t lead[] = {0x00, 0xc0, 0xe0, 0xf0};
    uint8_t bytes[4];

    for (size_t i = more; i > 0; i--, code_point >>= 6)
        bytes[i] = (uint8_t)(0x80 | (code_point & 0x3f));
    bytes[0] = (uint8_t)(lead[more] | code_point);
    plait_write_bytes(w, bytes, more + 1);
}

static bool is_url_char(char c)
{
    return c > 0x20 && c < 0x7f && strchr("\"<>\\", c) == NULL;
}

bool plait_text_is_url(struct plait_text t)
{
    size_t scheme = 0;

    if (t.len > PLAIT_URL_MAX)
        return false;
    for (size_t i = 0; i < t.len; i++)
        if (!is_url_char(t.at[i]))
            return false;
    while (scheme < t.len &&
           (is_alpha(t.at[scheme]) ||
            (scheme > 0 && (is_digit(t.at[scheme]) || strchr("+-.", t.at[scheme]) != NULL))))
        scheme++;
    plait_text_skip(&t, scheme);
    return scheme > 0 && plait_text_take_word(&t, "://") && t.len > 0;
}
