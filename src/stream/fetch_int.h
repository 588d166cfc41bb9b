/*
 * Inside the fetch: the state that its parts share. Not for users of fetch.h.
 *
 *      fetch.c        the doors: what comes in, what goes out, bytes into the map
 *      fetch_answer.c what a server answers to a request: taken, refused, understood
 *      fetch_path.c   paths and sources: how fast, silent or gone, how many lanes, when to try again
 *      fetch_pace.c   how long things will take
 *      fetch_plan.c   what a free lane does next: first pieces, audits, chunks, stealing, endgame
 *      fetch_check.c  copies compared; who is believed
 *      fetch_live.c   a stream that is still being written
 *      fetch_push.h   streams, see there
 */
#ifndef PLAIT_STREAM_FETCH_INT_H
#define PLAIT_STREAM_FETCH_INT_H

#include "blockmap.h"
#include "estimator.h"
#include "fetch.h"
#include "frame.h"
#include "plait_field.h"
#include "prng.h"
#include "units.h"

#define CHECKS_MAX      16
#define CHECK_BYTES_MAX ((uint64_t)(16 * PLAIT_KIB))
#define SEAM_BYTES      ((uint64_t)(4 * PLAIT_KIB))
#define AUDIT_BYTES     ((size_t)(8 * PLAIT_KIB))
#define AUDIT_EVERY     (4 * PLAIT_MIB)
#define EVENTS_MAX      64
#define PINS_MAX        16
#define STRIKES_MAX     3 /* malformed answers before a source is left out */
/* Owners of kept bytes: a source, or (an earlier run had it from) source OWNER_RESUMED + 1 + source. */
#define OWNER_RESUMED   PLAIT_FETCH_SOURCES_MAX
#define NO_CHECK        (-1)
#define NO_LANE         (-1)
/* Owners of taken bytes from here on are letters. */
#define OWNER_LETTER    (PLAIT_FETCH_PATHS_MAX * PLAIT_FETCH_LANES_MAX)
#define NO_LETTER       (-1)
#define LETTER_NOBODY   (PLAIT_LETTERS - 1u) /* in a plan: the block is not pushed */
#define LETTERS_MAX     (PLAIT_LETTERS - 1u)
#define PLAN_BLOCKS     8192u /* of which the plan is remembered */
#define ASKED_MAX       256u
#define TELLINGS_MAX    (PLAIT_FETCH_STEERS_MAX - 1u)

enum lane_state {
    LANE_IDLE,    /* no request */
    LANE_OPENING, /* asked, no head yet */
    LANE_BODY,    /* bytes are coming */
    LANE_DRAIN,   /* bytes are coming that nobody wants */
    LANE_WAIT,    /* a stream that has nothing to send now */
};

struct lane {
    enum lane_state state;
    bool connected;  /* its connection can be used again */
    bool close_due;  /* a CLOSE is to be sent */
    bool whole;      /* the answer is the stream from 0 on, whatever was asked */
    bool given_up;   /* silent: its bytes were given to others, but may still come */
    bool probe;      /* asks for bytes without owning them: the path is on trial, or they are doubled */
    bool doubled;    /* its rest is also asked for elsewhere */
    bool stream;     /* frames; `streams` has more of it */
    bool look;       /* asks how far a live stream has got */
    unsigned thefts; /* how often its bytes were taken from one lane for the next */
    int check;       /* what [asked_lo, lo) is compared for, or NO_CHECK */
    uint64_t asked_lo, asked_hi;
    uint64_t lo, hi;     /* wanted: lo >= asked_lo; hi shrinks when the tail is stolen */
    uint64_t at;         /* next offset of the body */
    uint64_t ended;      /* IDLE: since when */
    uint64_t opened;     /* when it was asked, or its connection stood */
    uint64_t body_since; /* when its first byte came */
    uint64_t last_arrival;
    uint64_t there;             /* look: what its source had shown to have when it was asked */
    double pace;                /* bytes/s of the last whole answer on this connection, 0 = unknown */
    struct plait_estimator est; /* of the present answer */
};

