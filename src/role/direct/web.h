/*
 * An HTTP server on the loop (libmicrohttpd), with bounds on everything a stranger could make grow: connections in all
 * and of one address, the head, the body, and the time for each.
 *
 * A request is shown twice: `head` when its head has come, where it may be answered at once, before a byte of its body is
 * read; and `whole` when the body is there as well. It has to be answered then or later, by plait_web_answer or
 * plait_web_stream, once. All happens on the loop's thread.
 */
#ifndef PLAIT_DIRECT_WEB_H
#define PLAIT_DIRECT_WEB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "err.h"
#include "loop.h"

#define PLAIT_WEB_TARGET_MAX 8192 /* bytes of a request's target */
#define PLAIT_WEB_FIELDS_MAX 8    /* that one answer adds */
#define PLAIT_WEB_HEAD_S     20   /* for a request's head, and for a connection to stay without one */
#define PLAIT_WEB_BODY_S     60   /* for a request's body, and for an answer to be taken */

struct plait_web;
struct plait_request;

struct plait_web_handler {
    void (*head)(void *ctx, struct plait_request *r);
    void (*whole)(void *ctx, struct plait_request *r);
};

struct plait_web_config {
    struct plait_loop *loop; /* borrows */
    const char *listen;      /* of plait_listener_config */
    unsigned total_max, per_address_max;
    size_t body_max;                         /* bytes; a longer one is answered 413 */
    const char *cert, *key, *client_ca;      /* PEM, not files; cert NULL: no TLS; borrowed until the end */
    const struct plait_web_handler *handler; /* borrows */
    void *ctx;
};

/* What a stream gives. */
struct plait_web_source {
    /* Up to `max` bytes; 0: none at present, plait_web_wake will tell; −1: the end. */
    ssize_t (*pull)(void *ctx, char *out, size_t max);
    /* The client has gone, or the end has come; `ctx` is not used again. */
    void (*gone)(void *ctx);
    void *ctx;
};

struct plait_web_field {
    const char *name, *value; /* a NULL value is left out */
};

/*
 * Returns owned, through *out. As plait_listener_open, and PLAIT_ERR_FORMAT with *tls for certificates that will not do;
 * then *out is closed already, and still to be freed (NULL with PLAIT_ERR_NOMEM).
 */
PLAIT_MUST_USE int plait_web_open(const struct plait_web_config *config, struct plait_web **out, bool *tls);
const struct sockaddr_storage *plait_web_address(const struct plait_web *w);
/* Connections there are. */
unsigned plait_web_count(const struct plait_web *w);
/* Accepts nobody any more, and closes what is not in the middle of an answer. */
void plait_web_stop(struct plait_web *w);
/* Closes every connection; no handler is called any more, sources are told. */
void plait_web_close(struct plait_web *w);
/* When the loop has been drained after close. NULL is harmless. */
void plait_web_free(struct plait_web *w);

/* Borrowed until the request is answered. */
const char *plait_request_method(const struct plait_request *r);
const char *plait_request_target(const struct plait_request *r); /* as it was sent: path and query */
/* "" where it is absent. */
const char *plait_request_field(struct plait_request *r, const char *name);
const char *plait_request_body(const struct plait_request *r, size_t *len);
/* The name that a verified client certificate gives (its common name), or "" where there is none. */
const char *plait_request_certificate(struct plait_request *r, char out[128]);
/* Whatever belongs to the request; `free` is called when it is over. */
void plait_request_set_data(struct plait_request *r, void *data, void (*free)(void *data));
void *plait_request_data(const struct plait_request *r);

/* Copies the body. `type` NULL: no body. A HEAD request gets everything but the body. */
void plait_web_answer(struct plait_request *r, unsigned status, const char *type, const char *body,
                      size_t len, const struct plait_web_field *fields, size_t field_count);
void plait_web_stream(struct plait_request *r, const char *type, const struct plait_web_source *source,
                      const struct plait_web_field *fields, size_t field_count);
/* The source of that request has something again. */
void plait_web_wake(struct plait_request *r);

#endif
