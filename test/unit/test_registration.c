#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "failing_alloc.h"
#include "registration.h"
#include "units.h"

#define SHA256 "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"

static char fault[PLAIT_FAULT_MAX];

static int decode(const char *text, struct plait_registration *r)
{
    return plait_registration_decode(text, strlen(text), false, r, fault);
}

static void a_server(void **state)
{
    static const char text[] =
        "{\"kind\": \"server\", \"url\": \"https://a.example/x\", \"ttl_ms\": 5000, \"streams\": ["
        "{\"name\": \"b/c\", \"size\": 9223372036854775807, \"digests\": {\"sha-256\": \"" SHA256
        "\", \"md5\": 1}},"
        "{\"name\": \"a\", \"size\": null, \"more\": [[]]}], \"owner\": \"nobody\", \"more\": {}}";
    struct plait_registration r;

    (void)state;
    assert_int_equal(decode(text, &r), PLAIT_OK);
    assert_false(r.is_relay);
    assert_string_equal(r.url, "https://a.example/x/");
    assert_string_equal(r.owner, "");
    assert_int_equal(r.ttl_ms, 5000);
    assert_int_equal(r.count, 2);
    assert_string_equal(r.entries[0].name, "a");
    assert_false(r.entries[0].has_size);
    assert_true(r.entries[1].has_size && r.entries[1].size == INT64_MAX);
    assert_true(r.entries[1].digests.has_sha256 && r.entries[1].digests.sha256[0] == 0x2d);
    assert_false(r.entries[1].digests.has_sha512);
    assert_ptr_equal(plait_registration_find(&r, "b/c"), &r.entries[1]);
    assert_null(plait_registration_find(&r, "b"));
    plait_registration_done(&r);
}

static void a_relay(void **state)
{
    struct plait_registration r;

    (void)state;
    assert_int_equal(decode("{\"kind\":\"relay\",\"url\":\"http://"
                            "r:3128\",\"reaches\":[\"a:1\",\"[::]:*\"],\"auth\":\"basic\"}",
                            &r),
                     PLAIT_OK);
    assert_true(r.is_relay && r.asks_credentials);
    assert_string_equal(r.url, "http://r:3128");
    assert_int_equal(r.reach_count, 2);
    assert_int_equal(r.ttl_ms, PLAIT_REGISTRATION_TTL_MS);
    plait_registration_done(&r);
}

static void times_are_brought_into_bounds(void **state)
{
    struct plait_registration r;

    (void)state;
    assert_int_equal(decode("{\"url\":\"http://a\",\"ttl_ms\":1}", &r), PLAIT_OK);
    assert_int_equal(r.ttl_ms, PLAIT_REGISTRATION_TTL_MS_MIN);
    plait_registration_done(&r);
    assert_int_equal(decode("{\"url\":\"http://a\",\"ttl_ms\":9223372036854775807}", &r), PLAIT_OK);
    assert_int_equal(r.ttl_ms, PLAIT_REGISTRATION_TTL_MS_MAX);
    plait_registration_done(&r);
}

