/*
 * A tunnel in virtual time: a node and a hub, a bond at each, uplinks between them, and inner traffic through
 * it: TCP flows with their congestion control, datagrams at a fixed rate, and pings. Real inner packets are
 * made, with headers that a bond reads; only the seal is left out, its bytes are counted.
 *
 * Rows are written by people and by the seeds: rates in Mbit/s, times in ms, loss in percent; "down" is from the
 * hub to the node.
 */
#ifndef PLAIT_SIM_TUNNEL_H
#define PLAIT_SIM_TUNNEL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "bond.h"

#define PLAIT_SIM_UPLINKS_MAX       6
#define PLAIT_SIM_INNER_MAX         8
#define PLAIT_SIM_UPLINK_STEPS      4
#define PLAIT_SIM_UPLINK_OUTAGES    3
#define PLAIT_SIM_TUNNEL_HEADERS    (20 + 8 + PLAIT_DATAGRAM_CLEAR_BYTES + PLAIT_DATAGRAM_TAG_BYTES)
#define PLAIT_SIM_INNER_TCP_HEADERS 52
#define PLAIT_SIM_READ_NS           20000.0 /* between two datagrams that a reader takes from its socket */

enum plait_sim_outage_kind {
    PLAIT_SIM_CUT_SILENT,  /* nothing passes, nobody is told */
    PLAIT_SIM_CUT_DOWN,    /* the same, downward only */
    PLAIT_SIM_CUT_UP,      /* upward only */
    PLAIT_SIM_CUT_CARRIER, /* the node sees it at once and tells its bond; the hub is told nothing */
};

struct plait_sim_uplink {
    double mbit, rtt_ms; /* mbit 0 ends the list */
    double up_mbit;      /* 0 = as downward */
    double queue_ms;     /* 0 = a round trip, at least 50 */
    double jitter_ms;    /* added to each packet's way, both directions, up to */
    double loss, up_loss;
    bool reorder; /* the jitter changes the order */
    struct {
        double at_ms, mbit;
    } step[PLAIT_SIM_UPLINK_STEPS]; /* of the downward rate; at_ms 0 ends the list */
    double period_ms;
    struct {
        double from_ms, to_ms;
        enum plait_sim_outage_kind kind;
    } outage[PLAIT_SIM_UPLINK_OUTAGES]; /* to_ms 0 ends the list */
    struct {
        double from_ms, to_ms, by_ms;
    } held; /* what passes meanwhile is so much later, each way */
    double burst_enter, burst_leave, burst_loss;
    double weight; /* both ends; 0 = auto */
    double limit;  /* Mbit/s, both ends; 0 = none */
    bool backup;
    bool carried; /* as the node sees it */
    unsigned mtu; /* of the line, IP packet bytes; greater ones vanish; 0 = any */
    unsigned
        behind; /* shares a line: the number of the uplink, from 1, whose line comes behind this one's; 0 = none */
};

enum plait_sim_inner_kind {
    PLAIT_SIM_INNER_CUBIC,
    PLAIT_SIM_INNER_BBR,
    PLAIT_SIM_INNER_UDP,
    PLAIT_SIM_INNER_PING
};

struct plait_sim_inner {
    bool used;
    enum plait_sim_inner_kind kind;
    bool up;                  /* data goes from the node to the hub */
    double start_ms, stop_ms; /* 0 = from the beginning, to the end */
    double mbit;              /* UDP */
    double every_ms;          /* PING, UDP instead of mbit */
    unsigned size;            /* UDP and PING: bytes of the IP packet; 0 = 1000, 84 */
    double bytes;             /* TCP: to be sent; 0 = without end */
    bool quic;                /* TCP's congestion control and repair, in UDP */
    bool ipv6;                /* UDP, PING */
};

struct plait_sim_tunnel_row {
    struct plait_sim_uplink uplink[PLAIT_SIM_UPLINKS_MAX];
    struct plait_sim_inner inner[PLAIT_SIM_INNER_MAX];
    double seconds;
    double late_ms;                  /* from when on `mbit_late` counts; 0 = the second half */
    double late_us;                  /* timers fire late by up to so much; 0 = 100 */
    double stall_ms, stall_every_ms; /* both ends' programs stand still for up to so long, about so often */
    double limit;                    /* Mbit/s, of the whole, both ends */
    enum plait_bond_policy policy;
    int only; /* use only this uplink, from 1; 0 = all */
    bool no_repair, no_ahead, no_reorder, no_duplicates, no_even;
    bool untunnelled;      /* the first uplink used carries the inner packets as they are, without bonds */
    uint32_t pool_packets; /* 0 = 16,384 */
    uint64_t seed;
};

struct plait_sim_inner_result {
    uint64_t sent_packets, received_packets; /* inner packets with data */
    uint64_t bytes;                          /* payload delivered, TCP: in order */
    double mbit;                             /* the same by time, from its start to its end */
    double mbit_late;                        /* in the second half of that time, or from `late_ms` on */
    uint64_t out_of_order, duplicates;       /* UDP and PING */
    double silence_ms;                       /* longest time between two packets */
    double waiting_most;                     /* datagrams that wait for their reader, at most */
    double rtt_ms_least, rtt_ms_median, rtt_ms_p95,
        rtt_ms_most;                       /* PING; TCP: least and smoothed at the end */
    uint64_t resent, timeouts, recoveries; /* TCP */
    double done_ms;                        /* TCP with an end: when all had arrived; 0 = not */
};

struct plait_sim_tunnel_result {
    struct plait_sim_inner_result inner[PLAIT_SIM_INNER_MAX];
    double
        share; /* of the payload that TCP would carry over all lines in the time of the first flow: see sim_tunnel.c */
    double sum_mbit;                /* that whole */
    struct plait_bond_info info[2]; /* node, hub */
    struct plait_bond_path_info path[2][PLAIT_SIM_UPLINKS_MAX];
    uint64_t line_bytes; /* all bytes that were put on lines */
    uint64_t overtaken;  /* packets of a flow delivered after a later one */
    uint32_t leaked;     /* packets that did not come back to the pools */
    uint32_t pool_least; /* spare packets, at the least */
    uint64_t hash;
    bool bad; /* something arrived that nobody had sent, or twice */
    char why[120];
};

/* Tells what happens every `every_ms`; may be NULL. */
struct plait_sim_tunnel_story {
    FILE *to;
    double every_ms;
};

void plait_sim_tunnel_run(const struct plait_sim_tunnel_row *row, const struct plait_sim_tunnel_story *story,
                          struct plait_sim_tunnel_result *out);

#endif
