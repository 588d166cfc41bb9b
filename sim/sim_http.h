/*
 * Simulated web servers, and the connections of clients to them.
 *
 * A server holds one stream and answers requests for a range of it, one after the other on persistent
 * connections. What is wrong with a server is a short table of faults. Heads and bodies travel as counted
 * bytes of simulated TCP; what the bytes are is kept beside (sim_content.h), so that a client is told exactly
 * what arrived.
 */
#ifndef PLAIT_SIM_HTTP_H
#define PLAIT_SIM_HTTP_H

#include "pattern.h"
#include "plait_field.h"
#include "prng.h"
#include "sim_content.h"
#include "sim_tcp.h"

#define PLAIT_SIM_FAULTS_MAX   4
#define PLAIT_SIM_HTTP_UNKNOWN UINT64_MAX

enum plait_sim_fault_kind {
    PLAIT_SIM_FAULT_NONE,
    PLAIT_SIM_FAULT_NO_RANGE,  /* answers 200 with everything, whatever is asked */
    PLAIT_SIM_FAULT_NO_LENGTH, /* the same, in chunks: neither length nor size are stated */
    PLAIT_SIM_FAULT_STATUS,    /* answers with status a */
    PLAIT_SIM_FAULT_BUSY, /* 503 with Retry-After of b seconds (0 = not stated) to the first a requests */
    PLAIT_SIM_FAULT_BUSY_ABOVE,  /* the same to a request that comes while a others are being served */
    PLAIT_SIM_FAULT_CONNS_ABOVE, /* the same on each connection that was opened while a others were open, idle
                                    or not */
    PLAIT_SIM_FAULT_CLOSE_AFTER, /* each connection ends after a bytes of bodies; b = 1: by a reset */
    PLAIT_SIM_FAULT_STALL_AFTER, /* each connection says nothing more after a bytes of bodies */
    PLAIT_SIM_FAULT_DEAD,   /* the machine is silent in [a, b) ns, and has forgotten its connections then */
    PLAIT_SIM_FAULT_CRASH,  /* resets its connections at a ns, and refuses new ones until b ns */
    PLAIT_SIM_FAULT_REFUSE, /* refuses connections */
    PLAIT_SIM_FAULT_WRONG_RANGE,   /* answers with the range a bytes further on than asked */
    PLAIT_SIM_FAULT_SHORT_BODY,    /* bodies end a bytes early, and the connection with them */
    PLAIT_SIM_FAULT_LONG_BODY,     /* bodies are followed by a bytes that nobody announced */
    PLAIT_SIM_FAULT_OTHER_CONTENT, /* from offset a on, the bytes are those of content b */
    PLAIT_SIM_FAULT_WRONG_SIZE,    /* states (and has) a size of a */
    PLAIT_SIM_FAULT_PAGE,   /* answers 200 with a page of a bytes of content b, as a captive portal does */
    PLAIT_SIM_FAULT_CHANGE, /* from a ns on, the stream is content b with another version */
    PLAIT_SIM_FAULT_NO_VERSION, /* states no validator */
    PLAIT_SIM_FAULT_CLOSE_EACH, /* ends the connection after each response */
    PLAIT_SIM_FAULT_SLOW_START, /* until a ns, all connections together carry b bytes/s */
    /* of servers that take part, to the requests of streams only */
    PLAIT_SIM_FAULT_STREAM_STATUS, /* opening one is answered with status a */
    PLAIT_SIM_FAULT_STREAM_ALL,    /* whatever the pattern, all blocks are sent */
    PLAIT_SIM_FAULT_STREAM_NUMBER, /* a is added to each block's number */
    PLAIT_SIM_FAULT_STREAM_LENGTH, /* blocks are said to be a bytes longer than they are */
    PLAIT_SIM_FAULT_STREAM_SKIP,   /* every block whose number is divisible by a is left out */
    PLAIT_SIM_FAULT_STREAM_TYPE,   /* frames are of type a */
    PLAIT_SIM_FAULT_STREAM_ERROR,  /* after block a comes an error of code b */
    PLAIT_SIM_FAULT_STEER_STATUS,  /* steering is answered with status a, before b ns (0 = always) */
    PLAIT_SIM_FAULT_STEER_LATE,    /* steering is always too late: 409 with a block a ahead of the span */
    PLAIT_SIM_FAULT_STEER_DEAF,    /* steering in [a, b) ns is neither done nor answered */
    /* one of b steering requests, by chance: */
    PLAIT_SIM_FAULT_STEER_SLOW,  /* is answered up to a ns later than it is obeyed */
    PLAIT_SIM_FAULT_STEER_DELAY, /* is obeyed and answered up to a ns later */
    PLAIT_SIM_FAULT_STEER_MUTE,  /* is never answered; obeyed if a = 1 */
    PLAIT_SIM_FAULT_STEER_RESET, /* is answered with the end of its connection; obeyed if a = 1 */
    PLAIT_SIM_FAULT_STEER_IDLE,  /* is answered as if it had been obeyed, and is not */
    PLAIT_SIM_FAULT_STEER_WILD,  /* is answered with any status, any block up to bit a */
};

struct plait_sim_fault {
    enum plait_sim_fault_kind kind;
    uint64_t a, b;
    uint32_t times; /* how often CLOSE_AFTER, STALL_AFTER and SHORT_BODY happen; 0 = always */
};

