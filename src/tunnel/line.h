/*
 * A line that paths of several bonds lead over, as their common sender sees it: what it carries is estimated once, for
 * all of them together, and who may send next is decided in one place (theory: line.c).
 *
 *      plait_line_sit ──> before each round of sending: plait_line_turn ──> after each datagram: plait_line_charge
 *      reports of what arrived ──> plait_line_on_report
 *
 * A *seat* is one path of one bond at a line, a *user* the bond that has seats at several lines. All of them belong to
 * one thread and have one clock. Times are nanoseconds, rates bytes a second of whole IP packets on the line.
 */
#ifndef PLAIT_TUNNEL_LINE_H
#define PLAIT_TUNNEL_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "rate.h"

struct plait_line_seat;

struct plait_line {
    struct plait_rate rate;
    double sent;                   /* bytes, by all */
    double lost;                   /* of them, as far as is known, and not too long ago: */
    uint64_t lost_at;              /* when losses were told of last */
    double heard;                  /* `sent` of the newest datagram that a report has told of */
    uint64_t arrival_ns;           /* when that came, see line.c */
    double arrived;                /* of all up to it, as far as was known */
    int64_t delay_ns;              /* least queue that was told of since */
    uint64_t next_free;            /* the pacer's */
    uint64_t guest_free;           /* and that of what guests get in any case */
    double unheard;                /* bytes that mute seats have sent since another one has sent something, */
    uint64_t spoke_at;             /* and when that was */
    uint64_t trained_at;           /* when somebody was let try it with trains */
    struct plait_line_seat *seats; /* borrows: a list */
};

/* Bytes that count less the longer ago they were sent. */
struct plait_line_count {
    double bytes;
    uint64_t at;
};

/* Who sends on lines: a bond. All zeros at first. */
struct plait_line_user {
    struct plait_line_count served; /* on all lines */
    uint64_t wanted_at;             /* last time that it had something to send */
};

struct plait_line_seat {
    struct plait_line *line; /* borrows; NULL = the path has its line for itself */
    struct plait_line_user *user;
    struct plait_line_seat *next;
    bool mute;                    /* what it sends is never reported */
    bool owner;                   /* goes first */
    bool wants;                   /* had something to send and could not, when it was asked last */
    uint64_t wanted_at;           /* when that was last so */
    struct plait_line_count used; /* here */
    bool marked;                  /* of what was sent and arrived, these were told last */
    double sent, arrived, line_sent;
    int64_t base[2]; /* least delays of single datagrams, of the present seconds and those before */
    uint64_t base_since;
    /* what is told of it in a span of time, and was told in the last one */
    uint64_t span_since, queue_ns, told_queue_ns, told_at;
    double span_sent, span_lost, told_sent, told_loss;
    unsigned doubts;
    uint64_t apart_until; /* something but the line holds it back: until then it is none of its witnesses */
};

/* A report of what came of one seat's datagrams. Times of the two clocks are never mixed. */
struct plait_line_report {
    uint64_t sent_ns;     /* of the newest datagram that arrived */
    double line_sent;     /* `sent` of the line when that had been sent; 0 = before the seat was taken */
    double sent, arrived; /* bytes of this path, from the beginning up to it */
    int64_t took_ns;      /* from its sending to its arrival, against any fixed zero */
    int64_t queue_ns;     /* least of those since the last report, above the path's base */
    uint64_t rtt_ns;      /* of the path, least */
};

/* `rate`: a first guess. */
void plait_line_init(struct plait_line *l, double rate);
/* All seats are given up. */
void plait_line_done(struct plait_line *l);

/* Takes a seat, or changes what it is. The seat and the user have to stay where they are. */
void plait_line_sit(struct plait_line *l, struct plait_line_seat *s, struct plait_line_user *user,
                    bool owner);
/* What this seat sends is carried for somebody else: nobody reports to us of it. */
void plait_line_sit_mute(struct plait_line *l, struct plait_line_seat *s, struct plait_line_user *user);
/* Gives it up; harmless where there is none. */
void plait_line_leave(struct plait_line_seat *s);
/* The path behind the seat was silent or begins anew: what was on the way says nothing. */
void plait_line_interrupt(struct plait_line_seat *s);

/* Its way has a narrower place than the line: it paces itself by its own estimate, and takes its turns all the same. */
static inline bool plait_line_is_apart(const struct plait_line_seat *s)
{
    return s->apart_until != 0;
}

/* When the seat may send, and what it can count upon. */
uint64_t plait_line_turn(struct plait_line_seat *s, uint64_t now);
double plait_line_share(struct plait_line_seat *s, uint64_t now);
/* Asked after the last datagram of a round: has the user anything left for this path? `free_at` is its turn. */
void plait_line_note(struct plait_line_seat *s, uint64_t now, bool has_more, uint64_t free_at);
/* When this seat should send something, be it for its report alone: others send what is never reported.
 * PLAIT_NEVER: no need. */
uint64_t plait_line_sound_at(const struct plait_line_seat *s);
/* The seat has sent so much; `data` where it counts as somebody's traffic. */
void plait_line_charge(struct plait_line_seat *s, uint64_t now, double bytes, bool data);
/* Whether this seat is to try what the line carries with a train: one of them does, as long as nothing better is known. */
bool plait_line_may_train(struct plait_line_seat *s, uint64_t now);
void plait_line_on_train(struct plait_line_seat *s, uint64_t now, double rate);
void plait_line_on_report(struct plait_line_seat *s, uint64_t now, const struct plait_line_report *r);

#endif