struct path {
    int source;
    enum plait_fetch_path_state state;
    struct plait_estimator est;
    struct lane lanes[PLAIT_FETCH_LANES_MAX];
    unsigned lanes_want, lanes_cap;
    uint64_t lag_ns;    /* from asking to the first byte, smoothed; 0 = unknown */
    uint64_t waited_ns; /* for the first connection, in vain so far */
    bool tried;         /* whether more connections bring more was tried */
    bool trial_pays;    /* a trial has brought more */
    unsigned trial_lanes;
    double trial_rate;   /* before the trial that is running; 0 = none */
    double peak_rate;    /* the best estimate so far */
    uint64_t fell_since; /* how long it has been clearly below that */
    uint64_t lag_min_ns; /* the least of it: no queue in the way */
    uint64_t grow_at;    /* when to look again whether more lanes help */
    uint64_t first_byte; /* when the first body byte came, 0 = not yet */
    uint64_t retry_at;   /* WAIT, SILENT */
    unsigned fails;      /* since the last useful byte */
    unsigned errors;     /* ever */
    bool reached;        /* has answered at least once */
    bool retry_due;      /* WAIT, SILENT: its time has come, one lane may try */
    uint64_t kept_bytes, dup_bytes, check_bytes;
    int letter;      /* NO_LETTER until its first stream */
    bool own_letter; /* not shared with the source's other paths */
};

/* What a lane that is a stream has beside. */
struct stream {
    struct plait_frame_decoder decoder;
    uint64_t below; /* what the source gave to this connection below that block has come */
    unsigned blocks, strays;
};

/* Who pushes; what is planned for it are the bytes that OWNER_LETTER + its number has taken. */
struct letter {
    int source;
    bool up;        /* a stream of it is open */
    uint64_t up_at; /* since when, if it is answered; PLAIT_NEVER = not yet */
    uint64_t due_bytes;
    uint64_t copy_bytes; /* that others bring as well, and that are not here from it */
    uint64_t last;       /* one past the highest block that came */
    double rate;         /* bytes/s over some intervals, 0 = not yet known */
    double
        odd_rate; /* of the last interval, when it was quite another one and may be a burst; 0 = it was not */
    double steady_rate;  /* over some seconds, 0 = not yet known */
    uint64_t came_bytes; /* over its streams, since rated_at */
    uint64_t rated_at;
    uint64_t hole;       /* the lowest block that seems to have been left out, and since when */
    uint64_t hole_since; /* PLAIT_NEVER = none */
    uint64_t slow_since; /* it has too much for its rate; 0 = it has not */
    uint64_t lost_at;    /* when a connection was lost, and */
    uint64_t failed_at;  /* blocks left out although none was; 0 = never */
    struct plait_span asked[ASKED_MAX]; /* by name, the latest */
    unsigned asked_count;
    uint64_t asked_until; /* before, they may be on their way */
    uint64_t came_at;     /* when the latest byte came over its streams */
    uint64_t brought_at;  /* the same, of bytes that were wanted; or when its first stream was answered */
    uint64_t late;        /* live: the first block that is there and due, and since when that is so */
    uint64_t late_since;
    uint64_t aside_until; /* live: it had nothing to say when it should have: no more is planned for it */
    uint64_t aside_ns;
};

enum steer_kind { STEER_NONE, STEER_EXTEND, STEER_CUT, STEER_ASK };

/* A part of the plan that a source was told, and has not answered: what comes after that does not wait for it. */
struct telling {
    uint32_t serial;
    struct plait_span span;
    uint64_t sent_at;
    unsigned fails;
    bool idle;  /* it says nothing new */
    bool again; /* in vain: to be told once more */
};

