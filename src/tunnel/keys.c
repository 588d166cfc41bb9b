#include "keys.h"

#include <stdlib.h>
#include <string.h>

/* Whatever cipher is agreed on, its key is one that no other cipher has: none can be used to attack another. */
static int cipher_key(struct plait_crypto *c, const uint8_t split[PLAIT_HASH_BYTES],
                      enum plait_aead_kind aead, uint8_t out[PLAIT_HASH_BYTES])
{
    const uint8_t kind = (uint8_t)aead;
    const struct plait_part parts[] = {{"plait data 1", 12}, {&kind, 1}};
    int err = PLAIT_OK;

    plait_blake2s_hmac(c, split, parts, 2, out, &err);
    return err;
}

static int init_one(struct plait_aead *a, struct plait_crypto *c, const uint8_t *split,
                    enum plait_aead_kind aead, bool seals)
{
    uint8_t key[PLAIT_HASH_BYTES];
    int err = cipher_key(c, split, aead, key);

    if (err == PLAIT_OK)
        err = plait_aead_init(a, c, aead, key, seals);
    plait_wipe(key, sizeof key);
    return err;
}

int plait_keys_init(struct plait_keys *k, struct plait_crypto *c, const struct plait_noise *noise,
                    bool initiator, enum plait_aead_kind aead, uint64_t now)
{
    uint8_t forth[PLAIT_HASH_BYTES], back[PLAIT_HASH_BYTES];
    int err = plait_noise_split(noise, c, forth, back);

    memset(k, 0, sizeof *k);
    if (err == PLAIT_OK)
        err = init_one(&k->sealer, c, initiator ? forth : back, aead, true);
    if (err == PLAIT_OK)
        err = init_one(&k->opener, c, initiator ? back : forth, aead, false);
    plait_wipe(forth, sizeof forth);
    plait_wipe(back, sizeof back);
    k->live = true;
    k->since = now;
    if (err != PLAIT_OK)
        plait_keys_done(k);
    return err;
}

void plait_keys_done(struct plait_keys *k)
{
    plait_aead_done(&k->sealer);
    plait_aead_done(&k->opener);
    for (size_t i = 0; i < PLAIT_COUNT(k->window); i++)
        free(k->window[i]);
    memset(k, 0, sizeof *k);
}

void plait_keys_move(struct plait_keys *to, struct plait_keys *from)
{
    plait_keys_done(to);
    *to = *from;
    memset(from, 0, sizeof *from);
}

bool plait_keys_are_good(const struct plait_keys *k, uint64_t now)
{
    return k->live && plait_since(now, k->since) < PLAIT_SESSION_REJECT_AFTER;
}

int plait_keys_seal(struct plait_keys *k, uint8_t path, uint64_t path_seq, uint8_t *packet, size_t len)
{
    const struct plait_envelope e = {path, k->remote, path_seq};
    uint8_t nonce[PLAIT_ENVELOPE_NONCE_BYTES];

    if (k->sealed >= PLAIT_SESSION_REJECT_PACKETS)
        return PLAIT_ERR_LIMIT;
    plait_envelope_encode(&e, packet);
    plait_envelope_nonce(&e, nonce);
    k->sealed++;
    return plait_aead_seal(&k->sealer, nonce, packet, PLAIT_ENVELOPE_BYTES, packet + PLAIT_ENVELOPE_BYTES,
                           len);
}

int plait_keys_open(struct plait_keys *k, const struct plait_envelope *e, uint8_t *datagram, size_t len,
                    bool *highest)
{
    uint8_t nonce[PLAIT_ENVELOPE_NONCE_BYTES];
    struct plait_replay **window = &k->window[e->path];

    if (*window != NULL && !plait_replay_is_new(*window, e->path_seq))
        return PLAIT_ERR_LIMIT;
    if (e->path_seq == UINT64_MAX)
        return PLAIT_ERR_LIMIT;
    plait_envelope_nonce(e, nonce);
    int err = plait_aead_open(&k->opener, nonce, datagram, PLAIT_ENVELOPE_BYTES,
                              datagram + PLAIT_ENVELOPE_BYTES, len - PLAIT_ENVELOPE_BYTES);
    if (err != PLAIT_OK)
        return err;
    /* Only who has the key can make us keep a window. */
    if (*window == NULL && (*window = calloc(1, sizeof **window)) == NULL)
        return PLAIT_ERR_NOMEM;
    *highest = plait_replay_note(*window, e->path_seq);
    k->opened++;
    return PLAIT_OK;
}
