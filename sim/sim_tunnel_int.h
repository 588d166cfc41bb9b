/* The inside of the simulated tunnel: sim_tunnel.c (the ends and the lines), sim_inner.c (the traffic). */
#ifndef PLAIT_SIM_TUNNEL_INT_H
#define PLAIT_SIM_TUNNEL_INT_H

#include "sim_event.h"
#include "sim_flow.h"
#include "sim_link.h"
#include "sim_tunnel.h"
#include "units.h"

#define PLAIT_SIM_TUNNEL_START_NS (1 * PLAIT_S) /* the clocks do not begin at 0 */
#define PLAIT_SIM_TUNNEL_READY_NS                                                                            \
    (PLAIT_SIM_TUNNEL_START_NS + 1500 * PLAIT_MS)      /* paths are there before the traffic begins */
#define PLAIT_SIM_HUB_CLOCK_NS UINT64_C(7654321000000) /* the hub's clock is ahead by this */

enum { PLAIT_SIM_NODE, PLAIT_SIM_HUB };

struct plait_sim_tunnel;

struct plait_sim_carried {
    struct plait_sim_carried *next;
    uint8_t path;
    uint16_t len;
    uint8_t bytes[9300];
};

struct plait_sim_tunnel_end {
    struct plait_sim_tunnel *tunnel;
    unsigned side;
    struct plait_bond *bond; /* NULL: untunnelled */
    struct plait_pool pool;
    struct plait_sim_event timer;
    struct plait_sim_sink sink[PLAIT_SIM_UPLINKS_MAX];
    struct plait_packet *outbox, *outbox_last; /* made while the bond was busy */
    uint32_t spare_least;
    struct plait_sim_event stall;
    uint64_t stalled_until;
    struct plait_sim_carried *inbox, *inbox_last; /* came while the program stood still */
};

struct plait_sim_inner_run {
    const struct plait_sim_inner *config;
    struct plait_sim_tunnel *tunnel;
    unsigned id;
    unsigned sender; /* side */
    struct plait_sim_event timer, stop;
    struct plait_sim_flow_config flow_config;
    struct plait_sim_flow flow;
    uint64_t syn_at;
    bool open, stopped;
    uint32_t sent_n, high; /* UDP, PING: packets sent; one above the greatest that came */
    uint8_t *came;         /* UDP, PING: owns; a bit for each number */
    uint32_t came_room;
    double waiting; /* for the reader, when the last one came */
    uint64_t last_came, started, ended, half_bytes, half_at;
    double *rtt; /* owns */
    uint32_t rtt_n, rtt_room;
    uint32_t tcp_high; /* one above the greatest id that came */
    struct plait_sim_inner_result result;
};

struct plait_sim_tunnel {
    const struct plait_sim_tunnel_row *row;
    struct plait_sim_events *events; /* borrows */
    struct plait_prng prng;
    struct plait_sim_link link[2][PLAIT_SIM_UPLINKS_MAX]; /* by the sending side */
    struct plait_sim_route route[2][PLAIT_SIM_UPLINKS_MAX];
    const struct plait_sim_sink
        *via[2][PLAIT_SIM_UPLINKS_MAX]; /* where a route ends short of the other end; or NULL */
    struct plait_sim_step steps[PLAIT_SIM_UPLINKS_MAX][PLAIT_SIM_UPLINK_STEPS];
    struct plait_sim_outage outages[2][PLAIT_SIM_UPLINKS_MAX][PLAIT_SIM_UPLINK_OUTAGES];
    struct plait_sim_event carrier[PLAIT_SIM_UPLINKS_MAX];
    struct plait_sim_tunnel_end end[2];
    struct plait_sim_inner_run inner[PLAIT_SIM_INNER_MAX];
    struct plait_sim_carried *idle;
    unsigned uplinks, first;
    uint64_t now_end;
    struct plait_sim_tunnel_result *result;
    struct plait_sim_event tell;
    uint64_t told_bytes[PLAIT_SIM_UPLINKS_MAX]; /* that each uplink had sent when it was last told */
    const struct plait_sim_tunnel_story *story;
};

/* The line behind an uplink, as one side (PLAIT_SIM_HUB: downward) sends over it, but for outages and seed. Writes what
 * changes on the way into `steps`, with room for PLAIT_SIM_UPLINK_STEPS, and borrows it. */
struct plait_sim_link_config plait_sim_uplink_line(const struct plait_sim_uplink *u, unsigned side,
                                                   struct plait_sim_step *steps);
/* A run in steps, for several tunnels in one world: lines, bonds, first datagrams (at PLAIT_SIM_TUNNEL_START_NS), traffic
 * (at PLAIT_SIM_TUNNEL_READY_NS), results. `t` is all zeros before. */
void plait_sim_tunnel_lay(struct plait_sim_tunnel *t, const struct plait_sim_tunnel_row *row,
                          struct plait_sim_events *events, struct plait_sim_tunnel_result *out);
void plait_sim_tunnel_join(struct plait_sim_tunnel *t);
void plait_sim_tunnel_wake(struct plait_sim_tunnel *t);
/* A path comes or goes at one end, after it has joined; the end is to be flushed then. */
void plait_sim_tunnel_path(struct plait_sim_tunnel *t, unsigned side, unsigned uplink, bool there);
void plait_sim_tunnel_pour(struct plait_sim_tunnel *t);
void plait_sim_tunnel_part(struct plait_sim_tunnel *t);

/* What packets on lines carry (the first word of their body points to it). */
struct plait_sim_carried *plait_sim_carried_take(struct plait_sim_tunnel *t);
void plait_sim_carried_give(struct plait_sim_tunnel *t, struct plait_sim_carried *c);
struct plait_sim_carried *plait_sim_carried_of(const struct plait_sim_packet *p);

/* Sends an inner packet from a side, now or, while its bond is busy, right after. */
void plait_sim_tunnel_emit(struct plait_sim_tunnel *t, unsigned side, const uint8_t *bytes, size_t len);
void plait_sim_tunnel_flush(struct plait_sim_tunnel *t, unsigned side, uint64_t now);
void plait_sim_tunnel_fail(struct plait_sim_tunnel *t, const char *why);

void plait_sim_inner_begin(struct plait_sim_tunnel *t, unsigned id);
void plait_sim_inner_done(struct plait_sim_tunnel *t, unsigned id);
/* An inner packet has come out on `side`. */
void plait_sim_inner_deliver(struct plait_sim_tunnel *t, unsigned side, uint64_t now, const uint8_t *bytes,
                             size_t len);

#endif
