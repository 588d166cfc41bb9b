/*
 * What the terminals of a community tell each other on their LAN (doc/community.md):
 *
 *   5 u8 · version u8 · kind u8 · 0 u8
 *   · instance u64        random, chosen at each start of the program
 *   · stamp u64           counts what this instance has said: it only rises
 *   · echo u64            ASK: a number to be repeated; ACTIVE: the number of the ASK that it answers, or 0
 *   · to u64              ASK: the instance that is asked; 0 otherwise
 *   · hub u64             of the hub's public key: who has another hub cannot carry for us
 *   · hub port u16        that the hub has advised this terminal to use; 0 = none
 *   · name length u8 · name
 *   · count u8 · count × { id u8 · flags u8 (1 backup, 2 bounded) · port u16 · weight down u32 · weight up u32 }
 *   · up u32              bytes a second that it is being given upward, on all lines; may be left out: nothing to tell
 *   · … · MAC [16]        BLAKE2s under the community's key, over all before it
 *
 * with numbers in big-endian order and weights in thousandths, 0 = as measured. What else lies before
 * the MAC is left out by those who do not know it. Here are layouts only: who checks the MAC, and what is
 * believed of it, is tunnel/community.h. The seed is WO 2005/018199: the LAN terminal router list (address, port,
 * missed announces, weight) and its two status messages.
 */
#ifndef PLAIT_WIRE_ANNOUNCE_H
#define PLAIT_WIRE_ANNOUNCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define PLAIT_ANNOUNCE_VERSION     1u
#define PLAIT_ANNOUNCE_NAME_MAX    32u /* as in hello.h */
#define PLAIT_ANNOUNCE_UPLINKS_MAX 14u
#define PLAIT_ANNOUNCE_MAC_BYTES   16u
#define PLAIT_ANNOUNCE_BYTES_MAX   512u /* a decoder takes no more; enough for everything at its longest */

enum plait_announce_kind {
    PLAIT_ANNOUNCE_ACTIVE = 1,
    PLAIT_ANNOUNCE_SHUT_DOWN = 2,
    PLAIT_ANNOUNCE_ASK = 3, /* prove that you are there now */
};

/* An uplink on offer: what is sent to this port of the terminal leaves by it. */
struct plait_announce_uplink {
    uint8_t id;
    bool backup;
    bool bounded;  /* what it carries to the others is held back by a limit or a share of its own */
    uint16_t port; /* not 0 */
    uint32_t weight_down, weight_up; /* thousandths; 0 = as measured */
};

struct plait_announce {
    enum plait_announce_kind kind;
    uint64_t instance, stamp, echo, to, hub;
    uint16_t hub_port;
    char name[PLAIT_ANNOUNCE_NAME_MAX + 1];
    struct plait_announce_uplink uplinks[PLAIT_ANNOUNCE_UPLINKS_MAX];
    size_t uplink_count;
    uint32_t up; /* bytes a second, sent and arrived; 0 = not told */
};

/* Whether all `count` of them are the same, in the same order. */
bool plait_announce_uplinks_equal(const struct plait_announce_uplink *a,
                                  const struct plait_announce_uplink *b, size_t count);
/*
 * Writes all but the MAC, for which there is room behind: returns how many bytes come before it. PLAIT_ERR_ARG for
 * what no decoder would take.
 */
PLAIT_MUST_USE int plait_announce_encode(const struct plait_announce *a,
                                         uint8_t out[PLAIT_ANNOUNCE_BYTES_MAX]);
/*
 * `len` includes the MAC, which is not looked at: the last PLAIT_ANNOUNCE_MAC_BYTES. PLAIT_ERR_TRUNC;
 * PLAIT_ERR_LIMIT for more bytes or uplinks than there may be; PLAIT_ERR_FORMAT for another type, version or kind,
 * or a name that is none; PLAIT_ERR_RANGE for an uplink without a port, or one that is there twice. *out only on
 * success.
 */
PLAIT_MUST_USE int plait_announce_decode(const uint8_t *bytes, size_t len, struct plait_announce *out);

#endif
