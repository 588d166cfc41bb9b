/* The catalog, and the versions that are found in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "catalog.h"
#include "failing_alloc.h"
#include "units.h"
#include "version.h"

#define NOW (1000 * PLAIT_S)

/* What the catalog has told, e.g. "+a:x *a:y -a:x !b:z". */
static char told[4096];

static void on_changed(void *ctx, enum plait_catalog_event event, const struct plait_server *server,
                       const char *name)
{
    static const char marks[] = {[PLAIT_CATALOG_JOINED] = '+',
                                 [PLAIT_CATALOG_CHANGED] = '*',
                                 [PLAIT_CATALOG_LEFT] = '-',
                                 [PLAIT_CATALOG_EXPIRED] = '!'};
    size_t used = strlen(told);

    (void)ctx;
    snprintf(told + used, sizeof told - used, "%s%c%s:%s", used > 0 ? " " : "", marks[event], server->id,
             name != NULL ? name : "");
}

static struct plait_registration make(const char *url, const char *streams)
{
    struct plait_registration r;
    char text[2048], fault[PLAIT_FAULT_MAX];
    int len = snprintf(text, sizeof text, "{\"url\":\"%s\",\"streams\":[%s]}", url, streams);

    assert_int_equal(plait_registration_decode(text, (size_t)len, false, &r, fault), PLAIT_OK);
    return r;
}

static int put(struct plait_catalog *c, const char *id, const char *streams)
{
    struct plait_registration r = make("http://h", streams);

    told[0] = '\0';
    return plait_catalog_put(c, id, &r, NOW + 30 * PLAIT_S);
}

static int put_relay(struct plait_catalog *c, const char *id, const char *url)
{
    struct plait_registration r = make(url, "");

    told[0] = '\0';
    r.is_relay = true;
    return plait_catalog_put(c, id, &r, NOW + 30 * PLAIT_S);
}

static struct plait_catalog *fresh(void)
{
    struct plait_catalog *c = plait_catalog_new(on_changed, NULL);

    assert_non_null(c);
    return c;
}

static void differences_are_told(void **state)
{
    struct plait_catalog *c = fresh();
    struct plait_registration moved;

    (void)state;
    assert_int_equal(put(c, "a", "{\"name\":\"x\"},{\"name\":\"y\"}"), PLAIT_OK);
    assert_string_equal(told, "+a:x +a:y");
    assert_int_equal(put(c, "a", "{\"name\":\"x\"},{\"name\":\"y\"}"), PLAIT_OK);
    assert_string_equal(told, "");
    assert_int_equal(put(c, "a", "{\"name\":\"y\",\"size\":1},{\"name\":\"z\"}"), PLAIT_OK);
    assert_string_equal(told, "-a:x *a:y +a:z");
    moved = make("http://elsewhere", "{\"name\":\"y\",\"size\":1},{\"name\":\"z\"}");
    told[0] = '\0';
    assert_int_equal(plait_catalog_put(c, "a", &moved, NOW), PLAIT_OK);
    assert_string_equal(told, "*a:y *a:z");
    assert_null(plait_catalog_stream(c, "x"));
    assert_int_equal(plait_catalog_stream(c, "y")->count, 1);
    told[0] = '\0';
    assert_int_equal(plait_catalog_drop(c, "a", PLAIT_CATALOG_EXPIRED), PLAIT_OK);
    assert_string_equal(told, "!a:y !a:z");
    assert_int_equal(plait_catalog_drop(c, "a", PLAIT_CATALOG_LEFT), PLAIT_ERR_NOTFOUND);
    assert_int_equal(plait_catalog_counts(c).streams + plait_catalog_counts(c).entries +
                         plait_catalog_counts(c).servers,
                     0);
    plait_catalog_free(c);
}

static void relays_are_told_as_such(void **state)
{
    struct plait_catalog *c = fresh();

    (void)state;
    assert_int_equal(put_relay(c, "r", "http://r"), PLAIT_OK);
    assert_string_equal(told, "+r:");
    assert_int_equal(put_relay(c, "r", "http://r"), PLAIT_OK);
    assert_string_equal(told, "");
    assert_int_equal(put_relay(c, "r", "http://s"), PLAIT_OK);
    assert_string_equal(told, "*r:");
    assert_int_equal(plait_catalog_counts(c).relays, 1);
    assert_int_equal(put(c, "r", "{\"name\":\"x\"}"), PLAIT_OK); /* a server from now on */
    assert_string_equal(told, "-r: +r:x");
    assert_int_equal(plait_catalog_counts(c).relays, 0);
    assert_int_equal(plait_catalog_counts(c).servers, 1);
    plait_catalog_free(c);
}

