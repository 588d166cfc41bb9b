/* BLAKE2s, the ciphers and XChaCha20 against published vectors; sealing in place; what two machines agree on. */
#include "aead.h"

#include <openssl/crypto.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blake2s.h"
#include "cookie.h"
#include "crypto_kit.h"
#include "units.h"

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

#define LADIES                                                                                               \
    "4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66202739393a20496620"             \
    "4920636f756c64206f6666657220796f75206f6e6c79206f6e652074697020666f7220746865206675747572652c20"         \
    "73756e73637265656e20776f756c642062652069742e"
#define GCM_TEXT                                                                                             \
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525"       \
    "b16aedf5aa0de657ba637b39"

struct vector {
    enum plait_aead_kind kind;
    const char *key, *nonce, *data, *text, *sealed;
};

/* RFC 8439, 2.8.2; and test cases 16 and 4 of McGrew and Viega's "The Galois/Counter Mode of Operation". */
static const struct vector vectors[] = {
    {PLAIT_AEAD_CHACHA20_POLY1305, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
     "070000004041424344454647", "50515253c0c1c2c3c4c5c6c7", LADIES,
     "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b"
     "1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
     "3ff4def08e4b7a9de576d26586cec64b6116"
     "1ae10b594f09e26a7e902ecbd0600691"},
    {PLAIT_AEAD_AES_256_GCM, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
     "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2", GCM_TEXT,
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838"
     "c5f61e6393ba7a0abcc9f662"
     "76fc6ece0f4e1768cddf8853bb2d551b"},
    {PLAIT_AEAD_AES_128_GCM, "feffe9928665731c6d6a8f946730830800000000000000000000000000000000",
     "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2", GCM_TEXT,
     "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa05"
     "1ba30b396a0aac973d58e091"
     "5bc94fbc3221a5db94fae95ae7121a47"},
};

struct bytes {
    uint8_t key[64], nonce[64], data[64], text[512], sealed[512];
    size_t data_len, text_len, sealed_len;
};

static void unhex(const struct vector *v, struct bytes *b)
{
    kit_unhex(v->key, b->key);
    kit_unhex(v->nonce, b->nonce);
    b->data_len = kit_unhex(v->data, b->data);
    b->text_len = kit_unhex(v->text, b->text);
    b->sealed_len = kit_unhex(v->sealed, b->sealed);
    assert_int_equal(b->sealed_len, b->text_len + PLAIT_AEAD_TAG_BYTES);
}

static void published(void **state)
{
    struct plait_aead sealer, opener;
    struct bytes b;
    uint8_t buffer[512];

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(vectors); i++) {
        unhex(&vectors[i], &b);
        assert_int_equal(plait_aead_init(&sealer, crypto, vectors[i].kind, b.key, true), PLAIT_OK);
        assert_int_equal(plait_aead_init(&opener, crypto, vectors[i].kind, b.key, false), PLAIT_OK);
        for (unsigned again = 0; again < 3; again++) {
            memcpy(buffer, b.text, b.text_len);
            assert_int_equal(plait_aead_seal(&sealer, b.nonce, b.data, b.data_len, buffer, b.text_len),
                             PLAIT_OK);
            assert_memory_equal(buffer, b.sealed, b.sealed_len);
            assert_int_equal(plait_aead_open(&opener, b.nonce, b.data, b.data_len, buffer, b.sealed_len),
                             PLAIT_OK);
            assert_memory_equal(buffer, b.text, b.text_len);
        }
        plait_aead_done(&sealer);
        plait_aead_done(&opener);
        memcpy(buffer, b.text, b.text_len);
        assert_int_equal(plait_aead_seal_once(crypto, vectors[i].kind, b.key, b.nonce, b.data, b.data_len,
                                              buffer, b.text_len),
                         PLAIT_OK);
        assert_memory_equal(buffer, b.sealed, b.sealed_len);
        assert_int_equal(plait_aead_open_once(crypto, vectors[i].kind, b.key, b.nonce, b.data, b.data_len,
                                              buffer, b.sealed_len),
                         PLAIT_OK);
        assert_memory_equal(buffer, b.text, b.text_len);
    }
}

