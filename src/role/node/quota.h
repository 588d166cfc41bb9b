/*
 * How much of its quota each uplink has used in the present day, week or month (UTC), kept in a file across
 * restarts.
 *
 * The file is opened once, while we may, and written in place: one line for each uplink,
 *
 *      month 24323 123456789 dsl
 *
 * the period's kind, its number, the bytes, the uplink's name. What uplinks of the file are not known any more
 * is kept for as long as there is room.
 */
#ifndef PLAIT_NODE_QUOTA_H
#define PLAIT_NODE_QUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "err.h"

#define PLAIT_QUOTA_ENTRIES_MAX 64

struct plait_quota_entry {
    char name[PLAIT_CONFIG_LABEL_MAX + 1];
    enum plait_config_period period;
    int64_t number; /* of the period that `used` is of */
    uint64_t used;  /* bytes */
};

struct plait_quota {
    int fd; /* −1 = nothing is kept */
    struct plait_quota_entry entries[PLAIT_QUOTA_ENTRIES_MAX];
    size_t count;
    bool changed;
};

/* The number of the period that this second of UTC lies in; weeks begin on Monday. */
int64_t plait_quota_period(enum plait_config_period period, int64_t unix_s);

/*
 * Opens and reads the file, making it (not its folder) where it is not there. PLAIT_ERR_IO (errno): then q works,
 * but keeps nothing. Lines that make no sense are left out.
 */
PLAIT_MUST_USE int plait_quota_open(struct plait_quota *q, const char *path);
/* Counts bytes of an uplink. */
void plait_quota_add(struct plait_quota *q, const char *name, enum plait_config_period period, int64_t unix_s,
                     uint64_t bytes);
/* What it has used in the present period. */
uint64_t plait_quota_used(const struct plait_quota *q, const char *name, enum plait_config_period period,
                          int64_t unix_s);
/* Writes what has changed. PLAIT_ERR_IO (errno). */
PLAIT_MUST_USE int plait_quota_save(struct plait_quota *q);
/* Without saving. */
void plait_quota_close(struct plait_quota *q);

#endif
