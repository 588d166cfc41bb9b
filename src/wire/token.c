#include "token.h"

#include <stdbool.h>
#include <string.h>
#include <xxhash.h>

#include "cursor.h"

#define PREFIX     "plait1."
#define PREFIX_LEN (sizeof PREFIX - 1)
#define RAW_MAX    ((PLAIT_TOKEN_TEXT_MAX - PREFIX_LEN) / 4 * 3)
#define CHECK_LEN  4u

enum field { FIELD_HUB = 1, FIELD_HUB_KEY = 2, FIELD_NAME = 3, FIELD_KEY = 4 };

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* RFC 4648 section 5, without padding. */
static size_t encode_64(const uint8_t *bytes, size_t len, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i += 3) {
        uint32_t v = (uint32_t)bytes[i] << 16;
        if (i + 1 < len)
            v |= (uint32_t)bytes[i + 1] << 8;
        if (i + 2 < len)
            v |= bytes[i + 2];
        for (size_t k = 0; k < 4 && i + k <= len; k++)
            out[n++] = digits[v >> (18 - 6 * k) & 63];
    }
    return n;
}

/* Returns the number of bytes, or −1. */
static int decode_64(const char *text, size_t len, uint8_t out[RAW_MAX])
{
    uint32_t v = 0;
    unsigned bits = 0;
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        const char *hit = text[i] != '\0' ? strchr(digits, text[i]) : NULL;
        if (hit == NULL || n == RAW_MAX)
            return -1;
        v = (v << 6 | (uint32_t)(hit - digits)) & 0xffffff;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[n++] = (uint8_t)(v >> bits);
        }
    }
    return (v & ((1u << bits) - 1)) != 0 ? -1 : (int)n;
}

static void write_field(struct plait_writer *w, enum field type, const void *value, size_t len)
{
    plait_write_u8(w, (uint8_t)type);
    plait_write_u8(w, (uint8_t)len);
    plait_write_bytes(w, value, len);
}

static bool hub_is_good(const char *hub, size_t len)
{
    if (len == 0 || len > PLAIT_TOKEN_HUB_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if (hub[i] <= ' ' || hub[i] > '~' || hub[i] == '"' || hub[i] == ';' || hub[i] == '#')
            return false;
    return true;
}

int plait_token_encode(const struct plait_token *token, char out[PLAIT_TOKEN_TEXT_MAX])
{
    size_t hub_len = strnlen(token->hub, sizeof token->hub);
    size_t name_len = strnlen(token->name, sizeof token->name);
    uint8_t raw[RAW_MAX];
    struct plait_writer w;

    if (!hub_is_good(token->hub, hub_len) || !plait_hello_name_is_good(token->name, name_len))
        return PLAIT_ERR_ARG;
    plait_writer_init(&w, raw, sizeof raw - 1);
    write_field(&w, FIELD_HUB, token->hub, hub_len);
    write_field(&w, FIELD_HUB_KEY, token->hub_key, sizeof token->hub_key);
    write_field(&w, FIELD_NAME, token->name, name_len);
    write_field(&w, FIELD_KEY, token->key, sizeof token->key);
    plait_write_u32(&w, XXH32(raw, plait_writer_used(&w), 0));
    if (w.bad)
        return PLAIT_ERR_ARG;
    memcpy(out, PREFIX, PREFIX_LEN);
    out[PREFIX_LEN + encode_64(raw, plait_writer_used(&w), out + PREFIX_LEN)] = '\0';
    return PLAIT_OK;
}

static int take_text(char *out, size_t max, const uint8_t *value, size_t len, bool good)
{
    if (!good || len > max)
        return PLAIT_ERR_FORMAT;
    memcpy(out, value, len);
    out[len] = '\0';
    return PLAIT_OK;
}

static int take_key(uint8_t out[PLAIT_TOKEN_KEY_BYTES], const uint8_t *value, size_t len)
{
    if (len != PLAIT_TOKEN_KEY_BYTES)
        return PLAIT_ERR_FORMAT;
    memcpy(out, value, len);
    return PLAIT_OK;
}

static int take_field(struct plait_token *t, uint8_t type, const uint8_t *value, size_t len)
{
    switch (type) {
    case FIELD_HUB:
        return take_text(t->hub, PLAIT_TOKEN_HUB_MAX, value, len, hub_is_good((const char *)value, len));
    case FIELD_HUB_KEY:
        return take_key(t->hub_key, value, len);
    case FIELD_NAME:
        return take_text(t->name, PLAIT_HELLO_NAME_MAX, value, len,
                         plait_hello_name_is_good((const char *)value, len));
    case FIELD_KEY:
        return take_key(t->key, value, len);
    default:
        return PLAIT_OK;
    }
}

static int read_fields(const uint8_t *raw, size_t len, struct plait_token *t)
{
    struct plait_reader r;
    unsigned have = 0;

    plait_reader_init(&r, raw, len);
    while (plait_reader_left(&r) > 0) {
        uint8_t type = plait_read_u8(&r);
        size_t size = plait_read_u8(&r);
        const uint8_t *value = plait_read_bytes(&r, size);
        int err = r.bad ? PLAIT_ERR_FORMAT : take_field(t, type, value, size);
        if (err != PLAIT_OK)
            return err;
        have |= type <= FIELD_KEY ? 1u << type : 0;
    }
    return (have & 0x1e) == 0x1e ? PLAIT_OK : PLAIT_ERR_NOTFOUND;
}

int plait_token_decode(const char *text, size_t len, struct plait_token *out)
{
    struct plait_token t = {0};
    uint8_t raw[RAW_MAX];

    if (len >= PLAIT_TOKEN_TEXT_MAX || len < PREFIX_LEN || memcmp(text, PREFIX, PREFIX_LEN) != 0)
        return PLAIT_ERR_FORMAT;
    int n = decode_64(text + PREFIX_LEN, len - PREFIX_LEN, raw);
    if (n < 0)
        return PLAIT_ERR_FORMAT;
    if ((size_t)n < CHECK_LEN)
        return PLAIT_ERR_CORRUPT;
    size_t body = (size_t)n - CHECK_LEN;
    struct plait_reader check;
    plait_reader_init(&check, raw + body, CHECK_LEN);
    if (plait_read_u32(&check) != XXH32(raw, body, 0))
        return PLAIT_ERR_CORRUPT;
    int err = read_fields(raw, body, &t);
    if (err == PLAIT_OK)
        *out = t;
    return err;
}