/* What a source is told, one thing at a time but for tellings. */
struct steer {
    enum steer_kind kind; /* waits to be sent, or for its answer */
    bool sent;
    bool idle; /* EXTEND: it says nothing new, and is only to make a connection */
    uint32_t serial;
    uint64_t sent_at, not_before, took_ns;
    unsigned fails;
    int path;            /* that it went over */
    int mute;            /* one that was in vain, */
    uint64_t mute_since; /* at that time; 0 = none */
    uint64_t told;       /* the plan below this block */
    struct plait_span span;
    uint8_t letter; /* ASK, CUT */
    struct plait_span blocks[PLAIT_BLOCKS_MAX];
    size_t block_count;
    uint64_t cut_at; /* when the last cut was decided; 0 = never */
    bool released;   /* CUT: what it gives up is others' already, though it has not answered yet */
    bool patterned;  /* it was told a pattern: none means to go on with that */
    struct telling tellings[TELLINGS_MAX];
    unsigned telling_count;
};

struct push {
    uint32_t block_bytes;       /* 0 = not begun */
    uint64_t end;               /* one past the last block that is planned */
    uint8_t plan[PLAN_BLOCKS];  /* letters, by block modulo PLAN_BLOCKS */
    uint64_t also[PLAN_BLOCKS]; /* bits of letters that push it as well */
    uint8_t
        past[PLAN_BLOCKS]; /* the letter from which it was taken back, and which may send it all the same */
    struct letter letters[LETTERS_MAX];
    int letter_count;
    struct stream *streams; /* owned; one for each lane, or NULL */
    uint32_t serial;
    uint64_t doubled_bytes;
    uint8_t pattern[PLAIT_PATTERN_LETTERS_MAX]; /* of the latest command */
};

enum ranges { RANGES_UNKNOWN, RANGES_YES, RANGES_NO };

struct source {
    unsigned priority;
    enum ranges ranges;
    bool out;       /* refused, or its content is condemned */
    bool condemned; /* its content is wrong: bytes were taken back */
    bool benched;   /* differs from the sources now believed; comes back if the digest says that those were
                       wrong */
    bool held;      /* states another size; gets no work until that is decided */
    bool vetted;    /* was compared with another source and agreed */
    unsigned vet_tries;
    uint64_t held_since;
    uint64_t size; /* as stated */
    uint64_t version;
    bool version_strong;
    unsigned strikes;
    uint64_t kept_bytes;
    bool takes_part; /* in parallel HTTP */
    bool no_stream;  /* it did not do as it was asked: ranges only */
    unsigned stream_fails;
    uint64_t stream_after; /* no stream is opened before */
    struct steer steer;
    bool closed;           /* live: it says that the stream is not written any more, and has `there` bytes */
    bool behind;           /* it did not have what it was last asked for */
    bool ended;            /* its streams came to the end of all */
    bool left;             /* some of its bytes have left, and it is not known any more which */
    uint64_t there;        /* live: so much of it the source has, as it says or has shown */
    uint64_t live_version; /* of its streams; 0 = not known yet */
    uint64_t agreed_bytes; /* that came again and were the same */
    uint64_t told_at;      /* when it last said how much there is */
    bool look_due;         /* it is asked how far it has got, at once */
    uint64_t look_at;      /* the next time, where there is reason to */
};

/* A block that comes twice and is compared: `a` is the copy that is kept, `b` the one that was asked for only
 * to compare. */
struct check {
    bool used;
    bool vote;    /* belongs to the tribunal */
    bool audit;   /* waits for, or is, a request of its own */
    bool waiting; /* audit: no lane has it yet */
    int source_a; /* PLAIT_FETCH_NO_SOURCE until its first byte */
    int source_b;
    int meant_a; /* audit: the source that was to bring the kept copy when it was planned */
    uint64_t lo;
    size_t len, a_have, b_have;
    uint8_t a[CHECK_BYTES_MAX], b[CHECK_BYTES_MAX];
};

/* Two sources differ in a block; the others are asked for it and the majority is believed. */
struct tribunal {
    bool active;
    int source_a, source_b;
    unsigned votes_a, votes_b;
    uint64_t lo, since;
    size_t len;
    bool asked[PLAIT_FETCH_SOURCES_MAX], voted[PLAIT_FETCH_SOURCES_MAX];
    uint8_t a[CHECK_BYTES_MAX], b[CHECK_BYTES_MAX];
};

