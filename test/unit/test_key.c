/* X25519 against RFC 7748, and keys as text and in files. */
#include "key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto_kit.h"
#include "units.h"

static void unhex_key(const char *hex, struct plait_key *out)
{
    assert_int_equal(kit_unhex(hex, out->bytes), sizeof out->bytes);
}

static void multiply(const struct plait_key *scalar, const struct plait_key *point,
                     uint8_t out[PLAIT_KEY_BYTES])
{
    struct plait_identity id;

    assert_int_equal(plait_identity_init(&id, scalar), PLAIT_OK);
    assert_int_equal(plait_key_agree(&id, point, out), PLAIT_OK);
}

/* Section 5.2: the scalars are used as they are. */
static void the_function_of_rfc_7748(void **state)
{
    static const struct {
        const char *scalar, *point, *result;
    } rows[] = {
        {"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
         "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
         "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
        {"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
         "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
         "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"},
    };
    struct plait_key scalar, point, result;
    uint8_t out[PLAIT_KEY_BYTES];

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        unhex_key(rows[i].scalar, &scalar);
        unhex_key(rows[i].point, &point);
        unhex_key(rows[i].result, &result);
        multiply(&scalar, &point, out);
        assert_memory_equal(out, result.bytes, sizeof out);
    }
}

/* Section 5.2, a thousand times in a row. */
static void iterated(void **state)
{
    struct plait_key k = {{9}}, u = {{9}}, expected;
    uint8_t out[PLAIT_KEY_BYTES];

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        multiply(&k, &u, out);
        u = k;
        memcpy(k.bytes, out, sizeof out);
        if (i == 0) {
            unhex_key("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079", &expected);
            assert_memory_equal(out, expected.bytes, sizeof out);
        }
    }
    unhex_key("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51", &expected);
    assert_memory_equal(out, expected.bytes, sizeof out);
}

#define ALICE "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"
#define BOB   "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"

/* Section 6.1. */
static void two_share_a_secret(void **state)
{
    struct plait_identity alice, bob;
    struct plait_key secret, expected;
    uint8_t a[PLAIT_KEY_BYTES], b[PLAIT_KEY_BYTES];

    (void)state;
    unhex_key(ALICE, &secret);
    assert_int_equal(plait_identity_init(&alice, &secret), PLAIT_OK);
    unhex_key("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a", &expected);
    assert_true(plait_key_is_equal(&alice.public, &expected));
    unhex_key(BOB, &secret);
    assert_int_equal(plait_identity_init(&bob, &secret), PLAIT_OK);
    unhex_key("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f", &expected);
    assert_true(plait_key_is_equal(&bob.public, &expected));
    unhex_key("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742", &expected);
    assert_int_equal(plait_key_agree(&alice, &bob.public, a), PLAIT_OK);
    assert_int_equal(plait_key_agree(&bob, &alice.public, b), PLAIT_OK);
    assert_memory_equal(a, expected.bytes, sizeof a);
    assert_memory_equal(b, expected.bytes, sizeof b);
}

static void no_secret_with_points_of_small_order(void **state)
{
    static const char *const points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    struct plait_prng g = {1};
    struct plait_identity id;
    struct plait_key point;
    uint8_t out[PLAIT_KEY_BYTES];

    (void)state;
    assert_int_equal(kit_identity(&g, &id), PLAIT_OK);
    for (size_t i = 0; i < PLAIT_COUNT(points); i++) {
        unhex_key(points[i], &point);
        assert_int_equal(plait_key_agree(&id, &point, out), PLAIT_ERR_CORRUPT);
    }
}

/* The private key above, as base64(1) writes it. */
static void text(void **state)
{
    static const char secret[] = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
    struct plait_key key, again, random;
    struct plait_prng g = {2};
    char out[PLAIT_KEY_TEXT + 1];

    (void)state;
    assert_int_equal(plait_key_parse(secret, strlen(secret), &key), PLAIT_OK);
    assert_int_equal(key.bytes[0], 0x77);
    assert_int_equal(key.bytes[31], 0x2a);
    plait_key_format(&key, out);
    assert_string_equal(out, secret);
    for (unsigned i = 0; i < 1000; i++) {
        kit_fill(&g, random.bytes, sizeof random.bytes);
        plait_key_format(&random, out);
        assert_int_equal(plait_key_parse(out, strlen(out), &again), PLAIT_OK);
        assert_true(plait_key_is_equal(&random, &again));
    }
}

static void what_is_no_key(void **state)
{
    static const char *const bad[] = {
        "",
        "=",
        "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo",   /* no padding */
        "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCp=",  /* bits in the padding */
        "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LC==",  /* 31 bytes */
        "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCoA",  /* 33 bytes */
        "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo= ", /* something behind it */
        "dwdtCnMYpX08FsFyUbJmRd9ML4fr_JkqsXf7pR25LCo=",  /* the other alphabet */
        "dwdtCnMYpX08FsFyUbJmRd9ML4fr-JkqsXf7pR25LCo=",
        "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7\xffR25LCo=",
        "====dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR2=",
    };
    struct plait_key key = {{77}};

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(bad); i++)
        assert_int_equal(plait_key_parse(bad[i], strlen(bad[i]), &key), PLAIT_ERR_FORMAT);
    assert_int_equal(key.bytes[0], 77);
}

#define TEXT "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo="

static void files(void **state)
{
    static const struct {
        const char *text;
        int err;
        unsigned line;
    } rows[] = {
        {TEXT, PLAIT_OK, 1},
        {TEXT "\n", PLAIT_OK, 1},
        {TEXT "\r\n\r\n", PLAIT_OK, 2},
        {"# farm\n\n \t" TEXT " \n# end", PLAIT_OK, 4},
        {"", PLAIT_ERR_NOTFOUND, 0},
        {"\n#" TEXT "\n", PLAIT_ERR_NOTFOUND, 2},
        {TEXT "\n" TEXT "\n", PLAIT_ERR_FORMAT, 2},
        {"\nkey = " TEXT "\n", PLAIT_ERR_FORMAT, 2},
        {"-----BEGIN PRIVATE KEY-----\n", PLAIT_ERR_FORMAT, 1},
    };
    struct plait_key key;
    unsigned line;

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        memset(&key, 0, sizeof key);
        assert_int_equal(plait_key_parse_file(rows[i].text, strlen(rows[i].text), &key, &line), rows[i].err);
        assert_int_equal(line, rows[i].line);
        assert_int_equal(key.bytes[0], rows[i].err == PLAIT_OK ? 0x77 : 0);
    }
    assert_int_equal(plait_key_parse_file(TEXT, sizeof TEXT, &key, &line), PLAIT_ERR_FORMAT); /* its NUL */
    assert_int_equal(plait_key_parse_file(NULL, 0, &key, &line), PLAIT_ERR_NOTFOUND);
}

static void clamping(void **state)
{
    struct plait_key key;

    (void)state;
    memset(key.bytes, 0xff, sizeof key.bytes);
    plait_key_clamp(&key);
    assert_int_equal(key.bytes[0], 0xf8);
    assert_int_equal(key.bytes[31], 0x7f);
    memset(key.bytes, 0, sizeof key.bytes);
    plait_key_clamp(&key);
    assert_int_equal(key.bytes[31], 0x40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_function_of_rfc_7748),
        cmocka_unit_test(iterated),
        cmocka_unit_test(two_share_a_secret),
        cmocka_unit_test(no_secret_with_points_of_small_order),
        cmocka_unit_test(text),
        cmocka_unit_test(what_is_no_key),
        cmocka_unit_test(files),
        cmocka_unit_test(clamping),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
