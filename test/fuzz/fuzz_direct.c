/* The first byte selects: a registration, one from a store, a change, the target of a request, or an Accept field. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "query.h"
#include "registration.h"

static char fault[PLAIT_FAULT_MAX];

static void check_entries(const struct plait_entry *entries, size_t count)
{
    FUZZ_CHECK(count <= PLAIT_REGISTRATION_ENTRIES_MAX);
    for (size_t i = 0; i < count; i++) {
        FUZZ_CHECK(plait_stream_name_is_good(entries[i].name, strlen(entries[i].name)));
        FUZZ_CHECK(entries[i].has_size ? entries[i].size <= INT64_MAX : entries[i].size == 0);
        FUZZ_CHECK(i == 0 || strcmp(entries[i - 1].name, entries[i].name) < 0);
    }
}

/* What is taken can be stored, and comes back the same. */
static void check_registration(const struct plait_registration *r)
{
    struct plait_registration again;
    char *text = plait_registration_encode(r);

    check_entries(r->entries, r->count);
    FUZZ_CHECK(strncasecmp(r->url, "http", 4) == 0 && strpbrk(r->url, " \r\n\"<>@") == NULL);
    FUZZ_CHECK(r->ttl_ms >= PLAIT_REGISTRATION_TTL_MS_MIN && r->ttl_ms <= PLAIT_REGISTRATION_TTL_MS_MAX);
    FUZZ_CHECK(text != NULL);
    int err = plait_registration_decode(text, strlen(text), true, &again, fault);
    if (err == PLAIT_OK) {
        FUZZ_CHECK(again.count == r->count && again.reach_count == r->reach_count &&
                   strcmp(again.url, r->url) == 0);
        for (size_t i = 0; i < r->count; i++)
            FUZZ_CHECK(plait_entry_same(&r->entries[i], &again.entries[i]));
        plait_registration_done(&again);
    } else {
        FUZZ_CHECK(err == PLAIT_ERR_LIMIT); /* ours can be longer than what was sent */
    }
    free(text);
}

static void take_registration(const char *s, size_t len, bool stored)
{
    struct plait_registration r;

    fault[0] = '\0';
    if (plait_registration_decode(s, len, stored, &r, fault) != PLAIT_OK) {
        FUZZ_CHECK(fault[0] != '\0');
        return;
    }
    check_registration(&r);
    plait_registration_done(&r);
}

static void registration(const char *s, size_t len)
{
    take_registration(s, len, false);
}

static void stored(const char *s, size_t len)
{
    take_registration(s, len, true);
}

static void change(const char *s, size_t len)
{
    static const char base[] =
        "{\"url\":\"http://a\",\"streams\":[{\"name\":\"a\"},{\"name\":\"b\",\"size\":1}]}";
    struct plait_registration r, after;
    struct plait_change c;

    if (plait_change_decode(s, len, &c, fault) != PLAIT_OK)
        return;
    check_entries(c.add, c.add_count);
    FUZZ_CHECK(plait_registration_decode(base, strlen(base), false, &r, fault) == PLAIT_OK);
    if (plait_registration_change(&r, &c, &after) == PLAIT_OK) {
        check_registration(&after);
        for (size_t i = 0; i < c.add_count; i++)
            FUZZ_CHECK(plait_entry_same(plait_registration_find(&after, c.add[i].name), &c.add[i]));
        plait_registration_done(&after);
    }
    plait_registration_done(&r);
    plait_change_done(&c);
}

static void target(const char *s, size_t len)
{
    struct plait_query q;
    char *text = strndup(s, len);

    if (text != NULL && plait_query_parse(text, &q) == PLAIT_OK) {
        FUZZ_CHECK(q.name[0] == '\0' || plait_stream_name_is_good(q.name, strlen(q.name)));
        FUZZ_CHECK(q.after[0] == '\0' || plait_stream_name_is_good(q.after, strlen(q.after)));
        FUZZ_CHECK(q.wish.size <= INT64_MAX);
    }
    free(text);
}

static void accept_field(const char *s, size_t len)
{
    char *text = strndup(s, len);

    if (text != NULL)
        plait_accept_parse(text);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const parsers[])(const char *s, size_t len) = {registration, stored, change, target,
                                                                 accept_field};

    if (size > 0)
        parsers[data[0] % (sizeof parsers / sizeof parsers[0])]((const char *)data + 1, size - 1);
    return 0;
}
