#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "digest.h"
#include "units.h"

#define EMPTY_MD5    "d41d8cd98f00b204e9800998ecf8427e"
#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define EMPTY_SHA384                                                                                         \
    "38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b"
#define EMPTY_SHA512                                                                                         \
    "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f"       \
    "63b931bd47417a81a538327af927da3e"

static int parse_option(const char *s, struct plait_digest *d)
{
    return plait_digest_parse_option(s, strlen(s), d);
}

static int parse_http(const char *s, struct plait_digest *d)
{
    return plait_digest_parse_http(s, strlen(s), d);
}

static void assert_digest(const struct plait_digest *d, enum plait_digest_alg alg, const char *hex)
{
    char is[2 * PLAIT_DIGEST_LEN_MAX + 1];

    assert_int_equal(d->alg, alg);
    assert_int_equal(d->len, plait_digest_alg_len(alg));
    assert_int_equal(plait_hex_encode(d->bytes, d->len, is, sizeof is), PLAIT_OK);
    assert_string_equal(is, hex);
}

static void options(void **state)
{
    static const struct {
        const char *s;
        enum plait_digest_alg alg;
        const char *hex;
    } rows[] = {
        {"sha-256=" EMPTY_SHA256, PLAIT_DIGEST_SHA256, EMPTY_SHA256},
        {"sha256=" EMPTY_SHA256, PLAIT_DIGEST_SHA256, EMPTY_SHA256},
        {"SHA-256=E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855", PLAIT_DIGEST_SHA256,
         EMPTY_SHA256},
        {" " EMPTY_SHA256 " ", PLAIT_DIGEST_SHA256, EMPTY_SHA256},
        {"sha-384=" EMPTY_SHA384, PLAIT_DIGEST_SHA384, EMPTY_SHA384},
        {"sha512=" EMPTY_SHA512, PLAIT_DIGEST_SHA512, EMPTY_SHA512},
        {"md5=" EMPTY_MD5, PLAIT_DIGEST_MD5, EMPTY_MD5},
    };

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        struct plait_digest d;
        assert_int_equal(parse_option(rows[i].s, &d), PLAIT_OK);
        assert_digest(&d, rows[i].alg, rows[i].hex);
    }
}

static void options_that_are_none(void **state)
{
    static const struct {
        const char *s;
        int err;
    } rows[] = {
        {"", PLAIT_ERR_FORMAT},
        {"=" EMPTY_SHA256, PLAIT_ERR_NOTFOUND},
        {EMPTY_MD5, PLAIT_ERR_FORMAT},
        {EMPTY_SHA512, PLAIT_ERR_FORMAT},
        {EMPTY_SHA256 "0", PLAIT_ERR_FORMAT},
        {EMPTY_SHA256 "00", PLAIT_ERR_FORMAT},
        {"sha-256=" EMPTY_MD5, PLAIT_ERR_FORMAT},
        {"sha-256=g3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", PLAIT_ERR_FORMAT},
        {"sha-256==" EMPTY_SHA256, PLAIT_ERR_FORMAT},
        {"sha-1=da39a3ee5e6b4b0d3255bfef95601890afd80709", PLAIT_ERR_NOTFOUND},
        {"crc32=00000000", PLAIT_ERR_NOTFOUND},
        {"none=", PLAIT_ERR_NOTFOUND},
    };

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        struct plait_digest d = {.alg = PLAIT_DIGEST_MD5}, before = d;
        assert_int_equal(parse_option(rows[i].s, &d), rows[i].err);
        assert_memory_equal(&d, &before, sizeof d);
    }
}

/* The first is an example of RFC 9530; its SHA-512 in the second is of the same bytes, its SHA-256 of others.
 */
