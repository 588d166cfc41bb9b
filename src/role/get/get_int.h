/*
 * Inside the role: what its parts share. Not for users of get.h.
 *
 *      get.c       the stages of a run, from the options to the exit status
 *      document.c  Metalink documents, local and remote, and Link fields: where sources come from
 *      output.c    the name, the sink, and what an earlier run left
 *      lanes.c     the fetch's commands become requests, responses go to the fetch
 *      director.c  directors: who holds the stream, at first and as it changes
 *      lan.c       the question to the local network
 *      name.c      a stream that is named without a server
 *      stream.c    what requests of streams say, and steering
 *      claim.c     the digest of a stream that was followed until it was closed
 *      doubt.c     whether what an earlier run left is still what the source has
 *      keep.c      the fetch's store, the journal, the digests
 *      tell.c      what people and logs get to know
 *
 * Theory of operation. Everything happens on one loop. Whatever an event has changed is dealt with in pump(),
 * which runs once at the end of it: callbacks from within curl only call the fetch and note what else is to
 * be done
 * (`ending`, `restart`, documents to ask for). A run goes through the stages in order; VERIFY goes back to
 * FETCH when the content was rejected, and any stage may go to STOP, where requests are dropped and the
 * threads come to an end.
 */
#ifndef PLAIT_GET_INT_H
#define PLAIT_GET_INT_H

#include "events.h"
#include "fetch.h"
#include "get.h"
#include "http.h"
#include "journal_file.h"
#include "loop.h"
#include "metalink.h"
#include "name.h"
#include "netlink.h"
#include "plait_field.h"
#include "resume.h"
#include "route.h"
#include "sink.h"
#include "source.h"
#include "verify.h"

#define DOCUMENTS_MAX      32
#define DOCUMENT_BYTES_MAX ((size_t)8 * 1024 * 1024)
#define LANES_TOTAL        (PLAIT_FETCH_PATHS_MAX * PLAIT_FETCH_LANES_MAX)
#define ERROR_MAX          2048

struct get_path {
    int source, route;
    char local[PLAIT_ADDRESS_TEXT_MAX];
    char reason[PLAIT_HTTP_REASON_MAX];
    bool told;                  /* that it does not answer */
    bool left;                  /* a director said that its source holds the stream no longer */
    uint64_t first_at, last_at; /* when its first and its latest bytes came; 0 = none yet */
    uint64_t bytes;             /* of bodies */
};

struct get_lane {
    struct plait_get *g;
    int id, path;
    struct plait_http_lane *http;
    char *asked; /* the URL of the request */
    bool had_head, whole, stream, tunnel;
    bool waits;  /* its next bytes lie beyond the window */
    uint64_t lo; /* asked for from here */
    uint64_t at;
    int status;
};

#define GET_DIRECTORS_MAX 8
#define GET_REACHES_MAX   64

struct get_director {
    struct plait_get *g;
    char *url, *shown; /* the latter without user and password */
    bool certain;      /* the user has said that it is one */
    bool good;         /* answers with events */
    bool heard;        /* has told a snapshot, since it was asked */
    bool over;         /* it is none */
    bool dropped;
    uint64_t asked_at;
    struct plait_http_lane *lane;
    struct plait_events_reader reader;
    char reason[PLAIT_HTTP_REASON_MAX];
};

/* What a relay reaches that a director told of. */
struct get_reach {
    char *texts[GET_REACHES_MAX];
    size_t count;
};

/* Steers one source, over one connection. */
struct get_steer {
    struct plait_get *g;
    struct plait_http_lane *http; /* a connection of its own; NULL = none yet */
    int path;                     /* that it goes over */
    uint32_t serial;
    bool answered;
    enum plait_fetch_steered how;
    uint64_t at;
    uint64_t asked_ns; /* when it was last asked something */
};

/* A Metalink document that is being fetched, or waits for that. */
struct get_document {
    char *url, *shown; /* the latter without user and password */
    bool from_link;    /* told by a source, not by the user */
    size_t route;      /* that is tried */
    uint8_t *bytes;
    size_t len;
    char reason[PLAIT_HTTP_REASON_MAX];
    bool good_head;
};

/* One block of an earlier run is compared with the source. */
struct get_doubt {
    enum { DOUBT_NONE, DOUBT_DUE, DOUBT_ASKED, DOUBT_OVER } state;
    int path;
    uint64_t at, hi; /* still to be compared */
    uint64_t asked;
    struct plait_http_lane *lane;
};

/* Of a stream that was followed until it was closed: its digest is asked for, which a server may need time for. */
struct get_claim {
    struct plait_http_lane *lane;
    int path; /* that it is asked over */
    bool asked;
    uint64_t until, again; /* when it is given up; when it is asked again. 0 = not begun */
};

enum get_stage { STAGE_START, STAGE_CHECK, STAGE_FETCH, STAGE_VERIFY, STAGE_STORE, STAGE_STOP };