static void what_is_no_registration(void **state)
{
    static const struct {
        const char *text, *fault;
    } rows[] = {
        {"", "not JSON"},
        {"[]", "not an object"},
        {"nonsense", "not JSON"},
        {"{}", "url"},
        {"{\"url\":\"http://a\"} x", "not JSON"},
        {"{\"url\":\"http://a\",\"url\":\"http://b\"}", "not JSON"},
        {"{\"url\":1}", "url"},
        {"{\"url\":\"\"}", "url"},
        {"{\"url\":\"ftp://a/\"}", "url"},
        {"{\"url\":\"javascript:alert(1)//http://\"}", "url"},
        {"{\"url\":\"http://\"}", "url"},
        {"{\"url\":\"http:///x\"}", "url"},
        {"{\"url\":\"http://:80/\"}", "url"},
        {"{\"url\":\"http://user@a/\"}", "url"},
        {"{\"url\":\"http://a/?x\"}", "url"},
        {"{\"url\":\"http://a/#x\"}", "url"},
        {"{\"url\":\"http://a/ b\"}", "url"},
        {"{\"url\":\"http://a/\\r\\nX: y\"}", "url"},
        {"{\"url\":\"http://a/<b>\"}", "url"},
        {"{\"url\":\"http://a/\xc3\xa4\"}", "url"},
        {"{\"url\":\"http://a\",\"kind\":\"other\"}", "kind"},
        {"{\"url\":\"http://a\",\"kind\":1}", "kind"},
        {"{\"url\":\"http://a\",\"ttl_ms\":0}", "ttl_ms"},
        {"{\"url\":\"http://a\",\"ttl_ms\":\"1\"}", "ttl_ms"},
        {"{\"url\":\"http://a\",\"ttl_ms\":1.5}", "ttl_ms"},
        {"{\"url\":\"http://a\",\"streams\":{}}", "array"},
        {"{\"url\":\"http://a\",\"streams\":[1]}", "name"},
        {"{\"url\":\"http://a\",\"streams\":[{}]}", "name"},
        {"{\"url\":\"http://a\",\"streams\":[{\"name\":\"\"}]}", "name"},
        {"{\"url\":\"http://a\",\"streams\":[{\"name\":\"../x\"}]}", "../x"},
        {"{\"url\":\"http://a\",\"streams\":[{\"name\":\".plait/x\"}]}", "name"},
        {"{\"url\":\"http://a\",\"streams\":[{\"name\":\"a\\u0000b\"}]}", "not JSON"},
        {"{\"url\":\"http://a\",\"streams\":[{\"name\":\"a\\nb\"}]}", "name"},
        {"{\"url\":\"http://a\",\"streams\":[{\"name\":\"a\"},{\"name\":\"a\"}]}", "twice"},
        {"{\"url\":\"http://a\",\"streams\":[{\"name\":\"a\",\"size\":-1}]}", "size"},
        {"{\"url\":\"http://a\",\"streams\":[{\"name\":\"a\",\"size\":1.0}]}", "size"},
        {"{\"url\":\"http://a\",\"streams\":[{\"name\":\"a\",\"size\":9223372036854775808}]}", "not JSON"},
        {"{\"url\":\"http://a\",\"streams\":[{\"name\":\"a\",\"digests\":[]}]}", "digest"},
        {"{\"url\":\"http://a\",\"streams\":[{\"name\":\"a\",\"digests\":{\"sha-256\":\"00\"}}]}", "digest"},
        {"{\"url\":\"http://a\",\"streams\":[{\"name\":\"a\",\"digests\":{\"sha-512\":1}}]}", "digest"},
        {"{\"url\":\"http://a\",\"kind\":\"relay\",\"reaches\":\"a:1\"}", "array"},
        {"{\"url\":\"http://a\",\"kind\":\"relay\",\"reaches\":[\"\"]}", "destination"},
        {"{\"url\":\"http://a\",\"kind\":\"relay\",\"reaches\":[\"a b\"]}", "destination"},
        {"{\"url\":\"http://a\",\"kind\":\"relay\",\"reaches\":[1]}", "destination"},
        {"{\"url\":\"http://a\",\"kind\":\"relay\",\"auth\":\"digest\"}", "auth"},
        {"[[[[[[[1]]]]]]]", "too deep"},
    };
    struct plait_registration r;

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++)
        if (decode(rows[i].text, &r) == PLAIT_OK || strstr(fault, rows[i].fault) == NULL)
            fail_msg("%s: %s", rows[i].text, fault);
}

