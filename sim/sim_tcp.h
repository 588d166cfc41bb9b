/*
 * Simulated TCP connections between a client and a server: handshake, the two flows of data, resets, and the
 * timers.
 *
 * A connection has two ends, told of what happens through the functions in `plait_sim_tcp_app`. Bytes are
 * only counted; who needs to know what they are keeps a list beside. Any of the functions of this header may
 * be called from within those callbacks. A connection is freed by the world once both ends are gone: an end
 * that has aborted, or has been told `closed`, must not use it again.
 */
#ifndef PLAIT_SIM_TCP_H
#define PLAIT_SIM_TCP_H

#include "sim_flow.h"
#include "sim_link.h"

enum plait_sim_side { PLAIT_SIM_CLIENT, PLAIT_SIM_SERVER };

enum plait_sim_close {
    PLAIT_SIM_CLOSE_EOF,     /* the peer has sent everything; the end is still there and should now abort */
    PLAIT_SIM_CLOSE_RESET,   /* the peer has no such connection */
    PLAIT_SIM_CLOSE_REFUSED, /* nobody listens */
    PLAIT_SIM_CLOSE_TIMEOUT  /* given up after many retransmissions */
};

enum plait_sim_verdict { PLAIT_SIM_ACCEPT, PLAIT_SIM_REFUSE, PLAIT_SIM_IGNORE };

struct plait_sim_conn;

/* Each may be NULL. */
struct plait_sim_tcp_app {
    void (*connected)(void *ctx, uint64_t now); /* the client's end only */
    void (*readable)(void *ctx, uint64_t now, uint64_t bytes);
    void (*closed)(void *ctx, uint64_t now, enum plait_sim_close why);
    void (*acked)(void *ctx, uint64_t now); /* an acknowledgement came; more may be written */
};

struct plait_sim_listener {
    /* A connection is asked for; to accept it, give the server's end its application by plait_sim_conn_own.
     */
    enum plait_sim_verdict (*accept)(void *ctx, uint64_t now, struct plait_sim_conn *conn);
    /* Whether the machine answers at all, also to packets of connections that it does not know. */
    bool (*alive)(void *ctx, uint64_t now);
    void *ctx; /* borrows */
};

/* All the connections of one simulated world. */
struct plait_sim_tcp {
    struct plait_sim_events *events; /* borrows */
    struct plait_sim_flow_config flow;
    struct plait_sim_sink sink;
    struct plait_sim_conn *all;  /* owns: every connection ever made, for reuse */
    struct plait_sim_conn *idle; /* those not in use */
    uint32_t live;               /* those in use */
    uint64_t opened, segments_sent, segments_resent, timeouts;
};

/* The defaults: 1448 bytes a segment, ten to start with, CUBIC with HyStart, a window of 6 MB, timers as in
 * Linux. */
struct plait_sim_flow_config plait_sim_tcp_defaults(void);

void plait_sim_tcp_init(struct plait_sim_tcp *tcp, struct plait_sim_events *events,
                        const struct plait_sim_flow_config *flow);
void plait_sim_tcp_done(struct plait_sim_tcp *tcp);

/* Opens a connection; `up` and `down` are the routes of the client's and the server's packets. All is
 * borrowed. */
struct plait_sim_conn *plait_sim_tcp_connect(struct plait_sim_tcp *tcp, uint64_t now,
                                             const struct plait_sim_listener *listener,
                                             const struct plait_sim_route *up,
                                             const struct plait_sim_route *down,
                                             const struct plait_sim_tcp_app *app, void *ctx);
/* Gives the server's end its application, within `accept`. */
void plait_sim_conn_own(struct plait_sim_conn *conn, const struct plait_sim_tcp_app *app, void *ctx);
/* `side` sends `bytes` more. */
void plait_sim_conn_write(struct plait_sim_conn *conn, enum plait_sim_side side, uint64_t now,
                          uint64_t bytes);
/* `side` sends nothing after what it has written. */
void plait_sim_conn_finish(struct plait_sim_conn *conn, enum plait_sim_side side, uint64_t now);
/* `side` forgets the connection, and tells the peer (once; a peer that missed it learns when it next sends).
 */
void plait_sim_conn_abort(struct plait_sim_conn *conn, enum plait_sim_side side, uint64_t now);
/* The same without telling: the machine has died. */
void plait_sim_conn_vanish(struct plait_sim_conn *conn, enum plait_sim_side side);
/* The flow of data that `side` sends, to look at. */
const struct plait_sim_flow *plait_sim_conn_flow(const struct plait_sim_conn *conn, enum plait_sim_side side);

#endif
