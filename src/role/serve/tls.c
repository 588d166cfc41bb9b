#include "tls.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct plait_tls_identity {
    gnutls_certificate_credentials_t credentials;
    atomic_uint holders;
};

struct plait_tls {
    const struct plait_pem *pem;
    struct plait_pem_pair pair; /* the main thread's */
    gnutls_datum_t ticket_key;
    pthread_mutex_t lock; /* of `now` */
    struct plait_tls_identity *now;
};

int plait_tls_new(struct plait_tls **out, const struct plait_pem *pem)
{
    struct plait_tls *tls = calloc(1, sizeof *tls);

    if (tls == NULL)
        return PLAIT_ERR_NOMEM;
    if (gnutls_session_ticket_key_generate(&tls->ticket_key) != GNUTLS_E_SUCCESS) {
        free(tls);
        return PLAIT_ERR_NOMEM;
    }
    tls->pem = pem;
    pthread_mutex_init(&tls->lock, NULL);
    *out = tls;
    return PLAIT_OK;
}

void plait_tls_free(struct plait_tls *tls)
{
    if (tls == NULL)
        return;
    plait_tls_release(tls->now);
    plait_pem_pair_done(&tls->pair);
    gnutls_memset(tls->ticket_key.data, 0, tls->ticket_key.size);
    gnutls_free(tls->ticket_key.data);
    pthread_mutex_destroy(&tls->lock);
    free(tls);
}

void plait_tls_release(struct plait_tls_identity *identity)
{
    if (identity == NULL || atomic_fetch_sub(&identity->holders, 1) > 1)
        return;
    gnutls_certificate_free_credentials(identity->credentials);
    free(identity);
}

static int make_identity(const struct plait_pem_pair *pair, struct plait_tls_identity **out, const char **why)
{
    struct plait_tls_identity *made = calloc(1, sizeof *made);
    gnutls_datum_t cert = {(unsigned char *)pair->cert, (unsigned)pair->cert_len};
    gnutls_datum_t key = {(unsigned char *)pair->key, (unsigned)pair->key_len};

    if (made == NULL || gnutls_certificate_allocate_credentials(&made->credentials) != GNUTLS_E_SUCCESS) {
        free(made);
        return PLAIT_ERR_NOMEM;
    }
    atomic_init(&made->holders, 1);
    int rc = gnutls_certificate_set_x509_key_mem(made->credentials, &cert, &key, GNUTLS_X509_FMT_PEM);
    if (rc >= 0) {
        *out = made;
        return PLAIT_OK;
    }
    *why = gnutls_strerror(rc);
    plait_tls_release(made);
    return rc == GNUTLS_E_CERTIFICATE_KEY_MISMATCH ? PLAIT_ERR_CORRUPT : PLAIT_ERR_FORMAT;
}

static bool same(const struct plait_pem_pair *a, const struct plait_pem_pair *b)
{
    return a->cert != NULL && a->cert_len == b->cert_len && a->key_len == b->key_len &&
           memcmp(a->cert, b->cert, a->cert_len) == 0 && gnutls_memcmp(a->key, b->key, a->key_len) == 0;
}

static void take(struct plait_tls *tls, struct plait_pem_pair *pair, struct plait_tls_identity *made)
{
    pthread_mutex_lock(&tls->lock);
    struct plait_tls_identity *old = tls->now;
    tls->now = made;
    pthread_mutex_unlock(&tls->lock);
    plait_tls_release(old);
    plait_pem_pair_done(&tls->pair);
    tls->pair = *pair;
}

int plait_tls_reload(struct plait_tls *tls, bool *changed, const char **file, const char **why)
{
    struct plait_pem_pair pair;
    struct plait_tls_identity *made;
    int rc = plait_pem_read(tls->pem, &pair, file);

    *changed = false;
    *why = rc == PLAIT_ERR_IO ? strerror(errno) : plait_err_name(rc);
    if (rc != PLAIT_OK)
        return rc;
    if (same(&tls->pair, &pair)) {
        plait_pem_pair_done(&pair);
        return PLAIT_OK;
    }
    rc = make_identity(&pair, &made, why);
    if (rc != PLAIT_OK) {
        plait_pem_pair_done(&pair);
        return rc;
    }
    take(tls, &pair, made);
    *changed = true;
    return PLAIT_OK;
}

const struct plait_pem_pair *plait_tls_pair(const struct plait_tls *tls)
{
    return &tls->pair;
}

struct plait_tls_identity *plait_tls_adopt(struct plait_tls *tls, gnutls_session_t session)
{
    pthread_mutex_lock(&tls->lock);
    struct plait_tls_identity *identity = tls->now;
    atomic_fetch_add(&identity->holders, 1);
    pthread_mutex_unlock(&tls->lock);
    /* Without either the session goes on with what the daemon began with, or without tickets. */
    (void)gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, identity->credentials);
    (void)gnutls_session_ticket_enable_server(session, &tls->ticket_key);
    return identity;
}
