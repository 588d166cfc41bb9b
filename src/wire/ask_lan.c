#include "ask_lan.h"

#include <string.h>

#include "cursor.h"
#include "http_field.h"
#include "text.h"

#define VERSION    1
#define HAS_SHA256 1 /* bit of `kind`; the others are 0 */
#define MAGIC_LEN  4

static const char question_magic[] = "plaq";
static const char answer_magic[] = "plaa";

/* What both begin with. */
struct head {
    bool has_sha256;
    uint16_t text_len;
    const uint8_t *nonce, *sha256;
    uint64_t size;
};

static bool is_text_good(const char *s, size_t len)
{
    struct plait_text t = plait_text_of(s, len);
    uint32_t code_point;

    while (plait_text_take_utf8(&t, &code_point))
        if (code_point < 0x20 || (code_point >= 0x7f && code_point < 0xa0))
            return false;
    return t.len == 0;
}

/* A quoted string of visible ASCII (RFC 9110 section 8.8.3), or nothing. */
static bool is_tag_good(const char *s, size_t len)
{
    struct plait_etag etag;

    return len == 0 || (plait_etag_parse(s, len, &etag) == PLAIT_OK && !etag.weak && etag.opaque.len == len);
}

static bool is_url_good(const char *s, size_t len)
{
    struct plait_text t = plait_text_of(s, len);

    return plait_text_is_url(t) &&
           (plait_text_take_word(&t, "http://") || plait_text_take_word(&t, "https://"));
}

static bool is_size_good(uint64_t size)
{
    return size <= PLAIT_STREAM_SIZE_MAX || size == PLAIT_ASK_LAN_SIZE_UNKNOWN;
}

static void write_head(struct plait_writer *w, const char *magic, const struct head *h)
{
    static const uint8_t zeros[PLAIT_ASK_LAN_SHA256_BYTES];

    plait_write_bytes(w, magic, MAGIC_LEN);
    plait_write_u8(w, VERSION);
    plait_write_u8(w, h->has_sha256 ? HAS_SHA256 : 0);
    plait_write_u16(w, h->text_len);
    plait_write_bytes(w, h->nonce, PLAIT_ASK_LAN_NONCE_BYTES);
    plait_write_u64(w, h->size);
    plait_write_bytes(w, h->has_sha256 ? h->sha256 : zeros, PLAIT_ASK_LAN_SHA256_BYTES);
}

static int read_head(struct plait_reader *r, const char *magic, struct head *h)
{
    const uint8_t *found = plait_read_bytes(r, MAGIC_LEN);
    uint8_t version = plait_read_u8(r), kind = plait_read_u8(r);

    h->text_len = plait_read_u16(r);
    h->nonce = plait_read_bytes(r, PLAIT_ASK_LAN_NONCE_BYTES);
    h->size = plait_read_u64(r);
    h->sha256 = plait_read_bytes(r, PLAIT_ASK_LAN_SHA256_BYTES);
    h->has_sha256 = kind & HAS_SHA256;
    if (r->bad)
        return PLAIT_ERR_TRUNC;
    if (memcmp(found, magic, MAGIC_LEN) != 0 || version != VERSION || (kind & ~HAS_SHA256) != 0)
        return PLAIT_ERR_FORMAT;
    return is_size_good(h->size) ? PLAIT_OK : PLAIT_ERR_RANGE;
}

static void take_sha256(const struct head *h, uint8_t out[PLAIT_ASK_LAN_SHA256_BYTES])
{
    if (h->has_sha256)
        memcpy(out, h->sha256, PLAIT_ASK_LAN_SHA256_BYTES);
    else
        memset(out, 0, PLAIT_ASK_LAN_SHA256_BYTES);
}

