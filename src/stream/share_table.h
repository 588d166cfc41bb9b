/*
 * The groups that a server knows: each a share under its id, bound to what its first request was about.
 *
 * An id is a secret between a receiver and its servers: whoever knows it may steer. So a look-up compares it
 * with all ids, each to its end, and takes the same time whether or not, and where, they differ.
 *
 * A group is forgotten when it has had no connection for PLAIT_SHARE_KEEP_NS; earlier where its place is
 * needed, the longest unused first. Pure: time is passed in. Not for several threads at once.
 */
#ifndef PLAIT_STREAM_SHARE_TABLE_H
#define PLAIT_STREAM_SHARE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "share.h"

#define PLAIT_SHARE_KEEP_NS    (60 * PLAIT_S)
#define PLAIT_SHARE_GROUPS_MAX 4096u

/* Each member is whatever identifies the thing, zeros where there is none: a device and inode, a hash. */
struct plait_share_bond {
    uint8_t resource[32];
    uint8_t version[32];
    uint8_t credentials[32];
};

enum plait_share_found {
    PLAIT_SHARE_FOUND,
    PLAIT_SHARE_NEW,           /* enter: made for this request */
    PLAIT_SHARE_UNKNOWN_GROUP, /* find: 404 */
    PLAIT_SHARE_OTHER_VERSION, /* 409 */
    PLAIT_SHARE_FORBIDDEN,     /* another resource or other credentials: 403 */
    PLAIT_SHARE_OTHER_BLOCK,   /* enter: the group has another block size: 400 */
    PLAIT_SHARE_FULL,          /* enter: no place, every group has connections; or no memory: 503 */
};

struct plait_share_table;

/* Room for 1 to PLAIT_SHARE_GROUPS_MAX groups. Returns owned, or NULL. */
struct plait_share_table *plait_share_table_new(unsigned groups_max);
/* With all its shares. */
void plait_share_table_free(struct plait_share_table *t);

/*
 * The group of a request that opens a connection; made from `config` (its block size a valid one) where it is
 * not known. *share is written for FOUND and NEW and belongs to the table, which keeps it at least as long as
 * it has connections; with none yet, until the next call.
 */
enum plait_share_found plait_share_table_enter(struct plait_share_table *t, uint64_t now,
                                               const uint8_t id[PLAIT_GROUP_ID_BYTES],
                                               const struct plait_share_bond *bond,
                                               const struct plait_share_config *config,
                                               struct plait_share **share);
/* The group of a request that steers. As above, but nothing is made. */
enum plait_share_found plait_share_table_find(struct plait_share_table *t, uint64_t now,
                                              const uint8_t id[PLAIT_GROUP_ID_BYTES],
                                              const struct plait_share_bond *bond,
                                              struct plait_share **share);

/* Forgets what is due to be forgotten. The other calls do it as well. */
void plait_share_table_expire(struct plait_share_table *t, uint64_t now);
/* When the next is due; PLAIT_NEVER where none is. */
uint64_t plait_share_table_next_deadline(const struct plait_share_table *t);
/* How many groups it has. */
unsigned plait_share_table_count(const struct plait_share_table *t);
/* The groups one after the other, for what concerns them all (deadlines); NULL from count on. The order
 * changes with any call above. */
struct plait_share *plait_share_table_at(const struct plait_share_table *t, unsigned index);

#endif
