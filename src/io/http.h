/*
 * A client for HTTP/1.1 on the loop (libcurl's multi interface).
 *
 * A *lane* carries one request at a time and owns its connection: connections are kept in a cache of the lane
 * alone, and before each request it is made sure that the connection which curl has chosen is one that this
 * lane opened, and that it leaves where the lane was told to. Redirects are followed, at most
 * PLAIT_HTTP_REDIRECTS_MAX of them.
 *
 * Events come in the order connected (only for a new connection), head, data …, end. `connected`, `head` and
 * `data` are called from within curl: they may not call functions of this file; returning false (or DROP)
 * from one drops the connection, the lane is idle again, and no `end` follows. From `end` on everything may
 * be called.
 *
 * Nothing that a server sends is trusted: fields are bounded, controls in them make them absent.
 */
#ifndef PLAIT_IO_HTTP_H
#define PLAIT_IO_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "egress.h"
#include "err.h"
#include "loop.h"

#define PLAIT_HTTP_REDIRECTS_MAX 10
#define PLAIT_HTTP_REASON_MAX    256
/* All fields of one response together, in bytes; what goes beyond is as if it had not been sent. */
#define PLAIT_HTTP_HEAD_MAX      (16 * 1024)

struct plait_http;
struct plait_http_lane;

struct plait_http_config {
    struct plait_loop *loop;     /* borrows */
    const char *agent;           /* User-Agent; borrows */
    const char *ca_file;         /* PEM, in place of the system's; or NULL; borrows */
    bool insecure;               /* take any certificate */
    bool netrc;                  /* look for users in ~/.netrc */
    unsigned connect_timeout_ms; /* for name, TCP and TLS together; > 0 */
    size_t buffer_bytes;         /* read at most so much of a connection at once; 0 = the default, 512 KiB */
    double rate;                 /* bytes/s of all bodies together, 0 = no limit */
};

enum plait_http_field {
    PLAIT_HTTP_ETAG,
    PLAIT_HTTP_LAST_MODIFIED,
    PLAIT_HTTP_DATE,
    PLAIT_HTTP_CONTENT_RANGE,
    PLAIT_HTTP_CONTENT_LENGTH,
    PLAIT_HTTP_CONTENT_TYPE,
    PLAIT_HTTP_CONTENT_ENCODING,
    PLAIT_HTTP_TRANSFER_ENCODING,
    PLAIT_HTTP_CONTENT_DISPOSITION,
    PLAIT_HTTP_RETRY_AFTER,
    PLAIT_HTTP_DIGEST,
    PLAIT_HTTP_REPR_DIGEST,
    PLAIT_HTTP_LINK,
    PLAIT_HTTP_PLAIT,
    PLAIT_HTTP_PLAIT_BLOCK,
    PLAIT_HTTP_PLAIT_SIZE,
    PLAIT_HTTP_PLAIT_AT,
    PLAIT_HTTP_PLAIT_LIVE,
    PLAIT_HTTP_FIELDS
};

struct plait_http_head {
    int status;      /* 100–999 */
    const char *url; /* that answered, after redirects; borrowed until the callback returns */
    size_t used;
    struct {
        size_t at, len;
        bool spoilt; /* sent twice with different values, too long, or with a control character: absent */
    } fields[PLAIT_HTTP_FIELDS];
    char text[PLAIT_HTTP_HEAD_MAX];
};

/* The value of a field, terminated; "" where it is absent. Values of a list sent in several lines are joined.
 */
const char *plait_http_head_get(const struct plait_http_head *head, enum plait_http_field field, size_t *len);

struct plait_http_connected {
    uint64_t rtt_ns;   /* of the TCP handshake with the server; 0 = unknown, as through a proxy */
    const char *local; /* the address it leaves from, as text */
};

enum plait_http_fail {
    PLAIT_HTTP_OK,
    PLAIT_HTTP_FAIL_NAME,      /* the host's name could not be resolved */
    PLAIT_HTTP_FAIL_CONNECT,   /* refused, unreachable, timed out */
    PLAIT_HTTP_FAIL_EGRESS,    /* the lane's way out cannot be used: `egress` */
    PLAIT_HTTP_FAIL_TLS,       /* the server's certificate or its TLS will not do */
    PLAIT_HTTP_FAIL_PROXY,     /* the proxy could not be reached, or could not reach the server */
    PLAIT_HTTP_FAIL_FORBIDDEN, /* the proxy will not serve us */
    PLAIT_HTTP_FAIL_BROKEN,    /* the connection broke, or the body was malformed */
    PLAIT_HTTP_FAIL_MALFORMED, /* what answered does not speak HTTP */
    PLAIT_HTTP_FAIL_REDIRECT,  /* too many redirects, or to somewhere we do not go */
    PLAIT_HTTP_FAIL_URL,       /* not a URL of http or https */
    PLAIT_HTTP_FAIL_LOCAL,     /* out of memory or descriptors */
};

struct plait_http_end {
    enum plait_http_fail fail;
    enum plait_egress_fail egress;
    int os_errno;       /* 0 = none known */
    const char *reason; /* for people, one line; borrowed until the callback returns */
};

enum plait_http_take {
    PLAIT_HTTP_TAKEN,
    PLAIT_HTTP_DROP,  /* as false from the others */
    PLAIT_HTTP_LATER, /* nothing was taken: the same bytes come again after plait_http_lane_resume */
};

struct plait_http_events {
    bool (*connected)(void *ctx, const struct plait_http_connected *connected);
    bool (*head)(void *ctx, const struct plait_http_head *head);
    enum plait_http_take (*data)(void *ctx, const uint8_t *bytes, size_t len);
    void (*end)(void *ctx, const struct plait_http_end *end);
};

#define PLAIT_HTTP_NO_RANGE UINT64_MAX

struct plait_http_request {
    const char *url;
    const char *user;           /* "name:password" or NULL */
    const char *const *headers; /* whole lines, `header_count` of them */
    size_t header_count;
    const char *if_range; /* a strong validator, or NULL */
    uint64_t lo;          /* Range: from lo to before hi; lo NO_RANGE: none; hi NO_RANGE: to the end */
    uint64_t hi;
    bool tunnel; /* through a proxy of http: by CONNECT, also to servers of http */
    bool post;   /* a POST without a body, in place of a GET; `lo` is NO_RANGE */
};

/* Returns owned, or NULL (out of memory). */
struct plait_http *plait_http_new(const struct plait_http_config *config);
/* After its lanes; the memory goes when the loop has been drained. */
void plait_http_free(struct plait_http *h);

/*
 * Returns owned, or NULL (out of memory). Borrows events, ctx, egress (NULL = the system's routing) and
 * proxy, a URL through which all goes (NULL = as the environment says).
 */
struct plait_http_lane *plait_http_lane_new(struct plait_http *h, const struct plait_http_events *events,
                                            void *ctx, const struct plait_egress *egress, const char *proxy);
void plait_http_lane_free(struct plait_http_lane *lane);
/* The lane must be idle. Copies the request. PLAIT_ERR_NOMEM; PLAIT_ERR_STATE while a request runs. */
PLAIT_MUST_USE int plait_http_lane_get(struct plait_http_lane *lane,
                                       const struct plait_http_request *request);
/* Drops the request, if one runs, and the connection; no event follows. */
void plait_http_lane_drop(struct plait_http_lane *lane);
/* After LATER. `data` may be called from within. */
void plait_http_lane_resume(struct plait_http_lane *lane);
bool plait_http_lane_is_busy(const struct plait_http_lane *lane);

#endif