static void http_fields(void **state)
{
    static const struct {
        const char *s;
        enum plait_digest_alg alg;
        const char *hex;
    } rows[] = {
        {"sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:", PLAIT_DIGEST_SHA256,
         "44aff4ab2d7c3250525675a08f0cfa9591168cffe51791c5f5bbc417c15a6c38"},
        {"sha-256=:d435Qo+nKZ+gLcUHn7GQtQ72hiBVAgqoLsZnZPiTGPk=:,\tsha-512=:YMAam51Jz/jOATT6/"
         "zvHrLVgOYTGFy1d6GJiOHT"
         "ohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/WkppmM44T3qg==:",
         PLAIT_DIGEST_SHA512,
         "60c01a9b9d49cff8ce0134faff3bc7acb5603984c6172d5de862623874e886ae323fea60938bdfd9a0acc9164eb70f0c8e4"
         "33b"
         "8b0ef267f5a4a6998ce384f7aa"},
        {"SHA-256=MWVkMWQxYTRiMzk5MDQ0MzI3NGU5NDEyZTk5OWY1ZGFmNzgyZTJlODYzYjRjYzFhOTlmNTQwYzI2M2QwM2U2MQ==",
         PLAIT_DIGEST_NONE, NULL}, /* hexadecimal within base64: 64 bytes */
        {"MD5=1B2M2Y8AsgTpgAmY7PhCfg==,SHA-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
         PLAIT_DIGEST_SHA256, EMPTY_SHA256},
        {"SHA-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=, MD5=1B2M2Y8AsgTpgAmY7PhCfg==",
         PLAIT_DIGEST_SHA256, EMPTY_SHA256},
        {"md5=1B2M2Y8AsgTpgAmY7PhCfg", PLAIT_DIGEST_MD5, EMPTY_MD5},
        {"unixsum=30637, sha=2jmj7l5rSw0yVb/vlWAYkK/YBwk=, "
         "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"
         ";note=\"a,b\"",
         PLAIT_DIGEST_SHA256, EMPTY_SHA256},
        {"x, y=\"a, sha-256=b\";p, sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
         PLAIT_DIGEST_SHA256, EMPTY_SHA256},
    };

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        struct plait_digest d;
        if (rows[i].alg == PLAIT_DIGEST_NONE) {
            assert_int_equal(parse_http(rows[i].s, &d), PLAIT_ERR_FORMAT);
            continue;
        }
        assert_int_equal(parse_http(rows[i].s, &d), PLAIT_OK);
        assert_digest(&d, rows[i].alg, rows[i].hex);
    }
}

static void http_fields_that_are_none(void **state)
{
    static const struct {
        const char *s;
        int err;
    } rows[] = {
        {"", PLAIT_ERR_NOTFOUND},
        {"sha=2jmj7l5rSw0yVb/vlWAYkK/YBwk=", PLAIT_ERR_NOTFOUND},
        {"sha-1=:2jmj7l5rSw0yVb/vlWAYkK/YBwk=:", PLAIT_ERR_NOTFOUND},
        {"sha-256", PLAIT_ERR_FORMAT},
        {"sha-256=", PLAIT_ERR_FORMAT},
        {"sha-256=::", PLAIT_ERR_FORMAT},
        {"=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:", PLAIT_ERR_FORMAT},
        {"sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", PLAIT_ERR_FORMAT},
        {"sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:x", PLAIT_ERR_FORMAT},
        /* bits beyond the last byte */
        {"sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=:", PLAIT_ERR_FORMAT},
        {"sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuF-=:", PLAIT_ERR_FORMAT},
        {"md5=1B2M2Y8AsgTpgAmY7PhCfg=", PLAIT_ERR_FORMAT},
        {"md5=1B2M2Y8AsgTpgAmY7PhCfg=A", PLAIT_ERR_FORMAT},
        /* a known one is malformed, wherever it stands */
        {"md5=AAAA, sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:", PLAIT_ERR_FORMAT},
        {"sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:, md5=AAAA", PLAIT_ERR_FORMAT},
        /* two that contradict each other */
        {"md5=1B2M2Y8AsgTpgAmY7PhCfg==, md5=AAAAAAAAAAAAAAAAAAAAAA==", PLAIT_ERR_FORMAT},
        {"md5=1B2M2Y8AsgTpgAmY7PhCfg==, \x01", PLAIT_ERR_FORMAT},
    };

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        struct plait_digest d;
        assert_int_equal(parse_http(rows[i].s, &d), rows[i].err);
    }
}

