#include "report.h"

#include <string.h>

#include "units.h"

static const char *const state_names[] = {
    [PLAIT_BOND_PATH_NONE] = "none",      [PLAIT_BOND_PATH_DOWN] = "down",
    [PLAIT_BOND_PATH_UNKNOWN] = "probed", [PLAIT_BOND_PATH_UP] = "up",
    [PLAIT_BOND_PATH_SUSPECT] = "silent", [PLAIT_BOND_PATH_DEAD] = "dead",
};

const char *plait_report_state(enum plait_bond_path_state state)
{
    return (size_t)state < PLAIT_COUNT(state_names) ? state_names[state] : "?";
}

static double to_ms(uint64_t ns)
{
    uint64_t us = ns / 1000;

    return (double)us / 1e3;
}

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

struct sums {
    double sent, received;
    uint64_t sent_bytes, received_bytes;
};

static struct sums sum_up(const struct plait_bond *bond, uint64_t now)
{
    struct plait_bond_path_info info;
    struct sums s = {0};

    for (unsigned i = 0; i < PLAIT_BOND_PATHS; i++) {
        plait_bond_path_get(bond, now, i, &info);
        if (info.state == PLAIT_BOND_PATH_NONE)
            continue;
        s.sent += info.sent_rate;
        s.received += info.receive_rate;
        s.sent_bytes += info.sent_bytes;
        s.received_bytes += info.received_bytes;
    }
    return s;
}

static json_t *sending(const struct plait_bond_path_info *info, const struct sums *all)
{
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I}", "capacity", info->rate,
                     "rate", info->sent_rate, "share", share(info->sent_rate, all->sent), "rtt",
                     to_ms(info->rtt_ns), "rtt_min", to_ms(info->rtt_min_ns), "queue", to_ms(info->queue_ns),
                     "jitter", to_ms(info->jitter_ns), "loss", info->loss, "bytes",
                     (json_int_t)info->sent_bytes, "packets", (json_int_t)info->sent_packets, "lost",
                     (json_int_t)info->lost_packets);
}

static json_t *receiving(const struct plait_bond_path_info *info, const struct sums *all)
{
    return json_pack("{s:f, s:f, s:f, s:I, s:I}", "rate", info->receive_rate, "share",
                     share(info->receive_rate, all->received), "reordering", info->reordering, "bytes",
                     (json_int_t)info->received_bytes, "packets", (json_int_t)info->received_packets);
}

static void add_other(json_t *direction, const struct plait_tell *other, unsigned path)
{
    for (size_t i = 0; other != NULL && i < other->path_count; i++) {
        const struct plait_tell_path *p = &other->paths[i];
        if (p->path != path)
            continue;
        json_object_set_new(direction, "capacity", json_real((double)p->capacity));
        json_object_set_new(direction, "queue", json_real(p->queue_us / 1e3));
        json_object_set_new(direction, "loss", json_real(p->loss));
    }
}

static json_t *report_path(const struct plait_bond_path_info *info, unsigned path, const struct sums *all,
                           bool sends_up, const struct plait_tell *other)
{
    json_t *here = sending(info, all), *there = receiving(info, all);

    add_other(there, other, path);
    return json_pack("{s:i, s:s, s:i, s:o, s:o}", "path", (int)path, "state", plait_report_state(info->state),
                     "mtu", (int)info->mtu, sends_up ? "up" : "down", here, sends_up ? "down" : "up", there);
}

json_t *plait_report_paths(const struct plait_bond *bond, uint64_t now, bool sends_up,
                           const struct plait_tell *other)
{
    struct sums all = sum_up(bond, now);
    struct plait_bond_path_info info;
    json_t *list = json_array();

    for (unsigned i = 0; i < PLAIT_BOND_PATHS; i++) {
        plait_bond_path_get(bond, now, i, &info);
        if (info.state != PLAIT_BOND_PATH_NONE)
            json_array_append_new(list, report_path(&info, i, &all, sends_up, other));
    }
    return list;
}

json_t *plait_report_bond(const struct plait_bond *bond, uint64_t now, bool sends_up)
{
    struct sums all = sum_up(bond, now);
    struct plait_bond_info info;

    plait_bond_get(bond, now, &info);
    json_t *sent =
        json_pack("{s:f, s:I, s:I, s:I}", "rate", all.sent, "bytes", (json_int_t)all.sent_bytes, "packets",
                  (json_int_t)info.pushed_packets, "dropped", (json_int_t)info.dropped_packets);
    json_t *received = json_pack(
        "{s:f, s:I, s:I, s:I, s:I, s:I}", "rate", all.received, "bytes", (json_int_t)all.received_bytes,
        "packets", (json_int_t)info.delivered_packets, "late", (json_int_t)info.late_packets, "repaired",
        (json_int_t)info.repaired_packets, "twice", (json_int_t)info.duplicate_packets);
    return json_pack("{s:o, s:o, s:{s:i, s:f}, s:{s:i, s:i}}", sends_up ? "up" : "down", sent,
                     sends_up ? "down" : "up", received, "queue", "packets", (int)info.queue_packets, "time",
                     to_ms(info.queue_ns), "reorder", "packets", (int)info.held_packets, "most",
                     (int)info.held_packets_max);
}

json_t *plait_report_session(const struct plait_session *session, uint64_t now)
{
    struct plait_session_facts f;

    plait_session_facts(session, &f);
    return json_pack(
        "{s:s, s:o, s:o, s:I, s:I, s:I, s:b}", "cipher", plait_aead_name(f.aead), "age",
        f.keys_since == PLAIT_NEVER ? json_null() : json_real(plait_to_s(plait_since(now, f.keys_since))),
        "heard",
        f.last_opened == PLAIT_NEVER ? json_null() : json_real(plait_to_s(plait_since(now, f.last_opened))),
        "handshakes", (json_int_t)f.handshakes, "replayed", (json_int_t)f.replayed, "forged",
        (json_int_t)f.forged, "waiting", (int)f.waiting);
}
