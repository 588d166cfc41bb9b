#include "peer.h"

#include <string.h>

#include "units.h"

int plait_peer_init(struct plait_peer *p, struct plait_session *session, const struct plait_bond_config *bond)
{
    memset(p, 0, sizeof *p);
    p->session = session;
    return plait_bond_new(bond, &p->bond);
}

void plait_peer_done(struct plait_peer *p)
{
    plait_bond_free(p->bond);
    p->bond = NULL;
}

int plait_peer_path_set(struct plait_peer *p, uint64_t now, unsigned path,
                        const struct plait_bond_path_config *config)
{
    int err = path < PLAIT_BOND_PATHS ? plait_bond_path_set(p->bond, now, path, config) : PLAIT_ERR_ARG;

    if (err != PLAIT_OK)
        return err;
    p->path[path] = *config;
    p->known |= 1u << path;
    p->expected |= 1u << path;
    return PLAIT_OK;
}

int plait_peer_path_expect(struct plait_peer *p, uint64_t now, unsigned path,
                           const struct plait_bond_path_config *config)
{
    if (path >= PLAIT_BOND_PATHS)
        return PLAIT_ERR_ARG;
    if ((p->known >> path & 1) != 0)
        return plait_peer_path_set(p, now, path, config);
    p->path[path] = *config;
    p->expected |= 1u << path;
    return PLAIT_OK;
}

void plait_peer_path_remove(struct plait_peer *p, uint64_t now, unsigned path)
{
    if (path >= PLAIT_BOND_PATHS)
        return;
    if ((p->known >> path & 1) != 0)
        plait_bond_path_remove(p->bond, now, path);
    p->known &= ~(1u << path);
    p->expected &= ~(1u << path);
}

static int meet_path(struct plait_peer *p, uint64_t now, uint8_t path)
{
    if (path >= PLAIT_BOND_PATHS || (p->expected >> path & 1) == 0)
        return PLAIT_ERR_RANGE;
    return (p->known >> path & 1) != 0 ? PLAIT_OK : plait_peer_path_set(p, now, path, &p->path[path]);
}

/* The responder sends nothing before it has opened something under the new keys. */
static void show_keys(struct plait_peer *p, uint64_t now)
{
    int err = plait_bond_send_control(p->bond, now, -1, "", 0);

    (void)err; /* another message waits to be sent: that does as well */
}

static int recv_handshake(struct plait_peer *p, uint64_t now, uint8_t path, const uint8_t *datagram,
                          size_t len, struct plait_peer_news *out)
{
    struct plait_session_news news;
    int err = plait_session_recv(p->session, now, path, datagram, len, &news);

    if (err != PLAIT_OK || news.event != PLAIT_SESSION_KEYS)
        return err;
    out->keys_begin = true;
    out->peer_is_new = news.peer_is_new;
    out->hello = news.hello;
    out->hello_len = news.hello_len;
    if (news.peer_is_new)
        plait_bond_on_peer_restart(p->bond, now);
    show_keys(p, now);
    return PLAIT_OK;
}

static int recv_sealed(struct plait_peer *p, uint64_t now, uint8_t *datagram, size_t len,
                       struct plait_peer_news *out)
{
    struct plait_opened opened;
    int err = plait_session_open(p->session, now, datagram, len, &opened);

    if (err != PLAIT_OK)
        return err;
    out->is_sealed = true;
    out->path = opened.path;
    out->is_highest = opened.is_highest;
    out->keys_begin = opened.keys_begin;
    out->peer_is_new = opened.keys_begin && opened.peer_is_new;
    if (out->peer_is_new)
        plait_bond_on_peer_restart(p->bond, now);
    if (opened.is_past) {
        plait_bond_recv_past(p->bond, now, opened.text, opened.len);
        return PLAIT_OK;
    }
    err = meet_path(p, now, opened.path);
    if (err != PLAIT_OK)
        return err;
    return plait_bond_recv(p->bond, now, opened.path, opened.text, opened.len);
}

int plait_peer_recv(struct plait_peer *p, uint64_t now, uint8_t path, uint8_t *datagram, size_t len,
                    struct plait_peer_news *news)
{
    int err;

    memset(news, 0, sizeof *news);
    if (len > 0 && datagram[0] == PLAIT_ENVELOPE_SEALED)
        err = recv_sealed(p, now, datagram, len, news);
    else
        err = recv_handshake(p, now, path, datagram, len, news);
    p->bad += err != PLAIT_OK;
    return err;
}

/* Seals header and payload as one. Returns the datagram's length, 0 where it cannot leave. */
static size_t seal(struct plait_peer *p, uint64_t now, const struct plait_bond_datagram *d, uint8_t *out,
                   size_t size)
{
    uint8_t *text = out + PLAIT_SESSION_HEAD;
    size_t whole = PLAIT_SESSION_HEAD + (size_t)d->len + PLAIT_SESSION_TAIL;

    if (whole > size)
        return 0;
    memcpy(text, d->header, d->header_len);
    if (d->payload_len > 0)
        memcpy(text + d->header_len, d->payload, d->payload_len);
    return plait_session_seal(p->session, now, d->path, out, d->len) == PLAIT_OK ? whole : 0;
}

size_t plait_peer_poll_send(struct plait_peer *p, uint64_t now, uint8_t *path, uint8_t *out, size_t size)
{
    struct plait_bond_datagram d;
    size_t len = size >= PLAIT_HANDSHAKE_BYTES_MAX ? plait_session_poll_send(p->session, now, path, out) : 0;

    if (len > 0 || !plait_session_can_seal(p->session, now))
        return len;
    while (plait_bond_poll_send(p->bond, now, &d)) {
        *path = d.path;
        len = seal(p, now, &d, out, size);
        if (len > 0)
            return len;
    }
    return 0;
}

uint64_t plait_peer_next_deadline(const struct plait_peer *p, uint64_t now)
{
    uint64_t at = plait_session_next_deadline(p->session);

    if (!plait_session_can_seal(p->session, now))
        return at;
    return plait_min_u64(at, plait_bond_next_deadline(p->bond));
}

void plait_peer_on_deadline(struct plait_peer *p, uint64_t now)
{
    plait_session_on_deadline(p->session, now);
    plait_bond_on_deadline(p->bond, now);
}