enum get_digest_origin { DIGEST_NOBODY, DIGEST_USER, DIGEST_DOCUMENT, DIGEST_SERVER };

struct plait_get {
    const struct plait_get_options *opt;
    const struct plait_get_listener *listener;
    struct plait_loop loop;
    struct plait_timer deadline, progress, tick, force;
    uint64_t ticked; /* when the journal was last looked at */
    struct plait_signal interrupts[2];
    unsigned interrupts_open;
    int signal;
    uint64_t started;
    enum get_stage stage;

    struct plait_http *http;
    struct plait_netlink_monitor *monitor;
    struct plait_routes routes;
    struct plait_source sources[PLAIT_FETCH_SOURCES_MAX];
    int source_count;
    unsigned links_added;
    struct get_path paths[PLAIT_FETCH_PATHS_MAX];
    int path_count;
    struct get_lane *lanes[LANES_TOTAL];
    bool lanes_wait;                                  /* some, for the window to move */
    struct get_director directors[GET_DIRECTORS_MAX]; /* asked one after the other */
    size_t director_count, director_at;
    uint64_t director_after, director_again_ns;  /* the next is not asked before; and how long to wait */
    bool director_heard, directors_failed;       /* some has told of sources; all were asked in vain */
    struct get_lan *lan;                         /* owned; NULL = is not asked */
    struct get_reach *reaches[PLAIT_ROUTES_MAX]; /* NULL = everything */
    uint8_t group[PLAIT_GROUP_ID_BYTES];         /* of this transfer's streams */
    bool has_group;
    struct get_steer *steers[PLAIT_FETCH_SOURCES_MAX][PLAIT_FETCH_STEERS_MAX];

    char document_shown[PLAIT_HTTP_REASON_MAX]; /* the latest that was used */
    struct get_document documents[DOCUMENTS_MAX];
    size_t document_count, document_next; /* `next` is the one that is being fetched */
    struct plait_http_lane *document_lane;
    struct plait_metalink metalinks[DOCUMENTS_MAX]; /* kept: pieces are borrowed from them */
    size_t metalink_count;
    const struct plait_metalink_pieces *piece_list;

    struct plait_fetch *fetch;
    struct plait_fetch_status status; /* of the latest look */
    bool followed;                    /* it was being written when the fetch began */
    struct get_claim claim;
    uint64_t known_size; /* from a document; or PLAIT_FETCH_UNKNOWN */
    bool condemned;      /* some source was, for its content */

    char *name;          /* of the file; NULL = not yet known */
    char *proposed_name; /* by a document */
    struct plait_sink *sink;
    int opened_fd; /* for a pipe that is not standard output; or −1 */
    uint64_t window_bytes, emitted;
    bool sink_finishing, sink_failed;

    struct plait_resume resume;
    bool resume_loaded, resume_used;
    bool confirmed; /* a source still has the version that the journal knows */
    uint64_t resumed_bytes;
    struct get_doubt doubt;
    bool name_found;     /* stop and look at what an earlier run left under the name that just became known */
    const char *restart; /* begin anew; why */
    int document_found;  /* a source that turned out to be a Metalink document; or −1 */

    struct plait_journal_file *journal;
    struct plait_digest digest;
    enum get_digest_origin digest_origin;
    char digest_teller[PLAIT_HTTP_REASON_MAX];
    enum plait_get_digest_state digest_state;
    bool claims_differ;
    struct plait_chaser chaser;
    bool chasing;
    struct plait_pieces pieces;
    bool have_pieces;
    uint64_t watched_size; /* the journal and the pieces are for this; or PLAIT_FETCH_UNKNOWN */
    bool watch_stale;

    bool ending;
    int exit_status;
    char error[ERROR_MAX];
};

/* get.c */
/* The run ends with that status. The first one to say so counts. */
void get_end(struct plait_get *g, int exit_status, const char *format, ...) PLAIT_PRINTF(3, 4);
/* Documents are there: on to the output. */
void get_have_sources(struct plait_get *g);
/* The output is there: on to the fetch. */
void get_begin_fetch(struct plait_get *g);
/* The paths of one source, as far as there is room for them. False: there was not. */
bool get_add_paths(struct plait_get *g, int source);
/* To the fetch again, after verifying. */
void get_back_to_fetch(struct plait_get *g);

/* document.c */
/* The options' URLs become sources and documents. */
void get_take_urls(struct plait_get *g);
/* The next document is asked for, if one waits and none is on its way. */
void get_ask_documents(struct plait_get *g);
bool get_documents_pending(const struct plait_get *g);
void get_drop_documents(struct plait_get *g);
bool get_is_metalink_type(const struct plait_http_head *head);
/* The source that was found to be a document is one from now on. */
void get_turn_into_document(struct plait_get *g);
/* What the first good answer of a source says of others: Link, and digests. */
void get_read_claims(struct plait_get *g, int path, const struct plait_http_head *head);

