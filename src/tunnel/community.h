/*
 * The membership of a community, as one terminal knows it: who is active on the LAN, and what they have on offer.
 *
 *      plait_community_offer ──> ACTIVE, now and every period ──> poll_send
 *      recv ──> members; plait_community_note_traffic counts as ACTIVE
 *
 * What is believed. All messages carry a MAC under the community's key. Who is not known yet, or comes from another
 * address than before, is first asked to repeat a number (ASK), and becomes a member by doing so: what somebody has
 * recorded is thereby worthless, whatever has been forgotten since, and no clock is needed. From a member only stamps
 * that rise are taken. SHUT DOWN of a member drops it at once. One that misses more announcements than the limit is
 * dropped. All tables have a bound; a stranger costs a MAC and changes nothing.
 *
 * No clock, no I/O: `now` is nanoseconds from any zero. Nothing is allocated after plait_community_new.
 */
#ifndef PLAIT_TUNNEL_COMMUNITY_H
#define PLAIT_TUNNEL_COMMUNITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "announce.h"
#include "blake2s.h"
#include "cookie.h"
#include "crypto.h"
#include "err.h"
#include "key.h"
#include "units.h"

#define PLAIT_COMMUNITY_MEMBERS_MAX 64u
#define PLAIT_COMMUNITY_PERIOD      (2 * PLAIT_S) /* defaults */
#define PLAIT_COMMUNITY_MISSED_MAX  3u

struct plait_community;

struct plait_community_config {
    struct plait_crypto *crypto; /* borrows; of this thread */
    struct plait_random random;
    uint8_t key[PLAIT_KEY_BYTES]; /* copied */
    uint64_t instance;            /* random, chosen once at the start of the program */
    uint64_t hub;                 /* plait_community_hub */
    char name[PLAIT_ANNOUNCE_NAME_MAX + 1];
    uint64_t period;     /* ns between announcements; 0 = PLAIT_COMMUNITY_PERIOD */
    unsigned missed_max; /* so many may be missed; 0 = PLAIT_COMMUNITY_MISSED_MAX */
};

struct plait_community_member {
    uint64_t instance, stamp, hub;
    uint16_t hub_port;        /* that it uses; 0 = the usual one */
    struct plait_origin from; /* of its announcements, and of what it wants to be carried */
    char name[PLAIT_ANNOUNCE_NAME_MAX + 1];
    struct plait_announce_uplink uplinks[PLAIT_ANNOUNCE_UPLINKS_MAX];
    size_t uplink_count;
    uint32_t up;    /* bytes a second that it is being given upward, on all lines, as it says itself */
    uint64_t up_at; /* when it said so; 0 = never */
    uint64_t heard_at, due; /* due: the next announcement counts as missed then */
    unsigned missed;        /* announcements, in a row */
};

struct plait_community_counts {
    uint64_t heard;    /* messages that were taken */
    uint64_t forged;   /* not of this community */
    uint64_t replayed; /* stamps that did not rise */
    uint64_t bad;      /* of this community, but not understood */
    uint64_t asked;    /* to prove themselves */
    uint64_t refused;  /* more members, or more to be asked at a time, than there is room for */
};

/* PLAIT_ERR_NOMEM, PLAIT_ERR_ARG for a name that is none. It begins at `now`: the first ACTIVE is due. */
PLAIT_MUST_USE int plait_community_new(const struct plait_community_config *config, uint64_t now,
                                       struct plait_community **out);
void plait_community_free(struct plait_community *c); /* NULL is harmless; wipes the key */
/* The number that stands for a hub in announcements. */
PLAIT_MUST_USE int plait_community_hub(struct plait_crypto *crypto, const struct plait_key *hub_public,
                                       uint64_t *out);

/* The number of all who have the community's key, for the hub. */
PLAIT_MUST_USE int plait_community_group(struct plait_crypto *crypto, const uint8_t key[PLAIT_KEY_BYTES],
                                         uint64_t *out);
/* The number of the line behind an uplink on offer, for the hub; never 0. */
uint64_t plait_community_line(uint64_t instance, uint8_t uplink);

/* What we have on offer, and the port of the hub that we use; told at once where it changed. PLAIT_ERR_ARG. */
PLAIT_MUST_USE int plait_community_offer(struct plait_community *c, uint64_t now, uint16_t hub_port,
                                         const struct plait_announce_uplink *uplinks, size_t count);
/* What we are being given upward over all lines, bytes a second: told at once, so to be said about once a second. 0: over
 * nobody else's. */
void plait_community_use(struct plait_community *c, uint64_t now, uint32_t up);
/* We leave: poll_send gives SHUT DOWN, and nothing else any more. */
void plait_community_leave(struct plait_community *c);

/* The four doors. */

/* A datagram of type 5. 0, or PLAIT_ERR_* for what was dropped and counted. */
int plait_community_recv(struct plait_community *c, uint64_t now, const struct plait_origin *from,
                         const uint8_t *bytes, size_t len);
/* The next message that is to be sent now, its length or 0; *to is where, or *to_all: to everybody on the LAN. */
size_t plait_community_poll_send(struct plait_community *c, uint64_t now, struct plait_origin *to,
                                 bool *to_all, uint8_t out[PLAIT_ANNOUNCE_BYTES_MAX]);
uint64_t plait_community_next_deadline(const struct plait_community *c);
void plait_community_on_deadline(struct plait_community *c, uint64_t now);

/* Something came from there that is as good as an announcement. */
void plait_community_note_traffic(struct plait_community *c, uint64_t now, const struct plait_origin *from);

/* Members, in no order; borrowed until the next call. NULL beyond the last. */
const struct plait_community_member *plait_community_at(const struct plait_community *c, size_t i);
size_t plait_community_count(const struct plait_community *c);
const struct plait_community_member *plait_community_find(const struct plait_community *c, uint64_t instance);
const struct plait_community_member *plait_community_find_origin(const struct plait_community *c,
                                                                 const struct plait_origin *from);
/* Rises with each change of who is there and what is on offer. */
uint64_t plait_community_changes(const struct plait_community *c);
void plait_community_counts(const struct plait_community *c, struct plait_community_counts *out);

#endif