/* A stream that is still being written. */
struct live {
    bool on;
    int first;      /* the source that said so first */
    uint64_t there; /* that much of it is known to be there, at some source */
    double growth;  /* bytes/s, 0 = not known yet */
    uint64_t since; /* the growth is counted from here, and from this much */
    uint64_t from;
    uint64_t moved_at;     /* when the latest new byte came */
    uint64_t ending_since; /* since some source was closed; 0 = none is */
    uint64_t merged;       /* below, it is not known any more who brought what */
};

/* Bytes that must all come from one source, because a mixture was wrong. */
struct pin {
    uint64_t lo, hi;
    int source;
};

struct plait_fetch {
    struct plait_fetch_config config;
    struct plait_blockmap map;
    struct plait_prng prng;

    struct source sources[PLAIT_FETCH_SOURCES_MAX];
    int source_count;
    struct path paths[PLAIT_FETCH_PATHS_MAX];
    int path_count;

    struct check checks[CHECKS_MAX];
    struct tribunal tribunal;
    struct pin pins[PINS_MAX];
    int pin_count;
    uint64_t audit_debt; /* bytes handed out since the last audit was planned */

    bool size_known;
    uint64_t sized_at;
    bool done;
    bool emits_verified;
    bool replan;      /* something changed that may give a lane work */
    uint64_t plan_at; /* when idle lanes look again for something to steal */
    uint64_t tick_at; /* when paths are looked at again */
    uint64_t emitted;
    uint64_t progress_at; /* when the last useful byte came */
    uint64_t dup_bytes, check_bytes;

    enum plait_fetch_fail fail;
    int conflict_a, conflict_b;
    uint64_t conflict_offset;

    struct push push;
    struct live live;

    struct plait_fetch_event events[EVENTS_MAX];
    unsigned event_first, event_count;
};

/* fetch.c */
void fetch_fail(struct plait_fetch *f, enum plait_fetch_fail why);
void fetch_event(struct plait_fetch *f, struct plait_fetch_event event);
int fetch_lane_id(int path, int lane);
struct lane *fetch_lane(struct plait_fetch *f, int id);
struct path *fetch_path_of(struct plait_fetch *f, int lane);
/* Mark bytes in the map; running out of memory ends the fetch. */
void fetch_mark(struct plait_fetch *f, uint64_t lo, uint64_t hi, enum plait_block_state state, int owner);
/* The lane's unfinished bytes become free again. */
void fetch_release(struct plait_fetch *f, int lane);
/* Gives back what the lane was asked for at `from` and after. */
void fetch_release_beyond(struct plait_fetch *f, int lane, uint64_t from);
/* The lane's answer is over, however; its connection stays as it is. */
void fetch_lane_idle(struct plait_fetch *f, int lane);
/* Abort the lane's request with CLOSE and free its bytes. */
void fetch_close_lane(struct plait_fetch *f, int lane);
/* All kept bytes of [lo, hi) that came from `source` (or any, NO_SOURCE) are free again; false if some were
 * emitted. */
bool fetch_take_back(struct plait_fetch *f, uint64_t lo, uint64_t hi, int source, uint64_t *bytes);
/* The source of kept bytes, whichever run they came in; PLAIT_FETCH_NO_SOURCE where nobody knows. */
int fetch_owner_source(int owner);
void fetch_set_size(struct plait_fetch *f, uint64_t size);
/* What came of a lane's answer at `at`: keep what is new, compare and drop what another source brought first. */
void fetch_keep_new(struct plait_fetch *f, uint64_t now, int lane, uint64_t at, const uint8_t *bytes,
                    size_t len);
/* The lane's answer cannot be used; its connection goes. */
enum plait_fetch_verdict fetch_drop_answer(struct plait_fetch *f, int lane, uint64_t now);
/* The same, and it is the source's fault. */
enum plait_fetch_verdict fetch_lied(struct plait_fetch *f, int lane, uint64_t now);
void fetch_begin_body(struct plait_fetch *f, int lane, uint64_t now);
void fetch_check_done(struct plait_fetch *f, uint64_t now);

