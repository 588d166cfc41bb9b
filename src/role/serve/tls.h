/*
 * The server's identity for TLS, which may change while connections are open.
 *
 * Each connection holds the identity that was there when it began, and is handed the newest at its handshake;
 * so a renewed certificate is used by the next connection, and no connection is dropped.
 */
#ifndef PLAIT_SERVE_TLS_H
#define PLAIT_SERVE_TLS_H

#include <gnutls/gnutls.h>
#include <stdbool.h>

#include "err.h"
#include "pem.h"

/* TLS 1.2 and 1.3, as GnuTLS thinks best otherwise. */
#define PLAIT_TLS_PRIORITY "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

struct plait_tls;
struct plait_tls_identity;

/* `pem` is borrowed until free. PLAIT_ERR_NOMEM. */
PLAIT_MUST_USE int plait_tls_new(struct plait_tls **out, const struct plait_pem *pem);
/* After every identity that was held has been let go. */
void plait_tls_free(struct plait_tls *tls);

/*
 * Reads the files. *changed tells whether they differ from what was there. On an error the old identity
 * stays, and *why (static or valid until the next call) says what is wrong: PLAIT_ERR_FORMAT for what is no
 * certificate or key, PLAIT_ERR_CORRUPT where the two do not belong together, or as plait_pem_read, with
 * *file the path it is about.
 */
PLAIT_MUST_USE int plait_tls_reload(struct plait_tls *tls, bool *changed, const char **file,
                                    const char **why);

/* The PEM texts that are in use, for starting the daemon; borrowed until the next reload. */
const struct plait_pem_pair *plait_tls_pair(const struct plait_tls *tls);

/* Before the handshake, from any thread: hands the identity to the session, which holds it until
 * plait_tls_release. */
struct plait_tls_identity *plait_tls_adopt(struct plait_tls *tls, gnutls_session_t session);
void plait_tls_release(struct plait_tls_identity *identity);

#endif
