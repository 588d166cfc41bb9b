/*
 * The sending end of parallel HTTP in a server (doc/protocol.md): groups of connections, and the threads that
 * push frames into them.
 *
 * A request that opens a connection of a group is entered here by one of libmicrohttpd's threads; when the head of
 * its answer is out, the connection is put aside there and belongs to a *pump*: a thread with an epoll of its
 * own that drives all connections of the groups it was given. Who may send what is decided by the pure share
 * (stream/share.h), under one lock for all groups that is never held over a system call on a socket or file.
 */
#ifndef PLAIT_SERVE_STREAMS_H
#define PLAIT_SERVE_STREAMS_H

#include <microhttpd.h>
#include <stdint.h>

#include "err.h"
#include "live.h"
#include "share_table.h"
#include "stream_ask.h"

/* Connections of one group. */
#define PLAIT_STREAMS_CONNS_MAX 96u
#define PLAIT_STREAMS_PUMPS_MAX 8u

struct plait_streams;
struct plait_flow;

struct plait_streams_options {
    unsigned groups;         /* at once; 1 to PLAIT_SHARE_GROUPS_MAX */
    unsigned pumps;          /* threads; 1 to PLAIT_STREAMS_PUMPS_MAX */
    unsigned stall_ms;       /* a connection that takes nothing for so long is broken off */
    struct plait_live *live; /* borrowed */
};

/* Begins the threads. PLAIT_ERR_NOMEM, PLAIT_ERR_IO (errno). */
PLAIT_MUST_USE int plait_streams_new(struct plait_streams **out, const struct plait_streams_options *options);
/* Connections that have nothing to do are told to go elsewhere, now and from now on. */
void plait_streams_leave(struct plait_streams *s);
/* Gives all connections back to libmicrohttpd, broken off; from now on none is taken. Before its daemons stop. */
void plait_streams_stop(struct plait_streams *s);
/* After the daemons have stopped. NULL is harmless. */
void plait_streams_free(struct plait_streams *s);

/* What a group's stream is, as the request has it. */
struct plait_streams_file {
    struct plait_share_bond bond;
    int fd; /* taken by enter where that succeeds */
    uint64_t size;
    int64_t mtime_ns; /* of the version: another one means that it has been changed */
    bool live;        /* it still grows */
    bool bare;        /* the body is of the stream's bytes, without frames */
};

/* What became of a request: one of HTTP's statuses, with what goes with some of them. */
struct plait_streams_verdict {
    unsigned status;
    bool has_at; /* 409: too late */
    uint64_t at;
};

/*
 * A request that opens a connection. On 200 *flow is the connection's, to be given to plait_flow_response;
 * otherwise 400, 403, 409, 416, 429, 503.
 */
void plait_streams_enter(struct plait_streams *s, const struct plait_stream_ask *ask,
                         const struct plait_streams_file *file, struct plait_flow **flow,
                         struct plait_streams_verdict *verdict);
/* A request that steers, or asks for blocks by name: 204, 400, 403, 404, 409, 416, 429. */
void plait_streams_steer(struct plait_streams *s, const struct plait_stream_ask *ask,
                         const struct plait_share_bond *bond, struct plait_streams_verdict *verdict);

/*
 * The answer whose body are the flow's frames; NULL without memory. Takes the flow, also where it fails.
 * `sent` (borrowed until the request is over) is kept at the number of bytes of body that were written.
 */
struct MHD_Response *plait_flow_response(struct plait_flow *flow, struct MHD_Connection *connection,
                                         uint64_t *sent);

#endif