static void equality(void **state)
{
    struct plait_digest a, b, none = {0};

    (void)state;
    assert_int_equal(parse_option(EMPTY_SHA256, &a), PLAIT_OK);
    assert_int_equal(parse_option("sha256=" EMPTY_SHA256, &b), PLAIT_OK);
    assert_true(plait_digest_equal(&a, &b));
    b.bytes[31] ^= 1;
    assert_false(plait_digest_equal(&a, &b));
    assert_false(plait_digest_equal(&none, &none));
    b = a;
    b.alg = PLAIT_DIGEST_SHA384;
    assert_false(plait_digest_equal(&a, &b));
}

static void algorithms(void **state)
{
    (void)state;
    assert_string_equal(plait_digest_alg_name(PLAIT_DIGEST_SHA256), "sha-256");
    assert_string_equal(plait_digest_alg_name((enum plait_digest_alg)77), "none");
    assert_int_equal(plait_digest_alg_len((enum plait_digest_alg)77), 0);
    assert_int_equal(plait_digest_alg_find(plait_text_of("Sha512", 6)), PLAIT_DIGEST_SHA512);
    assert_int_equal(plait_digest_alg_find(plait_text_of("none", 4)), PLAIT_DIGEST_NONE);
    assert_int_equal(plait_digest_alg_find(plait_text_of("", 0)), PLAIT_DIGEST_NONE);
    assert_true(plait_digest_alg_is_weak(PLAIT_DIGEST_MD5));
    assert_true(plait_digest_alg_is_weak(PLAIT_DIGEST_SHA1));
    assert_true(plait_digest_alg_is_weak(PLAIT_DIGEST_NONE));
    assert_false(plait_digest_alg_is_weak(PLAIT_DIGEST_SHA256));
    for (int alg = PLAIT_DIGEST_NONE; alg <= PLAIT_DIGEST_SHA512; alg++)
        assert_true(plait_digest_alg_len((enum plait_digest_alg)alg) <= PLAIT_DIGEST_LEN_MAX);
}

static void hexadecimal(void **state)
{
    uint8_t bytes[2] = {7, 7};
    char text[5];

    (void)state;
    assert_int_equal(plait_hex_decode("0aF", 3, bytes, 2), PLAIT_ERR_FORMAT);
    assert_int_equal(plait_hex_decode("0aFx", 4, bytes, 2), PLAIT_ERR_FORMAT);
    assert_int_equal(plait_hex_decode("0aFf00", 6, bytes, 2), PLAIT_ERR_FORMAT);
    assert_memory_equal(bytes, ((uint8_t[]){7, 7}), 2);
    assert_int_equal(plait_hex_decode("0aFf", 4, bytes, 2), PLAIT_OK);
    assert_memory_equal(bytes, ((uint8_t[]){0x0a, 0xff}), 2);
    assert_int_equal(plait_hex_decode("", 0, bytes, 0), PLAIT_OK);
    assert_int_equal(plait_hex_encode(bytes, 2, text, 4), PLAIT_ERR_LIMIT);
    assert_int_equal(plait_hex_encode(bytes, 2, text, 0), PLAIT_ERR_LIMIT);
    assert_int_equal(plait_hex_encode(bytes, 2, text, 5), PLAIT_OK);
    assert_string_equal(text, "0aff");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options),     cmocka_unit_test(options_that_are_none),
        cmocka_unit_test(http_fields), cmocka_unit_test(http_fields_that_are_none),
        cmocka_unit_test(equality),    cmocka_unit_test(algorithms),
        cmocka_unit_test(hexadecimal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
