/*
 * Inside the streams: what streams.c (requests, the lock) and pump.c (threads, sockets) share.
 */
#ifndef PLAIT_SERVE_STREAMS_INT_H
#define PLAIT_SERVE_STREAMS_INT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "frame_out.h"
#include "streams.h"
#include "units.h"

#define CROWD_BUCKETS 256u /* a power of two */
#define NOT_IN_HEAP   SIZE_MAX

struct pump;

enum flow_state {
    FLOW_NEW,      /* with libmicrohttpd, which is sending the head */
    FLOW_RUN,      /* in the pump's queue */
    FLOW_BLOCKED,  /* until the socket has room */
    FLOW_WAITING,  /* until the share has something to send */
    FLOW_DRAINING, /* all is written; until it has arrived */
    FLOW_OVER,     /* libmicrohttpd may end it */
};

/* A connection of a group. With libmicrohttpd while NEW and OVER, with the pump otherwise. */
struct plait_flow {
    struct plait_streams *streams;
    struct crowd *crowd;
    int conn; /* in the share */
    int file; /* owned */
    uint64_t size;
    int64_t mtime_ns;
    struct MHD_Connection *connection;
    uint64_t *sent;
    bool bare;
    bool is_open; /* in the share, still */
    enum flow_state state;
    bool hung;            /* the peer has gone */
    bool last;            /* the frame that is being written is END or ERROR */
    bool failed;          /* and it is ERROR */
    bool changed;         /* the file is not what it was: ERROR is what follows */
    uint32_t block_bytes; /* of the group */
    bool whole;           /* OVER: it ended with END or ERROR */
    uint64_t rtt_ns;
    uint64_t looked_at; /* at the socket and the file */
    uint64_t ahead;     /* of the file, so far was asked to be read ahead */
    struct plait_frame_out out;
    struct plait_flow *next; /* in the inbox or the run queue */
};

/* The open connections of one group. Under the lock of the streams, where it does not say otherwise. */
struct crowd {
    struct plait_share *share;
    struct crowd *next; /* in its bucket */
    struct pump *pump;
    unsigned flow_count;
    bool poked; /* is in the pump's list of those to look at */
    struct crowd *next_poked;
    /* The pump's alone. */
    struct plait_flow *flows[PLAIT_STREAMS_CONNS_MAX]; /* by number in the share; NULL: not with the pump */
    unsigned present;                                  /* how many are with the pump */
    unsigned waiting, draining;                        /* of which */
    uint64_t due;                                      /* PLAIT_NEVER: nothing to look at */
    uint64_t poll_ns;                                  /* between two looks at acknowledgements */
    bool live;                                         /* the file grows; also set when it is made */
    bool spoilt;                                       /* it has become another one */
    bool was_live;                                     /* and ended with what follows */
    uint64_t size, live_at;                            /* live_at: when to look how far it is */
    int64_t mtime_ns;
    size_t heap_at; /* in the pump's heap, or NOT_IN_HEAP */
};

struct pump {
    struct plait_streams *streams;
    pthread_t thread;
    bool started;
    int epoll, wake;
    atomic_bool stopping;
    /* Under the lock of the streams. */
    struct crowd *poked;
    unsigned crowd_count;
    /* Under its own lock. */
    pthread_mutex_t inbox_lock;
    struct plait_flow *inbox;
    bool closed; /* takes none any more */
    /* The thread's alone. */
    struct plait_flow *run_first, *run_last;
    struct crowd **heap; /* by `due`; owned */
    size_t heap_count, heap_max;
    uint8_t *room; /* for TLS; owned */
    struct plait_frame_pipe pipe;
    uint64_t now; /* when the lock was last taken */
};

struct plait_streams {
    pthread_mutex_t lock; /* of the table, the shares, the crowds */
    uint64_t now;         /* never goes back */
    struct plait_share_table *table;
    struct crowd *crowds[CROWD_BUCKETS];
    struct pump pumps[PLAIT_STREAMS_PUMPS_MAX];
    unsigned pump_count;
    unsigned stall_ms;
    struct plait_live *live;
    atomic_bool leaving;
};

/* Takes the lock and reads the clock. */
uint64_t streams_lock(struct plait_streams *s);
void streams_unlock(struct plait_streams *s);

/* Under the lock: the flow leaves its share. */
void streams_close(struct plait_streams *s, struct plait_flow *f, enum plait_share_end how);
/* Under the lock: a crowd without connections goes, unless it is poked: then its pump will drop it. */
void streams_drop_empty(struct plait_streams *s, struct crowd *c);
/* Under the lock: the pump looks at the crowd soon; to be followed by pump_wake. */
void streams_poke(struct crowd *c);

/* PLAIT_ERR_NOMEM, PLAIT_ERR_IO (errno); pump_stop and pump_done are due in any case. */
PLAIT_MUST_USE int pump_start(struct pump *p, struct plait_streams *s, unsigned crowds_max);
/* Gives every flow back and ends the thread. Harmless the second time. */
void pump_stop(struct pump *p);
void pump_done(struct pump *p);
void pump_wake(struct pump *p);
/* Suspends the connection and takes the flow. False: not any more. */
bool pump_take(struct pump *p, struct plait_flow *f);

#endif