/* A stream that is written while it is served; rate 0 = it is there. */
struct plait_sim_live {
    double rate;                  /* bytes/s */
    uint64_t from_bytes;          /* what there is at the beginning */
    uint64_t behind_ns;           /* this copy is that much later */
    uint64_t pause_ns, resume_ns; /* nothing is written between */
    uint64_t close_ns;            /* from its last byte until it is closed */
};

struct plait_sim_server_config {
    uint64_t content;
    uint64_t size;
    uint64_t version;    /* of the content, as a strong validator states it; not 0 */
    uint64_t service_ns; /* from a request's arrival to the answer's first byte */
    uint64_t conn_rate;  /* body bytes/s of one connection, 0 = no limit */
    uint64_t total_rate; /* of all together, 0 = no limit */
    bool takes_part;     /* in parallel HTTP: one group (stream/share.h), without limits of rates */
    struct plait_sim_live live;
    struct plait_sim_fault fault[PLAIT_SIM_FAULTS_MAX];
};

struct plait_sim_session;
struct plait_share;

struct plait_sim_server {
    struct plait_sim_server_config config;
    struct plait_sim_tcp *tcp; /* borrows */
    struct plait_sim_listener listener;
    struct plait_sim_event tick;         /* hands out what the rates allow */
    struct plait_sim_event mishap;       /* the next death or crash */
    struct plait_sim_session *sessions;  /* owns */
    uint32_t used[PLAIT_SIM_FAULTS_MAX]; /* how often each fault has happened */
    struct plait_share *share;           /* owns; NULL until there is a stream */
    uint32_t share_block;
    struct plait_sim_event share_timer, grow_timer;
    uint64_t ticked_ns;
    double credit;
    uint32_t open;    /* connections, as the server sees them */
    uint32_t clients; /* connections, as the clients see them */
    uint64_t requests, body_bytes;
    struct plait_prng chance; /* of what goes wrong with steering */
};

enum plait_sim_ask_kind { PLAIT_SIM_ASK_RANGE, PLAIT_SIM_ASK_STREAM, PLAIT_SIM_ASK_STEER };

struct plait_sim_http_ask {
    uint64_t lo, hi; /* hi = PLAIT_SIM_HTTP_UNKNOWN: to the end */
    bool whole;      /* without Range */
    enum plait_sim_ask_kind kind;
    uint8_t letter;
    uint32_t block_bytes;
    struct plait_span span;
    struct plait_pattern pattern; /* len 0 = none */
    struct plait_span blocks[PLAIT_BLOCKS_MAX];
    size_t block_count;
};

struct plait_sim_http_head {
    unsigned status;
    uint64_t length;        /* of the body, or PLAIT_SIM_HTTP_UNKNOWN */
    uint64_t lo, hi;        /* 206 */
    uint64_t size;          /* of the stream where stated (200, 206, 416), or PLAIT_SIM_HTTP_UNKNOWN */
    uint64_t version;       /* 0 = none */
    uint64_t retry_after_s; /* 0 = none */
    bool takes_part;
    bool live;            /* it is still being written, and `size` what is there */
    uint32_t block_bytes; /* > 0: the body is frames */
    uint64_t at;          /* 409 */
};

enum plait_sim_http_end {
    PLAIT_SIM_HTTP_COMPLETE, /* as the framing says */
    PLAIT_SIM_HTTP_BROKEN,   /* the connection ended before */
    PLAIT_SIM_HTTP_REFUSED,  /* there was no connection */
    PLAIT_SIM_HTTP_TIMEOUT,  /* TCP gave up */
    PLAIT_SIM_HTTP_CLOSED,   /* no request was open */
};

/* What a client is told. `open` in `end`: the session can take the next request; if not, it is gone. */
struct plait_sim_http_app {
    void (*connected)(void *ctx, uint64_t now);
    void (*head)(void *ctx, uint64_t now, const struct plait_sim_http_head *head);
    void (*body)(void *ctx, uint64_t now, const struct plait_sim_span *span);
    void (*end)(void *ctx, uint64_t now, enum plait_sim_http_end end, bool open);
    void (*raw)(void *ctx, uint64_t now, const uint8_t *bytes,
                size_t len); /* of a frame's header; may be NULL */
};

void plait_sim_server_init(struct plait_sim_server *server, struct plait_sim_tcp *tcp,
                           const struct plait_sim_server_config *config);
/* To be called before the TCP world is done. */
void plait_sim_server_done(struct plait_sim_server *server);
/* The content at `offset` as the server has it at a time, and up to where that is so. */
uint64_t plait_sim_server_content(const struct plait_sim_server *server, uint64_t now, uint64_t offset,
                                  uint64_t *end);

/* How much of a stream that is being written the server has, and whether it is closed. */
uint64_t plait_sim_server_there(const struct plait_sim_server_config *c, uint64_t now, bool *closed);
/* When it has that many bytes. */
uint64_t plait_sim_server_has_at(const struct plait_sim_server_config *c, uint64_t bytes);

/* Opens a connection. The session is owned by the server; it is there until `end` without `open`, or the
 * close. */
struct plait_sim_session *plait_sim_http_open(struct plait_sim_server *server, uint64_t now,
                                              const struct plait_sim_route *up,
                                              const struct plait_sim_route *down,
                                              const struct plait_sim_http_app *app, void *ctx);
/* Asks on a session that is connected and has no request open. */
void plait_sim_http_ask(struct plait_sim_session *s, uint64_t now, const struct plait_sim_http_ask *ask);
/* The client drops the connection; nothing more is told. */
void plait_sim_http_close(struct plait_sim_session *s, uint64_t now);

#endif