static void bounds(void **state)
{
    struct plait_catalog *c = fresh();
    struct plait_registration r = make("http://h", "");
    char id[16];

    (void)state;
    for (unsigned i = 0; i < PLAIT_CATALOG_SERVERS_MAX; i++) {
        snprintf(id, sizeof id, "s%u", i);
        assert_int_equal(put(c, id, ""), PLAIT_OK);
    }
    assert_int_equal(plait_catalog_check(c, "one-more", &r), PLAIT_ERR_LIMIT);
    assert_int_equal(put(c, "one-more", ""), PLAIT_ERR_LIMIT);
    assert_int_equal(put(c, "s7", "{\"name\":\"x\"}"), PLAIT_OK);
    r.count = PLAIT_CATALOG_ENTRIES_MAX;
    assert_int_equal(plait_catalog_check(c, "s7", &r), PLAIT_OK);
    assert_int_equal(plait_catalog_check(c, "s8", &r), PLAIT_ERR_LIMIT);
    r.count = 0;
    plait_registration_done(&r);
    plait_catalog_free(c);
}

static void lists_are_in_order(void **state)
{
    struct plait_catalog *c = fresh();
    struct plait_stream *out[4];

    (void)state;
    assert_int_equal(plait_catalog_list(c, "", out, 4), 0);
    assert_int_equal(put(c, "a", "{\"name\":\"m\"},{\"name\":\"b\"},{\"name\":\"z\"}"), PLAIT_OK);
    assert_int_equal(put(c, "b", "{\"name\":\"d\"},{\"name\":\"b\"}"), PLAIT_OK);
    assert_int_equal(plait_catalog_list(c, "", out, 2), 2);
    assert_string_equal(out[0]->name, "b");
    assert_string_equal(out[1]->name, "d");
    assert_int_equal(plait_catalog_list(c, "d", out, 4), 2);
    assert_string_equal(out[0]->name, "m");
    assert_int_equal(plait_catalog_list(c, "c", out, 4), 3);
    assert_int_equal(plait_catalog_list(c, "z", out, 4), 0);
    plait_catalog_drop(c, "a", PLAIT_CATALOG_LEFT);
    assert_int_equal(plait_catalog_list(c, "", out, 4), 2);
    plait_catalog_free(c);
}

/* The versions of "x" as text: servers by version, healthy or not, e.g. "ab|C" where C is not healthy. */
static const char *versions(struct plait_catalog *c, const struct plait_wish *wish, uint32_t turn)
{
    static char out[64];
    struct plait_versions v;
    size_t used = 0;

    assert_int_equal(plait_versions_of(plait_catalog_stream(c, "x"), wish, turn, NOW, &v), PLAIT_OK);
    for (size_t i = 0; i < v.count; i++) {
        if (i > 0)
            out[used++] = '|';
        for (size_t j = 0; j < v.all[i].count; j++) {
            const struct plait_server *s = v.all[i].sources[j];
            out[used++] = (char)(s->id[0] - (plait_server_is_healthy(s, NOW) ? 0 : 'a' - 'A'));
        }
    }
    out[used] = '\0';
    plait_versions_done(&v);
    return out;
}

#define SIXTY            "000000000000000000000000000000000000000000000000000000000000"
#define D256(digit)      "\"sha-256\":\"" SIXTY "000" digit "\""
#define D512(digit)      "\"sha-512\":\"" SIXTY SIXTY "0000000" digit "\""
#define X(size, digests) "{\"name\":\"x\",\"size\":" size ",\"digests\":{" digests "}}"

static const struct plait_wish anything;

