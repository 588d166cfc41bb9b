/* The token of a new node: there and back, and every way of getting it wrong. */
#include "token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct plait_token sample(size_t hub_len, size_t name_len)
{
    struct plait_token t = {0};

    memset(t.hub, 'h', hub_len);
    memset(t.name, 'n', name_len);
    for (size_t i = 0; i < PLAIT_TOKEN_KEY_BYTES; i++) {
        t.hub_key[i] = (uint8_t)(i * 7);
        t.key[i] = (uint8_t)(255 - i);
    }
    return t;
}

static void there_and_back(void **unused)
{
    struct plait_token in, out;
    char text[PLAIT_TOKEN_TEXT_MAX];

    (void)unused;
    for (size_t hub = 1; hub <= PLAIT_TOKEN_HUB_MAX; hub += hub < 8 ? 1 : 31) {
        in = sample(hub, hub % PLAIT_HELLO_NAME_MAX + 1);
        assert_int_equal(plait_token_encode(&in, text), PLAIT_OK);
        assert_true(strlen(text) < PLAIT_TOKEN_TEXT_MAX && strcspn(text, " \t\n\"'") == strlen(text));
        assert_int_equal(plait_token_decode(text, strlen(text), &out), PLAIT_OK);
        assert_string_equal(in.hub, out.hub);
        assert_string_equal(in.name, out.name);
        assert_memory_equal(in.key, out.key, sizeof in.key);
        assert_memory_equal(in.hub_key, out.hub_key, sizeof in.hub_key);
    }
}

static void a_changed_letter_is_noticed(void **unused)
{
    struct plait_token in = sample(22, 4), out;
    char text[PLAIT_TOKEN_TEXT_MAX], wrong[PLAIT_TOKEN_TEXT_MAX];

    (void)unused;
    assert_int_equal(plait_token_encode(&in, text), PLAIT_OK);
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        memcpy(wrong, text, len + 1);
        wrong[i] = wrong[i] == 'A' ? 'B' : 'A';
        assert_int_not_equal(plait_token_decode(wrong, len, &out), PLAIT_OK);
        assert_int_not_equal(plait_token_decode(text, i, &out), PLAIT_OK);
        wrong[i] = '!';
        assert_int_equal(plait_token_decode(wrong, len, &out), PLAIT_ERR_FORMAT);
    }
}

static void names_that_are_none(void **unused)
{
    struct plait_token t = sample(5, 4);
    char text[PLAIT_TOKEN_TEXT_MAX];

    (void)unused;
    t.name[1] = '"';
    assert_int_equal(plait_token_encode(&t, text), PLAIT_ERR_ARG);
    t = sample(5, 4);
    t.hub[2] = '\n';
    assert_int_equal(plait_token_encode(&t, text), PLAIT_ERR_ARG);
    t = sample(0, 4);
    assert_int_equal(plait_token_encode(&t, text), PLAIT_ERR_ARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(a_changed_letter_is_noticed),
        cmocka_unit_test(names_that_are_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
