/*
 * Telling others what is served here: a director (doc/director.md), and whoever asks on the local network.
 */
#ifndef PLAIT_SERVE_PUBLISH_H
#define PLAIT_SERVE_PUBLISH_H

#include <stdbool.h>
#include <stddef.h>

#include "contents.h"
#include "digest_cache.h"
#include "docroot.h"
#include "endpoint.h"
#include "err.h"
#include "loop.h"
#include "serve.h"
#include "sign.h"

struct plait_publish;

struct plait_publish_options {
    const struct plait_serve_options *serve; /* borrowed, as all here */
    const struct plait_serve_listener *listener;
    struct plait_loop *loop;
    const struct plait_docroot *root;
    struct plait_digest_cache *digests; /* or NULL */
    const struct plait_secret *secret;  /* for the director, or NULL; copied */
    const struct plait_endpoint *endpoints;
    size_t endpoint_count;
};

/* Whether anybody is to be told anything. */
bool plait_publish_is_wanted(const struct plait_serve_options *options);
/*
 * Begins, through *out also where it fails. PLAIT_ERR_FORMAT where an option cannot be, PLAIT_ERR_IO where something cannot be had; the listener has
 * been told.
 */
PLAIT_MUST_USE int plait_publish_new(struct plait_publish **out, const struct plait_publish_options *options);
/* What is told; NULL where nothing is. Lives as long as `p`. */
struct plait_contents *plait_publish_contents(const struct plait_publish *p);
/* To be called now and then. NULL is harmless, here and below. */
void plait_publish_refresh(struct plait_publish *p);
/* Nobody is to be sent here any more. */
void plait_publish_leave(struct plait_publish *p);
/*
 * After leave, and when the loop has been drained. False: the director's name is still being looked up, and the
 * process has to be left by _exit.
 */
bool plait_publish_free(struct plait_publish *p);

#endif
