/* The agenda against a plain list: whatever is put off, brought forward or taken out, the first is the first. */
#include "agenda.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "prng.h"
#include "units.h"

#define ENTRIES 200u

static uint64_t least(const struct plait_agenda_entry *entries)
{
    uint64_t at = PLAIT_NEVER;

    for (size_t i = 0; i < ENTRIES; i++)
        at = plait_min_u64(at, entries[i].place != 0 ? entries[i].at : PLAIT_NEVER);
    return at;
}

static void check(const struct plait_agenda *a, const struct plait_agenda_entry *entries)
{
    struct plait_agenda_entry *first = plait_agenda_first(a);
    size_t in = 0;

    for (size_t i = 0; i < ENTRIES; i++) {
        in += entries[i].place != 0;
        assert_true(entries[i].place == 0 || a->heap[entries[i].place - 1] == &entries[i]);
    }
    assert_int_equal(in, a->count);
    assert_true(first != NULL ? first->at == least(entries) : least(entries) == PLAIT_NEVER);
}

static void any_order(void **unused)
{
    struct plait_agenda_entry entries[ENTRIES] = {{0}};
    struct plait_prng g = {3};
    struct plait_agenda a;

    (void)unused;
    for (size_t i = 0; i < ENTRIES; i++)
        entries[i].at = PLAIT_NEVER;
    assert_int_equal(plait_agenda_init(&a, ENTRIES), PLAIT_OK);
    for (int i = 0; i < 20000; i++) {
        struct plait_agenda_entry *e = &entries[plait_prng_below(&g, ENTRIES)];
        plait_agenda_set(&a, e, plait_prng_below(&g, 4) == 0 ? PLAIT_NEVER : plait_prng_below(&g, 1000));
        check(&a, entries);
    }
    plait_agenda_done(&a);
}

static void comes_out_sorted(void **unused)
{
    struct plait_agenda_entry entries[ENTRIES] = {{0}}, *e;
    struct plait_prng g = {5};
    struct plait_agenda a;
    uint64_t last = 0;

    (void)unused;
    assert_int_equal(plait_agenda_init(&a, ENTRIES), PLAIT_OK);
    for (size_t i = 0; i < ENTRIES; i++)
        plait_agenda_set(&a, &entries[i], plait_prng_below(&g, 100));
    for (size_t i = 0; i < ENTRIES; i++) {
        e = plait_agenda_first(&a);
        assert_true(e != NULL && e->at >= last);
        last = e->at;
        plait_agenda_set(&a, e, PLAIT_NEVER);
    }
    assert_null(plait_agenda_first(&a));
    plait_agenda_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_order), cmocka_unit_test(comes_out_sorted)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
