#include "tunnel_scenarios.h"

#define THREE                                                                                                \
    {20, 20}, {50, 50},                                                                                      \
    {                                                                                                        \
        100, 10                                                                                              \
    }
#define PAIR                                                                                                 \
    {100, 25},                                                                                               \
    {                                                                                                        \
        100, 25                                                                                              \
    }
#define UNEVEN                                                                                               \
    {80, 30},                                                                                                \
    {                                                                                                        \
        300, 10                                                                                              \
    }
#define ADSL                                                                                                 \
    {                                                                                                        \
        20, 34, .up_mbit = 1                                                                                 \
    }
#define LTE                                                                                                  \
    {                                                                                                        \
        40, 60, .up_mbit = 15, .jitter_ms = 10                                                               \
    }
#define FAR                                                                                                  \
    {8, 30}, {40, 60, .jitter_ms = 10},                                                                      \
    {                                                                                                        \
        20, 600                                                                                              \
    }
#define LOSSY                                                                                                \
    {30, 40, .loss = 1, .up_loss = 1},                                                                       \
    {                                                                                                        \
        30, 40, .loss = 0.1, .up_loss = 0.1                                                                  \
    }
#define SMALL                                                                                                \
    {8, 20},                                                                                                 \
    {                                                                                                        \
        20, 30                                                                                               \
    }

#define CUBIC(...)                                                                                           \
    {                                                                                                        \
        true, PLAIT_SIM_INNER_CUBIC, __VA_ARGS__                                                             \
    }
#define BBR(...)                                                                                             \
    {                                                                                                        \
        true, PLAIT_SIM_INNER_BBR, __VA_ARGS__                                                               \
    }
#define UDP(...)                                                                                             \
    {                                                                                                        \
        true, PLAIT_SIM_INNER_UDP, __VA_ARGS__                                                               \
    }
#define PING                                                                                                 \
    {                                                                                                        \
        true, PLAIT_SIM_INNER_PING, .every_ms = 50                                                           \
    }
#define UP      .up = true
#define KPPS    UDP(.every_ms = 1, .size = 1028)
#define FOREVER 1e7
#define SOCKET                                                                                               \
    92 /* full datagrams in one of Linux, unless its reader asked for more room: 212,992 bytes by 2,304 */

