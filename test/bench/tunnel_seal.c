/*
 * What sealing and opening cost: packets of 1400 bytes through a session, beside the same cipher called bare, and the
 * price of a handshake and of what a flood sends. One thread; the best of many short rounds, which is what is left
 * when nobody else wants the processor.
 *
 * Usage: plait-bench-seal [SECONDS]     for each figure; default 0.3
 */
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "session.h"
#include "sessions.h"
#include "units.h"

#define BATCH 64
#define TEXT  1400
#define ROOM  (PLAIT_SESSION_HEAD + TEXT + PLAIT_SESSION_TAIL)

static uint8_t packets[BATCH][ROOM + 42]; /* not aligned, as in a batch of datagrams */
static double span = 0.3;

static void check(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "plait-bench-seal: %s failed\n", what);
    exit(1);
}

static uint64_t clock_ns(void *owner)
{
    struct timespec t;

    (void)owner;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * PLAIT_S + (uint64_t)t.tv_nsec;
}

static void fill_random(void *owner, void *bytes, size_t len)
{
    (void)owner;
    check(getrandom(bytes, len, 0) == (ssize_t)len, "getrandom");
}

/* Runs rounds for `span` seconds; returns the least nanoseconds that one took. `before` is not measured. */
static double best_of(void (*before)(void *), void (*round)(void *), void *arg)
{
    uint64_t best = PLAIT_NEVER, end = clock_ns(NULL) + (uint64_t)(span * 1e9);

    do {
        if (before != NULL)
            before(arg);
        uint64_t start = clock_ns(NULL);
        round(arg);
        best = plait_min_u64(best, clock_ns(NULL) - start);
    } while (clock_ns(NULL) < end);
    return (double)best;
}

struct bare {
    EVP_CIPHER_CTX *seal, *open;
    uint64_t nonce;
};

static void bare_init(struct bare *b, const struct plait_crypto *c, int kind)
{
    static const uint8_t key[32] = {1};

    b->seal = EVP_CIPHER_CTX_new();
    b->open = EVP_CIPHER_CTX_new();
    check(EVP_EncryptInit_ex2(b->seal, c->aead[kind], key, NULL, NULL) == 1 &&
              EVP_DecryptInit_ex2(b->open, c->aead[kind], key, NULL, NULL) == 1,
          "EVP init");
    b->nonce = 0;
}

static void bare_seal(void *arg)
{
    struct bare *b = arg;
    uint8_t nonce[12] = {0};
    int n;

    for (size_t i = 0; i < BATCH; i++) {
        uint8_t *p = packets[i];
        uint64_t number = b->nonce + i;
        memcpy(nonce, &number, sizeof number);
        EVP_EncryptInit_ex2(b->seal, NULL, NULL, nonce, NULL);
        EVP_EncryptUpdate(b->seal, NULL, &n, p, PLAIT_SESSION_HEAD);
        EVP_EncryptUpdate(b->seal, p + PLAIT_SESSION_HEAD, &n, p + PLAIT_SESSION_HEAD, TEXT);
        EVP_EncryptFinal_ex(b->seal, p + PLAIT_SESSION_HEAD + TEXT, &n);
        EVP_CIPHER_CTX_ctrl(b->seal, EVP_CTRL_AEAD_GET_TAG, 16, p + PLAIT_SESSION_HEAD + TEXT);
    }
}

static void bare_open(void *arg)
{
    struct bare *b = arg;
    uint8_t nonce[12] = {0};
    int n, good = 1;

    for (size_t i = 0; i < BATCH; i++) {
        uint8_t *p = packets[i];
        uint64_t number = b->nonce + i;
        memcpy(nonce, &number, sizeof number);
        EVP_DecryptInit_ex2(b->open, NULL, NULL, nonce, NULL);
        EVP_CIPHER_CTX_ctrl(b->open, EVP_CTRL_AEAD_SET_TAG, 16, p + PLAIT_SESSION_HEAD + TEXT);
        EVP_DecryptUpdate(b->open, NULL, &n, p, PLAIT_SESSION_HEAD);
        EVP_DecryptUpdate(b->open, p + PLAIT_SESSION_HEAD, &n, p + PLAIT_SESSION_HEAD, TEXT);
        good &= EVP_DecryptFinal_ex(b->open, p + PLAIT_SESSION_HEAD + TEXT, &n);
    }
    check(good == 1, "EVP open");
}

