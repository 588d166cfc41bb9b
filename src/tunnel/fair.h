/*
 * What a link carries for others: a queue for each of them, served by deficit round robin (Shreedhar and Varghese
 * 1995), at a rate that its owner sets, or as the line comes free. Whoever asks for less than his share gets it without waiting; whoever asks for
 * more shares what is left with the others alike, whatever the sizes of their packets.
 *
 * A packet that has waited for longer than PLAIT_FAIR_WAIT and two rounds, or for which there is no room, is dropped: the ends of
 * the tunnel measure and pace, so a long queue here would only be delay. When all is full the longest queue
 * loses, so that one who floods pushes nobody else out. Memory is fixed at the start. No clock, no I/O.
 */
#ifndef PLAIT_TUNNEL_FAIR_H
#define PLAIT_TUNNEL_FAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "line.h"
#include "units.h"

#define PLAIT_FAIR_FLOWS_MAX 64u
#define PLAIT_FAIR_WAIT      (60 * PLAIT_MS)
#define PLAIT_FAIR_TOLD      (4 * PLAIT_S)

struct plait_fair;

struct plait_fair_counts {
    uint64_t bytes, packets, dropped;
};

/* `packets` of at most `room` bytes, all queues together. PLAIT_ERR_NOMEM, PLAIT_ERR_ARG. */
PLAIT_MUST_USE int plait_fair_new(unsigned packets, size_t room, struct plait_fair **out);
void plait_fair_free(struct plait_fair *f); /* NULL is harmless */
/* Bytes a second, of whole IP packets where `overhead` is that of the line; 0 = no limit. */
void plait_fair_set_rate(struct plait_fair *f, uint64_t now, double rate, unsigned overhead);
/* What leaves goes over this line, behind its owner's packets and as fast as it carries (line.h), within the rate that
 * is set; NULL: no more. Borrows it. */
void plait_fair_set_line(struct plait_fair *f, struct plait_line *line);
/* What this one is being given in the same direction on all lines, this one included, as he says himself: bytes a second.
 * Where several who say so want more than there is, they are served so that these become equal, not what each has here.
 * To be said about once a second; forgotten after PLAIT_FAIR_TOLD. Who claims too little gains what one gains who has
 * nothing elsewhere. */
void plait_fair_told(struct plait_fair *f, uint64_t now, unsigned flow, double rate);
/* Copies. PLAIT_ERR_ARG for a flow that cannot be, PLAIT_ERR_LIMIT where it is dropped (and counted). */
int plait_fair_push(struct plait_fair *f, uint64_t now, unsigned flow, const uint8_t *bytes, size_t len);
/* The next packet that may leave now: its length, copied to `out` (with room for the longest), or 0. */
size_t plait_fair_poll(struct plait_fair *f, uint64_t now, unsigned *flow, uint8_t *out);
/* When the next one may leave, as of the last poll; PLAIT_NEVER for none. */
uint64_t plait_fair_next_deadline(const struct plait_fair *f);
/* Throws away what waits of a flow, and its counts. */
void plait_fair_drop_flow(struct plait_fair *f, unsigned flow);
void plait_fair_counts(const struct plait_fair *f, unsigned flow, struct plait_fair_counts *out);

#endif