/* clang-format off */
const struct tunnel_scenario tunnel_scenarios[] = {
    /* ---- the table of the links, one flow, both directions; from the third second on, as the bench has it, what it must reach ---- */
    {"three-cubic-down", {{THREE}, {CUBIC(0), PING}, .seconds = 12, .late_ms = 2000}, .share = 0.90, .share_late = 0.90, .alone = 1.2, .ping_ms = 20},
    {"three-cubic-up", {{THREE}, {CUBIC(UP), PING}, .seconds = 12, .late_ms = 2000}, .share = 0.90, .share_late = 0.90, .ping_ms = 20},
    {"three-bbr-down", {{THREE}, {BBR(0), PING}, .seconds = 12, .late_ms = 2000}, .share = 0.87, .share_late = 0.90, .ping_ms = 20},
    {"three-bbr-up", {{THREE}, {BBR(UP), PING}, .seconds = 12, .late_ms = 2000}, .share = 0.87, .share_late = 0.90, .ping_ms = 20},
    {"pair-cubic-down", {{PAIR}, {CUBIC(0), PING}, .seconds = 12, .late_ms = 2000}, .share = 0.90, .share_late = 0.92, .ping_ms = 20},
    {"pair-cubic-up", {{PAIR}, {CUBIC(UP), PING}, .seconds = 12, .late_ms = 2000}, .share = 0.90, .share_late = 0.92, .ping_ms = 20},
    {"pair-bbr-down", {{PAIR}, {BBR(0), PING}, .seconds = 12, .late_ms = 2000}, .share = 0.89, .share_late = 0.92, .ping_ms = 20},
    {"pair-bbr-up", {{PAIR}, {BBR(UP), PING}, .seconds = 12, .late_ms = 2000}, .share = 0.89, .share_late = 0.92, .ping_ms = 20},
    {"uneven-cubic-down", {{UNEVEN}, {CUBIC(0), PING}, .seconds = 12, .late_ms = 2000}, .share = 0.89, .share_late = 0.90, .ping_ms = 20},
    {"uneven-cubic-up", {{UNEVEN}, {CUBIC(UP), PING}, .seconds = 12, .late_ms = 2000}, .share = 0.89, .share_late = 0.90, .ping_ms = 20},
    {"uneven-bbr-down", {{UNEVEN}, {BBR(0), PING}, .seconds = 12, .late_ms = 2000}, .share = 0.89, .share_late = 0.90, .ping_ms = 20},
    {"uneven-bbr-up", {{UNEVEN}, {BBR(UP), PING}, .seconds = 12, .late_ms = 2000}, .share = 0.89, .share_late = 0.90, .ping_ms = 20},
    {"adsl-lte-cubic-down", {{ADSL, LTE}, {CUBIC(0), PING}, .seconds = 12, .late_ms = 2000}, .share = 0.83, .share_late = 0.90, .ping_ms = 25},
    {"adsl-lte-cubic-up", {{ADSL, LTE}, {CUBIC(UP), PING}, .seconds = 12, .late_ms = 2000}, .share = 0.83, .share_late = 0.90, .ping_ms = 45},
    {"adsl-lte-bbr-down", {{ADSL, LTE}, {BBR(0), PING}, .seconds = 12, .late_ms = 2000}, .share = 0.80, .share_late = 0.90, .ping_ms = 35},
    {"adsl-lte-bbr-up", {{ADSL, LTE}, {BBR(UP), PING}, .seconds = 12, .late_ms = 2000}, .share = 0.80, .share_late = 0.89, .ping_ms = 60},
    {"far-cubic-down", {{FAR}, {CUBIC(0), PING}, .seconds = 30, .late_ms = 2000}, .share = 0.75, .share_late = 0.75, .ping_ms = 20},
    {"far-cubic-up", {{FAR}, {CUBIC(UP), PING}, .seconds = 30, .late_ms = 2000}, .share = 0.74, .share_late = 0.75, .ping_ms = 20},
    {"far-bbr-down", {{FAR}, {BBR(0), PING}, .seconds = 12, .late_ms = 2000}, .share = 0.55, .share_late = 0.60, .ping_ms = 25},
    {"far-bbr-up", {{FAR}, {BBR(UP), PING}, .seconds = 12, .late_ms = 2000}, .share = 0.55, .share_late = 0.60, .ping_ms = 30},
    {"lossy-cubic-down", {{LOSSY}, {CUBIC(0), PING}, .seconds = 12, .late_ms = 2000}, .share = 0.81, .share_late = 0.88, .ping_ms = 25},
    {"lossy-cubic-up", {{LOSSY}, {CUBIC(UP), PING}, .seconds = 12, .late_ms = 2000}, .share = 0.73, .share_late = 0.88, .ping_ms = 25},
    {"lossy-bbr-down", {{LOSSY}, {BBR(0), PING}, .seconds = 12, .late_ms = 2000}, .share = 0.80, .share_late = 0.88, .ping_ms = 25},
    {"lossy-bbr-up", {{LOSSY}, {BBR(UP), PING}, .seconds = 12, .late_ms = 2000}, .share = 0.80, .share_late = 0.88, .ping_ms = 25},
    {"one-cubic-down", {{{100, 20}}, {CUBIC(0), PING}, .seconds = 10}, .share = 0.90, .ping_ms = 20},
    {"one-bbr-down", {{{100, 20}}, {BBR(0), PING}, .seconds = 10}, .share = 0.90, .ping_ms = 20},

    /* ---- several flows ---- */
    {"three-four-cubic", {{THREE}, {CUBIC(0), CUBIC(0), CUBIC(0), CUBIC(0), PING}, .seconds = 8}, .ping_ms = 20},
    {"three-cubic-beside-bbr", {{THREE}, {CUBIC(0), BBR(0), PING}, .seconds = 8}, .ping_ms = 20},
    {"three-down-and-up", {{THREE}, {CUBIC(0), CUBIC(UP), PING}, .seconds = 8}, .share = 0.84, .ping_ms = 25},
    {"pair-cubic-beside-udp", {{PAIR}, {CUBIC(0), UDP(.mbit = 20), PING}, .seconds = 8}, .share = 0.79, .ping_ms = 20, .udp_part = 0.99},
    {"pair-late-second", {{PAIR}, {CUBIC(0), CUBIC(0, .start_ms = 3000), PING}, .seconds = 8}, .ping_ms = 20},
    {"small-six-flows", {{SMALL}, {CUBIC(0), BBR(0), CUBIC(UP), UDP(.mbit = 1), PING, CUBIC(0)}, .seconds = 8}, .ping_ms = 30},
    {"adsl-lte-both-ways", {{ADSL, LTE}, {CUBIC(0), CUBIC(UP), PING}, .seconds = 12}, .share = 0.77, .ping_ms = 60},

    /* ---- datagrams ---- */
    {"udp-fills-three", {{THREE}, {UDP(.mbit = 150, .size = 1400)}, .seconds = 6}, .udp_part = 0.90, .waiting = SOCKET},
    {"udp-fills-three-up", {{THREE}, {UDP(.mbit = 150, .size = 1400, UP)}, .seconds = 6}, .udp_part = 0.90},
    {"udp-light", {{THREE}, {UDP(.mbit = 2)}, .seconds = 5}, .udp_part = 1, .lost = -1, .disorder = -1},
    {"udp-ipv6", {{THREE}, {UDP(.mbit = 60, .ipv6 = true)}, .seconds = 5}, .udp_part = 0.99},
    {"udp-too-much", {{SMALL}, {UDP(.mbit = 60, .size = 1400), PING}, .seconds = 5}, .udp_part = 0.35, .ping_ms = 30},
    {"udp-tiny-packets", {{SMALL}, {UDP(.every_ms = 0.2, .size = 100)}, .seconds = 5}, .udp_part = 0.98},
    {"udp-lossy", {{LOSSY}, {UDP(.mbit = 20)}, .seconds = 6}, .udp_part = 0.995},
    {"udp-voice", {{ADSL, LTE}, {UDP(.every_ms = 20, .size = 200), CUBIC(0)}, .seconds = 8}, .udp_part = 0.995},
    {"udp-voice-up", {{ADSL, LTE}, {UDP(.every_ms = 20, .size = 200, UP), CUBIC(UP)}, .seconds = 8}, .udp_part = 0.995},
    {"udp-fills-uneven", {{UNEVEN}, {UDP(.mbit = 312, .size = 1400)}, .seconds = 6}, .udp_part = 0.90, .waiting = SOCKET},
    {"udp-fills-far", {{FAR}, {UDP(.mbit = 56, .size = 1400)}, .seconds = 8}, .udp_part = 0.90, .waiting = SOCKET},
    {"udp-fills-lossy", {{LOSSY}, {UDP(.mbit = 49, .size = 1400)}, .seconds = 8}, .udp_part = 0.95, .waiting = SOCKET},
    {"udp-fills-adsl-lte", {{ADSL, LTE}, {UDP(.mbit = 49, .size = 1400)}, .seconds = 8}, .udp_part = 0.95, .waiting = SOCKET},
    {"quic-three", {{THREE}, {CUBIC(.quic = true), PING}, .seconds = 12, .late_ms = 2000}, .share_late = 0.90, .ping_ms = 20},
    {"quic-three-up", {{THREE}, {CUBIC(.quic = true, UP), PING}, .seconds = 12, .late_ms = 2000}, .share_late = 0.90, .ping_ms = 20},
    {"quic-three-bbr", {{THREE}, {BBR(.quic = true), PING}, .seconds = 12, .late_ms = 2000}, .share_late = 0.90, .ping_ms = 20},
    {"quic-pair", {{PAIR}, {CUBIC(.quic = true), PING}, .seconds = 12, .late_ms = 2000}, .share_late = 0.92, .ping_ms = 20},
    {"quic-uneven", {{UNEVEN}, {CUBIC(.quic = true), PING}, .seconds = 12, .late_ms = 2000}, .share_late = 0.90, .ping_ms = 20},
    {"quic-adsl-lte", {{ADSL, LTE}, {CUBIC(.quic = true), PING}, .seconds = 12, .late_ms = 2000}, .share_late = 0.90, .ping_ms = 25},
    {"quic-far", {{FAR}, {CUBIC(.quic = true), PING}, .seconds = 30, .late_ms = 2000}, .share_late = 0.60, .ping_ms = 20},
    {"quic-far-bbr", {{FAR}, {BBR(.quic = true), PING}, .seconds = 12, .late_ms = 2000}, .share_late = 0.60, .ping_ms = 25},
    {"quic-lossy", {{LOSSY}, {CUBIC(.quic = true), PING}, .seconds = 12, .late_ms = 2000}, .share_late = 0.88, .ping_ms = 25},
    {"quic-lossy-bbr", {{LOSSY}, {BBR(.quic = true), PING}, .seconds = 12, .late_ms = 2000}, .share_late = 0.88, .ping_ms = 25},
    {"udp-far", {{FAR}, {UDP(.mbit = 30)}, .seconds = 8}, .udp_part = 0.97},
    {"ping-idle-three", {{THREE}, {PING}, .seconds = 5}, .ping_ms = 3},
    {"ping-idle-far", {{FAR}, {PING}, .seconds = 5}, .ping_ms = 13},

    /* ---- cuts ---- */
    {"cut-fastest-silent", {{{20, 20}, {50, 50}, {100, 10, .outage = {{3000, FOREVER}}}}, {KPPS}, .seconds = 8}, .silence_ms = 300, .lost = 10, .disorder = -1},
    {"cut-fastest-silent-up", {{{20, 20}, {50, 50}, {100, 10, .outage = {{3000, FOREVER}}}}, {UDP(.every_ms = 1, .size = 1028, UP)}, .seconds = 8}, .silence_ms = 300, .lost = 10, .disorder = -1},
    {"delays-all", {{{10, 20}, {10, 20, .held = {3000, FOREVER, 1500}}}, {KPPS}, .seconds = 8}, .silence_ms = 300, .lost = 10},
    {"delays-all-under-cubic", {{{10, 20}, {10, 20, .held = {3000, FOREVER, 1500}}}, {CUBIC(0), PING}, .seconds = 10}, .share = 0.56},
    {"delays-all-under-cubic-up", {{{10, 20}, {10, 20, .held = {3000, FOREVER, 1500}}}, {CUBIC(UP), PING}, .seconds = 10}, .share = 0.5},
    {"delays-all-for-long", {{{10, 20}, {10, 20, .held = {3000, FOREVER, 1500}}}, {KPPS, PING}, .seconds = 30}, .silence_ms = 300, .lost = 10, .ping_ms = 12},
    {"delays-all-and-no-more", {{{10, 20}, {10, 20, .held = {3000, 6000, 1500}}}, {CUBIC(0)}, .seconds = 20}, .share = 0.7},
    {"cut-fastest-and-back", {{{20, 20}, {50, 50}, {100, 10, .outage = {{3000, 5000}}}}, {KPPS}, .seconds = 8}, .silence_ms = 300, .lost = 10, .disorder = -1},
    {"cut-downward-only", {{{20, 20}, {50, 50}, {100, 10, .outage = {{3000, FOREVER, PLAIT_SIM_CUT_DOWN}}}}, {KPPS}, .seconds = 6}, .silence_ms = 300, .lost = 10, .disorder = -1},
    {"cut-upward-only", {{{20, 20}, {50, 50}, {100, 10, .outage = {{3000, FOREVER, PLAIT_SIM_CUT_UP}}}}, {KPPS}, .seconds = 6}, .silence_ms = 300, .lost = 10, .disorder = -1},
    {"cut-by-carrier-up", {{{20, 20}, {50, 50}, {100, 10, .outage = {{3000, FOREVER, PLAIT_SIM_CUT_CARRIER}}}}, {UDP(.every_ms = 1, .size = 1028, UP)}, .seconds = 6}, .silence_ms = 300, .lost = -1, .disorder = -1},
    {"cut-by-carrier-down", {{{20, 20}, {50, 50}, {100, 10, .outage = {{3000, FOREVER, PLAIT_SIM_CUT_CARRIER}}}}, {KPPS}, .seconds = 6}, .silence_ms = 300, .lost = -1, .disorder = -1},
    {"cut-slow-one", {{{20, 20}, {50, 50, .outage = {{3000, FOREVER}}}, {100, 10}}, {CUBIC(0), KPPS}, .seconds = 6}, .silence_ms = 300, .lost = 10},
    {"cut-one-of-pair", {{{100, 25, .outage = {{3000, FOREVER}}}, {100, 25}}, {CUBIC(0), PING}, .seconds = 8}, .share = 0.83},
    {"cut-flickers", {{{20, 20}, {100, 10, .outage = {{2000, 2300}, {2700, 3000}, {3400, 3700}}}}, {KPPS}, .seconds = 6}, .silence_ms = 400, .lost = 30},
    {"cut-all-for-a-second", {{{20, 20, .outage = {{3000, 4000}}}, {50, 30, .outage = {{3000, 4000}}}}, {CUBIC(0)}, .seconds = 8}, .share = 0.83},
    {"cut-only-link", {{{50, 20, .outage = {{2000, 2500}}}}, {CUBIC(0)}, .seconds = 6}, .share = 0.82},
    {"cut-satellite", {{{8, 30}, {40, 60}, {20, 600, .outage = {{4000, FOREVER}}}}, {CUBIC(0), PING}, .seconds = 10}, .share = 0.71, .ping_ms = 30},
    {"cut-under-cubic", {{{20, 20}, {50, 50}, {100, 10, .outage = {{4000, FOREVER}}}}, {CUBIC(0), PING}, .seconds = 10}, .share = 0.83},
    {"cut-under-bbr", {{{20, 20}, {50, 50}, {100, 10, .outage = {{4000, FOREVER}}}}, {BBR(0), PING}, .seconds = 10}, .share = 0.83},
    {"returns-after-long", {{{50, 20}, {50, 20, .outage = {{1000, 5000}}}}, {CUBIC(0)}, .seconds = 10}, .share = 0.89},
    {"dead-from-the-start", {{{50, 20}, {50, 20, .outage = {{0.001, FOREVER}}}}, {CUBIC(0), PING}, .seconds = 6}, .share = 0.89},
    {"appears-late", {{{20, 20}, {80, 20, .outage = {{0.001, 3000}}}}, {CUBIC(0)}, .seconds = 10}, .share = 0.68},

    /* ---- rates that change ---- */
    {"falls-to-a-twentieth", {{{20, 20}, {50, 50}, {100, 10, .step = {{3000, 5}}}}, {CUBIC(0), PING}, .seconds = 10}, .share = 0.82},
    {"falls-and-rises", {{{50, 20, .step = {{2000, 5}, {5000, 50}}}, {20, 30}}, {CUBIC(0), PING}, .seconds = 12}, .share = 0.69},
    {"rises", {{{10, 20, .step = {{2000, 80}}}, {20, 30}}, {CUBIC(0)}, .seconds = 12}, .share = 0.69},
    {"cellular-waves", {{{30, 50, .step = {{1000, 50}, {2000, 20}, {3000, 60}, {4000, 10}}, .period_ms = 5000}, {20, 30}}, {CUBIC(0), PING}, .seconds = 12}, .share = 0.61},
    {"cellular-waves-bbr", {{{30, 50, .step = {{1000, 50}, {2000, 20}, {3000, 60}, {4000, 10}}, .period_ms = 5000}, {20, 30}}, {BBR(0), PING}, .seconds = 12}, .share = 0.61},
    {"stalls-for-moments", {{{50, 20, .step = {{2000, 0.01}, {2200, 50}, {4000, 0.01}, {4300, 50}}}, {50, 30}}, {CUBIC(0), PING}, .seconds = 8}, .share = 0.83},
    {"both-fall", {{{50, 20, .step = {{3000, 5}}}, {50, 30, .step = {{3000, 5}}}}, {CUBIC(0), PING}, .seconds = 10}, .share = 0.82},

    /* ---- loss, jitter, disorder, queues ---- */
    {"loss-two-percent-pair", {{{20, 40, .loss = 2}, {20, 40, .loss = 2}}, {CUBIC(0)}, .seconds = 10}, .share = 0.75},
    {"loss-two-percent-pair-bbr", {{{20, 40, .loss = 2}, {20, 40, .loss = 2}}, {BBR(0)}, .seconds = 10}, .share = 0.81},
    {"loss-on-single-link", {{{30, 20, .loss = 1}}, {CUBIC(0)}, .seconds = 8}, .share = 0.85},
    {"loss-bursts", {{{40, 40, .burst_enter = 0.02, .burst_leave = 5, .burst_loss = 50}, {40, 30}}, {CUBIC(0)}, .seconds = 10}, .share = 0.84},
    {"loss-both-ways", {{{20, 60, .loss = 1, .up_loss = 1}, {20, 60, .loss = 0.5, .up_loss = 0.5}}, {CUBIC(0)}, .seconds = 10}, .share = 0.65},
    {"disorder-on-one", {{{40, 30, .jitter_ms = 8, .reorder = true}, {20, 20}}, {CUBIC(0), PING}, .seconds = 10}, .share = 0.84},
    {"disorder-on-all", {{{40, 30, .jitter_ms = 5, .reorder = true}, {20, 20, .jitter_ms = 5, .reorder = true}}, {CUBIC(0)}, .seconds = 10}, .share = 0.81},
    {"jitter-on-all", {{{30, 40, .jitter_ms = 20}, {30, 40, .jitter_ms = 20}}, {CUBIC(0)}, .seconds = 12}, .share = 0.65},
    {"deep-queues", {{{20, 30, .queue_ms = 2000}, {30, 30, .queue_ms = 1000}}, {CUBIC(0), PING}, .seconds = 10}, .share = 0.89, .ping_ms = 25},
    {"shallow-queues", {{{50, 40, .queue_ms = 5}, {50, 20, .queue_ms = 5}}, {CUBIC(0)}, .seconds = 10}, .share = 0.89},
    {"very-shallow-queues", {{{50, 20, .queue_ms = 2}, {50, 20, .queue_ms = 2}}, {CUBIC(0)}, .seconds = 10}, .share = 0.81},
    {"shared-bottleneck", {{{100, 20, .behind = 3}, {100, 30, .behind = 3}, {60, 4}}, {CUBIC(0), PING}, .seconds = 8}, .ping_ms = 60},

    /* ---- kinds of links ---- */
    {"single-satellite", {{{20, 600}}, {CUBIC(0)}, .seconds = 20}, .share = 0.60},
    {"satellite-pair", {{{20, 600}, {10, 650}}, {CUBIC(0)}, .seconds = 20}, .share = 0.49},
    {"tiny-and-far", {{{8, 20}, {2, 150}}, {CUBIC(0), PING}, .seconds = 12}, .share = 0.79, .ping_ms = 30},
    {"very-uneven", {{{1, 100}, {200, 10}}, {CUBIC(0), PING}, .seconds = 6}, .share = 0.90, .ping_ms = 20},
    {"slow-pair", {{{0.5, 60}, {0.3, 80}}, {CUBIC(0)}, .seconds = 30}, .share = 0.80},
    {"modem", {{{0.1, 150}}, {CUBIC(0)}, .seconds = 40}, .share = 0.73},
    {"four-links", {{{10, 20}, {20, 30}, {30, 40}, {15, 60}}, {CUBIC(0), PING}, .seconds = 10}, .share = 0.88, .ping_ms = 20},
    {"six-links", {{{10, 20}, {20, 30}, {30, 40}, {15, 60}, {5, 10}, {40, 25}}, {CUBIC(0), PING}, .seconds = 10}, .share = 0.88, .ping_ms = 20},
    {"gigabit", {{{1000, 4}, {500, 8}}, {CUBIC(0), PING}, .seconds = 2}, .share = 0.76, .ping_ms = 20},
    {"four-cellular", {{{30, 50, .jitter_ms = 5}, {40, 60, .jitter_ms = 5}, {20, 70, .jitter_ms = 5, .outage = {{3000, 8000}}}, {60, 45, .jitter_ms = 5}}, {CUBIC(0), PING}, .seconds = 12}, .share = 0.73},
    {"storm", {{{100, 40}, {20, 20}}, {CUBIC(0), PING}, .seconds = 8}, .share = 0.88},

    /* ---- path MTU ---- */
    {"mtu-1400-on-one", {{{50, 20, .mtu = 1500}, {50, 20, .mtu = 1400}}, {UDP(.mbit = 60, .size = 1300)}, .seconds = 5}, .udp_part = 0.98},
    {"mtu-1492", {{{50, 20, .mtu = 1492}, {50, 20, .mtu = 1492}}, {UDP(.mbit = 60, .size = 1400)}, .seconds = 5}, .udp_part = 0.98},
    {"mtu-1300", {{{50, 20, .mtu = 1300}}, {UDP(.mbit = 20, .size = 1200)}, .seconds = 5}, .udp_part = 0.98},

    /* ---- weights, backups, limits ---- */
    {"weights-2-1-2", {{{40, 20, .weight = 2}, {40, 20, .weight = 1}, {40, 20, .weight = 2}}, {UDP(.mbit = 60, .size = 1400)}, .seconds = 5}, .udp_part = 0.99, .split = {0.4, 0.2, 0.4}},
    {"weights-1-3", {{{80, 20, .weight = 1}, {80, 20, .weight = 3}}, {CUBIC(0)}, .seconds = 6}, .split = {0.25, 0.75}},
    {"backup-idle", {{{50, 20}, {50, 20, .backup = true}}, {UDP(.mbit = 20)}, .seconds = 5}, .udp_part = 0.99, .split = {0.98, 0.02}},
    {"backup-helps-when-full", {{{20, 20}, {50, 20, .backup = true}}, {UDP(.mbit = 40)}, .seconds = 6}, .udp_part = 0.9},
    {"backup-takes-over", {{{50, 20, .outage = {{2000, FOREVER}}}, {50, 30, .backup = true}}, {KPPS}, .seconds = 5}, .silence_ms = 300, .lost = 10},
    {"limit-of-a-link", {{{50, 20, .limit = 10}, {20, 20}}, {CUBIC(0)}, .seconds = 8}, .split = {0.33, 0.67}},
    {"limit-of-the-whole", {{{50, 20}, {50, 20}}, {CUBIC(0), PING}, .seconds = 6, .limit = 20}, .share = 0.15, .ping_ms = 20},

    /* ---- machines ---- */
    {"late-timers", {{THREE}, {CUBIC(0), PING}, .seconds = 8, .late_us = 2000}, .share = 0.88, .ping_ms = 25},
    {"late-timers-bbr", {{PAIR}, {BBR(0), PING}, .seconds = 8, .late_us = 2000}, .share = 0.89, .ping_ms = 25},
    {"stalls-of-both-ends", {{THREE}, {CUBIC(0), PING}, .seconds = 8, .stall_ms = 10, .stall_every_ms = 50}, .share = 0.84, .share_late = 0.88, .ping_ms = 25},
    {"stalls-of-both-ends-bbr", {{PAIR}, {BBR(0), PING}, .seconds = 8, .stall_ms = 10, .stall_every_ms = 50}, .share = 0.84, .share_late = 0.88, .ping_ms = 25},
    {"stalls-long", {{THREE}, {CUBIC(0), PING}, .seconds = 8, .stall_ms = 20, .stall_every_ms = 50}, .share = 0.7, .ping_ms = 50},
    {"small-pool", {{THREE}, {CUBIC(0)}, .seconds = 6, .pool_packets = 700}, .share = 0.70},
    {"tiny-pool", {{THREE}, {CUBIC(0), UDP(.mbit = 50)}, .seconds = 4, .pool_packets = 64}},
};
/* clang-format on */
const unsigned tunnel_scenario_count = sizeof(tunnel_scenarios) / sizeof(tunnel_scenarios[0]);

