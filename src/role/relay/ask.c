#include "ask.h"

#include <string.h>
#include <strings.h>

#define PORT_MAX 65535u

/* The length of the head with the empty line that ends it, or 0. */
static size_t head_len(const char *s, size_t len)
{
    const char *end = memmem(s, len, "\r\n\r\n", 4);

    return end != NULL ? (size_t)(end - s) + 4 : 0;
}

/* Takes a line and its end. */
static struct plait_text take_line(struct plait_text *t)
{
    struct plait_text line = plait_text_first(*t, plait_text_find(*t, '\r'));

    plait_text_skip(t, line.len + 2);
    return line;
}

/* Every carriage return stands before a line feed and every line feed behind one, and there are no other controls. */
static bool is_plain(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '\r' ? i + 1 == len || s[i + 1] != '\n' : c == '\n' ? i == 0 || s[i - 1] != '\r' : false)
            return false;
        if ((c < 0x20 && c != '\t' && c != '\r' && c != '\n') || c == 0x7f)
            return false;
    }
    return true;
}

static int parse_authority(struct plait_text t, struct plait_ask *ask)
{
    uint64_t port;
    size_t host_len = t.len;

    while (host_len > 0 && t.at[host_len - 1] != ':')
        host_len--;
    if (host_len < 2)
        return PLAIT_ERR_FORMAT;
    struct plait_text host = plait_text_first(t, host_len - 1), digits = t;
    plait_text_skip(&digits, host_len);
    if (plait_text_take_u64(&digits, PORT_MAX, &port) != PLAIT_OK || digits.len > 0 || port == 0)
        return PLAIT_ERR_FORMAT;
    ask->port = (uint16_t)port;
    if (host.at[0] == '[') {
        if (host.len < 2 || host.at[host.len - 1] != ']' || plait_text_find(host, ':') == host.len)
            return PLAIT_ERR_FORMAT;
        return plait_address_parse(host.at + 1, host.len - 2, &ask->address);
    }
    if (plait_text_find(host, ':') < host.len)
        return PLAIT_ERR_FORMAT;
    if (plait_address_parse(host.at, host.len, &ask->address) == PLAIT_OK)
        return PLAIT_OK;
    return plait_host_name(host.at, host.len, ask->name);
}

static int parse_request_line(struct plait_text line, struct plait_ask *ask)
{
    struct plait_text method = plait_text_take_token(&line);

    if (method.len == 0 || !plait_text_take_char(&line, ' '))
        return PLAIT_ERR_FORMAT;
    struct plait_text target = plait_text_first(line, plait_text_find(line, ' '));
    plait_text_skip(&line, target.len);
    if (target.len == 0 || !plait_text_take_word(&line, " HTTP/1.") || line.len != 1 ||
        (*line.at != '0' && *line.at != '1'))
        return PLAIT_ERR_FORMAT;
    ask->kind = PLAIT_ASK_OTHER;
    if (plait_text_take_word(&method, "CONNECT") && method.len == 0) {
        ask->kind = PLAIT_ASK_CONNECT;
        return parse_authority(target, ask);
    }
    ask->is_head = plait_text_take_word(&method, "HEAD") && method.len == 0;
    if (target.len == 1 && *target.at == '/' &&
        (ask->is_head || (plait_text_take_word(&method, "GET") && method.len == 0)))
        ask->kind = PLAIT_ASK_SELF;
    return PLAIT_OK;
}

static int parse_fields(struct plait_text t, struct plait_ask *ask)
{
    const char *wanted = ask->kind == PLAIT_ASK_SELF ? "Authorization" : "Proxy-Authorization";

    for (struct plait_text line = take_line(&t); line.len > 0; line = take_line(&t)) {
        struct plait_text name = plait_text_take_token(&line);
        if (name.len == 0 || !plait_text_take_char(&line, ':'))
            return PLAIT_ERR_FORMAT;
        if (!plait_text_is(name, wanted))
            continue;
        if (ask->credentials.len > 0)
            return PLAIT_ERR_FORMAT; /* which of them would count? */
        ask->credentials = plait_text_trim(line);
    }
    return PLAIT_OK;
}

int plait_ask_parse(const char *s, size_t len, struct plait_ask *out, size_t *used)
{
    struct plait_ask ask;
    size_t head = head_len(s, len < PLAIT_ASK_HEAD_MAX ? len : PLAIT_ASK_HEAD_MAX);

    if (head == 0)
        return len >= PLAIT_ASK_HEAD_MAX ? PLAIT_ERR_LIMIT : PLAIT_ERR_TRUNC;
    if (!is_plain(s, head))
        return PLAIT_ERR_FORMAT;
    memset(&ask, 0, sizeof ask);
    struct plait_text t = plait_text_of(s, head);
    int err = parse_request_line(take_line(&t), &ask);
    if (err == PLAIT_OK)
        err = parse_fields(t, &ask);
    if (err != PLAIT_OK)
        return err;
    *out = ask;
    *used = head;
    return PLAIT_OK;
}

static int base64_value(char c)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *hit = c != '\0' ? strchr(letters, c) : NULL;

    return hit != NULL ? (int)(hit - letters) : -1;
}

/* RFC 4648 section 4; padding may be missing. Returns the bytes written, at most `size`, or 0. */
static size_t base64_decode(struct plait_text t, char *out, size_t size)
{
    uint32_t bits = 0;
    unsigned held = 0;
    size_t used = 0;

    for (unsigned i = 0; i < 2 && t.len > 0 && t.at[t.len - 1] == '='; i++)
        t.len--;
    for (size_t i = 0; i < t.len; i++) {
        int v = base64_value(t.at[i]);
        if (v < 0)
            return 0;
        bits = (bits << 6 | (uint32_t)v) & 0xffff;
        if ((held += 6) < 8)
            continue;
        if (used == size)
            return 0;
        held -= 8;
        out[used++] = (char)(bits >> held);
    }
    return used;
}

int plait_credentials_parse(struct plait_text value, struct plait_credentials *out)
{
    char plain[PLAIT_ASK_USER_MAX + 1 + PLAIT_ASK_SECRET_MAX];
    struct plait_credentials c;
    struct plait_text scheme = plait_text_take_token(&value);
    int err = PLAIT_ERR_FORMAT;

    if (!plait_text_is(scheme, "Basic") || value.len == 0 || *value.at != ' ')
        return PLAIT_ERR_FORMAT;
    size_t len = base64_decode(plait_text_trim(value), plain, sizeof plain);
    const char *colon = len > 0 ? memchr(plain, ':', len) : NULL;
    size_t user = colon != NULL ? (size_t)(colon - plain) : 0;
    if (colon != NULL && user > 0 && user <= PLAIT_ASK_USER_MAX && len - user - 1 <= PLAIT_ASK_SECRET_MAX &&
        memchr(plain, '\0', len) == NULL) {
        memset(&c, 0, sizeof c);
        memcpy(c.user, plain, user);
        memcpy(c.secret, colon + 1, len - user - 1);
        *out = c;
        err = PLAIT_OK;
    }
    explicit_bzero(plain, sizeof plain);
    explicit_bzero(&c, sizeof c);
    return err;
}