/* fetch_path.c */
bool path_usable(const struct plait_fetch *f, const struct path *p);
bool source_usable(const struct plait_fetch *f, int source);
unsigned path_lanes_busy(const struct path *p);
/* How many connections it is to have now: some more while their windows open. */
unsigned path_lanes(const struct plait_fetch *f, const struct path *p, uint64_t now);
uint64_t path_outstanding(const struct plait_fetch *f, int path);
/* What a lane of the path waits from asking to the first byte. */
uint64_t path_lag_ns(const struct path *p, const struct lane *l);
double path_rate(const struct path *p, uint64_t now);
double fetch_rate(const struct plait_fetch *f, uint64_t now);
void path_set_state(struct plait_fetch *f, int path, enum plait_fetch_path_state state);
void path_update_busy(struct path *p, uint64_t now);
void path_back_off(struct plait_fetch *f, int path, uint64_t now, uint64_t delay_ns);
void path_out(struct plait_fetch *f, int path);
void source_out(struct plait_fetch *f, int source);
void source_strike(struct plait_fetch *f, int source);
/* A connection of the path took this long to stand, or has not stood after it. */
void path_learn_rtt(const struct plait_fetch *f, struct path *p, uint64_t rtt_ns);
/* A request on a connection that stood was answered after this time. */
void path_learn_lag(struct path *p, uint64_t lag_ns);
void paths_on_deadline(struct plait_fetch *f, uint64_t now);
uint64_t paths_next_deadline(const struct plait_fetch *f);

/* fetch_pace.c */
struct finish {
    double rest_s; /* until the last byte is here */
    double rate;   /* at which the bytes in question come */
};
bool path_is_young(const struct path *p, uint64_t now);
/* What `bytes` more would take on the path: by its rate, or while it is young by the doubling of its windows.
 */
struct finish path_carries(const struct path *p, double bytes, uint64_t now);
/* Whether the windows of a young path seem to open still. */
bool path_grows(const struct path *p, uint64_t now);
/* Bytes/s that it is to be expected to bring on average in the time to come. */
double path_rate_after(const struct path *p, double ahead_s, uint64_t now);
/* Bytes/s that it is known to bring: as much as it did, or the first windows of its connections in a round trip. */
double path_rate_seen(const struct path *p, uint64_t now);
/* When the path has brought all that it is asked for. */
struct finish path_finish(const struct plait_fetch *f, int path, uint64_t now);
/* Bytes that are not here yet; how long they take at the present rates of all paths, 0 = unknown. */
uint64_t fetch_left(const struct plait_fetch *f);
double fetch_end_s(const struct plait_fetch *f, uint64_t now);
/* Bytes that the lane is asked for and has not brought. */
uint64_t lane_left(const struct plait_fetch *f, const struct lane *l);
/* What the lane would take for `bytes` from its first byte on, if it must open its window first. */
double lane_carries_s(const struct path *p, const struct lane *l, double bytes, uint64_t now);
/* When the lane has brought `left` bytes, by its own pace so far; a lane that says nothing gets ever slower.
 */
double lane_finish_s(const struct path *p, const struct lane *l, double left, uint64_t now);

/* fetch_plan.c */
/* The idle lane's request begins: for [lo, hi) unless changed before it is sent. */
void plan_begin(struct plait_fetch *f, int lane, uint64_t lo, uint64_t hi, uint64_t now,
                struct plait_fetch_cmd *cmd);
/* Bytes from here on are not to be asked for yet. */
uint64_t plan_window_end(const struct plait_fetch *f);
/* Compares a block that another source delivers, where that is due. */
bool plan_audit(struct plait_fetch *f, int lane, uint64_t now, struct plait_fetch_cmd *cmd);
/* Gives an idle lane something to do: fills `cmd` with an OPEN. */
bool plan_lane(struct plait_fetch *f, int path, int lane, uint64_t now, struct plait_fetch_cmd *cmd);

