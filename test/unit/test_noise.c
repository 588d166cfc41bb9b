/*
 * The handshake against published vectors, those of the cacophony project for Noise_IK_25519_ChaChaPoly_BLAKE2s and
 * Noise_IK_25519_AESGCM_BLAKE2s, from both ends; and what must fail.
 */
#include "noise.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto_kit.h"
#include "units.h"

#define MESSAGE_MAX 256

static struct plait_crypto *crypto;

static int begin(void **state)
{
    (void)state;
    crypto = plait_crypto_new();
    return crypto == NULL;
}

static int end(void **state)
{
    (void)state;
    plait_crypto_free(crypto);
    return 0;
}

#define PROLOGUE            "4a6f686e2047616c74"
#define INITIATOR_STATIC    "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1"
#define INITIATOR_EPHEMERAL "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a"
#define RESPONDER_PUBLIC    "31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62"
#define RESPONDER_STATIC    "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893"
#define RESPONDER_EPHEMERAL "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b"

static const char *const payloads[6] = {"4c756477696720766f6e204d69736573",
                                        "4d757272617920526f746862617264",
                                        "462e20412e20486179656b",
                                        "4361726c204d656e676572",
                                        "4a65616e2d426170746973746520536179",
                                        "457567656e2042f6686d20766f6e2042617765726b"};

static const struct vector {
    enum plait_aead_kind aead;
    const char *hash, *messages[6];
} vectors[] = {
    {PLAIT_AEAD_AES_256_GCM,
     "af51ccef548b5277ae7120c78750de6ad146ead3565b67ae43551ca4dfa962a3",
     {"ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944fc16af5edc066c93c77be147f8e6785cd6bd7b"
      "27e0"
      "f660d02a6a566ceb61b22af4d0dcc8560bce79b2a1fb55f68bc34017319936516ae9ce0862fe172c77a883f241700cb26d145d"
      "c8f8"
      "c9fe80a29008",
      "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f14480884319679a2f2fae0ee3700b9d1f532eb77fcf4855"
      "67e8"
      "10eaf95b2f9eeca858fe",
      "daf849a4f4bd8b0276f120b017b9dfdbc9ed667ee98316e95de1cc",
      "cdf2321b9584498d0ce313cb0c995c3ee2d679c1f3c22576ff1e90",
      "abc41aa7b17f5d7c5b8454c203668718a15020b72729f1243490ab54150338293a",
      "59bafe529215e376187e06fcfb6772d6ca7f0946877e77aafb4a90a5fc6c4cf82344d5c949"}},
    {PLAIT_AEAD_CHACHA20_POLY1305,
     "48f3cb8bc9319da4ba1e9933991b1c4ed4034f1f126a76d3a1fbcfd7f94248d4",
     {"ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79440b03ddc7aac5123d06a1b23b71670e32e76c28"
      "239a"
      "7ca4ac8f784de7e44c1adbfc6e83fef7352a58d9d56157400c0a737b1d171ce368229c7b752ac25b8faf4eca690f6d896f543b"
      "e02c"
      "996ab2b86b76",
      "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843d9b5a8927f0ac9655ef76833bc7e5561f42e69"
      "1ac8"
      "404efd6fbd6308b6a27c",
      "2c256ed08fcd08c2980f954ee4beaccb61c9581340f5dd2fd1cf3b",
      "d6033f70eee20945c7c9dba304e397ee3b284ff5e00fd9efb095d3",
      "a9c068ca5d8babf72560652d8e851adbfac35c8a66e810d560863173e96adf4cfe",
      "2a09d8f459e5927e40fdd2eddc99bdafb04e13a26f145cb5cfe9e6ba34c94331ebc17d5156"}},
};

static void unhex_identity(const char *hex, struct plait_identity *id)
{
    struct plait_key secret;

    kit_unhex(hex, secret.bytes);
    assert_int_equal(plait_identity_init(id, &secret), PLAIT_OK);
}

struct pair {
    struct plait_noise initiator, responder;
    struct plait_identity initiator_id, responder_id;
    uint8_t first[MESSAGE_MAX], second[MESSAGE_MAX];
    size_t first_len, second_len;
};

static void pair_init(struct pair *p, enum plait_aead_kind aead)
{
    uint8_t prologue[64];
    size_t len = kit_unhex(PROLOGUE, prologue);

    unhex_identity(INITIATOR_STATIC, &p->initiator_id);
    unhex_identity(RESPONDER_STATIC, &p->responder_id);
    assert_int_equal(plait_noise_init(&p->initiator, crypto, aead, prologue, len, &p->initiator_id,
                                      &p->responder_id.public),
                     PLAIT_OK);
    assert_int_equal(plait_noise_init(&p->responder, crypto, aead, prologue, len, &p->responder_id, NULL),
                     PLAIT_OK);
}

