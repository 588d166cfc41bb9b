/*
 * The bytes of a handshake and of the packets after it, as doc/tunnel.md describes them. What is expected was made
 * from that page by an implementation that shares nothing with this one (its X25519, ChaCha20 and Poly1305 are
 * arithmetic in Python). Keys, ephemeral keys and numbers are rows of the same byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto_kit.h"
#include "session.h"
#include "sessions.h"
#include "units.h"

#define INITIATION                                                                                           \
    "01010000111111117b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13ee8ffd39f5c7b328"       \
    "f743b51b3968770ca8ab56d0dfb64fe53f84b9c7e7eb26b5bc6befa6b9c78aebffce3f35008cc5e90230a71dc323035a"       \
    "7315d8cffa6ac041a2b2750ed87ca755584df8478093353f2dcff1253e3f8d1061f4d49da6d85931e3df12b2aa7b2dba"       \
    "00000000000000000000000000000000"
#define RESPONSE                                                                                             \
    "02010000111111110faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f2022edfeb00ffbf84d"       \
    "c6f49d62d2cfea9e5d7fb28981698143c5265e47bac639808342a5db2be66264164f0b738f33deb2fdbcaaeab330fabc"       \
    "56"
#define FORTH "04032222222200000000000000003a5ebd1985f26ee0089a9276c7a69c6023f8dac0a75cbdd008815bdbc2d729"
#define BACK  "0403111111110000000000000000687c9dbdcd9abcfc44f52cdd54422eacc417363a2c8d4b3d"

#define WALL (UINT64_C(1700000000) * PLAIT_S)

/* Not random at all: the owner is the byte. */
static void fill_with(void *owner, void *bytes, size_t len)
{
    memset(bytes, *(const uint8_t *)owner, len);
}

struct end {
    uint8_t random;
    struct plait_identity id;
    struct plait_session_config config;
};

static void end_init(struct end *e, struct plait_crypto *c, uint8_t key, uint8_t random, uint64_t instance)
{
    struct plait_key secret;

    memset(secret.bytes, key, sizeof secret.bytes);
    assert_int_equal(plait_identity_init(&e->id, &secret), PLAIT_OK);
    e->random = random;
    e->config = (struct plait_session_config){c, {fill_with, &e->random}, &e->id, instance, {{0, 1000}}};
}

static void check(const uint8_t *bytes, size_t len, const char *expected)
{
    uint8_t right[1024];

    assert_int_equal(kit_unhex(expected, right), len);
    assert_memory_equal(bytes, right, len);
}

static size_t seal(struct plait_session *s, const char *text, uint8_t *packet)
{
    size_t len = strlen(text);

    memcpy(packet + PLAIT_SESSION_HEAD, text, len);
    assert_int_equal(plait_session_seal(s, PLAIT_S, 3, packet, len), PLAIT_OK);
    return PLAIT_SESSION_HEAD + len + PLAIT_SESSION_TAIL;
}

static void the_bytes_of_the_page(void **state)
{
    static const struct plait_origin from = {{1}, 1};
    struct plait_crypto *crypto = plait_crypto_new();
    struct end node, hub;
    uint8_t path, out[PLAIT_HANDSHAKE_BYTES_MAX];
    struct plait_session_news news;
    struct plait_session *at_hub;
    struct plait_knock knock;
    struct plait_opened o;

    (void)state;
    end_init(&node, crypto, 1, 0x11, 7);
    end_init(&hub, crypto, 2, 0x22, 8);
    struct plait_sessions_config config = {.session = hub.config, .peers_max = 1};
    struct plait_sessions *t = plait_sessions_new(&config, PLAIT_S);
    struct plait_session *s = plait_session_new_initiator(&node.config, &hub.id.public, PLAIT_S, WALL);
    assert_int_equal(plait_sessions_add(t, &node.id.public, NULL, &at_hub), PLAIT_OK);
    assert_int_equal(plait_session_set_hello(s, "node", 4), PLAIT_OK);
    plait_session_set_paths(s, PLAIT_S, 1);
    plait_session_on_deadline(s, PLAIT_S);
    size_t len = plait_session_poll_send(s, PLAIT_S, &path, out);
    check(out, len, INITIATION);
    assert_int_equal(plait_sessions_recv(t, PLAIT_S, &from, false, out, len, &knock), PLAIT_OK);
    assert_int_equal(plait_sessions_respond(t, PLAIT_S, &knock, "hub", 3), PLAIT_OK);
    check(knock.reply, knock.reply_len, RESPONSE);
    assert_int_equal(plait_session_recv(s, PLAIT_S, 0, knock.reply, knock.reply_len, &news), PLAIT_OK);
    len = seal(s, "over path three", out);
    check(out, len, FORTH);
    assert_int_equal(plait_session_open(at_hub, PLAIT_S, out, len, &o), PLAIT_OK);
    len = seal(at_hub, "and back", out);
    check(out, len, BACK);
    plait_session_free(s);
    plait_sessions_free(t);
    plait_crypto_free(crypto);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_bytes_of_the_page)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