/* In order: the output is the one that is waited for; more speed would only cost doubled bytes. */
bool fetch_output_is_behind(struct plait_fetch *f);

/* fetch_check.c */
int check_new(struct plait_fetch *f, uint64_t lo, size_t len, int source_b);
void check_drop(struct plait_fetch *f, int check);
/* The lane's request ends: its check goes on if the lane has brought its copy, and waits for the other. */
void check_leave(struct plait_fetch *f, int lane);
/* Bytes of the compared copy came. */
void check_feed_b(struct plait_fetch *f, uint64_t now, int check, uint64_t offset, const uint8_t *bytes,
                  size_t len);
/* Bytes were kept: whichever check looks at them gets its other copy. */
void check_feed_a(struct plait_fetch *f, uint64_t now, int source, uint64_t offset, const uint8_t *bytes,
                  size_t len);
/* A source without ranges sends again what is kept: compare on the way. False if it differs. */
bool check_again(struct plait_fetch *f, uint64_t now, int source, uint64_t offset, const uint8_t *bytes,
                 size_t len);
void check_plan_audit(struct plait_fetch *f, uint64_t lo, uint64_t hi, int source);
/* An audit that `path` can do now, or NO_CHECK. */
int check_audit_for(struct plait_fetch *f, int path);
/* Whether nothing that must be compared is still open; asks for what is. Called when all bytes are there. */
bool checks_settled(struct plait_fetch *f, uint64_t now);
void checks_forget_source(struct plait_fetch *f, int source);
void checks_after_loss(struct plait_fetch *f, uint64_t now);
void source_condemn(struct plait_fetch *f, int source);
void source_state_size(struct plait_fetch *f, uint64_t now, int source, uint64_t size);
void sizes_decide(struct plait_fetch *f, uint64_t now);
/* The size is only what a source without ranges says (it may be an error page), and others have not answered yet. */
bool sizes_open(const struct plait_fetch *f, uint64_t now);

/* fetch_live.c */
/* A head says that the stream is still being written: from now on it is followed. */
void live_begin(struct plait_fetch *f, int source, uint64_t now);
/* The three kinds of heads while it is followed. */
enum plait_fetch_verdict live_on_partial(struct plait_fetch *f, uint64_t now, int lane,
                                         const struct plait_fetch_head *head);
enum plait_fetch_verdict live_on_unsatisfied(struct plait_fetch *f, uint64_t now, int lane,
                                             const struct plait_fetch_head *head);
bool live_on_frames(struct plait_fetch *f, uint64_t now, int source, const struct plait_fetch_head *head);
/* The version that a head states is no other than before. */
bool live_version_holds(struct plait_fetch *f, int source, const struct plait_fetch_head *head);
/* The source has shown that it has so many bytes. */
void live_learn(struct plait_fetch *f, int source, uint64_t bytes, uint64_t now);
/* A stream of the source came to the end of all: it has so many blocks. */
void live_on_end(struct plait_fetch *f, int source, uint64_t blocks, uint64_t now);
/* It has nothing to send, and says so. */
void live_on_mark(struct plait_fetch *f, uint64_t now);
/* What the source has is not what it had. */
void live_changed(struct plait_fetch *f, int source);
/* There is work for letters, were it in what is not yet written. */
void live_make_room(struct plait_fetch *f);
/* Whether the source may bring what nobody else has brought. */
bool live_is_trusted(const struct plait_fetch *f, int source);
bool live_wants_lane(const struct plait_fetch *f, int path, uint64_t now);
bool live_plan_lane(struct plait_fetch *f, int path, int lane, uint64_t now, struct plait_fetch_cmd *cmd);
void live_on_deadline(struct plait_fetch *f, uint64_t now);
void live_on_emitted(struct plait_fetch *f);

/* Where the pin that holds `offset` ends (or the next one begins), and whether `source` may fetch there. */
bool pin_allows(const struct plait_fetch *f, int source, uint64_t offset, uint64_t *until);

#endif
