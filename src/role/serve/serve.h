/*
 * The role that serves a directory over HTTP/1.1.
 *
 * plait_serve_run does all of it, from listening to leaving, and prints nothing: what people want to know is
 * told to a listener.
 */
#ifndef PLAIT_ROLE_SERVE_H
#define PLAIT_ROLE_SERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "access_log.h"

#define PLAIT_SERVE_LISTEN_MAX  32
#define PLAIT_SERVE_THREADS_MAX 64

enum plait_serve_exit {
    PLAIT_SERVE_DONE = 0,   /* asked to leave by SIGINT or SIGTERM */
    PLAIT_SERVE_FAILED = 1, /* an address, a file or a right that could not be had */
    PLAIT_SERVE_USAGE = 2,  /* an argument that cannot be */
};

/* All borrowed until plait_serve_run returns. */
struct plait_serve_options {
    const char *dir;
    const char *const *listen;      /* as plait_endpoint_listen takes them */
    size_t listen_count;            /* 0 = port 8080 of every address */
    const char *tls_cert, *tls_key; /* PEM; both, or neither for plain HTTP */
    const char *access_log;         /* a path, "-" for standard output, NULL for none */
    enum plait_access_format access_format;
    const char *user;        /* to become; NULL = nobody if we are root, else whoever we are */
    const char *digest_file; /* where digests are kept from one run to the next, or NULL */
    bool no_digests;
    bool no_listings;
    bool dotfiles;
    bool follow;      /* plain requests for a file that is being written are answered until it is closed */
    unsigned threads; /* 0 = one for each processor */
    unsigned connections;             /* at once; 0 = the default, 4096 */
    unsigned connections_per_address; /* of them; 0 = no such limit */
    unsigned groups;                  /* transfers of blocks at once; 0 = the default, 1024 */
    uint64_t head_timeout_ns;         /* for a request to arrive; 0 = the default, 20 s */
    uint64_t idle_timeout_ns;         /* between requests; 0 = the default, 60 s */
    uint64_t
        stall_timeout_ns; /* for a client that takes nothing; 0 = the default, 120 s; rounded up to seconds */
    uint64_t grace_ns;    /* for answers under way when asked to leave */
    const char *const *directors; /* URLs of one director, to register with */
    size_t director_count;
    const char *secret_file;          /* of sign.h, for the director; only the first secret counts */
    const char *cert_file, *key_file; /* PEM, to prove ourselves to a director with TLS; or NULL */
    const char *ca_file; /* that the director's certificate is checked against; NULL: the system's */
    const char *url;     /* where clients reach us; NULL: the first address, unless it is all */
    const char *name;    /* our id at the director; NULL: made of host and port */
    unsigned ttl_ms;     /* after which a director may forget us; 0 = the default */
    bool answer_lan;     /* questions on the local network */
};

struct plait_serve_start {
    const char *dir;
    const char *scheme;           /* "http" or "https" */
    const char *user;             /* as whom, "" if it has no name */
    const char *const *addresses; /* bound, `ADDR:PORT`; IPv6 in brackets */
    const uint16_t *ports;
    size_t count;
};

enum plait_serve_level { PLAIT_SERVE_ERROR, PLAIT_SERVE_WARNING, PLAIT_SERVE_NOTE };

struct plait_serve_listener {
    void *ctx;
    void (*say)(void *ctx, enum plait_serve_level level, const char *text); /* from any thread */
    void (*started)(void *ctx, const struct plait_serve_start *start); /* requests are answered from now on */
};

/* Returns the exit status. For a process that does nothing else: it handles signals and gives up privileges.
 */
int plait_serve_run(const struct plait_serve_options *options, const struct plait_serve_listener *listener);

#endif
