#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "prng.h"
#include "toc.h"

static struct plait_toc *toc;

static int begin(void **state)
{
    (void)state;
    toc = plait_toc_new(1000);
    return toc == NULL;
}

static int end(void **state)
{
    (void)state;
    plait_toc_free(toc);
    return 0;
}

/* Whether this said something new. */
static bool put(const char *name, uint64_t size, int64_t mtime_ns, bool writing)
{
    const struct plait_toc_version v = {1, 2, size, mtime_ns};
    bool changed = false;

    assert_int_equal(plait_toc_put(toc, 7, name, &v, writing, &changed), PLAIT_OK);
    return changed;
}

static void what_is_new_is_told_once(void **state)
{
    (void)state;
    assert_true(put("a", 5, 100, false));
    assert_false(put("a", 5, 100, false));
    assert_true(put("a", 5, 101, false));
    assert_true(put("a", 5, 102, true));
    assert_false(put("a", 6, 103, true)); /* that it grows is nothing new */
    assert_true(put("a", 6, 103, false));
    assert_int_equal(plait_toc_count(toc), 1);
    assert_true(plait_toc_find(toc, "a")->version.size == 6);
    assert_null(plait_toc_find(toc, "b"));
}

static void a_digest_belongs_to_its_version(void **state)
{
    uint8_t sha256[PLAIT_TOC_SHA256_LEN] = {1, 2, 3};

    (void)state;
    put("a", 5, 100, false);
    struct plait_toc_entry *e = plait_toc_find(toc, "a");
    e->has_sha256 = true;
    memcpy(e->sha256, sha256, sizeof sha256);
    put("a", 5, 100, false);
    assert_string_equal(plait_toc_find_digest(toc, sha256)->name, "a");
    put("a", 5, 101, false);
    assert_null(plait_toc_find_digest(toc, sha256));
}

static void folders_go_with_all_that_is_in_them(void **state)
{
    (void)state;
    put("a/b", 1, 1, false);
    put("a/c/d", 1, 1, false);
    put("ab", 1, 1, false);
    put("a", 1, 1, false);
    put("x/a/b", 1, 1, false);
    assert_int_equal(plait_toc_remove_below(toc, "a"), 2);
    assert_int_equal(plait_toc_count(toc), 3);
    assert_non_null(plait_toc_find(toc, "ab"));
    assert_non_null(plait_toc_find(toc, "a"));
    assert_non_null(plait_toc_find(toc, "x/a/b"));
    assert_true(plait_toc_remove(toc, "ab"));
    assert_false(plait_toc_remove(toc, "ab"));
}

static void a_sweep_removes_what_was_not_seen(void **state)
{
    (void)state;
    put("a", 1, 1, false);
    put("b", 1, 1, false);
    plait_toc_sweep_begin(toc);
    assert_false(put("b", 1, 1, false));
    put("c", 1, 1, false);
    assert_int_equal(plait_toc_sweep_end(toc), 1);
    assert_null(plait_toc_find(toc, "a"));
    assert_int_equal(plait_toc_count(toc), 2);
}

static void it_is_bounded(void **state)
{
    const struct plait_toc_version v = {0};
    bool changed = false;
    char name[16];

    (void)state;
    assert_null(plait_toc_new(0));
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "n%d", i);
        put(name, 1, 1, false);
    }
    assert_int_equal(plait_toc_put(toc, 0, "more", &v, false, &changed), PLAIT_ERR_LIMIT);
    assert_false(changed);
    assert_false(put("n3", 1, 1, false));
    assert_true(plait_toc_remove(toc, "n3"));
    assert_true(put("more", 1, 1, false));
}

/* Against a table of bits: what is in it is found, what is not is not, and each is listed once. */
static void as_a_plain_set(void **state)
{
    static bool in[300];
    struct plait_prng rng = {.state = 7};
    char name[16];
    size_t count = 0;

    (void)state;
    memset(in, 0, sizeof in);
    for (unsigned step = 0; step < 20000; step++) {
        unsigned i = (unsigned)(plait_prng_next(&rng) % 300);
        snprintf(name, sizeof name, "d%u/f%u", i % 7, i);
        if (plait_prng_next(&rng) % 2) {
            put(name, i, 1, false);
            count += !in[i];
            in[i] = true;
        } else {
            assert_int_equal(plait_toc_remove(toc, name), in[i]);
            count -= in[i];
            in[i] = false;
        }
        assert_int_equal(plait_toc_count(toc), count);
    }
    for (unsigned i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "d%u/f%u", i % 7, i);
        assert_int_equal(plait_toc_find(toc, name) != NULL, in[i]);
    }
    for (size_t i = 0; i < count; i++)
        assert_ptr_equal(plait_toc_find(toc, plait_toc_at(toc, i)->name), plait_toc_at(toc, i));
    assert_null(plait_toc_at(toc, count));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_new_is_told_once, begin, end),
        cmocka_unit_test_setup_teardown(a_digest_belongs_to_its_version, begin, end),
        cmocka_unit_test_setup_teardown(folders_go_with_all_that_is_in_them, begin, end),
        cmocka_unit_test_setup_teardown(a_sweep_removes_what_was_not_seen, begin, end),
        cmocka_unit_test_setup_teardown(it_is_bounded, begin, end),
        cmocka_unit_test_setup_teardown(as_a_plain_set, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
