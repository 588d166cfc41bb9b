#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ask_lan.h"
#include "prng.h"

static struct plait_ask_lan_question a_question(void)
{
    struct plait_ask_lan_question q = {.size = 734003200, .has_sha256 = true};

    memset(q.nonce, 0xab, sizeof q.nonce);
    memset(q.sha256, 0xcd, sizeof q.sha256);
    strcpy(q.name, "films/a b.mkv");
    return q;
}

static struct plait_ask_lan_answer an_answer(void)
{
    struct plait_ask_lan_answer a = {.size = 5, .has_sha256 = true};

    memset(a.nonce, 0xab, sizeof a.nonce);
    memset(a.sha256, 0xcd, sizeof a.sha256);
    strcpy(a.tag, "\"1-5-77\"");
    strcpy(a.url, "http://192.0.2.1:8080/films/a%20b.mkv");
    return a;
}

static void a_question_as_the_page_has_it(void **state)
{
    static const uint8_t head[] = {'p', 'l', 'a', 'q', 1, 1, 0, 13, 0xab};
    static const uint8_t size[] = {0, 0, 0, 0, 0x2b, 0xc0, 0, 0, 0xcd};
    struct plait_ask_lan_question q = a_question(), back;
    uint8_t bytes[PLAIT_ASK_LAN_BYTES];

    (void)state;
    assert_int_equal(plait_ask_lan_question_encode(&q, bytes), PLAIT_OK);
    assert_memory_equal(bytes, head, sizeof head);
    assert_memory_equal(bytes + 24, size, sizeof size);
    assert_memory_equal(bytes + 64, "films/a b.mkv\0\0", 15);
    assert_int_equal(bytes[PLAIT_ASK_LAN_BYTES - 1], 0);
    memset(&back, 0, sizeof back);
    assert_int_equal(plait_ask_lan_question_decode(bytes, sizeof bytes, &back), PLAIT_OK);
    assert_memory_equal(&back, &q, sizeof q);
}

static void an_answer_as_the_page_has_it(void **state)
{
    static const uint8_t head[] = {'p', 'l', 'a', 'a', 1, 1, 0, 37, 0xab};
    struct plait_ask_lan_answer a = an_answer(), back;
    uint8_t bytes[PLAIT_ASK_LAN_BYTES];
    size_t len;

    (void)state;
    assert_int_equal(plait_ask_lan_answer_encode(&a, bytes, &len), PLAIT_OK);
    assert_int_equal(len, 64 + 1 + 8 + 37);
    assert_memory_equal(bytes, head, sizeof head);
    assert_memory_equal(bytes + 64, "\x08\"1-5-77\"http://192.0.2.1:8080/films/a%20b.mkv", 46);
    memset(&back, 0, sizeof back);
    assert_int_equal(plait_ask_lan_answer_decode(bytes, len, &back), PLAIT_OK);
    assert_memory_equal(&back, &a, sizeof a);
    a.tag[0] = '\0';
    memset(a.tag, 0, sizeof a.tag);
    a.has_sha256 = false;
    a.size = PLAIT_ASK_LAN_SIZE_UNKNOWN;
    assert_int_equal(plait_ask_lan_answer_encode(&a, bytes, &len), PLAIT_OK);
    assert_int_equal(plait_ask_lan_answer_decode(bytes, len, &back), PLAIT_OK);
    assert_true(!back.has_sha256 && back.sha256[0] == 0 && back.size == UINT64_MAX && back.tag[0] == '\0');
}

/* Only the whole is an answer, and nothing but a whole datagram a question. */
static void every_other_length(void **state)
{
    struct plait_ask_lan_question q = a_question();
    struct plait_ask_lan_answer a = an_answer();
    uint8_t bytes[PLAIT_ASK_LAN_BYTES + 1] = {0};
    size_t len;

    (void)state;
    assert_int_equal(plait_ask_lan_question_encode(&q, bytes), PLAIT_OK);
    for (size_t i = 0; i <= sizeof bytes; i++)
        if (i != PLAIT_ASK_LAN_BYTES)
            assert_int_equal(plait_ask_lan_question_decode(bytes, i, &q), PLAIT_ERR_TRUNC);
    assert_int_equal(plait_ask_lan_answer_encode(&a, bytes, &len), PLAIT_OK);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(plait_ask_lan_answer_decode(bytes, i, &a), PLAIT_ERR_TRUNC);
    assert_int_equal(plait_ask_lan_answer_decode(bytes, len + 1, &a), PLAIT_ERR_FORMAT);
}

