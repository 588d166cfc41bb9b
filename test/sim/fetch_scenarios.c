#include "fetch_scenarios.h"

#include "units.h"

#define MB  UINT64_C(1000000)
#define KB  UINT64_C(1000)
#define SEC PLAIT_S

/* Faults of a server, as they stand in the rows. */
#define FAULT(kind, ...)                                                                                     \
    {                                                                                                        \
        .fault = {                                                                                           \
            {PLAIT_SIM_FAULT_##kind, __VA_ARGS__},                                                           \
        }                                                                                                    \
    }

#define PUSH                                                                                                 \
    {                                                                                                        \
        .takes_part = true                                                                                   \
    }
#define PUSH_BUT(...)                                                                                        \
    {                                                                                                        \
        .takes_part = true, .fault = {                                                                       \
            {__VA_ARGS__},                                                                                   \
        }                                                                                                    \
    }

/* Servers of a stream that is written meanwhile, with so many bytes/s. */
#define LIVE(bytes, ...)                                                                                     \
    {                                                                                                        \
        .takes_part = true, .live = {.rate = (bytes), __VA_ARGS__ }                                          \
    }
#define LIVE_BUT(bytes, ...)                                                                                 \
    {                                                                                                        \
        .takes_part = true, .live = {.rate = (bytes)}, .fault = {                                            \
            {__VA_ARGS__},                                                                                   \
        }                                                                                                    \
    }

/* clang-format off */
const struct fetch_scenario fetch_scenarios[] = {
    /* ---- links of different rate and delay, one copy behind each ---- */
    {"three-100MB", {{{20, 20}, {50, 50}, {100, 10}}, .size = 100 * MB}, .share = 0.96},
    {"three-4MB", {{{20, 20}, {50, 50}, {100, 10}}, .size = 4 * MB}, .share = 0.55},
    {"three-1MB", {{{20, 20}, {50, 50}, {100, 10}}, .size = MB}, .share = 0.3},
    {"three-third-falls-to-5", {{{20, 20}, {50, 50}, {100, 10, .step = {{2000, 5}}}}, .size = 100 * MB}, .share = 0.93},
    {"three-third-dies", {{{20, 20}, {50, 50}, {100, 10, .outage = {{2000, 1e9}}}}, .size = 100 * MB}, .share = 0.93, .stall_seconds = 0.5},
    {"three-one-source", {{{20, 20}, {50, 50}, {100, 10}}, .servers = 1, .size = 100 * MB}, .share = 0.95},
    {"dsl-lte-satellite", {{{8, 30}, {40, 60, .jitter_ms = 10}, {20, 600}}, .size = 40 * MB}, .share = 0.77},
    {"lossy-pair", {{{30, 40, .loss = 1}, {30, 40, .loss = 0.1}}, .size = 40 * MB}, .share = 0.86},
    {"equal-pair", {{{50, 20}, {50, 20}}, .size = 40 * MB}, .share = 0.94},
    {"dsl-and-tiny-far", {{{8, 20, 80}, {2, 150, 2000}}, .size = 10 * MB}, .share = 0.90},
    {"adsl-lte-jitter", {{{20, 35, .up_mbit = 1}, {40, 60, 300, .up_mbit = 15, .jitter_ms = 20}}, .size = 40 * MB}, .share = 0.85},
    {"adsl-lte-varying-satellite", {{{8, 30, .up_mbit = 1},
        {40, 50, 200, .up_mbit = 10, .step = {{1500, 15}, {3000, 30}, {4200, 10}, {5000, 40}}, .period_ms = 6000},
        {20, 600, .up_mbit = 3}}, .size = 40 * MB}, .share = 0.75},
    {"fast-and-middle", {{{300, 10}, {80, 30}}, .size = 100 * MB}, .share = 0.88},
    {"four-cellular-one-dead", {{
        {30, 50, 300, .jitter_ms = 5, .step = {{2000, 50}, {4000, 20}, {6000, 60}, {8000, 10}}, .period_ms = 10000},
        {40, 60, 300, .jitter_ms = 5, .step = {{1000, 20}, {3000, 10}, {5000, 40}, {7000, 60}}, .period_ms = 9000},
        {20, 70, 300, .jitter_ms = 5, .outage = {{5000, 30000}}},
        {60, 45, 300, .jitter_ms = 5, .step = {{2500, 30}, {4500, 10}, {6500, 50}}, .period_ms = 8000}},
        .size = 100 * MB}, .share = 0.85},
    {"bursts-of-loss", {{{150, 40, .storm_every_ms = 3000, .storm_ms = 50, .storm_loss = 30}, {20, 20}}, .size = 100 * MB}, .share = 0.7},
    {"bursty-line", {{{40, 40, .burst_enter = 0.02, .burst_leave = 5, .burst_loss = 50}, {40, 30}}, .size = 40 * MB}, .share = 0.85},
    {"shared-bottleneck", {{{100, 20}, {100, 30}, {60, 4}}, .servers = 2, .way = {{1, 1, 3}, {2, 2, 3}}, .size = 40 * MB}, .share = 0.93},
    {"bloated-queue", {{{10, 30, 2000}, {30, 30, 1000}}, .size = 20 * MB}, .share = 0.90},
    {"shallow-queue", {{{50, 40, 5}, {50, 20, 5}}, .size = 40 * MB}, .share = 0.65},
    {"reordering-line", {{{40, 30, .jitter_ms = 8, .reorder = true}, {20, 20}}, .size = 40 * MB}, .share = 0.85},
    {"both-ways-lossy", {{{20, 60, .loss = 2, .up_loss = 2}, {20, 60, .loss = 0.5, .up_loss = 0.5}}, .size = 20 * MB}, .share = 0.75},
    {"very-far", {{{50, 700}}, .size = 40 * MB}, .share = 0.4},
    {"very-uneven", {{{1, 300}, {200, 10}}, .size = 40 * MB}, .share = 0.85, .alone = 2, .alone_share = 0.97},
    {"gigabit", {{{1000, 2}, {1000, 10}}, .size = 200 * MB}, .share = 0.70},
    {"slow-pair", {{{0.5, 100}, {0.2, 300}}, .size = 500 * KB}, .share = 0.65},
    {"one-path", {{{100, 20}}, .size = 50 * MB}, .share = 0.90},
    {"one-satellite", {{{20, 600}}, .size = 40 * MB}, .share = 0.65},
    {"six-lines", {{{10, 20}, {20, 30}, {30, 40}, {15, 80}, {5, 10}, {40, 25}}, .size = 40 * MB}, .share = 0.88},
    {"twelve-ways", {{{20, 20}, {50, 50}, {100, 10}}, .servers = 4, .way = {{1, 1}, {2, 1}, {3, 1}, {1, 2}, {2, 2}, {3, 2}, {1, 3}, {2, 3},
        {3, 3}, {1, 4}, {2, 4}, {3, 4}}, .size = 40 * MB}, .share = 0.90},
    {"falls-and-rises", {{{50, 20, .step = {{2000, 5}, {4000, 50}}}, {20, 30}}, .size = 40 * MB}, .share = 0.88},
    {"all-fall", {{{50, 20, .step = {{1000, 2}}}, {50, 20, .step = {{1000, 2}}}}, .size = 14 * MB}, .share = 0.55},

    /* ---- sizes ---- */
    {"nothing", {{{20, 20}, {50, 50}}, .size = 0}, .seconds = 0.5},
    {"one-byte", {{{20, 20}, {50, 50}}, .size = 1}, .seconds = 0.3},
    {"one-byte-in-a-pipe", {{{20, 20}, {50, 50}}, .size = 1}, {.window_bytes = PLAIT_MIB}, .seconds = 0.3},
    {"64-KiB", {{{20, 20}, {50, 50}}, .size = 65536}, .seconds = 0.3},
    {"odd-size", {{{20, 20}, {50, 50}}, .size = 1234567}, .seconds = 0.6},
    {"size-known", {{{20, 20}, {50, 50}, {100, 10}}, .size = 4 * MB}, {.size_known = true}, .share = 0.53},

    /* ---- deaths and returns ---- */
    {"all-die-and-return", {{{50, 20, .outage = {{1000, 6000}}}, {20, 30, .outage = {{1000, 7000}}}}, .size = 40 * MB}, .seconds = 14, .stall_seconds = 9},
    {"one-comes-and-goes", {{{50, 20}, {50, 30, .outage = {{500, 1500}, {2500, 3500}, {4500, 5500}}}}, .size = 60 * MB}, .share = 0.85, .alone = 1, .alone_share = 1},
    {"last-one-dies-near-the-end", {{{50, 20}, {50, 20, .outage = {{2900, 1e9}}}}, .size = 40 * MB}, .share = 0.85, .stall_seconds = 0.8},
    {"never-there", {{{50, 20}, {50, 20, .outage = {{0, 1e9}}}}, .size = 20 * MB}, .share = 0.9},
    {"dead-from-start-then-there", {{{20, 20}, {50, 20, .outage = {{0, 1000}}}}, .size = 40 * MB}, .share = 0.8},
    {"nobody-there", {{{50, 20, .outage = {{0, 1e9}}}}, .size = MB}, .fail = PLAIT_FETCH_FAIL_UNREACHABLE, .seconds = 121},
    {"dies-for-good", {{{50, 20, .outage = {{500, 1e9}}}}, .size = 40 * MB}, {.give_up_ms = 20000}, .fail = PLAIT_FETCH_FAIL_UNREACHABLE, .seconds = 22},
    {"server-crashes-and-returns", {{{50, 20}, {50, 20}}, .server = {FAULT(CRASH, SEC, 3 * SEC)}, .size = 40 * MB}, .share = 0.85},
    {"server-dies-and-returns", {{{50, 20}, {50, 20}}, .server = {FAULT(DEAD, SEC, 3 * SEC)}, .size = 40 * MB}, .share = 0.85, .stall_seconds = 0.5},
    {"only-server-dies-and-returns", {{{50, 20}}, .server = {FAULT(DEAD, SEC, 4 * SEC)}, .size = 40 * MB}, .seconds = 14, .stall_seconds = 6},
    {"a-path-comes-late", {{{20, 20}, {80, 20}}, .size = 40 * MB}, {.way_from_ms = {0, 1000}}, .seconds = 4.6},
    {"a-path-is-taken-out", {{{20, 20}, {80, 20}}, .size = 20 * MB}, {.way_to_ms = {0, 1000}}, .seconds = 6},

    /* ---- servers that are slow, few, or refuse ---- */
    {"one-slow-mirror", {{{100, 20}, {100, 20}}, .server = {{0}, {.total_rate = 20000}}, .size = 16 * MB}, .alone = 1, .alone_share = 0.90},
    {"one-crawling-mirror", {{{50, 20}, {50, 20}}, .server = {{0}, {.total_rate = 1000}}, .size = 16 * MB}, .alone = 1, .alone_share = 0.95},
    {"slow-answers", {{{50, 20}, {50, 20}}, .server = {{.service_ns = 400 * PLAIT_MS}, {.service_ns = 50 * PLAIT_MS}}, .size = 40 * MB}, .share = 0.70},
    {"limited-per-connection", {{{100, 20}, {100, 30}}, .server = {{.conn_rate = 1250 * KB}, {.conn_rate = 1250 * KB}}, .size = 40 * MB}, .share = 0.55},
    {"slow-start", {{{50, 20}, {50, 20}}, .server = {FAULT(SLOW_START, 3 * SEC, 30 * KB)}, .size = 40 * MB}, .seconds = 5.1},
    {"404-of-one", {{{50, 20}, {50, 20}}, .server = {FAULT(STATUS, 404)}, .size = 20 * MB}, .alone = 2, .alone_share = 0.97},
    {"404-of-all", {{{50, 20}, {50, 20}}, .server = {FAULT(STATUS, 404), FAULT(STATUS, 404)}, .size = 20 * MB}, .fail = PLAIT_FETCH_FAIL_NO_SOURCE, .seconds = 1},
    {"500-of-one", {{{50, 20}, {50, 20}}, .server = {FAULT(STATUS, 500)}, .size = 20 * MB}, .alone = 2, .alone_share = 0.95},
    {"refuses-connections", {{{50, 20}, {50, 20}}, .server = {FAULT(REFUSE, 0)}, .size = 20 * MB}, .alone = 2, .alone_share = 0.95},
    {"all-refuse-connections", {{{50, 20}, {50, 20}}, .server = {FAULT(REFUSE, 0), FAULT(REFUSE, 0)}, .size = 20 * MB}, .fail = PLAIT_FETCH_FAIL_UNREACHABLE, .seconds = 121},
    {"busy-first-20", {{{50, 20}, {50, 20}}, .server = {FAULT(BUSY, 20, 0)}, .size = 40 * MB}, .alone = 2, .alone_share = 0.95},
    {"busy-first-3-retry-after", {{{50, 20}}, .server = {FAULT(BUSY, 3, 2)}, .size = 20 * MB}, .seconds = 12},
    {"busy-above-2-connections", {{{50, 20}, {50, 20}}, .server = {FAULT(BUSY_ABOVE, 2, 0), FAULT(BUSY_ABOVE, 2, 1)}, .size = 40 * MB}, .share = 0.80},
    {"busy-above-1-connection", {{{50, 20}}, .server = {FAULT(BUSY_ABOVE, 1, 0)}, .size = 20 * MB}, .share = 0.8},
    {"counts-connections-above-2", {{{50, 20}, {50, 20}}, .server = {FAULT(CONNS_ABOVE, 2, 0), FAULT(CONNS_ABOVE, 2, 1)}, .size = 40 * MB}, .share = 0.80},
    {"counts-connections-above-1", {{{50, 20}}, .server = {FAULT(CONNS_ABOVE, 1, 0)}, .size = 20 * MB}, .share = 0.8},
    {"closes-each-response", {{{50, 20}, {50, 20}}, .server = {FAULT(CLOSE_EACH, 0), FAULT(CLOSE_EACH, 0)}, .size = 40 * MB}, .share = 0.80},
    {"closes-after-1MB", {{{50, 20}, {50, 20}}, .server = {FAULT(CLOSE_AFTER, MB)}, .size = 40 * MB}, .share = 0.7},
    {"resets-after-300KB", {{{50, 20}, {50, 20}}, .server = {FAULT(CLOSE_AFTER, 300 * KB, 1)}, .size = 20 * MB}, .alone = 2, .alone_share = 0.97},
    {"stalls-after-1MB", {{{50, 20}, {50, 20}}, .server = {FAULT(STALL_AFTER, MB)}, .size = 40 * MB}, .alone = 2, .alone_share = 0.95, .stall_seconds = 0.7},
    {"stalls-after-1MB-alone", {{{50, 20}}, .server = {FAULT(STALL_AFTER, MB)}, .size = 10 * MB}, .seconds = 40},
    {"stalls-once-near-the-end", {{{20, 20}, {20, 20}}, .server = {{.fault = {{PLAIT_SIM_FAULT_STALL_AFTER, 2 * MB, 0, 1}}}}, .size = 12 * MB}, .share = 0.8, .stall_seconds = 0.8},

    /* ---- servers without ranges, without a size ---- */
    {"no-ranges", {{{50, 20}}, .server = {FAULT(NO_RANGE, 0)}, .size = 20 * MB}, .share = 0.9},
    {"no-length", {{{50, 20}}, .server = {FAULT(NO_LENGTH, 0)}, .size = 20 * MB}, .share = 0.9},
    {"no-length-in-a-pipe", {{{50, 20}}, .server = {FAULT(NO_LENGTH, 0)}, .size = 20 * MB}, {.window_bytes = 4 * PLAIT_MIB}, .share = 0.9},
    {"no-ranges-beside-ranges", {{{50, 20}, {50, 20}}, .server = {FAULT(NO_RANGE, 0)}, .size = 20 * MB}, .alone = 2, .alone_share = 0.95, .dup_percent = 5},
    {"no-ranges-twice", {{{20, 20}, {50, 20}}, .server = {FAULT(NO_RANGE, 0), FAULT(NO_RANGE, 0)}, .size = 20 * MB}, .seconds = 9, .dup_percent = 5},
    {"no-ranges-breaks-once", {{{50, 20}}, .server = {{.fault = {{PLAIT_SIM_FAULT_NO_RANGE}, {PLAIT_SIM_FAULT_CLOSE_AFTER, 5 * MB, 0, 1}}}}, .size = 20 * MB}, .seconds = 8, .dup_percent = 30},
    {"no-length-breaks-in-a-pipe", {{{50, 20}}, .server = {{.fault = {{PLAIT_SIM_FAULT_NO_LENGTH}, {PLAIT_SIM_FAULT_CLOSE_AFTER, 5 * MB, 0, 1}, {PLAIT_SIM_FAULT_NO_VERSION}}}},
        .size = 20 * MB}, {.window_bytes = 4 * PLAIT_MIB}, .fail = PLAIT_FETCH_FAIL_NO_RESUME, .seconds = 8},

    /* ---- liars ---- */
    {"one-of-three-lies", {{{50, 20}, {50, 20}, {50, 20}}, .server = {{0}, FAULT(OTHER_CONTENT, 0, 7)}, .size = 40 * MB}, .condemned = 2, .seconds = 8},
    {"one-of-three-lies-late", {{{50, 20}, {50, 20}, {50, 20}}, .server = {{0}, FAULT(OTHER_CONTENT, 30 * MB, 7)}, .size = 40 * MB}, .condemned = 2, .seconds = 8},
    {"one-of-three-lies-in-a-pipe", {{{50, 20}, {50, 20}, {50, 20}}, .server = {{0}, FAULT(OTHER_CONTENT, 0, 7)}, .size = 40 * MB}, {.window_bytes = 16 * PLAIT_MIB}, .condemned = 2, .seconds = 9},
    {"one-of-two-lies", {{{50, 20}, {50, 20}}, .server = {{0}, FAULT(OTHER_CONTENT, 0, 7)}, .size = 40 * MB}, .fail = PLAIT_FETCH_FAIL_CONFLICT, .seconds = 8},
    {"one-of-two-lies-small", {{{50, 20}, {50, 20}}, .server = {{0}, FAULT(OTHER_CONTENT, 0, 7)}, .size = 2 * MB}, .fail = PLAIT_FETCH_FAIL_CONFLICT, .seconds = 8},
    {"one-of-two-lies-digest", {{{50, 20}, {50, 20}}, .server = {FAULT(OTHER_CONTENT, 0, 7)}, .size = 40 * MB}, {.digest = true}, .seconds = 30, .dup_percent = 110},
    {"the-better-of-two-lies-digest", {{{80, 20}, {20, 20}}, .server = {FAULT(OTHER_CONTENT, 0, 7)}, .size = 10 * MB}, {.digest = true}, .seconds = 30, .dup_percent = 110},
    {"one-of-two-lies-pieces", {{{50, 20}, {50, 20}}, .server = {{0}, FAULT(OTHER_CONTENT, 20 * MB, 7)}, .size = 40 * MB}, {.piece_bytes = PLAIT_MIB}, .seconds = 15, .dup_percent = 110},
    {"two-of-five-lie", {{{30, 20}, {30, 20}, {30, 20}, {30, 20}, {30, 20}}, .server = {FAULT(OTHER_CONTENT, 0, 7), {0}, FAULT(OTHER_CONTENT, 0, 8)}, .size = 40 * MB}, .condemned = 5, .seconds = 8},
    {"all-lie-alike-digest", {{{50, 20}, {50, 20}}, .server = {FAULT(OTHER_CONTENT, 0, 7), FAULT(OTHER_CONTENT, 0, 7)}, .size = 4 * MB}, {.digest = true}, .fail = PLAIT_FETCH_FAIL_CONTENT, .seconds = 10},
    {"an-error-page", {{{50, 20}, {50, 20}, {50, 20}}, .server = {FAULT(PAGE, 3000, 9)}, .size = 20 * MB}, .seconds = 6},
    {"wrong-ranges", {{{50, 20}, {50, 20}}, .server = {FAULT(WRONG_RANGE, 100)}, .size = 20 * MB}, .alone = 2, .alone_share = 0.95},
    {"short-bodies", {{{50, 20}, {50, 20}}, .server = {FAULT(SHORT_BODY, 10)}, .size = 20 * MB}, .alone = 2, .alone_share = 0.95},
    {"short-bodies-alone", {{{50, 20}}, .server = {FAULT(SHORT_BODY, 10)}, .size = 20 * MB}, .seconds = 30},
    {"long-bodies", {{{50, 20}, {50, 20}}, .server = {FAULT(LONG_BODY, 5000)}, .size = 20 * MB}, .alone = 2, .alone_share = 0.95},
    {"one-of-three-other-size", {{{50, 20}, {50, 20}, {50, 20}}, .server = {FAULT(WRONG_SIZE, 19 * MB)}, .size = 20 * MB}, .condemned = 1, .seconds = 5},
    {"one-of-two-other-size", {{{50, 20}, {50, 20}}, .server = {FAULT(WRONG_SIZE, 19 * MB)}, .size = 20 * MB}, .fail = PLAIT_FETCH_FAIL_SIZES, .seconds = 5},
    {"changes-alone", {{{50, 20}}, .server = {FAULT(CHANGE, SEC, 8)}, .size = 40 * MB}, .fail = PLAIT_FETCH_FAIL_CHANGED, .seconds = 8},
    {"one-of-three-changes", {{{50, 20}, {50, 20}, {50, 20}}, .server = {FAULT(CHANGE, SEC, 8)}, .size = 60 * MB}, .condemned = 1, .seconds = 9},
    {"changes-without-validator", {{{50, 20}, {50, 20}, {50, 20}}, .server = {{.fault = {{PLAIT_SIM_FAULT_CHANGE, SEC, 8}, {PLAIT_SIM_FAULT_NO_VERSION}}}}, .size = 60 * MB}, .condemned = 1, .seconds = 10},

    /* ---- in order, into a pipe ---- */
    {"pipe-three", {{{20, 20}, {50, 50}, {100, 10}}, .size = 100 * MB}, {.window_bytes = 16 * PLAIT_MIB}, .share = 0.92},
    {"pipe-three-4MB", {{{20, 20}, {50, 50}, {100, 10}}, .size = 4 * MB}, {.window_bytes = 16 * PLAIT_MIB}, .share = 0.5},
    {"pipe-narrow", {{{20, 20}, {50, 50}, {100, 10}}, .size = 40 * MB}, {.window_bytes = 2 * PLAIT_MIB}, .share = 0.6},
    {"pipe-very-narrow", {{{20, 20}, {50, 50}, {100, 10}}, .size = 10 * MB}, {.window_bytes = 256 * PLAIT_KIB}, .share = 0.13},
    {"pipe-satellite", {{{8, 30}, {40, 60, .jitter_ms = 10}, {20, 600}}, .size = 40 * MB}, {.window_bytes = 32 * PLAIT_MIB}, .share = 0.75},
    {"pipe-slow-consumer", {{{50, 20}, {50, 30}}, .size = 10 * MB}, {.window_bytes = 4 * PLAIT_MIB, .consumer_mbit = 16}, .seconds = 5.4},
    {"pipe-consumer-pauses", {{{50, 20}, {50, 30}}, .size = 20 * MB}, {.window_bytes = 4 * PLAIT_MIB, .pause_from_ms = 500, .pause_to_ms = 4500}, .seconds = 7},
    {"pipe-third-dies", {{{20, 20}, {50, 50}, {100, 10, .outage = {{2000, 1e9}}}}, .size = 60 * MB}, {.window_bytes = 16 * PLAIT_MIB}, .share = 0.85},
    {"pipe-third-falls", {{{20, 20}, {50, 50}, {100, 10, .step = {{2000, 1}}}}, .size = 60 * MB}, {.window_bytes = 16 * PLAIT_MIB}, .share = 0.85},
    {"pipe-slow-mirror", {{{100, 20}, {100, 20}}, .server = {{0}, {.total_rate = 20000}}, .size = 16 * MB}, {.window_bytes = 16 * PLAIT_MIB}, .alone = 1, .alone_share = 0.90},
    {"pipe-four-cellular", {{
        {30, 50, 300, .jitter_ms = 5, .step = {{2000, 50}, {4000, 20}, {6000, 60}, {8000, 10}}, .period_ms = 10000},
        {40, 60, 300, .jitter_ms = 5, .step = {{1000, 20}, {3000, 10}, {5000, 40}, {7000, 60}}, .period_ms = 9000},
        {20, 70, 300, .jitter_ms = 5, .outage = {{2000, 5000}}},
        {60, 45, 300, .jitter_ms = 5, .step = {{2500, 30}, {4500, 10}, {6500, 50}}, .period_ms = 8000}},
        .size = 60 * MB}, {.window_bytes = 16 * PLAIT_MIB}, .share = 0.75},

    /* ---- continued from an earlier run ---- */
    {"resume-holes", {{{50, 20}, {50, 30}}, .size = 20 * MB}, {.size_known = true, .resume = {{0, 5 * MB, 1, 1}, {10 * MB, 12 * MB, 1, 2}, {19999999, 20 * MB, 1, 0}}}, .share = 0.8, .seconds = 1.5},
    {"resume-all", {{{50, 20}}, .size = 20 * MB}, {.size_known = true, .resume = {{0, 20 * MB, 1, 1}}}, .seconds = 1},

    /* ---- servers that take part: patterns and groups ---- */
    {"push-three-100MB", {{{20, 20}, {50, 50}, {100, 10}}, .server = {PUSH, PUSH, PUSH}, .size = 100 * MB}, .share = 0.97},
    {"push-one", {{{50, 20}}, .server = {PUSH}, .size = 40 * MB}, .share = 0.95},
    {"push-group-of-three", {{{20, 20}, {50, 50}, {100, 10}}, .servers = 1, .server = {PUSH}, .size = 100 * MB}, .share = 0.97},
    {"push-three-4MB", {{{20, 20}, {50, 50}, {100, 10}}, .server = {PUSH, PUSH, PUSH}, .size = 4 * MB}, .share = 0.62},
    {"push-group-25MB", {{{20, 20}, {50, 50}, {100, 10}}, .servers = 1, .server = {PUSH}, .size = 25 * MB}, .share = 0.85},
    {"push-dsl-lte-satellite", {{{8, 30}, {40, 60}, {20, 600}}, .server = {PUSH, PUSH, PUSH}, .size = 40 * MB}, .share = 0.85},
    {"push-group-dsl-lte-satellite", {{{8, 30}, {40, 60}, {20, 600}}, .servers = 1, .server = {PUSH}, .size = 40 * MB}, .share = 0.75},
    {"push-dsl-lte-satellite-bbr", {{{8, 30}, {40, 60}, {20, 600}}, .server = {PUSH, PUSH, PUSH}, .size = 40 * MB, .cc = PLAIT_SIM_CC_BBR}, .share = 0.74, .dup_percent = 6},
    {"push-group-dsl-lte-satellite-bbr", {{{8, 30}, {40, 60}, {20, 600}}, .servers = 1, .server = {PUSH}, .size = 40 * MB, .cc = PLAIT_SIM_CC_BBR}, .share = 0.76},
    {"push-three-100MB-bbr", {{{20, 20}, {50, 50}, {100, 10}}, .server = {PUSH, PUSH, PUSH}, .size = 100 * MB, .cc = PLAIT_SIM_CC_BBR}, .share = 0.90},
    {"push-group-of-three-bbr", {{{20, 20}, {50, 50}, {100, 10}}, .servers = 1, .server = {PUSH}, .size = 100 * MB, .cc = PLAIT_SIM_CC_BBR}, .share = 0.95},
    {"push-third-dies", {{{20, 20}, {50, 50}, {100, 10}}, .server = {PUSH, PUSH, PUSH_BUT(PLAIT_SIM_FAULT_DEAD, 2400 * PLAIT_MS, 3600 * SEC)}, .size = 100 * MB}, .share = 0.93, .stall_seconds = 0.5},
    {"push-third-crashes", {{{20, 20}, {50, 50}, {100, 10}}, .server = {PUSH, PUSH, PUSH_BUT(PLAIT_SIM_FAULT_CRASH, 2400 * PLAIT_MS, 3600 * SEC)}, .size = 100 * MB}, .share = 0.93, .stall_seconds = 0.5},
    {"push-third-crashes-and-returns", {{{20, 20}, {50, 50}, {100, 10}}, .server = {PUSH, PUSH, PUSH_BUT(PLAIT_SIM_FAULT_CRASH, 2400 * PLAIT_MS, 3400 * PLAIT_MS)}, .size = 100 * MB}, .share = 0.80, .stall_seconds = 0.5},
    {"push-third-falls-to-a-twentieth", {{{20, 20}, {50, 50}, {100, 10, .step = {{2000, 5}}}}, .server = {PUSH, PUSH, PUSH}, .size = 100 * MB}, .share = 0.93, .repattern_seconds = 2.7},
    {"push-third-falls-while-it-is-told", {{{20, 20}, {50, 50}, {100, 10, .step = {{1659, 5}}}}, .server = {PUSH, PUSH, PUSH}, .size = 100 * MB}, .share = 0.90, .repattern_seconds = 2.3},
    {"push-fourth-joins", {{{20, 20}, {50, 50}, {100, 10}, {50, 20}}, .server = {PUSH, PUSH, PUSH, PUSH}, .size = 100 * MB}, {.way_from_ms = {0, 0, 0, 2000}}, .seconds = 4.7, .used = 4, .used_seconds = 4},
    {"push-second-joins", {{{50, 20}, {50, 20}}, .server = {PUSH, PUSH}, .size = 24 * MB}, {.way_from_ms = {0, 1000}}, .seconds = 3.0, .used = 2, .used_seconds = 3},
    {"push-group-route-dies", {{{20, 20}, {50, 50}, {100, 10, .outage = {{2400, 1e9}}}}, .servers = 1, .server = {PUSH}, .size = 100 * MB}, .share = 0.9, .stall_seconds = 0.6},
    {"push-group-route-comes-late", {{{20, 20}, {50, 50}, {100, 10}}, .servers = 1, .server = {PUSH}, .size = 100 * MB}, {.way_from_ms = {0, 0, 2000}}, .seconds = 6.7},
    {"push-beside-plain", {{{20, 20}, {50, 50}, {100, 10}}, .server = {PUSH, {0}, PUSH}, .size = 100 * MB}, .share = 0.95},
    {"push-one-beside-plain", {{{20, 20}, {50, 50}, {100, 10}}, .server = {{0}, PUSH, {0}}, .size = 100 * MB}, .share = 0.93},
    {"push-two-groups", {{{20, 20}, {50, 50}, {100, 10}, {30, 30}}, .servers = 2, .server = {PUSH, PUSH}, .way = {{1, 1}, {2, 1}, {3, 2}, {4, 2}}, .size = 100 * MB}, .share = 0.93},
    {"push-pipe-three", {{{20, 20}, {50, 50}, {100, 10}}, .server = {PUSH, PUSH, PUSH}, .size = 100 * MB}, {.window_bytes = 16 * PLAIT_MIB}, .share = 0.92},
    {"push-pipe-third-dies", {{{20, 20}, {50, 50}, {100, 10, .outage = {{2000, 1e9}}}}, .server = {PUSH, PUSH, PUSH}, .size = 60 * MB}, {.window_bytes = 16 * PLAIT_MIB}, .share = 0.85},
    {"push-pipe-group", {{{20, 20}, {50, 50}, {100, 10}}, .servers = 1, .server = {PUSH}, .size = 60 * MB}, {.window_bytes = 16 * PLAIT_MIB}, .share = 0.9},
    {"push-pipe-slow-consumer", {{{50, 20}, {50, 30}}, .server = {PUSH, PUSH}, .size = 10 * MB}, {.window_bytes = 4 * PLAIT_MIB, .consumer_mbit = 16}, .seconds = 5.4},
    {"push-twice", {{{50, 20}, {50, 20}, {50, 20}}, .server = {PUSH, PUSH, PUSH}, .size = 40 * MB}, {.redundant = 2}, .share = 0.4, .dup_percent = 110, .twice_percent = 70},
    {"push-twice-one-dies", {{{50, 20}, {50, 20}, {50, 20, .outage = {{2000, 1e9}}}}, .server = {PUSH, PUSH, PUSH}, .size = 40 * MB}, {.redundant = 2, .window_bytes = 8 * PLAIT_MIB}, .share = 0.4, .dup_percent = 110, .stall_seconds = 0.3},
    {"push-lossy-pair", {{{30, 40, .loss = 1}, {30, 40, .loss = 0.1}}, .server = {PUSH, PUSH}, .size = 40 * MB}, .share = 0.88},
    {"push-very-far", {{{50, 700}}, .server = {PUSH}, .size = 40 * MB}, .share = 0.4},
    {"push-falls-and-rises", {{{50, 20, .step = {{2000, 5}, {4000, 50}}}, {20, 30}}, .server = {PUSH, PUSH}, .size = 40 * MB}, .share = 0.85, .dup_percent = 6},
    {"push-closes-after-3MB", {{{50, 20}, {50, 20}}, .server = {PUSH_BUT(PLAIT_SIM_FAULT_CLOSE_AFTER, 3 * MB), PUSH}, .size = 40 * MB}, .share = 0.6},
    {"push-stalls-after-3MB", {{{50, 20}, {50, 20}}, .server = {PUSH_BUT(PLAIT_SIM_FAULT_STALL_AFTER, 3 * MB), PUSH}, .size = 40 * MB}, .alone = 2, .alone_share = 0.9},

    /* each costs only the one who does it */
    {"push-refused", {{{50, 20}, {50, 20}}, .server = {PUSH_BUT(PLAIT_SIM_FAULT_STREAM_STATUS, 400), PUSH}, .size = 40 * MB}, .share = 0.9},
    {"push-busy", {{{50, 20}, {50, 20}}, .server = {PUSH_BUT(PLAIT_SIM_FAULT_STREAM_STATUS, 503), PUSH}, .size = 40 * MB}, .share = 0.85},
    {"push-ignores-patterns", {{{50, 20}, {50, 20}}, .server = {PUSH_BUT(PLAIT_SIM_FAULT_STREAM_ALL), PUSH}, .size = 40 * MB}, .alone = 2, .alone_share = 0.95, .dup_percent = 10},
    {"push-wrong-numbers", {{{50, 20}, {50, 20}, {50, 20}}, .server = {PUSH_BUT(PLAIT_SIM_FAULT_STREAM_NUMBER, 1), PUSH, PUSH}, .size = 40 * MB}, .alone = 2, .alone_share = 1.3, .dup_percent = 30},
    {"push-absurd-numbers", {{{50, 20}, {50, 20}}, .server = {PUSH_BUT(PLAIT_SIM_FAULT_STREAM_NUMBER, 1000000000), PUSH}, .size = 40 * MB}, .alone = 2, .alone_share = 0.95},
    {"push-wrong-lengths", {{{50, 20}, {50, 20}}, .server = {PUSH_BUT(PLAIT_SIM_FAULT_STREAM_LENGTH, 1), PUSH}, .size = 40 * MB}, .alone = 2, .alone_share = 0.95},
    {"push-leaves-blocks-out", {{{50, 20}, {50, 20}}, .server = {PUSH_BUT(PLAIT_SIM_FAULT_STREAM_SKIP, 3), PUSH}, .size = 40 * MB}, .alone = 2, .alone_share = 0.95},
    {"push-sends-nothing", {{{50, 20}, {50, 20}}, .server = {PUSH_BUT(PLAIT_SIM_FAULT_STREAM_SKIP, 1), PUSH}, .size = 40 * MB}, .alone = 2, .alone_share = 0.95},
    {"push-strange-frames", {{{50, 20}, {50, 20}}, .server = {PUSH_BUT(PLAIT_SIM_FAULT_STREAM_TYPE, 9), PUSH}, .size = 40 * MB}, .alone = 2, .alone_share = 0.95},
    {"push-reports-errors", {{{50, 20}, {50, 20}}, .server = {PUSH_BUT(PLAIT_SIM_FAULT_STREAM_ERROR, 100, 3), PUSH}, .size = 40 * MB}, .alone = 2, .alone_share = 0.95, .dup_percent = 15},
    {"push-forgets-the-group", {{{50, 20}, {50, 20}}, .server = {PUSH_BUT(PLAIT_SIM_FAULT_STEER_STATUS, 404), PUSH}, .size = 40 * MB}, .alone = 2, .alone_share = 0.95},
    {"push-refuses-steering", {{{50, 20}, {50, 20}}, .server = {PUSH_BUT(PLAIT_SIM_FAULT_STEER_STATUS, 400), PUSH}, .size = 40 * MB}, .alone = 2, .alone_share = 0.95},
    {"push-busy-to-steering", {{{50, 20}, {50, 20}}, .server = {PUSH_BUT(PLAIT_SIM_FAULT_STEER_STATUS, 503), PUSH}, .size = 40 * MB}, .alone = 2, .alone_share = 0.95},
    {"push-alone-busy-at-first", {{{50, 20}}, .server = {PUSH_BUT(PLAIT_SIM_FAULT_STEER_STATUS, 503, 1500 * PLAIT_MS)}, .size = 40 * MB}, .share = 0.983},
    {"push-deaf-to-steering", {{{50, 20}, {50, 20}}, .server = {PUSH_BUT(PLAIT_SIM_FAULT_STEER_DEAF, 0, 1000 * SEC), PUSH}, .size = 40 * MB}, .alone = 2, .alone_share = 0.95},
    {"push-alone-deaf-to-steering", {{{50, 20}}, .server = {PUSH_BUT(PLAIT_SIM_FAULT_STEER_DEAF, 0, 1000 * SEC)}, .size = 40 * MB}, .seconds = 12, .stall_seconds = 5},
    {"push-far-deaf-to-steering", {{{50, 20}, {50, 300}}, .server = {PUSH, PUSH_BUT(PLAIT_SIM_FAULT_STEER_DEAF, 0, 1000 * SEC)}, .size = 40 * MB}, .alone = 1, .alone_share = 0.85},
    {"push-alone-far-deaf-to-steering", {{{50, 300}}, .server = {PUSH_BUT(PLAIT_SIM_FAULT_STEER_DEAF, 0, 1000 * SEC)}, .size = 40 * MB}, .seconds = 18, .stall_seconds = 5},
    {"push-deaf-to-steering-for-long", {{{50, 20}, {50, 20}}, .server = {PUSH_BUT(PLAIT_SIM_FAULT_STEER_DEAF, SEC, 4 * SEC), PUSH}, .size = 80 * MB}, .share = 0.6},
    {"push-requests-lost", {{{50, 20, .up_loss = 20}, {50, 20, .up_loss = 20}}, .server = {PUSH, PUSH}, .size = 40 * MB, .seed = 13}, .share = 0.8, .in_time = true},
    {"push-alone-the-last-is-lost", {{{50, 20}}, .server = {PUSH_BUT(PLAIT_SIM_FAULT_STEER_DEAF, 2 * SEC, 5 * SEC)}, .size = 40 * MB}, .seconds = 10},
    {"push-the-last-is-lost", {{{50, 20}, {50, 20}}, .server = {PUSH_BUT(PLAIT_SIM_FAULT_STEER_DEAF, 2 * SEC, 5 * SEC), PUSH}, .size = 40 * MB}, .share = 0.5},
    {"push-always-too-late", {{{50, 20}, {50, 20}}, .server = {PUSH_BUT(PLAIT_SIM_FAULT_STEER_LATE, 5), PUSH}, .size = 40 * MB}, .alone = 2, .alone_share = 0.95},
    {"push-lies", {{{50, 20}, {50, 20}, {50, 20}}, .server = {PUSH, PUSH_BUT(PLAIT_SIM_FAULT_OTHER_CONTENT, 0, 7), PUSH}, .size = 40 * MB}, .condemned = 2, .seconds = 8},
    {"push-lies-late", {{{50, 20}, {50, 20}, {50, 20}}, .server = {PUSH, PUSH_BUT(PLAIT_SIM_FAULT_OTHER_CONTENT, 30 * MB, 7), PUSH}, .size = 40 * MB}, .condemned = 2, .seconds = 8},
    {"push-one-of-two-lies-digest", {{{50, 20}, {50, 20}}, .server = {PUSH_BUT(PLAIT_SIM_FAULT_OTHER_CONTENT, 0, 7), PUSH}, .size = 40 * MB}, {.digest = true}, .seconds = 30, .dup_percent = 110},
    {"push-changes", {{{50, 20}, {50, 20}, {50, 20}}, .server = {PUSH_BUT(PLAIT_SIM_FAULT_CHANGE, SEC, 8), PUSH, PUSH}, .size = 60 * MB}, .condemned = 1, .seconds = 9},
    /* ---- each byte from several sources that serve ranges ---- */
    {"twice", {{{50, 20}, {50, 20}, {50, 20}}, .size = 40 * MB}, {.redundant = 2}, .share = 0.35, .dup_percent = 120, .twice_percent = 40},
    {"twice-of-two", {{{50, 20}, {50, 20}}, .size = 40 * MB}, {.redundant = 2}, .share = 0.45, .dup_percent = 120, .twice_percent = 40},
    {"twice-one-dies", {{{50, 20}, {50, 20}, {50, 20, .outage = {{2000, 1e9}}}}, .size = 40 * MB}, {.redundant = 2, .window_bytes = 8 * PLAIT_MIB}, .share = 0.3, .dup_percent = 120, .stall_seconds = 0.15},
    {"twice-beside-push", {{{50, 20}, {50, 20}}, .server = {PUSH, {0}}, .size = 40 * MB}, {.redundant = 2}, .share = 0.45, .dup_percent = 120},
    {"thrice-lossy", {{{30, 40, .loss = 1}, {30, 40, .loss = 1}, {30, 40, .loss = 1}}, .size = 20 * MB}, {.redundant = 3, .window_bytes = 8 * PLAIT_MIB}, .share = 0.25, .dup_percent = 230, .twice_percent = 80},

    /* ---- streams that are still being written ---- */
    {"live-one", {{{50, 20}}, .server = {LIVE(MB)}, .size = 5 * MB}, {.window_bytes = 16 * PLAIT_MIB}, .seconds = 5.9, .late_seconds = 0.3},
    {"live-three", {{{20, 20}, {50, 50}, {100, 10}}, .server = {LIVE(MB), LIVE(MB), LIVE(MB)}, .size = 8 * MB}, {.window_bytes = 16 * PLAIT_MIB}, .seconds = 8.9, .late_seconds = 0.4},
    {"live-group", {{{20, 20}, {50, 50}, {100, 10}}, .servers = 1, .server = {LIVE(MB)}, .size = 8 * MB}, {.window_bytes = 16 * PLAIT_MIB}, .seconds = 8.9, .late_seconds = 0.4},
    {"live-to-a-file", {{{20, 20}, {50, 50}, {100, 10}}, .server = {LIVE(MB), LIVE(MB), LIVE(MB)}, .size = 8 * MB}, .seconds = 8.9, .late_seconds = 0.4},
    {"live-behind-much", {{{20, 20}, {50, 50}, {100, 10}}, .server = {LIVE(MB, 40 * MB), LIVE(MB, 40 * MB), LIVE(MB, 40 * MB)}, .size = 46 * MB}, {.window_bytes = 16 * PLAIT_MIB, .late_from_ms = 3500}, .seconds = 6.9, .late_seconds = 0.4},
    {"live-wider-than-one", {{{20, 20}, {50, 50}, {100, 10}}, .server = {LIVE(15 * MB), LIVE(15 * MB), LIVE(15 * MB)}, .size = 90 * MB}, {.window_bytes = 16 * PLAIT_MIB}, .seconds = 7.5, .late_seconds = 1.2},
    {"live-copies-behind", {{{50, 20}, {50, 20}, {50, 20}}, .server = {LIVE(MB), LIVE(MB, .behind_ns = SEC / 2), LIVE(MB, .behind_ns = 3 * SEC)}, .size = 10 * MB}, {.window_bytes = 16 * PLAIT_MIB}, .seconds = 14, .late_seconds = 0.6},
    {"live-third-dies", {{{20, 20}, {50, 50}, {100, 10, .outage = {{3000, 1e9}}}}, .server = {LIVE(MB), LIVE(MB), LIVE(MB)}, .size = 8 * MB}, {.window_bytes = 16 * PLAIT_MIB}, .seconds = 8.9, .late_seconds = 0.6},
    {"live-third-crashes", {{{20, 20}, {50, 50}, {100, 10}}, .server = {LIVE(MB), LIVE(MB), LIVE_BUT(MB, PLAIT_SIM_FAULT_CRASH, 3 * SEC, 3600 * SEC)}, .size = 8 * MB}, {.window_bytes = 16 * PLAIT_MIB}, .seconds = 8.9, .late_seconds = 0.5},
    {"live-first-crashes", {{{20, 20}, {50, 50}, {100, 10}}, .server = {LIVE(MB), LIVE(MB), LIVE_BUT(MB, PLAIT_SIM_FAULT_CRASH, 200 * PLAIT_MS, 3600 * SEC)}, .size = 4 * MB}, {.window_bytes = 16 * PLAIT_MIB}, .seconds = 5.5, .late_seconds = 1},
    {"live-route-dies", {{{20, 20}, {50, 50}, {100, 10, .outage = {{3000, 1e9}}}}, .servers = 1, .server = {LIVE(MB)}, .size = 8 * MB}, {.window_bytes = 16 * PLAIT_MIB}, .seconds = 8.9, .late_seconds = 0.5},
    {"live-only-server-returns", {{{50, 20}}, .server = {LIVE_BUT(MB, PLAIT_SIM_FAULT_CRASH, 3 * SEC, 4 * SEC)}, .size = 8 * MB}, {.window_bytes = 16 * PLAIT_MIB}, .seconds = 9.5},
    {"live-second-joins", {{{20, 20}, {50, 20}}, .server = {LIVE(4 * MB), LIVE(4 * MB)}, .size = 40 * MB}, {.window_bytes = 16 * PLAIT_MIB, .way_from_ms = {0, 3000}, .late_from_ms = 9000}, .seconds = 11, .late_seconds = 0.5, .used = 2, .used_seconds = 3.3},
    {"live-route-joins", {{{20, 20}, {50, 20}}, .servers = 1, .server = {LIVE(4 * MB)}, .size = 40 * MB}, {.window_bytes = 16 * PLAIT_MIB, .way_from_ms = {0, 3000}, .late_from_ms = 9000}, .seconds = 11, .late_seconds = 0.5, .used = 2, .used_seconds = 3.3},
    {"live-falls-to-a-twentieth", {{{50, 20, .step = {{3000, 2.5}}}, {50, 20}}, .server = {LIVE(4 * MB), LIVE(4 * MB)}, .size = 32 * MB}, {.window_bytes = 16 * PLAIT_MIB}, .seconds = 9.5, .late_seconds = 0.9, .dup_percent = 10},
    {"live-slow-consumer", {{{50, 20}, {50, 30}}, .server = {LIVE(2 * MB), LIVE(2 * MB)}, .size = 8 * MB}, {.window_bytes = 2 * PLAIT_MIB, .consumer_mbit = 8}, .seconds = 8.6},
    {"live-trickle", {{{50, 20}, {50, 20}}, .server = {LIVE(3 * KB), LIVE(3 * KB)}, .size = 60 * KB}, {.window_bytes = 16 * PLAIT_MIB}, .seconds = 21.5, .late_seconds = 1.2, .dup_percent = 150},
    {"live-pauses", {{{50, 20}, {50, 20}}, .server = {LIVE(MB, .pause_ns = 2 * SEC, .resume_ns = 40 * SEC), LIVE(MB, .pause_ns = 2 * SEC, .resume_ns = 40 * SEC)}, .size = 4 * MB}, {.window_bytes = 16 * PLAIT_MIB}, .seconds = 42.9, .late_seconds = 2.5},
    {"live-closed-later", {{{50, 20}}, .server = {LIVE(MB, 5 * MB, .close_ns = 3 * SEC)}, .size = 5 * MB}, {.window_bytes = 16 * PLAIT_MIB}, .seconds = 4},
    {"live-short-copy", {{{50, 20}, {50, 20}}, .server = {LIVE(MB), {.takes_part = true, .size = 3 * MB, .live = {.rate = MB}}}, .size = 6 * MB}, {.window_bytes = 16 * PLAIT_MIB}, .seconds = 6.9, .late_seconds = 0.6},
    {"live-closed-copy", {{{50, 20}, {50, 20}}, .server = {LIVE(MB), {.takes_part = true}}, .size = 6 * MB}, {.window_bytes = 16 * PLAIT_MIB, .way_from_ms = {0, 1000}}, .seconds = 6.9, .dup_percent = 30},
    {"live-twice", {{{50, 20}, {50, 20}, {50, 20}}, .server = {LIVE(MB), LIVE(MB), LIVE(MB)}, .size = 8 * MB}, {.window_bytes = 16 * PLAIT_MIB, .redundant = 2}, .seconds = 8.9, .late_seconds = 0.4, .dup_percent = 110},
    {"live-twice-one-dies", {{{50, 20}, {50, 20}, {50, 20, .outage = {{3000, 1e9}}}}, .server = {LIVE(MB), LIVE(MB), LIVE(MB)}, .size = 8 * MB}, {.window_bytes = 16 * PLAIT_MIB, .redundant = 2}, .seconds = 8.9, .late_seconds = 0.4, .dup_percent = 110},
    {"live-lossy-twice", {{{30, 40, .loss = 2}, {30, 40, .loss = 2}}, .server = {LIVE(MB / 4), LIVE(MB / 4)}, .size = 2 * MB}, {.window_bytes = 16 * PLAIT_MIB, .redundant = 2}, .seconds = 9.2, .late_seconds = 0.6, .dup_percent = 110},
    {"live-without-streams", {{{50, 20}, {50, 20}}, .server = {LIVE_BUT(MB, PLAIT_SIM_FAULT_STREAM_STATUS, 400), LIVE_BUT(MB, PLAIT_SIM_FAULT_STREAM_STATUS, 400)}, .size = 5 * MB}, {.window_bytes = 16 * PLAIT_MIB}, .seconds = 6, .late_seconds = 0.8, .dup_percent = 20},
    {"live-ranges-only", {{{50, 20}, {50, 20}}, .server = {LIVE(MB), LIVE(MB)}, .size = 5 * MB}, {.window_bytes = 16 * PLAIT_MIB, .ranges_only = true}, .seconds = 6, .late_seconds = 0.8, .dup_percent = 20},
    {"live-one-of-three-lies", {{{50, 20}, {50, 20}, {50, 20}}, .server = {LIVE(MB), LIVE(MB), LIVE_BUT(MB, PLAIT_SIM_FAULT_OTHER_CONTENT, 0, 7)}, .size = 5 * MB}, {.window_bytes = 16 * PLAIT_MIB}, .condemned = 4, .seconds = 6.5},
    {"live-one-of-two-lies", {{{50, 20}, {50, 20}}, .server = {LIVE(MB), LIVE_BUT(MB, PLAIT_SIM_FAULT_OTHER_CONTENT, 0, 7)}, .size = 5 * MB}, {.window_bytes = 16 * PLAIT_MIB}, .fail = PLAIT_FETCH_FAIL_CONFLICT, .seconds = 6},
    {"live-becomes-another", {{{50, 20}}, .server = {{.takes_part = true, .live = {.rate = MB}, .fault = {{PLAIT_SIM_FAULT_CRASH, 2 * SEC, 3 * SEC}, {PLAIT_SIM_FAULT_CHANGE, 2 * SEC, 9}}}}, .size = 5 * MB}, .fail = PLAIT_FETCH_FAIL_CHANGED, .seconds = 6},
    {"one-lane", {{{20, 20}, {50, 50}, {100, 10}}, .size = 40 * MB}, {.lanes_max = 1}, .share = 0.75},
};
/* clang-format on */
const unsigned fetch_scenario_count = PLAIT_COUNT(fetch_scenarios);

#define DUP_PERCENT 3.0    /* of bytes that may come twice */
#define DUP_BYTES   400000 /* and so many in any case: requests that are cut, for the greater part */
#define LIMIT_MS    600000

double fetch_share(const struct plait_sim_fetch_result *r)
{
    return r->done && r->time_ns > 0 && r->fluid_ns != PLAIT_NEVER ? (double)r->fluid_ns / (double)r->time_ns
                                                                   : 0;
}

/* Each returns false with the reason in `why`. */
static bool check_end(const struct fetch_scenario *s, const struct plait_sim_fetch_result *r, char *why,
                      size_t n)
{
    if (r->violation[0] != '\0')
        snprintf(why, n, "%s", r->violation);
    else if (r->stopped)
        snprintf(why, n, "did not come to an end");
    else if (r->fail != s->fail)
        snprintf(why, n, "ended with \"%s\" after %.2f s, expected \"%s\"", plait_sim_fail_name(r->fail),
                 plait_to_s(r->time_ns), plait_sim_fail_name(s->fail));
    else if (s->seconds > 0 && plait_to_s(r->time_ns) > s->seconds)
        snprintf(why, n, "took %.3f s, expected %.3f", plait_to_s(r->time_ns), s->seconds);
    else if (s->condemned != 0 && r->condemned != s->condemned)
        snprintf(why, n, "dropped sources %#x, expected %#x", r->condemned, s->condemned);
    else if (s->repattern_seconds > 0 &&
             (r->repattern_ns == 0 || plait_to_s(r->repattern_ns) > s->repattern_seconds))
        snprintf(why, n, "blocks were given up at %.3f s, expected %.3f", plait_to_s(r->repattern_ns),
                 s->repattern_seconds);
    else if (s->used > 0 && (r->way_first_ns[s->used - 1] == 0 ||
                             plait_to_s(r->way_first_ns[s->used - 1]) > s->used_seconds))
        snprintf(why, n, "way %d was first used at %.3f s, expected %.3f", s->used,
                 plait_to_s(r->way_first_ns[s->used - 1]), s->used_seconds);
    else if (s->late_seconds > 0 && plait_to_s(r->late_ns) > s->late_seconds)
        snprintf(why, n, "a byte was waited for %.3f s, expected %.3f", plait_to_s(r->late_ns),
                 s->late_seconds);
    else if (s->stall_seconds > 0 && plait_to_s(r->stall_ns) > s->stall_seconds)
        snprintf(why, n, "stalled for %.3f s, expected %.3f", plait_to_s(r->stall_ns), s->stall_seconds);
    else if (s->in_time && r->lates > 0)
        snprintf(why, n, "%u steering requests came too late", r->lates);
    else
        return true;
    return false;
}

static bool check_bytes(const struct fetch_scenario *s, const struct plait_sim_fetch_result *r, char *why,
                        size_t n)
{
    double percent = s->dup_percent > 0 ? s->dup_percent : DUP_PERCENT;
    double most = (double)s->row.size * percent / 100 + DUP_BYTES;

    double least = (double)s->row.size * s->twice_percent / 100;

    if ((double)r->dup_bytes < least)
        snprintf(why, n, "only %llu bytes came twice, expected %.0f", (unsigned long long)r->dup_bytes,
                 least);
    else if (s->fail == PLAIT_FETCH_FAIL_NONE && (double)r->dup_bytes > most)
        snprintf(why, n, "%llu bytes came twice, expected at most %.0f", (unsigned long long)r->dup_bytes,
                 most);
    else if (s->config.window_bytes > 0 && r->reach_max > s->config.window_bytes)
        snprintf(why, n, "kept bytes %llu ahead", (unsigned long long)r->reach_max);
    else
        return true;
    return false;
}

static bool check_share(const struct fetch_scenario *s, const struct plait_sim_fetch_result *r, char *why,
                        size_t n)
{
    struct plait_sim_fetch_config config = s->config;
    struct plait_sim_fetch_result alone;

    if (fetch_share(r) < s->share) {
        snprintf(why, n, "%.3f of the fluid bound, expected %.3f", fetch_share(r), s->share);
        return false;
    }
    if (s->alone == 0)
        return true;
    config.only_way = s->alone;
    config.story = NULL;
    plait_sim_fetch_run(&s->row, &config, &alone);
    double share = (double)alone.time_ns / (double)r->time_ns;
    if (!alone.done || share < s->alone_share) {
        snprintf(why, n, "%.3f of what way %d does alone (%.3f s, %s), expected %.3f", share, s->alone,
                 plait_to_s(alone.time_ns), plait_sim_fail_name(alone.fail), s->alone_share);
        return false;
    }
    return true;
}

bool fetch_scenario_check(const struct fetch_scenario *s, const struct fetch_story *story,
                          struct plait_sim_fetch_result *out, char *why, size_t why_size)
{
    struct plait_sim_fetch_config config = s->config;

    if (story != NULL) {
        config.story = story->to;
        config.commands = story->commands;
        config.packets = story->packets;
    }
    if (config.limit_ms == 0)
        config.limit_ms = LIMIT_MS;
    plait_sim_fetch_run(&s->row, &config, out);
    why[0] = '\0';
    return check_end(s, out, why, why_size) && check_bytes(s, out, why, why_size) &&
           check_share(s, out, why, why_size);
}