struct tunnel {
    struct plait_crypto *crypto;
    struct plait_identity node_id, hub_id;
    struct plait_session_config node_config;
    struct plait_sessions *hub;
    struct plait_session *node, *at_hub;
    uint64_t now;
};

static struct plait_session_config config_of(struct tunnel *t, const struct plait_identity *id, int kind)
{
    struct plait_session_config c = {t->crypto, {fill_random, NULL}, id, 1, {{0}}};

    c.speeds.mb_per_s[kind] = 1;
    return c;
}

static void identity_init(struct plait_identity *id)
{
    struct plait_key secret;

    fill_random(NULL, secret.bytes, sizeof secret.bytes);
    check(plait_identity_init(id, &secret) == PLAIT_OK, "a key");
}

static size_t initiate(struct tunnel *t, uint8_t out[PLAIT_HANDSHAKE_BYTES_MAX])
{
    uint8_t path;

    t->now += PLAIT_S;
    plait_session_rekey(t->node, t->now);
    return plait_session_poll_send(t->node, t->now, &path, out);
}

/* Both ends' work. */
static void handshake(void *arg)
{
    static const struct plait_origin from = {{1}, 1};
    struct tunnel *t = arg;
    uint8_t out[PLAIT_HANDSHAKE_BYTES_MAX], packet[PLAIT_SESSION_HEAD + PLAIT_SESSION_TAIL];
    struct plait_session_news news;
    struct plait_knock knock;
    struct plait_opened o;

    size_t len = initiate(t, out);
    plait_sessions_recv(t->hub, t->now, &from, false, out, len, &knock);
    check(knock.kind == PLAIT_KNOCK_PEER &&
              plait_sessions_respond(t->hub, t->now, &knock, NULL, 0) == PLAIT_OK &&
              plait_session_recv(t->node, t->now, 0, knock.reply, knock.reply_len, &news) == PLAIT_OK &&
              news.event == PLAIT_SESSION_KEYS &&
              plait_session_seal(t->node, t->now, 0, packet, 0) == PLAIT_OK &&
              plait_session_open(t->at_hub, t->now, packet, sizeof packet, &o) == PLAIT_OK,
          "the handshake");
}

static void tunnel_init(struct tunnel *t, struct plait_crypto *c, int kind)
{
    struct plait_sessions_config hub = {.peers_max = 1};

    t->crypto = c;
    t->now = 1000 * PLAIT_S;
    identity_init(&t->node_id);
    identity_init(&t->hub_id);
    hub.session = config_of(t, &t->hub_id, kind);
    t->hub = plait_sessions_new(&hub, t->now);
    check(t->hub != NULL && plait_sessions_add(t->hub, &t->node_id.public, NULL, &t->at_hub) == PLAIT_OK,
          "a hub");
    t->node_config = config_of(t, &t->node_id, kind);
    t->node = plait_session_new_initiator(&t->node_config, &t->hub_id.public, t->now, t->now);
    check(t->node != NULL, "a node");
    plait_session_set_paths(t->node, t->now, 1);
    handshake(t);
}

static void tunnel_done(struct tunnel *t)
{
    plait_session_free(t->node);
    plait_sessions_free(t->hub);
}

static void session_seal(void *arg)
{
    struct tunnel *t = arg;

    for (size_t i = 0; i < BATCH; i++)
        check(plait_session_seal(t->node, t->now, 0, packets[i], TEXT) == PLAIT_OK, "seal");
}

static void session_open(void *arg)
{
    struct tunnel *t = arg;
    struct plait_opened o;

    for (size_t i = 0; i < BATCH; i++)
        check(plait_session_open(t->at_hub, t->now, packets[i], ROOM, &o) == PLAIT_OK, "open");
}

