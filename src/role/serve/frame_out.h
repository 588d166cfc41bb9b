/*
 * Frames on their way into one socket: the body that a connection of a group is sent (doc/protocol.md).
 *
 * libmicrohttpd has sent the head of the answer and has put the connection aside; until that is taken back the
 * socket, or its TLS session, is ours alone. Payloads go from the file to the socket in the kernel
 * (sendfile(2)); for TLS they are read here. A frame is begun, then written until it is out; on a fast connection others
 * may be begun behind it, which go out together (frame_pipe.h).
 *
 * What the kernel keeps unsent is held short (TCP_NOTSENT_LOWAT) by what the connection carries in a few
 * milliseconds, so that a block is bound to a connection no earlier than it has to be.
 */
#ifndef PLAIT_SERVE_FRAME_OUT_H
#define PLAIT_SERVE_FRAME_OUT_H

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame.h"
#include "frame_pipe.h"

/* What the writing of TLS has to be lent. */
#define PLAIT_FRAME_OUT_ROOM  ((size_t)64 * 1024)
/* Frames that may follow the present one. */
#define PLAIT_FRAME_OUT_AHEAD 15u

/* One that has been begun, and nothing of it is out. */
struct plait_frame_out_next {
    struct plait_frame frame;
    uint64_t offset; /* of its payload in the file */
};

struct plait_frame_out {
    int socket;           /* borrowed, non-blocking, as the two below */
    int file;             /* what blocks are read from */
    gnutls_session_t tls; /* NULL = plain */
    uint64_t written;     /* bytes of frames that the socket has taken */
    uint64_t acked;       /* of which at least so many have arrived */
    unsigned lowat;       /* as the socket has it now; 0 = never set */
    bool corked;
    bool ended; /* the peer was told that nothing follows */
    bool bare;  /* payloads of blocks alone go out: heads, and frames without blocks, only count as written */
    uint64_t saved; /* bytes that count as written and were not */
    /* The present frame. */
    uint8_t head[PLAIT_FRAME_HEADER_BYTES];
    size_t head_left;
    const char *text; /* of an ERROR; NULL: payload comes from the file */
    uint64_t offset;  /* in the file, of what is left */
    uint32_t left;    /* of the payload */
    size_t record;    /* of head and payload, accepted by TLS and not yet written out; 0 = none */
    /* Those behind it. */
    struct plait_frame_out_next next[PLAIT_FRAME_OUT_AHEAD];
    unsigned next_count;
    uint64_t next_bytes; /* their heads included */
};

/* `stall_ms`: after so long without anything being taken the kernel breaks the connection. */
void plait_frame_out_init(struct plait_frame_out *o, int socket, gnutls_session_t tls, int file,
                          unsigned stall_ms);

/* Begins a frame; the one before is out. `text` (of an ERROR, static) or NULL. */
void plait_frame_out_begin(struct plait_frame_out *o, const struct plait_frame *frame, uint64_t offset,
                           const char *text);
/* Whether there is a frame that is not out. */
bool plait_frame_out_busy(const struct plait_frame_out *o);
/* Whether a frame of a block of so many bytes may be begun behind those that are not out: together they are a small part
 * of what the connection carries in the time for which it has unsent bytes. */
bool plait_frame_out_takes_more(const struct plait_frame_out *o, uint32_t len);
/* Begins it, or one without payload. There is room. */
void plait_frame_out_append(struct plait_frame_out *o, const struct plait_frame *frame, uint64_t offset);

enum plait_frame_out_result {
    PLAIT_FRAME_OUT_DONE,   /* the frame is out */
    PLAIT_FRAME_OUT_FULL,   /* the socket takes no more: it will tell (EPOLLOUT) */
    PLAIT_FRAME_OUT_BROKEN, /* the connection, or the file behind a frame that was begun */
};

/* Writes what the socket takes of the frames. `room` is used for TLS, `pipe` (empty) where there are several, and both are
 * free again on return. */
enum plait_frame_out_result plait_frame_out_write(struct plait_frame_out *o,
                                                  uint8_t room[PLAIT_FRAME_OUT_ROOM],
                                                  struct plait_frame_pipe *pipe);

/* Nothing follows for the moment, or ever: the kernel sends what it has kept back to fill a packet. */
void plait_frame_out_flush(struct plait_frame_out *o);

/* Nothing follows, ever: the peer is told so, and what is under way goes on arriving. */
void plait_frame_out_end(struct plait_frame_out *o);

struct plait_frame_out_link {
    uint64_t unsent_bytes; /* those of the present frame included */
    double rate;           /* bytes/s, 0 = not known */
    uint64_t rtt_ns;
    uint64_t rtt_min_ns; /* the least so far; 0 = not known */
    uint64_t rto_ns;     /* TCP's timer; 0 while something has to be sent again */
};

/* How the connection does; also brings `acked` up to date. */
void plait_frame_out_look(struct plait_frame_out *o, struct plait_frame_out_link *link);

#endif
