/*
 * A one-way packet link in virtual time: a drop-tail queue in front of a line of given rate, then a delay.
 *
 * It knows nothing of what it carries. A packet names the route that it takes (the links in their order) and
 * the sink at the end. Whether a link loses a packet is decided when the packet is handed to it; packets
 * leave a link in the order of their arrival at the far end. The link's own choices come from its own seed,
 * so that what one link does never depends on the traffic of another.
 */
#ifndef PLAIT_SIM_LINK_H
#define PLAIT_SIM_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "prng.h"
#include "sim_event.h"

#define PLAIT_SIM_HOPS        4  /* links in a route */
#define PLAIT_SIM_PACKET_BODY 40 /* bytes that the protocol above may keep in a packet */

struct plait_sim_packet;

/* Where packets end. `dropped` may be NULL: it is for those who have something to free, not for protocols to
 * look at. */
struct plait_sim_sink {
    void (*deliver)(void *ctx, uint64_t now, const struct plait_sim_packet *p);
    void (*dropped)(void *ctx, const struct plait_sim_packet *p);
    void *ctx; /* borrows */
};

struct plait_sim_route {
    struct plait_sim_link *hop[PLAIT_SIM_HOPS]; /* borrows */
    uint32_t hops;
};

struct plait_sim_packet {
    const struct plait_sim_route *route; /* borrows */
    const struct plait_sim_sink *sink;   /* borrows */
    uint32_t bytes;                      /* on the line, with the IP header */
    uint32_t hop;
    uint64_t body[PLAIT_SIM_PACKET_BODY / 8];
};

/* From this time on, the line carries this many bytes of IP packets per second; 0 = packets wait. */
struct plait_sim_step {
    uint64_t at_ns;
    uint64_t rate;
};

/* The line is silently dead in [from, to): what is handed to it, leaves the queue or would arrive then is
 * lost. */
struct plait_sim_outage {
    uint64_t from_ns;
    uint64_t to_ns;
};

struct plait_sim_link_config {
    uint64_t rate;                      /* bytes of IP packets per second until the first step */
    const struct plait_sim_step *steps; /* borrows; ascending */
    uint32_t steps_n;
    uint64_t period_ns;                     /* the steps start again after this; 0 = never */
    const struct plait_sim_outage *outages; /* borrows; ascending */
    uint32_t outages_n;
    uint64_t delay_ns;
    uint64_t held_from_ns,
        held_to_ns; /* what leaves the queue between them is that much later than otherwise: */
    uint64_t held_ns;
    uint64_t jitter_ns;      /* a uniform part of this is added to each packet's delay */
    bool reorder;            /* jitter may change the order; else a packet waits for those before it */
    uint64_t queue_bytes;    /* what may wait, the packet being sent included; 0 = no limit in bytes */
    uint64_t queue_ns;       /* how long a packet may wait; 0 = no limit in time */
    double loss;             /* chance of each packet to be lost */
    double burst_enter;      /* Gilbert-Elliott: chance per packet of the bad state to begin, */
    double burst_leave;      /* of it to end, */
    double burst_loss;       /* and of a packet to be lost while it lasts */
    uint64_t storm_every_ns; /* a burst of loss at each multiple of this; 0 = none */
    uint64_t storm_ns;       /* its length */
    double storm_loss;       /* and a packet's chance to be lost in it */
    uint64_t seed;
};

struct plait_sim_link_stats {
    uint64_t packets_in, bytes_in;
    uint64_t packets_out, bytes_out;
    uint64_t dropped_queue, dropped_loss, dropped_dead;
    uint64_t queue_ns_max;
};

struct plait_sim_flight {
    uint64_t arrive_ns;
    struct plait_sim_packet packet;
};

struct plait_sim_link {
    struct plait_sim_link_config config;
    struct plait_sim_link_stats stats;
    struct plait_sim_events *events; /* borrows */
    struct plait_sim_event arrival;
    struct plait_sim_flight *ring; /* owns; in order of arrival */
    uint32_t ring_room;            /* a power of two */
    uint32_t ring_head, ring_count;
    uint64_t busy_until; /* when the line will have sent all that waits */
    uint64_t arrive_last;
    bool bad; /* Gilbert-Elliott state */
    struct plait_prng prng;
};

void plait_sim_link_init(struct plait_sim_link *link, struct plait_sim_events *events,
                         const struct plait_sim_link_config *config);
/* Packets on their way are dropped. */
void plait_sim_link_done(struct plait_sim_link *link);
/* Rate of the line at a time, bytes/s; 0 where it is dead. */
uint64_t plait_sim_link_rate_at(const struct plait_sim_link_config *config, uint64_t at);
/* The next time after `at` at which that may be another, or PLAIT_NEVER. */
uint64_t plait_sim_link_change_after(const struct plait_sim_link_config *config, uint64_t at);
/* Sends a packet on its way along its route. `p` is copied. */
void plait_sim_packet_send(struct plait_sim_packet *p, uint64_t now);

#endif