/* Every bit of everything that goes in, and every shorter text; and the opener is as good as before. */
static void nothing_else_opens(void **state)
{
    struct plait_aead opener;
    struct bytes b;
    uint8_t buffer[512];

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(vectors); i++) {
        unhex(&vectors[i], &b);
        assert_int_equal(plait_aead_init(&opener, crypto, vectors[i].kind, b.key, false), PLAIT_OK);
        for (size_t bit = 0; bit < 8 * (b.sealed_len + b.data_len + PLAIT_AEAD_NONCE_BYTES); bit++) {
            struct bytes w = b;
            size_t at = bit / 8;
            uint8_t *byte = at < b.sealed_len                ? &w.sealed[at]
                            : at < b.sealed_len + b.data_len ? &w.data[at - b.sealed_len]
                                                             : &w.nonce[at - b.sealed_len - b.data_len];
            *byte ^= (uint8_t)(1u << bit % 8);
            assert_int_equal(plait_aead_open(&opener, w.nonce, w.data, w.data_len, w.sealed, w.sealed_len),
                             PLAIT_ERR_CORRUPT);
        }
        for (size_t len = 0; len < b.sealed_len; len++) {
            memcpy(buffer, b.sealed, len);
            assert_int_equal(plait_aead_open(&opener, b.nonce, b.data, b.data_len, buffer, len),
                             len < PLAIT_AEAD_TAG_BYTES ? PLAIT_ERR_TRUNC : PLAIT_ERR_CORRUPT);
        }
        memcpy(buffer, b.sealed, b.sealed_len);
        assert_int_equal(plait_aead_open(&opener, b.nonce, b.data, b.data_len, buffer, b.sealed_len),
                         PLAIT_OK);
        plait_aead_done(&opener);
    }
}

static void every_length(void **state)
{
    static const uint8_t key[PLAIT_AEAD_KEY_BYTES] = {7}, nonce[PLAIT_AEAD_NONCE_BYTES] = {1}, data[14] = {2};
    uint8_t buffer[1600], once[1600], text[1600];
    struct plait_aead sealer, opener;

    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i * 7);
    for (int kind = 1; kind < PLAIT_AEAD_KINDS; kind++) {
        assert_int_equal(plait_aead_init(&sealer, crypto, (enum plait_aead_kind)kind, key, true), PLAIT_OK);
        assert_int_equal(plait_aead_init(&opener, crypto, (enum plait_aead_kind)kind, key, false), PLAIT_OK);
        for (size_t len = 0; len <= sizeof text - PLAIT_AEAD_TAG_BYTES; len += len < 300 ? 1 : 37) {
            memcpy(buffer, text, len);
            memcpy(once, text, len);
            assert_int_equal(plait_aead_seal(&sealer, nonce, data, sizeof data, buffer, len), PLAIT_OK);
            assert_int_equal(plait_aead_seal_once(crypto, (enum plait_aead_kind)kind, key, nonce, data,
                                                  sizeof data, once, len),
                             PLAIT_OK);
            assert_memory_equal(buffer, once, len + PLAIT_AEAD_TAG_BYTES);
            assert_int_equal(
                plait_aead_open(&opener, nonce, data, sizeof data, buffer, len + PLAIT_AEAD_TAG_BYTES),
                PLAIT_OK);
            assert_memory_equal(buffer, text, len);
        }
        plait_aead_done(&sealer);
        plait_aead_done(&opener);
    }
}

static void wrong_use(void **state)
{
    static const uint8_t key[PLAIT_AEAD_KEY_BYTES] = {7};
    struct plait_aead none = {0};
    uint8_t text[64] = {0};

    (void)state;
    assert_int_equal(plait_aead_init(&none, crypto, (enum plait_aead_kind)0, key, true), PLAIT_ERR_ARG);
    assert_int_equal(plait_aead_init(&none, crypto, (enum plait_aead_kind)4, key, true), PLAIT_ERR_ARG);
    assert_int_equal(plait_aead_seal(&none, key, NULL, 0, text, 1), PLAIT_ERR_STATE);
    assert_int_equal(plait_aead_open(&none, key, NULL, 0, text, 64), PLAIT_ERR_STATE);
    plait_aead_done(&none);
}

