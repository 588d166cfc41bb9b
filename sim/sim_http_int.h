/*
 * What the two ends of a simulated HTTP connection share (sim_server.c, sim_http.c).
 *
 * A session is one connection with both its ends: the server's appends what it sends to a list of pieces
 * (head, body, end of chunks), the client's takes as much from the list as TCP has delivered. It is freed
 * when both ends have left.
 */
#ifndef PLAIT_SIM_HTTP_INT_H
#define PLAIT_SIM_HTTP_INT_H

#include "sim_http.h"

#define PLAIT_SIM_ASK_BYTES 250 /* of a request */
#define PLAIT_SIM_RAW_BYTES 16  /* of a frame's header */

enum piece_kind { PIECE_HEAD, PIECE_BODY, PIECE_RAW, PIECE_END };

struct piece {
    enum piece_kind kind;
    uint8_t raw[PLAIT_SIM_RAW_BYTES];
    uint64_t left; /* bytes that have not arrived */
    struct plait_sim_span span;
};

struct plait_sim_session {
    struct plait_sim_server *server; /* borrows */
    struct plait_sim_session *next, *prev;
    struct plait_sim_conn *conn;
    bool client_open, server_open;

    /* client */
    const struct plait_sim_http_app *app;
    void *ctx;
    bool asking, head_seen;
    bool held;          /* a delivery is under way: not to be freed */
    uint64_t body_left; /* or PLAIT_SIM_HTTP_UNKNOWN */

    /* on the way */
    struct plait_sim_http_head head;
    struct piece *piece; /* owned */
    unsigned pieces, piece_at, piece_room;

    /* server */
    struct plait_sim_http_ask ask;
    uint64_t ask_bytes;
    struct plait_sim_event service, expiry;
    uint64_t pending;    /* bytes of the body not yet given to TCP */
    uint64_t stop_after; /* bytes of bodies that will ever be given, PLAIT_SIM_HTTP_UNKNOWN = all */
    bool stop_closes, stop_resets;
    bool surplus;     /* opened when there were too many */
    bool admitted;    /* the present request is served, not sent away */
    bool close_after; /* the present response */
    bool framed;      /* the end of chunks follows the body */
    double credit;
    uint64_t body_bytes;
    int share_conn;       /* of a stream; −1 = none */
    uint64_t skipped;     /* bytes of frames that were left out */
    uint64_t stream_from; /* bytes written before its first frame */
    bool steered;         /* the present request was put off, to be obeyed now or only answered: */
    struct plait_sim_http_head steered_head; /* status 0 = it is to be obeyed */
};

/* A piece is on its way; returns it to be filled in. */
struct piece *plait_sim_session_add(struct plait_sim_session *s, enum piece_kind kind, uint64_t bytes);
/* The connection has carried all that it ever will (stop_after). */
void plait_sim_session_stop(struct plait_sim_session *s, uint64_t now);
/* It is idle: closed when the next request does not come in time. */
void plait_sim_session_rest(struct plait_sim_session *s, uint64_t now);
/* The fault that holds, or NULL. */
const struct plait_sim_fault *plait_sim_server_fault(const struct plait_sim_server *server,
                                                     enum plait_sim_fault_kind kind);

/* Its validator at that time; 0 = none. */
uint64_t plait_sim_server_version(const struct plait_sim_server *server, uint64_t now);

/* sim_push.c: answers to requests of streams. False: the server does not take part, nothing was done. */
bool plait_sim_push_answer(struct plait_sim_session *s, uint64_t now);
void plait_sim_push_writable(struct plait_sim_session *s, uint64_t now);
/* The server's end of the session goes. */
void plait_sim_push_leave(struct plait_sim_session *s, uint64_t now);
void plait_sim_push_init(struct plait_sim_server *server);
void plait_sim_push_done(struct plait_sim_server *server);

void plait_sim_session_free(struct plait_sim_session *s);
/* Frees it if both ends have left; not while its client is being told of something. */
void plait_sim_session_free_if_left(struct plait_sim_session *s);

#endif
