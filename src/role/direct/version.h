/*
 * Which holders of a name hold the same: the versions of a stream.
 *
 * Two holders hold the same if they give the same size, and a digest of one kind that is the same. Who gives no digest
 * is kept with those of his size who give none either. What differs is never mixed: a receiver that took parts of two
 * versions would get neither.
 */
#ifndef PLAIT_DIRECT_VERSION_H
#define PLAIT_DIRECT_VERSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "catalog.h"
#include "err.h"

struct plait_version {
    bool has_size;
    uint64_t size;
    struct plait_digests digests;        /* all that is known of it */
    const struct plait_server **sources; /* the healthy ones first; borrowed from the array of all */
    size_t count, healthy;
};

/* What a client asked for; all zeros is everything. */
struct plait_wish {
    bool has_size;
    uint64_t size;
    struct plait_digests digests;
};

/* Owns its memory; the servers are borrowed. */
struct plait_versions {
    struct plait_version *all; /* the best first: with the most healthy sources, then with a digest */
    size_t count;
    const struct plait_server **sources;
};

/*
 * The versions of the stream that fit the wish. The healthy sources of each begin with another one every time `turn`
 * is another. PLAIT_ERR_NOMEM.
 */
PLAIT_MUST_USE int plait_versions_of(const struct plait_stream *stream, const struct plait_wish *wish,
                                     uint32_t turn, uint64_t now, struct plait_versions *out);
/* Two of them surely hold something else: another size, or digests that contradict. Who has not told its size or digest
 * yet may still turn out to hold the same. */
bool plait_versions_contradict(const struct plait_versions *v);
void plait_versions_done(struct plait_versions *v);

#endif