int plait_ask_lan_question_encode(const struct plait_ask_lan_question *q, uint8_t out[PLAIT_ASK_LAN_BYTES])
{
    size_t len = strnlen(q->name, sizeof q->name);
    struct plait_writer w;

    if (len == 0 || len > PLAIT_ASK_LAN_NAME_MAX || !is_text_good(q->name, len) || !is_size_good(q->size))
        return PLAIT_ERR_ARG;
    memset(out, 0, PLAIT_ASK_LAN_BYTES);
    plait_writer_init(&w, out, PLAIT_ASK_LAN_BYTES);
    write_head(&w, question_magic,
               &(struct head){q->has_sha256, (uint16_t)len, q->nonce, q->sha256, q->size});
    plait_write_bytes(&w, q->name, len);
    return PLAIT_OK;
}

int plait_ask_lan_question_decode(const void *bytes, size_t len, struct plait_ask_lan_question *out)
{
    struct plait_reader r;
    struct head h;

    if (len != PLAIT_ASK_LAN_BYTES)
        return PLAIT_ERR_TRUNC;
    plait_reader_init(&r, bytes, len);
    int err = read_head(&r, question_magic, &h);
    if (err != PLAIT_OK)
        return err;
    if (h.text_len > PLAIT_ASK_LAN_NAME_MAX)
        return PLAIT_ERR_LIMIT;
    const char *name = (const char *)plait_read_bytes(&r, h.text_len);
    if (r.bad || h.text_len == 0 || !is_text_good(name, h.text_len))
        return PLAIT_ERR_FORMAT;
    memcpy(out->nonce, h.nonce, sizeof out->nonce);
    out->size = h.size;
    out->has_sha256 = h.has_sha256;
    take_sha256(&h, out->sha256);
    memcpy(out->name, name, h.text_len);
    out->name[h.text_len] = '\0';
    return PLAIT_OK;
}

int plait_ask_lan_answer_encode(const struct plait_ask_lan_answer *a, uint8_t out[PLAIT_ASK_LAN_BYTES],
                                size_t *len)
{
    size_t url_len = strnlen(a->url, sizeof a->url), tag_len = strnlen(a->tag, sizeof a->tag);
    struct plait_writer w;

    if (url_len > PLAIT_ASK_LAN_URL_MAX || tag_len > PLAIT_ASK_LAN_TAG_MAX || !is_url_good(a->url, url_len) ||
        !is_tag_good(a->tag, tag_len) || !is_size_good(a->size))
        return PLAIT_ERR_ARG;
    plait_writer_init(&w, out, PLAIT_ASK_LAN_BYTES);
    write_head(&w, answer_magic,
               &(struct head){a->has_sha256, (uint16_t)url_len, a->nonce, a->sha256, a->size});
    plait_write_u8(&w, (uint8_t)tag_len);
    plait_write_bytes(&w, a->tag, tag_len);
    plait_write_bytes(&w, a->url, url_len);
    if (w.bad)
        return PLAIT_ERR_LIMIT;
    *len = plait_writer_used(&w);
    return PLAIT_OK;
}

int plait_ask_lan_answer_decode(const void *bytes, size_t len, struct plait_ask_lan_answer *out)
{
    struct plait_reader r;
    struct head h;

    plait_reader_init(&r, bytes, len);
    int err = read_head(&r, answer_magic, &h);
    if (err != PLAIT_OK)
        return err;
    uint8_t tag_len = plait_read_u8(&r);
    if (tag_len > PLAIT_ASK_LAN_TAG_MAX || h.text_len > PLAIT_ASK_LAN_URL_MAX)
        return PLAIT_ERR_LIMIT;
    const char *tag = (const char *)plait_read_bytes(&r, tag_len);
    const char *url = (const char *)plait_read_bytes(&r, h.text_len);
    if (r.bad)
        return PLAIT_ERR_TRUNC;
    if (plait_reader_left(&r) > 0 || !is_tag_good(tag, tag_len) || !is_url_good(url, h.text_len))
        return PLAIT_ERR_FORMAT;
    memcpy(out->nonce, h.nonce, sizeof out->nonce);
    out->size = h.size;
    out->has_sha256 = h.has_sha256;
    take_sha256(&h, out->sha256);
    memcpy(out->tag, tag, tag_len);
    out->tag[tag_len] = '\0';
    memcpy(out->url, url, h.text_len);
    out->url[h.text_len] = '\0';
    return PLAIT_OK;
}
