#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <netinet/in.h>

#include "lookup.h"

/* The answers of a resolver about hub.example, number 0x1234: the head, the question, the records. */
#define HEAD(flags, answers) "\x12\x34" flags "\0\1\0" answers "\0\0\0\0"
#define NAME                 "\3hub\7example\0"
#define ASK_A                NAME "\0\1\0\1"
#define ASK_AAAA             NAME "\0\x1c\0\1"
#define REF                  "\xc0\x0c"
#define TTL                  "\0\0\0\x3c"
#define A                    REF "\0\1\0\1" TTL "\0\4\xc0\0\2\7"
#define AAAA                 REF "\0\x1c\0\1" TTL "\0\x10\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\7"
#define CNAME                REF "\0\5\0\1" TTL "\0\4\1b\xc0\x10"
#define BYTES(text)          (const uint8_t *)(text), sizeof(text) - 1

static void addresses(void **state)
{
    struct sockaddr_storage out;
    const struct sockaddr_in *v4 = (const void *)&out;
    const struct sockaddr_in6 *v6 = (const void *)&out;

    (void)state;
    assert_int_equal(plait_lookup_read(BYTES(HEAD("\x81\x80", "\1") ASK_A A), 0x1234, AF_INET, &out),
                     PLAIT_OK);
    assert_int_equal(out.ss_family, AF_INET);
    assert_int_equal(ntohl(v4->sin_addr.s_addr), 0xc0000207);
    assert_int_equal(v4->sin_port, 0);
    assert_int_equal(plait_lookup_read(BYTES(HEAD("\x81\x80", "\2") ASK_A CNAME A), 0x1234, AF_INET, &out),
                     PLAIT_OK);
    assert_int_equal(plait_lookup_read(BYTES(HEAD("\x81\x80", "\1") ASK_AAAA AAAA), 0x1234, AF_INET6, &out),
                     PLAIT_OK);
    assert_int_equal(out.ss_family, AF_INET6);
    assert_int_equal(v6->sin6_addr.s6_addr[15], 7);
}

static void none(void **state)
{
    struct sockaddr_storage out;

    (void)state;
    assert_int_equal(plait_lookup_read(BYTES(HEAD("\x81\x83", "\0") ASK_A), 0x1234, AF_INET, &out),
                     PLAIT_ERR_NOTFOUND);
    assert_int_equal(plait_lookup_read(BYTES(HEAD("\x81\x82", "\0") ASK_A), 0x1234, AF_INET, &out),
                     PLAIT_ERR_IO);
    assert_int_equal(plait_lookup_read(BYTES(HEAD("\x81\x80", "\1") ASK_A CNAME), 0x1234, AF_INET, &out),
                     PLAIT_ERR_NOTFOUND);
    assert_int_equal(plait_lookup_read(BYTES(HEAD("\x81\x80", "\1") ASK_A AAAA), 0x1234, AF_INET, &out),
                     PLAIT_ERR_NOTFOUND);
}

static void no_answers(void **state)
{
    static const char whole[] = HEAD("\x81\x80", "\1") ASK_A A;
    struct sockaddr_storage out;

    (void)state;
    assert_int_equal(plait_lookup_read(BYTES(HEAD("\1\0", "\0") ASK_A), 0x1234, AF_INET, &out),
                     PLAIT_ERR_FORMAT);
    assert_int_equal(plait_lookup_read(BYTES(HEAD("\x81\x80", "\1") ASK_A A), 0x4321, AF_INET, &out),
                     PLAIT_ERR_FORMAT);
    assert_int_equal(plait_lookup_read(BYTES(HEAD("\x81\x80", "\1") ASK_A A), 0x1234, AF_INET6, &out),
                     PLAIT_ERR_FORMAT);
    for (size_t len = 0; len + 1 < sizeof whole; len++)
        assert_int_equal(plait_lookup_read((const uint8_t *)whole, len, 0x1234, AF_INET, &out),
                         PLAIT_ERR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(addresses), cmocka_unit_test(none),
                                       cmocka_unit_test(no_answers)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
