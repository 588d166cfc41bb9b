/* The first byte selects a parser; the rest is the field's value. */
#include <string.h>

#include "fuzz.h"
#include "http_field.h"

static void content_range(const char *s, size_t len)
{
    struct plait_content_range r;

    if (plait_content_range_parse(s, len, &r) != PLAIT_OK)
        return;
    FUZZ_CHECK(r.has_range || r.has_total);
    FUZZ_CHECK(r.has_range ? r.lo < r.hi : r.lo == 0 && r.hi == 0);
    FUZZ_CHECK(!r.has_total || (r.hi <= r.total && r.total <= PLAIT_STREAM_SIZE_MAX));
    FUZZ_CHECK(r.hi <= PLAIT_STREAM_SIZE_MAX);
}

static void etag(const char *s, size_t len)
{
    struct plait_etag e, again;

    if (plait_etag_parse(s, len, &e) != PLAIT_OK)
        return;
    FUZZ_CHECK(e.opaque.at >= s && e.opaque.at + e.opaque.len <= s + len);
    FUZZ_CHECK(plait_etag_parse(e.opaque.at, e.opaque.len, &again) == PLAIT_OK && !again.weak);
    FUZZ_CHECK(plait_etag_same(&e, &again) == !e.weak);
}

static void http_date(const char *s, size_t len)
{
    int64_t unix_s;

    if (plait_http_date_parse(s, len, &unix_s) == PLAIT_OK)
        FUZZ_CHECK(unix_s >= INT64_C(-62135596800) && unix_s <= INT64_C(253402300800));
}

/* Now is what the first eight bytes say. */
static void retry_after(const char *s, size_t len)
{
    int64_t now;
    uint64_t delay_s;

    if (len < sizeof now)
        return;
    memcpy(&now, s, sizeof now);
    if (plait_retry_after_parse(s + sizeof now, len - sizeof now, now, &delay_s) == PLAIT_OK)
        FUZZ_CHECK(delay_s <= PLAIT_RETRY_AFTER_MAX_S);
}

static void check_name(int err, const char *name)
{
    char again[PLAIT_NAME_MAX + 1];

    if (err != PLAIT_OK)
        return;
    FUZZ_CHECK(strlen(name) >= 1 && strlen(name) <= PLAIT_NAME_MAX);
    FUZZ_CHECK(strpbrk(name, "/\\") == NULL && name[0] != '.' && name[0] != ' ');
    FUZZ_CHECK(plait_text_is_utf8(plait_text_of(name, strlen(name))));
    for (const char *c = name; *c != '\0'; c++)
        FUZZ_CHECK((unsigned char)*c >= 0x20 && *c != 0x7f);
    /* A safe name is its own safe name. */
    FUZZ_CHECK(plait_safe_name(name, strlen(name), again, sizeof again) == PLAIT_OK);
    FUZZ_CHECK(strcmp(name, again) == 0);
}

static void content_disposition(const char *s, size_t len)
{
    char name[PLAIT_NAME_MAX + 1];

    check_name(plait_content_disposition_name(s, len, name, sizeof name), name);
}

static void url_name(const char *s, size_t len)
{
    char name[PLAIT_NAME_MAX + 1];

    check_name(plait_url_name(s, len, name, sizeof name), name);
}

static void safe_name(const char *s, size_t len)
{
    char name[PLAIT_NAME_MAX + 1];
    char small[8];
    int err = plait_safe_name(s, len, name, sizeof name);

    check_name(err, name);
    if (plait_safe_name(s, len, small, sizeof small) == PLAIT_OK)
        FUZZ_CHECK(err == PLAIT_OK && strlen(small) < sizeof small);
}

static void link_field(const char *s, size_t len)
{
    struct plait_link_iter it;
    struct plait_link link;
    size_t count = 0;

    plait_link_iter_init(&it, s, len);
    while (plait_link_next(&it, &link) == PLAIT_OK) {
        FUZZ_CHECK(++count <= len);
        FUZZ_CHECK(link.pri >= 1 && link.pri <= PLAIT_PRIORITY_MAX);
        FUZZ_CHECK(link.uri.len <= PLAIT_URL_MAX && link.uri.at > s && link.uri.at + link.uri.len < s + len);
        plait_link_has_rel(&link, "duplicate");
    }
    FUZZ_CHECK(plait_link_next(&it, &link) == PLAIT_ERR_NOTFOUND);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const parsers[])(const char *s, size_t len) = {
        content_range, etag, http_date, retry_after, content_disposition, url_name, safe_name, link_field,
    };

    if (size > 0)
        parsers[data[0] % (sizeof parsers / sizeof parsers[0])]((const char *)data + 1, size - 1);
    return 0;
}
