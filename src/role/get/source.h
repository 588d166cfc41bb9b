/*
 * A source: a URL that holds a copy of the stream, where redirects led from it, and which version it serves.
 *
 * A server behind one URL may be many machines. Where the ETag differs but Last-Modified does not, machines
 * of the same content are assumed that make their tags from what is not content: then the ETag is no longer
 * relied on.
 */
#ifndef PLAIT_GET_SOURCE_H
#define PLAIT_GET_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "digest.h"
#include "err.h"
#include "http.h"

#define PLAIT_SOURCE_VALIDATOR_MAX 512

enum plait_source_origin {
    PLAIT_SOURCE_USER,     /* named on the command line */
    PLAIT_SOURCE_DOCUMENT, /* in a Metalink document that was named there */
    PLAIT_SOURCE_LINK,     /* told by another source */
};

struct plait_source {
    char *url;      /* owned */
    char *shown;    /* the same without user and password */
    char *redirect; /* where the URL leads, or NULL */
    enum plait_source_origin origin;
    unsigned priority;
    bool answered;                         /* with an acceptable head, at least once */
    bool etag_differs;                     /* between machines: not to be relied on */
    bool heard;                            /* what it says of digests and of other sources was taken */
    unsigned refusals;                     /* since its last good answer */
    bool director_asked;                   /* whether its URL is a director's */
    bool served_part;                      /* answered with a part, at least once */
    char etag[PLAIT_SOURCE_VALIDATOR_MAX]; /* of the first good answer, or "" */
    char last_modified[PLAIT_SOURCE_VALIDATOR_MAX];
    bool last_modified_strong;
    uint64_t version;                   /* as told to the fetch; 0 = none */
    bool live;                          /* it is still being written there: no validators hold */
    uint64_t size;                      /* or UINT64_MAX */
    struct plait_digest claim;          /* the digest that it states */
    char reason[PLAIT_HTTP_REASON_MAX]; /* of its latest failure */
};

/* Copies the URL. PLAIT_ERR_NOMEM, PLAIT_ERR_FORMAT for what is no URL of http or https. */
PLAIT_MUST_USE int plait_source_init(struct plait_source *s, const char *url, enum plait_source_origin origin,
                                     unsigned priority);
void plait_source_done(struct plait_source *s);

/* Where the next request goes. */
const char *plait_source_address(const struct plait_source *s);
/* What to send as If-Range; NULL = nothing that would be sure. */
const char *plait_source_if_range(const struct plait_source *s);

/* Its strong ETag; NULL = none that could be relied on. */
const char *plait_source_strong_tag(const struct plait_source *s);

enum plait_source_judgement {
    PLAIT_SOURCE_SAME,  /* go on with `version` */
    PLAIT_SOURCE_AGAIN, /* a redirect led elsewhere than before, or a tag was not to be relied on: ask again
                         */
};
/*
 * A good head came for a request that was sent to `asked`. Learns validators and redirects; *version and
 * *strong are for the fetch.
 */
enum plait_source_judgement plait_source_on_head(struct plait_source *s, const char *asked,
                                                 const struct plait_http_head *head, uint64_t size,
                                                 uint64_t *version, bool *strong);
/*
 * The same where what is served is still being written (`live`), or sent as it is written, whose tag holds to its end.
 * True: the head is dealt with, and *version is for the fetch. False: it is a head like any other.
 */
bool plait_source_on_live_head(struct plait_source *s, const char *asked, const struct plait_http_head *head,
                               bool live, bool frames, uint64_t *version, bool *strong);
/* A request to `asked` failed for good. True: it went where a redirect had led; the URL itself may still do.
 */
bool plait_source_forget_redirect(struct plait_source *s, const char *asked);
/* The version that these validators stand for: a strong ETag, else Last-Modified, else a weak ETag; 0 = none. */
uint64_t plait_source_version(const char *etag, const char *last_modified);

#endif