static void write_first(struct pair *p, const uint8_t *shared)
{
    uint8_t ephemeral[PLAIT_KEY_BYTES], payload[MESSAGE_MAX];
    size_t len = kit_unhex(payloads[0], payload);

    kit_unhex(INITIATOR_EPHEMERAL, ephemeral);
    assert_int_equal(
        plait_noise_write_first(&p->initiator, crypto, ephemeral, shared, payload, len, p->first), PLAIT_OK);
    p->first_len = PLAIT_NOISE_FIRST_BYTES + len;
}

static void read_first(struct pair *p, const uint8_t *shared)
{
    uint8_t payload[MESSAGE_MAX], expected[MESSAGE_MAX];

    assert_int_equal(plait_noise_read_first_key(&p->responder, crypto, p->first, p->first_len), PLAIT_OK);
    assert_true(plait_key_is_equal(&p->responder.peer, &p->initiator_id.public));
    assert_int_equal(
        plait_noise_read_first_payload(&p->responder, crypto, shared, p->first, p->first_len, payload),
        PLAIT_OK);
    assert_memory_equal(payload, expected, kit_unhex(payloads[0], expected));
}

static void write_second(struct pair *p)
{
    uint8_t ephemeral[PLAIT_KEY_BYTES], payload[MESSAGE_MAX];
    size_t len = kit_unhex(payloads[1], payload);

    kit_unhex(RESPONDER_EPHEMERAL, ephemeral);
    assert_int_equal(plait_noise_write_second(&p->responder, crypto, ephemeral, payload, len, p->second),
                     PLAIT_OK);
    p->second_len = PLAIT_NOISE_SECOND_BYTES + len;
}

static void read_second(struct pair *p)
{
    uint8_t payload[MESSAGE_MAX], expected[MESSAGE_MAX];

    assert_int_equal(plait_noise_read_second(&p->initiator, crypto, p->second, p->second_len, payload),
                     PLAIT_OK);
    assert_memory_equal(payload, expected, kit_unhex(payloads[1], expected));
}

static void check_message(const uint8_t *got, size_t len, const char *expected)
{
    uint8_t right[MESSAGE_MAX];

    assert_int_equal(kit_unhex(expected, right), len);
    assert_memory_equal(got, right, len);
}

/* Messages after the handshake: the first of each direction has nonce 0, the next 1. */
static void check_transport(const struct vector *v, uint8_t keys[2][PLAIT_HASH_BYTES])
{
    uint8_t nonce[PLAIT_AEAD_NONCE_BYTES] = {0}, text[MESSAGE_MAX];

    for (unsigned i = 2; i < 6; i++) {
        size_t len = kit_unhex(payloads[i], text);
        nonce[v->aead == PLAIT_AEAD_CHACHA20_POLY1305 ? 4 : 11] = i >= 4;
        assert_int_equal(plait_aead_seal_once(crypto, v->aead, keys[i % 2], nonce, NULL, 0, text, len),
                         PLAIT_OK);
        check_message(text, len + PLAIT_AEAD_TAG_BYTES, v->messages[i]);
    }
}

static void published(void **state)
{
    struct pair p;
    uint8_t keys[2][PLAIT_HASH_BYTES], other[2][PLAIT_HASH_BYTES];

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(vectors); i++) {
        pair_init(&p, vectors[i].aead);
        check_message(p.responder_id.public.bytes, 32, RESPONDER_PUBLIC);
        write_first(&p, NULL);
        check_message(p.first, p.first_len, vectors[i].messages[0]);
        read_first(&p, NULL);
        write_second(&p);
        check_message(p.second, p.second_len, vectors[i].messages[1]);
        read_second(&p);
        check_message(p.initiator.h, sizeof p.initiator.h, vectors[i].hash);
        check_message(p.responder.h, sizeof p.responder.h, vectors[i].hash);
        assert_int_equal(plait_noise_split(&p.initiator, crypto, keys[0], keys[1]), PLAIT_OK);
        assert_int_equal(plait_noise_split(&p.responder, crypto, other[0], other[1]), PLAIT_OK);
        assert_memory_equal(keys, other, sizeof keys);
        check_transport(&vectors[i], keys);
    }
}