/* output.c */
void get_open_output(struct plait_get *g);
/* A good answer came: the name is known now, if it was not. False: the answer is not to be used. */
bool get_name_output(struct plait_get *g, const struct plait_http_head *head);
void get_close_output(struct plait_get *g, bool keep);
/* What was found under the name is read (see name_found). */
void get_check_left(struct plait_get *g);
void get_start_anew(struct plait_get *g);

/* lanes.c */
void get_do_command(struct plait_get *g, const struct plait_fetch_cmd *cmd);
void get_drop_lanes(struct plait_get *g);
void get_free_lanes(struct plait_get *g);
/* Lanes whose bytes lay beyond the window go on where there is room now. */
void get_resume_lanes(struct plait_get *g);
/* Tells the fetch that lanes which have to wait are not silent by themselves. */
void get_excuse_lanes(struct plait_get *g);
/* Interfaces came or went. */
void get_look_at_routes(struct plait_get *g);
/* Headers and user for a request to `url`; returns how many headers were put into `out`. */
size_t get_headers_for(const struct plait_get *g, const char *url, const char **out, const char **user);

/* A director tells of a source: it is added, also to a fetch that runs, or comes back. */
void get_director_source(struct plait_get *g, const char *url, bool secure, unsigned priority);
/* It holds the stream no longer. */
void get_source_left(struct plait_get *g, const char *url);

/* director.c */
bool get_is_director_url(const char *url);
/* `certain`: it is one; otherwise it is asked. PLAIT_ERR_LIMIT, PLAIT_ERR_FORMAT, PLAIT_ERR_NOMEM. */
int get_add_director(struct plait_get *g, const char *url, bool certain);
/* A director that was named has not yet answered. */
bool get_directors_pending(const struct plait_get *g);
/* The next one is asked, if it is time. */
void get_ask_directors(struct plait_get *g);
/* Why there is nothing to be had from them. */
const char *get_director_reason(const struct plait_get *g, const char **shown);
/* Whether the route, if a director told of it, leads to the source. */
bool get_route_reaches(const struct plait_get *g, size_t route, int source);
void get_drop_directors(struct plait_get *g);
void get_free_directors(struct plait_get *g);

/* lan.c */
/* Once. */
void get_ask_lan(struct plait_get *g, const char *name);
/* Answers may still come. */
bool get_lan_pending(const struct plait_get *g);
void get_close_lan(struct plait_get *g);

/* name.c */
void get_take_name(struct plait_get *g, const char *name);

/* stream.c */
#define GET_STREAM_HEADERS_MAX 8
#define GET_STREAM_TEXT_MAX    (PLAIT_FIELD_BLOCKS_SIZE + PLAIT_PATTERN_LETTERS_MAX + 1024)
/* A random id for this transfer. False: there is none, and no streams. */
bool get_make_group(struct plait_get *g);
/* The fields of a request of streams, written into `text`; puts them after the `count` in `out` and returns how many
 * there are now; 0 where they do not fit. */
size_t get_stream_headers(const struct plait_get *g, const struct plait_source *source,
                          const struct plait_fetch_stream *stream, bool opens, char text[GET_STREAM_TEXT_MAX],
                          const char **out, size_t count);
void get_steer(struct plait_get *g, const struct plait_fetch_cmd *cmd);
void get_drop_steers(struct plait_get *g);
void get_free_steers(struct plait_get *g);

/* doubt.c */
/* A part came over `path`: compare what an earlier run left, once. */
void get_doubt_resume(struct plait_get *g, int path);
void get_ask_doubt(struct plait_get *g);
bool get_is_doubt_open(const struct plait_get *g);
void get_drop_doubt(struct plait_get *g);

/* claim.c */
/* Asks for the digest, if it is to be waited for; false where it is not (any more). */
bool get_await_claim(struct plait_get *g);
void get_drop_claim(struct plait_get *g);

/* keep.c */
struct plait_fetch_store get_store(struct plait_get *g);
/* A digest became known. Ignored where a better one is. */
void get_know_digest(struct plait_get *g, const struct plait_digest *digest, enum get_digest_origin origin,
                     const char *teller);
/* After each event: the journal, the chaser, the pieces, the pipe. */
void get_keep_up(struct plait_get *g);
void get_free_keepers(struct plait_get *g);
bool get_is_verified(struct plait_get *g);
void get_judge_pipe(struct plait_get *g);
bool get_keepers_busy(const struct plait_get *g);
void get_cancel_keepers(struct plait_get *g);

/* tell.c */
void get_say(struct plait_get *g, enum plait_get_level level, const char *format, ...) PLAIT_PRINTF(3, 4);
void get_tell(struct plait_get *g, enum plait_get_event_kind kind, int path, uint64_t bytes,
              const char *text);
void get_tell_progress(struct plait_get *g);
void get_tell_end(struct plait_get *g);
/* The fetch's own events, also in words. */
void get_tell_fetch_events(struct plait_get *g);
/* The fetch has failed: ends the run with what is to be said of it. */
void get_blame(struct plait_get *g);

#endif