#define FAIL(...) (snprintf(why, why_size, __VA_ARGS__), false)

bool tunnel_invariants(const struct plait_sim_tunnel_row *row, const struct plait_sim_tunnel_result *r,
                       char *why, size_t why_size)
{
    uint32_t pool = row->pool_packets > 0 ? row->pool_packets : 16384;

    if (r->bad)
        return FAIL("%s", r->why);
    if (r->leaked > 0)
        return FAIL("%u packets did not come back", r->leaked);
    for (unsigned side = 0; side < 2; side++) {
        const struct plait_bond_info *info = &r->info[side];
        if (info->bad_datagrams > 0)
            return FAIL("%llu datagrams were not understood", (unsigned long long)info->bad_datagrams);
        if (info->held_packets_max > pool)
            return FAIL("%u packets were held", info->held_packets_max);
    }
    return true;
}

static bool check_split(const struct tunnel_scenario *s, const struct plait_sim_tunnel_result *r, char *why,
                        size_t why_size)
{
    const struct plait_bond_path_info *p = r->path[s->row.inner[0].up ? 0 : 1];
    double sum = 0;

    for (unsigned i = 0; i < PLAIT_SIM_UPLINKS_MAX; i++)
        sum += (double)p[i].sent_bytes;
    for (unsigned i = 0; s->split[0] > 0 && i < PLAIT_SIM_UPLINKS_MAX; i++) {
        double part = (double)p[i].sent_bytes / sum;
        if (part < s->split[i] - 0.05 || part > s->split[i] + 0.05)
            return FAIL("uplink %u carried %.3f instead of %.2f", i + 1, part, s->split[i]);
    }
    return true;
}