static void a_kept_secret_changes_nothing(void **state)
{
    struct pair p;
    uint8_t shared[PLAIT_KEY_BYTES];

    (void)state;
    pair_init(&p, PLAIT_AEAD_CHACHA20_POLY1305);
    assert_int_equal(plait_key_agree(&p.initiator_id, &p.responder_id.public, shared), PLAIT_OK);
    write_first(&p, shared);
    check_message(p.first, p.first_len, vectors[1].messages[0]);
    read_first(&p, shared);
    write_second(&p);
    check_message(p.second, p.second_len, vectors[1].messages[1]);
}

static int try_first(struct pair *p)
{
    uint8_t payload[MESSAGE_MAX];
    struct plait_noise n = p->responder;
    int err = plait_noise_read_first_key(&n, crypto, p->first, p->first_len);

    return err != PLAIT_OK
               ? err
               : plait_noise_read_first_payload(&n, crypto, NULL, p->first, p->first_len, payload);
}

/* And every shorter length. */
static void every_bit_counts(void **state)
{
    struct pair p;

    (void)state;
    pair_init(&p, PLAIT_AEAD_CHACHA20_POLY1305);
    write_first(&p, NULL);
    for (size_t bit = 0; bit < 8 * p.first_len; bit++) {
        p.first[bit / 8] ^= (uint8_t)(1u << bit % 8);
        /* The highest bit of a public key is ignored by X25519, but not by the hash. */
        assert_int_equal(try_first(&p), PLAIT_ERR_CORRUPT);
        p.first[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    while (p.first_len-- > 0)
        assert_int_equal(try_first(&p),
                         p.first_len < PLAIT_NOISE_FIRST_BYTES ? PLAIT_ERR_TRUNC : PLAIT_ERR_CORRUPT);
}

/* The right one is taken after all the wrong ones. */
static void second_message_tampered_with(void **state)
{
    struct pair p;
    uint8_t payload[MESSAGE_MAX];

    (void)state;
    pair_init(&p, PLAIT_AEAD_CHACHA20_POLY1305);
    write_first(&p, NULL);
    read_first(&p, NULL);
    write_second(&p);
    for (size_t bit = 0; bit < 8 * p.second_len; bit++) {
        p.second[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(plait_noise_read_second(&p.initiator, crypto, p.second, p.second_len, payload),
                         PLAIT_ERR_CORRUPT);
        p.second[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t len = 0; len < p.second_len; len++)
        assert_int_equal(plait_noise_read_second(&p.initiator, crypto, p.second, len, payload),
                         len < PLAIT_NOISE_SECOND_BYTES ? PLAIT_ERR_TRUNC : PLAIT_ERR_CORRUPT);
    read_second(&p);
}

static void the_wrong_responder(void **state)
{
    struct plait_prng g = {3};
    struct plait_identity other;
    struct pair p;

    (void)state;
    pair_init(&p, PLAIT_AEAD_CHACHA20_POLY1305);
    write_first(&p, NULL);
    assert_int_equal(kit_identity(&g, &other), PLAIT_OK);
    assert_int_equal(
        plait_noise_init(&p.responder, crypto, PLAIT_AEAD_CHACHA20_POLY1305, "", 0, &other, NULL), PLAIT_OK);
    assert_int_equal(try_first(&p), PLAIT_ERR_CORRUPT);
    assert_int_equal(plait_noise_init(&p.responder, crypto, PLAIT_AEAD_AES_128_GCM, "", 0, &other, NULL),
                     PLAIT_ERR_ARG);
}

/* Who does not have the static key he claims fails at the payload, and no earlier. */
static void a_claim_without_the_key(void **state)
{
    struct pair p;
    uint8_t payload[MESSAGE_MAX];

    (void)state;
    pair_init(&p, PLAIT_AEAD_CHACHA20_POLY1305);
    p.initiator.self.secret.bytes[5] ^= 1; /* and its public half as it was */
    write_first(&p, NULL);
    assert_int_equal(plait_noise_read_first_key(&p.responder, crypto, p.first, p.first_len), PLAIT_OK);
    assert_true(plait_key_is_equal(&p.responder.peer, &p.initiator_id.public));
    assert_int_equal(
        plait_noise_read_first_payload(&p.responder, crypto, NULL, p.first, p.first_len, payload),
        PLAIT_ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published),           cmocka_unit_test(a_kept_secret_changes_nothing),
        cmocka_unit_test(every_bit_counts),    cmocka_unit_test(second_message_tampered_with),
        cmocka_unit_test(the_wrong_responder), cmocka_unit_test(a_claim_without_the_key),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