/* Brackets in strings do not count, and what jansson would take much memory for is refused before. */
static void bounds(void **state)
{
    size_t len = PLAIT_REGISTRATION_BYTES_MAX;
    char *text = malloc(len + 2);
    struct plait_registration r;

    (void)state;
    assert_non_null(text);
    memset(text, ' ', len + 1);
    memcpy(text, "{\"url\":\"http://a\"}", 18);
    assert_int_equal(plait_registration_decode(text, len, false, &r, fault), PLAIT_OK);
    plait_registration_done(&r);
    assert_int_equal(plait_registration_decode(text, len + 1, false, &r, fault), PLAIT_ERR_LIMIT);
    memset(text, '[', len);
    assert_int_equal(plait_registration_decode(text, len, false, &r, fault), PLAIT_ERR_LIMIT);
    memset(text, ',', len);
    assert_int_equal(plait_registration_decode(text, len, false, &r, fault), PLAIT_ERR_LIMIT);
    int used = sprintf(text, "{\"x\":\"\\\"[[[[[[[[[[[[[[[[[[{{{{{{{{{");
    memset(text + used, ',', len - 100);
    sprintf(text + used + len - 100, "\",\"url\":\"http://a\"}");
    assert_int_equal(plait_registration_decode(text, strlen(text), false, &r, fault), PLAIT_OK);
    plait_registration_done(&r);
    free(text);
}

static void too_many_streams(void **state)
{
    char *text = malloc(PLAIT_REGISTRATION_BYTES_MAX);
    struct plait_registration r;
    size_t used = (size_t)sprintf(text, "{\"url\":\"http://a\",\"streams\":[{\"name\":\"x\"}");

    (void)state;
    for (unsigned i = 0; i < PLAIT_REGISTRATION_ENTRIES_MAX - 1; i++)
        used += (size_t)sprintf(text + used, ",{\"name\":\"%u\"}", i);
    strcpy(text + used, "]}");
    assert_int_equal(decode(text, &r), PLAIT_OK);
    assert_int_equal(r.count, PLAIT_REGISTRATION_ENTRIES_MAX);
    plait_registration_done(&r);
    strcpy(text + used, ",{\"name\":\"y\"}]}");
    assert_int_equal(decode(text, &r), PLAIT_ERR_LIMIT);
    free(text);
}

static void what_is_stored_comes_back(void **state)
{
    static const char *const texts[] = {
        "{\"url\":\"http://"
        "a\",\"ttl_ms\":7000,\"streams\":[{\"name\":\"\xc3\xa4\",\"size\":0},{\"name\":\"b\",\"digests\":"
        "{\"sha-256\":\"" SHA256 "\",\"sha-512\":\"" SHA256 SHA256 "\"}}]}",
        "{\"url\":\"http://a\",\"kind\":\"relay\",\"reaches\":[\"a:1\"],\"auth\":\"basic\"}",
    };
    struct plait_registration r, again;

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(texts); i++) {
        assert_int_equal(decode(texts[i], &r), PLAIT_OK);
        strcpy(r.owner, "key:farm");
        char *text = plait_registration_encode(&r);
        assert_non_null(text);
        assert_int_equal(plait_registration_decode(text, strlen(text), true, &again, fault), PLAIT_OK);
        assert_string_equal(again.owner, "key:farm");
        assert_string_equal(again.url, r.url);
        assert_int_equal(again.ttl_ms, r.ttl_ms);
        assert_int_equal(again.asks_credentials, r.asks_credentials);
        assert_int_equal(again.count, r.count);
        assert_int_equal(again.reach_count, r.reach_count);
        for (size_t j = 0; j < r.count; j++)
            assert_true(plait_entry_same(&r.entries[j], &again.entries[j]));
        plait_registration_done(&r);
        plait_registration_done(&again);
        free(text);
    }
    assert_int_equal(plait_registration_decode(texts[0], strlen(texts[0]), true, &r, fault),
                     PLAIT_ERR_FORMAT);
}