static bool check_udp(const struct tunnel_scenario *s, const struct plait_sim_inner_result *u, char *why,
                      size_t why_size)
{
    long lost = (long)(u->sent_packets - u->received_packets) - 120; /* some are on their way at the end */

    lost = lost > 0 ? lost : 0;
    if (s->silence_ms > 0 && u->silence_ms > s->silence_ms)
        return FAIL("silent for %.0f ms, allowed %.0f", u->silence_ms, s->silence_ms);
    if (s->lost != 0 && lost > (s->lost > 0 ? s->lost : 0))
        return FAIL("%ld packets lost, allowed %d", lost, s->lost > 0 ? s->lost : 0);
    if (s->disorder != 0 && u->out_of_order > (uint64_t)(s->disorder > 0 ? s->disorder : 0))
        return FAIL("%llu out of order", (unsigned long long)u->out_of_order);
    if (s->udp_part > 0 && (double)u->received_packets + 120 < s->udp_part * (double)u->sent_packets)
        return FAIL("%llu of %llu datagrams came", (unsigned long long)u->received_packets,
                    (unsigned long long)u->sent_packets);
    if (s->waiting > 0 && u->waiting_most > s->waiting)
        return FAIL("%.0f datagrams waited for their reader, allowed %.0f", u->waiting_most, s->waiting);
    return true;
}