/* A question in which one byte is another. */
static int with_byte(size_t at, uint8_t value)
{
    struct plait_ask_lan_question q = a_question();
    uint8_t bytes[PLAIT_ASK_LAN_BYTES];

    assert_int_equal(plait_ask_lan_question_encode(&q, bytes), PLAIT_OK);
    bytes[at] = value;
    return plait_ask_lan_question_decode(bytes, sizeof bytes, &q);
}

static void what_is_no_question(void **state)
{
    (void)state;
    assert_int_equal(with_byte(3, 'a'), PLAIT_ERR_FORMAT);
    assert_int_equal(with_byte(4, 2), PLAIT_ERR_FORMAT);
    assert_int_equal(with_byte(5, 3), PLAIT_ERR_FORMAT);
    assert_int_equal(with_byte(7, 0), PLAIT_ERR_FORMAT);
    assert_int_equal(with_byte(6, 4), PLAIT_ERR_LIMIT); /* 1037 bytes */
    assert_int_equal(with_byte(24, 0x80), PLAIT_ERR_RANGE);
    assert_int_equal(with_byte(64, '\n'), PLAIT_ERR_FORMAT);
    assert_int_equal(with_byte(64, '\0'), PLAIT_ERR_FORMAT);
    assert_int_equal(with_byte(64, 0xff), PLAIT_ERR_FORMAT);
    assert_int_equal(with_byte(100, 7), PLAIT_OK); /* behind the name nothing is looked at */
}

static void what_cannot_be_written(void **state)
{
    struct plait_ask_lan_question q = a_question();
    struct plait_ask_lan_answer a = an_answer();
    uint8_t bytes[PLAIT_ASK_LAN_BYTES];
    size_t len;

    (void)state;
    q.name[0] = '\0';
    assert_int_equal(plait_ask_lan_question_encode(&q, bytes), PLAIT_ERR_ARG);
    memset(q.name, 'n', sizeof q.name); /* without an end */
    assert_int_equal(plait_ask_lan_question_encode(&q, bytes), PLAIT_ERR_ARG);
    q.name[PLAIT_ASK_LAN_NAME_MAX] = '\0';
    assert_int_equal(plait_ask_lan_question_encode(&q, bytes), PLAIT_OK);
    strcpy(a.url, "ftp://192.0.2.1/");
    assert_int_equal(plait_ask_lan_answer_encode(&a, bytes, &len), PLAIT_ERR_ARG);
    a = an_answer();
    strcpy(a.tag, "W/\"1\"");
    assert_int_equal(plait_ask_lan_answer_encode(&a, bytes, &len), PLAIT_ERR_ARG);
    a = an_answer();
    memset(a.url + 8, 'x', PLAIT_ASK_LAN_URL_MAX - 8);
    memset(a.tag, 'x', PLAIT_ASK_LAN_TAG_MAX);
    a.tag[0] = a.tag[PLAIT_ASK_LAN_TAG_MAX - 1] = '"';
    assert_int_equal(plait_ask_lan_answer_encode(&a, bytes, &len), PLAIT_OK);
    assert_true(len <= PLAIT_ASK_LAN_BYTES);
}

static void any_bytes(void **state)
{
    struct plait_prng rng = {.state = 7};
    uint8_t bytes[PLAIT_ASK_LAN_BYTES];
    struct plait_ask_lan_answer a;
    struct plait_ask_lan_question q;

    (void)state;
    for (unsigned i = 0; i < 5000; i++) {
        size_t len;
        struct plait_ask_lan_answer good = an_answer();
        assert_int_equal(plait_ask_lan_answer_encode(&good, bytes, &len), PLAIT_OK);
        for (unsigned k = 0; k < 3; k++)
            bytes[plait_prng_next(&rng) % len] = (uint8_t)plait_prng_next(&rng);
        if (plait_ask_lan_answer_decode(bytes, len, &a) == PLAIT_OK)
            assert_true(strlen(a.url) > 7 && strlen(a.url) <= PLAIT_ASK_LAN_URL_MAX);
        if (plait_ask_lan_question_decode(bytes, sizeof bytes, &q) == PLAIT_OK)
            assert_true(strlen(q.name) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_question_as_the_page_has_it),
        cmocka_unit_test(an_answer_as_the_page_has_it),
        cmocka_unit_test(every_other_length),
        cmocka_unit_test(what_is_no_question),
        cmocka_unit_test(what_cannot_be_written),
        cmocka_unit_test(any_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
