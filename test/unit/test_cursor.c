#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cursor.h"
#include "units.h"

static void reads_big_endian(void **state)
{
    static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0xab, 0xcd};
    struct plait_reader r;

    (void)state;
    plait_reader_init(&r, bytes, sizeof bytes);
    assert_int_equal(plait_reader_left(&r), 17);
    assert_int_equal(plait_read_u8(&r), 1);
    assert_int_equal(plait_read_u16(&r), 0x0203);
    assert_int_equal(plait_read_u32(&r), 0x04050607);
    assert_true(plait_read_u64(&r) == UINT64_C(0x08090a0b0c0d0e0f));
    assert_ptr_equal(plait_read_bytes(&r, 2), bytes + 15);
    assert_int_equal(plait_reader_left(&r), 0);
    assert_false(r.bad);
}

static void reading_past_the_end_is_remembered(void **state)
{
    static const uint8_t bytes[] = {1, 2, 3};
    struct plait_reader r;

    (void)state;
    plait_reader_init(&r, bytes, sizeof bytes);
    assert_int_equal(plait_read_u32(&r), 0);
    assert_true(r.bad);
    assert_int_equal(plait_reader_left(&r), 0);
    /* What would still fit is refused as well. */
    assert_int_equal(plait_read_u8(&r), 0);
    assert_null(plait_read_bytes(&r, 1));
    assert_null(plait_read_bytes(&r, 0));
}

static void reading_nothing_is_possible(void **state)
{
    struct plait_reader r;

    (void)state;
    plait_reader_init(&r, NULL, 0);
    assert_int_equal(plait_reader_left(&r), 0);
    plait_read_bytes(&r, 0);
    assert_false(r.bad);
    assert_null(plait_read_bytes(&r, SIZE_MAX));
    assert_true(r.bad);
}

static void writes_what_is_read(void **state)
{
    uint8_t bytes[18];
    struct plait_writer w;
    struct plait_reader r;

    (void)state;
    plait_writer_init(&w, bytes, sizeof bytes);
    plait_write_u8(&w, 0xfe);
    plait_write_u16(&w, 0xfedc);
    plait_write_u32(&w, 0xfedcba98);
    plait_write_u64(&w, UINT64_C(0xfedcba9876543210));
    plait_write_bytes(&w, "abc", 3);
    assert_false(w.bad);
    assert_int_equal(plait_writer_used(&w), sizeof bytes);

    plait_reader_init(&r, bytes, sizeof bytes);
    assert_int_equal(plait_read_u8(&r), 0xfe);
    assert_int_equal(plait_read_u16(&r), 0xfedc);
    assert_int_equal(plait_read_u32(&r), 0xfedcba98);
    assert_true(plait_read_u64(&r) == UINT64_C(0xfedcba9876543210));
    assert_memory_equal(plait_read_bytes(&r, 3), "abc", 3);
    assert_false(r.bad);
}

static void writing_past_the_end_is_remembered(void **state)
{
    uint8_t bytes[4] = {9, 9, 9, 9};
    struct plait_writer w;

    (void)state;
    plait_writer_init(&w, bytes, 3);
    plait_write_u8(&w, 1);
    plait_write_u32(&w, 0xffffffff);
    assert_true(w.bad);
    plait_write_u8(&w, 2);
    assert_int_equal(plait_writer_used(&w), 1);
    assert_memory_equal(bytes, ((uint8_t[]){1, 9, 9, 9}), 4);

    plait_writer_init(&w, NULL, 0);
    plait_write_bytes(&w, NULL, 0);
    assert_false(w.bad);
    plait_write_u8(&w, 1);
    assert_true(w.bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_big_endian),
        cmocka_unit_test(reading_past_the_end_is_remembered),
        cmocka_unit_test(reading_nothing_is_possible),
        cmocka_unit_test(writes_what_is_read),
        cmocka_unit_test(writing_past_the_end_is_remembered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
