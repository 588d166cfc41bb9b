/* The inside of the simulated community: sim_village.c (lines, runs), sim_forward.c (what owners do for others),
 * sim_churn.c (who comes and goes). */
#ifndef PLAIT_SIM_VILLAGE_INT_H
#define PLAIT_SIM_VILLAGE_INT_H

#include "fair.h"
#include "line.h"
#include "sim_tunnel_int.h"
#include "sim_village.h"

#define PLAIT_SIM_LINE_RATE    125000.0 /* bytes/s: a first guess */
#define PLAIT_SIM_LINE_OUTAGES 3u       /* two, and the end */

struct plait_sim_village;

/* What the owner of a line does for the others; [side]: of the packets that this side sends, PLAIT_SIM_NODE: upward. */
struct plait_sim_forwarder {
    struct plait_sim_village *village;
    unsigned line, owner; /* terminal */
    struct plait_fair *fair[2];
    struct plait_line known; /* the line, as the owner sees it */
    struct plait_sim_event timer;
};

struct plait_sim_guest;

struct plait_sim_guest_way {
    struct plait_sim_guest *guest;
    unsigned side;
    struct plait_sim_sink sink;
    struct plait_sim_route beyond; /* what comes behind the owner */
};

/* One of the others. */
struct plait_sim_guest {
    struct plait_sim_forwarder *forwarder;
    unsigned terminal;
    struct plait_sim_guest_way way[2];
};

/* What a terminal tells the forwarders. */
struct plait_sim_speaker {
    struct plait_sim_village *village;
    unsigned terminal;
    uint64_t arrived_bytes;
    struct plait_sim_event timer;
};

/* A terminal comes, goes, or the hub hears that it has gone. */
struct plait_sim_change {
    struct plait_sim_village *village;
    unsigned terminal;
    struct plait_sim_event event;
};

struct plait_sim_village {
    const struct plait_sim_village_row *row;
    struct plait_sim_events events;
    struct plait_sim_link link[2][PLAIT_SIM_UPLINKS_MAX]; /* by the sending side; of all tunnels */
    struct plait_sim_step steps[PLAIT_SIM_UPLINKS_MAX][PLAIT_SIM_UPLINK_STEPS];
    struct plait_sim_outage outages[2][PLAIT_SIM_UPLINKS_MAX][PLAIT_SIM_LINE_OUTAGES];
    unsigned lines;
    unsigned owner[PLAIT_SIM_UPLINKS_MAX];           /* of each line: terminal, from 1; 0 = nobody */
    struct plait_line shared[PLAIT_SIM_UPLINKS_MAX]; /* the lines, as the hub sees them */
    struct plait_sim_tunnel_row *rows;               /* owns: one for each terminal */
    struct plait_sim_tunnel *tunnels;                /* owns */
    struct plait_sim_tunnel_result *results;         /* owns */
    struct plait_sim_forwarder forwarders[PLAIT_SIM_UPLINKS_MAX]; /* of each line that has an owner */
    struct plait_sim_guest (*guests)[PLAIT_SIM_UPLINKS_MAX];      /* owns: of each terminal */
    struct plait_sim_speaker *speakers;                           /* owns: for each terminal */
    struct plait_sim_change *changes;                             /* owns: three for each terminal */
    bool here[PLAIT_SIM_TERMINALS_MAX];
    struct plait_sim_event tell;
    const struct plait_sim_tunnel_story *story;
};

void plait_sim_forwarders_init(struct plait_sim_village *v);
void plait_sim_forwarders_done(struct plait_sim_village *v);
/* Terminal `n` has just joined its line, if it has one: it paces what it carries besides. */
void plait_sim_forwarder_open(struct plait_sim_village *v, unsigned n);

/* Those who are there from the beginning join now, the others and those who leave will do so. */
void plait_sim_churn_init(struct plait_sim_village *v);

#endif