/* draft-irtf-cfrg-xchacha-03, A.3.1. */
static void xchacha(void **state)
{
    static const struct vector v = {
        PLAIT_AEAD_CHACHA20_POLY1305,
        "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
        "404142434445464748494a4b4c4d4e4f5051525354555657",
        "50515253c0c1c2c3c4c5c6c7",
        LADIES,
        "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39"
        "ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
        "21f9664c97637da9768812f615c68b13b52e"
        "c0875924c1c7987947deafd8780acf49"};
    struct bytes b;
    uint8_t buffer[512];

    (void)state;
    unhex(&v, &b);
    memcpy(buffer, b.text, b.text_len);
    assert_int_equal(plait_xchacha_seal(crypto, b.key, b.nonce, b.data, b.data_len, buffer, b.text_len),
                     PLAIT_OK);
    assert_memory_equal(buffer, b.sealed, b.sealed_len);
    assert_int_equal(plait_xchacha_open(crypto, b.key, b.nonce, b.data, b.data_len, buffer, b.sealed_len),
                     PLAIT_OK);
    assert_memory_equal(buffer, b.text, b.text_len);
    for (size_t i = 0; i < PLAIT_COOKIE_NONCE_BYTES; i++) {
        memcpy(buffer, b.sealed, b.sealed_len);
        b.nonce[i] ^= 1;
        assert_int_equal(plait_xchacha_open(crypto, b.key, b.nonce, b.data, b.data_len, buffer, b.sealed_len),
                         PLAIT_ERR_CORRUPT);
        b.nonce[i] ^= 1;
    }
}

static void check_hash(const uint8_t *got, size_t len, const char *expected)
{
    uint8_t right[64];

    assert_int_equal(kit_unhex(expected, right), len);
    assert_memory_equal(got, right, len);
}

/* RFC 7693, appendix B; the keyed and HMAC ones from another implementation (Python's hashlib and hmac). */
static void blake2s(void **state)
{
    uint8_t key[PLAIT_HASH_BYTES], out[PLAIT_HASH_BYTES], text[255];
    const struct plait_part abc[] = {{"a", 1}, {"", 0}, {"bc", 2}}, all = {text, sizeof text};
    struct plait_part plaits[20], abcs[3];
    char long_abc[151] = "";
    struct plait_mac mac;
    int err = PLAIT_OK;

    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)i;
    memcpy(key, text, sizeof key);
    plait_blake2s(crypto, abc, 3, out, &err);
    check_hash(out, 32, "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
    plait_blake2s(crypto, NULL, 0, out, &err);
    check_hash(out, 32, "69217a3079908094e11121d042354a7c1f55b6482ca1a51e1b250dfd1ed0eef9");
    for (size_t i = 0; i < 20; i++)
        plaits[i] = (struct plait_part){"plait", 5};
    assert_int_equal(plait_mac_init(&mac, crypto, key, 32), PLAIT_OK);
    for (unsigned again = 0; again < 3; again++) {
        assert_int_equal(plait_mac(&mac, plaits, 20, out), PLAIT_OK);
        check_hash(out, 16, "af122b556030f4178867e8f7b2755814");
        assert_int_equal(plait_mac(&mac, &all, 1, out), PLAIT_OK);
        check_hash(out, 16, "cd075928ab7e6883e697fe7fd3ac43ee");
    }
    plait_mac_done(&mac);
    assert_int_equal(plait_mac_init(&mac, crypto, key, 16), PLAIT_OK);
    assert_int_equal(plait_mac(&mac, NULL, 0, out), PLAIT_OK);
    check_hash(out, 16, "af4e5d3bb230e9ff9096ca6f7c501f76");
    plait_mac_done(&mac);
    assert_int_equal(plait_mac(&mac, NULL, 0, out), PLAIT_ERR_NOMEM);
    for (unsigned i = 0; i < 50; i++)
        strcat(long_abc, "abc");
    abcs[0] = (struct plait_part){long_abc, 70};
    abcs[1] = (struct plait_part){long_abc + 70, 80};
    plait_blake2s_hmac(crypto, key, abcs, 2, out, &err);
    check_hash(out, 32, "3bc634e3706b0c4650408581a7b89004ec05f664764def1743c795e2031299ce");
    assert_int_equal(err, PLAIT_OK);
}

