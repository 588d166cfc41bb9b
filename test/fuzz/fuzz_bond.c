/*
 * A script for one end of a bond: a byte says what happens (time passes, a datagram comes on a path, an inner
 * packet is pushed, a path changes), two give a length, then its bytes. All packets must be back in the end.
 */
#include "bond.h"

#include <string.h>

#include "fuzz.h"
#include "units.h"

#define PACKETS 64
#define ROOM    1600
#define POLLS   200

static void on_deliver(void *ctx, uint64_t now, const uint8_t *bytes, size_t len)
{
    volatile uint8_t last = len > 0 ? bytes[len - 1] : 0;

    (void)ctx;
    (void)now;
    (void)last;
}

static void poll_all(struct plait_bond *bond, uint64_t now)
{
    struct plait_bond_datagram d;

    for (int i = 0; i < POLLS && plait_bond_poll_send(bond, now, &d); i++) {
        FUZZ_CHECK(d.len == d.header_len + d.payload_len && d.path < PLAIT_BOND_PATHS);
        volatile uint8_t last = d.payload_len > 0 ? d.payload[d.payload_len - 1] : 0;
        (void)last;
    }
}

static void change_path(struct plait_bond *bond, uint64_t now, uint8_t what)
{
    unsigned path = what % 4;
    struct plait_bond_path_config config = {.weight = what & 64 ? 2 : 0, .backup = (what & 128) != 0};

    switch (what / 4 % 5) {
    case 0:
        FUZZ_CHECK(plait_bond_path_set(bond, now, path, &config) == PLAIT_OK);
        break;
    case 1:
        plait_bond_path_carrier(bond, now, path, (what & 32) != 0);
        break;
    case 2:
        plait_bond_path_moved(bond, now, path);
        break;
    case 3:
        plait_bond_path_remove(bond, now, path);
        break;
    default:
        plait_bond_on_peer_restart(bond, now);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct plait_pool pool;
    struct plait_bond *bond;
    uint64_t now = PLAIT_S;

    FUZZ_CHECK(plait_pool_init(&pool, PACKETS, ROOM) == PLAIT_OK);
    struct plait_bond_config config = {
        .pool = &pool, .deliver = on_deliver, .seed = 1, .held_packets = 32, .flight_packets = 64};
    FUZZ_CHECK(plait_bond_new(&config, &bond) == PLAIT_OK);
    for (unsigned i = 0; i < 2; i++)
        change_path(bond, now, (uint8_t)i);
    for (size_t at = 0; at + 3 <= size;) {
        uint8_t what = data[at];
        size_t len = (size_t)data[at + 1] << 8 | data[at + 2], left = size - at - 3;
        len = len < left ? len : left;
        const uint8_t *bytes = data + at + 3;
        at += 3 + len;
        if (what < 128)
            (void)plait_bond_recv(bond, now, what % 4, bytes, len);
        else if (what < 192)
            (void)plait_bond_push_copy(bond, now, bytes, len);
        else if (what < 224)
            change_path(bond, now, len > 0 ? bytes[0] : 0);
        now += (what % 16) * PLAIT_MS;
        if (plait_bond_next_deadline(bond) <= now)
            plait_bond_on_deadline(bond, now);
        poll_all(bond, now);
    }
    plait_bond_free(bond);
    FUZZ_CHECK(pool.spare_n == pool.count);
    plait_pool_done(&pool);
    return 0;
}