static bool check_alone(const struct tunnel_scenario *s, const struct plait_sim_tunnel_result *r, char *why,
                        size_t why_size)
{
    double best = 0;

    for (int only = 1; s->alone > 0 && only <= PLAIT_SIM_UPLINKS_MAX && s->row.uplink[only - 1].mbit > 0;
         only++) {
        struct plait_sim_tunnel_row row = s->row;
        struct plait_sim_tunnel_result single;
        row.only = only;
        plait_sim_tunnel_run(&row, NULL, &single);
        best = single.inner[0].mbit > best ? single.inner[0].mbit : best;
    }
    if (s->alone > 0 && r->inner[0].mbit < s->alone * best)
        return FAIL("%.2f Mbit/s where the best single uplink has %.2f", r->inner[0].mbit, best);
    return true;
}

bool tunnel_scenario_check(const struct tunnel_scenario *s, const struct plait_sim_tunnel_story *story,
                           struct plait_sim_tunnel_result *r, char *why, size_t why_size)
{
    struct plait_sim_tunnel_row row = s->row;

    row.seed = row.seed > 0 ? row.seed : 1;
    plait_sim_tunnel_run(&row, story, r);
    if (!tunnel_invariants(&row, r, why, why_size) || !check_split(s, r, why, why_size) ||
        !check_alone(s, r, why, why_size))
        return false;
    if (s->share > 0 && r->share < s->share)
        return FAIL("share %.3f, expected %.2f", r->share, s->share);
    if (s->share_late > 0 && r->inner[0].mbit_late / r->sum_mbit < s->share_late)
        return FAIL("share of the late part %.3f, expected %.2f", r->inner[0].mbit_late / r->sum_mbit,
                    s->share_late);
    for (unsigned i = 0; i < PLAIT_SIM_INNER_MAX; i++) {
        const struct plait_sim_inner_result *in = &r->inner[i];
        if (!row.inner[i].used)
            continue;
        if (row.inner[i].kind == PLAIT_SIM_INNER_UDP && !check_udp(s, in, why, why_size))
            return false;
        if (row.inner[i].kind == PLAIT_SIM_INNER_PING && s->ping_ms > 0 &&
            in->rtt_ms_p95 > in->rtt_ms_least + s->ping_ms)
            return FAIL("ping p95 %.1f ms, least %.1f", in->rtt_ms_p95, in->rtt_ms_least);
    }
    return true;
}