static double gb_per_s(double ns)
{
    return BATCH * TEXT / ns;
}

static void print_kind(struct plait_crypto *c, int kind)
{
    struct bare bare;
    struct tunnel t;

    bare_init(&bare, c, kind);
    double seal = gb_per_s(best_of(NULL, bare_seal, &bare));
    double open = gb_per_s(best_of(bare_seal, bare_open, &bare));
    tunnel_init(&t, c, kind);
    double our_seal = gb_per_s(best_of(NULL, session_seal, &t));
    double our_open = gb_per_s(best_of(session_seal, session_open, &t));
    printf("%-18s seal %5.2f GB/s, bare %5.2f, ratio %.2f     open %5.2f GB/s, bare %5.2f, ratio %.2f\n",
           plait_aead_name((enum plait_aead_kind)kind), our_seal, seal, our_seal / seal, our_open, open,
           our_open / open);
    tunnel_done(&t);
    EVP_CIPHER_CTX_free(bare.seal);
    EVP_CIPHER_CTX_free(bare.open);
}

struct flood {
    struct tunnel *t;
    uint8_t bytes[PLAIT_HANDSHAKE_BYTES_MAX];
    size_t len;
    bool loaded;
};

static void knock_once(void *arg)
{
    static const struct plait_origin from = {{2}, 1};
    struct flood *f = arg;
    struct plait_knock knock;

    plait_sessions_recv(f->t->hub, f->t->now, &from, f->loaded, f->bytes, f->len, &knock);
}

/* An initiation that knows our key, from somebody that we do not know. */
static void stranger_knocks(struct flood *f)
{
    struct plait_identity id;
    uint8_t path;

    identity_init(&id);
    struct plait_session_config config = config_of(f->t, &id, PLAIT_AEAD_CHACHA20_POLY1305);
    struct plait_session *s =
        plait_session_new_initiator(&config, &f->t->hub_id.public, f->t->now, f->t->now);
    check(s != NULL, "a stranger");
    plait_session_set_paths(s, f->t->now, 1);
    plait_session_on_deadline(s, f->t->now);
    f->len = plait_session_poll_send(s, f->t->now, &path, f->bytes);
    plait_session_free(s);
}

static void let_time_pass(void *arg)
{
    ((struct flood *)arg)->t->now += PLAIT_S;
}

static void print_handshakes(struct plait_crypto *c)
{
    struct tunnel t;
    struct flood f = {.t = &t};

    tunnel_init(&t, c, PLAIT_AEAD_CHACHA20_POLY1305);
    printf("a handshake, both ends        %6.1f us\n", best_of(NULL, handshake, &t) / 1e3);
    stranger_knocks(&f);
    printf("a stranger who is looked into %6.1f us\n", best_of(let_time_pass, knock_once, &f) / 1e3);
    f.loaded = true;
    printf("a cookie reply                %6.1f us\n", best_of(let_time_pass, knock_once, &f) / 1e3);
    f.bytes[f.len - 32] ^= 1;
    printf("a wrong MAC                   %6.2f us\n", best_of(NULL, knock_once, &f) / 1e3);
    tunnel_done(&t);
}

int main(int argc, char **argv)
{
    struct plait_crypto *c = plait_crypto_new();
    struct plait_aead_speeds speeds;

    check(c != NULL, "OpenSSL");
    if (argc > 1)
        span = strtod(argv[1], NULL);
    plait_aead_measure(c, clock_ns, NULL, &speeds);
    for (int kind = 1; kind < PLAIT_AEAD_KINDS; kind++)
        print_kind(c, kind);
    print_handshakes(c);
    printf("measured at start: ChaCha20-Poly1305 %u, AES-256-GCM %u, AES-128-GCM %u MB/s; chosen: %s\n",
           speeds.mb_per_s[1], speeds.mb_per_s[2], speeds.mb_per_s[3],
           plait_aead_name(plait_aead_agree(&speeds, &speeds)));
    plait_crypto_free(c);
    return 0;
}