/* The bounds of what a machine may say of itself, and that both come to the same. */
static void agreement(void **state)
{
    static const struct {
        uint16_t a[PLAIT_AEAD_KINDS], b[PLAIT_AEAD_KINDS];
        int kind;
    } rows[] = {
        {{0, 2700, 2200, 2800}, {0, 2700, 2200, 2800}, PLAIT_AEAD_CHACHA20_POLY1305}, /* within a twentieth */
        {{0, 2400, 2200, 2800}, {0, 2500, 2200, 2800}, PLAIT_AEAD_AES_128_GCM},
        {{0, 1500, 6000, 8000}, {0, 1500, 6000, 8000}, PLAIT_AEAD_AES_128_GCM},
        {{0, 1500, 7700, 8000}, {0, 1500, 7700, 8000}, PLAIT_AEAD_AES_256_GCM},
        {{0, 400, 60, 80}, {0, 1500, 6000, 8000}, PLAIT_AEAD_CHACHA20_POLY1305}, /* a router without AES */
        {{0, 0, 0, 80}, {0, 1500, 6000, 8000}, PLAIT_AEAD_AES_128_GCM},
        {{0, 100, 0, 0}, {0, 0, 100, 100}, 0},
        {{0}, {0, 1, 1, 1}, 0},
        {{0, 65535, 65535, 65535}, {0, 65535, 65535, 65535}, PLAIT_AEAD_CHACHA20_POLY1305},
    };
    struct plait_aead_speeds a, b;

    (void)state;
    for (size_t i = 0; i < PLAIT_COUNT(rows); i++) {
        memcpy(a.mb_per_s, rows[i].a, sizeof a.mb_per_s);
        memcpy(b.mb_per_s, rows[i].b, sizeof b.mb_per_s);
        assert_int_equal(plait_aead_agree(&a, &b), rows[i].kind);
        assert_int_equal(plait_aead_agree(&b, &a), rows[i].kind);
    }
    assert_string_equal(plait_aead_name(PLAIT_AEAD_AES_128_GCM), "AES-128-GCM");
    assert_string_equal(plait_aead_name((enum plait_aead_kind)77), "none");
}

/* A clock on which every reading is 10 µs later. */
static uint64_t tick(void *owner)
{
    return *(uint64_t *)owner += 10 * PLAIT_US;
}

static void measuring_ends(void **state)
{
    struct plait_aead_speeds speeds;
    uint64_t clock = 0;

    (void)state;
    plait_aead_measure(crypto, tick, &clock, &speeds);
    for (int kind = 1; kind < PLAIT_AEAD_KINDS; kind++)
        assert_int_equal(speeds.mb_per_s[kind], 1400 * 32 * 1000 / (10 * PLAIT_US));
}

static size_t allocations;

static void *count_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    allocations++;
    return malloc(size);
}

static void *count_realloc(void *p, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    allocations++;
    return realloc(p, size);
}

static void count_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    free(p);
}

static void packets_allocate_nothing(void **state)
{
    static const uint8_t key[PLAIT_AEAD_KEY_BYTES] = {7}, data[14] = {2};
    uint8_t nonce[PLAIT_AEAD_NONCE_BYTES] = {0}, buffer[1416] = {0};
    struct plait_aead sealer, opener;

    (void)state;
    for (int kind = 1; kind < PLAIT_AEAD_KINDS; kind++) {
        assert_int_equal(plait_aead_init(&sealer, crypto, (enum plait_aead_kind)kind, key, true), PLAIT_OK);
        assert_int_equal(plait_aead_init(&opener, crypto, (enum plait_aead_kind)kind, key, false), PLAIT_OK);
        size_t before = allocations;
        assert_true(before > 0);
        for (uint8_t i = 0; i < 100; i++) {
            nonce[0] = i;
            assert_int_equal(plait_aead_seal(&sealer, nonce, data, sizeof data, buffer, 1400), PLAIT_OK);
            assert_int_equal(plait_aead_open(&opener, nonce, data, sizeof data, buffer, 1416), PLAIT_OK);
        }
        buffer[0] ^= 1;
        assert_int_equal(plait_aead_open(&opener, nonce, data, sizeof data, buffer, 1416), PLAIT_ERR_CORRUPT);
        assert_int_equal(allocations, before);
        plait_aead_done(&sealer);
        plait_aead_done(&opener);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published),
        cmocka_unit_test(nothing_else_opens),
        cmocka_unit_test(every_length),
        cmocka_unit_test(wrong_use),
        cmocka_unit_test(xchacha),
        cmocka_unit_test(blake2s),
        cmocka_unit_test(agreement),
        cmocka_unit_test(measuring_ends),
        cmocka_unit_test(packets_allocate_nothing),
    };

    if (CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free) != 1)
        return 1;
    return cmocka_run_group_tests(tests, begin, end);
}
