/*
 * Inside the share: the state that its parts have in common. Not for users of share.h.
 *
 *      share.c        the doors that change who may send what; connections come and go
 *      share_next.c   what a connection sends next, and what it has been acknowledged
 *      share_plan.c   the plan: which letter sends which block
 *      share_set.c    sets of blocks that are due
 *
 * What is due lies in sets: one for each letter of the plan, one for what all share, one for what each letter
 * was asked for by name, and one with each connection that was opened with named blocks. Giving a block takes
 * it out of its set; it then lies in the connection's ring of frames in flight until it is acknowledged, or
 * comes back into the set.
 *
 * A letter's set holds ranges in which only the blocks that the plan gives to that letter count, so that a
 * long span is one range whatever the pattern.
 */
#ifndef PLAIT_STREAM_SHARE_INT_H
#define PLAIT_STREAM_SHARE_INT_H

#include "share.h"

#define SET_LETTER    0u /* + letter */
#define SET_SHARED    PLAIT_LETTERS
#define PLAN_SETS     (PLAIT_LETTERS + 1u)
#define SET_NAMED     PLAN_SETS /* + letter */
#define SETS          (PLAN_SETS + PLAIT_LETTERS)
#define SET_OWN       SETS /* in flight: belongs to the connection alone */
#define SET_NONE      127u /* in flight: no block but a MARK or END */
#define SET_MASK      127u /* of a frame in flight; */
#define SET_LEFT      128u /* with it: the block was given to others meanwhile */
#define NO_BLOCK      UINT64_MAX
#define RANGES_SPARED 128u /* that returned blocks leave for the plan */

/* Blocks lo to hi − 1. */
struct range {
    uint64_t lo, hi;
    uint16_t next; /* index of the next higher one, 0 = none */
};

/* Disjoint ranges by rising block. */
struct range_set {
    uint16_t head;
    uint8_t letter_1; /* 1 + the letter whose blocks alone count in it; 0 = all blocks do */
};

/* A part of the plan. */
struct step {
    uint64_t first, last;         /* last may be PLAIT_SPAN_OPEN */
    uint64_t from;                /* a block at which the pattern begins */
    bool done;                    /* forgotten: nothing of it is due */
    struct plait_pattern pattern; /* len 0: shared by all */
    uint16_t count[PLAIT_LETTERS];
};

struct conn {
    bool open;
    bool named;   /* sends `own` and nothing else */
    bool ended;   /* END was given */
    bool waiting; /* was told to WAIT and not yet named by `ready` */
    bool stirred; /* something changed since */
    bool stuck;   /* nothing is acknowledged any more */
    bool marked;  /* a MARK was given after the last block or steering */
    uint8_t letter;
    uint64_t floor; /* no block of the plan below it */
    struct range_set own;
    uint64_t *ring; /* frames in flight, owned; PLAIT_SHARE_INFLIGHT_MAX */
    unsigned ring_first, ring_count;
    unsigned inflight;                                       /* blocks among them */
    unsigned inflight_plan, inflight_shared, inflight_asked; /* of which, by their sets */
    uint64_t given_bytes, acked_bytes;                       /* up to the ends of whole frames */
    uint64_t given_blocks, acked_blocks;
    uint64_t due;         /* waiting: when to ask again without a cause */
    uint64_t mark_at;     /* when the next MARK has to go out */
    uint64_t idle_at;     /* when it is ended; PLAIT_NEVER while there is something to come */
    uint64_t progress_at; /* last acknowledgement, or when it began to have something in flight */
    uint64_t told_at;     /* when it was last told what has been acknowledged */
    uint64_t told_bytes;  /* acknowledged, whether or not a frame ends there */
    uint64_t rto_ns;      /* 0 = not known */
    struct plait_share_link link;
};

struct plait_share {
    uint32_t block_bytes;
    uint64_t size;
    bool live;
    uint64_t at;
    uint64_t empty_since;

    struct step steps[PLAIT_SHARE_STEPS_MAX]; /* by rising block, disjoint */
    unsigned step_count;

    struct range ranges[PLAIT_SHARE_RANGES_MAX + 1]; /* the first is never used */
    uint16_t range_free;
    unsigned ranges_left;
    struct range_set sets[SETS];

    struct conn *conns; /* owned */
    unsigned conns_max, conn_count;
    unsigned carriers[PLAIT_LETTERS]; /* connections that take part in the plan */
    uint64_t carried;                 /* bit per letter that ever had one */
    unsigned inflight[SETS];
    uint64_t given_blocks, returned_blocks, dropped_blocks;
};

/* share_set.c */
void set_init(struct plait_share *s);
/* Adds lo to hi − 1, of which some may be in it already. False where more than `spare` ranges would have to be
 * left, and nothing is changed. */
bool set_add(struct plait_share *s, struct range_set *set, uint64_t lo, uint64_t hi, unsigned spare);
/* False where a range would have to be split and there is none left; then that range stays whole. */
bool set_remove(struct plait_share *s, struct range_set *set, uint64_t lo, uint64_t hi);
/* The first due block from `from` on, or NO_BLOCK. */
uint64_t set_next(const struct plait_share *s, const struct range_set *set, uint64_t from);
/* Due blocks from lo to hi − 1, counted no further than one beyond `enough`. */
uint64_t set_count(const struct plait_share *s, const struct range_set *set, uint64_t lo, uint64_t hi,
                   uint64_t enough);
/* Takes out the block, which is due. */
void set_take(struct plait_share *s, struct range_set *set, uint64_t block);

/* share_plan.c */
/* The first block from `from` on that the plan gives to the letter, or NO_BLOCK. */
uint64_t plan_next(const struct plait_share *s, uint8_t letter, uint64_t from);
/* How many the plan gives to it from lo to hi − 1. */
uint64_t plan_count(const struct plait_share *s, uint8_t letter, uint64_t lo, uint64_t hi);
/* One past the last block of the plan. */
uint64_t plan_end(const struct plait_share *s);
/* As `open` and `steer` in share.h have it. */
int plan_cover(struct plait_share *s, struct plait_span span, const struct plait_pattern *pattern);
int plan_steer(struct plait_share *s, struct plait_span span, const struct plait_pattern *pattern,
               uint64_t *at);

/* share.c */
/* The connection of that number, which the caller has from `open`. */
struct conn *share_conn(struct plait_share *s, int conn);
/* Blocks of which all bytes are there. */
uint64_t share_available(const struct plait_share *s);
uint32_t share_block_len(const struct plait_share *s, uint64_t block);
/* Whether the connection may send blocks of that set of the plan. */
bool share_carries(const struct conn *c, unsigned set);
/* All that wait are asked again. */
void share_stir(struct plait_share *s);

/* share_next.c */
/* What stuck connections have in flight becomes due again. */
void share_leave_stuck(struct plait_share *s);
/* All frames of the connection leave its ring. */
void share_give_back(struct plait_share *s, struct conn *c, bool due_again);

#endif
