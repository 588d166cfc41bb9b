/* Cookies: who gets one, for how long it is good, and for what. */
#include "cookie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto_kit.h"
#include "units.h"

static struct plait_crypto *crypto;
static struct plait_prng prng = {1};
static struct plait_random random_source;
static struct plait_cookie_keys keys;
static struct plait_identity id;
static const uint8_t message[80] = "an initiation";

static int begin(void **state)
{
    (void)state;
    random_source = kit_random(&prng);
    crypto = plait_crypto_new();
    return crypto == NULL || kit_identity(&prng, &id) != 0 ||
           plait_cookie_keys_init(&keys, crypto, &id.public) != PLAIT_OK;
}

static int end(void **state)
{
    (void)state;
    plait_cookie_keys_done(&keys);
    plait_crypto_free(crypto);
    return 0;
}

static void mac1_knows_the_addressee(void **state)
{
    struct plait_cookie_keys others;
    struct plait_identity other;
    uint8_t mac[PLAIT_MAC_BYTES], changed[sizeof message];

    (void)state;
    assert_int_equal(kit_identity(&prng, &other), 0);
    assert_int_equal(plait_cookie_keys_init(&others, crypto, &other.public), PLAIT_OK);
    assert_int_equal(plait_cookie_mac1(&keys, message, sizeof message, mac), PLAIT_OK);
    assert_true(plait_cookie_mac1_is_right(&keys, message, sizeof message, mac));
    assert_false(plait_cookie_mac1_is_right(&others, message, sizeof message, mac));
    assert_false(plait_cookie_mac1_is_right(&keys, message, sizeof message - 1, mac));
    for (size_t bit = 0; bit < 8 * sizeof message; bit++) {
        memcpy(changed, message, sizeof message);
        changed[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(plait_cookie_mac1_is_right(&keys, changed, sizeof changed, mac));
    }
    plait_cookie_keys_done(&others);
}

static void sealed_to_one_message(void **state)
{
    uint8_t nonce[PLAIT_COOKIE_NONCE_BYTES] = {5}, mac1[PLAIT_MAC_BYTES] = {6},
            sealed[PLAIT_COOKIE_SEALED_BYTES];
    const uint8_t cookie[PLAIT_COOKIE_BYTES] = "sixteen letters";
    uint8_t out[PLAIT_COOKIE_BYTES] = {0};

    (void)state;
    assert_int_equal(plait_cookie_seal(&keys, crypto, nonce, mac1, cookie, sealed), PLAIT_OK);
    mac1[0] ^= 1;
    assert_int_equal(plait_cookie_open(&keys, crypto, nonce, mac1, sealed, out), PLAIT_ERR_CORRUPT);
    mac1[0] ^= 1;
    sealed[3] ^= 1;
    assert_int_equal(plait_cookie_open(&keys, crypto, nonce, mac1, sealed, out), PLAIT_ERR_CORRUPT);
    sealed[3] ^= 1;
    assert_int_equal(out[0], 0);
    assert_int_equal(plait_cookie_open(&keys, crypto, nonce, mac1, sealed, out), PLAIT_OK);
    assert_memory_equal(out, cookie, sizeof out);
}

static bool is_right(struct plait_cookie_jar *jar, const struct plait_origin *from, const uint8_t *cookie)
{
    uint8_t mac2[PLAIT_MAC_BYTES];

    assert_int_equal(plait_cookie_mac2(crypto, cookie, message, sizeof message, mac2), PLAIT_OK);
    return plait_cookie_mac2_is_right(jar, crypto, from, message, sizeof message, mac2);
}

static void turn(struct plait_cookie_jar *jar, uint64_t now)
{
    assert_int_equal(plait_cookie_jar_turn(jar, crypto, &random_source, now), PLAIT_OK);
}

static void good_for_two_to_four_minutes(void **state)
{
    const struct plait_origin from = {{[10] = 0xff, [11] = 0xff, 192, 0, 2, 7}, 4040};
    uint8_t early[PLAIT_COOKIE_BYTES], late[PLAIT_COOKIE_BYTES];
    struct plait_cookie_jar jar;

    (void)state;
    assert_int_equal(plait_cookie_jar_init(&jar, crypto, &random_source, 0), PLAIT_OK);
    assert_int_equal(plait_cookie_bake(&jar, &from, early), PLAIT_OK);
    assert_true(is_right(&jar, &from, early));
    turn(&jar, PLAIT_COOKIE_LIFE - 1);
    assert_true(is_right(&jar, &from, early));
    turn(&jar, PLAIT_COOKIE_LIFE);
    assert_true(is_right(&jar, &from, early)); /* made with the secret before */
    assert_int_equal(plait_cookie_bake(&jar, &from, late), PLAIT_OK);
    assert_memory_not_equal(early, late, sizeof late);
    turn(&jar, 2 * PLAIT_COOKIE_LIFE);
    assert_false(is_right(&jar, &from, early));
    assert_true(is_right(&jar, &from, late));
    turn(&jar, 10 * PLAIT_COOKIE_LIFE); /* nobody asked for long: both are old */
    assert_false(is_right(&jar, &from, late));
    plait_cookie_jar_done(&jar);
}

static void good_for_one_address_and_port(void **state)
{
    const struct plait_origin from = {{[10] = 0xff, [11] = 0xff, 192, 0, 2, 7}, 4040};
    struct plait_origin other;
    uint8_t cookie[PLAIT_COOKIE_BYTES], none[PLAIT_MAC_BYTES] = {0};
    struct plait_cookie_jar jar;

    (void)state;
    assert_int_equal(plait_cookie_jar_init(&jar, crypto, &random_source, 0), PLAIT_OK);
    assert_int_equal(plait_cookie_bake(&jar, &from, cookie), PLAIT_OK);
    for (size_t i = 0; i < sizeof from.address; i++) {
        other = from;
        other.address[i] ^= 1;
        assert_false(is_right(&jar, &other, cookie));
    }
    other = from;
    other.port++;
    assert_false(is_right(&jar, &other, cookie));
    assert_true(is_right(&jar, &from, cookie));
    assert_false(plait_cookie_mac2_is_right(&jar, crypto, &from, message, sizeof message, none));
    plait_cookie_jar_done(&jar);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mac1_knows_the_addressee),
        cmocka_unit_test(sealed_to_one_message),
        cmocka_unit_test(good_for_two_to_four_minutes),
        cmocka_unit_test(good_for_one_address_and_port),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
