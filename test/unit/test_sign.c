#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "sign.h"
#include "units.h"

static const struct plait_secret secret = {.key = "farm", .bytes = "0123456789abcdef", .len = 16};

/* The example of doc/director.md, computed with the openssl command. */
static void the_example_holds(void **state)
{
    static const char field[] =
        "Plait-HMAC key=farm, time=1766210000000, nonce=00112233445566778899aabbccddeeff, "
        "body=44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a, "
        "mac=bc0f728b417ee8335f43c89dc0ec7db433a7d993b652b3ffcdf9004497724d8e";
    struct plait_signature s;

    (void)state;
    assert_int_equal(plait_sign_parse(field, &s), PLAIT_OK);
    assert_true(plait_sign_verify(&secret, &s, "POST", "/.plait/servers/farm"));
    assert_false(plait_sign_verify(&secret, &s, "PUT", "/.plait/servers/farm"));
    assert_false(plait_sign_verify(&secret, &s, "POST", "/.plait/servers/farn"));
}

static void what_is_made_is_understood(void **state)
{
    char field[PLAIT_SIGN_FIELD_MAX], other[PLAIT_SIGN_FIELD_MAX], hash[PLAIT_SIGN_HEX + 1];
    struct plait_secret wrong = secret;
    struct plait_signature s;

    (void)state;
    assert_int_equal(plait_sign_make(&secret, 1234, "PUT", "/a?b", "body", 4, field), PLAIT_OK);
    assert_int_equal(plait_sign_make(&secret, 1234, "PUT", "/a?b", "body", 4, other), PLAIT_OK);
    assert_string_not_equal(field, other); /* the nonce */
    assert_int_equal(plait_sign_parse(field, &s), PLAIT_OK);
    assert_string_equal(s.key, "farm");
    assert_int_equal(s.time_ms, 1234);
    assert_int_equal(plait_sign_hash("body", 4, hash), PLAIT_OK);
    assert_string_equal(s.body, hash);
    assert_true(plait_sign_verify(&secret, &s, "PUT", "/a?b"));
    wrong.bytes[3] ^= 1;
    assert_false(plait_sign_verify(&wrong, &s, "PUT", "/a?b"));
    s.time_ms++;
    assert_false(plait_sign_verify(&secret, &s, "PUT", "/a?b"));
}

static void every_digit_counts(void **state)
{
    char field[PLAIT_SIGN_FIELD_MAX], spoilt[PLAIT_SIGN_FIELD_MAX];
    struct plait_signature s;

    (void)state;
    assert_int_equal(plait_sign_make(&secret, 1766210000000, "PUT", "/", "", 0, field), PLAIT_OK);
    for (size_t i = strlen("Plait-HMAC "); field[i] != '\0'; i++) {
        memcpy(spoilt, field, sizeof field);
        spoilt[i] = field[i] == '1' ? '2' : '1';
        if (plait_sign_parse(spoilt, &s) == PLAIT_OK && plait_sign_verify(&secret, &s, "PUT", "/"))
            fail_msg("%s", spoilt);
    }
}

static void other_fields(void **state)
{
    char field[PLAIT_SIGN_FIELD_MAX], longer[PLAIT_SIGN_FIELD_MAX + 8], target[PLAIT_SIGN_TARGET_MAX + 600];
    struct plait_signature s;

    (void)state;
    assert_int_equal(plait_sign_parse("Basic eDp5", &s), PLAIT_ERR_NOTFOUND);
    assert_int_equal(plait_sign_parse("", &s), PLAIT_ERR_NOTFOUND);
    assert_int_equal(plait_sign_parse("Plait-HMACx key=a", &s), PLAIT_ERR_NOTFOUND);
    assert_int_equal(plait_sign_parse("Plait-HMAC ", &s), PLAIT_ERR_FORMAT);
    assert_int_equal(plait_sign_make(&secret, 1, "PUT", "/", "", 0, field), PLAIT_OK);
    snprintf(longer, sizeof longer, "%sa", field);
    assert_int_equal(plait_sign_parse(longer, &s), PLAIT_ERR_FORMAT);
    for (size_t len = strlen("Plait-HMAC "); len < strlen(field); len++) {
        memcpy(longer, field, len);
        longer[len] = '\0';
        assert_int_equal(plait_sign_parse(longer, &s), PLAIT_ERR_FORMAT);
    }
    memset(target, 'x', sizeof target - 1);
    target[sizeof target - 1] = '\0';
    assert_int_equal(plait_sign_make(&secret, 1, "PUT", target, "", 0, field), PLAIT_ERR_LIMIT);
}

static int load(const char *text, struct plait_secrets *out, unsigned *line)
{
    char path[] = "/tmp/plait-test-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    int err = plait_secrets_load(path, out, line);
    unlink(path);
    return err;
}

static void files_of_secrets(void **state)
{
    static const struct {
        const char *text;
        unsigned line;
    } bad[] = {{"", 0},
               {"# only words\n", 0},
               {"short\n", 1},
               {"\n:0123456789abcdef\n", 2},
               {"a b:0123456789abcdef", 1},
               {"a:0123456789abcdef\na:0123456789abcdeg\n", 2},
               {"0123456789abcdef\n0123456789abcdeg\n", 2}};
    struct plait_secrets s;
    unsigned line;

    (void)state;
    assert_int_equal(load("# ours\nfarm:0123456789abcdef\r\n\nb:colons:are:letters:here", &s, &line),
                     PLAIT_OK);
    assert_int_equal(s.count, 2);
    assert_memory_equal(plait_secrets_find(&s, "farm")->bytes, "0123456789abcdef", 17);
    assert_int_equal(plait_secrets_find(&s, "b")->len, strlen("colons:are:letters:here"));
    assert_null(plait_secrets_find(&s, "default"));
    plait_secrets_done(&s);
    assert_int_equal(load("0123456789abcdef", &s, &line), PLAIT_OK);
    assert_int_equal(plait_secrets_find(&s, "default")->len, 16);
    plait_secrets_done(&s);
    for (size_t i = 0; i < PLAIT_COUNT(bad); i++) {
        assert_int_equal(load(bad[i].text, &s, &line), PLAIT_ERR_FORMAT);
        assert_int_equal(line, bad[i].line);
    }
    assert_int_equal(plait_secrets_load("/nonexistent/secrets", &s, &line), PLAIT_ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_holds),  cmocka_unit_test(what_is_made_is_understood),
        cmocka_unit_test(every_digit_counts), cmocka_unit_test(other_fields),
        cmocka_unit_test(files_of_secrets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