static void what_differs_is_kept_apart(void **state)
{
    static const struct {
        const char *entries[5], *versions;
    } rows[] = {
        {{X("1", D256("1")), X("1", D256("1"))}, "ab"},
        {{X("1", D256("1")), X("1", D256("2")), X("1", D256("2"))}, "bc|a"},
        {{X("1", D256("1")), X("2", D256("1")), X("1", D256("1"))}, "ac|b"},
        {{X("1", D256("1")), X("1", ""), X("1", "")}, "bc|a"},
        {{X("1", D256("1")), X("1", "")}, "a|b"},
        {{X("1", ""), X("null", ""), X("1", "")}, "ac|b"},
        {{X("1", D256("1")), X("1", D512("2")), X("1", D256("1") "," D512("2"))}, "abc"},
        {{X("1", D256("1") "," D512("2")), X("1", D256("1") "," D512("3")), X("1", D512("3"))}, "bc|a"},
    };

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        struct plait_catalog *c = fresh();
        for (size_t j = 0; j < 5 && rows[i].entries[j] != NULL; j++)
            assert_int_equal(put(c, (char[]){(char)('a' + j), '\0'}, rows[i].entries[j]), PLAIT_OK);
        assert_string_equal(versions(c, &anything, 0), rows[i].versions);
        plait_catalog_free(c);
    }
}

static void wishes_choose(void **state)
{
    struct plait_catalog *c = fresh();
    struct plait_wish size = {.has_size = true, .size = 2}, digest = {.digests = {.has_sha256 = true}};

    (void)state;
    digest.digests.sha256[31] = 2;
    assert_int_equal(put(c, "a", X("1", D256("1"))), PLAIT_OK);
    assert_int_equal(put(c, "b", X("2", D256("2"))), PLAIT_OK);
    assert_int_equal(put(c, "c", X("2", "")), PLAIT_OK);
    assert_int_equal(put(c, "d", X("null", "")), PLAIT_OK);
    assert_string_equal(versions(c, &size, 0), "b|c");
    assert_string_equal(versions(c, &digest, 0), "b");
    size.size = 3;
    assert_string_equal(versions(c, &size, 0), "");
    plait_catalog_free(c);
}

static void turns_go_round_the_healthy(void **state)
{
    struct plait_catalog *c = fresh();

    (void)state;
    for (char id[2] = "a"; id[0] < 'e'; id[0]++)
        assert_int_equal(put(c, id, X("1", "")), PLAIT_OK);
    plait_catalog_server(c, "b")->expires =
        NOW + 9 * PLAIT_S; /* 30 s is its time: two heartbeats are missing */
    plait_catalog_server(c, "c")->expires = NOW + 11 * PLAIT_S;
    assert_string_equal(versions(c, &anything, 0), "acdB");
    assert_string_equal(versions(c, &anything, 1), "cdaB");
    assert_string_equal(versions(c, &anything, 2), "dacB");
    assert_string_equal(versions(c, &anything, 3), "acdB");
    assert_string_equal(versions(c, &anything, UINT32_MAX), "acdB"); /* a multiple of three */
    plait_catalog_free(c);
}

/* Each allocation fails once: all of a registration, or nothing of it. */
static void without_memory(void **state)
{
    long n = 0;

    (void)state;
    do {
        struct plait_catalog *c = fresh();
        assert_int_equal(put(c, "a", "{\"name\":\"x\"}"), PLAIT_OK);
        struct plait_registration r = make("http://h", "{\"name\":\"x\"},{\"name\":\"y\"}");
        failing_alloc_after(n++);
        int err = plait_catalog_put(c, "b", &r, NOW);
        bool happened = failing_alloc_happened();
        failing_alloc_after(-1);
        assert_int_equal(err, happened ? PLAIT_ERR_NOMEM : PLAIT_OK);
        assert_int_equal(plait_catalog_stream(c, "x")->count, happened ? 1 : 2);
        assert_int_equal(plait_catalog_counts(c).streams, happened ? 1 : 2);
        assert_int_equal(plait_catalog_server(c, "b") == NULL, happened);
        plait_catalog_free(c);
        if (!happened)
            break;
    } while (n < 100);
    assert_in_range(n, 5, 99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(differences_are_told),
        cmocka_unit_test(relays_are_told_as_such),
        cmocka_unit_test(bounds),
        cmocka_unit_test(lists_are_in_order),
        cmocka_unit_test(what_differs_is_kept_apart),
        cmocka_unit_test(wishes_choose),
        cmocka_unit_test(turns_go_round_the_healthy),
        cmocka_unit_test(without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