static void changes(void **state)
{
    static const char change[] =
        "{\"add\":[{\"name\":\"e\"},{\"name\":\"b\",\"size\":2},{\"name\":\"c\",\"size\":3}],"
        "\"remove\":[\"d\",\"a\",\"c\",\"z\"]}";
    struct plait_registration r, after;
    struct plait_change c;
    char names[32] = "";

    (void)state;
    assert_int_equal(
        decode("{\"url\":\"http://"
               "a\",\"streams\":[{\"name\":\"a\"},{\"name\":\"b\"},{\"name\":\"c\"},{\"name\":\"d\"}]}",
               &r),
        PLAIT_OK);
    assert_int_equal(plait_change_decode(change, strlen(change), &c, fault), PLAIT_OK);
    assert_int_equal(plait_registration_change(&r, &c, &after), PLAIT_OK);
    for (size_t i = 0; i < after.count; i++)
        strcat(names, after.entries[i].name);
    assert_string_equal(names, "bce"); /* what is added stays, though it is removed as well */
    assert_int_equal(after.entries[0].size, 2);
    assert_string_equal(after.url, r.url);
    plait_registration_done(&after);
    plait_change_done(&c);
    assert_int_equal(plait_change_decode("{}", 2, &c, fault), PLAIT_OK);
    assert_int_equal(c.add_count + c.remove_count, 0);
    plait_change_done(&c);
    assert_int_equal(plait_change_decode("{\"remove\":[\"/\"]}", 16, &c, fault), PLAIT_ERR_FORMAT);
    assert_int_equal(plait_change_decode("{\"remove\":{}}", 13, &c, fault), PLAIT_ERR_FORMAT);
    plait_registration_done(&r);
}

static void digests_are_compared(void **state)
{
    struct plait_digests a = {.has_sha256 = true, .sha256 = {1}}, b = {.has_sha512 = true, .sha512 = {1}},
                         none = {0};
    struct plait_digests both = {.has_sha256 = true, .sha256 = {1}, .has_sha512 = true, .sha512 = {2}};

    (void)state;
    assert_true(plait_digests_agree(&a, &a) && !plait_digests_contradict(&a, &a));
    assert_false(plait_digests_agree(&a, &b) || plait_digests_contradict(&a, &b));
    assert_false(plait_digests_agree(&a, &none) || plait_digests_contradict(&a, &none));
    assert_true(plait_digests_agree(&a, &both));
    assert_true(plait_digests_contradict(&b, &both));
    both.sha256[0] = 9;
    assert_true(plait_digests_contradict(&a, &both) && !plait_digests_agree(&a, &both));
}

/* Each allocation fails once: an error and nothing taken, or all of it. */
static void without_memory(void **state)
{
    static const char text[] =
        "{\"url\":\"http://a\",\"streams\":[{\"name\":\"a\",\"size\":1,\"digests\":{\"sha-256\":\"" SHA256
        "\"}},{\"name\":\"b\"}]}";
    static const char change[] = "{\"add\":[{\"name\":\"c\"}],\"remove\":[\"a\"]}";
    struct plait_registration r, after;
    struct plait_change c;
    long n = 0;

    (void)state;
    json_set_alloc_funcs(malloc, free);
    do {
        failing_alloc_after(n++);
        int err = decode(text, &r);
        if (err != PLAIT_OK) {
            assert_true(failing_alloc_happened());
            continue;
        }
        char *stored = plait_registration_encode(&r);
        assert_true(stored != NULL || failing_alloc_happened());
        if (stored != NULL) /* never less than the whole */
            assert_non_null(strstr(stored, "\"digests\":{\"sha-256\":\"" SHA256 "\"}"));
        free(stored);
        if (plait_change_decode(change, strlen(change), &c, fault) == PLAIT_OK) {
            if (plait_registration_change(&r, &c, &after) == PLAIT_OK) {
                assert_int_equal(after.count, 2);
                plait_registration_done(&after);
            }
            plait_change_done(&c);
        }
        plait_registration_done(&r);
    } while (failing_alloc_happened());
    failing_alloc_after(-1);
    assert_true(n > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server),
        cmocka_unit_test(a_relay),
        cmocka_unit_test(times_are_brought_into_bounds),
        cmocka_unit_test(what_is_no_registration),
        cmocka_unit_test(bounds),
        cmocka_unit_test(too_many_streams),
        cmocka_unit_test(what_is_stored_comes_back),
        cmocka_unit_test(changes),
        cmocka_unit_test(digests_are_compared),
        cmocka_unit_test(without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
