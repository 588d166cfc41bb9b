/*
 * What every request of one server shares.
 */
#ifndef PLAIT_SERVE_SERVER_H
#define PLAIT_SERVE_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "access_log.h"
#include "clients.h"
#include "contents.h"
#include "digest_cache.h"
#include "docroot.h"
#include "mime.h"
#include "streams.h"
#include "tls.h"

struct plait_server {
    struct plait_docroot root;
    struct plait_mime mime;
    struct plait_clients *clients;
    struct plait_digest_cache *digests; /* NULL = none are told */
    struct plait_access_log *log;       /* NULL = none is written */
    struct plait_tls *tls;              /* NULL = plain HTTP */
    struct plait_contents *contents;    /* NULL = not kept */
    struct plait_live *live;            /* which files are still being written */
    struct plait_streams *streams;
    bool dotfiles;
    bool listings;
    bool follow;         /* files that are being written, also for plain requests */
    atomic_bool leaving; /* no further request on any connection */
};

#endif
