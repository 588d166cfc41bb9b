#include "digest.h"

#include <string.h>

#include "units.h"

static const struct {
    const char *name;
    const char *short_name;
    uint8_t len;
    bool weak;
} algs[] = {
    [PLAIT_DIGEST_NONE] = {"none", "none", 0, true},
    [PLAIT_DIGEST_MD5] = {"md5", "md5", 16, true},
    [PLAIT_DIGEST_SHA1] = {"sha-1", "sha1", 20, true},
    [PLAIT_DIGEST_SHA256] = {"sha-256", "sha256", 32, false},
    [PLAIT_DIGEST_SHA384] = {"sha-384", "sha384", 48, false},
    [PLAIT_DIGEST_SHA512] = {"sha-512", "sha512", 64, false},
};

static size_t alg_row(enum plait_digest_alg alg)
{
    return (size_t)alg < PLAIT_COUNT(algs) ? (size_t)alg : PLAIT_DIGEST_NONE;
}

const char *plait_digest_alg_name(enum plait_digest_alg alg)
{
    return algs[alg_row(alg)].name;
}

size_t plait_digest_alg_len(enum plait_digest_alg alg)
{
    return algs[alg_row(alg)].len;
}

bool plait_digest_alg_is_weak(enum plait_digest_alg alg)
{
    return algs[alg_row(alg)].weak;
}

enum plait_digest_alg plait_digest_alg_find(struct plait_text name)
{
    for (size_t i = PLAIT_DIGEST_MD5; i < PLAIT_COUNT(algs); i++)
        if (plait_text_is(name, algs[i].name) || plait_text_is(name, algs[i].short_name))
            return (enum plait_digest_alg)i;
    return PLAIT_DIGEST_NONE;
}

void plait_digest_set(struct plait_digest *d, enum plait_digest_alg alg, const uint8_t *bytes)
{
    memset(d, 0, sizeof *d);
    d->alg = (enum plait_digest_alg)alg_row(alg);
    d->len = (uint8_t)plait_digest_alg_len(alg);
    if (d->len > 0)
        memcpy(d->bytes, bytes, d->len);
}

bool plait_digest_equal(const struct plait_digest *a, const struct plait_digest *b)
{
    uint8_t differ = 0;

    if (a->alg != b->alg || a->len != b->len || a->len == 0)
        return false;
    for (size_t i = 0; i < sizeof a->bytes; i++)
        differ |= a->bytes[i] ^ b->bytes[i];
    return differ == 0;
}

int plait_hex_decode(const char *s, size_t len, uint8_t *out, size_t out_len)
{
    if (len / 2 != out_len || len % 2 != 0)
        return PLAIT_ERR_FORMAT;
    for (size_t i = 0; i < len; i++)
        if (plait_hex_value(s[i]) < 0)
            return PLAIT_ERR_FORMAT;
    for (size_t i = 0; i < out_len; i++)
        out[i] = (uint8_t)(plait_hex_value(s[2 * i]) << 4 | plait_hex_value(s[2 * i + 1]));
    return PLAIT_OK;
}

int plait_hex_encode(const uint8_t *bytes, size_t len, char *out, size_t out_size)
{
    static const char digits[] = "0123456789abcdef";

    if (out_size == 0 || (out_size - 1) / 2 < len)
        return PLAIT_ERR_LIMIT;
    for (size_t i = 0; i < len; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
    return PLAIT_OK;
}

int plait_digest_parse_hex(enum plait_digest_alg alg, const char *s, size_t len, struct plait_digest *out)
{
    struct plait_text t = plait_text_trim(plait_text_of(s, len));
    uint8_t bytes[PLAIT_DIGEST_LEN_MAX];
    size_t bytes_len = plait_digest_alg_len(alg);

    if (bytes_len == 0)
        return PLAIT_ERR_ARG;
    int err = plait_hex_decode(t.at, t.len, bytes, bytes_len);
    if (err == PLAIT_OK)
        plait_digest_set(out, alg, bytes);
    return err;
}

/* SHA-1 stands in metalinks that others have made; nobody needs to begin with it. */
static enum plait_digest_alg find_but_sha1(struct plait_text name)
{
    enum plait_digest_alg alg = plait_digest_alg_find(name);

    return alg == PLAIT_DIGEST_SHA1 ? PLAIT_DIGEST_NONE : alg;
}

int plait_digest_parse_option(const char *s, size_t len, struct plait_digest *out)
{
    struct plait_text t = plait_text_trim(plait_text_of(s, len));
    size_t equals = plait_text_find(t, '=');

    if (equals == t.len)
        return plait_digest_parse_hex(PLAIT_DIGEST_SHA256, t.at, t.len, out);
    enum plait_digest_alg alg = find_but_sha1(plait_text_first(t, equals));
    if (alg == PLAIT_DIGEST_NONE)
        return PLAIT_ERR_NOTFOUND;
    plait_text_skip(&t, equals + 1);
    return plait_digest_parse_hex(alg, t.at, t.len, out);
}

static int base64_value(char c)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *hit = c != '\0' ? strchr(letters, c) : NULL;

    return hit != NULL ? (int)(hit - letters) : -1;
}

