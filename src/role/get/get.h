/*
 * The role that fetches one stream from several sources over several routes, into a file or in order into a
 * pipe.
 *
 * plait_get_run does all of it and returns the exit status; it prints nothing. What people and logs want to
 * know is told to a listener, on the way and at the end.
 */
#ifndef PLAIT_ROLE_GET_H
#define PLAIT_ROLE_GET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "digest.h"
#include "fetch.h"

enum plait_get_exit {
    PLAIT_GET_DONE = 0,
    PLAIT_GET_FAILED = 1,  /* the network, or what has no status of its own */
    PLAIT_GET_USAGE = 2,   /* an argument that cannot be */
    PLAIT_GET_LOCAL = 3,   /* a file here: it exists, cannot be written, the disk is full */
    PLAIT_GET_SOURCES = 4, /* every source refused, or none could be reached */
    PLAIT_GET_CONTENT =
        5, /* the content is wrong: copies differ, a digest does not match, it changed meanwhile */
    PLAIT_GET_SIGNAL = 128 /* + the signal's number */
};

#define PLAIT_GET_BUFFER_MIN  (UINT64_C(1) * 1024 * 1024)
#define PLAIT_GET_BUFFER_MAX  (UINT64_C(64) * 1024 * 1024 * 1024)
#define PLAIT_GET_HEADERS_MAX 64
#define PLAIT_GET_PATTERN_MAX 60
#define PLAIT_GET_LINKS_MAX   32 /* sources that answers may add */

/* All borrowed until plait_get_run returns. */
struct plait_get_options {
    const char *const *urls; /* of http, https or plait, or names of local Metalink files; at least one. With
                                `servers` or `ask_lan` also names of streams */
    size_t url_count;
    const char
        *servers; /* a file of URLs, one in each line, that are asked for what is only named; or NULL */
    bool ask_lan; /* so is the local network */
    const char *const *routes; /* interface, local address, proxy URL, or "all" */
    size_t route_count;        /* 0 = as the system routes */
    const char *output; /* a file's name, "-" for standard output, NULL for a name of the server's making */
    bool force;         /* an existing file is replaced */
    struct plait_digest digest; /* that the whole must have; alg NONE = not known */
    const char *const *headers; /* whole lines to send with each request */
    size_t header_count;        /* at most PLAIT_GET_HEADERS_MAX */
    const char *user;           /* "name:password" for the servers that `urls` name, or NULL */
    const char *ca_file;        /* or NULL */
    bool netrc;
    bool insecure;
    double rate_limit;     /* bytes/s, 0 = none */
    uint64_t buffer_bytes; /* standard output: so much is kept in memory at most; 0 = the default, 64 MiB */
    unsigned connections;  /* per path at most; 0 = the default */
    unsigned redundant;    /* blocks that are pushed come from so many servers; 0 = one */
    bool ranges_only;      /* servers that take part in parallel HTTP are used like others */
    uint64_t give_up_ns;   /* without a byte for so long; 0 = the default */
    uint64_t progress_ns;  /* between two calls of listener.progress; 0 = never */
};

enum plait_get_phase {
    PLAIT_GET_PHASE_START, /* names, documents, the output */
    PLAIT_GET_PHASE_CHECK, /* what an earlier run left is read again: phase_done of phase_total bytes */
    PLAIT_GET_PHASE_FETCH,
    PLAIT_GET_PHASE_VERIFY, /* the digest of the whole: phase_done of phase_total bytes */
    PLAIT_GET_PHASE_STORE,  /* to disk, or out of the pipe */
    PLAIT_GET_PHASE_END,
};

/* All borrowed until the callback returns. */
struct plait_get_path {
    const char *source; /* its URL, without user and password */
    const char *route;  /* as it was given; "default" for the system's */
    const char *local;  /* the address of its latest connection, or "" */
    const char *reason; /* why it failed last, or "" */
    double average;     /* bytes/s since its first byte */
    struct plait_fetch_path_info info;
};

struct plait_get_progress {
    enum plait_get_phase phase;
    const char *output; /* "" as long as it has no name */
    uint64_t now, elapsed_ns;
    uint64_t phase_done, phase_total; /* bytes */
    uint64_t resumed;                 /* bytes that an earlier run had left, and that were good */
    uint64_t emitted;                 /* bytes that have left, for a pipe */
    struct plait_fetch_status fetch;  /* size UNKNOWN and zeros before there is one */
    char pattern[PLAIT_GET_PATTERN_MAX +
                 1]; /* the letters of the latest blocks of the plan; "" = none are pushed */
    const struct plait_get_path *paths;
    size_t path_count;
};

enum plait_get_event_kind {
    PLAIT_GET_EV_FETCH,     /* of the fetch: `fetch` */
    PLAIT_GET_EV_OUTPUT,    /* the file's name is `text` */
    PLAIT_GET_EV_RESUMED,   /* `bytes` are there from an earlier run */
    PLAIT_GET_EV_CONNECTED, /* `path` has a connection from the local address `text`; `bytes` is its round
                               trip, ns */
    PLAIT_GET_EV_ANSWER,    /* a request of `path` came to nothing: `text` says why */
    PLAIT_GET_EV_SOURCE,    /* a source was added: `text` is its URL */
    PLAIT_GET_EV_ROUTE_OUT, /* a route is left out: `text` says which and why */
    PLAIT_GET_EV_DIGEST,    /* a digest became known: `text` is algorithm=hex */
    PLAIT_GET_EV_REJECTED,  /* a piece at `offset` of `bytes` was wrong and is fetched again */
    PLAIT_GET_EV_RESTART,   /* begun anew: `text` says why */
};

struct plait_get_event {
    enum plait_get_event_kind kind;
    uint64_t at_ns; /* since the start */
    int path;       /* −1 = none */
    uint64_t offset, bytes;
    const char *text;
    const struct plait_fetch_event *fetch;
};

enum plait_get_digest_state {
    PLAIT_GET_DIGEST_NONE, /* none was known */
    PLAIT_GET_DIGEST_OPEN, /* known, but it did not come to comparing */
    PLAIT_GET_DIGEST_GOOD,
    PLAIT_GET_DIGEST_WRONG,
};

struct plait_get_result {
    int exit_status;
    enum plait_get_digest_state digest_state;
    enum plait_digest_alg digest_alg;
    const char *digest_origin; /* who told the digest; "" = nobody */
    const char *error;         /* what failed, where, and what to do; "" when nothing did */
    struct plait_get_progress totals;
};

enum plait_get_level { PLAIT_GET_ERROR, PLAIT_GET_WARNING, PLAIT_GET_NOTE };

/* Any of them may be NULL. */
struct plait_get_listener {
    void *ctx;
    void (*say)(void *ctx, enum plait_get_level level, const char *text);
    void (*event)(void *ctx, const struct plait_get_event *event);
    void (*progress)(void *ctx, const struct plait_get_progress *progress);
    void (*end)(void *ctx, const struct plait_get_result *result);
    /* A second signal came: leave at once with that exit status. */
    void (*leave)(void *ctx, int exit_status);
};

/*
 * Returns the exit status. *stuck tells that a thread still hangs in a write that nobody reads: then the
 * process can only be left by _exit.
 */
int plait_get_run(const struct plait_get_options *options, const struct plait_get_listener *listener,
                  bool *stuck);

#endif
