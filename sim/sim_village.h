/*
 * A community in virtual time: terminals on a LAN, each with a tunnel to one hub over the lines of all, its own and the
 * neighbours', so that the tunnels meet on each line. Downward the hub's bonds share what is known of a line
 * (tunnel/line.h), as far as the row says so. Terminals come and go meanwhile, and with them their lines.
 *
 * Rates in Mbit/s, times in ms, loss in percent; lines and traffic are described as in sim_tunnel.h.
 */
#ifndef PLAIT_SIM_VILLAGE_H
#define PLAIT_SIM_VILLAGE_H

#include "sim_tunnel.h"

#define PLAIT_SIM_TERMINALS_MAX 50

struct plait_sim_terminal {
    unsigned line;   /* its own, from 1; 0 = none */
    double lan_ms;   /* one way, to the LAN; 0 = 0.2 */
    double lan_mbit; /* both ways, of each path; 0 = 1000 */
    double lan_loss;
    double join_ms;  /* its flows begin later than that; 0 = from the beginning */
    double leave_ms; /* and it says so; 0 = never */
    double kill_ms;  /* or nobody is told; 0 = never */
    struct plait_sim_inner inner[2];
};

/* What the owner of a line lets the others have of it. */
struct plait_sim_offer {
    bool kept;    /* nothing */
    double limit; /* Mbit/s, each way; 0 = as much as there is */
};

struct plait_sim_village_row {
    struct plait_sim_uplink line[PLAIT_SIM_UPLINKS_MAX]; /* at most two outages, silent; without `behind` */
    struct plait_sim_terminal terminal[PLAIT_SIM_TERMINALS_MAX];
    unsigned terminals;
    double seconds, late_us;
    bool apart; /* the bonds know nothing of each other: to compare with */
    uint64_t seed;
    struct plait_sim_offer offer[PLAIT_SIM_UPLINKS_MAX]; /* of each line */
};

struct plait_sim_village_result {
    double mbit[PLAIT_SIM_TERMINALS_MAX]; /* payload of the first flow, by time from its start to its end */
    double mbit_late[PLAIT_SIM_TERMINALS_MAX];  /* in the second half of it */
    double silence_ms[PLAIT_SIM_TERMINALS_MAX]; /* longest time in which the first flow got nothing */
    double ping_ms[PLAIT_SIM_TERMINALS_MAX];    /* 95th percentile of the second flow, where that is a ping */
    double line_queue_ms[PLAIT_SIM_UPLINKS_MAX];  /* the longest, downward */
    uint64_t line_dropped[PLAIT_SIM_UPLINKS_MAX]; /* by a full queue, downward */
    double sum_mbit, sum_mbit_up;                 /* what TCP would carry over all lines */
    double line_mbit[PLAIT_SIM_UPLINKS_MAX];      /* and over each */
    uint64_t hash;
    bool bad;
    char why[120];
};

void plait_sim_village_run(const struct plait_sim_village_row *row,
                           const struct plait_sim_tunnel_story *story, struct plait_sim_village_result *out);

#endif