/* The one encoding of out_len bytes (RFC 4648 section 4); its padding may be left out. */
static int base64_decode(struct plait_text t, uint8_t *out, size_t out_len)
{
    size_t letters = (out_len * 8 + 5) / 6;
    size_t padding = (4 - letters % 4) % 4;
    uint32_t bits = 0;
    unsigned held = 0;

    if (t.len != letters && t.len != letters + padding)
        return PLAIT_ERR_FORMAT;
    for (size_t i = letters; i < t.len; i++)
        if (t.at[i] != '=')
            return PLAIT_ERR_FORMAT;
    for (size_t i = 0; i < letters; i++) {
        int v = base64_value(t.at[i]);
        if (v < 0)
            return PLAIT_ERR_FORMAT;
        bits = (bits << 6 | (uint32_t)v) & 0xffff;
        if ((held += 6) >= 8) {
            held -= 8;
            *out++ = (uint8_t)(bits >> held);
        }
    }
    return (bits & ((1u << held) - 1)) == 0 ? PLAIT_OK : PLAIT_ERR_FORMAT;
}

/* The value of one member: up to the next comma that is not within quotes. */
static struct plait_text take_value(struct plait_text *t)
{
    struct plait_text start = *t, ignored;

    while (t->len > 0 && *t->at != ',')
        if (!plait_text_take_quoted(t, &ignored))
            plait_text_skip(t, 1);
    return plait_text_trim(plait_text_first(start, start.len - t->len));
}

/* Between colons it is of RFC 9530, and parameters may follow; otherwise of RFC 3230. */
static int parse_value(struct plait_text value, enum plait_digest_alg alg, struct plait_digest *out)
{
    uint8_t bytes[PLAIT_DIGEST_LEN_MAX];

    if (plait_text_take_char(&value, ':')) {
        size_t end = plait_text_find(value, ':');
        struct plait_text rest = value;
        plait_text_skip(&rest, end);
        if (!plait_text_take_char(&rest, ':') || (rest.len > 0 && *rest.at != ';'))
            return PLAIT_ERR_FORMAT;
        value = plait_text_first(value, end);
    }
    int err = base64_decode(value, bytes, plait_digest_alg_len(alg));
    if (err == PLAIT_OK)
        plait_digest_set(out, alg, bytes);
    return err;
}

/* One member into the place of its algorithm. */
static int take_member(struct plait_text *t, struct plait_digest found[])
{
    struct plait_digest d;
    struct plait_text name = plait_text_take_token(t);
    enum plait_digest_alg alg = find_but_sha1(name);

    bool has_value = plait_text_take_char(t, '=');
    struct plait_text value = take_value(t);
    if (name.len == 0)
        return PLAIT_ERR_FORMAT;
    if (alg == PLAIT_DIGEST_NONE)
        return PLAIT_OK;
    int err = has_value ? parse_value(value, alg, &d) : PLAIT_ERR_FORMAT;
    if (err != PLAIT_OK)
        return err;
    if (found[alg].len > 0 && !plait_digest_equal(&d, &found[alg]))
        return PLAIT_ERR_FORMAT;
    found[alg] = d;
    return PLAIT_OK;
}

int plait_digest_parse_http(const char *s, size_t len, struct plait_digest *out)
{
    struct plait_text t = plait_text_trim(plait_text_of(s, len));
    struct plait_digest found[PLAIT_COUNT(algs)] = {0};
    size_t best = PLAIT_COUNT(algs) - 1;

    while (t.len > 0) {
        int err = take_member(&t, found);
        if (err != PLAIT_OK)
            return err;
        if (plait_text_take_char(&t, ','))
            plait_text_skip_space(&t);
    }
    while (best > 0 && found[best].len == 0)
        best--;
    if (best == PLAIT_DIGEST_NONE)
        return PLAIT_ERR_NOTFOUND;
    *out = found[best];
    return PLAIT_OK;
}
